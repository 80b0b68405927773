SELECT NULL::name AS character_set_catalog, NULL::name AS character_set_schema, 'UTF8'::name AS character_set_name,
    'UCS'::name AS character_repertoire, 'UTF8'::name AS form_of_use, here.catalog_name AS default_collate_catalog,
    'pg_catalog'::name AS default_collate_schema, 'C'::name AS default_collate_name
FROM information_schema.information_schema_catalog_name AS here
