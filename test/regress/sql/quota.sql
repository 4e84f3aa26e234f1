-- quota.sql: what a tenant may use, and what becomes of the rest.

SET timezone = 'UTC';
INSERT INTO fleet.tenant (tenant_id, name, auto_register) VALUES (150, 'small', true), (151, 'neighbour', true);
SELECT source_id AS small FROM fleet.create_source(150, 'feed') \gset
SELECT source_id AS neighbour FROM fleet.create_source(151, 'feed') \gset
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
    hint text;
BEGIN
    EXECUTE statement;
    RETURN 'ok';
EXCEPTION WHEN configuration_limit_exceeded OR check_violation THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(E'\n', SQLSTATE || ' ' || SQLERRM, CASE SQLSTATE WHEN '53400' THEN detail END, nullif(hint, ''));
END
$$;

-- 1. A tenant without a quota, and one that has none of that kind
INSERT INTO fleet.vehicle (tenant_id, name) SELECT 150, 'v' || i FROM generate_series(1, 3) i;
INSERT INTO fleet.quota (tenant_id, rules) VALUES (150, 2);
INSERT INTO fleet.vehicle (tenant_id, name) VALUES (150, 'v4');

-- 2. Quotas that cannot be
SELECT pg_temp.try('UPDATE fleet.quota SET vehicles = -1 WHERE tenant_id = 150');
SELECT pg_temp.try('UPDATE fleet.quota SET events_per_second = ''NaN'' WHERE tenant_id = 150');
SELECT pg_temp.try('UPDATE fleet.quota SET events_per_second = ''Infinity'' WHERE tenant_id = 150');

-- 3. Vehicles: what fits goes in, a statement that does not fit whole does not at all
UPDATE fleet.quota SET vehicles = 6 WHERE tenant_id = 150;
SELECT pg_temp.try($$INSERT INTO fleet.vehicle (tenant_id, name) VALUES (150, 'v5'), (151, 'v5')$$);
SELECT pg_temp.try($$INSERT INTO fleet.vehicle (tenant_id, name) VALUES (150, 'v6'), (151, 'v6'), (150, 'v7')$$);
SELECT tenant_id, count(*) FROM fleet.vehicle WHERE tenant_id IN (150, 151) GROUP BY 1 ORDER BY 1;
-- what is there already is not added
SELECT fleet.register_device(150, 'd5', 'v5') IS NOT NULL AS registered;
SELECT fleet.register_device(150, 'd6', 'v6') IS NOT NULL AS registered;
SELECT pg_temp.try($$SELECT fleet.register_device(150, 'd7', 'v7')$$);
-- less than is there: nothing is taken away, and nothing added
UPDATE fleet.quota SET vehicles = 2 WHERE tenant_id = 150;
SELECT pg_temp.try($$UPDATE fleet.vehicle SET vehicle_type = 'van' WHERE tenant_id = 150$$);
SELECT pg_temp.try($$INSERT INTO fleet.vehicle (tenant_id, name) VALUES (150, 'v7')$$);
-- nor moved in
SELECT pg_temp.try($$UPDATE fleet.vehicle SET tenant_id = 150, name = 'v8' WHERE tenant_id = 151$$);
-- COPY is a statement like others
UPDATE fleet.quota SET vehicles = 7 WHERE tenant_id = 150;
COPY fleet.vehicle (tenant_id, name) FROM stdin;
150	v7
150	v8
\.
SELECT count(*) FROM fleet.vehicle WHERE tenant_id = 150;
-- a restore, which has row_security off, brings what there was
SET row_security = off;
SELECT pg_temp.try($$INSERT INTO fleet.vehicle (tenant_id, name) VALUES (150, 'v7'), (150, 'v8')$$);
RESET row_security;

-- 4. Rules and geofences, enabled or not
SELECT pg_temp.try($$INSERT INTO fleet.rule (tenant_id, name, condition, enabled) VALUES (150, 'a', 'speed_kmh > 100', true), (150, 'b', 'speed_kmh > 100', false)$$);
SELECT pg_temp.try($$INSERT INTO fleet.rule (tenant_id, name, condition) VALUES (150, 'c', 'speed_kmh > 100')$$);
DELETE FROM fleet.rule WHERE tenant_id = 150 AND name = 'b';
SELECT pg_temp.try($$INSERT INTO fleet.rule (tenant_id, name, condition) VALUES (150, 'c', 'speed_kmh > 90')$$);
UPDATE fleet.quota SET geofences = 0 WHERE tenant_id = 150;
SELECT pg_temp.try($$INSERT INTO fleet.geofence (tenant_id, name, area) VALUES (150, 'yard', 'SRID=4326;POLYGON((8 50,8.1 50,8.1 50.1,8 50))')$$);
UPDATE fleet.quota SET geofences = 1 WHERE tenant_id = 150;
SELECT pg_temp.try($$INSERT INTO fleet.geofence (tenant_id, name, area) VALUES (150, 'yard', 'SRID=4326;POLYGON((8 50,8.1 50,8.1 50.1,8 50))')$$);
SELECT pg_temp.try($$INSERT INTO fleet.geofence (tenant_id, name, area) VALUES (150, 'road', 'SRID=4326;POLYGON((8 50,8.1 50,8.1 50.1,8 50))')$$);

