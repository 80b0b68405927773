//! Whether a query may be run a second time when its engine was lost: it must not have asked anything of its session or of others.

use std::ops::ControlFlow;
use std::sync::Arc;

use lakegate_engine_api::{BoundRelation, RelationSource, TablePolicies, Work};
use sqlparser::ast::{self, Expr, Query, Statement, Visit, Visitor};

/// Functions that are called for what they do.
const EFFECTS: [&str; 7] =
    ["nextval", "pg_cancel_backend", "pg_export_snapshot", "pg_notify", "pg_terminate_backend", "set_config", "setval"];
/// How the names of others begin: advisory locks, and what opens sealed records and is audited.
const PREFIXES: [&str; 3] = ["pg_advisory_", "pg_try_advisory_", "lakegate"];

/// Policies and masks are looked at as the query is.
#[must_use]
pub fn is_repeatable(work: &Work, relations: &[BoundRelation]) -> bool {
    let Work::Query(statement) = work else { return false };
    let of_statement = match statement.as_ref() {
        Statement::Query(query) => is_quiet(query.as_ref()),
        Statement::Explain { statement, .. } => is_quiet(statement.as_ref()) && matches!(statement.as_ref(), Statement::Query(_)),
        _ => false,
    };
    of_statement
        && relations.iter().all(|relation| match &relation.source {
            RelationSource::View { query, policies, .. } => is_quiet::<Query>(query.as_ref()) && are_quiet(policies),
            RelationSource::Table { transaction, policies, .. } => transaction.is_none() && are_quiet(policies),
            RelationSource::TableAt { policies, .. } | RelationSource::TableChanges { policies, .. } => are_quiet(policies),
            _ => true,
        })
}

fn are_quiet(policies: &Option<Arc<TablePolicies>>) -> bool {
    policies.as_deref().is_none_or(|policies| {
        policies.rows.as_ref().is_none_or(|rows| is_quiet(&rows.select)) && policies.masks.iter().all(|(_, mask)| is_quiet(mask))
    })
}

fn is_quiet<T: Visit>(tree: &T) -> bool {
    struct Calls;
    impl Visitor for Calls {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Function(function) if has_effect(&function.name) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
        /// Functions in FROM.
        fn pre_visit_relation(&mut self, name: &ast::ObjectName) -> ControlFlow<()> {
            if has_effect(name) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    tree.visit(&mut Calls).is_continue()
}

fn has_effect(name: &ast::ObjectName) -> bool {
    let parts: Vec<String> = name.0.iter().filter_map(ast::ObjectNamePart::as_ident).map(|part| part.value.to_lowercase()).collect();
    let is_one = |part: &String| EFFECTS.contains(&part.as_str()) || PREFIXES.iter().any(|prefix| part.starts_with(prefix));
    parts.last().is_some_and(is_one) || (parts.len() > 1 && parts.first().is_some_and(|schema| schema == "lakegate"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::grammar::Command;
    use crate::sql::parse::parse;

    fn repeats(sql: &str) -> bool {
        let Some(Command::Sql(statement)) = parse(sql).unwrap()[0].command.as_deref().cloned() else { panic!("{sql}") };
        is_repeatable(&Work::Query(statement), &[])
    }

    #[test]
    fn what_is_called_for_its_effect_runs_once() {
        for sql in ["SELECT a, now(), random() FROM t", "EXPLAIN ANALYZE SELECT 1", "WITH x AS (SELECT 1) SELECT count(*) FROM x"] {
            assert!(repeats(sql), "{sql}");
        }
        for sql in [
            "SELECT nextval('s')",
            "SELECT a FROM t WHERE pg_catalog.SET_CONFIG('a.b', a, false) IS NULL",
            "WITH x AS (SELECT pg_notify('c', a) FROM t) SELECT 1 FROM x",
            "SELECT 1 FROM t ORDER BY pg_try_advisory_lock(a)",
            "SELECT * FROM pg_advisory_lock(1)",
            "SELECT lakegate.decrypt_statement(id) FROM t",
            "EXPLAIN ANALYZE DELETE FROM t",
        ] {
            assert!(!repeats(sql), "{sql}");
        }
    }
}
