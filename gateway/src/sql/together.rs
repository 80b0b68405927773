//! Commits that concern more than one table, or a table and the catalog: the catalog's side of them, and what readers have to know.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use lakegate_catalog::intents::{CLOCKS_APART, CommitGroup, IntendedCommit};
use lakegate_catalog::{Catalog, CatalogError};
use lakegate_engine_api::{BoundRelation, CommitDecision, Decision, Engine, EngineError, RelationSource, TableCommit};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::execute::Deadline;
use super::prepare::{LOOK, LOOKS_MAX, unfinished};
use super::session::GatewaySession;
use crate::sqlstate::SqlError;

/// Commits that are remembered for the transactions that began before them.
const REMEMBERED_MAX: usize = 10_000;
/// An intent of another process is given up after this time.
const ABANDONED_AFTER: Duration = Duration::from_secs(30);

/// One commit's record in the catalog.
pub struct CatalogDecision {
    /// What is staged of the catalog is stored with the decision.
    catalog: Catalog,
    done: Arc<CommittedTogether>,
    id: Uuid,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    commits: Vec<TableCommit>,
    /// The decision was asked for: whether it was stored only the catalog knows.
    asked: bool,
    error: Option<CatalogError>,
}

impl CatalogDecision {
    #[must_use]
    pub fn new(catalog: Catalog, done: Arc<CommittedTogether>) -> Self {
        CatalogDecision { catalog, done, id: Uuid::now_v7(), state: Mutex::default() }
    }

