//! How deep a statement may nest: planning recurses, and a deeper one would need more stack than there is.

use std::ops::ControlFlow;

use lakegate_engine_api::EngineError;
use sqlparser::ast::{Expr, Query, Select, Visit, Visitor};

use crate::error;

/// Levels of expressions and queries inside each other; a chain of `a + b + c` counts one a link.
pub const DEPTH_MAX: usize = 2_500;

/// # Errors
/// `Limit::StatementTooComplex`.
pub fn check_depth(statement: &impl Visit) -> Result<(), EngineError> {
    match statement.visit(&mut Depth { now: 0 }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(error::too_complex(DEPTH_MAX)),
    }
}

/// Relations of one FROM, and of one WITH: planned as a chain of joins and of queries.
const RELATIONS_MAX: usize = 1_000;

struct Depth {
    now: usize,
}

impl Depth {
    fn enter(&mut self) -> ControlFlow<()> {
        self.now += 1;
        if self.now > DEPTH_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn leave(&mut self) -> ControlFlow<()> {
        self.now -= 1;
        ControlFlow::Continue(())
    }
}

impl Visitor for Depth {
    type Break = ();

    fn pre_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        self.enter()
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        self.leave()
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if query.with.as_ref().is_some_and(|with| with.cte_tables.len() > RELATIONS_MAX) {
            return ControlFlow::Break(());
        }
        self.enter()
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        if select.from.len() > RELATIONS_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.leave()
    }
}
