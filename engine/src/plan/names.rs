//! Names of unnamed columns, as PostgreSQL gives them (`FigureColname` in `parse_target.c`), and names that occur twice,
//! which DataFusion does not plan: the second gets a marked alias that [`restored`] takes off again.

use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, DataType, Distinct, Expr, FunctionArguments, Ident, ObjectNamePart, OrderByExpr, OrderByKind, Query, Select,
    SelectItem, SetExpr, TrimWhereField, UnaryOperator, Value, VisitMut, VisitorMut, visit_expressions,
};

use super::apart;

/// Starts the aliases made here; no statement can hold it.
const MARK: char = '\u{0}';

const UNNAMED: &str = "?column?";

/// Gives each column of each select list in the statement a name.
pub fn name_columns(statement: &mut impl VisitMut) {
    let _: ControlFlow<()> = statement.visit(&mut Namer { made: 0, depth: 0 });
}

/// The name that clients see for a field of a plan.
#[must_use]
pub fn restored(name: &str) -> &str {
    match name.strip_prefix(MARK).and_then(|rest| rest.split_once(MARK)) {
        Some((_, name)) => name,
        None => name,
    }
}

/// A name that clients see as `name`, beside others of it.
#[must_use]
pub fn another(number: usize, name: &str) -> String {
    format!("{MARK}u{number}{MARK}{name}")
}

struct Namer {
    made: usize,
    /// How many queries there are around the one at hand, itself included; parentheses do not count.
    depth: usize,
}

impl VisitorMut for Namer {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.depth += usize::from(!matches!(query.body.as_ref(), SetExpr::Query(_)));
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let outermost = self.depth == 1;
        self.depth -= usize::from(!matches!(query.body.as_ref(), SetExpr::Query(_)));
        if let SetExpr::Select(select) = query.body.as_mut() {
            self.name(select);
            if outermost
                && let Some(order_by) = &mut query.order_by
                && let OrderByKind::Expressions(keys) = &mut order_by.kind
            {
                self.tell_apart(select, keys);
            }
            if matches!(select.distinct, Some(Distinct::Distinct))
                && let Some(order_by) = &mut query.order_by
                && let OrderByKind::Expressions(keys) = &mut order_by.kind
            {
                for key in keys {
                    refer_to_alias(&mut key.expr, select);
                }
            }
            let made = &mut self.made;
            apart::tell_apart(query, !outermost, &mut |name| {
                *made += 1;
                mark(*made, name)
            });
        } else {
            self.name_operands(&mut query.body);
        }
        ControlFlow::Continue(())
    }
}

impl Namer {
    fn name_operands(&mut self, body: &mut SetExpr) {
        match body {
            SetExpr::Select(select) => self.name(select),
            SetExpr::SetOperation { left, right, .. } => {
                self.name_operands(left);
                self.name_operands(right);
            }
            _ => {}
        }
    }

    fn name(&mut self, select: &mut Select) {
        let has_wildcard = select.projection.iter().any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
        // Without FROM, a column is an outer query's, which the planner calls by another name.
        let is_of_outside = select.from.is_empty();
        let mut taken: HashSet<String> = HashSet::new();
        for item in &mut select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    let name = column_name(expr);
                    let is_column = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
                    let is_new = taken.insert(name.clone());
                    if is_column && is_new && !has_wildcard && !is_of_outside {
                        continue;
                    }
                    let alias = if is_new && (!is_column || is_of_outside) { name } else { self.marked(&name) };
                    let expr = std::mem::replace(expr, Expr::Value(Value::Null.into()));
                    *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', alias) };
                }
                SelectItem::ExprWithAlias { alias, .. } => {
                    let name = folded(alias);
                    if !taken.insert(name.clone()) {
                        *alias = Ident::with_quote('"', self.marked(&name));
                    }
                }
                _ => {}
            }
        }
    }

    /// `SELECT upper(t.x) AS x … ORDER BY t.x`: DataFusion would take the key and the alias for one name.
    fn tell_apart(&mut self, select: &mut Select, keys: &mut [OrderByExpr]) {
        let mut columns: Vec<Expr> = Vec::new();
        for key in keys.iter() {
            let _: ControlFlow<()> = visit_expressions(&key.expr, |expr| {
                if matches!(expr, Expr::CompoundIdentifier(_)) {
                    columns.push(expr.clone());
                }
                ControlFlow::Continue(())
            });
        }
        for item in &mut select.projection {
            let SelectItem::ExprWithAlias { expr, alias } = item else { continue };
            let name = folded(alias);
            let same_name =
                |column: &&Expr| matches!(column, Expr::CompoundIdentifier(parts) if parts.last().map(folded) == Some(name.clone()));
            if !columns.iter().filter(same_name).any(|column| column != expr) {
                continue;
            }
            let marked = Ident::with_quote('"', self.marked(&name));
            for key in keys.iter_mut() {
                if matches!(&key.expr, Expr::Identifier(key) if folded(key) == name) {
                    key.expr = Expr::Identifier(marked.clone());
                }
            }
            *alias = marked;
        }
    }

    fn marked(&mut self, name: &str) -> String {
        self.made += 1;
        mark(self.made, name)
    }
}

