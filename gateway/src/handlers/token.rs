//! CREATE and DROP TOKEN. A token is shown once, as the answer to the statement that makes it.

use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use arrow_schema::SchemaRef;
use chrono::{DateTime, Duration, Utc};
use lakegate_catalog::CatalogError;

use super::{role, show};
use crate::frontend::Response;
use crate::sql::grammar::{CreateToken, DropToken, TokenExpiry};
use crate::sql::prepare::text_schema;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{Severity, SqlError, SqlState};

/// Days that a token holds where nothing is said.
const DAYS_DEFAULT: i64 = 90;

/// Columns of the answer to CREATE TOKEN.
#[must_use]
pub fn schema() -> SchemaRef {
    text_schema(["token_id", "token", "expires"])
}

pub async fn create(session: &mut GatewaySession, create: &CreateToken) -> Result<Response, SqlError> {
    let snapshot = session.catalog().refresh().await?;
    let role = match &create.role {
        Some(name) => role::named(session, &snapshot, name)?,
        None => session.principal.current_role,
    };
    let expires = expiry(&create.expires)?;
    if expires.is_some_and(|expires| expires <= Utc::now()) {
        return Err(SqlError::new(SqlState::InvalidParameterValue, "the token would have expired already"));
    }
    let made = session.shared.catalog.create_token(&session.principal, role, &create.name, expires).await?;
    let shown = |text: Option<String>| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
    let expires = expires.map(|expires| expires.format("%Y-%m-%d %H:%M:%S%.f+00").to_string());
    let columns = vec![shown(Some(made.id.to_string())), shown(Some(made.text.to_string())), shown(expires)];
    show::rows(schema(), columns, "CREATE TOKEN")
}

pub async fn drop(session: &mut GatewaySession, drop: &DropToken) -> Result<Response, SqlError> {
    let snapshot = session.catalog().refresh().await?;
    let role = match &drop.role {
        Some(name) => role::named(session, &snapshot, name)?,
        None => session.principal.current_role,
    };
    match session.shared.catalog.drop_token(&session.principal, role, &drop.name).await {
        Ok(()) => {}
        Err(CatalogError::Undefined { .. }) if drop.if_exists => {
            let text = format!("token \"{}\" does not exist, skipping", drop.name);
            session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Response::Command { tag: "DROP TOKEN".to_owned() })
}

pub(crate) fn expiry(written: &TokenExpiry) -> Result<Option<DateTime<Utc>>, SqlError> {
    match written {
        TokenExpiry::Never => Ok(None),
        TokenExpiry::Default => Ok(Some(Utc::now() + Duration::days(DAYS_DEFAULT))),
        TokenExpiry::At(text) => {
            let seconds = role::valid_until(text)?;
            Ok(seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0)))
        }
        TokenExpiry::In(text) => {
            let length = duration(text).ok_or_else(|| {
                SqlError::new(SqlState::InvalidDatetimeFormat, format!("invalid length of time: \"{text}\""))
                    .hint("A number and minutes, hours, days, weeks, months or years, e.g. '30 days'.")
            })?;
            Ok(Utc::now().checked_add_signed(length))
        }
    }
}

/// `30 days`, `12 hours`; a month has 30 days, a year 365.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.trim().split_once(' ')?;
    let number: i64 = number.parse().ok().filter(|number| (1..=1_000_000).contains(number))?;
    match unit.trim().trim_end_matches('s') {
        "minute" => Duration::try_minutes(number),
        "hour" => Duration::try_hours(number),
        "day" => Duration::try_days(number),
        "week" => Duration::try_weeks(number),
        "month" => Duration::try_days(number * 30),
        "year" => Duration::try_days(number * 365),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn lengths_of_time() {
        assert_eq!(duration("30 days").unwrap().num_days(), 30);
        assert_eq!(duration("1 hour").unwrap().num_hours(), 1);
        for bad in ["", "days", "0 days", "-1 days", "1 fortnight", "99999999999 days"] {
            assert!(duration(bad).is_none(), "{bad}");
        }
    }
}
