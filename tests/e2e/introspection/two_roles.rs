//! Two clients of different roles browse the same server at once, while an administrator changes what they may see: each finds its own
//! things, and no trace of the other's.

use lakegate_tests::client::Client;
use lakegate_tests::server::Server;
use lakegate_tests::tools::Psql;

use crate::support::{self, unique};

const PASSWORD: &str = "a-password";
/// How often each relation is read, the functions are asked.
const ROUNDS: usize = 3;

/// A role with a schema, tables, a view, constraints, comments and a database that nobody else may see; all their names have `token` in them.
struct Browser {
    role: String,
    token: String,
    client: Client,
}

impl Browser {
    async fn new(server: &'static Server, admin: &Client, token: &str) -> Browser {
        let role = unique("browser");
        let token = unique(token);
        for statement in [
            format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'"),
            format!("CREATE DATABASE db_{token}"),
            format!("REVOKE ALL ON DATABASE db_{token} FROM PUBLIC"),
            format!("GRANT CONNECT ON DATABASE db_{token} TO {role}"),
            format!("CREATE SCHEMA schema_{token} AUTHORIZATION {role}"),
        ] {
            admin.batch_execute(&statement).await.unwrap();
        }
        let client = Client::login(server, &role, PASSWORD, "main").await.unwrap();
        client
            .batch_execute(&format!(
                "SET search_path = schema_{token}, public;
                 CREATE TABLE table_{token} (id_{token} int PRIMARY KEY, note_{token} text DEFAULT 'default_{token}',
                     CONSTRAINT check_{token} CHECK (id_{token} > 0));
                 CREATE VIEW view_{token} AS SELECT id_{token} FROM table_{token} WHERE note_{token} <> 'text_{token}';
                 COMMENT ON TABLE table_{token} IS 'comment_{token}';
                 COMMENT ON COLUMN table_{token}.note_{token} IS 'comment_{token}';
                 COMMENT ON SCHEMA schema_{token} IS 'comment_{token}'"
            ))
            .await
            .unwrap();
        Browser { role, token, client }
    }

    /// OIDs of what it has: table, view, row type, key, check, schema, database.
    async fn numbers(&self) -> Vec<String> {
        let token = &self.token;
        let query = format!(
            "SELECT c.oid::text || ',' || (SELECT oid FROM pg_class WHERE relname = 'view_{token}') || ',' || c.reltype || ',' ||
                (SELECT oid FROM pg_constraint WHERE conrelid = c.oid AND contype = 'p') || ',' ||
                (SELECT oid FROM pg_constraint WHERE conrelid = c.oid AND contype = 'c') || ',' || c.relnamespace || ',' ||
                (SELECT oid FROM pg_database WHERE datname = 'db_{token}')
             FROM pg_class c WHERE c.relname = 'table_{token}'"
        );
        self.client.value(&query).await.unwrap().split(',').map(str::to_owned).collect()
    }

    /// Reads every relation of the catalogs, and says where the other's token stands.
    async fn sweep(&self, relations: &[String], other: &str) -> Vec<String> {
        let mut leaks = Vec::new();
        let mut own = 0;
        for relation in relations {
            let Ok(rows) = self.client.rows(&format!("SELECT * FROM {relation}")).await else { continue };
            for row in rows {
                own += usize::from(row.iter().any(|cell| cell.contains(&self.token)));
                if row.iter().any(|cell| cell.contains(other)) {
                    leaks.push(format!("{}: {relation}: {}", self.role, row.join("|")));
                }
            }
        }
        assert!(own > 30, "{} sees only {own} rows of its own", self.role);
        leaks
    }

