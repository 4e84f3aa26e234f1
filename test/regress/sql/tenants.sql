--
-- Tenants: nobody sees, changes or learns what is another's.  The tests walk
-- the catalog, so that what is added later is covered, or fails here until it
-- is.
--
\set VERBOSITY terse
SET timezone = 'UTC'; SET datestyle = 'ISO'; SET client_min_messages = warning;
CREATE SCHEMA regress_tenants;
GRANT USAGE ON SCHEMA regress_tenants TO PUBLIC;
SET search_path = regress_tenants, public, fleet;

CREATE VIEW relation AS
SELECT c.oid, 'fleet.' || quote_ident(c.relname) AS name, 'copy_' || c.relname AS copy, c.relkind, c.relispartition, c.relrowsecurity, c.relforcerowsecurity, c.reloptions,
       EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped) AS has_tenant,
       EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'vehicle_id' AND NOT a.attisdropped) AS has_vehicle
  FROM pg_class c
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
   AND (EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                 WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e' AND e.extname = 'fleet')
        OR EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid AND i.inhparent = 'fleet.event'::regclass));
CREATE VIEW routine AS
SELECT p.* FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
  JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'fleet';
GRANT SELECT ON relation, routine TO PUBLIC;

-- 1. Every table whose rows belong to a tenant, and each partition, is closed to
-- its owner too; views ask with the rights of whoever reads them.  These are the
-- ones without a tenant:
SELECT name FROM relation WHERE NOT has_tenant ORDER BY 1;
SELECT name FROM relation WHERE relkind IN ('r', 'p') AND has_tenant AND NOT (relrowsecurity AND relforcerowsecurity);
SELECT name FROM relation WHERE relkind IN ('r', 'p') AND has_tenant
   AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = relation.oid AND p.polcmd IN ('r', '*')) ORDER BY 1;
-- whoever is asked, policies are of two kinds: of a tenant's roles, and of fleet_owner
SELECT DISTINCT p.polname, p.polcmd, p.polroles::regrole[], pg_get_expr(coalesce(p.polqual, p.polwithcheck), p.polrelid) ~ 'allowed_(tenants|rows)' AS asks
  FROM pg_policy p JOIN relation r ON r.oid = p.polrelid ORDER BY 1;
SELECT name FROM relation WHERE relkind = 'v' AND NOT coalesce(reloptions, '{}') @> '{security_invoker=true}';
SELECT name FROM relation WHERE relkind IN ('m', 'f');
-- what acts with its owner's rights: with names pinned, and not for everybody
SELECT oid::regprocedure FROM routine
 WHERE prosecdef AND (has_function_privilege('public', oid, 'EXECUTE')
                      OR NOT coalesce(proconfig, '{}') @> ARRAY['search_path=pg_catalog, fleet, pg_temp']);

