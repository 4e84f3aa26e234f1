/*
 * decode.c
 *	  What a message of each protocol costs the daemon's adapters: frame(),
 *	  decode() and ack(), without sockets and without the database.
 *
 * Trackers' packets are made by fleetsim's encoders of one report of a driving
 * car; json, http and mqtt carry the reference document.  Several rounds over
 * all, the best of each: noise only ever adds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "adapter.h"
#include "json_decode.h"
#include "mapping.h"
#include "osmand_stream.h"
#include "sim/client_mqtt.h"
#include "sim/dialect.h"
#include "sim/vehicle.h"

#define ROUNDS 7
#define RECORDS 20000			/* of each protocol in a round */
#define NOW_US INT64_C(1800000549000000)
#define HTTP_DOCUMENTS 100		/* in a request */

static const char document[] =
	"{\"vehicle_id\":12345,\"timestamp\":\"2025-01-15T14:32:18.123Z\",\"location\":{\"lat\":50.1105,\"lon\":8.6821,"
	"\"altitude\":112.5,\"accuracy\":5.2},\"battery\":{\"percent\":68,\"voltage\":48.2,\"current\":3.5,\"temperature\":32.1,"
	"\"charging\":false},\"motion\":{\"speed_kmh\":18.5,\"heading\":245,\"acceleration\":{\"x\":0.2,\"y\":-0.1,\"z\":9.8}},"
	"\"vehicle_status\":{\"locked\":false,\"in_use\":true,\"trip_id\":\"a1b2c3d4-e5f6-7890-abcd-ef1234567890\"},"
	"\"diagnostics\":{\"odometer_km\":2458,\"error_codes\":[],\"last_maintenance_km\":2100}}";

/* --- http, over memory as the daemon's connections do it --- */

static DecodeStatus
http_decode(Session *session, const Frame *frame, Decoded *out)
{
	const OsmandStream *s = session->state;
	const char *end = frame->data + frame->length;
	const char *newline;

	for (const char *line = frame->data + s->head_len; line < end; line = newline + 1)
	{
		newline = memchr(line, '\n', (size_t) (end - line));
		json_decode(session->mapping, line, (size_t) (newline - line), out->record);
		out->emit(out->emit_arg, out->record);
	}
	return DECODE_OK;
}

static const Adapter http_stream = {
	.name = "http", .session_size = sizeof(OsmandStream), .frame = osmand_stream_frame, .decode = http_decode
};

/* --- what is measured --- */

static const struct
{
	const char *name;
	const Adapter *adapter;
	const Dialect *dialect;		/* NULL: reference documents */
	const char *device;
	int			records;		/* in a packet */
}			cases[] = {
	{"json", &adapter_json, NULL, NULL, 1},
	{"http", &http_stream, NULL, NULL, HTTP_DOCUMENTS},
	{"mqtt", &adapter_mqtt, NULL, NULL, 1},
	{"teltonika", &adapter_teltonika, &dialect_teltonika, "1", 10},
	{"teltonika_extended", &adapter_teltonika, &dialect_teltonika, "2", 10},
	{"gt06", &adapter_gt06, &dialect_gt06, "1", 1},
	{"h02_text", &adapter_h02, &dialect_h02, "1", 1},
	{"h02_binary", &adapter_h02, &dialect_h02, "2", 1},
	{"tk103_old", &adapter_tk103, &dialect_tk103, "1", 1},
	{"tk103_new", &adapter_tk103, &dialect_tk103, "2", 1},
	{"gps103", &adapter_gps103, &dialect_gps103, "1", 1},
	{"wialon", &adapter_wialon, &dialect_wialon, "1", 1},
	{"wialon_sums", &adapter_wialon, &dialect_wialon, "2", 10},
	{"gl200", &adapter_gl200, &dialect_gl200, "1", 1},
	{"ruptela", &adapter_ruptela, &dialect_ruptela, "1", 10},
	{"ruptela_extended", &adapter_ruptela, &dialect_ruptela, "2", 10},
	{"galileosky", &adapter_galileosky, &dialect_galileosky, "1", 10},
	{"osmand_query", &osmand_stream, &dialect_osmand, "1", 1},
	{"osmand_form", &osmand_stream, &dialect_osmand, "2", 1},
	{"osmand_json", &osmand_stream, &dialect_osmand, "3", 1},
	{"tesla_text", &adapter_tesla, &dialect_tesla, "1", 1},
	{"tesla_typed", &adapter_tesla, &dialect_tesla, "2", 1}
};

#define NCASES (sizeof(cases) / sizeof(cases[0]))

typedef struct Peer
{
	Session		session;
	Buffer		packet;
	uint64_t	counted;
	size_t		emitted;
	double		best;			/* nanoseconds a record */
} Peer;

static Record record;
static Buf	out;

static void
on_record(void *arg, const Record *r)
{
	if (r->defect.len > 0)
	{
		fprintf(stderr, "a record is refused: %.*s\n", (int) r->defect.len, r->defect.data);
		exit(1);
	}
	((Peer *) arg)->emitted++;
}

