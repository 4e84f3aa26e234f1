-- bench/setup.sql: a tenant with 20 fences and 5 rules, 1,000 vehicles, and
-- what the comparison with COPY needs.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION fleet CASCADE;
UPDATE fleet.tenant SET auto_register = true WHERE tenant_id = 1;

-- Fences over the town in which the reports lie: ten large, ten small.
INSERT INTO fleet.geofence (name, area, kind, hysteresis_m, speed_limit_kmh)
SELECT 'fence ' || n,
       ST_Buffer(ST_MakePoint(8.6821 + 0.045 * sin(n * 2.4), 50.1105 + 0.03 * cos(n * 2.4))::geography,
                 CASE WHEN n <= 10 THEN 1500 ELSE 250 END, 16)::geometry,
       CASE n % 4 WHEN 0 THEN 'keep_out' ELSE 'zone' END, 15, CASE WHEN n % 5 = 0 THEN 60 END
FROM generate_series(1, 20) n;
SELECT fleet.enable_standard_rule(name) FROM (VALUES ('low battery'), ('offline'), ('overspeed'),
    ('harsh braking'), ('battery temperature unusual')) AS r (name) \g /dev/null

-- The same table without the extension: partitions, indexes, nothing else.
CREATE SCHEMA bench;
CREATE TABLE bench.event (LIKE fleet.event INCLUDING DEFAULTS INCLUDING STORAGE, PRIMARY KEY (vehicle_id, event_time, digest))
    PARTITION BY RANGE (event_time);
DO $$
BEGIN
    FOR d IN -1 .. 1 LOOP
        EXECUTE format('CREATE TABLE bench.%I PARTITION OF bench.event FOR VALUES FROM (%L) TO (%L)',
                       'event_' || d + 1, (now() AT TIME ZONE 'UTC')::date + d, (now() AT TIME ZONE 'UTC')::date + d + 1);
    END LOOP;
END
$$;

-- Round `round`: 1,000 vehicles, one report a second each, interleaved as they
-- would arrive.  The vehicles drive circles through the fences.
CREATE FUNCTION bench.reports(round integer, reports integer, source integer) RETURNS SETOF fleet.ingest
    LANGUAGE sql VOLATILE AS $$
    SELECT source, v::text, t, t + interval '40 ms',
           round((50.1105 + 0.035 * (0.3 + v % 100 / 100.0) * sin(v + angle))::numeric, 7)::float8,
           round((8.6821 + 0.05 * (0.3 + v % 100 / 100.0) * cos(v + angle))::numeric, 7)::float8,
           (110 + v % 10)::real, 4.5::real, (25 + 15 * sin(angle * 40 + v))::real, ((v * 37 + s) % 360)::real,
           jsonb_build_object('battery_percent', 90 - (v * 7 + s / 60) % 70, 'battery_voltage_v', 48.2, 'battery_current_a', round((3.5 + sin(angle))::numeric, 1),
               'battery_temp_c', 32.1, 'charging', false, 'acceleration_x_ms2', round((sin(angle * 90))::numeric, 1),
               'acceleration_y_ms2', -0.1, 'acceleration_z_ms2', 9.8, 'locked', false, 'in_use', true,
               'trip_id', 'a1b2c3d4-e5f6-7890-abcd-ef12' || lpad(v::text, 8, '0'), 'odometer_km', 2458 + round * 3 + s / 60,
               'error_codes', '', 'last_maintenance_km', 2100)::fleet.signals,
           1, NULL::text, NULL::bytea
    FROM (SELECT v, s, date_trunc('second', now()) - interval '3 hours' + interval '1 second' * (round * (reports / 1000) + s) + interval '1 ms' * v AS t,
                 (round * (reports / 1000) + s) / 600.0 AS angle
          FROM generate_series(0, reports / 1000 - 1) s, generate_series(1, 1000) v OFFSET 0) x
    ORDER BY t
$$;
