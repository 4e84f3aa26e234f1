/*
 * tesla_message.h
 *	  Makes messages as a car sends them, in a layout of our own: the vtables
 *	  behind the tables, the texts last.
 */
#ifndef TEST_TESLA_MESSAGE_H
#define TEST_TESLA_MESSAGE_H

#include <stdint.h>
#include <string.h>

#include "feed.h"

static inline void
tesla_u32(char *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (char) (value >> 8 * i);
}

static inline size_t
tesla_text(char *out, size_t at, size_t field, const char *text, size_t len)
{
	tesla_u32(out + field, (uint32_t) (at - field));
	tesla_u32(out + at, (uint32_t) len);
	if (len > 0)
		memcpy(out + at + 4, text, len);
	return at + 4 + len;
}

/* Returns its length; payload is in hexadecimal digits. */
static inline size_t
tesla_message(char *out, const char *txid, const char *topic, unsigned type, uint32_t created_at, const char *payload)
{
	char		bytes[4096];
	size_t		n = feed_from_hex(payload, bytes, sizeof(bytes));
	/* root, table at 8 with 20 bytes, stream at 28 with 12, vtables at 40 and 52 */
	size_t		at = 60;

	memset(out, 0, 64);
	tesla_u32(out, 8);
	tesla_u32(out + 8, (uint32_t) (8 - 40));
	out[24] = (char) type;
	tesla_u32(out + 20, 28 - 20);
	tesla_u32(out + 28, (uint32_t) (28 - 52));
	tesla_u32(out + 32, created_at);
	memcpy(out + 40, "\14\0\24\0\4\0\10\0\20\0\14\0", 12);	/* txid 4, topic 8, type 16, message 12 */
	memcpy(out + 52, created_at ? "\12\0\14\0\4\0\0\0" : "\12\0\14\0\0\0\0\0", 8);
	out[60] = 8;				/* the payload's slot */
	out[61] = 0;
	at = 62;
	at = tesla_text(out, at, 12, txid, strlen(txid));
	at = tesla_text(out, at, 16, topic, strlen(topic));
	return tesla_text(out, at, 36, bytes, n);
}

#endif							/* TEST_TESLA_MESSAGE_H */
