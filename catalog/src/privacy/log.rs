//! Statements and audit events that name a data subject: what is sealed of them is replaced, who did what when stays.

use chrono::Utc;
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use crate::audit::{AuditEvent, AuditStatus};
use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::keyring::Cell;
use crate::needles::Needles;

/// Rows opened at once.
const PAGE: i64 = 500;

/// Where statements are, and what names the tables that they are about: as their ends know them.
const STATEMENTS: [(&str, &str); 2] = [
    ("statements", "COALESCE(ended_tables_read, tables_read) || ' ' || COALESCE(ended_tables_written, tables_written)"),
    ("flushed_statements", "tables"),
];

/// What was replaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogErased {
    pub statements: u64,
    pub audit_events: u64,
    /// Entries whose keys were destroyed before: nobody can open them.
    pub destroyed: u64,
    /// Entries of the blind index that stood for an identifier.
    pub index_entries: u64,
    /// The audit event of this, which the entries name: without it the log would not be whole.
    event: Option<Uuid>,
}

/// What is looked for in opened entries.
pub struct Named<'a> {
    pub needles: &'a Needles,
    /// Too short to be looked for everywhere: these count as words of statements that name one of the tables.
    pub short: &'a [String],
    /// Three-part names.
    pub tables: &'a [String],
    /// All of them, for the blind index.
    pub identifiers: &'a [String],
}

impl Named<'_> {
    /// `tables`: three-part names of tables that the text is about.
    #[must_use]
    pub fn is_in(&self, plain: &[u8], tables: &str) -> bool {
        if self.needles.find(plain).is_some() {
            return true;
        }
        let Ok(text) = std::str::from_utf8(plain) else { return false };
        self.tables.iter().any(|table| tables.contains(table.as_str())) && self.short.iter().any(|word| has_word(text, word))
    }
}

/// Between characters that are part of no longer word.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|after| after.chars().next());
        !word.is_empty() && !is_part(before) && !is_part(after)
    })
}

fn erasure_event(request: Uuid) -> AuditEvent {
    AuditEvent {
        event_time: Utc::now(),
        actor_oid: 0,
        actor: "server".to_owned(),
        run_as: "server".to_owned(),
        source_ip_address: None,
        session_id: None,
        client_application: None,
        auth_method: None,
        service_name: "privacy".to_owned(),
        action_name: "erase_log_texts".to_owned(),
        object_type: Some("request".to_owned()),
        object_name: Some(request.to_string()),
        request_params: serde_json::Value::Null,
        status: AuditStatus::Success,
        sqlstate: None,
        error_message: None,
        rows_affected: None,
        statement_id: None,
    }
}

impl Catalog {
    /// Goes through all entries of both logs. What is replaced says `erased` and the request. Idempotent.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`], [`CatalogError::Corrupted`] where an entry does not open.
    pub async fn erase_from_logs(&self, request: Uuid, named: &Named<'_>) -> Result<LogErased, CatalogError> {
        self.log().flush().await?;
        let mut erased = LogErased::default();
        // Records that are flushed meanwhile move from the first of the two places to the second, never back.
        for place in STATEMENTS {
            self.erase_statements(place, request, named, &mut erased).await?;
        }
        for table in ["audit_events", "flushed_events"] {
            self.erase_audit(table, request, named, &mut erased).await?;
        }
        erased.index_entries = self.erase_literals(named.identifiers).await?;
        Ok(erased)
    }

    /// The event of an erasure, on disk before the first entry is replaced.
    async fn erasure(&self, request: Uuid, erased: &mut LogErased) -> Result<String, CatalogError> {
        let event = match erased.event {
            Some(event) => event,
            None => self.audit_durable(erasure_event(request)).await?,
        };
        erased.event = Some(event);
        Ok(event.to_string())
    }

