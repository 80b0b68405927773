//! Which columns the relations of FROM have, as far as the tree and the statement's relations tell. Source: `parse_clause.c`,
//! `transformFromClauseItem`.

use sqlparser::ast::{
    BinaryOperator, Expr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins, WildcardAdditionalOptions,
    With,
};

use super::{call, folded};
use crate::functions::error::mistake;
use crate::functions::sets::set_function;
use crate::plan::column_name;
use datafusion::common::Result;
use lakegate_engine_api::SqlMistake;

/// The column that tells a row of a relation from the NULLs that an outer join puts in its place.
pub const IS_THERE: &str = "#there";

/// Tells the columns of stored relations and views.
pub trait Relations {
    /// In order; `None` for a name that is none of the statement's relations.
    fn columns(&self, name: &ObjectName) -> Option<Vec<String>>;

    /// Where a table's rows lie.
    fn places(&self, _name: &ObjectName) -> Places {
        Places::None
    }

    /// The columns of a table's primary key.
    fn primary_key(&self, _name: &ObjectName) -> Option<&[String]> {
        None
    }
}

/// What is known of where a relation's rows lie.
pub enum Places {
    /// Each has a file and a place in it; the relation's columns.
    Known(Vec<String>),
    /// Policies stand before them, or they are no rows of files.
    Hidden,
    /// There is no such table: a view, a query of WITH.
    None,
}

/// What a query can see besides its own FROM.
pub struct Env<'a> {
    pub relations: &'a dyn Relations,
    /// Queries of WITH with their columns where they are known, innermost last.
    pub ctes: Vec<(String, Option<Vec<String>>)>,
}

/// A relation of FROM.
#[derive(Debug, Clone)]
pub struct Relation {
    pub name: String,
    /// What is written before its columns: the alias, or the parts of its name.
    pub qualifier: Vec<Ident>,
    pub columns: Vec<String>,
    /// An outer join may put NULLs in the place of its rows.
    pub nullable: bool,
    /// A function of values that are no rows: its row is its value.
    pub scalar: bool,
    /// Of the primary key; none without one.
    pub key: Vec<String>,
}

/// A column that FROM shows.
#[derive(Debug, Clone)]
pub struct Visible {
    pub name: String,
    pub value: Expr,
    /// USING or NATURAL made it of two.
    pub merged: bool,
}

/// What FROM, or a part of it, shows.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    pub relations: Vec<Relation>,
    pub visible: Vec<Visible>,
}

impl Relation {
    #[must_use]
    pub fn column(&self, name: &str) -> Expr {
        let mut parts = self.qualifier.clone();
        parts.push(Ident::with_quote('"', name));
        Expr::CompoundIdentifier(parts)
    }
}

impl Scope {
    fn of(relation: Relation) -> Scope {
        let visible = |name: &String| Visible { name: name.clone(), value: relation.column(name), merged: false };
        Scope { visible: relation.columns.iter().map(visible).collect(), relations: vec![relation] }
    }

    #[must_use]
    pub fn relation(&self, name: &str) -> Option<&Relation> {
        self.relations.iter().find(|relation| relation.name == name)
    }

    #[must_use]
    pub fn merges(&self) -> bool {
        self.visible.iter().any(|column| column.merged)
    }

    fn beside(mut self, other: Scope) -> Scope {
        self.relations.extend(other.relations);
        self.visible.extend(other.visible);
        self
    }

    fn nullable(mut self, nullable: bool) -> Scope {
        self.relations.iter_mut().for_each(|relation| relation.nullable |= nullable);
        self
    }
}

