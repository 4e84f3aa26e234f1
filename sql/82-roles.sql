-- 82-roles.sql: who may what.  docs/security.md has the table.

CREATE FUNCTION fleet.create_roles() RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
DECLARE
    role_name text;
    made text[] := '{}';
    relation regclass;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['fleet_ingest', 'fleet_daemon', 'fleet_reader', 'fleet_operator', 'fleet_admin', 'fleet_owner'] LOOP
        -- roles belong to the whole cluster, another database may have made them
        IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
            made := made || role_name;
        END IF;
        EXECUTE format('GRANT USAGE ON SCHEMA fleet TO %I', role_name);
    END LOOP;
    GRANT fleet_ingest TO fleet_daemon;
    GRANT fleet_reader TO fleet_operator;
    GRANT fleet_operator TO fleet_admin;
    GRANT fleet_admin TO fleet_owner;

    -- reports in, nothing out
    GRANT INSERT ON fleet.ingest TO fleet_ingest;
    GRANT EXECUTE ON FUNCTION fleet.authenticate(text), fleet.authenticate_source(text) TO fleet_ingest;

    -- what fleetd hears of tokens and sources that are not good any more
    GRANT EXECUTE ON FUNCTION fleet.live_credentials(text[], integer[]) TO fleet_daemon;

    -- what the daemon tells besides
    GRANT EXECUTE ON FUNCTION fleet.rekey_from_sources(integer[], text[], text[]) TO fleet_daemon;
    -- the daemon's connection for commands
    GRANT EXECUTE ON FUNCTION fleet.daemon_listen(), fleet.pending_commands(jsonb), fleet.claim_commands(text, jsonb),
        fleet.report_commands(text, jsonb) TO fleet_daemon;

    GRANT EXECUTE ON FUNCTION fleet.login(text), fleet.login_local(text), fleet.logout(), fleet.session_subject() TO fleet_ingest, fleet_reader;

    -- one tenant, reading
    GRANT SELECT (tenant_id, name, auto_register, notify, created_at) ON fleet.tenant TO fleet_reader;
    GRANT SELECT ON fleet.contract, fleet.quota, fleet.quota_usage, fleet.vehicle, fleet.device, fleet.event, fleet.telemetry, fleet.vehicle_state,
        fleet.geofence, fleet.geofence_visit, fleet.rule, fleet.standard_rule, fleet.signal, fleet.alert, fleet.open_alert, fleet.command, fleet.batch TO fleet_reader;

    GRANT EXECUTE ON FUNCTION fleet.track(bigint, timestamptz, timestamptz), fleet.track(text, timestamptz, timestamptz, integer),
        fleet.last_known(bigint), fleet.last_known(text, integer),
        fleet.state_at(bigint, timestamptz, interval), fleet.state_at(text, timestamptz, interval, integer),
        fleet.geofences_at(integer, fleet.geopoint), fleet.geofence_counts(integer, fleet.geopoint[]),
        fleet.listen(text, integer), fleet.unlisten(text, integer), fleet.cursor_now(), fleet.alerts_since(text, integer),
        fleet.visits_since(text, integer), fleet.commands_since(text, integer),
        fleet.require(integer, text, text, bigint) TO fleet_reader;

    -- one tenant, at work
    GRANT EXECUTE ON FUNCTION fleet.check_condition(text), fleet.enable_standard_rule(text, integer), fleet.enable_standard_rules(integer),
        fleet.acknowledge_alert(bigint, text), fleet.quarantine_since(text, integer) TO fleet_operator;
    GRANT SELECT ON fleet.quarantine TO fleet_operator;
    GRANT EXECUTE ON FUNCTION fleet.replay_quarantine(integer, text, timestamptz, integer) TO fleet_operator;
    GRANT DELETE,
        INSERT (tenant_id, name, area, kind, hysteresis_m, min_fixes, dwell, speed_limit_kmh, vehicle_type, valid_from, valid_to,
                alert_on, severity, message, enabled),
        UPDATE (name, area, kind, hysteresis_m, min_fixes, dwell, speed_limit_kmh, vehicle_type, valid_from, valid_to,
                alert_on, severity, message, enabled) ON fleet.geofence TO fleet_operator;
    GRANT DELETE,
        INSERT (tenant_id, name, condition, hold, clear_condition, silence, severity, vehicle_type, message, enabled),
        UPDATE (name, condition, hold, clear_condition, silence, severity, vehicle_type, message, enabled) ON fleet.rule TO fleet_operator;

    GRANT EXECUTE ON FUNCTION fleet.send_command(bigint, text, jsonb, interval), fleet.send_command(text, text, jsonb, interval, integer),
        fleet.cancel_command(bigint) TO fleet_operator;

    -- one tenant's registry
    -- not the name: that one is taken would tell who else is here
    GRANT UPDATE (auto_register, notify) ON fleet.tenant TO fleet_admin;
    GRANT EXECUTE ON FUNCTION fleet.verify_audit(integer) TO fleet_admin;
    GRANT SELECT ON fleet.tenant_grant, fleet.audit_log, fleet.audit_head TO fleet_admin;
    GRANT SELECT (source_id, tenant_id, name, devices, created_at, expires_at, revoked_at),
        UPDATE (name, devices, expires_at, revoked_at) ON fleet.source TO fleet_admin;
    GRANT SELECT (prefix, source_id, tenant_id, created_at, expires_at, revoked_at), UPDATE (revoked_at) ON fleet.source_token TO fleet_admin;
    GRANT EXECUTE ON FUNCTION fleet.create_source(integer, text, text[], timestamptz), fleet.rotate_token(integer, interval, timestamptz),
        fleet.revoke_token(text), fleet.revoke_source(integer) TO fleet_admin;
    GRANT DELETE, INSERT (tenant_id, name, vehicle_type, attributes), UPDATE (name, vehicle_type, attributes) ON fleet.vehicle TO fleet_admin;
    GRANT DELETE, INSERT (tenant_id, identity, vehicle_id), UPDATE (identity, vehicle_id) ON fleet.device TO fleet_admin;
    GRANT DELETE, INSERT (tenant_id, required, horizon, max_ahead, schema_versions, ranges, allow_null_island),
        UPDATE (required, horizon, max_ahead, schema_versions, ranges, allow_null_island) ON fleet.contract TO fleet_admin;
    GRANT EXECUTE ON FUNCTION fleet.register_device(integer, text, text, text), fleet.rekey_devices(integer, text[], text[]),
        fleet.erase_vehicle(bigint), fleet.export_vehicle(bigint), fleet.rotate_channels(integer) TO fleet_admin;

    -- all tenants
    GRANT SELECT ON ALL TABLES IN SCHEMA fleet TO fleet_owner;
    GRANT INSERT, UPDATE, DELETE ON fleet.tenant, fleet.contract, fleet.quota, fleet.vehicle, fleet.device, fleet.source, fleet.geofence, fleet.rule TO fleet_owner;
    GRANT DELETE ON fleet.source_token TO fleet_owner;
    GRANT DELETE ON fleet.command TO fleet_owner;
    GRANT INSERT, UPDATE ON fleet.tenant_grant TO fleet_owner;
    GRANT EXECUTE ON FUNCTION fleet.grant_tenant(name, integer), fleet.revoke_tenant(name, integer) TO fleet_owner;
    GRANT INSERT, UPDATE, DELETE ON fleet.login_key TO fleet_owner;
    GRANT EXECUTE ON FUNCTION fleet.create_login_key(text, text, bytea, text, text, integer, timestamptz, timestamptz),
        fleet.revoke_login_key(text) TO fleet_owner;

    FOR relation IN
        SELECT c.oid FROM pg_class c
         WHERE c.relnamespace = 'fleet'::regnamespace AND c.relkind IN ('r', 'p') AND c.relrowsecurity
    LOOP
        PERFORM fleet.secure_table_owner(relation);
    END LOOP;
    -- the cluster's own, unless another database had made them; a restore brings
    -- the log, which must find its place free
    IF made <> '{}' AND NOT (current_setting('row_security') = 'off' AND current_setting('is_superuser') = 'on') THEN
        PERFORM fleet.audit('role.create', NULL, 'role', NULL, jsonb_build_object('roles', to_jsonb(made)));
    END IF;
