--
-- Geofences: what is accepted, and what vehicles do at them.
--
SET search_path = fleet, public;
SET timezone = 'UTC';
INSERT INTO fleet.tenant (tenant_id, name, auto_register) VALUES (110, 'geofence', true), (111, 'geofence, other', true);
SELECT source_id FROM fleet.create_source(110, 'test') \gset
SELECT set_config('test.source', :'source_id', false) IS NULL AS source_kept;

--
-- 1. What is accepted
--
-- the least that is needed
BEGIN;
INSERT INTO fleet.geofence (name, area, kind) VALUES ('Depot', ST_MakeEnvelope(8, 50, 9, 51, 4326), 'keep_out')
    RETURNING tenant_id, name, kind, hysteresis_m, min_fixes, dwell, speed_limit_kmh, vehicle_type, alert_on, severity, enabled;
ROLLBACK;
-- not an area
\set SHOW_CONTEXT never
INSERT INTO fleet.geofence (tenant_id, name, area) VALUES (110, 'bad', 'SRID=4326;POINT(8 50)');
\echo :LAST_ERROR_SQLSTATE
INSERT INTO fleet.geofence (tenant_id, name, area) VALUES (110, 'bad', 'SRID=4326;GEOMETRYCOLLECTION(POLYGON((0 0, 1 0, 1 1, 0 0)))');
INSERT INTO fleet.geofence (tenant_id, name, area) VALUES (110, 'bad', 'SRID=4326;POLYGON EMPTY');
-- another reference system, or none
INSERT INTO fleet.geofence (tenant_id, name, area) VALUES (110, 'bad', 'POLYGON((0 0, 1 0, 1 1, 0 0))');
INSERT INTO fleet.geofence (tenant_id, name, area) VALUES (110, 'bad', 'SRID=3857;POLYGON((0 0, 1 0, 1 1, 0 0))');
-- crosses itself
INSERT INTO fleet.geofence (tenant_id, name, area) VALUES (110, 'bad', 'SRID=4326;POLYGON((0 0, 1 1, 0 1, 1 0, 0 0))');
-- across the 180th meridian, latitude first
INSERT INTO fleet.geofence (tenant_id, name, area) VALUES (110, 'bad', ST_MakeEnvelope(170, 0, 190, 10, 4326));
INSERT INTO fleet.geofence (tenant_id, name, area) VALUES (110, 'bad', ST_MakeEnvelope(50, 170, 51, 171, 4326));
-- other columns
\set VERBOSITY terse
INSERT INTO fleet.geofence (tenant_id, name, area) VALUES (110, 'bad', NULL);
INSERT INTO fleet.geofence (tenant_id, name, area, kind) VALUES (110, 'bad', ST_MakeEnvelope(0, 0, 1, 1, 4326), 'no go');
INSERT INTO fleet.geofence (tenant_id, name, area, min_fixes) VALUES (110, 'bad', ST_MakeEnvelope(0, 0, 1, 1, 4326), 0);
INSERT INTO fleet.geofence (tenant_id, name, area, hysteresis_m) VALUES (110, 'bad', ST_MakeEnvelope(0, 0, 1, 1, 4326), 'NaN');
INSERT INTO fleet.geofence (tenant_id, name, area, dwell) VALUES (110, 'bad', ST_MakeEnvelope(0, 0, 1, 1, 4326), '0');
INSERT INTO fleet.geofence (tenant_id, name, area, alert_on) VALUES (110, 'bad', ST_MakeEnvelope(0, 0, 1, 1, 4326), '{leave}');
INSERT INTO fleet.geofence (tenant_id, name, area, alert_on) VALUES (110, 'bad', ST_MakeEnvelope(0, 0, 1, 1, 4326), '{dwell}');
INSERT INTO fleet.geofence (tenant_id, name, area, alert_on) VALUES (110, 'bad', ST_MakeEnvelope(0, 0, 1, 1, 4326), '{speed}');
INSERT INTO fleet.geofence (tenant_id, name, area, severity) VALUES (110, 'bad', ST_MakeEnvelope(0, 0, 1, 1, 4326), 'dire');
INSERT INTO fleet.geofence (tenant_id, name, area, valid_from, valid_to) VALUES (110, 'bad', ST_MakeEnvelope(0, 0, 1, 1, 4326), '2025-01-02', '2025-01-01');
INSERT INTO fleet.geofence (tenant_id, name, area) VALUES (110, 'twice', ST_MakeEnvelope(0, 0, 1, 1, 4326)), (110, 'twice', ST_MakeEnvelope(0, 0, 1, 1, 4326));
\set VERBOSITY default
-- third and fourth dimension are ignored
BEGIN;
INSERT INTO fleet.geofence (tenant_id, name, area) VALUES (110, 'high', 'SRID=4326;POLYGON ZM((0 0 5 7, 1 0 5 7, 1 1 5 7, 0 0 5 7))');
SELECT cardinality(geofences_at(110, geopoint(0.2, 0.5)));
ROLLBACK;
-- what alerts when alert_on is not given
SELECT kind, dwell, speed, geofence_alert_on(kind, NULL, dwell, speed)
  FROM unnest(ARRAY['zone', 'keep_in', 'keep_out']) kind, unnest(ARRAY[NULL, interval '1 hour']) dwell, unnest(ARRAY[NULL, 30::real]) speed
 ORDER BY kind, dwell, speed;

