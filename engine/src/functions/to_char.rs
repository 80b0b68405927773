//! `to_char` of timestamps and intervals: the template patterns of documentation section 9.8, table 9.27.

use std::sync::Arc;

use datafusion::arrow::datatypes::IntervalMonthDayNano;
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;
use lakegate_engine_api::DataError;

use super::cast::is_infinite;
use super::error::{data, unsupported};
use super::function::{Body, PgFunction};
use super::session::Session;
use super::text::civil::{self, MICROS_PER_DAY};
use super::text::datetime_out::push_offset;
use super::text::zone::Zone;
use super::to_char_number::numeric_overloads;
use super::types::Ty;

pub fn session_functions(session: &Arc<Session>) -> Vec<Arc<ScalarUDF>> {
    let zone = session.style.zone;
    let function = PgFunction::stable("to_char")
        .of_session(session.identity())
        .on(&[Ty::TIMESTAMP, Ty::TEXT], Ty::TEXT, Body::Text(Box::new(|row| timestamp(row.int(0), row.text(1), None))))
        .on(&[Ty::TIMESTAMPTZ, Ty::TEXT], Ty::TEXT, Body::Text(Box::new(move |row| timestamp(row.int(0), row.text(1), Some(zone)))))
        .on(
            &[Ty::TIME, Ty::TEXT],
            Ty::TEXT,
            Body::Text(Box::new(|row| interval(IntervalMonthDayNano::new(0, 0, row.int(0) * 1_000), row.text(1)))),
        )
        .on(&[Ty::INTERVAL, Ty::TEXT], Ty::TEXT, Body::Text(Box::new(|row| interval(row.interval(0), row.text(1)))));
    vec![numeric_overloads(function).build()]
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Literal(String),
    Field { pattern: &'static str, written: String, fill: bool, ordinal: Option<bool> },
}

/// Longer patterns stand before their prefixes.
const PATTERNS: &[&str] = &[
    "SSSSS", "SSSS", "A.D.", "B.C.", "A.M.", "P.M.", "MONTH", "Y,YYY", "IYYY", "YYYY", "IDDD", "HH24", "HH12", "DAY", "DDD", "FF1", "FF2",
    "FF3", "FF4", "FF5", "FF6", "IYY", "YYY", "MON", "TZH", "TZM", "AD", "BC", "AM", "PM", "CC", "DD", "DY", "HH", "ID", "IW", "IY", "MI",
    "MM", "MS", "OF", "RM", "SS", "TZ", "US", "WW", "YY", "D", "I", "J", "Q", "W", "Y",
];

/// Cuts a template into pieces.
#[must_use]
pub fn template(text: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut rest = text;
    let mut literal = String::new();
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            let body = rest.get(1..).unwrap_or_default();
            let mut chars = body.char_indices();
            let mut end = body.len();
            while let Some((at, c)) = chars.next() {
                match c {
                    '\\' => literal.extend(chars.next().map(|(_, c)| c)),
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    c => literal.push(c),
                }
            }
            rest = body.get(end..).unwrap_or_default();
            continue;
        }
        if c == '\\' && rest.get(1..).is_some_and(|after| after.starts_with('"')) {
            literal.push('"');
            rest = rest.get(2..).unwrap_or_default();
            continue;
        }
        let (fill, after) = prefixes(rest);
        let upper: String = after.chars().take(6).collect::<String>().to_ascii_uppercase();
        match PATTERNS.iter().find(|pattern| upper.starts_with(**pattern)) {
            Some(pattern) => {
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                let written = after.get(..pattern.len()).unwrap_or_default().to_owned();
                let mut tail = after.get(pattern.len()..).unwrap_or_default();
                let ordinal = match tail.get(..2) {
                    Some("TH") => Some(true),
                    Some("th") => Some(false),
                    _ => None,
                };
                if ordinal.is_some() {
                    tail = tail.get(2..).unwrap_or_default();
                }
                pieces.push(Piece::Field { pattern, written, fill, ordinal });
                rest = tail;
            }
            None => {
                literal.push(c);
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
            }
        }
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    pieces
}

/// Leading `FM`, `TM`, `FX`; whether `FM` was among them.
fn prefixes(text: &str) -> (bool, &str) {
    let (mut fill, mut rest) = (false, text);
    loop {
        match rest.get(..2).map(str::to_ascii_uppercase).as_deref() {
            Some("FM") => fill = true,
            Some("TM" | "FX") => {}
            _ => return (fill, rest),
        }
        rest = rest.get(2..).unwrap_or_default();
    }
}

pub const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
pub const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
pub const ROMAN: [&str; 12] = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

/// What the patterns print.
struct Moment {
    year: i64,
    month: i64,
    day: i64,
    days: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
    zone: Option<(Zone, i64)>,
}

