//! Time zones as PostgreSQL names them: IANA names in any case, abbreviations, and POSIX offsets, whose sign is west.

use std::collections::HashMap;
use std::sync::LazyLock;

use chrono::{DateTime, NaiveDateTime, Offset, TimeZone};
use chrono_tz::{OffsetName, Tz};

use super::civil::MICROS_PER_SECOND;

/// A named zone, or a fixed offset in seconds east of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    Named(Tz),
    Fixed(i32),
}

static NAMES: LazyLock<HashMap<String, Tz>> =
    LazyLock::new(|| chrono_tz::TZ_VARIANTS.iter().map(|zone| (zone.name().to_ascii_lowercase(), *zone)).collect());

impl Zone {
    pub const UTC: Zone = Zone::Fixed(0);

    /// A zone as the TimeZone setting or AT TIME ZONE names it.
    #[must_use]
    pub fn parse(name: &str) -> Option<Zone> {
        let lower = name.trim().to_ascii_lowercase();
        if let Some(seconds) = abbreviation(&lower) {
            return Some(if lower == "utc" || lower == "gmt" { Zone::UTC } else { Zone::Fixed(seconds) });
        }
        NAMES.get(&lower).map(|zone| Zone::Named(*zone)).or_else(|| posix(&lower))
    }

    /// Seconds east of UTC at an instant, in microseconds since the epoch.
    #[must_use]
    pub fn offset_at(self, utc: i64) -> i32 {
        match self {
            Zone::Fixed(seconds) => seconds,
            Zone::Named(zone) => match naive(utc) {
                Some(instant) => zone.offset_from_utc_datetime(&instant).fix().local_minus_utc(),
                None => 0,
            },
        }
    }

    /// Seconds east of UTC of a wall clock, as `DetermineTimeZoneOffset`: of two readings the later (standard time), in a gap
    /// the offset before it.
    #[must_use]
    pub fn offset_of_local(self, local: i64) -> i32 {
        let zone = match self {
            Zone::Fixed(seconds) => return seconds,
            Zone::Named(zone) => zone,
        };
        let Some(wall) = naive(local) else { return 0 };
        match zone.offset_from_local_datetime(&wall) {
            chrono::LocalResult::Single(offset) | chrono::LocalResult::Ambiguous(_, offset) => offset.fix().local_minus_utc(),
            chrono::LocalResult::None => match naive(local - 3 * 3_600 * MICROS_PER_SECOND) {
                Some(before) => zone.offset_from_local_datetime(&before).latest().map_or(0, |offset| offset.fix().local_minus_utc()),
                None => 0,
            },
        }
    }

    /// Wall clock to instant.
    #[must_use]
    pub fn to_utc(self, local: i64) -> i64 {
        local.saturating_sub(i64::from(self.offset_of_local(local)) * MICROS_PER_SECOND)
    }

    /// Instant to wall clock.
    #[must_use]
    pub fn to_local(self, utc: i64) -> i64 {
        utc.saturating_add(i64::from(self.offset_at(utc)) * MICROS_PER_SECOND)
    }

    /// `CET`, `UTC`; an offset such as `+02` where the zone has no letters.
    #[must_use]
    pub fn abbreviation_at(self, utc: i64) -> String {
        match self {
            Zone::Named(zone) => naive(utc)
                .and_then(|instant| zone.offset_from_utc_datetime(&instant).abbreviation().map(str::to_owned))
                .unwrap_or_else(|| "UTC".to_owned()),
            Zone::Fixed(0) => "UTC".to_owned(),
            Zone::Fixed(seconds) => {
                let sign = if seconds < 0 { '-' } else { '+' };
                let minutes = seconds.abs() / 60;
                match minutes % 60 {
                    0 => format!("{sign}{:02}", minutes / 60),
                    rest => format!("{sign}{:02}{rest:02}", minutes / 60),
                }
            }
        }
    }
}

fn naive(micros: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros).map(|instant| instant.naive_utc())
}

/// `<+02>-02`, `+02`, `-3:30`, `est5`: the number counts hours west of Greenwich.
fn posix(text: &str) -> Option<Zone> {
    let rest = match text.strip_prefix('<') {
        Some(rest) => rest.split_once('>')?.1,
        None => text.trim_start_matches(|c: char| c.is_ascii_alphabetic()),
    };
    let (sign, digits) = match rest.as_bytes().first()? {
        b'+' => (-1, rest.get(1..)?),
        b'-' => (1, rest.get(1..)?),
        _ => (-1, rest),
    };
    let mut parts = digits.split(':');
    let hours: i32 = parts.next()?.parse().ok().filter(|hours| *hours <= 167)?;
    let minutes: i32 = parts.next().map_or(Some(0), |part| part.parse().ok())?;
    let seconds: i32 = parts.next().map_or(Some(0), |part| part.parse().ok())?;
    Some(Zone::Fixed(sign * (hours * 3_600 + minutes * 60 + seconds)))
}

/// Seconds east of UTC of the abbreviations in PostgreSQL's default set that people write.
#[must_use]
pub fn abbreviation(lower: &str) -> Option<i32> {
    const HOUR: i32 = 3_600;
    Some(match lower {
        "utc" | "gmt" | "z" | "zulu" | "ut" | "uct" | "wet" => 0,
        "bst" | "cet" | "met" | "mez" | "west" => HOUR,
        "cest" | "cetdst" | "eet" | "mesz" | "mest" | "sast" | "ist" => 2 * HOUR,
        "eest" | "msk" | "eat" => 3 * HOUR,
        "pkt" => 5 * HOUR,
        "hkt" | "sgt" | "awst" => 8 * HOUR,
        "jst" | "kst" => 9 * HOUR,
        "aest" => 10 * HOUR,
        "aedt" => 11 * HOUR,
        "nzst" => 12 * HOUR,
        "nzdt" => 13 * HOUR,
        "brt" => -3 * HOUR,
        "nst" => -(3 * HOUR + 1_800),
        "ast" | "edt" => -4 * HOUR,
        "adt" => -3 * HOUR,
        "est" | "cdt" => -5 * HOUR,
        "cst" | "mdt" => -6 * HOUR,
        "mst" | "pdt" => -7 * HOUR,
        "pst" | "akdt" => -8 * HOUR,
        "akst" => -9 * HOUR,
        "hst" => -10 * HOUR,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::text::civil::{Civil, MICROS_PER_HOUR, days, timestamp};

    #[test]
    fn gaps_and_overlaps_resolve_as_postgresql_does() {
        let zone = Zone::parse("europe/berlin").unwrap();
        let at = |year, month, day, hour| timestamp(days(Civil { year, month, day }), hour * MICROS_PER_HOUR).unwrap();
        assert_eq!(zone.offset_of_local(at(2024, 3, 31, 2)), 3_600);
        assert_eq!(zone.offset_of_local(at(2024, 10, 27, 2)), 3_600);
        assert_eq!(zone.offset_of_local(at(2024, 7, 1, 0)), 7_200);
        assert_eq!(Zone::parse("<+02>-02"), Some(Zone::Fixed(7_200)));
        assert_eq!(Zone::parse("+02"), Some(Zone::Fixed(-7_200)));
        assert_eq!(Zone::parse("Mars/Olympus"), None);
    }
}
