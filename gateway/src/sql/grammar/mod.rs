//! Statements: PostgreSQL's as the parser crate has them, and those that it lacks or spells as another system does.

mod alter;
mod analyze;
mod convert;
mod copy;
mod cursor;
mod database;
mod detection;
mod external_location;
mod governance;
mod grant;
mod keys;
mod like;
mod log_call;
mod merge;
mod privacy;
mod role;
mod saved_query;
mod sequence;
mod stored;
mod table;
mod table_work;
mod token;
mod transaction;
mod visit;
mod warehouse;

use sqlparser::ast;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

pub use alter::{Alter, AlterAction, RelationWord};
pub use analyze::Analyze;
pub use convert::ConvertToDelta;
pub use copy::{Copy, CopyOption, CopySource, CopyTarget, CopyValue};
pub use cursor::{CloseCursor, Count, DeclareCursor, Direction, Fetch};
pub use database::CreateDatabase;
pub use detection::{CreateDetection, DetectionChange, DetectionRule, Watch};
pub use external_location::{CreateExternalLocation, DropExternalLocation};
pub use governance::{AlterTags, ChangePolicy, CreateMaskingPolicy, CreatePolicy, DropPolicy, Governance, MaskSpec, RoleWord};
pub use grant::{AlterDefaultPrivileges, Grant, GrantMembership, GrantTarget, PrivilegeWord, Revoke, RevokeMembership};
pub use keys::Keys;
pub use like::{Included, Like};
pub use log_call::LogCall;
pub use merge::{is_do_nothing, spell_merge_actions};
pub use privacy::PrivacyCall;
pub use role::{AlterDatabase, AlterDatabaseChange, AlterRole, AlterRoleChange, CreateRole, DropRole, Owned, RoleOptions, SettingClause};
pub use saved_query::SavedQueryCall;
pub use sequence::{CreateSequence, SequenceOption, of_identity};
pub use stored::{CreateMaterializedView, Refresh, Reindex};
pub use table::CreateTable;
pub use table_work::{TableWork, Vacuum};
pub use token::{CreateToken, DropToken, TokenExpiry};
pub use transaction::{Begin, Characteristic, LockMode, LockTable, SetTransaction, TwoPhase};
pub use visit::visit_statements;
pub use warehouse::{AlterWarehouse, WarehouseCommand, WarehouseOption};

use crate::sqlstate::SqlError;

/// One statement.
#[derive(Debug, Clone)]
pub enum Command {
    Sql(Box<ast::Statement>),
    CreateTable(Box<CreateTable>),
    Alter(Box<Alter>),
    CreateSequence(Box<CreateSequence>),
    CreateMaterializedView(Box<CreateMaterializedView>),
    Refresh(Refresh),
    TableWork(Box<TableWork>),
    ConvertToDelta(Box<ConvertToDelta>),
    Reindex(Reindex),
    CreateRole(CreateRole),
    AlterRole(AlterRole),
    DropRole(DropRole),
    Grant(Grant),
    Revoke(Revoke),
    GrantMembership(GrantMembership),
    RevokeMembership(RevokeMembership),
    DefaultPrivileges(AlterDefaultPrivileges),
    AlterDatabase(AlterDatabase),
    CreateDatabase(CreateDatabase),
    Owned(Owned),
    Keys(Keys),
    CreateToken(CreateToken),
    DropToken(DropToken),
    CreateExternalLocation(CreateExternalLocation),
    DropExternalLocation(DropExternalLocation),
    Warehouse(WarehouseCommand),
    Copy(Box<Copy>),
    DeclareCursor(DeclareCursor),
    Fetch(Fetch),
    CloseCursor(CloseCursor),
    Begin(Begin),
    SetTransaction(SetTransaction),
    LockTable(LockTable),
    Analyze(Analyze),
    TwoPhase(TwoPhase),
    Governance(Box<Governance>),
    Privacy(Box<PrivacyCall>),
    SavedQuery(Box<SavedQueryCall>),
    Log(LogCall),
    Watch(Box<Watch>),
}

/// Why a statement did not parse.
#[derive(Debug)]
pub enum GrammarError {
    Parser(ParserError),
    /// Understood, and refused with a better message than a syntax error.
    Refused(Box<SqlError>),
}

