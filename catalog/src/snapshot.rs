//! An immutable picture of the catalog, for readers without I/O or locks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::acl::{Acl, Privileges, SEQUENCE_PRIVILEGES, all_privileges};
use crate::authorize::{NormalUrl, normalise_url};
use crate::error::{CatalogError, ObjectKind};
use crate::intents::CommitGroup;
use crate::model::{
    Database, DefaultAcl, DefaultAclKind, ExternalLocation, Grant, Membership, Name, ObjectRef, Oid, PG_READ_ALL_DATA_OID,
    PG_WRITE_ALL_DATA_OID, PUBLIC, Privilege, Relation, RelationKind, RelationName, Role, RoleSettings, Schema, Warehouse,
};
use crate::shared_map::{SharedMap, SharedSet};

/// All roles, grants and objects as of one version of the catalog. Objects are shared between snapshots, so a new one costs
/// pointers only.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub(crate) version: u64,
    pub(crate) roles: SharedMap<Oid, Arc<Role>>,
    pub(crate) role_names: SharedMap<Name, Oid>,
    pub(crate) memberships: Vec<Membership>,
    pub(crate) databases: BTreeMap<Oid, Arc<Database>>,
    pub(crate) database_names: BTreeMap<Name, Oid>,
    pub(crate) schemas: SharedMap<Oid, Arc<Schema>>,
    /// By database, then name.
    pub(crate) schema_names: SharedMap<Oid, SharedMap<Name, Oid>>,
    pub(crate) relations: SharedMap<Oid, Arc<Relation>>,
    /// By schema, then name.
    pub(crate) relation_names: SharedMap<Oid, SharedMap<Name, Oid>>,
    /// Row type to relation.
    pub(crate) row_types: SharedMap<Oid, Oid>,
    /// Root URLs of relations with files, each with a slash at its end.
    pub(crate) places: SharedSet<(Name, Oid)>,
    /// Constraint to relation.
    pub(crate) constraint_relations: SharedMap<Oid, Oid>,
    /// Schema, name of a constraint, relation.
    pub(crate) constraint_names: SharedSet<(Oid, Name, Oid)>,
    /// Index to relation.
    pub(crate) index_relations: SharedMap<Oid, Oid>,
    /// Schema, name of an index: relation.
    pub(crate) index_names: SharedMap<(Oid, Name), Oid>,
    /// Table, sequence that belongs to one of its columns.
    pub(crate) owned_sequences: SharedSet<(Oid, Oid)>,
    pub(crate) locations: BTreeMap<Oid, Arc<ExternalLocation>>,
    pub(crate) warehouses: BTreeMap<Oid, Arc<Warehouse>>,
    /// Only of objects on which something was granted or revoked.
    pub(crate) acls: SharedMap<ObjectRef, Arc<Acl>>,
    /// By database and role; 0 stands for all.
    pub(crate) role_settings: BTreeMap<(Oid, Oid), Arc<RoleSettings>>,
    /// By OID.
    pub(crate) default_acls: BTreeMap<Oid, Arc<DefaultAcl>>,
    /// Places that the server keeps for itself: its data directory, the warehouse root.
    pub(crate) protected_roots: Arc<[NormalUrl]>,
    /// Root URLs of tables that a commit of several tables is changing now; empty in a catalog with one process, which knows itself.
    pub(crate) intended: Arc<BTreeSet<String>>,
    /// What other processes, and this one, have committed together lately.
    pub(crate) together: Arc<Vec<CommitGroup>>,
    /// Role to the roles whose privileges it has (itself included); superusers are not expanded.
    privileges_of: Arc<HashMap<Oid, Arc<BTreeSet<Oid>>>>,
    /// Role to the roles it is a member of, inheriting or not (itself included).
    member_of: Arc<HashMap<Oid, Arc<BTreeSet<Oid>>>>,
}

