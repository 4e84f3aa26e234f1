-- Commands: who may send, the states, claims by daemons, expiry, what is told.
INSERT INTO fleet.tenant (tenant_id, name) VALUES (145, 'command'), (146, 'command elsewhere');
SELECT source_id AS source FROM fleet.create_source(145, 'command') \gset
SELECT source_id AS elsewhere FROM fleet.create_source(146, 'command') \gset
SELECT fleet.register_device(145, 'c-1', 'car') AS car \gset
SELECT fleet.register_device(145, 'c-1b', 'car') = :car AS second_device;
SELECT fleet.register_device(145, 'c-2', 'bus') AS bus \gset
SELECT fleet.register_device(146, 'c-1', 'car') AS foreign_car \gset
SELECT fleet.cursor_now() AS cursor \gset

-- devices and commands as daemons name them
CREATE FUNCTION pg_temp.pending(device text, source integer) RETURNS TABLE (known boolean, has_one boolean, left_s numeric)
    LANGUAGE sql AS $$ SELECT p.vehicle_id IS NOT NULL, p.command_id IS NOT NULL, round(p.left_ms / 1000.0) FROM fleet.pending_commands(
    jsonb_build_array(jsonb_build_object('peer', 0, 'source_id', source, 'device', device))) p $$;
CREATE FUNCTION pg_temp.claim(daemon text, command bigint, device text, source integer, age_ms bigint DEFAULT 0)
    RETURNS TABLE (name text, arguments text, attempts integer, in_time boolean, leased boolean, waits boolean)
    LANGUAGE sql AS $$ SELECT c.name, c.arguments, c.attempts, c.left_ms > 0, c.lease_ms BETWEEN 4000 AND 5000, c.wait_ms BETWEEN 1 AND 5000
    FROM fleet.claim_commands(daemon, jsonb_build_array(jsonb_build_object('claim', 0, 'command_id', command,
        'source_id', source, 'device', device, 'age_ms', age_ms))) c $$;
CREATE FUNCTION pg_temp.report(daemon text, command bigint, more jsonb) RETURNS integer
    LANGUAGE sql AS $$ SELECT fleet.report_commands(daemon, jsonb_build_array(jsonb_build_object('command_id', command) || more)) $$;
CREATE VIEW pg_temp.commands AS
SELECT name, state, attempts, answer, failure, sent_at IS NOT NULL AS sent, confirmed_at IS NOT NULL AS confirmed,
       failed_at IS NOT NULL AS failed, expired_at IS NOT NULL AS expired
FROM fleet.command WHERE tenant_id IN (145, 146) ORDER BY command_id;

-- 1. What may be sent
SELECT fleet.send_command(:car, 'lock', '{"pin": 7}', '1 minute') AS lock \gset
SELECT fleet.send_command('car', 'unlock', tenant_id => 145) AS unlock \gset
SELECT name, arguments, state, requested_by = session_user AS by_me, subject, expires_at - queued_at BETWEEN '59 seconds' AND '5 minutes 1 second' AS in_time
FROM fleet.command WHERE tenant_id = 145 ORDER BY command_id;
\set VERBOSITY terse
SELECT fleet.send_command(:car, '');
SELECT fleet.send_command(:car, NULL);
SELECT fleet.send_command(:car, E'two\nlines');
SELECT fleet.send_command(:car, repeat('x', 256));
SELECT fleet.send_command(:car, 'x', NULL);
SELECT fleet.send_command(:car, 'x', '[1]');
SELECT fleet.send_command(:car, 'x', jsonb_build_object('text', repeat('x', 8192)));
SELECT fleet.send_command(:car, 'x', expires => '0');
SELECT fleet.send_command(:car, 'x', expires => '-1 second');
SELECT fleet.send_command(:car, 'x', expires => '7 days 1 second');
SELECT fleet.send_command(:car, 'x', expires => NULL);
SELECT fleet.send_command(:car, 'x', '{"text": "1M8GDM9AXKP042788"}');
SELECT fleet.send_command(-1, 'x');
SELECT fleet.send_command(NULL::bigint, 'x');
SELECT fleet.send_command(NULL::text, 'x', tenant_id => 145);
SELECT fleet.send_command('nobody', 'x', tenant_id => 145);
SELECT fleet.send_command('nobody', 'x', tenant_id => NULL);
\set VERBOSITY default

