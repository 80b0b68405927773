//! COPY's bytes, both ways and in every format, against PostgreSQL 15.

use lakegate_tests::Result;
use lakegate_tests::wire::{self, Target, Wire};

use crate::support;

const TABLE: &str =
    "CREATE TABLE copied (i int, s text, n numeric(8,2), b bool, d date, ts timestamp, raw bytea, ints int[], v varchar(4))";
const ROWS: &str = r#"INSERT INTO copied VALUES (1, E'tab\tnew\nline\\ quote" comma, .', 1.50, true, '2024-02-29', '2024-01-01 12:00:00.5', '\xdead', '{1,NULL}', 'ab'), (-2, '', -0.01, false, '1999-12-31', '2000-01-01', '', '{}', ''), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), (4, '\.', 0, true, '2024-01-01', '2024-01-01', 'x', '{7}', '\N')"#;

/// Statements that send rows.
const OUT: &[&str] = &[
    "COPY copied TO STDOUT",
    "COPY copied TO STDOUT (FORMAT csv)",
    "COPY copied TO STDOUT (FORMAT binary)",
    "COPY BINARY copied TO STDOUT",
    "COPY copied (s, i) TO STDOUT WITH CSV HEADER",
    "COPY copied (s, i) TO STDOUT (HEADER)",
    "COPY copied (i, s) TO STDOUT USING DELIMITERS '|' WITH NULL AS 'none'",
    "COPY copied (i, s) TO STDOUT (FORMAT csv, QUOTE '''', ESCAPE '!', FORCE_QUOTE *)",
    "COPY copied (i, s, v) TO STDOUT (FORMAT csv, FORCE_QUOTE (v), NULL 'n', DELIMITER ';', HEADER)",
    "COPY (SELECT s FROM copied) TO STDOUT CSV",
    "COPY (VALUES (1, 'a'), (2, NULL)) TO STDIN",
    "COPY (SELECT 1 WHERE false) TO STDOUT (FORMAT binary)",
];

/// (statement, input): what it answers, and what is in the table then.
const IN: &[(&str, &str)] = &[
    (
        "COPY copied FROM STDIN",
        "1\ta\\tb\\\\\t1.5\tt\t2024-01-01\t2024-01-01 10:00\t\\\\x01\t{1}\tabc\n\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\n",
    ),
    ("COPY copied (i, s) FROM STDIN", "1\tx\r\n2\ty\r\n\\.\r\n3\tz\r\n"),
    ("COPY copied (i, s) FROM STDIN", "1\tx\n2\ty\\.\n3\tz\n"),
    ("COPY copied (i, s) FROM STDIN", "1\tx\n2\ty\r\n"),
    ("COPY copied (i, s) FROM STDIN", "1\tx\r\n2\ty\n"),
    ("COPY copied (i, s) FROM STDIN", "1\n"),
    ("COPY copied (i, s) FROM STDIN", "1\tx\ty\n"),
    ("COPY copied (i, s) FROM STDIN", "1\tx\nzwei\ty\n"),
    ("COPY copied (i, s) FROM STDIN", "\tx\n"),
    ("COPY copied (i, s) FROM STDIN", "1\tx\\.y\n"),
    ("COPY copied (i) FROM STDIN", "99999999999\n"),
    ("COPY copied (i, v) FROM STDIN", "1\ttoolong\n"),
    ("COPY copied (i, s) FROM STDIN (DELIMITER '|', NULL 'x')", "1|a\\|b\n2|x\n3|\\N\n"),
    ("COPY copied (i, s) FROM STDIN (HEADER)", "this\tis\tno\trow\n5\tx\n"),
    ("COPY copied (i, s) FROM STDIN (HEADER match)", "i\ts\n5\tx\n"),
    ("COPY copied (i, s) FROM STDIN (HEADER match)", "i\tt\n5\tx\n"),
    ("COPY copied (i, s) FROM STDIN (HEADER match)", "i\n5\tx\n"),
    ("COPY copied (i, s) FROM STDIN (HEADER match)", "\\N\ts\n5\tx\n"),
    ("COPY copied (i, s) FROM STDIN CSV", "1,\"a\"\"b, c\nd\"\n2,\n3,\"\"\n"),
    ("COPY copied (i, s) FROM STDIN CSV", "1,\"two\nlines\"\nx,y\n"),
    ("COPY copied (i, s) FROM STDIN CSV", "1,\"open\n"),
    ("COPY copied (i, s) FROM STDIN CSV", "1,a\r\n2,b\n"),
    ("COPY copied (i, s) FROM STDIN CSV", "1,a\n\\.\n2,b\n"),
    ("COPY copied (i, s) FROM STDIN (FORMAT csv, QUOTE '''', ESCAPE '!')", "1,'it!'s'\n2,'a!!b'\n"),
    ("COPY copied (i, s, v) FROM STDIN (FORMAT csv, FORCE_NOT_NULL (s), FORCE_NULL (v))", "1,,\"\"\n2,\"\",\n"),
    ("COPY copied (i, s) FROM STDIN (FORMAT csv) WHERE i > 1 AND s <> 'c'", "1,a\n2,b\n3,c\n4,d\n"),
    ("COPY copied (i, s) FROM STDIN WHERE 10 / i > 2", "1\ta\n5\tb\n"),
    ("COPY copied (i) FROM STDIN WHERE i", "1\n"),
    ("COPY copied (i) FROM STDIN WHERE nope = 1", "1\n"),
    ("COPY copied (i) FROM STDIN WHERE i IN (SELECT 1)", "1\n"),
    ("COPY copied FROM STDIN BINARY", "PGCOPY\n"),
    ("COPY copied FROM STDIN BINARY", "nothing of the kind"),
];

