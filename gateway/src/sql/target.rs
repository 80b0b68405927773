//! The table that a statement changes, and the privileges on it that the statement takes: what a condition, an assignment or RETURNING
//! reads of it wants SELECT (`requiredPerms` and `selectedCols` in PostgreSQL's parse analysis).

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize::{Access, ColumnsChanged};
use lakegate_catalog::model::{Relation, RelationName};
use lakegate_engine_api::merge_marks;
use sqlparser::ast::{
    self, ConflictTarget, Delete, Expr, Insert, Merge, MergeAction, ObjectName, ObjectNamePart, OnConflictAction, OnInsert, SelectItem,
    SelectItemQualifiedWildcardKind, Statement, TableFactor, Update, UpdateTableFromKind, Visit, Visitor,
};

use super::bind::NameScope;
use super::grammar::{fold, is_do_nothing, name_parts};
use super::with_changes::changes;
use crate::sqlstate::{SqlError, SqlState};

/// The names of the tables that a change, which is one of [`changes`], changes.
///
/// # Errors
/// 0A000.
fn target_names(change: &Statement) -> Result<Vec<Vec<String>>, SqlError> {
    let name = match change {
        Statement::Insert(insert) => match &insert.table {
            ast::TableObject::TableName(name) => name,
            _ => return Err(SqlError::unsupported("INSERT INTO what is no table")),
        },
        Statement::Update(update) => table_name(&update.table.relation)?,
        Statement::Delete(delete) => table_name(deleted_from(delete)?)?,
        Statement::Merge(merge) => table_name(&merge.table)?,
        Statement::Truncate(truncate) => return truncate.table_names.iter().map(|table| name_parts(&table.name)).collect(),
        _ => return Ok(Vec::new()),
    };
    Ok(vec![name_parts(name)?])
}

/// A table that a statement changes.
#[derive(Debug, Clone)]
pub struct ChangedBy {
    pub name: RelationName,
    pub access: Access,
    pub columns: ColumnsChanged,
    /// How often it is named as the target.
    pub mentions: usize,
}

/// The tables that a statement changes, each once, in the order of its changes.
///
/// # Errors
/// 42P01; 0A000.
pub fn targets(statement: &Statement, scope: &NameScope, snapshot: &Snapshot) -> Result<Vec<ChangedBy>, SqlError> {
    if let Statement::Explain { statement, .. } = statement
        && !matches!(statement.as_ref(), Statement::Query(query) if changes(&Statement::Query(query.clone())).is_empty())
    {
        return Err(SqlError::unsupported("EXPLAIN of what is no query"));
    }
    let mut found: Vec<ChangedBy> = Vec::new();
    for change in changes(statement) {
        for parts in target_names(change)? {
            let name = scope.resolve(snapshot, &parts)?;
            let relation = snapshot.relation_by_name(&name).map(|relation| &**relation);
            let (access, columns) = access(change, &Names { relation, scope, snapshot })?;
            match found.iter_mut().find(|known| known.name == name) {
                Some(known) => {
                    known.columns = together(known, access, columns);
                    known.access = known.access.and(access);
                    known.mentions += 1;
                }
                None => found.push(ChangedBy { name, access, columns, mentions: 1 }),
            }
        }
    }
    Ok(found)
}

/// What two changes of one table name of it.
fn together(known: &ChangedBy, access: Access, columns: ColumnsChanged) -> ColumnsChanged {
    let both = |one: (bool, &Option<BTreeSet<String>>), other: (bool, Option<BTreeSet<String>>)| match (one, other) {
        ((true, Some(one)), (true, Some(other))) => Some(one.union(&other).cloned().collect()),
        ((true, one), (false, _)) => one.clone(),
        ((false, _), (_, other)) => other,
        _ => None,
    };
    let was = (&known.access, &known.columns);
    ColumnsChanged {
        read: both((was.0.select, &was.1.read), (access.select, columns.read)),
        inserted: both((was.0.insert, &was.1.inserted), (access.insert, columns.inserted)),
        updated: both((was.0.update, &was.1.updated), (access.update, columns.updated)),
    }
}

