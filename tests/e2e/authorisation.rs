//! Who may open what: default deny, grants at once, and no way to a file but through a granted location.

use lakegate_tests::client::Client;
use lakegate_tests::wire::{Target, Wire, bare, bind, error_field, execute, parse};

use crate::support::{self, in_new_schema, unique};

#[tokio::test]
async fn a_view_opens_its_tables_for_itself_alone() {
    let server = support::server();
    let (admin, schema) = in_new_schema(server).await;
    let role = unique("r");
    admin.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'p'; GRANT USAGE ON SCHEMA {schema} TO {role}")).await.unwrap();
    admin.batch_execute("CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'hidden')").await.unwrap();
    admin.batch_execute(&format!("CREATE VIEW a_view AS SELECT a FROM t; GRANT SELECT ON a_view TO {role}")).await.unwrap();
    let user = Client::login(server, &role, "p", "main").await.unwrap();
    user.batch_execute(&format!("SET search_path = {schema}")).await.unwrap();
    assert_eq!(user.sqlstate("SELECT * FROM a_view").await, "00000");
    for sql in [
        "SELECT * FROM a_view, t",
        "SELECT * FROM t, a_view",
        "WITH v AS (SELECT * FROM a_view) SELECT * FROM v JOIN t ON true",
        "SELECT (SELECT max(b) FROM t) FROM a_view",
        "SELECT a FROM a_view UNION ALL SELECT a FROM t",
        "CREATE TEMP TABLE c AS SELECT * FROM a_view, t",
        "COPY (SELECT * FROM a_view, t) TO STDOUT",
        "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM a_view, t",
    ] {
        assert_eq!(user.sqlstate(sql).await, "42501", "{sql}");
    }
}

#[tokio::test]
async fn nothing_is_allowed_until_it_is_granted() {
    let server = support::server();
    let (admin, schema) = in_new_schema(server).await;
    let role = unique("r");
    admin.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'p'")).await.unwrap();
    admin.batch_execute("CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x')").await.unwrap();
    let user = Client::login(server, &role, "p", "main").await.unwrap();
    let table = format!("{schema}.t");
    let statements = [
        ("SELECT", format!("SELECT * FROM {table}")),
        ("INSERT", format!("INSERT INTO {table} VALUES (2, 'y')")),
        ("UPDATE", format!("UPDATE {table} SET a = 3")),
        ("DELETE", format!("DELETE FROM {table}")),
        ("TRUNCATE", format!("TRUNCATE {table}")),
    ];
    for (_, sql) in &statements {
        assert_eq!(user.sqlstate(sql).await, "42501", "{sql}");
    }
    for sql in [
        format!("DROP TABLE {table}"),
        format!("ALTER TABLE {table} ADD COLUMN c int"),
        format!("CREATE TABLE {schema}.mine (a int)"),
        format!("CREATE VIEW {schema}.v AS SELECT 1"),
        format!("GRANT SELECT ON {table} TO {role}"),
        format!("DROP SCHEMA {schema} CASCADE"),
        format!("COMMENT ON TABLE {table} IS 'x'"),
        "CREATE ROLE another".to_owned(),
        "CREATE DATABASE another".to_owned(),
        "CREATE EXTERNAL LOCATION mine URL 'file:///tmp/'".to_owned(),
        format!("ALTER ROLE {role} SUPERUSER"),
        "SET ROLE admin".to_owned(),
        "ALTER ROLE admin PASSWORD 'x'".to_owned(),
        format!("GRANT admin TO {role}"),
        format!("COPY {table} TO STDOUT"),
        format!("COPY {table} FROM STDIN"),
        format!("SELECT 1 WHERE EXISTS (SELECT 1 FROM {table})"),
        format!("WITH x AS (SELECT * FROM {table}) SELECT 1"),
        format!("EXPLAIN SELECT * FROM {table}"),
        format!("SELECT (SELECT max(a) FROM {table})"),
        format!("CREATE TABLE copied AS SELECT * FROM {table}"),
    ] {
        assert_eq!(user.sqlstate(&sql).await, "42501", "{sql}");
    }
    // USAGE on the schema alone opens no table; each privilege opens its statement at once, on the open connection.
    admin.batch_execute(&format!("GRANT USAGE ON SCHEMA {schema} TO {role}")).await.unwrap();
    assert_eq!(user.sqlstate(&statements[0].1).await, "42501");
    for (privilege, sql) in &statements {
        // UPDATE and DELETE of all rows read nothing, so SELECT is not needed.
        admin.batch_execute(&format!("GRANT {privilege} ON {table} TO {role}")).await.unwrap();
        assert_eq!(user.sqlstate(sql).await, "00000", "{sql}");
        admin.batch_execute(&format!("REVOKE {privilege} ON {table} FROM {role}")).await.unwrap();
        assert_eq!(user.sqlstate(sql).await, "42501", "{sql}");
    }
    admin.batch_execute(&format!("REVOKE USAGE ON SCHEMA {schema} FROM {role}; GRANT SELECT ON {table} TO {role}")).await.unwrap();
    assert_eq!(user.sqlstate(&statements[0].1).await, "42501", "without USAGE on the schema a grant on the table does not help");
}

