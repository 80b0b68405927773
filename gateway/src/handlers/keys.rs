//! ROTATE KEYS and DESTROY KEYS.

use chrono::NaiveDate;
use lakegate_catalog::KeysOf;

use crate::frontend::Response;
use crate::sql::grammar::Keys;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{SqlError, SqlState};

/// # Errors
/// 42501 for all but superusers, 42704, 22007, 22023, 0A000 where the key-encryption key is not kept in a file.
pub async fn run(session: &mut GatewaySession, keys: &Keys) -> Result<Response, SqlError> {
    let catalog = session.shared.catalog.clone();
    let (word, count) = match keys {
        Keys::Rotate => ("ROTATE", catalog.rotate_kek_file(&session.principal).await?),
        Keys::DestroyOfRole(name) => {
            let role = super::role::named(session, &catalog.snapshot(), name)?;
            ("DESTROY", catalog.destroy_keys(&session.principal, KeysOf::Role(role)).await?)
        }
        Keys::DestroyOfDay(text) => {
            let day = NaiveDate::parse_from_str(text, "%Y-%m-%d")
                .map_err(|_| SqlError::new(SqlState::InvalidDatetimeFormat, format!("invalid input syntax for type date: \"{text}\"")))?;
            ("DESTROY", catalog.destroy_keys(&session.principal, KeysOf::Day(day)).await?)
        }
    };
    Ok(Response::Command { tag: format!("{word} {count}") })
}
