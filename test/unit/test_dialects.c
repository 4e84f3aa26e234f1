/*
 * test_dialects.c
 *	  What fleetsim's trackers write, the daemon's adapters read, with the
 *	  fingerprint that the message had; and what they answer, fleetsim understands.
 */
#include "feed.h"
#include "osmand_stream.h"
#include "sim/dialect.h"
#include "tap.h"

#include <math.h>

#define REPORTS 3

static const struct
{
	const Dialect *dialect;
	const Adapter *adapter;
}			pairs[] = {
	{&dialect_teltonika, &adapter_teltonika},
	{&dialect_gt06, &adapter_gt06},
	{&dialect_ruptela, &adapter_ruptela},
	{&dialect_wialon, &adapter_wialon},
	{&dialect_h02, &adapter_h02},
	{&dialect_gl200, &adapter_gl200},
	{&dialect_gps103, &adapter_gps103},
	{&dialect_tk103, &adapter_tk103},
	{&dialect_osmand, &osmand_stream},
	{&dialect_tesla, &adapter_tesla},
	{&dialect_galileosky, &adapter_galileosky}
};

static Message
message_of(const char *device, int number)
{
	Message		m;

	message_clear(&m);
	snprintf(m.device, sizeof(m.device), "%s", device);
	m.time_us = FEED_NOW_US - (10 - number) * INT64_C(1003000);
	m.latitude = number % 2 ? 50.1105321 : -33.8567844;
	m.longitude = number == 2 ? -70.6692655 : 8.6821007;
	m.altitude_m = 112.4;
	m.accuracy_m = 3.1;
	m.speed_kmh = 47.3 + number;
	m.heading_deg = 359.2;
	message_add_number(&m, "odometer_km", 12345.6);
	message_add_number(&m, "fuel_percent", 61.2);
	message_add_number(&m, "engine_rpm", 2100);
	message_add_number(&m, "coolant_temp_c", -7.5);
	message_add_number(&m, "acceleration_x_ms2", -1.5);
	message_add_boolean(&m, "in_use", number != 1);
	message_add_boolean(&m, "ignition", number != 1);
	message_add_text(&m, "trip_id", "0001-a");
	message_add_text(&m, "error_codes", number == 0 ? "" : "P0420,P0171");
	return m;
}

/* As the database would give it back. */
static Message
message_from(const FedRecord *r)
{
	Message		m;

	message_clear(&m);
	snprintf(m.device, sizeof(m.device), "%s", r->device);
	m.time_us = r->event_time_us;
	m.latitude = r->latitude;
	m.longitude = r->longitude;
	m.altitude_m = r->altitude_m;
	m.accuracy_m = r->accuracy_m;
	m.speed_kmh = r->speed_kmh;
	m.heading_deg = r->heading_deg;
	for (size_t i = 0; i < r->nsignals; i++)
	{
		const FedSignal *s = &r->signals[i];

		if (s->kind == RECORD_BOOLEAN)
			message_add_boolean(&m, s->name, s->boolean);
		else if (s->kind == RECORD_NUMBER)
			message_add_number(&m, s->name, s->number);
		else
			message_add_text(&m, s->name, s->text);
	}
	return m;
}

static bool
same(const Message *a, const Message *b)
{
	if (strcmp(a->device, b->device) == 0 && a->time_us == b->time_us && message_fingerprint(a) == message_fingerprint(b))
		return true;
	for (int i = 0; i < 2; i++)
	{
		const Message *m = i == 0 ? a : b;

		printf("# %s: %s %lld %.8f %.8f %g %g %g %g", i == 0 ? "sent" : "got", m->device, (long long) m->time_us,
			   m->latitude, m->longitude, m->altitude_m, m->accuracy_m, m->speed_kmh, m->heading_deg);
		for (int s = 0; s < m->signal_count; s++)
			printf(" %s=%g%s", m->signals[s].name, m->signals[s].number, m->signals[s].kind == MESSAGE_TEXT ? m->signals[s].text : "");
		printf("\n");
	}
	return false;
}

