//! What a store keeps beside the present objects: earlier versions, markers of deletions, unfinished uploads. Nobody who reads a table is
//! shown any of it, so nobody is waited for.

use chrono::{DateTime, Utc};
use futures::StreamExt;
use lakegate_engine_api::{EngineError, ExecutionContext, KeptVersion, PurgedVersions, RemovedVersion, VersionPurge};

use super::check_cancelled;
use super::objects::shown;
use super::purge::is_of_table;
use crate::exec::Shared;
use crate::store::{Failure, Kept, Location, Upload, Version, Versioning, listing_prefix};

/// Keys that are worked on at once.
const KEYS_AT_ONCE: usize = 16;

/// # Errors
/// As [`lakegate_engine_api::Engine::purge_versions`].
pub async fn purge_versions(
    shared: &Shared,
    root: &str,
    purge: &VersionPurge,
    context: &ExecutionContext,
) -> Result<PurgedVersions, EngineError> {
    let location = shared.tables.stores().open(root)?;
    let Some(kept) = location.kept.as_deref() else { return Ok(PurgedVersions::default()) };
    let mut work = Work { kept, location: &location, purge, context, purged: PurgedVersions::default() };
    work.uploads().await?;
    if kept.versioning().await? != Versioning::Never {
        work.versions().await?;
    }
    Ok(work.purged)
}

/// All versions under a root but the present objects, key by key; `None`: why they cannot be listed.
///
/// # Errors
/// `Storage`.
pub async fn earlier(location: &Location) -> Result<Result<Vec<Version>, String>, EngineError> {
    let Some(kept) = location.kept.as_deref() else { return Ok(Ok(Vec::new())) };
    if kept.versioning().await? == Versioning::Never {
        return Ok(Ok(Vec::new()));
    }
    let (prefix, mut found, mut after) = (listing_prefix(&location.prefix), Vec::new(), None);
    loop {
        match kept.versions(&prefix, after.as_ref()).await {
            Ok(page) => {
                found.extend(page.entries.into_iter().filter(|version| !version.is_latest || version.is_marker));
                after = page.next;
            }
            Err(Failure::Refused(code)) => return Ok(Err(code)),
            Err(Failure::Failed(failure)) => return Err(failure),
        }
        if after.is_none() {
            return Ok(Ok(found));
        }
    }
}

/// Relative to the root.
#[must_use]
pub fn name_of<'a>(location: &Location, key: &'a str) -> &'a str {
    key.strip_prefix(&listing_prefix(&location.prefix)).unwrap_or(key)
}

struct Work<'a> {
    kept: &'a Kept,
    location: &'a Location,
    purge: &'a VersionPurge,
    context: &'a ExecutionContext,
    purged: PurgedVersions,
}

/// One thing, and what became of it.
type Outcome = Result<RemovedVersion, KeptVersion>;

impl Work<'_> {
    async fn versions(&mut self) -> Result<(), EngineError> {
        let prefix = listing_prefix(&self.location.prefix);
        let (mut after, mut waiting): (_, Vec<Version>) = (None, Vec::new());
        loop {
            check_cancelled(self.context)?;
            match self.kept.versions(&prefix, after.as_ref()).await {
                Ok(page) => {
                    waiting.extend(page.entries);
                    after = page.next;
                }
                // The scan tells it.
                Err(Failure::Refused(_)) => return Ok(()),
                Err(Failure::Failed(failure)) => return Err(failure),
            }
            // Of the last key there may be more on the next page. Some stores list markers apart from versions.
            let (rest, mut whole): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|version| after.as_ref().is_some_and(|(key, _)| version.key == *key));
            whole.sort_by(|a, b| a.key.cmp(&b.key));
            let keys: Vec<Vec<Version>> =
                whole.chunk_by(|a, b| a.key == b.key).filter(|key| self.is_ours(key)).map(<[Version]>::to_vec).collect();
            let work = futures::stream::iter(keys).map(|key| self.key(key));
            let outcomes: Vec<_> = work.buffer_unordered(KEYS_AT_ONCE).collect().await;
            for outcomes in outcomes {
                self.note(outcomes?);
            }
            waiting = rest;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    fn is_ours(&self, key: &[Version]) -> bool {
        key.first().is_some_and(|version| self.purge.everything || is_of_root(name_of(self.location, &version.key)))
    }

    /// Markers last, and only if nothing is left under them: what a marker hides would be an object again.
    async fn key(&self, versions: Vec<Version>) -> Result<Vec<Outcome>, EngineError> {
        let mut outcomes = Vec::new();
        for version in versions.iter().filter(|version| !version.is_marker && !version.is_latest) {
            outcomes.push(self.version(version, "version").await?);
        }
        if outcomes.iter().all(Result::is_ok) {
            for marker in versions.iter().filter(|version| version.is_marker) {
                outcomes.push(self.version(marker, "delete marker").await?);
            }
        }
        Ok(outcomes)
    }

    async fn version(&self, version: &Version, what: &str) -> Result<Outcome, EngineError> {
        let (name, id, what) = (self.shown(&version.key), version.id.clone(), what.to_owned());
        match self.kept.remove(&version.key, &version.id).await {
            Ok(()) => Ok(Ok(RemovedVersion { name, version: id, what, bytes: version.bytes })),
            Err(Failure::Refused(why)) => Ok(Err(KeptVersion { name, version: id, what, why })),
            Err(Failure::Failed(failure)) => Err(failure),
        }
    }

    /// Parts of writes that were cut off lie in the store without a name until the upload is ended.
    async fn uploads(&mut self) -> Result<(), EngineError> {
        let prefix = listing_prefix(&self.location.prefix);
        let mut after = None;
        loop {
            check_cancelled(self.context)?;
            let page = match self.kept.uploads(&prefix, after.as_ref()).await {
                Ok(page) => page,
                Err(Failure::Refused(why)) => {
                    let (name, what) = ("unfinished uploads".to_owned(), "list".to_owned());
                    self.purged.left.push(KeptVersion { name, version: String::new(), what, why });
                    return Ok(());
                }
                Err(Failure::Failed(failure)) => return Err(failure),
            };
            let is_old = |begun: Option<DateTime<Utc>>| begun.is_none_or(|begun| begun <= self.purge.before);
            for upload in page.entries.iter().filter(|upload| is_old(upload.begun)) {
                let outcome = self.upload(upload).await?;
                self.note(vec![outcome]);
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn upload(&self, upload: &Upload) -> Result<Outcome, EngineError> {
        let (name, version, what) = (self.shown(&upload.key), upload.id.clone(), "unfinished upload".to_owned());
        match self.kept.abort(&upload.key, &upload.id).await {
            Ok(()) => Ok(Ok(RemovedVersion { name, version, what, bytes: 0 })),
            Err(Failure::Refused(why)) => Ok(Err(KeptVersion { name, version, what, why })),
            Err(Failure::Failed(failure)) => Err(failure),
        }
    }

    fn shown(&self, key: &str) -> String {
        shown(name_of(self.location, key), &self.purge.needles, &[])
    }

    fn note(&mut self, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            match outcome {
                Ok(removed) => self.purged.removed.push(removed),
                Err(left) => self.purged.left.push(left),
            }
        }
    }
}

/// What tables are made of, their logs and what was written to try the store; anything else under a root is somebody else's.
fn is_of_root(name: &str) -> bool {
    name.starts_with("_delta_log/") || name.starts_with("_lakegate_") || is_of_table(name)
}