/// The table to whose column a sequence belongs.
fn owner_table(relation: &Relation) -> Option<Oid> {
    relation.sequence.as_ref()?.owned_by.as_ref().map(|(table, _)| *table)
}

impl Snapshot {
    /// Counts up with each change of the catalog.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn roles(&self) -> impl Iterator<Item = &Arc<Role>> {
        self.roles.values()
    }

    #[must_use]
    pub fn role(&self, oid: Oid) -> Option<&Arc<Role>> {
        self.roles.get(&oid)
    }

    #[must_use]
    pub fn role_by_name(&self, name: &str) -> Option<&Arc<Role>> {
        self.role(*self.role_names.get(name)?)
    }

    /// # Errors
    /// `role "x" does not exist`.
    pub fn require_role(&self, name: &str) -> Result<&Arc<Role>, CatalogError> {
        self.role_by_name(name).ok_or_else(|| undefined(ObjectKind::Role, name))
    }

    /// The name of a role for messages and `pg_get_userbyid`, which says `unknown (OID=n)` likewise.
    #[must_use]
    pub fn role_name(&self, oid: Oid) -> String {
        match self.role(oid) {
            Some(role) => role.name.clone(),
            None if oid == PUBLIC => "public".to_owned(),
            None => format!("unknown (OID={oid})"),
        }
    }

    #[must_use]
    pub fn memberships(&self) -> &[Membership] {
        &self.memberships
    }

    /// Direct members of a role.
    pub fn members(&self, role: Oid) -> impl Iterator<Item = &Membership> {
        self.memberships.iter().filter(move |membership| membership.role == role)
    }

    /// The roles whose privileges this role has without SET ROLE, itself included (`has_privs_of_role`). A superuser has
    /// everybody's; ask [`Self::has_privileges_of`].
    #[must_use]
    pub fn member_of(&self, role: Oid) -> Arc<BTreeSet<Oid>> {
        self.privileges_of.get(&role).cloned().unwrap_or_else(|| Arc::new(BTreeSet::from([role])))
    }

    /// The roles it may SET ROLE to, itself included (`is_member_of_role`), superusers not expanded.
    #[must_use]
    pub fn settable_roles(&self, role: Oid) -> Arc<BTreeSet<Oid>> {
        self.member_of.get(&role).cloned().unwrap_or_else(|| Arc::new(BTreeSet::from([role])))
    }

    /// `has_privs_of_role(role, of)`.
    #[must_use]
    pub fn has_privileges_of(&self, role: Oid, of: Oid) -> bool {
        role == of || self.is_superuser(role) || self.privileges_of.get(&role).is_some_and(|roles| roles.contains(&of))
    }

    /// `is_member_of_role(role, of)`: may SET ROLE to it.
    #[must_use]
    pub fn is_member_of(&self, role: Oid, of: Oid) -> bool {
        role == of || self.is_superuser(role) || self.member_of.get(&role).is_some_and(|roles| roles.contains(&of))
    }

    /// `is_admin_of_role(role, of)`: may grant membership in it.
    #[must_use]
    pub fn is_admin_of(&self, role: Oid, of: Oid) -> bool {
        self.is_superuser(role)
            || self.member_of.get(&role).is_some_and(|roles| {
                self.memberships.iter().any(|membership| membership.admin && membership.role == of && roles.contains(&membership.member))
            })
    }

    #[must_use]
    pub fn is_superuser(&self, role: Oid) -> bool {
        self.role(role).is_some_and(|role| role.superuser)
    }

    pub fn databases(&self) -> impl Iterator<Item = &Arc<Database>> {
        self.databases.values()
    }

    #[must_use]
    pub fn database(&self, oid: Oid) -> Option<&Arc<Database>> {
        self.databases.get(&oid)
    }

    #[must_use]
    pub fn database_by_name(&self, name: &str) -> Option<&Arc<Database>> {
        self.database(*self.database_names.get(name)?)
    }

    /// # Errors
    /// `database "x" does not exist`.
    pub fn require_database(&self, name: &str) -> Result<&Arc<Database>, CatalogError> {
        self.database_by_name(name).ok_or_else(|| undefined(ObjectKind::Database, name))
    }

    #[must_use]
    pub fn schema_by_oid(&self, oid: Oid) -> Option<&Arc<Schema>> {
        self.schemas.get(&oid)
    }

    #[must_use]
    pub fn schema(&self, database: Oid, name: &str) -> Option<&Arc<Schema>> {
        self.schema_by_oid(*self.schema_names.get(&database)?.get(name)?)
    }

    /// # Errors
    /// `schema "x" does not exist`.
    pub fn require_schema(&self, database: Oid, name: &str) -> Result<&Arc<Schema>, CatalogError> {
        self.schema(database, name).ok_or_else(|| undefined(ObjectKind::Schema, name))
    }

    /// In order of name.
    pub fn schemas_in_database(&self, database: Oid) -> impl Iterator<Item = &Arc<Schema>> {
        self.schema_names.get(&database).into_iter().flat_map(SharedMap::values).filter_map(|oid| self.schemas.get(oid))
    }

    pub fn relations(&self) -> impl Iterator<Item = &Arc<Relation>> {
        self.relations.values()
    }

    #[must_use]
    pub fn relation_by_oid(&self, oid: Oid) -> Option<&Arc<Relation>> {
        self.relations.get(&oid)
    }

    /// By the OID of its row type.
    #[must_use]
    pub fn relation_by_type(&self, type_oid: Oid) -> Option<&Arc<Relation>> {
        self.relation_by_oid(*self.row_types.get(&type_oid)?)
    }

    #[must_use]
    pub fn relation(&self, schema: Oid, name: &str) -> Option<&Arc<Relation>> {
        self.relation_by_oid(*self.relation_names.get(&schema)?.get(name)?)
    }

    #[must_use]
    pub fn relation_by_name(&self, name: &RelationName) -> Option<&Arc<Relation>> {
        let database = self.database_by_name(&name.database)?;
        let schema = self.schema(database.oid, &name.schema)?;
        self.relation(schema.oid, &name.name)
    }

    /// Relations whose files lie under a URL, or over it.
    pub(crate) fn relations_around(&self, url: &NormalUrl) -> impl Iterator<Item = &Arc<Relation>> {
        let directory: Name = url.directory().as_str().into();
        let above: Vec<Name> = directory
            .match_indices('/')
            .filter_map(|(at, _)| directory.get(..=at))
            .filter(|above| above.len() < directory.len())
            .map(Name::from)
            .collect();
        let above = above.into_iter().flat_map(|above| self.places.range((above.clone(), 0)..=(above, Oid::MAX)));
        let under = self.places.range((directory.clone(), 0)..).take_while(move |((place, _), ())| place.starts_with(&*directory));
        above.chain(under).filter_map(|((_, oid), ())| self.relation_by_oid(*oid))
    }

    /// In order of name.
    pub fn relations_in_schema(&self, schema: Oid) -> impl Iterator<Item = &Arc<Relation>> {
        self.relation_names.get(&schema).into_iter().flat_map(SharedMap::values).filter_map(|oid| self.relations.get(oid))
    }

    /// The three-part name.
    #[must_use]
    pub fn name_of(&self, relation: &Relation) -> Option<RelationName> {
        let schema = self.schema_by_oid(relation.schema)?;
        let database = self.database(schema.database)?;
        Some(RelationName { database: database.name.clone(), schema: schema.name.clone(), name: relation.name.clone() })
    }

    /// The relation that has this constraint.
    #[must_use]
    pub fn relation_of_constraint(&self, constraint: Oid) -> Option<&Arc<Relation>> {
        self.relation_by_oid(*self.constraint_relations.get(&constraint)?)
    }

    /// The relations of a schema that have a constraint of this name.
    pub fn relations_with_constraint(&self, schema: Oid, name: &str) -> impl Iterator<Item = &Arc<Relation>> {
        let from = (schema, name.into(), 0);
        let to = (schema, name.into(), Oid::MAX);
        self.constraint_names.range(from..=to).filter_map(|((_, _, relation), ())| self.relation_by_oid(*relation))
    }

    /// Whether a commit of several tables is changing the table at a root URL now: which of its versions count is not decided.
    #[must_use]
    pub fn is_intended(&self, location: &str) -> bool {
        self.intended.contains(location)
    }

    /// Versions of tables that became visible together, of which a transaction may have read one before. Empty where nobody else uses the
    /// catalog.
    #[must_use]
    pub fn committed_together(&self) -> &[CommitGroup] {
        &self.together
    }

    /// The table that has this index, by the index's OID.
    #[must_use]
    pub fn relation_of_index(&self, index: Oid) -> Option<&Arc<Relation>> {
        self.relation_by_oid(*self.index_relations.get(&index)?)
    }

    /// The table of a schema that has an index of this name.
    #[must_use]
    pub fn relation_with_index(&self, schema: Oid, name: &str) -> Option<&Arc<Relation>> {
        self.relation_by_oid(*self.index_names.get(&(schema, name.into()))?)
    }

    /// Sequences that belong to a table's columns.
    pub fn sequences_of(&self, table: Oid) -> impl Iterator<Item = &Arc<Relation>> {
        self.owned_sequences.range((table, 0)..=(table, Oid::MAX)).filter_map(|((_, sequence), ())| self.relation_by_oid(*sequence))
    }

    pub fn external_locations(&self) -> impl Iterator<Item = &Arc<ExternalLocation>> {
        self.locations.values()
    }

    #[must_use]
    pub fn external_location(&self, oid: Oid) -> Option<&Arc<ExternalLocation>> {
        self.locations.get(&oid)
    }

    #[must_use]
    pub fn external_location_by_name(&self, name: &str) -> Option<&Arc<ExternalLocation>> {
        self.locations.values().find(|location| location.name == name)
    }

    pub fn warehouses(&self) -> impl Iterator<Item = &Arc<Warehouse>> {
        self.warehouses.values()
    }

    #[must_use]
    pub fn warehouse(&self, oid: Oid) -> Option<&Arc<Warehouse>> {
        self.warehouses.get(&oid)
    }

    #[must_use]
    pub fn warehouse_by_name(&self, name: &str) -> Option<&Arc<Warehouse>> {
        self.warehouses.values().find(|warehouse| warehouse.name == name)
    }

    #[must_use]
    pub fn owner_of(&self, object: ObjectRef) -> Option<Oid> {
        match object {
            ObjectRef::Database(oid) => self.database(oid).map(|database| database.owner),
            ObjectRef::Schema(oid) => self.schema_by_oid(oid).map(|schema| schema.owner),
            ObjectRef::Relation(oid) => self.relation_by_oid(oid).map(|relation| relation.owner),
            ObjectRef::ExternalLocation(oid) => self.external_location(oid).map(|location| location.owner),
            ObjectRef::Warehouse(oid) => self.warehouse(oid).map(|warehouse| warehouse.owner),
        }
    }

    /// Kind and name for messages.
    #[must_use]
    pub fn describe(&self, object: ObjectRef) -> Option<(ObjectKind, String)> {
        match object {
            ObjectRef::Database(oid) => self.database(oid).map(|database| (ObjectKind::Database, database.name.clone())),
            ObjectRef::Schema(oid) => self.schema_by_oid(oid).map(|schema| (ObjectKind::Schema, schema.name.clone())),
            ObjectRef::Relation(oid) => self.relation_by_oid(oid).map(|relation| (kind_of(relation), relation.name.clone())),
            ObjectRef::ExternalLocation(oid) => {
                self.external_location(oid).map(|location| (ObjectKind::ExternalLocation, location.name.clone()))
            }
            ObjectRef::Warehouse(oid) => self.warehouse(oid).map(|warehouse| (ObjectKind::Warehouse, warehouse.name.clone())),
        }
    }

    /// The stored list, `None` while nothing was granted or revoked: what `relacl`, `nspacl` and `datacl` show.
    #[must_use]
    pub fn stored_acl(&self, object: ObjectRef) -> Option<&Arc<Acl>> {
        self.acls.get(&object)
    }

    /// The list in force.
    #[must_use]
    pub fn acl(&self, object: ObjectRef) -> Arc<Acl> {
        match (self.acls.get(&object), self.owner_of(object)) {
            (Some(acl), _) => acl.clone(),
            (None, Some(owner)) => Arc::new(Acl::with_owner(object, owner, self.all_privileges(object))),
            (None, None) => Arc::default(),
        }
    }

    /// What ALL PRIVILEGES means on an object.
    #[must_use]
    pub fn all_privileges(&self, object: ObjectRef) -> Privileges {
        match object {
            ObjectRef::Relation(oid) if self.relation_by_oid(oid).is_some_and(|relation| relation.sequence.is_some()) => {
                SEQUENCE_PRIVILEGES
            }
            other => all_privileges(other),
        }
    }

    /// Settings that a session of the role in the database starts with, the weightier later: those of all roles and databases, of
    /// the database, of the role, of the role in the database. Source: `process_settings` in postinit.c.
    pub fn starting_settings(&self, database: Oid, role: Oid) -> impl Iterator<Item = &(String, String)> {
        let places = [(0, 0), (database, 0), (0, role), (database, role)];
        places.into_iter().filter_map(|place| self.role_settings.get(&place)).flat_map(|settings| &settings.settings)
    }

    /// All rows of `pg_db_role_setting`.
    pub fn role_settings(&self) -> impl Iterator<Item = &Arc<RoleSettings>> {
        self.role_settings.values()
    }

    /// All rows of `pg_default_acl`.
    pub fn default_acls(&self) -> impl Iterator<Item = &Arc<DefaultAcl>> {
        self.default_acls.values()
    }

    #[must_use]
    pub(crate) fn default_acl(&self, database: Oid, role: Oid, schema: Oid, kind: DefaultAclKind) -> Option<&Arc<DefaultAcl>> {
        self.default_acls.values().find(|known| (known.database, known.role, known.schema, known.kind) == (database, role, schema, kind))
    }

    /// What the default privileges make of a new object; `None`: nothing is said of it. Source: `get_user_default_acl`.
    #[must_use]
    pub(crate) fn new_object_acl(&self, database: Oid, schema: Oid, owner: Oid, kind: DefaultAclKind, built_in: &Acl) -> Option<Acl> {
        let everywhere = self.default_acl(database, owner, 0, kind);
        let here = if schema == 0 { None } else { self.default_acl(database, owner, schema, kind) };
        if everywhere.is_none() && here.is_none() {
            return None;
        }
        let mut acl = everywhere.map_or_else(|| built_in.clone(), |all| all.acl.clone());
        for item in here.iter().flat_map(|here| &here.acl.items) {
            acl.grant(item.grantee, item.grantor, item.privileges, item.grantable);
        }
        (acl != *built_in).then_some(acl)
    }

    /// An access control list as `aclitem` texts.
    #[must_use]
    pub fn texts_of(&self, acl: &Acl) -> Vec<String> {
        acl.items.iter().map(|item| self.acl_item_text(item)).collect()
    }

    /// A role that may do something with every object, by membership in a predefined role.
    #[must_use]
    pub fn has_everywhere(&self, role: Oid, object: ObjectRef, privilege: Privilege) -> bool {
        let reads = || self.has_privileges_of(role, PG_READ_ALL_DATA_OID);
        let writes = || self.has_privileges_of(role, PG_WRITE_ALL_DATA_OID);
        match (object, privilege) {
            (ObjectRef::Relation(_), Privilege::Select) => reads(),
            (ObjectRef::Relation(_), Privilege::Insert | Privilege::Update | Privilege::Delete) => writes(),
            (ObjectRef::Schema(_), Privilege::Usage) => reads() || writes(),
            _ => false,
        }
    }

    /// Every grant in force on an object, the owner's own included.
    #[must_use]
    pub fn grants_on(&self, object: ObjectRef) -> Vec<Grant> {
        self.acl(object).grants(object).collect()
    }

    /// The stored list as `aclitem` texts (`alice=arw*/admin`), `None` while it is the default.
    #[must_use]
    pub fn acl_texts(&self, object: ObjectRef) -> Option<Vec<String>> {
        let acl = self.acls.get(&object)?;
        Some(acl.items.iter().map(|item| self.acl_item_text(item)).collect())
    }

    /// Source: `aclitemout`.
    fn acl_item_text(&self, item: &crate::acl::AclItem) -> String {
        let mut text = if item.grantee == PUBLIC { String::new() } else { quoted_role(&self.role_name(item.grantee)) };
        text.push('=');
        for privilege in item.privileges.iter() {
            text.push(privilege.letter());
            if item.grantable.contains(privilege) {
                text.push('*');
            }
        }
        text.push('/');
        text.push_str(&quoted_role(&self.role_name(item.grantor)));
        text
    }
}

