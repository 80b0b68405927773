//! Bounded fuzzing of a live server: mutated SQL, mutated messages. `LAKEGATE_FUZZ_SECONDS` sets how long (20 each).

use std::time::{Duration, Instant};

use lakegate_tests::server::{Options, Server};
use lakegate_tests::tools::repository;
use lakegate_tests::wire::{self, Target, Wire};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

fn limit() -> Duration {
    let seconds = std::env::var("LAKEGATE_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(20))
}

/// The seed is printed: `LAKEGATE_FUZZ_SEED` plays a run again.
fn random() -> StdRng {
    let seed = std::env::var("LAKEGATE_FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    println!("LAKEGATE_FUZZ_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

fn seeds() -> Vec<String> {
    let read = |file: &str| std::fs::read_to_string(repository().join("tests/sql").join(file)).unwrap();
    let mut seeds = Vec::new();
    for line in read("values.sql").lines().filter(|line| !line.starts_with("--") && !line.is_empty()) {
        seeds.push(if line.starts_with("SET ") { line.to_owned() } else { format!("SELECT {line}") });
    }
    seeds.extend(read("sqlstates.sql").lines().filter(|line| !line.starts_with("--") && !line.is_empty()).map(str::to_owned));
    seeds
}

#[tokio::test]
async fn mutated_sql_never_breaks_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(&Options::new(&folder.path().join("data"))).unwrap();
    let target = Target::of_server(&server);
    let parameters = [("statement_timeout", "2000")];
    let (mut random, seeds) = (random(), seeds());
    let mut connection = Wire::login(&target, true, &parameters).await.unwrap();
    connection.send(&wire::query("CREATE TABLE t (a int, b text, c numeric(10,2)); INSERT INTO t VALUES (1, 'x', 2.50)")).await.unwrap();
    connection.until_ready().await.unwrap();
    let words: Vec<&str> = seeds.iter().flat_map(|seed| seed.split(' ')).collect();
    let until = Instant::now() + limit();
    let (mut sent, mut succeeded, mut internal) = (0, 0, Vec::new());
    while Instant::now() < until {
        let sql = mutate(&seeds, &words, &mut random);
        let bytes = if random.random_bool(0.5) {
            wire::query(&sql)
        } else {
            [
                wire::parse("", &sql, &[]),
                wire::describe(b'S', ""),
                wire::bind("", "", &[], &[], &[]),
                wire::execute("", 100),
                wire::bare(b'S'),
            ]
            .concat()
        };
        sent += 1;
        let answer = async {
            connection.send(&bytes).await?;
            connection.until_ready().await
        };
        // COPY FROM STDIN and the like leave the protocol's order, which ends in an error here: begin anew.
        if let Ok(messages) = answer.await {
            let error = messages.iter().find(|message| message.tag == b'E');
            match error.and_then(|error| wire::error_field(&error.body, b'C')) {
                None => succeeded += 1,
                Some(code) if code == "XX000" => internal.push(format!("{sql}\n    {}", wire::describe_error(&error.unwrap().body))),
                Some(_) => {}
            }
        }
        let healthy = connection_is_ready(&mut connection).await;
        if !healthy {
            assert_eq!(server.process.exit_code().unwrap(), None, "the server died of: {sql}\n{}", server.log());
            connection = Wire::login(&target, true, &parameters).await.unwrap_or_else(|error| panic!("after {sql}: {error}"));
        }
    }
    assert!(sent > 50, "only {sent} statements");
    assert!(succeeded > sent / 50, "{succeeded} of {sent} succeeded: the mutations are too wild to test anything");
    internal.truncate(20);
    assert!(internal.is_empty(), "internal errors:\n{}", internal.join("\n"));
}

#[tokio::test]
async fn mutated_messages_never_break_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(&Options::new(&folder.path().join("data"))).unwrap();
    let target = Target::of_server(&server);
    let mut random = random();
    let before = server.process.resident_bytes().unwrap();
    let until = Instant::now() + limit();
    let mut conversations = 0;
    while Instant::now() < until {
        conversations += 1;
        let logged_in = random.random_bool(0.5);
        let (mut connection, mut bytes) = if logged_in {
            let Ok(connection) = Wire::login(&target, random.random_bool(0.3), &[]).await else { continue };
            (connection, conversation(&mut random))
        } else {
            (Wire::open(target.port).await.unwrap(), [wire::startup("admin", "main", &[]), conversation(&mut random)].concat())
        };
        for _ in 0..random.random_range(1..8) {
            damage(&mut bytes, &mut random);
        }
        let _ = connection.send(&bytes).await;
        // Whatever it answers; a damaged length may make it wait for more, so do not.
        let _ = tokio::time::timeout(Duration::from_millis(20), connection.until_ready()).await;
        if conversations % 50 == 0 {
            assert_eq!(server.process.exit_code().unwrap(), None, "the server died\n{}", server.log());
        }
    }
    assert!(conversations > 50, "only {conversations} conversations");
    let log = server.log();
    assert!(!log.contains("panicked at"), "{log}");
    let mut connection = Wire::login(&target, true, &[]).await.unwrap();
    connection.send(&wire::query("SELECT 1")).await.unwrap();
    assert!(connection.until_ready().await.unwrap().iter().any(|message| message.tag == b'D'));
    let grown = server.process.resident_bytes().unwrap().saturating_sub(before);
    assert!(grown < 256 << 20, "grew by {} MiB", grown >> 20);
}

/// Nothing more is on its way, and a Sync is answered.
async fn connection_is_ready(connection: &mut Wire) -> bool {
    if connection.send(&wire::bare(b'S')).await.is_err() {
        return false;
    }
    matches!(tokio::time::timeout(Duration::from_secs(5), connection.until_ready()).await, Ok(Ok(_)))
}

fn mutate(seeds: &[String], words: &[&str], random: &mut StdRng) -> String {
    let pick = |random: &mut StdRng| seeds[random.random_range(0..seeds.len())].clone();
    let mut sql = pick(random);
    for _ in 0..random.random_range(0..4) {
        let mut tokens: Vec<String> = sql.split(' ').map(str::to_owned).collect();
        let at = random.random_range(0..tokens.len());
        match random.random_range(0..8) {
            0 => drop(tokens.remove(at)),
            1 => tokens.insert(at, words[random.random_range(0..words.len())].to_owned()),
            2 => tokens[at] = words[random.random_range(0..words.len())].to_owned(),
            3 => tokens.insert(at, tokens[at].clone()),
            4 => tokens.push(format!("FROM t WHERE {}", words[random.random_range(0..words.len())])),
            5 => tokens = vec![format!("SELECT * FROM ({}) q", tokens.join(" "))],
            6 => tokens.push(format!("UNION ALL {}", pick(random))),
            _ => {
                let mut characters: Vec<char> = tokens[at].chars().collect();
                if !characters.is_empty() {
                    let place = random.random_range(0..characters.len());
                    characters[place] = ['\'', '"', '(', ')', ';', '$', '-', '\\', '0', 'é', '[', '.'][random.random_range(0..12)];
                }
                tokens[at] = characters.into_iter().collect();
            }
        }
        sql = tokens.join(" ");
    }
    sql
}

/// A valid conversation, to be damaged.
fn conversation(random: &mut StdRng) -> Vec<u8> {
    let parts: [Vec<u8>; 12] = [
        wire::query("SELECT 1, 'x', NULL"),
        wire::query("BEGIN; SELECT 2; ROLLBACK"),
        wire::parse("s", "SELECT $1::int4, $2::text", &[23, 25]),
        wire::bind("p", "s", &[1, 0], &[Some(vec![0, 0, 0, 1]), None], &[1]),
        wire::describe(b'S', "s"),
        wire::describe(b'P', "p"),
        wire::execute("p", 1),
        wire::close(b'S', "s"),
        wire::bare(b'S'),
        wire::bare(b'H'),
        wire::query("CREATE TEMP TABLE IF NOT EXISTS c (a int4); COPY c FROM STDIN"),
        wire::message_of(b'd', |out| out.extend_from_slice(b"1\n2\n")),
    ];
    (0..random.random_range(1..8)).flat_map(|_| parts[random.random_range(0..parts.len())].clone()).chain(wire::bare(b'S')).collect()
}

fn damage(bytes: &mut Vec<u8>, random: &mut StdRng) {
    if bytes.is_empty() {
        return;
    }
    let at = random.random_range(0..bytes.len());
    match random.random_range(0..5) {
        0 => bytes[at] ^= 1 << random.random_range(0..8),
        1 => bytes[at] = random.random(),
        2 => drop(bytes.remove(at)),
        3 => bytes.insert(at, random.random()),
        _ => bytes.truncate(at),
    }
}
