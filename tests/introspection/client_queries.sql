-- Statements of clients that were not recorded; objects are those of setup.sql.

-- [simple] x1
/*** Load all supported types ***/
SELECT ns.nspname, a.typname, a.oid, a.typrelid, a.typbasetype,
CASE WHEN pg_proc.proname='array_recv' THEN 'a' ELSE a.typtype END AS type,
CASE WHEN pg_proc.proname='array_recv' THEN a.typelem WHEN a.typtype='r' THEN rngsubtype ELSE 0 END AS elemoid,
CASE WHEN pg_proc.proname IN ('array_recv','oidvectorrecv') THEN 3 WHEN a.typtype='r' THEN 2 WHEN a.typtype='d' THEN 1 ELSE 0 END AS ord
FROM pg_type AS a
JOIN pg_namespace AS ns ON (ns.oid = a.typnamespace)
JOIN pg_proc ON pg_proc.oid = a.typreceive
LEFT OUTER JOIN pg_class AS cls ON (cls.oid = a.typrelid)
LEFT OUTER JOIN pg_type AS b ON (b.oid = a.typelem)
LEFT OUTER JOIN pg_class AS elemcls ON (elemcls.oid = b.typrelid)
LEFT OUTER JOIN pg_range ON (pg_range.rngtypid = a.oid)
WHERE a.typtype IN ('b','r','e','d') OR (a.typtype='c' AND cls.relkind='c') OR
  (pg_proc.proname='array_recv' AND (b.typtype IN ('b','r','e','d') OR (b.typtype='p' AND b.typname IN ('record','void')) OR (b.typtype='c' AND elemcls.relkind='c'))) OR
  (a.typtype='p' AND a.typname IN ('record','void'))
ORDER BY ord;

-- [simple] x1
/*** Load field definitions for (free-standing) composite types ***/
SELECT typ.oid, att.attname, att.atttypid FROM pg_type AS typ
JOIN pg_namespace AS ns ON (ns.oid = typ.typnamespace) JOIN pg_class AS cls ON (cls.oid = typ.typrelid) JOIN pg_attribute AS att ON (att.attrelid = typ.typrelid)
WHERE (typ.typtype='c' AND cls.relkind='c') AND attnum > 0 AND NOT attisdropped ORDER BY typ.oid, att.attnum;

-- [simple] x1
/*** Load enum fields ***/
SELECT pg_type.oid, enumlabel FROM pg_enum JOIN pg_type ON pg_type.oid=enumtypid ORDER BY oid, enumsortorder;

-- [simple] x1
select COLUMN_NAME, ORDINAL_POSITION, IS_NULLABLE, case when (data_type like '%unsigned%') then DATA_TYPE || ' unsigned' else DATA_TYPE end as DATA_TYPE
 from INFORMATION_SCHEMA.columns where TABLE_SCHEMA='shop' and TABLE_NAME='orders' order by TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION;

-- [simple] x1
select TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE from INFORMATION_SCHEMA.tables where TABLE_SCHEMA not in ('information_schema','pg_catalog') order by TABLE_SCHEMA, TABLE_NAME;

-- [simple] x1
select pkcol.COLUMN_NAME as PK_COLUMN_NAME, fkcol.TABLE_SCHEMA AS FK_TABLE_SCHEMA, fkcol.TABLE_NAME AS FK_TABLE_NAME, fkcol.COLUMN_NAME as FK_COLUMN_NAME,
  fkcol.ORDINAL_POSITION as ORDINAL, fkcon.CONSTRAINT_SCHEMA || '_' || fkcol.TABLE_NAME || '_' || 'users' || '_' || fkcon.CONSTRAINT_NAME as FK_NAME
from (select distinct constraint_catalog, constraint_schema, unique_constraint_schema, constraint_name, unique_constraint_name from INFORMATION_SCHEMA.REFERENTIAL_CONSTRAINTS) fkcon
 inner join INFORMATION_SCHEMA.KEY_COLUMN_USAGE fkcol on fkcon.CONSTRAINT_SCHEMA=fkcol.CONSTRAINT_SCHEMA and fkcon.CONSTRAINT_NAME=fkcol.CONSTRAINT_NAME
 inner join INFORMATION_SCHEMA.KEY_COLUMN_USAGE pkcol on fkcon.UNIQUE_CONSTRAINT_SCHEMA=pkcol.CONSTRAINT_SCHEMA and fkcon.UNIQUE_CONSTRAINT_NAME=pkcol.CONSTRAINT_NAME
