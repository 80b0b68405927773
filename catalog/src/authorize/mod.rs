//! Who may open what. The only maker of [`AuthorizedTable`].
//!
//! Pure: a decision is a function of a [`Snapshot`], a [`Principal`] and a name. Default deny.

mod denial;
mod files;
mod own;
mod passed;
mod policies;
mod privileges;
mod visible;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use denial::Denial;
pub use files::{FileAccess, NormalUrl, file_access, normalise_url};
pub(crate) use files::{is_protected, overlap};
pub use own::open_program_table;
pub use policies::{ColumnMask, RowRules, is_governed, row_rules};
pub use privileges::{
    check, has_any_column_privilege, has_column_grant_option, has_column_privilege, has_grant_option, has_privilege, is_owner,
    require_owner,
};
pub use visible::{may_see, visible_databases, visible_relations, visible_schemas};

use crate::error::{CatalogError, ObjectKind};
use crate::model::{ObjectRef, Oid, Privilege, Relation, RelationName};
use crate::snapshot::Snapshot;

/// In whose name a statement runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Principal {
    /// Who logged in (`session_user`).
    pub session_role: Oid,
    /// Whose privileges count (`current_user`): the same until SET ROLE.
    pub current_role: Oid,
}

impl Principal {
    #[must_use]
    pub fn new(role: Oid) -> Principal {
        Principal { session_role: role, current_role: role }
    }

    /// For what stands inside a view: its owner's privileges count, whoever asks.
    #[must_use]
    pub fn for_owner(owner: Oid) -> Principal {
        Principal::new(owner)
    }
}

/// What a statement does to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Access {
    pub select: bool,
    pub insert: bool,
    pub update: bool,
    pub delete: bool,
    pub truncate: bool,
}

impl Access {
    pub const SELECT: Access = Access { select: true, insert: false, update: false, delete: false, truncate: false };
    pub const INSERT: Access = Access { insert: true, select: false, update: false, delete: false, truncate: false };

    fn privileges(self) -> impl Iterator<Item = Privilege> {
        [
            (self.select, Privilege::Select),
            (self.insert, Privilege::Insert),
            (self.update, Privilege::Update),
            (self.delete, Privilege::Delete),
            (self.truncate, Privilege::Truncate),
        ]
        .into_iter()
        .filter_map(|(asked, privilege)| asked.then_some(privilege))
    }

    /// What either does.
    #[must_use]
    pub fn and(self, other: Access) -> Access {
        Access {
            select: self.select || other.select,
            insert: self.insert || other.insert,
            update: self.update || other.update,
            delete: self.delete || other.delete,
            truncate: self.truncate || other.truncate,
        }
    }

    #[must_use]
    pub fn writes(self) -> bool {
        self.insert || self.update || self.delete || self.truncate
    }
}

/// Proof that a role may open a table in a statement, and how: an engine opens nothing without one.
#[derive(Debug, Clone)]
pub struct AuthorizedTable {
    name: RelationName,
    relation: Arc<Relation>,
    access: Access,
    row_rules: Option<RowRules>,
    masks: Vec<ColumnMask>,
    visible_columns: Option<Vec<String>>,
}

impl AuthorizedTable {
    #[must_use]
    pub fn name(&self) -> &RelationName {
        &self.name
    }

    #[must_use]
    pub fn relation(&self) -> &Arc<Relation> {
        &self.relation
    }

    /// What was asked for and granted.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }

    /// Which rows the role may see and make; `None`: all.
    #[must_use]
    pub fn row_rules(&self) -> Option<&RowRules> {
        self.row_rules.as_ref()
    }

    /// What the role sees in the place of columns.
    #[must_use]
    pub fn masks(&self) -> &[ColumnMask] {
        &self.masks
    }

    /// There are rows or values that the role may not see.
    #[must_use]
    pub fn is_policed(&self) -> bool {
        self.row_rules.is_some() || !self.masks.is_empty()
    }

    /// The columns that may be read, where SELECT was asked for and granted on some alone; `None`: all.
    #[must_use]
    pub fn visible_columns(&self) -> Option<&[String]> {
        self.visible_columns.as_deref()
    }
}

