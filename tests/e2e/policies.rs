//! Policies, masks and tags: what changes while statements are prepared, what masks reach, what denials say.

use lakegate_tests::client::Client;

use crate::support::{self, in_new_schema, unique};

/// An administrator and a restricted role in a new schema with the table `t`, whose column `ssn` is to be hidden.
async fn restricted() -> (Client, Client, String) {
    let server = support::server();
    let (admin, schema) = in_new_schema(server).await;
    let role = unique("r");
    admin
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'p'; GRANT USAGE, CREATE ON SCHEMA {schema} TO {role};
             CREATE TABLE t (id int PRIMARY KEY, owner text, ssn text, amount int CHECK (amount < 1000));
             INSERT INTO t VALUES (1, '{role}', '111-22-3333', 10), (2, 'else', '444-55-6666', 20);
             GRANT SELECT, INSERT, UPDATE, DELETE ON t TO {role}"
        ))
        .await
        .unwrap();
    let user = Client::login(server, &role, "p", "main").await.unwrap();
    user.batch_execute(&format!("SET search_path = {schema}")).await.unwrap();
    (admin, user, role)
}

fn column(rows: &[Vec<String>], at: usize) -> Vec<&str> {
    rows.iter().map(|row| row[at].as_str()).collect()
}

#[tokio::test]
async fn a_policy_holds_for_what_was_prepared_before() {
    let (admin, user, _) = restricted().await;
    let prepared = user.prepare("SELECT id FROM t ORDER BY id").await.unwrap();
    assert_eq!(user.query(&prepared, &[]).await.unwrap().len(), 2);
    admin.batch_execute("ALTER TABLE t ENABLE ROW LEVEL SECURITY").await.unwrap();
    assert_eq!(user.query(&prepared, &[]).await.unwrap().len(), 0, "nothing is permitted yet");
    admin.batch_execute("CREATE POLICY own ON t USING (owner = current_user)").await.unwrap();
    assert_eq!(user.query(&prepared, &[]).await.unwrap().len(), 1);
    admin.batch_execute("ALTER POLICY own ON t USING (owner <> current_user)").await.unwrap();
    let rows = user.query(&prepared, &[]).await.unwrap();
    assert_eq!(rows[0].get::<_, i32>(0), 2);
    admin.batch_execute("ALTER TABLE t ALTER COLUMN id SET MASK (0)").await.unwrap();
    let rows = user.query(&prepared, &[]).await.unwrap();
    assert_eq!(rows[0].get::<_, i32>(0), 0);
    admin.batch_execute("BEGIN; DROP POLICY own ON t; ROLLBACK").await.unwrap();
    assert_eq!(user.query(&prepared, &[]).await.unwrap().len(), 1);
    admin.batch_execute("ALTER TABLE t DISABLE ROW LEVEL SECURITY; ALTER TABLE t ALTER COLUMN id DROP MASK").await.unwrap();
    assert_eq!(user.query(&prepared, &[]).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_mask_is_all_that_anybody_sees() {
    let (admin, user, role) = restricted().await;
    admin.batch_execute("ALTER TABLE t ALTER COLUMN ssn SET MASK ('***-' || right(value, 4))").await.unwrap();
    let masked = ["***-3333", "***-6666"];
    for sql in [
        "SELECT ssn FROM t ORDER BY id",
        "SELECT max(ssn) FROM t GROUP BY id ORDER BY id",
        "SELECT ssn FROM t WHERE ssn LIKE '***%' ORDER BY id",
        "WITH x AS (SELECT * FROM t) SELECT ssn FROM x ORDER BY id",
        "SELECT a.ssn FROM t a JOIN t b ON a.ssn = b.ssn ORDER BY a.id",
        "SELECT ssn FROM t VERSION AS OF 1 ORDER BY id",
        "SELECT DISTINCT ssn FROM t ORDER BY 1",
    ] {
        assert_eq!(column(&user.rows(sql).await.unwrap(), 0), masked, "{sql}");
    }
    assert_eq!(user.rows("SELECT id FROM t WHERE ssn = '111-22-3333'").await.unwrap().len(), 0);
    assert_eq!(user.rows("SELECT id FROM t WHERE ssn ~ '22'").await.unwrap().len(), 0);
    user.batch_execute("CREATE TABLE c AS SELECT id, ssn FROM t; CREATE TABLE d (id int, ssn text); INSERT INTO d SELECT id, ssn FROM t")
        .await
        .unwrap();
    for table in ["c", "d"] {
        assert_eq!(column(&admin.rows(&format!("SELECT ssn FROM {table} ORDER BY id")).await.unwrap(), 0), masked, "{table}");
    }
    user.batch_execute("MERGE INTO d USING t ON d.id = t.id WHEN MATCHED THEN UPDATE SET ssn = t.ssn || '!'").await.unwrap();
    assert_eq!(column(&admin.rows("SELECT ssn FROM d ORDER BY id").await.unwrap(), 0), ["***-3333!", "***-6666!"]);
    // Changes of the table itself read the mask and keep the value.
    let returned = user.rows("UPDATE t SET amount = amount + 1 WHERE id = 1 RETURNING ssn, amount").await.unwrap();
    assert_eq!(returned, [["***-3333", "11"]]);
    assert_eq!(user.rows("DELETE FROM t WHERE id = 2 RETURNING ssn").await.unwrap(), [["***-6666"]]);
    let upsert = format!(
        "INSERT INTO t VALUES (1, '{role}', 'x', 1) ON CONFLICT (id) DO UPDATE SET amount = 12, owner = t.ssn RETURNING ssn, owner"
    );
    assert_eq!(user.rows(&upsert).await.unwrap(), [["***-3333", "***-3333"]]);
    assert_eq!(admin.rows("SELECT ssn, owner, amount FROM t").await.unwrap(), [["111-22-3333", "***-3333", "12"]]);
    user.batch_execute("UPDATE t SET owner = ssn, ssn = ssn").await.unwrap();
    assert_eq!(admin.rows("SELECT ssn, owner FROM t").await.unwrap(), [["***-3333", "***-3333"]]);
    // A failing row is not shown.
    let error = user.batch_execute("UPDATE t SET amount = 5000").await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!((error.code().code(), error.detail()), ("23514", None));
    admin.batch_execute("ALTER TABLE t RENAME COLUMN ssn TO social").await.unwrap();
    assert_eq!(user.rows("SELECT social FROM t").await.unwrap(), [["***-3333"]]);
    assert_eq!(user.sqlstate("SELECT * FROM t VERSION AS OF 1").await, "42501", "under its old name it would show");
    assert_eq!(admin.rows("SELECT ssn FROM t VERSION AS OF 1 WHERE id = 1").await.unwrap(), [["111-22-3333"]]);
}

#[tokio::test]
async fn masks_are_for_roles_and_by_tags() {
    let (admin, user, role) = restricted().await;
    let (policy, group, tag) = (unique("p"), unique("g"), unique("tag"));
    admin.batch_execute(&format!("CREATE ROLE {group}; ALTER TABLE t ALTER COLUMN ssn SET MASK ('hidden') FOR {group}")).await.unwrap();
    assert_eq!(user.value("SELECT ssn FROM t WHERE id = 1").await.unwrap(), "111-22-3333");
    admin.batch_execute(&format!("GRANT {group} TO {role}")).await.unwrap();
    assert_eq!(user.value("SELECT ssn FROM t WHERE id = 1").await.unwrap(), "hidden");
    admin
        .batch_execute(&format!(
            "ALTER TABLE t ALTER COLUMN ssn DROP MASK; ALTER TABLE t ALTER COLUMN ssn SET TAGS ('{tag}' = 'ssn');
             CREATE MASKING POLICY {policy} ON TAG ('{tag}' = 'ssn') AS (left(value, 1) || '…')"
        ))
        .await
        .unwrap();
    assert_eq!(user.value("SELECT ssn FROM t WHERE id = 1").await.unwrap(), "1…");
    // A second mask is over the first: nobody sees more by it.
    admin.batch_execute("ALTER TABLE t ALTER COLUMN ssn SET MASK ('x' || value)").await.unwrap();
    assert_eq!(user.value("SELECT ssn FROM t WHERE id = 1").await.unwrap(), "x…");
    let shown = format!("SELECT mask_name FROM system.information_schema.column_masks WHERE tag_name = '{tag}'");
    assert_eq!(user.rows(&shown).await.unwrap(), [[policy.as_str()]]);
    admin
        .batch_execute(&format!("ALTER TABLE t ALTER COLUMN ssn DROP MASK; ALTER TABLE t ALTER COLUMN ssn UNSET TAGS ('{tag}')"))
        .await
        .unwrap();
    assert_eq!(user.value("SELECT ssn FROM t WHERE id = 1").await.unwrap(), "111-22-3333");
    admin.batch_execute(&format!("DROP MASKING POLICY {policy}")).await.unwrap();
    for sql in [
        "ALTER TABLE t ALTER COLUMN no_such SET MASK ('x')",
        "ALTER TABLE t ALTER COLUMN ssn SET MASK (no_such)",
        "ALTER TABLE t ALTER COLUMN amount SET MASK (ARRAY[1])",
        "ALTER TABLE t ALTER COLUMN ssn SET MASK (max(ssn))",
        "ALTER TABLE t ALTER COLUMN ssn SET MASK ('x') FOR no_such_role",
        "DROP MASKING POLICY no_such",
    ] {
        assert_ne!(admin.sqlstate(sql).await, "00000", "{sql}");
    }
    assert_eq!(user.sqlstate("ALTER TABLE t ALTER COLUMN ssn SET TAGS ('a' = 'b')").await, "42501");
    assert_eq!(user.sqlstate("ALTER TABLE t ALTER COLUMN ssn DROP MASK").await, "42501");
    assert_eq!(user.sqlstate(&format!("CREATE MASKING POLICY {policy} ON TAG ('a') AS ('x')")).await, "42501");
}

/// A tag on a column of a view binds a masking policy over what the view gives.
#[tokio::test]
async fn views_are_masked_by_tags() {
    let (admin, user, role) = restricted().await;
    let tag = unique("tag");
    admin
        .batch_execute(&format!(
            "CREATE VIEW v AS SELECT id, ssn FROM t; CREATE VIEW outside AS SELECT * FROM v; GRANT SELECT ON v, outside TO {role};
             ALTER VIEW v ALTER COLUMN ssn SET TAGS ('{tag}' = 'x')"
        ))
        .await
        .unwrap();
    let prepared = user.prepare("SELECT ssn FROM v ORDER BY id").await.unwrap();
    assert_eq!(user.query(&prepared, &[]).await.unwrap()[0].get::<_, &str>(0), "111-22-3333");
    admin
        .batch_execute(&format!("CREATE MASKING POLICY {tag} ON TAG ('{tag}') AS (id || ':' || right(value, 4)) FOR {role}"))
        .await
        .unwrap();
    assert_eq!(user.query(&prepared, &[]).await.unwrap()[0].get::<_, &str>(0), "1:3333");
    assert_eq!(user.value("SELECT max(ssn) FROM v").await.unwrap(), "2:6666");
    assert_eq!(user.value("SELECT count(*) FROM v WHERE ssn LIKE '111%'").await.unwrap(), "0");
    assert_eq!(user.value("SELECT count(*) FROM v JOIN t ON t.ssn = v.ssn").await.unwrap(), "0");
    assert_eq!(user.value("SELECT max(ssn) FROM outside").await.unwrap(), "444-55-6666", "a view shows what its owner sees");
    assert_eq!(admin.value("SELECT max(ssn) FROM v").await.unwrap(), "444-55-6666");
    admin.batch_execute(&format!("CREATE OR REPLACE VIEW v AS SELECT id, ssn, 1 AS one FROM t; CREATE MASKING POLICY {tag}_2 ON TAG ('{tag}') AS ((SELECT min(ssn) FROM v))")).await.unwrap();
    assert_eq!(user.sqlstate("SELECT ssn FROM v").await, "42P17", "a mask that needs itself");
    admin.batch_execute(&format!("DROP MASKING POLICY {tag}_2; DROP MASKING POLICY {tag}")).await.unwrap();
    assert_eq!(user.value("SELECT max(ssn) FROM v").await.unwrap(), "444-55-6666");
}

/// What a condition sees that fails for a row which the view leaves out.
#[tokio::test]
async fn a_security_barrier_keeps_conditions_out() {
    let (admin, user, role) = restricted().await;
    admin
        .batch_execute(&format!(
            "CREATE VIEW shut WITH (security_barrier = true) AS SELECT id, amount FROM t WHERE id = 1; GRANT SELECT ON shut TO {role}"
        ))
        .await
        .unwrap();
    assert_eq!(user.sqlstate("SELECT count(*) FROM shut WHERE 1 / (amount - 20) < 1 AND amount < 1000").await, "00000");
    assert_eq!(user.value("SELECT sum(amount) FROM shut").await.unwrap(), "10");
    let is_barrier =
        async || user.rows("EXPLAIN SELECT * FROM shut WHERE id = 1").await.unwrap().iter().any(|row| row[0].contains("on shut"));
    assert!(is_barrier().await);
    let options = "SELECT reloptions::text FROM pg_class WHERE oid = 'shut'::regclass";
    assert_eq!(user.value(options).await.unwrap(), "{security_barrier=true}");
    admin.batch_execute("ALTER VIEW shut SET (security_barrier = false)").await.unwrap();
    assert_eq!(user.value(options).await.unwrap(), "{security_barrier=false}");
    assert!(!is_barrier().await);
}

#[tokio::test]
async fn tags_are_part_of_the_transaction_and_follow_names() {
    let (admin, user, _) = restricted().await;
    let schema = admin.value("SELECT current_schema()").await.unwrap();
    let tags = format!(
        "SELECT table_name, column_name, tag_name, tag_value FROM system.information_schema.column_tags WHERE schema_name = '{schema}' ORDER BY 2, 3"
    );
    admin.batch_execute("BEGIN; ALTER TABLE t ALTER COLUMN ssn SET TAGS ('pii' = 'ssn'); ROLLBACK").await.unwrap();
    assert!(admin.rows(&tags).await.unwrap().is_empty());
    admin.batch_execute("ALTER TABLE t ALTER COLUMN ssn SET TAGS ('pii' = 'ssn', 'seen')").await.unwrap();
    admin.batch_execute("ALTER TABLE t RENAME COLUMN ssn TO social; ALTER TABLE t RENAME TO u").await.unwrap();
    assert_eq!(admin.rows(&tags).await.unwrap(), [["u", "social", "pii", "ssn"], ["u", "social", "seen", ""]]);
    assert_eq!(user.rows(&tags).await.unwrap().len(), 2);
    let stranger = unique("s");
    admin.batch_execute(&format!("CREATE ROLE {stranger} LOGIN PASSWORD 'p'")).await.unwrap();
    let stranger = Client::login(support::server(), &stranger, "p", "main").await.unwrap();
    assert!(stranger.rows(&tags).await.unwrap().is_empty(), "tags of what it may not see");
    admin.batch_execute("ALTER TABLE u ALTER COLUMN social UNSET TAGS ('seen'); ALTER TABLE u DROP COLUMN social").await.unwrap();
    assert!(admin.rows(&tags).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_denial_says_what_lacks_and_names_nothing_unknown() {
    let (admin, user, role) = restricted().await;
    let denied = async |sql: &str| {
        let error = user.batch_execute(sql).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        (error.code().code().to_owned(), error.message().to_owned(), text(error.detail()), text(error.hint()))
    };
    admin
        .batch_execute(&format!(
            "REVOKE DELETE ON t FROM {role}; CREATE TABLE unknown_to_it (who text); ALTER TABLE t ENABLE ROW LEVEL SECURITY"
        ))
        .await
        .unwrap();
    let schema = admin.value("SELECT current_schema()").await.unwrap();
    let (code, message, detail, hint) = denied("DELETE FROM t").await;
    assert_eq!((code.as_str(), message.as_str()), ("42501", "permission denied for table t"));
    assert_eq!(detail, format!("Role \"{role}\" lacks the privilege DELETE."));
    assert!(hint.ends_with(&format!("GRANT DELETE ON TABLE {schema}.t TO {role};")), "{hint}");
    admin
        .batch_execute(
            "CREATE POLICY mapped ON t FOR SELECT USING (EXISTS (SELECT 1 FROM unknown_to_it u WHERE u.who = t.owner));
             CREATE POLICY low ON t AS RESTRICTIVE FOR INSERT WITH CHECK (amount < 100);
             CREATE POLICY own ON t FOR INSERT WITH CHECK (owner = current_user)",
        )
        .await
        .unwrap();
    let (code, message, detail, hint) = denied("SELECT * FROM t").await;
    assert_eq!(code, "42501");
    assert!(detail.contains("\"mapped\"") && ![message, detail, hint].concat().contains("unknown_to_it"));
    let (code, message, detail, _) = denied(&format!("INSERT INTO t VALUES (3, '{role}', 'x', 200)")).await;
    assert_eq!((code.as_str(), message.as_str()), ("42501", "new row violates row-level security policy \"low\" for table \"t\""));
    assert!(detail.contains("\"low\""), "{detail}");
    let (_, message, ..) = denied("INSERT INTO t VALUES (3, 'else', 'x', 2)").await;
    assert_eq!(message, "new row violates row-level security policy for table \"t\"");
    let (code, message, ..) = denied("COPY t FROM STDIN").await;
    assert_eq!((code.as_str(), message.as_str()), ("0A000", "COPY FROM not supported with row-level security"));
    admin.batch_execute(&format!("CREATE VIEW v AS SELECT who FROM unknown_to_it; GRANT SELECT ON v TO {role}")).await.unwrap();
    let owner = unique("o");
    admin
        .batch_execute(&format!("CREATE ROLE {owner}; GRANT USAGE, CREATE ON SCHEMA {schema} TO {owner}; ALTER VIEW v OWNER TO {owner}"))
        .await
        .unwrap();
    let (code, message, detail, hint) = denied("SELECT * FROM v").await;
    assert_eq!(code, "42501");
    assert!(![message, detail, hint].concat().contains("unknown_to_it"));
}

#[tokio::test]
async fn a_policy_prunes_files_and_the_statement_s_own_conditions_do_not_tell_of_others() {
    let (admin, user, _) = restricted().await;
    admin.batch_execute("ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (owner = current_user)").await.unwrap();
    let plan = |rows: Vec<Vec<String>>| rows.concat().join("\n");
    for sql in ["SELECT * FROM t WHERE amount = 20", "SELECT * FROM t WHERE amount > 100 / (id - 2)", "SELECT count(*) FROM t"] {
        let shown = plan(user.rows(&format!("EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) {sql}")).await.unwrap());
        assert!(shown.contains("Policies: applied"), "{shown}");
        assert!(!shown.contains("Files") && !shown.contains("Statistics"), "{shown}");
    }
    // The hidden row would divide by zero.
    assert_eq!(user.value("SELECT count(*) FROM t WHERE 100 / (id - 2) < 0").await.unwrap(), "1");
    assert_eq!(user.value("SELECT 100 / (sum(id) - 2) FROM t").await.unwrap(), "-100");
    let history =
        user.rows("SELECT read_rows, read_files FROM system.query.history WHERE statement_text LIKE '%sum(id)%' LIMIT 1").await.unwrap();
    assert!(history.iter().flatten().all(|value| value == "0" || value.is_empty()), "{history:?}");
}