impl Env<'_> {
    /// Puts the queries of WITH on the stack; how many they are.
    pub fn enter(&mut self, with: Option<&With>) -> usize {
        let Some(with) = with else { return 0 };
        for cte in &with.cte_tables {
            let name = folded(&cte.alias.name);
            let given: Vec<String> = cte.alias.columns.iter().map(|column| folded(&column.name)).collect();
            let columns = self.query(&cte.query).and_then(|columns| renamed(columns, given));
            self.ctes.push((name, columns));
        }
        with.cte_tables.len()
    }

    pub fn leave(&mut self, count: usize) {
        self.ctes.truncate(self.ctes.len() - count);
    }

    /// The columns of a query.
    fn query(&mut self, query: &Query) -> Option<Vec<String>> {
        let count = self.enter(query.with.as_ref());
        let columns = self.body(&query.body);
        self.leave(count);
        columns
    }

    pub fn body(&mut self, body: &SetExpr) -> Option<Vec<String>> {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { left, .. } => self.body(left),
            SetExpr::Values(values) => Some((1..=values.rows.first()?.content.len()).map(|at| format!("column{at}")).collect()),
            _ => None,
        }
    }

    fn select(&mut self, select: &Select) -> Option<Vec<String>> {
        self.items(&select.projection, &select.from)
    }

    /// The columns of a select list over FROM.
    pub fn items(&mut self, items: &[SelectItem], from: &[TableWithJoins]) -> Option<Vec<String>> {
        let mut scope = None;
        let mut columns = Vec::new();
        for item in items {
            match item {
                SelectItem::UnnamedExpr(expr) => columns.push(column_name(expr)),
                SelectItem::ExprWithAlias { alias, .. } => columns.push(folded(alias)),
                SelectItem::Wildcard(options) if is_plain(options) => {
                    let scope = scope.get_or_insert_with(|| self.from(from)).as_ref()?;
                    columns.extend(scope.visible.iter().map(|column| column.name.clone()));
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) if is_plain(options) => {
                    let scope = scope.get_or_insert_with(|| self.from(from)).as_ref()?;
                    columns.extend(scope.relation(&last_part(name)?)?.columns.iter().cloned());
                }
                _ => return None,
            }
        }
        Some(columns)
    }

    /// What the items of FROM show; `None` where that is not known of all.
    #[must_use]
    pub fn from(&mut self, from: &[TableWithJoins]) -> Option<Scope> {
        let mut scope = Scope::default();
        for item in from {
            scope = scope.beside(self.joined(item)?);
        }
        Some(scope)
    }

    fn joined(&mut self, item: &TableWithJoins) -> Option<Scope> {
        let mut left = self.factor(&item.relation)?;
        for join in &item.joins {
            let right = self.factor(&join.relation)?;
            left = step(left, right, &join.join_operator).ok()??.0;
        }
        Some(left)
    }

    /// The same, and USING and NATURAL become ON.
    ///
    /// # Errors
    /// 42703 and 42702 for the columns of USING.
    pub fn spell_joins(&mut self, from: &mut [TableWithJoins]) -> Result<Option<Scope>> {
        let mut scope = Some(Scope::default());
        for item in from {
            let spelled = self.spell(item)?;
            scope = match (scope, spelled) {
                (Some(scope), Some(item)) => Some(scope.beside(item)),
                _ => None,
            };
        }
        Ok(scope)
    }

    fn spell(&mut self, item: &mut TableWithJoins) -> Result<Option<Scope>> {
        let mut left = self.spelled_factor(&mut item.relation)?;
        for Join { relation, join_operator, .. } in &mut item.joins {
            let right = self.spelled_factor(relation)?;
            left = match (left, right) {
                (Some(left), Some(right)) => match step(left, right, join_operator)? {
                    Some((scope, condition)) => {
                        if let (Some(condition), Some(constraint)) = (condition, constraint(join_operator)) {
                            *constraint = condition;
                        }
                        Some(scope)
                    }
                    None => None,
                },
                _ => None,
            };
        }
        Ok(left)
    }

    fn spelled_factor(&mut self, factor: &mut TableFactor) -> Result<Option<Scope>> {
        match factor {
            TableFactor::NestedJoin { table_with_joins, alias: None } => self.spell(table_with_joins),
            other => {
                let scope = self.factor(other);
                if let (
                    Some([relation]),
                    TableFactor::Table { alias: Some(alias), args: None, .. } | TableFactor::Derived { alias: Some(alias), .. },
                ) = (scope.as_ref().map(|scope| scope.relations.as_slice()), other)
                {
                    name_all(alias, relation);
                }
                Ok(scope)
            }
        }
    }

    fn factor(&mut self, factor: &TableFactor) -> Option<Scope> {
        match factor {
            TableFactor::Table { name, args: Some(args), with_ordinality, alias, .. } => {
                function(name, args.args.len(), *with_ordinality, alias.as_ref())
            }
            TableFactor::Function { name, args, with_ordinality, alias, .. } => {
                function(name, args.len(), *with_ordinality, alias.as_ref())
            }
            TableFactor::UNNEST { alias, array_exprs, with_offset: false, with_ordinality, .. } => {
                function(&ObjectName::from(vec![Ident::new("unnest")]), array_exprs.len(), *with_ordinality, alias.as_ref())
            }
            TableFactor::Table { name, alias, version: None, .. } => {
                let columns = match name.0.as_slice() {
                    [part] => {
                        let cte = folded(part.as_ident()?);
                        match self.ctes.iter().rev().find(|(name, _)| *name == cte) {
                            Some((_, columns)) => columns.clone()?,
                            // What a change in WITH returns.
                            None => self.relations.columns(name)?,
                        }
                    }
                    _ => self.relations.columns(name)?,
                };
                let parts = name.0.iter().map(|part| part.as_ident().cloned()).collect::<Option<Vec<_>>>()?;
                let key = self.relations.primary_key(name).unwrap_or_default();
                let places: Option<Vec<usize>> = key.iter().map(|name| columns.iter().position(|column| column == name)).collect();
                let mut scope = relation(columns, parts, alias.as_ref())?;
                // Under the names that the alias gives.
                for known in &mut scope.relations {
                    known.key = places.iter().flatten().filter_map(|at| known.columns.get(*at).cloned()).collect();
                }
                Some(scope)
            }
            TableFactor::Derived { subquery, alias: Some(alias), .. } => {
                let columns = self.query(subquery)?;
                relation(columns, Vec::new(), Some(alias))
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => self.joined(table_with_joins),
            _ => None,
        }
    }
}

