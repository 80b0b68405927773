//! Which SQLSTATE a statement ends with, against PostgreSQL 15; and inputs of sizes that nobody types by hand.

use lakegate_tests::Result;
use lakegate_tests::tools::repository;
use lakegate_tests::wire::{self, Target, Wire};

use crate::support;

#[tokio::test]
async fn statements_end_with_the_sqlstate_that_postgres_gives() {
    let list = std::fs::read_to_string(repository().join("tests/sql/sqlstates.sql")).unwrap();
    let mut postgres = Wire::login(&Target::of_postgres(support::postgres()), false, &[]).await.unwrap();
    let mut lakegate = Wire::login(&Target::of_server(support::server()), true, &[]).await.unwrap();
    let mut compared = 0;
    let mut differences = Vec::new();
    for line in list.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("--")) {
        let (sql, own) = line.split_once(" --= ").unwrap_or((line, ""));
        let expected = match own.split(' ').next() {
            Some(code) if !code.is_empty() => code.to_owned(),
            _ => sqlstate(&mut postgres, sql).await.unwrap(),
        };
        let came = match sqlstate(&mut lakegate, sql).await {
            Ok(code) => code,
            Err(error) => {
                lakegate = Wire::login(&Target::of_server(support::server()), true, &[]).await.unwrap();
                error.to_string()
            }
        };
        compared += 1;
        if came != expected {
            differences.push(format!("{sql}: expected {expected}, came {came}"));
        }
    }
    assert!(compared > 150, "only {compared} statements");
    assert!(differences.is_empty(), "{} of {compared} differ:\n{}", differences.len(), differences.join("\n"));
}

/// Statements of extreme shape end with one of these codes, and the server goes on.
#[tokio::test]
async fn extreme_statements_are_answered_or_refused() {
    let repeated = |unit: &str, count: usize| unit.repeat(count);
    let list = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
    let columns = |count: usize| (0..count).map(|number| format!("{number} AS c{number}")).collect::<Vec<_>>().join(",");
    let nested = |count: usize| format!("{}1{}", "SELECT (".repeat(count), ")".repeat(count));
    let cases: Vec<(&str, String, &[&str])> = vec![
        ("1,600 columns", format!("SELECT {}", columns(1600)), &["00000"]),
        ("20,000 columns", format!("SELECT {}", columns(20_000)), &["54011", "54001", "54000"]),
        ("40 parentheses", format!("SELECT {}1{}", repeated("(", 40), repeated(")", 40)), &["00000"]),
        ("50,000 parentheses", format!("SELECT {}1{}", repeated("(", 50_000), repeated(")", 50_000)), &["42601", "54001"]),
        ("2,000 additions", format!("SELECT 1{}", repeated("+1", 2000)), &["00000", "54001"]),
        ("100,000 additions", format!("SELECT 1{}", repeated("+1", 100_000)), &["54001"]),
        ("10,000 ORs", format!("SELECT 1 WHERE 1=2{}", repeated(" OR 1=2", 10_000)), &["00000", "54001"]),
        ("100,000 NOTs", format!("SELECT {} true", repeated("NOT ", 100_000)), &["42601", "54001"]),
        ("2,000 nested subqueries", nested(2000), &["00000", "42601", "54001"]),
        ("an IN list of 20,000", format!("SELECT 1 WHERE 5 IN ({})", list(20_000)), &["00000"]),
        ("an array of 50,000", format!("SELECT cardinality(ARRAY[{}])", list(50_000)), &["00000"]),
        ("a literal of 5 MB", format!("SELECT length('{}')", repeated("x", 5_000_000)), &["00000"]),
        ("100,000 statements' worth of semicolons", repeated(";", 100_000), &["00000"]),
        ("a thousand joins", format!("SELECT 1 FROM (VALUES (1)) t0{}", repeated(" CROSS JOIN (VALUES (1)) t", 1000)), &["42712", "54001"]),
        ("10,000 nested comments", format!("SELECT {}{} 1", repeated("/*", 10_000), repeated("*/", 10_000)), &["00000", "54001", "42601"]),
        (
            "CASE in CASE 5,000 deep",
            format!("SELECT {}1{}", repeated("CASE WHEN true THEN ", 5000), repeated(" END", 5000)),
            &["42601", "54001"],
        ),
        ("casts 20,000 deep", format!("SELECT 1{}", repeated("::int4", 20_000)), &["00000", "54001"]),
        ("array subscripts 20,000 deep", format!("SELECT ARRAY[1]{}", repeated("[1]", 20_000)), &["42804", "54001", "42601", "54000"]),
        ("unions of 5,000", format!("SELECT 1{}", repeated(" UNION ALL SELECT 1", 5000)), &["00000", "54001"]),
    ];
    let server = support::server();
    let target = Target::of_server(server);
    let mut failures = Vec::new();
    for (name, sql, allowed) in cases {
        let mut connection = Wire::login(&target, true, &[]).await.unwrap();
        let code = match tokio::time::timeout(std::time::Duration::from_secs(60), sqlstate(&mut connection, &sql)).await {
            Err(_) => "no answer within a minute".to_owned(),
            Ok(outcome) => outcome.unwrap_or_else(|error| error.to_string()),
        };
        if !allowed.contains(&code.as_str()) {
            failures.push(format!("{name}: {code}, allowed {allowed:?}"));
        }
    }
    assert!(Wire::login(&target, true, &[]).await.is_ok(), "the server is gone");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The SQLSTATE of the first error, `00000` where there is none.
async fn sqlstate(connection: &mut Wire, sql: &str) -> Result<String> {
    connection.send(&wire::query(sql)).await?;
    let messages = connection.until_ready().await?;
    let error = messages.iter().find(|message| message.tag == b'E');
    Ok(error.and_then(|message| wire::error_field(&message.body, b'C')).unwrap_or_else(|| "00000".to_owned()))
}