impl From<ParserError> for GrammarError {
    fn from(error: ParserError) -> Self {
        GrammarError::Parser(error)
    }
}

impl From<SqlError> for GrammarError {
    fn from(error: SqlError) -> Self {
        GrammarError::Refused(Box::new(error))
    }
}

/// Parses one statement from the parser's position; what follows it is the caller's to refuse.
///
/// # Errors
/// Where the parser stopped, or a refusal.
pub fn parse_command(parser: &mut Parser) -> Result<Command, GrammarError> {
    let words = leading_words(parser);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let Some(governance) = governance::parse(parser, &words)? {
        return Ok(Command::Governance(Box::new(governance)));
    }
    if let Some(watch) = detection::parse(parser, &words)? {
        return Ok(Command::Watch(Box::new(watch)));
    }
    match words.as_slice() {
        ["CREATE", "EXTERNAL", "LOCATION", ..] => external_location::parse_create(parser),
        ["DROP", "EXTERNAL", "LOCATION", ..] => external_location::parse_drop(parser),
        ["CREATE" | "ALTER" | "DROP", "WAREHOUSE", ..] => Ok(Command::Warehouse(warehouse::parse(parser)?)),
        ["ALTER", "TABLE" | "VIEW" | "SEQUENCE" | "INDEX" | "MATERIALIZED", ..] => alter::parse(parser),
        ["CREATE", "SEQUENCE", ..] | ["CREATE", "TEMP" | "TEMPORARY", "SEQUENCE", ..] => sequence::parse_create(parser),
        ["DESCRIBE" | "DESC", "HISTORY" | "DETAIL" | "COMPATIBILITY", ..] => table_work::parse_describe(parser),
        ["OPTIMIZE", ..] => table_work::parse_optimize(parser),
        ["RESTORE", ..] => table_work::parse_restore(parser),
        ["VACUUM", ..] => table_work::parse_vacuum(parser),
        ["CREATE", "MATERIALIZED", ..] => stored::parse_create(parser),
        ["REFRESH", ..] => stored::parse_refresh(parser),
        ["REINDEX", ..] => stored::parse_reindex(parser),
        ["CREATE", "TABLE" | "TEMP" | "TEMPORARY" | "LOCAL" | "GLOBAL" | "UNLOGGED", ..] if like::is_next(parser) => like::parse(parser),
        ["CREATE", "ROLE" | "USER" | "GROUP", ..] => role::parse_create(parser),
        ["ALTER", "ROLE" | "USER" | "GROUP", ..] => role::parse_alter(parser),
        ["DROP", "ROLE" | "USER" | "GROUP", ..] => role::parse_drop(parser),
        ["ALTER", "DEFAULT", "PRIVILEGES"] => grant::parse_default(parser),
        ["ALTER", "DATABASE", ..] => role::parse_alter_database(parser),
        ["CREATE", "DATABASE", ..] => database::parse_create(parser),
        ["ROTATE", "KEYS", ..] | ["DESTROY", "KEYS", ..] => keys::parse(parser),
        ["CREATE", "TOKEN", ..] => token::parse_create(parser),
        ["DROP", "TOKEN", ..] => token::parse_drop(parser),
        ["REASSIGN", ..] => role::parse_reassign_owned(parser),
        ["DROP", "OWNED", ..] => role::parse_drop_owned(parser),
        ["RESET", "SESSION", "AUTHORIZATION"] => Ok(parse_reset_authorization(parser)),
        ["GRANT", ..] => grant::parse_grant(parser),
        ["REVOKE", ..] => grant::parse_revoke(parser),
        ["COPY", ..] => copy::parse_copy(parser),
        ["CONVERT", "TO", ..] => convert::parse(parser),
        ["DECLARE", ..] => cursor::parse_declare(parser),
        ["FETCH" | "MOVE", ..] => cursor::parse_fetch(parser),
        ["CLOSE", ..] => cursor::parse_close(parser),
        ["CALL", ..] => privacy::parse_call(parser),
        ["ABORT", ..] => parse_abort(parser),
        ["BEGIN", ..] | ["START", "TRANSACTION", ..] => transaction::parse_begin(parser),
        ["SET", "TRANSACTION", ..] | ["SET", "SESSION" | "LOCAL", "TRANSACTION"] | ["SET", "SESSION", "CHARACTERISTICS"] => {
            transaction::parse_set(parser)
        }
        ["ANALYZE" | "ANALYSE", ..] => analyze::parse(parser),
        ["LOCK", ..] => transaction::parse_lock(parser),
        ["PREPARE", "TRANSACTION", ..] | ["COMMIT" | "ROLLBACK", "PREPARED", ..] => transaction::parse_two_phase(parser),
        _ => table::parse_sql(parser),
    }
}

