//! date, time, timestamp and timestamptz input: the syntax of `ParseDateTime` and `DecodeDateTime`, in any order of fields that
//! PostgreSQL takes.

use chrono::{DateTime, Utc};
use lakegate_catalog::model::Oid;

use super::datetime_fields::{Field, count, fields, is_day_of_week, month};
use super::zone::{OffsetError, abbreviation, parse_offset, zone_by_name};
use crate::frontend::DateOrder;
use crate::sqlstate::{SqlError, SqlState};
use crate::wire::calendar::*;
use crate::wire::pg_types::type_name;

/// What the session adds to a text: its zone, the order of numbers in a date, and what `now` is.
#[derive(Debug, Clone, Copy)]
pub struct DateTimeManner {
    pub order: DateOrder,
    pub zone: Zone,
    pub now: DateTime<Utc>,
}

/// Days from 1970; the ends of the range are the infinities.
///
/// # Errors
/// 22007, 22008, 22009, 22023.
pub fn parse_date(text: &str, manner: &DateTimeManner) -> Result<i32, SqlError> {
    let days = match decode(text, manner, false).map_err(|fault| fault.sql_error(1082, text))? {
        Decoded::Infinity => return Ok(i32::MAX),
        Decoded::NegativeInfinity => return Ok(i32::MIN),
        Decoded::Instant(micros) => {
            (micros + i64::from(manner.zone.offset_at(micros.div_euclid(MICROS_PER_SECOND))) * MICROS_PER_SECOND).div_euclid(MICROS_PER_DAY)
        }
        Decoded::Epoch => 0,
        Decoded::Day(days) => days,
        Decoded::Parts(parts) => parts.days.ok_or_else(|| Fault::Format.sql_error(1082, text))?,
    };
    match i32::try_from(days) {
        Ok(days) if i64::from(days) >= TIMESTAMP_MIN / MICROS_PER_DAY && days <= DATE_MAX => Ok(days),
        _ => Err(SqlError::new(SqlState::DatetimeFieldOverflow, format!("date out of range: \"{text}\""))),
    }
}

/// Microseconds of a day, 24:00:00 included.
///
/// # Errors
/// 22007, 22008, 22009, 22023.
pub fn parse_time(text: &str, manner: &DateTimeManner) -> Result<i64, SqlError> {
    match decode(text, manner, true).map_err(|fault| fault.sql_error(1083, text))? {
        Decoded::Parts(Parts { time: Some(time), .. }) => Ok(time),
        Decoded::Instant(micros) => {
            let offset = manner.zone.offset_at(micros.div_euclid(MICROS_PER_SECOND));
            Ok((micros + i64::from(offset) * MICROS_PER_SECOND).rem_euclid(MICROS_PER_DAY))
        }
        _ => Err(Fault::Format.sql_error(1083, text)),
    }
}

/// Microseconds from 1970, in UTC where `with_zone`; the ends of the range are the infinities.
///
/// # Errors
/// 22007, 22008, 22009, 22023.
pub fn parse_timestamp(text: &str, with_zone: bool, manner: &DateTimeManner) -> Result<i64, SqlError> {
    let oid = if with_zone { 1184 } else { 1114 };
    let local_to_utc = |local: i64, zone: &Zone| {
        let offset = if with_zone { zone.offset_of_local(local.div_euclid(MICROS_PER_SECOND)) } else { 0 };
        local.checked_sub(i64::from(offset) * MICROS_PER_SECOND)
    };
    let midnight = |days: i64| days.checked_mul(MICROS_PER_DAY);
    let micros = match decode(text, manner, false).map_err(|fault| fault.sql_error(oid, text))? {
        Decoded::Infinity => return Ok(i64::MAX),
        Decoded::NegativeInfinity => return Ok(i64::MIN),
        Decoded::Epoch => Some(0),
        Decoded::Instant(micros) if with_zone => Some(micros),
        Decoded::Instant(micros) => {
            Some(micros + i64::from(manner.zone.offset_at(micros.div_euclid(MICROS_PER_SECOND))) * MICROS_PER_SECOND)
        }
        Decoded::Day(days) => midnight(days).and_then(|local| local_to_utc(local, &manner.zone)),
        Decoded::Parts(parts) => {
            let days = parts.days.ok_or_else(|| Fault::Format.sql_error(oid, text))?;
            let local = midnight(days).and_then(|local| local.checked_add(parts.time.unwrap_or(0)));
            local.and_then(|local| local_to_utc(local, parts.zone.as_ref().unwrap_or(&manner.zone)))
        }
    };
    match micros {
        Some(micros) if (TIMESTAMP_MIN..i64::MAX).contains(&micros) => Ok(micros),
        _ => Err(SqlError::new(SqlState::DatetimeFieldOverflow, format!("timestamp out of range: \"{text}\""))),
    }
}

