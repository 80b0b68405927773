//! `CREATE [OR REPLACE] DETECTION name … AS query`, `… FROM SIGMA $$yaml$$`, ALTER and DROP DETECTION, ALTER FINDING, and HUNT.

use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;

use super::{GrammarError, accept_word, accept_words, expect_word, parse_if_exists, parse_name};

/// Rules over the logs and what they found.
#[derive(Debug, Clone)]
pub enum Watch {
    Create(CreateDetection),
    Alter {
        name: String,
        changes: Vec<DetectionChange>,
    },
    Drop {
        name: String,
        if_exists: bool,
    },
    /// `ACKNOWLEDGE`, `CLOSE`, `REOPEN` as the state that they lead to.
    AlterFinding {
        finding: String,
        state: &'static str,
    },
    /// A rule over the past.
    Hunt {
        name: String,
        since: Option<String>,
        until: Option<String>,
    },
}

#[derive(Debug, Clone)]
pub struct CreateDetection {
    pub name: String,
    pub or_replace: bool,
    pub changes: Vec<DetectionChange>,
    pub rule: DetectionRule,
}

#[derive(Debug, Clone)]
pub enum DetectionRule {
    Query(Box<sqlparser::ast::Query>),
    /// YAML, one or more documents.
    Sigma(String),
}

/// Intervals as they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DetectionChange {
    Severity(String),
    Every(String),
    Window(String),
    Threshold(u64),
    Suppress(String),
    Comment(String),
    Enabled(bool),
    /// Whether it stops statements.
    Guard(bool),
}

impl Watch {
    /// The command tag.
    #[must_use]
    pub const fn tag(&self) -> &'static str {
        match self {
            Watch::Create(_) => "CREATE DETECTION",
            Watch::Alter { .. } => "ALTER DETECTION",
            Watch::Drop { .. } => "DROP DETECTION",
            Watch::AlterFinding { .. } => "ALTER FINDING",
            Watch::Hunt { .. } => "HUNT",
        }
    }

    /// The detection or finding.
    #[must_use]
    pub fn subject(&self) -> (&'static str, &str) {
        match self {
            Watch::Create(create) => ("detection", &create.name),
            Watch::Alter { name, .. } | Watch::Drop { name, .. } | Watch::Hunt { name, .. } => ("detection", name),
            Watch::AlterFinding { finding, .. } => ("finding", finding),
        }
    }
}

pub(super) fn parse(parser: &mut Parser, words: &[&str]) -> Result<Option<Watch>, GrammarError> {
    Ok(Some(match words {
        ["CREATE", "DETECTION", ..] | ["CREATE", "OR", "REPLACE"] => {
            let or_replace = accept_words(parser, &["CREATE", "OR", "REPLACE", "DETECTION"]);
            if !or_replace && !accept_words(parser, &["CREATE", "DETECTION"]) {
                return Ok(None);
            }
            parse_create(parser, or_replace)?
        }
        ["ALTER", "DETECTION", ..] => {
            accept_words(parser, &["ALTER", "DETECTION"]);
            let name = parse_name(parser)?;
            let changes = parse_changes(parser, true)?;
            if changes.is_empty() {
                expect_word(parser, "ENABLE")?;
            }
            Watch::Alter { name, changes }
        }
        ["DROP", "DETECTION", ..] => {
            accept_words(parser, &["DROP", "DETECTION"]);
            let if_exists = parse_if_exists(parser);
            Watch::Drop { name: parse_name(parser)?, if_exists }
        }
        ["ALTER", "FINDING", ..] => {
            accept_words(parser, &["ALTER", "FINDING"]);
            let finding = parser.parse_literal_string()?;
            let state = if accept_word(parser, "ACKNOWLEDGE") {
                "acknowledged"
            } else if accept_word(parser, "CLOSE") {
                "closed"
            } else {
                expect_word(parser, "REOPEN")?;
                "open"
            };
            Watch::AlterFinding { finding, state }
        }
        ["HUNT", ..] => {
            accept_word(parser, "HUNT");
            let name = parse_name(parser)?;
            let since = if accept_word(parser, "SINCE") { Some(parser.parse_literal_string()?) } else { None };
            let until = if accept_word(parser, "UNTIL") { Some(parser.parse_literal_string()?) } else { None };
            Watch::Hunt { name, since, until }
        }
        _ => return Ok(None),
    }))
}

fn parse_create(parser: &mut Parser, or_replace: bool) -> Result<Watch, GrammarError> {
    let name = parse_name(parser)?;
    let changes = parse_changes(parser, false)?;
    let rule = if accept_words(parser, &["FROM", "SIGMA"]) {
        DetectionRule::Sigma(parser.parse_literal_string()?)
    } else {
        parser.expect_keyword(Keyword::AS)?;
        DetectionRule::Query(parser.parse_query()?)
    };
    Ok(Watch::Create(CreateDetection { name, or_replace, changes, rule }))
}

fn parse_changes(parser: &mut Parser, with_state: bool) -> Result<Vec<DetectionChange>, GrammarError> {
    let mut changes = Vec::new();
    loop {
        let change = if accept_word(parser, "SEVERITY") {
            DetectionChange::Severity(parse_name(parser)?)
        } else if accept_word(parser, "EVERY") {
            DetectionChange::Every(parse_interval(parser)?)
        } else if accept_word(parser, "WINDOW") {
            DetectionChange::Window(parse_interval(parser)?)
        } else if accept_word(parser, "SUPPRESS") {
            DetectionChange::Suppress(parse_interval(parser)?)
        } else if accept_word(parser, "THRESHOLD") {
            DetectionChange::Threshold(parser.parse_literal_uint()?)
        } else if accept_word(parser, "COMMENT") {
            DetectionChange::Comment(parser.parse_literal_string()?)
        } else if accept_word(parser, "GUARD") {
            let off = with_state && accept_word(parser, "OFF");
            if with_state && !off {
                accept_word(parser, "ON");
            }
            DetectionChange::Guard(!off)
        } else if with_state && accept_word(parser, "ENABLE") {
            DetectionChange::Enabled(true)
        } else if with_state && accept_word(parser, "DISABLE") {
            DetectionChange::Enabled(false)
        } else {
            return Ok(changes);
        };
        changes.push(change);
    }
}

fn parse_interval(parser: &mut Parser) -> Result<String, GrammarError> {
    accept_word(parser, "INTERVAL");
    Ok(parser.parse_literal_string()?)
}
