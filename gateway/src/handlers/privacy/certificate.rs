//! The proof: everything that is left is read, and what was found is signed. A certificate says what was looked at and how, and lists what
//! was found or could not be looked at; it says nothing else.

use std::collections::BTreeMap;

use chrono::Utc;
use lakegate_catalog::model::Relation;
use lakegate_catalog::needles::is_searchable;
use lakegate_catalog::privacy::{Named, NewCertificate, PrivacyStep, StepKeys};
use lakegate_engine_api::{ByteScan, KeptVersion, PurgedVersions, Scanned};
use serde_json::{Value, json};
use uuid::Uuid;

use super::erase::{Cleaned, Request, all_identifiers, short};
use super::{Line, context};
use crate::sql::execute::Deadline;
use crate::sql::journal::Journal;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{Severity, SqlError, SqlState};

/// What no scan of ours reads.
const NOT_LOOKED_AT: [&str; 7] = [
    "spill files of statements that run now",
    "copies of data outside the tables listed here: tables that carry no tag, systems that read the tables, files that COPY wrote",
    "backups of the catalog, of disks and of buckets (versions of objects in the buckets themselves were looked at), replicas of buckets and the store's own access logs",
    "freed blocks of disks, swap space and memory of running processes",
    "the identifier in other spellings than those named under encodings, and inside compressed or encrypted values",
    "Bloom filters of Parquet files, which hold hashes of values; files with rows of the subject were replaced with theirs",
    "server logs and traces outside the catalog (they hold no statement text)",
];

const ENCODINGS: &str = "letters of any case (ASCII); UTF-8, UTF-16, URL encoding (once, twice), JSON escapes (once, twice), base64, hexadecimal, \
     uuid bytes, the first 32 characters";