/* All frames of the bytes, each acknowledged at once. */
static void
take(const Adapter *adapter, Peer *peer, const char *data, size_t len)
{
	Decoded		decoded = {.emit = on_record, .emit_arg = peer, .record = &record, .reply = &out};
	size_t		at = 0;

	while (at < len)
	{
		Frame		frame = {data + at, 0, NULL};
		FrameStatus found = adapter->frame(&peer->session, data + at, len - at, &frame);
		DecodeStatus status = DECODE_BAD;

		if (found == FRAME_READY)
		{
			decoded.tag = 0;
			status = adapter->decode(&peer->session, &frame, &decoded);
		}
		if (status == DECODE_BAD || status == DECODE_END)
		{
			fprintf(stderr, "%s does not take its message\n", adapter->name);
			exit(1);
		}
		if (status == DECODE_HELLO)
			adapter->welcome(&peer->session, WELCOME_OK, &out);
		if (status == DECODE_OK)
		{
			AckFrame	acked = {.tag = decoded.tag};
			Ack			ack = {peer->counted + 1, peer->counted + 1, &acked, 0, NULL};

			peer->counted++;
			if (adapter->ack != NULL)
				adapter->ack(&peer->session, &ack, &out);
		}
		at += frame.length;
	}
	buf_consume(&out, buf_len(&out));
}

/* A car on its way, in the middle of a trip. */
static Message
report_of(const char *device)
{
	static const Town town = {50.1105, 8.6821};
	Vehicle		vehicle;
	Message		m;

	vehicle_init(&vehicle, 1, 1, NOW_US - 600 * US_PER_S);
	do
	{
		vehicle_advance(&vehicle, vehicle.time_us + US_PER_S);
		vehicle_report(&vehicle, &town, &m);
	} while (m.speed_kmh < 20 || vehicle.time_us < NOW_US - 300 * US_PER_S);
	snprintf(m.device, sizeof(m.device), "%s", device);
	return m;
}

static void
make_documents(Peer *peer, const char *name, int count, Buffer *login)
{
	ClientOptions options = {.token = "token"};

	if (strcmp(name, "mqtt") == 0)
	{
		mqtt_put_connect(login, &options, 1);
		mqtt_put_publish(&peer->packet, 1, document, strlen(document));
		return;
	}
	if (strcmp(name, "http") == 0)
		buffer_printf(&peer->packet, "POST /v1/telemetry HTTP/1.1\r\nHost: fleet\r\nAuthorization: Bearer token\r\n"
					  "Content-Type: application/x-ndjson\r\nContent-Length: %zu\r\n\r\n", count * sizeof(document));
	for (int i = 0; i < count; i++)
		buffer_printf(&peer->packet, "%s\n", document);
}

static void
make_packet(Peer *peer, const Dialect *dialect, const char *device, int count, Buffer *login)
{
	DialectRecord records[DIALECT_RECORDS_MAX];
	Message		m = report_of(device);
	Buffer		piece = {0};

	dialect->reduce(&m);
	dialect->record(&piece, &m);
	for (int i = 0; i < count; i++)
		records[i] = (DialectRecord) {piece.data, piece.len};
	snprintf(peer->session.certificate, sizeof(peer->session.certificate), "%s", m.device);
	if (dialect->login != NULL)
		dialect->login(login, m.device);
	dialect->packet(&peer->packet, m.device, records, count);
	buffer_free(&piece);
}

static void
begin(Peer *peer, size_t i, const Mapping *mapping)
{
	Buffer		login = {0};

	peer->session = (Session) {.mapping = mapping, .now_us = NOW_US, .topic = "telemetry/{vehicle}", .frame_max = 65536};
	peer->session.state = calloc(1, cases[i].adapter->session_size + 1);
	if (cases[i].dialect != NULL)
		make_packet(peer, cases[i].dialect, cases[i].device, cases[i].records, &login);
	else
		make_documents(peer, cases[i].name, cases[i].records, &login);
	peer->session.authenticated = login.len == 0 || cases[i].adapter->claims;
	take(cases[i].adapter, peer, login.data, login.len);
	peer->session.authenticated = true;
	buffer_free(&login);
}

static void
end(Peer *peer, const Adapter *adapter)
{
	Decoded		decoded = {.record = &record};

	if (adapter->over != NULL)
		adapter->over(&peer->session, "eof", &decoded);
	free(peer->session.state);
	buffer_free(&peer->packet);
}

static double
cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double) t.tv_sec * 1e9 + (double) t.tv_nsec;
}

/* Names of cases to measure, all without. */
int
main(int argc, char **argv)
{
	static Peer peers[NCASES];
	Mapping    *mapping = mapping_default();

	for (size_t i = 0; i < NCASES; i++)
		begin(&peers[i], i, mapping);
	for (int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < NCASES; i++)
		{
			Peer	   *peer = &peers[i];
			bool		wanted = argc == 1;
			double		begin_ns = cpu_ns();
			double		each;

			for (int a = 1; a < argc; a++)
				wanted |= strcmp(argv[a], cases[i].name) == 0;
			if (!wanted)
				continue;
			peer->emitted = 0;
			for (int n = 0; n < RECORDS; n += cases[i].records)
				take(cases[i].adapter, peer, peer->packet.data, peer->packet.len);
			each = (cpu_ns() - begin_ns) / RECORDS;
			if (peer->emitted != RECORDS)
			{
				fprintf(stderr, "%s: %zu records instead of %d\n", cases[i].name, peer->emitted, RECORDS);
				return 1;
			}
			if (peer->best == 0 || each < peer->best)
				peer->best = each;
		}
	for (size_t i = 0; i < NCASES; i++)
	{
		if (peers[i].best > 0)
			printf("protocol=%s ns=%.0f bytes=%zu records=%d packet_bytes=%zu\n", cases[i].name, peers[i].best,
				   peers[i].packet.len / (size_t) cases[i].records, cases[i].records, peers[i].packet.len);
		end(&peers[i], cases[i].adapter);
	}
	buf_release(&out);
	mapping_free(mapping);
	buf_trim();
	return 0;
}
