//! What clients ask the catalogs: the recordings of `tests/introspection`, statement by statement on Lakegate and on PostgreSQL 15
//! over the same objects. Columns and rows are the same but for what `differences.txt` there justifies; what it justifies and is
//! not there any more fails too.

mod answer;
mod differences;
mod privileges;
mod recording;
mod two_roles;

use std::collections::{BTreeMap, HashSet};

use lakegate_tests::postgres::Cluster;
use lakegate_tests::server::{Options, Server};
use lakegate_tests::tools::repository;
use lakegate_tests::wire::{Target, Wire};

use answer::{Answer, Protocol, Side};
use differences::Differences;
use recording::Statement;

#[tokio::test]
async fn recorded_statements_answer_as_postgres_answers() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&Options::new(&folder.path().join("data"))).unwrap();
    let cluster = Cluster::start().unwrap();
    let mut postgres = Side::open(Target::of_postgres(&cluster), false).await.unwrap();
    let mut lakegate = Side::open(Target::of_server(&server), true).await.unwrap();
    let base = repository().join("tests/introspection");
    let setup = std::fs::read_to_string(base.join("setup.sql")).unwrap();
    for side in [&mut postgres, &mut lakegate] {
        side.set_up(&setup).await.unwrap();
    }
    let mut differences = Differences::read(&std::fs::read_to_string(base.join("differences.txt")).unwrap()).unwrap();
    let (mut counts, mut failures) = (BTreeMap::<String, usize>::new(), Vec::new());
    for (file, statements) in recording::read(&base).unwrap() {
        let mut seen = HashSet::new();
        for statement in statements {
            if !statement.asks() {
                *counts.entry(format!("not a query: {}", statement.keyword())).or_default() += 1;
                continue;
            }
            if !seen.insert(statement.clone()) {
                continue;
            }
            for protocol in statement.protocols() {
                let expected = postgres.run(&statement, protocol).await.unwrap();
                let came = lakegate.run(&statement, protocol).await.unwrap();
                let outcome = compare(&file, &statement, protocol, expected, came, &mut differences, &mut failures);
                *counts.entry(outcome.to_owned()).or_default() += 1;
            }
        }
    }
    let report = std::env::temp_dir().join("lakegate-introspection.txt");
    std::fs::write(&report, failures.join("\n\n")).unwrap();
    println!("{counts:#?}\nwhat differs stands in {}", report.display());
    let vanished = differences.unused();
    assert!(failures.is_empty(), "{} differences, in {}", failures.len(), report.display());
    assert!(vanished.is_empty(), "differences that are not there any more:\n{}", vanished.join("\n"));
    assert!(counts.get("equal").is_some_and(|equal| *equal > 1_700), "{counts:#?}");
}

fn compare(
    file: &str,
    statement: &Statement,
    protocol: Protocol,
    mut expected: Answer,
    mut came: Answer,
    differences: &mut Differences,
    failures: &mut Vec<String>,
) -> &'static str {
    differences.level(&mut expected, &mut came);
    let Some((kind, shown)) = answer::difference(&expected, &came) else {
        return if matches!(expected, Answer::Error(..)) { "the same error" } else { "equal" };
    };
    let print = statement.fingerprint();
    if differences.justified(&print, &kind) {
        return "justified";
    }
    failures.push(format!("{file}, {protocol:?}:\n{}\n{shown}\nstatement {print} {kind}", statement.beginning()));
    "different"
}

/// A connection as `admin`.
async fn login(target: &Target, tls: bool) -> lakegate_tests::Result<Wire> {
    Wire::login(target, tls, &[("application_name", "introspection")]).await
}
