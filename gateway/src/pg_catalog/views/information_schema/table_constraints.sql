-- Keys inform; checks and NOT NULL are enforced. NOT NULL has no name of its own: one is made, as PostgreSQL 15 makes it.
SELECT here.catalog_name AS constraint_catalog, n.nspname AS constraint_schema, k.conname AS constraint_name,
    here.catalog_name AS table_catalog, n.nspname AS table_schema, c.relname AS table_name,
    CASE k.contype WHEN 'c' THEN 'CHECK'::varchar WHEN 'p' THEN 'PRIMARY KEY'::varchar WHEN 'f' THEN 'FOREIGN KEY'::varchar ELSE 'UNIQUE'::varchar END::varchar AS constraint_type,
    CASE WHEN k.condeferrable THEN 'YES' ELSE 'NO' END::varchar(3) AS is_deferrable,
    CASE WHEN k.condeferred THEN 'YES' ELSE 'NO' END::varchar(3) AS initially_deferred,
    CASE k.contype WHEN 'c' THEN 'YES'::varchar(3) ELSE 'NO'::varchar(3) END::varchar(3) AS enforced,
    CASE k.contype WHEN 'u' THEN 'YES'::varchar(3) END::varchar(3) AS nulls_distinct
FROM pg_catalog.pg_constraint AS k
JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN information_schema.information_schema_catalog_name AS here
UNION ALL
SELECT here.catalog_name AS constraint_catalog, n.nspname AS constraint_schema,
    (n.oid::text || '_' || c.oid::text || '_' || a.attnum::text || '_not_null')::name AS constraint_name,
    here.catalog_name AS table_catalog, n.nspname AS table_schema, c.relname AS table_name, 'CHECK'::varchar AS constraint_type,
    'NO'::varchar(3) AS is_deferrable, 'NO'::varchar(3) AS initially_deferred, 'YES'::varchar(3) AS enforced,
    NULL::varchar(3) AS nulls_distinct
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN information_schema.information_schema_catalog_name AS here
WHERE a.attnotnull AND c.relkind = 'r'
