//! The erasure of data subjects from one table: rows, files and history, and the proof of it.

use chrono::{DateTime, Utc};
pub use lakegate_catalog::needles::Needles;
use serde::{Deserialize, Serialize};

/// By which values rows of a table belong to the subjects: column, and values as text. A row belongs if any column says so.
pub type SubjectKeys = Vec<(String, Vec<String>)>;

/// What becomes of the subjects' rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SubjectRule {
    Delete,
    /// The rows stay; the columns get the text in the value's place, NULL where there is none.
    Replace(Vec<(String, Option<String>)>),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Erasure {
    pub keys: SubjectKeys,
    pub rule: SubjectRule,
    /// Only counts.
    pub dry_run: bool,
}

/// What an erasure did to the current version of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    pub version_before: u64,
    /// The same where nothing had to be rewritten.
    pub version_after: u64,
    pub rows: u64,
    /// Files that were replaced: those with rows of the subjects, and all that have deletion vectors.
    pub files_rewritten: u64,
    pub bytes_read: u64,
    pub bytes_written: u64,
}

/// The end of everything in a table's folder that is not part of its newest version.
#[derive(Clone, Serialize, Deserialize)]
pub struct Purge {
    pub request: String,
    /// Makes names that stand for files that are gone.
    pub secret: [u8; 32],
    /// By the store's clock: objects dated later may be of a statement that still runs. Statements that run now began so much later that what
    /// they write is dated later.
    #[serde(with = "crate::plain::time")]
    pub before: DateTime<Utc>,
    pub needles: Needles,
}

/// An object that is gone, or that was replaced by a version without the subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedObject {
    /// Relative to the table's folder; withheld where the name itself names the subject.
    pub name: String,
    pub bytes: u64,
    pub sha256: String,
    /// `removed` or `rewritten`.
    pub action: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// Earlier ones cannot be read any more.
    pub version: u64,
    pub objects: Vec<RemovedObject>,
    /// Objects that are no part of the table and were left, being too young.
    pub left: u64,
}

/// The end of what a store keeps under a root beside the present objects: earlier versions, markers of deletions, unfinished uploads.
#[derive(Clone, Serialize, Deserialize)]
pub struct VersionPurge {
    /// Of all objects, not of those alone that a table is made of.
    pub everything: bool,
    /// By the store's clock: uploads that began later may be of a statement that still runs.
    #[serde(with = "crate::plain::time")]
    pub before: DateTime<Utc>,
    pub needles: Needles,
}

/// An earlier version of an object that is gone, or a marker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedVersion {
    /// As [`RemovedObject::name`].
    pub name: String,
    pub version: String,
    /// `version`, `delete marker` or `unfinished upload`.
    pub what: String,
    /// As the store's list says.
    pub bytes: u64,
}

/// What could not be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptVersion {
    pub name: String,
    pub version: String,
    pub what: String,
    /// The store's word for it, such as `AccessDenied`.
    pub why: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgedVersions {
    pub removed: Vec<RemovedVersion>,
    pub left: Vec<KeptVersion>,
}

/// Where and for what is looked.
#[derive(Clone, Serialize, Deserialize)]
pub struct ByteScan {
    pub needles: Needles,
    pub keys: SubjectKeys,
}

/// Something that names the subject, or may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// As [`RemovedObject::name`].
    pub object: String,
    pub place: String,
    /// How it is written there.
    pub encoding: String,
}

/// What a scan read, byte by byte.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scanned {
    pub objects: u64,
    pub bytes: u64,
    /// SHA-256 over name, size and SHA-256 of each object, in the order of their names.
    pub digest: String,
    pub findings: Vec<Finding>,
    /// Objects that could not be read as what they are, and why.
    pub unread: Vec<Finding>,
    /// Versions that the store keeps beside the present objects, read as these are.
    pub earlier_versions: u64,
    /// What is beyond the scan, and why.
    pub beyond: Vec<String>,
}
