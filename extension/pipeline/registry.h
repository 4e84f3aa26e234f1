/*
 * registry.h
 *	  Stage 1: sources, tenants and devices, cached in the backend.
 */
#ifndef FLEET_REGISTRY_H
#define FLEET_REGISTRY_H

#include "pipeline/contract.h"
#include "pipeline/quota.h"
#include "pipeline/report.h"

#define CHANNEL_TOPICS 5		/* live, alert, geofence, quarantine, command */

typedef struct RegistryTenant
{
	int32		tenant_id;
	bool		auto_register;
	bool		notify_keys;	/* notifications carry ids and nothing else */
	char		channel[CHANNEL_TOPICS][NAMEDATALEN];	/* by Topic */
	Contract	contract;
	Quota		quota;
} RegistryTenant;

typedef struct RegistrySource
{
	int32		source_id;
	int32		tenant_id;
	bool		revoked;
	TimestampTz expires_at;		/* DT_NOEND: never */
	char	  **devices;		/* sorted; NULL: all of the tenant */
	int			ndevices;
} RegistrySource;

/* Strings live as long as the cache: until the end of the statement at least. */
typedef struct RegistryVehicle
{
	int64		vehicle_id;
	const char *name;
	const char *type;			/* or NULL */
} RegistryVehicle;

/*
 * Start of a batch: forget what other sessions have changed.  Within the
 * batch nothing is forgotten, so pointers stay good; a batch nested in
 * another one (a trigger on fleet.vehicle may send reports) forgets nothing.
 */
extern void registry_begin(bool nested);
/* What was registered since the transaction began may be gone. */
extern void registry_abort(void);
extern void registry_end_transaction(void);
/* NULL when there is no such tenant. */
extern const RegistryTenant *registry_tenant(int32 tenant_id);
/* NULL when there is no such source. */
extern const RegistrySource *registry_source(int32 source_id);
/* May the source bring reports of that device? */
extern bool registry_source_brings(const RegistrySource *source, const char *device);
/*
 * Sets vehicle_id and vehicle of each pending report; registers unknown
 * devices where the tenant says so, rejects the others as unknown_device.
 * Through SPI; must be connected.
 */
extern void registry_vehicles(Report **reports, int64 nreports);

extern void registry_init(void);

#endif							/* FLEET_REGISTRY_H */
