//! All rows of a data subject, as files: JSON and Parquet for each table, and a manifest (GDPR, Articles 15 and 20).

use chrono::Utc;
use futures::StreamExt;
use lakegate_catalog::model::{PgType, Privilege};
use lakegate_catalog::privacy::NewRequest;
use lakegate_engine_api::{EngineError, FileContent, FilePlace, StoredFile};
use serde_json::json;
use uuid::Uuid;

use super::{Line, arrow_text, context, query};
use crate::handlers::copy::place_of;
use crate::privacy::{CoveredTable, SubjectMap, condition, quoted, require_access, require_officer};
use crate::sql::execute::Deadline;
use crate::sql::journal::Journal;
use crate::sql::session::GatewaySession;
use crate::sqlstate::SqlError;

pub async fn run(
    session: &mut GatewaySession,
    kind: &str,
    identifier: &str,
    url: &str,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<Vec<Line>, SqlError> {
    let snapshot = session.catalog().refresh().await?;
    require_officer(&snapshot, &session.principal)?;
    let map = SubjectMap::of(&snapshot, kind)?;
    require_access(&snapshot, &session.principal, &map, Privilege::Select)?;
    let folder = format!("{}/subject-{}/", url.trim_end_matches('/'), Uuid::now_v7());
    let at = place_of(session, &folder, Privilege::WriteFiles).await?;
    journal.note_read(map.tables.iter().map(|table| table.name.clone()));
    // Known before the first file is there: an erasure takes the files along.
    let request = session
        .shared
        .catalog
        .open_privacy_request(NewRequest {
            kind: kind.to_owned(),
            identifiers: vec![identifier.to_owned()],
            action: "export".to_owned(),
            state: "exporting".to_owned(),
            requested_by: session.principal.session_role,
            requested_by_name: session.start.authenticated.name().to_owned(),
            detail: json!({ "folder": at.url, "within": at.within }),
        })
        .await?;
    let export = Export { session, map: &map, at: &at, identifier, deadline, journal };
    let written = export.write(request).await;
    let state = if written.is_ok() { "exported" } else { "failed" };
    session.shared.catalog.finish_privacy_request(request, state).await?;
    written
}

struct Export<'a> {
    session: &'a GatewaySession,
    map: &'a SubjectMap,
    at: &'a FilePlace,
    identifier: &'a str,
    deadline: &'a Deadline,
    journal: &'a Journal,
}

impl Export<'_> {
    async fn write(&self, request: Uuid) -> Result<Vec<Line>, SqlError> {
        let (mut lines, mut tables) = (Vec::new(), Vec::new());
        for table in &self.map.tables {
            let (line, entry) = self.table(table, request).await?;
            lines.push(line);
            tables.push(entry);
        }
        let manifest = json!({
            "format": "lakegate subject export 1",
            "request_id": request.to_string(),
            "subject_kind": self.map.kind,
            "subject_digest": self.session.shared.catalog.subject_digest(&self.map.kind, self.identifier),
            "exported_time": Utc::now().to_rfc3339(),
            "exported_by": self.session.start.authenticated.name(),
            "tables": tables,
        });
        let text = serde_json::to_vec_pretty(&manifest).map_err(super::internal)?;
        let bytes = futures::stream::iter([Ok(text.into())]).boxed();
        self.file("manifest.json", FileContent::Bytes(bytes)).await?;
        lines.push(Line {
            request: Some(request),
            table: "manifest.json".to_owned(),
            state: "exported".to_owned(),
            files: 1,
            detail: Some(self.at.url.clone()),
            ..Line::default()
        });
        Ok(lines)
    }

    async fn table(&self, table: &CoveredTable, request: Uuid) -> Result<(Line, serde_json::Value), SqlError> {
        let snapshot = self.session.catalog().snapshot();
        let condition = condition(self.map, table, &[self.identifier.to_owned()]);
        let columns: Vec<String> = table
            .relation
            .columns
            .iter()
            .map(|column| match column.data_type.oid == PgType::INTERVAL.oid {
                // Parquet files cannot hold it.
                true => format!("{0}::text AS {0}", quoted(&column.name)),
                false => quoted(&column.name),
            })
            .collect();
        let name = [&table.name.database, &table.name.schema, &table.name.name].map(|part| quoted(part)).join(".");
        let rows = format!("SELECT {} FROM {name} WHERE {condition}", columns.join(", "));
        let (schema, batches) = query(self.session, &snapshot, &rows, self.deadline).await?;
        let plain = file_name(&table.name.to_string());
        let (parquet, json) = (format!("{plain}.parquet"), format!("{plain}.json"));
        let written = self.file(&parquet, FileContent::Parquet { schema, rows: batches }).await?;
        let as_json = format!("SELECT row_to_json(q)::text AS line FROM ({rows}) AS q");
        let (_, batches) = query(self.session, &snapshot, &as_json, self.deadline).await?;
        let lines = batches.map(|batch| {
            let batch = batch?;
            let texts = arrow_text(batch.column(0)).map_err(|_| EngineError::Internal { message: "JSON of another type".to_owned() })?;
            let text: String = texts.iter().flatten().flat_map(|line| [line, "\n"]).collect();
            Ok(text.into_bytes().into())
        });
        self.file(&json, FileContent::Bytes(lines.boxed())).await?;
        let fields: Vec<serde_json::Value> =
            table.relation.columns.iter().map(|column| json!({ "name": column.name, "type": column.data_type.oid })).collect();
        let entry = json!({
            "table": table.name.to_string(),
            "rows": written.rows,
            "columns": fields,
            "json": { "file": json, "sha256": self.digest(&json).await? },
            "parquet": { "file": parquet, "sha256": self.digest(&parquet).await? },
        });
        let line = Line {
            request: Some(request),
            table: table.name.to_string(),
            state: "exported".to_owned(),
            rows: written.rows,
            files: 2,
            bytes: written.bytes_written,
            detail: None,
        };
        Ok((line, entry))
    }

    async fn file(&self, name: &str, content: FileContent) -> Result<lakegate_engine_api::Outcome, SqlError> {
        let place = FilePlace { url: format!("{}{name}", self.at.url), within: self.at.within.clone() };
        let written = self.session.engine().write_file(&place, content, context(self.journal, self.deadline)).await;
        self.deadline.explain(written.map_err(SqlError::from))
    }

    /// Of what is there now.
    async fn digest(&self, name: &str) -> Result<String, SqlError> {
        let place = FilePlace { url: format!("{}{name}", self.at.url), within: self.at.within.clone() };
        let files: Vec<StoredFile> = self.session.engine().list_files(&place, &[]).await?;
        let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        for file in &files {
            let mut bytes = self.session.engine().read_file(file).await?;
            while let Some(part) = bytes.next().await {
                digest.update(&part?);
            }
        }
        Ok(digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// Names may hold what means something else in a URL.
fn file_name(table: &str) -> String {
    table.chars().map(|letter| if letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-') { letter } else { '_' }).collect()
}

/// What an earlier export wrote, for an erasure to take away.
pub fn folder_of(detail: &serde_json::Value) -> Option<String> {
    detail.get("folder").and_then(serde_json::Value::as_str).map(str::to_owned)
}
