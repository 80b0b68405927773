//! The gateway's side.

mod answers;
mod body;
mod exchange;
mod holds;
mod link;
mod logs;
mod prepared;
mod scope;
mod transaction;
mod watched;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use lakegate_engine_api::{
    Alteration, BoundRelation, BoundStatement, ByteScan, ByteStream, CacheFigures, ColumnDefinition, CommitDecision, Effect, Engine,
    EngineError, EngineTransaction, Erased, Erasure, ExecutionContext, FileContent, FilePlace, Maintained, Maintenance, NewTable, Outcome,
    Prepared, Progress, Purge, Purged, PurgedVersions, RelationSource, RowStream, Scanned, SessionFacts, StoredFile, TableCommit,
    TableDescription, Unavailability, VersionPurge, Work as Statement,
};
use rustls::ClientConfig;
use tokio::sync::oneshot;
use uuid::Uuid;

pub use self::transaction::RemoteTransaction;

use self::exchange::{Upload, Work, upload_bytes, upload_rows};
use self::holds::Holds;
use self::link::{Link, unexpected};
use self::prepared::RemotePrepared;
use self::scope::{Object, Scope};
use self::transaction::Released;
use super::tasks;
use super::wire::{Reply, Request, batches_from, fields_from, levels_of, schema_from, schema_to};

/// An engine in another process. Connects when it is first asked for something, and again where the connection was lost; what was there before
/// (plans, transactions, rows under way) is lost with it.
#[derive(Clone)]
pub struct RemoteEngine(Arc<Remote>);

struct Remote {
    address: String,
    instance: Uuid,
    tls: Arc<ClientConfig>,
    /// Held while a connection is made, so that all who ask wait for the same one.
    connecting: tokio::sync::Mutex<()>,
    link: RwLock<Option<Arc<Link>>>,
}

impl fmt::Debug for RemoteEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteEngine").field("address", &self.0.address).field("instance", &self.0.instance).finish_non_exhaustive()
    }
}

impl RemoteEngine {
    /// `address`: host and port. `instance`: the process that is meant; another one at the address refuses. `tls`:
    /// [`super::identity::Identity::client_config`] for engines.
    #[must_use]
    pub fn new(address: String, instance: Uuid, tls: Arc<ClientConfig>) -> RemoteEngine {
        RemoteEngine(Arc::new(Remote { address, instance, tls, connecting: tokio::sync::Mutex::default(), link: RwLock::default() }))
    }

    fn known(&self) -> Option<Arc<Link>> {
        self.0.link.read().unwrap_or_else(PoisonError::into_inner).clone().filter(|link| !link.is_lost())
    }

    /// For something new.
    async fn link(&self) -> Result<Arc<Link>, EngineError> {
        let link = match self.known() {
            Some(link) => link,
            None => {
                let _connecting = self.0.connecting.lock().await;
                match self.known() {
                    Some(link) => link,
                    None => {
                        let link = Link::connect(&self.0.address, self.0.instance, &self.0.tls).await?;
                        *self.0.link.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&link));
                        link
                    }
                }
            }
        };
        match link.is_draining() {
            true => Err(EngineError::Unavailable { reason: Unavailability::Draining }),
            false => Ok(link),
        }
    }

    /// Where the relations' transactions are; for something new where there are none.
    async fn link_of<'a>(&self, relations: impl Iterator<Item = &'a BoundRelation> + Send) -> Result<Arc<Link>, EngineError> {
        let mut place = None;
        for transaction in relations.filter_map(transaction_of) {
            place = place.or(RemoteTransaction::of(transaction)?.mirror().link());
        }
        match place {
            Some(link) if link.is_lost() => Err(EngineError::Lost { effect: Effect::None }),
            Some(link) => Ok(link),
            None => self.link().await,
        }
    }

    async fn ask(&self, work: Work, request: Request<'_>, upload: Option<Upload>) -> Result<Reply, EngineError> {
        work.reply(&self.link().await?, request, upload).await
    }

    /// For work on one table.
    async fn scope_of(&self, target: &BoundRelation) -> Result<Scope, EngineError> {
        Ok(Scope::new(&self.link_of(std::iter::once(target)).await?))
    }
}

fn transaction_of(relation: &BoundRelation) -> Option<&dyn EngineTransaction> {
    match &relation.source {
        RelationSource::Table { transaction, .. } => transaction.as_deref(),
        _ => None,
    }
}