/// 5874897-12-31, in days from 1970.
const DATE_MAX: i32 = 2_145_042_905;

/// What a text says, before it is known of which type.
enum Decoded {
    Infinity,
    NegativeInfinity,
    Epoch,
    /// `now`, in microseconds from 1970, UTC.
    Instant(i64),
    /// `today` and its neighbours, in the session's zone.
    Day(i64),
    Parts(Parts),
}

#[derive(Default)]
struct Parts {
    days: Option<i64>,
    time: Option<i64>,
    zone: Option<Zone>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    Format,
    Range,
    /// Month or day out of range: perhaps they are meant the other way round.
    MonthOrDay,
    Displacement,
    UnknownZone(String),
}

impl Fault {
    fn sql_error(self, oid: Oid, text: &str) -> SqlError {
        let range = || format!("date/time field value out of range: \"{text}\"");
        match self {
            Fault::Format => {
                let message = format!(
                    "invalid input syntax for type {}: \"{text}\"",
                    match oid {
                        1083 => "time".to_owned(),
                        1114 => "timestamp".to_owned(),
                        other => type_name(other),
                    }
                );
                SqlError::new(SqlState::InvalidDatetimeFormat, message)
            }
            Fault::Range => SqlError::new(SqlState::DatetimeFieldOverflow, range()),
            Fault::MonthOrDay => {
                SqlError::new(SqlState::DatetimeFieldOverflow, range()).hint("Perhaps you need a different \"datestyle\" setting.")
            }
            Fault::Displacement => {
                SqlError::new(SqlState::InvalidTimeZoneDisplacementValue, format!("time zone displacement out of range: \"{text}\""))
            }
            Fault::UnknownZone(name) => SqlError::new(SqlState::InvalidParameterValue, format!("time zone \"{name}\" not recognized")),
        }
    }
}

/// The fields of one text as they come together.
struct Decoder<'a> {
    manner: &'a DateTimeManner,
    time_only: bool,
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    julian: Option<i64>,
    month_is_text: bool,
    year_is_short: bool,
    has_day_of_week: bool,
    before_christ: bool,
    afternoon: Option<bool>,
    time: Option<Clock>,
    zone: Option<Zone>,
    special: Option<Decoded>,
    /// `j` or `t` stood before the next number.
    prefix: Option<u8>,
}

#[derive(Clone, Copy)]
struct Clock {
    hours: i64,
    minutes: i64,
    seconds: i64,
    micros: i64,
}

fn decode(text: &str, manner: &DateTimeManner, time_only: bool) -> Result<Decoded, Fault> {
    let all = fields(text)?;
    if all.is_empty() {
        return Err(Fault::Format);
    }
    let mut decoder = Decoder {
        manner,
        time_only,
        year: None,
        month: None,
        day: None,
        day_of_year: None,
        julian: None,
        month_is_text: false,
        year_is_short: false,
        has_day_of_week: false,
        before_christ: false,
        afternoon: None,
        time: None,
        zone: None,
        special: None,
        prefix: None,
    };
    for field in all {
        decoder.field(field)?;
    }
    decoder.finish()
}

