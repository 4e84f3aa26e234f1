/*
 * test_conn_tls.c
 *	  Connections that speak TLS and end at the worst moment; lists of revoked
 *	  certificates that are no files to be read.
 */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include "conn_peers.h"
#include "tls.h"

static char dir[] = "/tmp/test_conn_tls.XXXXXX";
static char certificate[64];
static char key[64];
static char list[64];

/* One that is its own authority. */
static bool
write_certificate(void)
{
	EVP_PKEY   *pair = EVP_EC_gen("P-256");
	X509	   *x = X509_new();
	FILE	   *file;
	bool		ok;

	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *) "fleetd", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_set_pubkey(x, pair);
	ok = X509_sign(x, pair, EVP_sha256()) > 0;
	file = fopen(certificate, "w");
	ok = ok && file != NULL && PEM_write_X509(file, x) == 1;
	if (file != NULL)
		fclose(file);
	file = fopen(key, "w");
	ok = ok && file != NULL && PEM_write_PrivateKey(file, pair, NULL, NULL, 0, NULL, NULL) == 1;
	if (file != NULL)
		fclose(file);
	X509_free(x);
	EVP_PKEY_free(pair);
	return ok;
}

/* A peer whose handshake is done; its socket is in *fd. */
static SSL *
peer_secure(SSL_CTX *ctx, int *fd)
{
	SSL		   *ssl = SSL_new(ctx);
	int			rc = 0;

	*fd = peer_open();
	SSL_set_fd(ssl, *fd);
	for (int i = 0; i < 100 && rc != 1; i++)
	{
		rc = SSL_connect(ssl);
		turn();
	}
	ok(rc == 1, "a peer speaks TLS");
	return ssl;
}

/* libssl is not instrumented: what it reads of freed memory shall be no address. */
const char *
__asan_default_options(void)
{
	return "max_free_fill_size=8192";
}

/* It fills a whole read and is gone before it is answered. */
static void
test_gone(SSL_CTX *ctx)
{
	static char text[4096];
	int			fd;
	SSL		   *ssl = peer_secure(ctx, &fd);

	memset(text, '\n', sizeof(text));
	memcpy(text, "{\"auth\":\"good\"}", 15);
	is_int(SSL_write(ssl, text, sizeof(text)), sizeof(text), "it sends as much as is read at once");
	SSL_free(ssl);
	peer_close(fd);
	all_gone("it is gone before the answer, and nothing of it is looked at afterwards");
}

/* As a measure of the others: one without TLS, that stays for its answer. */
static void
test_plain(void)
{
	int			fd = peer_hello();

	peer_send(fd, "{\"device\":\"car\",\"event_time\":1}\n");
	commit_all();
	is_str(peer_read(fd), "{\"ack\":1}\n", "a peer without TLS");
	peer_close(fd);
	all_gone("... has gone");
}

static void
test_list(void)
{
	TlsFiles	files = {certificate, key, certificate, NULL, true};
	char		err[256];
	TlsContext *context = tls_context_new(&files, err, sizeof(err));

	ok(context != NULL, "a server that asks for certificates");
	alarm(5);
	is_int(mkfifo(list, 0600), 0, "a pipe in the place of a list");
	ok(tls_crl_changed(context, list), "... is a change");
	ok(!tls_crl_read(context, certificate, list, err, sizeof(err)), "... and not read, so that nobody waits for it");
	printf("# %s\n", err);
	unlink(list);
	mkdir(list, 0700);
	ok(!tls_crl_read(context, certificate, list, err, sizeof(err)), "nor is a folder");
	rmdir(list);
	close(open(list, O_CREAT | O_WRONLY, 0600));
	is_int(truncate(list, (off_t) 1 << 40), 0, "a file without end");
	ok(!tls_crl_read(context, certificate, list, err, sizeof(err)), "... is not read either");
	printf("# %s\n", err);
	unlink(list);
	ok(!tls_crl_changed(context, list), "while it is gone, the list of before holds");
	unlink(certificate);
	is_int(mkfifo(certificate, 0600), 0, "a pipe in the place of a certificate");
	ok(!tls_crl_read(context, certificate, NULL, err, sizeof(err)), "... does not stop anybody as an authority");
	ok(tls_context_new(&files, err, sizeof(err)) == NULL, "... nor as the server's own");
	alarm(0);
	tls_context_free(context);
}

int
main(void)
{
	SSL_CTX    *ctx = SSL_CTX_new(TLS_client_method());
	TlsFiles	files = {certificate, key, NULL, NULL, false};
	char		err[256];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (mkdtemp(dir) == NULL || !peers_start())
		return 1;
	snprintf(certificate, sizeof(certificate), "%s/crt", dir);
	snprintf(key, sizeof(key), "%s/key", dir);
	snprintf(list, sizeof(list), "%s/crl", dir);
	ok(write_certificate(), "there is a certificate");
	test_plain();
	config->listeners[0].tls = tls_context_new(&files, err, sizeof(err));
	ok(config->listeners[0].tls != NULL, "... that fleetd takes");
	test_gone(ctx);
	test_list();
	unlink(certificate);
	unlink(key);
	rmdir(dir);
	SSL_CTX_free(ctx);
	return peers_stop();
}