/// What is lost with a change: nothing that anybody saw, where it is staged.
fn effect_on<'a>(relations: impl IntoIterator<Item = &'a BoundRelation>) -> Effect {
    match relations.into_iter().any(|relation| transaction_of(relation).is_some()) {
        true => Effect::None,
        false => Effect::Unknown,
    }
}

fn effect_of(statement: &BoundStatement) -> Effect {
    match &statement.work {
        Statement::Query(_) => Effect::None,
        Statement::Change { .. } | Statement::CreateTableAs { .. } | Statement::CopyFrom { .. } => effect_on(&statement.relations),
    }
}

fn levels_of_alteration(alteration: &Alteration) -> Result<usize, EngineError> {
    match alteration {
        Alteration::AddColumn { fill: Some(expression), .. } | Alteration::SetType { using: Some(expression), .. } => levels_of(expression),
        _ => Ok(0),
    }
}

/// The parts of a reply, where it is the one that belongs to the request.
macro_rules! expect {
    ($reply:expr, $pattern:pat => $parts:expr) => {
        match $reply {
            $pattern => Ok($parts),
            other => Err(unexpected(&other)),
        }
    };
}

#[async_trait]
impl Engine for RemoteEngine {
    async fn prepare(&self, statement: BoundStatement) -> Result<Arc<dyn Prepared>, EngineError> {
        let statement = logs::read(statement).await?;
        let link = self.link_of(statement.relations.iter()).await?;
        let mut scope = Scope::new(&link);
        let bound = scope.statement(&statement)?;
        // Of planning nothing stays, whatever the plan is for.
        let mut work = Work::unnamed(Effect::None);
        work.statement = statement.statement_id;
        work.levels = bound.levels()?;
        work.transactions = scope.transactions.clone();
        let number = link.number();
        let kept = Released { link: Arc::clone(&link), numbers: vec![number] };
        let reply = work.reply(&link, Request::Prepare { number, statement: Box::new(bound) }, None).await?;
        let Reply::Prepared { parameters, result, versions, columns } = reply else { return Err(unexpected(&reply)) };
        Ok(Arc::new(RemotePrepared {
            link,
            number,
            parameters: fields_from(&parameters)?,
            result: result.map(|schema| schema_from(&schema)).transpose()?,
            versions,
            columns,
            holds: Holds::new(number),
            effect: effect_of(&statement),
            scope: Arc::new(scope),
            _kept: kept,
        }))
    }

    async fn create_table(&self, table: NewTable, context: ExecutionContext) -> Result<(), EngineError> {
        let request = Request::CreateTable(Cow::Owned(table));
        expect!(self.ask(Work::of(&context, Effect::Unknown), request, None).await?, Reply::Nothing => ())
    }

    async fn describe_table(&self, place: &FilePlace) -> Result<TableDescription, EngineError> {
        let request = Request::DescribeTable(Cow::Borrowed(place));
        expect!(self.ask(Work::unnamed(Effect::None), request, None).await?, Reply::Described(table) => table)
    }

    async fn list_files(&self, place: &FilePlace, endings: &[&str]) -> Result<Vec<StoredFile>, EngineError> {
        let endings = endings.iter().map(|ending| (*ending).to_owned()).collect();
        let request = Request::ListFiles { place: Cow::Borrowed(place), endings };
        expect!(self.ask(Work::unnamed(Effect::None), request, None).await?, Reply::Files(files) => files)
    }

    async fn read_file(&self, file: &StoredFile) -> Result<ByteStream, EngineError> {
        let link = self.link().await?;
        let mut exchange = Work::unnamed(Effect::None).begin(&link, Request::ReadFile(Cow::Borrowed(file)), None).await?;
        expect!(exchange.reply().await?, Reply::Bytes => exchange.bytes())
    }

    async fn write_file(&self, place: &FilePlace, content: FileContent, context: ExecutionContext) -> Result<Outcome, EngineError> {
        let (schema, upload) = match content {
            FileContent::Bytes(bytes) => (None, upload_bytes(bytes)),
            FileContent::Parquet { schema, rows } => (Some(schema_to(&schema)?), upload_rows(rows)),
        };
        let request = Request::WriteFile { place: Cow::Borrowed(place), schema };
        expect!(self.ask(Work::of(&context, Effect::Unknown), request, Some(upload)).await?, Reply::Done(outcome) => outcome)
    }

