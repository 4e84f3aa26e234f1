-- The ready-made rules, each fired and cleared by reports.
SELECT name, severity, silence FROM fleet.standard_rule ORDER BY name;
-- all of them are well-formed
SELECT name FROM fleet.standard_rule
WHERE fleet.check_condition(condition) IS NULL AND silence IS NULL OR fleet.check_condition(clear_condition) = '{}';

INSERT INTO fleet.tenant (tenant_id, name, auto_register) VALUES (143, 'rule_standard', true);
SELECT source_id AS source FROM fleet.create_source(143, 'rule_standard') \gset
CREATE FUNCTION pg_temp.t0() RETURNS timestamptz LANGUAGE sql STABLE AS
$$ SELECT date_trunc('second', created_at) - interval '5 hours' FROM fleet.tenant WHERE tenant_id = 143 $$;
CREATE PROCEDURE pg_temp.report(device text, seconds float8, signals text DEFAULT NULL, speed real DEFAULT NULL,
                                lat float8 DEFAULT NULL, lon float8 DEFAULT NULL) LANGUAGE sql AS
$$
    INSERT INTO fleet.ingest (source_id, device, event_time, signals, speed_kmh, latitude, longitude)
    SELECT s.source_id, $1, pg_temp.t0() + $2 * interval '1 s', $3::fleet.signals, $4, $5, $6
    FROM fleet.source s WHERE s.tenant_id = 143
$$;
CREATE VIEW pg_temp.alerts AS
SELECT v.name AS vehicle, a.name AS rule, a.severity, extract(epoch FROM a.event_time - pg_temp.t0())::numeric(9, 1) AS raised,
       extract(epoch FROM a.cleared_event_time - pg_temp.t0())::numeric(9, 1) AS cleared
FROM fleet.alert a JOIN fleet.vehicle v USING (vehicle_id)
WHERE a.tenant_id = 143 ORDER BY a.alert_id;

-- 1. One call switches one on, or all; what was changed by hand stays
SELECT fleet.enable_standard_rule('low battery', 143) IS NOT NULL AS enabled;
SELECT fleet.enable_standard_rule('no such rule', 143);
UPDATE fleet.rule SET condition = 'battery_percent < 20 AND charging IS NOT TRUE', enabled = false WHERE tenant_id = 143;
SELECT count(*) FROM fleet.enable_standard_rules(143);
SELECT name, enabled FROM fleet.rule WHERE tenant_id = 143 ORDER BY name;
SELECT condition FROM fleet.rule WHERE tenant_id = 143 AND name = 'low battery';
DELETE FROM fleet.rule WHERE tenant_id = 143;
SELECT count(*) FROM fleet.enable_standard_rules(143);

-- 2. low battery: whether charging is known or not
CALL pg_temp.report('a', 0, '{"battery_percent": 15}');
CALL pg_temp.report('a', 60, '{"battery_percent": 14.9}');
CALL pg_temp.report('a', 120, '{"battery_percent": 15.1}');
CALL pg_temp.report('a', 180, '{"battery_percent": 14.9}');
CALL pg_temp.report('a', 240, '{"charging": true}');
CALL pg_temp.report('a', 300, '{"battery_percent": 12, "charging": false}');
CALL pg_temp.report('a', 360, '{"battery_percent": 80}');
SELECT * FROM pg_temp.alerts WHERE vehicle = 'a';

-- 3. overspeed
CALL pg_temp.report('b', 0, NULL, 130);
CALL pg_temp.report('b', 60, NULL, 131);
CALL pg_temp.report('b', 120, NULL, 129);
CALL pg_temp.report('b', 180, NULL, 124);
SELECT * FROM pg_temp.alerts WHERE vehicle = 'b';

-- 4. harsh braking and acceleration: by speed at 1 Hz, but not over a minute, where 60 km/h are nothing
CALL pg_temp.report('c', 0, NULL, 60);
CALL pg_temp.report('c', 60, NULL, 0);
CALL pg_temp.report('c', 120, NULL, 60);
CALL pg_temp.report('c', 121, NULL, 45);
CALL pg_temp.report('c', 122, NULL, 44);
CALL pg_temp.report('c', 123, NULL, 58);
CALL pg_temp.report('c', 124, NULL, 60);
-- by the accelerometer, but not of a parked vehicle that was tipped over
CALL pg_temp.report('c', 130, '{"acceleration_x_ms2": -4.2}', 40);
CALL pg_temp.report('c', 131, '{"acceleration_x_ms2": 0.1}', 30);
CALL pg_temp.report('c', 132, '{"acceleration_x_ms2": 0.1}', 20);
CALL pg_temp.report('c', 140, '{"acceleration_x_ms2": 0.1}', 0);
CALL pg_temp.report('c', 150, '{"acceleration_x_ms2": 9.8}', 0);
SELECT * FROM pg_temp.alerts WHERE vehicle = 'c';

