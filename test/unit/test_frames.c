/*
 * test_frames.c
 *	  Captured frames of real trackers, protocol by protocol, against what is
 *	  known of them: fix time, position, records, values, answers.
 *
 * The frames are not part of the project: they are looked for in
 * $FLEET_SHARED/frames and ../shared/frames, NAME.tsv for the adapter NAME.
 * Each goes through frame(), decode() and ack() whole, byte by byte, and twice
 * in one piece, and must come to the same every time.
 */
#include <json-c/json.h>
#include <math.h>
#include <stdarg.h>
#include <time.h>

#include "feed.h"
#include "tap.h"
#include "time_parse.h"

#define FRAME_MAX 16384
#define COLUMNS 11
#define DEVICE "123456789012345"	/* logged in, where the frame does not tell */

static const char *const protocols[] = {
	"teltonika", "gt06", "h02", "osmand", "tk103", "gps103", "wialon", "gl200", "ruptela"
};

enum
{
	COLUMN_ID, COLUMN_TRANSPORT, COLUMN_DIRECTION, COLUMN_ENCODING, COLUMN_FRAME,
	COLUMN_TIME, COLUMN_LAT, COLUMN_LON, COLUMN_VALID, COLUMN_OTHER, COLUMN_NOTE
};

typedef struct Vector
{
	char	   *columns[COLUMNS];
	struct json_object *other;
	char		frame[FRAME_MAX];
	size_t		length;
} Vector;

typedef struct Tally
{
	int			vectors;
	int			passed;
	int			positions;
	int			answers;
	int			values;
	int			absent;			/* values known, but not among the signals */
} Tally;

/* Elements that become signals of other names; the vendors' lists say how. */
typedef struct NamedIo
{
	int			id;
	const char *signal;
	double		scale;			/* 0: a boolean; -1: a boolean that is not so; -2: text */
	double		offset;
	int			bits;			/* two's complement of that many; 0: unsigned */
} NamedIo;

#define BOOL 0
#define NEGATED -1
#define TEXTUAL -2
#define MILLI_G 0.00980665

static const NamedIo teltonika_io[] = {
	{1, "digital_input_1", BOOL}, {2, "digital_input_2", BOOL}, {3, "digital_input_3", BOOL},
	{4, "digital_input_4", BOOL}, {9, "analog_input_1_v", 0.001}, {12, "fuel_used_l", 0.001},
	{13, "fuel_consumption_l100km", 0.01}, {16, "odometer_km", 0.001}, {17, "acceleration_x_ms2", MILLI_G, 0, 16},
	{18, "acceleration_y_ms2", MILLI_G, 0, 16}, {19, "acceleration_z_ms2", MILLI_G, 0, 16},
	{21, "gsm_signal_percent", 20}, {30, "dtc_count", 1}, {36, "engine_rpm", 1}, {37, "obd_speed_kmh", 1},
	{41, "throttle_percent", 1}, {66, "external_voltage_v", 0.001}, {67, "tracker_battery_v", 0.001},
	{70, "tracker_temp_c", 0.1, 0, 32}, {78, "driver_id", TEXTUAL}, {81, "obd_speed_kmh", 1},
	{82, "accelerator_percent", 1}, {83, "fuel_used_l", 0.1}, {84, "fuel_l", 0.1}, {85, "engine_rpm", 1},
	{89, "fuel_percent", 1}, {113, "tracker_battery_percent", 1}, {115, "coolant_temp_c", 0.1, 0, 16},
	{179, "digital_output_1", BOOL}, {180, "digital_output_2", BOOL}, {181, "pdop", 0.1}, {182, "hdop", 0.1},
	{199, "trip_distance_km", 0.001}, {239, "ignition", BOOL}, {240, "movement", BOOL},
	{241, "gsm_operator", TEXTUAL}, {247, "crash", BOOL}, {252, "external_power", NEGATED},
	{281, "error_codes", TEXTUAL}, {0}
};

static const NamedIo teltonika7_io[] = {
	{1, "tracker_battery_percent", 1}, {20, "hdop", 0.1}, {21, "vdop", 0.1}, {22, "pdop", 0.1},
	{67, "tracker_battery_v", 0.001}, {222, "sos", BOOL}, {240, "movement", BOOL}, {0}
};

