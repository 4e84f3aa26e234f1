-- 50-ingest.sql: the way in.

CREATE VIEW fleet.ingest WITH (security_invoker = true) AS
SELECT NULL::integer AS source_id, NULL::text AS device,
       NULL::timestamptz AS event_time, NULL::timestamptz AS received_at,
       NULL::double precision AS latitude, NULL::double precision AS longitude,
       NULL::real AS altitude_m, NULL::real AS accuracy_m,
       NULL::real AS speed_kmh, NULL::real AS heading_deg,
       NULL::fleet.signals AS signals, NULL::integer AS schema_version,
       NULL::text AS defect, NULL::bytea AS raw
 WHERE false;
COMMENT ON VIEW fleet.ingest IS 'The way in: COPY or INSERT reports here; always empty to read';
COMMENT ON COLUMN fleet.ingest.source_id IS 'The credential the report came with, see fleet.create_source';
COMMENT ON COLUMN fleet.ingest.device IS 'External identity of the reporter within the tenant of the source';
COMMENT ON COLUMN fleet.ingest.event_time IS 'When it was so, by the device''s clock';
COMMENT ON COLUMN fleet.ingest.received_at IS 'When it arrived; now, if null';
COMMENT ON COLUMN fleet.ingest.signals IS 'Everything beyond position and motion';
COMMENT ON COLUMN fleet.ingest.schema_version IS 'Version of the report''s schema; 1, if null';
COMMENT ON COLUMN fleet.ingest.defect IS 'What the sender found wrong already: a defect code, or code:field; the row goes to quarantine';
COMMENT ON COLUMN fleet.ingest.raw IS 'The bytes as received, for reports with a defect';

CREATE FUNCTION fleet.ingest_begin() RETURNS trigger LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ingest_begin';
CREATE FUNCTION fleet.ingest_row() RETURNS trigger LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ingest_row';
CREATE FUNCTION fleet.ingest_end() RETURNS trigger LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ingest_end';
COMMENT ON FUNCTION fleet.ingest_begin() IS 'Trigger of fleet.ingest: opens a batch';
COMMENT ON FUNCTION fleet.ingest_row() IS 'Trigger of fleet.ingest: collects a row';
COMMENT ON FUNCTION fleet.ingest_end() IS 'Trigger of fleet.ingest: runs the pipeline over the batch';
CREATE TRIGGER ingest_begin BEFORE INSERT ON fleet.ingest FOR EACH STATEMENT EXECUTE FUNCTION fleet.ingest_begin();
CREATE TRIGGER ingest_row INSTEAD OF INSERT ON fleet.ingest FOR EACH ROW EXECUTE FUNCTION fleet.ingest_row();
CREATE TRIGGER ingest_end AFTER INSERT ON fleet.ingest FOR EACH STATEMENT EXECUTE FUNCTION fleet.ingest_end();

CREATE FUNCTION fleet.last_batch(OUT batch_id bigint, OUT received bigint, OUT accepted bigint, OUT repeated bigint,
        OUT late bigint, OUT rejected bigint, OUT refused jsonb, OUT repeats bigint[])
    LANGUAGE c VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'last_batch';
COMMENT ON FUNCTION fleet.last_batch() IS 'What became of the reports that this session sent last: counts, the refused ones with code and field, ordinals of repeats';

CREATE FUNCTION fleet.ingest_json(source_id integer, document jsonb, OUT batch_id bigint, OUT received bigint, OUT accepted bigint,
        OUT repeated bigint, OUT late bigint, OUT rejected bigint, OUT refused jsonb, OUT repeats bigint[])
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'ingest_json';
COMMENT ON FUNCTION fleet.ingest_json(integer, jsonb) IS 'Sends a document, or an array of them, down the same way as fleet.ingest; returns what became of them';
REVOKE ALL ON FUNCTION fleet.ingest_json(integer, jsonb) FROM PUBLIC;

-- Partitions of history -----------------------------------------------------

CREATE FUNCTION fleet.create_partition(at timestamptz) RETURNS boolean
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    SET timezone = 'UTC'
    AS $$
