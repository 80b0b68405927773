//! What is kept of queries and for queries: `CREATE MATERIALIZED VIEW`, `REFRESH MATERIALIZED VIEW`, `REINDEX`.

use sqlparser::ast::{self, ObjectName};
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;

use super::{Command, GrammarError, accept_word, accept_words, expect_word};

#[derive(Debug, Clone)]
pub struct CreateMaterializedView {
    pub if_not_exists: bool,
    pub name: ObjectName,
    pub columns: Vec<ast::Ident>,
    pub query: Box<ast::Query>,
    /// `WITH NO DATA` makes it false.
    pub with_data: bool,
}

#[derive(Debug, Clone)]
pub struct Refresh {
    pub concurrently: bool,
    pub name: ObjectName,
    pub with_data: bool,
}

#[derive(Debug, Clone)]
pub struct Reindex {
    /// INDEX or TABLE; SCHEMA and DATABASE have `None`.
    pub index: bool,
    pub name: ObjectName,
}

pub(super) fn parse_create(parser: &mut Parser) -> Result<Command, GrammarError> {
    parser.expect_keyword_is(Keyword::CREATE)?;
    expect_word(parser, "MATERIALIZED")?;
    expect_word(parser, "VIEW")?;
    let if_not_exists = parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
    let name = parser.parse_object_name(false)?;
    let columns = parser.parse_parenthesized_column_list(sqlparser::parser::IsOptional::Optional, false)?;
    parser.expect_keyword_is(Keyword::AS)?;
    let query = parser.parse_query()?;
    let with_data = parse_with_data(parser)?;
    Ok(Command::CreateMaterializedView(Box::new(CreateMaterializedView { if_not_exists, name, columns, query, with_data })))
}

pub(super) fn parse_refresh(parser: &mut Parser) -> Result<Command, GrammarError> {
    expect_word(parser, "REFRESH")?;
    expect_word(parser, "MATERIALIZED")?;
    expect_word(parser, "VIEW")?;
    let concurrently = accept_word(parser, "CONCURRENTLY");
    let name = parser.parse_object_name(false)?;
    let with_data = parse_with_data(parser)?;
    Ok(Command::Refresh(Refresh { concurrently, name, with_data }))
}

pub(super) fn parse_reindex(parser: &mut Parser) -> Result<Command, GrammarError> {
    expect_word(parser, "REINDEX")?;
    let index = accept_word(parser, "INDEX");
    if !index {
        expect_word(parser, "TABLE")?;
    }
    accept_word(parser, "CONCURRENTLY");
    Ok(Command::Reindex(Reindex { index, name: parser.parse_object_name(false)? }))
}

fn parse_with_data(parser: &mut Parser) -> Result<bool, GrammarError> {
    if accept_words(parser, &["WITH", "NO", "DATA"]) {
        return Ok(false);
    }
    accept_words(parser, &["WITH", "DATA"]);
    Ok(true)
}
