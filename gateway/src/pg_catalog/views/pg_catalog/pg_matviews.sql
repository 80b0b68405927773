-- Materialized views with the names of their schemas and owners, and their queries.
SELECT n.nspname AS schemaname, c.relname AS matviewname, o.rolname AS matviewowner, NULL::name AS tablespace,
    c.relhasindex AS hasindexes, c.relispopulated AS ispopulated, pg_catalog.pg_get_viewdef(c.oid) AS definition
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_authid AS o ON o.oid = c.relowner
WHERE c.relkind = 'm'
