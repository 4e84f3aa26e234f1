/*
 * tracks.h
 *	  A file of recorded tracks, CSV or NDJSON, gzip or not, read into memory as
 *	  documents that are ready to be sent.
 */
#ifndef SIM_TRACKS_H
#define SIM_TRACKS_H

#include "columns.h"

typedef struct TrackRow
{
	int64_t		time_us;		/* MESSAGE_NO_TIME: none */
	int64_t		order_us;		/* for sorting: of the row before when it has none */
	uint64_t	number;			/* in the file, from 1 */
	size_t		begin;			/* of the row's bytes in the file's text */
	size_t		len;
} TrackRow;

typedef struct Tracks
{
	Buffer		text;			/* the file, unpacked */
	Columns		columns;
	bool		ndjson;
	char		separator;
	TrackRow   *rows;
	size_t		count;
	size_t		size;
} Tracks;

typedef enum TrackResult
{
	TRACK_GOOD,
	TRACK_BAD_FIELD,			/* m holds it, it must be refused */
	TRACK_UNREADABLE			/* not a row at all: only its bytes are known */
} TrackResult;

/* Reads the file and finds the rows; columns->told options must be set before. */
extern void tracks_load(Tracks *t, const char *path);
extern void tracks_sort(Tracks *t);
/* The row as a message, whose texts are valid until the next call. */
extern TrackResult tracks_message(Tracks *t, const TrackRow *row, Message *m);

#endif							/* SIM_TRACKS_H */
