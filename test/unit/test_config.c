/*
 * test_config.c
 *	  The configuration: what is taken, what is refused and with which words.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "adapter.h"
#include "config.h"
#include "log.h"
#include "tap.h"

#define LISTENERS "\"listeners\":[{\"adapter\":\"json\",\"address\":\"127.0.0.1:0\"}]"

static char err[CONFIG_ERROR_MAX];

static Config *
parse(const char *text)
{
	err[0] = '\0';
	return config_parse(text, strlen(text), err, sizeof(err));
}

static void
refused(const char *text, const char *message, const char *name)
{
	Config	   *config = parse(text);

	is_str(config == NULL ? err : "taken", message, name);
	config_free(config);
}

static void
test_taken(void)
{
	Config	   *config = parse("{ " LISTENERS " }");

	ok(config != NULL, "listeners alone are enough");
	if (config == NULL)
		return;
	is_str(config->database, "", "the database comes from the environment then");
	is_int(config->connections, 2, "two connections");
	is_int(config->batch_rows, 5000, "5000 rows");
	is_int(config->batch_milliseconds, 50, "50 milliseconds");
	is_int(config->log_level, LOG_LEVEL_INFO, "level info");
	is_int(config->nlisteners, 1, "one listener");
	ok(config->listeners[0].adapter == &adapter_json, "of the adapter json");
	ok(config->listeners[0].tls == NULL, "without TLS");
	config_free(config);

	config = parse("{ \"database\": \"host=/run/postgresql dbname=fleet user=fleetd\",\n"
				   "\"connections\": 3, \"batch\": { \"rows\": 10, \"milliseconds\": 7 },\n"
				   "\"log\": {\"level\": \"debug\"},\n"
				   "\"listeners\": [\n"
				   "{ \"adapter\": \"json\", \"address\": \"127.0.0.1:7001\", \"mapping\": \"acme\" } ],\n"
				   "\"mappings\": { \"acme\": { \"id\": \"unit\", \"event_time\": {\"path\": \"ts\", \"unit\": \"ms\"},\n"
				   "\"latitude\": \"pos.0\", \"longitude\": \"pos.1\",\n"
				   "\"speed_kmh\": {\"path\": \"v_mph\", \"scale\": 1.609344}, \"battery_percent\": \"soc\" } } }");
	ok(config != NULL, "a configuration with all of it");
	if (config == NULL)
	{
		printf("# %s\n", err);
		return;
	}
	is_str(config->database, "host=/run/postgresql dbname=fleet user=fleetd", "database");
	is_int(config->connections, 3, "connections");
	is_int(config->batch_rows, 10, "batch.rows");
	is_int(config->batch_milliseconds, 7, "batch.milliseconds");
	is_int(config->log_level, LOG_LEVEL_DEBUG, "log.level");
	is_str(config->listeners[0].mapping_name, "acme", "a listener's mapping");
	is_int(config->nmappings, 1, "one mapping");
	config_free(config);

	config = parse("/* why */ { " LISTENERS " // so\n }");
	ok(config != NULL, "comments are allowed");
	config_free(config);
}

