-- 25-token.sql: how sources prove who they are.
--
-- A token is flt_PREFIX_SECRET.  The prefix finds the row and may be shown; of
-- the whole only the SHA-256 is kept.

CREATE TABLE fleet.source_token (
    prefix text COLLATE "C" PRIMARY KEY CHECK (prefix ~ '^[0-9A-Za-z]{10}$'),
    source_id integer NOT NULL,
    tenant_id integer NOT NULL,
    token_sha256 bytea NOT NULL CHECK (length(token_sha256) = 32),
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    expires_at timestamptz CHECK (isfinite(expires_at)),
    revoked_at timestamptz,
    FOREIGN KEY (source_id, tenant_id) REFERENCES fleet.source (source_id, tenant_id) ON DELETE CASCADE
);
CREATE INDEX source_token_source_idx ON fleet.source_token (source_id, tenant_id);
COMMENT ON TABLE fleet.source_token IS 'Tokens of sources; a token is good while neither it nor its source has expired or is revoked';
COMMENT ON COLUMN fleet.source_token.prefix IS 'What stands between flt_ and the secret: names the token, and is no secret itself';
COMMENT ON COLUMN fleet.source_token.token_sha256 IS 'SHA-256 of the whole token';
COMMENT ON COLUMN fleet.source_token.expires_at IS 'When it ends because another has taken its place; the end of the source holds besides';
COMMENT ON COLUMN fleet.source_token.revoked_at IS 'Since when it is not good any more';

CREATE FUNCTION fleet.token_new() RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'token_new';
COMMENT ON FUNCTION fleet.token_new() IS 'Private: a new token, from the server''s strong generator';
REVOKE ALL ON FUNCTION fleet.token_new() FROM PUBLIC;