impl Decoder<'_> {
    fn field(&mut self, field: Field) -> Result<(), Fault> {
        if let Some(prefix) = self.prefix {
            if let Field::Number(number) = &field {
                self.prefix = None;
                return self.prefixed(prefix, number);
            }
            if prefix == b'j' || !matches!(field, Field::Time(_)) {
                return Err(Fault::Format);
            }
            self.prefix = None;
        }
        match field {
            Field::Time(text) => self.set_time(clock(&text)?),
            Field::Date(text)
                if self.has_date() || text.starts_with(|first: char| first.is_ascii_alphabetic()) && !self.starts_month(&text) =>
            {
                self.date_or_zone(&text)
            }
            Field::Date(text) => self.date(&text),
            Field::Offset(text) => self.offset(&text),
            Field::Number(text) => self.number(&text),
            Field::Word(text) => self.word(&text),
            Field::SignedWord(text) => match text.as_str() {
                "-infinity" => self.set_special(Decoded::NegativeInfinity),
                "+infinity" => self.set_special(Decoded::Infinity),
                _ => Err(Fault::Format),
            },
        }
    }

    fn has_date(&self) -> bool {
        self.julian.is_some() || self.day_of_year.is_some() || self.year.is_some() && self.month.is_some() && self.day.is_some()
    }

    fn starts_month(&self, text: &str) -> bool {
        let letters = count(text.as_bytes(), u8::is_ascii_lowercase);
        text.get(..letters).is_some_and(|word| month(word).is_some() || is_day_of_week(word))
    }

    fn set_special(&mut self, special: Decoded) -> Result<(), Fault> {
        if self.special.is_some() || self.has_date() {
            return Err(Fault::Format);
        }
        self.special = Some(special);
        Ok(())
    }

    fn set_time(&mut self, time: Clock) -> Result<(), Fault> {
        if self.time.replace(time).is_some() { Err(Fault::Format) } else { Ok(()) }
    }

    fn set_zone(&mut self, zone: Zone) -> Result<(), Fault> {
        if self.zone.replace(zone).is_some() { Err(Fault::Format) } else { Ok(()) }
    }

    fn offset(&mut self, text: &str) -> Result<(), Fault> {
        let offset = parse_offset(text).map_err(|error| match error {
            OffsetError::Syntax => Fault::Format,
            OffsetError::Range => Fault::Displacement,
        })?;
        if self.time.is_none() && !self.has_date() && self.special.is_none() {
            return Err(Fault::Format);
        }
        self.set_zone(Zone::Fixed(offset))
    }

    /// After a whole date: `040506-08`, a time with its offset, or the full name of a zone.
    fn date_or_zone(&mut self, text: &str) -> Result<(), Fault> {
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            let at = text.find(['-', '/']).ok_or(Fault::Format)?;
            let (time, zone) = text.split_at(at);
            self.concatenated(time)?;
            return self.offset(zone);
        }
        let zone = zone_by_name(text).ok_or_else(|| Fault::UnknownZone(text.to_owned()))?;
        self.set_zone(zone)
    }

    /// Numbers and month names in one field, joined by one kind of delimiter.
    fn date(&mut self, text: &str) -> Result<(), Fault> {
        let parts: Vec<&str> = text.split(['-', '/', '.']).collect();
        if parts.len() > 3 {
            return Err(Fault::Format);
        }
        // A month's name is looked for first: it decides how the numbers read.
        for part in &parts {
            if part.starts_with(|first: char| first.is_ascii_alphabetic()) {
                if let Some(month) = month(part) {
                    self.set_text_month(month)?;
                } else if !is_day_of_week(part) {
                    return Err(Fault::Format);
                }
            }
        }
        for part in parts {
            match part.as_bytes().first() {
                Some(b'0'..=b'9') if part.bytes().all(|byte| byte.is_ascii_digit()) => self.date_number(part)?,
                Some(b'a'..=b'z') => {}
                _ => return Err(Fault::Format),
            }
        }
        // As `DecodeDate`: such a field is a whole date, and stands without the name of its day.
        if self.has_date() && !self.has_day_of_week { Ok(()) } else { Err(Fault::Format) }
    }

    fn set_text_month(&mut self, month: i64) -> Result<(), Fault> {
        // "8 Jan 1999" in month-first order read the 8 as a month: it is the day.
        if let (Some(1..=31), false, None) = (self.month, self.month_is_text, self.day) {
            self.day = self.month.take();
        }
        if self.month.replace(month).is_some() {
            return Err(Fault::Format);
        }
        self.month_is_text = true;
        Ok(())
    }

    /// A number without a fraction whose place in the date follows from what is known, as `DecodeNumber` decides.
    fn date_number(&mut self, text: &str) -> Result<(), Fault> {
        let value: i64 = text.parse().map_err(|_| Fault::Range)?;
        let length = text.len();
        let year_first = length >= 3 || self.manner.order == DateOrder::Ymd;
        if length == 3 && self.year.is_some() && self.month.is_none() && self.day.is_none() && (1..=366).contains(&value) {
            self.day_of_year = Some(value);
            return Ok(());
        }
        match (self.year, self.month, self.day) {
            (None, None, None) if year_first => self.set_year(value, length),
            (None, None, None) if self.manner.order == DateOrder::Dmy => self.day = Some(value),
            (None, None, None) | (Some(_), None, None) | (None, None, Some(_)) => self.month = Some(value),
            (None, Some(_), None) if self.month_is_text && year_first => self.set_year(value, length),
            (None, Some(_), None) => self.day = Some(value),
            (Some(year), Some(_), None) if self.month_is_text && length >= 3 && self.year_is_short => {
                // The first number was the day after all.
                self.day = Some(year);
                self.set_year(value, length);
            }
            (Some(_), Some(_), None) => self.day = Some(value),
            (None, Some(_), Some(_)) => self.set_year(value, length),
            (Some(_), None, Some(_)) => self.month = Some(value),
            (Some(_), Some(_), Some(_)) => return self.concatenated(text),
        }
        Ok(())
    }

    fn set_year(&mut self, value: i64, length: usize) {
        self.year = Some(value);
        self.year_is_short = length <= 2;
    }

    /// A number that stands alone.
    fn number(&mut self, text: &str) -> Result<(), Fault> {
        if self.time_only && !self.has_date() && self.month.is_none() {
            return self.concatenated(text);
        }
        match text.split_once('.') {
            Some((whole, fraction)) if !self.has_date() && whole.len() <= 4 && self.year.is_none() && self.month.is_none() => {
                // "1999.008": a year and its day.
                self.date_number(whole)?;
                if self.year.is_none() || fraction.len() != 3 {
                    return Err(Fault::Format);
                }
                self.date_number(fraction)
            }
            Some(_) => self.concatenated(text),
            None if text.len() >= 6 && (!self.has_date() || self.time.is_none()) => self.concatenated(text),
            None => self.date_number(text),
        }
    }

    /// `20240102`, `240102` while there is no date; then `040506`, `0405`, with a fraction if need be.
    fn concatenated(&mut self, text: &str) -> Result<(), Fault> {
        let (digits, micros) = match text.split_once('.') {
            Some((digits, fraction)) => (digits, fraction_micros(fraction)?),
            None => (text, 0),
        };
        let number = |part: Option<&str>| part.and_then(|part| part.parse::<i64>().ok()).ok_or(Fault::Format);
        let length = digits.len();
        if !self.has_date() && !self.time_only && length >= 6 && self.year.is_none() && self.month.is_none() && !text.contains('.') {
            self.day = Some(number(digits.get(length - 2..))?);
            self.month = Some(number(digits.get(length - 4..length - 2))?);
            self.set_year(number(digits.get(..length - 4))?, length - 4);
            return Ok(());
        }
        let seconds = match length {
            6 => number(digits.get(4..))?,
            4 => 0,
            _ => return Err(Fault::Format),
        };
        let time = Clock { hours: number(digits.get(..2))?, minutes: number(digits.get(2..4))?, seconds, micros };
        self.set_time(time)
    }

    fn prefixed(&mut self, prefix: u8, number: &str) -> Result<(), Fault> {
        if prefix == b't' {
            return self.concatenated(number);
        }
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let day: i64 = whole.parse().map_err(|_| Fault::Range)?;
        if self.has_date() || day > 2_147_483_493 {
            return Err(Fault::Format);
        }
        self.julian = Some(day);
        if !fraction.is_empty() {
            let part: f64 = format!("0.{fraction}").parse().map_err(|_| Fault::Format)?;
            #[expect(clippy::cast_possible_truncation, reason = "less than a day")]
            let micros = (part * 86_400e6).round_ties_even() as i64;
            self.set_time(Clock { hours: 0, minutes: 0, seconds: 0, micros })?;
        }
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), Fault> {
        if let Some(month) = month(word) {
            return self.set_text_month(month);
        }
        let today = || {
            let seconds = self.manner.now.timestamp();
            (seconds + i64::from(self.manner.zone.offset_at(seconds))).div_euclid(SECONDS_PER_DAY)
        };
        match word {
            "now" => self.set_special(Decoded::Instant(self.manner.now.timestamp_micros())),
            "today" => self.set_special(Decoded::Day(today())),
            "tomorrow" => self.set_special(Decoded::Day(today() + 1)),
            "yesterday" => self.set_special(Decoded::Day(today() - 1)),
            "epoch" => self.set_special(Decoded::Epoch),
            "infinity" => self.set_special(Decoded::Infinity),
            "allballs" => self.set_time(Clock { hours: 0, minutes: 0, seconds: 0, micros: 0 }),
            "am" => self.set_half(false),
            "pm" => self.set_half(true),
            "bc" => {
                self.before_christ = true;
                Ok(())
            }
            "ad" | "at" | "on" => Ok(()),
            "j" | "jd" | "julian" => {
                self.prefix = Some(b'j');
                Ok(())
            }
            "t" => {
                self.prefix = Some(b't');
                if self.has_date() || self.time_only { Ok(()) } else { Err(Fault::Format) }
            }
            "dst" => match self.zone {
                Some(Zone::Fixed(offset)) => {
                    self.zone = Some(Zone::Fixed(offset + 3_600));
                    Ok(())
                }
                _ => Err(Fault::Format),
            },
            _ if is_day_of_week(word) => {
                self.has_day_of_week = true;
                Ok(())
            }
            _ => match abbreviation(word).map(Zone::Fixed).or_else(|| zone_by_name(word)) {
                Some(zone) => self.set_zone(zone),
                None => Err(Fault::Format),
            },
        }
    }

    fn set_half(&mut self, afternoon: bool) -> Result<(), Fault> {
        self.afternoon = Some(afternoon);
        Ok(())
    }

    fn finish(mut self) -> Result<Decoded, Fault> {
        if self.prefix.is_some() {
            return Err(Fault::Format);
        }
        let time = self.time.map(|time| time_of_day(time, self.afternoon)).transpose()?;
        if self.afternoon.is_some() && time.is_none() {
            return Err(Fault::Format);
        }
        if let Some(special) = self.special.take() {
            return match (special, time) {
                (Decoded::Day(days), time) => Ok(Decoded::Parts(Parts { days: Some(days), time, zone: self.zone })),
                (special, None) => Ok(special),
                (_, Some(_)) => Err(Fault::Format),
            };
        }
        let days = self.days()?;
        if days.is_none() && !(self.time_only && time.is_some()) {
            return Err(Fault::Format);
        }
        // A zone with rules has an offset only on a day.
        if self.time_only && days.is_none() && matches!(self.zone, Some(Zone::Named(_))) {
            return Err(Fault::Format);
        }
        Ok(Decoded::Parts(Parts { days, time, zone: self.zone }))
    }

    fn days(&mut self) -> Result<Option<i64>, Fault> {
        if let Some(julian) = self.julian {
            return Ok(Some(julian - 2_440_588));
        }
        let year = match self.year {
            Some(1..) if self.before_christ => 1 - self.year.unwrap_or(1),
            Some(_) if self.before_christ => return Err(Fault::Range),
            Some(..=0) if !self.year_is_short => return Err(Fault::Range),
            Some(year) if self.year_is_short => year + if year < 70 { 2000 } else { 1900 },
            Some(year) => year,
            None if self.month.is_none() && self.day.is_none() => return Ok(None),
            None => return Err(Fault::Format),
        };
        if year.abs() > 6_000_000 {
            return Err(Fault::Range);
        }
        if let Some(day) = self.day_of_year {
            return Ok(Some(days_from_civil(year, 1, 1) + day - 1));
        }
        let (Some(month), Some(day)) = (self.month, self.day) else { return Err(Fault::Format) };
        let month = match u8::try_from(month) {
            Ok(month @ 1..=12) => month,
            _ => return Err(Fault::MonthOrDay),
        };
        if !(1..=31).contains(&day) {
            return Err(Fault::MonthOrDay);
        }
        if day > i64::from(days_in_month(year, month)) {
            return Err(Fault::Range);
        }
        Ok(Some(days_from_civil(year, month, day)))
    }
}

