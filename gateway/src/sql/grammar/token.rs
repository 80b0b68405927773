//! `CREATE TOKEN name [FOR role] [VALID UNTIL 'time' | EXPIRES IN 'interval' | EXPIRES NEVER]`, `DROP TOKEN [IF EXISTS] name [FOR role]`.

use sqlparser::parser::Parser;

use super::{Command, GrammarError, accept_word, accept_words, expect_word, parse_if_exists, parse_name};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateToken {
    pub name: String,
    pub role: Option<String>,
    pub expires: TokenExpiry,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenExpiry {
    /// Nothing was said.
    Default,
    Never,
    At(String),
    In(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropToken {
    pub name: String,
    pub role: Option<String>,
    pub if_exists: bool,
}

pub(super) fn parse_create(parser: &mut Parser) -> Result<Command, GrammarError> {
    accept_words(parser, &["CREATE", "TOKEN"]);
    let name = parse_name(parser)?;
    let role = if accept_word(parser, "FOR") { Some(parse_name(parser)?) } else { None };
    let expires = if accept_words(parser, &["VALID", "UNTIL"]) {
        TokenExpiry::At(parser.parse_literal_string()?)
    } else if accept_word(parser, "EXPIRES") {
        if accept_word(parser, "NEVER") {
            TokenExpiry::Never
        } else {
            expect_word(parser, "IN")?;
            accept_word(parser, "INTERVAL");
            TokenExpiry::In(parser.parse_literal_string()?)
        }
    } else {
        TokenExpiry::Default
    };
    Ok(Command::CreateToken(CreateToken { name, role, expires }))
}

pub(super) fn parse_drop(parser: &mut Parser) -> Result<Command, GrammarError> {
    accept_words(parser, &["DROP", "TOKEN"]);
    let if_exists = parse_if_exists(parser);
    let name = parse_name(parser)?;
    let role = if accept_word(parser, "FOR") { Some(parse_name(parser)?) } else { None };
    Ok(Command::DropToken(DropToken { name, role, if_exists }))
}
