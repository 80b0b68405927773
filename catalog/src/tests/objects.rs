use std::collections::BTreeMap;

use super::{ADMIN, Fixture, admins_table, column, main_public, on_both, role, table, view};
use crate::CatalogError;
use crate::authorize::Principal;
use crate::ddl::{CommentOn, NewConstraint, NewRelation, RelationUpdate, RoleOptions};
use crate::model::{ConstraintKind, ObjectRef, PgType, Privilege, RelationKind};

on_both!(
    databases,
    schemas,
    tables,
    alter_table,
    constraints,
    views,
    ownership,
    comments,
    locations_belong_to_one_table,
    refused_changes_leave_no_trace,
    cancelled_changes_are_whole
);

async fn databases(fixture: Fixture) {
    let catalog = fixture.started().await;
    let ann = role(&catalog, "ann").await;
    let me = Principal::new(ann.oid);
    let refused = catalog.create_database(&me, "sales", None).await.unwrap_err();
    assert_eq!(refused.to_string(), "permission denied to create database");
    catalog.alter_role(&ADMIN, ann.oid, RoleOptions { create_db: Some(true), ..Default::default() }, None).await.unwrap();
    let sales = catalog.create_database(&me, "sales", None).await.unwrap();
    let refused = catalog.create_database(&me, "other", Some(ADMIN.current_role)).await.unwrap_err();
    assert_eq!(refused.to_string(), "must be member of role \"admin\"");
    assert!(matches!(catalog.create_database(&ADMIN, "sales", None).await, Err(CatalogError::Duplicate { .. })));
    let public = catalog.snapshot().require_schema(sales.oid, "public").unwrap().oid;
    let t = catalog.create_relation(&me, table(public, "t")).await.unwrap();
    let error = catalog.drop_database(&me, sales.oid, false).await.unwrap_err();
    assert_eq!(error.detail().unwrap(), "table public.t");
    catalog.rename_database(&me, sales.oid, "verkauf").await.unwrap();
    assert!(catalog.snapshot().database_by_name("sales").is_none());
    let gone = catalog.drop_database(&me, sales.oid, true).await.unwrap();
    assert_eq!(gone, [t]);
    let snapshot = catalog.snapshot();
    assert!(snapshot.database(sales.oid).is_none() && snapshot.schema_by_oid(public).is_none());
    let system = snapshot.require_database("system").unwrap().oid;
    assert!(catalog.drop_database(&ADMIN, system, true).await.is_err());
    assert!(catalog.create_schema(&ADMIN, system, "mine", None).await.is_err());
    let main = snapshot.require_database("main").unwrap().oid;
    assert_eq!(catalog.drop_database(&me, main, false).await.unwrap_err().to_string(), "must be owner of database main");
}

async fn schemas(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (main, public) = main_public(&catalog);
    let ann = role(&catalog, "ann").await.oid;
    let me = Principal::new(ann);
    let refused = catalog.create_schema(&me, main, "s", None).await.unwrap_err();
    assert_eq!(refused.to_string(), "permission denied for database main");
    super::grants::grant(&catalog, &ADMIN, ObjectRef::Database(main), &[Privilege::Create], ann).await.unwrap();
    let s = catalog.create_schema(&me, main, "s", None).await.unwrap();
    assert!(matches!(catalog.create_schema(&me, main, "s", None).await, Err(CatalogError::Duplicate { .. })));
    for (reserved, message) in [
        ("pg_s", "unacceptable schema name \"pg_s\""),
        ("information_schema", "schema \"information_schema\" already exists"),
        ("pg_catalog", "schema \"pg_catalog\" already exists"),
    ] {
        assert_eq!(catalog.create_schema(&ADMIN, main, reserved, None).await.unwrap_err().to_string(), message);
    }
    let t = catalog.create_relation(&me, table(s.oid, "t")).await.unwrap();
    let error = catalog.drop_schema(&me, s.oid, false).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot drop schema s because other objects depend on it");
    assert_eq!(error.detail().unwrap(), "table s.t depends on schema s");
    assert_eq!(catalog.drop_schema(&me, public, true).await.unwrap_err().to_string(), "must be owner of schema public");
    catalog.rename_schema(&me, s.oid, "s2").await.unwrap();
    let snapshot = catalog.snapshot();
    assert_eq!(snapshot.name_of(&t).unwrap().to_string(), "main.s2.t");
    assert_eq!(catalog.drop_schema(&me, s.oid, true).await.unwrap(), [t]);
}

