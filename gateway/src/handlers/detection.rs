//! CREATE, ALTER and DROP DETECTION, ALTER FINDING, HUNT.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, StringArray};
use arrow_schema::SchemaRef;
use chrono::{DateTime, Utc};
use lakegate_catalog::CatalogError;
use lakegate_catalog::detections::Detection;

use uuid::Uuid;

use super::create_view::query_text;
use super::show;
use crate::detect::{self, hunt};
use crate::frontend::{IntervalStyle, Response};
use crate::sql::execute::Deadline;
use crate::sql::grammar::{CreateDetection, DetectionChange, DetectionRule, Watch};
use crate::sql::prepare::{PreparedStatement, text_schema};
use crate::sql::session::GatewaySession;
use crate::sqlstate::{Severity, SqlError, SqlState};
use crate::wire::text_input::interval::parse_interval;

const SEVERITIES: [&str; 5] = ["info", "low", "medium", "high", "critical"];
const EVERY_MIN: Duration = Duration::from_secs(1);
const WINDOW_DEFAULT: Duration = Duration::from_secs(24 * 3_600);

/// Columns of the answer to HUNT.
#[must_use]
pub fn schema() -> SchemaRef {
    text_schema(["at", "actor", "first_event_time", "last_event_time", "evidence"])
}

/// # Errors
/// 42501 for all but auditors, 42710, 42704, 22023, 22007, and what the rule's own query gives.
pub async fn run(
    session: &mut GatewaySession,
    watch: &Watch,
    statement: &PreparedStatement,
    deadline: &Deadline,
) -> Result<Response, SqlError> {
    let catalog = session.shared.catalog.clone();
    catalog.require_auditor(&session.principal)?;
    match watch {
        Watch::Create(create) => self::create(session, create, &statement.text).await?,
        Watch::Alter { name, changes } => {
            let mut detection = catalog.detection(name).await?;
            changes.iter().try_for_each(|change| apply(&mut detection, change))?;
            catalog.put_detection(&session.principal, &detection, true).await?;
        }
        Watch::Drop { name, if_exists } => match catalog.drop_detection(&session.principal, name).await {
            Err(CatalogError::Undefined { .. }) if *if_exists => {
                let text = format!("detection \"{name}\" does not exist, skipping");
                session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text));
            }
            dropped => dropped?,
        },
        Watch::AlterFinding { finding, state } => {
            let finding: Uuid = finding.parse().map_err(|_| {
                SqlError::new(SqlState::InvalidTextRepresentation, format!("invalid input syntax for type uuid: \"{finding}\""))
            })?;
            catalog.set_finding_state(&session.principal, finding, state).await?;
        }
        Watch::Hunt { name, since, until } => return past(session, name, since.as_deref(), until.as_deref(), deadline).await,
    }
    session.shared.guards.forget();
    Ok(Response::Command { tag: watch.tag().to_owned() })
}

async fn create(session: &mut GatewaySession, create: &CreateDetection, text: &str) -> Result<(), SqlError> {
    let (definition, language) = match &create.rule {
        DetectionRule::Query(_) => {
            let definition = query_text(text).ok_or_else(|| SqlError::new(SqlState::SyntaxError, "a detection without its query"))?;
            (definition, "sql")
        }
        DetectionRule::Sigma(yaml) => (yaml.clone(), "sigma"),
    };
    let mut detection = Detection {
        name: create.name.clone(),
        severity: "medium".to_owned(),
        every: Duration::from_secs(60),
        window: WINDOW_DEFAULT,
        threshold: 1,
        suppress: Duration::from_secs(3_600),
        definition,
        language: language.to_owned(),
        source: "user".to_owned(),
        enabled: true,
        guard: false,
        owner: session.principal.current_role,
        comment: None,
        last_run: None,
        last_error: None,
    };
    let compiled = detect::compile(&detection)?;
    compiled.describe(&mut detection);
    create.changes.iter().try_for_each(|change| apply(&mut detection, change))?;
    detect::check(session, &compiled).await?;
    session.shared.catalog.put_detection(&session.principal, &detection, create.or_replace).await?;
    Ok(())
}

