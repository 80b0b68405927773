"""SQLAlchemy 2: reflection of every kind, Core and ORM, over psycopg2, psycopg, asyncpg and pg8000."""

import asyncio
import datetime as dt
import ssl
import uuid
from decimal import Decimal

import sqlalchemy as sa
import tap
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import create_async_engine
from tap import equal, raises

CONTEXT = ssl.create_default_context(cafile=tap.certificate()) if tap.certificate() else None
ENGINES = {
    "psycopg2": lambda: sa.create_engine(tap.url("postgresql+psycopg2")),
    "psycopg": lambda: sa.create_engine(tap.url("postgresql+psycopg")),
    "pg8000": lambda: sa.create_engine(tap.url("postgresql+pg8000", query={}), connect_args={"ssl_context": CONTEXT}),
    # Its synchronous face.
    "asyncpg": lambda: create_async_engine(tap.url("postgresql+asyncpg", query={}), connect_args={"ssl": CONTEXT}),
}


class Base(orm.DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "authors"
    id: orm.Mapped[int] = orm.mapped_column(sa.BigInteger, sa.Identity(), primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(50))
    born: orm.Mapped[dt.date | None]
    books: orm.Mapped[list["Book"]] = orm.relationship(back_populates="author", order_by="Book.title")


class Book(Base):
    __tablename__ = "books"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    title: orm.Mapped[str]
    price: orm.Mapped[Decimal] = orm.mapped_column(sa.Numeric(8, 2), server_default="1.00")
    author_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("authors.id"))
    author: orm.Mapped[Author] = orm.relationship(back_populates="books")


PLAIN = sa.Table(
    "plain", sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("flag", sa.Boolean), sa.Column("small", sa.SmallInteger), sa.Column("big", sa.BigInteger),
    sa.Column("real", sa.REAL), sa.Column("double", sa.Double), sa.Column("price", sa.Numeric(12, 3)), sa.Column("name", sa.String(30)),
    sa.Column("note", sa.Text), sa.Column("day", sa.Date), sa.Column("at", sa.DateTime), sa.Column("at_zone", sa.DateTime(timezone=True)),
    sa.Column("key", sa.Uuid), sa.Column("doc", sa.JSON), sa.Column("docb", pg.JSONB), sa.Column("raw", sa.LargeBinary),
    sa.Column("tags", pg.ARRAY(sa.Text)), sa.Column("numbers", pg.ARRAY(sa.Integer)),
)
ROW = {"id": 1, "flag": True, "small": -3, "big": 2**60, "real": 1.5, "double": 2.25, "price": Decimal("12.500"), "name": "né", "note": "it's",
       "day": dt.date(2024, 2, 29), "at": dt.datetime(2024, 1, 1, 1, 2, 3, 4), "at_zone": dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc),
       "key": uuid.UUID(int=7), "doc": {"a": [1]}, "docb": {"b": None}, "raw": b"\x00\xff", "tags": ["x", "y,z"], "numbers": [1, 2]}


