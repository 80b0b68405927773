SELECT here.catalog_name AS constraint_catalog, n.nspname AS constraint_schema, k.conname AS constraint_name,
    ('(' || k.conbin || ')')::varchar AS check_clause
FROM pg_catalog.pg_constraint AS k
JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN information_schema.information_schema_catalog_name AS here
WHERE k.contype = 'c'
UNION ALL
SELECT here.catalog_name AS constraint_catalog, n.nspname AS constraint_schema,
    (n.oid::text || '_' || c.oid::text || '_' || a.attnum::text || '_not_null')::name AS constraint_name,
    (a.attname || ' IS NOT NULL')::varchar AS check_clause
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN information_schema.information_schema_catalog_name AS here
WHERE a.attnotnull AND c.relkind = 'r'
