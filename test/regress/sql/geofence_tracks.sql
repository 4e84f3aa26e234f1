--
-- What happens to random tracks is what PostGIS says of their points and lines.
--
SET search_path = fleet, public;
SET timezone = 'UTC';
SELECT setseed(0.31) \g /dev/null
INSERT INTO fleet.tenant (tenant_id, name, auto_register) VALUES (120, 'tracks', true);
SELECT source_id FROM fleet.create_source(120, 'test') \gset
-- large and small fences of all forms, some with holes
INSERT INTO fleet.geofence (tenant_id, name, area, alert_on)
    SELECT 120, 'f' || i, CASE WHEN i % 5 = 0 THEN ST_Difference(b.area, ST_Buffer(ST_Centroid(b.area), r / 3, 2)) ELSE b.area END, '{enter,cross}'
      FROM (SELECT i, 0.002 + 0.05 * random() ^ 4 AS r, ST_SetSRID(ST_Point(24 + 0.4 * random(), 60 + 0.3 * random()), 4326) AS p, 1 + (7 * random())::integer AS q
              FROM generate_series(1, 400) i) s, LATERAL (SELECT ST_Buffer(p, r, q) AS area) b;
-- 500 vehicles, 8 fixes each, short and long steps
CREATE TEMP TABLE fix AS
    SELECT 'v' || v AS device, n, date_trunc('minute', now()) - interval '2 hours' + n * interval '1 minute' AS event_time,
           24 + 0.4 * (0.5 + 0.5 * sin(v) + (0.02 + (v % 5) * 0.1) * (random() - 0.5)) AS lon,
           60 + 0.3 * (0.5 + 0.5 * cos(v * 1.7) + (0.02 + (v % 5) * 0.1) * (random() - 0.5)) AS lat
      FROM generate_series(1, 500) v, generate_series(1, 8) n;
-- the first half in one batch, the rest fix by fix
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude) SELECT :source_id, device, event_time, lat, lon FROM fix WHERE n <= 4 ORDER BY random();
SELECT received, accepted FROM last_batch();
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude) SELECT :source_id, device, event_time, lat, lon FROM fix WHERE n = 5;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude) SELECT :source_id, device, event_time, lat, lon FROM fix WHERE n = 6;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude) SELECT :source_id, device, event_time, lat, lon FROM fix WHERE n = 7;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude) SELECT :source_id, device, event_time, lat, lon FROM fix WHERE n = 8;

CREATE TEMP TABLE step AS
    SELECT v.vehicle_id, f.n, f.event_time, geopoint(f.lat, f.lon)::geometry AS here,
           lag(geopoint(f.lat, f.lon)::geometry) OVER (PARTITION BY device ORDER BY n) AS there
      FROM fix f JOIN fleet.vehicle v ON v.tenant_id = 120 AND v.name = f.device;
CREATE TEMP TABLE said AS
    SELECT s.vehicle_id, s.event_time, g.geofence_id,
           CASE WHEN inside AND NOT coalesce(was_inside, false) THEN 'enter' WHEN was_inside AND NOT inside THEN 'exit'
                WHEN NOT inside AND NOT was_inside AND ST_Intersects(g.area, ST_MakeLine(there, here)) THEN 'cross' END AS kind
      FROM step s JOIN fleet.geofence g ON g.tenant_id = 120 AND g.area && ST_MakeLine(coalesce(there, here), here),
           LATERAL (SELECT ST_Covers(g.area, here) AS inside, ST_Covers(g.area, there) AS was_inside) c;
CREATE TEMP TABLE happened AS
    SELECT vehicle_id, entered_at AS event_time, geofence_id, 'enter' AS kind FROM fleet.geofence_visit WHERE tenant_id = 120
    UNION ALL SELECT vehicle_id, exited_at, geofence_id, 'exit' FROM fleet.geofence_visit WHERE tenant_id = 120 AND exited_at IS NOT NULL
    UNION ALL SELECT vehicle_id, event_time, geofence_id, kind FROM fleet.alert WHERE tenant_id = 120 AND kind = 'cross';
SELECT kind, count(*) > 200 AS many FROM said WHERE kind IS NOT NULL GROUP BY kind ORDER BY kind;
SELECT coalesce(s.kind, h.kind) AS kind, count(*) FILTER (WHERE h.kind IS NULL) AS missed, count(*) FILTER (WHERE s.kind IS NULL) AS invented
  FROM (SELECT * FROM said WHERE kind IS NOT NULL) s FULL JOIN happened h USING (vehicle_id, event_time, geofence_id, kind) GROUP BY 1 ORDER BY 1;
-- an enter alert is open exactly while the visit is, a cross alert never
SELECT count(*) AS differences FROM (SELECT * FROM fleet.alert WHERE tenant_id = 120 AND kind = 'enter') a
  FULL JOIN (SELECT * FROM fleet.geofence_visit WHERE tenant_id = 120) v
       ON a.vehicle_id = v.vehicle_id AND a.geofence_id = v.geofence_id AND a.event_time = v.entered_at AND a.cleared_event_time IS NOT DISTINCT FROM v.exited_at
 WHERE a.alert_id IS NULL OR v.visit_id IS NULL;
SELECT count(*) FROM fleet.alert WHERE tenant_id = 120 AND kind = 'cross' AND cleared_event_time IS DISTINCT FROM event_time;
DELETE FROM fleet.geofence WHERE tenant_id = 120;
SELECT count(*) FROM fleet.geofence_visit WHERE tenant_id = 120 AND exited_at IS NULL;
