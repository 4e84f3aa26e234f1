/*
 * config.c
 *	  The table of settings, and the JSON file that sets them.
 */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter.h"
#include "adapters/teltonika.h"
#include "link.h"
#include "log.h"
#include "mapping.h"
#include "topic.h"

#define CONFIG_FILE_MAX ((size_t) 16 << 20)
#define KiB 1024
#define MiB (1024 * 1024)

typedef enum SettingType
{
	SETTING_STRING,
	SETTING_INTEGER,
	SETTING_LEVEL,				/* of the log */
	SETTING_NETWORKS,			/* list of ADDRESS/BITS, of a listener */
	SETTING_DEVICES,			/* list of identities, of a listener */
	SETTING_LISTENERS,			/* list; each has the rows of listener_settings */
	SETTING_SOURCES,			/* list; each has the rows of source_settings */
	SETTING_MAPPINGS,			/* name -> mapping */
	SETTING_ELEMENTS			/* id -> signal */
} SettingType;

typedef struct Setting
{
	const char *name;			/* dotted path in the file */
	SettingType type;
	size_t		offset;			/* in Config, or in ListenerConfig */
	int64_t		min;
	int64_t		max;
	const char *def;			/* default as text; NULL: must be set, or none */
	bool		reloadable;
	const char *help;
} Setting;

#define AT(member) offsetof(Config, member)
#define HERE(member) offsetof(ListenerConfig, member)
#define THERE(member) offsetof(SourceConfig, member)

static const Setting settings[] = {
	{"database", SETTING_STRING, AT(database), 0, 0, "", false,
	"connection string of the database; empty: from libpq's environment"},
	{"connections", SETTING_INTEGER, AT(connections), 1, 64, "2", false,
	"database connections for batches"},
	{"batch.rows", SETTING_INTEGER, AT(batch_rows), 1, 100000, "5000", true,
	"rows after which a batch is sent"},
	{"batch.milliseconds", SETTING_INTEGER, AT(batch_milliseconds), 1, 60000, "50", true,
	"milliseconds after which a batch is sent"},
	{"queue.high_bytes", SETTING_INTEGER, AT(queue_high_bytes), MiB, (int64_t) 64 << 30, "67108864", true,
	"bytes of uncommitted rows above which reading stops"},
	{"queue.low_bytes", SETTING_INTEGER, AT(queue_low_bytes), 0, (int64_t) 64 << 30, "33554432", true,
	"bytes of uncommitted rows below which reading goes on"},
	{"commit_seconds", SETTING_INTEGER, AT(commit_seconds), 0, 86400, "120", true,
	"seconds for a batch to commit, then its connection is replaced; 0: no limit"},
	{"tick_seconds", SETTING_INTEGER, AT(tick_seconds), 0, 3600, "1", true,
	"seconds between calls of fleet.tick(); 0: never"},
	{"auth.cache_seconds", SETTING_INTEGER, AT(auth_cache_seconds), 0, 86400, "60", true,
	"seconds for which an answer about a token holds"},
	{"auth.cache_entries", SETTING_INTEGER, AT(auth_cache_entries), 16, 1000000, "10000", true,
	"tokens whose answer is remembered"},
	{"auth.waiting", SETTING_INTEGER, AT(auth_waiting), 1, 1000000, "10000", true,
	"peers that may wait for the database to check their token"},
	{"limits.connections", SETTING_INTEGER, AT(limit_connections), 1, 1000000, "10000", true,
	"connections of stream adapters at one time"},
	{"limits.connections_per_address", SETTING_INTEGER, AT(limit_connections_per_address), 0, 1000000, "0", true,
	"the same from one address; 0: no limit"},
	{"limits.frame_bytes", SETTING_INTEGER, AT(limit_frame_bytes), 256, 16 * MiB, "65536", true,
	"bytes in a frame: a line of json"},
	{"limits.first_frame_bytes", SETTING_INTEGER, AT(limit_first_frame_bytes), 64, MiB, "1024", true,
	"bytes in the frame that authenticates"},
	{"limits.input_bytes", SETTING_INTEGER, AT(limit_input_bytes), MiB, (int64_t) 64 << 30, "67108864", true,
	"memory for unfinished frames of all connections"},
	{"limits.output_bytes", SETTING_INTEGER, AT(limit_output_bytes), 1024, 64 * MiB, "262144", true,
	"unread answers of a connection at which reading from it stops"},
	{"limits.read_bytes", SETTING_INTEGER, AT(limit_read_bytes), 4 * KiB, 16 * MiB, "131072", true,
	"bytes read from a connection before the others have their turn"},
	{"limits.auth_seconds", SETTING_INTEGER, AT(limit_auth_seconds), 1, 3600, "5", true,
	"seconds for a connection to authenticate"},
	{"limits.idle_seconds", SETTING_INTEGER, AT(limit_idle_seconds), 1, 7 * 86400, "900", true,
	"seconds without a byte after which a connection is closed"},
	{"limits.write_seconds", SETTING_INTEGER, AT(limit_write_seconds), 1, 3600, "30", true,
	"seconds for a peer to read answers that wait for it"},
	{"limits.datagrams", SETTING_INTEGER, AT(limit_datagrams), 1, 1000000, "10000", true,
	"datagrams that may wait for their commit"},
	{"limits.device_per_second", SETTING_INTEGER, AT(limit_device_per_second), 0, 1000000, "0", true,
	"reports of one device in a second; 0: no limit"},
	{"limits.source_per_second", SETTING_INTEGER, AT(limit_source_per_second), 0, 100000000, "0", true,
	"reports of one source in a second; 0: no limit"},
	{"http.body_bytes", SETTING_INTEGER, AT(http_body_bytes), 1024, 256 * MiB, "8388608", true,
	"bytes in a request's body, after decompression"},
	{"http.header_bytes", SETTING_INTEGER, AT(http_header_bytes), 1024, MiB, "16384", true,
	"bytes in a request's headers"},
	{"http.connections", SETTING_INTEGER, AT(http_connections), 1, 100000, "1000", true,
	"HTTP connections at one time, per listener"},
	{"http.idle_seconds", SETTING_INTEGER, AT(http_idle_seconds), 1, 3600, "60", true,
	"seconds without a byte after which an HTTP connection is closed"},
	{"http.commit_seconds", SETTING_INTEGER, AT(http_commit_seconds), 1, 3600, "30", true,
	"seconds for a request to commit before the answer is 503"},
	{"log.level", SETTING_LEVEL, AT(log_level), 0, 0, "info", true,
	"debug, info, warning or error"},
	{"log.lines_per_second", SETTING_INTEGER, AT(log_lines_per_second), 0, 1000000, "200", true,
	"log lines a second, for info and for warnings; 0: no limit"},
	{"drain_seconds", SETTING_INTEGER, AT(drain_seconds), 1, 3600, "30", true,
	"seconds for SIGTERM to commit what is in flight"},
	{"listeners", SETTING_LISTENERS, AT(listeners), 0, 0, NULL, false,
	"where to listen: a list of the following"},
	{"sources", SETTING_SOURCES, AT(sources), 0, 0, NULL, false,
	"what to fetch from, as a client: a list of the following"},
	{"mappings", SETTING_MAPPINGS, AT(mappings), 0, 0, NULL, true,
	"how documents of other shapes are read: name -> mapping"},
	{"teltonika.io", SETTING_ELEMENTS, AT(teltonika_io), 0, 0, NULL, true,
	"names of IO elements beyond those that are built in: id -> signal"},
};

