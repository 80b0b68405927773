//! `WITH q AS (SELECT …) UPDATE …`: the queries of WITH move to where they are named, so that what is left is the change itself.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Cte, Ident, ObjectName, ObjectNamePart, Query, SetExpr, Statement, TableAlias, TableFactor, VisitMut, VisitorMut, With, visit_relations,
};

use super::grammar::{fold, table_factor};
use crate::sqlstate::SqlError;

/// A query that is a change with a WITH before it becomes the change. Where WITH itself changes something, the changes stay in it, and
/// its plain queries move to where they are named; the query that is left stands in brackets.
///
/// # Errors
/// None that a statement can cause.
pub fn take_with(statement: Statement) -> Result<Statement, SqlError> {
    let Statement::Query(query) = statement else { return Ok(statement) };
    if !query.with.as_ref().is_some_and(|with| with.cte_tables.iter().any(|cte| is_change(&cte.query.body))) {
        return match is_change(&query.body) {
            true => moved(query.with, *query.body),
            false => Ok(Statement::Query(query)),
        };
    }
    let mut query = *query;
    let Some(with) = query.with.take() else { return Err(SqlError::unsupported("this statement")) };
    let template = super::parse::parse_query("SELECT * FROM t")?;
    let (mut plain, mut changes) = (Vec::new(), Vec::new());
    let before = |plain: &[Cte]| (!plain.is_empty()).then(|| With { cte_tables: plain.to_vec(), ..with.clone() });
    for mut cte in with.cte_tables.clone() {
        if !is_change(&cte.query.body) {
            plain.push(cte);
            continue;
        }
        let own = moved(cte.query.with.take(), *cte.query.body)?;
        let change = moved(before(&plain), set_expr(own)?)?;
        cte.query = Box::new(Query { body: Box::new(set_expr(change)?), ..template.clone() });
        changes.push(cte);
    }
    let body = match is_change(&query.body) {
        true => set_expr(moved(before(&plain), *query.body)?)?,
        false => {
            query.with = before(&plain);
            SetExpr::Query(Box::new(query))
        }
    };
    let with = With { recursive: false, cte_tables: changes, ..with };
    Ok(Statement::Query(Box::new(Query { with: Some(with), body: Box::new(body), ..template })))
}

/// The changes of a statement in their order: those in WITH, then the statement's own.
#[must_use]
pub fn changes(statement: &Statement) -> Vec<&Statement> {
    match statement {
        Statement::Query(query) => {
            let within = query.with.iter().flat_map(|with| &with.cte_tables).map(|cte| cte.query.body.as_ref());
            within.chain([query.body.as_ref()]).filter_map(change).collect()
        }
        Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) | Statement::Merge(_) | Statement::Truncate(_) => {
            vec![statement]
        }
        _ => Vec::new(),
    }
}

/// The statement that the client is told of: the one after WITH.
#[must_use]
pub fn main_statement(statement: &Statement) -> &Statement {
    match statement {
        Statement::Query(query) => change(&query.body).unwrap_or(statement),
        _ => statement,
    }
}

fn change(body: &SetExpr) -> Option<&Statement> {
    match body {
        SetExpr::Insert(change) | SetExpr::Update(change) | SetExpr::Delete(change) | SetExpr::Merge(change) => Some(change),
        _ => None,
    }
}

fn set_expr(change: Statement) -> Result<SetExpr, SqlError> {
    Ok(match change {
        Statement::Insert(_) => SetExpr::Insert(change),
        Statement::Update(_) => SetExpr::Update(change),
        Statement::Delete(_) => SetExpr::Delete(change),
        Statement::Merge(_) => SetExpr::Merge(change),
        _ => return Err(SqlError::unsupported("this statement in WITH")),
    })
}

/// The change `body` with the queries of `with` where it names them.
fn moved(with: Option<With>, body: SetExpr) -> Result<Statement, SqlError> {
    let (SetExpr::Insert(mut change) | SetExpr::Update(mut change) | SetExpr::Delete(mut change) | SetExpr::Merge(mut change)) = body
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
    change(body).is_some()
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
    fn changes_stay_in_with() {
        assert_eq!(
            moved("with q as (select 1), d as (delete from t using q returning *), r as (select * from d) select * from r, q order by 1"),
            "WITH d AS (DELETE FROM t USING (WITH q AS (SELECT 1) SELECT * FROM q) AS q RETURNING *) \
             (WITH q AS (SELECT 1), r AS (SELECT * FROM d) SELECT * FROM r, q ORDER BY 1)"
        );
        assert_eq!(
            moved("with d as (update t set a = 1 returning a) insert into u select a from d returning 1"),
            "WITH d AS (UPDATE t SET a = 1 RETURNING a) INSERT INTO u SELECT a FROM d RETURNING 1"
        );
    }
}
