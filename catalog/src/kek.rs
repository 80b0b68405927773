//! The key-encryption key: the one secret that is not in the catalog.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::error::CatalogError;
use crate::seal::{self, KEY_BYTES, SecretKey};

/// 32 bytes, wiped from memory when dropped; it has no way to be printed.
#[derive(Clone)]
pub struct Kek(pub(crate) SecretKey);

impl std::fmt::Debug for Kek {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kek(…)")
    }
}

impl Kek {
    /// Reads the key file, or makes it (mode 0600, base64, durable before this returns).
    ///
    /// # Errors
    /// [`CatalogError::KekFile`]: others than the owner may read it, or it does not hold a key.
    pub fn load_or_create(path: &Path) -> Result<Kek, CatalogError> {
        let fail = |what: &str, error: std::io::Error| CatalogError::KekFile {
            message: format!("could not {what} key file \"{}\": {error}", path.display()),
        };
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(mut file) => {
                let kek = Kek::generate()?;
                let text = Zeroizing::new(format!("{}\n", &*kek.to_base64()));
                file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| fail("write", error))?;
                sync_directory(path).map_err(|error| fail("write", error))?;
                Ok(kek)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let mode = fs::metadata(path).map_err(|error| fail("read", error))?.permissions().mode();
                if mode & 0o077 != 0 {
                    return Err(CatalogError::KekFile {
                        message: format!(
                            "key file \"{}\" has permissions {:04o}: others than its owner could read it; set them to 0600",
                            path.display(),
                            mode & 0o7777
                        ),
                    });
                }
                let text = Zeroizing::new(fs::read_to_string(path).map_err(|error| fail("read", error))?);
                Kek::from_base64(text.trim()).map_err(|_| CatalogError::KekFile {
                    message: format!("key file \"{}\" does not hold a base64 key of 32 bytes", path.display()),
                })
            }
            Err(error) => Err(fail("make", error)),
        }
    }

    /// What a program writes to its standard output, e.g. one that asks a vault. It is run by `sh -c`.
    ///
    /// # Errors
    /// [`CatalogError::KekFile`]: it fails, or writes no key.
    pub fn from_command(command: &str) -> Result<Kek, CatalogError> {
        let fail = |what: String| CatalogError::KekFile { message: format!("the command for the key-encryption key {what}") };
        let output = std::process::Command::new("/bin/sh")
            .args(["-c", command])
            .stdin(std::process::Stdio::null())
            .stderr(std::process::Stdio::inherit())
            .output()
            .map_err(|error| fail(format!("could not be run: {error}")))?;
        if !output.status.success() {
            return Err(fail(format!("failed: {}", output.status)));
        }
        let text = Zeroizing::new(String::from_utf8(output.stdout).map_err(|_| fail("wrote what is no text".to_owned()))?);
        Kek::from_base64(text.trim()).map_err(|_| fail("did not write a base64 key of 32 bytes".to_owned()))
    }

    /// # Errors
    /// [`CatalogError::KekFile`] where it is not base64 of 32 bytes.
    pub fn from_base64(text: &str) -> Result<Kek, CatalogError> {
        let refuse = || CatalogError::KekFile { message: "the key-encryption key must be 32 bytes in base64".to_owned() };
        let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| refuse())?);
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        if bytes.len() != KEY_BYTES {
            return Err(refuse());
        }
        key.copy_from_slice(&bytes);
        Ok(Kek(key))
    }

    /// A new random key, e.g. to rotate to.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn generate() -> Result<Kek, CatalogError> {
        Ok(Kek(seal::random_key()?))
    }

    /// For writing it to a file of the operator's.
    #[must_use]
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(&self.0[..]))
    }
}

/// So that the name of a new file survives a crash.
fn sync_directory(path: &Path) -> std::io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(parent)?.sync_all()
}
