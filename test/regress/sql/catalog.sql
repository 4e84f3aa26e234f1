-- What the catalogs must say of every object of the extension.
CREATE TEMP VIEW member AS
SELECT d.classid, d.objid, i.type, i.identity
FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) i
WHERE e.extname = 'fleet' AND d.deptype = 'e';
CREATE TEMP VIEW routine AS
SELECT p.*, l.lanname FROM pg_temp.member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
JOIN pg_language l ON l.oid = p.prolang;

SELECT count(*) > 200 AS many FROM pg_temp.member;

-- 1. Every object has a comment; the array and row types that come along excepted
SELECT m.type, m.identity
FROM pg_temp.member m LEFT JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
WHERE obj_description(m.objid, m.classid::regclass::name) IS NULL
  AND m.type NOT IN ('sequence', 'schema', 'operator family')
  AND NOT coalesce(t.typcategory = 'A' OR t.typtype = 'c', false)
ORDER BY 1, 2;

-- 2. Functions that are not of C or SQL-standard body have their search_path locked
SELECT r.oid::regprocedure AS function FROM pg_temp.routine r
WHERE (r.lanname = 'plpgsql' OR r.prosecdef OR r.lanname = 'sql' AND r.prosqlbody IS NULL)
  AND NOT EXISTS (SELECT FROM unnest(r.proconfig) c WHERE c LIKE 'search\_path=%pg\_temp')
ORDER BY 1;

-- 3. What may be called in parallel writes nothing
SELECT r.oid::regprocedure AS function FROM pg_temp.routine r
WHERE r.provolatile = 'v' AND r.proparallel = 's' AND r.prorettype <> 'trigger'::regtype
  AND r.proname NOT IN ('has_partition')
ORDER BY 1;

-- 4. What may be called by everybody: nothing that writes, and no token
SELECT r.oid::regprocedure AS function FROM pg_temp.routine r
WHERE r.provolatile = 'v' AND r.prorettype <> 'trigger'::regtype
  AND has_function_privilege('public', r.oid, 'EXECUTE') AND r.proname <> 'last_batch'
ORDER BY 1;
SELECT c.oid::regclass AS relation, a.privilege_type
FROM pg_temp.member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
CROSS JOIN LATERAL aclexplode(c.relacl) a
WHERE a.grantee = 0
ORDER BY 1, 2;

-- 5. Operator classes hold together
WITH own AS MATERIALIZED (
    SELECT opc.oid, opc.opcname FROM pg_temp.member m
    JOIN pg_opclass opc ON m.classid = 'pg_opclass'::regclass AND opc.oid = m.objid)
SELECT count(*) > 5 AS several, count(*) FILTER (WHERE NOT amvalidate(oid)) AS invalid FROM own;

-- 6. Tables: every one has a primary key (history: its partitions), and every foreign key an index
SELECT c.oid::regclass AS "table" FROM pg_temp.member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
WHERE c.relkind = 'r' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
ORDER BY 1;
SELECT k.conrelid::regclass AS "table", k.conname
FROM pg_constraint k JOIN pg_temp.member m ON m.classid = 'pg_class'::regclass AND m.objid = k.conrelid
WHERE k.contype = 'f' AND k.confdeltype = 'c'
  AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = k.conrelid AND i.indkey[0] = k.conkey[1])
ORDER BY 1, 2;
