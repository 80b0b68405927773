//! Tables and views. Source: `src/backend/commands/tablecmds.c` and `view.c` of PostgreSQL 15.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::database::check_new_owner;
use super::edit::Edit;
use super::governance::{RowSecurityUpdate, TagChanges, set_mask, set_relation_tags, update_row_security};
use super::related::{drop_belongings, drop_elsewhere, rename_elsewhere, rename_referenced};
use super::schema::check_not_system;
use super::{check_name, default_acl, undefined_oid};
use crate::authorize::{Principal, check, is_owner, normalise_url, require_owner};
use crate::catalog::Catalog;
use crate::error::{CatalogError, ObjectKind};
use crate::governance::{Mask, PolicyExpression, RowSecurity, Tags};
use crate::model::{
    Column, Constraint, ConstraintKind, DefaultAclKind, Identity, Index, ObjectRef, Oid, PgType, Privilege, Relation, RelationKind,
    Sequence,
};
use crate::snapshot::kind_of;

/// A relation to be registered. Whether the role may use an external `location` is checked before, with
/// [`file_access`](crate::authorize::file_access).
#[derive(Debug, Clone)]
pub struct NewRelation {
    /// From [`Catalog::reserve_oid`]; `None`: a fresh one.
    pub oid: Option<Oid>,
    pub schema: Oid,
    pub name: String,
    pub kind: RelationKind,
    /// Empty for a view.
    pub location: String,
    pub columns: Vec<Column>,
    pub partition_columns: Vec<String>,
    pub constraints: Vec<NewConstraint>,
    /// The query of a view.
    pub definition: Option<String>,
    pub comment: Option<String>,
    pub properties: BTreeMap<String, String>,
    pub sequence: Option<Sequence>,
}

