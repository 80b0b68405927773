//! Running whole-column kernels over arguments of which some are constants.

use datafusion::arrow::array::{ArrayRef, Datum, Scalar};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::ColumnarValue;

/// Applies a kernel over two arguments; two constants give a constant.
pub fn binary(args: &[ColumnarValue], kernel: impl Fn(&dyn Datum, &dyn Datum) -> Result<ArrayRef>) -> Result<ColumnarValue> {
    let [left, right] = args else { return internal_err!("two arguments were expected, not {}", args.len()) };
    let result = match (left, right) {
        (ColumnarValue::Array(left), ColumnarValue::Array(right)) => kernel(left, right)?,
        (ColumnarValue::Array(left), ColumnarValue::Scalar(right)) => kernel(left, &constant(right)?)?,
        (ColumnarValue::Scalar(left), ColumnarValue::Array(right)) => kernel(&constant(left)?, right)?,
        (ColumnarValue::Scalar(left), ColumnarValue::Scalar(right)) => {
            let result = kernel(&left.to_array()?, &right.to_array()?)?;
            return ScalarValue::try_from_array(&result, 0).map(ColumnarValue::Scalar);
        }
    };
    Ok(ColumnarValue::Array(result))
}

/// Applies a function to one argument's array.
pub fn unary(arg: &ColumnarValue, kernel: impl Fn(&ArrayRef) -> Result<ArrayRef>) -> Result<ColumnarValue> {
    match arg {
        ColumnarValue::Array(array) => kernel(array).map(ColumnarValue::Array),
        ColumnarValue::Scalar(scalar) => {
            let result = kernel(&scalar.to_array()?)?;
            ScalarValue::try_from_array(&result, 0).map(ColumnarValue::Scalar)
        }
    }
}

fn constant(value: &ScalarValue) -> Result<Scalar<ArrayRef>> {
    value.to_scalar()
}
