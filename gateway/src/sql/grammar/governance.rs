//! `CREATE | ALTER | DROP POLICY`, PostgreSQL's grammar; tags and masks of `ALTER`, `CREATE | DROP MASKING POLICY`, as Databricks has them.

use std::collections::BTreeMap;
use std::fmt;

use lakegate_catalog::ddl::RowSecurityUpdate;
use lakegate_catalog::governance::PolicyCommand;
use sqlparser::ast::{Expr, ObjectName};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::{GrammarError, accept_word, accept_words, expect_word, parse_if_exists, parse_name};
use crate::sqlstate::{SqlError, SqlState};

/// Key to value; `None` takes the tag away.
pub type TagWords = BTreeMap<String, Option<String>>;

#[derive(Debug, Clone)]
pub enum Governance {
    AlterTags(AlterTags),
    CreatePolicy(Box<CreatePolicy>),
    AlterPolicy { name: String, table: ObjectName, change: ChangePolicy },
    DropPolicy(DropPolicy),
    CreateMaskingPolicy(Box<CreateMaskingPolicy>),
    DropMaskingPolicy { name: String, if_exists: bool },
}

/// Of a database or a schema.
#[derive(Debug, Clone)]
pub struct AlterTags {
    pub of_database: bool,
    pub name: ObjectName,
    pub changes: TagWords,
}

/// A role of a TO or FOR list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleWord {
    Public,
    CurrentUser,
    SessionUser,
    Name(String),
}

impl fmt::Display for RoleWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RoleWord::Public => "public",
            RoleWord::CurrentUser => "current_user",
            RoleWord::SessionUser => "session_user",
            RoleWord::Name(name) => name,
        })
    }
}

#[derive(Debug, Clone)]
pub struct CreatePolicy {
    pub name: String,
    pub table: ObjectName,
    pub permissive: bool,
    pub command: PolicyCommand,
    pub roles: Vec<RoleWord>,
    pub using: Option<Expr>,
    pub check: Option<Expr>,
}

#[derive(Debug, Clone)]
pub enum ChangePolicy {
    Rename(String),
    Set { roles: Option<Vec<RoleWord>>, using: Option<Box<Expr>>, check: Option<Box<Expr>> },
}

#[derive(Debug, Clone)]
pub struct DropPolicy {
    pub name: String,
    pub table: ObjectName,
    pub if_exists: bool,
}

#[derive(Debug, Clone)]
pub struct CreateMaskingPolicy {
    pub name: String,
    pub tag: String,
    pub value: Option<String>,
    pub mask: MaskSpec,
}

/// `(expr) [FOR role, …]`; no roles: for all.
#[derive(Debug, Clone)]
pub struct MaskSpec {
    pub expr: Expr,
    pub roles: Vec<RoleWord>,
}

impl Governance {
    #[must_use]
    pub const fn tag(&self) -> &'static str {
        match self {
            Governance::AlterTags(AlterTags { of_database: true, .. }) => "ALTER DATABASE",
            Governance::AlterTags(_) => "ALTER SCHEMA",
            Governance::CreatePolicy(_) => "CREATE POLICY",
            Governance::AlterPolicy { .. } => "ALTER POLICY",
            Governance::DropPolicy(_) => "DROP POLICY",
            Governance::CreateMaskingPolicy(_) => "CREATE MASKING POLICY",
            Governance::DropMaskingPolicy { .. } => "DROP MASKING POLICY",
        }
    }

    /// Kind and name of what it is about, for the audit log.
    #[must_use]
    pub fn subject(&self) -> (&'static str, String) {
        match self {
            Governance::AlterTags(alter) => (if alter.of_database { "database" } else { "schema" }, alter.name.to_string()),
            Governance::CreatePolicy(create) => ("policy", format!("{} on {}", create.name, create.table)),
            Governance::AlterPolicy { name, table, .. } => ("policy", format!("{name} on {table}")),
            Governance::DropPolicy(drop) => ("policy", format!("{} on {}", drop.name, drop.table)),
            Governance::CreateMaskingPolicy(create) => ("masking policy", create.name.clone()),
            Governance::DropMaskingPolicy { name, .. } => ("masking policy", name.clone()),
        }
    }
}

