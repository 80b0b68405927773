//! The file that the key-encryption key is kept in: as it is, or wrapped by a service that does not give its own key away.

use std::fmt::Debug;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::BoxFuture;
use zeroize::Zeroizing;

use crate::error::CatalogError;
use crate::kek::Kek;

/// A service that wraps keys, e.g. Vault's transit engine.
pub trait KeyWrapping: Debug + Send + Sync {
    /// What may be written to a file.
    fn wrap<'a>(&'a self, key: &'a Kek) -> BoxFuture<'a, Result<String, CatalogError>>;

    /// The key of such a text.
    fn unwrap<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<Kek, CatalogError>>;
}

/// Where the key is, and how it is written there.
#[derive(Debug, Clone)]
pub struct KekFile {
    path: PathBuf,
    wrapping: Option<Arc<dyn KeyWrapping>>,
}

impl KekFile {
    /// The key itself, in base64, in a file that its owner alone may read.
    #[must_use]
    pub fn plain(path: PathBuf) -> KekFile {
        KekFile { path, wrapping: None }
    }

    /// What the service made of the key: of no use to who cannot ask it.
    #[must_use]
    pub fn wrapped(path: PathBuf, wrapping: Arc<dyn KeyWrapping>) -> KekFile {
        KekFile { path, wrapping: Some(wrapping) }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    #[must_use]
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Where the key waits that a rotation is about to put in place.
    #[must_use]
    pub fn next(&self) -> KekFile {
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        KekFile { path: name.into(), wrapping: self.wrapping.clone() }
    }

    /// Reads the key, or makes one (mode 0600, durable before this returns).
    ///
    /// # Errors
    /// [`CatalogError::KekFile`]: others than the owner may read it, it does not hold a key, or the service cannot be asked.
    pub async fn load_or_create(&self) -> Result<Kek, CatalogError> {
        if self.exists() {
            return self.load().await;
        }
        let kek = Kek::generate()?;
        let text = match &self.wrapping {
            None => kek.to_base64(),
            Some(service) => Zeroizing::new(service.wrap(&kek).await?),
        };
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path) {
            Ok(mut file) => {
                let written = file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).and_then(|()| file.sync_all());
                written.and_then(|()| self.sync_directory()).map_err(|error| self.failed("write", &error))?;
                Ok(kek)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.load().await,
            Err(error) => Err(self.failed("make", &error)),
        }
    }

    async fn load(&self) -> Result<Kek, CatalogError> {
        let mode = fs::metadata(&self.path).map_err(|error| self.failed("read", &error))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(CatalogError::KekFile {
                message: format!(
                    "key file \"{}\" has permissions {:04o}: others than its owner could read it; set them to 0600",
                    self.path.display(),
                    mode & 0o7777
                ),
            });
        }
        let text = Zeroizing::new(fs::read_to_string(&self.path).map_err(|error| self.failed("read", &error))?);
        match &self.wrapping {
            Some(service) => service.unwrap(text.trim()).await,
            None => Kek::from_base64(text.trim()).map_err(|_| CatalogError::KekFile {
                message: format!("key file \"{}\" does not hold a base64 key of 32 bytes", self.path.display()),
            }),
        }
    }

    /// A new key in the [`KekFile::next`] file, in place of one that an earlier rotation left there.
    ///
    /// # Errors
    /// [`CatalogError::KekFile`].
    pub async fn create_next(&self) -> Result<Kek, CatalogError> {
        let next = self.next();
        match fs::remove_file(&next.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.failed("replace", &error)),
            _ => next.load_or_create().await,
        }
    }

    /// The [`KekFile::next`] file takes this one's place, durably.
    ///
    /// # Errors
    /// [`CatalogError::KekFile`].
    pub fn take_next(&self) -> Result<(), CatalogError> {
        fs::rename(self.next().path, &self.path).and_then(|()| self.sync_directory()).map_err(|error| self.failed("replace", &error))
    }

    /// So that the name of a new file survives a crash.
    fn sync_directory(&self) -> std::io::Result<()> {
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::File::open(parent)?.sync_all()
    }

    fn failed(&self, what: &str, error: &std::io::Error) -> CatalogError {
        CatalogError::KekFile { message: format!("could not {what} key file \"{}\": {error}", self.path.display()) }
    }
}