/// Scans, signs, and ends the request.
pub async fn prove(
    session: &mut GatewaySession,
    request: &Request,
    steps: &[PrivacyStep],
    cleaned: &Cleaned,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<Vec<Line>, SqlError> {
    let catalog = session.shared.catalog.clone();
    let snapshot = session.catalog().refresh().await?;
    let started = Utc::now();
    let mut residuals: Vec<Value> = Vec::new();
    let mut scans = Vec::new();
    for step in steps {
        let purged = step.report.get("versions").cloned().unwrap_or_default();
        residuals.extend(versions_left(&step.table, &serde_json::from_value(purged).map_err(super::internal)?));
    }
    residuals.extend(cleaned.versions.iter().flat_map(|(owner, purged)| versions_left(owner, purged)));
    for step in steps.iter().filter(|step| step.report.get("dropped").is_none()) {
        let scanned = scan(session, request, &step.location, keys_to_be_gone(step), deadline, journal).await?;
        note(&mut residuals, &step.table, &scanned);
        scans.push(json!({ "root": step.table, "scan": scanned }));
    }
    let saved = scan(session, request, &crate::saved_queries::location(session), StepKeys::new(), deadline, journal).await?;
    note(&mut residuals, "saved queries", &saved);
    scans.push(json!({ "root": "saved queries", "scan": saved }));
    let all_keys = keys_of_all(steps);
    for relation in temporary(&snapshot) {
        let scanned = scan(session, request, &relation.location, all_keys.clone(), deadline, journal).await?;
        let name = format!("temporary table {}", relation.oid);
        note(&mut residuals, &name, &scanned);
        scans.push(json!({ "root": name, "scan": scanned }));
    }
    residuals.extend(cleaned.exports_left.iter().map(|left| json!({ "where": "exports", "what": left })));
    let of_catalog = catalog.scan_for(&request.needles).await?;
    residuals.extend(of_catalog.findings.iter().map(|found| json!({ "where": "catalog", "what": found })));
    let tables: Vec<String> = steps.iter().map(|step| step.table.clone()).collect();
    let short = short(request);
    let identifiers = all_identifiers(request);
    let named = Named { needles: &request.needles, short: &short, tables: &tables, identifiers: &identifiers };
    let (opened, naming) = catalog.log_entries_naming(&named).await?;
    if naming > 0 {
        residuals.push(json!({ "where": "statement and audit log", "what": format!("{naming} entries name the subject") }));
    }
    let found = catalog.privacy_request(request.id).await?.ok_or_else(|| super::internal("a request is gone"))?;
    let id = Uuid::now_v7();
    let checks: Vec<Value> = request
        .identifiers
        .iter()
        .map(|identifier| (identifier, "requested"))
        .chain(request.aliases.iter().map(|alias| (alias, "found in the subject's rows")))
        .map(|(identifier, of)| {
            json!({
                "digest": catalog.subject_digest(&request.kind, identifier),
                "identifier": of,
                "searched_in_bytes": is_searchable(identifier),
                "searched_as_value": of == "requested",
                "looked_for_in": looked_for_in(identifier, of == "requested"),
            })
        })
        .collect();
    let document = json!({
        "format": "lakegate erasure certificate 1",
        "certificate_id": id.to_string(),
        "request_id": request.id.to_string(),
        "subject_kind": request.kind,
        "subjects": checks,
        "reason": found.detail.get("reason"),
        "requested_by": found.requested_by_name,
        "requested_time": found.requested_time.to_rfc3339(),
        "deadline": found.deadline.to_rfc3339(),
        "executed_by": session.start.authenticated.name(),
        "scan_started": started.to_rfc3339(),
        "issued_time": Utc::now().to_rfc3339(),
        "policy_version": snapshot.version(),
        "lakegate": env!("CARGO_PKG_VERSION"),
        "tables": steps.iter().map(table).collect::<Vec<_>>(),
        "statements_redacted": cleaned.statements,
        "audit_events_redacted": cleaned.audit_events,
        "log_entries_with_destroyed_keys": cleaned.destroyed,
        "saved_queries_redacted": cleaned.saved_queries,
        "index_entries_removed": cleaned.index_entries,
        "exports_removed": cleaned.exports,
        "other_versions": cleaned.versions.iter().map(|(owner, purged)| json!({ "of": owner, "versions": purged })).collect::<Vec<_>>(),
        "scans": scans,
        "catalog_scan": { "scan": of_catalog, "log_entries_opened": opened },
        "encodings": ENCODINGS,
        "short_identifiers": "identifiers with searched_in_bytes false are too short, or digits, to be told from chance; looked_for_in says where each \
                              was looked for",
        "residuals": residuals,
        "not_looked_at": not_looked_at(request),
    });
    let document = serde_json::to_string(&document).map_err(super::internal)?;
    if request.needles.find(document.as_bytes()).is_some() {
        // The name of a table or a role would be in it.
        return Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, "the certificate would name the subject")
            .hint("Rename the table, column or role whose name holds the identifier, then CALL lakegate.resume_erasure."));
    }
    let count = u64::try_from(residuals.len()).unwrap_or(u64::MAX);
    let event = crate::system::audit::event(session);
    catalog.issue_certificate(NewCertificate { id, request: request.id, residuals: count, document }, event).await?;
    let state = if count == 0 { "erased" } else { "erased with residuals" };
    catalog.finish_privacy_request(request.id, state).await?;
    tell(session, id, count);
    let mut lines: Vec<Line> = steps.iter().map(|step| line(request.id, step)).collect();
    lines.push(Line {
        request: Some(request.id),
        table: "certificate".to_owned(),
        state: state.to_owned(),
        rows: count,
        files: 1,
        bytes: 0,
        detail: Some(id.to_string()),
    });
    Ok(lines)
}

fn tell(session: &mut GatewaySession, id: Uuid, residuals: u64) {
    let notice = if residuals == 0 {
        SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, format!("certificate {id}: nothing of the subject was found"))
    } else {
        let text = format!("certificate {id}: {residuals} residuals");
        SqlError::notice(Severity::Warning, SqlState::Warning, text).hint("The document in system.privacy.certificates lists them.")
    };
    session.notice(notice);
}

