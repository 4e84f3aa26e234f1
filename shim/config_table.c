/*
 * config_table.c
 *	  The settings: the rows that config.c reads, config_reload.c compares and
 *	  --help and --settings show.
 */
#include "config_int.h"

#include <stdio.h>

#define KiB 1024
#define MiB (1024 * 1024)

#define AT(member) offsetof(Config, member)
#define HERE(member) offsetof(ListenerConfig, member)
#define THERE(member) offsetof(SourceConfig, member)
#define ROWS(table) {(table), sizeof(table) / sizeof((table)[0])}

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
	{"revocation_seconds", SETTING_INTEGER, AT(revocation_seconds), 1, 86400, "60", true,
	"seconds between looks whether lists of revoked certificates have changed"},
	{"auth.cache_seconds", SETTING_INTEGER, AT(auth_cache_seconds), 0, 86400, "60", true,
	"seconds for which an answer about a token holds"},
	{"auth.cache_entries", SETTING_INTEGER, AT(auth_cache_entries), 16, 1000000, "10000", true,
	"tokens whose answer is remembered"},
	{"auth.failures", SETTING_INTEGER, AT(auth_failures), 0, 1000000, "10", true,
	"failed attempts of an address after which it is turned away; 0: no limit"},
	{"auth.failure_seconds", SETTING_INTEGER, AT(auth_failure_seconds), 1, 86400, "60", true,
	"seconds in which they are counted, and for which it is turned away"},
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
	{"pseudonym.key_file", SETTING_STRING, AT(pseudonym_key_file), 0, 0, NULL, true,
	"file of the keys that turn VINs into pseudonyms; none: VINs are refused"},
	{"commands.devices", SETTING_INTEGER, AT(commands_devices), 0, 10000000, "100000", false,
	"connected devices that may be sent commands; 0: no commands"},
	{"commands.devices_per_connection", SETTING_INTEGER, AT(commands_devices_per_connection), 1, 1000000, "1000", true,
	"the same on one connection: of a gateway"},
	{"commands.poll_seconds", SETTING_INTEGER, AT(commands_poll_seconds), 1, 86400, "60", true,
	"seconds after which a device is looked for commands although nothing woke fleetd"},
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
	"source_id of peers without tokens: they claim an identity, or prove it by certificate"},
	{"listeners[].allow", SETTING_NETWORKS, HERE(allow), 0, 0, NULL, true,
	"list of address ranges that may connect; none: all"},
	{"listeners[].devices", SETTING_DEVICES, HERE(devices), 0, 0, NULL, true,
	"list of identities that may send; none: the tenant decides"},
	{"listeners[].topic", SETTING_STRING, HERE(topic), 0, 0, "telemetry/{vehicle}", false,
	"pattern of the topics that vehicles publish to: mqtt"},
	{"listeners[].sack", SETTING_BOOLEAN, HERE(sack), 0, 0, "true", false,
	"answer each message when it is committed, heartbeats aside: gl200"},
	{"listeners[].command_topic", SETTING_STRING, HERE(command_topic), 0, 0, "command/{vehicle}", false,
	"pattern of the topic that a vehicle subscribes to for its commands: mqtt"},
	{"listeners[].tls.certificate", SETTING_STRING, HERE(tls_certificate), 0, 0, NULL, true,
	"PEM file of the certificate and its chain"},
	{"listeners[].tls.key", SETTING_STRING, HERE(tls_key), 0, 0, NULL, true,
	"PEM file of the private key"},
	{"listeners[].tls.client_ca", SETTING_STRING, HERE(tls_client_ca), 0, 0, NULL, true,
	"PEM file of authorities; clients must show a certificate of one of them"},
	{"listeners[].tls.client_crl", SETTING_STRING, HERE(tls_client_crl), 0, 0, NULL, true,
	"PEM file of lists of revoked certificates"},
	{"listeners[].tls.client_required", SETTING_BOOLEAN, HERE(tls_client_required), 0, 0, "true", true,
	"false: clients may come without a certificate"},
	{"listeners[].tls.client_name", SETTING_STRING, HERE(tls_client_name), 0, 0, "common_name", true,
	"what of the certificate names the device: common_name, dns, uri or none"},
	{"listeners[].tls.client_pattern", SETTING_STRING, HERE(tls_client_pattern), 0, 0, NULL, true,
	"what stands around the device in that name: prefix%suffix"},
};

