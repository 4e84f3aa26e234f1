/*
 * kafka_conf.c
 *	  An entry of "sources" to what librdkafka wants to be told.
 */
#include "kafka_conf.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kafka.h"

#define STATISTICS_MS "2000"	/* tell which brokers are there */

/*
 * Settings of librdkafka that are ours: what a setting of the entry says, and
 * what the promise to commit no offset before the database commits stands on.
 */
static const char *const owned[] = {
	"bootstrap.servers", "metadata.broker.list", "group.id", "client.id", "security.protocol", "sasl.mechanism",
	"sasl.mechanisms", "sasl.username", "sasl.password", "ssl.ca.location", "ssl.certificate.location",
	"ssl.key.location", "enable.auto.commit", "auto.commit.enable", "enable.auto.offset.store", "offset.store.method",
	"offset.store.path", "log.queue", "enabled_events", "statistics.interval.ms", "enable.partition.eof", "opaque",
};

/* Ours unless "options" say otherwise. */
static const char *const preset[][2] = {
	/* A group that is new begins with what the topics hold. */
	{"auto.offset.reset", "earliest"},
	{"auto.commit.interval.ms", "1000"},
};

/* Nothing happens after an error. */
static void
set(rd_kafka_conf_t *conf, const char *name, const char *value, char *err, size_t errlen)
{
	/* It is written to also when all is well. */
	char		said[256] = "";

	if (err[0] == '\0' && rd_kafka_conf_set(conf, name, value, said, sizeof(said)) != RD_KAFKA_CONF_OK)
		snprintf(err, errlen, "%s", said[0] ? said : name);
}

static void
set_security(rd_kafka_conf_t *conf, const SourceConfig *config, char *err, size_t errlen)
{
	bool		sasl = config->user != NULL || config->mechanism != NULL;

	if (config->tls_ca != NULL)
		set(conf, "security.protocol", sasl ? "sasl_ssl" : "ssl", err, errlen);
	else if (sasl)
		set(conf, "security.protocol", "sasl_plaintext", err, errlen);
	if (config->tls_ca != NULL && strcmp(config->tls_ca, "system") != 0)
		set(conf, "ssl.ca.location", config->tls_ca, err, errlen);
	if (config->tls_certificate != NULL)
	{
		set(conf, "ssl.certificate.location", config->tls_certificate, err, errlen);
		set(conf, "ssl.key.location", config->tls_key, err, errlen);
	}
	if (sasl)
		set(conf, "sasl.mechanism", config->mechanism ? config->mechanism : "SCRAM-SHA-512", err, errlen);
	if (config->user != NULL)
		set(conf, "sasl.username", config->user, err, errlen);
	if (config->password != NULL)
		set(conf, "sasl.password", config->password, err, errlen);
}

static void
set_options(rd_kafka_conf_t *conf, const SourceConfig *config, char *err, size_t errlen)
{
	char		reason[256] = "";

	if (config->options == NULL)
		return;
	json_object_object_foreach(config->options, name, value)
	{
		if (err[0] != '\0')
			return;
		if (!json_object_is_type(value, json_type_string) && !json_object_is_type(value, json_type_int) &&
			!json_object_is_type(value, json_type_double) && !json_object_is_type(value, json_type_boolean))
			snprintf(reason, sizeof(reason), "must be a string, a number or a boolean");
		for (size_t i = 0; i < sizeof(owned) / sizeof(owned[0]); i++)
			if (strcmp(name, owned[i]) == 0)
				snprintf(reason, sizeof(reason), "is fleetd's own");
		if (reason[0] == '\0')
			set(conf, name, json_object_get_string(value), reason, sizeof(reason));
		if (reason[0] != '\0')
			snprintf(err, errlen, "options: \"%.64s\": %s", name, reason);
	}
}

rd_kafka_conf_t *
kafka_conf_new(const SourceConfig *config, char *err, size_t errlen)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char		host[64] = "";
	char		client_id[128];

	err[0] = '\0';
	(void) gethostname(host, sizeof(host) - 1);
	snprintf(client_id, sizeof(client_id), "fleetd-%s-%lld", host, (long long) config->source);
	for (size_t i = 0; i < sizeof(preset) / sizeof(preset[0]); i++)
		set(conf, preset[i][0], preset[i][1], err, errlen);
	set_options(conf, config, err, errlen);
	set(conf, "bootstrap.servers", config->brokers, err, errlen);
	set(conf, "group.id", config->group, err, errlen);
	set(conf, "client.id", config->client_id[0] ? config->client_id : client_id, err, errlen);
	set_security(conf, config, err, errlen);
	/* librdkafka commits what is stored, and nothing is stored but by us. */
	set(conf, "enable.auto.commit", "true", err, errlen);
	set(conf, "enable.auto.offset.store", "false", err, errlen);
	set(conf, "log.queue", "true", err, errlen);
	set(conf, "statistics.interval.ms", STATISTICS_MS, err, errlen);
	rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_OFFSET_COMMIT |
							 RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG | RD_KAFKA_EVENT_STATS);
	if (err[0] != '\0')
	{
		rd_kafka_conf_destroy(conf);
		return NULL;
	}
	return conf;
}

rd_kafka_topic_partition_list_t *
kafka_conf_topics(const SourceConfig *config)
{
	size_t		n = json_object_array_length(config->topics);
	rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new((int) n);

	for (size_t i = 0; topics != NULL && i < n; i++)
		rd_kafka_topic_partition_list_add(topics, json_object_get_string(json_object_array_get_idx(config->topics, i)),
										  RD_KAFKA_PARTITION_UA);
	return topics;
}

/* FNV-1a, over everything. */
static void
mix(uint64_t *hash, const void *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		*hash = (*hash ^ ((const unsigned char *) data)[i]) * 1099511628211u;
}

uint64_t
kafka_conf_identity(const SourceConfig *config)
{
	const char *const files[] = {config->tls_ca, config->tls_certificate, config->tls_key};
	uint64_t	hash = config->user != NULL ? 14695981039346656037u : 1;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
	{
		struct stat file;

		if (files[i] == NULL)
			continue;
		mix(&hash, files[i], strlen(files[i]) + 1);
		if (stat(files[i], &file) != 0)
			continue;
		mix(&hash, &file.st_ino, sizeof(file.st_ino));
		mix(&hash, &file.st_size, sizeof(file.st_size));
		mix(&hash, &file.st_mtim, sizeof(file.st_mtim));
	}
	return hash;
}

bool
kafka_check(const SourceConfig *config, char *err, size_t errlen)
{
	rd_kafka_conf_t *conf = kafka_conf_new(config, err, errlen);

	if (conf == NULL)
		return false;
	rd_kafka_conf_destroy(conf);
	return true;
}
