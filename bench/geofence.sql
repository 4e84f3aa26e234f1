-- bench/geofence.sql: fixes a second against 10,000 geofences, in one backend.
--
--   psql -X -f bench/geofence.sql DATABASE
--
-- A city of 50 by 50 km with 1,000 large fences that overlap (1 to 6 km
-- radius, 12 to 200 corners) and 9,000 small ones (50 to 300 m, 4 to 40
-- corners, every tenth with a hole).  Half of the fixes are anywhere, half
-- within 500 m of a small fence.  Everything happens in one transaction that
-- is rolled back.
\set QUIET on
\pset footer off
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL max_parallel_workers_per_gather = 0;
SET LOCAL jit = off;
SELECT setseed(0.42) \g /dev/null
INSERT INTO fleet.tenant (name) VALUES ('bench geofence ' || gen_random_uuid()) RETURNING tenant_id \gset

CREATE FUNCTION pg_temp.ring(cx float8, cy float8, radius_m float8, corners integer) RETURNS geometry
    LANGUAGE sql VOLATILE AS $$
    SELECT ST_SetSRID(ST_MakePolygon(ST_AddPoint(line, ST_StartPoint(line))), 4326)
      FROM (SELECT ST_MakeLine(ARRAY(
                SELECT ST_Point(cx + r * cos(2 * pi() * i / corners) / (111195 * cos(radians(cy))), cy + r * sin(2 * pi() * i / corners) / 111195)
                  FROM (SELECT i, radius_m * (0.8 + 0.2 * random()) AS r FROM generate_series(0, corners - 1) i OFFSET 0) s
                 ORDER BY i)) AS line) l
$$;
CREATE TEMP TABLE bench_fence AS
    SELECT n, 8.35 + 0.70 * random() AS cx, 49.9 + 0.45 * random() AS cy,
           CASE WHEN n <= 1000 THEN 1000 + 5000 * random() ELSE 50 + 250 * random() END AS radius_m,
           CASE WHEN n <= 1000 THEN 12 + (188 * random())::integer ELSE 4 + (36 * random())::integer END AS corners
      FROM generate_series(1, 10000) n;
INSERT INTO fleet.geofence (tenant_id, name, area)
    SELECT :tenant_id, 'fence ' || n,
           CASE WHEN n > 1000 AND n % 10 = 0
                THEN ST_Difference(pg_temp.ring(cx, cy, radius_m, corners), pg_temp.ring(cx, cy, radius_m / 3, 8))
                ELSE pg_temp.ring(cx, cy, radius_m, corners) END
      FROM bench_fence;
CREATE TEMP TABLE bench_fix AS
    SELECT array_agg(fleet.geopoint(lat, lon)) AS locations
      FROM (SELECT 49.9 + 0.45 * random() AS lat, 8.35 + 0.70 * random() AS lon FROM generate_series(1, 500000)
            UNION ALL
            SELECT cy + 0.009 * (random() - 0.5), cx + 0.014 * (random() - 0.5)
              FROM generate_series(1, 500000) i JOIN bench_fence f ON f.n = 1001 + i % 9000) s;
SELECT sum(ST_NPoints(area)) AS corners FROM fleet.geofence WHERE tenant_id = :tenant_id \gset

SELECT clock_timestamp() AS start \gset
SELECT fleet.geofences_at(:tenant_id, fleet.geopoint(0, 0)) \g /dev/null
SELECT round(1000 * extract(epoch FROM clock_timestamp() - :'start')) AS load_ms, clock_timestamp() AS start \gset
SELECT sum(fixes) AS pairs FROM fleet.geofence_counts(:tenant_id, (SELECT locations FROM bench_fix)) \gset
SELECT clock_timestamp() AS start \gset
SELECT sum(fixes) AS pairs FROM fleet.geofence_counts(:tenant_id, (SELECT locations FROM bench_fix)) \gset
SELECT extract(epoch FROM clock_timestamp() - :'start') AS seconds, clock_timestamp() AS start \gset
SELECT sum(cardinality(fleet.geofences_at(:tenant_id, l))) AS pairs_too FROM bench_fix, unnest(locations) l \gset
SELECT extract(epoch FROM clock_timestamp() - :'start') AS call_seconds \gset
SELECT 10000 AS fences, :corners AS corners, :load_ms AS "load, ms", round(:pairs / 1e6, 1) AS "fences per fix",
       round(1e6 / :seconds) AS "fixes/s, geofence_counts", round(1e6 / :call_seconds) AS "fixes/s, geofences_at per row";
ROLLBACK;
