-- Alerts: the table's promises, acknowledgement, open alerts.
INSERT INTO fleet.tenant (tenant_id, name, auto_register) VALUES (144, 'alert', true);
SELECT source_id AS source FROM fleet.create_source(144, 'alert') \gset
INSERT INTO fleet.rule (tenant_id, name, condition, severity, message)
VALUES (144, 'fast', 'speed_kmh > 100', 'critical', 'Too fast'), (144, 'very fast', 'speed_kmh > 120', 'info', NULL);

-- 1. One row per alert, with rule, event, values, batch and transaction
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, speed_kmh)
SELECT :source, 'v' || v, now() + i * interval '1 s' - interval '1 minute', 50, 8, 100 + 10 * i
FROM generate_series(1, 2) v, generate_series(0, 3) i;
SELECT v.name AS vehicle, a.kind, a.name, a.severity, a.message, a.values, r.name = a.name AS of_rule,
       e.speed_kmh, a.location IS NOT NULL AS located, a.batch_id = e.batch_id AS of_batch,
       a.geofence_id, a.cleared_at, a.acknowledged_at
FROM fleet.alert a JOIN fleet.vehicle v USING (vehicle_id) JOIN fleet.rule r USING (rule_id)
JOIN fleet.event e ON e.vehicle_id = a.vehicle_id AND e.event_time = a.event_time
WHERE a.tenant_id = 144 ORDER BY a.alert_id;
SELECT vehicle, kind, name, severity, message, values, open_for >= '0' AS open_for FROM fleet.open_alert WHERE tenant_id = 144 ORDER BY alert_id;

-- 2. A transaction that is undone leaves nothing
BEGIN;
INSERT INTO fleet.ingest (source_id, device, event_time, speed_kmh) VALUES (:source, 'undone', now(), 200);
SELECT count(*) FROM fleet.open_alert WHERE tenant_id = 144 AND vehicle = 'undone';
ROLLBACK;
INSERT INTO fleet.ingest (source_id, device, event_time, speed_kmh) VALUES (:source, 'undone', now(), 110);
SELECT name, values FROM fleet.open_alert WHERE tenant_id = 144 AND vehicle = 'undone';

-- 3. At most one is open per vehicle, kind and rule
\set VERBOSITY sqlstate
INSERT INTO fleet.alert (tenant_id, vehicle_id, kind, rule_id, name, severity, event_time)
SELECT tenant_id, vehicle_id, kind, rule_id, name, severity, now() FROM fleet.alert WHERE tenant_id = 144;
\set VERBOSITY default

-- 4. Acknowledgement
SELECT min(alert_id) AS first, max(alert_id) AS last FROM fleet.alert WHERE tenant_id = 144 \gset
SELECT (a).name, (a).acknowledged_by = session_user AS by_me, (a).note, (a).acknowledged_at IS NOT NULL AS acknowledged,
       (a).cleared_at IS NULL AS open
FROM fleet.acknowledge_alert(:first, 'driver called') a;
SELECT (fleet.acknowledge_alert(:last)).note;
\set VERBOSITY terse
DO $$
BEGIN
    PERFORM fleet.acknowledge_alert(min(alert_id), 'again') FROM fleet.alert WHERE tenant_id = 144;
EXCEPTION WHEN object_not_in_prerequisite_state THEN
    RAISE NOTICE '%', regexp_replace(SQLERRM, '\d+', 'N');
END
$$;
SELECT fleet.acknowledge_alert(-1);
SELECT fleet.acknowledge_alert(NULL);
\set VERBOSITY default
SELECT count(*) FILTER (WHERE acknowledged_at IS NOT NULL) AS acknowledged, count(*) FROM fleet.open_alert WHERE tenant_id = 144;

-- 5. Cleared is cleared, acknowledged or not, and is noticed by readers that resume by transaction
BEGIN;
INSERT INTO fleet.ingest (source_id, device, event_time, speed_kmh)
SELECT :source, 'v' || v, now(), 30 FROM generate_series(1, 2) v;
SELECT count(*), bool_and(xact_id = pg_current_xact_id()) AS this_transaction, bool_and(cleared_event_time = now()) AS event_time
FROM fleet.alert WHERE tenant_id = 144 AND cleared_at IS NOT NULL;
COMMIT;
SELECT vehicle, name FROM fleet.open_alert WHERE tenant_id = 144;

-- 6. Alerts outlive their rule, and go with their vehicle
DELETE FROM fleet.rule WHERE tenant_id = 144;
SELECT count(*) AS alerts, count(*) FILTER (WHERE cleared_at IS NULL) AS open FROM fleet.alert WHERE tenant_id = 144;
DELETE FROM fleet.vehicle WHERE tenant_id = 144;
SELECT count(*) AS alerts FROM fleet.alert WHERE tenant_id = 144;
