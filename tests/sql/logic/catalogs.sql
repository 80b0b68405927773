-- What catalogs say of our own objects.
CREATE TABLE t (id bigint NOT NULL, name varchar(20) DEFAULT 'x', price numeric(10,2), tags text[], made timestamptz);
CREATE VIEW v AS SELECT id FROM t;
COMMENT ON TABLE t IS 'a table';
COMMENT ON COLUMN t.name IS 'a column';
SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = current_schema() ORDER BY 1;
SELECT column_name, ordinal_position, is_nullable, data_type, character_maximum_length, numeric_precision, numeric_scale, udt_name FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = 't' ORDER BY ordinal_position;
SELECT relname, relkind, relnatts FROM pg_class WHERE relnamespace = current_schema()::regnamespace ORDER BY 1;
SELECT attname, attnum, atttypid::regtype, atttypmod, attnotnull, atthasdef FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 ORDER BY attnum;
SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 ORDER BY attnum;
SELECT obj_description('t'::regclass, 'pg_class'), col_description('t'::regclass, 2);
SELECT tablename, tableowner FROM pg_tables WHERE schemaname = current_schema();
SELECT viewname FROM pg_views WHERE schemaname = current_schema();
SELECT 't'::regclass::text, to_regclass('no_such'), to_regclass('v') IS NOT NULL;
SELECT has_table_privilege('t', 'SELECT'), has_schema_privilege(current_schema(), 'USAGE'), has_database_privilege(current_database(), 'CONNECT');
SELECT pg_table_is_visible('t'::regclass), pg_get_userbyid(relowner) FROM pg_class WHERE oid = 't'::regclass;
SELECT nspname FROM pg_namespace WHERE nspname IN ('pg_catalog', 'information_schema', 'public') ORDER BY 1;
SELECT datname, datallowconn FROM pg_database WHERE datname = 'main';
SELECT typname, typlen, typtype, typcategory FROM pg_type WHERE oid IN (16, 20, 21, 23, 25, 700, 701, 1043, 1082, 1114, 1184, 1700, 2950, 3802) ORDER BY oid;
SELECT oid, typname, typelem, typarray FROM pg_type WHERE typname IN ('int4', '_int4', 'text', '_text') ORDER BY oid;
SELECT rolname, rolsuper, rolcanlogin FROM pg_roles WHERE rolname = 'admin';
SELECT name, setting FROM pg_settings WHERE name IN ('standard_conforming_strings', 'server_encoding', 'max_identifier_length') ORDER BY 1;
SELECT pg_get_viewdef('v'::regclass) LIKE '%SELECT%FROM t%' OR pg_get_viewdef('v'::regclass) LIKE '%SELECT%';
SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass;
SELECT schema_name FROM information_schema.schemata WHERE schema_name = current_schema();
SELECT current_schemas(false) = ARRAY[current_schema()], current_schemas(true) = ARRAY['pg_catalog', current_schema()];
SELECT pg_encoding_to_char(encoding), datcollate FROM pg_database WHERE datname = 'main';
DROP VIEW v;
DROP TABLE t;

-- arrays of names
SELECT 23 = ANY ('{int,int8,int2}'::regtype[]) AS yes, 25 = ANY ('{int,int8,int2}'::regtype[]) AS no, 'pg_class'::regclass = ANY ('{pg_type,pg_class}'::regclass[]) AS found;
SELECT '{int,nothing_like_it}'::regtype[];