--
-- 2. Covering
--
INSERT INTO fleet.geofence (tenant_id, name, area, enabled) VALUES
    (110, 'a', ST_MakeEnvelope(0, 0, 1, 1, 4326), true), (110, 'b', ST_MakeEnvelope(0, 0, 2, 2, 4326), true),
    (110, 'off', ST_MakeEnvelope(0, 0, 2, 2, 4326), false), (111, 'other', ST_MakeEnvelope(0, 0, 2, 2, 4326), true);
CREATE FUNCTION pg_temp.names(ids integer[]) RETURNS text[] LANGUAGE sql STABLE AS
    'SELECT array_agg(name ORDER BY name) FROM fleet.geofence WHERE geofence_id = ANY (ids)';
SELECT pg_temp.names(geofences_at(110, geopoint(0.5, 0.5))) AS both, pg_temp.names(geofences_at(110, geopoint(1.5, 1.5))) AS one,
       geofences_at(110, geopoint(3, 3)) AS none, pg_temp.names(geofences_at(111, geopoint(0.5, 0.5))) AS other, geofences_at(112, geopoint(0.5, 0.5)) AS nobody;
SELECT name, fixes FROM geofence_counts(110, ARRAY[geopoint(0.5, 0.5), NULL, geopoint(1.5, 1.5), geopoint(3, 3)]) JOIN geofence USING (geofence_id) ORDER BY name;
SELECT count(*) FROM geofence_counts(110, '{}');
-- a change counts at once, and not after it was undone
BEGIN;
UPDATE fleet.geofence SET area = ST_MakeEnvelope(10, 10, 11, 11, 4326) WHERE tenant_id = 110 AND name = 'a';
SELECT pg_temp.names(geofences_at(110, geopoint(0.5, 0.5))), pg_temp.names(geofences_at(110, geopoint(10.5, 10.5)));
DELETE FROM fleet.geofence WHERE tenant_id = 110 AND name = 'b';
SELECT pg_temp.names(geofences_at(110, geopoint(0.5, 0.5)));
SAVEPOINT s;
INSERT INTO fleet.geofence (tenant_id, name, area) VALUES (110, 'c', ST_MakeEnvelope(0, 0, 2, 2, 4326));
SELECT pg_temp.names(geofences_at(110, geopoint(0.5, 0.5)));
ROLLBACK TO s;
SELECT pg_temp.names(geofences_at(110, geopoint(0.5, 0.5)));
ROLLBACK;
SELECT pg_temp.names(geofences_at(110, geopoint(0.5, 0.5)));
-- who may not read fences may not ask
CREATE ROLE regress_fleet_nobody;
GRANT USAGE ON SCHEMA fleet TO regress_fleet_nobody;
SET ROLE regress_fleet_nobody;
SELECT fleet.geofences_at(110, fleet.geopoint(0.5, 0.5));
RESET ROLE;
-- nor who may read it, but not this tenant's rows
GRANT fleet_reader TO regress_fleet_nobody;
SELECT fleet.grant_tenant('regress_fleet_nobody', 1);
SET ROLE regress_fleet_nobody;
SELECT fleet.geofences_at(110, fleet.geopoint(0.5, 0.5));
SELECT fleet.geofences_at(1, fleet.geopoint(0.5, 0.5));
RESET ROLE;
SELECT fleet.revoke_tenant('regress_fleet_nobody', 1);
DROP OWNED BY regress_fleet_nobody;
DROP ROLE regress_fleet_nobody;
DELETE FROM fleet.geofence WHERE tenant_id IN (110, 111);

