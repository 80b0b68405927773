//! Runs the rules when they are due, in one of the gateways that share a catalog.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::detections::{Detection, Finding};
use lakegate_catalog::model::BOOTSTRAP_ROLE_OID;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Compiled, Hit, LogRows, compile, evaluate, pack, webhook};
use crate::frontend::SessionStart;
use crate::sql::notifications::Post;
use crate::sql::session::{GatewaySession, Shared};
use crate::sqlstate::{SqlError, SqlState};

/// How often it is looked what is due.
const LOOK: Duration = Duration::from_secs(2);
/// A gateway that is silent for so long leaves the rules to another.
const LEASE: Duration = Duration::from_secs(30);
/// A rule that takes longer is stopped.
const RULE_DEADLINE: Duration = Duration::from_secs(60);
pub const CHANNEL: &str = "lakegate_findings";

#[derive(Debug, Clone, Default)]
pub struct WatchOptions {
    /// Where findings are sent.
    pub webhook: Option<String>,
    /// A folder of Sigma rules.
    pub sigma_rules: Option<PathBuf>,
}

/// Begins to run them, beside the caller.
pub fn start(shared: &Arc<Shared>, options: WatchOptions, stop: &CancellationToken) {
    shared.guards.tell_webhook(options.webhook.is_some());
    let (shared, stop) = (Arc::clone(shared), stop.clone());
    crate::tasks::spawn("detections", async move {
        if let Err(error) = install(&shared, &options).await {
            tracing::error!(error = %error.message, "detections could not be installed");
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            if let Err(error) = pass(&shared, &options).await {
                tracing::warn!(error = %error.message, "detections could not be run");
            }
        }
    });
}

async fn install(shared: &Arc<Shared>, options: &WatchOptions) -> Result<(), SqlError> {
    let mut rules = pack::detections();
    if let Some(folder) = &options.sigma_rules {
        rules.extend(super::sigma::read_folder(folder));
    }
    Ok(shared.catalog.install_detections(&rules).await?)
}

/// Runs what is due.
async fn pass(shared: &Arc<Shared>, options: &WatchOptions) -> Result<(), SqlError> {
    if !shared.catalog.lease_detector(LEASE).await? {
        return Ok(());
    }
    let now = Utc::now();
    let due: Vec<Detection> = shared.catalog.detections().await?.into_iter().filter(|detection| is_due(detection, now)).collect();
    if !due.is_empty() {
        let mut session = session(shared).await?;
        // All that are due are given parts of what the one that looks back farthest is given.
        let farthest =
            due.iter().map(|detection| detection.window).max().filter(|_| due.iter().all(|detection| !detection.window.is_zero()));
        let columns = columns_of(&due);
        let mut known = Known { farthest, columns, rows: HashMap::new() };
        for detection in due {
            let ran = run(&mut session, &detection, now, &mut known, options).await;
            if let Err(error) = &ran {
                tracing::warn!(detection = detection.name, error = %error.message, "a detection failed");
            }
            // Its message may quote values of the query: the state says what kind of error it was.
            let error = ran.err().map(|error| format!("{}: {}", error.state.code(), error.message));
            shared.catalog.detection_ran(&detection.name, now, error.as_deref()).await?;
            shared.catalog.lease_detector(LEASE).await?;
        }
    }
    match &options.webhook {
        Some(url) => webhook::send(&shared.catalog, url).await,
        None => Ok(()),
    }
}

fn is_due(detection: &Detection, now: DateTime<Utc>) -> bool {
    let next = detection.last_run.and_then(|last| Some(last + chrono::Duration::from_std(detection.every).ok()?));
    detection.enabled && next.is_none_or(|next| next <= now)
}

/// The columns that any of the rules names; `None`: all.
fn columns_of(due: &[Detection]) -> Option<BTreeSet<String>> {
    let mut columns = BTreeSet::new();
    for detection in due {
        // One that does not compile says so when it is run.
        if let Ok(compiled) = compile(detection) {
            columns.extend(compiled.columns?);
        }
    }
    Some(columns)
}

/// Records that are read already, by whom they are for and whether their parameters are opened.
struct Known {
    /// `None`: without end.
    farthest: Option<Duration>,
    /// That some of the rules name; `None`: all.
    columns: Option<BTreeSet<String>>,
    rows: HashMap<(bool, u32), LogRows>,
}

