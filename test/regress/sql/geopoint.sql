-- Type geopoint, see docs/types.md.
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
\set file :builddir '/geopoint.bin'
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

-- 1. Text form: (latitude,longitude), shortest exact
SELECT v::geopoint FROM (VALUES
    ('(50.1105,8.6821)'), ('(-33.8688,151.2093)'), ('(0,0)'), ('(90,180)'), ('(-90,-180)'),
    (' ( 50.1105 , 8.6821 ) '),             -- spaces
    ('(+1.5,-.5)'), ('(1.,5e-1)'), ('(0.0000001,-0.0000001)'),
    ('(1.00000004,1.00000006)'),            -- rounded to 1e-7
    ('(89.99999999,179.99999999)'),         -- rounded up to the edge
    ('(-0.0,-0)'), ('(1e-400,0)')
) AS x(v);

-- 2. Refused, with code and position
SELECT v AS input, r.* FROM (VALUES
    (''), ('50,8'), ('(50,8'), ('(50 8)'), ('(50,8))'), ('(50,8) x'), ('(,8)'), ('(50,)'), ('(5x,8)'), ('(50,8m)'),
    ('(NaN,8)'), ('(50,Infinity)'), ('(-inf,8)'), ('(0x10,8)'), ('(1e,8)'), ('(.,8)'), ('(--1,8)'),
    ('(90.0000001,8)'), ('(-91,8)'), ('(50,180.0000001)'), ('(50,-1e9)'), ('(1e400,8)'), ('(151.2093,-33.8688)'),
    ('(50,8,100)'), ('(50°,8)')
) AS x(v), pg_temp.try_in('geopoint', v) r;
SELECT '(151.2093,-33.8688)'::geopoint;  -- and a hint
SELECT (r).result, length((r).detail) FROM (SELECT pg_temp.try_in('geopoint', '(' || repeat('1', 70000) || ',2)') AS r) x;

-- 3. Binary form
SELECT geopoint_send('(50.1105,8.6821)'), geopoint_send('(-90,-180)');
SELECT v AS input, r.* FROM (VALUES
    (geopoint_send('(-0.0000001,180)')),
    ('\x35a4e900'), ('\x'), ('\x35a4e9000000000000'),
    ('\x35a4e90100000000'), ('\xca5b16ff00000000'), ('\x000000006b49d201'), ('\x0000000094b62dff'),
    ('\x8000000080000000'), ('\x7fffffff7fffffff')
) AS x(v), pg_temp.try_recv('geopoint', v) r;
CREATE TEMP TABLE point (id int, p geopoint);
INSERT INTO point SELECT i, geopoint(-90 + 180 * (i / 200.0), -180 + 360 * (i / 200.0)) FROM generate_series(0, 200) i;
INSERT INTO point VALUES (201, NULL);
COPY point TO :'file' (FORMAT binary);
CREATE TEMP TABLE copied (LIKE point);
COPY copied FROM :'file' (FORMAT binary);
SELECT count(*) AS differ FROM point JOIN copied USING (id) WHERE point.p IS DISTINCT FROM copied.p;
SELECT count(*) AS differ FROM point WHERE p::text::geopoint IS DISTINCT FROM p;

-- 4. Constructor and accessors
SELECT geopoint(50.1105, 8.6821), latitude('(50.1105,8.6821)'), longitude('(50.1105,8.6821)');
SELECT geopoint(90.1, 0);
SELECT geopoint(0, 'NaN');
SELECT geopoint('infinity', 0);
SELECT geopoint(NULL, 1) IS NULL AS strict;
SELECT geopoint(-0.0, -1e-320);

-- 5. Distance and bearing
SELECT round(('(50.1105,8.6821)'::geopoint <-> '(52.52,13.405)')::numeric, 1) AS frankfurt_berlin_m;
SELECT '(10,20)'::geopoint <-> '(10,20)' AS same, round(('(0,0)'::geopoint <-> '(0,180)')::numeric, 1) AS antipodes,
       round(('(90,0)'::geopoint <-> '(-90,77)')::numeric, 1) AS poles,
       round(('(0,179.9999999)'::geopoint <-> '(0,-179.9999999)')::numeric, 4) AS across_the_date_line,
       round(('(50,8)'::geopoint <-> '(50.0000001,8)')::numeric, 4) AS one_unit;
-- the sphere that PostGIS uses is the same
SELECT count(*) AS far_from_postgis
FROM point a JOIN point b ON b.id = (a.id * 7 + 3) % 201
WHERE abs((a.p <-> b.p) - ST_DistanceSphere(a.p::geometry, b.p::geometry)) > 1;
SELECT bearing('(0,0)', '(1,0)') AS north, bearing('(0,0)', '(0,1)') AS east, bearing('(1,0)', '(0,0)') AS south,
       bearing('(0,1)', '(0,0)') AS west, bearing('(0,0)', '(0,0)') AS nowhere, bearing('(0,179)', '(0,-179)') AS over_the_line;
