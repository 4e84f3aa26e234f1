-- 46-privacy.sql: no VIN in the registry, identities after a change of keys,
-- a vehicle's data given out or forgotten.

-- A CHECK would put the row, and so the VIN, into the server's log.
CREATE FUNCTION fleet.vin_refuse() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
BEGIN
    -- what a dump holds was taken once
    IF current_setting('row_security') = 'off' AND current_setting('is_superuser') = 'on' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a vehicle identification number must not be stored'
        USING ERRCODE = 'check_violation',
              DETAIL = format('A column of %I.%I holds what looks like one.', TG_TABLE_SCHEMA, TG_TABLE_NAME),
              HINT = 'Use a name of your own, or the pseudonym that fleetd --pseudonyms makes of it.';
END
$$;
COMMENT ON FUNCTION fleet.vin_refuse() IS 'Trigger of fleet.vehicle, fleet.device and fleet.source: refuses what looks like a VIN';
REVOKE ALL ON FUNCTION fleet.vin_refuse() FROM PUBLIC;
CREATE TRIGGER vin_refuse BEFORE INSERT OR UPDATE OF identity ON fleet.device
    FOR EACH ROW WHEN (fleet.holds_vin(NEW.identity)) EXECUTE FUNCTION fleet.vin_refuse();
CREATE TRIGGER vin_refuse BEFORE INSERT OR UPDATE OF name, devices ON fleet.source
    FOR EACH ROW WHEN (fleet.holds_vin(NEW.name) OR fleet.holds_vin(array_to_string(NEW.devices, E'\n')))
    EXECUTE FUNCTION fleet.vin_refuse();
CREATE TRIGGER vin_refuse BEFORE INSERT OR UPDATE OF name, vehicle_type, attributes ON fleet.vehicle
    FOR EACH ROW WHEN (fleet.holds_vin(NEW.name) OR fleet.holds_vin(NEW.vehicle_type) OR fleet.holds_vin(NEW.attributes::text))
    EXECUTE FUNCTION fleet.vin_refuse();

-- Pseudonyms after a change of keys -------------------------------------------

-- Who may bring a device's reports may bring them under its new identity.
CREATE FUNCTION fleet.rekey_scopes(tenant_id integer, old text[], new text[]) RETURNS void
    LANGUAGE sql VOLATILE STRICT PARALLEL UNSAFE
    BEGIN ATOMIC
    UPDATE fleet.source s SET devices = s.devices || n.identities
      FROM (SELECT o.source_id, array_agg(DISTINCT p.new) AS identities
              FROM fleet.source o
              JOIN ROWS FROM (unnest(rekey_scopes.old), unnest(rekey_scopes.new)) AS p (old, new)
                ON p.old = ANY (o.devices) AND p.new <> ALL (o.devices)
             WHERE o.tenant_id = rekey_scopes.tenant_id
             GROUP BY o.source_id) n
     WHERE s.source_id = n.source_id;
    END;
COMMENT ON FUNCTION fleet.rekey_scopes(integer, text[], text[]) IS 'Private: sources that are limited to old identities get the new ones too';
REVOKE ALL ON FUNCTION fleet.rekey_scopes(integer, text[], text[]) FROM PUBLIC;

-- The old identity stays: until every daemon has the new key, reports come
-- under both.
CREATE FUNCTION fleet.rekey_devices(tenant_id integer, old text[], new text[]) RETURNS bigint
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
DECLARE
    added bigint;
