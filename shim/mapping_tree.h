/*
 * mapping_tree.h
 *	  A compiled mapping, as the two decoders walk it: a tree of members, and
 *	  what becomes of a scalar found at a node.
 */
#ifndef SHIM_MAPPING_TREE_H
#define SHIM_MAPPING_TREE_H

#include <string.h>

#include "json_value.h"
#include "mapping.h"

#define MAPPING_NODES_MAX 1024
#define MAPPING_ROOT 0
#define MAPPING_UNKNOWN (-1)	/* a place that the mapping does not mention */

typedef enum MappingField
{
	FIELD_DEVICE,
	FIELD_EVENT_TIME,
	FIELD_RECEIVED_AT,
	FIELD_LATITUDE,
	FIELD_LONGITUDE,
	FIELD_ALTITUDE,
	FIELD_ACCURACY,
	FIELD_SPEED,
	FIELD_HEADING,
	FIELD_SCHEMA_VERSION,
	FIELD_SIGNAL				/* from here on it is no column */
} MappingField;

typedef struct MappingChoice
{
	Str			key;			/* the value as text */
	JsonScalar	value;			/* what it means; null: nothing */
} MappingChoice;

typedef struct MappingTarget
{
	MappingField field;
	Str			name;			/* of the column or the signal */
	bool		scaled;
	double		scale;
	double		offset;
	bool		number_in_text; /* a string that holds a number will do */
	double		time_unit_us;	/* of a number as time; 0: by its size */
	int32_t		zone_seconds;	/* of a time without zone, or TIME_NO_ZONE */
	size_t		nchoices;
	MappingChoice *choices;
	const JsonScalar *otherwise;	/* for a value that is no choice; NULL: malformed */
} MappingTarget;

/* Does the target take a value as it is? */
static inline bool
mapping_target_plain(const MappingTarget *target)
{
	return !target->scaled && !target->number_in_text && target->nchoices == 0;
}

typedef struct MappingNode
{
	const MappingTarget *target;	/* NULL: none */
	bool		has_children;
	bool		has_elements;	/* a child is the index of an array's element */
	Str			flat;			/* name that members not mentioned begin with */
} MappingNode;

/* One member of one node; key_words tells most keys apart without memcmp. */
typedef struct MappingEdge
{
	uint64_t	key_words[2];
	const char *key;
	uint32_t	key_len;
	uint16_t	from;
	uint16_t	to;				/* 0: an empty slot, as nothing leads to the root */
} MappingEdge;

struct Mapping
{
	char	   *name;
	bool		keep_others;
	size_t		nnodes;
	MappingNode *nodes;
	MappingEdge *edges;			/* hash table, open addressing */
	uint32_t	edge_mask;
	void	   *memory;			/* list of what mapping_free frees */
};

/* Two words that together hold every byte of a key of up to 16. */
static inline void
mapping_key_words(const char *key, size_t len, uint64_t words[2])
{
	if (len >= 8)
	{
		memcpy(&words[0], key, 8);
		memcpy(&words[1], key + len - 8, 8);
	}
	else if (len >= 4)
	{
		uint32_t	head;
		uint32_t	tail;

		memcpy(&head, key, 4);
		memcpy(&tail, key + len - 4, 4);
		words[0] = head;
		words[1] = tail;
	}
	else
	{
		words[0] = 0;
		words[1] = 0;
		for (size_t i = 0; i < len; i++)
			words[0] = words[0] << 8 | (unsigned char) key[i];
	}
}

static inline uint32_t
mapping_key_hash(const uint64_t words[2], size_t len, uint32_t owner)
{
	uint64_t	h = (words[0] ^ (words[1] << 7 | words[1] >> 57)) + len * UINT64_C(0x9E3779B97F4A7C15) +
		owner * UINT64_C(0xC2B2AE3D27D4EB4F);

	h ^= h >> 32;
	h *= UINT64_C(0xD6E8FEB86659FD93);
	return (uint32_t) (h >> 32);
}

/* The member's node; MAPPING_UNKNOWN when the mapping does not mention it. */
static inline int
mapping_child(const Mapping *mapping, int node, const char *key, size_t len,
			  const uint64_t words[2])
{
	uint32_t	slot = mapping_key_hash(words, len, (uint32_t) node);

	for (;; slot++)
	{
		const MappingEdge *edge = &mapping->edges[slot & mapping->edge_mask];

		if (edge->to == 0)
			return MAPPING_UNKNOWN;
		if (edge->key_words[0] == words[0] && edge->key_words[1] == words[1] &&
			edge->key_len == len && edge->from == node &&
			(len <= 16 || memcmp(edge->key + 8, key + 8, len - 16) == 0))
			return edge->to;
	}
}

/* --- names of members that the mapping does not mention --- */
/* One byte longer than a name may be, to see that it is too long. */
typedef struct FlatName
{
	uint32_t	len;
	char		data[RECORD_NAME_MAX + 1];
} FlatName;

/* prefix + "_" + key, as docs/mapping.md says.  No prefix: len 0. */
extern void mapping_flat_name(FlatName *out, Str prefix, Str key);

/* --- filling a record --- */
typedef struct Fill
{
	Record	   *record;
	bool		stable;			/* strings of scalars outlive the record */
} Fill;

/* A scalar where a target is. */
extern void mapping_put(const Fill *fill, const MappingTarget *target, const JsonScalar *scalar);

/* A scalar that becomes a signal as it is.  The name is stable or will be copied. */
extern void mapping_put_signal(const Fill *fill, Str name, bool name_stable,
							   const JsonScalar *scalar);

/* An object or array where only a scalar makes sense. */
extern void mapping_put_wrong(const Fill *fill, const MappingTarget *target);

/*
 * The scalars of an array, joined by commas into one text.  Begin, add each,
 * end.  It is built in scratch: nothing else may use that in between.
 */
typedef struct Join
{
	char	   *text;			/* NULL: no room */
	uint32_t	len;
	bool		any;
	bool		overflow;
} Join;

extern void mapping_join_begin(const Fill *fill, Join *join);
extern void mapping_join_add(Join *join, const JsonScalar *scalar);
extern void mapping_join_end(const Fill *fill, Join *join, Str name, bool name_stable);

#endif							/* SHIM_MAPPING_TREE_H */
