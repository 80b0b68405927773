//! Rows that depend on nothing but a snapshot of the catalog, a role, a database and a search path (which says what temporary schema is
//! the session's own, and which names are shown without theirs), kept until the snapshot is gone: browsing asks for the same relations
//! again and again.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use arrow_array::RecordBatch;
use lakegate_catalog::Snapshot;
use lakegate_catalog::model::Oid;

use super::Context;

/// All that is kept may have this many bytes; what was made first goes first.
const BYTES_MAX: usize = 512 << 20;

/// One role's rows in one database under one search path.
struct Entry {
    snapshot: Weak<Snapshot>,
    current_role: Oid,
    session_role: Oid,
    database: String,
    search_path: Vec<String>,
    relations: HashMap<Oid, Vec<RecordBatch>>,
    bytes: usize,
}

static KEPT: LazyLock<Mutex<Vec<Entry>>> = LazyLock::new(Mutex::default);

/// The rows of a relation, if they are kept.
pub fn find(relation: Oid, context: &Context<'_>) -> Option<Vec<RecordBatch>> {
    let entries = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    entries.iter().find(|entry| entry.is_of(context))?.relations.get(&relation).cloned()
}

/// Keeps the rows of a relation.
pub fn keep(relation: Oid, context: &Context<'_>, rows: &[RecordBatch]) {
    let bytes: usize = rows.iter().map(RecordBatch::get_array_memory_size).sum();
    let mut entries = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    entries.retain(|entry| entry.snapshot.strong_count() > 0);
    let mut kept: usize = entries.iter().map(|entry| entry.bytes).sum();
    while kept + bytes > BYTES_MAX && !entries.is_empty() {
        kept -= entries.remove(0).bytes;
    }
    if bytes > BYTES_MAX {
        return;
    }
    let at = entries.iter().position(|entry| entry.is_of(context)).unwrap_or_else(|| {
        entries.push(Entry {
            snapshot: Arc::downgrade(context.snapshot),
            current_role: context.principal.current_role,
            session_role: context.principal.session_role,
            database: context.database.to_owned(),
            search_path: context.facts.search_path.clone(),
            relations: HashMap::new(),
            bytes: 0,
        });
        entries.len() - 1
    });
    if let Some(entry) = entries.get_mut(at)
        && entry.relations.insert(relation, rows.to_vec()).is_none()
    {
        entry.bytes += bytes;
    }
}

impl Entry {
    /// A `Weak` holds its allocation: another snapshot cannot have the same address.
    fn is_of(&self, context: &Context<'_>) -> bool {
        std::ptr::eq(self.snapshot.as_ptr(), Arc::as_ptr(context.snapshot))
            && self.current_role == context.principal.current_role
            && self.session_role == context.principal.session_role
            && self.database == context.database
            && self.search_path == context.facts.search_path
    }
}
