//! Gives every relation name of a statement its three parts, CTE names excepted, and tells which relations it names.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use lakegate_catalog::Snapshot;
use lakegate_catalog::model::{Relation, RelationName, ViewRead};
use sqlparser::ast::{
    Expr, Ident, ObjectName, Query, SelectItem, SetExpr, TableAlias, TableFactor, TableFunctionArgs, TableVersion, TableWithJoins,
    VisitMut, VisitorMut,
};

use super::names::NameScope;
use crate::privacy::{SubjectFunction, is_subject_function, name_of_function};
use crate::sql::grammar::{fold, name_parts};
use crate::sql::time_travel::{Past, is_table_changes, moment, name_of_past, table_changes};
use crate::sqlstate::{SqlError, SqlState};

/// How often each relation is named.
pub type Mentions = BTreeMap<RelationName, usize>;

/// Rewrites the names in place.
///
/// # Errors
/// 42P01 for a name that is no relation.
pub fn qualify(node: &mut impl VisitMut, scope: &NameScope, snapshot: &Snapshot) -> Result<Mentions, SqlError> {
    qualify_recording(node, scope, snapshot).map(|(mentions, _)| mentions)
}

/// As [`qualify`]; also gives what each name that was written means.
///
/// # Errors
/// As [`qualify`].
pub fn qualify_recording(node: &mut impl VisitMut, scope: &NameScope, snapshot: &Snapshot) -> Result<(Mentions, Vec<Written>), SqlError> {
    let mut visitor = Qualifier::new(scope, snapshot, &[]);
    match node.visit(&mut visitor) {
        ControlFlow::Continue(()) => Ok((visitor.mentions, visitor.written)),
        ControlFlow::Break(error) => Err(*error),
    }
}

/// As [`qualify`] for the text of a view: its names mean what they meant when it was made, under whatever names relations and columns
/// go now.
///
/// # Errors
/// As [`qualify`].
pub fn qualify_view(node: &mut impl VisitMut, scope: &NameScope, snapshot: &Snapshot, reads: &[ViewRead]) -> Result<Mentions, SqlError> {
    let mut visitor = Qualifier::new(scope, snapshot, reads);
    match node.visit(&mut visitor) {
        ControlFlow::Continue(()) => Ok(visitor.mentions),
        ControlFlow::Break(error) => Err(*error),
    }
}

/// A name's parts as they were written, folded, and the relation.
pub type Written = (Vec<String>, RelationName);

/// The three-part name as an AST name; every part quoted, so that nothing folds it again.
#[must_use]
pub fn object_name(name: &RelationName) -> ObjectName {
    [&name.database, &name.schema, &name.name].map(|part| Ident::with_quote('"', part)).to_vec().into()
}

struct Qualifier<'a> {
    scope: &'a NameScope,
    snapshot: &'a Snapshot,
    mentions: Mentions,
    frames: Vec<CteFrame>,
    depth: usize,
    /// The next name is a table function's.
    skip_next: bool,
    written: Vec<Written>,
    reads: &'a [ViewRead],
    /// The next name stands in what was put in the place of a relation that has changed.
    as_is: Option<RelationName>,
}

impl<'a> Qualifier<'a> {
    fn new(scope: &'a NameScope, snapshot: &'a Snapshot, reads: &'a [ViewRead]) -> Self {
        Qualifier {
            scope,
            snapshot,
            mentions: Mentions::new(),
            frames: Vec::new(),
            depth: 0,
            skip_next: false,
            written: Vec::new(),
            reads,
            as_is: None,
        }
    }

    fn is_cte(&self, parts: &[String]) -> bool {
        matches!(parts, [name] if self.frames.iter().any(|frame| frame.visible.contains(name)))
    }

    /// A table as it was goes by a name of its own, and shows as the table.
    fn travel(
        &mut self,
        name: &mut ObjectName,
        alias: &mut Option<TableAlias>,
        version: &mut Option<TableVersion>,
    ) -> Result<(), SqlError> {
        let Some(version) = version.take() else { return Ok(()) };
        let parts = name_parts(name)?;
        if self.is_cte(&parts) {
            let text = format!("\"{}\" is a query of WITH: it has no versions", parts.join("."));
            return Err(SqlError::new(SqlState::WrongObjectType, text));
        }
        let shown = parts.last().cloned().unwrap_or_default();
        self.put_past(parts, &Past::At(moment(&version)?), &shown, name, alias)
    }

