//! Data subjects: found, exported, erased.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use lakegate_tests::client::{Client, sqlstate_of};
use lakegate_tests::fault_proxy::{Fault, FaultProxy};
use lakegate_tests::server::{Options, Server, binary};
use lakegate_tests::tools::{eventually, python};
use tokio::task::JoinSet;

use crate::definitions::folder_of;
use crate::gateways;
use crate::support::{self, in_new_schema, unique};

/// A server of their own: maps look at all tables, and other tests' come and go.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(new_server)
}

pub fn new_server() -> Server {
    let folder = tempfile::Builder::new().prefix("lakegate-subjects-").tempdir().unwrap().keep();
    let mut options = Options::new(&folder.join("data"));
    options.remove_at_end = Some(folder);
    Server::start(&options).unwrap()
}

/// Tables with two people, 42 and 43 of a kind of their own, in a new schema.
pub async fn people(server: &Server) -> (Client, String, String) {
    let (admin, schema) = in_new_schema(server).await;
    let kind = unique("kind");
    admin
        .batch_execute(&format!(
            "CREATE TABLE customers (id int PRIMARY KEY, email text, name text);
             CREATE TABLE orders (order_id bigint, customer_id int REFERENCES customers (id), total numeric(10, 2));
             CREATE TABLE items (order_id bigint, product text);
             INSERT INTO customers VALUES (42, 'ann@example.com', 'Ann'), (43, 'bob@example.com', 'Bob');
             INSERT INTO orders VALUES (1, 42, 9.5), (2, 43, 1.5), (3, 42, 2);
             INSERT INTO items VALUES (1, 'a'), (1, 'b'), (2, 'c'), (3, 'd');
             ALTER TABLE customers ALTER COLUMN id SET TAGS ('subject' = '{kind}');
             ALTER TABLE orders ALTER COLUMN customer_id SET TAGS ('subject' = 'other, {kind}');
             ALTER TABLE items ALTER COLUMN order_id SET TAGS ('subject_via' = 'orders.order_id')"
        ))
        .await
        .unwrap();
    (admin, schema, kind)
}

async fn located(client: &Client, kind: &str, identifier: &str) -> Vec<String> {
    let sql = format!("SELECT table_name || ' ' || row_count FROM lakegate.locate_subject('{kind}', '{identifier}') ORDER BY 1");
    client.rows(&sql).await.unwrap().into_iter().map(|mut row| row.remove(0)).collect()
}

#[tokio::test]
async fn a_person_is_found_through_other_tables() {
    let (admin, schema, kind) = people(server()).await;
    assert_eq!(located(&admin, &kind, "42").await, ["customers 1", "items 3", "orders 2"]);
    assert_eq!(located(&admin, &kind, "ann@example.com").await, ["customers 0", "items 0", "orders 0"]);
    admin.batch_execute(&format!("ALTER TABLE customers ALTER COLUMN email SET TAGS ('subject' = '{kind}')")).await.unwrap();
    assert_eq!(located(&admin, &kind, "ann@example.com").await, ["customers 1", "items 0", "orders 0"]);
    let map = admin
        .rows(&format!(
            "SELECT table_name || '.' || column_name, status, found_by FROM lakegate.subject_map('{kind}') WHERE table_schema = '{schema}' ORDER BY 1"
        ))
        .await
        .unwrap();
    let via = format!("subject_via main.{schema}.orders.order_id");
    let expected = [
        ["customers.email", "covered", "tag subject"],
        ["customers.id", "covered", "tag subject"],
        ["items.order_id", "covered", &via],
        ["orders.customer_id", "covered", "tag subject"],
    ];
    assert_eq!(map, expected);
}

#[tokio::test]
async fn columns_that_look_like_people_are_told() {
    let (admin, schema, kind) = people(server()).await;
    admin
        .batch_execute(&format!(
            "CREATE TABLE notes (who text, about text, {kind}_id int);
             INSERT INTO notes VALUES ('ann@example.com', 'the weather', 1), ('bob@example.com', 'x@y', 2);
             CREATE TABLE returns (customer int REFERENCES customers (id))"
        ))
        .await
        .unwrap();
    let suspects = admin
        .rows(&format!(
            "SELECT table_name || '.' || column_name, found_by FROM lakegate.subject_map('{kind}')
             WHERE status = 'suspected' AND table_schema = '{schema}' ORDER BY 1"
        ))
        .await
        .unwrap();
    let foreign = format!("foreign key to main.{schema}.customers");
    let named = format!("notes.{kind}_id");
    let expected =
        [["customers.email", "name"], [&named, "name"], ["notes.who", "content: e-mail addresses"], ["returns.customer", &foreign]];
    assert_eq!(suspects, expected);
}