/// Edits, for loading and for changes of the catalog.
impl Snapshot {
    pub(crate) fn put_role(&mut self, role: Arc<Role>) {
        if let Some(old) = self.roles.get(&role.oid) {
            self.role_names.remove(old.name.as_str());
        }
        self.role_names.insert(role.name.as_str().into(), role.oid);
        self.roles.insert(role.oid, role);
    }

    pub(crate) fn remove_role(&mut self, oid: Oid) {
        if let Some(old) = self.roles.remove(&oid) {
            self.role_names.remove(old.name.as_str());
        }
        self.memberships.retain(|membership| membership.role != oid && membership.member != oid);
    }

    pub(crate) fn put_database(&mut self, database: Arc<Database>) {
        if let Some(old) = self.databases.get(&database.oid) {
            self.database_names.remove(old.name.as_str());
        }
        self.database_names.insert(database.name.as_str().into(), database.oid);
        self.databases.insert(database.oid, database);
    }

    pub(crate) fn remove_database(&mut self, oid: Oid) {
        if let Some(old) = self.databases.remove(&oid) {
            self.database_names.remove(old.name.as_str());
        }
        self.acls.remove(&ObjectRef::Database(oid));
    }

    pub(crate) fn put_schema(&mut self, schema: Arc<Schema>) {
        if let Some(old) = self.schemas.get(&schema.oid)
            && let Some(names) = self.schema_names.get_mut(&old.database)
        {
            names.remove(old.name.as_str());
        }
        self.schema_names.update(schema.database, |names| {
            names.insert(schema.name.as_str().into(), schema.oid);
        });
        self.schemas.insert(schema.oid, schema);
    }

