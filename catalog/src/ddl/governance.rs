//! Tags, row-level security, masks. Source: `src/backend/commands/policy.c` of PostgreSQL 15; tags and masks follow Databricks.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::relation::column_mut;
use super::schema::check_not_system;
use super::{Edit, check_name};
use crate::authorize::{Principal, require_owner};
use crate::catalog::Catalog;
use crate::error::{CatalogError, ObjectKind};
use crate::governance::{Mask, MaskingPolicy, Policy, PolicyExpression, TAG_KEY_MAX, TAG_VALUE_MAX, TAGS_MAX, Tags};
use crate::model::{Database, ObjectRef, Oid, Relation, Schema};
use crate::snapshot::{Snapshot, kind_of};

/// What has tags beside relations, whose tags [`super::RelationUpdate::SetTags`] changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagsOf {
    Database(Oid),
    Schema(Oid),
}

/// Tag to value; `None` takes it away.
pub type TagChanges = BTreeMap<String, Option<String>>;

/// What ALTER TABLE and CREATE, ALTER, DROP POLICY change of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum RowSecurityUpdate {
    Enabled(bool),
    Forced(bool),
    /// Its OID is given to it.
    Create(Policy),
    Drop {
        name: String,
    },
    Rename {
        from: String,
        to: String,
    },
    /// `None` leaves as it is.
    Alter {
        name: String,
        roles: Option<Vec<Oid>>,
        using: Option<PolicyExpression>,
        check: Option<PolicyExpression>,
    },
}

impl Catalog {
    /// ALTER DATABASE and ALTER SCHEMA … SET TAGS, UNSET TAGS.
    ///
    /// # Errors
    /// [`CatalogError::MustBeOwner`], [`CatalogError::InvalidParameter`].
    pub async fn set_tags(&self, principal: &Principal, of: TagsOf, changes: TagChanges) -> Result<(), CatalogError> {
        let principal = *principal;
        self.change(move |edit| {
            match of {
                TagsOf::Database(oid) => {
                    require_owner(&edit.snapshot, &principal, ObjectRef::Database(oid))?;
                    let mut changed = Database::clone(&*edit.database(oid)?);
                    change_tags(&mut changed.governance.tags, changes)?;
                    edit.put_database(changed);
                }
                TagsOf::Schema(oid) => {
                    require_owner(&edit.snapshot, &principal, ObjectRef::Schema(oid))?;
                    let mut changed = Schema::clone(&*edit.schema(oid)?);
                    change_tags(&mut changed.tags, changes)?;
                    edit.put_schema(changed);
                }
            }
            Ok(())
        })
        .await
    }

    /// CREATE MASKING POLICY … ON TAG; `policy.oid` and `policy.owner` are given to it.
    ///
    /// # Errors
    /// [`CatalogError::MustBeOwner`] for others than the database's owner, [`CatalogError::Duplicate`].
    pub async fn create_masking_policy(&self, principal: &Principal, database: Oid, policy: MaskingPolicy) -> Result<(), CatalogError> {
        let principal = *principal;
        self.change(move |edit| {
            check_not_system(edit, database)?;
            require_owner(&edit.snapshot, &principal, ObjectRef::Database(database))?;
            check_name(ObjectKind::MaskingPolicy, &policy.name)?;
            let mut changed = Database::clone(&*edit.database(database)?);
            let policies = &mut changed.governance.masking_policies;
            if policies.iter().any(|known| known.name == policy.name) {
                return Err(CatalogError::Duplicate { kind: ObjectKind::MaskingPolicy, name: policy.name });
            }
            policies.push(MaskingPolicy { oid: edit.new_oid()?, owner: principal.current_role, ..policy });
            policies.sort_by(|one, other| one.name.cmp(&other.name));
            edit.put_database(changed);
            Ok(())
        })
        .await
    }

    /// DROP MASKING POLICY.
    ///
    /// # Errors
    /// [`CatalogError::MustBeOwner`], [`CatalogError::Undefined`].
    pub async fn drop_masking_policy(&self, principal: &Principal, database: Oid, name: &str) -> Result<(), CatalogError> {
        let (principal, name) = (*principal, name.to_owned());
        self.change(move |edit| {
            require_owner(&edit.snapshot, &principal, ObjectRef::Database(database))?;
            let mut changed = Database::clone(&*edit.database(database)?);
            let policies = &mut changed.governance.masking_policies;
            let before = policies.len();
            policies.retain(|policy| policy.name != name);
            if policies.len() == before {
                return Err(CatalogError::Undefined { kind: ObjectKind::MaskingPolicy, name });
            }
            edit.put_database(changed);
            Ok(())
        })
        .await
    }
}

/// Of a relation, or of one of its columns.
pub(super) fn set_relation_tags(relation: &mut Relation, column: Option<&str>, changes: TagChanges) -> Result<(), CatalogError> {
    match column {
        None => change_tags(&mut relation.tags, changes),
        Some(column) => change_tags(&mut column_mut(relation, column)?.tags, changes),
    }
}

pub(super) fn set_mask(relation: &mut Relation, column: &str, mask: Option<Mask>) -> Result<(), CatalogError> {
    column_mut(relation, column)?.mask = mask;
    Ok(())
}

