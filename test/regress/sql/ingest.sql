--
-- fleet.ingest: every row sent is an event, a repeat or a row of quarantine
--
\set VERBOSITY default
SET timezone = 'UTC'; SET datestyle = 'ISO'; SET intervalstyle = 'postgres';
INSERT INTO fleet.tenant (tenant_id, name) VALUES (310, 'ingest');
INSERT INTO fleet.contract (tenant_id, horizon) VALUES (310, '100 years');
SELECT source_id AS src, token AS tok FROM fleet.create_source(310, 'feed') \gset
SELECT fleet.register_device(310, 'A', 'van A', 'van') AS a,
       fleet.register_device(310, 'B', 'van B', 'van') AS b \gset
-- what last_batch says, without the id
CREATE TEMP VIEW outcome AS
SELECT received, accepted, repeated, late, rejected, refused, repeats FROM fleet.last_batch();

-- 1. Credentials
SELECT :'tok' ~ '^flt_[0-9A-Za-z]{10}_[0-9A-Za-z]{32}$' AS token_form;
SELECT fleet.authenticate_source(:'tok') = :src AS known, fleet.authenticate_source('nonsense') IS NULL AS unknown;
SELECT count(*) FILTER (WHERE token_sha256 = sha256(convert_to(:'tok', 'UTF8'))) AS hashed FROM fleet.source_token WHERE tenant_id = 310;
SELECT * FROM fleet.create_source(310, 'feed');		-- the name is taken
SELECT * FROM fleet.create_source(99999, 'feed');	-- no such tenant

-- 2. INSERT: one row, several rows, none
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, altitude_m, accuracy_m, speed_kmh, heading_deg, signals)
VALUES (:src, 'A', '2024-03-01 10:00:00+00', 50.1105, 8.6821, 112.5, 5.2, 18.5, 245, '{"battery_percent": 68, "charging": false, "trip_id": "t1", "io_66": 12}');
SELECT * FROM outcome;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude)
SELECT :src, d, '2024-03-01 10:00:10+00', 50.12, 8.69 FROM unnest(ARRAY['A', 'B']) d;
SELECT * FROM outcome;
INSERT INTO fleet.ingest (source_id, device) SELECT 1, 'x' WHERE false;
SELECT * FROM outcome;
SELECT vehicle, vehicle_type, event_time, location, altitude_m, accuracy_m, speed_kmh, heading_deg, signals, late, ST_AsText(position), zone
  FROM fleet.telemetry WHERE tenant_id = 310 ORDER BY vehicle, event_time;

-- 3. Repeats: in one batch, in two; another report of the same second is no repeat
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude)
VALUES (:src, 'A', '2024-03-01 10:00:20+00', 50.13, 8.70), (:src, 'A', '2024-03-01 10:00:20+00', 50.13, 8.70),
       (:src, 'A', '2024-03-01 10:00:20+00', 50.13, 8.71), (:src, 'A', '2024-03-01 10:00:10+00', 50.12, 8.69);
SELECT * FROM outcome;
-- received at another time, still the same message
INSERT INTO fleet.ingest (source_id, device, event_time, received_at, latitude, longitude)
VALUES (:src, 'A', '2024-03-01 10:00:20+00', '2024-03-01 11:00:00+00', 50.13, 8.70);
SELECT * FROM outcome;
SELECT count(*) FROM fleet.event WHERE vehicle_id = :a;

-- 4. Late reports are stored, marked, and never move the state back
SELECT event_time, location, speed_kmh, signals FROM fleet.vehicle_state WHERE vehicle_id = :a;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, speed_kmh, signals)
VALUES (:src, 'A', '2024-03-01 09:00:00+00', 51, 9, 99, '{"battery_percent": 90, "odometer_km": 5}');
SELECT * FROM outcome;
SELECT event_time, location, speed_kmh, signals, signal_times FROM fleet.vehicle_state WHERE vehicle_id = :a;
SELECT event_time, late FROM fleet.event WHERE vehicle_id = :a AND late;

