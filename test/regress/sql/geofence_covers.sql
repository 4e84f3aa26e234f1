--
-- The in-memory index answers what ST_Covers answers, for thousands of
-- polygons with holes and points inside, outside, on borders and on vertices.
--
SET search_path = fleet, public;
SELECT setseed(0.4711);
CREATE TEMP TABLE place (tenant_id integer, lon float8, lat float8, size float8);
-- a city, the world, the corner of all axes, one street
INSERT INTO place VALUES (101, 8.68, 50.11, 0.2), (102, 0, 0, 60), (103, 0, 0, 0.001), (104, -97.75, 30.27, 0.002);
INSERT INTO fleet.tenant (tenant_id, name) SELECT tenant_id, 'covers ' || tenant_id FROM place;

-- 1. Stars: random radii around a centre, so always simple, with a hole or two of the same
--    form; some vertices are rounded to the grid of geopoint, so that points can hit them.
CREATE FUNCTION pg_temp.ring(cx float8, cy float8, radius float8, corners integer, digits integer) RETURNS geometry
    LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    points geometry[] := '{}';
    r float8;
    a float8;
BEGIN
    FOR i IN 0 .. corners - 1 LOOP
        r := radius * (0.4 + 0.6 * random());
        a := 2 * pi() * i / corners;
        points := points || CASE WHEN digits = 0 THEN ST_Point(cx + r * cos(a), cy + r * sin(a))
            ELSE ST_Point(round((cx + r * cos(a))::numeric, digits), round((cy + r * sin(a))::numeric, digits)) END;
    END LOOP;
    RETURN ST_MakePolygon(ST_MakeLine(points || points[1]));
END $$;
CREATE TEMP TABLE star AS
    SELECT p.tenant_id, n, pg_temp.ring(cx, cy, s.size, (3 + 40 * random() ^ 3)::integer, digits) AS outer_ring,
           pg_temp.ring(cx, cy, s.size * 0.3, (3 + 10 * random())::integer, digits) AS hole,
           pg_temp.ring(cx + 3 * s.size, cy + s.size, s.size, 5, digits) AS second_part
      FROM place p, generate_series(1, 1000) n,
           LATERAL (SELECT CASE n % 4 WHEN 0 THEN 7 WHEN 1 THEN (CASE WHEN p.size < 0.01 THEN 6 ELSE 5 END) ELSE 0 END AS digits,
                           p.lon + (random() - 0.5) * p.size AS cx, p.lat + (random() - 0.5) * p.size AS cy,
                           p.size * (CASE WHEN n % 10 = 0 THEN 0.5 ELSE 0.05 END) * (0.1 + random()) AS size) s;
INSERT INTO fleet.geofence (tenant_id, name, area)
    SELECT tenant_id, 'star ' || n, ST_SetSRID(area, 4326)
      FROM (SELECT tenant_id, n, CASE n % 3
                   WHEN 0 THEN outer_ring
                   WHEN 1 THEN ST_Difference(outer_ring, hole)
                   ELSE ST_Union(ST_Difference(outer_ring, hole), second_part) END AS area
              FROM star WHERE 'Valid Geometry' = ALL (ARRAY[ST_IsValidReason(outer_ring), ST_IsValidReason(hole), ST_IsValidReason(second_part)])) s
     WHERE ST_IsValidReason(area) = 'Valid Geometry' AND NOT ST_IsEmpty(area)
       AND ST_GeometryType(area) IN ('ST_Polygon', 'ST_MultiPolygon')
       AND abs(ST_YMin(area)) <= 90 AND abs(ST_YMax(area)) <= 90 AND abs(ST_XMin(area)) <= 180 AND abs(ST_XMax(area)) <= 180;
SELECT count(*) > 3900 AS thousands, bool_or(ST_NumInteriorRings(area) > 0) AS with_holes,
       bool_or(ST_NumGeometries(area) > 1) AS with_parts, max(ST_NPoints(area)) > 40 AS with_many_corners
  FROM fleet.geofence WHERE tenant_id BETWEEN 101 AND 104;

