-- Type geohash, see docs/types.md.
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
\set file :builddir '/geohash.bin'
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

-- 1. Text form
SELECT v::geohash, geohash_precision(v::geohash) FROM (VALUES ('u'), ('0'), ('z'), ('u0yjje'), ('U0YJJE'), ('u4pruydqqvj8'), ('000000000000'), ('zzzzzzzzzzzz')) AS x(v);

-- 2. Refused, with code and position
SELECT v AS input, r.* FROM (VALUES
    (''), ('u0yjjeu0yjjeu'), ('a'), ('u0i'), ('lu'), ('u0o1'), ('u0 y'), (' u0y'), ('u0y '), ('u0-'), ('ü0y'), ('u0ü')
) AS x(v), pg_temp.try_in('geohash', v) r;
SELECT r.detail FROM pg_temp.try_in('geohash', repeat('u', 70000)) r;

-- 3. Binary form: 60 bits, then the length
SELECT geohash_send('u'), geohash_send('u4pruydqqvj8'), geohash_send('0');
SELECT v AS input, r.* FROM (VALUES
    (geohash_send('u0yjje')), ('\x'), ('\xd0000000000000'), ('\xd00000000000000100'),
    ('\xd000000000000000'), ('\xd00000000000000d'), ('\xd00000000000000f'), ('\xd400000000000001'), ('\xd000000000000011'), ('\xffffffffffffffff')
) AS x(v), pg_temp.try_recv('geohash', v) r;

-- 4. Of a position; agrees with PostGIS
SELECT geohash('(57.64911,10.40744)', 11), geohash('(57.64911,10.40744)'::geopoint) AS zone, geohash('(90,180)', 12), geohash('(-90,-180)', 12), geohash('(0,0)', 12);
SELECT geohash('(0,0)', 0);
SELECT geohash('(0,0)', 13);
CREATE TEMP TABLE sample AS
    SELECT i, geopoint(-90 + (i * 7919 % 100003) * 180.0 / 100003, -180 + (i * 104729 % 100003) * 360.0 / 100003) AS p, 1 + i % 12 AS n
    FROM generate_series(1, 3000) i;
SELECT count(*) AS differ_from_postgis FROM sample WHERE geohash(p, n)::text <> ST_GeoHash(p::geometry, n);
SELECT count(*) AS differ_from_postgis FROM sample
WHERE NOT ST_Equals(geohash(p, n)::geometry, ST_SetSRID(ST_GeomFromGeoHash(geohash(p, n)::text), 4326));

-- 5. Edges, centre, geometry
SELECT geohash_south('u0y'), geohash_west('u0y'), geohash_north('u0y'), geohash_east('u0y'), geohash_centre('u0y');
SELECT ST_AsEWKT('u0y'::geohash::geometry);
SELECT ST_AsEWKT('z'::geohash::geometry);
SELECT count(*) AS centre_outside FROM sample WHERE NOT geohash(p, n) @> geohash_centre(geohash(p, n));

-- 6. Relatives
SELECT geohash_parent('u0yjje'), geohash_parent('u') IS NULL AS none, geohash_parent('u0yjje', 2), geohash_parent('u0yjje', 6);
SELECT geohash_parent('u0y', 4);
SELECT geohash_parent('u0y', 0);
SELECT geohash_children('u0');
SELECT geohash_children('u4pruydqqvj8');
SELECT geohash_neighbours('u0y'), geohash_neighbours('z') AS at_the_north_pole, geohash_neighbours('000000000000') AS at_the_south_pole;
SELECT geohash_neighbour('u0y', 1, 0) AS east, geohash_neighbour('z', 1, 0) AS round_the_earth, geohash_neighbour('z', 0, 1) AS beyond_the_pole,
       geohash_neighbour('u', -2147483648, 0) AS far_west, geohash_neighbour('u', 0, -2147483648) AS far_south, geohash_neighbour('u', 8, 0) AS once_round;
SELECT count(*) AS not_touching FROM sample, unnest(geohash_neighbours(geohash(p, n))) c
WHERE n BETWEEN 2 AND 8 AND abs(longitude(p)) < 90 AND abs(latitude(p)) < 60 AND NOT ST_Touches(c::geometry, geohash(p, n)::geometry);

-- 7. Containment
SELECT 'u0'::geohash @> 'u0y'::geohash AS inner_cell, 'u0'::geohash @> 'u0'::geohash AS itself, 'u0y'::geohash @> 'u0'::geohash AS outer_cell,
       'u0y'::geohash <@ 'u'::geohash AS is_in, 'u0'::geohash @> 'u1y'::geohash AS another;