    /// What the catalog said where it refused, else what the engine said.
    #[must_use]
    pub fn explain(&self, error: EngineError) -> SqlError {
        match (&error, self.state().error.take()) {
            (EngineError::Conflict { .. }, Some(refusal)) => refusal.into(),
            _ => error.into(),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Readers that come from here on see all of it; those with older versions are told which go together.
    fn stands(&self) -> Decision {
        let commits = std::mem::take(&mut self.state().commits);
        self.done.remember(commits);
        Decision::Stands
    }

    fn refused(&self, error: CatalogError) -> Decision {
        tracing::info!(intent = %self.id, %error, "a commit of several tables was refused");
        self.state().error = Some(error);
        Decision::Refused
    }
}

#[async_trait]
impl CommitDecision for CatalogDecision {
    async fn intend(&self, commits: &[TableCommit]) -> bool {
        let intended: Vec<IntendedCommit> = commits
            .iter()
            .map(|commit| IntendedCommit {
                location: commit.location.clone(),
                version: commit.version,
                commit_id: commit.commit_id.clone(),
            })
            .collect();
        self.state().commits = commits.to_vec();
        match self.catalog.record_intent(self.id, &intended).await {
            Ok(()) => true,
            Err(error) => {
                self.refused(error);
                false
            }
        }
    }

    async fn decide(&self) -> Decision {
        self.state().asked = true;
        match self.catalog.commit_intended(self.id).await {
            Ok(()) => self.stands(),
            Err(error @ (CatalogError::Unavailable { .. } | CatalogError::Internal { .. })) => {
                tracing::warn!(intent = %self.id, %error, "a decision was lost");
                Decision::Unknown
            }
            Err(error) => self.refused(error),
        }
    }

    async fn outcome(&self) -> Decision {
        if !self.state().asked {
            return Decision::Refused;
        }
        match self.catalog.settle_intent(self.id).await {
            Ok(true) => self.stands(),
            Ok(false) => Decision::Refused,
            Err(error) => {
                tracing::warn!(intent = %self.id, %error, "the outcome of a commit is not known yet");
                Decision::Unknown
            }
        }
    }

    async fn abandon(&self) {
        if let Err(error) = self.catalog.forget_intent(self.id).await {
            tracing::warn!(intent = %self.id, %error, "the record of an undone commit could not be deleted");
        }
    }
}

/// Versions of tables that became visible together, lately: a transaction that has pinned one of them before must not see the others
/// after.
#[derive(Debug, Default)]
pub struct CommittedTogether(Mutex<VecDeque<Group>>);

#[derive(Debug)]
struct Group {
    at: DateTime<Utc>,
    commits: Vec<TableCommit>,
}

impl CommittedTogether {
    fn remember(&self, commits: Vec<TableCommit>) {
        if commits.len() < 2 {
            return;
        }
        let mut groups = self.groups();
        if groups.len() == REMEMBERED_MAX {
            groups.pop_front();
        }
        groups.push_back(Group { at: Utc::now(), commits });
    }

    /// The newest version of the table at a root URL that goes with what a transaction since `began` has pinned; `None`: any.
    #[must_use]
    pub fn ceiling<'a>(
        &self,
        location: &str,
        began: DateTime<Utc>,
        pinned: impl Iterator<Item = (&'a str, u64)>,
        of_all: &[CommitGroup],
    ) -> Option<u64> {
        let groups = self.groups();
        let version = |commit: &TableCommit| (commit.location.clone(), commit.version);
        let told = |commit: &IntendedCommit| (commit.location.clone(), commit.version);
        let mut since: Vec<Vec<(String, u64)>> =
            groups.iter().rev().take_while(|group| group.at >= began).map(|group| group.commits.iter().map(version).collect()).collect();
        // A group too many does no harm: of what was committed before, nothing older was pinned.
        let of_others = of_all.iter().rev().filter(|group| group.decided + CLOCKS_APART >= began && group.commits.len() > 1);
        since.extend(of_others.map(|group| group.commits.iter().map(told).collect()));
        if since.is_empty() {
            return None;
        }
        let mut limits: HashMap<&str, u64> = pinned.collect();
        loop {
            let mut changed = false;
            // Newest first: what is not seen of one is not seen of those after it either.
            for group in &since {
                let is_before = |(location, version): &(String, u64)| limits.get(location.as_str()).is_some_and(|limit| limit < version);
                if !group.iter().any(is_before) {
                    continue;
                }
                for (location, version) in group {
                    let limit = limits.entry(location).or_insert(u64::MAX);
                    if *limit >= *version {
                        *limit = version.saturating_sub(1);
                        changed = true;
                    }
                }
            }
            if !changed {
                return limits.get(location).copied();
            }
        }
    }

    fn groups(&self) -> std::sync::MutexGuard<'_, VecDeque<Group>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The table in a version of which no other process takes anything back: a commit of several tables that is undone leaves behind what others
/// have rewritten meanwhile.
///
/// # Errors
/// 40001 where another gateway does not finish its commit; 57014.
pub(crate) async fn settled(session: &GatewaySession, mut target: BoundRelation, deadline: &Deadline) -> Result<BoundRelation, SqlError> {
    // What is bound already is settled.
    let RelationSource::Table { table, version: version @ None, .. } = &mut target.source else { return Ok(target) };
    if session.shared.catalog.is_sole_process() {
        // The engine looks after its own.
        return Ok(target);
    }
    let location = table.relation().location.clone();
    for _ in 0..LOOKS_MAX {
        let newest = session.engine().newest_version(&location).await?;
        // Its record is there before a commit is.
        if !session.catalog().refresh().await?.is_intended(&location) {
            *version = Some(newest);
            return Ok(target);
        }
        tokio::select! {
            () = deadline.token().cancelled() => return Err(SqlError::canceled()),
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    Err(unfinished())
}

/// Undoes what processes that ended in the middle of such a commit have left. At start nobody else's in a catalog of one process, otherwise
/// what is older than any commit takes.
///
/// # Errors
/// What keeps it from being undone.
pub async fn recover(catalog: &Catalog, engine: &dyn Engine, at_start: bool) -> Result<(), SqlError> {
    let age = if at_start && catalog.is_sole_process() { Duration::ZERO } else { ABANDONED_AFTER };
    for intent in catalog.take_over_intents(age).await? {
        let commits = intent.commits.into_iter().map(|commit| TableCommit {
            location: commit.location,
            version: commit.version,
            commit_id: commit.commit_id,
        });
        engine.undo_commits(commits.collect()).await?;
        catalog.forget_intent(intent.id).await?;
        tracing::warn!(intent = %intent.id, "an unfinished commit of several tables was undone");
    }
    Ok(())
}

/// [`recover`] from time to time, for what other processes leave.
pub fn keep_recovering(catalog: Catalog, engine: Arc<dyn Engine>, stop: CancellationToken) {
    if catalog.is_sole_process() {
        return;
    }
    crate::tasks::spawn("recovery of commits", async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(ABANDONED_AFTER / 3) => {}
            }
            if let Err(error) = recover(&catalog, engine.as_ref(), false).await {
                tracing::warn!(%error, "an unfinished commit could not be undone");
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(location: &str, version: u64) -> TableCommit {
        TableCommit { location: location.to_owned(), version, commit_id: String::new() }
    }

    #[test]
    fn what_was_committed_together_is_seen_together() {
        let began = Utc::now();
        let together = CommittedTogether::default();
        let ceiling = |location: &str, pinned: &[(&str, u64)]| together.ceiling(location, began, pinned.iter().copied(), &[]);
        assert_eq!(ceiling("a", &[("b", 1)]), None);
        together.remember(vec![commit("a", 5), commit("b", 2)]);
        together.remember(vec![commit("b", 3), commit("c", 9)]);
        assert_eq!(ceiling("a", &[("b", 1)]), Some(4));
        assert_eq!(ceiling("a", &[("b", 2)]), None);
        // By way of a table that was not read.
        assert_eq!(ceiling("c", &[("a", 4)]), Some(8));
        assert_eq!(ceiling("c", &[("a", 5)]), None);
        assert_eq!(ceiling("d", &[("a", 4)]), None);
        assert_eq!(together.ceiling("a", Utc::now() + chrono::TimeDelta::seconds(1), [("b", 1)].into_iter(), &[]), None);
        // Other processes' count alike.
        let told = |location: &str, version| IntendedCommit { location: location.to_owned(), version, commit_id: String::new() };
        let others = [CommitGroup { decided: Utc::now(), commits: vec![told("x", 7), told("y", 3)] }];
        let ceiling = |location: &str, pinned| together.ceiling(location, began, [pinned].into_iter(), &others);
        assert_eq!(ceiling("y", ("x", 6)), Some(2));
        assert_eq!(ceiling("y", ("x", 7)), None);
    }
}
