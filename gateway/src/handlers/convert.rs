//! CONVERT TO DELTA: Parquet files that lie in a folder become a Delta table where they lie.

use lakegate_catalog::model::Privilege;
use lakegate_engine_api::{ColumnDefinition, Outcome};

use super::copy::place_of;
use crate::frontend::Response;
use crate::sql::execute::Deadline;
use crate::sql::grammar::ConvertToDelta;
use crate::sql::journal::Journal;
use crate::sql::session::GatewaySession;
use crate::sql::types::column_type;
use crate::sqlstate::{Severity, SqlError, SqlState};

pub async fn run(
    session: &mut GatewaySession,
    convert: &ConvertToDelta,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<Response, SqlError> {
    if session.in_transaction() {
        let text = "CONVERT TO DELTA cannot run inside a transaction block";
        return Err(SqlError::new(SqlState::ActiveSqlTransaction, text));
    }
    place_of(session, &convert.url, Privilege::ReadFiles).await?;
    let place = place_of(session, &convert.url, Privilege::WriteFiles).await?;
    let mut partitions = Vec::with_capacity(convert.partitioned_by.len());
    for (name, data_type) in &convert.partitioned_by {
        partitions.push(ColumnDefinition { name: name.clone(), data_type: column_type(data_type)?, not_null: false });
    }
    let Outcome { files_written, .. } =
        session.engine().convert_to_delta(&place, partitions, super::create_table::context(journal, deadline)).await?;
    let files = if files_written == 1 { "file" } else { "files" };
    let text = format!("{files_written} Parquet {files} are a Delta table now");
    let register = format!("CREATE TABLE name USING DELTA LOCATION '{}'", convert.url.replace('\'', "''"));
    let told = SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text).hint(format!("Register it: {register};"));
    session.notice(told);
    Ok(Response::Command { tag: "CONVERT".to_owned() })
}
