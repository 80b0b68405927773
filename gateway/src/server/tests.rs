//! The door over TCP: a real catalog, real TLS, a scripted front end behind it, psql before it.

use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use lakegate_catalog::auth::PasswordCost;
use lakegate_catalog::{Bootstrap, CatalogOptions, Kek};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use zeroize::Zeroizing;

use super::*;
use crate::frontend::{SessionEvent, SessionStart, SqlSession, TransactionStatus};
use crate::session::tests::script::{Scripted, Witness, describe, message, query};
use crate::sqlstate::{SqlError, SqlState};

const PASSWORD: &str = "correct horse";
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

#[derive(Default)]
struct Scripts {
    opened: Mutex<Vec<SessionStart>>,
    witness: Arc<Witness>,
}

#[async_trait::async_trait]
impl SqlSessions for Scripts {
    async fn open(&self, start: SessionStart) -> Result<Box<dyn SqlSession>, SqlError> {
        if start.database == "absent" {
            return Err(SqlError::new(SqlState::InvalidCatalogName, "database \"absent\" does not exist"));
        }
        self.opened.lock().unwrap().push(start);
        let events = [("server_version", "15.18"), ("client_encoding", "UTF8"), ("standard_conforming_strings", "on")];
        let events = events.map(|(name, value)| SessionEvent::ParameterStatus { name, value: value.to_owned() }).to_vec();
        Ok(Box::new(Scripted { status: TransactionStatus::Idle, events, witness: Arc::clone(&self.witness) }))
    }
}

#[derive(Default)]
struct Counts {
    admitted: AtomicUsize,
    refused: Mutex<Vec<&'static str>>,
    left: AtomicUsize,
}

#[async_trait::async_trait]
impl LoginObserver for Arc<Counts> {
    async fn admitted(&self, _: &LoginAttempt, _: &lakegate_catalog::auth::Authenticated) -> Result<(), SqlError> {
        self.admitted.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn refused(&self, _: &LoginAttempt, error: &SqlError) {
        self.refused.lock().unwrap().push(error.state.code());
    }

    async fn left(&self, _: &LoginAttempt, _: &lakegate_catalog::auth::Authenticated) {
        self.left.fetch_add(1, Ordering::SeqCst);
    }
}

struct Running {
    dir: tempfile::TempDir,
    port: u16,
    shutdown: CancellationToken,
    scripts: Arc<Scripts>,
    counts: Arc<Counts>,
    live: LiveSessions,
    server: JoinSet<()>,
}

async fn running(change: impl FnOnce(&mut ServerOptions)) -> Running {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/catalog.db", dir.path().display());
    let mut options = CatalogOptions::new(url, Kek::generate().unwrap());
    options.password_cost = PasswordCost { memory_kib: 64, passes: 1 };
    let catalog = Catalog::open(options).await.unwrap();
    catalog.bootstrap(Bootstrap { admin_password: Some(Zeroizing::new(PASSWORD.to_owned())) }).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (counts, scripts, live, shutdown) =
        (Arc::<Counts>::default(), Arc::<Scripts>::default(), LiveSessions::default(), CancellationToken::new());
    let mut options = ServerOptions {
        tls: Some(Tls::load(dir.path(), None, None).unwrap()),
        observer: Some(Arc::new(Arc::clone(&counts))),
        drain: Duration::from_millis(300),
        ..ServerOptions::default()
    };
    change(&mut options);
    let mut server = JoinSet::new();
    let sessions: Arc<dyn SqlSessions> = Arc::clone(&scripts) as Arc<dyn SqlSessions>;
    server.spawn(serve(listener, options, sessions, catalog, live.clone(), shutdown.clone()));
    Running { dir, port, shutdown, scripts, counts, live, server }
}

impl Running {
    /// psql with these connection words; its output and whether it was content.
    async fn psql(&self, words: &str, sql: &str) -> (String, bool) {
        let dsn = format!("host=localhost hostaddr=127.0.0.1 port={} user=admin dbname=main {words}", self.port);
        let output = Command::new("psql")
            .args([&dsn, "-AtX", "-c", sql])
            .env("PGPASSWORD", PASSWORD)
            .env("PGSSLROOTCERT", self.dir.path().join("ca.crt"))
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (String::from_utf8(text).unwrap(), output.status.success())
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
    }

