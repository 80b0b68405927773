//! A relation's name as a value: `row_to_json(t) FROM (SELECT …) AS t`. Only where FROM holds nothing but subqueries whose columns are
//! written out, so that the name cannot be a column's, and no outer join that could make the row NULL.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, JoinOperator, Query, Select, SelectItem, SetExpr, TableFactor, VisitorMut,
};

use super::{Flow, call, folded, string, take};

/// The relations of the selects around the expression at hand, with their columns; none where they are not all known.
#[derive(Default)]
pub struct WholeRows {
    scopes: Vec<Vec<(String, Vec<String>)>>,
}

impl VisitorMut for WholeRows {
    type Break = Box<datafusion::error::DataFusionError>;

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        self.scopes.push(relations(select).unwrap_or_default());
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) = item
                && let Expr::Identifier(name) = expr
                && self.row(name).is_some()
            {
                let alias = Ident::with_quote('"', folded(name));
                *item = SelectItem::ExprWithAlias { expr: take(expr), alias };
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _select: &mut Select) -> Flow {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        if let Expr::Identifier(name) = expr {
            if let Some(row) = self.row(name) {
                *expr = row;
            }
        } else if let Expr::Function(function) = expr
            && let FunctionArguments::List(list) = &mut function.args
        {
            for arg in &mut list.args {
                if let FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(name)) = arg
                    && let [part] = name.0.as_slice()
                    && let Some(row) = part.as_ident().and_then(|name| self.row(name))
                {
                    *arg = FunctionArg::Unnamed(FunctionArgExpr::Expr(row));
                }
            }
        }
        ControlFlow::Continue(())
    }
}

impl WholeRows {
    /// The row of a relation of the innermost select.
    fn row(&self, name: &Ident) -> Option<Expr> {
        let name = folded(name);
        let (_, columns) = self.scopes.last()?.iter().find(|(alias, _)| *alias == name)?;
        let field = |column: &String| {
            let parts = vec![Ident::with_quote('"', &name), Ident::with_quote('"', column)];
            [string(column), Expr::CompoundIdentifier(parts)]
        };
        Some(call("named_struct", columns.iter().flat_map(field).collect()))
    }
}

fn relations(select: &Select) -> Option<Vec<(String, Vec<String>)>> {
    let mut found = Vec::new();
    for from in &select.from {
        found.push(relation(&from.relation)?);
        for join in &from.joins {
            let inner = matches!(join.join_operator, JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_));
            found.push(inner.then(|| relation(&join.relation)).flatten()?);
        }
    }
    let is_column = |name: &String| found.iter().any(|(_, columns)| columns.contains(name));
    (!found.iter().any(|(alias, _)| is_column(alias))).then_some(found)
}

fn relation(factor: &TableFactor) -> Option<(String, Vec<String>)> {
    let TableFactor::Derived { subquery, alias: Some(alias), .. } = factor else { return None };
    let columns = match alias.columns.as_slice() {
        [] => columns(subquery)?,
        given => given.iter().map(|column| folded(&column.name)).collect(),
    };
    let once = columns.iter().all(|column| columns.iter().filter(|other| *other == column).count() == 1);
    once.then(|| (folded(&alias.name), columns))
}

fn columns(query: &Query) -> Option<Vec<String>> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let name = |item: &SelectItem| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(folded(name)),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().map(folded),
        _ => None,
    };
    select.projection.iter().map(name).collect()
}
