//! What `date_in`, `time_in`, `timestamp_in` and `timestamptz_in` read: ISO 8601, traditional orders, month names, zones,
//! and the words `now`, `today`, `epoch`, `infinity`.

use datafusion::common::Result;
use datafusion::error::DataFusionError;
use lakegate_engine_api::DataError;

use super::civil::{
    self, Civil, DATE_INFINITY, DATE_MINUS_INFINITY, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND,
    TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY,
};
use super::style::{DateOrder, Style};
use super::zone::{Zone, abbreviation};
use crate::functions::error;

/// Days since 1970-01-01.
///
/// # Errors
/// 22007 for what is no date, 22008 for fields out of range.
pub fn date(text: &str, style: &Style) -> Result<i32> {
    let parsed = parse(text, style, "date")?;
    let out_of_range = || error::data(DataError::DatetimeOverflow, format_args!("date out of range: \"{text}\""));
    let days = match parsed.special {
        Some(Special::Infinity) => return Ok(DATE_INFINITY),
        Some(Special::MinusInfinity) => return Ok(DATE_MINUS_INFINITY),
        Some(Special::Epoch) => 0,
        Some(special) => special.local_day(style),
        None => civil::days(parsed.date.ok_or_else(|| syntax("date", text))?),
    };
    i32::try_from(days).ok().filter(|days| (-2_440_588..2_145_031_949).contains(days)).ok_or_else(out_of_range)
}

/// Microseconds since midnight.
///
/// # Errors
/// As [`date`].
pub fn time(text: &str, style: &Style) -> Result<i64> {
    let parsed = parse(text, style, "time")?;
    match parsed.special {
        Some(Special::Now) => Ok(style.zone.to_local(style.now).rem_euclid(MICROS_PER_DAY)),
        Some(_) => Err(syntax("time", text)),
        None => parsed.time.ok_or_else(|| syntax("time", text)),
    }
}

/// Microseconds since the epoch on the wall clock; a zone in the text is read and left out of account, as PostgreSQL does.
///
/// # Errors
/// As [`date`].
pub fn timestamp(text: &str, style: &Style) -> Result<i64> {
    let parsed = parse(text, style, "timestamp")?;
    match parsed.special {
        Some(Special::Infinity) => Ok(TIMESTAMP_INFINITY),
        Some(Special::MinusInfinity) => Ok(TIMESTAMP_MINUS_INFINITY),
        Some(Special::Epoch) => Ok(0),
        Some(Special::Now) => Ok(style.zone.to_local(style.now)),
        Some(special) => Ok(special.local_day(style) * MICROS_PER_DAY + parsed.time.unwrap_or(0)),
        None => parsed.local(text, "timestamp"),
    }
}

/// Microseconds since the epoch in UTC; without a zone in the text the session's holds.
///
/// # Errors
/// As [`date`].
pub fn timestamptz(text: &str, style: &Style) -> Result<i64> {
    let parsed = parse(text, style, "timestamp with time zone")?;
    let zone = parsed.zone.unwrap_or(style.zone);
    match parsed.special {
        Some(Special::Infinity) => Ok(TIMESTAMP_INFINITY),
        Some(Special::MinusInfinity) => Ok(TIMESTAMP_MINUS_INFINITY),
        Some(Special::Epoch) => Ok(0),
        Some(Special::Now) => Ok(style.now),
        Some(special) => Ok(zone.to_utc(special.local_day(style) * MICROS_PER_DAY + parsed.time.unwrap_or(0))),
        None => Ok(zone.to_utc(parsed.local(text, "timestamp")?)),
    }
}

