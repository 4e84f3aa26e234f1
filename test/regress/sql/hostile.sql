-- What nobody should send or do: it must harm nothing but itself.
\set VERBOSITY terse
SET timezone = 'UTC';
SET client_min_messages = warning;
INSERT INTO fleet.tenant (tenant_id, name, auto_register) VALUES (480, 'hostile', true), (481, 'hostile wide', true);
INSERT INTO fleet.contract (tenant_id, horizon) VALUES (480, '20 years');
INSERT INTO fleet.contract (tenant_id, horizon, max_ahead, ranges)
VALUES (481, '9000 years', '9000 years', '{"speed_kmh": [0, null], "altitude_m": [null, null]}');
SELECT source_id AS src FROM fleet.create_source(480, 'hostile') \gset
SELECT source_id AS wide FROM fleet.create_source(481, 'hostile') \gset
RESET client_min_messages;
CREATE VIEW outcome AS SELECT received, accepted, rejected, refused FROM fleet.last_batch();

-- 1. A trigger function serves nobody but its own trigger
SELECT p.proname FROM pg_proc p
 WHERE p.pronamespace = 'fleet'::regnamespace AND p.prorettype = 'trigger'::regtype
   AND has_function_privilege('public', p.oid, 'EXECUTE')
   AND EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                WHERE d.objid = p.oid AND d.deptype = 'e' AND e.extname = 'fleet');
CREATE TABLE like_rule (rule_id int, tenant_id int, name text, condition text, hold int, clear_condition text,
    silence int, vehicle_type text, enabled boolean, changed_at text);
CREATE TRIGGER rule_check BEFORE UPDATE ON like_rule FOR EACH ROW EXECUTE FUNCTION fleet.rule_check();
INSERT INTO like_rule (rule_id, changed_at) VALUES (1, 'not a time');
UPDATE like_rule SET rule_id = 2;
DROP TABLE like_rule;

-- 2. A row of another view is not taken for one of fleet.ingest, even within its statement
CREATE VIEW like_ingest AS SELECT 1 a, 2 b, 3 c, 4 d, 5 e, 6 f, 7 g, 8 h, 9 i, 10 j, 11 k, 12 l, 13 m, 14 n;
CREATE TRIGGER ingest_row INSTEAD OF INSERT ON like_ingest FOR EACH ROW EXECUTE FUNCTION fleet.ingest_row();
CREATE FUNCTION smuggle() RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO like_ingest VALUES (1,2,3,4,5,6,7,8,9,10,11,12,13,14); RETURN 'x'; END $$;
INSERT INTO fleet.ingest (source_id, device) SELECT :src, smuggle();
DROP FUNCTION smuggle;
DROP VIEW like_ingest;

-- 3. One report cannot sink the others: a device's name too long for an index,
--    years without partitions, numbers that are none
INSERT INTO fleet.ingest (source_id, device, event_time)
VALUES (:src, (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 500) i), '2024-05-01 10:00+00'),
       (:src, 'good', '2024-05-01 10:00+00');
SELECT * FROM outcome;
SELECT code, field, length(device), length(value) FROM fleet.quarantine WHERE source_id = :src;
INSERT INTO fleet.ingest (source_id, device, event_time, speed_kmh, altitude_m)
VALUES (:wide, 'a', '10000-01-01', NULL, NULL), (:wide, 'b', '0001-12-31 BC', NULL, NULL),
       (:wide, 'c', 'infinity', NULL, NULL), (:wide, 'd', '-infinity', NULL, NULL),
       (:wide, 'e', '2024-05-01', 'infinity', NULL), (:wide, 'f', '2024-05-01', NULL, '-infinity'),
       (:wide, 'g', '2024-05-01', 3e38, NULL);
SELECT r ->> 'ordinal' AS ordinal, r ->> 'code' AS code, r ->> 'field' AS field
FROM outcome CROSS JOIN LATERAL jsonb_array_elements(refused) r;

INSERT INTO fleet.ingest (source_id, defect) VALUES (:src, 'malformed:' || repeat('ä', 5000)), (:src, 'malformed:'), (:src, ':x');
SELECT r ->> 'code' AS code, octet_length(r ->> 'field') AS field_bytes FROM outcome CROSS JOIN LATERAL jsonb_array_elements(refused) r;

