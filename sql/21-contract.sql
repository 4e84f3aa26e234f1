-- 21-contract.sql: what a tenant's reports must satisfy; cache invalidation.

CREATE FUNCTION fleet.contract_validate(required text[], ranges jsonb) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'contract_validate';
COMMENT ON FUNCTION fleet.contract_validate(text[], jsonb) IS 'True, or an error that says what is wrong with a contract';

CREATE FUNCTION fleet.defect_codes() RETURNS text[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'defect_codes';
COMMENT ON FUNCTION fleet.defect_codes() IS 'The closed list of codes that fleet.quarantine.code has';

CREATE TABLE fleet.contract (
    tenant_id integer PRIMARY KEY REFERENCES fleet.tenant ON DELETE CASCADE,
    required text[] NOT NULL DEFAULT '{}',
    horizon interval NOT NULL DEFAULT '30 days' CHECK (horizon > '0'),
    max_ahead interval NOT NULL DEFAULT '5 minutes' CHECK (max_ahead >= '0'),
    schema_versions integer[] NOT NULL DEFAULT '{1}' CHECK (cardinality(schema_versions) <= 1000),
    ranges jsonb NOT NULL DEFAULT '{}',
    allow_null_island boolean NOT NULL DEFAULT false,
    horizon_us bigint GENERATED ALWAYS AS ((extract(epoch FROM horizon) * 1000000)::bigint) STORED,
    max_ahead_us bigint GENERATED ALWAYS AS ((extract(epoch FROM max_ahead) * 1000000)::bigint) STORED,
    CHECK (fleet.contract_validate(required, ranges))
);
COMMENT ON TABLE fleet.contract IS 'What a report must satisfy to become an event; a tenant without a row has the defaults';
COMMENT ON COLUMN fleet.contract.required IS 'Fields a report must have besides device and event_time: location, columns or signals';
COMMENT ON COLUMN fleet.contract.horizon IS 'Reports older than this are refused as time_too_old';
COMMENT ON COLUMN fleet.contract.max_ahead IS 'Reports further ahead of the server''s clock than this are refused as time_in_future';
COMMENT ON COLUMN fleet.contract.schema_versions IS 'Versions of the report''s schema that are known';
COMMENT ON COLUMN fleet.contract.ranges IS 'Plausible ranges that replace those of the dictionary: {"speed_kmh": [0, 420]}, null leaves a side open';
COMMENT ON COLUMN fleet.contract.allow_null_island IS 'Accept positions at 0,0, which receivers without a fix send';
COMMENT ON COLUMN fleet.contract.horizon_us IS 'horizon in microseconds';
COMMENT ON COLUMN fleet.contract.max_ahead_us IS 'max_ahead in microseconds';

-- A fresh installation has one tenant.  A dump carries its row too; the
-- restore must then replace ours instead of failing on the key.
INSERT INTO fleet.tenant (tenant_id, name) VALUES (1, 'default');
SELECT pg_catalog.setval(pg_catalog.pg_get_serial_sequence('fleet.tenant', 'tenant_id'), 1);

CREATE FUNCTION fleet.tenant_replace_default() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
BEGIN
    UPDATE fleet.tenant t
       SET name = NEW.name, auto_register = NEW.auto_register, notify = NEW.notify,
           channel_key = NEW.channel_key, created_at = NEW.created_at
     WHERE t.tenant_id = 1 AND t.name = 'default' AND NOT EXISTS (SELECT FROM fleet.vehicle v WHERE v.tenant_id = 1);
    IF FOUND THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION fleet.tenant_replace_default() IS 'Lets a restore bring its own tenant 1';
CREATE TRIGGER tenant_replace_default BEFORE INSERT ON fleet.tenant
    FOR EACH ROW WHEN (NEW.tenant_id = 1) EXECUTE FUNCTION fleet.tenant_replace_default();

CREATE FUNCTION fleet.invalidate_cache() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'invalidate_cache';
COMMENT ON FUNCTION fleet.invalidate_cache() IS 'Statement trigger: what backends remember of this table is stale';

CREATE TRIGGER invalidate_cache AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON fleet.tenant
    FOR EACH STATEMENT EXECUTE FUNCTION fleet.invalidate_cache();
CREATE TRIGGER invalidate_cache AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON fleet.contract
    FOR EACH STATEMENT EXECUTE FUNCTION fleet.invalidate_cache();
CREATE TRIGGER invalidate_cache AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON fleet.source
    FOR EACH STATEMENT EXECUTE FUNCTION fleet.invalidate_cache();
-- absence is not cached, so new ones make nothing stale
CREATE TRIGGER invalidate_cache AFTER UPDATE OR DELETE OR TRUNCATE ON fleet.vehicle
    FOR EACH STATEMENT EXECUTE FUNCTION fleet.invalidate_cache();
CREATE TRIGGER invalidate_cache AFTER UPDATE OR DELETE OR TRUNCATE ON fleet.device
    FOR EACH STATEMENT EXECUTE FUNCTION fleet.invalidate_cache();

CREATE FUNCTION fleet.register_device(tenant_id integer, identity text, vehicle_name text DEFAULT NULL, vehicle_type text DEFAULT NULL)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
DECLARE
    id bigint;
BEGIN
    INSERT INTO fleet.vehicle AS v (tenant_id, name, vehicle_type)
    VALUES (register_device.tenant_id, coalesce(vehicle_name, identity), register_device.vehicle_type)
    ON CONFLICT ON CONSTRAINT vehicle_tenant_id_name_key
        DO UPDATE SET vehicle_type = coalesce(EXCLUDED.vehicle_type, v.vehicle_type)
    RETURNING v.vehicle_id INTO id;
    INSERT INTO fleet.device (tenant_id, identity, vehicle_id)
    VALUES (register_device.tenant_id, register_device.identity, id)
    ON CONFLICT ON CONSTRAINT device_pkey DO UPDATE SET vehicle_id = EXCLUDED.vehicle_id;
    RETURN id;
END
$$;
COMMENT ON FUNCTION fleet.register_device(integer, text, text, text) IS 'Registers a device and its vehicle (of the same name unless given); returns the vehicle_id';
REVOKE ALL ON FUNCTION fleet.register_device(integer, text, text, text) FROM PUBLIC;
