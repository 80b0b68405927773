//! The proleptic Gregorian calendar over days and microseconds since 1970-01-01, over all of PostgreSQL's range.

pub const MICROS_PER_SECOND: i64 = 1_000_000;
pub const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
pub const MICROS_PER_HOUR: i64 = 60 * MICROS_PER_MINUTE;
pub const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;

/// `infinity` and `-infinity` of timestamps.
pub const TIMESTAMP_INFINITY: i64 = i64::MAX;
pub const TIMESTAMP_MINUS_INFINITY: i64 = i64::MIN;
/// `infinity` and `-infinity` of dates.
pub const DATE_INFINITY: i32 = i32::MAX;
pub const DATE_MINUS_INFINITY: i32 = i32::MIN;

/// Years count astronomically: 0 is 1 BC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    /// 1 to 12.
    pub month: i64,
    /// 1 to 31.
    pub day: i64,
}

/// A date and a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields {
    pub date: Civil,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
    pub micros: i64,
}

/// Days since 1970-01-01 (Howard Hinnant's `days_from_civil`).
#[must_use]
pub fn days(date: Civil) -> i64 {
    let year = if date.month <= 2 { date.year - 1 } else { date.year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((date.month + 9) % 12) + 2) / 5 + date.day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The date of a day count.
#[must_use]
pub fn civil(days: i64) -> Civil {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Civil { year, month, day: day_of_year - (153 * month_shifted + 2) / 5 + 1 }
}

#[must_use]
pub fn is_leap(year: i64) -> bool {
    year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0)
}

#[must_use]
pub fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Splits microseconds since the epoch.
#[must_use]
pub fn fields(micros: i64) -> Fields {
    let of_day = micros.rem_euclid(MICROS_PER_DAY);
    Fields {
        date: civil(micros.div_euclid(MICROS_PER_DAY)),
        hour: of_day / MICROS_PER_HOUR,
        minute: of_day / MICROS_PER_MINUTE % 60,
        second: of_day / MICROS_PER_SECOND % 60,
        micros: of_day % MICROS_PER_SECOND,
    }
}

/// Microseconds since the epoch; `None` past what 64 bits hold or PostgreSQL allows (4714 BC, 294246 AD).
#[must_use]
pub fn timestamp(day: i64, of_day: i64) -> Option<i64> {
    let micros = day.checked_mul(MICROS_PER_DAY)?.checked_add(of_day)?;
    (-210_866_803_200_000_000..i64::MAX).contains(&micros).then_some(micros)
}

/// Adds months, keeping the day where the month has it, else the month's last; `timestamp_pl_interval`.
#[must_use]
pub fn add_months(date: Civil, months: i64) -> Civil {
    let total = date.year * 12 + (date.month - 1) + months;
    let (year, month) = (total.div_euclid(12), total.rem_euclid(12) + 1);
    Civil { year, month, day: date.day.min(days_in_month(year, month)) }
}

/// 0 is Sunday.
#[must_use]
pub fn day_of_week(days: i64) -> i64 {
    (days + 4).rem_euclid(7)
}

/// ISO 8601 (year, week).
#[must_use]
pub fn iso_week(day: i64) -> (i64, i64) {
    let thursday = day - (day_of_week(day) + 6) % 7 + 3;
    let year = civil(thursday).year;
    (year, (thursday - days(Civil { year, month: 1, day: 1 })) / 7 + 1)
}

/// The Monday on which an ISO week begins.
#[must_use]
pub fn iso_week_start(year: i64, week: i64) -> i64 {
    let fourth = days(Civil { year, month: 1, day: 4 });
    fourth - (day_of_week(fourth) + 6) % 7 + (week - 1) * 7
}

#[must_use]
pub fn day_of_year(day: i64) -> i64 {
    day - days(Civil { year: civil(day).year, month: 1, day: 1 }) + 1
}

/// Julian day of the date, as `to_char`'s `J`.
#[must_use]
pub fn julian(day: i64) -> i64 {
    day + 2_440_588
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_inverse() {
        for day in (-2_500_000..2_900_000).step_by(137) {
            assert_eq!(days(civil(day)), day);
        }
        assert_eq!(civil(0), Civil { year: 1970, month: 1, day: 1 });
        assert_eq!(days(Civil { year: 2000, month: 2, day: 29 }), 11_016);
        assert_eq!(iso_week(days(Civil { year: 2021, month: 1, day: 3 })), (2020, 53));
    }
}