impl NewRelation {
    /// One without columns.
    #[must_use]
    pub fn new(schema: Oid, name: impl Into<String>, kind: RelationKind) -> NewRelation {
        NewRelation {
            oid: None,
            schema,
            name: name.into(),
            kind,
            location: String::new(),
            columns: Vec::new(),
            partition_columns: Vec::new(),
            constraints: Vec::new(),
            definition: None,
            comment: None,
            properties: BTreeMap::new(),
            sequence: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConstraint {
    /// `None`: named as PostgreSQL does (`t_pkey`, `t_a_key`, `t_check`).
    pub name: Option<String>,
    pub kind: ConstraintKind,
}

/// What ALTER TABLE changes besides name, schema and owner.
#[derive(Debug, Clone, PartialEq)]
pub enum RelationUpdate {
    AddColumns(Vec<Column>),
    DropColumn {
        name: String,
    },
    /// CHECK expressions and defaults that name the column are text: the caller hands them in anew.
    RenameColumn {
        from: String,
        to: String,
    },
    SetNotNull {
        column: String,
        not_null: bool,
    },
    SetDefault {
        column: String,
        default: Option<String>,
    },
    /// `None` resets.
    SetProperties(BTreeMap<String, Option<String>>),
    AddConstraint(NewConstraint),
    DropConstraint {
        name: String,
    },
    RenameConstraint {
        from: String,
        to: String,
    },
    /// The text of a CHECK in other names.
    SetCheck {
        name: String,
        expression: String,
    },
    SetType {
        column: String,
        data_type: PgType,
    },
    SetIdentity {
        column: String,
        identity: Option<Identity>,
    },
    SetGenerated {
        column: String,
        generated: Option<String>,
    },
    /// Its OID is given to it.
    AddIndex(Index),
    DropIndex {
        name: String,
    },
    RenameIndex {
        from: String,
        to: String,
    },
    SetSequence(Sequence),
    /// Of a materialized view made anew.
    SetLocation(String),
    /// Of the relation, or of one of its columns.
    SetTags {
        column: Option<String>,
        changes: TagChanges,
    },
    RowSecurity(RowSecurityUpdate),
    SetMask {
        column: String,
        mask: Option<Mask>,
    },
    /// The text of a mask in other names.
    SetMaskExpression {
        column: String,
        expression: PolicyExpression,
    },
}

/// One of several changes that are made together.
#[derive(Debug, Clone)]
pub enum RelationChange {
    Create(Box<NewRelation>),
    /// By its owner.
    Update {
        relation: Oid,
        updates: Vec<RelationUpdate>,
    },
    /// Of something that belongs to, or depends on, what else is changed: whoever owns it.
    UpdateDependent {
        relation: Oid,
        updates: Vec<RelationUpdate>,
    },
    Drop(Oid),
    DropDependent(Oid),
}

impl Catalog {
    /// All of the changes or none; gives the relations that went.
    ///
    /// # Errors
    /// As the changes one by one.
    pub async fn change_relations(&self, principal: &Principal, changes: Vec<RelationChange>) -> Result<Vec<Arc<Relation>>, CatalogError> {
        let principal = *principal;
        self.change(move |edit| {
            let mut dropped = Vec::new();
            for change in changes {
                match change {
                    RelationChange::Create(new) => {
                        add_relation(edit, &principal, *new)?;
                    }
                    RelationChange::Update { relation, updates } => {
                        require_owner(&edit.snapshot, &principal, ObjectRef::Relation(relation))?;
                        update_relation(edit, relation, updates)?;
                    }
                    RelationChange::UpdateDependent { relation, updates } => {
                        update_relation(edit, relation, updates)?;
                    }
                    RelationChange::Drop(oid) => {
                        let relation = edit.relation(oid)?;
                        if !is_owner(&edit.snapshot, principal.current_role, ObjectRef::Schema(relation.schema)) {
                            require_owner(&edit.snapshot, &principal, ObjectRef::Relation(oid))?;
                        }
                        drop_with_belongings(edit, relation, &mut dropped);
                    }
                    RelationChange::DropDependent(oid) => {
                        if let Ok(relation) = edit.relation(oid) {
                            drop_with_belongings(edit, relation, &mut dropped);
                        }
                    }
                }
            }
            Ok(dropped)
        })
        .await
    }

    /// Registers a table or view; the principal's current role owns it.
    ///
    /// # Errors
    /// [`CatalogError::InsufficientPrivilege`] without CREATE on the schema, [`CatalogError::Duplicate`],
    /// [`CatalogError::ObjectInUse`] where the location belongs to another table.
    pub async fn create_relation(&self, principal: &Principal, new: NewRelation) -> Result<Arc<Relation>, CatalogError> {
        let principal = *principal;
        self.change(move |edit| add_relation(edit, &principal, new)).await
    }

    /// CREATE OR REPLACE VIEW over an existing view: columns may only be added at the end.
    ///
    /// # Errors
    /// [`CatalogError::MustBeOwner`], [`CatalogError::WrongObjectType`], [`CatalogError::InvalidDefinition`].
    pub async fn replace_view(
        &self,
        principal: &Principal,
        view: Oid,
        columns: Vec<Column>,
        definition: String,
    ) -> Result<Arc<Relation>, CatalogError> {
        let principal = *principal;
        self.change(move |edit| {
            let mut changed = Relation::clone(&*edit.relation(view)?);
            if !changed.is_view() {
                return Err(CatalogError::WrongObjectType { name: changed.name, expected: ObjectKind::View });
            }
            require_owner(&edit.snapshot, &principal, ObjectRef::Relation(view))?;
            check_columns(&columns)?;
            check_view_columns(&changed.columns, &columns)?;
            let old = std::mem::replace(&mut changed.columns, columns);
            for (column, old) in changed.columns.iter_mut().zip(old) {
                column.acl = old.acl;
                column.tags = old.tags;
            }
            changed.definition = Some(definition);
            Ok(edit.put_relation(changed))
        })
        .await
    }

    /// DROP TABLE, DROP VIEW: all or none. The dropped relations are returned, for their files. Views over them are found by
    /// the gateway, which can read their queries.
    ///
    /// # Errors
    /// [`CatalogError::MustBeOwner`], [`CatalogError::Undefined`].
    pub async fn drop_relations(&self, principal: &Principal, relations: &[Oid]) -> Result<Vec<Arc<Relation>>, CatalogError> {
        let (principal, relations) = (*principal, relations.to_vec());
        self.change(move |edit| {
            let mut dropped = Vec::with_capacity(relations.len());
            for oid in relations {
                let relation = edit.relation(oid)?;
                let of_schema = is_owner(&edit.snapshot, principal.current_role, ObjectRef::Schema(relation.schema));
                if !of_schema {
                    require_owner(&edit.snapshot, &principal, ObjectRef::Relation(oid))?;
                }
                edit.drop_relation(oid);
                dropped.push(relation);
            }
            for relation in dropped.clone() {
                drop_belongings(edit, &relation, &mut dropped);
            }
            Ok(dropped)
        })
        .await
    }

    /// ALTER TABLE … RENAME TO.
    ///
    /// # Errors
    /// [`CatalogError::MustBeOwner`], [`CatalogError::InsufficientPrivilege`] without CREATE on the schema,
    /// [`CatalogError::Duplicate`].
    pub async fn rename_relation(&self, principal: &Principal, relation: Oid, new_name: &str) -> Result<Arc<Relation>, CatalogError> {
        let (principal, new_name) = (*principal, new_name.to_owned());
        self.change(move |edit| {
            let mut renamed = Relation::clone(&*edit.relation(relation)?);
            require_owner(&edit.snapshot, &principal, ObjectRef::Relation(relation))?;
            check(&edit.snapshot, &principal, ObjectRef::Schema(renamed.schema), Privilege::Create)?;
            check_relation_name(edit, renamed.schema, &new_name)?;
            renamed.name = new_name;
            Ok(edit.put_relation(renamed))
        })
        .await
    }

    /// ALTER TABLE … SET SCHEMA, within the database.
    ///
    /// # Errors
    /// [`CatalogError::MustBeOwner`], [`CatalogError::InsufficientPrivilege`] without CREATE on the new schema,
    /// [`CatalogError::Duplicate`].
    pub async fn set_relation_schema(&self, principal: &Principal, relation: Oid, schema: Oid) -> Result<Arc<Relation>, CatalogError> {
        let principal = *principal;
        self.change(move |edit| {
            let mut moved = Relation::clone(&*edit.relation(relation)?);
            require_owner(&edit.snapshot, &principal, ObjectRef::Relation(relation))?;
            let (from, to) = (edit.schema(moved.schema)?, edit.schema(schema)?);
            if from.database != to.database {
                return Err(CatalogError::parameter("a table cannot be moved to another database"));
            }
            check(&edit.snapshot, &principal, ObjectRef::Schema(schema), Privilege::Create)?;
            if moved.schema == schema {
                return edit.relation(relation);
            }
            check_relation_name(edit, schema, &moved.name)?;
            moved.schema = schema;
            Ok(edit.put_relation(moved))
        })
        .await
    }

    /// ALTER TABLE … OWNER TO.
    ///
    /// # Errors
    /// [`CatalogError::MustBeOwner`], [`CatalogError::Forbidden`], [`CatalogError::InsufficientPrivilege`] where the new owner
    /// may not create in the schema.
    pub async fn change_relation_owner(&self, principal: &Principal, relation: Oid, owner: Oid) -> Result<Arc<Relation>, CatalogError> {
        let principal = *principal;
        self.change(move |edit| {
            let mut changed = Relation::clone(&*edit.relation(relation)?);
            let object = ObjectRef::Relation(relation);
            require_owner(&edit.snapshot, &principal, object)?;
            check_new_owner(edit, &principal, owner)?;
            if !edit.snapshot.is_superuser(principal.current_role) {
                check(&edit.snapshot, &Principal::new(owner), ObjectRef::Schema(changed.schema), Privilege::Create)?;
            }
            edit.change_acl_owner(object, changed.owner, owner);
            changed.change_owner(owner);
            Ok(edit.put_relation(changed))
        })
        .await
    }

    /// ALTER TABLE: all updates or none.
    ///
    /// # Errors
    /// [`CatalogError::MustBeOwner`]; what is wrong with the update.
    pub async fn update_relation(
        &self,
        principal: &Principal,
        relation: Oid,
        updates: Vec<RelationUpdate>,
    ) -> Result<Arc<Relation>, CatalogError> {
        let principal = *principal;
        self.change(move |edit| {
            require_owner(&edit.snapshot, &principal, ObjectRef::Relation(relation))?;
            update_relation(edit, relation, updates)
        })
        .await
    }

    /// The columns as the Delta log has them now, after another system changed the table. Comments and defaults of columns that
    /// stay are kept. No privilege is needed: nothing is changed that the table itself does not say.
    ///
    /// # Errors
    /// [`CatalogError::Undefined`].
    pub async fn refresh_columns(
        &self,
        relation: Oid,
        columns: Vec<Column>,
        partition_columns: Vec<String>,
    ) -> Result<Arc<Relation>, CatalogError> {
        self.change(move |edit| {
            let mut changed = Relation::clone(&*edit.relation(relation)?);
            let old = std::mem::take(&mut changed.columns);
            changed.columns = columns
                .into_iter()
                .map(|mut column| {
                    if let Some(kept) = old.iter().find(|kept| kept.name == column.name) {
                        column.comment = column.comment.or_else(|| kept.comment.clone());
                        column.default = column.default.or_else(|| kept.default.clone());
                        column.tags.clone_from(&kept.tags);
                        column.mask.clone_from(&kept.mask);
                        column.acl = kept.acl.clone();
                    }
                    column
                })
                .collect();
            changed.partition_columns = partition_columns;
            Ok(edit.put_relation(changed))
        })
        .await
    }
}

fn update_relation(edit: &mut Edit, relation: Oid, updates: Vec<RelationUpdate>) -> Result<Arc<Relation>, CatalogError> {
    let mut changed = Relation::clone(&*edit.relation(relation)?);
    for update in updates {
        apply(edit, &mut changed, update)?;
    }
    Ok(edit.put_relation(changed))
}

fn drop_with_belongings(edit: &mut Edit, relation: Arc<Relation>, dropped: &mut Vec<Arc<Relation>>) {
    edit.drop_relation(relation.oid);
    drop_belongings(edit, &relation, dropped);
    dropped.push(relation);
}

fn add_relation(edit: &mut Edit, principal: &Principal, new: NewRelation) -> Result<Arc<Relation>, CatalogError> {
    let schema = edit.schema(new.schema)?;
    check_not_system(edit, schema.database)?;
    check(&edit.snapshot, principal, ObjectRef::Schema(new.schema), Privilege::Create)?;
    check_relation_name(edit, new.schema, &new.name)?;
    check_columns(&new.columns)?;
    check_location(edit, &new)?;
    let oid = match new.oid {
        Some(oid) if edit.snapshot.relation_by_oid(oid).is_some() || oid >= edit.next_oid => {
            return Err(undefined_oid(ObjectKind::Relation, oid));
        }
        Some(oid) => oid,
        None => edit.new_oid()?,
    };
    let mut relation = Relation {
        oid,
        type_oid: edit.new_oid()?,
        schema: new.schema,
        name: new.name,
        owner: principal.current_role,
        kind: new.kind,
        location: new.location,
        columns: new.columns,
        partition_columns: new.partition_columns,
        constraints: Vec::new(),
        definition: new.definition,
        comment: new.comment,
        properties: new.properties,
        indexes: Vec::new(),
        sequence: new.sequence,
        tags: Tags::new(),
        row_security: RowSecurity::default(),
    };
    for name in &relation.partition_columns {
        require_column(&relation, name)?;
    }
    for constraint in new.constraints {
        add_constraint(edit, &mut relation, constraint)?;
    }
    let relation = edit.put_relation(relation);
    let kind = if relation.sequence.is_some() { DefaultAclKind::Sequences } else { DefaultAclKind::Tables };
    default_acl::give(edit, ObjectRef::Relation(relation.oid), kind, (schema.database, schema.oid, relation.owner));
    Ok(relation)
}

fn apply(edit: &mut Edit, relation: &mut Relation, update: RelationUpdate) -> Result<(), CatalogError> {
    match update {
        RelationUpdate::AddColumns(columns) => {
            for column in columns {
                check_name(ObjectKind::Column, &column.name)?;
                if relation.column(&column.name).is_some() {
                    return Err(CatalogError::DuplicateColumn { relation: relation.name.clone(), column: column.name });
                }
                relation.columns.push(column);
            }
        }
        RelationUpdate::DropColumn { name } => {
            let position = require_column(relation, &name)?;
            if relation.partition_columns.contains(&name) {
                return Err(CatalogError::InvalidDefinition { message: format!("cannot drop partition column \"{name}\"") });
            }
            relation.columns.remove(position);
            relation.row_security.former_columns.insert(name.clone());
            relation.constraints.retain(|constraint| !constraint.kind.columns().contains(&name));
            relation.indexes.retain(|index| !index.columns.iter().any(|column| column.name == name));
            drop_elsewhere(edit, relation.oid, &name);
        }
        RelationUpdate::RenameColumn { from, to } => {
            rename_column(relation, &from, &to)?;
            rename_elsewhere(edit, relation.oid, &from, &to);
        }
        RelationUpdate::SetCheck { name, expression } => {
            require_constraint(relation, &name)?;
            for constraint in relation.constraints.iter_mut().filter(|constraint| constraint.name == name) {
                constraint.kind = ConstraintKind::Check(expression.clone());
            }
        }
        RelationUpdate::SetType { column, data_type } => column_mut(relation, &column)?.data_type = data_type,
        RelationUpdate::SetIdentity { column, identity } => column_mut(relation, &column)?.identity = identity,
        RelationUpdate::SetGenerated { column, generated } => column_mut(relation, &column)?.generated = generated,
        RelationUpdate::AddIndex(mut index) => {
            check_index_name(edit, relation, &index.name)?;
            for column in &index.columns {
                require_column(relation, &column.name)?;
            }
            index.oid = edit.new_oid()?;
            relation.indexes.push(index);
        }
        RelationUpdate::DropIndex { name } => relation.indexes.retain(|index| index.name != name),
        RelationUpdate::RenameIndex { from, to } => {
            check_index_name(edit, relation, &to)?;
            for index in relation.indexes.iter_mut().filter(|index| index.name == from) {
                index.name.clone_from(&to);
            }
            for key in relation.constraints.iter_mut().filter(|key| key.kind.is_index() && key.name == from) {
                key.name.clone_from(&to);
            }
        }
        RelationUpdate::SetSequence(sequence) => relation.sequence = Some(sequence),
        RelationUpdate::SetLocation(location) => relation.location = location,
        RelationUpdate::SetTags { column, changes } => set_relation_tags(relation, column.as_deref(), changes)?,
        RelationUpdate::RowSecurity(update) => update_row_security(edit, relation, update)?,
        RelationUpdate::SetMask { column, mask } => set_mask(relation, &column, mask)?,
        RelationUpdate::SetMaskExpression { column, expression } => {
            if let Some(mask) = &mut column_mut(relation, &column)?.mask {
                mask.expression = expression;
            }
        }
        RelationUpdate::SetNotNull { column, not_null } => column_mut(relation, &column)?.not_null = not_null,
        RelationUpdate::SetDefault { column, default } => column_mut(relation, &column)?.default = default,
        RelationUpdate::SetProperties(properties) => {
            for (key, value) in properties {
                match value {
                    Some(value) => relation.properties.insert(key, value),
                    None => relation.properties.remove(&key),
                };
            }
        }
        RelationUpdate::AddConstraint(constraint) => add_constraint(edit, relation, constraint)?,
        RelationUpdate::DropConstraint { name } => {
            require_constraint(relation, &name)?;
            relation.constraints.retain(|constraint| constraint.name != name);
        }
        RelationUpdate::RenameConstraint { from, to } => {
            require_constraint(relation, &from)?;
            check_name(ObjectKind::Constraint, &to)?;
            if relation.constraints.iter().any(|constraint| constraint.name == to) {
                return Err(CatalogError::DuplicateConstraint { relation: relation.name.clone(), constraint: to });
            }
            for constraint in relation.constraints.iter_mut().filter(|constraint| constraint.name == from) {
                constraint.name.clone_from(&to);
            }
        }
    }
    Ok(())
}

fn rename_column(relation: &mut Relation, from: &str, to: &str) -> Result<(), CatalogError> {
    check_name(ObjectKind::Column, to)?;
    let position = require_column(relation, from)?;
    if relation.column(to).is_some() {
        return Err(CatalogError::DuplicateColumn { relation: relation.name.clone(), column: to.to_owned() });
    }
    let table = relation.oid;
    let lists = relation.constraints.iter_mut().filter_map(|constraint| constraint.kind.columns_mut());
    for name in lists.chain([&mut relation.partition_columns]).flatten().filter(|name| *name == from) {
        to.clone_into(name);
    }
    relation.constraints.iter_mut().for_each(|constraint| rename_referenced(&mut constraint.kind, table, from, to));
    for column in relation.indexes.iter_mut().flat_map(|index| &mut index.columns).filter(|column| column.name == from) {
        to.clone_into(&mut column.name);
    }
    if let Some(column) = relation.columns.get_mut(position) {
        to.clone_into(&mut column.name);
    }
    relation.row_security.former_columns.insert(from.to_owned());
    Ok(())
}

/// Indexes and keys share their names with the schema's relations.
fn check_index_name(edit: &Edit, table: &Relation, name: &str) -> Result<(), CatalogError> {
    check_relation_name(edit, table.schema, name)?;
    let has = |relation: &Relation| {
        relation.indexes.iter().any(|index| index.name == name)
            || relation.constraints.iter().any(|key| key.kind.is_index() && key.name == name)
    };
    if has(table) || edit.snapshot.relations_in_schema(table.schema).any(|relation| has(relation)) {
        return Err(CatalogError::Duplicate { kind: ObjectKind::Relation, name: name.to_owned() });
    }
    Ok(())
}

fn add_constraint(edit: &mut Edit, relation: &mut Relation, new: NewConstraint) -> Result<(), CatalogError> {
    for name in new.kind.columns() {
        require_column(relation, name)?;
    }
    let one_key = |constraint: &Constraint| matches!(constraint.kind, ConstraintKind::PrimaryKey(_));
    if matches!(new.kind, ConstraintKind::PrimaryKey(_)) && relation.constraints.iter().any(one_key) {
        return Err(CatalogError::InvalidDefinition {
            message: format!("multiple primary keys for table \"{}\" are not allowed", relation.name),
        });
    }
    let taken: BTreeSet<&str> = relation.constraints.iter().map(|constraint| constraint.name.as_str()).collect();
    let name = match new.name {
        Some(name) if taken.contains(name.as_str()) => {
            return Err(CatalogError::DuplicateConstraint { relation: relation.name.clone(), constraint: name });
        }
        Some(name) => name,
        None => free_name(&default_constraint_name(&relation.name, &new.kind), &taken),
    };
    check_name(ObjectKind::Constraint, &name)?;
    relation.constraints.push(Constraint { oid: edit.new_oid()?, name, kind: new.kind });
    Ok(())
}

/// Source: `ChooseIndexName`, `ChooseConstraintName`.
fn default_constraint_name(table: &str, kind: &ConstraintKind) -> String {
    match kind {
        ConstraintKind::PrimaryKey(_) => shortened(table, "_pkey"),
        ConstraintKind::Unique(columns) => shortened(table, &format!("_{}_key", shorten(&columns.join("_"), 28))),
        ConstraintKind::ForeignKey(key) => shortened(table, &format!("_{}_fkey", shorten(&key.columns.join("_"), 28))),
        ConstraintKind::Check(_) => shortened(table, "_check"),
    }
}

fn shortened(table: &str, suffix: &str) -> String {
    format!("{}{suffix}", shorten(table, super::NAME_BYTES_MAX - 4 - suffix.len()))
}

fn shorten(text: &str, bytes_max: usize) -> &str {
    text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= bytes_max).last().map_or("", |end| &text[..end])
}

fn free_name(base: &str, taken: &BTreeSet<&str>) -> String {
    if !taken.contains(base) {
        return base.to_owned();
    }
    (1_u32..).map(|n| format!("{base}{n}")).find(|name| !taken.contains(name.as_str())).unwrap_or_else(|| base.to_owned())
}

/// Source: `checkViewTupleDesc`.
fn check_view_columns(old: &[Column], new: &[Column]) -> Result<(), CatalogError> {
    let refuse = |message: String| Err(CatalogError::InvalidDefinition { message });
    if new.len() < old.len() {
        return refuse("cannot drop columns from view".to_owned());
    }
    for (before, after) in old.iter().zip(new) {
        if before.name != after.name {
            return refuse(format!("cannot change name of view column \"{}\" to \"{}\"", before.name, after.name));
        }
        if before.data_type != after.data_type {
            return refuse(format!("cannot change data type of view column \"{}\"", before.name));
        }
    }
    Ok(())
}

fn check_columns(columns: &[Column]) -> Result<(), CatalogError> {
    let mut seen = BTreeSet::new();
    for column in columns {
        // Delta tables of other systems have longer names than PostgreSQL allows, so only the impossible ones are refused.
        if column.name.is_empty() || column.name.contains('\0') {
            return Err(CatalogError::InvalidName { kind: ObjectKind::Column, name: column.name.replace('\0', "") });
        }
        if !seen.insert(column.name.as_str()) {
            return Err(CatalogError::Duplicate { kind: ObjectKind::Column, name: column.name.clone() });
        }
    }
    Ok(())
}

fn check_relation_name(edit: &Edit, schema: Oid, name: &str) -> Result<(), CatalogError> {
    check_name(ObjectKind::Relation, name)?;
    if edit.snapshot.relation(schema, name).is_some() {
        return Err(CatalogError::Duplicate { kind: ObjectKind::Relation, name: name.to_owned() });
    }
    Ok(())
}

/// The files of a managed table belong to it alone.
fn check_location(edit: &Edit, new: &NewRelation) -> Result<(), CatalogError> {
    if matches!(new.kind, RelationKind::View | RelationKind::Sequence) {
        return Ok(());
    }
    let location = normalise_url(&new.location)?;
    let managed = |other: &&Arc<Relation>| new.kind != RelationKind::ExternalTable || other.owns_files();
    let taken = edit.snapshot.relations_around(&location).find(managed);
    match taken {
        Some(other) => Err(CatalogError::ObjectInUse { message: format!("the location belongs to {} \"{}\"", kind_of(other), other.name) }),
        None => Ok(()),
    }
}

fn require_column(relation: &Relation, name: &str) -> Result<usize, CatalogError> {
    let missing = || CatalogError::UndefinedColumn { relation: relation.name.clone(), column: name.to_owned() };
    relation.column(name).map(|(position, _)| position).ok_or_else(missing)
}

pub(super) fn column_mut<'r>(relation: &'r mut Relation, name: &str) -> Result<&'r mut Column, CatalogError> {
    let position = require_column(relation, name)?;
    relation.columns.get_mut(position).ok_or_else(|| CatalogError::internal("column position"))
}

fn require_constraint(relation: &Relation, name: &str) -> Result<(), CatalogError> {
    if relation.constraints.iter().any(|constraint| constraint.name == name) {
        return Ok(());
    }
    Err(CatalogError::UndefinedConstraint { relation: relation.name.clone(), constraint: name.to_owned() })
}
