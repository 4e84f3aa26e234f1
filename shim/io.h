/*
 * io.h
 *	  Reading and writing a socket, with or without TLS.
 */
#ifndef SHIM_IO_H
#define SHIM_IO_H

#include <stddef.h>

struct ssl_st;

typedef enum IoResult
{
	IO_DONE,					/* *n bytes, at least one; the handshake is over */
	IO_WANT_READ,				/* nothing now, wait until readable */
	IO_WANT_WRITE,				/* nothing now, wait until writable */
	IO_EOF,						/* the peer sends no more */
	IO_ERROR					/* the connection is of no use */
} IoResult;

/* ssl is NULL without TLS. */
extern IoResult io_handshake(struct ssl_st *ssl);
extern IoResult io_read(int fd, struct ssl_st *ssl, char *data, size_t size, size_t *n);
extern IoResult io_write(int fd, struct ssl_st *ssl, const char *data, size_t len, size_t *n);

/* Tells the peer that we send no more. */
extern void io_end(int fd, struct ssl_st *ssl);

/* Are there bytes that were decrypted and not yet read? */
extern int	io_pending(struct ssl_st *ssl);

#endif							/* SHIM_IO_H */