#[tokio::test]
async fn who_looks_for_people_needs_the_role_and_the_privileges() {
    let (admin, schema, kind) = people(server()).await;
    let role = unique("dpo");
    admin.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'p'; GRANT USAGE ON SCHEMA {schema} TO {role}")).await.unwrap();
    let officer = Client::login(server(), &role, "p", "main").await.unwrap();
    let sql = format!("SELECT sum(row_count) FROM lakegate.locate_subject('{kind}', '42')");
    assert_eq!(officer.rows(&sql).await.unwrap_err().code().unwrap().code(), "42501");
    admin.batch_execute(&format!("GRANT lakegate_privacy TO {role}; GRANT SELECT ON customers, orders TO {role}")).await.unwrap();
    assert_eq!(officer.rows(&sql).await.unwrap_err().code().unwrap().code(), "42501", "one table of the map is closed");
    admin
        .batch_execute(&format!(
            "GRANT SELECT ON items TO {role}; ALTER TABLE customers ALTER COLUMN id SET MASK (0);
             ALTER TABLE orders ENABLE ROW LEVEL SECURITY"
        ))
        .await
        .unwrap();
    assert_eq!(officer.rows(&sql).await.unwrap(), [["6"]], "neither masks nor row policies hide the person");
    let texts = officer.rows("SELECT statement_text FROM system.query.history WHERE statement_text LIKE '%locate_subject%'").await.unwrap();
    assert!(!texts.is_empty() && texts.iter().all(|row| row[0].contains("'<subject>'") && !row[0].contains("42")), "{texts:?}");
    let audited = format!("SELECT count(*) > 0 FROM system.access.audit WHERE service_name = 'privacy' AND object_name = '{kind}'");
    assert_eq!(admin.rows(&audited).await.unwrap(), [["t"]]);
}

#[tokio::test]
async fn tags_that_lead_nowhere_are_refused() {
    let own = new_server();
    let (admin, _, kind) = people(&own).await;
    let sql = format!("SELECT * FROM lakegate.locate_subject('{kind}', '42')");
    for (tags, code) in [
        ("'subject_via' = 'nothing.at_all'", "55000"),
        ("'subject_via' = 'items.order_id'", "55000"),
        ("'subject_via' = 'orders.nothing'", "55000"),
    ] {
        admin.batch_execute(&format!("ALTER TABLE orders ALTER COLUMN order_id SET TAGS ({tags})")).await.unwrap();
        assert_eq!(admin.rows(&sql).await.unwrap_err().code().unwrap().code(), code, "{tags}");
        admin.batch_execute("ALTER TABLE orders ALTER COLUMN order_id UNSET TAGS ('subject_via')").await.unwrap();
    }
    assert_eq!(admin.rows("SELECT * FROM lakegate.locate_subject('nobody knows', '1')").await.unwrap_err().code().unwrap().code(), "42704");
}

pub const VICTIM: &str = "ann.victim@example.com";

