-- 24-audit.sql: the log of sensitive acts, which shows when it was tampered with.
--
-- Each tenant has a chain of its own, and the installation has chain 0, so that
-- an act in one tenant never waits for one in another.  A row's hash covers the
-- row and the hash before it; fleet.audit_head knows where the chain ends.

CREATE TABLE fleet.audit_log (
    tenant_id integer NOT NULL,
    audit_id bigint NOT NULL,
    acted_at timestamptz NOT NULL,
    role_name text NOT NULL,
    session_role text NOT NULL,
    subject text,
    action text NOT NULL,
    object_type text NOT NULL,
    object_id text,
    detail jsonb NOT NULL,
    previous_hash bytea NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (tenant_id, audit_id)
);
CREATE INDEX audit_log_time_idx ON fleet.audit_log (tenant_id, acted_at);
COMMENT ON TABLE fleet.audit_log IS 'Who did what: append-only, each row chained to the one before by its hash; fleet.verify_audit() checks it';
COMMENT ON COLUMN fleet.audit_log.tenant_id IS 'The tenant concerned, 0 for the installation; no foreign key, the log outlives the tenant';
COMMENT ON COLUMN fleet.audit_log.audit_id IS 'Counts the rows of the tenant from 1 without a gap';
COMMENT ON COLUMN fleet.audit_log.role_name IS 'The role that acted';
COMMENT ON COLUMN fleet.audit_log.session_role IS 'The role that had connected';
COMMENT ON COLUMN fleet.audit_log.subject IS 'Whom the token of the session named (sub)';
COMMENT ON COLUMN fleet.audit_log.action IS 'What was done, such as rule.update or command.send';
COMMENT ON COLUMN fleet.audit_log.object_id IS 'Which one; null: several, or the tenant as a whole';
COMMENT ON COLUMN fleet.audit_log.detail IS 'What changed, as {"column": [old, new]}, or what was asked for; never a secret';
COMMENT ON COLUMN fleet.audit_log.previous_hash IS 'hash of the row before, 32 zero bytes for the first';
COMMENT ON COLUMN fleet.audit_log.hash IS 'SHA-256 of previous_hash and of the other columns, see fleet.audit_hash';

CREATE TABLE fleet.audit_head (
    tenant_id integer PRIMARY KEY,
    audit_id bigint NOT NULL,
    hash bytea NOT NULL
);
COMMENT ON TABLE fleet.audit_head IS 'Where the chain of each tenant in fleet.audit_log ends; who keeps a copy elsewhere can prove that nothing was cut off';

CREATE FUNCTION fleet.acting_role() RETURNS text
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'acting_role';
COMMENT ON FUNCTION fleet.acting_role() IS 'The role that acts, in a function that works with its owner''s rights too';

CREATE FUNCTION fleet.audit_hash(entry fleet.audit_log) RETURNS bytea
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    BEGIN ATOMIC
    -- microseconds, since the text of a time depends on settings
    SELECT sha256((entry).previous_hash || convert_to(jsonb_build_array((entry).tenant_id, (entry).audit_id,
        (extract(epoch FROM (entry).acted_at) * 1000000)::bigint, (entry).role_name, (entry).session_role, (entry).subject,
        (entry).action, (entry).object_type, (entry).object_id, (entry).detail)::text, 'UTF8'));
    END;
COMMENT ON FUNCTION fleet.audit_hash(fleet.audit_log) IS 'The hash that a row of the log must have: SHA-256 of previous_hash and the other columns as a JSON array in UTF-8, times in microseconds since 1970';