static const Setting listener_settings[] = {
	{"listeners[].adapter", SETTING_STRING, HERE(adapter_name), 0, 0, NULL, false,
	"protocol: see --help"},
	{"listeners[].address", SETTING_STRING, HERE(address), 0, 0, NULL, false,
	"host:port, [address]:port or :port; port 0 takes a free one"},
	{"listeners[].transport", SETTING_STRING, HERE(transport), 0, 0, "tcp", false,
	"tcp or udp, for protocols that are spoken over both"},
	{"listeners[].mapping", SETTING_STRING, HERE(mapping_name), 0, 0, NULL, true,
	"mapping for peers that name none"},
	{"listeners[].source", SETTING_INTEGER, HERE(source), 1, INT32_MAX, NULL, false,
	"source_id of peers that claim an identity and cannot prove it (trackers)"},
	{"listeners[].allow", SETTING_NETWORKS, HERE(allow), 0, 0, NULL, true,
	"list of address ranges that may connect; none: all"},
	{"listeners[].devices", SETTING_DEVICES, HERE(devices), 0, 0, NULL, true,
	"list of identities that may send; none: the tenant decides"},
	{"listeners[].topic", SETTING_STRING, HERE(topic), 0, 0, "telemetry/{vehicle}", false,
	"pattern of the topics that vehicles publish to: mqtt"},
	{"listeners[].tls.certificate", SETTING_STRING, HERE(tls_certificate), 0, 0, NULL, true,
	"PEM file of the certificate and its chain"},
	{"listeners[].tls.key", SETTING_STRING, HERE(tls_key), 0, 0, NULL, true,
	"PEM file of the private key"},
	{"listeners[].tls.client_ca", SETTING_STRING, HERE(tls_client_ca), 0, 0, NULL, true,
	"PEM file of authorities; clients must show a certificate of one of them"},
};

