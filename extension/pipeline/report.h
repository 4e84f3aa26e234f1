/*
 * report.h
 *	  A report: one row sent through fleet.ingest, on its way to become an event.
 */
#ifndef FLEET_REPORT_H
#define FLEET_REPORT_H

#include "datatype/timestamp.h"
#include "types/geopoint.h"
#include "types/signals.h"

/* What became of a report. */
typedef enum Verdict
{
	VERDICT_PENDING = 0,
	VERDICT_ACCEPTED,			/* an event */
	VERDICT_REPEATED,			/* already stored, or twice in this batch */
	VERDICT_REJECTED			/* a row of quarantine */
} Verdict;

/*
 * The closed list of defect codes; names in defect_code_name() and
 * docs/contracts.md.
 */
typedef enum DefectCode
{
	DEFECT_NONE = 0,
	DEFECT_MALFORMED,
	DEFECT_MISSING_FIELD,
	DEFECT_OUT_OF_RANGE,
	DEFECT_NULL_ISLAND,
	DEFECT_TIME_IN_FUTURE,
	DEFECT_TIME_TOO_OLD,
	DEFECT_UNKNOWN_DEVICE,
	DEFECT_UNKNOWN_SCHEMA,
	DEFECT_NOT_PERMITTED,
	DEFECT_LOOKS_LIKE_VIN,
	DEFECT_OVER_QUOTA
} DefectCode;

#define DEFECT_CODES (DEFECT_OVER_QUOTA + 1)

/* Towards its tenant's quota of events; see quota.h. */
typedef enum ReportQuota
{
	REPORT_FREE = 0,			/* there is none */
	REPORT_PAID,
	REPORT_OWES					/* must be paid before the report is stored */
} ReportQuota;

typedef struct Report
{
	int64		ordinal;		/* position in the statement, from 1 */

	/* as sent */
	int32		source_id;		/* 0: none */
	const char *device;			/* external identity, NULL: none */
	bool		has_event_time;
	TimestampTz event_time;
	TimestampTz received_at;
	double		latitude;		/* NaN: not given; as sent, maybe out of range */
	double		longitude;
	float4		altitude_m;		/* NaN: not given, here and below */
	float4		accuracy_m;
	float4		speed_kmh;
	float4		heading_deg;
	Signals    *signals;		/* NULL: none */
	int32		schema_version; /* 1 when not given */
	const char *defect;			/* found by the sender's decoder, or NULL */
	bytea	   *raw;			/* the frame, or NULL */

	/* what the stages found */
	int32		tenant_id;		/* 0: not known */
	int64		vehicle_id;		/* 0: not known */
	const struct RegistryVehicle *vehicle;	/* NULL: not known */
	bool		has_location;
	Geopoint	location;		/* when has_location */
	uint32		digest;			/* of the normalised content */
	Verdict		verdict;
	bool		late;			/* older than the vehicle's state was */
	DefectCode	defect_code;	/* when rejected */
	const char *defect_field;	/* or NULL */
	const char *defect_value;	/* offending value as text, or NULL */
	bool		withheld;		/* rejected, and not kept: a VIN is in it */
	ReportQuota quota;
	bool		unstored;		/* rejected, and not in quarantine: to be sent again */
} Report;

extern const char *defect_code_name(DefectCode code);

#endif							/* FLEET_REPORT_H */
