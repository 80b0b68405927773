//! Columns that look as if they identified somebody and are not tagged: by name, by type, by what they hold.

use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize::{Principal, has_privilege};
use lakegate_catalog::model::{Column, ConstraintKind, ObjectRef, PgType, Privilege, Relation, RelationName};

use super::conditions::{quoted, string, table_name};
use super::map::{SUBJECT, SUBJECT_VIA, SubjectMap};
use super::relations::map_row;

/// Parts of names of columns that identify people.
const NAMES: [&str; 22] = [
    "email",
    "e_mail",
    "mail_address",
    "phone",
    "mobile",
    "telephone",
    "msisdn",
    "ssn",
    "social_security",
    "passport",
    "iban",
    "tax_id",
    "first_name",
    "last_name",
    "surname",
    "full_name",
    "birth",
    "date_of_birth",
    "street",
    "ip_address",
    "username",
    "user_name",
];

/// What values look like: name and regular expression.
const PATTERNS: [(&str, &str); 3] = [
    ("e-mail addresses", "^[^@[:space:]]+@[^@[:space:]]+[.][A-Za-z]{2,}$"),
    ("telephone numbers", "^[+][0-9][0-9 ()/.-]{6,}$"),
    ("account numbers (IBAN)", "^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$"),
];

/// Rows of a column that are looked at.
const SAMPLE_ROWS: u32 = 1_000;

/// Rows of `subject_map` as queries; those that look at values give none where the values look like nothing.
pub fn suspects(snapshot: &Snapshot, principal: &Principal, map: &SubjectMap) -> Vec<String> {
    let mut rows = Vec::new();
    for relation in snapshot.relations().filter(|relation| relation.is_stored()) {
        let Some(name) = snapshot.name_of(relation) else { continue };
        if !has_privilege(snapshot, principal.current_role, ObjectRef::Relation(relation.oid), Privilege::Select) {
            continue;
        }
        for column in &relation.columns {
            if column.tags.contains_key(SUBJECT) || column.tags.contains_key(SUBJECT_VIA) {
                continue;
            }
            match by_definition(map, &name, relation, column) {
                Some(why) => rows.push(map_row(&name, &column.name, "suspected", &why, None, false)),
                None if is_text(column.data_type) && is_readable(relation) => {
                    rows.extend(PATTERNS.iter().map(|(what, pattern)| by_content(&name, column, what, pattern)));
                }
                None => {}
            }
        }
    }
    rows
}

fn is_readable(relation: &Relation) -> bool {
    crate::handlers::materialized_view::is_populated(relation)
}

fn is_text(data_type: PgType) -> bool {
    [PgType::TEXT, PgType::VARCHAR, PgType::BPCHAR].iter().any(|known| known.oid == data_type.oid)
}

fn by_definition(map: &SubjectMap, name: &RelationName, relation: &Relation, column: &Column) -> Option<String> {
    let lower = column.name.to_lowercase();
    for constraint in &relation.constraints {
        if let ConstraintKind::ForeignKey(key) = &constraint.kind
            && key.columns.contains(&column.name)
            && let Some(covered) = map.tables.iter().find(|covered| covered.relation.oid == key.table)
        {
            return Some(format!("foreign key to {}", covered.name));
        }
    }
    if NAMES.iter().any(|part| lower.contains(part)) {
        return Some("name".to_owned());
    }
    let squeeze = |text: &str| text.to_lowercase().chars().filter(|c| *c != '_').collect::<String>();
    let (kind, squeezed) = (squeeze(&map.kind), squeeze(&column.name));
    if [format!("{kind}id"), format!("{kind}no"), format!("{kind}number"), format!("id{kind}"), kind].contains(&squeezed) {
        return Some("name".to_owned());
    }
    let alike = |covered: &super::map::CoveredTable| {
        covered.relation.oid != relation.oid
            && covered.columns.iter().any(|known| known.name == column.name && known.data_type == column.data_type && known.name != "id")
    };
    let leads_on = |covered: &super::map::CoveredTable| {
        let path = |known: &super::map::SubjectColumn| matches!(&known.via, Some((table, key)) if *table == *name && *key == column.name);
        covered.columns.iter().any(path)
    };
    if map.tables.iter().any(leads_on) {
        return None;
    }
    let twin = map.tables.iter().find(|covered| alike(covered))?;
    Some(format!("name and type of a column of {}", twin.name))
}

/// A row where most values that are looked at have the pattern.
fn by_content(table: &RelationName, column: &Column, what: &str, pattern: &str) -> String {
    let name = quoted(&column.name);
    let row = map_row(table, &column.name, "suspected", &format!("content: {what}"), None, false);
    format!(
        "{row} FROM (SELECT count(*) AS n, count(CASE WHEN {name} ~ {} THEN 1 END) AS alike FROM (SELECT {name} FROM {} WHERE {name} IS NOT NULL \
         LIMIT {SAMPLE_ROWS}) AS sampled) AS counted WHERE n > 0 AND alike * 2 > n",
        string(pattern),
        table_name(table)
    )
}