/// `None` where the statement is another; `words`: its first.
pub(super) fn parse(parser: &mut Parser, words: &[&str]) -> Result<Option<Governance>, GrammarError> {
    let parsed = match words {
        ["CREATE", "POLICY", ..] => parse_create(parser)?,
        ["ALTER", "POLICY", ..] => parse_alter(parser)?,
        ["DROP", "POLICY", ..] => parse_drop(parser)?,
        ["CREATE", "MASKING", "POLICY"] => parse_create_masking(parser)?,
        ["DROP", "MASKING", "POLICY"] => {
            skip(parser, 3);
            let if_exists = parse_if_exists(parser);
            Governance::DropMaskingPolicy { name: parse_name(parser)?, if_exists }
        }
        ["ALTER", "DATABASE" | "SCHEMA" | "CATALOG", ..] if are_tags_next(parser) => {
            skip(parser, 1);
            let of_database = !accept_word(parser, "SCHEMA");
            if of_database {
                skip(parser, 1);
            }
            let name = parser.parse_object_name(false)?;
            let changes = parse_tags(parser)?.unwrap_or_default();
            Governance::AlterTags(AlterTags { of_database, name, changes })
        }
        _ => return Ok(None),
    };
    Ok(Some(parsed))
}

fn skip(parser: &mut Parser, tokens: usize) {
    (0..tokens).for_each(|_| {
        parser.next_token();
    });
}

/// Behind `ALTER DATABASE name`, a name of up to three parts.
fn are_tags_next(parser: &Parser) -> bool {
    let is = |ahead: usize, words: &[&str]| match &parser.peek_nth_token_ref(ahead).token {
        Token::Word(word) => word.quote_style.is_none() && words.iter().any(|wanted| word.value.eq_ignore_ascii_case(wanted)),
        _ => false,
    };
    [3, 5, 7].into_iter().any(|behind| is(behind, &["SET", "UNSET"]) && is(behind + 1, &["TAGS"]))
}

/// `SET TAGS ('key' = 'value', …)` and `UNSET TAGS ('key', …)`; `None` leaves the parser where it was.
pub(super) fn parse_tags(parser: &mut Parser) -> Result<Option<TagWords>, ParserError> {
    let sets = accept_words(parser, &["SET", "TAGS"]);
    if !sets && !accept_words(parser, &["UNSET", "TAGS"]) {
        return Ok(None);
    }
    parser.expect_token(&Token::LParen)?;
    let changes = parser.parse_comma_separated(|parser| {
        let (key, value) = parse_tag(parser, sets)?;
        Ok((key, sets.then(|| value.unwrap_or_default())))
    })?;
    parser.expect_token(&Token::RParen)?;
    Ok(Some(changes.into_iter().collect()))
}

/// `'key' [= 'value']`.
fn parse_tag(parser: &mut Parser, with_value: bool) -> Result<(String, Option<String>), ParserError> {
    let key = parser.parse_literal_string()?;
    let value = (with_value && parser.consume_token(&Token::Eq)).then(|| parser.parse_literal_string()).transpose()?;
    Ok((key, value))
}

/// `None` leaves the parser where it was.
pub(super) fn parse_row_security(parser: &mut Parser) -> Option<RowSecurityUpdate> {
    for (word, update) in [
        (&["ENABLE"] as &[&str], RowSecurityUpdate::Enabled(true)),
        (&["DISABLE"], RowSecurityUpdate::Enabled(false)),
        (&["FORCE"], RowSecurityUpdate::Forced(true)),
        (&["NO", "FORCE"], RowSecurityUpdate::Forced(false)),
    ] {
        let words: Vec<&str> = word.iter().copied().chain(["ROW", "LEVEL", "SECURITY"]).collect();
        if accept_words(parser, &words) {
            return Some(update);
        }
    }
    None
}

/// `(expr) [FOR role, …]`.
pub(super) fn parse_mask(parser: &mut Parser) -> Result<MaskSpec, ParserError> {
    let expr = parse_parenthesized(parser)?;
    let roles = if accept_word(parser, "FOR") { parser.parse_comma_separated(parse_role)? } else { Vec::new() };
    Ok(MaskSpec { expr, roles })
}

fn parse_parenthesized(parser: &mut Parser) -> Result<Expr, ParserError> {
    parser.expect_token(&Token::LParen)?;
    let expr = parser.parse_expr()?;
    parser.expect_token(&Token::RParen)?;
    Ok(expr)
}

fn parse_role(parser: &mut Parser) -> Result<RoleWord, ParserError> {
    accept_word(parser, "GROUP");
    for (words, role) in [
        (&["PUBLIC"] as &[&str], RoleWord::Public),
        (&["CURRENT_USER", "CURRENT_ROLE"], RoleWord::CurrentUser),
        (&["SESSION_USER"], RoleWord::SessionUser),
    ] {
        if words.iter().any(|word| accept_word(parser, word)) {
            return Ok(role);
        }
    }
    Ok(RoleWord::Name(parse_name(parser)?))
}

