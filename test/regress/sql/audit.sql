--
-- The audit log: each sensitive act leaves its row, no row holds a secret, and
-- none is changed or removed without a trace
--
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET timezone = 'UTC'; SET datestyle = 'ISO'; SET client_min_messages = warning;
CREATE SCHEMA regress_audit;
GRANT USAGE ON SCHEMA regress_audit TO PUBLIC;
SET search_path = regress_audit, public;
-- what has been noted of a tenant since it was asked last
CREATE TABLE asked (tenant integer PRIMARY KEY, id bigint NOT NULL);
INSERT INTO asked SELECT t, coalesce((SELECT h.audit_id FROM fleet.audit_head h WHERE h.tenant_id = t), 0) FROM unnest('{0,494,495}'::integer[]) t;
CREATE FUNCTION noted(t integer DEFAULT 494) RETURNS TABLE (action text, object_type text, detail jsonb) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT l.action, l.object_type, (SELECT jsonb_object_agg(d.key, CASE WHEN d.key ~ '(_at|_id|_by|_from|prefix)$' THEN '"..."' ELSE d.value END) FROM jsonb_each(l.detail) d)
      FROM fleet.audit_log l JOIN regress_audit.asked a ON a.tenant = l.tenant_id WHERE l.tenant_id = t AND l.audit_id > a.id ORDER BY l.audit_id;
    UPDATE regress_audit.asked a SET id = h.audit_id FROM fleet.audit_head h WHERE h.tenant_id = t AND a.tenant = t;
END $$;

-- 1. Each act leaves its row.  The tenant itself
INSERT INTO fleet.tenant (tenant_id, name) VALUES (494, 'audit'), (495, 'audit of others');
UPDATE fleet.tenant SET auto_register = true WHERE tenant_id = 494;
UPDATE fleet.tenant SET channel_key = 'x' WHERE tenant_id = 494;
-- an UPDATE that changes nothing is no change
UPDATE fleet.tenant SET auto_register = true WHERE tenant_id = 494;
SELECT * FROM noted();
CREATE ROLE regress_audit_admin IN ROLE fleet_admin;
SELECT fleet.grant_tenant('regress_audit_admin', 494), fleet.grant_tenant('regress_audit_admin', 494);
SELECT * FROM noted();
-- keys, of all tenants or of one
SELECT fleet.create_login_key('audit', 'HS256', sha256('audit secret'), 'audit'), fleet.create_login_key('audit 494', 'HS256', sha256('audit secret'), 'audit', 'fleet', 494);
SELECT fleet.revoke_login_key('audit'), fleet.revoke_login_key('audit 494');
UPDATE fleet.login_key SET key = sha256('other') WHERE key_id = 'audit 494';
DELETE FROM fleet.login_key WHERE key_id ~ '^audit';
SELECT * FROM noted(0) WHERE object_type = 'login_key';
SELECT * FROM noted();

