"""ibis over PostgreSQL."""

import ibis
import pandas as pd
import tap
from tap import check, equal

con = ibis.postgres.connect(host=tap.host(), port=tap.port(), user=tap.user(), password=tap.password(), database=tap.database(),
                            sslmode="verify-full" if tap.certificate() else "prefer",
                            **({"sslrootcert": tap.certificate()} if tap.certificate() else {}))
FRAME = pd.DataFrame({"a": range(1, 101), "b": [f"g{i % 5}" for i in range(100)], "c": [i * 1.5 for i in range(100)],
                      "d": pd.to_datetime("2024-01-01") + pd.to_timedelta(range(100), unit="D")})


@check()
def raw_sql_and_listing():
    con.raw_sql("CREATE TABLE listed (a integer, b text)").close()
    assert "listed" in con.list_tables()
    equal(list(con.table("listed").schema().items())[0][0], "a")


@check()
def create_table_from_memory():
    con.create_table("frame", FRAME)
    equal(con.table("frame").count().execute(), 100)


@check()
def expressions():
    con.raw_sql("CREATE TABLE facts AS SELECT g AS a, 'g' || (g % 5) AS b, g * 1.5::float8 AS c, timestamp '2024-01-01' + g * interval '1 day' AS d "
                "FROM generate_series(1, 100) g").close()
    t = con.table("facts")
    grouped = t.group_by("b").agg(n=t.count(), s=t.a.sum(), m=t.c.mean()).order_by("b").execute()
    equal(grouped.n.tolist(), [20] * 5)
    equal(int(grouped.s.sum()), 5050)
    equal(t.filter(t.d.month() == 2).count().execute(), 29)
    ranked = t.mutate(r=ibis.row_number().over(group_by="b", order_by=ibis.desc("a"))).filter(lambda x: x.r == 0)
    equal(sorted(ranked.execute().a.tolist()), [96, 97, 98, 99, 100])
    equal(t.join(t.view(), "a").count().execute(), 100)
    equal(t.b.nunique().execute(), 5)
    equal(t.mutate(k=ibis.cases((t.a > 50, "hi"), else_="lo")).group_by("k").count().order_by("k").execute().iloc[:, 1].tolist(), [50, 50])
    equal(t.d.truncate("M").nunique().execute(), 4)
    equal(t.b.upper().substr(0, 1).name("u").execute().unique().tolist(), ["G"])


@check()
def to_pyarrow_in_batches():
    t = con.table("facts")
    equal(t.filter(t.a > 90).to_pyarrow().num_rows, 10)
    equal(sum(batch.num_rows for batch in t.to_pyarrow_batches(chunk_size=30)), 100)


@check()
def insert_from_memory():
    con.insert("frame", FRAME.head(3))
    equal(con.table("frame").count().execute(), 103)


tap.run(f"ibis {ibis.__version__}")