async fn tables(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (main, public) = main_public(&catalog);
    let ann = role(&catalog, "ann").await.oid;
    let me = Principal::new(ann);
    let refused = catalog.create_relation(&me, table(public, "t")).await.unwrap_err();
    assert_eq!(refused.to_string(), "permission denied for schema public");
    let new = NewRelation {
        partition_columns: vec!["b".to_owned()],
        comment: Some("what 'it' is".to_owned()),
        properties: BTreeMap::from([("delta.appendOnly".to_owned(), "true".to_owned())]),
        ..table(public, "Tab le")
    };
    let t = catalog.create_relation(&ADMIN, new.clone()).await.unwrap();
    assert!(t.type_oid != t.oid && t.columns == new.columns && t.properties == new.properties && t.owner == ADMIN.current_role);
    assert_eq!(catalog.snapshot().relation_by_type(t.type_oid).unwrap().oid, t.oid);
    let again = catalog.create_relation(&ADMIN, table(public, "Tab le")).await.unwrap_err();
    assert_eq!(again.to_string(), "relation \"Tab le\" already exists");
    let twice = NewRelation { columns: vec![column("a"), column("a")], ..table(public, "x") };
    assert_eq!(catalog.create_relation(&ADMIN, twice).await.unwrap_err().to_string(), "column \"a\" specified more than once");
    let unknown = NewRelation { partition_columns: vec!["zz".to_owned()], ..table(public, "x") };
    let error = catalog.create_relation(&ADMIN, unknown).await.unwrap_err();
    assert_eq!(error.to_string(), "column \"zz\" of relation \"x\" does not exist");
    catalog.rename_relation(&ADMIN, t.oid, "t").await.unwrap();
    let s = catalog.create_schema(&ADMIN, main, "s", None).await.unwrap();
    let moved = catalog.set_relation_schema(&ADMIN, t.oid, s.oid).await.unwrap();
    assert_eq!((moved.schema, catalog.snapshot().relation(public, "t")), (s.oid, None));
    assert_eq!(catalog.drop_relations(&me, &[t.oid]).await.unwrap_err().to_string(), "must be owner of table t");
    let other = admins_table(&catalog, "other").await;
    assert!(catalog.drop_relations(&ADMIN, &[other.oid, 99_999]).await.is_err());
    assert!(catalog.snapshot().relation_by_oid(other.oid).is_some(), "all or none");
    assert_eq!(catalog.drop_relations(&ADMIN, &[t.oid, other.oid]).await.unwrap().len(), 2);
    assert_eq!(catalog.snapshot().relations().count(), 0);
}

async fn alter_table(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (_, public) = main_public(&catalog);
    let new = NewRelation {
        partition_columns: vec!["b".to_owned()],
        constraints: vec![NewConstraint { name: None, kind: ConstraintKind::PrimaryKey(vec!["a".to_owned(), "b".to_owned()]) }],
        ..table(public, "t")
    };
    let t = catalog.create_relation(&ADMIN, new).await.unwrap().oid;
    let update = |updates: Vec<RelationUpdate>| catalog.update_relation(&ADMIN, t, updates);
    let changed = update(vec![
        RelationUpdate::AddColumns(vec![column("c")]),
        RelationUpdate::RenameColumn { from: "b".to_owned(), to: "day".to_owned() },
        RelationUpdate::SetNotNull { column: "c".to_owned(), not_null: true },
        RelationUpdate::SetDefault { column: "c".to_owned(), default: Some("1".to_owned()) },
        RelationUpdate::SetProperties(BTreeMap::from([("k".to_owned(), Some("v".to_owned())), ("gone".to_owned(), None)])),
    ])
    .await
    .unwrap();
    let names: Vec<&str> = changed.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["a", "day", "c"]);
    assert_eq!(changed.partition_columns, ["day"]);
    assert_eq!(changed.constraints[0].kind, ConstraintKind::PrimaryKey(vec!["a".to_owned(), "day".to_owned()]));
    assert!(changed.columns[2].not_null && changed.columns[2].default.is_some() && changed.properties.len() == 1);
    let error = update(vec![RelationUpdate::AddColumns(vec![column("a")])]).await.unwrap_err();
    assert_eq!(error.to_string(), "column \"a\" of relation \"t\" already exists");
    assert!(update(vec![RelationUpdate::DropColumn { name: "day".to_owned() }]).await.is_err(), "partition column");
    let dropped = update(vec![RelationUpdate::DropColumn { name: "a".to_owned() }]).await.unwrap();
    assert!(dropped.constraints.is_empty() && dropped.columns.len() == 2);
    let refreshed = catalog.refresh_columns(t, vec![column("day"), column("c"), column("new")], vec!["day".to_owned()]).await.unwrap();
    assert!(refreshed.columns.len() == 3 && refreshed.columns[1].default.as_deref() == Some("1"));
}

