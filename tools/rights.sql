-- The table of docs/security.md, "Who may what": what the catalog says of each
-- relation and function of the extension and of each role.
--
--   psql fleet -AtXf tools/rights.sql
WITH role (place, name) AS (
    VALUES (1, 'fleet_ingest'), (2, 'fleet_daemon'), (3, 'fleet_reader'), (4, 'fleet_operator'), (5, 'fleet_admin'), (6, 'fleet_owner')),
relation AS (
    SELECT c.oid, c.relname::text AS name
      FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
      JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'fleet'
     WHERE c.relkind IN ('r', 'p', 'v')),
-- what computes from its arguments alone is for everybody
routine AS (
    SELECT p.oid, p.proname::text AS name
      FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
      JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'fleet'
     WHERE p.provolatile <> 'i' AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)),
-- in capitals what holds for some columns only
letters AS (
    SELECT t.name, r.place,
           concat(CASE WHEN has_table_privilege(r.name, t.oid, 'SELECT') THEN 'r' WHEN has_any_column_privilege(r.name, t.oid, 'SELECT') THEN 'R' END,
                  CASE WHEN has_table_privilege(r.name, t.oid, 'INSERT') THEN 'i' WHEN has_any_column_privilege(r.name, t.oid, 'INSERT') THEN 'I' END,
                  CASE WHEN has_table_privilege(r.name, t.oid, 'UPDATE') THEN 'u' WHEN has_any_column_privilege(r.name, t.oid, 'UPDATE') THEN 'U' END,
                  CASE WHEN has_table_privilege(r.name, t.oid, 'DELETE') THEN 'd' END) AS may
      FROM relation t CROSS JOIN role r),
executes AS (
    SELECT f.name, r.place, bool_or(has_function_privilege(r.name, f.oid, 'EXECUTE')) AS any_one, bool_and(has_function_privilege(r.name, f.oid, 'EXECUTE')) AS every_one
      FROM routine f CROSS JOIN role r GROUP BY 1, 2)
SELECT line FROM (
    SELECT 1 AS part, name, format('| `%s` | %s |', name, string_agg(may, ' | ' ORDER BY place)) AS line
      FROM letters GROUP BY name
    UNION ALL
    SELECT 2, name, format('| `%s()` | %s |', name, string_agg(CASE WHEN every_one THEN 'x' WHEN any_one THEN 'X' ELSE '' END, ' | ' ORDER BY place))
      FROM executes GROUP BY name HAVING bool_or(any_one)) lines
 ORDER BY part, name COLLATE "C";