/// The changed table, and what other names in the statement mean.
struct Names<'a> {
    relation: Option<&'a Relation>,
    scope: &'a NameScope,
    snapshot: &'a Snapshot,
}

impl Names<'_> {
    fn has(&self, column: &str) -> bool {
        self.relation.is_some_and(|relation| relation.column(column).is_some())
    }

    /// Whether a relation of a subquery has a column; `None` where that is not known here.
    fn of_other(&self, name: &ObjectName, column: &str) -> Option<bool> {
        let name = self.scope.resolve(self.snapshot, &name_parts(name).ok()?).ok()?;
        Some(self.snapshot.relation_by_name(&name)?.column(column).is_some())
    }
}

/// What it does to the table. Names in subqueries count as the table's where they could be.
///
/// # Errors
/// 0A000.
fn access(statement: &Statement, names: &Names<'_>) -> Result<(Access, ColumnsChanged), SqlError> {
    Ok(match statement {
        Statement::Insert(insert) => of_insert(insert, names),
        Statement::Update(update) => of_update(update, names),
        Statement::Delete(delete) => of_delete(delete, names)?,
        Statement::Merge(merge) => of_merge(merge, names),
        Statement::Truncate(_) => (Access { truncate: true, ..Access::default() }, ColumnsChanged::default()),
        _ => (Access::default(), ColumnsChanged::default()),
    })
}

fn of_insert(insert: &Insert, names: &Names<'_>) -> (Access, ColumnsChanged) {
    let own = match &insert.table {
        ast::TableObject::TableName(name) => last(name),
        _ => None,
    };
    let alias = insert.table_alias.as_ref().map(|alias| fold(&alias.alias));
    let mut reads = Reads::new(alias.or(own), names);
    reads.items(insert.returning.as_deref());
    let mut access = Access::INSERT;
    let mut updated = BTreeSet::new();
    if let Some(OnInsert::OnConflict(clause)) = &insert.on {
        reads.proposes = true;
        match &clause.conflict_target {
            Some(ConflictTarget::Columns(columns)) => reads.found.extend(columns.iter().map(fold)),
            Some(ConflictTarget::OnConstraint(constraint)) => {
                let constraint = last(constraint);
                let all = names.relation.iter().flat_map(|relation| &relation.constraints);
                let named = all.filter(|known| Some(&known.name) == constraint.as_ref());
                reads.found.extend(named.flat_map(|constraint| constraint.kind.columns()).cloned());
            }
            None => {}
        }
        if let OnConflictAction::DoUpdate(update) = &clause.action {
            access.update = true;
            updated = assigned(&update.assignments);
            reads.values(&update.assignments);
            reads.visit(&update.selection);
        }
    }
    let inserted = inserted(insert, names);
    reads.finish(access, ColumnsChanged { inserted, updated: Some(updated), ..ColumnsChanged::default() })
}

/// The columns that get values: those named, or as many as there are values. `None`: all, where their number is not known yet.
fn inserted(insert: &Insert, names: &Names<'_>) -> Option<BTreeSet<String>> {
    if !insert.columns.is_empty() {
        return Some(insert.columns.iter().filter_map(last).collect());
    }
    let Some(source) = &insert.source else { return Some(BTreeSet::new()) };
    let width = match source.body.as_ref() {
        ast::SetExpr::Values(values) => values.rows.iter().map(|row| row.content.len()).max()?,
        ast::SetExpr::Select(select) => {
            let plain = |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
            if !select.projection.iter().all(plain) {
                return None;
            }
            select.projection.len()
        }
        _ => return None,
    };
    names.relation.map(|relation| relation.columns.iter().take(width).map(|column| column.name.clone()).collect())
}