DECLARE
    day timestamptz := date_trunc('day', at);
    next_day timestamptz := day + interval '1 day';
    day_name text := 'event_' || to_char(day, 'YYYYMMDD');
    partition_name text := day_name;
    other record;
    tries integer := 1;
BEGIN
    IF NOT isfinite(at) OR at < '0001-01-01' OR at >= '10000-01-01' THEN
        RAISE EXCEPTION 'no partition can be made for %', at
            USING ERRCODE = 'datetime_field_overflow', DETAIL = 'Days from 0001-01-01 to 9999-12-31 have partitions.';
    END IF;
    -- One maker at a time; readers and writers of other days go on.  ATTACH
    -- takes the same lock, and CREATE TABLE ... PARTITION OF would take one
    -- that stops everybody.
    LOCK TABLE ONLY fleet.event IN SHARE UPDATE EXCLUSIVE MODE;
    IF fleet.has_partition(at) THEN
        RETURN false;
    END IF;
    -- A partition of other bounds may reach into the day: take what it leaves.
    FOR other IN
        SELECT substring(b.bounds FROM 'FROM \(''([^'']+)''\)')::timestamptz AS from_time,
               substring(b.bounds FROM 'TO \(''([^'']+)''\)')::timestamptz AS to_time
          FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         CROSS JOIN LATERAL pg_get_expr(c.relpartbound, c.oid) AS b (bounds)
         WHERE i.inhparent = 'fleet.event'::regclass
    LOOP
        IF other.to_time <= at THEN
            day := greatest(day, other.to_time);
        ELSIF other.from_time > at THEN
            next_day := least(next_day, other.from_time);
        END IF;
    END LOOP;
    -- One that was detached to be kept elsewhere still has the name.
    WHILE to_regclass(format('fleet.%I', partition_name)) IS NOT NULL LOOP
        tries := tries + 1;
        partition_name := day_name || '_' || tries;
    END LOOP;
    EXECUTE format('CREATE TABLE fleet.%I (LIKE fleet.event INCLUDING DEFAULTS INCLUDING STORAGE INCLUDING COMMENTS, '
                   'PRIMARY KEY (vehicle_id, event_time, digest)) '
                   'WITH (autovacuum_vacuum_insert_scale_factor = 0.2)', partition_name);
    EXECUTE format('ALTER TABLE fleet.%I OWNER TO %s', partition_name,
                   (SELECT relowner::regrole FROM pg_class WHERE oid = 'fleet.event'::regclass));
    PERFORM fleet.secure_table(format('fleet.%I', partition_name)::regclass, 'history', 'reader');
    EXECUTE format('ALTER TABLE fleet.event ATTACH PARTITION fleet.%I FOR VALUES FROM (%L) TO (%L)',
                   partition_name, day, next_day);
    RETURN true;
END
$$;
COMMENT ON FUNCTION fleet.create_partition(timestamptz) IS 'Makes the partition of history for the day (UTC) of a time; false when there is one';

CREATE FUNCTION fleet.has_partition(at timestamptz) RETURNS boolean
    LANGUAGE c VOLATILE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'has_partition';
COMMENT ON FUNCTION fleet.has_partition(timestamptz) IS 'Whether a partition of history holds a time';

CREATE FUNCTION fleet.create_partitions_ahead(days integer DEFAULT 3) RETURNS integer
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
DECLARE
    made integer := 0;
BEGIN
    FOR ahead IN 0 .. days LOOP
        -- ask before locking: nearly always there is nothing to do
        IF NOT fleet.has_partition(now() + ahead * interval '24 hours') THEN
            made := made + fleet.create_partition(now() + ahead * interval '24 hours')::integer;
        END IF;
    END LOOP;
    RETURN made;
END
$$;
COMMENT ON FUNCTION fleet.create_partitions_ahead(integer) IS 'Makes partitions for today and the days to come; returns how many were missing';

CREATE FUNCTION fleet.drop_partitions_before(before timestamptz) RETURNS integer
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    SET timezone = 'UTC'
    AS $$
DECLARE
    part record;
    dropped integer := 0;