/// `hh:mm`, `hh:mm:ss`, `hh:mm:ss.fff`, or `mm:ss.fff`.
fn clock(text: &str) -> Result<Clock, Fault> {
    let number = |part: &str| {
        let is_number = !part.is_empty() && part.len() <= 9 && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { part.parse::<i64>().map_err(|_| Fault::Format) } else { Err(Fault::Format) }
    };
    let parts: Vec<&str> = text.split(':').collect();
    let with_fraction = |part: &str| match part.split_once('.') {
        Some((whole, fraction)) => Ok((number(whole)?, fraction_micros(fraction)?, true)),
        None => Ok((number(part)?, 0, false)),
    };
    match parts[..] {
        [hours, minutes] => {
            let (last, micros, has_point) = with_fraction(minutes)?;
            if has_point {
                Ok(Clock { hours: 0, minutes: number(hours)?, seconds: last, micros })
            } else {
                Ok(Clock { hours: number(hours)?, minutes: last, seconds: 0, micros })
            }
        }
        [hours, minutes, seconds] => {
            let (seconds, micros, _) = with_fraction(seconds)?;
            Ok(Clock { hours: number(hours)?, minutes: number(minutes)?, seconds, micros })
        }
        _ => Err(Fault::Format),
    }
}

/// Rounded to microseconds as PostgreSQL rounds: through a double, ties to even. May be a whole second.
pub(super) fn fraction_micros(digits: &str) -> Result<i64, Fault> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::Format);
    }
    if digits.is_empty() {
        return Ok(0);
    }
    let fraction: f64 = format!("0.{digits}").parse().map_err(|_| Fault::Format)?;
    #[expect(clippy::cast_possible_truncation, reason = "between 0 and 1,000,000")]
    Ok((fraction * 1e6).round_ties_even() as i64)
}

