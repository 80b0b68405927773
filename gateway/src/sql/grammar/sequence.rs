//! Sequences: `CREATE SEQUENCE`, and the options that ALTER SEQUENCE and identity columns share with it.

use sqlparser::ast::{DataType, Expr, ObjectName, SequenceOptions};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};

use super::{Command, GrammarError, accept_word, accept_words, expect_word, name_parts};

#[derive(Debug, Clone)]
pub struct CreateSequence {
    pub temporary: bool,
    pub if_not_exists: bool,
    pub name: ObjectName,
    pub options: Vec<SequenceOption>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum SequenceOption {
    DataType(DataType),
    Increment(i64),
    /// `None`: the default.
    Min(Option<i64>),
    Max(Option<i64>),
    Start(i64),
    /// `None`: at the start value.
    Restart(Option<i64>),
    Cache(i64),
    Cycle(bool),
    /// Parts of a column's name; `None`: NONE.
    OwnedBy(Option<Vec<String>>),
    /// Parts of the name that the sequence of an identity column is given, as pg_dump writes it.
    Name(Vec<String>),
}

pub(super) fn parse_create(parser: &mut Parser) -> Result<Command, GrammarError> {
    parser.expect_keyword_is(Keyword::CREATE)?;
    let temporary = accept_word(parser, "TEMP") || accept_word(parser, "TEMPORARY");
    expect_word(parser, "SEQUENCE")?;
    let if_not_exists = parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
    let name = parser.parse_object_name(false)?;
    let options = parse_options(parser)?;
    Ok(Command::CreateSequence(Box::new(CreateSequence { temporary, if_not_exists, name, options })))
}

pub(super) fn parse_options(parser: &mut Parser) -> Result<Vec<SequenceOption>, ParserError> {
    let mut options = Vec::new();
    loop {
        options.push(if accept_word(parser, "AS") {
            SequenceOption::DataType(parser.parse_data_type()?)
        } else if accept_word(parser, "INCREMENT") {
            accept_word(parser, "BY");
            SequenceOption::Increment(number(parser)?)
        } else if accept_word(parser, "MINVALUE") {
            SequenceOption::Min(Some(number(parser)?))
        } else if accept_words(parser, &["NO", "MINVALUE"]) {
            SequenceOption::Min(None)
        } else if accept_word(parser, "MAXVALUE") {
            SequenceOption::Max(Some(number(parser)?))
        } else if accept_words(parser, &["NO", "MAXVALUE"]) {
            SequenceOption::Max(None)
        } else if accept_word(parser, "START") {
            accept_word(parser, "WITH");
            SequenceOption::Start(number(parser)?)
        } else if accept_word(parser, "RESTART") {
            let with = accept_word(parser, "WITH");
            let is_number = matches!(
                parser.peek_token_ref().token,
                sqlparser::tokenizer::Token::Number(..) | sqlparser::tokenizer::Token::Minus | sqlparser::tokenizer::Token::Plus
            );
            SequenceOption::Restart(if with || is_number { Some(number(parser)?) } else { None })
        } else if accept_word(parser, "CACHE") {
            SequenceOption::Cache(number(parser)?)
        } else if accept_word(parser, "CYCLE") {
            SequenceOption::Cycle(true)
        } else if accept_words(parser, &["NO", "CYCLE"]) {
            SequenceOption::Cycle(false)
        } else if accept_words(parser, &["SEQUENCE", "NAME"]) {
            let name = parser.parse_object_name(false)?;
            SequenceOption::Name(name_parts(&name).map_err(|error| ParserError::ParserError(error.message))?)
        } else if accept_words(parser, &["OWNED", "BY"]) {
            if accept_word(parser, "NONE") {
                SequenceOption::OwnedBy(None)
            } else {
                let name = parser.parse_object_name(false)?;
                let parts = name_parts(&name).map_err(|error| ParserError::ParserError(error.message))?;
                SequenceOption::OwnedBy(Some(parts))
            }
        } else {
            return Ok(options);
        });
    }
}

fn number(parser: &mut Parser) -> Result<i64, ParserError> {
    let negative = parser.consume_token(&sqlparser::tokenizer::Token::Minus);
    if !negative {
        let _ = parser.consume_token(&sqlparser::tokenizer::Token::Plus);
    }
    match parser.next_token().token {
        sqlparser::tokenizer::Token::Number(digits, _) => {
            let signed = if negative { format!("-{digits}") } else { digits };
            signed.parse().map_err(|_| ParserError::ParserError(format!("value \"{signed}\" is out of range for type bigint")))
        }
        _ => {
            parser.prev_token();
            parser.expected_ref("a number", parser.peek_token_ref())
        }
    }
}

/// The parser crate's options, as an identity column has them.
///
/// # Errors
/// What is no whole number.
pub fn of_identity(options: &[SequenceOptions]) -> Result<Vec<SequenceOption>, ParserError> {
    let whole = |expr: &Expr| -> Result<i64, ParserError> {
        let text = expr.to_string().replace(' ', "");
        text.parse().map_err(|_| ParserError::ParserError(format!("invalid number: {text}")))
    };
    options
        .iter()
        .map(|option| {
            Ok(match option {
                SequenceOptions::IncrementBy(by, _) => SequenceOption::Increment(whole(by)?),
                SequenceOptions::MinValue(value) => SequenceOption::Min(value.as_ref().map(whole).transpose()?),
                SequenceOptions::MaxValue(value) => SequenceOption::Max(value.as_ref().map(whole).transpose()?),
                SequenceOptions::StartWith(value, _) => SequenceOption::Start(whole(value)?),
                SequenceOptions::Cache(value) => SequenceOption::Cache(whole(value)?),
                // The parser crate's flag says NO.
                SequenceOptions::Cycle(no) => SequenceOption::Cycle(!no),
            })
        })
        .collect()
}