-- 2. Two tenants.  Everything that is B's has bsecret in it; A's is mine, and
-- of A's there is another vehicle, for tokens that are limited to one.
INSERT INTO fleet.tenant (tenant_id, name, auto_register) VALUES (490, 'tenants mine', true), (491, 'tenants bsecret', true);
CREATE TABLE id (owner text, kind text, value text, PRIMARY KEY (owner, kind));
GRANT SELECT ON id TO PUBLIC;
CREATE FUNCTION furnish(tenant integer, mark text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v bigint;
    source record;
BEGIN
    SELECT * INTO source FROM fleet.create_source(tenant, mark || ' source');
    v := fleet.register_device(tenant, mark || ' device', mark || ' vehicle', mark || ' type');
    INSERT INTO fleet.contract (tenant_id, ranges) VALUES (tenant, '{"speed_kmh": [0, 420]}') ON CONFLICT DO NOTHING;
    INSERT INTO fleet.quota (tenant_id, vehicles, rules, geofences, events_per_second, alerts_per_day) VALUES (tenant, 1000, 1000, 1000, 1000, 1000) ON CONFLICT DO NOTHING;
    INSERT INTO fleet.rule (tenant_id, name, condition, message) VALUES (tenant, mark || ' rule', 'speed_kmh > 100', mark || ' message');
    INSERT INTO fleet.geofence (tenant_id, name, area, kind)
    VALUES (tenant, mark || ' fence', ST_MakeEnvelope(tenant - 489, 49, tenant - 488, 51, 4326), 'keep_out');
    PERFORM fleet.grant_tenant(current_user, tenant);
    PERFORM fleet.create_login_key(mark || ' key', 'HS256', sha256(convert_to(mark, 'UTF8')), 'tenants', 'fleet', tenant);
    INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, speed_kmh, signals)
    VALUES (source.source_id, mark || ' device', now() - interval '2 minutes', 50, tenant - 488.5, 120, format('{"note": "%s"}', mark)::fleet.signals);
    INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude)
    VALUES (source.source_id, mark || ' device', now(), 95, 8);
    PERFORM fleet.send_command(v, mark || ' command', jsonb_build_object('x', mark));
    INSERT INTO id
    SELECT mark, k, i FROM (VALUES
        ('tenant_id', tenant::text), ('source_id', source.source_id::text), ('vehicle_id', v::text), ('vehicle', mark || ' vehicle'),
        ('identity', mark || ' device'), ('token', source.token), ('prefix', split_part(source.token, '_', 2)),
        ('alert_id', (SELECT max(a.alert_id)::text FROM fleet.alert a WHERE a.vehicle_id = v)),
        ('command_id', (SELECT max(c.command_id)::text FROM fleet.command c WHERE c.vehicle_id = v)),
        ('rule_id', (SELECT max(r.rule_id)::text FROM fleet.rule r WHERE r.tenant_id = tenant)),
        ('geofence_id', (SELECT max(g.geofence_id)::text FROM fleet.geofence g WHERE g.tenant_id = tenant)),
        ('quarantine_id', (SELECT max(q.quarantine_id)::text FROM fleet.quarantine q WHERE q.tenant_id = tenant))) n (k, i);
END $$;
SELECT furnish(490, 'mine'), furnish(490, 'other'), furnish(491, 'bsecret');
-- what is asked for in vain, for comparison: one that does not exist
INSERT INTO id SELECT 'nobody', kind, CASE kind WHEN 'tenant_id' THEN '4999' WHEN 'token' THEN 'flt_0000000000_' || repeat('0', 43)
                                      WHEN 'prefix' THEN '0000000000' ELSE CASE WHEN value ~ '^\d+$' THEN '999999999' ELSE 'no such thing' END END
  FROM id WHERE owner = 'mine';
