SELECT here.catalog_name AS specific_catalog, n.nspname AS specific_schema, (p.proname || '_' || p.oid::text)::name AS specific_name,
    here.catalog_name AS routine_catalog, n.nspname AS routine_schema, p.proname AS routine_name, 'FUNCTION'::varchar AS routine_type,
    NULL::name AS module_catalog, NULL::name AS module_schema, NULL::name AS module_name, NULL::name AS udt_catalog,
    NULL::name AS udt_schema, NULL::name AS udt_name,
    CASE WHEN t.typelem <> 0 AND t.typlen = -1 THEN 'ARRAY' WHEN tn.nspname = 'pg_catalog' THEN pg_catalog.format_type(t.oid, NULL) ELSE 'USER-DEFINED' END::varchar AS data_type,
    NULL::int AS character_maximum_length, NULL::int AS character_octet_length, NULL::name AS character_set_catalog,
    NULL::name AS character_set_schema, NULL::name AS character_set_name, NULL::name AS collation_catalog,
    NULL::name AS collation_schema, NULL::name AS collation_name, NULL::int AS numeric_precision, NULL::int AS numeric_precision_radix,
    NULL::int AS numeric_scale, NULL::int AS datetime_precision, NULL::varchar AS interval_type, NULL::int AS interval_precision,
    here.catalog_name AS type_udt_catalog, tn.nspname AS type_udt_schema, t.typname AS type_udt_name, NULL::name AS scope_catalog,
    NULL::name AS scope_schema, NULL::name AS scope_name, NULL::int AS maximum_cardinality, '0'::name AS dtd_identifier,
    'EXTERNAL'::varchar AS routine_body, NULL::varchar AS routine_definition, NULL::varchar AS external_name,
    upper(l.lanname)::varchar AS external_language, 'GENERAL'::varchar AS parameter_style,
    CASE WHEN p.provolatile = 'i' THEN 'YES'::varchar(3) ELSE 'NO'::varchar(3) END::varchar(3) AS is_deterministic,
    'MODIFIES'::varchar AS sql_data_access, CASE WHEN p.proisstrict THEN 'YES'::varchar(3) ELSE 'NO'::varchar(3) END::varchar(3) AS is_null_call,
    NULL::varchar AS sql_path, 'YES'::varchar(3) AS schema_level_routine, 0 AS max_dynamic_result_sets,
    NULL::varchar(3) AS is_user_defined_cast, NULL::varchar(3) AS is_implicitly_invocable, 'INVOKER'::varchar AS security_type,
    NULL::name AS to_sql_specific_catalog, NULL::name AS to_sql_specific_schema, NULL::name AS to_sql_specific_name,
    'NO'::varchar(3) AS as_locator, NULL::timestamptz AS created, NULL::timestamptz AS last_altered,
    NULL::varchar(3) AS new_savepoint_level, 'NO'::varchar(3) AS is_udt_dependent, NULL::varchar AS result_cast_from_data_type,
    NULL::varchar(3) AS result_cast_as_locator, NULL::int AS result_cast_char_max_length, NULL::int AS result_cast_char_octet_length,
    NULL::name AS result_cast_char_set_catalog, NULL::name AS result_cast_char_set_schema, NULL::name AS result_cast_char_set_name,
    NULL::name AS result_cast_collation_catalog, NULL::name AS result_cast_collation_schema, NULL::name AS result_cast_collation_name,
    NULL::int AS result_cast_numeric_precision, NULL::int AS result_cast_numeric_precision_radix,
    NULL::int AS result_cast_numeric_scale, NULL::int AS result_cast_datetime_precision, NULL::varchar AS result_cast_interval_type,
    NULL::int AS result_cast_interval_precision, NULL::name AS result_cast_type_udt_catalog, NULL::name AS result_cast_type_udt_schema,
    NULL::name AS result_cast_type_udt_name, NULL::name AS result_cast_scope_catalog, NULL::name AS result_cast_scope_schema,
    NULL::name AS result_cast_scope_name, NULL::int AS result_cast_maximum_cardinality, NULL::name AS result_cast_dtd_identifier
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_type AS t ON t.oid = p.prorettype
JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.typnamespace
JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
CROSS JOIN information_schema.information_schema_catalog_name AS here