static const Setting source_settings[] = {
	{"sources[].adapter", SETTING_STRING, THERE(adapter_name), 0, 0, NULL, false,
	"protocol: mqtt-broker"},
	{"sources[].server", SETTING_STRING, THERE(server), 0, 0, NULL, false,
	"host:port or [address]:port of the broker"},
	{"sources[].source", SETTING_INTEGER, THERE(source), 1, INT32_MAX, NULL, false,
	"source_id of what comes from there"},
	{"sources[].topic", SETTING_STRING, THERE(topic), 0, 0, "telemetry/{vehicle}", false,
	"pattern of the topics to subscribe to"},
	{"sources[].group", SETTING_STRING, THERE(group), 0, 0, "pgfleet", false,
	"group of daemons that share the messages; empty: this one gets all"},
	{"sources[].client_id", SETTING_STRING, THERE(client_id), 0, 0, "", false,
	"client identifier; empty: from the name of the host and the source"},
	{"sources[].user", SETTING_STRING, THERE(user), 0, 0, NULL, true,
	"user name at the broker"},
	{"sources[].password", SETTING_STRING, THERE(password), 0, 0, NULL, true,
	"password at the broker"},
	{"sources[].mapping", SETTING_STRING, THERE(mapping_name), 0, 0, NULL, true,
	"mapping that reads the documents"},
	{"sources[].version", SETTING_INTEGER, THERE(version), 4, 5, "5", false,
	"version of MQTT: 5, or 4 for 3.1.1"},
	{"sources[].window", SETTING_INTEGER, THERE(window), 1, 65535, "1000", false,
	"messages that the broker may send before they are acknowledged"},
	{"sources[].keep_alive_seconds", SETTING_INTEGER, THERE(keep_alive_seconds), 2, 65535, "30", false,
	"seconds after which a silent connection is given up"},
	{"sources[].session_seconds", SETTING_INTEGER, THERE(session_seconds), 0, UINT32_MAX, "4294967295", false,
	"seconds for which the broker keeps messages while fleetd is away; 4294967295: for ever"},
	{"sources[].tls.ca", SETTING_STRING, THERE(tls_ca), 0, 0, NULL, true,
	"PEM file of the authorities that may have signed the broker's certificate, or system"},
	{"sources[].tls.certificate", SETTING_STRING, THERE(tls_certificate), 0, 0, NULL, true,
	"PEM file of a certificate of fleetd's own, and its chain"},
	{"sources[].tls.key", SETTING_STRING, THERE(tls_key), 0, 0, NULL, true,
	"PEM file of its private key"},
};

#define NSOURCE_SETTINGS (sizeof(source_settings) / sizeof(source_settings[0]))
#define NSETTINGS (sizeof(settings) / sizeof(settings[0]))
#define NLISTENER_SETTINGS (sizeof(listener_settings) / sizeof(listener_settings[0]))

static const char *const level_names[] = {"debug", "info", "warning", "error"};

/* A table and the struct that it fills. */
typedef struct Table
{
	const Setting *rows;
	size_t		nrows;
	void	   *target;
	Config	   *config;
	char	   *err;
	size_t		errlen;
} Table;

const Config *cf = NULL;
static Config *current = NULL;
static unsigned generation = 0;

static bool set_defaults(Table *table);
static bool read_object(Table *table, const char *path, struct json_object *object);
static bool set_defaults(Table *table);

static bool
fail(Table *table, const char *path, const char *what)
{
	snprintf(table->err, table->errlen, "%s: %s", path, what);
	return false;
}

static bool
read_listeners(Table *table, const char *path, struct json_object *value)
{
	Config	   *config = table->config;
	size_t		n;

	if (!json_object_is_type(value, json_type_array))
		return fail(table, path, "must be a list");
	n = json_object_array_length(value);
	if (n > CONFIG_LISTENERS_MAX)
		return fail(table, path, "too many");
	config->listeners = calloc(n ? n : 1, sizeof(ListenerConfig));
	if (config->listeners == NULL)
		return fail(table, path, "out of memory");
	config->nlisteners = n;

	for (size_t i = 0; i < n; i++)
	{
		ListenerConfig *listener = &config->listeners[i];
		struct json_object *item = json_object_array_get_idx(value, i);
		char		where[64];
		char		reason[CONFIG_ERROR_MAX - 128];
		Table		inner = *table;

		snprintf(where, sizeof(where), "listeners[%zu]", i);
		if (!json_object_is_type(item, json_type_object))
			return fail(table, where, "must be an object");
		inner.rows = listener_settings;
		inner.nrows = NLISTENER_SETTINGS;
		inner.target = listener;
		if (!set_defaults(&inner) || !read_object(&inner, where, item))
			return false;
		if (!topic_pattern_valid(listener->topic))
			return fail(table, where, "\"topic\" needs one level {vehicle}");
		if (listener->adapter_name == NULL)
			return fail(table, where, "\"adapter\" is missing");
		if (listener->address == NULL)
			return fail(table, where, "\"address\" is missing");
		listener->adapter = adapter_find(listener->adapter_name);
		if (listener->adapter == NULL)
		{
			snprintf(reason, sizeof(reason), "no adapter is named \"%.64s\"", listener->adapter_name);
			return fail(table, where, reason);
		}
		if (strcmp(listener->transport, "tcp") != 0 && strcmp(listener->transport, "udp") != 0)
			return fail(table, where, "\"transport\" must be tcp or udp");
		if (listener->transport[0] == 'u' && (!listener->adapter->datagrams || listener->tls_certificate != NULL))
			return fail(table, where, listener->adapter->datagrams ? "there is no TLS over udp"
						: "this adapter does not speak udp");
		if (listener->adapter->claims && listener->source == 0)
			return fail(table, where, "\"source\" is missing: peers of this adapter prove no identity");
		if (!listener->adapter->claims && listener->source != 0)
			return fail(table, where, "\"source\" is for adapters whose peers prove no identity");
		if (listener->ndevices > 0 && !listener->adapter->claims)
			return fail(table, where, "\"devices\" is for adapters whose peers prove no identity");
		if ((listener->tls_certificate == NULL) != (listener->tls_key == NULL))
			return fail(table, where, "tls needs both \"certificate\" and \"key\"");
		if (listener->tls_client_ca != NULL && listener->tls_certificate == NULL)
			return fail(table, where, "\"client_ca\" needs \"certificate\" and \"key\"");
		if (listener->adapter->certificates && listener->tls_client_ca == NULL)
			return fail(table, where, "this adapter needs tls with \"client_ca\": peers are known by certificate");
		if (listener->tls_certificate != NULL)
		{
			listener->tls = tls_context_new(listener->tls_certificate, listener->tls_key, listener->tls_client_ca,
											reason, sizeof(reason));
			if (listener->tls == NULL)
				return fail(table, where, reason);
		}
	}
	return true;
}

