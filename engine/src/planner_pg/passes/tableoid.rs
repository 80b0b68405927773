//! `t.tableoid`: the OID of the relation that a row comes from, which the name in FROM already tells. `xmin` of the system catalogs: the
//! number of the catalog's last change. Nobody knows of a row alone, but no row has changed since.

use std::ops::ControlFlow;

use sqlparser::ast::{CastKind, DataType, Expr, Ident, ObjectName, Select, SelectItem, TableFactor, TableWithJoins, VisitorMut};

use super::{Flow, call, folded, string, take};

/// The relations of the selects around the expression at hand, by the names under which they are known there.
#[derive(Default)]
pub struct TableOids {
    scopes: Vec<Vec<(String, String)>>,
}

impl VisitorMut for TableOids {
    type Break = Box<datafusion::error::DataFusionError>;

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) = item
                && let Some(column) = match expr {
                    Expr::Identifier(column) => system_column(column),
                    Expr::CompoundIdentifier(parts) => parts.last().and_then(system_column),
                    _ => None,
                }
            {
                *item = SelectItem::ExprWithAlias { expr: take(expr), alias: Ident::new(column) };
            }
        }
        let mut scope = Vec::new();
        for from in &select.from {
            relations(from, &mut scope);
        }
        self.scopes.push(scope);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _select: &mut Select) -> Flow {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        let found = match expr {
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [table, column] if system_column(column).is_some() => {
                    let table = folded(table);
                    self.scopes.iter().rev().flatten().find(|(known, _)| *known == table)
                }
                _ => None,
            },
            Expr::Identifier(column) if system_column(column).is_some() => match self.scopes.last().map(Vec::as_slice) {
                Some([only]) => Some(only),
                _ => None,
            },
            _ => None,
        };
        let column = match expr {
            Expr::Identifier(column) => system_column(column),
            Expr::CompoundIdentifier(parts) => parts.last().and_then(system_column),
            _ => None,
        };
        let custom = |name: &str| DataType::Custom(ObjectName::from(vec![Ident::new(name)]), Vec::new());
        match (column, found) {
            (Some(TABLEOID), Some((_, relation))) => *expr = cast(cast(string(relation), DataType::Regclass), custom("oid")),
            (Some(XMIN), Some((_, relation))) if relation.contains(".\"pg_catalog\".") => {
                *expr = cast(call("#catalog_version", Vec::new()), custom("xid"));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

const TABLEOID: &str = "tableoid";
const XMIN: &str = "xmin";

fn system_column(column: &Ident) -> Option<&'static str> {
    let name = folded(column);
    [TABLEOID, XMIN].into_iter().find(|known| name == *known)
}

fn relations(from: &TableWithJoins, scope: &mut Vec<(String, String)>) {
    for factor in std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)) {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(folded).collect();
                let Some(own) = parts.last() else { continue };
                let known = alias.as_ref().map_or_else(|| own.clone(), |alias| folded(&alias.name));
                let quoted: Vec<String> = parts.iter().map(|part| format!("\"{}\"", part.replace('"', "\"\""))).collect();
                scope.push((known, quoted.join(".")));
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => relations(table_with_joins, scope),
            _ => {}
        }
    }
}

fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}
