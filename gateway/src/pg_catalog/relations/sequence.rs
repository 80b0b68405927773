//! `pg_sequence`: what sequences count.

use arrow_array::RecordBatch;
use lakegate_catalog::model::{Relation, Sequence};

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::recorded::Recorded;
use crate::sqlstate::SqlError;

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let stored = context.objects().stored();
    let sequences: Vec<(&Relation, &Sequence)> =
        stored.into_iter().filter_map(|relation| Some((relation, relation.sequence.as_ref()?))).collect();
    Columns::over(relation, &sequences)
        .put("seqrelid", |(relation, _)| relation.oid)
        .put("seqtypid", |(_, sequence)| sequence.data_type.oid)
        .put("seqstart", |(_, sequence)| sequence.start)
        .put("seqincrement", |(_, sequence)| sequence.increment)
        .put("seqmax", |(_, sequence)| sequence.max)
        .put("seqmin", |(_, sequence)| sequence.min)
        .put("seqcache", |(_, sequence)| sequence.cache)
        .put("seqcycle", |(_, sequence)| sequence.cycle)
        .finish()
}
