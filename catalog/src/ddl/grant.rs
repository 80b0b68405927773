//! GRANT and REVOKE of privileges. Source: `src/backend/catalog/aclchk.c` and `src/backend/utils/adt/acl.c` of PostgreSQL 15.

use super::edit::Edit;
use crate::acl::{Acl, Privileges, all_privileges};
use crate::authorize::{Principal, check};
use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::model::{ObjectRef, Oid, PUBLIC, Privilege};

/// What stands after ON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantObjects {
    These(Vec<ObjectRef>),
    /// ON ALL TABLES IN SCHEMA; views are tables here.
    AllTablesInSchemas(Vec<Oid>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantSpec {
    pub objects: GrantObjects,
    /// `None`: ALL PRIVILEGES.
    pub privileges: Option<Privileges>,
    /// Roles or [`PUBLIC`].
    pub grantees: Vec<Oid>,
    pub with_grant_option: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokeSpec {
    pub objects: GrantObjects,
    /// `None`: ALL PRIVILEGES.
    pub privileges: Option<Privileges>,
    pub grantees: Vec<Oid>,
    /// GRANT OPTION FOR.
    pub only_grant_option: bool,
    /// What the grantees gave on goes too.
    pub cascade: bool,
}

/// For the warnings PostgreSQL gives (01007 and 01006): names of objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrantOutcome {
    /// `no privileges were granted for "t"` (or revoked).
    pub nothing_for: Vec<String>,
    /// `not all privileges were granted for "t"`.
    pub not_all_for: Vec<String>,
}

impl Catalog {
    /// # Errors
    /// [`CatalogError::InsufficientPrivilege`], [`CatalogError::InvalidGrant`].
    pub async fn grant(&self, principal: &Principal, spec: GrantSpec) -> Result<GrantOutcome, CatalogError> {
        let principal = *principal;
        self.change(move |edit| {
            if spec.with_grant_option && spec.grantees.contains(&PUBLIC) {
                return Err(CatalogError::InvalidGrant { message: "grant options can only be granted to roles".to_owned() });
            }
            let mut outcome = GrantOutcome::default();
            for object in objects(edit, &spec.objects)? {
                let Some(allowed) = allowed(edit, &principal, object, spec.privileges, &mut outcome)? else { continue };
                let mut acl = Acl::clone(&edit.snapshot.acl(object));
                for grantee in &spec.grantees {
                    check_grantee(edit, *grantee)?;
                    let option = if spec.with_grant_option { allowed.privileges } else { Privileges::NONE };
                    check_circle(&acl, allowed.owner, allowed.grantor, *grantee, option)?;
                    acl.grant(*grantee, allowed.grantor, allowed.privileges, option);
                }
                edit.put_acl(object, acl);
            }
            Ok(outcome)
        })
        .await
    }

    /// # Errors
    /// [`CatalogError::InsufficientPrivilege`], [`CatalogError::DependentObjects`] where the grantees gave on what is revoked.
    pub async fn revoke(&self, principal: &Principal, spec: RevokeSpec) -> Result<GrantOutcome, CatalogError> {
        let principal = *principal;
        self.change(move |edit| {
            let mut outcome = GrantOutcome::default();
            for object in objects(edit, &spec.objects)? {
                let Some(allowed) = allowed(edit, &principal, object, spec.privileges, &mut outcome)? else { continue };
                let mut acl = Acl::clone(&edit.snapshot.acl(object));
                for grantee in &spec.grantees {
                    check_grantee(edit, *grantee)?;
                    acl.revoke(*grantee, allowed.grantor, allowed.privileges, spec.only_grant_option);
                    revoke_dependents(&mut acl, allowed.owner, *grantee, allowed.privileges, spec.cascade)?;
                }
                edit.put_acl(object, acl);
            }
            Ok(outcome)
        })
        .await
    }
}

/// What this principal may grant on an object, and as whom.
struct Allowed {
    owner: Oid,
    grantor: Oid,
    privileges: Privileges,
}

fn objects(edit: &Edit, objects: &GrantObjects) -> Result<Vec<ObjectRef>, CatalogError> {
    match objects {
        GrantObjects::These(objects) => Ok(objects.clone()),
        GrantObjects::AllTablesInSchemas(schemas) => {
            let mut all = Vec::new();
            for schema in schemas {
                edit.schema(*schema)?;
                all.extend(edit.snapshot.relations_in_schema(*schema).map(|relation| ObjectRef::Relation(relation.oid)));
            }
            Ok(all)
        }
    }
}

/// Source: `select_best_grantor`, `restrict_and_check_grant`. `None`: nothing can be granted, which the outcome notes.
fn allowed(
    edit: &Edit,
    principal: &Principal,
    object: ObjectRef,
    asked: Option<Privileges>,
    outcome: &mut GrantOutcome,
) -> Result<Option<Allowed>, CatalogError> {
    let snapshot = &edit.snapshot;
    let (kind, name) = match snapshot.describe(object) {
        Some(described) => described,
        None => {
            // Says that the object is gone.
            check(snapshot, principal, object, Privilege::Select)?;
            return Ok(None);
        }
    };
    let all = all_privileges(object);
    let wanted = asked.unwrap_or(all);
    if let Some(wrong) = wanted.without(all).iter().next() {
        return Err(CatalogError::InvalidGrant { message: format!("invalid privilege type {} for {kind}", wrong.word()) });
    }
    let role = principal.current_role;
    let owner = snapshot.owner_of(object).ok_or_else(|| CatalogError::internal("object without owner"))?;
    let acl = snapshot.acl(object);
    let (grantor, options) = if snapshot.has_privileges_of(role, owner) {
        (owner, all)
    } else {
        let candidates = snapshot.member_of(role);
        let best = candidates
            .iter()
            .map(|candidate| (*candidate, acl.grantable_by(|grantee| grantee == *candidate).intersection(wanted)))
            .max_by_key(|(candidate, options)| (options.iter().count(), *candidate == role));
        best.unwrap_or((role, Privileges::NONE))
    };
    let privileges = wanted.intersection(options);
    if privileges.is_empty() {
        let roles = snapshot.member_of(role);
        let holds_any = !acl.held_by(|grantee| grantee == PUBLIC || roles.contains(&grantee)).is_empty();
        if !holds_any {
            return Err(CatalogError::InsufficientPrivilege { kind, name });
        }
        outcome.nothing_for.push(name);
        return Ok(None);
    }
    if asked.is_some() && privileges != wanted {
        outcome.not_all_for.push(name);
    }
    Ok(Some(Allowed { owner, grantor, privileges }))
}

fn check_grantee(edit: &Edit, grantee: Oid) -> Result<(), CatalogError> {
    if grantee != PUBLIC {
        edit.role(grantee)?;
    }
    Ok(())
}

/// A grant option must not come back to where it came from, or revoking would not end it. Source: `check_circularity`.
fn check_circle(acl: &Acl, owner: Oid, grantor: Oid, grantee: Oid, options: Privileges) -> Result<(), CatalogError> {
    if grantor == owner || options.is_empty() {
        return Ok(());
    }
    let refuse = || CatalogError::InvalidGrant { message: "grant options cannot be granted back to your own grantor".to_owned() };
    if grantee == owner {
        return Err(refuse());
    }
    let mut without = acl.clone();
    let from: Vec<Oid> = without.items.iter().filter(|item| item.grantee == grantee).map(|item| item.grantor).collect();
    for source in from {
        without.revoke(grantee, source, options, true);
    }
    revoke_dependents(&mut without, owner, grantee, options, true)?;
    let left = without.grantable_by(|role| role == grantor);
    if options.without(left).is_empty() { Ok(()) } else { Err(refuse()) }
}

/// What `from` gave on without holding the option any more. Source: `recursive_revoke`.
fn revoke_dependents(acl: &mut Acl, owner: Oid, from: Oid, privileges: Privileges, cascade: bool) -> Result<(), CatalogError> {
    if from == owner {
        return Ok(());
    }
    let lost = privileges.without(acl.grantable_by(|grantee| grantee == from));
    loop {
        let dependent = acl.items.iter().find(|item| item.grantor == from && !item.privileges.intersection(lost).is_empty()).copied();
        let Some(dependent) = dependent else { return Ok(()) };
        if !cascade {
            return Err(CatalogError::DependentObjects {
                message: "dependent privileges exist".to_owned(),
                dependents: Vec::new(),
                hint: Some("Use CASCADE to revoke them too."),
            });
        }
        acl.revoke(dependent.grantee, from, lost, false);
        revoke_dependents(acl, owner, dependent.grantee, lost, cascade)?;
    }
}
