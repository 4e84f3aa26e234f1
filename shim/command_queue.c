/*
 * command_queue.c
 *	  Devices that are connected here, and how far each is with its commands.
 */
#include "command_queue.h"

#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "log.h"
#include "pseudonym.h"
#include "stats.h"
#include "vin.h"

#define BUCKETS 16384			/* a power of two */
#define UNKNOWN_US INT64_C(500000)	/* before an unknown device is asked about again; */
#define UNKNOWN_MAX 7			/* doubled so many times */
#define AGAIN_US 5000000		/* after a query that failed */
#define LATE_REPORTS_MAX 1000	/* beyond so many none of what was not sent here */
#define REPORTS_MAX 100000		/* answers while the database is away */

typedef struct List
{
	CommandPeer *head;
	CommandPeer *tail;
	size_t		n;
} List;

static List lists[PEER_STATES];
static CommandPeer *by_device[BUCKETS];
static CommandPeer *by_vehicle[BUCKETS];
static size_t npeers;
static size_t nflying;
static CommandPeer **taken;		/* of the query that runs */
static Report *reports;
static Report **reports_tail = &reports;
static size_t nreports;
static bool devices_full;		/* said so already */
static void (*on_work) (void);

/* --- states --- */

static void
list_remove(CommandPeer *peer)
{
	List	   *list = &lists[peer->state];

	if (peer->prev != NULL)
		peer->prev->next = peer->next;
	else
		list->head = peer->next;
	if (peer->next != NULL)
		peer->next->prev = peer->prev;
	else
		list->tail = peer->prev;
	list->n--;
}

static void
list_add(CommandPeer *peer)
{
	List	   *list = &lists[peer->state];

	peer->prev = list->tail;
	peer->next = NULL;
	if (list->tail != NULL)
		list->tail->next = peer;
	else
		list->head = peer;
	list->tail = peer;
	list->n++;
}

static void
peer_set_state(CommandPeer *peer, PeerState state)
{
	list_remove(peer);
	if (peer->state == PEER_READY && state != PEER_READY)
	{
		free(peer->text);
		peer->text = NULL;
	}
	if (peer->state == PEER_ASKED || peer->state == PEER_CLAIMING)
		taken[peer->slot] = NULL;
	peer->state = state;
	list_add(peer);
	if ((state == PEER_ASK || state == PEER_CLAIM) && on_work != NULL)
		on_work();
}

/* Nothing to be done for it: it waits for an answer, or for news. */
static void
peer_rest(CommandPeer *peer, int64_t now_us)
{
	peer->command_id = 0;
	peer->again_us = now_us + cf->commands_poll_seconds * 1000000;
	peer_set_state(peer, peer->flying_id != 0 ? PEER_FLYING : PEER_REST);
}

static void
peer_later(CommandPeer *peer, int64_t again_us)
{
	peer->command_id = 0;
	peer->again_us = again_us;
	peer_set_state(peer, PEER_LATER);
}

static void
show_counts(void)
{
	stats_gauge_set(GAUGE_COMMAND_DEVICES, (double) npeers);
	stats_gauge_set(GAUGE_COMMANDS_IN_FLIGHT, (double) nflying);
}

static void
peer_landed(CommandPeer *peer)
{
	CommandOwner *owner = peer->owner;

	if (peer->flying_id == 0)
		return;
	peer->flying_id = 0;
	nflying--;
	show_counts();
	if (--owner->in_flight == 0)
		owner->ops->settled(owner->arg);
}

CommandPeer *
queue_first(PeerState state)
{
	return lists[state].head;
}

size_t
queue_count(PeerState state)
{
	return lists[state].n;
}

size_t
queue_peers(void)
{
	return npeers;
}

size_t
queue_flying(void)
{
	return nflying;
}

size_t
queue_take(PeerState from, CommandPeer **slots, size_t max)
{
	PeerState	to = from == PEER_ASK ? PEER_ASKED : PEER_CLAIMING;
	size_t		n = 0;

	taken = slots;
	while (n < max && lists[from].head != NULL)
	{
		CommandPeer *peer = lists[from].head;

		peer->slot = (unsigned) n;
		slots[n++] = peer;
		peer->woken = false;
		peer_set_state(peer, to);
	}
	return n;
}

/* --- finding them --- */

