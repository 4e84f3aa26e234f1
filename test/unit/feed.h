/*
 * feed.h
 *	  Feeds bytes to a stream adapter as the core does, and keeps what came
 *	  out: records, answers, how the bytes were cut.
 *
 *		Feed		feed;
 *
 *		feed_begin(&feed, &adapter_acme, "");
 *		feed_bytes(&feed, bytes, length, 0);	// 0: all at once, else so many at a time
 *		... feed.records[0].latitude, feed_signal(&feed.records[0], "ignition"), feed.out ...
 *		feed_end(&feed);
 *
 * Every piece of input is a block of its own that ends where the input ends, so
 * that ASan sees an adapter that looks beyond.
 */
#ifndef TEST_FEED_H
#define TEST_FEED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter.h"
#include "mapping.h"

#define FEED_NOW_US INT64_C(1800000549000000)	/* 2027-01-15 08:09:09 UTC */

typedef struct FedSignal
{
	char		name[RECORD_NAME_MAX + 1];
	RecordKind	kind;
	bool		boolean;
	double		number;
	char	   *text;			/* "" for other kinds */
} FedSignal;

typedef struct FedRecord
{
	char	   *device;
	bool		has_event_time;
	int64_t		event_time_us;
	double		latitude;
	double		longitude;
	double		altitude_m;
	double		accuracy_m;
	double		speed_kmh;
	double		heading_deg;
	char	   *defect;			/* "": none */
	size_t		raw_len;
	size_t		nsignals;
	FedSignal  *signals;
} FedRecord;

typedef struct FedFrame
{
	char	   *data;
	size_t		length;
	bool		skipped;		/* FRAME_SKIP, or refused for being none */
	DecodeStatus status;
} FedFrame;

typedef struct FedAnswer
{
	int64_t		command_id;
	bool		ok;
	char		device[DEVICE_MAX + 1];
	char		text[256];
} FedAnswer;

typedef struct Feed
{
	const Adapter *adapter;
	Session		session;
	bool		late_acks;		/* one ack() at the end of feed_bytes */
	bool		stubborn;		/* go on after DECODE_BAD */
	Buf			out;			/* all answers, in order */
	FedRecord  *records;
	size_t		nrecords;
	FedFrame   *frames;
	size_t		nframes;
	FedAnswer	answer;			/* the last one to a command */
	size_t		nanswers;
	const char *refused;		/* why the connection would be closed, or NULL */
	size_t		unfinished;		/* bytes kept for later */
	Welcome		welcome;		/* answer to DECODE_HELLO */

	/* private */
	uint64_t	counted;
	uint64_t	acked;
	AckFrame   *ackframes;
	AckRejection *rejections;
	size_t		nrejections;
} Feed;

static inline char *
feed_copy(const char *text, size_t n)
{
	char	   *copy = malloc(n + 1);

	if (copy == NULL)
		abort();
	if (n > 0)
		memcpy(copy, text, n);
	copy[n] = '\0';
	return copy;
}

static inline void *
feed_grow(void *array, size_t n, size_t size)
{
	void	   *more = realloc(array, n * size);

	if (more == NULL)
		abort();
	return more;
}

