//! Expressions that are kept as text: which columns they name, and the same text after a column was renamed.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use lakegate_catalog::Snapshot;
use lakegate_catalog::model::RelationKind;
use sqlparser::ast::{
    self, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Query, Value, Visit, VisitMut, Visitor, VisitorMut,
};

use crate::sql::grammar::{fold, name_parts};
use crate::sql::parse::parse_expression;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{SqlError, SqlState};

/// Names of the columns in an expression.
#[must_use]
pub fn mentioned(expr: &Expr) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let _: ControlFlow<()> = ast::visit_expressions(expr, |expr| {
        match expr {
            Expr::Identifier(name) => {
                names.insert(fold(name));
            }
            Expr::CompoundIdentifier(parts) => names.extend(parts.last().map(fold)),
            _ => {}
        }
        ControlFlow::Continue(())
    });
    names
}

/// Whether the text names a column; a text that does not parse does.
#[must_use]
pub fn mentions(text: &str, column: &str) -> bool {
    parse_expression(text).map_or(true, |expr| mentioned(&expr).contains(column))
}

/// The text with the column under its new name.
///
/// # Errors
/// 42601 where the text does not parse.
pub fn renamed(text: &str, from: &str, to: &str) -> Result<String, SqlError> {
    struct Rename<'a> {
        from: &'a str,
        to: &'a str,
    }
    impl VisitorMut for Rename<'_> {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            let name = match expr {
                Expr::Identifier(name) => Some(name),
                Expr::CompoundIdentifier(parts) => parts.last_mut(),
                _ => None,
            };
            if let Some(name) = name.filter(|name| fold(name) == self.from) {
                *name = Ident::with_quote('"', self.to);
            }
            ControlFlow::Continue(())
        }
    }
    let mut expr = parse_expression(text)?;
    let _: ControlFlow<()> = VisitMut::visit(&mut expr, &mut Rename { from, to });
    Ok(expr.to_string())
}

#[must_use]
pub fn has_subquery(expr: &Expr) -> bool {
    struct Found;
    impl Visitor for Found {
        type Break = ();
        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    expr.visit(&mut Found).is_break()
}

/// A default as it is kept: sequences by their numbers, so that it follows them to other names. Source: `transformArrayExpr`'s
/// constant of type regclass.
///
/// # Errors
/// 42P01 for a sequence that is none; 0A000 for subqueries.
pub fn stored_default(session: &GatewaySession, snapshot: &Snapshot, expr: &Expr) -> Result<Expr, SqlError> {
    if has_subquery(expr) {
        return Err(SqlError::new(SqlState::FeatureNotSupported, "cannot use subquery in DEFAULT expression"));
    }
    let mut expr = expr.clone();
    let result: ControlFlow<SqlError> = ast::visit_expressions_mut(&mut expr, |expr| match with_number(session, snapshot, expr) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    });
    match result {
        ControlFlow::Continue(()) => Ok(expr),
        ControlFlow::Break(error) => Err(error),
    }
}

/// The same as text; a constant NULL is no default. Source: `AddRelationNewConstraints`.
///
/// # Errors
/// As [`stored_default`].
pub fn default_text(session: &GatewaySession, snapshot: &Snapshot, expr: &Expr) -> Result<Option<String>, SqlError> {
    let stored = stored_default(session, snapshot, expr)?;
    Ok((!is_null(&stored)).then(|| stored.to_string()))
}

fn is_null(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => matches!(value.value, ast::Value::Null),
        Expr::Cast { expr, .. } | Expr::Nested(expr) => is_null(expr),
        _ => false,
    }
}

