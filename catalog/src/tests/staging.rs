//! Changes that one transaction has staged, and what others do meanwhile.

use std::time::Duration;

use uuid::Uuid;

use super::{ADMIN, Fixture, admins_table, in_main, main_public, on_both, role, table, view};
use crate::CatalogError;
use crate::ddl::{CommentOn, NewRelation, RelationUpdate};
use crate::intents::IntendedCommit;
use crate::model::{ObjectRef, Privilege, VIEW_DEPENDS_ON};

on_both!(staged_until_commit, marks, conflicts, views_keep_what_they_read, numbers_are_given_once, intents);

async fn staged_until_commit(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (main, public) = main_public(&catalog);
    let t = admins_table(&catalog, "t").await;
    let mine = catalog.begin_changes();
    assert_eq!(mine.snapshot().version(), catalog.snapshot().version());
    let schema = mine.create_schema(&ADMIN, main, "s", None).await.unwrap();
    mine.create_relation(&ADMIN, table(schema.oid, "inner")).await.unwrap();
    mine.rename_relation(&ADMIN, t.oid, "renamed").await.unwrap();
    mine.create_relation(&ADMIN, table(public, "t")).await.unwrap();
    let ann = role(&mine, "ann").await;
    super::grants::grant(&mine, &ADMIN, ObjectRef::Relation(t.oid), &[Privilege::Select], ann.oid).await.unwrap();
    let seen = mine.snapshot();
    assert!(seen.relation_by_name(&in_main("renamed")).is_some_and(|found| found.oid == t.oid));
    assert!(seen.relation_by_name(&in_main("t")).is_some_and(|found| found.oid != t.oid));
    // Others see none of it, and what they do is seen.
    assert!(catalog.snapshot().relation_by_name(&in_main("renamed")).is_none() && catalog.snapshot().role_by_name("ann").is_none());
    admins_table(&catalog, "others").await;
    let later = mine.refresh().await.unwrap();
    assert!(later.relation_by_name(&in_main("others")).is_some() && later.relation_by_name(&in_main("renamed")).is_some());
    assert_ne!(later.version(), seen.version());
    mine.commit_changes().await.unwrap();
    let again = fixture.open().await;
    for snapshot in [catalog.snapshot(), again.snapshot()] {
        assert_eq!(snapshot.relations().count(), 4);
        assert!(snapshot.relation_by_name(&in_main("renamed")).is_some());
        assert_eq!(snapshot.stored_acl(ObjectRef::Relation(t.oid)), later.stored_acl(ObjectRef::Relation(t.oid)));
        assert!(snapshot.role_by_name("ann").is_some());
    }
}

async fn marks(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (_, public) = main_public(&catalog);
    let mine = catalog.begin_changes();
    mine.create_relation(&ADMIN, table(public, "kept")).await.unwrap();
    let mark = mine.staged_changes();
    let version = mine.snapshot().version();
    mine.create_relation(&ADMIN, table(public, "dropped")).await.unwrap();
    mine.roll_back_changes_to(mark);
    assert!(mine.snapshot().relation_by_name(&in_main("dropped")).is_none());
    assert_ne!(mine.snapshot().version(), version, "no plan of before is taken for one of now");
    mine.create_relation(&ADMIN, table(public, "dropped")).await.unwrap();
    mine.roll_back_changes_to(0);
    assert_eq!(mine.snapshot().version(), catalog.snapshot().version());
    mine.commit_changes().await.unwrap();
    assert_eq!(catalog.snapshot().relations().count(), 0);
}

async fn conflicts(fixture: Fixture) {
    let catalog = fixture.started().await;
    let other = fixture.open().await;
    let (main, public) = main_public(&catalog);
    let t = admins_table(&catalog, "t").await;
    let ann = role(&catalog, "ann").await;
    other.refresh().await.unwrap();
    let comment = |text: &str| Some(text.to_owned());

    let name = catalog.begin_changes();
    name.create_relation(&ADMIN, table(public, "x")).await.unwrap();
    other.create_relation(&ADMIN, table(public, "x")).await.unwrap();
    assert!(matches!(name.refresh().await, Err(CatalogError::Duplicate { .. })));
    assert!(matches!(name.commit_changes().await, Err(CatalogError::Duplicate { .. })));

    let object = catalog.begin_changes();
    object.set_comment(&ADMIN, CommentOn::Relation(t.oid), comment("mine")).await.unwrap();
    other.set_comment(&ADMIN, CommentOn::Relation(t.oid), comment("theirs")).await.unwrap();
    assert!(matches!(object.commit_changes().await, Err(CatalogError::Conflict)));

    let schema = catalog.create_schema(&ADMIN, main, "s", None).await.unwrap();
    let inside = catalog.begin_changes();
    inside.create_relation(&ADMIN, table(schema.oid, "y")).await.unwrap();
    other.drop_schema(&ADMIN, schema.oid, false).await.unwrap();
    assert!(matches!(inside.commit_changes().await, Err(CatalogError::Conflict)));

    let schema = catalog.create_schema(&ADMIN, main, "s", None).await.unwrap();
    let around = catalog.begin_changes();
    around.drop_schema(&ADMIN, schema.oid, false).await.unwrap();
    other.create_relation(&ADMIN, table(schema.oid, "y")).await.unwrap();
    assert!(matches!(around.commit_changes().await, Err(CatalogError::Conflict)));

    let owner = catalog.begin_changes();
    owner.drop_roles(&ADMIN, &[ann.oid]).await.unwrap();
    super::grants::grant(&other, &ADMIN, ObjectRef::Relation(t.oid), &[Privilege::Select], ann.oid).await.unwrap();
    assert!(matches!(owner.commit_changes().await, Err(CatalogError::Conflict)));

    let fresh = fixture.open().await.snapshot();
    assert_eq!(fresh.relation_by_oid(t.oid).unwrap().comment.as_deref(), Some("theirs"));
    assert!(fresh.role(ann.oid).is_some() && fresh.schema_by_oid(schema.oid).is_some());
}

