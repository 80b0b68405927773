//! The local disk: only folders that a statement opened can be reached, symbolic links do not lead out of them, and
//! what was written is on the disk when the write returns.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use lakegate_engine_api::EngineError;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result, UploadPart,
};

/// An [`ObjectStore`] over `/`.
#[derive(Debug)]
pub struct LocalStore {
    inner: LocalFileSystem,
    /// By path as object stores write it; the value is the folder with all links resolved.
    roots: Arc<RwLock<BTreeMap<String, PathBuf>>>,
    staged: AtomicU64,
}

impl LocalStore {
    #[must_use]
    pub fn new() -> Self {
        Self { inner: LocalFileSystem::new(), roots: Arc::default(), staged: AtomicU64::new(0) }
    }

    /// Lets the folder be reached from now on.
    ///
    /// # Errors
    /// `Storage` where its path cannot be resolved.
    pub fn allow(&self, root: &Path) -> std::result::Result<(), EngineError> {
        let known = self.roots.read().unwrap_or_else(PoisonError::into_inner).contains_key(root.as_ref());
        if known {
            return Ok(());
        }
        let resolved =
            resolve(&to_fs(root)).map_err(|_| EngineError::Storage { message: "the location's path cannot be resolved".to_owned() })?;
        self.roots.write().unwrap_or_else(PoisonError::into_inner).insert(root.as_ref().to_owned(), resolved);
        Ok(())
    }

    /// Whether one path lies under another once all links are followed.
    #[must_use]
    pub fn lies_within(&self, path: &Path, root: &Path) -> bool {
        match (resolve(&to_fs(path)), resolve(&to_fs(root))) {
            (Ok(path), Ok(root)) => path.starts_with(root),
            _ => false,
        }
    }

    /// The file behind an object, if it lies in an allowed folder after all links are followed.
    fn confined(&self, location: &Path) -> Result<PathBuf> {
        let path = to_fs(location);
        let roots = self.roots.read().unwrap_or_else(PoisonError::into_inner);
        let root = roots_of(location.as_ref()).find_map(|root| roots.get(root));
        let inside = match (root, resolve(&path)) {
            (Some(root), Ok(resolved)) => resolved.starts_with(root),
            _ => false,
        };
        if inside { Ok(path) } else { Err(Error::PermissionDenied { path: String::new(), source: "outside the folders in use".into() }) }
    }
}

impl Default for LocalStore {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Display for LocalStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalStore")
    }
}

#[async_trait]
impl ObjectStore for LocalStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let path = self.confined(location)?;
        let staged = self.staged.fetch_add(1, Ordering::Relaxed);
        let location = location.to_string();
        blocking(move || put_durably(&path, &location, staged, &payload, &options.mode)).await
    }

    async fn put_multipart_opts(&self, location: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let path = self.confined(location)?;
        let inner = self.inner.put_multipart_opts(location, options).await?;
        Ok(Box::new(DurableUpload { inner, path }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.confined(location)?;
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.confined(location)?;
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let guard = Self { inner: LocalFileSystem::new(), roots: Arc::clone(&self.roots), staged: AtomicU64::new(0) };
        let checked = locations.and_then(move |location| {
            let outcome = guard.confined(&location).map(|_| location);
            futures::future::ready(outcome)
        });
        self.inner.delete_stream(checked.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.confined(&prefix.cloned().unwrap_or_default()) {
            Ok(_) => self.inner.list(prefix),
            Err(error) => futures::stream::once(futures::future::ready(Err(error))).boxed(),
        }
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.confined(&prefix.cloned().unwrap_or_default()) {
            Ok(_) => self.inner.list_with_offset(prefix, offset),
            Err(error) => futures::stream::once(futures::future::ready(Err(error))).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.confined(&prefix.cloned().unwrap_or_default())?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.confined(from)?;
        let path = self.confined(to)?;
        self.inner.copy_opts(from, to, options).await?;
        blocking(move || sync(&path)).await
    }
}

/// Writes beside the target, syncs, then links or renames: a reader, or a crash, sees all of it or nothing.
fn put_durably(path: &FsPath, location: &str, staged: u64, payload: &PutPayload, mode: &PutMode) -> Result<PutResult> {
    if let PutMode::Update(_) = mode {
        return Err(Error::NotImplemented { operation: "put with an expected version".to_owned(), implementer: "LocalStore".to_owned() });
    }
    // object_store's own convention: names that end in `#digits` are not objects.
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!("#{}{staged}", std::process::id()));
    let staging = path.with_file_name(name);
    let outcome = stage(&staging, payload).and_then(|()| match mode {
        PutMode::Create => std::fs::hard_link(&staging, path),
        _ => std::fs::rename(&staging, path),
    });
    if !matches!((&outcome, mode), (Ok(()), PutMode::Overwrite)) {
        let _ = std::fs::remove_file(&staging);
    }
    match outcome {
        Ok(()) => sync_parent(path).map(|()| PutResult { e_tag: None, version: None }).map_err(failed),
        Err(source) if source.kind() == ErrorKind::AlreadyExists => {
            Err(Error::AlreadyExists { path: location.to_owned(), source: Box::new(source) })
        }
        Err(source) => Err(failed(source)),
    }
}

fn stage(staging: &FsPath, payload: &PutPayload) -> std::io::Result<()> {
    let mut file = match File::create(staging) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let parent = staging.parent().unwrap_or(FsPath::new("/"));
            std::fs::create_dir_all(parent)?;
            sync_ancestors(parent)?;
            File::create(staging)?
        }
        other => other?,
    };
    for chunk in payload {
        file.write_all(chunk)?;
    }
    file.sync_all()
}

