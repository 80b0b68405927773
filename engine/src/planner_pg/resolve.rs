//! Types of literals and of everything that must agree on one: CASE, COALESCE, IN, BETWEEN, UNION, `= ANY`. Runs before
//! DataFusion's coercion, which would otherwise turn numbers into text or read text by other rules.

use std::sync::Arc;

use datafusion::arrow::array::Array;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ExprSchema, Result, ScalarValue, internal_err};
use datafusion::logical_expr::expr::{Between, Case, Cast, Exists, InList, InSubquery, Like, Placeholder, ScalarFunction, SetComparison};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Join, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, Values, lit};
use datafusion::optimizer::AnalyzerRule;
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{PG_TYPE_KEY, SqlMistake, pg_type};

use super::casts::unconstrained_numeric;
use super::list_types::{element_type, item_type, tag_of};
use super::operand::{Family, Operand, is_unknown};
use super::types::{CAST_FIELD, cast_field};
use super::{PgPlanner, grouping_columns, json_equality, lateral, outer_references, set_comparison, with_ties};
use crate::functions::error;

#[derive(Debug)]
pub struct ResolveTypes(pub PgPlanner);

impl AnalyzerRule for ResolveTypes {
    fn name(&self) -> &str {
        "pg_resolve_types"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        self.plan(plan, &mut Vec::new(), true)
    }
}

