//! Work on whole tables, in Databricks' words: `DESCRIBE HISTORY | DETAIL | COMPATIBILITY t`, `OPTIMIZE t`, `RESTORE TABLE t TO …`, and
//! `VACUUM`, which PostgreSQL has too, for the same end.

use lakegate_engine_api::Moment;
use sqlparser::ast::{self, ObjectName, TableVersion};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::{Command, GrammarError, accept_word, accept_words, expect_word, parse_columns};
use crate::sql::time_travel;
use crate::sqlstate::SqlError;

#[derive(Debug, Clone)]
pub enum TableWork {
    History {
        table: ObjectName,
        limit: Option<usize>,
    },
    Detail(ObjectName),
    Compatibility(ObjectName),
    Restore {
        table: ObjectName,
        moment: Moment,
    },
    Optimize {
        table: ObjectName,
        condition: Option<Box<ast::Expr>>,
        order: Vec<String>,
        /// FULL: large files, too.
        whole: bool,
        /// Not to be written: what is done to a table without being asked, for so many bytes.
        small: Option<u64>,
    },
    Vacuum(Vacuum),
}

#[derive(Debug, Clone)]
pub struct Vacuum {
    /// Without any: all tables of the database that the role owns.
    pub tables: Vec<ObjectName>,
    pub retain_hours: Option<f64>,
    pub dry_run: bool,
    /// FULL: files are made over first.
    pub full: bool,
    pub verbose: bool,
}

impl TableWork {
    /// As they are written.
    #[must_use]
    pub fn tables(&self) -> &[ObjectName] {
        match self {
            TableWork::History { table, .. }
            | TableWork::Detail(table)
            | TableWork::Compatibility(table)
            | TableWork::Restore { table, .. }
            | TableWork::Optimize { table, .. } => std::slice::from_ref(table),
            TableWork::Vacuum(vacuum) => &vacuum.tables,
        }
    }

    /// Whether tables stay as they are.
    #[must_use]
    pub fn only_reads(&self) -> bool {
        match self {
            TableWork::History { .. } | TableWork::Detail(_) | TableWork::Compatibility(_) => true,
            TableWork::Vacuum(vacuum) => vacuum.dry_run,
            TableWork::Restore { .. } | TableWork::Optimize { .. } => false,
        }
    }

    /// As in command tags.
    #[must_use]
    pub const fn tag(&self) -> &'static str {
        match self {
            TableWork::History { .. } | TableWork::Detail(_) | TableWork::Compatibility(_) => "DESCRIBE",
            TableWork::Restore { .. } => "RESTORE",
            TableWork::Optimize { .. } => "OPTIMIZE",
            TableWork::Vacuum(_) => "VACUUM",
        }
    }
}

/// `DESCRIBE HISTORY …` and its like; the parser stands before DESCRIBE.
pub(super) fn parse_describe(parser: &mut Parser) -> Result<Command, GrammarError> {
    parser.next_token();
    let work = if accept_word(parser, "HISTORY") {
        let table = parse_table(parser)?;
        let limit = if parser.parse_keyword(Keyword::LIMIT) { Some(parse_count(parser)?) } else { None };
        TableWork::History { table, limit }
    } else if accept_word(parser, "DETAIL") {
        TableWork::Detail(parse_table(parser)?)
    } else {
        expect_word(parser, "COMPATIBILITY")?;
        TableWork::Compatibility(parse_table(parser)?)
    };
    Ok(Command::TableWork(Box::new(work)))
}

pub(super) fn parse_restore(parser: &mut Parser) -> Result<Command, GrammarError> {
    expect_word(parser, "RESTORE")?;
    let table = parse_table(parser)?;
    parser.expect_keyword_is(Keyword::TO)?;
    let moment = if accept_words(parser, &["VERSION", "AS", "OF"]) {
        TableVersion::VersionAsOf(parser.parse_expr()?)
    } else {
        expect_word(parser, "TIMESTAMP")?;
        expect_word(parser, "AS")?;
        expect_word(parser, "OF")?;
        TableVersion::TimestampAsOf(ast::Expr::Value(parser.parse_value()?))
    };
    Ok(Command::TableWork(Box::new(TableWork::Restore { table, moment: time_travel::moment(&moment)? })))
}

