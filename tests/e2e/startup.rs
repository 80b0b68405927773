//! Starting, stopping, starting again.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use lakegate_tests::client::{Client, sqlstate_of};
use lakegate_tests::process::free_port;
use lakegate_tests::server::{Options, Server, Start};
use lakegate_tests::tools::eventually;
use tokio::task::JoinSet;

fn data_dir(folder: &tempfile::TempDir) -> std::path::PathBuf {
    folder.path().join("data")
}

/// Starts and expects the start to fail; gives everything it wrote.
fn refused(options: &Options) -> String {
    match Server::try_start(options).unwrap() {
        Start::Ready(server) => panic!("it started: {}", server.ready_line),
        Start::Exited { code, stdout, stderr } => {
            assert_ne!(code, 0, "a refused start must not end with success\n{stderr}");
            assert!(!stdout.contains("ready: "), "{stdout}");
            format!("{stdout}\n{stderr}")
        }
    }
}

#[tokio::test]
async fn the_ready_line_is_one_line_with_a_uri_without_password() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&Options::new(&data_dir(&folder))).unwrap();
    assert_eq!(server.ready_line, format!("ready: postgres://admin@127.0.0.1:{}/main", server.port));
    let stdout = std::fs::read_to_string(&server.process.stdout).unwrap();
    assert_eq!(stdout, format!("{}\n", server.ready_line), "standard output is that line alone");
    let client = Client::admin(&server).await.unwrap();
    assert_eq!(client.value("SELECT current_database() || ' ' || current_user").await.unwrap(), "main admin");
    for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/metrics", 200), ("/no-such-page", 404)] {
        assert_eq!(server.http_get(path).unwrap().0, status, "{path}");
    }
    assert!(server.http_get("/metrics").unwrap().1.contains("# TYPE "), "metrics are in Prometheus' format");
}

#[tokio::test]
async fn a_second_start_finds_everything() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new(&data_dir(&folder));
    let oids = "SELECT relname, oid FROM pg_class WHERE relname = 'kept'";
    let before = {
        let mut server = Server::start(&options).unwrap();
        let client = Client::admin(&server).await.unwrap();
        for sql in [
            "CREATE ROLE reader LOGIN PASSWORD 'reader-secret'",
            "CREATE SCHEMA things",
            "CREATE TABLE things.kept (id bigint NOT NULL, name text)",
            "INSERT INTO things.kept VALUES (1, 'one'), (2, NULL)",
            "CREATE VIEW things.shown AS SELECT id FROM things.kept",
            "COMMENT ON TABLE things.kept IS 'still here'",
            "GRANT USAGE ON SCHEMA things TO reader",
            "GRANT SELECT ON things.kept TO reader",
        ] {
            client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        }
        let before = client.rows(oids).await.unwrap();
        server.process.signal("TERM").unwrap();
        drop(client);
        assert_eq!(server.process.wait(Duration::from_secs(40)).unwrap(), Some(0), "{}", server.log());
        before
    };
    assert_eq!(before.len(), 1);
    // A password in the environment must not change the one that stands.
    let mut options = options;
    options.admin_password = Some("another-password".to_owned());
    let mut server = Server::start(&options).unwrap();
    server.admin_password = lakegate_tests::server::ADMIN_PASSWORD.to_owned();
    let client = Client::admin(&server).await.unwrap();
    assert_eq!(client.rows(oids).await.unwrap(), before, "OIDs are stable");
    assert_eq!(client.rows("SELECT id, name FROM things.kept ORDER BY id").await.unwrap(), [["1", "one"], ["2", "∅"]]);
    assert_eq!(client.value("SELECT count(*) FROM things.shown").await.unwrap(), "2");
    assert_eq!(client.value("SELECT obj_description('things.kept'::regclass, 'pg_class')").await.unwrap(), "still here");
    let reader = Client::login(&server, "reader", "reader-secret", "main").await.unwrap();
    assert_eq!(reader.value("SELECT count(*) FROM things.kept").await.unwrap(), "2");
    assert_eq!(reader.sqlstate("SELECT * FROM things.shown").await, "42501");
    let history =
        client.value("SELECT count(*) FROM system.query.history WHERE statement_text LIKE 'CREATE SCHEMA things%'").await.unwrap();
    assert_eq!(history, "1", "the first process's statements are in the history");
}

