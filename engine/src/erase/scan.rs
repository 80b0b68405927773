//! The look at every byte that is left. It shares nothing with the code that erases but the list of what lies under a root: it asks no log
//! which files belong to a table, and reads Parquet files by their pages.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use lakegate_engine_api::{ByteScan, EngineError, ExecutionContext, Finding, Needles, Scanned};
use serde_json::Value;

use super::check_cancelled;
use super::objects::{Object, all, folders, hex, sha256, shown};
use super::scan_parquet;
use super::versions::{earlier, name_of};
use crate::exec::Shared;
use crate::store::{Failure, Location};

/// Objects beyond this are not read whole.
const OBJECT_BYTES_MAX: u64 = 4 << 30;
/// Larger ones are read one at a time: they are held in memory.
const LARGE_BYTES: u64 = 128 << 20;

/// By the names that data files have: values that belong to the subjects.
pub type Keys = HashMap<String, HashSet<String>>;

/// What is looked for in an object.
pub struct Search {
    pub needles: Needles,
    pub keys: Keys,
}

/// # Errors
/// As [`lakegate_engine_api::Engine::scan_bytes`].
pub async fn scan_bytes(shared: &Shared, location: &str, scan: &ByteScan, context: &ExecutionContext) -> Result<Scanned, EngineError> {
    let search = Arc::new(Search { needles: scan.needles.clone(), keys: keys(shared, location, scan).await });
    let place = shared.tables.stores().open(location)?;
    let mut scanned = Scanned::default();
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for folder in folders(&place).await? {
        if let Some(encoding) = search.name(&folder) {
            scanned.findings.push(finding(&folder, &search, "name of a folder", encoding));
        }
    }
    let (large, others): (Vec<Object>, Vec<Object>) = all(&place).await?.into_iter().partition(|object| object.bytes > LARGE_BYTES);
    let at_once = std::thread::available_parallelism().map_or(1, usize::from);
    for (objects, at_once) in [(others, at_once), (large, 1)] {
        let looks = futures::stream::iter(objects).map(|object| {
            let (search, place) = (Arc::clone(&search), place.clone());
            shared.runtime.run(context.cancel.clone(), async move { look_at(&object, &place, &search).await })
        });
        let mut looks = std::pin::pin!(looks.buffered(at_once));
        while let Some(looked) = looks.next().await {
            let (found, line) = looked?;
            scanned.objects += found.objects;
            scanned.bytes += found.bytes;
            scanned.findings.extend(found.findings);
            scanned.unread.extend(found.unread);
            digest.update(line.as_bytes());
        }
    }
    earlier_versions(&place, &search, &mut scanned, &mut digest, context).await?;
    scanned.digest = hex(digest.finish().as_ref());
    Ok(scanned)
}

/// What was found, and what the digest of the scan is made of.
async fn look_at(object: &Object, place: &Location, search: &Search) -> Result<(Scanned, String), EngineError> {
    let mut scanned = Scanned::default();
    if let Some(encoding) = search.name(&object.name) {
        scanned.findings.push(finding(&object.name, search, "name of the object", encoding));
    }
    if object.bytes > OBJECT_BYTES_MAX {
        scanned.unread.push(finding(&object.name, search, "larger than 4 GiB", "not read"));
        return Ok((scanned, String::new()));
    }
    let Some(bytes) = object.read(place).await? else { return Ok((scanned, String::new())) };
    scanned.objects = 1;
    scanned.bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let line = format!("{}\0{}\0{}\n", object.name, bytes.len(), sha256(&bytes));
    look(&object.name, bytes, search, &mut scanned);
    Ok((scanned, line))
}

