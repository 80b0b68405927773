//! Mutations of valid message sequences: no panic, no hang, and an end in any case. From a fixed seed, so that an ordinary run is
//! the same each time; `LAKEGATE_FUZZ_SECONDS` runs on with other seeds, `LAKEGATE_FUZZ_SEED` plays one again.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::script::*;
use crate::session::SessionLimits;
use crate::wire::frame::MessageLimits;

const ROUNDS: u64 = 3_000;

#[tokio::test]
async fn mutated_sequences_end_well() {
    let setting = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    if let Some(seed) = setting("LAKEGATE_FUZZ_SEED") {
        return one_sequence(seed).await;
    }
    let until = setting("LAKEGATE_FUZZ_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut seed = 0;
    while seed < ROUNDS || until.is_some_and(|until| Instant::now() < until) {
        one_sequence(seed).await;
        seed += 1;
    }
}

async fn one_sequence(seed: u64) {
    let messages = MessageLimits { statement_bytes_max: 4_096, copy_data_bytes_max: 4_096 };
    let mut random = StdRng::seed_from_u64(seed);
    let mut pair = start(SessionLimits { messages, ..SessionLimits::default() }, 1 << 20);
    let bytes = mutated(&mut random);
    let outcome = tokio::time::timeout(Duration::from_secs(20), async {
        pair.client.write_all(&bytes).await.unwrap();
        pair.client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        pair.client.read_to_end(&mut answer).await.unwrap();
        pair.task.join_next().await.unwrap()
    })
    .await;
    match outcome {
        Ok(ended) => ended.unwrap_or_else(|error| panic!("LAKEGATE_FUZZ_SEED={seed}: {error}")),
        Err(_) => panic!("LAKEGATE_FUZZ_SEED={seed} hangs"),
    }
}

fn mutated(random: &mut StdRng) -> Vec<u8> {
    let mut sequence: Vec<Vec<u8>> = (0..random.random_range(1..8)).map(|_| valid(random)).collect();
    if random.random_bool(0.3) {
        let (one, other) = (random.random_range(0..sequence.len()), random.random_range(0..sequence.len()));
        sequence.swap(one, other);
    }
    let mut bytes = sequence.concat();
    for _ in 0..random.random_range(0..6) {
        if bytes.is_empty() {
            break;
        }
        let at = random.random_range(0..bytes.len());
        match random.random_range(0..6) {
            0 => bytes[at] = random.random(),
            1 => bytes[at] ^= 1 << random.random_range(0..8),
            2 => bytes.truncate(at),
            3 => {
                bytes.remove(at);
            }
            4 => bytes.insert(at, random.random()),
            _ => {
                let end = (at + random.random_range(1..20)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let to = random.random_range(0..bytes.len());
                bytes.splice(to..to, piece);
            }
        }
    }
    bytes
}

fn valid(random: &mut StdRng) -> Vec<u8> {
    match random.random_range(0..14) {
        0 => query("rows 5"),
        1 => query("ok;rows 2;;error"),
        2 => parse("s", "echo $1", &[23]),
        3 => parse("", "rows 9", &[]),
        4 => bind("", "s", &[Some(b"12")]),
        5 => bind("p", "", &[]),
        6 => execute("", random.random_range(-1..4)),
        7 => execute("p", 2),
        8 => describe_message(b'S', "s"),
        9 => describe_message(b'P', "p"),
        10 => [query("copyin"), message(b'd', b"1\n"), message(b'c', b"")].concat(),
        11 => query("begin"),
        12 => close(b'P', "p"),
        _ => SYNC.to_vec(),
    }
}
