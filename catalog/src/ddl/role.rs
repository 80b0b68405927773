//! CREATE, ALTER and DROP ROLE; membership. Source: `src/backend/commands/user.c` of PostgreSQL 15.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::edit::Write;
use super::role_settings::drop_settings;
use super::{Edit, check_name};
use crate::auth::password;
use crate::authorize::Principal;
use crate::catalog::Catalog;
use crate::error::{CatalogError, ObjectKind};
use crate::model::{BOOTSTRAP_ROLE_OID, FIRST_NORMAL_OID, Membership, ObjectRef, Oid, Role};
use crate::snapshot::Snapshot;

/// What CREATE and ALTER ROLE set; `None` leaves a property as it is (or as a new role has it: NOLOGIN, INHERIT, no limit).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleOptions {
    pub login: Option<bool>,
    pub superuser: Option<bool>,
    pub create_db: Option<bool>,
    pub create_role: Option<bool>,
    pub inherit: Option<bool>,
    pub bypass_rls: Option<bool>,
    /// -1 means no limit.
    pub connection_limit: Option<i32>,
    /// Seconds since the epoch; inner `None`: forever.
    pub valid_until: Option<Option<i64>>,
}

/// The PASSWORD option.
#[derive(Clone, PartialEq, Eq)]
pub enum PasswordSpec {
    /// Clear text, or a `SCRAM-SHA-256$…` verifier as psql's `\password` sends it.
    Set(Zeroizing<String>),
    /// PASSWORD NULL.
    Remove,
}

impl std::fmt::Debug for PasswordSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            PasswordSpec::Set(_) => "Set(…)",
            PasswordSpec::Remove => "Remove",
        })
    }
}

impl Catalog {
    /// CREATE ROLE; CREATE USER is the same with `login: Some(true)`. `in_roles` are the roles it becomes a member of (IN ROLE),
    /// `members` the ones that become its members (ROLE).
    ///
    /// # Errors
    /// [`CatalogError::Duplicate`], [`CatalogError::Forbidden`], [`CatalogError::ReservedName`], a password that is too long.
    pub async fn create_role(
        &self,
        principal: &Principal,
        name: &str,
        options: RoleOptions,
        password: Option<PasswordSpec>,
        in_roles: &[Oid],
        members: &[Oid],
    ) -> Result<Arc<Role>, CatalogError> {
        let verifiers = self.verifiers(password).await?;
        let (principal, name, in_roles, members) = (*principal, name.to_owned(), in_roles.to_vec(), members.to_vec());
        self.change(move |edit| {
            let me = edit.role(principal.current_role)?;
            if !me.superuser {
                if options.superuser == Some(true) {
                    return Err(CatalogError::forbidden("must be superuser to create superusers"));
                }
                if options.bypass_rls == Some(true) {
                    return Err(CatalogError::forbidden("must be superuser to create bypassrls users"));
                }
                if !me.create_role {
                    return Err(CatalogError::forbidden("permission denied to create role"));
                }
            }
            check_role_name(&edit.snapshot, &name)?;
            let oid = edit.new_oid()?;
            let mut role = Role {
                oid,
                name,
                superuser: false,
                login: false,
                create_db: false,
                create_role: false,
                inherit: true,
                bypass_rls: false,
                connection_limit: -1,
                valid_until: None,
            };
            options.apply(&mut role)?;
            let role = edit.put_role(role);
            if let Some(verifiers) = verifiers {
                edit.write(Write::Password(oid, password::sealed(verifiers, oid)?));
            }
            for parent in in_roles {
                add_member(edit, &principal, parent, oid, false)?;
            }
            for member in members {
                add_member(edit, &principal, oid, member, false)?;
            }
            Ok(role)
        })
        .await
    }

    /// ALTER ROLE … options. Everybody may change the own password.
    ///
    /// # Errors
    /// [`CatalogError::Forbidden`], [`CatalogError::Undefined`].
    pub async fn alter_role(
        &self,
        principal: &Principal,
        role: Oid,
        options: RoleOptions,
        password: Option<PasswordSpec>,
    ) -> Result<Arc<Role>, CatalogError> {
        let verifiers = self.verifiers(password).await?;
        let principal = *principal;
        self.change(move |edit| {
            let me = edit.role(principal.current_role)?;
            let mut changed = Role::clone(&*edit.role(role)?);
            if !me.superuser {
                if changed.superuser || options.superuser.is_some() {
                    return Err(CatalogError::forbidden("must be superuser to alter superuser roles or change superuser attribute"));
                }
                if options.bypass_rls.is_some() {
                    return Err(CatalogError::forbidden("must be superuser to change bypassrls attribute"));
                }
                let only_own_password = role == principal.current_role && options == RoleOptions::default() && verifiers.is_some();
                let by_attribute = me.create_role && role >= FIRST_NORMAL_OID;
                if !by_attribute && !only_own_password {
                    return Err(CatalogError::forbidden("permission denied"));
                }
            }
            if role < FIRST_NORMAL_OID && role != BOOTSTRAP_ROLE_OID {
                return Err(CatalogError::ReservedName { kind: ObjectKind::Role, name: changed.name });
            }
            if role == BOOTSTRAP_ROLE_OID && options.superuser == Some(false) {
                return Err(CatalogError::forbidden("The bootstrap user must have the SUPERUSER attribute."));
            }
            options.apply(&mut changed)?;
            if let Some(verifiers) = verifiers {
                edit.write(Write::Password(role, password::sealed(verifiers, role)?));
            }
            Ok(edit.put_role(changed))
        })
        .await
    }

