//! What mistakes are told, field by field, against PostgreSQL 15: tests/sql/errors.sql.

use std::collections::BTreeMap;

use lakegate_tests::Result;
use lakegate_tests::tools::repository;
use lakegate_tests::wire::{self, Target, Wire};

use crate::support;

/// Fields of ErrorResponse that are compared, and how many in a hundred must be equal: no fewer than there were.
const FIELDS: [(u8, &str, usize); 11] = [
    (b'C', "SQLSTATE", 96),
    (b'M', "message", 88),
    (b'P', "position", 80),
    (b'H', "hint", 72),
    (b'D', "detail", 45),
    (b'W', "context", 0),
    (b's', "schema", 100),
    (b't', "table", 100),
    (b'c', "column", 100),
    (b'd', "type", 0),
    (b'n', "constraint", 100),
];

#[tokio::test]
async fn mistakes_are_told_as_postgres_tells_them() {
    let list = std::fs::read_to_string(repository().join("tests/sql/errors.sql")).unwrap();
    let mut postgres = Wire::login(&Target::of_postgres(support::postgres()), false, &[]).await.unwrap();
    let mut lakegate = Wire::login(&Target::of_server(support::server()), true, &[]).await.unwrap();
    // (equal, told by either) of each field.
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let (mut compared, mut differences, mut wrong_class) = (0, Vec::new(), Vec::new());
    for line in list.lines().filter(|line| !line.trim().is_empty()) {
        if let Some(sql) = line.strip_prefix("--+ ") {
            for connection in [&mut postgres, &mut lakegate] {
                assert_eq!(error(connection, sql).await.unwrap(), BTreeMap::new(), "{sql}");
            }
            continue;
        }
        if line.starts_with("--") {
            continue;
        }
        let (sql, own) = line.split_once(" --= ").unwrap_or((line, ""));
        let (expected, came) = (error(&mut postgres, sql).await.unwrap(), error(&mut lakegate, sql).await.unwrap());
        for connection in [&mut postgres, &mut lakegate] {
            error(connection, "ROLLBACK").await.unwrap();
        }
        let code = |fields: &BTreeMap<u8, String>| fields.get(&b'C').cloned().unwrap_or_else(|| "00000".to_owned());
        assert_ne!(code(&expected), "00000", "PostgreSQL takes it: {sql}");
        if !own.is_empty() {
            assert_eq!(code(&came), own.split(' ').next().unwrap_or_default(), "{sql}");
            continue;
        }
        compared += 1;
        if code(&expected)[..2] != code(&came)[..2] {
            wrong_class.push(format!("{sql}: expected {}, came {}", code(&expected), code(&came)));
        }
        for (field, name, _) in FIELDS {
            let (wanted, got) = (expected.get(&field), came.get(&field));
            if wanted.is_none() && got.is_none() {
                continue;
            }
            let (equal, told) = counts.entry(name).or_default();
            *told += 1;
            *equal += usize::from(wanted == got);
            if wanted != got {
                differences.push(format!("{sql}\n    {name}: expected {wanted:?}, came {got:?}"));
            }
        }
    }
    assert!(compared > 250, "only {compared} statements");
    let shares: Vec<String> = counts.iter().map(|(name, (equal, told))| format!("{name} {equal} of {told}")).collect();
    assert!(wrong_class.is_empty(), "{} of another class:\n{}", wrong_class.len(), wrong_class.join("\n"));
    for (_, name, share) in FIELDS {
        let (equal, told) = counts.get(name).copied().unwrap_or_default();
        assert!(equal * 100 >= told * share, "{name}: {equal} of {told} ({})\n{}", shares.join(", "), differences.join("\n"));
    }
}

/// Fields of a message's first error; none where it succeeds. A COPY that begins is ended.
async fn error(connection: &mut Wire, sql: &str) -> Result<BTreeMap<u8, String>> {
    connection.send(&wire::query(sql)).await?;
    let mut fields = BTreeMap::new();
    loop {
        let message = connection.must_receive().await?;
        match message.tag {
            b'E' if fields.is_empty() => {
                for (field, ..) in FIELDS {
                    if let Some(text) = wire::error_field(&message.body, field) {
                        fields.insert(field, text);
                    }
                }
            }
            b'G' => connection.send(&[&b"f"[..], &5_u32.to_be_bytes(), &[0]].concat()).await?,
            b'Z' => return Ok(fields),
            _ => {}
        }
    }
}