fn assigned(assignments: &[ast::Assignment]) -> BTreeSet<String> {
    let names = assignments.iter().flat_map(|assignment| match &assignment.target {
        ast::AssignmentTarget::ColumnName(name) => std::slice::from_ref(name),
        ast::AssignmentTarget::Tuple(names) => names.as_slice(),
    });
    // `a.b` is a field of column a.
    names.filter_map(|name| name_parts(name).ok()?.into_iter().next()).collect()
}

fn of_update(update: &Update, names: &Names<'_>) -> (Access, ColumnsChanged) {
    let mut reads = Reads::of(&update.table.relation, names);
    reads.values(&update.assignments);
    reads.visit(&update.selection);
    reads.items(update.returning.as_deref());
    if let Some(UpdateTableFromKind::AfterSet(from) | UpdateTableFromKind::BeforeSet(from)) = &update.from {
        reads.visit(from);
    }
    let updated = Some(assigned(&update.assignments));
    reads.finish(Access { update: true, ..Access::default() }, ColumnsChanged { updated, ..ColumnsChanged::default() })
}

fn of_delete(delete: &Delete, names: &Names<'_>) -> Result<(Access, ColumnsChanged), SqlError> {
    let mut reads = Reads::of(deleted_from(delete)?, names);
    reads.visit(&delete.selection);
    reads.visit(&delete.using);
    reads.items(delete.returning.as_deref());
    Ok(reads.finish(Access { delete: true, ..Access::default() }, ColumnsChanged::default()))
}

fn of_merge(merge: &Merge, names: &Names<'_>) -> (Access, ColumnsChanged) {
    let mut reads = Reads::of(&merge.table, names);
    let mut access = Access::default();
    let (mut inserted, mut updated) = (Some(BTreeSet::new()), Some(BTreeSet::new()));
    reads.visit(&merge.on);
    for clause in &merge.clauses {
        reads.visit(&clause.predicate);
        match &clause.action {
            action if is_do_nothing(action) => {}
            MergeAction::Delete { .. } => access.delete = true,
            MergeAction::Insert(insert) => {
                access.insert = true;
                let named: BTreeSet<String> = insert.columns.iter().filter_map(last).collect();
                match &mut inserted {
                    Some(known) if !named.is_empty() && !named.contains(merge_marks::ALL) => known.extend(named),
                    _ => inserted = None,
                }
            }
            MergeAction::Update(update) => {
                access.update = true;
                reads.values(&update.assignments);
                let named = assigned(&update.assignments);
                match &mut updated {
                    Some(known) if !named.contains(merge_marks::ALL) => known.extend(named),
                    _ => updated = None,
                }
            }
        }
    }
    reads.finish(access, ColumnsChanged { inserted, updated, ..ColumnsChanged::default() })
}

fn deleted_from(delete: &Delete) -> Result<&TableFactor, SqlError> {
    let (ast::FromTable::WithFromKeyword(tables) | ast::FromTable::WithoutKeyword(tables)) = &delete.from;
    match tables.as_slice() {
        [table] => Ok(&table.relation),
        _ => Err(SqlError::unsupported("DELETE from more than one table")),
    }
}

fn table_name(factor: &TableFactor) -> Result<&ObjectName, SqlError> {
    match factor {
        TableFactor::Table { version: Some(_), .. } => {
            Err(SqlError::new(SqlState::SyntaxError, "VERSION AS OF and TIMESTAMP AS OF stand behind a table that is read"))
        }
        TableFactor::Table { name, args: None, .. } => Ok(name),
        _ => Err(SqlError::unsupported("changing what is no table")),
    }
}

fn last(name: &ObjectName) -> Option<String> {
    match name.0.last() {
        Some(ObjectNamePart::Identifier(ident)) => Some(fold(ident)),
        _ => None,
    }
}

