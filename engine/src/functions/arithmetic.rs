//! Arithmetic that must fail where PostgreSQL's does: integers that overflow, numeric division.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, Datum, Decimal128Array, Decimal256Array, new_null_array};
use datafusion::arrow::compute::kernels::numeric::{add, mul, sub};
use datafusion::arrow::compute::{binary, cast};
use datafusion::arrow::datatypes::{DataType, Decimal256Type, Int16Type, Int32Type, Int64Type, i256};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use lakegate_engine_api::DataError;

use super::bounds::any_of_its_type;
use super::error::{data, out_of_range};
pub use super::float_arithmetic::{FLOAT_ADD, FLOAT_DIV, FLOAT_MUL, FLOAT_SUB};
use super::{kernel, numeric_scale};

pub static INT_ADD: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| IntegerOp::udf('+'));
pub static INT_SUB: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| IntegerOp::udf('-'));
pub static INT_MUL: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| IntegerOp::udf('*'));
/// DataFusion takes `a # a` for 0 also where `a` is NULL.
pub static INT_XOR: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| IntegerOp::udf('#'));
pub static NUMERIC_DIV: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(NumericDivide::new())));

/// Fewest digits after the point of a numeric quotient (`NUMERIC_MIN_SIG_DIGITS`).
const QUOTIENT_SCALE: i8 = 16;

/// 22012.
pub fn division_by_zero() -> datafusion::error::DataFusionError {
    data(DataError::DivisionByZero, "division by zero")
}

/// As arrow's kernels of arithmetic are called.
fn xor(left: &dyn Datum, right: &dyn Datum) -> std::result::Result<ArrayRef, ArrowError> {
    fn of<T: ArrowPrimitiveType<Native: std::ops::BitXor<Output = T::Native>>>(
        (left, one): (&dyn Array, bool),
        (right, other): (&dyn Array, bool),
    ) -> std::result::Result<ArrayRef, ArrowError> {
        let (left, right) = (left.as_primitive::<T>(), right.as_primitive::<T>());
        let nulls = |rows: usize| new_null_array(&T::DATA_TYPE, rows);
        Ok(match (one, other) {
            (true, _) if left.is_null(0) => nulls(right.len()),
            (_, true) if right.is_null(0) => nulls(left.len()),
            (true, _) => Arc::new(right.unary::<_, T>(|value| left.value(0) ^ value)),
            (_, true) => Arc::new(left.unary::<_, T>(|value| value ^ right.value(0))),
            (false, false) => Arc::new(binary::<_, _, _, T>(left, right, |a, b| a ^ b)?),
        })
    }
    match left.get().0.data_type() {
        DataType::Int16 => of::<Int16Type>(left.get(), right.get()),
        DataType::Int32 => of::<Int32Type>(left.get(), right.get()),
        _ => of::<Int64Type>(left.get(), right.get()),
    }
}

/// `+`, `-`, `*`, `#` of two integers of one width; 22003 on overflow.
#[derive(Debug, PartialEq, Eq, Hash)]
struct IntegerOp {
    operator: char,
    name: String,
    signature: Signature,
}

impl IntegerOp {
    fn udf(operator: char) -> Arc<ScalarUDF> {
        let widths = vec![DataType::Int16, DataType::Int32, DataType::Int64];
        let name = format!("int{operator}");
        Arc::new(ScalarUDF::new_from_impl(IntegerOp { operator, name, signature: Signature::uniform(2, widths, Volatility::Immutable) }))
    }
}

impl ScalarUDFImpl for IntegerOp {
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
        let name = match args.return_field.data_type() {
            DataType::Int16 => "smallint",
            DataType::Int32 => "integer",
            _ => "bigint",
        };
        let kernel = match self.operator {
            '+' => add,
            '-' => sub,
            '#' => xor,
            _ => mul,
        };
        kernel::binary(&args.args, |left, right| {
            kernel(left, right).map_err(|error| match error {
                ArrowError::ArithmeticOverflow(_) => out_of_range(name),
                other => other.into(),
            })
        })
    }
}

/// `/` of two numerics. PostgreSQL picks the digits after the point by the values, at least 16 significant ones; a column
/// has one scale, so 16 digits after the point, more where an operand has more.
#[derive(Debug, PartialEq, Eq, Hash)]
struct NumericDivide {
    signature: Signature,
}