static size_t
device_bucket(int32_t source_id, Str device)
{
	uint64_t	h = UINT64_C(14695981039346656037) ^ (uint32_t) source_id;

	for (uint32_t i = 0; i < device.len; i++)
		h = (h ^ (unsigned char) device.data[i]) * UINT64_C(1099511628211);
	return (size_t) (h ^ h >> 32) & (BUCKETS - 1);
}

static size_t
vehicle_bucket(int64_t vehicle_id)
{
	return (size_t) ((uint64_t) vehicle_id * UINT64_C(0x9E3779B97F4A7C15) >> 40) & (BUCKETS - 1);
}

static CommandPeer *
find(int32_t source_id, Str device)
{
	CommandPeer *peer = by_device[device_bucket(source_id, device)];

	while (peer != NULL && (peer->source_id != source_id || peer->device.len != device.len ||
							memcmp(peer->device.data, device.data, device.len) != 0))
		peer = peer->device_next;
	return peer;
}

static void
vehicle_unlink(CommandPeer *peer)
{
	CommandPeer **at = &by_vehicle[vehicle_bucket(peer->vehicle_id)];

	while (*at != peer)
		at = &(*at)->vehicle_next;
	*at = peer->vehicle_next;
}

static void
vehicle_link(CommandPeer *peer)
{
	CommandPeer **at = &by_vehicle[vehicle_bucket(peer->vehicle_id)];

	peer->vehicle_next = *at;
	*at = peer;
}

/* Another device of the vehicle, on a connection of its own, has that command. */
static bool
elsewhere(const CommandPeer *peer, int64_t command_id)
{
	for (CommandPeer *other = by_vehicle[vehicle_bucket(peer->vehicle_id)]; other != NULL; other = other->vehicle_next)
		if (other != peer && other->vehicle_id == peer->vehicle_id &&
			(other->command_id == command_id || other->flying_id == command_id))
			return true;
	return false;
}

/* --- reports --- */

static void
report_from(int64_t command_id, ReportOutcome outcome, Str text, int32_t source_id, Str device)
{
	size_t		len = text.len < COMMAND_ANSWER_MAX ? text.len : COMMAND_ANSWER_MAX;
	Report	   *r = nreports < REPORTS_MAX ? malloc(sizeof(*r) + len + device.len + 1) : NULL;

	if (r == NULL)
	{
		/* The command is sent again, or expires. */
		stats_inc(STAT_COMMAND_REPORTS_LOST);
		return;
	}
	/* No character is cut in two. */
	if (len < text.len)
		while (len > 0 && ((unsigned char) text.data[len] & 0xC0) == 0x80)
			len--;
	r->next = NULL;
	r->command_id = command_id;
	r->outcome = outcome;
	r->len = len;
	for (size_t i = 0; i < len; i++)
		r->text[i] = text.data[i] != '\0' ? text.data[i] : ' ';
	(void) vin_mask(r->text, len, VIN_IN_TEXT);
	r->source_id = source_id;
	r->device_len = device.len;
	if (device.len > 0)
		memcpy(r->text + len, device.data, device.len);
	*reports_tail = r;
	reports_tail = &r->next;
	nreports++;
	if (on_work != NULL)
		on_work();
}

static void
report(int64_t command_id, ReportOutcome outcome, Str text)
{
	report_from(command_id, outcome, text, 0, (Str) {NULL, 0});
}

Report *
queue_reports(void)
{
	return reports;
}

size_t
queue_report_count(void)
{
	return nreports;
}

void
queue_reports_done(size_t n)
{
	while (n-- > 0 && reports != NULL)
	{
		Report	   *r = reports;

		reports = r->next;
		free(r);
		nreports--;
	}
	if (reports == NULL)
		reports_tail = &reports;
}

/* --- coming and going --- */

static void
peer_free(CommandPeer *peer)
{
	CommandPeer **at = &by_device[device_bucket(peer->source_id, peer->device)];
	int64_t		vehicle_id = peer->vehicle_id;
	bool		had_one = peer->command_id != 0 || peer->flying_id != 0;

	if (peer->state == PEER_READY && peer->command_id != 0)
	{
		stats_inc(STAT_COMMANDS_RELEASED);
		report(peer->command_id, REPORT_RELEASED, (Str) {NULL, 0});
	}
	if (peer->flying_id != 0)
	{
		peer->flying_id = 0;
		peer->owner->in_flight--;
		nflying--;
	}
	peer_set_state(peer, PEER_REST);
	list_remove(peer);
	while (*at != peer)
		at = &(*at)->device_next;
	*at = peer->device_next;
	if (vehicle_id != 0)
		vehicle_unlink(peer);
	if (peer->owner_prev != NULL)
		peer->owner_prev->owner_next = peer->owner_next;
	else
		peer->owner->peers = peer->owner_next;
	if (peer->owner_next != NULL)
		peer->owner_next->owner_prev = peer->owner_prev;
	peer->owner->npeers--;
	npeers--;
	free(peer);
	/* Another device of the vehicle may take it over. */
	if (vehicle_id != 0 && had_one)
		queue_wake(vehicle_id);
	show_counts();
}

