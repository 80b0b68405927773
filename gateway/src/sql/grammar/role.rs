//! `CREATE | ALTER | DROP ROLE` and the USER and GROUP spellings, PostgreSQL's grammar.

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

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterRole {
    pub name: String,
    pub change: AlterRoleChange,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlterRoleChange {
    Options(RoleOptions),
    Rename(String),
    AddMembers(Vec<String>),
    DropMembers(Vec<String>),
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
    let name = parse_name(parser)?;
    let change = if accept_words(parser, &["RENAME", "TO"]) {
        AlterRoleChange::Rename(parse_name(parser)?)
    } else if accept_words(parser, &["ADD", "USER"]) {
        AlterRoleChange::AddMembers(parse_names(parser)?)
    } else if accept_words(parser, &["DROP", "USER"]) {
        AlterRoleChange::DropMembers(parse_names(parser)?)
    } else if accept_word(parser, "SET") || accept_word(parser, "RESET") || accept_words(parser, &["IN", "DATABASE"]) {
        return Err(SqlError::unsupported("a setting stored with a role").into());
    } else {
        AlterRoleChange::Options(parse_options(parser)?)
    };
    Ok(Command::AlterRole(AlterRole { name, change }))
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
        "REPLICATION" | "NOREPLICATION" | "BYPASSRLS" | "NOBYPASSRLS" | "SYSID" => {
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

fn parse_limit(parser: &mut Parser) -> Result<i32, ParserError> {
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
