--
-- Tokens of sources: what is kept of them, scope, expiry, rotation, revocation
--
SET timezone = 'UTC'; SET datestyle = 'ISO';
INSERT INTO fleet.tenant (tenant_id, name, auto_register) VALUES (251, 'token a', true), (252, 'token b', true);
INSERT INTO fleet.contract (tenant_id, horizon) VALUES (251, '100 years'), (252, '100 years');
CREATE ROLE regress_token_admin IN ROLE fleet_admin;
CREATE ROLE regress_token_operator IN ROLE fleet_operator;
CREATE ROLE regress_token_ingest IN ROLE fleet_ingest;
CREATE ROLE regress_token_daemon IN ROLE fleet_daemon;
SELECT fleet.grant_tenant('regress_token_admin', 251), fleet.grant_tenant('regress_token_operator', 251);
-- errors name sources by number
ALTER SEQUENCE fleet.source_source_id_seq RESTART 25101;
-- results of one report, and what became of it
CREATE TEMP VIEW outcome AS SELECT accepted, rejected, refused FROM fleet.last_batch();
GRANT SELECT ON pg_temp.outcome TO PUBLIC;

-- 1. Form; only the SHA-256 of it is kept
SELECT source_id AS src, token AS first FROM fleet.create_source(251, 'feed') \gset
SELECT :'first' ~ '^flt_[0-9A-Za-z]{10}_[0-9A-Za-z]{32}$' AS form, fleet.token_prefix(:'first') = substr(:'first', 5, 10) AS prefix;
SELECT t.prefix = fleet.token_prefix(:'first') AS prefix, t.token_sha256 = sha256(convert_to(:'first', 'UTF8')) AS hashed,
       t.tenant_id, t.expires_at, t.revoked_at
  FROM fleet.source_token t WHERE t.source_id = :src;
SELECT count(*) FROM fleet.source_token t WHERE t::text LIKE '%' || substr(:'first', 16) || '%';
SELECT count(DISTINCT fleet.token_new()), min(length(fleet.token_new())) FROM generate_series(1, 1000);
SELECT fleet.token_prefix(t) FROM unnest(ARRAY['', 'flt_', 'nonsense', repeat('x', 47), 'flt_0123456789-' || repeat('x', 32),
	'flt_0123456789_' || repeat('x', 32), 'flt_0123456789_' || repeat('x', 33), 'flt_012345678é_' || repeat('x', 31)]) t;

-- 2. Authentication
SELECT a.source_id = :src AS source, a.prefix = fleet.token_prefix(:'first') AS prefix, a.expires_in, a.devices FROM fleet.authenticate(:'first') a;
SELECT fleet.authenticate_source(:'first') = :src AS source;
-- the prefix alone, another secret, a secret of another case, nothing of all
SELECT count(*) FROM unnest(ARRAY[left(:'first', 15), left(:'first', 15) || repeat('x', 32), upper(:'first'), :'first' || ' ', '', 'flt_']) t,
	fleet.authenticate(t);
SELECT fleet.authenticate_source('nonsense') IS NULL AS unknown, fleet.authenticate_source(NULL) IS NULL AS nothing;
SELECT fleet.token_matches('a', sha256('a')) AS good, fleet.token_matches('a', sha256('b')) AS bad, fleet.token_matches('a', NULL) AS none,
	fleet.token_matches('a', '') AS empty, fleet.token_matches(NULL, sha256('a')) AS nothing;

