//! Parts, truncation, construction and the clock (documentation, section 9.9).

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Decimal128Array};
use datafusion::arrow::datatypes::{DataType, Field, IntervalMonthDayNano};
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};
use lakegate_engine_api::DataError;

use super::call::Row;
use super::cast::is_infinite;
use super::datetime::{interval_range, timestamp_range};
use super::error::{data, mistake, unsupported};
use super::function::{Body, Columns, PgFunction, Returns};
use super::session::Session;
use super::text::civil::{self, Civil, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND};
use super::text::interval::justify;
use super::text::zone::Zone;
use super::types::{Ty, describe};

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        PgFunction::immutable("justify_hours")
            .on(&[Ty::INTERVAL], Ty::INTERVAL, iv(|row| Ok(justify(row.interval(0), true, false))))
            .build(),
        PgFunction::immutable("justify_days")
            .on(&[Ty::INTERVAL], Ty::INTERVAL, iv(|row| Ok(justify(row.interval(0), false, true))))
            .build(),
        PgFunction::immutable("justify_interval")
            .on(&[Ty::INTERVAL], Ty::INTERVAL, iv(|row| Ok(justify(row.interval(0), true, true))))
            .build(),
        PgFunction::immutable("make_date")
            .on(&[Ty::INT4, Ty::INT4, Ty::INT4], Ty::DATE, int(|row| made_date(row.int(0), row.int(1), row.int(2))))
            .build(),
        PgFunction::immutable("make_time")
            .on(&[Ty::INT4, Ty::INT4, Ty::FLOAT8], Ty::TIME, int(|row| made_time(row.int(0), row.int(1), row.float(2))))
            .build(),
        PgFunction::immutable("make_timestamp")
            .on(&[Ty::INT4, Ty::INT4, Ty::INT4, Ty::INT4, Ty::INT4, Ty::FLOAT8], Ty::TIMESTAMP, int(made_timestamp))
            .build(),
        PgFunction::immutable("make_interval").variadic(&[Ty::FLOAT8], Ty::INTERVAL, Body::Interval(Box::new(made_interval))).build(),
        PgFunction::immutable("isfinite")
            .on(&[Ty::DATE], Ty::BOOL, Body::Bool(Box::new(|row| Ok(Some(row.int(0).unsigned_abs() < 2_147_483_647)))))
            .on(&[Ty::TIMESTAMP], Ty::BOOL, Body::Bool(Box::new(|row| Ok(Some(!is_infinite(row.int(0)))))))
            .on(&[Ty::TIMESTAMPTZ], Ty::BOOL, Body::Bool(Box::new(|row| Ok(Some(!is_infinite(row.int(0)))))))
            .on(&[Ty::INTERVAL], Ty::BOOL, Body::Bool(Box::new(|_| Ok(Some(true)))))
            .build(),
        PgFunction::volatile("clock_timestamp").on(&[], Ty::TIMESTAMPTZ, int(|_| Ok(chrono::Utc::now().timestamp_micros()))).build(),
        PgFunction::volatile("timeofday")
            .on(&[], Ty::TEXT, Body::Text(Box::new(|_| Ok(Some(chrono::Utc::now().format("%a %b %d %H:%M:%S%.6f %Y UTC").to_string())))))
            .build(),
    ]
}

