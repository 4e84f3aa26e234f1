/*
 * What may be committed of a partition, and a message to a record: the parts of
 * the Kafka consumer that need no Kafka.
 */
#include <stdlib.h>
#include <unistd.h>

#include "config.h"
#include "kafka_offsets.h"
#include "kafka_report.h"
#include "tap.h"

/* --- offsets --- */

static uint64_t
take(Offsets *offsets, int64_t offset)
{
	uint64_t	seq = 0;

	if (!offsets_take(offsets, offset, &seq))
		abort();
	return seq;
}

static void
test_order(void)
{
	Offsets		offsets;
	uint64_t	seqs[5];
	static const int64_t numbers[] = {10, 11, 14, 15, 17};

	offsets_init(&offsets);
	is_int(offsets_position(&offsets), OFFSETS_NONE, "nothing is known before the first message");
	is_int(offsets_settle(&offsets), 0, "... and nothing to be settled");
	for (int i = 0; i < 5; i++)
		seqs[i] = take(&offsets, numbers[i]);
	is_int(offsets_position(&offsets), 10, "the position is the oldest in flight");

	offsets_decide(&offsets, seqs[1]);
	offsets_decide(&offsets, seqs[3]);
	is_int(offsets_settle(&offsets), 0, "decided out of order: nothing is settled");
	is_int(offsets.settled, OFFSETS_NONE, "... nothing to be stored");
	offsets_decide(&offsets, seqs[0]);
	is_int(offsets_settle(&offsets), 2, "the oldest is decided: all behind it that are");
	is_int(offsets.settled, 12, "... the offset is the one behind the last");
	is_int(offsets_position(&offsets), 14, "... the position over the hole");
	is_int(offsets_settle(&offsets), 0, "once only");
	offsets_decide(&offsets, seqs[0]);
	is_int(offsets_settle(&offsets), 0, "a message that is settled cannot be decided again");
	is_int(offsets.settled, 12, "... and the offset stays");
	offsets_decide(&offsets, seqs[4]);
	offsets_decide(&offsets, seqs[4] + 1);
	is_int(offsets_settle(&offsets), 0, "the last one waits for those before it");
	offsets_decide(&offsets, seqs[2]);
	is_int(offsets_settle(&offsets), 3, "the rest");
	is_int(offsets.settled, 18, "... the offset is behind all");
	is_int(offsets_position(&offsets), 18, "... and the position");
	is_int(take(&offsets, 18), seqs[4] + 1, "a seq is not used twice, not even one that was decided too early");
	is_int(offsets_settle(&offsets), 0, "... which has no effect");
	offsets_release(&offsets);
}

/* Against a plain array, in an order by chance; the ring grows on the way. */
static void
test_chance(void)
{
	enum
	{
		N = 5000
	};
	static bool decided[N];
	static uint64_t seqs[N];
	Offsets		offsets;
	int			taken = 0;
	int			low = 0;
	bool		right = true;
	bool		never_ahead = true;

	srand(7);
	offsets_init(&offsets);
	while (low < N)
	{
		if (taken < N && rand() % 3 > 0)
		{
			seqs[taken] = take(&offsets, 100 + 3 * taken);
			taken++;
		}
		if (taken > low)
		{
			/* mostly near the oldest, so that it gets on */
			int			i = low + rand() % (rand() % 2 ? 4 : taken - low);

			if (i < taken)
			{
				decided[i] = true;
				offsets_decide(&offsets, seqs[i]);
			}
		}
		if (rand() % 5 == 0)
		{
			int			before = low;

			while (low < taken && decided[low])
				low++;
			right = right && offsets_settle(&offsets) == (size_t) (low - before);
		}
		if (offsets.settled != OFFSETS_NONE)
			for (int i = 0; 100 + 3 * i < offsets.settled && never_ahead; i++)
				never_ahead = i < taken && decided[i];
	}
	ok(right, "thousands in an order by chance: settled is what is decided from the oldest on");
	ok(never_ahead, "... and never ahead of a message that is not decided");
	is_int(offsets.nwaiting, 0, "... until none is left");
	offsets_release(&offsets);
}

static void
test_reset(void)
{
	Offsets		offsets;
	uint64_t	first;
	uint64_t	second;

	offsets_init(&offsets);
	first = take(&offsets, 900);
	second = take(&offsets, 5);
	offsets_decide(&offsets, first);
	offsets_decide(&offsets, second);
	is_int(offsets_settle(&offsets), 2, "a partition that was reset begins earlier");
	is_int(offsets.settled, 6, "... and so does its offset");
	offsets_release(&offsets);
	is_int(offsets_position(&offsets), OFFSETS_NONE, "released: nothing is known");
}

/* --- reports --- */

static Record record;
static Mapping *mapping;

#define DOCUMENT "{\"vehicle_id\":\"car-7\",\"timestamp\":\"2026-02-03T04:05:06Z\",\"location\":{\"lat\":50.5,\"lon\":8.25}}"
#define NAMELESS "{\"timestamp\":\"2026-02-03T04:05:06Z\",\"location\":{\"lat\":50.5,\"lon\":8.25}}"
#define NOW INT64_C(1800000000000000)

