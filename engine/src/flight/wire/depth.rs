//! How deep statements nest: reading and writing them recurses.

use std::ops::ControlFlow;

use lakegate_engine_api::EngineError;
use sqlparser::ast::{Expr, Query, SetExpr, TableFactor, Visit, Visitor};

use crate::error;
use crate::plan::DEPTH_MAX;

/// The engine plans no deeper ones; UNIONs and joins beside expressions are counted here, too.
pub const LEVELS_MAX: usize = 2 * DEPTH_MAX;

/// Levels of expressions, queries, UNIONs and joins inside each other.
///
/// # Errors
/// `Limit::StatementTooComplex`.
pub fn levels_of(part: &impl Visit) -> Result<usize, EngineError> {
    let mut levels = Levels::default();
    match part.visit(&mut levels) {
        ControlFlow::Continue(()) => Ok(levels.most),
        ControlFlow::Break(()) => Err(error::too_complex(DEPTH_MAX)),
    }
}

#[derive(Default)]
struct Levels {
    now: usize,
    most: usize,
}

impl Levels {
    fn enter(&mut self, levels: usize) -> ControlFlow<()> {
        self.now += levels;
        self.most = self.most.max(self.now);
        if self.now > LEVELS_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn leave(&mut self, levels: usize) -> ControlFlow<()> {
        self.now -= levels;
        ControlFlow::Continue(())
    }
}

impl Visitor for Levels {
    type Break = ();

    fn pre_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        self.enter(1)
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        self.leave(1)
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.enter(1 + chain(&query.body))
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.leave(1 + chain(&query.body))
    }

    fn pre_visit_table_factor(&mut self, _: &TableFactor) -> ControlFlow<()> {
        self.enter(1)
    }

    fn post_visit_table_factor(&mut self, _: &TableFactor) -> ControlFlow<()> {
        self.leave(1)
    }
}

/// `a UNION b UNION c` nests to the left; what stands at the right in brackets is a query of its own.
fn chain(body: &SetExpr) -> usize {
    let mut links = 0;
    let mut body = body;
    while let SetExpr::SetOperation { left, .. } = body {
        links += 1;
        body = left;
    }
    links
}
