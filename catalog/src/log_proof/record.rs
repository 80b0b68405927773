//! Records of the logs as bytes: what is hashed and chained. The same from the values that are written and from those that are read again.

use aws_lc_rs::digest::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::merkle::{self, Hash};
use crate::statement_log::Value;

/// What a record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// A statement, before it runs.
    Start,
    /// How a statement ended.
    End,
    /// An audit event.
    Event,
}

impl RecordKind {
    pub const ALL: [RecordKind; 3] = [RecordKind::Start, RecordKind::End, RecordKind::Event];

    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            RecordKind::Start => "statement",
            RecordKind::End => "statement end",
            RecordKind::Event => "audit event",
        }
    }

    /// The table that holds it, and the columns that say where in a chain it stands: chain, number, link.
    pub(crate) const fn place(self) -> (&'static str, [&'static str; 3]) {
        match self {
            RecordKind::Start => ("statements", ["start_chain", "start_seq", "start_link"]),
            RecordKind::End => ("statements", ["end_chain", "end_seq", "end_link"]),
            RecordKind::Event => ("audit_events", ["chain", "seq", "link"]),
        }
    }

    /// The column that is sealed. Its digest is hashed in its place, so that a text can be erased and the record stays.
    pub(crate) const fn sealed(self) -> &'static str {
        match self {
            RecordKind::Start => "sealed_statement",
            RecordKind::End => "sealed_error",
            RecordKind::Event => "sealed_detail",
        }
    }

    /// What is hashed of it, in this order; the first one is its name, the last one the digest of what is sealed.
    pub(crate) fn columns(self) -> &'static [&'static str] {
        match self {
            RecordKind::Start => &crate::statement_log::START_COLUMNS,
            RecordKind::End => &crate::statement_log::END_COLUMNS,
            RecordKind::Event => &crate::audit::COLUMNS,
        }
    }
}

/// Of a sealed value: nobody guesses it, for no two seals of a text are alike.
pub(crate) fn digest(sealed: &[u8]) -> Hash {
    let mut context = Context::new(&aws_lc_rs::digest::SHA256);
    context.update(sealed);
    merkle::finish(context)
}

/// Name, type and value of each column, lengths first: no two records have the same bytes.
pub(crate) fn leaf(kind: RecordKind, values: &[Value]) -> Hash {
    merkle::leaf(|context| {
        part(context, b"lakegate record 1");
        part(context, kind.word().as_bytes());
        for (column, value) in kind.columns().iter().zip(values) {
            part(context, column.as_bytes());
            match value {
                Value::Integer(Some(number)) => {
                    context.update(b"i");
                    part(context, &number.to_be_bytes());
                }
                Value::Text(Some(text)) => {
                    context.update(b"t");
                    part(context, text.as_bytes());
                }
                Value::Bytes(Some(bytes)) => {
                    context.update(b"b");
                    part(context, bytes);
                }
                Value::Integer(None) | Value::Text(None) | Value::Bytes(None) => context.update(b"n"),
            }
        }
    })
}

pub(crate) fn part(context: &mut Context, bytes: &[u8]) {
    context.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
    context.update(bytes);
}

/// For a proof: bytes as `{"base64": …}`.
pub(crate) fn to_json(kind: RecordKind, values: &[Value]) -> serde_json::Map<String, serde_json::Value> {
    let shown = |value: &Value| match value {
        Value::Integer(number) => serde_json::json!(number),
        Value::Text(text) => serde_json::json!(text),
        Value::Bytes(None) => serde_json::Value::Null,
        Value::Bytes(Some(bytes)) => serde_json::json!({ "base64": STANDARD.encode(bytes) }),
    };
    kind.columns().iter().zip(values).map(|(column, value)| ((*column).to_owned(), shown(value))).collect()
}

/// Back from a proof; `None` where a column is missing or is no value.
pub(crate) fn from_json(kind: RecordKind, fields: &serde_json::Map<String, serde_json::Value>) -> Option<Vec<Value>> {
    let value = |column: &&str| match fields.get(*column)? {
        serde_json::Value::Null => Some(Value::Text(None)),
        serde_json::Value::Number(number) => number.as_i64().map(Value::from),
        serde_json::Value::String(text) => Some(Value::Text(Some(text.clone()))),
        serde_json::Value::Object(bytes) => STANDARD.decode(bytes.get("base64")?.as_str()?).ok().map(|bytes| Value::Bytes(Some(bytes))),
        _ => None,
    };
    kind.columns().iter().map(value).collect()
}
