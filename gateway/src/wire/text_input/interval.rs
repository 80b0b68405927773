//! interval input: PostgreSQL's words, the SQL standard's `1-2 3 4:05:06`, and ISO 8601 `P1Y2M3DT4H5M6S`.
//! Mirrors `DecodeInterval` and `DecodeISO8601Interval`.

use super::scalar::is_blank;
use crate::frontend::IntervalStyle;
use crate::sqlstate::{SqlError, SqlState};
use crate::wire::calendar::{MICROS_PER_DAY, MICROS_PER_SECOND};
use crate::wire::rows::interval::Interval;

/// # Errors
/// 22007, 22015.
pub fn parse_interval(text: &str, style: IntervalStyle) -> Result<Interval, SqlError> {
    let parsed = match text.trim_start().as_bytes() {
        [b'P', ..] => iso_8601(text.trim()),
        _ => words(text, style),
    };
    parsed.map_err(|fault| match fault {
        Fault::Format => SqlError::new(SqlState::InvalidDatetimeFormat, format!("invalid input syntax for type interval: \"{text}\"")),
        Fault::Range => SqlError::new(SqlState::IntervalFieldOverflow, format!("interval field value out of range: \"{text}\"")),
    })
}

enum Fault {
    Format,
    Range,
}

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
    Decade,
    Century,
    Millennium,
}

impl Unit {
    fn named(word: &str) -> Option<Unit> {
        Some(match word {
            "us" | "usec" | "usecs" | "useconds" | "usecond" | "microsecond" | "microseconds" | "microsecon" => Unit::Microsecond,
            "ms" | "msec" | "msecs" | "mseconds" | "msecond" | "millisecond" | "milliseconds" | "millisecon" => Unit::Millisecond,
            "s" | "sec" | "secs" | "second" | "seconds" => Unit::Second,
            "m" | "min" | "mins" | "minute" | "minutes" => Unit::Minute,
            "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Hour,
            "d" | "day" | "days" => Unit::Day,
            "w" | "week" | "weeks" => Unit::Week,
            "mon" | "mons" | "month" | "months" => Unit::Month,
            "y" | "yr" | "yrs" | "year" | "years" => Unit::Year,
            "dec" | "decs" | "decade" | "decades" => Unit::Decade,
            "c" | "cent" | "century" | "centuries" => Unit::Century,
            "mil" | "mils" | "millennia" | "millennium" => Unit::Millennium,
            _ => return None,
        })
    }
}

/// A signed number: whole part and fraction, the latter with the sign too.
#[derive(Clone, Copy)]
struct Number {
    whole: i64,
    fraction: f64,
}

impl Number {
    /// `-12.5`, `.5`, `7`.
    fn parse(text: &str) -> Result<Number, Fault> {
        let (negative, unsigned) = match text.strip_prefix(['-', '+']) {
            Some(rest) => (text.starts_with('-'), rest),
            None => (false, text),
        };
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !is_digits(whole) || !is_digits(fraction) {
            return Err(Fault::Format);
        }
        let sign = if negative { "-" } else { "" };
        let whole = if whole.is_empty() { 0 } else { format!("{sign}{whole}").parse().map_err(|_| Fault::Range)? };
        let fraction = if fraction.is_empty() { 0.0 } else { format!("{sign}0.{fraction}").parse().map_err(|_| Fault::Format)? };
        Ok(Number { whole, fraction })
    }

    fn negated(self) -> Result<Number, Fault> {
        Ok(Number { whole: self.whole.checked_neg().ok_or(Fault::Range)?, fraction: -self.fraction })
    }
}

/// Sums of the parts, wide enough for any text; narrowed at the end.
#[derive(Default)]
struct Sum {
    months: i64,
    days: i64,
    micros: i64,
}

