//! What a peer can do to the server before it has proved who it is.

use std::time::{Duration, Instant};

use lakegate_tests::client::Client;
use lakegate_tests::server::{Options, Server};
use lakegate_tests::wire::{Target, Wire, describe_error, ssl_request, startup};

use crate::support::unique;

fn own_server() -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Server::start(&Options::new(&folder.path().join("data"))).unwrap(), folder)
}

#[tokio::test]
async fn nothing_before_login_costs_memory() {
    let (server, _folder) = own_server();
    let before = server.process.resident_bytes().unwrap();
    let flood = vec![b'x'; 1 << 20];
    let mut connections = Vec::new();
    for greeting in [
        Vec::new(),
        startup("admin", "main", &[]),
        // A start-up packet that declares 256 MiB.
        [0x1000_0000_i32.to_be_bytes(), 0x0003_0000_i32.to_be_bytes()].concat(),
        ssl_request(),
    ] {
        let mut connection = Wire::open(server.port).await.unwrap();
        connection.send(&greeting).await.unwrap();
        connection.send(&[b'Q', 0x3f, 0xff, 0xff, 0xf0]).await.unwrap();
        for _ in 0..64 {
            // The server has closed, or does not read: both are fine.
            match tokio::time::timeout(Duration::from_millis(200), connection.send(&flood)).await {
                Ok(Ok(())) => {}
                _ => break,
            }
        }
        connections.push(connection);
    }
    let grown = server.process.resident_bytes().unwrap().saturating_sub(before);
    assert!(grown < 24 << 20, "grew by {} KiB", grown >> 10);
    Client::admin(&server).await.unwrap();
}

#[tokio::test]
async fn a_silent_peer_is_sent_away() {
    let (server, _folder) = own_server();
    for greeting in [Vec::new(), startup("admin", "main", &[]), ssl_request(), vec![0, 0, 0]] {
        let mut connection = Wire::open(server.port).await.unwrap();
        connection.send(&greeting).await.unwrap();
        let started = Instant::now();
        // Until the end of the stream, whatever comes before it.
        while tokio::time::timeout(Duration::from_secs(20), connection.byte()).await.expect("it is closed").unwrap().is_some() {}
        assert!(started.elapsed() < Duration::from_secs(13), "took {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn connections_are_bounded_and_the_bound_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new(&folder.path().join("data")).argument("--max-connections").argument("8");
    let server = Server::start(&options).unwrap();
    let mut open = Vec::new();
    let refusal = loop {
        match Wire::login(&Target::of_server(&server), true, &[]).await {
            Ok(connection) => open.push(connection),
            Err(error) => break error.to_string(),
        }
        assert!(open.len() < 40, "no bound was met");
    };
    assert!(refusal.contains("53300"), "{refusal}");
    open.clear();
    tokio::time::sleep(Duration::from_millis(500)).await;
    Client::admin(&server).await.unwrap();
}

/// The same words and about the same time, so that role names cannot be told from guesses.
#[tokio::test]
async fn an_unknown_role_looks_like_a_wrong_password() {
    let (server, _folder) = own_server();
    let admin = Client::admin(&server).await.unwrap();
    let (mut known_times, mut unknown_times) = (Vec::new(), Vec::new());
    for tls in [true, false] {
        for _ in 0..6 {
            let known = unique("known");
            admin.batch_execute(&format!("CREATE ROLE {known} LOGIN PASSWORD 'right'")).await.unwrap();
            let unknown = unique("known");
            let mut words = Vec::new();
            for (role, times) in [(&known, &mut known_times), (&unknown, &mut unknown_times)] {
                let target = Target { user: role.clone(), password: "wrong".to_owned(), ..Target::of_server(&server) };
                let started = Instant::now();
                let error = Wire::login(&target, tls, &[]).await.unwrap_err().to_string();
                times.push(started.elapsed());
                words.push(error.replace(role, "ROLE"));
            }
            assert_eq!(words[0], words[1]);
            assert!(words[0].starts_with("FATAL 28P01"), "{}", words[0]);
        }
    }
    known_times.sort();
    unknown_times.sort();
    let (known, unknown) = (known_times[known_times.len() / 2], unknown_times[unknown_times.len() / 2]);
    let ratio = known.as_secs_f64() / unknown.as_secs_f64();
    assert!((0.4..2.5).contains(&ratio), "known {known:?}, unknown {unknown:?}");
}

#[tokio::test]
async fn a_refusal_says_nothing_of_the_server() {
    let (server, folder) = own_server();
    let mut connection = Wire::open(server.port).await.unwrap();
    connection.send(&startup("admin", "no_such_database", &[])).await.unwrap();
    let refusal = connection.authenticate("wrong").await.unwrap().expect("refused");
    let said = describe_error(&refusal.body);
    assert!(said.starts_with("FATAL 28P01"), "the database is not looked at before the password: {said}");
    assert!(!said.contains(&folder.path().display().to_string()) && !said.contains(".rs"), "{said}");
}
