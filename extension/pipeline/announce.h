/*
 * announce.h
 *	  Stage 6: a few notifications per topic, tenant and commit.
 */
#ifndef FLEET_ANNOUNCE_H
#define FLEET_ANNOUNCE_H

#include "pipeline/report.h"
#include "watch/watch.h"

/* The last state of a vehicle that a batch moved. */
typedef struct LiveState
{
	int32		tenant_id;
	int64		vehicle_id;
	const char *vehicle_name;
	TimestampTz event_time;
	TimestampTz received_at;
	bool		has_location;
	Geopoint	location;
	float4		speed_kmh;
	float4		heading_deg;
} LiveState;

/*
 * Sends NOTIFY for what the batch brought.  `live` holds LiveState pointers,
 * `rejected` the reports that went to quarantine.
 */
extern void announce(int64 batch_id, List *live, const WatchResult *result,
					 Report **rejected, int64 nrejected);

#endif							/* FLEET_ANNOUNCE_H */
