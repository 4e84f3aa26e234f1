-- 80-rights.sql: who may call what is not meant to be called.
--
-- A trigger function on a table of a stranger's making would work with the
-- rights of its owner, or find columns it does not expect.  The right to
-- execute one is asked for when a trigger is created, not when it fires, so
-- these serve the triggers of this extension as before.
REVOKE ALL ON FUNCTION fleet.geofence_check() FROM PUBLIC;
REVOKE ALL ON FUNCTION fleet.geofence_revise() FROM PUBLIC;
REVOKE ALL ON FUNCTION fleet.geofence_settle() FROM PUBLIC;
REVOKE ALL ON FUNCTION fleet.ingest_begin() FROM PUBLIC;
REVOKE ALL ON FUNCTION fleet.ingest_end() FROM PUBLIC;
REVOKE ALL ON FUNCTION fleet.ingest_row() FROM PUBLIC;
REVOKE ALL ON FUNCTION fleet.invalidate_cache() FROM PUBLIC;
REVOKE ALL ON FUNCTION fleet.rule_check() FROM PUBLIC;
REVOKE ALL ON FUNCTION fleet.tenant_replace_default() FROM PUBLIC;