async fn constraints(fixture: Fixture) {
    let catalog = fixture.started().await;
    let t = admins_table(&catalog, "t").await.oid;
    let add =
        |kind: ConstraintKind, name: Option<&str>| RelationUpdate::AddConstraint(NewConstraint { name: name.map(str::to_owned), kind });
    let a = || vec!["a".to_owned()];
    let check = || ConstraintKind::Check("a > 0".to_owned());
    let updates = vec![
        add(ConstraintKind::PrimaryKey(a()), None),
        add(ConstraintKind::Unique(vec!["a".to_owned(), "b".to_owned()]), None),
        add(check(), None),
        add(check(), None),
        add(check(), Some("positive")),
    ];
    let changed = catalog.update_relation(&ADMIN, t, updates).await.unwrap();
    let names: Vec<&str> = changed.constraints.iter().map(|constraint| constraint.name.as_str()).collect();
    assert_eq!(names, ["t_pkey", "t_a_b_key", "t_check", "t_check1", "positive"]);
    assert_eq!(catalog.snapshot().relation_of_constraint(changed.constraints[3].oid).unwrap().oid, t);
    for (wrong, message) in [
        (add(ConstraintKind::PrimaryKey(a()), None), "multiple primary keys for table \"t\" are not allowed"),
        (add(check(), Some("positive")), "constraint \"positive\" for relation \"t\" already exists"),
        (add(ConstraintKind::Unique(vec!["z".to_owned()]), None), "column \"z\" of relation \"t\" does not exist"),
        (RelationUpdate::DropConstraint { name: "none".to_owned() }, "constraint \"none\" of relation \"t\" does not exist"),
    ] {
        assert_eq!(catalog.update_relation(&ADMIN, t, vec![wrong]).await.unwrap_err().to_string(), message);
    }
    let updates = vec![
        RelationUpdate::DropConstraint { name: "t_pkey".to_owned() },
        RelationUpdate::RenameConstraint { from: "positive".to_owned(), to: "t_pkey".to_owned() },
    ];
    assert_eq!(catalog.update_relation(&ADMIN, t, updates).await.unwrap().constraints.len(), 4);
}

async fn views(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (_, public) = main_public(&catalog);
    let v = catalog.create_relation(&ADMIN, view(public, "v")).await.unwrap();
    let replace = |columns| catalog.replace_view(&ADMIN, v.oid, columns, "SELECT 2".to_owned());
    let longer = replace(vec![column("a"), column("b"), column("c")]).await.unwrap();
    assert_eq!((longer.oid, longer.definition.as_deref(), longer.columns.len()), (v.oid, Some("SELECT 2"), 3));
    let mut other_type = longer.columns.clone();
    other_type[0].data_type = PgType::TEXT;
    for (columns, message) in [
        (vec![column("a")], "cannot drop columns from view"),
        (vec![column("a"), column("x"), column("c")], "cannot change name of view column \"b\" to \"x\""),
        (other_type, "cannot change data type of view column \"a\""),
    ] {
        assert_eq!(replace(columns).await.unwrap_err().to_string(), message);
    }
    let t = admins_table(&catalog, "t").await;
    let error = catalog.replace_view(&ADMIN, t.oid, Vec::new(), String::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "\"t\" is not a view");
}

async fn ownership(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (main, public) = main_public(&catalog);
    let (ann, group) = (role(&catalog, "ann").await.oid, role(&catalog, "group").await.oid);
    let me = Principal::new(ann);
    let t = admins_table(&catalog, "t").await.oid;
    super::grants::grant(&catalog, &ADMIN, ObjectRef::Relation(t), &[Privilege::Select], ann).await.unwrap();
    assert!(catalog.rename_relation(&me, t, "mine").await.is_err());
    catalog.change_relation_owner(&ADMIN, t, group).await.unwrap();
    assert_eq!(catalog.snapshot().acl_texts(ObjectRef::Relation(t)).unwrap(), ["group=arwdDxt/group", "ann=r/group"]);
    catalog.grant_membership(&ADMIN, group, ann, false).await.unwrap();
    let refused = catalog.rename_relation(&me, t, "mine").await.unwrap_err();
    assert_eq!(refused.to_string(), "permission denied for schema public", "owners through membership need CREATE as well");
    super::grants::grant(&catalog, &ADMIN, ObjectRef::Schema(public), &[Privilege::Create], group).await.unwrap();
    catalog.rename_relation(&me, t, "mine").await.unwrap();
    let refused = catalog.change_relation_owner(&me, t, ADMIN.current_role).await.unwrap_err();
    assert_eq!(refused.to_string(), "must be member of role \"admin\"");
    catalog.change_relation_owner(&me, t, ann).await.unwrap();
    catalog.change_schema_owner(&ADMIN, public, ann).await.unwrap();
    catalog.change_database_owner(&ADMIN, main, group).await.unwrap();
    let u = admins_table(&catalog, "u").await.oid;
    catalog.drop_relations(&me, &[u]).await.unwrap();
}

