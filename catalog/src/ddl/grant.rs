//! GRANT and REVOKE of privileges. Source: `src/backend/catalog/aclchk.c` and `src/backend/utils/adt/acl.c` of PostgreSQL 15.

use super::edit::Edit;
use super::relation::column_mut;
use crate::acl::{Acl, COLUMN_PRIVILEGES, Privileges, SEQUENCE_PRIVILEGES, all_privileges};
use crate::authorize::{Principal, check};
use crate::catalog::Catalog;
use crate::error::{CatalogError, ObjectKind};
use crate::model::{ObjectRef, Oid, PUBLIC, Privilege, Relation};

/// What stands after ON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantObjects {
    These(Vec<ObjectRef>),
    /// ON SEQUENCE.
    Sequences(Vec<Oid>),
    /// ON ALL TABLES IN SCHEMA; views are tables here.
    AllTablesInSchemas(Vec<Oid>),
    AllSequencesInSchemas(Vec<Oid>),
    /// ON ALL FUNCTIONS IN SCHEMA: there are none.
    AllFunctionsInSchemas(Vec<Oid>),
}

/// What is granted or revoked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GrantedPrivileges {
    /// On the objects; `None`: ALL PRIVILEGES.
    pub on_object: Option<Privileges>,
    /// On columns of tables; inner `None`: ALL PRIVILEGES.
    pub on_columns: Vec<(Option<Privileges>, Vec<String>)>,
}

impl GrantedPrivileges {
    /// ALL PRIVILEGES.
    pub const ALL: GrantedPrivileges = GrantedPrivileges { on_object: None, on_columns: Vec::new() };