where pkcol.TABLE_SCHEMA='shop' and pkcol.TABLE_NAME='users' and pkcol.ORDINAL_POSITION=fkcol.ORDINAL_POSITION order by FK_NAME, fkcol.ORDINAL_POSITION;

-- [simple] x1
SET extra_float_digits = 3;

-- [simple] x1
SET application_name = 'PostgreSQL JDBC Driver';

-- [simple] x1
SHOW TRANSACTION ISOLATION LEVEL;

-- [parse] x1 unnamed params()
--   bind x1: formats in=[0] out=[0] values='23'
SELECT typinput='pg_catalog.array_in'::regproc as is_array, typtype, typname, pg_type.oid FROM pg_catalog.pg_type
 LEFT JOIN (select ns.oid as nspoid, ns.nspname, r.r from pg_namespace as ns
   join (select s.r, (current_schemas(false))[s.r] as nspname from generate_series(1, array_upper(current_schemas(false), 1)) as s(r)) as r using (nspname)) as sp
 ON sp.nspoid = typnamespace WHERE pg_type.oid = $1 ORDER BY sp.r, pg_type.oid DESC;

-- [parse] x1 unnamed params()
--   bind x1: formats in=[0] out=[0] values='23'
SELECT n.nspname = ANY(current_schemas(true)), n.nspname, t.typname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON t.typnamespace = n.oid WHERE t.oid = $1;

-- [simple] x1
SELECT nspname AS TABLE_SCHEM, NULL AS TABLE_CATALOG FROM pg_catalog.pg_namespace WHERE nspname <> 'pg_toast'
 AND (nspname !~ '^pg_temp_' OR nspname = (pg_catalog.current_schemas(true))[1])
 AND (nspname !~ '^pg_toast_temp_' OR nspname = replace((pg_catalog.current_schemas(true))[1], 'pg_temp_', 'pg_toast_temp_')) ORDER BY TABLE_SCHEM;

-- [simple] x1
SELECT result.TABLE_CAT, result.TABLE_SCHEM, result.TABLE_NAME, result.COLUMN_NAME, result.KEY_SEQ, result.PK_NAME FROM
 (SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, ct.relname AS TABLE_NAME, a.attname AS COLUMN_NAME,
   (information_schema._pg_expandarray(i.indkey)).n AS KEY_SEQ, ci.relname AS PK_NAME, information_schema._pg_expandarray(i.indkey) AS KEYS, a.attnum AS A_ATTNUM
  FROM pg_catalog.pg_class ct JOIN pg_catalog.pg_attribute a ON (ct.oid = a.attrelid) JOIN pg_catalog.pg_namespace n ON (ct.relnamespace = n.oid)
  JOIN pg_catalog.pg_index i ON (a.attrelid = i.indrelid) JOIN pg_catalog.pg_class ci ON (ci.oid = i.indexrelid)
  WHERE true AND n.nspname='shop' AND ct.relname='orders' AND i.indisprimary) result
where result.A_ATTNUM = (result.KEYS).x ORDER BY result.table_name, result.pk_name, result.key_seq;

-- [simple] x1
SELECT current_schema(), session_user;

-- [simple] x1
SHOW search_path;

-- [simple] x1
SELECT db.oid,db.* FROM pg_catalog.pg_database db WHERE datname='main';

-- [simple] x1
SELECT n.oid,n.*,d.description FROM pg_catalog.pg_namespace n LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=n.oid AND d.objsubid=0 AND d.classoid='pg_namespace'::regclass ORDER BY nspname;

-- [simple] x1
SELECT * FROM pg_catalog.pg_settings where name='standard_conforming_strings';

-- [simple] x1
SELECT string_agg(word, ',') from pg_catalog.pg_get_keywords() where word <> ALL ('{a,abs,absolute,action}'::text[]);

-- [simple] x1
SELECT t.oid,t.*,c.relkind,format_type(nullif(t.typbasetype, 0), t.typtypmod) as base_type_name, d.description FROM pg_catalog.pg_type t
 LEFT OUTER JOIN pg_catalog.pg_type et ON et.oid=t.typelem LEFT OUTER JOIN pg_catalog.pg_class c ON c.oid=t.typrelid LEFT OUTER JOIN pg_catalog.pg_description d ON t.oid=d.objoid
 WHERE t.typname IS NOT NULL AND (c.relkind IS NULL OR c.relkind = 'c') AND (et.typcategory IS NULL OR et.typcategory <> 'C') ORDER BY t.oid ASC;

