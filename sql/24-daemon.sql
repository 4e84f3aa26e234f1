-- 24-daemon.sql: what wakes daemons.

-- The channel that wakes daemons: one for all tenants, so none of them may know
-- its name.  The key stays in this database: no dump has it.
CREATE TABLE fleet.daemon_channel (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    key bytea NOT NULL DEFAULT decode(replace(pg_catalog.gen_random_uuid()::text || pg_catalog.gen_random_uuid()::text, '-', ''), 'hex')
);
INSERT INTO fleet.daemon_channel DEFAULT VALUES;
REVOKE ALL ON fleet.daemon_channel FROM PUBLIC;
COMMENT ON TABLE fleet.daemon_channel IS 'Random bytes from which the name of the channel that wakes daemons is derived';

CREATE FUNCTION fleet.daemon_channel_name() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
    SELECT 'fleet_daemon_' || substr(encode(sha256(k.key || 'daemon'::bytea), 'hex'), 1, 32) FROM fleet.daemon_channel k;
    END;
REVOKE ALL ON FUNCTION fleet.daemon_channel_name() FROM PUBLIC;
COMMENT ON FUNCTION fleet.daemon_channel_name() IS 'The channel that wakes daemons';

CREATE FUNCTION fleet.daemon_listen() RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, fleet, pg_temp
AS $$
BEGIN
    EXECUTE format('LISTEN %I', fleet.daemon_channel_name());
END
$$;
REVOKE ALL ON FUNCTION fleet.daemon_listen() FROM PUBLIC;
COMMENT ON FUNCTION fleet.daemon_listen() IS
    'Subscribes this session of fleetd to what wakes daemons: a payload is the id of a vehicle that has commands, or "source" and the id of a source whose tokens or rights have changed, * for many';
