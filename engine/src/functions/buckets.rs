//! `width_bucket` (documentation, section 9.3): over floats, exactly over numerics, and by the thresholds of an array.

use std::cmp::Ordering;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int32Array, make_comparator};
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::{Decimal256Type, Int32Type, i256};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ScalarUDF;
use lakegate_engine_api::DataError;

use super::call::Row;
use super::cast::rescale;
use super::error::{data, out_of_range};
use super::function::{Body, Columns, PgFunction};
use super::text::number::numeric_overflow;
use super::types::{Ty, is_decimal};

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let (float, numeric) = (Ty::FLOAT8, Ty::Numeric);
    vec![
        PgFunction::immutable("width_bucket")
            .on(&[float.clone(), float.clone(), float, Ty::INT4], Ty::INT4, Body::Int(Box::new(|row| of_float(row).map(Some))))
            .on(&[numeric.clone(), numeric.clone(), numeric, Ty::INT4], Ty::INT4, columns(of_numerics))
            .on(&[Ty::Element, Ty::AnyArray], Ty::INT4, columns(of_thresholds))
            .build(),
    ]
}

fn columns(body: impl Fn(&Columns<'_>) -> Result<ArrayRef> + Send + Sync + 'static) -> Body {
    Body::Columns(Box::new(body))
}

fn invalid(message: &str) -> DataFusionError {
    data(DataError::InvalidWidthBucketArgument, message)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "the bucket number is below the count")]
fn of_float(row: &Row<'_>) -> Result<i64> {
    let (value, low, high, buckets) = (row.float(0), row.float(1), row.float(2), row.int(3));
    if buckets <= 0 {
        return Err(invalid("count must be greater than zero"));
    }
    if value.is_nan() || low.is_nan() || high.is_nan() {
        return Err(invalid("operand, lower bound, and upper bound cannot be NaN"));
    }
    if low.is_infinite() || high.is_infinite() {
        return Err(invalid("lower and upper bounds must be finite"));
    }
    if low == high {
        return Err(invalid("lower bound cannot equal upper bound"));
    }
    let (below, above) = if low < high { (value < low, value >= high) } else { (value > low, value <= high) };
    if below {
        return Ok(0);
    }
    if above {
        return Ok(buckets + 1);
    }
    Ok((((value - low) / (high - low) * buckets as f64) as i64).min(buckets - 1) + 1)
}

fn of_numerics(args: &Columns<'_>) -> Result<ArrayRef> {
    let scale_of = |array: &ArrayRef| match array.data_type() {
        data_type if is_decimal(data_type) => super::numeric::digits(data_type).1,
        _ => 0,
    };
    let scale = args.arrays.iter().take(3).map(scale_of).max().unwrap_or(0);
    let [value, low, high] = [0, 1, 2].map(|at| rescale(&args.arrays[at], scale));
    let (value, low, high) = (value?, low?, high?);
    let [value, low, high] = [&value, &low, &high].map(|array| array.as_primitive::<Decimal256Type>());
    let counts = args.arrays[3].as_primitive::<Int32Type>();
    let buckets = (0..args.rows).map(|row| {
        if value.is_null(row) || low.is_null(row) || high.is_null(row) || counts.is_null(row) {
            return Ok(None);
        }
        of_unscaled(value.value(row), low.value(row), high.value(row), counts.value(row)).map(Some)
    });
    Ok(Arc::new(buckets.collect::<Result<Int32Array>>()?))
}

fn of_unscaled(value: i256, low: i256, high: i256, count: i32) -> Result<i32> {
    if count <= 0 {
        return Err(invalid("count must be greater than zero"));
    }
    let descending = match low.cmp(&high) {
        Ordering::Equal => return Err(invalid("lower bound cannot equal upper bound")),
        order => order == Ordering::Greater,
    };
    let (below, above) = if descending { (value > low, value <= high) } else { (value < low, value >= high) };
    if below {
        return Ok(0);
    }
    if above {
        return count.checked_add(1).ok_or_else(|| out_of_range("integer"));
    }
    let (distance, width) = (value.wrapping_sub(low), high.wrapping_sub(low));
    let scaled = distance.checked_mul(i256::from(count)).ok_or_else(numeric_overflow)?;
    // Both have the same sign.
    let bucket = scaled.wrapping_div(width).to_i128().and_then(|bucket| i32::try_from(bucket).ok()).unwrap_or(count);
    Ok(bucket + 1)
}

/// How many of the ascending thresholds are not above the value.
fn of_thresholds(args: &Columns<'_>) -> Result<ArrayRef> {
    let lists = args.arrays[1].as_list::<i32>();
    let mut buckets = Vec::with_capacity(args.rows);
    for row in 0..args.rows {
        if args.arrays[0].is_null(row) || lists.is_null(row) {
            buckets.push(None);
            continue;
        }
        let thresholds = lists.value(row);
        if thresholds.null_count() > 0 {
            return Err(data(DataError::NullNotAllowed, "thresholds array must not contain NULLs"));
        }
        let compare = make_comparator(&thresholds, &args.arrays[0], SortOptions::default())?;
        let (mut low, mut high) = (0, thresholds.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if compare(middle, row) == Ordering::Greater {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        buckets.push(i32::try_from(low).ok());
    }
    Ok(Arc::new(Int32Array::from(buckets)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_of_numerics() {
        let bucket =
            |value: i64, low: i64, high: i64, count| of_unscaled(i256::from(value), i256::from(low), i256::from(high), count).unwrap();
        assert_eq!([bucket(5350, 24, 10_060, 5), bucket(0, 24, 10_060, 5), bucket(10_060, 24, 10_060, 5)], [3, 0, 6]);
        assert_eq!([bucket(3, 10, 0, 5), bucket(10, 10, 0, 5), bucket(11, 10, 0, 5)], [4, 1, 0]);
        assert!(of_unscaled(i256::ONE, i256::ONE, i256::ONE, 5).is_err());
    }
}
