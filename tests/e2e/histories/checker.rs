//! What a history of transactions must not show. A row is a register: `n` counts its versions, `w` names the transaction that wrote this one, so
//! every read says whose write it saw, and the versions of a row are in order by themselves (as Elle asks of a workload).
//!
//! Snapshot isolation allows write skew, and that alone: it is counted, not refused.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Table and id of a row.
pub type Row = (usize, i64);
/// Number of a transaction; 0 made the rows.
pub type Id = u64;

/// A row as it was read or written: version and writer.
pub type Seen = (i64, Id);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    Read(Row, Seen),
    /// The version that it made.
    Write(Row, i64),
    /// A write by itself that was not answered: nobody knows its version.
    Attempt(Row),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Committed,
    Aborted,
    /// The connection was lost while it committed.
    Unknown,
}

#[derive(Debug, Clone)]
pub struct Transaction {
    pub id: Id,
    /// Microseconds, of one clock: before the first request, and after the last answer.
    pub began: u64,
    pub ended: u64,
    pub ops: Vec<Op>,
    pub outcome: Outcome,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Verdict {
    pub violations: Vec<String>,
    pub committed: usize,
    pub unknown: usize,
    pub reads: usize,
    /// Pairs of transactions that each missed what the other wrote.
    pub write_skews: usize,
}

/// `last`: each row as it is in the end.
pub fn check(history: &[Transaction], last: &BTreeMap<Row, Seen>) -> Verdict {
    let history = &resolved(history, last);
    let mut checker = Checker::new(history);
    checker.versions(last);
    for transaction in history {
        checker.own_reads(transaction);
        checker.others_reads(transaction);
    }
    checker.whole_transactions();
    checker.time();
    checker.cycles();
    checker.write_skews();
    checker.verdict
}

/// Attempts whose version somebody saw are writes.
fn resolved(history: &[Transaction], last: &BTreeMap<Row, Seen>) -> Vec<Transaction> {
    let mut seen: HashMap<(Id, Row), i64> = last.iter().map(|(row, (version, writer))| ((*writer, *row), *version)).collect();
    for (row, (version, writer)) in history.iter().flat_map(outside) {
        seen.insert((writer, row), version);
    }
    let mut history = history.to_vec();
    for transaction in &mut history {
        for op in &mut transaction.ops {
            if let Op::Attempt(row) = op
                && let Some(version) = seen.get(&(transaction.id, *row))
            {
                *op = Op::Write(*row, *version);
            }
        }
    }
    history
}

struct Checker<'a> {
    by_id: HashMap<Id, &'a Transaction>,
    history: &'a [Transaction],
    /// Who may have made each version: committed, or nobody knows.
    writers: BTreeMap<(Row, i64), Vec<Id>>,
    verdict: Verdict,
}

/// The last version of each row that a transaction made.
fn writes(transaction: &Transaction) -> BTreeMap<Row, i64> {
    let writes = transaction.ops.iter().filter_map(|op| match op {
        Op::Write(row, version) => Some((*row, *version)),
        Op::Read(..) | Op::Attempt(_) => None,
    });
    writes.collect()
}

/// What it read of others.
fn outside(transaction: &Transaction) -> impl Iterator<Item = (Row, Seen)> + '_ {
    transaction.ops.iter().filter_map(|op| match op {
        Op::Read(row, seen) if seen.1 != transaction.id => Some((*row, *seen)),
        _ => None,
    })
}

impl<'a> Checker<'a> {
    fn new(history: &'a [Transaction]) -> Self {
        let mut writers: BTreeMap<(Row, i64), Vec<Id>> = BTreeMap::new();
        for transaction in history.iter().filter(|transaction| transaction.outcome != Outcome::Aborted) {
            for (row, version) in writes(transaction) {
                writers.entry((row, version)).or_default().push(transaction.id);
            }
        }
        let count = |outcome| history.iter().filter(|transaction| transaction.outcome == outcome).count();
        let verdict = Verdict {
            committed: count(Outcome::Committed),
            unknown: count(Outcome::Unknown),
            reads: history.iter().map(|transaction| outside(transaction).count()).sum(),
            ..Verdict::default()
        };
        let by_id = history.iter().map(|transaction| (transaction.id, transaction)).collect();
        Checker { by_id, history, writers, verdict }
    }

