//! Clauses that DataFusion's planner parses past without a word: whoever writes them means something by them.

use std::ops::ControlFlow;

use lakegate_engine_api::EngineError;
use sqlparser::ast::{Query, Select, SetExpr, TableFactor, Visit, Visitor};

use crate::error;

/// # Errors
/// `Unsupported` names the first clause found.
pub fn refuse_ignored(statement: &impl Visit) -> Result<(), EngineError> {
    match statement.visit(&mut Ignored) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(clause) => Err(error::unsupported(clause)),
    }
}

struct Ignored;

fn refuse(present: bool, clause: &'static str) -> ControlFlow<&'static str> {
    if present { ControlFlow::Break(clause) } else { ControlFlow::Continue(()) }
}

impl Visitor for Ignored {
    type Break = &'static str;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        let is_change = matches!(query.body.as_ref(), SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_));
        refuse(is_change, "a data-modifying statement here in WITH")?;
        refuse(!query.locks.is_empty(), "FOR UPDATE or FOR SHARE")?;
        refuse(query.for_clause.is_some(), "FOR XML or FOR JSON")?;
        refuse(query.settings.is_some(), "SETTINGS in a query")?;
        refuse(query.format_clause.is_some(), "FORMAT in a query")?;
        refuse(query.fetch.as_ref().is_some_and(|fetch| fetch.percent), "FETCH FIRST … PERCENT")
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Self::Break> {
        refuse(select.into.is_some(), "SELECT INTO here")?;
        refuse(select.top.is_some(), "TOP")?;
        refuse(select.exclude.is_some(), "EXCLUDE in a select list")?;
        refuse(!select.lateral_views.is_empty(), "LATERAL VIEW")?;
        refuse(select.prewhere.is_some(), "PREWHERE")?;
        refuse(!select.connect_by.is_empty(), "CONNECT BY")?;
        refuse(!select.cluster_by.is_empty(), "CLUSTER BY in a query")?;
        refuse(!select.distribute_by.is_empty(), "DISTRIBUTE BY")?;
        refuse(!select.sort_by.is_empty(), "SORT BY")?;
        refuse(select.value_table_mode.is_some(), "SELECT AS STRUCT or AS VALUE")
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Self::Break> {
        match factor {
            TableFactor::Table { with_hints, version, partitions, json_path, index_hints, .. } => {
                refuse(!with_hints.is_empty() || !index_hints.is_empty(), "table hints")?;
                refuse(version.is_some(), "a table version here")?;
                refuse(!partitions.is_empty(), "PARTITION in FROM")?;
                refuse(json_path.is_some(), "a path behind a table name")
            }
            TableFactor::Derived { sample, .. } => refuse(sample.is_some(), "TABLESAMPLE"),
            _ => ControlFlow::Continue(()),
        }
    }
}