/* Is it something that the database can have an opinion on? */
static bool
is_identity(Str device)
{
	if (device.len == 0 || device.len > RECORD_DEVICE_MAX || !buf_valid_utf8(device.data, device.len))
		return false;
	for (uint32_t i = 0; i < device.len; i++)
		if ((unsigned char) device.data[i] < ' ')
			return false;
	return true;
}

/* A VIN without a key: all of these look the same. */
static bool
is_withheld(Str own_name, Str device)
{
	return device.data != own_name.data && device.len == strlen(PSEUDONYM_WITHHELD) &&
		memcmp(device.data, PSEUDONYM_WITHHELD, device.len) == 0;
}

void
command_attach(CommandOwner *owner, int32_t source_id, Str own_name)
{
	Str			device = pseudonym_device(source_id, own_name);
	CommandPeer *peer = find(source_id, device);
	size_t		bucket;

	if (peer != NULL && peer->owner == owner)
		return;
	if (!is_identity(own_name) || is_withheld(own_name, device) || cf->commands_devices == 0)
		return;
	if (peer != NULL)
		peer_free(peer);
	if (npeers >= (size_t) cf->commands_devices || owner->npeers >= (size_t) cf->commands_devices_per_connection)
	{
		stats_inc(STAT_COMMAND_DEVICES_REFUSED);
		if (!devices_full)
			log_warning("command_devices_full", log_int("devices", (int64_t) npeers),
						log_int("of_connection", (int64_t) owner->npeers));
		devices_full = true;
		return;
	}
	peer = calloc(1, sizeof(*peer) + device.len + own_name.len);
	if (peer == NULL)
		return;
	peer->source_id = source_id;
	memcpy(peer->names, device.data, device.len);
	memcpy(peer->names + device.len, own_name.data, own_name.len);
	peer->device = (Str) {peer->names, device.len};
	peer->own_name = (Str) {peer->names + device.len, own_name.len};
	peer->owner = owner;
	peer->owner_next = owner->peers;
	if (owner->peers != NULL)
		owner->peers->owner_prev = peer;
	owner->peers = peer;
	owner->npeers++;
	bucket = device_bucket(source_id, device);
	peer->device_next = by_device[bucket];
	by_device[bucket] = peer;
	npeers++;
	show_counts();
	list_add(peer);				/* of PEER_REST, which is 0 */
	peer_set_state(peer, PEER_ASK);
}

void
command_detach(CommandOwner *owner)
{
	while (owner->peers != NULL)
		peer_free(owner->peers);
	devices_full = false;
}

static CommandPeer *
answering(const CommandOwner *owner, int32_t source_id, const Answer *answer)
{
	CommandPeer *peer;

	if (answer->device.len > 0)
	{
		peer = find(source_id, pseudonym_device(source_id, answer->device));
		return peer != NULL && peer->flying_id != 0 && peer->flying_id == answer->command_id ? peer : NULL;
	}
	peer = owner->in_flight > 0 ? owner->peers : NULL;
	while (peer != NULL && (peer->flying_id == 0 ||
							(answer->command_id != 0 && peer->flying_id != answer->command_id)))
		peer = peer->owner_next;
	return peer;
}

