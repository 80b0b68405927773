//! `CREATE | ALTER | DROP ROLE` and the USER and GROUP spellings, PostgreSQL's grammar.

use sqlparser::ast::Statement;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::{Command, GrammarError, accept_word, accept_words, expect_word, parse_if_exists, parse_name};
use crate::sqlstate::SqlError;

/// What the options say; `None` where the statement says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoleOptions {
    pub superuser: Option<bool>,
    pub create_db: Option<bool>,
    pub create_role: Option<bool>,
    pub inherit: Option<bool>,
    pub bypass_rls: Option<bool>,
    pub login: Option<bool>,
    pub connection_limit: Option<i32>,
    /// `Some(None)`: PASSWORD NULL.
    pub password: Option<Option<String>>,
    pub valid_until: Option<String>,
    /// IN ROLE / IN GROUP.
    pub in_roles: Vec<String>,
    /// ROLE / USER: members.
    pub members: Vec<String>,
    /// ADMIN: members with the admin option.
    pub admins: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateRole {
    pub name: String,
    pub options: RoleOptions,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlterRole {
    /// `None`: ALL, which takes settings alone.
    pub name: Option<String>,
    pub change: AlterRoleChange,
}

#[derive(Debug, Clone, PartialEq)]
pub enum AlterRoleChange {
    Options(RoleOptions),
    Rename(String),
    AddMembers(Vec<String>),
    DropMembers(Vec<String>),
    Setting { database: Option<String>, change: SettingClause },
}

/// `SET name = value`, `SET name FROM CURRENT`, `RESET name | ALL` of a role or database.
#[derive(Debug, Clone, PartialEq)]
pub enum SettingClause {
    /// A SET statement.
    Set(Box<Statement>),
    FromCurrent(String),
    /// A RESET statement.
    Reset(Box<Statement>),
}

/// `ALTER DATABASE`.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterDatabase {
    pub name: String,
    pub change: AlterDatabaseChange,
}

#[derive(Debug, Clone, PartialEq)]
pub enum AlterDatabaseChange {
    Rename(String),
    Owner(String),
    ConnectionLimit(i32),
    Setting(SettingClause),
}

/// `REASSIGN OWNED`, `DROP OWNED`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owned {
    Reassign { roles: Vec<String>, to: String },
    Drop { roles: Vec<String>, cascade: bool },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropRole {
    pub names: Vec<String>,
    pub if_exists: bool,
}

pub(super) fn parse_create(parser: &mut Parser) -> Result<Command, GrammarError> {
    parser.next_token();
    let is_user = accept_word(parser, "USER");
    if !is_user {
        parser.next_token();
    }
    let name = parse_name(parser)?;
    let mut options = parse_options(parser)?;
    if is_user {
        options.login.get_or_insert(true);
    }
    Ok(Command::CreateRole(CreateRole { name, options }))
}

pub(super) fn parse_alter(parser: &mut Parser) -> Result<Command, GrammarError> {
    parser.next_token();
    parser.next_token();
    let name = if accept_word(parser, "ALL") { None } else { Some(parse_name(parser)?) };
    let database = if accept_words(parser, &["IN", "DATABASE"]) { Some(parse_name(parser)?) } else { None };
    if let Some(change) = parse_setting(parser)? {
        return Ok(Command::AlterRole(AlterRole { name, change: AlterRoleChange::Setting { database, change } }));
    }
    let (Some(name), None) = (name, database) else { return Ok(parser.expected_ref("SET or RESET", parser.peek_token_ref())?) };
    let change = if accept_words(parser, &["RENAME", "TO"]) {
        AlterRoleChange::Rename(parse_name(parser)?)
    } else if accept_words(parser, &["ADD", "USER"]) {
        AlterRoleChange::AddMembers(parse_names(parser)?)
    } else if accept_words(parser, &["DROP", "USER"]) {
        AlterRoleChange::DropMembers(parse_names(parser)?)
    } else {
        AlterRoleChange::Options(parse_options(parser)?)
    };
    Ok(Command::AlterRole(AlterRole { name: Some(name), change }))
}

