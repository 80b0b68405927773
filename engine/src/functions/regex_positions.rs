//! Regular-expression functions that count matches from a position: `regexp_count`, `regexp_instr`, `regexp_substr`
//! (documentation, section 9.7.3).

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;
use lakegate_engine_api::DataError;
use regex::{Captures, Regex};

use super::call::Row;
use super::error::data;
use super::function::{Body, PgFunction};
use super::regex::{compiled, offset, without_global};
use super::types::Ty;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let (text, int) = (Ty::TEXT, Ty::INT4);
    let count = [&text, &text, &int, &text];
    let instr = [&text, &text, &int, &int, &int, &text, &int];
    let substr = [&text, &text, &int, &int, &text, &int];
    vec![
        shapes("regexp_count", &count, Ty::INT4, || Body::Int(Box::new(|row| counted(row).map(Some)))),
        shapes("regexp_instr", &instr, Ty::INT4, || Body::Int(Box::new(|row| position(row).map(Some)))),
        shapes("regexp_substr", &substr, Ty::TEXT, || Body::Text(Box::new(part))),
    ]
}

/// The function with all but its first two parameters optional, from the right.
fn shapes(name: &'static str, parameters: &[&Ty], result: Ty, body: impl Fn() -> Body) -> Arc<ScalarUDF> {
    let mut function = PgFunction::immutable(name);
    for count in 2..=parameters.len() {
        let args: Vec<Ty> = parameters.iter().take(count).map(|ty| (*ty).clone()).collect();
        function = function.on(&args, result.clone(), body());
    }
    function.build()
}

/// An integer argument, or its default; below `least` it is refused.
fn integer(row: &Row<'_>, at: usize, name: &str, default: i64, least: i64) -> Result<i64> {
    if at >= row.len() {
        return Ok(default);
    }
    let value = row.int(at);
    if value < least {
        return Err(data(DataError::InvalidParameterValue, format_args!("invalid value for parameter \"{name}\": {value}")));
    }
    Ok(value)
}

fn pattern(row: &Row<'_>, flags_at: usize, function: &str) -> Result<Arc<Regex>> {
    let flags = if flags_at < row.len() { without_global(row.text(flags_at), function)? } else { String::new() };
    compiled(row.text(1), &flags)
}

/// Matches that begin at a byte or later; `^` still means the text's beginning. An empty match right after a match counts, as
/// in `setup_regexp_matches`.
pub fn matches<'t>(regex: &'t Regex, text: &'t str, from: usize) -> impl Iterator<Item = Captures<'t>> {
    let mut at = from;
    std::iter::from_fn(move || {
        let found = (at <= text.len()).then(|| regex.captures_at(text, at)).flatten()?;
        let whole = found.get(0)?;
        let next = text.get(whole.end()..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
        at = if whole.is_empty() { whole.end() + next } else { whole.end() };
        Some(found)
    })
}

fn characters(text: &str) -> i64 {
    i64::try_from(text.chars().count()).unwrap_or(i64::MAX)
}

fn counted(row: &Row<'_>) -> Result<i64> {
    let start = integer(row, 2, "start", 1, 1)?;
    let regex = pattern(row, 3, "regexp_count")?;
    let count = matches(&regex, row.text(0), offset(row.text(0), start)?).count();
    Ok(i64::try_from(count).unwrap_or(i64::MAX))
}

/// Start and end of the n-th match, or of a group of it, in bytes.
fn nth(row: &Row<'_>, regex: &Regex, group_at: usize) -> Result<Option<(usize, usize)>> {
    let start = integer(row, 2, "start", 1, 1)?;
    let wanted = integer(row, 3, "n", 1, 1)?;
    let group = integer(row, group_at, "subexpr", 0, 0)?;
    let skip = usize::try_from(wanted - 1).unwrap_or(usize::MAX);
    let found = matches(regex, row.text(0), offset(row.text(0), start)?).nth(skip);
    let group = usize::try_from(group).unwrap_or(usize::MAX);
    Ok(found.and_then(|found| found.get(group).map(|group| (group.start(), group.end()))))
}

fn position(row: &Row<'_>) -> Result<i64> {
    let end = integer(row, 4, "endoption", 0, 0)?;
    if end > 1 {
        return Err(data(DataError::InvalidParameterValue, format_args!("invalid value for parameter \"endoption\": {end}")));
    }
    let regex = pattern(row, 5, "regexp_instr")?;
    let found = nth(row, &regex, 6)?;
    let text = row.text(0);
    Ok(found.map_or(0, |(first, last)| characters(text.get(..if end == 1 { last } else { first }).unwrap_or_default()) + 1))
}

fn part(row: &Row<'_>) -> Result<Option<String>> {
    let regex = pattern(row, 4, "regexp_substr")?;
    Ok(nth(row, &regex, 5)?.and_then(|(start, end)| row.text(0).get(start..end)).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_from_a_position() {
        let count = |pattern: &str, text: &str, from: usize| matches(&compiled(pattern, "").unwrap(), text, from).count();
        assert_eq!(count(r"\d\d\d", "123456789012", 1), 3);
        assert_eq!(count("aa", "aaaa", 1), 1);
        assert_eq!(count("^a", "aaaa", 1), 0);
        assert_eq!(count("b*", "abc", 0), 4);
        assert_eq!(count("a*", "aaa", 0), 2);
        assert_eq!(count("", "äb", 0), 3);
    }
}
