--
-- Privacy: no VIN is kept, identities survive a change of keys, a vehicle can
-- be given out and forgotten
--
SET timezone = 'UTC'; SET datestyle = 'ISO';
INSERT INTO fleet.tenant (tenant_id, name, auto_register) VALUES (461, 'privacy', true), (462, 'others', true);
SELECT source_id AS src FROM fleet.create_source(461, 'feed') \gset
SELECT source_id AS other FROM fleet.create_source(462, 'feed') \gset
CREATE TEMP VIEW rejected AS
SELECT q.ordinal, q.device, q.code, q.field, q.value, q.report IS NULL AS no_report, q.raw IS NULL AS no_raw
  FROM fleet.quarantine q JOIN fleet.last_batch() USING (batch_id) ORDER BY q.ordinal;
CREATE TEMP VIEW refused AS
SELECT r->>'ordinal' AS ordinal, r->>'code' AS code, r->>'field' AS field FROM fleet.last_batch(), jsonb_array_elements(refused) r;

-- 1. Where in a text a VIN is seen: between other characters than letters and
-- digits, in either case
SELECT t, fleet.holds_vin(t) FROM (VALUES
    ('1M8GDM9AXKP042788'), ('1m8gdm9axkp042788'), ('vin=1M8GDM9AXKP042788;'), ('{"a":"1M8GDM9AXKP042788"}'),
    ('_1M8GDM9AXKP042788_'), ('Fahrgestellnummer 1M8GDM9AXKP042788, rot'), ('é1M8GDM9AXKP042788é'), ('x WVWZZZ1JZXW000001'),
    ('1M8GDM9A1KP042788'), ('a1M8GDM9AXKP042788'), ('1M8GDM9AXKP0427881'), ('1M8GDM9AXKP04278'), (''), ('11111111111111111')) v (t);
-- in bytes, whatever is beside it
SELECT b, fleet.holds_vin(b) FROM (VALUES
    ('\x00'::bytea || '1M8GDM9AXKP042788'::bytea || '\xff'), ('x1M8GDM9AXKP0427889'), ('7878111M8GDM9AXKP0427880D0A'),
    ('x1M8GDM9A1KP0427889'), ('a1b2c3d4e5f67890abcdef1234567890a1b2c3d4e5f67890abcdef1234567890'), ('')) v (b);
-- a long text is searched in time proportional to its length
SELECT fleet.holds_vin(repeat('1', 1000000)), fleet.holds_vin(repeat('M8GDM9AXKP042788', 60000)::bytea);

-- 2. A report with one is refused, and nothing of it is kept
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, signals, defect, raw)
VALUES (:src, '1M8GDM9AXKP042788', now(), 50, 8, NULL, NULL, NULL),
       (:src, 'car:1m8gdm9axkp042788', now(), 50, 8, NULL, NULL, NULL),
       (:src, 'p1', now(), 50, 8, '{"note": "vin=1M8GDM9AXKP042788;"}', NULL, NULL),
       (:src, 'p1', now(), 50, 8, '{"car_WVWZZZ1JZXW000001_speed": 3}', NULL, NULL),
       -- whatever else is wrong with it
       (:src, 'p1', now(), 91, 8, '{"note": "1M8GDM9AXKP042788"}', NULL, NULL),
       (:src, '1M8GDM9AXKP042788', NULL, 50, 8, NULL, NULL, NULL),
       (:src, 'p1', now(), 50, 8, '{"battery_percent": "1M8GDM9AXKP042788"}', NULL, NULL),
       (:src, 'p1', NULL, NULL, NULL, NULL, 'malformed', 'garbage 1M8GDM9AXKP042788 garbage'),
       (:src, 'p1', NULL, NULL, NULL, NULL, 'malformed', 'x781M8GDM9AXKP0427880d'),
       (:src, 'p1', NULL, NULL, NULL, NULL, 'malformed:1M8GDM9AXKP042788', NULL),
       (:src, 'p1', NULL, NULL, NULL, NULL, 'looks_like_vin:1M8GDM9AXKP042788', 'x'),
       (:src, 'p1', now(), 50, 8, NULL, NULL, '1M8GDM9AXKP042788'),
       -- without a right to send, too; there the reason stays
       (0, '1M8GDM9AXKP042788', now(), 50, 8, '{"note": "1M8GDM9AXKP042788"}', NULL, '1M8GDM9AXKP042788'),
       -- a decoder that found one has put nothing of it into the row
       (:src, 'withheld', now(), 50, 8, NULL, 'looks_like_vin:device', NULL);
SELECT * FROM rejected;
SELECT * FROM refused;
SELECT rejected, refused FROM fleet.ingest_json(:src, '[{"device": "1M8GDM9AXKP042788", "event_time": "2020-01-01T00:00:00Z"},
    {"device": "p1", "event_time": "yesterday", "vin": "1M8GDM9AXKP042788"}, {"device": "p1", "1M8GDM9AXKP042788": {"a": []}, "vehicles": {"1M8GDM9AXKP042788": {"x": 1}}},
    "1M8GDM9AXKP042788"]');
