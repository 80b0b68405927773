//! `CREATE DATABASE`, PostgreSQL's grammar. What an option asks for that every database has is taken; the rest is refused.

use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::{Command, GrammarError, accept_word, expect_word, parse_name};
use crate::sqlstate::SqlError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateDatabase {
    pub name: String,
    pub if_not_exists: bool,
    pub owner: Option<String>,
    pub connection_limit: Option<i32>,
}

pub(super) fn parse_create(parser: &mut Parser) -> Result<Command, GrammarError> {
    parser.next_token();
    parser.next_token();
    let if_not_exists = parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
    let mut create = CreateDatabase { name: parse_name(parser)?, if_not_exists, owner: None, connection_limit: None };
    accept_word(parser, "WITH");
    while let Token::Word(word) = &parser.peek_token_ref().token {
        let option = word.value.to_ascii_uppercase();
        parser.next_token();
        if option == "CONNECTION" {
            expect_word(parser, "LIMIT")?;
        }
        let _optional = parser.consume_token(&Token::Eq);
        match option.as_str() {
            "OWNER" => create.owner = Some(parse_name(parser)?),
            "CONNECTION" => create.connection_limit = Some(super::role::parse_limit(parser)?),
            "TEMPLATE" => check(&option, &parse_value(parser)?, &["template0", "template1", "default"])?,
            "ENCODING" => check(&option, &parse_value(parser)?, &["utf8", "utf-8", "unicode", "6", "default"])?,
            "LOCALE" | "LC_COLLATE" | "LC_CTYPE" => {
                check(&option, &parse_value(parser)?, &["c", "posix", "c.utf-8", "c.utf8", "default"])?;
            }
            "LOCALE_PROVIDER" => check(&option, &parse_value(parser)?, &["libc"])?,
            "IS_TEMPLATE" => check(&option, &parse_value(parser)?, &["false", "default"])?,
            "ALLOW_CONNECTIONS" => check(&option, &parse_value(parser)?, &["true", "default"])?,
            "TABLESPACE" => check(&option, &parse_value(parser)?, &["pg_default", "default"])?,
            _ => return Err(ParserError::ParserError(format!("option \"{}\" not recognized", option.to_lowercase())).into()),
        }
    }
    Ok(Command::CreateDatabase(create))
}

fn parse_value(parser: &mut Parser) -> Result<String, ParserError> {
    Ok(match parser.next_token().token {
        Token::Word(word) => word.value.to_lowercase(),
        Token::SingleQuotedString(text) => text.to_lowercase(),
        Token::Number(text, _) => text,
        other => return Err(ParserError::ParserError(format!("Expected: a value, found: {other}"))),
    })
}

fn check(option: &str, value: &str, accepted: &[&str]) -> Result<(), GrammarError> {
    if accepted.contains(&value) {
        return Ok(());
    }
    Err(SqlError::unsupported(format!("CREATE DATABASE with {option} {value}")).into())
}
