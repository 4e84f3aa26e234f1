/*
 * trust.h
 *	  Which tenants may this session act for?
 *
 * Roles are bound to tenants in fleet.tenant_grant; a session that has proved
 * itself with a token (login.h) acts for the token's tenant alone, within the
 * token's role, scope and vehicles.  What PostgreSQL's own privileges refuse
 * stays refused: a token narrows, it never widens.
 */
#ifndef FLEET_TRUST_H
#define FLEET_TRUST_H

#include "trust/identity.h"

/*
 * May the session do in this tenant what level and area say?  Superusers and
 * members of fleet_owner may, unless a token narrows the latter.
 */
extern bool trust_allows(int32 tenant_id, const char *area, TrustLevel level);
extern bool trust_allows_vehicle(int64 vehicle_id);
extern bool trust_allows_all_vehicles(void);
/* The same, with an error (42501) that does not tell whether the tenant or vehicle exists. */
extern void trust_require(int32 tenant_id, const char *area, TrustLevel level);

/*
 * May user, in this session, send reports for this tenant's sources?  Members of
 * fleet_daemon that are bound to no tenant serve all; so do roles that were
 * never bound to one, cannot read, and have no token: they are daemons, too.
 */
extern bool trust_allows_ingest(Oid user, int32 tenant_id);

extern void trust_init(void);

#endif							/* FLEET_TRUST_H */