CREATE FUNCTION fleet.audit_many(actions jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
DECLARE
    chain record;
    act record;
    head fleet.audit_head;
    entry fleet.audit_log;
BEGIN
    FOR chain IN
        SELECT coalesce((a ->> 'tenant_id')::integer, 0) AS tenant_id, jsonb_agg(a ORDER BY place) AS acts
          FROM jsonb_array_elements(actions) WITH ORDINALITY AS e (a, place) GROUP BY 1 ORDER BY 1
    LOOP
        INSERT INTO fleet.audit_head VALUES (chain.tenant_id, 0, decode(repeat('00', 32), 'hex')) ON CONFLICT DO NOTHING;
        -- from here to the commit the chain is ours
        SELECT * INTO head FROM fleet.audit_head h WHERE h.tenant_id = chain.tenant_id FOR UPDATE;
        entry.tenant_id := chain.tenant_id;
        entry.role_name := fleet.acting_role();
        entry.session_role := session_user;
        entry.subject := fleet.session_subject();
        FOR act IN SELECT a FROM jsonb_array_elements(chain.acts) WITH ORDINALITY AS e (a, place) ORDER BY place LOOP
            head.audit_id := head.audit_id + 1;
            entry.audit_id := head.audit_id;
            entry.acted_at := clock_timestamp();
            entry.action := act.a ->> 'action';
            entry.object_type := act.a ->> 'object_type';
            entry.object_id := act.a ->> 'object_id';
            entry.detail := coalesce(act.a -> 'detail', '{}');
            entry.previous_hash := head.hash;
            entry.hash := fleet.audit_hash(entry);
            head.hash := entry.hash;
            INSERT INTO fleet.audit_log SELECT entry.*;
        END LOOP;
        UPDATE fleet.audit_head h SET audit_id = head.audit_id, hash = head.hash WHERE h.tenant_id = chain.tenant_id;
    END LOOP;
END
$$;
COMMENT ON FUNCTION fleet.audit_many(jsonb) IS 'Private: appends acts, an array of objects with tenant_id, action, object_type, object_id and detail, to the log';
REVOKE ALL ON FUNCTION fleet.audit_many(jsonb) FROM PUBLIC;

CREATE FUNCTION fleet.audit(action text, tenant_id integer, object_type text, object_id text, detail jsonb DEFAULT '{}') RETURNS void
    LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, fleet, pg_temp
    BEGIN ATOMIC
    SELECT fleet.audit_many(jsonb_build_array(jsonb_build_object('action', action, 'tenant_id', tenant_id,
        'object_type', object_type, 'object_id', object_id, 'detail', coalesce(detail, '{}'::jsonb))));
    END;
COMMENT ON FUNCTION fleet.audit(text, integer, text, text, jsonb) IS 'Private: appends one act to the log';
REVOKE ALL ON FUNCTION fleet.audit(text, integer, text, text, jsonb) FROM PUBLIC;

CREATE FUNCTION fleet.audit_refuse() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only'
        USING ERRCODE = 'insufficient_privilege', DETAIL = format('%s of %I.%I was refused.', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME);
END
$$;
COMMENT ON FUNCTION fleet.audit_refuse() IS 'Trigger of the log: nobody changes or removes a row';
REVOKE ALL ON FUNCTION fleet.audit_refuse() FROM PUBLIC;
CREATE TRIGGER audit_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON fleet.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION fleet.audit_refuse();
CREATE TRIGGER audit_refuse BEFORE DELETE OR TRUNCATE ON fleet.audit_head
    FOR EACH STATEMENT EXECUTE FUNCTION fleet.audit_refuse();
-- a session that plays a replica is refused too
ALTER TABLE fleet.audit_log ENABLE ALWAYS TRIGGER audit_refuse;
ALTER TABLE fleet.audit_head ENABLE ALWAYS TRIGGER audit_refuse;

CREATE FUNCTION fleet.verify_audit(tenant_id integer DEFAULT NULL)
    RETURNS TABLE (tenant integer, audit_id bigint, problem text)
    LANGUAGE plpgsql STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
#variable_conflict use_column
BEGIN
    -- no row means that all is well, so who may not see the log must not get none
    IF verify_audit.tenant_id IS NOT NULL OR fleet.allowed_tenants('audit', 'admin') = '{}' THEN
        PERFORM fleet.require(coalesce(verify_audit.tenant_id, 0), 'audit', 'admin');
    END IF;
    IF fleet.allowed_vehicles() IS NOT NULL THEN
        RAISE EXCEPTION 'permission denied for the audit log'
            USING ERRCODE = 'insufficient_privilege', DETAIL = 'The token of this session is limited to some vehicles, the log is not.';
    END IF;
    RETURN QUERY
    WITH chain AS (
        SELECT l.tenant_id, l.audit_id, l.hash, l.previous_hash, fleet.audit_hash(l) AS right_hash,
               lag(l.audit_id) OVER w AS id_before, lag(l.hash) OVER w AS hash_before
          FROM fleet.audit_log l
         WHERE verify_audit.tenant_id IS NULL OR l.tenant_id = verify_audit.tenant_id
        WINDOW w AS (PARTITION BY l.tenant_id ORDER BY l.audit_id)),
    ends AS (
        SELECT DISTINCT ON (c.tenant_id) c.tenant_id, c.audit_id, c.hash FROM chain c ORDER BY c.tenant_id, c.audit_id DESC)
    SELECT c.tenant_id, c.audit_id, 'row was changed' FROM chain c WHERE c.hash <> c.right_hash
    UNION ALL
    SELECT c.tenant_id, coalesce(c.id_before, 0) + 1,
           format('%s rows are missing', c.audit_id - coalesce(c.id_before, 0) - 1)
      FROM chain c WHERE c.audit_id <> coalesce(c.id_before, 0) + 1
    UNION ALL
    SELECT c.tenant_id, c.audit_id, 'row does not follow the one before'
      FROM chain c
     WHERE c.audit_id = coalesce(c.id_before, 0) + 1
       AND c.previous_hash <> coalesce(c.hash_before, decode(repeat('00', 32), 'hex'))
    UNION ALL
    SELECT coalesce(h.tenant_id, e.tenant_id), coalesce(h.audit_id, e.audit_id),
           CASE WHEN h.tenant_id IS NULL THEN 'head of the chain is missing'
                WHEN e.audit_id IS NULL OR e.audit_id < h.audit_id THEN 'rows at the end are missing'
                ELSE 'end is not what the head says' END
      FROM fleet.audit_head h FULL JOIN ends e ON e.tenant_id = h.tenant_id
     WHERE (verify_audit.tenant_id IS NULL OR coalesce(h.tenant_id, e.tenant_id) = verify_audit.tenant_id)
       AND (h.audit_id, h.hash) IS DISTINCT FROM (e.audit_id, e.hash)
       AND NOT (e.audit_id IS NULL AND h.audit_id = 0)
    ORDER BY 1, 2, 3;
END
$$;
COMMENT ON FUNCTION fleet.verify_audit(integer) IS 'What was tampered with in the audit log, of one tenant or of all that one may see: no row when it is whole';

-- What a change of a table's rows leaves in the log.  Arguments: the kind of
-- object, the column that names it, and columns that stay out of the log.
CREATE FUNCTION fleet.audit_change() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
DECLARE
    hidden text[] := TG_ARGV[2:] || '{xact_id}'::text[];
    key text := TG_ARGV[1];
    action text := TG_ARGV[0] || '.' || CASE TG_OP WHEN 'INSERT' THEN 'create' ELSE lower(TG_OP) END;
    acts jsonb;
BEGIN
    -- a restore brings the log too
    IF current_setting('row_security') = 'off' AND current_setting('is_superuser') = 'on' THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'TRUNCATE' THEN
        acts := jsonb_build_array(jsonb_build_object('action', action, 'object_type', TG_ARGV[0]));
    ELSIF TG_OP = 'INSERT' THEN
        SELECT jsonb_agg(jsonb_build_object('action', action, 'tenant_id', n -> 'tenant_id', 'object_type', TG_ARGV[0],
                   'object_id', n ->> key, 'detail', jsonb_strip_nulls(n - hidden)))
          INTO acts FROM (SELECT to_jsonb(r) AS n FROM new_rows r) r;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT jsonb_agg(jsonb_build_object('action', action, 'tenant_id', o -> 'tenant_id', 'object_type', TG_ARGV[0],
                   'object_id', o ->> key, 'detail', jsonb_strip_nulls(o - hidden)))
          INTO acts FROM (SELECT to_jsonb(r) AS o FROM old_rows r) r;
    ELSE
        -- a hidden column that changed is named without its values
        SELECT jsonb_agg(jsonb_build_object('action', action, 'tenant_id', coalesce(nullif(n -> 'tenant_id', 'null'), o -> 'tenant_id'), 'object_type', TG_ARGV[0],
                   'object_id', coalesce(n ->> key, o ->> key), 'detail', changed))
          INTO acts
          FROM (SELECT to_jsonb(r) AS o FROM old_rows r) o
          FULL JOIN (SELECT to_jsonb(r) AS n FROM new_rows r) n ON n ->> key = o ->> key
         CROSS JOIN LATERAL (
               SELECT jsonb_object_agg(coalesce(a.key, b.key),
                          CASE WHEN coalesce(a.key, b.key) = ANY (hidden) THEN '"changed"'
                               ELSE jsonb_build_array(a.value, b.value) END) AS changed
                 FROM jsonb_each(o) a FULL JOIN jsonb_each(n) b ON b.key = a.key
                WHERE a.value IS DISTINCT FROM b.value AND coalesce(a.key, b.key) <> 'xact_id') c
         WHERE changed IS NOT NULL;
    END IF;
    IF acts IS NOT NULL THEN
        PERFORM fleet.audit_many(acts);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION fleet.audit_change() IS 'Trigger: notes in the audit log what a statement changed';
REVOKE ALL ON FUNCTION fleet.audit_change() FROM PUBLIC;
