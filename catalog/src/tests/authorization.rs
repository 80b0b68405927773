use super::{ADMIN, Fixture, admins_table, in_main, main_public, on_both, role, table, view};
use crate::CatalogError;
use crate::authorize::{
    Access, Principal, file_access, normalise_url, open_table, open_view, visible_databases, visible_relations, visible_schemas,
};
use crate::ddl::{GrantObjects, GrantedPrivileges, NewRelation, RevokeSpec};
use crate::model::{ObjectRef, PUBLIC, Privilege, RelationName};

on_both!(tables, schema_usage_comes_first, views_run_as_their_owner, what_a_role_sees, external_locations, set_role);

async fn tables(fixture: Fixture) {
    let catalog = fixture.started().await;
    let ann = role(&catalog, "ann").await.oid;
    let t = admins_table(&catalog, "t").await;
    let me = Principal::new(ann);
    let open = |access: Access| open_table(&catalog.snapshot(), &me, &in_main("t"), access);
    assert_eq!(open(Access::SELECT).unwrap_err().to_string(), "permission denied for table t");
    super::grants::grant(&catalog, &ADMIN, ObjectRef::Relation(t.oid), &[Privilege::Select, Privilege::Update], ann).await.unwrap();
    let opened = open(Access::SELECT).unwrap();
    assert_eq!((opened.relation().oid, opened.name(), opened.access()), (t.oid, &in_main("t"), Access::SELECT));
    assert!(!opened.is_policed() && opened.visible_columns().is_none());
    let all = Access { select: true, insert: true, update: true, delete: true, truncate: true };
    for (access, allowed) in [
        (Access { update: true, select: true, ..Access::default() }, true),
        (Access { update: true, ..Access::default() }, true),
        (Access::default(), true),
        (Access::INSERT, false),
        (Access { delete: true, ..Access::default() }, false),
        (Access { truncate: true, ..Access::default() }, false),
        (all, false),
    ] {
        assert_eq!(open(access).is_ok(), allowed, "{access:?}");
    }
    assert!(open_table(&catalog.snapshot(), &ADMIN, &in_main("t"), all).is_ok());
    let missing = open_table(&catalog.snapshot(), &me, &in_main("none"), Access::SELECT).unwrap_err();
    assert_eq!(missing.to_string(), "relation \"public.none\" does not exist");
    let nobody = Principal::new(77_777);
    assert!(open_table(&catalog.snapshot(), &nobody, &in_main("t"), Access::SELECT).is_err(), "a role that is gone");
    super::grants::grant(&catalog, &ADMIN, ObjectRef::Relation(t.oid), &[Privilege::Select], PUBLIC).await.unwrap();
    assert!(open_table(&catalog.snapshot(), &nobody, &in_main("t"), Access::SELECT).is_err());
    catalog.drop_relations(&ADMIN, &[t.oid]).await.unwrap();
    assert!(open(Access::SELECT).is_err());
}

async fn schema_usage_comes_first(fixture: Fixture) {
    let catalog = fixture.started().await;
    let ann = role(&catalog, "ann").await.oid;
    let (main, _) = main_public(&catalog);
    let schema = catalog.create_schema(&ADMIN, main, "secret", None).await.unwrap();
    let t = catalog.create_relation(&ADMIN, table(schema.oid, "t")).await.unwrap();
    super::grants::grant(&catalog, &ADMIN, ObjectRef::Relation(t.oid), &[Privilege::Select], ann).await.unwrap();
    let name = |name: &str| RelationName { database: "main".to_owned(), schema: "secret".to_owned(), name: name.to_owned() };
    let me = Principal::new(ann);
    for relation in ["t", "not_there"] {
        let error = open_table(&catalog.snapshot(), &me, &name(relation), Access::SELECT).unwrap_err();
        assert_eq!(error.to_string(), "permission denied for schema secret");
    }
    super::grants::grant(&catalog, &ADMIN, ObjectRef::Schema(schema.oid), &[Privilege::Usage], ann).await.unwrap();
    assert!(open_table(&catalog.snapshot(), &me, &name("t"), Access::SELECT).is_ok());
}

