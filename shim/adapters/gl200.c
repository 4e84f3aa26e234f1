/*
 * gl200.c
 *	  Queclink @Track, text: messages, identity, answers;
 *	  docs/protocols/gl200.md has the protocol, gl200_decode.c the reports.
 */
#include "gl200.h"

#include <ctype.h>
#include <string.h>

#include "tracker_text.h"

#define FIELDS_MIN 5			/* header, version, identity, time, count */
#define IDENTITY_MAX 32
#define TAG_ACK (1u << 16)		/* Decoded.tag: and the count below it */
#define TAG_LOWER (1u << 17)	/* its digits were written small */

static const struct
{
	Str			text;
	Gl200Kind	kind;
}			headers[] = {
	{RECORD_STR("+RESP:GT"), GL200_LIVE},
	{RECORD_STR("+BUFF:GT"), GL200_STORED},
	{RECORD_STR("+ACK:GT"), GL200_ANSWER}
};

#define HEADERS (sizeof(headers) / sizeof(headers[0]))

/* Where the next message begins inside of one that has no end; len: nowhere. */
static size_t
next_header(const char *data, size_t len)
{
	const char *at = data;

	while (len > 1 && (at = memchr(at + 1, '+', len - 1 - (size_t) (at - data))) != NULL)
	{
		size_t		left = len - (size_t) (at - data);

		for (size_t i = 0; i < HEADERS; i++)
			if (left >= headers[i].text.len && memcmp(at, headers[i].text.data, headers[i].text.len) == 0)
				return (size_t) (at - data);
	}
	return len;
}

/* Of these the data may hold a "$" of its own. */
static bool
is_transparent(const char *data, size_t len)
{
	static const Str reports[] = {RECORD_STR("DAT,"), RECORD_STR("DTT,")};
	const char *colon = len > 12 ? memchr(data, ':', 6) : NULL;

	for (size_t i = 0; i < 2 && colon != NULL; i++)
		if (memcmp(colon + 3, reports[i].data, reports[i].len) == 0)
			return true;
	return false;
}

/* Is at[0] the "$" behind a count? */
static bool
is_behind_count(const char *data, const char *at)
{
	uint64_t	count;

	return at - data > 5 && at[-5] == ',' && tracker_hex((Str) {at - 4, 4}, &count);
}

/* The "$" that ends a message, or a zero byte, as few models write it. */
static const char *
find_end(const char *data, size_t len)
{
	const char *end = memchr(data, '$', len);
	const char *zero = memchr(data, '\0', end != NULL ? (size_t) (end - data) : len);

	if (zero != NULL)
		return zero;
	if (end == NULL || !is_transparent(data, len))
		return end;
	for (const char *next = end; next != NULL; next = memchr(next + 1, '$', (size_t) (data + len - next - 1)))
		if (is_behind_count(data, next))
			return next;
	return next_header(data, len) < len ? end : NULL;
}

static bool
is_blank(char c)
{
	return c == '\r' || c == '\n' || c == ' ' || c == '\0';
}

static FrameStatus
gl200_frame(Session *session, const char *data, size_t len, Frame *out)
{
	const char *end;

	if (is_blank(data[0]))
	{
		for (out->length = 1; out->length < len && is_blank(data[out->length]);)
			out->length++;
		return FRAME_SKIP;
	}
	if (data[0] != '+')
	{
		if (session->device[0] == '\0' && !session->datagram)
		{
			out->reason = "not gl200";
			return FRAME_BAD;
		}
		end = memchr(data, '+', len);
		out->length = end != NULL ? (size_t) (end - data) : len;
		return FRAME_READY;		/* for the quarantine */
	}
	end = find_end(data, len);
	if (end == NULL && !session->datagram)
		return FRAME_MORE;
	out->length = next_header(data, end != NULL ? (size_t) (end - data) + 1 : len);
	return FRAME_READY;
}

static bool
is_identity(Str id)
{
	if (id.len == 0 || id.len > IDENTITY_MAX)
		return false;
	for (uint32_t i = 0; i < id.len; i++)
		if (!isalnum((unsigned char) id.data[i]) || (unsigned char) id.data[i] > 0x7f)
			return false;
	return true;
}

static bool
is_imei(Str field)
{
	int			part;

	return field.len == 15 && tracker_digits(field.data, 8, &part) && tracker_digits(field.data + 8, 7, &part);
}

/*
 * The oldest models have no version before their identity; some tell it behind
 * the count instead, others two fields before it.
 */
