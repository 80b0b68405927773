//! Changes of tables.

/// Orders one process's writes to one table.
#[derive(Debug, Default)]
pub struct WriteQueue {
    pub order: tokio::sync::Mutex<()>,
}