/* How many records the answers confirm; -1 when one is not understood. */
static int
confirmed(const Dialect *dialect, Feed *feed, const Buffer *bytes, bool login, int under_way)
{
	int			sum = 0;

	while (buf_len(&feed->out) > 0)
	{
		int			taken = 0;
		int			used = dialect->answer(buf_data(&feed->out), buf_len(&feed->out), login, &taken);

		if (used <= 0)
			return -1;
		if (dialect->mark && dialect->mark(buf_data(&feed->out), (size_t) used) != dialect->mark(bytes->data, bytes->len))
			return -1;
		buf_consume(&feed->out, (size_t) used);
		sum += taken == DIALECT_ALL ? under_way : taken;
		login = false;
	}
	return sum;
}

/* How many of them are confirmed: all up to the last that is answered. */
static int
to_be_confirmed(const Dialect *dialect, const DialectRecord *records)
{
	int			n = REPORTS;

	while (dialect->answered && n > 0 && !dialect->answered(&records[n - 1]))
		n--;
	return n;
}

/* As many as fit into a packet, which ends with one that is answered. */
static int
packet_of(const Dialect *dialect, const DialectRecord *records, int left)
{
	int			n = 0;

	do
		n++;
	while (n < left && n < dialect->records_max && !(dialect->answered && dialect->answered(&records[n - 1])));
	return n;
}

/* Reports from that second on. */
static void
test_device(const Dialect *dialect, const Adapter *adapter, const char *name, int first, size_t step)
{
	Message		sent[REPORTS];
	Buffer		bytes = {0};
	Buffer		pieces[REPORTS] = {0};
	DialectRecord records[REPORTS];
	Feed		feed;
	char		label[128];
	bool		equal = true;
	int			size = 1;
	int			got = 0;

	snprintf(label, sizeof(label), "%s, device %s, %s", dialect->name, name, step ? "byte by byte" : "whole");
	feed_begin(&feed, adapter, "");
	for (int i = 0; i < REPORTS; i++)
	{
		sent[i] = message_of(name, first + i);
		dialect->reduce(&sent[i]);
		dialect->record(&pieces[i], &sent[i]);
		records[i] = (DialectRecord) {pieces[i].data, pieces[i].len};
	}
	if (adapter->certificates)
		snprintf(feed.session.certificate, sizeof(feed.session.certificate), "%s", sent[0].device);
	if (dialect->login)
		dialect->login(&bytes, sent[0].device);
	if (bytes.len > 0)
	{
		feed_bytes(&feed, bytes.data, bytes.len, step);
		ok(confirmed(dialect, &feed, &bytes, true, 0) == 1, label);
	}
	for (int i = 0; i < REPORTS; i += size)
	{
		size = packet_of(dialect, records + i, REPORTS - i);
		bytes.len = 0;
		dialect->packet(&bytes, sent[0].device, records + i, size);
		feed_bytes(&feed, bytes.data, bytes.len, step);
		got += confirmed(dialect, &feed, &bytes, false, size);
	}
	is_int(got, to_be_confirmed(dialect, records), label);
	is_int(feed.nrecords, REPORTS, label);
	for (size_t i = 0; i < feed.nrecords && i < REPORTS; i++)
	{
		Message		back = message_from(&feed.records[i]);

		equal = same(&sent[i], &back) && feed.records[i].defect[0] == '\0' && equal;
	}
	ok(equal, label);

	bytes.len = 0;
	dialect->packet(&bytes, sent[0].device, records, size);
	if (dialect->spoil && dialect->spoil(&bytes, 0))
	{
		feed_bytes(&feed, bytes.data, bytes.len, step);
		is_int(confirmed(dialect, &feed, &bytes, false, size), 0, "damaged: not confirmed");
		ok(feed.nrecords > REPORTS && strncmp(feed.records[REPORTS].defect, "malformed", 9) == 0, "damaged: quarantine");
	}
	if (adapter->over)
	{
		Decoded		decoded = {0};

		adapter->over(&feed.session, "eof", &decoded);
	}
	feed_end(&feed);
	for (int i = 0; i < REPORTS; i++)
		buffer_free(&pieces[i]);
	buffer_free(&bytes);
}

int
main(void)
{
	static const char *const names[] = {"101", "102", "103"};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		for (size_t step = 0; step < 2; step++)
			for (size_t n = 0; n < 3; n++)
				/* Of some, one report in sixteen seconds is answered. */
				for (int first = 0; first < (pairs[i].dialect->answered ? 16 : 1); first += 3)
					test_device(pairs[i].dialect, pairs[i].adapter, names[n], first, step);
	return tap_done();
}
