/*
 * galileosky_decode.c
 *	  Packets of Galileosky terminals to records.
 *
 * Nothing but the order of its tags divides a packet: they ascend, so a tag
 * that is not above the one before it begins the next record.
 */
#include <math.h>
#include <stdio.h>

#include "adapters/galileosky.h"
#include "plausible.h"
#include "tracker_report.h"

#define RECORD_MIN 15			/* bytes of time and place, without which nothing can be stored */
#define RECORDS_MAX (0x7fff / RECORD_MIN)
#define COURSE_MAX 3600			/* tenths of a degree */
#define SATELLITES_MASK 0x0f
#define ERROR_UNIT_M 10

enum
{
	CORRECT_SATELLITES = 0, CORRECT_CELLS = 2	/* all others: not correct */
};

/* A record under way. */
typedef struct Report
{
	Record	   *r;
	const unsigned char *begin;
	bool		begun;
	bool		speaks;			/* has more than what the terminal is */
	bool		answers;		/* to a command */
	bool		has_place;
	uint8_t		correct;
	uint8_t		satellites;
	double		latitude;
	double		longitude;
	int			hdop;			/* tenths, or tens of metres; -1: not given */
	uint8_t		last;			/* tag */
} Report;

static void
begin(Report *report, const Session *session, Decoded *out, const unsigned char *p)
{
	*report = (Report) {.r = tracker_report(session, out), .begin = p, .begun = true, .hdop = -1};
	report->r->has_event_time = false;
}

static void
put_motion(Record *r, const unsigned char *p)
{
	uint16_t	course = galileosky_u16(p + 2);

	r->speed_kmh = galileosky_u16(p) / 10.0;
	if (course <= COURSE_MAX)
		r->heading_deg = course % COURSE_MAX / 10.0;
}

static void
take(Report *report, const GalileoskyTag *tag)
{
	Record	   *r = report->r;
	const unsigned char *p = tag->value;

	report->last = tag->id;
	report->speaks = report->speaks || tag->id > GALILEOSKY_TAG_TERMINAL;
	switch (tag->id)
	{
		case GALILEOSKY_TAG_TIME:
			/* 1970 is a clock that nobody has set. */
			r->has_event_time = galileosky_u32(p) != 0;
			r->event_time_us = (int64_t) galileosky_u32(p) * 1000000;
			break;
		case GALILEOSKY_TAG_PLACE:
			report->has_place = true;
			report->satellites = p[0] & SATELLITES_MASK;
			report->correct = p[0] >> 4;
			report->latitude = (int32_t) galileosky_u32(p + 1) / 1e6;
			report->longitude = (int32_t) galileosky_u32(p + 5) / 1e6;
			break;
		case GALILEOSKY_TAG_MOTION:
			put_motion(r, p);
			break;
		case GALILEOSKY_TAG_HEIGHT:
			r->altitude_m = (int16_t) galileosky_u16(p);
			break;
		case GALILEOSKY_TAG_HDOP:
			report->hdop = p[0];
			break;
		default:
			report->answers = report->answers || tag->id == GALILEOSKY_TAG_ANSWER;
			if (!galileosky_put(r, tag))
				record_set_defect(r, "malformed", RECORD_STR("signals"));
	}
}

/*
 * By cells a place is known to so many metres; without that number it would
 * pass for a fix.  Height and motion are of the last fix then.
 */
static void
put_place(Report *report)
{
	Record	   *r = report->r;
	bool		fix = report->correct == CORRECT_SATELLITES && report->satellites > 0;
	bool		cells = report->correct == CORRECT_CELLS;

	if (report->has_place)
	{
		tracker_put_number(r, "satellites", report->satellites);
		tracker_put_boolean(r, "gps_valid", fix);
	}
	if (report->hdop >= 0 && cells && report->has_place)
		r->accuracy_m = report->hdop * ERROR_UNIT_M;
	else if (report->hdop >= 0)
		tracker_put_number(r, "hdop", report->hdop / 10.0);
	if (fix || (cells && report->hdop >= 0))
	{
		r->latitude = report->latitude;
		r->longitude = report->longitude;
	}
	if (report->has_place && !fix)
		r->altitude_m = r->speed_kmh = r->heading_deg = NAN;
}

/*
 * What is wrong is kept with the record's own bytes: with the whole packet for
 * each, a thousand of them would be a thousand packets.
 */