-- 3. Rotation: two are good, then no third
SELECT fleet.rotate_token(:src, '1 hour') AS second \gset
SELECT fleet.authenticate_source(:'first') = :src AS first, fleet.authenticate_source(:'second') = :src AS second;
SELECT a.expires_in BETWEEN '59 minutes' AND '1 hour' AS ends FROM fleet.authenticate(:'first') a;
SELECT a.expires_in FROM fleet.authenticate(:'second') a;
\set VERBOSITY terse
SELECT fleet.rotate_token(:src);
\set VERBOSITY default
SELECT fleet.revoke_token(fleet.token_prefix(:'first')) AS revoked, fleet.revoke_token(fleet.token_prefix(:'first')) AS again;
SELECT fleet.authenticate_source(:'first') AS first, fleet.authenticate_source(:'second') = :src AS second;
SELECT fleet.rotate_token(:src, '0') AS third \gset
SELECT fleet.authenticate_source(:'second') AS second, fleet.authenticate_source(:'third') = :src AS third;
SELECT fleet.rotate_token(:src, '1 day') AS fourth \gset
SELECT fleet.rotate_token(:src, '-1 day');
-- an overlap never makes a token live longer
UPDATE fleet.source_token SET expires_at = now() + interval '1 minute' WHERE prefix = fleet.token_prefix(:'third');
SELECT fleet.revoke_token(:'fourth') AS as_a_whole;
SELECT length(fleet.rotate_token(:src, '1 day'));
SELECT a.expires_in <= '1 minute' AS still FROM fleet.authenticate(:'third') a;
UPDATE fleet.source_token SET revoked_at = NULL WHERE prefix = fleet.token_prefix(:'first');

-- 4. What fleetd asks
SELECT l.prefix = fleet.token_prefix(:'third') AS token, l.source_id = :src AS source, l.expires_in IS NOT NULL AS ends
  FROM fleet.live_credentials(ARRAY[fleet.token_prefix(:'first'), fleet.token_prefix(:'third'), 'nonsense'], ARRAY[:src, 0]) l ORDER BY l.prefix;

-- 5. Expiry: of the source with all of its tokens
SELECT * FROM fleet.create_source(251, 'past', NULL, now() - interval '1 second');
SELECT source_id AS brief, token AS brief_token FROM fleet.create_source(251, 'brief', expires_at => now() + interval '1 hour') \gset
SELECT a.expires_in <= '1 hour' AS ends FROM fleet.authenticate(:'brief_token') a;
SELECT count(*) FROM fleet.live_credentials(ARRAY[fleet.token_prefix(:'brief_token')], ARRAY[:brief]);
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude) VALUES (:brief, 'early', '2024-03-01', 50, 8);
SELECT * FROM outcome;
UPDATE fleet.source SET expires_at = now() - interval '1 second' WHERE source_id = :brief;
SELECT fleet.authenticate_source(:'brief_token') AS expired, (SELECT count(*) FROM fleet.live_credentials(ARRAY[fleet.token_prefix(:'brief_token')], ARRAY[:brief])) AS live;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude) VALUES (:brief, 'late', '2024-03-01', 50, 8);
SELECT * FROM outcome;
SELECT fleet.rotate_token(:brief);
SELECT fleet.rotate_token(:brief, '0', 'infinity') AS renewed \gset
SELECT a.source_id = :brief AS good, a.expires_in FROM fleet.authenticate(:'renewed') a;

