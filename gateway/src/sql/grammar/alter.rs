//! `ALTER { TABLE | VIEW | MATERIALIZED VIEW | SEQUENCE | INDEX }`: the parser crate's actions, and those that it lacks.

use std::collections::BTreeMap;

use lakegate_catalog::ddl::RowSecurityUpdate;
use sqlparser::ast::{AlterTableOperation, ObjectName};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::governance::{MaskSpec, parse_mask, parse_row_security, parse_tags};
use super::sequence::{SequenceOption, parse_options};
use super::{Command, GrammarError, accept_word, accept_words, expect_word, parse_if_exists, parse_name};

/// What is altered, or dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationWord {
    Table,
    View,
    MaterializedView,
    Sequence,
    Index,
}

impl RelationWord {
    /// As in command tags.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            RelationWord::Table => "TABLE",
            RelationWord::View => "VIEW",
            RelationWord::MaterializedView => "MATERIALIZED VIEW",
            RelationWord::Sequence => "SEQUENCE",
            RelationWord::Index => "INDEX",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Alter {
    pub word: RelationWord,
    pub if_exists: bool,
    pub name: ObjectName,
    pub actions: Vec<AlterAction>,
}

#[derive(Debug, Clone)]
pub enum AlterAction {
    Sql(Box<AlterTableOperation>),
    SetSchema(String),
    SetGenerated {
        column: String,
        always: bool,
    },
    AddIdentity {
        column: String,
        always: bool,
        options: Vec<SequenceOption>,
    },
    DropIdentity {
        column: String,
        if_exists: bool,
    },
    DropExpression {
        column: String,
        if_exists: bool,
    },
    /// Of an identity column's sequence.
    ColumnSequence {
        column: String,
        options: Vec<SequenceOption>,
    },
    /// ALTER SEQUENCE's own.
    Sequence(Vec<SequenceOption>),
    /// TBLPROPERTIES: property to value, `None` takes it away.
    Properties(BTreeMap<String, Option<String>>),
    /// Of the relation, or of one of its columns: tag to value, `None` takes it away.
    Tags {
        column: Option<String>,
        changes: BTreeMap<String, Option<String>>,
    },
    /// ENABLE, DISABLE (`Enabled`), FORCE, NO FORCE (`Forced`) ROW LEVEL SECURITY.
    RowSecurity(RowSecurityUpdate),
    /// `None`: DROP MASK.
    Mask {
        column: String,
        mask: Option<MaskSpec>,
    },
}

pub(super) fn parse(parser: &mut Parser) -> Result<Command, GrammarError> {
    parser.expect_keyword_is(Keyword::ALTER)?;
    let word = parse_word(parser)?;
    let if_exists = parse_if_exists(parser);
    if word == RelationWord::Table {
        accept_word(parser, "ONLY");
    }
    let name = parser.parse_object_name(false)?;
    if word == RelationWord::Table {
        let _ = parser.consume_token(&Token::Mul);
    }
    let mut actions = Vec::new();
    if word == RelationWord::Sequence {
        let options = parse_options(parser)?;
        if !options.is_empty() {
            actions.push(AlterAction::Sequence(options));
        }
    }
    if actions.is_empty() {
        actions = parser.parse_comma_separated(parse_action)?;
    }
    Ok(Command::Alter(Box::new(Alter { word, if_exists, name, actions })))
}

pub(super) fn parse_word(parser: &mut Parser) -> Result<RelationWord, ParserError> {
    for (words, word) in [
        (&["TABLE"] as &[&str], RelationWord::Table),
        (&["VIEW"], RelationWord::View),
        (&["MATERIALIZED", "VIEW"], RelationWord::MaterializedView),
        (&["SEQUENCE"], RelationWord::Sequence),
        (&["INDEX"], RelationWord::Index),
    ] {
        if accept_words(parser, words) {
            return Ok(word);
        }
    }
    parser.expected_ref("TABLE, VIEW, SEQUENCE or INDEX", parser.peek_token_ref())
}

fn parse_action(parser: &mut Parser) -> Result<AlterAction, ParserError> {
    if accept_words(parser, &["SET", "SCHEMA"]) {
        return Ok(AlterAction::SetSchema(parse_name(parser)?));
    }
    if accept_words(parser, &["SET", "TBLPROPERTIES"]) {
        let properties = super::table::parse_properties(parser)?;
        return Ok(AlterAction::Properties(properties.into_iter().map(|(name, value)| (name, Some(value))).collect()));
    }
    if accept_words(parser, &["UNSET", "TBLPROPERTIES"]) {
        return Ok(AlterAction::Properties(parse_property_names(parser)?));
    }
    if let Some(changes) = parse_tags(parser)? {
        return Ok(AlterAction::Tags { column: None, changes });
    }
    if let Some(update) = parse_row_security(parser) {
        return Ok(AlterAction::RowSecurity(update));
    }
    if let Some(action) = parse_column_action(parser)? {
        return Ok(action);
    }
    Ok(AlterAction::Sql(Box::new(parser.parse_alter_table_operation()?)))
}

/// `[IF EXISTS] ('name', …)`.
fn parse_property_names(parser: &mut Parser) -> Result<BTreeMap<String, Option<String>>, ParserError> {
    parse_if_exists(parser);
    parser.expect_token(&Token::LParen)?;
    let names = parser.parse_comma_separated(Parser::parse_literal_string)?;
    parser.expect_token(&Token::RParen)?;
    Ok(names.into_iter().map(|name| (name, None)).collect())
}

/// Those of `ALTER [COLUMN] c` that the parser crate does not know; `None` leaves the parser where it was.
fn parse_column_action(parser: &mut Parser) -> Result<Option<AlterAction>, ParserError> {
    if !accept_word(parser, "ALTER") {
        return Ok(None);
    }
    let mut consumed = 1;
    if accept_word(parser, "COLUMN") {
        consumed += 1;
    }
    let column = parse_name(parser)?;
    consumed += 1;
    if accept_words(parser, &["DROP", "IDENTITY"]) {
        return Ok(Some(AlterAction::DropIdentity { column, if_exists: parse_if_exists(parser) }));
    }
    if let Some(changes) = parse_tags(parser)? {
        return Ok(Some(AlterAction::Tags { column: Some(column), changes }));
    }
    if accept_words(parser, &["DROP", "MASK"]) {
        return Ok(Some(AlterAction::Mask { column, mask: None }));
    }
    if accept_words(parser, &["SET", "MASK"]) {
        return Ok(Some(AlterAction::Mask { column, mask: Some(parse_mask(parser)?) }));
    }
    if accept_words(parser, &["DROP", "EXPRESSION"]) {
        return Ok(Some(AlterAction::DropExpression { column, if_exists: parse_if_exists(parser) }));
    }
    if accept_words(parser, &["SET", "GENERATED"]) {
        return Ok(Some(AlterAction::SetGenerated { column, always: parse_always(parser)? }));
    }
    if accept_words(parser, &["ADD", "GENERATED"]) {
        let always = parse_always(parser)?;
        parser.expect_keyword_is(Keyword::AS)?;
        expect_word(parser, "IDENTITY")?;
        let mut options = Vec::new();
        if parser.consume_token(&Token::LParen) {
            options = parse_options(parser)?;
            parser.expect_token(&Token::RParen)?;
        }
        return Ok(Some(AlterAction::AddIdentity { column, always, options }));
    }
    if accept_word(parser, "RESTART") {
        parser.prev_token();
        return Ok(Some(AlterAction::ColumnSequence { column, options: parse_options(parser)? }));
    }
    (0..consumed).for_each(|_| {
        parser.prev_token();
    });
    Ok(None)
}

/// `ALWAYS | BY DEFAULT`.
fn parse_always(parser: &mut Parser) -> Result<bool, ParserError> {
    let always = accept_word(parser, "ALWAYS");
    if !always {
        expect_word(parser, "BY")?;
        parser.expect_keyword_is(Keyword::DEFAULT)?;
    }
    Ok(always)
}