#[derive(Default)]
struct Parsed {
    date: Option<Civil>,
    time: Option<i64>,
    zone: Option<Zone>,
    special: Option<Special>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Special {
    Infinity,
    MinusInfinity,
    Epoch,
    Now,
    Today,
    Tomorrow,
    Yesterday,
}

impl Special {
    fn local_day(self, style: &Style) -> i64 {
        let today = style.zone.to_local(style.now).div_euclid(MICROS_PER_DAY);
        match self {
            Special::Tomorrow => today + 1,
            Special::Yesterday => today - 1,
            _ => today,
        }
    }
}

impl Parsed {
    fn local(&self, text: &str, type_name: &str) -> Result<i64> {
        let date = self.date.ok_or_else(|| syntax(type_name, text))?;
        civil::timestamp(civil::days(date), self.time.unwrap_or(0))
            .ok_or_else(|| error::data(DataError::DatetimeOverflow, format_args!("timestamp out of range: \"{text}\"")))
    }
}

fn syntax(type_name: &str, text: &str) -> DataFusionError {
    error::data(DataError::InvalidDatetimeFormat, format_args!("invalid input syntax for type {type_name}: \"{text}\""))
}

fn field_range(text: &str) -> DataFusionError {
    error::data(DataError::DatetimeOverflow, format_args!("date/time field value out of range: \"{text}\""))
}

/// A run of characters that belong together.
enum Token<'a> {
    /// `12:30:45.5`.
    Clock(&'a str),
    /// `2024-01-31`, `31/1/2024`, `31-Jan-2024`.
    Dashed(&'a str),
    Digits(&'a str),
    Word(&'a str),
    /// `+02:30`, `-infinity`.
    Signed(bool, &'a str),
}

fn tokens(text: &str) -> Option<Vec<Token<'_>>> {
    let bytes = text.as_bytes();
    let run = |from: usize, part: &dyn Fn(u8) -> bool| (from..bytes.len()).find(|at| !part(bytes[*at])).unwrap_or(bytes.len());
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        let start = at;
        match byte {
            b if b.is_ascii_digit() => {
                at = run(at, &|b| b.is_ascii_digit());
                match bytes.get(at) {
                    Some(b':') => {
                        at = run(at, &|b| b.is_ascii_digit() || b == b':' || b == b'.');
                        found.push(Token::Clock(text.get(start..at)?));
                    }
                    Some(delimiter @ (b'-' | b'/' | b'.')) => {
                        let delimiter = *delimiter;
                        // A fraction belongs to digits, a date has two delimiters or a month name.
                        at = run(at, &|b| b.is_ascii_digit() || b == delimiter || (b.is_ascii_alphabetic() && b != b'T' && b != b't'));
                        let part = text.get(start..at)?;
                        if delimiter == b'.' && part.matches('.').count() == 1 {
                            found.push(Token::Digits(part));
                        } else {
                            found.push(Token::Dashed(part));
                        }
                    }
                    _ => found.push(Token::Digits(text.get(start..at)?)),
                }
            }
            b'+' | b'-' => {
                let from = run(at + 1, &|b| b == b' ');
                at = if bytes.get(from).is_some_and(u8::is_ascii_digit) {
                    run(from, &|b| b.is_ascii_digit() || b == b':')
                } else {
                    run(from, &|b| b.is_ascii_alphabetic())
                };
                if at == from {
                    return None;
                }
                found.push(Token::Signed(byte == b'-', text.get(from..at)?));
            }
            b if b.is_ascii_alphabetic() => {
                at = run(at, &|b| b.is_ascii_alphabetic());
                // Zone names: America/New_York, Etc/GMT+5.
                if matches!(bytes.get(at), Some(b'/' | b'_')) {
                    at = run(at, &|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'+' | b'-'));
                }
                found.push(Token::Word(text.get(start..at)?));
            }
            b' ' | b'\t' | b'\n' | b'\r' | b',' => at += 1,
            _ => return None,
        }
    }
    Some(found)
}

fn parse(text: &str, style: &Style, type_name: &str) -> Result<Parsed> {
    let tokens = tokens(text).filter(|tokens| !tokens.is_empty()).ok_or_else(|| syntax(type_name, text))?;
    let mut reader = Reader {
        text,
        type_name,
        order: style.date_order,
        parsed: Parsed::default(),
        numbers: Vec::new(),
        month: None,
        clock_next: false,
        pm: None,
        bc: false,
    };
    for token in tokens {
        reader.take(token)?;
    }
    reader.finish()
}

struct Reader<'a> {
    text: &'a str,
    type_name: &'a str,
    order: DateOrder,
    parsed: Parsed,
    /// Day and year beside a month's name.
    numbers: Vec<&'a str>,
    month: Option<i64>,
    /// After the `T` of ISO 8601.
    clock_next: bool,
    pm: Option<bool>,
    bc: bool,
}

impl<'a> Reader<'a> {
    fn take(&mut self, token: Token<'a>) -> Result<()> {
        match token {
            Token::Clock(part) => self.clock(part),
            Token::Dashed(part) => self.dashed(part),
            Token::Digits(part) => self.digits(part),
            Token::Word(word) => self.word(&word.to_ascii_lowercase()),
            Token::Signed(negative, part) => self.signed(negative, part),
        }
    }

