//! An item of a select list that has the name of a column which stands elsewhere in the query. DataFusion keeps both under that name where it
//! sorts by the column, or unnests beside it, and then does not know which is meant. The item gets another name inside a subquery,
//! which its new outside gives it back.

use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Function, Ident, OrderByExpr, OrderByKind, Query, SelectItem, SetExpr, TableAlias, TableFactor, TableWithJoins, Visit, Visitor,
};

use super::names::column_name;
use crate::functions::sets::set_function;
use crate::planner_pg::passes::empty_query;

/// Puts a query around one whose items clash; `marked` makes a name of its own for each. `sorted`: what it is ordered by counts, too.
pub fn tell_apart(query: &mut Query, sorted: bool, marked: &mut impl FnMut(&str) -> String) {
    let order_by = query.order_by.as_mut().map(|order_by| &mut order_by.kind);
    let keys: &mut [OrderByExpr] = match order_by {
        Some(OrderByKind::Expressions(keys)) => keys,
        Some(OrderByKind::All(_)) => return,
        None => &mut [],
    };
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    if !query.locks.is_empty() || select.into.is_some() || !select.projection.iter().all(is_named) {
        return;
    }
    let mut columns = Columns::default();
    if sorted {
        let _: ControlFlow<()> = keys.iter().try_for_each(|key| key.expr.visit(&mut columns));
        // A name alone is an item's.
        columns.bare.clear();
    }
    if select.projection.iter().filter_map(expression).any(is_set) {
        let _: ControlFlow<()> = select.projection.iter().filter_map(expression).try_for_each(|expr| expr.visit(&mut columns));
    }
    if columns.is_empty() {
        return;
    }
    let mut outside = Vec::new();
    let mut clashes = false;
    for item in &mut select.projection {
        let SelectItem::ExprWithAlias { expr, alias } = item else {
            let name = expression(item).map(column_name).unwrap_or_default();
            outside.push(SelectItem::UnnamedExpr(Expr::Identifier(Ident::with_quote('"', name))));
            continue;
        };
        let name = folded(alias);
        if !columns.has_other(&name, expr) {
            outside.push(SelectItem::UnnamedExpr(Expr::Identifier(Ident::with_quote('"', name))));
            continue;
        }
        clashes = true;
        let inside = Ident::with_quote('"', marked(&name));
        for key in keys.iter_mut().filter(|key| matches!(&key.expr, Expr::Identifier(key) if folded(key) == name)) {
            key.expr = Expr::Identifier(inside.clone());
        }
        *alias = inside.clone();
        outside.push(SelectItem::ExprWithAlias { expr: Expr::Identifier(inside), alias: Ident::with_quote('"', name) });
    }
    if !clashes {
        // All aliases are as they were.
        return;
    }
    let alias = TableAlias { explicit: true, name: Ident::with_quote('"', marked("apart")), columns: Vec::new(), at: None };
    let mut outer = empty_query();
    let inner = std::mem::replace(query, empty_query());
    let from = TableFactor::Derived { lateral: false, subquery: Box::new(inner), alias: Some(alias), sample: None };
    if let SetExpr::Select(select) = outer.body.as_mut() {
        select.projection = outside;
        select.from = vec![TableWithJoins { relation: from, joins: Vec::new() }];
    }
    *query = outer;
}

fn expression(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    }
}

/// Has a name, or is a column.
fn is_named(item: &SelectItem) -> bool {
    match item {
        SelectItem::ExprWithAlias { .. } => true,
        SelectItem::UnnamedExpr(expr) => matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)),
        _ => false,
    }
}

/// Columns that are mentioned, subqueries left out.
#[derive(Default)]
struct Columns {
    depth: usize,
    bare: HashSet<String>,
    qualified: Vec<Vec<String>>,
}

impl Columns {
    fn is_empty(&self) -> bool {
        self.bare.is_empty() && self.qualified.is_empty()
    }

    /// Whether another column than the item itself has the name.
    fn has_other(&self, name: &str, item: &Expr) -> bool {
        let own: Option<Vec<String>> = match item {
            Expr::CompoundIdentifier(parts) => Some(parts.iter().map(folded).collect()),
            _ => None,
        };
        let is_bare = matches!(item, Expr::Identifier(item) if folded(item) == name);
        let qualified = self.qualified.iter().filter(|parts| parts.last().is_some_and(|last| last == name));
        (!is_bare && self.bare.contains(name)) || qualified.into_iter().any(|parts| own.as_ref() != Some(parts))
    }
}

impl Visitor for Columns {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(name) if self.depth == 0 => {
                self.bare.insert(folded(name));
            }
            Expr::CompoundIdentifier(parts) if self.depth == 0 => self.qualified.push(parts.iter().map(folded).collect()),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Whether a function that gives a set is called in it, subqueries left out.
fn is_set(expr: &Expr) -> bool {
    struct Sets(usize);
    impl Visitor for Sets {
        type Break = ();

        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.0 += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.0 -= 1;
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            let last = |function: &Function| function.name.0.last().and_then(|part| part.as_ident()).map(folded);
            match expr {
                Expr::Function(function) if self.0 == 0 && last(function).is_some_and(|name| set_function(&name).is_some()) => {
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            }
        }
    }
    expr.visit(&mut Sets(0)).is_break()
}

fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}
