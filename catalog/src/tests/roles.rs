use zeroize::Zeroizing;

use super::{ADMIN, Fixture, admins_table, main_public, on_both, role, table};
use crate::CatalogError;
use crate::authorize::Principal;
use crate::ddl::{PasswordSpec, RoleOptions};
use crate::model::{BOOTSTRAP_ROLE_OID, READ_HISTORY_OID};

on_both!(create_alter_drop, attributes_need_privileges, own_password_only, memberships, membership_circles, drop_with_dependents);

fn password(text: &str) -> Option<PasswordSpec> {
    Some(PasswordSpec::Set(Zeroizing::new(text.to_owned())))
}

async fn create_alter_drop(fixture: Fixture) {
    let catalog = fixture.started().await;
    let options = RoleOptions {
        login: Some(true),
        create_db: Some(true),
        inherit: Some(false),
        connection_limit: Some(5),
        valid_until: Some(Some(4_102_444_800)),
        ..RoleOptions::default()
    };
    let made = catalog.create_role(&ADMIN, "Ann \"x\"", options, None, &[], &[]).await.unwrap();
    assert!(made.login && made.create_db && !made.inherit && !made.superuser && made.connection_limit == 5);
    let again = catalog.create_role(&ADMIN, "Ann \"x\"", RoleOptions::default(), None, &[], &[]).await.unwrap_err();
    assert_eq!(again.to_string(), "role \"Ann \"x\"\" already exists");
    let options = RoleOptions { valid_until: Some(None), connection_limit: Some(-1), ..RoleOptions::default() };
    let altered = catalog.alter_role(&ADMIN, made.oid, options, None).await.unwrap();
    assert!(altered.valid_until.is_none() && altered.connection_limit == -1 && altered.create_db);
    assert!(catalog.alter_role(&ADMIN, made.oid, RoleOptions { connection_limit: Some(-2), ..Default::default() }, None).await.is_err());
    catalog.rename_role(&ADMIN, made.oid, "ann").await.unwrap();
    let snapshot = catalog.snapshot();
    assert!(snapshot.role_by_name("ann").is_some() && snapshot.role_by_name("Ann \"x\"").is_none());
    for reserved in ["pg_x", "lakegate_x", "public", "none"] {
        let error = catalog.rename_role(&ADMIN, made.oid, reserved).await.unwrap_err();
        assert!(matches!(error, CatalogError::ReservedName { .. }), "{reserved}");
    }
    catalog.drop_roles(&ADMIN, &[made.oid]).await.unwrap();
    assert!(catalog.snapshot().role(made.oid).is_none());
    assert!(matches!(catalog.drop_roles(&ADMIN, &[made.oid]).await, Err(CatalogError::Undefined { .. })));
    let own = catalog.drop_roles(&ADMIN, &[BOOTSTRAP_ROLE_OID]).await.unwrap_err();
    assert_eq!(own.to_string(), "current user cannot be dropped");
}

async fn attributes_need_privileges(fixture: Fixture) {
    let catalog = fixture.started().await;
    let ann = role(&catalog, "ann").await;
    let creator = role(&catalog, "creator").await;
    let options = RoleOptions { create_role: Some(true), ..RoleOptions::default() };
    catalog.alter_role(&ADMIN, creator.oid, options, None).await.unwrap();
    let (ann, creator) = (Principal::new(ann.oid), Principal::new(creator.oid));
    let none = RoleOptions::default;
    let refused = catalog.create_role(&ann, "x", none(), None, &[], &[]).await.unwrap_err();
    assert_eq!(refused.to_string(), "permission denied to create role");
    let made = catalog.create_role(&creator, "x", none(), None, &[], &[]).await.unwrap();
    let superuser = RoleOptions { superuser: Some(true), ..none() };
    let refused = catalog.create_role(&creator, "y", superuser.clone(), None, &[], &[]).await.unwrap_err();
    assert_eq!(refused.to_string(), "must be superuser to create superusers");
    assert!(catalog.alter_role(&creator, made.oid, superuser.clone(), None).await.is_err());
    assert!(catalog.alter_role(&creator, BOOTSTRAP_ROLE_OID, none(), password("mine now")).await.is_err());
    assert!(catalog.alter_role(&creator, creator.current_role, superuser, None).await.is_err());
    assert!(catalog.drop_roles(&creator, &[BOOTSTRAP_ROLE_OID]).await.is_err());
    assert!(catalog.drop_roles(&ann, &[made.oid]).await.is_err());
    assert!(catalog.grant_membership(&creator, BOOTSTRAP_ROLE_OID, made.oid, false).await.is_err());
    assert!(catalog.grant_membership(&creator, READ_HISTORY_OID, creator.current_role, false).await.is_err());
    assert!(catalog.alter_role(&creator, READ_HISTORY_OID, RoleOptions { login: Some(true), ..none() }, None).await.is_err());
    catalog.drop_roles(&creator, &[made.oid]).await.unwrap();
    assert!(catalog.alter_role(&ADMIN, READ_HISTORY_OID, RoleOptions { login: Some(true), ..none() }, None).await.is_err());
    let bootstrap = RoleOptions { superuser: Some(false), ..none() };
    assert!(catalog.alter_role(&ADMIN, BOOTSTRAP_ROLE_OID, bootstrap, None).await.is_err());
}

