//! Every type's output, text and binary, against PostgreSQL's own bytes.

use bytes::Bytes;
use lakegate_tests::Result;
use lakegate_tests::tools::repository;
use lakegate_tests::wire::{self, Field, Target, Wire};

use crate::support;

/// Rows and columns of one answer, or its error.
type Answer = Result<(Vec<Field>, Vec<Vec<Option<Bytes>>>), String>;

#[tokio::test]
async fn values_are_written_as_postgres_writes_them() {
    answers_are_equal("tests/sql/values.sql", 120).await;
}

#[tokio::test]
async fn functions_answer_as_postgres_answers() {
    answers_are_equal("tests/sql/functions.sql", 200).await;
}

/// Sends each line of a file to both, as the select list of a SELECT. `least`: how many lines there are at least.
async fn answers_are_equal(file: &str, least: usize) {
    let mut postgres = Wire::login(&Target::of_postgres(support::postgres()), false, &[]).await.unwrap();
    let mut lakegate = Wire::login(&Target::of_server(support::server()), true, &[]).await.unwrap();
    let list = std::fs::read_to_string(repository().join(file)).unwrap();
    let mut compared = 0;
    let mut differences = Vec::new();
    let mut by_design = false;
    for line in list.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with("--") {
            // `--~ reason`: the next select's values differ by design. It must answer all the same.
            by_design |= line.starts_with("--~ ");
            continue;
        }
        // Settings change how text looks; they apply to both from here on.
        if line.starts_with("SET ") || line.starts_with("RESET ") {
            for connection in [&mut postgres, &mut lakegate] {
                connection.send(&wire::query(line)).await.unwrap();
                let answer = connection.until_ready().await.unwrap();
                assert!(answer.iter().all(|message| message.tag != b'E'), "{line}: {answer:?}");
            }
            continue;
        }
        let sql = format!("SELECT {line}");
        if std::mem::take(&mut by_design) {
            let own = simple(&mut lakegate, &sql).await;
            assert!(own.is_ok(), "{sql}: {own:?}");
            let same_text = simple(&mut postgres, &sql).await == own;
            let same_binary = extended(&mut postgres, &sql, 1).await == extended(&mut lakegate, &sql, 1).await;
            assert!(!(same_text && same_binary), "{sql}: there is no difference any more");
            compared += 1;
            continue;
        }
        let simple = [simple(&mut postgres, &sql).await, simple(&mut lakegate, &sql).await];
        compare(&sql, "simple", &simple, &mut differences);
        for format in [0, 1] {
            let both = [extended(&mut postgres, &sql, format).await, extended(&mut lakegate, &sql, format).await];
            compare(&sql, if format == 0 { "text" } else { "binary" }, &both, &mut differences);
        }
        compared += 1;
    }
    assert!(compared > least, "only {compared} selects");
    assert!(differences.is_empty(), "{} differences in {compared} selects:\n{}", differences.len(), differences.join("\n"));
}

fn compare(sql: &str, how: &str, [postgres, lakegate]: &[Answer; 2], differences: &mut Vec<String>) {
    if postgres != lakegate {
        differences.push(format!("{how}: {sql}\n    postgres {}\n    lakegate {}", show(postgres), show(lakegate)));
    }
}

fn show(answer: &Answer) -> String {
    match answer {
        Err(error) => error.clone(),
        Ok((fields, rows)) => {
            let types: Vec<_> = fields.iter().map(|field| format!("{}:{}:{}", field.name, field.type_oid, field.typmod)).collect();
            let value = |value: &Option<Bytes>| value.as_ref().map_or("null".to_owned(), |bytes| format!("{:?}", bytes));
            let rows: Vec<_> = rows.iter().map(|row| row.iter().map(value).collect::<Vec<_>>().join(", ")).collect();
            format!("{} | {}", types.join(", "), rows.join("; "))
        }
    }
}

async fn simple(connection: &mut Wire, sql: &str) -> Answer {
    exchange(connection, &wire::query(sql)).await
}

async fn extended(connection: &mut Wire, sql: &str, format: i16) -> Answer {
    let messages = [
        wire::parse("", sql, &[]),
        wire::bind("", "", &[], &[], &[format]),
        wire::describe(b'P', ""),
        wire::execute("", 0),
        wire::bare(b'S'),
    ];
    exchange(connection, &messages.concat()).await
}

async fn exchange(connection: &mut Wire, bytes: &[u8]) -> Answer {
    let messages = async {
        connection.send(bytes).await?;
        connection.until_ready().await
    };
    let messages = messages.await.map_err(|error| error.to_string())?;
    let (mut fields, mut rows) = (Vec::new(), Vec::new());
    for message in &messages {
        match message.tag {
            b'T' => fields = wire::row_description(&message.body).map_err(|error| error.to_string())?,
            b'D' => rows.push(wire::data_row(&message.body).map_err(|error| error.to_string())?),
            b'E' => return Err(wire::error_field(&message.body, b'C').unwrap_or_default() + " (error)"),
            _ => {}
        }
    }
    // Lakegate's tables have no OID of PostgreSQL's, and a typmod of a bare expression is compared too.
    Ok((fields, rows))
}
