use std::collections::BTreeMap;

use super::{ADMIN, Fixture, admins_table, in_main, main_public, on_both, role};
use crate::authorize::{Access, Principal, open_table, row_rules};
use crate::ddl::{RelationUpdate, RowSecurityUpdate, TagsOf};
use crate::governance::{Mask, MaskingPolicy, Policy, PolicyCommand, PolicyExpression};
use crate::model::{BOOTSTRAP_ROLE_OID, ObjectRef, Oid, PUBLIC};
use crate::{Catalog, CatalogError};

on_both!(policies_of_roles, tags_and_masks_are_found_again);

fn expression(text: &str) -> PolicyExpression {
    PolicyExpression {
        text: text.to_owned(),
        table: "t".to_owned(),
        database: "main".to_owned(),
        search_path: vec!["public".to_owned()],
        reads: Vec::new(),
    }
}

fn policy(name: &str, permissive: bool, command: PolicyCommand, roles: Vec<Oid>) -> RelationUpdate {
    let using = Some(expression("true"));
    let policy = Policy { oid: 0, name: name.to_owned(), permissive, command, roles, using, check: None };
    RelationUpdate::RowSecurity(RowSecurityUpdate::Create(policy))
}

async fn update(catalog: &Catalog, table: Oid, update: RelationUpdate) -> Result<(), CatalogError> {
    catalog.update_relation(&ADMIN, table, vec![update]).await.map(|_| ())
}

async fn policies_of_roles(fixture: Fixture) {
    let catalog = fixture.started().await;
    let t = admins_table(&catalog, "t").await.oid;
    let (ann, staff) = (role(&catalog, "ann").await.oid, role(&catalog, "staff").await.oid);
    let rules = |of: Oid| {
        let snapshot = catalog.snapshot();
        row_rules(&snapshot, of, snapshot.relation_by_oid(t).unwrap())
    };
    update(&catalog, t, policy("all", true, PolicyCommand::All, vec![staff])).await.unwrap();
    assert!(rules(ann).is_none(), "not enabled");
    update(&catalog, t, RelationUpdate::RowSecurity(RowSecurityUpdate::Enabled(true))).await.unwrap();
    assert_eq!(rules(ann).unwrap().permissive(PolicyCommand::Select).count(), 0);
    catalog.grant_membership(&ADMIN, staff, ann, false).await.unwrap();
    assert_eq!(rules(ann).unwrap().permissive(PolicyCommand::Select).count(), 1);
    update(&catalog, t, policy("adds", false, PolicyCommand::Insert, vec![PUBLIC])).await.unwrap();
    let of_ann = rules(ann).unwrap();
    assert_eq!((of_ann.restrictive(PolicyCommand::Insert).count(), of_ann.restrictive(PolicyCommand::Update).count()), (1, 0));
    assert!(rules(BOOTSTRAP_ROLE_OID).is_none());
    catalog.change_relation_owner(&ADMIN, t, staff).await.unwrap();
    assert!(rules(ann).is_none(), "a member of the owner");
    update(&catalog, t, RelationUpdate::RowSecurity(RowSecurityUpdate::Forced(true))).await.unwrap();
    assert!(rules(ann).is_some() && rules(BOOTSTRAP_ROLE_OID).is_none());
    assert!(matches!(
        update(&catalog, t, policy("all", true, PolicyCommand::All, vec![PUBLIC])).await,
        Err(CatalogError::DuplicatePolicy { .. })
    ));
    assert!(matches!(catalog.drop_roles(&ADMIN, &[staff]).await, Err(CatalogError::DependentObjects { .. })));
}

async fn tags_and_masks_are_found_again(fixture: Fixture) {
    let catalog = fixture.started().await;
    let table = admins_table(&catalog, "t").await;
    let column = table.columns[0].name.clone();
    let (database, schema) = main_public(&catalog);
    let ann = role(&catalog, "ann").await.oid;
    let tag = |value: &str| BTreeMap::from([("pii".to_owned(), Some(value.to_owned()))]);
    catalog.set_tags(&ADMIN, TagsOf::Database(database), tag("d")).await.unwrap();
    catalog.set_tags(&ADMIN, TagsOf::Schema(schema), tag("s")).await.unwrap();
    assert!(catalog.set_tags(&Principal::new(ann), TagsOf::Schema(schema), tag("x")).await.is_err());
    update(&catalog, table.oid, RelationUpdate::SetTags { column: Some(column.clone()), changes: tag("email") }).await.unwrap();
    let mask = Mask { expression: expression("'x'"), roles: vec![PUBLIC] };
    let masking = MaskingPolicy { oid: 0, name: "m".to_owned(), owner: 0, tag: "pii".to_owned(), value: Some("email".to_owned()), mask };
    catalog.create_masking_policy(&ADMIN, database, masking).await.unwrap();

    let before = catalog.snapshot();
    catalog.close().await;
    let again = fixture.open().await;
    let after = again.snapshot();
    assert_eq!(after.database(database).unwrap(), before.database(database).unwrap());
    assert_eq!(after.schema_by_oid(schema).unwrap(), before.schema_by_oid(schema).unwrap());
    assert_eq!(after.relation_by_oid(table.oid).unwrap(), before.relation_by_oid(table.oid).unwrap());
    again.change_relation_owner(&ADMIN, table.oid, BOOTSTRAP_ROLE_OID).await.unwrap();
    let opened = open_table(&again.snapshot(), &ADMIN, &in_main("t"), Access::SELECT).unwrap();
    assert!(!opened.is_policed(), "superusers see through");
    assert!(crate::authorize::is_governed(&again.snapshot(), &Principal::new(ann), after.relation_by_oid(table.oid).unwrap()));
    let renamed = vec![RelationUpdate::RenameColumn { from: column.clone(), to: "renamed".to_owned() }];
    let renamed = again.update_relation(&ADMIN, table.oid, renamed).await.unwrap();
    assert_eq!(renamed.columns[0].tags["pii"], "email");
    assert!(renamed.row_security.former_columns.contains(&column));
    assert!(crate::authorize::is_owner(&again.snapshot(), BOOTSTRAP_ROLE_OID, ObjectRef::Relation(table.oid)));
}
