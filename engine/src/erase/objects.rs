//! Everything under a root, as it lies there. The local disk is walked past the object store's rules, which hide some names.

use std::path::{Path as FsPath, PathBuf};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use lakegate_engine_api::{EngineError, Needles};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::error;
use crate::store::Location;

/// An object or a file.
#[derive(Debug, Clone)]
pub struct Object {
    /// Relative to the root.
    pub name: String,
    /// In the store, from its own root.
    pub path: String,
    pub bytes: u64,
    pub modified: DateTime<Utc>,
    disk: Option<PathBuf>,
}

/// All of them, in the order of their names.
///
/// # Errors
/// `Storage`.
pub async fn all(location: &Location) -> Result<Vec<Object>, EngineError> {
    let mut objects = match folder(location)? {
        Some(root) => tokio::task::spawn_blocking(move || on_disk(&root)).await.map_err(|_| error::internal("a listing was cut off"))??,
        None => in_store(location).await?,
    };
    objects.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(objects)
}

fn folder(location: &Location) -> Result<Option<PathBuf>, EngineError> {
    if location.url.scheme() != "file" {
        return Ok(None);
    }
    location.url.to_file_path().map(Some).map_err(|()| error::internal("a location on disk has no path"))
}

fn on_disk(root: &FsPath) -> Result<Vec<Object>, EngineError> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(failure) if failure.kind() == std::io::ErrorKind::NotFound => continue,
            Err(failure) => return Err(error::from_io(failure)),
        };
        for entry in entries {
            let entry = entry.map_err(error::from_io)?;
            let meta = match entry.path().symlink_metadata() {
                Ok(meta) => meta,
                Err(failure) if failure.kind() == std::io::ErrorKind::NotFound => continue,
                Err(failure) => return Err(error::from_io(failure)),
            };
            if meta.is_dir() {
                folders.push(entry.path());
                continue;
            }
            let path = entry.path();
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            let full = path.to_string_lossy().trim_start_matches('/').to_owned();
            let modified = meta.modified().map(DateTime::<Utc>::from).unwrap_or_else(|_| Utc::now());
            found.push(Object { name, path: full, bytes: meta.len(), modified, disk: Some(path) });
        }
    }
    Ok(found)
}

async fn in_store(location: &Location) -> Result<Vec<Object>, EngineError> {
    let listed: Vec<_> =
        location.store.list(Some(&location.prefix)).try_collect().await.map_err(|failure| error::from_object_store(&failure, None))?;
    let prefix = format!("{}/", location.prefix);
    Ok(listed
        .into_iter()
        .map(|meta| Object {
            name: meta.location.as_ref().strip_prefix(&prefix).unwrap_or(meta.location.as_ref()).to_owned(),
            path: meta.location.to_string(),
            bytes: meta.size,
            modified: meta.last_modified,
            disk: None,
        })
        .collect())
}

impl Object {
    /// `None`: it is gone meanwhile.
    ///
    /// # Errors
    /// `Storage`.
    pub async fn read(&self, location: &Location) -> Result<Option<Bytes>, EngineError> {
        if let Some(path) = self.disk.clone() {
            let read = tokio::task::spawn_blocking(move || std::fs::read(path)).await.map_err(|_| error::internal("a read was cut off"))?;
            return match read {
                Ok(bytes) => Ok(Some(bytes.into())),
                Err(failure) if failure.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(failure) => Err(error::from_io(failure)),
            };
        }
        let path = Path::parse(&self.path).map_err(|_| error::internal("an object's path does not read"))?;
        let got = async { location.store.get(&path).await?.bytes().await };
        match got.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(failure) => Err(error::from_object_store(&failure, None)),
        }
    }

    /// And on disk the folders that are empty without it: a partition's folder has the value in its name.
    ///
    /// # Errors
    /// `Storage`.
    pub async fn remove(&self, location: &Location) -> Result<(), EngineError> {
        let Some(path) = self.disk.clone() else {
            let path = Path::parse(&self.path).map_err(|_| error::internal("an object's path does not read"))?;
            return match location.store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(failure) => Err(error::from_object_store(&failure, None)),
            };
        };
        let root = folder(location)?.unwrap_or_default();
        let removed = tokio::task::spawn_blocking(move || remove_on_disk(&root, &path));
        removed.await.map_err(|_| error::internal("a removal was cut off"))?.map_err(error::from_io)
    }
}

fn remove_on_disk(root: &FsPath, path: &FsPath) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(failure) if failure.kind() != std::io::ErrorKind::NotFound => return Err(failure),
        _ => {}
    }
    let mut folder = path.parent();
    while let Some(empty) = folder.filter(|folder| *folder != root && folder.starts_with(root) && !folder.ends_with("_delta_log")) {
        // One that is not empty stays.
        if std::fs::remove_dir(empty).is_err() {
            break;
        }
        folder = empty.parent();
    }
    if let Some(kept) = folder
        && let Ok(handle) = std::fs::File::open(kept)
    {
        handle.sync_all()?;
    }
    Ok(())
}

/// Names of folders on disk that hold no file.
///
/// # Errors
/// `Storage`.
pub async fn folders(location: &Location) -> Result<Vec<String>, EngineError> {
    let Some(root) = folder(location)? else { return Ok(Vec::new()) };
    let walk = move || {
        let (mut found, mut open) = (Vec::new(), vec![root.clone()]);
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    let path = entry.path();
                    found.push(path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned());
                    open.push(path);
                }
            }
        }
        found
    };
    tokio::task::spawn_blocking(walk).await.map_err(|_| error::internal("a listing was cut off"))
}

#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref())
}

#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The name, without values of partitions, and unless it names somebody: not even its digest is told then, which could be compared with
/// those of guesses.
#[must_use]
pub fn shown(name: &str, needles: &Needles, withheld: &[String]) -> String {
    let names_key = || withheld.iter().any(|part| name.contains(part.as_str()));
    if needles.find(name.as_bytes()).is_some() || names_key() {
        return "name withheld".to_owned();
    }
    let segments: Vec<&str> = name.split('/').collect();
    let last = segments.len().saturating_sub(1);
    let plain = |(at, segment): (usize, &&str)| match segment.split_once('=') {
        Some((column, _)) if at < last => format!("{column}=*"),
        _ => (*segment).to_owned(),
    };
    segments.iter().enumerate().map(plain).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_told_have_no_values_of_partitions() {
        let needles = Needles::new(["ann@example.com"]).unwrap();
        assert_eq!(shown("_delta_log/1.json", &needles, &[]), "_delta_log/1.json");
        assert_eq!(shown("id=42/b=/a=b.parquet", &needles, &[]), "id=*/b=*/a=b.parquet");
        assert_eq!(shown("email=ann%40example.com/a.parquet", &needles, &[]), "name withheld");
    }
}