--
-- Vehicles drive east, just north of the equator.  A drive is minute:metres[:accuracy[:km/h]],
-- - for metres is a report without a fix.  The fence of a section reaches from
-- 0 to 1000 m.
--
SELECT date_trunc('minute', now()) - interval '3 hours' AS start \gset
SELECT set_config('test.start', :'start', false) IS NULL AS start_kept;
CREATE FUNCTION pg_temp.area(from_m float8, to_m float8) RETURNS geometry LANGUAGE sql IMMUTABLE AS
    'SELECT ST_MakeEnvelope(from_m / 111195.08, -0.005, to_m / 111195.08, 0.005, 4326)';
CREATE PROCEDURE pg_temp.drive(vehicle text, drive text) LANGUAGE sql AS $$
    INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, accuracy_m, speed_kmh)
    SELECT current_setting('test.source')::integer, vehicle, current_setting('test.start')::timestamptz + f[1]::float8 * interval '1 minute',
           CASE WHEN f[2] <> '-' THEN 0.0005 END, CASE WHEN f[2] <> '-' THEN f[2]::float8 / 111195.08 END, nullif(f[3], '')::real, f[4]::real
      FROM regexp_split_to_table(drive, ' +') t, string_to_array(t, ':') f
$$;
CREATE FUNCTION pg_temp.minute(t timestamptz) RETURNS text LANGUAGE sql STABLE AS
    $$SELECT coalesce(round(extract(epoch FROM t - current_setting('test.start')::timestamptz) / 60, 2)::float8::text, '')$$;
-- visits as name from-to, alerts as kind:name from-to, in minutes
CREATE FUNCTION pg_temp.story(who text, OUT visits text, OUT alerts text) LANGUAGE sql STABLE AS $$
    SELECT (SELECT string_agg(g.name || ' ' || pg_temp.minute(entered_at) || '-' || pg_temp.minute(exited_at) ||
                              CASE WHEN dwelled_at IS NULL THEN '' ELSE ' dwelled ' || pg_temp.minute(dwelled_at) END, ', ' ORDER BY entered_at, g.name)
              FROM fleet.geofence_visit g WHERE g.vehicle_id = v.vehicle_id),
           (SELECT string_agg(kind || ':' || a.name || ' ' || pg_temp.minute(event_time) ||
                              CASE WHEN cleared_at IS NULL THEN '-' ELSE '-' || coalesce(nullif(pg_temp.minute(cleared_event_time), ''), 'cleared') END,
                              ', ' ORDER BY event_time, kind, a.name)
              FROM fleet.alert a WHERE a.vehicle_id = v.vehicle_id)
      FROM fleet.vehicle v WHERE v.tenant_id = 110 AND v.name = who
$$;

