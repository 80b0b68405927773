use super::{ADMIN, Fixture, admins_table, main_public, on_both, role, table};
use crate::authorize::{Principal, has_grant_option, has_privilege};
use crate::ddl::{GrantObjects, GrantOutcome, GrantSpec, GrantedPrivileges, RevokeSpec};
use crate::model::{ObjectRef, Oid, PUBLIC, Privilege};
use crate::{Catalog, CatalogError};

on_both!(
    default_deny_and_grant,
    all_and_public,
    grant_option_chain,
    revoke_from_owner,
    circles,
    partly_allowed,
    wrong_kinds,
    survives_reload
);

pub(super) async fn grant(
    catalog: &Catalog,
    by: &Principal,
    object: ObjectRef,
    privileges: &[Privilege],
    to: Oid,
) -> Result<GrantOutcome, CatalogError> {
    catalog.grant(by, spec(object, privileges, to, false)).await
}

fn spec(object: ObjectRef, privileges: &[Privilege], to: Oid, with_grant_option: bool) -> GrantSpec {
    GrantSpec {
        objects: GrantObjects::These(vec![object]),
        privileges: GrantedPrivileges::of(privileges),
        grantees: vec![to],
        with_grant_option,
    }
}

fn revoke(object: ObjectRef, privileges: &[Privilege], from: Oid, cascade: bool) -> RevokeSpec {
    RevokeSpec {
        objects: GrantObjects::These(vec![object]),
        privileges: GrantedPrivileges::of(privileges),
        grantees: vec![from],
        only_grant_option: false,
        cascade,
    }
}

async fn default_deny_and_grant(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (ann, group) = (role(&catalog, "ann").await.oid, role(&catalog, "analysts").await.oid);
    let t = ObjectRef::Relation(admins_table(&catalog, "t").await.oid);
    for privilege in Privilege::ALL {
        assert!(!has_privilege(&catalog.snapshot(), ann, t, privilege), "{privilege:?}");
    }
    grant(&catalog, &ADMIN, t, &[Privilege::Select], group).await.unwrap();
    assert!(!has_privilege(&catalog.snapshot(), ann, t, Privilege::Select));
    catalog.grant_membership(&ADMIN, group, ann, false).await.unwrap();
    let snapshot = catalog.snapshot();
    assert!(has_privilege(&snapshot, ann, t, Privilege::Select) && !has_privilege(&snapshot, ann, t, Privilege::Insert));
    assert_eq!(snapshot.acl_texts(t).unwrap(), ["admin=arwdDxt/admin", "analysts=r/admin"]);
    let by_ann = grant(&catalog, &Principal::new(ann), t, &[Privilege::Select], group).await.unwrap();
    assert_eq!(by_ann.nothing_for, ["\"t\""]);
    let bob = role(&catalog, "bob").await.oid;
    let by_bob = grant(&catalog, &Principal::new(bob), t, &[Privilege::Select], bob).await.unwrap_err();
    assert_eq!(by_bob.to_string(), "permission denied for table t");
    catalog.revoke(&ADMIN, revoke(t, &[Privilege::Select], group, false)).await.unwrap();
    assert!(!has_privilege(&catalog.snapshot(), ann, t, Privilege::Select));
}

async fn all_and_public(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (_, public) = main_public(&catalog);
    let ann = role(&catalog, "ann").await.oid;
    let (t, u) = (admins_table(&catalog, "t").await.oid, admins_table(&catalog, "u").await.oid);
    let all = GrantSpec {
        objects: GrantObjects::AllTablesInSchemas(vec![public]),
        privileges: GrantedPrivileges::ALL,
        grantees: vec![PUBLIC],
        with_grant_option: false,
    };
    catalog.grant(&ADMIN, all.clone()).await.unwrap();
    for oid in [t, u] {
        assert!(has_privilege(&catalog.snapshot(), ann, ObjectRef::Relation(oid), Privilege::Truncate));
    }
    let later = catalog.create_relation(&ADMIN, table(public, "later")).await.unwrap();
    assert!(!has_privilege(&catalog.snapshot(), ann, ObjectRef::Relation(later.oid), Privilege::Select));
    let option = catalog.grant(&ADMIN, GrantSpec { with_grant_option: true, ..all }).await.unwrap_err();
    assert_eq!(option.to_string(), "grant options can only be granted to roles");
    let database = ObjectRef::Database(main_public(&catalog).0);
    catalog.revoke(&ADMIN, revoke(database, &[Privilege::Connect], PUBLIC, false)).await.unwrap();
    let snapshot = catalog.snapshot();
    assert!(!has_privilege(&snapshot, ann, database, Privilege::Connect));
    assert!(has_privilege(&snapshot, ann, database, Privilege::Temporary));
}

