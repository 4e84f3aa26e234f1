-- 60-history.sql: reading history and state.

CREATE VIEW fleet.telemetry WITH (security_invoker = true) AS
SELECT e.tenant_id, e.vehicle_id, v.name AS vehicle, v.vehicle_type, e.event_time, e.received_at,
       e.location, e.location::geometry(Point, 4326) AS position,
       fleet.geohash(e.location, 6) AS zone,
       e.altitude_m, e.accuracy_m, e.speed_kmh, e.heading_deg, e.signals, e.late, e.batch_id
  FROM fleet.event e JOIN fleet.vehicle v USING (vehicle_id);
COMMENT ON VIEW fleet.telemetry IS 'History as people query it: with the vehicle''s name and type, geometry and zone';
COMMENT ON COLUMN fleet.telemetry.position IS 'The location as PostGIS geometry';
COMMENT ON COLUMN fleet.telemetry.zone IS 'Geohash cell of precision 6, some 1.2 km by 0.6 km';

CREATE FUNCTION fleet.track(vehicle bigint, from_time timestamptz, to_time timestamptz) RETURNS geometry
    LANGUAGE sql STABLE STRICT PARALLEL RESTRICTED
    BEGIN ATOMIC
    -- M is the epoch in seconds; a track of one fix is a line that goes nowhere
    SELECT CASE WHEN count(*) = 0 THEN NULL
                WHEN count(*) = 1 THEN ST_SetSRID(ST_MakeLine(ARRAY[min(point), min(point)]), 4326)
                ELSE ST_SetSRID(ST_MakeLine(point ORDER BY event_time, digest), 4326) END
      FROM (SELECT e.event_time, e.digest,
                   ST_MakePointM(fleet.longitude(e.location), fleet.latitude(e.location),
                                 extract(epoch FROM e.event_time)::double precision) AS point
              FROM fleet.event e
             WHERE e.vehicle_id = vehicle AND e.event_time >= from_time AND e.event_time < to_time
               AND e.location IS NOT NULL) fixes;
    END;
COMMENT ON FUNCTION fleet.track(bigint, timestamptz, timestamptz) IS
    'The way of a vehicle between two times (the second excluded) as LineStringM in WGS 84, M is the epoch in seconds; null without a fix';

CREATE FUNCTION fleet.track(vehicle text, from_time timestamptz, to_time timestamptz, tenant_id integer DEFAULT fleet.session_tenant()) RETURNS geometry
    LANGUAGE sql STABLE STRICT PARALLEL RESTRICTED
    BEGIN ATOMIC
    SELECT fleet.track(v.vehicle_id, from_time, to_time) FROM fleet.vehicle v
     WHERE v.tenant_id = track.tenant_id AND v.name = vehicle;
    END;
COMMENT ON FUNCTION fleet.track(text, timestamptz, timestamptz, integer) IS 'The same by the name of the vehicle';

CREATE FUNCTION fleet.last_known(vehicle bigint)
    RETURNS TABLE (name text, value jsonb, unit text, event_time timestamptz)
    LANGUAGE sql STABLE STRICT PARALLEL RESTRICTED
    BEGIN ATOMIC
    SELECT c.name, c.value, c.unit, c.event_time
      FROM fleet.vehicle_state s
     CROSS JOIN LATERAL (VALUES
            (1, 'latitude', to_jsonb(fleet.latitude(s.location)), 'deg', s.location_time),
            (2, 'longitude', to_jsonb(fleet.longitude(s.location)), 'deg', s.location_time),
            (3, 'altitude_m', to_jsonb(s.altitude_m), 'm', s.location_time),
            (4, 'accuracy_m', to_jsonb(s.accuracy_m), 'm', s.location_time),
            (5, 'speed_kmh', to_jsonb(s.speed_kmh), 'km/h', s.motion_time),
            (6, 'heading_deg', to_jsonb(s.heading_deg), 'deg', s.motion_time)) c (place, name, value, unit, event_time)
     WHERE s.vehicle_id = vehicle AND c.value IS NOT NULL
    UNION ALL
    SELECT g.name, g.value, g.unit, coalesce(s.signal_times[g.place], s.event_time)
      FROM fleet.vehicle_state s
     CROSS JOIN LATERAL ROWS FROM (fleet.signals_each(s.signals)) WITH ORDINALITY AS g (name, value, unit, place)
     WHERE s.vehicle_id = vehicle;
    END;