/// Proof that a role may read a view.
#[derive(Debug, Clone)]
pub struct AuthorizedView {
    name: RelationName,
    relation: Arc<Relation>,
    runs_as: Option<Oid>,
    masks: Vec<ColumnMask>,
    visible_columns: Option<Vec<String>>,
}

impl AuthorizedView {
    #[must_use]
    pub fn name(&self) -> &RelationName {
        &self.name
    }

    #[must_use]
    pub fn relation(&self) -> &Arc<Relation> {
        &self.relation
    }

    /// What stands inside the view is checked with this role's privileges ([`Principal::for_owner`]); `None`: with those of who asks.
    #[must_use]
    pub fn runs_as(&self) -> Option<Oid> {
        self.runs_as
    }

    /// As [`AuthorizedTable::masks`]: those of its own columns, over what the view gives.
    #[must_use]
    pub fn masks(&self) -> &[ColumnMask] {
        &self.masks
    }

    /// As [`AuthorizedTable::visible_columns`].
    #[must_use]
    pub fn visible_columns(&self) -> Option<&[String]> {
        self.visible_columns.as_deref()
    }
}

/// The columns that a change names, where it does not concern all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnsChanged {
    /// Read of the changed table by conditions, values and RETURNING; `None`: all.
    pub read: Option<BTreeSet<String>>,
    pub inserted: Option<BTreeSet<String>>,
    pub updated: Option<BTreeSet<String>>,
}

/// Checks USAGE on the schema, then each privilege that `access` needs on the table, in PostgreSQL's order. With an access
/// that asks for nothing (`EXPLAIN` of a constant relation, `SELECT FROM`), SELECT is needed.
///
/// # Errors
/// [`CatalogError::Undefined`] for a name that is not there, [`CatalogError::InsufficientPrivilege`],
/// [`CatalogError::WrongObjectType`] for a view.
pub fn open_table(
    snapshot: &Snapshot,
    principal: &Principal,
    name: &RelationName,
    access: Access,
) -> Result<AuthorizedTable, CatalogError> {
    let access = if access == Access::default() { Access::SELECT } else { access };
    let relation = find_table(snapshot, principal, name)?;
    let mut visible_columns = None;
    for privilege in access.privileges() {
        match privilege {
            Privilege::Select => visible_columns = readable_columns(snapshot, principal, relation)?,
            Privilege::Insert | Privilege::Update => check_columns(snapshot, principal, relation, privilege, None)?,
            _ => check(snapshot, principal, ObjectRef::Relation(relation.oid), privilege)?,
        }
    }
    Ok(AuthorizedTable {
        name: name.clone(),
        relation: relation.clone(),
        access,
        row_rules: row_rules(snapshot, principal.current_role, relation),
        masks: policies::masks(snapshot, principal.current_role, relation),
        visible_columns,
    })
}

/// As [`open_table`] for a statement that changes the table and says which columns.
///
/// # Errors
/// As [`open_table`].
pub fn open_changed_table(
    snapshot: &Snapshot,
    principal: &Principal,
    name: &RelationName,
    access: Access,
    columns: &ColumnsChanged,
) -> Result<AuthorizedTable, CatalogError> {
    let relation = find_table(snapshot, principal, name)?;
    for privilege in access.privileges() {
        let named = match privilege {
            Privilege::Select => &columns.read,
            Privilege::Insert => &columns.inserted,
            Privilege::Update => &columns.updated,
            _ => {
                check(snapshot, principal, ObjectRef::Relation(relation.oid), privilege)?;
                continue;
            }
        };
        check_columns(snapshot, principal, relation, privilege, named.as_ref())?;
    }
    let visible_columns = if access.select { readable_columns(snapshot, principal, relation)? } else { None };
    Ok(AuthorizedTable {
        name: name.clone(),
        relation: relation.clone(),
        access,
        row_rules: row_rules(snapshot, principal.current_role, relation),
        masks: policies::masks(snapshot, principal.current_role, relation),
        visible_columns,
    })
}

fn find_table<'s>(snapshot: &'s Snapshot, principal: &Principal, name: &RelationName) -> Result<&'s Arc<Relation>, CatalogError> {
    let relation = find(snapshot, principal, name)?;
    if relation.is_stored() {
        return Ok(relation);
    }
    Err(CatalogError::WrongObjectType { name: name.name.clone(), expected: ObjectKind::Table })
}

