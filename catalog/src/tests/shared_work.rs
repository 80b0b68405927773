//! What processes on one catalog leave to each other: leases, and which commits go together.

use std::time::Duration;

use uuid::Uuid;

use super::{Fixture, on_both};
use crate::intents::IntendedCommit;

on_both!(one_holds_a_lease, groups_are_told);

async fn one_holds_a_lease(fixture: Fixture) {
    let (one, two) = (fixture.started().await, fixture.open().await);
    let (long, none) = (Duration::from_secs(600), Duration::ZERO);
    assert!(one.take_lease("a", long).await.unwrap() && one.take_lease("a", long).await.unwrap());
    assert!(!two.take_lease("a", long).await.unwrap() && two.take_lease("b", long).await.unwrap());
    two.give_back_lease("a").await.unwrap();
    assert!(!two.take_lease("a", long).await.unwrap(), "it was not its own");
    one.give_back_lease("a").await.unwrap();
    assert!(two.take_lease("a", none).await.unwrap());
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(one.take_lease("a", long).await.unwrap(), "it has expired");
}

async fn groups_are_told(fixture: Fixture) {
    let (one, two) = (fixture.started().await, fixture.open().await);
    let commit = |name: &str, version| IntendedCommit { location: format!("s3://bucket/{name}/"), version, commit_id: String::new() };
    let commits = vec![commit("a", 3), commit("b", 9)];
    let id = Uuid::new_v4();
    one.record_intent(id, &commits).await.unwrap();
    assert!(two.refresh().await.unwrap().committed_together().is_empty());
    one.begin_changes().commit_intended(id).await.unwrap();
    for catalog in [&one, &two] {
        let snapshot = catalog.refresh().await.unwrap();
        assert_eq!(snapshot.committed_together().iter().map(|group| &group.commits).collect::<Vec<_>>(), [&commits]);
    }
    // They stay as long as somebody may have read a part of one: here a reader that began just now.
    one.tell_oldest_reader(None).await.unwrap();
    let next = Uuid::new_v4();
    two.record_intent(next, &commits).await.unwrap();
    two.begin_changes().commit_intended(next).await.unwrap();
    assert_eq!(one.refresh().await.unwrap().committed_together().len(), 2);
}
