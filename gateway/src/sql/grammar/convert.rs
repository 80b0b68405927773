//! `CONVERT TO DELTA 'url' [NO STATISTICS] [PARTITIONED BY (column type, …)]`, also with Databricks' `parquet.` before the URL.

use sqlparser::ast::DataType;
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::{Command, GrammarError, accept_word, accept_words, expect_word, parse_name};

#[derive(Debug, Clone)]
pub struct ConvertToDelta {
    pub url: String,
    /// Folders `column=value` are columns of these types.
    pub partitioned_by: Vec<(String, DataType)>,
}

pub(super) fn parse(parser: &mut Parser) -> Result<Command, GrammarError> {
    expect_word(parser, "CONVERT")?;
    parser.expect_keyword_is(Keyword::TO)?;
    expect_word(parser, "DELTA")?;
    let url = if accept_word(parser, "PARQUET") {
        parser.expect_token(&Token::Period)?;
        match &parser.peek_token_ref().token {
            Token::SingleQuotedString(_) => parser.parse_literal_string()?,
            _ => parser.parse_identifier()?.value,
        }
    } else {
        parser.parse_literal_string()?
    };
    // The log has each file's statistics, which cost one footer a file: there is nothing to save by leaving them out.
    accept_words(parser, &["NO", "STATISTICS"]);
    let mut partitioned_by = Vec::new();
    if accept_word(parser, "PARTITIONED") {
        parser.expect_keyword_is(Keyword::BY)?;
        parser.expect_token(&Token::LParen)?;
        partitioned_by = parser.parse_comma_separated(|parser| Ok((parse_name(parser)?, parser.parse_data_type()?)))?;
        parser.expect_token(&Token::RParen)?;
    }
    Ok(Command::ConvertToDelta(Box::new(ConvertToDelta { url, partitioned_by })))
}
