//! Rules that watch the logs, and what they found. Which process runs them is told by a lease.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use crate::authorize::Principal;
use crate::catalog::Catalog;
use crate::error::{CatalogError, ObjectKind};
use crate::keyring::Cell;
use crate::model::{Oid, READ_AUDIT_OID};
use crate::statement_log::time;
use crate::store::number;

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detection {
    pub name: String,
    /// `info`, `low`, `medium`, `high`, `critical`.
    pub severity: String,
    pub every: Duration,
    /// Records so old are looked at; zero: all.
    pub window: Duration,
    /// Rows of one actor that make a finding.
    pub threshold: u64,
    /// After a finding, none of the same actor for so long.
    pub suppress: Duration,
    /// SQL, or a Sigma rule.
    pub definition: String,
    /// `sql`, `sigma`.
    pub language: String,
    /// `pack`, `user`, `file`.
    pub source: String,
    pub enabled: bool,
    /// Statements wait for it, and are stopped by what it finds.
    pub guard: bool,
    pub owner: Oid,
    pub comment: Option<String>,
    pub last_run: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
}

/// What a rule found about one actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub finding_id: Uuid,
    pub detection: String,
    pub severity: String,
    pub actor: String,
    pub first_event: Option<DateTime<Utc>>,
    pub last_event: Option<DateTime<Utc>>,
    pub found: DateTime<Utc>,
    /// Rows; sealed in the store. Null where the key is destroyed.
    pub evidence: serde_json::Value,
    /// `open`, `acknowledged`, `closed`.
    pub state: String,
    /// How often it was sent.
    pub webhook_attempts: u64,
}

const COLUMNS: &str = "name, severity, every_s, window_s, threshold, suppress_s, definition, language, source, enabled, owner_oid, \
     comment_text, last_run_us, last_error, guard";
const FINDING_COLUMNS: &str = "finding_id, detection, severity, actor, first_event_us, last_event_us, found_us, key_id, sealed_evidence, state, \
     webhook_attempts";
/// Findings that are read at once.
const FINDINGS_MAX: i64 = 100_000;

impl Catalog {
    /// Those who may read the whole audit log may make rules about it, and see what they find.
    ///
    /// # Errors
    /// [`CatalogError::InsufficientPrivilege`].
    pub fn require_auditor(&self, principal: &Principal) -> Result<(), CatalogError> {
        if self.is_auditor(principal) {
            return Ok(());
        }
        Err(CatalogError::forbidden("must be superuser or a member of lakegate_read_audit to work with detections and findings"))
    }

    #[must_use]
    pub fn is_auditor(&self, principal: &Principal) -> bool {
        self.snapshot().has_privileges_of(principal.current_role, READ_AUDIT_OID)
    }

    /// Whether there was one of that name.
    ///
    /// # Errors
    /// [`CatalogError::Duplicate`] unless `replace`; [`CatalogError::InsufficientPrivilege`].
    pub async fn put_detection(&self, principal: &Principal, detection: &Detection, replace: bool) -> Result<bool, CatalogError> {
        self.require_auditor(principal)?;
        let mut transaction = self.store().begin_write().await?;
        let there: Option<String> = sqlx::query_scalar("SELECT source FROM detections WHERE name = $1")
            .bind(detection.name.clone())
            .fetch_optional(&mut *transaction)
            .await?;
        if there.is_some() && !replace {
            return Err(CatalogError::Duplicate { kind: ObjectKind::Detection, name: detection.name.clone() });
        }
        sqlx::query("DELETE FROM detections WHERE name = $1").bind(detection.name.clone()).execute(&mut *transaction).await?;
        insert(&mut transaction, detection).await?;
        transaction.commit().await?;
        Ok(there.is_some())
    }

