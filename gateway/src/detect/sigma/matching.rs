//! Selections: fields, their modifiers and values.

use std::net::Ipv4Addr;

use yaml_rust2::Yaml;

use super::condition::joined;
use super::fields::{Kind, Log};
use super::{invalid, literal};
use crate::sqlstate::SqlError;

/// A map is all of its fields, a list one of its items; text in a list is looked for everywhere.
///
/// # Errors
/// 22023, 42703, 0A000.
pub fn selection(selection: &Yaml, log: Log) -> Result<String, SqlError> {
    match selection {
        Yaml::Hash(fields) if fields.is_empty() => Err(invalid("a selection is empty")),
        Yaml::Hash(fields) => {
            let each = fields.iter().map(|(name, value)| {
                let name = name.as_str().ok_or_else(|| invalid("names of fields are text"))?;
                field(name, value, log)
            });
            Ok(joined(each.collect::<Result<_, _>>()?, " AND "))
        }
        Yaml::Array(items) if items.is_empty() => Err(invalid("a selection is empty")),
        Yaml::Array(items) => {
            let each = items.iter().map(|item| match item {
                Yaml::Hash(_) => self::selection(item, log),
                value => keyword(value, log),
            });
            Ok(joined(each.collect::<Result<_, _>>()?, " OR "))
        }
        value => keyword(value, log),
    }
}

fn keyword(value: &Yaml, log: Log) -> Result<String, SqlError> {
    let text = scalar(value)?.ok_or_else(|| invalid("a keyword is text"))?;
    let pattern = Pattern::parse(&text).surrounded(true, true);
    Ok(joined(log.texts().into_iter().map(|column| pattern.sql(column, Kind::Text, false)).collect(), " OR "))
}