/// Tables that hold the victim in every way that SQL has, and a hundred others.
pub async fn hidden(admin: &Client) {
    each(
        admin,
        &format!(
            "CREATE TABLE people (id int, email text, name text);
             CREATE TABLE orders (order_id bigint, customer_id int, total numeric(10, 2)) TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true');
             CREATE TABLE items (order_id bigint, product text);
             CREATE TABLE parts (email text, n int) PARTITIONED BY (email);
             CREATE TABLE prefs (email text, theme text, phone text);
             CREATE MATERIALIZED VIEW seen AS SELECT p.email, count(*) AS n FROM people p JOIN orders o ON o.customer_id = p.id GROUP BY 1;
             INSERT INTO people SELECT g, 'user' || g || '@example.com', 'N' || g FROM generate_series(1, 100) g;
             INSERT INTO people VALUES (777123, '{VICTIM}', 'Ann');
             INSERT INTO orders SELECT g, g, 1.5 FROM generate_series(1, 100) g;
             INSERT INTO orders VALUES (5001, 777123, 9.5), (5003, 777123, 2);
             INSERT INTO items VALUES (5001, 'a'), (2, 'c'), (5003, 'd');
             INSERT INTO parts VALUES ('{VICTIM}', 1), ('bob@example.com', 2);
             INSERT INTO prefs VALUES ('{VICTIM}', 'dark', '1'), ('bob@example.com', 'light', '2');
             REFRESH MATERIALIZED VIEW seen;
             UPDATE people SET name = 'Ann V' WHERE email = '{VICTIM}';
             DELETE FROM people WHERE email IN ('user7@example.com', 'nobody {VICTIM}');
             UPDATE orders SET total = 3 WHERE customer_id = 777123;
             REFRESH MATERIALIZED VIEW seen;
             ALTER TABLE people ALTER COLUMN id SET TAGS ('subject' = 'person');
             ALTER TABLE people ALTER COLUMN email SET TAGS ('subject' = 'person');
             ALTER TABLE orders ALTER COLUMN customer_id SET TAGS ('subject' = 'person');
             ALTER TABLE items ALTER COLUMN order_id SET TAGS ('subject_via' = 'orders.order_id');
             ALTER TABLE parts ALTER COLUMN email SET TAGS ('subject' = 'person');
             ALTER TABLE prefs ALTER COLUMN email SET TAGS ('subject' = 'person', 'erase' = 'replace:erased');
             ALTER TABLE prefs ALTER COLUMN phone SET TAGS ('erase' = 'null')"
        ),
    )
    .await;
}

/// Statements, each a transaction of its own.
pub async fn each(admin: &Client, statements: &str) {
    for statement in statements.split(';').filter(|statement| !statement.trim().is_empty()) {
        admin.batch_execute(statement).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }
}

/// Everybody else's rows.
pub async fn others(admin: &Client) -> String {
    admin
        .value(&format!(
            "SELECT md5(string_agg(line, '|' ORDER BY line)) FROM (
               SELECT id || email || name AS line FROM people WHERE email <> '{VICTIM}'
               UNION ALL SELECT order_id || ' ' || customer_id || ' ' || total FROM orders WHERE customer_id <> 777123
               UNION ALL SELECT order_id || product FROM items WHERE order_id < 5000
               UNION ALL SELECT email || n FROM parts WHERE email <> '{VICTIM}'
               UNION ALL SELECT email || theme || phone FROM prefs WHERE email = 'bob@example.com'
               UNION ALL SELECT email || n FROM seen WHERE email <> '{VICTIM}') q"
        ))
        .await
        .unwrap()
}

pub fn erase_sql() -> String {
    format!("CALL lakegate.erase_subjects('person', ARRAY['777123', '{VICTIM}'], reason => 'DSR 17', wait_seconds => 20)")
}