fn timestamp(micros: i64, format: &str, zone: Option<Zone>) -> Result<Option<String>> {
    if is_infinite(micros) || format.is_empty() {
        return Ok(None);
    }
    let local = zone.map_or(micros, |zone| zone.to_local(micros));
    let fields = civil::fields(local);
    let moment = Moment {
        year: fields.date.year,
        month: fields.date.month,
        day: fields.date.day,
        days: Some(local.div_euclid(MICROS_PER_DAY)),
        hour: fields.hour,
        minute: fields.minute,
        second: fields.second,
        micros: fields.micros,
        zone: zone.map(|zone| (zone, micros)),
    };
    moment.print(format).map(Some)
}

fn interval(interval: IntervalMonthDayNano, format: &str) -> Result<Option<String>> {
    let micros = interval.nanoseconds / 1_000;
    let moment = Moment {
        year: i64::from(interval.months / 12),
        month: i64::from(interval.months % 12),
        day: i64::from(interval.days),
        days: None,
        hour: micros / civil::MICROS_PER_HOUR,
        minute: micros / civil::MICROS_PER_MINUTE % 60,
        second: micros / civil::MICROS_PER_SECOND % 60,
        micros: micros % civil::MICROS_PER_SECOND,
        zone: None,
    };
    moment.print(format).map(Some)
}

impl Moment {
    fn print(&self, format: &str) -> Result<String> {
        let mut out = String::new();
        for piece in template(format) {
            match piece {
                Piece::Literal(text) => out.push_str(&text),
                Piece::Field { pattern, written, fill, ordinal } => {
                    let text = self.field(pattern, &written, fill)?;
                    out.push_str(&text);
                    if let Some(upper) = ordinal {
                        out.push_str(&suffix(&text, upper));
                    }
                }
            }
        }
        Ok(out)
    }

    /// The date's day count; patterns of the calendar have no meaning for intervals.
    fn date(&self) -> Result<i64> {
        self.days.ok_or_else(|| data(DataError::InvalidDatetimeFormat, "invalid format specification for an interval value"))
    }

