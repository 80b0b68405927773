//! Whether queries of WITH RECURSIVE that name themselves can be computed step by step. Source: `checkWellFormedRecursion` in `parse_cte.c` and
//! `parseCheckAggregates` in `parse_agg.c`. One that cannot would run for ever, or give something else than it says.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Cte, Join, JoinOperator, ObjectName, Query, Select, SetExpr, SetOperator, SetQuantifier, TableFactor, TableWithJoins, Visit, Visitor,
    VisitorMut, With,
};

use super::grammar::{Command, GrammarError, fold, visit_statements};
use super::locking_reads::has_aggregate;
use crate::sqlstate::{SqlError, SqlState};

/// Looks at every query inside.
///
/// # Errors
/// 42P19; 0A000 for what PostgreSQL has not either.
pub fn check(command: &mut Command) -> Result<(), GrammarError> {
    #[derive(Default)]
    struct Queries(Option<SqlError>);
    impl VisitorMut for Queries {
        type Break = ();

        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
            match query.with.as_ref().filter(|with| with.recursive).map_or(Ok(()), check_with) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    self.0 = Some(error);
                    ControlFlow::Break(())
                }
            }
        }
    }
    let mut queries = Queries::default();
    visit_statements(command, &mut queries);
    queries.0.map_or(Ok(()), |error| Err(error.into()))
}

fn check_with(with: &With) -> Result<(), SqlError> {
    for (at, cte) in with.cte_tables.iter().enumerate() {
        let name = fold(&cte.alias.name);
        let circular = |other: &Cte| mentions(&*cte.query, &fold(&other.alias.name)) > 0 && mentions(&*other.query, &name) > 0;
        if with.cte_tables.iter().skip(at + 1).any(circular) {
            return Err(unsupported("mutual recursion between WITH items"));
        }
        if mentions(&*cte.query, &name) > 0 {
            check_query(&cte.query, &name)?;
        }
    }
    Ok(())
}

fn check_query(query: &Query, name: &str) -> Result<(), SqlError> {
    let SetExpr::SetOperation { left, op: SetOperator::Union, right, .. } = query.body.as_ref() else {
        let text = format!("recursive query \"{name}\" does not have the form non-recursive-term UNION [ALL] recursive-term");
        return Err(SqlError::new(SqlState::InvalidRecursion, text));
    };
    if query.order_by.is_some() {
        return Err(unsupported("ORDER BY in a recursive query"));
    }
    if query.limit_clause.is_some() || query.fetch.is_some() {
        return Err(unsupported("LIMIT in a recursive query"));
    }
    if !query.locks.is_empty() {
        return Err(unsupported("FOR UPDATE/SHARE in a recursive query"));
    }
    if mentions(&**left, name) > 0 {
        return Err(misplaced(name, "its non-recursive term"));
    }
    let mut term = Term { name, found: 0 };
    term.expression(right, None)
}

/// How often a table of the name, without schema, stands in it. None where an inner WITH has the name for itself.
fn mentions(node: &impl Visit, name: &str) -> usize {
    struct Mentions<'a> {
        name: &'a str,
        count: usize,
    }
    impl Visitor for Mentions<'_> {
        type Break = ();

        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            let inner = query.with.iter().flat_map(|with| &with.cte_tables).any(|cte| fold(&cte.alias.name) == self.name);
            if inner { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }

        fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
            self.count += usize::from(is(relation, self.name));
            ControlFlow::Continue(())
        }
    }
    let mut found = Mentions { name, count: 0 };
    match node.visit(&mut found) {
        ControlFlow::Continue(()) => found.count,
        ControlFlow::Break(()) => 0,
    }
}

fn is(relation: &ObjectName, name: &str) -> bool {
    match relation.0.as_slice() {
        [part] => part.as_ident().is_some_and(|ident| fold(ident) == name),
        _ => false,
    }
}

/// The recursive term.
struct Term<'a> {
    name: &'a str,
    found: usize,
}