async fn views_keep_what_they_read(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (_, public) = main_public(&catalog);
    let t = admins_table(&catalog, "t").await;
    let over = |name: &str| NewRelation { properties: [(VIEW_DEPENDS_ON.to_owned(), t.oid.to_string())].into(), ..view(public, name) };
    let dropping = catalog.begin_changes();
    dropping.drop_relations(&ADMIN, &[t.oid]).await.unwrap();
    let making = catalog.begin_changes();
    making.create_relation(&ADMIN, over("v")).await.unwrap();
    making.commit_changes().await.unwrap();
    assert!(matches!(dropping.commit_changes().await, Err(CatalogError::Conflict)));
    let late = catalog.begin_changes();
    late.create_relation(&ADMIN, over("w")).await.unwrap();
    let v = catalog.snapshot().relation_by_name(&in_main("v")).unwrap().oid;
    catalog.drop_relations(&ADMIN, &[v, t.oid]).await.unwrap();
    assert!(matches!(late.commit_changes().await, Err(CatalogError::Conflict)));
}

async fn numbers_are_given_once(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (_, public) = main_public(&catalog);
    let (one, two) = (catalog.begin_changes(), catalog.begin_changes());
    let mut oids = Vec::new();
    for number in 0..3 {
        for (name, handle) in [("one", &one), ("two", &two), ("direct", &catalog)] {
            let made = handle.create_relation(&ADMIN, table(public, &format!("{name}{number}"))).await.unwrap();
            oids.extend([made.oid, made.type_oid]);
        }
    }
    drop(one);
    let added = vec![RelationUpdate::AddConstraint(crate::ddl::NewConstraint {
        name: None,
        kind: crate::model::ConstraintKind::PrimaryKey(vec!["a".to_owned()]),
    })];
    let changed = two.update_relation(&ADMIN, *oids.last().unwrap() - 1, added).await.unwrap();
    oids.push(changed.constraints[0].oid);
    two.commit_changes().await.unwrap();
    let given = oids.len();
    oids.sort_unstable();
    oids.dedup();
    assert_eq!(oids.len(), given);
}

async fn intents(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (_, public) = main_public(&catalog);
    let commits = |version| vec![IntendedCommit { location: "s3://bucket/t/".to_owned(), version, commit_id: "the commit".to_owned() }];
    // Decided: with the changes, the record is gone.
    let (mine, id) = (catalog.begin_changes(), Uuid::new_v4());
    mine.create_relation(&ADMIN, table(public, "t")).await.unwrap();
    catalog.record_intent(id, &commits(1)).await.unwrap();
    catalog.record_intent(id, &commits(2)).await.unwrap();
    assert!(catalog.refresh().await.unwrap().is_intended("s3://bucket/t/"));
    assert!(catalog.take_over_intents(Duration::from_secs(3_600)).await.unwrap().is_empty());
    mine.commit_intended(id).await.unwrap();
    let snapshot = catalog.refresh().await.unwrap();
    assert!(snapshot.relation_by_name(&in_main("t")).is_some() && !snapshot.is_intended("s3://bucket/t/"));
    assert!(catalog.settle_intent(id).await.unwrap(), "it stands");
    // Given up: nothing of it can be decided any more.
    let (mine, id) = (catalog.begin_changes(), Uuid::new_v4());
    mine.create_relation(&ADMIN, table(public, "u")).await.unwrap();
    catalog.record_intent(id, &commits(3)).await.unwrap();
    let found = fixture.open().await.take_over_intents(Duration::ZERO).await.unwrap();
    assert_eq!(found.iter().map(|intent| (intent.id, intent.commits.clone())).collect::<Vec<_>>(), [(id, commits(3))]);
    assert!(matches!(catalog.record_intent(id, &commits(4)).await, Err(CatalogError::Conflict)));
    assert!(matches!(mine.commit_intended(id).await, Err(CatalogError::Conflict)));
    assert!(!catalog.settle_intent(id).await.unwrap());
    assert!(catalog.refresh().await.unwrap().relation_by_name(&in_main("u")).is_none());
    catalog.forget_intent(id).await.unwrap();
    assert!(catalog.take_over_intents(Duration::ZERO).await.unwrap().is_empty());
}
