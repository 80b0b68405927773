#!/usr/bin/env python3
"""Records from a real PostgreSQL 15 what `pg_catalog` looks like: relations, columns and the rows that never change.

    tools/record_pg_catalog.py "host=127.0.0.1 port=5432 user=postgres dbname=postgres"

Needs a freshly made cluster (`initdb --locale=C --encoding=UTF8`) of PostgreSQL 15 and psql. Writes COPY text files to
gateway/src/pg_catalog/recorded/; which functions stand in pg_proc is decided by functions.txt there.
"""

import pathlib
import subprocess
import sys

RECORDED = pathlib.Path(__file__).resolve().parent.parent / "gateway/src/pg_catalog/recorded"
# initdb numbers this schema as it comes; Lakegate gives it one number in every database (INFORMATION_SCHEMA_OID).
INFORMATION_SCHEMA = 13000

RELATIONS = """
select c.oid, n.nspname, c.relname, c.relkind, c.reltype, c.relisshared
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('pg_catalog', 'information_schema') and c.relkind in ('r', 'v') order by c.oid"""

COLUMNS = """
select a.attrelid, a.attnum, a.attname, a.atttypid,
       case when t.typtype = 'd' then t.typbasetype else a.atttypid end,
       case when t.typtype = 'd' then t.typtypmod else a.atttypmod end,
       a.attnotnull, a.attlen, a.attbyval, a.attalign, a.attstorage, a.attcollation, a.attndims
from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
join pg_type t on t.oid = a.atttypid
where n.nspname in ('pg_catalog', 'information_schema') and c.relkind in ('r', 'v') and a.attnum > 0
order by a.attrelid, a.attnum"""

FUNCTIONS = """
select p.oid from pg_proc p join recorded_functions f on f.name = p.proname
union select unnest(array[typinput, typoutput, typreceive, typsend, typmodin, typmodout, typanalyze, typsubscript]::oid[]) from pg_type
union select unnest(array[oprcode, oprrest, oprjoin]::oid[]) from pg_operator
union select castfunc from pg_cast
union select lanplcallfoid from pg_language union select laninline from pg_language union select lanvalidator from pg_language
union select amhandler::oid from pg_am
"""

# Text compares by bytes: what other collations there are cannot be asked for.
COLLATIONS = "select oid from pg_collation where collname in ('default', 'C', 'POSIX', 'ucs_basic')"

# Every column of a table, functions as numbers: `regproc` is ambiguous as text.
SELECT_LIST = """
select string_agg(case when atttypid = 'regproc'::regtype then format('%I::oid', attname) else quote_ident(attname) end, ', ' order by attnum)
from pg_attribute where attrelid = '{table}'::regclass and attnum > 0"""

# File name: query. `{p}` stands for the OIDs of the recorded functions, `{c}` of the collations, `*` for the select list of that table.
ROWS = {
    "pg_type": "select * from pg_type where oid < 16384 order by oid",
    "pg_operator": "select * from pg_operator order by oid",
    "pg_cast": "select * from pg_cast order by oid",
    "pg_collation": "select * from pg_collation where oid in ({c}) order by oid",
    "pg_am": "select * from pg_am where amname in ('heap', 'btree') order by oid",
    "pg_language": "select * from pg_language where lanname in ('internal', 'sql') order by oid",
    "pg_tablespace": "select * from pg_tablespace order by oid",
    "pg_range": "select * from pg_range order by rngtypid",
    "pg_proc": "select * from pg_proc where oid in ({p}) order by oid",
    "pg_aggregate": "select * from pg_aggregate where aggfnoid in ({p}) order by aggfnoid",
    "pg_description": """select * from pg_description d where
        (classoid = 'pg_proc'::regclass and objoid in ({p})) or classoid in ('pg_type'::regclass, 'pg_operator'::regclass,
        'pg_namespace'::regclass, 'pg_cast'::regclass) or (classoid = 'pg_am'::regclass and objoid in (2, 403))
        or (classoid = 'pg_collation'::regclass and objoid in ({c}))
        or (classoid = 'pg_language'::regclass and objoid in (12, 14)) order by classoid, objoid, objsubid""",
    "signatures": """select oid, pg_get_function_arguments(oid), pg_get_function_result(oid) from pg_proc
        where oid in ({p}) order by oid""",
    "settings": """select name, category, short_desc, extra_desc, context, vartype, unit, min_val, max_val, enumvals, boot_val
        from pg_settings order by name""",
    "keywords": "select word, catcode, barelabel, catdesc, baredesc from pg_get_keywords() order by word",
}


def psql(connection: str, script: str) -> str:
    done = subprocess.run(
        ["psql", "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", connection], input=script, capture_output=True, text=True
    )
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stdout


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    connection = sys.argv[1]
    if psql(connection, "show server_version_num").split()[2][:2] != "15":
        sys.exit("PostgreSQL 15 is what Lakegate records")
    original = psql(connection, "copy (select oid from pg_namespace where nspname = 'information_schema') to stdout").strip()
    names = [name for name in (RECORDED / "functions.txt").read_text().split("\n") if name]
    prepare = "create temporary table recorded_functions(name name);\ncopy recorded_functions from stdin;\n"
    prepare += "".join(f"{name}\n" for name in names) + "\\.\n"

    def record(name: str, query: str) -> None:
        if query.startswith("select * "):
            columns = psql(connection, f"copy ({SELECT_LIST.replace('{table}', name)}) to stdout;\n").strip()
            query = query.replace("*", columns, 1)
        rows = psql(connection, prepare + f"copy ({query}) to stdout;\n".replace("{p}", FUNCTIONS).replace("{c}", COLLATIONS))
        lines = ["\t".join(str(INFORMATION_SCHEMA) if value == original else value for value in line.split("\t"))
                 for line in rows.split("\n")]
        (RECORDED / f"{name}.tsv").write_text("\n".join(lines))

    record("relations", RELATIONS)
    record("columns", COLUMNS)
    for name, query in ROWS.items():
        record(name, query)


main()
