//! Ordered-set aggregates (documentation, section 9.21), finished from the list of their group's values:
//! `percentile_cont`, `percentile_disc`, `mode`. The last argument says whether the order is descending.

use std::cmp::Ordering;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Float64Builder, IntervalMonthDayNanoBuilder, ListArray, ListBuilder, UInt32Array,
    make_comparator,
};
use datafusion::arrow::compute::{self, SortOptions};
use datafusion::arrow::datatypes::{DataType, Field, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType};

use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};
use lakegate_engine_api::DataError;
use lakegate_engine_api::catalog::PgType;

use super::call::Row;
use super::datetime::scaled;
use super::error::data;
use super::function::{Body, Columns, PgFunction, Returns};
use super::text::number;
use super::types::Ty;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let (floats, intervals) = (Ty::Array(PgType::FLOAT8), Ty::Array(PgType::INTERVAL));
    vec![
        PgFunction::immutable("#percentile_cont")
            .on(&[floats.clone(), Ty::FLOAT8, Ty::BOOL], Ty::FLOAT8, columns(continuous))
            .on(&[intervals.clone(), Ty::FLOAT8, Ty::BOOL], Ty::INTERVAL, columns(continuous_interval))
            .on(&[floats.clone(), floats.clone(), Ty::BOOL], floats.clone(), columns(continuous_many))
            .build(),
        PgFunction::immutable("#percentile_disc")
            .on(&[Ty::AnyArray, Ty::FLOAT8, Ty::BOOL], Returns::Element(0), columns(discrete))
            .on(&[Ty::AnyArray, floats, Ty::BOOL], Returns::By(same_elements), columns(discrete_many))
            .build(),
        PgFunction::immutable("#sorted").on(&[Ty::AnyArray, Ty::BOOL, Ty::BOOL], Returns::By(same_elements), columns(sorted)).build(),
        PgFunction::immutable("#joined").on(&[Ty::TEXTS, Ty::TEXTS], Ty::TEXT, Body::Text(Box::new(|row| Ok(joined(row))))).build(),
        PgFunction::immutable("#mode").on(&[Ty::AnyArray, Ty::BOOL], Returns::Element(0), columns(mode)).build(),
    ]
}

/// The values that are there, each but the first behind its delimiter, if that is there (`string_agg_transfn`).
fn joined(row: &Row<'_>) -> Option<String> {
    let mut text: Option<String> = None;
    for (value, delimiter) in row.texts(0).into_iter().zip(row.texts(1)) {
        let Some(value) = value else { continue };
        text = Some(match text {
            None => value,
            Some(before) => format!("{before}{}{value}", delimiter.unwrap_or_default()),
        });
    }
    text
}

fn columns(body: impl Fn(&Columns<'_>) -> Result<ArrayRef> + Send + Sync + 'static) -> Body {
    Body::Columns(Box::new(body))
}

fn same_elements(args: &ReturnFieldArgs<'_>) -> Result<Field> {
    match args.arg_fields.first() {
        Some(field) => Ok(field.as_ref().clone()),
        None => internal_err!("an array was expected"),
    }
}

/// A row's values in order, without NULLs; `None` where there are none.
fn ordered(args: &Columns<'_>, row: usize) -> Result<Option<ArrayRef>> {
    let lists = args.arrays[0].as_list::<i32>();
    if lists.is_null(row) {
        return Ok(None);
    }
    let values = lists.value(row);
    let descending = args.arrays.last().is_some_and(|flags| flags.is_valid(row) && flags.as_boolean().value(row));
    let present = compute::filter(&values, &compute::is_not_null(&values)?)?;
    if present.is_empty() {
        return Ok(None);
    }
    let indices = if matches!(present.data_type(), DataType::Interval(_)) {
        sorted_intervals(&present, descending)
    } else {
        compute::sort_to_indices(&present, Some(SortOptions { descending, nulls_first: false }), None)?
    };
    Ok(Some(compute::take(&present, &indices, None)?))
}

/// By length, a month as 30 days.
fn sorted_intervals(values: &ArrayRef, descending: bool) -> UInt32Array {
    let intervals = values.as_primitive::<IntervalMonthDayNanoType>();
    let length = |at: u32| {
        let value = usize::try_from(at).map_or(IntervalMonthDayNano::ZERO, |at| intervals.value(at));
        (i128::from(value.months) * 30 + i128::from(value.days)) * 86_400_000_000_000 + i128::from(value.nanoseconds)
    };
    let mut indices: Vec<u32> = (0..u32::try_from(values.len()).unwrap_or(u32::MAX)).collect();
    indices.sort_by(|a, b| {
        let order = length(*a).cmp(&length(*b));
        if descending { order.reverse() } else { order }
    });
    UInt32Array::from(indices)
}

fn checked(fraction: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&fraction) {
        return Ok(fraction);
    }
    let shown = number::float8(fraction);
    Err(data(DataError::NumericOutOfRange, format_args!("percentile value {shown} is not between 0 and 1")))
}