async fn grant_option_chain(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (a, b, c) = (role(&catalog, "a").await.oid, role(&catalog, "b").await.oid, role(&catalog, "c").await.oid);
    let t = ObjectRef::Relation(admins_table(&catalog, "t").await.oid);
    let select = [Privilege::Select];
    catalog.grant(&ADMIN, spec(t, &select, a, true)).await.unwrap();
    catalog.grant(&Principal::new(a), spec(t, &select, b, true)).await.unwrap();
    catalog.grant(&Principal::new(b), spec(t, &select, c, false)).await.unwrap();
    let snapshot = catalog.snapshot();
    assert!(has_grant_option(&snapshot, a, t, Privilege::Select) && !has_grant_option(&snapshot, c, t, Privilege::Select));
    assert_eq!(snapshot.acl_texts(t).unwrap(), ["admin=arwdDxt/admin", "a=r*/admin", "b=r*/a", "c=r/b"]);
    let refused = catalog.revoke(&ADMIN, revoke(t, &select, a, false)).await.unwrap_err();
    assert_eq!(refused.to_string(), "dependent privileges exist");
    assert!(has_privilege(&catalog.snapshot(), c, t, Privilege::Select), "a refused revoke changes nothing");
    catalog.revoke(&ADMIN, revoke(t, &select, a, true)).await.unwrap();
    assert_eq!(catalog.snapshot().acl_texts(t).unwrap(), ["admin=arwdDxt/admin"]);
    // Two ways to the option: losing one leaves what hangs on the other.
    catalog.grant(&ADMIN, spec(t, &select, a, true)).await.unwrap();
    catalog.grant(&ADMIN, spec(t, &select, b, true)).await.unwrap();
    catalog.grant(&Principal::new(a), spec(t, &select, b, true)).await.unwrap();
    catalog.grant(&Principal::new(b), spec(t, &select, c, false)).await.unwrap();
    catalog.revoke(&ADMIN, revoke(t, &select, b, false)).await.unwrap();
    assert!(has_privilege(&catalog.snapshot(), c, t, Privilege::Select));
}

async fn revoke_from_owner(fixture: Fixture) {
    let catalog = fixture.started().await;
    let ann = role(&catalog, "ann").await.oid;
    let table = admins_table(&catalog, "t").await.oid;
    let t = ObjectRef::Relation(table);
    catalog.change_relation_owner(&ADMIN, table, ann).await.unwrap();
    let me = Principal::new(ann);
    catalog.revoke(&me, revoke(t, &[Privilege::Delete], ann, false)).await.unwrap();
    assert!(!has_privilege(&catalog.snapshot(), ann, t, Privilege::Delete));
    grant(&catalog, &me, t, &[Privilege::Delete], ann).await.unwrap();
    assert!(has_privilege(&catalog.snapshot(), ann, t, Privilege::Delete), "owners keep their grant options");
}

async fn circles(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (a, b) = (role(&catalog, "a").await.oid, role(&catalog, "b").await.oid);
    let t = ObjectRef::Relation(admins_table(&catalog, "t").await.oid);
    catalog.grant(&ADMIN, spec(t, &[Privilege::Select], a, true)).await.unwrap();
    catalog.grant(&Principal::new(a), spec(t, &[Privilege::Select], b, true)).await.unwrap();
    let back = catalog.grant(&Principal::new(b), spec(t, &[Privilege::Select], a, true)).await.unwrap_err();
    assert_eq!(back.to_string(), "grant options cannot be granted back to your own grantor");
}

async fn partly_allowed(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (a, b) = (role(&catalog, "a").await.oid, role(&catalog, "b").await.oid);
    let t = ObjectRef::Relation(admins_table(&catalog, "t").await.oid);
    catalog.grant(&ADMIN, spec(t, &[Privilege::Select], a, true)).await.unwrap();
    let both = grant(&catalog, &Principal::new(a), t, &[Privilege::Select, Privilege::Insert], b).await.unwrap();
    assert_eq!(both.not_all_for, ["\"t\""]);
    let snapshot = catalog.snapshot();
    assert!(has_privilege(&snapshot, b, t, Privilege::Select) && !has_privilege(&snapshot, b, t, Privilege::Insert));
}

async fn wrong_kinds(fixture: Fixture) {
    let catalog = fixture.started().await;
    let t = ObjectRef::Relation(admins_table(&catalog, "t").await.oid);
    let error = grant(&catalog, &ADMIN, t, &[Privilege::Usage], PUBLIC).await.unwrap_err();
    assert_eq!(error.to_string(), "invalid privilege type USAGE for table");
    assert!(matches!(grant(&catalog, &ADMIN, t, &[Privilege::Select], 99_999).await, Err(CatalogError::Undefined { .. })));
    let gone = ObjectRef::Relation(99_999);
    assert!(matches!(grant(&catalog, &ADMIN, gone, &[Privilege::Select], PUBLIC).await, Err(CatalogError::Undefined { .. })));
}

async fn survives_reload(fixture: Fixture) {
    let catalog = fixture.started().await;
    let ann = role(&catalog, "ann").await.oid;
    let t = ObjectRef::Relation(admins_table(&catalog, "t").await.oid);
    catalog.grant(&ADMIN, spec(t, &[Privilege::Select, Privilege::Update], ann, true)).await.unwrap();
    let before = catalog.snapshot().grants_on(t);
    catalog.close().await;
    assert_eq!(fixture.open().await.snapshot().grants_on(t), before);
}
