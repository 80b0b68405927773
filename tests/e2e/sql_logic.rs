//! SQL scripts of `tests/sql/logic`, statement by statement against PostgreSQL 15 and Lakegate: the same command tags,
//! rows and SQLSTATEs. Each script runs in a schema of its own.

use lakegate_tests::tools::repository;
use lakegate_tests::wire::{self, Message, Target, Wire};

use crate::support::{self, unique};

#[tokio::test]
async fn scripts_answer_as_postgres_answers() {
    let mut scripts: Vec<_> = std::fs::read_dir(repository().join("tests/sql/logic")).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.sort();
    assert!(scripts.len() >= 4);
    let mut statements = 0;
    let mut differences = Vec::new();
    for path in scripts {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut postgres = Wire::login(&Target::of_postgres(support::postgres()), false, &[]).await.unwrap();
        let mut lakegate = Wire::login(&Target::of_server(support::server()), true, &[]).await.unwrap();
        let schema = unique("logic");
        for connection in [&mut postgres, &mut lakegate] {
            for sql in [format!("CREATE SCHEMA {schema}"), format!("SET search_path = {schema}")] {
                run(connection, &sql).await.unwrap();
            }
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for statement in statements_of(&text) {
            statements += 1;
            let (statement, own) = statement;
            let answered = run(&mut postgres, &statement).await.unwrap();
            let expected = match own {
                Some(own) => own.split(" ; ").map(str::to_owned).collect(),
                None => answered,
            };
            let came = match run(&mut lakegate, &statement).await {
                Ok(came) => came,
                Err(error) => {
                    differences.push(format!("{name}: {statement}\n  {error}; the rest of the script was not run"));
                    break;
                }
            };
            if expected != came {
                differences.push(format!("{name}: {statement}\n  postgres {expected:?}\n  lakegate {came:?}"));
            }
        }
    }
    assert!(differences.is_empty(), "{} of {statements} statements differ:\n{}", differences.len(), differences.join("\n"));
}

/// Statements end with a semicolon at the end of a line; several on one line go as one message. Where Lakegate answers
/// otherwise by design, a line `--= answer ; answer` before the statement says how, and the comment above it why.
fn statements_of(text: &str) -> Vec<(String, Option<String>)> {
    let mut statements = Vec::new();
    let (mut statement, mut own) = (String::new(), None);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if let Some(answer) = line.strip_prefix("--= ") {
            own = Some(answer.to_owned());
        } else if !line.starts_with("--") {
            statement.push_str(line);
            statement.push('\n');
            if line.trim_end().ends_with(';') {
                statements.push((std::mem::take(&mut statement), own.take()));
            }
        }
    }
    statements
}

/// What came back, one line a message that matters.
async fn run(connection: &mut Wire, sql: &str) -> lakegate_tests::Result<Vec<String>> {
    connection.send(&wire::query(sql)).await?;
    let mut shown: Vec<String> = connection.until_ready().await?.iter().filter_map(show).collect();
    // Whether columns are told before an error depends on when it is found: PostgreSQL folds constants while it plans.
    let error = shown.iter().position(|line| line.starts_with("error "));
    if let Some(at) = error.filter(|at| *at > 0 && shown[at - 1].contains(':') && !shown[at - 1].contains('|')) {
        shown.remove(at - 1);
    }
    Ok(shown)
}

fn show(message: &Message) -> Option<String> {
    match message.tag {
        b'D' => {
            let values = wire::data_row(&message.body).ok()?;
            let text =
                |value: &Option<bytes::Bytes>| value.as_ref().map_or("∅".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned());
            Some(values.iter().map(text).collect::<Vec<_>>().join("|"))
        }
        b'T' => {
            let fields = wire::row_description(&message.body).ok()?;
            Some(fields.iter().map(|field| format!("{}:{}", field.name, field.type_oid)).collect::<Vec<_>>().join(" "))
        }
        b'C' => wire::take_string(&mut message.body.clone()).ok(),
        b'E' => wire::error_field(&message.body, b'C').map(|code| format!("error {code}")),
        b'Z' => Some(format!("ready {}", char::from(message.body[0]))),
        _ => None,
    }
}
