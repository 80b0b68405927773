//! Arithmetic of dates, times and intervals: what the operators of documentation section 9.9 compute.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, IntervalMonthDayNano, IntervalMonthDayNanoType};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ScalarUDF;
use lakegate_engine_api::DataError;

use super::arithmetic::division_by_zero;
use super::call::Row;
use super::cast::is_infinite;
use super::error::data;
use super::function::{Body, Columns, PgFunction, Returns};
use super::session::Session;
use super::text::civil::{self, DATE_INFINITY, DATE_MINUS_INFINITY, MICROS_PER_DAY};
use super::text::zone::Zone;
use super::types::Ty;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let (date, time, stamp, interval) = (Ty::DATE, Ty::TIME, Ty::TIMESTAMP, Ty::INTERVAL);
    vec![
        PgFunction::immutable("#date_add").on(&[date.clone(), Ty::INT4], Ty::DATE, int(|row| date_plus(row.int(0), row.int(1)))).build(),
        PgFunction::immutable("#date_sub").on(&[date.clone(), Ty::INT4], Ty::DATE, int(|row| date_plus(row.int(0), -row.int(1)))).build(),
        PgFunction::immutable("#date_diff")
            .on(
                &[date.clone(), date.clone()],
                Ty::INT4,
                int(|row| {
                    if [row.int(0), row.int(1)].iter().any(|day| infinite_date(*day)) {
                        return Err(data(DataError::DatetimeOverflow, "cannot subtract infinite dates"));
                    }
                    Ok(row.int(0) - row.int(1))
                }),
            )
            .build(),
        PgFunction::immutable("#date_time")
            .on(&[date, time.clone()], Ty::TIMESTAMP, int(|row| civil::timestamp(row.int(0), row.int(1)).ok_or_else(timestamp_range)))
            .build(),
        stamp_op("#timestamp_add", 1),
        stamp_op("#timestamp_sub", -1),
        PgFunction::immutable("#timestamp_diff")
            .on(&[stamp.clone(), stamp], Ty::INTERVAL, iv(|row| difference(row.int(0), row.int(1))))
            .on(&[Ty::TIMESTAMPTZ, Ty::TIMESTAMPTZ], Ty::INTERVAL, iv(|row| difference(row.int(0), row.int(1))))
            .build(),
        PgFunction::immutable("#time_add")
            .on(&[time.clone(), interval.clone()], Ty::TIME, int(|row| Ok(wrapped(row.int(0), row.interval(1).nanoseconds / 1_000))))
            .build(),
        PgFunction::immutable("#time_sub")
            .on(&[time.clone(), interval.clone()], Ty::TIME, int(|row| Ok(wrapped(row.int(0), -(row.interval(1).nanoseconds / 1_000)))))
            .build(),
        PgFunction::immutable("#time_diff")
            .on(&[time.clone(), time], Ty::INTERVAL, iv(|row| Ok(IntervalMonthDayNano::new(0, 0, (row.int(0) - row.int(1)) * 1_000))))
            .build(),
        PgFunction::immutable("#interval_add")
            .on(&[interval.clone(), interval.clone()], Ty::INTERVAL, iv(|row| sum(row.interval(0), row.interval(1), 1)))
            .build(),
        PgFunction::immutable("#interval_sub")
            .on(&[interval.clone(), interval.clone()], Ty::INTERVAL, iv(|row| sum(row.interval(0), row.interval(1), -1)))
            .build(),
        PgFunction::immutable("#interval_mul")
            .on(&[interval.clone(), Ty::FLOAT8], Ty::INTERVAL, iv(|row| scaled(row.interval(0), row.float(1))))
            .build(),
        PgFunction::immutable("#interval_div")
            .on(
                &[interval.clone(), Ty::FLOAT8],
                Ty::INTERVAL,
                iv(|row| if row.float(1) == 0.0 { Err(division_by_zero()) } else { scaled(row.interval(0), 1.0 / row.float(1)) }),
            )
            .build(),
        PgFunction::immutable("#interval_key")
            .on(&[interval], Returns::By(|_| Ok(Field::new("", DataType::Decimal128(38, 0), true))), Body::Columns(Box::new(keys)))
            .build(),
    ]
}

