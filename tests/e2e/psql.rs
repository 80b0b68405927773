//! psql as people use it.

use lakegate_tests::client::Client;
use lakegate_tests::tools::{Psql, repository};
use lakegate_tests::{postgres, server};

use crate::support::{self, in_new_schema, unique};

const TABLES: &str = "CREATE TABLE items (id bigint NOT NULL, name text, price numeric(10,2), made timestamp without time zone,\
    seen timestamp with time zone, ok boolean, weight double precision, small smallint, day date, code varchar(20));\
    CREATE TABLE other (a integer);\
    CREATE VIEW cheap AS SELECT id, name FROM items WHERE price < 10;\
    COMMENT ON TABLE items IS 'things for sale';\
    COMMENT ON COLUMN items.name IS 'what it is called';";

/// The listing commands print what they print for the same objects in PostgreSQL.
#[tokio::test]
async fn listings_look_as_postgres_lists() {
    let schema = unique("listed");
    let setup = format!("CREATE SCHEMA {schema}; SET search_path = {schema}; {TABLES}");
    let lakegate = Psql::new(support::server());
    let reference = Psql::new(support::server()).environment("PGPORT", &support::postgres().port.to_string());
    assert_eq!(postgres::PASSWORD, server::ADMIN_PASSWORD);
    for side in [&lakegate, &reference] {
        side.clone().quiet().run(&setup).unwrap().success().unwrap();
    }
    let mut differences = Vec::new();
    for command in [
        format!("\\dn {schema}"),
        format!("\\dt {schema}.*"),
        format!("\\dv {schema}.*"),
        format!("\\d {schema}.items"),
        format!("\\d {schema}.other"),
        format!("\\d {schema}.cheap"),
        format!("\\d {schema}.no_such_table"),
        format!("\\dt {schema}.no_such*"),
        format!("SET search_path = {schema};\n\\dt\n\\d items"),
        "\\du admin".to_owned(),
        "\\conninfo_is_no_command".to_owned(),
        "\\echo :SERVER_VERSION_NUM :DBNAME :USER :ENCODING".to_owned(),
    ] {
        let show = |side: &Psql| side.run(&format!("{command}\n")).map(|output| output.stdout + &output.stderr).unwrap();
        let (expected, came) = (show(&reference), show(&lakegate));
        if expected != came && !command.starts_with("\\echo") {
            differences.push(format!("{command}\npostgres:\n{expected}\nlakegate:\n{came}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[tokio::test]
async fn every_listing_command_answers() {
    let server = support::server();
    let (_, schema) = in_new_schema(server).await;
    let psql = Psql::new(server);
    psql.clone().quiet().run(&format!("SET search_path = {schema}; {TABLES}")).unwrap().success().unwrap();
    let commands = "\\l \\l+ \\dn \\dn+ \\dt \\dt+ \\d \\d+ \\dv \\dv+ \\du \\du+ \\dg \\df \\df+ \\dT \\di \\ds \\dp \\z \\dd \\dx \\db \\dC \\dD \\dF \\do \\dO \\drds \\dy \\det \\dm \\dE \\da \\dc \\des \\dRp \\dconfig \\encoding \\conninfo \\sf";
    let mut failures = Vec::new();
    for command in commands.split(' ') {
        let output = psql.run(&format!("SET search_path = {schema};\n{command}\n")).unwrap();
        let needs_argument = command == "\\sf";
        if output.code != 0 || (output.stderr.contains("ERROR") && !needs_argument) {
            failures.push(format!("{command}: {}", output.stderr));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let databases = psql.run("\\l\n").unwrap().success().unwrap();
    assert!(databases.contains(" main "), "{databases}");
    let tables = psql.run(&format!("\\dt+ {schema}.items\n")).unwrap().success().unwrap();
    assert!(tables.contains("things for sale"), "{tables}");
    let columns = psql.run(&format!("\\d+ {schema}.items\n")).unwrap().success().unwrap();
    assert!(columns.contains("what it is called") && columns.contains("numeric(10,2)"), "{columns}");
}

#[tokio::test]
async fn copy_in_and_out_through_psql() {
    let server = support::server();
    let (client, schema) = in_new_schema(server).await;
    client.batch_execute("CREATE TABLE t (a int, b text, c numeric(6,2), d timestamp)").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let rows = "1\tplain\t1.50\t2024-02-29 12:00:00\n2\ttab\\there\\\\ and \\n line\t-2.25\t\\N\n3\t\\N\t\\N\t\\N\n4\t\t0.00\t1999-12-31 23:59:59.5\n";
    std::fs::write(path("in.txt"), rows).unwrap();
    let psql = Psql::new(server).quiet();
    let output = psql.run(&format!("\\copy {schema}.t FROM '{}'\n", path("in.txt"))).unwrap().success().unwrap();
    assert_eq!(output, "", "quiet");
    psql.run(&format!("\\copy (SELECT * FROM {schema}.t ORDER BY a) TO '{}'\n", path("out.txt"))).unwrap().success().unwrap();
    assert_eq!(std::fs::read_to_string(path("out.txt")).unwrap(), rows);
    psql.run(&format!("\\copy (SELECT * FROM {schema}.t ORDER BY a) TO '{}' CSV HEADER\n", path("out.csv"))).unwrap().success().unwrap();
    let csv = std::fs::read_to_string(path("out.csv")).unwrap();
    assert_eq!(
        csv,
        "a,b,c,d\n1,plain,1.50,2024-02-29 12:00:00\n2,\"tab\there\\ and \n line\",-2.25,\n3,,,\n4,\"\",0.00,1999-12-31 23:59:59.5\n"
    );
    client.batch_execute("CREATE TABLE u (a int, b text, c numeric(6,2), d timestamp)").await.unwrap();
    psql.run(&format!("\\copy {schema}.u FROM '{}' CSV HEADER\n", path("out.csv"))).unwrap().success().unwrap();
    assert_eq!(client.rows("SELECT * FROM t ORDER BY a").await.unwrap(), client.rows("SELECT * FROM u ORDER BY a").await.unwrap());
    // Refused input leaves no row.
    for (name, input, code) in [
        ("too few columns", "9\tx\n", "22P04"),
        ("too many columns", "9\tx\t1\t\\N\t5\n", "22P04"),
        ("no number", "nine\tx\t1\t\\N\n", "22P02"),
        ("too large", "9\tx\t123456.00\t\\N\n", "22003"),
        ("a good row before a bad one", "9\tx\t1\t\\N\nnine\tx\t1\t\\N\n", "22P02"),
    ] {
        std::fs::write(path("bad.txt"), input).unwrap();
        let output = Psql::new(server).run(&format!("\\copy {schema}.u FROM '{}'\n", path("bad.txt"))).unwrap();
        assert!(output.stderr.contains(code), "{name}: {}", output.stderr);
    }
    std::fs::write(path("bad.txt"), b"9\t\xff\xfe\t1\t\\N\n").unwrap();
    let output = Psql::new(server).run(&format!("\\copy {schema}.u FROM '{}'\n", path("bad.txt"))).unwrap();
    assert!(output.stderr.contains("22021"), "{}", output.stderr);
    assert_eq!(client.value("SELECT count(*) FROM u").await.unwrap(), "4");
}

#[tokio::test]
async fn password_timing_watch_and_friends() {
    let server = support::server();
    let admin = Client::admin(server).await.unwrap();
    let role = unique("psql_user");
    admin.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'first-password'")).await.unwrap();
    // \password reads from the terminal: what it sends is a hashed password, and that is what must work.
    let script = r#"
import os, pty, select, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.execvp("psql", ["psql", "-X"])
def until(text):
    seen = b""
    end = time.time() + 20
    while text not in seen:
        ready, _, _ = select.select([fd], [], [], max(0, end - time.time()))
        if not ready: sys.exit("waited for %r, saw %r" % (text, seen))
        seen += os.read(fd, 4096)
until(b"=> ")
os.write(fd, b"\\password\n"); until(b"new password"); os.write(fd, b"second-password\n")
until(b"again"); os.write(fd, b"second-password\n"); until(b"=> ")
os.write(fd, b"\\q\n")
"#;
    let environment = [
        ("PGHOST", "127.0.0.1".to_owned()),
        ("PGPORT", server.port.to_string()),
        ("PGUSER", role.clone()),
        ("PGPASSWORD", "first-password".to_owned()),
        ("PGDATABASE", "main".to_owned()),
        ("PGSSLMODE", "require".to_owned()),
    ];
    let output = std::process::Command::new("python3").args(["-c", script]).envs(environment).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(Client::login(server, &role, "first-password", "main").await.is_err());
    Client::login(server, &role, "second-password", "main").await.unwrap();
    let psql = Psql::new(server);
    let output = psql.run("\\timing on\nSELECT 1;\n").unwrap().success().unwrap();
    assert!(output.contains("Time: "), "{output}");
    let output = psql.run("SELECT 1 AS a, 'x' AS b \\gdesc\n").unwrap().success().unwrap();
    assert!(output.contains("integer") && output.contains("text"), "{output}");
    let output = psql.clone().quiet().run("SELECT 7 AS n \\gset\nSELECT :n + 1;\n").unwrap().success().unwrap();
    assert_eq!(output, "8\n");
    let output =
        psql.clone().quiet().run("SELECT format('SELECT %s', g) FROM generate_series(1, 3) g \\gexec\n").unwrap().success().unwrap();
    assert_eq!(output, "1\n2\n3\n");
    let output = psql.clone().quiet().run("\\set FETCH_COUNT 100\nSELECT g FROM generate_series(1, 1000) g;\n").unwrap().success().unwrap();
    assert_eq!(output.lines().count(), 1000);
    let watch = std::process::Command::new("timeout")
        .args(["-s", "INT", "3", "psql", "-X", "-c", "SELECT 'tick'", "-c", "\\watch 0.5"])
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", server.port.to_string())
        .env("PGUSER", "admin")
        .env("PGPASSWORD", &server.admin_password)
        .env("PGDATABASE", "main")
        .env("PGSSLMODE", "require")
        .output()
        .unwrap();
    assert!(!String::from_utf8_lossy(&watch.stderr).contains("ERROR"), "{}", String::from_utf8_lossy(&watch.stderr));
    let output = psql.run("SELECT 1/0;\n\\errverbose\n").unwrap();
    assert!(output.stderr.contains("22012"), "{}", output.stderr);
}

/// The certificate that the server made is its own authority: libpq verifies it by name.
#[tokio::test]
async fn verify_full_with_the_generated_certificate() {
    let server = support::server();
    let certificates: Vec<_> = crate::startup::files_under(&server.data_dir)
        .into_iter()
        .filter(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains("BEGIN CERTIFICATE")))
        .collect();
    assert!(!certificates.is_empty(), "no certificate in the data dir");
    let tried: Vec<_> = certificates
        .iter()
        .flat_map(|path| ["localhost", "127.0.0.1"].map(|host| (path, host)))
        .map(|(path, host)| {
            let psql = Psql::new(server).quiet().environment("PGSSLMODE", "verify-full").environment("PGHOST", host);
            (path, host, psql.environment("PGSSLROOTCERT", &path.display().to_string()).run("SELECT 1\n;").unwrap())
        })
        .collect();
    for host in ["localhost", "127.0.0.1"] {
        assert!(tried.iter().any(|(_, with, output)| *with == host && output.code == 0 && output.stdout == "1\n"), "{host}: {tried:?}");
    }
    let strange = repository().join("tests/wire/README.md").display().to_string();
    let other = Psql::new(server).quiet().environment("PGSSLMODE", "verify-full").environment("PGSSLROOTCERT", &strange);
    assert_ne!(other.run("SELECT 1;\n").unwrap().code, 0);
}

/// Without TLS a password never crosses the wire in clear: SCRAM, from loopback.
#[tokio::test]
async fn without_tls_scram_works_from_loopback() {
    let output = Psql::new(support::server()).quiet().environment("PGSSLMODE", "disable").run("SELECT 'in';\n").unwrap();
    assert_eq!(output.success().unwrap(), "in\n");
    for (mode, binding) in [("require", "require"), ("require", "disable"), ("disable", "disable")] {
        let psql = Psql::new(support::server()).quiet().environment("PGSSLMODE", mode).environment("PGCHANNELBINDING", binding);
        let output = psql.run("SELECT 'in';\n").unwrap();
        assert_eq!(output.stdout, "in\n", "{mode} {binding}: {}", output.stderr);
    }
}

/// With `--auth-method password` the password itself crosses the TLS connection, and only that.
#[tokio::test]
async fn argon2_passwords_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let options = server::Options::new(&folder.path().join("data")).argument("--auth-method").argument("password");
    let server = server::Server::start(&options).unwrap();
    let psql = |mode: &str| Psql::new(&server).quiet().environment("PGSSLMODE", mode);
    assert_eq!(psql("require").run("SELECT 'in';\n").unwrap().success().unwrap(), "in\n");
    assert_eq!(psql("disable").run("SELECT 'in';\n").unwrap().success().unwrap(), "in\n", "SCRAM without TLS");
    let output = psql("require").environment("PGCHANNELBINDING", "require").run("SELECT 1;\n").unwrap();
    assert_ne!(output.code, 0, "a password alone binds no channel");
    let output = psql("require").environment("PGPASSWORD", "wrong").run("SELECT 1;\n").unwrap();
    assert!(output.stderr.contains("password authentication failed for user \"admin\""), "{}", output.stderr);
}
