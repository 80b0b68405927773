//! Bound relations on their way: proofs of authorisation, rows, and numbers for what stays at the gateway.

use std::borrow::Cow;

use lakegate_engine_api::catalog::{AuthorizedTable, Oid, RelationName};
use lakegate_engine_api::{EngineError, Moment, TablePolicies};
use serde::{Deserialize, Serialize};
use sqlparser::ast;

use super::{TransactionRef, levels_of};
use crate::error;

#[derive(Debug, Serialize, Deserialize)]
pub struct Relation<'a> {
    pub name: Cow<'a, RelationName>,
    pub runs_as: Option<Oid>,
    pub source: Source<'a>,
}

/// [`lakegate_engine_api::RelationSource`].
#[derive(Debug, Serialize, Deserialize)]
pub enum Source<'a> {
    Table {
        table: Table,
        version: Option<u64>,
        transaction: Option<TransactionRef>,
        policies: Option<Cow<'a, TablePolicies>>,
    },
    TableAt {
        table: Table,
        moment: Cow<'a, Moment>,
        policies: Option<Cow<'a, TablePolicies>>,
    },
    TableChanges {
        table: Table,
        from: Cow<'a, Moment>,
        to: Option<Cow<'a, Moment>>,
        policies: Option<Cow<'a, TablePolicies>>,
    },
    /// An Arrow IPC stream.
    Rows(Vec<u8>),
    /// Columns that are asked for under a number.
    Columns {
        schema: Vec<u8>,
        columns: u64,
        of_the_moment: bool,
    },
    View {
        query: Box<Cow<'a, ast::Query>>,
        columns: Cow<'a, [String]>,
        runs_as: Option<Oid>,
        visible: Option<Cow<'a, [String]>>,
        policies: Option<Cow<'a, TablePolicies>>,
    },
}

/// [`AuthorizedTable::pass`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Table(Vec<u8>);

impl Table {
    /// # Errors
    /// `Internal`.
    pub fn of(table: &AuthorizedTable) -> Result<Self, EngineError> {
        table.pass().map(Table).map_err(|error| error::internal(format!("a proof could not be passed on: {error}")))
    }

    /// To be called for what came from a gateway of the cluster alone: see [`AuthorizedTable::taken_over`].
    ///
    /// # Errors
    /// `Internal`.
    pub fn take_over(&self) -> Result<AuthorizedTable, EngineError> {
        AuthorizedTable::taken_over(&self.0).map_err(|error| error::internal(format!("a proof could not be taken over: {error}")))
    }
}

impl Relation<'_> {
    /// As [`levels_of`].
    ///
    /// # Errors
    /// As [`levels_of`].
    pub fn levels(&self) -> Result<usize, EngineError> {
        let (policies, query) = match &self.source {
            Source::Table { policies, .. } | Source::TableAt { policies, .. } | Source::TableChanges { policies, .. } => (policies, 0),
            Source::View { query, policies, .. } => (policies, levels_of(&***query)?),
            Source::Rows(_) | Source::Columns { .. } => return Ok(0),
        };
        let policies = policies.as_deref().map_or(Ok(0), levels_of_policies)?;
        Ok(query.max(policies))
    }
}

fn levels_of_policies(policies: &TablePolicies) -> Result<usize, EngineError> {
    let rows = policies.rows.iter().flat_map(|rows| {
        let checks = rows.insert_checks.iter().chain(&rows.update_checks).map(|check| &check.condition);
        [&rows.select, &rows.update, &rows.delete].into_iter().chain(checks)
    });
    let masks = policies.masks.iter().map(|(_, mask)| mask);
    rows.chain(masks).try_fold(0, |most, expression| Ok(levels_of(expression)?.max(most)))
}
