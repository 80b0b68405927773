//! Intervals: three counters that do not carry into each other (months, days, nanoseconds), as `interval_in` reads and
//! `interval_out` writes them.

use std::fmt::Write;

use datafusion::arrow::datatypes::IntervalMonthDayNano;
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use lakegate_engine_api::DataError;

use super::datetime_out::push_fraction;
use super::style::IntervalStyle;
use crate::functions::error;

const NANOS_PER_SECOND: i64 = 1_000_000_000;
const MICROS_PER_SECOND: i64 = 1_000_000;

/// Reads `1 year 2 mons 3 days 04:05:06`, `P1Y2M3DT4H5M6S`, `1-2 3 4:05:06`, `-1.5 hours ago`.
///
/// # Errors
/// 22007, or 22008 out of range.
pub fn parse(text: &str) -> Result<IntervalMonthDayNano> {
    let mut sum = Sum::default();
    let trimmed = text.trim();
    let read = if trimmed.starts_with(['P', 'p']) { sum.iso(trimmed) } else { sum.words(trimmed) };
    read.ok_or_else(|| error::data(DataError::InvalidDatetimeFormat, format_args!("invalid input syntax for type interval: \"{text}\"")))?;
    sum.finish().ok_or_else(|| out_of_range(text))
}

fn out_of_range(text: &str) -> DataFusionError {
    error::data(DataError::DatetimeOverflow, format_args!("interval field value out of range: \"{text}\""))
}

/// Sums kept wide; fractions go down as PostgreSQL's do (months to days of 30, days to time).
#[derive(Default)]
struct Sum {
    months: f64,
    days: f64,
    micros: i128,
    any: bool,
}

impl Sum {
    fn finish(&self) -> Option<IntervalMonthDayNano> {
        let months = whole(self.months)?;
        let days = whole(self.days)?;
        let micros = i64::try_from(self.micros).ok()?;
        Some(IntervalMonthDayNano::new(i32::try_from(months).ok()?, i32::try_from(days).ok()?, micros.checked_mul(1_000)?))
    }

    fn add(&mut self, value: f64, unit: &str) -> Option<()> {
        self.any = true;
        let months = |sum: &mut Sum, months: f64| {
            sum.months += months.trunc();
            sum.add_days(months.fract() * 30.0);
        };
        match unit.trim_end_matches('s') {
            "microsecond" | "usecond" | "usec" | "u" if unit != "s" => self.micros += times(value, 1),
            "millisecond" | "msecond" | "msec" | "m" if unit.starts_with("ms") || unit.starts_with("mi") => {
                self.micros += times(value, 1_000)
            }
            "second" | "sec" | "" => self.micros += times(value, MICROS_PER_SECOND),
            "minute" | "min" | "m" => self.micros += times(value, 60 * MICROS_PER_SECOND),
            "hour" | "hr" | "h" => self.micros += times(value, 3_600 * MICROS_PER_SECOND),
            "day" | "d" => self.add_days(value),
            "week" | "w" => self.add_days(value * 7.0),
            "month" | "mon" => months(self, value),
            "year" | "yr" | "y" => self.months += (value * 12.0).round(),
            "decade" | "dec" => self.months += (value * 120.0).round(),
            "century" | "centurie" | "cent" | "c" => self.months += (value * 1_200.0).round(),
            "millennium" | "millennia" | "mil" => self.months += (value * 12_000.0).round(),
            _ => return None,
        }
        Some(())
    }

    fn add_days(&mut self, days: f64) {
        self.days += days.trunc();
        self.micros += times(days.fract(), 86_400 * MICROS_PER_SECOND);
    }

    /// The verbose form and SQL's, as they may mix.
    fn words(&mut self, text: &str) -> Option<()> {
        let lower = text.to_ascii_lowercase();
        let mut rest = lower.trim_start_matches('@').trim();
        let ago = match rest.strip_suffix("ago") {
            Some(before) => {
                rest = before.trim();
                true
            }
            None => false,
        };
        // In SQL's form one leading sign holds for all fields: `-1-2 3`.
        while !rest.is_empty() {
            rest = self.field(rest.trim_start())?.trim_start();
        }
        if ago {
            (self.months, self.days, self.micros) = (-self.months, -self.days, -self.micros);
        }
        self.any.then_some(())
    }

