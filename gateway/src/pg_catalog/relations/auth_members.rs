//! `pg_auth_members`: who belongs to which role. Grantors of memberships are not kept: the superuser stands for them.

use arrow_array::RecordBatch;
use lakegate_catalog::model::BOOTSTRAP_ROLE_OID;

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::recorded::Recorded;
use crate::sqlstate::SqlError;

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    Columns::over(relation, context.snapshot.memberships())
        .put("roleid", |membership| membership.role)
        .put("member", |membership| membership.member)
        .all("grantor", BOOTSTRAP_ROLE_OID)
        .put("admin_option", |membership| membership.admin)
        .finish()
}
