//! GROUP BY a primary key: the other columns of its table may be selected, as they depend on it (`check_functional_grouping` in
//! `pg_constraint.c`). They become keys of the grouping, too.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, GroupByExpr, Select, SelectItem, SelectItemQualifiedWildcardKind, Value, Visit, Visitor};

use super::folded;
use super::scope::{Relation, Scope, last_part};
use crate::planner_pg::AGGREGATES;

/// `order_by`: the keys of the query around the select.
pub fn add_dependent_keys<'a>(select: &mut Select, order_by: impl Iterator<Item = &'a Expr>, scope: &Scope) {
    let plain = |keys: &[Expr]| !keys.iter().any(|key| matches!(key, Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_)));
    let keys = match &select.group_by {
        GroupByExpr::Expressions(keys, modifiers) if !keys.is_empty() && modifiers.is_empty() && plain(keys) => keys.clone(),
        _ => return,
    };
    if scope.relations.iter().all(|relation| relation.key.is_empty()) {
        return;
    }
    let keys: Vec<Expr> = keys.into_iter().map(|key| at_position(&key, select).unwrap_or(key)).collect();
    let mut mentioned = Mentioned::default();
    let _: ControlFlow<()> = select.projection.visit(&mut mentioned);
    let _: ControlFlow<()> = select.having.visit(&mut mentioned);
    for key in order_by {
        let _: ControlFlow<()> = key.visit(&mut mentioned);
    }
    let mut added = Vec::new();
    for relation in &scope.relations {
        let is_key = |column: &String| keys.iter().any(|key| names(key, relation, column, scope));
        if relation.key.is_empty() || !relation.key.iter().all(is_key) {
            continue;
        }
        let all = is_starred(&select.projection, relation);
        for column in relation.columns.iter().filter(|column| !is_key(column)) {
            if all || mentioned.columns.iter().any(|expr| names(expr, relation, column, scope)) {
                added.push(relation.column(column));
            }
        }
    }
    if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
        keys.extend(added);
    }
}

/// The item that `GROUP BY 1` means.
fn at_position(key: &Expr, select: &Select) -> Option<Expr> {
    let Expr::Value(value) = key else { return None };
    let Value::Number(number, _) = &value.value else { return None };
    match select.projection.get(number.parse::<usize>().ok()?.checked_sub(1)?)? {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr.clone()),
        _ => None,
    }
}

/// Whether an expression is nothing but this column.
fn names(expr: &Expr, relation: &Relation, column: &str, scope: &Scope) -> bool {
    match expr {
        Expr::Nested(inner) => names(inner, relation, column, scope),
        Expr::Identifier(name) => {
            let name = folded(name);
            let mut found = scope.visible.iter().filter(|visible| visible.name == name);
            let own = relation.column(column);
            name == column && matches!((found.next(), found.next()), (Some(visible), None) if visible.value == own)
        }
        Expr::CompoundIdentifier(parts) => match parts.split_last() {
            Some((last, qualifier)) => {
                let own = relation.qualifier.iter().map(folded);
                let wanted: Vec<String> = qualifier.iter().map(folded).collect();
                folded(last) == column && own.collect::<Vec<_>>().ends_with(&wanted)
            }
            None => false,
        },
        _ => false,
    }
}

/// Columns outside of aggregates.
#[derive(Default)]
struct Mentioned {
    columns: Vec<Expr>,
    aggregates: usize,
}

/// `*` and `t.*`.
fn is_starred(projection: &[SelectItem], relation: &Relation) -> bool {
    projection.iter().any(|item| match item {
        SelectItem::Wildcard(_) => true,
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
            last_part(name).is_some_and(|name| name == relation.name)
        }
        _ => false,
    })
}

impl Visitor for Mentioned {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.aggregates += usize::from(is_aggregate(expr));
        if self.aggregates == 0 && matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
            self.columns.push(expr.clone());
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.aggregates -= usize::from(is_aggregate(expr));
        ControlFlow::Continue(())
    }
}

fn is_aggregate(expr: &Expr) -> bool {
    match expr {
        Expr::Function(function) if function.over.is_none() => {
            super::function_name(&function.name).is_some_and(|name| AGGREGATES.contains_key(&name))
        }
        _ => false,
    }
}
