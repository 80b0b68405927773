//! One client's SQL session: the front end's side of [`crate::frontend::SqlSession`].

use std::sync::Arc;
use std::time::Duration;

use arrow_array::ArrayRef;
use arrow_schema::SchemaRef;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use lakegate_catalog::authorize::{self, Principal};
use lakegate_catalog::model::{ObjectRef, Oid, Privilege};
use lakegate_catalog::{Catalog, Snapshot};
use lakegate_engine_api::{CatalogLookup, Engine, SessionFacts};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::advisory::AdvisoryLocks;
use super::bind::{Binder, NameScope, SYSTEM_DATABASE};
use super::changes::Changes;
use super::cursors::Cursors;
use super::effects::{Effect, Effects};
use super::exported_snapshots::ExportedSnapshots;
use super::grammar::{Command, Count, Direction};
use super::kept_plans::KeptPlans;
use super::locate::located;
use super::named_statements::{NamedStatement, NamedStatements};
use super::notifications::Notifications;
use super::pending_notifications::{Change, PendingNotifications};
use super::sequences::SessionSequences;
use super::session_log::SessionLog;
use super::session_settings::SessionSettings;
use super::settings::{Setting, Settings};
use super::together::CommittedTogether;
use super::transaction::{Event, Transaction};
use super::{execute, parse, prepare};
use crate::cluster::Fleet;
use crate::frontend::{
    ParsedStatement, PortalMove, PreparedSql, Response, SessionEvent, SessionStart, SqlSession, SqlSessions, TextStyle, TransactionStatus,
};
use crate::pg_catalog::lookup::SessionLookup;
use crate::server::LiveSessions;
use crate::sqlstate::{Severity, SqlError, SqlState};
use crate::system::SystemRelations;
use crate::wire::text_input::InputManner;

/// What all sessions of a gateway share.
pub struct Shared {
    pub catalog: Catalog,
    pub engine: Arc<dyn Engine>,
    /// Where statements may run in other processes: what `engine` stands for.
    pub fleet: Option<Arc<Fleet>>,
    /// `file:///…/` or `s3://…/`, with a slash at its end.
    pub warehouse_root: String,
    pub system: SystemRelations,
    pub notifications: Arc<Notifications>,
    pub advisory: AdvisoryLocks,
    pub kept_plans: KeptPlans,
    pub together: Arc<CommittedTogether>,
    pub snapshots: ExportedSnapshots,
    pub guards: crate::detect::guard::Guards,
    pub server_start: DateTime<Utc>,
}

/// Makes the sessions.
pub struct Sessions(pub Arc<Shared>);

#[async_trait]
impl SqlSessions for Sessions {
    async fn open(&self, start: SessionStart) -> Result<Box<dyn SqlSession>, SqlError> {
        Ok(Box::new(GatewaySession::open(Arc::clone(&self.0), start).await?))
    }
}

/// State of one client's session.
pub struct GatewaySession {
    pub(crate) shared: Arc<Shared>,
    pub(crate) session_id: Uuid,
    pub(crate) start: SessionStart,
    pub(crate) principal: Principal,
    pub(crate) settings: SessionSettings,
    pub(crate) transaction: Transaction,
    pub(crate) events: Vec<SessionEvent>,
    pub(crate) named: NamedStatements,
    pub(crate) cursors: Cursors,
    /// What LISTEN and NOTIFY do at COMMIT.
    pub(crate) pending: PendingNotifications,
    /// What functions have asked for.
    pub(crate) effects: Arc<Effects>,
    /// (text, why) of what was refused before it was a statement, to be logged at the end of the message.
    refusals: Vec<(String, SqlError)>,
    /// Rings when a notification has come.
    wake: Arc<Notify>,
    /// Counts client messages, and starts and ends of transactions: a plan is fresh within the message that made it.
    pub(crate) message: u64,
    /// Counts changes of tables: a plan that reads tables is fresh until the next one.
    pub(crate) changes_made: u64,
    /// It has made temporary tables.
    pub(crate) has_temporary: bool,
    /// More statements may follow before the end of the message or pipeline: a change does not commit by itself.
    pub(crate) more_follows: bool,
    /// The statement around the one that runs, as the log shows it.
    pub(crate) logged_as: Option<&'static str>,
    /// What a rule over the past takes for now.
    pub(crate) clock: Option<DateTime<Utc>>,
    /// The records that a rule looks at.
    pub(crate) log_rows: Option<crate::detect::LogRows>,
    /// Its place in a warehouse, while something of it works there.
    pub(crate) place: std::sync::Weak<crate::server::Place>,
    /// The statements of the message or pipeline are one transaction without a BEGIN.
    implicit: bool,
}