async fn own_password_only(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (ann, bob) = (role(&catalog, "ann").await, role(&catalog, "bob").await);
    let me = Principal::new(ann.oid);
    catalog.alter_role(&me, ann.oid, RoleOptions::default(), password("first")).await.unwrap();
    assert!(catalog.verify_password("ann", "first", None).await.is_ok());
    assert!(catalog.alter_role(&me, bob.oid, RoleOptions::default(), password("x")).await.is_err());
    assert!(catalog.alter_role(&me, ann.oid, RoleOptions { create_db: Some(true), ..Default::default() }, password("x")).await.is_err());
    assert!(catalog.alter_role(&me, ann.oid, RoleOptions::default(), None).await.is_err());
    assert!(catalog.verify_password("ann", "first", None).await.is_ok(), "a refused change leaves the password");
    let long = "x".repeat(1025);
    assert!(catalog.alter_role(&me, ann.oid, RoleOptions::default(), password(&long)).await.is_err());
    catalog.alter_role(&me, ann.oid, RoleOptions::default(), Some(PasswordSpec::Remove)).await.unwrap();
    assert!(catalog.verify_password("ann", "first", None).await.is_err());
    assert!(catalog.verify_password("ann", "", None).await.is_err());
}

async fn memberships(fixture: Fixture) {
    let catalog = fixture.started().await;
    let ids = [role(&catalog, "a").await.oid, role(&catalog, "b").await.oid, role(&catalog, "c").await.oid];
    let [a, b, c] = ids;
    // c is a member of b, b of a.
    assert!(catalog.grant_membership(&ADMIN, a, b, true).await.unwrap());
    assert!(catalog.grant_membership(&ADMIN, b, c, false).await.unwrap());
    assert!(!catalog.grant_membership(&ADMIN, b, c, false).await.unwrap(), "it was there");
    let snapshot = catalog.snapshot();
    assert!(snapshot.has_privileges_of(c, a) && snapshot.is_member_of(c, a) && !snapshot.has_privileges_of(a, c));
    assert_eq!(snapshot.member_of(c).iter().copied().collect::<Vec<_>>(), [a, b, c]);
    // Without INHERIT the chain is not followed, but SET ROLE may be.
    catalog.alter_role(&ADMIN, b, RoleOptions { inherit: Some(false), ..Default::default() }, None).await.unwrap();
    let snapshot = catalog.snapshot();
    assert!(!snapshot.has_privileges_of(c, a) && snapshot.has_privileges_of(c, b) && snapshot.is_member_of(c, a));
    // The admin option lets b give membership in a on, c does not have it for b.
    let d = role(&catalog, "d").await.oid;
    assert!(catalog.grant_membership(&Principal::new(b), a, d, false).await.unwrap());
    let refused = catalog.grant_membership(&Principal::new(c), b, d, false).await.unwrap_err();
    assert_eq!(refused.to_string(), "must have admin option on role \"b\"");
    assert!(catalog.revoke_membership(&ADMIN, a, b, true).await.unwrap());
    assert!(catalog.grant_membership(&Principal::new(b), a, c, false).await.is_err());
    assert!(catalog.revoke_membership(&ADMIN, a, b, false).await.unwrap());
    assert!(!catalog.revoke_membership(&ADMIN, a, b, false).await.unwrap());
    assert!(!catalog.snapshot().is_member_of(c, a));
    let made = catalog.create_role(&ADMIN, "e", RoleOptions::default(), None, &[a], &[d]).await.unwrap();
    let snapshot = catalog.snapshot();
    assert!(snapshot.is_member_of(made.oid, a) && snapshot.is_member_of(d, made.oid));
}

async fn membership_circles(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (a, b) = (role(&catalog, "a").await.oid, role(&catalog, "b").await.oid);
    catalog.grant_membership(&ADMIN, a, b, false).await.unwrap();
    let circle = catalog.grant_membership(&ADMIN, b, a, false).await.unwrap_err();
    assert!(matches!(circle, CatalogError::InvalidGrant { .. }), "{circle}");
    assert_eq!(circle.to_string(), "role \"b\" is a member of role \"a\"");
    assert!(catalog.grant_membership(&ADMIN, a, a, false).await.is_err());
}

async fn drop_with_dependents(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (_, public) = main_public(&catalog);
    let ann = role(&catalog, "ann").await.oid;
    let t = admins_table(&catalog, "t").await;
    catalog.change_relation_owner(&ADMIN, t.oid, ann).await.unwrap();
    let u = catalog.create_relation(&ADMIN, table(public, "u")).await.unwrap();
    super::grants::grant(&catalog, &ADMIN, crate::model::ObjectRef::Relation(u.oid), &[crate::model::Privilege::Select], ann)
        .await
        .unwrap();
    let error = catalog.drop_roles(&ADMIN, &[ann]).await.unwrap_err();
    assert_eq!(error.to_string(), "role \"ann\" cannot be dropped because some objects depend on it");
    assert_eq!(error.detail().unwrap(), "owner of table t\nprivileges for table u");
    catalog.drop_relations(&ADMIN, &[t.oid, u.oid]).await.unwrap();
    catalog.drop_roles(&ADMIN, &[ann]).await.unwrap();
}