BEGIN
    PERFORM fleet.require(rekey_devices.tenant_id, 'registry', 'admin');
    IF fleet.allowed_vehicles() IS NOT NULL THEN
        RAISE EXCEPTION 'permission denied for tenant %', rekey_devices.tenant_id
            USING ERRCODE = 'insufficient_privilege', DETAIL = 'The session is limited to some vehicles.';
    END IF;
    IF cardinality(old) <> cardinality(new) OR array_ndims(old) > 1 OR array_ndims(new) > 1 THEN
        RAISE EXCEPTION 'old and new identities must be as many'
            USING ERRCODE = 'array_subscript_error',
                  DETAIL = format('There are %s old and %s new ones.', cardinality(old), cardinality(new));
    END IF;
    -- a pipeline has the state and then asks for the vehicle, whose name changes here
    LOCK TABLE fleet.vehicle_state IN SHARE ROW EXCLUSIVE MODE;
    INSERT INTO fleet.device AS d (tenant_id, identity, vehicle_id)
    SELECT o.tenant_id, p.new, o.vehicle_id
      FROM ROWS FROM (unnest(rekey_devices.old), unnest(rekey_devices.new)) WITH ORDINALITY AS p (old, new, place)
      JOIN fleet.device o ON o.tenant_id = rekey_devices.tenant_id AND o.identity = p.old
     WHERE p.new IS NOT NULL ORDER BY p.new, p.place
    ON CONFLICT ON CONSTRAINT device_pkey DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    -- a vehicle that was registered at first sight has its identity for a name
    UPDATE fleet.vehicle v SET name = p.new
      FROM ROWS FROM (unnest(rekey_devices.old), unnest(rekey_devices.new)) AS p (old, new)
      JOIN fleet.device n ON n.tenant_id = rekey_devices.tenant_id AND n.identity = p.new
     WHERE v.tenant_id = rekey_devices.tenant_id AND v.name = p.old AND v.vehicle_id = n.vehicle_id
       AND NOT EXISTS (SELECT FROM fleet.vehicle w WHERE w.tenant_id = rekey_devices.tenant_id AND w.name = p.new);
    PERFORM fleet.rekey_scopes(rekey_devices.tenant_id, old, new);
    PERFORM fleet.audit('device.rekey', rekey_devices.tenant_id, 'device', NULL, jsonb_build_object('added', added));
    RETURN added;
END
$$;
COMMENT ON FUNCTION fleet.rekey_devices(integer, text[], text[]) IS
    'After a change of the pseudonyms'' key: gives the vehicles of old identities the new ones too, from the map that fleetd --rekey-map makes; returns how many were added';
REVOKE ALL ON FUNCTION fleet.rekey_devices(integer, text[], text[]) FROM PUBLIC;

CREATE FUNCTION fleet.rekey_from_sources(sources integer[], old text[], new text[]) RETURNS bigint
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
DECLARE
    added bigint;
BEGIN
    -- before any device, as a pipeline does
    LOCK TABLE fleet.vehicle_state IN ROW EXCLUSIVE MODE;
    INSERT INTO fleet.device AS d (tenant_id, identity, vehicle_id)
    SELECT o.tenant_id, p.new, o.vehicle_id
      FROM ROWS FROM (unnest(sources), unnest(rekey_from_sources.old), unnest(rekey_from_sources.new))
           WITH ORDINALITY AS p (source_id, old, new, place)
      JOIN fleet.source s ON s.source_id = p.source_id AND s.revoked_at IS NULL AND fleet.serves_tenant(s.tenant_id)
      JOIN fleet.device o ON o.tenant_id = s.tenant_id AND o.identity = p.old
     WHERE p.new IS NOT NULL ORDER BY o.tenant_id, p.new, p.place
    ON CONFLICT ON CONSTRAINT device_pkey DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    PERFORM fleet.rekey_scopes(t, rekey_from_sources.old, rekey_from_sources.new)
       FROM (SELECT DISTINCT s.tenant_id FROM fleet.source s WHERE s.source_id = ANY (sources) AND s.revoked_at IS NULL AND fleet.serves_tenant(s.tenant_id)) x (t);
    RETURN added;
END
$$;
COMMENT ON FUNCTION fleet.rekey_from_sources(integer[], text[], text[]) IS
    'Called by fleetd ahead of reports whose VIN it sees for the first time while its file has older keys: the vehicle of an old identity gets the new one too; the first of several old ones that is known counts';
REVOKE ALL ON FUNCTION fleet.rekey_from_sources(integer[], text[], text[]) FROM PUBLIC;

-- A vehicle's data -------------------------------------------------------------

-- What belongs to a vehicle is found by its column, so that a table made later
-- is not forgotten.  The audit log names vehicles by number only, and stays.
CREATE FUNCTION fleet.vehicle_tables() RETURNS SETOF regclass
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
    SELECT c.oid::regclass
      FROM pg_class c
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'vehicle_id' AND NOT a.attisdropped
      JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
                      AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
      JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'fleet'
     WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> 'audit_log'
     ORDER BY c.relname
$$;
COMMENT ON FUNCTION fleet.vehicle_tables() IS 'The tables of the extension whose rows belong to a vehicle: what fleet.erase_vehicle and fleet.export_vehicle work on';

REVOKE ALL ON FUNCTION fleet.vehicle_tables() FROM PUBLIC;

