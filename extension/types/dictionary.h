/*
 * dictionary.h
 *	  The well-known signals: name, unit, kind, plausible range, COVESA VSS path.
 *
 * A number once given is never reused or changed: it is stored on disk.
 */
#ifndef FLEET_DICTIONARY_H
#define FLEET_DICTIONARY_H

#include "types/signals.h"

typedef struct WellKnownSignal
{
	uint16		id;				/* 1 and up, dense; never changes */
	const char *name;
	const char *unit;			/* UCUM-like: "%", "km", "V", "Cel"; "" for none */
	SignalKind	kind;
	double		min;			/* plausible range of a number, inclusive; */
	double		max;			/* -/+ infinity where open */
	const char *vss_path;		/* or NULL */
	const char *description;
} WellKnownSignal;

/*
 * Counts the times the dictionary has grown (1 to 255).  A map written before a
 * name became well known holds it in full; the number tells DatumGetSignals.
 */
#define DICTIONARY_GENERATION 1

extern const WellKnownSignal *dictionary_by_id(uint16 id);	/* NULL if none */
extern const WellKnownSignal *dictionary_by_name(const char *name, int name_len);
extern int	dictionary_size(void);	/* ids run from 1 to this */

#endif							/* FLEET_DICTIONARY_H */