#[test]
fn two_processes_on_one_data_dir_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new(&data_dir(&folder));
    let first = Server::start(&options).unwrap();
    let output = refused(&options);
    assert!(output.contains("data") && output.contains(&data_dir(&folder).display().to_string()), "names the folder: {output}");
    drop(first);
    Server::start(&options).unwrap();
}

#[test]
fn a_port_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut options = Options::new(&data_dir(&folder));
    options.listen = address.clone();
    let output = refused(&options);
    assert!(output.contains(&address), "names the address: {output}");
}

#[test]
fn keys_are_readable_by_their_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = data_dir(&folder);
    let _server = Server::start(&Options::new(&data)).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data.join("kek.key")), 0o600);
    assert_eq!(mode(&data) & 0o077, 0, "others have no business in the data dir");
    let mut private_keys = 0;
    for path in files_under(&data) {
        if std::fs::read(&path).unwrap_or_default().windows(11).any(|window| window == b"PRIVATE KEY") {
            private_keys += 1;
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }
    assert_eq!(private_keys, 1, "one TLS key was made");
}

#[test]
fn unknown_configuration_names_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("lakegate.toml");
    std::fs::write(&config, "memory-limti = \"1GB\"\n").unwrap();
    let options = Options::new(&data_dir(&folder)).argument("--config").argument(config.display().to_string());
    let output = refused(&options);
    assert!(output.contains("memory-limti") && (output.contains("memory-limit") || output.contains("memory_limit")), "{output}");
    let output = refused(&Options::new(&data_dir(&folder)).argument("--memory-limti").argument("1GB"));
    assert!(output.contains("--memory-limit"), "{output}");
}

#[test]
fn the_environment_and_the_file_configure_too_and_the_flag_wins() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("lakegate.toml");
    let (file, environment, flag) = (free_port().unwrap(), free_port().unwrap(), free_port().unwrap());
    std::fs::write(&config, format!("listen = \"127.0.0.1:{file}\"\n")).unwrap();
    let base = Options::new(&data_dir(&folder)).argument("--config").argument(config.display().to_string());
    let mut from_flag = base.clone().environment("LAKEGATE_LISTEN", format!("127.0.0.1:{environment}"));
    from_flag.listen = format!("127.0.0.1:{flag}");
    assert_eq!(Server::start(&from_flag).unwrap().port, flag);
    // The harness always gives --listen; the binary is asked directly for the other two.
    for (with_environment, expected) in [(true, environment), (false, file)] {
        let mut command = std::process::Command::new(lakegate_tests::server::binary().unwrap());
        command.args(["serve", "--metrics-listen", &format!("127.0.0.1:{}", free_port().unwrap()), "--data-dir"]);
        command.arg(data_dir(&folder)).arg("--config").arg(&config).env_remove("LAKEGATE_LISTEN");
        if with_environment {
            command.env("LAKEGATE_LISTEN", format!("127.0.0.1:{environment}"));
        }
        let mut child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        let up = lakegate_tests::process::wait_for_port(expected, Duration::from_secs(30));
        child.kill().unwrap();
        child.wait().unwrap();
        up.unwrap();
    }
}

#[tokio::test]
async fn a_generated_admin_password_is_printed_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::new(&data_dir(&folder));
    options.admin_password = None;
    let mut server = Server::start(&options).unwrap();
    let output = std::fs::read_to_string(&server.process.stdout).unwrap() + &server.log();
    let password = find_password(&output).unwrap_or_else(|| panic!("no password in: {output}"));
    assert!(password.len() >= 16, "too short: {password}");
    server.admin_password.clone_from(&password);
    Client::admin(&server).await.unwrap();
    drop(server);
    let again = Server::start(&options).unwrap();
    let output = std::fs::read_to_string(&again.process.stdout).unwrap() + &again.log();
    assert!(!output.contains(&password), "printed again: {output}");
    for path in files_under(&data_dir(&folder)) {
        let bytes = std::fs::read(&path).unwrap_or_default();
        assert!(!bytes.windows(password.len()).any(|window| window == password.as_bytes()), "stored in {}", path.display());
    }
}

