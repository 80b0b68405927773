//! Conditions: `selection and not 1 of filter_*`.

use std::collections::BTreeMap;

use yaml_rust2::Yaml;

use super::fields::Log;
use super::{invalid, matching};
use crate::sqlstate::SqlError;

/// Parentheses inside parentheses.
const DEPTH_MAX: usize = 32;

/// # Errors
/// 22023 for what is none, 0A000 for aggregations of the old kind.
pub fn compile(text: &str, selections: &BTreeMap<&str, &Yaml>, log: Log) -> Result<String, SqlError> {
    if text.contains('|') {
        return Err(SqlError::unsupported("an aggregation in a Sigma condition").hint("Write a correlation."));
    }
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser { words: &words, at: 0, selections, log, depth: 0 };
    let condition = parser.any()?;
    match parser.peek() {
        None => Ok(condition),
        Some(word) => Err(invalid(format!("\"{word}\" is not expected in the condition"))),
    }
}

struct Parser<'a> {
    words: &'a [&'a str],
    at: usize,
    selections: &'a BTreeMap<&'a str, &'a Yaml>,
    log: Log,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    fn accept(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|next| next.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn any(&mut self) -> Result<String, SqlError> {
        let mut parts = vec![self.all()?];
        while self.accept("or") {
            parts.push(self.all()?);
        }
        Ok(joined(parts, " OR "))
    }

    fn all(&mut self) -> Result<String, SqlError> {
        let mut parts = vec![self.one()?];
        while self.accept("and") {
            parts.push(self.one()?);
        }
        Ok(joined(parts, " AND "))
    }

    fn one(&mut self) -> Result<String, SqlError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(invalid("the condition is nested too deep"));
        }
        let made = self.term();
        self.depth -= 1;
        made
    }

    fn term(&mut self) -> Result<String, SqlError> {
        if self.accept("not") {
            // A field that is missing does not match, so its absence does.
            return Ok(format!("NOT coalesce({}, false)", self.one()?));
        }
        if self.accept("(") {
            let inner = self.any()?;
            return if self.accept(")") { Ok(inner) } else { Err(invalid("a parenthesis is not closed")) };
        }
        let word = self.peek().ok_or_else(|| invalid("the condition ends too early"))?;
        self.at += 1;
        if self.accept("of") {
            let every = match word.to_lowercase().as_str() {
                "all" => true,
                "1" | "any" => false,
                _ => return Err(SqlError::unsupported(format!("\"{word} of\" in a Sigma condition"))),
            };
            let pattern = self.peek().ok_or_else(|| invalid("the condition ends too early"))?;
            self.at += 1;
            return self.several(pattern, every);
        }
        match self.selections.get(word) {
            Some(selection) => matching::selection(selection, self.log),
            None => Err(invalid(format!("there is no selection \"{word}\""))),
        }
    }

    fn several(&self, pattern: &str, every: bool) -> Result<String, SqlError> {
        let is_meant = |name: &str| match pattern.split_once('*') {
            Some((before, after)) => name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after),
            None if pattern.eq_ignore_ascii_case("them") => !name.starts_with('_'),
            None => name == pattern,
        };
        let meant = self.selections.iter().filter(|(name, _)| is_meant(name));
        let parts: Vec<String> = meant.map(|(_, selection)| matching::selection(selection, self.log)).collect::<Result<_, _>>()?;
        if parts.is_empty() {
            return Err(invalid(format!("no selection is \"{pattern}\"")));
        }
        Ok(joined(parts, if every { " AND " } else { " OR " }))
    }
}

pub fn joined(mut parts: Vec<String>, word: &str) -> String {
    match parts.len() {
        1 => parts.remove(0),
        _ => format!("({})", parts.join(word)),
    }
}
