/*
 * adapters.c
 *	  The protocols that fleetd speaks.
 */
#include "adapter.h"

#include <string.h>

const Adapter *const adapters[] = {
	&adapter_json,
	&adapter_http,
	&adapter_teltonika,
	&adapter_gt06,
	&adapter_ruptela,
	&adapter_wialon,
	&adapter_gl200,
	&adapter_osmand,
	&adapter_mqtt,
	&adapter_h02,
	&adapter_gps103,
	&adapter_tk103,
	&adapter_tesla,
	&adapter_galileosky,
	NULL
};

const Adapter *
adapter_find(const char *name)
{
	for (size_t i = 0; adapters[i] != NULL; i++)
		if (strcmp(adapters[i]->name, name) == 0)
			return adapters[i];
	return NULL;
}