impl NumericDivide {
    fn new() -> Self {
        NumericDivide { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for NumericDivide {
    fn name(&self) -> &str {
        "numeric/"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn schema_name(&self, args: &[datafusion::logical_expr::Expr]) -> Result<String> {
        match args {
            [left, right] => Ok(format!("{} / {}", left.schema_name(), right.schema_name())),
            _ => internal_err!("two operands were expected"),
        }
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        types.iter().map(|data_type| super::types::Ty::Numeric.coerce_from(data_type)).collect()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [left, right] => quotient_type(digits(left)?, digits(right)?),
            _ => internal_err!("two operands were expected"),
        }
    }

    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        any_of_its_type(self, inputs)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let result = args.return_field.data_type().clone();
        kernel::binary(&args.args, |left, right| divide(left, right, &result))
    }
}

/// The quotient of two literals, with as many digits as PostgreSQL gives these values; `None` where it is not of literals, or
/// fails, which is for execution to say.
#[must_use]
pub fn constant_quotient(left: &Expr, right: &Expr) -> Option<Expr> {
    let decimal = |expr: &Expr| match expr {
        Expr::Literal(ScalarValue::Decimal128(Some(value), _, scale), None) if *scale >= 0 => Some((i256::from_i128(*value), *scale)),
        Expr::Literal(ScalarValue::Decimal256(Some(value), _, scale), None) if *scale >= 0 => Some((*value, *scale)),
        _ => None,
    };
    let ((dividend, s1), (divisor, s2)) = (decimal(left)?, decimal(right)?);
    let places = numeric_scale::of_quotient(dividend, s1, divisor, s2);
    let value = numeric_scale::divide_at(dividend, s1, divisor, s2, places).ok()?;
    let scale = i8::try_from(places).ok().filter(|scale| *scale <= 76)?;
    let digits = value.to_string().trim_start_matches('-').len().max(usize::from(scale.unsigned_abs()));
    let precision = u8::try_from(digits).ok().filter(|precision| *precision <= 76)?;
    let value = match value.to_i128().filter(|_| precision <= 38) {
        Some(value) => ScalarValue::Decimal128(Some(value), precision, scale),
        None => ScalarValue::Decimal256(Some(value), precision, scale),
    };
    Some(Expr::Literal(value, None))
}

fn digits(data_type: &DataType) -> Result<(u8, i8)> {
    match data_type {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => Ok((*precision, *scale)),
        DataType::Int16 => Ok((5, 0)),
        DataType::Int32 => Ok((10, 0)),
        DataType::Int64 => Ok((19, 0)),
        DataType::Null => Ok((1, 0)),
        other => plan_err!("{other} is not numeric"),
    }
}

fn quotient_type((p1, s1): (u8, i8), (_, s2): (u8, i8)) -> Result<DataType> {
    let scale = QUOTIENT_SCALE.max(s1).max(s2);
    let whole = i16::from(p1) - i16::from(s1) + i16::from(s2);
    let precision = (whole + i16::from(scale)).clamp(1, 76);
    let precision = u8::try_from(precision).unwrap_or(76);
    Ok(if precision <= 38 { DataType::Decimal128(precision, scale) } else { DataType::Decimal256(precision, scale) })
}

/// The quotients of two columns of decimals, as a decimal type.
///
/// # Errors
/// 22012, 22003.
pub fn divide(left: &dyn Datum, right: &dyn Datum, result: &DataType) -> Result<ArrayRef> {
    let ((left, left_constant), (right, right_constant)) = (left.get(), right.get());
    let rows = if left_constant { right.len() } else { left.len() };
    let (_, s1) = digits(left.data_type())?;
    let (_, s2) = digits(right.data_type())?;
    let (precision, scale) = digits(result)?;
    let (left, right) = (wide(left, s1)?, wide(right, s2)?);
    let (left, right) = (left.as_primitive::<Decimal256Type>(), right.as_primitive::<Decimal256Type>());
    let shift = u32::try_from(i32::from(scale) - i32::from(s1) + i32::from(s2)).unwrap_or(0);
    let factor = i256::from(10_i32).checked_pow(shift).ok_or_else(super::text::number::numeric_overflow)?;
    let quotient = |at: usize| -> Result<Option<i256>> {
        let (a, b) = (if left_constant { 0 } else { at }, if right_constant { 0 } else { at });
        if left.is_null(a) || right.is_null(b) {
            return Ok(None);
        }
        divide_rounded(left.value(a), right.value(b), factor).map(Some)
    };
    let values = (0..rows).map(quotient).collect::<Result<Vec<_>>>()?;
    if let DataType::Decimal128(..) = result {
        let narrow = values
            .into_iter()
            .map(|value| value.map(|value| value.to_i128().ok_or_else(super::text::number::numeric_overflow)).transpose())
            .collect::<Result<Decimal128Array>>()?;
        return Ok(Arc::new(narrow.with_precision_and_scale(precision, scale)?));
    }
    Ok(Arc::new(values.into_iter().collect::<Decimal256Array>().with_precision_and_scale(precision, scale)?))
}

/// `dividend × factor / divisor`, half away from zero.
fn divide_rounded(dividend: i256, divisor: i256, factor: i256) -> Result<i256> {
    if divisor == i256::ZERO {
        return Err(division_by_zero());
    }
    if let (Some(a), Some(b), Some(f)) = (dividend.to_i128(), divisor.to_i128(), factor.to_i128())
        && let Some(scaled) = a.checked_mul(f)
    {
        let (quotient, rest) = (scaled / b, scaled % b);
        let up = rest.unsigned_abs() >= b.unsigned_abs() - rest.unsigned_abs();
        let away = if (a < 0) == (b < 0) { 1 } else { -1 };
        return Ok(i256::from_i128(if up && rest != 0 { quotient + away } else { quotient }));
    }
    let scaled = dividend.checked_mul(factor).ok_or_else(super::text::number::numeric_overflow)?;
    let quotient = scaled.wrapping_div(divisor);
    let rest = scaled.wrapping_rem(divisor);
    let magnitude = |value: i256| if value < i256::ZERO { value.wrapping_neg() } else { value };
    let up = rest != i256::ZERO && magnitude(rest) >= magnitude(divisor).wrapping_sub(magnitude(rest));
    let away = if (dividend < i256::ZERO) == (divisor < i256::ZERO) { i256::ONE } else { i256::MINUS_ONE };
    Ok(if up { quotient.wrapping_add(away) } else { quotient })
}

fn wide(array: &dyn Array, scale: i8) -> Result<ArrayRef> {
    Ok(cast(array, &DataType::Decimal256(76, scale))?)
}