    /// `table_changes('t', …)` is a table's past, too.
    fn changes(
        &mut self,
        name: &mut ObjectName,
        alias: &mut Option<TableAlias>,
        args: &mut Option<TableFunctionArgs>,
    ) -> Result<(), SqlError> {
        let Some(args) = args.take() else { return Ok(()) };
        let (parts, past) = table_changes(&args)?;
        self.put_past(parts, &past, "table_changes", name, alias)
    }

    /// `lakegate.locate_subject(…)` and its kin are relations of database `system`.
    fn subjects(
        &mut self,
        name: &mut ObjectName,
        alias: &mut Option<TableAlias>,
        args: &mut Option<TableFunctionArgs>,
    ) -> Result<(), SqlError> {
        let Some(args) = args.take() else { return Ok(()) };
        let function = SubjectFunction::of_call(name, &args)?;
        let relation = name_of_function(&function);
        *name = object_name(&relation);
        if alias.is_none() {
            *alias = Some(TableAlias { explicit: true, name: Ident::with_quote('"', function.name()), columns: Vec::new(), at: None });
        }
        self.as_is = Some(relation);
        Ok(())
    }

    fn put_past(
        &mut self,
        parts: Vec<String>,
        past: &Past,
        shown: &str,
        name: &mut ObjectName,
        alias: &mut Option<TableAlias>,
    ) -> Result<(), SqlError> {
        let known = self.read(&parts).and_then(|(_, relation)| self.snapshot.name_of(relation));
        let table = known.map_or_else(|| self.scope.resolve(self.snapshot, &parts), Ok)?;
        let then = name_of_past(&table, past);
        *name = object_name(&then);
        if alias.is_none() {
            *alias = Some(TableAlias { explicit: true, name: Ident::with_quote('"', shown), columns: Vec::new(), at: None });
        }
        self.written.push((parts, table));
        self.as_is = Some(then);
        Ok(())
    }

    fn read(&self, parts: &[String]) -> Option<(&'a ViewRead, &'a Relation)> {
        let read = self.reads.iter().find(|read| read.name == parts)?;
        Some((read, &**self.snapshot.relation_by_oid(read.oid)?))
    }
}

/// The CTEs of one WITH. The visitor walks them in order before the body, so those still to come are known by counting.
struct CteFrame {
    depth: usize,
    visible: Vec<String>,
    to_come: std::collections::VecDeque<String>,
}

