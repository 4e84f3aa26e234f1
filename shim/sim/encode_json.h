/*
 * encode_json.h
 *	  A message as the bytes of a JSON document, without a newline.
 */
#ifndef SIM_ENCODE_JSON_H
#define SIM_ENCODE_JSON_H

#include "message.h"

#define TIMESTAMP_LENGTH 24		/* 2025-01-15T14:32:18.123Z */

/* Writes TIMESTAMP_LENGTH bytes, no NUL.  Times before 1970 and after 9999 are not expected. */
extern void encode_timestamp(char *out, int64_t time_us);
/* The nested reference document. */
extern void encode_reference(Buffer *out, const Message *m);
/* One level: device, event_time, latitude, ... and signals under their own names. */
extern void encode_flat(Buffer *out, const Message *m);
/* A member "name":"text" escaped; `comma` puts one in front. */
extern void encode_text_member(Buffer *out, bool comma, const char *name, const char *text);

#endif							/* SIM_ENCODE_JSON_H */
