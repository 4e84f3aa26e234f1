-- Conditions of rules: what is a condition and what is refused, and why.

-- 1. The names a condition refers to
SELECT fleet.check_condition('battery_percent < 15 AND NOT charging');
SELECT fleet.check_condition('speed_kmh BETWEEN 1 AND 50 OR speed_kmh > 130.5');
SELECT fleet.check_condition('vehicle_type IN (''truck'', ''bus'') AND vehicle LIKE ''A%'' AND trip_id IS NULL');
SELECT fleet.check_condition('previous.location <-> location > 500 AND event_time - previous.event_time < interval ''1 minute''');
SELECT fleet.check_condition('rate.fuel_percent < -5 AND abs(zscore.battery_temp_c) > 3 AND mean.speed_kmh < 1 AND standing.fuel_percent > 3');
SELECT fleet.check_condition('text.mode = ''D'' AND boolean.door_open AND previous.text.mode <> text.mode AND tank_2_level < 3');
SELECT fleet.check_condition('CASE WHEN locked THEN speed_kmh > 1 ELSE coalesce(in_use, false) END');
SELECT fleet.check_condition('date_part(''hour'', event_time AT TIME ZONE ''Europe/Berlin'') >= 22');
SELECT fleet.check_condition('greatest(latitude, previous.latitude) > 50 -- a comment');
SELECT fleet.check_condition('error_codes ~ ''P0[0-9]+'' AND starts_with(lower(error_codes), ''p'')');

-- 2. A name that is all but well known
SELECT fleet.check_condition('batery_percent < 15');

-- 3. A mistake is refused when the rule is written, with its position
INSERT INTO fleet.tenant (tenant_id, name) VALUES (141, 'rule_condition');
INSERT INTO fleet.rule (tenant_id, name, condition) VALUES (141, 'broken', 'battery_percent <');
INSERT INTO fleet.rule (tenant_id, name, condition) VALUES (141, 'broken', 'battery_percent < 15 AND AND charging');
INSERT INTO fleet.rule (tenant_id, name, condition) VALUES (141, 'broken', 'battery_percent < ''low''');
INSERT INTO fleet.rule (tenant_id, name, condition, clear_condition) VALUES (141, 'broken', 'battery_percent < 15', 'battery_percent');
SELECT count(*) FROM fleet.rule WHERE tenant_id = 141;

-- 4. All the ways to be wrong
CREATE FUNCTION pg_temp.refusal(condition text) RETURNS TABLE (state text, message text, detail text, hint text)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM fleet.check_condition(condition);
    message := 'ACCEPTED';
    RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN NEXT;
