/*
 * command.h
 *	  Commands to devices: from the database, down the connection that the device
 *	  has here, and what it says back to the database.
 *
 * Whoever has connections of devices embeds a CommandOwner in each and attaches
 * the devices.  command_queue.c keeps them, command.c talks to the database.
 */
#ifndef SHIM_COMMAND_H
#define SHIM_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "adapter.h"

struct event_base;
typedef struct CommandPeer CommandPeer;

typedef enum CommandWrite
{
	COMMAND_SENT,				/* its bytes are on their way */
	COMMAND_LATER,				/* nothing was written: try again */
	COMMAND_REFUSED,			/* the protocol has no words for it: why */
	COMMAND_GONE				/* the connection has ended, and command_detach was called */
} CommandWrite;

typedef struct CommandOwnerOps
{
	/*
	 * Not a byte of it may leave from expires_us (clock_us) on: what is left
	 * then goes with the connection.
	 */
	CommandWrite (*write) (void *arg, const Command *command, int64_t expires_us, const char **why);
	/* That time came without an answer; may end the connection. */
	void		(*expired) (void *arg);
	/* Nothing that was written waits for an answer any more. */
	void		(*settled) (void *arg);
} CommandOwnerOps;

/* Zeroed, with ops, arg and opened_us set, when its connection begins. */
typedef struct CommandOwner
{
	const CommandOwnerOps *ops;
	void	   *arg;
	int64_t		opened_us;		/* clock_us */
	CommandPeer *peers;
	size_t		npeers;
	size_t		in_flight;		/* of them with a command that is not answered */
} CommandOwner;

/*
 * A device that takes commands is there.  Again for one that is there already
 * costs a look-up.  One that was attached to another owner is here now.
 */
extern void command_attach(CommandOwner *owner, int32_t source_id, Str device);

/* The owner has no devices any more. */
extern void command_detach(CommandOwner *owner);

/* With a device in it, it may come over another connection of the source. */
extern void command_answer(CommandOwner *owner, int32_t source_id, const Answer *answer);

/* --- for main.c --- */
extern bool command_start(struct event_base *base);
extern void command_stop(void);

/* Answers that the database has not heard of. */
extern size_t command_busy(void);

#endif							/* SHIM_COMMAND_H */
