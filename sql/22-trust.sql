-- 22-trust.sql: whose data a session may see and change.

CREATE TABLE fleet.tenant_grant (
    role_name regrole NOT NULL,
    tenant_id integer NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    granted_by text NOT NULL DEFAULT session_user,
    revoked_at timestamptz,
    PRIMARY KEY (role_name, tenant_id)
);
CREATE INDEX tenant_grant_tenant_idx ON fleet.tenant_grant (tenant_id);
COMMENT ON TABLE fleet.tenant_grant IS 'Which tenants the members of a role act for; see fleet.grant_tenant';
COMMENT ON COLUMN fleet.tenant_grant.role_name IS 'A role of the server; whoever has its privileges acts for the tenant';
COMMENT ON COLUMN fleet.tenant_grant.granted_by IS 'Who bound it';
COMMENT ON COLUMN fleet.tenant_grant.revoked_at IS 'Since when it does not any more. The row stays, also when the tenant goes: a role that was bound once never counts as unbound';

CREATE TRIGGER invalidate_cache AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON fleet.tenant_grant
    FOR EACH STATEMENT EXECUTE FUNCTION fleet.invalidate_cache();

CREATE FUNCTION fleet.tenant_grant_end() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
BEGIN
    UPDATE fleet.tenant_grant g SET revoked_at = clock_timestamp()
     WHERE g.revoked_at IS NULL AND (TG_OP = 'TRUNCATE' OR g.tenant_id = OLD.tenant_id);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION fleet.tenant_grant_end() IS 'Trigger of fleet.tenant: nobody acts for a tenant that is gone, nor for a later one of that number';
REVOKE ALL ON FUNCTION fleet.tenant_grant_end() FROM PUBLIC;
CREATE TRIGGER tenant_grant_end AFTER DELETE ON fleet.tenant
    FOR EACH ROW EXECUTE FUNCTION fleet.tenant_grant_end();
CREATE TRIGGER tenant_grant_end_all AFTER TRUNCATE ON fleet.tenant
    FOR EACH STATEMENT EXECUTE FUNCTION fleet.tenant_grant_end();

CREATE FUNCTION fleet.allowed_tenants(area text, level text) RETURNS integer[]
    LANGUAGE c STABLE STRICT LEAKPROOF PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'allowed_tenants';
COMMENT ON FUNCTION fleet.allowed_tenants(text, text) IS
    'The tenants that this session acts for in an area (history, state, alert ...) at a level (reader, operator, admin): those its role is bound to, or that of its token';

CREATE FUNCTION fleet.allowed_vehicles() RETURNS bigint[]
    LANGUAGE c STABLE LEAKPROOF PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'allowed_vehicles';
COMMENT ON FUNCTION fleet.allowed_vehicles() IS 'The vehicles that the token of this session is limited to; null: all of its tenants';

