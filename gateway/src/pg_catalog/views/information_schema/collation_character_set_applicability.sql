SELECT collation_catalog, collation_schema, collation_name, NULL::name AS character_set_catalog, NULL::name AS character_set_schema,
    'UTF8'::name AS character_set_name
FROM information_schema.collations
