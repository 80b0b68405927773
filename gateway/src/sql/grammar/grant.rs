//! `GRANT` and `REVOKE`, of privileges and of role membership: PostgreSQL's grammar, and `EXTERNAL LOCATION` as an object.

use lakegate_catalog::model::DefaultAclKind;
use sqlparser::ast::ObjectName;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::{Command, GrammarError, accept_word, accept_words, expect_word, parse_columns, parse_name};
use crate::sqlstate::SqlError;

/// A privilege as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivilegeWord {
    /// Upper case, `READ FILES` and `ALL` included.
    pub word: String,
    pub columns: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantTarget {
    Tables(Vec<ObjectName>),
    AllTablesInSchemas(Vec<ObjectName>),
    Sequences(Vec<ObjectName>),
    AllSequencesInSchemas(Vec<ObjectName>),
    /// FUNCTIONS, PROCEDURES and ROUTINES.
    AllFunctionsInSchemas(Vec<ObjectName>),
    Schemas(Vec<ObjectName>),
    Databases(Vec<String>),
    ExternalLocations(Vec<String>),
    Warehouses(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub privileges: Vec<PrivilegeWord>,
    pub target: GrantTarget,
    /// `public` stands for PUBLIC.
    pub grantees: Vec<String>,
    pub grant_option: bool,
    /// GRANTED BY.
    pub granted_by: Option<String>,
}

/// `ALTER DEFAULT PRIVILEGES`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterDefaultPrivileges {
    /// FOR ROLE; empty: the current role.
    pub roles: Vec<String>,
    /// IN SCHEMA.
    pub schemas: Vec<ObjectName>,
    pub privileges: Vec<PrivilegeWord>,
    pub kind: DefaultAclKind,
    pub grantees: Vec<String>,
    pub revoke: bool,
    pub grant_option: bool,
    pub cascade: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoke {
    pub privileges: Vec<PrivilegeWord>,
    pub target: GrantTarget,
    pub grantees: Vec<String>,
    pub grant_option_only: bool,
    pub cascade: bool,
    pub granted_by: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantMembership {
    pub roles: Vec<String>,
    pub members: Vec<String>,
    pub admin_option: bool,
    pub granted_by: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokeMembership {
    pub roles: Vec<String>,
    pub members: Vec<String>,
    pub admin_option_only: bool,
    pub granted_by: Option<String>,
}

pub(super) fn parse_grant(parser: &mut Parser) -> Result<Command, GrammarError> {
    parser.next_token();
    let privileges = parse_privileges(parser)?;
    if accept_word(parser, "TO") {
        let members = parse_grantees(parser)?;
        let admin_option = accept_words(parser, &["WITH", "ADMIN", "OPTION"]);
        let granted_by = parse_granted_by(parser)?;
        return Ok(Command::GrantMembership(GrantMembership { roles: as_roles(privileges)?, members, admin_option, granted_by }));
    }
    expect_word(parser, "ON")?;
    let target = parse_target(parser)?;
    expect_word(parser, "TO")?;
    let grantees = parse_grantees(parser)?;
    let grant_option = accept_words(parser, &["WITH", "GRANT", "OPTION"]);
    let granted_by = parse_granted_by(parser)?;
    Ok(Command::Grant(Grant { privileges, target, grantees, grant_option, granted_by }))
}

/// `ALTER DEFAULT PRIVILEGES [FOR ROLE …] [IN SCHEMA …] GRANT … | REVOKE …`.
pub(super) fn parse_default(parser: &mut Parser) -> Result<Command, GrammarError> {
    for word in ["ALTER", "DEFAULT", "PRIVILEGES"] {
        expect_word(parser, word)?;
    }
    let (mut roles, mut schemas) = (Vec::new(), Vec::new());
    loop {
        if accept_words(parser, &["FOR", "ROLE"]) || accept_words(parser, &["FOR", "USER"]) {
            roles = parser.parse_comma_separated(parse_name)?;
        } else if accept_words(parser, &["IN", "SCHEMA"]) {
            schemas = parse_objects(parser)?;
        } else {
            break;
        }
    }
    let revoke = accept_word(parser, "REVOKE");
    if !revoke {
        expect_word(parser, "GRANT")?;
    }
    let mut grant_option = revoke && accept_words(parser, &["GRANT", "OPTION", "FOR"]);
    let privileges = parse_privileges(parser)?;
    expect_word(parser, "ON")?;
    let kind = parse_default_kind(parser)?;
    expect_word(parser, if revoke { "FROM" } else { "TO" })?;
    let grantees = parse_grantees(parser)?;
    if !revoke {
        grant_option = accept_words(parser, &["WITH", "GRANT", "OPTION"]);
    }
    let cascade = revoke && parse_cascade(parser);
    Ok(Command::DefaultPrivileges(AlterDefaultPrivileges { roles, schemas, privileges, kind, grantees, revoke, grant_option, cascade }))
}

fn parse_default_kind(parser: &mut Parser) -> Result<DefaultAclKind, ParserError> {
    let known = [
        ("TABLES", DefaultAclKind::Tables),
        ("SEQUENCES", DefaultAclKind::Sequences),
        ("FUNCTIONS", DefaultAclKind::Functions),
        ("ROUTINES", DefaultAclKind::Functions),
        ("TYPES", DefaultAclKind::Types),
        ("SCHEMAS", DefaultAclKind::Schemas),
    ];
    for (word, kind) in known {
        if accept_word(parser, word) {
            return Ok(kind);
        }
    }
    parser.expected_ref("TABLES, SEQUENCES, FUNCTIONS, TYPES or SCHEMAS", parser.peek_token_ref())
}

pub(super) fn parse_revoke(parser: &mut Parser) -> Result<Command, GrammarError> {
    parser.next_token();
    let grant_option_only = accept_words(parser, &["GRANT", "OPTION", "FOR"]);
    let admin_option_only = accept_words(parser, &["ADMIN", "OPTION", "FOR"]);
    let privileges = parse_privileges(parser)?;
    if accept_word(parser, "FROM") {
        let members = parse_grantees(parser)?;
        let granted_by = parse_granted_by(parser)?;
        parse_cascade(parser);
        return Ok(Command::RevokeMembership(RevokeMembership { roles: as_roles(privileges)?, members, admin_option_only, granted_by }));
    }
    expect_word(parser, "ON")?;
    let target = parse_target(parser)?;
    expect_word(parser, "FROM")?;
    let grantees = parse_grantees(parser)?;
    let granted_by = parse_granted_by(parser)?;
    let cascade = parse_cascade(parser);
    Ok(Command::Revoke(Revoke { privileges, target, grantees, grant_option_only, cascade, granted_by }))
}

fn parse_cascade(parser: &mut Parser) -> bool {
    let cascade = accept_word(parser, "CASCADE");
    if !cascade {
        accept_word(parser, "RESTRICT");
    }
    cascade
}

fn parse_granted_by(parser: &mut Parser) -> Result<Option<String>, ParserError> {
    if accept_words(parser, &["GRANTED", "BY"]) { parse_name(parser).map(Some) } else { Ok(None) }
}

fn parse_privileges(parser: &mut Parser) -> Result<Vec<PrivilegeWord>, ParserError> {
    if accept_word(parser, "ALL") {
        accept_word(parser, "PRIVILEGES");
        return Ok(vec![PrivilegeWord { word: "ALL".to_owned(), columns: parse_columns(parser)? }]);
    }
    parser.parse_comma_separated(|parser| {
        let quoted = matches!(&parser.peek_token_ref().token, Token::Word(word) if word.quote_style.is_some());
        let name = parser.parse_identifier()?.value;
        let mut word = if quoted { name } else { name.to_ascii_uppercase() };
        if matches!(word.as_str(), "READ" | "WRITE") && accept_word(parser, "FILES") {
            word.push_str(" FILES");
        }
        Ok(PrivilegeWord { word, columns: parse_columns(parser)? })
    })
}

/// `GRANT a, b TO c`: what was read as privileges are role names.
fn as_roles(words: Vec<PrivilegeWord>) -> Result<Vec<String>, ParserError> {
    words
        .into_iter()
        .map(|privilege| {
            if privilege.columns.is_empty() {
                let unquoted = privilege.word.chars().all(|c| !c.is_lowercase());
                Ok(if unquoted { privilege.word.to_lowercase() } else { privilege.word })
            } else {
                Err(ParserError::ParserError("a role has no columns".to_owned()))
            }
        })
        .collect()
}

fn parse_target(parser: &mut Parser) -> Result<GrantTarget, GrammarError> {
    if accept_words(parser, &["ALL", "TABLES", "IN", "SCHEMA"]) {
        return Ok(GrantTarget::AllTablesInSchemas(parse_objects(parser)?));
    }
    if accept_word(parser, "SCHEMA") {
        return Ok(GrantTarget::Schemas(parse_objects(parser)?));
    }
    if accept_word(parser, "DATABASE") {
        return Ok(GrantTarget::Databases(parser.parse_comma_separated(parse_name)?));
    }
    if accept_words(parser, &["EXTERNAL", "LOCATION"]) {
        return Ok(GrantTarget::ExternalLocations(parser.parse_comma_separated(parse_name)?));
    }
    if accept_word(parser, "WAREHOUSE") {
        return Ok(GrantTarget::Warehouses(parser.parse_comma_separated(parse_name)?));
    }
    if accept_word(parser, "SEQUENCE") {
        return Ok(GrantTarget::Sequences(parse_objects(parser)?));
    }
    if accept_words(parser, &["ALL", "SEQUENCES", "IN", "SCHEMA"]) {
        return Ok(GrantTarget::AllSequencesInSchemas(parse_objects(parser)?));
    }
    for kind in ["FUNCTIONS", "PROCEDURES", "ROUTINES"] {
        if accept_words(parser, &["ALL", kind, "IN", "SCHEMA"]) {
            return Ok(GrantTarget::AllFunctionsInSchemas(parse_objects(parser)?));
        }
    }
    for kind in ["FUNCTION", "PROCEDURE", "ROUTINE", "LARGE", "FOREIGN", "LANGUAGE", "TYPE", "DOMAIN", "TABLESPACE", "PARAMETER"] {
        if accept_word(parser, kind) {
            return Err(SqlError::unsupported(format!("GRANT or REVOKE on {kind}")).into());
        }
    }
    accept_word(parser, "TABLE");
    Ok(GrantTarget::Tables(parse_objects(parser)?))
}

fn parse_objects(parser: &mut Parser) -> Result<Vec<ObjectName>, ParserError> {
    parser.parse_comma_separated(|parser| parser.parse_object_name(false))
}

fn parse_grantees(parser: &mut Parser) -> Result<Vec<String>, ParserError> {
    parser.parse_comma_separated(|parser| {
        accept_word(parser, "GROUP");
        accept_word(parser, "ROLE");
        parse_name(parser)
    })
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
    fn privileges_and_membership_are_told_apart() {
        let Command::Grant(grant) = one("grant select, insert on t, s.u to a, public with grant option") else { panic!() };
        assert_eq!(grant.privileges.iter().map(|p| p.word.as_str()).collect::<Vec<_>>(), ["SELECT", "INSERT"]);
        assert_eq!(grant.grantees, ["a", "public"]);
        assert!(grant.grant_option);
        let Command::GrantMembership(grant) = one("grant Readers to ann with admin option") else { panic!() };
        assert_eq!((grant.roles, grant.members, grant.admin_option), (vec!["readers".to_owned()], vec!["ann".to_owned()], true));
    }

    #[test]
    fn files_of_an_external_location() {
        let Command::Grant(grant) = one("GRANT READ FILES, WRITE FILES ON EXTERNAL LOCATION lake TO r") else { panic!() };
        assert_eq!(grant.privileges[0].word, "READ FILES");
        assert_eq!(grant.target, GrantTarget::ExternalLocations(vec!["lake".to_owned()]));
    }
}
