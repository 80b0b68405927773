//! What is in memory of tables that nobody asks for: another process may have deleted their files, or erased people from them, and no
//! statement comes that would find out. Looked at once a minute.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Shared;

const EVERY: Duration = Duration::from_secs(60);

/// Rows that nobody asked for as long go.
const IDLE: Duration = Duration::from_secs(600);

/// Files that are looked for at a time; the others have their turn later.
const FILES_MAX: usize = 1_000;

/// Ends with the engine.
pub async fn keep_swept(shared: Weak<Shared>) {
    let mut looked = HashSet::new();
    loop {
        tokio::time::sleep(EVERY).await;
        let Some(shared) = shared.upgrade() else { return };
        sweep(&shared, &mut looked).await;
    }
}

async fn sweep(shared: &Arc<Shared>, looked: &mut HashSet<object_store::path::Path>) {
    shared.results.expire(IDLE);
    shared.tables.look_at_dated().await;
    let cache = shared.tables.decoded();
    let files = cache.files();
    if files.iter().all(|file| looked.contains(&file.path)) {
        looked.clear();
    }
    for file in files.into_iter().filter(|file| !looked.contains(&file.path)).take(FILES_MAX).collect::<Vec<_>>() {
        if shared.tables.stores().is_gone(&file.store, &file.path).await {
            cache.forget([&file.path]);
        }
        looked.insert(file.path);
    }
}