#[expect(clippy::cast_precision_loss, reason = "a group has far fewer than 2^53 rows")]
fn as_float(count: usize) -> f64 {
    count as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the count of rows")]
fn as_index(value: f64) -> usize {
    value.max(0.0) as usize
}

/// The rows around a fraction and how far it lies between them.
fn around(fraction: f64, count: usize) -> (usize, usize, f64) {
    let at = fraction * as_float(count - 1);
    (as_index(at.floor()), as_index(at.ceil()), at - at.floor())
}

fn interpolated(values: &Float64Array, fraction: f64) -> f64 {
    let (low, high, part) = around(fraction, values.len());
    let (low, high) = (values.value(low), values.value(high));
    if part == 0.0 { low } else { low + part * (high - low) }
}

fn fractions(args: &Columns<'_>) -> Result<Vec<Option<f64>>> {
    args.arrays[1].as_primitive::<Float64Type>().iter().map(|fraction| fraction.map(checked).transpose()).collect()
}

fn continuous(args: &Columns<'_>) -> Result<ArrayRef> {
    let mut out = Float64Builder::with_capacity(args.rows);
    for (row, fraction) in fractions(args)?.into_iter().enumerate() {
        let value = match (fraction, ordered(args, row)?) {
            (Some(fraction), Some(values)) => Some(interpolated(values.as_primitive::<Float64Type>(), fraction)),
            _ => None,
        };
        out.append_option(value);
    }
    Ok(Arc::new(out.finish()))
}

fn continuous_interval(args: &Columns<'_>) -> Result<ArrayRef> {
    let mut out = IntervalMonthDayNanoBuilder::with_capacity(args.rows);
    for (row, fraction) in fractions(args)?.into_iter().enumerate() {
        let (Some(fraction), Some(values)) = (fraction, ordered(args, row)?) else {
            out.append_null();
            continue;
        };
        let values = values.as_primitive::<IntervalMonthDayNanoType>();
        let (low, high, part) = around(fraction, values.len());
        let (low, high) = (values.value(low), values.value(high));
        let step = IntervalMonthDayNano::new(high.months - low.months, high.days - low.days, high.nanoseconds - low.nanoseconds);
        let step = scaled(step, part)?;
        out.append_value(IntervalMonthDayNano::new(low.months + step.months, low.days + step.days, low.nanoseconds + step.nanoseconds));
    }
    Ok(Arc::new(out.finish()))
}

/// The fractions of one row of an array argument.
fn row_fractions(args: &Columns<'_>, row: usize) -> Result<Option<Vec<Option<f64>>>> {
    let lists = args.arrays[1].as_list::<i32>();
    if lists.is_null(row) {
        return Ok(None);
    }
    let values = lists.value(row);
    let values = values.as_primitive::<Float64Type>().iter().map(|fraction| fraction.map(checked).transpose());
    values.collect::<Result<Vec<_>>>().map(Some)
}

fn continuous_many(args: &Columns<'_>) -> Result<ArrayRef> {
    let DataType::List(element) = args.result.data_type() else { return internal_err!("a list was expected") };
    let mut out = ListBuilder::new(Float64Builder::new()).with_field(Arc::clone(element));
    for row in 0..args.rows {
        match (row_fractions(args, row)?, ordered(args, row)?) {
            (Some(fractions), Some(values)) => {
                let values = values.as_primitive::<Float64Type>();
                for fraction in fractions {
                    out.values().append_option(fraction.map(|fraction| interpolated(values, fraction)));
                }
                out.append(true);
            }
            _ => out.append(false),
        }
    }
    Ok(Arc::new(out.finish()))
}

/// The first row at or past the fraction.
fn discrete_index(fraction: f64, count: usize) -> usize {
    as_index((fraction * as_float(count)).ceil()).max(1) - 1
}

fn discrete(args: &Columns<'_>) -> Result<ArrayRef> {
    let mut picked = Vec::with_capacity(args.rows);
    for (row, fraction) in fractions(args)?.into_iter().enumerate() {
        picked.push(match (fraction, ordered(args, row)?) {
            (Some(fraction), Some(values)) => Some(values.slice(discrete_index(fraction, values.len()), 1)),
            _ => None,
        });
    }
    gathered(args.result.data_type(), &picked)
}

fn discrete_many(args: &Columns<'_>) -> Result<ArrayRef> {
    let DataType::List(element) = args.result.data_type() else { return internal_err!("a list was expected") };
    let (mut picked, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..args.rows {
        let before = picked.len();
        if let (Some(fractions), Some(values)) = (row_fractions(args, row)?, ordered(args, row)?) {
            picked.extend(
                fractions.into_iter().map(|fraction| fraction.map(|fraction| values.slice(discrete_index(fraction, values.len()), 1))),
            );
            valid.push(true);
        } else {
            valid.push(false);
        }
        lengths.push(picked.len() - before);
    }
    let values = gathered(element.data_type(), &picked)?;
    let offsets = datafusion::arrow::buffer::OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(Arc::clone(element), offsets, values, Some(valid.into()))?))
}

