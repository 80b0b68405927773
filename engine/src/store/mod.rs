//! Object stores: the local disk and S3 buckets. One [`Location`] says where a table or a set of files lies and through
//! which stores it is reached; DataFusion and delta-rs are handed the same ones.

mod check;
mod commit;
mod kept;
mod listing;
mod local;
mod s3;
mod xml;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::execution::cache::cache_manager::{CacheManagerConfig, FileMetadataCache};
use datafusion::execution::runtime_env::RuntimeEnv;
use lakegate_engine_api::EngineError;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use tokio::runtime::Handle;
use url::Url;

pub use self::check::{Checked, check_commits};
pub use self::commit::CommitLogStore;
pub use self::kept::{Failure, Kept, Upload, Version, Versioning, listing_prefix};
pub use self::listing::listed;
pub use self::local::LocalStore;
use crate::error;
use crate::options::EngineOptions;

/// All stores of an engine, made at first use.
#[derive(Debug)]
pub struct Stores {
    options: EngineOptions,
    runtime: Arc<RuntimeEnv>,
    /// Where connections to buckets live: a statement's own threads may be busy for long.
    network: Handle,
    local: Arc<LocalStore>,
    local_footers: Arc<FileMetadataCache>,
    buckets: Mutex<HashMap<String, Bucket>>,
    checked: Arc<Checked>,
}

#[derive(Debug, Clone)]
struct Bucket {
    store: Arc<dyn ObjectStore>,
    /// The same bucket, each request sent once.
    once: Arc<dyn ObjectStore>,
    kept: Option<Arc<Kept>>,
    footers: Arc<FileMetadataCache>,
}

/// A folder in an object store.
#[derive(Debug, Clone)]
pub struct Location {
    /// Normalised, ends in `/`.
    pub url: Url,
    /// The whole bucket or disk; object paths in it start with `prefix`.
    pub store: Arc<dyn ObjectStore>,
    /// For writes whose repetition would have to be told apart from another writer's: no retries inside.
    pub once: Arc<dyn ObjectStore>,
    /// What the store keeps beside its objects; `None` where it cannot keep any.
    pub kept: Option<Arc<Kept>>,
    /// Path of the folder in `store`.
    pub prefix: Path,
    /// Under which DataFusion knows `store`.
    pub object_store_url: ObjectStoreUrl,
    /// Footers of files in `store`; a cache of its own, since its keys are paths.
    pub footers: Arc<FileMetadataCache>,
    /// Folders of which [`check_commits`] knows.
    pub checked: Arc<Checked>,
}

impl Location {
    /// Path of an object in the folder.
    ///
    /// # Errors
    /// A name that is none.
    pub fn child(&self, name: &str) -> Result<Path, EngineError> {
        let name = Path::from_url_path(name).map_err(|_| invalid_location())?;
        Ok(self.inside(&name))
    }

    /// Path of an object in the folder, from its path relative to it.
    #[must_use]
    pub fn inside(&self, relative: &Path) -> Path {
        relative.parts().fold(self.prefix.clone(), |path, part| path.join(part))
    }

    /// The other way about; a path that is not in the folder stays as it is.
    #[must_use]
    pub fn relative(&self, path: &Path) -> Path {
        path.prefix_match(&self.prefix).map_or_else(|| path.clone(), |parts| parts.collect())
    }
}

impl Stores {
    #[must_use]
    pub fn new(options: EngineOptions, runtime: Arc<RuntimeEnv>, network: Handle) -> Self {
        let local = Arc::new(LocalStore::new());
        if let Ok(url) = Url::parse("file:///") {
            runtime.register_object_store(&url, Arc::clone(&local) as Arc<dyn ObjectStore>);
        }
        let local_footers = footers(options.footer_cache_bytes);
        Self { options, runtime, network, local, local_footers, buckets: Mutex::new(HashMap::new()), checked: Arc::default() }
    }

