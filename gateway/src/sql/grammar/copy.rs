//! `COPY`, in its three generations of spelling. Source: `CopyStmt` in PostgreSQL's gram.y.

use sqlparser::ast;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::{Command, GrammarError, accept_word, expect_word, fold, parse_columns, parse_name};
use crate::sqlstate::{SqlError, SqlState};

#[derive(Debug, Clone)]
pub struct Copy {
    pub source: CopySource,
    pub to: bool,
    pub target: CopyTarget,
    /// As they are written: what they mean and whether they fit together is the command's to say.
    pub options: Vec<CopyOption>,
    /// Of COPY FROM.
    pub filter: Option<Box<ast::Expr>>,
}

#[derive(Debug, Clone)]
pub enum CopySource {
    Table { name: ast::ObjectName, columns: Vec<String> },
    Statement(Box<ast::Statement>),
}

#[derive(Debug, Clone)]
pub enum CopyTarget {
    /// STDIN or STDOUT: PostgreSQL takes either word both ways.
    Client,
    File(String),
    Program,
}

#[derive(Debug, Clone)]
pub struct CopyOption {
    /// In lower case, words joined by underscores.
    pub name: String,
    pub value: CopyValue,
}

#[derive(Debug, Clone)]
pub enum CopyValue {
    None,
    /// A word, a string or a number, as text.
    Text(String),
    Star,
    Names(Vec<String>),
}

pub(super) fn parse_copy(parser: &mut Parser) -> Result<Command, GrammarError> {
    expect_word(parser, "COPY")?;
    let mut options = Vec::new();
    let source = if parser.consume_token(&Token::LParen) {
        let statement = parser.parse_statement()?;
        parser.expect_token(&Token::RParen)?;
        CopySource::Statement(Box::new(statement))
    } else {
        if accept_word(parser, "BINARY") {
            options.push(format_of("binary"));
        }
        CopySource::Table { name: parser.parse_object_name(false)?, columns: parse_columns(parser)? }
    };
    let to = match &source {
        CopySource::Table { .. } if accept_word(parser, "FROM") => false,
        _ => {
            expect_word(parser, "TO")?;
            true
        }
    };
    let target = parse_target(parser)?;
    let using = accept_word(parser, "USING");
    if using || word_is(parser, "DELIMITERS") {
        expect_word(parser, "DELIMITERS")?;
        options.push(CopyOption { name: "delimiter".to_owned(), value: CopyValue::Text(parser.parse_literal_string()?) });
    }
    accept_word(parser, "WITH");
    if parser.consume_token(&Token::LParen) {
        options.extend(parser.parse_comma_separated(parse_option)?);
        parser.expect_token(&Token::RParen)?;
    } else {
        while let Some(option) = parse_old_option(parser)? {
            options.push(option);
        }
    }
    let mut filter = None;
    if matches!(source, CopySource::Table { .. }) && accept_word(parser, "WHERE") {
        if to {
            return Err(SqlError::new(SqlState::SyntaxError, "WHERE clause not allowed with COPY TO").into());
        }
        filter = Some(Box::new(parser.parse_expr()?));
    }
    Ok(Command::Copy(Box::new(Copy { source, to, target, options, filter })))
}

fn parse_target(parser: &mut Parser) -> Result<CopyTarget, ParserError> {
    if accept_word(parser, "STDIN") || accept_word(parser, "STDOUT") {
        return Ok(CopyTarget::Client);
    }
    let is_program = accept_word(parser, "PROGRAM");
    let name = parser.parse_literal_string()?;
    Ok(if is_program { CopyTarget::Program } else { CopyTarget::File(name) })
}

/// `name [value]` between parentheses.
fn parse_option(parser: &mut Parser) -> Result<CopyOption, ParserError> {
    let name = match parser.peek_token_ref().token {
        Token::Word(_) => fold(&parser.parse_identifier()?),
        _ => return parser.expected_ref("an option", parser.peek_token_ref()),
    };
    let value = match &parser.peek_token_ref().token {
        Token::Comma | Token::RParen => CopyValue::None,
        Token::Mul => {
            parser.next_token();
            CopyValue::Star
        }
        Token::LParen => {
            parser.next_token();
            let names = parser.parse_comma_separated(parse_name)?;
            parser.expect_token(&Token::RParen)?;
            CopyValue::Names(names)
        }
        _ => CopyValue::Text(parse_word_or_literal(parser)?),
    };
    Ok(CopyOption { name, value })
}

