-- What a map of signals may hold, met by a vehicle and by a document: neither
-- sinks the batch it comes in.
SET search_path = fleet, public;
SET timezone = 'UTC'; SET datestyle = 'ISO';
INSERT INTO fleet.tenant (tenant_id, name) VALUES (905, 'signals_limits');
INSERT INTO fleet.contract (tenant_id, horizon) VALUES (905, '100 years');
SELECT source_id AS src FROM fleet.create_source(905, 'feed') \gset
SELECT fleet.register_device(905, 'A', 'A', 'van') AS a, fleet.register_device(905, 'B', 'B', 'van') AS b \gset
CREATE TEMP VIEW state AS
SELECT v.name, s.event_time, fleet.signals_count(s.signals), s.signals ->> 'fuel_l' AS fuel_l, s.signals ? 's1' AS first, s.signals ? 's600' AS last,
       cardinality(s.signal_times) AS times
FROM fleet.vehicle_state s JOIN fleet.vehicle v USING (vehicle_id) WHERE s.tenant_id = 905 ORDER BY 1;

-- 1. A vehicle that comes with ever new names: the state starts over with the newest report
INSERT INTO fleet.ingest (source_id, device, event_time, signals)
SELECT :src, 'A', '2024-03-01 10:00:00+00'::timestamptz + n * interval '1 second',
       (SELECT ('{"fuel_l":' || n || ',' || string_agg('"s' || i || '":1', ',') || '}')::fleet.signals FROM generate_series(200 * n - 199, 200 * n) i)
FROM generate_series(1, 3) n;
INSERT INTO fleet.ingest (source_id, device, event_time, signals) VALUES (:src, 'B', '2024-03-01 10:00:00+00', '{"fuel_l": 7}');
SELECT * FROM state;
-- it goes on from there; late news beyond the limit leave it alone
INSERT INTO fleet.ingest (source_id, device, event_time, signals)
SELECT :src, 'A', '2024-03-01 09:00:00+00', ('{' || string_agg('"late' || i || '":1', ',') || '}')::fleet.signals FROM generate_series(1, 400) i;
INSERT INTO fleet.ingest (source_id, device, event_time, signals) VALUES (:src, 'A', '2024-03-01 10:00:09+00', '{"fuel_l": 9}');
SELECT * FROM state;
SELECT count(*) AS events FROM fleet.event WHERE tenant_id = 905;

-- 2. A document that no map can hold is refused, the others of its array are not
SELECT accepted, rejected FROM fleet.ingest_json(:src, jsonb_build_array(
    '{"device": "A", "event_time": "2024-03-01T10:01:00Z", "fuel_l": 10}'::jsonb,
    jsonb_build_object('device', 'A', 'event_time', '2024-03-01T10:01:01Z') || (SELECT jsonb_object_agg('t' || i, repeat('x', 4000)) FROM generate_series(1, 17) i),
    jsonb_build_object('device', 'A', 'event_time', '2024-03-01T10:01:02Z') || (SELECT jsonb_object_agg('s' || i, 1) FROM generate_series(1, 513) i),
    jsonb_build_object('device', 'A', 'event_time', '2024-03-01T10:01:03Z', repeat('n', 64), 1),
    '{"device": "A", "event_time": "2024-03-01T10:01:04Z", "fuel_l": 11}'::jsonb));
SELECT received, accepted, rejected, refused FROM fleet.last_batch();
SELECT * FROM state;