/// An alias that names the first columns alone names all of them: the planner takes no fewer.
fn name_all(alias: &mut TableAlias, relation: &Relation) {
    let given = alias.columns.len();
    if given > 0 {
        let rest = relation.columns.iter().skip(given);
        alias.columns.extend(rest.map(|name| TableAliasColumnDef { name: Ident::with_quote('"', name), data_type: None }));
    }
}

/// `*` alone.
#[must_use]
pub fn is_plain(options: &WildcardAdditionalOptions) -> bool {
    options.opt_ilike.is_none()
        && options.opt_exclude.is_none()
        && options.opt_except.is_none()
        && options.opt_replace.is_none()
        && options.opt_rename.is_none()
        && options.opt_alias.is_none()
}

#[must_use]
pub fn last_part(name: &ObjectName) -> Option<String> {
    name.0.last()?.as_ident().map(folded)
}

fn relation(columns: Vec<String>, parts: Vec<Ident>, alias: Option<&TableAlias>) -> Option<Scope> {
    let (qualifier, given) = match alias {
        Some(alias) => (vec![alias.name.clone()], alias.columns.iter().map(|column| folded(&column.name)).collect()),
        None => (parts, Vec::new()),
    };
    let mut columns = renamed(columns, given)?;
    columns.retain(|column| column != IS_THERE);
    let twice = |name: &String| columns.iter().filter(|other| *other == name).count() > 1;
    if columns.iter().any(twice) {
        return None;
    }
    Some(Scope::of(Relation { name: folded(qualifier.last()?), qualifier, columns, nullable: false, scalar: false, key: Vec::new() }))
}

