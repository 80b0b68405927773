//! `pg_stat_ssl`: which sessions are encrypted, and how. Those of other roles are shown to superusers and to who has their privileges.

use arrow_array::RecordBatch;

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::recorded::Recorded;
use crate::sqlstate::SqlError;

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let sessions = super::activity::readable(context);
    Columns::over(relation, &sessions)
        .put("pid", |session| session.pid)
        .put("ssl", |session| session.tls.is_some())
        .put("version", |session| session.tls.map(|tls| tls.version))
        .put("cipher", |session| session.tls.map(|tls| tls.cipher))
        .put("bits", |session| session.tls.map(|tls| tls.bits))
        .finish()
}
