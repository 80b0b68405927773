//! The arguments of a call in the place of a saved query's parameters.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Query, UnaryOperator, Value, VisitMut, VisitorMut};

use crate::sqlstate::{SqlError, SqlState};

/// The query of a text, `$1` and so on replaced.
///
/// # Errors
/// 42601, 0A000 for arguments that are more than constants and parameters; XX001 where the text is no query any more.
pub fn filled(text: &str, name: &str, arguments: &[Expr]) -> Result<Query, SqlError> {
    let mut query = crate::sql::parse::parse_query(text)?;
    if let Some(argument) = arguments.iter().find(|argument| !is_plain(argument)) {
        return Err(SqlError::unsupported(format!("lakegate.run_query with the argument {argument}"))
            .hint("Arguments are constants, casts of them, and parameters of the CALL."));
    }
    let mut filler = Filler { arguments, highest: 0 };
    let _ = query.visit(&mut filler);
    if filler.highest != arguments.len() {
        return Err(SqlError::new(SqlState::SyntaxError, format!("wrong number of parameters for saved query \"{name}\""))
            .detail(format!("Expected {} parameters but got {}.", filler.highest, arguments.len())));
    }
    Ok(query)
}

/// Whether it stands for itself wherever it is put.
fn is_plain(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) | Expr::TypedString(_) | Expr::Interval(_) => true,
        Expr::Cast { expr, .. } | Expr::Nested(expr) => is_plain(expr),
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => is_plain(expr),
        Expr::Array(array) => array.elem.iter().all(is_plain),
        _ => false,
    }
}

struct Filler<'a> {
    arguments: &'a [Expr],
    highest: usize,
}

impl VisitorMut for Filler<'_> {
    type Break = ();

    /// After what is inside: an argument that is itself a parameter is left alone.
    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Value(value) = expr else { return ControlFlow::Continue(()) };
        let Value::Placeholder(place) = &value.value else { return ControlFlow::Continue(()) };
        let number = place.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok()).unwrap_or(0);
        self.highest = self.highest.max(number);
        if let Some(argument) = number.checked_sub(1).and_then(|at| self.arguments.get(at)) {
            *expr = match argument {
                Expr::Value(_) => argument.clone(),
                argument => Expr::Nested(Box::new(argument.clone())),
            };
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(text: &str) -> Vec<Expr> {
        text.split(';').map(|text| crate::sql::parse::parse_expression(text).unwrap()).collect()
    }

    #[test]
    fn arguments_stand_where_parameters_stood() {
        let query = filled("SELECT $2 FROM t WHERE a = $1 AND b < -$1", "q", &arguments("-5;'x'::text")).unwrap();
        assert_eq!(query.to_string(), "SELECT ('x'::TEXT) FROM t WHERE a = (-5) AND b < -(-5)");
        let query = filled("SELECT $1 + $2", "q", &arguments("$2;$1")).unwrap();
        assert_eq!(query.to_string(), "SELECT $2 + $1");
    }

    #[test]
    fn their_number_and_kind_are_checked() {
        let error = |text: &str, given: &str| filled(text, "q", &arguments(given)).unwrap_err().state;
        assert_eq!(error("SELECT 1", "1"), SqlState::SyntaxError);
        assert_eq!(error("SELECT $2", "1"), SqlState::SyntaxError);
        for other in ["now()", "(SELECT 1)", "a", "1 + 1"] {
            assert_eq!(error("SELECT $1", other), SqlState::FeatureNotSupported, "{other}");
        }
    }
}