SET ROLE regress_audit_admin;
-- sources and tokens
SELECT source_id AS src, token AS tok FROM fleet.create_source(494, 'feed', '{a,b}') \gset
SELECT length(fleet.rotate_token(:src)) > 30 AS rotated;
SELECT fleet.revoke_token(:'tok');
UPDATE fleet.source SET devices = '{a}' WHERE source_id = :src;
SELECT fleet.revoke_source(:src);
RESET ROLE;
SELECT action, object_type, CASE WHEN object_type = 'source' THEN detail END AS detail FROM noted();
SET ROLE regress_audit_admin;
-- contracts, rules, geofences
INSERT INTO fleet.contract (tenant_id, horizon) VALUES (494, '1 day');
UPDATE fleet.contract SET horizon = '2 days';
DELETE FROM fleet.contract;
INSERT INTO fleet.rule (tenant_id, name, condition) VALUES (494, 'fast', 'speed_kmh > 100'), (494, 'slow', 'speed_kmh < 1');
UPDATE fleet.rule SET enabled = false, condition = 'speed_kmh > 120' WHERE name = 'fast';
DELETE FROM fleet.rule WHERE name = 'slow';
INSERT INTO fleet.geofence (tenant_id, name, area) VALUES (494, 'yard', ST_MakeEnvelope(1, 1, 2, 2, 4326));
UPDATE fleet.geofence SET area = ST_MakeEnvelope(1, 1, 3, 3, 4326);
DELETE FROM fleet.geofence;
RESET ROLE;
SELECT * FROM noted();
SET ROLE regress_audit_admin;
-- commands, exports, erasure, rekeying, replay, channels
SELECT fleet.register_device(494, 'a', 'car') AS v \gset
SELECT fleet.send_command(:v, 'lock', '{"pin": "4711"}') AS c \gset
SELECT state FROM fleet.cancel_command(:c);
SELECT count(*) > 0 AS given FROM fleet.export_vehicle(:v);
SELECT fleet.rekey_devices(494, '{a}', '{b}');
SELECT replayed FROM fleet.replay_quarantine(494);
SELECT fleet.rotate_channels(494) IS NOT NULL AS rotated;
SELECT count(*) > 0 AS erased FROM fleet.erase_vehicle(:v);
-- nor does one go that is deleted without a trace
INSERT INTO fleet.vehicle (tenant_id, name) VALUES (494, 'deleted');
DELETE FROM fleet.vehicle WHERE tenant_id = 494 AND name = 'deleted';
RESET ROLE;
SELECT action, object_type, detail - 'since' - '{pin}'::text[] AS detail FROM noted();
-- the end of a grant, and of a tenant whose log stays
SELECT fleet.revoke_tenant('regress_audit_admin', 494);
SELECT * FROM noted();
-- what is rolled back was not done
BEGIN;
UPDATE fleet.tenant SET auto_register = false WHERE tenant_id = 494;
ROLLBACK;
SELECT * FROM noted();

-- 2. Who: the role, who had connected, whom the token named
SELECT DISTINCT role_name = 'regress_audit_admin' AS role, session_role = session_user AS session, subject FROM fleet.audit_log WHERE tenant_id = 494 AND action ~ '^(rule|command)';
-- every tenant's rows are counted from 1 on without a gap, and in order of time
SELECT min(audit_id), max(audit_id) = count(*) AS without_a_gap FROM fleet.audit_log WHERE tenant_id = 494;
SELECT bool_and(later) FROM (SELECT acted_at >= lag(acted_at) OVER (ORDER BY audit_id) AS later FROM fleet.audit_log WHERE tenant_id = 494) l;

-- 3. No secret: tokens, hashes, keys, channel keys, arguments of commands
SELECT l.action FROM fleet.audit_log l WHERE l.tenant_id IN (494, 495) AND (position(:'tok' IN l::text) > 0 OR concat_ws(' ', l.object_id, l.subject, l.detail) ~ 'flt_|4711|eyJ' OR l::text ~ encode(sha256(convert_to(:'tok', 'UTF8')), 'hex')
    OR l::text ~ encode(sha256('audit secret'), 'hex') OR l.detail ?| '{token_sha256,channel_key,key,area}' AND l.detail::text ~ '\\\\x');
SELECT count(*) FROM fleet.audit_log l, fleet.tenant t WHERE l.tenant_id = t.tenant_id AND t.tenant_id IN (494, 495) AND l::text ~ encode(t.channel_key, 'hex');

