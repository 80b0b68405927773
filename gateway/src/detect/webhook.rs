//! Findings sent to an address, until it takes them.

use std::time::Duration;

use chrono::Utc;
use lakegate_catalog::Catalog;
use lakegate_catalog::detections::Finding;

use crate::sqlstate::SqlError;

const DEADLINE: Duration = Duration::from_secs(10);
/// Twice as long after each time, from this on.
const RETRY_FIRST: Duration = Duration::from_secs(10);
const RETRY_MAX: Duration = Duration::from_secs(3_600);
/// Then it is given up.
const ATTEMPTS_MAX: u64 = 30;

/// Sends what is due.
///
/// # Errors
/// 57P03: the catalog cannot be asked.
pub async fn send(catalog: &Catalog, url: &str) -> Result<(), SqlError> {
    let due = catalog.findings_to_send().await?;
    if due.is_empty() {
        return Ok(());
    }
    let client = reqwest::Client::builder().timeout(DEADLINE).redirect(reqwest::redirect::Policy::none()).build();
    let client = match client {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "findings cannot be sent");
            return Ok(());
        }
    };
    for finding in due {
        let sent = client.post(url).header("content-type", "application/json").body(body(&finding)).send().await;
        let sent = sent.and_then(reqwest::Response::error_for_status);
        let again = again(finding.webhook_attempts + 1);
        match &sent {
            Ok(_) => tracing::info!(finding = %finding.finding_id, "a finding was sent"),
            // The address may hold a secret: it is left out.
            Err(error) => tracing::warn!(finding = %finding.finding_id, error = %without_url(error), "a finding could not be sent"),
        }
        let again = again.and_then(|wait| chrono::Duration::from_std(wait).ok()).map(|wait| Utc::now() + wait);
        catalog.finding_sent(finding.finding_id, sent.is_ok(), again).await?;
    }
    Ok(())
}

fn without_url(error: &reqwest::Error) -> String {
    error.status().map_or_else(|| "no answer".to_owned(), |status| status.to_string())
}

fn again(attempts: u64) -> Option<Duration> {
    let doubled = 2_u32.saturating_pow(u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX).min(16));
    (attempts < ATTEMPTS_MAX).then(|| RETRY_FIRST.saturating_mul(doubled).min(RETRY_MAX))
}

fn body(finding: &Finding) -> String {
    serde_json::json!({
        "finding_id": finding.finding_id,
        "detection": finding.detection,
        "severity": finding.severity,
        "actor": finding.actor,
        "first_event_time": finding.first_event.map(|time| time.to_rfc3339()),
        "last_event_time": finding.last_event.map(|time| time.to_rfc3339()),
        "found_time": finding.found.to_rfc3339(),
        "state": finding.state,
        "evidence": finding.evidence,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_an_hour_and_end() {
        let waits: Vec<Option<u64>> =
            [1, 2, 3, 9, 10, 29, 30].into_iter().map(|attempts| again(attempts).map(|wait| wait.as_secs())).collect();
        assert_eq!(waits, [Some(10), Some(20), Some(40), Some(2_560), Some(3_600), Some(3_600), None]);
    }
}
