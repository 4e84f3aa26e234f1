/*
 * client.c
 *	  The connections of a simulated fleet and the loop that serves them.
 */
#include "client.h"

#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define HELD_BYTES_LIMIT (4 * 1024 * 1024)	/* per lane; the sender waits above */
#define READ_SIZE (64 * 1024)
#define INPUT_LIMIT (16 * 1024 * 1024)
#define RETRY_FIRST_US (100 * US_PER_MS)
#define RETRY_LAST_US (2 * US_PER_S)

void
lane_set_state(Lane *lane, LaneState state)
{
	lane->state = state;
}

/* Drop the connection and come back later; everything unacknowledged is sent again. */
void
lane_retry(Lane *lane, int64_t delay_us, const char *reason)
{
	/* One line per outage: the first failure tells, the following ones are the same. */
	if (lane->failures++ == 0 && lane->number == 0)
		warn("connection lost (%s), trying again", reason);
	channel_close(&lane->channel);
	lane->input.len = 0;
	lane->control.len = lane->control_offset = 0;
	lane->in_line = false;
	lane->decided = 0;
	lane->in_request = 0;
	outbox_rewind(&lane->outbox);
	lane->retry_at_us = monotonic_us() + delay_us;
	lane->client->reconnects++;
	lane_set_state(lane, LANE_WAITING);
}

static void
lane_lost(Lane *lane, const char *reason)
{
	int			doublings = lane->failures < 6 ? lane->failures : 6;
	int64_t		delay_us = RETRY_FIRST_US << doublings;

	lane_retry(lane, delay_us < RETRY_LAST_US ? delay_us : RETRY_LAST_US, reason);
}

Client *
client_open(const ClientOptions *options, const ClientEvents *events)
{
	Client	   *c = xcalloc(1, sizeof(*c));

	c->options = *options;
	c->events = *events;
	if (strcmp(options->protocol, "json") == 0)
		c->protocol = &protocol_json;
	else if (strcmp(options->protocol, "http") == 0)
		c->protocol = &protocol_http;
	else if (strcmp(options->protocol, "mqtt") == 0)
		c->protocol = &protocol_mqtt;
	else if ((c->dialect = dialect_find(options->protocol)) != NULL)
		c->protocol = c->dialect == &dialect_tesla ? &protocol_tesla : &protocol_tracker;
	else
		die("--protocol: \"%s\" is not known", options->protocol);
	c->rng = rng_make(1, 2);
	channel_parse_address(options->address, &c->host, &c->port);
	if (options->tls || c->protocol->connecting)
		c->tls = channel_tls(options->ca);
	if (options->authority)
		c->authority = authority_open(options->authority);
	else if (c->protocol->connecting)
		die("--authority is needed: who signs the cars' certificates");
	c->lanes = xcalloc(options->connections, sizeof(Lane));
	c->polls = xcalloc(options->connections, sizeof(struct pollfd));
	for (int i = 0; i < options->connections; i++)
		c->lanes[i] = (Lane) {.client = c, .number = i, .state = LANE_WAITING, .channel = {.fd = -1}};
	return c;
}

bool
client_has_room(const Client *c, int lane)
{
	return outbox_held_bytes(&c->lanes[lane].outbox) < HELD_BYTES_LIMIT;
}

void
client_send(Client *c, int lane, const char *device, uint64_t id, const char *line, size_t len)
{
	if (c->dialect)
	{
		char	   *whose = c->lanes[lane].device;

		if (!whose[0] && device)
			snprintf(whose, sizeof(c->lanes[lane].device), "%s", device);
		if (!device || strcmp(whose, device) != 0)
			die("--connections: a tracker needs one of its own");
	}
	outbox_add(&c->lanes[lane].outbox, id, line, len);
}

size_t
client_unacked(const Client *c)
{
	size_t		sum = 0;

	for (int i = 0; i < c->options.connections; i++)
		sum += outbox_entries(&c->lanes[i].outbox);
	return sum;
}

static void
lane_finish_connect(Lane *lane)
{
	const char *reason;

	switch (channel_finish_connect(&lane->channel, &reason))
	{
		case CHANNEL_OK:
			lane->client->protocol->opened(lane);
			break;
		case CHANNEL_AGAIN:
			break;
		case CHANNEL_CLOSED:
			lane_lost(lane, reason);
			break;
	}
}

static bool
lane_has_output(const Lane *lane)
{
	if (lane->control_offset < lane->control.len)
		return true;
	return lane->state == LANE_READY && lane->client->protocol->streams &&
		outbox_unsent_bytes(&lane->outbox) > 0;
}

