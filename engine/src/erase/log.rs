//! Commits of a table's past without what they say of data subjects. Versions, times and operations stay, and a replay still ends in the same
//! table: each file that is gone goes by a name that stands for it, so that who asks for a version with it is told why it cannot be read,
//! and a late writer still finds its version taken.

use std::collections::HashSet;

use lakegate_engine_api::{EngineError, Needles};
use object_store::path::Path;
use serde_json::{Map, Value, json};

use crate::delta::{VectorPlace, object_path, vector_place};
use crate::error;
use crate::store::Location;

/// Folder of the names that stand for files which are gone; nothing lies there.
pub const ERASED_FOLDER: &str = "_lakegate_erased";

/// What a commit may go on saying of its operation.
const PARAMETERS: [&str; 5] = ["mode", "partitionBy", "targetSize", "zOrderBy", "version"];
const INFORMATION: [&str; 12] = [
    "timestamp",
    "inCommitTimestamp",
    "operation",
    "operationMetrics",
    "readVersion",
    "isolationLevel",
    "isBlindAppend",
    "engineInfo",
    "clientVersion",
    "txnId",
    "lakegateCommitId",
    "lakegateErasure",
];

/// A data file with its deletion vector.
pub type FileId = (Path, Option<VectorPlace>);

/// What is known while a log is rewritten.
pub struct Scrub<'a> {
    pub location: &'a Location,
    /// Files of the version that stays.
    pub active: &'a HashSet<FileId>,
    pub request: &'a str,
    pub secret: &'a [u8; 32],
    pub needles: &'a Needles,
}

impl Scrub<'_> {
    /// # Errors
    /// `Corrupted` for what is no commit.
    pub fn commit(&self, entry: &[u8]) -> Result<Vec<u8>, EngineError> {
        let damaged = || error::corrupted("a commit in the table's log is damaged");
        let mut out = Vec::with_capacity(entry.len());
        for line in entry.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            let mut action: Value = serde_json::from_slice(line).map_err(|_| damaged())?;
            let fields = action.as_object_mut().ok_or_else(damaged)?;
            // Its files are gone.
            if fields.contains_key("cdc") {
                continue;
            }
            for kind in ["add", "remove"] {
                if let Some(file) = fields.get_mut(kind).and_then(Value::as_object_mut) {
                    self.file(file)?;
                }
            }
            if let Some(info) = fields.get_mut("commitInfo").and_then(Value::as_object_mut) {
                self.information(info);
            }
            serde_json::to_writer(&mut out, &action).map_err(|_| damaged())?;
            out.push(b'\n');
        }
        Ok(out)
    }

    fn file(&self, file: &mut Map<String, Value>) -> Result<(), EngineError> {
        let damaged = || error::corrupted("a commit in the table's log is damaged");
        let uri = file.get("path").and_then(Value::as_str).ok_or_else(damaged)?.to_owned();
        if uri.starts_with(ERASED_FOLDER) {
            return Ok(());
        }
        let vector = match file.get("deletionVector") {
            None | Some(Value::Null) => None,
            Some(vector) => Some(vector_place(vector, &self.location.prefix)?),
        };
        let id = (object_path(&uri, self.location)?, vector);
        if self.active.contains(&id) {
            return Ok(());
        }
        file.insert("path".to_owned(), json!(format!("{ERASED_FOLDER}/{}/{}.parquet", self.request, self.stand_in(&id))));
        file.remove("deletionVector");
        file.remove("tags");
        if let Some(values) = file.get_mut("partitionValues").and_then(Value::as_object_mut) {
            values.values_mut().for_each(|value| *value = Value::Null);
        }
        let rows = file.get("stats").and_then(Value::as_str).and_then(|stats| serde_json::from_str::<Value>(stats).ok());
        match rows.and_then(|stats| stats.get("numRecords").and_then(Value::as_i64)) {
            Some(rows) => file.insert("stats".to_owned(), json!(json!({ "numRecords": rows }).to_string())),
            None => file.remove("stats"),
        };
        Ok(())
    }

    /// The same for the same file, wherever it is named, also after a restart.
    fn stand_in(&self, id: &FileId) -> String {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, self.secret);
        let text = format!("{}\0{:?}", id.0, id.1);
        super::objects::hex(aws_lc_rs::hmac::sign(&key, text.as_bytes()).as_ref().get(..16).unwrap_or_default())
    }

    fn information(&self, info: &mut Map<String, Value>) {
        info.retain(|name, _| INFORMATION.contains(&name.as_str()) || name == "operationParameters");
        if let Some(parameters) = info.get_mut("operationParameters").and_then(Value::as_object_mut) {
            parameters
                .retain(|name, value| PARAMETERS.contains(&name.as_str()) && self.needles.find(value.to_string().as_bytes()).is_none());
        }
        info.insert("lakegateErasure".to_owned(), json!(self.request));
    }
}

/// The request that a stand-in's path tells.
#[must_use]
pub fn request_of(path: &str) -> Option<&str> {
    path.strip_prefix(ERASED_FOLDER)?.strip_prefix('/')?.split('/').next()
}