static bool
read_sources(Table *table, const char *path, struct json_object *value)
{
	Config	   *config = table->config;
	size_t		n;

	if (!json_object_is_type(value, json_type_array))
		return fail(table, path, "must be a list");
	n = json_object_array_length(value);
	if (n > CONFIG_SOURCES_MAX || config->sources != NULL)
		return fail(table, path, "too many");
	config->sources = calloc(n ? n : 1, sizeof(SourceConfig));
	if (config->sources == NULL)
		return fail(table, path, "out of memory");
	config->nsources = n;

	for (size_t i = 0; i < n; i++)
	{
		SourceConfig *source = &config->sources[i];
		struct json_object *item = json_object_array_get_idx(value, i);
		char		where[64];
		char		reason[CONFIG_ERROR_MAX - 128];
		Table		inner = *table;

		snprintf(where, sizeof(where), "sources[%zu]", i);
		if (!json_object_is_type(item, json_type_object))
			return fail(table, where, "must be an object");
		inner.rows = source_settings;
		inner.nrows = NSOURCE_SETTINGS;
		inner.target = source;
		if (!set_defaults(&inner) || !read_object(&inner, where, item))
			return false;
		if (source->adapter_name == NULL)
			return fail(table, where, "\"adapter\" is missing");
		if (strcmp(source->adapter_name, "mqtt-broker") != 0)
			return fail(table, where, "\"adapter\" must be mqtt-broker");
		if (source->server == NULL)
			return fail(table, where, "\"server\" is missing");
		if (!link_address_valid(source->server))
			return fail(table, where, "\"server\" must be host:port or [address]:port");
		if (source->source == 0)
			return fail(table, where, "\"source\" is missing");
		if (!topic_pattern_valid(source->topic))
			return fail(table, where, "\"topic\" needs one level {vehicle}");
		if (strpbrk(source->group, "/+#") != NULL)
			return fail(table, where, "\"group\" must not hold / + #");
		if (strlen(source->topic) + strlen(source->group) > TOPIC_MAX - 8)
			return fail(table, where, "\"topic\" is too long");
		if (strlen(source->client_id) > UINT16_MAX)
			return fail(table, where, "\"client_id\" is too long");
		if (source->password != NULL && source->user == NULL)
			return fail(table, where, "\"password\" needs \"user\"");
		if ((source->tls_certificate == NULL) != (source->tls_key == NULL))
			return fail(table, where, "tls needs both \"certificate\" and \"key\", or neither");
		if (source->tls_certificate != NULL && source->tls_ca == NULL)
			return fail(table, where, "tls needs \"ca\"");
		if (source->tls_ca != NULL)
		{
			source->tls = tls_client_context_new(source->tls_ca, source->tls_certificate, source->tls_key,
												 reason, sizeof(reason));
			if (source->tls == NULL)
				return fail(table, where, reason);
		}
	}
	return true;
}

static bool
read_elements(Table *table, const char *path, struct json_object *value)
{
	Config	   *config = table->config;
	char		reason[CONFIG_ERROR_MAX - 128];

	if (!teltonika_read_rows(value, &config->teltonika_io, &config->nteltonika_io, reason, sizeof(reason)))
		return fail(table, path, reason);
	return true;
}

static bool
read_mappings(Table *table, const char *path, struct json_object *value)
{
	Config	   *config = table->config;

	if (!json_object_is_type(value, json_type_object))
		return fail(table, path, "must be an object");
	config->mappings = calloc((size_t) json_object_object_length(value) + 1, sizeof(NamedMapping));
	if (config->mappings == NULL)
		return fail(table, path, "out of memory");
	json_object_object_foreach(value, name, definition)
	{
		NamedMapping *named = &config->mappings[config->nmappings];
		char		where[128];
		char		reason[CONFIG_ERROR_MAX - 128];

		snprintf(where, sizeof(where), "mappings.%.64s", name);
		if (name[0] == '\0' || strlen(name) > ADAPTER_NAME_MAX || strcmp(name, "default") == 0)
			return fail(table, where, "not a name for a mapping");
		named->mapping = mapping_from_json(name, definition, reason, sizeof(reason));
		if (named->mapping == NULL)
			return fail(table, where, reason);
		named->name = strdup(name);
		config->nmappings++;
		if (named->name == NULL)
			return fail(table, where, "out of memory");
	}
	return true;
}

