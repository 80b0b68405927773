-- Tables with the names of their schemas and owners.
SELECT n.nspname AS schemaname, c.relname AS tablename, o.rolname AS tableowner, t.spcname AS tablespace, c.relhasindex AS hasindexes,
    c.relhasrules AS hasrules, c.relhastriggers AS hastriggers, c.relrowsecurity AS rowsecurity
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_authid AS o ON o.oid = c.relowner
LEFT JOIN pg_catalog.pg_tablespace AS t ON t.oid = c.reltablespace
WHERE c.relkind = 'r'
