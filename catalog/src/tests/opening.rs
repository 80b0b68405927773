use super::{ADMIN, Fixture, PASSWORD, admins_table, main_public, on_both, role, table};
use crate::authorize::Principal;
use crate::model::{BOOTSTRAP_ROLE_OID, FIRST_NORMAL_OID, ObjectRef, Privilege};
use crate::{Bootstrap, Catalog, CatalogError, CatalogOptions, Kek, KekFile};

on_both!(
    first_start_once,
    everything_is_found_again,
    wrong_kek_is_refused,
    newer_schema_is_refused,
    kek_rotation,
    oids_are_never_reused,
    two_gateways_share,
    generated_password_works
);

async fn first_start_once(fixture: Fixture) {
    let catalog = fixture.started().await;
    let snapshot = catalog.snapshot();
    let admin = snapshot.require_role("admin").unwrap();
    assert!(admin.oid == BOOTSTRAP_ROLE_OID && admin.superuser && admin.login);
    let main = snapshot.require_database("main").unwrap();
    let public = snapshot.require_schema(main.oid, "public").unwrap();
    assert!(main.oid >= FIRST_NORMAL_OID && snapshot.database_by_name("system").is_some());
    let bob = role(&catalog, "bob").await.oid;
    let snapshot = catalog.snapshot();
    let can = |object, privilege| crate::authorize::has_privilege(&snapshot, bob, object, privilege);
    assert!(can(ObjectRef::Schema(public.oid), Privilege::Usage) && !can(ObjectRef::Schema(public.oid), Privilege::Create));
    assert!(can(ObjectRef::Database(main.oid), Privilege::Connect) && can(ObjectRef::Database(main.oid), Privilege::Temporary));
    assert!(!can(ObjectRef::Database(main.oid), Privilege::Create));
    assert_eq!(snapshot.acl_texts(ObjectRef::Schema(public.oid)).unwrap(), ["admin=UC/admin", "=U/admin"]);
    assert!(!catalog.bootstrap(Bootstrap::default()).await.unwrap().first_start);
    assert_eq!(catalog.snapshot().version(), snapshot.version());
}

async fn generated_password_works(fixture: Fixture) {
    let catalog = fixture.open().await;
    let outcome = catalog.bootstrap(Bootstrap::default()).await.unwrap();
    let password = outcome.generated_password.unwrap();
    assert!(password.len() >= 20);
    assert_eq!(catalog.verify_password("admin", &password, None).await.unwrap().role(), BOOTSTRAP_ROLE_OID);
    assert!(catalog.verify_password("admin", PASSWORD, None).await.is_err());
}

async fn everything_is_found_again(fixture: Fixture) {
    let catalog = fixture.started().await;
    let made = admins_table(&catalog, "orders").await;
    let carol = role(&catalog, "carol").await;
    catalog.grant_membership(&ADMIN, carol.oid, BOOTSTRAP_ROLE_OID, true).await.unwrap();
    let before = catalog.snapshot();
    catalog.close().await;
    let again = fixture.open().await;
    let after = again.snapshot();
    assert_eq!(after.version(), before.version());
    assert_eq!(after.relation_by_oid(made.oid).unwrap(), &made);
    assert_eq!(after.roles().collect::<Vec<_>>(), before.roles().collect::<Vec<_>>());
    assert_eq!(after.memberships(), before.memberships());
    assert!(again.verify_password("admin", PASSWORD, None).await.is_ok());
    if let Some(path) = fixture.sqlite_path() {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut connection = again.store().reads().acquire().await.unwrap();
        for (pragma, value) in [("PRAGMA synchronous", 2), ("PRAGMA secure_delete", 1), ("PRAGMA foreign_keys", 1), ("PRAGMA mmap_size", 0)]
        {
            let found: Option<i64> = sqlx::query_scalar(pragma).fetch_optional(&mut *connection).await.unwrap();
            assert_eq!(found.unwrap_or(0), value, "{pragma}");
        }
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await.unwrap();
        assert_eq!(mode, "wal");
    }
}

async fn wrong_kek_is_refused(fixture: Fixture) {
    fixture.started().await.close().await;
    let wrong = CatalogOptions { kek: Kek::generate().unwrap(), ..fixture.options() };
    assert!(matches!(Catalog::open(wrong).await, Err(CatalogError::WrongKek)));
}

async fn newer_schema_is_refused(fixture: Fixture) {
    let catalog = fixture.started().await;
    let mut write = catalog.store().begin_write().await.unwrap();
    sqlx::query("INSERT INTO schema_migrations (version) VALUES (99)").execute(&mut *write).await.unwrap();
    write.commit().await.unwrap();
    catalog.close().await;
    let error = Catalog::open(fixture.options()).await.unwrap_err();
    assert!(error.to_string().contains("schema version 99"), "{error}");
}