    pub(crate) fn remove_schema(&mut self, oid: Oid) {
        if let Some(old) = self.schemas.remove(&oid)
            && let Some(names) = self.schema_names.get_mut(&old.database)
        {
            names.remove(old.name.as_str());
        }
        self.acls.remove(&ObjectRef::Schema(oid));
    }

    pub(crate) fn put_relation(&mut self, relation: Arc<Relation>) {
        if let Some(old) = self.relations.get(&relation.oid).cloned() {
            if let Some(names) = self.relation_names.get_mut(&old.schema) {
                names.remove(old.name.as_str());
            }
            self.remove_parts(&old);
        }
        for constraint in &relation.constraints {
            self.constraint_relations.insert(constraint.oid, relation.oid);
            self.constraint_names.insert((relation.schema, constraint.name.as_str().into(), relation.oid), ());
        }
        self.relation_names.update(relation.schema, |names| {
            names.insert(relation.name.as_str().into(), relation.oid);
        });
        if let Some(place) = place(&relation) {
            self.places.insert((place, relation.oid), ());
        }
        for index in &relation.indexes {
            self.index_relations.insert(index.oid, relation.oid);
            self.index_names.insert((relation.schema, index.name.as_str().into()), relation.oid);
        }
        if let Some(table) = owner_table(&relation) {
            self.owned_sequences.insert((table, relation.oid), ());
        }
        self.row_types.insert(relation.type_oid, relation.oid);
        self.relations.insert(relation.oid, relation);
    }