impl ResolveTypes {
    /// `outer`: schemas of the enclosing queries, innermost last. `literals`: whether integer literals become int4; not in
    /// recursive queries, whose working table was typed when they were planned.
    pub(super) fn plan(&self, plan: LogicalPlan, outer: &mut Vec<Arc<DFSchema>>, literals: bool) -> Result<LogicalPlan> {
        let literals = literals && !matches!(plan, LogicalPlan::RecursiveQuery(_));
        let plan = match plan {
            LogicalPlan::Aggregate(aggregate) => grouping_columns::grouped_by_columns(aggregate)?,
            plan => plan,
        };
        let plan = match plan {
            LogicalPlan::RecursiveQuery(query) => return self.recursive(query, outer),
            LogicalPlan::Join(join) => self.join(join, outer, literals)?,
            plan => plan.map_children(|child| self.plan(child, outer, literals).map(Transformed::yes))?.data,
        };
        let plan = match plan {
            LogicalPlan::Union(union) => self.union(union)?,
            LogicalPlan::Values(values) => return self.values(values, outer, literals),
            LogicalPlan::Unnest(unnest) => self.unnested(unnest)?,
            plan => plan,
        };
        if matches!(plan, LogicalPlan::Limit(_)) {
            let empty = Arc::new(DFSchema::empty());
            let typed = plan.map_expressions(|expr| {
                let expr = if expr.exists(|expr| Ok(outer_references::subquery_of(expr).is_some()))? {
                    self.expr(expr, &empty, outer, literals)?
                } else {
                    self.0.resolve_expr(expr, &empty)?
                };
                Ok(Transformed::yes(expr))
            })?;
            let plan = match typed.data.recompute_schema()? {
                LogicalPlan::Limit(limit) => with_ties::spelled(limit)?,
                plan => plan,
            };
            return match plan {
                LogicalPlan::Limit(limit) => self.0.limit(limit),
                plan => Ok(plan),
            };
        }
        let mut schema = merge_schema(&plan.inputs());
        if let LogicalPlan::TableScan(scan) = &plan {
            schema.merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?);
        }
        let schema = Arc::new(schema);
        let names = NamePreserver::new(&plan);
        let plan = plan
            .map_expressions(|expr| {
                let name = names.save(&expr);
                let expr = self.expr(expr, &schema, outer, literals)?;
                Ok(Transformed::yes(name.restore(expr)))
            })?
            .data;
        let plan = match plan {
            LogicalPlan::Sort(mut sort) => {
                sort.expr = self.0.sort_keys(sort.expr, &schema)?;
                LogicalPlan::Sort(sort)
            }
            plan => plan,
        };
        let plan = plan.recompute_schema()?;
        json_equality::check(&plan)?;
        match &plan {
            LogicalPlan::Aggregate(aggregate) => {
                let tags = self.list_tags(aggregate)?;
                self.retagged(plan, &tags)
            }
            _ => Ok(plan),
        }
    }

    /// The plan with the tags that its columns have in another schema.
    pub(super) fn with_tags_of(&self, plan: LogicalPlan, schema: &DFSchema) -> Result<LogicalPlan> {
        self.tagged_as(plan, schema, |now, then| now.metadata() != then.metadata())
    }

    /// The same of the columns that `choose`; of others the plan may have tags that its execution has not.
    pub(super) fn tagged_as(&self, plan: LogicalPlan, schema: &DFSchema, choose: impl Fn(&Field, &Field) -> bool) -> Result<LogicalPlan> {
        let differs = |now: &Field, then: &Field| now.data_type() == then.data_type() && choose(now, then);
        let fields = plan.schema().fields().iter().zip(schema.fields());
        if !fields.clone().any(|(now, then)| differs(now, then)) {
            return Ok(plan);
        }
        let columns = fields
            .zip(plan.schema().columns())
            .map(|((now, then), column)| {
                if !differs(now, then) {
                    return Ok(Expr::Column(column));
                }
                let (qualifier, name) = (column.relation.clone(), column.name.clone());
                let column = Expr::Column(column);
                // A cast to the same Arrow type would be optimised away, tag and all.
                let tag = then.metadata().get(PG_TYPE_KEY).cloned().unwrap_or_default();
                let tagged = self.0.call("#as_type", vec![column, lit(tag)])?;
                Ok(tagged.alias_qualified(qualifier, name))
            })
            .collect::<Result<Vec<_>>>()?;
        LogicalPlanBuilder::from(plan).project(columns)?.build()
    }

    /// Each column of VALUES in one type.
    fn values(&self, values: Values, outer: &mut Vec<Arc<DFSchema>>, literals: bool) -> Result<LogicalPlan> {
        let schema = Arc::new(DFSchema::empty());
        let mut rows = values
            .values
            .into_iter()
            .map(|row| row.into_iter().map(|expr| self.expr(expr, &schema, outer, literals)).collect::<Result<Vec<_>>>())
            .collect::<Result<Vec<_>>>()?;
        for column in 0..values.schema.fields().len() {
            let cells = rows.iter().filter_map(|row| row.get(column).cloned()).collect();
            let typed = self.0.unify(cells, &schema, "VALUES")?;
            for (row, cell) in rows.iter_mut().zip(typed) {
                if let Some(place) = row.get_mut(column) {
                    *place = cell;
                }
            }
        }
        LogicalPlanBuilder::values(rows)?.build()
    }

    /// The right side of a lateral join refers to the left one.
    fn join(&self, join: Join, outer: &mut Vec<Arc<DFSchema>>, literals: bool) -> Result<LogicalPlan> {
        let left = self.plan(Arc::unwrap_or_clone(join.left), outer, literals)?;
        let right = lateral::marked(Arc::unwrap_or_clone(join.right), left.schema(), outer)?;
        outer.push(Arc::clone(left.schema()));
        let right = self.plan(right, outer, literals);
        outer.pop();
        Ok(LogicalPlan::Join(Join { left: Arc::new(left), right: Arc::new(right?), ..join }))
    }

    fn expr(&self, expr: Expr, schema: &Arc<DFSchema>, outer: &mut Vec<Arc<DFSchema>>, literals: bool) -> Result<Expr> {
        let expr = expr
            .transform_up(|expr| {
                Ok(match expr {
                    Expr::OuterReferenceColumn(field, column) => {
                        // The column's type may have changed since the reference was made.
                        let current = outer.iter().rev().find_map(|schema| schema.field_from_column(&column).ok().cloned());
                        Transformed::yes(Expr::OuterReferenceColumn(current.unwrap_or(field), column))
                    }
                    Expr::ScalarSubquery(subquery) => {
                        Transformed::yes(Expr::ScalarSubquery(self.subquery(subquery, schema, outer, literals)?))
                    }
                    Expr::Exists(Exists { subquery, negated }) => {
                        let subquery = self.subquery(subquery, schema, outer, literals)?;
                        Transformed::yes(Expr::Exists(Exists { subquery, negated }))
                    }
                    Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
                        let subquery = self.subquery(subquery, schema, outer, literals)?;
                        Transformed::yes(Expr::InSubquery(InSubquery { expr, subquery, negated }))
                    }
                    Expr::SetComparison(SetComparison { expr, subquery, op, quantifier }) => {
                        let subquery = self.subquery(subquery, schema, outer, literals)?;
                        Transformed::yes(Expr::SetComparison(SetComparison { expr, subquery, op, quantifier }))
                    }
                    Expr::Literal(ScalarValue::Decimal128(Some(value), _, scale), None) if scale < 0 => {
                        Transformed::yes(super::operand::numeric_literal(&format!("{value}e{}", -i32::from(scale)))?)
                    }
                    Expr::Literal(ScalarValue::Int64(Some(value)), None) if literals => match i32::try_from(value) {
                        Ok(value) => Transformed::yes(lit(value)),
                        Err(_) => Transformed::no(lit(value)),
                    },
                    Expr::WindowFunction(mut call) => {
                        call.params.order_by = self.0.sort_keys(call.params.order_by, schema)?;
                        Transformed::yes(Expr::WindowFunction(call))
                    }
                    Expr::AggregateFunction(mut call) if !call.params.distinct => {
                        call.params.order_by = self.0.sort_keys(call.params.order_by, schema)?;
                        Transformed::yes(Expr::AggregateFunction(call))
                    }
                    other => Transformed::no(other),
                })
            })?
            .data;
        self.0.resolve_expr(expr, schema)
    }

    fn subquery(&self, subquery: Subquery, schema: &Arc<DFSchema>, outer: &mut Vec<Arc<DFSchema>>, literals: bool) -> Result<Subquery> {
        outer.push(Arc::clone(schema));
        let plan = self.plan(Arc::unwrap_or_clone(subquery.subquery), outer, literals);
        outer.pop();
        outer_references::subquery(plan?, &subquery.spans)
    }
}