static bool
read_networks(Table *table, const char *path, struct json_object *value, ListenerConfig *listener)
{
	size_t		n;

	if (!json_object_is_type(value, json_type_array))
		return fail(table, path, "must be a list");
	n = json_object_array_length(value);
	free(listener->allow);
	listener->nallow = 0;
	listener->allow = calloc(n ? n : 1, sizeof(Network));
	if (listener->allow == NULL)
		return fail(table, path, "out of memory");
	for (size_t i = 0; i < n; i++)
	{
		struct json_object *item = json_object_array_get_idx(value, i);

		if (!json_object_is_type(item, json_type_string) ||
			!network_parse(json_object_get_string(item), &listener->allow[i]))
			return fail(table, path, "must hold strings such as \"10.1.0.0/16\"");
		listener->nallow++;
	}
	return true;
}

static void
free_devices(ListenerConfig *listener)
{
	for (size_t i = 0; i < listener->ndevices; i++)
		free(listener->devices[i]);
	free(listener->devices);
	listener->devices = NULL;
	listener->ndevices = 0;
}

static bool
read_devices(Table *table, const char *path, struct json_object *value, ListenerConfig *listener)
{
	size_t		n;

	if (!json_object_is_type(value, json_type_array))
		return fail(table, path, "must be a list");
	n = json_object_array_length(value);
	/* An empty list could mean nobody, or everybody. */
	if (n == 0)
		return fail(table, path, "must not be empty");
	free_devices(listener);
	listener->devices = calloc(n, sizeof(*listener->devices));
	if (listener->devices == NULL)
		return fail(table, path, "out of memory");
	for (size_t i = 0; i < n; i++)
	{
		struct json_object *item = json_object_array_get_idx(value, i);
		size_t		len;

		if (!json_object_is_type(item, json_type_string))
			return fail(table, path, "must hold strings");
		len = (size_t) json_object_get_string_len(item);
		if (len == 0 || len > DEVICE_MAX || strlen(json_object_get_string(item)) != len)
			return fail(table, path, "holds what is no identity");
		listener->devices[i] = strdup(json_object_get_string(item));
		if (listener->devices[i] == NULL)
			return fail(table, path, "out of memory");
		listener->ndevices++;
	}
	names_sort(listener->devices, n);
	return true;
}

static bool
read_value(Table *table, const Setting *setting, const char *path, struct json_object *value)
{
	char	   *at = (char *) table->target + setting->offset;
	char		reason[160];

	switch (setting->type)
	{
		case SETTING_STRING:
			{
				char	   *copy;

				if (!json_object_is_type(value, json_type_string))
					return fail(table, path, "must be a string");
				if (strlen(json_object_get_string(value)) != (size_t) json_object_get_string_len(value))
					return fail(table, path, "holds a zero byte");
				copy = strdup(json_object_get_string(value));
				if (copy == NULL)
					return fail(table, path, "out of memory");
				free(*(char **) at);
				*(char **) at = copy;
				return true;
			}
		case SETTING_INTEGER:
			{
				int64_t		number;

				if (!json_object_is_type(value, json_type_int))
					return fail(table, path, "must be a whole number");
				number = json_object_get_int64(value);
				if (number < setting->min || number > setting->max)
				{
					snprintf(reason, sizeof(reason), "must be from %lld to %lld",
							 (long long) setting->min, (long long) setting->max);
					return fail(table, path, reason);
				}
				*(int64_t *) at = number;
				return true;
			}
		case SETTING_LEVEL:
			if (json_object_is_type(value, json_type_string))
				for (int i = 0; i < 4; i++)
					if (strcmp(json_object_get_string(value), level_names[i]) == 0)
					{
						*(int64_t *) at = i;
						return true;
					}
			return fail(table, path, "must be debug, info, warning or error");
		case SETTING_NETWORKS:
			return read_networks(table, path, value, table->target);
		case SETTING_DEVICES:
			return read_devices(table, path, value, table->target);
		case SETTING_LISTENERS:
			return read_listeners(table, path, value);
		case SETTING_SOURCES:
			return read_sources(table, path, value);
		case SETTING_MAPPINGS:
			return read_mappings(table, path, value);
		case SETTING_ELEMENTS:
			return read_elements(table, path, value);
	}
	return fail(table, path, "unknown type");
}

/* A row's name below the table's own prefix: "tls.key" of "listeners[].tls.key". */
static const char *
local_name(const Setting *setting)
{
	const char *below = strstr(setting->name, "[].");

	return below ? below + 3 : setting->name;
}

/*
 * path is what the user sees; below it "prefix" is what rows are compared with.
 */