-- 5. Devices that register on first sight: the first to come have the room there is
UPDATE fleet.quota SET vehicles = 10, geofences = NULL WHERE tenant_id = 150;
SELECT vehicles, vehicles_used FROM fleet.quota_usage WHERE tenant_id = 150;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude)
VALUES (:small, 'z', now() - interval '9 s', 50, 8), (:small, 'a', now() - interval '9 s', 50, 8), (:neighbour, 'a', now() - interval '9 s', 50, 8),
       (:small, 'z', now() - interval '8 s', 50, 8), (:small, 'v1', now() - interval '9 s', 50, 8), (:small, 'a', now() - interval '8 s', 50, 8);
SELECT received, accepted, rejected, refused FROM fleet.last_batch();
-- and none when there is none, but for vehicles that exist
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude)
VALUES (:small, 'b', now() - interval '7 s', 50, 8), (:small, 'v2', now() - interval '7 s', 50, 8), (:small, 'z', now() - interval '7 s', 50, 8);
SELECT received, accepted, rejected, refused FROM fleet.last_batch();
SELECT d.identity FROM fleet.device d WHERE tenant_id = 150 ORDER BY 1;
SELECT device, code, field, value, report ->> 'device' AS report FROM fleet.quarantine WHERE tenant_id = 150 ORDER BY quarantine_id;
-- a full tenant is full until something changes
DELETE FROM fleet.vehicle WHERE tenant_id = 150 AND name IN ('v3', 'v4');
SELECT * FROM fleet.replay_quarantine(150, 'over_quota');
SELECT d.identity FROM fleet.device d WHERE tenant_id = 150 AND identity IN ('a', 'b') ORDER BY 1;
-- also when what was counted is rolled back
BEGIN;
INSERT INTO fleet.vehicle (tenant_id, name) SELECT 150, 'w' || i FROM generate_series(1, 10 - (SELECT count(*)::integer FROM fleet.vehicle WHERE tenant_id = 150)) i;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude) VALUES (:small, 'c', now() - interval '6 s', 50, 8);
SELECT refused FROM fleet.last_batch();
ROLLBACK;
DELETE FROM fleet.vehicle WHERE tenant_id = 150 AND name = 'v5';
BEGIN;
INSERT INTO fleet.vehicle (tenant_id, name) VALUES (150, 'w1');
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude) VALUES (:small, 'c', now() - interval '6 s', 50, 8);
SELECT refused FROM fleet.last_batch();
ROLLBACK;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude) VALUES (:small, 'c', now() - interval '6 s', 50, 8);
SELECT accepted, refused FROM fleet.last_batch();
-- where devices do not register, one that is unknown is unknown
UPDATE fleet.tenant SET auto_register = false WHERE tenant_id = 150;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude) VALUES (:small, 'nobody', now(), 50, 8);
SELECT refused FROM fleet.last_batch();
UPDATE fleet.tenant SET auto_register = true WHERE tenant_id = 150;
DELETE FROM fleet.quarantine WHERE tenant_id = 150;

-- 6. Events: ten seconds' worth at once, the neighbour in the same statement loses nothing
UPDATE fleet.quota SET vehicles = NULL, rules = NULL, events_per_second = 0.2 WHERE tenant_id = 150;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude)
SELECT CASE i % 2 WHEN 0 THEN :small ELSE :neighbour END, 'flood', now() - interval '1 h' + i * interval '1 s', 50, 8 FROM generate_series(1, 10) i;
SELECT received, accepted, repeated, rejected, refused FROM fleet.last_batch();
SELECT tenant_id, count(*) FROM fleet.event JOIN fleet.vehicle v USING (tenant_id, vehicle_id) WHERE v.name = 'flood' GROUP BY 1 ORDER BY 1;
-- one row in quarantine tells how many; they are to be sent again by who has them
SELECT source_id = :small AS source, ordinal, device, code, field, value, report FROM fleet.quarantine WHERE tenant_id = 150;
SELECT * FROM fleet.replay_quarantine(150);
-- nothing left: all is refused, whatever else would be wrong with it
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude)
VALUES (:small, 'flood', now() - interval '1 m', 50, 8), (:small, 'flood', now(), 91, 8), (:neighbour, 'flood', now(), 91, 8), (:small, 'new', now(), 50, 8);
SELECT received, accepted, repeated, rejected, refused FROM fleet.last_batch();
SELECT count(*) AS made FROM fleet.vehicle WHERE tenant_id = 150 AND name = 'new';

