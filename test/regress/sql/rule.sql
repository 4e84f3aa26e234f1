-- Rules at work: raising, clearing, hold, silence, measures over time.
INSERT INTO fleet.tenant (tenant_id, name, auto_register) VALUES (142, 'rule', true);
SELECT source_id AS source FROM fleet.create_source(142, 'rule') \gset
-- the times of all reports are counted in seconds from an hour ago
CREATE FUNCTION pg_temp.t0() RETURNS timestamptz LANGUAGE sql STABLE AS
$$ SELECT date_trunc('second', created_at) - interval '1 hour' FROM fleet.tenant WHERE tenant_id = 142 $$;
-- report(device, seconds, signals, speed, latitude, longitude): received when it was made
CREATE PROCEDURE pg_temp.report(device text, seconds float8, signals text DEFAULT NULL, speed real DEFAULT NULL,
                               lat float8 DEFAULT NULL, lon float8 DEFAULT NULL) LANGUAGE sql AS
$$
    INSERT INTO fleet.ingest (source_id, device, event_time, received_at, signals, speed_kmh, latitude, longitude)
    SELECT s.source_id, $1, pg_temp.t0() + $2 * interval '1 s', pg_temp.t0() + $2 * interval '1 s', $3::fleet.signals, $4, $5, $6
    FROM fleet.source s WHERE s.tenant_id = 142
$$;
CREATE VIEW pg_temp.alerts AS
SELECT v.name AS vehicle, a.kind, a.name AS rule, extract(epoch FROM a.event_time - pg_temp.t0())::int AS raised,
       extract(epoch FROM a.cleared_event_time - pg_temp.t0())::int AS cleared, a.cleared_at IS NULL AS open, a.values
FROM fleet.alert a JOIN fleet.vehicle v USING (vehicle_id)
WHERE a.tenant_id = 142 ORDER BY a.alert_id;

-- 1. Raised once, open until the condition is false, raised again later
INSERT INTO fleet.rule (tenant_id, name, condition) VALUES (142, 'low battery', 'battery_percent < 15 AND NOT charging');
CALL pg_temp.report('a', 0, '{"battery_percent": 20, "charging": false}');
CALL pg_temp.report('a', 10, '{"battery_percent": 14.5, "charging": false}');
CALL pg_temp.report('a', 20, '{"battery_percent": 14, "charging": false}');
SELECT * FROM pg_temp.alerts;
CALL pg_temp.report('a', 30, '{"battery_percent": 14, "charging": true}');
CALL pg_temp.report('a', 40, '{"battery_percent": 13, "charging": false}');
SELECT * FROM pg_temp.alerts;

-- 2. The state is merged: a report may bring only what has changed
CALL pg_temp.report('a', 50, '{"charging": true}');
CALL pg_temp.report('a', 60, '{"charging": false}');
CALL pg_temp.report('a', 70, '{"door_open": true}');
SELECT vehicle, rule, raised, cleared FROM pg_temp.alerts;

-- 3. Unknown neither raises nor clears; neither does a value of another kind
CALL pg_temp.report('b', 0, '{"battery_percent": 3}');
SELECT count(*) FROM pg_temp.alerts WHERE vehicle = 'b';
INSERT INTO fleet.rule (tenant_id, name, condition) VALUES (142, 'own signal', 'tank_2 < 5 OR boolean.leak OR text.mode = ''R''');
CALL pg_temp.report('b', 10, '{"tank_2": "empty", "leak": 1, "mode": true}');
SELECT count(*) FROM pg_temp.alerts WHERE vehicle = 'b';
CALL pg_temp.report('b', 20, '{"tank_2": 5, "leak": false, "mode": "R"}');
CALL pg_temp.report('b', 30, '{"tank_2": "full"}');
CALL pg_temp.report('b', 40, '{"mode": "D"}');
CALL pg_temp.report('b', 50, '{"tank_2": 99}');
SELECT * FROM pg_temp.alerts WHERE vehicle = 'b';