--
-- 3. Zone: visits, no alerts; alert_on says otherwise
--
INSERT INTO fleet.geofence (tenant_id, name, area) VALUES (110, 'zone', pg_temp.area(0, 1000));
INSERT INTO fleet.geofence (tenant_id, name, area, alert_on, severity, message) VALUES (110, 'told', pg_temp.area(0, 1000), '{enter,exit}', 'info', 'hello');
CALL pg_temp.drive('z1', '0:-500 1:500 2:600 3:1500 4:500');
SELECT * FROM pg_temp.story('z1');
-- the border is inside
CALL pg_temp.drive('z2', '0:-500 1:0 2:1000');
SELECT * FROM pg_temp.story('z2');
-- the first fix ever, inside
CALL pg_temp.drive('z3', '0:500');
SELECT * FROM pg_temp.story('z3');
-- one batch or several, it is the same
CALL pg_temp.drive('z4', '0:-500');
CALL pg_temp.drive('z4', '1:500');
CALL pg_temp.drive('z4', '2:600');
CALL pg_temp.drive('z4', '3:1500');
CALL pg_temp.drive('z4', '4:500');
SELECT * FROM pg_temp.story('z4');
-- what late reports say is history only
CALL pg_temp.drive('z4', '3.5:5000');
SELECT * FROM pg_temp.story('z4');
-- reports without a fix change nothing
CALL pg_temp.drive('z4', '5:- 6:- 7:-');
SELECT * FROM pg_temp.story('z4');
SELECT a.kind, a.name, severity, message, location, a.values - 'since' AS values, geofence_id IS NOT NULL AS of_fence, rule_id
  FROM alert a JOIN vehicle v USING (vehicle_id) WHERE v.tenant_id = 110 AND v.name = 'z1' ORDER BY event_time;
SELECT v.entered_location, v.exited_location FROM geofence_visit v JOIN vehicle USING (vehicle_id) WHERE vehicle.name = 'z1' AND v.name = 'zone' ORDER BY entered_at;
-- two visits of one vehicle to one fence are never open at once
SELECT count(*) FROM (SELECT FROM geofence_visit WHERE exited_at IS NULL GROUP BY vehicle_id, geofence_id HAVING count(*) > 1) s;
DELETE FROM fleet.geofence WHERE tenant_id = 110;

--
-- 4. keep_in
--
INSERT INTO fleet.geofence (tenant_id, name, area, kind) VALUES (110, 'in', pg_temp.area(0, 1000), 'keep_in');
CALL pg_temp.drive('i1', '0:500 1:1500 2:1600 3:500');
SELECT * FROM pg_temp.story('i1');
-- first seen outside: that is an alert, and no visit
CALL pg_temp.drive('i2', '0:1500 1:1600');
SELECT * FROM pg_temp.story('i2');
CALL pg_temp.drive('i2', '2:1700');
CALL pg_temp.drive('i2', '3:900');
SELECT * FROM pg_temp.story('i2');
-- first fix too vague to tell
CALL pg_temp.drive('i3', '0:1500:800 1:1500:100');
SELECT * FROM pg_temp.story('i3');
DELETE FROM fleet.geofence WHERE tenant_id = 110;

--
-- 5. keep_out, cross
--
INSERT INTO fleet.geofence (tenant_id, name, area, kind) VALUES (110, 'out', pg_temp.area(0, 1000), 'keep_out');
CALL pg_temp.drive('o1', '0:-500 1:500 2:1500');
SELECT * FROM pg_temp.story('o1');
-- through it between two fixes, and back again in another batch
CALL pg_temp.drive('o2', '0:-500 1:1500');
CALL pg_temp.drive('o2', '2:-500');
SELECT * FROM pg_temp.story('o2');
-- not when the fixes are vague, an hour apart, or do not reach it
CALL pg_temp.drive('o3', '0:-500:600 1:1500');
CALL pg_temp.drive('o4', '0:-500 61:1500');
CALL pg_temp.drive('o5', '0:-500 1:-100 2:-500');
SELECT * FROM (VALUES ('o3'), ('o4'), ('o5')) v(name), pg_temp.story(name);
-- reports without a fix do not break the line
CALL pg_temp.drive('o6', '0:-500 1:- 2:1500');
SELECT * FROM pg_temp.story('o6');
-- a hole is outside
INSERT INTO fleet.geofence (tenant_id, name, area, kind) VALUES (110, 'ring', ST_Difference(pg_temp.area(10000, 13000), ST_MakeEnvelope(11000 / 111195.08, -0.001, 12000 / 111195.08, 0.001, 4326)), 'keep_out');
CALL pg_temp.drive('o7', '0:9000 1:11500 2:14000');
CALL pg_temp.drive('o8', '0:11500 1:11600 2:12500');
SELECT * FROM (VALUES ('o7'), ('o8')) v(name), pg_temp.story(name);
DELETE FROM fleet.geofence WHERE tenant_id = 110;

