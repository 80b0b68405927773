//! `+`, `-`, `*`, `/` of floats: what overflows, underflows or divides by zero is an error, not an infinity
//! (`float8_pl` and its kin in float.h).

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, Datum, PrimitiveArray};
use datafusion::arrow::compute::kernels::numeric::{add, div, mul, sub};
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::{Result, internal_err};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use lakegate_engine_api::DataError;

use super::arithmetic::division_by_zero;
use super::bounds::any_of_its_type;
use super::error::data;
use super::kernel;

pub static FLOAT_ADD: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| FloatOp::udf('+'));
pub static FLOAT_SUB: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| FloatOp::udf('-'));
pub static FLOAT_MUL: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| FloatOp::udf('*'));
pub static FLOAT_DIV: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| FloatOp::udf('/'));

/// 22003.
pub fn overflow() -> DataFusionError {
    data(DataError::NumericOutOfRange, "value out of range: overflow")
}

/// 22003.
pub fn underflow() -> DataFusionError {
    data(DataError::NumericOutOfRange, "value out of range: underflow")
}

/// An operator over two floats of one width.
#[derive(Debug, PartialEq, Eq, Hash)]
struct FloatOp {
    operator: char,
    name: String,
    signature: Signature,
}

impl FloatOp {
    fn udf(operator: char) -> Arc<ScalarUDF> {
        let widths = vec![DataType::Float32, DataType::Float64];
        let name = format!("float{operator}");
        Arc::new(ScalarUDF::new_from_impl(FloatOp { operator, name, signature: Signature::uniform(2, widths, Volatility::Immutable) }))
    }
}

impl ScalarUDFImpl for FloatOp {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn schema_name(&self, args: &[datafusion::logical_expr::Expr]) -> Result<String> {
        match args {
            [left, right] => Ok(format!("{} {} {}", left.schema_name(), self.operator, right.schema_name())),
            _ => internal_err!("two operands were expected"),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        types.first().cloned().map_or_else(|| internal_err!("an operand was expected"), Ok)
    }

    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        any_of_its_type(self, inputs)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let kernel = match self.operator {
            '+' => add,
            '-' => sub,
            '*' => mul,
            _ => div,
        };
        kernel::binary(&args.args, |left, right| {
            let result = kernel(left, right)?;
            match result.data_type() {
                DataType::Float32 => check::<Float32Type>(self.operator, left, right, &result)?,
                _ => check::<Float64Type>(self.operator, left, right, &result)?,
            }
            Ok(result)
        })
    }
}

/// Looks at the operands only where a result is one that may have lost them.
fn check<T: ArrowPrimitiveType>(operator: char, left: &dyn Datum, right: &dyn Datum, result: &ArrayRef) -> Result<()>
where
    T::Native: Into<f64>,
{
    let result = result.as_primitive::<T>();
    let suspicious = |value: f64| !value.is_finite() || (value == 0.0 && matches!(operator, '*' | '/'));
    if !result.values().iter().any(|value| suspicious((*value).into())) {
        return Ok(());
    }
    let ((left, left_constant), (right, right_constant)) = (left.get(), right.get());
    let (left, right) = (left.as_primitive::<T>(), right.as_primitive::<T>());
    let value = |array: &PrimitiveArray<T>, constant: bool, at: usize| -> f64 { array.value(if constant { 0 } else { at }).into() };
    for at in (0..result.len()).filter(|at| result.is_valid(*at)) {
        let outcome: f64 = result.value(at).into();
        if suspicious(outcome) {
            refuse(operator, value(left, left_constant, at), value(right, right_constant, at), outcome)?;
        }
    }
    Ok(())
}

fn refuse(operator: char, left: f64, right: f64, result: f64) -> Result<()> {
    if operator == '/' {
        if right == 0.0 && !left.is_nan() {
            return Err(division_by_zero());
        }
        if result.is_infinite() && !left.is_infinite() {
            return Err(overflow());
        }
        if result == 0.0 && left != 0.0 && !right.is_infinite() {
            return Err(underflow());
        }
        return Ok(());
    }
    if result.is_infinite() && !left.is_infinite() && !right.is_infinite() {
        return Err(overflow());
    }
    if operator == '*' && result == 0.0 && left != 0.0 && right != 0.0 {
        return Err(underflow());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused() {
        let (large, small) = (1e308, 1e-300);
        assert!(refuse('*', large, 10.0, large * 10.0).is_err());
        assert!(refuse('*', small, small, 0.0).is_err());
        assert!(refuse('*', 0.0, small, 0.0).is_ok());
        assert!(refuse('+', f64::INFINITY, 1.0, f64::INFINITY).is_ok());
        assert!(refuse('/', 1.0, 0.0, f64::INFINITY).is_err());
        assert!(refuse('/', 0.0, 0.0, f64::NAN).is_err());
        assert!(refuse('/', f64::NAN, 0.0, f64::NAN).is_ok());
        assert!(refuse('/', 1.0, f64::INFINITY, 0.0).is_ok());
    }
}