impl Term<'_> {
    /// `inside`: where the table may not stand.
    fn expression(&mut self, body: &SetExpr, inside: Option<&str>) -> Result<(), SqlError> {
        match body {
            SetExpr::Select(select) => self.select(select, inside),
            SetExpr::Query(query) => self.query(query, inside),
            SetExpr::SetOperation { left, op, right, set_quantifier } => {
                // With ALL, rows count that other steps gave.
                let of = match (op, set_quantifier) {
                    (SetOperator::Intersect, SetQuantifier::All) => (Some("INTERSECT"), Some("INTERSECT")),
                    (SetOperator::Except | SetOperator::Minus, SetQuantifier::All) => (Some("EXCEPT"), Some("EXCEPT")),
                    (SetOperator::Except | SetOperator::Minus, _) => (inside, Some("EXCEPT")),
                    (SetOperator::Intersect | SetOperator::Union, _) => (inside, inside),
                };
                self.expression(left, of.0)?;
                self.expression(right, of.1)
            }
            _ => Ok(()),
        }
    }

    fn query(&mut self, query: &Query, inside: Option<&str>) -> Result<(), SqlError> {
        if mentions(query, self.name) == 0 {
            return Ok(());
        }
        self.expression(&query.body, inside)
    }

    fn select(&mut self, select: &Select, inside: Option<&str>) -> Result<(), SqlError> {
        let (before, mut direct) = (self.found, 0);
        for from in &select.from {
            self.joins(from, inside)?;
            direct += direct_mentions(from, self.name);
        }
        // What is left stands in expressions.
        if mentions(select, self.name) > self.found - before {
            return Err(misplaced(self.name, "a subquery"));
        }
        if direct > 0 && has_aggregate(select) {
            let text = "aggregate functions are not allowed in a recursive query's recursive term";
            return Err(SqlError::new(SqlState::InvalidRecursion, text));
        }
        Ok(())
    }

    fn joins(&mut self, from: &TableWithJoins, inside: Option<&str>) -> Result<(), SqlError> {
        let outer = Some("an outer join");
        let nulled_left =
            |join: &Join| matches!(join.join_operator, JoinOperator::Right(_) | JoinOperator::RightOuter(_) | JoinOperator::FullOuter(_));
        let nulled_right =
            |join: &Join| matches!(join.join_operator, JoinOperator::Left(_) | JoinOperator::LeftOuter(_) | JoinOperator::FullOuter(_));
        // A join stands to the right of all before it.
        let left_of = |at: usize| if from.joins.iter().skip(at).any(nulled_left) { outer } else { inside };
        self.factor(&from.relation, left_of(0))?;
        for (at, join) in from.joins.iter().enumerate() {
            self.factor(&join.relation, if nulled_right(join) { outer } else { left_of(at + 1) })?;
        }
        Ok(())
    }

    fn factor(&mut self, factor: &TableFactor, inside: Option<&str>) -> Result<(), SqlError> {
        match factor {
            TableFactor::Table { name, args: None, .. } if is(name, self.name) => {
                if let Some(place) = inside {
                    return Err(misplaced(self.name, place));
                }
                self.found += 1;
                if self.found > 1 {
                    let text = format!("recursive reference to query \"{}\" must not appear more than once", self.name);
                    return Err(SqlError::new(SqlState::InvalidRecursion, text));
                }
                Ok(())
            }
            TableFactor::Derived { subquery, .. } => self.query(subquery, inside),
            TableFactor::NestedJoin { table_with_joins, .. } => self.joins(table_with_joins, inside),
            _ => Ok(()),
        }
    }
}

/// Of the table itself, not of what is selected from it.
fn direct_mentions(from: &TableWithJoins, name: &str) -> usize {
    let of = |factor: &TableFactor| match factor {
        TableFactor::Table { name: table, args: None, .. } => usize::from(is(table, name)),
        TableFactor::NestedJoin { table_with_joins, .. } => direct_mentions(table_with_joins, name),
        _ => 0,
    };
    of(&from.relation) + from.joins.iter().map(|join| of(&join.relation)).sum::<usize>()
}

fn misplaced(name: &str, place: &str) -> SqlError {
    SqlError::new(SqlState::InvalidRecursion, format!("recursive reference to query \"{name}\" must not appear within {place}"))
}

fn unsupported(what: &str) -> SqlError {
    SqlError::new(SqlState::FeatureNotSupported, format!("{what} is not implemented"))
}
