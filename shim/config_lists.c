/*
 * config_lists.c
 *	  The settings that are lists: listeners with their networks and devices,
 *	  sources, mappings, elements.
 */
#include "config_int.h"

#include <json-c/json.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "adapter.h"
#include "adapters/teltonika.h"
#include "kafka.h"
#include "kafka_report.h"
#include "link.h"
#include "mapping.h"
#include "topic.h"

#define KAFKA_TOPICS_MAX 1000
#define PASSWORD_MAX 1024

/* Certificates of clients. */
static bool
check_clients(const ListenerConfig *listener, char *reason, size_t size)
{
	const char *pattern = listener->tls_client_pattern;
	const char *what = NULL;
	bool		named = listener->tls_client_ca != NULL && strcmp(listener->tls_client_name, "none") != 0;

	if (!tls_name_kind_valid(listener->tls_client_name))
		what = "\"client_name\" must be common_name, dns, uri or none";
	else if (pattern != NULL && (strchr(pattern, '%') == NULL || strchr(pattern, '%') != strrchr(pattern, '%')))
		what = "\"client_pattern\" needs one %";
	else if (listener->tls_client_ca != NULL && listener->tls_certificate == NULL)
		what = "\"client_ca\" needs \"certificate\" and \"key\"";
	else if (listener->tls_client_crl != NULL && listener->tls_client_ca == NULL)
		what = "\"client_crl\" needs \"client_ca\"";
	else if (listener->adapter->certificates && !(named && listener->tls_client_required))
		what = "this adapter needs tls with \"client_ca\": peers are known by certificate";
	else if (!listener->adapter->claims && listener->source != 0 && !named)
		what = "\"source\" is for peers that prove no identity, or one by certificate (tls with \"client_ca\")";
	if (what != NULL)
		snprintf(reason, size, "%s", what);
	return what == NULL;
}

static bool
read_listeners(Table *table, const char *path, struct json_object *value)
{
	Config	   *config = table->config;
	size_t		n;

	if (!json_object_is_type(value, json_type_array))
		return config_fail(table, path, "must be a list");
	n = json_object_array_length(value);
	if (n > CONFIG_LISTENERS_MAX)
		return config_fail(table, path, "too many");
	config->listeners = calloc(n ? n : 1, sizeof(ListenerConfig));
	if (config->listeners == NULL)
		return config_fail(table, path, "out of memory");
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
			return config_fail(table, where, "must be an object");
		inner.settings = &config_listener_rows;
		inner.target = listener;
		if (!config_set_defaults(&inner) || !config_read_object(&inner, where, item))
			return false;
		if (!topic_pattern_valid(listener->topic))
			return config_fail(table, where, "\"topic\" needs one level {vehicle}");
		if (!topic_pattern_valid(listener->command_topic))
			return config_fail(table, where, "\"command_topic\" needs one level {vehicle}");
		if (listener->adapter_name == NULL)
			return config_fail(table, where, "\"adapter\" is missing");
		if (listener->address == NULL)
			return config_fail(table, where, "\"address\" is missing");
		listener->adapter = adapter_find(listener->adapter_name);
		if (listener->adapter == NULL)
		{
			snprintf(reason, sizeof(reason), "no adapter is named \"%.64s\"", listener->adapter_name);
			return config_fail(table, where, reason);
		}
		if (strcmp(listener->transport, "tcp") != 0 && strcmp(listener->transport, "udp") != 0)
			return config_fail(table, where, "\"transport\" must be tcp or udp");
		if (listener->transport[0] == 'u' && (!listener->adapter->datagrams || listener->tls_certificate != NULL))
			return config_fail(table, where, listener->adapter->datagrams ? "there is no TLS over udp"
						: "this adapter does not speak udp");
		if (listener->adapter->claims && listener->source == 0)
			return config_fail(table, where, "\"source\" is missing: peers of this adapter prove no identity");
		if (listener->ndevices > 0 && !listener->adapter->claims)
			return config_fail(table, where, "\"devices\" is for adapters whose peers prove no identity");
		if ((listener->tls_certificate == NULL) != (listener->tls_key == NULL))
			return config_fail(table, where, "tls needs both \"certificate\" and \"key\"");
		if (!check_clients(listener, reason, sizeof(reason)))
			return config_fail(table, where, reason);
		if (listener->tls_certificate != NULL)
		{
			TlsFiles	files = {listener->tls_certificate, listener->tls_key, listener->tls_client_ca,
			listener->tls_client_crl, listener->tls_client_required};

			listener->tls = tls_context_new(&files, reason, sizeof(reason));
			if (listener->tls == NULL)
				return config_fail(table, where, reason);
		}
	}
	return true;
}