fn with_number(session: &GatewaySession, snapshot: &Snapshot, expr: &mut Expr) -> Result<(), SqlError> {
    let Some(text) = sequence_argument(expr) else { return Ok(()) };
    if text.parse::<u32>().is_ok() {
        return Ok(());
    }
    let name = crate::sql::parse::parse_query(&format!("SELECT 1 FROM {text}"));
    let invalid = || SqlError::new(SqlState::InvalidName, "invalid name syntax");
    let query = name.map_err(|_| invalid())?;
    let mut parts = None;
    let _: ControlFlow<()> = ast::visit_relations(&query, |name| {
        parts = name_parts(name).ok();
        ControlFlow::Continue(())
    });
    let parts = parts.ok_or_else(invalid)?;
    let found = session.scope(snapshot).resolve(snapshot, &parts)?;
    let relation = snapshot.relation_by_name(&found).ok_or_else(|| crate::sql::bind::undefined(&parts))?;
    if relation.kind != RelationKind::Sequence {
        return Err(SqlError::new(SqlState::WrongObjectType, format!("\"{}\" is not a sequence", relation.name)));
    }
    *expr = sequence_call(relation.oid)?;
    Ok(())
}

/// The literal in `nextval('…')` and `nextval('…'::regclass)`.
fn sequence_argument(expr: &Expr) -> Option<String> {
    let Expr::Function(function) = expr else { return None };
    let parts = name_parts(&function.name).ok()?;
    if parts.last().is_none_or(|name| name != "nextval") {
        return None;
    }
    let FunctionArguments::List(list) = &function.args else { return None };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] = list.args.as_slice() else { return None };
    let literal = match argument {
        Expr::Cast { expr, data_type: DataType::Regclass, .. } => expr.as_ref(),
        Expr::Cast { expr, data_type: DataType::Custom(name, _), .. } if name.to_string().eq_ignore_ascii_case("regclass") => expr.as_ref(),
        other => other,
    };
    match literal {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// `nextval('oid'::regclass)`.
///
/// # Errors
/// None: the text is one expression.
pub fn sequence_call(oid: u32) -> Result<Expr, SqlError> {
    parse_expression(&format!("nextval('{oid}'::regclass)"))
}

/// The sequence whose values a default gives.
#[must_use]
pub fn sequence_of_default(text: &str) -> Option<u32> {
    let expr = parse_expression(text).ok()?;
    let mut found = None;
    let _: ControlFlow<()> = ast::visit_expressions(&expr, |expr| {
        found = found.or_else(|| sequence_argument(expr)?.parse().ok());
        ControlFlow::Continue(())
    });
    found
}

/// A stored default as clients see it: sequences under their names, as `regclass` prints them.
#[must_use]
pub fn shown_default(text: &str, name_of: impl Fn(u32) -> Option<String>) -> String {
    if !text.contains("nextval") {
        return text.to_owned();
    }
    let Ok(mut expr) = parse_expression(text) else { return text.to_owned() };
    let _: ControlFlow<()> = ast::visit_expressions_mut(&mut expr, |expr| {
        let name = sequence_argument(expr).and_then(|number| name_of(number.parse().ok()?));
        if let Some(call) = name.and_then(|name| parse_expression(&format!("nextval('{}'::regclass)", name.replace('\'', "''"))).ok()) {
            *expr = call;
        }
        ControlFlow::Continue(())
    });
    // As PostgreSQL prints the cast.
    expr.to_string().replace("::REGCLASS", "::regclass")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_renamed_in_text() {
        assert_eq!(renamed("a > 0 AND t.a < b", "a", "x y").unwrap(), "\"x y\" > 0 AND t.\"x y\" < b");
        assert!(mentions("upper(name) = 'A'", "name") && !mentions("upper(name) = 'A'", "a"));
    }

    #[test]
    fn sequences_of_defaults() {
        assert_eq!(sequence_of_default("nextval('16400'::regclass) * 2"), Some(16_400));
        assert_eq!(shown_default("nextval('16400'::regclass)", |_| Some("s.\"T\"".to_owned())), "nextval('s.\"T\"'::regclass)");
        assert_eq!(sequence_of_default("1 + 1"), None);
    }
}