-- 6. Scope: some devices; what is of another one is refused and registers nothing
SELECT source_id AS some, token AS some_token FROM fleet.create_source(251, 'some', ARRAY['z', 'a', 'm']) \gset
SELECT a.devices FROM fleet.authenticate(:'some_token') a;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude)
SELECT :some, d, '2024-03-01', 50, 8 FROM unnest(ARRAY['a', 'b', 'm', 'aa', '', 'z']) d;
SELECT * FROM outcome;
INSERT INTO fleet.ingest (source_id, event_time, latitude, longitude) VALUES (:some, '2024-03-01', 50, 8);
SELECT * FROM outcome;
SELECT string_agg(d.identity, ' ' ORDER BY d.identity) FROM fleet.device d WHERE d.tenant_id = 251;
SELECT q.device, q.code, q.field, q.value FROM fleet.quarantine q WHERE q.source_id = :some ORDER BY q.quarantine_id;
SELECT rejected, refused FROM fleet.ingest_json(:some, '{"device":"b","event_time":"2024-03-01T00:00:00Z","latitude":50,"longitude":8}');
-- changed, it holds from the next statement on
UPDATE fleet.source SET devices = ARRAY['b'] WHERE source_id = :some;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude) VALUES (:some, 'b', '2024-03-02', 50, 8), (:some, 'a', '2024-03-02', 50, 8);
SELECT * FROM outcome;
UPDATE fleet.source SET devices = '{}' WHERE source_id = :some;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude) VALUES (:some, 'b', '2024-03-03', 50, 8);
SELECT accepted, rejected FROM outcome;
\set VERBOSITY terse
SELECT * FROM fleet.create_source(251, 'null', ARRAY['a', NULL]);
\set VERBOSITY default
-- a VIN
SELECT * FROM fleet.create_source(251, 'vin', ARRAY['a', '1M8GDM9AXKP042788']);
-- an erased vehicle is forgotten here too, a new pseudonym added
UPDATE fleet.source SET devices = ARRAY['a', 'b', 'm'] WHERE source_id = :some;
SELECT count(*) > 0 AS erased FROM fleet.erase_vehicle((SELECT v.vehicle_id FROM fleet.vehicle v WHERE v.tenant_id = 251 AND v.name = 'm'));
SELECT fleet.rekey_devices(251, ARRAY['a', 'x'], ARRAY['a2', 'y']);
SELECT s.devices FROM fleet.source s WHERE s.source_id = :some;

-- 7. A source that is revoked
SELECT fleet.revoke_source(:some) AS revoked, fleet.revoke_source(:some) AS again;
SELECT fleet.authenticate_source(:'some_token') AS token;
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude) VALUES (:some, 'a', '2024-03-04', 50, 8);
SELECT * FROM outcome;
SELECT fleet.rotate_token(:some);

-- 8. Who may what: an administrator in his tenant
SELECT source_id AS foreign FROM fleet.create_source(252, 'foreign') \gset
SELECT set_config('token.foreign', :'foreign', false) IS NOT NULL AS known;
SELECT t.prefix AS foreign_prefix FROM fleet.source_token t WHERE t.source_id = :foreign \gset
SET ROLE regress_token_admin;
SELECT source_id AS own, token AS own_token FROM fleet.create_source(251, 'own', ARRAY['own']) \gset
SELECT length(fleet.rotate_token(:own));
SELECT count(*) FROM fleet.source_token WHERE source_id = :own;
SELECT prefix, source_id, tenant_id, created_at, expires_at, revoked_at FROM fleet.source_token WHERE tenant_id = 252;
SELECT fleet.revoke_token(fleet.token_prefix(:'own_token'));
SELECT token_sha256 FROM fleet.source_token;
INSERT INTO fleet.source_token (prefix, source_id, tenant_id, token_sha256) VALUES ('0123456789', :own, 251, sha256('weak'));
UPDATE fleet.source_token SET expires_at = NULL;
DELETE FROM fleet.source_token;
SELECT fleet.token_new();
SELECT fleet.token_issue(:own, 251);
-- another tenant's is as one that does not exist
SELECT * FROM fleet.create_source(252, 'mine');
SELECT * FROM fleet.create_source(99999, 'mine');
\set VERBOSITY terse
SELECT fleet.rotate_token(0);
DO $$ BEGIN
    PERFORM fleet.rotate_token(current_setting('token.foreign')::integer);