static const NamedIo ruptela_io[] = {
	{2, "digital_input_1", BOOL}, {3, "digital_input_2", BOOL}, {4, "digital_input_3", BOOL}, {5, "ignition", BOOL},
	{22, "analog_input_1_v", 0.001}, {23, "analog_input_2_v", 0.001}, {27, "gsm_signal_dbm", 2, -113},
	{29, "external_voltage_v", 0.001}, {30, "tracker_battery_v", 0.001}, {32, "tracker_temp_c", 1, 0, 8},
	{34, "driver_id", TEXTUAL}, {36, "brake_pressed", BOOL}, {37, "cruise_control", BOOL},
	{49, "acceleration_x_ms2", 50 * MILLI_G, 0, 8}, {50, "acceleration_y_ms2", 50 * MILLI_G, 0, 8},
	{51, "acceleration_z_ms2", 50 * MILLI_G, 0, 8}, {65, "odometer_km", 0.001}, {88, "jamming", BOOL},
	{92, "fuel_used_l", 0.001}, {94, "engine_rpm", 0.25}, {95, "obd_speed_kmh", 1}, {96, "coolant_temp_c", 1, -40},
	{97, "ambient_temp_c", 1, -40}, {98, "fuel_percent", 100.0 / 255}, {100, "fuel_rate_lh", 0.05},
	{102, "distance_with_mil_km", 1}, {103, "accelerator_percent", 100.0 / 255}, {107, "runtime_s", 1},
	{115, "coolant_temp_c", 1, -40}, {116, "fuel_rate_lh", 0.05}, {150, "gsm_operator", TEXTUAL},
	{173, "movement", BOOL}, {197, "engine_rpm", 0.125}, {201, "adblue_percent", 0.4},
	{206, "accelerator_percent", 0.4}, {207, "fuel_percent", 0.4}, {208, "fuel_used_l", 0.5},
	{409, "ignition", BOOL}, {0}
};

static const NamedIo *named_io; /* of the protocol that is looked at */

static char complaint[1024];
static Tally tally;

static bool
complain(const char *format,...)
{
	va_list		args;

	va_start(args, format);
	vsnprintf(complaint, sizeof(complaint), format, args);
	va_end(args);
	return false;
}

/* --- what is expected --- */

static struct json_object *
member(struct json_object *object, const char *name)
{
	struct json_object *value;

	return object != NULL && json_object_object_get_ex(object, name, &value) ? value : NULL;
}

static const char *
text_of(struct json_object *object, const char *name)
{
	struct json_object *value = member(object, name);

	return value != NULL ? json_object_get_string(value) : NULL;
}

static bool
says(struct json_object *object, const char *name, bool what)
{
	struct json_object *value = member(object, name);

	return json_object_is_type(value, json_type_boolean) && json_object_get_boolean(value) == what;
}

static bool
number_of(struct json_object *object, const char *name, double *number)
{
	struct json_object *value = member(object, name);

	if (!json_object_is_type(value, json_type_int) && !json_object_is_type(value, json_type_double))
		return false;
	*number = json_object_get_double(value);
	return true;
}

static bool
is_kind(const Vector *v, const char *kind)
{
	const char *is = text_of(v->other, "kind");

	return is != NULL && strcmp(is, kind) == 0;
}

static const char *
identity(const Vector *v)
{
	const char *imei = text_of(v->other, "imei");

	return imei != NULL ? imei : text_of(v->other, "id");
}

/* Must nothing of it be taken for good? */
static bool
is_refused(const Vector *v)
{
	return says(v->other, "crc_valid", false) || says(v->other, "must_reject", true);
}

static bool
read_time(const char *text, int64_t *us)
{
	return time_parse(text, strlen(text), TIME_NO_ZONE, us);
}

/* --- reading a file of vectors --- */

static size_t
unescape(const char *text, char *out, size_t size)
{
	size_t		n = 0;

	for (; *text != '\0' && n < size; text++)
	{
		if (text[0] == '\\' && text[1] != '\0')
		{
			text++;
			out[n++] = *text == 'r' ? '\r' : *text == 'n' ? '\n' : *text == 't' ? '\t' : *text;
		}
		else
			out[n++] = *text;
	}
	return n;
}