static void
test_refused(void)
{
	refused("{}", "listeners: at least one is needed", "no listener");
	refused("", "line 1: the JSON object does not end", "an empty file");
	refused("{\n\n", "line 3: the JSON object does not end", "an open object");
	refused("[]", "line 1: the file must hold one JSON object", "a list");
	refused("{" LISTENERS "} x", "line 1: text after the end of the JSON object", "something behind the object");
	refused("{\n" LISTENERS ",\n \"batch\": {\"rows\": }}", "line 3: unexpected character", "no value");
	refused("{" LISTENERS ", \"conections\": 2}", "conections: unknown setting", "an unknown setting");
	refused("{" LISTENERS ", \"batch\": {\"row\": 2}}", "batch.row: unknown setting", "an unknown one in an object");
	refused("{" LISTENERS ", \"batch\": 7}", "batch: must be an object", "a number for an object");
	refused("{" LISTENERS ", \"batch\": {\"rows\": \"7\"}}", "batch.rows: must be a whole number", "a string for a number");
	refused("{" LISTENERS ", \"batch\": {\"rows\": 7.5}}", "batch.rows: must be a whole number", "a fraction");
	refused("{" LISTENERS ", \"batch\": {\"rows\": 0}}", "batch.rows: must be from 1 to 100000", "too little");
	refused("{" LISTENERS ", \"batch\": {\"rows\": 100001}}", "batch.rows: must be from 1 to 100000", "too much");
	refused("{" LISTENERS ", \"database\": 5}", "database: must be a string", "a number for a string");
	refused("{" LISTENERS ", \"database\": \"a\\u0000b\"}", "database: holds a zero byte", "a zero byte");
	refused("{" LISTENERS ", \"log\": {\"level\": \"loud\"}}", "log.level: must be debug, info, warning or error", "an unknown level");
	refused("{\"listeners\": {}}", "listeners: must be a list", "listeners as an object");
	refused("{\"listeners\": [7]}", "listeners[0]: must be an object", "a listener as a number");
	refused("{\"listeners\": [{\"address\": \":1\"}]}", "listeners[0]: \"adapter\" is missing", "no adapter");
	refused("{\"listeners\": [{\"adapter\": \"json\"}]}", "listeners[0]: \"address\" is missing", "no address");
	refused("{\"listeners\": [{\"adapter\": \"morse\", \"address\": \":1\"}]}",
			"listeners[0]: no adapter is named \"morse\"", "an unknown adapter");
	refused("{\"listeners\": [{\"adapter\": \"json\", \"address\": \":1\", \"port\": 1}]}",
			"listeners[0].port: unknown setting", "an unknown setting of a listener");
	refused("{\"listeners\": [{\"adapter\": \"json\", \"address\": \":1\", \"tls\": {\"key\": \"k\"}}]}",
			"listeners[0]: tls needs both \"certificate\" and \"key\"", "half of TLS");
	refused("{\"listeners\": [{\"adapter\": \"json\", \"address\": \":1\", \"tls\": {\"client_ca\": \"c\"}}]}",
			"listeners[0]: \"client_ca\" needs \"certificate\" and \"key\"", "authorities without TLS");
	refused("{\"listeners\": [{\"adapter\": \"tesla\", \"address\": \":1\", \"source\": 1}]}",
			"listeners[0]: this adapter needs tls with \"client_ca\": peers are known by certificate", "cars without certificates");
	refused("{\"listeners\": [{\"adapter\": \"json\", \"address\": \":1\", \"tls\": {\"key\": \"/none\", \"certificate\": \"/none\"}}]}",
			"listeners[0]: certificate \"/none\": No such file or directory", "a certificate that is not there");
	refused("{\"listeners\": [{\"adapter\": \"json\", \"address\": \":1\", \"mapping\": \"acme\"}]}",
			"listeners[0].mapping: no mapping has that name", "a listener's mapping that is not there");
	refused("{\"listeners\": [{\"adapter\": \"json\", \"address\": \":1\", \"source\": 7}]}",
			"listeners[0]: \"source\" is for peers that prove no identity, or one by certificate (tls with \"client_ca\")", "a source for peers with tokens");
	refused("{\"listeners\": [{\"adapter\": \"json\", \"address\": \":1\", \"tls\": {\"client_crl\": \"c\"}}]}",
			"listeners[0]: \"client_crl\" needs \"client_ca\"", "revoked certificates of nobody");
	refused("{\"listeners\": [{\"adapter\": \"json\", \"address\": \":1\", \"tls\": {\"client_name\": \"email\"}}]}",
			"listeners[0]: \"client_name\" must be common_name, dns, uri or none", "a name of an unknown kind");
	refused("{\"listeners\": [{\"adapter\": \"json\", \"address\": \":1\", \"tls\": {\"client_pattern\": \"device-\"}}]}",
			"listeners[0]: \"client_pattern\" needs one %", "a pattern without a place");
	refused("{\"listeners\": [{\"adapter\": \"json\", \"address\": \":1\", \"tls\": {\"client_pattern\": \"%-%\"}}]}",
			"listeners[0]: \"client_pattern\" needs one %", "a pattern with two");
	refused("{\"listeners\": [{\"adapter\": \"json\", \"address\": \":1\", \"tls\": {\"client_required\": 1}}]}",
			"listeners[0].tls.client_required: must be true or false", "a number for a yes");
	refused("{\"listeners\": [{\"adapter\": \"tesla\", \"address\": \":1\", \"source\": 1, \"tls\": {\"certificate\": \"a\", \"key\": \"b\","
			" \"client_ca\": \"c\", \"client_name\": \"none\"}}]}",
			"listeners[0]: this adapter needs tls with \"client_ca\": peers are known by certificate", "cars whose certificates name nothing");
	refused("{\"listeners\": [{\"adapter\": \"json\", \"address\": \":1\", \"source\": 1, \"tls\": {\"certificate\": \"a\", \"key\": \"b\","
			" \"client_ca\": \"c\", \"client_name\": \"none\"}}]}",
			"listeners[0]: \"source\" is for peers that prove no identity, or one by certificate (tls with \"client_ca\")",
			"a source for certificates that name nothing");
	refused("{\"listeners\": [{\"adapter\": \"teltonika\", \"address\": \":1\"}]}",
			"listeners[0]: \"source\" is missing: peers of this adapter prove no identity", "no source for peers without tokens");
	refused("{\"listeners\": [{\"adapter\": \"json\", \"address\": \":1\", \"devices\": [\"a\"]}]}",
			"listeners[0]: \"devices\" is for adapters whose peers prove no identity", "devices for peers with tokens");
	refused("{\"listeners\": [{\"adapter\": \"teltonika\", \"address\": \":1\", \"source\": 7, \"devices\": []}]}",
			"listeners[0].devices: must not be empty", "an empty list of devices");
	refused("{\"listeners\": [{\"adapter\": \"teltonika\", \"address\": \":1\", \"source\": 7, \"devices\": [7]}]}",
			"listeners[0].devices: must hold strings", "a device as a number");
	refused("{\"listeners\": [{\"adapter\": \"teltonika\", \"address\": \":1\", \"source\": 7, \"devices\": [\"\"]}]}",
			"listeners[0].devices: holds what is no identity", "a device without a name");
	refused("{\"listeners\": [{\"adapter\": \"json\", \"address\": \":1\", \"transport\": \"udp\"}]}",
			"listeners[0]: this adapter does not speak udp", "json over udp");
	refused("{\"listeners\": [{\"adapter\": \"json\", \"address\": \":1\", \"allow\": \"10.0.0.0/8\"}]}",
			"listeners[0].allow: must be a list", "a range that is no list");
	refused("{\"listeners\": [{\"adapter\": \"json\", \"address\": \":1\", \"allow\": [\"10.0.0.0/33\"]}]}",
			"listeners[0].allow: must hold strings such as \"10.1.0.0/16\"", "a range that is none");
	refused("{\"listeners\": [{\"adapter\": \"json\", \"address\": \":1\", \"allow\": [\"10.0.0.0/4294967304\"]}]}",
			"listeners[0].allow: must hold strings such as \"10.1.0.0/16\"", "bits beyond what an integer holds");
	refused("{" LISTENERS ", \"mappings\": []}", "mappings: must be an object", "mappings as a list");
	refused("{" LISTENERS ", \"mappings\": {\"default\": {}}}",
			"mappings.default: not a name for a mapping", "the default mapping is not to be changed");
	refused("{" LISTENERS ", \"queue\": {\"high_bytes\": 1048576, \"low_bytes\": 1048576}}",
			"queue.low_bytes: must be less than queue.high_bytes", "marks the wrong way round");
	refused("{" LISTENERS ", \"limits\": {\"frame_bytes\": 8388608}}",
			"limits.frame_bytes: queue.high_bytes has no room for a frame of that length (16 times as much)", "a frame that the queue never takes");
	refused("{\"listeners\": [{\"adapter\": \"http\", \"address\": \":1\"}], \"queue\": {\"high_bytes\": 1048576, \"low_bytes\": 0}}",
			"http.body_bytes: queue.high_bytes, and a quarter more, has no room for a body of that length", "nor a body");
}

