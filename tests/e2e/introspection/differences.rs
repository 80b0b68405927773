//! `tests/introspection/differences.txt`: what may differ, each entry under the reason for it.

use lakegate_tests::Result;

use super::answer::{Answer, without};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    /// `mask COLUMN`: the values of a column of this name.
    Mask(String),
    /// `row postgres|lakegate VALUE`: rows with this value that only one side has.
    Row { of_postgres: bool, value: String },
    /// `cell POSTGRES => LAKEGATE`: one value stands for the other.
    Cell(String, String),
    /// `statement FINGERPRINT KIND`: this statement differs in that way.
    Statement(String, String),
}

pub struct Differences {
    /// With the line it stands in, and whether it was needed; chance decides for those with a question mark.
    entries: Vec<(usize, Entry, bool)>,
}

impl Differences {
    /// # Errors
    /// For a line that is none of the four, or stands under no reason.
    pub fn read(text: &str) -> Result<Differences> {
        let mut entries = Vec::new();
        let mut has_reason = false;
        for (number, line) in (1..).zip(text.lines()) {
            if line.starts_with('#') {
                has_reason = true;
                continue;
            }
            if line.trim().is_empty() {
                has_reason = false;
                continue;
            }
            let by_chance = line.split(' ').next().is_some_and(|word| word.ends_with('?'));
            let entry = entry(&line.replacen("? ", " ", usize::from(by_chance))).ok_or_else(|| format!("line {number}: {line}"))?;
            if !has_reason {
                return Err(format!("line {number} has no reason above it: {line}").into());
            }
            entries.push((number, entry, by_chance));
        }
        Ok(Differences { entries })
    }

    /// Takes out of two answers what masks, rows and cells say.
    pub fn level(&mut self, expected: &mut Answer, came: &mut Answer) {
        let (Answer::Rows { columns, rows: expected }, Answer::Rows { columns: others, rows: came }) = (expected, came) else { return };
        if columns.len() != others.len() {
            return;
        }
        for (_, entry, used) in &mut self.entries {
            let changed = match entry {
                Entry::Mask(name) => mask(name, columns, expected, came),
                Entry::Row { of_postgres: true, value } => drop_rows(value, expected, came),
                Entry::Row { of_postgres: false, value } => drop_rows(value, came, expected),
                Entry::Cell(postgres, lakegate) => unify(postgres, lakegate, expected, came),
                Entry::Statement(..) => false,
            };
            *used |= changed;
        }
    }

    pub fn justified(&mut self, fingerprint: &str, kind: &str) -> bool {
        let mut found = false;
        for (_, entry, used) in &mut self.entries {
            if matches!(entry, Entry::Statement(print, of) if print == fingerprint && of == kind) {
                (*used, found) = (true, true);
            }
        }
        found
    }

    /// Entries that nothing needed.
    pub fn unused(&self) -> Vec<String> {
        self.entries.iter().filter(|(_, _, used)| !used).map(|(number, entry, _)| format!("line {number}: {entry:?}")).collect()
    }
}

fn entry(line: &str) -> Option<Entry> {
    let (word, rest) = line.split_once(' ')?;
    Some(match word {
        "mask" => Entry::Mask(rest.to_owned()),
        "row" => {
            let (side, value) = rest.split_once(' ')?;
            Entry::Row {
                of_postgres: matches!(side, "postgres").then_some(true).or((side == "lakegate").then_some(false))?,
                value: value.to_owned(),
            }
        }
        "cell" => {
            let (postgres, lakegate) = rest.split_once(" => ")?;
            Entry::Cell(postgres.replace("\\n", "\n"), lakegate.replace("\\n", "\n"))
        }
        "statement" => {
            let (print, kind) = rest.split_once(' ')?;
            // What follows two spaces tells readers which statement it is.
            Entry::Statement(print.to_owned(), kind.split("  ").next()?.to_owned())
        }
        _ => return None,
    })
}

fn mask(name: &str, columns: &[(String, u32)], expected: &mut [Vec<String>], came: &mut [Vec<String>]) -> bool {
    let mut changed = false;
    for (at, _) in columns.iter().enumerate().filter(|(_, (column, _))| column == name) {
        let values = |rows: &[Vec<String>]| {
            let mut values: Vec<Option<String>> = rows.iter().map(|row| row.get(at).cloned()).collect();
            values.sort();
            values
        };
        if values(expected) == values(came) {
            continue;
        }
        changed = true;
        for row in expected.iter_mut().chain(came.iter_mut()) {
            row[at] = "*".to_owned();
        }
    }
    changed
}

fn drop_rows(value: &str, rows: &mut Vec<Vec<String>>, others: &[Vec<String>]) -> bool {
    if !rows.iter().any(|row| row.iter().any(|cell| cell == value)) {
        return false;
    }
    let alone: Vec<Vec<String>> = without(rows, others).into_iter().filter(|row| row.iter().any(|cell| cell == value)).collect();
    if alone.is_empty() {
        return false;
    }
    *rows = without(rows, &alone);
    true
}

/// In rows that only one side has.
fn unify(postgres: &str, lakegate: &str, expected: &[Vec<String>], came: &mut [Vec<String>]) -> bool {
    if !came.iter().any(|row| row.iter().any(|cell| cell == lakegate)) {
        return false;
    }
    let missing = without(expected, came);
    let extra = without(came, expected);
    let mut changed = false;
    for row in &extra {
        let mut other = row.clone();
        for (at, cell) in other.iter_mut().enumerate() {
            if cell == lakegate && missing.iter().any(|row| row.get(at).is_some_and(|cell| cell == postgres)) {
                postgres.clone_into(cell);
            }
        }
        if other != *row
            && let Some(place) = came.iter_mut().find(|own| *own == row)
        {
            *place = other;
            changed = true;
        }
    }
    changed
}

#[test]
fn entries_need_a_reason() {
    assert!(Differences::read("mask pid\n").is_err());
    assert!(Differences::read("# each server has its own\nmask pid\n\nrow postgres x\n").is_err());
    assert_eq!(Differences::read("# why\nmask pid\ncell a b => c\nstatement 1234 error 0A000  SELECT\n").unwrap().entries.len(), 3);
}