static bool
read_vector(char *line, Vector *v)
{
	int			n = 0;

	line[strcspn(line, "\r\n")] = '\0';
	for (char *at = line; n < COLUMNS && at != NULL;)
		v->columns[n++] = strsep(&at, "\t");
	if (n < COLUMN_NOTE)
		return false;
	v->other = json_tokener_parse(v->columns[COLUMN_OTHER]);
	v->length = strcmp(v->columns[COLUMN_ENCODING], "hex") == 0
		? feed_from_hex(v->columns[COLUMN_FRAME], v->frame, sizeof(v->frame))
		: unescape(v->columns[COLUMN_FRAME], v->frame, sizeof(v->frame));
	return v->other != NULL && v->length > 0 && v->length < sizeof(v->frame);
}

/* --- comparing --- */

/* A value of the wire's unit against a column; what is not set may be 0. */
static bool
same_column(const char *name, double got, double want, double tolerance)
{
	tally.values++;
	if (isnan(got) ? want <= 0 : fabs(got - want) <= tolerance)
		return true;
	return complain("%s is %.7g, not %.7g", name, got, want);
}

static bool
check_motion(const FedRecord *record, struct json_object *want)
{
	double		number;

	if (number_of(want, "speed_kmh", &number) && !same_column("speed_kmh", record->speed_kmh, number, 0.01))
		return false;
	if (number_of(want, "speed_knots", &number) &&
		!same_column("speed_kmh", record->speed_kmh, number * 1.852, 0.01))
		return false;
	if (number_of(want, "speed_mps", &number) &&
		!same_column("speed_kmh", record->speed_kmh, number * 3.6, 0.01))
		return false;
	if (number_of(want, "course_deg", &number) &&
		!same_column("heading_deg", record->heading_deg, number == 360 && record->heading_deg == 0 ? 0 : number, 0.01))
		return false;
	if (number_of(want, "altitude_m", &number) && number != 0 &&
		!same_column("altitude_m", record->altitude_m, number, 0.05))
		return false;
	return true;
}

/* Is it what the element's raw value comes to? */
static bool
is_worth(const FedSignal *signal, const NamedIo *io, struct json_object *value)
{
	double		raw = json_object_get_double(value);
	const char *text = json_object_get_string(value);
	char		hex[24];

	if (io->scale == TEXTUAL)
	{
		snprintf(hex, sizeof(hex), "%016llx", (unsigned long long) json_object_get_uint64(value));
		/* Of text bytes are told, in hexadecimal digits. */
		if (strncmp(text, "0x", 2) == 0)
			return signal->kind == RECORD_TEXT && 2 * strlen(signal->text) == strlen(text) - 2;
		return signal->kind == RECORD_TEXT &&
			(strcmp(signal->text, text) == 0 || strcmp(signal->text, raw == 0 ? "" : hex) == 0);
	}
	if (io->scale == BOOL || io->scale == NEGATED)
		return signal->kind == RECORD_BOOLEAN && signal->boolean == ((raw != 0) == (io->scale == BOOL));
	if (io->bits > 0 && raw >= ldexp(1, io->bits - 1))
		raw -= ldexp(1, io->bits);
	return signal->kind == RECORD_NUMBER && fabs(signal->number - raw * io->scale - io->offset) < 1e-6;
}

/* An element under another name; of two of that name either may be it. */
static bool
check_named_io(const FedRecord *record, int id, struct json_object *value)
{
	for (const NamedIo *io = named_io; io != NULL && io->id != 0; io++)
	{
		if (io->id != id)
			continue;
		tally.values++;
		for (size_t i = 0; i < record->nsignals; i++)
			if (strcmp(record->signals[i].name, io->signal) == 0 && is_worth(&record->signals[i], io, value))
				return true;
		return complain("element %d is %s, and not the signal %s", id, json_object_get_string(value), io->signal);
	}
	tally.absent++;
	return true;
}