static inline void
feed_on_record(void *arg, const Record *record)
{
	Feed	   *feed = arg;
	FedRecord  *fed;
	AckFrame   *frame = &feed->ackframes[feed->counted];

	feed->records = feed_grow(feed->records, feed->nrecords + 1, sizeof(*feed->records));
	fed = &feed->records[feed->nrecords++];
	fed->device = feed_copy(record->device.data, record->device.len);
	fed->has_event_time = record->has_event_time;
	fed->event_time_us = record->event_time_us;
	fed->latitude = record->latitude;
	fed->longitude = record->longitude;
	fed->altitude_m = record->altitude_m;
	fed->accuracy_m = record->accuracy_m;
	fed->speed_kmh = record->speed_kmh;
	fed->heading_deg = record->heading_deg;
	fed->defect = feed_copy(record->defect.data, record->defect.len);
	fed->raw_len = record->raw.len;
	fed->nsignals = record->nsignals;
	fed->signals = calloc(record->nsignals + 1, sizeof(*fed->signals));
	if (fed->signals == NULL)
		abort();
	for (uint32_t i = 0; i < record->nsignals; i++)
	{
		const RecordSignal *signal = &record->signals[i];
		FedSignal  *copy = &fed->signals[i];

		memcpy(copy->name, signal->name.data, signal->name.len);
		copy->kind = signal->kind;
		copy->boolean = signal->kind == RECORD_BOOLEAN && signal->boolean;
		copy->number = signal->kind == RECORD_NUMBER ? signal->number : 0;
		copy->text = signal->kind == RECORD_TEXT ? feed_copy(signal->text.data, signal->text.len)
			: feed_copy("", 0);
	}
	frame->records++;

	/* The server quarantines these, and the core tells the adapter. */
	if (fed->defect[0] != '\0' || fed->device[0] == '\0' || !fed->has_event_time)
	{
		const char *defect = fed->defect[0] ? fed->defect :
			fed->device[0] ? "missing_field:event_time" : "missing_field:device";
		const char *colon = strchr(defect, ':');
		AckRejection *rejection;

		feed->rejections = feed_grow(feed->rejections, feed->nrejections + 1, sizeof(*feed->rejections));
		rejection = &feed->rejections[feed->nrejections++];
		rejection->seq = feed->counted + 1;
		snprintf(rejection->code, sizeof(rejection->code), "%.*s",
				 (int) (colon ? colon - defect : (long) strlen(defect)), defect);
		snprintf(rejection->field, sizeof(rejection->field), "%s", colon ? colon + 1 : "");
	}
}

static inline void
feed_on_answer(void *arg, const Answer *answer)
{
	Feed	   *feed = arg;

	feed->nanswers++;
	feed->answer.command_id = answer->command_id;
	feed->answer.ok = answer->ok;
	snprintf(feed->answer.device, sizeof(feed->answer.device), "%.*s", (int) answer->device.len, answer->device.data);
	snprintf(feed->answer.text, sizeof(feed->answer.text), "%.*s", (int) answer->text.len, answer->text.data);
}

static inline void
feed_ack(Feed *feed)
{
	Ack			ack = {
		.from = feed->acked + 1,
		.upto = feed->counted,
		.frames = feed->ackframes + feed->acked,
		.nrejected = feed->nrejections,
		.rejected = feed->rejections
	};

	if (feed->acked == feed->counted)
		return;
	if (feed->adapter->ack != NULL)
		feed->adapter->ack(&feed->session, &ack, &feed->out);
	feed->acked = feed->counted;
	feed->nrejections = 0;
}

/*
 * Authenticated from the start, as behind a listener that names its source.
 * For a datagram, session.datagram is set afterwards.
 */
static inline void
feed_begin(Feed *feed, const Adapter *adapter, const char *device)
{
	static const Mapping *mapping;

	if (mapping == NULL)
		mapping = mapping_default();
	memset(feed, 0, sizeof(*feed));
	feed->adapter = adapter;
	feed->session.mapping = mapping;
	feed->session.authenticated = true;
	feed->session.now_us = FEED_NOW_US;
	snprintf(feed->session.device, sizeof(feed->session.device), "%s", device);
	feed->session.state = adapter->session_size > 0 ? calloc(1, adapter->session_size) : NULL;
}

static inline void
feed_frame(Feed *feed, const Frame *frame, bool skipped)
{
	static Record record;
	Decoded		decoded = {.emit = feed_on_record, .emit_arg = feed, .record = &record, .reply = &feed->out, .answer = feed_on_answer};
	FedFrame   *fed;
	size_t		before = feed->nrecords;

	feed->frames = feed_grow(feed->frames, feed->nframes + 1, sizeof(*feed->frames));
	fed = &feed->frames[feed->nframes++];
	fed->data = feed_copy(frame->data, frame->length);
	fed->length = frame->length;
	fed->skipped = skipped;
	fed->status = DECODE_IGNORED;
	if (skipped)
		return;
	feed->ackframes = feed_grow(feed->ackframes, feed->counted + 1, sizeof(*feed->ackframes));
	memset(&feed->ackframes[feed->counted], 0, sizeof(AckFrame));
	fed->status = feed->adapter->decode(&feed->session, frame, &decoded);
	fed->skipped = feed->nrecords == before + 1 && strcmp(feed->records[before].defect, "malformed:frame") == 0;
	if (fed->status == DECODE_OK || feed->ackframes[feed->counted].records > 0)
	{
		feed->ackframes[feed->counted++].tag = decoded.tag;
		if (!feed->late_acks)
			feed_ack(feed);
	}
	switch (fed->status)
	{
		case DECODE_HELLO:
			feed->session.authenticated = feed->welcome == WELCOME_OK;
			if (feed->adapter->welcome != NULL)
				feed->adapter->welcome(&feed->session, feed->welcome, &feed->out);
			break;
		case DECODE_END:
		case DECODE_BAD:
			if (!feed->stubborn)
				feed->refused = decoded.reason ? decoded.reason : "";
			break;
		case DECODE_OK:
		case DECODE_IGNORED:
		case DECODE_REPLY:
			break;
	}
}

