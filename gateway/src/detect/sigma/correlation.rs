//! Correlations: how many records, how many values, which rules, and in which order, within a time and a group.

use std::time::Duration;

use yaml_rust2::Yaml;

use super::{Rule, Said, invalid, severity};
use crate::sqlstate::SqlError;

const RULES_MAX: usize = 8;

/// # Errors
/// 22023, 42703, 0A000.
pub fn compile(document: &Yaml, rules: &[Rule]) -> Result<(String, Said), SqlError> {
    let body = &document["correlation"];
    let kind = body["type"].as_str().ok_or_else(|| invalid("a correlation has a type"))?;
    let meant = meant(&body["rules"], rules)?;
    let groups = texts(&body["group-by"])?;
    let span = timespan(body["timespan"].as_str().ok_or_else(|| invalid("a correlation has a timespan"))?)?;
    let seconds = span.as_secs();
    let sql = match kind {
        "event_count" => {
            let count = at_least(&body["condition"])?;
            let events = events(&meant, &groups, body, None)?;
            // The nth record before this one in the group is not older than the time.
            format!(
                "SELECT actor, min(before) AS first_event_time, max(at) AS last_event_time, count(*) AS times FROM \
                 (SELECT actor, at, lag(at, {}) OVER (PARTITION BY grouped ORDER BY at) AS before FROM ({events}) e) w \
                 WHERE before IS NOT NULL AND at - before <= interval '{seconds} seconds' GROUP BY actor",
                count - 1
            )
        }
        "value_count" => {
            let field = body["condition"]["field"].as_str().ok_or_else(|| invalid("value_count has a field"))?;
            let events = events(&meant, &groups, body, Some(field))?;
            distinct(&events, "value", at_least(&body["condition"])?, seconds)
        }
        "temporal" => distinct(&events(&meant, &groups, body, None)?, "rule", meant.len() as u64, seconds),
        "temporal_ordered" => ordered(&meant, &groups, body, seconds)?,
        other => return Err(SqlError::unsupported(format!("correlations of type {other}"))),
    };
    let said = Said {
        title: document["title"].as_str().map(str::to_owned),
        severity: severity(&document["level"])?.or_else(|| meant.first().and_then(|rule| rule.severity)),
        window: Some((span * 2).max(Duration::from_secs(3_600))),
    };
    Ok((sql, said))
}

/// Within the time before some record of the group there were so many different values.
fn distinct(events: &str, column: &str, count: u64, seconds: u64) -> String {
    format!(
        "WITH e AS ({events}) SELECT actor, min(first_at) AS first_event_time, max(at) AS last_event_time, max(counted) AS counted FROM \
         (SELECT a.actor, a.at, a.id, min(b.at) AS first_at, count(DISTINCT b.{column}) AS counted FROM e a \
          JOIN e b ON b.grouped = a.grouped AND b.at <= a.at AND a.at - b.at <= interval '{seconds} seconds' \
          GROUP BY a.actor, a.at, a.id HAVING count(DISTINCT b.{column}) >= {count}) w GROUP BY actor"
    )
}

/// One after the other.
fn ordered(meant: &[&Rule], groups: &[String], body: &Yaml, seconds: u64) -> Result<String, SqlError> {
    let mut joins = String::new();
    for (at, rule) in meant.iter().enumerate() {
        let events = events(std::slice::from_ref(rule), groups, body, None)?;
        match at {
            0 => joins.push_str(&format!("({events}) e0")),
            _ => joins.push_str(&format!(
                " JOIN ({events}) e{at} ON e{at}.grouped = e0.grouped AND e{at}.at >= e{}.at AND e{at}.id <> e{}.id \
                 AND e{at}.at - e0.at <= interval '{seconds} seconds'",
                at - 1,
                at - 1
            )),
        }
    }
    let last = meant.len() - 1;
    Ok(format!(
        "SELECT e{last}.actor AS actor, min(e0.at) AS first_event_time, max(e{last}.at) AS last_event_time, count(DISTINCT e{last}.id) AS times \
         FROM {joins} GROUP BY e{last}.actor"
    ))
}