-- 4. The log only grows: for those who read it, its owner, and a session that plays a replica
SET ROLE regress_audit_admin;
INSERT INTO fleet.audit_log SELECT * FROM fleet.audit_log;
UPDATE fleet.audit_log SET action = 'x';
DELETE FROM fleet.audit_log;
TRUNCATE fleet.audit_log;
UPDATE fleet.audit_head SET audit_id = 0;
SELECT fleet.audit('mine', 494, 'x', 'y');
SELECT fleet.audit_many('[{"action": "mine", "tenant_id": 494, "object_type": "x"}]');
RESET ROLE;
CREATE ROLE regress_audit_owner IN ROLE fleet_owner;
SET ROLE regress_audit_owner;
UPDATE fleet.audit_log SET action = 'x';
DELETE FROM fleet.audit_head;
RESET ROLE;
UPDATE fleet.audit_log SET action = 'x';
DELETE FROM fleet.audit_log;
TRUNCATE fleet.audit_log;
DELETE FROM fleet.audit_head;
TRUNCATE fleet.audit_head;
MERGE INTO fleet.audit_log l USING (SELECT 1) s ON l.tenant_id = 494 WHEN MATCHED THEN DELETE;
INSERT INTO fleet.audit_log SELECT * FROM fleet.audit_log WHERE tenant_id = 494 ON CONFLICT (tenant_id, audit_id) DO UPDATE SET action = 'x';
SET session_replication_role = replica;
UPDATE fleet.audit_log SET action = 'x';
DELETE FROM fleet.audit_log;
TRUNCATE fleet.audit_log, fleet.audit_head;
RESET session_replication_role;
SELECT * FROM fleet.verify_audit();

