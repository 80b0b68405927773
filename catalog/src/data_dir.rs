//! One process a data directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::error::CatalogError;

/// Held while the process lives; the operating system lets go of it however the process ends.
#[derive(Debug)]
pub struct DataDirLock {
    _file: File,
}

impl DataDirLock {
    /// Takes `<directory>/lakegate.lock`, which tells the holder's pid.
    ///
    /// # Errors
    /// [`CatalogError::DataDirInUse`], or [`CatalogError::Configuration`] where the directory cannot be written.
    pub fn acquire(directory: &Path) -> Result<DataDirLock, CatalogError> {
        let path = directory.join("lakegate.lock");
        let fail = |error: std::io::Error| CatalogError::Configuration {
            message: format!("could not lock data directory \"{}\": {error}", directory.display()),
        };
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(CatalogError::DataDirInUse { directory: directory.display().to_string(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(fail(error)),
        }
        file.set_len(0).map_err(fail)?;
        file.seek(SeekFrom::Start(0)).map_err(fail)?;
        writeln!(file, "{}", std::process::id()).map_err(fail)?;
        Ok(DataDirLock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_holder_is_refused_with_the_pid() {
        let directory = tempfile::tempdir().unwrap();
        let held = DataDirLock::acquire(directory.path()).unwrap();
        let refused = DataDirLock::acquire(directory.path()).unwrap_err().to_string();
        assert!(refused.contains(&directory.path().display().to_string()), "{refused}");
        assert!(refused.contains(&format!("pid {}", std::process::id())), "{refused}");
        drop(held);
        DataDirLock::acquire(directory.path()).unwrap();
    }

    #[test]
    fn missing_directory_is_a_clear_error() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("not-there");
        let error = DataDirLock::acquire(&missing).unwrap_err().to_string();
        assert!(error.contains("not-there"), "{error}");
    }
}