--
-- 6. min_fixes: the visit begins with the first of them
--
INSERT INTO fleet.geofence (tenant_id, name, area, min_fixes, alert_on) VALUES (110, 'three', pg_temp.area(0, 1000), 3, '{enter}');
-- two are not enough, nor are three with one outside among them
CALL pg_temp.drive('m1', '0:-500 1:500 2:500 3:-500 4:500 5:500 6:-500');
SELECT * FROM pg_temp.story('m1');
CALL pg_temp.drive('m1', '7:500 8:500 9:500 10:500');
SELECT * FROM pg_temp.story('m1');
-- the same to leave, counted across batches and reports without a fix
CALL pg_temp.drive('m1', '11:-500');
CALL pg_temp.drive('m1', '12:-500');
CALL pg_temp.drive('m1', '12.5:-');
SELECT * FROM pg_temp.story('m1');
CALL pg_temp.drive('m1', '13:-500');
SELECT * FROM pg_temp.story('m1');
DELETE FROM fleet.geofence WHERE tenant_id = 110;

--
-- 7. hysteresis_m: left only when so far outside
--
INSERT INTO fleet.geofence (tenant_id, name, area, hysteresis_m) VALUES (110, 'soft', pg_temp.area(0, 1000), 100);
CALL pg_temp.drive('h1', '0:1050 1:950 2:1050 3:1099 4:990 5:1101 6:1050 7:1000');
SELECT * FROM pg_temp.story('h1');
-- keep_in, first seen within the margin: not known yet
UPDATE fleet.geofence SET kind = 'keep_in' WHERE tenant_id = 110;
CALL pg_temp.drive('h2', '0:1050 1:1060');
SELECT * FROM pg_temp.story('h2');
CALL pg_temp.drive('h2', '2:1200 3:1050 4:900');
SELECT * FROM pg_temp.story('h2');
DELETE FROM fleet.geofence WHERE tenant_id = 110;

--
-- 8. Accuracy: a fix whose circle meets the border changes nothing
--
INSERT INTO fleet.geofence (tenant_id, name, area, alert_on) VALUES (110, 'sharp', pg_temp.area(0, 1000), '{enter}');
CALL pg_temp.drive('a1', '0:-500:10 1:50:60 2:50:40 3:-50:60 4:-500:600 5:-50:40');
SELECT * FROM pg_temp.story('a1');
-- inside with a circle larger than the fence
CALL pg_temp.drive('a2', '0:500:5000');
SELECT * FROM pg_temp.story('a2');
-- does not break a row of min_fixes
UPDATE fleet.geofence SET min_fixes = 2 WHERE tenant_id = 110;
CALL pg_temp.drive('a3', '0:-500 1:500 2:-10:100 3:500');
SELECT * FROM pg_temp.story('a3');
DELETE FROM fleet.geofence WHERE tenant_id = 110;

--
-- 9. Speed limit inside
--
INSERT INTO fleet.geofence (tenant_id, name, area, speed_limit_kmh) VALUES (110, '30', pg_temp.area(0, 1000), 30);
CALL pg_temp.drive('s1', '0:-500::80 1:500::30 2:500::31 3:500::29 4:500::28 5:500::50 6:500 7:2000::50 8:500::50');
SELECT * FROM pg_temp.story('s1');
SELECT a.values - 'since' AS values FROM alert a JOIN vehicle v USING (vehicle_id) WHERE v.tenant_id = 110 AND v.name = 's1' ORDER BY event_time;
DELETE FROM fleet.geofence WHERE tenant_id = 110;

