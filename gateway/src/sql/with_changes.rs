//! `WITH q AS (SELECT …) UPDATE …`: the queries of WITH move to where they are named, so that what is left is the change itself.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Ident, ObjectName, ObjectNamePart, Query, SetExpr, Statement, TableAlias, TableFactor, VisitMut, VisitorMut, With, visit_relations,
};

use super::grammar::{fold, table_factor};
use crate::sqlstate::SqlError;

/// A query that is a change with a WITH before it becomes the change.
///
/// # Errors
/// 0A000 where WITH itself changes something.
pub fn take_with(statement: Statement) -> Result<Statement, SqlError> {
    let Statement::Query(query) = statement else { return Ok(statement) };
    if query.with.as_ref().is_some_and(|with| with.cte_tables.iter().any(|cte| is_change(&cte.query.body))) {
        return Err(
            SqlError::unsupported("a data-modifying statement in WITH").hint("Run it as a statement of its own, in one transaction.")
        );
    }
    if !is_change(&query.body) {
        return Ok(Statement::Query(query));
    }
    let Query { with, body, .. } = *query;
    let (SetExpr::Insert(mut change) | SetExpr::Update(mut change) | SetExpr::Delete(mut change) | SetExpr::Merge(mut change)) = *body
    else {
        return Err(SqlError::unsupported("this statement"));
    };
    let Some(with) = with else { return Ok(change) };
    let names = with.cte_tables.iter().map(|cte| fold(&cte.alias.name)).collect();
    // The target is no relation of the WITH, whatever its name.
    let target = match &mut change {
        Statement::Update(update) => Some(std::mem::replace(&mut update.table.relation, nothing())),
        Statement::Merge(merge) => Some(std::mem::replace(&mut merge.table, nothing())),
        _ => None,
    };
    let deleted = match &mut change {
        Statement::Delete(delete) => Some(std::mem::replace(&mut delete.from, sqlparser::ast::FromTable::WithFromKeyword(Vec::new()))),
        _ => None,
    };
    let template = super::parse::parse_query("SELECT * FROM t")?;
    let _: ControlFlow<()> = change.visit(&mut Mover { with, names, template, depth: 0 });
    match (&mut change, target, deleted) {
        (Statement::Update(update), Some(target), _) => update.table.relation = target,
        (Statement::Merge(merge), Some(target), _) => merge.table = target,
        (Statement::Delete(delete), _, Some(from)) => delete.from = from,
        _ => {}
    }
    Ok(change)
}

fn is_change(body: &SetExpr) -> bool {
    matches!(body, SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_))
}

struct Mover {
    with: With,
    names: Vec<String>,
    /// `SELECT * FROM t`.
    template: Query,
    /// Queries around.
    depth: usize,
}

impl VisitorMut for Mover {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    /// The outermost queries get the WITH; those inside see it there.
    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        if self.depth == 0 && self.is_named_in(query) {
            if query.with.is_none() {
                query.with = Some(self.with.clone());
            } else {
                // Its own names hide those outside.
                let outer = Query { with: Some(self.with.clone()), ..self.template.clone() };
                let inner = std::mem::replace(query, outer);
                *query.body = SetExpr::Query(Box::new(inner));
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, alias, args: None, .. } = factor else { return ControlFlow::Continue(()) };
        if let [ObjectNamePart::Identifier(ident)] = name.0.as_slice()
            && self.depth == 0
            && self.names.contains(&fold(ident))
        {
            let alias = alias.take().unwrap_or_else(|| TableAlias { explicit: true, name: ident.clone(), columns: Vec::new(), at: None });
            let subquery = Box::new(self.all_of(ident));
            *factor = TableFactor::Derived { lateral: false, subquery, alias: Some(alias), sample: None };
        }
        ControlFlow::Continue(())
    }
}

impl Mover {
    fn is_named_in(&self, query: &Query) -> bool {
        let is_own = |name: &ObjectName| match name.0.as_slice() {
            [ObjectNamePart::Identifier(ident)] => self.names.contains(&fold(ident)),
            _ => false,
        };
        visit_relations(query, |name| if is_own(name) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }).is_break()
    }

    /// `WITH … SELECT * FROM name`.
    fn all_of(&self, name: &Ident) -> Query {
        let mut query = self.template.clone();
        query.with = Some(self.with.clone());
        if let SetExpr::Select(select) = query.body.as_mut()
            && let Some(from) = select.from.first_mut()
        {
            from.relation = named(name);
        }
        query
    }
}

fn nothing() -> TableFactor {
    named(&Ident::with_quote('"', "\u{0}"))
}

fn named(name: &Ident) -> TableFactor {
    table_factor(vec![name.clone()].into())
}

#[cfg(test)]
mod tests {
    use crate::sql::grammar::Command;
    use crate::sql::parse::parse;
    use crate::sqlstate::SqlState;

    fn moved(text: &str) -> String {
        match &**parse(text).unwrap()[0].command.as_ref().unwrap() {
            Command::Sql(statement) => statement.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_queries_of_with_go_where_they_are_named() {
        assert_eq!(
            moved("with q as (select 1 as a) update t set b = (select a from q) from q as p where t.a = p.a and q.a = 1"),
            "UPDATE t SET b = (WITH q AS (SELECT 1 AS a) SELECT a FROM q) FROM (WITH q AS (SELECT 1 AS a) SELECT * FROM q) AS p \
             WHERE t.a = p.a AND q.a = 1"
        );
        assert_eq!(moved("with q as (select 1) delete from q where true"), "DELETE FROM q WHERE true");
        assert_eq!(moved("with q as (select 1) insert into t select * from q"), "INSERT INTO t WITH q AS (SELECT 1) SELECT * FROM q");
        assert_eq!(moved("with q as (select 1) insert into t values (default)"), "INSERT INTO t VALUES (default)");
    }

    #[test]
    fn a_change_in_with_is_refused() {
        let refused = parse("with q as (delete from t returning *) select * from q").unwrap_err();
        assert_eq!(refused.state, SqlState::FeatureNotSupported);
    }
}
