//! The one registry of settings: it serves SET, SHOW, RESET, `pg_settings`, start-up options and ParameterStatus.
//! Values are kept and shown as PostgreSQL shows them.

use std::collections::BTreeMap;
use std::sync::Arc;

use lakegate_catalog::model::Oid;

pub use super::setting_registry::{REGISTRY, find};
use crate::frontend::{DateOrder, DateStyle, IntervalStyle, TextStyle};
use crate::sqlstate::{SqlError, SqlState};

/// What a setting accepts.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Bool,
    /// Whole number between bounds, no unit.
    Integer {
        min: i64,
        max: i64,
    },
    /// Milliseconds; input may carry us, ms, s, min, h, d.
    Milliseconds {
        max: i64,
    },
    /// kB; input may carry B, kB, MB, GB, TB.
    Kilobytes {
        max: i64,
    },
    Float {
        min: f64,
        max: f64,
    },
    Text,
    Enum(&'static [&'static str]),
    DateStyle,
    TimeZone,
    ClientEncoding,
}

/// Who may change it, as `pg_settings.context`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// Read only.
    Internal,
    User,
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// As SHOW ALL spells it.
    pub name: &'static str,
    pub default: &'static str,
    pub kind: Kind,
    pub context: Context,
    /// Sent to the client when it changes (GUC_REPORT).
    pub reported: bool,
    pub category: &'static str,
    pub description: &'static str,
}

/// PostgreSQL's version that clients are told; drivers switch features on its number.
pub const SERVER_VERSION: &str = "15.18";

/// Whether a client may give a setting the value; gives it as SHOW prints it. Names with a dot that are not ours hold anything, as in
/// PostgreSQL.
///
/// # Errors
/// 42704 unknown setting, 22023 bad value, 55P02 read-only.
pub fn check(name: &str, value: &str) -> Result<String, SqlError> {
    match find(name) {
        Some(setting) if setting.context == Context::Internal => Err(read_only(setting)),
        Some(setting) => parse_value(setting, value),
        None => match name.split_once('.') {
            Some((class, _)) if !class.eq_ignore_ascii_case("lakegate") => Ok(value.to_owned()),
            _ => Err(unknown(name)),
        },
    }
}

/// 55P02.
pub fn read_only(setting: &Setting) -> SqlError {
    SqlError::new(SqlState::CantChangeRuntimeParam, format!("parameter \"{}\" cannot be changed", setting.name))
}

/// A shown value as `pg_settings.setting` has it: a plain number of the setting's unit.
#[must_use]
pub fn in_base_unit(setting: &Setting, shown: &str) -> String {
    let units = match setting.kind {
        Kind::Milliseconds { .. } => &TIME_UNITS[..],
        Kind::Kilobytes { .. } => &MEMORY_UNITS[..],
        _ => return shown.to_owned(),
    };
    parse_quantity(shown, units).map_or_else(|| shown.to_owned(), |((), base)| base.to_string())
}

/// What a session may keep in settings of names of its own; savepoints keep copies.
const CUSTOM_BYTES_MAX: usize = 64 << 10;

/// One session's values.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Shared with copies until one is changed: savepoints keep copies.
    values: Arc<BTreeMap<String, String>>,
    /// What RESET goes back to: defaults overlaid by start-up options.
    resets: Arc<BTreeMap<String, String>>,
    style: Arc<TextStyle>,
    shown: Arc<BTreeMap<String, String>>,
    /// Of SET ROLE; `None` for the session's own.
    role: Option<Oid>,
}

impl Settings {
    /// Defaults, then the start-up options.
    ///
    /// # Errors
    /// 42704 unknown setting, 22023 bad value, 55P02 read-only.
    pub fn new(start: &[(String, String)]) -> Result<Self, SqlError> {
        let values: Arc<BTreeMap<String, String>> =
            Arc::new(REGISTRY.iter().map(|setting| (setting.name.to_ascii_lowercase(), shown_default(setting))).collect());
        let mut settings = Settings { resets: values.clone(), style: Arc::new(default_style()), shown: Arc::default(), role: None, values };
        for (name, value) in start {
            settings.set(name, value)?;
        }
        settings.refresh();
        settings.resets = settings.values.clone();
        Ok(settings)
    }

