//! `ROTATE KEYS`, `DESTROY KEYS OF ROLE r`, `DESTROY KEYS OF DAY '2026-11-22'`.

use sqlparser::parser::Parser;

use super::{Command, GrammarError, accept_word, accept_words, expect_word, parse_name};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    Rotate,
    DestroyOfRole(String),
    DestroyOfDay(String),
}

pub(super) fn parse(parser: &mut Parser) -> Result<Command, GrammarError> {
    if accept_words(parser, &["ROTATE", "KEYS"]) {
        return Ok(Command::Keys(Keys::Rotate));
    }
    for word in ["DESTROY", "KEYS", "OF"] {
        expect_word(parser, word)?;
    }
    if accept_word(parser, "ROLE") {
        return Ok(Command::Keys(Keys::DestroyOfRole(parse_name(parser)?)));
    }
    expect_word(parser, "DAY")?;
    Ok(Command::Keys(Keys::DestroyOfDay(parser.parse_literal_string()?)))
}