impl PgPlanner {
    /// Types everything inside an expression whose parts must agree.
    ///
    /// # Errors
    /// 42804 where they cannot, 42883 for operators, the input functions' errors for literals.
    pub fn resolve_expr(&self, expr: Expr, schema: &DFSchema) -> Result<Expr> {
        expr.transform_up(|expr| {
            Ok(match expr {
                Expr::Case(case) => Transformed::yes(self.case(case, schema)?),
                Expr::Negative(inner) => {
                    let operand = Operand::of(*inner, schema)?;
                    if !matches!(operand.family(), Family::Int | Family::Float | Family::Numeric | Family::Interval | Family::Unknown) {
                        let message = format!("operator does not exist: - {}", operand.type_name());
                        return Err(error::mistake(SqlMistake::UndefinedFunction, message));
                    }
                    Transformed::yes(Expr::Negative(Box::new(operand.expr)))
                }
                Expr::Not(inner) if matches!(*inner, Expr::InSubquery(InSubquery { negated: false, .. })) => match *inner {
                    Expr::InSubquery(tested) => Transformed::yes(set_comparison::not_in(InSubquery { negated: true, ..tested })),
                    inner => Transformed::no(Expr::Not(Box::new(inner))),
                },
                Expr::Not(inner) if is_unknown(&inner) => {
                    let typed = Operand::of(*inner, schema)?.into_type(PgType::BOOL, self.style())?;
                    Transformed::yes(Expr::Not(Box::new(typed.expr)))
                }
                Expr::Between(between) => Transformed::yes(self.between(between, schema)?),
                Expr::InList(list) => Transformed::yes(self.in_list(list, schema)?),
                Expr::SimilarTo(like) => Transformed::yes(self.similar(like, schema)?),
                Expr::Like(like) => Transformed::yes(self.like_operands(like, schema)?),
                Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
                    let expr = self.beside_column(*expr, &subquery, schema, "=")?;
                    let tested = InSubquery { expr: Box::new(expr), subquery, negated };
                    Transformed::yes(if negated { set_comparison::not_in(tested) } else { Expr::InSubquery(tested) })
                }
                Expr::SetComparison(SetComparison { expr, subquery, op, quantifier }) => {
                    let expr = self.beside_column(*expr, &subquery, schema, &op.to_string())?;
                    Transformed::yes(Expr::SetComparison(SetComparison { expr: Box::new(expr), subquery, op, quantifier }))
                }
                Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::IsDistinctFrom | Operator::IsNotDistinctFrom), right }) => {
                    let (left, right) = self.distinct_operands(*left, *right, schema)?;
                    Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right))))
                }
                Expr::Cast(Cast { expr, field }) => match *expr {
                    Expr::Placeholder(Placeholder { id, field: None }) => {
                        let typed = Placeholder::new_with_field(id, Some(Arc::clone(&field)));
                        Transformed::yes(Expr::Cast(Cast::new_from_field(Box::new(Expr::Placeholder(typed)), field)))
                    }
                    // Its digits must be known before what it is compared with is fitted to it.
                    Expr::Literal(ScalarValue::Utf8(Some(text)), None)
                        if field.name() == CAST_FIELD && pg_type(&field) == PgType::NUMERIC && field.data_type().is_decimal() =>
                    {
                        Transformed::yes(super::operand::numeric_literal(&text)?)
                    }
                    inner if field.name() == CAST_FIELD && pg_type(&field) == PgType::NUMERIC => {
                        let from = inner.get_type(schema)?;
                        let field = if from.is_decimal() || from.is_integer() { Arc::new(unconstrained_numeric(&from)) } else { field };
                        Transformed::yes(Expr::Cast(Cast::new_from_field(Box::new(inner), field)))
                    }
                    inner => Transformed::no(Expr::Cast(Cast::new_from_field(Box::new(inner), field))),
                },
                Expr::TryCast(_) => return Err(error::unsupported("TRY_CAST")),
                Expr::ScalarFunction(call) => self.scalar_call(call, schema)?,
                other => Transformed::no(other),
            })
        })
        .map(|transformed| transformed.data)
    }

    fn scalar_call(&self, call: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
        let ScalarFunction { func, args } = call;
        let mut result = None;
        let args = match func.name() {
            "coalesce" => {
                let (args, common) = self.unified(args, schema, "COALESCE")?;
                result = common;
                args
            }
            "#make_array" => self.unify(args, schema, "ARRAY")?,
            "to_json" | "to_jsonb" if args.iter().any(|arg| is_unknown(arg) && !matches!(arg, Expr::Placeholder(_))) => {
                let message = "could not determine polymorphic type because input has type unknown";
                return Err(error::mistake(SqlMistake::DatatypeMismatch, message));
            }
            "greatest" => self.unify(args, schema, "GREATEST")?,
            "least" => self.unify(args, schema, "LEAST")?,
            "nullif" => match <[Expr; 2]>::try_from(args) {
                Ok([left, right]) => {
                    let left = Operand::of(left, schema)?;
                    result = Some(left.pg).filter(|_| !left.unknown && left.family() == Family::Text);
                    let (left, right) = self.comparable(left, Operand::of(right, schema)?, "=")?;
                    vec![left.expr, right.expr]
                }
                Err(args) => args,
            },
            name @ ("#any" | "#all") => match <[Expr; 3]>::try_from(args) {
                Ok([element, operator, array]) => return self.quantified(name, element, operator, array, schema).map(Transformed::yes),
                Err(args) => args,
            },
            _ => return Ok(Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args }))),
        };
        let call = Expr::ScalarFunction(ScalarFunction { func, args });
        self.tagged(call, result).map(Transformed::yes)
    }

    /// The expression as of a type that DataFusion would forget, as it does of CASE.
    fn tagged(&self, expr: Expr, pg: Option<PgType>) -> Result<Expr> {
        let Some(pg) = pg.filter(|pg| pg.oid != PgType::NUMERIC.oid && PgType::element_of(pg.oid) != Some(PgType::NUMERIC.oid)) else {
            return Ok(expr);
        };
        match tag_of(pg) {
            Some(tag) => self.call("#as_type", vec![expr, lit(tag)]),
            None => Ok(expr),
        }
    }

    /// `element op ANY (array)`: both in one type; `= ANY` of constants becomes IN, which prunes.
    fn quantified(&self, name: &str, element: Expr, operator: Expr, array: Expr, schema: &DFSchema) -> Result<Expr> {
        let style = self.style();
        let (element, array) = (Operand::of(element, schema)?, Operand::of(array, schema)?);
        let element = if element.unknown { element.into_type(element_type(&array), style)? } else { element };
        let list_of = |pg: PgType| PgType::array_of(pg.oid).map_or(PgType::plain(1009), PgType::plain);
        let array = if array.unknown || array.family() == Family::Text {
            let wanted = list_of(element.comparison_type());
            Operand { unknown: true, ..array }.into_type(wanted, style)?
        } else {
            array
        };
        let item = Operand { expr: lit(ScalarValue::Null), pg: element_type(&array), arrow: item_type(&array), unknown: false };
        let common = common_type(&[element.clone(), item.clone()], "ANY")?;
        let element = if family_of(common) == element.family() && element.pg.oid == common.oid {
            element
        } else {
            element.into_type(common, style)?
        };
        let array =
            if item.pg.oid == common.oid || item.family() == Family::Numeric { array } else { array.into_type(list_of(common), style)? };
        let equals = matches!(&operator, Expr::Literal(ScalarValue::Utf8(Some(operator)), _) if operator == "=");
        if name == "#any"
            && equals
            && let Some(items) = constant_items(&array.expr)
        {
            return Ok(Expr::InList(InList { expr: Box::new(element.expr), list: items, negated: false }));
        }
        self.call(name, vec![element.expr, operator, array.expr])
    }

    fn case(&self, case: Case, schema: &DFSchema) -> Result<Expr> {
        let Case { expr, when_then_expr, else_expr } = case;
        let (mut whens, mut thens) = (Vec::new(), Vec::new());
        for (when, then) in when_then_expr {
            whens.push(*when);
            thens.push(*then);
        }
        let expr = match expr {
            Some(operand) => {
                let mut operand = Operand::of(*operand, schema)?;
                for when in &mut whens {
                    let candidate = Operand::of(when.clone(), schema)?;
                    let (left, right) = self.comparable(operand, candidate, "=")?;
                    operand = left;
                    *when = right.expr;
                }
                Some(Box::new(operand.expr))
            }
            None => {
                for when in &mut whens {
                    let condition = Operand::of(when.clone(), schema)?;
                    if condition.unknown {
                        *when = condition.into_type(PgType::BOOL, self.style())?.expr;
                    } else if condition.arrow != DataType::Boolean {
                        return Err(not_boolean("CASE/WHEN", &condition));
                    }
                }
                None
            }
        };
        let has_else = else_expr.is_some();
        // The default comes first in what decides the type (`transformCaseExpr`).
        let mut results: Vec<Expr> = else_expr.map(|expr| *expr).into_iter().collect();
        results.extend(thens);
        let (results, common) = self.unified(results, schema, "CASE")?;
        let mut results = results.into_iter();
        let else_expr = if has_else { results.next().map(Box::new) } else { None };
        let when_then_expr = whens.into_iter().zip(results).map(|(when, then)| (Box::new(when), Box::new(then))).collect();
        self.tagged(Expr::Case(Case { expr, when_then_expr, else_expr }), common)
    }

    fn between(&self, between: Between, schema: &DFSchema) -> Result<Expr> {
        let Between { expr, negated, low, high } = between;
        let operands = self.interval_keys(vec![Operand::of(*expr, schema)?, Operand::of(*low, schema)?, Operand::of(*high, schema)?])?;
        let Ok([value, low, high]) = <[Operand; 3]>::try_from(operands) else { return internal_err!("BETWEEN has three operands") };
        let (value, low) = self.comparable(value, low, ">=")?;
        let (value, high) = self.comparable(value, high, "<=")?;
        // The value may have changed its type for the upper bound.
        let (value, low) = self.comparable(value, low, ">=")?;
        Ok(Expr::Between(Between { expr: Box::new(value.expr), negated, low: Box::new(low.expr), high: Box::new(high.expr) }))
    }

    fn in_list(&self, list: InList, schema: &DFSchema) -> Result<Expr> {
        let InList { expr, list, negated } = list;
        let mut operands = vec![Operand::of(*expr, schema)?];
        for item in list {
            operands.push(Operand::of(item, schema)?);
        }
        let mut operands = self.interval_keys(operands)?.into_iter();
        let Some(mut value) = operands.next() else { return internal_err!("IN has a value") };
        let mut items = Vec::with_capacity(operands.len());
        for item in operands {
            let (changed, item) = self.comparable(value, item, "=")?;
            value = changed;
            items.push(item);
        }
        // Once more, for a value that changed its type along the list.
        let mut exprs = Vec::with_capacity(items.len());
        for item in items {
            let (changed, item) = self.comparable(value, item, "=")?;
            value = changed;
            exprs.push(item.expr);
        }
        Ok(Expr::InList(InList { expr: Box::new(value.expr), list: exprs, negated }))
    }

    fn like_operands(&self, like: Like, schema: &DFSchema) -> Result<Expr> {
        let Like { negated, expr, pattern, escape_char, case_insensitive } = like;
        let expr = Operand::of(*expr, schema)?;
        let pattern = Operand::of(*pattern, schema)?;
        if !matches!(expr.family(), Family::Text | Family::Unknown) || !matches!(pattern.family(), Family::Text | Family::Unknown) {
            return Err(crate::functions::types::undefined_operator(&expr.type_name(), "~~", &pattern.type_name()));
        }
        let expr = expr.into_type(PgType::TEXT, self.style())?;
        let pattern = pattern.into_type(PgType::TEXT, self.style())?;
        Ok(Expr::Like(Like { negated, expr: Box::new(expr.expr), pattern: Box::new(pattern.expr), escape_char, case_insensitive }))
    }

    fn similar(&self, like: Like, schema: &DFSchema) -> Result<Expr> {
        let Like { negated, expr, pattern, escape_char, .. } = like;
        let expr = Operand::of(*expr, schema)?.into_type(PgType::TEXT, self.style())?;
        let Expr::Literal(ScalarValue::Utf8(Some(pattern)), _) = *pattern else {
            return Err(error::unsupported("SIMILAR TO with a pattern that is not a literal"));
        };
        let translated = crate::functions::regex::similar(&pattern, escape_char)?;
        let operator = if negated { Operator::RegexNotMatch } else { Operator::RegexMatch };
        Ok(Expr::BinaryExpr(BinaryExpr::new(Box::new(expr.expr), operator, Box::new(lit(translated)))))
    }

    /// An expression compared with a subquery's column.
    fn beside_column(&self, expr: Expr, subquery: &Subquery, schema: &DFSchema, op: &str) -> Result<Expr> {
        let inner = subquery.subquery.schema();
        if inner.fields().len() != 1 {
            return Ok(expr);
        }
        let (qualifier, field) = inner.qualified_field(0);
        let column = Operand::of(Expr::Column((qualifier, field).into()), inner)?;
        let (expr, _) = self.comparable(Operand::of(expr, schema)?, column, op)?;
        Ok(expr.expr)
    }

    fn distinct_operands(&self, left: Expr, right: Expr, schema: &DFSchema) -> Result<(Expr, Expr)> {
        let (left, right) = (Operand::of(left, schema)?, Operand::of(right, schema)?);
        if matches!((&left.expr, &right.expr), (Expr::Literal(ScalarValue::Null, _), _) | (_, Expr::Literal(ScalarValue::Null, _))) {
            return Ok((left.expr, right.expr));
        }
        let (left, right) = self.comparable(left, right, "IS DISTINCT FROM")?;
        Ok((left.expr, right.expr))
    }

    /// Converts expressions to one type, as `select_common_type` picks it.
    ///
    /// # Errors
    /// 42804 with PostgreSQL's wording for the construct.
    pub fn unify(&self, exprs: Vec<Expr>, schema: &DFSchema, construct: &str) -> Result<Vec<Expr>> {
        self.unified(exprs, schema, construct).map(|(exprs, _)| exprs)
    }

    /// The same with the type; `None` where all are open.
    fn unified(&self, exprs: Vec<Expr>, schema: &DFSchema, construct: &str) -> Result<(Vec<Expr>, Option<PgType>)> {
        let operands = exprs.into_iter().map(|expr| Operand::of(expr, schema)).collect::<Result<Vec<_>>>()?;
        if operands.iter().all(|operand| operand.unknown) {
            // All open: text, but a lone NULL may still become anything.
            return Ok((operands.into_iter().map(|operand| operand.expr).collect(), None));
        }
        let common = common_type(&operands, construct)?;
        if common.oid == PgType::NUMERIC.oid {
            return Ok((self.unify_numerics(operands, common)?, Some(common)));
        }
        // A NULL among arrays takes the very type of the others: a list whose element is named otherwise is another type to Arrow.
        let list =
            operands.iter().find(|operand| !operand.unknown && operand.family() == Family::Array).map(|operand| operand.arrow.clone());
        let result = text_type(&operands).unwrap_or(common);
        let exprs = operands
            .into_iter()
            .map(|operand| {
                if let (Some(list), true) = (&list, is_null(&operand)) {
                    return Ok(ScalarValue::try_new_null(list).map_or(operand.expr, lit));
                }
                let same_family = !operand.unknown && family_of(common) == operand.family();
                let keeps = same_family && !(operand.family() == Family::Int && operand.pg != common);
                if keeps { Ok(operand.expr) } else { operand.into_type(common, self.style()).map(|operand| operand.expr) }
            })
            .collect::<Result<_>>()?;
        Ok((exprs, Some(result)))
    }
}

