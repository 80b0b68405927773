//! The log's completeness, as an auditor with a backup and a public key checks it; and sealed texts, opened one at a time.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use lakegate_tests::client::Client;
use lakegate_tests::server::{Options, Server, binary};
use lakegate_tests::tools::eventually;

use crate::support::{self, in_new_schema, unique};

fn admin(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary().unwrap());
    command.arg("admin").arg("--data-dir").arg(data).args(arguments).env("LAKEGATE_LOG", "error");
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_verified_offline_and_a_killed_server_leaves_a_whole_log() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for life in 0..2 {
        let server = Server::start(&Options::new(&data)).unwrap();
        let client = Client::admin(&server).await.unwrap();
        client.batch_execute(&format!("CREATE TABLE t{life} AS SELECT 1 AS a")).await.unwrap();
        for n in 0..20 {
            client.batch_execute(&format!("SELECT {n} FROM t{life}")).await.unwrap();
        }
        // Not a chance to sign.
        server.process.signal("KILL").unwrap();
    }
    assert!(said(&admin(&data, &["log", "verify"])).contains("the log is whole"));
    let key = said(&admin(&data, &["log", "public-key"])).trim().to_owned();
    let head = folder.path().join("head");
    std::fs::write(&head, said(&admin(&data, &["log", "head"]))).unwrap();
    let backup = folder.path().join("backup.db");
    said(&admin(&data, &["backup", backup.to_str().unwrap()]));
    let verify = |more: &[&str]| {
        let arguments = [&["log", "verify", "--backup", backup.to_str().unwrap(), "--public-key", &key], more].concat();
        // Without the data directory, its keys or a server.
        admin(&folder.path().join("nowhere"), &arguments)
    };
    assert!(said(&verify(&["--head", head.to_str().unwrap()])).contains("the log is whole"));
    assert!(!folder.path().join("nowhere").exists());
    let python = |sql: &str| {
        let script = format!(
            "import sqlite3,sys; c=sqlite3.connect({:?}); n=c.execute({sql:?}).rowcount; c.commit(); sys.exit(0 if n else 1)",
            backup.display()
        );
        assert!(Command::new("python3").args(["-c", &script]).status().unwrap().success(), "{sql}");
    };
    let other_key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let wrong = admin(&folder.path().join("nowhere"), &["log", "verify", "--backup", backup.to_str().unwrap(), "--public-key", other_key]);
    assert!(!wrong.status.success() && String::from_utf8_lossy(&wrong.stdout).contains("signature"));
    python("UPDATE statements SET executed_by = 'nobody' WHERE start_seq = 12");
    let altered = verify(&[]);
    assert!(!altered.status.success());
    let text = String::from_utf8_lossy(&altered.stdout).into_owned();
    assert!(text.starts_with("record 12 of chain ") && text.contains("was altered"), "{text}");
    python("UPDATE statements SET executed_by = 'admin' WHERE start_seq = 12");
    assert!(said(&verify(&[])).contains("the log is whole"));
    python("DELETE FROM audit_events WHERE seq = (SELECT min(seq) FROM audit_events WHERE seq > 2)");
    let missing = verify(&[]);
    assert!(!missing.status.success() && String::from_utf8_lossy(&missing.stdout).contains("is missing"));
    // A proof of one record needs nothing but the key.
    let event = {
        let server = Server::start(&Options::new(&data)).unwrap();
        let client = Client::admin(&server).await.unwrap();
        client.value("SELECT event_id FROM system.access.audit WHERE action_name = 'login' LIMIT 1").await.unwrap()
    };
    let proof = folder.path().join("proof.json");
    let text = said(&admin(&data, &["log", "prove", &event]));
    std::fs::write(&proof, &text).unwrap();
    let check = |key: &str| admin(&folder.path().join("nowhere"), &["log", "check-proof", proof.to_str().unwrap(), "--public-key", key]);
    assert!(said(&check(&key)).starts_with("record "));
    assert!(!check(other_key).status.success());
    std::fs::write(&proof, text.replace("\"login\"", "\"logout\"")).unwrap();
    assert!(!check(&key).status.success());
}

