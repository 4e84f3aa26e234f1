/*
 * feed_text.h
 *	  Short ways to feed a text protocol and to look at what came out.
 */
#ifndef TEST_FEED_TEXT_H
#define TEST_FEED_TEXT_H

#include <math.h>

#include "feed.h"
#include "tap.h"

static Feed feed;

/* A connection of its own, or a datagram, which sends that. */
static inline void
take_bytes(const Adapter *adapter, const char *bytes, size_t len, size_t step, bool datagram)
{
	feed_end(&feed);
	feed_begin(&feed, adapter, "");
	feed.session.datagram = datagram;
	feed_bytes(&feed, bytes, len, step);
}

static inline void
take(const Adapter *adapter, const char *text)
{
	take_bytes(adapter, text, strlen(text), 0, false);
}

static inline void
take_slowly(const Adapter *adapter, const char *text)
{
	take_bytes(adapter, text, strlen(text), 1, false);
}

static inline void
take_datagram(const Adapter *adapter, const char *text)
{
	take_bytes(adapter, text, strlen(text), 0, true);
}

static inline const FedRecord *
record_at(size_t i)
{
	static const FedRecord none = {.device = "(none)", .defect = "(none)"};

	return i < feed.nrecords ? &feed.records[i] : &none;
}

static inline double
number_of(size_t i, const char *name)
{
	const FedSignal *signal = feed_signal(record_at(i), name);

	return signal != NULL && signal->kind == RECORD_NUMBER ? signal->number : NAN;
}

static inline const char *
text_of(size_t i, const char *name)
{
	const FedSignal *signal = feed_signal(record_at(i), name);

	return signal != NULL && signal->kind == RECORD_TEXT ? signal->text : "(none)";
}

/* -1: there is no such boolean. */
static inline int
boolean_of(size_t i, const char *name)
{
	const FedSignal *signal = feed_signal(record_at(i), name);

	return signal != NULL && signal->kind == RECORD_BOOLEAN ? signal->boolean : -1;
}

static inline bool
is_at(size_t i, double latitude, double longitude)
{
	return fabs(record_at(i)->latitude - latitude) < 1e-6 && fabs(record_at(i)->longitude - longitude) < 1e-6;
}

/* One record, for the quarantine, with its bytes, and no answer. */
static inline bool
is_refused(const char *defect)
{
	return feed.nrecords == 1 && strcmp(feed.records[0].defect, defect) == 0 && feed.records[0].raw_len > 0 &&
		buf_len(&feed.out) == 0;
}

#endif							/* TEST_FEED_TEXT_H */
