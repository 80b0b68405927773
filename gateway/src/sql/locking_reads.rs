//! `SELECT … FOR UPDATE` and its kin. Nothing is locked while a transaction runs: its COMMIT fails where somebody else has meanwhile
//! changed or deleted rows of a table that it read so (`LockRows` in `nodeLockRows.c` waits for them instead). Rows that others add do
//! not matter, as in PostgreSQL. Outside a block such a read locks nothing that outlives it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize::{Principal, has_any_column_privilege};
use lakegate_catalog::model::{Privilege, RelationKind, RelationName};
use sqlparser::ast::{
    Distinct, Expr, GroupByExpr, LockClause, LockType, ObjectName, Query, Select, SelectItem, SetExpr, Statement, TableAlias, TableFactor,
    TableWithJoins, Visit, VisitMut, Visitor, VisitorMut,
};

use super::bind::{NameScope, undefined};
use super::grammar::{fold, name_parts};
use crate::pg_catalog;
use crate::sqlstate::{SqlError, SqlState};

/// Aggregates by name (`pg_proc.prokind` is `a`); those that need WITHIN GROUP, too.
const AGGREGATES: [&str; 38] = [
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "every",
    "json_agg",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_object_agg",
    "max",
    "min",
    "mode",
    "percentile_cont",
    "percentile_disc",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var_pop",
    "var_samp",
    "variance",
];

/// The tables whose rows a statement locks, each once.
///
/// # Errors
/// 0A000 where rows cannot be locked (`CheckSelectLocking` in `analyze.c`), 42P01, 42809, 42501 without the right to UPDATE.
pub fn locked_tables(
    statement: &Statement,
    scope: &NameScope,
    snapshot: &Snapshot,
    principal: &Principal,
) -> Result<Vec<RelationName>, SqlError> {
    let mut found = Found { ctes: BTreeSet::new(), tables: Vec::new() };
    if let ControlFlow::Break(error) = statement.visit(&mut found) {
        return Err(*error);
    }
    let mut names = Vec::new();
    for (table, word) in found.tables {
        let parts = name_parts(&table)?;
        if matches!(parts.as_slice(), [name] if found.ctes.contains(name)) {
            continue;
        }
        let name = scope.resolve(snapshot, &parts)?;
        let Some(relation) = snapshot.relation_by_name(&name) else {
            if pg_catalog::has_relation(&name.schema, &name.name) {
                return Err(SqlError::unsupported(format!("{word} of system relations")));
            }
            return Err(undefined(&parts));
        };
        match relation.kind {
            RelationKind::View => return Err(SqlError::unsupported(format!("{word} of a view")).hint("Name the tables that it reads.")),
            RelationKind::MaterializedView => {
                let message = format!("cannot lock rows in materialized view \"{}\"", relation.name);
                return Err(SqlError::new(SqlState::WrongObjectType, message));
            }
            _ => {}
        }
        if !has_any_column_privilege(snapshot, principal.current_role, relation, Privilege::Update) {
            return Err(SqlError::new(SqlState::InsufficientPrivilege, format!("permission denied for table {}", relation.name)));
        }
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Whether there is a locking clause at all.
#[must_use]
pub fn locks(statement: &Statement) -> bool {
    struct Locks;
    impl Visitor for Locks {
        type Break = ();
        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            if query.locks.is_empty() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        }
    }
    statement.visit(&mut Locks).is_break()
}

/// The statement without its locking clauses.
pub fn strip(statement: &mut Statement) {
    struct Strip;
    impl VisitorMut for Strip {
        type Break = ();
        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
            query.locks.clear();
            ControlFlow::Continue(())
        }
    }
    let _: ControlFlow<()> = statement.visit(&mut Strip);
}

struct Found {
    ctes: BTreeSet<String>,
    /// With the words of the clause.
    tables: Vec<(ObjectName, &'static str)>,
}

impl Visitor for Found {
    type Break = Box<SqlError>;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        self.ctes.extend(query.with.iter().flat_map(|with| &with.cte_tables).map(|cte| fold(&cte.alias.name)));
        for lock in &query.locks {
            if let Err(error) = self.lock(query, lock) {
                return ControlFlow::Break(Box::new(error));
            }
        }
        ControlFlow::Continue(())
    }
}