async fn views_run_as_their_owner(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (ann, bob) = (role(&catalog, "ann").await.oid, role(&catalog, "bob").await.oid);
    let (_, public) = main_public(&catalog);
    admins_table(&catalog, "t").await;
    super::grants::grant(&catalog, &ADMIN, ObjectRef::Schema(public), &[Privilege::Create], bob).await.unwrap();
    let v = catalog.create_relation(&Principal::new(bob), view(public, "v")).await.unwrap();
    let (me, snapshot) = (Principal::new(ann), catalog.snapshot());
    assert_eq!(open_view(&snapshot, &me, &in_main("v")).unwrap_err().to_string(), "permission denied for view v");
    super::grants::grant(&catalog, &Principal::new(bob), ObjectRef::Relation(v.oid), &[Privilege::Select], ann).await.unwrap();
    let snapshot = catalog.snapshot();
    let opened = open_view(&snapshot, &me, &in_main("v")).unwrap();
    assert_eq!(opened.runs_as(), Some(bob));
    let inside = open_table(&snapshot, &Principal::for_owner(bob), &in_main("t"), Access::SELECT).unwrap_err();
    assert_eq!(inside.to_string(), "permission denied for table t", "bob has no privilege on what his view reads");
    assert!(matches!(open_view(&snapshot, &ADMIN, &in_main("t")), Err(CatalogError::WrongObjectType { .. })));
    assert!(matches!(open_table(&snapshot, &ADMIN, &in_main("v"), Access::SELECT), Err(CatalogError::WrongObjectType { .. })));
}

async fn what_a_role_sees(fixture: Fixture) {
    let catalog = fixture.started().await;
    let ann = role(&catalog, "ann").await.oid;
    let (main, public) = main_public(&catalog);
    let hidden = catalog.create_schema(&ADMIN, main, "hidden", None).await.unwrap();
    let (t, _) = (admins_table(&catalog, "t").await, admins_table(&catalog, "u").await);
    super::grants::grant(&catalog, &ADMIN, ObjectRef::Relation(t.oid), &[Privilege::Insert], ann).await.unwrap();
    let in_hidden = catalog.create_relation(&ADMIN, table(hidden.oid, "h")).await.unwrap();
    super::grants::grant(&catalog, &ADMIN, ObjectRef::Relation(in_hidden.oid), &[Privilege::Select], ann).await.unwrap();
    let private = catalog.create_database(&ADMIN, "private", None).await.unwrap();
    let revoke = RevokeSpec {
        objects: GrantObjects::These(vec![ObjectRef::Database(private.oid)]),
        privileges: GrantedPrivileges::of(&[Privilege::Connect, Privilege::Temporary]),
        grantees: vec![PUBLIC],
        only_grant_option: false,
        cascade: false,
    };
    catalog.revoke(&ADMIN, revoke).await.unwrap();
    let snapshot = catalog.snapshot();
    let names = |relations: Vec<String>| relations;
    let tables = |role| names(visible_relations(&snapshot, role, public).map(|relation| relation.name.clone()).collect());
    assert_eq!(tables(ann), ["t"]);
    assert_eq!(tables(ADMIN.current_role), ["t", "u"]);
    assert_eq!(visible_relations(&snapshot, ann, hidden.oid).count(), 0);
    assert_eq!(visible_schemas(&snapshot, ann, main).map(|schema| schema.name.as_str()).collect::<Vec<_>>(), ["public"]);
    let databases = |role| names(visible_databases(&snapshot, role).map(|database| database.name.clone()).collect());
    assert_eq!(databases(ann), ["main", "system"]);
    assert_eq!(databases(ADMIN.current_role), ["main", "system", "private"]);
}