static void
make_room_for_version(Gl200Message *m)
{
	if (!is_imei(m->field[1]) || is_imei(m->field[2]) || m->n >= GL200_FIELDS_MAX)
		return;
	memmove(m->field + 2, m->field + 1, (size_t) (m->n - 1) * sizeof(m->field[0]));
	m->field[1] = (Str) {m->field[0].data, 0};
	m->old = true;
	m->n++;
	m->oldest = m->field[m->n - 1].len == 10 && m->field[m->n - 2].len == 4;
	if (m->oldest)
		m->field[1] = m->field[--m->n];
}

static bool
parse(const Frame *frame, Gl200Message *m)
{
	Str			rest = {frame->data, (uint32_t) frame->length};
	size_t		at = 0;

	if (rest.len == 0 || (rest.data[rest.len - 1] != '$' && rest.data[rest.len - 1] != '\0'))
		return false;
	rest.len--;
	while (at < HEADERS && (rest.len < headers[at].text.len ||
							memcmp(rest.data, headers[at].text.data, headers[at].text.len) != 0))
		at++;
	if (at == HEADERS)
		return false;
	m->kind = headers[at].kind;
	m->old = m->oldest = false;
	m->frame = frame;
	for (m->n = 0; m->n < GL200_FIELDS_MAX && tracker_field(&rest, ',', &m->field[m->n]);)
		m->n++;
	if (rest.data != NULL || m->n < FIELDS_MIN)
		return false;
	make_room_for_version(m);
	if (!is_identity(m->field[2]))
		return false;
	m->report = m->field[0];
	m->report.data += headers[at].text.len;
	m->report.len -= headers[at].text.len;
	if (m->report.len != 3)
		return false;
	for (uint32_t i = 0; i < 3; i++)
		if (!isalnum((unsigned char) m->report.data[i]) || (unsigned char) m->report.data[i] > 0x7f)
			return false;
	return true;
}

static DecodeStatus
refuse(Decoded *out, const char *reason)
{
	out->reason = reason;
	return DECODE_BAD;
}

/* Answered at once: it promises nothing stored. */
static DecodeStatus
heartbeat(const Gl200Message *m, Decoded *out)
{
	Str			version = m->field[1];
	Str			count = m->field[m->n - 1];

	if (!buf_printf(out->reply, "+SACK:GTHBD,%.*s,%.*s$", (int) version.len, version.data,
					(int) count.len, count.data))
		return refuse(out, "out of memory");
	return DECODE_REPLY;
}

static DecodeStatus
gl200_decode(Session *session, const Frame *frame, Decoded *out)
{
	Gl200Message m;
	uint64_t	count;

	out->tag = 0;
	if (!parse(frame, &m))
	{
		gl200_begin(session, out);
		record_set_defect(out->record, "malformed", (Str) {NULL, 0});
		out->record->raw = (Str) {frame->data, (uint32_t) frame->length};
		out->emit(out->emit_arg, out->record);
		return session->device[0] != '\0' ? DECODE_OK : refuse(out, "malformed before an identity");
	}
	if (session->device[0] != '\0' && !tracker_equals(m.field[2], session->device))
		return refuse(out, ADAPTER_OTHER_DEVICE);
	memcpy(session->device, m.field[2].data, m.field[2].len);
	session->device[m.field[2].len] = '\0';
	if (m.kind == GL200_ANSWER && tracker_equals(m.report, "HBD"))
		return heartbeat(&m, out);
	gl200_report(session, &m, out);
	if (m.kind != GL200_ANSWER && m.field[m.n - 1].len == 4 && tracker_hex(m.field[m.n - 1], &count))
	{
		out->tag = TAG_ACK | (uint32_t) count;
		for (int i = 0; i < 4; i++)
			if (m.field[m.n - 1].data[i] >= 'a')
				out->tag |= TAG_LOWER;
	}
	return DECODE_OK;
}

/*
 * A device that was not told to wait for these takes no notice of them.  What
 * is in quarantine for what it says is answered too; malformed messages have
 * no tag.
 */
static void
gl200_ack(Session *session, const Ack *ack, Buf *out)
{
	if (session->no_sack)
		return;
	for (uint64_t seq = ack->from; seq <= ack->upto; seq++)
	{
		uint32_t	tag = ack->frames[seq - ack->from].tag;

		if ((tag & TAG_ACK) != 0 &&
			!buf_printf(out, (tag & TAG_LOWER) != 0 ? "+SACK:%04x$" : "+SACK:%04X$", (unsigned) (tag & 0xffff)))
			return;
	}
}

const Adapter adapter_gl200 = {
	.name = "gl200",
	.help = "Queclink @Track, text",
	.claims = true,
	.datagrams = true,
	.frame = gl200_frame,
	.decode = gl200_decode,
	.ack = gl200_ack
};
