SELECT here.catalog_name AS table_catalog, n.nspname AS table_schema, c.relname AS table_name, here.catalog_name AS constraint_catalog,
    n.nspname AS constraint_schema, k.conname AS constraint_name
FROM pg_catalog.pg_constraint AS k
JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN information_schema.information_schema_catalog_name AS here
WHERE k.contype IN ('p', 'u')
