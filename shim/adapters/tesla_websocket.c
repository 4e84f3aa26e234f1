/*
 * tesla_websocket.c
 *	  WebSocket over memory.
 *
 * websocket_frame() looks at the heads of frames alone and takes a message in
 * several frames as one, so that nothing has to be kept between calls.
 */
#include "tesla_websocket.h"

#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

#define HEAD_MAX 8192			/* bytes of a request's head */
#define PARTS_MAX 64			/* frames in a message */
#define CONTROL_MAX 125
#define KEY_LENGTH 24			/* 16 bytes in base64 */

static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/* --- the handshake --- */

FrameStatus
websocket_head(const char *data, size_t len, Frame *out)
{
	const char *end = memmem(data, len < HEAD_MAX ? len : HEAD_MAX, "\r\n\r\n", 4);

	if (end != NULL)
	{
		out->length = (size_t) (end - data) + 4;
		return FRAME_READY;
	}
	out->reason = len >= HEAD_MAX ? "request too long" : "no request";
	return len >= HEAD_MAX || memcmp(data, "GET ", len < 4 ? len : 4) != 0 ? FRAME_BAD : FRAME_MORE;
}

/* The value of the only header of that name. */
static bool
header(const char *head, size_t len, const char *name, Str *value)
{
	size_t		name_len = strlen(name);
	const char *end = head + len;
	int			found = 0;

	for (const char *line = head; line < end;)
	{
		const char *stop = memmem(line, (size_t) (end - line), "\r\n", 2);

		if (stop == NULL)
			break;
		if ((size_t) (stop - line) > name_len && line[name_len] == ':' && strncasecmp(line, name, name_len) == 0)
		{
			const char *from = line + name_len + 1;
			const char *to = stop;

			while (from < to && (*from == ' ' || *from == '\t'))
				from++;
			while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
				to--;
			*value = (Str) {from, (uint32_t) (to - from)};
			found++;
		}
		line = stop + 2;
	}
	return found == 1;
}

/* Is the word in a list with commas? */
static bool
lists(Str list, const char *word)
{
	size_t		n = strlen(word);
	const char *p = list.data;
	const char *end = p + list.len;

	while (p < end)
	{
		const char *comma = memchr(p, ',', (size_t) (end - p));
		const char *to = comma != NULL ? comma : end;
		const char *next = comma != NULL ? comma + 1 : end;

		while (p < to && (*p == ' ' || *p == '\t'))
			p++;
		while (to > p && (to[-1] == ' ' || to[-1] == '\t'))
			to--;
		if ((size_t) (to - p) == n && strncasecmp(p, word, n) == 0)
			return true;
		p = next;
	}
	return false;
}

bool
websocket_accept(const char *head, size_t len, Buf *out)
{
	static const char request[] = "GET / HTTP/1.1\r\n";
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned char key_bytes[KEY_LENGTH];
	unsigned char answer[64];
	char		text[KEY_LENGTH + sizeof(magic)];
	Str			key;
	Str			value;

	if (len < sizeof(request) - 1 || memcmp(head, request, sizeof(request) - 1) != 0 ||
		!header(head, len, "Upgrade", &value) || !lists(value, "websocket") ||
		!header(head, len, "Connection", &value) || !lists(value, "upgrade") ||
		!header(head, len, "Sec-WebSocket-Version", &value) || value.len != 2 || memcmp(value.data, "13", 2) != 0 ||
		!header(head, len, "Sec-WebSocket-Key", &key) || key.len != KEY_LENGTH ||
		EVP_DecodeBlock(key_bytes, (const unsigned char *) key.data, KEY_LENGTH) != 18)
		return false;
	memcpy(text, key.data, KEY_LENGTH);
	memcpy(text + KEY_LENGTH, magic, sizeof(magic));
	if (EVP_Digest(text, KEY_LENGTH + sizeof(magic) - 1, digest, NULL, EVP_sha1(), NULL) != 1)
		return false;
	EVP_EncodeBlock(answer, digest, 20);
	return buf_printf(out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
					  "Sec-WebSocket-Accept: %s\r\n\r\n", answer);
}

/* --- frames --- */

typedef struct Head
{
	bool		fin;
	int			kind;
	size_t		size;			/* of the head, mask included */
	uint64_t	length;			/* of what follows */
	unsigned char mask[4];
} Head;