/* address in text, IPv4 mapped into IPv6 */
static bool
allows(const ListenerConfig *listener, const char *text)
{
	unsigned char address[16] = {0};

	if (inet_pton(AF_INET, text, address + 12) == 1)
		address[10] = address[11] = 0xFF;
	else if (inet_pton(AF_INET6, text, address) != 1)
		return false;
	return config_allows(listener, address);
}

static void
test_networks(void)
{
	Config	   *config = parse("{\"listeners\": [{\"adapter\": \"json\", \"address\": \":1\","
							   "\"allow\": [\"10.1.0.0/16\", \"192.0.2.7\", \"2001:db8::/33\", \"172.16.0.0/12\"]}]}");
	const ListenerConfig *listener;

	ok(config != NULL, "address ranges");
	if (config == NULL)
		return;
	listener = &config->listeners[0];
	ok(allows(listener, "10.1.0.0") && allows(listener, "10.1.255.255"), "inside of a range");
	ok(!allows(listener, "10.0.255.255") && !allows(listener, "10.2.0.0"), "outside");
	ok(allows(listener, "192.0.2.7") && !allows(listener, "192.0.2.6"), "one address");
	ok(allows(listener, "172.31.0.1") && !allows(listener, "172.32.0.1"), "a range that ends within a byte");
	ok(allows(listener, "2001:db8:7fff::1") && !allows(listener, "2001:db8:8000::1"), "the same of IPv6");
	ok(!allows(listener, "::1"), "nobody else");
	config_free(config);
}