impl PgPlanner {
    /// Numerics in a decimal type that holds all their digits, before and after the point.
    fn unify_numerics(&self, operands: Vec<Operand>, common: PgType) -> Result<Vec<Expr>> {
        let operands = operands
            .into_iter()
            .map(|operand| match operand.unknown && !is_null(&operand) {
                true => operand.into_type(common, self.style()),
                false => Ok(operand),
            })
            .collect::<Result<Vec<_>>>()?;
        let Some((whole, scale)) = operands.iter().filter_map(decimal_digits).reduce(|a, b| (a.0.max(b.0), a.1.max(b.1))) else {
            return Ok(operands.into_iter().map(|operand| operand.expr).collect());
        };
        // Past the widest type there is, digits after the point give way.
        let scale = scale.min(76 - whole.min(76));
        let (precision, places) = (u8::try_from(whole + scale).unwrap_or(76).max(1), i8::try_from(scale).unwrap_or(0));
        let target = if precision <= 38 { DataType::Decimal128(precision, places) } else { DataType::Decimal256(precision, places) };
        Ok(operands
            .into_iter()
            .map(|operand| {
                if operand.arrow == target {
                    return operand.expr;
                }
                if is_null(&operand) {
                    return ScalarValue::try_new_null(&target).map_or(operand.expr, lit);
                }
                match &operand.expr {
                    Expr::Literal(value, metadata) if operand.family() == Family::Numeric || operand.family() == Family::Int => {
                        match value.cast_to(&target) {
                            Ok(value) => Expr::Literal(value, metadata.clone()),
                            Err(_) => widened(operand.expr, &target),
                        }
                    }
                    _ => widened(operand.expr, &target),
                }
            })
            .collect())
    }
}

