//! Policies and masks whose text names a column: what depends on it, and the same text after it was renamed.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use lakegate_catalog::ddl::{RelationUpdate, RowSecurityUpdate};
use lakegate_catalog::governance::{MASKED_VALUE, PolicyExpression};
use lakegate_catalog::model::Relation;
use sqlparser::ast::{Expr, Ident, Query, VisitMut, VisitorMut};

use crate::handlers::column_text::mentioned;
use crate::sql::bind::selected_from;
use crate::sql::grammar::fold;
use crate::sql::parse::parse_expression;
use crate::sqlstate::{SqlError, SqlState};

/// What names a column: (policies by name, columns whose mask does). The mask of the column itself goes with it.
#[must_use]
pub fn mentioning(table: &Relation, column: &str) -> (Vec<String>, Vec<String>) {
    let names = |expression: &PolicyExpression| mentions(expression).is_none_or(|names| names.contains(column));
    let policies = table.row_security.policies.iter();
    let policies = policies.filter(|policy| policy.using.iter().chain(&policy.check).any(names)).map(|policy| policy.name.clone());
    let masks =
        table.columns.iter().filter(|other| other.name != column && other.mask.as_ref().is_some_and(|mask| names(&mask.expression)));
    (policies.collect(), masks.map(|column| column.name.clone()).collect())
}

/// `None` where the text does not read.
fn mentions(expression: &PolicyExpression) -> Option<BTreeSet<String>> {
    parse_expression(&expression.text).ok().map(|expr| mentioned(&expr))
}

/// Policies and masks of a table under the new name of a column.
///
/// # Errors
/// 0A000 where a subquery names it in a way that could be meant of something else.
pub fn renamed_column(table: &Relation, from: &str, to: &str) -> Result<Vec<RelationUpdate>, SqlError> {
    let mut updates = Vec::new();
    for policy in &table.row_security.policies {
        let of = |expression: &Option<PolicyExpression>| match expression {
            Some(expression) => renamed(expression, from, to),
            None => Ok(None),
        };
        let (using, check) = (of(&policy.using)?, of(&policy.check)?);
        if using.is_some() || check.is_some() {
            let altered = RowSecurityUpdate::Alter { name: policy.name.clone(), roles: None, using, check };
            updates.push(RelationUpdate::RowSecurity(altered));
        }
    }
    for column in &table.columns {
        let Some(mask) = &column.mask else { continue };
        if let Some(expression) = renamed(&mask.expression, from, to)? {
            updates.push(RelationUpdate::SetMaskExpression { column: column.name.clone(), expression });
        }
    }
    Ok(updates)
}

/// `None` where the text does not name the column.
fn renamed(expression: &PolicyExpression, from: &str, to: &str) -> Result<Option<PolicyExpression>, SqlError> {
    let mut expr = parse_expression(&expression.text)?;
    if !mentioned(&expr).contains(from) {
        return Ok(None);
    }
    let mut rename = Rename { table: &expression.table, from, to, around: Vec::new() };
    match VisitMut::visit(&mut expr, &mut rename) {
        ControlFlow::Continue(()) => Ok(Some(PolicyExpression { text: expr.to_string(), ..expression.clone() })),
        ControlFlow::Break(()) => {
            let text = format!("cannot rename column \"{from}\": a subquery of a policy or mask names it");
            Err(SqlError::new(SqlState::FeatureNotSupported, text).hint("Drop the policy or mask, and make it anew afterwards."))
        }
    }
}

struct Rename<'a> {
    table: &'a str,
    from: &'a str,
    to: &'a str,
    /// What the queries around select from.
    around: Vec<BTreeSet<String>>,
}

impl VisitorMut for Rename<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.around.push(selected_from(query));
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.around.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let name = match expr {
            Expr::Identifier(name) if fold(name) == self.from && self.from != MASKED_VALUE => {
                if !self.around.is_empty() {
                    return ControlFlow::Break(());
                }
                name
            }
            Expr::CompoundIdentifier(parts) => match parts.as_mut_slice() {
                [.., table, column] if fold(column) == self.from && fold(table) == self.table => {
                    if self.around.iter().any(|names| names.contains(self.table)) {
                        return ControlFlow::Break(());
                    }
                    column
                }
                _ => return ControlFlow::Continue(()),
            },
            _ => return ControlFlow::Continue(()),
        };
        *name = Ident::with_quote('"', self.to);
        ControlFlow::Continue(())
    }
}