BEGIN
    FOR part IN
        SELECT c.oid::regclass AS name
          FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'fleet.event'::regclass
           AND substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''([^'']+)''\)')::timestamptz <= before
         ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE %s', part.name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;
COMMENT ON FUNCTION fleet.drop_partitions_before(timestamptz) IS 'Ends the retention of history: drops partitions that hold only events before a time; returns how many';
REVOKE ALL ON FUNCTION fleet.create_partition(timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION fleet.create_partitions_ahead(integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION fleet.drop_partitions_before(timestamptz) FROM PUBLIC;

-- Quarantine, again ----------------------------------------------------------

CREATE FUNCTION fleet.replay_quarantine(tenant_id integer, code text DEFAULT NULL, since timestamptz DEFAULT '-infinity',
        max_rows integer DEFAULT 10000,
        OUT replayed bigint, OUT accepted bigint, OUT repeated bigint, OUT rejected bigint)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
DECLARE
    part record;
    outcome record;
    over bigint[];
BEGIN
    PERFORM fleet.require(tenant_id, 'quarantine', 'operator');
    IF fleet.allowed_vehicles() IS NOT NULL THEN
        RAISE EXCEPTION 'permission denied for quarantine of tenant %', tenant_id
            USING ERRCODE = 'insufficient_privilege', DETAIL = 'The token of this session is limited to some vehicles, quarantine is not.';
    END IF;
    replayed := 0; accepted := 0; repeated := 0; rejected := 0;
    IF NOT code = ANY (fleet.defect_codes()) THEN
        RAISE EXCEPTION 'unknown defect code "%"', code
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('Codes are %s.', array_to_string(fleet.defect_codes(), ', '));
    END IF;
    FOR part IN
        WITH chosen AS (
            SELECT q.quarantine_id, q.source_id, q.report
              FROM fleet.quarantine q
             WHERE q.tenant_id = replay_quarantine.tenant_id
               AND (replay_quarantine.code IS NULL OR q.code = replay_quarantine.code)
               AND q.received_at >= since
               AND q.replayed_at IS NULL AND q.raw IS NULL AND q.report IS NOT NULL
             ORDER BY q.quarantine_id LIMIT max_rows
               FOR UPDATE SKIP LOCKED),
        marked AS (
            UPDATE fleet.quarantine q SET replayed_at = clock_timestamp()
              FROM chosen c WHERE q.quarantine_id = c.quarantine_id)
        SELECT c.source_id, jsonb_agg(c.report ORDER BY c.quarantine_id) AS reports,
               array_agg(c.quarantine_id ORDER BY c.quarantine_id) AS ids
          FROM chosen c GROUP BY c.source_id ORDER BY c.source_id
    LOOP
        SELECT * INTO outcome FROM fleet.ingest_json(part.source_id, part.reports);
        -- what was beyond the quota of events is nowhere else: it stays
        SELECT coalesce(array_agg(part.ids[(r ->> 'ordinal')::integer]), '{}') INTO over
          FROM jsonb_array_elements(outcome.refused) r
         WHERE r ->> 'code' = 'over_quota' AND r ->> 'field' = 'events_per_second';
        UPDATE fleet.quarantine q SET replayed_at = NULL WHERE q.quarantine_id = ANY (over);
        replayed := replayed + outcome.received - cardinality(over);
        accepted := accepted + outcome.accepted;
        repeated := repeated + outcome.repeated;
        rejected := rejected + outcome.rejected - cardinality(over);
    END LOOP;
    PERFORM fleet.audit('quarantine.replay', tenant_id, 'quarantine', NULL,
        jsonb_strip_nulls(jsonb_build_object('code', code, 'since', since, 'replayed', replayed, 'accepted', accepted)));
END
$$;
COMMENT ON FUNCTION fleet.replay_quarantine(integer, text, timestamptz, integer) IS
    'Sends decoded reports of quarantine through the pipeline again, for one defect code or all; what is still refused comes back as a new row, what is beyond the quota of events stays';
REVOKE ALL ON FUNCTION fleet.replay_quarantine(integer, text, timestamptz, integer) FROM PUBLIC;