pub fn session_functions(session: &Arc<Session>) -> Vec<Arc<ScalarUDF>> {
    let zone = session.style.zone;
    let op = |name: &'static str, sign: i64| {
        PgFunction::stable(name)
            .of_session(session.identity())
            .on(
                &[Ty::TIMESTAMPTZ, Ty::INTERVAL],
                Ty::TIMESTAMPTZ,
                int(move |row| add_interval(row.int(0), row.interval(1), Some(zone), sign)),
            )
            .build()
    };
    vec![op("#timestamptz_add", 1), op("#timestamptz_sub", -1)]
}

fn int(body: impl Fn(&Row<'_>) -> Result<i64> + Send + Sync + 'static) -> Body {
    Body::Int(Box::new(move |row| body(row).map(Some)))
}

fn iv(body: impl Fn(&Row<'_>) -> Result<IntervalMonthDayNano> + Send + Sync + 'static) -> Body {
    Body::Interval(Box::new(move |row| body(row).map(Some)))
}

fn stamp_op(name: &'static str, sign: i64) -> Arc<ScalarUDF> {
    PgFunction::immutable(name)
        .on(&[Ty::TIMESTAMP, Ty::INTERVAL], Ty::TIMESTAMP, int(move |row| add_interval(row.int(0), row.interval(1), None, sign)))
        .build()
}

#[must_use]
pub fn timestamp_range() -> DataFusionError {
    data(DataError::DatetimeOverflow, "timestamp out of range")
}

#[must_use]
pub fn interval_range() -> DataFusionError {
    data(DataError::DatetimeOverflow, "interval out of range")
}

fn infinite_date(day: i64) -> bool {
    day == i64::from(DATE_INFINITY) || day == i64::from(DATE_MINUS_INFINITY)
}

fn date_plus(day: i64, days: i64) -> Result<i64> {
    if infinite_date(day) {
        return Ok(day);
    }
    let sum = day + days;
    if (-2_440_588..2_145_031_949).contains(&sum) { Ok(sum) } else { Err(data(DataError::DatetimeOverflow, "date out of range")) }
}

fn wrapped(time: i64, by: i64) -> i64 {
    (time + by % MICROS_PER_DAY).rem_euclid(MICROS_PER_DAY)
}

/// Months on the wall clock first, then days, then time; in a zone for an instant (`timestamptz_pl_interval`).
///
/// # Errors
/// 22008.
pub fn add_interval(micros: i64, interval: IntervalMonthDayNano, zone: Option<Zone>, sign: i64) -> Result<i64> {
    if is_infinite(micros) {
        return Ok(micros);
    }
    let (months, days) = (i64::from(interval.months) * sign, i64::from(interval.days) * sign);
    let mut at = micros;
    if months != 0 || days != 0 {
        let local = zone.map_or(at, |zone| zone.to_local(at));
        let of_day = local.rem_euclid(MICROS_PER_DAY);
        let date = civil::add_months(civil::civil(local.div_euclid(MICROS_PER_DAY)), months);
        let moved = civil::timestamp(civil::days(date) + days, of_day).ok_or_else(timestamp_range)?;
        at = zone.map_or(moved, |zone| zone.to_utc(moved));
    }
    let time = (interval.nanoseconds / 1_000).checked_mul(sign).and_then(|time| at.checked_add(time)).ok_or_else(timestamp_range)?;
    civil::timestamp(time.div_euclid(MICROS_PER_DAY), time.rem_euclid(MICROS_PER_DAY)).ok_or_else(timestamp_range)
}

/// Days and time, no months (`timestamp_mi`).
fn difference(a: i64, b: i64) -> Result<IntervalMonthDayNano> {
    if is_infinite(a) || is_infinite(b) {
        return Err(data(DataError::DatetimeOverflow, "cannot subtract infinite timestamps"));
    }
    let micros = a.checked_sub(b).ok_or_else(interval_range)?;
    let days = i32::try_from(micros / MICROS_PER_DAY).map_err(|_| interval_range())?;
    Ok(IntervalMonthDayNano::new(0, days, micros % MICROS_PER_DAY * 1_000))
}

fn sum(a: IntervalMonthDayNano, b: IntervalMonthDayNano, sign: i32) -> Result<IntervalMonthDayNano> {
    let part = |a: i32, b: i32| b.checked_mul(sign).and_then(|b| a.checked_add(b)).ok_or_else(interval_range);
    let nanos = b.nanoseconds.checked_mul(i64::from(sign)).and_then(|b| a.nanoseconds.checked_add(b)).ok_or_else(interval_range)?;
    Ok(IntervalMonthDayNano::new(part(a.months, b.months)?, part(a.days, b.days)?, nanos))
}

/// Fractions of months go to days, of days to time (`interval_mul`).
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "ranges are checked; intervals are below 2^53 µs apart")]
pub fn scaled(interval: IntervalMonthDayNano, factor: f64) -> Result<IntervalMonthDayNano> {
    let months = f64::from(interval.months) * factor;
    let days = f64::from(interval.days) * factor;
    let micros = (interval.nanoseconds / 1_000) as f64 * factor;
    if ![months, days, micros].iter().all(|part| part.is_finite()) || months.abs() > f64::from(i32::MAX) {
        return Err(interval_range());
    }
    let round6 = |x: f64| (x * 1e6).round() / 1e6;
    let month_days = round6(months.fract() * 30.0);
    let mut seconds_of_days = round6((days.fract() + month_days.fract()) * 86_400.0);
    let mut whole_days = days.trunc() + month_days.trunc();
    if seconds_of_days.abs() >= 86_400.0 {
        whole_days += (seconds_of_days / 86_400.0).trunc();
        seconds_of_days %= 86_400.0;
    }
    if whole_days.abs() > f64::from(i32::MAX) {
        return Err(interval_range());
    }
    let total = (micros + seconds_of_days * 1e6).round();
    if total.abs() > 9.2e15 {
        return Err(interval_range());
    }
    Ok(IntervalMonthDayNano::new(months.trunc() as i32, whole_days as i32, total as i64 * 1_000))
}

