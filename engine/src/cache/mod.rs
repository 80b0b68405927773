//! What the engine keeps in memory of data files.

mod decoded;
mod frequency;
mod pool;
mod zones;

pub use self::decoded::{Column, ColumnKey, DecodedCache, FileKey, Found};
pub use self::pool::YieldingPool;
