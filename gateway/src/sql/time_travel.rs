//! `FROM t VERSION AS OF 3` and `FROM t TIMESTAMP AS OF '2026-01-01'`: a table as it was. The parser crate's PostgreSQL does not know it,
//! so its tokens are taken out before parsing and the table is marked afterwards. Where a statement is bound, such a table goes by a
//! name of its own, which no user can write: the same table may stand beside it as it is now.

use std::ops::ControlFlow;

use lakegate_catalog::model::RelationName;
use lakegate_engine_api::Moment;
use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, ObjectName, ObjectNamePart, TableFactor, TableFunctionArgs, TableVersion, Value, VisitorMut,
};
use sqlparser::keywords::Keyword;
use sqlparser::parser::ParserError;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::grammar::{Command, fold, visit_statements};
use super::parse::parse_expression;
use crate::sqlstate::{SqlError, SqlState};

/// Between a table's name and its moment.
const MARK: char = '\u{0}';

/// A clause that was taken out.
#[derive(Debug)]
pub struct Travel {
    /// Where the last word of the table's name starts.
    name: Location,
    version: TableVersion,
}

/// The tokens without the clauses, and the clauses.
#[must_use]
pub fn take_out(tokens: Vec<TokenWithSpan>) -> (Vec<TokenWithSpan>, Vec<Travel>) {
    let is_candidate =
        |token: &TokenWithSpan| matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && is_word(&word.value));
    if !tokens.iter().any(is_candidate) {
        return (tokens, Vec::new());
    }
    let significant: Vec<usize> = (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_))).collect();
    let token = |at: usize| significant.get(at).map(|at| &tokens[*at]);
    let (mut gone, mut travels) = (Vec::new(), Vec::new());
    for at in 1..significant.len() {
        let Some((length, version)) = clause(&token, at) else { continue };
        let Some(TokenWithSpan { token: Token::Word(word), span }) = token(at - 1) else { continue };
        // RESTORE TABLE t TO VERSION AS OF 3 has its own.
        if word.quote_style.is_none() && word.keyword == Keyword::TO {
            continue;
        }
        gone.extend((at..at + length).filter_map(|at| significant.get(at).copied()));
        travels.push(Travel { name: span.start, version });
    }
    let kept = tokens.into_iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, token)| token);
    (kept.collect(), travels)
}

fn is_word(word: &str) -> bool {
    word.eq_ignore_ascii_case("version") || word.eq_ignore_ascii_case("timestamp")
}

/// A clause that begins here: how many tokens it has, and what it says. What follows OF tells it from `SELECT timestamp AS of`.
fn clause<'a>(token: &impl Fn(usize) -> Option<&'a TokenWithSpan>, at: usize) -> Option<(usize, TableVersion)> {
    let word = |at: usize| match token(at).map(|token| &token.token) {
        Some(Token::Word(word)) if word.quote_style.is_none() => word.value.to_ascii_lowercase(),
        _ => String::new(),
    };
    if !(word(at + 1) == "as" && word(at + 2) == "of") {
        return None;
    }
    let literal = |at: usize| match &token(at)?.token {
        Token::Number(digits, false) => Some(Value::Number(digits.clone(), false)),
        Token::SingleQuotedString(text) => Some(Value::SingleQuotedString(text.clone())),
        _ => None,
    };
    let expr = |value: Value| Expr::Value(value.into());
    match (word(at).as_str(), literal(at + 3)) {
        ("version", Some(value @ Value::Number(..))) => Some((4, TableVersion::VersionAsOf(expr(value)))),
        ("timestamp", Some(value @ Value::SingleQuotedString(_))) => Some((4, TableVersion::TimestampAsOf(expr(value)))),
        ("timestamp", None) if matches!(word(at + 3).as_str(), "timestamp" | "timestamptz" | "date") => match literal(at + 4) {
            Some(value @ Value::SingleQuotedString(_)) => Some((5, TableVersion::TimestampAsOf(expr(value)))),
            _ => None,
        },
        _ => None,
    }
}

/// Marks the tables of a statement.
///
/// # Errors
/// A clause that stands behind no table of FROM.
pub fn mark(command: &mut Command, travels: Vec<Travel>) -> Result<(), ParserError> {
    if travels.is_empty() {
        return Ok(());
    }
    let mut marker = Marker { travels };
    visit_statements(command, &mut marker);
    if marker.travels.is_empty() {
        return Ok(());
    }
    Err(ParserError::ParserError("VERSION AS OF and TIMESTAMP AS OF stand behind a table of FROM".to_owned()))
}

struct Marker {
    travels: Vec<Travel>,
}

impl VisitorMut for Marker {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, version, args: None, .. } = factor
            && let Some(last) = name.0.last().and_then(|part| part.as_ident())
            && let Some(at) = self.travels.iter().position(|travel| travel.name == last.span.start)
        {
            *version = Some(self.travels.swap_remove(at).version);
        }
        ControlFlow::Continue(())
    }
}

/// What a mark says.
///
/// # Errors
/// 0A000 for versions that the parser crate knows from other systems; 22003 for a number that is none of a version.
pub fn moment(version: &TableVersion) -> Result<Moment, SqlError> {
    let value = |expr: &Expr| match expr {
        Expr::Value(value) => Some(value.value.clone()),
        _ => None,
    };
    match version {
        TableVersion::VersionAsOf(expr) => match value(expr) {
            Some(Value::Number(digits, _)) => digits.parse().map(Moment::Version).map_err(|_| not_a_version(&digits)),
            _ => Err(SqlError::unsupported("a version that is not a number")),
        },
        TableVersion::TimestampAsOf(expr) => match value(expr) {
            Some(Value::SingleQuotedString(text)) => Ok(Moment::Timestamp(text)),
            _ => Err(SqlError::unsupported("a moment that is not a literal")),
        },
        _ => Err(SqlError::unsupported("this way to name a version").hint("Use VERSION AS OF n or TIMESTAMP AS OF 'time'.")),
    }
}