-- [simple] x1
SELECT c.oid,c.*,d.description,pg_catalog.pg_get_expr(c.relpartbound, c.oid) as partition_expr, pg_catalog.pg_get_partkeydef(c.oid) as partition_key FROM pg_catalog.pg_class c
 LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=c.oid AND d.objsubid=0 AND d.classoid='pg_class'::regclass WHERE c.relnamespace=2200 AND c.relkind not in ('i','I','c');

-- [simple] x1
select c.oid,pg_catalog.pg_total_relation_size(c.oid) as total_rel_size,pg_catalog.pg_relation_size(c.oid) as rel_size FROM pg_class c WHERE c.relnamespace=2200;

-- [simple] x1
SELECT c.relname,a.*,pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) as def_value,dsc.description,dep.objid FROM pg_catalog.pg_attribute a
 INNER JOIN pg_catalog.pg_class c ON (a.attrelid=c.oid) LEFT OUTER JOIN pg_catalog.pg_attrdef ad ON (a.attrelid=ad.adrelid AND a.attnum = ad.adnum)
 LEFT OUTER JOIN pg_catalog.pg_description dsc ON (c.oid=dsc.objoid AND a.attnum = dsc.objsubid)
 LEFT OUTER JOIN pg_depend dep on dep.refobjid = a.attrelid AND dep.deptype = 'i' and dep.refobjsubid = a.attnum and dep.classid = dep.refclassid
 WHERE NOT a.attisdropped AND c.relkind not in ('i','I','c') AND c.oid=16389 ORDER BY a.attnum;

-- [simple] x1
BEGIN READ ONLY;

-- [simple] x1
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ UNCOMMITTED;

-- [simple] x1
SHOW TRANSACTION ISOLATION LEVEL;

-- [simple] x1
SELECT TRUE AS "_" FROM shop.orders WHERE 1 <> 1 LIMIT 0;

-- [simple] x1
SELECT setting FROM pg_catalog.pg_settings WHERE name='max_index_keys';

-- [simple] x1
SELECT DISTINCT t.typname FROM pg_enum e LEFT JOIN pg_type t ON t.oid = e.enumtypid;

-- [simple] x1
SELECT nspname, typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid IN (SELECT DISTINCT enumtypid FROM pg_enum e);

-- [simple] x1
with table_privileges as (select NULL as role, t.schemaname as schema, t.objectname as table,
  pg_catalog.has_any_column_privilege(current_user, '"' || t.schemaname || '"' || '.' || '"' || t.objectname || '"', 'update') as update,
  pg_catalog.has_any_column_privilege(current_user, '"' || t.schemaname || '"' || '.' || '"' || t.objectname || '"', 'select') as select,
  pg_catalog.has_any_column_privilege(current_user, '"' || t.schemaname || '"' || '.' || '"' || t.objectname || '"', 'insert') as insert,
  pg_catalog.has_table_privilege(current_user, '"' || t.schemaname || '"' || '.' || '"' || t.objectname || '"', 'delete') as delete
 from (select schemaname, tablename as objectname from pg_catalog.pg_tables union select schemaname, viewname as objectname from pg_catalog.pg_views
       union select schemaname, matviewname as objectname from pg_catalog.pg_matviews) t
 where t.schemaname !~ '^pg_' and t.schemaname <> 'information_schema' and pg_catalog.has_schema_privilege(current_user, t.schemaname, 'usage'))
select t.* from table_privileges t;

-- [simple] x1
SELECT * INTO TEMPORARY TABLE "#Tableau_3273_B9804D3E-4C89-4181-9CAF-F42161F5FCDE_1_Connect_Ch" FROM (SELECT 1 AS COL) AS CHECKTEMP LIMIT 1;

-- [simple] x1
select relname, nspname, relkind from pg_catalog.pg_class c, pg_catalog.pg_namespace n where relkind in ('r','v','m','f') and nspname not in ('pg_catalog','information_schema','pg_toast','pg_temp_1') and n.oid = relnamespace order by nspname, relname;