static void
lane_write(Lane *lane)
{
	const char *reason;

	while (lane_has_output(lane))
	{
		bool		pending = lane->control_offset < lane->control.len;
		/* Not into the middle of a line. */
		bool		control = pending && !lane->in_line;
		Buffer	   *from = control ? &lane->control : &lane->outbox.bytes;
		size_t	   *offset = control ? &lane->control_offset : &lane->outbox.sent_offset;
		size_t		len = from->len - *offset;
		size_t		put;
		ChannelResult result;

		/* TLS wants to be asked the same again. */
		if (pending && !control && !lane->channel.ssl)
			len = (const char *) memchr(from->data + *offset, '\n', len) + 1 - (from->data + *offset);
		result = channel_write(&lane->channel, from->data + *offset, len, &put, &reason);
		if (result == CHANNEL_CLOSED)
			lane_lost(lane, reason);
		if (result != CHANNEL_OK)
		{
			lane->in_line |= result != CHANNEL_CLOSED && !control && lane->channel.ssl;
			return;
		}
		*offset += put;
		if (!control)
			lane->in_line = from->data[*offset - 1] != '\n';
		if (lane->control_offset == lane->control.len)
			lane->control.len = lane->control_offset = 0;
	}
}

static void
lane_read(Lane *lane)
{
	const char *reason;
	size_t		got;
	ChannelResult result;

	do
	{
		buffer_reserve(&lane->input, READ_SIZE);
		result = channel_read(&lane->channel, lane->input.data + lane->input.len, READ_SIZE, &got, &reason);
		lane->input.len += got;
		/* TLS may hold decrypted bytes that poll() does not see. */
	} while (result == CHANNEL_OK && lane->channel.ssl && SSL_pending(lane->channel.ssl) > 0);

	/* What came before the end still counts. */
	if (lane->input.len > 0)
	{
		const char *refusal;

		if (!lane->client->protocol->receive(lane, &refusal))
		{
			lane_lost(lane, refusal);
			return;
		}
		if (lane->state == LANE_WAITING)
			return;
		/* A connection that was let in and then turned away has been no success. */
		lane->failures = 0;
	}
	if (lane->input.len > INPUT_LIMIT)
		lane_lost(lane, "an endless answer");
	else if (result == CHANNEL_CLOSED)
		lane_lost(lane, reason);
}

static short
lane_interest(const Lane *lane)
{
	if (lane->state == LANE_WAITING)
		return 0;
	if (lane->state == LANE_CONNECTING)
		return lane->channel.ssl && !lane->channel.tls_wants_write ? POLLIN | POLLOUT : POLLOUT;
	return POLLIN | (lane_has_output(lane) || lane->channel.tls_wants_write ? POLLOUT : 0);
}

void
client_turn(Client *c, int timeout_ms)
{
	int64_t		now_us = monotonic_us();

	for (int i = 0; i < c->options.connections; i++)
	{
		Lane	   *lane = &c->lanes[i];
		const char *reason;

		/* A tracker connects when it has something to say. */
		if (lane->state == LANE_WAITING && now_us >= lane->retry_at_us && (!c->dialect || lane->device[0]))
		{
			if (channel_connect(&lane->channel, c->host, c->port, c->tls, &reason) == CHANNEL_CLOSED)
				lane_lost(lane, reason);
			else
			{
				if (c->protocol->connecting)
					c->protocol->connecting(lane);
				lane_set_state(lane, LANE_CONNECTING);
			}
		}
		if (lane->state == LANE_READY)
			c->protocol->produce(lane);
		/* Most writes succeed at once; poll only for those that did not. */
		if (lane->state == LANE_GREETING || lane->state == LANE_READY)
			lane_write(lane);
		if (lane->state == LANE_WAITING && (!c->dialect || lane->device[0]) &&
			lane->retry_at_us - now_us < timeout_ms * US_PER_MS)
			timeout_ms = lane->retry_at_us <= now_us ? 1 : (int) ((lane->retry_at_us - now_us) / US_PER_MS) + 1;
		c->polls[i] = (struct pollfd) {.fd = lane->channel.fd, .events = lane_interest(lane)};
	}

	if (poll(c->polls, c->options.connections, timeout_ms) <= 0)
		return;

	for (int i = 0; i < c->options.connections; i++)
	{
		Lane	   *lane = &c->lanes[i];
		short		seen = c->polls[i].revents;

		if (!seen || lane->state == LANE_WAITING)
			continue;
		if (lane->state == LANE_CONNECTING)
			lane_finish_connect(lane);
		else if (seen & (POLLIN | POLLHUP | POLLERR))
			lane_read(lane);
		if ((lane->state == LANE_GREETING || lane->state == LANE_READY) && (seen & POLLOUT))
			lane_write(lane);
	}
}

void
client_close(Client *c)
{
	for (int i = 0; i < c->options.connections; i++)
	{
		Lane	   *lane = &c->lanes[i];

		channel_close(&lane->channel);
		outbox_free(&lane->outbox);
		buffer_free(&lane->control);
		buffer_free(&lane->input);
	}
	if (c->tls)
		SSL_CTX_free(c->tls);
	if (c->authority)
		authority_close(c->authority);
	free(c->lanes);
	free(c->polls);
	free(c->host);
	free(c->port);
	free(c);
}