    fn clock(&mut self, part: &str) -> Result<()> {
        let mut fields = part.split(':');
        let hour = self.number(fields.next())?;
        let minute = self.number(fields.next())?;
        let (second, micros) = match fields.next() {
            None | Some("") => (0, 0),
            Some(seconds) => self.seconds(seconds)?,
        };
        if fields.next().is_some() || self.parsed.time.is_some() {
            return Err(syntax(self.type_name, self.text));
        }
        self.set_time(hour, minute, second, micros)
    }

    fn set_time(&mut self, hour: i64, minute: i64, second: i64, micros: i64) -> Result<()> {
        let time = hour * MICROS_PER_HOUR + minute * MICROS_PER_MINUTE + second * MICROS_PER_SECOND + micros;
        if hour > 24 || minute > 59 || second > 60 || time > MICROS_PER_DAY {
            return Err(field_range(self.text));
        }
        self.parsed.time = Some(time);
        Ok(())
    }

    fn seconds(&self, part: &str) -> Result<(i64, i64)> {
        let (whole, fraction) = part.split_once('.').unwrap_or((part, ""));
        Ok((self.number(Some(whole))?, micros_of_fraction(fraction).ok_or_else(|| syntax(self.type_name, self.text))?))
    }

    fn number(&self, part: Option<&str>) -> Result<i64> {
        let part = part.ok_or_else(|| syntax(self.type_name, self.text))?;
        match part.parse::<i64>() {
            Ok(number) if part.len() <= 9 => Ok(number),
            Ok(_) => Err(field_range(self.text)),
            Err(_) => Err(syntax(self.type_name, self.text)),
        }
    }

    fn dashed(&mut self, part: &'a str) -> Result<()> {
        let fields: Vec<&str> = part.split(['-', '/', '.']).collect();
        let &[first, second, third] = fields.as_slice() else { return Err(syntax(self.type_name, self.text)) };
        if let Some(month) = month_number(&second.to_ascii_lowercase()) {
            let (day, year) = if first.len() > 2 { (third, first) } else { (first, third) };
            return self.set_date(year, month, day);
        }
        let [a, b] = [first, second].map(|field| self.number(Some(field)));
        let (a, b) = (a?, b?);
        if first.len() >= 3 {
            return self.set_date(first, b, third);
        }
        match self.order {
            DateOrder::Ymd if third.len() <= 2 => self.set_date(first, b, third),
            DateOrder::Dmy => self.set_date(third, b, first),
            _ => self.set_date(third, a, second),
        }
    }

    fn set_date(&mut self, year: &str, month: i64, day: &str) -> Result<()> {
        if self.parsed.date.is_some() {
            return Err(syntax(self.type_name, self.text));
        }
        let value = self.number(Some(year))?;
        let year = match value {
            0..70 if year.len() <= 2 => value + 2_000,
            70..100 if year.len() <= 2 => value + 1_900,
            value => value,
        };
        let day = self.number(Some(day))?;
        if year == 0 || !(1..=12).contains(&month) || day < 1 || day > civil::days_in_month(year, month) {
            return Err(field_range(self.text));
        }
        self.parsed.date = Some(Civil { year, month, day });
        Ok(())
    }

