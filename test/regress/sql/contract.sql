--
-- Contracts, quarantine, replay
--
SET timezone = 'UTC'; SET datestyle = 'ISO'; SET intervalstyle = 'postgres';
INSERT INTO fleet.tenant (tenant_id, name) VALUES (311, 'contract');
SELECT source_id AS src FROM fleet.create_source(311, 'feed') \gset
SELECT fleet.register_device(311, 'A') AS a \gset
CREATE TEMP VIEW outcome AS
SELECT accepted, repeated, late, rejected, refused FROM fleet.last_batch();

-- 1. Every defect code, with its field, in the order of the rows
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, altitude_m, accuracy_m, speed_kmh, heading_deg, signals, schema_version, defect, raw)
VALUES (:src, 'A', now(), 50, 8, NULL, NULL, NULL, NULL, NULL, NULL, 'malformed', '\x7b'),
       (:src, 'A', now(), 50, 8, NULL, NULL, NULL, NULL, NULL, NULL, 'missing_field:event_time', '\x7b'),
       (:src, 'A', now(), 50, 8, NULL, NULL, NULL, NULL, NULL, NULL, 'invented', '\x7b'),
       (:src, NULL, now(), 50, 8, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
       (:src, '', now(), 50, 8, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
       (:src, 'A', NULL, 50, 8, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
       (:src, 'A', now(), 50, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
       (:src, 'A', now(), NULL, 8, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
       (:src, 'A', now(), 90.0001, 8, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
       (:src, 'A', now(), 50, -180.1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
       (:src, 'A', now(), 'infinity', 8, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
       (:src, 'A', now(), 50, 8, 1e9, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
       (:src, 'A', now(), 50, 8, NULL, -1, NULL, NULL, NULL, NULL, NULL, NULL),
       (:src, 'A', now(), 50, 8, NULL, NULL, 410.4, NULL, NULL, NULL, NULL, NULL),
       (:src, 'A', now(), 50, 8, NULL, NULL, NULL, 361, NULL, NULL, NULL, NULL),
       (:src, 'A', now(), 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
       (:src, 'A', now() + interval '1 hour', 50, 8, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
       (:src, 'A', 'infinity', 50, 8, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
       (:src, 'A', now() - interval '31 days', 50, 8, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
       (:src, 'A', '-infinity', 50, 8, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
       (:src, 'stranger', now(), 50, 8, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
       (:src, 'A', now(), 50, 8, NULL, NULL, NULL, NULL, NULL, 7, NULL, NULL),
       (0, 'A', now(), 50, 8, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
       (NULL, 'A', now(), 50, 8, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
       (2147483647, 'A', now(), 50, 8, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
       (:src, 'A', now(), 50, 8, NULL, NULL, NULL, NULL, '{"battery_percent": 101}', NULL, NULL, NULL),
       (:src, 'A', now(), 50, 8, NULL, NULL, NULL, NULL, '{"battery_percent": "full"}', NULL, NULL, NULL),
       (:src, '1M8GDM9AXKP042788', now(), 50, 8, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
       (:src, 'A', now(), 50, 8, NULL, NULL, NULL, NULL, '{"serial": "1M8GDM9AXKP042788"}', NULL, NULL, NULL),
       (:src, 'A', now(), 50, 8, 112, 5, 18.5, 245, '{"battery_percent": 68}', 1, NULL, NULL);
SELECT accepted, repeated, rejected FROM outcome;
SELECT r->>'ordinal' AS ordinal, r->>'code' AS code, r->>'field' AS field FROM outcome, jsonb_array_elements(refused) r;
SELECT q.ordinal, q.code, q.field, q.value, q.report - 'event_time' - 'received_at' AS report, q.raw
  FROM fleet.quarantine q JOIN fleet.last_batch() USING (batch_id)
 WHERE q.code NOT LIKE 'time%' ORDER BY q.ordinal;
-- of what looks like a VIN nothing is kept, anywhere in the row
SELECT count(*) FROM fleet.quarantine q WHERE q::text ~ '1M8GDM9AXKP042788';

-- 2. The counts add up
SELECT bool_and(received = accepted + repeated + rejected) AS adds_up FROM fleet.batch;
SELECT count(*) = (SELECT rejected FROM fleet.last_batch()) AS all_there FROM fleet.quarantine JOIN fleet.last_batch() USING (batch_id);

-- 3. A tenant's own contract
INSERT INTO fleet.contract (tenant_id, required, ranges, schema_versions, horizon, max_ahead, allow_null_island)
VALUES (311, '{location,speed_kmh,ignition}', '{"speed_kmh": [0, 500], "battery_percent": [null, 50], "io_5": [1, 2]}', '{1,2}', '60 days', '2 hours', true);
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, speed_kmh, signals, schema_version)
VALUES (:src, 'A', now() - interval '40 days', 0, 0, 410, '{"ignition": true}', 2),
       (:src, 'A', now() + interval '1 hour', 50, 8, 20, '{"ignition": true, "battery_percent": -5, "io_5": 1.5}', 1),
       (:src, 'A', now(), NULL, NULL, 20, '{"ignition": true}', 1),
       (:src, 'A', now(), 50, 8, NULL, '{"ignition": true}', 1),
       (:src, 'A', now(), 50, 8, 20, NULL, 1),
       (:src, 'A', now(), 50, 8, 20, '{"ignition": true, "battery_percent": 51}', 1),
       (:src, 'A', now(), 50, 8, 20, '{"ignition": true, "io_5": 3}', 1),
       (:src, 'A', now(), 50, 8, 20, '{"ignition": true}', 3);
SELECT accepted, rejected FROM outcome;
SELECT r->>'ordinal' AS ordinal, r->>'code' AS code, r->>'field' AS field FROM outcome, jsonb_array_elements(refused) r;

-- 4. A contract that cannot be is refused when written
INSERT INTO fleet.contract (tenant_id, ranges) VALUES (1, '{"speed_kmh": 5}');
INSERT INTO fleet.contract (tenant_id, ranges) VALUES (1, '{"speed_kmh": [5, 1]}');
INSERT INTO fleet.contract (tenant_id, ranges) VALUES (1, '{"speed_kmh": ["a", 1]}');
INSERT INTO fleet.contract (tenant_id, ranges) VALUES (1, '[]');
INSERT INTO fleet.contract (tenant_id, required) VALUES (1, '{NULL}');
INSERT INTO fleet.contract (tenant_id, required) VALUES (1, '{fuel percent}');
INSERT INTO fleet.contract (tenant_id, ranges) VALUES (1, '{"speed km/h": [0, 420]}');
INSERT INTO fleet.contract (tenant_id, horizon) VALUES (1, '-1 day');

-- 5. Unknown devices: quarantined, or registered on first sight where the tenant says so
DELETE FROM fleet.contract WHERE tenant_id = 311;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, signals) VALUES (:src, 'new one', '2020-01-01 10:00+00', 50, 8, '{"door": "öpen", "io_1": 5}');
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, signals) VALUES (:src, 'new one', now() - interval '1 minute', 50, 8, '{"door": "öpen", "io_1": 5}');
SELECT refused FROM outcome;
SELECT count(*) FROM fleet.vehicle WHERE tenant_id = 311;
UPDATE fleet.tenant SET auto_register = true WHERE tenant_id = 311;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude) VALUES (:src, 'newer one', now(), 91);	-- the bad register nothing
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude) VALUES (:src, 'newest one', now(), 50, 8);
SELECT name FROM fleet.vehicle WHERE tenant_id = 311 ORDER BY name;
BEGIN;
INSERT INTO fleet.ingest (source_id, device, event_time) VALUES (:src, 'rolled back', now());
ROLLBACK;
INSERT INTO fleet.ingest (source_id, device, event_time) VALUES (:src, 'rolled back', now());
SELECT accepted FROM outcome;
SELECT d.identity, v.name FROM fleet.device d JOIN fleet.vehicle v USING (vehicle_id) WHERE d.tenant_id = 311 ORDER BY 1;

-- 6. Replay: what was refused for a reason that is gone becomes an event
SELECT * FROM fleet.replay_quarantine(311, 'unknown_device');
SELECT * FROM fleet.replay_quarantine(311, 'unknown_device');		-- once only
SELECT s.location, s.signals FROM fleet.vehicle_state s JOIN fleet.vehicle v USING (vehicle_id) WHERE v.tenant_id = 311 AND v.name = 'new one';
SELECT * FROM fleet.replay_quarantine(311, 'time_too_old');			-- still too old: new rows of quarantine
SELECT count(*) FILTER (WHERE replayed_at IS NULL) AS waiting, count(*) FILTER (WHERE replayed_at IS NOT NULL) AS replayed
  FROM fleet.quarantine WHERE tenant_id = 311 AND code = 'time_too_old';

-- 7. A revoked source, a device that moved, a vehicle that is gone: caches notice
SELECT source_id AS src2 FROM fleet.create_source(311, 'second') \gset
INSERT INTO fleet.ingest (source_id, device, event_time) VALUES (:src2, 'A', now() - interval '10 s');
SELECT accepted FROM outcome;
UPDATE fleet.source SET revoked_at = now() WHERE source_id = :src2;
INSERT INTO fleet.ingest (source_id, device, event_time) VALUES (:src2, 'A', now() - interval '9 s');
SELECT refused FROM outcome;
SELECT fleet.register_device(311, 'A', 'another vehicle') AS moved \gset
INSERT INTO fleet.ingest (source_id, device, event_time) VALUES (:src, 'A', now() - interval '8 s');
SELECT count(*) FROM fleet.event WHERE vehicle_id = :moved;
UPDATE fleet.tenant SET auto_register = false WHERE tenant_id = 311;
DELETE FROM fleet.vehicle WHERE vehicle_id = :moved;
INSERT INTO fleet.ingest (source_id, device, event_time) VALUES (:src, 'A', now() - interval '7 s');
SELECT refused FROM outcome;

SELECT * FROM fleet.replay_quarantine(311, 'unknown_devise');		-- a slip is not an empty replay

-- 8. A device and its vehicle are of one tenant
INSERT INTO fleet.vehicle (vehicle_id, tenant_id, name) VALUES (311001, 311, 'of tenant 311');
INSERT INTO fleet.device (tenant_id, identity, vehicle_id) VALUES (1, 'smuggled', 311001);

-- 9. States go with all vehicles at once, too
BEGIN;
TRUNCATE fleet.vehicle CASCADE;
SELECT count(*) FROM fleet.vehicle_state;
ROLLBACK;