-- 4. Late reports are not watched
CALL pg_temp.report('b', 5, '{"leak": true}');
SELECT count(*) FROM pg_temp.alerts WHERE vehicle = 'b';
DELETE FROM fleet.rule WHERE tenant_id = 142;

-- 5. Several changes within one batch, whatever its order
INSERT INTO fleet.rule (tenant_id, name, condition) VALUES (142, 'flag', 'boolean.flag');
INSERT INTO fleet.ingest (source_id, device, event_time, signals)
SELECT :source, 'c', pg_temp.t0() + i * interval '1 s',
       format('{"flag": %s}', CASE WHEN i % 4 < 2 THEN 'true' ELSE 'false' END)::fleet.signals
FROM generate_series(9, 0, -1) i;
SELECT vehicle, rule, raised, cleared, open FROM pg_temp.alerts WHERE vehicle = 'c';
INSERT INTO fleet.ingest (source_id, device, event_time, signals)
SELECT :source, 'c', pg_temp.t0() + i * interval '1 s',
       format('{"flag": %s}', CASE WHEN i % 4 < 2 THEN 'true' ELSE 'false' END)::fleet.signals
FROM generate_series(10, 16) i;
SELECT vehicle, rule, raised, cleared, open FROM pg_temp.alerts WHERE vehicle = 'c';
DELETE FROM fleet.rule WHERE tenant_id = 142;

-- 6. clear_condition: a band between raising and clearing
INSERT INTO fleet.rule (tenant_id, name, condition, clear_condition, severity, message)
VALUES (142, 'too fast', 'speed_kmh > 100', 'speed_kmh < 90', 'critical', 'Slow down');
CALL pg_temp.report('d', 0, NULL, 101.3);
CALL pg_temp.report('d', 10, NULL, 95);
CALL pg_temp.report('d', 20, NULL, 102);
CALL pg_temp.report('d', 30, NULL, 89);
CALL pg_temp.report('d', 40, NULL, 95);
SELECT name, severity, message, values, cleared_at IS NOT NULL AS cleared FROM fleet.alert WHERE tenant_id = 142 AND name = 'too fast';
-- when both are true the condition wins
UPDATE fleet.rule SET clear_condition = 'speed_kmh > 0' WHERE tenant_id = 142;
CALL pg_temp.report('d', 50, NULL, 110);
CALL pg_temp.report('d', 60, NULL, 120);
CALL pg_temp.report('d', 70, NULL, 99);
SELECT vehicle, rule, raised, cleared FROM pg_temp.alerts WHERE vehicle = 'd';
DELETE FROM fleet.rule WHERE tenant_id = 142;

-- 7. hold: in event time
INSERT INTO fleet.rule (tenant_id, name, condition, hold) VALUES (142, 'held', 'speed_kmh > 100', '30 s');
CALL pg_temp.report('e', 0, NULL, 110);
CALL pg_temp.report('e', 20, NULL, 110);
CALL pg_temp.report('e', 25, NULL, 90);
CALL pg_temp.report('e', 30, NULL, 110);
CALL pg_temp.report('e', 59, NULL, 110);
SELECT count(*) FROM pg_temp.alerts WHERE vehicle = 'e';
CALL pg_temp.report('e', 60, NULL, 111);
CALL pg_temp.report('e', 70, NULL, 110);
SELECT * FROM pg_temp.alerts WHERE vehicle = 'e';
-- ... and by the clock when no more reports come
CALL pg_temp.report('f', 0, NULL, 110);
SELECT due_at - pg_temp.t0() AS due FROM fleet.vehicle_state JOIN fleet.vehicle v USING (vehicle_id) WHERE v.tenant_id = 142 AND v.name = 'f';
SELECT fleet.tick() > 0 AS looked;
SELECT * FROM pg_temp.alerts WHERE vehicle = 'f';
SELECT fleet.tick() >= 0 AS looked;
SELECT count(*) FROM pg_temp.alerts WHERE vehicle = 'f';
-- a history that is replayed now is not held by the time since it happened
INSERT INTO fleet.ingest (source_id, device, event_time, speed_kmh) VALUES (:source, 'g', pg_temp.t0(), 110);
SELECT fleet.tick() >= 0 AS looked;
SELECT count(*) FROM pg_temp.alerts WHERE vehicle = 'g';
DELETE FROM fleet.rule WHERE tenant_id = 142;

