//! Backend messages, appended to the one write buffer of a connection.

use arrow_schema::Schema;
use lakegate_catalog::model::PgType;
use lakegate_engine_api::ColumnOrigin;

use super::pg_types::wire_type;
use crate::frontend::TransactionStatus;
use crate::sqlstate::{Severity, SqlError};

/// Text or binary, of one column or parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Binary,
}

impl Format {
    #[must_use]
    pub fn code(self) -> i16 {
        match self {
            Format::Text => 0,
            Format::Binary => 1,
        }
    }
}

pub fn authentication_ok(out: &mut Vec<u8>) {
    message(out, b'R', |out| out.extend_from_slice(&0i32.to_be_bytes()));
}

pub fn authentication_cleartext_password(out: &mut Vec<u8>) {
    message(out, b'R', |out| out.extend_from_slice(&3i32.to_be_bytes()));
}

pub fn authentication_sasl(out: &mut Vec<u8>, mechanisms: &[&str]) {
    message(out, b'R', |out| {
        out.extend_from_slice(&10i32.to_be_bytes());
        for mechanism in mechanisms {
            string(out, mechanism);
        }
        out.push(0);
    });
}

pub fn authentication_sasl_continue(out: &mut Vec<u8>, data: &[u8]) {
    message(out, b'R', |out| {
        out.extend_from_slice(&11i32.to_be_bytes());
        out.extend_from_slice(data);
    });
}

pub fn authentication_sasl_final(out: &mut Vec<u8>, data: &[u8]) {
    message(out, b'R', |out| {
        out.extend_from_slice(&12i32.to_be_bytes());
        out.extend_from_slice(data);
    });
}

/// `version` is the newest minor version of the major one that the server speaks.
pub fn negotiate_protocol_version(out: &mut Vec<u8>, version: u32, unknown_options: &[String]) {
    message(out, b'v', |out| {
        out.extend_from_slice(&version.to_be_bytes());
        out.extend_from_slice(&u32::try_from(unknown_options.len()).unwrap_or_default().to_be_bytes());
        for option in unknown_options {
            string(out, option);
        }
    });
}

pub fn backend_key_data(out: &mut Vec<u8>, pid: i32, key: &[u8]) {
    message(out, b'K', |out| {
        out.extend_from_slice(&pid.to_be_bytes());
        out.extend_from_slice(key);
    });
}

pub fn parameter_status(out: &mut Vec<u8>, name: &str, value: &str) {
    message(out, b'S', |out| {
        string(out, name);
        string(out, value);
    });
}

pub fn notification(out: &mut Vec<u8>, pid: i32, channel: &str, payload: &str) {
    message(out, b'A', |out| {
        out.extend_from_slice(&pid.to_be_bytes());
        string(out, channel);
        string(out, payload);
    });
}

pub fn ready_for_query(out: &mut Vec<u8>, status: TransactionStatus) {
    let status = match status {
        TransactionStatus::Idle => b'I',
        TransactionStatus::InTransaction => b'T',
        TransactionStatus::Failed => b'E',
    };
    out.extend_from_slice(&[b'Z', 0, 0, 0, 5, status]);
}

pub fn parse_complete(out: &mut Vec<u8>) {
    empty(out, b'1');
}

pub fn bind_complete(out: &mut Vec<u8>) {
    empty(out, b'2');
}

pub fn close_complete(out: &mut Vec<u8>) {
    empty(out, b'3');
}

pub fn no_data(out: &mut Vec<u8>) {
    empty(out, b'n');
}

pub fn empty_query_response(out: &mut Vec<u8>) {
    empty(out, b'I');
}

pub fn portal_suspended(out: &mut Vec<u8>) {
    empty(out, b's');
}

pub fn command_complete(out: &mut Vec<u8>, tag: &str) {
    message(out, b'C', |out| string(out, tag));
}

/// `SELECT 5`: the word and the count, without an allocation. `SHOW` and `EXPLAIN` stand without a count, as in PostgreSQL's
/// `cmdtaglist.h`.
pub fn command_complete_rows(out: &mut Vec<u8>, word: &str, rows: u64) {
    message(out, b'C', |out| {
        out.extend_from_slice(word.as_bytes());
        if !matches!(word, "SHOW" | "EXPLAIN") {
            out.push(b' ');
            out.extend_from_slice(itoa::Buffer::new().format(rows).as_bytes());
        }
        out.push(0);
    });
}

pub fn parameter_description(out: &mut Vec<u8>, types: impl ExactSizeIterator<Item = PgType>) {
    message(out, b't', |out| {
        out.extend_from_slice(&u16::try_from(types.len()).unwrap_or(u16::MAX).to_be_bytes());
        for pg in types {
            out.extend_from_slice(&pg.oid.to_be_bytes());
        }
    });
}