/// The literal NULL, of no type yet.
fn is_null(operand: &Operand) -> bool {
    operand.unknown && matches!(&operand.expr, Expr::Literal(value, _) if value.is_null())
}

/// As `coerce_to_boolean` words it.
fn not_boolean(construct: &str, condition: &Operand) -> datafusion::error::DataFusionError {
    error::mistake(
        SqlMistake::DatatypeMismatch,
        format_args!("argument of {construct} must be type boolean, not type {}", condition.type_name()),
    )
}

/// A cast that only changes how many digits there is room for.
fn widened(expr: Expr, target: &DataType) -> Expr {
    Expr::Cast(Cast::new(Box::new(expr), target.clone()))
}

/// Digits before and after the point that a number's type has room for.
fn decimal_digits(operand: &Operand) -> Option<(usize, usize)> {
    let of = |precision: u8, scale: i8| {
        let scale = usize::try_from(scale).unwrap_or(0);
        (usize::from(precision).saturating_sub(scale), scale)
    };
    Some(match (&operand.expr, &operand.arrow) {
        (Expr::Literal(ScalarValue::Int32(Some(value)), _), _) => (value.unsigned_abs().to_string().len(), 0),
        (Expr::Literal(ScalarValue::Int64(Some(value)), _), _) => (value.unsigned_abs().to_string().len(), 0),
        (_, DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s) | DataType::Decimal256(p, s)) => of(*p, *s),
        (_, DataType::Int8 | DataType::Int16 | DataType::UInt8) => (5, 0),
        (_, DataType::Int32 | DataType::UInt16) => (10, 0),
        (_, DataType::Int64 | DataType::UInt32) => (19, 0),
        (_, DataType::UInt64) => (20, 0),
        _ => return None,
    })
}