/// Records of all rules in one shape: actor, at, id, rule, grouped and value.
fn events(rules: &[&Rule], groups: &[String], body: &Yaml, value: Option<&str>) -> Result<String, SqlError> {
    let one = |(number, rule): (usize, &&Rule)| {
        let log = rule.log;
        let mut grouped = Vec::new();
        for group in groups {
            let (column, _) = log.column(alias(body, group, rule).unwrap_or(group))?;
            grouped.push(format!("coalesce(CAST({column} AS text), '')"));
        }
        let grouped = if grouped.is_empty() { "''".to_owned() } else { grouped.join(" || chr(10) || ") };
        let value = match value {
            Some(field) => format!("CAST({} AS text)", log.column(alias(body, field, rule).unwrap_or(field))?.0),
            None => "''".to_owned(),
        };
        Ok(format!(
            "SELECT {} AS actor, {} AS at, CAST({} AS text) AS id, {number} AS rule, {grouped} AS grouped, {value} AS value FROM {} WHERE {}",
            log.actor, log.time, log.id, log.relation, rule.condition
        ))
    };
    Ok(rules.iter().enumerate().map(one).collect::<Result<Vec<String>, SqlError>>()?.join(" UNION ALL "))
}

/// `aliases: {name: {rule: field}}`.
fn alias<'y>(body: &'y Yaml, name: &str, rule: &Rule) -> Option<&'y str> {
    let of = body["aliases"][name].as_hash()?;
    of.iter().find_map(|(of, field)| rule.names.iter().any(|name| Some(name.as_str()) == of.as_str()).then(|| field.as_str()).flatten())
}

fn meant<'r>(names: &Yaml, rules: &'r [Rule]) -> Result<Vec<&'r Rule>, SqlError> {
    let names = texts(names)?;
    if names.is_empty() || names.len() > RULES_MAX {
        return Err(invalid(format!("a correlation has 1 to {RULES_MAX} rules")));
    }
    let find =
        |name: &String| rules.iter().find(|rule| rule.names.contains(name)).ok_or_else(|| invalid(format!("there is no rule \"{name}\"")));
    names.iter().map(find).collect()
}

fn texts(value: &Yaml) -> Result<Vec<String>, SqlError> {
    let text = |value: &Yaml| value.as_str().map(str::to_owned).ok_or_else(|| invalid("a list of names is of text"));
    match value {
        Yaml::BadValue | Yaml::Null => Ok(Vec::new()),
        Yaml::Array(values) => values.iter().map(text).collect(),
        value => Ok(vec![text(value)?]),
    }
}

fn at_least(condition: &Yaml) -> Result<u64, SqlError> {
    let body = condition.as_hash().ok_or_else(|| invalid("a correlation has a condition"))?;
    for (word, value) in body {
        let number = || value.as_i64().and_then(|number| u64::try_from(number).ok()).ok_or_else(|| invalid("a count is a number"));
        match word.as_str() {
            Some("gte") => return Ok(number()?.max(1)),
            Some("gt") => return Ok(number()?.saturating_add(1)),
            Some("field") => {}
            Some(other) => {
                return Err(SqlError::unsupported(format!("\"{other}\" in the condition of a correlation")).hint("gt and gte are."));
            }
            None => return Err(invalid("a condition has words")),
        }
    }
    Err(invalid("a condition has gte or gt"))
}

/// `15m`
fn timespan(text: &str) -> Result<Duration, SqlError> {
    let wrong = || invalid(format!("\"{text}\" is no timespan such as 30s, 15m, 2h or 7d"));
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let number: u64 = text.strip_suffix(unit).and_then(|number| number.parse().ok()).ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        'M' => 30 * 86_400,
        _ => return Err(wrong()),
    };
    Ok(Duration::from_secs(number.checked_mul(seconds).filter(|seconds| (1..=400 * 86_400).contains(seconds)).ok_or_else(wrong)?))
}
