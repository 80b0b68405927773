//! `date(x)`, `text(x)`, `int4(x)`: a call of a type's name with one argument is a cast (documentation, section 10.3, step 4). The names
//! that the grammar takes for types itself (`numeric(2)`, `timestamp(3)`) cannot be called.

use std::ops::ControlFlow;

use sqlparser::ast::{CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, VisitorMut};

use super::{Flow, function_name, take};

pub struct TypeCalls;

const TYPES: &[&str] = &[
    "bool",
    "bpchar",
    "bytea",
    "date",
    "float4",
    "float8",
    "int2",
    "int4",
    "int8",
    "json",
    "jsonb",
    "name",
    "oid",
    "regclass",
    "regnamespace",
    "regproc",
    "regrole",
    "regtype",
    "text",
    "timestamptz",
    "uuid",
];

impl VisitorMut for TypeCalls {
    type Break = Box<datafusion::error::DataFusionError>;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        if let Expr::Function(function) = expr
            && let Some(name) = TYPES.iter().find(|name| function_name(&function.name).as_deref() == Some(**name))
            && let Some(argument) = only_argument(function)
        {
            *expr = Expr::Cast {
                kind: CastKind::Cast,
                expr: Box::new(argument),
                data_type: DataType::Custom(ObjectName::from(vec![Ident::new(*name)]), Vec::new()),
                array: false,
                format: None,
            };
        }
        ControlFlow::Continue(())
    }
}

/// The argument of a plain call.
fn only_argument(function: &mut Function) -> Option<Expr> {
    if function.over.is_some() || function.filter.is_some() || !function.within_group.is_empty() {
        return None;
    }
    let FunctionArguments::List(list) = &mut function.args else { return None };
    if list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
        return None;
    }
    match list.args.as_mut_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] => Some(take(argument)),
        _ => None,
    }
}