impl GatewaySession {
    pub(crate) async fn open(shared: Arc<Shared>, start: SessionStart) -> Result<Self, SqlError> {
        let snapshot = shared.catalog.refresh().await?;
        let role = start.authenticated.role();
        let principal = Principal::new(role);
        if start.database != SYSTEM_DATABASE {
            let database = snapshot
                .database_by_name(&start.database)
                .ok_or_else(|| SqlError::fatal(SqlState::InvalidCatalogName, format!("database \"{}\" does not exist", start.database)))?;
            if !authorize::has_privilege(&snapshot, role, ObjectRef::Database(database.oid), Privilege::Connect) {
                return Err(SqlError::fatal(
                    SqlState::InsufficientPrivilege,
                    format!("permission denied for database \"{}\"", start.database),
                )
                .detail("User does not have CONNECT privilege."));
            }
        }
        check_limits(&snapshot, &start, shared.system.live())?;
        let mut current = Settings::started(&starting_settings(&snapshot, &start), &start.settings)?;
        current.set_internal("session_authorization", start.authenticated.name());
        current.set_role(None, "none", snapshot.is_superuser(role));
        let sequences = SessionSequences::new(shared.catalog.clone());
        let session_id = Uuid::now_v7();
        let log = SessionLog::new(shared.catalog.clone(), crate::system::audit::of_start(&start, session_id));
        let (notifications, advisory) = (Arc::clone(&shared.notifications), shared.advisory.clone());
        let effects = Effects::new(start.backend_pid, notifications, advisory, current.resets().clone(), sequences, log);
        let mut session = GatewaySession {
            effects: Arc::new(effects),
            pending: PendingNotifications::default(),
            wake: Arc::default(),
            refusals: Vec::new(),
            shared,
            session_id,
            start,
            principal,
            settings: SessionSettings::new(current),
            transaction: Transaction::default(),
            events: Vec::new(),
            named: NamedStatements::default(),
            cursors: Cursors::default(),
            message: 0,
            changes_made: 0,
            has_temporary: false,
            more_follows: false,
            logged_as: None,
            clock: None,
            log_rows: None,
            place: std::sync::Weak::new(),
            implicit: false,
        };
        super::settings::REGISTRY.iter().filter(|setting| setting.reported).for_each(|setting| session.report(setting));
        Ok(session)
    }

    /// Tells the client a setting's value.
    pub(crate) fn report(&mut self, setting: &'static Setting) {
        let value = self.settings.current.get(setting.name).unwrap_or_default().to_owned();
        self.events.push(SessionEvent::ParameterStatus { name: setting.name, value });
    }

    pub(crate) fn notice(&mut self, notice: SqlError) {
        self.events.push(SessionEvent::Notice(notice));
    }

    /// The engines of its warehouse.
    pub(crate) fn engine(&self) -> Arc<dyn Engine> {
        match &self.shared.fleet {
            Some(fleet) => fleet.of(Some(self.warehouse_name())),
            None => Arc::clone(&self.shared.engine),
        }
    }

    /// With what the session's transaction has changed.
    pub(crate) fn catalog(&self) -> &Catalog {
        self.transaction.changes().and_then(Changes::catalog).unwrap_or(&self.shared.catalog)
    }

    pub(crate) fn database(&self) -> &str {
        &self.start.database
    }

    pub(crate) fn role_name(&self, snapshot: &Snapshot, role: Oid) -> String {
        snapshot.role(role).map_or_else(|| self.start.authenticated.name().to_owned(), |role| role.name.clone())
    }

    pub(crate) fn scope(&self, snapshot: &Snapshot) -> NameScope {
        let user = self.role_name(snapshot, self.principal.current_role);
        let mut search_path = self.settings.current.search_path(&user);
        let temporary = if self.has_temporary { Some(self.temporary_schema()) } else { None };
        let database = snapshot.database_by_name(&self.start.database);
        if let Some(schema) = temporary.filter(|schema| database.is_some_and(|database| snapshot.schema(database.oid, schema).is_some())) {
            search_path.retain(|named| named != "pg_temp");
            search_path.insert(0, schema);
        }
        NameScope { database: self.start.database.clone(), search_path }
    }

