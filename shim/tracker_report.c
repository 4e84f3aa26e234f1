/*
 * tracker_report.c
 *	  Identities, reports and noise of trackers that write text.
 */
#include "tracker_report.h"

#include <string.h>

#include "tracker_text.h"

TrackerClaim
tracker_claim(Session *session, Str id)
{
	if (id.len == 0 || id.len > TRACKER_ID_MAX)
		return TRACKER_CLAIM_NONE;
	for (uint32_t i = 0; i < id.len; i++)
		if (id.data[i] <= ' ' || id.data[i] > '~')
			return TRACKER_CLAIM_NONE;
	if (session->device[0] != '\0')
		return tracker_equals(id, session->device) ? TRACKER_CLAIM_OK : TRACKER_CLAIM_OTHER;
	memcpy(session->device, id.data, id.len);
	session->device[id.len] = '\0';
	return TRACKER_CLAIM_OK;
}

Record *
tracker_report(const Session *session, Decoded *out)
{
	Record	   *record = out->record;

	record_reset(record);
	record->device = (Str) {session->device, (uint32_t) strlen(session->device)};
	record->received_at_us = session->now_us;
	record->has_event_time = true;
	record->event_time_us = session->now_us;
	return record;
}

void
tracker_defect(Record *record, const Frame *frame, const char *code, const char *field)
{
	record_set_defect(record, code, (Str) {field, (uint32_t) strlen(field)});
	record->raw = (Str) {frame->data, (uint32_t) frame->length};
}

void
tracker_refuse(const Session *session, const Frame *frame, const char *field, Decoded *out)
{
	Record	   *record = tracker_report(session, out);

	record->has_event_time = false;
	tracker_defect(record, frame, "malformed", field);
	out->emit(out->emit_arg, record);
}

FrameStatus
tracker_noise(const Session *session, size_t n, size_t len, Frame *out)
{
	/* Of what comes in pieces one report shall be made. */
	if (n == len && n < TRACKER_NOISE_MAX && !session->datagram)
		return FRAME_MORE;
	out->length = n < TRACKER_NOISE_MAX ? n : TRACKER_NOISE_MAX;
	return FRAME_READY;
}

DecodeStatus
tracker_refuse_noise(const Session *session, uint32_t *noise, const Frame *frame, const char *reason, Decoded *out)
{
	tracker_refuse(session, frame, "frame", out);
	out->reason = reason;
	*noise += (uint32_t) frame->length;
	return session->datagram || *noise >= TRACKER_NOISE_MAX ? DECODE_BAD : DECODE_OK;
}

static inline Str
str(const char *text)
{
	return (Str) {text, (uint32_t) strlen(text)};
}

void
tracker_put_number(Record *record, const char *name, double value)
{
	(void) !record_add_number(record, str(name), value);
}

void
tracker_put_boolean(Record *record, const char *name, bool value)
{
	(void) !record_add_boolean(record, str(name), value);
}

static bool
is_text(Str value)
{
	for (uint32_t i = 0; i < value.len; i++)
	{
		unsigned char c = (unsigned char) value.data[i];

		if ((c < ' ' && c != '\r' && c != '\n' && c != '\t') || c == 0x7F)
			return false;
	}
	return buf_valid_utf8(value.data, value.len);
}

void
tracker_put_text(Record *record, const char *name, Str value)
{
	char	   *digits;

	if (value.len == 0)
		return;
	if (value.len > RECORD_TEXT_MAX || !is_text(value))
	{
		if (value.len > RECORD_TEXT_MAX / 2)
			value.len = RECORD_TEXT_MAX / 2;
		digits = record_scratch(record, 2 * (size_t) value.len);
		if (digits == NULL)
			return;
		tracker_to_hex(value.data, value.len, digits);
		value = (Str) {digits, 2 * value.len};
	}
	(void) !record_add_text(record, str(name), value);
}

bool
tracker_put_decimal(Record *record, const char *name, Str field)
{
	double		value;

	return tracker_number(field, &value) && record_add_number(record, str(name), value);
}

void
tracker_put_heading(Record *record, Str field)
{
	double		degrees;

	if (tracker_number(field, &degrees) && degrees >= 0 && degrees <= 360)
		record->heading_deg = degrees < 360 ? degrees : 0;
}
