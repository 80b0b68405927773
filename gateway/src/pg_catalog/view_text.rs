//! The query of a view as `pg_get_viewdef` lays it out (ruleutils.c): names in full, stars written out, a line a column. Types are not
//! known here, so literals are without the casts that PostgreSQL adds. Queries of more than one plain SELECT stay as they were written.

use std::fmt::Write as _;

use lakegate_catalog::Snapshot;
use lakegate_catalog::model::{Relation, RelationName};
use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Join, JoinConstraint, JoinOperator,
    ObjectName, OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableFactor, UnaryOperator, Value,
};

use super::lookup::quoted;
use crate::sql::bind::{NameScope, VIEW_SEARCH_PATH};
use crate::sql::grammar::fold;
use crate::sql::parse::parse_query;

/// What laying out a view takes.
pub struct Layout<'a> {
    pub snapshot: &'a Snapshot,
    pub database: &'a str,
    /// Parentheses only where they are needed.
    pub pretty: bool,
    /// Whether a relation is found by its name alone.
    pub visible: &'a dyn Fn(&Relation) -> bool,
}

/// A relation of FROM.
struct Source<'a> {
    alias: String,
    relation: &'a Relation,
}

struct Writer<'a> {
    layout: &'a Layout<'a>,
    scope: NameScope,
    sources: Vec<Source<'a>>,
}

/// The text; `None` where the query is of a shape that is kept as written.
pub fn text(view: &Relation, layout: &Layout<'_>) -> Option<String> {
    let query = parse_query(view.definition.as_deref()?).ok()?;
    let path = view.properties.get(VIEW_SEARCH_PATH)?;
    let scope = NameScope { database: layout.database.to_owned(), search_path: path.split('\u{1f}').map(str::to_owned).collect() };
    let mut writer = Writer { layout, scope, sources: Vec::new() };
    writer.query(&query, view)
}

impl<'a> Writer<'a> {
    fn query(&mut self, query: &Query, view: &Relation) -> Option<String> {
        let SetExpr::Select(select) = query.body.as_ref() else { return None };
        let plain = query.with.is_none() && query.fetch.is_none() && query.limit_clause.is_none() && query.locks.is_empty();
        if !plain || !is_plain(select) {
            return None;
        }
        let mut from = Vec::new();
        for item in &select.from {
            let mut text = self.factor(&item.relation)?;
            for join in &item.joins {
                text = self.join(text, join)?;
            }
            from.push(text);
        }
        let mut out = " SELECT ".to_owned();
        out.push_str(&self.select_list(select, view)?.join(",\n    "));
        if !from.is_empty() {
            write!(out, "\n   FROM {}", from.join(",\n    ")).ok()?;
        }
        if let Some(condition) = &select.selection {
            write!(out, "\n  WHERE {}", self.expr(condition, true)?).ok()?;
        }
        if let GroupByExpr::Expressions(keys, modifiers) = &select.group_by
            && !keys.is_empty()
        {
            let keys = keys.iter().map(|key| self.expr(key, true)).collect::<Option<Vec<_>>>()?;
            modifiers.is_empty().then_some(())?;
            write!(out, "\n  GROUP BY {}", keys.join(", ")).ok()?;
        }
        if let Some(condition) = &select.having {
            write!(out, "\n HAVING {}", self.expr(condition, true)?).ok()?;
        }
        if let Some(order_by) = &query.order_by {
            let OrderByKind::Expressions(keys) = &order_by.kind else { return None };
            let keys = keys.iter().map(|key| {
                let direction = if key.options.asc == Some(false) { " DESC" } else { "" };
                key.options.nulls_first.is_none().then_some(())?;
                // A position or an output name would have to be looked up.
                matches!(key.expr, Expr::CompoundIdentifier(_)).then_some(())?;
                Some(self.expr(&key.expr, true)? + direction)
            });
            write!(out, "\n  ORDER BY {}", keys.collect::<Option<Vec<_>>>()?.join(", ")).ok()?;
        }
        Some(out + ";")
    }