    pub(crate) fn facts(&self, snapshot: &Arc<Snapshot>) -> Arc<SessionFacts> {
        let scope = self.scope(snapshot);
        let now = self.clock.unwrap_or_else(Utc::now);
        let search_path = scope.existing_schemas(snapshot);
        self.effects.set_lock_timeout(self.settings.current.timeout("lock_timeout"));
        Arc::new(SessionFacts {
            session_user: self.role_name(snapshot, self.principal.session_role),
            current_user: self.role_name(snapshot, self.principal.current_role),
            database: self.start.database.clone(),
            time_zone: self.settings.current.get("timezone").unwrap_or("UTC").to_owned(),
            backend_pid: self.start.backend_pid,
            client_address: self.start.client_address,
            server_address: self.start.server_address,
            statement_time: now,
            transaction_time: self.transaction.started().unwrap_or(now),
            server_start_time: self.shared.server_start,
            settings: self.settings.current.all(),
            lookup: Arc::new(SessionLookup::new(
                Arc::clone(snapshot),
                self.principal,
                &self.start.database,
                search_path.clone(),
                self.shared.system.live().clone(),
                Arc::clone(&self.effects),
            )),
            search_path,
        })
    }

    /// How text of this session's COPY and EXECUTE is read.
    pub(crate) fn input_manner(&self, facts: &SessionFacts) -> InputManner {
        InputManner { style: self.settings.current.text_style(), names: Some(Arc::clone(&facts.lookup)), now: facts.transaction_time }
    }

