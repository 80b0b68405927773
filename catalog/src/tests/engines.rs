//! Engines that join, are heard of, are replaced and leave.

use chrono::Utc;
use uuid::Uuid;

use super::{Fixture, on_both};
use crate::engines::{CacheLoad, EngineFacts, EngineLoad, Standing};
use crate::model::DEFAULT_WAREHOUSE_OID;

on_both!(a_newer_process_replaces_the_older);

async fn a_newer_process_replaces_the_older(fixture: Fixture) {
    let (one, two) = (fixture.started().await, fixture.open().await);
    let facts = EngineFacts {
        labels: [("zone".to_owned(), "a".to_owned())].into(),
        cores: 4,
        memory_limit_bytes: 1 << 30,
        version: "1".to_owned(),
        protocol: 1,
        started: Utc::now(),
    };
    let (first, second) = (Uuid::new_v4(), Uuid::new_v4());
    let load =
        EngineLoad { running: 3, caches: vec![CacheLoad { name: "footers".to_owned(), ..CacheLoad::default() }], ..EngineLoad::default() };
    assert_eq!(one.engine_beats("e", first, &load).await.unwrap(), Standing::Unknown);
    one.register_engine("e", first, "h:1", DEFAULT_WAREHOUSE_OID, &facts).await.unwrap();
    assert_eq!(two.engine_beats("e", first, &load).await.unwrap(), Standing::Member);
    let listed = two.engines().await.unwrap();
    assert_eq!((listed[0].instance, listed[0].beats, &listed[0].load, &listed[0].facts.labels), (first, 2, &load, &facts.labels));

    two.register_engine("e", second, "h:2", DEFAULT_WAREHOUSE_OID, &facts).await.unwrap();
    assert_eq!(one.engine_beats("e", first, &load).await.unwrap(), Standing::Replaced);
    one.engine_leaves("e", first).await.unwrap();
    let listed = one.engines().await.unwrap();
    assert_eq!((listed.len(), listed[0].instance, listed[0].address.as_str()), (1, second, "h:2"), "a zombie takes nobody along");
    assert!(listed[0].beats > 2, "beats go on counting");
    one.engine_leaves("e", second).await.unwrap();
    assert!(two.engines().await.unwrap().is_empty());
}
