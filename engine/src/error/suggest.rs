//! The column that was meant where one does not exist. Mirrors `updateFuzzyAttrMatchState` and `errorMissingColumn`.

use datafusion::common::Column;

/// As `MAX_FUZZY_DISTANCE`.
const DISTANCE_MAX: usize = 3;

/// PostgreSQL's hint, where a column or two are near enough.
#[must_use]
pub fn hint(missing: &Column, known: &[Column]) -> Option<String> {
    let wanted = missing.relation.as_ref().map(|relation| relation.table());
    let mut best = DISTANCE_MAX + 1;
    let mut found: Vec<String> = Vec::new();
    for column in known.iter().filter(|column| !column.name.starts_with(['#', '_'])) {
        let Some(relation) = &column.relation else { continue };
        let penalty = wanted.map_or(0, |wanted| distance(wanted, relation.table()));
        let differing = distance(&column.name, &missing.name);
        // More than half of the characters: no match, but a ridiculous suggestion.
        if differing > missing.name.chars().count() / 2 {
            continue;
        }
        let name = format!("\"{}.{}\"", relation.table(), column.name);
        match (differing + penalty).cmp(&best) {
            std::cmp::Ordering::Less => {
                best = differing + penalty;
                found = vec![name];
            }
            // Three are too many to name.
            std::cmp::Ordering::Equal if found.len() == 2 => {
                found.clear();
                best = best.checked_sub(1)?;
            }
            std::cmp::Ordering::Equal if best <= DISTANCE_MAX => found.push(name),
            _ => {}
        }
    }
    match found.as_slice() {
        [one] => Some(format!("Perhaps you meant to reference the column {one}.")),
        [one, other] => Some(format!("Perhaps you meant to reference the column {one} or the column {other}.")),
        _ => None,
    }
}

/// Levenshtein's: characters put in, left out or replaced.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, letter) in left.chars().enumerate() {
        let mut diagonal = at;
        let mut before = at + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(&right) {
            let next = (diagonal + usize::from(letter != *other)).min(before + 1).min(*cell + 1);
            diagonal = *cell;
            *cell = next;
            before = next;
        }
        if let Some(first) = row.first_mut() {
            *first = at + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (left, right, expected) in [("nam", "name", 1), ("nope", "name", 2), ("", "abc", 3), ("kitten", "sitting", 3), ("a", "a", 0)] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn near_columns_are_named_and_far_ones_are_not() {
        let known = [Column::new(Some("c"), "name"), Column::new(Some("c"), "city"), Column::new(Some("o"), "name")];
        let hint = |relation: Option<&str>, name: &str| hint(&Column::new(relation, name), &known);
        assert_eq!(hint(Some("c"), "nam").as_deref(), Some("Perhaps you meant to reference the column \"c.name\"."));
        assert_eq!(hint(None, "nam").as_deref(), Some("Perhaps you meant to reference the column \"c.name\" or the column \"o.name\"."));
        assert_eq!(hint(None, "xyz"), None);
    }
}