-- 5. coolant too hot
CALL pg_temp.report('d', 0, '{"coolant_temp_c": 110}');
CALL pg_temp.report('d', 10, '{"coolant_temp_c": 112}');
CALL pg_temp.report('d', 20, '{"coolant_temp_c": 107}');
CALL pg_temp.report('d', 30, '{"coolant_temp_c": 104}');
SELECT * FROM pg_temp.alerts WHERE vehicle = 'd';

-- 6. fuel drop while standing: not sloshing on the road, nor while it settles after stopping, nor a sensor that says 0
CALL pg_temp.report('e', 0, '{"fuel_percent": 60}', 50);
CALL pg_temp.report('e', 1, '{"fuel_percent": 45}', 50);
CALL pg_temp.report('e', 2, '{"fuel_percent": 65}', 10);
CALL pg_temp.report('e', 3, '{"fuel_percent": 70}', 0);
CALL pg_temp.report('e', 4, '{"fuel_percent": 55}', 0);
CALL pg_temp.report('e', 20, '{"fuel_percent": 60}', 0);
CALL pg_temp.report('e', 60, '{"fuel_percent": 59}', 0);
CALL pg_temp.report('e', 65, '{"fuel_percent": 0}', 0);
CALL pg_temp.report('e', 70, '{"fuel_percent": 58}', 0);
SELECT * FROM pg_temp.alerts WHERE vehicle = 'e';
DO $$ BEGIN FOR i IN 1..20 LOOP CALL pg_temp.report('e', 100 + i, format('{"fuel_percent": %s}', 58 - i)); END LOOP; END $$;
CALL pg_temp.report('e', 200, '{"fuel_percent": 38}', 20);
SELECT * FROM pg_temp.alerts WHERE vehicle = 'e';
-- seldom reports: two of them are enough
CALL pg_temp.report('f', 0, '{"fuel_percent": 60}', 0);
CALL pg_temp.report('f', 600, '{"fuel_percent": 40}', 0);
SELECT * FROM pg_temp.alerts WHERE vehicle = 'f';

-- 7. impossible jump: 3 km in a minute are a drive, in five seconds they are not
CALL pg_temp.report('g', 0, NULL, 50, 50.10, 8.6);
CALL pg_temp.report('g', 60, NULL, 50, 50.13, 8.6);
CALL pg_temp.report('g', 65, NULL, 50, 50.16, 8.6);
CALL pg_temp.report('g', 70, NULL, 50);
CALL pg_temp.report('g', 130, NULL, 50, 50.16, 8.601);
-- two fixes of one second
CALL pg_temp.report('g', 130, NULL, 51, 50.17, 8.601);
SELECT * FROM pg_temp.alerts WHERE vehicle = 'g';

-- 8. battery temperature out of its usual band
DO $$ BEGIN FOR i IN 1..40 LOOP CALL pg_temp.report('h', i * 60, format('{"battery_temp_c": %s}', 25 + (i % 5) * 0.2)); END LOOP; END $$;
CALL pg_temp.report('h', 2460, '{"battery_temp_c": 28}');
CALL pg_temp.report('h', 2520, '{"battery_temp_c": 45}');
CALL pg_temp.report('h', 2580, '{"battery_temp_c": 46}');
CALL pg_temp.report('h', 2640, '{"battery_temp_c": 26}');
SELECT * FROM pg_temp.alerts WHERE vehicle = 'h';

-- 9. offline
INSERT INTO fleet.ingest (source_id, device, event_time, received_at)
VALUES (:source, 'i', pg_temp.t0(), now() - interval '601 s'), (:source, 'j', pg_temp.t0(), now() - interval '500 s');
SELECT fleet.tick() > 0 AS looked;
CALL pg_temp.report('i', 1);
SELECT * FROM pg_temp.alerts WHERE vehicle IN ('i', 'j');

DELETE FROM fleet.rule WHERE tenant_id = 143;