static bool
read_members(Table *table, const char *path, const char *prefix, struct json_object *object)
{
	json_object_object_foreach(object, key, value)
	{
		char		name[160];
		char		where[320];
		bool		known = false;
		size_t		n;

		snprintf(name, sizeof(name), "%s%s%.64s", prefix, prefix[0] ? "." : "", key);
		snprintf(where, sizeof(where), "%s%s%.64s", path, path[0] ? "." : "", key);
		n = strlen(name);
		for (size_t i = 0; i < table->nrows && !known; i++)
		{
			const char *row = local_name(&table->rows[i]);

			if (strcmp(row, name) == 0)
			{
				if (!read_value(table, &table->rows[i], where, value))
					return false;
				known = true;
			}
			else if (strncmp(row, name, n) == 0 && row[n] == '.')
			{
				if (!json_object_is_type(value, json_type_object))
					return fail(table, where, "must be an object");
				if (!read_members(table, where, name, value))
					return false;
				known = true;
			}
		}
		if (!known)
			return fail(table, where, "unknown setting");
	}
	return true;
}

static bool
read_object(Table *table, const char *path, struct json_object *object)
{
	return read_members(table, path, "", object);
}

static bool
set_defaults(Table *table)
{
	for (size_t i = 0; i < table->nrows; i++)
	{
		const Setting *setting = &table->rows[i];
		char	   *at = (char *) table->target + setting->offset;

		if (setting->def == NULL)
			continue;
		switch (setting->type)
		{
			case SETTING_STRING:
				*(char **) at = strdup(setting->def);
				if (*(char **) at == NULL)
					return fail(table, setting->name, "out of memory");
				break;
			case SETTING_INTEGER:
				*(int64_t *) at = strtoll(setting->def, NULL, 10);
				break;
			case SETTING_LEVEL:
				*(int64_t *) at = LOG_LEVEL_INFO;
				break;
			case SETTING_NETWORKS:
			case SETTING_DEVICES:
			case SETTING_LISTENERS:
			case SETTING_SOURCES:
			case SETTING_MAPPINGS:
			case SETTING_ELEMENTS:
				break;
		}
	}
	return true;
}

static const struct Mapping *
find_mapping(const Config *config, const char *name)
{
	static const struct Mapping *standard = NULL;

	if (name == NULL || strcmp(name, "default") == 0)
	{
		if (standard == NULL)
			standard = mapping_default();
		return standard;
	}
	for (size_t i = 0; i < config->nmappings; i++)
		if (strcmp(config->mappings[i].name, name) == 0)
			return config->mappings[i].mapping;
	return NULL;
}

/* What no single row can check. */
static bool
check(Table *table)
{
	Config	   *config = table->config;

	if (config->nlisteners == 0 && config->nsources == 0)
		return fail(table, "listeners", "at least one is needed");
	if (config->queue_low_bytes >= config->queue_high_bytes)
		return fail(table, "queue.low_bytes", "must be less than queue.high_bytes");
	if (config->limit_first_frame_bytes > config->limit_frame_bytes)
		return fail(table, "limits.first_frame_bytes", "must not be more than limits.frame_bytes");
	for (size_t i = 0; i < config->nlisteners; i++)
		if (find_mapping(config, config->listeners[i].mapping_name) == NULL)
		{
			char		where[64];

			snprintf(where, sizeof(where), "listeners[%zu].mapping", i);
			return fail(table, where, "no mapping has that name");
		}
	for (size_t i = 0; i < config->nsources; i++)
		if (find_mapping(config, config->sources[i].mapping_name) == NULL)
		{
			char		where[64];

			snprintf(where, sizeof(where), "sources[%zu].mapping", i);
			return fail(table, where, "no mapping has that name");
		}
	return true;
}

Config *
config_parse(const char *text, size_t len, char *err, size_t errlen)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *object;
	Config	   *config = calloc(1, sizeof(Config));
	Table		table = {settings, NSETTINGS, config, config, err, errlen};

	if (tokener == NULL || config == NULL || len > CONFIG_FILE_MAX)
	{
		snprintf(err, errlen, "%s", len > CONFIG_FILE_MAX ? "file is too long" : "out of memory");
		if (tokener != NULL)
			json_tokener_free(tokener);
		free(config);
		return NULL;
	}

	object = json_tokener_parse_ex(tokener, text, (int) len);
	if (object != NULL)
		for (size_t i = json_tokener_get_parse_end(tokener); i < len; i++)
			if (strchr(" \t\r\n", text[i]) == NULL)
			{
				json_object_put(object);
				object = NULL;
				break;
			}
	if (object == NULL || !json_object_is_type(object, json_type_object))
	{
		enum json_tokener_error code = json_tokener_get_error(tokener);
		size_t		end = code == json_tokener_continue ? len : json_tokener_get_parse_end(tokener);
		int			line = 1;

		for (size_t i = 0; i < end && i < len; i++)
			if (text[i] == '\n')
				line++;
		snprintf(err, errlen, "line %d: %s", line,
				 object != NULL ? "the file must hold one JSON object" :
				 code == json_tokener_success ? "text after the end of the JSON object" :
				 code == json_tokener_continue ? "the JSON object does not end" :
				 json_tokener_error_desc(code));
		json_object_put(object);
		json_tokener_free(tokener);
		free(config);
		return NULL;
	}

	if (!set_defaults(&table) || !read_object(&table, "", object) || !check(&table))
	{
		config_free(config);
		config = NULL;
	}
	json_object_put(object);
	json_tokener_free(tokener);
	return config;
}

