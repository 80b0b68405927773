//! What a bucket keeps beside its present objects: earlier versions, markers of deletions, and uploads that were never ended. The object
//! store crate knows none of it, so these requests are made here, signed with its means.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use lakegate_engine_api::EngineError;
use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{HttpClient, HttpRequest, HttpRequestBody};
use url::form_urlencoded::Serializer;

use super::xml::Element;
use crate::error;

const ATTEMPTS_MAX: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Rights that were given a moment ago are not known everywhere yet.
const REFUSALS_MAX: u32 = 2;

/// The requests of one bucket.
#[derive(Debug)]
pub struct Kept {
    pub client: HttpClient,
    /// With the bucket, without a `/` at the end.
    pub endpoint: String,
    pub region: String,
    /// `None`: requests are not signed.
    pub credentials: Option<AwsCredentialProvider>,
    pub request_payer: bool,
}

/// Why something was not done.
#[derive(Debug)]
pub enum Failure {
    /// The store's own word for it, such as `AccessDenied`: asking again does not help.
    Refused(String),
    Failed(EngineError),
}

/// Whether a bucket keeps versions of objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Versioning {
    /// It never has.
    Never,
    /// It does, or did once.
    Kept,
    /// The store does not tell, and why.
    Untold(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub key: String,
    pub id: String,
    /// What a reader finds who names no version.
    pub is_latest: bool,
    /// Not an object, but the word that there is none any more.
    pub is_marker: bool,
    pub bytes: u64,
}

/// An upload in parts that nobody has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    pub key: String,
    pub id: String,
    pub begun: Option<DateTime<Utc>>,
}

/// Part of a list, in the order of keys; `next`: where the next part begins.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page<T> {
    pub entries: Vec<T>,
    pub next: Option<(String, String)>,
}

impl Kept {
    /// # Errors
    /// `Storage`.
    pub async fn versioning(&self) -> Result<Versioning, EngineError> {
        let answer = match self.ask("GET", "", &[("versioning", "")]).await {
            Ok(answer) => answer,
            // A store that has never heard of it.
            Err(Failure::Refused(code)) if ["NotImplemented", "MethodNotAllowed", "501", "405"].contains(&code.as_str()) => {
                return Ok(Versioning::Never);
            }
            Err(Failure::Refused(code)) => return Ok(Versioning::Untold(code)),
            Err(Failure::Failed(failure)) => return Err(failure),
        };
        let configuration = parsed(&answer, "VersioningConfiguration")?;
        Ok(if configuration.text_of("Status").is_empty() { Versioning::Never } else { Versioning::Kept })
    }

    /// Whether the store copies the bucket's objects to others. A store that does not tell says no: certificates say that replicas are not looked at.
    ///
    /// # Errors
    /// `Storage`.
    pub async fn is_replicated(&self) -> Result<bool, EngineError> {
        match self.ask("GET", "", &[("replication", "")]).await {
            Ok(answer) => Ok(parsed(&answer, "ReplicationConfiguration")?.children().any(|rule| rule.text_of("Status") == "Enabled")),
            Err(Failure::Refused(_)) => Ok(false),
            Err(Failure::Failed(failure)) => Err(failure),
        }
    }

