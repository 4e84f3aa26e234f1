/*
 * delivery.c
 *	  Client and ledger together.
 */
#include "delivery.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TOKEN_MAX 512
#define FLUSH_EVERY_US (200 * US_PER_MS)

const char delivery_help[] =
	"Delivery:\n"
	"  --to HOST:PORT       the daemon's listener (127.0.0.1:7001)\n"
	"  --protocol NAME      json (lines over TCP), http, mqtt, galileosky, gl200,\n"
	"                       gps103, gt06, h02, osmand, ruptela, teltonika, tesla,\n"
	"                       tk103 or wialon (json)\n"
	"  --token TOKEN        credential of a source; or the variable FLEETSIM_TOKEN\n"
	"  --token-file FILE    its first line is the token\n"
	"  --mapping NAME       mapping of the daemon's configuration\n"
	"  --commands           json: take commands, and confirm them\n"
	"  --tls, --ca FILE     TLS; without a CA any certificate is accepted\n"
	"  --authority FILE     tesla: certificate and key of who signs the cars'; each\n"
	"                       gets one of its own\n"
	"  --connections N      connections; a vehicle stays on one (2)\n"
	"  --http-batch N       documents in one request (500)\n"
	"  --gzip               compress request bodies\n"
	"  --records N          of a tracker, in one packet; of a car, under way (10)\n"
	"  --ledger FILE        append what was sent and acknowledged, for verify\n"
	"  --drain SECONDS      wait so long for the last acknowledgements (60)\n"
	"  --quiet              no summary\n";

static const char *
read_token(const char *path)
{
	static char token[TOKEN_MAX];
	FILE	   *f = fopen(path, "r");

	if (!f || !fgets(token, sizeof(token), f))
		die("cannot read a token from \"%s\": %s", path, f ? "it is empty" : strerror(errno));
	fclose(f);
	token[strcspn(token, "\r\n")] = '\0';
	return token;
}

bool
delivery_option(DeliveryOptions *o, int option, const char *value)
{
	switch (option)
	{
		case 1000:
			o->client.address = value;
			return true;
		case 1001:
			o->client.protocol = value;
			return true;
		case 1002:
			o->client.token = value;
			return true;
		case 1003:
			o->client.token = read_token(value);
			return true;
		case 1004:
			o->client.mapping = value;
			return true;
		case 1005:
			o->client.tls = true;
			return true;
		case 1006:
			o->client.ca = value;
			return true;
		case 1007:
			o->client.connections = (int) option_number("connections", value, 1, 10000);
			return true;
		case 1008:
			o->client.http_batch = (int) option_number("http-batch", value, 1, 100000);
			return true;
		case 1009:
			o->client.http_gzip = true;
			return true;
		case 1010:
			o->ledger = value;
			return true;
		case 1011:
			o->drain_s = option_number("drain", value, 0, 1e6);
			return true;
		case 1012:
			o->quiet = true;
			return true;
		case 1013:
			o->client.records = (int) option_number("records", value, 1, DIALECT_RECORDS_MAX);
			return true;
		case 1014:
			o->client.authority = value;
			return true;
		case 1015:
			o->client.commands = true;
			return true;
	}
	return false;
}

static void
on_acked(void *context, uint64_t id)
{
	ledger_acked(((Delivery *) context)->ledger, id);
}

static void
on_taken(void *context, uint64_t id)
{
	ledger_taken(((Delivery *) context)->ledger, id);
}

static void
on_rejected(void *context, uint64_t id, const char *code, const char *field)
{
	ledger_rejected(((Delivery *) context)->ledger, id, code, field);
}

Delivery *
delivery_open(const DeliveryOptions *o)
{
	Delivery   *d = xcalloc(1, sizeof(*d));
	ClientEvents events = {.acked = on_acked, .taken = on_taken, .rejected = on_rejected, .context = d};
	ClientOptions client = o->client;

	if (!client.token)
		client.token = getenv("FLEETSIM_TOKEN");
	if (!client.token && !dialect_find(client.protocol))
		die("a token is needed: --token, --token-file or the variable FLEETSIM_TOKEN");
	d->ledger = ledger_open(o->ledger);
	d->client = client_open(&client, &events);
	d->drain_s = o->drain_s;
	d->quiet = o->quiet;
	d->started_us = monotonic_us();
	catch_stop_signals();
	return d;
}

bool
delivery_send(Delivery *d, unsigned lane_key, const char *device, int64_t time_us,
			  uint64_t content, const char *line, size_t len)
{
	int			lane = (int) (lane_key % (unsigned) d->client->options.connections);
	uint64_t	id;

	while (!client_has_room(d->client, lane) && !stop_requested)
		client_turn(d->client, 100);
	if (stop_requested)
		return false;
	id = ledger_sent(d->ledger, device, time_us, content, line, len);
	client_send(d->client, lane, device, id, line, len);
	return true;
}

void
delivery_serve_until(Delivery *d, int64_t until_us)
{
	do
	{
		int64_t		left_us = until_us - monotonic_us();

		if (left_us > FLUSH_EVERY_US)
			left_us = FLUSH_EVERY_US;
		client_turn(d->client, left_us > 0 ? (int) ((left_us + US_PER_MS - 1) / US_PER_MS) : 0);
		ledger_flush(d->ledger);
	} while (!stop_requested && monotonic_us() < until_us);
}

int
delivery_close(Delivery *d)
{
	int64_t		deadline_us = monotonic_us() + (int64_t) (d->drain_s * US_PER_S);
	LedgerCounts counts;
	size_t		unacked;
	double		seconds;

	/* A stop request ends sending; what is under way still gets its answer. */
	while (client_unacked(d->client) > 0 && monotonic_us() < deadline_us)
	{
		client_turn(d->client, 100);
		ledger_flush(d->ledger);
	}
	unacked = client_unacked(d->client);
	counts = ledger_counts(d->ledger);
	seconds = (double) (monotonic_us() - d->started_us) / US_PER_S;
	if (!d->quiet)
		printf("sent=%llu acked=%llu rejected=%llu unacknowledged=%zu reconnects=%llu seconds=%.2f rate=%.0f\n",
			   (unsigned long long) counts.sent, (unsigned long long) counts.acked,
			   (unsigned long long) counts.rejected, unacked,
			   (unsigned long long) d->client->reconnects, seconds,
			   (double) (counts.acked + counts.rejected) / (seconds > 0 ? seconds : 1));
	ledger_close(d->ledger);
	client_close(d->client);
	free(d);
	return unacked ? EXIT_PROVEN_WRONG : 0;
}
