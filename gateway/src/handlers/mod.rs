//! One file a command. The engine's own statements (SELECT, INSERT, UPDATE, DELETE, TRUNCATE, EXPLAIN) do not come here.

pub mod alter;
pub mod analyze;
pub mod column_text;
pub mod comment;
pub mod convert;
mod copy;
pub mod create_table;
pub mod create_view;
pub mod cursor;
pub mod database;
pub mod detection;
pub mod drop;
pub mod external_location;
pub mod governance;
pub mod grant;
pub mod index;
pub mod keys;
pub mod like;
pub mod lock_table;
pub mod log_call;
pub mod materialized_view;
pub mod notify;
pub mod prepare;
pub mod privacy;
pub mod role;
pub mod saved_query;
pub mod schema;
pub mod sequence;
pub mod set;
pub mod show;
pub mod table_definition;
pub mod table_properties;
pub mod table_work;
pub mod token;

pub mod transaction;
pub mod warehouse;

use sqlparser::ast::Statement;

use crate::frontend::Response;
use crate::sql::execute::Deadline;
use crate::sql::grammar::Command;
use crate::sql::journal::Journal;
use crate::sql::prepare::PreparedStatement;
use crate::sql::session::GatewaySession;
use crate::sql::statement_type::{is_of_session, makes_rows, works};
use crate::sqlstate::{SqlError, SqlState};

/// Runs a command of the catalog or the session, logged.
///
/// # Errors
/// The command's own; 0A000 for what is not supported; 58030 where the log cannot be written.
pub async fn run(session: &mut GatewaySession, statement: &PreparedStatement, deadline: &Deadline) -> Result<Response, SqlError> {
    // These log themselves: the statement that they run, or the rows that come after this returns.
    if let Command::Sql(sql) = &*statement.command
        && matches!(**sql, Statement::Execute { .. })
    {
        return prepare::execute(session, statement, sql, deadline).await;
    }
    if let Command::Copy(copy) = &*statement.command {
        return copy::run(session, statement, copy, deadline).await;
    }
    let only_reads = matches!(&*statement.command, Command::TableWork(work) if work.only_reads());
    if only_reads || is_of_session(&statement.command) {
        let journal = Journal::begin_utility(session, &statement.command, &statement.text).await?;
        let result = dispatch(session, statement, deadline, &journal).await;
        match &result {
            Ok(_) => journal.done(&lakegate_engine_api::Outcome::default()).await?,
            Err(error) => journal.failed(error).await,
        }
        return result;
    }
    if let Err(error) = session.open_catalog_change(&statement.command) {
        crate::sql::journal::refused(session, &statement.command, &statement.text, &error).await?;
        return Err(error);
    }
    let mut journal = Journal::begin_utility(session, &statement.command, &statement.text).await?;
    let allowed = match makes_rows(&statement.command) {
        true => crate::detect::guard::before_rows_are_made(session, journal.statement_id()).await,
        false => Ok(()),
    };
    if allowed.is_ok() && works(&statement.command) {
        journal = session.admitted(journal, deadline).await?;
    }
    let result = match allowed {
        Ok(()) => dispatch(session, statement, deadline, &journal).await,
        Err(error) => Err(error),
    };
    match &result {
        Ok(_) => session.catalog_change_done(&statement.command, journal).await?,
        Err(error) => journal.failed(error).await,
    }
    result
}