    /// Versions and markers of all keys that begin so.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn versions(&self, prefix: &str, after: Option<&(String, String)>) -> Result<Page<Version>, Failure> {
        let mut query = vec![("prefix", prefix), ("versions", "")];
        if let Some((key, version)) = after {
            query.extend([("key-marker", key.as_str()), ("version-id-marker", version.as_str())]);
        }
        let list = parsed(&self.ask("GET", "", &query).await?, "ListVersionsResult")?;
        let version = |entry: &Element| {
            let is_marker = entry.name() == "DeleteMarker";
            (is_marker || entry.name() == "Version").then(|| Version {
                key: entry.text_of("Key").to_owned(),
                id: entry.text_of("VersionId").to_owned(),
                is_latest: entry.text_of("IsLatest") == "true",
                is_marker,
                bytes: entry.text_of("Size").parse().unwrap_or(0),
            })
        };
        Ok(Page { entries: list.children().filter_map(version).collect(), next: next(&list, "NextVersionIdMarker") })
    }

    /// # Errors
    /// As [`Failure`] says.
    pub async fn uploads(&self, prefix: &str, after: Option<&(String, String)>) -> Result<Page<Upload>, Failure> {
        let mut query = vec![("prefix", prefix), ("uploads", "")];
        if let Some((key, upload)) = after {
            query.extend([("key-marker", key.as_str()), ("upload-id-marker", upload.as_str())]);
        }
        let list = parsed(&self.ask("GET", "", &query).await?, "ListMultipartUploadsResult")?;
        let upload = |entry: &Element| {
            (entry.name() == "Upload").then(|| Upload {
                key: entry.text_of("Key").to_owned(),
                id: entry.text_of("UploadId").to_owned(),
                begun: DateTime::parse_from_rfc3339(entry.text_of("Initiated")).ok().map(|time| time.with_timezone(&Utc)),
            })
        };
        Ok(Page { entries: list.children().filter_map(upload).collect(), next: next(&list, "NextUploadIdMarker") })
    }

    /// The bytes of a version; `None` where it is gone.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn read(&self, key: &str, version: &str) -> Result<Option<Bytes>, Failure> {
        match self.ask("GET", key, &[("versionId", version)]).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(failure) if failure.is_absence() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// # Errors
    /// As [`Failure`] says; that it is gone already is none.
    pub async fn remove(&self, key: &str, version: &str) -> Result<(), Failure> {
        self.end("DELETE", key, &[("versionId", version)]).await
    }

    /// # Errors
    /// As [`Failure`] says; that it is gone already is none.
    pub async fn abort(&self, key: &str, upload: &str) -> Result<(), Failure> {
        self.end("DELETE", key, &[("uploadId", upload)]).await
    }

    async fn end(&self, method: &str, key: &str, query: &[(&str, &str)]) -> Result<(), Failure> {
        match self.ask(method, key, query).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.is_absence() => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// Each of these requests can be made again without harm.
    async fn ask(&self, method: &str, key: &str, query: &[(&str, &str)]) -> Result<Bytes, Failure> {
        let (mut attempt, mut refusals) = (0, 0);
        loop {
            attempt += 1;
            let failure = match self.ask_once(method, key, query).await {
                Ok((200..300, body)) => return Ok(body),
                Ok((status, body)) if status < 500 && status != 429 => {
                    refusals += 1;
                    if status != 403 || method != "GET" || refusals > REFUSALS_MAX {
                        return Err(Failure::Refused(code_of(status, &body)));
                    }
                    Failure::Refused(code_of(status, &body))
                }
                Ok((status, body)) => {
                    let code = code_of(status, &body);
                    if code == "NotImplemented" {
                        return Err(Failure::Refused(code));
                    }
                    Failure::Failed(storage(&format!("the object store answers {code}")))
                }
                Err(failure) => Failure::Failed(failure),
            };
            if attempt >= ATTEMPTS_MAX {
                return Err(failure);
            }
            tokio::time::sleep(FIRST_PAUSE * 2_u32.pow(attempt - 1)).await;
        }
    }

    async fn ask_once(&self, method: &str, key: &str, query: &[(&str, &str)]) -> Result<(u16, Bytes), EngineError> {
        let text = Serializer::new(String::new()).extend_pairs(query).finish();
        let slash = if key.is_empty() { "" } else { "/" };
        let url = url::Url::parse(&format!("{}{slash}{}?{text}", self.endpoint, path_of(key)));
        let url = url.map_err(|_| storage("the object store's settings are incomplete or wrong"))?;
        let unusable = || error::internal("a request to the object store cannot be written");
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = method.parse().map_err(|_| unusable())?;
        *request.uri_mut() = url.as_str().parse().map_err(|_| unusable())?;
        if let Some(credentials) = &self.credentials {
            let credential = credentials.get_credential().await.map_err(|failure| error::from_object_store(&failure, None))?;
            let authorizer = AwsAuthorizer::new(&credential, "s3", &self.region).with_request_payer(self.request_payer);
            authorizer.authorize(&mut request, None);
        }
        let lost = |failure| {
            tracing::debug!(error = %failure, "a request to the object store");
            storage("the object store cannot be reached")
        };
        let answer = self.client.execute(request).await.map_err(lost)?;
        let status = answer.status().as_u16();
        Ok((status, answer.into_body().bytes().await.map_err(lost)?))
    }
}

impl Failure {
    fn is_absence(&self) -> bool {
        matches!(self, Failure::Refused(code) if ["NoSuchKey", "NoSuchVersion", "NoSuchUpload", "404"].contains(&code.as_str()))
    }
}

impl From<EngineError> for Failure {
    fn from(failure: EngineError) -> Self {
        Failure::Failed(failure)
    }
}

/// For a whole bucket as for a folder in it.
#[must_use]
pub fn listing_prefix(folder: &object_store::path::Path) -> String {
    if folder.as_ref().is_empty() { String::new() } else { format!("{folder}/") }
}

fn storage(message: &str) -> EngineError {
    EngineError::Storage { message: message.to_owned() }
}

fn parsed(answer: &Bytes, name: &str) -> Result<Element, EngineError> {
    let element = std::str::from_utf8(answer).ok().and_then(Element::parse).filter(|element| element.name() == name);
    element.ok_or_else(|| storage("the object store's answer does not read"))
}

fn next(list: &Element, second: &str) -> Option<(String, String)> {
    (list.text_of("IsTruncated") == "true").then(|| (list.text_of("NextKeyMarker").to_owned(), list.text_of(second).to_owned()))
}

/// What the store calls it, or the status; never its message, which names the key.
fn code_of(status: u16, body: &Bytes) -> String {
    let element = std::str::from_utf8(body).ok().and_then(Element::parse);
    let code = element.map(|element| element.text_of("Code").to_owned()).unwrap_or_default();
    let is_word = !code.is_empty() && code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    if is_word { code } else { status.to_string() }
}

/// As a signature wants it: all but letters, digits and `-_.~/` by their numbers.
fn path_of(key: &str) -> String {
    let mut path = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => path.push(char::from(byte)),
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_store_answers() {
        let list = Element::parse(
            "<ListVersionsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>\
             <NextVersionIdMarker>v</NextVersionIdMarker></ListVersionsResult>",
        );
        assert_eq!(next(&list.unwrap(), "NextVersionIdMarker"), Some(("k".to_owned(), "v".to_owned())));
        let denied = Bytes::from_static(b"<Error><Code>AccessDenied</Code><Message>no key ann@example.com</Message></Error>");
        assert_eq!(code_of(403, &denied), "AccessDenied");
        assert_eq!(code_of(403, &Bytes::from_static(b"<html>ann@example.com")), "403");
        assert_eq!(path_of("a b/e=ann@x%.parquet"), "a%20b/e%3Dann%40x%25.parquet");
    }
}
