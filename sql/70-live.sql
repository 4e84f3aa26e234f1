-- 70-live.sql: LISTEN, cursors, the clock.

CREATE FUNCTION fleet.listen(topic text, tenant_id integer DEFAULT fleet.session_tenant()) RETURNS text
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'listen';
COMMENT ON FUNCTION fleet.listen(text, integer) IS 'Subscribes this session to a topic (live, alert, geofence, quarantine, command) of a tenant; returns the channel';

CREATE FUNCTION fleet.unlisten(topic text, tenant_id integer DEFAULT fleet.session_tenant()) RETURNS text
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'unlisten';
COMMENT ON FUNCTION fleet.unlisten(text, integer) IS 'Ends the subscription of this session to a topic of a tenant';

CREATE FUNCTION fleet.rotate_channels(tenant_id integer DEFAULT fleet.session_tenant()) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'rotate_channels';
COMMENT ON FUNCTION fleet.rotate_channels(integer) IS
    'Gives the channels of a tenant new names that cannot be guessed; who listens is told, and must call fleet.listen again';
REVOKE ALL ON FUNCTION fleet.rotate_channels(integer) FROM PUBLIC;

-- A cursor is the snapshot up to which a client has seen everything.  What it
-- has not seen is what that snapshot could not see: a row that a slow
-- transaction commits later has a lower id perhaps, but is never skipped.

CREATE FUNCTION fleet.cursor_now() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
    SELECT pg_current_snapshot()::text;
    END;
COMMENT ON FUNCTION fleet.cursor_now() IS 'A cursor for fleet.alerts_since and its like that stands at this moment';

CREATE FUNCTION fleet.alerts_since(cursor text, tenant_id integer DEFAULT fleet.session_tenant())
    RETURNS TABLE (alert fleet.alert, next_cursor text)
    LANGUAGE sql STABLE STRICT PARALLEL RESTRICTED
    BEGIN ATOMIC
    SELECT a, pg_current_snapshot()::text
      FROM fleet.alert a
     WHERE a.tenant_id = alerts_since.tenant_id
       AND a.xact_id >= pg_snapshot_xmin(cursor::pg_snapshot)
       AND NOT pg_visible_in_snapshot(a.xact_id, cursor::pg_snapshot)
     ORDER BY a.alert_id;
    END;
COMMENT ON FUNCTION fleet.alerts_since(text, integer) IS 'Alerts raised, cleared or acknowledged since a cursor, with the cursor to go on from; commit-safe';

CREATE FUNCTION fleet.quarantine_since(cursor text, tenant_id integer DEFAULT fleet.session_tenant())
    RETURNS TABLE (quarantine fleet.quarantine, next_cursor text)
    LANGUAGE sql STABLE STRICT PARALLEL RESTRICTED
    BEGIN ATOMIC
    SELECT q, pg_current_snapshot()::text
      FROM fleet.quarantine q
     WHERE q.tenant_id = quarantine_since.tenant_id
       AND q.xact_id >= pg_snapshot_xmin(cursor::pg_snapshot)
       AND NOT pg_visible_in_snapshot(q.xact_id, cursor::pg_snapshot)
     ORDER BY q.quarantine_id;
    END;
COMMENT ON FUNCTION fleet.quarantine_since(text, integer) IS 'Rows of quarantine since a cursor, with the cursor to go on from; commit-safe';

CREATE FUNCTION fleet.visits_since(cursor text, tenant_id integer DEFAULT fleet.session_tenant())
    RETURNS TABLE (visit fleet.geofence_visit, next_cursor text)
    LANGUAGE sql STABLE STRICT PARALLEL RESTRICTED
    BEGIN ATOMIC
    SELECT v, pg_current_snapshot()::text
      FROM fleet.geofence_visit v
     WHERE v.tenant_id = visits_since.tenant_id
       AND v.xact_id >= pg_snapshot_xmin(cursor::pg_snapshot)
       AND NOT pg_visible_in_snapshot(v.xact_id, cursor::pg_snapshot)
     ORDER BY v.visit_id;
    END;
COMMENT ON FUNCTION fleet.visits_since(text, integer) IS 'Visits of geofences begun, reaching their dwell or ended since a cursor, with the cursor to go on from; commit-safe';

CREATE FUNCTION fleet.tick() RETURNS integer
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'tick';
COMMENT ON FUNCTION fleet.tick() IS 'What must happen as time passes: silences, holds, dwells, partitions ahead; fleetd calls it every second; returns how many vehicles were looked at';
