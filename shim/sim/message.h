/*
 * message.h
 *	  One report of a vehicle before it is encoded, and its fingerprint.
 */
#ifndef SIM_MESSAGE_H
#define SIM_MESSAGE_H

#include "util.h"

#define MESSAGE_MAX_SIGNALS 64
#define MESSAGE_DEVICE_SIZE 64
#define MESSAGE_NO_TIME INT64_MIN

typedef enum MessageSignalKind
{
	MESSAGE_BOOLEAN = 1,
	MESSAGE_NUMBER,
	MESSAGE_TEXT
} MessageSignalKind;

typedef struct MessageSignal
{
	const char *name;			/* as it is stored: battery_percent */
	MessageSignalKind kind;
	double		number;			/* of a number; 0 or 1 of a boolean */
	const char *text;			/* of a text */
} MessageSignal;

typedef struct Message
{
	char		device[MESSAGE_DEVICE_SIZE];
	int64_t		time_us;		/* MESSAGE_NO_TIME: none */
	double		latitude;		/* NaN: none, here and below */
	double		longitude;
	double		altitude_m;
	double		accuracy_m;
	double		speed_kmh;
	double		heading_deg;
	int			signal_count;
	MessageSignal signals[MESSAGE_MAX_SIGNALS];
	char		made[32];		/* a text that a dialect made; a copy's signal points to the original's */
} Message;

extern void message_clear(Message *m);
extern void message_add_number(Message *m, const char *name, double value);
extern void message_add_boolean(Message *m, const char *name, bool value);
/* Keeps the pointer. */
extern void message_add_text(Message *m, const char *name, const char *text);

/*
 * Hash of everything but device and time.  It is computed from values, at the
 * precision the database keeps, so that a row of fleet.event gives the same
 * number; the order of signals does not matter.
 */
extern uint64_t message_fingerprint(const Message *m);

#endif							/* SIM_MESSAGE_H */