-- 2. Points: anywhere, near borders, on vertices, between vertices
CREATE TEMP TABLE probe (tenant_id integer, kind text, location geopoint);
INSERT INTO probe
    SELECT tenant_id, 'anywhere', geopoint(least(lat + (random() - 0.5) * 1.3 * size, 90), lon + (random() - 0.5) * 1.3 * size)
      FROM place, generate_series(1, 2000);
CREATE TEMP TABLE corner AS
    SELECT tenant_id, geofence_id, d.path, d.geom
      FROM fleet.geofence, ST_DumpPoints(area) d WHERE tenant_id BETWEEN 101 AND 104;
INSERT INTO probe SELECT tenant_id, 'vertex', geopoint(ST_Y(geom), ST_X(geom)) FROM corner WHERE random() < 0.05;
INSERT INTO probe
    SELECT tenant_id, 'edge', geopoint(ST_Y(geom) + t * (ST_Y(next) - ST_Y(geom)), ST_X(geom) + t * (ST_X(next) - ST_X(geom)))
      FROM (SELECT *, lead(geom) OVER (PARTITION BY geofence_id ORDER BY path) AS next,
                   (ARRAY[0.5, 0.25, random()])[1 + floor(3 * random())::integer] AS t FROM corner) c
     WHERE next IS NOT NULL AND random() < 0.05;
INSERT INTO probe
    SELECT tenant_id, 'level with a vertex', geopoint(ST_Y(geom), ST_X(geom) + (random() - 0.5) * 1e-4) FROM corner WHERE random() < 0.02;
INSERT INTO probe
    SELECT p.tenant_id, 'beside an edge', geopoint(latitude(location) + (random() - 0.5) * d, longitude(location) + (random() - 0.5) * d)
      FROM probe p, unnest(ARRAY[1e-6, 1e-5, 1e-3]) d WHERE kind = 'edge';
SELECT kind, count(*) > 1000 AS many FROM probe GROUP BY kind ORDER BY kind;

-- 3. The same pairs, nothing more and nothing less
CREATE TEMP TABLE expected AS
    SELECT p.kind, p.location, f.geofence_id
      FROM (SELECT DISTINCT ON (tenant_id, location) * FROM probe ORDER BY tenant_id, location, kind) p
      JOIN fleet.geofence f ON f.tenant_id = p.tenant_id AND ST_Covers(f.area, p.location::geometry);
CREATE TEMP TABLE found AS
    SELECT p.kind, p.location, unnest(geofences_at(p.tenant_id, p.location)) AS geofence_id
      FROM (SELECT DISTINCT ON (tenant_id, location) * FROM probe ORDER BY tenant_id, location, kind) p;
SELECT count(*) > 50000 AS many_pairs FROM expected;
SELECT e.geofence_id AS expected, f.geofence_id AS found, kind, location
  FROM expected e FULL JOIN found f USING (kind, location, geofence_id)
 WHERE e.geofence_id IS NULL OR f.geofence_id IS NULL
 ORDER BY kind, location, e.geofence_id, f.geofence_id LIMIT 10;

-- 4. Exactly on the border
INSERT INTO fleet.geofence (tenant_id, name, area) VALUES
    (101, 'square', 'SRID=4326;POLYGON((20 10, 30 10, 30 20, 20 20, 20 10), (24 14, 26 14, 26 16, 24 16, 24 14))'),
    (101, 'diamond', 'SRID=4326;POLYGON((45 10, 50 15, 45 20, 40 15, 45 10))'),
    (101, 'two touching', 'SRID=4326;MULTIPOLYGON(((60 10, 61 10, 61 11, 60 11, 60 10)), ((61 11, 62 11, 62 12, 61 12, 61 11)))');
