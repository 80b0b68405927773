//! The texts of saved queries: one row a version, in the data plane.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use lakegate_catalog::model::PgType;
use lakegate_catalog::privacy::Named;
use lakegate_engine_api::{Erasure, Needles, Purge, SubjectRule, arrow_field};
use uuid::Uuid;

use crate::own_tables::{OwnTable, context, internal, texts};
use crate::privacy::string;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{SqlError, SqlState};

pub const TABLE: OwnTable = OwnTable {
    schema: "lakegate",
    relation: "saved_queries",
    folder: "saved_queries",
    columns: &[("text_id", PgType::TEXT), ("definition", PgType::TEXT)],
    partitioned_by: &[],
    // Each column's smallest and largest value would be in the log, too: an erasure would have to find them there.
    properties: &[("delta.dataSkippingStatsColumns", "text_id")],
};

const LEASE: Duration = Duration::from_secs(120);
const LEASE_NAME: &str = "saved query texts";
const TURN: Duration = Duration::from_millis(100);
/// Objects are dated to the second.
const DATE_TICK: Duration = Duration::from_millis(1_500);

/// One writer of the table at a time: an erasure looks through all that is there, and nothing comes past it.
static WRITER: LazyLock<tokio::sync::Mutex<()>> = LazyLock::new(tokio::sync::Mutex::default);

#[must_use]
pub fn location(session: &GatewaySession) -> String {
    TABLE.location(&session.shared.warehouse_root)
}

/// Adds a text; nobody knows it until the catalog has its number.
///
/// # Errors
/// The store's.
pub async fn add(session: &GatewaySession, text_id: Uuid, definition: &str) -> Result<(), SqlError> {
    let _turn = WRITER.lock().await;
    wait_for_lease(session).await?;
    let added = add_now(session, text_id, definition).await;
    session.shared.catalog.give_back_lease(LEASE_NAME).await?;
    added
}

async fn add_now(session: &GatewaySession, text_id: Uuid, definition: &str) -> Result<(), SqlError> {
    let (engine, root) = (session.shared.engine.as_ref(), session.shared.warehouse_root.as_str());
    TABLE.make(engine, root).await?;
    let fields: Option<Vec<_>> = TABLE.columns.iter().map(|(name, data_type)| arrow_field(name, *data_type, true)).collect();
    let schema = Arc::new(arrow_schema::Schema::new(fields.ok_or_else(|| internal("a column of our own has no type"))?));
    let column = |text: String| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
    let batch = RecordBatch::try_new(schema, vec![column(text_id.to_string()), column(definition.to_owned())]).map_err(internal)?;
    let facts = session.facts(&session.catalog().snapshot());
    TABLE.append(engine, root, vec![batch], facts).await.map(drop)
}

async fn wait_for_lease(session: &GatewaySession) -> Result<(), SqlError> {
    let until = tokio::time::Instant::now() + LEASE;
    while !session.shared.catalog.take_lease(LEASE_NAME, LEASE).await? {
        if tokio::time::Instant::now() >= until {
            return Err(SqlError::new(SqlState::LockNotAvailable, "another gateway is writing saved queries"));
        }
        tokio::time::sleep(TURN).await;
    }
    Ok(())
}

/// Deletes texts that no query has any more; an erasure finds what this leaves behind.
///
/// # Errors
/// The store's.
pub async fn forget(session: &GatewaySession, text_ids: &[Uuid]) -> Result<(), SqlError> {
    let _turn = WRITER.lock().await;
    let facts = session.facts(&session.catalog().snapshot());
    let ids = text_ids.iter().map(Uuid::to_string).collect();
    let erasure = Erasure { keys: vec![("text_id".to_owned(), ids)], rule: SubjectRule::Delete, dry_run: false };
    let table = TABLE.bound(&session.shared.warehouse_root, None, None);
    session.shared.engine.erase_rows(table, erasure, facts, context()).await?;
    Ok(())
}

/// # Errors
/// 42704 where there is none.
pub async fn text(session: &GatewaySession, text_id: Uuid) -> Result<String, SqlError> {
    let query = format!("SELECT definition FROM {} WHERE text_id = {}", TABLE.sql_name(), string(&text_id.to_string()));
    let rows = read(session, &query).await?;
    let text = rows.into_iter().next().and_then(|row| row.into_iter().next().flatten());
    text.ok_or_else(|| SqlError::new(SqlState::UndefinedObject, "the text of the saved query is gone"))
}

async fn read(session: &GatewaySession, query: &str) -> Result<Vec<Vec<Option<String>>>, SqlError> {
    let facts = session.facts(&session.catalog().snapshot());
    texts(TABLE.query(session.shared.engine.as_ref(), &session.shared.warehouse_root, None, query, facts).await?).await
}

/// Replaces the texts that name a data subject, those that no query has any more among them, and makes an end of what was there before.
/// Gives how many; 0 and no table where nothing was ever saved.
///
/// # Errors
/// The store's: to be tried again.
pub async fn erase(session: &GatewaySession, request: Uuid, needles: &Needles, named: &Named<'_>) -> Result<u64, SqlError> {
    let _turn = WRITER.lock().await;
    wait_for_lease(session).await?;
    let erased = erase_now(session, request, needles, named).await;
    session.shared.catalog.give_back_lease(LEASE_NAME).await?;
    erased
}

async fn erase_now(session: &GatewaySession, request: Uuid, needles: &Needles, named: &Named<'_>) -> Result<u64, SqlError> {
    let (engine, root) = (session.shared.engine.as_ref(), session.shared.warehouse_root.as_str());
    TABLE.make(engine, root).await?;
    let mut ids = Vec::new();
    for row in read(session, &format!("SELECT text_id, definition FROM {}", TABLE.sql_name())).await? {
        if let [Some(id), Some(definition)] = row.as_slice()
            && named.is_in(definition.as_bytes(), &mentioned(definition, named.tables))
        {
            ids.push(id.clone());
        }
    }
    let count = u64::try_from(ids.len()).unwrap_or(u64::MAX);
    let facts = session.facts(&session.catalog().snapshot());
    let note = format!("SELECT 'erased: named a data subject, request {request}'");
    let rule = SubjectRule::Replace(vec![("definition".to_owned(), Some(note))]);
    let erasure = Erasure { keys: vec![("text_id".to_owned(), ids)], rule, dry_run: false };
    engine.erase_rows(TABLE.bound(root, None, None), erasure, facts, context()).await?;
    let (before, _) = engine.store_time(&TABLE.location(root)).await?;
    tokio::time::sleep(DATE_TICK).await;
    let secret = session.shared.catalog.erasure_secret(request);
    let purge = Purge { request: request.to_string(), secret, before, needles: needles.clone() };
    engine.purge_history(TABLE.bound(root, None, None), purge, context()).await?;
    Ok(count)
}

/// The tables whose last name stands in the text.
fn mentioned(text: &str, tables: &[String]) -> String {
    let text = text.to_lowercase();
    let is_named = |table: &&String| table.rsplit('.').next().is_some_and(|name| text.contains(&name.to_lowercase()));
    tables.iter().filter(is_named).map(String::as_str).collect::<Vec<_>>().join(" ")
}
