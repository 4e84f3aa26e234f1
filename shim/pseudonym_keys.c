/*
 * pseudonym_keys.c
 *	  The file of keys: who may read it, what stands in it, and what is made
 *	  with them.
 *
 * Keys live in memory of their own, which is wiped before it is given back, as
 * is what the file was read into.
 */
#include "pseudonym_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_FILE_MAX ((size_t) 1 << 20)
#define WORDS " \t\r"

typedef struct Parse
{
	PseudonymKeys *keys;
	KeyRing    *ring;			/* the section at hand; NULL: none yet */
	KeyRing   **ring_end;
	PseudonymKey **key_end;
	const char *wrong;			/* static text */
} Parse;

/* The last one that was written. */
static struct
{
	const PseudonymKey *key;	/* NULL: none */
	char		text[64];
	size_t		len;
	char		pseudonym[PSEUDONYM_MAX];
	size_t		pseudonym_len;
}			last;

void
pseudonym_keys_free(PseudonymKeys *keys)
{
	if (keys == NULL)
		return;
	while (keys->rings != NULL)
	{
		KeyRing    *ring = keys->rings;

		keys->rings = ring->next;
		while (ring->keys != NULL)
		{
			PseudonymKey *key = ring->keys;

			ring->keys = key->next;
			if (last.key == key)
				last.key = NULL;
			OPENSSL_cleanse(key, sizeof(*key));
			free(key);
		}
		free(ring);
	}
	free(keys);
}

static bool
wrong(Parse *parse, const char *what)
{
	parse->wrong = what;
	return false;
}

static bool
begin_ring(Parse *parse)
{
	if (parse->ring != NULL && parse->ring->keys == NULL)
		return wrong(parse, "the section before has no key");
	parse->ring = calloc(1, sizeof(*parse->ring));
	if (parse->ring == NULL)
		return wrong(parse, "out of memory");
	*parse->ring_end = parse->ring;
	parse->ring_end = &parse->ring->next;
	parse->key_end = &parse->ring->keys;
	return true;
}

/* "[default]" or "[sources 1 4]", with "all" at the end or without. */
static bool
take_section(Parse *parse, char *line)
{
	static const char form[] = "a section is [default] or [sources ID ...], with \"all\" at the end or without";
	char	   *end = strchr(line, ']');
	char	   *rest;
	char	   *word;
	bool		sources;

	if (end == NULL || end[1 + strspn(end + 1, WORDS)] != '\0')
		return wrong(parse, form);
	*end = '\0';
	word = strtok_r(line + 1, WORDS, &rest);
	sources = word != NULL && strcmp(word, "sources") == 0;
	if (word == NULL || (!sources && strcmp(word, "default") != 0))
		return wrong(parse, form);
	for (const KeyRing *ring = parse->keys->rings; !sources && ring != NULL; ring = ring->next)
		if (ring->nsources == 0)
			return wrong(parse, "there is a default section already");
	if (!begin_ring(parse))
		return false;
	while ((word = strtok_r(NULL, WORDS, &rest)) != NULL)
	{
		char	   *stop;
		long		id = strtol(word, &stop, 10);

		if (parse->ring->all)
			return wrong(parse, form);
		if (strcmp(word, "all") == 0)
		{
			parse->ring->all = parse->keys->any_all = true;
			continue;
		}
		if (!sources)
			return wrong(parse, form);
		if (*stop != '\0' || id < 1 || id > INT32_MAX)
			return wrong(parse, "not the id of a source");
		if (parse->ring->nsources == RING_SOURCES_MAX)
			return wrong(parse, "too many sources in a section");
		for (const KeyRing *ring = parse->keys->rings; ring != NULL; ring = ring->next)
			for (size_t i = 0; i < ring->nsources; i++)
				if (ring->sources[i] == (int32_t) id)
					return wrong(parse, "the source has keys already");
		parse->ring->sources[parse->ring->nsources++] = (int32_t) id;
	}
	return !sources || parse->ring->nsources > 0 || wrong(parse, form);
}

static int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
		c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "ID HEX" */
