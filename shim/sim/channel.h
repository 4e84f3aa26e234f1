/*
 * channel.h
 *	  A non-blocking connection, plain or TLS.
 */
#ifndef SIM_CHANNEL_H
#define SIM_CHANNEL_H

#include "util.h"

typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_st SSL;

typedef struct Channel
{
	int			fd;				/* -1: closed */
	SSL		   *ssl;			/* NULL: plain */
	bool		tls_wants_write;	/* TLS cannot go on before the socket is writable */
} Channel;

typedef enum ChannelResult
{
	CHANNEL_OK,					/* done, or at least one byte moved */
	CHANNEL_AGAIN,				/* poll first */
	CHANNEL_CLOSED				/* by the peer or an error; *reason tells */
} ChannelResult;

/* An address in HOST:PORT form, "[::1]:7001" included; dies when it has none. */
extern void channel_parse_address(const char *address, char **host, char **port);
/* A TLS setting; ca NULL accepts any certificate (a simulator tests, it does not trust). */
extern SSL_CTX *channel_tls(const char *ca);

extern ChannelResult channel_connect(Channel *c, const char *host, const char *port,
									 SSL_CTX *tls, const char **reason);
/* To be called when the socket is writable, then until it says CHANNEL_OK. */
extern ChannelResult channel_finish_connect(Channel *c, const char **reason);
extern ChannelResult channel_read(Channel *c, char *data, size_t size, size_t *got, const char **reason);
extern ChannelResult channel_write(Channel *c, const char *data, size_t len, size_t *put, const char **reason);
extern void channel_close(Channel *c);

#endif							/* SIM_CHANNEL_H */
