//! The kind of a statement in one or two words, for the log and the metrics. Never its text.

use sqlparser::ast::{ObjectType, Statement};

use super::grammar::{Command, Keys, Owned, RelationWord, TwoPhase, Watch};
use super::with_changes::main_statement;

/// As `system.query.history.statement_type` shows it.
#[must_use]
pub fn statement_type(command: &Command) -> &'static str {
    match command {
        Command::Sql(statement) => of_sql(main_statement(statement)),
        Command::CreateTable(table) if table.query.is_some() => "CREATE TABLE AS",
        Command::CreateTable(_) => "CREATE TABLE",
        Command::Alter(alter) => match alter.word {
            RelationWord::Table => "ALTER TABLE",
            RelationWord::View => "ALTER VIEW",
            RelationWord::MaterializedView => "ALTER MATERIALIZED VIEW",
            RelationWord::Sequence => "ALTER SEQUENCE",
            RelationWord::Index => "ALTER INDEX",
        },
        Command::CreateSequence(_) => "CREATE SEQUENCE",
        Command::CreateMaterializedView(_) => "CREATE MATERIALIZED VIEW",
        Command::Refresh(_) => "REFRESH MATERIALIZED VIEW",
        Command::Reindex(_) => "REINDEX",
        Command::TableWork(work) => work.tag(),
        Command::CreateRole(_) => "CREATE ROLE",
        Command::AlterRole(_) => "ALTER ROLE",
        Command::DropRole(_) => "DROP ROLE",
        Command::Grant(_) | Command::GrantMembership(_) => "GRANT",
        Command::Revoke(_) | Command::RevokeMembership(_) => "REVOKE",
        Command::DefaultPrivileges(_) => "ALTER DEFAULT PRIVILEGES",
        Command::Keys(Keys::Rotate) => "ROTATE KEYS",
        Command::Keys(_) => "DESTROY KEYS",
        Command::CreateToken(_) => "CREATE TOKEN",
        Command::DropToken(_) => "DROP TOKEN",
        Command::CreateDatabase(_) => "CREATE DATABASE",
        Command::AlterDatabase(_) => "ALTER DATABASE",
        Command::Owned(Owned::Reassign { .. }) => "REASSIGN OWNED",
        Command::Owned(Owned::Drop { .. }) => "DROP OWNED",
        Command::CreateExternalLocation(_) => "CREATE EXTERNAL LOCATION",
        Command::Warehouse(command) => command.tag(),
        Command::DropExternalLocation(_) => "DROP EXTERNAL LOCATION",
        Command::ConvertToDelta(_) => "CONVERT",
        Command::Copy(_) => "COPY",
        Command::DeclareCursor(_) => "DECLARE CURSOR",
        Command::Fetch(fetch) if fetch.moves => "MOVE",
        Command::Fetch(_) => "FETCH",
        Command::CloseCursor(_) => "CLOSE CURSOR",
        Command::Begin(_) => "BEGIN",
        Command::SetTransaction(_) => "SET",
        Command::LockTable(_) => "LOCK TABLE",
        Command::Analyze(_) => "ANALYZE",
        Command::Governance(governance) => governance.tag(),
        Command::Privacy(_) | Command::SavedQuery(_) | Command::Log(_) => "CALL",
        Command::Watch(watch) => watch.tag(),
        Command::TwoPhase(TwoPhase::Prepare) => "PREPARE TRANSACTION",
        Command::TwoPhase(TwoPhase::Finish { .. }) => "COMMIT PREPARED",
    }
}

const OF_SESSION: [&str; 20] = [
    "SET",
    "SHOW",
    "RESET",
    "DISCARD",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT",
    "RELEASE",
    "PREPARE",
    "DEALLOCATE",
    "FETCH",
    "MOVE",
    "CLOSE CURSOR",
    "LISTEN",
    "NOTIFY",
    "UNLISTEN",
    "LOCK TABLE",
    "PREPARE TRANSACTION",
    "COMMIT PREPARED",
];

/// It reads tables to make another.
#[must_use]
pub fn makes_rows(command: &Command) -> bool {
    match command {
        Command::CreateTable(table) => table.query.is_some(),
        Command::CreateMaterializedView(_) | Command::Refresh(_) => true,
        Command::Sql(sql) => matches!(**sql, Statement::Query(_)),
        _ => false,
    }
}

/// It reads or writes tables' data, without being a query or a change of rows.
#[must_use]
pub fn works(command: &Command) -> bool {
    match command {
        Command::Reindex(_) | Command::ConvertToDelta(_) | Command::TableWork(_) | Command::Privacy(_) => true,
        Command::Watch(watch) => matches!(**watch, Watch::Hunt { .. }),
        other => makes_rows(other),
    }
}

/// It touches the session alone: no relation, no catalog object.
#[must_use]
pub fn is_of_session(command: &Command) -> bool {
    OF_SESSION.contains(&statement_type(command))
}

fn of_sql(statement: &Statement) -> &'static str {
    match statement {
        Statement::Query(_) => "SELECT",
        Statement::Insert(_) => "INSERT",
        Statement::Update(_) => "UPDATE",
        Statement::Delete(_) => "DELETE",
        Statement::Truncate(_) => "TRUNCATE",
        Statement::Merge(_) => "MERGE",
        Statement::Explain { .. } | Statement::ExplainTable { .. } => "EXPLAIN",
        Statement::Set(_) => "SET",
        Statement::ShowVariable { .. } => "SHOW",
        Statement::Reset(_) => "RESET",
        Statement::Discard { .. } => "DISCARD",
        Statement::Commit { .. } => "COMMIT",
        Statement::Rollback { .. } => "ROLLBACK",
        Statement::LISTEN { .. } => "LISTEN",
        Statement::NOTIFY { .. } => "NOTIFY",
        Statement::UNLISTEN { .. } => "UNLISTEN",
        Statement::Savepoint { .. } => "SAVEPOINT",
        Statement::ReleaseSavepoint { .. } => "RELEASE",
        Statement::Prepare { .. } => "PREPARE",
        Statement::Execute { .. } => "EXECUTE",
        Statement::Deallocate { .. } => "DEALLOCATE",
        Statement::CreateSchema { .. } => "CREATE SCHEMA",
        Statement::CreateView(_) => "CREATE VIEW",
        Statement::CreateIndex(_) => "CREATE INDEX",
        Statement::AlterSchema(_) => "ALTER SCHEMA",
        Statement::Comment { .. } => "COMMENT",
        Statement::Drop { object_type: ObjectType::Table, .. } => "DROP TABLE",
        Statement::Drop { object_type: ObjectType::View, .. } => "DROP VIEW",
        Statement::Drop { object_type: ObjectType::Schema, .. } => "DROP SCHEMA",
        Statement::Drop { object_type: ObjectType::Database, .. } => "DROP DATABASE",
        Statement::Drop { object_type: ObjectType::Sequence, .. } => "DROP SEQUENCE",
        Statement::Drop { object_type: ObjectType::Index, .. } => "DROP INDEX",
        Statement::Drop { object_type: ObjectType::MaterializedView, .. } => "DROP MATERIALIZED VIEW",
        Statement::Drop { .. } => "DROP",
        _ => "OTHER",
    }
}