SELECT * FROM rejected;
SELECT count(*) AS hits FROM fleet.quarantine q WHERE q::text ~* '1M8GDM9AXKP042788|WVWZZZ1JZXW000001' OR encode(q.raw, 'escape') ~* '1M8GDM9AXKP042788';
SELECT count(*) AS registered FROM fleet.vehicle v WHERE v.name ~* 'vin|1M8' OR fleet.holds_vin(v.name);

-- 3. The registry takes none, and the error does not repeat it
\set SHOW_CONTEXT never
SELECT fleet.register_device(461, '1M8GDM9AXKP042788');
SELECT fleet.register_device(461, 'box', 'van 1M8GDM9AXKP042788');
INSERT INTO fleet.vehicle (tenant_id, name, attributes) VALUES (461, 'van', '{"vin": "1m8gdm9axkp042788"}');
INSERT INTO fleet.vehicle (tenant_id, name) VALUES (461, 'van');
UPDATE fleet.vehicle SET vehicle_type = '1M8GDM9AXKP042788' WHERE tenant_id = 461;
INSERT INTO fleet.device (tenant_id, identity, vehicle_id) SELECT 461, '1M8GDM9AXKP042788', v.vehicle_id FROM fleet.vehicle v WHERE v.tenant_id = 461;
-- a pseudonym is none: what fleetd makes of a VIN
SELECT 'k1:' || fleet.vin_pseudonym('1M8GDM9AXKP042788', '\x000102030405060708090a0b0c0d0e0f') AS k1,
       'k2:' || fleet.vin_pseudonym('1M8GDM9AXKP042788', '\x101112131415161718191a1b1c1d1e1f') AS k2 \gset
SELECT :'k1' AS pseudonym, fleet.holds_vin(:'k1');
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude) VALUES (:src, :'k1', now() - interval '1 hour', 50, 8);
SELECT accepted FROM fleet.last_batch();

-- 4. A new key: the same vehicle goes on
SELECT fleet.rekey_from_sources(ARRAY[:src, :src, :other], ARRAY['k0:nobody', :'k1', :'k1'], ARRAY[:'k2', :'k2', :'k2']) AS added;
SELECT fleet.rekey_from_sources(ARRAY[:src], ARRAY[:'k1'], ARRAY[:'k2']) AS again;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude) VALUES (:src, :'k2', now() - interval '50 minutes', 50, 8);
SELECT v.name = :'k1' AS name_stays, (SELECT count(*) FROM fleet.event e WHERE e.vehicle_id = v.vehicle_id) AS events,
       (SELECT count(*) FROM fleet.device d WHERE d.vehicle_id = v.vehicle_id) AS devices
  FROM fleet.vehicle v WHERE v.tenant_id = 461 AND v.name ~ '^k';
SELECT fleet.rekey_devices(461, ARRAY[:'k1', :'k2', 'unknown'], ARRAY[:'k2', 'k3:00', 'k3:01']) AS added;
SELECT fleet.rekey_devices(461, ARRAY[:'k1'], ARRAY['k3:00']) AS again;
SELECT fleet.rekey_devices(461, ARRAY[:'k1'], ARRAY[]::text[]);
SELECT fleet.rekey_devices(461, ARRAY[:'k1'], ARRAY['1M8GDM9AXKP042788']);
SELECT v.name = :'k2' AS renamed, array_agg(left(d.identity, 3) ORDER BY d.identity) AS devices
  FROM fleet.vehicle v JOIN fleet.device d USING (vehicle_id) WHERE v.tenant_id = 461 AND v.name ~ '^k' GROUP BY v.name;
SELECT count(*) AS of_others FROM fleet.device d WHERE d.tenant_id = 462;

-- 5. Every table that has a vehicle's rows is known, so that none is forgotten
SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE c.relnamespace = 'fleet'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND NOT a.attisdropped AND a.attname ~ 'vehicle' AND a.attname <> 'vehicle_type' AND c.relname NOT IN ('audit_log', 'quota')
EXCEPT SELECT relname FROM fleet.vehicle_tables() t JOIN pg_class c ON c.oid = t;

-- 6. Out
INSERT INTO fleet.geofence (tenant_id, name, area, kind) VALUES (461, 'yard', ST_MakeEnvelope(7, 49, 9, 51, 4326), 'zone');
INSERT INTO fleet.rule (tenant_id, name, condition) VALUES (461, 'fast', 'speed_kmh > 100');
SELECT fleet.register_device(461, 'IMEI-12345678', 'lorry 1', 'truck') AS v \gset
SELECT fleet.register_device(461, 'IMEI-87654321', 'lorry 2', 'truck') AS w \gset
SELECT fleet.create_partition(now() - interval '1 day') IS NOT NULL AS made;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, speed_kmh, signals)
SELECT :src, d, now() - n * interval '5 hours', 50 + n / 100.0, 8, 20 + 25 * n, '{"battery_percent": 68, "note": "x"}'
  FROM generate_series(1, 6) n, unnest(ARRAY['IMEI-12345678', 'IMEI-87654321']) d;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, defect, raw)
