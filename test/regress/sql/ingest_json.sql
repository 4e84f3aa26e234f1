--
-- fleet.ingest_json: the reference document, or an array of them
--
SET timezone = 'UTC'; SET datestyle = 'ISO'; SET intervalstyle = 'postgres';
INSERT INTO fleet.tenant (tenant_id, name, auto_register) VALUES (312, 'json', true);
INSERT INTO fleet.contract (tenant_id, horizon) VALUES (312, '100 years');
SELECT source_id AS src FROM fleet.create_source(312, 'feed') \gset
CREATE TEMP VIEW outcome AS
SELECT accepted, repeated, late, rejected, refused FROM fleet.last_batch();

-- 1. The reference document
SELECT accepted, repeated, rejected, refused FROM fleet.ingest_json(:src, '{"vehicle_id":12345,"timestamp":"2025-01-15T14:32:18.123Z",
"location":{"lat":50.1105,"lon":8.6821,"altitude":312.5,"accuracy":5.2},
"battery":{"percent":68,"voltage":48.2,"current":3.5,"temperature":32.1,"charging":false},
"motion":{"speed_kmh":18.5,"heading":245,"acceleration":{"x":0.2,"y":-0.1,"z":9.8}},
"vehicle_status":{"locked":false,"in_use":true,"trip_id":"a1b2c3d4-e5f6-7890-abcd-ef1234567890"},
"diagnostics":{"odometer_km":2458,"error_codes":[],"last_maintenance_km":2100}}');
\x on
SELECT vehicle, event_time, location, altitude_m, accuracy_m, speed_kmh, heading_deg, jsonb_pretty(signals::jsonb) FROM fleet.telemetry WHERE tenant_id = 312;
\x off

-- 2. Flat names, unknown members, arrays, nulls, numbers as time
SELECT accepted, repeated, rejected, refused FROM fleet.ingest_json(:src, '[
 {"device": "flat", "event_time": 1736951538, "latitude": 50.1, "longitude": 8.6, "speed_kmh": 3, "battery_percent": 5, "ignition": true},
 {"device": "flat", "event_time": 1736951539123, "vendor": {"x-y": {"2": "deep"}}, "9lives": 9, "codes": ["P0420", 7, true], "nothing": null, "diagnostics": {"error_codes": ["P0301", "P0302"]}},
 {"device": "flat", "event_time": 1736951538, "latitude": 50.1, "longitude": 8.6, "speed_kmh": 3, "battery_percent": 5, "ignition": true}]');
SELECT event_time, location, speed_kmh, signals FROM fleet.telemetry WHERE tenant_id = 312 AND vehicle = 'flat' ORDER BY event_time;

-- 3. Times: with a zone, in range, or a defect
SELECT t, accepted = 1 AS accepted, refused->0->>'code' AS code, refused->0->>'field' AS field
  FROM unnest(ARRAY['2025-01-15T14:32:18Z', '2025-01-15 14:32:18.5+01:00', '2025-01-15T14:32:18-0330', '2025-01-15T14:32:18+02', '2024-02-29T00:00:00Z',
	'2025-02-29T00:00:00Z', '2025-01-15T14:32:18', '2025-01-15', '2025-13-15T14:32:18Z', '2025-01-15T24:00:00Z', '2025-01-15T14:32:60Z', '2016-12-31T23:59:60Z', '2017-01-01T01:59:60.5+02', 'now', '', '2025-01-15T14:32:18.Z',
	'2025-01-15T14:32:18Zjunk', '2025-01-15T14:32:18+99:00', '0000-01-01T00:00:00Z', '12025-01-15T14:32:18Z']) t,
  LATERAL fleet.ingest_json(:src, jsonb_build_object('device', 'clock', 'timestamp', t)) o;
SELECT left(t::text, 20) AS t, accepted = 1 AS accepted, refused->0->>'code' AS code
  FROM unnest(ARRAY['1e30', '-1e30', '0', 'true', '[]', '{}', '99999999999999999']::jsonb[]) t,
  LATERAL fleet.ingest_json(:src, jsonb_build_object('device', 'clock', 'timestamp', t)) o;

-- 4. What is no report goes to quarantine whole
SELECT accepted, rejected FROM fleet.ingest_json(:src, '[5, "text", null, [], {}, {"device": {"a": 1}, "timestamp": 0}, {"device": true, "timestamp": 0},
	{"device": "d", "timestamp": "2025-01-15T14:32:18Z", "location": {"lat": "north"}}, {"device": "d", "timestamp": "2025-01-15T14:32:18Z", "x": [[1], {"y": [2, null]}, 3], "ä b": 1},
	{"device": "d", "timestamp": "2025-01-15T14:32:18Z", "x": 1e309}, {"device": "d", "timestamp": "2025-01-15T14:32:18Z", "schema_version": 1.5}]');
SELECT q.ordinal, q.code, q.field, left(convert_from(q.raw, 'UTF8'), 90) AS raw FROM fleet.quarantine q JOIN fleet.last_batch() USING (batch_id) ORDER BY q.ordinal;
SELECT accepted, rejected FROM fleet.ingest_json(:src, '7');
SELECT received FROM fleet.ingest_json(:src, '[]');
SELECT accepted, rejected, refused FROM fleet.ingest_json(:src, (repeat('{"a":', 40) || '1' || repeat('}', 40))::jsonb);
SELECT accepted, rejected, refused FROM fleet.ingest_json(:src, jsonb_build_object('device', 'd', 'timestamp', 0, repeat('n', 64), 1));
SELECT accepted, rejected, refused FROM fleet.ingest_json(:src, jsonb_build_object('device', 'd', 'timestamp', 0, 'long', repeat('n', 5000)));
SELECT accepted, rejected, refused FROM fleet.ingest_json(:src, (SELECT jsonb_object_agg('n' || i, i) || '{"device": "d", "timestamp": 0}' FROM generate_series(1, 600) i));
