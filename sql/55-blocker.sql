-- 55-blocker.sql: who keeps reports waiting.
--
-- Whoever may change a tenant's rows can lock them, or the whole table, in a
-- transaction that he leaves open: PostgreSQL has no right that would forbid it,
-- and no limit of time that he could not lift.  Reports of all tenants would
-- wait for him.

CREATE FUNCTION fleet.end_blockers(patience interval DEFAULT '10 seconds') RETURNS integer
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
DECLARE
    trusted oid[] := ARRAY(SELECT r.oid FROM pg_roles r WHERE r.rolname IN ('fleet_owner', 'fleet_daemon'));
    sender oid := (SELECT r.oid FROM pg_roles r WHERE r.rolname = 'fleet_ingest');
    blocker record;
    ended integer := 0;
BEGIN
    -- nearly always nobody waits
    IF NOT EXISTS (SELECT FROM pg_locks l WHERE NOT l.granted AND l.waitstart < clock_timestamp() - patience)
       AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'object' AND l.classid = 'pg_class'::regclass
                          AND l.objid = 'fleet.vehicle_state'::regclass AND l.pid <> pg_backend_pid()) THEN
        RETURN 0;
    END IF;
    FOR blocker IN
        WITH RECURSIVE waiting AS (
            -- of those who send reports; a superuser waits for himself
            SELECT l.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid) JOIN pg_roles r ON r.oid = a.usesysid
             WHERE NOT l.granted AND l.waitstart < clock_timestamp() - patience
               AND a.datname = current_database() AND NOT r.rolsuper AND pg_has_role(r.oid, sender, 'USAGE')
            UNION
            SELECT b.pid FROM waiting w CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) b (pid)),
        suspects AS (
            -- at the end of the queue, who does not wait himself
            SELECT w.pid FROM waiting w WHERE NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = w.pid AND NOT l.granted)
            UNION
            -- the clock's lock, for which nobody waits: see fleet.tick()
            SELECT l.pid FROM pg_locks l
             WHERE l.locktype = 'object' AND l.classid = 'pg_class'::regclass AND l.objid = 'fleet.vehicle_state'::regclass
               AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
        SELECT a.pid, a.usename, a.state, clock_timestamp() - a.xact_start AS age
          FROM suspects s JOIN pg_stat_activity a USING (pid) JOIN pg_roles r ON r.oid = a.usesysid
         WHERE a.pid <> pg_backend_pid() AND a.xact_start < clock_timestamp() - patience AND NOT r.rolsuper
           AND NOT EXISTS (SELECT FROM unnest(trusted) t (role) WHERE pg_has_role(r.oid, t.role, 'USAGE'))
    LOOP
        RAISE LOG 'ending the session of role "%" that keeps reports waiting', blocker.usename
            USING DETAIL = format('Process %s, %s, its transaction began %s ago.', blocker.pid, blocker.state, blocker.age);
        BEGIN
            ended := ended + pg_terminate_backend(blocker.pid)::integer;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE LOG 'it may not be ended' USING DETAIL = SQLERRM, HINT = 'GRANT pg_signal_backend TO the owner of the extension.';
        END;
    END LOOP;
    RETURN ended;
END
$$;
COMMENT ON FUNCTION fleet.end_blockers(interval) IS
    'Part of fleet.tick(): ends sessions whose open transaction has kept reports waiting for that long, unless their role is a superuser, fleet_owner or fleet_daemon; returns how many';
REVOKE ALL ON FUNCTION fleet.end_blockers(interval) FROM PUBLIC;