/* NULL, or what is wrong; size is 0 when more bytes are needed. */
static const char *
read_head(const unsigned char *p, size_t len, Head *head)
{
	size_t		extra;

	head->size = 0;
	if (len < 2)
		return NULL;
	head->fin = (p[0] & 0x80) != 0;
	head->kind = p[0] & 0x0f;
	head->length = p[1] & 0x7f;
	if ((p[0] & 0x70) != 0)
		return "websocket extension";
	if (head->kind > WEBSOCKET_PONG || (head->kind > WEBSOCKET_BINARY && head->kind < WEBSOCKET_CLOSE))
		return "websocket opcode";
	if ((p[1] & 0x80) == 0)
		return "websocket frame without mask";
	if (head->kind >= WEBSOCKET_CLOSE && (!head->fin || head->length > CONTROL_MAX))
		return "websocket control frame";
	extra = head->length == 126 ? 2 : head->length == 127 ? 8 : 0;
	if (len < 2 + extra + 4)
		return NULL;
	if (extra > 0)
	{
		head->length = 0;
		for (size_t i = 0; i < extra; i++)
			head->length = head->length << 8 | p[2 + i];
		if (head->length < (extra == 2 ? 126 : 65536) || head->length > BUF_MAX)
			return "websocket length";
	}
	memcpy(head->mask, p + 2 + extra, 4);
	head->size = 2 + extra + 4;
	return NULL;
}

FrameStatus
websocket_frame(const char *data, size_t len, Frame *out)
{
	const unsigned char *p = (const unsigned char *) data;
	size_t		at = 0;
	bool		open = false;	/* a message has begun and not ended */

	for (int parts = 0; parts < PARTS_MAX; parts++)
	{
		Head		head;

		out->reason = read_head(p + at, len - at, &head);
		if (out->reason != NULL)
			return FRAME_BAD;
		if (head.size == 0)
			return FRAME_MORE;
		if (head.kind < WEBSOCKET_CLOSE && (head.kind == WEBSOCKET_CONTINUATION) != open)
		{
			out->reason = "websocket continuation";
			return FRAME_BAD;
		}
		if (head.length > len - at - head.size)
			return FRAME_MORE;
		at += head.size + (size_t) head.length;
		if (head.kind < WEBSOCKET_CLOSE)
			open = !head.fin;
		if (!open || head.kind == WEBSOCKET_CLOSE)
		{
			out->length = at;
			return FRAME_READY;
		}
	}
	out->reason = "websocket message in too many frames";
	return FRAME_BAD;
}

int
websocket_payload(const Frame *frame, Buf *out, void (*control) (void *arg, int kind, const char *data, size_t len), void *arg)
{
	const unsigned char *p = (const unsigned char *) frame->data;
	size_t		at = 0;
	int			kind = -1;

	while (at < frame->length)
	{
		Head		head;
		unsigned char few[CONTROL_MAX];
		unsigned char *to = few;

		if (read_head(p + at, frame->length - at, &head) != NULL || head.size == 0)
			return -1;
		at += head.size;
		if (head.kind < WEBSOCKET_CLOSE && head.length > 0)
		{
			to = (unsigned char *) buf_reserve(out, (size_t) head.length);
			if (to == NULL)
				return -1;
			buf_commit(out, (size_t) head.length);
		}
		for (size_t i = 0; i < head.length; i++)
			to[i] = p[at + i] ^ head.mask[i % 4];
		at += (size_t) head.length;
		if (head.kind >= WEBSOCKET_CLOSE)
			control(arg, head.kind, (const char *) few, (size_t) head.length);
		else if (head.kind != WEBSOCKET_CONTINUATION)
			kind = head.kind;
	}
	return kind;
}

bool
websocket_put(Buf *out, int kind, const void *data, size_t len)
{
	unsigned char head[4] = {(unsigned char) (0x80 | kind), (unsigned char) (len < 126 ? len : 126)};

	if (len > UINT16_MAX)
		return false;
	head[2] = (unsigned char) (len >> 8);
	head[3] = (unsigned char) len;
	return buf_add(out, head, len < 126 ? 2 : 4) && (len == 0 || buf_add(out, data, len));
}
