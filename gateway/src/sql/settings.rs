//! The one registry of settings: it serves SET, SHOW, RESET, `pg_settings`, start-up options and ParameterStatus.
//! Values are kept and shown as PostgreSQL shows them.

use std::collections::BTreeMap;
use std::sync::Arc;

use lakegate_catalog::model::Oid;

pub use super::setting_registry::{REGISTRY, find};
use super::setting_values::{MEMORY_UNITS, TIME_UNITS, fixed_offset, parse_quantity, parse_value};
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
    /// Of SET SESSION AUTHORIZATION; `None` for who logged in.
    session_role: Option<Oid>,
}

impl Settings {
    /// Defaults, then the start-up options.
    ///
    /// # Errors
    /// 42704 unknown setting, 22023 bad value, 55P02 read-only.
    pub fn new(start: &[(String, String)]) -> Result<Self, SqlError> {
        Settings::started(&[], start)
    }

    /// Defaults, then what the catalog says of the role and the database, then the start-up options.
    ///
    /// # Errors
    /// As [`Settings::new`].
    pub fn started(stored: &[(String, String)], start: &[(String, String)]) -> Result<Self, SqlError> {
        let values: Arc<BTreeMap<String, String>> =
            Arc::new(REGISTRY.iter().map(|setting| (setting.name.to_ascii_lowercase(), shown_default(setting))).collect());
        let mut settings = Settings {
            resets: values.clone(),
            style: Arc::new(default_style()),
            shown: Arc::default(),
            role: None,
            session_role: None,
            values,
        };
        for (name, value) in stored.iter().chain(start) {
            settings.set(name, value)?;
        }
        settings.refresh();
        settings.resets = settings.values.clone();
        Ok(settings)
    }

    /// Value as SHOW prints it; the name in any case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => self.values.get(&name.to_ascii_lowercase()),
            false => self.values.get(name),
        };
        value.map(String::as_str)
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

    /// SET SESSION AUTHORIZATION: `None` is who logged in. A role that was set is given up.
    pub fn set_session_role(&mut self, role: Option<Oid>, name: &str, is_superuser: bool) {
        self.session_role = role;
        Arc::make_mut(&mut self.values).insert("session_authorization".to_owned(), name.to_owned());
        self.set_role(None, "none", is_superuser);
    }

    #[must_use]
    pub fn session_role(&self) -> Option<Oid> {
        self.session_role
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
