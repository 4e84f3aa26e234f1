/*
 * pseudonym.h
 *	  VINs out of records, before anything of them reaches SQL or the log.
 *
 * A VIN becomes KEYID:HEX, the first 32 hexadecimal digits of the
 * HMAC-SHA-256 of its 17 characters in upper case under a secret key; what
 * fleet.vin_pseudonym() gives for the same key.  Neither part has 17 letters
 * and digits in a row, so a pseudonym never looks like a VIN.  Where the file of
 * keys says so, identities that are no VIN become pseudonyms likewise.
 */
#ifndef SHIM_PSEUDONYM_H
#define SHIM_PSEUDONYM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "record.h"

#define PSEUDONYM_KEY_ID_MAX 16 /* less than a VIN has */
#define PSEUDONYM_HEX 32
#define PSEUDONYM_MAX (PSEUDONYM_KEY_ID_MAX + 1 + PSEUDONYM_HEX)
#define PSEUDONYM_WITHHELD "withheld"	/* in place of an identity without a key */

/* --- keys --- */

typedef struct PseudonymKeys PseudonymKeys;

/*
 * NULL, with a reason in err, for a file that is not as it should be: also one
 * that others may read.  docs/pseudonyms.md has its form.
 */
extern PseudonymKeys *pseudonym_keys_read(const char *path, char *err, size_t errlen);
extern PseudonymKeys *pseudonym_keys_parse(char *text, size_t len, char *err, size_t errlen);
extern void pseudonym_keys_free(PseudonymKeys *keys);

/*
 * The tools: read VINs from in, a line each, and write for each the pseudonyms
 * of all keys, or the pairs old, new that a rotation needs.  False when a line
 * was none; messages tell its number only.
 */
extern bool pseudonym_print(const PseudonymKeys *keys, bool map, void *in, void *out, void *messages);

/* --- records --- */

/*
 * The record without VINs: itself when there was none, else a copy that lives
 * until the next call.  With a key for the source, pseudonyms stand in device
 * and text signals; without one the record says looks_like_vin and nothing
 * else.  In raw and in a defect's text, X is written over them in either case.
 */
extern const Record *pseudonym_record(int32_t source_id, const Record *record);

/*
 * The identity as pseudonym_record makes it, for whoever decides by identities
 * (lists of devices, rates, open connections); itself when there is no VIN in
 * it, else a text that lives until the next call.
 */
extern Str	pseudonym_device(int32_t source_id, Str device);

/* --- after a change of keys --- */

/*
 * Identities that have to be made known before the records that come with them:
 * of a VIN that is seen for the first time while its source has older keys.
 */
typedef struct Rekeys
{
	Buf			sources;		/* of arrays: elements and commas */
	Buf			old;
	Buf			new;
} Rekeys;

/* Adds what there is to tell of this device; false when memory is out. */
extern bool pseudonym_tell(int32_t source_id, Str device, Rekeys *rekeys) __attribute__((warn_unused_result));
/* Appends the SELECT that tells; nothing when there is nothing to tell. */
extern bool rekeys_sql(const Rekeys *rekeys, Buf *out) __attribute__((warn_unused_result));
extern void rekeys_release(Rekeys *rekeys);

/* Everything is to be told again: the keys changed.  At the end: frees. */
extern void pseudonym_forget(void);

#endif							/* SHIM_PSEUDONYM_H */