/* Settings that say something to one adapter only. */
static const char *const broker_only[] = {"server", "topic", "version", "window", "keep_alive_seconds", "session_seconds"};
static const char *const kafka_only[] = {"brokers", "topics", "mechanism", "device_from", "in_flight", "options"};

#define NNAMES(names) (sizeof(names) / sizeof((names)[0]))

static bool
has_none(Table *table, const char *where, struct json_object *item, const char *const *names, size_t n,
		 const char *adapter)
{
	char		reason[128];

	for (size_t i = 0; i < n; i++)
		if (json_object_object_get_ex(item, names[i], NULL))
		{
			snprintf(reason, sizeof(reason), "\"%s\" is not for %s", names[i], adapter);
			return config_fail(table, where, reason);
		}
	return true;
}

static bool
check_broker(Table *table, const char *where, const SourceConfig *source)
{
	if (source->server == NULL)
		return config_fail(table, where, "\"server\" is missing");
	if (!link_address_valid(source->server))
		return config_fail(table, where, "\"server\" must be host:port or [address]:port");
	if (!topic_pattern_valid(source->topic))
		return config_fail(table, where, "\"topic\" needs one level {vehicle}");
	if (strpbrk(source->group, "/+#") != NULL)
		return config_fail(table, where, "\"group\" must not hold / + #");
	if (strlen(source->topic) + strlen(source->group) > TOPIC_MAX - 8)
		return config_fail(table, where, "\"topic\" is too long");
	if (strlen(source->client_id) > UINT16_MAX)
		return config_fail(table, where, "\"client_id\" is too long");
	return true;
}

static bool
check_kafka(Table *table, const char *where, const SourceConfig *source)
{
	char		reason[CONFIG_ERROR_MAX - 128];
	KafkaDevice from;
	const char *header;

	if (source->brokers == NULL || source->brokers[0] == '\0')
		return config_fail(table, where, "\"brokers\" is missing");
	if (source->topics == NULL)
		return config_fail(table, where, "\"topics\" is missing");
	if (source->group[0] == '\0')
		return config_fail(table, where, "\"group\" must not be empty");
	if (!kafka_device_parse(source->device_from, &from, &header))
		return config_fail(table, where, "\"device_from\" must be document, key or header NAME");
	if (source->mechanism != NULL && strcmp(source->mechanism, "PLAIN") != 0 &&
		strcmp(source->mechanism, "SCRAM-SHA-256") != 0 && strcmp(source->mechanism, "SCRAM-SHA-512") != 0 &&
		strcmp(source->mechanism, "GSSAPI") != 0)
		return config_fail(table, where, "\"mechanism\" must be PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or GSSAPI");
	if (!kafka_check(source, reason, sizeof(reason)))
		return config_fail(table, where, reason);
	return true;
}

/* The password of its file, without the end of the line. */
static bool
read_password(Table *table, const char *where, SourceConfig *source)
{
	char		password[PASSWORD_MAX + 1];
	struct stat st;
	FILE	   *file;
	size_t		n;

	if (source->password != NULL)
		return config_fail(table, where, "\"password\" and \"password_file\" exclude each other");
	/* Everything would wait for who writes into a pipe. */
	if (stat(source->password_file, &st) == 0 && !S_ISREG(st.st_mode))
		return config_fail(table, where, "\"password_file\" is no regular file");
	file = fopen(source->password_file, "r");
	if (file == NULL)
		return config_fail(table, where, "cannot open \"password_file\"");
	n = fread(password, 1, sizeof(password), file);
	if (ferror(file) || n == sizeof(password))
	{
		fclose(file);
		return config_fail(table, where, "cannot read \"password_file\", or it is too long");
	}
	fclose(file);
	while (n > 0 && (password[n - 1] == '\n' || password[n - 1] == '\r'))
		n--;
	source->password = strndup(password, n);
	explicit_bzero(password, sizeof(password));
	return source->password != NULL || config_fail(table, where, "out of memory");
}

