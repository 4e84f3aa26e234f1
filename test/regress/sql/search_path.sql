--
-- A hostile search_path: whatever stands first in it, functions, triggers and
-- policies of the extension call what they mean
--
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET timezone = 'UTC'; SET client_min_messages = warning;
INSERT INTO fleet.tenant (tenant_id, name, auto_register) VALUES (496, 'search path', true);
INSERT INTO fleet.contract (tenant_id, horizon) VALUES (496, '30 years');
INSERT INTO fleet.rule (tenant_id, name, condition) VALUES (496, 'fast', 'speed_kmh > 100');
INSERT INTO fleet.geofence (tenant_id, name, area, kind) VALUES (496, 'yard', ST_MakeEnvelope(1, 1, 2, 2, 4326), 'keep_out');
SELECT source_id AS src, token AS tok FROM fleet.create_source(496, 'feed') \gset
SELECT fleet.register_device(496, 'device', 'vehicle') AS v \gset
INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, speed_kmh) VALUES (:src, 'device', now(), 1.5, 1.5, 120), (:src, 'device', now(), 95, 1, 1);
SELECT fleet.send_command(:v, 'lock') AS command \gset
SELECT min(alert_id) AS alert FROM fleet.alert WHERE tenant_id = 496 \gset
SELECT fleet.create_login_key('search path', 'HS256', sha256('search path'), 'search path', 'fleet', 496);
CREATE ROLE regress_path_admin IN ROLE fleet_admin;
CREATE ROLE regress_path_daemon IN ROLE fleet_daemon;
SELECT fleet.grant_tenant('regress_path_admin', 496);

-- 1. Shadows: of each operator between everyday types, of each function of
-- pg_catalog that the extension's sources name, of the tables of both schemas
CREATE SCHEMA shadow;
CREATE SCHEMA regress_path;
GRANT USAGE ON SCHEMA shadow, regress_path TO PUBLIC;
DO $$
DECLARE
    types oidvector := array_to_string(ARRAY(SELECT unnest('{boolean,integer,bigint,smallint,real,double precision,numeric,text,name,bytea,jsonb,timestamptz,interval,oid,regclass,xid8,pg_snapshot,text[],integer[],bigint[],"char",json,regrole,regprocedure,uuid,cidr}'::regtype[])::oid), ' ')::oidvector;
    sources text := (SELECT string_agg(coalesce(p.prosrc, '') || coalesce(pg_get_function_sqlbody(p.oid), ''), ' ') FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
                       JOIN pg_extension e ON e.oid = d.refobjid WHERE e.extname = 'fleet');
    o record;
    n integer := 0;