    async fn erase_statements(
        &self,
        (table, about): (&str, &str),
        request: Uuid,
        named: &Named<'_>,
        erased: &mut LogErased,
    ) -> Result<(), CatalogError> {
        let mut last = String::new();
        loop {
            let rows = sqlx::query(AssertSqlSafe(format!(
                "SELECT statement_id, executed_by_oid, start_time, key_id, sealed_statement, sealed_error, {about} \
                 FROM {table} WHERE statement_id > $1 AND sealed_statement IS NOT NULL ORDER BY statement_id LIMIT $2",
            )))
            .bind(last.clone())
            .bind(PAGE)
            .fetch_all(self.store().reads())
            .await?;
            for row in &rows {
                let id: String = row.try_get(0)?;
                let (role, start): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
                let role = crate::store::number(role)?;
                last.clone_from(&id);
                let key = match self.keyring().by_id(&row.try_get::<String, _>(3)?).await {
                    Err(CatalogError::KeyDestroyed) => {
                        erased.destroyed += 1;
                        continue;
                    }
                    key => key?,
                };
                let tables: String = row.try_get(6)?;
                let statement = Cell { table: "statements", column: "sealed_statement", id: &id, role, time: start };
                let error = Cell { column: "sealed_error", ..statement };
                let sealed: Vec<u8> = row.try_get(4)?;
                let names_statement = named.is_in(&key.open(statement, &sealed)?, &tables);
                let names_error = match row.try_get::<Option<Vec<u8>>, _>(5)? {
                    Some(sealed) => named.is_in(&key.open(error, &sealed)?, &tables),
                    None => false,
                };
                if !names_statement && !names_error {
                    continue;
                }
                let note = format!("<erased: named a data subject, request {request}>");
                let empty = serde_json::json!({ "text": note, "parameters": [], "query_tags": {} });
                let plain = serde_json::to_vec(&empty).map_err(CatalogError::internal)?;
                let event = self.erasure(request, erased).await?;
                let mut transaction = self.store().begin_write().await?;
                if names_statement {
                    sqlx::query(AssertSqlSafe(format!("UPDATE {table} SET sealed_statement = $2, erased_by = $3 WHERE statement_id = $1")))
                        .bind(id.clone())
                        .bind(key.seal(statement, &plain)?)
                        .bind(event.clone())
                        .execute(&mut *transaction)
                        .await?;
                }
                if names_error {
                    sqlx::query(AssertSqlSafe(format!("UPDATE {table} SET sealed_error = $2, erased_by = $3 WHERE statement_id = $1")))
                        .bind(id.clone())
                        .bind(key.seal(error, note.as_bytes())?)
                        .bind(event.clone())
                        .execute(&mut *transaction)
                        .await?;
                }
                sqlx::query("DELETE FROM statement_literals WHERE statement_id = $1").bind(id.clone()).execute(&mut *transaction).await?;
                transaction.commit().await?;
                erased.statements += 1;
            }
            if i64::try_from(rows.len()).unwrap_or(PAGE) < PAGE {
                return Ok(());
            }
        }
    }

    async fn erase_audit(&self, table: &str, request: Uuid, named: &Named<'_>, erased: &mut LogErased) -> Result<(), CatalogError> {
        let mut last = String::new();
        loop {
            let rows = sqlx::query(AssertSqlSafe(format!(
                "SELECT event_id, actor_oid, event_time, key_id, sealed_detail, object_name FROM {table} WHERE event_id > $1 \
                 AND sealed_detail IS NOT NULL ORDER BY event_id LIMIT $2",
            )))
            .bind(last.clone())
            .bind(PAGE)
            .fetch_all(self.store().reads())
            .await?;
            for row in &rows {
                let id: String = row.try_get(0)?;
                let (role, at): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
                let role = crate::store::number(role)?;
                last.clone_from(&id);
                let key = match self.keyring().by_id(&row.try_get::<String, _>(3)?).await {
                    Err(CatalogError::KeyDestroyed) => {
                        erased.destroyed += 1;
                        continue;
                    }
                    key => key?,
                };
                let detail = Cell { table: "audit_events", column: "sealed_detail", id: &id, role, time: at };
                let tables: String = row.try_get::<Option<String>, _>(5)?.unwrap_or_default();
                if !named.is_in(&key.open(detail, &row.try_get::<Vec<u8>, _>(4)?)?, &tables) {
                    continue;
                }
                let note = format!("<erased: named a data subject, request {request}>");
                let plain = serde_json::json!({ "request_params": null, "error_message": note });
                let plain = serde_json::to_vec(&plain).map_err(CatalogError::internal)?;
                let event = self.erasure(request, erased).await?;
                let mut transaction = self.store().begin_write().await?;
                sqlx::query(AssertSqlSafe(format!("UPDATE {table} SET sealed_detail = $2, erased_by = $3 WHERE event_id = $1")))
                    .bind(id.clone())
                    .bind(key.seal(detail, &plain)?)
                    .bind(event)
                    .execute(&mut *transaction)
                    .await?;
                transaction.commit().await?;
                erased.audit_events += 1;
            }
            if i64::try_from(rows.len()).unwrap_or(PAGE) < PAGE {
                return Ok(());
            }
        }
    }