VALUES (:src, 'IMEI-12345678', now(), 95, 8, NULL, NULL), (:src, NULL, NULL, NULL, NULL, 'malformed', '#L#IMEI-12345678;NA'),
       (:src, 'IMEI-87654321', now(), 95, 8, NULL, NULL), (:other, 'IMEI-12345678', now(), 95, 8, NULL, NULL);
SELECT fleet.send_command(:v, 'ping') IS NOT NULL AS sent, fleet.send_command(:w, 'ping') IS NOT NULL AS sent;
SELECT table_name, count(*), jsonb_agg(DISTINCT keys) AS keys
  FROM fleet.export_vehicle(:v), LATERAL (SELECT jsonb_agg(k) AS keys FROM jsonb_object_keys("row") k) k
 WHERE table_name <> 'last_known' GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM fleet.export_vehicle(:v) WHERE "row"::text ~ '87654321';
CREATE TEMP TABLE taken_out AS SELECT * FROM fleet.export_vehicle(:v);
SELECT jsonb_pretty("row" - 'created_at' - 'vehicle_id') FROM taken_out WHERE table_name IN ('vehicle', 'device');
SELECT "row" - 'event_time' - 'received_at' FROM taken_out WHERE table_name = 'event' LIMIT 1;

-- 7. Forgotten: each table by itself
CREATE TEMP VIEW left_over AS
SELECT t::text AS name, (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %s WHERE vehicle_id = %s', t, current_setting('test.v')), false, true, '')))[1]::text AS rows
  FROM fleet.vehicle_tables() t;
SELECT set_config('test.v', :'v', false) = :'v' AS set;
SELECT count(*) >= 6 AS tables, bool_or(rows <> '0') AS has_rows FROM left_over;
SELECT table_name, rows FROM fleet.erase_vehicle(:v);
SELECT * FROM left_over WHERE rows <> '0';
SELECT count(*) FROM fleet.quarantine q WHERE q.tenant_id = 461 AND (q::text ~ '12345678' OR encode(q.raw, 'escape') ~ '12345678');
-- others are untouched
SELECT set_config('test.v', :'w', false) = :'w' AS set;
SELECT name, rows FROM left_over WHERE name ~ 'command|event|device|alert|fleet.vehicle$' ORDER BY name;
SELECT tenant_id, device FROM fleet.quarantine WHERE device ~ 'IMEI' ORDER BY 1, 2;
-- twice, or somebody else's, or none
SELECT fleet.export_vehicle(-1);
\set VERBOSITY sqlstate
SELECT fleet.erase_vehicle(:v);
\set VERBOSITY default
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT fleet.erase_vehicle(:w);
ROLLBACK;

-- 8. What was taken out can be brought in, and is what it was
SELECT fleet.register_device(461, 'IMEI-12345678', 'lorry 1', 'truck') AS v \gset
SELECT accepted, rejected FROM fleet.ingest_json(:src, (SELECT jsonb_agg("row") FROM taken_out WHERE table_name = 'event'));
SELECT count(*), bool_and(e.signals::jsonb->>'note' = 'x') FROM fleet.event e WHERE e.vehicle_id = :v;
SELECT count(*) AS differ FROM (SELECT "row" FROM taken_out WHERE table_name = 'event' EXCEPT
                               SELECT "row" FROM fleet.export_vehicle(:v) WHERE table_name = 'event') d;

-- 9. Who may: an admin of the tenant, and the log says so.  To others the
-- vehicle is as one that is not there.
CREATE ROLE regress_privacy;
GRANT fleet_admin TO regress_privacy;
SELECT fleet.grant_tenant('regress_privacy', 462);
SELECT fleet.register_device(462, 'theirs') AS theirs \gset
SET ROLE regress_privacy;
\set VERBOSITY sqlstate
SELECT fleet.erase_vehicle(:v);
SELECT fleet.erase_vehicle(-1);
SELECT fleet.export_vehicle(:v);
SELECT fleet.rekey_devices(461, '{a}', '{b}');
SELECT fleet.rekey_from_sources('{1}', '{a}', '{b}');
\set VERBOSITY default
SELECT fleet.rekey_devices(462, '{theirs}', '{theirs-2}');
SELECT table_name, "row"->>'identity' AS identity FROM fleet.export_vehicle(:theirs) WHERE table_name = 'device';
SELECT table_name, rows FROM fleet.erase_vehicle(:theirs) WHERE rows > 0;
SELECT action, role_name, object_type, object_id = :'theirs' AS it, detail FROM fleet.audit_log
 WHERE tenant_id = 462 AND action ~ '^(vehicle|device)' ORDER BY audit_id;
RESET ROLE;
REVOKE fleet_admin FROM regress_privacy;
SELECT fleet.revoke_tenant('regress_privacy', 462);
DROP ROLE regress_privacy;

DROP VIEW left_over;
DELETE FROM fleet.rule WHERE tenant_id = 461;
DELETE FROM fleet.geofence WHERE tenant_id = 461;
UPDATE fleet.tenant SET auto_register = false WHERE tenant_id IN (461, 462);