/// 22023.
#[must_use]
pub fn not_a_version(text: &str) -> SqlError {
    SqlError::new(SqlState::InvalidParameterValue, format!("\"{text}\" is not a version of a table"))
}

/// What of a table's past is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Past {
    /// The table as it was.
    At(Moment),
    /// `table_changes`: what changed in some versions.
    Changes { from: Moment, to: Option<Moment> },
}

/// The name by which a table's past is bound.
#[must_use]
pub fn name_of_past(name: &RelationName, past: &Past) -> RelationName {
    let text = |moment: &Moment| match moment {
        Moment::Version(version) => format!("v{version}"),
        Moment::Timestamp(text) => format!("t{text}"),
    };
    let past = match past {
        Past::At(moment) => text(moment),
        Past::Changes { from, to } => format!("c{}{MARK}{}", text(from), to.as_ref().map(text).unwrap_or_default()),
    };
    RelationName { name: format!("{}{MARK}{past}", name.name), ..name.clone() }
}

/// The table and the past of such a name; `None` for all other names.
#[must_use]
pub fn past_of(name: &RelationName) -> Option<(RelationName, Past)> {
    let (table, past) = name.name.split_once(MARK)?;
    let moment = |text: &str| match text.strip_prefix('v') {
        Some(version) => Some(Moment::Version(version.parse().ok()?)),
        None => Some(Moment::Timestamp(text.strip_prefix('t')?.to_owned())),
    };
    let past = match past.strip_prefix('c') {
        Some(range) => {
            let (from, to) = range.split_once(MARK)?;
            Past::Changes { from: moment(from)?, to: if to.is_empty() { None } else { Some(moment(to)?) } }
        }
        None => Past::At(moment(past)?),
    };
    Some((RelationName { name: table.to_owned(), ..name.clone() }, past))
}

/// Whether a function of FROM is `table_changes`.
#[must_use]
pub fn is_table_changes(name: &ObjectName) -> bool {
    matches!(name.0.as_slice(), [ObjectNamePart::Identifier(name)] if fold(name) == "table_changes")
}

/// What `table_changes('table', from [, to])` names: the parts of the table's name, and the range.
///
/// # Errors
/// 42883 for other arguments, 0A000 for those that are not literals, 42602 for what is no name.
pub fn table_changes(args: &TableFunctionArgs) -> Result<(Vec<String>, Past), SqlError> {
    let literals: Result<Vec<Value>, SqlError> = args.args.iter().map(literal).collect();
    let literals = literals?;
    let (Some(Value::SingleQuotedString(table)), range @ ([_] | [_, _])) = (literals.first(), literals.get(1..).unwrap_or_default()) else {
        return Err(SqlError::new(SqlState::UndefinedFunction, "table_changes is called otherwise")
            .hint("Call table_changes('table', from [, to]), with versions or timestamps."));
    };
    let moment = |value: &Value| match value {
        Value::Number(digits, _) => digits.parse().map(Moment::Version).map_err(|_| not_a_version(digits)),
        Value::SingleQuotedString(text) => Ok(Moment::Timestamp(text.clone())),
        other => Err(not_a_version(&other.to_string())),
    };
    let parts = match parse_expression(table) {
        Ok(Expr::Identifier(name)) => vec![fold(&name)],
        Ok(Expr::CompoundIdentifier(names)) => names.iter().map(fold).collect(),
        _ => return Err(SqlError::new(SqlState::InvalidName, format!("invalid name syntax: \"{table}\""))),
    };
    let from = moment(&range[0])?;
    let to = range.get(1).map(moment).transpose()?;
    Ok((parts, Past::Changes { from, to }))
}

fn literal(arg: &FunctionArg) -> Result<Value, SqlError> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) if !matches!(value.value, Value::Placeholder(_)) => {
            Ok(value.value.clone())
        }
        _ => Err(SqlError::unsupported("table_changes with other arguments than literals")),
    }
}

#[cfg(test)]
mod tests {
    use crate::sql::parse::parse;

    fn shown(text: &str) -> String {
        match &**parse(text).unwrap()[0].command.as_ref().unwrap() {
            crate::sql::grammar::Command::Sql(statement) => statement.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn tables_of_from_are_marked() {
        assert_eq!(shown("SELECT * FROM t version as of 3"), "SELECT * FROM t VERSION AS OF 3");
        assert_eq!(
            shown("SELECT * FROM a.t VERSION AS OF 3 AS x JOIN \"T\" TIMESTAMP AS OF '2026-01-01' y ON true"),
            "SELECT * FROM a.t AS x VERSION AS OF 3 JOIN \"T\" y TIMESTAMP AS OF '2026-01-01' ON true"
        );
        assert_eq!(shown("SELECT (SELECT max(a) FROM t VERSION AS OF 0)"), "SELECT (SELECT max(a) FROM t VERSION AS OF 0)");
    }

    #[test]
    fn what_looks_like_it_stays() {
        for text in ["SELECT timestamp AS of FROM t", "SELECT now()::timestamp AS of", "SELECT version AS of FROM t"] {
            assert!(parse(text).is_ok(), "{text}");
        }
        for text in ["SELECT 1 VERSION AS OF 3", "INSERT INTO t VERSION AS OF 3 VALUES (1)", "SELECT * FROM f() VERSION AS OF 1"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