/* What is well known by the same meaning everywhere; absent is no mistake. */
static bool
check_signals(const FedRecord *record, struct json_object *want)
{
	static const struct
	{
		const char *key;
		const char *signal;
	}			known[] = {
		{"satellites", "satellites"},
		{"hdop", "hdop"},
		{"acc", "ignition"},
		{"battery_level", "tracker_battery_percent"},
		{"alarm", "alarm"},
		{"charging", "external_power"},
		{"blocked", "fuel_cut"},
		{"voltage_level", "voltage_level"},
		{"iccid", "iccid"},
		{"steps", "steps"},
		{"turnovers", "turnovers"},
		{"result", "command_result"},
		{"vin", "vin"}
	};
	struct json_object *io = member(want, "io");

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
	{
		struct json_object *value = member(want, known[i].key);
		const FedSignal *signal = feed_signal(record, known[i].signal);
		bool		same = false;

		if (value == NULL)
			continue;
		if (signal == NULL)
		{
			tally.absent++;
			continue;
		}
		tally.values++;
		if (signal->kind == RECORD_BOOLEAN)
			same = signal->boolean == (json_object_get_boolean(value) != 0);
		else if (signal->kind == RECORD_NUMBER)
			same = fabs(signal->number - json_object_get_double(value)) < 0.01;
		else
			same = strcmp(signal->text, json_object_get_string(value)) == 0;
		if (!same)
			return complain("signal %s is not %s", known[i].signal, json_object_get_string(value));
	}
	if (!json_object_is_type(io, json_type_object))
		return true;
	json_object_object_foreach(io, id, value)
	{
		char		name[80];
		const FedSignal *signal;
		const char *text = json_object_get_string(value);

		snprintf(name, sizeof(name), "io_%s", id);
		signal = feed_signal(record, name);
		if (signal == NULL)
		{
			if (!check_named_io(record, atoi(id), value))
				return false;
			continue;
		}
		tally.values++;
		if (strncmp(text, "0x", 2) == 0)
			text += 2;
		if (signal->kind == RECORD_NUMBER ? signal->number != json_object_get_double(value)
			: strcmp(signal->text, text) != 0)
			return complain("%s is not %s", name, text);
	}
	return true;
}

static bool
check_place(const FedRecord *record, const double *lat, const double *lon, bool valid)
{
	if (lat == NULL || lon == NULL || !valid)
	{
		if (!isnan(record->latitude) || !isnan(record->longitude))
			return complain("a location without a fix");
		return true;
	}
	if (!(fabs(record->latitude - *lat) <= 1e-5) || !(fabs(record->longitude - *lon) <= 1e-5))
		return complain("location is %.7f, %.7f, not %.7f, %.7f", record->latitude, record->longitude, *lat, *lon);
	tally.positions++;
	return true;
}

static bool
check_time(const FedRecord *record, const char *text)
{
	int64_t		us;

	if (text == NULL || text[0] == '\0')
		return true;
	if (!read_time(text, &us))
		return complain("time %s of the file", text);
	if (!record->has_event_time)
		return complain("no event time, not %s", text);
	if (record->event_time_us != us)
		return complain("event time is %lld us off", (long long) (record->event_time_us - us));
	return true;
}

/* The array of all records of a frame. */
static bool
check_records(const Feed *feed, struct json_object *records)
{
	size_t		n = json_object_array_length(records);

	if (feed->nrecords != n)
		return complain("%zu records, not %zu", feed->nrecords, n);
	for (size_t i = 0; i < n; i++)
	{
		struct json_object *want = json_object_array_get_idx(records, i);
		const FedRecord *record = &feed->records[i];
		bool		valid = !says(want, "valid", false);
		double		lat,
					lon;
		bool		placed = number_of(want, "lat", &lat) && number_of(want, "lon", &lon);

		if (!check_time(record, text_of(want, "time")) ||
			!check_place(record, placed ? &lat : NULL, placed ? &lon : NULL, valid) ||
			(placed && valid && !check_motion(record, want)) ||
			!check_signals(record, want))
			return false;
	}
	return true;
}

/*
 * Of what has no position.  The time of gps103 is that of an unknown zone, and
 * that of a clock which has not been set yet is none.
 */