static bool
take_key(Parse *parse, char *line)
{
	PseudonymKey *key;
	char	   *rest;
	char	   *id = strtok_r(line, WORDS, &rest);
	char	   *hex = strtok_r(NULL, WORDS, &rest);
	size_t		len = hex != NULL ? strlen(hex) : 0;

	if (hex == NULL || strtok_r(NULL, WORDS, &rest) != NULL)
		return wrong(parse, "a key is its id and its hexadecimal digits");
	if (strlen(id) > PSEUDONYM_KEY_ID_MAX ||
		id[strspn(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-")] != '\0')
		return wrong(parse, "the id of a key has 1 to 16 letters, digits, - and _");
	if (len < 2 * KEY_BYTES_MIN || len > 2 * KEY_BYTES_MAX || len % 2 != 0)
		return wrong(parse, "a key has 32 to 128 hexadecimal digits");
	if (parse->ring == NULL && !begin_ring(parse))
		return false;
	for (const KeyRing *ring = parse->keys->rings; ring != NULL; ring = ring->next)
		for (const PseudonymKey *other = ring->keys; other != NULL; other = other->next)
			if (strcmp(other->id, id) == 0)
				return wrong(parse, "there is a key of that id already");
	key = calloc(1, sizeof(*key));
	if (key == NULL)
		return wrong(parse, "out of memory");
	*parse->key_end = key;
	parse->key_end = &key->next;
	memcpy(key->id, id, strlen(id));
	for (size_t i = 0; i < len; i += 2)
	{
		int			high = hex_digit(hex[i]);
		int			low = hex_digit(hex[i + 1]);

		if (high < 0 || low < 0)
			return wrong(parse, "a key has 32 to 128 hexadecimal digits");
		key->secret[key->secret_len++] = (unsigned char) (high << 4 | low);
	}
	return true;
}

/* Cuts the text into lines and words in place. */
PseudonymKeys *
pseudonym_keys_parse(char *text, size_t len, char *err, size_t errlen)
{
	Parse		parse = {calloc(1, sizeof(PseudonymKeys))};
	int			number = 0;
	bool		ok = parse.keys != NULL;

	if (!ok)
	{
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	parse.ring_end = &parse.keys->rings;
	for (size_t at = 0; ok && at < len;)
	{
		char	   *line = text + at;
		char	   *end = memchr(line, '\n', len - at);

		number++;
		at = end != NULL ? (size_t) (end - text) + 1 : len;
		text[end != NULL ? at - 1 : len] = '\0';
		line += strspn(line, WORDS);
		if (*line == '[')
			ok = take_section(&parse, line);
		else if (*line != '\0' && *line != '#')
			ok = take_key(&parse, line);
	}
	if (ok && (parse.ring == NULL || parse.ring->keys == NULL))
		ok = wrong(&parse, parse.ring == NULL ? "there is no key in it" : "the last section has no key");
	if (ok)
		return parse.keys;
	/* Never what stands there. */
	snprintf(err, errlen, "line %d: %s", number, parse.wrong);
	pseudonym_keys_free(parse.keys);
	return NULL;
}

/* What is wrong with the file itself; NULL: nothing. */
static const char *
file_fault(int fd, struct stat *st)
{
	if (fstat(fd, st) != 0)
		return strerror(errno);
	if (!S_ISREG(st->st_mode))
		return "is no regular file";
	if (st->st_uid != geteuid() && st->st_uid != 0)
		return "must belong to the user that fleetd runs as, or to root";
	if ((st->st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return "must have no rights for group and others: chmod 600";
	if ((size_t) st->st_size > KEY_FILE_MAX)
		return "is too long";
	return NULL;
}

PseudonymKeys *
pseudonym_keys_read(const char *path, char *err, size_t errlen)
{
	/* A pipe must not stop us, nor a link lead to a file of another's choice. */
	int			fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	const char *fault = fd < 0 ? (errno == ELOOP ? "is a symbolic link" : strerror(errno)) : file_fault(fd, &st);
	PseudonymKeys *keys = NULL;
	char	   *text = NULL;
	size_t		size = 0;
	size_t		n = 0;

	if (fault == NULL)
	{
		size = (size_t) st.st_size + 1;
		text = malloc(size);
		if (text == NULL)
			fault = "out of memory";
	}
	while (fault == NULL && n < size - 1)
	{
		ssize_t		got = read(fd, text + n, size - 1 - n);

		if (got < 0 && errno != EINTR)
			fault = strerror(errno);
		if (got == 0)
			break;
		if (got > 0)
			n += (size_t) got;
	}
	if (fault != NULL)
		snprintf(err, errlen, "%.200s %s", path, fault);
	else
	{
		char		reason[128];

		keys = pseudonym_keys_parse(text, n, reason, sizeof(reason));
		if (keys == NULL)
			snprintf(err, errlen, "%.200s, %s", path, reason);
	}
	if (text != NULL)
		OPENSSL_cleanse(text, size);
	free(text);
	if (fd >= 0)
		close(fd);
	return keys;
}

const KeyRing *
pseudonym_ring(const PseudonymKeys *keys, int32_t source_id)
{
	const KeyRing *of_all = NULL;

	if (keys == NULL)
		return NULL;
	for (const KeyRing *ring = keys->rings; ring != NULL; ring = ring->next)
	{
		if (ring->nsources == 0)
			of_all = ring;
		for (size_t i = 0; i < ring->nsources; i++)
			if (ring->sources[i] == source_id)
				return ring;
	}
	return of_all;
}

size_t
pseudonym_write(const PseudonymKey *key, const char *text, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char upper[RECORD_DEVICE_MAX];
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned	digest_len = 0;
	size_t		n = strlen(key->id);

	if (len > sizeof(upper))
		abort();				/* the callers see to that */
	/* One device asks for it several times in a row. */
	if (key == last.key && len == last.len && memcmp(text, last.text, len) == 0)
	{
		memcpy(out, last.pseudonym, last.pseudonym_len);
		return last.pseudonym_len;
	}
	for (size_t i = 0; i < len; i++)
		upper[i] = (unsigned char) (text[i] >= 'a' && text[i] <= 'z' ? text[i] - ('a' - 'A') : text[i]);
	if (HMAC(EVP_sha256(), key->secret, (int) key->secret_len, upper, len, digest, &digest_len) == NULL)
		abort();				/* no memory for one digest: and no VIN may pass */
	memcpy(out, key->id, n);
	out[n++] = ':';
	for (int i = 0; i < PSEUDONYM_HEX / 2; i++)
	{
		out[n++] = digits[digest[i] >> 4];
		out[n++] = digits[digest[i] & 15];
	}
	OPENSSL_cleanse(upper, len);
	if (len <= sizeof(last.text))
	{
		last.key = key;
		memcpy(last.text, text, len);
		last.len = len;
		memcpy(last.pseudonym, out, n);
		last.pseudonym_len = n;
	}
	return n;
}

/* --- the tools --- */

static void
print_line(const PseudonymKeys *keys, bool map, const char *text, size_t len, FILE *out)
{
	char		current[PSEUDONYM_MAX];
	char		older[PSEUDONYM_MAX];

	bool		vin = len == VIN_LENGTH && vin_looks_valid(text);

	for (const KeyRing *ring = keys->rings; ring != NULL; ring = ring->next)
	{
		int			n;

		if (!vin && !ring->all)
			continue;
		n = (int) pseudonym_write(ring->keys, text, len, current);

		if (!map)
			fprintf(out, "%.*s\n", n, current);
		for (const PseudonymKey *key = ring->keys->next; key != NULL; key = key->next)
		{
			fprintf(out, "%.*s", (int) pseudonym_write(key, text, len, older), older);
			if (map)
				fprintf(out, "\t%.*s", n, current);
			fprintf(out, "\n");
		}
	}
}

bool
pseudonym_print(const PseudonymKeys *keys, bool map, void *in, void *out, void *messages)
{
	char		line[256];
	int			number = 0;
	bool		ok = true;

	while (fgets(line, sizeof(line), in) != NULL)
	{
		char	   *start = line + strspn(line, WORDS);
		size_t		len = strcspn(start, WORDS "\n");
		bool		ended = strchr(line, '\n') != NULL || feof((FILE *) in);

		number++;
		if (ended && len > 0 && (keys->any_all || (len == VIN_LENGTH && vin_looks_valid(start))))
			print_line(keys, map, start, len, out);
		else if (len > 0)
		{
			fprintf(messages, "line %d: no VIN with a right check digit\n", number);
			ok = false;
		}
		while (!ended && fgets(line, sizeof(line), in) != NULL)
			ended = strchr(line, '\n') != NULL;
	}
	OPENSSL_cleanse(line, sizeof(line));
	return ok && fflush(out) == 0 && !ferror((FILE *) in);
}