    fn violation(&mut self, text: String) {
        self.verdict.violations.push(text);
    }

    fn is_committed(&self, id: Id) -> bool {
        self.by_id.get(&id).is_some_and(|transaction| transaction.outcome == Outcome::Committed)
    }

    /// Each version was made once, and what was acknowledged is there: lost updates, lost commits.
    fn versions(&mut self, last: &BTreeMap<Row, Seen>) {
        let mut found = Vec::new();
        for ((row, version), writers) in &self.writers {
            let committed: Vec<&Id> = writers.iter().filter(|id| self.is_committed(**id)).collect();
            if committed.len() > 1 {
                found.push(format!("lost update: version {version} of {row:?} was made by {committed:?}"));
            }
            let there = last.get(row).map_or(0, |seen| seen.0);
            if !committed.is_empty() && *version > there {
                found.push(format!("lost commit: version {version} of {row:?} by {committed:?}, the last one is {there}"));
            }
        }
        for (row, (version, writer)) in last {
            // Those that one transaction made on its way to another count, too.
            let ops = || {
                self.history.iter().filter(|transaction| transaction.outcome != Outcome::Aborted).flat_map(|transaction| &transaction.ops)
            };
            let made = |version: i64| ops().any(|op| *op == Op::Write(*row, version));
            let nobodys: Vec<i64> = (1..=*version).filter(|version| !made(*version)).collect();
            let attempts = ops().filter(|op| **op == Op::Attempt(*row)).count();
            if nobodys.len() > attempts {
                found.push(format!("versions {nobodys:?} of {row:?} were made by nobody, and {attempts} writes of it were not answered"));
            }
            if *version > 0 && !self.writers.get(&(*row, *version)).is_some_and(|writers| writers.contains(writer)) {
                found.push(format!("the last version of {row:?} is not of transaction {writer}, which it names"));
            }
        }
        self.verdict.violations.append(&mut found);
    }

    /// A transaction sees its own writes, and else the same each time.
    fn own_reads(&mut self, transaction: &Transaction) {
        let mut known: BTreeMap<Row, Seen> = BTreeMap::new();
        for op in &transaction.ops {
            match op {
                Op::Write(row, version) => {
                    known.insert(*row, (*version, transaction.id));
                }
                Op::Attempt(_) => {}
                Op::Read(row, seen) => {
                    let before = *known.entry(*row).or_insert(*seen);
                    if before != *seen {
                        self.violation(format!("unrepeatable read of {row:?} in {}: {before:?}, then {seen:?}", transaction.id));
                    }
                }
            }
        }
    }

    /// What is read was committed, and nothing on the way to it.
    fn others_reads(&mut self, transaction: &Transaction) {
        for (row, (version, writer)) in outside(transaction) {
            if writer == 0 {
                if version != 0 {
                    self.violation(format!("{} read version {version} of {row:?} by nobody", transaction.id));
                }
                continue;
            }
            let Some(by) = self.by_id.get(&writer).copied() else {
                self.violation(format!("{} read {row:?} of {writer}, which there is not", transaction.id));
                continue;
            };
            let made = writes(by).get(&row).copied();
            if by.outcome == Outcome::Aborted {
                self.violation(format!("aborted read: {} read {row:?} of {writer}", transaction.id));
            } else if made != Some(version) {
                self.violation(format!(
                    "intermediate read: {} read version {version} of {row:?} by {writer}, which left {made:?}",
                    transaction.id
                ));
            }
        }
    }