static const Setting source_settings[] = {
	{"sources[].adapter", SETTING_STRING, THERE(adapter_name), 0, 0, NULL, false,
	"protocol: mqtt-broker or kafka"},
	{"sources[].server", SETTING_STRING, THERE(server), 0, 0, NULL, false,
	"host:port or [address]:port of the broker: mqtt-broker"},
	{"sources[].brokers", SETTING_STRING, THERE(brokers), 0, 0, NULL, false,
	"host:port, or several with commas, to ask for the cluster: kafka"},
	{"sources[].source", SETTING_INTEGER, THERE(source), 1, INT32_MAX, NULL, false,
	"source_id of what comes from there"},
	{"sources[].topic", SETTING_STRING, THERE(topic), 0, 0, "telemetry/{vehicle}", false,
	"pattern of the topics to subscribe to: mqtt-broker"},
	{"sources[].topics", SETTING_TOPICS, THERE(topics), 0, 0, NULL, false,
	"list of the topics to subscribe to; ^ begins a regular expression: kafka"},
	{"sources[].group", SETTING_STRING, THERE(group), 0, 0, "pgfleet", false,
	"group of daemons that share the messages; empty, mqtt-broker only: this one gets all"},
	{"sources[].client_id", SETTING_STRING, THERE(client_id), 0, 0, "", false,
	"client identifier; empty: from the name of the host and the source"},
	{"sources[].user", SETTING_STRING, THERE(user), 0, 0, NULL, true,
	"user name at the broker"},
	{"sources[].password", SETTING_STRING, THERE(password), 0, 0, NULL, true,
	"password at the broker"},
	{"sources[].password_file", SETTING_STRING, THERE(password_file), 0, 0, NULL, true,
	"file that holds the password"},
	{"sources[].mechanism", SETTING_STRING, THERE(mechanism), 0, 0, NULL, false,
	"mechanism of SASL, with a user SCRAM-SHA-512 if not given: kafka"},
	{"sources[].mapping", SETTING_STRING, THERE(mapping_name), 0, 0, NULL, true,
	"mapping that reads the documents"},
	{"sources[].device_from", SETTING_STRING, THERE(device_from), 0, 0, "document", false,
	"where the device stands: document, key or header NAME: kafka"},
	{"sources[].in_flight", SETTING_INTEGER, THERE(in_flight), 1, 10000000, "20000", false,
	"messages that may wait for their commit: kafka"},
	{"sources[].options", SETTING_OPTIONS, THERE(options), 0, 0, NULL, false,
	"further settings of librdkafka: kafka"},
	{"sources[].version", SETTING_INTEGER, THERE(version), 4, 5, "5", false,
	"version of MQTT: 5, or 4 for 3.1.1: mqtt-broker"},
	{"sources[].window", SETTING_INTEGER, THERE(window), 1, 65535, "1000", false,
	"messages that the broker may send before they are acknowledged: mqtt-broker"},
	{"sources[].keep_alive_seconds", SETTING_INTEGER, THERE(keep_alive_seconds), 2, 65535, "30", false,
	"seconds after which a silent connection is given up: mqtt-broker"},
	{"sources[].session_seconds", SETTING_INTEGER, THERE(session_seconds), 0, UINT32_MAX, "4294967295", false,
	"seconds for which the broker keeps messages while fleetd is away; 4294967295: for ever: mqtt-broker"},
	{"sources[].tls.ca", SETTING_STRING, THERE(tls_ca), 0, 0, NULL, true,
	"PEM file of the authorities that may have signed the broker's certificate, or system"},
	{"sources[].tls.certificate", SETTING_STRING, THERE(tls_certificate), 0, 0, NULL, true,
	"PEM file of a certificate of fleetd's own, and its chain"},
	{"sources[].tls.key", SETTING_STRING, THERE(tls_key), 0, 0, NULL, true,
	"PEM file of its private key"},
};

const SettingRows config_rows = ROWS(settings);
const SettingRows config_listener_rows = ROWS(listener_settings);
const SettingRows config_source_rows = ROWS(source_settings);

static const SettingRows *const tables[] = {&config_rows, &config_listener_rows, &config_source_rows};

#define NTABLES (sizeof(tables) / sizeof(tables[0]))

void
config_print_help(void)
{
	for (size_t t = 0; t < NTABLES; t++)
		for (size_t i = 0; i < tables[t]->n; i++)
		{
			const Setting *setting = &tables[t]->rows[i];

			printf("  %-32s %s", setting->name, setting->help);
			if (setting->def != NULL && setting->def[0] != '\0')
				printf(" (default %s%s)", setting->def, setting->reloadable ? "" : "; needs a restart");
			printf("\n");
		}
}

void
config_print_names(void)
{
	for (size_t t = 0; t < NTABLES; t++)
		for (size_t i = 0; i < tables[t]->n; i++)
		{
			const Setting *setting = &tables[t]->rows[i];

			printf("%s\t%s\t%s\n", setting->name, setting->def ? setting->def : "",
				   setting->reloadable ? "reload" : "restart");
		}
}