    /// The folder at a root URL, `file:///…` or `s3://bucket/…`. Nothing outside it can be reached through the result
    /// by a symbolic link.
    ///
    /// # Errors
    /// `Unsupported` for other schemes, `Storage` where the store's settings are wrong.
    pub fn open(&self, location: &str) -> Result<Location, EngineError> {
        let url = normalised(location)?;
        let checked = Arc::clone(&self.checked);
        match url.scheme() {
            "file" => {
                let prefix = Path::from_url_path(url.path()).map_err(|_| invalid_location())?;
                self.local.allow(&prefix)?;
                let store = Arc::clone(&self.local) as Arc<dyn ObjectStore>;
                let footers = Arc::clone(&self.local_footers);
                Ok(Location {
                    url,
                    once: Arc::clone(&store),
                    store,
                    kept: None,
                    prefix,
                    object_store_url: ObjectStoreUrl::local_filesystem(),
                    footers,
                    checked,
                })
            }
            "s3" | "s3a" => {
                let name = url.host_str().filter(|name| !name.is_empty()).ok_or_else(invalid_location)?.to_owned();
                let prefix = Path::from_url_path(url.path()).map_err(|_| invalid_location())?;
                let bucket = self.bucket(&name)?;
                let object_store_url =
                    ObjectStoreUrl::parse(format!("s3://{name}")).map_err(|error| error::from_datafusion(&error, &[]))?;
                let Bucket { store, once, kept, footers } = bucket;
                Ok(Location { url, store, once, kept, prefix, object_store_url, footers, checked })
            }
            scheme => Err(error::unsupported_hint(
                format!("the object store scheme \"{scheme}\""),
                "Locations start with s3:// or file://.".to_owned(),
            )),
        }
    }

    /// Links of the local disk may lead somewhere else than they seem to.
    ///
    /// # Errors
    /// `Sql` where what `url` names (a pattern's folder) does not lie under `root` once all links are followed.
    pub fn require_within(&self, url: &str, root: &str) -> Result<(), EngineError> {
        let folder = url.find('*').and_then(|at| url.get(..at)).and_then(|start| start.rfind('/').and_then(|end| start.get(..end)));
        let (url, root) = (normalised(folder.unwrap_or(url))?, normalised(root)?);
        let path = |url: &Url| Path::from_url_path(url.path()).map_err(|_| invalid_location());
        if url.scheme() != "file" || self.local.lies_within(&path(&url)?, &path(&root)?) {
            return Ok(());
        }
        Err(error::sql(lakegate_engine_api::SqlMistake::InsufficientPrivilege, "a link leads out of the external location"))
    }

    /// Whether an object is known to be there no more; `store`: its URL.
    pub async fn is_gone(&self, store: &str, path: &Path) -> bool {
        let Ok(store) = ObjectStoreUrl::parse(store).and_then(|url| self.runtime.object_store(&url)) else { return false };
        matches!(store.head(path).await, Err(object_store::Error::NotFound { .. }))
    }

    fn bucket(&self, name: &str) -> Result<Bucket, EngineError> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get(name) {
            return Ok(bucket.clone());
        }
        let s3::Opened { store, once, kept } = s3::open(name, &self.options, &self.network)?;
        let bucket = Bucket { store, once, kept, footers: footers(self.options.footer_cache_bytes) };
        let url = Url::parse(&format!("s3://{name}")).map_err(|_| invalid_location())?;
        self.runtime.register_object_store(&url, Arc::clone(&bucket.store));
        buckets.insert(name.to_owned(), bucket.clone());
        Ok(bucket)
    }
}

fn footers(limit_bytes: usize) -> Arc<FileMetadataCache> {
    let manager = datafusion::execution::cache::cache_manager::CacheManager::try_new(
        &CacheManagerConfig::default().with_metadata_cache_limit(limit_bytes),
    );
    match manager {
        Ok(manager) => manager.get_file_metadata_cache(),
        Err(_) => RuntimeEnv::default().cache_manager.get_file_metadata_cache(),
    }
}

/// No `..`, no user, no query, a `/` at the end; `s3a` becomes `s3`.
fn normalised(location: &str) -> Result<Url, EngineError> {
    let text = if location.starts_with('/') { format!("file://{location}") } else { location.to_owned() };
    let text = text.strip_prefix("s3a://").map_or(text.clone(), |rest| format!("s3://{rest}"));
    let mut url = Url::parse(&text).map_err(|_| invalid_location())?;
    let host_is_wrong = url.scheme() == "file" && url.host_str().is_some_and(|host| !host.is_empty());
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() || host_is_wrong {
        return Err(invalid_location());
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

fn invalid_location() -> EngineError {
    error::sql(lakegate_engine_api::SqlMistake::UndefinedObject, "the location is not a valid object store URL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_normalised() {
        assert_eq!(normalised("s3a://b/x").unwrap().as_str(), "s3://b/x/");
        assert_eq!(normalised("file:///a/../b/").unwrap().as_str(), "file:///b/");
        assert_eq!(normalised("/a/b").unwrap().as_str(), "file:///a/b/");
        assert!(normalised("file://host/a").is_err());
        assert!(normalised("s3://user:pw@b/x").is_err());
    }
}
