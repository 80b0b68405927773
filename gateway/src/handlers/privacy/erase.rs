//! The erasure of data subjects, one state after the other. Each state is stored before it begins and finds what an earlier run has done:
//! wherever it is cut off, the same CALL, CALL lakegate.resume_erasure('request'), or the server by itself goes on.
//!
//! `planned` → `rewriting` (each table: `pending` → `rewritten`) → `waiting for readers` → `purging` (each table: `rewritten` → `purged`) →
//! `cleaning` → `scanning` → `erased` | `erased with residuals`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use lakegate_catalog::Catalog;
use lakegate_catalog::needles::{Needles, is_searchable};
use lakegate_catalog::privacy::{Named, NewRequest, PrivacyRequest, PrivacyStep};
use lakegate_engine_api::{Erasure, Purge, PurgedVersions, VersionPurge};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Line, certificate, context, export, own_table, plan};
use crate::privacy::SubjectMap;
use crate::sql::execute::Deadline;
use crate::sql::journal::Journal;
use crate::sql::session::GatewaySession;
use crate::sql::together::settled;
use crate::sqlstate::{Severity, SqlError, SqlState};

/// Subjects of one request.
const SUBJECTS_MAX: usize = 10_000;
const FILE_TICK: Duration = Duration::from_millis(20);
const OBJECT_TICK: Duration = Duration::from_millis(1_500);
/// How often it is looked whether others are done.
const LOOKED_AT_EVERY: Duration = Duration::from_millis(500);
/// Other gateways look every five seconds what they are asked to forget.
const FORGETTING_SECONDS_MIN: u64 = 30;

/// What is asked for.
pub struct Wish<'a> {
    pub kind: &'a str,
    pub identifiers: Vec<String>,
    pub reason: Option<String>,
    pub wait_seconds: u64,
}

/// Requests that this process works on; with a token where nobody waits for it: a CALL takes over.
static RUNNING: LazyLock<Mutex<BTreeMap<Uuid, Option<CancellationToken>>>> = LazyLock::new(Mutex::default);
/// How long it waits for that.
const TAKE_OVER_WITHIN: Duration = Duration::from_secs(30);

struct Running {
    id: Uuid,
    catalog: Catalog,
}

impl Running {
    /// `unattended`: what stops it for a CALL.
    fn begin(id: Uuid, catalog: &Catalog, unattended: Option<&CancellationToken>) -> Option<Running> {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if running.contains_key(&id) {
            return None;
        }
        running.insert(id, unattended.cloned());
        Some(Running { id, catalog: catalog.clone() })
    }

    /// Where the server is at it by itself it is stopped first.
    async fn take_over(id: Uuid, catalog: &Catalog) -> Option<Running> {
        let until = tokio::time::Instant::now() + TAKE_OVER_WITHIN;
        loop {
            if let Some(running) = Running::begin(id, catalog, None) {
                return Some(running);
            }
            let other = RUNNING.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
            if other.as_ref().is_some_and(Option::is_none) || tokio::time::Instant::now() > until {
                return None;
            }
            if let Some(token) = other.flatten() {
                token.cancel();
            }
            tokio::time::sleep(FILE_TICK).await;
        }
    }
}

/// However it ends, by the client's going away too: any gateway may go on with it then.
impl Drop for Running {
    fn drop(&mut self) {
        let (id, catalog) = (self.id, self.catalog.clone());
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        crate::tasks::spawn("release of a request", async move {
            let goes_on = RUNNING.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&id);
            if !goes_on && let Err(error) = catalog.release_privacy_request(id).await {
                tracing::warn!(%error, "a request could not be released");
            }
        });
    }
}

