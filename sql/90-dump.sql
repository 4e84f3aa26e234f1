-- 90-dump.sql: what pg_dump saves of an extension's tables: the users' rows.
--
-- Partitions of history are made at run time, belong to no extension, and are
-- dumped like any table.

SELECT pg_catalog.pg_extension_config_dump(t::regclass, '')
  FROM unnest(ARRAY['fleet.tenant', 'fleet.contract', 'fleet.vehicle', 'fleet.device', 'fleet.source',
                    'fleet.vehicle_state', 'fleet.batch', 'fleet.quarantine',
                    'fleet.geofence', 'fleet.geofence_visit', 'fleet.rule', 'fleet.alert']) AS t;

SELECT pg_catalog.pg_extension_config_dump(pg_catalog.pg_get_serial_sequence(t, c)::regclass, '')
  FROM (VALUES ('fleet.tenant', 'tenant_id'), ('fleet.vehicle', 'vehicle_id'), ('fleet.source', 'source_id'),
               ('fleet.batch', 'batch_id'), ('fleet.quarantine', 'quarantine_id'),
               ('fleet.geofence', 'geofence_id'), ('fleet.geofence_visit', 'visit_id'),
               ('fleet.rule', 'rule_id'), ('fleet.alert', 'alert_id')) AS s (t, c);

-- Rows carry the transaction they came with, by which cursors find what is
-- new.  In another cluster those numbers mean nothing.
CREATE FUNCTION fleet.after_restore() RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
BEGIN
    UPDATE fleet.alert SET xact_id = pg_current_xact_id();
    UPDATE fleet.quarantine SET xact_id = pg_current_xact_id();
    UPDATE fleet.geofence_visit SET xact_id = pg_current_xact_id();
END
$$;
COMMENT ON FUNCTION fleet.after_restore() IS 'Call once after a dump was restored into another cluster: makes cursors work there';
REVOKE ALL ON FUNCTION fleet.after_restore() FROM PUBLIC;