-- 4. A detached partition keeps its name; bounds need not be midnight
SET client_min_messages = warning;
ALTER TABLE fleet.event DETACH PARTITION fleet.event_20240501;
INSERT INTO fleet.ingest (source_id, device, event_time) VALUES (:src, 'good', '2024-05-01 11:00+00');
SELECT tableoid::regclass, event_time FROM fleet.event WHERE batch_id = (SELECT batch_id FROM fleet.last_batch());
CREATE TABLE fleet.event_odd (LIKE fleet.event, PRIMARY KEY (vehicle_id, event_time, digest));
ALTER TABLE fleet.event ATTACH PARTITION fleet.event_odd FOR VALUES FROM ('2024-05-03 22:00+00') TO ('2024-05-04 22:00+00');
INSERT INTO fleet.ingest (source_id, device, event_time)
SELECT :src, 'good', t FROM generate_series('2024-05-03 21:00+00'::timestamptz, '2024-05-04 23:00+00', '13 hours') t;
SELECT tableoid::regclass, event_time FROM fleet.event WHERE batch_id = (SELECT batch_id FROM fleet.last_batch()) ORDER BY 2;
SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_class c WHERE c.relname ~ '^event_(odd|2024050[34])' ORDER BY 1;
DROP TABLE fleet.event_20240501_2, fleet.event_20240503, fleet.event_odd, fleet.event_20240504;
DROP TABLE fleet.event_20240501;

-- 5. A statement within a statement: each has its own outcome
CREATE FUNCTION within(source integer, n integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude)
    VALUES (source, 'inner' || n, '2024-05-01 10:00+00', 1, 1), (source, 'inner', '2024-05-01 10:00+00', 91, 1);
    RETURN 'outer' || n;
END $$;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude)
SELECT :src, within(:src, i), '2024-05-01 10:00+00', 1, 181 FROM generate_series(1, 3) i;
SELECT * FROM outcome;

-- 6. What was committed stays known, whatever fails later; what was rolled back does not
SELECT 1 / 0;
SELECT received FROM outcome;
BEGIN;
SAVEPOINT s;
INSERT INTO fleet.ingest (source_id, device, event_time) VALUES (:src, 'good', '2024-05-01 12:00+00');
RELEASE s;
SELECT received FROM outcome;
ROLLBACK;
SELECT received FROM outcome;

-- 7. Rows of quarantine carry the transaction's number, not the savepoint's, by which cursors know them
BEGIN;
SELECT pg_current_xact_id() AS xid \gset
SAVEPOINT s;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude) VALUES (:src, 'good', '2024-05-01', 99, 1);
SELECT xact_id = :'xid'::xid8 FROM fleet.quarantine WHERE batch_id = (SELECT batch_id FROM fleet.last_batch());
COMMIT;

-- 8. Reports of one time in one statement: state and history agree on which is the last
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, speed_kmh, signals)
SELECT :src, 'tie', '2024-05-01 12:00+00', 10 + i, 20, i, jsonb_build_object('n', i)::text::fleet.signals FROM generate_series(1, 50) i;
SELECT count(*), count(*) FILTER (WHERE e.digest < 0) BETWEEN 1 AND 49 AS both_signs FROM fleet.event e JOIN fleet.vehicle v USING (vehicle_id)
 WHERE v.tenant_id = 480 AND v.name = 'tie';
SELECT s.location::text = a.location::text AS fix, s.speed_kmh = a.speed_kmh AS motion, s.signals::text = a.signals::text AS signals
  FROM fleet.vehicle v JOIN fleet.vehicle_state s USING (vehicle_id)
 CROSS JOIN LATERAL fleet.state_at(v.vehicle_id, 'infinity') a
 WHERE v.tenant_id = 480 AND v.name = 'tie';

-- 9. A signal that has a column's name does not stand for the column when the report is sent again
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, signals)
VALUES (:src, 'good', '2024-05-01', 99, 1, '{"device": "other", "latitude": 1, "x": 2}');
SELECT report - 'received_at' FROM fleet.quarantine WHERE batch_id = (SELECT batch_id FROM fleet.last_batch());

DROP FUNCTION within;
DROP VIEW outcome;