impl VisitorMut for Qualifier<'_> {
    type Break = Box<SqlError>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        self.depth += 1;
        let mut frame = CteFrame { depth: self.depth, visible: Vec::new(), to_come: [].into() };
        if let Some(with) = &query.with {
            let names = with.cte_tables.iter().map(|cte| fold(&cte.alias.name));
            if with.recursive {
                frame.visible = names.clone().collect();
            }
            frame.to_come = names.collect();
        }
        self.frames.push(frame);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<Self::Break> {
        self.frames.pop();
        self.depth -= 1;
        // The query just left is a CTE of the frame above while that frame still waits for some.
        if let Some(above) = self.frames.last_mut()
            && above.depth == self.depth
            && let Some(name) = above.to_come.pop_front()
        {
            above.visible.push(name);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Self::Break> {
        match factor {
            TableFactor::Table { name, alias, args: args @ Some(_), .. } if is_table_changes(name) => {
                if let Err(error) = self.changes(name, alias, args) {
                    return ControlFlow::Break(Box::new(error));
                }
            }
            TableFactor::Table { name, alias, args: args @ Some(_), .. } if is_subject_function(name) => {
                if let Err(error) = self.subjects(name, alias, args) {
                    return ControlFlow::Break(Box::new(error));
                }
            }
            TableFactor::Table { args: Some(_), .. } => self.skip_next = true,
            TableFactor::Table { name, alias, version: version @ Some(_), .. } => {
                if let Err(error) = self.travel(name, alias, version) {
                    return ControlFlow::Break(Box::new(error));
                }
            }
            TableFactor::Table { name, alias, args: None, .. } if !self.reads.is_empty() => {
                let Ok(parts) = name_parts(name) else { return ControlFlow::Continue(()) };
                let changed = (!self.is_cte(&parts)).then(|| self.read(&parts)).flatten();
                if let Some((read, relation)) = changed.filter(|(read, relation)| !is_as_written(read, relation, self.snapshot)) {
                    let alias = alias.take();
                    match self.snapshot.name_of(relation).and_then(|name| Some((in_old_names(read, &name, alias)?, name))) {
                        Some((replaced, name)) => {
                            *factor = replaced;
                            self.as_is = Some(name);
                        }
                        None => return ControlFlow::Break(Box::new(super::undefined(&parts))),
                    }
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<Self::Break> {
        if std::mem::take(&mut self.skip_next) {
            return ControlFlow::Continue(());
        }
        let parts = match name_parts(relation) {
            Ok(parts) => parts,
            Err(error) => return ControlFlow::Break(Box::new(error)),
        };
        if let Some(name) = self.as_is.take() {
            *self.mentions.entry(name).or_default() += 1;
            return ControlFlow::Continue(());
        }
        if self.is_cte(&parts) {
            return ControlFlow::Continue(());
        }
        let known = self.read(&parts).and_then(|(_, relation)| self.snapshot.name_of(relation));
        match known.map_or_else(|| self.scope.resolve(self.snapshot, &parts), Ok) {
            Ok(name) => {
                *relation = object_name(&name);
                self.written.push((parts, name.clone()));
                *self.mentions.entry(name).or_default() += 1;
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }

    /// `schema.t.c` where `t` stands for a relation that has changed is `t.c`.
    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        if let Expr::CompoundIdentifier(parts) = expr
            && parts.len() >= 3
            && !self.reads.is_empty()
        {
            let prefix: Vec<String> = parts[..parts.len() - 1].iter().map(fold).collect();
            if self.read(&prefix).is_some_and(|(read, relation)| !is_as_written(read, relation, self.snapshot)) {
                parts.drain(..parts.len() - 2);
            }
        }
        ControlFlow::Continue(())
    }
}

/// The relation and its columns go by the names, and in the number, that the text knows.
fn is_as_written(read: &ViewRead, relation: &Relation, snapshot: &Snapshot) -> bool {
    let same_columns = read.columns.len() == relation.columns.len()
        && read.columns.iter().zip(&relation.columns).all(|((text, now), column)| text == now && *now == column.name);
    let mut written = read.name.iter().rev();
    let same_name = written.next() == Some(&relation.name);
    let schema = snapshot.schema_by_oid(relation.schema);
    let same_schema = written.next().is_none_or(|written| schema.is_some_and(|schema| schema.name == *written));
    same_columns && same_name && same_schema
}

/// `(SELECT now AS text, … FROM name) AS alias`.
fn in_old_names(read: &ViewRead, name: &RelationName, alias: Option<TableAlias>) -> Option<TableFactor> {
    let quoted = |text: &str| Ident::with_quote('"', text);
    let statement = crate::sql::parse::parse_query("SELECT 1 FROM (SELECT 1 FROM t) AS a").ok()?;
    let SetExpr::Select(mut outer) = *statement.body else { return None };
    let mut factor = outer.from.pop()?.relation;
    if let TableFactor::Derived { subquery, alias: given, .. } = &mut factor {
        let SetExpr::Select(select) = subquery.body.as_mut() else { return None };
        select.projection = read
            .columns
            .iter()
            .map(|(text, now)| SelectItem::ExprWithAlias { expr: Expr::Identifier(quoted(now)), alias: quoted(text) })
            .collect();
        if let Some(TableWithJoins { relation: TableFactor::Table { name: inner, .. }, .. }) = select.from.first_mut() {
            *inner = object_name(name);
        }
        match (alias, given) {
            (Some(alias), given) => *given = Some(alias),
            (None, Some(given)) => given.name = quoted(read.name.last()?),
            (None, None) => return None,
        }
    }
    Some(factor)
}