static bool
check_source(Table *table, const char *where, struct json_object *item, SourceConfig *source)
{
	char		reason[CONFIG_ERROR_MAX - 128];
	bool		kafka;

	if (source->adapter_name == NULL)
		return config_fail(table, where, "\"adapter\" is missing");
	kafka = strcmp(source->adapter_name, "kafka") == 0;
	if (!kafka && strcmp(source->adapter_name, "mqtt-broker") != 0)
		return config_fail(table, where, "\"adapter\" must be mqtt-broker or kafka");
	source->kind = kafka ? SOURCE_KAFKA : SOURCE_MQTT_BROKER;
	if (source->source == 0)
		return config_fail(table, where, "\"source\" is missing");
	if (!has_none(table, where, item, kafka ? broker_only : kafka_only,
				  kafka ? NNAMES(broker_only) : NNAMES(kafka_only), source->adapter_name))
		return false;
	if (source->password_file != NULL && !read_password(table, where, source))
		return false;
	if (source->password != NULL && source->user == NULL)
		return config_fail(table, where, "\"password\" needs \"user\"");
	if ((source->tls_certificate == NULL) != (source->tls_key == NULL))
		return config_fail(table, where, "tls needs both \"certificate\" and \"key\", or neither");
	if (source->tls_certificate != NULL && source->tls_ca == NULL)
		return config_fail(table, where, "tls needs \"ca\"");
	if (source->tls_ca != NULL)
	{
		source->tls = tls_client_context_new(source->tls_ca, source->tls_certificate, source->tls_key,
											 reason, sizeof(reason));
		if (source->tls == NULL)
			return config_fail(table, where, reason);
	}
	return kafka ? check_kafka(table, where, source) : check_broker(table, where, source);
}

static bool
read_sources(Table *table, const char *path, struct json_object *value)
{
	Config	   *config = table->config;
	size_t		n;

	if (!json_object_is_type(value, json_type_array))
		return config_fail(table, path, "must be a list");
	n = json_object_array_length(value);
	if (n > CONFIG_SOURCES_MAX || config->sources != NULL)
		return config_fail(table, path, "too many");
	config->sources = calloc(n ? n : 1, sizeof(SourceConfig));
	if (config->sources == NULL)
		return config_fail(table, path, "out of memory");
	config->nsources = n;

	for (size_t i = 0; i < n; i++)
	{
		SourceConfig *source = &config->sources[i];
		struct json_object *item = json_object_array_get_idx(value, i);
		char		where[64];
		Table		inner = *table;

		snprintf(where, sizeof(where), "sources[%zu]", i);
		if (!json_object_is_type(item, json_type_object))
			return config_fail(table, where, "must be an object");
		inner.settings = &config_source_rows;
		inner.target = source;
		if (!config_set_defaults(&inner) || !config_read_object(&inner, where, item))
			return false;
		if (!check_source(&inner, where, item, source))
			return false;
	}
	return true;
}

static bool
read_elements(Table *table, const char *path, struct json_object *value)
{
	Config	   *config = table->config;
	char		reason[CONFIG_ERROR_MAX - 128];

	if (!teltonika_read_rows(value, &config->teltonika_io, &config->nteltonika_io, reason, sizeof(reason)))
		return config_fail(table, path, reason);
	return true;
}

static bool
read_mappings(Table *table, const char *path, struct json_object *value)
{
	Config	   *config = table->config;

	if (!json_object_is_type(value, json_type_object))
		return config_fail(table, path, "must be an object");
	config->mappings = calloc((size_t) json_object_object_length(value) + 1, sizeof(NamedMapping));
	if (config->mappings == NULL)
		return config_fail(table, path, "out of memory");
	json_object_object_foreach(value, name, definition)
	{
		NamedMapping *named = &config->mappings[config->nmappings];
		char		where[128];
		char		reason[CONFIG_ERROR_MAX - 128];

		snprintf(where, sizeof(where), "mappings.%.64s", name);
		if (name[0] == '\0' || strlen(name) > ADAPTER_NAME_MAX || strcmp(name, "default") == 0)
			return config_fail(table, where, "not a name for a mapping");
		named->mapping = mapping_from_json(name, definition, reason, sizeof(reason));
		if (named->mapping == NULL)
			return config_fail(table, where, reason);
		named->name = strdup(name);
		config->nmappings++;
		if (named->name == NULL)
			return config_fail(table, where, "out of memory");
	}
	return true;
}