    fn field<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        let (sign, unsigned) = match text.as_bytes().first()? {
            b'-' => (-1.0, text.get(1..)?.trim_start()),
            b'+' => (1.0, text.get(1..)?.trim_start()),
            _ => (1.0, text),
        };
        let end = unsigned.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).unwrap_or(unsigned.len());
        let (number, rest) = unsigned.split_at(end);
        if number.is_empty() {
            return None;
        }
        if number.contains(':') {
            let time = clock(number)?;
            self.micros += if sign < 0.0 { -time } else { time };
            self.any = true;
            return Some(rest);
        }
        // Years and months of SQL's form.
        if let Some(after) = rest.strip_prefix('-')
            && after.starts_with(|c: char| c.is_ascii_digit())
        {
            let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
            let (months, rest) = after.split_at(end);
            let months: f64 = months.parse().ok().filter(|months| *months < 12.0)?;
            self.months += sign * (number.parse::<f64>().ok()? * 12.0 + months);
            self.any = true;
            return Some(rest);
        }
        let value = sign * number.parse::<f64>().ok()?;
        let rest = rest.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(end);
        if unit.is_empty() && rest.trim_start().contains(':') {
            // Days of SQL's form: `3 4:05:06`.
            self.add_days(value);
            self.any = true;
        } else {
            self.add(value, unit)?;
        }
        Some(rest)
    }

    /// ISO 8601 with designators; `P0001-02-03T04:05:06` too.
    fn iso(&mut self, text: &str) -> Option<()> {
        let body = text.get(1..)?;
        let (date, time) = match body.split_once(['T', 't']) {
            Some((date, time)) => (date, Some(time)),
            None => (body, None),
        };
        if date.matches('-').count() == 2 && !date.starts_with('-') {
            let mut fields = date.split('-').map(|field| field.parse::<f64>().ok());
            let (years, months, days) = (fields.next()??, fields.next()??, fields.next()??);
            self.months += years * 12.0 + months;
            self.days += days;
            self.any = true;
        } else {
            self.designated(date, |designator| match designator {
                'Y' => Some("years"),
                'M' => Some("months"),
                'W' => Some("weeks"),
                'D' => Some("days"),
                _ => None,
            })?;
        }
        match time {
            Some(time) if time.contains(':') => {
                self.micros += clock(time)?;
                self.any = true;
            }
            Some(time) => self.designated(time, |designator| match designator {
                'H' => Some("hours"),
                'M' => Some("minutes"),
                'S' => Some("seconds"),
                _ => None,
            })?,
            None => {}
        }
        self.any.then_some(())
    }

    fn designated(&mut self, mut text: &str, unit: impl Fn(char) -> Option<&'static str>) -> Option<()> {
        while !text.is_empty() {
            let end = text.find(|c: char| c.is_ascii_alphabetic())?;
            let value = text.get(..end)?.parse::<f64>().ok()?;
            let designator = text.get(end..)?.chars().next()?.to_ascii_uppercase();
            self.add(value, unit(designator)?)?;
            text = text.get(end + 1..)?;
        }
        Some(())
    }
}

/// Microseconds of `hh:mm[:ss[.f]]`; `mm:ss.f` with a fraction.
fn clock(text: &str) -> Option<i128> {
    let fields: Vec<&str> = text.split(':').collect();
    let number = |text: &str| text.parse::<f64>().ok();
    let seconds_of = |seconds: f64| times(seconds, MICROS_PER_SECOND);
    let minutes_of = |minutes: f64| times(minutes, 60 * MICROS_PER_SECOND);
    let hours_of = |hours: f64| times(hours, 3_600 * MICROS_PER_SECOND);
    match fields.as_slice() {
        [minutes, seconds] if seconds.contains('.') => Some(minutes_of(number(minutes)?) + seconds_of(number(seconds)?)),
        [hours, minutes] => Some(hours_of(number(hours)?) + minutes_of(number(minutes)?)),
        [hours, minutes, seconds] => {
            let (minutes, seconds) = (number(minutes)?, number(seconds)?);
            (minutes < 60.0 && seconds <= 60.0).then_some(())?;
            Some(hours_of(number(hours)?) + minutes_of(minutes) + seconds_of(seconds))
        }
        _ => None,
    }
}

