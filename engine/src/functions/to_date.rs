//! `to_date` and `to_timestamp` by template (documentation, section 9.8).

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ScalarUDF;
use lakegate_engine_api::DataError;

use super::datetime::timestamp_range;
use super::error::{data, unsupported};
use super::function::{Body, PgFunction};
use super::session::Session;
use super::text::civil::{self, Civil, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND};
use super::text::zone::Zone;
use super::to_char::{DAYS, MONTHS, Piece, ROMAN, template};
use super::types::Ty;

pub fn session_functions(session: &Arc<Session>) -> Vec<Arc<ScalarUDF>> {
    let zone = session.style.zone;
    vec![
        PgFunction::immutable("to_date")
            .on(
                &[Ty::TEXT, Ty::TEXT],
                Ty::DATE,
                Body::Int(Box::new(|row| {
                    let (local, _) = read(row.text(0), row.text(1))?;
                    Ok(Some(local.div_euclid(MICROS_PER_DAY)))
                })),
            )
            .build(),
        PgFunction::stable("to_timestamp")
            .of_session(session.identity())
            .on(
                &[Ty::TEXT, Ty::TEXT],
                Ty::TIMESTAMPTZ,
                Body::Int(Box::new(move |row| {
                    let (local, offset) = read(row.text(0), row.text(1))?;
                    Ok(Some(offset.map_or(zone, Zone::Fixed).to_utc(local)))
                })),
            )
            .on(&[Ty::FLOAT8], Ty::TIMESTAMPTZ, Body::Int(Box::new(|row| epoch(row.float(0)).map(Some))))
            .build(),
    ]
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn epoch(seconds: f64) -> Result<i64> {
    if seconds.is_infinite() {
        return Ok(if seconds > 0.0 { i64::MAX } else { i64::MIN });
    }
    let micros = (seconds * 1e6).round();
    if !micros.is_finite() || micros.abs() > 9.2e18 {
        return Err(data(DataError::DatetimeOverflow, format_args!("timestamp out of range: \"{seconds}\"")));
    }
    civil::timestamp((micros as i64).div_euclid(MICROS_PER_DAY), (micros as i64).rem_euclid(MICROS_PER_DAY)).ok_or_else(timestamp_range)
}

#[derive(Default)]
struct Parts {
    year: Option<i64>,
    iso_year: Option<i64>,
    iso_week: Option<i64>,
    iso_day: Option<i64>,
    century: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    week_of_year: Option<i64>,
    week_of_month: Option<i64>,
    julian: Option<i64>,
    hour: i64,
    hour12: bool,
    minute: i64,
    second: i64,
    micros: i64,
    seconds_of_day: Option<i64>,
    pm: Option<bool>,
    bc: bool,
    offset: Option<i32>,
    offset_negative: bool,
}

/// Wall clock in microseconds, and the offset where the text has one.
fn read(text: &str, format: &str) -> Result<(i64, Option<i32>)> {
    let mut parts = Parts::default();
    let mut rest = text.trim_start();
    let pieces = template(format);
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Literal(literal) => {
                for c in literal.chars() {
                    // A separator or a space of the template stands for any number of them.
                    if c.is_alphanumeric() {
                        rest = rest.get(rest.chars().next().map_or(0, char::len_utf8)..).unwrap_or_default();
                    } else {
                        rest = skip_separators(rest, pieces.get(at + 1));
                    }
                }
            }
            Piece::Field { pattern, fill, ordinal, .. } => {
                rest = rest.trim_start_matches(' ');
                // Digits of a field end where the next pattern begins at once.
                let adjoins = matches!(pieces.get(at + 1), Some(Piece::Field { .. }));
                rest = parts.take(pattern, rest, adjoins && !fill, text)?;
                if ordinal.is_some() {
                    rest = rest.get(2..).unwrap_or_default();
                }
            }
        }
        if rest.is_empty() {
            break;
        }
    }
    parts.finish(text)
}