    pub(crate) fn remove_relation(&mut self, oid: Oid) {
        if let Some(old) = self.relations.remove(&oid) {
            if let Some(names) = self.relation_names.get_mut(&old.schema) {
                names.remove(old.name.as_str());
            }
            self.row_types.remove(&old.type_oid);
            self.remove_parts(&old);
        }
        self.acls.remove(&ObjectRef::Relation(oid));
    }

    /// What is found by another way than the relation's own OID and name.
    fn remove_parts(&mut self, relation: &Relation) {
        if let Some(place) = place(relation) {
            self.places.remove(&(place, relation.oid));
        }
        for constraint in &relation.constraints {
            self.constraint_relations.remove(&constraint.oid);
            self.constraint_names.remove(&(relation.schema, constraint.name.as_str().into(), relation.oid));
        }
        for index in &relation.indexes {
            self.index_relations.remove(&index.oid);
            self.index_names.remove(&(relation.schema, index.name.as_str().into()));
        }
        if let Some(table) = owner_table(relation) {
            self.owned_sequences.remove(&(table, relation.oid));
        }
    }

    /// To be called after roles or memberships changed.
    pub(crate) fn close_memberships(&mut self) {
        let all = |_: &Role| true;
        let inheriting = |role: &Role| role.inherit;
        self.member_of = Arc::new(self.closures(all));
        self.privileges_of = Arc::new(self.closures(inheriting));
    }

