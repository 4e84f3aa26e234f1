-- 47-quota.sql: what a tenant may use of the installation.

CREATE TABLE fleet.quota (
    tenant_id integer PRIMARY KEY REFERENCES fleet.tenant ON DELETE CASCADE,
    events_per_second real CHECK (events_per_second >= 0 AND events_per_second < 'Infinity'),
    vehicles integer CHECK (vehicles >= 0),
    rules integer CHECK (rules >= 0),
    geofences integer CHECK (geofences >= 0),
    alerts_per_day integer CHECK (alerts_per_day >= 0)
);
COMMENT ON TABLE fleet.quota IS 'How much of the installation a tenant may use; null and a tenant without a row: as much as it likes';
COMMENT ON COLUMN fleet.quota.events_per_second IS 'Reports stored a second, ten seconds'' worth of them at once; further ones are refused as over_quota and not stored';
COMMENT ON COLUMN fleet.quota.vehicles IS 'Vehicles; further ones are refused, and reports that would register one quarantined as over_quota';
COMMENT ON COLUMN fleet.quota.rules IS 'Rules, also those that are not enabled';
COMMENT ON COLUMN fleet.quota.geofences IS 'Geofences, also those that are not enabled';
COMMENT ON COLUMN fleet.quota.alerts_per_day IS 'Alerts raised from 00:00 to 24:00 UTC; further ones are not raised, which one alert of kind quota tells';

CREATE TRIGGER invalidate_cache AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON fleet.quota
    FOR EACH STATEMENT EXECUTE FUNCTION fleet.invalidate_cache();

CREATE FUNCTION fleet.quota_check() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'quota_check';
COMMENT ON FUNCTION fleet.quota_check() IS 'Trigger: refuses rows beyond the quota of their tenant; the argument is a column of fleet.quota';
REVOKE ALL ON FUNCTION fleet.quota_check() FROM PUBLIC;

CREATE TRIGGER quota_insert AFTER INSERT ON fleet.vehicle REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION fleet.quota_check('vehicles');
CREATE TRIGGER quota_insert AFTER INSERT ON fleet.rule REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION fleet.quota_check('rules');
CREATE TRIGGER quota_insert AFTER INSERT ON fleet.geofence REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION fleet.quota_check('geofences');
-- a row that is moved to another tenant, which hardly ever happens
CREATE TRIGGER quota_move AFTER UPDATE OF tenant_id ON fleet.vehicle
    FOR EACH ROW WHEN (NEW.tenant_id <> OLD.tenant_id) EXECUTE FUNCTION fleet.quota_check('vehicles');
CREATE TRIGGER quota_move AFTER UPDATE OF tenant_id ON fleet.rule
    FOR EACH ROW WHEN (NEW.tenant_id <> OLD.tenant_id) EXECUTE FUNCTION fleet.quota_check('rules');
CREATE TRIGGER quota_move AFTER UPDATE OF tenant_id ON fleet.geofence
    FOR EACH ROW WHEN (NEW.tenant_id <> OLD.tenant_id) EXECUTE FUNCTION fleet.quota_check('geofences');

-- what has been raised today, and that the tenant is told once
CREATE INDEX alert_raised_idx ON fleet.alert (tenant_id, raised_at);
CREATE UNIQUE INDEX alert_quota_idx ON fleet.alert (tenant_id, date_trunc('day', raised_at AT TIME ZONE 'UTC')) WHERE kind = 'quota';

CREATE VIEW fleet.quota_usage WITH (security_invoker = true) AS
SELECT t.tenant_id, t.name AS tenant,
       q.events_per_second,
       (SELECT count(*) FROM fleet.vehicle v JOIN fleet.event e USING (vehicle_id)
         WHERE v.tenant_id = t.tenant_id AND e.event_time > now() - interval '1 hour'
           AND e.received_at > now() - interval '1 minute') / 60.0::real AS events_per_second_used,
       q.vehicles,
       (SELECT count(*) FROM fleet.vehicle v WHERE v.tenant_id = t.tenant_id) AS vehicles_used,
       q.rules,
       (SELECT count(*) FROM fleet.rule r WHERE r.tenant_id = t.tenant_id) AS rules_used,
       q.geofences,
       (SELECT count(*) FROM fleet.geofence g WHERE g.tenant_id = t.tenant_id) AS geofences_used,
       q.alerts_per_day,
       (SELECT count(*) FROM fleet.alert a
         WHERE a.tenant_id = t.tenant_id AND a.kind <> 'quota'
           AND a.raised_at >= date_trunc('day', now(), 'UTC')) AS alerts_today
  FROM fleet.tenant t LEFT JOIN fleet.quota q USING (tenant_id);
COMMENT ON VIEW fleet.quota_usage IS 'Of each tenant what it may use and what it uses; ask for the columns that matter, since each is counted';
COMMENT ON COLUMN fleet.quota_usage.events_per_second_used IS 'Events received in the last minute, those of the last hour, by the second';
COMMENT ON COLUMN fleet.quota_usage.alerts_today IS 'Alerts raised since 00:00 UTC';
