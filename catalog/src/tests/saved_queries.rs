//! Saved queries: versions, owners, and with whom they are shared.

use uuid::Uuid;

use super::{ADMIN, Fixture, main_public, on_both, role};
use crate::CatalogError;
use crate::authorize::Principal;

on_both!(versions_count_up, others_see_what_is_shared, savers_of_one_name_wait_for_each_other);

async fn versions_count_up(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (database, _) = main_public(&catalog);
    let texts = [Uuid::now_v7(), Uuid::now_v7()];
    for (version, text) in (1..).zip(texts) {
        catalog.check_saving(&ADMIN, database, "q").await.unwrap();
        assert_eq!(catalog.save_query(&ADMIN, "admin", database, "q", text).await.unwrap(), version);
    }
    let saved = catalog.saved_query(&ADMIN, database, "q").await.unwrap();
    assert_eq!(saved.version(None).unwrap().text_id, texts[1]);
    assert_eq!(saved.version(Some(1)).unwrap().text_id, texts[0]);
    assert!(matches!(saved.version(Some(3)), Err(CatalogError::InvalidParameter { .. })));
    assert_eq!(catalog.drop_saved_query(&ADMIN, database, "q").await.unwrap(), texts);
    assert!(matches!(catalog.saved_query(&ADMIN, database, "q").await, Err(CatalogError::Undefined { .. })));
    // Of the same name, and another query.
    assert_eq!(catalog.save_query(&ADMIN, "admin", database, "q", texts[0]).await.unwrap(), 1);
}

async fn others_see_what_is_shared(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (database, _) = main_public(&catalog);
    let (owner, other) = (role(&catalog, "owner").await.oid, role(&catalog, "other").await.oid);
    let (owner, other) = (Principal::new(owner), Principal::new(other));
    catalog.save_query(&owner, "owner", database, "q", Uuid::now_v7()).await.unwrap();
    assert!(matches!(catalog.saved_query(&other, database, "q").await, Err(CatalogError::Undefined { .. })));
    assert!(matches!(catalog.share_query(&other, database, "q", "other", true).await, Err(CatalogError::Undefined { .. })));
    catalog.share_query(&owner, database, "q", "other", true).await.unwrap();
    catalog.share_query(&owner, database, "q", "other", true).await.unwrap();
    assert_eq!(catalog.saved_queries(&other).await.unwrap().len(), 1);
    // To run is not to change.
    assert!(matches!(catalog.save_query(&other, "other", database, "q", Uuid::now_v7()).await, Err(CatalogError::MustBeOwner { .. })));
    assert!(matches!(catalog.drop_saved_query(&other, database, "q").await, Err(CatalogError::MustBeOwner { .. })));
    assert_eq!(catalog.saved_query(&owner, database, "q").await.unwrap().versions.len(), 1, "the refused version is none");
    assert!(matches!(catalog.share_query(&owner, database, "q", "nobody", true).await, Err(CatalogError::Undefined { .. })));
    catalog.share_query(&owner, database, "q", "other", false).await.unwrap();
    assert!(catalog.saved_queries(&other).await.unwrap().is_empty());
    assert_eq!(catalog.saved_queries(&ADMIN).await.unwrap().len(), 1);
}

async fn savers_of_one_name_wait_for_each_other(fixture: Fixture) {
    let (one, two) = (fixture.started().await, fixture.open().await);
    let (database, _) = main_public(&one);
    let save = |catalog: crate::Catalog| async move {
        let mut versions = Vec::new();
        for _ in 0..10 {
            versions.push(catalog.save_query(&ADMIN, "admin", database, "q", Uuid::now_v7()).await.unwrap());
        }
        versions
    };
    let (of_one, of_two) = tokio::join!(save(one.clone()), save(two));
    let mut all = [of_one, of_two].concat();
    all.sort_unstable();
    assert_eq!(all, (1..=20).collect::<Vec<u64>>());
    assert_eq!(one.saved_query(&ADMIN, database, "q").await.unwrap().versions.len(), 20);
}