-- 8. silence
INSERT INTO fleet.rule (tenant_id, name, silence, condition) VALUES (142, 'offline', '10 minutes', 'speed_kmh > 200');
-- vehicles that were silent before there was the rule
SELECT fleet.tick() > 0 AS looked;
SELECT vehicle, kind, rule, raised, open, values ? 'silent_s' AS silent_s, values ? 'received_at' AS received_at
FROM pg_temp.alerts WHERE kind = 'silence' ORDER BY vehicle;
SELECT fleet.tick() >= 0 AS looked;
SELECT count(*) FROM pg_temp.alerts WHERE kind = 'silence';
-- the next report clears it; both halves of the rule work
CALL pg_temp.report('a', 100, NULL, 210);
INSERT INTO fleet.ingest (source_id, device, event_time, speed_kmh) VALUES (:source, 'g', pg_temp.t0() + interval '100 s', 50);
SELECT vehicle, kind, raised, cleared, open FROM pg_temp.alerts WHERE rule = 'offline' AND vehicle IN ('a', 'g');
SELECT fleet.tick() > 0 AS looked;
SELECT vehicle, kind, raised, cleared, open FROM pg_temp.alerts WHERE rule = 'offline' AND vehicle IN ('a', 'g');

-- 9. Changing a rule clears what it left open, and starts anew
SELECT count(*) FROM pg_temp.alerts WHERE rule = 'offline' AND open;
UPDATE fleet.rule SET name = 'silent', severity = 'info' WHERE tenant_id = 142;
SELECT count(*) FROM pg_temp.alerts WHERE rule = 'offline' AND open;
UPDATE fleet.rule SET enabled = false WHERE tenant_id = 142;
SELECT count(*) FROM pg_temp.alerts WHERE rule = 'offline' AND open;
SELECT fleet.tick() >= 0 AS looked;
UPDATE fleet.rule SET enabled = true WHERE tenant_id = 142;
SELECT fleet.tick() > 0 AS looked;
SELECT count(*) FROM pg_temp.alerts WHERE rule = 'silent' AND open;
DELETE FROM fleet.rule WHERE tenant_id = 142;
SELECT count(*) FROM pg_temp.alerts WHERE open;
-- a rule that was disabled while its alert was open raises it again
INSERT INTO fleet.rule (tenant_id, name, condition) VALUES (142, 'switch', 'boolean.flag');
CALL pg_temp.report('h', 0, '{"flag": true}');
UPDATE fleet.rule SET enabled = false WHERE tenant_id = 142;
UPDATE fleet.rule SET enabled = true WHERE tenant_id = 142;
CALL pg_temp.report('h', 1, '{"flag": true}');
SELECT vehicle, rule, raised, cleared, open FROM pg_temp.alerts WHERE rule = 'switch';
-- in one transaction, and undone
BEGIN;
UPDATE fleet.rule SET condition = 'NOT boolean.flag' WHERE tenant_id = 142;
CALL pg_temp.report('h', 2, '{"flag": false}');
SELECT vehicle, rule, raised, cleared, open FROM pg_temp.alerts WHERE rule = 'switch';
ROLLBACK;
CALL pg_temp.report('h', 3, '{"flag": false}');
SELECT vehicle, rule, raised, cleared, open FROM pg_temp.alerts WHERE rule = 'switch';
DELETE FROM fleet.rule WHERE tenant_id = 142;

