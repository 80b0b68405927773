//! VALUES in the one shape that the planner types by PostgreSQL's rules, `SELECT * FROM (VALUES …)`; or, where rows refer to
//! columns of another relation, as a UNION ALL.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Ident, Query, SelectItem, SetExpr, SetOperator, SetQuantifier, TableAlias, TableFactor, TableWithJoins, Values, Visit, Visitor,
    VisitorMut, WildcardAdditionalOptions,
};

use super::Flow;
use super::array_subquery::{empty, select};

/// The relation's name where the statement gives none.
const VALUES: &str = "*VALUES*";

pub struct BareValues;

impl VisitorMut for BareValues {
    type Break = Box<datafusion::error::DataFusionError>;

    fn post_visit_query(&mut self, query: &mut Query) -> Flow {
        if let SetExpr::Values(values) = query.body.as_ref() {
            *query.body = if refers(values) { union(values) } else { relation(values.clone()) };
        }
        ControlFlow::Continue(())
    }
}

fn relation(values: Values) -> SetExpr {
    let mut rows = empty();
    *rows.body = SetExpr::Values(values);
    let alias = TableAlias { explicit: true, name: Ident::with_quote('"', VALUES), columns: Vec::new(), at: None };
    let from = TableFactor::Derived { lateral: false, subquery: Box::new(rows), alias: Some(alias), sample: None };
    let mut select = select();
    select.projection = vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())];
    select.from = vec![TableWithJoins { relation: from, joins: Vec::new() }];
    SetExpr::Select(Box::new(select))
}

/// Whether a cell names a column: there is none in VALUES itself.
fn refers(values: &Values) -> bool {
    struct Names;
    impl Visitor for Names {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            if matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        }
    }
    values.visit(&mut Names).is_break()
}

fn union(values: &Values) -> SetExpr {
    let mut branches = values.rows.iter().map(|row| {
        let mut select = select();
        select.projection = row
            .content
            .iter()
            .enumerate()
            .map(|(at, expr)| SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::with_quote('"', format!("column{}", at + 1)) })
            .collect();
        SetExpr::Select(Box::new(select))
    });
    let first = branches.next().unwrap_or_else(|| SetExpr::Select(Box::new(select())));
    branches.fold(first, |left, right| SetExpr::SetOperation {
        op: SetOperator::Union,
        set_quantifier: SetQuantifier::All,
        left: Box::new(left),
        right: Box::new(right),
    })
}
