/*
 * client_tesla.c
 *	  Cars: a certificate each, a WebSocket, and messages that are answered by
 *	  their ids; as many as --records says are under way.
 */
#include "client.h"
#include "encode_tesla.h"

#include <stdio.h>

#define TXID_SIZE 24
#define DAMAGED 'x'				/* begins the id of a message that must be refused */

/* A car's name has a dot where the daemon writes a dash. */
static void
tesla_connecting(Lane *lane)
{
	char		name[MESSAGE_DEVICE_SIZE];

	memcpy(name, lane->device, sizeof(name));
	for (char *p = name; *p; p++)
		if (*p == '-')
			*p = '.';
	authority_equip(lane->client->authority, lane->channel.ssl, name);
}

static void
tesla_opened(Lane *lane)
{
	dialect_tesla.login(&lane->control, lane->device);
	lane_set_state(lane, LANE_GREETING);
}

static void
tesla_produce(Lane *lane)
{
	Client	   *c = lane->client;
	Outbox	   *o = &lane->outbox;

	while (lane->in_request < outbox_entries(o) && lane->in_request < (size_t) c->options.records)
	{
		const OutboxEntry *entry = &o->entries[o->head + lane->in_request];
		const char *payload = o->bytes.data + o->sent_offset;
		char		txid[TXID_SIZE];

		/* Its last byte is lost on the way; the whole one follows. */
		snprintf(txid, sizeof(txid), "%c%llx", DAMAGED, (unsigned long long) entry->id);
		if (rng_chance(&c->rng, c->options.spoil_percent / 100))
			tesla_put_message(&lane->control, txid, payload, entry->len - 2);
		/* Without the newline. */
		tesla_put_message(&lane->control, txid + 1, payload, entry->len - 1);
		o->sent_offset += entry->len;
		lane->in_request++;
	}
}

static bool
take_answer(Lane *lane, const TeslaAnswer *answer, const char **reason)
{
	const ClientEvents *events = &lane->client->events;
	const Outbox *o = &lane->outbox;
	char		txid[TXID_SIZE] = "";
	uint64_t	id;

	if (answer->kind == TESLA_ANSWER_CLOSED)
	{
		*reason = "closed by the daemon";
		return false;
	}
	if (answer->txid_len > 0 && answer->txid[0] == DAMAGED)
	{
		if (answer->kind == TESLA_ANSWER_STORED)
			die("the daemon confirmed a damaged message of %s", lane->device);
		return true;
	}
	if (lane->in_request > 0)
		snprintf(txid, sizeof(txid), "%llx", (unsigned long long) o->entries[o->head].id);
	if (lane->in_request == 0 || answer->txid_len != strlen(txid) || memcmp(answer->txid, txid, answer->txid_len) != 0)
	{
		*reason = "it acknowledged out of order";
		return false;
	}
	id = outbox_take(&lane->outbox);
	lane->in_request--;
	if (answer->kind == TESLA_ANSWER_STORED)
		events->acked(events->context, id);
	else
		events->rejected(events->context, id, "refused", NULL);
	return true;
}

static bool
tesla_receive(Lane *lane, const char **reason)
{
	size_t		done = 0;
	bool		ok = true;

	while (ok && done < lane->input.len)
	{
		const char *data = lane->input.data + done;
		size_t		len = lane->input.len - done;
		TeslaAnswer answer;
		int			taken = 0;
		int			used = lane->state == LANE_GREETING ? dialect_tesla.answer(data, len, true, &taken) :
			tesla_take_answer(data, len, &answer);

		if (used == 0)
			break;
		if (used < 0)
		{
			*reason = "an answer that is not understood";
			return false;
		}
		if (lane->state == LANE_GREETING && taken != 1)
			die("the daemon refused %s", lane->device);
		if (lane->state == LANE_GREETING)
			lane_set_state(lane, LANE_READY);
		else
			ok = take_answer(lane, &answer, reason);
		done += (size_t) used;
	}
	memmove(lane->input.data, lane->input.data + done, lane->input.len - done);
	lane->input.len -= done;
	return ok;
}

const Protocol protocol_tesla = {
	.name = "tesla",
	.connecting = tesla_connecting,
	.opened = tesla_opened,
	.produce = tesla_produce,
	.receive = tesla_receive
};