async fn kek_rotation(fixture: Fixture) {
    let catalog = fixture.started().await;
    super::logs::log_one(&catalog, BOOTSTRAP_ROLE_OID, "admin", "SELECT 'before'").await;
    let new = Kek::generate().unwrap();
    let rotated = catalog.rotate_kek(new.clone()).await.unwrap();
    let keys: i64 = sqlx::query_scalar("SELECT count(*) FROM data_keys").fetch_one(catalog.store().reads()).await.unwrap();
    assert!(rotated > 1 && i64::try_from(rotated).unwrap() == keys, "{rotated} of {keys}");
    super::logs::log_one(&catalog, BOOTSTRAP_ROLE_OID, "admin", "SELECT 'after'").await;
    catalog.close().await;
    assert!(matches!(Catalog::open(fixture.options()).await, Err(CatalogError::WrongKek)));
    let again = Catalog::open(CatalogOptions { kek: new, ..fixture.options() }).await.unwrap();
    assert!(again.verify_password("admin", PASSWORD, None).await.is_ok());
    let texts = again.history(&ADMIN, crate::statement_log::HistoryFilter::default()).await.unwrap();
    assert_eq!(texts.len(), 2);
    assert!(texts.iter().all(|row| row.statement_text.is_some()));
}

async fn oids_are_never_reused(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (_, public) = main_public(&catalog);
    let first = admins_table(&catalog, "t").await;
    catalog.drop_relations(&ADMIN, &[first.oid]).await.unwrap();
    let reserved = catalog.reserve_oid().await.unwrap();
    catalog.close().await;
    let catalog = fixture.open().await;
    let second = admins_table(&catalog, "t").await;
    assert!(reserved > first.type_oid && second.oid > reserved);
    let with_reserved = crate::ddl::NewRelation { oid: Some(reserved), ..table(public, "r") };
    assert_eq!(catalog.create_relation(&ADMIN, with_reserved.clone()).await.unwrap().oid, reserved);
    let twice = crate::ddl::NewRelation { name: "r2".to_owned(), ..with_reserved };
    assert!(catalog.create_relation(&ADMIN, twice).await.is_err(), "a reserved OID serves once");
    let invented = crate::ddl::NewRelation { oid: Some(reserved + 1000), ..table(public, "r3") };
    assert!(catalog.create_relation(&ADMIN, invented).await.is_err(), "an OID that was never reserved");
}

async fn two_gateways_share(fixture: Fixture) {
    let one = fixture.started().await;
    let two = fixture.open().await;
    let made = admins_table(&one, "shared").await;
    assert!(two.snapshot().relation_by_oid(made.oid).is_none());
    assert!(two.refresh().await.unwrap().relation_by_oid(made.oid).is_some());
    // A change checks against what is stored, not against what the gateway last saw.
    let dave = role(&one, "dave").await;
    let options = crate::ddl::RoleOptions { superuser: Some(true), ..Default::default() };
    one.alter_role(&ADMIN, dave.oid, options, None).await.unwrap();
    let by_dave = two.drop_relations(&Principal::new(dave.oid), &[made.oid]).await;
    assert!(by_dave.is_ok(), "{by_dave:?}");
    assert!(one.refresh().await.unwrap().relation_by_oid(made.oid).is_none());
    // Changes of both at once all take place.
    let names: Vec<String> = (0..20).map(|n| format!("c{n}")).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for (n, name) in names.iter().cloned().enumerate() {
        let catalog = if n % 2 == 0 { one.clone() } else { two.clone() };
        tasks.spawn(async move { admins_table(&catalog, &name).await.oid });
    }
    let oids: std::collections::BTreeSet<u32> = tasks.join_all().await.into_iter().collect();
    assert_eq!(oids.len(), 20);
    let (one, two) = (one.refresh().await.unwrap(), two.refresh().await.unwrap());
    assert_eq!(one.version(), two.version());
    let (_, public) = { (0, one.require_schema(one.require_database("main").unwrap().oid, "public").unwrap().oid) };
    assert_eq!(one.relations_in_schema(public).count(), 20);
    assert_eq!(two.relations_in_schema(public).count(), 20);
}

#[tokio::test]
async fn bad_urls_are_refused() {
    for url in ["mysql://x", "sqlite://relative.db", "catalog.db", ""] {
        let options = CatalogOptions::new(url, Kek::generate().unwrap());
        assert!(matches!(Catalog::open(options).await, Err(CatalogError::Configuration { .. })), "{url}");
    }
}

#[tokio::test]
async fn kek_file_is_private_and_stable() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kek.key");
    let file = KekFile::plain(path.clone());
    let made = file.load_or_create().await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let again = file.load_or_create().await.unwrap();
    assert_eq!(*made.to_base64(), *again.to_base64());
    assert!(!format!("{made:?}").contains(&*made.to_base64()));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = file.load_or_create().await.unwrap_err().to_string();
    assert!(error.contains("0640") && error.contains("kek.key"), "{error}");
    assert!(Kek::from_base64("AAAA").is_err() && Kek::from_base64("not base64!").is_err());
}