fn parse_create(parser: &mut Parser) -> Result<Governance, GrammarError> {
    skip(parser, 2);
    let name = parse_name(parser)?;
    parser.expect_keyword_is(Keyword::ON)?;
    let table = parser.parse_object_name(false)?;
    let permissive = if parser.parse_keyword(Keyword::AS) { parse_permissive(parser)? } else { true };
    let command = if accept_word(parser, "FOR") { parse_policy_command(parser)? } else { PolicyCommand::All };
    let (roles, using, check) = parse_policy_body(parser)?;
    let misplaced = |text: &str| Err(SqlError::new(SqlState::SyntaxError, text).into());
    if check.is_some() && matches!(command, PolicyCommand::Select | PolicyCommand::Delete) {
        return misplaced("WITH CHECK cannot be applied to SELECT or DELETE");
    }
    if using.is_some() && command == PolicyCommand::Insert {
        return misplaced("only WITH CHECK expression allowed for INSERT");
    }
    let roles = roles.unwrap_or_else(|| vec![RoleWord::Public]);
    Ok(Governance::CreatePolicy(Box::new(CreatePolicy { name, table, permissive, command, roles, using, check })))
}

fn parse_permissive(parser: &mut Parser) -> Result<bool, GrammarError> {
    if accept_word(parser, "PERMISSIVE") {
        return Ok(true);
    }
    if accept_word(parser, "RESTRICTIVE") {
        return Ok(false);
    }
    let word = parse_name(parser)?;
    Err(SqlError::new(SqlState::SyntaxError, format!("unrecognized row security option \"{word}\""))
        .hint("Only PERMISSIVE or RESTRICTIVE policies are supported currently.")
        .into())
}

fn parse_policy_command(parser: &mut Parser) -> Result<PolicyCommand, ParserError> {
    for command in [PolicyCommand::All, PolicyCommand::Select, PolicyCommand::Insert, PolicyCommand::Update, PolicyCommand::Delete] {
        if accept_word(parser, command.word()) {
            return Ok(command);
        }
    }
    parser.expected_ref("ALL, SELECT, INSERT, UPDATE or DELETE", parser.peek_token_ref())
}

type PolicyBody = (Option<Vec<RoleWord>>, Option<Expr>, Option<Expr>);

/// `[TO role, …] [USING (expr)] [WITH CHECK (expr)]`.
fn parse_policy_body(parser: &mut Parser) -> Result<PolicyBody, ParserError> {
    let roles = accept_word(parser, "TO").then(|| parser.parse_comma_separated(parse_role)).transpose()?;
    let using = accept_word(parser, "USING").then(|| parse_parenthesized(parser)).transpose()?;
    let check = accept_words(parser, &["WITH", "CHECK"]).then(|| parse_parenthesized(parser)).transpose()?;
    Ok((roles, using, check))
}

fn parse_alter(parser: &mut Parser) -> Result<Governance, GrammarError> {
    skip(parser, 2);
    let name = parse_name(parser)?;
    parser.expect_keyword_is(Keyword::ON)?;
    let table = parser.parse_object_name(false)?;
    let change = if accept_words(parser, &["RENAME", "TO"]) {
        ChangePolicy::Rename(parse_name(parser)?)
    } else {
        let (roles, using, check) = parse_policy_body(parser)?;
        ChangePolicy::Set { roles, using: using.map(Box::new), check: check.map(Box::new) }
    };
    Ok(Governance::AlterPolicy { name, table, change })
}

fn parse_drop(parser: &mut Parser) -> Result<Governance, GrammarError> {
    skip(parser, 2);
    let if_exists = parse_if_exists(parser);
    let name = parse_name(parser)?;
    parser.expect_keyword_is(Keyword::ON)?;
    let table = parser.parse_object_name(false)?;
    if !accept_word(parser, "CASCADE") {
        accept_word(parser, "RESTRICT");
    }
    Ok(Governance::DropPolicy(DropPolicy { name, table, if_exists }))
}

fn parse_create_masking(parser: &mut Parser) -> Result<Governance, GrammarError> {
    skip(parser, 3);
    let name = parse_name(parser)?;
    parser.expect_keyword_is(Keyword::ON)?;
    expect_word(parser, "TAG")?;
    parser.expect_token(&Token::LParen)?;
    let (tag, value) = parse_tag(parser, true)?;
    parser.expect_token(&Token::RParen)?;
    parser.expect_keyword_is(Keyword::AS)?;
    let mask = parse_mask(parser)?;
    Ok(Governance::CreateMaskingPolicy(Box::new(CreateMaskingPolicy { name, tag, value, mask })))
}