    /// ALTER ROLE … RENAME TO.
    ///
    /// # Errors
    /// [`CatalogError::Duplicate`], [`CatalogError::Forbidden`], [`CatalogError::ReservedName`].
    pub async fn rename_role(&self, principal: &Principal, role: Oid, new_name: &str) -> Result<Arc<Role>, CatalogError> {
        let (principal, new_name) = (*principal, new_name.to_owned());
        self.change(move |edit| {
            let mut renamed = Role::clone(&*edit.role(role)?);
            if role == principal.session_role {
                return Err(CatalogError::NotSupported { message: "session user cannot be renamed".to_owned() });
            }
            if role == principal.current_role {
                return Err(CatalogError::NotSupported { message: "current user cannot be renamed".to_owned() });
            }
            if role < FIRST_NORMAL_OID && role != BOOTSTRAP_ROLE_OID {
                return Err(CatalogError::ReservedName { kind: ObjectKind::Role, name: renamed.name });
            }
            let me = edit.role(principal.current_role)?;
            if renamed.superuser && !me.superuser {
                return Err(CatalogError::forbidden("must be superuser to rename superusers"));
            }
            if !me.superuser && !me.create_role {
                return Err(CatalogError::forbidden("permission denied to rename role"));
            }
            check_role_name(&edit.snapshot, &new_name)?;
            renamed.name = new_name;
            Ok(edit.put_role(renamed))
        })
        .await
    }

    /// DROP ROLE of one or more: all or none.
    ///
    /// # Errors
    /// [`CatalogError::DependentObjects`] while a role owns something or stands in a grant.
    pub async fn drop_roles(&self, principal: &Principal, roles: &[Oid]) -> Result<(), CatalogError> {
        let (principal, roles) = (*principal, roles.to_vec());
        self.change(move |edit| {
            let me = edit.role(principal.current_role)?;
            if !me.superuser && !me.create_role {
                return Err(CatalogError::forbidden("permission denied to drop role"));
            }
            for oid in roles {
                let role = edit.role(oid)?;
                let in_use = |message: &str| CatalogError::ObjectInUse { message: message.to_owned() };
                if oid == principal.current_role {
                    return Err(in_use("current user cannot be dropped"));
                }
                if oid == principal.session_role {
                    return Err(in_use("session user cannot be dropped"));
                }
                if role.superuser && !me.superuser {
                    return Err(CatalogError::forbidden("must be superuser to drop superusers"));
                }
                let message = if oid < FIRST_NORMAL_OID {
                    Some(format!("cannot drop role {} because it is required by the database system", role.name))
                } else {
                    None
                };
                let dependents = dependents_of_role(&edit.snapshot, oid);
                if message.is_some() || !dependents.is_empty() {
                    let message =
                        message.unwrap_or_else(|| format!("role \"{}\" cannot be dropped because some objects depend on it", role.name));
                    return Err(CatalogError::DependentObjects { message, dependents, hint: None });
                }
                drop_settings(edit, |settings| settings.role == oid);
                edit.drop_role(oid);
            }
            Ok(())
        })
        .await
    }

    /// GRANT role TO member [WITH ADMIN OPTION]. False where the member had it already (PostgreSQL says so in a NOTICE).
    ///
    /// # Errors
    /// [`CatalogError::Forbidden`], [`CatalogError::InvalidGrant`] for a circle.
    pub async fn grant_membership(&self, principal: &Principal, role: Oid, member: Oid, admin: bool) -> Result<bool, CatalogError> {
        let principal = *principal;
        self.change(move |edit| add_member(edit, &principal, role, member, admin)).await
    }

    /// REVOKE [ADMIN OPTION FOR] role FROM member. False where there was nothing to revoke (a WARNING in PostgreSQL).
    ///
    /// # Errors
    /// [`CatalogError::Forbidden`].
    pub async fn revoke_membership(
        &self,
        principal: &Principal,
        role: Oid,
        member: Oid,
        only_admin_option: bool,
    ) -> Result<bool, CatalogError> {
        let principal = *principal;
        self.change(move |edit| {
            check_may_grant_role(edit, &principal, role)?;
            let Some(old) = edit.snapshot.memberships.iter().find(|old| (old.role, old.member) == (role, member)).copied() else {
                return Ok(false);
            };
            if only_admin_option {
                edit.put_membership(Membership { admin: false, ..old });
            } else {
                edit.drop_membership(role, member);
            }
            Ok(true)
        })
        .await
    }
}

