//! Functions in FROM: set-returning ones become a list that is unnested, others give one row.

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::{Column, DFSchema, NullHandling, Result, ScalarValue, TableReference, UnnestOptions};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, cast, ident, lit};
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{PG_TYPE_KEY, SqlMistake, pg_type};
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, Ident, ObjectName, TableAlias, TableFactor};

use super::PgPlanner;
use super::list_types::tag_of;
use super::operand::{Operand, int4_literals, is_unknown};
use crate::functions::error;
use crate::functions::sets::{SetFunction, set_function};
use crate::plan::another;

impl RelationPlanner for PgPlanner {
    fn plan_relation(&self, relation: TableFactor, context: &mut dyn RelationPlannerContext) -> Result<RelationPlanning> {
        let (name, args, with_ordinality, alias) = match relation {
            TableFactor::Table { name, alias, args: Some(args), with_ordinality, .. } => (name, args.args, with_ordinality, alias),
            TableFactor::Function { name, args, with_ordinality, alias, .. } => (name, args, with_ordinality, alias),
            TableFactor::UNNEST { alias, array_exprs, with_offset: false, with_ordinality, .. } => {
                let args = array_exprs.into_iter().map(|expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))).collect();
                (ObjectName::from(vec![Ident::new("unnest")]), args, with_ordinality, alias)
            }
            TableFactor::Derived { subquery, alias, .. } if plain_values(&subquery).is_some() => {
                let rows = plain_values(&subquery).cloned().unwrap_or_default();
                return self.values_relation(rows, alias, context).map(|planned| RelationPlanning::Planned(Box::new(planned)));
            }
            other => return Ok(RelationPlanning::Original(Box::new(other))),
        };
        let name = function_name(&name, context)?;
        let planned = self.function_relation(&name, args, with_ordinality, alias, context)?;
        Ok(RelationPlanning::Planned(Box::new(planned)))
    }
}

impl PgPlanner {
    fn function_relation(
        &self,
        name: &str,
        args: Vec<FunctionArg>,
        with_ordinality: bool,
        alias: Option<TableAlias>,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<PlannedRelation> {
        let set = set_function(name);
        let (plan, columns) = if let Some(set) = &set {
            let args = self.arguments(args, context)?;
            match self.streamed_series(name, &args, with_ordinality, context)? {
                Some(plan) => (plan, vec![name.to_owned()]),
                None => {
                    let (plan, mut columns) = self.unnested(name, set, args, with_ordinality)?;
                    if let (Some(value), Some(first)) = (set.value, columns.first_mut()) {
                        let renamed = plan
                            .schema()
                            .columns()
                            .into_iter()
                            .enumerate()
                            .map(|(at, column)| if at == 0 { Expr::Column(column).alias(value) } else { Expr::Column(column) });
                        *first = value.to_owned();
                        (LogicalPlanBuilder::from(plan).project(renamed.collect::<Vec<_>>())?.build()?, columns)
                    } else {
                        (plan, columns)
                    }
                }
            }
        } else {
            let call = ast::Expr::Function(ast::Function {
                name: ObjectName::from(vec![Ident::with_quote('"', name)]),
                uses_odbc_syntax: false,
                parameters: ast::FunctionArguments::None,
                args: ast::FunctionArguments::List(ast::FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
                filter: None,
                null_treatment: None,
                over: None,
                within_group: Vec::new(),
            });
            let expr = context.sql_to_expr(call, &DFSchema::empty())?;
            let mut builder = LogicalPlanBuilder::empty(true).project(vec![expr.alias(name)])?;
            let mut columns = vec![name.to_owned()];
            if with_ordinality {
                builder = builder.project(vec![ident(name), cast(lit(1_i64), DataType::Int64).alias("ordinality")])?;
                columns.push("ordinality".to_owned());
            }
            (builder.build()?, columns)
        };
        aliased(plan, columns, name, set.is_none_or(|set| set.columns.is_empty() && set.value.is_none()), alias, context)
    }

    fn arguments(&self, args: Vec<FunctionArg>, context: &mut dyn RelationPlannerContext) -> Result<Vec<Expr>> {
        let empty = DFSchema::empty();
        args.into_iter()
            .map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => context.sql_to_expr(expr, &empty).and_then(int4_literals),
                _ => Err(error::unsupported("named arguments of a function in FROM")),
            })
            .collect()
    }