    fn digits(&mut self, part: &'a str) -> Result<()> {
        let whole = part.split('.').next().unwrap_or(part);
        let slice = |range: std::ops::Range<usize>| part.get(range);
        if self.clock_next || (self.parsed.date.is_some() && self.parsed.time.is_none() && matches!(whole.len(), 4 | 6)) {
            self.clock_next = false;
            let hour = self.number(slice(0..2))?;
            let minute = if whole.len() >= 4 { self.number(slice(2..4))? } else { 0 };
            let (second, micros) = if whole.len() >= 6 { self.seconds(part.get(4..).unwrap_or_default())? } else { (0, 0) };
            return self.set_time(hour, minute, second, micros);
        }
        if self.month.is_none() && self.parsed.date.is_none() && part.len() == whole.len() {
            match (whole.len(), self.type_name) {
                (8, _) => {
                    let month = self.number(slice(4..6))?;
                    return self.set_date(slice(0..4).unwrap_or_default(), month, slice(6..8).unwrap_or_default());
                }
                (4 | 6, "time") => {
                    self.clock_next = true;
                    return self.digits(part);
                }
                (6, _) => {
                    let month = self.number(slice(2..4))?;
                    return self.set_date(slice(0..2).unwrap_or_default(), month, slice(4..6).unwrap_or_default());
                }
                _ => {}
            }
        }
        self.numbers.push(part);
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<()> {
        let special = match word {
            "infinity" | "inf" => Some(Special::Infinity),
            "epoch" => Some(Special::Epoch),
            "now" => Some(Special::Now),
            "today" => Some(Special::Today),
            "tomorrow" => Some(Special::Tomorrow),
            "yesterday" => Some(Special::Yesterday),
            _ => None,
        };
        match word {
            _ if special.is_some() => self.parsed.special = special,
            "t" => self.clock_next = true,
            "am" => self.pm = Some(false),
            "pm" => self.pm = Some(true),
            "bc" => self.bc = true,
            "ad" | "th" | "st" | "nd" | "rd" | "at" | "on" => {}
            "allballs" => self.parsed.time = Some(0),
            _ if day_number(word).is_some() => {}
            _ => match month_number(word) {
                Some(month) if self.month.is_none() => self.month = Some(month),
                _ => match Zone::parse(word).filter(|_| abbreviation(word).is_some() || word.contains('/') || word.len() > 3) {
                    Some(zone) => self.parsed.zone = Some(zone),
                    None if word.contains('/') => {
                        return Err(error::data(DataError::InvalidParameterValue, format_args!("time zone \"{word}\" not recognized")));
                    }
                    None => return Err(syntax(self.type_name, self.text)),
                },
            },
        }
        Ok(())
    }

    fn signed(&mut self, negative: bool, part: &'a str) -> Result<()> {
        if part.eq_ignore_ascii_case("infinity") {
            self.parsed.special = Some(if negative { Special::MinusInfinity } else { Special::Infinity });
            return Ok(());
        }
        if self.parsed.time.is_none() && self.parsed.date.is_none() {
            return Err(syntax(self.type_name, self.text));
        }
        let fields: Vec<&str> = part.split(':').collect();
        let (hour, minute, second) = match fields.as_slice() {
            [digits] if digits.len() <= 2 => (self.number(Some(digits))?, 0, 0),
            [digits] => {
                let at = digits.len() - 2;
                (self.number(digits.get(..at))?, self.number(digits.get(at..))?, 0)
            }
            [hour, minute] => (self.number(Some(hour))?, self.number(Some(minute))?, 0),
            [hour, minute, second] => (self.number(Some(hour))?, self.number(Some(minute))?, self.number(Some(second))?),
            _ => return Err(syntax(self.type_name, self.text)),
        };
        if hour > 15 || minute > 59 || second > 59 {
            return Err(error::data(DataError::InvalidTimeZone, format_args!("time zone displacement out of range: \"{}\"", self.text)));
        }
        let east = i32::try_from(hour * 3_600 + minute * 60 + second).unwrap_or(0);
        self.parsed.zone = Some(Zone::Fixed(if negative { -east } else { east }));
        Ok(())
    }

    fn finish(mut self) -> Result<Parsed> {
        match (self.month, self.numbers.as_slice()) {
            (Some(month), &[a, b]) => {
                let (day, year) = if a.len() > 2 { (b, a) } else { (a, b) };
                self.set_date(year, month, day)?;
            }
            (None, []) => {}
            _ => return Err(syntax(self.type_name, self.text)),
        }
        if let Some(pm) = self.pm {
            let time = self.parsed.time.ok_or_else(|| syntax(self.type_name, self.text))?;
            let hour = time / MICROS_PER_HOUR;
            if hour > 12 {
                return Err(field_range(self.text));
            }
            let shift = match (pm, hour) {
                (true, 12) | (false, 0..12) => 0,
                (true, _) => 12,
                (false, _) => -12,
            };
            self.parsed.time = Some(time + shift * MICROS_PER_HOUR);
        }
        if self.bc {
            let date = self.parsed.date.as_mut().ok_or_else(|| syntax(self.type_name, self.text))?;
            date.year = 1 - date.year;
        }
        Ok(self.parsed)
    }
}

/// Microseconds of a fraction's digits, rounded as `ParseFractionalSecond` rounds them: over a float, half to even.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "a million at most")]
pub fn micros_of_fraction(digits: &str) -> Option<i64> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: f64 = format!("0.{digits}").parse().ok()?;
    Some((fraction * 1_000_000.0).round_ties_even() as i64)
}

/// 1 to 12, by full name or three letters.
#[must_use]
pub fn month_number(lower: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"];
    if lower == "sept" {
        return Some(9);
    }
    let found = MONTHS.iter().position(|month| *month == lower || (lower.len() == 3 && month.starts_with(lower)))?;
    i64::try_from(found + 1).ok()
}

/// 0 is Sunday, by full name or usual abbreviation.
fn day_number(lower: &str) -> Option<usize> {
    const DAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
    DAYS.iter().position(|day| *day == lower || (matches!(lower.len(), 3..=5) && day.starts_with(lower)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::text::datetime_out;

    fn read(text: &str) -> String {
        let style = Style { zone: Zone::parse("Europe/Berlin").unwrap(), ..Style::default() };
        match timestamp(text, &style) {
            Ok(micros) => datetime_out::timestamp(micros, &style),
            Err(error) => crate::error::from_datafusion(&error, &[]).to_string(),
        }
    }

    #[test]
    fn timestamps_in_many_spellings() {
        for text in [
            "2024-02-29 12:34:56.789",
            "2024-02-29T12:34:56.789Z",
            "20240229T123456.789",
            "Feb 29, 2024 12:34:56.789 PM",
            "29 February 2024 12:34:56.789",
            "2/29/2024 12:34:56.789",
            "29-Feb-2024 12:34:56.789+05:30",
            "Thu Feb 29 12:34:56.789 2024 America/New_York",
        ] {
            assert_eq!(read(text), "2024-02-29 12:34:56.789", "{text}");
        }
        assert_eq!(read("0044-03-15 BC"), "0044-03-15 00:00:00 BC");
        assert_eq!(read("9999-12-31 23:59:59.999999"), "9999-12-31 23:59:59.999999");
        assert_eq!(read("2024-02-30"), "date/time field value out of range: \"2024-02-30\"");
        assert_eq!(read("yes"), "invalid input syntax for type timestamp: \"yes\"");
        assert_eq!(read(""), "invalid input syntax for type timestamp: \"\"");
    }

    #[test]
    fn instants_use_the_session_zone_unless_told() {
        let style = Style { zone: Zone::parse("Europe/Berlin").unwrap(), ..Style::default() };
        let read = |text: &str| datetime_out::timestamptz(timestamptz(text, &style).unwrap(), &style);
        assert_eq!(read("2024-07-01 12:00"), "2024-07-01 12:00:00+02");
        assert_eq!(read("2024-07-01 12:00Z"), "2024-07-01 14:00:00+02");
        assert_eq!(read("2024-07-01 12:00 PST"), "2024-07-01 22:00:00+02");
        assert_eq!(read("2024-01-01 00:00-03:30"), "2024-01-01 04:30:00+01");
    }
}
