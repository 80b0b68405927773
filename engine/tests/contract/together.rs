//! One commit of several tables: all of it or nothing, whatever the control plane answers and wherever the process ends.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use lakegate_engine::{EngineOptions, LocalEngine};
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{CommitDecision, Decision, EngineError, EngineTransaction, Outcome, RelationSource, TableCommit, Work};

use crate::support::{World, context, parse, relation_name};
use crate::writes::{column, create, new_table};

const TABLES: [&str; 3] = ["a", "b", "c"];

/// A control plane that answers as it is told.
#[derive(Default)]
pub struct Scripted {
    /// How many times it lets the commit be intended.
    pub intents: usize,
    pub decision: Option<Decision>,
    pub outcome: Option<Decision>,
    /// Never answers the decision: the process ends there.
    pub hangs: bool,
    pub recorded: Mutex<Vec<TableCommit>>,
    pub asked: Mutex<usize>,
    pub abandoned: Mutex<bool>,
}

#[async_trait]
impl CommitDecision for Scripted {
    async fn intend(&self, commits: &[TableCommit]) -> bool {
        *self.recorded.lock().unwrap() = commits.to_vec();
        let mut asked = self.asked.lock().unwrap();
        *asked += 1;
        *asked <= self.intents
    }

    async fn decide(&self) -> Decision {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        self.decision.unwrap()
    }

    async fn outcome(&self) -> Decision {
        self.outcome.unwrap_or(Decision::Refused)
    }

    async fn abandon(&self) {
        *self.abandoned.lock().unwrap() = true;
    }
}

fn deciding(decision: Decision) -> Arc<Scripted> {
    Arc::new(Scripted { intents: usize::MAX, decision: Some(decision), ..Scripted::default() })
}

/// Tables `a`, `b`, `c (id int)` with the row 1 each.
pub async fn tables() -> World {
    let world = World::new().await;
    for name in TABLES {
        create(&world, &new_table(&world, name, &[column("id", PgType::INT4)])).await;
        world.change(&format!("INSERT INTO main.public.{name} VALUES (1)"), name, &[name]).await.unwrap();
    }
    world
}

async fn stage(world: &World, table: &str, sql: &str) -> Arc<dyn EngineTransaction> {
    let transaction = world.engine.begin();
    let mut relation = world.relation(table, None);
    if let RelationSource::Table { transaction: bound, .. } = &mut relation.source {
        *bound = Some(Arc::clone(&transaction));
    }
    let work = Work::Change { statement: Box::new(parse(sql)), target: relation_name(table) };
    let mut statement = world.bound(work, &[]);
    statement.relations.push(relation);
    world.done(statement).await.unwrap();
    transaction
}

/// A row more in `a`, another value in `b`, none in `c`.
async fn staged(world: &World) -> Vec<Arc<dyn EngineTransaction>> {
    vec![
        stage(world, "c", "DELETE FROM main.public.c").await,
        stage(world, "a", "INSERT INTO main.public.a VALUES (2)").await,
        stage(world, "b", "UPDATE main.public.b SET id = 2").await,
    ]
}

pub async fn commit(world: &World, decision: &Arc<Scripted>) -> Result<Vec<Outcome>, EngineError> {
    let transactions = staged(world).await;
    world.engine.commit_together(transactions, Arc::clone(decision) as Arc<dyn CommitDecision>, context()).await
}

pub async fn seen(world: &World) -> String {
    let mut seen = Vec::new();
    for name in TABLES {
        seen.push(world.lines(&format!("SELECT id FROM main.public.{name}"), &[name]).await.join(","));
    }
    seen.join(" ")
}

pub const BEFORE: &str = "1 1 1";
const AFTER: &str = "1,2 2 ";

fn version_files(world: &World, table: &str) -> usize {
    let log = world.dir.path().join("tables").join(table).join("_delta_log");
    std::fs::read_dir(log).unwrap().filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".json")).count()
}

