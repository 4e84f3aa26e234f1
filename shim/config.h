/*
 * config.h
 *	  The settings: one table reads them, checks them, shows them and reloads
 *	  them.  docs/config.md has a heading for each row of it.
 */
#ifndef SHIM_CONFIG_H
#define SHIM_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "access.h"
#include "tls.h"

#define CONFIG_LISTENERS_MAX 64
#define CONFIG_SOURCES_MAX 64
#define CONFIG_ERROR_MAX 512

struct Adapter;
struct Mapping;
struct json_object;
struct PseudonymKeys;
struct TeltonikaIo;

typedef struct ListenerConfig
{
	char	   *adapter_name;
	char	   *address;		/* host:port, [v6]:port */
	char	   *transport;		/* "tcp" or "udp" */
	char	   *mapping_name;	/* of peers that name none; NULL: the default */
	int64_t		source;			/* of peers without a token: they claim an identity, or
								 * prove it by certificate; else 0 */
	char	  **devices;		/* identities that may send, sorted; none: the tenant decides */
	size_t		ndevices;
	Network    *allow;			/* who may connect; none: everybody */
	size_t		nallow;
	char	   *topic;			/* pattern of topics, for mqtt */
	bool		sack;			/* answer messages that need not be, for gl200 */
	char	   *command_topic;	/* pattern of the topic for commands, for mqtt */
	char	   *tls_certificate;	/* NULL: no TLS */
	char	   *tls_key;
	char	   *tls_client_ca;	/* NULL: clients show no certificate */
	char	   *tls_client_crl; /* NULL: none is revoked */
	bool		tls_client_required;	/* who shows none is turned away */
	char	   *tls_client_name;	/* what of it is the device: see tls_peer_name; or "none" */
	char	   *tls_client_pattern; /* "prefix%suffix" around the device; NULL: "%" */
	const struct Adapter *adapter;
	TlsContext *tls;			/* NULL: no TLS */
} ListenerConfig;

typedef enum SourceKind
{
	SOURCE_MQTT_BROKER,
	SOURCE_KAFKA
} SourceKind;

/* What fleetd fetches from, as a client. */
typedef struct SourceConfig
{
	char	   *adapter_name;
	SourceKind	kind;			/* by that name */
	char	   *server;			/* host:port, [v6]:port */
	int64_t		source;			/* source_id of the reports */
	char	   *topic;			/* pattern of topics */
	char	   *group;			/* of a shared subscription; "": none */
	char	   *client_id;		/* "": from the name of the host */
	char	   *user;			/* NULL: none */
	char	   *password;		/* NULL: none */
	char	   *password_file;	/* that it was read from; NULL: none */
	char	   *mapping_name;	/* NULL: the default */
	int64_t		version;		/* of MQTT: 5, or 4 for 3.1.1 */
	int64_t		window;			/* messages without PUBACK */
	int64_t		keep_alive_seconds;
	int64_t		session_seconds;
	/* of kafka only */
	char	   *brokers;		/* host:port, ... */
	struct json_object *topics; /* list of strings */
	char	   *mechanism;		/* of SASL; NULL: as kafka_conf.c has it */
	char	   *device_from;	/* see kafka_device_parse */
	int64_t		in_flight;		/* messages without commit */
	struct json_object *options;	/* settings of librdkafka; NULL: none */
	char	   *tls_ca;			/* NULL: no TLS */
	char	   *tls_certificate;	/* NULL: none */
	char	   *tls_key;
	TlsContext *tls;			/* NULL: no TLS */
} SourceConfig;

typedef struct NamedMapping
{
	char	   *name;
	struct Mapping *mapping;
} NamedMapping;

typedef struct Config
{
	char	   *database;
	int64_t		connections;
	int64_t		batch_rows;
	int64_t		batch_milliseconds;
	int64_t		queue_high_bytes;
	int64_t		queue_low_bytes;
	int64_t		commit_seconds;
	int64_t		tick_seconds;
	int64_t		revocation_seconds;
	int64_t		auth_cache_seconds;
	int64_t		auth_cache_entries;
	int64_t		auth_waiting;
	int64_t		auth_failures;
	int64_t		auth_failure_seconds;
	int64_t		limit_connections;
	int64_t		limit_connections_per_address;
	int64_t		limit_frame_bytes;
	int64_t		limit_first_frame_bytes;
	int64_t		limit_input_bytes;
	int64_t		limit_output_bytes;
	int64_t		limit_read_bytes;
	int64_t		limit_auth_seconds;
	int64_t		limit_idle_seconds;
	int64_t		limit_write_seconds;
	int64_t		limit_datagrams;
	int64_t		limit_device_per_second;
	int64_t		limit_source_per_second;
	int64_t		http_body_bytes;
	int64_t		http_header_bytes;
	int64_t		http_connections;
	int64_t		http_idle_seconds;
	int64_t		http_commit_seconds;
	int64_t		log_level;		/* a LogLevel */
	int64_t		log_lines_per_second;
	int64_t		drain_seconds;
	int64_t		commands_devices;
	int64_t		commands_devices_per_connection;
	int64_t		commands_poll_seconds;
	ListenerConfig *listeners;
	size_t		nlisteners;
	SourceConfig *sources;
	size_t		nsources;
	NamedMapping *mappings;
	size_t		nmappings;
	struct TeltonikaIo *teltonika_io;	/* elements with names of one's own */
	size_t		nteltonika_io;
	char	   *pseudonym_key_file; /* NULL: no keys */
	struct PseudonymKeys *pseudonym_keys;	/* what it holds */
} Config;

/* The settings in force; never NULL after main has read them. */
extern const Config *cf;

/* NULL with a message, which names the setting, in err. */
extern Config *config_parse(const char *text, size_t len, char *err, size_t errlen);
extern Config *config_read(const char *path, char *err, size_t errlen);
extern void config_free(Config *config);

/*
 * Takes over from next what may change while running and frees the rest.
 * Logs what changed, and warns of what only a restart can change.
 */
extern void config_reload(Config *next);

/* Makes it the one in force, at the start. */
extern void config_set(Config *config);

/*
 * The mapping of that name, the default one for NULL or "default"; NULL when
 * there is none.  A reload frees mappings: keep the name, not the pointer,
 * past one turn of the event loop (config_generation tells).
 */
extern const struct Mapping *config_mapping(const char *name);
extern unsigned config_generation(void);

/* May this address (IPv6, or IPv4 mapped into it) connect? */
static inline bool
config_allows(const ListenerConfig *listener, const unsigned char *address)
{
	return listener->nallow == 0 || networks_hold(listener->allow, listener->nallow, address);
}

/* May a device of this identity send through this listener? */
static inline bool
config_allows_device(const ListenerConfig *listener, const char *device, size_t len)
{
	return listener->ndevices == 0 || names_hold(listener->devices, listener->ndevices, device, len);
}

/* One line for each setting: --help; headings only: the check of the document. */
extern void config_print_help(void);
extern void config_print_names(void);

#endif							/* SHIM_CONFIG_H */
