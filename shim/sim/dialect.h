/*
 * dialect.h
 *	  How a kind of tracker speaks: logs in, packs reports, is confirmed.
 *
 * A tracker cannot say all that a message has, nor as precisely: reduce() makes
 * of it what will come out at the other end, so that its fingerprint is right.
 * Reports wait as records; packet() makes a frame of some of them, and the
 * next one leaves when that is confirmed.  One device, one connection.
 */
#ifndef SIM_DIALECT_H
#define SIM_DIALECT_H

#include "message.h"

#define DIALECT_RECORDS_MAX 255
#define DIALECT_ALL (-1)			/* an answer that tells no number */

typedef struct DialectRecord
{
	const char *data;
	size_t		len;
} DialectRecord;

typedef struct Dialect
{
	const char *name;
	int			records_max;	/* in one packet, at most DIALECT_RECORDS_MAX */
	void		(*reduce) (Message *m);
	/* One record of a reduced message. */
	void		(*record) (Buffer *out, const Message *m);
	/* What a new connection says first, to be answered; NULL, or nothing written: nothing. */
	void		(*login) (Buffer *out, const char *device);
	void		(*packet) (Buffer *out, const char *device, const DialectRecord *records, int count);
	/* Damages the packet from that offset on, so that it must be refused; false: it would not be.  NULL: no refusals. */
	bool		(*spoil) (Buffer *out, size_t offset);
	/*
	 * Is that record answered?  A packet ends with one that is, and its answer
	 * counts for the whole packet, since answers come in order.  NULL: every
	 * packet is answered.
	 */
	bool		(*answered) (const DialectRecord *record);
	/*
	 * An answer at the begin of in: its length, 0 when there is more to come, -1
	 * when it is none.  taken is the number of records that it confirms; of a
	 * login, 1 or 0.  DIALECT_ALL: those of the packet.
	 */
	int			(*answer) (const char *in, size_t len, bool login, int *taken);
	/* What an answer repeats of the packet or login that it is for, taken from either; NULL: nothing. */
	uint32_t	(*mark) (const char *data, size_t len);
} Dialect;

extern const Dialect dialect_teltonika;
extern const Dialect dialect_gt06;
extern const Dialect dialect_ruptela;
extern const Dialect dialect_wialon;
extern const Dialect dialect_h02;
extern const Dialect dialect_gl200;
extern const Dialect dialect_gps103;
extern const Dialect dialect_tk103;
extern const Dialect dialect_osmand;
extern const Dialect dialect_tesla;
extern const Dialect dialect_galileosky;

/* NULL: none of that name. */
extern const Dialect *dialect_find(const char *name);

#endif							/* SIM_DIALECT_H */