/// What is set or reset of the settings that sessions start with.
fn parse_setting(parser: &mut Parser) -> Result<Option<SettingClause>, GrammarError> {
    let word = |ahead: usize, text: &str| matches!(&parser.peek_nth_token_ref(ahead).token, Token::Word(next) if next.quote_style.is_none() && next.value.eq_ignore_ascii_case(text));
    if word(0, "RESET") {
        return Ok(Some(SettingClause::Reset(Box::new(parser.parse_statement()?))));
    }
    if !word(0, "SET") {
        return Ok(None);
    }
    if word(2, "FROM") && word(3, "CURRENT") {
        parser.next_token();
        let name = parse_name(parser)?;
        parser.next_token();
        parser.next_token();
        return Ok(Some(SettingClause::FromCurrent(name)));
    }
    Ok(Some(SettingClause::Set(Box::new(parser.parse_statement()?))))
}

pub(super) fn parse_alter_database(parser: &mut Parser) -> Result<Command, GrammarError> {
    parser.next_token();
    parser.next_token();
    let name = parse_name(parser)?;
    let change = if accept_words(parser, &["RENAME", "TO"]) {
        AlterDatabaseChange::Rename(parse_name(parser)?)
    } else if accept_words(parser, &["OWNER", "TO"]) {
        AlterDatabaseChange::Owner(parse_name(parser)?)
    } else if let Some(change) = parse_setting(parser)? {
        if matches!(&change, SettingClause::Set(set) if set.to_string().to_ascii_uppercase().starts_with("SET TABLESPACE")) {
            return Err(SqlError::unsupported("ALTER DATABASE … SET TABLESPACE").into());
        }
        AlterDatabaseChange::Setting(change)
    } else {
        accept_word(parser, "WITH");
        if accept_word(parser, "ALLOW_CONNECTIONS") || accept_word(parser, "IS_TEMPLATE") || accept_word(parser, "REFRESH") {
            return Err(SqlError::unsupported("this ALTER DATABASE").into());
        }
        expect_word(parser, "CONNECTION")?;
        expect_word(parser, "LIMIT")?;
        AlterDatabaseChange::ConnectionLimit(parse_limit(parser)?)
    };
    Ok(Command::AlterDatabase(AlterDatabase { name, change }))
}

pub(super) fn parse_reassign_owned(parser: &mut Parser) -> Result<Command, GrammarError> {
    expect_word(parser, "REASSIGN")?;
    let roles = parse_owned_by(parser)?;
    expect_word(parser, "TO")?;
    Ok(Command::Owned(Owned::Reassign { roles, to: parse_name(parser)? }))
}

pub(super) fn parse_drop_owned(parser: &mut Parser) -> Result<Command, GrammarError> {
    expect_word(parser, "DROP")?;
    let roles = parse_owned_by(parser)?;
    let cascade = accept_word(parser, "CASCADE");
    if !cascade {
        accept_word(parser, "RESTRICT");
    }
    Ok(Command::Owned(Owned::Drop { roles, cascade }))
}

fn parse_owned_by(parser: &mut Parser) -> Result<Vec<String>, ParserError> {
    expect_word(parser, "OWNED")?;
    expect_word(parser, "BY")?;
    parse_names(parser)
}

pub(super) fn parse_drop(parser: &mut Parser) -> Result<Command, GrammarError> {
    parser.next_token();
    parser.next_token();
    let if_exists = parse_if_exists(parser);
    Ok(Command::DropRole(DropRole { names: parse_names(parser)?, if_exists }))
}

fn parse_names(parser: &mut Parser) -> Result<Vec<String>, ParserError> {
    parser.parse_comma_separated(parse_name)
}