pub fn session_functions(session: &Arc<Session>) -> Vec<Arc<ScalarUDF>> {
    let zone = session.style.zone;
    let identity = session.identity();
    let stable = |name: &'static str| PgFunction::stable(name).of_session(identity);
    let of_time = |name: &'static str| PgFunction::new(name, session.time_volatility()).of_session(identity);
    let instant = |name: &'static str, at: fn(&Session) -> i64| {
        let session = Arc::clone(session);
        of_time(name).on(&[], Ty::TIMESTAMPTZ, int(move |_| Ok(at(&session))))
    };
    let local = |body: fn(i64) -> i64| {
        let session = Arc::clone(session);
        int(move |_| Ok(body(zone.to_local(session.transaction_time()))))
    };
    let midnight = || {
        let session = Arc::clone(session);
        move || zone.to_local(session.transaction_time()).div_euclid(MICROS_PER_DAY) * MICROS_PER_DAY
    };
    let (today, today_here) = (midnight(), midnight());
    vec![
        instant("now", Session::transaction_time).alias("transaction_timestamp").alias("current_timestamp").build(),
        instant("statement_timestamp", Session::statement_time).build(),
        of_time("localtimestamp").on(&[], Ty::TIMESTAMP, local(|local| local)).build(),
        of_time("localtime").alias("current_time").on(&[], Ty::TIME, local(|local| local.rem_euclid(MICROS_PER_DAY))).build(),
        of_time("current_date").on(&[], Ty::DATE, local(|local| local.div_euclid(MICROS_PER_DAY))).build(),
        stable("date_part")
            .on(&[Ty::TEXT, Ty::TIMESTAMP], Ty::FLOAT8, Body::Float(Box::new(|row| date_part(row, Source::Timestamp))))
            .on(&[Ty::TEXT, Ty::TIMESTAMPTZ], Ty::FLOAT8, Body::Float(Box::new(move |row| date_part(row, Source::Timestamptz(zone)))))
            .on(&[Ty::TEXT, Ty::DATE], Ty::FLOAT8, Body::Float(Box::new(|row| date_part(row, Source::Date))))
            .on(&[Ty::TEXT, Ty::TIME], Ty::FLOAT8, Body::Float(Box::new(|row| date_part(row, Source::Time))))
            .on(&[Ty::TEXT, Ty::INTERVAL], Ty::FLOAT8, Body::Float(Box::new(|row| date_part(row, Source::Interval))))
            .build(),
        stable("extract")
            .on(&[Ty::TEXT, Ty::TIMESTAMP], Returns::By(extract_type), columns(|args| extract(args, Source::Timestamp)))
            .on(&[Ty::TEXT, Ty::TIMESTAMPTZ], Returns::By(extract_type), columns(move |args| extract(args, Source::Timestamptz(zone))))
            .on(&[Ty::TEXT, Ty::DATE], Returns::By(extract_type), columns(|args| extract(args, Source::Date)))
            .on(&[Ty::TEXT, Ty::TIME], Returns::By(extract_type), columns(|args| extract(args, Source::Time)))
            .on(&[Ty::TEXT, Ty::INTERVAL], Returns::By(extract_type), columns(|args| extract(args, Source::Interval)))
            .build(),
        stable("date_trunc")
            .on(&[Ty::TEXT, Ty::TIMESTAMP], Ty::TIMESTAMP, int(|row| truncated(row.text(0), row.int(1), None)))
            .on(&[Ty::TEXT, Ty::TIMESTAMPTZ], Ty::TIMESTAMPTZ, int(move |row| truncated(row.text(0), row.int(1), Some(zone))))
            .on(
                &[Ty::TEXT, Ty::TIMESTAMPTZ, Ty::TEXT],
                Ty::TIMESTAMPTZ,
                int(|row| truncated(row.text(0), row.int(1), Some(named_zone(row.text(2))?))),
            )
            .on(&[Ty::TEXT, Ty::INTERVAL], Ty::INTERVAL, iv(|row| truncated_interval(row.text(0), row.interval(1))))
            .build(),
        stable("date_bin")
            .on(&[Ty::INTERVAL, Ty::TIMESTAMP, Ty::TIMESTAMP], Ty::TIMESTAMP, int(binned))
            .on(&[Ty::INTERVAL, Ty::TIMESTAMPTZ, Ty::TIMESTAMPTZ], Ty::TIMESTAMPTZ, int(binned))
            .build(),
        of_time("age")
            .on(&[Ty::TIMESTAMP, Ty::TIMESTAMP], Ty::INTERVAL, iv(|row| age(row.int(0), row.int(1))))
            .on(&[Ty::TIMESTAMPTZ, Ty::TIMESTAMPTZ], Ty::INTERVAL, iv(move |row| age(zone.to_local(row.int(0)), zone.to_local(row.int(1)))))
            .on(&[Ty::TIMESTAMP], Ty::INTERVAL, iv(move |row| age(today(), row.int(0))))
            .on(&[Ty::TIMESTAMPTZ], Ty::INTERVAL, iv(move |row| age(today_here(), zone.to_local(row.int(0)))))
            .build(),
        stable("timezone")
            .on(&[Ty::TEXT, Ty::TIMESTAMPTZ], Ty::TIMESTAMP, int(|row| Ok(named_zone(row.text(0))?.to_local(row.int(1)))))
            .on(&[Ty::TEXT, Ty::TIMESTAMP], Ty::TIMESTAMPTZ, int(|row| Ok(named_zone(row.text(0))?.to_utc(row.int(1)))))
            .on(&[Ty::INTERVAL, Ty::TIMESTAMPTZ], Ty::TIMESTAMP, int(|row| Ok(fixed_zone(row.interval(0))?.to_local(row.int(1)))))
            .on(&[Ty::INTERVAL, Ty::TIMESTAMP], Ty::TIMESTAMPTZ, int(|row| Ok(fixed_zone(row.interval(0))?.to_utc(row.int(1)))))
            .build(),
        stable("make_timestamptz")
            .on(
                &[Ty::INT4, Ty::INT4, Ty::INT4, Ty::INT4, Ty::INT4, Ty::FLOAT8],
                Ty::TIMESTAMPTZ,
                int(move |row| Ok(zone.to_utc(made_timestamp(row)?))),
            )
            .on(
                &[Ty::INT4, Ty::INT4, Ty::INT4, Ty::INT4, Ty::INT4, Ty::FLOAT8, Ty::TEXT],
                Ty::TIMESTAMPTZ,
                int(|row| Ok(named_zone(row.text(6))?.to_utc(made_timestamp(row)?))),
            )
            .build(),
    ]
}

