/*
 * galileosky_tags.c
 *	  The tags of Galileosky terminals: how long each is, and what it says.
 *
 * A tag does not tell its size, so one that is missing here makes the rest of
 * its packet unreadable: those of which nothing but the size is known are here too.
 */
#include <stdio.h>
#include <string.h>

#include "adapters/galileosky.h"
#include "tracker_report.h"
#include "tracker_text.h"

#define NAME_MAX 32
#define OWN 0					/* in place of a size: see size_of() */
#define REFRIGERATOR_HEAD 3
#define TIRES 68				/* 34 wheels, two bytes each */

typedef enum Form
{
	FORM_OWN,					/* see put_own() */
	FORM_NUMBER,				/* unsigned */
	FORM_SIGNED,				/* one byte */
	FORM_DECIMAL,				/* a text of its digits */
	FORM_HEX,
	FORM_KEY,					/* number of a key, hexadecimal; 0: none */
	FORM_LEVEL,					/* of a tank, then its temperature */
	FORM_THERMOMETER,			/* its id, then what it shows */
	FORM_HYGROMETER				/* the same, with humidity */
} Form;

typedef struct Row
{
	uint8_t		first;
	uint8_t		last;
	uint8_t		size;
	uint8_t		form;
	const char *name;			/* a "%u" is number and what lies between first and the tag; NULL: io_NNN */
	uint8_t		number;
	double		divisor;		/* 0: none */
} Row;

/* *INDENT-OFF* */
static const Row rows[] = {
	{0x01, 0x01, 1, FORM_NUMBER, "hardware"},
	{0x02, 0x02, 1, FORM_DECIMAL, "firmware"},
	{0x03, 0x03, GALILEOSKY_IMEI, FORM_OWN},
	{0x04, 0x04, 2, FORM_NUMBER, "terminal_id"},
	{0x10, 0x10, 2, FORM_NUMBER, "sequence"},
	{0x20, 0x20, 4, FORM_OWN},
	{0x30, 0x30, 9, FORM_OWN},
	{0x33, 0x33, 4, FORM_OWN},
	{0x34, 0x34, 2, FORM_OWN},
	{0x35, 0x35, 1, FORM_OWN},
	{0x36, 0x36, 1, FORM_NUMBER, "pdop", 0, 10},
	{0x38, 0x39, 2, FORM_NUMBER, NULL},
	{0x40, 0x40, 2, FORM_OWN},
	{0x41, 0x41, 2, FORM_NUMBER, "external_voltage_v", 0, 1000},
	{0x42, 0x42, 2, FORM_NUMBER, "tracker_battery_v", 0, 1000},
	{0x43, 0x43, 1, FORM_SIGNED, "tracker_temp_c"},
	{0x44, 0x44, 4, FORM_OWN},
	{0x45, 0x46, 2, FORM_OWN},
	{0x47, 0x47, 4, FORM_OWN},
	{0x48, 0x48, 2, FORM_NUMBER, "extended_status"},
	{0x49, 0x49, 1, FORM_NUMBER, NULL},
	{0x50, 0x57, 2, FORM_NUMBER, "input_%u"},
	{0x58, 0x59, 2, FORM_NUMBER, "rs232_%u"},
	{0x5a, 0x5a, 4, FORM_NUMBER, "electricity_meter"},
	{0x5b, 0x5b, OWN, FORM_HEX, "refrigerator"},
	{0x5c, 0x5c, OWN, FORM_HEX, "tires"},
	{0x5d, 0x5d, 3, FORM_HEX, "dosimeter"},
	{0x60, 0x62, 2, FORM_NUMBER, "fuel_sensor_%u"},
	{0x63, 0x6f, 3, FORM_LEVEL, NULL, 3},
	{0x70, 0x77, 2, FORM_THERMOMETER},
	{0x78, 0x7d, 2, FORM_NUMBER, "input_%u", 8},
	{0x80, 0x87, 3, FORM_HYGROMETER},
	{0x88, 0x89, 1, FORM_NUMBER, NULL},
	{0x8a, 0x8c, 1, FORM_SIGNED, "fuel_sensor_%u_c"},
	{0x90, 0x90, 4, FORM_KEY, "driver_id"},
	{0xa0, 0xaf, 1, FORM_NUMBER, "can8_%u", 15},
	{0xb0, 0xb9, 2, FORM_NUMBER, "can16_%u", 5},
	{0xc0, 0xc2, 4, FORM_OWN},
	{0xc3, 0xc3, 4, FORM_NUMBER, "can_b1"},
	{0xc4, 0xd2, 1, FORM_NUMBER, "can8_%u"},
	{0xd3, 0xd3, 4, FORM_KEY, "ibutton_2"},
	{0xd4, 0xd4, 4, FORM_NUMBER, "odometer_km", 0, 1000},
	{0xd5, 0xd5, 1, FORM_NUMBER, "ibutton_states"},
	{0xd6, 0xda, 2, FORM_NUMBER, "can16_%u"},
	{0xdb, 0xdf, 4, FORM_NUMBER, "can32_%u"},
	{0xe0, 0xe0, 4, FORM_NUMBER, "command_number"},
	{0xe1, 0xe1, OWN, FORM_OWN},
	{0xe2, 0xe9, 4, FORM_NUMBER, "user_data_%u"},
	{0xea, 0xea, OWN, FORM_OWN},
	{0xf0, 0xf9, 4, FORM_NUMBER, "can32_%u", 5},
	{0xfa, 0xfa, 3, FORM_HEX, NULL},
	{0xfd, 0xfd, 8, FORM_HEX, NULL},
	{0xfe, 0xfe, OWN, FORM_OWN}
};
/* *INDENT-ON* */