    /// `generate_series` over constant integers streams; it may be longer than memory.
    fn streamed_series(
        &self,
        name: &str,
        args: &[Expr],
        with_ordinality: bool,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<Option<LogicalPlan>> {
        if name != "generate_series" || with_ordinality || !args.iter().all(|arg| matches!(arg, Expr::Literal(..))) {
            return Ok(None);
        }
        let empty = DFSchema::empty();
        let operands = args.iter().map(|arg| Operand::of(arg.clone(), &empty)).collect::<Result<Vec<_>>>()?;
        // A step of zero is the list's to refuse.
        if args.get(2).is_some_and(|step| matches!(step, Expr::Literal(ScalarValue::Int32(Some(0)) | ScalarValue::Int64(Some(0)), _))) {
            return Ok(None);
        }
        let wide = operands.iter().any(|operand| operand.arrow == DataType::Int64);
        if !operands.iter().all(|operand| matches!(operand.arrow, DataType::Int32 | DataType::Int64)) {
            return Ok(None);
        }
        let values = args.iter().map(|arg| cast(arg.clone(), DataType::Int64)).collect();
        let source = context.context_provider().get_table_function_source("generate_series", values)?;
        let scan = LogicalPlanBuilder::scan(TableReference::bare("generate_series"), source, None)?.build()?;
        let value = Expr::Column(Column::from(scan.schema().qualified_field(0)));
        let value = if wide { value } else { cast(value, DataType::Int32) };
        LogicalPlanBuilder::from(scan).project(vec![value.alias(name)])?.build().map(Some)
    }

    /// The rows of a list, and the names of their columns.
    fn unnested(&self, name: &str, set: &SetFunction, args: Vec<Expr>, with_ordinality: bool) -> Result<(LogicalPlan, Vec<String>)> {
        if name == "unnest" && args.len() > 1 {
            return self.unnest_many(args, with_ordinality);
        }
        let args = self.json_argument(name, args)?;
        let list = self.call(set.list, args)?;
        let tag = element_tag(&list)?;
        let list = if with_ordinality { self.call("#with_ordinality", vec![list])? } else { list };
        let plan = LogicalPlanBuilder::empty(true)
            .project(vec![list.alias(name)])?
            .unnest_column_with_options(Column::from_name(name), dropping())?
            .build()?;
        let row = ident(name);
        let (value, ordinality) = if with_ordinality {
            (self.call("#field", vec![row.clone(), lit("v")])?, Some(self.call("#field", vec![row, lit("ordinality")])?))
        } else {
            // Unnesting forgets what the elements are.
            let value = match tag {
                Some(tag) => self.call("#as_type", vec![row, lit(tag)])?,
                None => row,
            };
            (value, None)
        };
        let (mut exprs, mut columns) = (Vec::new(), Vec::new());
        if set.columns.is_empty() {
            exprs.push(value.alias(name));
            columns.push(name.to_owned());
        } else {
            for column in set.columns {
                exprs.push(self.call("#field", vec![value.clone(), lit(*column)])?.alias(*column));
                columns.push((*column).to_owned());
            }
        }
        if let Some(ordinality) = ordinality {
            exprs.push(ordinality.alias("ordinality"));
            columns.push("ordinality".to_owned());
        }
        Ok((LogicalPlanBuilder::from(plan).project(exprs)?.build()?, columns))
    }

    /// An open literal given to a json function is JSON.
    fn json_argument(&self, name: &str, mut args: Vec<Expr>) -> Result<Vec<Expr>> {
        let wanted = if name.starts_with("jsonb_") {
            PgType::JSONB
        } else if name.starts_with("json_") {
            PgType::JSON
        } else {
            return Ok(args);
        };
        if let Some(first) = args.first_mut()
            && is_unknown(first)
        {
            let operand = Operand::of(first.clone(), &DFSchema::empty())?;
            *first = operand.into_type(wanted, self.style())?.expr;
        }
        Ok(args)
    }

    /// `unnest(a, b)` runs in step, shorter arrays padded with NULL.
    fn unnest_many(&self, args: Vec<Expr>, with_ordinality: bool) -> Result<(LogicalPlan, Vec<String>)> {
        // All have one name, which a plan does not take.
        let name = |at: usize| if at == 0 { "unnest".to_owned() } else { another(at, "unnest") };
        let mut names: Vec<String> = (0..args.len()).map(name).collect();
        let mut exprs = Vec::with_capacity(args.len() + 1);
        if with_ordinality {
            let lengths = args.iter().map(|arg| self.call("cardinality", vec![arg.clone()])).collect::<Result<Vec<_>>>()?;
            let longest = cast(self.call("greatest", lengths)?, DataType::Int64);
            names.push("ordinality".to_owned());
            exprs.push(self.call("#generate_series", vec![lit(1_i64), longest])?.alias("ordinality"));
        }
        let tags = args.iter().map(element_tag).collect::<Result<Vec<_>>>()?;
        exprs.splice(0..0, args.into_iter().zip(&names).map(|(arg, name)| arg.alias(name)));
        let columns = names.iter().map(Column::from_name).collect();
        let plan = LogicalPlanBuilder::empty(true).project(exprs)?.unnest_columns_with_options(columns, dropping())?.build()?;
        if tags.iter().all(Option::is_none) {
            return Ok((plan, names));
        }
        // Unnesting forgets what the elements are.
        let tags = tags.into_iter().chain(std::iter::repeat(None));
        let values = names.iter().zip(tags).map(|(name, tag)| {
            let value = match tag {
                Some(tag) => self.call("#as_type", vec![ident(name), lit(tag)])?,
                None => ident(name),
            };
            Ok(value.alias(name))
        });
        let plan = LogicalPlanBuilder::from(plan).project(values.collect::<Result<Vec<_>>>()?)?.build()?;
        Ok((plan, names))
    }
}

impl PgPlanner {
    /// `(VALUES …) alias`: each column in one type, as PostgreSQL picks it.
    fn values_relation(
        &self,
        rows: Vec<ast::Parens<Vec<ast::Expr>>>,
        alias: Option<TableAlias>,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<PlannedRelation> {
        let empty = DFSchema::empty();
        let width = rows.first().map_or(0, |row| row.content.len());
        if rows.iter().any(|row| row.content.len() != width) {
            return Err(error::mistake(SqlMistake::Syntax, "VALUES lists must all be the same length"));
        }
        let mut columns: Vec<Vec<Expr>> = vec![Vec::with_capacity(rows.len()); width];
        for row in rows {
            for (cell, column) in row.content.into_iter().zip(&mut columns) {
                let expr = context.sql_to_expr(cell, &empty)?;
                column.push(self.resolve_expr(int4_literals(expr)?, &empty)?);
            }
        }
        let columns = columns.into_iter().map(|cells| self.typed_column(cells, &empty)).collect::<Result<Vec<_>>>()?;
        let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
        let count = columns.first().map_or(0, ExactSizeIterator::len);
        let rows = (0..count).map(|_| columns.iter_mut().filter_map(Iterator::next).collect()).collect();
        let plan = LogicalPlanBuilder::values(rows)?.build()?;
        let names = (1..=width).map(|at| format!("column{at}")).collect();
        aliased(plan, names, "*VALUES*", false, alias, context)
    }

    fn typed_column(&self, cells: Vec<Expr>, empty: &DFSchema) -> Result<Vec<Expr>> {
        if !cells.iter().all(is_unknown) {
            return one_tag(self.unify(cells, empty, "VALUES")?, empty);
        }
        let texts = cells.into_iter().map(|cell| Ok(Operand::of(cell, empty)?.into_type(PgType::TEXT, self.style())?.expr));
        one_tag(texts.collect::<Result<_>>()?, empty)
    }
}

/// The tag of a list's elements, where they have one.
fn element_tag(list: &Expr) -> Result<Option<String>> {
    let field = list.to_field(&DFSchema::empty())?.1;
    let own = match field.data_type() {
        DataType::List(element) => element.metadata().get(PG_TYPE_KEY).cloned(),
        _ => None,
    };
    let by_list = PgType::element_of(pg_type(&field).oid).filter(|_| field.metadata().contains_key(PG_TYPE_KEY));
    Ok(own.or_else(|| by_list.and_then(|element| tag_of(PgType::plain(element)))))
}

/// Cells under one tag, as a plan's VALUES must have them: where they differ, the one of the type without its modifier.
fn one_tag(cells: Vec<Expr>, empty: &DFSchema) -> Result<Vec<Expr>> {
    let fields = cells.iter().map(|cell| cell.to_field(empty).map(|(_, field)| field)).collect::<Result<Vec<_>>>()?;
    let Some(first) = fields.first() else { return Ok(cells) };
    if fields.iter().all(|field| field.metadata() == first.metadata()) {
        return Ok(cells);
    }
    let known = fields.iter().find(|field| !field.metadata().is_empty()).unwrap_or(first);
    let pg = PgType::plain(pg_type(known).oid);
    // A decimal without a tag has the digits of its type; with the tag of `numeric` it would be one of open digits.
    let tag = if first.data_type().is_decimal() { None } else { Some((PG_TYPE_KEY.to_owned(), pg.oid.to_string())) };
    let tag: std::collections::HashMap<String, String> = tag.into_iter().collect();
    Ok(cells
        .into_iter()
        .map(|cell| match cell {
            Expr::Literal(value, _) => {
                let metadata = (!tag.is_empty()).then(|| FieldMetadata::from(tag.clone()));
                Expr::Literal(value, metadata)
            }
            other => {
                let target = Field::new("tagged", first.data_type().clone(), true).with_metadata(tag.clone());
                Expr::Cast(Cast::new_from_field(Box::new(other), target.into()))
            }
        })
        .collect())
}

/// The rows of a query that is nothing but VALUES.
fn plain_values(query: &ast::Query) -> Option<&Vec<ast::Parens<Vec<ast::Expr>>>> {
    let plain = query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none() && query.fetch.is_none();
    match query.body.as_ref() {
        ast::SetExpr::Values(values) if plain => Some(&values.rows),
        _ => None,
    }
}

fn dropping() -> UnnestOptions {
    UnnestOptions::new().with_null_handling(NullHandling::Drop)
}

/// A function's own name, without `pg_catalog`.
fn function_name(name: &ObjectName, context: &dyn RelationPlannerContext) -> Result<String> {
    let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(|ident| context.normalize_ident(ident.clone())).collect();
    match parts.as_slice() {
        [name] => Ok(name.clone()),
        [schema, name] if schema == "pg_catalog" || schema == "information_schema" => Ok(name.clone()),
        _ => Err(error::mistake(SqlMistake::UndefinedFunction, format_args!("function {} does not exist", parts.join(".")))),
    }
}

/// Names the relation and its columns: a lone column takes the alias's name.
fn aliased(
    plan: LogicalPlan,
    columns: Vec<String>,
    function: &str,
    scalar: bool,
    alias: Option<TableAlias>,
    context: &dyn RelationPlannerContext,
) -> Result<PlannedRelation> {
    let (relation, given) = match alias {
        Some(alias) => {
            let given: Vec<String> = alias.columns.iter().map(|column| context.normalize_ident(column.name.clone())).collect();
            (context.normalize_ident(alias.name), given)
        }
        None => (function.to_owned(), Vec::new()),
    };
    if given.len() > columns.len() {
        return Err(error::mistake(
            SqlMistake::InvalidColumnReference,
            format_args!("table \"{relation}\" has {} columns available but {} columns specified", columns.len(), given.len()),
        ));
    }
    let exprs: Vec<Expr> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let name = match given.get(at) {
                Some(name) => name.clone(),
                None if at == 0 && scalar => relation.clone(),
                None => column.clone(),
            };
            ident(column).alias(name)
        })
        .collect();
    let plan = LogicalPlanBuilder::from(plan).project(exprs)?.alias(relation.as_str())?.build()?;
    Ok(PlannedRelation::new(plan, None))
}