SELECT f.name, p.location, geofences_at(101, p.location) = ARRAY[f.geofence_id] AS covered, ST_Covers(area, p.location::geometry)
  FROM fleet.geofence f,
       unnest(ARRAY[geopoint(10, 20), geopoint(10, 30), geopoint(15, 30), geopoint(20, 25), geopoint(15, 20), geopoint(14, 24), geopoint(15, 24),
                    geopoint(15, 25), geopoint(16, 26), geopoint(15, 23.9999999), geopoint(15, 24.0000001), geopoint(20, 30.0000001),
                    geopoint(10, 45), geopoint(15, 40), geopoint(12.5, 47.5), geopoint(12.5, 47.5000001), geopoint(12.5, 47.4999999), geopoint(17.1234567, 42.1234567),
                    geopoint(11, 61), geopoint(10.5, 61), geopoint(11.5, 60.9999999)]) p(location)
 WHERE f.tenant_id = 101 AND f.name IN ('square', 'diamond', 'two touching') AND ST_Expand(area, 0.5) && p.location::geometry
 ORDER BY f.geofence_id, p.location;

-- 5. Ends of the world
INSERT INTO fleet.geofence (tenant_id, name, area) VALUES
    (103, 'all', ST_MakeEnvelope(-180, -90, 180, 90, 4326)),
    (103, 'north pole', ST_MakeEnvelope(-180, 89, 180, 90, 4326)),
    (103, 'antimeridian', 'SRID=4326;MULTIPOLYGON(((170 -10, 180 -10, 180 10, 170 10, 170 -10)), ((-180 -10, -170 -10, -170 10, -180 10, -180 -10)))');
SELECT p.location, ARRAY(SELECT name FROM fleet.geofence WHERE geofence_id = ANY (geofences_at(103, p.location)) ORDER BY name) AS fences
  FROM unnest(ARRAY[geopoint(90, 0), geopoint(-90, 180), geopoint(0, 180), geopoint(0, -180), geopoint(89, -180), geopoint(90, 180), geopoint(5, 175), geopoint(5, -169.9999999)]) p(location);

-- 6. Counting many positions at once gives the same
SELECT count(*) FILTER (WHERE c.fixes IS DISTINCT FROM e.fixes) AS differences
  FROM geofence_counts(102, ARRAY(SELECT location FROM probe WHERE tenant_id = 102)) c
  FULL JOIN (SELECT f.geofence_id, count(*) AS fixes FROM probe p, unnest(geofences_at(102, p.location)) f(geofence_id)
              WHERE p.tenant_id = 102 GROUP BY 1) e USING (geofence_id);

-- 7. A huge polygon: 100,000 vertices
INSERT INTO fleet.geofence (tenant_id, name, area)
    SELECT 104, 'huge', ST_MakePolygon(ST_MakeLine(ARRAY(
        SELECT ST_SetSRID(ST_Point(10 + (2 + sin(20 * a)) * cos(a), 50 + (2 + sin(20 * a)) * sin(a)), 4326)
          FROM (SELECT i, 2 * pi() * (i % 100000) / 100000 AS a FROM generate_series(0, 100000) i) s)));
SELECT ST_NPoints(area) FROM fleet.geofence WHERE tenant_id = 104 AND name = 'huge';
SELECT count(*) FILTER (WHERE ST_Covers(area, location::geometry)) > 500 AS many_inside,
       count(*) FILTER (WHERE ST_Covers(area, location::geometry) <> (geofence_id = ANY (geofences_at(104, location)))) AS differences
  FROM fleet.geofence, (SELECT geopoint(50 + (random() - 0.5) * 6, 10 + (random() - 0.5) * 6) AS location FROM generate_series(1, 2000)) p
 WHERE tenant_id = 104 AND name = 'huge';

DELETE FROM fleet.geofence WHERE tenant_id BETWEEN 101 AND 104;
SELECT geofences_at(102, geopoint(0, 0));
DELETE FROM fleet.tenant WHERE tenant_id BETWEEN 101 AND 104;
