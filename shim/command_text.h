/*
 * command_text.h
 *	  Commands and answers as documents and as text, for adapters.
 */
#ifndef SHIM_COMMAND_TEXT_H
#define SHIM_COMMAND_TEXT_H

#include "adapter.h"

/* {"id":7,"device":"...","name":"...","arguments":{...},"expires":"..."} */
extern bool command_document(const Command *command, Buf *out) __attribute__((warn_unused_result));

/*
 * {"id":7,"ok":true,"answer":"..."}, or that as the given member of an object, is
 * handed to out->answer; device as in Answer.  False when it is none.
 */
extern bool command_read_answer(const char *text, size_t len, const char *member, Str device, Decoded *out)
			__attribute__((warn_unused_result));

/*
 * For protocols whose commands are text: the argument "text", or the name when
 * there are no arguments.  False, with why, when it is neither, or has not 1 to
 * size - 1 bytes.
 */
extern bool command_plain(const Command *command, char *text, size_t size, const char **why)
			__attribute__((warn_unused_result));

#endif							/* SHIM_COMMAND_TEXT_H */