INSERT INTO id SELECT 'none of mine', kind, CASE kind WHEN 'tenant_id' THEN '490' ELSE value END FROM id WHERE owner = 'nobody';
SELECT * FROM id WHERE value IS NULL;
-- each table has rows of both, so that a test that sees none has seen something
CREATE FUNCTION rows_of(relation text, tenant integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM %s WHERE tenant_id = $1', relation) INTO n USING tenant;
    RETURN n;
END $$;
SELECT name, t AS without_rows_of FROM relation, unnest('{490,491}'::integer[]) t
 WHERE has_tenant AND NOT relispartition AND rows_of(name, t) = 0 ORDER BY 1, 2;
-- all that B has; whatever A does, it stays as it is
CREATE FUNCTION all_of(tenant integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    part text;
    result text := '';
    r record;
BEGIN
    FOR r IN SELECT name, relkind FROM relation WHERE has_tenant AND relkind IN ('r', 'p') ORDER BY name LOOP
        EXECUTE format('SELECT md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '''')) FROM %s t WHERE tenant_id = $1', r.name) INTO part USING tenant;
        result := result || r.name || ' ' || part || chr(10);
    END LOOP;
    RETURN result;
END $$;
SELECT all_of(491) AS before \gset
SELECT :'before' = all_of(491) AS unchanged, length(:'before') > 500 AS much;

CREATE ROLE regress_tenants_reader IN ROLE fleet_reader;
CREATE ROLE regress_tenants_operator IN ROLE fleet_operator;
CREATE ROLE regress_tenants_admin IN ROLE fleet_admin;
CREATE ROLE regress_tenants_ingest IN ROLE fleet_ingest;
CREATE ROLE regress_tenants_pool IN ROLE fleet_admin;
CREATE ROLE regress_tenants_daemon IN ROLE fleet_daemon;
SELECT fleet.grant_tenant(r, 490) FROM unnest('{regress_tenants_reader,regress_tenants_operator,regress_tenants_admin,regress_tenants_ingest}'::name[]) r;
SELECT all_of(491) AS before \gset

-- 3. What is seen: as whoever calls, in each relation and in all columns that he
-- may read, rows that hold what is not his; and whether there was anything
CREATE FUNCTION look(mark text, tenant integer, vehicle bigint)
    RETURNS TABLE (relation text, readable boolean, own bigint, foreign_rows bigint) LANGUAGE plpgsql AS $$
DECLARE
    r record;
    columns text;
BEGIN
    FOR r IN SELECT v.* FROM regress_tenants.relation v ORDER BY v.name LOOP
        relation := r.name; own := 0; foreign_rows := 0;
        SELECT string_agg('t.' || quote_ident(a.attname), ', ') INTO columns
          FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped AND has_column_privilege(r.oid, a.attnum, 'SELECT');
        readable := columns IS NOT NULL;
        IF readable THEN
            EXECUTE format('SELECT count(*), count(*) FILTER (WHERE ROW(%s)::text ~ %L%s%s) FROM %s t', columns, mark,
                           CASE WHEN r.has_tenant THEN format(' OR coalesce(t.tenant_id, 0) <> %s', tenant) END,
                           CASE WHEN r.has_vehicle AND vehicle IS NOT NULL THEN format(' OR t.vehicle_id = %s', vehicle) END, r.name)
               INTO own, foreign_rows;
        ELSE
            -- nor does a privilege slip through that pg_attribute does not know
            BEGIN
                EXECUTE format('SELECT count(*) FROM %s', r.name) INTO foreign_rows;
            EXCEPTION WHEN insufficient_privilege THEN
            END;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;

-- 4. What is changed: each right that there is on a table, used on B's rows, to
-- make rows for B, and to give B a row
CREATE FUNCTION attempt(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    EXECUTE command;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN CASE n WHEN 0 THEN NULL ELSE n || ' rows' END;
EXCEPTION
    WHEN insufficient_privilege THEN RETURN NULL;
    WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
DO $$
DECLARE r record;
BEGIN
    FOR r IN SELECT * FROM regress_tenants.relation WHERE has_tenant AND relkind IN ('r', 'p') AND NOT relispartition LOOP
        EXECUTE format('CREATE TABLE regress_tenants.%I AS SELECT * FROM %s WHERE tenant_id = 491 LIMIT 1', r.copy, r.name);
        EXECUTE format('GRANT SELECT ON regress_tenants.%I TO PUBLIC', r.copy);
    END LOOP;
END $$;
CREATE FUNCTION touch(foreign_rows text DEFAULT 'tenant_id = 491') RETURNS TABLE (command text, outcome text) LANGUAGE plpgsql AS $$
DECLARE
    r record;
    all_columns text;
    my_columns text;
    col text;
BEGIN
    FOR r IN SELECT v.* FROM regress_tenants.relation v WHERE v.has_tenant AND v.relkind IN ('r', 'p') ORDER BY v.name LOOP
        CONTINUE WHEN foreign_rows ~ 'vehicle_id' AND NOT r.has_vehicle;
        command := format('DELETE FROM %s WHERE %s', r.name, foreign_rows);
        outcome := regress_tenants.attempt(command);
        RETURN NEXT;
        FOR col IN SELECT quote_ident(a.attname) FROM pg_attribute a
                    WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum LOOP
            command := format('UPDATE %s SET %s = DEFAULT WHERE %s', r.name, col, foreign_rows);
            outcome := regress_tenants.attempt(command);
            RETURN NEXT;
        END LOOP;
        command := format('UPDATE %s SET tenant_id = 491', r.name);
        outcome := regress_tenants.attempt(command);
        RETURN NEXT;
        CONTINUE WHEN r.relispartition OR foreign_rows ~ 'vehicle_id';
        SELECT string_agg(quote_ident(a.attname), ', '),
               string_agg(quote_ident(a.attname), ', ') FILTER (WHERE has_column_privilege(r.oid, a.attnum, 'INSERT'))
          INTO all_columns, my_columns
          FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '';
        command := format('INSERT INTO %s (%s) SELECT %2$s FROM regress_tenants.%I', r.name, all_columns, r.copy);
        outcome := regress_tenants.attempt(command);
        RETURN NEXT;
        CONTINUE WHEN my_columns IS NULL;
        command := format('INSERT INTO %s (%s) SELECT %2$s FROM regress_tenants.%I', r.name, my_columns, r.copy);
        outcome := regress_tenants.attempt(command);
        RETURN NEXT;
        command := command || ' ON CONFLICT DO NOTHING';
        outcome := regress_tenants.attempt(command);
        RETURN NEXT;
    END LOOP;
END $$;

-- 5. What functions say: each that there is a right to call, with somebody's
-- ids, and with ids that nobody has; the answers must be the same.  An argument
-- is filled in by its name; one that is not known here must be added.
CREATE TABLE argument (name text, type regtype, literal text, PRIMARY KEY (name, type));
GRANT SELECT ON argument TO PUBLIC;
INSERT INTO argument VALUES
    ('topic', 'text', '''live'''), ('cursor', 'text', '''1:1:'''), ('from_time', 'timestamptz', '''-infinity'''), ('to_time', 'timestamptz', '''infinity'''),
    ('at', 'timestamptz', '''infinity'''), ('lookback', 'interval', '''30 days'''), ('location', 'fleet.geopoint', 'fleet.geopoint(50, 2.5)'),
    ('locations', 'fleet.geopoint[]', 'ARRAY[fleet.geopoint(50, 2.5)]'), ('area', 'text', '''history'''), ('level', 'text', '''reader'''),
    ('condition', 'text', '''speed_kmh > 1'''), ('note', 'text', '''seen'''), ('code', 'text', 'NULL'), ('since', 'timestamptz', '''-infinity'''),
    ('max_rows', 'integer', '100'), ('arguments', 'jsonb', '''{}'''), ('expires', 'interval', '''1 minute'''), ('overlap', 'interval', '''1 day'''),
    ('expires_at', 'timestamptz', 'NULL'), ('devices', 'text[]', 'NULL'), ('vehicle_type', 'text', 'NULL'), ('vehicle_name', 'text', 'NULL'),
    ('name', 'text', '''offline''');
CREATE FUNCTION ids(whose text, argument text, type oid, OUT literal text, OUT foreign_id boolean) LANGUAGE sql STABLE AS $$
    SELECT coalesce(quote_literal(i.value), a.literal), i.value IS NOT NULL
      FROM (SELECT) one
      LEFT JOIN regress_tenants.id i ON i.owner = whose AND NOT (argument = 'vehicle' AND type = 'bigint'::regtype) AND i.kind = argument
                                    OR i.owner = whose AND i.kind = 'vehicle_id' AND argument = 'vehicle' AND type = 'bigint'::regtype
      LEFT JOIN regress_tenants.argument a ON a.name = argument AND a.type = ids.type $$;
-- a list of ids is one of each kind that its name speaks of
INSERT INTO id SELECT owner, 'old', format('{%s}', quote_ident(value)) FROM id WHERE kind = 'identity';
INSERT INTO argument VALUES ('new', 'text[]', '''{brand new device}''');
CREATE FUNCTION answer(command text, whose text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
    detail text;
    hint text;
    i record;
BEGIN
    BEGIN
        EXECUTE format('SELECT coalesce(string_agg(r::text, chr(10)), ''nothing'') FROM %s r', command) INTO result;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
        result := concat_ws(' | ', SQLSTATE, SQLERRM, detail, hint);
        -- what was asked with may come back
        FOR i IN SELECT kind, value FROM regress_tenants.id WHERE owner = whose AND kind NOT IN ('prefix', 'token', 'old') ORDER BY kind LOOP
            result := regexp_replace(result, '\m' || i.value || '\M', '<id>', 'g');
        END LOOP;
    END;
    RETURN result;
END $$;
CREATE FUNCTION ask(whose text, missing text, mark text) RETURNS TABLE (function regprocedure, problem text) LANGUAGE plpgsql AS $$
DECLARE
    p record;
    arguments text;
    others text;
    unknown text;
    with_ids boolean;
    answer text;
    other_answer text;
BEGIN
    FOR p IN SELECT r.* FROM regress_tenants.routine r
              WHERE r.provolatile <> 'i' AND r.prokind = 'f' AND r.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
                -- the clock goes for all tenants, whoever moves it
                AND has_function_privilege(r.oid, 'EXECUTE') AND r.proname NOT IN ('login', 'login_local', 'logout', 'tick')
              ORDER BY r.oid::regprocedure::text LOOP
        function := p.oid;
        SELECT string_agg(i.literal || '::' || t.type::regtype, ', ' ORDER BY t.place), string_agg(o.literal || '::' || t.type::regtype, ', ' ORDER BY t.place),
               string_agg(format('%s %s', p.proargnames[t.place], t.type::regtype), ', ') FILTER (WHERE i.literal IS NULL), coalesce(bool_or(i.foreign_id), false)
          INTO arguments, others, unknown, with_ids
          FROM unnest(p.proargtypes) WITH ORDINALITY AS t (type, place)
         CROSS JOIN LATERAL regress_tenants.ids(whose, p.proargnames[t.place], t.type) i
         CROSS JOIN LATERAL regress_tenants.ids(missing, p.proargnames[t.place], t.type) o;
        IF unknown IS NOT NULL THEN
            problem := 'unknown arguments: ' || unknown;
            RETURN NEXT;
            CONTINUE;
        END IF;
        answer := regress_tenants.answer(format('fleet.%I(%s)', p.proname, arguments), whose);
        IF with_ids THEN
            other_answer := regress_tenants.answer(format('fleet.%I(%s)', p.proname, others), missing);
        END IF;
        problem := CASE WHEN answer ~ mark THEN 'told: ' || answer
                        WHEN with_ids AND answer <> other_answer THEN format('answers differ: %s -- and: %s', answer, other_answer) END;
        IF problem IS NOT NULL THEN
            RETURN NEXT;
        END IF;
    END LOOP;
END $$;
CREATE FUNCTION asked() RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM regress_tenants.routine r
     WHERE r.provolatile <> 'i' AND r.prokind = 'f' AND r.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
       AND has_function_privilege(r.oid, 'EXECUTE') $$;

-- 6. Roles of A's
SET ROLE regress_tenants_reader;
SELECT * FROM look('bsecret', 490, NULL) WHERE foreign_rows > 0;
-- what A may read and has nothing in
SELECT relation FROM look('bsecret', 490, NULL) WHERE readable AND own = 0 AND relation !~ 'event_\d' ORDER BY 1;
SELECT count(*) FILTER (WHERE readable) > 10 AS readable FROM look('bsecret', 490, NULL);
SELECT * FROM touch() WHERE outcome IS NOT NULL;
SELECT * FROM ask('bsecret', 'nobody', 'bsecret');
SELECT asked() > 15 AS many;
RESET ROLE;
SELECT :'before' = all_of(491) AS unchanged;

SET ROLE regress_tenants_operator;
SELECT * FROM look('bsecret', 490, NULL) WHERE foreign_rows > 0;
SELECT relation FROM look('bsecret', 490, NULL) WHERE readable AND own = 0 AND relation !~ 'event_\d' ORDER BY 1;
SELECT * FROM touch() WHERE outcome IS NOT NULL;
SELECT * FROM ask('bsecret', 'nobody', 'bsecret');
RESET ROLE;
SELECT :'before' = all_of(491) AS unchanged;

SET ROLE regress_tenants_admin;
SELECT * FROM look('bsecret', 490, NULL) WHERE foreign_rows > 0;
SELECT relation FROM look('bsecret', 490, NULL) WHERE readable AND own = 0 AND relation !~ 'event_\d' ORDER BY 1;
SELECT * FROM touch() WHERE outcome IS NOT NULL;
SELECT * FROM ask('bsecret', 'nobody', 'bsecret');
SELECT asked() > 25 AS many;
RESET ROLE;
SELECT :'before' = all_of(491) AS unchanged;
-- The walk has seen something: about what is A's there are answers
BEGIN;
SET LOCAL ROLE regress_tenants_reader;
SELECT count(*) > 10 AS many, array_agg(function) @> '{"fleet.last_known(bigint)", "fleet.track(text,timestamptz,timestamptz,integer)", "fleet.alerts_since(text,integer)"}'::regprocedure[] AS these
  FROM ask('mine', 'nobody', 'nothing at all');
ROLLBACK;

-- 7. The same by token: one role for all tenants, bound to none of them
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
CREATE FUNCTION token(claims jsonb, secret text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT s.part || '.' || base64url(hmac(sha256(convert_to(secret, 'UTF8')), convert_to(s.part, 'UTF8')))
      FROM (SELECT base64url('{"alg":"HS256"}') || '.' ||
                   base64url(convert_to((claims || '{"iss":"tenants","aud":"fleet","exp":4000000000}')::text, 'UTF8'))) s (part) $$;
SELECT token('{"tenant":490,"role":"admin","sub":"anna"}', 'mine') AS admin_token \gset
SET ROLE regress_tenants_pool;
-- not logged in, there is nothing to see
SELECT * FROM look('bsecret|mine', 0, NULL) WHERE foreign_rows > 0;
SELECT fleet.login(:'admin_token');
SELECT * FROM look('bsecret', 490, NULL) WHERE foreign_rows > 0;
SELECT count(*) FILTER (WHERE own > 0) > 15 AS own FROM look('bsecret', 490, NULL);
SELECT * FROM touch() WHERE outcome IS NOT NULL;
SELECT * FROM ask('bsecret', 'nobody', 'bsecret');
-- a key of B's makes no tokens for A, nor one of A's for B
RESET ROLE;
SELECT token('{"tenant":490,"role":"admin"}', 'bsecret') AS foreign_key, token('{"tenant":491,"role":"admin"}', 'mine') AS foreign_tenant \gset
SET ROLE regress_tenants_pool;
SELECT fleet.login(:'foreign_key');
SELECT fleet.login(:'foreign_tenant');
SELECT fleet.logout();
RESET ROLE;
SELECT :'before' = all_of(491) AS unchanged;

-- 8. A token for one vehicle: the tenant's other one is as if it were not there,
-- and what is of no single vehicle is not changed
SELECT furnish(490, 'new');
SELECT value AS v FROM id WHERE owner = 'new' AND kind = 'vehicle_id' \gset
SELECT value AS o FROM id WHERE owner = 'other' AND kind = 'vehicle_id' \gset
SELECT token(jsonb_build_object('tenant', 490, 'role', 'admin', 'vehicles', jsonb_build_array(:v)), 'mine') AS one_token \gset
-- all of A's but what belongs to that vehicle or was noted
CREATE FUNCTION all_but(vehicle bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    part text;
    result text := '';
    r record;
BEGIN
    FOR r IN SELECT * FROM relation WHERE has_tenant AND relkind IN ('r', 'p') AND name !~ 'audit' ORDER BY name LOOP
        EXECUTE format('SELECT md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '''')) FROM %s t WHERE tenant_id = 490%s', r.name,
                       CASE WHEN r.has_vehicle THEN ' AND vehicle_id <> ' || vehicle END) INTO part;
        result := result || r.name || ' ' || part || chr(10);
    END LOOP;
    RETURN result;
END $$;
SELECT all_but(:v) AS others \gset
UPDATE id SET value = '490' WHERE owner = 'other' AND kind = 'tenant_id';
SET ROLE regress_tenants_pool;
SELECT fleet.login(:'one_token');
SELECT fleet.allowed_vehicles() = ARRAY[:v]::bigint[] AS one;
SELECT * FROM look('other (vehicle|device)', 490, :o) WHERE foreign_rows > 0;
SELECT relation FROM look('other (vehicle|device)', 490, :o) WHERE own > 0 AND relation !~ 'event_\d' ORDER BY 1;
SELECT * FROM touch('vehicle_id = ' || :o) WHERE outcome IS NOT NULL;
SELECT * FROM ask('other', 'none of mine', 'other (vehicle|device)');
SELECT fleet.logout();
RESET ROLE;
SELECT :'others' = all_but(:v) AS unchanged, :'before' = all_of(491) AS unchanged_of_b;

-- 9. Who sends: fleet.ingest, and nothing else
SELECT name, p AS privilege FROM relation, unnest('{SELECT,INSERT,UPDATE,REFERENCES}'::text[]) p
 WHERE has_any_column_privilege('regress_tenants_ingest', oid, p) ORDER BY 1, 2;
SELECT name, p AS privilege FROM relation, unnest('{DELETE,TRUNCATE,TRIGGER}'::text[]) p
 WHERE has_table_privilege('regress_tenants_ingest', oid, p) ORDER BY 1, 2;
SELECT oid::regprocedure FROM routine WHERE provolatile <> 'i' AND has_function_privilege('regress_tenants_ingest', oid, 'EXECUTE') ORDER BY 1;
SELECT s.oid::regclass FROM pg_class s WHERE s.relnamespace = 'fleet'::regnamespace
   AND CASE s.relkind WHEN 'S' THEN has_sequence_privilege('fleet_admin', s.oid, 'USAGE, SELECT, UPDATE') END;
SET ROLE regress_tenants_ingest;
SELECT * FROM look('bsecret|mine', 0, NULL) WHERE foreign_rows > 0 OR own > 0;
SELECT * FROM ask('mine', 'nobody', 'mine') WHERE function NOT IN ('fleet.authenticate(text)'::regprocedure, 'fleet.authenticate_source(text)'::regprocedure);
SELECT fleet.listen('live', 490);
SELECT fleet.tick() >= 0 AS clock_moved;	-- the clock is anybody's
RESET ROLE;

-- bound to A, with a source of B's: as with one that does not exist, and nothing of B's changes
SELECT value AS b_source FROM id WHERE owner = 'bsecret' AND kind = 'source_id' \gset
SELECT value AS a_source FROM id WHERE owner = 'mine' AND kind = 'source_id' \gset
CREATE FUNCTION send(source integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    result jsonb;
BEGIN
    INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, speed_kmh, signals, schema_version, defect, raw)
    VALUES (source, 'bsecret device', now(), 50, 2.5, 130, '{"note": "x"}', 1, NULL, NULL),
           (source, 'not yet seen', now(), 50, 2.5, 10, NULL, 1, NULL, NULL),
           (source, 'bsecret device', now(), 95, 2.5, 10, NULL, 1, NULL, NULL),
           (source, 'bsecret device', now(), 50, 2.5, 10, NULL, 77, NULL, NULL),
           (source, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'malformed', 'bytes'),
           (source, 'bsecret device', now(), 50, 2.5, 10, NULL, 1, 'not_permitted', NULL);
    SELECT to_jsonb(b) - 'batch_id' INTO result FROM fleet.last_batch() b;
    RETURN result;
END $$;
SELECT all_of(491) AS before \gset
SELECT count(*) AS quarantined FROM fleet.quarantine WHERE source_id = :b_source AND tenant_id = 491 \gset
SET ROLE regress_tenants_ingest;
SELECT jsonb_path_query_array(send(:b_source), '$.refused[*].code');
SELECT send(:b_source) = send(999999999) AS the_same;
SELECT send(:a_source) -> 'accepted' AS accepted;
RESET ROLE;
SELECT :'before' = all_of(491) AS unchanged;
-- what was refused belongs to nobody, as with an unknown source
SELECT DISTINCT tenant_id, code FROM fleet.quarantine WHERE source_id = :b_source AND quarantine_id > (SELECT max(quarantine_id) FROM fleet.quarantine WHERE tenant_id = 491);
-- a role that is bound to no tenant any more sends for none
SELECT fleet.revoke_tenant('regress_tenants_ingest', 490);
SET ROLE regress_tenants_ingest;
SELECT send(:a_source) = send(999999999) AS the_same;
RESET ROLE;
SELECT fleet.grant_tenant('regress_tenants_ingest', 490);
-- nor one that reads and has no token
GRANT fleet_ingest TO regress_tenants_pool;
SET ROLE regress_tenants_pool;
SELECT send(:a_source) = send(999999999) AS the_same;
RESET ROLE;
REVOKE fleet_ingest FROM regress_tenants_pool;
-- one that only sends and was never bound serves all
CREATE ROLE regress_tenants_feed IN ROLE fleet_ingest;
GRANT USAGE ON SCHEMA regress_tenants TO regress_tenants_feed;
SET ROLE regress_tenants_feed;
SELECT send(:b_source) -> 'rejected' AS of_b, send(:a_source) -> 'rejected' AS of_a;
RESET ROLE;
DROP OWNED BY regress_tenants_feed;
DROP ROLE regress_tenants_feed;
-- as does a daemon's, or those that it is bound to
SET ROLE regress_tenants_daemon;
SELECT send(:b_source) -> 'accepted' AS of_b, send(:a_source) -> 'rejected' AS of_a;
RESET ROLE;
SELECT fleet.grant_tenant('regress_tenants_daemon', 490);
SET ROLE regress_tenants_daemon;
SELECT send(:b_source) = send(999999999) AS the_same_as_none, send(:a_source) -> 'rejected' AS of_a;
RESET ROLE;

-- 10. Ways around.  A function of one's own that talks, cheaper than any policy
CREATE FUNCTION talk(anyelement) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $$;
SET client_min_messages = notice;
SET ROLE regress_tenants_reader;
SELECT count(*) > 0 AS some FROM fleet.rule WHERE talk(name) AND name ~ 'bsecret|mine';
SELECT count(*) FROM fleet.vehicle WHERE talk(name) AND name ~ 'bsecret';
SELECT count(*) FROM fleet.telemetry WHERE talk(vehicle) AND vehicle ~ 'bsecret';
RESET ROLE;
SET client_min_messages = warning;
-- what PostgreSQL and PostGIS know of columns' values
ANALYZE fleet.geofence, fleet.vehicle, fleet.event;
SET ROLE regress_tenants_admin;
SELECT tablename, attname FROM pg_stats WHERE schemaname = 'fleet' AND tablename IN ('vehicle', 'event', 'geofence', 'alert', 'source');
\set VERBOSITY sqlstate
SELECT ST_EstimatedExtent('fleet', 'geofence', 'area');
SELECT _postgis_stats('fleet.geofence', 'area');
SELECT _postgis_index_extent('fleet.geofence', 'area');
SELECT _postgis_selectivity('fleet.geofence', 'area', ST_MakeEnvelope(2, 49, 3, 51, 4326));
\set VERBOSITY terse
-- names that others have taken
UPDATE fleet.tenant SET name = 'tenants bsecret';
-- B's channel
SELECT channel_key FROM fleet.tenant;
SELECT key FROM fleet.daemon_channel;
SELECT fleet.daemon_channel_name();
SELECT fleet.listen('alert', 491);
SELECT fleet.listen('alert', 490) ~ '^fleet_alert_[0-9a-f]{32}$' AS own;
SELECT count(*) FROM pg_listening_channels();
SELECT fleet.unlisten('alert') ~ '^fleet_alert_' AS own_by_default;
SELECT fleet.unlisten('alert', 490) ~ '^fleet_alert_' AS own;
RESET ROLE;
-- A superuser's maintenance of a table of A's: what hangs on it has not his rights
CREATE SCHEMA regress_tenants_mine AUTHORIZATION regress_tenants_admin;
SELECT all_of(491) AS before, value AS b_vehicle FROM id WHERE owner = 'bsecret' AND kind = 'vehicle_id' \gset
SET ROLE regress_tenants_admin;
CREATE TABLE regress_tenants_mine.trap (vehicle_id bigint);
CREATE FUNCTION regress_tenants_mine.spring(vehicle bigint) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    PERFORM fleet.erase_vehicle(vehicle);
    RETURN 'erased';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
INSERT INTO regress_tenants_mine.trap VALUES (:b_vehicle);
CREATE INDEX trap_index ON regress_tenants_mine.trap (regress_tenants_mine.spring(vehicle_id));
RESET ROLE;
ANALYZE regress_tenants_mine.trap;
REINDEX TABLE regress_tenants_mine.trap;
SELECT :'before' = all_of(491) AS unchanged;

-- 11. Grants that are read anew while a parallel plan runs
SELECT fleet.grant_tenant('regress_tenants_reader', 491), fleet.revoke_tenant('regress_tenants_reader', 491);
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET ROLE regress_tenants_reader;
SELECT count(*) > 0 AS some, count(*) FILTER (WHERE tenant_id <> 490) AS foreign_rows FROM fleet.vehicle;
RESET ROLE;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- 12. A grant that is revoked; a role that is gone
SELECT fleet.revoke_tenant('regress_tenants_reader', 490), fleet.revoke_tenant('regress_tenants_reader', 490);
SET ROLE regress_tenants_reader;
SELECT count(*) FROM look('bsecret|mine', 0, NULL) WHERE foreign_rows > 0 OR own > 0 AND relation NOT IN ('fleet.signal', 'fleet.standard_rule');
RESET ROLE;
SELECT fleet.grant_tenant('regress_tenants_nobody', 490);
SELECT fleet.grant_tenant('regress_tenants_reader', 4999);
SELECT fleet.revoke_tenant('regress_tenants_nobody', 490);

DROP SCHEMA regress_tenants_mine, regress_tenants CASCADE;
DELETE FROM fleet.tenant_grant WHERE tenant_id IN (490, 491);
DELETE FROM fleet.login_key WHERE tenant_id IN (490, 491);
DELETE FROM fleet.rule WHERE tenant_id IN (490, 491);
DELETE FROM fleet.geofence WHERE tenant_id IN (490, 491);
UPDATE fleet.tenant SET auto_register = false WHERE tenant_id IN (490, 491);
DROP ROLE regress_tenants_reader, regress_tenants_operator, regress_tenants_admin, regress_tenants_ingest, regress_tenants_pool, regress_tenants_daemon;