-- 2. A vehicle's commands one after the other
SELECT * FROM pg_temp.pending('c-1', :source);
SELECT p.command_id = :lock AS the_first FROM fleet.pending_commands(format('[{"peer": 0, "source_id": %s, "device": "c-1b"}]', :source)::jsonb) p;
SELECT * FROM pg_temp.claim('a', :unlock, 'c-1', :source);
SELECT * FROM pg_temp.claim('a', :lock, 'c-1', :source);
SELECT * FROM pg_temp.pending('c-2', :source);
SELECT * FROM pg_temp.pending('nobody', :source);

-- 3. Not by another daemon while the lease holds, and then over a younger connection only
SELECT * FROM pg_temp.claim('b', :lock, 'c-1', :source, 0);
SELECT * FROM pg_temp.claim('b', :lock, 'c-1', :source, 600000);
UPDATE fleet.command SET leased_until = now() - interval '1 second' WHERE command_id = :lock;
SELECT * FROM pg_temp.claim('b', :lock, 'c-1b', :source, 600000);
SELECT * FROM pg_temp.claim('b', :lock, 'c-1b', :source, 0);
-- the daemon that has it needs no new connection: it knows what it wrote
SELECT * FROM pg_temp.claim('b', :lock, 'c-1', :source, 600000);

-- 4. Not by a device of another vehicle, or of another tenant, or of a source that is revoked, has ended or is not for it
SELECT * FROM pg_temp.claim('b', :lock, 'c-2', :source);
SELECT * FROM pg_temp.claim('b', :lock, 'c-1', :elsewhere);
SELECT * FROM pg_temp.claim('b', :lock, 'nobody', :source);
BEGIN;
UPDATE fleet.source SET revoked_at = now() WHERE source_id = :source;
SELECT * FROM pg_temp.claim('b', :lock, 'c-1', :source);
SELECT * FROM pg_temp.pending('c-1', :source);
UPDATE fleet.source SET revoked_at = NULL, expires_at = now() - interval '1 second' WHERE source_id = :source;
SELECT * FROM pg_temp.pending('c-1', :source);
UPDATE fleet.source SET expires_at = NULL, devices = '{c-2,c-1b}' WHERE source_id = :source;
SELECT * FROM pg_temp.claim('b', :lock, 'c-1', :source);
SELECT name FROM pg_temp.claim('b', :lock, 'c-1b', :source);
ROLLBACK;

-- 5. Reports
SELECT pg_temp.report('b', :unlock, '{"outcome": "confirmed"}') AS not_sent;
SELECT pg_temp.report('b', :lock, '{"outcome": "confirmed", "answer": "x", "source_id": -1}') AS of_another_source;
SELECT pg_temp.report('b', :lock, jsonb_build_object('outcome', 'confirmed', 'source_id', :source, 'device', 'c-2')) AS of_another_device;
SELECT pg_temp.report('b', :lock, jsonb_build_object('outcome', 'confirmed', 'answer', 'done', 'source_id', :source, 'device', 'c-1')) AS confirmed;
SELECT pg_temp.report('b', :lock, '{"outcome": "failed"}') AS finished;
SELECT * FROM pg_temp.claim('b', :lock, 'c-1', :source);
SELECT name, attempts FROM pg_temp.claim('a', :unlock, 'c-1', :source);
SELECT pg_temp.report('b', :unlock, '{"outcome": "released"}') AS not_his;
SELECT pg_temp.report('a', :unlock, '{"outcome": "released"}') AS released;
SELECT * FROM pg_temp.commands WHERE name = 'unlock';
SELECT name, attempts FROM pg_temp.claim('b', :unlock, 'c-1', :source);
SELECT pg_temp.report('b', :unlock, '{"outcome": "failed", "failure": "no words for it", "written": false}') AS unsupported;
SELECT fleet.send_command(:car, 'vin') AS vin \gset
SELECT name FROM pg_temp.claim('a', :vin, 'c-1', :source);
SELECT pg_temp.report('a', :vin, '{"outcome": "confirmed", "answer": "VIN:1M8GDM9AXKP042788"}') AS withheld;
SELECT * FROM pg_temp.commands;

