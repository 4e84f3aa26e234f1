--
-- Breaches: ways from one tenant to another's data, or past one's rights, that
-- somebody has found.  Each stands here so that it stays closed.
--
\set VERBOSITY terse
SET timezone = 'UTC'; SET datestyle = 'ISO'; SET client_min_messages = warning;
INSERT INTO fleet.tenant (tenant_id, name, auto_register) VALUES (510, 'breach mine', true), (511, 'breach theirs', true);
CREATE ROLE regress_breach_ingest IN ROLE fleet_ingest;
CREATE ROLE regress_breach_reader IN ROLE fleet_reader;
CREATE ROLE regress_breach_admin IN ROLE fleet_admin;
CREATE ROLE regress_breach_pool IN ROLE fleet_admin;
CREATE ROLE regress_breach_owner IN ROLE fleet_owner;
SELECT fleet.grant_tenant(r, 510) FROM unnest('{regress_breach_ingest,regress_breach_reader,regress_breach_admin,regress_breach_pool}'::name[]) r;
CREATE SCHEMA regress_breach;
GRANT ALL ON SCHEMA regress_breach TO PUBLIC;
SELECT source_id AS mine FROM fleet.create_source(510, 'feed') \gset
SELECT source_id AS theirs FROM fleet.create_source(511, 'feed') \gset
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude)
SELECT s, 'car', now() - i * interval '1 second', 50, 2 FROM generate_series(1, 100) i, unnest(ARRAY[:mine, :theirs]) s;
SELECT vehicle_id AS their_car FROM fleet.vehicle WHERE tenant_id = 511 \gset
SELECT vehicle_id AS my_car FROM fleet.vehicle WHERE tenant_id = 510 \gset
-- tokens of a pool, signed with a key of this test
SELECT fleet.create_login_key('breach', 'HS256', sha256('breach'), 'breach');
CREATE FUNCTION regress_breach.url64(bytea) RETURNS text LANGUAGE sql
    RETURN translate(encode($1, 'base64'), E'+/=\n', '-_');