    /// Asks functions and casts for the other's things, by number and by name.
    async fn pry(&self, numbers: &[String], other: &str) -> Vec<String> {
        let [table, view, row_type, key, check, schema, database] = numbers else { panic!("{numbers:?}") };
        let mut leaks = Vec::new();
        for (expected, expression) in [
            (table.as_str(), format!("{table}::regclass::text")),
            (key, format!("{key}::regclass::text")),
            (row_type, format!("{row_type}::regtype::text")),
            (schema, format!("{schema}::regnamespace::text")),
            ("???", format!("format_type({row_type}, -1)")),
            ("∅", format!("pg_get_viewdef({view})")),
            ("∅", format!("pg_get_viewdef({view}, true)")),
            ("∅", format!("pg_get_constraintdef({key})")),
            ("∅", format!("pg_get_constraintdef({check}, true)")),
            ("∅", format!("pg_get_indexdef({key})")),
            ("∅", format!("pg_get_indexdef({key}, 1, false)")),
            ("∅", format!("obj_description({table}, 'pg_class')")),
            ("∅", format!("obj_description({schema}, 'pg_namespace')")),
            ("∅", format!("obj_description({table})")),
            ("∅", format!("col_description({table}, 2)")),
            ("∅", format!("has_table_privilege({table}, 'SELECT')")),
            ("∅", format!("has_any_column_privilege({table}, 'SELECT')")),
            ("∅", format!("has_schema_privilege({schema}, 'USAGE')")),
            ("∅", format!("to_regclass('schema_{other}.table_{other}')::text")),
            ("∅", format!("to_regtype('schema_{other}.table_{other}')::text")),
            ("∅", format!("to_regnamespace('schema_{other}')::text")),
            ("t", format!("pg_table_is_visible({table}) IS NOT TRUE")),
            ("t", format!("pg_type_is_visible({row_type}) IS NOT TRUE")),
            ("0", format!("(SELECT count(*) FROM pg_database WHERE oid = {database})")),
            ("0", format!("(SELECT count(*) FROM pg_class WHERE oid IN ({table}, {view}, {key}))")),
            ("0", format!("(SELECT count(*) FROM pg_attribute WHERE attrelid IN ({table}, {view}, {key}))")),
            ("0", format!("(SELECT count(*) FROM information_schema.tables WHERE table_schema = 'schema_{other}')")),
        ] {
            let came = self.client.value(&format!("SELECT {expression}")).await.map_err(|error| error.to_string());
            if came.as_deref() != Ok(expected) {
                leaks.push(format!("{}: {expression}: {came:?} instead of {expected}", self.role));
            }
        }
        for (expected, expression) in [
            ("42P01", format!("'schema_{other}.table_{other}'::regclass")),
            ("42P01", format!("'schema_{other}.table_{other}_pkey'::regclass")),
            ("42704", format!("'schema_{other}.table_{other}'::regtype")),
            ("3F000", format!("'schema_{other}'::regnamespace")),
            ("42P01", format!("has_table_privilege('schema_{other}.table_{other}', 'SELECT')")),
            ("3F000", format!("has_schema_privilege('schema_{other}', 'USAGE')")),
            ("3D000", format!("has_database_privilege('db_{other}', 'CONNECT')")),
            ("42P01", format!("pg_get_viewdef('schema_{other}.view_{other}')")),
            ("42P01", format!("pg_get_serial_sequence('schema_{other}.table_{other}', 'id_{other}')")),
        ] {
            let came = self.client.sqlstate(&format!("SELECT {expression}")).await;
            if came != expected {
                leaks.push(format!("{}: {expression}: {came} instead of {expected}", self.role));
            }
        }
        leaks
    }

    /// The listing commands of psql.
    fn list(&self, server: &Server, other: &str) -> Vec<String> {
        let psql = Psql::new(server).environment("PGUSER", &self.role).environment("PGPASSWORD", PASSWORD);
        let mut leaks = Vec::new();
        for command in
            "\\l+ |\\dn+ |\\dt+ *.* |\\d *.* |\\d+ *.* |\\dv+ *.* |\\di+ *.* |\\dT+ *.* |\\dp *.* |\\dd *.* |\\ddp |\\df+ |\\drds"
                .split('|')
        {
            let output = psql.run(&format!("SET search_path = schema_{};\n{command}\n", self.token)).unwrap();
            let shown = output.stdout + &output.stderr;
            if let Some(line) = shown.lines().find(|line| line.contains(other)) {
                leaks.push(format!("{}: {command}: {line}", self.role));
            }
            assert!(!command.contains("\\d+") || shown.contains(&self.token), "{command}: {shown}");
        }
        leaks
    }
}

