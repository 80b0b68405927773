//! Prepared statements and portals of the extended protocol, and how much a session may keep of them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::ArrayRef;

use super::rows::Running;
use crate::frontend::PreparedSql;
use crate::sqlstate::{SqlError, SqlState};
use crate::wire::outgoing::Format;

/// What one session may keep and send.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    pub prepared_statements_max: usize,
    pub portals_max: usize,
    /// Of the values bound to all portals together.
    pub portal_bytes_max: usize,
    pub messages: crate::wire::frame::MessageLimits,
}

impl Default for SessionLimits {
    fn default() -> Self {
        SessionLimits {
            prepared_statements_max: 1_000,
            portals_max: 100,
            portal_bytes_max: 128 << 20,
            messages: crate::wire::frame::MessageLimits::default(),
        }
    }
}

/// A statement as Parse left it.
#[derive(Clone)]
pub struct Statement {
    pub text: Arc<str>,
    /// `None` for an empty one.
    pub sql: Option<Arc<dyn PreparedSql>>,
}

pub struct Portal {
    pub statement: Statement,
    pub formats: Vec<Format>,
    pub bytes: usize,
    pub state: PortalState,
}

pub enum PortalState {
    Bound(Vec<ArrayRef>),
    /// Suspended between two Execute messages.
    Running(Box<Running>),
    /// At the end of its rows.
    Exhausted {
        tag: &'static str,
    },
    /// Ran and cannot run again.
    Done,
}

/// The unnamed one has the empty name.
pub struct Statements {
    limits: SessionLimits,
    statements: HashMap<String, Statement>,
    portals: HashMap<String, Portal>,
}

impl Statements {
    #[must_use]
    pub fn new(limits: SessionLimits) -> Self {
        Statements { limits, statements: HashMap::new(), portals: HashMap::new() }
    }

    /// # Errors
    /// 42P05 when the name is taken, 53400 when there are too many.
    pub fn keep(&mut self, name: &str, statement: Statement) -> Result<(), SqlError> {
        if !name.is_empty() && self.statements.contains_key(name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(SqlError::new(SqlState::DuplicatePreparedStatement, message));
        }
        if self.statements.len() >= self.limits.prepared_statements_max {
            let message = format!("a session keeps at most {} prepared statements", self.limits.prepared_statements_max);
            return Err(SqlError::new(SqlState::ConfigurationLimitExceeded, message).hint("Close those that are not used any more."));
        }
        self.statements.insert(name.to_owned(), statement);
        Ok(())
    }

    /// # Errors
    /// 26000.
    pub fn find(&self, name: &str) -> Result<&Statement, SqlError> {
        self.statements.get(name).ok_or_else(|| {
            let message = match name {
                "" => "unnamed prepared statement does not exist".to_owned(),
                _ => format!("prepared statement \"{name}\" does not exist"),
            };
            SqlError::new(SqlState::InvalidSqlStatementName, message)
        })
    }

    pub fn forget(&mut self, name: &str) {
        self.statements.remove(name);
    }

    pub fn forget_all(&mut self) {
        self.statements.clear();
    }

    /// A named portal must be new; the unnamed one gives way.
    ///
    /// # Errors
    /// 42P03, 53400.
    pub fn check_portal(&mut self, name: &str, bytes: usize) -> Result<(), SqlError> {
        if name.is_empty() {
            self.portals.remove("");
        } else if self.portals.contains_key(name) {
            return Err(SqlError::new(SqlState::DuplicateCursor, format!("cursor \"{name}\" already exists")));
        }
        let limits = &self.limits;
        if self.portals.len() >= limits.portals_max {
            let message = format!("a session keeps at most {} portals", limits.portals_max);
            return Err(SqlError::new(SqlState::ConfigurationLimitExceeded, message).hint("Close those that are not used any more."));
        }
        let kept: usize = self.portals.values().map(|portal| portal.bytes).sum();
        if kept.saturating_add(bytes) > limits.portal_bytes_max {
            let message = format!("the values of a session's portals may have {} bytes together", limits.portal_bytes_max);
            return Err(SqlError::new(SqlState::ConfigurationLimitExceeded, message));
        }
        Ok(())
    }

    /// After [`Statements::check_portal`].
    pub fn keep_portal(&mut self, name: &str, portal: Portal) {
        self.portals.insert(name.to_owned(), portal);
    }

    /// # Errors
    /// 34000.
    pub fn portal(&mut self, name: &str) -> Result<&mut Portal, SqlError> {
        self.portals.get_mut(name).ok_or_else(|| SqlError::new(SqlState::InvalidCursorName, format!("portal \"{name}\" does not exist")))
    }

    #[must_use]
    pub fn has_portal(&self, name: &str) -> bool {
        self.portals.contains_key(name)
    }

    pub fn close_portal(&mut self, name: &str) {
        self.portals.remove(name);
    }

    /// The client leaves: what its portals still run was stopped, not finished.
    pub fn cancel_portals(&mut self) {
        for portal in self.portals.values() {
            if let PortalState::Running(running) = &portal.state {
                running.cancel.cancel();
            }
        }
        self.portals.clear();
    }

    /// The transaction has ended: portals end with it.
    pub fn close_portals(&mut self) {
        self.portals.clear();
    }
}
