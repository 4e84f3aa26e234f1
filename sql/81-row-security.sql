-- 81-row-security.sql: rows are seen and changed inside their tenant only.
--
-- A policy asks once per statement which tenants the session acts for, in a
-- sub-select that becomes an init plan, and compares.  So an index on tenant_id
-- or vehicle_id keeps its use, and a parallel plan stays possible.

CREATE FUNCTION fleet.secure_table(relation regclass, area text, read_level text, write_level text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
DECLARE
    has_vehicle boolean := EXISTS (SELECT FROM pg_attribute a
        WHERE a.attrelid = relation AND a.attname = 'vehicle_id' AND NOT a.attisdropped);
    -- functions that are asked before a query's own conditions, and that find indexes
    tenants text := 'fleet.tenant_allowed(tenant_id, (SELECT fleet.allowed_tenants(%L, %L)))';
    -- one question for both, since each is a plan of its own
    whole text := 'fleet.row_allowed(tenant_id, vehicle_id, (SELECT fleet.allowed_rows(%L, %L)))';
    -- null stands for all vehicles
    unlimited text := ' AND (SELECT fleet.allowed_vehicles()) IS NULL';
    -- what says nothing of single vehicles is for those, too, who may see some only
    readable text := CASE WHEN has_vehicle THEN whole
        WHEN area IN ('quarantine', 'audit', 'source', 'history') THEN tenants || unlimited ELSE tenants END;
    writable text := CASE WHEN has_vehicle THEN whole ELSE tenants || unlimited END;
    hidden name;
BEGIN
    -- EXPLAIN tells everybody what the planner expects: with statistics of
    -- names or positions it would give away those of other tenants, one by one
    FOR hidden IN
        SELECT a.attname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
         WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
           AND t.typname IN ('text', '_text', 'jsonb', 'bytea', 'geopoint', 'signals', 'geometry')
           -- closed lists of ours
           AND a.attname NOT IN ('kind', 'severity', 'state', 'code', 'notify', 'action', 'object_type')
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER %I SET STATISTICS 0', relation, hidden);
    END LOOP;
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', relation);
    EXECUTE format('CREATE POLICY tenant_read ON %s FOR SELECT USING (' || readable || ')', relation, area, read_level);
    IF write_level IS NOT NULL THEN
        EXECUTE format('CREATE POLICY tenant_insert ON %s FOR INSERT WITH CHECK (' || writable || ')', relation, area, write_level);
        EXECUTE format('CREATE POLICY tenant_update ON %s FOR UPDATE USING (' || writable || ')', relation, area, write_level);
        EXECUTE format('CREATE POLICY tenant_delete ON %s FOR DELETE USING (' || writable || ')', relation, area, write_level);
    END IF;
    PERFORM fleet.secure_table_owner(relation);
END
$$;
COMMENT ON FUNCTION fleet.secure_table(regclass, text, text, text) IS
    'Private: forces row-level security on a table with tenant_id, and keeps its values out of statistics; without write_level only the extension writes it';
REVOKE ALL ON FUNCTION fleet.secure_table(regclass, text, text, text) FROM PUBLIC;

CREATE FUNCTION fleet.secure_table_owner(relation regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'fleet_owner')
       AND NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = relation AND polname = 'all_tenants') THEN
        EXECUTE format('CREATE POLICY all_tenants ON %s TO fleet_owner USING (NOT (SELECT fleet.logged_in()))', relation);
    END IF;
END
$$;
COMMENT ON FUNCTION fleet.secure_table_owner(regclass) IS 'Private: lets fleet_owner, once that role exists, past row-level security, unless a token narrows the session';
REVOKE ALL ON FUNCTION fleet.secure_table_owner(regclass) FROM PUBLIC;

SELECT fleet.secure_table('fleet.tenant', 'tenant', 'reader', 'admin');
SELECT fleet.secure_table('fleet.tenant_grant', 'tenant', 'admin');
SELECT fleet.secure_table('fleet.contract', 'contract', 'reader', 'admin');
SELECT fleet.secure_table('fleet.quota', 'quota', 'reader');
SELECT fleet.secure_table('fleet.vehicle', 'registry', 'reader', 'admin');
SELECT fleet.secure_table('fleet.device', 'registry', 'reader', 'admin');
SELECT fleet.secure_table('fleet.source', 'source', 'admin', 'admin');
SELECT fleet.secure_table('fleet.source_token', 'source', 'admin', 'admin');
SELECT fleet.secure_table('fleet.event', 'history', 'reader');
SELECT fleet.secure_table('fleet.vehicle_state', 'state', 'reader');
SELECT fleet.secure_table('fleet.geofence', 'geofence', 'reader', 'operator');
SELECT fleet.secure_table('fleet.geofence_visit', 'geofence', 'reader');
SELECT fleet.secure_table('fleet.rule', 'rule', 'reader', 'operator');
SELECT fleet.secure_table('fleet.alert', 'alert', 'reader', 'operator');
SELECT fleet.secure_table('fleet.command', 'command', 'reader');
SELECT fleet.secure_table('fleet.batch', 'history', 'reader');
SELECT fleet.secure_table('fleet.quarantine', 'quarantine', 'operator', 'operator');
SELECT fleet.secure_table('fleet.audit_log', 'audit', 'admin');
SELECT fleet.secure_table('fleet.audit_head', 'audit', 'admin');

-- keys are nobody's but fleet_owner's, whatever they are bound to
ALTER TABLE fleet.login_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE fleet.login_key FORCE ROW LEVEL SECURITY;

-- A dump carries the policies of an extension's tables, although CREATE
-- EXTENSION makes them again: a restore brings its own in place of ours.
CREATE FUNCTION fleet.policy_restore() RETURNS event_trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'policy_restore';
COMMENT ON FUNCTION fleet.policy_restore() IS 'Event trigger: while row_security is off, as in a restore, CREATE POLICY replaces a policy of this extension';
REVOKE ALL ON FUNCTION fleet.policy_restore() FROM PUBLIC;
CREATE EVENT TRIGGER fleet_policy_restore ON ddl_command_start WHEN TAG IN ('CREATE POLICY')
    EXECUTE FUNCTION fleet.policy_restore();
COMMENT ON EVENT TRIGGER fleet_policy_restore IS 'Lets a dump with policies of fleet be restored';
