/*
 * config_reload.c
 *	  The settings in force, and what a reload takes over from a new file.
 */
#include "config_int.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/teltonika.h"
#include "log.h"
#include "mapping.h"

const Config *cf = NULL;
static Config *current = NULL;
static unsigned generation = 0;

/* Memory short: the names of before stay. */
static void
use_elements(void)
{
	if (!teltonika_extend(current->teltonika_io, current->nteltonika_io))
		log_warning("setting_not_used", log_str("setting", "teltonika.io"));
}

void
config_set(Config *config)
{
	current = config;
	cf = config;
	use_elements();
	generation++;
}

static void
take_over_networks(const Setting *setting, ListenerConfig *old, ListenerConfig *new)
{
	Network    *allow = old->allow;
	size_t		nallow = old->nallow;

	if (nallow != new->nallow ||
		(nallow > 0 && memcmp(allow, new->allow, nallow * sizeof(Network)) != 0))
		log_info("setting_changed", log_str("setting", setting->name));
	old->allow = new->allow;
	old->nallow = new->nallow;
	new->allow = allow;
	new->nallow = nallow;
}

static void
take_over_devices(const Setting *setting, ListenerConfig *old, ListenerConfig *new)
{
	char	  **devices = old->devices;
	size_t		ndevices = old->ndevices;
	bool		differs = ndevices != new->ndevices;

	for (size_t i = 0; i < ndevices && !differs; i++)
		differs = strcmp(devices[i], new->devices[i]) != 0;
	if (differs)
		log_info("setting_changed", log_str("setting", setting->name));
	old->devices = new->devices;
	old->ndevices = new->ndevices;
	new->devices = devices;
	new->ndevices = ndevices;
}

/* Does the row differ?  Its value moves over when it may. */
static void
take_over(const Setting *setting, char *old, char *new, bool *warned)
{
	bool		differs;

	if (setting->type == SETTING_NETWORKS)
	{
		take_over_networks(setting, (ListenerConfig *) old, (ListenerConfig *) new);
		return;
	}
	if (setting->type == SETTING_DEVICES)
	{
		take_over_devices(setting, (ListenerConfig *) old, (ListenerConfig *) new);
		return;
	}
	old += setting->offset;
	new += setting->offset;
	if (setting->type == SETTING_STRING)
	{
		const char *a = *(char **) old;
		const char *b = *(char **) new;

		differs = (a == NULL) != (b == NULL) || (a != NULL && strcmp(a, b) != 0);
		if (differs && setting->reloadable)
		{
			char	   *swap = *(char **) old;

			*(char **) old = *(char **) new;
			*(char **) new = swap;
		}
	}
	else if (setting->type == SETTING_BOOLEAN)
	{
		differs = *(bool *) old != *(bool *) new;
		if (differs && setting->reloadable)
			*(bool *) old = *(bool *) new;
	}
	else if (setting->type == SETTING_TOPICS || setting->type == SETTING_OPTIONS)
		differs = !json_object_equal(*(struct json_object **) old, *(struct json_object **) new);
	else
	{
		differs = *(int64_t *) old != *(int64_t *) new;
		if (differs && setting->reloadable)
			*(int64_t *) old = *(int64_t *) new;
	}
	if (!differs)
		return;
	if (setting->reloadable)
		log_info("setting_changed", log_str("setting", setting->name));
	else
	{
		log_warning("setting_needs_restart", log_str("setting", setting->name));
		*warned = true;
	}
}