fn skip_separators<'a>(rest: &'a str, next: Option<&Piece>) -> &'a str {
    let offset_next = matches!(next, Some(Piece::Field { pattern: "TZH", .. }));
    rest.trim_start_matches(|c: char| !(c.is_alphanumeric() || offset_next && matches!(c, '+' | '-')))
}

fn invalid(value: &str, pattern: &str) -> DataFusionError {
    data(DataError::InvalidDatetimeFormat, format_args!("invalid value \"{value}\" for \"{pattern}\""))
}

impl Parts {
    fn take<'a>(&mut self, pattern: &'static str, text: &'a str, fixed: bool, whole: &str) -> Result<&'a str> {
        let mut rest = text;
        let mut number = |width: usize| -> Result<i64> {
            let limit = if fixed { width } else { usize::MAX };
            let signed = matches!(rest.as_bytes().first(), Some(b'-' | b'+')) && matches!(pattern, "YYYY" | "IYYY" | "CC");
            let body = if signed { rest.get(1..).unwrap_or_default() } else { rest };
            let end = body.find(|c: char| !c.is_ascii_digit()).unwrap_or(body.len()).min(limit);
            let digits = body.get(..end).unwrap_or_default();
            let sign = if signed && rest.starts_with('-') { -1 } else { 1 };
            let value: i64 = digits.parse().map_err(|_| invalid(rest.get(..rest.len().min(width)).unwrap_or(rest), pattern))?;
            rest = body.get(end..).unwrap_or_default();
            Ok(sign * value)
        };
        match pattern {
            "YYYY" => self.year = Some(number(4)?),
            "Y,YYY" => {
                let (thousands, after) = text.split_once(',').ok_or_else(|| invalid(text, pattern))?;
                let year: i64 = format!("{thousands}{}", after.get(..3).unwrap_or_default()).parse().map_err(|_| invalid(text, pattern))?;
                self.year = Some(year);
                return Ok(after.get(3..).unwrap_or_default());
            }
            "YYY" | "YY" | "Y" => {
                let width = pattern.len();
                let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()).min(if fixed { width } else { usize::MAX });
                let value = number(width)?;
                self.year = Some(if digits <= width { nearby(value, width) } else { value });
            }
            "IYYY" => self.iso_year = Some(number(4)?),
            "IYY" | "IY" | "I" => self.iso_year = Some(nearby(number(pattern.len())?, pattern.len())),
            "CC" => self.century = Some(number(2)?),
            "MM" => self.month = Some(number(2)?),
            "DD" => self.day = Some(number(2)?),
            "DDD" => self.day_of_year = Some(number(3)?),
            "IDDD" => return Err(unsupported("the template pattern IDDD")),
            "D" | "Q" => {
                number(1)?;
            }
            "ID" => self.iso_day = Some(number(1)?),
            "W" => self.week_of_month = Some(number(1)?),
            "WW" => self.week_of_year = Some(number(2)?),
            "IW" => self.iso_week = Some(number(2)?),
            "J" => self.julian = Some(number(7)?),
            "HH24" => self.hour = number(2)?,
            "HH" | "HH12" => {
                self.hour = number(2)?;
                self.hour12 = true;
                if !(1..=12).contains(&self.hour) {
                    return Err(data(
                        DataError::InvalidDatetimeFormat,
                        format_args!("hour \"{}\" is invalid for the 12-hour clock", self.hour),
                    ));
                }
            }
            "MI" => self.minute = number(2)?,
            "SS" => self.second = number(2)?,
            "SSSS" | "SSSSS" => self.seconds_of_day = Some(number(5)?),
            "MS" | "US" | "FF1" | "FF2" | "FF3" | "FF4" | "FF5" | "FF6" => {
                let width = match pattern {
                    "MS" => 3,
                    "US" => 6,
                    other => usize::from(other.as_bytes().last().copied().unwrap_or(b'6') - b'0'),
                };
                let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()).min(width);
                let digits = text.get(..end).filter(|digits| !digits.is_empty()).ok_or_else(|| invalid(text, pattern))?;
                // Digits after the point: `MS` of `5` is 500 ms.
                self.micros = super::text::datetime_in::micros_of_fraction(digits).ok_or_else(|| invalid(text, pattern))?;
                return Ok(text.get(end..).unwrap_or_default());
            }
            "AM" | "PM" | "A.M." | "P.M." => {
                let word = text.get(..pattern.len()).unwrap_or_default().to_ascii_uppercase();
                self.pm = Some(match word.replace('.', "").as_str() {
                    "AM" => false,
                    "PM" => true,
                    _ => return Err(invalid(&word, pattern)),
                });
                return Ok(text.get(pattern.len()..).unwrap_or_default());
            }
            "AD" | "BC" | "A.D." | "B.C." => {
                let word = text.get(..pattern.len()).unwrap_or_default().to_ascii_uppercase();
                self.bc = word.starts_with('B');
                return Ok(text.get(pattern.len()..).unwrap_or_default());
            }
            "MONTH" | "MON" => {
                let (at, after) = named(text, &MONTHS, pattern == "MONTH").ok_or_else(|| invalid(text, pattern))?;
                self.month = Some(at + 1);
                return Ok(after);
            }
            "DAY" | "DY" => {
                let (_, after) = named(text, &DAYS, pattern == "DAY").ok_or_else(|| invalid(text, pattern))?;
                return Ok(after);
            }
            "RM" => {
                let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
                let word = text.get(..end).unwrap_or_default().to_ascii_uppercase();
                let at = ROMAN.iter().position(|roman| *roman == word).ok_or_else(|| invalid(&word, pattern))?;
                self.month = i64::try_from(at + 1).ok();
                return Ok(text.get(end..).unwrap_or_default());
            }
            "TZH" => {
                self.offset_negative = text.starts_with('-');
                let body = text.trim_start_matches(['+', '-']);
                let end = body.find(|c: char| !c.is_ascii_digit()).unwrap_or(body.len()).min(2);
                let hours: i32 = body.get(..end).unwrap_or_default().parse().map_err(|_| invalid(text, pattern))?;
                self.offset = Some(if self.offset_negative { -hours * 3_600 } else { hours * 3_600 });
                return Ok(body.get(end..).unwrap_or_default());
            }
            "TZM" => {
                let minutes = i32::try_from(number(2)?).map_err(|_| invalid(text, pattern))?;
                let minutes = if self.offset_negative { -minutes } else { minutes };
                self.offset = Some(self.offset.unwrap_or(0) + minutes * 60);
            }
            "TZ" | "OF" => return Err(unsupported(format_args!("formatting field \"{pattern}\" in to_char's inverse"))),
            other => return Err(unsupported(format_args!("the template pattern {other} in \"{whole}\""))),
        }
        Ok(rest)
    }

    fn finish(self, text: &str) -> Result<(i64, Option<i32>)> {
        let range = || data(DataError::DatetimeOverflow, format_args!("date/time field value out of range: \"{text}\""));
        let mut year = self.year.unwrap_or(match self.century {
            Some(century) => (century - 1) * 100 + 1,
            None => 0,
        });
        if self.bc && year > 0 {
            year = 1 - year;
        } else if year < 0 {
            year += 1;
        }
        // Without a year it is 1 BC, as to_date gives it.
        let day = if let Some(julian) = self.julian {
            julian - 2_440_588
        } else if let Some(iso_year) = self.iso_year {
            civil::iso_week_start(iso_year, self.iso_week.unwrap_or(1)) + self.iso_day.unwrap_or(1) - 1
        } else if let Some(of_year) = self.day_of_year {
            if !(1..=if civil::is_leap(year) { 366 } else { 365 }).contains(&of_year) {
                return Err(range());
            }
            civil::days(Civil { year, month: 1, day: 1 }) + of_year - 1
        } else {
            let month = self.month.unwrap_or(1);
            let day = match (self.day, self.week_of_year, self.week_of_month) {
                (None, Some(week), _) => {
                    let start = civil::days(Civil { year, month: 1, day: 1 }) + (week - 1) * 7;
                    return self.timed(start, text);
                }
                (None, None, Some(week)) => (week - 1) * 7 + 1,
                (day, ..) => day.unwrap_or(1),
            };
            if !(1..=12).contains(&month) || day < 1 || day > civil::days_in_month(year, month) {
                return Err(range());
            }
            civil::days(Civil { year, month, day })
        };
        self.timed(day, text)
    }

    fn timed(&self, day: i64, text: &str) -> Result<(i64, Option<i32>)> {
        let range = || data(DataError::DatetimeOverflow, format_args!("date/time field value out of range: \"{text}\""));
        let hour = match (self.pm, self.hour12) {
            (Some(true), _) if self.hour < 12 => self.hour + 12,
            (Some(false), _) if self.hour == 12 => 0,
            (None, true) if self.hour == 12 => 0,
            _ => self.hour,
        };
        if hour > 23 || self.minute > 59 || self.second > 59 {
            return Err(range());
        }
        let of_day = match self.seconds_of_day {
            Some(seconds) => seconds * MICROS_PER_SECOND + self.micros,
            None => hour * MICROS_PER_HOUR + self.minute * MICROS_PER_MINUTE + self.second * MICROS_PER_SECOND + self.micros,
        };
        Ok((civil::timestamp(day, of_day).ok_or_else(timestamp_range)?, self.offset))
    }
}