--
-- 10. Dwell
--
INSERT INTO fleet.geofence (tenant_id, name, area, dwell) VALUES (110, 'park', pg_temp.area(0, 1000), '10 minutes');
-- told once, at the very time; ends with the visit
CALL pg_temp.drive('d1', '0:500 9:500 12:500 20:500 25:2000 26:500');
SELECT * FROM pg_temp.story('d1');
-- gone before it is over
CALL pg_temp.drive('d2', '0:500 9:500 12:2000');
SELECT * FROM pg_temp.story('d2');
-- nothing is reported: the clock finds it
CALL pg_temp.drive('d3', '0:500');
CALL pg_temp.drive('d3', '1:-');
SELECT pg_temp.minute(due_at) FROM vehicle_state JOIN vehicle v USING (vehicle_id) WHERE v.name = 'd3' AND v.tenant_id = 110;
SELECT * FROM pg_temp.story('d3');
SELECT tick() > 0 AS looked;
SELECT * FROM pg_temp.story('d3');
SELECT due_at FROM vehicle_state JOIN vehicle v USING (vehicle_id) WHERE v.name = 'd3' AND v.tenant_id = 110;
SELECT tick() >= 0 AS looked_again;
CALL pg_temp.drive('d3', '30:2000');
SELECT * FROM pg_temp.story('d3');
SELECT a.values ->> 'dwell_s' AS dwell_s FROM alert a JOIN vehicle v USING (vehicle_id) WHERE v.name = 'd3' AND v.tenant_id = 110;
DELETE FROM fleet.geofence WHERE tenant_id = 110;

--
-- 11. Vehicle type and validity
--
INSERT INTO fleet.vehicle (tenant_id, name, vehicle_type) VALUES (110, 'v1', 'truck'), (110, 'v2', 'scooter'), (110, 'v3', NULL);
INSERT INTO fleet.device (tenant_id, identity, vehicle_id) SELECT 110, name, vehicle_id FROM fleet.vehicle WHERE tenant_id = 110 AND name IN ('v1', 'v2', 'v3');
INSERT INTO fleet.geofence (tenant_id, name, area, kind, vehicle_type) VALUES (110, 'no trucks', pg_temp.area(0, 1000), 'keep_out', 'truck');
INSERT INTO fleet.geofence (tenant_id, name, area, kind, vehicle_type) VALUES (110, 'scooters only here', pg_temp.area(0, 1000), 'keep_in', 'scooter');
CALL pg_temp.drive('v1', '0:-500 1:500');
CALL pg_temp.drive('v2', '0:-500 1:500');
CALL pg_temp.drive('v3', '0:-500 1:500');
SELECT * FROM (VALUES ('v1'), ('v2'), ('v3')) v(name), pg_temp.story(name);
-- another type: the fence no longer concerns it
UPDATE fleet.vehicle SET vehicle_type = 'bus' WHERE tenant_id = 110 AND name = 'v1';
CALL pg_temp.drive('v1', '2:500');
SELECT * FROM pg_temp.story('v1');
DELETE FROM fleet.geofence WHERE tenant_id = 110;
INSERT INTO fleet.geofence (tenant_id, name, area, kind, valid_from, valid_to)
    VALUES (110, 'market', pg_temp.area(0, 1000), 'keep_out', :'start'::timestamptz + interval '10 minutes', :'start'::timestamptz + interval '20 minutes');
CALL pg_temp.drive('t1', '5:500 9:500 10:500 15:500 25:500');
SELECT * FROM pg_temp.story('t1');
-- without reports the clock ends it
CALL pg_temp.drive('t2', '15:500');
SELECT * FROM pg_temp.story('t2');
SELECT tick() > 0 AS looked;
SELECT * FROM pg_temp.story('t2');
DELETE FROM fleet.geofence WHERE tenant_id = 110;

