//! ANALYZE (gram.y, `AnalyzeStmt`).

use sqlparser::ast::{Expr, Ident, ObjectName};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::{Command, GrammarError, accept_word, expect_word, parse_columns, parse_name};
use crate::sqlstate::{SqlError, SqlState};

/// `ANALYZE [VERBOSE | (options)] [table [(columns)] [, …]]`.
#[derive(Debug, Clone)]
pub struct Analyze {
    pub verbose: bool,
    /// None for all tables.
    pub tables: Vec<(ObjectName, Vec<String>)>,
}

pub fn parse(parser: &mut Parser) -> Result<Command, GrammarError> {
    if !accept_word(parser, "ANALYSE") {
        expect_word(parser, "ANALYZE")?;
    }
    let mut verbose = false;
    if parser.consume_token(&Token::LParen) {
        loop {
            match parse_name(parser)?.as_str() {
                "verbose" => verbose = parse_switch(parser)?,
                "skip_locked" => {
                    // Nothing is ever locked.
                    let _ = parse_switch(parser)?;
                }
                other => {
                    return Err(SqlError::new(SqlState::SyntaxError, format!("unrecognized ANALYZE option \"{other}\"")).into());
                }
            }
            if !parser.consume_token(&Token::Comma) {
                break;
            }
        }
        parser.expect_token(&Token::RParen)?;
    } else {
        verbose = parser.parse_keyword(Keyword::VERBOSE);
    }
    let mut tables = Vec::new();
    if !matches!(parser.peek_token_ref().token, Token::EOF | Token::SemiColon) {
        tables = parser.parse_comma_separated(|parser| {
            let _ = parser.parse_keyword(Keyword::ONLY);
            let name = parser.parse_object_name(false)?;
            Ok((name, parse_columns(parser)?))
        })?;
    }
    Ok(Command::Analyze(Analyze { verbose, tables }))
}

/// A boolean that may be left out.
fn parse_switch(parser: &mut Parser) -> Result<bool, ParserError> {
    if matches!(parser.peek_token_ref().token, Token::Comma | Token::RParen) {
        return Ok(true);
    }
    match parser.parse_expr()? {
        Expr::Identifier(Ident { value, .. }) if value.eq_ignore_ascii_case("on") => Ok(true),
        Expr::Identifier(Ident { value, .. }) if value.eq_ignore_ascii_case("off") => Ok(false),
        Expr::Value(value) => match value.to_string().to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => parser.expected_ref("a Boolean value", parser.peek_token_ref()),
        },
        _ => parser.expected_ref("a Boolean value", parser.peek_token_ref()),
    }
}
