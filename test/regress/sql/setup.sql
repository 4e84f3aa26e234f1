-- Creates the extension that every other test of the run uses.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION fleet CASCADE;
RESET client_min_messages;

-- 1. What was created, and where
SELECT e.extname, n.nspname AS schema, e.extrelocatable AS relocatable
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname IN ('fleet', 'postgis')
ORDER BY e.extname;

-- 2. The default tenant
SELECT tenant_id, name, auto_register FROM fleet.tenant;

-- 3. Nothing outside the schema
SELECT pg_describe_object(d.classid, d.objid, d.objsubid)
FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) i
WHERE e.extname = 'fleet' AND d.deptype = 'e' AND i.schema IS DISTINCT FROM 'fleet'
  AND i.type NOT IN ('cast', 'schema', 'event trigger')
ORDER BY 1;
