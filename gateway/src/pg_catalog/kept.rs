//! System relations whose rows depend on nothing but a snapshot of the catalog, a role, a database and a search path (which says what
//! temporary schema is the session's own, and which names are shown without theirs). Their columns are made when a statement first reads
//! them, and kept until the snapshot is gone: browsing asks for the same ones again and again, and for few of each relation.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::model::Oid;
use lakegate_engine_api::{EngineError, KeyFilter, SessionFacts, SystemColumns};

use super::only::Only;
use super::recorded::Recorded;
use super::relations::{Maker, NAMED_BY_PATH};
use super::{Context, broken};
use crate::server::LiveSessions;
use crate::sql::advisory::AdvisoryLocks;
use crate::sql::cursors::Cursors;
use crate::sql::named_statements::NamedStatements;
use crate::sql::temporary::own_schema;
use crate::sqlstate::SqlError;

/// All that is kept may have this many bytes; what was made first goes first.
const BYTES_MAX: usize = 512 << 20;

/// A relation as one role sees it in one database.
#[derive(Debug)]
pub struct OnDemand {
    relation: &'static Recorded,
    maker: Maker,
    snapshot: Arc<Snapshot>,
    principal: Principal,
    database: String,
    facts: Arc<SessionFacts>,
}

impl OnDemand {
    pub fn new(relation: &'static Recorded, maker: Maker, context: &Context<'_>) -> Self {
        OnDemand {
            relation,
            maker,
            snapshot: Arc::clone(context.snapshot),
            principal: context.principal,
            database: context.database.to_owned(),
            facts: Arc::clone(context.facts),
        }
    }

    /// Of the search path what the relation depends on.
    fn path(&self) -> Vec<&str> {
        if NAMED_BY_PATH.contains(&self.relation.name) {
            return self.facts.search_path.iter().map(String::as_str).collect();
        }
        own_schema(&self.facts.search_path).into_iter().collect()
    }

    /// Batches of these columns, in this order.
    fn batches(&self, wanted: &[usize], keys: &[KeyFilter]) -> Result<Vec<RecordBatch>, SqlError> {
        let missing = match self.entry(&mut kept()).and_then(|entry| entry.relations.get(&self.relation.oid)) {
            Some(made) => {
                let missing = made.missing(wanted);
                if missing.is_empty() {
                    return made.batches(self.relation, wanted);
                }
                missing
            }
            None => Made::default().missing(wanted),
        };
        if let Some(only) = Only::of(self.relation, keys) {
            // Few rows: they are made again as fast as they are found.
            return Made::of(self.make(wanted, Some(&only))?, wanted).batches(self.relation, wanted);
        }
        // Nobody waits for it but who asked.
        let made = Made::of(self.make(&missing, None)?, &missing);
        let mut all = kept();
        all.retain(|entry| entry.snapshot.strong_count() > 0);
        if self.entry(&mut all).is_none() {
            all.push(self.new_entry());
        }
        let Some(entry) = self.entry(&mut all) else { return Err(broken("nothing can be kept")) };
        let relation = entry.relations.entry(self.relation.oid).or_default();
        entry.bytes += relation.add(made);
        // What has been dropped meanwhile is made again.
        let batches = relation.missing(wanted).is_empty().then(|| relation.batches(self.relation, wanted));
        drop_first(&mut all);
        drop(all);
        batches.unwrap_or_else(|| Made::of(self.make(wanted, None)?, wanted).batches(self.relation, wanted))
    }

    fn make(&self, columns: &[usize], only: Option<&Only>) -> Result<Vec<RecordBatch>, SqlError> {
        // What is of the moment is made elsewhere.
        let (live, named, cursors) = (LiveSessions::default(), NamedStatements::default(), Cursors::default());
        let advisory = AdvisoryLocks::default();
        let context = Context {
            snapshot: &self.snapshot,
            principal: self.principal,
            database: &self.database,
            facts: &self.facts,
            live: &live,
            named: &named,
            cursors: &cursors,
            advisory: &advisory,
            columns: Some(columns),
            only,
        };
        let batches = (self.maker)(self.relation, &context)?;
        batches.into_iter().map(|batch| narrowed(self.relation, batch, columns)).collect()
    }

