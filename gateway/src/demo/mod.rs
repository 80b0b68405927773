//! The demo database: made once, by the statements of `demo.sql`, through the same way as a client's.

use std::sync::Arc;

use lakegate_catalog::auth::Authenticated;
use tokio_util::sync::CancellationToken;

use crate::frontend::{Response, SessionStart, SqlSession, SqlSessions};
use crate::sql::session::{Sessions, Shared};
use crate::sqlstate::SqlError;

const STATEMENTS: &str = include_str!("demo.sql");
const DATABASE: &str = "demo";

/// Makes the database unless it is there. A first start that was interrupted begins anew.
///
/// # Errors
/// What the first failing statement says.
pub async fn fill(shared: &Arc<Shared>, identity: Authenticated) -> Result<(), SqlError> {
    let snapshot = shared.catalog.refresh().await?;
    let complete = snapshot
        .database_by_name(DATABASE)
        .and_then(|database| snapshot.schema(database.oid, "security"))
        .and_then(|schema| snapshot.relation(schema.oid, "events"))
        .is_some_and(|events| events.comment.is_some());
    if complete {
        return Ok(());
    }
    let start = SessionStart::internal(identity, "main", "lakegate demo");
    let mut session = Sessions(Arc::clone(shared)).open(start).await?;
    if snapshot.database_by_name(DATABASE).is_some() {
        run(session.as_mut(), "DROP DATABASE demo").await?;
    }
    run(session.as_mut(), STATEMENTS).await?;
    session.close().await;
    Ok(())
}

async fn run(session: &mut dyn SqlSession, text: &str) -> Result<(), SqlError> {
    for statement in session.parse(text)? {
        let prepared = session.prepare(statement, &[]).await?;
        match session.execute(&prepared, Vec::new(), CancellationToken::new()).await? {
            Response::Command { .. } | Response::Empty => {}
            _ => return Err(SqlError::unsupported("a statement with rows in the demo database")),
        }
        session.end_of_message(false).await?;
    }
    Ok(())
}
