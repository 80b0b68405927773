//! `lakegate admin log`: is the log whole, and the proof that something is in it.

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lakegate_catalog::CatalogError;
use lakegate_catalog::audit::AuditFilter;
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::flushed::Log;
use lakegate_catalog::log_proof::inclusion::InclusionProof;
use lakegate_catalog::log_proof::verify::{Report, verify};
use lakegate_catalog::model::BOOTSTRAP_ROLE_OID;
use lakegate_catalog::statement_log::HistoryFilter;
use lakegate_engine_api::Engine;

use crate::admin::{AdminError, say};
use crate::config::AdminLog;
use crate::old_logs::Stored;
use crate::serve::Foundation;

/// Faults that are printed.
const SHOWN_MAX: usize = 20;

/// Whether it needs neither the catalog nor its keys.
#[must_use]
pub fn is_offline(work: &AdminLog) -> bool {
    matches!(work, AdminLog::Verify { backup: Some(_), .. } | AdminLog::CheckProof { .. })
}

/// # Errors
/// The log is not whole, the proof does not hold; a file cannot be read.
pub async fn offline(work: &AdminLog) -> Result<(), AdminError> {
    match work {
        AdminLog::Verify { backup: Some(file), public_key: Some(key), head } => {
            if !file.exists() {
                return Err(AdminError::Missing(file.display().to_string()));
            }
            let url = format!("sqlite://{}", std::path::absolute(file).map_err(AdminError::Output)?.display());
            tell(&verify(&url, &key_of(key)?, anchor(head.as_deref())?.as_deref(), None).await?)
        }
        AdminLog::CheckProof { file, public_key } => {
            let proof: InclusionProof = serde_json::from_str(&read(file)?).map_err(|_| AdminError::NoProof)?;
            let head = proof.verify(&key_of(public_key)?)?;
            say(&format!(
                "record {} of chain {} is under the head of {} records signed at {}",
                proof.number, head.chain, head.size, head.time
            ))
        }
        _ => Ok(()),
    }
}

/// # Errors
/// As [`offline`], and what the catalog says.
pub async fn run(work: &AdminLog, foundation: &Foundation, engine: &Arc<dyn Engine>) -> Result<(), AdminError> {
    let (catalog, url) = (&foundation.catalog, &foundation.config.catalog_url);
    match work {
        AdminLog::Verify { public_key, head, .. } => {
            let principal = Principal::new(BOOTSTRAP_ROLE_OID);
            let key = public_key.as_deref().map(key_of).transpose()?.unwrap_or_else(|| catalog.public_key().to_vec());
            let stored = stored(foundation, engine).await?;
            let report = verify(url, &key, anchor(head.as_deref())?.as_deref(), Some(&stored)).await?;
            tell(&report)?;
            // Reading opens each entry; one that was changed or moved fails.
            let statements = catalog.history(&principal, HistoryFilter { limit: Some(u32::MAX), ..HistoryFilter::default() }).await?;
            let events = catalog.audit_rows(&principal, AuditFilter { limit: Some(u32::MAX), ..AuditFilter::default() }).await?;
            say(&format!("{} statements and {} audit events open with their keys", statements.len(), events.len()))
        }
        AdminLog::PublicKey => say(&STANDARD.encode(catalog.public_key())),
        AdminLog::Head => {
            let head = catalog.signed_head().await?;
            say(head.trim_end())
        }
        AdminLog::Prove { record } => {
            let proof = match catalog.inclusion_proof(record).await {
                Err(error @ CatalogError::InvalidParameter { .. }) => flushed_proof(foundation, engine, record).await?.ok_or(error)?,
                proof => proof?,
            };
            say(&serde_json::to_string_pretty(&proof)
                .map_err(|error| AdminError::Catalog(CatalogError::Internal { detail: error.to_string() }))?)
        }
        AdminLog::CheckProof { .. } => offline(work).await,
    }
}

async fn stored(foundation: &Foundation, engine: &Arc<dyn Engine>) -> Result<Stored, AdminError> {
    let warehouse_root = foundation.config.warehouse_root.clone();
    let facts = crate::old_logs::facts_without_server(&foundation.catalog, engine, &warehouse_root).await;
    let facts = facts.map_err(|error| AdminError::Catalog(CatalogError::Unavailable { detail: error.message }))?;
    Ok(Stored { engine: Arc::clone(engine), warehouse_root, facts })
}

/// The proof of a record whose facets are in the data plane; `None`: there is no such record.
async fn flushed_proof(foundation: &Foundation, engine: &Arc<dyn Engine>, record: &str) -> Result<Option<InclusionProof>, AdminError> {
    let catalog = &foundation.catalog;
    for log in Log::ALL {
        let Some(version) = catalog.flushed_version(log).await? else { continue };
        if let Some(values) = stored(foundation, engine).await?.row(log, version, record).await? {
            return Ok(Some(catalog.flushed_inclusion_proof(log, record, &values).await?));
        }
    }
    Ok(None)
}

fn tell(report: &Report) -> Result<(), AdminError> {
    for finding in report.findings.iter().take(SHOWN_MAX) {
        say(&finding.to_string())?;
    }
    if report.findings.len() > SHOWN_MAX {
        say(&format!("… and {} more", report.findings.len() - SHOWN_MAX))?;
    }
    say(&format!("{} records of {} chains, {} signed heads", report.records, report.chains, report.heads))?;
    if report.unsigned > 0 {
        say(&format!("{} records are under no signature yet", report.unsigned))?;
    }
    if report.erased > 0 {
        say(&format!("{} sealed texts were erased, each by an event of the log", report.erased))?;
    }
    if report.flushed > 0 {
        say(&format!("{} records have their facets in the warehouse, {} of them were compared", report.flushed, report.flushed_checked))?;
    }
    if report.expired > 0 {
        say(&format!("{} records are past their time and deleted, by events of the log", report.expired))?;
    }
    if report.before_chains > 0 {
        say(&format!("{} records are older than the first chain: nothing is known of them", report.before_chains))?;
    }
    if report.chains == 0 {
        return Err(AdminError::NoLog);
    }
    if report.is_whole() {
        return say("the log is whole");
    }
    Err(AdminError::Faults(report.findings.len()))
}

fn key_of(text: &str) -> Result<Vec<u8>, AdminError> {
    let from_file = std::fs::read_to_string(text).ok();
    let encoded = from_file.as_deref().unwrap_or(text).trim();
    STANDARD.decode(encoded).ok().filter(|key| key.len() == 32).ok_or_else(|| AdminError::PublicKey(text.to_owned()))
}

/// `println` gave it one newline at its end, as it is signed.
fn anchor(file: Option<&Path>) -> Result<Option<String>, AdminError> {
    file.map(|file| Ok(format!("{}\n", read(file)?.trim_end()))).transpose()
}

fn read(file: &Path) -> Result<String, AdminError> {
    std::fs::read_to_string(file).map_err(|error| AdminError::Unreadable(file.display().to_string(), error))
}