fn parse_word_or_literal(parser: &mut Parser) -> Result<String, ParserError> {
    let sign = match parser.peek_token_ref().token {
        Token::Minus => "-",
        Token::Plus => "+",
        _ => "",
    };
    if !sign.is_empty() {
        parser.next_token();
    }
    match &parser.peek_token_ref().token {
        Token::Word(_) if sign.is_empty() => parse_name(parser),
        Token::Number(digits, _) => {
            let text = format!("{sign}{digits}");
            parser.next_token();
            Ok(text)
        }
        _ => parser.parse_literal_string(),
    }
}

/// An option as before PostgreSQL 9.0, without parentheses; `None` where there is none.
fn parse_old_option(parser: &mut Parser) -> Result<Option<CopyOption>, ParserError> {
    let word = match &parser.peek_token_ref().token {
        Token::Word(word) if word.quote_style.is_none() => word.value.to_ascii_lowercase(),
        _ => return Ok(None),
    };
    let option = match word.as_str() {
        "binary" | "csv" => {
            parser.next_token();
            format_of(&word)
        }
        "freeze" | "header" => {
            parser.next_token();
            CopyOption { name: word, value: CopyValue::None }
        }
        "delimiter" | "null" | "quote" | "escape" | "encoding" => {
            parser.next_token();
            if word != "encoding" {
                accept_word(parser, "AS");
            }
            CopyOption { name: word, value: CopyValue::Text(parser.parse_literal_string()?) }
        }
        "force" => {
            parser.next_token();
            parse_force(parser)?
        }
        _ => return Ok(None),
    };
    Ok(Some(option))
}

fn parse_force(parser: &mut Parser) -> Result<CopyOption, ParserError> {
    let name = if accept_word(parser, "QUOTE") {
        if parser.consume_token(&Token::Mul) {
            return Ok(CopyOption { name: "force_quote".to_owned(), value: CopyValue::Star });
        }
        "force_quote"
    } else if parser.parse_keyword(Keyword::NOT) {
        expect_word(parser, "NULL")?;
        "force_not_null"
    } else {
        expect_word(parser, "NULL")?;
        "force_null"
    };
    Ok(CopyOption { name: name.to_owned(), value: CopyValue::Names(parser.parse_comma_separated(parse_name)?) })
}

fn format_of(format: &str) -> CopyOption {
    CopyOption { name: "format".to_owned(), value: CopyValue::Text(format.to_owned()) }
}

fn word_is(parser: &Parser, word: &str) -> bool {
    matches!(&parser.peek_token_ref().token, Token::Word(next) if next.quote_style.is_none() && next.value.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse::parse;

    fn copy(text: &str) -> Copy {
        match Command::clone(parse(text).unwrap()[0].command.as_ref().unwrap()) {
            Command::Copy(copy) => *copy,
            other => panic!("{other:?}"),
        }
    }

    fn options(text: &str) -> Vec<String> {
        copy(text).options.iter().map(|option| format!("{} {:?}", option.name, option.value)).collect()
    }

    #[test]
    fn three_generations() {
        assert_eq!(options("copy binary t from stdin"), ["format Text(\"binary\")"]);
        assert_eq!(options("copy t to stdout using delimiters '|'"), ["delimiter Text(\"|\")"]);
        assert_eq!(
            options("copy t(a) from stdin with csv header quote as '''' force not null a, b"),
            ["format Text(\"csv\")", "header None", "quote Text(\"'\")", "force_not_null Names([\"a\", \"b\"])"]
        );
        assert_eq!(
            options("COPY t TO STDOUT (FORMAT 'csv', HEADER 1, FORCE_QUOTE *, FORCE_NULL (x))"),
            ["format Text(\"csv\")", "header Text(\"1\")", "force_quote Star", "force_null Names([\"x\"])"]
        );
    }

    #[test]
    fn directions_and_conditions() {
        assert!(copy("copy (values (1)) to stdin").to);
        assert!(copy("copy t from stdin where a > 1").filter.is_some());
        assert_eq!(parse("copy t to stdout where a > 1").unwrap_err().message, "WHERE clause not allowed with COPY TO");
        assert!(parse("copy (select 1) from stdin").is_err());
    }
}
