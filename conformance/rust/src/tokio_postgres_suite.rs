use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use futures_util::{SinkExt, StreamExt, TryStreamExt, pin_mut};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio_postgres::binary_copy::{BinaryCopyInWriter, BinaryCopyOutStream};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{Client, Config, IsolationLevel, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;
use uuid::Uuid;

use crate::{Outcome, check, env, equal};

fn tls() -> Result<MakeRustlsConnect, Box<dyn std::error::Error + Send + Sync>> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(env("PGSSLROOTCERT"))? {
        roots.add(certificate?)?;
    }
    Ok(MakeRustlsConnect::new(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

fn config() -> Config {
    let mut config = Config::new();
    config.host(env("PGHOST")).port(env("PGPORT").parse().unwrap_or(5432)).user(env("PGUSER")).password(env("PGPASSWORD"));
    config.dbname(env("PGDATABASE")).ssl_mode(tokio_postgres::config::SslMode::Require).application_name("conformance");
    config
}

async fn connect() -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
    let (client, connection) = config().connect(tls()?).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn fails<T>(code: &SqlState, result: Result<T, tokio_postgres::Error>) -> Outcome {
    match result {
        Ok(_) => Err(format!("expected SQLSTATE {}, no error came", code.code()).into()),
        Err(error) if error.code() == Some(code) => Ok(()),
        Err(error) => Err(format!("expected SQLSTATE {}, got {error:?}", code.code()).into()),
    }
}

/// A value there and back, as parameter and in a column.
async fn type_round_trip<T>(name: &'static str, kind: &'static str, value: T) -> Outcome
where
    T: ToSql + for<'a> FromSql<'a> + PartialEq + std::fmt::Debug + Clone + Sync + Send + 'static,
{
    let client = connect().await?;
    for _ in 0..2 {
        let row = client.query_one(&format!("SELECT $1::{kind}, NULL::{kind}"), &[&value]).await?;
        equal(row.get::<_, T>(0), value.clone())?;
        equal(row.get::<_, Option<T>>(1), None)?;
    }
    client.batch_execute(&format!("DROP TABLE IF EXISTS rs_{name}; CREATE TABLE rs_{name} (id integer, v {kind})")).await?;
    equal(client.execute(&format!("INSERT INTO rs_{name} VALUES ($1, $2)"), &[&1i32, &value]).await?, 1)?;
    let row = client.query_one(&format!("SELECT v FROM rs_{name} WHERE id = $1"), &[&1i32]).await?;
    equal(row.get::<_, T>(0), value)?;
    Ok(client.batch_execute(&format!("DROP TABLE rs_{name}")).await?)
}

macro_rules! types {
    ($($name:literal $kind:literal $value:expr;)*) => {
        $(check(concat!("tokio_postgres.types.", $name), type_round_trip($name, $kind, $value)).await;)*
    };
}

pub async fn run() {
    check("tokio_postgres.connect", async {
        let client = connect().await?;
        equal(client.query_one("SELECT current_user::text", &[]).await?.get::<_, String>(0), env("PGUSER"))
    })
    .await;
    check("tokio_postgres.wrong_password", async {
        fails(&SqlState::INVALID_PASSWORD, config().password("wrong").connect(tls()?).await)
    })
    .await;
    let day = NaiveDate::from_ymd_opt(2024, 2, 29).unwrap_or_default();
    let time = NaiveTime::from_hms_micro_opt(13, 14, 15, 123_456).unwrap_or_default();
    types! {
        "bool" "boolean" true;
        "int2" "smallint" -32768i16;
        "int4" "integer" i32::MAX;
        "int8" "bigint" i64::MIN;
        "float4" "real" 1.5f32;
        "float8" "double precision" 0.1f64;
        "text" "text" "äöü ' \" \\ \n 😀".to_owned();
        "varchar" "varchar(10)" "abc".to_owned();
        "bytea" "bytea" vec![0u8, 1, 255, 92, 39];
        "date" "date" day;
        "time" "time" time;
        "timestamp" "timestamp" NaiveDateTime::new(day, time);
        "timestamptz" "timestamptz" DateTime::<Utc>::from_naive_utc_and_offset(NaiveDateTime::new(day, time), Utc);
        "uuid" "uuid" Uuid::from_u128(0xa0eebc999c0b4ef8bb6d6bb9bd380a11);
        "jsonb" "jsonb" serde_json::json!({"a": [1, "x", null]});
        "json" "json" serde_json::json!({"a": 1});
        "int_array" "integer[]" vec![Some(1i32), None, Some(3)];
        "text_array" "text[]" vec!["a,b".to_owned(), "\"q\"".to_owned(), String::new()];
    }
    check("tokio_postgres.prepare", async {
        let client = connect().await?;
        client.batch_execute("DROP TABLE IF EXISTS rs_desc; CREATE TABLE rs_desc (id bigint, name varchar(9))").await?;
        let statement = client.prepare("SELECT name, id FROM rs_desc WHERE id = $1 AND name = $2").await?;
        equal(statement.params(), &[Type::INT8, Type::TEXT][..])?;
        equal(statement.columns()[0].type_(), &Type::VARCHAR)?;
        let oid: u32 = client.query_one("SELECT 'rs_desc'::regclass::oid", &[]).await?.get(0);
        equal((statement.columns()[0].table_oid(), statement.columns()[0].column_id()), (Some(oid), Some(2)))
    })
    .await;
    check("tokio_postgres.pipelined", async {
        let client = Arc::new(connect().await?);
        let many = (0..50i32).map(|i| {
            let client = Arc::clone(&client);
            async move { client.query_one("SELECT $1::int4 + 1", &[&i]).await.map(|row| row.get::<_, i32>(0)) }
        });
        let sums = futures_util::future::try_join_all(many).await?;
        equal(sums, (1..51).collect::<Vec<_>>())
    })
    .await;
    check("tokio_postgres.transaction", async {
        let (mut client, other) = (connect().await?, connect().await?);
        client.batch_execute("DROP TABLE IF EXISTS rs_tx; CREATE TABLE rs_tx (a integer)").await?;
        let mut transaction = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().await?;
        transaction.execute("INSERT INTO rs_tx VALUES (1)", &[]).await?;
        let inner = transaction.transaction().await?;
        inner.execute("INSERT INTO rs_tx VALUES (2)", &[]).await?;
        inner.rollback().await?;
        equal(other.query_one("SELECT count(*) FROM rs_tx", &[]).await?.get::<_, i64>(0), 0)?;
        transaction.commit().await?;
        equal(other.query_one("SELECT sum(a) FROM rs_tx", &[]).await?.get::<_, i64>(0), 1)?;
        let transaction = client.transaction().await?;
        transaction.execute("DELETE FROM rs_tx", &[]).await?;
        drop(transaction);
        equal(client.query_one("SELECT count(*) FROM rs_tx", &[]).await?.get::<_, i64>(0), 1)
    })
    .await;
    check("tokio_postgres.portal", async {
        let mut client = connect().await?;
        let transaction = client.transaction().await?;
        let portal = transaction.bind("SELECT i FROM generate_series(1, 250) AS g(i)", &[]).await?;
        let mut sizes = Vec::new();
        for _ in 0..3 {
            sizes.push(transaction.query_portal(&portal, 100).await?.len());
        }
        equal(sizes, vec![100, 100, 50])?;
        Ok(transaction.commit().await?)
    })
    .await;
    check("tokio_postgres.stream", async {
        let client = connect().await?;
        let rows = client.query_raw("SELECT i FROM generate_series(1, 100000) AS g(i)", std::iter::empty::<i32>()).await?;
        pin_mut!(rows);
        let mut sum = 0i64;
        while let Some(row) = rows.try_next().await? {
            sum += i64::from(row.get::<_, i32>(0));
        }
        equal(sum, 5_000_050_000)
    })
    .await;
    check("tokio_postgres.simple_query", async {
        let client = connect().await?;
        let messages = client.simple_query("SELECT 1 AS a; SELECT 'x' AS b, NULL AS c").await?;
        let rows: Vec<_> = messages.iter().filter_map(|message| if let SimpleQueryMessage::Row(row) = message { Some(row) } else { None }).collect();
        equal((rows[0].get("a"), rows[1].get("b"), rows[1].get("c")), (Some("1"), Some("x"), None))
    })
    .await;
    check("tokio_postgres.errors", async {
        let client = connect().await?;
        fails(&SqlState::SYNTAX_ERROR, client.batch_execute("SELEC 1").await)?;
        fails(&SqlState::UNDEFINED_COLUMN, client.query("SELECT nothing", &[]).await)?;
        fails(&SqlState::UNDEFINED_TABLE, client.query("SELECT * FROM nothing_there", &[]).await)?;
        fails(&SqlState::DIVISION_BY_ZERO, client.query("SELECT 1 / $1::int4", &[&0i32]).await)?;
        client.batch_execute("DROP TABLE IF EXISTS rs_err; CREATE TABLE rs_err (a integer, CONSTRAINT small CHECK (a < 10))").await?;
        let error = client.execute("INSERT INTO rs_err VALUES (10)", &[]).await.err().ok_or("no error")?;
        let fields = error.as_db_error().ok_or("no fields")?;
        equal((fields.schema(), fields.table(), fields.constraint()), (Some("public"), Some("rs_err"), Some("small")))
    })
    .await;
    check("tokio_postgres.cancel", async {
        let client = connect().await?;
        let token = client.cancel_token();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(500)).await;
            if let Ok(tls) = tls() {
                let _ = token.cancel_query(tls).await;
            }
        });
        fails(&SqlState::QUERY_CANCELED, client.batch_execute("SELECT pg_sleep(20)").await)?;
        equal(client.query_one("SELECT 1", &[]).await?.get::<_, i32>(0), 1)
    })
    .await;
    check("tokio_postgres.copy", async {
        let client = connect().await?;
        client.batch_execute("DROP TABLE IF EXISTS rs_copy; CREATE TABLE rs_copy (a integer, b text)").await?;
        let sink = client.copy_in("COPY rs_copy FROM STDIN").await?;
        pin_mut!(sink);
        sink.send(Bytes::from_static(b"1\teins\n2\t")).await?;
        sink.send(Bytes::from_static(b"\\N\n")).await?;
        equal(sink.finish().await?, 2)?;
        let rows: Vec<Bytes> = client.copy_out("COPY (SELECT * FROM rs_copy ORDER BY a) TO STDOUT").await?.try_collect().await?;
        equal(rows, vec![Bytes::from_static(b"1\teins\n"), Bytes::from_static(b"2\t\\N\n")])
    })
    .await;
    check("tokio_postgres.copy_binary", async {
        let client = connect().await?;
        client.batch_execute("DROP TABLE IF EXISTS rs_copyb; CREATE TABLE rs_copyb (a integer, b text)").await?;
        let sink = client.copy_in("COPY rs_copyb FROM STDIN (FORMAT binary)").await?;
        let writer = BinaryCopyInWriter::new(sink, &[Type::INT4, Type::TEXT]);
        pin_mut!(writer);
        for i in 0..100i32 {
            writer.as_mut().write(&[&i, &(i != 7).then(|| format!("b{i}"))]).await?;
        }
        equal(writer.finish().await?, 100)?;
        let stream = client.copy_out("COPY (SELECT * FROM rs_copyb WHERE a IN (6, 7) ORDER BY a) TO STDOUT (FORMAT binary)").await?;
        let rows = BinaryCopyOutStream::new(stream, &[Type::INT4, Type::TEXT]);
        let rows: Vec<_> = rows.map(|row| row.map(|row| (row.get::<i32>(0), row.get::<Option<String>>(1)))).try_collect().await?;
        equal(rows, vec![(6, Some("b6".to_owned())), (7, None)])
    })
    .await;
}