SELECT count(*) AS out_of_range FROM point a, point b WHERE NOT bearing(a.p, b.p) BETWEEN 0 AND 359.9999999999999999;
SELECT count(*) AS far_from_postgis
FROM point a JOIN point b ON b.id = (a.id * 7 + 3) % 201
WHERE a.p <> b.p AND a.p <-> b.p < 15000000 AND abs(latitude(a.p)) < 89 AND abs(latitude(b.p)) < 89
  AND abs(sin(radians(bearing(a.p, b.p)) - ST_Azimuth(a.p::geography, b.p::geography))) > 0.01;

-- 6. Casts to and from PostGIS
SELECT ST_AsEWKT('(50.1105,8.6821)'::geopoint::geometry), ST_AsText('(50.1105,8.6821)'::geopoint::geography);
SELECT ST_SetSRID(ST_MakePoint(8.6821, 50.1105), 4326)::geopoint, ST_MakePoint(8.6821, 50.1105)::geography::geopoint;
SELECT ST_GeomFromEWKT('SRID=4326;POINT ZM (8 50 100 1)')::geopoint AS z_and_m_dropped;
SELECT count(*) AS differ FROM point WHERE p::geometry::geopoint <> p OR p::geography::geopoint <> p;
SELECT 'SRID=3857;POINT(1 2)'::geometry::geopoint;
SELECT 'POINT(1 2)'::geometry::geopoint;
SELECT 'SRID=4326;POINT EMPTY'::geometry::geopoint;
SELECT 'SRID=4326;LINESTRING(0 0,1 1)'::geometry::geopoint;
SELECT 'SRID=4326;MULTIPOINT(0 0)'::geometry::geopoint;
SELECT 'SRID=4326;POINT(181 2)'::geometry::geopoint;
SELECT ST_SetSRID(ST_MakePoint('NaN', 1), 4326)::geopoint;
SELECT ST_GeogFromText('LINESTRING(0 0,1 1)')::geopoint;
SELECT NULL::geometry::geopoint IS NULL AS strict;
-- assignment casts, so a column takes a geometry, but no function takes one for the other
INSERT INTO point VALUES (202, 'SRID=4326;POINT(8 50)'::geometry);
SELECT ST_X('(50,8)'::geopoint);
DELETE FROM point WHERE id > 200;

-- 7. Order, index, hash
SELECT p FROM (VALUES ('(1,2)'::geopoint), ('(1,-2)'), ('(-1,5)'), ('(1,1.9999999)')) x(p) ORDER BY p;
SELECT '(1,2)'::geopoint = '(1.0,2.00)', '(1,2)'::geopoint <> '(1,2)', '(1,2)'::geopoint < '(1,3)', '(1,2)'::geopoint <= '(0,9)',
       '(1,2)'::geopoint > '(1,-3)', '(1,2)'::geopoint >= '(1,2)', '(0,180)'::geopoint = '(0,-180)' AS folded;
CREATE INDEX ON point (p);
CREATE INDEX ON point USING hash (p);
SET enable_seqscan = off;
SELECT id FROM point WHERE p = '(0,0)';
SELECT count(*) FROM point WHERE p > '(0,0)';
RESET enable_seqscan;
SELECT count(*), count(DISTINCT p) FROM (SELECT p FROM point UNION ALL SELECT p FROM point) x;
SELECT geopoint_hash('(1,2)') = geopoint_hash('(1,2)') AND geopoint_hash('(1,2)') <> geopoint_hash('(2,1)')
   AND geopoint_hash_extended('(1,2)', 1) <> geopoint_hash_extended('(1,2)', 2) AS hashes;
-- a GiST index serves by way of the cast
CREATE INDEX ON point USING gist ((p::geometry));
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM point WHERE p::geometry && ST_MakeEnvelope(-1, -1, 1, 1, 4326);
RESET enable_seqscan;

-- 8. The catalog: valid operator classes, nothing without a comment, functions declared as promised
SELECT am.amname, opc.opcname, amvalidate(opc.oid)
FROM pg_opclass opc JOIN pg_am am ON am.oid = opc.opcmethod
WHERE opc.opcintype = 'fleet.geopoint'::regtype ORDER BY 1;
SELECT p.oid::regprocedure AS function_amiss, p.provolatile, p.proisstrict, p.proparallel
FROM pg_proc p
WHERE p.pronamespace = 'fleet'::regnamespace
  AND ('fleet.geopoint'::regtype = ANY (p.proargtypes) OR p.prorettype = 'fleet.geopoint'::regtype)
  AND p.proname !~ '_from_parts$'
  AND (p.proname ~ '^(geopoint|latitude|longitude|distance_m|bearing|geometry|geography)')
  AND (p.provolatile <> 'i' OR NOT p.proisstrict OR p.proparallel <> 's');
SELECT pg_describe_object(d.classid, d.objid, 0) AS without_comment
FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
WHERE e.extname = 'fleet' AND d.deptype = 'e'
  AND d.classid IN ('pg_type'::regclass, 'pg_proc'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass, 'pg_cast'::regclass)
  AND pg_describe_object(d.classid, d.objid, 0) ~ 'geopoint'
  AND pg_describe_object(d.classid, d.objid, 0) !~ '^type .*\[\]$'
  AND obj_description(d.objid, d.classid::regclass::text) IS NULL;