SELECT 'u0'::geohash @> '(50,8)'::geopoint AS holds, '(50,8)'::geopoint <@ 'u0'::geohash AS is_in, 'u1'::geohash @> '(50,8)'::geopoint AS another;
SELECT geohash('(0,0)', 1) @> '(0,0)'::geopoint AS own_corner, '7'::geohash @> '(0,0)'::geopoint AS corner_of_another;
SELECT count(*) AS wrong FROM sample a, sample b
WHERE b.i <= 100 AND (geohash(b.p, 3) @> a.p) <> starts_with(geohash(a.p, 12)::text, geohash(b.p, 3)::text);

-- 8. Order: the cells inside a cell follow it, so they are a range of an index
SELECT c FROM unnest('{u1,u0y,u,u0,u0z,u0yjje,t,zzzzzzzzzzzz}'::geohash[]) c ORDER BY c;
SELECT geohash_last('u0y'), geohash_last('zzzzzzzzzzzz');
SELECT 'u0'::geohash = 'U0', 'u0'::geohash <> 'u00', 'u0'::geohash < 'u00', 'z'::geohash > '0', 'u0'::geohash <= 'u0', 'u0'::geohash >= 'u1';
CREATE TEMP TABLE cell AS SELECT geohash(p, 12) AS c FROM sample;
CREATE INDEX cell_c_idx ON cell (c);
ANALYZE cell;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM cell WHERE c <@ 'u'::geohash;
EXPLAIN (COSTS OFF) SELECT count(*) FROM cell WHERE 'u0'::geohash @> c;
SELECT (SELECT count(*) FROM cell WHERE c <@ 'u'::geohash) AS by_index, (SELECT count(*) FROM cell WHERE 'u'::geohash @> c) AS commuted,
       (SELECT count(*) FROM cell WHERE c::text LIKE 'u%') AS by_text;
EXPLAIN (COSTS OFF) SELECT count(*) FROM cell WHERE c @> 'u0'::geohash;     -- no range
RESET enable_seqscan;
RESET enable_bitmapscan;
CREATE INDEX ON cell USING hash (c);
SELECT count(DISTINCT c) = count(DISTINCT c::text) FROM cell;
SELECT geohash_hash('u') = geohash_hash('U') AND geohash_hash('u') <> geohash_hash('u0')
   AND geohash_hash_extended('u', 1) <> geohash_hash_extended('u', 2) AS hashes;
COPY cell TO :'file' (FORMAT binary);
CREATE TEMP TABLE copied (LIKE cell);
COPY copied FROM :'file' (FORMAT binary);
SELECT count(*) FROM (SELECT c FROM cell EXCEPT ALL SELECT c FROM copied) x;
SELECT count(*) AS differ FROM cell WHERE c::text::geohash <> c;

-- 9. The catalog: valid operator classes, nothing without a comment, functions declared as promised
SELECT am.amname, opc.opcname, amvalidate(opc.oid)
FROM pg_opclass opc JOIN pg_am am ON am.oid = opc.opcmethod
WHERE opc.opcintype = 'fleet.geohash'::regtype ORDER BY 1;
SELECT p.oid::regprocedure AS function_amiss, p.provolatile, p.proisstrict, p.proparallel
FROM pg_proc p
WHERE p.pronamespace = 'fleet'::regnamespace
  AND ('fleet.geohash'::regtype = ANY (p.proargtypes) OR p.prorettype = 'fleet.geohash'::regtype)
  AND p.proname !~ '_from_parts$'
  AND (p.proname ~ '^(geohash|latitude|longitude|distance_m|bearing|geometry|geography)')
  AND (p.provolatile <> 'i' OR NOT p.proisstrict OR p.proparallel <> 's');
SELECT pg_describe_object(d.classid, d.objid, 0) AS without_comment
FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
WHERE e.extname = 'fleet' AND d.deptype = 'e'
  AND d.classid IN ('pg_type'::regclass, 'pg_proc'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass, 'pg_cast'::regclass)
  AND pg_describe_object(d.classid, d.objid, 0) ~ 'geohash'
  AND pg_describe_object(d.classid, d.objid, 0) !~ '^type .*\[\]$'
  AND obj_description(d.objid, d.classid::regclass::text) IS NULL;
