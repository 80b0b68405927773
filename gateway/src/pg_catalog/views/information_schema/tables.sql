SELECT here.catalog_name AS table_catalog, n.nspname AS table_schema, c.relname AS table_name,
    CASE WHEN n.oid = pg_catalog.pg_my_temp_schema() THEN 'LOCAL TEMPORARY'::varchar WHEN c.relkind = 'v' THEN 'VIEW'::varchar
        ELSE 'BASE TABLE'::varchar END::varchar AS table_type,
    NULL::name AS self_referencing_column_name, NULL::varchar AS reference_generation, NULL::name AS user_defined_type_catalog,
    NULL::name AS user_defined_type_schema, NULL::name AS user_defined_type_name,
    CASE c.relkind WHEN 'r' THEN 'YES'::varchar(3) ELSE 'NO'::varchar(3) END::varchar(3) AS is_insertable_into, 'NO'::varchar(3) AS is_typed,
    NULL::varchar AS commit_action
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN information_schema.information_schema_catalog_name AS here
WHERE c.relkind IN ('r', 'v')
