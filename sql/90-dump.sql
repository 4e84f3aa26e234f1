-- 90-dump.sql: what pg_dump saves of an extension's tables: the users' rows.
--
-- Partitions of history are made at run time, belong to no extension, and are
-- dumped like any table.

SELECT pg_catalog.pg_extension_config_dump('fleet.tenant', '');
-- the number of a role that is gone may be another's where it is restored
SELECT pg_catalog.pg_extension_config_dump('fleet.tenant_grant',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid OPERATOR(pg_catalog.=) role_name)');
SELECT pg_catalog.pg_extension_config_dump('fleet.login_key', '');
SELECT pg_catalog.pg_extension_config_dump('fleet.audit_log', '');
SELECT pg_catalog.pg_extension_config_dump('fleet.audit_head', '');
SELECT pg_catalog.pg_extension_config_dump('fleet.contract', '');
SELECT pg_catalog.pg_extension_config_dump('fleet.quota', '');
SELECT pg_catalog.pg_extension_config_dump('fleet.vehicle', '');
SELECT pg_catalog.pg_extension_config_dump('fleet.device', '');
SELECT pg_catalog.pg_extension_config_dump('fleet.source', '');
SELECT pg_catalog.pg_extension_config_dump('fleet.source_token', '');
SELECT pg_catalog.pg_extension_config_dump('fleet.vehicle_state', '');
SELECT pg_catalog.pg_extension_config_dump('fleet.geofence', '');
SELECT pg_catalog.pg_extension_config_dump('fleet.geofence_visit', '');
SELECT pg_catalog.pg_extension_config_dump('fleet.rule', '');
SELECT pg_catalog.pg_extension_config_dump('fleet.alert', '');
SELECT pg_catalog.pg_extension_config_dump('fleet.batch', '');
SELECT pg_catalog.pg_extension_config_dump('fleet.quarantine', '');
SELECT pg_catalog.pg_extension_config_dump('fleet.command', '');

SELECT pg_catalog.pg_extension_config_dump('fleet.tenant_tenant_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('fleet.vehicle_vehicle_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('fleet.source_source_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('fleet.geofence_geofence_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('fleet.geofence_visit_visit_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('fleet.rule_rule_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('fleet.alert_alert_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('fleet.batch_batch_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('fleet.quarantine_quarantine_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('fleet.command_command_id_seq', '');

-- Rows carry the transaction they came with, by which cursors find what is
-- new.  In another cluster those numbers mean nothing.
CREATE FUNCTION fleet.after_restore() RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
BEGIN
    UPDATE fleet.alert SET xact_id = pg_current_xact_id();
    UPDATE fleet.geofence_visit SET xact_id = pg_current_xact_id();
    UPDATE fleet.quarantine SET xact_id = pg_current_xact_id();
    UPDATE fleet.command SET xact_id = pg_current_xact_id();
END
$$;
COMMENT ON FUNCTION fleet.after_restore() IS 'Call once after a dump was restored into another cluster: makes cursors work there';
REVOKE ALL ON FUNCTION fleet.after_restore() FROM PUBLIC;
