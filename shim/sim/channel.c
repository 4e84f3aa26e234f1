/*
 * channel.c
 *	  A non-blocking connection, plain or TLS.
 */
#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

void
channel_parse_address(const char *address, char **host, char **port)
{
	const char *colon = strrchr(address, ':');
	size_t		len;

	if (!colon || !colon[1])
		die("address \"%s\": HOST:PORT is expected", address);
	if (*address == '[' && colon > address && colon[-1] == ']')
	{
		address++;
		len = colon - 1 - address;
	}
	else
		len = colon - address;
	*host = xstrdup(len ? address : "127.0.0.1");
	if (len)
		(*host)[len] = '\0';
	*port = xstrdup(colon + 1);
}

SSL_CTX *
channel_tls(const char *ca)
{
	SSL_CTX    *tls = SSL_CTX_new(TLS_client_method());

	if (!tls)
		die("TLS cannot be set up");
	SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (ca)
	{
		if (SSL_CTX_load_verify_locations(tls, ca, NULL) != 1)
			die("cannot read certificates from \"%s\"", ca);
		SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
	}
	return tls;
}

ChannelResult
channel_connect(Channel *c, const char *host, const char *port, SSL_CTX *tls, const char **reason)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	int			one = 1;
	int			error = getaddrinfo(host, port, &hints, &found);
	static unsigned turn = 0;
	const struct addrinfo *address;
	unsigned	naddresses = 0;

	*c = (Channel) {.fd = -1};
	if (error)
	{
		*reason = gai_strerror(error);
		return CHANNEL_CLOSED;
	}
	/* A name may have several addresses; who tries again tries the next. */
	for (const struct addrinfo *a = found; a; a = a->ai_next)
		naddresses++;
	address = found;
	for (unsigned i = turn++ % naddresses; i > 0; i--)
		address = address->ai_next;
	c->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0 ||
		(connect(c->fd, address->ai_addr, address->ai_addrlen) < 0 && errno != EINPROGRESS))
	{
		*reason = strerror(errno);
		freeaddrinfo(found);
		channel_close(c);
		return CHANNEL_CLOSED;
	}
	freeaddrinfo(found);
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (tls)
	{
		c->ssl = SSL_new(tls);
		if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1)
			die("TLS cannot be set up");
		SSL_set_tlsext_host_name(c->ssl, host);
		SSL_set_connect_state(c->ssl);
	}
	return CHANNEL_AGAIN;
}

/* What an SSL call that returned `result` <= 0 means. */
static ChannelResult
tls_result(Channel *c, int result, const char **reason)
{
	int			error = SSL_get_error(c->ssl, result);

	c->tls_wants_write = error == SSL_ERROR_WANT_WRITE;
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return CHANNEL_AGAIN;
	if (error == SSL_ERROR_ZERO_RETURN)
		*reason = "closed by the daemon";
	else
	{
		const char *text = ERR_reason_error_string(ERR_peek_last_error());

		*reason = text ? text : "TLS connection broke";
	}
	ERR_clear_error();
	return CHANNEL_CLOSED;
}

ChannelResult
channel_finish_connect(Channel *c, const char **reason)
{
	int			error = 0;
	socklen_t	size = sizeof(error);
	int			result;

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error)
	{
		*reason = strerror(error ? error : errno);
		return CHANNEL_CLOSED;
	}
	if (!c->ssl)
		return CHANNEL_OK;
	result = SSL_do_handshake(c->ssl);
	return result == 1 ? CHANNEL_OK : tls_result(c, result, reason);
}

ChannelResult
channel_read(Channel *c, char *data, size_t size, size_t *got, const char **reason)
{
	ssize_t		n;

	*got = 0;
	if (c->ssl)
	{
		int			result = SSL_read(c->ssl, data, (int) size);

		if (result <= 0)
			return tls_result(c, result, reason);
		*got = result;
		return CHANNEL_OK;
	}
	n = recv(c->fd, data, size, 0);
	if (n > 0)
	{
		*got = n;
		return CHANNEL_OK;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return CHANNEL_AGAIN;
	*reason = n == 0 ? "closed by the daemon" : strerror(errno);
	return CHANNEL_CLOSED;
}

ChannelResult
channel_write(Channel *c, const char *data, size_t len, size_t *put, const char **reason)
{
	ssize_t		n;

	*put = 0;
	if (c->ssl)
	{
		int			result = SSL_write(c->ssl, data, len > 1 << 20 ? 1 << 20 : (int) len);

		if (result <= 0)
			return tls_result(c, result, reason);
		*put = result;
		return CHANNEL_OK;
	}
	n = send(c->fd, data, len, MSG_NOSIGNAL);
	if (n >= 0)
	{
		*put = n;
		return CHANNEL_OK;
	}
	if (errno == EAGAIN || errno == EINTR)
		return CHANNEL_AGAIN;
	*reason = strerror(errno);
	return CHANNEL_CLOSED;
}

void
channel_close(Channel *c)
{
	if (c->ssl)
		SSL_free(c->ssl);
	if (c->fd >= 0)
		close(c->fd);
	*c = (Channel) {.fd = -1};
}