    /// Everything that is answered to these bytes until the server closes.
    async fn answer(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        read_to_end(&mut stream).await
    }
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    described(&answer)
}

fn described(mut bytes: &[u8]) -> String {
    let mut seen = String::new();
    while let [tag, a, b, c, d, rest @ ..] = bytes {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize - 4;
        seen.push_str(&describe(*tag, &rest[..length]));
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty(), "{bytes:?}");
    seen
}

fn startup(words: &[&str]) -> Vec<u8> {
    let mut body = vec![0, 3, 0, 0];
    for word in words {
        body.extend_from_slice(word.as_bytes());
        body.push(0);
    }
    body.push(0);
    [&u32::try_from(body.len() + 4).unwrap().to_be_bytes()[..], &body].concat()
}

#[tokio::test]
async fn psql_logs_in_every_way() {
    let server = running(|_| {}).await;
    for (words, method) in [
        ("sslmode=verify-full channel_binding=require", "scram-sha-256-plus"),
        ("sslmode=require channel_binding=disable", "scram-sha-256"),
        ("sslmode=disable", "scram-sha-256"),
    ] {
        let (text, content) = server.psql(words, "rows 2").await;
        assert!(content && text == "0\n1\n", "{words}: {text}");
        let start = server.scripts.opened.lock().unwrap().pop().unwrap();
        assert_eq!(start.auth_method, method);
        assert_eq!(start.tls, words != "sslmode=disable");
        assert_eq!(start.authenticated.name(), "admin");
    }
    let (text, content) = server.psql("password=wrong sslmode=require", "rows 1").await;
    assert!(!content && text.contains("password authentication failed for user \"admin\""), "{text}");
    let (text, _) = server.psql("user=nobody_there sslmode=require", "rows 1").await;
    assert!(text.contains("password authentication failed for user \"nobody_there\""), "{text}");
    let (text, _) = server.psql("dbname=absent sslmode=require", "rows 1").await;
    assert!(text.contains("database \"absent\" does not exist"), "{text}");
    assert_eq!(*server.counts.refused.lock().unwrap(), ["28P01", "28P01", "3D000"]);
    assert_eq!(server.counts.admitted.load(Ordering::SeqCst), 3);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.counts.left.load(Ordering::SeqCst), 3);
    assert_eq!(server.live.count(), 0);
}

#[tokio::test]
async fn psql_with_a_clear_text_password_inside_tls() {
    let server = running(|options| options.auth_method = AuthMethod::Password).await;
    let (text, content) = server.psql("sslmode=verify-full", "rows 1").await;
    assert!(content, "{text}");
    assert_eq!(server.scripts.opened.lock().unwrap().pop().unwrap().auth_method, "password");
    let (text, content) = server.psql("sslmode=require password=wrong", "rows 1").await;
    assert!(!content && text.contains("password authentication failed"), "{text}");
    let (text, content) = server.psql("sslmode=disable", "rows 1").await;
    assert!(content, "SCRAM without TLS: {text}");
}

