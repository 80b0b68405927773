//! Regular expressions: PostgreSQL's advanced syntax (documentation, section 9.7.3) over Rust's engine.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ScalarUDF;
use lakegate_engine_api::DataError;
use regex::{Regex, RegexBuilder};

use super::error::{data, unsupported};
use super::function::{Body, PgFunction};
use super::types::Ty;

/// Compiled patterns kept by each thread.
const CACHED_MAX: usize = 64;
/// Bytes that one compiled pattern may take.
const COMPILED_BYTES_MAX: usize = 10 << 20;

thread_local! {
    static CACHE: RefCell<HashMap<(String, String), Arc<Regex>>> = RefCell::new(HashMap::new());
}

/// The pattern in Rust's syntax, flags inside.
///
/// # Errors
/// 2201B for a bad pattern, 0A000 for what Rust's engine cannot do (back references, lookaround).
pub fn translate(pattern: &str, insensitive: bool) -> Result<String> {
    let flags = Flags { insensitive, ..Flags::default() };
    let translated = translated(pattern, flags)?;
    compile(&translated, pattern)?;
    Ok(translated)
}

/// SIMILAR TO as a regular expression over the whole text.
///
/// # Errors
/// As [`translate`].
pub fn similar(pattern: &str, escape: Option<char>) -> Result<String> {
    let escape = escape.unwrap_or('\\');
    let mut out = "(?s)^(?:".to_owned();
    let mut chars = pattern.chars();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            c if c == escape => match chars.next() {
                Some(next) => out.push_str(&regex::escape(&next.to_string())),
                None => return Err(invalid("invalid escape sequence")),
            },
            '[' if !in_class => {
                in_class = true;
                out.push('[');
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            c if in_class => {
                if matches!(c, '\\' | '&' | '~') {
                    out.push('\\');
                }
                out.push(c);
            }
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            '(' => out.push_str("(?:"),
            '|' | '*' | '+' | '?' | '{' | '}' | ')' => out.push(c),
            c => out.push_str(&regex::escape(&c.to_string())),
        }
    }
    out.push_str(")$");
    compile(&out, pattern)?;
    Ok(out)
}

/// A LIKE pattern as a regular expression of PostgreSQL's syntax.
#[must_use]
pub fn of_like(pattern: &str) -> String {
    let mut out = "^".to_owned();
    let mut chars = pattern.chars();
    let literal = |out: &mut String, c: char| {
        if !c.is_alphanumeric() {
            out.push('\\');
        }
        out.push(c);
    };
    while let Some(c) = chars.next() {
        match c {
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            '\\' => chars.next().into_iter().for_each(|c| literal(&mut out, c)),
            c => literal(&mut out, c),
        }
    }
    out + "$"
}