class Checks:
    def __init__(self, driver):
        self.driver = driver
        self.engine = ENGINES[driver]()

    def run(self, work):
        """`work(connection)`, through the asynchronous engine where there is no other."""
        if self.driver != "asyncpg":
            with self.engine.begin() as connection:
                return work(connection)

        async def steps():
            try:
                async with self.engine.begin() as connection:
                    return await connection.run_sync(work)
            finally:
                # A connection belongs to the loop it was made in.
                await self.engine.dispose()

        return asyncio.run(steps())

    def connects(self):
        def work(connection):
            equal(connection.scalar(sa.text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")), True)
            equal(connection.dialect.server_version_info[0], 15)
            equal(connection.dialect.default_schema_name, "public")
        self.run(work)

    def fresh_schema(self):
        def work(connection):
            connection.execute(sa.text("DROP SCHEMA IF EXISTS own CASCADE"))
            for table in ("reflected_view", "books", "authors", "plain", "moves"):
                kind = "VIEW" if table.endswith("view") else "TABLE"
                connection.execute(sa.text(f"DROP {kind} IF EXISTS {table}"))
        self.run(work)

    def types_both_ways(self):
        def work(connection):
            PLAIN.create(connection)
            connection.execute(PLAIN.insert(), ROW)
            connection.execute(PLAIN.insert(), {"id": 2})
            rows = connection.execute(PLAIN.select().order_by(PLAIN.c.id)).mappings().all()
            wrong = {name: value for name, value in rows[0].items() if value != ROW[name]}
            assert not wrong, wrong
            equal({value for name, value in rows[1].items() if name != "id"}, {None})
        self.run(work)

    def where_with_every_type(self):
        def work(connection):
            for name in ROW.keys() - {"doc", "docb"}:
                came = connection.scalar(sa.select(PLAIN.c.id).where(PLAIN.c[name] == ROW[name]))
                equal(came, 1, name)
            equal(connection.scalar(sa.select(PLAIN.c.id).where(PLAIN.c.id.in_([1, 5]), PLAIN.c.docb["b"].is_not(None))), 1)
            equal(connection.scalar(sa.select(PLAIN.c.doc["a"][0].as_integer()).where(PLAIN.c.tags.any("x"), PLAIN.c.id == 1)), 1)
        self.run(work)

    def queries(self):
        def work(connection):
            t = PLAIN.alias()
            ranked = sa.select(t.c.id, sa.func.row_number().over(order_by=t.c.id.desc()).label("n")).cte("ranked")
            equal(connection.execute(sa.select(ranked).order_by("n").limit(1)).all(), [(2, 1)])
            equal(connection.scalar(sa.select(sa.func.count()).select_from(sa.union_all(sa.select(t.c.id), sa.select(t.c.id)).subquery())), 4)
            equal(connection.scalar(sa.select(sa.case((t.c.id > 1, "x"), else_="y")).where(t.c.id == 2)), "x")
            equal(connection.scalar(sa.select(sa.extract("year", t.c.day)).where(t.c.id == 1)), 2024)
            equal(connection.scalar(sa.select(sa.exists().where(t.c.name.ilike("N%")))), True)
            total = connection.execute(sa.text("SELECT g FROM generate_series(1, 20000) g").execution_options(yield_per=1000))
            equal(sum(row[0] for row in total), 200010000)
        self.run(work)

    def reflection(self):
        def work(connection):
            connection.execute(sa.text("CREATE VIEW reflected_view AS SELECT id, name FROM plain"))
            connection.execute(sa.text("COMMENT ON TABLE plain IS 'all types'"))
            connection.execute(sa.text("COMMENT ON COLUMN plain.name IS 'a name'"))
            connection.execute(sa.text("CREATE SCHEMA own"))
            connection.execute(sa.text("CREATE TABLE own.t (a integer NOT NULL, b numeric(5,1) DEFAULT 2, "
                                       "CONSTRAINT low CHECK (a < 10), CONSTRAINT keyed PRIMARY KEY (a), CONSTRAINT one UNIQUE (b))"))
            look = sa.inspect(connection)
            assert {"public", "own", "information_schema"} <= set(look.get_schema_names()), look.get_schema_names()
            assert "plain" in look.get_table_names() and "reflected_view" not in look.get_table_names()
            equal(look.get_view_names(), ["reflected_view"])
            assert "name" in look.get_view_definition("reflected_view")
            equal(look.get_table_names(schema="own"), ["t"])
            columns = {column["name"]: column for column in look.get_columns("plain")}
            for name, column in PLAIN.c.items():
                came, expected = (kind.compile(connection.dialect) for kind in (columns[name]["type"], column.type))
                equal(came, expected, name)
            equal((columns["id"]["nullable"], columns["name"]["comment"]), (False, "a name"))
            equal(look.get_table_comment("plain")["text"], "all types")
            equal(look.get_pk_constraint("t", schema="own")["name"], "keyed")
            equal(look.get_pk_constraint("t", schema="own")["constrained_columns"], ["a"])
            equal([(c["name"], "a < 10" in c["sqltext"]) for c in look.get_check_constraints("t", schema="own")], [("low", True)])
            equal([(c["name"], c["column_names"]) for c in look.get_unique_constraints("t", schema="own")], [("one", ["b"])])
            equal(look.get_foreign_keys("t", schema="own"), [])
            equal(look.get_columns("t", schema="own")[1]["default"].split(":")[0].strip("'"), "2")
            equal([(i["name"], i["unique"]) for i in look.get_indexes("t", schema="own")], [("one", True)])
            equal((look.has_table("plain"), look.has_table("nope"), look.has_schema("own")), (True, False, True))
            meta = sa.MetaData()
            meta.reflect(connection, views=True)
            assert {"plain", "reflected_view"} <= set(meta.tables), set(meta.tables)
            equal(look.get_enums(), [])
            equal(look.get_sequence_names(), [])
            equal(look.get_materialized_view_names(), [])
            equal(look.get_temp_table_names(), [])
            look.get_multi_columns(schema="own", kind=sa.engine.reflection.ObjectKind.ANY)
        self.run(work)

    def create_all_of_the_models(self):
        self.run(Base.metadata.create_all)

    def orm_with_identity_and_returning(self):
        def work(connection):
            with orm.Session(connection) as session:
                ada = Author(name="Ada", books=[Book(title="Notes"), Book(title="Engine", price=Decimal("9.50"))])
                session.add_all([ada, Author(name="Grace", born=dt.date(1906, 12, 9))])
                session.commit()
                assert ada.id and all(book.id for book in ada.books)
                equal([book.price for book in ada.books], [Decimal("9.50"), Decimal("1.00")])
                ada.name = "Ada L."
                session.delete(ada.books[0])
                session.commit()
                rows = session.execute(sa.select(Author.name, sa.func.count(Book.id)).outerjoin(Book).group_by(Author.name)
                                       .order_by(Author.name)).all()
                equal(rows, [("Ada L.", 1), ("Grace", 0)])
                loaded = session.scalars(sa.select(Author).options(orm.selectinload(Author.books)).order_by(Author.id)).all()
                equal([len(author.books) for author in loaded], [1, 0])
        self.run(work)

    def upsert(self):
        def work(connection):
            insert = pg.insert(PLAIN).values(id=1, name="upserted")
            connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_={"name": insert.excluded.name}))
            connection.execute(pg.insert(PLAIN).values(id=1).on_conflict_do_nothing())
            equal(connection.execute(sa.select(PLAIN.c.name).where(PLAIN.c.id == 1)).all(), [("upserted",)])
        self.run(work)

    def update_and_delete_from_another_table(self):
        def work(connection):
            values = sa.values(sa.column("k", sa.Integer), sa.column("v", sa.Text), name="v").data([(1, "a"), (2, "b")])
            connection.execute(PLAIN.update().where(PLAIN.c.id == values.c.k).values(note=values.c.v))
            equal(connection.execute(sa.select(PLAIN.c.note).order_by(PLAIN.c.id)).all(), [("a",), ("b",)])
            equal(connection.execute(PLAIN.delete().where(PLAIN.c.id == 2).returning(PLAIN.c.note)).all(), [("b",)])
        self.run(work)

    def transactions_and_savepoints(self):
        def work(connection):
            connection.execute(sa.text("CREATE TABLE moves (a integer)"))
        self.run(work)

        def steps(connection):
            nested = connection.begin_nested()
            connection.execute(sa.text("INSERT INTO moves VALUES (1)"))
            nested.rollback()
            with connection.begin_nested():
                connection.execute(sa.text("INSERT INTO moves VALUES (:a)"), [{"a": 2}, {"a": 3}])
            equal(connection.scalar(sa.text("SELECT sum(a) FROM moves")), 5)
        self.run(steps)
        with raises(ZeroDivisionError):
            self.run(lambda connection: (connection.execute(sa.text("INSERT INTO moves VALUES (9)")), 1 / 0))
        equal(self.run(lambda connection: connection.scalar(sa.text("SELECT sum(a) FROM moves"))), 5)

    def errors_as_classes(self):
        for statement, kind in [
            ("SELECT * FROM no_such", sa.exc.ProgrammingError),
            ("SELECT 1/0", (sa.exc.DataError, sa.exc.ProgrammingError, sa.exc.DBAPIError)),
            ("INSERT INTO own.t VALUES (NULL)", (sa.exc.IntegrityError, sa.exc.ProgrammingError)),
            ("INSERT INTO own.t VALUES (11)", (sa.exc.IntegrityError, sa.exc.ProgrammingError)),
        ]:
            with raises(kind):
                self.run(lambda connection, statement=statement: connection.execute(sa.text(statement)))

    def isolation_level(self):
        if self.driver == "asyncpg":
            return
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("INSERT INTO moves VALUES (100)"))
        with self.engine.connect().execution_options(isolation_level="SERIALIZABLE") as connection:
            equal(connection.get_isolation_level(), "SERIALIZABLE")
            equal(connection.scalar(sa.text("SELECT max(a) FROM moves")), 100)


ORDER = ["connects", "fresh_schema", "types_both_ways", "where_with_every_type", "queries", "reflection", "create_all_of_the_models",
         "orm_with_identity_and_returning", "upsert", "update_and_delete_from_another_table", "transactions_and_savepoints",
         "errors_as_classes", "isolation_level"]

print(f"# version SQLAlchemy {sa.__version__}", flush=True)
for driver in ENGINES:
    checks = Checks(driver)
    for name in ORDER:
        tap.attempt(f"{driver} {name.replace('_', ' ')}", getattr(checks, name))
print("# done", flush=True)
