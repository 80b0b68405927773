//! Sigma rules (the specification's version 2): YAML to one query over the logs. A document is a rule, or a correlation of rules that stand
//! beside it.

mod condition;
mod correlation;
mod fields;
mod matching;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use lakegate_catalog::detections::Detection;
use lakegate_catalog::model::BOOTSTRAP_ROLE_OID;
use sqlparser::ast::Query;
use yaml_rust2::{Yaml, YamlLoader};

use self::fields::Log;
use crate::sqlstate::{SqlError, SqlState};

/// Of all documents together.
const YAML_BYTES_MAX: usize = 64 << 10;

/// What a rule says of itself.
#[derive(Debug, Clone, Default)]
pub struct Said {
    pub title: Option<String>,
    pub severity: Option<&'static str>,
    pub window: Option<Duration>,
}

/// A rule that is no correlation: which records of which log.
#[derive(Debug, Clone)]
struct Rule {
    /// `name`, `id` and `title`: by any of them correlations mean it.
    names: Vec<String>,
    log: Log,
    /// SQL over the log's columns.
    condition: String,
    title: Option<String>,
    severity: Option<&'static str>,
}

/// # Errors
/// 22023 for what is no rule, 42703 for a field that no column is, 0A000 for what is not supported.
pub fn compile(yaml: &str) -> Result<(Query, Said), SqlError> {
    let (sql, said) = compile_to_sql(yaml)?;
    Ok((crate::sql::parse::parse_query(&sql)?, said))
}

fn compile_to_sql(yaml: &str) -> Result<(String, Said), SqlError> {
    if yaml.len() > YAML_BYTES_MAX {
        return Err(invalid(format!("a Sigma rule has at most {YAML_BYTES_MAX} bytes")));
    }
    let documents = YamlLoader::load_from_str(yaml).map_err(|error| invalid(format!("the rule is no YAML: {error}")))?;
    let mut rules: Vec<Rule> = Vec::new();
    let mut correlations: Vec<&Yaml> = Vec::new();
    for document in documents.iter().filter(|document| !document.is_null()) {
        match document["correlation"].is_badvalue() {
            true => rules.push(rule(document)?),
            false => correlations.push(document),
        }
    }
    match (correlations.as_slice(), rules.as_slice()) {
        ([], []) => Err(invalid("there is no rule")),
        ([], rules) => {
            let first = &rules[0];
            let parts: Vec<String> = rules.iter().map(Rule::sql).collect();
            let said = Said { title: first.title.clone(), severity: first.severity, window: None };
            Ok((parts.join("\nUNION ALL\n"), said))
        }
        ([one], rules) => correlation::compile(one, rules),
        _ => Err(SqlError::unsupported("several correlations in one Sigma rule").hint("Make a detection of each.")),
    }
}

impl Rule {
    fn sql(&self) -> String {
        let Log { relation, time, actor, shown, .. } = self.log;
        format!(
            "SELECT {actor} AS actor, {time} AS first_event_time, {time} AS last_event_time, {shown} FROM {relation} WHERE {}",
            self.condition
        )
    }
}

fn rule(document: &Yaml) -> Result<Rule, SqlError> {
    let detection = document["detection"].as_hash().ok_or_else(|| invalid("a rule has a map \"detection\""))?;
    let log = Log::of(&document["logsource"])?;
    let mut selections: BTreeMap<&str, &Yaml> = BTreeMap::new();
    for (name, value) in detection {
        match name.as_str() {
            Some("condition") => {}
            Some("timeframe") => {
                return Err(SqlError::unsupported("timeframe in a Sigma rule").hint("Write a correlation with a timespan."));
            }
            Some(name) => {
                selections.insert(name, value);
            }
            None => return Err(invalid("names of selections are text")),
        }
    }
    let condition = match &document["detection"]["condition"] {
        Yaml::String(condition) => condition::compile(condition, &selections, log)?,
        Yaml::Array(any) => {
            let each: Result<Vec<String>, SqlError> = any
                .iter()
                .map(|one| condition::compile(one.as_str().ok_or_else(|| invalid("a condition is text"))?, &selections, log))
                .collect();
            format!("({})", each?.join(" OR "))
        }
        _ => return Err(invalid("a rule has a condition")),
    };
    let names = ["name", "id", "title"].iter().filter_map(|key| document[*key].as_str().map(str::to_owned)).collect();
    Ok(Rule { names, log, condition, title: document["title"].as_str().map(str::to_owned), severity: severity(&document["level"])? })
}

fn severity(level: &Yaml) -> Result<Option<&'static str>, SqlError> {
    Ok(match level.as_str() {
        None if level.is_badvalue() => None,
        Some("informational") => Some("info"),
        Some("low") => Some("low"),
        Some("medium") => Some("medium"),
        Some("high") => Some("high"),
        Some("critical") => Some("critical"),
        _ => return Err(invalid("a level is informational, low, medium, high or critical")),
    })
}

/// The rules in a folder, each file a detection of its name. What cannot be read or is no rule is told to the server's log.
#[must_use]
pub fn read_folder(folder: &Path) -> Vec<Detection> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        tracing::error!(folder = %folder.display(), "the folder of Sigma rules cannot be read");
        return Vec::new();
    };
    let mut files: Vec<_> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "yml" || ending == "yaml"));
    files.sort();
    files.iter().filter_map(|path| from_file(path)).collect()
}