/* A length that does not fit is a fault of the adapter: it ends the program. */
static inline void
feed_check(const Frame *frame, size_t len)
{
	if (frame->length >= 1 && frame->length <= len)
		return;
	fprintf(stderr, "frame of %zu bytes in %zu\n", frame->length, len);
	abort();
}

/* Takes whole frames; returns the bytes that are done with. */
static inline size_t
feed_take(Feed *feed, const char *data, size_t len)
{
	size_t		at = 0;

	while (at < len && feed->refused == NULL)
	{
		Frame		frame = {data + at, 0, NULL};
		FrameStatus status = feed->adapter->frame(&feed->session, data + at, len - at, &frame);

		if (status == FRAME_MORE)
			break;
		feed->session.searched = 0;
		if (status == FRAME_BAD)
		{
			feed->refused = frame.reason ? frame.reason : "";
			break;
		}
		feed_check(&frame, len - at);
		at += frame.length;
		feed_frame(feed, &frame, status == FRAME_SKIP);
	}
	return at;
}

static inline void
feed_bytes(Feed *feed, const char *data, size_t len, size_t step)
{
	size_t		at = 0;			/* begin of what is not yet taken */
	size_t		have = 0;		/* end of what has come */

	while (have < len && feed->refused == NULL)
	{
		char	   *piece;

		have = step == 0 || step > len - have ? len : have + step;
		piece = malloc(have - at);	/* that large and no larger */
		if (piece == NULL)
			abort();
		memcpy(piece, data + at, have - at);
		at += feed_take(feed, piece, have - at);
		free(piece);
	}
	feed->unfinished = len - at;
	feed_ack(feed);
}

/* NULL when there is none of that name; the last of a name counts. */
static inline const FedSignal *
feed_signal(const FedRecord *record, const char *name)
{
	for (size_t i = record->nsignals; i > 0; i--)
		if (strcmp(record->signals[i - 1].name, name) == 0)
			return &record->signals[i - 1];
	return NULL;
}

/* The answers as hexadecimal digits; lives until the next call. */
static inline const char *
feed_out_hex(const Feed *feed)
{
	static char text[8192];
	size_t		n = buf_len(&feed->out);

	text[0] = '\0';
	for (size_t i = 0; i < n && i < sizeof(text) / 2 - 1; i++)
		snprintf(text + 2 * i, 3, "%02x", (unsigned char) buf_data(&feed->out)[i]);
	return text;
}

static inline const char *
feed_out_text(const Feed *feed)
{
	static char text[8192];

	snprintf(text, sizeof(text), "%.*s", (int) buf_len(&feed->out),
			 buf_len(&feed->out) ? buf_data(&feed->out) : "");
	return text;
}

static inline void
feed_end(Feed *feed)
{
	for (size_t i = 0; i < feed->nrecords; i++)
	{
		FedRecord  *record = &feed->records[i];

		free(record->device);
		free(record->defect);
		for (size_t k = 0; k < record->nsignals; k++)
			free(record->signals[k].text);
		free(record->signals);
	}
	for (size_t i = 0; i < feed->nframes; i++)
		free(feed->frames[i].data);
	free(feed->records);
	free(feed->frames);
	free(feed->ackframes);
	free(feed->rejections);
	free(feed->session.state);
	buf_release(&feed->out);
	memset(feed, 0, sizeof(*feed));
}

/* Bytes of hexadecimal digits, at most size of them; returns how many. */
static inline size_t
feed_from_hex(const char *hex, char *out, size_t size)
{
	size_t		n = 0;
	unsigned	byte;

	for (; n < size && hex[0] != '\0' && hex[1] != '\0' && sscanf(hex, "%2x", &byte) == 1; hex += 2)
		out[n++] = (char) byte;
	return n;
}

#endif							/* TEST_FEED_H */