    /// Who sees one write of a transaction sees all of it, in whatever table.
    fn whole_transactions(&mut self) {
        let mut found = Vec::new();
        for transaction in self.history {
            let reads: Vec<(Row, Seen)> = outside(transaction).collect();
            let whole: BTreeSet<Id> = reads.iter().map(|(_, seen)| seen.1).filter(|writer| *writer != 0).collect();
            for writer in whole {
                let Some(by) = self.by_id.get(&writer) else { continue };
                let all = writes(by);
                for (row, (version, _)) in &reads {
                    if all.get(row).is_some_and(|made| version < made) {
                        found.push(format!("fractured read: {} saw {writer}, but version {version} of {row:?}", transaction.id));
                    }
                }
            }
        }
        self.verdict.violations.append(&mut found);
    }

    /// What was acknowledged, or seen, before a transaction began is there for it, on whatever gateway.
    fn time(&mut self) {
        let mut known: BTreeMap<Row, Vec<(u64, i64)>> = BTreeMap::new();
        for transaction in self.history {
            if transaction.outcome == Outcome::Committed {
                for (row, version) in writes(transaction) {
                    known.entry(row).or_default().push((transaction.ended, version));
                }
            }
            for (row, (version, _)) in outside(transaction) {
                known.entry(row).or_default().push((transaction.ended, version));
            }
        }
        for events in known.values_mut() {
            events.sort_unstable();
            let mut most = 0;
            for event in events {
                most = most.max(event.1);
                event.1 = most;
            }
        }
        let mut found = Vec::new();
        for transaction in self.history {
            for (row, (version, _)) in outside(transaction) {
                let Some(events) = known.get(&row) else { continue };
                let before = events.partition_point(|event| event.0 < transaction.began);
                let least = before.checked_sub(1).and_then(|at| events.get(at)).map_or(0, |event| event.1);
                if version < least {
                    found.push(format!(
                        "stale read: {} read version {version} of {row:?}, version {least} was known before it began",
                        transaction.id
                    ));
                }
            }
        }
        self.verdict.violations.append(&mut found);
    }

    /// Nobody comes before himself: neither by versions of rows nor by what was read (G0, G1c).
    fn cycles(&mut self) {
        let mut after: BTreeMap<Id, BTreeSet<Id>> = BTreeMap::new();
        for ((row, version), writers) in &self.writers {
            let next = self.writers.get(&(*row, version + 1));
            for (writer, next) in writers.iter().flat_map(|writer| next.into_iter().flatten().map(move |next| (writer, next))) {
                if self.is_committed(*writer) && self.is_committed(*next) && writer != next {
                    after.entry(*writer).or_default().insert(*next);
                }
            }
        }
        for transaction in self.history.iter().filter(|transaction| transaction.outcome == Outcome::Committed) {
            for (_, (_, writer)) in outside(transaction) {
                if self.is_committed(writer) {
                    after.entry(writer).or_default().insert(transaction.id);
                }
            }
        }
        // What nobody comes before is taken away until nothing is left, or a cycle.
        let mut before: BTreeMap<Id, usize> = BTreeMap::new();
        for next in after.values().flatten() {
            *before.entry(*next).or_default() += 1;
        }
        let mut free: Vec<Id> = after.keys().copied().filter(|id| !before.contains_key(id)).collect();
        while let Some(id) = free.pop() {
            for next in after.remove(&id).unwrap_or_default() {
                if let Some(count) = before.get_mut(&next) {
                    *count -= 1;
                    if *count == 0 {
                        before.remove(&next);
                        free.push(next);
                    }
                }
            }
        }
        after.retain(|_, next| !next.is_empty());
        if !after.is_empty() {
            self.violation(format!("cycle among {:?}", after.keys().collect::<Vec<_>>()));
        }
    }

