//! Changes of roles, objects and grants. Each method is one transaction that also counts the version up; it checks the
//! principal's privileges against the newest stored state, not against what the caller last saw.
//!
//! A change is decided by plain code over a copy of the [`Snapshot`](crate::snapshot::Snapshot) ([`Edit`]), which notes the
//! rows to write; the runner stores them and only then shows the new snapshot. So a change that fails leaves no trace.

mod comment;
pub(crate) mod database;
mod default_acl;
mod edit;
mod governance;
mod grant;
mod location;
mod owned;
mod related;
mod relation;
mod role;
mod role_settings;
mod schema;
mod sequence;
mod temporary;
mod warehouse;

pub use comment::CommentOn;
pub use default_acl::DefaultPrivileges;
pub(crate) use edit::{Edit, Write};
pub use governance::{RowSecurityUpdate, TagChanges, TagsOf};
pub use grant::{GrantObjects, GrantOutcome, GrantSpec, GrantedPrivileges, RevokeSpec};
pub use relation::{NewConstraint, NewRelation, RelationChange, RelationUpdate};
pub(crate) use role::dependents_of_role;
pub use role::{PasswordSpec, RoleOptions};
pub use role_settings::SettingChange;
pub use sequence::{NextValues, SequenceState};
pub use temporary::TEMPORARY_PREFIX;
pub use warehouse::WarehouseChange;

use crate::error::{CatalogError, ObjectKind};

/// Longest name in bytes (`NAMEDATALEN` - 1); the gateway truncates before.
const NAME_BYTES_MAX: usize = 63;

fn check_name(kind: ObjectKind, name: &str) -> Result<(), CatalogError> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains('\0') {
        return Err(CatalogError::InvalidName { kind, name: name.chars().filter(|c| *c != '\0').take(NAME_BYTES_MAX).collect() });
    }
    Ok(())
}

fn undefined_oid(kind: ObjectKind, oid: crate::model::Oid) -> CatalogError {
    CatalogError::Undefined { kind, name: format!("OID {oid}") }
}
