//! Conditions under which rows belong to subjects, as SQL of their own.

use super::map::{CoveredTable, SubjectColumn, SubjectMap};
use lakegate_catalog::model::{PgType, RelationName};

/// Whether a row of the table belongs to one of the subjects. Never NULL where it is true.
#[must_use]
pub fn condition(map: &SubjectMap, table: &CoveredTable, identifiers: &[String]) -> String {
    let tests: Vec<String> = table.columns.iter().filter_map(|column| test(map, column, identifiers)).collect();
    if tests.is_empty() { "false".to_owned() } else { format!("({})", tests.join(" OR ")) }
}

fn test(map: &SubjectMap, column: &SubjectColumn, identifiers: &[String]) -> Option<String> {
    let name = quoted(&column.name);
    if let Some((parent, key)) = &column.via {
        let parent = map.table(parent)?;
        let condition = condition(map, parent, identifiers);
        return Some(format!("{name} IN (SELECT {} FROM {} WHERE {condition})", quoted(key), table_name(&parent.name)));
    }
    let literals: Vec<String> = identifiers.iter().filter_map(|identifier| literal(identifier, column.data_type)).collect();
    (!literals.is_empty()).then(|| format!("{name} IN ({})", literals.join(", ")))
}

/// The identifier as a constant of the column's type; `None` where no value of the type is written so.
#[must_use]
pub fn literal(identifier: &str, data_type: PgType) -> Option<String> {
    let whole = |min: i64, max: i64| {
        let number: i64 = identifier.trim().parse().ok()?;
        (min..=max).contains(&number).then(|| number.to_string())
    };
    let is = |known: PgType| known.oid == data_type.oid;
    if is(PgType::INT2) {
        whole(i16::MIN.into(), i16::MAX.into())
    } else if is(PgType::INT4) {
        whole(i32::MIN.into(), i32::MAX.into())
    } else if is(PgType::INT8) {
        whole(i64::MIN, i64::MAX)
    } else if is(PgType::NUMERIC) {
        let digits = identifier.trim().trim_start_matches('-');
        let is_number = !digits.is_empty()
            && digits.len() <= 38
            && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
            && digits.chars().filter(|c| *c == '.').count() <= 1
            && digits.chars().any(|c| c.is_ascii_digit());
        is_number.then(|| format!("{}::numeric", string(identifier.trim())))
    } else if is(PgType::UUID) {
        uuid::Uuid::parse_str(identifier.trim()).ok().map(|id| format!("{}::uuid", string(&id.to_string())))
    } else {
        Some(string(identifier))
    }
}

/// A quoted name.
#[must_use]
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A quoted constant.
#[must_use]
pub fn string(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[must_use]
pub fn table_name(name: &RelationName) -> String {
    [&name.database, &name.schema, &name.name].map(|part| quoted(part)).join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_of_the_columns_type() {
        assert_eq!(literal("42", PgType::INT4).as_deref(), Some("42"));
        assert_eq!(literal("ann@example.com", PgType::INT4), None);
        assert_eq!(literal("40000", PgType::INT2), None);
        assert_eq!(literal("o'hara", PgType::TEXT).as_deref(), Some("'o''hara'"));
        assert_eq!(literal("1.5", PgType::NUMERIC).as_deref(), Some("'1.5'::numeric"));
        assert_eq!(literal("1.5; DROP", PgType::NUMERIC), None);
        assert_eq!(literal("x", PgType::UUID), None);
    }
}
