//! The wire scripts of `tests/wire`, each case against PostgreSQL 15 (is the script right?) and against Lakegate.

use lakegate_tests::tools::repository;
use lakegate_tests::wire::Target;
use lakegate_tests::wire_script::{Side, parse};

use crate::support;

#[tokio::test]
async fn postgres_answers_as_the_wire_scripts_say() {
    play_all(&Target::of_postgres(support::postgres()), Side::Postgres).await;
}

#[tokio::test]
async fn lakegate_answers_as_the_wire_scripts_say() {
    play_all(&Target::of_server(support::server()), Side::Lakegate).await;
}

async fn play_all(target: &Target, side: Side) {
    let mut scripts: Vec<_> = std::fs::read_dir(repository().join("tests/wire")).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.retain(|path| path.extension().is_some_and(|extension| extension == "wire"));
    scripts.sort();
    let mut played = 0;
    let mut failures = Vec::new();
    for path in scripts {
        for case in parse(&std::fs::read_to_string(&path).unwrap()).unwrap() {
            played += 1;
            if let Err(error) = case.play(target, side).await {
                failures.push(format!("{} · {}\n    {error}", path.file_name().unwrap().display(), case.name));
            }
        }
    }
    assert!(played > 60, "only {played} cases found");
    assert!(failures.is_empty(), "{} of {played} cases against {side:?}:\n{}", failures.len(), failures.join("\n"));
}