/// Looks for names of the table's columns.
struct Reads<'a> {
    /// Under which the statement knows the table.
    table: Option<String>,
    names: &'a Names<'a>,
    found: BTreeSet<String>,
    /// RETURNING * and whole rows.
    all: bool,
    /// It is an INSERT … ON CONFLICT.
    proposes: bool,
    /// FROM of the subqueries around, the innermost last.
    inner: Vec<Vec<Inner>>,
}

/// A relation in a subquery's FROM.
struct Inner {
    alias: Option<String>,
    /// `None`: not a table by name.
    name: Option<ObjectName>,
}

impl<'a> Reads<'a> {
    fn new(table: Option<String>, names: &'a Names<'a>) -> Self {
        Reads { table, names, found: BTreeSet::new(), all: false, proposes: false, inner: Vec::new() }
    }

    fn of(factor: &TableFactor, names: &'a Names<'a>) -> Self {
        let table = match factor {
            TableFactor::Table { alias: Some(alias), .. } => Some(fold(&alias.name)),
            TableFactor::Table { name, .. } => last(name),
            _ => None,
        };
        Reads::new(table, names)
    }

    /// With what was found to be read.
    fn finish(self, access: Access, columns: ColumnsChanged) -> (Access, ColumnsChanged) {
        let select = self.all || !self.found.is_empty();
        let read = if self.all { None } else { Some(self.found) };
        (Access { select, ..access }, ColumnsChanged { read, ..columns })
    }

    fn visit(&mut self, node: &impl Visit) {
        let _: ControlFlow<()> = Visit::visit(node, self);
    }

    fn values(&mut self, assignments: &[ast::Assignment]) {
        for assignment in assignments {
            self.visit(&assignment.value);
        }
    }

    fn items(&mut self, items: Option<&[SelectItem]>) {
        for item in items.unwrap_or_default() {
            match item {
                SelectItem::Wildcard(_) => self.all = true,
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    self.all |= last(name) == self.table;
                }
                other => self.visit(other),
            }
        }
    }

    /// A name without a table: the innermost relation that has such a column has it.
    fn unqualified(&mut self, name: String) {
        if self.names.has(&name) {
            let mut others = self.inner.iter().flatten().filter_map(|inner| inner.name.as_ref());
            if !others.any(|other| self.names.of_other(other, &name) == Some(true)) {
                self.found.insert(name);
            }
        } else if Some(&name) == self.table.as_ref() {
            self.all = true;
        }
    }

    fn qualified(&mut self, table: &str, column: String) {
        let shadowed = self.inner.iter().flatten().any(|inner| inner.alias.as_deref() == Some(table));
        // PostgreSQL asks for SELECT on what is read of `excluded`, too.
        let is_own = Some(table) == self.table.as_deref() || self.proposes && table == "excluded";
        if is_own && !shadowed && self.names.has(&column) {
            self.found.insert(column);
        }
    }
}

fn inner_relations(body: &ast::SetExpr, found: &mut Vec<Inner>) {
    match body {
        ast::SetExpr::Select(select) => {
            for table in &select.from {
                for factor in std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation)) {
                    let (alias, name) = match factor {
                        TableFactor::Table { name, alias, args: None, .. } => {
                            (alias.as_ref().map(|alias| fold(&alias.name)).or_else(|| last(name)), Some(name.clone()))
                        }
                        TableFactor::Derived { alias, .. } => (alias.as_ref().map(|alias| fold(&alias.name)), None),
                        _ => (None, None),
                    };
                    found.push(Inner { alias, name });
                }
            }
        }
        ast::SetExpr::SetOperation { left, right, .. } => {
            inner_relations(left, found);
            inner_relations(right, found);
        }
        _ => {}
    }
}

impl Visitor for Reads<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        let mut relations = Vec::new();
        inner_relations(&query.body, &mut relations);
        self.inner.push(relations);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &ast::Query) -> ControlFlow<()> {
        self.inner.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(name) => self.unqualified(fold(name)),
            Expr::CompoundIdentifier(names) => {
                if let [.., table, column] = names.as_slice() {
                    self.qualified(&fold(table), fold(column));
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