/// Another engine over the same folders, as after a restart.
async fn restarted(world: World) -> World {
    let options = EngineOptions::new(512 << 20, world.dir.path().join("spill again"));
    World { engine: crate::transport::reached(LocalEngine::new(options).unwrap()).await, ..world }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_it_is_seen_at_once() {
    let world = tables().await;
    let decision = deciding(Decision::Stands);
    let outcomes = commit(&world, &decision).await.unwrap();
    assert_eq!(outcomes.iter().map(|outcome| outcome.version).collect::<Vec<_>>(), [Some(2), Some(2), Some(2)]);
    assert_eq!(seen(&world).await, AFTER);
    let recorded = decision.recorded.lock().unwrap().clone();
    assert_eq!(recorded.iter().map(|one| (one.location.clone(), one.version)).collect::<Vec<_>>(), TABLES.map(|name| (world.url(name), 2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_leaves_nothing() {
    // Before the first log is touched.
    let world = tables().await;
    let refused = Arc::new(Scripted { intents: 0, decision: Some(Decision::Stands), ..Scripted::default() });
    assert!(matches!(commit(&world, &refused).await, Err(EngineError::Conflict { .. })));
    assert_eq!(seen(&world).await, BEFORE);
    // At the decision: commits are there, and are undone.
    let world = tables().await;
    let refused = deciding(Decision::Refused);
    assert!(matches!(commit(&world, &refused).await, Err(EngineError::Conflict { .. })));
    assert_eq!((seen(&world).await.as_str(), *refused.abandoned.lock().unwrap()), (BEFORE, true));
    assert_eq!(TABLES.map(|name| version_files(&world, name)), [4, 4, 4]);
    // Afterwards it works.
    commit(&world, &deciding(Decision::Stands)).await.unwrap();
    assert_eq!(seen(&world).await, AFTER);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_decision_is_asked_for() {
    for (outcome, expected) in [(Decision::Stands, AFTER), (Decision::Refused, BEFORE)] {
        let world = tables().await;
        let decision = Scripted { intents: usize::MAX, decision: Some(Decision::Unknown), outcome: Some(outcome), ..Scripted::default() };
        let result = commit(&world, &Arc::new(decision)).await;
        assert_eq!((result.is_ok(), seen(&world).await.as_str()), (outcome == Decision::Stands, expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_in_one_table_keeps_all_from_being_committed() {
    let world = tables().await;
    let transactions = staged(&world).await;
    world.change("UPDATE main.public.b SET id = 9", "b", &["b"]).await.unwrap();
    let decision = deciding(Decision::Stands);
    let result = world.engine.commit_together(transactions, Arc::clone(&decision) as Arc<dyn CommitDecision>, context()).await;
    assert!(matches!(result, Err(EngineError::Conflict { .. })));
    assert_eq!((seen(&world).await.as_str(), *decision.asked.lock().unwrap()), ("1 9 1", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_between_the_first_commit_and_the_decision() {
    let world = tables().await;
    let decision = Arc::new(Scripted { intents: usize::MAX, hangs: true, ..Scripted::default() });
    let undecided = commit(&world, &decision);
    assert!(tokio::time::timeout(Duration::from_secs(3), undecided).await.is_err());
    assert_eq!(TABLES.map(|name| version_files(&world, name)), [3, 3, 3], "all logs have their commits");
    assert!(tokio::time::timeout(Duration::from_secs(1), seen(&world)).await.is_err(), "a reader waits");
}

/// The process ends after each step; the one that comes after it finds the record.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_leaves_nothing() {
    for commits_made in 0..=3 {
        let world = tables().await;
        let decision = Arc::new(Scripted { intents: usize::MAX, hangs: true, ..Scripted::default() });
        assert!(tokio::time::timeout(Duration::from_secs(3), commit(&world, &decision)).await.is_err());
        let recorded = decision.recorded.lock().unwrap().clone();
        assert_eq!(recorded.len(), 3);
        // As if it had ended before the later ones.
        for commit in &recorded[commits_made..] {
            let name = format!("_delta_log/{:020}.json", commit.version);
            std::fs::remove_file(commit.location.strip_prefix("file://").unwrap().to_owned() + &name).unwrap();
        }
        let world = restarted(world).await;
        world.engine.undo_commits(recorded.clone()).await.unwrap();
        assert_eq!(seen(&world).await, BEFORE, "{commits_made} commits");
        let versions = TABLES.map(|name| version_files(&world, name));
        world.engine.undo_commits(recorded).await.unwrap();
        assert_eq!(TABLES.map(|name| version_files(&world, name)), versions, "undone once");
        commit(&world, &deciding(Decision::Stands)).await.unwrap();
        assert_eq!(seen(&world).await, AFTER, "{commits_made} commits");
    }
}

/// What others appended on top stays.
#[tokio::test(flavor = "multi_thread")]
async fn undoing_spares_what_came_later() {
    let world = tables().await;
    let decision = Arc::new(Scripted { intents: usize::MAX, hangs: true, ..Scripted::default() });
    assert!(tokio::time::timeout(Duration::from_secs(3), commit(&world, &decision)).await.is_err());
    let recorded = decision.recorded.lock().unwrap().clone();
    let world = restarted(world).await;
    for name in TABLES {
        world.change(&format!("INSERT INTO main.public.{name} VALUES (7)"), name, &[name]).await.unwrap();
    }
    world.engine.undo_commits(recorded).await.unwrap();
    assert_eq!(seen(&world).await, "1,7 1,7 1,7");
}