async fn comments(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (main, public) = main_public(&catalog);
    let t = admins_table(&catalog, "t").await.oid;
    let note = || Some("it's ☃".to_owned());
    let places = [
        CommentOn::Database(main),
        CommentOn::Schema(public),
        CommentOn::Relation(t),
        CommentOn::Column { relation: t, column: "b".to_owned() },
    ];
    for place in places.clone() {
        catalog.set_comment(&ADMIN, place, note()).await.unwrap();
    }
    catalog.close().await;
    let catalog = fixture.open().await;
    let snapshot = catalog.snapshot();
    let relation = snapshot.relation_by_oid(t).unwrap();
    let found = [
        snapshot.database(main).unwrap().comment.clone(),
        snapshot.schema_by_oid(public).unwrap().comment.clone(),
        relation.comment.clone(),
        relation.columns[1].comment.clone(),
    ];
    assert_eq!(found, [note(), note(), note(), note()]);
    let ann = Principal::new(role(&catalog, "ann").await.oid);
    for place in places {
        assert!(matches!(catalog.set_comment(&ann, place.clone(), None).await, Err(CatalogError::MustBeOwner { .. })), "{place:?}");
        catalog.set_comment(&ADMIN, place, Some(String::new())).await.unwrap();
    }
    assert!(catalog.snapshot().relation_by_oid(t).unwrap().comment.is_none());
}

async fn locations_belong_to_one_table(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (_, public) = main_public(&catalog);
    let t = admins_table(&catalog, "t").await;
    for location in [t.location.clone(), format!("{}inner/", t.location), format!("s3://bucket/{public}")] {
        let thief = NewRelation { location: location.clone(), kind: RelationKind::ExternalTable, ..table(public, "thief") };
        let error = catalog.create_relation(&ADMIN, thief).await.unwrap_err();
        assert_eq!(error.to_string(), "the location belongs to table \"t\"", "{location}");
    }
    let shared =
        |name: &str| NewRelation { location: "s3://elsewhere/x/".to_owned(), kind: RelationKind::ExternalTable, ..table(public, name) };
    catalog.create_relation(&ADMIN, shared("one")).await.unwrap();
    catalog.create_relation(&ADMIN, shared("two")).await.unwrap();
    let sneaky = NewRelation { location: "s3://bucket/x/../t".to_owned(), ..table(public, "sneaky") };
    assert!(catalog.create_relation(&ADMIN, sneaky).await.is_err());
}

async fn refused_changes_leave_no_trace(fixture: Fixture) {
    let catalog = fixture.started().await;
    let t = admins_table(&catalog, "t").await;
    let before = catalog.snapshot().version();
    let updates = vec![RelationUpdate::AddColumns(vec![column("fine")]), RelationUpdate::DropColumn { name: "missing".to_owned() }];
    assert!(catalog.update_relation(&ADMIN, t.oid, updates).await.is_err());
    assert_eq!(catalog.refresh().await.unwrap().version(), before);
    assert_eq!(catalog.snapshot().relation_by_oid(t.oid).unwrap(), &t);
}

async fn cancelled_changes_are_whole(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (_, public) = main_public(&catalog);
    for n in 0..40_u64 {
        let name = format!("t{n}");
        let change = catalog.create_relation(&ADMIN, table(public, &name));
        // The caller goes away at some moment of it.
        let _ = tokio::time::timeout(std::time::Duration::from_micros(n * 60), change).await;
    }
    admins_table(&catalog, "last").await;
    // Changes that were begun run on; what is shown at last is what is stored.
    let mut version = 0;
    while version != catalog.snapshot().version() {
        version = catalog.snapshot().version();
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    let shown: Vec<String> = catalog.snapshot().relations_in_schema(public).map(|relation| relation.name.clone()).collect();
    assert!(shown.contains(&"last".to_owned()));
    assert_eq!(catalog.refresh().await.unwrap().version(), version);
    let fresh = fixture.open().await;
    assert_eq!(fresh.snapshot().relations_in_schema(public).map(|relation| relation.name.clone()).collect::<Vec<_>>(), shown);
}
