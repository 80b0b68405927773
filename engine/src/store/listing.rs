//! Files that a URL names: one file, a folder, or a pattern.

use futures::TryStreamExt;
use lakegate_engine_api::{EngineError, SqlMistake};
use object_store::{Error, ObjectMeta, ObjectStoreExt};

use super::{Location, Stores};
use crate::error;

/// The files that a URL names, in the order of their paths. Of a folder those whose name ends in one of `endings`, hidden ones left out;
/// without any ending all of them.
///
/// # Errors
/// `Sql` where there is none; `Storage`.
pub async fn listed(stores: &Stores, url: &str, endings: &[&str]) -> Result<(Location, Vec<ObjectMeta>), EngineError> {
    let no_files = || error::sql(SqlMistake::UndefinedFile, format!("no {}file is at the location", kind(endings)));
    let (location, files) = match pattern_of(url) {
        Some((folder, pattern)) => {
            let location = stores.open(folder)?;
            let mut files = all_under(&location).await?;
            let prefix = if location.prefix.as_ref().is_empty() { String::new() } else { format!("{}/", location.prefix) };
            files.retain(|file| {
                file.location.as_ref().strip_prefix(&prefix).is_some_and(|path| matches(pattern.as_bytes(), path.as_bytes()))
            });
            (location, files)
        }
        None => match one_file(stores, url).await? {
            Some((location, file)) => (location, vec![file]),
            None => folder_files(stores, url, endings).await?,
        },
    };
    if files.is_empty() {
        return Err(no_files());
    }
    Ok((location, files))
}

fn kind(endings: &[&str]) -> String {
    match endings {
        [".parquet"] => "Parquet ".to_owned(),
        _ => String::new(),
    }
}

/// The folder before a pattern's first part, and the pattern.
fn pattern_of(url: &str) -> Option<(&str, &str)> {
    let at = url.find('*')?;
    let folder_end = url.get(..at)?.rfind('/').map_or(0, |slash| slash + 1);
    url.split_at_checked(folder_end)
}

async fn one_file(stores: &Stores, url: &str) -> Result<Option<(Location, ObjectMeta)>, EngineError> {
    let Some((folder, name)) = url.rsplit_once('/').filter(|(_, name)| !name.is_empty()) else { return Ok(None) };
    let location = stores.open(folder)?;
    let path = location.child(name)?;
    match location.store.head(&path).await {
        Ok(file) => Ok(Some((location, file))),
        // A folder may have that name, too.
        Err(Error::NotFound { .. }) => Ok(None),
        Err(failure) => Err(error::from_object_store(&failure, None)),
    }
}

async fn folder_files(stores: &Stores, url: &str, endings: &[&str]) -> Result<(Location, Vec<ObjectMeta>), EngineError> {
    let location = stores.open(url)?;
    let mut files = all_under(&location).await?;
    // Hidden files are markers and checksums of other writers.
    let hidden = |name: &str| name.starts_with('_') || name.starts_with('.');
    let fits = |name: &str| endings.is_empty() || endings.iter().any(|ending| name.ends_with(ending));
    files.retain(|file| {
        let inside = file.location.prefix_match(&location.prefix).map(|mut parts| !parts.any(|part| hidden(part.as_ref())));
        fits(file.location.as_ref()) && inside == Some(true)
    });
    Ok((location, files))
}

async fn all_under(location: &Location) -> Result<Vec<ObjectMeta>, EngineError> {
    let prefix = Some(&location.prefix).filter(|prefix| !prefix.as_ref().is_empty());
    let listed: Result<Vec<ObjectMeta>, _> = location.store.list(prefix).try_collect().await;
    let mut files = match listed {
        Ok(files) => files,
        Err(Error::NotFound { .. }) => Vec::new(),
        Err(failure) => return Err(error::from_object_store(&failure, None)),
    };
    files.retain(|file| file.size > 0);
    files.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(files)
}

/// `*` is any text within a folder's or file's name, `**` across folders.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', b'*', rest @ ..] => {
            let rest = rest.strip_prefix(b"/").unwrap_or(rest);
            (0..=text.len()).any(|at| matches(rest, &text[at..]))
        }
        [b'*', rest @ ..] => {
            let end = text.iter().position(|byte| *byte == b'/').unwrap_or(text.len());
            (0..=end).any(|at| matches(rest, &text[at..]))
        }
        [byte, rest @ ..] => text.first() == Some(byte) && matches(rest, &text[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::{matches, pattern_of};

    #[test]
    fn patterns() {
        assert!(matches(b"*.parquet", b"a.parquet"));
        assert!(!matches(b"*.parquet", b"x/a.parquet"));
        assert!(matches(b"**/*.parquet", b"x/y/a.parquet"));
        assert!(matches(b"**/*.parquet", b"a.parquet"));
        assert_eq!(pattern_of("s3://b/a/x*/y.csv"), Some(("s3://b/a/", "x*/y.csv")));
        assert_eq!(pattern_of("s3://b/a.csv"), None);
    }
}