static bool
check_device_time(const Feed *feed, const Vector *v)
{
	const char *text = text_of(v->other, "device_time");

	return text == NULL || strncmp(text, "1970", 4) == 0 || strcmp(feed->adapter->name, "gps103") == 0 ||
		check_time(feed->records, text);
}

/* The columns, which tell of the first record. */
static bool
check_first(const Feed *feed, const Vector *v)
{
	double		lat = atof(v->columns[COLUMN_LAT]);
	double		lon = atof(v->columns[COLUMN_LON]);
	bool		valid = strcmp(v->columns[COLUMN_VALID], "false") != 0;
	const FedRecord *record = feed->records;

	if (v->columns[COLUMN_LAT][0] == '\0')
	{
		for (size_t i = 0; i < feed->nrecords; i++)
			if (!isnan(feed->records[i].latitude) || !isnan(feed->records[i].longitude))
				return complain("a location, and none was sent");
		return feed->nrecords == 0 ||
			(check_device_time(feed, v) && check_signals(record, v->other));
	}
	if (feed->nrecords == 0)
		return complain("no record");

	/* Without a date it can only be quarantined, with or without its place. */
	if (v->columns[COLUMN_TIME][0] == '\0' && isnan(record->latitude) &&
		strcmp(record->defect, "missing_field:event_time") == 0)
		return true;
	return check_time(record, v->columns[COLUMN_TIME]) &&
		check_place(record, &lat, &lon, valid) &&
		(!valid || check_motion(record, v->other)) &&
		check_signals(record, v->other);
}

/* "*HQ,1,V4,V1,<YYYYMMDDhhmmss UTC>#": what stands between < and > is now. */
static bool
matches(const char *got, const char *pattern)
{
	const char *open = strchr(pattern, '<');
	const char *shut = open ? strchr(open, '>') : NULL;
	char		now[32];
	time_t		seconds = FEED_NOW_US / 1000000;
	struct tm	tm;

	if (shut == NULL)
		return strcmp(got, pattern) == 0;
	gmtime_r(&seconds, &tm);
	strftime(now, sizeof(now), "%Y%m%d%H%M%S", &tm);
	return strncmp(got, pattern, (size_t) (open - pattern)) == 0 &&
		strncmp(got + (open - pattern), now, strlen(now)) == 0 &&
		strcmp(got + (open - pattern) + strlen(now), shut + 1) == 0;
}

static bool
check_answer(const Feed *feed, const Vector *v)
{
	const char *hex = text_of(v->other, "ack_hex");
	const char *text = text_of(v->other, "ack_text");
	const char *pattern = text_of(v->other, "ack_pattern");
	const char *peer = text_of(v->other, "peer_ack_hex");
	const char *sack = text_of(v->other, "sack_text");
	const char *got_hex = feed_out_hex(feed);
	const char *got_text = feed_out_text(feed);

	/* A good answer in such a row is that of a server which checks no sums. */
	if (is_refused(v))
	{
		if (peer != NULL && strcmp(got_hex, peer) == 0)
			return complain("acknowledged: %s", peer);
		if (text != NULL && strcmp(got_text, text) == 0)
			return complain("acknowledged: %s", text);
		return true;
	}
	if (hex != NULL || text != NULL || pattern != NULL)
	{
		tally.answers++;
		if (hex != NULL && strcmp(got_hex, hex) != 0)
			return complain("answer %s, not %s", got_hex, hex);
		if (text != NULL && strcmp(got_text, text) != 0)
			return complain("answer %s, not %s", got_text, text);
		if (pattern != NULL && !matches(got_text, pattern))
			return complain("answer %s, not %s", got_text, pattern);
		return true;
	}
	if (got_hex[0] != '\0' && (peer == NULL || strcmp(got_hex, peer) != 0) &&
		(sack == NULL || strcmp(got_text, sack) != 0))
		return complain("answer %s, and none is due", got_hex);
	return true;
}