async fn dispatch(
    session: &mut GatewaySession,
    statement: &PreparedStatement,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<Response, SqlError> {
    match &*statement.command {
        Command::Sql(sql) => dispatch_sql(session, sql, statement, deadline, journal).await,
        Command::CreateTable(table) => create_table::run(session, table, deadline, journal).await,
        Command::Alter(alter) => alter::run(session, alter, deadline, journal).await,
        Command::CreateSequence(create) => sequence::create(session, create).await,
        Command::CreateMaterializedView(view) => materialized_view::create(session, view, &statement.text, deadline, journal).await,
        Command::Refresh(refresh) => materialized_view::refresh(session, refresh, deadline, journal).await,
        Command::Reindex(reindex) => index::reindex(session, reindex, deadline, journal).await,
        Command::ConvertToDelta(convert) => convert::run(session, convert, deadline, journal).await,
        Command::TableWork(work) => table_work::run(session, work, deadline, journal).await,
        Command::CreateRole(create) => role::create(session, create).await,
        Command::AlterRole(alter) => role::alter(session, alter).await,
        Command::DropRole(drop) => role::drop(session, drop).await,
        Command::Grant(grant) => grant::grant(session, grant).await,
        Command::Revoke(revoke) => grant::revoke(session, revoke).await,
        Command::GrantMembership(grant) => grant::grant_membership(session, grant).await,
        Command::RevokeMembership(revoke) => grant::revoke_membership(session, revoke).await,
        Command::DefaultPrivileges(alter) => grant::default_privileges(session, alter).await,
        Command::CreateDatabase(create) => database::create(session, create).await,
        Command::AlterDatabase(alter) => database::alter(session, alter).await,
        Command::Owned(owned) => role::owned(session, owned).await,
        Command::Keys(work) => keys::run(session, work).await,
        Command::CreateToken(create) => token::create(session, create).await,
        Command::DropToken(drop) => token::drop(session, drop).await,
        Command::CreateExternalLocation(create) => external_location::create(session, create).await,
        Command::DropExternalLocation(drop) => external_location::drop(session, drop).await,
        Command::Warehouse(command) => warehouse::run(session, command).await,
        Command::CloseCursor(close) => cursor::close(session, close),
        Command::Begin(begin) => transaction::begin(session, begin),
        Command::SetTransaction(set) => transaction::set(session, set),
        Command::LockTable(lock) => lock_table::run(session, lock).await,
        Command::Analyze(analyze) => analyze::run(session, analyze).await,
        Command::Governance(command) => governance::run(session, command).await,
        Command::Privacy(call) => privacy::run(session, call, deadline, journal).await,
        Command::Log(call) => log_call::run(session, call, deadline).await,
        Command::SavedQuery(call) => saved_query::run(session, call).await,
        Command::TwoPhase(command) => transaction::two_phase(session, command).await,
        Command::Watch(watch) => detection::run(session, watch, statement, deadline).await,
        Command::Copy(_) | Command::DeclareCursor(_) | Command::Fetch(_) => {
            Err(SqlError::new(SqlState::InternalError, "a command came by the wrong way"))
        }
    }
}

async fn dispatch_sql(
    session: &mut GatewaySession,
    sql: &Statement,
    statement: &PreparedStatement,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<Response, SqlError> {
    match sql {
        Statement::Query(query) => create_table::select_into(session, query, deadline, journal).await,
        Statement::Set(set) => set::set(session, set),
        Statement::Reset(reset) => set::reset(session, reset),
        Statement::Discard { object_type } => set::discard(session, object_type).await,
        Statement::ShowVariable { variable } => show::run(session, variable),
        Statement::Commit { chain, .. } => transaction::commit(session, *chain, deadline).await,
        Statement::Rollback { chain, savepoint } => transaction::rollback(session, *chain, savepoint.as_ref()).await,
        Statement::LISTEN { channel } => notify::listen(session, channel),
        Statement::UNLISTEN { channel } => notify::unlisten(session, channel),
        Statement::NOTIFY { channel, payload } => notify::notify(session, channel, payload.as_deref()),
        Statement::Savepoint { name } => transaction::savepoint(session, name),
        Statement::ReleaseSavepoint { name } => transaction::release(session, name),
        Statement::Prepare { name, data_types, statement: inner } => {
            prepare::prepare(session, name, data_types, inner, &statement.text).await
        }
        Statement::Deallocate { name, .. } => prepare::deallocate(session, name),
        Statement::CreateSchema { schema_name, if_not_exists, .. } => schema::create(session, schema_name, *if_not_exists).await,
        Statement::CreateIndex(create) => index::create(session, create, deadline, journal).await,
        Statement::CreateView(view) => create_view::run(session, view, &statement.text).await,
        Statement::Drop { .. } => drop::run(session, sql, deadline, journal).await,
        Statement::AlterSchema(alter) => schema::alter(session, alter).await,
        Statement::Comment { object_type, object_name, comment, if_exists, .. } => {
            comment::run(session, object_type, object_name, comment.as_deref(), *if_exists).await
        }
        other => Err(unsupported(other)),
    }
}

/// 0A000, naming the command by its first words as the parser crate prints it.
fn unsupported(statement: &Statement) -> SqlError {
    let text = statement.to_string();
    let words: Vec<&str> =
        text.split_whitespace().take_while(|word| word.chars().all(|c| c.is_ascii_uppercase() || c == '_')).take(3).collect();
    SqlError::unsupported(words.join(" "))
}
