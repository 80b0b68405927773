//! Reading Delta tables: delta-rs replays the log, everything after it is ours. A scan is a plain Parquet scan, so all
//! of DataFusion's parallelism and pushdown applies, deletion vectors and column mapping included.

mod adapter;
mod change_feed;
mod decoded;
mod deletion_vector;
mod describe;
mod features;
mod files;
mod overlay;
mod provider;
mod prune;
mod schema;
mod snapshot;
mod statistics;

pub use self::adapter::{relabeled, renamed_type};
pub use self::change_feed::{CHANGE_TYPE, ChangeFeed, FEED_COLUMNS, FOLDER as CHANGE_FOLDER, is_recorded, not_recorded, replaced_by};
pub use self::deletion_vector::{Place as VectorPlace, packed as packed_vectors, place_of as vector_place};
pub use self::describe::{CONSTRAINT_PREFIX, describe};
pub use self::features::is_read;
pub use self::files::object_path;
pub use self::overlay::with_changes;
pub use self::provider::{FILE_COLUMN, ROW_COLUMN, SAMPLE_MARK, TableScan};
pub use self::schema::{DELTA_PG_TYPE_KEY, TableColumn, TableColumns, stored_type};
pub use self::snapshot::{Dated, Table, TableVersion, Tables};
