/*
 * log.h
 *	  One JSON object per line on standard error: time, level, event, fields.
 *
 *		log_info("listening", log_str("address", a), log_int("port", p));
 *
 * Never pass a token or what a device sent.
 */
#ifndef SHIM_LOG_H
#define SHIM_LOG_H

#include <stddef.h>
#include <stdint.h>

typedef enum LogLevel
{
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_INFO,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_ERROR,
	LOG_LEVEL_FATAL				/* always written; the caller exits */
} LogLevel;

typedef struct LogField
{
	const char *name;			/* NULL ends a list */
	enum
	{
		LOG_FIELD_STR,
		LOG_FIELD_INT,
		LOG_FIELD_NUM
	}			kind;
	const char *str;			/* NULL: the field is left out */
	int64_t		integer;
	double		number;
} LogField;

static inline LogField
log_str(const char *name, const char *value)
{
	return (LogField) {.name = name,.kind = LOG_FIELD_STR,.str = value};
}

static inline LogField
log_int(const char *name, int64_t value)
{
	return (LogField) {.name = name,.kind = LOG_FIELD_INT,.integer = value};
}

static inline LogField
log_num(const char *name, double value)
{
	return (LogField) {.name = name,.kind = LOG_FIELD_NUM,.number = value};
}

extern void log_write(LogLevel level, const char *event, const LogField *fields);

#define log_at(level, event, ...) \
	log_write((level), (event), (const LogField[]) {__VA_ARGS__ __VA_OPT__(,) {0}})
#define log_debug(event, ...) log_at(LOG_LEVEL_DEBUG, event __VA_OPT__(,) __VA_ARGS__)
#define log_info(event, ...) log_at(LOG_LEVEL_INFO, event __VA_OPT__(,) __VA_ARGS__)
#define log_warning(event, ...) log_at(LOG_LEVEL_WARNING, event __VA_OPT__(,) __VA_ARGS__)
#define log_error(event, ...) log_at(LOG_LEVEL_ERROR, event __VA_OPT__(,) __VA_ARGS__)
#define log_fatal(event, ...) log_at(LOG_LEVEL_FATAL, event __VA_OPT__(,) __VA_ARGS__)

/*
 * Lines below the level are dropped.  At most per_second lines of level info
 * and below, and as many of warning and error, are written each second, so that
 * a flood of bad clients does not fill the disk; what was left out is counted
 * in a line of its own.  0: no limit.
 */
extern void log_configure(LogLevel level, unsigned per_second);

#endif							/* SHIM_LOG_H */