    pub(crate) fn binder<'a>(&'a self, snapshot: &'a Arc<Snapshot>, facts: &'a Arc<SessionFacts>) -> Binder<'a> {
        Binder {
            session: self,
            snapshot,
            principal: self.principal,
            scope: self.scope(snapshot),
            facts,
            system: &self.shared.system,
            versions: self.transaction.pinned(),
            began: self.transaction.picture_time(),
            together: &self.shared.together,
            changes: self.transaction.changes(),
            named: &self.named,
            cursors: &self.cursors,
            advisory: &self.shared.advisory,
        }
    }

    /// Moves the transaction; settings follow it.
    pub(crate) fn step(&mut self, event: Event) -> super::transaction::Step {
        let before = self.transaction.status();
        if before == TransactionStatus::Idle {
            self.step_implicit(event);
        }
        let step = self.transaction.step(event);
        if before != self.transaction.status() {
            self.message += 1;
        }
        if !self.transaction.is_open() && (matches!(event, Event::Rollback | Event::Error) || step.rolled_back) {
            self.roll_back_changes_behind();
        }
        if event == Event::Begin {
            self.settings.begin();
        }
        if step.ended {
            let rolled_back = step.rolled_back || event == Event::Rollback;
            self.change_settings(|settings| settings.end(rolled_back));
            self.cursors.end_transaction(rolled_back);
            if rolled_back {
                self.pending = PendingNotifications::default();
            }
            self.settle_notifications();
        }
        step
    }

    /// BEGIN takes over what the message did before it, everything else ends it.
    fn step_implicit(&mut self, event: Event) {
        match event {
            Event::Begin => self.implicit = false,
            Event::Commit => self.end_implicit(false),
            Event::Rollback | Event::Error => self.end_implicit(true),
            Event::RollbackTo => {}
        }
    }

    fn end_implicit(&mut self, rolled_back: bool) {
        if !std::mem::take(&mut self.implicit) {
            return;
        }
        self.change_settings(|settings| settings.end(rolled_back));
        self.cursors.end_transaction(rolled_back);
        if rolled_back {
            self.pending = PendingNotifications::default();
        }
        self.settle_notifications();
    }

    /// Whether the statement that runs is part of a transaction with others.
    pub(crate) fn in_transaction(&self) -> bool {
        self.transaction.is_open() || self.implicit
    }

    /// Whether a statement reads what was committed last, without changes of its own transaction.
    pub(crate) fn reads_newest(&self) -> bool {
        !self.transaction.is_open() && self.transaction.changes().is_none() && self.transaction.pinned().is_empty()
    }

    /// SAVEPOINT.
    ///
    /// # Errors
    /// 54000 for too many.
    pub(crate) fn save(&mut self, name: String) -> Result<(), SqlError> {
        self.transaction.save(name)?;
        self.settings.save();
        self.pending.save();
        self.shared.advisory.save(self.start.backend_pid);
        Ok(())
    }

    /// RELEASE: the savepoint and those inside it end, what was done since stays.
    ///
    /// # Errors
    /// 3B001.
    pub(crate) fn release(&mut self, name: &str) -> Result<(), SqlError> {
        let at = self.transaction.savepoint(name)?;
        self.transaction.keep_savepoints(at);
        self.settings.release(at);
        self.cursors.release(at);
        self.pending.release(at);
        self.shared.advisory.release_savepoints(self.start.backend_pid, at);
        Ok(())
    }

    /// ROLLBACK TO: what was done since is undone, the savepoint stays, a failed block can go on.
    ///
    /// # Errors
    /// 3B001.
    pub(crate) fn roll_back_to(&mut self, name: &str) -> Result<(), SqlError> {
        let at = self.transaction.savepoint(name)?;
        let mark = self.transaction.mark(at);
        self.transaction.keep_savepoints(at + 1);
        self.transaction.step(Event::RollbackTo);
        self.roll_back_changes_to(&mark);
        self.change_settings(|settings| settings.roll_back_to(at));
        self.cursors.roll_back_to(at);
        self.pending.roll_back_to(at);
        self.shared.advisory.roll_back_to(self.start.backend_pid, at);
        Ok(())
    }

    /// Outside a transaction, what LISTEN and NOTIFY ask is done at once, and a transaction's locks are given back.
    pub(crate) fn settle_notifications(&mut self) {
        if self.in_transaction() {
            return;
        }
        self.shared.advisory.end_transaction(self.start.backend_pid);
        let (changes, posts) = self.pending.take();
        let (all, pid) = (&self.shared.notifications, self.start.backend_pid);
        for change in changes {
            match change {
                Change::Listen(channel) => all.listen(pid, &self.start.database, &channel, &self.wake),
                Change::Unlisten(channel) => all.unlisten(pid, &channel),
                Change::UnlistenAll => all.unlisten_all(pid),
            }
        }
        all.publish(pid, &self.start.database, posts);
    }

    /// Outside a block the snapshot ends with the statement: nobody can import it.
    fn export_snapshot(&mut self, name: String) {
        if self.transaction.status() == TransactionStatus::InTransaction {
            let (picture, exporter) = self.transaction.share();
            self.shared.snapshots.export(name, &self.start.database, exporter, picture);
        }
    }

    /// Fulfils what the functions of the last statement asked for.
    fn settle_effects(&mut self) {
        for effect in self.effects.take() {
            let done = match effect {
                Effect::Set { name, value, local } => crate::handlers::set::set_config(self, &name, value.as_deref(), local),
                Effect::Notify(post) => self.pending.post(post, &self.shared.notifications),
                Effect::ExportSnapshot(name) => {
                    self.export_snapshot(name);
                    Ok(())
                }
                Effect::Warning(message) => Err(SqlError::new(SqlState::Warning, message)),
            };
            if let Err(error) = done {
                // Checked when it was asked for: only the world can have changed since.
                self.notice(SqlError { severity: Severity::Warning, ..error });
            }
        }
        self.settle_notifications();
    }

    /// Changes many settings at once: the role follows, and the client is told.
    pub(crate) fn change_settings(&mut self, change: impl FnOnce(&mut SessionSettings)) {
        let before = self.settings.current.clone();
        change(&mut self.settings);
        self.principal.session_role = self.settings.current.session_role().unwrap_or(self.start.authenticated.role());
        self.principal.current_role = self.settings.current.role().unwrap_or(self.principal.session_role);
        for setting in super::settings::REGISTRY.iter().filter(|setting| setting.reported) {
            if before.get(setting.name) != self.settings.current.get(setting.name) {
                self.report(setting);
            }
        }
    }
}

#[async_trait]
impl SqlSession for GatewaySession {
    fn parse(&mut self, text: &str) -> Result<Vec<ParsedStatement>, SqlError> {
        parse::parse(text).inspect_err(|error| self.note_refusal(text, error))
    }

