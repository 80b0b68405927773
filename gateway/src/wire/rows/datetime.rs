//! date, time, timestamp, timestamptz. Text mirrors `EncodeDateOnly`, `EncodeDateTime` and `EncodeTimezone` of PostgreSQL.
//! The ends of an integer's range are the infinities, as PostgreSQL stores them.

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_schema::{DataType, TimeUnit};
use lakegate_catalog::model::PgType;

use super::cell::{Cell, CellResult, Manner, mismatch, put, to_micros};
use crate::frontend::{DateOrder, DateStyle};
use crate::sqlstate::{SqlError, SqlState};
use crate::wire::calendar::*;
use crate::wire::outgoing::Format;

const DAYS: [&[u8]; 7] = [b"Sun", b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat"];
const MONTHS: [&[u8]; 12] = [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

pub fn date(pg: PgType, array: &ArrayRef, format: Format, manner: &Manner) -> Result<Cell, SqlError> {
    match array.data_type() {
        DataType::Date32 => {
            let values = array.as_primitive::<Date32Type>().values().clone();
            Ok(dates(move |row| Ok(values[row]), format, manner))
        }
        DataType::Date64 => {
            let values = array.as_primitive::<Date64Type>().values().clone();
            let day = move |row: usize| {
                i32::try_from(values[row].div_euclid(1_000 * SECONDS_PER_DAY)).map_err(|_| Box::new(overflow("date out of range")))
            };
            Ok(dates(day, format, manner))
        }
        other => Err(mismatch(pg, other, format)),
    }
}

pub fn time(pg: PgType, array: &ArrayRef, format: Format) -> Result<Cell, SqlError> {
    macro_rules! times {
        ($type:ty, $micros:expr) => {{
            let values = array.as_primitive::<$type>().values().clone();
            Ok(match format {
                Format::Text => Box::new(move |row, out| {
                    clock($micros(i64::from(values[row])), out);
                    Ok(())
                }),
                Format::Binary => Box::new(move |row, out| {
                    put(out, i64::to_be_bytes($micros(i64::from(values[row]))));
                    Ok(())
                }),
            })
        }};
    }
    match array.data_type() {
        DataType::Time32(TimeUnit::Second) => times!(Time32SecondType, |value: i64| value * 1_000_000),
        DataType::Time32(_) => times!(Time32MillisecondType, |value: i64| value * 1_000),
        DataType::Time64(TimeUnit::Nanosecond) => times!(Time64NanosecondType, |value: i64| value.div_euclid(1_000)),
        DataType::Time64(_) => times!(Time64MicrosecondType, |value: i64| value),
        other => Err(mismatch(pg, other, format)),
    }
}

/// `with_zone`: timestamptz, shown in the session's zone.
pub fn timestamp(pg: PgType, array: &ArrayRef, format: Format, manner: &Manner, with_zone: bool) -> Result<Cell, SqlError> {
    macro_rules! timestamps {
        ($type:ty, $unit:expr) => {{
            let values = array.as_primitive::<$type>().values().clone();
            Ok(stamps(move |row| values[row], $unit, format, manner, with_zone))
        }};
    }
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => timestamps!(TimestampSecondType, TimeUnit::Second),
        DataType::Timestamp(TimeUnit::Millisecond, _) => timestamps!(TimestampMillisecondType, TimeUnit::Millisecond),
        DataType::Timestamp(TimeUnit::Microsecond, _) => timestamps!(TimestampMicrosecondType, TimeUnit::Microsecond),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => timestamps!(TimestampNanosecondType, TimeUnit::Nanosecond),
        other => Err(mismatch(pg, other, format)),
    }
}

fn dates(day: impl Fn(usize) -> Result<i32, Box<SqlError>> + Send + Sync + 'static, format: Format, manner: &Manner) -> Cell {
    let (style, order) = (manner.style.date_style, manner.style.date_order);
    match format {
        Format::Binary => Box::new(move |row, out| {
            let days = match day(row)? {
                infinite @ (i32::MIN | i32::MAX) => infinite,
                days => days.checked_sub(PG_EPOCH_DAYS).ok_or_else(|| overflow("date out of range"))?,
            };
            put(out, days.to_be_bytes());
            Ok(())
        }),
        Format::Text => Box::new(move |row, out| {
            match day(row)? {
                i32::MAX => out.extend_from_slice(b"infinity"),
                i32::MIN => out.extend_from_slice(b"-infinity"),
                days => date_text(i64::from(days), style, order, out),
            }
            Ok(())
        }),
    }
}

fn stamps(value: impl Fn(usize) -> i64 + Send + Sync + 'static, unit: TimeUnit, format: Format, manner: &Manner, with_zone: bool) -> Cell {
    let micros = move |row: usize| -> Result<i64, Box<SqlError>> {
        match value(row) {
            infinite @ (i64::MIN | i64::MAX) => Ok(infinite),
            finite => match to_micros(finite, unit) {
                Some(micros) if micros >= TIMESTAMP_MIN => Ok(micros),
                _ => Err(Box::new(overflow("timestamp out of range"))),
            },
        }
    };
    if format == Format::Binary {
        return Box::new(move |row, out| {
            let micros = match micros(row)? {
                infinite @ (i64::MIN | i64::MAX) => infinite,
                micros => micros - PG_EPOCH_MICROS,
            };
            put(out, micros.to_be_bytes());
            Ok(())
        });
    }
    let style = manner.style.clone();
    let zone = with_zone.then(|| Zone::of(&style));
    Box::new(move |row, out| -> CellResult {
        match micros(row)? {
            i64::MAX => out.extend_from_slice(b"infinity"),
            i64::MIN => out.extend_from_slice(b"-infinity"),
            micros => timestamp_text(micros, zone.as_ref(), style.date_style, style.date_order, out),
        }
        Ok(())
    })
}

/// Days from 1970, finite.
pub fn date_text(days: i64, style: DateStyle, order: DateOrder, out: &mut Vec<u8>) {
    let date = civil_from_days(days);
    calendar_day(date, style, order, out);
    before_christ(date, out);
}

/// Microseconds from 1970 in UTC, finite; `zone` for a timestamptz.
pub fn timestamp_text(micros: i64, zone: Option<&Zone>, style: DateStyle, order: DateOrder, out: &mut Vec<u8>) {
    let unix_seconds = micros.div_euclid(MICROS_PER_SECOND);
    let offset = zone.map_or(0, |zone| zone.offset_at(unix_seconds));
    let (days, of_day) = day_and_time(micros, offset);
    let date = civil_from_days(days);
    if style == DateStyle::Iso && (1..10_000).contains(&date.year) {
        iso_timestamp(date, of_day, out);
        if zone.is_some() {
            zone_offset(offset, out);
        }
        return;
    }
    if style == DateStyle::Postgres {
        out.extend_from_slice(DAYS[day_of_week(days)]);
        out.push(b' ');
        let month = MONTHS[usize::from(date.month - 1)];
        if order == DateOrder::Dmy {
            two(date.day, out);
            out.push(b' ');
            out.extend_from_slice(month);
        } else {
            out.extend_from_slice(month);
            out.push(b' ');
            two(date.day, out);
        }
        out.push(b' ');
        clock(of_day, out);
        out.push(b' ');
        year(date, out);
    } else {
        calendar_day(date, style, order, out);
        out.push(b' ');
        clock(of_day, out);
    }
    if let Some(zone) = zone {
        if style == DateStyle::Iso {
            zone_offset(offset, out);
        } else {
            out.push(b' ');
            out.extend_from_slice(zone.abbreviation_at(unix_seconds).as_bytes());
        }
    }
    before_christ(date, out);
}

/// The local day and the microseconds of it.
fn day_and_time(micros: i64, offset: i32) -> (i64, i64) {
    if let Some(local) = micros.checked_add(i64::from(offset) * MICROS_PER_SECOND) {
        return (local.div_euclid(MICROS_PER_DAY), local.rem_euclid(MICROS_PER_DAY));
    }
    // The offset carries the ends of the range past 64 bits.
    let local = i128::from(micros) + i128::from(offset) * i128::from(MICROS_PER_SECOND);
    let per_day = i128::from(MICROS_PER_DAY);
    let part = |value: i128| i64::try_from(value).unwrap_or(0);
    (part(local.div_euclid(per_day)), part(local.rem_euclid(per_day)))
}

/// The usual case in one go: a year of four digits, ISO style.
fn iso_timestamp(date: Civil, of_day: i64, out: &mut Vec<u8>) {
    let digit = |value: i64| b'0' + u8::try_from(value % 10).unwrap_or(0);
    let (year, month, day) = (date.year, i64::from(date.month), i64::from(date.day));
    let seconds = of_day / MICROS_PER_SECOND;
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    out.extend_from_slice(&[
        digit(year / 1_000),
        digit(year / 100),
        digit(year / 10),
        digit(year),
        b'-',
        digit(month / 10),
        digit(month),
        b'-',
        digit(day / 10),
        digit(day),
        b' ',
        digit(hour / 10),
        digit(hour),
        b':',
        digit(minute / 10),
        digit(minute),
        b':',
        digit(second / 10),
        digit(second),
    ]);
    fraction(of_day % MICROS_PER_SECOND, out);
}

/// `HH:MM:SS`, then the fraction without trailing zeros. Microseconds of a day.
pub fn clock(micros: i64, out: &mut Vec<u8>) {
    let seconds = micros.div_euclid(MICROS_PER_SECOND);
    number_two(seconds / 3_600, out);
    out.push(b':');
    number_two(seconds / 60 % 60, out);
    out.push(b':');
    number_two(seconds % 60, out);
    fraction(micros.rem_euclid(MICROS_PER_SECOND), out);
}

/// `.5` of 500,000 microseconds; nothing of none.
pub fn fraction(micros: i64, out: &mut Vec<u8>) {
    if micros == 0 {
        return;
    }
    let mut text = [b'.', b'0', b'0', b'0', b'0', b'0', b'0'];
    let (mut rest, mut used) = (micros, 1);
    for (index, place) in text.iter_mut().enumerate().skip(1).rev() {
        let digit = u8::try_from(rest % 10).unwrap_or(0);
        *place = b'0' + digit;
        rest /= 10;
        if digit != 0 && used == 1 {
            used = index + 1;
        }
    }
    out.extend_from_slice(text.get(..used).unwrap_or(&text));
}

/// At least two digits.
pub fn number_two(value: i64, out: &mut Vec<u8>) {
    if (0..100).contains(&value) {
        two(u8::try_from(value).unwrap_or(0), out);
    } else {
        out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
}

fn calendar_day(date: Civil, style: DateStyle, order: DateOrder, out: &mut Vec<u8>) {
    let (first, second) = if order == DateOrder::Dmy { (date.day, date.month) } else { (date.month, date.day) };
    match style {
        DateStyle::Iso => {
            year(date, out);
            out.push(b'-');
            two(date.month, out);
            out.push(b'-');
            two(date.day, out);
            return;
        }
        DateStyle::German => {
            two(date.day, out);
            out.push(b'.');
            two(date.month, out);
            out.push(b'.');
        }
        DateStyle::Sql => {
            two(first, out);
            out.push(b'/');
            two(second, out);
            out.push(b'/');
        }
        DateStyle::Postgres => {
            two(first, out);
            out.push(b'-');
            two(second, out);
            out.push(b'-');
        }
    }
    year(date, out);
}

/// At least four digits; a year before Christ by its own number.
fn year(date: Civil, out: &mut Vec<u8>) {
    let year = if date.year > 0 { date.year } else { 1 - date.year };
    if (1000..10_000).contains(&year) {
        number_two(year / 100, out);
        number_two(year % 100, out);
    } else {
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(year).as_bytes();
        out.extend(std::iter::repeat_n(b'0', 4usize.saturating_sub(digits.len())));
        out.extend_from_slice(digits);
    }
}

fn before_christ(date: Civil, out: &mut Vec<u8>) {
    if date.year <= 0 {
        out.extend_from_slice(b" BC");
    }
}

fn zone_offset(offset: i32, out: &mut Vec<u8>) {
    out.push(if offset < 0 { b'-' } else { b'+' });
    let seconds = i64::from(offset.abs());
    number_two(seconds / 3_600, out);
    if seconds % 3_600 != 0 {
        out.push(b':');
        number_two(seconds / 60 % 60, out);
    }
    if seconds % 60 != 0 {
        out.push(b':');
        number_two(seconds % 60, out);
    }
}

#[inline]
fn two(value: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'0' + value / 10, b'0' + value % 10]);
}

fn overflow(message: &str) -> SqlError {
    SqlError::new(SqlState::DatetimeFieldOverflow, message)
}
