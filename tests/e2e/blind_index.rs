//! Equality of a literal with those of sealed statements, answered without opening one.

use lakegate_tests::client::Client;
use lakegate_tests::server::{Options, Server};

const NEEDLE: &str = "needle@example.org";

#[tokio::test]
async fn a_literal_is_found_while_the_index_is_on() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&Options::new(directory.path())).unwrap();
    let admin = Client::admin(&server).await.unwrap();
    admin
        .batch_execute(
            "CREATE ROLE hunter LOGIN PASSWORD 'hunter-password'; CREATE ROLE auditor LOGIN PASSWORD 'auditor-password'; \
             GRANT lakegate_read_history TO hunter; GRANT lakegate_read_audit TO auditor",
        )
        .await
        .unwrap();
    let hunter = Client::login(&server, "hunter", "hunter-password", "main").await.unwrap();
    let auditor = Client::login(&server, "auditor", "auditor-password", "main").await.unwrap();
    let search = format!("SELECT count(*)::text FROM lakegate.statements_with_literal('{NEEDLE}')");
    let run = format!("SELECT '{NEEDLE}' AS found, 1 AS n");
    assert_eq!(hunter.sqlstate(&search).await, "22023", "it is off");
    assert_eq!(hunter.sqlstate("CALL lakegate.set_blind_index(true)").await, "42501");
    assert_eq!(admin.sqlstate("CALL lakegate.set_blind_index('yes')").await, "42883");
    admin.rows(&run).await.unwrap();
    admin.batch_execute("CALL lakegate.set_blind_index(true)").await.unwrap();
    admin.rows(&run).await.unwrap();
    admin.query("SELECT $1::text", &[&NEEDLE]).await.unwrap();
    admin.rows(&format!("SELECT 'x{NEEDLE}'")).await.unwrap();
    // By another connection of the same catalog, and by what was a parameter; what only contains it is another literal.
    let found = format!(
        "SELECT h.statement_type, h.executed_by FROM system.query.history AS h \
         JOIN lakegate.statements_with_literal('{NEEDLE}') AS f ON f.statement_id = h.statement_id WHERE h.executed_by = 'admin'"
    );
    assert_eq!(hunter.rows(&found).await.unwrap(), [["SELECT", "admin"], ["SELECT", "admin"]]);
    assert_eq!(auditor.sqlstate(&search).await, "42501");
    let told = "SELECT actor, status, (request_params IS NULL)::text FROM system.access.audit WHERE action_name = 'search_literal' \
                GROUP BY 1, 2, 3 ORDER BY 1, 2";
    let expected = [["auditor", "denied", "true"], ["hunter", "denied", "true"], ["hunter", "success", "true"]];
    assert_eq!(admin.rows(told).await.unwrap(), expected);
    // Destroyed keys of a text take its entries along.
    assert!(hunter.value(&search).await.unwrap().parse::<u64>().unwrap() > 2);
    admin.batch_execute("DESTROY KEYS OF ROLE admin").await.unwrap();
    let left = format!("{found} OR h.executed_by IS NULL");
    assert!(hunter.rows(&left).await.unwrap().is_empty());
    // Off: nothing is left of it; on again it begins anew.
    admin.batch_execute("CALL lakegate.set_blind_index(false)").await.unwrap();
    assert_eq!(hunter.sqlstate(&search).await, "22023");
    admin.batch_execute("CALL lakegate.set_blind_index(true)").await.unwrap();
    admin.rows(&run).await.unwrap();
    assert_eq!(hunter.rows(&found).await.unwrap().len(), 1);
    let set = "SELECT request_params->>'on' FROM system.access.audit WHERE object_type = 'blind index' AND action_name = 'call' \
               AND status = 'success' ORDER BY event_time";
    assert_eq!(admin.rows(set).await.unwrap().concat(), ["∅", "false", "true"], "the first one's key was destroyed");
}

#[tokio::test]
async fn an_erasure_takes_a_subject_out_of_the_index() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&Options::new(directory.path())).unwrap();
    let admin = Client::admin(&server).await.unwrap();
    admin.batch_execute("CALL lakegate.set_blind_index(true)").await.unwrap();
    admin
        .batch_execute(
            "CREATE TABLE people (email text); \
             ALTER TABLE people ALTER COLUMN email SET TAGS ('subject' = 'person')",
        )
        .await
        .unwrap();
    admin.batch_execute(&format!("INSERT INTO people VALUES ('{NEEDLE}'), ('other@example.org')")).await.unwrap();
    admin.batch_execute(&format!("CALL lakegate.erase_subject('person', '{NEEDLE}', reason => 'asked')")).await.unwrap();
    let certificate = "SELECT residuals::text, (document->>'index_entries_removed')::int + (document->>'statements_redacted')::int > 0 \
                       FROM system.privacy.certificates";
    assert_eq!(admin.rows(certificate).await.unwrap(), [["0", "t"]]);
    // The search itself is a statement that holds it.
    let found = format!("SELECT count(*)::text FROM lakegate.statements_with_literal('{NEEDLE}')");
    assert_eq!(admin.value(&found).await.unwrap(), "0");
    assert_eq!(
        admin.value("SELECT (count(*) > 0)::text FROM lakegate.statements_with_literal('other@example.org')").await.unwrap(),
        "false"
    );
}
