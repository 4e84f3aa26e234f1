/*
 * test_pseudonym.c
 *	  VINs: where they are seen, what becomes of them, and the file of keys.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "pseudonym.h"
#include "record.h"
#include "tap.h"
#include "vin.h"

#define VIN "1M8GDM9AXKP042788"
#define X17 "XXXXXXXXXXXXXXXXX"
#define KEY1 "000102030405060708090a0b0c0d0e0f"
#define KEY2 "101112131415161718191A1B1C1D1E1F"
/* As fleet.vin_pseudonym() has it. */
#define HEX1 "1479432728907e40649fc5cb243221c5"
#define K1 "k1:" HEX1

static char err[256];
static Record record;
static Config settings;

/* --- where --- */

static void
finds(const char *text, VinSearch search, int at, const char *name)
{
	size_t		len = strlen(text);
	size_t		found = vin_find(text, len, 0, search);

	is_int(found == len ? -1 : (int) found, at, name);
}

static void
test_find(void)
{
	char		text[] = "a " VIN "," VIN " x" VIN "1";
	char		long_text[1000];

	finds(VIN, VIN_IN_TEXT, 0, "a VIN");
	finds("1m8gdm9axkp042788", VIN_IN_TEXT, 0, "in lower case");
	finds("vin=" VIN ";", VIN_IN_TEXT, 4, "within a text");
	finds("x" VIN, VIN_IN_TEXT, -1, "not behind a letter, in a text");
	finds(VIN "1", VIN_IN_TEXT, -1, "nor before a digit");
	finds("x" VIN "9", VIN_IN_BYTES, 1, "but in bytes");
	finds("\xff\x01" VIN "\xfe", VIN_IN_BYTES, 2, "and between any of them");
	finds("1M8GDM9A1KP042788", VIN_IN_BYTES, -1, "not with a wrong check digit");
	finds("WVWZZZ1JZXW000001", VIN_IN_TEXT, 0, "ZZZ stands for one");
	finds("11111111111111111", VIN_IN_TEXT, -1, "not of digits alone");
	finds("", VIN_IN_BYTES, -1, "not in nothing");
	finds(K1, VIN_IN_TEXT, -1, "a pseudonym is none");
	finds(HEX1, VIN_IN_BYTES, -1, "nor is its second part");
	memset(long_text, '1', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	finds(long_text, VIN_IN_BYTES, -1, "a long run");
	is_int(vin_mask(text, strlen(text), VIN_IN_BYTES), 3, "three are masked");
	is_str(text, "a " X17 "," X17 " x" X17 "1", "in their places");
}

/* --- keys --- */

static PseudonymKeys *
parse(const char *text)
{
	char		copy[2048];

	snprintf(copy, sizeof(copy), "%s", text);
	err[0] = '\0';
	return pseudonym_keys_parse(copy, strlen(copy), err, sizeof(err));
}

static void
refused(const char *text, const char *message)
{
	PseudonymKeys *keys = parse(text);

	is_str(keys == NULL ? err : "taken", message, message);
	pseudonym_keys_free(keys);
}

static void
test_parse(void)
{
	PseudonymKeys *keys = parse("# the keys\n\n k1 " KEY1 "\r\n");

	ok(keys != NULL, "a key without a section");
	pseudonym_keys_free(keys);
	refused("", "line 0: there is no key in it");
	refused("# nothing\n", "line 1: there is no key in it");
	refused("[sources 1]\n", "line 1: the last section has no key");
	refused("[sources 1]\n[sources 2]\nk " KEY1, "line 2: the section before has no key");
	refused("[sources]\nk " KEY1, "line 1: a section is [default] or [sources ID ...], with \"all\" at the end or without");
	refused("[tenant 1]\nk " KEY1, "line 1: a section is [default] or [sources ID ...], with \"all\" at the end or without");
	refused("[default] k " KEY1, "line 1: a section is [default] or [sources ID ...], with \"all\" at the end or without");
	refused("[default 3]\nk " KEY1, "line 1: a section is [default] or [sources ID ...], with \"all\" at the end or without");
	refused("[sources all]\nk " KEY1, "line 1: a section is [default] or [sources ID ...], with \"all\" at the end or without");
	refused("[sources all 1]\nk " KEY1, "line 1: a section is [default] or [sources ID ...], with \"all\" at the end or without");
	refused("[sources 1 x]\nk " KEY1, "line 1: not the id of a source");
	refused("[sources 1]\nk " KEY1 "\n[sources 2 1]\nl " KEY2, "line 3: the source has keys already");
	refused("k " KEY1 "\n[default]\nl " KEY2, "line 2: there is a default section already");
	refused("k " KEY1 "\nk " KEY2, "line 2: there is a key of that id already");
	refused("k", "line 1: a key is its id and its hexadecimal digits");
	refused("k " KEY1 " x", "line 1: a key is its id and its hexadecimal digits");
	refused("k:1 " KEY1, "line 1: the id of a key has 1 to 16 letters, digits, - and _");
	refused(VIN " " KEY1, "line 1: the id of a key has 1 to 16 letters, digits, - and _");
	refused("k 0001", "line 1: a key has 32 to 128 hexadecimal digits");
	refused("k " KEY1 "0", "line 1: a key has 32 to 128 hexadecimal digits");
	refused("k " KEY1 "xx", "line 1: a key has 32 to 128 hexadecimal digits");
	ok(strstr(err, KEY1) == NULL, "a message has nothing of a key");
}

static PseudonymKeys *
read_file(const char *path)
{
	PseudonymKeys *keys = pseudonym_keys_read(path, err, sizeof(err));

	return keys;
}

static void
test_file(void)
{
	char		path[] = "/tmp/fleetd-keys-XXXXXX";
	char		link_path[64];
	int			fd = mkstemp(path);
	PseudonymKeys *keys;

	ok(fd >= 0 && write(fd, "k1 " KEY1 "\n", 36) == 36, "a file");
	keys = read_file(path);
	ok(keys != NULL, "that its owner alone may read");
	pseudonym_keys_free(keys);
	fchmod(fd, 0640);
	ok(read_file(path) == NULL && strstr(err, "must have no rights for group and others") != NULL, "not one that a group may read");
	fchmod(fd, 0604);
	ok(read_file(path) == NULL, "nor everybody");
	fchmod(fd, 0600);
	snprintf(link_path, sizeof(link_path), "%s.link", path);
	ok(symlink(path, link_path) == 0 && read_file(link_path) == NULL && strstr(err, "is a symbolic link") != NULL, "not by a link");
	unlink(link_path);
	ok(mkfifo(link_path, 0600) == 0 && read_file(link_path) == NULL && strstr(err, "is no regular file") != NULL, "not a pipe, and without waiting for it");
	unlink(link_path);
	ok(read_file(link_path) == NULL && strstr(err, "No such file") != NULL, "not one that is not there");
	if (geteuid() == 0)
	{
		ok(chown(path, 12345, 0) == 0 && read_file(path) == NULL && strstr(err, "must belong to") != NULL, "not another user's");
	}
	close(fd);
	unlink(path);
}

/* --- records --- */

static Str
str(const char *text)
{
	return (Str) {text, (uint32_t) strlen(text)};
}

static void
is_text(Str got, const char *expected, const char *name)
{
	char		text[RECORD_TEXT_MAX + 1];

	snprintf(text, sizeof(text), "%.*s", (int) got.len, got.data ? got.data : "");
	is_str(text, expected, name);
}

static void
fill(const char *device)
{
	record_reset(&record);
	record.device = str(device);
	record.has_event_time = true;
	record.event_time_us = 1;
	record.latitude = 50;
	record.longitude = 8;
	record.speed_kmh = 30;
}

static void
test_with_key(void)
{
	const Record *r;
	char		text[RECORD_TEXT_MAX];

	fill("box 1");
	ok(record_add_text(&record, str("note"), str("a text of more than seventeen characters")) &&
	   record_add_number(&record, str("battery_percent"), 12), "a record without");
	ok(pseudonym_record(1, &record) == &record, "is itself");
	ok(pseudonym_device(1, record.device).data == record.device.data, "and its identity");

	fill(VIN);
	ok(record_add_number(&record, str("battery_percent"), 12) && record_add_text(&record, str("vin"), str("vin=1m8gdm9axkp042788;" VIN)) &&
	   record_add_boolean(&record, str("car_" VIN "_on"), true), "a record full of them");
	record_set_defect(&record, "malformed", str(VIN));
	record.raw = str("\x01x" VIN "9\x02");
	r = pseudonym_record(1, &record);
	ok(r != &record, "is another then");
	is_text(r->device, K1, "the identity is a pseudonym");
	is_int((int) r->nsignals, 3, "all signals are there");
	is_text(r->signals[1].text, "vin=" K1 ";" K1, "in a text too, and upper and lower case are the same");
	is_text(r->signals[2].name, "car_v_1479432728907e4_on", "in a name as much as fits");
	is_text(r->defect, "malformed:" X17, "in a defect X stands");
	is_text(r->raw, "\x01x" X17 "9\x02", "as in raw");
	ok(r->latitude == 50 && r->speed_kmh == 30 && r->event_time_us == 1 && r->has_event_time, "the rest is as it was");
	is_text(record.device, VIN, "what was given is untouched");
	is_text(pseudonym_device(1, str("vehicle_device." VIN)), "vehicle_device." K1, "an identity with more than the VIN");
	is_text(pseudonym_device(7, str(VIN)), "c7:a76a6b4590d23dbc176e592a03eba8de", "a source with a key of its own");

	memset(text, '-', sizeof(text));
	memcpy(text + 100, VIN, 17);
	fill("box");
	ok(record_add_text(&record, str("note"), (Str) {text, sizeof(text)}), "a text that has no room for a pseudonym");
	r = pseudonym_record(1, &record);
	is_int((int) r->signals[0].text.len, sizeof(text), "is as long as before");
	ok(memcmp(r->signals[0].text.data + 100, X17, 17) == 0, "with X in its place");
	is_text(pseudonym_record(1, &record)->device, "box", "and the identity that it had");

	fill("");
	record.device = (Str) {text, 1024};
	r = pseudonym_record(1, &record);
	is_text(r->device, "withheld", "an identity too long for one is refused");
	is_text(r->defect, "looks_like_vin:device", "as such");
}

static void
test_without_key(void)
{
	const Record *r;

	fill(VIN);
	ok(record_add_text(&record, str("note"), str("x")), "a record");
	record.raw = str("a frame");
	r = pseudonym_record(2, &record);
	is_text(r->device, "withheld", "without a key the identity is withheld");
	is_text(r->defect, "looks_like_vin:device", "the record says why");
	ok(r->nsignals == 0 && r->raw.len == 0 && r->latitude != r->latitude && r->speed_kmh != r->speed_kmh, "and nothing else");
	ok(r->has_event_time, "but when");
	is_text(pseudonym_device(2, str(VIN)), "withheld", "for others to see, too");

	fill("box");
	ok(record_add_text(&record, str("note"), str("vin=" VIN)), "one in a signal");
	r = pseudonym_record(2, &record);
	is_text(r->device, "box", "leaves the identity");
	is_text(r->defect, "looks_like_vin:note", "and names the signal");
	fill("box");
	ok(record_add_number(&record, str("v_" VIN), 1), "one in a name");
	is_text(pseudonym_record(2, &record)->defect, "looks_like_vin:signals", "is not repeated");

	fill("box");
	record_set_defect(&record, "malformed", (Str) {0});
	record.raw = str("\x00...\xff" VIN);
	record.raw = str(VIN "\xff");
	r = pseudonym_record(2, &record);
	is_text(r->defect, "malformed", "raw bytes need no key");
	is_text(r->raw, X17 "\xff", "there X stands");
}

/* --- rotation --- */

static void
is_sql(Rekeys *rekeys, const char *expected, const char *name)
{
	Buf			sql = {0};

	ok(rekeys_sql(rekeys, &sql) && buf_add(&sql, "", 1), "told");
	is_str(buf_data(&sql), expected, name);
	buf_release(&sql);
	rekeys_release(rekeys);
}

static void
test_tell(void)
{
	Rekeys		rekeys = {0};

	ok(pseudonym_tell(1, str(VIN), &rekeys) && buf_len(&rekeys.sources) == 0, "with one key there is nothing to tell");
	ok(pseudonym_tell(3, str("box"), &rekeys) && buf_len(&rekeys.sources) == 0, "nor of what is no VIN");
	ok(pseudonym_tell(3, str(VIN), &rekeys), "with an older key");
	is_sql(&rekeys, "SELECT fleet.rekey_from_sources('{3}', '{\"old1:" HEX1 "\"}', '{\"new1:57236068d31494d5508e6b8d8ecb03b2\"}'); ", "its pseudonym is told, with the new one");
	ok(pseudonym_tell(3, str(VIN), &rekeys), "the next time");
	is_sql(&rekeys, "", "no more");
	pseudonym_forget();
	ok(pseudonym_tell(3, str(VIN), &rekeys) && buf_len(&rekeys.sources) > 0, "until the keys change");
	rekeys_release(&rekeys);
	ok(pseudonym_tell(3, str("it's " VIN), &rekeys) && buf_len(&rekeys.sources) == 0, "what would need quoting is left alone");
	for (int i = 0; i < 3000; i++)
	{
		char		name[64];

		snprintf(name, sizeof(name), VIN ".%d", i);
		if (!pseudonym_tell(3, str(name), &rekeys))
			break;
		if (i % 100 != 0)
			rekeys_release(&rekeys);
	}
	rekeys_release(&rekeys);
	ok(pseudonym_tell(3, str(VIN ".17"), &rekeys) && buf_len(&rekeys.sources) == 0, "thousands are remembered");
	pseudonym_forget();
}

static void
test_all(void)
{
	PseudonymKeys *before = settings.pseudonym_keys;
	Rekeys		rekeys = {0};
	const Record *r;
	char		long_name[2000];

	settings.pseudonym_keys = parse("[default]\nd " KEY2 "\n[sources 5 all]\na2 " KEY2 KEY2 "\na1 " KEY1 "\n");
	ok(settings.pseudonym_keys != NULL, "a section for all identities");
	is_text(pseudonym_device(4, str("Box 1")), "Box 1", "not of other sources");
	is_int((int) pseudonym_device(5, str("Box 1")).len, 3 + 32, "an identity that is no VIN");
	fill("bOX 1");
	record.raw = str("frame");
	r = pseudonym_record(5, &record);
	ok(r->device.len == 35 && memcmp(r->device.data, "a2:", 3) == 0 && r->latitude == 50 && r->raw.len == 5, "in a record, which stays as it is");
	ok(pseudonym_tell(5, str("box 1"), &rekeys) && strstr(buf_data(&rekeys.old), "a1:") != NULL, "is told of after a change of keys");
	ok(pseudonym_tell(5, str("BOX 1"), &rekeys) && strchr(buf_data(&rekeys.sources), ',') == NULL, "once, in whatever case");
	rekeys_release(&rekeys);
	is_text(pseudonym_device(5, str("")), "", "no identity stays none");
	memset(long_name, 'a', sizeof(long_name));
	is_text(pseudonym_device(5, (Str) {long_name, sizeof(long_name)}), "withheld", "one too long");
	is_int((int) pseudonym_device(5, (Str) {long_name, 1024}).len, 35, "one as long as may be");
	pseudonym_forget();
	pseudonym_keys_free(settings.pseudonym_keys);
	settings.pseudonym_keys = before;
}

static void
test_print(void)
{
	char		in_text[] = VIN "\nnonsense\n\n 1m8gdm9axkp042788 \n" VIN "X";
	char	   *out_text;
	char	   *messages_text;
	size_t		size;
	FILE	   *in = fmemopen(in_text, strlen(in_text), "r");
	FILE	   *out = open_memstream(&out_text, &size);
	FILE	   *messages = open_memstream(&messages_text, &size);
	PseudonymKeys *keys = parse("new " KEY2 "\nk1 " KEY1 "\n");

	ok(!pseudonym_print(keys, true, in, out, messages), "lines that are no VIN count");
	fclose(out);
	fclose(messages);
	ok(strncmp(out_text, K1 "\tnew:", sizeof(K1 "\tnew:") - 1) == 0, "older and current pseudonym");
	is_int((int) strlen(out_text), 2 * (35 + 1 + 36 + 1), "of two lines");
	is_str(messages_text, "line 2: no VIN with a right check digit\nline 5: no VIN with a right check digit\n", "the others are told by number");
	free(out_text);
	free(messages_text);
	fclose(in);

	in = fmemopen(in_text, 18, "r");
	out = open_memstream(&out_text, &size);
	ok(pseudonym_print(keys, false, in, out, stderr), "or all pseudonyms");
	fclose(out);
	ok(strncmp(out_text, "new:", 4) == 0 && strstr(out_text, "\n" K1 "\n") != NULL, "the current one first");
	ok(strstr(out_text, VIN) == NULL, "never the VIN");
	free(out_text);
	fclose(in);
	pseudonym_keys_free(keys);
}

int
main(void)
{
	cf = &settings;
	settings.pseudonym_keys = parse("[sources 1]\nk1 " KEY1 "\n[sources 7 8]\nc7 " KEY2 "\n[sources 3]\nnew1 " KEY2 KEY1 "\nold1 " KEY1 "x\n");
	ok(settings.pseudonym_keys == NULL, "an odd digit spoils the file");
	settings.pseudonym_keys = parse("[sources 1]\nk1 " KEY1 "\n[sources 7 8]\nc7 " KEY2 "\n[sources 3]\nnew1 " KEY2 KEY1 "\nold1 " KEY1 "\n");
	ok(settings.pseudonym_keys != NULL, "keys of three tenants");
	test_find();
	test_parse();
	test_file();
	test_with_key();
	test_without_key();
	test_tell();
	test_all();
	test_print();
	pseudonym_keys_free(settings.pseudonym_keys);
	return tap_done();
}
