//! A statement's relations: found, authorised, bound. Nothing else hands a relation to an engine.

mod names;
mod policies;
mod qualify;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize::{self, Access, AuthorizedTable, ColumnsChanged, Principal};
use lakegate_catalog::model::{BOOTSTRAP_ROLE_OID, ObjectRef, Oid, Privilege, Relation, RelationKind, RelationName, ViewRead};
use lakegate_engine_api::{BoundRelation, RelationSource, SessionFacts, TablePolicies};
use sqlparser::ast::{Visit, VisitMut};

pub use names::{NameScope, SYSTEM_DATABASE, undefined};
pub use policies::selected_from;
pub use qualify::{Mentions, Written, object_name, qualify, qualify_recording, qualify_view};

use crate::pg_catalog;
use crate::sql::advisory::AdvisoryLocks;
use crate::sql::changes::Changes;
use crate::sql::cursors::Cursors;
use crate::sql::facets::Mentioned;
use crate::sql::named_statements::NamedStatements;
use crate::sql::session::GatewaySession;
use crate::sql::target::ChangedBy;
use crate::sql::time_travel::{Past, past_of};
use crate::sql::together::CommittedTogether;
use crate::sqlstate::{SqlError, SqlState};

/// Columns of the logs that are sealed; a statement that names none of them opens nothing.
const SEALED_COLUMNS: [&str; 6] = ["statement_text", "statement_parameters", "error_message", "query_tags", "request_params", "reason"];

/// Views within views within views.
const VIEW_DEPTH_MAX: usize = 32;

/// The property of a view that keeps the search path under which it was made.
pub const VIEW_SEARCH_PATH: &str = "lakegate.search_path";

/// What binding needs to know of the session; cheap to make for each statement.
pub struct Binder<'a> {
    pub session: &'a GatewaySession,
    pub snapshot: &'a Arc<Snapshot>,
    pub principal: Principal,
    pub scope: NameScope,
    pub facts: &'a Arc<SessionFacts>,
    pub system: &'a crate::system::SystemRelations,
    /// Versions of tables that the transaction has pinned.
    pub versions: &'a BTreeMap<Oid, u64>,
    /// When the transaction began, and what others have committed together since.
    pub began: Option<DateTime<Utc>>,
    pub together: &'a CommittedTogether,
    /// What the transaction has changed.
    pub changes: Option<&'a Changes>,
    /// For `pg_prepared_statements`.
    pub named: &'a NamedStatements,
    /// For `pg_cursors`.
    pub cursors: &'a Cursors,
    /// For `pg_locks`.
    pub advisory: &'a AdvisoryLocks,
}

/// The relations of one statement.
#[derive(Debug, Default)]
pub struct Bound {
    pub relations: Vec<BoundRelation>,
    /// Tables read, those behind views included.
    pub tables_read: BTreeSet<RelationName>,
    pub tables_written: BTreeSet<RelationName>,
    /// It names columns of the logs that are sealed.
    opens_texts: bool,
    /// Tables whose policies are being bound, the innermost last.
    policing: Vec<Oid>,
}

impl Bound {
    /// Opens stored tables (rather than system relations alone).
    #[must_use]
    pub fn touches_tables(&self) -> bool {
        !self.tables_read.is_empty() || !self.tables_written.is_empty()
    }

    #[must_use]
    pub fn relation(&self, name: &RelationName, runs_as: Option<Oid>) -> Option<&BoundRelation> {
        self.relations.iter().find(|relation| relation.name == *name && relation.runs_as == runs_as)
    }
}

/// Where names stand: in the statement, or in a view.
#[derive(Clone, Copy)]
struct Place {
    /// Whose rights count for them.
    principal: Principal,
    /// Whose rights count in the statement itself.
    invoker: Principal,
    /// Views around.
    depth: usize,
}

impl Place {
    fn statement(principal: Principal) -> Place {
        Place { principal, invoker: principal, depth: 0 }
    }

    /// As relations are bound here: the same table is not the same to another role.
    fn runs_as(self) -> Option<Oid> {
        (self.principal.current_role != self.invoker.current_role).then_some(self.principal.current_role)
    }

    fn bound(self, name: &RelationName, source: RelationSource) -> BoundRelation {
        BoundRelation { name: name.clone(), runs_as: self.runs_as(), source }
    }