/* Those of the extended block, which has a length of its own. */
static const struct
{
	uint16_t	first;
	uint16_t	last;
	uint8_t		size;
}			extended[] = {
	{0x01, 0x80, 4}, {0x81, 0x84, 2}, {0x85, 0x85, 1}, {0x86, 0x91, 4}, {0x92, 0x92, 15}, {0x93, 0x93, 1},
	{0x94, 0x94, 20}, {0x95, 0x95, 4}, {0xa4, 0xa8, 1}, {0xa9, 0xa9, 4}, {0xab, 0xab, 12}, {0xac, 0xac, 4},
	{0xad, 0xae, 6}, {0xaf, 0xaf, 14}, {0xb0, 0xb2, 1}, {0xb3, 0xb3, 12}, {0xb4, 0xb6, 6}, {0xfc, 0xfc, 1}, {0xfd, 0xfe, 8}
};

enum
{
	EXTENDED_CELL = 0x81, EXTENDED_AREA = 0x82, EXTENDED_COUNTRY = 0x83, EXTENDED_NETWORK = 0x84, EXTENDED_SATELLITES = 0x8e
};

/* --- sizes --- */

/* The rows are in order. */
static const Row *
row_of(uint8_t id)
{
	size_t		low = 0;
	size_t		high = sizeof(rows) / sizeof(rows[0]);

	while (low < high)
	{
		size_t		middle = (low + high) / 2;

		if (id > rows[middle].last)
			low = middle + 1;
		else if (id < rows[middle].first)
			high = middle;
		else
			return &rows[middle];
	}
	return NULL;
}

/* Of a unit that cools: a word says which of its parts follow. */
static size_t
refrigerator_size(const unsigned char *p)
{
	static const uint8_t parts[16] = {0, 10, 10, 10, 2, 2, 2, 2, 2, 2, 32, 20, 12, 2, 2, 0};
	uint16_t	present = galileosky_u16(p + 1);
	size_t		size = 7;

	for (int bit = 0; bit < 16; bit++)
		if (present >> bit & 1)
			size += parts[bit];
	return size;
}

/* Of a tag whose value tells; 0 when that needs more bytes than are left. */
static size_t
own_size(uint8_t id, const unsigned char *p, size_t left)
{
	switch (id)
	{
		case 0x5b:
			return left < REFRIGERATOR_HEAD ? 0 : refrigerator_size(p);
		case 0x5c:
			if (left < 2)
				return 0;
			/* No receiver. */
			return (p[0] == 0xff && p[1] == 0x00) || (p[0] == 0x00 && p[1] == 0xff) ? 2 : TIRES;
		case 0xfe:
			return left < 2 ? 0 : 2 + (size_t) galileosky_u16(p);
		default:				/* 0xe1, 0xea */
			return left < 1 ? 0 : 1 + (size_t) p[0];
	}
}

GalileoskyTagStatus
galileosky_next(GalileoskyCursor *c, GalileoskyTag *tag)
{
	const Row  *row;
	size_t		size;

	tag->id = c->p[0];
	row = row_of(tag->id);
	if (row == NULL)
		return GALILEOSKY_TAG_UNKNOWN;
	tag->value = c->p + 1;
	size = row->size != OWN ? row->size : own_size(tag->id, tag->value, c->left - 1);
	if (size == 0 || size > c->left - 1)
		return GALILEOSKY_TAG_SHORT;
	tag->size = size;
	c->p += 1 + size;
	c->left -= 1 + size;
	return GALILEOSKY_TAG_OK;
}