impl RoleOptions {
    fn apply(&self, role: &mut Role) -> Result<(), CatalogError> {
        if let Some(limit) = self.connection_limit
            && limit < -1
        {
            return Err(CatalogError::parameter(format!("invalid connection limit: {limit}")));
        }
        role.login = self.login.unwrap_or(role.login);
        role.superuser = self.superuser.unwrap_or(role.superuser);
        role.create_db = self.create_db.unwrap_or(role.create_db);
        role.create_role = self.create_role.unwrap_or(role.create_role);
        role.inherit = self.inherit.unwrap_or(role.inherit);
        role.bypass_rls = self.bypass_rls.unwrap_or(role.bypass_rls);
        role.connection_limit = self.connection_limit.unwrap_or(role.connection_limit);
        role.valid_until = self.valid_until.unwrap_or(role.valid_until);
        Ok(())
    }
}

/// Source: `AddRoleMems`.
fn add_member(edit: &mut Edit, principal: &Principal, role: Oid, member: Oid, admin: bool) -> Result<bool, CatalogError> {
    let (parent, child) = (edit.role(role)?, edit.role(member)?);
    check_may_grant_role(edit, principal, role)?;
    if role == member || edit.snapshot.settable_roles(role).contains(&member) {
        return Err(CatalogError::InvalidGrant { message: format!("role \"{}\" is a member of role \"{}\"", parent.name, child.name) });
    }
    let old = edit.snapshot.memberships.iter().find(|old| (old.role, old.member) == (role, member)).copied();
    if old.is_some_and(|old| old.admin || !admin) {
        return Ok(false);
    }
    edit.put_membership(Membership { role, member, admin, grantor: principal.current_role });
    Ok(true)
}

/// As PostgreSQL 15: a superuser's role needs a superuser; any other the admin option or CREATEROLE. The predefined roles open
/// other people's statements, so for them CREATEROLE does not do.
fn check_may_grant_role(edit: &Edit, principal: &Principal, role: Oid) -> Result<(), CatalogError> {
    let me = edit.role(principal.current_role)?;
    let target = edit.role(role)?;
    if me.superuser {
        return Ok(());
    }
    if target.superuser {
        return Err(CatalogError::forbidden("must be superuser to alter superusers"));
    }
    let by_attribute = me.create_role && role >= FIRST_NORMAL_OID;
    if !by_attribute && !edit.snapshot.is_admin_of(me.oid, role) {
        return Err(CatalogError::forbidden(format!("must have admin option on role \"{}\"", target.name)));
    }
    Ok(())
}

fn check_role_name(snapshot: &Snapshot, name: &str) -> Result<(), CatalogError> {
    check_name(ObjectKind::Role, name)?;
    let reserved = name.starts_with("pg_") || name.starts_with("lakegate_") || name == "public" || name == "none";
    if reserved {
        return Err(CatalogError::ReservedName { kind: ObjectKind::Role, name: name.to_owned() });
    }
    if snapshot.role_by_name(name).is_some() {
        return Err(CatalogError::Duplicate { kind: ObjectKind::Role, name: name.to_owned() });
    }
    Ok(())
}

/// Lines as PostgreSQL's detail: `owner of table t`, `privileges for schema s`.
pub(crate) fn dependents_of_role(snapshot: &Snapshot, role: Oid) -> Vec<String> {
    let mut lines = Vec::new();
    for object in all_objects(snapshot) {
        let Some((kind, name)) = snapshot.describe(object) else { continue };
        if snapshot.owner_of(object) == Some(role) {
            lines.push(format!("owner of {kind} {name}"));
        } else if snapshot.stored_acl(object).is_some_and(|acl| acl.mentions(role)) {
            lines.push(format!("privileges for {kind} {name}"));
        }
    }
    for relation in snapshot.relations() {
        let granted = relation.columns.iter().filter(|column| column.acl.mentions(role) && relation.owner != role);
        lines
            .extend(granted.map(|column| {
                format!("privileges for column {} of {} {}", column.name, crate::snapshot::kind_of(relation), relation.name)
            }));
    }
    lines.extend(super::governance::targets_of_role(snapshot, role));
    for default in snapshot.default_acls() {
        let what = if default.role == role { "owner of" } else { "privileges for" };
        if default.role == role || default.acl.mentions(role) {
            lines.push(format!("{what} {}", super::default_acl::described(snapshot, default)));
        }
    }
    lines
}

/// All that has an owner and a list.
pub(super) fn all_objects(snapshot: &Snapshot) -> impl Iterator<Item = ObjectRef> {
    snapshot
        .databases()
        .map(|database| ObjectRef::Database(database.oid))
        .chain(snapshot.schemas.keys().map(|oid| ObjectRef::Schema(*oid)))
        .chain(snapshot.relations.keys().map(|oid| ObjectRef::Relation(*oid)))
        .chain(snapshot.locations.keys().map(|oid| ObjectRef::ExternalLocation(*oid)))
        .chain(snapshot.warehouses.keys().map(|oid| ObjectRef::Warehouse(*oid)))
}
