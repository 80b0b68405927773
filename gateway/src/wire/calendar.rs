//! The proleptic Gregorian calendar as arithmetic, and time zones as offsets. No allocation, no `chrono` value per cell.

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::{OffsetName, Tz};

use crate::frontend::TextStyle;

pub const MICROS_PER_SECOND: i64 = 1_000_000;
pub const SECONDS_PER_DAY: i64 = 86_400;
pub const MICROS_PER_DAY: i64 = SECONDS_PER_DAY * MICROS_PER_SECOND;
/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
pub const PG_EPOCH_DAYS: i32 = 10_957;
pub const PG_EPOCH_MICROS: i64 = PG_EPOCH_DAYS as i64 * MICROS_PER_DAY;

/// The first `timestamp`, 4714-11-24 BC, in microseconds since 1970. (The last that 64 bits hold from 1970 is in 294247, 30 years
/// before PostgreSQL's.)
pub const TIMESTAMP_MIN: i64 = -210_866_803_200_000_000;

/// A day; year 0 is 1 BC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    pub month: u8,
    pub day: u8,
}

/// Days are counted from 1970-01-01. Works in 400-year eras that begin on 1 March, so that the leap day comes last.
#[must_use]
pub fn civil_from_days(days: i64) -> Civil {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Civil { year, month: u8::try_from(month).unwrap_or(1), day: u8::try_from(day).unwrap_or(1) }
}

/// The inverse of [`civil_from_days`]; `month` 1 to 12, any `day`.
#[must_use]
pub fn days_from_civil(year: i64, month: u8, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[must_use]
pub fn is_leap(year: i64) -> bool {
    year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0)
}

#[must_use]
pub fn days_in_month(year: i64, month: u8) -> u8 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// 0 is Sunday.
#[must_use]
pub fn day_of_week(days: i64) -> usize {
    usize::try_from((days + 4).rem_euclid(7)).unwrap_or(0)
}

/// A session's time zone, looked up once and not per value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// Seconds east of UTC.
    Fixed(i32),
    Named(Tz),
}

impl Zone {
    #[must_use]
    pub fn of(style: &TextStyle) -> Zone {
        match style.fixed_offset_seconds {
            Some(seconds) => Zone::Fixed(seconds),
            None => Zone::Named(style.time_zone),
        }
    }

    #[must_use]
    pub fn is_utc(&self) -> bool {
        matches!(self, Zone::Fixed(0) | Zone::Named(Tz::UTC | Tz::Etc__UTC | Tz::GMT))
    }

    /// Seconds east of UTC at an instant.
    #[must_use]
    pub fn offset_at(&self, unix_seconds: i64) -> i32 {
        match self {
            Zone::Fixed(seconds) => *seconds,
            Zone::Named(Tz::UTC) => 0,
            Zone::Named(zone) => instant(unix_seconds).map_or(0, |at| zone.offset_from_utc_datetime(&at).fix().local_minus_utc()),
        }
    }

    /// What PostgreSQL prints after a time in the non-ISO styles.
    #[must_use]
    pub fn abbreviation_at(&self, unix_seconds: i64) -> String {
        let Zone::Named(zone) = self else { return numeric_abbreviation(self.offset_at(unix_seconds), ":") };
        let named = instant(unix_seconds).and_then(|at| zone.offset_from_utc_datetime(&at).abbreviation().map(str::to_owned));
        named.unwrap_or_else(|| numeric_abbreviation(self.offset_at(unix_seconds), ""))
    }

    /// The offset that applies to a local time. A time that a change to summer time skips is taken by the offset before it, one
    /// that happens twice by the offset after, as `DetermineTimeZoneOffset` decides.
    #[must_use]
    pub fn offset_of_local(&self, local_seconds: i64) -> i32 {
        let before = self.offset_at(local_seconds - SECONDS_PER_DAY);
        let after = self.offset_at(local_seconds + SECONDS_PER_DAY);
        if before == after || self.offset_at(local_seconds - i64::from(after)) == after { after } else { before }
    }
}

/// The instant for a look-up of an offset. The zone data ends with the 21st century while its last rule goes on, so a later year
/// is looked up as an earlier one that begins on the same day of the week and is as long.
fn instant(unix_seconds: i64) -> Option<chrono::NaiveDateTime> {
    const LAST_YEAR: i64 = 2_090;
    const FROM: i64 = (LAST_YEAR + 1 - 1970) * 365 * SECONDS_PER_DAY;
    let mut seconds = unix_seconds;
    if seconds > FROM {
        let days = seconds.div_euclid(SECONDS_PER_DAY);
        let year = civil_from_days(days).year;
        if year > LAST_YEAR {
            let first_day = days_from_civil(year, 1, 1);
            let like =
                |other: &i64| is_leap(*other) == is_leap(year) && day_of_week(days_from_civil(*other, 1, 1)) == day_of_week(first_day);
            let other = (LAST_YEAR - 28..=LAST_YEAR).rev().find(like)?;
            seconds -= (first_day - days_from_civil(other, 1, 1)) * SECONDS_PER_DAY;
        }
    }
    DateTime::from_timestamp(seconds, 0).map(|at| at.naive_utc())
}

fn numeric_abbreviation(offset: i32, separator: &str) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    let (hours, minutes) = (offset.abs() / 3600, offset.abs() / 60 % 60);
    if minutes == 0 { format!("{sign}{hours:02}") } else { format!("{sign}{hours:02}{separator}{minutes:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_inverse() {
        for days in (-2_500_000..110_000_000).step_by(997) {
            let date = civil_from_days(days);
            assert_eq!(days_from_civil(date.year, date.month, i64::from(date.day)), days);
        }
        assert_eq!(civil_from_days(0), Civil { year: 1970, month: 1, day: 1 });
        assert_eq!(civil_from_days(11_016), Civil { year: 2000, month: 2, day: 29 });
        assert_eq!(days_from_civil(-4713, 11, 24) * MICROS_PER_DAY, TIMESTAMP_MIN);
    }

    #[test]
    fn local_times_in_gaps_and_overlaps() {
        let zone = Zone::Named(Tz::America__New_York);
        let local = |month, day, hour: i64| days_from_civil(2024, month, day) * SECONDS_PER_DAY + hour * 3600 + 1800;
        assert_eq!(zone.offset_of_local(local(3, 10, 2)), -5 * 3600);
        assert_eq!(zone.offset_of_local(local(3, 10, 3)), -4 * 3600);
        assert_eq!(zone.offset_of_local(local(11, 3, 1)), -5 * 3600);
        assert_eq!(zone.offset_of_local(local(11, 3, 0)), -4 * 3600);
        let july_2150 = days_from_civil(2150, 7, 1) * SECONDS_PER_DAY;
        assert_eq!(zone.offset_at(july_2150), -4 * 3600);
    }
}