    fn note_refusal(&mut self, text: &str, error: &SqlError) {
        if error.state == SqlState::FeatureNotSupported {
            self.refusals.push((text.to_owned(), error.clone()));
        }
    }

    async fn prepare(&mut self, statement: ParsedStatement, declared: &[Oid]) -> Result<Arc<dyn PreparedSql>, SqlError> {
        self.settle_effects();
        let (command, text, before) = (statement.command.clone(), Arc::clone(&statement.text), statement.characters_before);
        let prepared = prepare::prepare(self, statement, declared).await;
        Ok(prepared.map_err(|error| match &command {
            Some(command) => located(error, command, &text, before),
            None => error,
        })?)
    }

    async fn execute(
        &mut self,
        statement: &Arc<dyn PreparedSql>,
        parameters: Vec<ArrayRef>,
        cancel: CancellationToken,
    ) -> Result<Response, SqlError> {
        self.settle_effects();
        let prepared = prepare::downcast(statement)?;
        let result = execute::execute(self, prepared, parameters, cancel).await;
        result.map_err(|error| {
            self.note_error();
            located(error, &prepared.command, &prepared.text, prepared.characters_before)
        })
    }

    fn expect_more(&mut self, more: bool) {
        self.more_follows = more;
        if more && !self.in_transaction() {
            self.implicit = true;
            self.settings.begin();
        }
    }

    async fn end_of_message(&mut self, failed: bool) -> Result<(), SqlError> {
        self.more_follows = false;
        self.message += 1;
        if failed && !self.transaction.is_open() {
            self.roll_back_changes().await;
        }
        let committed = self.commit_implicit(&CancellationToken::new()).await;
        if failed || committed.is_err() {
            self.effects.take();
        }
        self.settle_effects();
        self.end_implicit(failed || committed.is_err());
        for (text, error) in std::mem::take(&mut self.refusals) {
            super::journal::refused_text(self, &text, &error).await?;
        }
        committed
    }

    fn note_error(&mut self) {
        self.effects.take();
        self.step(Event::Error);
    }

    fn transaction_status(&self) -> TransactionStatus {
        self.transaction.status()
    }

    fn holds_snapshot(&self) -> bool {
        self.cursors.has_held()
    }

    fn text_style(&self) -> Arc<TextStyle> {
        self.settings.current.text_style()
    }

    fn name_lookup(&self) -> Option<Arc<dyn CatalogLookup>> {
        Some(Arc::clone(&self.facts(&self.catalog().snapshot()).lookup))
    }

    fn take_events(&mut self) -> Vec<SessionEvent> {
        self.settle_effects();
        if !self.in_transaction() {
            let received = self.shared.notifications.receive(self.start.backend_pid);
            self.events.extend(received.into_iter().map(|message| SessionEvent::Notification {
                pid: message.pid,
                channel: message.post.channel.clone(),
                payload: message.post.payload.clone(),
            }));
        }
        let minimum = self.settings.current.get("client_min_messages").unwrap_or("notice").to_owned();
        let mut events = std::mem::take(&mut self.events);
        events.retain(|event| match event {
            SessionEvent::Notice(notice) => is_shown(notice, &minimum),
            _ => true,
        });
        events
    }

    fn keep_statement(&mut self, name: &str, text: &Arc<str>, statement: &Arc<dyn PreparedSql>) -> Result<(), SqlError> {
        let statement = Arc::clone(statement);
        self.named.keep(name, NamedStatement { text: Arc::clone(text), statement, made: Utc::now(), from_sql: false })
    }

    fn forget_statement(&mut self, name: &str) {
        // Closing what is not there is no error.
        let _ = self.named.remove(name);
    }

    fn find_statement(&self, name: &str) -> Option<(Arc<str>, Arc<dyn PreparedSql>)> {
        self.named.find(name).ok().map(|named| (Arc::clone(&named.text), Arc::clone(&named.statement)))
    }

    fn portal_move(&self, statement: &Arc<dyn PreparedSql>) -> Option<PortalMove> {
        let Command::Fetch(fetch) = &*prepare::downcast(statement).ok()?.command else { return None };
        let rows_max = match fetch.direction {
            Direction::Forward(Count::All) => None,
            Direction::Forward(Count::Rows(rows)) => Some(u64::try_from(rows).ok().filter(|rows| *rows > 0)?),
            _ => return None,
        };
        let is_portal = fetch.moves && self.cursors.find(&fetch.cursor).is_err();
        is_portal.then(|| PortalMove { portal: fetch.cursor.clone(), rows_max })
    }

