//! Data subjects: found, exported, erased.

use std::sync::OnceLock;

use lakegate_tests::client::Client;
use lakegate_tests::server::{Options, Server};

use crate::support::{in_new_schema, unique};

/// A server of their own: maps look at all tables, and other tests' come and go.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(new_server)
}

fn new_server() -> Server {
    let folder = tempfile::Builder::new().prefix("lakegate-subjects-").tempdir().unwrap().keep();
    let mut options = Options::new(&folder.join("data"));
    options.remove_at_end = Some(folder);
    Server::start(&options).unwrap()
}

/// Tables with two people, 42 and 43 of a kind of their own, in a new schema.
async fn people(server: &Server) -> (Client, String, String) {
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