    async fn convert_to_delta(
        &self,
        place: &FilePlace,
        partitions: Vec<ColumnDefinition>,
        context: ExecutionContext,
    ) -> Result<Outcome, EngineError> {
        let request = Request::ConvertToDelta { place: Cow::Borrowed(place), partitions: Cow::Owned(partitions) };
        expect!(self.ask(Work::of(&context, Effect::Unknown), request, None).await?, Reply::Done(outcome) => outcome)
    }

    async fn alter_table(
        &self,
        target: BoundRelation,
        alterations: Vec<Alteration>,
        session: Arc<SessionFacts>,
        context: ExecutionContext,
    ) -> Result<Outcome, EngineError> {
        let levels = alterations.iter().try_fold(0, |most, one| Ok::<_, EngineError>(levels_of_alteration(one)?.max(most)))?;
        let mut scope = self.scope_of(&target).await?;
        let relation = scope.relation(&target)?;
        let levels = levels.max(relation.levels()?);
        let request = Request::AlterTable { target: relation, alterations: Cow::Owned(alterations), session: scope.facts(&session) };
        let work = Work { levels, ..Work::of(&context, effect_on([&target])) };
        expect!(scope.reply(work, request, None).await?, Reply::Done(outcome) => outcome)
    }

    async fn maintain(
        &self,
        target: BoundRelation,
        work: Maintenance,
        session: Arc<SessionFacts>,
        context: ExecutionContext,
    ) -> Result<Maintained, EngineError> {
        let (effect, levels) = match &work {
            Maintenance::History { .. } | Maintenance::Detail | Maintenance::Compatibility => (Effect::None, 0),
            Maintenance::Optimize { condition: Some(condition), .. } => (Effect::Unknown, levels_of(condition.as_ref())?),
            _ => (Effect::Unknown, 0),
        };
        let mut scope = self.scope_of(&target).await?;
        let relation = scope.relation(&target)?;
        let levels = levels.max(relation.levels()?);
        let request = Request::Maintain { target: relation, work: Cow::Owned(work), session: scope.facts(&session) };
        let reply = scope.reply(Work { levels, ..Work::of(&context, effect) }, request, None).await?;
        let Reply::Maintained { rows, outcome, summary } = reply else { return Err(unexpected(&reply)) };
        let rows = rows.map(|bytes| batches_from(&bytes)).transpose()?.and_then(|(_, batches)| batches.into_iter().next());
        Ok(Maintained { rows, outcome, summary })
    }

    async fn erase_rows(
        &self,
        target: BoundRelation,
        erasure: Erasure,
        session: Arc<SessionFacts>,
        context: ExecutionContext,
    ) -> Result<Erased, EngineError> {
        let mut scope = self.scope_of(&target).await?;
        let relation = scope.relation(&target)?;
        let levels = relation.levels()?;
        let effect = if erasure.dry_run { Effect::None } else { Effect::Unknown };
        let request = Request::EraseRows { target: relation, erasure: Cow::Owned(erasure), session: scope.facts(&session) };
        expect!(scope.reply(Work { levels, ..Work::of(&context, effect) }, request, None).await?, Reply::Erased(erased) => erased)
    }

    async fn store_time(&self, location: &str) -> Result<(DateTime<Utc>, bool), EngineError> {
        let request = Request::StoreTime(Cow::Borrowed(location));
        expect!(self.ask(Work::unnamed(Effect::None), request, None).await?, Reply::StoreTime(time, keeps_versions) => (time, keeps_versions))
    }

    async fn purge_history(&self, target: BoundRelation, purge: Purge, context: ExecutionContext) -> Result<Purged, EngineError> {
        let mut scope = self.scope_of(&target).await?;
        let relation = scope.relation(&target)?;
        let levels = relation.levels()?;
        let request = Request::PurgeHistory { target: relation, purge: Cow::Owned(purge) };
        expect!(scope.reply(Work { levels, ..Work::of(&context, Effect::Unknown) }, request, None).await?, Reply::Purged(purged) => purged)
    }

    async fn purge_versions(&self, location: &str, purge: VersionPurge, context: ExecutionContext) -> Result<PurgedVersions, EngineError> {
        let request = Request::PurgeVersions { location: Cow::Borrowed(location), purge: Cow::Owned(purge) };
        expect!(self.ask(Work::of(&context, Effect::Unknown), request, None).await?, Reply::PurgedVersions(purged) => purged)
    }

    async fn scan_bytes(&self, location: &str, scan: ByteScan, context: ExecutionContext) -> Result<Scanned, EngineError> {
        let request = Request::ScanBytes { location: Cow::Borrowed(location), scan: Cow::Owned(scan) };
        expect!(self.ask(Work::of(&context, Effect::None), request, None).await?, Reply::Scanned(scanned) => scanned)
    }

