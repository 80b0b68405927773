//! The SQL front end: text to AST, AST to a bound statement, statement to answer.

pub mod grammar;
pub mod parse;
pub mod redact;