    /// Value as SHOW prints it; the name in any case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(&name.to_ascii_lowercase()).map(String::as_str)
    }

    /// All by lower-case name.
    #[must_use]
    pub fn all(&self) -> Arc<BTreeMap<String, String>> {
        Arc::clone(&self.shown)
    }

    #[must_use]
    pub fn text_style(&self) -> Arc<TextStyle> {
        Arc::clone(&self.style)
    }

    /// Sets a value as a client may; gives the setting where the client must be told (ParameterStatus).
    ///
    /// # Errors
    /// As [`Settings::new`].
    pub fn set(&mut self, name: &str, value: &str) -> Result<Option<&'static Setting>, SqlError> {
        let shown = check(name, value)?;
        match find(name) {
            Some(setting) => self.put(setting, shown),
            None => {
                let custom = self.values.iter().filter(|(known, _)| known.contains('.') && find(known).is_none());
                let bytes: usize = custom.map(|(known, value)| known.len() + value.len()).sum();
                if bytes + name.len() + shown.len() > CUSTOM_BYTES_MAX {
                    let message = format!("the values of custom settings may have {CUSTOM_BYTES_MAX} bytes together");
                    return Err(SqlError::new(SqlState::ProgramLimitExceeded, message));
                }
                Arc::make_mut(&mut self.values).insert(name.to_ascii_lowercase(), shown);
                self.refresh();
                Ok(None)
            }
        }
    }

    /// Sets what clients may not set themselves (`is_superuser`, `session_authorization`).
    pub fn set_internal(&mut self, name: &'static str, value: &str) {
        Arc::make_mut(&mut self.values).insert(name.to_ascii_lowercase(), value.to_owned());
        self.refresh();
    }

    /// What RESET goes back to, by lower-case name.
    #[must_use]
    pub fn resets(&self) -> &BTreeMap<String, String> {
        &self.resets
    }

    /// SET ROLE: `None` with the name `none` is the session's own role.
    pub fn set_role(&mut self, role: Option<Oid>, name: &str, is_superuser: bool) {
        self.role = role;
        Arc::make_mut(&mut self.values).insert("is_superuser".to_owned(), if is_superuser { "on" } else { "off" }.to_owned());
        Arc::make_mut(&mut self.values).insert("role".to_owned(), name.to_owned());
        self.refresh();
    }

    #[must_use]
    pub fn role(&self) -> Option<Oid> {
        self.role
    }

    /// The characteristics of a transaction that nobody has said anything about.
    pub fn default_characteristics(&mut self) {
        for name in ["isolation", "read_only", "deferrable"] {
            let default = self.get(&format!("default_transaction_{name}")).unwrap_or_default().to_owned();
            let of_transaction = format!("transaction_{name}");
            if self.get(&of_transaction) != Some(&default) {
                Arc::make_mut(&mut self.values).insert(of_transaction, default);
                self.refresh();
            }
        }
    }

    /// Back to the session's start.
    ///
    /// # Errors
    /// 42704 unknown setting, 55P02 read-only.
    pub fn reset(&mut self, name: &str) -> Result<Option<&'static Setting>, SqlError> {
        let Some(setting) = find(name) else {
            Arc::make_mut(&mut self.values).remove(&name.to_ascii_lowercase()).ok_or_else(|| unknown(name))?;
            self.refresh();
            return Ok(None);
        };
        let value = self.resets.get(&setting.name.to_ascii_lowercase()).cloned().unwrap_or_else(|| shown_default(setting));
        if setting.context == Context::Internal {
            return Err(read_only(setting));
        }
        self.put(setting, value)
    }

    /// RESET ALL; gives the settings that the client must be told of.
    pub fn reset_all(&mut self) -> Vec<&'static Setting> {
        let before = std::mem::replace(&mut self.values, self.resets.clone());
        for kept in ["is_superuser", "role", "session_authorization"] {
            if let Some(value) = before.get(kept) {
                Arc::make_mut(&mut self.values).insert(kept.to_owned(), value.clone());
            }
        }
        self.refresh();
        REGISTRY
            .iter()
            .filter(|setting| {
                setting.reported && before.get(&setting.name.to_ascii_lowercase()).map(String::as_str) != self.get(setting.name)
            })
            .collect()
    }

    /// The search path's elements, `"$user"` replaced.
    #[must_use]
    pub fn search_path(&self, user: &str) -> Vec<String> {
        split_identifiers(self.get("search_path").unwrap_or_default())
            .into_iter()
            .map(|schema| if schema == "$user" { user.to_owned() } else { schema })
            .collect()
    }

    /// `None` for 0, which means no limit.
    #[must_use]
    pub fn statement_timeout(&self) -> Option<std::time::Duration> {
        self.timeout("statement_timeout")
    }

    /// A setting of milliseconds; `None` for 0, which means no limit.
    #[must_use]
    pub fn timeout(&self, name: &str) -> Option<std::time::Duration> {
        let ((), ms) = parse_quantity(self.get(name)?, &TIME_UNITS)?;
        (ms > 0).then(|| std::time::Duration::from_millis(ms.unsigned_abs()))
    }

    fn put(&mut self, setting: &'static Setting, shown: String) -> Result<Option<&'static Setting>, SqlError> {
        let previous = Arc::make_mut(&mut self.values).insert(setting.name.to_ascii_lowercase(), shown.clone());
        self.refresh();
        Ok((setting.reported && previous.as_deref() != Some(&shown)).then_some(setting))
    }

    fn refresh(&mut self) {
        self.shown = Arc::clone(&self.values);
        self.style = Arc::new(style_of(&self.values));
    }
}

