/*
 * gt06_fields.h
 *	  What GT06 messages are made of: dates, fixes, cells, states.
 */
#ifndef SHIM_ADAPTERS_GT06_FIELDS_H
#define SHIM_ADAPTERS_GT06_FIELDS_H

#include "gt06.h"

#define DATE_SIZE 6				/* YY MM DD hh mm ss */
#define FIX_SIZE 12				/* satellites, latitude, longitude, speed, course */
#define KEPT_MAX 2000			/* bytes of content that are kept as they are */

/* Signals beyond the limits of a record are not there; nothing else depends on them. */
extern void gt06_put_number(Record *r, Str name, double value);
extern void gt06_put_boolean(Record *r, Str name, bool value);
extern void gt06_put_copy(Record *r, Str name, const char *text, size_t n);

#define NUMBER(r, name, value) gt06_put_number((r), RECORD_STR(name), (value))
#define BOOLEAN(r, name, value) gt06_put_boolean((r), RECORD_STR(name), (value))
#define TEXT(r, name, literal) ((void) !record_add_text((r), RECORD_STR(name), RECORD_STR(literal)))

extern bool gt06_read_date(const unsigned char *p, int64_t *us);
extern bool gt06_starts_with_date(const unsigned char *p);
/* For messages that have no time, p NULL, their receipt is it. */
extern void gt06_put_date(Session *session, const Gt06Message *m, Record *r, const unsigned char *p);

/* The last two bytes of a fix, with the place they say whether to believe. */
extern void gt06_put_course(Record *r, uint16_t word, uint32_t lat, uint32_t lon);
/* FIX_SIZE bytes; returns whether the ignition was known. */
extern bool gt06_put_fix(Record *r, const unsigned char *p);

extern void gt06_put_cell_of(Record *r, unsigned mcc, unsigned mnc, double area, double cell);
/* Returns the bytes taken, 0 when there are not enough. */
extern size_t gt06_put_cell(Record *r, const unsigned char *p, size_t n, bool wide);

/* Switches alone; levels alone; an alarm's code; all of these, in two layouts. */
extern void gt06_put_switches(Record *r, uint8_t info, bool ignition_known);
extern void gt06_put_levels(Record *r, uint8_t voltage, uint8_t signal);
extern void gt06_put_alarm(Record *r, uint8_t code);
extern void gt06_put_status(Record *r, const unsigned char *p, size_t n, bool ignition_known, bool fenced);
extern void gt06_put_percents(Record *r, const unsigned char *p, bool ignition_known);

/* What is no height or voltage is left out. */
extern void gt06_put_altitude(Record *r, uint16_t word);
extern void gt06_put_volts(Record *r, uint16_t hundredths);
/* Four bytes, metres. */
extern void gt06_put_mileage(Record *r, const unsigned char *p);

/* As hexadecimal digits; as text when it is one. */
extern void gt06_put_hex(Record *r, Str name, const unsigned char *p, size_t n);
extern void gt06_put_text(Record *r, Str name, const unsigned char *p, size_t n);

/* Emits the record, with a defect when it has no time; gt06_decode.c. */
extern Gt06Result gt06_emit(const Gt06Message *m, Decoded *out);

/* Date, fix and what follows, from there on in the content; gt06_position.c. */
extern Gt06Result gt06_position(Session *session, const Gt06Message *m, Decoded *out, size_t at);
/* Where that is, when there is room for one. */
extern size_t gt06_find_fix(const unsigned char *p, size_t n);
/* With the fix's size before it, which may be 0. */
extern Gt06Result gt06_sized_fix(Session *session, const Gt06Message *m, Decoded *out);

#endif							/* SHIM_ADAPTERS_GT06_FIELDS_H */
