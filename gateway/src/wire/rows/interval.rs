//! interval. Text mirrors `EncodeInterval` in its four styles.

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_schema::{DataType, IntervalUnit, TimeUnit};
use lakegate_catalog::model::PgType;

use super::cell::{Cell, Manner, mismatch, put, to_micros};
use super::datetime::{fraction, number_two};
use crate::frontend::IntervalStyle;
use crate::sqlstate::{SqlError, SqlState};
use crate::wire::calendar::MICROS_PER_SECOND;
use crate::wire::outgoing::Format;

/// As PostgreSQL stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub micros: i64,
}

pub fn interval(pg: PgType, array: &ArrayRef, format: Format, manner: &Manner) -> Result<Cell, SqlError> {
    macro_rules! durations {
        ($type:ty, $unit:expr) => {{
            let values = array.as_primitive::<$type>().values().clone();
            Ok(intervals(
                move |row| {
                    let micros = to_micros(values[row], $unit)
                        .ok_or_else(|| Box::new(SqlError::new(SqlState::DatetimeFieldOverflow, "interval out of range")))?;
                    Ok(Interval { months: 0, days: 0, micros })
                },
                format,
                manner,
            ))
        }};
    }
    match array.data_type() {
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let values = array.as_primitive::<IntervalMonthDayNanoType>().values().clone();
            let read = move |row: usize| {
                let value = values[row];
                Ok(Interval { months: value.months, days: value.days, micros: value.nanoseconds / 1_000 })
            };
            Ok(intervals(read, format, manner))
        }
        DataType::Interval(IntervalUnit::YearMonth) => {
            let values = array.as_primitive::<IntervalYearMonthType>().values().clone();
            Ok(intervals(move |row| Ok(Interval { months: values[row], days: 0, micros: 0 }), format, manner))
        }
        DataType::Interval(IntervalUnit::DayTime) => {
            let values = array.as_primitive::<IntervalDayTimeType>().values().clone();
            let read = move |row: usize| {
                let value = values[row];
                Ok(Interval { months: 0, days: value.days, micros: i64::from(value.milliseconds) * 1_000 })
            };
            Ok(intervals(read, format, manner))
        }
        DataType::Duration(TimeUnit::Second) => durations!(DurationSecondType, TimeUnit::Second),
        DataType::Duration(TimeUnit::Millisecond) => durations!(DurationMillisecondType, TimeUnit::Millisecond),
        DataType::Duration(TimeUnit::Microsecond) => durations!(DurationMicrosecondType, TimeUnit::Microsecond),
        DataType::Duration(TimeUnit::Nanosecond) => durations!(DurationNanosecondType, TimeUnit::Nanosecond),
        other => Err(mismatch(pg, other, format)),
    }
}

fn intervals(value: impl Fn(usize) -> Result<Interval, Box<SqlError>> + Send + Sync + 'static, format: Format, manner: &Manner) -> Cell {
    let style = manner.style.interval_style;
    match format {
        Format::Binary => Box::new(move |row, out| {
            let value = value(row)?;
            put(out, value.micros.to_be_bytes());
            put(out, value.days.to_be_bytes());
            put(out, value.months.to_be_bytes());
            Ok(())
        }),
        Format::Text => Box::new(move |row, out| {
            interval_text(value(row)?, style, out);
            Ok(())
        }),
    }
}

pub fn interval_text(value: Interval, style: IntervalStyle, out: &mut Vec<u8>) {
    let fields = Fields::of(value);
    match style {
        IntervalStyle::Postgres => postgres(&fields, out),
        IntervalStyle::PostgresVerbose => verbose(&fields, out),
        IntervalStyle::SqlStandard => sql_standard(&fields, out),
        IntervalStyle::Iso8601 => iso_8601(&fields, out),
    }
}

/// The parts as they are printed; the sign of each part of the time is that of the whole time.
struct Fields {
    years: i64,
    months: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    seconds: i64,
    micros: i64,
}

impl Fields {
    fn of(value: Interval) -> Fields {
        let seconds = value.micros / MICROS_PER_SECOND;
        Fields {
            years: i64::from(value.months) / 12,
            months: i64::from(value.months) % 12,
            days: i64::from(value.days),
            hours: seconds / 3_600,
            minutes: seconds / 60 % 60,
            seconds: seconds % 60,
            micros: value.micros % MICROS_PER_SECOND,
        }
    }

    fn all(&self) -> [i64; 7] {
        [self.years, self.months, self.days, self.hours, self.minutes, self.seconds, self.micros]
    }

    fn has_time(&self) -> bool {
        self.hours != 0 || self.minutes != 0 || self.seconds != 0 || self.micros != 0
    }

    fn time_is_negative(&self) -> bool {
        self.hours < 0 || self.minutes < 0 || self.seconds < 0 || self.micros < 0
    }

