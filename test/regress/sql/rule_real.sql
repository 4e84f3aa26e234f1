-- The ready-made rules on the records of real vehicles, whose truth is known.
\getenv shared FLEET_SHARED
\set found `test -r "$FLEET_SHARED/data/etios_obd_engine_31_drives.csv.gz" && echo true || echo false`
\if :found
\else
\echo SKIPPED: the shared test data is not there
\quit
\endif

INSERT INTO fleet.tenant (tenant_id, name, auto_register) VALUES (1145, 'rule_real', true);
SELECT source_id AS source FROM fleet.create_source(1145, 'rule_real') \gset
SELECT count(*) FROM fleet.enable_standard_rules(1145);
CREATE VIEW pg_temp.alerts AS
SELECT a.name, count(*), count(DISTINCT a.vehicle_id) AS vehicles, count(*) FILTER (WHERE a.cleared_at IS NULL) AS open
FROM fleet.alert a JOIN fleet.vehicle v USING (vehicle_id)
WHERE a.tenant_id = 1145 AND a.kind = 'rule' AND v.name LIKE current_setting('test.vehicles') GROUP BY a.name ORDER BY a.name;

-- 1. A petrol car, 31 drives at 2 Hz whose fuel level sloshes by more than 10 points between neighbours: nobody stole any
\set file :shared '/data/etios_obd_engine_31_drives.csv.gz'
\set command 'gzip -dc ''' :file ''''
CREATE TEMP TABLE etios (line text);
COPY etios FROM PROGRAM :'command' WITH (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02', HEADER);
INSERT INTO fleet.ingest (source_id, device, event_time, speed_kmh, signals)
SELECT :source, 'etios ' || c[1], date_trunc('day', now()) - interval '2 days' + c[2]::float8 * interval '0.49 s', c[5]::real,
       format('{"fuel_percent": %s, "coolant_temp_c": %s}', c[12], c[8])::fleet.signals
FROM etios, string_to_array(line, ',') c WHERE cardinality(c) = 29;
SELECT accepted, rejected FROM fleet.last_batch();
SET test.vehicles = 'etios%';
SELECT * FROM pg_temp.alerts;
-- a tank of which somebody takes a tenth during an idle run
INSERT INTO fleet.ingest (source_id, device, event_time, speed_kmh, signals)
SELECT :source, 'etios robbed', date_trunc('day', now()) - interval '2 days' + c[2]::float8 * interval '0.49 s', c[5]::real,
       format('{"fuel_percent": %s}', c[12]::float8 - least(10, greatest(0, (c[2]::int - 600) * 0.05)))::fleet.signals
FROM etios, string_to_array(line, ',') c WHERE cardinality(c) = 29 AND c[1] = 'idle2';
SET test.vehicles = 'etios robbed';
SELECT * FROM pg_temp.alerts;

-- 2. An electric car, 17 drives: one drive ends below 15 %, in five the position jumps
\set file :shared '/data/rabat_twizy_ev_17_drives_2021.csv.gz'
\set command 'gzip -dc ''' :file ''''
CREATE TEMP TABLE twizy (drive text, date text, time interval, soc float8, speed real, mode text, lat float8, lon float8, alt real,
                         gps_speed real, temperature float8, humidity float8, weather text, wind float8, traffic float8, speed_limit float8);
COPY twizy FROM PROGRAM :'command' WITH (FORMAT csv, HEADER);
SELECT drive, min(soc), count(*) FROM twizy WHERE soc < 15 GROUP BY drive;
INSERT INTO fleet.rule (tenant_id, name, condition, hold) VALUES (1145, 'limit of the road', 'speed_kmh > speed_limit', '10 s');
INSERT INTO fleet.ingest (source_id, device, event_time, speed_kmh, latitude, longitude, signals)
SELECT :source, 'twizy ' || drive, date_trunc('day', now()) - interval '2 days' + time, speed, lat, lon,
       format('{"battery_percent": %s, "speed_limit": %s}', soc, speed_limit)::fleet.signals
FROM twizy;
SELECT accepted, rejected, refused -> 0 ->> 'code' AS code, refused -> 0 ->> 'field' AS field FROM fleet.last_batch();
SET test.vehicles = 'twizy%';
SELECT * FROM pg_temp.alerts;
SELECT v.name AS vehicle, a.values FROM fleet.alert a JOIN fleet.vehicle v USING (vehicle_id) WHERE a.tenant_id = 1145 AND a.name = 'low battery';

DELETE FROM fleet.rule WHERE tenant_id = 1145;