fn mark(number: usize, name: &str) -> String {
    format!("{MARK}{number}{MARK}{name}")
}

/// SELECT DISTINCT can be ordered only by what it selects: a key that is one of the selected expressions, now aliased,
/// has to be called by the alias.
fn refer_to_alias(key: &mut Expr, select: &Select) {
    if matches!(key, Expr::Identifier(_) | Expr::Value(_)) {
        return;
    }
    let wanted = key.to_string();
    let found = select.projection.iter().find_map(|item| match item {
        SelectItem::ExprWithAlias { expr, alias } if expr.to_string() == wanted => Some(alias.clone()),
        _ => None,
    });
    if let Some(alias) = found {
        *key = Expr::Identifier(alias);
    }
}

/// The name of a select list's item that is given none.
#[must_use]
pub fn column_name(expr: &Expr) -> String {
    figure(expr).map_or_else(|| UNNAMED.to_owned(), |(name, _)| name)
}

/// How sure PostgreSQL is of a name: a stronger one inside wins over a weaker one around it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    Weak,
    Strong,
}

fn strong(name: impl Into<String>) -> Option<(String, Strength)> {
    Some((name.into(), Strength::Strong))
}

fn figure(expr: &Expr) -> Option<(String, Strength)> {
    match expr {
        Expr::Identifier(name) => strong(folded(name)),
        Expr::CompoundIdentifier(names) => names.last().and_then(|name| strong(folded(name))),
        Expr::CompoundFieldAccess { root, access_chain } => {
            let field = access_chain.iter().rev().find_map(|access| match access {
                sqlparser::ast::AccessExpr::Dot(Expr::Identifier(name)) => Some(folded(name)),
                _ => None,
            });
            field.and_then(strong).or_else(|| figure(root))
        }
        Expr::QualifiedWildcard(name, _) => name.0.last().and_then(|name| name.as_ident()).and_then(|name| strong(folded(name))),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => figure(inner),
        Expr::Function(function) => {
            if matches!(function.args, FunctionArguments::Subquery(_)) && function.name.to_string().eq_ignore_ascii_case("array") {
                return strong("array");
            }
            match function.name.0.last() {
                Some(ObjectNamePart::Identifier(name)) => strong(folded(name)),
                _ => None,
            }
        }
        Expr::Cast { expr, data_type, .. } => typed(figure(expr), data_type),
        Expr::TypedString(typed_string) => Some((type_name(&typed_string.data_type), Strength::Weak)),
        Expr::Interval(_) => Some(("interval".to_owned(), Strength::Weak)),
        // The grammar makes casts of `'t'` of these.
        Expr::Value(value) if matches!(value.value, Value::Boolean(_)) => Some(("bool".to_owned(), Strength::Weak)),
        Expr::Case { else_result, .. } => {
            let inner = else_result.as_ref().and_then(|result| figure(result));
            Some(inner.filter(|(_, strength)| *strength == Strength::Strong).unwrap_or_else(|| ("case".to_owned(), Strength::Weak)))
        }
        Expr::Exists { negated: false, .. } => strong("exists"),
        Expr::Subquery(query) => subquery_name(query),
        Expr::Array(_) => strong("array"),
        Expr::Tuple(_) => strong("row"),
        Expr::Extract { .. } => strong("extract"),
        Expr::Ceil { .. } => strong("ceil"),
        Expr::Floor { .. } => strong("floor"),
        Expr::Position { .. } => strong("position"),
        Expr::Substring { shorthand: true, .. } => strong("substr"),
        Expr::Substring { .. } => strong("substring"),
        Expr::Overlay { .. } => strong("overlay"),
        Expr::Trim { trim_where, .. } => strong(match trim_where {
            Some(TrimWhereField::Leading) => "ltrim",
            Some(TrimWhereField::Trailing) => "rtrim",
            _ => "btrim",
        }),
        Expr::AtTimeZone { .. } => strong("timezone"),
        Expr::BinaryOp { op: BinaryOperator::Overlaps, .. } => strong("overlaps"),
        Expr::IsNormalized { .. } => strong("is_normalized"),
        Expr::UnaryOp { op: UnaryOperator::Plus, expr } if matches!(expr.as_ref(), Expr::Value(_)) => None,
        _ => None,
    }
}

fn typed(inner: Option<(String, Strength)>, data_type: &DataType) -> Option<(String, Strength)> {
    match inner {
        Some(strong) if strong.1 == Strength::Strong => Some(strong),
        _ => Some((type_name(data_type), Strength::Weak)),
    }
}

