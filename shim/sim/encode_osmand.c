/*
 * encode_osmand.c
 *	  Messages as phones with OsmAnd's protocol send them: by number as a query,
 *	  as a form or as a document; one request each, answered by its status.
 *
 * It shares nothing with the daemon's adapter, so that each proves the other.
 */
#include "dialect.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#define KMH_PER_KNOT 1.852
#define KMH_PER_MS 3.6
#define US_PER_SECOND 1000000
#define US_PER_MILLI 1000

typedef enum Form
{
	FORM_DOCUMENT,
	FORM_QUERY,
	FORM_BODY
} Form;

static Form
form_of(const char *device)
{
	return (Form) (strtoull(device, NULL, 10) % 3);
}

/* A form tells whole seconds, the others milliseconds. */
static void
osmand_reduce(Message *m)
{
	Message		full = *m;
	Form		form = form_of(m->device);
	double		unit = form == FORM_DOCUMENT ? KMH_PER_MS : KMH_PER_KNOT;

	m->time_us -= m->time_us % (form == FORM_BODY ? US_PER_SECOND : US_PER_MILLI);
	m->altitude_m = round(m->altitude_m * 10) / 10;
	m->accuracy_m = round(m->accuracy_m * 10) / 10;
	m->speed_kmh = round(m->speed_kmh / unit * 100) / 100 * unit;
	m->heading_deg = fmod(round(m->heading_deg * 10), 3600) / 10;
	m->signal_count = 0;
	/* No form has a way to write an empty text. */
	for (int i = 0; i < full.signal_count; i++)
		if (full.signals[i].kind != MESSAGE_TEXT || full.signals[i].text[0])
			m->signals[m->signal_count++] = full.signals[i];
}

static void
add_escaped(Buffer *out, const char *text)
{
	for (; *text; text++)
	{
		if (*text == ' ')
			buffer_add_char(out, '+');
		else if (isalnum((unsigned char) *text) || strchr("-_.", *text))
			buffer_add_char(out, *text);
		else
			buffer_printf(out, "%%%02X", (unsigned char) *text);
	}
}

static void
add_pairs(Buffer *out, const Message *m)
{
	bool		is_form = form_of(m->device) == FORM_BODY;

	buffer_printf(out, "id=%s&timestamp=%lld&lat=%.7f&lon=%.7f&speed=%.2f&bearing=%.1f&altitude=%.1f&accuracy=%.1f", m->device,
				  (long long) (m->time_us / (is_form ? US_PER_SECOND : US_PER_MILLI)), m->latitude, m->longitude,
				  m->speed_kmh / KMH_PER_KNOT, m->heading_deg, m->altitude_m, m->accuracy_m);
	for (int i = 0; i < m->signal_count; i++)
	{
		const MessageSignal *s = &m->signals[i];

		buffer_printf(out, "&%s=", s->name);
		if (s->kind == MESSAGE_TEXT)
			add_escaped(out, s->text);
		else if (s->kind == MESSAGE_BOOLEAN)
			buffer_add_string(out, s->number != 0 ? "true" : "false");
		else
			buffer_printf(out, "%.15g", s->number);
	}
}

static void
add_document(Buffer *out, const Message *m)
{
	time_t		seconds = (time_t) (m->time_us / US_PER_SECOND);
	char		date[32];
	struct tm	tm;

	gmtime_r(&seconds, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	buffer_printf(out, "{\"device_id\":\"%s\",\"location\":{\"timestamp\":\"%s.%03dZ\",\"coords\":{\"latitude\":%.7f,\"longitude\":%.7f,"
				  "\"speed\":%.2f,\"heading\":%.1f,\"altitude\":%.1f,\"accuracy\":%.1f},\"extras\":{", m->device, date,
				  (int) (m->time_us % US_PER_SECOND / US_PER_MILLI), m->latitude, m->longitude, m->speed_kmh / KMH_PER_MS,
				  m->heading_deg, m->altitude_m, m->accuracy_m);
	for (int i = 0; i < m->signal_count; i++)
	{
		const MessageSignal *s = &m->signals[i];

		buffer_printf(out, "%s\"%s\":", i > 0 ? "," : "", s->name);
		if (s->kind == MESSAGE_TEXT)
			buffer_printf(out, "\"%s\"", s->text);
		else if (s->kind == MESSAGE_BOOLEAN)
			buffer_add_string(out, s->number != 0 ? "true" : "false");
		else
			buffer_printf(out, "%.15g", s->number);
	}
	buffer_add_string(out, "}}}");
}

static void
osmand_record(Buffer *out, const Message *m)
{
	if (form_of(m->device) == FORM_DOCUMENT)
		add_document(out, m);
	else
		add_pairs(out, m);
}

static void
osmand_packet(Buffer *out, const char *device, const DialectRecord *records, int count)
{
	for (int i = 0; i < count; i++)
	{
		int			len = (int) records[i].len;

		if (form_of(device) == FORM_QUERY)
			buffer_printf(out, "GET /?%.*s HTTP/1.1\r\nHost: fleet\r\n\r\n", len, records[i].data);
		else
			buffer_printf(out, "POST / HTTP/1.1\r\nHost: fleet\r\nContent-Type: application/%s\r\nContent-Length: %d\r\n\r\n%.*s",
						  form_of(device) == FORM_BODY ? "x-www-form-urlencoded" : "json", len, len, records[i].data);
	}
}

/* One half of the place gets another name on the way. */
static bool
osmand_spoil(Buffer *out, size_t offset)
{
	static const char *const names[] = {"&lat=", "\"latitude\""};

	for (size_t i = 0; i < 2; i++)
	{
		char	   *at = memmem(out->data + offset, out->len - offset, names[i], strlen(names[i]));

		if (at != NULL)
		{
			at[3] = 'X';
			return true;
		}
	}
	return false;
}

static int
osmand_answer(const char *in, size_t len, bool login, int *taken)
{
	const char *end = memmem(in, len, "\r\n\r\n", 4);
	long		length = -1;
	int			status;
	int			minor;

	(void) login;
	if (end == NULL)
		return 0;
	if (sscanf(in, "HTTP/1.%d %d", &minor, &status) != 2)
		return -1;
	for (const char *line = in; line < end; line = (const char *) memmem(line, (size_t) (end + 2 - line), "\r\n", 2) + 2)
		if (strncasecmp(line, "Content-Length:", 15) == 0)
			length = strtol(line + 15, NULL, 10);
	if (length < 0)
		return -1;
	if (len - (size_t) (end + 4 - in) < (size_t) length)
		return 0;
	*taken = status == 200;
	return (int) (end + 4 - in + length);
}

const Dialect dialect_osmand = {
	.name = "osmand",
	.records_max = 1,
	.reduce = osmand_reduce,
	.record = osmand_record,
	.packet = osmand_packet,
	.spoil = osmand_spoil,
	.answer = osmand_answer
};