/// `value` units of `micros` each; whole units without the rounding of floats. Saturates far beyond what an interval holds.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "casts of floats saturate; factors are small")]
fn times(value: f64, micros: i64) -> i128 {
    let fraction = (value.fract() * micros as f64).round() as i128;
    i128::from(value.trunc() as i64) * i128::from(micros) + fraction
}

#[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
fn whole(value: f64) -> Option<i64> {
    let rounded = value.round();
    (rounded.abs() < 9.2e18).then_some(rounded as i64)
}

/// The text form.
#[must_use]
pub fn format(interval: IntervalMonthDayNano, style: IntervalStyle) -> String {
    let micros = interval.nanoseconds / 1_000;
    let parts = Parts {
        years: i64::from(interval.months) / 12,
        months: i64::from(interval.months) % 12,
        days: i64::from(interval.days),
        hours: micros / 3_600_000_000,
        minutes: micros / 60_000_000 % 60,
        seconds: micros / 1_000_000 % 60,
        micros: micros % 1_000_000,
    };
    match style {
        IntervalStyle::Postgres => parts.postgres(),
        IntervalStyle::PostgresVerbose => parts.verbose(),
        IntervalStyle::SqlStandard => parts.sql_standard(),
        IntervalStyle::Iso8601 => parts.iso(),
    }
}

/// Fields with their own signs.
struct Parts {
    years: i64,
    months: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    seconds: i64,
    micros: i64,
}

impl Parts {
    fn time_is_negative(&self) -> bool {
        [self.hours, self.minutes, self.seconds, self.micros].iter().any(|part| *part < 0)
    }

    fn has_time(&self) -> bool {
        [self.hours, self.minutes, self.seconds, self.micros].iter().any(|part| *part != 0)
    }

    fn postgres(&self) -> String {
        let mut out = String::new();
        let mut before_negative = false;
        for (value, unit) in [(self.years, "year"), (self.months, "mon"), (self.days, "day")] {
            if value != 0 {
                let space = if out.is_empty() { "" } else { " " };
                let plus = if before_negative && value > 0 { "+" } else { "" };
                let plural = if value == 1 { "" } else { "s" };
                let _ = write!(out, "{space}{plus}{value} {unit}{plural}");
                before_negative = value < 0;
            }
        }
        if self.has_time() || out.is_empty() {
            if !out.is_empty() {
                out.push(' ');
            }
            if self.time_is_negative() {
                out.push('-');
            } else if before_negative {
                out.push('+');
            }
            let _ = write!(out, "{:02}:{:02}:{:02}", self.hours.abs(), self.minutes.abs(), self.seconds.abs());
            push_fraction(&mut out, self.micros.abs());
        }
        out
    }

    fn verbose(&self) -> String {
        let mut out = "@".to_owned();
        let mut ago: Option<bool> = None;
        let mut push = |value: i64, fraction: i64, unit: &str| {
            if value == 0 && fraction == 0 {
                return;
            }
            let negative = value < 0 || fraction < 0;
            let shown = match ago {
                None => {
                    ago = Some(negative);
                    ""
                }
                Some(first) if first != negative => "-",
                Some(_) => "",
            };
            let _ = write!(out, " {shown}{}", value.abs());
            push_fraction(&mut out, fraction.abs());
            let _ = write!(out, " {unit}{}", if value.abs() == 1 && fraction == 0 { "" } else { "s" });
        };
        push(self.years, 0, "year");
        push(self.months, 0, "mon");
        push(self.days, 0, "day");
        push(self.hours, 0, "hour");
        push(self.minutes, 0, "min");
        push(self.seconds, self.micros, "sec");
        match ago {
            None => "@ 0".to_owned(),
            Some(true) => out + " ago",
            Some(false) => out,
        }
    }

