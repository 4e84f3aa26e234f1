/*
 * tracker_report.h
 *	  What adapters of trackers that write text do alike: identities, reports
 *	  begun and refused, noise between frames.
 */
#ifndef SHIM_TRACKER_REPORT_H
#define SHIM_TRACKER_REPORT_H

#include "adapter.h"

#define TRACKER_NOISE_MAX 1024	/* bytes between two frames, before a peer is none of ours */
#define TRACKER_ID_MAX 32		/* characters of an identity */
#define KMH_PER_KNOT 1.852

typedef enum TrackerClaim
{
	TRACKER_CLAIM_OK,			/* session->device is it */
	TRACKER_CLAIM_NONE,			/* empty, too long, or no identity at all */
	TRACKER_CLAIM_OTHER			/* not the one that this connection began with */
} TrackerClaim;

/* What a frame claims to be; the first claim of a connection counts. */
extern TrackerClaim tracker_claim(Session *session, Str id) __attribute__((warn_unused_result));

/* An empty record of the session's device, of now until it is told better. */
extern Record *tracker_report(const Session *session, Decoded *out);

/* To quarantine as malformed, with the frame's bytes. */
extern void tracker_refuse(const Session *session, const Frame *frame, const char *field, Decoded *out);

/* Sets the defect and the raw bytes of a record that has been begun. */
extern void tracker_defect(Record *record, const Frame *frame, const char *code, const char *field);

/*
 * The first n of len bytes are no frame.  They become one, for decode() to refuse,
 * once something follows them, or there are too many, or in a datagram.
 */
extern FrameStatus tracker_noise(const Session *session, size_t n, size_t len, Frame *out)
			__attribute__((warn_unused_result));

/* Such a frame goes to quarantine; too much of it since *noise was 0 is bad, for that reason. */
extern DecodeStatus tracker_refuse_noise(const Session *session, uint32_t *noise, const Frame *frame,
										 const char *reason, Decoded *out);

/*
 * Signals.  A text that is not UTF-8, or has control characters besides line
 * ends, becomes hexadecimal digits; an empty one is left out, as is what the
 * record has no room for.
 */
extern void tracker_put_number(Record *record, const char *name, double value);
extern void tracker_put_boolean(Record *record, const char *name, bool value);
extern void tracker_put_text(Record *record, const char *name, Str value);

/* A field that should be a decimal number; false, and no signal, when it is none. */
extern bool tracker_put_decimal(Record *record, const char *name, Str field);

/* Degrees of a compass; 360 is 0, what is none is left out. */
extern void tracker_put_heading(Record *record, Str field);

#endif							/* SHIM_TRACKER_REPORT_H */