pub async fn run(
    session: &mut GatewaySession,
    mut wish: Wish<'_>,
    dry_run: bool,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<Vec<Line>, SqlError> {
    let snapshot = session.catalog().refresh().await?;
    crate::privacy::require_officer(&snapshot, &session.principal)?;
    let map = SubjectMap::of(&snapshot, wish.kind)?;
    wish.identifiers.sort();
    wish.identifiers.dedup();
    check_wish(&wish, dry_run)?;
    plan::check(session, &snapshot, &map)?;
    if dry_run {
        let plan = plan::make(session, &snapshot, &map, &wish.identifiers, deadline).await?;
        return rehearsed(session, &plan.steps, deadline, journal).await;
    }
    let id = match open_request(session, &wish).await? {
        Some(open) => open.id,
        None => {
            // Nothing is recorded, and nothing erased, where a table cannot be erased from.
            let plan = plan::make(session, &snapshot, &map, &wish.identifiers, deadline).await?;
            check_reason(&wish, &plan.aliases)?;
            plan::rehearse(session, &snapshot, &plan.steps, deadline, journal).await?;
            session
                .shared
                .catalog
                .open_privacy_request(NewRequest {
                    kind: wish.kind.to_owned(),
                    identifiers: wish.identifiers.clone(),
                    action: "erase".to_owned(),
                    state: "planned".to_owned(),
                    requested_by: session.principal.session_role,
                    requested_by_name: session.start.authenticated.name().to_owned(),
                    detail: json!({ "reason": wish.reason }),
                })
                .await?
        }
    };
    work(session, id, wish.wait_seconds, deadline, journal).await
}

fn check_wish(wish: &Wish<'_>, dry_run: bool) -> Result<(), SqlError> {
    let wrong = |text: &str| Err(SqlError::new(SqlState::InvalidParameterValue, text));
    if wish.identifiers.is_empty() || wish.identifiers.iter().any(String::is_empty) {
        return wrong("an empty identifier names nobody");
    }
    if wish.identifiers.len() > SUBJECTS_MAX {
        return wrong(&format!("more than {SUBJECTS_MAX} subjects at once"));
    }
    let reason = wish.reason.as_deref().unwrap_or_default();
    if !dry_run && reason.trim().is_empty() {
        return wrong("an erasure needs a reason").map_err(|error: SqlError| error.hint("reason => '…': what the request is filed under."));
    }
    check_reason(wish, &[])
}

/// It stays, in the request and in the certificate.
fn check_reason(wish: &Wish<'_>, aliases: &[String]) -> Result<(), SqlError> {
    let reason = wish.reason.as_deref().unwrap_or_default().to_lowercase();
    let names = |identifier: &String| reason.contains(&identifier.to_lowercase());
    if wish.identifiers.iter().any(names) || aliases.iter().filter(|alias| is_searchable(alias)).any(names) {
        return Err(SqlError::new(SqlState::InvalidParameterValue, "the reason names the subject"));
    }
    Ok(())
}

/// One for the same subjects that is not finished.
async fn open_request(session: &GatewaySession, wish: &Wish<'_>) -> Result<Option<PrivacyRequest>, SqlError> {
    let catalog = &session.shared.catalog;
    let digests: Vec<String> = wish.identifiers.iter().map(|identifier| catalog.subject_digest(wish.kind, identifier)).collect();
    let requests = catalog.privacy_requests().await?;
    Ok(requests.into_iter().find(|request| {
        request.action == "erase" && request.finished_time.is_none() && request.kind == wish.kind && request.digests == digests
    }))
}

async fn rehearsed(session: &GatewaySession, steps: &[PrivacyStep], deadline: &Deadline, journal: &Journal) -> Result<Vec<Line>, SqlError> {
    let snapshot = session.catalog().snapshot();
    let found = plan::rehearse(session, &snapshot, steps, deadline, journal).await?;
    Ok(steps
        .iter()
        .zip(found)
        .map(|(step, found)| Line {
            request: None,
            table: step.table.clone(),
            state: "dry run".to_owned(),
            rows: found.rows,
            files: found.files_rewritten,
            bytes: found.bytes_read,
            detail: step.report.get("rule").and_then(serde_json::Value::as_str).map(str::to_owned),
        })
        .collect())
}

pub async fn resume(
    session: &mut GatewaySession,
    request: &str,
    wait_seconds: u64,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<Vec<Line>, SqlError> {
    let snapshot = session.catalog().refresh().await?;
    crate::privacy::require_officer(&snapshot, &session.principal)?;
    let unknown = || SqlError::new(SqlState::UndefinedObject, format!("there is no request \"{request}\""));
    let id = Uuid::parse_str(request).map_err(|_| unknown())?;
    let found = session.shared.catalog.privacy_request(id).await?.filter(|found| found.action == "erase").ok_or_else(unknown)?;
    if found.finished_time.is_some() {
        return Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, "the request is finished already"));
    }
    work(session, id, wait_seconds, deadline, journal).await
}