pub async fn certificate(admin: &Client) -> serde_json::Value {
    let text = admin.value("SELECT file FROM system.privacy.certificates ORDER BY issued_time DESC LIMIT 1").await.unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Lines of the outside program: none with FOUND.
pub fn seek(folder: &Path) -> Vec<String> {
    let lines = python("seek_subject.py", &[&folder.display().to_string(), VICTIM], &[]).unwrap();
    lines.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hide_and_seek() {
    let mut server = new_server();
    let admin = Client::admin(&server).await.unwrap();
    hidden(&admin).await;
    let people = folder_of(&server, "people");
    python("hide_subject.py", &[&people.display().to_string(), "777123", VICTIM], &[]).unwrap();
    let exports = tempfile::tempdir().unwrap();
    let place = exports.path().display();
    each(
        &admin,
        &format!(
            "CREATE EXTERNAL LOCATION out URL '{place}'; CALL lakegate.export_subject('person', '777123', '{place}');
             SELECT lakegate.export_subject('person', '{VICTIM}', '{place}')"
        ),
    )
    .await;
    assert!(seek(&server.data_dir).iter().filter(|line| line.starts_with("FOUND")).count() > 10, "the person is not hidden well");
    let before = others(&admin).await;
    let dry = admin.rows(&erase_sql().replace("reason", "dry_run => true, reason")).await.unwrap();
    assert_eq!(others(&admin).await, before);
    assert!(dry.iter().any(|row| row[1].ends_with(".people") && row[3] == "1"), "{dry:?}");

    // They are in the caches of columns and of rows, too.
    let asked = format!("SELECT count(*), max(name) FROM people WHERE email = '{VICTIM}'");
    let in_memory = async || {
        let lines = admin.rows("EXPLAIN (ANALYZE) SELECT id, email, name FROM people").await.unwrap();
        lines.iter().any(|line| line[0].contains("Bytes in Memory"))
    };
    for _ in 0..4 {
        assert_ne!(admin.rows(&asked).await.unwrap()[0][0], "0");
        admin.rows("SELECT id, email, name FROM people").await.unwrap();
    }
    assert!(in_memory().await, "the columns are decoded anew each time");

    let done = admin.rows(&erase_sql()).await.unwrap();
    assert_eq!(done.last().unwrap()[2], "erased", "{done:?}\n{}", certificate(&admin).await);
    assert!(!in_memory().await, "columns of files that are gone are still in memory");
    // Asked without naming them: the log would keep the question.
    let left = admin.rows("SELECT id, email, name FROM people").await.unwrap();
    assert!(left.iter().flatten().all(|value| !value.contains(VICTIM)), "{left:?}");
    assert_eq!(others(&admin).await, before);
    let found = seek(&server.data_dir);
    assert!(found.iter().all(|line| !line.starts_with("FOUND")), "{found:#?}");
    assert!(seek(exports.path()).is_empty(), "exports are gone");
    // What is left reads as it should, by others too.
    assert!(found.iter().any(|line| line.starts_with("people ") && line.contains(" 101 ")), "{found:#?}");
    assert_eq!(
        admin.rows("SELECT email, theme, phone FROM prefs ORDER BY 1").await.unwrap(),
        [["bob@example.com", "light", "2"], ["erased", "dark", "∅"]]
    );
    assert_eq!(admin.sqlstate("SELECT * FROM people VERSION AS OF 2").await, "58P01");
    let error = admin.rows("SELECT * FROM people VERSION AS OF 2").await.unwrap_err();
    let request = admin.value("SELECT request_id FROM system.privacy.requests WHERE action = 'erase'").await.unwrap();
    assert!(error.as_db_error().unwrap().message().contains(&request), "{error:?}");
    assert_eq!(sqlstate_of(&admin.rows("SELECT * FROM table_changes('orders', 1, 3)").await.unwrap_err()), "58P01");
    each(&admin, "INSERT INTO people VALUES (1, 'new@example.com', 'n'); UPDATE orders SET total = 4 WHERE order_id = 5").await;
    assert_eq!(admin.value("SELECT count(*) FROM people VERSION AS OF 0").await.unwrap(), "0");
    // Neither the logs nor the request know whom it was about.
    // What was asked after the erasure names them: `others` does.
    let naming = admin
        .rows(&format!(
            "SELECT statement_text, error_message FROM system.query.history \
             WHERE (statement_text LIKE '%{VICTIM}%' OR error_message LIKE '%{VICTIM}%') \
             AND start_time < (SELECT max(issued_time) FROM system.privacy.certificates)"
        ))
        .await
        .unwrap();
    assert!(naming.is_empty(), "{naming:?}");
    let requests = admin
        .rows("SELECT state, tables_done = tables_total, subject_digest, is_late FROM system.privacy.requests WHERE action = 'erase'")
        .await
        .unwrap();
    assert_eq!((requests[0][0].as_str(), requests[0][1].as_str(), requests[0][3].as_str()), ("erased", "t", "f"));
    // The logs are whole, although texts went.
    server.process.signal("TERM").unwrap();
    server.process.wait(Duration::from_secs(60)).unwrap();
    let mut verify = Command::new(binary().unwrap());
    let output = verify.args(["admin", "--data-dir"]).arg(&server.data_dir).args(["log", "verify"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_verified_offline() {
    let server = new_server();
    let admin = Client::admin(&server).await.unwrap();
    hidden(&admin).await;
    admin.batch_execute(&erase_sql()).await.unwrap();
    let file = certificate(&admin).await;
    assert!(!file.to_string().contains("ann.victim"), "{file}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("certificate.json");
    let verify = |text: String, key: Option<&str>| {
        std::fs::write(&path, text).unwrap();
        let mut command = Command::new(binary().unwrap());
        command.args(["admin", "certificate", "verify"]).arg(&path);
        if let Some(key) = key {
            command.args(["--key", key]);
        }
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    };
    let (good, said) = verify(file.to_string(), None);
    assert!(good && said.contains("the signature is good; 0 residuals"), "{said}");
    assert!(verify(file.to_string(), file["public_key"].as_str()).0);
    assert!(!verify(file.to_string(), Some("AAAA")).0, "another key");
    let document = file["document"].as_str().unwrap().replace("\"reason\":\"DSR 17\"", "\"reason\":\"DSR 18\"");
    let mut forged = file.clone();
    forged["document"] = document.into();
    assert_ne!(forged, file);
    assert!(!verify(forged.to_string(), None).0, "another document");
    let mut moved = file.clone();
    moved["inclusion"]["record"]["object_name"] = "another".into();
    assert!(!verify(moved.to_string(), None).0, "another record of the log");
    assert!(!verify("{}".to_owned(), None).0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_is_told() {
    let server = new_server();
    let admin = Client::admin(&server).await.unwrap();
    hidden(&admin).await;
    // A text that no tag covers, a file that is no part of the table, and the definition of a view.
    admin
        .batch_execute(&format!(
            "INSERT INTO items VALUES (2, 'gift for {VICTIM}'); CREATE VIEW v AS SELECT * FROM people WHERE email = '{VICTIM}'"
        ))
        .await
        .unwrap();
    std::fs::write(folder_of(&server, "people").join("notes.txt"), format!("call {}", VICTIM.to_uppercase())).unwrap();
    let done = admin.rows(&erase_sql()).await.unwrap();
    assert_eq!(done.last().unwrap()[2], "erased with residuals");
    let document: serde_json::Value = serde_json::from_str(certificate(&admin).await["document"].as_str().unwrap()).unwrap();
    let residuals = document["residuals"].to_string();
    for told in ["notes.txt", "product", "relations", "document"] {
        assert!(residuals.contains(told), "{told}: {residuals}");
    }
    assert!(!residuals.contains("ann.victim"), "{residuals}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_in_the_way_is_told_before_anything_is_erased() {
    let server = new_server();
    let admin = Client::admin(&server).await.unwrap();
    hidden(&admin).await;
    let before = admin.value("SELECT sum(row_count) FROM lakegate.locate_subject('person', '777123')").await.unwrap();
    for (hinder, help, code) in [
        ("ALTER TABLE parts SET TAGS ('legal_hold' = 'true')", "ALTER TABLE parts UNSET TAGS ('legal_hold')", "55000"),
        ("ALTER SCHEMA public SET TAGS ('legal_hold' = 'true')", "ALTER SCHEMA public UNSET TAGS ('legal_hold')", "55000"),
        (
            "ALTER TABLE people ALTER COLUMN name SET TAGS ('erase' = 'null')",
            "ALTER TABLE people ALTER COLUMN name UNSET TAGS ('erase')",
            "55000",
        ),
        (
            "ALTER TABLE items SET TBLPROPERTIES ('delta.appendOnly' = 'true')",
            "ALTER TABLE items UNSET TBLPROPERTIES ('delta.appendOnly')",
            "0A000",
        ),
    ] {
        admin.batch_execute(hinder).await.unwrap();
        assert_eq!(admin.sqlstate(&erase_sql()).await, code, "{hinder}");
        admin.batch_execute(help).await.unwrap();
    }
    assert_eq!(admin.sqlstate(&erase_sql().replace("DSR 17", "")).await, "22023");
    assert_eq!(admin.sqlstate(&erase_sql().replace("DSR 17", &format!("asked by {VICTIM}"))).await, "22023");
    assert_eq!(admin.sqlstate(&format!("BEGIN; {}", erase_sql())).await, "25001");
    admin.batch_execute("ROLLBACK").await.unwrap();
    let now = admin.value("SELECT sum(row_count) FROM lakegate.locate_subject('person', '777123')").await.unwrap();
    assert_eq!(now, before);
    assert_eq!(admin.value("SELECT count(*) FROM system.privacy.requests").await.unwrap(), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_readers_are_waited_for() {
    let server = new_server();
    let (admin, reader) = (Client::admin(&server).await.unwrap(), Client::admin(&server).await.unwrap());
    hidden(&admin).await;
    reader.batch_execute("BEGIN; SELECT count(*) FROM people").await.unwrap();
    let sql = erase_sql().replace("wait_seconds => 20", "wait_seconds => 1");
    assert_eq!(admin.sqlstate(&sql).await, "55P03");
    let request = admin.rows("SELECT request_id, state FROM system.privacy.requests").await.unwrap();
    assert_eq!(request[0][1], "waiting for readers");
    // It goes on reading what it began with; the others do not see the person any more.
    assert_eq!(reader.value("SELECT count(*) FROM people").await.unwrap(), "100");
    assert_eq!(admin.value("SELECT count(*) FROM people").await.unwrap(), "99");
    reader.batch_execute("COMMIT").await.unwrap();
    let done = admin.rows(&format!("CALL lakegate.resume_erasure('{}')", request[0][0])).await.unwrap();
    assert_eq!(done.last().unwrap()[2], "erased");
    assert!(seek(&server.data_dir).iter().all(|line| !line.starts_with("FOUND")));
    assert_eq!(admin.sqlstate(&format!("CALL lakegate.resume_erasure('{}')", request[0][0])).await, "55000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_anywhere_is_gone_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new(&folder.path().join("data"));
    let mut server = Server::start(&options).unwrap();
    let admin = Client::admin(&server).await.unwrap();
    hidden(&admin).await;
    let before = others(&admin).await;
    let mut states = Vec::new();
    for delay in [5, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 700] {
        let admin = Client::admin(&server).await.unwrap();
        let mut calls = JoinSet::new();
        calls.spawn(async move { admin.rows(&erase_sql()).await.map(|rows| rows.last().unwrap()[2].clone()) });
        tokio::time::sleep(Duration::from_millis(delay)).await;
        server.process.signal("KILL").unwrap();
        server.process.wait(Duration::from_secs(10)).unwrap();
        let _ = calls.join_next().await;
        server = Server::start(&options).unwrap();
        let admin = Client::admin(&server).await.unwrap();
        assert_eq!(others(&admin).await, before, "killed after {delay} ms");
        let state = admin.rows("SELECT state FROM system.privacy.requests ORDER BY requested_time DESC LIMIT 1").await.unwrap();
        states.extend(state.into_iter().map(|mut row| row.remove(0)));
        if states.last().is_some_and(|state| state == "erased") {
            break;
        }
    }
    // Nobody asks for it again: the server goes on by itself.
    let admin = Client::admin(&server).await.unwrap();
    let open = "SELECT count(*) FROM system.privacy.requests WHERE state <> 'erased'";
    eventually("the server has gone on", Duration::from_secs(90), async || Ok(admin.value(open).await? == "0")).await.unwrap();
    assert_eq!(others(&admin).await, before);
    let found = seek(&server.data_dir);
    assert!(found.iter().all(|line| !line.starts_with("FOUND")), "{states:?} {found:#?}");
}

/// Every object of a bucket's warehouse: path and bytes.
fn objects(bucket: &str) -> Vec<(String, Vec<u8>)> {
    let store = support::s3();
    let (mut found, mut open) = (Vec::new(), vec!["wh".to_owned()]);
    while let Some(folder) = open.pop() {
        for name in store.list(bucket, &folder).unwrap() {
            let path = format!("{folder}/{name}");
            // A version lies in a folder that is named for its object.
            let is_object = ["v_", "_lakegate_probe_", "_lakegate_check_"].iter().any(|start| name.starts_with(start))
                || [".parquet", ".json", ".bin", ".crc", "_last_checkpoint"].iter().any(|end| name.ends_with(end));
            if is_object {
                found.push((path.clone(), store.read(bucket, &path).unwrap_or_default()));
            } else {
                open.push(path);
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_s3_whatever_request_fails() {
    let faults = [Fault::UnavailableBefore, Fault::StoredThen500, Fault::StoredThenReset];
    let commits = [0, 1, 3, 6, 10, 15].into_iter().enumerate();
    let bucket = fault_bucket("erase-commits");
    for (round, skip) in commits {
        assert!(survives(&bucket, round, skip, faults[round % faults.len()], false).await, "fault {skip} was not met");
    }
}

/// At any request: refused for good, lost, or its answer lost. `LAKEGATE_S3_FAULTS=all` takes every number, one after the other, and
/// `LAKEGATE_S3_FAULTS=100-150` those.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_s3_at_whatever_number() {
    at_numbers(&fault_bucket("erase-any"), "LAKEGATE_S3_FAULTS", &[0, 7, 23, 48, 90]).await;
}

/// The same where the bucket keeps versions; `LAKEGATE_S3_FAULTS_VERSIONS`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_versioned_s3_at_whatever_number() {
    let bucket = fault_bucket("erase-versions");
    python("bucket_versions.py", &["keep", &bucket], &support::s3().environment(&support::s3().endpoint())).unwrap();
    at_numbers(&bucket, "LAKEGATE_S3_FAULTS_VERSIONS", &[60, 150]).await;
}

async fn at_numbers(bucket: &str, variable: &str, some: &[usize]) {
    let faults = [Fault::Refused, Fault::StoredThenReset, Fault::StoredThen500];
    let Ok(asked) = std::env::var(variable) else {
        for (round, skip) in some.iter().enumerate() {
            assert!(survives(bucket, round, *skip, faults[round % faults.len()], true).await, "fault {skip} was not met");
        }
        return;
    };
    let (from, to) = asked.split_once('-').map_or((0, usize::MAX), |(from, to)| (from.parse().unwrap(), to.parse().unwrap()));
    let mut number = from;
    while number <= to && survives(bucket, number, number, faults[number % faults.len()], true).await {
        number += 1;
    }
    assert!(number > to || number > 50, "an erasure of {number} requests");
}

fn fault_bucket(name: &str) -> String {
    let bucket = unique(name).replace('_', "-");
    support::s3().make_bucket(&bucket).unwrap();
    bucket
}

/// An erasure in the course of which a request has a fault ends with nothing left. Whether there was such a request.
async fn survives(bucket: &str, round: usize, skip: usize, fault: Fault, any: bool) -> bool {
    let store = support::s3();
    let proxy = FaultProxy::start(store).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::new(&folder.path().join("data")).argument("--warehouse-root").argument(format!("s3://{bucket}/wh/{round}"));
    options.environment = store.environment(&proxy.endpoint());
    let server = tokio::task::block_in_place(|| Server::start(&options)).unwrap();
    let admin = Client::admin(&server).await.unwrap();
    hidden(&admin).await;
    let before = others(&admin).await;
    let names_victim = |(path, bytes): &(String, Vec<u8>)| {
        path.contains("ann.victim") || bytes.windows(VICTIM.len()).any(|window| window == VICTIM.as_bytes())
    };
    assert!(objects(bucket).iter().filter(|object| names_victim(object)).count() > 3);
    match any {
        true => proxy.arm_any(skip, fault),
        false => proxy.arm(skip, fault),
    }
    let mut tries = 0;
    let state = loop {
        tries += 1;
        match admin.rows(&erase_sql()).await {
            Ok(rows) => break rows.last().unwrap()[2].clone(),
            Err(error) => assert!(tries < 4, "fault {skip}: {error:?}"),
        }
    };
    // What the store once refuses to remove of its versions is told; the next one finds it.
    let state = if state == "erased with residuals" && certificate(&admin).await.to_string().contains("could not be removed: AccessDenied")
    {
        admin.rows(&erase_sql()).await.unwrap().last().unwrap()[2].clone()
    } else {
        state
    };
    assert_eq!(state, "erased", "fault {skip}: {}", certificate(&admin).await);
    assert_eq!(others(&admin).await, before, "fault {skip}");
    assert_eq!(kept_of_victim(bucket), Vec::<String>::new(), "fault {skip}");
    let left: Vec<String> = objects(bucket).into_iter().filter(names_victim).map(|(path, _)| path).collect();
    assert_eq!(left, Vec::<String>::new(), "fault {skip}");
    proxy.struck() == 1
}

/// Lines of the outside program about versions of objects.
pub fn kept_of_victim(bucket: &str) -> Vec<String> {
    let store = support::s3();
    let lines = python("bucket_versions.py", &["seek", bucket, VICTIM], &store.environment(&store.endpoint())).unwrap();
    lines.lines().filter(|line| line.starts_with("FOUND")).map(str::to_owned).collect()
}

/// Who knows the tables from before goes on reading and writing them rightly, on another gateway.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_gateway_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = gateways::two(folder.path());
    let (admin, other) = (Client::admin(&one).await.unwrap(), Client::admin(&two).await.unwrap());
    hidden(&admin).await;
    let before = others(&other).await;
    assert_eq!(other.value("SELECT count(*) FROM people").await.unwrap(), "100");
    other.batch_execute("INSERT INTO people VALUES (200, 'late@example.com', 'L')").await.unwrap();
    other.batch_execute("DELETE FROM people WHERE id = 200").await.unwrap();
    let reader = Client::admin(&two).await.unwrap();
    reader.batch_execute("BEGIN; SELECT count(*) FROM people").await.unwrap();
    let short = erase_sql().replace("wait_seconds => 20", "wait_seconds => 1");
    assert_eq!(admin.sqlstate(&short).await, "55P03", "a reader on the other gateway");
    assert_eq!(reader.value("SELECT count(*) FROM people").await.unwrap(), "100");
    reader.batch_execute("COMMIT").await.unwrap();
    // The other one goes on with it.
    let done = other.rows(&erase_sql().replace("wait_seconds => 20", "wait_seconds => 60")).await.unwrap();
    assert_eq!(done.last().unwrap()[2], "erased", "{}", certificate(&admin).await);
    for client in [&admin, &other, &reader] {
        assert_eq!(others(client).await, before);
        assert_eq!(client.value("SELECT count(*) FROM people").await.unwrap(), "99");
        assert_eq!(client.sqlstate("SELECT count(*) FROM people VERSION AS OF 2").await, "58P01");
    }
    for client in [&admin, &other] {
        client.batch_execute("UPDATE people SET name = name || '!' WHERE id = 5").await.unwrap();
    }
    assert_eq!(admin.value("SELECT name FROM people WHERE id = 5").await.unwrap(), "N5!!");
    assert_eq!(other.value("SELECT count(*) FROM people").await.unwrap(), "99");
    assert_eq!(admin.value("SELECT count(*) FROM system.privacy.requests").await.unwrap(), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_write_meanwhile() {
    let server = new_server();
    let admin = Client::admin(&server).await.unwrap();
    hidden(&admin).await;
    let mut writers = JoinSet::new();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    for writer in 0..2 {
        let (client, stop) = (Client::admin(&server).await.unwrap(), std::sync::Arc::clone(&stop));
        writers.spawn(async move {
            let mut done = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let sql = match writer {
                    0 => format!("INSERT INTO people VALUES ({0}, 'w{0}@example.com', 'w')", 10_000 + done),
                    _ => "UPDATE people SET name = name || '.' WHERE id = 5".to_owned(),
                };
                match client.sqlstate(&sql).await.as_str() {
                    "00000" => done += 1,
                    "40001" => {}
                    other => panic!("{sql}: {other}"),
                }
            }
            (writer, done)
        });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let done = admin.rows(&erase_sql()).await.unwrap();
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut counts = [0, 0];
    while let Some(writer) = writers.join_next().await {
        let (writer, count) = writer.unwrap();
        counts[writer] = count;
    }
    assert!(counts[0] > 0 && counts[1] > 0, "{counts:?}");
    assert_eq!(done.last().unwrap()[2], "erased", "{}", certificate(&admin).await);
    assert_eq!(admin.value("SELECT count(*) FROM people").await.unwrap(), (99 + counts[0]).to_string());
    assert_eq!(admin.value("SELECT length(name) FROM people WHERE id = 5").await.unwrap(), (2 + counts[1]).to_string());
    assert!(seek(&server.data_dir).iter().all(|line| !line.starts_with("FOUND")));
}