static void
finish(Report *report, const Session *session, const unsigned char *end, Decoded *out)
{
	Record	   *r = report->r;

	if (!report->begun || !report->speaks)
		return;
	if (report->has_place || report->hdop >= 0)
		put_place(report);
	/* An answer comes when it is given. */
	if (!r->has_event_time && report->answers)
	{
		r->has_event_time = true;
		r->event_time_us = session->now_us;
	}
	if (!r->has_event_time)
		record_set_defect(r, "missing_field", RECORD_STR("event_time"));
	if (r->defect.len > 0)
		r->raw = (Str) {(const char *) report->begin, (uint32_t) (end - report->begin)};
	plausible(r);
	out->emit(out->emit_arg, r);
}

/* The record in which the packet stops making sense, with what is known of it. */
static void
finish_broken(Report *report, const Session *session, const Frame *frame, const GalileoskyTag *tag,
			  GalileoskyTagStatus status, Decoded *out)
{
	char		field[16];

	snprintf(field, sizeof(field), "%s_%02x", status == GALILEOSKY_TAG_UNKNOWN ? "tag" : "length", tag->id);
	tracker_defect(report->r, frame, "malformed", field);
	if (report->has_place || report->hdop >= 0)
		put_place(report);
	if (!report->r->has_event_time)
		report->r->event_time_us = session->now_us;
	out->emit(out->emit_arg, report->r);
}

static bool
is_imei(const unsigned char *p)
{
	for (size_t i = 0; i < GALILEOSKY_IMEI; i++)
		if (p[i] < '0' || p[i] > '9')
			return false;
	return true;
}

typedef struct Look
{
	size_t		records;
	bool		speaks;			/* says more than what the terminal is, or says that wrongly */
} Look;

/* Whose packet it is, and what else has to be known before it is read. */
static TrackerClaim
look_at(Session *session, GalileoskyCursor c, Look *look)
{
	TrackerClaim claim = session->device[0] != '\0' ? TRACKER_CLAIM_OK : TRACKER_CLAIM_NONE;
	uint8_t		last = 0xff;

	*look = (Look) {0};
	while (c.left > 0)
	{
		GalileoskyTag tag;
		bool		known = galileosky_next(&c, &tag) == GALILEOSKY_TAG_OK;

		look->records += tag.id <= last;
		look->speaks = look->speaks || !known || tag.id > GALILEOSKY_TAG_TERMINAL;
		last = tag.id;
		if (!known)
			break;
		if (tag.id != GALILEOSKY_TAG_IMEI)
			continue;
		look->speaks = look->speaks || !is_imei(tag.value);
		claim = is_imei(tag.value) ? tracker_claim(session, (Str) {(const char *) tag.value, GALILEOSKY_IMEI}) :
			TRACKER_CLAIM_NONE;
		if (claim != TRACKER_CLAIM_OK)
			break;
	}
	return claim;
}

static DecodeStatus
refuse(const Session *session, const Frame *frame, const char *field, const char *reason, Decoded *out)
{
	tracker_refuse(session, frame, field, out);
	out->reason = reason;
	return DECODE_BAD;
}

/*
 * The sum is right, so these are the terminal's own bytes, and would be again
 * if they were sent again: what cannot be read is in quarantine when the packet
 * is confirmed.
 */
DecodeStatus
galileosky_records(Session *session, const Frame *frame, Decoded *out)
{
	GalileoskyCursor c = {(const unsigned char *) frame->data + GALILEOSKY_HEAD, frame->length - GALILEOSKY_HEAD - 2};
	Report		report = {0};
	GalileoskyTag tag;
	Look		look;

	switch (look_at(session, c, &look))
	{
		case TRACKER_CLAIM_OK:
			break;
		case TRACKER_CLAIM_NONE:
			/* Head packets may be set up without the IMEI; the records have it then. */
			if (!look.speaks)
				return DECODE_OK;
			return refuse(session, frame, "identity", "no identity", out);
		case TRACKER_CLAIM_OTHER:
			out->reason = ADAPTER_OTHER_DEVICE;
			return DECODE_BAD;
	}
	if (look.records > RECORDS_MAX)
		return refuse(session, frame, "records", "too many records", out);
	while (c.left > 0)
	{
		const unsigned char *p = c.p;
		GalileoskyTagStatus status = galileosky_next(&c, &tag);

		if (!report.begun || tag.id <= report.last)
		{
			finish(&report, session, p, out);
			begin(&report, session, out, p);
		}
		if (status != GALILEOSKY_TAG_OK)
		{
			finish_broken(&report, session, frame, &tag, status, out);
			return DECODE_OK;
		}
		take(&report, &tag);
	}
	finish(&report, session, c.p, out);
	return DECODE_OK;
}