    fn field(&self, pattern: &str, written: &str, fill: bool) -> Result<String> {
        let padded = |value: i64, width: usize| {
            let width = if fill { 0 } else { width };
            if value < 0 { format!("-{:0>width$}", value.abs()) } else { format!("{value:0>width$}") }
        };
        let signed = |value: i64, width: usize| {
            let width = if fill { 0 } else { width };
            format!("{value:0width$}")
        };
        let shown_year = |year: i64| if self.days.is_some() && year <= 0 { 1 - year } else { year };
        let name = |names: &[&str], at: i64| usize::try_from(at).ok().and_then(|at| names.get(at).copied()).unwrap_or_default().to_owned();
        let cased = |text: String, width: usize| {
            let text = match written.get(..2) {
                Some(two) if two.chars().all(|c| c.is_ascii_uppercase()) => text.to_uppercase(),
                Some(two) if two.starts_with(|c: char| c.is_ascii_uppercase()) => text,
                _ => text.to_lowercase(),
            };
            if fill { text } else { format!("{text:<width$}") }
        };
        let meridiem = |am: &str, pm: &str| {
            let text = if self.hour.rem_euclid(24) >= 12 { pm } else { am };
            if written.starts_with(|c: char| c.is_ascii_lowercase()) { text.to_lowercase() } else { text.to_owned() }
        };
        let era = |bc: &str, ad: &str| {
            let text = if self.year <= 0 { bc } else { ad };
            if written.starts_with(|c: char| c.is_ascii_lowercase()) { text.to_lowercase() } else { text.to_owned() }
        };
        let hour12 = match self.hour % 12 {
            0 if self.days.is_some() || self.hour != 0 => 12,
            0 => 12,
            hour => hour,
        };
        let iso = || self.date().map(civil::iso_week);
        Ok(match pattern {
            "HH" | "HH12" => padded(hour12, 2),
            "HH24" => padded(self.hour, 2),
            "MI" => padded(self.minute, 2),
            "SS" => padded(self.second, 2),
            "MS" | "FF3" => format!("{:03}", self.micros.abs() / 1_000),
            "US" | "FF6" => format!("{:06}", self.micros.abs()),
            "FF1" => format!("{}", self.micros.abs() / 100_000),
            "FF2" => format!("{:02}", self.micros.abs() / 10_000),
            "FF4" => format!("{:04}", self.micros.abs() / 100),
            "FF5" => format!("{:05}", self.micros.abs() / 10),
            "SSSS" | "SSSSS" => (self.hour * 3_600 + self.minute * 60 + self.second).to_string(),
            "AM" | "PM" => meridiem("AM", "PM"),
            "A.M." | "P.M." => meridiem("A.M.", "P.M."),
            "AD" | "BC" => {
                self.date()?;
                era("BC", "AD")
            }
            "A.D." | "B.C." => {
                self.date()?;
                era("B.C.", "A.D.")
            }
            "Y,YYY" => {
                let year = shown_year(self.year);
                format!("{},{:03}", year / 1_000, year % 1_000)
            }
            "YYYY" => padded(shown_year(self.year), 4),
            "YYY" => padded(shown_year(self.year) % 1_000, 3),
            "YY" => padded(shown_year(self.year) % 100, 2),
            "Y" => padded(shown_year(self.year) % 10, 1),
            "IYYY" => padded(shown_year(iso()?.0), 4),
            "IYY" => padded(shown_year(iso()?.0) % 1_000, 3),
            "IY" => padded(shown_year(iso()?.0) % 100, 2),
            "I" => padded(shown_year(iso()?.0) % 10, 1),
            "CC" => {
                let year = self.year;
                let century = if self.days.is_none() {
                    year / 100
                } else if year > 0 {
                    (year - 1) / 100 + 1
                } else {
                    year / 100 - 1
                };
                padded(century, 2)
            }
            "MONTH" => {
                self.date()?;
                cased(name(&MONTHS, self.month - 1), 9)
            }
            "MON" => {
                self.date()?;
                cased(name(&MONTHS, self.month - 1).chars().take(3).collect(), 0)
            }
            "MM" => padded(self.month, 2),
            "RM" => {
                let roman =
                    if self.month == 0 { String::new() } else { name(&ROMAN, self.month.rem_euclid(12).wrapping_sub(1).rem_euclid(12)) };
                let roman = if written.starts_with('r') { roman.to_lowercase() } else { roman };
                if fill { roman } else { format!("{roman:<4}") }
            }
            "DAY" => cased(name(&DAYS, civil::day_of_week(self.date()?)), 9),
            "DY" => cased(name(&DAYS, civil::day_of_week(self.date()?)).chars().take(3).collect(), 0),
            "DDD" => signed(
                match self.days {
                    Some(days) => civil::day_of_year(days),
                    None => self.year * 360 + self.month * 30 + self.day,
                },
                3,
            ),
            "IDDD" => {
                let days = self.date()?;
                let (year, _) = civil::iso_week(days);
                padded(days - civil::iso_week_start(year, 1) + 1, 3)
            }
            // Unlike those of the others, the width of days counts the sign.
            "DD" => signed(self.day, 2),
            "D" => (civil::day_of_week(self.date()?) + 1).to_string(),
            "ID" => ((civil::day_of_week(self.date()?) + 6) % 7 + 1).to_string(),
            "W" => ((self.day - 1) / 7 + 1).to_string(),
            "WW" => padded((civil::day_of_year(self.date()?) - 1) / 7 + 1, 2),
            "IW" => padded(iso()?.1, 2),
            "J" => civil::julian(self.date()?).to_string(),
            "Q" => {
                if self.month == 0 {
                    String::new()
                } else {
                    ((self.month - 1) / 3 + 1).to_string()
                }
            }
            "TZ" => {
                self.date()?;
                let text = self.zone.map(|(zone, at)| zone.abbreviation_at(at)).unwrap_or_default();
                if written.starts_with('t') { text.to_lowercase() } else { text }
            }
            "OF" => {
                self.date()?;
                let mut out = String::new();
                push_offset(&mut out, self.zone.map_or(0, |(zone, at)| zone.offset_at(at)));
                out
            }
            "TZH" | "TZM" => {
                self.date()?;
                let offset = self.zone.map_or(0, |(zone, at)| zone.offset_at(at));
                if pattern == "TZH" {
                    format!("{}{:02}", if offset < 0 { '-' } else { '+' }, offset.abs() / 3_600)
                } else {
                    format!("{:02}", offset.abs() / 60 % 60)
                }
            }
            other => return Err(unsupported(format_args!("the template pattern {other}"))),
        })
    }
}

/// `ST`, `ND`, `RD`, `TH` of a number.
#[must_use]
pub fn suffix(number: &str, upper: bool) -> String {
    let digits = number.trim();
    let teen = digits.len() >= 2 && digits.get(digits.len() - 2..).is_some_and(|two| two.starts_with('1'));
    let text = match digits.chars().last() {
        Some('1') if !teen => "st",
        Some('2') if !teen => "nd",
        Some('3') if !teen => "rd",
        _ => "th",
    };
    if upper { text.to_uppercase() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::text::{datetime_in, style::Style};

    #[test]
    fn templates() {
        let at = datetime_in::timestamp("2024-03-05 14:07:09.123456", &Style::default()).unwrap();
        for (format, expected) in [
            ("YYYY-MM-DD HH24:MI:SS.US", "2024-03-05 14:07:09.123456"),
            ("FMMonth FMDDth, YYYY", "March 5th, 2024"),
            ("Day|DY|dy|D|ID", "Tuesday  |TUE|tue|3|2"),
            ("HH12:MI PM am", "02:07 PM pm"),
            ("\"Q\"Q IYYY-IW DDD J", "Q1 2024-10 065 2460375"),
            ("YY MS SSSS RM", "24 123 50829 III "),
            ("YYYY\"y\"MM\"m\"", "2024y03m"),
        ] {
            assert_eq!(timestamp(at, format, None).unwrap().unwrap(), expected, "{format}");
        }
    }
}