-- The tenant of a vehicle on which the session may act so; nobody learns
-- whether a vehicle that is not his exists.
CREATE FUNCTION fleet.vehicle_for(vehicle_id bigint, area text, level text) RETURNS integer
    LANGUAGE plpgsql STABLE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
DECLARE
    tenant integer;
BEGIN
    SELECT v.tenant_id INTO tenant FROM fleet.vehicle v WHERE v.vehicle_id = vehicle_for.vehicle_id;
    BEGIN
        PERFORM fleet.require(coalesce(tenant, 0), area, level, vehicle_for.vehicle_id);
    EXCEPTION WHEN insufficient_privilege THEN
        tenant := NULL;
    END;
    IF tenant IS NULL THEN
        RAISE EXCEPTION 'vehicle % does not exist', vehicle_for.vehicle_id
            USING ERRCODE = 'no_data_found', HINT = 'It may belong to a tenant for which you cannot act.';
    END IF;
    RETURN tenant;
END
$$;
COMMENT ON FUNCTION fleet.vehicle_for(bigint, text, text) IS 'The tenant of a vehicle; an error when there is no such vehicle for this session';
REVOKE ALL ON FUNCTION fleet.vehicle_for(bigint, text, text) FROM PUBLIC;

CREATE FUNCTION fleet.erase_vehicle(vehicle_id bigint) RETURNS TABLE (table_name text, rows bigint)
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
DECLARE
    tenant integer := fleet.vehicle_for(erase_vehicle.vehicle_id, 'registry', 'admin');
    identities text[];
    part regclass;
    early bigint;
    erased jsonb := '{}';
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'vehicles are erased in transactions of level read committed'
            USING ERRCODE = 'invalid_transaction_state', DETAIL = 'At another level, reports of this moment would be overlooked.';
    END IF;
    -- History is long, and no pipeline asks for rows that are there: it goes
    -- while ingest runs.  Then ingest waits for the rest: what came meanwhile,
    -- and rows that pipelines do ask for.
    DELETE FROM fleet.event e WHERE e.vehicle_id = erase_vehicle.vehicle_id;
    GET DIAGNOSTICS early = ROW_COUNT;
    LOCK TABLE fleet.vehicle_state IN SHARE ROW EXCLUSIVE MODE;
    -- who sends commands, and daemons that take them, in their order
    PERFORM FROM fleet.vehicle v WHERE v.vehicle_id = erase_vehicle.vehicle_id FOR UPDATE;
    PERFORM FROM fleet.command c WHERE c.vehicle_id = erase_vehicle.vehicle_id ORDER BY c.command_id FOR UPDATE;
    identities := ARRAY(SELECT d.identity FROM fleet.device d WHERE d.vehicle_id = erase_vehicle.vehicle_id);

    FOR part IN SELECT t FROM fleet.vehicle_tables() t ORDER BY t = 'fleet.vehicle'::regclass, t::text LOOP
        table_name := (SELECT c.relname FROM pg_class c WHERE c.oid = part);
        EXECUTE format('DELETE FROM %s t WHERE t.vehicle_id = $1', part) USING erase_vehicle.vehicle_id;
        GET DIAGNOSTICS rows = ROW_COUNT;
        IF table_name = 'event' THEN
            rows := rows + early;
        END IF;
        erased := erased || jsonb_build_object(table_name, rows);
        RETURN NEXT;
    END LOOP;

    UPDATE fleet.source s SET devices = ARRAY(SELECT d FROM unnest(s.devices) d WHERE d <> ALL (identities))
     WHERE s.tenant_id = tenant AND s.devices && identities;

    -- of reports that were refused there is the identity, or bytes that hold it
    table_name := 'quarantine';
    DELETE FROM fleet.quarantine q
     WHERE q.tenant_id = tenant
       AND (q.device = ANY (identities) OR q.report->>'device' = ANY (identities)
            OR q.device IS NULL AND EXISTS (
                SELECT FROM unnest(identities) i WHERE length(i) >= 8 AND position(convert_to(i, 'UTF8') IN q.raw) > 0));
    GET DIAGNOSTICS rows = ROW_COUNT;
    erased := erased || jsonb_build_object(table_name, rows);
    RETURN NEXT;
    PERFORM fleet.audit('vehicle.erase', tenant, 'vehicle', erase_vehicle.vehicle_id::text, erased);
