//! The rows that a statement looks at: the target, joined with what it names beside it.

use std::ops::ControlFlow;

use datafusion::common::TableReference;
use datafusion::logical_expr::{Expr, LogicalPlan};
use lakegate_engine_api::{EngineError, SqlMistake};
use sqlparser::ast::{
    self, Expr as AstExpr, FromTable, Ident, Merge, ObjectName, ObjectNamePart, Query, Statement, TableAlias, TableFactor, TableObject,
    TableWithJoins, VisitMut, VisitorMut,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::{Context, TARGET};
use crate::delta::{FILE_COLUMN, ROW_COLUMN};
use crate::error;
use crate::plan::planning_error;
use crate::write::target::Target;

/// The target's name in a statement.
#[derive(Debug, Clone)]
pub struct TargetName {
    pub ident: Ident,
    pub reference: TableReference,
}

impl TargetName {
    /// Its alias, or its own name.
    #[must_use]
    pub fn new(alias: Option<&Ident>, target: &Target) -> Self {
        let ident = alias.cloned().unwrap_or_else(|| quoted(&target.name.name));
        let name = if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() };
        Self { reference: TableReference::bare(name), ident }
    }

    /// # Errors
    /// `WrongObjectType` where the statement changes what is no table.
    pub fn of(factor: &TableFactor, target: &Target) -> Result<Self, EngineError> {
        match factor {
            TableFactor::Table { alias: Some(alias), .. } if !alias.columns.is_empty() => {
                Err(error::sql(SqlMistake::Syntax, "the changed table's columns cannot be renamed"))
            }
            TableFactor::Table { alias, .. } => Ok(Self::new(alias.as_ref().map(|alias| &alias.name), target)),
            _ => Err(error::sql(SqlMistake::WrongObjectType, "only tables can be changed")),
        }
    }

    #[must_use]
    pub fn column(&self, name: &str) -> Expr {
        Expr::Column(datafusion::common::Column::new(Some(self.reference.clone()), name))
    }

    #[must_use]
    pub fn file(&self) -> Expr {
        self.column(FILE_COLUMN)
    }

    #[must_use]
    pub fn row(&self) -> Expr {
        self.column(ROW_COLUMN)
    }

    /// The target as a relation of FROM.
    #[must_use]
    pub fn relation(&self) -> TableWithJoins {
        TableWithJoins { relation: self.factor(), joins: Vec::new() }
    }

    #[must_use]
    pub fn factor(&self) -> TableFactor {
        TableFactor::Table {
            name: ObjectName(vec![ObjectNamePart::Identifier(quoted(TARGET))]),
            alias: Some(TableAlias { explicit: true, name: self.ident.clone(), columns: Vec::new(), at: None }),
            args: None,
            with_hints: Vec::new(),
            version: None,
            with_ordinality: false,
            partitions: Vec::new(),
            json_path: None,
            sample: None,
            index_hints: Vec::new(),
        }
    }
}

/// `FROM from WHERE condition`, with all columns of all relations.
///
/// # Errors
/// The statement's mistakes.
pub fn rows(context: &Context<'_>, from: Vec<TableWithJoins>, condition: Option<AstExpr>) -> Result<LogicalPlan, EngineError> {
    check_names(&from)?;
    let query = select(from, condition)?;
    let plan = context.planner.query(query, context.parameters.clone()).map_err(|error| planning_error(&error))?;
    match plan {
        LogicalPlan::Projection(projection) => Ok(projection.input.as_ref().clone()),
        _ => Err(error::internal("a select list is planned as a projection")),
    }
}

/// Each name once: the target's own name and the same table's full name would pass for different ones.
fn check_names(from: &[TableWithJoins]) -> Result<(), EngineError> {
    let factors = from.iter().flat_map(|table| std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation)));
    let mut known: Vec<String> = Vec::new();
    for name in factors.filter_map(name_of) {
        if known.contains(&name) {
            return Err(error::sql(SqlMistake::DuplicateAlias, format!("table name \"{name}\" specified more than once")));
        }
        known.push(name);
    }
    Ok(())
}

fn name_of(factor: &TableFactor) -> Option<String> {
    let folded = |ident: &Ident| if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() };
    match factor {
        TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => Some(folded(&alias.name)),
        TableFactor::Table { name, args: None, .. } => name.0.last().and_then(|part| part.as_ident()).map(folded),
        _ => None,
    }
}

/// `SELECT 1 FROM from WHERE condition`.
///
/// # Errors
/// None that a statement can cause.
pub fn select(from: Vec<TableWithJoins>, condition: Option<AstExpr>) -> Result<Query, EngineError> {
    let statement = Parser::parse_sql(&PostgreSqlDialect {}, "SELECT 1").ok().and_then(|mut parsed| parsed.pop());
    let Some(Statement::Query(mut query)) = statement else { return Err(error::internal("a query is one")) };
    if let ast::SetExpr::Select(select) = query.body.as_mut() {
        select.from = from;
        select.selection = condition;
    }
    Ok(*query)
}

/// `database.schema.t.c` and `schema.t.c` become `t.c`: the target stands under its own name only.
///
/// # Errors
/// As [`TargetName::of`].
pub fn shorten_names(statement: &mut Statement, target: &Target) -> Result<(), EngineError> {
    let has_alias = match statement {
        Statement::Insert(insert) => {
            if !matches!(insert.table, TableObject::TableName(_)) {
                return Err(error::sql(SqlMistake::WrongObjectType, "only tables can be changed"));
            }
            insert.table_alias.is_some()
        }
        Statement::Update(update) => alias(&update.table.relation).is_some(),
        Statement::Delete(delete) => target_of_delete(delete)?.is_some_and(|factor| alias(factor).is_some()),
        Statement::Merge(Merge { table, .. }) => alias(table).is_some(),
        _ => return Ok(()),
    };
    if !has_alias {
        let _: ControlFlow<()> = statement.visit(&mut Shorten { target });
    }
    Ok(())
}

/// # Errors
/// `Unsupported` for several tables.
pub fn target_of_delete(delete: &ast::Delete) -> Result<Option<&TableFactor>, EngineError> {
    let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
    match from.as_slice() {
        [table] if table.joins.is_empty() => Ok(Some(&table.relation)),
        _ => Err(error::unsupported("DELETE from several tables")),
    }
}

fn alias(factor: &TableFactor) -> Option<&TableAlias> {
    match factor {
        TableFactor::Table { alias, .. } => alias.as_ref(),
        _ => None,
    }
}

struct Shorten<'a> {
    target: &'a Target,
}

impl VisitorMut for Shorten<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut AstExpr) -> ControlFlow<()> {
        let AstExpr::CompoundIdentifier(parts) = expr else { return ControlFlow::Continue(()) };
        let name = &self.target.name;
        let is = |part: &Ident, text: &str| {
            if part.quote_style.is_some() { part.value == text } else { part.value.eq_ignore_ascii_case(text) }
        };
        let names_target = match parts.as_slice() {
            [database, schema, table, _] => is(database, &name.database) && is(schema, &name.schema) && is(table, &name.name),
            [schema, table, _] => is(schema, &name.schema) && is(table, &name.name),
            _ => false,
        };
        if names_target {
            let at = parts.len() - 2;
            parts.drain(..at);
        }
        ControlFlow::Continue(())
    }
}

#[must_use]
pub fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// # Errors
/// `Unsupported` names the clause.
pub fn refuse(present: bool, clause: &str) -> Result<(), EngineError> {
    if present { Err(error::unsupported(clause)) } else { Ok(()) }
}
