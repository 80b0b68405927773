//! Changes of tables. Rows are checked, written to data files, and made visible by one commit.

mod alter;
mod append;
mod append_rows;
mod apply;
mod assign;
mod change;
mod checks;
mod commit;
mod copy;
mod create;
mod defaults;
mod definition;
mod dml;
mod files;
mod insert;
mod parts;
mod queue;
mod remove;
mod spool;
mod staged;
mod target;
mod together;
mod transaction;

pub use self::alter::alter_table;
pub use self::append_rows::append_rows;
pub use self::change::{prepare_change, prepare_truncates};
pub use self::copy::PreparedCopy;
pub use self::create::{create_table, prepare_create_as};
pub use self::parts::prepare_parts;
pub use self::queue::WriteQueue;
pub use self::remove::drop_table;
pub use self::together::{Part, commit_together, undo_commits};
pub use self::transaction::LocalTransaction;