/* --- signals --- */

/* The number takes the place of "%u", if there is one. */
static Str
name_of(Record *r, const char *format, unsigned number)
{
	const char *mark = strchr(format, '%');
	size_t		before;
	char	   *name;
	int			n;

	if (mark == NULL)
		return (Str) {format, (uint32_t) strlen(format)};
	name = record_scratch(r, NAME_MAX);
	if (name == NULL)
		return (Str) {"", 0};	/* refused as a name */
	before = (size_t) (mark - format);
	memcpy(name, format, before);
	n = (int) before + snprintf(name + before, NAME_MAX - before, "%u%s", number, mark + 2);
	record_scratch_trim(r, name, (size_t) n);
	return (Str) {name, (uint32_t) n};
}

static bool
put_hex(Record *r, Str name, const unsigned char *p, size_t size)
{
	char	   *hex = record_scratch(r, 2 * size);

	if (hex == NULL)
		return false;
	tracker_to_hex(p, size, hex);
	return record_add_text(r, name, (Str) {hex, (uint32_t) (2 * size)});
}

static bool
put_text(Record *r, Str name, const char *format, uint32_t value)
{
	char	   *text = record_scratch(r, NAME_MAX);

	if (text == NULL)
		return false;
	return record_add_text(r, name, (Str) {text, (uint32_t) snprintf(text, NAME_MAX, format, value)});
}

static uint32_t
number_of(const unsigned char *p, size_t size)
{
	return size == 1 ? p[0] : size == 2 ? galileosky_u16(p) : galileosky_u32(p);
}

#define NUMBER(name, value) record_add_number(r, RECORD_STR(name), (value))
#define BOOLEAN(name, value) record_add_boolean(r, RECORD_STR(name), (value))
#define NUMBERED(name, number, value) record_add_number(r, name_of(r, name, number), (value))

static bool
put_status(Record *r, uint16_t bits)
{
	return NUMBER("device_status", bits) && BOOLEAN("movement", bits & 1) && BOOLEAN("ignition", bits >> 9 & 1) &&
		(!(bits >> 15 & 1) || record_add_text(r, RECORD_STR("alarm"), RECORD_STR("alarm")));
}

/* Ten bits an axis. */
static bool
put_acceleration(Record *r, uint32_t bits)
{
	return NUMBER("acceleration_x_raw", bits & 0x3ff) && NUMBER("acceleration_y_raw", bits >> 10 & 0x3ff) &&
		NUMBER("acceleration_z_raw", bits >> 20 & 0x3ff);
}

static bool
put_ecodrive(Record *r, const unsigned char *p)
{
	return NUMBER("eco_acceleration_g", p[0] / 100.0) && NUMBER("eco_braking_g", p[1] / 100.0) &&
		NUMBER("eco_cornering_g", p[2] / 100.0) && NUMBER("eco_bump_g", p[3] / 100.0);
}

/* Nothing but zeros: nothing came from the bus, and no tank is empty. */
static bool
put_can_a1(Record *r, const unsigned char *p)
{
	uint16_t	rpm = galileosky_u16(p + 2);

	if (galileosky_u32(p) == 0)
		return true;
	return (p[0] > 250 || NUMBER("fuel_percent", p[0] * 0.4)) && (p[1] > 250 || NUMBER("coolant_temp_c", p[1] - 40)) &&
		(rpm > 64255 || NUMBER("engine_rpm", rpm * 0.125));
}

static bool
put_extended_tag(Record *r, unsigned id, const unsigned char *p, size_t size)
{
	switch (id)
	{
		case EXTENDED_CELL:
			return NUMBER("cell_id", galileosky_u16(p));
		case EXTENDED_AREA:
			return NUMBER("cell_area", galileosky_u16(p));
		case EXTENDED_COUNTRY:
			return NUMBER("cell_country", galileosky_u16(p));
		case EXTENDED_NETWORK:
			return NUMBER("cell_network", galileosky_u16(p));
		case EXTENDED_SATELLITES:
			return NUMBER("satellites_visible", p[0]) && NUMBER("satellites", p[1]);
	}
	if (size <= 4)
		return NUMBERED("ext_%u", id, number_of(p, size));
	return put_hex(r, name_of(r, "ext_%u", id), p, size);
}