/// How values are compared.
#[derive(Default)]
struct Modifiers {
    starts: bool,
    ends: bool,
    all: bool,
    cased: bool,
    way: Way,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Way {
    #[default]
    Equals,
    /// With what it is compared: `<`.
    Ordered(&'static str),
    Regex {
        cased: bool,
    },
    Cidr,
    Exists,
}

fn field(name: &str, value: &Yaml, log: Log) -> Result<String, SqlError> {
    let mut words = name.split('|');
    let (column, kind) = log.column(words.next().unwrap_or_default())?;
    let mut modifiers = Modifiers { starts: true, ends: true, ..Modifiers::default() };
    for word in words {
        match word {
            "contains" => (modifiers.starts, modifiers.ends) = (false, false),
            "startswith" => modifiers.ends = false,
            "endswith" => modifiers.starts = false,
            "all" => modifiers.all = true,
            "cased" => modifiers.cased = true,
            "re" => modifiers.way = Way::Regex { cased: true },
            "i" if matches!(modifiers.way, Way::Regex { .. }) => modifiers.way = Way::Regex { cased: false },
            "cidr" => modifiers.way = Way::Cidr,
            "exists" => modifiers.way = Way::Exists,
            "lt" => modifiers.way = Way::Ordered("<"),
            "lte" => modifiers.way = Way::Ordered("<="),
            "gt" => modifiers.way = Way::Ordered(">"),
            "gte" => modifiers.way = Way::Ordered(">="),
            other => return Err(SqlError::unsupported(format!("the modifier \"{other}\" in a Sigma rule"))),
        }
    }
    match value {
        Yaml::Array(values) if values.is_empty() => Err(invalid(format!("field \"{name}\" has no value"))),
        Yaml::Array(values) => {
            let each = values.iter().map(|value| compared(&column, kind, value, &modifiers)).collect::<Result<_, _>>()?;
            Ok(joined(each, if modifiers.all { " AND " } else { " OR " }))
        }
        value => compared(&column, kind, value, &modifiers),
    }
}

fn compared(column: &str, kind: Kind, value: &Yaml, modifiers: &Modifiers) -> Result<String, SqlError> {
    let Some(text) = scalar(value)? else {
        return Ok(format!("{column} IS NULL"));
    };
    match modifiers.way {
        Way::Exists => match value.as_bool() {
            Some(true) => Ok(format!("{column} IS NOT NULL")),
            Some(false) => Ok(format!("{column} IS NULL")),
            None => Err(invalid("exists is true or false")),
        },
        Way::Ordered(word) => {
            let number: f64 = text.parse().map_err(|_| invalid(format!("\"{text}\" is no number")))?;
            match kind {
                Kind::Number if number.is_finite() => Ok(format!("{column} {word} {number}")),
                _ => Err(invalid(format!("{column} is no number"))),
            }
        }
        Way::Regex { cased } => Ok(format!("{} {} {}", as_text(column, kind), if cased { "~" } else { "~*" }, literal(&text))),
        Way::Cidr => cidr(column, &text),
        Way::Equals => match (kind, text.parse::<i64>()) {
            (Kind::Number, Ok(number)) => Ok(format!("{column} = {number}")),
            (Kind::Flag, _) => match value.as_bool() {
                Some(flag) => Ok(format!("{column} = {flag}")),
                None => Err(invalid(format!("{column} is true or false"))),
            },
            _ => Ok(Pattern::parse(&text).surrounded(!modifiers.starts, !modifiers.ends).sql(column, kind, modifiers.cased)),
        },
    }
}

/// `None`: null.
fn scalar(value: &Yaml) -> Result<Option<String>, SqlError> {
    Ok(match value {
        Yaml::String(text) | Yaml::Real(text) => Some(text.clone()),
        Yaml::Integer(number) => Some(number.to_string()),
        Yaml::Boolean(flag) => Some(flag.to_string()),
        Yaml::Null => None,
        _ => return Err(invalid("a value is text, a number, true, false or null")),
    })
}

/// One line for each element of a list.
fn as_text(column: &str, kind: Kind) -> String {
    match kind {
        Kind::Text => column.to_owned(),
        Kind::List => format!("array_to_string({column}, chr(10))"),
        Kind::Number | Kind::Time | Kind::Flag | Kind::Json => format!("CAST({column} AS text)"),
    }
}

/// Text with wildcards.
struct Pattern {
    parts: Vec<Part>,
}

#[derive(PartialEq, Eq)]
enum Part {
    Text(String),
    /// `*`
    Any,
    /// `?`
    One,
}

impl Pattern {
    /// `\*`, `\?` and `\\` are the characters themselves.
    fn parse(text: &str) -> Pattern {
        let mut parts: Vec<Part> = Vec::new();
        let mut plain = String::new();
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            let part = match character {
                '\\' if characters.peek().is_some_and(|next| matches!(next, '*' | '?' | '\\')) => {
                    plain.extend(characters.next());
                    continue;
                }
                '*' => Part::Any,
                '?' => Part::One,
                other => {
                    plain.push(other);
                    continue;
                }
            };
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(part);
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Pattern { parts }
    }

    fn surrounded(mut self, before: bool, after: bool) -> Pattern {
        if before {
            self.parts.insert(0, Part::Any);
        }
        if after {
            self.parts.push(Part::Any);
        }
        self
    }

    fn sql(&self, column: &str, kind: Kind, cased: bool) -> String {
        if kind == Kind::List {
            let (word, pattern) = (if cased { "~" } else { "~*" }, self.regex());
            return format!("{} {word} {}", as_text(column, kind), literal(&pattern));
        }
        let column = as_text(column, kind);
        match (self.parts.as_slice(), cased) {
            ([], _) => format!("{column} = ''"),
            ([Part::Text(text)], true) => format!("{column} = {}", literal(text)),
            ([Part::Text(text)], false) => format!("lower({column}) = {}", literal(&text.to_lowercase())),
            (_, cased) => format!("{column} {} {}", if cased { "LIKE" } else { "ILIKE" }, literal(&self.like())),
        }
    }

    fn like(&self) -> String {
        let one = |part: &Part| match part {
            Part::Any => "%".to_owned(),
            Part::One => "_".to_owned(),
            Part::Text(text) => text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"),
        };
        self.parts.iter().map(one).collect()
    }

    /// Of one whole line.
    fn regex(&self) -> String {
        let one = |part: &Part| match part {
            Part::Any => "[^\n]*".to_owned(),
            Part::One => "[^\n]".to_owned(),
            Part::Text(text) => {
                text.chars().flat_map(|character| [(!character.is_alphanumeric()).then_some('\\'), Some(character)]).flatten().collect()
            }
        };
        format!("(^|\n){}(\n|$)", self.parts.iter().map(one).collect::<String>())
    }
}

/// IPv4 networks.
fn cidr(column: &str, network: &str) -> Result<String, SqlError> {
    let wrong = || invalid(format!("\"{network}\" is no network"));
    let (address, bits) = network.split_once('/').ok_or_else(wrong)?;
    if address.contains(':') {
        return Err(SqlError::unsupported("IPv6 networks in a Sigma rule"));
    }
    let (address, bits): (Ipv4Addr, u32) = (address.parse().map_err(|_| wrong())?, bits.parse().map_err(|_| wrong())?);
    if bits > 32 {
        return Err(wrong());
    }
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    let (first, last) = (u32::from(address) & mask, u32::from(address) & mask | !mask);
    let part = |number: u32| format!("CAST(split_part({column}, '.', {number}) AS bigint)");
    let number = format!("{} * 16777216 + {} * 65536 + {} * 256 + {}", part(1), part(2), part(3), part(4));
    Ok(format!("CASE WHEN {column} ~ '^[0-9]{{1,3}}([.][0-9]{{1,3}}){{3}}$' THEN {number} BETWEEN {first} AND {last} ELSE false END"))
}