fn time_of_day(time: Clock, afternoon: Option<bool>) -> Result<i64, Fault> {
    let hours = match afternoon {
        Some(_) if time.hours > 12 => return Err(Fault::Range),
        Some(true) if time.hours != 12 => time.hours + 12,
        Some(false) if time.hours == 12 => 0,
        _ => time.hours,
    };
    if hours > 24 || time.minutes > 59 || time.seconds > 60 {
        return Err(Fault::Range);
    }
    let micros = ((hours * 60 + time.minutes) * 60 + time.seconds) * MICROS_PER_SECOND + time.micros;
    if micros > MICROS_PER_DAY { Err(Fault::Range) } else { Ok(micros) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manner() -> DateTimeManner {
        DateTimeManner {
            order: DateOrder::Mdy,
            zone: Zone::Named(chrono_tz::Tz::America__New_York),
            now: DateTime::from_timestamp(0, 0).unwrap(),
        }
    }

    #[test]
    fn one_day_in_many_spellings() {
        let day = i32::try_from(days_from_civil(1999, 1, 8)).unwrap();
        for text in [
            "1999-01-08",
            "January 8, 1999",
            "1/8/1999",
            "1999-Jan-08",
            "Jan-08-1999",
            "08-Jan-1999",
            "19990108",
            "990108",
            "1999.008",
            "J2451187",
            "8 jan 99",
            "Fri Jan 8 1999",
            "1999-01-08 24:00",
            "1/8/99",
            "99-01-08 BC",
        ] {
            let parsed = parse_date(text, &manner());
            match text {
                "99-01-08 BC" => assert!(parsed.is_err(), "{text}"),
                _ => assert_eq!(parsed.unwrap(), day, "{text}"),
            }
        }
    }

    #[test]
    fn zones_in_every_form() {
        let at = |text| parse_timestamp(text, true, &manner()).unwrap();
        let expected = days_from_civil(2024, 7, 1) * MICROS_PER_DAY + 12 * 3_600 * MICROS_PER_SECOND;
        for text in [
            "2024-07-01 12:00Z",
            "2024-07-01T08:00:00",
            "2024-07-01 08:00 EDT",
            "20240701T120000Z",
            "2024-07-01 14:00 Europe/Berlin",
            "2024-07-01 17:30+05:30",
            "2024-07-01 120000+00",
            "Mon Jul 01 12:00:00.000000 2024 UTC",
            "2024-07-01 12:00 PM utc",
        ] {
            assert_eq!(at(text), expected, "{text}");
        }
        assert_eq!(parse_timestamp("2024-07-01 08:00:00+05", false, &manner()).unwrap(), expected - 4 * 3_600 * MICROS_PER_SECOND);
    }
}
