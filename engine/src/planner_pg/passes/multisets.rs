//! EXCEPT ALL and INTERSECT ALL, which count how often a row is there: each row gets its number among its equals, and then the rows of
//! both sides are all different, as those of EXCEPT and INTERSECT.

use datafusion::common::Result;
use sqlparser::ast::{
    Expr, Function, Ident, Query, SelectItem, SetExpr, SetOperator, SetQuantifier, TableAlias, TableAliasColumnDef, TableFactor,
    TableWithJoins, WindowSpec, WindowType,
};

use super::array_subquery::{empty, select};
use super::call;
use super::scope::Env;
use crate::functions::error::unsupported;

const NUMBER: &str = "#number";

/// # Errors
/// 0A000 where the columns of a side are not known.
pub fn spell_out(body: &mut SetExpr, env: &mut Env<'_>) -> Result<()> {
    let SetExpr::SetOperation { op, set_quantifier, left, right } = body else { return Ok(()) };
    spell_out(left, env)?;
    spell_out(right, env)?;
    if !matches!(op, SetOperator::Except | SetOperator::Intersect) || *set_quantifier != SetQuantifier::All {
        return Ok(());
    }
    let Some(names) = env.body(left) else { return Err(unsupported(format_args!("{op} ALL over this query"))) };
    let (left, right) = (std::mem::replace(left, Box::new(nothing())), std::mem::replace(right, Box::new(nothing())));
    let numbered = SetExpr::SetOperation {
        op: *op,
        set_quantifier: SetQuantifier::None,
        left: Box::new(numbered(left, names.len())),
        right: Box::new(numbered(right, names.len())),
    };
    let mut counted = select();
    counted.projection = names
        .iter()
        .enumerate()
        .map(|(at, name)| SelectItem::ExprWithAlias { expr: Expr::Identifier(column(at)), alias: Ident::with_quote('"', name) })
        .collect();
    counted.from = from(numbered, names.len() + 1, "#rows");
    *body = SetExpr::Select(Box::new(counted));
    Ok(())
}

fn nothing() -> SetExpr {
    SetExpr::Select(Box::new(select()))
}

/// The rows of a side with the number of each among its equals.
fn numbered(side: Box<SetExpr>, width: usize) -> SetExpr {
    let columns: Vec<Expr> = (0..width).map(|at| Expr::Identifier(column(at))).collect();
    let mut number = call("row_number", Vec::new());
    if let Expr::Function(Function { over, .. }) = &mut number {
        let among = WindowSpec { window_name: None, partition_by: columns.clone(), order_by: Vec::new(), window_frame: None };
        *over = Some(WindowType::WindowSpec(among));
    }
    let mut rows = select();
    rows.projection = columns.into_iter().map(SelectItem::UnnamedExpr).collect();
    rows.projection.push(SelectItem::ExprWithAlias { expr: number, alias: Ident::with_quote('"', NUMBER) });
    rows.from = from(*side, width, "#side");
    SetExpr::Select(Box::new(rows))
}

fn from(body: SetExpr, width: usize, name: &str) -> Vec<TableWithJoins> {
    let query = Query { body: Box::new(body), ..empty() };
    let columns = (0..width).map(|at| TableAliasColumnDef { name: column(at), data_type: None }).collect();
    let alias = TableAlias { explicit: true, name: Ident::with_quote('"', name), columns, at: None };
    let relation = TableFactor::Derived { lateral: false, subquery: Box::new(query), alias: Some(alias), sample: None };
    vec![TableWithJoins { relation, joins: Vec::new() }]
}

fn column(at: usize) -> Ident {
    Ident::with_quote('"', format!("#{at}"))
}
