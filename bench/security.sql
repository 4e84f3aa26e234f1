-- bench/security.sql: 20 tenants with 100 vehicles each, 100 events and 20
-- alerts of each vehicle, and a role that reads one of the tenants.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
INSERT INTO fleet.tenant (tenant_id, name, auto_register) SELECT i, 'security ' || i, true FROM generate_series(101, 120) i;
INSERT INTO fleet.contract (tenant_id, horizon) SELECT i, '100 years' FROM generate_series(101, 120) i;
CREATE TEMP TABLE feed AS SELECT i AS tenant_id, (fleet.create_source(i, 'bench')).source_id FROM generate_series(101, 120) i;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, speed_kmh, heading_deg, signals)
SELECT f.source_id, 'v' || v, '2024-05-01 00:00+00'::timestamptz + n * interval '10 s', 50 + v / 1000.0, 8 + n / 1000.0, 30, 90,
       '{"battery_percent": 68, "charging": false, "odometer_km": 2458}'
  FROM generate_series(1, 100) n, feed f, generate_series(1, 100) v;
INSERT INTO fleet.alert (tenant_id, vehicle_id, kind, rule_id, name, severity, event_time, cleared_at)
SELECT v.tenant_id, v.vehicle_id, 'rule', n, 'low battery', 'warning', '2024-05-01 00:00+00'::timestamptz + n * interval '1 min', CASE WHEN n % 2 = 0 THEN now() END
  FROM generate_series(1, 20) n, fleet.vehicle v WHERE v.tenant_id BETWEEN 101 AND 120;
VACUUM ANALYZE fleet.event;
VACUUM ANALYZE fleet.vehicle_state;
VACUUM ANALYZE fleet.alert;
VACUUM ANALYZE fleet.vehicle;
CREATE ROLE bench_reader LOGIN IN ROLE fleet_reader;
SELECT fleet.grant_tenant('bench_reader', 110) \g /dev/null