/// A pattern ready to run.
///
/// # Errors
/// As [`translate`]; 22023 for an unknown flag.
pub fn compiled(pattern: &str, flags: &str) -> Result<Arc<Regex>> {
    let key = (pattern.to_owned(), flags.to_owned());
    if let Some(found) = CACHE.with_borrow(|cache| cache.get(&key).cloned()) {
        return Ok(found);
    }
    let regex = Arc::new(compile(&translated(pattern, Flags::parse(flags)?)?, pattern)?);
    CACHE.with_borrow_mut(|cache| {
        if cache.len() >= CACHED_MAX {
            cache.clear();
        }
        cache.insert(key, Arc::clone(&regex));
    });
    Ok(regex)
}

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let text = Ty::TEXT;
    vec![
        PgFunction::immutable("regexp_like")
            .on(
                &[text.clone(), text.clone()],
                Ty::BOOL,
                Body::Bool(Box::new(|row| Ok(Some(compiled(row.text(1), "")?.is_match(row.text(0)))))),
            )
            .on(
                &[text.clone(), text.clone(), text.clone()],
                Ty::BOOL,
                Body::Bool(Box::new(|row| {
                    let flags = without_global(row.text(2), "regexp_like")?;
                    Ok(Some(compiled(row.text(1), &flags)?.is_match(row.text(0))))
                })),
            )
            .build(),
        PgFunction::immutable("regexp_match")
            .on(&[text.clone(), text.clone()], Ty::TEXTS, Body::Texts(Box::new(|row| first_match(row.text(0), row.text(1), ""))))
            .on(
                &[text.clone(), text.clone(), text.clone()],
                Ty::TEXTS,
                Body::Texts(Box::new(|row| {
                    let flags = without_global(row.text(2), "regexp_match")?;
                    first_match(row.text(0), row.text(1), &flags)
                })),
            )
            .build(),
        PgFunction::immutable("regexp_replace")
            .on(
                &[text.clone(), text.clone(), text.clone()],
                Ty::TEXT,
                Body::Text(Box::new(|row| replaced(row.text(0), row.text(1), row.text(2), 1, Some(1), "").map(Some))),
            )
            .on(
                &[text.clone(), text.clone(), text.clone(), text.clone()],
                Ty::TEXT,
                Body::Text(Box::new(|row| {
                    let flags = row.text(3);
                    let nth = if flags.contains('g') { None } else { Some(1) };
                    replaced(row.text(0), row.text(1), row.text(2), 1, nth, &flags.replace('g', "")).map(Some)
                })),
            )
            .on(
                &[text.clone(), text.clone(), text.clone(), Ty::INT4],
                Ty::TEXT,
                Body::Text(Box::new(|row| replaced(row.text(0), row.text(1), row.text(2), row.int(3), Some(1), "").map(Some))),
            )
            .on(
                &[text.clone(), text.clone(), text.clone(), Ty::INT4, Ty::INT4],
                Ty::TEXT,
                Body::Text(Box::new(|row| {
                    let nth = (row.int(4) != 0).then(|| row.int(4));
                    replaced(row.text(0), row.text(1), row.text(2), row.int(3), nth, "").map(Some)
                })),
            )
            .on(
                &[text.clone(), text.clone(), text.clone(), Ty::INT4, Ty::INT4, text.clone()],
                Ty::TEXT,
                Body::Text(Box::new(|row| {
                    let nth = (row.int(4) != 0).then(|| row.int(4));
                    replaced(row.text(0), row.text(1), row.text(2), row.int(3), nth, &row.text(5).replace('g', "")).map(Some)
                })),
            )
            .build(),
        PgFunction::immutable("regexp_split_to_array")
            .on(&[text.clone(), text.clone()], Ty::TEXTS, Body::Texts(Box::new(|row| split(row.text(0), row.text(1), "").map(Some))))
            .on(
                &[text.clone(), text.clone(), text.clone()],
                Ty::TEXTS,
                Body::Texts(Box::new(|row| split(row.text(0), row.text(1), row.text(2)).map(Some))),
            )
            .build(),
        PgFunction::immutable("#regexp_matches")
            .on(&[text.clone(), text.clone()], Ty::TEXTS, Body::Texts(Box::new(|row| Ok(Some(all_matches(row.text(0), row.text(1), "")?)))))
            .on(
                &[text.clone(), text.clone(), text],
                Ty::TEXTS,
                Body::Texts(Box::new(|row| Ok(Some(all_matches(row.text(0), row.text(1), row.text(2))?)))),
            )
            .build(),
    ]
}

#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    insensitive: bool,
    /// `.` and negated classes do not match newlines, anchors match at them.
    newline_dot: bool,
    newline_anchors: bool,
    expanded: bool,
    literal: bool,
}