-- [simple] x1
select n.nspname, c.relname, a.attname, a.atttypid, t.typname, a.attnum, a.attlen, a.atttypmod, a.attnotnull, c.relhasrules, c.relkind, c.oid, pg_get_expr(d.adbin, d.adrelid),
 case t.typtype when 'd' then t.typbasetype else 0 end, t.typtypmod, c.relhasoids
 from (((pg_catalog.pg_class c inner join pg_catalog.pg_namespace n on n.oid = c.relnamespace and c.oid = 16389)
  inner join pg_catalog.pg_attribute a on (not a.attisdropped) and a.attnum > 0 and a.attrelid = c.oid)
  inner join pg_catalog.pg_type t on t.oid = a.atttypid) left outer join pg_attrdef d on a.atthasdef and d.adrelid = a.attrelid and d.adnum = a.attnum order by n.nspname, c.relname, attnum;

-- [simple] x1
SELECT ta.attname, ia.attnum, ic.relname, n.nspname, tc.relname FROM pg_catalog.pg_attribute ta, pg_catalog.pg_attribute ia, pg_catalog.pg_class tc, pg_catalog.pg_index i, pg_catalog.pg_namespace n, pg_catalog.pg_class ic
 WHERE tc.relname='orders' AND n.nspname='shop' AND tc.oid=i.indrelid AND n.oid=tc.relnamespace AND i.indisprimary='t' AND ia.attrelid=i.indexrelid AND ta.attrelid=i.indrelid
 AND ta.attnum = i.indkey[ia.attnum-1] AND (NOT ta.attisdropped) AND (NOT ia.attisdropped) AND ic.oid=i.indexrelid ORDER BY ia.attnum;

-- [simple] x1
select pg_catalog.version();

-- [simple] x1
SELECT a.attname FROM pg_attribute a JOIN (SELECT unnest(ix.indkey) attnum, generate_subscripts(ix.indkey, 1) ord FROM pg_index ix WHERE ix.indrelid = 16389 AND ix.indisprimary) k ON a.attnum=k.attnum WHERE a.attrelid = 16389 ORDER BY k.ord;

-- [simple] x1
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d WHERE d.adrelid=a.attrelid AND d.adnum=a.attnum AND a.atthasdef) AS DEFAULT,
 a.attnotnull, a.attnum, a.attrelid as table_oid, pgd.description as comment, a.attgenerated as generated FROM pg_catalog.pg_attribute a
 LEFT JOIN pg_catalog.pg_description pgd ON (pgd.objoid=a.attrelid AND pgd.objsubid=a.attnum) WHERE a.attrelid=16389 AND a.attnum>0 AND NOT a.attisdropped ORDER BY a.attnum;

-- [simple] x1
SELECT i.relname as relname, ix.indisunique, ix.indexprs, a.attname, a.attnum, c.conrelid, ix.indkey::varchar, ix.indoption::varchar, i.reloptions, am.amname, pg_get_expr(ix.indpred, ix.indrelid), ix.indnkeyatts as indnkeyatts
 FROM pg_class t join pg_index ix on t.oid=ix.indrelid join pg_class i on i.oid=ix.indexrelid left outer join pg_attribute a on t.oid=a.attrelid and a.attnum = ANY(ix.indkey)
 left outer join pg_constraint c on (ix.indrelid=c.conrelid and ix.indexrelid=c.conindid and c.contype in ('p','admin','x')) left outer join pg_am am on i.relam=am.oid
 WHERE t.relkind IN ('r','v','f','m','p') and t.oid=16389 and ix.indisprimary='f' ORDER BY t.relname, i.relname;

-- [simple] x1
SELECT typname AS name, oid, typarray AS array_oid, CAST(CAST(oid AS regtype) AS TEXT) AS regtype, typdelim AS delimiter FROM pg_type AS t WHERE t.oid = to_regtype('boolean') ORDER BY t.oid;

-- [simple] x1
SELECT current_setting('server_version_num')::int/100 as version;

-- [simple] x1
SELECT quote_ident(table_name) AS "table" FROM information_schema.tables WHERE quote_ident(table_schema) NOT IN ('information_schema','pg_catalog','_timescaledb_cache','_timescaledb_catalog','_timescaledb_internal','_timescaledb_config','timescaledb_information','timescaledb_experimental')
 AND table_type='BASE TABLE' AND quote_ident(table_schema) IN (SELECT CASE WHEN TRIM(s[i]) = '"$user"' THEN user ELSE TRIM(s[i]) END
  FROM generate_series(array_lower(string_to_array(current_setting('search_path'), ','), 1), array_upper(string_to_array(current_setting('search_path'), ','), 1)) AS i, string_to_array(current_setting('search_path'), ',') AS s);

