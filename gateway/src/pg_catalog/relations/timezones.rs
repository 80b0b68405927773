//! `pg_timezone_names`: zones that `TimeZone` accepts, with their offset at this moment.

use arrow_array::RecordBatch;
use chrono::{Offset, TimeZone};
use chrono_tz::{OffsetComponents, OffsetName, TZ_VARIANTS};

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::{Cell, Columns};
use crate::pg_catalog::recorded::Recorded;
use crate::sqlstate::SqlError;

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let now = context.facts.statement_time.naive_utc();
    let zones: Vec<_> = TZ_VARIANTS.iter().map(|zone| (zone.name(), zone.offset_from_utc_datetime(&now))).collect();
    Columns::over(relation, &zones)
        .put("name", |(name, _)| *name)
        .put("abbrev", |(_, offset)| offset.abbreviation().unwrap_or_default().to_owned())
        .put("utc_offset", |(_, offset)| Cell::Seconds(i64::from(offset.fix().local_minus_utc())))
        .put("is_dst", |(_, offset)| !offset.dst_offset().is_zero())
        .finish()
}