impl Flags {
    fn parse(text: &str) -> Result<Flags> {
        let mut flags = Flags::default();
        for flag in text.chars() {
            match flag {
                'i' => flags.insensitive = true,
                'c' => flags.insensitive = false,
                'n' | 'm' => (flags.newline_dot, flags.newline_anchors) = (true, true),
                'p' => (flags.newline_dot, flags.newline_anchors) = (true, false),
                'w' => (flags.newline_dot, flags.newline_anchors) = (false, true),
                's' => (flags.newline_dot, flags.newline_anchors) = (false, false),
                'x' => flags.expanded = true,
                't' => flags.expanded = false,
                'q' => flags.literal = true,
                'e' | 'g' => {}
                other => {
                    return Err(data(DataError::InvalidParameterValue, format_args!("invalid regular expression option: \"{other}\"")));
                }
            }
        }
        Ok(flags)
    }
}

fn invalid(reason: impl std::fmt::Display) -> DataFusionError {
    data(DataError::InvalidRegularExpression, format_args!("invalid regular expression: {reason}"))
}

fn compile(translated: &str, pattern: &str) -> Result<Regex> {
    RegexBuilder::new(translated).size_limit(COMPILED_BYTES_MAX).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => invalid("regular expression is too complex"),
        _ => invalid(reason(pattern)),
    })
}

/// PostgreSQL's words for the usual mistakes.
fn reason(pattern: &str) -> &'static str {
    let count = |wanted: char| pattern.chars().filter(|c| *c == wanted).count();
    if count('[') != count(']') {
        "brackets [] not balanced"
    } else if count('(') != count(')') {
        "parentheses () not balanced"
    } else if count('{') != count('}') {
        "braces {} not balanced"
    } else {
        "quantifier operand invalid"
    }
}