    /// The rules that come with the program: new ones are added, the definitions of known ones follow; what was set of them stays.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn install_detections(&self, pack: &[Detection]) -> Result<(), CatalogError> {
        let mut transaction = self.store().begin_write().await?;
        for detection in pack {
            let known = sqlx::query(
                "UPDATE detections SET definition = $1, language = $2, window_s = $3, comment_text = $4 WHERE name = $5 AND source = $6",
            )
            .bind(detection.definition.clone())
            .bind(detection.language.clone())
            .bind(seconds(detection.window))
            .bind(detection.comment.clone())
            .bind(detection.name.clone())
            .bind(detection.source.clone())
            .execute(&mut *transaction)
            .await?;
            let taken: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM detections WHERE name = $1")
                .bind(detection.name.clone())
                .fetch_one(&mut *transaction)
                .await?;
            if known.rows_affected() == 0 && taken == 0 {
                insert(&mut transaction, detection).await?;
            }
        }
        transaction.commit().await?;
        Ok(())
    }

    /// By name, without a look at rights: who is shown them is the caller's to decide.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn detections(&self) -> Result<Vec<Detection>, CatalogError> {
        let sql = format!("SELECT {COLUMNS} FROM detections ORDER BY name");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(self.store().reads()).await?;
        rows.iter().map(detection).collect()
    }

    /// # Errors
    /// [`CatalogError::Undefined`].
    pub async fn detection(&self, name: &str) -> Result<Detection, CatalogError> {
        let sql = format!("SELECT {COLUMNS} FROM detections WHERE name = $1");
        let row = sqlx::query(AssertSqlSafe(sql)).bind(name.to_owned()).fetch_optional(self.store().reads()).await?;
        row.as_ref().map(detection).transpose()?.ok_or_else(|| undefined(name))
    }

    /// # Errors
    /// [`CatalogError::Undefined`], [`CatalogError::InsufficientPrivilege`]; those of the pack can be disabled, not dropped.
    pub async fn drop_detection(&self, principal: &Principal, name: &str) -> Result<(), CatalogError> {
        self.require_auditor(principal)?;
        if self.detection(name).await?.source == "pack" {
            return Err(CatalogError::parameter(format!("detection \"{name}\" comes with the program: ALTER DETECTION {name} DISABLE")));
        }
        let mut transaction = self.store().begin_write().await?;
        sqlx::query("DELETE FROM detections WHERE name = $1").bind(name.to_owned()).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn detection_ran(&self, name: &str, at: DateTime<Utc>, error: Option<&str>) -> Result<(), CatalogError> {
        let mut transaction = self.store().begin_write().await?;
        sqlx::query("UPDATE detections SET last_run_us = $1, last_error = $2 WHERE name = $3")
            .bind(at.timestamp_micros())
            .bind(error.map(str::to_owned))
            .bind(name.to_owned())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Whether this process is the one that runs the rules for the time to come.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn lease_detector(&self, time: Duration) -> Result<bool, CatalogError> {
        let now = Utc::now().timestamp_micros();
        let until = now.saturating_add(i64::try_from(time.as_micros()).map_err(CatalogError::internal)?);
        let mut transaction = self.store().begin_write().await?;
        let taken = sqlx::query("UPDATE detector SET process = $1, until_us = $2 WHERE process = $1 OR until_us < $3")
            .bind(self.process().to_string())
            .bind(until)
            .bind(now)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(taken.rows_affected() > 0)
    }
}

impl Catalog {
    /// When the rule last found something about the actor, and the last event of that.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn last_finding(&self, detection: &str, actor: &str) -> Result<Option<(DateTime<Utc>, Option<DateTime<Utc>>)>, CatalogError> {
        let sql = "SELECT found_us, last_event_us FROM findings WHERE detection = $1 AND actor = $2 ORDER BY found_us DESC LIMIT 1";
        let row = sqlx::query(sql).bind(detection.to_owned()).bind(actor.to_owned()).fetch_optional(self.store().reads()).await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some((time(row.try_get(0)?)?, row.try_get::<Option<i64>, _>(1)?.map(time).transpose()?)))
    }

    /// `webhook`: it is to be sent.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn add_finding(&self, finding: &Finding, webhook: bool) -> Result<(), CatalogError> {
        let key = self.keyring().of_day(finding.found, 0).await?;
        let id = finding.finding_id.to_string();
        let plain = serde_json::to_vec(&finding.evidence).map_err(CatalogError::internal)?;
        let sealed = key.seal(cell(&id, finding.found), &plain)?;
        let micros = |time: Option<DateTime<Utc>>| time.map(|time| time.timestamp_micros());
        let mut transaction = self.store().begin_write().await?;
        sqlx::query(AssertSqlSafe(format!(
            "INSERT INTO findings ({FINDING_COLUMNS}, webhook, webhook_due_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, $7)"
        )))
        .bind(id)
        .bind(finding.detection.clone())
        .bind(finding.severity.clone())
        .bind(finding.actor.clone())
        .bind(micros(finding.first_event))
        .bind(micros(finding.last_event))
        .bind(finding.found.timestamp_micros())
        .bind(key.id().to_owned())
        .bind(sealed)
        .bind(finding.state.clone())
        .bind(if webhook { "due" } else { "none" })
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Newest first, for auditors; nobody else sees any.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`], [`CatalogError::Corrupted`].
    pub async fn findings(&self, principal: &Principal) -> Result<Vec<Finding>, CatalogError> {
        if !self.is_auditor(principal) {
            return Ok(Vec::new());
        }
        let sql = format!("SELECT {FINDING_COLUMNS} FROM findings ORDER BY found_us DESC, finding_id LIMIT {FINDINGS_MAX}");
        self.read_findings(sqlx::query(AssertSqlSafe(sql)).fetch_all(self.store().reads()).await?).await
    }

    /// Those that are to be sent now.
    ///
    /// # Errors
    /// As [`Catalog::findings`].
    pub async fn findings_to_send(&self) -> Result<Vec<Finding>, CatalogError> {
        let sql =
            format!("SELECT {FINDING_COLUMNS} FROM findings WHERE webhook = 'due' AND webhook_due_us <= $1 ORDER BY found_us LIMIT 100");
        let now = Utc::now().timestamp_micros();
        self.read_findings(sqlx::query(AssertSqlSafe(sql)).bind(now).fetch_all(self.store().reads()).await?).await
    }

    async fn read_findings(&self, rows: Vec<AnyRow>) -> Result<Vec<Finding>, CatalogError> {
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let id: String = row.try_get(0)?;
            let at = time(row.try_get(6)?)?;
            let evidence = match self.keyring().by_id(&row.try_get::<String, _>(7)?).await {
                Ok(key) => {
                    let plain = key.open(cell(&id, at), &row.try_get::<Vec<u8>, _>(8)?)?;
                    serde_json::from_slice(&plain).map_err(|_| CatalogError::corrupted("a finding"))?
                }
                Err(CatalogError::KeyDestroyed) => serde_json::Value::Null,
                Err(error) => return Err(error),
            };
            found.push(Finding {
                finding_id: id.parse().map_err(CatalogError::corrupted)?,
                detection: row.try_get(1)?,
                severity: row.try_get(2)?,
                actor: row.try_get(3)?,
                first_event: row.try_get::<Option<i64>, _>(4)?.map(time).transpose()?,
                last_event: row.try_get::<Option<i64>, _>(5)?.map(time).transpose()?,
                found: at,
                evidence,
                state: row.try_get(9)?,
                webhook_attempts: number(row.try_get(10)?)?,
            });
        }
        Ok(found)
    }

    /// What became of sending; `again`: when it is tried the next time, `None` for never.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn finding_sent(&self, finding: Uuid, sent: bool, again: Option<DateTime<Utc>>) -> Result<(), CatalogError> {
        let state = match (sent, again) {
            (true, _) => "sent",
            (false, Some(_)) => "due",
            (false, None) => "failed",
        };
        let mut transaction = self.store().begin_write().await?;
        sqlx::query("UPDATE findings SET webhook = $1, webhook_attempts = webhook_attempts + 1, webhook_due_us = $2 WHERE finding_id = $3")
            .bind(state)
            .bind(again.map_or(0, |again| again.timestamp_micros()))
            .bind(finding.to_string())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// # Errors
    /// [`CatalogError::InsufficientPrivilege`]; 22023 for a finding that there is not.
    pub async fn set_finding_state(&self, principal: &Principal, finding: Uuid, state: &str) -> Result<(), CatalogError> {
        self.require_auditor(principal)?;
        let mut transaction = self.store().begin_write().await?;
        let changed = sqlx::query("UPDATE findings SET state = $1 WHERE finding_id = $2")
            .bind(state.to_owned())
            .bind(finding.to_string())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        if changed.rows_affected() == 0 {
            return Err(CatalogError::parameter(format!("there is no finding {finding}")));
        }
        Ok(())
    }
}

async fn insert(connection: &mut sqlx::AnyConnection, detection: &Detection) -> Result<(), CatalogError> {
    let sql = format!("INSERT INTO detections ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, NULL, NULL, $13)");
    sqlx::query(AssertSqlSafe(sql))
        .bind(detection.name.clone())
        .bind(detection.severity.clone())
        .bind(seconds(detection.every))
        .bind(seconds(detection.window))
        .bind(i64::try_from(detection.threshold).unwrap_or(i64::MAX))
        .bind(seconds(detection.suppress))
        .bind(detection.definition.clone())
        .bind(detection.language.clone())
        .bind(detection.source.clone())
        .bind(i64::from(detection.enabled))
        .bind(i64::from(detection.owner))
        .bind(detection.comment.clone())
        .bind(i64::from(detection.guard))
        .execute(connection)
        .await?;
    Ok(())
}

fn detection(row: &AnyRow) -> Result<Detection, CatalogError> {
    let duration = |at: usize| -> Result<Duration, CatalogError> { Ok(Duration::from_secs(number(row.try_get(at)?)?)) };
    Ok(Detection {
        name: row.try_get(0)?,
        severity: row.try_get(1)?,
        every: duration(2)?,
        window: duration(3)?,
        threshold: number(row.try_get(4)?)?,
        suppress: duration(5)?,
        definition: row.try_get(6)?,
        language: row.try_get(7)?,
        source: row.try_get(8)?,
        enabled: row.try_get::<i64, _>(9)? != 0,
        owner: number(row.try_get(10)?)?,
        comment: row.try_get(11)?,
        last_run: row.try_get::<Option<i64>, _>(12)?.map(time).transpose()?,
        last_error: row.try_get(13)?,
        guard: row.try_get::<i64, _>(14)? != 0,
    })
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

fn undefined(name: &str) -> CatalogError {
    CatalogError::Undefined { kind: ObjectKind::Detection, name: name.to_owned() }
}

fn cell(id: &str, found: DateTime<Utc>) -> Cell<'_> {
    Cell { table: "findings", column: "sealed_evidence", id, role: 0, time: found.timestamp_micros() }
}