static bool
check_stream(const Feed *feed, const Vector *v)
{
	struct json_object *frames = member(v->other, "frames");
	size_t		n = json_object_array_length(frames);

	/* Keep-alives may be frames or noise: first without, then with what was skipped. */
	for (int skipped = 0; skipped < 2; skipped++)
	{
		size_t		at = 0;

		for (size_t i = 0; i < feed->nframes && at <= n; i++)
		{
			char		want[FRAME_MAX];
			size_t		length;

			if (feed->frames[i].skipped && !skipped)
				continue;
			if (at == n)
			{
				at++;
				break;
			}
			length = feed_from_hex(json_object_get_string(json_object_array_get_idx(frames, at)), want, sizeof(want));
			if (feed->frames[i].length != length || memcmp(feed->frames[i].data, want, length) != 0)
				break;
			at++;
		}
		if (at == n)
			return true;
	}
	return complain("cut into %zu frames, not as told", feed->nframes);
}

static bool
check(const Feed *feed, const Vector *v)
{
	struct json_object *records = member(v->other, "records");
	const char *id = identity(v);

	if (is_kind(v, "stream"))
		return check_stream(feed, v);
	if (says(v->other, "incomplete_on_stream", true))
	{
		if (feed->nrecords > 0 || buf_len(&feed->out) > 0)
			return complain("taken, though its tail is missing");
		return true;
	}
	if (is_refused(v))
	{
		for (size_t i = 0; i < feed->nrecords; i++)
			if (feed->records[i].defect[0] == '\0')
				return complain("a record of a frame that must be refused");
			else if (feed->records[i].raw_len == 0)
				return complain("a record for the quarantine without its bytes");
		return check_answer(feed, v);
	}
	if (feed->refused != NULL)
		return complain("refused: %s", feed->refused);
	if (feed->unfinished > 0)
		return complain("%zu bytes left", feed->unfinished);
	for (size_t i = 0; id != NULL && i < feed->nrecords; i++)
		if (strcmp(feed->records[i].device, id) != 0)
			return complain("device is %s, not %s", feed->records[i].device, id);
	if (is_kind(v, "login") && id != NULL && strcmp(feed->session.device, id) != 0)
		return complain("logged in as %s, not %s", feed->session.device, id);
	return (records != NULL && json_object_is_type(records, json_type_array)
			? check_records(feed, records) : check_first(feed, v)) &&
		check_answer(feed, v);
}

/* --- running --- */

/* In these the identity belongs to the connection, after a login. */
static bool
logs_in_first(const char *protocol, const Vector *v)
{
	return strcmp(v->columns[COLUMN_TRANSPORT], "udp") != 0 &&
		(strcmp(protocol, "teltonika") == 0 || strcmp(protocol, "gt06") == 0 ||
		 strcmp(protocol, "wialon") == 0) &&
		!is_kind(v, "login") && !is_kind(v, "stream");
}

static void
begin(Feed *feed, const Adapter *adapter, const Vector *v)
{
	const char *id = identity(v);
	const char *codec = text_of(v->other, "codec");

	named_io = strcmp(adapter->name, "ruptela") == 0 ? ruptela_io :
		strcmp(adapter->name, "teltonika") != 0 ? NULL :
		codec != NULL && strtol(codec, NULL, 16) == 7 ? teltonika7_io : teltonika_io;
	feed_begin(feed, adapter, logs_in_first(adapter->name, v) ? (id ? id : DEVICE) : "");
	feed->stubborn = is_kind(v, "stream");
	feed->session.datagram = strcmp(v->columns[COLUMN_TRANSPORT], "udp") == 0;
}

