//! SHOW.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::SchemaRef;
use futures::StreamExt;
use sqlparser::ast::Ident;

use crate::frontend::Response;
use crate::sql::grammar::fold;
use crate::sql::prepare::text_schema;
use crate::sql::session::GatewaySession;
use crate::sql::settings::{self, REGISTRY};
use crate::sqlstate::{SqlError, SqlState};

/// Columns of the answer.
pub fn schema(variable: &[Ident]) -> Result<SchemaRef, SqlError> {
    let name = setting_name(variable);
    if name == "all" {
        return Ok(text_schema(["name", "setting", "description"]));
    }
    Ok(text_schema([settings::find(&name).map_or(name.as_str(), |setting| setting.name)]))
}

pub fn run(session: &mut GatewaySession, variable: &[Ident]) -> Result<Response, SqlError> {
    let schema = schema(variable)?;
    let name = setting_name(variable);
    let current = &session.settings.current;
    let columns: Vec<ArrayRef> = if name == "all" {
        let names = REGISTRY.iter().map(|setting| Some(setting.name)).collect::<StringArray>();
        let values = REGISTRY.iter().map(|setting| current.get(setting.name)).collect::<StringArray>();
        let descriptions = REGISTRY.iter().map(|setting| Some(setting.description)).collect::<StringArray>();
        vec![Arc::new(names), Arc::new(values), Arc::new(descriptions)]
    } else {
        let value = current
            .get(&name)
            .ok_or_else(|| SqlError::new(SqlState::UndefinedObject, format!("unrecognized configuration parameter \"{name}\"")))?;
        vec![Arc::new(StringArray::from(vec![value]))]
    };
    rows(schema, columns, "SHOW")
}

/// A small answer made by the gateway itself.
pub fn rows(schema: SchemaRef, columns: Vec<ArrayRef>, tag: &'static str) -> Result<Response, SqlError> {
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)
        .map_err(|error| SqlError::new(SqlState::InternalError, format!("internal error: {error}")))?;
    Ok(Response::Rows { schema, rows: futures::stream::iter([Ok(batch)]).boxed(), tag })
}

/// `TIME ZONE`, `TRANSACTION ISOLATION LEVEL` and `SESSION AUTHORIZATION` are spellings of settings.
fn setting_name(variable: &[Ident]) -> String {
    let words: Vec<String> = variable.iter().map(fold).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["time", "zone"] => "timezone".to_owned(),
        ["transaction", "isolation", "level"] => "transaction_isolation".to_owned(),
        ["session", "authorization"] => "session_authorization".to_owned(),
        words => words.join("."),
    }
}