/// `formats` has one entry a column, or is empty where they are not known yet (a statement is described, not a portal).
pub fn row_description(out: &mut Vec<u8>, schema: &Schema, formats: &[Format]) {
    message(out, b'T', |out| {
        out.extend_from_slice(&u16::try_from(schema.fields().len()).unwrap_or(u16::MAX).to_be_bytes());
        for (index, field) in schema.fields().iter().enumerate() {
            let (pg, length) = wire_type(field);
            string(out, field.name());
            let (relation, number) = ColumnOrigin::of(field).map_or((0, 0), |origin| (origin.relation, origin.number));
            out.extend_from_slice(&relation.to_be_bytes());
            out.extend_from_slice(&number.to_be_bytes());
            out.extend_from_slice(&pg.oid.to_be_bytes());
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(&pg.typmod.to_be_bytes());
            out.extend_from_slice(&formats.get(index).map_or(0, |format| format.code()).to_be_bytes());
        }
    });
}

pub fn copy_in_response(out: &mut Vec<u8>, columns: usize, binary: bool) {
    copy_response(out, b'G', columns, binary);
}

pub fn copy_out_response(out: &mut Vec<u8>, columns: usize, binary: bool) {
    copy_response(out, b'H', columns, binary);
}

pub fn copy_data(out: &mut Vec<u8>, data: &[u8]) {
    message(out, b'd', |out| out.extend_from_slice(data));
}

pub fn copy_done(out: &mut Vec<u8>) {
    empty(out, b'c');
}

pub fn error_response(out: &mut Vec<u8>, error: &SqlError) {
    message(out, b'E', |out| error_fields(out, error));
}

pub fn notice_response(out: &mut Vec<u8>, notice: &SqlError) {
    message(out, b'N', |out| error_fields(out, notice));
}

/// The message by which PostgreSQL refuses clients of protocol 2, in their format.
pub fn error_response_v2(out: &mut Vec<u8>, error: &SqlError) {
    out.push(b'E');
    string(out, &format!("{}:  {}\n", error.severity.word(), error.message));
}

fn error_fields(out: &mut Vec<u8>, error: &SqlError) {
    let fields = &error.fields;
    let position = fields.position.map(|position| position.to_string());
    let severity = match error.severity {
        // Nothing reaches a client as PANIC: one session's end is not the server's.
        Severity::Panic => Severity::Fatal,
        other => other,
    };
    let all: [(u8, Option<&str>); 14] = [
        (b'S', Some(severity.word())),
        (b'V', Some(severity.word())),
        (b'C', Some(error.state.code())),
        (b'M', Some(&error.message)),
        (b'D', fields.detail.as_deref()),
        (b'H', fields.hint.as_deref()),
        (b'P', position.as_deref()),
        (b'W', fields.context.as_deref()),
        (b's', fields.schema.as_deref()),
        (b't', fields.table.as_deref()),
        (b'c', fields.column.as_deref()),
        (b'd', fields.data_type.as_deref()),
        (b'n', fields.constraint.as_deref()),
        (b'R', fields.routine),
    ];
    for (code, text) in all {
        if let Some(text) = text {
            out.push(code);
            string(out, text);
        }
    }
    out.push(0);
}

fn copy_response(out: &mut Vec<u8>, tag: u8, columns: usize, binary: bool) {
    message(out, tag, |out| {
        out.push(u8::from(binary));
        let columns = u16::try_from(columns).unwrap_or(u16::MAX);
        out.extend_from_slice(&columns.to_be_bytes());
        for _ in 0..columns {
            out.extend_from_slice(&u16::from(binary).to_be_bytes());
        }
    });
}

fn empty(out: &mut Vec<u8>, tag: u8) {
    out.extend_from_slice(&[tag, 0, 0, 0, 4]);
}

/// Appends a message and patches its length when the body is known.
fn message(out: &mut Vec<u8>, tag: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    patch_length(out, at, 4);
}

/// Writes the number of bytes from `at` to the end, minus what of them is not counted, into the four bytes at `at`.
pub(super) fn patch_length(out: &mut [u8], at: usize, counted_header: usize) {
    let length = u32::try_from(out.len() - at - 4 + counted_header).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

/// NUL ends a string on the wire, so one inside would cut the message in two: it is left out.
fn string(out: &mut Vec<u8>, text: &str) {
    if text.as_bytes().contains(&0) {
        out.extend(text.bytes().filter(|byte| *byte != 0));
    } else {
        out.extend_from_slice(text.as_bytes());
    }
    out.push(0);
}