END
$$;
COMMENT ON FUNCTION fleet.erase_vehicle(bigint) IS
    'Forgets a vehicle: its history, state, visits, alerts, commands, devices, what is in quarantine of them, and itself; returns how many rows of each table';
REVOKE ALL ON FUNCTION fleet.erase_vehicle(bigint) FROM PUBLIC;

CREATE FUNCTION fleet.export_vehicle(vehicle_id bigint) RETURNS TABLE (table_name text, "row" jsonb)
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
DECLARE
    tenant integer := fleet.vehicle_for(export_vehicle.vehicle_id, 'export', 'admin');
    identities text[] := ARRAY(SELECT d.identity FROM fleet.device d
                                WHERE d.vehicle_id = export_vehicle.vehicle_id ORDER BY d.created_at, d.identity);
    part regclass;
    members text;
    place text;
BEGIN
    PERFORM fleet.audit('vehicle.export', tenant, 'vehicle', export_vehicle.vehicle_id::text, '{}');
    FOR part IN SELECT t FROM fleet.vehicle_tables() t WHERE t <> 'fleet.event'::regclass
                ORDER BY t <> 'fleet.vehicle'::regclass, t::text LOOP
        -- how the product remembers is not given out, nor who of the operator's people acted
        SELECT string_agg(format(CASE a.atttypid
                   WHEN 'fleet.signals'::regtype THEN '%L, t.%I::jsonb'
                   WHEN 'fleet.geopoint'::regtype THEN '%L, CASE WHEN t.%2$I IS NOT NULL THEN jsonb_build_object('
                       '''latitude'', fleet.latitude(t.%2$I), ''longitude'', fleet.longitude(t.%2$I)) END'
                   ELSE '%L, t.%I' END, a.attname, a.attname), ', ' ORDER BY a.attnum)
          INTO members
          FROM pg_attribute a
         WHERE a.attrelid = part AND a.attnum > 0 AND NOT a.attisdropped
           AND a.atttypid NOT IN ('bytea'::regtype, 'xid8'::regtype)
           AND a.attname NOT IN ('tenant_id', 'batch_id', 'digest', 'due_at', 'signal_times', 'claimed_by', 'leased_until', 'sent_source',
                                 'requested_by', 'subject', 'acknowledged_by');
        SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) INTO STRICT place
          FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
         WHERE i.indrelid = part AND i.indisprimary;
        table_name := (SELECT c.relname FROM pg_class c WHERE c.oid = part);
        FOR "row" IN EXECUTE format('SELECT jsonb_build_object(%s) FROM %s t WHERE t.vehicle_id = $1 ORDER BY %s', members, part, place)
            USING export_vehicle.vehicle_id LOOP
            RETURN NEXT;
        END LOOP;
    END LOOP;

    RETURN QUERY SELECT 'last_known', to_jsonb(k) FROM fleet.last_known(export_vehicle.vehicle_id) k;
    -- history in the form that fleet.ingest_json takes
    RETURN QUERY
    SELECT 'event', coalesce(e.signals::jsonb, '{}') || jsonb_strip_nulls(jsonb_build_object(
               'device', identities[1], 'event_time', e.event_time, 'received_at', e.received_at,
               'latitude', fleet.latitude(e.location), 'longitude', fleet.longitude(e.location),
               'altitude_m', e.altitude_m, 'accuracy_m', e.accuracy_m, 'speed_kmh', e.speed_kmh, 'heading_deg', e.heading_deg))
      FROM fleet.event e WHERE e.vehicle_id = export_vehicle.vehicle_id
     ORDER BY e.event_time, e.batch_id, e.digest;
    RETURN QUERY
    SELECT 'quarantine', jsonb_strip_nulls(jsonb_build_object(
               'device', q.device, 'event_time', q.event_time, 'received_at', q.received_at,
               'code', q.code, 'field', q.field, 'value', q.value, 'report', q.report, 'raw', q.raw, 'replayed_at', q.replayed_at))
      FROM fleet.quarantine q
     WHERE q.tenant_id = tenant AND (q.device = ANY (identities) OR q.report->>'device' = ANY (identities))
     ORDER BY q.quarantine_id;
END
$$;
COMMENT ON FUNCTION fleet.export_vehicle(bigint) IS
    'All that is stored of a vehicle, a row each, as JSON: first the vehicle and its devices; rows of event are in the form that fleet.ingest_json takes';
REVOKE ALL ON FUNCTION fleet.export_vehicle(bigint) FROM PUBLIC;
