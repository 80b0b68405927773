-- Views with the names of their schemas and owners, and their queries.
SELECT n.nspname AS schemaname, c.relname AS viewname, o.rolname AS viewowner, pg_catalog.pg_get_viewdef(c.oid) AS definition
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_authid AS o ON o.oid = c.relowner
WHERE c.relkind = 'v'
