//! The settings that text forms of dates, times and bytes depend on.

use std::collections::BTreeMap;

use super::zone::Zone;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateOrder {
    Mdy,
    Dmy,
    Ymd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateStyle {
    Iso,
    Sql,
    Postgres,
    German,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntervalStyle {
    Postgres,
    PostgresVerbose,
    SqlStandard,
    Iso8601,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Style {
    pub zone: Zone,
    pub date_style: DateStyle,
    pub date_order: DateOrder,
    pub interval_style: IntervalStyle,
    pub bytea_hex: bool,
    pub extra_float_digits: i32,
    /// The transaction's start, for `now`, `today` and their kin; microseconds since the epoch.
    pub now: i64,
}

impl Default for Style {
    fn default() -> Self {
        Style {
            zone: Zone::UTC,
            date_style: DateStyle::Iso,
            date_order: DateOrder::Mdy,
            interval_style: IntervalStyle::Postgres,
            bytea_hex: true,
            extra_float_digits: 1,
            now: 0,
        }
    }
}

impl Style {
    /// From settings by lower-case name, the time zone and the transaction's start.
    #[must_use]
    pub fn of(settings: &BTreeMap<String, String>, time_zone: &str, now: i64) -> Style {
        let setting = |name: &str| settings.get(name).map(|value| value.to_ascii_lowercase()).unwrap_or_default();
        let date = setting("datestyle");
        Style {
            zone: Zone::parse(time_zone).unwrap_or(Zone::UTC),
            date_style: if date.contains("sql") {
                DateStyle::Sql
            } else if date.contains("postgres") {
                DateStyle::Postgres
            } else if date.contains("german") {
                DateStyle::German
            } else {
                DateStyle::Iso
            },
            date_order: if date.contains("dmy") {
                DateOrder::Dmy
            } else if date.contains("ymd") {
                DateOrder::Ymd
            } else {
                DateOrder::Mdy
            },
            interval_style: match setting("intervalstyle").as_str() {
                "postgres_verbose" => IntervalStyle::PostgresVerbose,
                "sql_standard" => IntervalStyle::SqlStandard,
                "iso_8601" => IntervalStyle::Iso8601,
                _ => IntervalStyle::Postgres,
            },
            bytea_hex: setting("bytea_output") != "escape",
            extra_float_digits: setting("extra_float_digits").parse().unwrap_or(1),
            now,
        }
    }
}