static size_t
extended_size(unsigned id)
{
	for (size_t i = 0; i < sizeof(extended) / sizeof(extended[0]); i++)
		if (id >= extended[i].first && id <= extended[i].last)
			return extended[i].size;
	return 0;
}

/* What follows one that is not known stays together, as far as there is room for it. */
static bool
put_extended(Record *r, const unsigned char *p, size_t left)
{
	while (left > 0)
	{
		unsigned	id = left < 2 ? 0 : galileosky_u16(p);
		size_t		size = extended_size(id);

		if (size == 0 || size > left - 2)
			return put_hex(r, RECORD_STR("ext_rest"), p, left < RECORD_TEXT_MAX / 2 ? left : RECORD_TEXT_MAX / 2);
		if (!put_extended_tag(r, id, p + 2, size))
			return false;
		p += 2 + size;
		left -= 2 + size;
	}
	return true;
}

static bool
put_own(Record *r, const GalileoskyTag *tag)
{
	const unsigned char *p = tag->value;

	switch (tag->id)
	{
		case 0x40:
			return put_status(r, galileosky_u16(p));
		case 0x44:
			return put_acceleration(r, galileosky_u32(p));
		case 0x45:
			return NUMBER("io_69", galileosky_u16(p)) && BOOLEAN("digital_output_1", p[0] & 1) && BOOLEAN("digital_output_2", p[0] >> 1 & 1);
		case 0x46:
			return NUMBER("io_70", galileosky_u16(p)) && BOOLEAN("digital_input_1", p[0] & 1) && BOOLEAN("digital_input_2", p[0] >> 1 & 1) &&
				BOOLEAN("digital_input_3", p[0] >> 2 & 1) && BOOLEAN("digital_input_4", p[0] >> 3 & 1);
		case 0x47:
			return put_ecodrive(r, p);
		case 0xc0:
			return galileosky_u32(p) == 0 || NUMBER("fuel_used_l", galileosky_u32(p) / 2.0);
		case 0xc1:
			return put_can_a1(r, p);
		case 0xc2:
			return galileosky_u32(p) == 0 || NUMBER("can_odometer_km", galileosky_u32(p) / 200.0);
		case GALILEOSKY_TAG_ANSWER:
			tracker_put_text(r, "command_result", (Str) {(const char *) p + 1, p[0]});
			return true;
		case 0xea:
			return p[0] == 0 || put_hex(r, RECORD_STR("user_data"), p + 1, p[0]);
		case 0xfe:
			return put_extended(r, p + 2, tag->size - 2);
	}
	return true;				/* the decoder's */
}

static bool
put_number(Record *r, const Row *row, const GalileoskyTag *tag)
{
	double		value = number_of(tag->value, tag->size);

	if (row->form == FORM_SIGNED)
		value = (int8_t) tag->value[0];
	if (row->divisor != 0)
		value /= row->divisor;
	if (row->name == NULL)
		return NUMBERED("io_%u", tag->id, value);
	return record_add_number(r, name_of(r, row->name, row->number + tag->id - row->first), value);
}

bool
galileosky_put(Record *r, const GalileoskyTag *tag)
{
	const Row  *row = row_of(tag->id);
	unsigned	number = row->number + tag->id - row->first;
	const unsigned char *p = tag->value;

	switch ((Form) row->form)
	{
		case FORM_OWN:
			return put_own(r, tag);
		case FORM_NUMBER:
		case FORM_SIGNED:
			return put_number(r, row, tag);
		case FORM_DECIMAL:
			return put_text(r, RECORD_STR("firmware"), "%u", p[0]);
		case FORM_HEX:
			return put_hex(r, name_of(r, row->name != NULL ? row->name : "io_%u", tag->id), p, tag->size);
		case FORM_KEY:
			return galileosky_u32(p) == 0 ||
				put_text(r, name_of(r, row->name, 0), "%08x", galileosky_u32(p));
		case FORM_LEVEL:
			return NUMBERED("fuel_sensor_%u", number, galileosky_u16(p)) && NUMBERED("fuel_sensor_%u_c", number, (int8_t) p[2]);
		case FORM_THERMOMETER:
			return NUMBERED("thermometer_%u_id", number, p[0]) && NUMBERED("thermometer_%u_c", number, (int8_t) p[1]);
		case FORM_HYGROMETER:
			return NUMBERED("hygrometer_%u_id", number, p[0]) && NUMBERED("hygrometer_%u_c", number, (int8_t) p[1]) &&
				NUMBERED("hygrometer_%u_percent", number, p[2] * 100 / 255.0);
	}
	return true;
}
