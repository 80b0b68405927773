//! The SQL front end: text to AST, AST to a bound statement, statement to answer.

pub mod bind;
pub mod changes;
pub mod cursors;
pub mod effects;
pub mod evaluate;
pub mod execute;
pub mod fingerprint;
pub mod grammar;
pub mod journal;
pub mod logged_rows;
pub mod named_statements;
pub mod notifications;
pub mod parse;
pub mod pending_notifications;
pub mod prepare;
pub mod redact;
pub mod session;
pub mod session_settings;
pub mod settings;
pub mod statement_type;
mod string_names;
pub mod table_query;
mod target;
pub mod together;
pub mod transaction;
pub mod types;
mod with_changes;
