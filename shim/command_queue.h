/*
 * command_queue.h
 *	  Devices that are connected here, and how far each is with its commands.
 *
 * The database is asked about each device, when it comes, when it is woken
 * and now and then: which vehicle it is, and that vehicle's next command.  So
 * there is at most one command for each device in memory, and what waits for
 * vehicles that are elsewhere costs nothing.
 */
#ifndef SHIM_COMMAND_QUEUE_H
#define SHIM_COMMAND_QUEUE_H

#include "command.h"

#define COMMAND_ANSWER_MAX 4096 /* bytes of an answer that are kept */

/* Each has a list; peer_set_state alone moves a peer between them. */
typedef enum PeerState
{
	PEER_REST,					/* nothing to do until again_us */
	PEER_ASK,					/* the database is to be asked for its next command */
	PEER_ASKED,
	PEER_CLAIM,					/* command_id is to be taken */
	PEER_CLAIMING,
	PEER_READY,					/* taken; its connection does not take it yet */
	PEER_FLYING,				/* written; the answer has not come */
	PEER_LATER,					/* another daemon has it, until again_us */
	PEER_STATES
} PeerState;

struct CommandPeer
{
	PeerState	state;
	CommandPeer *prev;			/* in the list of the state, first come first */
	CommandPeer *next;
	CommandOwner *owner;
	CommandPeer *owner_prev;
	CommandPeer *owner_next;
	CommandPeer *device_next;	/* in the bucket of (source, device) */
	CommandPeer *vehicle_next;	/* in the bucket of the vehicle */

	int32_t		source_id;
	int64_t		vehicle_id;		/* 0: not known */
	unsigned	unknown;		/* answers in a row that nobody knows it */
	bool		woken;			/* while it was being asked about */
	unsigned	slot;			/* in the query that runs */
	int64_t		command_id;		/* from PEER_CLAIM to PEER_READY */
	int64_t		flying_id;		/* written to this connection and not answered; 0: none */
	int64_t		last_id;		/* last written to this connection: never twice */
	int64_t		expires_us;		/* of the one that is ready or flying */
	int64_t		write_by_us;	/* PEER_READY: then it is given back */
	int64_t		again_us;		/* PEER_REST, PEER_LATER */
	char	   *text;			/* PEER_READY: its three strings */
	Command		command;		/* PEER_READY: points into text */
	/* What the database knows it as, and what it calls itself: a VIN, perhaps. */
	Str			device;
	Str			own_name;
	char		names[];
};

/* What the database is to be told. */
typedef enum ReportOutcome
{
	REPORT_CONFIRMED,
	REPORT_FAILED,				/* the device says no */
	REPORT_UNSUPPORTED,			/* never written: text says why */
	REPORT_RELEASED				/* never written, somebody else may */
} ReportOutcome;

typedef struct Report
{
	struct Report *next;
	int64_t		command_id;
	ReportOutcome outcome;
	int32_t		source_id;		/* 0: it was sent here; else the command must have gone to this */
	size_t		device_len;		/* and to this device; 0: any of the source */
	size_t		len;			/* of text */
	char		text[];			/* UTF-8 without zero bytes; then the device */
} Report;

/* What the database answered to a claim. */
typedef struct Grant
{
	Command		command;
	int64_t		expires_us;		/* both no later than the server's */
	int64_t		write_by_us;
} Grant;

/* --- lists --- */
extern CommandPeer *queue_first(PeerState state);
extern size_t queue_count(PeerState state);
extern size_t queue_peers(void);
extern size_t queue_flying(void);

/*
 * Takes up to max peers off PEER_ASK or PEER_CLAIM into slots, as the query that runs
 * is about them.  A slot whose peer goes becomes NULL.
 */
extern size_t queue_take(PeerState from, CommandPeer **slots, size_t max);

/* --- what the database said --- */

/* command_id 0: there is none. */
extern void queue_asked(CommandPeer *peer, int64_t vehicle_id, int64_t command_id, int64_t now_us);
/* Of the peer in that slot, which may be gone. */
extern void queue_granted(CommandPeer **slot, const Grant *grant, int64_t now_us);
/* Finished, expired, or somebody else's; wait_us > 0: until then only. */
extern void queue_not_granted(CommandPeer *peer, int64_t wait_us, int64_t now_us);
/* The query failed: those in slots are asked about again after a while. */
extern void queue_failed(CommandPeer **slots, size_t n, int64_t now_us);

/* A vehicle has news; 0: all have. */
extern void queue_wake(int64_t vehicle_id);

/* --- time --- */
extern void queue_sweep(int64_t now_us);

/* --- reports --- */
extern Report *queue_reports(void);
extern size_t queue_report_count(void);
/* The first n were taken, or will never be. */
extern void queue_reports_done(size_t n);

/* Forgets everything; owners must be gone. */
extern void queue_reset(void);

/* Called when there is something to do for the database. */
extern void queue_on_work(void (*work) (void));

#endif							/* SHIM_COMMAND_QUEUE_H */
