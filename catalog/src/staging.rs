//! Changes of the catalog that one transaction has made: it sees them on top of what is stored, nobody else does before its commit.
//!
//! What is staged is the list of [`Write`]s. It is laid over the newest stored state whenever that moves, so a transaction sees at once
//! what others commit, as PostgreSQL's catalog scans do. Where others changed an object that the transaction changed too, or took a name
//! that it gave, it cannot follow them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::authorize::{NormalUrl, normalise_url, overlap};
use crate::ddl::{Edit, Write, dependents_of_role};
use crate::error::{CatalogError, ObjectKind};
use crate::model::{Membership, Oid, Relation, RelationKind};
use crate::snapshot::Snapshot;

/// Versions of pictures with staged changes: no stored version is ever as high, and none is given twice, so that what was planned over
/// one of them is never taken for something else.
static PICTURES: AtomicU64 = AtomicU64::new(1 << 63);

/// The staged changes of one transaction.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    /// Held by a change from its look at the picture until it is part of it.
    pub(crate) turn: tokio::sync::Mutex<()>,
    staged: Mutex<Staged>,
}

#[derive(Debug, Default)]
struct Staged {
    writes: Vec<Write>,
    /// What is stored, as of the last look, and the same with `writes` on top; `None` while there are none.
    pictured: Option<(Arc<Snapshot>, Arc<Snapshot>)>,
}

impl Stage {
    /// `stored` with the staged changes on top.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`], [`CatalogError::Duplicate`] where others were faster.
    pub(crate) fn picture(&self, stored: &Arc<Snapshot>) -> Result<Arc<Snapshot>, CatalogError> {
        let mut staged = self.staged();
        if staged.writes.is_empty() {
            return Ok(Arc::clone(stored));
        }
        if let Some((base, picture)) = &staged.pictured
            && base.version() >= stored.version()
        {
            return Ok(Arc::clone(picture));
        }
        let picture = Arc::new(staged.over(stored)?);
        staged.pictured = Some((Arc::clone(stored), Arc::clone(&picture)));
        Ok(picture)
    }

    /// The last picture, where it cannot be laid over `stored`.
    pub(crate) fn last_picture(&self, stored: Arc<Snapshot>) -> Arc<Snapshot> {
        self.staged().pictured.as_ref().map_or(stored, |(_, picture)| Arc::clone(picture))
    }

    /// Takes over what a change over the picture of `stored` did.
    pub(crate) fn push(&self, stored: Arc<Snapshot>, edit: Edit) {
        let mut staged = self.staged();
        let Edit { mut snapshot, writes, .. } = edit;
        if writes.is_empty() {
            return;
        }
        snapshot.version = PICTURES.fetch_add(1, Ordering::Relaxed);
        staged.writes.extend(writes);
        staged.pictured = Some((stored, Arc::new(snapshot)));
    }

    pub(crate) fn count(&self) -> usize {
        self.staged().writes.len()
    }

    /// Drops all but the first `count` changes.
    pub(crate) fn truncate(&self, count: usize) {
        let mut staged = self.staged();
        if count >= staged.writes.len() {
            return;
        }
        staged.writes.truncate(count);
        let base = staged.pictured.take().map(|(base, _)| base);
        if let Some(base) = base.filter(|_| count > 0) {
            match staged.replayed(&base) {
                Ok(picture) => staged.pictured = Some((base, Arc::new(picture))),
                Err(error) => tracing::error!(%error, "staged changes of the catalog could not be replayed"),
            }
        }
    }

    /// The staged changes and the picture that they make of `stored`.
    ///
    /// # Errors
    /// As [`Stage::picture`].
    pub(crate) fn settled(&self, stored: &Snapshot) -> Result<(Vec<Write>, Snapshot), CatalogError> {
        let staged = self.staged();
        Ok((staged.writes.clone(), staged.over(stored)?))
    }