END
$$;
CREATE FUNCTION public.harmless(double precision) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE DOMAIN public.evil AS integer CHECK (pg_sleep(0) IS NOT NULL);
\x on
SELECT c AS condition, r.*
FROM unnest(ARRAY[
    -- not one boolean expression
    '', '   ', '-- nothing', 'speed_kmh', '''text''', '1, 2', 'speed_kmh > 1 alarm', 'speed_kmh > 1 AS alarm',
    'speed_kmh > 1; DROP TABLE fleet.rule', 'speed_kmh > 1) OR (true', 'true /* ', 'SELECT true',
    'DISTINCT speed_kmh > 1', 'speed_kmh > 1 FROM fleet.rule', 'speed_kmh > 1 WHERE true', 'true ORDER BY 1',
    'true LIMIT 1', 'speed_kmh > 1 UNION SELECT true', '*', 'vehicle.*',
    -- does not depend on anything
    'true', '1 < 2',
    -- sub-queries, aggregates, windows, sets, parameters
    'speed_kmh > (SELECT 1)', 'EXISTS (SELECT FROM pg_authid)', 'speed_kmh IN (SELECT 1)', 'ARRAY(SELECT 1) IS NULL',
    'max(speed_kmh) > 1', 'bool_or(speed_kmh > 1) OVER ()', 'generate_series(1, 3) > speed_kmh', 'speed_kmh > $1',
    -- names
    'no.such.name.here > 1', 'nothing.speed_kmh > 1', 'rate.trip_id > 1', 'zscore.charging', 'rate.event_time > 1',
    'previous.vehicle = ''x''', 'text.battery_percent = ''x''', '"speed in km/h" > 1', 'speed_kmh.x > 1',
    -- kinds
    'trip_id > 1', 'charging > 1', 'NOT battery_percent',
    -- functions
    'pg_sleep(1) IS NULL', 'pg_read_file(''/etc/passwd'') = trip_id', 'random() < speed_kmh', 'now() > event_time',
    'current_timestamp > event_time', 'current_user = trip_id', 'extract(hour FROM event_time) > 3',
    'repeat(trip_id, 1000000000) = ''x''', 'factorial(100000) > speed_kmh', 'harmless(speed_kmh)',
    'public.harmless(speed_kmh)', 'no_such(speed_kmh)', 'pg_catalog.set_config(''a'', ''b'', false) = trip_id',
    'query_to_xml(trip_id, true, true, '''') IS NULL', 'lo_import(trip_id) > 1', 'round(speed_kmh::numeric, 1) > 3',
    '9 ^ 99::numeric > speed_kmh::numeric', 'nextval(''fleet.rule_rule_id_seq'') > speed_kmh',
    'fleet.check_condition(trip_id) IS NULL', 'speed_kmh OPERATOR(public.<) 3',
    -- types
    'trip_id::public.evil > 1', '''fleet.rule''::regclass = 1 AND charging', 'trip_id::json IS NULL',
    'trip_id::xml IS NULL', '(speed_kmh, 1) = (1, 2)', 'ROW(speed_kmh) IS NULL', 'xmlelement(name a, trip_id) IS NULL',
    'trip_id COLLATE "C" < ''x''', 'fleet.rule.name = ''x''', 'speed_kmh::fleet.rule.rule_id%TYPE > 1',
    'ARRAY[speed_kmh][1] > 3',
    -- constant folding finds it
    'speed_kmh > 1 / 0'
]) WITH ORDINALITY AS t (c, i), pg_temp.refusal(c) r
ORDER BY i;
\x off
-- nor anything of PostGIS, in whatever schema it is installed
SELECT c AS condition, r.message = 'ACCEPTED' AS accepted
FROM unnest(ARRAY['location::geometry IS NULL', '''POINT(1 2)''::geometry IS NULL AND charging', 'st_x(location) > 1',
                  'postgis_version() = trip_id', 'st_x(st_point(speed_kmh, 1)) > 1']) c, pg_temp.refusal(c) r;

-- 5. Limits
SELECT state, message, detail FROM pg_temp.refusal('speed_kmh > 1' || repeat(' ', 4000));
SELECT state, message, detail FROM pg_temp.refusal('speed_kmh > 1' || repeat(' OR charging', 300));
SELECT state, message, left(detail, 30) FROM pg_temp.refusal('speed_kmh > ' || repeat('(', 1900) || '1' || repeat(')', 1900));
SELECT state, message, left(detail, 30) FROM pg_temp.refusal(repeat('NOT ', 990) || 'charging');
SELECT state, message, left(detail, 30) FROM pg_temp.refusal(repeat('-', 3900) || '1 > speed_kmh');
SELECT state, message, left(detail, 30) FROM pg_temp.refusal('speed_kmh > ' || repeat('- ', 1900) || '1');

-- 6. The author's search_path and settings mean nothing
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.abs(double precision) RETURNS double precision LANGUAGE plpgsql IMMUTABLE
    AS 'BEGIN RAISE EXCEPTION ''called''; END';
CREATE FUNCTION hostile.less(double precision, double precision) RETURNS boolean LANGUAGE plpgsql IMMUTABLE
    AS 'BEGIN RAISE EXCEPTION ''called''; END';
CREATE OPERATOR hostile.< (LEFTARG = double precision, RIGHTARG = double precision, FUNCTION = hostile.less);
SET search_path = hostile, pg_catalog;
SELECT fleet.check_condition('abs(speed_kmh) < 3::float8 AND abs(-1.5::float8) > speed_kmh');
SET search_path = '';
SELECT fleet.check_condition('previous.location <-> location > 3 AND abs(speed_kmh) < 3');
RESET search_path;
SET DateStyle = 'German';
SELECT fleet.check_condition('event_time > ''2026-01-31T00:00:00Z''');
RESET DateStyle;
SET standard_conforming_strings = off;
SELECT fleet.check_condition($$trip_id = 'a\'$$);
RESET standard_conforming_strings;

-- 7. Other checks of the table
\set VERBOSITY terse
INSERT INTO fleet.rule (tenant_id, name) VALUES (141, 'nothing to watch');
INSERT INTO fleet.rule (tenant_id, name, silence, hold) VALUES (141, 'hold of nothing', '1 minute', '1 minute');
INSERT INTO fleet.rule (tenant_id, name, silence) VALUES (141, 'no silence', '0');
INSERT INTO fleet.rule (tenant_id, name, condition, hold) VALUES (141, 'held', 'charging', '-1 s');
INSERT INTO fleet.rule (tenant_id, name, condition, severity) VALUES (141, 'loud', 'charging', 'loud');
\set VERBOSITY default

-- 8. A rule whose text has gone bad can still be renamed and switched off,
--    but not changed to something bad
INSERT INTO fleet.rule (tenant_id, name, condition) VALUES (141, 'good', 'charging');
UPDATE fleet.rule SET condition = 'charging(' WHERE tenant_id = 141;
UPDATE fleet.rule SET name = 'better', enabled = false WHERE tenant_id = 141;

-- 9. The trigger is for its table and its events only
CREATE TABLE not_rule (name text);
CREATE TRIGGER t BEFORE INSERT ON not_rule FOR EACH ROW EXECUTE FUNCTION fleet.rule_check();
INSERT INTO not_rule VALUES ('x');
CREATE TRIGGER u AFTER DELETE ON not_rule FOR EACH ROW EXECUTE FUNCTION fleet.rule_check();
ALTER TABLE not_rule DISABLE TRIGGER t;
INSERT INTO not_rule VALUES ('x');
DELETE FROM not_rule;
\set VERBOSITY terse

DROP TABLE not_rule;
DROP SCHEMA hostile CASCADE;
DROP DOMAIN public.evil;
DROP FUNCTION public.harmless;
DELETE FROM fleet.rule WHERE tenant_id = 141;
