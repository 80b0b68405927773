SELECT here.catalog_name AS catalog_name, n.nspname AS schema_name, o.rolname AS schema_owner,
    NULL::name AS default_character_set_catalog, NULL::name AS default_character_set_schema, NULL::name AS default_character_set_name,
    NULL::varchar AS sql_path
FROM pg_catalog.pg_namespace AS n
JOIN pg_catalog.pg_authid AS o ON o.oid = n.nspowner
CROSS JOIN information_schema.information_schema_catalog_name AS here