/// Makes a new folder's own entry, and those of the folders made with it, survive a crash.
fn sync_ancestors(folder: &FsPath) -> std::io::Result<()> {
    for ancestor in folder.ancestors().take(4) {
        if let Ok(file) = File::open(ancestor) {
            file.sync_all()?;
        }
    }
    Ok(())
}

fn sync_parent(path: &FsPath) -> std::io::Result<()> {
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

fn sync(path: &FsPath) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).and_then(|()| path.parent().map_or(Ok(()), sync_ancestors)).map_err(failed)
}

fn failed(source: std::io::Error) -> Error {
    Error::Generic { store: "LocalStore", source: Box::new(source) }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(source) => Err(Error::JoinError { source }),
    }
}

#[derive(Debug)]
struct DurableUpload {
    inner: Box<dyn MultipartUpload>,
    path: PathBuf,
}

#[async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let result = self.inner.complete().await?;
        let path = self.path.clone();
        blocking(move || sync(&path)).await?;
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

fn to_fs(location: &Path) -> PathBuf {
    PathBuf::from(format!("/{location}"))
}

/// The folders that a path lies in, itself first.
fn roots_of(path: &str) -> impl Iterator<Item = &str> {
    std::iter::once(path).chain(path.rmatch_indices('/').filter_map(|(at, _)| path.get(..at))).chain(std::iter::once(""))
}

/// The path with all links followed; the part of it that does not exist yet is kept as it is.
fn resolve(path: &FsPath) -> std::io::Result<PathBuf> {
    let mut missing = Vec::new();
    let mut existing = path;
    loop {
        match existing.canonicalize() {
            Ok(mut resolved) => {
                resolved.extend(missing.iter().rev());
                return Ok(resolved);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // A link that leads nowhere would otherwise pass as a missing file.
                if existing.symlink_metadata().is_ok() {
                    return Err(error);
                }
                let (Some(parent), Some(name)) = (existing.parent(), existing.file_name()) else { return Err(error) };
                missing.push(name.to_owned());
                existing = parent;
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;

    use super::*;

    fn path(fs: &FsPath) -> Path {
        Path::from_absolute_path(fs).unwrap()
    }

    #[tokio::test]
    async fn only_allowed_folders_and_no_links_out_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("in"), dir.path().join("out"));
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::write(outside.join("secret"), "x").unwrap();
        std::os::unix::fs::symlink(outside.join("secret"), inside.join("link")).unwrap();
        let store = LocalStore::new();
        store.allow(&path(&inside)).unwrap();

        let object = Path::parse(format!("{}/a/b", path(&inside))).unwrap();
        store.put(&object, "data".into()).await.unwrap();
        assert_eq!(store.get(&object).await.unwrap().bytes().await.unwrap(), "data");
        assert!(store.get(&Path::parse(format!("{}/link", path(&inside))).unwrap()).await.is_err());
        assert!(store.get(&path(&outside.join("secret"))).await.is_err());
        assert!(store.get(&Path::parse(format!("{}nside", path(&inside))).unwrap()).await.is_err());
    }

    #[tokio::test]
    async fn create_does_not_overwrite() {
        let dir = tempfile::tempdir().unwrap();
        let store = LocalStore::new();
        store.allow(&path(dir.path())).unwrap();
        let object = Path::parse(format!("{}/a", path(dir.path()))).unwrap();
        store.put_opts(&object, "1".into(), PutMode::Create.into()).await.unwrap();
        let second = store.put_opts(&object, "2".into(), PutMode::Create.into()).await;
        assert!(matches!(second, Err(Error::AlreadyExists { .. })));
        assert_eq!(store.get(&object).await.unwrap().bytes().await.unwrap(), "1");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