impl Sum {
    fn add(&mut self, number: Number, unit: Unit) -> Result<(), Fault> {
        match unit {
            Unit::Microsecond => self.time(number, 1),
            Unit::Millisecond => self.time(number, 1_000),
            Unit::Second => self.time(number, MICROS_PER_SECOND),
            Unit::Minute => self.time(number, 60 * MICROS_PER_SECOND),
            Unit::Hour => self.time(number, 3_600 * MICROS_PER_SECOND),
            Unit::Day => self.day(number, 1),
            Unit::Week => self.day(number, 7),
            Unit::Month => {
                self.months = total(self.months, number.whole, 1)?;
                self.day(Number { whole: 0, fraction: number.fraction }, 30)
            }
            Unit::Year => self.year(number, 1),
            Unit::Decade => self.year(number, 10),
            Unit::Century => self.year(number, 100),
            Unit::Millennium => self.year(number, 1_000),
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a fraction of a unit, rounded")]
    fn time(&mut self, number: Number, unit_micros: i64) -> Result<(), Fault> {
        let part = (number.fraction * unit_micros as f64).round_ties_even() as i64;
        self.micros = total(self.micros, number.whole, unit_micros)?.checked_add(part).ok_or(Fault::Range)?;
        Ok(())
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a fraction of a unit, cut to whole days")]
    fn day(&mut self, number: Number, unit_days: i64) -> Result<(), Fault> {
        let part = number.fraction * unit_days as f64;
        self.days = total(self.days, number.whole, unit_days)?.checked_add(part.trunc() as i64).ok_or(Fault::Range)?;
        self.micros = self.micros.checked_add((part.fract() * MICROS_PER_DAY as f64).round_ties_even() as i64).ok_or(Fault::Range)?;
        Ok(())
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a fraction of a unit, rounded to months")]
    fn year(&mut self, number: Number, unit_years: i64) -> Result<(), Fault> {
        let part = (number.fraction * (unit_years * 12) as f64).round_ties_even() as i64;
        self.months = total(self.months, number.whole, unit_years * 12)?.checked_add(part).ok_or(Fault::Range)?;
        Ok(())
    }

    fn finish(self, negate: bool) -> Result<Interval, Fault> {
        let sign = if negate { -1 } else { 1 };
        let small = |value: i64| i32::try_from(value.checked_mul(sign).ok_or(Fault::Range)?).map_err(|_| Fault::Range);
        let micros = self.micros.checked_mul(sign).ok_or(Fault::Range)?;
        Ok(Interval { months: small(self.months)?, days: small(self.days)?, micros })
    }
}

fn total(sum: i64, number: i64, unit: i64) -> Result<i64, Fault> {
    number.checked_mul(unit).and_then(|value| sum.checked_add(value)).ok_or(Fault::Range)
}

/// Each unit may stand once.
struct Seen(u16);

impl Seen {
    fn add(&mut self, unit: Unit) -> Result<(), Fault> {
        let bit = 1 << unit as u16;
        if self.0 & bit != 0 {
            return Err(Fault::Format);
        }
        self.0 |= bit;
        Ok(())
    }
}

enum Token {
    /// With its sign, if it has one.
    Number(String),
    /// `4:05:06.7`, with its sign.
    Time(String),
    /// `1-2`, with its sign.
    YearMonth(String),
    Word(String),
}

fn words(text: &str, style: IntervalStyle) -> Result<Interval, Fault> {
    let tokens = tokens(text)?;
    let ago = matches!(tokens.last(), Some(Token::Word(word)) if word == "ago");
    let end = if ago { tokens.len() - 1 } else { tokens.len() };
    if end == 0 {
        return Err(Fault::Format);
    }
    let signs = tokens.iter().filter(|token| has_sign(token)).count();
    // The SQL standard has one sign for everything.
    let all_negative = style == IntervalStyle::SqlStandard && signs == 1 && tokens.first().is_some_and(starts_negative);
    let mut sum = Sum::default();
    let mut seen = Seen(0);
    let mut index = 0;
    while let Some(token) = tokens.get(..end).and_then(|tokens| tokens.get(index)) {
        let negate = all_negative && index > 0;
        let next = tokens.get(..end).and_then(|tokens| tokens.get(index + 1));
        index += 1;
        match token {
            Token::Time(text) => {
                if next.is_some_and(|next| matches!(next, Token::Number(_) | Token::Time(_) | Token::YearMonth(_))) {
                    return Err(Fault::Format);
                }
                for unit in [Unit::Hour, Unit::Minute, Unit::Second, Unit::Millisecond, Unit::Microsecond] {
                    seen.add(unit)?;
                }
                sum.time(Number { whole: signed(clock(text)?, text, negate), fraction: 0.0 }, 1)?;
            }
            Token::YearMonth(text) => {
                seen.add(Unit::Month)?;
                sum.months = total(sum.months, signed(year_month(text)?, text, negate), 1)?;
            }
            Token::Number(text) => {
                let number = Number::parse(text)?;
                let number = if negate { number.negated()? } else { number };
                let unit = match next {
                    Some(Token::Word(word)) => {
                        index += 1;
                        Unit::named(word).ok_or(Fault::Format)?
                    }
                    // "3 4:05:06": days before a time; a bare number at the end: seconds.
                    Some(Token::Time(_)) => Unit::Day,
                    None => Unit::Second,
                    Some(_) => return Err(Fault::Format),
                };
                seen.add(unit)?;
                if unit == Unit::Second && text.contains('.') {
                    seen.add(Unit::Millisecond)?;
                    seen.add(Unit::Microsecond)?;
                }
                sum.add(number, unit)?;
            }
            Token::Word(_) => return Err(Fault::Format),
        }
    }
    sum.finish(ago)
}

fn has_sign(token: &Token) -> bool {
    match token {
        Token::Number(text) | Token::Time(text) | Token::YearMonth(text) => text.starts_with(['-', '+']),
        Token::Word(_) => false,
    }
}

fn starts_negative(token: &Token) -> bool {
    match token {
        Token::Number(text) | Token::Time(text) | Token::YearMonth(text) => text.starts_with('-'),
        Token::Word(_) => false,
    }
}

fn signed(magnitude: i64, text: &str, negate: bool) -> i64 {
    if text.starts_with('-') != negate { -magnitude } else { magnitude }
}

fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    let lower = text.to_ascii_lowercase();
    let mut rest = lower.as_str();
    let mut found = Vec::new();
    while let Some(first) = rest.bytes().next() {
        let length = match first {
            byte if is_blank(byte) || matches!(byte, b'@' | b',') => 1,
            b'a'..=b'z' => {
                let length = rest.bytes().take_while(u8::is_ascii_lowercase).count();
                found.push(Token::Word(rest.get(..length).unwrap_or_default().to_owned()));
                length
            }
            b'0'..=b'9' | b'.' | b'+' | b'-' => {
                let (sign, unsigned) = match first {
                    b'+' | b'-' => (rest.get(..1).unwrap_or_default(), rest.get(1..).unwrap_or_default()),
                    _ => ("", rest),
                };
                let blanks = unsigned.bytes().take_while(|byte| is_blank(*byte)).count();
                let number = unsigned.get(blanks..).unwrap_or_default();
                let part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b':' | b'-');
                let length = number.bytes().take_while(part).count();
                let body = number.get(..length).unwrap_or_default();
                if !body.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
                    return Err(Fault::Format);
                }
                let token = format!("{sign}{body}");
                found.push(match (body.contains(':'), body.contains('-')) {
                    (true, false) => Token::Time(token),
                    (false, true) => Token::YearMonth(token),
                    (false, false) => Token::Number(token),
                    (true, true) => return Err(Fault::Format),
                });
                sign.len() + blanks + length
            }
            _ => return Err(Fault::Format),
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(found)
}

/// Microseconds of `h:mm`, `h:mm:ss.f` or `mm:ss.f`, without its sign. Hours have no limit.
fn clock(text: &str) -> Result<i64, Fault> {
    let number = |part: &str| {
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Fault::Format);
        }
        part.parse::<i64>().map_err(|_| Fault::Range)
    };
    let parts: Vec<&str> = text.trim_start_matches(['-', '+']).split(':').collect();
    let (hours, minutes, seconds) = match parts[..] {
        [minutes, seconds] if seconds.contains('.') => ("0", minutes, seconds),
        [hours, minutes] => (hours, minutes, "0"),
        [hours, minutes, seconds] => (hours, minutes, seconds),
        _ => return Err(Fault::Format),
    };
    let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let micros = super::datetime::fraction_micros(fraction).map_err(|_| Fault::Format)?;
    let (minutes, seconds) = (number(minutes)?, number(seconds)?);
    if minutes > 59 || seconds > 60 {
        return Err(Fault::Range);
    }
    let time = total(total(total(0, number(hours)?, 3_600)?, minutes, 60)?, seconds, 1)?;
    total(micros, time, MICROS_PER_SECOND)
}

/// Months of `1-2`, without its sign.
fn year_month(text: &str) -> Result<i64, Fault> {
    let (years, months) = text.trim_start_matches(['-', '+']).split_once('-').ok_or(Fault::Format)?;
    let number = |part: &str| {
        let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { part.parse::<i64>().map_err(|_| Fault::Range) } else { Err(Fault::Format) }
    };
    let months = number(months)?;
    if months > 11 { Err(Fault::Range) } else { total(months, number(years)?, 12) }
}

fn iso_8601(text: &str) -> Result<Interval, Fault> {
    let mut rest = text.get(1..).unwrap_or_default();
    let mut sum = Sum::default();
    let mut in_time = false;
    let mut parts = 0;
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix('T') {
            if in_time {
                return Err(Fault::Format);
            }
            in_time = true;
            rest = time;
            continue;
        }
        let sign = usize::from(rest.starts_with(['-', '+']));
        let length = sign + rest.bytes().skip(sign).take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let (number, tail) = rest.split_at_checked(length).ok_or(Fault::Format)?;
        parts += 1;
        match (in_time, tail.bytes().next()) {
            (false, Some(b'-')) if parts == 1 => {
                sum.add(Number::parse(number)?, Unit::Year)?;
                rest = extended_date(tail, &mut sum)?;
                continue;
            }
            (true, Some(b':')) => {
                sum.time(Number { whole: signed(clock(rest)?, rest, false), fraction: 0.0 }, 1)?;
                break;
            }
            (false, None | Some(b'T')) if parts == 1 && number.len() == 8 => {
                for (from, to, unit) in [(0, 4, Unit::Year), (4, 6, Unit::Month), (6, 8, Unit::Day)] {
                    sum.add(Number::parse(number.get(from..to).unwrap_or_default())?, unit)?;
                }
                rest = tail;
                continue;
            }
            (true, None) if number.len() == 6 => {
                for (from, to, unit) in [(0, 2, Unit::Hour), (2, 4, Unit::Minute), (4, 6, Unit::Second)] {
                    sum.add(Number::parse(number.get(from..to).unwrap_or_default())?, unit)?;
                }
                break;
            }
            // The beginning of the alternative format alone: years, or hours.
            (_, None | Some(b'T')) if parts == 1 => {
                sum.add(Number::parse(number)?, if in_time { Unit::Hour } else { Unit::Year })?;
                rest = tail;
            }
            (in_time, Some(letter)) => {
                let unit = match (in_time, letter) {
                    (false, b'Y') => Unit::Year,
                    (false, b'M') => Unit::Month,
                    (false, b'W') => Unit::Week,
                    (false, b'D') => Unit::Day,
                    (true, b'H') => Unit::Hour,
                    (true, b'M') => Unit::Minute,
                    (true, b'S') => Unit::Second,
                    _ => return Err(Fault::Format),
                };
                sum.add(Number::parse(number)?, unit)?;
                rest = tail.get(1..).unwrap_or_default();
            }
            _ => return Err(Fault::Format),
        }
    }
    if text.len() < 2 { Err(Fault::Format) } else { sum.finish(false) }
}

