//! Functions in FROM are lateral without the word: those after the first item may use its columns.

use std::ops::ControlFlow;

use sqlparser::ast::{JoinOperator, Select, TableFactor, TableWithJoins, VisitorMut};

use super::Flow;

pub struct LateralFunctions;

impl VisitorMut for LateralFunctions {
    type Break = Box<datafusion::error::DataFusionError>;

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        for (at, TableWithJoins { relation, joins }) in select.from.iter_mut().enumerate() {
            if at > 0 {
                make_lateral(relation);
            }
            for join in joins {
                // The other side's rows are not there yet where this one's are kept.
                let kept = matches!(join.join_operator, JoinOperator::Right(_) | JoinOperator::RightOuter(_) | JoinOperator::FullOuter(_));
                if !kept {
                    make_lateral(&mut join.relation);
                }
            }
        }
        ControlFlow::Continue(())
    }
}

fn make_lateral(factor: &mut TableFactor) {
    if let TableFactor::Table { name, alias, args: Some(args), with_ordinality, .. } = factor {
        *factor = TableFactor::Function {
            lateral: true,
            name: name.clone(),
            args: std::mem::take(&mut args.args),
            with_ordinality: *with_ordinality,
            alias: alias.take(),
        };
    }
}