fn change_tags(tags: &mut Tags, changes: TagChanges) -> Result<(), CatalogError> {
    for (key, value) in changes {
        if key.is_empty() || key.chars().count() > TAG_KEY_MAX || key.chars().any(char::is_control) {
            return Err(CatalogError::parameter(format!("a tag's key has 1 to {TAG_KEY_MAX} printable characters")));
        }
        match value {
            Some(value) if value.chars().count() > TAG_VALUE_MAX => {
                return Err(CatalogError::parameter(format!("a tag's value has at most {TAG_VALUE_MAX} characters")));
            }
            Some(value) => tags.insert(key, value),
            None => tags.remove(&key),
        };
    }
    if tags.len() > TAGS_MAX {
        return Err(CatalogError::parameter(format!("an object can have at most {TAGS_MAX} tags")));
    }
    Ok(())
}

pub(super) fn update_row_security(edit: &mut Edit, relation: &mut Relation, update: RowSecurityUpdate) -> Result<(), CatalogError> {
    let table = relation.name.clone();
    let security = &mut relation.row_security;
    let duplicate = |policy: String| CatalogError::DuplicatePolicy { relation: table.clone(), policy };
    let undefined = |policy: &str| CatalogError::UndefinedPolicy { relation: table.clone(), policy: policy.to_owned() };
    match update {
        RowSecurityUpdate::Enabled(enabled) => security.enabled = enabled,
        RowSecurityUpdate::Forced(forced) => security.forced = forced,
        RowSecurityUpdate::Create(policy) => {
            check_name(ObjectKind::Policy, &policy.name)?;
            if security.policy(&policy.name).is_some() {
                return Err(duplicate(policy.name));
            }
            security.policies.push(Policy { oid: edit.new_oid()?, ..policy });
        }
        RowSecurityUpdate::Drop { name } => {
            security.policy(&name).ok_or_else(|| undefined(&name))?;
            security.policies.retain(|policy| policy.name != name);
        }
        RowSecurityUpdate::Rename { from, to } => {
            check_name(ObjectKind::Policy, &to)?;
            if security.policy(&to).is_some() {
                return Err(duplicate(to));
            }
            let policy = security.policies.iter_mut().find(|policy| policy.name == from).ok_or_else(|| undefined(&from))?;
            policy.name = to;
        }
        RowSecurityUpdate::Alter { name, roles, using, check } => {
            let policy = security.policies.iter_mut().find(|policy| policy.name == name).ok_or_else(|| undefined(&name))?;
            if let Some(roles) = roles {
                policy.roles = roles;
            }
            policy.using = using.or(policy.using.take());
            policy.check = check.or(policy.check.take());
        }
    }
    security.policies.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(())
}

/// What policies and masks are for a role, as a DROP ROLE tells them.
pub(super) fn targets_of_role(snapshot: &Snapshot, role: Oid) -> Vec<String> {
    let mut lines = Vec::new();
    for relation in snapshot.relations() {
        let policies = relation.row_security.policies.iter().filter(|policy| policy.roles.contains(&role));
        lines.extend(policies.map(|policy| format!("target of policy {} on table {}", policy.name, relation.name)));
        let masked = relation.columns.iter().filter(|column| column.mask.as_ref().is_some_and(|mask| mask.roles.contains(&role)));
        lines.extend(
            masked.map(|column| format!("target of the mask of column {} of {} {}", column.name, kind_of(relation), relation.name)),
        );
    }
    for database in snapshot.databases() {
        let policies = database.governance.masking_policies.iter().filter(|policy| policy.mask.roles.contains(&role));
        lines.extend(policies.map(|policy| format!("target of masking policy {}", policy.name)));
    }
    lines
}

/// The policies and masks of a database are not for the role any more; what was for nobody else goes. Source: `RemoveRoleFromObjectPolicy`.
pub(super) fn forget_role(edit: &mut Edit, database: Oid, role: Oid) {
    let without = |roles: &mut Vec<Oid>| {
        let before = roles.len();
        roles.retain(|other| *other != role);
        !roles.is_empty() || before == 0
    };
    let schemas: Vec<Oid> = edit.snapshot.schemas_in_database(database).map(|schema| schema.oid).collect();
    let relations: Vec<Arc<Relation>> =
        schemas.into_iter().flat_map(|schema| edit.snapshot.relations_in_schema(schema).cloned().collect::<Vec<_>>()).collect();
    for relation in relations {
        let mut changed = Relation::clone(&relation);
        changed.row_security.policies.retain_mut(|policy| without(&mut policy.roles));
        for column in &mut changed.columns {
            if column.mask.as_mut().is_some_and(|mask| !without(&mut mask.roles)) {
                column.mask = None;
            }
        }
        if changed != *relation {
            edit.put_relation(changed);
        }
    }
    if let Ok(known) = edit.database(database) {
        let mut changed = Database::clone(&known);
        changed.governance.masking_policies.retain_mut(|policy| without(&mut policy.mask.roles));
        if changed != *known {
            edit.put_database(changed);
        }
    }
}