/// As [`super::super::relations`] names them.
fn function(name: &ObjectName, arguments: usize, with_ordinality: bool, alias: Option<&TableAlias>) -> Option<Scope> {
    let name = super::function_name(name)?;
    let set = set_function(&name)?;
    let (relation_name, given): (Ident, Vec<String>) = match alias {
        Some(alias) => (alias.name.clone(), alias.columns.iter().map(|column| folded(&column.name)).collect()),
        None => (Ident::with_quote('"', &name), Vec::new()),
    };
    let several = name == "unnest" && arguments > 1;
    let mut columns: Vec<String> = match set.columns {
        [] if several => vec![name.clone(); arguments],
        [] => vec![set.value.map_or_else(|| folded(&relation_name), str::to_owned)],
        columns => columns.iter().map(|column| (*column).to_owned()).collect(),
    };
    if with_ordinality {
        columns.push("ordinality".to_owned());
    }
    let columns = renamed(columns, given)?;
    let scalar = set.columns.is_empty() && !with_ordinality && !several;
    let twice = |name: &String| columns.iter().filter(|other| *other == name).count() > 1;
    if columns.iter().any(twice) {
        return None;
    }
    Some(Scope::of(Relation {
        name: folded(&relation_name),
        qualifier: vec![relation_name],
        columns,
        nullable: false,
        scalar,
        key: Vec::new(),
    }))
}

fn renamed(mut columns: Vec<String>, given: Vec<String>) -> Option<Vec<String>> {
    if given.len() > columns.len() {
        return None;
    }
    columns.splice(..given.len(), given.iter().cloned());
    Some(columns)
}

fn constraint(operator: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    match operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint) => Some(constraint),
        _ => None,
    }
}

/// What a join shows, and its condition where the columns of USING or NATURAL make one. `None` for joins of other systems.
fn step(left: Scope, right: Scope, operator: &JoinOperator) -> Result<Option<(Scope, Option<JoinConstraint>)>> {
    let (constraint, left_nullable, right_nullable) = match operator {
        JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => (constraint, false, false),
        JoinOperator::CrossJoin(constraint @ JoinConstraint::None) => (constraint, false, false),
        JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => (constraint, false, true),
        JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => (constraint, true, false),
        JoinOperator::FullOuter(constraint) => (constraint, true, true),
        _ => return Ok(None),
    };
    let names: Vec<String> = match constraint {
        JoinConstraint::Using(names) => match names.iter().map(last_part).collect() {
            Some(names) => names,
            None => return Ok(None),
        },
        JoinConstraint::Natural => {
            let shared = |column: &&Visible| right.visible.iter().any(|other| other.name == column.name);
            left.visible.iter().filter(shared).map(|column| column.name.clone()).collect()
        }
        _ => {
            let scope = left.nullable(left_nullable).beside(right.nullable(right_nullable));
            return Ok(Some((scope, None)));
        }
    };
    let (mut merged, mut conditions) = (Vec::new(), Vec::new());
    for name in names {
        let (of_left, of_right) = (the_column(&left, &name, "left")?, the_column(&right, &name, "right")?);
        conditions.push(Expr::BinaryOp { left: Box::new(of_left.clone()), op: BinaryOperator::Eq, right: Box::new(of_right.clone()) });
        let value = match (left_nullable, right_nullable) {
            (true, true) => call("coalesce", vec![of_left, of_right]),
            (true, false) => of_right,
            _ => of_left,
        };
        merged.push(Visible { name, value, merged: true });
    }
    let condition = conditions.into_iter().reduce(|a, b| Expr::BinaryOp { left: Box::new(a), op: BinaryOperator::And, right: Box::new(b) });
    let on = JoinConstraint::On(condition.unwrap_or_else(|| Expr::value(sqlparser::ast::Value::Boolean(true))));
    let mut scope = left.nullable(left_nullable).beside(right.nullable(right_nullable));
    scope.visible.retain(|column| merged.iter().all(|other| other.name != column.name));
    merged.append(&mut scope.visible);
    scope.visible = merged;
    Ok(Some((scope, Some(on))))
}

fn the_column(scope: &Scope, name: &str, side: &str) -> Result<Expr> {
    let mut found = scope.visible.iter().filter(|column| column.name == name);
    match (found.next(), found.next()) {
        (Some(column), None) => Ok(column.value.clone()),
        (Some(_), Some(_)) => {
            Err(mistake(SqlMistake::AmbiguousColumn, format_args!("common column name \"{name}\" appears more than once in {side} table")))
        }
        (None, _) => Err(mistake(
            SqlMistake::UndefinedColumn,
            format_args!("column \"{name}\" specified in USING clause does not exist in {side} table"),
        )),
    }
}