async fn external_locations(fixture: Fixture) {
    let catalog = fixture.started().await;
    let ann = role(&catalog, "ann").await.oid;
    let me = Principal::new(ann);
    let refused = catalog.create_external_location(&me, "lake", "s3://lake/raw").await.unwrap_err();
    assert_eq!(refused.to_string(), "must be superuser to create external locations");
    let lake = catalog.create_external_location(&ADMIN, "lake", "s3://lake/raw").await.unwrap();
    assert_eq!(lake.url, "s3://lake/raw/");
    for (name, url) in [
        ("lake", "s3://other/"),
        ("inner", "s3://lake/raw/inner/"),
        ("outer", "s3://lake/"),
        ("same", "s3://lake/raw"),
        ("own", "file:///srv/lakegate/warehouse/"),
        ("over", "file:///srv"),
        ("root", "file:///"),
        ("http", "http://lake/raw"),
    ] {
        assert!(catalog.create_external_location(&ADMIN, name, url).await.is_err(), "{name} {url}");
    }
    let read = |who: &Principal, url: &str| file_access(&catalog.snapshot(), who, url, Privilege::ReadFiles);
    assert!(read(&me, "s3://lake/raw/a.parquet").is_err(), "not granted");
    super::grants::grant(&catalog, &ADMIN, ObjectRef::ExternalLocation(lake.oid), &[Privilege::ReadFiles], ann).await.unwrap();
    let access = read(&me, "s3://lake/raw/a.parquet").unwrap();
    assert_eq!((access.url().as_str(), access.location().oid), ("s3://lake/raw/a.parquet", lake.oid));
    assert!(read(&me, "s3://lake/raw").is_ok() && read(&me, "s3://lake/raw/").is_ok());
    assert!(file_access(&catalog.snapshot(), &me, "s3://lake/raw/a.parquet", Privilege::WriteFiles).is_err());
    for outside in ["s3://lake/rawer/a", "s3://lake/", "s3://lake/raw/../x", "s3://other/raw/a", "/etc/passwd", "file:///etc/passwd"] {
        assert!(read(&me, outside).is_err() && read(&ADMIN, outside).is_err(), "{outside}");
    }
    let (_, public) = main_public(&catalog);
    let external =
        NewRelation { kind: crate::model::RelationKind::ExternalTable, location: "s3://lake/raw/t/".to_owned(), ..table(public, "t") };
    let t = catalog.create_relation(&ADMIN, external).await.unwrap();
    let error = catalog.drop_external_location(&ADMIN, lake.oid).await.unwrap_err();
    assert_eq!(error.detail().unwrap(), "table public.t depends on external location lake");
    catalog.drop_relations(&ADMIN, &[t.oid]).await.unwrap();
    assert!(catalog.drop_external_location(&me, lake.oid).await.is_err());
    catalog.drop_external_location(&ADMIN, lake.oid).await.unwrap();
    assert!(read(&ADMIN, "s3://lake/raw/a.parquet").is_err());
}

async fn set_role(fixture: Fixture) {
    let catalog = fixture.started().await;
    let ann = role(&catalog, "ann").await.oid;
    admins_table(&catalog, "t").await;
    let lowered = Principal { session_role: ADMIN.session_role, current_role: ann };
    assert!(open_table(&catalog.snapshot(), &lowered, &in_main("t"), Access::SELECT).is_err(), "SET ROLE gives privileges up");
    assert!(catalog.create_database(&lowered, "x", None).await.is_err());
}

#[test]
fn urls_have_one_form() {
    for (url, normal) in [
        ("s3://bucket", "s3://bucket/"),
        ("S3://bucket/a/b.parquet", "s3://bucket/a/b.parquet"),
        ("file:///a/b/", "file:///a/b/"),
        ("FILE:///a", "file:///a"),
        ("/a/b c/é.csv", "file:///a/b c/é.csv"),
        ("s3://bucket/d=2020-01-01%2000%3A00/x", "s3://bucket/d=2020-01-01%2000%3A00/x"),
        ("s3://bucket/a..b/...c", "s3://bucket/a..b/...c"),
    ] {
        assert_eq!(normalise_url(url).unwrap().as_str(), normal, "{url}");
    }
    let refused = [
        "",
        "a/b",
        "./a",
        "../a",
        "/a/../b",
        "/a/./b",
        "/a//b",
        "//a",
        "/a/..",
        "/..",
        "/a/%2e%2e/b",
        "/a/%2E./b",
        "/a%2fb",
        "/a%5Cb",
        "/a%00b",
        "/a%252e%252e/b",
        "/a/%",
        "/a/%2",
        "/a/%zz",
        "/a\\b",
        "/a\0b",
        "/a\nb",
        "/a?x",
        "/a#x",
        "http://a/b",
        "https://a/b",
        "file://host/a",
        "file:a",
        "file:/a",
        "s3:/bucket/a",
        "s3:bucket",
        "s3:///a",
        "s3://user@bucket/a",
        "s3://bucket:80/a",
        "s3://BUCKET/a",
        "s3://buc%6bet/a",
        "s3a://bucket/a",
        "s3://a..b/c",
        "gs://bucket/a",
        "memory:///a",
        "data:x",
        "javascript:/x",
        "s3://bucket//",
        "s3://bucket//a",
    ];
    for url in refused {
        assert!(normalise_url(url).is_err(), "{url}");
    }
    assert!(normalise_url(&format!("/{}", "a".repeat(5000))).is_err());
    assert_eq!(normalise_url("/a%20b").unwrap().local_path().unwrap(), std::path::Path::new("/a b"));
}