#[tokio::test]
async fn texts_open_one_at_a_time_and_each_opening_is_audited() {
    let (client, schema) = in_new_schema(support::server()).await;
    let (writer, stranger, auditor) = (unique("writer"), unique("stranger"), unique("auditor"));
    for role in [&writer, &stranger, &auditor] {
        client.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'p'")).await.unwrap();
    }
    client.batch_execute(&format!("GRANT lakegate_read_audit TO {auditor}; GRANT USAGE ON SCHEMA {schema} TO {writer}")).await.unwrap();
    let secret = unique("secret");
    let writing = Client::login(support::server(), &writer, "p", "main").await.unwrap();
    writing.batch_execute(&format!("SELECT '{secret}'")).await.unwrap();
    let id = format!(
        "SELECT statement_id FROM system.query.history WHERE executed_by = '{writer}' AND statement_type = 'SELECT' ORDER BY start_time LIMIT 1"
    );
    let id = client.value(&id).await.unwrap();
    let open = format!("SELECT lakegate.decrypt_statement('{id}')");
    assert_eq!(writing.value(&open).await.unwrap(), format!("SELECT '{secret}'"));
    let stranger = Client::login(support::server(), &stranger, "p", "main").await.unwrap();
    assert_eq!(stranger.sqlstate(&open).await, "42501");
    // An auditor sees that it was, and not what it was.
    let auditing = Client::login(support::server(), &auditor, "p", "main").await.unwrap();
    let seen = format!("SELECT statement_type, statement_text IS NULL FROM system.query.history WHERE statement_id = '{id}'");
    assert_eq!(auditing.rows(&seen).await.unwrap(), [["SELECT", "t"]]);
    assert_eq!(auditing.sqlstate(&open).await, "42501");
    assert_eq!(client.value(&open).await.unwrap(), format!("SELECT '{secret}'"));
    assert_eq!(client.value("SELECT lakegate.decrypt_statement('00000000-0000-0000-0000-000000000000') IS NULL").await.unwrap(), "t");
    assert_eq!(client.sqlstate("SELECT lakegate.decrypt_statement('x')").await, "22P02");
    let audited =
        format!("SELECT actor, status FROM system.access.audit WHERE action_name = 'decrypt' AND object_name = '{id}' ORDER BY event_time");
    let told = client.rows(&audited).await.unwrap();
    assert_eq!(told.len(), 4, "{told:?}");
    assert_eq!(told.iter().map(|row| row[1].as_str()).collect::<Vec<_>>(), ["success", "denied", "denied", "success"]);
    // Texts of others in the history are opened, too.
    let openings = "SELECT count(*) FROM system.access.audit WHERE action_name = 'decrypt' AND object_name = 'system.query.history' AND actor = 'admin'";
    let before = client.value(openings).await.unwrap();
    client.rows("SELECT statement_text FROM system.query.history").await.unwrap();
    assert_ne!(client.value(openings).await.unwrap(), before);
}

#[tokio::test]
async fn facets_tell_what_was_touched_without_a_literal() {
    let (client, schema) = in_new_schema(support::server()).await;
    client
        .batch_execute(
            "CREATE TABLE people (id int, email text, city text); ALTER TABLE people ALTER COLUMN email SET TAGS ('pii' = 'email'); \
             CREATE VIEW cities AS SELECT id, email, city FROM people; CREATE TABLE copied (id int, email text); \
             INSERT INTO people VALUES (1, 'a@x', 'here')",
        )
        .await
        .unwrap();
    let name = |text: &str| text.replace('$', &format!("main.{schema}."));
    for (sql, kind, read, written, tags, functions) in [
        ("SELECT city FROM people", "SELECT", "{$people.city}", "{}", "{}", "{}"),
        ("SELECT city FROM people WHERE email LIKE 'a%'", "SELECT", "{$people.city,$people.email}", "{}", "{pii=email}", "{}"),
        ("SELECT upper(c.city) FROM cities c", "SELECT", "{$people.city}", "{}", "{}", "{upper}"),
        (
            "SELECT count(*) FROM people p WHERE EXISTS (SELECT 1 FROM people q WHERE q.email = p.city)",
            "SELECT",
            "{$people.city,$people.email}",
            "{}",
            "{pii=email}",
            "{count}",
        ),
        ("SELECT * FROM people ORDER BY 1", "SELECT", "{$people.city,$people.email,$people.id}", "{}", "{pii=email}", "{}"),
        (
            "INSERT INTO copied SELECT id, email FROM people",
            "INSERT",
            "{$people.email,$people.id}",
            "{$copied.email,$copied.id}",
            "{pii=email}",
            "{}",
        ),
        ("UPDATE people SET city = 'there' WHERE id = 1", "UPDATE", "{$people.id}", "{$people.city}", "{}", "{}"),
        ("DELETE FROM copied WHERE email = 'a@x'", "DELETE", "{$copied.email}", "{}", "{}", "{}"),
    ] {
        let marker = unique("m");
        client.batch_execute(&format!("SET lakegate.query_tags = '{marker}'")).await.unwrap();
        client.batch_execute(sql).await.unwrap();
        client.batch_execute("SET lakegate.query_tags = ''").await.unwrap();
        let shown = format!(
            "SELECT statement_type, columns_read, columns_written, tags_read, functions FROM system.query.history \
             WHERE query_tags ->> 'tags' = '{marker}' AND statement_type <> 'SET' ORDER BY start_time LIMIT 1"
        );
        let rows = client.rows(&shown).await.unwrap();
        assert_eq!(rows, [[kind.to_owned(), name(read), name(written), tags.to_owned(), functions.to_owned()]], "{sql}");
    }
    // Equal statements have one fingerprint, which is no plain hash.
    let prints = format!(
        "SELECT count(DISTINCT statement_fingerprint), min(length(statement_fingerprint)) FROM system.query.history WHERE statement_text LIKE 'SELECT {schema}.%'"
    );
    for value in [1, 2] {
        let _ = client.rows(&format!("SELECT {schema}.x + {value}")).await;
    }
    eventually("both are in the history", Duration::from_secs(5), async || Ok(client.rows(&prints).await? == [["1", "32"]])).await.unwrap();
}