/// The default as SHOW prints it.
#[must_use]
pub fn shown_default(setting: &Setting) -> String {
    parse_value(setting, setting.default).unwrap_or_else(|_| setting.default.to_owned())
}

/// 42704, with the nearest name there is.
pub fn unknown(name: &str) -> SqlError {
    let nearest = REGISTRY
        .iter()
        .map(|setting| (strsim::damerau_levenshtein(&setting.name.to_ascii_lowercase(), &name.to_ascii_lowercase()), setting.name))
        .min()
        .filter(|(distance, _)| *distance <= 3);
    let error = SqlError::new(SqlState::UndefinedObject, format!("unrecognized configuration parameter \"{name}\""));
    match nearest {
        Some((_, nearest)) => error.hint(format!("Perhaps you meant \"{nearest}\".")),
        None => error,
    }
}

fn invalid(setting: &Setting, value: &str) -> SqlError {
    SqlError::new(SqlState::InvalidParameterValue, format!("invalid value for parameter \"{}\": \"{value}\"", setting.name))
}

/// Checks a value and gives it as SHOW prints it.
fn parse_value(setting: &Setting, value: &str) -> Result<String, SqlError> {
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
const TIME_UNITS: [(&str, i64); 6] =
    [("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)];
const MEMORY_UNITS: [(&str, i64); 4] = [("TB", 1_073_741_824_000), ("GB", 1_048_576_000), ("MB", 1_024_000), ("kB", 1_000)];

/// The number in base units.
fn parse_quantity(value: &str, units: &Units) -> Option<((), i64)> {
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
fn fixed_offset(value: &str) -> Option<i32> {
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

fn default_style() -> TextStyle {
    style_of(&BTreeMap::new())
}

fn style_of(values: &BTreeMap<String, String>) -> TextStyle {
    let get = |name: &str| values.get(name).map_or("", String::as_str);
    let date_style = get("datestyle");
    let zone = get("timezone");
    let named = zone.parse::<chrono_tz::Tz>();
    TextStyle {
        fixed_offset_seconds: if named.is_ok() { None } else { fixed_offset(zone) },
        time_zone: named.unwrap_or(chrono_tz::UTC),
        date_style: match date_style.split(',').next().unwrap_or_default() {
            "SQL" => DateStyle::Sql,
            "Postgres" => DateStyle::Postgres,
            "German" => DateStyle::German,
            _ => DateStyle::Iso,
        },
        date_order: if date_style.ends_with("DMY") {
            DateOrder::Dmy
        } else if date_style.ends_with("YMD") {
            DateOrder::Ymd
        } else {
            DateOrder::Mdy
        },
        interval_style: match get("intervalstyle") {
            "postgres_verbose" => IntervalStyle::PostgresVerbose,
            "sql_standard" => IntervalStyle::SqlStandard,
            "iso_8601" => IntervalStyle::Iso8601,
            _ => IntervalStyle::Postgres,
        },
        bytea_hex: get("bytea_output") != "escape",
        extra_float_digits: get("extra_float_digits").parse().unwrap_or(1),
    }
}

/// `a, "B c"` into folded names, as PostgreSQL's `SplitIdentifierString`.
fn split_identifiers(list: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut current = String::new();
    let mut quoted = false;
    let mut characters = list.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                current.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => names.push(std::mem::take(&mut current)),
            c if c.is_whitespace() && !quoted => {}
            c if quoted => current.push(c),
            c => current.extend(c.to_lowercase()),
        }
    }
    names.push(current);
    names.retain(|name| !name.is_empty());
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Result<String, SqlState> {
        let mut settings = Settings::new(&[]).unwrap();
        settings.set(name, value).map_err(|error| error.state)?;
        Ok(settings.get(name).unwrap().to_owned())
    }

    #[test]
    fn values_are_shown_as_postgresql_shows_them() {
        assert_eq!(set("statement_timeout", "60000"), Ok("1min".to_owned()));
        assert_eq!(set("statement_timeout", "1500 ms"), Ok("1500ms".to_owned()));
        assert_eq!(set("work_mem", "64MB"), Ok("64MB".to_owned()));
        assert_eq!(set("datestyle", "german"), Ok("German, DMY".to_owned()));
        assert_eq!(set("TimeZone", "europe/berlin"), Ok("Europe/Berlin".to_owned()));
        assert_eq!(set("row_security", "no"), Ok("off".to_owned()));
    }

    #[test]
    fn wrong_values_are_refused() {
        assert_eq!(set("statement_timeout", "-1"), Err(SqlState::InvalidParameterValue));
        assert_eq!(set("TimeZone", "Mars/Phobos"), Err(SqlState::InvalidParameterValue));
        assert_eq!(set("server_version", "16"), Err(SqlState::CantChangeRuntimeParam));
        assert_eq!(set("nonsense", "1"), Err(SqlState::UndefinedObject));
        assert_eq!(set("lakegate.nonsense", "1"), Err(SqlState::UndefinedObject));
        assert_eq!(set("my.own", "1"), Ok("1".to_owned()));
        assert_eq!(set("client_encoding", "LATIN1"), Err(SqlState::FeatureNotSupported));
        assert_eq!(set("client_encoding", "nonsense"), Err(SqlState::InvalidParameterValue));
    }

    #[test]
    fn the_registry_has_no_bad_default() {
        for setting in REGISTRY.iter() {
            assert!(parse_value(setting, setting.default).is_ok(), "{}", setting.name);
        }
        assert!(REGISTRY.is_sorted_by_key(|setting| setting.name.to_ascii_lowercase()));
    }

    #[test]
    fn search_path_is_a_list_of_identifiers() {
        let mut settings = Settings::new(&[]).unwrap();
        assert_eq!(settings.search_path("ann"), ["ann", "public"]);
        settings.set("search_path", "\"A b\", C").unwrap();
        assert_eq!(settings.search_path("ann"), ["A b", "c"]);
    }

    #[test]
    fn statement_timeout_in_any_unit() {
        let mut settings = Settings::new(&[]).unwrap();
        assert_eq!(settings.statement_timeout(), None);
        settings.set("statement_timeout", "2s").unwrap();
        assert_eq!(settings.statement_timeout(), Some(std::time::Duration::from_secs(2)));
    }
}
