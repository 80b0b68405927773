SELECT here.catalog_name AS collation_catalog, n.nspname AS collation_schema, c.collname AS collation_name,
    'NO PAD'::varchar AS pad_attribute
FROM pg_catalog.pg_collation AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.collnamespace
CROSS JOIN information_schema.information_schema_catalog_name AS here
