//! ALTER DEFAULT PRIVILEGES. Source: `SetDefaultACL` in `aclchk.c` of PostgreSQL 15.

use std::sync::Arc;

use super::edit::{Edit, Write};
use super::grant::{Change, Way};
use crate::acl::{Acl, Privileges, SEQUENCE_PRIVILEGES, all_privileges};
use crate::authorize::{Principal, check};
use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::model::{DefaultAcl, DefaultAclKind, ObjectRef, Oid, PUBLIC, Privilege};
use crate::snapshot::Snapshot;

/// One ALTER DEFAULT PRIVILEGES.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultPrivileges {
    pub database: Oid,
    /// Whose objects to come; the current role's where nobody is named.
    pub roles: Vec<Oid>,
    /// Empty: in every schema.
    pub schemas: Vec<Oid>,
    pub kind: DefaultAclKind,
    /// `None`: ALL PRIVILEGES.
    pub privileges: Option<Privileges>,
    /// Roles or [`PUBLIC`].
    pub grantees: Vec<Oid>,
    pub revoke: bool,
    /// WITH GRANT OPTION, or GRANT OPTION FOR.
    pub grant_option: bool,
    pub cascade: bool,
}

impl Catalog {
    /// # Errors
    /// [`CatalogError::Forbidden`], [`CatalogError::InvalidGrant`], [`CatalogError::InsufficientPrivilege`] without CREATE on a schema.
    pub async fn alter_default_privileges(&self, principal: &Principal, new: DefaultPrivileges) -> Result<(), CatalogError> {
        let principal = *principal;
        self.change(move |edit| {
            let all = everything(new.kind);
            let privileges = new.privileges.unwrap_or(all);
            if let Some(wrong) = privileges.without(all).iter().next() {
                let message = format!("invalid privilege type {} for {}", wrong.word(), noun(new.kind));
                return Err(CatalogError::InvalidGrant { message });
            }
            if new.kind == DefaultAclKind::Schemas && !new.schemas.is_empty() {
                let message = "cannot use IN SCHEMA clause when using GRANT/REVOKE ON SCHEMAS".to_owned();
                return Err(CatalogError::InvalidGrant { message });
            }
            let way = match new.revoke {
                true => Way::Revoke { only_grant_option: new.grant_option, cascade: new.cascade },
                false => Way::Grant { with_grant_option: new.grant_option },
            };
            let change = Change { grantees: new.grantees, way };
            change.check(edit)?;
            for role in new.roles {
                let target = edit.role(role)?;
                if !edit.snapshot.is_member_of(principal.current_role, role) {
                    return Err(CatalogError::forbidden(format!("must be member of role \"{}\"", target.name)));
                }
                for schema in &new.schemas {
                    edit.schema(*schema)?;
                    check(&edit.snapshot, &Principal::new(role), ObjectRef::Schema(*schema), Privilege::Create)?;
                }
                let everywhere = [0];
                let schemas: &[Oid] = if new.schemas.is_empty() { &everywhere } else { &new.schemas };
                for schema in schemas {
                    set(edit, (new.database, role, *schema, new.kind), &change, privileges)?;
                }
            }
            Ok(())
        })
        .await
    }
}

fn set(
    edit: &mut Edit,
    (database, role, schema, kind): (Oid, Oid, Oid, DefaultAclKind),
    change: &Change,
    privileges: Privileges,
) -> Result<(), CatalogError> {
    let known = edit.snapshot.default_acl(database, role, schema, kind).cloned();
    let built_in = if schema == 0 { built_in(kind, role) } else { Acl::default() };
    let mut acl = known.as_ref().map_or_else(|| built_in.clone(), |known| known.acl.clone());
    change.apply(&mut acl, role, role, privileges)?;
    match known {
        Some(known) if acl == built_in => edit.write(Write::DropDefaultAcl(known.oid)),
        Some(known) => edit.write(Write::DefaultAcl(Arc::new(DefaultAcl { acl, ..DefaultAcl::clone(&known) }))),
        None if acl == built_in => {}
        None => {
            let oid = edit.new_oid()?;
            edit.write(Write::DefaultAcl(Arc::new(DefaultAcl { oid, database, role, schema, kind, acl })));
        }
    }
    Ok(())
}

fn everything(kind: DefaultAclKind) -> Privileges {
    match kind {
        DefaultAclKind::Tables => all_privileges(ObjectRef::Relation(0)),
        DefaultAclKind::Sequences => SEQUENCE_PRIVILEGES,
        DefaultAclKind::Functions => Privileges::of(&[Privilege::Execute]),
        DefaultAclKind::Types => Privileges::of(&[Privilege::Usage]),
        DefaultAclKind::Schemas => all_privileges(ObjectRef::Schema(0)),
    }
}

/// What such an object of the role has where nothing is said. Source: `acldefault`.
fn built_in(kind: DefaultAclKind, role: Oid) -> Acl {
    let all = everything(kind);
    let mut acl = Acl::default();
    if matches!(kind, DefaultAclKind::Functions | DefaultAclKind::Types) {
        acl.grant(PUBLIC, role, all, Privileges::NONE);
    }
    acl.grant(role, role, all, Privileges::NONE);
    acl
}

fn noun(kind: DefaultAclKind) -> &'static str {
    match kind {
        DefaultAclKind::Tables => "relation",
        DefaultAclKind::Sequences => "sequence",
        DefaultAclKind::Functions => "function",
        DefaultAclKind::Types => "type",
        DefaultAclKind::Schemas => "schema",
    }
}

/// As PostgreSQL describes an entry of `pg_default_acl`.
pub(super) fn described(snapshot: &Snapshot, acl: &DefaultAcl) -> String {
    let kind = if acl.kind == DefaultAclKind::Tables { "relation" } else { noun(acl.kind) };
    let role = snapshot.role_name(acl.role);
    match snapshot.schema_by_oid(acl.schema) {
        Some(schema) => format!("default privileges on new {kind}s belonging to role {role} in schema {}", schema.name),
        None => format!("default privileges on new {kind}s belonging to role {role}"),
    }
}

/// Gives a new object what was said of it.
pub(super) fn give(edit: &mut Edit, object: ObjectRef, kind: DefaultAclKind, (database, schema, owner): (Oid, Oid, Oid)) {
    let built_in = Acl::with_owner(object, owner, edit.snapshot.all_privileges(object));
    if let Some(acl) = edit.snapshot.new_object_acl(database, schema, owner, kind, &built_in) {
        edit.put_acl(object, acl);
    }
}
