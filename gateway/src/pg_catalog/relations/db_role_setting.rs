//! `pg_db_role_setting`: settings that sessions start with.

use arrow_array::RecordBatch;
use lakegate_catalog::model::RoleSettings;

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::recorded::Recorded;
use crate::sqlstate::SqlError;

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let rows: Vec<&RoleSettings> = context.snapshot.role_settings().map(|settings| &**settings).collect();
    Columns::over(relation, &rows)
        .put("setdatabase", |row| row.database)
        .put("setrole", |row| row.role)
        .put("setconfig", |row| row.settings.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>())
        .finish()
}
