-- The query is shown to those who have the owner's privileges.
SELECT here.catalog_name AS table_catalog, n.nspname AS table_schema, c.relname AS table_name,
    CASE WHEN pg_catalog.pg_has_role(c.relowner, 'USAGE') THEN pg_catalog.pg_get_viewdef(c.oid) END::varchar AS view_definition,
    'NONE'::varchar AS check_option, 'NO'::varchar(3) AS is_updatable, 'NO'::varchar(3) AS is_insertable_into,
    'NO'::varchar(3) AS is_trigger_updatable, 'NO'::varchar(3) AS is_trigger_deletable, 'NO'::varchar(3) AS is_trigger_insertable_into
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN information_schema.information_schema_catalog_name AS here
WHERE c.relkind = 'v'
