-- Type signals, see docs/types.md.
SET search_path = fleet, public;
-- What becomes of a literal, or of bytes that pretend to be the binary form:
-- the value, or code, message and detail of the error.
CREATE FUNCTION pg_temp.try_in(type regtype, input text, OUT result text, OUT detail text) LANGUAGE plpgsql AS $$
DECLARE
    code text;
BEGIN
    EXECUTE format('SELECT %L::%s::text', input, type) INTO result;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, result = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    result := code || ' ' || left(result, 70);
END $$;
\getenv builddir PG_ABS_BUILDDIR
\set file :builddir '/signals.bin'
SELECT set_config('test.file', :'file', false) AS file \gset
CREATE FUNCTION pg_temp.try_recv(type regtype, input bytea, OUT result text, OUT detail text) LANGUAGE plpgsql AS $$
DECLARE
    code text;
BEGIN
    EXECUTE format('COPY (SELECT %L::bytea) TO %L (FORMAT binary)', input, current_setting('test.file'));
    EXECUTE format('CREATE TEMP TABLE received (value %s)', type);
    EXECUTE format('COPY received FROM %L (FORMAT binary)', current_setting('test.file'));
    SELECT r.value::text INTO result FROM received r;
    DROP TABLE received;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, result = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    result := code || ' ' || result;
END $$;

-- 1. Text form: a flat JSON object; well-known signals first, the last of a name wins
SELECT v::signals FROM (VALUES
    ('{}'), (' { } '), ('{"charging": false, "battery_percent": 68, "battery_voltage_v": 48.2}'),
    ('{"zz":1,"aa":2,"fuel_l":3,"_x9":4,"AA":5}'),
    ('{"a":1,"b":2,"a":"three"}'),
    ('{"error_codes":"","driver_id":"J. Doe \"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude97"}'),
    (E'\t{\r\n"a"\t:\ttrue\n}\n')
) AS x(v);

-- 2. Numbers come back exactly; negative zero is zero
SELECT ('{"n":' || v || '}')::signals AS printed, pg_column_size(('{"n":' || v || '}')::signals) AS bytes,
       signals_number(('{"n":' || v || '}')::signals, 'n') = v::float8 AS exact
FROM (VALUES ('0'), ('-0.0'), ('1'), ('-128'), ('127'), ('128'), ('-129'), ('32768'), ('2147483647'), ('-2147483647'), ('-2147483648'), ('2147483648'),
    ('48.2'), ('-0.1'), ('0.0000001'), ('0.00000001'), ('123.4567891'), ('214.7483647'), ('0.3333333333333333'), ('1e3'), ('1E+2'), ('1e-3'),
    ('0.5'), ('5.199999809265137'), ('9007199254740993'), ('1736951538123'), ('1.7976931348623157e308'), ('-1e300'), ('4.9e-324'), ('2.2250738585072014e-308'), ('1e22')) AS x(v);
CREATE TEMP TABLE number AS
    SELECT i, (sin(i) * 10 ^ (i % 30 - 12))::float8 AS n FROM generate_series(1, 2000) i
    UNION ALL SELECT i, round((cos(i) * 1000)::numeric, i % 9)::float8 FROM generate_series(1, 2000) i;
SELECT count(*) AS differ FROM number, LATERAL (SELECT ('{"x":' || n || '}')::signals AS s) x
WHERE signals_number(s, 'x') <> n OR (s ->> 'x')::float8 <> n OR ((s -> 'x')::float8) <> n OR s::text::signals <> s OR s::jsonb::signals <> s;