-- 7. What is sent again is a repeat and costs nothing, so the rest comes through in the end
UPDATE fleet.quota SET events_per_second = 0.5 WHERE tenant_id = 150;
\c -
SET timezone = 'UTC';
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude)
SELECT :small, 'again', date_trunc('hour', now()) - interval '1 h' + i * interval '1 s', 50, 8 FROM generate_series(1, 9) i;
SELECT accepted, repeated, rejected FROM fleet.last_batch();
\c -
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude)
SELECT :small, 'again', date_trunc('hour', now()) - interval '1 h' + i * interval '1 s', 50, 8 FROM generate_series(1, 9) i;
SELECT accepted, repeated, rejected FROM fleet.last_batch();
-- what goes to quarantine costs as an event does
\c -
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude)
SELECT :small, 'again', now(), 91, 8 FROM generate_series(1, 6) i;
SELECT accepted, rejected, jsonb_path_query_array(refused, '$.code') AS codes FROM fleet.last_batch();
-- what was refused is no reason to take the same for a repeat: nothing stored has it
UPDATE fleet.quota SET events_per_second = 0.2 WHERE tenant_id = 150;
\c -
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude)
SELECT :small, CASE WHEN i <= 2 THEN 'again' ELSE 'flood' END, date_trunc('hour', now()) - interval '2 h' + least(i, 3) * interval '1 s', 50, 8 FROM generate_series(1, 5) i;
SELECT accepted, repeated, rejected, jsonb_path_query_array(refused, '$.ordinal') AS ordinals FROM fleet.last_batch();
UPDATE fleet.quota SET events_per_second = 0.5 WHERE tenant_id = 150;

-- 8. Sessions share as they say
\c -
SET fleet.ingest_sessions = 5;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude)
SELECT :small, 'again', now() + i * interval '1 ms', 50, 8 FROM generate_series(1, 4) i;
SELECT accepted, rejected FROM fleet.last_batch();
SET fleet.ingest_sessions = 0;
-- in pieces, too
\c -
SET fleet.batch_memory = '64kB';
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude)
SELECT CASE i % 2 WHEN 0 THEN :small ELSE :neighbour END, 'pieces', now() - interval '1 h' + i * interval '1 ms', 50, 8 FROM generate_series(1, 2000) i;
SELECT accepted, rejected FROM fleet.last_batch();
SELECT sum(value::integer) AS refused FROM fleet.quarantine WHERE batch_id = (SELECT batch_id FROM fleet.last_batch());
-- a tenant that may store nothing at all
UPDATE fleet.quota SET events_per_second = 0 WHERE tenant_id = 150;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude) VALUES (:small, 'again', now(), 50, 8);
SELECT accepted, rejected FROM fleet.last_batch();
UPDATE fleet.quota SET events_per_second = NULL WHERE tenant_id = 150;

-- 9. What is replayed stays in quarantine when it is beyond the quota
UPDATE fleet.quota SET events_per_second = 0.2 WHERE tenant_id = 150;
UPDATE fleet.tenant SET auto_register = false WHERE tenant_id = 150;
DELETE FROM fleet.quarantine WHERE tenant_id = 150;
\c -
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude) VALUES (:small, 'waits', now(), 50, 8), (:small, 'waits', now() + interval '1 ms', 50, 8.5);
\c -
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude) VALUES (:small, 'waits', now() + interval '2 ms', 50, 9), (:small, 'waits', now() + interval '3 ms', 50, 10);
SELECT fleet.register_device(150, 'waits') IS NOT NULL AS registered;
\c -
SELECT * FROM fleet.replay_quarantine(150);
SELECT code, replayed_at IS NOT NULL AS replayed, report ->> 'longitude' AS longitude, value FROM fleet.quarantine WHERE tenant_id = 150 ORDER BY quarantine_id;
UPDATE fleet.quota SET events_per_second = NULL WHERE tenant_id = 150;
SELECT * FROM fleet.replay_quarantine(150, 'unknown_device');
SELECT count(*) FROM fleet.event JOIN fleet.vehicle v USING (tenant_id, vehicle_id) WHERE v.name = 'waits';
UPDATE fleet.tenant SET auto_register = true WHERE tenant_id = 150;