/// Rust's syntax is close; what differs: `.` matches newlines by default, escapes of word boundaries, `***=` prefixes,
/// `(?i)` in front, classes that Rust reads as set operations.
fn translated(pattern: &str, mut flags: Flags) -> Result<String> {
    let mut rest = pattern;
    if let Some(literal) = rest.strip_prefix("***=") {
        flags.literal = true;
        rest = literal;
    } else if let Some(advanced) = rest.strip_prefix("***:") {
        rest = advanced;
    }
    if flags.literal {
        return Ok(format!("{}{}", prefix(flags), regex::escape(rest)));
    }
    if let Some(options) = rest.strip_prefix("(?")
        && let Some((letters, after)) = options.split_once(')')
        && !letters.is_empty()
        && letters.chars().all(|c| c.is_ascii_lowercase())
    {
        let embedded = Flags::parse(letters)?;
        flags = Flags { insensitive: embedded.insensitive || (flags.insensitive && !letters.contains('c')), ..embedded };
        rest = after;
    }
    let mut out = prefix(flags);
    let mut chars = rest.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => escape(&mut out, &mut chars)?,
            '[' => class(&mut out, &mut chars, flags)?,
            '(' if chars.peek() == Some(&'?') => {
                let mut ahead = chars.clone();
                ahead.next();
                match ahead.next() {
                    Some(':') => out.push('('),
                    Some('=' | '!' | '<') => return Err(unsupported("lookaround in a regular expression")),
                    _ => return Err(invalid("quantifier operand invalid")),
                }
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

fn prefix(flags: Flags) -> String {
    let mut letters = String::new();
    if flags.insensitive {
        letters.push('i');
    }
    if !flags.newline_dot {
        letters.push('s');
    }
    if flags.newline_anchors {
        letters.push('m');
    }
    if flags.expanded {
        letters.push('x');
    }
    if letters.is_empty() { letters } else { format!("(?{letters})") }
}

fn escape(out: &mut String, chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<()> {
    match chars.next() {
        None => return Err(invalid("invalid escape \\ sequence")),
        Some('m' | '<') => out.push_str("\\b{start}"),
        Some('M' | '>') => out.push_str("\\b{end}"),
        Some('y') => out.push_str("\\b"),
        Some('Y') => out.push_str("\\B"),
        Some('A') => out.push_str("\\A"),
        Some('Z') => out.push_str("\\z"),
        Some('b') => out.push_str("\\x08"),
        Some('B') => out.push_str("\\\\"),
        Some('e') => out.push_str("\\x1b"),
        Some('0') => out.push_str("\\x00"),
        Some('u') => {
            let digits: String = chars.by_ref().take(4).collect();
            out.push_str(&format!("\\x{{{digits}}}"));
        }
        Some('U') => {
            let digits: String = chars.by_ref().take(8).collect();
            out.push_str(&format!("\\x{{{digits}}}"));
        }
        Some('x') => {
            let mut digits = String::new();
            while let Some(digit) = chars.next_if(char::is_ascii_hexdigit) {
                digits.push(digit);
            }
            out.push_str(&format!("\\x{{{digits}}}"));
        }
        Some(c @ '1'..='9') => return Err(unsupported(format_args!("the back reference \\{c} in a regular expression"))),
        Some(c @ ('d' | 'D' | 's' | 'S' | 'w' | 'W' | 't' | 'n' | 'r' | 'f' | 'v' | 'a')) => {
            out.push('\\');
            out.push(c);
        }
        Some(c) if c.is_ascii_alphabetic() => return Err(invalid("invalid escape \\ sequence")),
        Some(c) => out.push_str(&regex::escape(&c.to_string())),
    }
    Ok(())
}

fn class(out: &mut String, chars: &mut std::iter::Peekable<std::str::Chars<'_>>, flags: Flags) -> Result<()> {
    out.push('[');
    let negated = chars.next_if_eq(&'^').is_some();
    if negated {
        out.push('^');
        if flags.newline_dot {
            out.push_str("\\n");
        }
    }
    let mut first = true;
    loop {
        let Some(c) = chars.next() else { return Err(invalid("brackets [] not balanced")) };
        match c {
            ']' if !first => break,
            ']' => out.push_str("\\]"),
            '[' => match chars.peek() {
                Some(':') => {
                    let mut name = String::new();
                    for c in chars.by_ref() {
                        name.push(c);
                        if name.ends_with(":]") {
                            break;
                        }
                    }
                    out.push('[');
                    out.push_str(&name);
                }
                Some('.' | '=') => return Err(unsupported("collating elements in a regular expression")),
                _ => out.push_str("\\["),
            },
            '\\' => escape(out, chars)?,
            '&' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '-' if chars.peek() == Some(&'-') => out.push_str("\\-"),
            c => out.push(c),
        }
        first = false;
    }
    out.push(']');
    Ok(())
}

pub fn without_global(flags: &str, function: &str) -> Result<String> {
    if flags.contains('g') {
        return Err(data(DataError::InvalidParameterValue, format_args!("{function}() does not support the \"global\" option")));
    }
    Ok(flags.to_owned())
}

fn captures(captures: &regex::Captures<'_>) -> Vec<Option<String>> {
    let skip = usize::from(captures.len() > 1);
    captures.iter().skip(skip).map(|group| group.map(|group| group.as_str().to_owned())).collect()
}

fn first_match(text: &str, pattern: &str, flags: &str) -> Result<Option<Vec<Option<String>>>> {
    Ok(compiled(pattern, flags)?.captures(text).map(|found| captures(&found)))
}

/// Each match as the literal of its text array.
fn all_matches(text: &str, pattern: &str, flags: &str) -> Result<Vec<Option<String>>> {
    let regex = compiled(pattern, &flags.replace('g', ""))?;
    let limit = if flags.contains('g') { usize::MAX } else { 1 };
    Ok(super::regex_positions::matches(&regex, text, 0).take(limit).map(|found| Some(super::arrays::literal(&captures(&found)))).collect())
}

/// Byte offset of a character position from 1.
pub fn offset(text: &str, start: i64) -> Result<usize> {
    let skip = usize::try_from(start - 1)
        .map_err(|_| data(DataError::InvalidParameterValue, format_args!("invalid value for parameter \"start\": {start}")))?;
    Ok(text.char_indices().nth(skip).map_or(text.len(), |(at, _)| at))
}

/// `nth`: which match is replaced, all where `None`.
fn replaced(text: &str, pattern: &str, replacement: &str, start: i64, nth: Option<i64>, flags: &str) -> Result<String> {
    let regex = compiled(pattern, flags)?;
    let from = offset(text, start)?;
    let mut out = text.get(..from).unwrap_or_default().to_owned();
    let mut last = from;
    for (count, found) in (1..).zip(super::regex_positions::matches(&regex, text, from)) {
        let Some(whole) = found.get(0) else { continue };
        if nth.is_some_and(|nth| nth > count) {
            continue;
        }
        out.push_str(text.get(last..whole.start()).unwrap_or_default());
        expand(&mut out, replacement, &found);
        last = whole.end();
        if nth.is_some_and(|nth| nth == count) {
            break;
        }
    }
    out.push_str(text.get(last..).unwrap_or_default());
    Ok(out)
}

/// `\1` … `\9` and `\&` in a replacement.
fn expand(out: &mut String, replacement: &str, found: &regex::Captures<'_>) {
    let mut chars = replacement.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('&') => out.push_str(found.get(0).map_or("", |whole| whole.as_str())),
            Some(digit @ '1'..='9') => {
                let group = digit.to_digit(10).and_then(|digit| usize::try_from(digit).ok()).unwrap_or(0);
                out.push_str(found.get(group).map_or("", |group| group.as_str()));
            }
            Some('\\') => out.push('\\'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
}

fn split(text: &str, pattern: &str, flags: &str) -> Result<Vec<Option<String>>> {
    let regex = compiled(pattern, flags)?;
    let mut parts = Vec::new();
    let mut last = 0;
    for found in regex.find_iter(text) {
        // Empty matches at the ends and right after a match split nothing.
        if found.is_empty()
            && (found.start() == 0 || found.start() == text.len() || found.start() == last)
            && (found.start() == last || found.start() == text.len())
        {
            continue;
        }
        parts.push(Some(text.get(last..found.start()).unwrap_or_default().to_owned()));
        last = found.end();
    }
    parts.push(Some(text.get(last..).unwrap_or_default().to_owned()));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_postgresql() {
        for (pattern, text, expected) in [
            ("a.c", "a\nc", true),
            ("^b$", "a\nb", false),
            ("(?n)^b$", "a\nb", true),
            ("(?i)ABC", "abc", true),
            ("\\mfoo\\M", "a foo b", true),
            ("\\yoo", "foo", false),
            ("[[:digit:]]+", "x9", true),
            ("[]a]", "]", true),
            ("[a&&b]", "&", true),
            ("***=a.c", "abc", false),
            ("^(orders)$", "orders", true),
        ] {
            assert_eq!(compiled(pattern, "").unwrap().is_match(text), expected, "{pattern} on {text}");
        }
        assert!(compiled("a(", "").is_err());
        assert!(compiled("(a)\\1", "").is_err());
        assert!(Regex::new(&similar("a%(b|c)_", None).unwrap()).unwrap().is_match("axxbz"));
        assert!(!Regex::new(&similar("abc", None).unwrap()).unwrap().is_match("xabc"));
    }

    #[test]
    fn replacing_and_splitting() {
        assert_eq!(replaced("foobarbaz", "b(..)", "X\\1Y", 1, None, "").unwrap(), "fooXarYXazY");
        assert_eq!(replaced("foobarbaz", "b..", "X", 1, Some(1), "").unwrap(), "fooXbaz");
        assert_eq!(split("a, b,c", ",\\s*", "").unwrap(), ["a", "b", "c"].map(|part| Some(part.to_owned())));
        assert_eq!(split("abc", "", "").unwrap(), ["a", "b", "c"].map(|part| Some(part.to_owned())));
    }
}
