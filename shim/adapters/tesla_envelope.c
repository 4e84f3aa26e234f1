/*
 * tesla_envelope.c
 *	  The FlatBuffer around a message, read with every offset checked, and the
 *	  answers.
 *
 * A table begins with the distance back to its vtable; that tells, per slot,
 * how far behind the table's begin a field stands, 0 for none.  Texts are
 * vectors elsewhere: the field has the distance to a length.
 */
#include <string.h>

#include "tesla.h"

typedef struct Table
{
	const unsigned char *data;
	size_t		len;
	size_t		at;				/* begin of the table */
	size_t		size;			/* bytes in it */
	size_t		vtable;
	size_t		vtable_size;
} Table;

static uint16_t
u16(const unsigned char *p)
{
	return (uint16_t) (p[0] | p[1] << 8);
}

static uint32_t
u32(const unsigned char *p)
{
	return u16(p) | (uint32_t) u16(p + 2) << 16;
}

/* The position to which the distance at that position leads, with 4 bytes there. */
static bool
follow(const unsigned char *data, size_t len, size_t at, size_t *target)
{
	uint32_t	distance = u32(data + at);

	if (distance < 4 || distance > len - at || len - at - distance < 4)
		return false;
	*target = at + distance;
	return true;
}

/* at has 4 bytes behind it. */
static bool
table_open(Table *table, const unsigned char *data, size_t len, size_t at)
{
	int64_t		vtable = (int64_t) at - (int32_t) u32(data + at);

	if (vtable < 0 || (uint64_t) vtable > len - 4)
		return false;
	*table = (Table) {data, len, at, u16(data + vtable + 2), (size_t) vtable, u16(data + vtable)};
	return table->vtable_size >= 4 && table->vtable_size <= len - table->vtable &&
		table->size >= 4 && table->size <= len - at;
}

/* False when it lies outside of the table; *at is 0 for a field that is absent. */
static bool
table_field(const Table *table, size_t slot, size_t size, size_t *at)
{
	size_t		entry = 4 + 2 * slot;
	size_t		offset;

	*at = 0;
	if (table->vtable_size < entry + 2)
		return true;
	offset = u16(table->data + table->vtable + entry);
	if (offset == 0)
		return true;
	if (offset < 4 || offset > table->size || table->size - offset < size)
		return false;
	*at = table->at + offset;
	return true;
}

static bool
table_bytes(const Table *table, size_t slot, Str *out)
{
	size_t		at;
	size_t		vector;
	uint32_t	count;

	*out = (Str) {NULL, 0};
	if (!table_field(table, slot, 4, &at))
		return false;
	if (at == 0)
		return true;
	if (!follow(table->data, table->len, at, &vector))
		return false;
	count = u32(table->data + vector);
	if (count > table->len - vector - 4)
		return false;
	*out = (Str) {(const char *) table->data + vector + 4, count};
	return true;
}

const char *
tesla_envelope_read(const char *bytes, size_t len, TeslaEnvelope *out)
{
	const unsigned char *data = (const unsigned char *) bytes;
	Table		table;
	Table		stream;
	size_t		at;

	memset(out, 0, sizeof(*out));
	if (len < 8 || !follow(data, len, 0, &at) || !table_open(&table, data, len, at))
		return "envelope";
	if (!table_bytes(&table, 0, &out->txid))
		return "txid";
	if (!table_bytes(&table, 1, &out->topic))
		return "topic";
	if (!table_bytes(&table, 4, &out->message_id))
		return "message_id";
	if (!table_field(&table, 2, 1, &at))
		return "message_type";
	out->type = at > 0 ? data[at] : 0;
	/* Elsewhere the union may be anything: an acknowledgement's is no table. */
	if (out->type != TESLA_STREAM)
		return NULL;
	if (!table_field(&table, 3, 4, &at) || at == 0 || !follow(data, len, at, &at) ||
		!table_open(&stream, data, len, at))
		return "message";
	if (!table_field(&stream, 0, 4, &at))
		return "created_at";
	out->created_at = at > 0 ? u32(data + at) : 0;
	if (!table_bytes(&stream, 1, &out->sender))
		return "sender_id";
	if (!table_bytes(&stream, 2, &out->payload))
		return "payload";
	out->has_message = true;
	return NULL;
}

/* --- answers: everything has its place, only two texts vary in length --- */

static size_t
text_size(size_t len)
{
	return 4 + (len + 4) / 4 * 4;	/* length, text, at least one zero */
}

static char *
put_u32(char *p, size_t value)
{
	for (int i = 0; i < 4; i++)
		*p++ = (char) (value >> 8 * i);
	return p;
}

static char *
put_text(char *p, const char *text, size_t len)
{
	char	   *end = p + text_size(len);

	p = put_u32(p, len);
	if (len > 0)
		memcpy(p, text, len);
	memset(p + len, 0, (size_t) (end - p) - len);
	return end;
}

bool
tesla_envelope_answer(Buf *out, Str txid, Str topic, const char *refusal)
{
	static const unsigned char head[] = {
		20, 0, 0, 0,			/* to the table */
		0, 0,
		14, 0, 24, 0, 20, 0, 16, 0, 15, 0, 8, 0, 4, 0,	/* its vtable */
		14, 0, 0, 0				/* the table: back to the vtable */
	};
	static const unsigned char stream[] = {
		0, 0,
		14, 0, 20, 0, 0, 0, 16, 0, 12, 0, 8, 0, 4, 0,
		14, 0, 0, 0
	};
	size_t		refusal_len = refusal != NULL ? strlen(refusal) : 0;
	size_t		topic_at = 52;
	size_t		txid_at;
	size_t		message_at;
	size_t		size;
	char	   *begin;
	char	   *p;

	if (refusal != NULL)
		topic.len = 0;
	txid_at = topic_at + text_size(topic.len);
	message_at = txid_at + text_size(txid.len) + (refusal != NULL ? 16 : 0);
	size = message_at + (refusal != NULL ? 20 + 3 * text_size(0) + text_size(refusal_len) : text_size(0));
	begin = p = buf_reserve(out, size);
	if (p == NULL)
		return false;
	memcpy(p, head, sizeof(head));
	p = put_u32(p + sizeof(head), 20);	/* message_id */
	p = put_u32(p, message_at - 28);
	p = put_u32(p, (refusal != NULL ? (size_t) TESLA_STREAM : (size_t) TESLA_ACK) << 24);
	p = put_u32(p, topic_at - 36);
	p = put_u32(p, txid_at - 40);
	p = put_text(p, NULL, 0);
	p = put_text(p, topic.data, topic.len);
	p = put_text(p, txid.data, txid.len);
	if (refusal != NULL)
	{
		memcpy(p, stream, sizeof(stream));
		p = put_u32(p + sizeof(stream), 16);	/* device_id */
		p = put_u32(p, 20);		/* device_type */
		p = put_u32(p, 24);		/* payload */
		p = put_u32(p, 20 + text_size(refusal_len));	/* sender_id */
		p = put_text(p, NULL, 0);
		p = put_text(p, NULL, 0);
		p = put_text(p, refusal, refusal_len);
	}
	p = put_text(p, NULL, 0);
	buf_commit(out, (size_t) (p - begin));
	return true;
}
