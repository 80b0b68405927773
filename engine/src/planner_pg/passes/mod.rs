//! Rewrites of the tree for shapes that DataFusion's planner does not take. Each keeps the meaning; none looks at text.
//! They run after the columns have their names, so that a rewritten expression keeps the name PostgreSQL gives it.

mod array_subquery;
mod bare_names;
mod beside_wildcards;
mod calls;
mod conditions;
mod expressions;
mod from_functions;
mod grouping;
mod grouping_sets;
mod hypothetical;
mod json_records;
mod multisets;
mod recursive;
mod row_values;
mod samples;
mod scope;
mod set_returning;
mod shadowed;
mod tableoid;
mod type_calls;
mod typed_casts;
mod values;
mod wildcards;
mod windows;

use std::ops::ControlFlow;

use datafusion::common::Result;
use datafusion::error::DataFusionError;
use sqlparser::ast::{self, Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, VisitMut};

pub use array_subquery::empty as empty_query;
pub use scope::{Places, Relations};

/// Runs all passes over a statement or expression.
///
/// # Errors
/// 0A000, 42703, 42702 and 42704 for what a pass finds to be unsupported or unknown.
pub fn run(node: &mut (impl VisitMut + ?Sized), relations: &dyn Relations) -> Result<()> {
    finish(node.visit(&mut shadowed::Shadowed::default()))?;
    finish(node.visit(&mut wildcards::Wildcards))?;
    finish(node.visit(&mut json_records::JsonRecords))?;
    finish(node.visit(&mut samples::Samples::new(relations)))?;
    finish(node.visit(&mut conditions::Conditions))?;
    finish(node.visit(&mut recursive::RecursiveLiterals))?;
    finish(node.visit(&mut values::BareValues))?;
    finish(node.visit(&mut beside_wildcards::BesideWildcards::new(relations)))?;
    finish(node.visit(&mut bare_names::BareNames::new(relations)))?;
    finish(node.visit(&mut windows::Windows))?;
    finish(node.visit(&mut grouping_sets::GroupingSets))?;
    finish(node.visit(&mut hypothetical::HypotheticalSets))?;
    finish(node.visit(&mut row_values::RowValues))?;
    finish(node.visit(&mut array_subquery::ArraySubqueries))?;
    finish(node.visit(&mut set_returning::SelectLists))?;
    finish(node.visit(&mut from_functions::LateralFunctions))?;
    finish(node.visit(&mut tableoid::TableOids::default()))?;
    finish(node.visit(&mut type_calls::TypeCalls))?;
    finish(node.visit(&mut expressions::Expressions))?;
    finish(node.visit(&mut calls::Calls))?;
    finish(node.visit(&mut typed_casts::TypedCasts))
}

type Flow = ControlFlow<Box<DataFusionError>>;

fn finish(flow: Flow) -> Result<()> {
    match flow {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

/// A call of a function by its exact name.
pub fn call(name: &str, args: Vec<Expr>) -> Expr {
    Expr::Function(ast::Function {
        name: ObjectName::from(vec![Ident::with_quote('"', name)]),
        uses_odbc_syntax: false,
        parameters: ast::FunctionArguments::None,
        args: ast::FunctionArguments::List(ast::FunctionArgumentList {
            duplicate_treatment: None,
            args: args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

fn string(text: impl Into<String>) -> Expr {
    Expr::value(ast::Value::SingleQuotedString(text.into()))
}

/// A name folded as PostgreSQL folds it.
fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// The last part of a function's name where it has none before it but `pg_catalog`.
fn function_name(name: &ObjectName) -> Option<String> {
    let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(folded).collect();
    match parts.as_slice() {
        [name] => Some(name.clone()),
        [schema, name] if schema == "pg_catalog" || schema == "information_schema" => Some(name.clone()),
        _ => None,
    }
}

/// Takes an expression out of its place.
fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::value(ast::Value::Null))
}
