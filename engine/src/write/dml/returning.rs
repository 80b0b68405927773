//! RETURNING: a select list over the rows that a statement has changed.

use std::ops::ControlFlow;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::Expr;
use lakegate_engine_api::{EngineError, SqlMistake};
use sqlparser::ast::{
    AccessExpr, Expr as AstExpr, Ident, ObjectNamePart, SelectItem, SelectItemQualifiedWildcardKind, Value, VisitMut, VisitorMut,
    WildcardAdditionalOptions,
};

use super::Context;
use super::assignments::planned;
use crate::error;
use crate::plan::{column_name, planning_error, restored};

/// The expressions over `visible`, each under a name that [`restored`] makes the client's. `*` leaves the columns `merged` out.
///
/// # Errors
/// The statement's mistakes.
pub fn returned(context: &Context<'_>, items: &[SelectItem], visible: &DFSchema, merged: &[Column]) -> Result<Vec<Expr>, EngineError> {
    let mut given: Vec<(Expr, String)> = Vec::new();
    let all = |keep: &dyn Fn(&Column) -> bool| -> Vec<(Expr, String)> {
        let columns = visible.columns().into_iter().filter(|column| keep(column));
        columns.map(|column| (Expr::Column(column.clone()), restored(&column.name).to_owned())).collect()
    };
    for item in items {
        match item {
            SelectItem::Wildcard(options) => {
                refuse_options(options)?;
                given.extend(all(&|column| !merged.contains(column)));
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                refuse_options(options)?;
                let Some(ObjectNamePart::Identifier(ident)) = name.0.last() else {
                    return Err(error::unsupported("a list of this kind in RETURNING"));
                };
                let table = folded(ident);
                let columns = all(&|column| column.relation.as_ref().is_some_and(|relation| relation.table() == table));
                if columns.is_empty() {
                    return Err(error::sql(SqlMistake::UndefinedTable, format!("missing FROM-clause entry for table \"{table}\"")));
                }
                given.extend(columns);
            }
            SelectItem::UnnamedExpr(expr) => given.push((expression(context, expr, visible)?, column_name(expr))),
            SelectItem::ExprWithAlias { expr, alias } => given.push((expression(context, expr, visible)?, folded(alias))),
            _ => return Err(error::unsupported("a list of this kind in RETURNING")),
        }
    }
    Ok(given.into_iter().enumerate().map(|(at, (expr, name))| expr.alias(format!("\u{0}r{at}\u{0}{name}"))).collect())
}

fn expression(context: &Context<'_>, expr: &AstExpr, visible: &DFSchema) -> Result<Expr, EngineError> {
    let mut expr = expr.clone();
    let _: ControlFlow<()> = expr.visit(&mut WholeRows(visible));
    let expr = planned(context, expr, visible)?;
    let mut refused = None;
    let walked = expr.apply(|part| {
        refused = refused.take().or(match part {
            Expr::AggregateFunction(_) => Some((SqlMistake::Grouping, "aggregate functions are not allowed in RETURNING")),
            Expr::WindowFunction(_) => Some((SqlMistake::Windowing, "window functions are not allowed in RETURNING")),
            _ => None,
        });
        Ok(if refused.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walked.map_err(|error| planning_error(&error))?;
    match refused {
        Some((mistake, message)) => Err(error::sql(mistake, message)),
        None => Ok(expr),
    }
}

/// The name of a relation as a value is its row (`transformColumnRef`), a field of it behind a point a column.
struct WholeRows<'a>(&'a DFSchema);

impl VisitorMut for WholeRows<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut AstExpr) -> ControlFlow<()> {
        if let AstExpr::CompoundFieldAccess { access_chain, .. } = expr {
            for access in access_chain {
                if let AccessExpr::Dot(field) = access
                    && let AstExpr::Identifier(name) = field
                {
                    *field = AstExpr::value(Value::SingleQuotedString(folded(name)));
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut AstExpr) -> ControlFlow<()> {
        if let AstExpr::Identifier(name) = expr
            && let Some(row) = self.row(&folded(name))
        {
            *expr = row;
        }
        ControlFlow::Continue(())
    }
}

impl WholeRows<'_> {
    /// `None` where a column has the name, or no relation.
    fn row(&self, name: &str) -> Option<AstExpr> {
        let columns = self.0.columns();
        if columns.iter().any(|column| restored(&column.name) == name) {
            return None;
        }
        let of = columns.iter().filter(|column| column.relation.as_ref().is_some_and(|relation| relation.table() == name));
        let quoted = |text: &str| Ident::with_quote('"', text);
        let fields: Vec<AstExpr> = of
            .flat_map(|column| {
                let value = AstExpr::CompoundIdentifier(vec![quoted(name), quoted(&column.name)]);
                [AstExpr::value(Value::SingleQuotedString(restored(&column.name).to_owned())), value]
            })
            .collect();
        (!fields.is_empty()).then(|| crate::planner_pg::passes::call("named_struct", fields))
    }
}

fn refuse_options(options: &WildcardAdditionalOptions) -> Result<(), EngineError> {
    let plain = options.opt_ilike.is_none()
        && options.opt_exclude.is_none()
        && options.opt_except.is_none()
        && options.opt_replace.is_none()
        && options.opt_rename.is_none();
    if plain { Ok(()) } else { Err(error::unsupported("* with options in RETURNING")) }
}

fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}