fn int(body: impl Fn(&Row<'_>) -> Result<i64> + Send + Sync + 'static) -> Body {
    Body::Int(Box::new(move |row| body(row).map(Some)))
}

fn iv(body: impl Fn(&Row<'_>) -> Result<IntervalMonthDayNano> + Send + Sync + 'static) -> Body {
    Body::Interval(Box::new(move |row| body(row).map(Some)))
}

fn columns(body: impl Fn(&Columns<'_>) -> Result<ArrayRef> + Send + Sync + 'static) -> Body {
    Body::Columns(Box::new(body))
}

/// A zone by name.
///
/// # Errors
/// 22023.
pub fn named_zone(name: &str) -> Result<Zone> {
    Zone::parse(name).ok_or_else(|| data(DataError::InvalidParameterValue, format_args!("time zone \"{name}\" not recognized")))
}

fn fixed_zone(interval: IntervalMonthDayNano) -> Result<Zone> {
    if interval.months != 0 || interval.days != 0 {
        return Err(data(DataError::InvalidParameterValue, "interval time zone must not include months or days"));
    }
    i32::try_from(interval.nanoseconds / 1_000_000_000).map(Zone::Fixed).map_err(|_| interval_range())
}

/// What a part is taken from.
#[derive(Clone, Copy)]
enum Source {
    Timestamp,
    Timestamptz(Zone),
    Date,
    Time,
    Interval,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Source::Timestamp => "timestamp without time zone",
            Source::Timestamptz(_) => "timestamp with time zone",
            Source::Date => "date",
            Source::Time => "time without time zone",
            Source::Interval => "interval",
        }
    }
}

/// A part's value in millionths, exact; `None` for parts of infinity that are not infinite themselves.
fn part(field: &str, row: &Row<'_>, source: Source) -> Result<Option<i128>> {
    let field = field.trim_matches('\'').to_ascii_lowercase();
    let field = field.trim_end_matches('s');
    match source {
        Source::Interval => interval_part(field, row.interval(1)).map(Some),
        Source::Time => time_part(field, row.int(1)).map(Some),
        Source::Date => {
            let day = row.int(1);
            if matches!(field, "hour" | "minute" | "second" | "m" | "millisecond" | "microsecond" | "timezone" | "timezone_hour") {
                return Err(unit_error(field, Source::Date));
            }
            stamp_part(field, day.saturating_mul(MICROS_PER_DAY), day.saturating_mul(MICROS_PER_DAY), None, source).map(Some)
        }
        Source::Timestamp | Source::Timestamptz(_) if is_infinite(row.int(1)) => Ok(None),
        Source::Timestamp => stamp_part(field, row.int(1), row.int(1), None, source).map(Some),
        Source::Timestamptz(zone) => stamp_part(field, zone.to_local(row.int(1)), row.int(1), Some(zone), source).map(Some),
    }
}

fn unit_error(field: &str, source: Source) -> DataFusionError {
    let known = [
        "microsecond",
        "millisecond",
        "second",
        "minute",
        "hour",
        "day",
        "week",
        "month",
        "quarter",
        "year",
        "decade",
        "century",
        "millennium",
        "epoch",
        "dow",
        "doy",
        "isodow",
        "isoyear",
        "timezone",
        "timezone_hour",
        "timezone_minute",
        "julian",
    ];
    if known.contains(&field) {
        unsupported(format_args!("unit \"{field}\" for type {}", source.name()))
    } else {
        data(DataError::InvalidParameterValue, format_args!("unit \"{field}\" not recognized for type {}", source.name()))
    }
}

const ONE: i128 = 1_000_000;

fn time_part(field: &str, micros: i64) -> Result<i128> {
    let micros_of_minute = i128::from(micros % MICROS_PER_MINUTE);
    Ok(match field {
        "hour" | "hr" | "h" => i128::from(micros / MICROS_PER_HOUR) * ONE,
        "minute" | "min" | "m" => i128::from(micros / MICROS_PER_MINUTE % 60) * ONE,
        "second" | "sec" => micros_of_minute,
        "millisecond" | "msec" => micros_of_minute * 1_000,
        "microsecond" | "usec" | "u" => micros_of_minute * ONE,
        "epoch" => i128::from(micros),
        _ => return Err(unit_error(field, Source::Time)),
    })
}

fn interval_part(field: &str, interval: IntervalMonthDayNano) -> Result<i128> {
    let (months, days, micros) = (i128::from(interval.months), i128::from(interval.days), i128::from(interval.nanoseconds / 1_000));
    let whole = |value: i128| value * ONE;
    let minute_micros = micros % i128::from(MICROS_PER_MINUTE);
    Ok(match field {
        "millennium" => whole(months / 12_000),
        "century" => whole(months / 1_200),
        "decade" => whole(months / 120),
        "year" | "yr" | "y" => whole(months / 12),
        "quarter" | "qtr" => whole(months % 12 / 3 + 1),
        "month" | "mon" => whole(months % 12),
        "day" | "d" => whole(days),
        "hour" | "hr" | "h" => whole(micros / i128::from(MICROS_PER_HOUR)),
        "minute" | "min" | "m" => whole(micros / i128::from(MICROS_PER_MINUTE) % 60),
        "second" | "sec" => minute_micros,
        "millisecond" | "msec" => minute_micros * 1_000,
        "microsecond" | "usec" | "u" => minute_micros * ONE,
        // A year is 365.25 days here.
        "epoch" => (months / 12 * 31_557_600 + months % 12 * 2_592_000 + days * 86_400) * ONE + micros,
        _ => return Err(unit_error(field, Source::Interval)),
    })
}

fn stamp_part(field: &str, local: i64, utc: i64, zone: Option<Zone>, source: Source) -> Result<i128> {
    let day = local.div_euclid(MICROS_PER_DAY);
    let date = civil::civil(day);
    let whole = |value: i64| i128::from(value) * ONE;
    // There is no year 0: 1 BC is -1.
    let shown = |year: i64| if year > 0 { year } else { year - 1 };
    let offset = || match zone {
        Some(zone) => Ok(i64::from(zone.offset_at(utc))),
        None => Err(unit_error(field, source)),
    };
    Ok(match field {
        "epoch" => i128::from(utc),
        "year" | "yr" | "y" => whole(shown(date.year)),
        "month" | "mon" => whole(date.month),
        "day" | "d" => whole(date.day),
        "quarter" | "qtr" => whole((date.month - 1) / 3 + 1),
        "decade" => whole(date.year.div_euclid(10)),
        "century" | "c" => whole(if date.year > 0 { (date.year + 99) / 100 } else { -((99 - (date.year - 1)) / 100) }),
        "millennium" | "mil" => whole(if date.year > 0 { (date.year + 999) / 1_000 } else { -((999 - (date.year - 1)) / 1_000) }),
        "dow" => whole(civil::day_of_week(day)),
        "isodow" => whole((civil::day_of_week(day) + 6) % 7 + 1),
        "doy" => whole(civil::day_of_year(day)),
        "week" | "w" => whole(civil::iso_week(day).1),
        "isoyear" => whole(shown(civil::iso_week(day).0)),
        "julian" => {
            let of_day = i128::from(local.rem_euclid(MICROS_PER_DAY));
            whole(civil::julian(day)) + of_day * ONE / i128::from(MICROS_PER_DAY)
        }
        "timezone" => whole(offset()?),
        "timezone_hour" => whole(offset()? / 3_600),
        "timezone_minute" => whole(offset()? / 60 % 60),
        _ => time_part(field, local.rem_euclid(MICROS_PER_DAY)).map_err(|_| unit_error(field, source))?,
    })
}

#[expect(clippy::cast_precision_loss, reason = "float8 is what it returns")]
fn date_part(row: &Row<'_>, source: Source) -> Result<Option<f64>> {
    Ok(match part(row.text(0), row, source)? {
        Some(value) => Some(value as f64 / 1e6),
        None if matches!(row.text(0), "epoch" | "year" | "century") => Some(if row.int(1) > 0 { f64::INFINITY } else { f64::NEG_INFINITY }),
        None => None,
    })
}

fn has_fraction(field: &str) -> bool {
    let field = field.trim_matches('\'').to_ascii_lowercase();
    matches!(field.trim_end_matches('s'), "epoch" | "second" | "sec" | "millisecond" | "msec" | "julian")
}

/// numeric, with the digits that the part can have.
fn extract_type(args: &ReturnFieldArgs<'_>) -> Result<Field> {
    let field = match args.scalar_arguments.first() {
        Some(Some(ScalarValue::Utf8(Some(field)))) => field.clone(),
        _ => "epoch".to_owned(),
    };
    let of_date = args.arg_fields.get(1).is_some_and(|field| field.data_type() == &DataType::Date32);
    let scale = match field.trim_matches('\'').to_ascii_lowercase().trim_end_matches('s') {
        _ if of_date || !has_fraction(&field) => 0,
        "millisecond" | "msec" => 3,
        "julian" => 20,
        _ => 6,
    };
    Ok(Field::new("", DataType::Decimal128(if scale == 20 { 38 } else { 20 }, scale), true))
}

fn extract(args: &Columns<'_>, source: Source) -> Result<ArrayRef> {
    let DataType::Decimal128(precision, scale) = args.result.data_type() else {
        return Err(DataFusionError::Internal(format!("extract cannot give {}", describe(args.result.data_type()))));
    };
    let value_args = [
        datafusion::logical_expr::ColumnarValue::Array(Arc::clone(&args.arrays[0])),
        datafusion::logical_expr::ColumnarValue::Array(Arc::clone(&args.arrays[1])),
    ];
    let rows = super::call::Rows::new(&value_args, args.fields, args.rows, true)?;
    let mut values = Vec::with_capacity(args.rows);
    rows.visit(|row| {
        values.push(if row.is_null(0) || row.is_null(1) {
            None
        } else {
            part(row.text(0), row, source)?.map(|value| match scale {
                6 => value,
                0..6 => value / 10_i128.pow(6 - u32::from(scale.unsigned_abs())),
                _ => value * 10_i128.pow(u32::from(scale.unsigned_abs()) - 6),
            })
        });
        Ok(())
    })?;
    Ok(Arc::new(values.into_iter().collect::<Decimal128Array>().with_precision_and_scale(*precision, *scale)?))
}

fn truncated(unit: &str, micros: i64, zone: Option<Zone>) -> Result<i64> {
    if is_infinite(micros) {
        return Ok(micros);
    }
    let lower = unit.to_ascii_lowercase();
    let local = zone.map_or(micros, |zone| zone.to_local(micros));
    let (day, of_day) = (local.div_euclid(MICROS_PER_DAY), local.rem_euclid(MICROS_PER_DAY));
    let date = civil::civil(day);
    let first = |year: i64, month: i64| Some((civil::days(Civil { year, month, day: 1 }), 0));
    let start = match lower.trim_end_matches('s') {
        "microsecond" | "usec" | "u" => Some((day, of_day)),
        "millisecond" | "msec" => Some((day, of_day - of_day % 1_000)),
        "second" | "sec" => Some((day, of_day - of_day % MICROS_PER_SECOND)),
        "minute" | "min" => Some((day, of_day - of_day % MICROS_PER_MINUTE)),
        "hour" | "hr" => Some((day, of_day - of_day % MICROS_PER_HOUR)),
        "day" | "d" => Some((day, 0)),
        "week" | "w" => Some((day - (civil::day_of_week(day) + 6) % 7, 0)),
        "month" | "mon" => first(date.year, date.month),
        "quarter" | "qtr" => first(date.year, (date.month - 1) / 3 * 3 + 1),
        "year" | "yr" | "y" => first(date.year, 1),
        "decade" | "dec" => first(date.year.div_euclid(10) * 10, 1),
        "century" | "cent" | "c" => first((date.year - 1).div_euclid(100) * 100 + 1, 1),
        "millennium" | "mil" => first((date.year - 1).div_euclid(1_000) * 1_000 + 1, 1),
        _ => None,
    };
    let type_name = if zone.is_some() { "timestamp with time zone" } else { "timestamp without time zone" };
    let (day, of_day) = start
        .ok_or_else(|| data(DataError::InvalidParameterValue, format_args!("unit \"{lower}\" not recognized for type {type_name}")))?;
    let result = civil::timestamp(day, of_day).ok_or_else(timestamp_range)?;
    match zone {
        None => Ok(result),
        // Below a day the offset in force stays.
        Some(zone) if matches!(lower.trim_end_matches('s'), "microsecond" | "millisecond" | "second" | "minute" | "hour") => {
            Ok(result - i64::from(zone.offset_at(micros)) * MICROS_PER_SECOND)
        }
        Some(zone) => Ok(zone.to_utc(result)),
    }
}

fn truncated_interval(unit: &str, interval: IntervalMonthDayNano) -> Result<IntervalMonthDayNano> {
    let lower = unit.to_ascii_lowercase();
    let (months, days, micros) = (interval.months, interval.days, interval.nanoseconds / 1_000);
    let to_months = |size: i32| Ok(IntervalMonthDayNano::new(months - months % size, 0, 0));
    let to_micros = |size: i64| Ok(IntervalMonthDayNano::new(months, days, (micros - micros % size) * 1_000));
    match lower.trim_end_matches('s') {
        "millennium" => to_months(12_000),
        "century" => to_months(1_200),
        "decade" => to_months(120),
        "year" => to_months(12),
        "quarter" => to_months(3),
        "month" => to_months(1),
        "day" => Ok(IntervalMonthDayNano::new(months, days, 0)),
        "hour" => to_micros(MICROS_PER_HOUR),
        "minute" => to_micros(MICROS_PER_MINUTE),
        "second" => to_micros(MICROS_PER_SECOND),
        "millisecond" => to_micros(1_000),
        "microsecond" => Ok(interval),
        "week" => Err(unsupported("unit \"week\" for type interval")),
        _ => Err(data(DataError::InvalidParameterValue, format_args!("unit \"{lower}\" not recognized for type interval"))),
    }
}

fn binned(row: &Row<'_>) -> Result<i64> {
    let (stride, source, origin) = (row.interval(0), row.int(1), row.int(2));
    if stride.months != 0 {
        return Err(unsupported("timestamps binned into intervals containing months or years"));
    }
    let width = i64::from(stride.days) * MICROS_PER_DAY + stride.nanoseconds / 1_000;
    if width <= 0 {
        return Err(data(DataError::DatetimeOverflow, "stride must be greater than zero"));
    }
    Ok(source - (source - origin).rem_euclid(width))
}

/// Years, months and days between two wall clocks (`timestamp_age`).
fn age(a: i64, b: i64) -> Result<IntervalMonthDayNano> {
    if a < b {
        let positive = age(b, a)?;
        return Ok(IntervalMonthDayNano::new(-positive.months, -positive.days, -positive.nanoseconds));
    }
    let (late, early) = (civil::fields(a), civil::fields(b));
    let mut months = (late.date.year - early.date.year) * 12 + late.date.month - early.date.month;
    let mut days = late.date.day - early.date.day;
    let mut micros = a.rem_euclid(MICROS_PER_DAY) - b.rem_euclid(MICROS_PER_DAY);
    if micros < 0 {
        micros += MICROS_PER_DAY;
        days -= 1;
    }
    if days < 0 {
        days += civil::days_in_month(early.date.year, early.date.month);
        months -= 1;
    }
    let narrow = |value: i64| i32::try_from(value).map_err(|_| interval_range());
    Ok(IntervalMonthDayNano::new(narrow(months)?, narrow(days)?, micros * 1_000))
}

fn made_date(year: i64, month: i64, day: i64) -> Result<i64> {
    let astronomical = if year < 0 { year + 1 } else { year };
    if year == 0 || !(1..=12).contains(&month) || day < 1 || day > civil::days_in_month(astronomical, month) {
        return Err(data(DataError::DatetimeOverflow, format_args!("date field value out of range: {year}-{month:02}-{day:02}")));
    }
    Ok(civil::days(Civil { year: astronomical, month, day }))
}

#[expect(clippy::cast_possible_truncation, reason = "seconds are below 61")]
fn made_time(hour: i64, minute: i64, second: f64) -> Result<i64> {
    let micros = hour * MICROS_PER_HOUR + minute * MICROS_PER_MINUTE + (second * 1e6).round() as i64;
    if !(0..=24).contains(&hour) || !(0..60).contains(&minute) || !(0.0..=60.0).contains(&second) || micros > MICROS_PER_DAY {
        return Err(data(DataError::DatetimeOverflow, format_args!("time field value out of range: {hour}:{minute:02}:{second:02}")));
    }
    Ok(micros)
}

fn made_timestamp(row: &Row<'_>) -> Result<i64> {
    let day = made_date(row.int(0), row.int(1), row.int(2))?;
    civil::timestamp(day, made_time(row.int(3), row.int(4), row.float(5))?).ok_or_else(timestamp_range)
}

/// Years, months, weeks, days, hours, minutes, seconds, each 0 where absent.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn made_interval(row: &Row<'_>) -> Result<Option<IntervalMonthDayNano>> {
    if row.len() > 7 {
        return Err(mistake(lakegate_engine_api::SqlMistake::UndefinedFunction, "make_interval takes at most 7 arguments"));
    }
    if (0..row.len()).any(|at| row.is_null(at)) {
        return Ok(None);
    }
    let value = |at: usize| if at < row.len() { row.float(at) } else { 0.0 };
    let months = value(0) * 12.0 + value(1);
    let days = value(2) * 7.0 + value(3);
    let micros = value(4) * 3.6e9 + value(5) * 6e7 + (value(6) * 1e6).round();
    if months.abs() > f64::from(i32::MAX) || days.abs() > f64::from(i32::MAX) || micros.abs() > 9.2e15 {
        return Err(interval_range());
    }
    Ok(Some(IntervalMonthDayNano::new(months as i32, days as i32, micros as i64 * 1_000)))
}
