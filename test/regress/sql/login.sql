--
-- fleet.login: what a token proves, and for how long
--
SET timezone = 'UTC'; SET datestyle = 'ISO';
\set SHOW_CONTEXT never
CREATE SCHEMA regress_login;
GRANT USAGE ON SCHEMA regress_login TO PUBLIC;
SET search_path = regress_login, public;
INSERT INTO fleet.tenant (tenant_id, name) VALUES (492, 'login'), (493, 'login of others');
SELECT fleet.register_device(492, 'a') AS a, fleet.register_device(492, 'b') AS b, fleet.register_device(493, 'a') AS theirs \gset
CREATE ROLE regress_login IN ROLE fleet_admin LOGIN;
SELECT current_user AS me \gset

-- tokens made by hand; compact form wants base64 with - and _ and nothing behind
CREATE FUNCTION base64url(bytes bytea) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT translate(rtrim(replace(encode(bytes, 'base64'), chr(10), ''), '='), '+/', '-_') $$;
CREATE FUNCTION hmac(key bytea, message bytea) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    inner_pad bytea := decode(repeat('36', 64), 'hex');
    outer_pad bytea := decode(repeat('5c', 64), 'hex');
BEGIN
    IF length(key) > 64 THEN
        key := sha256(key);
    END IF;
    FOR i IN 0 .. length(key) - 1 LOOP
        inner_pad := set_byte(inner_pad, i, get_byte(inner_pad, i) # get_byte(key, i));
        outer_pad := set_byte(outer_pad, i, get_byte(outer_pad, i) # get_byte(key, i));
    END LOOP;
    RETURN sha256(outer_pad || sha256(inner_pad || message));
END $$;
-- RFC 4231, test cases 2 and 6
SELECT hmac('Jefe', 'what do ya want for nothing?'), hmac(decode(repeat('aa', 131), 'hex'), 'Test Using Larger Than Block-Size Key - Hash Key First');
CREATE FUNCTION signed(header text, claims text, secret bytea DEFAULT sha256('one')) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT s.part || '.' || base64url(hmac(secret, convert_to(s.part, 'UTF8')))
      FROM (SELECT base64url(convert_to(header, 'UTF8')) || '.' || base64url(convert_to(claims, 'UTF8'))) s (part) $$;
CREATE FUNCTION token(claims jsonb DEFAULT '{}', header jsonb DEFAULT '{}', secret bytea DEFAULT sha256('one')) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT signed(('{"alg": "HS256"}' || header)::text,
                  jsonb_strip_nulls('{"iss": "login", "aud": "fleet", "exp": 4000000000, "tenant": 492, "role": "reader", "sub": "anna"}' || claims)::text, secret) $$;
CREATE FUNCTION try(token text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    PERFORM fleet.login_local(token);
    detail := format('%s may read %s', coalesce(fleet.session_subject(), 'somebody'), fleet.allowed_tenants('history', 'reader'));
    PERFORM fleet.logout();
    RETURN detail;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' | ', SQLSTATE, SQLERRM, detail);
END $$;
CREATE FUNCTION seen() RETURNS text LANGUAGE sql AS $$
    SELECT format('%s: %s', coalesce(fleet.session_subject(), '-'), coalesce(string_agg(v.tenant_id || v.name, ' ' ORDER BY v.tenant_id, v.name), 'nothing')) FROM fleet.vehicle v $$;

-- 1. Keys: what each algorithm needs
SELECT fleet.create_login_key('login one', 'HS256', sha256('one'), 'login');
SELECT fleet.create_login_key('short', 'HS256', '\x00112233445566778899aabbccddeeff', 'login');
SELECT fleet.create_login_key('alg', 'HS512', sha256('x'), 'login');
SELECT fleet.create_login_key('alg', 'none', sha256('x'), 'login');
SELECT fleet.create_login_key('alg', NULL, sha256('x'), 'login');
SELECT fleet.create_login_key('iss', 'HS256', sha256('x'), '');
SELECT fleet.create_login_key('iss', 'HS256', sha256('x'), NULL);
SELECT fleet.create_login_key('aud', 'HS256', sha256('x'), 'login', '');
SELECT fleet.create_login_key('text', 'RS256', 'no PEM at all', 'login');
SELECT fleet.create_login_key('', 'HS256', sha256('x'), 'login'), fleet.create_login_key(NULL, 'HS256', sha256('x'), 'login');
SELECT fleet.create_login_key('null', 'HS256', NULL, 'login');
SELECT fleet.create_login_key('login one', 'HS256', sha256('x'), 'login');
SELECT fleet.create_login_key('tenant', 'HS256', sha256('x'), 'login', 'fleet', 4999);
INSERT INTO fleet.login_key (key_id, algorithms, key, issuer, audience) VALUES ('two', '{}', sha256('x'), 'login', 'fleet');
-- a public key serves its own algorithm, and is no secret
-- made once, with keys that were thrown away
\set rs 'eyJhbGciOiJSUzI1NiIsImtpZCI6ImxvZ2luIHJzIn0.eyJpc3MiOiJsb2dpbiIsImF1ZCI6ImZsZWV0IiwiZXhwIjo0MTAyNDQ0ODAwLCJ0ZW5hbnQiOjQ5Miwicm9sZSI6InJlYWRlciIsInN1YiI6ImZpeGVkIn0.mPWs6VMlV7gwc6mLldN2pZ1FRcrWS7FHjMVyuWFFeK6u8NxipC3wA7lgBEnpX7HUOWv8QTsCxB9txOlhorbyD1qmwKWSkZAU17vawFqC-5CThxMD2rNf3dS910ez5DBcqR0607NBDun2Lhuznv1AhYHDqlc3esgNJ-4_yu9JCldBYpvkOMHVTNZAxEz458LGKimuTbacTjcC4LyeBTe0Hdam98GO_yJFDV3zO6_RsMOF-SDKPhM9wNUHh_Et7F-HPWnLWBoKGx1Plmwm-y6S4sFAC9MtCPlwVDRE6KjfIgn8nqwOWjIwp1WsoCdL1pd0I9SshtoHJXlyfCKAoFa7Qg'
\set es 'eyJhbGciOiJFUzI1NiIsImtpZCI6ImxvZ2luIGVzIn0.eyJpc3MiOiJsb2dpbiIsImF1ZCI6ImZsZWV0IiwiZXhwIjo0MTAyNDQ0ODAwLCJ0ZW5hbnQiOjQ5Miwicm9sZSI6InJlYWRlciIsInN1YiI6ImZpeGVkIn0.Wz4djpCvZPkg58lIEHVs0oPFQgobTEYv82SnQX9w5i2HoGbk972CJDFppQ0q8au2Qh-RrUxbYc5h-PeLTg_JaA'
\set ed 'eyJhbGciOiJFZERTQSIsImtpZCI6ImxvZ2luIGVkIn0.eyJpc3MiOiJsb2dpbiIsImF1ZCI6ImZsZWV0IiwiZXhwIjo0MTAyNDQ0ODAwLCJ0ZW5hbnQiOjQ5Miwicm9sZSI6InJlYWRlciIsInN1YiI6ImZpeGVkIn0.C-bMbW7v5o7eBlaCJQ6ia8OyCW6l7KE3Dp7W6S7HlxnJjCff4l5n0aHRVdIMB_PHUENm4AFYZxWxeHdZjFHzAw'
\set rsa_pem '-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAvq8EWQjjQAVesRaOOVUh\nJ37VHru1i1YnpaO0KdVKJ1M3ohAwPBSpADPIRfVO7x0TmChjnzlERHizvI9NCFx2\nPHtbR+ORKFGvpNyHWL81DOrRU9/OfyN+7WOwLnwmEW78HdwASRw/MW3lVoQcBb0P\nOibiEsKE814rGLJcpWTh768FxRr6IGvXSg1UNaanmcNiND/AfnGyXYzuIohPrfjS\n/mlB54K1F4KM9tTecqvS9Ixt/V5/1H9VOLuN3R0CRW8lCZ+u7w3Gx6ecTERPexio\ne5TI7CgsxAUvuSeLUdTnu7CrdpqCnIx/QDWTZJSfV2dBUNT1PLcP25eWWx2pPMn0\nnwIDAQAB\n-----END PUBLIC KEY-----\n'
\set ec_pem '-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEzewqh8B1s7AEY34hznQrNy4UhGhn\n5iw46/lNxQFb42apUBFxqhTIz6vgQwwXFY1l+rUfwQhlNHbWMOLOkYewHQ==\n-----END PUBLIC KEY-----\n'
\set ed_pem '-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAKjM+r6e1WRl6iuShNFw259OSL3n/gpcOSw24iAx9334=\n-----END PUBLIC KEY-----\n'
\set rsa1024_pem '-----BEGIN PUBLIC KEY-----\nMIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCpGrvY4XPtkIrCfPzwhRJE42Tw\nuRa/hxbcX4CNr5mQ6OuOBX1jGjyldt3h6lo2NVic4Y2pmW1R5FT7MsvADt+Bvbe8\nGCx7W6Ka8UEVG2XW85UGWEarCYW9G7mGqLh37iKOH1a88ynLuloB6n+2/GSVBBCh\n2zyySO7uBjR1WSfxlwIDAQAB\n-----END PUBLIC KEY-----\n'
\set k1_pem '-----BEGIN PUBLIC KEY-----\nMFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEw5+B4XPPU7gMHi4ge+Hio3urBUF5SgME\nqZ/k8Vm5DXlSAdT8X0hfH3w+UOH9oLZ3SXIWwi/f558cGiEuDNd5uw==\n-----END PUBLIC KEY-----\n'
CREATE FUNCTION fits(algorithm text, pem text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    RETURN fleet.login_key_check(ARRAY[algorithm], convert_to(pem, 'UTF8'));
EXCEPTION WHEN invalid_parameter_value THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN detail;
END $$;
SELECT a.algorithm, k.name, fits(a.algorithm, k.pem) FROM unnest('{HS256,RS256,ES256,EdDSA}'::text[]) a (algorithm),
       (VALUES (1, 'RSA', :'rsa_pem'), (2, 'short RSA', :'rsa1024_pem'), (3, 'P-256', :'ec_pem'), (4, 'secp256k1', :'k1_pem'), (5, 'Ed25519', :'ed_pem')) k (place, name, pem)
 ORDER BY 1, place;
SELECT fleet.login_key_check('{RS256,HS256}', convert_to(:'rsa_pem', 'UTF8'));
SELECT fleet.create_login_key('login rs', 'RS256', convert_to(:'rsa_pem', 'UTF8'), 'login'), fleet.create_login_key('login es', 'ES256', convert_to(:'ec_pem', 'UTF8'), 'login'),
       fleet.create_login_key('login ed', 'EdDSA', convert_to(:'ed_pem', 'UTF8'), 'login');

SET ROLE regress_login;
-- nobody but fleet_owner sees keys or makes them
SELECT * FROM fleet.login_key;
SELECT fleet.create_login_key('mine', 'HS256', sha256('x'), 'login');
SELECT fleet.revoke_login_key('login one');
SELECT seen();

-- 2. Tokens that are good: each algorithm, with the name of the key and without
SELECT try(token()), try(token('{}', '{"kid": "login one", "typ": "JWT", "cty": "x"}'));
SELECT try(:'rs'), try(:'es'), try(:'ed');
-- and a little changed
SELECT name, try(changed) FROM (VALUES
    (1, 'RS256: signature', left(:'rs', -4) || 'AAAA'), (2, 'ES256: signature', left(:'es', -4) || 'AAAA'), (3, 'EdDSA: signature', left(:'ed', -4) || 'AAAA'),
    (4, 'ES256: shorter', left(:'es', -2)), (5, 'ES256: longer', :'es' || 'AA'), (6, 'EdDSA: none', regexp_replace(:'ed', '[^.]*$', '')), (7, 'RS256: none', regexp_replace(:'rs', '[^.]*$', '')),
    (8, 'ES256: zeros', regexp_replace(:'es', '[^.]*$', repeat('A', 86))),
    (9, 'payload', replace(:'rs', split_part(:'rs', '.', 2), split_part(token('{"role": "admin"}'), '.', 2))),
    (10, 'another algorithm', base64url('{"alg":"ES256","kid":"login rs"}') || substr(:'rs', strpos(:'rs', '.'))),
    (11, 'another key', base64url('{"alg":"RS256","kid":"login es"}') || substr(:'rs', strpos(:'rs', '.')))) t (place, name, changed) ORDER BY place;

-- 3. Headers
SELECT header, try(signed(header, convert_from(decode(translate(split_part(token(), '.', 2), '-_', '+/') || repeat('=', (4 - length(split_part(token(), '.', 2)) % 4) % 4), 'base64'), 'UTF8')))
  FROM unnest(ARRAY['{"alg": "none"}', '{"alg": "None"}', '{"alg": ""}', '{"alg": "hs256"}', '{"alg": "HS384"}', '{"alg": ["HS256"]}', '{"alg": null}', '{}', '[]', '"HS256"', 'null', '', '{"alg": "HS256"',
    '{"alg": "HS256", "kid": "no such key"}', '{"alg": "HS256", "kid": "login rs"}', '{"alg": "HS256", "kid": 1}', '{"alg": "HS256", "kid": null}', '{"alg": "HS256", "crit": ["exp"]}', '{"alg": "HS256", "crit": []}',
    '{"alg": "HS256", "kid": "x'' OR true --"}', '{"alg": "HS256", "b64": false, "crit": ["b64"]}', '{"alg": "none", "alg": "HS256"}', '{"alg": "HS256\u0000"}']) header;
-- no signature at all
SELECT try(base64url('{"alg":"none"}') || '.' || split_part(token(), '.', 2) || '.');
-- the public key as a secret
SELECT try(token('{}', '{"kid": "login rs"}', convert_to(:'rsa_pem', 'UTF8'))), try(token('{}', '{}', convert_to(:'rsa_pem', 'UTF8'))), try(token('{}', '{}', ''));
-- a key in the header is not looked at
SELECT try(token('{}', '{"jwk": {"kty": "oct", "k": "AAAA"}, "jku": "http://localhost/", "x5u": "http://localhost/"}', 'AAAA'));

-- 4. Form
SELECT left(t, 30) AS token, try(t) FROM unnest(ARRAY['', '.', '..', '...', 'a.b', 'a.b.c', token() || '.', '.' || token(), token() || '=', token() || ' ', ' ' || token(), token() || E'\n',
    replace(token(), '.', '..'), replace(token(), '.', ','), translate(token('{"sub": "??>>"}'), '-_', '+/'), repeat('A', 20000), repeat('.', 20000), 'é' || token(), token() || '.' || split_part(token(), '.', 3),
    left(token(), -1), token() || 'A', token() || 'AAAA']) t;
-- stray bits behind the last byte say the same in another way
SELECT count(*) FILTER (WHERE try(left(token(), -1) || c) ~ 'anna') AS good FROM unnest(string_to_array('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_', NULL)) c;
SELECT left(c, 40) AS claims, try(signed('{"alg":"HS256"}', c)) FROM unnest(ARRAY['', '{}', '[]', 'null', '1', '"x"', '{"iss": "login"', '{"iss": "login"} x', repeat('[', 9000), '{"a":' || repeat('{"a":', 2000), '{"iss": "login\u0000"}',
    '{"iss": "login", "x": 1e400000}', '{"iss": "\ud800"}']) c;
-- bytes that are no UTF-8, and a NUL
SELECT try(s.part || '.' || base64url(hmac(sha256('one'), convert_to(s.part, 'UTF8')))) FROM unnest(ARRAY['\x7b22ff223a317d'::bytea, '\x7b7d00', '\x00']) b, LATERAL (SELECT base64url('{"alg":"HS256"}') || '.' || base64url(b)) s (part);
-- the longest that is read, and one more
SELECT length(t), left(try(t), 40) FROM (SELECT token(jsonb_build_object('x', repeat('x', n))) FROM unnest(ARRAY[12000, 12100, 12200]) n) s (t);

-- 5. Claims
SELECT claims, try(token(claims)) FROM unnest(ARRAY['{"iss": null}', '{"iss": "Login"}', '{"iss": ["login"]}', '{"iss": 1}',
    '{"aud": null}', '{"aud": "other"}', '{"aud": ["other", "fleet"]}', '{"aud": []}', '{"aud": [["fleet"]]}', '{"aud": {"fleet": 1}}', '{"aud": "fleet "}', '{"aud": 1}',
    '{"exp": null}', '{"exp": "4000000000"}', '{"exp": 1}', '{"exp": -1}', '{"exp": 0}', '{"exp": 1e30}', '{"exp": 4000000000.5}', '{"exp": true}', '{"exp": [4000000000]}',
    '{"nbf": 1}', '{"nbf": 4000000000}', '{"nbf": "1"}', '{"nbf": 1e30}', '{"iat": 4000000000}',
    '{"tenant": null}', '{"tenant": "492"}', '{"tenant": 0}', '{"tenant": -492}', '{"tenant": 492.5}', '{"tenant": 4294967788}', '{"tenant": 1e30}', '{"tenant": [492]}', '{"tenant": 493}', '{"tenant": 4999}',
    '{"role": null}', '{"role": "owner"}', '{"role": "Reader"}', '{"role": ["reader"]}', '{"role": ""}', '{"role": "ingest"}', '{"role": "operator"}', '{"role": "admin"}',
    '{"sub": null}', '{"sub": 7}', '{"sub": ""}', '{"scope": 1}', '{"scope": ["history"]}', '{"scope": ""}', '{"scope": "alert"}', '{"scope": "alert history"}', '{"scope": "historyx"}', '{"scope": " history "}',
    '{"vehicles": 1}', '{"vehicles": "a"}', '{"vehicles": {}}', '{"vehicles": []}']::jsonb[]) claims;
SELECT try(token(jsonb_build_object('sub', repeat('s', n)))) ~ 's+ may' AS good FROM unnest(ARRAY[255, 256]) n;
SELECT left(try(token(jsonb_build_object('scope', repeat('history ', n)))), 80) FROM unnest(ARRAY[64, 65]) n;
SELECT left(try(token(jsonb_build_object('vehicles', (SELECT jsonb_agg(1) FROM generate_series(1, n))))), 80) FROM unnest(ARRAY[5500]) n;
-- a little ahead of this clock a token may be
SELECT try(token(jsonb_build_object('nbf', extract(epoch FROM clock_timestamp())::bigint + 20))), try(token(jsonb_build_object('nbf', extract(epoch FROM clock_timestamp())::bigint + 60)));

-- 6. Levels, scope and vehicles
CREATE TEMP TABLE wanted (area text, level text);
INSERT INTO wanted SELECT a, l FROM unnest('{history,command}'::text[]) a, unnest('{ingest,reader,operator,admin}'::text[]) l;
CREATE FUNCTION pg_temp.may(claims jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    PERFORM fleet.login_local(token(claims));
    SELECT coalesce(string_agg(area || ' ' || level, ', '), 'nothing') INTO result FROM wanted WHERE fleet.allowed_tenants(area, level) = '{492}';
    RETURN result || coalesce(', vehicles ' || (SELECT string_agg(v.name, ' ' ORDER BY v.name) FROM fleet.vehicle v)::text, '');
END $$;
SELECT claims, pg_temp.may(claims) FROM unnest(ARRAY['{"role": "ingest"}', '{"role": "reader"}', '{"role": "operator"}', '{"role": "admin"}', '{"role": "admin", "scope": "command"}', '{"role": "admin", "scope": "registry"}']::jsonb[]) claims;
SELECT fleet.allowed_tenants('history', 'owner');
SELECT pg_temp.may(jsonb_build_object('vehicles', v))
  FROM unnest(ARRAY[jsonb_build_array(:a), '["b"]', jsonb_build_array(:a, 'b'), jsonb_build_array(:theirs), '["nobody", null, true, [1], {"a": 1}, 1.5, -1, 1e30]', '[]', jsonb_build_array(:'a'), '["a", "a"]']) v;
-- what a role may not do by itself, a token does not give
RESET ROLE;
CREATE ROLE regress_login_reader IN ROLE fleet_reader;
SET ROLE regress_login_reader;
SELECT fleet.login(token('{"role": "admin"}'));
DELETE FROM fleet.vehicle;
SELECT fleet.erase_vehicle(:a);
SELECT fleet.logout();
-- nor does a token of less leave what the role has
RESET ROLE;
SELECT fleet.grant_tenant('regress_login', 492), fleet.grant_tenant('regress_login', 493);
SET ROLE regress_login;
SELECT seen();
SELECT fleet.login(token());
SELECT seen();
DELETE FROM fleet.vehicle;
SELECT fleet.register_device(492, 'c');
\set VERBOSITY sqlstate
SELECT fleet.send_command(:a, 'lock');
\set VERBOSITY default
SELECT fleet.listen('live', 493);
SELECT fleet.login(token('{"role": "operator", "scope": "history"}'));
\set VERBOSITY sqlstate
SELECT fleet.send_command(:a, 'lock');
\set VERBOSITY default
SELECT fleet.listen('live', 492);
SELECT fleet.login(token(jsonb_build_object('vehicles', ARRAY[:b], 'role', 'operator')));
SELECT fleet.listen('live', 492);
\set VERBOSITY sqlstate
SELECT fleet.send_command(:a, 'lock');
\set VERBOSITY default
SELECT fleet.send_command('a', 'lock', '{}', '1 minute', 492);
SELECT fleet.send_command(:b, 'lock') IS NOT NULL AS sent;
SELECT fleet.logout();
SELECT seen();
RESET ROLE;
SELECT fleet.revoke_tenant('regress_login', 492), fleet.revoke_tenant('regress_login', 493);
SELECT requested_by, subject FROM fleet.command WHERE tenant_id = 492;
SELECT action, role_name, subject FROM fleet.audit_log WHERE tenant_id = 492 AND action ~ 'command';

-- 7. How long: the session, the transaction, the savepoint
SET ROLE regress_login;
SELECT fleet.login(token());
SELECT seen();
SHOW fleet.login;
-- a login that fails changes nothing
SELECT fleet.login('x');
SELECT seen();
BEGIN;
SELECT fleet.login(token('{"sub": "ben", "tenant": 493}'));
SELECT seen();
SAVEPOINT s;
SELECT fleet.login(token('{"sub": "carl"}'));
SELECT seen();
ROLLBACK TO s;
SELECT seen();
SAVEPOINT t;
SELECT fleet.login(token('{"sub": "dora"}'));
RELEASE t;
SELECT seen();
ROLLBACK TO s;
SELECT seen();
ROLLBACK;
SELECT seen();
BEGIN;
SELECT fleet.login_local(token('{"sub": "emil", "tenant": 493}'));
SELECT seen();
SAVEPOINT s;
SELECT fleet.logout();
SELECT seen();
ROLLBACK TO s;
SELECT seen();
SELECT fleet.login(token('{"sub": "fritz"}'));
SELECT seen() AS local_wins;
COMMIT;
SELECT seen();
BEGIN;
SELECT fleet.login_local(token('{"sub": "emil", "tenant": 493}'));
SELECT fleet.login_local(token('{"sub": "gerd", "tenant": 493}'));
COMMIT;
SELECT seen();
BEGIN;
SELECT fleet.logout();
SELECT seen();
ROLLBACK;
SELECT seen();
SHOW fleet.login;
-- a statement by itself is a transaction
SELECT fleet.login_local(token('{"sub": "emil", "tenant": 493}'));
SELECT seen();
-- an error caught in a function undoes what came before it
DO $$
BEGIN
    PERFORM fleet.login(regress_login.token('{"sub": "hans"}'));
    RAISE EXCEPTION 'x';
EXCEPTION WHEN raise_exception THEN
    RAISE NOTICE '%', regress_login.seen();
END $$;
SELECT fleet.logout();
SELECT seen();
SELECT fleet.logout();

-- 8. Pools: what resets settings ends the login, and so does who sets this one
SELECT fleet.login(token());
SET fleet.login = 'ben';
SELECT seen();
SELECT fleet.login(token());
SELECT set_config('fleet.login', 'anna', true);
SELECT seen();
SELECT fleet.login(token());
RESET fleet.login;
SELECT seen();
SELECT fleet.login(token());
RESET ALL;
SELECT regress_login.seen();
SELECT fleet.login(regress_login.token());
RESET ROLE;
DISCARD ALL;
SET ROLE regress_login;
SELECT regress_login.seen();
-- others' settings are not meant
SELECT fleet.login(regress_login.token());
SET search_path = regress_login, public;
SELECT seen();
BEGIN;
SET LOCAL fleet.login = '';
SELECT seen();
ROLLBACK;
SELECT seen();
SELECT fleet.logout();
-- a role may choose what its settings are reset to: even then
\c - regress_login
SELECT fleet.logged_in();
ALTER ROLE regress_login SET fleet.login = 'anna';
\c - regress_login
SET search_path = regress_login, public;
SELECT seen();
SHOW fleet.login;
SELECT fleet.login(token());
SELECT seen();
BEGIN;
SELECT fleet.login(token('{"sub": "ben", "tenant": 493}'));
ROLLBACK;
SELECT seen();
DISCARD ALL;
SELECT regress_login.seen();
ALTER ROLE regress_login RESET fleet.login;
\c - :me
SET search_path = regress_login, public;
SET ROLE regress_login;

-- 9. The end of a token comes while the session goes on; then it allows nothing,
-- also where the role is bound
RESET ROLE;
SELECT fleet.grant_tenant('regress_login', 493);
SET ROLE regress_login;
PREPARE mine AS SELECT seen();
SELECT fleet.login(token(jsonb_build_object('exp', extract(epoch FROM clock_timestamp()) + 0.7)));
EXECUTE mine;
SELECT pg_sleep(0.8);
EXECUTE mine;
SELECT seen(), fleet.logged_in(), fleet.allowed_tenants('history', 'reader');
SELECT fleet.listen('live', 492);
SELECT fleet.listen('live', 493);
SELECT fleet.logout();
EXECUTE mine;
RESET ROLE;
SELECT fleet.revoke_tenant('regress_login', 493);

-- 10. Keys change: two at a time, a beginning, an end, a tenant
SELECT fleet.create_login_key('login two', 'HS256', sha256('two'), 'login'),
       fleet.create_login_key('login third', 'HS256', sha256('third'), 'third', 'fleet', 493),
       fleet.create_login_key('login future', 'HS256', sha256('future'), 'login', 'fleet', NULL, now() + interval '1 hour'),
       fleet.create_login_key('login past', 'HS256', sha256('past'), 'login', 'fleet', NULL, now() - interval '1 hour', now() - interval '1 minute'),
       fleet.create_login_key('login other', 'HS256', sha256('other'), 'login', 'elsewhere');
SET ROLE regress_login;
SELECT k, try(token('{}', '{}', sha256(k::bytea))) AS without_name, try(token('{}', jsonb_build_object('kid', 'login ' || k), sha256(k::bytea))) AS by_name
  FROM unnest('{one,two,future,past,other,third}'::text[]) k;
SELECT try(token('{"aud": "elsewhere"}', '{}', sha256('other'))), try(token('{"iss": "third", "tenant": 493}', '{}', sha256('third'))), try(token('{"iss": "third"}', '{}', sha256('third')));
SELECT fleet.login(token());
RESET ROLE;
SELECT fleet.revoke_login_key('login one'), fleet.revoke_login_key('login one'), fleet.revoke_login_key('no such key');
SET ROLE regress_login;
-- what was proved stays so until the token ends; nobody proves it again
SELECT seen();
SELECT fleet.login(token());
SELECT try(token('{}', '{}', sha256('two')));
SELECT fleet.logout();
RESET ROLE;
-- a superuser's session stays a superuser's
SELECT fleet.login(token('{}', '{}', sha256('two')));
SELECT count(*) FROM fleet.vehicle WHERE tenant_id = 493;
SELECT fleet.logout();
-- one of fleet_owner is narrowed by a token
CREATE ROLE regress_login_owner IN ROLE fleet_owner;
SET ROLE regress_login_owner;
SELECT count(*) FROM fleet.vehicle WHERE tenant_id IN (492, 493);
SELECT fleet.login(token('{"role": "admin"}', '{}', sha256('two')));
SELECT seen();
SELECT fleet.logout();
RESET ROLE;

-- 11. No key and no token is in the log
SELECT count(*) > 5 AS noted, count(*) FILTER (WHERE l::text ~ 'eyJ' OR l::text ~ encode(sha256('one'), 'hex') OR l.detail ->> 'key' <> 'changed') AS secrets
  FROM fleet.audit_log l WHERE l.object_type = 'login_key';

DELETE FROM fleet.login_key WHERE key_id ~ '^login ';
DROP SCHEMA regress_login CASCADE;
DROP ROLE regress_login, regress_login_reader, regress_login_owner;