/// Single values and NULLs as one column.
fn gathered(data_type: &DataType, picked: &[Option<ArrayRef>]) -> Result<ArrayRef> {
    let null = datafusion::arrow::array::new_null_array(data_type, 1);
    let parts: Vec<&dyn Array> = picked.iter().map(|part| part.as_ref().map_or(null.as_ref(), |part| part.as_ref())).collect();
    if parts.is_empty() {
        return Ok(datafusion::arrow::array::new_empty_array(data_type));
    }
    Ok(compute::concat(&parts)?)
}

/// Each list in order, NULLs last: what DISTINCT leaves, which PostgreSQL finds by sorting.
fn sorted(args: &Columns<'_>) -> Result<ArrayRef> {
    let DataType::List(element) = args.result.data_type() else { return internal_err!("a list was expected") };
    let lists = args.arrays[0].as_list::<i32>();
    let all = |at: usize| args.arrays[at].as_boolean().iter().all(|value| value == Some(true));
    let (descending, nulls_first) = (all(1), all(2));
    let (mut picked, mut lengths) = (Vec::with_capacity(args.rows), Vec::with_capacity(args.rows));
    for row in 0..args.rows {
        let values = lists.value(row);
        let indices = if matches!(values.data_type(), DataType::Interval(_)) {
            sorted_intervals(&values, descending)
        } else {
            compute::sort_to_indices(&values, Some(SortOptions { descending, nulls_first }), None)?
        };
        lengths.push(if lists.is_valid(row) { values.len() } else { 0 });
        picked.push(compute::take(&values, &indices, None)?);
    }
    let parts: Vec<&dyn Array> = picked.iter().zip(&lengths).filter(|(_, length)| **length > 0).map(|(part, _)| part.as_ref()).collect();
    let values = if parts.is_empty() { datafusion::arrow::array::new_empty_array(element.data_type()) } else { compute::concat(&parts)? };
    let offsets = datafusion::arrow::buffer::OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(Arc::clone(element), offsets, values, lists.nulls().cloned())?))
}

/// The most frequent value, of equally frequent ones the first in order.
fn mode(args: &Columns<'_>) -> Result<ArrayRef> {
    let mut picked = Vec::with_capacity(args.rows);
    for row in 0..args.rows {
        let Some(values) = ordered(args, row)? else {
            picked.push(None);
            continue;
        };
        let compare = make_comparator(&values, &values, SortOptions::default())?;
        let (mut best, mut best_length, mut start) = (0, 0, 0);
        for at in 1..=values.len() {
            if at < values.len() && compare(at, start) == Ordering::Equal {
                continue;
            }
            if at - start > best_length {
                (best, best_length) = (start, at - start);
            }
            start = at;
        }
        picked.push(Some(values.slice(best, 1)));
    }
    gathered(args.result.data_type(), &picked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_fractions() {
        assert_eq!([0.0, 0.25, 0.5, 0.51, 1.0].map(|fraction| discrete_index(fraction, 4)), [0, 0, 1, 2, 3]);
        let values = Float64Array::from(vec![1.0, 2.0, 3.0, 4.0]);
        assert_eq!([0.25, 0.5, 1.0].map(|fraction| interpolated(&values, fraction)), [1.75, 2.5, 4.0]);
        assert!(checked(1.5).is_err() && checked(f64::NAN).is_err());
    }
}
