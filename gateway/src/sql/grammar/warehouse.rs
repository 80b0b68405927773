//! `CREATE WAREHOUSE name [WITH (option = value, …)]`, ALTER and DROP WAREHOUSE.

use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::{GrammarError, accept_word, accept_words, expect_word, parse_if_exists, parse_name};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WarehouseCommand {
    Create { name: String, if_not_exists: bool, options: Vec<WarehouseOption> },
    Alter { name: String, if_exists: bool, change: AlterWarehouse },
    Drop { names: Vec<String>, if_exists: bool },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlterWarehouse {
    Set(Vec<WarehouseOption>),
    Rename(String),
    Owner(String),
}

/// As written; `None`: back to the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarehouseOption {
    /// Lower case.
    pub name: String,
    pub value: Option<String>,
}

impl WarehouseCommand {
    /// The command tag.
    #[must_use]
    pub const fn tag(&self) -> &'static str {
        match self {
            WarehouseCommand::Create { .. } => "CREATE WAREHOUSE",
            WarehouseCommand::Alter { .. } => "ALTER WAREHOUSE",
            WarehouseCommand::Drop { .. } => "DROP WAREHOUSE",
        }
    }

    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        match self {
            WarehouseCommand::Create { name, .. } | WarehouseCommand::Alter { name, .. } => vec![name],
            WarehouseCommand::Drop { names, .. } => names.iter().map(String::as_str).collect(),
        }
    }

    /// What is set.
    #[must_use]
    pub fn options(&self) -> &[WarehouseOption] {
        match self {
            WarehouseCommand::Create { options, .. } | WarehouseCommand::Alter { change: AlterWarehouse::Set(options), .. } => options,
            _ => &[],
        }
    }
}

pub(super) fn parse(parser: &mut Parser) -> Result<WarehouseCommand, GrammarError> {
    if accept_words(parser, &["CREATE", "WAREHOUSE"]) {
        let if_not_exists = parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
        let name = parse_name(parser)?;
        let options = if accept_word(parser, "WITH") { parse_options(parser)? } else { Vec::new() };
        return Ok(WarehouseCommand::Create { name, if_not_exists, options });
    }
    if accept_words(parser, &["DROP", "WAREHOUSE"]) {
        let if_exists = parse_if_exists(parser);
        return Ok(WarehouseCommand::Drop { names: parser.parse_comma_separated(parse_name)?, if_exists });
    }
    accept_words(parser, &["ALTER", "WAREHOUSE"]);
    let if_exists = parse_if_exists(parser);
    let name = parse_name(parser)?;
    let change = if accept_words(parser, &["RENAME", "TO"]) {
        AlterWarehouse::Rename(parse_name(parser)?)
    } else if accept_words(parser, &["OWNER", "TO"]) {
        AlterWarehouse::Owner(parse_name(parser)?)
    } else if accept_word(parser, "RESET") {
        parser.expect_token(&Token::LParen)?;
        let names = parser.parse_comma_separated(parse_name)?;
        parser.expect_token(&Token::RParen)?;
        AlterWarehouse::Set(names.into_iter().map(|name| WarehouseOption { name, value: None }).collect())
    } else {
        if !accept_word(parser, "SET") {
            expect_word(parser, "WITH")?;
        }
        AlterWarehouse::Set(parse_options(parser)?)
    };
    Ok(WarehouseCommand::Alter { name, if_exists, change })
}

fn parse_options(parser: &mut Parser) -> Result<Vec<WarehouseOption>, ParserError> {
    parser.expect_token(&Token::LParen)?;
    let options = parser.parse_comma_separated(|parser| {
        let name = parse_name(parser)?;
        parser.expect_token(&Token::Eq)?;
        let value = match parser.next_token().token {
            Token::Word(word) if word.keyword == Keyword::DEFAULT && word.quote_style.is_none() => None,
            Token::Word(word) => Some(word.value),
            Token::Number(text, _) | Token::SingleQuotedString(text) => Some(text),
            _ => {
                parser.prev_token();
                return parser.expected_ref("a value", parser.peek_token_ref());
            }
        };
        Ok(WarehouseOption { name, value })
    })?;
    parser.expect_token(&Token::RParen)?;
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::grammar::Command;
    use crate::sql::parse::parse;

    fn parsed(sql: &str) -> WarehouseCommand {
        let Some(Command::Warehouse(command)) = parse(sql).unwrap()[0].command.as_deref().cloned() else { panic!("{sql}") };
        command
    }

    #[test]
    fn options_of_all_spellings() {
        let command =
            parsed("CREATE WAREHOUSE IF NOT EXISTS bi WITH (max_concurrency = 4, STATEMENT_TIMEOUT = '30s', queue_limit = DEFAULT)");
        let option = |name: &str, value: Option<&str>| WarehouseOption { name: name.to_owned(), value: value.map(str::to_owned) };
        let options = [option("max_concurrency", Some("4")), option("statement_timeout", Some("30s")), option("queue_limit", None)];
        assert_eq!(command, WarehouseCommand::Create { name: "bi".to_owned(), if_not_exists: true, options: options.into() });
        assert_eq!(
            parsed("ALTER WAREHOUSE \"default\" SET (max_concurrency = 4)"),
            parsed("ALTER WAREHOUSE default WITH (max_concurrency = '4')")
        );
        assert_eq!(parsed("ALTER WAREHOUSE w RESET (queue_limit)"), parsed("ALTER WAREHOUSE w SET (queue_limit = DEFAULT)"));
        assert_eq!(parsed("DROP WAREHOUSE IF EXISTS a, b").names(), ["a", "b"]);
    }
}