fn parse_options(parser: &mut Parser) -> Result<RoleOptions, GrammarError> {
    let mut options = RoleOptions::default();
    accept_word(parser, "WITH");
    while let Token::Word(word) = &parser.peek_token_ref().token {
        let word = word.value.to_ascii_uppercase();
        if let Some(flag) = flag(&mut options, word.strip_prefix("NO").unwrap_or(&word)) {
            *flag = Some(!word.starts_with("NO"));
            parser.next_token();
            continue;
        }
        if !parse_option(parser, &word, &mut options)? {
            break;
        }
    }
    Ok(options)
}

fn flag<'a>(options: &'a mut RoleOptions, word: &str) -> Option<&'a mut Option<bool>> {
    Some(match word {
        "SUPERUSER" => &mut options.superuser,
        "CREATEDB" => &mut options.create_db,
        "CREATEROLE" => &mut options.create_role,
        "INHERIT" => &mut options.inherit,
        "BYPASSRLS" => &mut options.bypass_rls,
        "LOGIN" => &mut options.login,
        _ => return None,
    })
}

fn parse_option(parser: &mut Parser, word: &str, options: &mut RoleOptions) -> Result<bool, GrammarError> {
    match word {
        "ENCRYPTED" => {
            parser.next_token();
        }
        "PASSWORD" => {
            parser.next_token();
            options.password = Some(if accept_word(parser, "NULL") { None } else { Some(parser.parse_literal_string()?) });
        }
        "CONNECTION" => {
            parser.next_token();
            expect_word(parser, "LIMIT")?;
            options.connection_limit = Some(parse_limit(parser)?);
        }
        "VALID" => {
            parser.next_token();
            expect_word(parser, "UNTIL")?;
            options.valid_until = Some(parser.parse_literal_string()?);
        }
        "IN" => {
            parser.next_token();
            if !accept_word(parser, "GROUP") {
                expect_word(parser, "ROLE")?;
            }
            options.in_roles = parse_names(parser)?;
        }
        "ROLE" | "USER" => {
            parser.next_token();
            options.members = parse_names(parser)?;
        }
        "ADMIN" => {
            parser.next_token();
            options.admins = parse_names(parser)?;
        }
        "REPLICATION" | "NOREPLICATION" | "SYSID" => {
            if word.starts_with("NO") {
                // Every role is so already.
                parser.next_token();
            } else {
                return Err(SqlError::unsupported(format!("the role option {word}")).into());
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

pub(super) fn parse_limit(parser: &mut Parser) -> Result<i32, ParserError> {
    let negative = parser.consume_token(&Token::Minus);
    let value =
        i32::try_from(parser.parse_literal_uint()?).map_err(|_| ParserError::ParserError("connection limit is out of range".to_owned()))?;
    Ok(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::super::Command;
    use super::*;
    use crate::sql::parse::parse;

    fn one(text: &str) -> Command {
        Command::clone(parse(text).unwrap()[0].command.as_ref().unwrap())
    }

    #[test]
    fn users_log_in_and_roles_do_not() {
        let Command::CreateRole(role) = one("create user \"Ann\" with password 'x' nosuperuser connection limit -1") else { panic!() };
        assert_eq!(role.name, "Ann");
        assert_eq!(role.options.login, Some(true));
        assert_eq!(role.options.superuser, Some(false));
        assert_eq!(role.options.password, Some(Some("x".to_owned())));
        assert_eq!(role.options.connection_limit, Some(-1));
        let Command::CreateRole(role) = one("create role r") else { panic!() };
        assert_eq!(role.options.login, None);
    }

    #[test]
    fn psql_password_change() {
        let Command::AlterRole(role) = one("ALTER USER admin PASSWORD 'SCRAM-SHA-256$4096:a$b:c'") else { panic!() };
        assert!(matches!(role.change, AlterRoleChange::Options(options) if options.password.is_some()));
    }
}
