/*
 * gate.c
 *	  Sources that the database does not permit.
 */
#include "gate.h"

#include <stddef.h>
#include <string.h>

#include "clock.h"
#include "config.h"
#include "credential.h"
#include "log.h"

typedef struct Gate
{
	int32_t		source_id;		/* 0: none */
	int64_t		shut_us;
	int64_t		until_us;
} Gate;

/* There are no more sources than entries in the configuration. */
static Gate gates[CONFIG_LISTENERS_MAX + CONFIG_SOURCES_MAX];

bool
gate_is_refusal(const SinkOutcome *outcome)
{
	return outcome->verdict == SINK_REJECTED && strcmp(outcome->code, "not_permitted") == 0 &&
		strcmp(outcome->field, "source_id") == 0;
}

void
gate_shut(int32_t source_id)
{
	int64_t		now = clock_us();
	Gate	   *gate = NULL;

	for (size_t i = 0; i < CONFIG_LISTENERS_MAX + CONFIG_SOURCES_MAX; i++)
		if (gates[i].source_id == source_id)
			gate = &gates[i];
		else if (gate == NULL && gates[i].until_us <= now)
			gate = &gates[i];
	if (gate == NULL || (gate->source_id == source_id && gate->until_us > now))
		return;
	gate->source_id = source_id;
	gate->shut_us = now;
	gate->until_us = now + (int64_t) GATE_SECONDS * 1000000;
	log_error("source_not_permitted", log_int("source", source_id), log_int("again_in_seconds", GATE_SECONDS));
}

bool
gate_is_open(int32_t source_id)
{
	const Credential *source = source_id != 0 ? credential_source(source_id) : NULL;

	if (source != NULL && !credential_is_live(source))
		return false;
	for (size_t i = 0; i < CONFIG_LISTENERS_MAX + CONFIG_SOURCES_MAX; i++)
		if (gates[i].source_id == source_id && source_id != 0)
			return clock_us() >= gates[i].until_us || (source != NULL && source->confirmed_us > gates[i].shut_us);
	return true;
}

void
gate_reset(void)
{
	memset(gates, 0, sizeof(gates));
	credential_trust_sources();
}
