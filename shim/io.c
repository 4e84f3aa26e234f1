/*
 * io.c
 *	  Sockets and TLS sessions behind one set of results.
 */
#include "io.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

static IoResult
tls_result(SSL *ssl, int rc)
{
	switch (SSL_get_error(ssl, rc))
	{
		case SSL_ERROR_WANT_READ:
			return IO_WANT_READ;
		case SSL_ERROR_WANT_WRITE:
			return IO_WANT_WRITE;
		case SSL_ERROR_ZERO_RETURN:
			return IO_EOF;
		case SSL_ERROR_SSL:
			/* An end without close_notify cuts no frame that we would take. */
			if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
				return IO_EOF;
			return IO_ERROR;
		default:
			return IO_ERROR;
	}
}

IoResult
io_handshake(struct ssl_st *ssl)
{
	int			rc;

	ERR_clear_error();
	rc = SSL_do_handshake(ssl);
	return rc == 1 ? IO_DONE : tls_result(ssl, rc);
}

static IoResult
socket_result(void)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		return IO_WANT_READ;
	return IO_ERROR;
}

IoResult
io_read(int fd, struct ssl_st *ssl, char *data, size_t size, size_t *n)
{
	ssize_t		got;

	*n = 0;
	if (ssl != NULL)
	{
		IoResult	result = IO_DONE;

		/* A TLS record holds 16 kB at most; fill the room like read() does. */
		while (*n < size)
		{
			size_t		part;
			int			rc;

			ERR_clear_error();
			rc = SSL_read_ex(ssl, data + *n, size - *n, &part);
			if (rc != 1)
			{
				result = tls_result(ssl, rc);
				break;
			}
			*n += part;
		}
		return *n > 0 ? IO_DONE : result;
	}
	got = recv(fd, data, size, 0);
	if (got > 0)
	{
		*n = (size_t) got;
		return IO_DONE;
	}
	return got == 0 ? IO_EOF : socket_result();
}

IoResult
io_write(int fd, struct ssl_st *ssl, const char *data, size_t len, size_t *n)
{
	ssize_t		put;

	*n = 0;
	if (ssl != NULL)
	{
		int			rc;

		ERR_clear_error();
		rc = SSL_write_ex(ssl, data, len, n);
		return rc == 1 ? IO_DONE : tls_result(ssl, rc);
	}
	put = send(fd, data, len, MSG_NOSIGNAL);
	if (put > 0)
	{
		*n = (size_t) put;
		return IO_DONE;
	}
	return socket_result() == IO_WANT_READ ? IO_WANT_WRITE : IO_ERROR;
}

void
io_end(int fd, struct ssl_st *ssl)
{
	if (ssl != NULL)
	{
		ERR_clear_error();
		SSL_shutdown(ssl);
	}
	shutdown(fd, SHUT_WR);
}

int
io_pending(struct ssl_st *ssl)
{
	return ssl != NULL && SSL_pending(ssl) > 0;
}