static void
reload_sources(Config *next)
{
	if (next->nsources != current->nsources)
		log_warning("setting_needs_restart", log_str("setting", "sources"));
	for (size_t i = 0; i < current->nsources && i < next->nsources; i++)
	{
		SourceConfig *old = &current->sources[i];
		SourceConfig *new = &next->sources[i];
		TlsContext *swap = old->tls;
		bool		warned = false;

		if ((old->tls == NULL) != (new->tls == NULL))
		{
			log_warning("setting_needs_restart", log_str("setting", "sources[].tls"), log_int("entry", (int64_t) i));
			continue;
		}
		for (size_t j = 0; j < config_source_rows.n; j++)
			if (!config_source_rows.rows[j].reloadable)
				take_over(&config_source_rows.rows[j], (char *) old, (char *) new, &warned);
		if (warned)
			continue;
		for (size_t j = 0; j < config_source_rows.n; j++)
			if (config_source_rows.rows[j].reloadable)
				take_over(&config_source_rows.rows[j], (char *) old, (char *) new, &warned);
		old->tls = new->tls;
		new->tls = swap;
	}
}

void
config_reload(Config *next)
{
	bool		warned = false;

	for (size_t i = 0; i < config_rows.n; i++)
		if (config_rows.rows[i].type != SETTING_LISTENERS && config_rows.rows[i].type != SETTING_SOURCES &&
			config_rows.rows[i].type != SETTING_MAPPINGS &&
			config_rows.rows[i].type != SETTING_ELEMENTS)
			take_over(&config_rows.rows[i], (char *) current, (char *) next, &warned);

	if (next->nlisteners != current->nlisteners)
		log_warning("setting_needs_restart", log_str("setting", "listeners"));
	for (size_t i = 0; i < current->nlisteners && i < next->nlisteners; i++)
	{
		ListenerConfig *old = &current->listeners[i];
		ListenerConfig *new = &next->listeners[i];
		TlsContext *swap = old->tls;

		warned = false;
		if ((old->tls == NULL) != (new->tls == NULL))
		{
			log_warning("setting_needs_restart", log_str("setting", "listeners[].tls"),
						log_int("listener", (int64_t) i));
			continue;
		}
		for (size_t j = 0; j < config_listener_rows.n; j++)
			if (!config_listener_rows.rows[j].reloadable)
				take_over(&config_listener_rows.rows[j], (char *) old, (char *) new, &warned);
		if (warned)
			continue;
		for (size_t j = 0; j < config_listener_rows.n; j++)
			if (config_listener_rows.rows[j].reloadable)
				take_over(&config_listener_rows.rows[j], (char *) old, (char *) new, &warned);
		/* Also when the names are the same: certificates are renewed in place. */
		old->tls = new->tls;
		new->tls = swap;
	}
	reload_sources(next);

	{
		NamedMapping *mappings = current->mappings;
		size_t		nmappings = current->nmappings;

		current->mappings = next->mappings;
		current->nmappings = next->nmappings;
		next->mappings = mappings;
		next->nmappings = nmappings;
	}
	{
		TeltonikaIo *rows = current->teltonika_io;
		size_t		nrows = current->nteltonika_io;

		current->teltonika_io = next->teltonika_io;
		current->nteltonika_io = next->nteltonika_io;
		next->teltonika_io = rows;
		next->nteltonika_io = nrows;
		use_elements();
	}

	{
		/* Also when the name is the same: keys are changed in place. */
		struct PseudonymKeys *keys = current->pseudonym_keys;

		current->pseudonym_keys = next->pseudonym_keys;
		next->pseudonym_keys = keys;
	}

	/* A listener that kept its old mapping name may have lost the mapping. */
	for (size_t i = 0; i < current->nlisteners; i++)
		if (config_find_mapping(current, current->listeners[i].mapping_name) == NULL)
			log_warning("mapping_gone", log_int("listener", (int64_t) i),
						log_str("mapping", current->listeners[i].mapping_name));
	for (size_t i = 0; i < current->nsources; i++)
		if (config_find_mapping(current, current->sources[i].mapping_name) == NULL)
			log_warning("mapping_gone", log_int("entry", (int64_t) i),
						log_str("mapping", current->sources[i].mapping_name));
	generation++;
	config_free(next);
}

const struct Mapping *
config_mapping(const char *name)
{
	return config_find_mapping(cf, name);
}

unsigned
config_generation(void)
{
	return generation;
}
