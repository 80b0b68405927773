//! `pg_settings`: the settings with this session's values.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use arrow_array::RecordBatch;

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::recorded::{self, Recorded};
use crate::sql::settings::{self, Kind, REGISTRY, Setting};
use crate::sqlstate::SqlError;

/// Name, category, short and long description, context, vartype, unit, least, most, choices, default: as PostgreSQL has them.
static RECORDED: LazyLock<HashMap<String, Vec<Option<String>>>> = LazyLock::new(|| {
    recorded::copy_lines(include_str!("../recorded/settings.tsv"))
        .filter_map(|line| Some((line.first()?.clone()?.to_ascii_lowercase(), line)))
        .collect()
});

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    batches(relation, &context.facts.settings)
}

/// The rows, given the session's values by lower-case name.
pub fn batches(relation: &'static Recorded, values: &BTreeMap<String, String>) -> Result<Vec<RecordBatch>, SqlError> {
    let settings: Vec<&Setting> = REGISTRY.iter().collect();
    let value = |setting: &Setting| {
        let shown = values.get(&setting.name.to_ascii_lowercase()).map_or(setting.default, String::as_str);
        settings::in_base_unit(setting, shown)
    };
    Columns::over(relation, &settings)
        .put("name", |setting| setting.name)
        .put("setting", |setting| value(setting))
        .put("unit", |setting| match setting.kind {
            Kind::Milliseconds { .. } => Some("ms"),
            Kind::Kilobytes { .. } => Some("kB"),
            _ => None,
        })
        .put("category", |setting| recorded(setting, 1).unwrap_or(setting.category))
        .put("short_desc", |setting| setting.description)
        .put("context", |setting| match setting.context {
            settings::Context::Internal => "internal",
            settings::Context::User => "user",
        })
        .put("vartype", |setting| match setting.kind {
            Kind::Bool => "bool",
            Kind::Integer { .. } | Kind::Milliseconds { .. } | Kind::Kilobytes { .. } => "integer",
            Kind::Float { .. } => "real",
            Kind::Enum(_) => "enum",
            Kind::Text | Kind::DateStyle | Kind::TimeZone | Kind::ClientEncoding => "string",
        })
        .put("source", |setting| if value(setting) == settings::in_base_unit(setting, setting.default) { "default" } else { "session" })
        .put("min_val", |setting| bounds(setting).map(|(least, _)| least))
        .put("max_val", |setting| bounds(setting).map(|(_, most)| most))
        .put("enumvals", |setting| match setting.kind {
            Kind::Enum(choices) => Some(choices.to_vec()),
            _ => None,
        })
        .put("boot_val", |setting| settings::in_base_unit(setting, setting.default))
        .put("reset_val", |setting| settings::in_base_unit(setting, setting.default))
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

fn recorded(setting: &Setting, at: usize) -> Option<&'static str> {
    RECORDED.get(&setting.name.to_ascii_lowercase())?.get(at)?.as_deref()
}