    /// How many entries of the logs still name somebody: an answer by opening them all again.
    ///
    /// # Errors
    /// As [`Catalog::erase_from_logs`].
    pub async fn log_entries_naming(&self, named: &Named<'_>) -> Result<(u64, u64), CatalogError> {
        self.log().flush().await?;
        let (mut opened, mut naming) = (0, self.indexed_literals(named.identifiers).await?);
        let columns = ["sealed_statement", "sealed_error"];
        let of_statements = STATEMENTS.map(|(from, about)| Entries {
            from,
            about,
            table: "statements",
            id: "statement_id",
            role: "executed_by_oid",
            time: "start_time",
            columns: &columns,
        });
        let of_events = ["audit_events", "flushed_events"].map(|from| Entries {
            from,
            about: "COALESCE(object_name, '')",
            table: "audit_events",
            id: "event_id",
            role: "actor_oid",
            time: "event_time",
            columns: &["sealed_detail"],
        });
        for entries in of_statements.iter().chain(&of_events) {
            let mut last = String::new();
            while let Some(next) = self.entries_naming(entries, &last, named, &mut opened, &mut naming).await? {
                last = next;
            }
        }
        Ok((opened, naming))
    }

    /// A page of entries behind `last`: opened, counted; gives where the next begins.
    async fn entries_naming(
        &self,
        entries: &Entries<'_>,
        last: &str,
        named: &Named<'_>,
        opened: &mut u64,
        naming: &mut u64,
    ) -> Result<Option<String>, CatalogError> {
        let Entries { from, about, table, id, role, time, columns } = *entries;
        let sealed = columns.join(", ");
        let is_sealed = columns.iter().map(|column| format!("{column} IS NOT NULL")).collect::<Vec<_>>().join(" OR ");
        let sql = format!(
            "SELECT {id}, {role}, {time}, key_id, {about}, {sealed} FROM {from} WHERE {id} > $1 AND ({is_sealed}) ORDER BY {id} LIMIT $2"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(last.to_owned()).bind(PAGE).fetch_all(self.store().reads()).await?;
        let mut next = None;
        for row in &rows {
            let id: &str = row.try_get(0)?;
            next = Some(id);
            let key = match self.keyring().by_id(row.try_get(3)?).await {
                Err(CatalogError::KeyDestroyed) => continue,
                key => key?,
            };
            for (at, column) in columns.iter().enumerate() {
                let Some(sealed) = row.try_get::<Option<&[u8]>, _>(5 + at)? else { continue };
                let cell = Cell { table, column, id, role: crate::store::number(row.try_get(1)?)?, time: row.try_get(2)? };
                *opened += 1;
                *naming += u64::from(named.is_in(&key.open(cell, sealed)?, row.try_get(4)?));
            }
        }
        let is_last = i64::try_from(rows.len()).unwrap_or(PAGE) < PAGE;
        Ok(next.filter(|_| !is_last).map(str::to_owned))
    }
}

/// Where sealed texts lie.
struct Entries<'a> {
    from: &'a str,
    about: &'a str,
    /// What the texts were sealed as.
    table: &'static str,
    id: &'a str,
    role: &'a str,
    time: &'a str,
    columns: &'a [&'static str],
}

#[cfg(test)]
mod tests {
    use super::has_word;

    #[test]
    fn words_end_where_others_begin() {
        assert!(has_word("WHERE id = 42", "42"));
        assert!(has_word("IN (1,42,3)", "42"));
        assert!(has_word(r#"{"parameters":["42"]}"#, "42"));
        for text in ["WHERE id = 420", "x42", "42_", "1420"] {
            assert!(!has_word(text, "42"), "{text}");
        }
    }
}