void
command_answer(CommandOwner *owner, int32_t source_id, const Answer *answer)
{
	CommandPeer *peer = answering(owner, source_id, answer);
	int64_t		id;

	if (peer == NULL)
	{
		/* Too late, or to what came over a connection before this: the database knows. */
		stats_inc(STAT_COMMAND_ANSWERS_STRAY);
		log_info("command_answer_unexpected", log_int("command", answer->command_id));
		if (answer->command_id > 0 && nreports < LATE_REPORTS_MAX &&
			(answer->device.len == 0 || is_identity(answer->device)))
			report_from(answer->command_id, answer->ok ? REPORT_CONFIRMED : REPORT_FAILED, answer->text,
						source_id, pseudonym_device(source_id, answer->device));
		return;
	}
	id = peer->flying_id;
	stats_inc(answer->ok ? STAT_COMMANDS_CONFIRMED : STAT_COMMANDS_FAILED);
	log_debug("command_answered", log_int("command", id), log_int("vehicle", peer->vehicle_id),
			  log_str("outcome", answer->ok ? "confirmed" : "failed"));
	report(id, answer->ok ? REPORT_CONFIRMED : REPORT_FAILED, answer->text);
	peer_landed(peer);
	if (peer->state == PEER_FLYING)
		peer_set_state(peer, PEER_ASK);
	else
		peer->woken = true;
}

/* --- what the database said --- */

void
queue_asked(CommandPeer *peer, int64_t vehicle_id, int64_t command_id, int64_t now_us)
{
	if (peer->vehicle_id != vehicle_id)
	{
		if (peer->vehicle_id != 0)
			vehicle_unlink(peer);
		peer->vehicle_id = vehicle_id;
		peer->unknown = 0;
		if (vehicle_id != 0)
			vehicle_link(peer);
	}
	/* The one in flight was finished otherwise: cancelled, say. */
	if (peer->flying_id != 0 && peer->flying_id != command_id)
		peer_landed(peer);
	if (command_id == 0 || command_id == peer->last_id || elsewhere(peer, command_id))
	{
		if (vehicle_id == 0)
		{
			/* It may be registered any moment, as by its own first report. */
			peer_later(peer, now_us + (UNKNOWN_US << peer->unknown));
			if (peer->unknown < UNKNOWN_MAX)
				peer->unknown++;
			return;
		}
		peer_rest(peer, now_us);
		if (peer->woken)
			peer_set_state(peer, PEER_ASK);
		return;
	}
	peer->command_id = command_id;
	peer_set_state(peer, PEER_CLAIM);
}

/* Writes the one it has; true when the matter is closed, and the peer perhaps gone. */
static bool
deliver(CommandPeer *peer, const Command *command, int64_t expires_us, int64_t write_by_us, int64_t now_us)
{
	CommandOwner *owner = peer->owner;
	int64_t		id = command->id;
	int64_t		vehicle_id = peer->vehicle_id;
	const char *why = "";

	if (now_us >= write_by_us || now_us >= expires_us)
	{
		stats_inc(STAT_COMMANDS_RELEASED);
		report(id, REPORT_RELEASED, (Str) {NULL, 0});
		peer_later(peer, now_us + 1000000);
		return true;
	}
	/* Should the connection end meanwhile, nobody knows whether it was written. */
	peer->command_id = 0;
	switch (owner->ops->write(owner->arg, command, expires_us, &why))
	{
		case COMMAND_SENT:
			stats_inc(STAT_COMMANDS_SENT);
			log_debug("command_sent", log_int("command", id), log_int("vehicle", vehicle_id),
					  log_int("source", peer->source_id));
			peer->last_id = peer->flying_id = id;
			peer->expires_us = expires_us;
			owner->in_flight++;
			nflying++;
			show_counts();
			peer_rest(peer, now_us);
			return true;
		case COMMAND_REFUSED:
			stats_inc(STAT_COMMANDS_UNSUPPORTED);
			log_info("command_unsupported", log_int("command", id), log_int("vehicle", vehicle_id),
					 log_str("reason", why));
			report(id, REPORT_UNSUPPORTED, (Str) {why, (uint32_t) strlen(why)});
			peer->last_id = id;
			peer_set_state(peer, PEER_ASK);
			return true;
		case COMMAND_GONE:
			return true;
		case COMMAND_LATER:
			peer->command_id = id;
			break;
	}
	return false;
}

static char *
keep(char *at, Str *text)
{
	memcpy(at, text->data, text->len);
	text->data = at;
	return at + text->len;
}

