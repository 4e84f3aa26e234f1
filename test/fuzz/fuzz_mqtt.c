/*
 * fuzz_mqtt.c
 *	  Packets of MQTT in both versions.
 */
#include <stddef.h>

#include "mapping.h"

#define FUZZ_ADAPTER adapter_mqtt
#define FUZZ_MAPPING default_mapping()

static const Mapping *
default_mapping(void)
{
	static const Mapping *mapping = NULL;

	if (mapping == NULL)
		mapping = mapping_default();
	return mapping;
}

#include "fuzz_adapter.h"