-- 5. A superuser can switch the trigger off.  Then it is found out
SELECT fleet.audit('test', 495, 'x', i::text) FROM generate_series(1, 8) i;
SELECT max(audit_id) AS last FROM fleet.audit_log WHERE tenant_id = 495 \gset
SELECT count(*) FROM fleet.verify_audit(495);
CREATE FUNCTION found(command text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    problems text[];
BEGIN
    BEGIN
        ALTER TABLE fleet.audit_log DISABLE TRIGGER audit_refuse;
        ALTER TABLE fleet.audit_head DISABLE TRIGGER audit_refuse;
        EXECUTE command;
        problems := ARRAY(SELECT format('%s: %s', v.audit_id - (SELECT min(audit_id) FROM fleet.audit_log WHERE tenant_id = 495 AND action = 'test') + 1, v.problem) FROM fleet.verify_audit(495) v);
        RAISE EXCEPTION USING ERRCODE = 'ZZ999';
    EXCEPTION WHEN SQLSTATE 'ZZ999' THEN
    END;
    RETURN QUERY SELECT unnest(problems);
END $$;
-- changed: each column
SELECT a.attname, f FROM pg_attribute a, LATERAL found(format('UPDATE fleet.audit_log SET %I = %s WHERE tenant_id = 495 AND audit_id = %s', a.attname,
    CASE a.atttypid WHEN 'text'::regtype THEN '''forged''' WHEN 'jsonb'::regtype THEN '''{"x": 1}''' WHEN 'bytea'::regtype THEN 'sha256(''x'')' WHEN 'timestamptz'::regtype THEN 'acted_at + interval ''1 microsecond''' END, :last - 3)) f
 WHERE a.attrelid = 'fleet.audit_log'::regclass AND a.attnum > 0 AND a.attname NOT IN ('tenant_id', 'audit_id') ORDER BY a.attnum, f;
-- changed, with a hash of its own that is right
SELECT * FROM found(format('UPDATE fleet.audit_log l SET action = ''forged'', hash = fleet.audit_hash(jsonb_populate_record(l, ''{"action": "forged"}'')) WHERE tenant_id = 495 AND audit_id = %s', :last - 3));
-- missing: within, at the end, at the beginning, several
SELECT * FROM found(format('DELETE FROM fleet.audit_log WHERE tenant_id = 495 AND audit_id = %s', :last - 3));
SELECT * FROM found(format('DELETE FROM fleet.audit_log WHERE tenant_id = 495 AND audit_id BETWEEN %s AND %s', :last - 4, :last - 3));
SELECT * FROM found(format('DELETE FROM fleet.audit_log WHERE tenant_id = 495 AND audit_id = %s', :last));
SELECT * FROM found(format('DELETE FROM fleet.audit_log WHERE tenant_id = 495 AND audit_id = 1'));
SELECT split_part(f, ': ', 2) FROM found('DELETE FROM fleet.audit_log WHERE tenant_id = 495') f;
-- missing, and the numbers of the rest moved up
SELECT * FROM found(format('DELETE FROM fleet.audit_log WHERE tenant_id = 495 AND audit_id = %s; UPDATE fleet.audit_log SET audit_id = audit_id - 1 WHERE tenant_id = 495 AND audit_id > %1$s', :last - 2));
-- reordered
SELECT * FROM found(format('UPDATE fleet.audit_log SET audit_id = 999 WHERE tenant_id = 495 AND audit_id = %s; UPDATE fleet.audit_log SET audit_id = %1$s WHERE tenant_id = 495 AND audit_id = %s;
    UPDATE fleet.audit_log SET audit_id = %2$s WHERE tenant_id = 495 AND audit_id = 999', :last - 3, :last - 4));
-- added, and cut off with the head set back
SELECT * FROM found(format('INSERT INTO fleet.audit_log SELECT 495, %s, acted_at, role_name, session_role, subject, action, object_type, object_id, detail, hash, sha256(hash) FROM fleet.audit_log WHERE tenant_id = 495 AND audit_id = %s', :last + 1, :last));
SELECT * FROM found(format('DELETE FROM fleet.audit_head WHERE tenant_id = 495'));
SELECT * FROM found(format('UPDATE fleet.audit_head SET audit_id = audit_id + 1 WHERE tenant_id = 495'));
-- given to another tenant
SELECT * FROM found(format('UPDATE fleet.audit_log SET tenant_id = 4999 WHERE tenant_id = 495 AND audit_id = %s', :last));
-- what a copy of the head finds out, and nothing else: all computed anew, here by cutting off and setting back
SELECT * FROM found(format('DELETE FROM fleet.audit_log WHERE tenant_id = 495 AND audit_id > %s;
    UPDATE fleet.audit_head h SET (audit_id, hash) = (SELECT l.audit_id, l.hash FROM fleet.audit_log l WHERE l.tenant_id = 495 AND l.audit_id = %1$s) WHERE tenant_id = 495', :last - 2));
SELECT * FROM fleet.verify_audit();

-- 6. Whose log one reads: the tenant's
SELECT fleet.grant_tenant('regress_audit_admin', 495);
SET ROLE regress_audit_admin;
SELECT DISTINCT tenant_id FROM fleet.audit_log;
SELECT tenant_id FROM fleet.audit_head;
SELECT * FROM fleet.verify_audit();
-- no row would say that another's is whole
SELECT * FROM fleet.verify_audit(494);
RESET ROLE;
SELECT fleet.revoke_tenant('regress_audit_admin', 495);
SET ROLE regress_audit_admin;
SELECT * FROM fleet.verify_audit();
RESET ROLE;

-- 7. A hash does not depend on settings
SELECT fleet.audit_hash(l) = l.hash AS before FROM fleet.audit_log l WHERE tenant_id = 495 AND audit_id = 1;
SET timezone = 'Asia/Kolkata'; SET datestyle = 'German'; SET extra_float_digits = 0; SET bytea_output = 'escape'; SET intervalstyle = 'sql_standard';
SELECT fleet.audit_hash(l) = l.hash AS after FROM fleet.audit_log l WHERE tenant_id = 495 AND audit_id = 1;
RESET timezone; RESET bytea_output; RESET extra_float_digits; RESET intervalstyle; SET datestyle = 'ISO';

-- 8. The log outlives the tenant
DELETE FROM fleet.tenant WHERE tenant_id = 495;
SELECT action FROM noted(495) WHERE action ~ 'tenant';
SELECT * FROM fleet.verify_audit(495);
-- a superuser's session that restores a dump notes nothing: the dump has the log
SET row_security = off;
UPDATE fleet.tenant SET auto_register = false WHERE tenant_id = 494;
RESET row_security;
SELECT * FROM noted();

DELETE FROM fleet.rule WHERE tenant_id = 494;
DROP SCHEMA regress_audit CASCADE;
DROP ROLE regress_audit_admin, regress_audit_owner;