void
queue_granted(CommandPeer **slot, const Grant *grant, int64_t now_us)
{
	CommandPeer *peer = *slot;
	char	   *at;

	if (peer == NULL)
	{
		stats_inc(STAT_COMMANDS_RELEASED);
		report(grant->command.id, REPORT_RELEASED, (Str) {NULL, 0});
		return;
	}
	if (deliver(peer, &grant->command, grant->expires_us, grant->write_by_us, now_us))
		return;
	/* The connection is busy: kept until it is not, for as long as it may be written. */
	at = malloc(grant->command.name.len + grant->command.arguments.len + grant->command.expires.len + 1);
	if (at == NULL)
	{
		report(grant->command.id, REPORT_RELEASED, (Str) {NULL, 0});
		peer_later(peer, now_us + AGAIN_US);
		return;
	}
	peer->command = grant->command;
	peer->command.device = peer->own_name;
	peer->text = at;
	at = keep(at, &peer->command.name);
	at = keep(at, &peer->command.arguments);
	(void) keep(at, &peer->command.expires);
	peer->expires_us = grant->expires_us;
	peer->write_by_us = grant->write_by_us;
	peer_set_state(peer, PEER_READY);
}

void
queue_not_granted(CommandPeer *peer, int64_t wait_us, int64_t now_us)
{
	if (wait_us > 0)
	{
		stats_inc(STAT_COMMANDS_LEASED);
		peer_later(peer, now_us + wait_us);
		return;
	}
	peer_rest(peer, now_us);
	if (peer->woken)
		peer_set_state(peer, PEER_ASK);
}

void
queue_failed(CommandPeer **slots, size_t n, int64_t now_us)
{
	for (size_t i = 0; i < n; i++)
		if (slots[i] != NULL)
			peer_later(slots[i], now_us + AGAIN_US);
}

static void
wake(CommandPeer *peer)
{
	switch (peer->state)
	{
		case PEER_REST:
		case PEER_FLYING:
		case PEER_LATER:
			peer_set_state(peer, PEER_ASK);
			break;
		case PEER_ASKED:
		case PEER_CLAIMING:
			peer->woken = true;
			break;
		case PEER_ASK:
		case PEER_CLAIM:
		case PEER_READY:
		case PEER_STATES:
			break;
	}
}

static void
wake_all(PeerState state)
{
	for (CommandPeer *peer = lists[state].head, *next; peer != NULL; peer = next)
	{
		next = peer->next;
		wake(peer);
	}
}

void
queue_wake(int64_t vehicle_id)
{
	if (vehicle_id == 0)
	{
		wake_all(PEER_REST);
		wake_all(PEER_FLYING);
		wake_all(PEER_LATER);
		return;
	}
	for (CommandPeer *peer = by_vehicle[vehicle_bucket(vehicle_id)], *next; peer != NULL; peer = next)
	{
		next = peer->vehicle_next;
		if (peer->vehicle_id == vehicle_id)
			wake(peer);
	}
}

/* --- time --- */

/*
 * Each of a list once, from its front to its end: what is done with one may take
 * others away, and adds none that has not been looked at.
 */
static CommandPeer *
next_of(PeerState state)
{
	CommandPeer *peer = lists[state].head;

	if (peer != NULL)
	{
		list_remove(peer);
		list_add(peer);
	}
	return peer;
}

void
queue_sweep(int64_t now_us)
{
	CommandPeer *peer;

	for (size_t n = lists[PEER_FLYING].n; n > 0 && (peer = next_of(PEER_FLYING)) != NULL; n--)
	{
		CommandOwner *owner = peer->owner;

		if (now_us >= peer->expires_us)
		{
			stats_inc(STAT_COMMANDS_UNANSWERED);
			log_info("command_unanswered", log_int("command", peer->flying_id), log_int("vehicle", peer->vehicle_id));
			peer_landed(peer);
			peer_set_state(peer, PEER_ASK);
			owner->ops->expired(owner->arg);
		}
		else if (now_us >= peer->again_us)
			peer_set_state(peer, PEER_ASK);
	}
	for (size_t n = lists[PEER_READY].n; n > 0 && (peer = next_of(PEER_READY)) != NULL; n--)
		(void) deliver(peer, &peer->command, peer->expires_us, peer->write_by_us, now_us);
	for (CommandPeer *next = lists[PEER_LATER].head; (peer = next) != NULL;)
	{
		next = peer->next;
		if (now_us >= peer->again_us)
			peer_set_state(peer, PEER_ASK);
	}
	/* In the order of their time, but for a reload. */
	while (lists[PEER_REST].head != NULL && now_us >= lists[PEER_REST].head->again_us)
		peer_set_state(lists[PEER_REST].head, PEER_ASK);
}

void
queue_reset(void)
{
	queue_reports_done(nreports);
	on_work = NULL;
}

void
queue_on_work(void (*work) (void))
{
	on_work = work;
}