-- 10. Only for vehicles of a type
UPDATE fleet.vehicle SET vehicle_type = 'truck' WHERE tenant_id = 142 AND name = 'a';
INSERT INTO fleet.rule (tenant_id, name, condition, vehicle_type) VALUES (142, 'trucks', 'speed_kmh > 80 AND vehicle_type = ''truck'' AND vehicle = ''a''', 'truck');
CALL pg_temp.report('a', 200, NULL, 90);
CALL pg_temp.report('b', 200, NULL, 90);
SELECT vehicle, rule, values FROM pg_temp.alerts WHERE rule = 'trucks';
UPDATE fleet.vehicle SET vehicle_type = 'bus' WHERE tenant_id = 142 AND name = 'a';
CALL pg_temp.report('a', 210, NULL, 90);
SELECT vehicle, rule, raised, cleared FROM pg_temp.alerts WHERE rule = 'trucks';
DELETE FROM fleet.rule WHERE tenant_id = 142;

-- 11. previous, and every column
INSERT INTO fleet.rule (tenant_id, name, condition) VALUES
(142, 'all', 'received_at = event_time AND latitude > 0 AND longitude > 0 AND altitude_m IS NULL AND accuracy_m IS NULL'
             ' AND heading_deg IS NULL AND location_time = event_time AND previous.location <-> location > 100'
             ' AND previous.speed_kmh < speed_kmh AND previous.event_time < event_time AND previous.charging'
             ' AND previous.error_codes = '''' AND error_codes <> ''''');
CALL pg_temp.report('i', 0, '{"charging": true, "error_codes": ""}', 1.1, 50.1, 8.6);
CALL pg_temp.report('i', 10, '{"charging": false, "error_codes": "P0300,\"x\""}', 2.2, 50.11, 8.6);
CALL pg_temp.report('i', 20, '{"charging": true}', 2.2, 50.12, 8.6);
SELECT vehicle, raised, cleared, jsonb_pretty(values - 'event_time' - 'received_at' - 'location_time' - 'previous.event_time') AS values FROM pg_temp.alerts WHERE rule = 'all';
SELECT (values ->> 'event_time')::timestamptz = pg_temp.t0() + interval '10 s' AS utc FROM pg_temp.alerts WHERE rule = 'all';
DELETE FROM fleet.rule WHERE tenant_id = 142;

-- 12. rate: per minute, between the reports that bring the signal
INSERT INTO fleet.rule (tenant_id, name, condition) VALUES (142, 'rate', 'rate.fuel_percent < -5 AND rate.speed_kmh IS NULL');
CALL pg_temp.report('j', 0, '{"fuel_percent": 80}');
CALL pg_temp.report('j', 30, '{"fuel_percent": 78}');
CALL pg_temp.report('j', 45, '{"locked": true}');
CALL pg_temp.report('j', 60, '{"fuel_percent": 75}');
CALL pg_temp.report('j', 90, '{"locked": true}');
CALL pg_temp.report('j', 90, '{"fuel_percent": 75}');
CALL pg_temp.report('j', 90, '{"fuel_percent": 10}');
SELECT vehicle, rule, raised, cleared, values FROM pg_temp.alerts WHERE rule = 'rate';
DELETE FROM fleet.rule WHERE tenant_id = 142;

