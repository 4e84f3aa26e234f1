/*
 * plausible.h
 *	  A report is stored although one value in it cannot be right.
 *
 * The server refuses a report in which a well-known signal is out of its range
 * or of another kind than the dictionary says.  That holds senders to their
 * contract; but trackers tell "not available" by a largest value, and their
 * place is worth more than their fuel level.
 */
#ifndef SHIM_PLAUSIBLE_H
#define SHIM_PLAUSIBLE_H

#include "record.h"

/*
 * Before a record is emitted: a well-known signal that the server would refuse
 * takes the name NAME_raw, and so does what a column cannot hold.  0 and 1 become
 * booleans where one is due, texts numbers and numbers texts.  Identification
 * numbers of vehicles are taken out of texts: the product stores none.
 *
 * A record with a defect is left as it is.
 */
extern void plausible(Record *record);

/* Would the server take that number under that name? */
extern bool plausible_number(Str name, double value) __attribute__((warn_unused_result));

/* Does a text look like a real VIN, as the server sees it? */
extern bool plausible_vin(Str text) __attribute__((warn_unused_result));

#endif							/* SHIM_PLAUSIBLE_H */
