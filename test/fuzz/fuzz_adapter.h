/*
 * fuzz_adapter.h
 *	  The body of a fuzzer for a stream adapter; the whole of fuzz_acme.c is
 *
 *		#define FUZZ_ADAPTER adapter_acme
 *		#define FUZZ_MAPPING acme_mapping()		// if it reads documents
 *		#include "fuzz_adapter.h"
 *
 * FUZZ_EXTRA may name a function that makes more of the input, for fuzz_run(): one
 * that mends a checksum, say.
 *
 * Whatever bytes come, frame() must stay within them and advance, decode() must
 * emit what the extension takes, and ack() must bear every outcome.  Each input
 * goes through as one piece and as two, before a login and after one.
 */
#ifndef FUZZ_ADAPTER_H
#define FUZZ_ADAPTER_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter.h"
#include "time_parse.h"

#define FUZZ_FRAMES 4096		/* undecided ones, at most */

static Record fuzz_record;
static AckFrame fuzz_frames[FUZZ_FRAMES];
static AckRejection fuzz_rejections[FUZZ_FRAMES];
static uint64_t fuzz_counted;
static uint64_t fuzz_acked;
static size_t fuzz_nrejections;

static void
fuzz_fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", FUZZ_ADAPTER.name, what);
	abort();
}

static void
fuzz_text(Str text, size_t max, const char *what)
{
	if (text.len > max || (text.len > 0 && !buf_valid_utf8(text.data, text.len)))
		fuzz_fail(what);
}