    fn staged(&self) -> MutexGuard<'_, Staged> {
        self.staged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Staged {
    fn over(&self, stored: &Snapshot) -> Result<Snapshot, CatalogError> {
        if let Some((base, _)) = &self.pictured
            && base.version() != stored.version()
            && !self.writes.iter().all(|write| is_untouched(write, base, stored))
        {
            return Err(CatalogError::Conflict);
        }
        self.replayed(stored)
    }

    fn replayed(&self, stored: &Snapshot) -> Result<Snapshot, CatalogError> {
        let mut picture = stored.clone();
        for write in &self.writes {
            check(&picture, write)?;
            picture.apply(write);
        }
        check_views(&picture, &self.writes)?;
        picture.version = PICTURES.fetch_add(1, Ordering::Relaxed);
        Ok(picture)
    }
}

/// Whether what a staged change replaces is the same in both states.
fn is_untouched(write: &Write, before: &Snapshot, now: &Snapshot) -> bool {
    let member = |snapshot: &Snapshot, role: Oid, member: Oid| -> Option<Membership> {
        snapshot.memberships.iter().find(|known| (known.role, known.member) == (role, member)).copied()
    };
    match write {
        Write::Role(role) => before.roles.get(&role.oid) == now.roles.get(&role.oid),
        Write::DropRole(oid) | Write::Password(oid, _) => before.roles.get(oid) == now.roles.get(oid),
        Write::Membership(new) => member(before, new.role, new.member) == member(now, new.role, new.member),
        Write::DropMembership { role, member: of } => member(before, *role, *of) == member(now, *role, *of),
        Write::Database(database) => before.databases.get(&database.oid) == now.databases.get(&database.oid),
        Write::DropDatabase(oid) => before.databases.get(oid) == now.databases.get(oid),
        Write::Schema(schema) => before.schemas.get(&schema.oid) == now.schemas.get(&schema.oid),
        Write::DropSchema(oid) => before.schemas.get(oid) == now.schemas.get(oid),
        Write::Relation(relation) => before.relations.get(&relation.oid) == now.relations.get(&relation.oid),
        Write::DropRelation(oid) => before.relations.get(oid) == now.relations.get(oid),
        Write::Location(location) => before.locations.get(&location.oid) == now.locations.get(&location.oid),
        Write::DropLocation(oid) => before.locations.get(oid) == now.locations.get(oid),
        Write::Warehouse(warehouse) => before.warehouses.get(&warehouse.oid) == now.warehouses.get(&warehouse.oid),
        Write::DropWarehouse(oid) => before.warehouses.get(oid) == now.warehouses.get(oid),
        Write::Acl(object, _) => before.acls.get(object) == now.acls.get(object),
        Write::RoleSettings(settings) => {
            let place = (settings.database, settings.role);
            before.role_settings.get(&place) == now.role_settings.get(&place)
        }
        Write::DefaultAcl(acl) => before.default_acls.get(&acl.oid) == now.default_acls.get(&acl.oid),
        Write::DropDefaultAcl(oid) => before.default_acls.get(oid) == now.default_acls.get(oid),
    }
}

/// What the rules of the catalog ask of a change, whatever was stored since it was made.
fn check(picture: &Snapshot, write: &Write) -> Result<(), CatalogError> {
    let taken = |kind: ObjectKind, name: &str| Err(CatalogError::Duplicate { kind, name: name.to_owned() });
    let require = |holds: bool| if holds { Ok(()) } else { Err(CatalogError::Conflict) };
    match write {
        Write::Role(role) => match picture.role_by_name(&role.name) {
            Some(other) if other.oid != role.oid => taken(ObjectKind::Role, &role.name),
            _ => Ok(()),
        },
        Write::DropRole(oid) => require(dependents_of_role(picture, *oid).is_empty()),
        Write::Password(oid, _) => require(picture.role(*oid).is_some()),
        Write::Membership(new) => {
            let circle = picture.settable_roles(new.role).contains(&new.member);
            require(!circle && picture.role(new.role).is_some() && picture.role(new.member).is_some())
        }
        Write::Database(database) => match picture.database_by_name(&database.name) {
            Some(other) if other.oid != database.oid => taken(ObjectKind::Database, &database.name),
            _ => require(picture.role(database.owner).is_some()),
        },
        Write::Schema(schema) => match picture.schema(schema.database, &schema.name) {
            Some(other) if other.oid != schema.oid => taken(ObjectKind::Schema, &schema.name),
            _ => require(picture.database(schema.database).is_some() && picture.role(schema.owner).is_some()),
        },
        Write::DropSchema(oid) => require(picture.relations_in_schema(*oid).next().is_none()),
        Write::Relation(relation) => match picture.relation(relation.schema, &relation.name) {
            Some(other) if other.oid != relation.oid => taken(ObjectKind::Relation, &relation.name),
            _ => {
                let placed = picture.schema_by_oid(relation.schema).is_some() && picture.role(relation.owner).is_some();
                require(placed && is_free(picture, relation))
            }
        },
        Write::Location(location) => match picture.external_location_by_name(&location.name) {
            Some(other) if other.oid != location.oid => taken(ObjectKind::ExternalLocation, &location.name),
            _ => {
                let url = NormalUrl::stored(&location.url);
                let mut others = picture.external_locations().filter(|other| other.oid != location.oid);
                require(others.all(|other| !overlap(&NormalUrl::stored(&other.url), &url)) && picture.role(location.owner).is_some())
            }
        },
        Write::DropLocation(oid) => {
            let Some(location) = picture.external_location(*oid) else { return Ok(()) };
            let url = NormalUrl::stored(&location.url);
            let mut tables = picture.relations().filter(|relation| relation.kind == RelationKind::ExternalTable);
            require(!tables.any(|table| normalise_url(&table.location).is_ok_and(|place| url.contains(&place))))
        }
        Write::Warehouse(warehouse) => match picture.warehouse_by_name(&warehouse.name) {
            Some(other) if other.oid != warehouse.oid => taken(ObjectKind::Warehouse, &warehouse.name),
            _ => require(picture.role(warehouse.owner).is_some()),
        },
        Write::Acl(object, acl) => {
            let roles_are_there = acl.as_ref().is_none_or(|acl| {
                acl.items.iter().all(|item| item.grantee == crate::model::PUBLIC || picture.role(item.grantee).is_some())
            });
            require(roles_are_there && picture.describe(*object).is_some())
        }
        Write::RoleSettings(settings) => {
            let role = settings.role == 0 || picture.role(settings.role).is_some();
            require(role && (settings.database == 0 || picture.database(settings.database).is_some()))
        }
        Write::DefaultAcl(acl) => {
            let known = picture.default_acl(acl.database, acl.role, acl.schema, acl.kind);
            require(picture.role(acl.role).is_some() && known.is_none_or(|known| known.oid == acl.oid))
        }
        Write::DropMembership { .. }
        | Write::DropDatabase(_)
        | Write::DropRelation(_)
        | Write::DropWarehouse(_)
        | Write::DropDefaultAcl(_) => Ok(()),
    }
}

/// The files of a managed table belong to it alone. Looked at once, when it comes.
fn is_free(picture: &Snapshot, relation: &Relation) -> bool {
    if !relation.is_stored() || picture.relation_by_oid(relation.oid).is_some() {
        return true;
    }
    let Ok(place) = normalise_url(&relation.location) else { return false };
    let managed = |other: &Relation| relation.owns_files() || other.owns_files();
    !picture.relations_around(&place).any(|other| managed(other))
}

/// No view is left without what it reads: neither one of others over what was dropped, nor a new one over what others dropped.
fn check_views(picture: &Snapshot, writes: &[Write]) -> Result<(), CatalogError> {
    let dropped: BTreeSet<Oid> = writes
        .iter()
        .filter_map(|write| match write {
            Write::DropRelation(oid) => Some(*oid),
            _ => None,
        })
        .collect();
    let reads_dropped = |view: &Relation| view.depends_on().any(|oid| dropped.contains(&oid));
    if !dropped.is_empty() && picture.relations().any(|relation| reads_dropped(relation)) {
        return Err(CatalogError::Conflict);
    }
    let written = writes.iter().filter_map(|write| match write {
        Write::Relation(relation) => picture.relation_by_oid(relation.oid),
        _ => None,
    });
    for relation in written {
        if relation.depends_on().any(|oid| picture.relation_by_oid(oid).is_none()) {
            return Err(CatalogError::Conflict);
        }
    }
    Ok(())
}