/// Name of the one column of a scalar subquery.
fn subquery_name(query: &Query) -> Option<(String, Strength)> {
    let mut body = query.body.as_ref();
    loop {
        match body {
            SetExpr::Select(select) => {
                return match select.projection.first()? {
                    SelectItem::ExprWithAlias { alias, .. } => strong(restored(&folded(alias))),
                    SelectItem::UnnamedExpr(expr) => figure(expr),
                    _ => None,
                };
            }
            SetExpr::SetOperation { left, .. } => body = left,
            SetExpr::Query(query) => body = &query.body,
            SetExpr::Values(_) => return strong("column1"),
            _ => return None,
        }
    }
}

fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

/// The name in `pg_type` of what the grammar calls otherwise.
fn type_name(data_type: &DataType) -> String {
    use DataType as T;
    let name = match data_type {
        T::Int(_) | T::Integer(_) | T::Int4(_) => "int4",
        T::BigInt(_) | T::Int8(_) => "int8",
        T::SmallInt(_) | T::Int2(_) => "int2",
        T::Real | T::Float4 => "float4",
        T::Float(info) => match info {
            sqlparser::ast::ExactNumberInfo::Precision(bits) if *bits <= 24 => "float4",
            _ => "float8",
        },
        T::DoublePrecision | T::Double(_) | T::Float8 => "float8",
        T::Numeric(_) | T::Decimal(_) | T::Dec(_) => "numeric",
        T::Boolean | T::Bool => "bool",
        T::Varchar(_) | T::CharacterVarying(_) | T::CharVarying(_) => "varchar",
        T::Char(_) | T::Character(_) => "bpchar",
        T::Timestamp(_, zone) => match zone {
            sqlparser::ast::TimezoneInfo::WithTimeZone | sqlparser::ast::TimezoneInfo::Tz => "timestamptz",
            _ => "timestamp",
        },
        T::Time(_, zone) => match zone {
            sqlparser::ast::TimezoneInfo::WithTimeZone | sqlparser::ast::TimezoneInfo::Tz => "timetz",
            _ => "time",
        },
        T::Interval { .. } => "interval",
        T::Array(element) => {
            return match element {
                sqlparser::ast::ArrayElemTypeDef::AngleBracket(inner)
                | sqlparser::ast::ArrayElemTypeDef::SquareBracket(inner, _)
                | sqlparser::ast::ArrayElemTypeDef::Parenthesis(inner) => type_name(inner),
                sqlparser::ast::ArrayElemTypeDef::None => "array".to_owned(),
            };
        }
        T::Custom(name, _) => {
            return match name.0.last() {
                Some(ObjectNamePart::Identifier(name)) => folded(name),
                _ => data_type.to_string().to_lowercase(),
            };
        }
        other => return other.to_string().to_lowercase().split('(').next().unwrap_or_default().trim().to_owned(),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::PostgreSqlDialect;
    use sqlparser::parser::Parser;

    use super::*;

    fn names(sql: &str) -> Vec<String> {
        let mut statement = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0);
        name_columns(&mut statement);
        let sqlparser::ast::Statement::Query(query) = statement else { unreachable!() };
        let SetExpr::Select(select) = *query.body else { unreachable!() };
        select
            .projection
            .iter()
            .map(|item| match item {
                SelectItem::UnnamedExpr(expr) => column_name(expr),
                SelectItem::ExprWithAlias { alias, .. } => restored(&alias.value).to_owned(),
                other => other.to_string(),
            })
            .collect()
    }

    /// Each as PostgreSQL 15 answers it.
    #[test]
    fn as_postgresql_names_them() {
        assert_eq!(names("select 1, 1, 'x', null, -1, a + b, not a"), ["?column?"; 7]);
        assert_eq!(names("select a, t.b, A, \"A\" from t"), ["a", "b", "a", "A"]);
        assert_eq!(names("select count(*), pg_catalog.version(), max(a)"), ["count", "version", "max"]);
        assert_eq!(
            names("select 1::int, a::text, '1'::numeric(3,2), cast(a as date), cast(1 + 1 as bigint)"),
            ["int4", "a", "numeric", "a", "int8"]
        );
        assert_eq!(names("select true, date '2020-01-01', interval '1 day'"), ["bool", "date", "interval"]);
        assert_eq!(names("select case when a then 1 end, case when a then 1 else b end"), ["case", "b"]);
        assert_eq!(
            names("select exists (select 1), (select max(x) from t), (select 1 as y), array[1,2], row(1,2)"),
            ["exists", "max", "y", "array", "row"]
        );
        assert_eq!(
            names("select extract(year from d), coalesce(a, b), nullif(a, b), greatest(a, b)"),
            ["extract", "coalesce", "nullif", "greatest"]
        );
        assert_eq!(
            names("select substring(a from 1), trim(a), position('x' in a), a at time zone 'UTC'"),
            ["substring", "btrim", "position", "timezone"]
        );
        assert_eq!(names("select 1 as a, 2 as a, 3 as \"A\""), ["a", "a", "A"]);
    }
}
