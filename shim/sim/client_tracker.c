/*
 * client_tracker.c
 *	  Trackers: a login, then packets of records, each confirmed by a number; or by
 *	  nothing, then a packet is done with when it has been written.
 */
#include "client.h"

static void
tracker_opened(Lane *lane)
{
	const Dialect *dialect = lane->client->dialect;

	if (dialect->login)
		dialect->login(&lane->control, lane->device);
	if (dialect->mark)
		lane->mark = dialect->mark(lane->control.data, lane->control.len);
	lane_set_state(lane, lane->control.len > 0 ? LANE_GREETING : LANE_READY);
}

/* Nobody will ever tell what became of a packet without an answer, nor the ledger. */
static void
forget_written(Lane *lane)
{
	if (lane->in_request == 0 || lane->control.len > 0 || lane->answered)
		return;
	for (; lane->in_request > 0; lane->in_request--)
		(void) outbox_take(&lane->outbox);
}

static void
tracker_produce(Lane *lane)
{
	Client	   *c = lane->client;
	const Dialect *dialect = c->dialect;
	Outbox	   *o = &lane->outbox;
	DialectRecord records[DIALECT_RECORDS_MAX];
	const char *data;
	int			limit = c->options.records < dialect->records_max ? c->options.records : dialect->records_max;
	size_t		begin = lane->control.len;
	int			count = 0;

	forget_written(lane);
	if (lane->in_request || outbox_entries(o) == 0)
		return;
	data = o->bytes.data + o->head_offset;
	lane->answered = !dialect->answered;
	while (count < limit && (size_t) count < outbox_entries(o))
	{
		/* The outbox ends each with a newline. */
		uint32_t	len = o->entries[o->head + count].len;

		records[count] = (DialectRecord) {data, len - 1};
		data += len;
		count++;
		if (dialect->answered && dialect->answered(&records[count - 1]))
		{
			lane->answered = true;
			break;
		}
	}
	dialect->packet(&lane->control, lane->device, records, count);
	lane->in_request = (size_t) count;
	if (dialect->mark)
		lane->mark = dialect->mark(lane->control.data + begin, lane->control.len - begin);
	lane->spoiled = dialect->spoil && rng_chance(&c->rng, c->options.spoil_percent / 100) &&
		dialect->spoil(&lane->control, begin);
}

static bool
take_number(Lane *lane, int taken, const char **reason)
{
	const ClientEvents *events = &lane->client->events;

	if (lane->state == LANE_GREETING)
	{
		if (taken != 1)
			die("the daemon refused device %s", lane->device);
		lane_set_state(lane, LANE_READY);
		return true;
	}
	if (taken == DIALECT_ALL)
		taken = (int) lane->in_request;
	if (lane->in_request == 0 || (taken != 0 && (size_t) taken != lane->in_request))
	{
		*reason = "it confirmed records that were never sent";
		return false;
	}
	if (taken != 0 && lane->spoiled)
		die("the daemon confirmed a damaged packet of device %s", lane->device);
	if (taken == 0 && !lane->spoiled)
	{
		*reason = "it refused a packet without damage";
		return false;
	}
	for (int i = 0; i < taken; i++)
		events->taken(events->context, outbox_take(&lane->outbox));
	lane->in_request = 0;		/* none taken: the same again */
	return true;
}

static bool
tracker_receive(Lane *lane, const char **reason)
{
	const Dialect *dialect = lane->client->dialect;
	size_t		done = 0;
	bool		ok = true;

	while (ok && done < lane->input.len)
	{
		int			taken = 0;
		int			used = dialect->answer(lane->input.data + done, lane->input.len - done,
										   lane->state == LANE_GREETING, &taken);

		if (used == 0)
			break;
		if (used < 0)
		{
			*reason = "an answer that is not understood";
			return false;
		}
		if (dialect->mark && dialect->mark(lane->input.data + done, (size_t) used) != lane->mark)
		{
			*reason = "it confirmed another packet";
			return false;
		}
		done += (size_t) used;
		ok = take_number(lane, taken, reason);
	}
	memmove(lane->input.data, lane->input.data + done, lane->input.len - done);
	lane->input.len -= done;
	return ok;
}

const Protocol protocol_tracker = {
	.name = "tracker",
	.opened = tracker_opened,
	.produce = tracker_produce,
	.receive = tracker_receive
};
