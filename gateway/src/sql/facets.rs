//! What a statement touches, in clear and without a literal: relations, columns, tags and functions, for the log and those who watch it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use lakegate_catalog::Snapshot;
use lakegate_catalog::model::RelationName;
use lakegate_engine_api::Prepared;
use sqlparser::ast::{Expr, Join, JoinConstraint, JoinOperator, ObjectName, SelectItem, Statement, TableFactor, Visit, Visitor};

use super::bind::Bound;
use super::grammar::{fold, name_parts};
use super::target::ChangedBy;

/// Names of three parts (relations) and four (columns), sorted.
#[derive(Debug, Clone, Default)]
pub struct Facets {
    /// Views and system relations among them.
    pub relations_read: BTreeSet<RelationName>,
    pub tables_written: BTreeSet<RelationName>,
    pub columns_read: BTreeSet<(RelationName, String)>,
    pub columns_written: BTreeSet<(RelationName, String)>,
    /// `name=value`, or the name alone where the value is empty.
    pub tags_read: BTreeSet<String>,
    pub functions: BTreeSet<String>,
}

/// What the text itself names.
#[derive(Debug, Default)]
pub struct Mentioned {
    functions: BTreeSet<String>,
    columns: BTreeSet<String>,
    all_columns: bool,
    /// Names alone, of which one may mean a whole row, and what relations are called.
    bare: BTreeSet<String>,
    relations: BTreeSet<String>,
    /// By columns of the same name, or under other names than their own.
    joins_by_name: bool,
}

impl Mentioned {
    /// Of a statement as it was written.
    #[must_use]
    pub fn by(node: &impl Visit) -> Mentioned {
        let mut mentioned = Mentioned::default();
        let _: ControlFlow<()> = node.visit(&mut mentioned);
        mentioned
    }

    /// Whether one of the columns is named, or all of something's are meant.
    #[must_use]
    pub fn names_any(&self, columns: &[&str]) -> bool {
        self.all_columns || columns.iter().any(|column| self.columns.contains(*column))
    }

    /// The columns that may be meant, of whatever relation; `None`: it cannot be told.
    #[must_use]
    pub fn columns(&self) -> Option<&BTreeSet<String>> {
        let is_told = !self.all_columns && !self.joins_by_name && self.bare.is_disjoint(&self.relations);
        is_told.then_some(&self.columns)
    }

    fn function(&mut self, name: &ObjectName) {
        self.functions.extend(name_parts(name).ok().map(|parts| parts.join(".")));
    }
}

impl Visitor for Mentioned {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(name) => {
                self.columns.insert(fold(name));
                self.bare.insert(fold(name));
            }
            Expr::CompoundIdentifier(parts) => self.columns.extend(parts.iter().map(fold)),
            Expr::Function(function) => self.function(&function.name),
            Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => {}
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => self.function(name),
            _ => {}
        }
        if let TableFactor::Table { name, alias, .. } = factor {
            self.relations.extend(name_parts(name).ok().and_then(|mut parts| parts.pop()));
            self.relations.extend(alias.as_ref().map(|alias| fold(&alias.name)));
            self.joins_by_name |= alias.as_ref().is_some_and(|alias| !alias.columns.is_empty());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &sqlparser::ast::Select) -> ControlFlow<()> {
        let by_name = |join: &Join| match &join.join_operator {
            JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::Left(constraint)
            | JoinOperator::LeftOuter(constraint)
            | JoinOperator::Right(constraint)
            | JoinOperator::RightOuter(constraint)
            | JoinOperator::FullOuter(constraint) => !matches!(constraint, JoinConstraint::On(_) | JoinConstraint::None),
            JoinOperator::CrossJoin(_) => false,
            _ => true,
        };
        self.joins_by_name |= select.from.iter().any(|table| table.joins.iter().any(by_name));
        self.all_columns |=
            select.projection.iter().any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
        ControlFlow::Continue(())
    }

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        // `UPDATE t SET a = …` and the like name columns that are written, not read: the targets tell of those.
        self.all_columns |= matches!(statement, Statement::Merge(_));
        ControlFlow::Continue(())
    }
}