/// `None`: SELECT on the relation. What a statement reads of the others is seen when it is planned.
fn readable_columns(snapshot: &Snapshot, principal: &Principal, relation: &Relation) -> Result<Option<Vec<String>>, CatalogError> {
    let object = ObjectRef::Relation(relation.oid);
    if has_privilege(snapshot, principal.current_role, object, Privilege::Select) {
        return Ok(None);
    }
    let columns = privileges::granted_columns(snapshot, principal.current_role, relation, Privilege::Select);
    if columns.is_empty() { check(snapshot, principal, object, Privilege::Select).map(|()| None) } else { Ok(Some(columns)) }
}

/// On the relation, or on each of the columns; where none is named, on any. Source: `ExecCheckRTEPerms` of PostgreSQL.
fn check_columns(
    snapshot: &Snapshot,
    principal: &Principal,
    relation: &Relation,
    privilege: Privilege,
    named: Option<&BTreeSet<String>>,
) -> Result<(), CatalogError> {
    let (role, object) = (principal.current_role, ObjectRef::Relation(relation.oid));
    if has_privilege(snapshot, role, object, privilege) {
        return Ok(());
    }
    let granted = privileges::granted_columns(snapshot, role, relation, privilege);
    let is_granted = |name: &String| granted.contains(name);
    let enough = match named {
        Some(named) if named.is_empty() => !granted.is_empty(),
        // Names that are none of its columns are told where the statement is planned.
        Some(named) => !granted.is_empty() && named.iter().filter(|name| relation.column(name).is_some()).all(is_granted),
        None => !granted.is_empty() && relation.columns.iter().all(|column| is_granted(&column.name)),
    };
    if enough { Ok(()) } else { check(snapshot, principal, object, privilege) }
}

/// For ALTER TABLE and REFRESH: what the owner, and nobody else, may do with the table.
///
/// # Errors
/// As [`open_table`]; [`CatalogError::MustBeOwner`].
pub fn open_own_table(snapshot: &Snapshot, principal: &Principal, name: &RelationName) -> Result<AuthorizedTable, CatalogError> {
    let relation = find(snapshot, principal, name)?;
    if !relation.is_stored() {
        return Err(CatalogError::WrongObjectType { name: name.name.clone(), expected: ObjectKind::Table });
    }
    require_owner(snapshot, principal, ObjectRef::Relation(relation.oid))?;
    Ok(AuthorizedTable {
        name: name.clone(),
        relation: relation.clone(),
        access: Access { select: true, insert: true, update: true, delete: true, truncate: true },
        row_rules: None,
        masks: Vec::new(),
        visible_columns: None,
    })
}

/// SELECT on a view.
///
/// # Errors
/// As [`open_table`]; [`CatalogError::WrongObjectType`] for a table.
pub fn open_view(snapshot: &Snapshot, principal: &Principal, name: &RelationName) -> Result<AuthorizedView, CatalogError> {
    let relation = find(snapshot, principal, name)?;
    if !relation.is_view() {
        return Err(CatalogError::WrongObjectType { name: name.name.clone(), expected: ObjectKind::View });
    }
    let visible_columns = readable_columns(snapshot, principal, relation)?;
    let runs_as = (!relation.is_security_invoker()).then_some(relation.owner);
    let masks = policies::masks(snapshot, principal.current_role, relation);
    Ok(AuthorizedView { name: name.clone(), relation: relation.clone(), runs_as, masks, visible_columns })
}

/// Resolves a name; the schema's USAGE is checked before the relation's existence is told.
fn find<'s>(snapshot: &'s Snapshot, principal: &Principal, name: &RelationName) -> Result<&'s Arc<Relation>, CatalogError> {
    let missing = || CatalogError::Undefined { kind: ObjectKind::Relation, name: format!("{}.{}", name.schema, name.name) };
    let database = snapshot.require_database(&name.database)?;
    let schema = snapshot.schema(database.oid, &name.schema).ok_or_else(missing)?;
    check(snapshot, principal, ObjectRef::Schema(schema.oid), Privilege::Usage)?;
    snapshot.relation(schema.oid, &name.name).ok_or_else(missing)
}
