//! BEGIN, START TRANSACTION and SET TRANSACTION with all of PostgreSQL's characteristics, LOCK TABLE, and two-phase commit.

use sqlparser::ast::{ObjectName, TransactionAccessMode, TransactionIsolationLevel};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::{Command, GrammarError, accept_word, accept_words, expect_word};
use crate::sqlstate::SqlError;

/// What BEGIN and SET TRANSACTION say of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Characteristic {
    Isolation(TransactionIsolationLevel),
    Access(TransactionAccessMode),
    Deferrable(bool),
}

#[derive(Debug, Clone)]
pub struct Begin {
    pub characteristics: Vec<Characteristic>,
    /// BEGIN rather than START TRANSACTION.
    pub short: bool,
}

#[derive(Debug, Clone)]
pub enum SetTransaction {
    /// Of the current transaction, or, `for_session`, of those to come.
    Characteristics { characteristics: Vec<Characteristic>, for_session: bool },
    /// SNAPSHOT with the name that `pg_export_snapshot` gave.
    Snapshot(String),
}

#[derive(Debug, Clone)]
pub struct LockTable {
    pub tables: Vec<ObjectName>,
    pub mode: LockMode,
}

/// The modes that can be given: they are in conflict with none that another session can have. Source: "Table-Level Lock Modes" in the
/// documentation, section 13.3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    AccessShare,
    RowShare,
    RowExclusive,
}

/// Of two-phase commit.
#[derive(Debug, Clone)]
pub enum TwoPhase {
    Prepare,
    /// COMMIT PREPARED, ROLLBACK PREPARED.
    Finish {
        name: String,
    },
}

/// `BEGIN [WORK | TRANSACTION] …`, `START TRANSACTION …`.
pub fn parse_begin(parser: &mut Parser) -> Result<Command, GrammarError> {
    let short = accept_word(parser, "BEGIN");
    if short {
        let _ = accept_word(parser, "WORK") || accept_word(parser, "TRANSACTION");
    } else {
        expect_word(parser, "START")?;
        expect_word(parser, "TRANSACTION")?;
    }
    Ok(Command::Begin(Begin { characteristics: parse_characteristics(parser)?, short }))
}

/// `SET [SESSION | LOCAL] TRANSACTION …`, `SET SESSION CHARACTERISTICS AS TRANSACTION …`.
pub fn parse_set(parser: &mut Parser) -> Result<Command, GrammarError> {
    expect_word(parser, "SET")?;
    let for_session = accept_words(parser, &["SESSION", "CHARACTERISTICS", "AS"]);
    if !for_session {
        let _ = accept_word(parser, "SESSION") || accept_word(parser, "LOCAL");
    }
    expect_word(parser, "TRANSACTION")?;
    if !for_session && accept_word(parser, "SNAPSHOT") {
        return Ok(Command::SetTransaction(SetTransaction::Snapshot(parser.parse_literal_string()?)));
    }
    let characteristics = parse_characteristics(parser)?;
    if characteristics.is_empty() {
        parser.expected_ref("transaction mode", parser.peek_token_ref())?;
    }
    Ok(Command::SetTransaction(SetTransaction::Characteristics { characteristics, for_session }))
}

/// With or without commas, as `transaction_mode_list` in gram.y.
fn parse_characteristics(parser: &mut Parser) -> Result<Vec<Characteristic>, ParserError> {
    let mut all = Vec::new();
    loop {
        match parse_characteristic(parser)? {
            Some(characteristic) => all.push(characteristic),
            None if all.is_empty() => return Ok(all),
            None => return parser.expected_ref("transaction mode", parser.peek_token_ref()),
        }
        if !parser.consume_token(&Token::Comma) && matches!(parser.peek_token_ref().token, Token::EOF | Token::SemiColon) {
            return Ok(all);
        }
    }
}

