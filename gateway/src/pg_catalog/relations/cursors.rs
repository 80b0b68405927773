//! `pg_cursors`: the session's own, of DECLARE.

use arrow_array::RecordBatch;

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::recorded::Recorded;
use crate::sql::cursors::Cursor;
use crate::sqlstate::SqlError;

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let cursors: Vec<(&String, &Cursor)> = context.cursors.iter().collect();
    Columns::over(relation, &cursors)
        .put("name", |(name, _)| *name)
        .put("statement", |(_, cursor)| &*cursor.text)
        .put("is_holdable", |(_, cursor)| cursor.hold)
        .put("is_binary", |(_, cursor)| cursor.binary)
        .put("is_scrollable", |(_, cursor)| cursor.scroll == Some(true))
        .put("creation_time", |(_, cursor)| cursor.made)
        .finish()
}
