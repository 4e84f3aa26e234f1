-- 83-audited.sql: the tables whose changes go into the audit log.

CREATE FUNCTION fleet.audit_table(relation regclass, object_type text, key text, VARIADIC hidden text[] DEFAULT '{}') RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
DECLARE
    arguments text := (SELECT string_agg(quote_literal(a), ', ') FROM unnest(ARRAY[object_type, key] || hidden) a);
BEGIN
    EXECUTE format('CREATE TRIGGER audit_insert AFTER INSERT ON %s REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION fleet.audit_change(%s)', relation, arguments);
    EXECUTE format('CREATE TRIGGER audit_update AFTER UPDATE ON %s REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION fleet.audit_change(%s)', relation, arguments);
    EXECUTE format('CREATE TRIGGER audit_delete AFTER DELETE ON %s REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION fleet.audit_change(%s)', relation, arguments);
    EXECUTE format('CREATE TRIGGER audit_truncate AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION fleet.audit_change(%s)', relation, arguments);
END
$$;
COMMENT ON FUNCTION fleet.audit_table(regclass, text, text, text[]) IS 'Private: puts the triggers of the audit log on a table';
REVOKE ALL ON FUNCTION fleet.audit_table(regclass, text, text, text[]) FROM PUBLIC;

SELECT fleet.audit_table('fleet.tenant', 'tenant', 'tenant_id', 'channel_key');
SELECT fleet.audit_table('fleet.tenant_grant', 'tenant_grant', 'role_name');
SELECT fleet.audit_table('fleet.login_key', 'login_key', 'key_id', 'key');
SELECT fleet.audit_table('fleet.contract', 'contract', 'tenant_id');
SELECT fleet.audit_table('fleet.quota', 'quota', 'tenant_id');
SELECT fleet.audit_table('fleet.source', 'source', 'source_id', 'devices');
SELECT fleet.audit_table('fleet.source_token', 'token', 'prefix', 'token_sha256');
SELECT fleet.audit_table('fleet.rule', 'rule', 'rule_id');
SELECT fleet.audit_table('fleet.geofence', 'geofence', 'geofence_id', 'area');

-- a vehicle takes its alerts, visits and commands with it; registering is
-- everyday work.  Its number is kept, not its name.
CREATE TRIGGER audit_delete AFTER DELETE ON fleet.vehicle REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION fleet.audit_change('vehicle', 'vehicle_id', 'vehicle_id', 'tenant_id', 'name', 'vehicle_type', 'attributes', 'created_at');
CREATE TRIGGER audit_truncate AFTER TRUNCATE ON fleet.vehicle
    FOR EACH STATEMENT EXECUTE FUNCTION fleet.audit_change('vehicle', 'vehicle_id');