static bool
run_vector(const Adapter *adapter, const Vector *v)
{
	Feed		feed;
	Tally		before;
	bool		datagram = strcmp(v->columns[COLUMN_TRANSPORT], "udp") == 0;
	bool		good;
	size_t		nrecords;
	size_t		answered;
	bool		one;

	begin(&feed, adapter, v);
	feed_bytes(&feed, v->frame, v->length, 0);
	good = check(&feed, v);
	nrecords = feed.nrecords;
	answered = buf_len(&feed.out);
	one = feed.nframes == 1 && feed.unfinished == 0 && feed.refused == NULL;
	feed_end(&feed);
	before = tally;

	if (good && !datagram)
	{
		begin(&feed, adapter, v);
		feed_bytes(&feed, v->frame, v->length, 1);
		good = check(&feed, v);
		if (!good)
			memmove(complaint + 14, complaint, sizeof(complaint) - 15), memcpy(complaint, "byte by byte: ", 14);
		feed_end(&feed);
	}
	if (good && !datagram && one)
	{
		char	   *two = malloc(2 * v->length);

		if (two == NULL)
			abort();
		memcpy(two, v->frame, v->length);
		memcpy(two + v->length, v->frame, v->length);
		begin(&feed, adapter, v);
		feed.late_acks = true;
		feed_bytes(&feed, two, 2 * v->length, 0);
		if (feed.nframes != 2 || feed.nrecords != 2 * nrecords)
			good = complain("two at once: %zu frames, %zu records, not 2, %zu", feed.nframes, feed.nrecords, 2 * nrecords);
		else if (buf_len(&feed.out) != 2 * answered)
			good = complain("two at once: %zu bytes of answers, not %zu", buf_len(&feed.out), 2 * answered);
		feed_end(&feed);
		free(two);
	}
	tally = before;				/* counted once */
	return good;
}

static FILE *
open_vectors(const char *protocol)
{
	const char *shared = getenv("FLEET_SHARED");
	char		path[4096];

	snprintf(path, sizeof(path), "%s/frames/%s.tsv", shared ? shared : "../shared", protocol);
	return fopen(path, "r");
}

static void
run_protocol(const char *protocol)
{
	const Adapter *adapter = adapter_find(protocol);
	FILE	   *file = open_vectors(protocol);
	char	   *line = NULL;
	size_t		size = 0;
	static Vector v;

	if (file == NULL || adapter == NULL || adapter->frame == NULL)
	{
		const char *why = file == NULL ? "no captured frames here" :
			adapter == NULL ? "no adapter yet" : "answers HTTP itself; its own test has its frames";

		tap_tests++;
		printf("ok %d - %s # SKIP %s\n", tap_tests, protocol, why);
		printf("#| %-10s %s\n", protocol, why);
		if (file != NULL)
			fclose(file);
		return;
	}
	memset(&tally, 0, sizeof(tally));
	(void) !getline(&line, &size, file);	/* names of the columns */
	while (getline(&line, &size, file) > 0)
	{
		bool		good;
		char		name[128];

		memset(&v, 0, sizeof(v));
		complaint[0] = '\0';
		good = read_vector(line, &v) ? run_vector(adapter, &v) : complain("a row that cannot be read");
		tally.vectors++;
		tally.passed += good;
		snprintf(name, sizeof(name), "%s", v.columns[COLUMN_ID] ? v.columns[COLUMN_ID] : protocol);
		if (good)
			ok(true, name);
		else
		{
			char		text[sizeof(complaint) + sizeof(name) + 16];

			snprintf(text, sizeof(text), "%s: %s", name, complaint);
			for (char *p = text; *p != '\0'; p++)
				if (*p == '#' || (unsigned char) *p < ' ')
					*p = '.';	/* TAP's own signs */
			ok(false, text);
		}
		json_object_put(v.other);
	}
	printf("#| %-10s %7d %7d %7d %9d %7d %7d %7d\n", protocol, tally.vectors, tally.passed,
		   tally.vectors - tally.passed, tally.positions, tally.answers, tally.values, tally.absent);
	free(line);
	fclose(file);
}

int
main(int argc, char **argv)
{
	bool		any = false;

	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]) && !any; i++)
	{
		FILE	   *file = open_vectors(protocols[i]);

		any = file != NULL;
		if (any)
			fclose(file);
	}
	if (!any)
	{
		printf("1..0 # SKIP no captured frames in $FLEET_SHARED or ../shared\n");
		return 0;
	}
	printf("#| %-10s %7s %7s %7s %9s %7s %7s %7s\n", "protocol", "vectors", "passed", "failed", "positions",
		   "answers", "values", "absent");
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (argc < 2 || strcmp(argv[1], protocols[i]) == 0)
			run_protocol(protocols[i]);
	buf_trim();
	return tap_done();
}