#[tokio::test]
async fn what_is_refused_before_login() {
    let server = running(|_| {}).await;
    let user = startup(&["user", "admin", "database", "main"]);
    let sasl = "R";
    for (name, bytes, expected) in [
        ("stuffed", [&SSL_REQUEST[..], &user, &query("rows 1")].concat(), "E![08P01]"),
        ("length 4", vec![0, 0, 0, 4], "E![08P01]"),
        ("too long", vec![0, 0x10, 0, 0, 0, 3, 0, 0], "E![08P01]"),
        ("no user", startup(&[]), "E![28000]"),
        ("no terminator", b"\0\0\0\x13\0\x03\0\0user\0admin\0".to_vec(), "E![08P01]"),
        ("protocol 4", vec![0, 0, 0, 8, 0, 4, 0, 0], "E![0A000]"),
        ("two start-ups", [&user[..], &user].concat(), &format!("{sasl}E![08P01]")),
        ("a query for a password", [&user[..], b"Q\x3f\xff\xff\xf0"].concat(), &format!("{sasl}E![08P01]")),
        ("a long password", [&user[..], b"p\x3f\xff\xff\xf0"].concat(), &format!("{sasl}E![08P01]")),
        ("no mechanism", [&user[..], &message(b'p', b"\0\0\0\0\0")].concat(), &format!("{sasl}E![08P01]")),
        ("not SASL", [&user[..], &message(b'p', b"secret\0")].concat(), &format!("{sasl}E![08P01]")),
        (
            "PLUS without TLS",
            [&user[..], &message(b'p', b"SCRAM-SHA-256-PLUS\0\0\0\0\x22p=tls-server-end-point,,n=,r=abcdefg")].concat(),
            &format!("{sasl}E![08P01]"),
        ),
    ] {
        assert_eq!(server.answer(&bytes).await, expected, "{name}");
    }
    assert!(server.scripts.opened.lock().unwrap().is_empty());
    let version_two = {
        let mut stream = server.connect().await;
        stream.write_all(&[0, 0, 0, 8, 0, 2, 0, 0]).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    assert_eq!(version_two, "EFATAL:  unsupported frontend protocol 2.0: server supports 3.0 to 3.2\n\0");
}

#[tokio::test]
async fn connections_are_bounded_in_number_and_time() {
    let server = running(|options| {
        options.max_unauthenticated = 2;
        options.login_deadline = Duration::from_millis(400);
    })
    .await;
    let (mut one, _two) = (server.connect().await, server.connect().await);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(server.answer(b"").await, "E![53300]");
    assert_eq!(read_to_end(&mut one).await, "", "closed at the deadline");
    let (text, content) = server.psql("sslmode=disable", "rows 1").await;
    assert!(content, "{text}");
    let full = running(|options| options.max_connections = 0).await;
    let (text, _) = full.psql("", "rows 1").await;
    assert!(text.contains("sorry, too many clients already"), "{text}");
}

#[tokio::test]
async fn a_drain_ends_idle_sessions_at_once_and_running_ones_at_the_deadline() {
    let mut server = running(|_| {}).await;
    let dsn = format!("host=127.0.0.1 port={} user=admin dbname=main", server.port);
    let waiting = Command::new("psql")
        .args([&dsn, "-AtX", "-c", "wait"])
        .env("PGPASSWORD", PASSWORD)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while server.live.count() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.live.list()[0].state, ActivityState::Active);
    assert_eq!(server.live.list()[0].query.as_deref(), Some("wait"));
    server.shutdown.cancel();
    let output = waiting.wait_with_output().await.unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("terminating connection due to administrator command"), "{text}");
    server.server.join_next().await.unwrap().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", server.port)).await.is_err());
}

#[tokio::test]
async fn a_changed_certificate_is_taken_up() {
    let server = running(|_| {}).await;
    let other = tempfile::tempdir().unwrap();
    Tls::load(other.path(), None, None).unwrap();
    for name in ["server.crt", "server.key", "ca.crt"] {
        std::fs::copy(other.path().join(name), server.dir.path().join(name)).unwrap();
    }
    let mut last = (String::new(), false);
    for _ in 0..40 {
        last = server.psql("sslmode=verify-full channel_binding=require", "rows 1").await;
        if last.1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert!(last.1, "the new pair is served: {}", last.0);
}