-- 13. mean and zscore: of what came before the report
INSERT INTO fleet.rule (tenant_id, name, condition) VALUES (142, 'zscore', 'zscore.battery_temp_c > 3 AND mean.battery_temp_c > 0');
-- 19 samples say nothing yet
DO $$ BEGIN FOR i IN 1..19 LOOP CALL pg_temp.report('k', i, format('{"battery_temp_c": %s}', 30 + i % 2)); END LOOP; END $$;
CALL pg_temp.report('k', 20, '{"battery_temp_c": 31}');
SELECT count(*) FROM pg_temp.alerts WHERE rule = 'zscore';
-- reports without it change nothing
DO $$ BEGIN FOR i IN 1..30 LOOP CALL pg_temp.report('k', 20 + i, '{"locked": true}'); END LOOP; END $$;
CALL pg_temp.report('k', 60, '{"battery_temp_c": 40}');
CALL pg_temp.report('k', 61, '{"locked": true}');
CALL pg_temp.report('k', 62, '{"battery_temp_c": 30}');
SELECT vehicle, rule, raised, cleared, round((values ->> 'mean.battery_temp_c')::numeric, 3) AS mean,
       round((values ->> 'zscore.battery_temp_c')::numeric, 2) AS zscore FROM pg_temp.alerts WHERE rule = 'zscore';
-- the same samples in SQL
SELECT round(avg(30 + i % 2), 3) AS mean, round((40 - avg(30 + i % 2)) / stddev_pop(30 + i % 2), 2) AS zscore
FROM unnest(ARRAY(SELECT generate_series(1, 19)) || 1) i;
DELETE FROM fleet.rule WHERE tenant_id = 142;

-- 14. An evaluation that fails is unknown, is reported once, and sinks nothing
INSERT INTO fleet.rule (tenant_id, name, condition, hold) VALUES
(142, '1 division', '100 / (battery_percent - 50) > 1', NULL),
(142, '2 next', 'battery_percent > 10', NULL),
(142, '3 overflow', '(battery_percent * 1e9)::int > 5', NULL),
(142, '4 last', 'battery_percent > 10', NULL);
\set VERBOSITY terse
CALL pg_temp.report('l', 0, '{"battery_percent": 50}');
CALL pg_temp.report('l', 10, '{"battery_percent": 50.5}');
CALL pg_temp.report('l', 20, '{"battery_percent": 50}');
\set VERBOSITY default
SELECT * FROM pg_temp.alerts WHERE vehicle = 'l';
SELECT count(*) FROM fleet.event e JOIN fleet.vehicle v USING (vehicle_id) WHERE v.tenant_id = 142 AND v.name = 'l';
DELETE FROM fleet.rule WHERE tenant_id = 142;

-- 15. What is remembered may be lost or broken: it starts anew
INSERT INTO fleet.rule (tenant_id, name, condition) VALUES (142, 'memory', 'speed_kmh > 10 AND mean.speed_kmh > 0');
CALL pg_temp.report('m', 0, NULL, 20);
CALL pg_temp.report('m', 10, NULL, 20);
SELECT rule, raised, cleared, open FROM pg_temp.alerts WHERE vehicle = 'm';
UPDATE fleet.vehicle_state s SET rule_state = v.bad FROM fleet.vehicle w, (VALUES ('\x0100ffffffff'::bytea)) v (bad)
WHERE s.vehicle_id = w.vehicle_id AND w.tenant_id = 142 AND w.name = 'm';
CALL pg_temp.report('m', 20, NULL, 5);
SELECT rule, raised, cleared, open FROM pg_temp.alerts WHERE vehicle = 'm';
UPDATE fleet.vehicle_state s SET rule_state = v.bad FROM fleet.vehicle w, (VALUES ('\x63'::bytea)) v (bad)
WHERE s.vehicle_id = w.vehicle_id AND w.tenant_id = 142 AND w.name = 'm';
CALL pg_temp.report('m', 30, NULL, 30);
CALL pg_temp.report('m', 40, NULL, 30);
SELECT rule, raised, cleared, open FROM pg_temp.alerts WHERE vehicle = 'm';

-- 16. TRUNCATE
BEGIN;
TRUNCATE fleet.rule;
SELECT count(*) FROM pg_temp.alerts WHERE open;
ROLLBACK;
SELECT count(*) FROM pg_temp.alerts WHERE open;
DELETE FROM fleet.rule WHERE tenant_id = 142;
