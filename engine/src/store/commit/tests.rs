//! One conditional PUT under every way in which its reply can be lost.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Mutex;

use datafusion::datasource::object_store::ObjectStoreUrl;
use deltalake_core::logstore::{StorageConfig, default_logstore};
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, PutMultipartOptions, PutPayload, PutResult, Result,
};
use url::Url;

use super::*;

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Nothing is stored, the reply is an error.
    Refused,
    /// Nothing is stored, and access is denied.
    Denied,
    /// Stored, the reply is an error.
    Lost,
    /// Stored, no reply.
    Hang,
}

/// Plays faults in order, then none.
#[derive(Debug)]
struct Faulty {
    inner: Arc<InMemory>,
    puts: Mutex<VecDeque<Fault>>,
    gets: Mutex<VecDeque<Fault>>,
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

fn lost() -> Error {
    Error::Generic { store: "Faulty", source: "500".into() }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let fault = self.puts.lock().unwrap().pop_front().unwrap_or(Fault::None);
        match fault {
            Fault::None => self.inner.put_opts(location, payload, options).await,
            Fault::Refused => Err(lost()),
            Fault::Denied => Err(Error::PermissionDenied { path: String::new(), source: "403".into() }),
            Fault::Lost => {
                self.inner.put_opts(location, payload, options).await?;
                Err(lost())
            }
            Fault::Hang => {
                self.inner.put_opts(location, payload, options).await?;
                std::future::pending().await
            }
        }
    }

    async fn put_multipart_opts(&self, location: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let fault = self.gets.lock().unwrap().pop_front().unwrap_or(Fault::None);
        match fault {
            Fault::None => self.inner.get_opts(location, options).await,
            Fault::Hang => std::future::pending().await,
            _ => Err(lost()),
        }
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

struct Case {
    log: CommitLogStore,
    objects: Arc<InMemory>,
}

fn case(puts: &[Fault], gets: &[Fault]) -> Case {
    let objects = Arc::new(InMemory::new());
    let store: Arc<dyn ObjectStore> = Arc::new(Faulty {
        inner: Arc::clone(&objects),
        puts: Mutex::new(puts.iter().copied().collect()),
        gets: Mutex::new(gets.iter().copied().collect()),
    });
    let url = Url::parse("memory:///t/").unwrap();
    let location = Location {
        kept: None,
        url: url.clone(),
        store: Arc::clone(&store),
        once: Arc::clone(&store),
        prefix: Path::from("t"),
        object_store_url: ObjectStoreUrl::local_filesystem(),
        footers: super::super::footers(1 << 20),
        checked: Arc::default(),
    };
    let prefixed = Arc::new(PrefixStore::new(Arc::clone(&store), Path::from("t")));
    let inner = default_logstore(prefixed, store, &url, &StorageConfig::default());
    Case { log: CommitLogStore::new(inner, &location, Duration::from_millis(100)), objects }
}

impl Case {
    async fn commit(&self, text: &'static str) -> std::result::Result<(), TransactionError> {
        let commit = CommitOrBytes::LogBytes(Bytes::from_static(text.as_bytes()));
        self.log.write_commit_entry(3, commit, Uuid::new_v4()).await
    }

    /// What stands under the version, if anything.
    async fn stored(&self) -> Option<Bytes> {
        match self.objects.get(&Path::from("t/_delta_log/00000000000000000003.json")).await {
            Ok(found) => Some(found.bytes().await.unwrap()),
            Err(_) => None,
        }
    }
}

fn is_unknown(outcome: &std::result::Result<(), TransactionError>) -> bool {
    match outcome {
        Err(TransactionError::LogStoreError { source, .. }) => {
            matches!(source.downcast_ref::<EngineError>(), Some(EngineError::CommitUnknown { .. }))
        }
        _ => false,
    }
}

#[tokio::test]
async fn a_lost_reply_is_one_commit() {
    for fault in [Fault::None, Fault::Lost, Fault::Hang, Fault::Refused] {
        let case = case(&[fault], &[]);
        case.commit("ours").await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!(case.stored().await.unwrap(), "ours", "{fault:?}");
    }
}

#[tokio::test]
async fn another_writers_commit_is_not_ours() {
    for fault in [Fault::None, Fault::Refused] {
        let case = case(&[fault], &[]);
        case.objects.put(&Path::from("t/_delta_log/00000000000000000003.json"), "theirs".into()).await.unwrap();
        let outcome = case.commit("ours").await;
        assert!(matches!(outcome, Err(TransactionError::VersionAlreadyExists(3))), "{fault:?}: {outcome:?}");
        assert_eq!(case.stored().await.unwrap(), "theirs");
    }
}

#[tokio::test]
async fn what_cannot_be_looked_up_is_unknown() {
    for (put, get) in [(Fault::Lost, Fault::Lost), (Fault::Lost, Fault::Hang), (Fault::Hang, Fault::Lost), (Fault::Refused, Fault::Hang)] {
        let outcome = case(&[put], &[get]).commit("ours").await;
        assert!(is_unknown(&outcome), "{put:?} {get:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_store_that_never_stores_leaves_doubt() {
    let outcome = case(&[Fault::Refused; 8], &[]).commit("ours").await;
    assert!(is_unknown(&outcome), "{outcome:?}");
}

#[tokio::test]
async fn a_refusal_is_not_in_doubt() {
    let outcome = case(&[Fault::Denied], &[]).commit("ours").await;
    assert!(matches!(outcome, Err(TransactionError::ObjectStore { source: Error::PermissionDenied { .. } })), "{outcome:?}");
}
