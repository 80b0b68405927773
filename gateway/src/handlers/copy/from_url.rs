//! COPY t FROM 'url': Parquet files under an external location.

use lakegate_catalog::authorize::{Access, ColumnsChanged, file_access};
use lakegate_catalog::model::Privilege;
use lakegate_engine_api::{BoundStatement, Execution, ExecutionContext, FilePlace, Work};
use sqlparser::ast::ObjectName;

use super::from::inserted_columns;
use crate::frontend::Response;
use crate::server::Copy;
use crate::sql::bind::Bound;
use crate::sql::execute::Deadline;
use crate::sql::facets::Facets;
use crate::sql::grammar::name_parts;
use crate::sql::journal::Journal;
use crate::sql::prepare::PreparedStatement;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{SqlError, SqlState};

pub async fn run(
    session: &mut GatewaySession,
    statement: &PreparedStatement,
    table: &ObjectName,
    columns: &[String],
    url: &str,
    deadline: &Deadline,
) -> Result<Response, SqlError> {
    session.refuse_read_only("COPY FROM")?;
    let snapshot = session.catalog().refresh().await?;
    let facts = session.facts(&snapshot);
    let access = file_access(&snapshot, &session.principal, url, Privilege::ReadFiles)?;
    let target = session.scope(&snapshot).resolve(&snapshot, &name_parts(table)?)?;
    session.open_change("COPY FROM", &target)?;
    session.changes_made += 1;
    let mut bound = Bound::default();
    let binder = session.binder(&snapshot, &facts);
    let inserted = snapshot.relation_by_name(&target).map(|relation| inserted_columns(relation, columns));
    binder
        .bind_target(&mut bound, target.clone(), Access::INSERT, &ColumnsChanged { inserted, ..ColumnsChanged::default() }, false)
        .await?;
    let touched = Facets::of_bound(&session.catalog().snapshot(), &bound);
    let journal = Journal::begin(session, &statement.command, &statement.text, &[], &touched, true).await?;
    let journal = session.admitted(journal, deadline).await?;
    let relation = bound.relation(&target, None).map_or(0, super::from::relation_oid);
    let copied = Copy::new(session, relation, true).counted_as(journal.statement_id());
    let copy = session.shared.system.live().work().enter_copy(copied);
    copy.of_files(0, 0);
    let place = FilePlace { url: access.url().to_string(), within: access.location().url.clone() };
    let work = Work::CopyFrom { target, columns: columns.to_vec(), place };
    let result = async {
        let prepared = session
            .engine()
            .prepare(BoundStatement {
                statement_id: journal.statement_id(),
                work,
                relations: bound.relations.clone(),
                session: facts,
                parameter_types: Vec::new(),
                renewable: false,
                keeps_rows_after: None,
            })
            .await?;
        let context = ExecutionContext { statement_id: journal.statement_id(), cancel: deadline.token().clone() };
        match prepared.execute(Vec::new(), context).await? {
            Execution::Done(outcome) => Ok(outcome),
            Execution::Rows { .. } | Execution::Returned { .. } => Err(SqlError::new(SqlState::InternalError, "COPY FROM answered rows")),
        }
    };
    let result = result.await;
    drop(copy);
    match deadline.explain(result) {
        Ok(outcome) => {
            let tag = format!("COPY {}", outcome.rows);
            session.change_done(journal, outcome).await?;
            Ok(Response::Command { tag })
        }
        Err(error) => {
            journal.failed(&error).await;
            Err(error)
        }
    }
}
