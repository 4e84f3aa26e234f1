/*
 * dialect.c
 *	  The trackers that fleetsim can be.
 */
#include "dialect.h"

static const Dialect *const dialects[] = {
	&dialect_teltonika,
	&dialect_gt06,
	&dialect_ruptela,
	&dialect_wialon,
	&dialect_h02,
	&dialect_gl200,
	&dialect_gps103,
	&dialect_tk103,
	&dialect_osmand,
	&dialect_tesla,
	&dialect_galileosky
};

const Dialect *
dialect_find(const char *name)
{
	for (size_t i = 0; i < sizeof(dialects) / sizeof(dialects[0]); i++)
		if (strcmp(dialects[i]->name, name) == 0)
			return dialects[i];
	return NULL;
}
