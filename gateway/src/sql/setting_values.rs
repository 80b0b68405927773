//! Values of settings as they are given, checked and made into what SHOW prints.

use super::settings::{Kind, Setting};
use crate::sqlstate::{SqlError, SqlState};

fn invalid(setting: &Setting, value: &str) -> SqlError {
    SqlError::new(SqlState::InvalidParameterValue, format!("invalid value for parameter \"{}\": \"{value}\"", setting.name))
}

/// Checks a value and gives it as SHOW prints it.
pub(super) fn parse_value(setting: &Setting, value: &str) -> Result<String, SqlError> {
    match setting.kind {
        Kind::Bool => parse_bool(value).map(|on| if on { "on" } else { "off" }.to_owned()).ok_or_else(|| {
            SqlError::new(SqlState::InvalidParameterValue, format!("parameter \"{}\" requires a Boolean value", setting.name))
        }),
        Kind::Integer { min, max } => {
            let number = value.trim().parse::<i64>().map_err(|_| invalid(setting, value))?;
            in_range(setting, number, min, max).map(|()| number.to_string())
        }
        Kind::Milliseconds { max } => quantity(setting, value, &TIME_UNITS, max),
        Kind::Kilobytes { max } => quantity(setting, value, &MEMORY_UNITS, max),
        Kind::Float { min, max } => {
            let number = value.trim().parse::<f64>().map_err(|_| invalid(setting, value))?;
            if number < min || number > max { Err(invalid(setting, value)) } else { Ok(number.to_string()) }
        }
        Kind::Text => Ok(value.to_owned()),
        Kind::Enum(choices) => {
            let wanted = match (setting.name, parse_bool(value)) {
                ("standard_conforming_strings", Some(true)) => "on",
                _ => value,
            };
            choices
                .iter()
                .find(|choice| choice.eq_ignore_ascii_case(wanted))
                .map(|choice| (*choice).to_owned())
                .ok_or_else(|| invalid(setting, value).hint(format!("Available values: {}.", choices.join(", "))))
        }
        Kind::DateStyle => parse_date_style(value).ok_or_else(|| invalid(setting, value)),
        Kind::TimeZone => parse_time_zone(value).ok_or_else(|| invalid(setting, value)),
        Kind::ClientEncoding => match value.to_ascii_lowercase().replace(['-', '_', '\''], "").as_str() {
            "utf8" | "unicode" | "" | "auto" => Ok("UTF8".to_owned()),
            known if ENCODINGS.split(' ').any(|name| name == known) => {
                Err(SqlError::new(SqlState::FeatureNotSupported, format!("client encoding \"{value}\" is not supported")).hint("Use UTF8."))
            }
            _ => Err(invalid(setting, value)),
        },
    }
}

/// PostgreSQL's other client encodings, as `pg_char_to_encoding` compares them (encnames.c).
const ENCODINGS: &str = "abc alt big5 euccn eucjis2004 eucjp euckr euctw gb18030 gbk iso88591 iso885910 iso885913 iso885914 iso885915 iso885916 \
    iso88592 iso88593 iso88594 iso88595 iso88596 iso88597 iso88598 iso88599 johab koi8 koi8r koi8u latin1 latin10 latin2 \
    latin3 latin4 latin5 latin6 latin7 latin8 latin9 mskanji muleinternal shiftjis shiftjis2004 sjis sqlascii tcvn tcvn5712 \
    uhc vscii win win1250 win1251 win1252 win1253 win1254 win1255 win1256 win1257 win1258 win866 win874 win932 win936 \
    win949 win950 windows1250 windows1251 windows1252 windows1253 windows1254 windows1255 windows1256 windows1257 \
    windows1258 windows866 windows874 windows932 windows936 windows949 windows950";

fn parse_bool(value: &str) -> Option<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "on" | "true" | "t" | "yes" | "y" | "1" | "tr" | "tru" | "ye" => Some(true),
        "off" | "false" | "f" | "no" | "n" | "0" | "of" | "fa" | "fal" | "fals" => Some(false),
        _ => None,
    }
}

fn in_range(setting: &Setting, number: i64, min: i64, max: i64) -> Result<(), SqlError> {
    if (min..=max).contains(&number) {
        return Ok(());
    }
    Err(SqlError::new(
        SqlState::InvalidParameterValue,
        format!("{number} is outside the valid range for parameter \"{}\" ({min} .. {max})", setting.name),
    ))
}

