//! The table that a statement changes, and the privileges on it that the statement takes: what a condition, an assignment or RETURNING
//! reads of it wants SELECT (`requiredPerms` and `selectedCols` in PostgreSQL's parse analysis).

use std::ops::ControlFlow;

use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize::Access;
use lakegate_catalog::model::RelationName;
use sqlparser::ast::{
    self, ConflictTarget, Delete, Expr, Ident, Insert, Merge, MergeAction, ObjectName, ObjectNamePart, OnConflictAction, OnInsert,
    SelectItem, SelectItemQualifiedWildcardKind, Statement, TableFactor, Update, UpdateTableFromKind, Visit, Visitor,
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
            let relation = snapshot.relation_by_name(&name);
            let columns: Vec<String> = relation.iter().flat_map(|relation| &relation.columns).map(|column| column.name.clone()).collect();
            let access = access(change, &columns)?;
            match found.iter_mut().find(|known| known.name == name) {
                Some(known) => {
                    known.access = known.access.and(access);
                    known.mentions += 1;
                }
                None => found.push(ChangedBy { name, access, mentions: 1 }),
            }
        }
    }
    Ok(found)
}

/// What it does to the table, whose columns are given. Names in subqueries count as the table's where they could be.
///
/// # Errors
/// 0A000.
fn access(statement: &Statement, columns: &[String]) -> Result<Access, SqlError> {
    Ok(match statement {
        Statement::Insert(insert) => of_insert(insert, columns),
        Statement::Update(update) => of_update(update, columns),
        Statement::Delete(delete) => of_delete(delete, columns)?,
        Statement::Merge(merge) => of_merge(merge, columns),
        Statement::Truncate(_) => Access { truncate: true, ..Access::default() },
        _ => Access::default(),
    })
}

fn of_insert(insert: &Insert, columns: &[String]) -> Access {
    let own = match &insert.table {
        ast::TableObject::TableName(name) => last(name),
        _ => None,
    };
    let alias = insert.table_alias.as_ref().map(|alias| fold(&alias.alias));
    let mut reads = Reads::new(alias.or(own), columns);
    reads.items(insert.returning.as_deref());
    let mut access = Access::INSERT;
    if let Some(OnInsert::OnConflict(clause)) = &insert.on {
        reads.found |= matches!(&clause.conflict_target, Some(ConflictTarget::Columns(_) | ConflictTarget::OnConstraint(_)));
        if let OnConflictAction::DoUpdate(update) = &clause.action {
            access.update = true;
            reads.values(&update.assignments);
            reads.visit(&update.selection);
        }
    }
    Access { select: reads.found, ..access }
}

fn of_update(update: &Update, columns: &[String]) -> Access {
    let mut reads = Reads::of(&update.table.relation, columns);
    reads.values(&update.assignments);
    reads.visit(&update.selection);
    reads.items(update.returning.as_deref());
    if let Some(UpdateTableFromKind::AfterSet(from) | UpdateTableFromKind::BeforeSet(from)) = &update.from {
        reads.visit(from);
    }
    Access { update: true, select: reads.found, ..Access::default() }
}

fn of_delete(delete: &Delete, columns: &[String]) -> Result<Access, SqlError> {
    let mut reads = Reads::of(deleted_from(delete)?, columns);
    reads.visit(&delete.selection);
    reads.visit(&delete.using);
    reads.items(delete.returning.as_deref());
    Ok(Access { delete: true, select: reads.found, ..Access::default() })
}

fn of_merge(merge: &Merge, columns: &[String]) -> Access {
    let mut reads = Reads::of(&merge.table, columns);
    let mut access = Access::default();
    reads.visit(&merge.on);
    for clause in &merge.clauses {
        reads.visit(&clause.predicate);
        match &clause.action {
            action if is_do_nothing(action) => {}
            MergeAction::Delete { .. } => access.delete = true,
            MergeAction::Insert(_) => access.insert = true,
            MergeAction::Update(update) => {
                access.update = true;
                reads.values(&update.assignments);
            }
        }
    }
    Access { select: reads.found, ..access }
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
    columns: &'a [String],
    found: bool,
}

impl<'a> Reads<'a> {
    fn new(table: Option<String>, columns: &'a [String]) -> Self {
        Reads { table, columns, found: false }
    }

    fn of(factor: &TableFactor, columns: &'a [String]) -> Self {
        let table = match factor {
            TableFactor::Table { alias: Some(alias), .. } => Some(fold(&alias.name)),
            TableFactor::Table { name, .. } => last(name),
            _ => None,
        };
        Reads::new(table, columns)
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
                SelectItem::Wildcard(_) => self.found = true,
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    self.found |= last(name) == self.table;
                }
                other => self.visit(other),
            }
        }
    }

    fn has(&self, name: &Ident) -> bool {
        self.columns.contains(&fold(name))
    }
}

impl Visitor for Reads<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(name) => self.found |= self.has(name),
            Expr::CompoundIdentifier(names) => {
                if let [.., table, column] = names.as_slice() {
                    self.found |= Some(fold(table)) == self.table && self.has(column);
                }
            }
            _ => {}
        }
        if self.found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