BEGIN
    FOR o IN SELECT * FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace
                AND oprleft = ANY (types::oid[]) AND oprright = ANY (types::oid[]) AND oprresult = ANY (types::oid[]) LOOP
        n := n + 1;
        EXECUTE format('CREATE FUNCTION shadow.operator_%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS %L', n, o.oprleft::regtype, o.oprright::regtype, o.oprresult::regtype,
                       format('BEGIN RAISE EXCEPTION USING MESSAGE = %L; END', 'shadow of ' || o.oprname || ' was called'));
        EXECUTE format('CREATE OPERATOR shadow.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = shadow.operator_%s)', o.oprname, o.oprleft::regtype, o.oprright::regtype, n);
    END LOOP;
    -- a type's name calls its constructor or cast, which no search_path changes
    FOR o IN SELECT p.proname, pg_get_function_identity_arguments(p.oid) AS arguments, p.prorettype::regtype AS result FROM pg_proc p
              WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND p.proargmodes IS NULL AND NOT p.proretset
                AND p.proargtypes::oid[] <@ (types::oid[]) AND p.prorettype = ANY (types::oid[] || 'void'::regtype::oid)
                AND sources ~ ('\m' || p.proname || '\M') LOOP
        EXECUTE format('CREATE FUNCTION shadow.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', o.proname, o.arguments, o.result,
                       format('BEGIN RAISE EXCEPTION USING MESSAGE = %L; END', 'shadow of ' || o.proname || ' was called'));
    END LOOP;
    -- functions of the extension, and those with VARIADIC "any"
    FOR o IN SELECT DISTINCT ON (p.proname, p.proargtypes::text) p.proname, (SELECT string_agg(t::regtype::text, ', ' ORDER BY i) FROM unnest(p.proargtypes) WITH ORDINALITY u (t, i)) AS arguments
               FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' JOIN pg_extension e ON e.oid = d.refobjid
              WHERE e.extname = 'fleet' AND p.prokind = 'f' AND p.proargtypes::oid[] <@ (types::oid[]) AND p.prorettype <> 'trigger'::regtype
             UNION ALL VALUES ('format', 'text, text'), ('format', 'text, integer'), ('format', 'text, bigint'), ('format', 'text, name'), ('jsonb_build_object', 'text, text'), ('jsonb_build_object', 'text, bigint') LOOP
        EXECUTE format('CREATE FUNCTION shadow.%I(%s) RETURNS text LANGUAGE plpgsql AS %L', o.proname, o.arguments,
                       format('BEGIN RAISE EXCEPTION USING MESSAGE = %L; END', 'shadow of ' || o.proname || ' was called'));
    END LOOP;
    CREATE FUNCTION shadow.called(text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''shadow of relation % was called'', $1; END';
    FOR o IN SELECT c.relname, string_agg(format('NULL::%s AS %I', format_type(a.atttypid, NULL), a.attname), ', ' ORDER BY a.attnum) AS columns
               FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
              WHERE c.relkind IN ('r', 'v', 'p') AND NOT c.relispartition AND a.atttypid <> 'anyarray'::regtype
                AND (c.relnamespace = 'fleet'::regnamespace OR c.relname ~ '^pg_(class|proc|attribute|namespace|roles|authid|policy|inherits|index|depend|extension|constraint|type|trigger)$' AND c.relnamespace = 'pg_catalog'::regnamespace)
              GROUP BY c.oid, c.relname LOOP
        EXECUTE format('CREATE VIEW shadow.%I AS SELECT %s WHERE shadow.called(%L)', o.relname, o.columns, o.relname);
    END LOOP;
END $$;
SELECT count(*) FILTER (WHERE proname ~ '^operator_') > 300 AS operators, count(*) FILTER (WHERE proname !~ '^operator_') > 100 AS functions FROM pg_proc WHERE pronamespace = 'shadow'::regnamespace;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA shadow TO PUBLIC;

-- 2. What is called: every function that a role may call, in each of its forms,
-- and every right that there is on a table
CREATE TABLE regress_path.call (place integer GENERATED ALWAYS AS IDENTITY, role text, name text, command text);
GRANT SELECT ON regress_path.call TO PUBLIC;
CREATE TABLE regress_path.argument (name text, type regtype, literal text, PRIMARY KEY (name, type));
INSERT INTO regress_path.argument VALUES
    ('tenant_id', 'integer', '496'), ('vehicle', 'bigint', :'v'), ('vehicle_id', 'bigint', :'v'), ('vehicle', 'text', '''vehicle'''), ('identity', 'text', '''device'''),
    ('source_id', 'integer', :'src'), ('token', 'text', quote_literal(:'tok')), ('prefix', 'text', quote_literal(split_part(:'tok', '_', 2))), ('alert_id', 'bigint', :'alert'), ('command_id', 'bigint', :'command'),
    ('topic', 'text', '''live'''), ('cursor', 'text', '''1:1:'''), ('from_time', 'timestamptz', '''-infinity'''), ('to_time', 'timestamptz', '''infinity'''),
    ('at', 'timestamptz', '''2020-02-02'''), ('lookback', 'interval', '''30 days'''), ('location', 'fleet.geopoint', '''(1.5,1.5)'''),
    ('locations', 'fleet.geopoint[]', '''{"(1.5,1.5)"}'''), ('area', 'text', '''history'''), ('level', 'text', '''reader'''),
    ('condition', 'text', '''speed_kmh > 1'''), ('note', 'text', '''seen'''), ('code', 'text', 'NULL'), ('since', 'timestamptz', '''-infinity'''),
    ('max_rows', 'integer', '100'), ('arguments', 'jsonb', '''{"a": 1}'''), ('expires', 'interval', '''1 minute'''), ('overlap', 'interval', '''1 day'''),
    ('expires_at', 'timestamptz', 'NULL'), ('devices', 'text[]', 'NULL'), ('vehicle_type', 'text', 'NULL'), ('vehicle_name', 'text', '''vehicle'''),
    ('old', 'text[]', '''{device}'''), ('new', 'text[]', '''{new}'''), ('sources', 'integer[]', format('''{%s}''', :'src')), ('prefixes', 'text[]', format('''{%s}''', split_part(:'tok', '_', 2))),
    ('peers', 'jsonb', format('''[{"peer": 1, "source_id": %s, "device": "device"}]''', :'src')), ('daemon', 'text', '''d'''),
    ('key_id', 'text', '''search path'''), ('role_name', 'name', '''regress_path_daemon'''), ('document', 'jsonb', '''{"device": "device", "event_time": "2024-01-01T00:00:00Z", "latitude": 1}'''),
    ('days', 'integer', '1'), ('before', 'timestamptz', '''1990-01-01'''), ('relation', 'regclass', '''fleet.rule'''), ('actions', 'jsonb', '''[{"action": "x", "tenant_id": 496, "object_type": "x"}]'''),
    ('action', 'text', '''x'''), ('object_type', 'text', '''x'''), ('object_id', 'text', '''1'''), ('detail', 'jsonb', '''{}'''), ('fences', 'integer[]', '''{1}'''), ('keep_kinds', 'text[]', '''{}'''),
    ('name', 'text', '''offline'''), ('patience', 'interval', '''1 hour'''), ('claims', 'jsonb', format('''[{"claim": 1, "source_id": %s, "device": "device", "vehicle_id": %s, "command_id": %s, "connected_ms": 1}]''', :'src', :'v', :'command')),
    ('reports', 'jsonb', format('''[{"command_id": %s, "outcome": "confirmed", "answer": "ok"}]''', :'command')),
    ('algorithm', 'text', '''HS256'''), ('key', 'bytea', 'pg_catalog.sha256(''x'')'), ('issuer', 'text', '''x'''), ('audience', 'text', '''x'''), ('valid_from', 'timestamptz', 'NULL'), ('valid_to', 'timestamptz', 'NULL');
-- functions, as whoever may call them with least rights
INSERT INTO regress_path.call (role, name, command)
SELECT CASE WHEN has_function_privilege('regress_path_admin', p.oid, 'EXECUTE') THEN 'regress_path_admin' WHEN has_function_privilege('regress_path_daemon', p.oid, 'EXECUTE') THEN 'regress_path_daemon' ELSE current_user END,
       p.proname, CASE WHEN bool_and(a.literal IS NOT NULL OR t.type IS NULL) THEN format('PERFORM pg_catalog.count(*) FROM fleet.%I(%s)', p.proname, string_agg(a.literal || '::' || t.type::regtype, ', ' ORDER BY t.place)) END
  FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'fleet'
  LEFT JOIN LATERAL unnest(p.proargtypes) WITH ORDINALITY t (type, place) ON true
  LEFT JOIN regress_path.argument a ON a.name = p.proargnames[t.place] AND a.type = t.type
 WHERE p.provolatile <> 'i' AND p.prokind = 'f' AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
   AND p.proname NOT IN ('login', 'login_local', 'logout', 'create_roles')
 GROUP BY p.oid, p.proname ORDER BY p.proname, p.oid;
-- but for these, which need arguments with a meaning and only serve the install script
SELECT name FROM regress_path.call WHERE command IS NULL ORDER BY 1;
-- tables: policies and triggers
INSERT INTO regress_path.call (role, name, command)
SELECT r.role, c.relname, s.command
  FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e' JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'fleet'
 CROSS JOIN (VALUES ('regress_path_admin'), (current_user::text)) r (role)
 CROSS JOIN LATERAL (
       SELECT format('PERFORM pg_catalog.count(%I) FROM fleet.%I', a.attname, c.relname) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum = (SELECT min(b.attnum) FROM pg_attribute b WHERE b.attrelid = c.oid AND b.attnum > 0 AND has_column_privilege(r.role, c.oid, b.attnum, 'SELECT'))
       UNION ALL
       SELECT format('UPDATE fleet.%I SET %s', c.relname, string_agg(format('%I = %1$I', a.attname), ', ')) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND c.relkind IN ('r', 'p') AND c.relname !~ '^audit' AND has_column_privilege(r.role, c.oid, a.attnum, 'UPDATE') HAVING count(*) > 0
       UNION ALL
       SELECT format('DELETE FROM fleet.%I', c.relname) WHERE c.relkind IN ('r', 'p') AND c.relname NOT IN ('tenant', 'audit_log', 'audit_head') AND has_table_privilege(r.role, c.oid, 'DELETE')) s (command)
 WHERE c.relkind IN ('r', 'p', 'v') AND s.command IS NOT NULL ORDER BY c.relname;
INSERT INTO regress_path.call (role, name, command) VALUES
    ('regress_path_admin', 'rule', 'INSERT INTO fleet.rule (tenant_id, name, condition, silence) VALUES (496, ''x'', ''speed_kmh > 1'', ''1 s'')'),
    ('regress_path_admin', 'geofence', 'INSERT INTO fleet.geofence (tenant_id, name, area) SELECT 496, ''x'', public.ST_MakeEnvelope(3, 3, 4, 4, 4326)'),
    ('regress_path_admin', 'vehicle', 'INSERT INTO fleet.vehicle (tenant_id, name) VALUES (496, ''x'')'),
    ('regress_path_admin', 'device', format('INSERT INTO fleet.device (tenant_id, identity, vehicle_id) VALUES (496, ''y'', %s)', :'v')),
    ('regress_path_admin', 'login', 'PERFORM fleet.login(''eyJhbGciOiJIUzI1NiIsImtpZCI6InNlYXJjaCBwYXRoIn0.eyJpc3MiOiJzZWFyY2ggcGF0aCIsImF1ZCI6ImZsZWV0IiwiZXhwIjo0MTAyNDQ0ODAwLCJ0ZW5hbnQiOjQ5Niwicm9sZSI6ImFkbWluIiwidmVoaWNsZXMiOlsidmVoaWNsZSIsMV0sInNjb3BlIjoiaGlzdG9yeSJ9.u3KdGGfrDh1Ac5tVZKlYX0ykKr2YL49c2xSyshEh9qc''); PERFORM fleet.logout()'),
    (current_user, 'tenant', 'INSERT INTO fleet.tenant (tenant_id, name) VALUES (1, ''x''), (4997, ''y'')'),
    ('regress_path_daemon', 'ingest', format('INSERT INTO fleet.ingest (source_id, device, event_time, latitude, longitude, speed_kmh, signals, defect, raw) VALUES (%1$s, ''new'', ''2001-01-01'', 1.5, 1.5, 130, ''{"a": 1}'', NULL, NULL),
        (%1$s, ''device'', pg_catalog.clock_timestamp(), 1.5, 1.5, 130, NULL, NULL, NULL), (%1$s, ''device'', ''2001-01-01'', 95, 1, 1, NULL, NULL, NULL), (%1$s, NULL, NULL, NULL, NULL, NULL, NULL, ''malformed'', ''x''), (0, ''device'', ''2001-01-01'', 1, 1, 1, NULL, NULL, NULL)', :'src'));

-- 3. With shadows first, nothing but what was meant is called; each in a
-- transaction that is rolled back
CREATE FUNCTION regress_path.run() RETURNS TABLE (name text, role text, problem text) LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    c record;
BEGIN
    FOR c IN SELECT * FROM regress_path.call WHERE command IS NOT NULL ORDER BY place LOOP
        name := c.name;
        role := c.role;
        BEGIN
            EXECUTE format('SET LOCAL ROLE %I', c.role);
            SET LOCAL search_path = shadow, pg_catalog, public;
            -- nothing from here to the end names an operator or a function
            EXECUTE c.command;
            RAISE EXCEPTION USING ERRCODE = 'ZZ999';
        EXCEPTION
            WHEN SQLSTATE 'ZZ999' THEN
                NULL;
            WHEN OTHERS THEN
                problem := SQLERRM;
                RETURN NEXT;
        END;
    END LOOP;
END $$;
-- a new session, which has planned nothing yet
\c -
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET client_min_messages = warning;
UPDATE regress_path.call SET command = format('DO %L', format('BEGIN %s; END', command)) WHERE command IS NOT NULL;
SELECT count(*) > 130 AS many FROM regress_path.call;
SELECT * FROM regress_path.run() WHERE problem ~ 'shadow';
-- what else fails, fails for its own reasons
SELECT DISTINCT name, regexp_replace(problem, '\d+', 'N', 'g') AS problem FROM regress_path.run() ORDER BY 1, 2;
-- shadows are heard of: a function that is not so careful calls them
CREATE FUNCTION regress_path.careless() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN 1 = 1; END';
INSERT INTO regress_path.call (role, name, command) VALUES (current_user, 'careless', 'DO ''BEGIN PERFORM regress_path.careless(); END''');
SELECT * FROM regress_path.run() WHERE name = 'careless';

DROP SCHEMA shadow CASCADE;
DROP SCHEMA regress_path CASCADE;
SELECT fleet.revoke_tenant('regress_path_admin', 496);
DELETE FROM fleet.login_key WHERE key_id = 'search path';
DELETE FROM fleet.rule WHERE tenant_id = 496;
DELETE FROM fleet.geofence WHERE tenant_id = 496;
UPDATE fleet.tenant SET auto_register = false WHERE tenant_id = 496;
DROP ROLE regress_path_admin, regress_path_daemon;