Config *
config_read(const char *path, char *err, size_t errlen)
{
	FILE	   *file = fopen(path, "r");
	Buf			text = {0};
	Config	   *config = NULL;
	size_t		n = 0;

	if (file == NULL)
	{
		snprintf(err, errlen, "cannot open: %s", strerror(errno));
		return NULL;
	}
	for (;;)
	{
		char	   *room = buf_reserve(&text, 65536);

		if (room == NULL || (n = fread(room, 1, 65536, file)) == 0)
			break;
		buf_commit(&text, n);
		if (buf_len(&text) > CONFIG_FILE_MAX)
			break;
	}
	if (ferror(file))
		snprintf(err, errlen, "cannot read: %s", strerror(errno));
	else
		config = config_parse(buf_len(&text) ? buf_data(&text) : "", buf_len(&text), err, errlen);
	fclose(file);
	buf_release(&text);
	return config;
}

static void
free_strings(const Setting *rows, size_t nrows, void *target)
{
	for (size_t i = 0; i < nrows; i++)
		if (rows[i].type == SETTING_STRING)
			free(*(char **) ((char *) target + rows[i].offset));
}

void
config_free(Config *config)
{
	if (config == NULL)
		return;
	for (size_t i = 0; i < config->nlisteners; i++)
	{
		free_strings(listener_settings, NLISTENER_SETTINGS, &config->listeners[i]);
		tls_context_free(config->listeners[i].tls);
		free(config->listeners[i].allow);
		free_devices(&config->listeners[i]);
	}
	for (size_t i = 0; i < config->nsources; i++)
	{
		free_strings(source_settings, NSOURCE_SETTINGS, &config->sources[i]);
		tls_context_free(config->sources[i].tls);
	}
	for (size_t i = 0; i < config->nmappings; i++)
	{
		free(config->mappings[i].name);
		mapping_free(config->mappings[i].mapping);
	}
	free(config->listeners);
	free(config->sources);
	free(config->mappings);
	teltonika_free_rows(config->teltonika_io, config->nteltonika_io);
	free_strings(settings, NSETTINGS, config);
	free(config);
}

/* Memory short: the names of before stay. */
static void
use_elements(void)
{
	if (!teltonika_extend(current->teltonika_io, current->nteltonika_io))
		log_warning("setting_not_used", log_str("setting", "teltonika.io"));
}

void
config_set(Config *config)
{
	current = config;
	cf = config;
	use_elements();
	generation++;
}

static void
take_over_networks(const Setting *setting, ListenerConfig *old, ListenerConfig *new)
{
	Network    *allow = old->allow;
	size_t		nallow = old->nallow;

	if (nallow != new->nallow ||
		(nallow > 0 && memcmp(allow, new->allow, nallow * sizeof(Network)) != 0))
		log_info("setting_changed", log_str("setting", setting->name));
	old->allow = new->allow;
	old->nallow = new->nallow;
	new->allow = allow;
	new->nallow = nallow;
}

static void
take_over_devices(const Setting *setting, ListenerConfig *old, ListenerConfig *new)
{
	char	  **devices = old->devices;
	size_t		ndevices = old->ndevices;
	bool		differs = ndevices != new->ndevices;

	for (size_t i = 0; i < ndevices && !differs; i++)
		differs = strcmp(devices[i], new->devices[i]) != 0;
	if (differs)
		log_info("setting_changed", log_str("setting", setting->name));
	old->devices = new->devices;
	old->ndevices = new->ndevices;
	new->devices = devices;
	new->ndevices = ndevices;
}

/* Does the row differ?  Its value moves over when it may. */
static void
take_over(const Setting *setting, char *old, char *new, bool *warned)
{
	bool		differs;

	if (setting->type == SETTING_NETWORKS)
	{
		take_over_networks(setting, (ListenerConfig *) old, (ListenerConfig *) new);
		return;
	}
	if (setting->type == SETTING_DEVICES)
	{
		take_over_devices(setting, (ListenerConfig *) old, (ListenerConfig *) new);
		return;
	}
	old += setting->offset;
	new += setting->offset;
	if (setting->type == SETTING_STRING)
	{
		const char *a = *(char **) old;
		const char *b = *(char **) new;

		differs = (a == NULL) != (b == NULL) || (a != NULL && strcmp(a, b) != 0);
		if (differs && setting->reloadable)
		{
			char	   *swap = *(char **) old;

			*(char **) old = *(char **) new;
			*(char **) new = swap;
		}
	}
	else
	{
		differs = *(int64_t *) old != *(int64_t *) new;
		if (differs && setting->reloadable)
			*(int64_t *) old = *(int64_t *) new;
	}
	if (!differs)
		return;
	if (setting->reloadable)
		log_info("setting_changed", log_str("setting", setting->name));
	else
	{
		log_warning("setting_needs_restart", log_str("setting", setting->name));
		*warned = true;
	}
}