-- 3. Refused, with code and position
SELECT v AS input, r.* FROM (VALUES
    (''), ('  '), ('{'), ('{"a"'), ('{"a":'), ('{"a":1'), ('{"a":1,'), ('{"a":1,}'), ('{"a":1}}'), ('{"a":1} x'), ('{,}'), ('{"a" 1}'), ('{a:1}'), ('{"a":1 "b":2}'),
    ('[]'), ('null'), ('1'), ('"a"'), ('{"a":null}'), ('{"a":{}}'), ('{"a":{"b":1}}'), ('{"a":[]}'), ('{"a":[1]}'), ('{"ü":1,"a":null}'),
    ('{"a":nul}'), ('{"a":True}'), ('{"a":truth}'), ('{"a":NaN}'), ('{"a":Infinity}'), ('{"a":-Infinity}'), ('{"a":+1}'), ('{"a":01}'), ('{"a":.5}'), ('{"a":1.}'), ('{"a":-}'), ('{"a":1e}'), ('{"a":0x10}'), ('{"a":1_0}'),
    ('{"a":1e309}'), ('{"a":-1e400}'), ('{"a":1e-400}'),
    ('{"a":"x}'), (E'{"a":"x\ny"}'), ('{"a":"\x"}'), ('{"a":"\u12"}'), ('{"a":"\u00zz"}'), ('{"a":"\u0000"}'), ('{"a":"\ud83d"}'), ('{"a":"\ude97"}'), ('{"a":"\ud83d\u0041"}'), ('{"a":"\'),
    ('{"":1}'), ('{"a b":1}'), ('{"1a":1}'), ('{"a.b":1}'), ('{"ä":1}'), ('{"a\u0062":1}')
) AS x(v), pg_temp.try_in('signals', v) r;
SELECT '{"battery": {"percent": 68}}'::signals;  -- and a hint
-- deep nesting does not recurse
SELECT * FROM pg_temp.try_in('signals', '{"a":' || repeat('[', 100000));

-- 4. Limits
SELECT length(repeat('n', 63)) AS name, * FROM pg_temp.try_in('signals', '{"' || repeat('n', 63) || '":1}');
SELECT length(repeat('n', 64)) AS name, * FROM pg_temp.try_in('signals', '{"' || repeat('n', 64) || '":1}');
SELECT length(repeat('n', 319)) AS name, detail FROM pg_temp.try_in('signals', '{"' || repeat('n', 319) || '":1}');
SELECT length(('{"t":"' || repeat('x', 4096) || '"}')::signals ->> 't') AS text;
SELECT * FROM pg_temp.try_in('signals', '{"t":"' || repeat('x', 4097) || '"}');
SELECT * FROM pg_temp.try_in('signals', '{"t":"' || repeat('x', 70000) || '"}');
SELECT signals_count(('{' || string_agg('"s' || i || '":1', ',') || '}')::signals) FROM generate_series(1, 512) i;
SELECT r.* FROM (SELECT '{' || string_agg('"s' || i || '":1', ',') || '}' AS t FROM generate_series(1, 513) i) x, pg_temp.try_in('signals', t) r;
SELECT pg_column_size(('{' || string_agg('"s' || i || '":"' || repeat('x', 4000) || '"', ',') || '}')::signals) FROM generate_series(1, 16) i;
SELECT r.* FROM (SELECT '{' || string_agg('"s' || i || '":"' || repeat('x', 4000) || '"', ',') || '}' AS t FROM generate_series(1, 17) i) x, pg_temp.try_in('signals', t) r;
-- but a name that comes again and again counts once
SELECT signals_count(('{' || string_agg('"s' || i % 7 || '":"' || repeat('x', 4000) || '"', ',') || '}')::signals) FROM generate_series(1, 500) i;
SELECT '{"a":1}'::signals || (SELECT ('{' || string_agg('"s' || i || '":1', ',') || '}')::signals FROM generate_series(1, 512) i);
SELECT r.* FROM (SELECT '{"a":' || repeat('9', 70000) || '}' AS t) x, pg_temp.try_in('signals', t) r;

-- 5. Binary form
SELECT signals_send('{"in_use":true,"fuel_percent":48.2,"note":"hé"}');
SELECT v AS input, r.* FROM (VALUES
    ('\x010000'::bytea), (signals_send('{"in_use":true,"fuel_percent":48.2,"note":"hé"}')),
    ('\x0100020161023ff000000000000001610101'),               -- the last wins
    ('\x0100010161028000000000000000'),                             -- negative zero
    ('\x0100010161020000000000000001'),                             -- smallest denormal
    -- version and count
    ('\x'), ('\x01'), ('\x0100'), ('\x020000'), ('\x000000'), ('\x010001'), ('\x01ffff'), ('\x01000000'), ('\x01000001610101'),
    -- name
    ('\x010001000101'), ('\x010001ff61'), ('\x0100010261'), ('\x0100010161'), ('\x01000101310101'), ('\x0100010261000101'), ('\x01000102c3a40101'),
    ('\x01000140616161616161616161616161616161616161616161616161616161616161616161616161616161616161616161616161616161616161616161616161616161610101'),
    -- kind and value
    ('\x010001016100'), ('\x010001016104'), ('\x0100010161ff'), ('\x010001016101'), ('\x01000101610102'), ('\x010001016101ff'),
    ('\x0100010161023ff00000000000'), ('\x0100010161027ff8000000000000'), ('\x0100010161027ff0000000000000'), ('\x010001016102fff0000000000000'),
    ('\x01000101610300'), ('\x0100010161030000'), ('\x010001016103000178'), ('\x010001016103000278'), ('\x010001016103ffff78'),
    ('\x010001016103000100'), ('\x0100010161030001ff'), ('\x0100010161030002c378'), ('\x0100010161030003eda0bd'), ('\x0100010161010100')
) AS x(v), pg_temp.try_recv('signals', v) r;
SELECT r.* FROM pg_temp.try_recv('signals', '\x010001016103' || int2send(4097::int2) || repeat('x', 4097)::bytea) r;
SELECT r.* FROM (SELECT '\x010201' || string_agg(('\x04' || convert_to('s' || i, 'UTF8') || '\x0101')::bytea, '') AS v FROM generate_series(100, 612) i) x, pg_temp.try_recv('signals', v) r;
CREATE TEMP TABLE map (id int, s signals);
INSERT INTO map SELECT i, ('{"battery_percent":' || i % 101 || ',"battery_voltage_v":' || i / 7.0 || ',"charging":' || (i % 2 = 0) || ',"note_' || i % 13 || '":"ß' || i || '","trip_id":"' || repeat('t', i * 3 % 1000) || '"}')::signals
FROM generate_series(1, 500) i;
INSERT INTO map VALUES (0, '{}'), (-1, NULL);
COPY map TO :'file' (FORMAT binary);
CREATE TEMP TABLE copied (LIKE map);
COPY copied FROM :'file' (FORMAT binary);
SELECT count(*) AS differ FROM map JOIN copied USING (id) WHERE map.s IS DISTINCT FROM copied.s OR map.s::text IS DISTINCT FROM copied.s::text;
SELECT count(*) AS differ FROM map WHERE s::text::signals <> s OR s::jsonb::signals <> s OR s::jsonb <> s::text::jsonb;

-- 6. jsonb
SELECT '{"in_use":true,"fuel_percent":48.2,"note":"x"}'::signals::jsonb, '{"note":"x","fuel_percent":48.20,"in_use":true}'::jsonb::signals;
SELECT '{"a":1,"b":null}'::jsonb::signals;
SELECT '{"a":{"b":1}}'::jsonb::signals;
SELECT '{"a":[1]}'::jsonb::signals;
SELECT '[1]'::jsonb::signals;
SELECT '1'::jsonb::signals;
SELECT '{"a b":1}'::jsonb::signals;
SELECT '{"a":1e400}'::jsonb::signals;
SELECT '{"a":1e-400}'::jsonb::signals;
SELECT ('{"a":"' || repeat('x', 4097) || '"}')::jsonb::signals;

-- 7. Reading
CREATE TEMP TABLE one AS SELECT '{"battery_percent":68,"charging":false,"trip_id":"a1","foo":1.5,"empty":""}'::signals AS s;
SELECT s -> 'battery_percent' AS n, s -> 'charging' AS b, s -> 'trip_id' AS t, s -> 'foo' AS other, s -> 'bar' AS none FROM one;
SELECT s ->> 'battery_percent' AS n, s ->> 'charging' AS b, s ->> 'trip_id' AS t, s ->> 'empty' AS empty, s ->> 'bar' AS none FROM one;
SELECT signals_number(s, 'foo'), signals_number(s, 'trip_id') IS NULL AS wrong_kind, signals_boolean(s, 'charging'), signals_boolean(s, 'foo') IS NULL AS wrong_kind,
       signals_text(s, 'trip_id'), signals_text(s, 'charging') IS NULL AS wrong_kind FROM one;
SELECT s ? 'foo' AS foo, s ? 'Foo' AS case_counts, s ? '' AS no_name, s ? repeat('x', 300) AS long_name, signals_count(s) FROM one;
SELECT signals_keys(s) FROM one;
SELECT e.* FROM one, signals_each(s) e;
SELECT * FROM signals_each('{}');
SELECT s -> NULL IS NULL AS strict FROM one;

-- 8. Changing
SELECT '{"a":1,"fuel_l":2}'::signals || '{"fuel_l":3,"b":true,"battery_percent":4}';
SELECT '{}'::signals || '{}', '{"a":1}'::signals || '{}', '{}'::signals || '{"a":1}';
SELECT s - 'charging', s - 'nothing', s - '{foo,trip_id,NULL,nothing}'::text[], s - '{}'::text[] = s AS same FROM one;
SELECT s @> '{"charging":false}' AS yes, s @> '{"charging":true}' AS other_value, s @> '{"bar":1}' AS absent, s @> '{}' AS empty, '{"foo":1.5}' <@ s AS commuted, s <@ s AS itself FROM one;
SELECT count(*) AS wrong FROM map a JOIN map b ON b.id = a.id % 50 AND a.s IS NOT NULL
WHERE (a.s || b.s)::jsonb <> a.s::jsonb || b.s::jsonb OR NOT (a.s || b.s) @> b.s OR (a.s @> b.s) <> (a.s::jsonb @> b.s::jsonb);

-- 9. Equality, order, hash
SELECT '{"a":1,"b":2}'::signals = '{"b":2.0,"a":1e0}' AS equal, '{"a":1}'::signals = '{"a":true}' AS kinds_differ, '{"a":"1"}'::signals <> '{"a":1}' AS differs, '{"a":0}'::signals = '{"a":-0.0}' AS zero;
SELECT count(*) AS wrong FROM map a, map b
WHERE a.id < 60 AND b.id < 60 AND ((a.s < b.s)::int + (a.s = b.s)::int + (a.s > b.s)::int <> 1 OR (a.s <= b.s) <> NOT (a.s > b.s) OR (a.s >= b.s) <> NOT (a.s < b.s));
SELECT count(*), count(DISTINCT s) FROM (SELECT s FROM map UNION ALL SELECT s FROM copied) x;
SELECT count(*) FROM (SELECT s FROM map INTERSECT SELECT s FROM copied) x;
CREATE INDEX ON map USING hash (s);
SET enable_seqscan = off;
SELECT id FROM map WHERE s = '{}';
RESET enable_seqscan;
SELECT signals_hash('{"a":1,"b":2}') = signals_hash('{"b":2,"a":1}') AND signals_hash_extended('{"a":1}', 1) <> signals_hash_extended('{"a":1}', 2) AS hashes;

-- 10. Toasted, compressed or short on disk, it reads the same
CREATE TEMP TABLE big AS SELECT ('{' || string_agg('"s' || i || '":"' || md5(i::text) || '"', ',') || '}')::signals AS s FROM generate_series(1, 500) i;
SELECT signals_count(s), s ->> 's500' = md5('500') AS right_value, (SELECT count(*) FROM signals_each(s)) AS rows FROM big;

-- 11. The dictionary: numbers are dense and for ever
SELECT count(*) = max(id) AND min(id) = 1 AS dense, count(DISTINCT name) = count(*) AS names_once FROM signal;
SELECT id, name, unit, kind, min, max, vss_path FROM signal ORDER BY id;
SELECT name FROM signal WHERE name !~ '^[A-Za-z_][A-Za-z0-9_]{0,62}$' OR min > max OR (kind = 'number') <> (min IS NOT NULL) OR description IS NULL;
-- every name is found under its own number and comes back
SELECT count(*) AS wrong FROM signal WHERE (SELECT array_agg(k) FROM signals_keys(('{"' || name || '":1}')::signals) k) IS DISTINCT FROM ARRAY[name] OR pg_column_size(('{"' || name || '":1}')::signals) <> 11;

-- 12. The catalog: valid operator classes, nothing without a comment, functions declared as promised
SELECT am.amname, opc.opcname, amvalidate(opc.oid)
FROM pg_opclass opc JOIN pg_am am ON am.oid = opc.opcmethod
WHERE opc.opcintype = 'fleet.signals'::regtype ORDER BY 1;
SELECT p.oid::regprocedure AS function_amiss, p.provolatile, p.proisstrict, p.proparallel
FROM pg_proc p
WHERE p.pronamespace = 'fleet'::regnamespace
  AND ('fleet.signals'::regtype = ANY (p.proargtypes) OR p.prorettype = 'fleet.signals'::regtype)
  AND p.proname !~ '_from_parts$'
  AND (p.proname ~ '^(signals|latitude|longitude|distance_m|bearing|geometry|geography)')
  AND (p.provolatile <> 'i' OR NOT p.proisstrict OR p.proparallel <> 's');
SELECT pg_describe_object(d.classid, d.objid, 0) AS without_comment
FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
WHERE e.extname = 'fleet' AND d.deptype = 'e'
  AND d.classid IN ('pg_type'::regclass, 'pg_proc'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass, 'pg_cast'::regclass)
  AND pg_describe_object(d.classid, d.objid, 0) ~ 'signals'
  AND pg_describe_object(d.classid, d.objid, 0) !~ '^type .*\[\]$'
  AND obj_description(d.objid, d.classid::regclass::text) IS NULL;