-- 10. Alerts of a day
UPDATE fleet.quota SET alerts_per_day = 3 WHERE tenant_id = 150;
SELECT alerts_today FROM fleet.quota_usage WHERE tenant_id = 150;
DELETE FROM fleet.rule WHERE tenant_id = 150;
INSERT INTO fleet.rule (tenant_id, name, condition, severity) SELECT t, 'fast', 'speed_kmh > 100', 'critical' FROM unnest(ARRAY[150, 151]) t;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, speed_kmh)
SELECT s, 'car ' || i, now() - interval '40 s', 50, 8, 120 FROM unnest(ARRAY[:small, :neighbour]) s, generate_series(1, 5) i;
SELECT accepted, rejected FROM fleet.last_batch();
SELECT a.tenant_id, v.name AS vehicle, a.kind, a.name, a.severity, a.message, a.values, a.cleared_at IS NULL AS open
  FROM fleet.alert a JOIN fleet.vehicle v USING (vehicle_id) WHERE a.tenant_id IN (150, 151) ORDER BY a.tenant_id, a.alert_id;
SELECT alerts_per_day, alerts_today FROM fleet.quota_usage WHERE tenant_id = 150;
-- told once a day, by whoever is the first
\c -
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, speed_kmh)
SELECT :small, 'car ' || i, now() - interval '30 s', 50, 8, 120 FROM generate_series(6, 7) i;
SELECT kind, count(*) FROM fleet.alert WHERE tenant_id = 150 GROUP BY 1 ORDER BY 1;
-- one that was not raised is not raised later, while its condition lasts
UPDATE fleet.quota SET alerts_per_day = 5 WHERE tenant_id = 150;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, speed_kmh)
SELECT :small, 'car ' || i, now() - interval '20 s', 50, 8, 121 FROM generate_series(1, 7) i;
SELECT kind, count(*), count(*) FILTER (WHERE cleared_at IS NULL) AS open FROM fleet.alert WHERE tenant_id = 150 GROUP BY 1 ORDER BY 1;
-- its end is none either, and then it may come again
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, speed_kmh)
SELECT :small, 'car ' || i, now() - interval '10 s', 50, 8, 10 FROM generate_series(1, 7) i;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, speed_kmh)
SELECT :small, 'car ' || i, now(), 50, 8, 122 FROM generate_series(4, 7) i;
SELECT v.name, a.kind, a.cleared_at IS NULL AS open FROM fleet.alert a JOIN fleet.vehicle v USING (vehicle_id) WHERE a.tenant_id = 150 ORDER BY alert_id;
-- what is rolled back does not count
UPDATE fleet.quota SET alerts_per_day = 6 WHERE tenant_id = 150;
BEGIN;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, speed_kmh) VALUES (:small, 'car 10', now(), 50, 8, 122);
ROLLBACK;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, speed_kmh) VALUES (:small, 'car 11', now(), 50, 8, 122), (:small, 'car 12', now(), 50, 8, 122);
SELECT v.name, a.kind FROM fleet.alert a JOIN fleet.vehicle v USING (vehicle_id) WHERE a.tenant_id = 150 AND v.name ~ 'car 1.' ORDER BY alert_id;

-- 11. Who may see it and who may change it
CREATE ROLE regress_quota_admin;
GRANT fleet_admin TO regress_quota_admin;
CREATE ROLE regress_quota_owner;
GRANT fleet_owner TO regress_quota_owner;
SELECT fleet.grant_tenant('regress_quota_admin', 150);
INSERT INTO fleet.quota (tenant_id, vehicles) VALUES (151, 12);
SET ROLE regress_quota_admin;
SELECT * FROM fleet.quota;
SELECT tenant, vehicles, vehicles_used, rules_used, geofences_used, alerts_today FROM fleet.quota_usage;
UPDATE fleet.quota SET alerts_per_day = 1000;
INSERT INTO fleet.quota (tenant_id) VALUES (150);
DELETE FROM fleet.quota;
SET ROLE regress_quota_owner;
UPDATE fleet.quota SET vehicles = (SELECT count(*) FROM fleet.vehicle WHERE tenant_id = 150), alerts_per_day = NULL WHERE tenant_id = 150;
-- one tenant's administrator comes to its end, and is told nothing of others
SET ROLE regress_quota_admin;
INSERT INTO fleet.vehicle (tenant_id, name) VALUES (150, 'one more');
INSERT INTO fleet.vehicle (tenant_id, name) VALUES (151, 'one more');
RESET ROLE;
SELECT fleet.revoke_tenant('regress_quota_admin', 150);
DROP ROLE regress_quota_admin, regress_quota_owner;
-- in the audit log
SELECT action, object_id, detail FROM fleet.audit_log WHERE tenant_id = 150 AND object_type = 'quota' ORDER BY audit_id DESC LIMIT 2;
DELETE FROM fleet.quota WHERE tenant_id IN (150, 151);
INSERT INTO fleet.vehicle (tenant_id, name) VALUES (150, 'one more');

DELETE FROM fleet.rule WHERE tenant_id IN (150, 151);
DELETE FROM fleet.geofence WHERE tenant_id IN (150, 151);
DELETE FROM fleet.vehicle WHERE tenant_id IN (150, 151);
