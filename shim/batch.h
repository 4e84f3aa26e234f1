/*
 * batch.h
 *	  Records as rows of COPY fleet.ingest ... (FORMAT binary).
 */
#ifndef SHIM_BATCH_H
#define SHIM_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "record.h"

/* The columns of a row, in this order. */
#define BATCH_COPY \
	"COPY fleet.ingest (source_id, device, event_time, received_at, latitude, longitude, " \
	"altitude_m, accuracy_m, speed_kmh, heading_deg, signals, schema_version, defect, raw) " \
	"FROM STDIN (FORMAT binary)"
#define BATCH_COLUMNS 14

#define BATCH_HEADER_SIZE 19
#define BATCH_TRAILER_SIZE 2
extern const char batch_header[BATCH_HEADER_SIZE];
extern const char batch_trailer[BATCH_TRAILER_SIZE];

/*
 * Appends the row of a record, received now unless it says when; false when
 * memory is out.  What the server
 * would refuse to read (text that is not UTF-8, a time beyond its calendar, a
 * number that is not finite) becomes a defect of the row here.
 */
extern bool batch_encode(Buf *out, int32_t source_id, int64_t now_us, const Record *record)
			__attribute__((warn_unused_result));

/*
 * Appends a row that stands for one which the server refused: the defect
 * malformed, and as raw the refused row as a JSON object, so that nothing of it
 * is lost.  Without its device when keep_device is false.
 */
extern bool batch_salvage(Buf *out, const char *row, size_t len, bool keep_device)
			__attribute__((warn_unused_result));

#endif							/* SHIM_BATCH_H */