/// `-02-03` after the year, up to the time; gives what follows.
fn extended_date<'a>(text: &'a str, sum: &mut Sum) -> Result<&'a str, Fault> {
    let (date, rest) = text.split_at(text.find('T').unwrap_or(text.len()));
    let mut parts = date.get(1..).unwrap_or_default().split('-');
    for unit in [Unit::Month, Unit::Day] {
        if let Some(part) = parts.next() {
            sum.add(Number::parse(part)?, unit)?;
        }
    }
    if parts.next().is_some() { Err(Fault::Format) } else { Ok(rest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_spellings() {
        let interval = |months, days, micros| Interval { months, days, micros };
        let hms = ((4 * 60 + 5) * 60 + 6) * MICROS_PER_SECOND;
        for (text, expected) in [
            ("1 year 2 mons 3 days 04:05:06", interval(14, 3, hms)),
            ("@ 1 year 2 mons 3 days 4 hours 5 mins 6 secs", interval(14, 3, hms)),
            ("P1Y2M3DT4H5M6S", interval(14, 3, hms)),
            ("P0001-02-03T04:05:06", interval(14, 3, hms)),
            ("P00010203T040506", interval(14, 3, hms)),
            ("1-2 3 4:05:06", interval(14, 3, hms)),
            ("-1-2 +3 -4:05:06", interval(-14, 3, -hms)),
            ("1 year 2 mons 3 days 04:05:06 ago", interval(-14, -3, -hms)),
            ("1.5 years", interval(18, 0, 0)),
            ("1.7 mons", interval(1, 21, 0)),
            ("1.55 weeks", interval(0, 10, (20 * 60 + 24) * 60 * MICROS_PER_SECOND)),
            ("1 year 2", interval(12, 0, 2 * MICROS_PER_SECOND)),
            ("1h30m", interval(0, 0, 90 * 60 * MICROS_PER_SECOND)),
            ("00:00:00.0000005", interval(0, 0, 0)),
            ("-.5 s", interval(0, 0, -500_000)),
        ] {
            assert_eq!(parse_interval(text, IntervalStyle::Postgres).unwrap(), expected, "{text}");
        }
        assert_eq!(parse_interval("-1 2:00", IntervalStyle::SqlStandard).unwrap(), interval(0, -1, -7_200 * MICROS_PER_SECOND));
        for (text, state) in [
            ("x", SqlState::InvalidDatetimeFormat),
            ("", SqlState::InvalidDatetimeFormat),
            ("1 2 3", SqlState::InvalidDatetimeFormat),
            ("9999999999 years", SqlState::IntervalFieldOverflow),
            ("99999999999999999999 s", SqlState::IntervalFieldOverflow),
            ("P", SqlState::InvalidDatetimeFormat),
        ] {
            assert_eq!(parse_interval(text, IntervalStyle::Postgres).unwrap_err().state, state, "{text}");
        }
    }
}