    fn select_list(&self, select: &Select, view: &Relation) -> Option<Vec<String>> {
        let mut items: Vec<(String, Option<String>)> = Vec::new();
        for item in &select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                    let column = match expr {
                        Expr::Identifier(column) => Some(fold(column)),
                        Expr::CompoundIdentifier(parts) => parts.last().map(fold),
                        _ => None,
                    };
                    items.push((self.expr(expr, true)?, column));
                }
                SelectItem::Wildcard(options) if options.to_string().is_empty() => {
                    for source in &self.sources {
                        items.extend(self.all_columns(source));
                    }
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    let wanted = last_part(name)?;
                    items.extend(self.all_columns(self.sources.iter().find(|source| source.alias == wanted)?));
                }
                _ => return None,
            }
        }
        if items.len() != view.columns.len() {
            return None;
        }
        let named = items.into_iter().zip(&view.columns).map(|((text, own), column)| match own {
            Some(own) if own == column.name => text,
            _ => format!("{text} AS {}", quoted(&column.name)),
        });
        Some(named.collect())
    }

    fn all_columns(&self, source: &Source<'_>) -> Vec<(String, Option<String>)> {
        let column = |name: &String| (self.column(Some(&source.alias), name), Some(name.clone()));
        source.relation.columns.iter().map(|own| column(&own.name)).collect()
    }

    fn column(&self, alias: Option<&String>, name: &str) -> String {
        match alias {
            Some(alias) if self.sources.len() > 1 => format!("{}.{}", quoted(alias), quoted(name)),
            _ => quoted(name),
        }
    }

    fn factor(&mut self, factor: &TableFactor) -> Option<String> {
        let TableFactor::Table { name, alias, args: None, .. } = factor else { return None };
        let parts: Vec<String> = name.0.iter().map(|part| part.as_ident().map(fold)).collect::<Option<_>>()?;
        let relation = self.relation(&parts)?;
        let schema = self.layout.snapshot.schema_by_oid(relation.schema)?;
        let mut text = quoted(&relation.name);
        if !(self.layout.visible)(relation) {
            text = format!("{}.{text}", quoted(&schema.name));
        }
        let known = match alias {
            Some(alias) if !alias.columns.is_empty() => return None,
            Some(alias) => fold(&alias.name),
            None => relation.name.clone(),
        };
        if known != relation.name {
            write!(text, " {}", quoted(&known)).ok()?;
        }
        self.sources.push(Source { alias: known, relation });
        Some(text)
    }

    fn relation(&self, parts: &[String]) -> Option<&'a Relation> {
        let find = |schema: &str, name: &str| {
            let full = RelationName { database: self.scope.database.clone(), schema: schema.to_owned(), name: name.to_owned() };
            self.layout.snapshot.relation_by_name(&full).map(|relation| &**relation)
        };
        match parts {
            [name] => self.scope.search_path.iter().find_map(|schema| find(schema, name)),
            [schema, name] => find(schema, name),
            _ => None,
        }
    }

    fn join(&mut self, left: String, join: &Join) -> Option<String> {
        let right = self.factor(&join.relation)?;
        let (word, constraint) = match &join.join_operator {
            JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => ("JOIN", constraint),
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => ("LEFT JOIN", constraint),
            JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => ("RIGHT JOIN", constraint),
            JoinOperator::FullOuter(constraint) => ("FULL JOIN", constraint),
            JoinOperator::CrossJoin(constraint @ JoinConstraint::None) => ("CROSS JOIN", constraint),
            _ => return None,
        };
        let condition = match constraint {
            JoinConstraint::On(condition) if self.layout.pretty => format!(" ON {}", self.expr(condition, true)?),
            JoinConstraint::On(condition) => format!(" ON ({})", self.expr(condition, true)?),
            JoinConstraint::None if word == "CROSS JOIN" => String::new(),
            _ => return None,
        };
        let text = format!("{left}\n     {word} {right}{condition}");
        Some(if self.layout.pretty { text } else { format!("({text})") })
    }

    /// An expression; at the top no parentheses are needed around what is pretty.
    fn expr(&self, expr: &Expr, top: bool) -> Option<String> {
        let wrapped = |text: String| if self.layout.pretty && top { text } else { format!("({text})") };
        Some(match expr {
            Expr::Nested(inner) => return self.expr(inner, top),
            Expr::Identifier(name) => {
                let name = fold(name);
                let mut having = self.sources.iter().filter(|source| source.relation.column(&name).is_some());
                let source = having.next()?;
                having.next().is_none().then_some(())?;
                self.column(Some(&source.alias), &name)
            }
            Expr::CompoundIdentifier(parts) => {
                let (qualifier, name) = match parts.as_slice() {
                    [.., qualifier, name] => (fold(qualifier), fold(name)),
                    _ => return None,
                };
                let source = self.sources.iter().find(|source| source.alias == qualifier)?;
                source.relation.column(&name)?;
                self.column(Some(&source.alias), &name)
            }
            Expr::Value(value) => match &value.value {
                Value::Number(number, _) => number.clone(),
                Value::Boolean(value) => value.to_string(),
                Value::Null => "NULL".to_owned(),
                Value::SingleQuotedString(text) => format!("'{}'", text.replace('\'', "''")),
                _ => return None,
            },
            Expr::BinaryOp { left, op, right } => {
                let chained = |side: &Expr| {
                    let same =
                        matches!((op, side), (BinaryOperator::And | BinaryOperator::Or, Expr::BinaryOp { op: inner, .. }) if inner == op);
                    // AND of ANDs is one list.
                    let text = self.expr(side, self.layout.pretty && (is_comparison(side) && is_logic(op) || same))?;
                    Some(if same && !self.layout.pretty { text[1..text.len() - 1].to_owned() } else { text })
                };
                wrapped(format!("{} {op} {}", chained(left)?, chained(right)?))
            }
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => wrapped(format!("NOT {}", self.expr(expr, false)?)),
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => wrapped(format!("- {}", self.expr(expr, false)?)),
            Expr::IsNull(inner) => wrapped(format!("{} IS NULL", self.expr(inner, false)?)),
            Expr::IsNotNull(inner) => wrapped(format!("{} IS NOT NULL", self.expr(inner, false)?)),
            Expr::Function(function) => self.call(function)?,
            _ => return None,
        })
    }

    fn call(&self, function: &Function) -> Option<String> {
        let plain =
            function.over.is_none() && function.filter.is_none() && function.within_group.is_empty() && function.null_treatment.is_none();
        let FunctionArguments::List(list) = &function.args else { return None };
        if !plain || !list.clauses.is_empty() {
            return None;
        }
        let args = list.args.iter().map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => self.expr(expr, true),
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => Some("*".to_owned()),
            _ => None,
        });
        let args = args.collect::<Option<Vec<_>>>()?.join(", ");
        let distinct = match &list.duplicate_treatment {
            Some(treatment) => format!("{treatment} "),
            None => String::new(),
        };
        Some(format!("{}({distinct}{args})", last_part(&function.name)?))
    }
}

fn is_plain(select: &Select) -> bool {
    select.distinct.is_none() && select.top.is_none() && select.into.is_none() && select.named_window.is_empty() && select.qualify.is_none()
}

fn is_logic(op: &BinaryOperator) -> bool {
    matches!(op, BinaryOperator::And | BinaryOperator::Or)
}

/// Something that stands in AND and OR without parentheses.
fn is_comparison(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryOp { op, .. } => !is_logic(op),
        Expr::IsNull(_) | Expr::IsNotNull(_) => true,
        Expr::Nested(inner) => is_comparison(inner),
        _ => false,
    }
}

fn last_part(name: &ObjectName) -> Option<String> {
    name.0.last().and_then(|part| part.as_ident()).map(fold)
}