    fn inside(self, principal: Principal) -> Place {
        Place { principal, depth: self.depth + 1, ..self }
    }
}

impl Binder<'_> {
    /// Qualifies the names of a statement and binds what it names. `targets`: the tables that it changes, and how.
    ///
    /// # Errors
    /// 42P01, 42501, 42809 for changing what is no table.
    pub async fn bind(&self, node: &mut (impl Visit + VisitMut + Send), targets: &[ChangedBy]) -> Result<Bound, SqlError> {
        let opens_texts = Mentioned::by(node).names_any(&SEALED_COLUMNS);
        let mut mentions = qualify(node, &self.scope, self.snapshot)?;
        let mut bound = Bound { opens_texts, ..Bound::default() };
        for ChangedBy { name, access, columns, mentions: as_target } in targets {
            // Its own mention as the target does not read it.
            let read = mentions.remove(name).is_some_and(|count| count > *as_target);
            // What other mentions of it read is seen when they are planned.
            let columns = if access.select { columns.clone() } else { ColumnsChanged { read: Some(BTreeSet::new()), ..columns.clone() } };
            let all = Access { select: access.select || read, ..*access };
            self.bind_target(&mut bound, name.clone(), all, &columns, access.select).await?;
        }
        self.bind_mentions(&mut bound, &mentions, Place::statement(self.principal)).await?;
        Ok(bound)
    }

    /// Authorises a change of a table. `reads_target`: the change itself reads its rows.
    ///
    /// # Errors
    /// 42P01, 42501, 42809.
    pub async fn bind_target(
        &self,
        bound: &mut Bound,
        name: RelationName,
        access: Access,
        columns: &ColumnsChanged,
        reads_target: bool,
    ) -> Result<(), SqlError> {
        let relation = self.stored(&name)?;
        match relation.kind {
            RelationKind::View => {
                return Err(SqlError::new(SqlState::WrongObjectType, format!("cannot change view \"{}\"", name.name))
                    .hint("Change the tables that the view reads."));
            }
            RelationKind::MaterializedView => {
                return Err(SqlError::new(SqlState::WrongObjectType, format!("cannot change materialized view \"{}\"", name.name)));
            }
            RelationKind::Sequence => {
                return Err(SqlError::new(SqlState::WrongObjectType, format!("cannot change sequence \"{}\"", name.name)));
            }
            RelationKind::ManagedTable | RelationKind::ExternalTable => {}
        }
        let table = authorize::open_changed_table(self.snapshot, &self.principal, &name, access, columns)?;
        if access.select {
            bound.tables_read.insert(name.clone());
        }
        bound.tables_written.insert(name.clone());
        let policies = Box::pin(self.policies(bound, &table, Place::statement(self.principal), reads_target)).await?;
        let source = self.table(table, policies);
        bound.relations.push(BoundRelation::new(name, source));
        Ok(())
    }

    /// The owner's table, for ALTER TABLE and REFRESH.
    ///
    /// # Errors
    /// 42501.
    pub fn own_table(&self, name: &RelationName) -> Result<BoundRelation, SqlError> {
        let table = authorize::open_own_table(self.snapshot, &self.principal, name)?;
        Ok(BoundRelation::new(name.clone(), self.table(table, None)))
    }

    fn stored(&self, name: &RelationName) -> Result<Arc<Relation>, SqlError> {
        self.snapshot.relation_by_name(name).cloned().ok_or_else(|| {
            if pg_catalog::has_relation(&name.schema, &name.name) || name.database == SYSTEM_DATABASE {
                SqlError::new(SqlState::InsufficientPrivilege, format!("permission denied: \"{}\" is a system catalog", name.name))
            } else {
                undefined(std::slice::from_ref(&name.name))
            }
        })
    }

    async fn bind_mentions(&self, bound: &mut Bound, mentions: &Mentions, place: Place) -> Result<(), SqlError> {
        for name in mentions.keys() {
            if bound.relation(name, place.runs_as()).is_none() {
                Box::pin(self.bind_one(bound, name, place)).await?;
            }
        }
        Ok(())
    }

    async fn bind_one(&self, bound: &mut Bound, name: &RelationName, place: Place) -> Result<(), SqlError> {
        if place.depth > VIEW_DEPTH_MAX {
            return Err(SqlError::new(SqlState::StatementTooComplex, format!("views are nested more than {VIEW_DEPTH_MAX} deep")));
        }
        let is_catalog = matches!(name.schema.as_str(), pg_catalog::PG_CATALOG | pg_catalog::INFORMATION_SCHEMA);
        if is_catalog && !(name.database == SYSTEM_DATABASE && crate::system::has_relation(name)) {
            return self.bind_catalog(bound, name, place).await;
        }
        if let Some(function) = crate::privacy::function_of(name) {
            return self.bind_subjects(bound, name, &function, place).await;
        }
        if name.database == SYSTEM_DATABASE {
            return self.bind_system(bound, name, place).await;
        }
        if let Some((table, past)) = past_of(name) {
            return self.bind_past(bound, name, &table, past, place).await;
        }
        let relation = self.stored(name)?;
        if relation.kind == RelationKind::View {
            return self.bind_view(bound, name, &relation, place).await;
        }
        if let Some(sequence) = &relation.sequence {
            authorize::check(self.snapshot, &place.principal, ObjectRef::Relation(relation.oid), Privilege::Select)?;
            let state = self.system.catalog().sequence_state(relation.oid, sequence).await?;
            bound.relations.push(place.bound(name, super::sequences::as_rows(state)?));
            return Ok(());
        }
        if relation.kind == RelationKind::MaterializedView && !crate::handlers::materialized_view::is_populated(&relation) {
            let text = format!("materialized view \"{}\" has not been populated", relation.name);
            return Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, text).hint("Use the REFRESH MATERIALIZED VIEW command."));
        }
        let table = authorize::open_table(self.snapshot, &place.principal, name, Access { select: true, ..Access::default() })?;
        bound.tables_read.insert(name.clone());
        let policies = self.policies(bound, &table, place, false).await?;
        bound.relations.push(place.bound(name, self.table(table, policies)));
        Ok(())
    }

    /// Rows of the moment.
    async fn bind_system(&self, bound: &mut Bound, name: &RelationName, place: Place) -> Result<(), SqlError> {
        if crate::saved_queries::is_saved(name) && self.bind_saved_queries(bound, name, place).await? {
            return Ok(());
        }
        if let Some(records) = self.session.log_rows.as_ref().and_then(|rows| rows.of(name)) {
            return match records.view(name)? {
                None => {
                    bound.relations.push(place.bound(name, records.recent.clone()));
                    Ok(())
                }
                Some((query, columns, reads)) => self.bind_own_view(bound, name, place, &query, columns, reads),
            };
        }
        let reader = || crate::system::audit::event(self.session);
        let rows = self.system.rows(name, &self.principal, self.snapshot, reader).await?;
        let Some((log, version)) = rows.older else {
            bound.relations.push(place.bound(name, rows.source));
            return Ok(());
        };
        let root = &self.session.shared.warehouse_root;
        let columns: Vec<String> = match &rows.source {
            RelationSource::Log { schema, .. } => schema.fields().iter().map(|field| field.name().clone()).collect(),
            _ => Vec::new(),
        };
        // A view may name anything.
        let opens = bound.opens_texts || place.depth > 0;
        let old = crate::old_logs::older(log, version, root, self.snapshot, &self.principal, &columns, opens, None);
        let (query, columns, reads) = crate::old_logs::view(name, rows.source, old)?;
        self.bind_own_view(bound, name, place, &query, columns, reads)
    }

    /// Saved queries with their texts; false where there are none.
    async fn bind_saved_queries(&self, bound: &mut Bound, name: &RelationName, place: Place) -> Result<bool, SqlError> {
        let root = &self.session.shared.warehouse_root;
        let Some(view) = crate::saved_queries::view(self.system.catalog(), root, &place.principal, name).await? else { return Ok(false) };
        self.bind_own_view(bound, name, place, &view.query, view.columns, vec![view.known, view.texts])?;
        Ok(true)
    }

    /// A query of our own over relations of our own in the place of a system relation.
    fn bind_own_view(
        &self,
        bound: &mut Bound,
        name: &RelationName,
        place: Place,
        query: &str,
        columns: Vec<String>,
        reads: Vec<BoundRelation>,
    ) -> Result<(), SqlError> {
        let inside = place.inside(Principal::for_owner(BOOTSTRAP_ROLE_OID));
        let query = Arc::new(super::parse::parse_query(query)?);
        let source = RelationSource::View { query, columns, runs_as: inside.runs_as(), visible: None, policies: None };
        bound.relations.push(place.bound(name, source));
        let is_bound = |bound: &Bound, name: &RelationName| bound.relation(name, inside.runs_as()).is_some();
        for read in reads {
            if !is_bound(bound, &read.name) {
                bound.relations.push(BoundRelation { runs_as: inside.runs_as(), ..read });
            }
        }
        Ok(())
    }

    /// A table as it was, or its changes.
    async fn bind_past(
        &self,
        bound: &mut Bound,
        name: &RelationName,
        table: &RelationName,
        past: Past,
        place: Place,
    ) -> Result<(), SqlError> {
        let relation = self.stored(table)?;
        if !relation.is_stored() {
            return Err(SqlError::new(SqlState::WrongObjectType, format!("\"{}\" is not a table: it has no versions", relation.name)));
        }
        let authorized = authorize::open_table(self.snapshot, &place.principal, table, Access { select: true, ..Access::default() })?;
        bound.tables_read.insert(table.clone());
        let policies = self.policies(bound, &authorized, place, false).await?;
        let source = match past {
            Past::At(moment) => RelationSource::TableAt { table: authorized, moment, policies },
            Past::Changes { from, to } => RelationSource::TableChanges { table: authorized, from, to, policies },
        };
        bound.relations.push(place.bound(name, source));
        Ok(())
    }

    /// As the session's transaction sees the table.
    fn table(&self, table: AuthorizedTable, policies: Option<Arc<TablePolicies>>) -> RelationSource {
        let oid = table.relation().oid;
        let version = self.versions.get(&oid).copied().or_else(|| self.ceiling(table.relation()));
        let transaction = self.changes.and_then(|changes| changes.table(oid)).cloned();
        RelationSource::Table { table, version, transaction, policies }
    }

    /// Whether the transaction has settled the table's version.
    pub fn is_fixed(&self, oid: Oid) -> bool {
        self.versions.contains_key(&oid) || self.changes.is_some_and(|changes| changes.table(oid).is_some())
    }

    /// Where something that was committed with a version of the table is hidden from the transaction, the version is, too.
    pub fn ceiling(&self, table: &Relation) -> Option<u64> {
        let began = self.began.filter(|_| !self.versions.is_empty())?;
        let pinned = self
            .versions
            .iter()
            .filter_map(|(oid, version)| self.snapshot.relation_by_oid(*oid).map(|relation| (relation.location.as_str(), *version)));
        self.together.ceiling(&table.location, began, pinned, self.snapshot.committed_together())
    }

    /// A view runs with its owner's rights on the names of the search path it was made under.
    async fn bind_view(&self, bound: &mut Bound, name: &RelationName, relation: &Arc<Relation>, place: Place) -> Result<(), SqlError> {
        let view = authorize::open_view(self.snapshot, &place.principal, name)?;
        let (query, mentions) = view_query(self.snapshot, name, relation, &relation.view_reads().unwrap_or_default())?;
        let columns = relation.columns.iter().map(|column| column.name.clone()).collect();
        let inside = place.inside(view.runs_as().map_or(place.invoker, Principal::for_owner));
        let visible = view.visible_columns().map(<[String]>::to_vec);
        let policies = self.view_masks(bound, &view, place).await?;
        let source = RelationSource::View { query: Arc::new(query), columns, runs_as: inside.runs_as(), visible, policies };
        bound.relations.push(place.bound(name, source));
        let of_others = inside.runs_as().is_some();
        let done = self.bind_mentions(bound, &mentions, inside).await;
        done.map_err(|error| if of_others { self.inside_view(error, name, &mentions, place) } else { error })
    }

    /// Where a data subject is: a query over all tables that hold any, for which the role's privileges were looked at; masks and row
    /// policies are for others.
    async fn bind_subjects(
        &self,
        bound: &mut Bound,
        name: &RelationName,
        function: &crate::privacy::SubjectFunction,
        place: Place,
    ) -> Result<(), SqlError> {
        if let crate::privacy::SubjectFunction::Literal { literal } = function {
            let source = crate::system::blind_index::found(self.session, &place.principal, literal).await?;
            bound.relations.push(place.bound(name, source));
            return Ok(());
        }
        let (text, columns) = crate::privacy::relation(self.snapshot, &place.principal, function)?;
        let mut query = super::parse::parse_query(&text)?;
        let mentions = qualify(&mut query, &self.scope, self.snapshot)?;
        let inside = place.inside(Principal::for_owner(BOOTSTRAP_ROLE_OID));
        let source = RelationSource::View { query: Arc::new(query), columns, runs_as: inside.runs_as(), visible: None, policies: None };
        bound.relations.push(place.bound(name, source));
        self.bind_mentions(bound, &mentions, inside).await
    }

    /// A denial inside a view names relations that whoever asks may know nothing of.
    fn inside_view(&self, error: SqlError, view: &RelationName, mentions: &Mentions, place: Place) -> SqlError {
        let knows = |name: &RelationName| {
            let relation = self.snapshot.relation_by_name(name);
            relation
                .is_none_or(|relation| authorize::may_see(self.snapshot, place.principal.current_role, ObjectRef::Relation(relation.oid)))
        };
        if error.state != SqlState::InsufficientPrivilege || mentions.keys().all(knows) {
            return error;
        }
        SqlError::new(error.state, format!("permission denied for a relation that view \"{}\" reads", view.name))
            .detail("A view runs with its owner's privileges, and the owner lacks one.")
    }

    /// The query of a view alone, run with its owner's rights, `reads` saying what its names mean.
    ///
    /// # Errors
    /// As [`Binder::bind`].
    pub async fn bind_definition(&self, relation: &Relation, reads: &[ViewRead]) -> Result<(sqlparser::ast::Query, Bound), SqlError> {
        let name = self.snapshot.name_of(relation).ok_or_else(|| undefined(std::slice::from_ref(&relation.name)))?;
        let (query, mentions) = view_query(self.snapshot, &name, relation, reads)?;
        let mut bound = Bound::default();
        self.bind_mentions(&mut bound, &mentions, Place::statement(Principal::for_owner(relation.owner))).await?;
        Ok((query, bound))
    }

    async fn bind_catalog(&self, bound: &mut Bound, name: &RelationName, place: Place) -> Result<(), SqlError> {
        let context = pg_catalog::Context {
            snapshot: self.snapshot,
            principal: self.principal,
            database: &name.database,
            facts: self.facts,
            live: self.system.live(),
            named: self.named,
            cursors: self.cursors,
            advisory: self.advisory,
            columns: None,
            only: None,
        };
        let source = pg_catalog::system_relation(name, &context)?.ok_or_else(|| undefined(std::slice::from_ref(&name.name)))?;
        let RelationSource::View { query, columns, .. } = source else {
            bound.relations.push(place.bound(name, source));
            return Ok(());
        };
        let mut query = Arc::unwrap_or_clone(query);
        let scope = NameScope { database: name.database.clone(), search_path: vec![name.schema.clone()] };
        let mentions = qualify(&mut query, &scope, self.snapshot)?;
        let source = RelationSource::View { query: Arc::new(query), columns, runs_as: place.runs_as(), visible: None, policies: None };
        bound.relations.push(place.bound(name, source));
        self.bind_mentions(bound, &mentions, place.inside(place.principal)).await
    }
}

/// A view's query under the names of now, and what it names.
///
/// # Errors
/// As [`qualify`]; XX001 where the text does not read.
pub fn view_query(
    snapshot: &Snapshot,
    name: &RelationName,
    relation: &Relation,
    reads: &[ViewRead],
) -> Result<(sqlparser::ast::Query, Mentions), SqlError> {
    let mut query = super::parse::parse_query(relation.definition.as_deref().unwrap_or_default())?;
    let path = relation.properties.get(VIEW_SEARCH_PATH);
    let scope = NameScope {
        database: name.database.clone(),
        search_path: path.map(|path| path.split('\u{1f}').map(str::to_owned).collect()).unwrap_or_default(),
    };
    let mentions = qualify_view(&mut query, &scope, snapshot, reads)?;
    Ok((query, mentions))
}