    /// `H:MM:SS.f` without a sign.
    fn time(&self, hours_two: bool, out: &mut Vec<u8>) {
        if hours_two {
            number_two(self.hours.abs(), out)
        } else {
            number(self.hours.abs(), out)
        }
        out.push(b':');
        number_two(self.minutes.abs(), out);
        out.push(b':');
        number_two(self.seconds.abs(), out);
        fraction(self.micros.abs(), out);
    }
}

/// `1 year 2 mons -3 days +04:05:06`: a positive part after a negative one shows its sign.
fn postgres(fields: &Fields, out: &mut Vec<u8>) {
    let start = out.len();
    let mut after_negative = false;
    for (value, unit) in [(fields.years, "year"), (fields.months, "mon"), (fields.days, "day")] {
        if value == 0 {
            continue;
        }
        if out.len() > start {
            out.push(b' ');
        }
        if after_negative && value > 0 {
            out.push(b'+');
        }
        number(value, out);
        out.push(b' ');
        out.extend_from_slice(unit.as_bytes());
        if value != 1 {
            out.push(b's');
        }
        after_negative = value < 0;
    }
    if out.len() == start || fields.has_time() {
        if out.len() > start {
            out.push(b' ');
        }
        if fields.time_is_negative() {
            out.push(b'-');
        } else if after_negative {
            out.push(b'+');
        }
        fields.time(true, out);
    }
}

/// `@ 1 year 2 mons ago`: signs are relative to the first part's.
fn verbose(fields: &Fields, out: &mut Vec<u8>) {
    out.push(b'@');
    let mut first_is_negative = None;
    let parts = [(fields.years, "year"), (fields.months, "mon"), (fields.days, "day"), (fields.hours, "hour"), (fields.minutes, "min")];
    for (value, unit) in parts.into_iter().filter(|(value, _)| *value != 0) {
        let value = if *first_is_negative.get_or_insert(value < 0) { -value } else { value };
        out.push(b' ');
        number(value, out);
        out.push(b' ');
        out.extend_from_slice(unit.as_bytes());
        if value != 1 {
            out.push(b's');
        }
    }
    if fields.seconds != 0 || fields.micros != 0 {
        let negative = fields.seconds < 0 || fields.micros < 0;
        out.push(b' ');
        if negative != *first_is_negative.get_or_insert(negative) {
            out.push(b'-');
        }
        number(fields.seconds.abs(), out);
        fraction(fields.micros.abs(), out);
        out.extend_from_slice(if fields.seconds.abs() == 1 && fields.micros == 0 { b" sec" } else { b" secs" });
    }
    match first_is_negative {
        None => out.extend_from_slice(b" 0"),
        Some(true) => out.extend_from_slice(b" ago"),
        Some(false) => {}
    }
}

/// `1-2` or `3 4:05:06` where the standard has a form, else all parts with their signs.
fn sql_standard(fields: &Fields, out: &mut Vec<u8>) {
    let negative = fields.all().iter().any(|part| *part < 0);
    let positive = fields.all().iter().any(|part| *part > 0);
    let year_month = fields.years != 0 || fields.months != 0;
    let day_time = fields.days != 0 || fields.has_time();
    if !negative && !positive {
        out.push(b'0');
        return;
    }
    if negative && positive || year_month && day_time {
        let sign = |negative: bool| if negative { b'-' } else { b'+' };
        out.push(sign(fields.years < 0 || fields.months < 0));
        number(fields.years.abs(), out);
        out.push(b'-');
        number(fields.months.abs(), out);
        out.push(b' ');
        out.push(sign(fields.days < 0));
        number(fields.days.abs(), out);
        out.push(b' ');
        out.push(sign(fields.time_is_negative()));
        return fields.time(false, out);
    }
    if negative {
        out.push(b'-');
    }
    if year_month {
        number(fields.years.abs(), out);
        out.push(b'-');
        number(fields.months.abs(), out);
        return;
    }
    if fields.days != 0 {
        number(fields.days.abs(), out);
        out.push(b' ');
    }
    fields.time(false, out);
}

fn iso_8601(fields: &Fields, out: &mut Vec<u8>) {
    if fields.all() == [0; 7] {
        out.extend_from_slice(b"PT0S");
        return;
    }
    let part = |value: i64, letter: u8, out: &mut Vec<u8>| {
        if value != 0 {
            number(value, out);
            out.push(letter);
        }
    };
    out.push(b'P');
    part(fields.years, b'Y', out);
    part(fields.months, b'M', out);
    part(fields.days, b'D', out);
    if fields.has_time() {
        out.push(b'T');
    }
    part(fields.hours, b'H', out);
    part(fields.minutes, b'M', out);
    if fields.seconds != 0 || fields.micros != 0 {
        if fields.seconds < 0 || fields.micros < 0 {
            out.push(b'-');
        }
        number(fields.seconds.abs(), out);
        fraction(fields.micros.abs(), out);
        out.push(b'S');
    }
}

fn number(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}