pub(super) fn parse_optimize(parser: &mut Parser) -> Result<Command, GrammarError> {
    expect_word(parser, "OPTIMIZE")?;
    let table = parse_table(parser)?;
    let whole = accept_word(parser, "FULL");
    let condition = if parser.parse_keyword(Keyword::WHERE) { Some(Box::new(parser.parse_expr()?)) } else { None };
    let order = if accept_words(parser, &["ZORDER", "BY"]) { parse_order(parser)? } else { Vec::new() };
    Ok(Command::TableWork(Box::new(TableWork::Optimize { table, condition, order, whole, small: None })))
}

fn parse_order(parser: &mut Parser) -> Result<Vec<String>, ParserError> {
    if parser.peek_token_ref().token == Token::LParen {
        return parse_columns(parser);
    }
    parser.parse_comma_separated(super::parse_name)
}

/// `VACUUM t RETAIN 24 HOURS DRY RUN`, and PostgreSQL's `VACUUM [FULL] [FREEZE] [VERBOSE] [ANALYZE] [t, …]` and `VACUUM (options) [t, …]`.
pub(super) fn parse_vacuum(parser: &mut Parser) -> Result<Command, GrammarError> {
    expect_word(parser, "VACUUM")?;
    let mut vacuum = Vacuum { tables: Vec::new(), retain_hours: None, dry_run: false, full: false, verbose: false };
    if parser.consume_token(&Token::LParen) {
        parser.parse_comma_separated(|parser| parse_option(parser, &mut vacuum))?;
        parser.expect_token(&Token::RParen)?;
    } else {
        vacuum.full = accept_word(parser, "FULL");
        accept_word(parser, "FREEZE");
        vacuum.verbose = accept_word(parser, "VERBOSE");
        accept_word(parser, "ANALYZE");
    }
    let at_end = |parser: &Parser| matches!(parser.peek_token_ref().token, Token::EOF | Token::SemiColon);
    if !at_end(parser) {
        vacuum.tables = parser.parse_comma_separated(|parser| {
            let table = parser.parse_object_name(false)?;
            parse_columns(parser)?;
            Ok(table)
        })?;
    }
    if accept_word(parser, "RETAIN") {
        let text = parser.parse_number_value()?.to_string();
        let hours: f64 = text.parse().map_err(|_| time_travel::not_a_version(&text))?;
        expect_word(parser, "HOURS")?;
        vacuum.retain_hours = Some(hours);
    }
    vacuum.dry_run = accept_words(parser, &["DRY", "RUN"]);
    if vacuum.dry_run && vacuum.tables.len() != 1 {
        return Err(SqlError::unsupported("VACUUM … DRY RUN of other than one table").into());
    }
    Ok(Command::TableWork(Box::new(TableWork::Vacuum(vacuum))))
}

/// What asks for less work, or for work that tables here never need, is taken as done.
fn parse_option(parser: &mut Parser, vacuum: &mut Vacuum) -> Result<(), ParserError> {
    let name = super::parse_name(parser)?;
    let value = match parser.peek_token_ref().token.clone() {
        Token::Comma | Token::RParen => "true".to_owned(),
        other => {
            parser.next_token();
            other.to_string().trim_matches('\'').to_ascii_lowercase()
        }
    };
    let is_on = !matches!(value.as_str(), "false" | "off" | "0");
    match name.as_str() {
        "full" => vacuum.full = is_on,
        "verbose" => vacuum.verbose = is_on,
        "analyze" | "freeze" | "disable_page_skipping" | "skip_locked" | "index_cleanup" | "process_toast" | "truncate" | "parallel" => {}
        other => return Err(ParserError::ParserError(format!("unrecognized VACUUM option \"{other}\""))),
    }
    Ok(())
}

fn parse_table(parser: &mut Parser) -> Result<ObjectName, ParserError> {
    let _named = parser.parse_keyword(Keyword::TABLE);
    parser.parse_object_name(false)
}

fn parse_count(parser: &mut Parser) -> Result<usize, ParserError> {
    let text = parser.parse_number_value()?.to_string();
    text.parse().map_err(|_| ParserError::ParserError(format!("\"{text}\" is not a number of rows")))
}