static void
report(KafkaDevice from, Str name, const char *value)
{
	kafka_report(mapping, from, name, value, strlen(value), 1000, NOW, &record);
}

static const char *
text_of(Str str)
{
	static char text[200];

	snprintf(text, sizeof(text), "%.*s", (int) str.len, str.data ? str.data : "");
	return text;
}

static void
test_device_from(void)
{
	KafkaDevice from;
	const char *header;

	ok(kafka_device_parse("document", &from, &header) && from == KAFKA_DEVICE_DOCUMENT && header == NULL, "document");
	ok(kafka_device_parse("key", &from, &header) && from == KAFKA_DEVICE_KEY && header == NULL, "key");
	ok(kafka_device_parse("header x y", &from, &header) && from == KAFKA_DEVICE_HEADER, "header");
	is_str(header, "x y", "... and its name");
	ok(!kafka_device_parse("header ", &from, &header), "a header without a name");
	ok(!kafka_device_parse("header", &from, &header), "nor a blank");
	ok(!kafka_device_parse("Key", &from, &header), "something else");
	ok(!kafka_device_parse("", &from, &header), "nothing");
}

static void
test_reports(void)
{
	char		longish[2000];

	report(KAFKA_DEVICE_DOCUMENT, RECORD_STR("key"), DOCUMENT);
	is_int(record.defect.len, 0, "a document is a report");
	is_str(text_of(record.device), "car-7", "... of its device, whatever the key");
	is_int(record.raw.len, 0, "... nothing raw");
	is_int(record.received_at_us, NOW, "... received now");
	ok(record.latitude == 50.5 && record.longitude == 8.25, "... with its place");

	report(KAFKA_DEVICE_KEY, RECORD_STR("car-7"), DOCUMENT);
	is_int(record.defect.len, 0, "the key names the same device");
	report(KAFKA_DEVICE_HEADER, RECORD_STR("car-8"), NAMELESS);
	is_int(record.defect.len, 0, "the document names none");
	is_str(text_of(record.device), "car-8", "... the header does");

	report(KAFKA_DEVICE_KEY, RECORD_STR("car-8"), DOCUMENT);
	is_str(text_of(record.defect), "not_permitted:device", "the document names another one");
	is_str(text_of(record.device), "car-8", "... the key counts");
	ok(record.raw.len == strlen(DOCUMENT), "... the value is kept");

	report(KAFKA_DEVICE_KEY, (Str) {NULL, 0}, DOCUMENT);
	is_str(text_of(record.defect), "missing_field:device", "there is no key");
	is_int(record.device.len, 0, "... then the document is not believed");
	report(KAFKA_DEVICE_KEY, RECORD_STR(""), NAMELESS);
	is_str(text_of(record.defect), "missing_field:device", "an empty key");
	report(KAFKA_DEVICE_KEY, RECORD_STR("\0\0\0\1x"), DOCUMENT);
	is_str(text_of(record.defect), "malformed:device", "a key with zero bytes");
	report(KAFKA_DEVICE_KEY, RECORD_STR("\xFF\xFE"), DOCUMENT);
	is_str(text_of(record.defect), "malformed:device", "a key that is no text");
	is_int(record.device.len, 0, "... is no device");
	memset(longish, 'k', sizeof(longish));
	report(KAFKA_DEVICE_KEY, (Str) {longish, sizeof(longish)}, DOCUMENT);
	is_str(text_of(record.defect), "malformed:device", "a key too long");

	report(KAFKA_DEVICE_KEY, RECORD_STR("car-7"), "no document");
	is_str(text_of(record.defect), "malformed", "no document");
	is_str(text_of(record.device), "car-7", "... of a device that is known");
	is_str(text_of(record.raw), "no document", "... is kept");
	report(KAFKA_DEVICE_DOCUMENT, (Str) {NULL, 0}, "");
	is_str(text_of(record.defect), "malformed", "a value that is empty");
	report(KAFKA_DEVICE_DOCUMENT, (Str) {NULL, 0}, NAMELESS);
	is_int(record.device.len, 0, "a document without a device");
	ok(record.raw.len > 0, "... is kept for quarantine");

	memset(longish, ' ', sizeof(longish));
	kafka_report(mapping, KAFKA_DEVICE_KEY, RECORD_STR("car-7"), longish, sizeof(longish), 1000, NOW, &record);
	is_str(text_of(record.defect), "malformed:too_long", "a value too long");
	is_int(record.raw.len, 1000, "... of which so much is kept");
	is_str(text_of(record.device), "car-7", "... of a device that is known");
}

/* --- settings --- */

/* NULL when the entry is taken, else what is wrong with it. */
static const char *
complaint(const char *members)
{
	static char err[CONFIG_ERROR_MAX];
	char		text[1024];
	Config	   *config;

	snprintf(text, sizeof(text), "{\"sources\":[{\"adapter\":\"kafka\",\"source\":3,%s}]}", members);
	config = config_parse(text, strlen(text), err, sizeof(err));
	if (config == NULL)
		return err;
	config_free(config);
	return NULL;
}

