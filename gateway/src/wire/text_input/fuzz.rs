//! Values of outside bytes, mutated: every type's text and binary reader answers with a value or an error, and what it took it can
//! write. From a fixed seed; `LAKEGATE_FUZZ_SECONDS` and `LAKEGATE_FUZZ_SEED` as elsewhere.

use std::time::{Duration, Instant};

use lakegate_catalog::model::PgType;
use lakegate_engine_api::arrow_field;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::tests::{manner, style};
use super::{ColumnBuilder, Consumed};
use crate::wire::outgoing::Format;
use crate::wire::rows::{Column, Manner};

const ROUNDS: u64 = 60_000;

const TYPES: &[u32] = &[
    16, 17, 18, 19, 20, 21, 22, 23, 25, 26, 30, 114, 700, 701, 1042, 1043, 1082, 1083, 1114, 1184, 1186, 1700, 2950, 3802, 1000, 1007,
    1009, 1182, 1185, 1187, 1231, 2951, 3807, 199,
];

const SEEDS: &[&str] = &[
    "",
    "1",
    "-12.5e3",
    "true",
    "2024-02-29 12:34:56.789+05:30",
    "January 8, 1999 04:05 PM PST",
    "J2451187",
    "1 year 2 mons -3 days 04:05:06",
    "P1Y2M3DT4H5M6S",
    "{1,NULL,\"a b\"}",
    "{{1,2},{3,4}}",
    "[1:2]={1,2}",
    "{\"a\":[1,2.5,{\"b\":null}],\"c\":\"\\u00e9\"}",
    "\\xdeadbeef",
    "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    "infinity",
    "0044-03-15 BC",
    "99999999999999999999",
    "1e-400",
    "grüße",
];

#[test]
fn mutated_values_are_values_or_errors() {
    let setting = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    if let Some(seed) = setting("LAKEGATE_FUZZ_SEED") {
        return one_value(seed);
    }
    let until = setting("LAKEGATE_FUZZ_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut seed = 0;
    while seed < ROUNDS || until.is_some_and(|until| Instant::now() < until) {
        one_value(seed);
        seed += 1;
    }
}

fn one_value(seed: u64) {
    let outcome = std::panic::catch_unwind(|| {
        let mut random = StdRng::seed_from_u64(seed);
        let pg = PgType::plain(TYPES[random.random_range(0..TYPES.len())]);
        let field = arrow_field("c", pg, true).unwrap();
        let mut builder = ColumnBuilder::new(&field, &manner()).unwrap();
        let text = mutated(SEEDS[random.random_range(0..SEEDS.len())].as_bytes(), &mut random);
        let text = String::from_utf8_lossy(&text).replace('\0', "0");
        if builder.append_text(&text).is_ok() {
            let manner = Manner { style: std::sync::Arc::new(style()), names: None };
            let array = builder.finish();
            let mut out = Vec::new();
            let column = Column::new(&field, &array, Format::Text, &manner).unwrap();
            column.write(0, &mut out).unwrap_or_else(|error| panic!("{pg:?} {text:?}: {error}"));
            let column = Column::new(&field, &array, Format::Binary, &manner).unwrap();
            let mut binary = Vec::new();
            column.write(0, &mut binary).unwrap_or_else(|error| panic!("{pg:?} {text:?}: {error}"));
            let mut builder = ColumnBuilder::new(&field, &super::tests::manner()).unwrap();
            let again = builder.append_binary(&binary);
            assert!(matches!(again, Ok(Consumed::All)), "{pg:?} {text:?} as {binary:?}: {again:?}");
            let bytes = mutated(&binary, &mut random);
            let mut builder = ColumnBuilder::new(&field, &super::tests::manner()).unwrap();
            let _ = builder.append_binary(&bytes);
        }
    });
    assert!(outcome.is_ok(), "LAKEGATE_FUZZ_SEED={seed}");
}

fn mutated(bytes: &[u8], random: &mut StdRng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..random.random_range(0..5) {
        let at = random.random_range(0..=bytes.len());
        match random.random_range(0..5) {
            0 if at < bytes.len() => bytes[at] = random.random(),
            1 if at < bytes.len() => {
                bytes.remove(at);
            }
            2 => bytes.truncate(at),
            3 => bytes.insert(at, *b"0123456789-+:. eE{}\",\\TZ".get(random.random_range(0..24)).unwrap_or(&b'0')),
            _ => {
                let end = (at + random.random_range(0..8)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}