/// What the store keeps of objects that are gone or were replaced.
async fn earlier_versions(
    place: &Location,
    search: &Search,
    scanned: &mut Scanned,
    digest: &mut aws_lc_rs::digest::Context,
    context: &ExecutionContext,
) -> Result<(), EngineError> {
    let Some(kept) = place.kept.as_deref() else { return Ok(()) };
    if kept.is_replicated().await? {
        scanned.beyond.push("the bucket is replicated: what was removed here may be in the other buckets still".to_owned());
    }
    let versions = match earlier(place).await? {
        Ok(versions) => versions,
        Err(why) => {
            scanned.beyond.push(format!("earlier versions of objects, which the bucket may keep, cannot be listed ({why})"));
            return Ok(());
        }
    };
    for version in versions {
        check_cancelled(context)?;
        let name = name_of(place, &version.key).to_owned();
        let at = |what: &str| format!("{what} {}", version.id);
        let finding = |place: &str, encoding: &str| finding(&name, search, place, encoding);
        if let Some(encoding) = search.name(&name) {
            let what = if version.is_marker { "name of the object, delete marker" } else { "name of the object, version" };
            scanned.findings.push(finding(&at(what), encoding));
        }
        if version.is_marker {
            continue;
        }
        if version.bytes > OBJECT_BYTES_MAX {
            scanned.unread.push(finding(&at("version"), "larger than 4 GiB, not read"));
            continue;
        }
        let bytes = match kept.read(&version.key, &version.id).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => continue,
            Err(Failure::Refused(why)) => {
                scanned.unread.push(finding(&at("version"), &format!("not read ({why})")));
                continue;
            }
            Err(Failure::Failed(failure)) => return Err(failure),
        };
        scanned.earlier_versions += 1;
        scanned.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        digest.update(format!("{name}\0{}\0{}\0{}\n", version.id, bytes.len(), sha256(&bytes)).as_bytes());
        let mut found = Scanned::default();
        look(&name, bytes, search, &mut found);
        let of_version = |found: Finding| Finding { place: format!("version {}: {}", version.id, found.place), ..found };
        scanned.findings.extend(found.findings.into_iter().map(of_version));
        scanned.unread.extend(found.unread.into_iter().map(of_version));
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Column-mapped tables have other names in their files.
async fn keys(shared: &Shared, location: &str, scan: &ByteScan) -> Keys {
    let mut keys = Keys::new();
    let version = shared.tables.version(location, None).await.ok();
    for (name, values) in &scan.keys {
        let values: HashSet<String> = values.iter().map(|value| plain(value).to_owned()).collect();
        let columns = version.iter().flat_map(|version| &version.columns.columns);
        for column in columns.filter(|column| column.field.name() == name) {
            keys.entry(column.physical.name().clone()).or_default().extend(values.iter().cloned());
        }
        keys.entry(name.clone()).or_default().extend(values);
    }
    keys
}

/// Numbers without zeros at the end of their fractions.
#[must_use]
pub fn plain(value: &str) -> &str {
    let is_number = value.contains('.') && value.trim_start_matches('-').chars().all(|c| c.is_ascii_digit() || c == '.');
    if is_number { value.trim_end_matches('0').trim_end_matches('.') } else { value }
}

fn finding(name: &str, search: &Search, place: &str, encoding: &str) -> Finding {
    let withheld: Vec<String> = search
        .keys
        .iter()
        .flat_map(|(column, values)| values.iter().map(move |value| format!("{column}={value}")))
        .filter(|part| name.contains(part.as_str()))
        .collect();
    Finding { object: shown(name, &search.needles, &withheld), place: place.to_owned(), encoding: encoding.to_owned() }
}

fn look(name: &str, bytes: Bytes, search: &Search, scanned: &mut Scanned) {
    if let Some(encoding) = search.needles.find(&bytes) {
        scanned.findings.push(finding(name, search, "bytes", encoding));
    }
    let is_parquet = bytes.starts_with(b"PAR1") || bytes.ends_with(b"PAR1") || name.ends_with(".parquet");
    if is_parquet {
        match scan_parquet::look(&bytes, search) {
            Ok(found) => scanned.findings.extend(found.into_iter().map(|(place, how)| finding(name, search, &place, how))),
            Err(why) => scanned.unread.push(finding(name, search, &why, "not a readable Parquet file")),
        }
    } else if name.contains("_delta_log/") && name.ends_with(".json") {
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            match serde_json::from_slice::<Value>(line) {
                Ok(action) => {
                    if let Some(place) = search.action(&action) {
                        scanned.findings.push(finding(name, search, place, "value of a subject's column"));
                    }
                }
                Err(_) => scanned.unread.push(finding(name, search, "a line that is no JSON", "only its bytes were searched")),
            }
        }
    }
}

impl Search {
    /// A path names somebody in itself, or as a partition.
    fn name(&self, name: &str) -> Option<&'static str> {
        if let Some(encoding) = self.needles.find(name.as_bytes()) {
            return Some(encoding);
        }
        let partition = |segment: &str| {
            let Some((column, value)) = segment.split_once('=') else { return false };
            self.keys.get(column).is_some_and(|values| values.contains(value))
        };
        name.split('/').any(partition).then_some("partition of a subject")
    }

    fn action(&self, action: &Value) -> Option<&'static str> {
        for kind in ["add", "remove", "cdc"] {
            let Some(file) = action.get(kind) else { continue };
            if file.get("stats").and_then(Value::as_str).is_some_and(|stats| self.statistics(stats)) {
                return Some("statistics of a file");
            }
            if file.get("partitionValues").is_some_and(|values| self.values(values)) {
                return Some("partition values of a file");
            }
        }
        None
    }

    /// The smallest or largest value of a column is a subject's.
    pub fn statistics(&self, text: &str) -> bool {
        let Ok(stats) = serde_json::from_str::<Value>(text) else { return false };
        ["minValues", "maxValues"].iter().any(|list| stats.get(list).is_some_and(|values| self.values(values)))
    }

    fn values(&self, values: &Value) -> bool {
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        values.as_object().is_some_and(|values| {
            values.iter().any(|(column, value)| {
                self.keys.get(column).is_some_and(|known| text(value).is_some_and(|text| known.contains(plain(&text))))
            })
        })
    }
}