    fn entry<'k>(&self, all: &'k mut [Entry]) -> Option<&'k mut Entry> {
        let path = self.path();
        all.iter_mut().find(|entry| entry.is_of(self, &path))
    }

    fn new_entry(&self) -> Entry {
        Entry {
            snapshot: Arc::downgrade(&self.snapshot),
            current_role: self.principal.current_role,
            session_role: self.principal.session_role,
            database: self.database.clone(),
            path: self.path().into_iter().map(str::to_owned).collect(),
            relations: HashMap::new(),
            bytes: 0,
        }
    }
}

impl SystemColumns for OnDemand {
    fn read(&self, columns: &[usize], keys: &[KeyFilter]) -> Result<Vec<RecordBatch>, EngineError> {
        self.batches(columns, keys).map_err(|error| EngineError::Internal { message: error.message })
    }
}

/// What a maker gave, where it gave more than it was asked for.
fn narrowed(relation: &Recorded, batch: RecordBatch, columns: &[usize]) -> Result<RecordBatch, SqlError> {
    if batch.num_columns() == columns.len() {
        return Ok(batch);
    }
    batch.project(columns).map_err(|error| broken(format_args!("{}: {error}", relation.name)))
}

/// One role's relations in one database under one search path.
struct Entry {
    snapshot: Weak<Snapshot>,
    current_role: Oid,
    session_role: Oid,
    database: String,
    path: Vec<String>,
    relations: HashMap<Oid, Made>,
    bytes: usize,
}

impl Entry {
    /// A `Weak` holds its allocation: another snapshot cannot have the same address.
    fn is_of(&self, asked: &OnDemand, path: &[&str]) -> bool {
        std::ptr::eq(self.snapshot.as_ptr(), Arc::as_ptr(&asked.snapshot))
            && self.current_role == asked.principal.current_role
            && self.session_role == asked.principal.session_role
            && self.database == asked.database
            && self.path.iter().map(String::as_str).eq(path.iter().copied())
    }
}

/// The columns of a relation that were asked for so far, batch by batch.
#[derive(Default)]
struct Made {
    rows: Vec<usize>,
    /// By place in the relation: one array a batch.
    columns: HashMap<usize, Vec<ArrayRef>>,
}

impl Made {
    fn of(batches: Vec<RecordBatch>, columns: &[usize]) -> Made {
        let rows = batches.iter().map(RecordBatch::num_rows).collect();
        let arrays = |at: usize| batches.iter().map(|batch| Arc::clone(batch.column(at))).collect();
        Made { rows, columns: columns.iter().enumerate().map(|(at, column)| (*column, arrays(at))).collect() }
    }

    fn missing(&self, wanted: &[usize]) -> Vec<usize> {
        let mut missing: Vec<usize> = wanted.iter().copied().filter(|column| !self.columns.contains_key(column)).collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    /// Gives the bytes that came.
    fn add(&mut self, more: Made) -> usize {
        let bytes = more.columns.values().flatten().map(|array| array.get_array_memory_size()).sum();
        self.rows = more.rows;
        self.columns.extend(more.columns);
        bytes
    }

    fn batches(&self, relation: &Recorded, wanted: &[usize]) -> Result<Vec<RecordBatch>, SqlError> {
        let broken = |error: &dyn std::fmt::Display| broken(format_args!("{}: {error}", relation.name));
        let schema = Arc::new(relation.schema.project(wanted).map_err(|error| broken(&error))?);
        let batch = |(at, rows): (usize, &usize)| {
            let arrays: Option<Vec<ArrayRef>> = wanted.iter().map(|column| self.columns.get(column)?.get(at).cloned()).collect();
            let options = RecordBatchOptions::new().with_row_count(Some(*rows));
            let arrays = arrays.ok_or_else(|| broken(&"a column is missing"))?;
            RecordBatch::try_new_with_options(Arc::clone(&schema), arrays, &options).map_err(|error| broken(&error))
        };
        self.rows.iter().enumerate().map(batch).collect()
    }
}

static KEPT: LazyLock<Mutex<Vec<Entry>>> = LazyLock::new(Mutex::default);

fn kept() -> MutexGuard<'static, Vec<Entry>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn drop_first(all: &mut Vec<Entry>) {
    let mut bytes: usize = all.iter().map(|entry| entry.bytes).sum();
    while bytes > BYTES_MAX && !all.is_empty() {
        bytes -= all.remove(0).bytes;
    }
}
