-- Foreign keys and the keys that they rest on.
SELECT here.catalog_name AS constraint_catalog, n.nspname AS constraint_schema, k.conname AS constraint_name,
    CASE WHEN u.oid IS NULL THEN NULL ELSE here.catalog_name END AS unique_constraint_catalog, un.nspname AS unique_constraint_schema,
    u.conname AS unique_constraint_name,
    CASE k.confmatchtype WHEN 'f' THEN 'FULL' WHEN 'p' THEN 'PARTIAL' ELSE 'NONE' END::varchar AS match_option,
    CASE k.confupdtype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT' WHEN 'r' THEN 'RESTRICT'
        ELSE 'NO ACTION' END::varchar AS update_rule,
    CASE k.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT' WHEN 'r' THEN 'RESTRICT'
        ELSE 'NO ACTION' END::varchar AS delete_rule
FROM pg_catalog.pg_constraint AS k
JOIN pg_catalog.pg_namespace AS n ON n.oid = k.connamespace
LEFT JOIN pg_catalog.pg_constraint AS u ON u.oid = k.conindid AND u.contype IN ('p', 'u')
LEFT JOIN pg_catalog.pg_namespace AS un ON un.oid = u.connamespace
CROSS JOIN information_schema.information_schema_catalog_name AS here
WHERE k.contype = 'f'