/// A year of few digits is the one nearest to 2020.
fn nearby(value: i64, digits: usize) -> i64 {
    match digits {
        3 if value >= 520 => value + 1_000,
        3 => value + 2_000,
        2 if value >= 70 => value + 1_900,
        2 => value + 2_000,
        1 => value + 2_000,
        _ => value,
    }
}

/// Index of the name that the text begins with.
fn named<'a>(text: &'a str, names: &[&str], full: bool) -> Option<(i64, &'a str)> {
    let lower = text.to_lowercase();
    let matches = |name: &str| {
        let name = name.to_lowercase();
        let wanted = if full { name.as_str() } else { name.get(..3).unwrap_or(&name) };
        lower.starts_with(wanted).then_some(wanted.len())
    };
    let (at, length) = names.iter().enumerate().find_map(|(at, name)| matches(name).map(|length| (at, length)))?;
    Some((i64::try_from(at).ok()?, text.get(length..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::text::{datetime_out, style::Style};

    #[test]
    fn templates() {
        for (text, format, expected) in [
            ("2024-03-05", "YYYY-MM-DD", "2024-03-05 00:00:00"),
            ("05 Dec 2000", "DD Mon YYYY", "2000-12-05 00:00:00"),
            ("20240305140709", "YYYYMMDDHH24MISS", "2024-03-05 14:07:09"),
            ("3/5/24 2:07 PM", "MM/DD/YY HH12:MI AM", "2024-03-05 14:07:00"),
            ("2024 065", "YYYY DDD", "2024-03-05 00:00:00"),
            ("2024-W10-2", "IYYY-\"W\"IW-ID", "2024-03-05 00:00:00"),
            ("12:00:00.5", "HH24:MI:SS.MS", "0001-01-01 12:00:00.5 BC"),
        ] {
            let (local, _) = read(text, format).unwrap();
            assert_eq!(datetime_out::timestamp(local, &Style::default()), expected, "{text} {format}");
        }
        assert!(read("2024-13-01", "YYYY-MM-DD").is_err());
        assert!(read("abc", "YYYY").is_err());
    }
}