-- [simple] x1
SELECT nspname AS schema_name FROM pg_namespace WHERE (has_schema_privilege('admin', nspname, 'USAGE')=TRUE OR has_schema_privilege('admin', nspname, 'CREATE')=TRUE) AND nspname NOT IN ('pg_catalog','information_schema') AND nspname NOT LIKE 'pg_toast%' AND nspname NOT LIKE 'pg_temp_%';

-- [simple] x1
with nsp as (select oid from pg_catalog.pg_namespace where nspname='shop'), tbl as (select oid from pg_catalog.pg_class where relname='orders' and relnamespace=(select oid from nsp))
 select attname, typname, description from pg_attribute a join pg_type on atttypid=pg_type.oid left join pg_description on attrelid=objoid and attnum=objsubid where attnum>0 and attrelid=(select oid from tbl) order by attnum;

-- [simple] x1
SELECT oid, nspname, nspname = ANY (current_schemas(true)) AS is_on_search_path, oid = pg_my_temp_schema() AS is_my_temp_schema, pg_is_other_temp_schema(oid) AS is_other_temp_schema FROM pg_namespace;

-- [simple] x1
SELECT t.oid FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS n ON t.typnamespace=n.oid WHERE t.typname='citext' AND (n.nspname=(SELECT current_schema()) OR n.nspname='public');

-- [parse] x1 unnamed params()
--   bind x1: formats in=[0] out=[0] values='23'
SELECT t.typname, t.typtype, t.typelem, r.rngsubtype, t.typbasetype, n.nspname, t.typrelid FROM pg_catalog.pg_type t LEFT OUTER JOIN pg_catalog.pg_range r ON r.rngtypid=t.oid INNER JOIN pg_catalog.pg_namespace n ON t.typnamespace=n.oid WHERE t.oid=$1;

-- [simple] x1
SELECT c.oid, a.attnum, a.attname, c.relname, n.nspname, a.attnotnull OR (t.typtype='d' AND t.typnotnull), a.attidentity != '' OR pg_catalog.pg_get_expr(d.adbin, d.adrelid) LIKE '%nextval(%' FROM pg_catalog.pg_class c
 JOIN pg_catalog.pg_namespace n ON (c.relnamespace=n.oid) JOIN pg_catalog.pg_attribute a ON (c.oid=a.attrelid) JOIN pg_catalog.pg_type t ON (a.atttypid=t.oid) LEFT JOIN pg_catalog.pg_attrdef d ON (d.adrelid=a.attrelid AND d.adnum=a.attnum)
 JOIN (SELECT 2615 AS oid, 2 AS attnum UNION ALL SELECT 1259, 2 UNION ALL SELECT 2609, 4) vals ON (c.oid=vals.oid AND a.attnum=vals.attnum);

-- [simple] x1
select 'main' as database, tablename as name, schemaname as schema, 'table' as type from pg_tables where schemaname ilike 'shop'
union all select 'main', viewname, schemaname, 'view' from pg_views where schemaname ilike 'shop'
union all select 'main', matviewname, schemaname, 'materialized_view' from pg_matviews where schemaname ilike 'shop'
union all select distinct 'main', proname, ns.nspname, 'function' from pg_proc join pg_namespace as ns on pronamespace = ns.oid where ns.nspname ilike 'shop';

-- [simple] x1
select distinct nspname from pg_namespace;

-- [simple] x1
select count(*) from pg_namespace where nspname = 's';

-- [simple] x1
create schema if not exists s;

-- [simple] x1
select column_name, data_type, character_maximum_length, numeric_precision, numeric_scale from INFORMATION_SCHEMA.columns where table_name='orders' and table_schema='shop' order by ordinal_position;

-- [simple] x1
select grantee, privilege_type from INFORMATION_SCHEMA.role_table_grants where grantor = current_role and grantee != current_role and table_schema='shop' and table_name='orders';

-- [simple] x1
begin;

-- [simple] x1
alter table "s"."m" rename to "m__dbt_backup";

-- [simple] x1
alter table "s"."m__dbt_tmp" rename to "m";

-- [simple] x1
commit;

-- [simple] x1
drop table if exists "s"."m__dbt_backup" cascade;