/// The elements of a constant array of at least one.
fn constant_items(array: &Expr) -> Option<Vec<Expr>> {
    match array {
        Expr::Literal(ScalarValue::List(list), _) if list.len() == 1 && !list.is_null(0) => {
            let values = list.value(0);
            let items: Option<Vec<Expr>> =
                (0..values.len()).map(|at| ScalarValue::try_from_array(&values, at).ok().map(|value| Expr::Literal(value, None))).collect();
            items.filter(|items| !items.is_empty())
        }
        Expr::ScalarFunction(call) if call.func.name() == "#make_array" && !call.args.is_empty() => {
            call.args.iter().all(|arg| matches!(arg, Expr::Literal(..))).then(|| call.args.clone())
        }
        _ => None,
    }
}

pub(super) fn family_of(pg: PgType) -> Family {
    let arrow = cast_field(pg).map_or(DataType::Utf8, |field| field.data_type().clone());
    Operand { expr: lit(ScalarValue::Null), pg, arrow, unknown: false }.family()
}

/// The type of a construct whose known operands are all of text's category: the first one's, unless only the others convert to
/// text implicitly. `None` for other operands.
pub(super) fn text_type(operands: &[Operand]) -> Option<PgType> {
    let known: Vec<&Operand> = operands.iter().filter(|operand| !operand.unknown && operand.arrow != DataType::Null).collect();
    let first = known.first()?.pg;
    if known.iter().any(|operand| operand.family() != Family::Text) {
        return None;
    }
    if known.iter().all(|operand| operand.pg == first) {
        return Some(first);
    }
    let narrow = |pg: PgType| matches!(pg.oid, 18 | 194);
    Some(PgType::plain(known.iter().map(|operand| operand.pg).find(|pg| !narrow(*pg)).unwrap_or(first).oid))
}