async fn scan(
    session: &GatewaySession,
    request: &Request,
    location: &str,
    keys: StepKeys,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<Scanned, SqlError> {
    let scan = ByteScan { needles: request.needles.clone(), keys };
    Ok(session.engine().scan_bytes(location, scan, context(journal, deadline)).await?)
}

fn note(residuals: &mut Vec<Value>, root: &str, scanned: &Scanned) {
    residuals.extend(scanned.findings.iter().map(|found| json!({ "where": root, "what": found })));
    residuals.extend(scanned.unread.iter().map(|unread| json!({ "where": root, "not_read": unread })));
    residuals.extend(scanned.beyond.iter().map(|beyond| json!({ "where": root, "what": beyond })));
}

/// Aliases are looked for by their bytes alone: which columns may hold one of them rightly nobody has said.
fn looked_for_in(identifier: &str, was_requested: bool) -> Vec<&'static str> {
    let mut places = vec!["the blind index of logged statements"];
    match is_searchable(identifier) {
        true => {
            places.extend(["all bytes, names and values under the tables' roots", "the catalog", "texts of logged statements and events"])
        }
        false => places.push("words of logged statements that name one of the tables"),
    }
    if was_requested {
        places.push("values of the subject's columns in files, their statistics in the log and in checkpoints, names of partitions");
    }
    places
}

fn not_looked_at(request: &Request) -> Vec<String> {
    let mut all: Vec<String> = NOT_LOOKED_AT.map(str::to_owned).into();
    let short = request.aliases.iter().filter(|alias| !is_searchable(alias)).count();
    if short > 0 {
        let what = if short == 1 { "identifier" } else { "identifiers" };
        all.push(format!(
            "{short} {what} found in the subject's rows and not requested, too short to be told from chance: of these only logged statements were searched"
        ));
    }
    all
}

/// One residual for each reason that the store has.
fn versions_left(owner: &str, purged: &PurgedVersions) -> Vec<Value> {
    let mut reasons: BTreeMap<&str, Vec<&KeptVersion>> = BTreeMap::new();
    for left in &purged.left {
        reasons.entry(&left.why).or_default().push(left);
    }
    let residual = |(why, left): (&str, Vec<&KeptVersion>)| {
        let what = format!("{} entries that the bucket keeps beside its objects could not be removed: {why}", left.len());
        json!({ "where": owner, "what": what, "left": left })
    };
    reasons.into_iter().map(residual).collect()
}

/// Tables of sessions, whose columns nobody has tagged.
fn temporary(snapshot: &lakegate_catalog::Snapshot) -> Vec<std::sync::Arc<Relation>> {
    let is_temporary = |relation: &Relation| {
        relation.is_stored() && snapshot.schema_by_oid(relation.schema).is_some_and(|schema| schema.name.starts_with("pg_temp"))
    };
    snapshot.relations().filter(|relation| is_temporary(relation)).cloned().collect()
}

/// Where rows stay, what leads to the subject through other tables stays with them: it leads nowhere any more.
fn keys_to_be_gone(step: &PrivacyStep) -> StepKeys {
    let replaced = step.report.get("replaced").and_then(Value::as_array).cloned().unwrap_or_default();
    let is_replaced = |name: &String| replaced.iter().any(|pair| pair[0].as_str() == Some(name));
    step.keys.iter().filter(|(name, _)| replaced.is_empty() || is_replaced(name)).cloned().collect()
}

/// Copies keep the names of columns.
fn keys_of_all(steps: &[PrivacyStep]) -> StepKeys {
    steps.iter().flat_map(|step| step.keys.iter().cloned()).collect()
}

fn table(step: &PrivacyStep) -> Value {
    let part = |name: &str| step.report.get(name).cloned().unwrap_or_default();
    json!({
        "table": step.table,
        "rule": part("rule"),
        "columns": part("columns"),
        "replaced": step.report.get("replaced").and_then(Value::as_array).map(|columns| columns.iter().map(|pair| pair[0].clone()).collect::<Vec<_>>()),
        "dropped_meanwhile": step.report.get("dropped").is_some(),
        "objects_incomplete": step.report.get("resumed").is_some(),
        "erased": part("erased"),
        "purged": part("purged"),
        "bucket_keeps_versions": part("store_keeps_versions"),
        "versions": part("versions"),
    })
}

fn line(request: Uuid, step: &PrivacyStep) -> Line {
    let count = |part: &str, name: &str| step.report.get(part).and_then(|part| part.get(name)).and_then(Value::as_u64).unwrap_or(0);
    let objects = step.report.get("purged").and_then(|part| part.get("objects")).and_then(Value::as_array).map_or(0, Vec::len);
    Line {
        request: Some(request),
        table: step.table.clone(),
        state: step.state.clone(),
        rows: count("erased", "rows"),
        files: count("erased", "files_rewritten"),
        bytes: count("erased", "bytes_written"),
        detail: Some(format!("{objects} objects removed or rewritten")),
    }
}
