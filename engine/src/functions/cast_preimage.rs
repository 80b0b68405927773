//! Which values of a column a cast takes to a constant: comparisons of the cast with the constant become comparisons of the column itself,
//! which are cheaper, and which statistics of files answer.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::preimage::PreimageResult;

use super::text::civil::{DATE_INFINITY, DATE_MINUS_INFINITY, MICROS_PER_DAY};

const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// Whether the cast depends on nothing but its argument, and grows with it.
pub(super) fn is_monotonic(from: &DataType, to: &DataType) -> bool {
    matches!((from, to), (DataType::Date32, to) if *to == TIMESTAMP) || matches!((from, to), (from, DataType::Date32) if *from == TIMESTAMP)
}

/// Lower bound included, upper bound not; none where no value gives the constant.
pub(super) fn preimage(arg: &Expr, from: &DataType, constant: &Expr) -> Result<PreimageResult> {
    let Expr::Literal(constant, _) = constant else { return Ok(PreimageResult::None) };
    let bounds = match (from, constant) {
        (DataType::Date32, ScalarValue::TimestampMicrosecond(Some(micros), None)) => days(*micros),
        (from, ScalarValue::Date32(Some(day))) if *from == TIMESTAMP => micros(*day),
        _ => None,
    };
    Ok(match bounds {
        Some((lower, upper)) => PreimageResult::Range { expr: arg.clone(), interval: Box::new(Interval::try_new(lower, upper)?) },
        None => PreimageResult::None,
    })
}

/// The day that begins then.
fn days(micros: i64) -> Option<(ScalarValue, ScalarValue)> {
    let day = i32::try_from(micros / MICROS_PER_DAY).ok().filter(|_| micros % MICROS_PER_DAY == 0)?;
    Some((ScalarValue::Date32(Some(day)), ScalarValue::Date32(Some(day.checked_add(1)?))))
}

fn micros(day: i32) -> Option<(ScalarValue, ScalarValue)> {
    if matches!(day, DATE_INFINITY | DATE_MINUS_INFINITY) {
        return None;
    }
    let at = |day: i64| Some(ScalarValue::TimestampMicrosecond(Some(day.checked_mul(MICROS_PER_DAY)?), None));
    Some((at(day.into())?, at(i64::from(day) + 1)?))
}