/// Goes on from wherever the request is.
async fn work(
    session: &mut GatewaySession,
    id: Uuid,
    wait_seconds: u64,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<Vec<Line>, SqlError> {
    let busy = || SqlError::new(SqlState::ObjectInUse, "the request is being worked on already");
    let is_unattended = session.start.backend_pid == 0;
    let running = match is_unattended {
        true => Running::begin(id, &session.shared.catalog, Some(deadline.token())),
        false => Running::take_over(id, &session.shared.catalog).await,
    };
    let _running = running.ok_or_else(busy)?;
    if !session.shared.catalog.claim_privacy_request(id).await? {
        return Err(busy());
    }
    let done = advance(session, id, wait_seconds, deadline, journal).await;
    if let Err(error) = &done {
        // The state says where it stopped; the message may be asked for in the log.
        let was_taken_over = is_unattended && error.state == SqlState::QueryCanceled;
        let progress = match was_taken_over {
            true => json!({}),
            false => json!({ "stopped": Utc::now().to_rfc3339(), "sqlstate": error.state.code() }),
        };
        let state = session.shared.catalog.privacy_request(id).await?.map(|request| request.state).unwrap_or_default();
        session.shared.catalog.set_privacy_state(id, &state, &progress).await?;
        session.notice(
            SqlError::notice(Severity::Warning, SqlState::Warning, format!("request {id} stopped in state \"{state}\""))
                .hint(format!("CALL lakegate.resume_erasure('{id}') goes on; unless it was cancelled, the server tries again by itself.")),
        );
    }
    deadline.explain(done)
}

/// What all states need to know.
pub struct Request {
    pub id: Uuid,
    pub kind: String,
    pub identifiers: Vec<String>,
    pub aliases: Vec<String>,
    pub needles: Needles,
}

async fn advance(
    session: &mut GatewaySession,
    id: Uuid,
    wait_seconds: u64,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<Vec<Line>, SqlError> {
    let catalog = session.shared.catalog.clone();
    let snapshot = session.catalog().refresh().await?;
    let request = catalog.privacy_request(id).await?.ok_or_else(|| super::internal("a request is gone"))?;
    let map = SubjectMap::of(&snapshot, &request.kind)?;
    plan::check(session, &snapshot, &map)?;
    let subjects = catalog.privacy_subjects(id).await?.ok_or_else(|| super::internal("a request's subjects are gone"))?;
    if request.state == "planned" {
        let plan = plan::make(session, &snapshot, &map, &subjects.0, deadline).await?;
        catalog.plan_privacy_request(id, &plan.aliases, &plan.steps).await?;
    }
    let (identifiers, aliases) = catalog.privacy_subjects(id).await?.unwrap_or_default();
    let needles = Needles::new(identifiers.iter().chain(&aliases).map(String::as_str))?;
    let request = Request { id, kind: request.kind, identifiers, aliases, needles };
    let mut steps = catalog.privacy_steps(id).await?;
    journal.note_written(steps.iter().filter_map(|step| plan::relation_of(&snapshot, step)).filter_map(|table| snapshot.name_of(&table)));
    for step in steps.iter_mut().filter(|step| step.state == "pending") {
        rewrite(session, &request, step, deadline, journal).await?;
    }
    if steps.iter().any(|step| step.state == "rewritten" || step.state == "purging") {
        set_state(session, id, "waiting for readers").await?;
        let on_disk = steps.iter().all(|step| step.location.starts_with("file:"));
        wait_for_readers(session, wait_seconds, on_disk, deadline).await?;
        set_state(session, id, "purging").await?;
        for step in steps.iter_mut().filter(|step| step.state == "rewritten" || step.state == "purging") {
            purge(session, &request, step, deadline, journal).await?;
        }
    }
    for step in steps.iter_mut().filter(|step| step.report.get("versions").is_none()) {
        purge_versions(session, &request, step, deadline, journal).await?;
    }
    forget(session, id, &steps, wait_seconds, deadline).await?;
    session.changes_made += 1;
    set_state(session, id, "cleaning").await?;
    let cleaned = clean(session, &request, &steps, deadline, journal).await?;
    set_state(session, id, "scanning").await?;
    certificate::prove(session, &request, &steps, &cleaned, deadline, journal).await
}

async fn set_state(session: &GatewaySession, id: Uuid, state: &str) -> Result<(), SqlError> {
    Ok(session.shared.catalog.set_privacy_state(id, state, &json!({})).await?)
}

/// The table's newest version without the subjects; a materialized view is filled anew.
async fn rewrite(
    session: &mut GatewaySession,
    request: &Request,
    step: &mut PrivacyStep,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<(), SqlError> {
    let snapshot = session.catalog().refresh().await?;
    let Some(relation) = plan::relation_of(&snapshot, step) else {
        // Dropped meanwhile: its folder went with it.
        step.report["dropped"] = json!(true);
        step.state = "purged".to_owned();
        return Ok(session.shared.catalog.set_privacy_step(request.id, step).await?);
    };
    match plan::target(&snapshot, step) {
        None => {
            if super::super::materialized_view::is_populated(&relation) {
                super::super::materialized_view::refill(session, &relation, deadline, journal).await?;
            }
        }
        Some((name, rule)) => {
            let facts = session.facts(&snapshot);
            let table = own_table(session, &snapshot, &facts, &name)?;
            let erasure = Erasure { keys: step.keys.clone(), rule, dry_run: false };
            let table = settled(session, table, deadline).await?;
            let erased = session.engine().erase_rows(table, erasure, facts, context(journal, deadline)).await?;
            step.report["erased"] = json!(erased);
        }
    }
    // Objects are dated by the store's clock, readers by ours.
    let (now, keeps_versions) = session.engine().store_time(&relation.location).await?;
    step.report["before"] = json!(now);
    step.report["store_keeps_versions"] = json!(keeps_versions);
    step.state = "rewritten".to_owned();
    Ok(session.shared.catalog.set_privacy_step(request.id, step).await?)
}

/// Until no statement, transaction or cursor that began before now is open on any gateway.
async fn wait_for_readers(session: &mut GatewaySession, seconds: u64, on_disk: bool, deadline: &Deadline) -> Result<(), SqlError> {
    // Objects are dated to the second, files to the tick: whoever begins after this writes what is dated later than the rewrite.
    tokio::time::sleep(if on_disk { FILE_TICK } else { OBJECT_TICK }).await;
    let began = Utc::now();
    let until = began + chrono::TimeDelta::seconds(i64::try_from(seconds).unwrap_or(i64::MAX / 1_000_000));
    loop {
        let here = session.shared.system.live().oldest_reader(session.start.backend_pid);
        let elsewhere = session.shared.catalog.oldest_reader_elsewhere().await?;
        let oldest = [here, elsewhere].into_iter().flatten().min();
        if oldest.is_none_or(|oldest| oldest >= began) {
            return Ok(());
        }
        if Utc::now() >= until {
            return Err(SqlError::new(SqlState::LockNotAvailable, "statements or transactions from before the erasure are still open")
                .detail(format!(
                    "They were waited for {seconds} seconds; the newest versions of the tables are without the subject already."
                ))
                .hint(
                    "End them (pg_stat_activity, pg_terminate_backend), then CALL lakegate.resume_erasure; wait_seconds => … waits longer.",
                ));
        }
        pause(deadline).await?;
    }
}

/// Until others are to be looked at again.
async fn pause(deadline: &Deadline) -> Result<(), SqlError> {
    tokio::select! {
        biased;
        () = deadline.token().cancelled() => Err(SqlError::canceled()),
        () = tokio::time::sleep(LOOKED_AT_EVERY) => Ok(()),
    }
}

async fn purge(
    session: &GatewaySession,
    request: &Request,
    step: &mut PrivacyStep,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<(), SqlError> {
    let snapshot = session.catalog().refresh().await?;
    let Some(name) = plan::relation_of(&snapshot, step).and_then(|relation| snapshot.name_of(&relation)) else {
        step.report["dropped"] = json!(true);
        step.state = "purged".to_owned();
        return Ok(session.shared.catalog.set_privacy_step(request.id, step).await?);
    };
    let before: DateTime<Utc> = serde_json::from_value(step.report.get("before").cloned().unwrap_or_default()).map_err(super::internal)?;
    let facts = session.facts(&snapshot);
    let table = own_table(session, &snapshot, &facts, &name)?;
    if step.state == "purging" {
        // What an earlier run removed before it was cut off is not known any more.
        step.report["resumed"] = json!(true);
    }
    step.state = "purging".to_owned();
    session.shared.catalog.set_privacy_step(request.id, step).await?;
    let secret = session.shared.catalog.erasure_secret(request.id);
    let purge = Purge { request: request.id.to_string(), secret, before, needles: request.needles.clone() };
    let purged = session.engine().purge_history(table, purge, context(journal, deadline)).await?;
    step.report["purged"] = json!(purged);
    step.state = "purged".to_owned();
    Ok(session.shared.catalog.set_privacy_step(request.id, step).await?)
}

/// What the store keeps of the table's objects that are gone or were replaced.
async fn purge_versions(
    session: &GatewaySession,
    request: &Request,
    step: &mut PrivacyStep,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<(), SqlError> {
    if step.report.get("versions_begun").is_some() {
        step.report["resumed"] = json!(true);
    }
    step.report["versions_begun"] = json!(true);
    session.shared.catalog.set_privacy_step(request.id, step).await?;
    let purge = VersionPurge { everything: false, before: began(std::slice::from_ref(step)), needles: request.needles.clone() };
    let purged = session.engine().purge_versions(&step.location, purge, context(journal, deadline)).await?;
    step.report["versions"] = json!(purged);
    Ok(session.shared.catalog.set_privacy_step(request.id, step).await?)
}

/// What is in memory of the tables' past, in this process and in all others on the catalog, with their engines.
async fn forget(session: &GatewaySession, id: Uuid, steps: &[PrivacyStep], seconds: u64, deadline: &Deadline) -> Result<(), SqlError> {
    let catalog = &session.shared.catalog;
    let locations: Vec<&str> = steps.iter().map(|step| step.location.as_str()).collect();
    catalog.ask_to_forget(id, &locations).await?;
    for location in &locations {
        session.engine().forget(location).await?;
    }
    session.shared.kept_plans.forget_all();
    let until = tokio::time::Instant::now() + Duration::from_secs(seconds.max(FORGETTING_SECONDS_MIN));
    loop {
        let others = catalog.still_remembering(id).await?;
        if others == 0 {
            return Ok(catalog.all_have_forgotten(id).await?);
        }
        if tokio::time::Instant::now() >= until {
            let message = "other gateways have not dropped what they keep in memory of the tables";
            return Err(SqlError::new(SqlState::LockNotAvailable, message)
                .detail(format!("{others} of them have not answered; what is stored is purged already."))
                .hint("Their logs say why. CALL lakegate.resume_erasure asks them again."));
        }
        pause(deadline).await?;
    }
}

/// When the first of the tables was rewritten, by its store's clock.
fn began(steps: &[PrivacyStep]) -> DateTime<Utc> {
    let times = steps.iter().filter_map(|step| serde_json::from_value(step.report.get("before")?.clone()).ok());
    times.min().unwrap_or_else(Utc::now)
}

/// What was done outside the tables.
pub struct Cleaned {
    pub saved_queries: u64,
    pub index_entries: u64,
    pub statements: u64,
    pub audit_events: u64,
    pub destroyed: u64,
    pub exports: u64,
    /// Export folders that could not be removed.
    pub exports_left: Vec<String>,
    /// What the stores kept beside the objects of saved queries and exports: whose, and what became of it.
    pub versions: Vec<(String, PurgedVersions)>,
}

/// The logs, and what Lakegate itself has exported of the subjects.
async fn clean(
    session: &GatewaySession,
    request: &Request,
    steps: &[PrivacyStep],
    deadline: &Deadline,
    journal: &Journal,
) -> Result<Cleaned, SqlError> {
    let catalog = &session.shared.catalog;
    let tables: Vec<String> = steps.iter().map(|step| step.table.clone()).collect();
    let short = short(request);
    let identifiers = all_identifiers(request);
    let named = Named { needles: &request.needles, short: &short, tables: &tables, identifiers: &identifiers };
    let saved_queries = crate::saved_queries::erase(session, request.id, &request.needles, &named).await?;
    let erased = catalog.erase_from_logs(request.id, &named).await?;
    let digests: BTreeSet<String> =
        request.identifiers.iter().chain(&request.aliases).map(|identifier| catalog.subject_digest(&request.kind, identifier)).collect();
    let mut cleaned = Cleaned {
        saved_queries,
        index_entries: erased.index_entries,
        statements: erased.statements,
        audit_events: erased.audit_events,
        destroyed: erased.destroyed,
        exports: 0,
        exports_left: Vec::new(),
        versions: Vec::new(),
    };
    let versions = async |location: &str, everything: bool| {
        let purge = VersionPurge { everything, before: began(steps), needles: request.needles.clone() };
        session.engine().purge_versions(location, purge, context(journal, deadline)).await
    };
    let location = crate::saved_queries::location(session);
    cleaned.versions.push(("saved queries".to_owned(), versions(&location, false).await?));
    let exports = catalog.privacy_requests().await?;
    for export in exports.iter().filter(|export| export.action == "export" && export.kind == request.kind) {
        if !export.digests.iter().any(|digest| digests.contains(digest)) {
            continue;
        }
        let Some(folder) = export::folder_of(&export.detail) else { continue };
        match session.engine().drop_table(&folder).await {
            Ok(()) => {
                cleaned.exports += 1;
                cleaned.versions.push((format!("export {}", export.id), versions(&folder, true).await?));
            }
            Err(error) => cleaned.exports_left.push(format!("export {}: {error}", export.id)),
        }
    }
    Ok(cleaned)
}

/// As they were given, and as the subjects' rows have them.
pub fn all_identifiers(request: &Request) -> Vec<String> {
    request.identifiers.iter().chain(&request.aliases).cloned().collect()
}

/// Identifiers that are looked for as words only.
pub fn short(request: &Request) -> Vec<String> {
    request.identifiers.iter().chain(&request.aliases).filter(|identifier| !is_searchable(identifier)).cloned().collect()
}