#[tokio::test]
async fn a_view_opens_what_its_owner_may_open_and_no_more() {
    let server = support::server();
    let (admin, schema) = in_new_schema(server).await;
    let role = unique("r");
    let setup = [
        format!("CREATE ROLE {role} LOGIN PASSWORD 'p'"),
        format!("GRANT USAGE ON SCHEMA {schema} TO {role}"),
        "CREATE TABLE secret (a int, b text)".to_owned(),
        "INSERT INTO secret VALUES (1, 'public'), (2, 'hidden')".to_owned(),
        "CREATE VIEW shown AS SELECT a FROM secret WHERE a = 1".to_owned(),
        format!("GRANT SELECT ON shown TO {role}"),
    ];
    for sql in &setup {
        admin.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    let user = Client::login(server, &role, "p", "main").await.unwrap();
    assert_eq!(user.rows(&format!("SELECT * FROM {schema}.shown")).await.unwrap(), [["1"]]);
    assert_eq!(user.sqlstate(&format!("SELECT * FROM {schema}.secret")).await, "42501");
    assert_eq!(user.sqlstate(&format!("SELECT * FROM {schema}.shown s JOIN {schema}.secret t USING (a)")).await, "42501");
}

#[tokio::test]
async fn group_roles_and_set_role_carry_privileges() {
    let server = support::server();
    let (admin, schema) = in_new_schema(server).await;
    let (group, member) = (unique("g"), unique("m"));
    let setup = [
        format!("CREATE ROLE {group} NOLOGIN"),
        format!("CREATE ROLE {member} LOGIN PASSWORD 'p'"),
        format!("GRANT USAGE ON SCHEMA {schema} TO {group}"),
        "CREATE TABLE t (a int)".to_owned(),
        format!("GRANT SELECT ON t TO {group}"),
    ];
    for sql in &setup {
        admin.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    let user = Client::login(server, &member, "p", "main").await.unwrap();
    let select = format!("SELECT * FROM {schema}.t");
    assert_eq!(user.sqlstate(&select).await, "42501");
    admin.batch_execute(&format!("GRANT {group} TO {member}")).await.unwrap();
    assert_eq!(user.sqlstate(&select).await, "00000");
    user.batch_execute(&format!("SET ROLE {group}")).await.unwrap();
    assert_eq!(user.value("SELECT current_user || ' ' || session_user").await.unwrap(), format!("{group} {member}"));
    user.batch_execute("RESET ROLE").await.unwrap();
    admin.batch_execute(&format!("REVOKE {group} FROM {member}")).await.unwrap();
    assert_eq!(user.sqlstate(&select).await, "42501");
    assert_eq!(user.sqlstate(&format!("SET ROLE {group}")).await, "42501");
    assert!(Client::login(server, &group, "p", "main").await.is_err(), "NOLOGIN");
}

/// A statement prepared while it was allowed does not run once it no longer is.
#[tokio::test]
async fn a_revoke_reaches_prepared_statements_and_open_portals() {
    let server = support::server();
    let (admin, schema) = in_new_schema(server).await;
    let role = unique("r");
    let setup = [
        format!("CREATE ROLE {role} LOGIN PASSWORD 'p'"),
        format!("GRANT USAGE ON SCHEMA {schema} TO {role}"),
        "CREATE TABLE t AS SELECT g AS a FROM generate_series(1, 100) g".to_owned(),
        format!("GRANT SELECT ON t TO {role}"),
    ];
    for sql in &setup {
        admin.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    let target = Target { user: role.clone(), password: "p".to_owned(), ..Target::of_server(server) };
    let mut user = Wire::login(&target, true, &[]).await.unwrap();
    let sql = format!("SELECT a FROM {schema}.t");
    user.send(&[parse("s", &sql, &[]), bind("", "s", &[], &[], &[]), execute("", 0), bare(b'S')].concat()).await.unwrap();
    let answer = user.until_ready().await.unwrap();
    assert_eq!(answer.iter().filter(|message| message.tag == b'D').count(), 100);
    admin.batch_execute(&format!("REVOKE SELECT ON t FROM {role}")).await.unwrap();
    user.send(&[bind("", "s", &[], &[], &[]), execute("", 0), bare(b'S')].concat()).await.unwrap();
    let answer = user.until_ready().await.unwrap();
    let error = answer.iter().find(|message| message.tag == b'E').expect("refused");
    assert_eq!(error_field(&error.body, b'C').as_deref(), Some("42501"));
}

#[tokio::test]
async fn no_statement_opens_a_file_or_a_url() {
    let server = support::server();
    let (admin, schema) = in_new_schema(server).await;
    admin.batch_execute("CREATE TABLE t (a text)").await.unwrap();
    let files = tempfile::tempdir().unwrap();
    let outside = files.path().display().to_string();
    std::fs::write(files.path().join("x.parquet"), b"PAR1").unwrap();
    for from in [
        "'/etc/passwd'",
        "\"/etc/passwd\"",
        "'file:///etc/passwd'",
        "\"file:///etc/passwd\"",
        "'s3://bucket/x.parquet'",
        "\"s3://bucket/x.parquet\"",
        "read_csv('/etc/passwd')",
        "read_parquet('/etc/passwd')",
        "read_json('/etc/passwd')",
        "parquet_metadata('/etc/passwd')",
        "delta_scan('/etc')",
        "pg_read_file('/etc/passwd')",
        "pg_ls_dir('/etc')",
        "parquet.`/etc/passwd`",
        "csv.\"/etc/passwd\"",
        "delta.\"/etc\"",
    ] {
        let code = admin.sqlstate(&format!("SELECT * FROM {from}")).await;
        assert!(["42601", "42P01", "42883", "42501", "0A000", "3D000", "3F000"].contains(&code.as_str()), "FROM {from}: {code}");
    }
    // Not even an administrator, who may make a location, gets round having one.
    for sql in [
        format!("COPY t FROM '{outside}/x.parquet'"),
        format!("COPY t FROM 'file://{outside}/x.parquet'"),
        "COPY t FROM '/etc/passwd'".to_owned(),
        "COPY t FROM 's3://elsewhere/x.parquet'".to_owned(),
        "COPY t FROM 'http://127.0.0.1:1/x.parquet'".to_owned(),
        "COPY t FROM PROGRAM 'id'".to_owned(),
        "COPY t TO '/tmp/lakegate-out'".to_owned(),
        "COPY t TO PROGRAM 'cat'".to_owned(),
        format!("CREATE TABLE u USING DELTA LOCATION 'file://{outside}/'"),
        "CREATE TABLE u USING DELTA LOCATION 'file:///etc/'".to_owned(),
        "CREATE TABLE u (a int) LOCATION 'file:///etc/'".to_owned(),
        "CREATE EXTERNAL TABLE u STORED AS CSV LOCATION '/etc/passwd'".to_owned(),
    ] {
        let code = admin.sqlstate(&sql).await;
        assert!(["42501", "0A000", "42601", "22023", "42P17", "58P01"].contains(&code.as_str()), "{sql}: {code}");
    }
    // With a location: what lies under it, and nothing that only looks so.
    let location = unique("loc");
    admin.batch_execute(&format!("CREATE EXTERNAL LOCATION {location} URL 'file://{outside}/inside/'")).await.unwrap();
    for path in ["inside/../x.parquet", "inside/%2e%2e/x.parquet", "inside-not/x.parquet", "insid", "inside/..%2fx.parquet"] {
        let code = admin.sqlstate(&format!("COPY t FROM 'file://{outside}/{path}'")).await;
        assert!(["42501", "22023"].contains(&code.as_str()), "{path}: {code}");
    }
    // And only for whom it is granted.
    let role = unique("r");
    for sql in [
        format!("CREATE ROLE {role} LOGIN PASSWORD 'p'"),
        format!("GRANT ALL ON SCHEMA {schema} TO {role}"),
        format!("GRANT INSERT ON t TO {role}"),
    ] {
        admin.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    let user = Client::login(server, &role, "p", "main").await.unwrap();
    for sql in [
        format!("COPY {schema}.t FROM 'file://{outside}/inside/x.parquet'"),
        format!("CREATE TABLE {schema}.u USING DELTA LOCATION 'file://{outside}/inside/t/'"),
    ] {
        assert_eq!(user.sqlstate(&sql).await, "42501", "{sql}");
    }
    // A table of Lakegate's cannot be claimed through a location over the warehouse.
    let warehouse = server.data_dir.join("warehouse");
    let code = admin.sqlstate(&format!("CREATE EXTERNAL LOCATION {location}_w URL 'file://{}/'", warehouse.display())).await;
    assert_ne!(code, "00000", "a location over the warehouse root");
}

/// `system` is seen by all, and shows each role its own.
#[tokio::test]
async fn catalogs_show_only_what_the_role_may_see() {
    let server = support::server();
    let (admin, schema) = in_new_schema(server).await;
    let role = unique("r");
    admin.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'p'; CREATE TABLE hidden_here (a int)")).await.unwrap();
    let user = Client::login(server, &role, "p", "main").await.unwrap();
    let tables = format!("SELECT count(*) FROM information_schema.tables WHERE table_schema = '{schema}'");
    assert_eq!(admin.value(&tables).await.unwrap(), "1");
    assert_eq!(user.value(&tables).await.unwrap(), "0");
    admin.batch_execute(&format!("GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON hidden_here TO {role}")).await.unwrap();
    assert_eq!(user.value(&tables).await.unwrap(), "1");
}