CREATE FUNCTION fleet.token_prefix(token text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'token_prefix';
COMMENT ON FUNCTION fleet.token_prefix(text) IS 'The prefix of a token; empty when it has not the form of one';

CREATE FUNCTION fleet.token_matches(token text, token_sha256 bytea) RETURNS boolean
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'token_matches';
COMMENT ON FUNCTION fleet.token_matches(text, bytea) IS 'Private: is that the SHA-256 of the token? Takes as long whatever the answer is, and where there is nothing to compare with';
REVOKE ALL ON FUNCTION fleet.token_matches(text, bytea) FROM PUBLIC;

-- --- for those who send ---

CREATE FUNCTION fleet.authenticate(token text)
    RETURNS TABLE (source_id integer, prefix text, expires_in interval, devices text[])
    LANGUAGE sql STABLE STRICT PARALLEL SAFE ROWS 1 SECURITY DEFINER
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
    -- compared before anything else is asked, lest the time tell what there is
    WITH found AS MATERIALIZED (
        SELECT t.source_id, t.prefix, least(t.expires_at, s.expires_at) AS ends, s.devices,
               t.revoked_at IS NULL AND s.revoked_at IS NULL AS live,
               fleet.token_matches(authenticate.token, t.token_sha256) AS good
          FROM (VALUES (fleet.token_prefix(authenticate.token))) AS asked (prefix)
          LEFT JOIN fleet.source_token t ON t.prefix = asked.prefix COLLATE "C"
          LEFT JOIN fleet.source s ON s.source_id = t.source_id)
    SELECT f.source_id, f.prefix, f.ends - clock_timestamp(), f.devices
      FROM found f
     WHERE f.good AND f.live AND coalesce(f.ends > clock_timestamp(), true)
$$;
COMMENT ON FUNCTION fleet.authenticate(text) IS
    'The source that a token belongs to, the token''s prefix, how long it is still good (null: no end) and for which devices (null: all); no row when it is not good';
REVOKE ALL ON FUNCTION fleet.authenticate(text) FROM PUBLIC;

CREATE FUNCTION fleet.authenticate_source(token text) RETURNS integer
    LANGUAGE sql STABLE STRICT PARALLEL SAFE SECURITY DEFINER
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
    SELECT a.source_id FROM fleet.authenticate(authenticate_source.token) a
$$;
COMMENT ON FUNCTION fleet.authenticate_source(text) IS 'The source that a token belongs to; null when it is not good';
REVOKE ALL ON FUNCTION fleet.authenticate_source(text) FROM PUBLIC;

CREATE FUNCTION fleet.live_credentials(prefixes text[], sources integer[])
    RETURNS TABLE (prefix text, source_id integer, expires_in interval)
    LANGUAGE sql STABLE STRICT PARALLEL SAFE SECURITY DEFINER
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
    SELECT l.prefix, l.source_id, l.ends - clock_timestamp()
      FROM (SELECT t.prefix, t.source_id, least(t.expires_at, s.expires_at) AS ends
              FROM fleet.source_token t JOIN fleet.source s USING (source_id)
             WHERE t.prefix = ANY (prefixes) AND t.revoked_at IS NULL AND s.revoked_at IS NULL
            UNION ALL
            SELECT NULL, s.source_id, s.expires_at
              FROM fleet.source s
             WHERE s.source_id = ANY (sources) AND s.revoked_at IS NULL) l
     WHERE coalesce(l.ends > clock_timestamp(), true)
$$;
COMMENT ON FUNCTION fleet.live_credentials(text[], integer[]) IS
    'For fleetd: which of these tokens, by prefix, and which of these sources are still good, and for how long (null: no end)';
REVOKE ALL ON FUNCTION fleet.live_credentials(text[], integer[]) FROM PUBLIC;

-- --- for administrators ---

-- The source, if the session may administer it; nobody learns whether one that
-- is not his exists.
CREATE FUNCTION fleet.source_for(source_id integer) RETURNS fleet.source
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
DECLARE
    source fleet.source;
BEGIN
    SELECT * INTO source FROM fleet.source s WHERE s.source_id = source_for.source_id;
    BEGIN
        PERFORM fleet.require(coalesce(source.tenant_id, 0), 'source', 'admin');
    EXCEPTION WHEN insufficient_privilege THEN
        source := NULL;
    END;
    IF source.source_id IS NULL OR fleet.allowed_vehicles() IS NOT NULL THEN
        RAISE EXCEPTION 'source % does not exist', source_for.source_id
            USING ERRCODE = 'no_data_found', HINT = 'It may belong to a tenant for which you cannot act.';
    END IF;
    RETURN source;
END
$$;
COMMENT ON FUNCTION fleet.source_for(integer) IS 'Private: a source; an error when there is no such source for this session';
REVOKE ALL ON FUNCTION fleet.source_for(integer) FROM PUBLIC;

-- The end of a source as a table has it: 'infinity' is none.
CREATE FUNCTION fleet.source_end(expires_at timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
BEGIN
    IF expires_at <= clock_timestamp() THEN
        RAISE EXCEPTION 'a source cannot end in the past'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'fleet.revoke_source() ends one at once.';
    END IF;
    RETURN nullif(expires_at, 'infinity');
END
$$;
COMMENT ON FUNCTION fleet.source_end(timestamptz) IS 'Private: checks the end of a source';
REVOKE ALL ON FUNCTION fleet.source_end(timestamptz) FROM PUBLIC;

CREATE FUNCTION fleet.token_issue(source_id integer, tenant_id integer) RETURNS text
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
DECLARE
    token text := fleet.token_new();
BEGIN
    INSERT INTO fleet.source_token (prefix, source_id, tenant_id, token_sha256, created_at)
    VALUES (fleet.token_prefix(token), token_issue.source_id, token_issue.tenant_id,
            sha256(convert_to(token, 'UTF8')), clock_timestamp());
    RETURN token;
END
$$;
COMMENT ON FUNCTION fleet.token_issue(integer, integer) IS 'Private: gives a source one more token';
REVOKE ALL ON FUNCTION fleet.token_issue(integer, integer) FROM PUBLIC;

CREATE FUNCTION fleet.create_source(tenant_id integer, name text, devices text[] DEFAULT NULL, expires_at timestamptz DEFAULT NULL,
        OUT source_id integer, OUT token text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
BEGIN
    PERFORM fleet.require(create_source.tenant_id, 'source', 'admin');
    IF fleet.allowed_vehicles() IS NOT NULL THEN
        RAISE EXCEPTION 'permission denied for tenant %', create_source.tenant_id
            USING ERRCODE = 'insufficient_privilege', DETAIL = 'The session is limited to some vehicles.';
    END IF;
    INSERT INTO fleet.source (tenant_id, name, devices, expires_at)
    VALUES (create_source.tenant_id, create_source.name, create_source.devices, fleet.source_end(create_source.expires_at))
    RETURNING source.source_id INTO create_source.source_id;
    token := fleet.token_issue(create_source.source_id, create_source.tenant_id);
EXCEPTION
    WHEN unique_violation THEN
        RAISE EXCEPTION 'source "%" of tenant % exists', create_source.name, create_source.tenant_id
            USING ERRCODE = 'unique_violation', HINT = 'Choose another name, or fleet.rotate_token() for another token.';
    WHEN foreign_key_violation THEN
        RAISE EXCEPTION 'tenant % does not exist', create_source.tenant_id
            USING ERRCODE = 'foreign_key_violation', HINT = 'INSERT INTO fleet.tenant (name) creates one.';
END
$$;
COMMENT ON FUNCTION fleet.create_source(integer, text, text[], timestamptz) IS
    'Creates a source, for all devices of the tenant or some, without an end or with one; its token is shown this once, only the SHA-256 is kept';
REVOKE ALL ON FUNCTION fleet.create_source(integer, text, text[], timestamptz) FROM PUBLIC;

CREATE FUNCTION fleet.rotate_token(source_id integer, overlap interval DEFAULT '1 day', expires_at timestamptz DEFAULT NULL)
    RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
DECLARE
    source fleet.source := fleet.source_for(rotate_token.source_id);
    moment timestamptz;
    live text[];
BEGIN
    -- one rotation after the other
    SELECT * INTO source FROM fleet.source s WHERE s.source_id = rotate_token.source_id FOR NO KEY UPDATE;
    moment := clock_timestamp();
    IF overlap IS NULL OR overlap < '0' THEN
        RAISE EXCEPTION 'overlap must not be negative'
            USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', coalesce(overlap::text, 'null'));
    END IF;
    IF source.revoked_at IS NOT NULL THEN
        RAISE EXCEPTION 'source % is revoked', source.source_id
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'fleet.create_source() creates another one.';
    END IF;
    IF rotate_token.expires_at IS NOT NULL THEN
        UPDATE fleet.source s SET expires_at = fleet.source_end(rotate_token.expires_at)
         WHERE s.source_id = source.source_id;
    ELSIF source.expires_at <= moment THEN
        RAISE EXCEPTION 'source % has expired', source.source_id
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Give a new end as expires_at; ''infinity'' is none.';
    END IF;
    live := ARRAY(SELECT t.prefix FROM fleet.source_token t
                   WHERE t.source_id = source.source_id AND t.revoked_at IS NULL AND coalesce(t.expires_at > moment, true)
                   ORDER BY t.created_at);
    IF cardinality(live) > 1 THEN
        RAISE EXCEPTION 'source % has two tokens that are good', source.source_id
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('Their prefixes are %s.', array_to_string(live, ' and ')),
                  HINT = format('fleet.revoke_token(''%s'') ends the older one at once.', live[1]);
    END IF;
    -- always written, so that at other levels of isolation two rotations cannot both pass
    UPDATE fleet.source_token t SET expires_at = least(t.expires_at, moment + overlap) WHERE t.prefix = ANY (live);
    RETURN fleet.token_issue(source.source_id, source.tenant_id);
END
$$;
COMMENT ON FUNCTION fleet.rotate_token(integer, interval, timestamptz) IS
    'Gives a source a second token, shown this once; the first one ends after the overlap at the latest. With expires_at the source gets another end, ''infinity'' for none';
REVOKE ALL ON FUNCTION fleet.rotate_token(integer, interval, timestamptz) FROM PUBLIC;

-- Who calls these needs the rights on the rows.
CREATE FUNCTION fleet.revoke_token(prefix text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
BEGIN
    UPDATE fleet.source_token t SET revoked_at = clock_timestamp()
     WHERE t.prefix = coalesce(nullif(fleet.token_prefix(revoke_token.prefix), ''), revoke_token.prefix) AND t.revoked_at IS NULL;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION fleet.revoke_token(text) IS 'Ends a token, given by its prefix or as a whole, at once, in open connections too; false when there is no such one';
REVOKE ALL ON FUNCTION fleet.revoke_token(text) FROM PUBLIC;

CREATE FUNCTION fleet.revoke_source(source_id integer) RETURNS boolean
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
BEGIN
    UPDATE fleet.source s SET revoked_at = clock_timestamp()
     WHERE s.source_id = revoke_source.source_id AND s.revoked_at IS NULL;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION fleet.revoke_source(integer) IS 'Ends a source with all of its tokens at once, in open connections too; false when there is no such one';
REVOKE ALL ON FUNCTION fleet.revoke_source(integer) FROM PUBLIC;

CREATE FUNCTION fleet.token_stays_revoked() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
BEGIN
    RAISE EXCEPTION 'a revoked token stays revoked'
        USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'fleet.rotate_token() gives the source another one.';
END
$$;
COMMENT ON FUNCTION fleet.token_stays_revoked() IS 'Trigger of fleet.source_token: what has leaked does not become good again';
REVOKE ALL ON FUNCTION fleet.token_stays_revoked() FROM PUBLIC;
CREATE TRIGGER token_stays_revoked BEFORE UPDATE ON fleet.source_token
    FOR EACH ROW WHEN (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS NULL) EXECUTE FUNCTION fleet.token_stays_revoked();

-- --- for daemons ---

CREATE FUNCTION fleet.source_announce() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
DECLARE
    sources integer[];
BEGIN
    -- a full queue would make this commit fail; daemons look by themselves now and then
    IF pg_notification_queue_usage() > 0.9 THEN
        RETURN NULL;
    END IF;
    IF TG_OP <> 'TRUNCATE' THEN
        sources := ARRAY(SELECT DISTINCT c.source_id FROM changed c LIMIT 101);
    END IF;
    IF cardinality(sources) <= 100 THEN
        PERFORM pg_notify(fleet.daemon_channel_name(), 'source ' || s) FROM unnest(sources) s;
    ELSE
        PERFORM pg_notify(fleet.daemon_channel_name(), 'source *');
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION fleet.source_announce() IS 'Trigger of fleet.source and fleet.source_token: tells daemons to ask anew what is still good';
REVOKE ALL ON FUNCTION fleet.source_announce() FROM PUBLIC;

-- one that a listener names may come to be; tokens are asked about when they are used
CREATE TRIGGER announce_insert AFTER INSERT ON fleet.source
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION fleet.source_announce();
CREATE TRIGGER announce_update AFTER UPDATE ON fleet.source
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION fleet.source_announce();
CREATE TRIGGER announce_delete AFTER DELETE ON fleet.source
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION fleet.source_announce();
CREATE TRIGGER announce_truncate AFTER TRUNCATE ON fleet.source
    FOR EACH STATEMENT EXECUTE FUNCTION fleet.source_announce();
CREATE TRIGGER announce_update AFTER UPDATE ON fleet.source_token
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION fleet.source_announce();
CREATE TRIGGER announce_delete AFTER DELETE ON fleet.source_token
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION fleet.source_announce();
CREATE TRIGGER announce_truncate AFTER TRUNCATE ON fleet.source_token
    FOR EACH STATEMENT EXECUTE FUNCTION fleet.source_announce();