#[tokio::test]
async fn two_roles_browse_at_once_and_see_their_own() {
    let server = support::server();
    let admin = Client::admin(server).await.unwrap();
    let ann = Browser::new(server, &admin, "apple").await;
    let bob = Browser::new(server, &admin, "banana").await;
    // Sessions in databases of their own are seen by name nowhere either.
    let _away = Client::login(server, &bob.role, PASSWORD, &format!("db_{}", bob.token)).await.unwrap();
    let relations: Vec<String> = admin
        .rows(
            "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname IN ('pg_catalog', 'information_schema') AND c.relkind IN ('r', 'v') ORDER BY 1",
        )
        .await
        .unwrap()
        .into_iter()
        .flatten()
        .collect();
    assert!(relations.len() > 150, "{} relations", relations.len());

    // The catalog changes under them all the while.
    let changes = async {
        let scratch = unique("scratch");
        for round in 0..ROUNDS * 4 {
            admin.batch_execute(&format!("CREATE TABLE {scratch}_{round} (a int); DROP TABLE {scratch}_{round}")).await.unwrap();
        }
    };
    let mut leaks = Vec::new();
    for _ in 0..ROUNDS {
        let (of_ann, of_bob) = tokio::join!(ann.sweep(&relations, &bob.token), bob.sweep(&relations, &ann.token));
        leaks.extend(of_ann.into_iter().chain(of_bob));
    }
    let (numbers_of_ann, numbers_of_bob) = (ann.numbers().await, bob.numbers().await);
    let pry = async {
        let mut leaks = Vec::new();
        for _ in 0..ROUNDS {
            let (of_ann, of_bob) = tokio::join!(ann.pry(&numbers_of_bob, &bob.token), bob.pry(&numbers_of_ann, &ann.token));
            leaks.extend(of_ann.into_iter().chain(of_bob));
        }
        leaks
    };
    leaks.extend(tokio::join!(changes, pry).1);
    let listed = std::thread::scope(|scope| {
        let threads = [(&ann, &bob), (&bob, &ann)].map(|(one, other)| scope.spawn(|| one.list(server, &other.token)));
        threads.map(|thread| thread.join().unwrap()).concat()
    });
    leaks.extend(listed);
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));

    // What is granted is seen by the next statement, what is revoked is not.
    let (seen, table) =
        (format!("SELECT count(*) FROM pg_class WHERE relname = 'table_{}'", bob.token), format!("schema_{0}.table_{0}", bob.token));
    for (change, count) in [
        (format!("GRANT USAGE ON SCHEMA schema_{} TO {}", bob.token, ann.role), "0"),
        (format!("GRANT SELECT ON {table} TO {}", ann.role), "1"),
        (format!("REVOKE SELECT ON {table} FROM {}", ann.role), "0"),
        (format!("GRANT {} TO {}", bob.role, ann.role), "1"),
        (format!("REVOKE {} FROM {}", bob.role, ann.role), "0"),
    ] {
        admin.batch_execute(&change).await.unwrap();
        assert_eq!(ann.client.value(&seen).await.unwrap(), count, "{change}");
        assert_eq!(bob.client.value(&seen).await.unwrap(), "1", "{change}");
    }
    for browser in [&ann, &bob] {
        let (role, token) = (&browser.role, &browser.token);
        browser.client.batch_execute(&format!("DROP SCHEMA schema_{token} CASCADE")).await.unwrap();
        drop(admin.batch_execute(&format!("DROP DATABASE db_{token}")).await);
        drop(admin.batch_execute(&format!("DROP ROLE {role}")).await);
    }
}