CREATE FUNCTION fleet.tenant_allowed_support(internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'tenant_allowed_support';
COMMENT ON FUNCTION fleet.tenant_allowed_support(internal) IS 'Private: lets the planner take fleet.tenant_allowed for a comparison with ANY, which finds indexes';
REVOKE ALL ON FUNCTION fleet.tenant_allowed_support(internal) FROM PUBLIC;

-- policies must be asked before a query's own conditions, see row_allowed.c
CREATE FUNCTION fleet.tenant_allowed(tenant_id integer, allowed integer[]) RETURNS boolean
    LANGUAGE c IMMUTABLE LEAKPROOF PARALLEL SAFE COST 0.0001
    SUPPORT fleet.tenant_allowed_support
    AS 'MODULE_PATHNAME', 'tenant_allowed';
COMMENT ON FUNCTION fleet.tenant_allowed(integer, integer[]) IS 'For policies: whether a tenant is one of those allowed, an ascending array';

CREATE FUNCTION fleet.allowed_rows(area text, level text) RETURNS bigint[]
    LANGUAGE c STABLE STRICT LEAKPROOF PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'allowed_rows';
COMMENT ON FUNCTION fleet.allowed_rows(text, text) IS
    'For policies: what fleet.allowed_tenants and fleet.allowed_vehicles say, in one: number of tenants, 1 if vehicles are limited, tenants, vehicles';

CREATE FUNCTION fleet.tenants_of(allowed bigint[]) RETURNS integer[]
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'tenants_of';
COMMENT ON FUNCTION fleet.tenants_of(bigint[]) IS 'For policies: the tenants in what fleet.allowed_rows says';

CREATE FUNCTION fleet.row_allowed_support(internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'row_allowed_support';
COMMENT ON FUNCTION fleet.row_allowed_support(internal) IS 'Private: lets the planner know how much fleet.row_allowed lets pass, and find indexes for it';
REVOKE ALL ON FUNCTION fleet.row_allowed_support(internal) FROM PUBLIC;

CREATE FUNCTION fleet.row_allowed(tenant_id integer, vehicle_id bigint, allowed bigint[]) RETURNS boolean
    LANGUAGE c IMMUTABLE LEAKPROOF PARALLEL SAFE COST 0.0001
    SUPPORT fleet.row_allowed_support
    AS 'MODULE_PATHNAME', 'row_allowed';
COMMENT ON FUNCTION fleet.row_allowed(integer, bigint, bigint[]) IS 'For policies: whether a row of that tenant and vehicle is within what fleet.allowed_rows says';

CREATE FUNCTION fleet.logged_in() RETURNS boolean
    LANGUAGE c STABLE LEAKPROOF PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'logged_in';
COMMENT ON FUNCTION fleet.logged_in() IS 'Whether this session has proved itself with a token, valid or expired since';

CREATE FUNCTION fleet.session_subject() RETURNS text
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'session_subject';
COMMENT ON FUNCTION fleet.session_subject() IS 'Whom the token of this session names (sub); null without one';

CREATE FUNCTION fleet.require(tenant_id integer, area text, level text, vehicle_id bigint DEFAULT NULL) RETURNS void
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'require';
COMMENT ON FUNCTION fleet.require(integer, text, text, bigint) IS
    'An error unless this session may act for a tenant, and for a vehicle if one is given; the same error whether they exist or not';

CREATE FUNCTION fleet.serves_tenant(tenant_id integer) RETURNS boolean
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'serves_tenant';
COMMENT ON FUNCTION fleet.serves_tenant(integer) IS 'Private: whether this session may send reports of a tenant, and so take its commands: a daemon that is bound to none serves all';
REVOKE ALL ON FUNCTION fleet.serves_tenant(integer) FROM PUBLIC;

CREATE FUNCTION fleet.grant_tenant(role_name name, tenant_id integer) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = grant_tenant.role_name) THEN
        RAISE EXCEPTION 'role "%" does not exist', grant_tenant.role_name USING ERRCODE = 'undefined_object';
    END IF;
    PERFORM FROM fleet.tenant t WHERE t.tenant_id = grant_tenant.tenant_id FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'tenant % does not exist', grant_tenant.tenant_id
            USING ERRCODE = 'foreign_key_violation', HINT = 'INSERT INTO fleet.tenant (name) creates one.';
    END IF;
    INSERT INTO fleet.tenant_grant AS g (role_name, tenant_id)
    VALUES (quote_ident(grant_tenant.role_name)::regrole, grant_tenant.tenant_id)
    ON CONFLICT ON CONSTRAINT tenant_grant_pkey
        DO UPDATE SET granted_at = now(), granted_by = session_user, revoked_at = NULL WHERE g.revoked_at IS NOT NULL;
END
$$;
COMMENT ON FUNCTION fleet.grant_tenant(name, integer) IS 'Binds a role of the server to a tenant: its members see and change that tenant''s rows, as far as their privileges go';
REVOKE ALL ON FUNCTION fleet.grant_tenant(name, integer) FROM PUBLIC;

CREATE FUNCTION fleet.revoke_tenant(role_name name, tenant_id integer) RETURNS boolean
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
BEGIN
    UPDATE fleet.tenant_grant g SET revoked_at = clock_timestamp()
     WHERE g.role_name = (SELECT r.oid FROM pg_roles r WHERE r.rolname = revoke_tenant.role_name)::regrole
       AND g.tenant_id = revoke_tenant.tenant_id AND g.revoked_at IS NULL;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION fleet.revoke_tenant(name, integer) IS 'Ends what fleet.grant_tenant began, in open sessions too; false when there was nothing';
REVOKE ALL ON FUNCTION fleet.revoke_tenant(name, integer) FROM PUBLIC;