impl Facets {
    /// `prepared`: the engine's own knowledge, where it planned the statement.
    #[must_use]
    pub fn of(snapshot: &Snapshot, mentioned: Mentioned, bound: &Bound, targets: &[ChangedBy], prepared: Option<&dyn Prepared>) -> Facets {
        let is_read = |name: &RelationName| bound.tables_read.contains(name) || !bound.tables_written.contains(name);
        let named = bound.relations.iter().map(|relation| plain(&relation.name)).filter(is_read);
        let mut facets = Facets {
            relations_read: named.chain(bound.tables_read.iter().cloned()).collect(),
            tables_written: bound.tables_written.clone(),
            ..Facets::default()
        };
        let known = prepared.filter(|_| bound.touches_tables()).map(Prepared::columns_read).unwrap_or_default();
        for (name, columns) in &known {
            facets.columns_read.extend(columns.iter().map(|column| (plain(name), column.clone())));
        }
        for target in targets {
            facets.target(snapshot, target, &mentioned);
        }
        let is_target = |name: &RelationName| targets.iter().any(|target| target.name == *name);
        for name in bound.tables_read.iter().filter(|name| !is_target(name) && !known.iter().any(|(known, _)| known == *name)) {
            facets.by_mention(snapshot, name, &mentioned);
        }
        facets.functions = mentioned.functions;
        facets.tag(snapshot);
        facets
    }

    /// Those of a table that is read as a whole, or changed outside of a plan.
    #[must_use]
    pub fn of_bound(snapshot: &Snapshot, bound: &Bound) -> Facets {
        let mentioned = Mentioned { all_columns: true, ..Mentioned::default() };
        let mut facets = Facets::of(snapshot, mentioned, bound, &[], None);
        for name in &bound.tables_written {
            let columns = snapshot.relation_by_name(name).into_iter().flat_map(|relation| relation.columns.iter());
            facets.columns_written.extend(columns.map(|column| (name.clone(), column.name.clone())));
        }
        facets
    }

    fn target(&mut self, snapshot: &Snapshot, target: &ChangedBy, mentioned: &Mentioned) {
        let Some(relation) = snapshot.relation_by_name(&target.name) else { return };
        let (access, columns) = (target.access, &target.columns);
        let all = || relation.columns.iter().map(|column| column.name.clone()).collect::<BTreeSet<String>>();
        let mut written = BTreeSet::new();
        if access.insert {
            written.extend(columns.inserted.clone().unwrap_or_else(all));
        }
        if access.update {
            written.extend(columns.updated.clone().unwrap_or_else(all));
        }
        self.columns_written.extend(written.into_iter().map(|column| (target.name.clone(), column)));
        if access.select {
            match &columns.read {
                Some(read) => self.columns_read.extend(read.iter().map(|column| (target.name.clone(), column.clone()))),
                None => self.by_mention(snapshot, &target.name, mentioned),
            }
        }
    }

    /// Columns of the table that have a name which stands somewhere in the statement; all of them where it says `*`.
    fn by_mention(&mut self, snapshot: &Snapshot, name: &RelationName, mentioned: &Mentioned) {
        let columns = snapshot.relation_by_name(name).into_iter().flat_map(|relation| relation.columns.iter());
        let read = columns.filter(|column| mentioned.all_columns || mentioned.columns.contains(&column.name));
        self.columns_read.extend(read.map(|column| (name.clone(), column.name.clone())));
    }

    fn tag(&mut self, snapshot: &Snapshot) {
        let shown = |(name, value): (&String, &String)| if value.is_empty() { name.clone() } else { format!("{name}={value}") };
        for name in &self.relations_read {
            let Some(relation) = snapshot.relation_by_name(name) else { continue };
            self.tags_read.extend(relation.tags.iter().map(shown));
            let read = relation.columns.iter().filter(|column| self.columns_read.contains(&(name.clone(), column.name.clone())));
            self.tags_read.extend(read.flat_map(|column| column.tags.iter().map(shown)));
        }
    }
}

/// Without what stands behind it for the program alone: which of a table's versions is meant, or whose data is looked for.
fn plain(name: &RelationName) -> RelationName {
    RelationName { name: name.name.split(char::is_control).next().unwrap_or_default().to_owned(), ..name.clone() }
}

/// Three-part names.
pub fn tables(names: &BTreeSet<RelationName>) -> Vec<String> {
    super::prepare::names(names)
}

/// Four-part names.
pub fn columns(names: &BTreeSet<(RelationName, String)>) -> Vec<String> {
    names.iter().map(|(table, column)| format!("{table}.{column}")).collect()
}
