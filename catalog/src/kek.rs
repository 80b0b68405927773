//! The key-encryption key: the one secret that is not in the catalog.

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