#[test]
fn another_key_than_the_data_dirs_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = data_dir(&folder);
    drop(Server::start(&Options::new(&data)).unwrap());
    let other = folder.path().join("other.key");
    // As the server's own key file looks, with other bytes.
    let own = std::fs::read(data.join("kek.key")).unwrap();
    let changed: Vec<u8> = own
        .iter()
        .map(|byte| {
            if *byte == b'A' {
                b'B'
            } else if byte.is_ascii_alphabetic() {
                b'A'
            } else {
                *byte
            }
        })
        .collect();
    std::fs::write(&other, if own.is_ascii() { changed } else { own.iter().map(|byte| byte ^ 0x55).collect() }).unwrap();
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o600)).unwrap();
    let output = refused(&Options::new(&data).argument("--kek-file").argument(other.display().to_string()));
    assert!(output.to_lowercase().contains("key"), "{output}");
    Server::start(&Options::new(&data)).unwrap();
}

#[tokio::test]
async fn sigterm_lets_running_statements_finish() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(&Options::new(&data_dir(&folder))).unwrap();
    let (idle, busy) = (Client::admin(&server).await.unwrap(), Client::admin(&server).await.unwrap());
    let mut running = JoinSet::new();
    running.spawn(async move { busy.value("SELECT pg_sleep(3)::text || 'done'").await.map_err(|error| error.to_string()) });
    tokio::time::sleep(Duration::from_millis(700)).await;
    server.process.signal("TERM").unwrap();
    // The idle connection is told, new ones are not taken, the running one finishes.
    eventually("the idle connection ends", Duration::from_secs(2), async || Ok(idle.is_closed())).await.unwrap();
    assert!(Client::admin(&server).await.is_err(), "a new connection while draining");
    assert_eq!(running.join_next().await.unwrap().unwrap().unwrap(), "done");
    assert_eq!(server.process.wait(Duration::from_secs(10)).unwrap(), Some(0), "{}", server.log());
}

#[tokio::test]
async fn sigterm_tells_an_idle_client_57p01() {
    use lakegate_tests::wire::{Target, Wire, error_field};
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(&Options::new(&data_dir(&folder))).unwrap();
    let mut idle = Wire::login(&Target::of_server(&server), true, &[]).await.unwrap();
    server.process.signal("TERM").unwrap();
    let message = idle.must_receive().await.unwrap();
    assert_eq!((message.tag, error_field(&message.body, b'C').as_deref()), (b'E', Some("57P01")));
    assert!(idle.receive().await.unwrap().is_none(), "closed after it");
    assert_eq!(server.process.wait(Duration::from_secs(10)).unwrap(), Some(0));
}

#[tokio::test]
async fn the_drain_has_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(&Options::new(&data_dir(&folder)).argument("--drain-seconds").argument("1")).unwrap();
    let busy = Client::admin(&server).await.unwrap();
    let mut running = JoinSet::new();
    running.spawn(async move { busy.simple_query("SELECT pg_sleep(60)").await.map(|_| ()) });
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.process.signal("TERM").unwrap();
    let error = running.join_next().await.unwrap().unwrap().unwrap_err();
    assert_eq!(sqlstate_of(&error), "57P01");
    assert_eq!(server.process.wait(Duration::from_secs(10)).unwrap(), Some(0));
}

#[tokio::test]
async fn the_demo_database_is_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new(&data_dir(&folder)).argument("--demo");
    let counts = "SELECT (SELECT count(*) FROM demo.public.orders), (SELECT count(*) FROM demo.public.customers), \
                  (SELECT count(*) FROM demo.public.sensor_readings), (SELECT count(*) FROM demo.security.events)";
    let mut seen = Vec::new();
    for _ in 0..2 {
        let server = Server::start(&options).unwrap();
        let client = Client::admin(&server).await.unwrap();
        seen.push(client.rows(counts).await.unwrap());
        let demo = Client::login(&server, "admin", &server.admin_password, "demo").await.unwrap();
        demo.rows("SELECT * FROM orders JOIN customers USING (customer_id) LIMIT 1").await.unwrap();
    }
    assert_eq!(seen[0], seen[1]);
    assert!(seen[0][0].iter().all(|count| count.parse::<u64>().unwrap() > 0), "{seen:?}");
}

/// The word after `password` in a line of the output.
fn find_password(output: &str) -> Option<String> {
    let line = output.lines().find(|line| line.to_lowercase().contains("password"))?;
    let tail = &line[line.to_lowercase().rfind("password")? + "password".len()..];
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_+/=.".contains(c);
    tail.split(|c| !is_part(c)).filter(|word| word.len() >= 12).map(str::to_owned).next_back()
}

/// Every file of a folder, at any depth.
pub fn files_under(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            if entry.file_type().unwrap().is_dir() { folders.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found
}
