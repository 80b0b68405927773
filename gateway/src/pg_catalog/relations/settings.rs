//! `pg_settings`: the settings with this session's values.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use arrow_array::RecordBatch;

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::recorded::Recorded;
use crate::sql::recorded_settings::{self, Line};
use crate::sql::settings::{self, Kind, REGISTRY, Setting};
use crate::sqlstate::SqlError;

/// As PostgreSQL has them, by lower-case name.
static RECORDED: LazyLock<HashMap<String, Line>> =
    LazyLock::new(|| recorded_settings::lines().map(|line| (line.name.to_ascii_lowercase(), line)).collect());

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    batches(relation, &context.facts.settings)
}

/// The rows, given the session's values by lower-case name.
pub fn batches(relation: &'static Recorded, values: &BTreeMap<String, String>) -> Result<Vec<RecordBatch>, SqlError> {
    let settings: Vec<&Setting> = REGISTRY.iter().collect();
    let value =
        |setting: &Setting| values.get(&setting.name.to_ascii_lowercase()).cloned().unwrap_or_else(|| settings::shown_default(setting));
    // Those without a use of their own are in all as PostgreSQL has them.
    let foreign = |setting: &Setting| recorded(setting).filter(|_| setting.context == settings::Context::Internal && !setting.is_own());
    let in_base = |setting: &Setting, shown: &str| match foreign(setting) {
        Some(line) => line.default.map(str::to_owned),
        None => Some(settings::in_base_unit(setting, shown)),
    };
    let bounds = |setting: &Setting| match recorded(setting).filter(|_| !setting.is_own()) {
        Some(line) => line.least.map(str::to_owned).zip(line.most.map(str::to_owned)),
        None => bounds(setting),
    };
    Columns::over(relation, &settings)
        .put("name", |setting| setting.name)
        .put("setting", |setting| Some(in_base(setting, &value(setting)).unwrap_or_default()))
        .put("unit", |setting| match (foreign(setting), setting.kind) {
            (Some(line), _) => line.unit,
            (None, Kind::Milliseconds { .. }) => Some("ms"),
            (None, Kind::Kilobytes { .. }) => Some("kB"),
            _ => None,
        })
        .put("category", |setting| recorded(setting).map_or(setting.category, |line| line.category))
        .put("short_desc", |setting| setting.description)
        .put("extra_desc", |setting| foreign(setting).and_then(|line| line.extra))
        .put("context", |setting| match (foreign(setting), setting.context) {
            (Some(line), _) => line.context,
            (None, settings::Context::Internal) => "internal",
            (None, settings::Context::User) => "user",
        })
        .put("vartype", |setting| match (foreign(setting), setting.kind) {
            (Some(line), _) => line.vartype,
            (None, Kind::Bool) => "bool",
            (None, Kind::Integer { .. } | Kind::Milliseconds { .. } | Kind::Kilobytes { .. }) => "integer",
            (None, Kind::Float { .. }) => "real",
            (None, Kind::Enum(_)) => "enum",
            (None, Kind::Text | Kind::DateStyle | Kind::TimeZone | Kind::ClientEncoding) => "string",
        })
        .put("source", |setting| if value(setting) == settings::shown_default(setting) { "default" } else { "session" })
        .put("min_val", |setting| bounds(setting).map(|(least, _)| least))
        .put("max_val", |setting| bounds(setting).map(|(_, most)| most))
        .put("enumvals", |setting| match (foreign(setting), setting.kind) {
            (Some(line), _) => line.choices.map(|_| recorded_settings::choices(line)),
            (None, Kind::Enum(choices)) => Some(choices.to_vec()),
            _ => None,
        })
        .put("boot_val", |setting| in_base(setting, setting.default))
        .put("reset_val", |setting| in_base(setting, setting.default))
        .all("pending_restart", false)
        .finish()
}

fn bounds(setting: &Setting) -> Option<(String, String)> {
    match setting.kind {
        Kind::Integer { min, max } => Some((min.to_string(), max.to_string())),
        Kind::Milliseconds { max } | Kind::Kilobytes { max } => Some(("0".to_owned(), max.to_string())),
        Kind::Float { min, max } => Some((min.to_string(), max.to_string())),
        _ => None,
    }
}

fn recorded(setting: &Setting) -> Option<&'static Line> {
    RECORDED.get(&setting.name.to_ascii_lowercase())
}