-- 5. Delta reports: signals are merged, each keeps its time
INSERT INTO fleet.ingest (source_id, device, event_time, signals)
VALUES (:src, 'A', '2024-03-01 10:01:00+00', '{"battery_percent": 67}'),
       (:src, 'A', '2024-03-01 10:02:00+00', '{"ignition": true}');
SELECT * FROM fleet.last_known(:a) ORDER BY name;
SELECT * FROM fleet.last_known('van A', 310) WHERE name = 'ignition';
-- the state of now and that computed from history agree; so does an earlier one
SELECT s.event_time = h.event_time AND s.location OPERATOR(fleet.=) h.location AND s.location_time = h.location_time
       AND s.speed_kmh = h.speed_kmh AND s.heading_deg = h.heading_deg AND s.signals OPERATOR(fleet.=) h.signals AS agrees
  FROM fleet.vehicle_state s, fleet.state_at(:a, 'now', '100 years') h WHERE s.vehicle_id = :a;
SELECT * FROM fleet.state_at('van A', '2024-03-01 10:00:05+00', tenant_id => 310);

-- 6. The state does not depend on the order of arrival
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, speed_kmh, signals)
SELECT :src, 'B', event_time, fleet.latitude(location), fleet.longitude(location), speed_kmh, signals
  FROM fleet.event WHERE vehicle_id = :a ORDER BY md5(event_time::text || digest);
SELECT (SELECT (event_time, location, location_time, speed_kmh, signals, coalesce(signal_times, '{}'))::text FROM fleet.vehicle_state WHERE vehicle_id = :a)
     = (SELECT (event_time, location, location_time, speed_kmh, signals, coalesce(signal_times, '{}'))::text FROM fleet.vehicle_state WHERE vehicle_id = :b) AS same;

-- 7. COPY text, CSV and binary take the same way
COPY fleet.ingest (source_id, device, event_time, latitude, longitude, signals) FROM STDIN;
0	nobody	2024-03-02 08:00:00+00	50.1	8.6	{"engine_rpm": 900}
\.
SELECT * FROM outcome;
\set copy_csv '\\copy fleet.ingest (source_id, device, event_time, latitude, longitude) FROM PROGRAM ''printf "%s\\n" ' :src ',A,2024-03-02T08:00:00Z,50.1,8.6 ' :src ',A,2024-03-02T08:00:01Z,50.2,8.6'' (FORMAT csv)'
:copy_csv
SELECT * FROM outcome;
CREATE TEMP TABLE sent AS
SELECT :src AS source_id, 'A' AS device, '2024-03-02 08:00:01+00'::timestamptz AS event_time, 50.2::float8 AS latitude, 8.6::float8 AS longitude, NULL::fleet.signals AS signals
UNION ALL SELECT :src, 'A', '2024-03-02 08:00:02+00', 50.3, 8.6, '{"battery_percent": 50}';
SELECT current_setting('data_directory') || '/sent.copy' AS copy_file \gset
COPY sent TO :'copy_file' (FORMAT binary);
COPY fleet.ingest (source_id, device, event_time, latitude, longitude, signals) FROM :'copy_file' (FORMAT binary);
SELECT * FROM outcome;
SELECT count(*) FROM fleet.ingest;					-- nothing stays in the view

-- 8. A statement that fails leaves nothing behind in the session
BEGIN;
SAVEPOINT one;
INSERT INTO fleet.ingest (source_id, device, event_time) SELECT :src, 'A', now() - i * interval '1 s' + 1 / (3 - i) * interval '0' FROM generate_series(1, 5) i;
ROLLBACK TO one;
SELECT fleet.last_batch();
INSERT INTO fleet.ingest (source_id, device, event_time) VALUES (:src, 'A', '2024-03-02 09:00:00+00');
SELECT * FROM outcome;
ROLLBACK;
SELECT fleet.last_batch();
SELECT count(*) FROM fleet.event WHERE vehicle_id = :a AND event_time = '2024-03-02 09:00:00+00';
DO $$
BEGIN
	INSERT INTO fleet.ingest (source_id, device, event_time) SELECT source_id, 'A', now() + (1 / 0) * interval '1' FROM fleet.source;