fn apply(detection: &mut Detection, change: &DetectionChange) -> Result<(), SqlError> {
    match change {
        DetectionChange::Severity(severity) if SEVERITIES.contains(&severity.as_str()) => detection.severity.clone_from(severity),
        DetectionChange::Severity(severity) => {
            let text = format!("invalid severity \"{severity}\"");
            return Err(SqlError::new(SqlState::InvalidParameterValue, text).hint(format!("One of {}.", SEVERITIES.join(", "))));
        }
        DetectionChange::Every(text) => detection.every = duration(text)?.max(EVERY_MIN),
        DetectionChange::Window(text) => detection.window = duration(text)?,
        DetectionChange::Suppress(text) => detection.suppress = duration(text)?,
        DetectionChange::Threshold(rows) => detection.threshold = (*rows).max(1),
        DetectionChange::Comment(text) => detection.comment = Some(text.clone()),
        DetectionChange::Enabled(enabled) => detection.enabled = *enabled,
        DetectionChange::Guard(guard) => detection.guard = *guard,
    }
    Ok(())
}

/// Months have thirty days.
pub fn duration(text: &str) -> Result<Duration, SqlError> {
    let interval = parse_interval(text, IntervalStyle::Postgres)?;
    let days = i64::from(interval.months) * 30 + i64::from(interval.days);
    let seconds = days.saturating_mul(86_400).saturating_add(interval.micros / 1_000_000);
    u64::try_from(seconds)
        .map(Duration::from_secs)
        .map_err(|_| SqlError::new(SqlState::InvalidParameterValue, format!("interval \"{text}\" is negative")))
}

async fn past(
    session: &mut GatewaySession,
    name: &str,
    since: Option<&str>,
    until: Option<&str>,
    deadline: &Deadline,
) -> Result<Response, SqlError> {
    let detection = session.shared.catalog.detection(name).await?;
    let now = Utc::now();
    let until = until.map(moment).transpose()?.unwrap_or(now).min(now);
    let since = since.map(moment).transpose()?.unwrap_or(until - chrono::Duration::days(1));
    if since > until {
        return Err(SqlError::new(SqlState::InvalidParameterValue, "SINCE is later than UNTIL"));
    }
    let hits = hunt(session, &detection, since, until, deadline.token()).await?;
    let time = |time: Option<DateTime<Utc>>| time.map(|time| time.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string());
    let column = |value: &dyn Fn(&Found) -> Option<String>| -> ArrayRef { Arc::new(hits.iter().map(value).collect::<StringArray>()) };
    let columns = vec![
        column(&|(at, _)| time(Some(*at))),
        column(&|(_, hit)| Some(hit.actor.clone())),
        column(&|(_, hit)| time(hit.first)),
        column(&|(_, hit)| time(hit.last)),
        column(&|(_, hit)| Some(hit.evidence().to_string())),
    ];
    show::rows(schema(), columns, "HUNT")
}

/// A hit, and when its rule was run for it.
type Found = (DateTime<Utc>, detect::Hit);

/// A date, or a time with its offset; without one it is UTC.
fn moment(text: &str) -> Result<DateTime<Utc>, SqlError> {
    let naive = |format: &str| chrono::NaiveDateTime::parse_from_str(text, format).ok().map(|time| time.and_utc());
    let zoned = |format: &str| DateTime::parse_from_str(text, format).ok().map(|time| time.to_utc());
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|time| time.to_utc())
        .or_else(|| zoned("%Y-%m-%d %H:%M:%S%.f%#z"))
        .or_else(|| naive("%Y-%m-%d %H:%M:%S%.f"))
        .or_else(|| naive("%Y-%m-%dT%H:%M:%S%.f"))
        .or_else(|| {
            chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|date| date.and_hms_opt(0, 0, 0)).map(|time| time.and_utc())
        })
        .ok_or_else(|| {
            SqlError::new(SqlState::InvalidDatetimeFormat, format!("invalid input syntax for type timestamp with time zone: \"{text}\""))
        })
}