/// Of the program itself; its statements are no users' and are not logged.
pub(crate) async fn session(shared: &Arc<Shared>) -> Result<GatewaySession, SqlError> {
    let start = SessionStart::internal(shared.catalog.bootstrap_identity()?, "main", "lakegate detections");
    GatewaySession::open(Arc::clone(shared), start).await
}

async fn run(
    session: &mut GatewaySession,
    detection: &Detection,
    now: DateTime<Utc>,
    known: &mut Known,
    options: &WatchOptions,
) -> Result<(), SqlError> {
    let compiled = compile(detection)?;
    let rows = rows(session, detection, &compiled, now, known).await?;
    // With the rights of whoever made it.
    session.principal = Principal { session_role: BOOTSTRAP_ROLE_OID, current_role: detection.owner };
    let cancel = CancellationToken::new();
    let hits = tokio::time::timeout(RULE_DEADLINE, evaluate(session, &compiled, detection.threshold, rows, now, &cancel)).await;
    cancel.cancel();
    session.principal = Principal::new(BOOTSTRAP_ROLE_OID);
    let hits = hits.map_err(|_| SqlError::new(SqlState::QueryCanceled, "the detection took too long"))??;
    for hit in hits {
        record(session, detection, hit, now, options.webhook.is_some()).await?;
    }
    Ok(())
}

/// What its owner may see of the records of its window.
async fn rows(
    session: &GatewaySession,
    detection: &Detection,
    compiled: &Compiled,
    now: DateTime<Utc>,
    known: &mut Known,
) -> Result<LogRows, SqlError> {
    let before = |window: Duration| chrono::Duration::from_std(window).ok().map(|window| now - window);
    let key = (compiled.opens, detection.owner);
    let all = match known.rows.get(&key) {
        Some(rows) => rows.clone(),
        None => {
            let since = known.farthest.and_then(before);
            let rows =
                LogRows::load(session, &Principal::new(detection.owner), since, None, compiled.opens, known.columns.as_ref()).await?;
            known.rows.insert(key, rows.clone());
            rows
        }
    };
    let since = (!detection.window.is_zero()).then(|| before(detection.window)).flatten();
    all.between(since, now)
}

/// Once for the same events, and not more often than the rule says.
pub(super) async fn record(
    session: &GatewaySession,
    detection: &Detection,
    hit: Hit,
    now: DateTime<Utc>,
    webhook: bool,
) -> Result<(), SqlError> {
    let catalog = &session.shared.catalog;
    if let Some((found, last)) = catalog.last_finding(&detection.name, &hit.actor).await? {
        let is_quiet = chrono::Duration::from_std(detection.suppress).is_ok_and(|suppress| now - found < suppress);
        if is_quiet || (hit.last.is_some() && hit.last <= last) {
            return Ok(());
        }
    }
    let finding = Finding {
        finding_id: Uuid::now_v7(),
        detection: detection.name.clone(),
        severity: detection.severity.clone(),
        evidence: hit.evidence(),
        actor: hit.actor,
        first_event: hit.first,
        last_event: hit.last,
        found: now,
        state: "open".to_owned(),
        webhook_attempts: 0,
    };
    catalog.add_finding(&finding, webhook).await?;
    metrics::counter!("lakegate_findings_total", "detection" => finding.detection.clone(), "severity" => finding.severity.clone())
        .increment(1);
    tracing::warn!(detection = finding.detection, severity = finding.severity, finding = %finding.finding_id, "finding");
    notify(session, &finding);
    Ok(())
}

/// Whoever listens in any database.
fn notify(session: &GatewaySession, finding: &Finding) {
    let payload = serde_json::json!({
        "finding_id": finding.finding_id,
        "detection": finding.detection,
        "severity": finding.severity,
        "actor": finding.actor,
        "found_time": finding.found.to_rfc3339(),
    });
    let post = match Post::new(CHANNEL, &payload.to_string()) {
        Ok(post) => Arc::new(post),
        Err(error) => {
            tracing::warn!(error = %error.message, "a finding could not be told to those who listen");
            return;
        }
    };
    let snapshot = session.shared.catalog.snapshot();
    for database in snapshot.databases() {
        session.shared.notifications.publish(0, &database.name, [Arc::clone(&post)]);
    }
}