/* What the extension would refuse as a row must not get that far. */
static void
fuzz_emit(void *arg, const Record *r)
{
	(void) arg;
	fuzz_text(r->device, RECORD_DEVICE_MAX, "device");
	fuzz_text(r->defect, RECORD_DEFECT_MAX, "defect");
	if (r->nsignals > RECORD_MAX_SIGNALS)
		fuzz_fail("number of signals");
	if (r->has_event_time && (r->event_time_us < TIME_MIN_US || r->event_time_us >= TIME_END_US))
		fuzz_fail("range of the event time");
#ifndef FUZZ_MAPPING
	/* In a document it is the sender's fault, for the server to find. */
	if (isnan(r->latitude) != isnan(r->longitude))
		fuzz_fail("half a location");
#endif
	if ((r->defect.len > 0 || r->device.len == 0 || !r->has_event_time) && r->raw.len == 0)
		fuzz_fail("nothing to quarantine");
	for (uint32_t i = 0; i < r->nsignals; i++)
	{
		const RecordSignal *s = &r->signals[i];

		if (s->name.len == 0 || s->name.len > RECORD_NAME_MAX || (unsigned char) (*s->name.data - '0') <= 9)
			fuzz_fail("length of a name");
		for (uint32_t k = 0; k < s->name.len; k++)
			if (s->name.data[k] == '\0' ||
				strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", s->name.data[k]) == NULL)
				fuzz_fail("letters of a name");
		if (s->kind == RECORD_NUMBER ? !isfinite(s->number) : s->kind != RECORD_TEXT && s->kind != RECORD_BOOLEAN)
			fuzz_fail("a value");
		if (s->kind == RECORD_TEXT)
			fuzz_text(s->text, RECORD_TEXT_MAX, "a text");
	}
	fuzz_frames[fuzz_counted - fuzz_acked].records++;
	if (r->defect.len > 0)
	{
		AckRejection *rejection = &fuzz_rejections[fuzz_nrejections];

		if (fuzz_nrejections < FUZZ_FRAMES - 1)
			fuzz_nrejections++;
		*rejection = (AckRejection) {.seq = fuzz_counted + 1, .code = "malformed"};
	}
}

/* Whatever a device says, all of it is there. */
static void
fuzz_answer(void *arg, const Answer *answer)
{
	volatile unsigned sum = 0;

	(void) arg;
	if (answer->command_id < 0 || answer->device.len > RECORD_DEVICE_MAX)
		fuzz_fail("an answer");
	for (uint32_t i = 0; i < answer->text.len; i++)
		sum += (unsigned char) answer->text.data[i];
	(void) sum;
}

/* After each frame, so that the next may answer it. */
static void
fuzz_command(Session *session, Buf *out)
{
	Command		command = {
		.id = INT64_C(0x1234500000000),.device = {session->device, (uint32_t) strlen(session->device)},
		.name = RECORD_STR("getinfo"),.arguments = RECORD_STR("{}"),.expires = RECORD_STR("2025-01-15T14:37:18.000Z")
	};
	const char *why = NULL;

	if (!session->takes_commands)
		return;
	if (FUZZ_ADAPTER.command == NULL)
		fuzz_fail("takes commands, has none");
	if (FUZZ_ADAPTER.command(session, &command, &why, out) == COMMAND_UNSUPPORTED && why == NULL)
		fuzz_fail("unsupported without a reason");
}

static void
fuzz_ack(Session *session, Buf *out)
{
	Ack			ack = {fuzz_acked + 1, fuzz_counted, fuzz_frames, fuzz_nrejections, fuzz_rejections};

	if (fuzz_counted > fuzz_acked && FUZZ_ADAPTER.ack != NULL)
		FUZZ_ADAPTER.ack(session, &ack, out);
	fuzz_acked = fuzz_counted;
	fuzz_nrejections = 0;
	buf_release(out);
}

/* Takes whole frames; false when the connection would be closed. */
static bool
fuzz_take(Session *session, const char *data, size_t len, size_t *taken, Buf *out)
{
	static Decoded decoded;
	size_t		at = 0;

	for (*taken = 0; at < len; *taken = at)
	{
		Frame		frame = {data + at, 0, NULL};
		FrameStatus status = FUZZ_ADAPTER.frame(session, data + at, len - at, &frame);
		DecodeStatus outcome;

		if (status == FRAME_MORE)
			return true;
		session->searched = 0;
		if (status == FRAME_BAD)
		{
			if (frame.reason == NULL)
				fuzz_fail("refused without a reason");
			return false;
		}
		if (frame.length == 0 || frame.length > len - at)
			fuzz_fail("length of a frame");
		at += frame.length;
		if (status == FRAME_SKIP)
			continue;
		if (fuzz_counted - fuzz_acked == FUZZ_FRAMES)
			fuzz_ack(session, out);
		memset(&fuzz_frames[fuzz_counted - fuzz_acked], 0, sizeof(AckFrame));
		decoded.emit = fuzz_emit;
		decoded.answer = fuzz_answer;
		decoded.record = &fuzz_record;
		decoded.reply = out;
		decoded.tag = 0;
		decoded.reason = NULL;
		outcome = FUZZ_ADAPTER.decode(session, &frame, &decoded);
		if (outcome == DECODE_OK || fuzz_frames[fuzz_counted - fuzz_acked].records > 0)
			fuzz_frames[fuzz_counted++ - fuzz_acked].tag = decoded.tag;
		switch (outcome)
		{
			case DECODE_HELLO:
				if (FUZZ_ADAPTER.welcome != NULL)
					FUZZ_ADAPTER.welcome(session, WELCOME_OK, out);
				break;
			case DECODE_END:
				return false;
			case DECODE_BAD:
				if (decoded.reason == NULL)
					fuzz_fail("closed without a reason");
				return false;
			default:
				break;
		}
		if (strnlen(session->device, sizeof(session->device)) > DEVICE_MAX)
			fuzz_fail("a device without end");
		fuzz_command(session, out);
	}
	return true;
}

static void
fuzz_session(const char *data, size_t size, size_t first, const char *device, bool datagram)
{
	Session		session = {.authenticated = true, .datagram = datagram, .now_us = INT64_C(1800000549000000)};
	Buf			out = {0};
	size_t		taken;
	char	   *rest;

	session.topic = "telemetry/{vehicle}";
	session.command_topic = "command/{vehicle}";
	session.frame_max = 65536;
#ifdef FUZZ_MAPPING
	session.mapping = FUZZ_MAPPING;
#endif
	strcpy(session.device, device);
	strcpy(session.certificate, device);
	session.token_optional = device[0] != '\0';
	if (FUZZ_ADAPTER.session_size > 0)
		session.state = calloc(1, FUZZ_ADAPTER.session_size);
	fuzz_counted = fuzz_acked = 0;
	fuzz_nrejections = 0;

	/* A copy of its own ends where the piece ends. */
	rest = malloc(first ? first : 1);
	memcpy(rest, data, first);
	if (fuzz_take(&session, rest, first, &taken, &out) && first < size)
	{
		free(rest);
		rest = malloc(size - taken);
		memcpy(rest, data + taken, size - taken);
		(void) !fuzz_take(&session, rest, size - taken, &taken, &out);
	}
	free(rest);
	fuzz_ack(&session, &out);
	if (FUZZ_ADAPTER.farewell != NULL)
		FUZZ_ADAPTER.farewell(&session, "idle", &out);
	if (FUZZ_ADAPTER.over != NULL)
	{
		Decoded		decoded = {.emit = fuzz_emit, .record = &fuzz_record};

		memset(&fuzz_frames[0], 0, sizeof(AckFrame));
		FUZZ_ADAPTER.over(&session, "idle", &decoded);
	}
	buf_release(&out);
	free(session.state);
}

/* The first bytes in a piece of their own. */
static void
fuzz_run(const char *data, size_t size, size_t first, const char *device)
{
	fuzz_session(data, size, first, device, false);
}

int			LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	const char *bytes = (const char *) data;

	if (size == 0)
		return 0;
	fuzz_run(bytes, size, size, "");
	fuzz_run(bytes, size, size, "123456789012345");
	fuzz_run(bytes, size, size / 2, "123456789012345");
	if (FUZZ_ADAPTER.datagrams)
		fuzz_session(bytes, size, size, "", true);
#ifdef FUZZ_EXTRA
	FUZZ_EXTRA(bytes, size);
#endif
	return 0;
}

#endif							/* FUZZ_ADAPTER_H */