-- 6. Expiry: nobody gets it then, and the clock says so
SELECT fleet.send_command(:bus, 'late') AS late \gset
SELECT fleet.send_command(:bus, 'sent late') AS sent_late \gset
UPDATE fleet.command SET queued_at = now() - interval '1 hour', expires_at = now() - interval '1 second' WHERE command_id = :late;
SELECT p.command_id = :sent_late AS the_next FROM fleet.pending_commands(format('[{"peer": 0, "source_id": %s, "device": "c-2"}]', :source)::jsonb) p;
SELECT * FROM pg_temp.claim('a', :late, 'c-2', :source);
SELECT name FROM pg_temp.claim('a', :sent_late, 'c-2', :source);
UPDATE fleet.command SET queued_at = now() - interval '1 hour', expires_at = now() - interval '1 second' WHERE command_id = :sent_late;
SELECT fleet.send_command(:bus, 'fresh') AS fresh \gset
SELECT fleet.tick() >= 0 AS ticked;
SELECT fleet.expire_commands() AS no_more;
SELECT pg_temp.report('b', :sent_late, '{"outcome": "confirmed"}') AS of_another_daemon;
SELECT pg_temp.report('a', :sent_late, jsonb_build_object('outcome', 'confirmed', 'source_id', :source, 'device', 'c-2')) AS over_another_connection;
SELECT pg_temp.report('a', :sent_late, '{"outcome": "confirmed"}') AS told_late;
SELECT * FROM pg_temp.commands WHERE name IN ('late', 'sent late', 'fresh');

-- 7. Cancelling
SELECT (fleet.cancel_command(:fresh)).state;
SELECT * FROM pg_temp.claim('a', :fresh, 'c-2', :source);
\set VERBOSITY terse
DO $$
BEGIN
    PERFORM fleet.cancel_command(max(command_id)) FROM fleet.command WHERE tenant_id = 145;
EXCEPTION WHEN object_not_in_prerequisite_state THEN
    RAISE NOTICE '%', regexp_replace(SQLERRM, '\d+', 'N');
END
$$;
SELECT fleet.cancel_command(-1);
SELECT fleet.cancel_command(NULL);
\set VERBOSITY default

-- 8. A hundred are enough
SELECT count(fleet.send_command(:bus, 'many')) FROM generate_series(1, 100);
\set VERBOSITY sqlstate
SELECT fleet.send_command(:bus, 'one more');
\set VERBOSITY default
SELECT count(fleet.cancel_command(command_id)) FROM fleet.command WHERE vehicle_id = :bus AND name = 'many' AND state = 'queued';

-- 9. A cursor finds what changed
SELECT (command).name, (command).state FROM fleet.commands_since(:'cursor', 145) WHERE (command).name <> 'many' ORDER BY (command).command_id;
SELECT fleet.cursor_now() AS cursor \gset
SELECT count(*) FROM fleet.commands_since(:'cursor', 145);

-- 10. Rights: operators of the tenant, within the vehicles of their token; daemons; nobody else
CREATE ROLE regress_command_operator;
CREATE ROLE regress_command_reader;
CREATE ROLE regress_command_daemon;
GRANT fleet_operator TO regress_command_operator;
GRANT fleet_reader TO regress_command_reader;
GRANT fleet_daemon TO regress_command_daemon;
SELECT fleet.grant_tenant('regress_command_operator', 145), fleet.grant_tenant('regress_command_reader', 145);
SELECT fleet.send_command(:foreign_car, 'theirs') AS theirs \gset
SELECT set_config('fleet_test.foreign', :'foreign_car', false) IS NOT NULL AS known;
SET ROLE regress_command_operator;
SELECT fleet.send_command(:car, 'of an operator') > 0 AS sent;
SELECT requested_by FROM fleet.command WHERE name = 'of an operator';
SELECT count(*) FILTER (WHERE tenant_id <> 145) AS foreign_rows, count(*) > 0 AS own FROM fleet.command;
\set VERBOSITY terse
DO $$
DECLARE
    texts text[];
    id bigint;
