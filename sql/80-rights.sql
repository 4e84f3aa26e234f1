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

-- What reads or writes, or tells of a session, is for roles, see 82-roles.sql.
-- Left to everybody is what computes from its arguments alone, as types do.
DO $$
DECLARE
    routine regprocedure;
BEGIN
    FOR routine IN
        SELECT p.oid FROM pg_catalog.pg_proc p
          JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
          JOIN pg_catalog.pg_extension e ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND e.oid = d.refobjid
         WHERE e.extname = 'fleet' AND p.provolatile <> 'i'
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', routine);
    END LOOP;
END
$$;
-- policies ask these as whoever runs the statement
GRANT EXECUTE ON FUNCTION fleet.allowed_tenants(text, text), fleet.allowed_vehicles(), fleet.allowed_rows(text, text), fleet.logged_in() TO PUBLIC;
-- defaults of columns and arguments too
GRANT EXECUTE ON FUNCTION fleet.session_tenant() TO PUBLIC;
-- the clock is anybody's to move who may use the schema
GRANT EXECUTE ON FUNCTION fleet.tick() TO PUBLIC;
-- what this session itself has sent
GRANT EXECUTE ON FUNCTION fleet.last_batch() TO PUBLIC;
