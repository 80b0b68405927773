//! Functions in FROM are lateral without the word: those after the first item may use its columns.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, JoinOperator, Select, TableFactor, TableWithJoins, VisitorMut};

use super::{Flow, call};

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
    if let TableFactor::UNNEST { array_exprs, .. } = factor {
        array_exprs.iter_mut().for_each(spell_array);
    }
    let args = match factor {
        TableFactor::Table { args: Some(args), .. } => Some(&mut args.args),
        TableFactor::Function { args, .. } => Some(args),
        _ => None,
    };
    if let Some(args) = args {
        for arg in args {
            if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg {
                spell_array(expr);
            }
        }
    }
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

/// `ARRAY[t.a, t.b]` as a call: of array literals the planner does not look further out.
fn spell_array(expr: &mut Expr) {
    if let Expr::Array(array) = expr
        && !array.elem.is_empty()
    {
        *expr = call("#make_array", array.elem.drain(..).collect());
    }
}