#[tokio::test]
async fn copies_are_postgres_s_byte_for_byte() {
    let mut postgres = Wire::login(&Target::of_postgres(support::postgres()), false, &[]).await.unwrap();
    let mut lakegate = Wire::login(&Target::of_server(support::server()), true, &[]).await.unwrap();
    for connection in [&mut postgres, &mut lakegate] {
        for sql in ["DROP TABLE IF EXISTS copied", TABLE, ROWS] {
            let answer = copy(connection, sql, b"").await.unwrap();
            assert!(answer.error.is_none(), "{sql}: {answer:?}");
        }
    }
    let mut differences = Vec::new();
    for sql in OUT {
        let (expected, came) = (copy(&mut postgres, sql, b"").await.unwrap(), copy(&mut lakegate, sql, b"").await.unwrap());
        if expected != came {
            differences.push(format!("{sql}\n  expected {expected:?}\n  came     {came:?}"));
        }
    }
    let binary = copy(&mut postgres, "COPY copied TO STDOUT (FORMAT binary)", b"").await.unwrap().bytes;
    let mut inputs: Vec<(&str, Vec<u8>)> = IN.iter().map(|(sql, input)| (*sql, input.as_bytes().to_vec())).collect();
    // Whole, cut short at several places, longer than its trailer, of a wrong number of fields.
    for end in [binary.len(), binary.len() - 2, 11, 15, 19, 20, 23, 25, 40, binary.len() - 5] {
        inputs.push(("COPY copied FROM STDIN (FORMAT binary)", binary[..end].to_vec()));
    }
    inputs.push(("COPY copied FROM STDIN (FORMAT binary)", [&binary[..], b"more"].concat()));
    inputs.push(("COPY copied (i) FROM STDIN (FORMAT binary)", binary.clone()));
    for (sql, input) in inputs {
        let mut answers = Vec::new();
        for connection in [&mut postgres, &mut lakegate] {
            copy(connection, "TRUNCATE copied", b"").await.unwrap();
            let answer = copy(connection, sql, &input).await.unwrap();
            answers.push((answer, copy(connection, "COPY (SELECT * FROM copied ORDER BY i, s) TO STDOUT", b"").await.unwrap()));
        }
        if answers[0] != answers[1] {
            differences.push(format!(
                "{sql} of {:?}\n  expected {:?}\n  came     {:?}",
                String::from_utf8_lossy(&input),
                answers[0],
                answers[1]
            ));
        }
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

/// A client that gives up, or goes in the middle, leaves no row.
#[tokio::test]
async fn a_copy_that_does_not_end_leaves_no_row() {
    let target = Target::of_server(support::server());
    let mut client = Wire::login(&target, true, &[]).await.unwrap();
    for sql in ["DROP TABLE IF EXISTS unfinished", "CREATE TABLE unfinished (i int)"] {
        copy(&mut client, sql, b"").await.unwrap();
    }
    client.send(&wire::query("COPY unfinished FROM STDIN")).await.unwrap();
    client.send(&message(b'd', b"1\n")).await.unwrap();
    client.send(&message(b'f', b"changed my mind\0")).await.unwrap();
    let messages = client.until_ready().await.unwrap();
    let error = messages.iter().find(|message| message.tag == b'E').unwrap();
    assert_eq!(wire::error_field(&error.body, b'C').as_deref(), Some("57014"));
    assert_eq!(wire::error_field(&error.body, b'M').as_deref(), Some("COPY from stdin failed: changed my mind"));
    let mut leaver = Wire::login(&target, true, &[]).await.unwrap();
    leaver.send(&wire::query("COPY unfinished FROM STDIN")).await.unwrap();
    leaver.send(&message(b'd', b"2\n")).await.unwrap();
    drop(leaver);
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let rows = copy(&mut client, "COPY unfinished TO STDOUT", b"").await.unwrap();
    assert_eq!((rows.bytes, rows.tag.as_deref()), (Vec::new(), Some("COPY 0")));
}

#[derive(Debug, Default, PartialEq)]
struct Answer {
    bytes: Vec<u8>,
    tag: Option<String>,
    /// Code, message, context.
    error: Option<(Option<String>, Option<String>, Option<String>)>,
}

async fn copy(connection: &mut Wire, sql: &str, input: &[u8]) -> Result<Answer> {
    connection.send(&wire::query(sql)).await?;
    let mut answer = Answer::default();
    loop {
        let got = connection.must_receive().await?;
        match got.tag {
            b'G' => {
                // Cut where it hurts.
                for part in input.chunks(7) {
                    connection.send(&message(b'd', part)).await?;
                }
                connection.send(&message(b'c', b"")).await?;
            }
            b'd' => answer.bytes.extend_from_slice(&got.body),
            b'C' => answer.tag = Some(String::from_utf8_lossy(&got.body).trim_end_matches('\0').to_owned()),
            b'E' => {
                let field = |letter| wire::error_field(&got.body, letter);
                answer.error = Some((field(b'C'), field(b'M'), field(b'W')));
            }
            b'Z' => return Ok(answer),
            _ => {}
        }
    }
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &length.to_be_bytes(), body].concat()
}