/// (unit, how many base units it has, in thousandths); largest first.
type Units = [(&'static str, i64)];
pub const TIME_UNITS: [(&str, i64); 6] =
    [("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)];
pub(super) const MEMORY_UNITS: [(&str, i64); 4] = [("TB", 1_073_741_824_000), ("GB", 1_048_576_000), ("MB", 1_024_000), ("kB", 1_000)];

/// The number in base units.
pub fn parse_quantity(value: &str, units: &Units) -> Option<((), i64)> {
    let value = value.trim();
    let split = value.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(value.len());
    let (number, unit) = value.split_at(split);
    let number = number.trim().parse::<f64>().ok()?;
    let thousandths = if unit.is_empty() { 1_000 } else { units.iter().find(|(name, _)| *name == unit.trim())?.1 };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "range-checked by the caller; settings are far below 2^53"
    )]
    let base = (number * thousandths as f64 / 1_000.0).round() as i64;
    Some(((), base))
}

/// Shown with the largest unit that divides it, as PostgreSQL does.
fn quantity(setting: &Setting, value: &str, units: &Units, max: i64) -> Result<String, SqlError> {
    let ((), base) = parse_quantity(value, units).ok_or_else(|| invalid(setting, value))?;
    in_range(setting, base, 0, max)?;
    if base == 0 {
        return Ok("0".to_owned());
    }
    let fits = units.iter().find(|(_, thousandths)| *thousandths >= 1_000 && (base * 1_000) % thousandths == 0);
    Ok(fits.map_or_else(|| base.to_string(), |(unit, thousandths)| format!("{}{unit}", base * 1_000 / thousandths)))
}

fn parse_date_style(value: &str) -> Option<String> {
    let (mut style, mut order) = ("ISO", "MDY");
    for word in value.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word.to_ascii_uppercase().as_str() {
            "ISO" => style = "ISO",
            "SQL" => style = "SQL",
            "POSTGRES" => style = "Postgres",
            "GERMAN" => (style, order) = ("German", "DMY"),
            "MDY" | "US" | "NONEURO" | "NONEUROPEAN" => order = "MDY",
            "DMY" | "EURO" | "EUROPEAN" => order = "DMY",
            "YMD" => order = "YMD",
            "DEFAULT" => {}
            _ => return None,
        }
    }
    Some(format!("{style}, {order}"))
}

fn parse_time_zone(value: &str) -> Option<String> {
    let value = value.trim();
    if value.eq_ignore_ascii_case("default") || value.eq_ignore_ascii_case("local") {
        return Some("UTC".to_owned());
    }
    if let Some(zone) = chrono_tz::TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(value)) {
        return Some(zone.name().to_owned());
    }
    // A bare number counts hours east; it is kept as PostgreSQL shows it, so that it cannot be taken for a POSIX zone.
    if let Some(seconds) = hours_east(value) {
        let clock = |seconds: i32, sign: char| {
            let (hours, minutes) = (seconds.abs() / 3_600, seconds.abs() % 3_600 / 60);
            if minutes == 0 { format!("{sign}{hours:02}") } else { format!("{sign}{hours:02}:{minutes:02}") }
        };
        let (east, west) = if seconds < 0 { ('-', '+') } else { ('+', '-') };
        return Some(format!("<{}>{}", clock(seconds, east), clock(seconds, west)));
    }
    fixed_offset(value).map(|_| value.to_owned())
}

fn hours_east(value: &str) -> Option<i32> {
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    let plain = digits.starts_with(|c: char| c.is_ascii_digit()) && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    let hours = value.parse::<f64>().ok().filter(|hours| plain && hours.abs() <= 168.0)?;
    #[expect(clippy::cast_possible_truncation, reason = "bounded just above")]
    let seconds = (hours * 3_600.0) as i32;
    Some(seconds)
}

/// Seconds east of UTC of a POSIX zone, `-05:30` or `<+05:30>-05:30`, whose offset counts west.
pub(super) fn fixed_offset(value: &str) -> Option<i32> {
    let value = value.strip_prefix('<').and_then(|rest| rest.split_once('>')).map_or(value, |(_, offset)| offset);
    let (sign, digits) = match value.strip_prefix('-') {
        Some(digits) => (1, digits),
        None => (-1, value.strip_prefix('+').unwrap_or(value)),
    };
    let mut parts = digits.split(':');
    let hours = parts.next()?.parse::<i32>().ok().filter(|hours| (0..=167).contains(hours))?;
    let minutes = parts.next().map_or(Some(0), |minutes| minutes.parse::<i32>().ok()).filter(|minutes| (0..60).contains(minutes))?;
    if parts.next().is_some() {
        return None;
    }
    Some(sign * (hours * 3_600 + minutes * 60))
}
