/*
 * pseudonym_keys.h
 *	  What the files of pseudonym.h share: keys in memory.
 */
#ifndef SHIM_PSEUDONYM_KEYS_H
#define SHIM_PSEUDONYM_KEYS_H

#include "pseudonym.h"
#include "vin.h"

#define KEY_BYTES_MIN 16
#define KEY_BYTES_MAX 64
#define RING_SOURCES_MAX 256

typedef struct PseudonymKey
{
	struct PseudonymKey *next;	/* the next older one */
	char		id[PSEUDONYM_KEY_ID_MAX + 1];
	unsigned char secret[KEY_BYTES_MAX];
	size_t		secret_len;
} PseudonymKey;

/* A section of the file: the keys of a tenant. */
typedef struct KeyRing
{
	struct KeyRing *next;
	int32_t		sources[RING_SOURCES_MAX];
	size_t		nsources;		/* 0: of all sources that no other ring has */
	bool		all;			/* identities, also those that are no VIN */
	PseudonymKey *keys;			/* the first is the current one */
} KeyRing;

struct PseudonymKeys
{
	KeyRing    *rings;
	bool		any_all;		/* is there a ring for all identities? */
};

/* NULL when the source has none. */
extern const KeyRing *pseudonym_ring(const PseudonymKeys *keys, int32_t source_id);

/*
 * Writes KEYID:HEX for a text of up to RECORD_DEVICE_MAX bytes, in whatever
 * case; its length.  Room for PSEUDONYM_MAX.
 */
extern size_t pseudonym_write(const PseudonymKey *key, const char *text, size_t len, char *out);

#endif							/* SHIM_PSEUDONYM_KEYS_H */
