//! `json_to_record` and `json_to_recordset` in FROM, with the columns that their alias lists, as selects over the members
//! (`populate_record_worker`): `jsonb_to_recordset(x) AS t (a int)` is `(SELECT (e ->> 'a')::int AS a FROM jsonb_array_elements(x) e) AS t`.

use std::ops::ControlFlow;

use lakegate_engine_api::SqlMistake;
use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, SelectItem, SetExpr, TableAlias,
    TableAliasColumnDef, TableFactor, TableFunctionArgs, TableWithJoins, VisitorMut,
};

use super::array_subquery::{empty, select};
use super::{Flow, call, folded, function_name, string};
use crate::functions::error::{mistake, unsupported};
use datafusion::common::Result;

/// The relation of one column that holds the objects.
const OBJECTS: &str = "\u{0}objects";

pub struct JsonRecords;

impl VisitorMut for JsonRecords {
    type Break = Box<datafusion::error::DataFusionError>;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> Flow {
        let (name, args, alias) = match factor {
            TableFactor::Table { name, args: Some(TableFunctionArgs { args, .. }), alias, .. } => (name, args, alias),
            TableFactor::Function { name, args, alias, .. } => (name, args, alias),
            _ => return ControlFlow::Continue(()),
        };
        let function = function_name(name).unwrap_or_default();
        let (prefix, is_set) = match function.as_str() {
            "json_to_record" => ("json", false),
            "jsonb_to_record" => ("jsonb", false),
            "json_to_recordset" => ("json", true),
            "jsonb_to_recordset" => ("jsonb", true),
            _ => return ControlFlow::Continue(()),
        };
        match spelled(prefix, is_set, args, alias.as_ref()) {
            Ok(derived) => {
                *factor = derived;
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}

fn spelled(prefix: &str, is_set: bool, args: &[FunctionArg], alias: Option<&TableAlias>) -> Result<TableFactor> {
    let typed = |column: &TableAliasColumnDef| column.data_type.clone().map(|data_type| (folded(&column.name), data_type));
    let columns: Option<Vec<(String, DataType)>> = alias.and_then(|alias| alias.columns.iter().map(typed).collect());
    let (Some(alias), Some(columns)) = (alias, columns.filter(|columns| !columns.is_empty())) else {
        return Err(mistake(SqlMistake::Syntax, "a column definition list is required for functions returning \"record\""));
    };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(value))] = args else {
        return Err(unsupported("these arguments of a function that gives records"));
    };
    let value = Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(Expr::Nested(Box::new(value.clone()))),
        data_type: if prefix == "json" { DataType::JSON } else { DataType::JSONB },
        array: false,
        format: None,
    };
    let object = Expr::CompoundIdentifier(vec![quoted(OBJECTS), quoted("value")]);
    let mut body = select();
    body.projection = columns
        .iter()
        .map(|(name, data_type)| SelectItem::ExprWithAlias { expr: member(prefix, &object, name, data_type), alias: quoted(name) })
        .collect();
    body.from = vec![TableWithJoins { relation: objects(prefix, is_set, value), joins: Vec::new() }];
    let mut query = empty();
    *query.body = SetExpr::Select(Box::new(body));
    let columns = alias.columns.iter().map(|column| TableAliasColumnDef { name: column.name.clone(), data_type: None }).collect();
    let alias = Some(TableAlias { columns, ..alias.clone() });
    Ok(TableFactor::Derived { lateral: true, subquery: Box::new(query), alias, sample: None })
}

/// The elements, or the one value, as a relation.
fn objects(prefix: &str, is_set: bool, value: Expr) -> TableFactor {
    let alias = Some(TableAlias {
        explicit: true,
        name: quoted(OBJECTS),
        columns: vec![TableAliasColumnDef { name: quoted("value"), data_type: None }],
        at: None,
    });
    if is_set {
        return TableFactor::Function {
            lateral: true,
            name: ObjectName::from(vec![Ident::new(format!("{prefix}_array_elements"))]),
            args: vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(value))],
            with_ordinality: false,
            alias,
        };
    }
    let mut body = select();
    body.projection = vec![SelectItem::ExprWithAlias { expr: value, alias: quoted("value") }];
    let mut query = empty();
    *query.body = SetExpr::Select(Box::new(body));
    TableFactor::Derived { lateral: true, subquery: Box::new(query), alias, sample: None }
}

/// A member as a value of a type: JSON stays what it is, a list of JSON becomes an array, all else is read from its text.
fn member(prefix: &str, object: &Expr, name: &str, data_type: &DataType) -> Expr {
    let arrow = |op: BinaryOperator| Expr::Nested(Box::new(binary(object.clone(), op, string(name))));
    let cast =
        |expr: Expr| Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type: data_type.clone(), array: false, format: None };
    match data_type {
        DataType::JSON | DataType::JSONB => cast(arrow(BinaryOperator::Arrow)),
        DataType::Array(_) => {
            let kind = call(&format!("{prefix}_typeof"), vec![arrow(BinaryOperator::Arrow)]);
            let elements = call("#json_array_elements_text", vec![arrow(BinaryOperator::Arrow)]);
            Expr::Case {
                case_token: sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
                end_token: sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
                operand: None,
                conditions: vec![sqlparser::ast::CaseWhen {
                    condition: binary(kind, BinaryOperator::Eq, string("array")),
                    result: cast(elements),
                }],
                else_result: Some(Box::new(cast(arrow(BinaryOperator::LongArrow)))),
            }
        }
        _ => cast(arrow(BinaryOperator::LongArrow)),
    }
}

fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}
