//! Which engine does a piece of work: rendezvous hashing over the tables that it opens, so that their files are warm there, bounded by load.
//! An engine that comes or goes moves its own share alone.

/// An engine to choose from.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    pub name: &'a str,
    /// Its share is as large.
    pub cores: u32,
    /// What runs there.
    pub load: usize,
}

/// None has more than this much of an even share.
const LOAD_FACTOR: f64 = 1.25;

/// The place of the engine in the list; `None` where it is empty.
#[must_use]
pub fn choose(candidates: &[Candidate<'_>], tables: &[&str]) -> Option<usize> {
    let running: usize = candidates.iter().map(|candidate| candidate.load).sum();
    let cores: f64 = candidates.iter().map(|candidate| f64::from(candidate.cores)).sum();
    let room = |candidate: &Candidate<'_>| {
        let share = LOAD_FACTOR * (running + 1) as f64 * f64::from(candidate.cores) / cores;
        (candidate.load as f64) < share.ceil()
    };
    let order = preference(candidates, tables);
    order.iter().copied().find(|place| candidates.get(*place).is_some_and(&room)).or_else(|| order.first().copied())
}

/// Places in the list, the best first.
fn preference(candidates: &[Candidate<'_>], tables: &[&str]) -> Vec<usize> {
    let mut scored: Vec<(f64, usize)> = candidates
        .iter()
        .enumerate()
        .map(|(place, candidate)| {
            // One of the tables decides: the engine is the first choice of that table alone, too.
            let best = tables.iter().map(|table| score(candidate, table)).fold(f64::NEG_INFINITY, f64::max);
            (if tables.is_empty() { score(candidate, "") } else { best }, place)
        })
        .collect();
    scored.sort_by(|one, other| other.0.total_cmp(&one.0));
    scored.into_iter().map(|(_, place)| place).collect()
}

/// Weighted rendezvous hashing: the logarithm makes an engine win as often as its weight says.
fn score(candidate: &Candidate<'_>, table: &str) -> f64 {
    let unit = (hash(candidate.name, table) >> 11) as f64 / (1_u64 << 53) as f64;
    -f64::from(candidate.cores) / unit.max(f64::MIN_POSITIVE).ln()
}

/// FNV-1a with the finaliser of MurmurHash3: the same in every gateway of every version.
fn hash(engine: &str, table: &str) -> u64 {
    let bytes = engine.bytes().chain([0]).chain(table.bytes());
    let mixed = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engines<'a>(names: &[&'a str]) -> Vec<Candidate<'a>> {
        names.iter().map(|name| Candidate { name, cores: 2, load: 0 }).collect()
    }

    fn chosen<'a>(candidates: &[Candidate<'a>], tables: &[&str]) -> &'a str {
        candidates[choose(candidates, tables).unwrap()].name
    }

    #[test]
    fn an_engine_that_goes_moves_its_share_alone() {
        let (all, fewer) = (engines(&["a", "b", "c", "d"]), engines(&["a", "b", "d"]));
        let mut counts = std::collections::BTreeMap::new();
        for number in 0..4_000 {
            let table = format!("file:///lake/{number}/");
            let before = chosen(&all, &[&table]);
            *counts.entry(before).or_insert(0) += 1;
            if before != "c" {
                assert_eq!(chosen(&fewer, &[&table]), before);
            }
        }
        assert!(counts.values().all(|count| (850..1_150).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_join_runs_where_one_of_its_tables_does() {
        let all = engines(&["a", "b", "c", "d", "e"]);
        for number in 0..100 {
            let (one, other) = (format!("{number}/x"), format!("{number}/y"));
            let both = chosen(&all, &[&one, &other]);
            assert!([chosen(&all, &[&one]), chosen(&all, &[&other])].contains(&both));
            assert_eq!(both, chosen(&all, &[&other, &one]));
        }
    }

    #[test]
    fn cores_are_weights() {
        let all = [Candidate { name: "small", cores: 1, load: 0 }, Candidate { name: "large", cores: 3, load: 0 }];
        let large = (0..4_000).filter(|number| chosen(&all, &[&number.to_string()]) == "large").count();
        assert!((2_850..3_150).contains(&large), "{large}");
    }

    #[test]
    fn a_busy_engine_is_passed_over() {
        let mut all = engines(&["a", "b"]);
        let first = chosen(&all, &["t"]);
        for candidate in &mut all {
            candidate.load = if candidate.name == first { 10 } else { 0 };
        }
        assert_ne!(chosen(&all, &["t"]), first);
        assert_eq!(choose(&[], &["t"]), None);
    }
}
