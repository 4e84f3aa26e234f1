/*
 * udp.h
 *	  Listeners for datagrams.
 *
 * A datagram stands for itself: its frames are decoded with a session of their
 * own, and when all of them are committed the answer goes back to the address
 * that sent it.  What is lost on the way the device sends again.
 *
 * A sender's address proves nothing.  So of senders nothing is kept but what
 * waits for its commit, an answer is never longer than the datagram (or
 * UDP_ANSWER_MIN bytes), and what was refused has none.
 */
#ifndef SHIM_UDP_H
#define SHIM_UDP_H

#include <stdbool.h>
#include <stddef.h>

#define UDP_ANSWER_MIN 64		/* bytes that any answer may have */

struct event_base;
struct ListenerConfig;

/* Takes over a bound, non-blocking socket; reads from it once udp_resume was called. */
extern bool udp_start(struct event_base *base, int fd, const struct ListenerConfig *config);

/* Reads on, if the sink has room and too many datagrams do not wait already. */
extern void udp_resume(void);

/* Reads no more. */
extern void udp_drain(void);

/* Datagrams that are not answered yet. */
extern size_t udp_busy(void);
extern void udp_stop(void);

#endif							/* SHIM_UDP_H */
