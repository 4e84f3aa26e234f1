-- 23-login.sql: sessions that prove themselves with a token.

CREATE FUNCTION fleet.login_key_check(algorithms text[], key bytea) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'login_key_check';
COMMENT ON FUNCTION fleet.login_key_check(text[], bytea) IS 'True, or an error that says why a key cannot serve these algorithms';

CREATE TABLE fleet.login_key (
    key_id text PRIMARY KEY CHECK (key_id <> ''),
    tenant_id integer REFERENCES fleet.tenant ON DELETE CASCADE,
    algorithms text[] NOT NULL,
    key bytea NOT NULL,
    issuer text NOT NULL CHECK (issuer <> ''),
    audience text NOT NULL CHECK (audience <> ''),
    valid_from timestamptz NOT NULL DEFAULT pg_catalog.now(),
    valid_to timestamptz,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    CHECK (fleet.login_key_check(algorithms, key))
);
CREATE INDEX login_key_tenant_idx ON fleet.login_key (tenant_id);
COMMENT ON TABLE fleet.login_key IS 'Keys that verify the tokens of fleet.login; read by fleet_owner alone';
COMMENT ON COLUMN fleet.login_key.key_id IS 'Name of the key, the kid of tokens';
COMMENT ON COLUMN fleet.login_key.tenant_id IS 'Tokens may name this tenant only; null: any';
COMMENT ON COLUMN fleet.login_key.algorithms IS 'What the key may be used for: HS256, RS256, ES256 or EdDSA';
COMMENT ON COLUMN fleet.login_key.key IS 'HS256: the shared secret, 32 bytes or more; else the public key in PEM form';
COMMENT ON COLUMN fleet.login_key.issuer IS 'What a token''s iss must be';
COMMENT ON COLUMN fleet.login_key.audience IS 'What a token''s aud must be or hold';
COMMENT ON COLUMN fleet.login_key.valid_to IS 'The key is not used from then on; null: no end. Two live keys let tokens change over';
COMMENT ON COLUMN fleet.login_key.revoked_at IS 'The key is not used any more; sessions that are logged in stay so until their token expires';

CREATE FUNCTION fleet.create_login_key(key_id text, algorithm text, key bytea, issuer text, audience text DEFAULT 'fleet',
        tenant_id integer DEFAULT NULL, valid_from timestamptz DEFAULT now(), valid_to timestamptz DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
BEGIN
    -- a constraint would put the row, and so the key, into the server's log
    IF coalesce(key_id, '') = '' OR coalesce(issuer, '') = '' OR coalesce(audience, '') = '' OR key IS NULL OR algorithm IS NULL THEN
        RAISE EXCEPTION 'a login key needs a name, an algorithm, a key, an issuer and an audience'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM fleet.login_key_check(ARRAY[algorithm], key);
    INSERT INTO fleet.login_key (key_id, tenant_id, algorithms, key, issuer, audience, valid_from, valid_to)
    VALUES (create_login_key.key_id, create_login_key.tenant_id, ARRAY[algorithm], create_login_key.key, create_login_key.issuer,
            create_login_key.audience, coalesce(create_login_key.valid_from, now()), create_login_key.valid_to);
END
$$;
COMMENT ON FUNCTION fleet.create_login_key(text, text, bytea, text, text, integer, timestamptz, timestamptz) IS
    'Adds a key for tokens; a PEM text is given as convert_to(pem, ''UTF8'')';
REVOKE ALL ON FUNCTION fleet.create_login_key(text, text, bytea, text, text, integer, timestamptz, timestamptz) FROM PUBLIC;

CREATE FUNCTION fleet.revoke_login_key(key_id text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, fleet, pg_temp
    AS $$
BEGIN
    UPDATE fleet.login_key k SET revoked_at = clock_timestamp()
     WHERE k.key_id = revoke_login_key.key_id AND k.revoked_at IS NULL;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION fleet.revoke_login_key(text) IS 'The key verifies no token any more; false when there is no such live key';
REVOKE ALL ON FUNCTION fleet.revoke_login_key(text) FROM PUBLIC;

CREATE FUNCTION fleet.login(token text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'login';
COMMENT ON FUNCTION fleet.login(text) IS
    'Makes the session act for the tenant of a JSON Web Token, within its role, vehicles and scope, until fleet.logout(), DISCARD ALL or its expiry';

CREATE FUNCTION fleet.login_local(token text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'login_local';
COMMENT ON FUNCTION fleet.login_local(text) IS 'As fleet.login, until the transaction ends: for connection pools';

CREATE FUNCTION fleet.logout() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'logout';
COMMENT ON FUNCTION fleet.logout() IS 'Ends what fleet.login or fleet.login_local began: the session is what its role is';
REVOKE ALL ON FUNCTION fleet.login(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION fleet.login_local(text) FROM PUBLIC;
