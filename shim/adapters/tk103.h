/*
 * tk103.h
 *	  What the two files of the tk103 adapter share.
 */
#ifndef SHIM_ADAPTERS_TK103_H
#define SHIM_ADAPTERS_TK103_H

#include "adapter.h"

#define TK103_TAG_LOGIN 1		/* Decoded.tag: to be answered */

/* A frame without separators: what follows its command. */
extern DecodeStatus tk103_old(Session *session, const Frame *frame, Str command, Str payload, Decoded *out);

/* One with commas: all between the parentheses. */
extern DecodeStatus tk103_new(Session *session, const Frame *frame, Str body, Decoded *out);

#endif							/* SHIM_ADAPTERS_TK103_H */
