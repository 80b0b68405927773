use std::str::FromStr;

use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions, PgSslMode};
use sqlx::types::BigDecimal;
use sqlx::{Column, Connection, Executor, Row, SqlSafeStr, Statement, TypeInfo};

use crate::{Outcome, check, env, equal};

fn options() -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .host(&env("PGHOST"))
        .port(env("PGPORT").parse().unwrap_or(5432))
        .username(&env("PGUSER"))
        .password(&env("PGPASSWORD"))
        .database(&env("PGDATABASE"))
        .ssl_mode(PgSslMode::VerifyFull)
        .ssl_root_cert(env("PGSSLROOTCERT"))
}

async fn pool() -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new().max_connections(4).connect_with(options()).await
}

fn fails<T>(code: &str, result: Result<T, sqlx::Error>) -> Outcome {
    match result {
        Ok(_) => Err(format!("expected SQLSTATE {code}, no error came").into()),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(code) => Ok(()),
        Err(error) => Err(format!("expected SQLSTATE {code}, got {error:?}").into()),
    }
}

pub async fn run() {
    check("sqlx.connect", async {
        let pool = pool().await?;
        equal(sqlx::query_scalar::<_, String>("SELECT current_user::text").fetch_one(&pool).await?, env("PGUSER"))
    })
    .await;
    check("sqlx.wrong_password", async { fails("28P01", sqlx::PgConnection::connect_with(&options().password("wrong")).await) }).await;
    check("sqlx.setup", async {
        let pool = pool().await?;
        pool.execute("DROP TABLE IF EXISTS sx_people").await?;
        pool.execute("CREATE TABLE sx_people (id integer PRIMARY KEY, name varchar(40) NOT NULL, balance numeric(12,2), note text, extra jsonb)").await?;
        Ok(())
    })
    .await;
    check("sqlx.insert_select", async {
        let pool = pool().await?;
        let balance = BigDecimal::from_str("12.50")?;
        let done = sqlx::query("INSERT INTO sx_people VALUES ($1, $2, $3, $4, $5)").bind(1).bind("ann").bind(&balance).bind(None::<String>)
            .bind(serde_json::json!({"a": [1]})).execute(&pool).await?;
        equal(done.rows_affected(), 1)?;
        let row: (i32, String, BigDecimal, Option<String>, serde_json::Value) = sqlx::query_as("SELECT * FROM sx_people WHERE id = $1").bind(1).fetch_one(&pool).await?;
        equal(row, (1, "ann".to_owned(), balance, None, serde_json::json!({"a": [1]})))
    })
    .await;
    check("sqlx.unnest_bulk_insert", async {
        let pool = pool().await?;
        let ids: Vec<i32> = (10..60).collect();
        let names: Vec<String> = ids.iter().map(|id| format!("n{id}")).collect();
        let done = sqlx::query("INSERT INTO sx_people (id, name) SELECT * FROM UNNEST($1::int4[], $2::text[])").bind(&ids).bind(&names).execute(&pool).await?;
        equal(done.rows_affected(), 50)?;
        let found: i64 = sqlx::query_scalar("SELECT count(*) FROM sx_people WHERE id = ANY ($1)").bind(&ids).fetch_one(&pool).await?;
        equal(found, 50)
    })
    .await;
    check("sqlx.returning", async {
        let pool = pool().await?;
        equal(sqlx::query_scalar::<_, i32>("INSERT INTO sx_people (id, name) VALUES ($1, 'r') RETURNING id").bind(99).fetch_one(&pool).await?, 99)
    })
    .await;
    // What `query!` asks at compile time: the types of parameters and columns, and of which stored column a column is.
    check("sqlx.prepare", async {
        let pool = pool().await?;
        let mut connection = pool.acquire().await?;
        let sql = "SELECT id, name, balance, count(*) OVER () AS n FROM sx_people WHERE id = $1 AND name = $2".into_sql_str();
        let prepared = connection.prepare(sql).await?;
        let columns: Vec<_> = prepared.columns().iter().map(|column| format!("{} {}", column.name(), column.type_info().name())).collect();
        equal(columns.join(", "), "id INT4, name VARCHAR, balance NUMERIC, n INT8".to_owned())?;
        let Some(sqlx::Either::Left(parameters)) = prepared.parameters() else { return Err("no parameter types".into()) };
        equal(parameters.iter().map(|parameter| parameter.name().to_owned()).collect::<Vec<_>>().join(", "), "INT4, TEXT".to_owned())?;
        let origins: Vec<_> = prepared.columns().iter().map(|column| column.relation_attribute_no()).collect();
        equal(origins, vec![Some(1), Some(2), Some(3), None])
    })
    .await;
    check("sqlx.transaction", async {
        let pool = pool().await?;
        let count = || sqlx::query_scalar::<_, i64>("SELECT count(*) FROM sx_people").fetch_one(&pool);
        let before = count().await?;
        let mut transaction = pool.begin().await?;
        sqlx::query("DELETE FROM sx_people").execute(&mut *transaction).await?;
        transaction.rollback().await?;
        equal(count().await?, before)?;
        let mut transaction = pool.begin().await?;
        let mut inner = transaction.begin().await?;
        sqlx::query("DELETE FROM sx_people").execute(&mut *inner).await?;
        inner.rollback().await?;
        sqlx::query("DELETE FROM sx_people WHERE id = 10").execute(&mut *transaction).await?;
        transaction.commit().await?;
        equal(count().await?, before - 1)
    })
    .await;
    check("sqlx.stream", async {
        let pool = pool().await?;
        let mut rows = sqlx::query("SELECT i FROM generate_series(1, 50000) AS g(i)").fetch(&pool);
        let mut sum = 0i64;
        while let Some(row) = rows.try_next().await? {
            sum += i64::from(row.try_get::<i32, _>(0)?);
        }
        equal(sum, 1_250_025_000)
    })
    .await;
    check("sqlx.errors", async {
        let pool = pool().await?;
        fails("42P01", sqlx::query("SELECT * FROM nothing_there").fetch_all(&pool).await)?;
        fails("22012", sqlx::query("SELECT 1 / $1::int4").bind(0).fetch_all(&pool).await)?;
        fails("23502", sqlx::query("INSERT INTO sx_people (id) VALUES (1000)").execute(&pool).await)
    })
    .await;
    check("sqlx.copy", async {
        let pool = pool().await?;
        pool.execute("DROP TABLE IF EXISTS sx_copy").await?;
        pool.execute("CREATE TABLE sx_copy (a integer, b text)").await?;
        let mut connection = pool.acquire().await?;
        let mut copy = connection.copy_in_raw("COPY sx_copy FROM STDIN (FORMAT csv)").await?;
        copy.send("1,\"a,b\"\n2,\n".as_bytes()).await?;
        equal(copy.finish().await?, 2)?;
        let out: Vec<_> = connection.copy_out_raw("COPY (SELECT * FROM sx_copy ORDER BY a) TO STDOUT").await?.try_collect().await?;
        equal(out.concat(), b"1\ta,b\n2\t\\N\n".to_vec())
    })
    .await;
    check("sqlx.listen", async {
        let pool = pool().await?;
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen("sx_news").await?;
        sqlx::query("SELECT pg_notify('sx_news', 'it is')").execute(&pool).await?;
        equal(listener.recv().await?.payload().to_owned(), "it is".to_owned())
    })
    .await;
    // An advisory lock keeps two migrations apart; the table of what was done has a default and an array of bytes.
    check("sqlx.migrate_table", async {
        let pool = pool().await?;
        pool.execute("DROP TABLE IF EXISTS _sqlx_migrations").await?;
        pool.execute(
            "CREATE TABLE IF NOT EXISTS _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
             installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL, checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL)",
        )
        .await?;
        Ok(())
    })
    .await;
    check("sqlx.advisory_lock", async {
        let pool = pool().await?;
        let mut connection = pool.acquire().await?;
        sqlx::query("SELECT pg_advisory_lock($1)").bind(42i64).execute(&mut *connection).await?;
        equal(sqlx::query_scalar::<_, bool>("SELECT pg_advisory_unlock($1)").bind(42i64).fetch_one(&mut *connection).await?, true)
    })
    .await;
}