    fn write_skews(&mut self) {
        let missed = |one: &Transaction, other: &Transaction| {
            let wrote = writes(other);
            outside(one).any(|(row, (version, _))| wrote.get(&row).is_some_and(|made| version < *made))
        };
        let committed: Vec<&Transaction> = self.history.iter().filter(|transaction| transaction.outcome == Outcome::Committed).collect();
        for (at, one) in committed.iter().enumerate() {
            let beside = committed.iter().skip(at + 1).filter(|other| one.began < other.ended && other.began < one.ended);
            self.verdict.write_skews += beside.filter(|other| missed(one, other) && missed(other, one)).count();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Row = (0, 1);
    const B: Row = (1, 1);

    fn transaction(id: Id, began: u64, ended: u64, ops: &[Op]) -> Transaction {
        Transaction { id, began, ended, ops: ops.to_vec(), outcome: Outcome::Committed }
    }

    fn found(history: &[Transaction], last: &[(Row, Seen)]) -> String {
        check(history, &last.iter().copied().collect()).violations.join("; ")
    }

    #[test]
    fn a_good_history_passes() {
        let history = [
            transaction(1, 0, 10, &[Op::Read(A, (0, 0)), Op::Write(A, 1), Op::Read(A, (1, 1)), Op::Write(B, 1)]),
            transaction(2, 11, 20, &[Op::Read(A, (1, 1)), Op::Read(B, (1, 1)), Op::Write(A, 2), Op::Write(A, 3)]),
        ];
        assert_eq!(found(&history, &[(A, (3, 2)), (B, (1, 1))]), "");
    }

    #[test]
    fn each_anomaly_is_found() {
        let read = |id, ops: &[Op]| transaction(id, 0, 30, ops);
        let write = transaction(1, 0, 10, &[Op::Write(A, 1), Op::Write(B, 1)]);
        let last = [(A, (1, 1)), (B, (1, 1))];
        let again = transaction(2, 0, 10, &[Op::Read(A, (0, 0)), Op::Write(A, 1)]);
        assert!(found(&[write.clone(), again], &last).starts_with("lost update"));
        assert!(found(std::slice::from_ref(&write), &[(A, (1, 1))]).starts_with("lost commit"));
        assert!(found(&[], &[(A, (1, 9))]).contains("made by nobody"));
        let attempt = Transaction { outcome: Outcome::Unknown, ..transaction(9, 0, 10, &[Op::Attempt(A)]) };
        assert_eq!(found(std::slice::from_ref(&attempt), &[(A, (1, 9))]), "");
        assert_eq!(found(&[attempt], &[(A, (0, 0))]), "");
        let changing = read(2, &[Op::Read(A, (0, 0)), Op::Read(A, (1, 1))]);
        assert!(found(&[write.clone(), changing], &last).starts_with("unrepeatable read"));
        let half = read(2, &[Op::Read(A, (1, 1)), Op::Read(B, (0, 0))]);
        assert!(found(&[write.clone(), half], &last).starts_with("fractured read"));
        let stale = transaction(2, 11, 20, &[Op::Read(A, (0, 0))]);
        assert!(found(&[write.clone(), stale], &last).starts_with("stale read"));
        let aborted = Transaction { outcome: Outcome::Aborted, ..transaction(3, 0, 10, &[Op::Write(A, 2)]) };
        assert!(found(&[write.clone(), aborted, read(4, &[Op::Read(A, (2, 3))])], &last).contains("aborted read"));
        let twice = transaction(3, 0, 10, &[Op::Write(A, 2), Op::Write(A, 3)]);
        let early = read(4, &[Op::Read(A, (2, 3))]);
        assert!(found(&[write.clone(), twice, early], &[(A, (3, 3)), (B, (1, 1))]).contains("intermediate read"));
        // Each saw what the other wrote.
        let one = transaction(5, 0, 10, &[Op::Read(B, (1, 6)), Op::Write(A, 1)]);
        let other = transaction(6, 0, 10, &[Op::Read(A, (1, 5)), Op::Write(B, 1)]);
        assert!(found(&[one, other], &[(A, (1, 5)), (B, (1, 6))]).starts_with("cycle"));
    }

    #[test]
    fn write_skew_is_counted() {
        let one = transaction(1, 0, 10, &[Op::Read(A, (0, 0)), Op::Write(B, 1)]);
        let other = transaction(2, 1, 9, &[Op::Read(B, (0, 0)), Op::Write(A, 1)]);
        let verdict = check(&[one, other], &[(A, (1, 2)), (B, (1, 1))].into_iter().collect());
        assert_eq!((verdict.write_skews, verdict.violations.len()), (1, 0));
    }
}
