//! `CREATE EXTERNAL LOCATION name URL 'url'` and `DROP EXTERNAL LOCATION`.

use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;

use super::{Command, GrammarError, accept_words, expect_word, parse_if_exists, parse_name};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateExternalLocation {
    pub name: String,
    pub url: String,
    pub if_not_exists: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropExternalLocation {
    pub name: String,
    pub if_exists: bool,
}

pub(super) fn parse_create(parser: &mut Parser) -> Result<Command, GrammarError> {
    accept_words(parser, &["CREATE", "EXTERNAL", "LOCATION"]);
    let if_not_exists = parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
    let name = parse_name(parser)?;
    expect_word(parser, "URL")?;
    let url = parser.parse_literal_string()?;
    Ok(Command::CreateExternalLocation(CreateExternalLocation { name, url, if_not_exists }))
}

pub(super) fn parse_drop(parser: &mut Parser) -> Result<Command, GrammarError> {
    accept_words(parser, &["DROP", "EXTERNAL", "LOCATION"]);
    let if_exists = parse_if_exists(parser);
    Ok(Command::DropExternalLocation(DropExternalLocation { name: parse_name(parser)?, if_exists }))
}