    /// For each role with a membership, everything reachable through members for which `passes` holds.
    fn closures(&self, passes: impl Fn(&Role) -> bool) -> HashMap<Oid, Arc<BTreeSet<Oid>>> {
        let mut direct: HashMap<Oid, Vec<Oid>> = HashMap::new();
        for membership in &self.memberships {
            if self.roles.get(&membership.member).is_some_and(|role| passes(role)) {
                direct.entry(membership.member).or_default().push(membership.role);
            }
        }
        let reach = |start: Oid| {
            let mut seen = BTreeSet::from([start]);
            let mut open = vec![start];
            while let Some(role) = open.pop() {
                for next in direct.get(&role).into_iter().flatten() {
                    if seen.insert(*next) {
                        open.push(*next);
                    }
                }
            }
            Arc::new(seen)
        };
        direct.keys().map(|role| (*role, reach(*role))).collect()
    }
}

/// Where a relation has its files.
fn place(relation: &Relation) -> Option<Name> {
    let url = normalise_url(&relation.location).ok().filter(|_| relation.is_stored())?;
    Some(url.directory().as_str().into())
}

/// The word PostgreSQL uses for a relation in privilege messages.
#[must_use]
pub fn kind_of(relation: &Relation) -> ObjectKind {
    match relation.kind {
        RelationKind::View => ObjectKind::View,
        RelationKind::MaterializedView => ObjectKind::MaterializedView,
        RelationKind::Sequence => ObjectKind::Sequence,
        RelationKind::ManagedTable | RelationKind::ExternalTable => ObjectKind::Table,
    }
}

fn undefined(kind: ObjectKind, name: &str) -> CatalogError {
    CatalogError::Undefined { kind, name: name.to_owned() }
}

/// Source: `putid` in acl.c.
fn quoted_role(name: &str) -> String {
    if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
