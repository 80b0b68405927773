//! `pg_stat_gssapi`: no session of this gateway has GSSAPI.

use arrow_array::RecordBatch;

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::recorded::Recorded;
use crate::sqlstate::SqlError;

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let sessions = super::activity::readable(context);
    Columns::over(relation, &sessions).put("pid", |session| session.pid).all("gss_authenticated", false).all("encrypted", false).finish()
}