static void
reload_sources(Config *next)
{
	if (next->nsources != current->nsources)
		log_warning("setting_needs_restart", log_str("setting", "sources"));
	for (size_t i = 0; i < current->nsources && i < next->nsources; i++)
	{
		SourceConfig *old = &current->sources[i];
		SourceConfig *new = &next->sources[i];
		TlsContext *swap = old->tls;
		bool		warned = false;

		if ((old->tls == NULL) != (new->tls == NULL))
		{
			log_warning("setting_needs_restart", log_str("setting", "sources[].tls"), log_int("entry", (int64_t) i));
			continue;
		}
		for (size_t j = 0; j < NSOURCE_SETTINGS; j++)
			if (!source_settings[j].reloadable)
				take_over(&source_settings[j], (char *) old, (char *) new, &warned);
		if (warned)
			continue;
		for (size_t j = 0; j < NSOURCE_SETTINGS; j++)
			if (source_settings[j].reloadable)
				take_over(&source_settings[j], (char *) old, (char *) new, &warned);
		old->tls = new->tls;
		new->tls = swap;
	}
}

void
config_reload(Config *next)
{
	bool		warned = false;

	for (size_t i = 0; i < NSETTINGS; i++)
		if (settings[i].type != SETTING_LISTENERS && settings[i].type != SETTING_SOURCES &&
			settings[i].type != SETTING_MAPPINGS &&
			settings[i].type != SETTING_ELEMENTS)
			take_over(&settings[i], (char *) current, (char *) next, &warned);

	if (next->nlisteners != current->nlisteners)
		log_warning("setting_needs_restart", log_str("setting", "listeners"));
	for (size_t i = 0; i < current->nlisteners && i < next->nlisteners; i++)
	{
		ListenerConfig *old = &current->listeners[i];
		ListenerConfig *new = &next->listeners[i];
		TlsContext *swap = old->tls;

		warned = false;
		if ((old->tls == NULL) != (new->tls == NULL))
		{
			log_warning("setting_needs_restart", log_str("setting", "listeners[].tls"),
						log_int("listener", (int64_t) i));
			continue;
		}
		for (size_t j = 0; j < NLISTENER_SETTINGS; j++)
			if (!listener_settings[j].reloadable)
				take_over(&listener_settings[j], (char *) old, (char *) new, &warned);
		if (warned)
			continue;
		for (size_t j = 0; j < NLISTENER_SETTINGS; j++)
			if (listener_settings[j].reloadable)
				take_over(&listener_settings[j], (char *) old, (char *) new, &warned);
		/* Also when the names are the same: certificates are renewed in place. */
		old->tls = new->tls;
		new->tls = swap;
	}
	reload_sources(next);

	{
		NamedMapping *mappings = current->mappings;
		size_t		nmappings = current->nmappings;

		current->mappings = next->mappings;
		current->nmappings = next->nmappings;
		next->mappings = mappings;
		next->nmappings = nmappings;
	}
	{
		TeltonikaIo *rows = current->teltonika_io;
		size_t		nrows = current->nteltonika_io;

		current->teltonika_io = next->teltonika_io;
		current->nteltonika_io = next->nteltonika_io;
		next->teltonika_io = rows;
		next->nteltonika_io = nrows;
		use_elements();
	}

	/* A listener that kept its old mapping name may have lost the mapping. */
	for (size_t i = 0; i < current->nlisteners; i++)
		if (find_mapping(current, current->listeners[i].mapping_name) == NULL)
			log_warning("mapping_gone", log_int("listener", (int64_t) i),
						log_str("mapping", current->listeners[i].mapping_name));
	for (size_t i = 0; i < current->nsources; i++)
		if (find_mapping(current, current->sources[i].mapping_name) == NULL)
			log_warning("mapping_gone", log_int("entry", (int64_t) i),
						log_str("mapping", current->sources[i].mapping_name));
	generation++;
	config_free(next);
}

const struct Mapping *
config_mapping(const char *name)
{
	return find_mapping(cf, name);
}

unsigned
config_generation(void)
{
	return generation;
}

static void
print_help(const Setting *rows, size_t nrows)
{
	for (size_t i = 0; i < nrows; i++)
	{
		const char *def = rows[i].def;

		printf("  %-32s %s", rows[i].name, rows[i].help);
		if (def != NULL && def[0] != '\0')
			printf(" (default %s%s)", def, rows[i].reloadable ? "" : "; needs a restart");
		printf("\n");
	}
}

void
config_print_help(void)
{
	print_help(settings, NSETTINGS);
	print_help(listener_settings, NLISTENER_SETTINGS);
	print_help(source_settings, NSOURCE_SETTINGS);
}

void
config_print_names(void)
{
	for (size_t i = 0; i < NSETTINGS; i++)
		printf("%s\t%s\t%s\n", settings[i].name, settings[i].def ? settings[i].def : "",
			   settings[i].reloadable ? "reload" : "restart");
	for (size_t i = 0; i < NLISTENER_SETTINGS; i++)
		printf("%s\t%s\t%s\n", listener_settings[i].name,
			   listener_settings[i].def ? listener_settings[i].def : "",
			   listener_settings[i].reloadable ? "reload" : "restart");
	for (size_t i = 0; i < NSOURCE_SETTINGS; i++)
		printf("%s\t%s\t%s\n", source_settings[i].name,
			   source_settings[i].def ? source_settings[i].def : "",
			   source_settings[i].reloadable ? "reload" : "restart");
}
