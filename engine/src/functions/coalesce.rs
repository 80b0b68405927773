//! `coalesce`, whose arguments may disagree while planning because some are literals of a type yet to be settled.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::conditional_expressions::CaseBuilder;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::type_coercion::binary::type_union_coercion;
use datafusion::logical_expr::{ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use lakegate_engine_api::SqlMistake;

use super::bounds::any_of_its_type;
use super::error::mistake;
use super::types::{describe, is_text};

/// Becomes a CASE before it runs, so that no argument is computed in vain.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Coalesce {
    signature: Signature,
}

impl Coalesce {
    #[must_use]
    pub fn new() -> Self {
        Coalesce { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

/// The common type; text gives way to whatever stands beside it.
fn common(types: &[DataType]) -> Result<DataType> {
    let mut common = DataType::Null;
    for data_type in types {
        common = match (&common, data_type) {
            (a, b) if a == b => common,
            (DataType::Null, other) | (other, DataType::Null) => other.clone(),
            (a, b) if is_text(a) && !is_text(b) => b.clone(),
            (a, b) if is_text(b) && !is_text(a) => a.clone(),
            (a, b) => type_union_coercion(a, b).ok_or_else(|| {
                mistake(SqlMistake::DatatypeMismatch, format_args!("COALESCE types {} and {} cannot be matched", describe(a), describe(b)))
            })?,
        };
    }
    Ok(common)
}

impl ScalarUDFImpl for Coalesce {
    fn name(&self) -> &str {
        "coalesce"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        common(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<datafusion::arrow::datatypes::FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let common = common(&types)?;
        let nullable = args.arg_fields.iter().all(|field| field.is_nullable());
        // The PostgreSQL type stays where all arguments share it.
        let first = args.arg_fields.first().map(|field| field.metadata().clone()).unwrap_or_default();
        let shared = args.arg_fields.iter().all(|field| *field.metadata() == first);
        let field = datafusion::arrow::datatypes::Field::new(self.name(), common, nullable);
        Ok(std::sync::Arc::new(if shared { field.with_metadata(first) } else { field }))
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if types.is_empty() {
            return Err(mistake(SqlMistake::Syntax, "coalesce needs an argument"));
        }
        Ok(vec![common(types)?; types.len()])
    }

    fn simplify(&self, args: Vec<Expr>, _info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let mut args = args;
        let Some(last) = args.pop() else { return internal_err!("coalesce has an argument") };
        if args.is_empty() {
            return Ok(ExprSimplifyResult::Simplified(last));
        }
        let whens = args.iter().map(|arg| arg.clone().is_not_null()).collect();
        CaseBuilder::new(None, whens, args, Some(Box::new(last))).end().map(ExprSimplifyResult::Simplified)
    }

    fn conditional_arguments<'a>(&self, args: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        let (first, rest) = args.split_first()?;
        Some((vec![first], rest.iter().collect()))
    }

    fn short_circuits(&self) -> bool {
        true
    }

    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        any_of_its_type(self, inputs)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // Plans that were not simplified: row by row over whole columns.
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let mut arrays = arrays.into_iter();
        let Some(mut result) = arrays.next() else { return internal_err!("coalesce has an argument") };
        for array in arrays {
            let present = datafusion::arrow::compute::is_not_null(&result)?;
            result = datafusion::arrow::compute::kernels::zip::zip(&present, &result, &array)?;
        }
        Ok(ColumnarValue::Array(result))
    }
}
