//! A denial says which privilege lacks, and what whoever may grant it can run.

use super::Principal;
use crate::error::CatalogError;
use crate::model::{ObjectRef, Privilege};
use crate::snapshot::Snapshot;

/// What lacks where a privilege does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    pub role: String,
    pub privilege: Privilege,
    /// The GRANT that would do; nothing but names that the statement itself gave or that the role may see.
    pub grant: String,
}

impl Denial {
    pub(super) fn of(snapshot: &Snapshot, principal: &Principal, object: ObjectRef, privilege: Privilege) -> Option<Denial> {
        let role = snapshot.role(principal.current_role)?.name.clone();
        let on = match object {
            ObjectRef::Database(oid) => format!("DATABASE {}", quoted(&snapshot.database(oid)?.name)),
            ObjectRef::Schema(oid) => format!("SCHEMA {}", quoted(&snapshot.schema_by_oid(oid)?.name)),
            ObjectRef::ExternalLocation(oid) => format!("EXTERNAL LOCATION {}", quoted(&snapshot.external_location(oid)?.name)),
            ObjectRef::Warehouse(oid) => format!("WAREHOUSE {}", quoted(&snapshot.warehouse(oid)?.name)),
            ObjectRef::Relation(oid) => {
                let relation = snapshot.relation_by_oid(oid)?;
                let word = if relation.sequence.is_some() { "SEQUENCE" } else { "TABLE" };
                format!("{word} {}.{}", quoted(&snapshot.schema_by_oid(relation.schema)?.name), quoted(&relation.name))
            }
        };
        let grant = format!("GRANT {} ON {on} TO {};", privilege.word(), quoted(&role));
        Some(Denial { role, privilege, grant })
    }
}

/// Source: `quote_identifier`, which also quotes keywords; a name that is one is rare, and quoting it changes nothing.
fn quoted(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain && !name.starts_with(|c: char| c.is_ascii_digit()) { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// `permission denied for table t`.
pub(super) fn denied(
    snapshot: &Snapshot,
    principal: &Principal,
    object: ObjectRef,
    privilege: Privilege,
    (kind, name): (crate::error::ObjectKind, String),
) -> CatalogError {
    CatalogError::InsufficientPrivilege { kind, name, denial: Denial::of(snapshot, principal, object, privilege).map(Box::new) }
}