static bool
read_networks(Table *table, const char *path, struct json_object *value, ListenerConfig *listener)
{
	size_t		n;

	if (!json_object_is_type(value, json_type_array))
		return config_fail(table, path, "must be a list");
	n = json_object_array_length(value);
	free(listener->allow);
	listener->nallow = 0;
	listener->allow = calloc(n ? n : 1, sizeof(Network));
	if (listener->allow == NULL)
		return config_fail(table, path, "out of memory");
	for (size_t i = 0; i < n; i++)
	{
		struct json_object *item = json_object_array_get_idx(value, i);

		if (!json_object_is_type(item, json_type_string) ||
			!network_parse(json_object_get_string(item), &listener->allow[i]))
			return config_fail(table, path, "must hold strings such as \"10.1.0.0/16\"");
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
		return config_fail(table, path, "must be a list");
	n = json_object_array_length(value);
	/* An empty list could mean nobody, or everybody. */
	if (n == 0)
		return config_fail(table, path, "must not be empty");
	free_devices(listener);
	listener->devices = calloc(n, sizeof(*listener->devices));
	if (listener->devices == NULL)
		return config_fail(table, path, "out of memory");
	for (size_t i = 0; i < n; i++)
	{
		struct json_object *item = json_object_array_get_idx(value, i);
		size_t		len;

		if (!json_object_is_type(item, json_type_string))
			return config_fail(table, path, "must hold strings");
		len = (size_t) json_object_get_string_len(item);
		if (len == 0 || len > DEVICE_MAX || strlen(json_object_get_string(item)) != len)
			return config_fail(table, path, "holds what is no identity");
		listener->devices[i] = strdup(json_object_get_string(item));
		if (listener->devices[i] == NULL)
			return config_fail(table, path, "out of memory");
		listener->ndevices++;
	}
	names_sort(listener->devices, n);
	return true;
}

static bool
read_topics(Table *table, const char *path, struct json_object *value, SourceConfig *source)
{
	size_t		n;

	if (!json_object_is_type(value, json_type_array))
		return config_fail(table, path, "must be a list");
	n = json_object_array_length(value);
	if (n == 0 || n > KAFKA_TOPICS_MAX)
		return config_fail(table, path, n ? "too many" : "must not be empty");
	for (size_t i = 0; i < n; i++)
	{
		struct json_object *item = json_object_array_get_idx(value, i);
		const char *topic = json_object_is_type(item, json_type_string) ? json_object_get_string(item) : "";
		regex_t		regex;

		if (topic[0] == '\0' || strlen(topic) != (size_t) json_object_get_string_len(item))
			return config_fail(table, path, "must hold names of topics");
		if (topic[0] != '^')
			continue;
		if (regcomp(&regex, topic, REG_EXTENDED | REG_NOSUB) != 0)
			return config_fail(table, path, "holds what is no regular expression");
		regfree(&regex);
	}
	json_object_put(source->topics);
	source->topics = json_object_get(value);
	return true;
}

static bool
read_options(Table *table, const char *path, struct json_object *value, SourceConfig *source)
{
	if (!json_object_is_type(value, json_type_object))
		return config_fail(table, path, "must be an object");
	json_object_put(source->options);
	source->options = json_object_get(value);
	return true;
}

bool
config_read_list(Table *table, const Setting *setting, const char *path, struct json_object *value)
{
	switch (setting->type)
	{
		case SETTING_NETWORKS:
			return read_networks(table, path, value, table->target);
		case SETTING_DEVICES:
			return read_devices(table, path, value, table->target);
		case SETTING_LISTENERS:
			return read_listeners(table, path, value);
		case SETTING_SOURCES:
			return read_sources(table, path, value);
		case SETTING_TOPICS:
			return read_topics(table, path, value, table->target);
		case SETTING_OPTIONS:
			return read_options(table, path, value, table->target);
		case SETTING_MAPPINGS:
			return read_mappings(table, path, value);
		case SETTING_ELEMENTS:
			return read_elements(table, path, value);
		case SETTING_STRING:
		case SETTING_INTEGER:
		case SETTING_BOOLEAN:
		case SETTING_LEVEL:
			break;
	}
	return config_fail(table, path, "unknown type");
}

void
config_free_strings(const SettingRows *settings, void *target)
{
	for (size_t i = 0; i < settings->n; i++)
		if (settings->rows[i].type == SETTING_STRING)
			free(*(char **) ((char *) target + settings->rows[i].offset));
}

void
config_free_lists(Config *config)
{
	for (size_t i = 0; i < config->nlisteners; i++)
	{
		config_free_strings(&config_listener_rows, &config->listeners[i]);
		tls_context_free(config->listeners[i].tls);
		free(config->listeners[i].allow);
		free_devices(&config->listeners[i]);
	}
	for (size_t i = 0; i < config->nsources; i++)
	{
		config_free_strings(&config_source_rows, &config->sources[i]);
		tls_context_free(config->sources[i].tls);
		json_object_put(config->sources[i].topics);
		json_object_put(config->sources[i].options);
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
}