END
$$;
COMMENT ON FUNCTION fleet.create_roles() IS
    'Makes the roles fleet_ingest, fleet_daemon, fleet_reader, fleet_operator, fleet_admin and fleet_owner where they are missing, and gives them their rights here; CREATE EXTENSION has done so if it was allowed to';
REVOKE ALL ON FUNCTION fleet.create_roles() FROM PUBLIC;

-- A day of history is a table that all tenants share, and thousands of them
-- slow everybody down: how far back events may lie is the owner's to extend.
CREATE FUNCTION fleet.contract_limit() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
DECLARE
    horizon_max CONSTANT interval := '400 days';
    ahead_max CONSTANT interval := '1 day';
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.horizon <= OLD.horizon AND NEW.max_ahead <= OLD.max_ahead THEN
            RETURN NEW;
        END IF;
    END IF;
    IF (NEW.horizon > horizon_max OR NEW.max_ahead > ahead_max)
       AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = current_user AND r.rolsuper
                       UNION ALL
                       SELECT FROM pg_roles r WHERE r.rolname = 'fleet_owner' AND pg_has_role(r.oid, 'USAGE') AND NOT fleet.logged_in()) THEN
        RAISE EXCEPTION 'contract reaches too far from the present'
            USING ERRCODE = 'program_limit_exceeded', DETAIL = format('A tenant may set a horizon of %s and max_ahead of %s at most.', horizon_max, ahead_max),
                  HINT = 'A member of fleet_owner may set more.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION fleet.contract_limit() IS 'Trigger of fleet.contract: how far back and ahead a tenant''s own administrators may let events lie';
REVOKE ALL ON FUNCTION fleet.contract_limit() FROM PUBLIC;
CREATE TRIGGER contract_limit BEFORE INSERT OR UPDATE OF horizon, max_ahead ON fleet.contract
    FOR EACH ROW EXECUTE FUNCTION fleet.contract_limit();

DO $$
BEGIN
    PERFORM fleet.create_roles();
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'roles of fleet were not made'
            USING DETAIL = SQLERRM, HINT = 'SELECT fleet.create_roles() as a role that may CREATE ROLE.';
END
$$;