fn from_file(path: &Path) -> Option<Detection> {
    let name = path.file_stem()?.to_str()?.to_lowercase();
    let read = std::fs::read_to_string(path).map_err(|error| invalid(error.to_string()));
    let (definition, said) = match read.and_then(|yaml| compile_to_sql(&yaml).map(|(_, said)| (yaml, said))) {
        Ok(read) => read,
        Err(error) => {
            tracing::error!(file = %path.display(), error = %error.message, "a Sigma rule was left out");
            return None;
        }
    };
    Some(Detection {
        name,
        severity: said.severity.unwrap_or("medium").to_owned(),
        every: Duration::from_secs(60),
        window: said.window.unwrap_or(Duration::from_secs(24 * 3_600)),
        threshold: 1,
        suppress: Duration::from_secs(3_600),
        definition,
        language: "sigma".to_owned(),
        source: "file".to_owned(),
        enabled: true,
        guard: false,
        owner: BOOTSTRAP_ROLE_OID,
        comment: said.title,
        last_run: None,
        last_error: None,
    })
}

fn invalid(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::InvalidParameterValue, format!("invalid Sigma rule: {}", message.into()))
}

/// A string constant of SQL.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(yaml: &str) -> String {
        let (sql, _) = compile_to_sql(yaml).unwrap();
        // What is made can be parsed.
        crate::sql::parse::parse_query(&sql).unwrap();
        sql
    }

    fn refused(yaml: &str) -> SqlState {
        compile_to_sql(yaml).unwrap_err().state
    }

    const LOGIN: &str = "title: t\nname: failed\nlogsource: {product: lakegate, service: audit}\nlevel: high\n";

    #[test]
    fn selections_become_conditions() {
        let made = sql(&format!("{LOGIN}detection:\n  s:\n    action_name: login\n    status: [denied, error]\n  condition: s"));
        assert!(made.contains("lower(action_name) = 'login' AND (lower(status) = 'denied' OR lower(status) = 'error')"), "{made}");
        let made = sql(&format!(
            "{LOGIN}detection:\n  s:\n    src_endpoint.ip|cidr: 10.0.0.0/9\n  f:\n    actor.user.name|startswith: svc_\n  condition: s and not f"
        ));
        assert!(made.contains("BETWEEN 167772160 AND 176160767"), "{made}");
        assert!(made.contains(r"actor ILIKE 'svc\_%'"), "{made}");
        let made = sql(&format!(
            "{LOGIN}detection:\n  a:\n    user: x\n  ab:\n    user: y\n  c:\n    user: z\n  condition: 1 of a* or all of them"
        ));
        assert!(made.contains("(lower(actor) = 'x' OR lower(actor) = 'y')"), "{made}");
        assert!(made.contains("(lower(actor) = 'x' AND lower(actor) = 'y' AND lower(actor) = 'z')"), "{made}");
    }

    #[test]
    fn values_cannot_leave_their_quotes() {
        for value in ["' OR 1=1 --", "\\' OR 1=1 --", "*'*", "a\\*b"] {
            let yaml = format!("{LOGIN}detection:\n  s:\n    user: {}\n  condition: s", serde_json::json!(value));
            let made = sql(&yaml);
            assert!(!made.replace("''", "").contains("OR 1=1 --'OR"), "{made}");
        }
        assert!(sql(&format!("{LOGIN}detection:\n  s:\n    user: 'a\\*b'\n  condition: s")).contains("= 'a*b'"));
    }

    #[test]
    fn correlations_of_every_type() {
        let base = format!("{LOGIN}detection:\n  s:\n    action_name: login\n    status: denied\n  condition: s\n---\n");
        let other = "name: read\nlogsource: {product: lakegate, service: query_history}\ndetection:\n  s:\n    tags_read: pii=email\n  condition: s\n---\n";
        let correlation = |kind: &str, rules: &str, condition: &str| {
            format!("title: c\ncorrelation:\n  type: {kind}\n  rules: [{rules}]\n  group-by: [user]\n  timespan: 10m\n{condition}")
        };
        let made = sql(&format!("{base}{}", correlation("event_count", "failed", "  condition: {gte: 5}")));
        assert!(made.contains("lag(at, 4)"), "{made}");
        let made = sql(&format!("{base}{}", correlation("value_count", "failed", "  condition: {field: src_ip, gt: 3}")));
        assert!(made.contains("count(DISTINCT b.value) >= 4"), "{made}");
        let made = sql(&format!("{base}{other}{}", correlation("temporal", "failed, read", "")));
        assert!(made.contains("count(DISTINCT b.rule) >= 2"), "{made}");
        let made = sql(&format!("{base}{other}{}", correlation("temporal_ordered", "failed, read", "")));
        assert!(made.contains("e1.at >= e0.at"), "{made}");
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let detection = |body: &str| format!("{LOGIN}detection:\n{body}");
        assert_eq!(refused(&detection("  s:\n    nonsense: 1\n  condition: s")), SqlState::UndefinedColumn);
        assert_eq!(refused(&detection("  s:\n    user|base64: 1\n  condition: s")), SqlState::FeatureNotSupported);
        assert_eq!(refused(&detection("  s:\n    user: x\n  condition: s | count() > 5")), SqlState::FeatureNotSupported);
        assert_eq!(refused(&detection("  s:\n    user: x\n  condition: t")), SqlState::InvalidParameterValue);
        assert_eq!(refused("a: ["), SqlState::InvalidParameterValue);
        assert_eq!(refused("title: x"), SqlState::InvalidParameterValue);
    }
}
