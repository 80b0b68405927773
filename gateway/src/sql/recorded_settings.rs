//! The settings of PostgreSQL 15 that Lakegate has no use of, as they were recorded: clients read them in `pg_settings`, and set
//! the planner's. Those may be set to what PostgreSQL takes; all others are read only.

use super::settings::{Context, Kind, Setting};

/// Name, category, short and long description, context, vartype, unit, least, most, choices, default: as PostgreSQL has them.
const RECORDED: &str = include_str!("../pg_catalog/recorded/settings.tsv");

const PLANNER: &str = "Query Tuning / ";

/// One setting as recorded; NULL is `None`.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    pub name: &'static str,
    pub category: &'static str,
    description: &'static str,
    pub extra: Option<&'static str>,
    pub context: &'static str,
    pub vartype: &'static str,
    pub unit: Option<&'static str>,
    pub least: Option<&'static str>,
    pub most: Option<&'static str>,
    pub choices: Option<&'static str>,
    pub default: Option<&'static str>,
}

/// pg_dump sets it where it is there, and counts on its effect.
const LEFT_OUT: &str = "restrict_nonsystem_relation_kind";

/// All of them, in order of name.
pub fn lines() -> impl Iterator<Item = Line> {
    RECORDED.lines().filter_map(|line| {
        let fields: Vec<&'static str> = line.split('\t').collect();
        let [name, category, description, extra, context, vartype, unit, least, most, choices, default] = *fields.as_slice() else {
            return None;
        };
        let known = |field: &'static str| (field != "\\N").then_some(field);
        (name != LEFT_OUT).then(|| Line {
            name,
            category,
            description,
            extra: known(extra),
            context,
            vartype,
            unit: known(unit),
            least: known(least),
            most: known(most),
            choices: known(choices),
            default: known(default),
        })
    })
}

/// As an entry of the registry; the text of computed defaults lives as long as the process.
pub fn setting(line: Line) -> Setting {
    let planner = line.context == "user" && line.category.starts_with(PLANNER) && line.unit.is_none();
    let kind = if planner { planner_kind(&line) } else { Kind::Text };
    let base = line.default.unwrap_or_default();
    let default = match line.unit.and_then(|unit| shown(base, unit)) {
        Some(text) => text.leak(),
        None => base,
    };
    Setting {
        name: line.name,
        default,
        kind,
        context: if planner { Context::User } else { Context::Internal },
        reported: false,
        category: line.category,
        description: line.description,
    }
}

fn planner_kind(line: &Line) -> Kind {
    let bound = |text: Option<&str>| text.and_then(|text| text.parse::<f64>().ok());
    match line.vartype {
        "bool" => Kind::Bool,
        "integer" => Kind::Integer {
            min: line.least.and_then(|text| text.parse().ok()).unwrap_or(i64::MIN),
            max: line.most.and_then(|text| text.parse().ok()).unwrap_or(i64::MAX),
        },
        "real" => Kind::Float { min: bound(line.least).unwrap_or(f64::MIN), max: bound(line.most).unwrap_or(f64::MAX) },
        "enum" => Kind::Enum(choices(line).leak()),
        _ => Kind::Text,
    }
}

/// The words of an enumeration.
#[must_use]
pub fn choices(line: &Line) -> Vec<&'static str> {
    let inner = line.choices.and_then(|text| text.strip_prefix('{')?.strip_suffix('}')).unwrap_or_default();
    inner.split(',').filter(|word| !word.is_empty()).map(|word| word.trim_matches('"')).collect()
}

/// A value of a setting's unit as SHOW prints it: in the largest unit that divides it (`convert_int_from_base_unit`, guc.c).
fn shown(value: &str, unit: &str) -> Option<String> {
    const MEMORY: [(&str, i64); 5] = [("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10), ("B", 1)];
    const TIME: [(&str, i64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];
    let number: i64 = value.parse().ok().filter(|number| *number > 0)?;
    let (units, scale) = match unit {
        "B" => (&MEMORY, 1),
        "kB" => (&MEMORY, 1 << 10),
        "8kB" => (&MEMORY, 8 << 10),
        "MB" => (&MEMORY, 1 << 20),
        "ms" => (&TIME, 1),
        "s" => (&TIME, 1_000),
        "min" => (&TIME, 60_000),
        _ => return None,
    };
    let base = number.checked_mul(scale)?;
    units.iter().find(|(_, size)| base % size == 0).map(|(name, size)| format!("{}{name}", base / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read() {
        assert_eq!(lines().count(), RECORDED.lines().count() - 1);
    }

    #[test]
    fn values_are_shown_in_their_largest_unit() {
        assert_eq!(shown("16384", "8kB").as_deref(), Some("128MB"));
        assert_eq!(shown("60", "s").as_deref(), Some("1min"));
        assert_eq!(shown("1440", "min").as_deref(), Some("1d"));
        assert_eq!(shown("-1", "ms"), None);
    }
}