/// The type that all known operands convert to implicitly.
pub(super) fn common_type(operands: &[Operand], construct: &str) -> Result<PgType> {
    let mut known = operands.iter().filter(|operand| !operand.unknown && operand.arrow != DataType::Null);
    let Some(first) = known.next() else { return Ok(PgType::TEXT) };
    let mut common = first.clone();
    for operand in known {
        use Family::{Date, Float, Int, Numeric, Oid, Text, Timestamp, Timestamptz};
        let takes_other = match (common.family(), operand.family()) {
            (Int, Int) => common.arrow.primitive_width() < operand.arrow.primitive_width(),
            (Int, Numeric | Float) | (Numeric, Float) => true,
            (Float, Float) => common.pg == PgType::FLOAT4 && operand.pg == PgType::FLOAT8,
            (Float | Numeric, Int) | (Float, Numeric) | (Numeric, Numeric) => false,
            (Oid, Int | Oid) => false,
            (Int, Oid) => true,
            (Text, Text) => false,
            (Date, Timestamp | Timestamptz) | (Timestamp, Timestamptz) => true,
            (Timestamp | Timestamptz, Date) | (Timestamptz, Timestamp) => false,
            (Family::Array, Family::Array) | (Family::Record, Family::Record) => false,
            (a, b) if a == b => false,
            _ => {
                return Err(error::mistake(
                    SqlMistake::DatatypeMismatch,
                    format_args!("{construct} types {} and {} cannot be matched", common.type_name(), operand.type_name()),
                ));
            }
        };
        if takes_other {
            common = operand.clone();
        }
    }
    // Modifiers hold only where all agree; DataFusion's coercion unites decimals.
    let agree = operands.iter().filter(|operand| !operand.unknown).all(|operand| operand.pg == common.pg);
    Ok(if agree { common.pg } else { common.comparison_type() })
}