EXCEPTION WHEN no_data_found THEN RAISE NOTICE '%', regexp_replace(SQLERRM, '[0-9]+', 'N');
END $$;
\set VERBOSITY default
SELECT fleet.revoke_token(:'foreign_prefix') AS token, fleet.revoke_source(:foreign) AS source, fleet.revoke_source(0) AS none;
-- sessions by login: an administrator, one of some vehicles only, one for other things
RESET ROLE;
SELECT fleet.create_login_key('token', 'HS256', sha256('token'), 'token');
SET ROLE regress_token_admin;
SELECT fleet.login('eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJ0b2tlbiIsImF1ZCI6ImZsZWV0IiwiZXhwIjo0MDAwMDAwMDAwLCJ0ZW5hbnQiOjI1MSwicm9sZSI6ImFkbWluIiwic3ViIjoiYW5uYSJ9.2LQHnpa0AP99mT74Tm40z5MClMycnlCji-cC95HFvjE');
SELECT length(token) FROM fleet.create_source(251, 'by login');
SELECT * FROM fleet.create_source(252, 'mine');
SELECT fleet.login('eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJ0b2tlbiIsImF1ZCI6ImZsZWV0IiwiZXhwIjo0MDAwMDAwMDAwLCJ0ZW5hbnQiOjI1MSwicm9sZSI6ImFkbWluIiwic3ViIjoiYW5uYSIsInZlaGljbGVzIjpbMV19.avU5dwFsWpWgFzhnnQJULHB0DLSenEYQYZqYvDZ93Ms');
SELECT * FROM fleet.create_source(251, 'mine');
SELECT fleet.rotate_token(:own);
SELECT fleet.revoke_source(:own);
SELECT fleet.login('eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJ0b2tlbiIsImF1ZCI6ImZsZWV0IiwiZXhwIjo0MDAwMDAwMDAwLCJ0ZW5hbnQiOjI1MSwicm9sZSI6ImFkbWluIiwic3ViIjoiYW5uYSIsInNjb3BlIjoiaGlzdG9yeSJ9.fGjihVwNrkA22_Q1GraNHlVTGtsjyYDDLb-k4B_E2cE');
SELECT * FROM fleet.create_source(251, 'mine');
SELECT fleet.rotate_token(:own);
SELECT fleet.revoke_source(:own);
SELECT fleet.logout();
-- an operator may not
SET ROLE regress_token_operator;
SELECT * FROM fleet.create_source(251, 'mine');
SELECT fleet.rotate_token(:own);
SELECT fleet.revoke_source(:own);
SELECT prefix FROM fleet.source_token;
-- whoever sends may ask for his token, and nothing else
SET ROLE regress_token_ingest;
SELECT fleet.authenticate_source(:'own_token') AS revoked, fleet.authenticate_source(:'third') = :src AS known;
SELECT count(*) FROM fleet.live_credentials(ARRAY[:'foreign_prefix'], '{}');
SELECT fleet.daemon_listen();
SELECT prefix FROM fleet.source_token;
SELECT name FROM fleet.source;
SELECT fleet.token_matches('a', 'b');
SET ROLE regress_token_daemon;
SELECT count(*) FROM fleet.live_credentials(ARRAY[:'foreign_prefix'], ARRAY[:foreign]);
SELECT prefix FROM fleet.source_token;
SELECT fleet.daemon_channel_name();
RESET ROLE;

-- 9. All of it is in the audit log, without secrets
SELECT l.action, count(*) FROM fleet.audit_log l WHERE l.tenant_id = 251 AND l.object_type IN ('source', 'token') GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM fleet.audit_log l JOIN fleet.source_token t ON position(encode(t.token_sha256, 'hex') IN l.detail::text) > 0;

-- 10. A source that is removed takes its tokens along
DELETE FROM fleet.source WHERE source_id = :own;
SELECT count(*) FROM fleet.source_token WHERE source_id = :own;

DELETE FROM fleet.login_key WHERE key_id = 'token';
DROP OWNED BY regress_token_admin, regress_token_operator, regress_token_ingest, regress_token_daemon;
SELECT fleet.revoke_tenant('regress_token_admin', 251), fleet.revoke_tenant('regress_token_operator', 251);
DROP ROLE regress_token_admin, regress_token_operator, regress_token_ingest, regress_token_daemon;
