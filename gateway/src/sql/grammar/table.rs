//! `CREATE TABLE` with Delta's clauses after PostgreSQL's: `USING DELTA`, `LOCATION 'url'`, `PARTITIONED BY (…)`, `COMMENT '…'`,
//! `TBLPROPERTIES (…)`. All else is the parser crate's.

use std::collections::BTreeMap;

use sqlparser::ast;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::{Command, GrammarError, Like, accept_word, fold, parse_name};
use crate::sql::with_changes::take_with;
use crate::sqlstate::SqlError;

/// `CREATE TABLE`, with or without a query.
#[derive(Debug, Clone)]
pub struct CreateTable {
    pub sql: ast::CreateTable,
    pub likes: Vec<Like>,
    /// `LOCATION 'url'`: registers a table that is there.
    pub location: Option<String>,
    pub partitioned_by: Vec<String>,
    pub comment: Option<String>,
    pub properties: BTreeMap<String, String>,
    pub query: Option<Box<ast::Query>>,
    /// `WITH NO DATA` makes it false.
    pub with_data: bool,
}

pub(super) fn parse_sql(parser: &mut Parser) -> Result<Command, GrammarError> {
    match parser.parse_statement()? {
        ast::Statement::CreateTable(sql) => parse_rest(parser, sql, Vec::new()),
        statement => match super::privacy::of_query(&statement) {
            Some(call) => Ok(Command::Privacy(Box::new(call?))),
            None => Ok(Command::Sql(Box::new(take_with(statement)?))),
        },
    }
}

pub(super) fn parse_rest(parser: &mut Parser, mut sql: ast::CreateTable, likes: Vec<Like>) -> Result<Command, GrammarError> {
    let properties = taken_properties(&mut sql.table_options);
    let mut table = CreateTable {
        location: sql.hive_formats.as_ref().and_then(|formats| formats.location.clone()),
        partitioned_by: partition_columns(&sql.hive_distribution),
        comment: None,
        properties,
        query: sql.query.take(),
        with_data: true,
        likes,
        sql,
    };
    loop {
        if accept_word(parser, "USING") {
            let format = parse_name(parser)?;
            if format != "delta" {
                return Err(SqlError::unsupported(format!("the table format {format}"))
                    .hint("Tables are Delta tables: USING DELTA.")
                    .into());
            }
        } else if accept_word(parser, "LOCATION") {
            table.location = Some(parser.parse_literal_string()?);
        } else if accept_word(parser, "PARTITIONED") {
            parser.expect_keyword_is(Keyword::BY)?;
            table.partitioned_by = parse_column_list(parser)?;
        } else if accept_word(parser, "COMMENT") {
            table.comment = Some(parser.parse_literal_string()?);
        } else if accept_word(parser, "TBLPROPERTIES") {
            table.properties = parse_properties(parser)?;
        } else if accept_word(parser, "CLUSTER") {
            return Err(SqlError::unsupported("CLUSTER BY").hint("Partition the table with PARTITIONED BY.").into());
        } else if table.query.is_none() && parser.parse_keyword(Keyword::AS) {
            table.query = Some(parser.parse_query()?);
        } else {
            break;
        }
    }
    if table.query.is_some() && parser.parse_keyword(Keyword::WITH) {
        table.with_data = !parser.parse_keyword(Keyword::NO);
        parser.expect_keyword_is(Keyword::DATA)?;
    }
    Ok(Command::CreateTable(Box::new(table)))
}

/// The parser crate knows TBLPROPERTIES, too, where it stands before what is read here.
fn taken_properties(options: &mut ast::CreateTableOptions) -> BTreeMap<String, String> {
    let ast::CreateTableOptions::TableProperties(list) = options else { return BTreeMap::new() };
    let pair = |option: &ast::SqlOption| match option {
        ast::SqlOption::KeyValue { key, value: ast::Expr::Value(value) } => {
            Some((key.value.clone(), value.value.clone().into_string().unwrap_or_else(|| value.to_string())))
        }
        _ => None,
    };
    let pairs: Option<BTreeMap<String, String>> = list.iter().map(pair).collect();
    match pairs {
        Some(pairs) => {
            *options = ast::CreateTableOptions::None;
            pairs
        }
        // Refused later, as what cannot be read.
        None => BTreeMap::new(),
    }
}

fn partition_columns(distribution: &ast::HiveDistributionStyle) -> Vec<String> {
    match distribution {
        ast::HiveDistributionStyle::PARTITIONED { columns } => columns.iter().map(|column| fold(&column.name)).collect(),
        _ => Vec::new(),
    }
}

fn parse_column_list(parser: &mut Parser) -> Result<Vec<String>, ParserError> {
    parser.expect_token(&Token::LParen)?;
    let columns = parser.parse_comma_separated(parse_name)?;
    parser.expect_token(&Token::RParen)?;
    Ok(columns)
}

pub(super) fn parse_properties(parser: &mut Parser) -> Result<BTreeMap<String, String>, ParserError> {
    parser.expect_token(&Token::LParen)?;
    let properties = parser.parse_comma_separated(|parser| {
        let key = match parser.next_token().token {
            Token::SingleQuotedString(key) => key,
            Token::Word(word) => {
                let mut key = word.value;
                while parser.consume_token(&Token::Period) {
                    key = format!("{key}.{}", parser.parse_identifier()?.value);
                }
                key
            }
            _ => return parser.expected_ref("a property name", parser.peek_token_ref()),
        };
        parser.expect_token(&Token::Eq)?;
        let value = parser.parse_value()?;
        Ok((key, value.value.clone().into_string().unwrap_or_else(|| value.to_string())))
    })?;
    parser.expect_token(&Token::RParen)?;
    Ok(properties.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::super::Command;
    use super::*;
    use crate::sql::parse::parse;

    fn table(text: &str) -> CreateTable {
        match Command::clone(parse(text).unwrap()[0].command.as_ref().unwrap()) {
            Command::CreateTable(table) => *table,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn delta_clauses_in_any_order() {
        let made =
            table("create table t (a int, b date) using delta partitioned by (b) comment 'c' tblproperties ('delta.appendOnly' = 'true')");
        assert_eq!(made.partitioned_by, ["b"]);
        assert_eq!(made.comment.as_deref(), Some("c"));
        assert_eq!(made.properties.get("delta.appendOnly").map(String::as_str), Some("true"));
        assert_eq!(table("create table t (a int, b date) partitioned by (b)").partitioned_by, ["b"]);
        assert_eq!(table("CREATE TABLE t USING DELTA LOCATION 's3://b/t'").location.as_deref(), Some("s3://b/t"));
    }

    #[test]
    fn queries() {
        assert!(table("create table t as select 1 as a").query.is_some());
        assert!(!table("create table t as select 1 as a with no data").with_data);
        assert!(table("create table t using delta partitioned by (a) as select 1 as a").query.is_some());
    }
}