    fn sql_standard(&self) -> String {
        let all = [self.years, self.months, self.days, self.hours, self.minutes, self.seconds, self.micros];
        let (negative, positive) = (all.iter().any(|part| *part < 0), all.iter().any(|part| *part > 0));
        let (year_month, day) = (self.years != 0 || self.months != 0, self.days != 0);
        let mut out = String::new();
        if !negative && !positive {
            return "0".to_owned();
        }
        let mixed = (negative && positive) || (year_month && (day || self.has_time()));
        let sign = |negative: bool| if negative { '-' } else { '+' };
        if mixed {
            let _ = write!(out, "{}{}-{} ", sign(self.years < 0 || self.months < 0), self.years.abs(), self.months.abs());
            let _ = write!(out, "{}{} ", sign(self.days < 0), self.days.abs());
            let _ =
                write!(out, "{}{}:{:02}:{:02}", sign(self.time_is_negative()), self.hours.abs(), self.minutes.abs(), self.seconds.abs());
            push_fraction(&mut out, self.micros.abs());
            return out;
        }
        if negative {
            out.push('-');
        }
        if year_month {
            let _ = write!(out, "{}-{}", self.years.abs(), self.months.abs());
            return out;
        }
        if day {
            let _ = write!(out, "{} ", self.days.abs());
        }
        let _ = write!(out, "{}:{:02}:{:02}", self.hours.abs(), self.minutes.abs(), self.seconds.abs());
        push_fraction(&mut out, self.micros.abs());
        out
    }

    fn iso(&self) -> String {
        let mut out = "P".to_owned();
        for (value, designator) in [(self.years, 'Y'), (self.months, 'M'), (self.days, 'D')] {
            if value != 0 {
                let _ = write!(out, "{value}{designator}");
            }
        }
        if self.has_time() {
            out.push('T');
            for (value, designator) in [(self.hours, 'H'), (self.minutes, 'M')] {
                if value != 0 {
                    let _ = write!(out, "{value}{designator}");
                }
            }
            if self.seconds != 0 || self.micros != 0 {
                if self.seconds < 0 || self.micros < 0 {
                    out.push('-');
                }
                let _ = write!(out, "{}", self.seconds.abs());
                push_fraction(&mut out, self.micros.abs());
                out.push('S');
            }
        }
        if out == "P" { "PT0S".to_owned() } else { out }
    }
}

/// `justify_hours`, `justify_days` and both: carries hours into days, days into months of 30.
#[must_use]
pub fn justify(interval: IntervalMonthDayNano, hours: bool, days: bool) -> IntervalMonthDayNano {
    const NANOS_PER_DAY: i64 = 86_400 * NANOS_PER_SECOND;
    let (mut months, mut day, mut nanos) = (i64::from(interval.months), i64::from(interval.days), interval.nanoseconds);
    if hours {
        day += nanos / NANOS_PER_DAY;
        nanos %= NANOS_PER_DAY;
    }
    if days {
        months += day / 30;
        day %= 30;
        if months > 0 && (day < 0 || (day == 0 && nanos < 0 && hours)) {
            day += 30;
            months -= 1;
        } else if months < 0 && (day > 0 || (day == 0 && nanos > 0 && hours)) {
            day -= 30;
            months += 1;
        }
    }
    if hours {
        if day > 0 && nanos < 0 {
            nanos += NANOS_PER_DAY;
            day -= 1;
        } else if day < 0 && nanos > 0 {
            nanos -= NANOS_PER_DAY;
            day += 1;
        }
    }
    let clamp = |value: i64| i32::try_from(value).unwrap_or(if value < 0 { i32::MIN } else { i32::MAX });
    IntervalMonthDayNano::new(clamp(months), clamp(day), nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match parse(text) {
            Ok(interval) => format(interval, IntervalStyle::Postgres),
            Err(error) => crate::error::from_datafusion(&error, &[]).to_string(),
        }
    }

    #[test]
    fn intervals_in_and_out() {
        for (text, expected) in [
            ("1 day 2 hours", "1 day 02:00:00"),
            ("1 year 2 mons -3 days 04:05:06.5", "1 year 2 mons -3 days +04:05:06.5"),
            ("P1Y2M3DT4H5M6S", "1 year 2 mons 3 days 04:05:06"),
            ("1-2 3 4:05:06", "1 year 2 mons 3 days 04:05:06"),
            ("1.5 months", "1 mon 15 days"),
            ("90 minutes ago", "-01:30:00"),
            ("2 weeks", "14 days"),
            ("100 ms", "00:00:00.1"),
            ("5", "00:00:05"),
            ("0.5 days", "12:00:00"),
            ("0", "00:00:00"),
            ("1 fortnight", "invalid input syntax for type interval: \"1 fortnight\""),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