    /// On the objects alone.
    #[must_use]
    pub fn of(privileges: &[Privilege]) -> GrantedPrivileges {
        GrantedPrivileges { on_object: Some(Privileges::of(privileges)), on_columns: Vec::new() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantSpec {
    pub objects: GrantObjects,
    pub privileges: GrantedPrivileges,
    /// Roles or [`PUBLIC`].
    pub grantees: Vec<Oid>,
    pub with_grant_option: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokeSpec {
    pub objects: GrantObjects,
    pub privileges: GrantedPrivileges,
    pub grantees: Vec<Oid>,
    /// GRANT OPTION FOR.
    pub only_grant_option: bool,
    /// What the grantees gave on goes too.
    pub cascade: bool,
}

/// For the warnings PostgreSQL gives (01007 and 01006): names of objects, in quotes, and of their columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrantOutcome {
    /// `no privileges were granted for "t"` (or revoked).
    pub nothing_for: Vec<String>,
    /// `not all privileges were granted for "t"`.
    pub not_all_for: Vec<String>,
    /// `sequence "s" only supports USAGE, SELECT, and UPDATE privileges`.
    pub less_for_sequences: Vec<String>,
}

impl Catalog {
    /// # Errors
    /// [`CatalogError::InsufficientPrivilege`], [`CatalogError::InvalidGrant`].
    pub async fn grant(&self, principal: &Principal, spec: GrantSpec) -> Result<GrantOutcome, CatalogError> {
        let GrantSpec { objects, privileges, grantees, with_grant_option } = spec;
        let change = Change { grantees, way: Way::Grant { with_grant_option } };
        let principal = *principal;
        self.change(move |edit| execute(edit, &principal, &objects, &privileges, &change)).await
    }

    /// # Errors
    /// [`CatalogError::InsufficientPrivilege`], [`CatalogError::DependentObjects`] where the grantees gave on what is revoked.
    pub async fn revoke(&self, principal: &Principal, spec: RevokeSpec) -> Result<GrantOutcome, CatalogError> {
        let RevokeSpec { objects, privileges, grantees, only_grant_option, cascade } = spec;
        let change = Change { grantees, way: Way::Revoke { only_grant_option, cascade } };
        let principal = *principal;
        self.change(move |edit| execute(edit, &principal, &objects, &privileges, &change)).await
    }
}

/// What happens to the lists.
pub(super) struct Change {
    pub(super) grantees: Vec<Oid>,
    pub(super) way: Way,
}

pub(super) enum Way {
    Grant { with_grant_option: bool },
    Revoke { only_grant_option: bool, cascade: bool },
}

impl Change {
    /// Does it to one list. `grantor` is who is found to grant.
    pub(super) fn apply(&self, acl: &mut Acl, owner: Oid, grantor: Oid, privileges: Privileges) -> Result<(), CatalogError> {
        for grantee in &self.grantees {
            match self.way {
                Way::Grant { with_grant_option } => {
                    let option = if with_grant_option { privileges } else { Privileges::NONE };
                    check_circle(acl, owner, grantor, *grantee, option)?;
                    acl.grant(*grantee, grantor, privileges, option);
                }
                Way::Revoke { only_grant_option, cascade } => {
                    acl.revoke(*grantee, grantor, privileges, only_grant_option);
                    revoke_dependents(acl, owner, *grantee, privileges, cascade)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn check(&self, edit: &Edit) -> Result<(), CatalogError> {
        if matches!(self.way, Way::Grant { with_grant_option: true }) && self.grantees.contains(&PUBLIC) {
            return Err(CatalogError::InvalidGrant { message: "grant options can only be granted to roles".to_owned() });
        }
        self.grantees.iter().try_for_each(|grantee| check_grantee(edit, *grantee))
    }
}

fn execute(
    edit: &mut Edit,
    principal: &Principal,
    on: &GrantObjects,
    privileges: &GrantedPrivileges,
    change: &Change,
) -> Result<GrantOutcome, CatalogError> {
    change.check(edit)?;
    let mut outcome = GrantOutcome::default();
    for object in objects(edit, on)? {
        let Some((kind, name)) = edit.snapshot.describe(object) else {
            // Says that the object is gone.
            check(&edit.snapshot, principal, object, Privilege::Select)?;
            continue;
        };
        let all = edit.snapshot.all_privileges(object);
        let mut wanted = privileges.on_object.unwrap_or(all);
        if let Some(wrong) = wanted.without(possible(object, on)).iter().next() {
            return Err(invalid(wrong, kind));
        }
        if kind == ObjectKind::Sequence && !wanted.without(all).is_empty() {
            outcome.less_for_sequences.push(name.clone());
            wanted = wanted.intersection(all);
        } else if let Some(wrong) = wanted.without(all).iter().next() {
            return Err(invalid(wrong, kind));
        }
        if !wanted.is_empty() {
            let acl = Acl::clone(&edit.snapshot.acl(object));
            let named = format!("\"{name}\"");
            let denied = || CatalogError::InsufficientPrivilege { kind, name: name.clone(), denial: None };
            let asked = Asked { wanted, all, by_name: privileges.on_object.is_some(), named };
            if let Some(allowed) = allowed(edit, principal, object, &acl, &asked, denied, &mut outcome)? {
                let mut acl = acl;
                change.apply(&mut acl, allowed.owner, allowed.grantor, allowed.privileges)?;
                edit.put_acl(object, acl);
            }
        }
        if let ObjectRef::Relation(oid) = object {
            change_columns(edit, principal, oid, wanted, privileges, change, &mut outcome)?;
        } else if !privileges.on_columns.is_empty() {
            return Err(CatalogError::InvalidGrant { message: "column privileges are only valid for relations".to_owned() });
        }
    }
    Ok(outcome)
}

/// Privileges on single columns; revoking one on a table revokes it on all of its columns (`expand_all_col_privileges`).
fn change_columns(
    edit: &mut Edit,
    principal: &Principal,
    oid: Oid,
    on_table: Privileges,
    privileges: &GrantedPrivileges,
    change: &Change,
    outcome: &mut GrantOutcome,
) -> Result<(), CatalogError> {
    let relation = edit.relation(oid)?;
    let mut wanted: Vec<(String, Privileges)> = Vec::new();
    if matches!(change.way, Way::Revoke { .. }) {
        let of_columns = relation.columns.iter().filter(|column| !column.acl.is_empty());
        wanted.extend(of_columns.map(|column| (column.name.clone(), on_table.intersection(COLUMN_PRIVILEGES))));
    }
    for (asked, names) in &privileges.on_columns {
        if relation.sequence.is_some() {
            return Err(CatalogError::WrongObjectType { name: relation.name.clone(), expected: ObjectKind::Table });
        }
        let asked = asked.unwrap_or(COLUMN_PRIVILEGES);
        if let Some(wrong) = asked.without(COLUMN_PRIVILEGES).iter().next() {
            return Err(invalid(wrong, ObjectKind::Column));
        }
        for name in names {
            if relation.column(name).is_none() {
                return Err(CatalogError::UndefinedColumn { relation: relation.name.clone(), column: name.clone() });
            }
            match wanted.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => *known = known.union(asked),
                None => wanted.push((name.clone(), asked)),
            }
        }
    }
    wanted.retain(|(_, wanted)| !wanted.is_empty());
    if wanted.is_empty() {
        return Ok(());
    }
    let mut changed = Relation::clone(&relation);
    for (name, wanted) in wanted {
        let column = column_mut(&mut changed, &name)?;
        let mut merged = Acl::clone(&edit.snapshot.acl(ObjectRef::Relation(oid)));
        for item in &column.acl.items {
            merged.grant(item.grantee, item.grantor, item.privileges, item.grantable);
        }
        let is_asked = privileges.on_columns.iter().any(|(_, names)| names.contains(&name));
        let named = format!("column \"{name}\" of relation \"{}\"", relation.name);
        let denied = || CatalogError::forbidden(format!("permission denied for column \"{name}\" of relation \"{}\"", relation.name));
        let asked = Asked { wanted, all: COLUMN_PRIVILEGES, by_name: is_asked, named };
        let mut quiet = GrantOutcome::default();
        let told = if is_asked { &mut *outcome } else { &mut quiet };
        let found = allowed(edit, principal, ObjectRef::Relation(oid), &merged, &asked, denied, told);
        // What goes along with the table's is not told of.
        let found = if is_asked { found? } else { found.unwrap_or(None) };
        if let Some(allowed) = found {
            change.apply(&mut column.acl, allowed.owner, allowed.grantor, allowed.privileges)?;
        }
    }
    if changed != *relation {
        edit.put_relation(changed);
    }
    Ok(())
}

/// What this principal may grant on an object, and as whom.
struct Allowed {
    owner: Oid,
    grantor: Oid,
    privileges: Privileges,
}

struct Asked {
    wanted: Privileges,
    all: Privileges,
    /// Not ALL PRIVILEGES.
    by_name: bool,
    /// For warnings.
    named: String,
}

fn invalid(privilege: Privilege, kind: ObjectKind) -> CatalogError {
    CatalogError::InvalidGrant { message: format!("invalid privilege type {} for {kind}", privilege.word()) }
}

/// What GRANT takes after ON of this kind: TABLE may name a sequence.
fn possible(object: ObjectRef, on: &GrantObjects) -> Privileges {
    match (object, on) {
        (ObjectRef::Relation(_), GrantObjects::Sequences(_) | GrantObjects::AllSequencesInSchemas(_)) => SEQUENCE_PRIVILEGES,
        (ObjectRef::Relation(_), _) => all_privileges(object).union(SEQUENCE_PRIVILEGES),
        _ => all_privileges(object),
    }
}

fn objects(edit: &Edit, objects: &GrantObjects) -> Result<Vec<ObjectRef>, CatalogError> {
    let in_schemas = |schemas: &[Oid], wanted: fn(&Relation) -> bool| {
        let mut all = Vec::new();
        for schema in schemas {
            edit.schema(*schema)?;
            let relations = edit.snapshot.relations_in_schema(*schema).filter(|relation| wanted(relation));
            all.extend(relations.map(|relation| ObjectRef::Relation(relation.oid)));
        }
        Ok(all)
    };
    match objects {
        GrantObjects::These(objects) => Ok(objects.clone()),
        GrantObjects::Sequences(sequences) => {
            for oid in sequences {
                let relation = edit.relation(*oid)?;
                if relation.sequence.is_none() {
                    return Err(CatalogError::WrongObjectType { name: relation.name.clone(), expected: ObjectKind::Sequence });
                }
            }
            Ok(sequences.iter().map(|oid| ObjectRef::Relation(*oid)).collect())
        }
        GrantObjects::AllTablesInSchemas(schemas) => in_schemas(schemas, |relation| relation.sequence.is_none()),
        GrantObjects::AllSequencesInSchemas(schemas) => in_schemas(schemas, |relation| relation.sequence.is_some()),
        GrantObjects::AllFunctionsInSchemas(schemas) => in_schemas(schemas, |_| false),
    }
}

/// Source: `select_best_grantor`, `restrict_and_check_grant`. `None`: nothing can be granted, which the outcome notes.
fn allowed(
    edit: &Edit,
    principal: &Principal,
    object: ObjectRef,
    acl: &Acl,
    asked: &Asked,
    denied: impl FnOnce() -> CatalogError,
    outcome: &mut GrantOutcome,
) -> Result<Option<Allowed>, CatalogError> {
    let snapshot = &edit.snapshot;
    let role = principal.current_role;
    let owner = snapshot.owner_of(object).ok_or_else(|| CatalogError::internal("object without owner"))?;
    let (grantor, options) = if snapshot.has_privileges_of(role, owner) {
        (owner, asked.all)
    } else {
        let candidates = snapshot.member_of(role);
        let best = candidates
            .iter()
            .map(|candidate| (*candidate, acl.grantable_by(|grantee| grantee == *candidate).intersection(asked.wanted)))
            .max_by_key(|(candidate, options)| (options.iter().count(), *candidate == role));
        best.unwrap_or((role, Privileges::NONE))
    };
    let privileges = asked.wanted.intersection(options);
    if privileges.is_empty() {
        let roles = snapshot.member_of(role);
        let held = acl.held_by(|grantee| grantee == PUBLIC || roles.contains(&grantee)).intersection(asked.all);
        let holds_any = !held.is_empty() || asked.all.iter().any(|privilege| snapshot.has_everywhere(role, object, privilege));
        if !holds_any {
            return Err(denied());
        }
        outcome.nothing_for.push(asked.named.clone());
        return Ok(None);
    }
    if asked.by_name && privileges != asked.wanted {
        outcome.not_all_for.push(asked.named.clone());
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