/// Length in microseconds, a month as 30 days: what intervals compare and sort by.
fn keys(args: &Columns<'_>) -> Result<ArrayRef> {
    let intervals = args.arrays[0].as_primitive::<IntervalMonthDayNanoType>();
    let values: datafusion::arrow::array::Decimal128Array = intervals
        .iter()
        .map(|interval| {
            interval.map(|interval| {
                let days = i128::from(interval.months) * 30 + i128::from(interval.days);
                days * i128::from(MICROS_PER_DAY) + i128::from(interval.nanoseconds / 1_000)
            })
        })
        .collect();
    Ok(Arc::new(values.with_precision_and_scale(38, 0)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::text::{datetime_in, datetime_out, interval, style::Style};

    #[test]
    fn instants_move_on_the_wall_clock() {
        let zone = Zone::parse("Europe/Berlin").unwrap();
        let style = Style { zone, ..Style::default() };
        let moved = |text: &str, by: &str| {
            let from = datetime_in::timestamptz(text, &style).unwrap();
            datetime_out::timestamptz(add_interval(from, interval::parse(by).unwrap(), Some(zone), 1).unwrap(), &style)
        };
        assert_eq!(moved("2024-03-30 12:00", "1 day"), "2024-03-31 12:00:00+02");
        assert_eq!(moved("2024-03-30 12:00", "24 hours"), "2024-03-31 13:00:00+02");
        assert_eq!(moved("2024-01-31 12:00", "1 month"), "2024-02-29 12:00:00+01");
    }
}
