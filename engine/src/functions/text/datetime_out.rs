//! What `date_out`, `time_out`, `timestamp_out` and `timestamptz_out` write.

use std::fmt::Write;

use super::civil::{self, DATE_INFINITY, DATE_MINUS_INFINITY, Fields, TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY};
use super::style::{DateOrder, DateStyle, Style};
use super::zone::Zone;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

#[must_use]
pub fn date(days: i32, style: &Style) -> String {
    match days {
        DATE_INFINITY => return "infinity".to_owned(),
        DATE_MINUS_INFINITY => return "-infinity".to_owned(),
        _ => {}
    }
    let date = civil::civil(i64::from(days));
    let (year, era) = era(date.year);
    let (month, day) = (date.month, date.day);
    let body = match (style.date_style, style.date_order) {
        (DateStyle::Iso, _) => format!("{year:04}-{month:02}-{day:02}"),
        (DateStyle::German, _) => format!("{day:02}.{month:02}.{year:04}"),
        (DateStyle::Sql, DateOrder::Dmy) => format!("{day:02}/{month:02}/{year:04}"),
        (DateStyle::Sql, _) => format!("{month:02}/{day:02}/{year:04}"),
        (DateStyle::Postgres, DateOrder::Dmy) => format!("{day:02}-{month:02}-{year:04}"),
        (DateStyle::Postgres, _) => format!("{month:02}-{day:02}-{year:04}"),
    };
    body + era
}

#[must_use]
pub fn time(micros: i64) -> String {
    let mut out = String::with_capacity(15);
    let whole = micros / civil::MICROS_PER_SECOND;
    push_clock(&mut out, whole / 3_600, whole / 60 % 60, whole % 60, micros % civil::MICROS_PER_SECOND);
    out
}

#[must_use]
pub fn timestamp(micros: i64, style: &Style) -> String {
    instant(micros, style, None)
}

#[must_use]
pub fn timestamptz(micros: i64, style: &Style) -> String {
    instant(micros, style, Some(style.zone))
}

fn instant(micros: i64, style: &Style, zone: Option<Zone>) -> String {
    match micros {
        TIMESTAMP_INFINITY => return "infinity".to_owned(),
        TIMESTAMP_MINUS_INFINITY => return "-infinity".to_owned(),
        _ => {}
    }
    let local = zone.map_or(micros, |zone| zone.to_local(micros));
    let Fields { date, hour, minute, second, micros: fraction } = civil::fields(local);
    let (year, era) = era(date.year);
    let (month, day) = (date.month, date.day);
    let mut out = String::with_capacity(32);
    let name = |month: i64| usize::try_from(month - 1).ok().and_then(|at| MONTHS.get(at)).copied().unwrap_or_default();
    // Writing to a String cannot fail.
    let _ = match (style.date_style, style.date_order) {
        (DateStyle::Iso, _) => write!(out, "{year:04}-{month:02}-{day:02} "),
        (DateStyle::German, _) => write!(out, "{day:02}.{month:02}.{year:04} "),
        (DateStyle::Sql, DateOrder::Dmy) => write!(out, "{day:02}/{month:02}/{year:04} "),
        (DateStyle::Sql, _) => write!(out, "{month:02}/{day:02}/{year:04} "),
        (DateStyle::Postgres, order) => {
            let weekday = usize::try_from(civil::day_of_week(civil::days(date))).ok().and_then(|at| DAYS.get(at)).copied();
            let weekday = weekday.unwrap_or_default();
            if order == DateOrder::Dmy {
                write!(out, "{weekday} {day:02} {} ", name(month))
            } else {
                write!(out, "{weekday} {} {day:02} ", name(month))
            }
        }
    };
    push_clock(&mut out, hour, minute, second, fraction);
    if style.date_style == DateStyle::Postgres {
        let _ = write!(out, " {year:04}");
    }
    if let Some(zone) = zone {
        if style.date_style == DateStyle::Iso {
            push_offset(&mut out, zone.offset_at(micros));
        } else {
            out.push(' ');
            out.push_str(&zone.abbreviation_at(micros));
        }
    }
    out.push_str(era);
    out
}

/// `+02`, `-03:30`, `+00:17:30`.
pub fn push_offset(out: &mut String, seconds: i32) {
    out.push(if seconds < 0 { '-' } else { '+' });
    let seconds = seconds.unsigned_abs();
    let _ = write!(out, "{:02}", seconds / 3_600);
    if !seconds.is_multiple_of(3_600) {
        let _ = write!(out, ":{:02}", seconds / 60 % 60);
    }
    if !seconds.is_multiple_of(60) {
        let _ = write!(out, ":{:02}", seconds % 60);
    }
}

fn push_clock(out: &mut String, hour: i64, minute: i64, second: i64, micros: i64) {
    let _ = write!(out, "{hour:02}:{minute:02}:{second:02}");
    push_fraction(out, micros);
}

/// `.5`, `.000001`, or nothing.
pub fn push_fraction(out: &mut String, micros: i64) {
    if micros != 0 {
        let digits = format!("{micros:06}");
        out.push('.');
        out.push_str(digits.trim_end_matches('0'));
    }
}

fn era(year: i64) -> (i64, &'static str) {
    if year > 0 { (year, "") } else { (1 - year, " BC") }
}
