//! PostgreSQL's protocol as bytes: the only place that sees them.
//!
//! [`frame`] cuts the stream into messages, [`incoming`] decodes one message, [`outgoing`] encodes one, [`rows`] writes results,
//! [`params`] reads bound values; [`text_input`] reads values in PostgreSQL's text and binary formats, for parameters and COPY alike.

pub mod body;
pub mod calendar;
pub mod frame;
pub mod incoming;
pub mod outgoing;
pub mod params;
pub mod pg_types;
pub mod rows;
pub mod text_input;

#[cfg(test)]
mod differential;