COMMENT ON FUNCTION fleet.last_known(bigint) IS 'The last known value of everything a vehicle reports, each with its unit and the time it is from';

CREATE FUNCTION fleet.last_known(vehicle text, tenant_id integer DEFAULT fleet.session_tenant())
    RETURNS TABLE (name text, value jsonb, unit text, event_time timestamptz)
    LANGUAGE sql STABLE STRICT PARALLEL RESTRICTED
    BEGIN ATOMIC
    SELECT k.name, k.value, k.unit, k.event_time
      FROM fleet.vehicle v CROSS JOIN LATERAL fleet.last_known(v.vehicle_id) k
     WHERE v.tenant_id = last_known.tenant_id AND v.name = vehicle;
    END;
COMMENT ON FUNCTION fleet.last_known(text, integer) IS 'The same by the name of the vehicle';

CREATE AGGREGATE fleet.merge_signals(fleet.signals) (
    SFUNC = fleet.signals_concat, STYPE = fleet.signals, PARALLEL = SAFE);
COMMENT ON AGGREGATE fleet.merge_signals(fleet.signals) IS 'Merges maps in the order given, later ones win';

CREATE FUNCTION fleet.state_at(vehicle bigint, at timestamptz, lookback interval DEFAULT '7 days',
        OUT event_time timestamptz, OUT location fleet.geopoint, OUT location_time timestamptz,
        OUT altitude_m real, OUT accuracy_m real, OUT speed_kmh real, OUT heading_deg real, OUT signals fleet.signals)
    LANGUAGE sql STABLE STRICT PARALLEL RESTRICTED
    BEGIN ATOMIC
    -- ties of one time are broken as the pipeline breaks them: the later batch, then the digest
    WITH past AS (
        SELECT e.* FROM fleet.event e
         WHERE e.vehicle_id = vehicle AND e.event_time <= at
           AND e.event_time > CASE WHEN isfinite(at) THEN at - lookback ELSE '-infinity' END)
    SELECT (SELECT max(p.event_time) FROM past p), f.location, f.event_time, f.altitude_m, f.accuracy_m,
           m.speed_kmh, m.heading_deg,
           (SELECT fleet.merge_signals(p.signals ORDER BY p.event_time, p.batch_id, p.digest) FROM past p)
      FROM (SELECT) one
      LEFT JOIN LATERAL (SELECT p.* FROM past p WHERE p.location IS NOT NULL
                          ORDER BY p.event_time DESC, p.batch_id DESC, p.digest DESC LIMIT 1) f ON true
      LEFT JOIN LATERAL (SELECT p.* FROM past p WHERE p.speed_kmh IS NOT NULL OR p.heading_deg IS NOT NULL
                          ORDER BY p.event_time DESC, p.batch_id DESC, p.digest DESC LIMIT 1) m ON true;
    END;
COMMENT ON FUNCTION fleet.state_at(bigint, timestamptz, interval) IS
    'What fleet.vehicle_state said, or would have said, at a time, from the history of the lookback before it';

CREATE FUNCTION fleet.state_at(vehicle text, at timestamptz, lookback interval DEFAULT '7 days', tenant_id integer DEFAULT fleet.session_tenant(),
        OUT event_time timestamptz, OUT location fleet.geopoint, OUT location_time timestamptz,
        OUT altitude_m real, OUT accuracy_m real, OUT speed_kmh real, OUT heading_deg real, OUT signals fleet.signals)
    LANGUAGE sql STABLE STRICT PARALLEL RESTRICTED
    BEGIN ATOMIC
    SELECT s.* FROM fleet.vehicle v CROSS JOIN LATERAL fleet.state_at(v.vehicle_id, at, lookback) s
     WHERE v.tenant_id = state_at.tenant_id AND v.name = vehicle;
    END;
COMMENT ON FUNCTION fleet.state_at(text, timestamptz, interval, integer) IS 'The same by the name of the vehicle';
