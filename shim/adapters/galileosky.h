/*
 * galileosky.h
 *	  What the parts of the galileosky adapter share: galileosky.c cuts packets
 *	  and answers them, galileosky_decode.c makes records of their tags,
 *	  galileosky_tags.c knows the tags.
 */
#ifndef ADAPTERS_GALILEOSKY_H
#define ADAPTERS_GALILEOSKY_H

#include "adapter.h"

#define GALILEOSKY_HEAD 3		/* header and length */
#define GALILEOSKY_IMEI 15		/* digits */

enum
{
	GALILEOSKY_TAG_HARDWARE = 0x01,
	GALILEOSKY_TAG_FIRMWARE = 0x02,
	GALILEOSKY_TAG_IMEI = 0x03,
	GALILEOSKY_TAG_TERMINAL = 0x04,
	GALILEOSKY_TAG_TIME = 0x20,
	GALILEOSKY_TAG_PLACE = 0x30,
	GALILEOSKY_TAG_MOTION = 0x33,
	GALILEOSKY_TAG_HEIGHT = 0x34,
	GALILEOSKY_TAG_HDOP = 0x35,
	GALILEOSKY_TAG_ANSWER = 0xe1
};

/* What is left of a packet's tags. */
typedef struct GalileoskyCursor
{
	const unsigned char *p;
	size_t		left;
} GalileoskyCursor;

typedef struct GalileoskyTag
{
	uint8_t		id;
	const unsigned char *value;
	size_t		size;
} GalileoskyTag;

typedef enum GalileoskyTagStatus
{
	GALILEOSKY_TAG_OK,
	GALILEOSKY_TAG_UNKNOWN,		/* so is its size: nothing behind it can be read */
	GALILEOSKY_TAG_SHORT		/* the packet ends within it */
} GalileoskyTagStatus;

static inline uint16_t
galileosky_u16(const unsigned char *p)
{
	return (uint16_t) (p[0] | p[1] << 8);
}

static inline uint32_t
galileosky_u32(const unsigned char *p)
{
	return galileosky_u16(p) | (uint32_t) galileosky_u16(p + 2) << 16;
}

/* --- galileosky_tags.c --- */

/* The next tag of a cursor that is not at its end; only tag->id is set unless it is OK. */
extern GalileoskyTagStatus galileosky_next(GalileoskyCursor *c, GalileoskyTag *tag) __attribute__((warn_unused_result));

/* Its signals; false when the record had no room. */
extern bool galileosky_put(Record *r, const GalileoskyTag *tag) __attribute__((warn_unused_result));

/* --- galileosky_decode.c --- */

/* A packet with tags and a right sum. */
extern DecodeStatus galileosky_records(Session *session, const Frame *frame, Decoded *out) __attribute__((warn_unused_result));

#endif							/* ADAPTERS_GALILEOSKY_H */