    async fn forget(&self, location: &str) -> Result<(), EngineError> {
        expect!(self.ask(Work::unnamed(Effect::None), Request::Forget(Cow::Borrowed(location)), None).await?, Reply::Nothing => ())
    }

    async fn is_worn(&self, location: &str) -> Result<bool, EngineError> {
        expect!(self.ask(Work::unnamed(Effect::None), Request::IsWorn(Cow::Borrowed(location)), None).await?, Reply::Is(worn) => worn)
    }

    async fn newest_version(&self, location: &str) -> Result<u64, EngineError> {
        let request = Request::NewestVersion(Cow::Borrowed(location));
        expect!(self.ask(Work::unnamed(Effect::None), request, None).await?, Reply::Version(version) => version)
    }

    async fn drop_table(&self, location: &str) -> Result<(), EngineError> {
        expect!(self.ask(Work::unnamed(Effect::Unknown), Request::DropTable(Cow::Borrowed(location)), None).await?, Reply::Nothing => ())
    }

    async fn append(
        &self,
        target: BoundRelation,
        rows: RowStream,
        session: Arc<SessionFacts>,
        context: ExecutionContext,
    ) -> Result<Outcome, EngineError> {
        let mut scope = self.scope_of(&target).await?;
        let relation = scope.relation(&target)?;
        let work = Work { levels: relation.levels()?, ..Work::of(&context, effect_on([&target])) };
        let request = Request::Append { target: relation, session: scope.facts(&session) };
        expect!(scope.reply(work, request, Some(upload_rows(rows))).await?, Reply::Done(outcome) => outcome)
    }

    fn begin(&self) -> Arc<dyn EngineTransaction> {
        Arc::new(RemoteTransaction::new())
    }

    async fn commit_together(
        &self,
        transactions: Vec<Arc<dyn EngineTransaction>>,
        decision: Arc<dyn CommitDecision>,
        context: ExecutionContext,
    ) -> Result<Vec<Outcome>, EngineError> {
        if context.cancel.is_cancelled() {
            transactions.iter().for_each(|transaction| transaction.roll_back());
            return Err(EngineError::Canceled);
        }
        let (mut told, mut released): (Vec<_>, Option<Released>) = (Vec::new(), None);
        for transaction in &transactions {
            let Some((link, last, _)) = RemoteTransaction::of(transaction.as_ref())?.mirror().last()? else { continue };
            let released = released.get_or_insert_with(|| Released { link: Arc::clone(&link), numbers: Vec::new() });
            if !Arc::ptr_eq(&released.link, &link) {
                return Err(EngineError::Lost { effect: Effect::None });
            }
            released.numbers.push(last.number);
            told.push(last);
        }
        // The decision is asked for even where nothing was ever done in any of them.
        let mut released = match released {
            Some(released) => released,
            None => Released { link: self.link().await?, numbers: Vec::new() },
        };
        let mut scope = Scope::new(&released.link);
        let decision = scope.object(Object::Decision(decision));
        let request = Request::CommitTogether { transactions: told, decision };
        let (answer, answered) = oneshot::channel();
        // The decision stays at hand until the engine is done, whether or not somebody still waits for what it comes to.
        tasks::spawn("a commit of several tables", async move {
            let reply = scope.reply(Work::of(&context, Effect::Unknown), request, None).await;
            if reply.is_ok() {
                released.numbers.clear();
            }
            let _ = answer.send(reply);
        });
        let reply = answered.await.map_err(|_| EngineError::Lost { effect: Effect::Unknown })??;
        expect!(reply, Reply::Outcomes(outcomes) => outcomes)
    }

    fn progress(&self, statement: Uuid) -> Option<Progress> {
        self.known()?.shared.progress(statement)
    }

    fn caches(&self) -> Vec<CacheFigures> {
        self.known().map(|link| link.shared.cache_figures()).unwrap_or_default()
    }

    async fn undo_commits(&self, commits: Vec<TableCommit>) -> Result<(), EngineError> {
        let request = Request::UndoCommits(Cow::Owned(commits));
        expect!(self.ask(Work::unnamed(Effect::Unknown), request, None).await?, Reply::Nothing => ())
    }

    async fn check_store(&self, root: &str) -> Result<(), EngineError> {
        expect!(self.ask(Work::unnamed(Effect::None), Request::CheckStore(Cow::Borrowed(root)), None).await?, Reply::Nothing => ())
    }
}