BEGIN
    -- one that exists elsewhere, one that does not
    FOREACH id IN ARRAY ARRAY[current_setting('fleet_test.foreign', true)::bigint, 987654321] LOOP
        BEGIN
            PERFORM fleet.send_command(coalesce(id, 1), 'x');
        EXCEPTION WHEN OTHERS THEN
            texts := texts || (SQLSTATE || regexp_replace(SQLERRM, '\d+', 'N'));
        END;
    END LOOP;
    RAISE NOTICE '%', texts;
END
$$;
SELECT fleet.send_command('car', 'x', tenant_id => 146);
SELECT fleet.send_command('car', 'x', tenant_id => 99999);
INSERT INTO fleet.command (tenant_id, vehicle_id, name, expires_at, requested_by) VALUES (145, 1, 'x', 'infinity', 'me');
UPDATE fleet.command SET state = 'queued';
DELETE FROM fleet.command;
SELECT fleet.pending_commands('[]');
SELECT fleet.claim_commands('x', '[]');
SELECT fleet.report_commands('x', '[]');
SELECT fleet.expire_commands();
SELECT fleet.daemon_listen();
SELECT fleet.daemon_channel_name();
SELECT * FROM fleet.daemon_channel;
SET ROLE regress_command_reader;
SELECT count(*) > 0 AS reads FROM fleet.command;
SELECT fleet.send_command('car', 'x', tenant_id => 145);
SELECT fleet.cancel_command(1);
SET ROLE regress_command_daemon;
SELECT count(*) FROM fleet.claim_commands('x', '[]');
SELECT count(*) FROM fleet.pending_commands('[]');
SELECT fleet.report_commands('x', '[]');
SELECT fleet.send_command('car', 'x', tenant_id => 145);
SELECT count(*) FROM fleet.command;
SELECT fleet.daemon_channel_name();
RESET ROLE;
\set VERBOSITY default

-- 11. A daemon that is bound to a tenant takes, reports and renames nothing of another
SELECT fleet.grant_tenant('regress_command_daemon', 146);
SELECT fleet.send_command(:bus, 'bound') AS bound \gset
SELECT fleet.send_command(:foreign_car, 'bound') AS bound_foreign \gset
UPDATE fleet.command SET state = 'failed', failed_at = now() WHERE tenant_id IN (145, 146) AND state IN ('queued', 'sent') AND name <> 'bound';
SET ROLE regress_command_daemon;
SELECT * FROM pg_temp.pending('c-2', :source);
SELECT * FROM pg_temp.claim('d', :bound, 'c-2', :source);
SELECT fleet.rekey_from_sources(ARRAY[:source]::integer[], '{c-2}', '{c-mine}');
SELECT has_one FROM pg_temp.pending('c-1', :elsewhere);
SELECT name, attempts FROM pg_temp.claim('d', :bound_foreign, 'c-1', :elsewhere);
RESET ROLE;
SELECT name FROM pg_temp.claim('e', :bound, 'c-2', :source);
SET ROLE regress_command_daemon;
SELECT pg_temp.report('e', :bound, '{"outcome": "released"}') AS released, pg_temp.report('e', :bound, '{"outcome": "confirmed"}') AS confirmed,
       pg_temp.report('d', :bound_foreign, '{"outcome": "confirmed"}') AS of_its_own;
RESET ROLE;
SELECT state FROM fleet.command WHERE command_id = :bound;

-- 12. Sending and cancelling are in the audit log
SELECT action, count(*) FROM fleet.audit_log WHERE tenant_id = 145 AND action LIKE 'command.%' GROUP BY 1 ORDER BY 1;

-- 13. They go with their vehicle
DELETE FROM fleet.vehicle WHERE vehicle_id = :bus;
SELECT count(*) FROM fleet.command WHERE vehicle_id = :bus;

DROP FUNCTION pg_temp.pending, pg_temp.claim, pg_temp.report;
SELECT fleet.revoke_tenant('regress_command_operator', 145), fleet.revoke_tenant('regress_command_reader', 145);
SELECT fleet.revoke_tenant('regress_command_daemon', 146);
DROP ROLE regress_command_operator, regress_command_reader, regress_command_daemon;
DELETE FROM fleet.command WHERE tenant_id IN (145, 146);
