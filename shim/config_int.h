/*
 * config_int.h
 *	  What the files of the configuration share: config_table.c has the rows,
 *	  config.c reads a file by them, config_lists.c the values that are lists,
 *	  config_reload.c keeps the settings in force.
 */
#ifndef SHIM_CONFIG_INT_H
#define SHIM_CONFIG_INT_H

#include "config.h"

struct json_object;

typedef enum SettingType
{
	SETTING_STRING,
	SETTING_INTEGER,
	SETTING_BOOLEAN,			/* a bool */
	SETTING_LEVEL,				/* of the log */
	SETTING_NETWORKS,			/* list of ADDRESS/BITS, of a listener */
	SETTING_DEVICES,			/* list of identities, of a listener */
	SETTING_LISTENERS,			/* list; each has the rows of listener_settings */
	SETTING_SOURCES,			/* list; each has the rows of source_settings */
	SETTING_TOPICS,				/* list of strings, of a source */
	SETTING_OPTIONS,			/* object, of a source; kept as it is */
	SETTING_MAPPINGS,			/* name -> mapping */
	SETTING_ELEMENTS			/* id -> signal */
} SettingType;

typedef struct Setting
{
	const char *name;			/* dotted path in the file */
	SettingType type;
	size_t		offset;			/* in Config, or in ListenerConfig */
	int64_t		min;
	int64_t		max;
	const char *def;			/* default as text; NULL: must be set, or none */
	bool		reloadable;
	const char *help;
} Setting;

typedef struct SettingRows
{
	const Setting *rows;
	size_t		n;
} SettingRows;

/* config_table.c */
extern const SettingRows config_rows;
extern const SettingRows config_listener_rows;
extern const SettingRows config_source_rows;

/* Rows, and the struct that they fill. */
typedef struct Table
{
	const SettingRows *settings;
	void	   *target;
	Config	   *config;
	char	   *err;
	size_t		errlen;
} Table;

/* config.c */
/* Says "path: what" in the table's err; false. */
extern bool config_fail(Table *table, const char *path, const char *what);
extern bool config_set_defaults(Table *table);
extern bool config_read_object(Table *table, const char *path, struct json_object *object);
/* The mapping of that name in config, which need not be the one in force. */
extern const struct Mapping *config_find_mapping(const Config *config, const char *name);

/* config_lists.c */
extern bool config_read_list(Table *table, const Setting *setting, const char *path, struct json_object *value);
extern void config_free_lists(Config *config);
extern void config_free_strings(const SettingRows *settings, void *target);

#endif							/* SHIM_CONFIG_INT_H */
