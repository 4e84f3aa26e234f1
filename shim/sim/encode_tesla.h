/*
 * encode_tesla.h
 *	  Messages of cars and the answers to them, as they stand in WebSocket frames.
 */
#ifndef SIM_ENCODE_TESLA_H
#define SIM_ENCODE_TESLA_H

#include "util.h"

/* A frame with a message of topic V under that id. */
extern void tesla_put_message(Buffer *out, const char *txid, const char *payload, size_t len);

typedef enum TeslaAnswerKind
{
	TESLA_ANSWER_STORED,
	TESLA_ANSWER_REFUSED,
	TESLA_ANSWER_CLOSED			/* goodbye: nothing will follow */
} TeslaAnswerKind;

typedef struct TeslaAnswer
{
	TeslaAnswerKind kind;
	const char *txid;			/* in the bytes that were read */
	size_t		txid_len;
} TeslaAnswer;

/* The frame that data begins with: its length, 0 when there is more to come, -1 when it is none. */
extern int	tesla_take_answer(const char *data, size_t len, TeslaAnswer *out);

#endif							/* SIM_ENCODE_TESLA_H */