static void
test_devices(void)
{
	static const char text[] = "{\"listeners\": [{\"adapter\": \"teltonika\", \"address\": \":1\", \"source\": 7,"
		"\"transport\": \"udp\", \"devices\": [\"b\", \"aa\", \"a\"]}]}";
	Config	   *config = parse(text);
	const ListenerConfig *listener;

	ok(config != NULL, "devices of a listener");
	if (config == NULL)
		return;
	listener = &config->listeners[0];
	ok(config_allows_device(listener, "a", 1) && config_allows_device(listener, "aab", 2) &&
	   config_allows_device(listener, "b", 1), "who is in the list");
	ok(!config_allows_device(listener, "ab", 2) && !config_allows_device(listener, "c", 1) &&
	   !config_allows_device(listener, "", 0) && !config_allows_device(listener, "a\0c", 3), "who is not");
	config_set(config);
	config = parse("{\"listeners\": [{\"adapter\": \"teltonika\", \"address\": \":1\", \"source\": 7,"
				   "\"transport\": \"udp\", \"devices\": [\"c\"]}]}");
	config_reload(config);
	ok(config_allows_device(listener, "c", 1) && !config_allows_device(listener, "a", 1), "a reload replaces it");
	config_reload(parse("{\"listeners\": [{\"adapter\": \"teltonika\", \"address\": \":1\", \"source\": 7,"
						"\"transport\": \"udp\"}]}"));
	ok(config_allows_device(listener, "a", 1), "or ends it");
	config_free((Config *) cf);
}

static void
test_reload(void)
{
	Config	   *config = parse("{" LISTENERS ", \"mappings\": {\"a\": {\"id\": \"u\", \"event_time\": \"t\"}}}");
	unsigned	generation;
	const char *database;

	config_set(config);
	ok(cf == config, "the configuration in force");
	ok(config_mapping(NULL) != NULL && config_mapping("default") == config_mapping(NULL), "the default mapping");
	ok(config_mapping("a") != NULL, "one by name");
	ok(config_mapping("b") == NULL, "one that is not there");
	database = cf->database;
	generation = config_generation();

	config = parse("{" LISTENERS ", \"database\": \"host=other\", \"connections\": 9, \"batch\": {\"rows\": 77},"
				   "\"mappings\": {\"b\": {\"id\": \"u\", \"event_time\": \"t\"}}}");
	ok(config != NULL, "another one");
	config_reload(config);
	is_int(cf->batch_rows, 77, "what may change has changed");
	is_int(cf->connections, 2, "what may not has not");
	ok(cf->database == database, "neither has the database");
	ok(config_mapping("b") != NULL && config_mapping("a") == NULL, "the mappings are new");
	ok(config_generation() != generation, "and connections can tell");
	config_free((Config *) cf);
}

int
main(void)
{
	log_configure(LOG_LEVEL_FATAL, 0);
	test_taken();
	test_refused();
	test_networks();
	test_devices();
	test_reload();
	buf_trim();
	return tap_done();
}
