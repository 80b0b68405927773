//! Two roles with different privileges see what they may see, in every relation of the catalogs.

use lakegate_tests::client::Client;

use crate::support::{self, unique};

/// Columns by which a relation's rows tell an object's name, with the query that lists them.
#[tokio::test]
async fn every_relation_hides_what_a_role_may_not_see() {
    let server = support::server();
    let admin = Client::admin(server).await.unwrap();
    let (seen, hidden, ann) = (unique("seen"), unique("hidden"), unique("ann"));
    admin
        .batch_execute(&format!(
            "CREATE ROLE {ann} LOGIN PASSWORD 'a-password';
             CREATE SCHEMA {seen}; CREATE SCHEMA {hidden};
             CREATE TABLE {seen}.open (open_id int PRIMARY KEY, open_note text DEFAULT 'open_default', CHECK (open_id > 0));
             CREATE TABLE {seen}.closed_{hidden} (closed_id int PRIMARY KEY, closed_note text DEFAULT 'closed_default', CHECK (closed_id > 1));
             CREATE VIEW {seen}.closed_view_{hidden} AS SELECT closed_id FROM {seen}.closed_{hidden};
             COMMENT ON TABLE {seen}.closed_{hidden} IS 'closed_comment {hidden}';
             COMMENT ON COLUMN {seen}.closed_{hidden}.closed_note IS 'closed_comment {hidden}';
             CREATE TABLE {hidden}.inside (inside_id int PRIMARY KEY);
             GRANT USAGE ON SCHEMA {seen} TO {ann}; GRANT SELECT ON {seen}.open TO {ann};"
        ))
        .await
        .unwrap();
    let client = Client::login(server, &ann, "a-password", "main").await.unwrap();
    let relations = "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('pg_catalog', 'information_schema') AND c.relkind IN ('r', 'v') ORDER BY 1";
    let closed = admin.value(&format!("SELECT '{seen}.closed_{hidden}'::regclass::oid")).await.unwrap();
    let (mut leaks, mut read) = (Vec::new(), 0);
    for relation in admin.rows(relations).await.unwrap() {
        let relation = &relation[0];
        let Ok(rows) = client.rows(&format!("SELECT * FROM {relation}")).await else { continue };
        read += 1;
        // What the role's own statements say is its own.
        for row in rows.iter().filter(|_| !relation.ends_with("pg_stat_activity")) {
            if row
                .iter()
                .any(|cell| cell.contains(&hidden) || *cell == closed || cell.contains("closed_default") || cell.contains("closed_id"))
            {
                leaks.push(format!("{relation}: {}", row.join("|")));
            }
        }
    }
    assert!(read > 150, "only {read} relations could be read");
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    // What it may see is there, and to the administrator everything is.
    for (who, expected) in [(&client, 1), (&admin, 3)] {
        for rows in [
            format!("pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = '{seen}' AND relkind IN ('r', 'v')"),
            format!("information_schema.tables WHERE table_schema = '{seen}'"),
        ] {
            assert_eq!(who.value(&format!("SELECT count(*) FROM {rows}")).await.unwrap(), expected.to_string(), "{rows}");
        }
    }
    assert_eq!(client.value(&format!("SELECT to_regclass('{seen}.closed_{hidden}') IS NULL")).await.unwrap(), "t");
    assert_eq!(client.value(&format!("SELECT pg_get_viewdef({closed}) IS NULL")).await.unwrap(), "t");
    assert_eq!(client.value(&format!("SELECT obj_description({closed}, 'pg_class') IS NULL")).await.unwrap(), "t");
    let privileges = format!(
        "SELECT has_table_privilege('{seen}.open', 'SELECT') || ' ' || has_table_privilege('{seen}.open', 'INSERT') || ' ' ||
                has_schema_privilege('{seen}', 'USAGE') || ' ' || has_schema_privilege('{seen}', 'CREATE') || ' ' ||
                has_any_column_privilege('{seen}.open', 'SELECT') || ' ' || has_column_privilege('{seen}.open', 'open_id', 'UPDATE')"
    );
    assert_eq!(client.value(&privileges).await.unwrap(), "true false true false true false");
    admin.batch_execute(&format!("DROP SCHEMA {seen} CASCADE; DROP SCHEMA {hidden} CASCADE; DROP ROLE {ann}")).await.unwrap();
}