impl Found {
    fn lock(&mut self, query: &Query, lock: &LockClause) -> Result<(), SqlError> {
        let word = match lock.lock_type {
            LockType::Update => "FOR UPDATE",
            LockType::Share => "FOR SHARE",
        };
        let select = match query.body.as_ref() {
            SetExpr::Select(select) => select,
            SetExpr::Query(inner) => return self.lock(inner, lock),
            SetExpr::Values(_) => return Err(refused(format!("{word} cannot be applied to VALUES"))),
            _ => return Err(refused(format!("{word} is not allowed with UNION/INTERSECT/EXCEPT"))),
        };
        check(select, word)?;
        let of = lock.of.as_ref().map(name_parts).transpose()?;
        let before = self.tables.len();
        let mut named = false;
        for item in &select.from {
            named |= self.lock_item(item, of.as_deref(), lock, word)?;
        }
        if let Some(of) = of
            && !named
        {
            self.tables.truncate(before);
            let message = format!("relation \"{}\" in {word} clause not found in FROM clause", of.join("."));
            return Err(SqlError::new(SqlState::UndefinedTable, message));
        }
        Ok(())
    }

    /// Whether one of the relations is the one that OF names.
    fn lock_item(&mut self, item: &TableWithJoins, of: Option<&[String]>, lock: &LockClause, word: &'static str) -> Result<bool, SqlError> {
        let mut named = false;
        for factor in std::iter::once(&item.relation).chain(item.joins.iter().map(|join| &join.relation)) {
            named |= match factor {
                TableFactor::Table { name, alias, args: None, .. } => {
                    let own = alias
                        .as_ref()
                        .map_or_else(|| name.0.last().and_then(|part| part.as_ident()).map(fold), |alias| Some(fold(&alias.name)));
                    let wanted = is_wanted(own, of);
                    if wanted {
                        self.tables.push((name.clone(), word));
                    }
                    wanted
                }
                TableFactor::Derived { subquery, alias, .. } => {
                    let wanted = is_wanted(alias.as_ref().map(|alias: &TableAlias| fold(&alias.name)), of);
                    if wanted {
                        // The rows of a subquery are locked where it reads them.
                        self.lock(subquery, &LockClause { of: None, ..lock.clone() })?;
                    }
                    wanted
                }
                TableFactor::NestedJoin { table_with_joins, .. } => self.lock_item(table_with_joins, of, lock, word)?,
                _ => false,
            };
        }
        Ok(named)
    }
}

fn is_wanted(own: Option<String>, of: Option<&[String]>) -> bool {
    match of {
        None => true,
        Some([of]) => own.as_ref() == Some(of),
        Some(_) => false,
    }
}

fn check(select: &Select, word: &str) -> Result<(), SqlError> {
    let with = |what: &str| Err(refused(format!("{word} is not allowed with {what}")));
    if matches!(select.distinct, Some(Distinct::Distinct | Distinct::On(_))) {
        return with("DISTINCT clause");
    }
    if !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty()) {
        return with("GROUP BY clause");
    }
    if select.having.is_some() {
        return with("HAVING clause");
    }
    for item in &select.projection {
        let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { continue };
        match calls(expr) {
            Some(Call::Window) => return with("window functions"),
            Some(Call::Aggregate) => return with("aggregate functions"),
            None => {}
        }
    }
    Ok(())
}

/// Outside its subqueries.
pub(super) fn has_aggregate(select: &Select) -> bool {
    let items = select.projection.iter().filter_map(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    });
    items.chain(&select.having).any(|expr| matches!(calls(expr), Some(Call::Aggregate)))
}

enum Call {
    Window,
    Aggregate,
}

/// What kind of call an expression makes outside its subqueries.
fn calls(expr: &Expr) -> Option<Call> {
    struct Calls(usize);
    impl Visitor for Calls {
        type Break = Call;
        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<Call> {
            self.0 += 1;
            ControlFlow::Continue(())
        }
        fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Call> {
            self.0 -= 1;
            ControlFlow::Continue(())
        }
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Call> {
            let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
            if self.0 > 0 {
                return ControlFlow::Continue(());
            }
            if function.over.is_some() {
                return ControlFlow::Break(Call::Window);
            }
            let name = function.name.0.last().and_then(|part| part.as_ident()).map(fold).unwrap_or_default();
            if AGGREGATES.contains(&name.as_str()) { ControlFlow::Break(Call::Aggregate) } else { ControlFlow::Continue(()) }
        }
    }
    match expr.visit(&mut Calls(0)) {
        ControlFlow::Break(call) => Some(call),
        ControlFlow::Continue(()) => None,
    }
}

fn refused(message: String) -> SqlError {
    SqlError::new(SqlState::FeatureNotSupported, message)
}