    async fn log_portal_move(&mut self, statement: &Arc<dyn PreparedSql>) -> Result<(), SqlError> {
        if self.transaction.status() == TransactionStatus::Failed {
            return Err(super::transaction::aborted());
        }
        let prepared = prepare::downcast(statement)?;
        let journal = super::journal::Journal::begin_utility(self, &prepared.command, &prepared.text).await?;
        journal.done(&lakegate_engine_api::Outcome::default()).await
    }

    fn answers_binary(&self, statement: &Arc<dyn PreparedSql>) -> bool {
        let Ok(prepared) = prepare::downcast(statement) else { return false };
        matches!(&*prepared.command, Command::Fetch(fetch) if self.cursors.find(&fetch.cursor).is_ok_and(|cursor| cursor.binary))
    }

    fn cursor_schema(&self, name: &str) -> Option<SchemaRef> {
        self.cursors.find(name).ok().map(|cursor| Arc::clone(&cursor.schema))
    }

    fn close_cursor(&mut self, name: &str) {
        // Closing what is not there is no error.
        let _ = self.cursors.close(name);
    }

    fn wake(&self) -> Option<Arc<Notify>> {
        Some(Arc::clone(&self.wake))
    }

    fn idle_limit(&self) -> Option<(Duration, SqlError)> {
        let (setting, state, what) = if self.transaction.is_open() {
            ("idle_in_transaction_session_timeout", SqlState::IdleInTransactionSessionTimeout, "idle-in-transaction")
        } else {
            ("idle_session_timeout", SqlState::IdleSessionTimeout, "idle-session")
        };
        let limit = self.settings.current.timeout(setting)?;
        Some((limit, SqlError::fatal(state, format!("terminating connection due to {what} timeout"))))
    }

    async fn close(&mut self) {
        self.roll_back_changes().await;
        self.step(Event::Rollback);
        self.cursors.close_all();
        if let Err(error) = self.drop_temporary().await {
            tracing::warn!(error = %error.message, "temporary tables could not be dropped at the end of their session");
        }
        self.shared.notifications.unlisten_all(self.start.backend_pid);
        self.shared.advisory.end_session(self.start.backend_pid);
        crate::system::audit::session_end(self).await;
    }
}

/// CONNECTION LIMIT of the role and of the database, on this gateway. Superusers have none.
///
/// # Errors
/// 53300.
fn check_limits(snapshot: &Snapshot, start: &SessionStart, live: &LiveSessions) -> Result<(), SqlError> {
    let Some(role) = snapshot.role(start.authenticated.role()).filter(|role| !role.superuser) else { return Ok(()) };
    let (of_role, in_database) = live.count_of(role.oid, &start.database);
    let is_past = |count: usize, limit: i32| usize::try_from(limit).is_ok_and(|limit| count > limit);
    if is_past(of_role, role.connection_limit) {
        return Err(SqlError::fatal(SqlState::TooManyConnections, format!("too many connections for role \"{}\"", role.name)));
    }
    match snapshot.database_by_name(&start.database) {
        Some(database) if is_past(in_database, database.connection_limit) => {
            Err(SqlError::fatal(SqlState::TooManyConnections, format!("too many connections for database \"{}\"", database.name)))
        }
        _ => Ok(()),
    }
}

/// What ALTER ROLE and ALTER DATABASE say of the session's settings; what can no longer be set is left out.
fn starting_settings(snapshot: &Snapshot, start: &SessionStart) -> Vec<(String, String)> {
    let Some(database) = snapshot.database_by_name(&start.database) else { return Vec::new() };
    let settings = snapshot.starting_settings(database.oid, start.authenticated.role());
    settings.filter(|(name, value)| super::settings::check(name, value).is_ok()).cloned().collect()
}

fn is_shown(notice: &SqlError, minimum: &str) -> bool {
    let rank = |severity: &str| {
        ["debug5", "debug4", "debug3", "debug2", "debug1", "debug", "log", "notice", "warning", "error"]
            .iter()
            .position(|level| *level == severity)
            .unwrap_or(7)
    };
    notice.severity == Severity::Info || rank(&notice.severity.word().to_ascii_lowercase()) >= rank(minimum)
}