EXCEPTION WHEN division_by_zero THEN
	INSERT INTO fleet.ingest (source_id, device, event_time)
	SELECT source_id, 'A', '2024-03-02 10:00:00+00' FROM fleet.source WHERE tenant_id = 310;
END $$;
SELECT * FROM outcome;

-- 9. Statements nest: a function called by one sends reports of its own
CREATE FUNCTION pg_temp.send_inner() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
	INSERT INTO fleet.ingest (source_id, device, event_time)
	SELECT source_id, 'B', '2024-03-02 11:00:00+00' FROM fleet.source WHERE tenant_id = 310;
	SELECT '2024-03-02 11:30:00+00'::timestamptz;
$$;
INSERT INTO fleet.ingest (source_id, device, event_time) SELECT :src, 'A', pg_temp.send_inner();
SELECT accepted FROM outcome;
SELECT v.name, e.event_time FROM fleet.event e JOIN fleet.vehicle v USING (vehicle_id)
 WHERE e.tenant_id = 310 AND e.event_time BETWEEN '2024-03-02 11:00+00' AND '2024-03-02 12:00+00' ORDER BY 1;

-- 10. A large statement goes in pieces and comes out as one batch
SET fleet.batch_memory = '64kB';
INSERT INTO fleet.ingest (source_id, device, event_time, speed_kmh)
SELECT :src, CASE WHEN i % 1000 = 0 THEN 'unknown' WHEN i % 2 = 0 THEN 'A' ELSE 'B' END, '2024-03-03 00:00:00+00'::timestamptz + i % 4500 * interval '1 s', 10
  FROM generate_series(1, 5000) i;
RESET fleet.batch_memory;
SELECT received, accepted, repeated, late, rejected, jsonb_array_length(refused), array_length(repeats, 1) FROM outcome;
SELECT b.received, b.accepted, b.repeated, b.rejected, b.first_event_time, b.last_event_time, b.source_id = :src AS source
  FROM fleet.batch b JOIN fleet.last_batch() l USING (batch_id);

-- 11. One batch over many days makes its partitions
INSERT INTO fleet.ingest (source_id, device, event_time)
SELECT :src, 'A', d FROM generate_series('2023-12-30 12:00+00'::timestamptz, '2024-01-02 12:00+00', '1 day') d;
SELECT accepted, late FROM outcome;
SELECT tableoid::regclass, event_time FROM fleet.event WHERE vehicle_id = :a AND event_time < '2024-01-03' ORDER BY event_time;

-- 12. Clients write through the view only
CREATE ROLE regress_fleet_client;
GRANT USAGE ON SCHEMA fleet TO regress_fleet_client;
GRANT INSERT ON fleet.ingest TO regress_fleet_client;
SELECT fleet.grant_tenant('regress_fleet_client', 310);
SET ROLE regress_fleet_client;
INSERT INTO fleet.ingest (source_id, device, event_time) VALUES (:src, 'A', '2024-03-04 10:00:00+00');
SELECT accepted FROM fleet.last_batch();
INSERT INTO fleet.event SELECT;
SELECT * FROM fleet.vehicle_state;
SELECT * FROM fleet.create_source(310, 'mine');
SELECT fleet.ingest_json(:src, '{}');
RESET ROLE;
REVOKE ALL ON fleet.ingest FROM regress_fleet_client;
REVOKE ALL ON SCHEMA fleet FROM regress_fleet_client;
SELECT fleet.revoke_tenant('regress_fleet_client', 310);
DROP ROLE regress_fleet_client;

-- 13. The triggers serve that view only
CREATE TEMP TABLE other (a int);
CREATE TRIGGER t BEFORE INSERT ON other EXECUTE FUNCTION fleet.ingest_begin();
INSERT INTO other VALUES (1);
CREATE TRIGGER t2 BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION fleet.invalidate_cache();
DROP TRIGGER t ON other;
INSERT INTO other VALUES (1);
