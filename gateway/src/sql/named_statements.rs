//! The named prepared statements of a session: those of PREPARE, and those of the protocol's Parse under the same names.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::frontend::PreparedSql;
use crate::sqlstate::{SqlError, SqlState};

/// Most statements a session keeps by name.
const NAMED_MAX: usize = 2_000;
/// Of their texts; trees take a multiple of it.
const TEXT_BYTES_MAX: usize = 16 << 20;

/// A row of `pg_prepared_statements`.
#[derive(Clone)]
pub struct NamedStatement {
    /// What the client wrote, PREPARE included.
    pub text: Arc<str>,
    pub statement: Arc<dyn PreparedSql>,
    pub made: DateTime<Utc>,
    /// Made by PREPARE rather than Parse.
    pub from_sql: bool,
}

#[derive(Default)]
pub struct NamedStatements(BTreeMap<String, NamedStatement>);

impl NamedStatements {
    /// # Errors
    /// 42P05 the name is taken, 53400 there are too many.
    pub fn keep(&mut self, name: &str, statement: NamedStatement) -> Result<(), SqlError> {
        if self.0.contains_key(name) {
            return Err(SqlError::new(SqlState::DuplicatePreparedStatement, format!("prepared statement \"{name}\" already exists")));
        }
        if self.0.len() >= NAMED_MAX {
            return Err(SqlError::new(
                SqlState::ConfigurationLimitExceeded,
                format!("a session keeps at most {NAMED_MAX} prepared statements"),
            ));
        }
        let bytes: usize = self.0.values().map(|kept| kept.text.len()).sum();
        if bytes.saturating_add(statement.text.len()) > TEXT_BYTES_MAX {
            return Err(SqlError::new(
                SqlState::ConfigurationLimitExceeded,
                format!("the texts of a session's prepared statements may have {TEXT_BYTES_MAX} bytes together"),
            ));
        }
        self.0.insert(name.to_owned(), statement);
        Ok(())
    }

    /// # Errors
    /// 26000.
    pub fn find(&self, name: &str) -> Result<&NamedStatement, SqlError> {
        self.0.get(name).ok_or_else(|| missing(name))
    }

    /// # Errors
    /// 26000.
    pub fn remove(&mut self, name: &str) -> Result<NamedStatement, SqlError> {
        self.0.remove(name).ok_or_else(|| missing(name))
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn iter(&self) -> impl Iterator<Item = (&String, &NamedStatement)> {
        self.0.iter()
    }
}

fn missing(name: &str) -> SqlError {
    SqlError::new(SqlState::InvalidSqlStatementName, format!("prepared statement \"{name}\" does not exist"))
}