#define BASIC "\"brokers\":\"a:9092,b:9092\",\"topics\":[\"t\",\"^u.*\"]"

static void
test_settings(void)
{
	static const char *const taken[] = {
		BASIC,
		BASIC ",\"device_from\":\"header v\",\"in_flight\":5,\"group\":\"g\"",
		BASIC ",\"options\":{\"auto.offset.reset\":\"latest\",\"fetch.min.bytes\":10,\"allow.auto.create.topics\":true}",
		BASIC ",\"user\":\"u\",\"password\":\"p\",\"mechanism\":\"SCRAM-SHA-256\"",
	};
	static const char *const refused[][2] = {
		{"\"topics\":[\"t\"]", "sources[0]: \"brokers\" is missing"},
		{"\"brokers\":\"a\"", "sources[0]: \"topics\" is missing"},
		{"\"brokers\":\"a\",\"topics\":[]", "sources[0].topics: must not be empty"},
		{"\"brokers\":\"a\",\"topics\":\"t\"", "sources[0].topics: must be a list"},
		{"\"brokers\":\"a\",\"topics\":[\"\"]", "sources[0].topics: must hold names of topics"},
		{"\"brokers\":\"a\",\"topics\":[7]", "sources[0].topics: must hold names of topics"},
		{"\"brokers\":\"a\",\"topics\":[\"^(\"]", "sources[0].topics: holds what is no regular expression"},
		{BASIC ",\"group\":\"\"", "sources[0]: \"group\" must not be empty"},
		{BASIC ",\"window\":4", "sources[0]: \"window\" is not for kafka"},
		{BASIC ",\"topic\":\"t\"", "sources[0]: \"topic\" is not for kafka"},
		{BASIC ",\"device_from\":\"header\"", "sources[0]: \"device_from\" must be document, key or header NAME"},
		{BASIC ",\"mechanism\":\"NONE\"", "sources[0]: \"mechanism\" must be PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or GSSAPI"},
		{BASIC ",\"password\":\"p\"", "sources[0]: \"password\" needs \"user\""},
		{BASIC ",\"user\":\"u\",\"password_file\":\"/nowhere/to/be/found\"", "sources[0]: cannot open \"password_file\""},
		{BASIC ",\"user\":\"u\",\"password_file\":\"/dev/zero\"", "sources[0]: \"password_file\" is no regular file"},
		{BASIC ",\"options\":[]", "sources[0].options: must be an object"},
	};
	static const char *const refused_options[][2] = {
		{BASIC ",\"options\":{\"enable.auto.commit\":false}", "sources[0]: options: \"enable.auto.commit\": is fleetd's own"},
		{BASIC ",\"options\":{\"group.id\":\"x\"}", "sources[0]: options: \"group.id\": is fleetd's own"},
		{BASIC ",\"options\":{\"fetch.min.bytes\":null}",
		"sources[0]: options: \"fetch.min.bytes\": must be a string, a number or a boolean"},
		{BASIC ",\"options\":{\"no.such.thing\":1}",
		"sources[0]: options: \"no.such.thing\": No such configuration property: \"no.such.thing\""},
	};
	bool		absent = complaint(BASIC) != NULL && strstr(complaint(BASIC), "built without kafka") != NULL;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		is_str(complaint(refused[i][0]), refused[i][1], refused[i][1]);
	if (absent)
	{
		ok(true, "librdkafka is not there: a configuration is refused # SKIP built without kafka");
		return;
	}
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		ok(complaint(taken[i]) == NULL, taken[i]);
	for (size_t i = 0; i < sizeof(refused_options) / sizeof(refused_options[0]); i++)
		is_str(complaint(refused_options[i][0]), refused_options[i][1], refused_options[i][1]);
}

static void
test_password_file(void)
{
	char		path[] = "/tmp/test_kafka.XXXXXX";
	char		text[256];
	char		err[CONFIG_ERROR_MAX];
	int			fd = mkstemp(path);
	Config	   *config;

	if (fd < 0 || write(fd, "se cret\r\n", 9) != 9 || close(fd) != 0)
		abort();
	snprintf(text, sizeof(text), "{\"sources\":[{\"adapter\":\"mqtt-broker\",\"server\":\"a:1\",\"source\":3,"
			 "\"user\":\"u\",\"password_file\":\"%s\"}]}", path);
	config = config_parse(text, strlen(text), err, sizeof(err));
	is_str(config ? config->sources[0].password : err, "se cret", "a password from a file, without the end of its line");
	config_free(config);
	unlink(path);
}

int
main(void)
{
	mapping = mapping_default();
	test_order();
	test_chance();
	test_reset();
	test_device_from();
	test_reports();
	test_settings();
	test_password_file();
	mapping_free(mapping);
	return tap_done();
}