/// `ABORT [WORK | TRANSACTION] [AND [NO] CHAIN]`, PostgreSQL's other word for ROLLBACK.
fn parse_abort(parser: &mut Parser) -> Result<Command, GrammarError> {
    expect_word(parser, "ABORT")?;
    let chain = parser.parse_commit_rollback_chain()?;
    Ok(Command::Sql(Box::new(ast::Statement::Rollback { chain, savepoint: None })))
}

/// `RESET SESSION AUTHORIZATION`, which the parser crate takes for two settings.
fn parse_reset_authorization(parser: &mut Parser) -> Command {
    for _ in 0..3 {
        parser.next_token();
    }
    let name = ast::ObjectName::from(vec![ast::Ident::new("session_authorization")]);
    let reset = ast::Reset::ConfigurationParameter(name);
    Command::Sql(Box::new(ast::Statement::Reset(ast::ResetStatement { reset })))
}

/// The first words of the statement, upper-cased, as far as they are unquoted words.
fn leading_words(parser: &Parser) -> Vec<String> {
    (0..3)
        .map_while(|ahead| match parser.peek_nth_token(ahead).token {
            Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_uppercase()),
            _ => None,
        })
        .collect()
}

/// Consumes an unquoted word that need not be a keyword of the parser crate.
fn accept_word(parser: &mut Parser, word: &str) -> bool {
    let found =
        matches!(&parser.peek_token_ref().token, Token::Word(next) if next.quote_style.is_none() && next.value.eq_ignore_ascii_case(word));
    if found {
        parser.next_token();
    }
    found
}

fn accept_words(parser: &mut Parser, words: &[&str]) -> bool {
    let found = words.iter().enumerate().all(|(ahead, word)| {
        matches!(parser.peek_nth_token(ahead).token, Token::Word(next) if next.quote_style.is_none() && next.value.eq_ignore_ascii_case(word))
    });
    if found {
        words.iter().for_each(|_| {
            parser.next_token();
        });
    }
    found
}

fn expect_word(parser: &mut Parser, word: &str) -> Result<(), ParserError> {
    if accept_word(parser, word) { Ok(()) } else { parser.expected_ref(word, parser.peek_token_ref()) }
}

/// An identifier, folded to lower case unless quoted.
fn parse_name(parser: &mut Parser) -> Result<String, ParserError> {
    Ok(fold(&parser.parse_identifier()?))
}

/// Names between parentheses; none without them.
fn parse_columns(parser: &mut Parser) -> Result<Vec<String>, ParserError> {
    if !parser.consume_token(&Token::LParen) {
        return Ok(Vec::new());
    }
    let columns = parser.parse_comma_separated(parse_name)?;
    parser.expect_token(&Token::RParen)?;
    Ok(columns)
}

fn parse_if_exists(parser: &mut Parser) -> bool {
    parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS])
}

/// A table in FROM by its name alone.
#[must_use]
pub fn table_factor(name: ast::ObjectName) -> ast::TableFactor {
    ast::TableFactor::Table {
        name,
        alias: None,
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

/// The keyword that a token is, if it is one and not quoted.
#[must_use]
pub fn keyword(token: &Token) -> Keyword {
    match token {
        Token::Word(word) if word.quote_style.is_none() => word.keyword,
        _ => Keyword::NoKeyword,
    }
}

/// PostgreSQL's identifier rule: unquoted names fold to lower case.
#[must_use]
pub fn fold(ident: &ast::Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// The parts of a possibly qualified name, folded.
///
/// # Errors
/// 0A000 for names that are made by function calls.
pub fn name_parts(name: &ast::ObjectName) -> Result<Vec<String>, SqlError> {
    name.0
        .iter()
        .map(|part| match part {
            ast::ObjectNamePart::Identifier(ident) => Ok(fold(ident)),
            ast::ObjectNamePart::Function(_) => Err(SqlError::unsupported("a computed object name")),
        })
        .collect()
}