--
-- 12. Fences change while vehicles are in them
--
INSERT INTO fleet.geofence (tenant_id, name, area, kind) VALUES (110, 'out', pg_temp.area(0, 1000), 'keep_out'), (110, 'in', pg_temp.area(0, 1000), 'keep_in');
CALL pg_temp.drive('c1', '0:500');
CALL pg_temp.drive('c2', '0:2000');
-- deleted: visits end with the last that is known, alerts are cleared, at once
DELETE FROM fleet.geofence WHERE tenant_id = 110;
SELECT * FROM (VALUES ('c1'), ('c2')) v(name), pg_temp.story(name);
CALL pg_temp.drive('c1', '1:500');
CALL pg_temp.drive('c2', '1:2000');
SELECT * FROM (VALUES ('c1'), ('c2')) v(name), pg_temp.story(name);
-- disabled and enabled again with no report in between: a new visit, a new alert
INSERT INTO fleet.geofence (tenant_id, name, area, kind) VALUES (110, 'out', pg_temp.area(0, 1000), 'keep_out');
CALL pg_temp.drive('c3', '0:500');
UPDATE fleet.geofence SET enabled = false WHERE tenant_id = 110;
SELECT * FROM pg_temp.story('c3');
UPDATE fleet.geofence SET enabled = true WHERE tenant_id = 110;
CALL pg_temp.drive('c3', '1:500 2:500');
SELECT * FROM pg_temp.story('c3');
-- moved away: the next fix is outside
UPDATE fleet.geofence SET area = pg_temp.area(50000, 51000) WHERE tenant_id = 110;
SELECT * FROM pg_temp.story('c3');
CALL pg_temp.drive('c3', '3:500');
SELECT * FROM pg_temp.story('c3');
-- alerts of a kind no longer wanted are cleared, the visit goes on
UPDATE fleet.geofence SET area = pg_temp.area(0, 1000) WHERE tenant_id = 110;
CALL pg_temp.drive('c4', '0:500');
UPDATE fleet.geofence SET alert_on = '{exit}' WHERE tenant_id = 110;
SELECT * FROM pg_temp.story('c4');
CALL pg_temp.drive('c4', '1:500 2:2000');
SELECT * FROM pg_temp.story('c4');
UPDATE fleet.geofence SET alert_on = NULL WHERE tenant_id = 110;
SELECT * FROM pg_temp.story('c4');
CALL pg_temp.drive('c4', '3:2000 4:500');
SELECT * FROM pg_temp.story('c4');
-- nothing is left behind
BEGIN;
TRUNCATE fleet.geofence;
SELECT count(*) FROM fleet.geofence_visit WHERE exited_at IS NULL;
SELECT count(*) FROM fleet.alert WHERE cleared_at IS NULL AND geofence_id IS NOT NULL;
ROLLBACK;

--
-- 13. A state that cannot be read is started anew; the open visit goes on
--
CALL pg_temp.drive('x1', '0:500');
SELECT fence_state IS NOT NULL AS kept FROM vehicle_state JOIN vehicle v USING (vehicle_id) WHERE v.name = 'x1' AND v.tenant_id = 110;
CREATE FUNCTION pg_temp.damage(how bytea) RETURNS void LANGUAGE sql AS
    $$UPDATE fleet.vehicle_state SET fence_state = how WHERE vehicle_id = (SELECT vehicle_id FROM fleet.vehicle WHERE tenant_id = 110 AND name = 'x1')$$;
SELECT pg_temp.damage('\x');
CALL pg_temp.drive('x1', '1:500');
SELECT pg_temp.damage('\xff0001');
CALL pg_temp.drive('x1', '2:500');
SELECT pg_temp.damage('\x01ffff00000001');
CALL pg_temp.drive('x1', '3:500');
SELECT pg_temp.damage('\x010001000000010001ff000000000000000000');
CALL pg_temp.drive('x1', '4:500');
SELECT pg_temp.damage('\x0100010000000100010100ffffffffffffffff');
CALL pg_temp.drive('x1', '5:500');
SELECT * FROM pg_temp.story('x1');
CALL pg_temp.drive('x1', '6:2000');
SELECT * FROM pg_temp.story('x1');

--
-- 14. A vehicle is deleted with its visits
--
DELETE FROM fleet.vehicle WHERE tenant_id = 110 AND name = 'x1';
SELECT count(*) FROM geofence_visit v WHERE NOT EXISTS (SELECT FROM vehicle WHERE vehicle.vehicle_id = v.vehicle_id);

DELETE FROM fleet.geofence WHERE tenant_id = 110;