CREATE FUNCTION regress_breach.hmac(data bytea, key bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    inner_pad bytea := ''; outer_pad bytea := ''; k bytea := rpad('', 64, ' ')::bytea;
BEGIN
    FOR i IN 0..63 LOOP
        k := set_byte(k, i, CASE WHEN i < length(key) THEN get_byte(key, i) ELSE 0 END);
    END LOOP;
    inner_pad := k; outer_pad := k;
    FOR i IN 0..63 LOOP
        inner_pad := set_byte(inner_pad, i, get_byte(k, i) # 54);
        outer_pad := set_byte(outer_pad, i, get_byte(k, i) # 92);
    END LOOP;
    RETURN sha256(outer_pad || sha256(inner_pad || data));
END $$;
CREATE FUNCTION regress_breach.token(claims jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT t.body || '.' || regress_breach.url64(regress_breach.hmac(t.body::bytea, sha256('breach')))
      FROM (SELECT regress_breach.url64('{"alg":"HS256","kid":"breach"}') || '.' || regress_breach.url64(convert_to((
                jsonb_build_object('iss', 'breach', 'aud', 'fleet', 'exp', extract(epoch FROM now())::bigint + 600) || claims)::text, 'UTF8'))) t (body) $$;
SELECT regress_breach.token('{"tenant": 510, "role": "reader"}') AS reader, regress_breach.token('{"tenant": 510, "role": "ingest"}') AS sender,
       regress_breach.token('{"tenant": 511, "role": "ingest"}') AS their_sender \gset

-- 1. The group that gives the right to send is bound to no tenant, and is none
-- of a daemon's: whoever takes its place, or leaves a token, sends for nobody
SET SESSION AUTHORIZATION regress_breach_ingest;
SET ROLE fleet_ingest;
INSERT INTO fleet.ingest (source_id, device, event_time) SELECT s, 'car', now() FROM unnest(ARRAY[:mine, :theirs]) s;
SELECT accepted, rejected FROM fleet.last_batch();
RESET SESSION AUTHORIZATION;
SELECT fleet.revoke_tenant('regress_breach_ingest', 510);
SET ROLE regress_breach_ingest;
INSERT INTO fleet.ingest (source_id, device, event_time) SELECT s, 'car', now() FROM unnest(ARRAY[:mine, :theirs]) s;
SELECT accepted, rejected FROM fleet.last_batch();
RESET ROLE;

-- 2. A parallel worker has no memory of the login
SET ROLE regress_breach_owner;
SELECT fleet.login(:'reader');
CREATE FUNCTION regress_breach.peek() RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE AS
    $$ BEGIN RETURN (SELECT string_agg(DISTINCT v.tenant_id::text, ',') FROM fleet.vehicle v WHERE v.tenant_id IN (510, 511)); END $$;
SELECT regress_breach.peek();
SET force_parallel_mode = on;
SELECT regress_breach.peek();
-- what ships with fleet stays in the leader
SELECT count(*) FROM fleet.last_known(:their_car);
SELECT count(*) > 0 AS some FROM (SELECT fleet.last_known(:my_car)) k;
RESET force_parallel_mode;
SELECT fleet.logout();
RESET ROLE;

-- 3. What the planner expects does not tell what others call their vehicles
INSERT INTO fleet.vehicle (tenant_id, name, vehicle_type) SELECT 511, 'their car ' || i, 'their type' FROM generate_series(1, 300) i;
ANALYZE fleet.vehicle, fleet.event, fleet.vehicle_state;
CREATE FUNCTION regress_breach.expected(query text) RETURNS bigint LANGUAGE plpgsql AS
    $$ DECLARE plan json; BEGIN EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan; RETURN plan -> 0 -> 'Plan' ->> 'Plan Rows'; END $$;
SET ROLE regress_breach_reader;
SELECT regress_breach.expected($$SELECT FROM fleet.vehicle WHERE name < 'their car 2'$$) =
       regress_breach.expected($$SELECT FROM fleet.vehicle WHERE name < 'their car 9'$$) AS names_alike,
       regress_breach.expected($$SELECT FROM fleet.vehicle WHERE vehicle_type = 'their type'$$) =
       regress_breach.expected($$SELECT FROM fleet.vehicle WHERE vehicle_type = 'no type'$$) AS types_alike,
       regress_breach.expected($$SELECT FROM fleet.event WHERE location OPERATOR(fleet.<) '(50,2)'::fleet.geopoint$$) =
       regress_breach.expected($$SELECT FROM fleet.event WHERE location OPERATOR(fleet.<) '(10,1)'::fleet.geopoint$$) AS places_alike;
RESET ROLE;
SELECT s.schemaname, s.tablename, s.attname FROM pg_stats s JOIN pg_attribute a ON a.attrelid = format('%I.%I', s.schemaname, s.tablename)::regclass AND a.attname = s.attname
 WHERE s.schemaname = 'fleet' AND a.atttypid::regtype::text IN ('text', 'text[]', 'jsonb', 'bytea', 'fleet.geopoint', 'fleet.signals', 'geometry', 'geopoint', 'signals')
   AND (s.tablename IN ('vehicle', 'vehicle_state') OR s.tablename ~ '^event');

-- 4. What a session sent is not for whom a pool gives it next
GRANT fleet_ingest TO regress_breach_pool;
SET ROLE regress_breach_pool;
SELECT fleet.login(:'sender');
INSERT INTO fleet.ingest (source_id, device, event_time) VALUES (:mine, 'car', now());
SELECT accepted FROM fleet.last_batch();
SELECT fleet.login(:'their_sender');
SELECT accepted FROM fleet.last_batch();
SELECT fleet.logout();
SELECT accepted FROM fleet.last_batch();
RESET ROLE;


-- 5. A rule that takes long would keep everybody's reports waiting that are in
-- the same batch.  These are refused
SELECT fleet.check_condition($$text.note ~ '^(a*)(a*)(a*)(a*)(a*)\1\2\3\4\5$'$$);
SELECT fleet.check_condition($$substring(text.note FROM '(a*)\1') = 'a'$$);
SELECT fleet.check_condition($$text.note ~* text.pattern$$);
SELECT fleet.check_condition($$text.note ~ ANY (ARRAY['a', '(a*)\1'])$$);
SELECT fleet.check_condition($$text.note !~ '((((a{1,20}){1,20}){1,20}b?){1,20})'$$);
SELECT fleet.check_condition($$length(replace(replace(text.note, 'a', 'aaaaaaaaaaaaaaaa'), 'a', 'aaaaaaaaaaaaaaaa')) > 5$$);
SELECT fleet.check_condition($$length(replace(text.note, text.a, text.b)) > 5$$);
SELECT fleet.check_condition($$(1e65000 - latitude::numeric) * (1e65000 - latitude::numeric) > 5$$);
SELECT fleet.check_condition($$text.note::numeric * text.note::numeric > 5$$);
SELECT fleet.check_condition($$exp(5000 + latitude::numeric) > 5$$);
SELECT fleet.check_condition($$latitude::numeric$$ || repeat(' * latitude::numeric', 11) || ' > 5');
-- and these are not
SELECT fleet.check_condition($$error_codes ~* 'p0[0-9]{3}' AND substring(error_codes FROM 'P(\d+)') = '0300' AND replace(error_codes, '-', '') LIKE '%P%'
    AND round(latitude::numeric * 1.5, 2) > 2 AND extract(epoch FROM event_time - previous.event_time) / 60 > 5 AND exp(latitude) > 2$$);

-- 6. What a contract asks is asked of each report, and a day of history is a
-- table that everybody shares: a tenant's administrator sets neither as he likes
SET ROLE regress_breach_admin;
INSERT INTO fleet.contract (tenant_id, horizon) VALUES (510, '1000 years');
INSERT INTO fleet.contract (tenant_id, max_ahead) VALUES (510, '1000 years');
INSERT INTO fleet.contract (tenant_id, horizon, max_ahead) VALUES (510, '400 days', '1 day');
UPDATE fleet.contract SET horizon = '401 days' WHERE tenant_id = 510;
INSERT INTO fleet.contract (tenant_id, horizon) VALUES (510, '2 days') ON CONFLICT (tenant_id) DO UPDATE SET horizon = '500 days';
UPDATE fleet.contract SET required = ARRAY(SELECT 'x' || i FROM generate_series(1, 1001) i) WHERE tenant_id = 510;
UPDATE fleet.contract SET ranges = (SELECT jsonb_object_agg('x' || i, '[0, 1]'::jsonb) FROM generate_series(1, 1001) i) WHERE tenant_id = 510;
UPDATE fleet.contract SET schema_versions = array_fill(1, ARRAY[1001]) WHERE tenant_id = 510;
UPDATE fleet.source SET devices = array_fill('x'::text, ARRAY[100001]) WHERE tenant_id = 510;
-- one who may act for all sets what is needed, and the administrator may live with it
SET ROLE regress_breach_owner;
UPDATE fleet.contract SET horizon = '20 years' WHERE tenant_id = 510;
SET ROLE regress_breach_admin;
UPDATE fleet.contract SET horizon = '10 years', allow_null_island = true WHERE tenant_id = 510;
UPDATE fleet.contract SET horizon = '11 years' WHERE tenant_id = 510;
RESET ROLE;

-- 7. What EXPLAIN ANALYZE shows does not tell whether another's row has a value:
-- whatever is asked for, the policy has had its turn
CREATE FUNCTION regress_breach.plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS
    $$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query; END $$;
CREATE FUNCTION regress_breach.alike(relation regclass, yes text, no text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    shown text[];
BEGIN
    shown := ARRAY(SELECT (SELECT string_agg(p, E'\n') FROM regress_breach.plan(format('SELECT FROM %s WHERE %s', relation, q)) p WHERE p !~ 'Filter: |Cond: ')
                     FROM unnest(ARRAY[yes, no]) q);
    RETURN shown[1] = shown[2];
END $$;
SELECT count(*) > 0 AS rules FROM fleet.enable_standard_rules(511);
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude) VALUES (:theirs, 'zebra', now(), 80, 170);
SET ROLE regress_breach_reader;
SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off;
SELECT regress_breach.alike('fleet.vehicle', $$name = 'their car 7'$$, $$name = 'nobody'$$) AS vehicle,
       regress_breach.alike('fleet.vehicle', $$name > 'their' AND name < 'thes'$$, $$name > 'zy' AND name < 'zz'$$) AS vehicles,
       regress_breach.alike('fleet.device', $$identity > 'y'$$, $$identity > 'zz'$$) AS device,
       regress_breach.alike('fleet.rule', $$condition ^@ 'battery'$$, $$condition ^@ 'nothing'$$) AS rule,
       regress_breach.alike('fleet.event', $$location OPERATOR(fleet.>) '(79,169)'$$, $$location OPERATOR(fleet.>) '(89,179)'$$) AS event,
       regress_breach.alike('fleet.vehicle_state', $$location OPERATOR(fleet.>) '(79,169)'$$, $$location OPERATOR(fleet.>) '(89,179)'$$) AS state;
RESET enable_indexscan; RESET enable_bitmapscan; RESET enable_indexonlyscan;
-- an index that begins with the tenant keeps its use
SET enable_seqscan = off; SET enable_bitmapscan = off;
SELECT bool_or(p ~ 'Index Cond: .*tenant_id = ANY.*name = ') AS uses_index FROM regress_breach.plan($$SELECT FROM fleet.vehicle WHERE name = 'car'$$) p;
RESET enable_seqscan; RESET enable_bitmapscan;
RESET ROLE;

-- 8. A token that is limited to vehicles has no say in channels
SELECT regress_breach.token(jsonb_build_object('tenant', 510, 'role', 'admin', 'vehicles', jsonb_build_array(:my_car))) AS narrow \gset
SET ROLE regress_breach_pool;
SELECT fleet.login(:'narrow');
SELECT fleet.rotate_channels(510);
SELECT fleet.listen('live', 510);
SELECT fleet.logout();
RESET ROLE;

-- The end
SELECT fleet.revoke_tenant(r, 510) FROM unnest('{regress_breach_reader,regress_breach_admin,regress_breach_pool}'::name[]) r;
DELETE FROM fleet.login_key WHERE key_id = 'breach';
DROP SCHEMA regress_breach CASCADE;
DROP OWNED BY regress_breach_ingest, regress_breach_reader, regress_breach_admin, regress_breach_pool, regress_breach_owner;
DROP ROLE regress_breach_ingest, regress_breach_reader, regress_breach_admin, regress_breach_pool, regress_breach_owner;