fn parse_characteristic(parser: &mut Parser) -> Result<Option<Characteristic>, ParserError> {
    Ok(Some(if accept_words(parser, &["ISOLATION", "LEVEL"]) {
        Characteristic::Isolation(parse_isolation_level(parser)?)
    } else if accept_words(parser, &["READ", "ONLY"]) {
        Characteristic::Access(TransactionAccessMode::ReadOnly)
    } else if accept_words(parser, &["READ", "WRITE"]) {
        Characteristic::Access(TransactionAccessMode::ReadWrite)
    } else if accept_word(parser, "DEFERRABLE") {
        Characteristic::Deferrable(true)
    } else if accept_words(parser, &["NOT", "DEFERRABLE"]) {
        Characteristic::Deferrable(false)
    } else {
        return Ok(None);
    }))
}

fn parse_isolation_level(parser: &mut Parser) -> Result<TransactionIsolationLevel, ParserError> {
    for (words, level) in [
        (&["READ", "UNCOMMITTED"][..], TransactionIsolationLevel::ReadUncommitted),
        (&["READ", "COMMITTED"], TransactionIsolationLevel::ReadCommitted),
        (&["REPEATABLE", "READ"], TransactionIsolationLevel::RepeatableRead),
        (&["SERIALIZABLE"], TransactionIsolationLevel::Serializable),
    ] {
        if accept_words(parser, words) {
            return Ok(level);
        }
    }
    parser.expected_ref("isolation level", parser.peek_token_ref())
}

/// `LOCK [TABLE] [ONLY] name [*] [, …] [IN mode MODE] [NOWAIT]`: nobody waits for a lock that can be given, so NOWAIT says nothing more.
pub fn parse_lock(parser: &mut Parser) -> Result<Command, GrammarError> {
    expect_word(parser, "LOCK")?;
    let _ = parser.parse_keyword(Keyword::TABLE);
    let tables = parser.parse_comma_separated(|parser| {
        let _ = parser.parse_keyword(Keyword::ONLY);
        let name = parser.parse_object_name(false)?;
        let _ = parser.consume_token(&Token::Mul);
        Ok(name)
    })?;
    let mode = if accept_word(parser, "IN") { parse_lock_mode(parser)? } else { Err("ACCESS EXCLUSIVE") };
    let _ = accept_word(parser, "NOWAIT");
    match mode {
        Ok(mode) => Ok(Command::LockTable(LockTable { tables, mode })),
        Err(mode) => Err(SqlError::unsupported(format!("LOCK TABLE in {mode} MODE"))
            .hint("Conflicts are found at COMMIT; no session keeps others from changing a table.")
            .into()),
    }
}

/// `Err`: one that cannot be given.
fn parse_lock_mode(parser: &mut Parser) -> Result<Result<LockMode, &'static str>, ParserError> {
    let modes = [
        (&["ACCESS", "SHARE", "MODE"][..], Ok(LockMode::AccessShare)),
        (&["ROW", "SHARE", "MODE"], Ok(LockMode::RowShare)),
        (&["ROW", "EXCLUSIVE", "MODE"], Ok(LockMode::RowExclusive)),
        (&["SHARE", "UPDATE", "EXCLUSIVE", "MODE"], Err("SHARE UPDATE EXCLUSIVE")),
        (&["SHARE", "MODE"], Err("SHARE")),
        (&["SHARE", "ROW", "EXCLUSIVE", "MODE"], Err("SHARE ROW EXCLUSIVE")),
        (&["EXCLUSIVE", "MODE"], Err("EXCLUSIVE")),
        (&["ACCESS", "EXCLUSIVE", "MODE"], Err("ACCESS EXCLUSIVE")),
    ];
    for (words, mode) in modes {
        if accept_words(parser, words) {
            return Ok(mode);
        }
    }
    parser.expected_ref("lock mode", parser.peek_token_ref())
}

/// `PREPARE TRANSACTION 'name'`, `COMMIT PREPARED 'name'`, `ROLLBACK PREPARED 'name'`.
pub fn parse_two_phase(parser: &mut Parser) -> Result<Command, GrammarError> {
    let prepares = accept_words(parser, &["PREPARE", "TRANSACTION"]);
    if !prepares {
        let _ = accept_words(parser, &["COMMIT", "PREPARED"]) || accept_words(parser, &["ROLLBACK", "PREPARED"]);
    }
    let name = parser.parse_literal_string()?;
    Ok(Command::TwoPhase(if prepares { TwoPhase::Prepare } else { TwoPhase::Finish { name } }))
}
