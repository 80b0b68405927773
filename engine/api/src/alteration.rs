//! What ALTER TABLE does to a Delta table.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlparser::ast;

use crate::ColumnDefinition;

/// One action; those of a statement take effect in order, in one commit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Alteration {
    /// At the end.
    AddColumn {
        column: ColumnDefinition,
        /// What the rows that are there get, evaluated for each of them; `None`: NULL.
        fill: Option<ast::Expr>,
        /// SQL text of a generated column's expression over the others.
        generation: Option<String>,
    },
    DropColumn {
        name: String,
    },
    RenameColumn {
        from: String,
        to: String,
    },
    /// Rows that are there must have a value.
    SetNotNull {
        column: String,
    },
    DropNotNull {
        column: String,
    },
    /// A generated column becomes a plain one; its values stay.
    DropGeneration {
        column: String,
    },
    /// `using`: over the columns as they were before the statement; `None`: the assignment cast.
    SetType {
        column: ColumnDefinition,
        using: Option<ast::Expr>,
    },
    /// Replaces one of its name.
    AddCheck {
        name: String,
        expression: String,
        /// Rows that are there must satisfy it.
        validate: bool,
    },
    DropCheck {
        name: String,
    },
    /// Data files written from now on have Bloom filters for these columns and no others; `rewrites`: those that are there too.
    SetFilters {
        columns: Vec<String>,
        rewrites: bool,
    },
    /// Properties of the table; `None` takes one away.
    SetProperties(BTreeMap<String, Option<String>>),
    /// The SQL text of a generated column's expression, where a column that it names was renamed.
    SetGeneration {
        column: String,
        expression: String,
    },
}
