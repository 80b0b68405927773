use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{ADMIN, Fixture, PASSWORD, on_both};
use crate::auth::{AuthError, SCRAM_ITERATIONS, client_proof};
use crate::ddl::{PasswordSpec, RoleOptions};
use crate::{Catalog, CatalogOptions};

on_both!(passwords, scram, prehashed_password, who_may_not_log_in, no_secret_is_stored);

async fn login_role(catalog: &Catalog, name: &str, password: &str, options: RoleOptions) -> u32 {
    let options = RoleOptions { login: options.login.or(Some(true)), ..options };
    let password = Some(PasswordSpec::Set(Zeroizing::new(password.to_owned())));
    catalog.create_role(&ADMIN, name, options, password, &[], &[]).await.unwrap().oid
}

async fn scram_login(catalog: &Catalog, name: &str, password: &str) -> Result<u32, AuthError> {
    let exchange = catalog.scram_begin(name, None).await?;
    let message = b"n=,r=abc,r=abcdef,s=salt,i=4096,c=biws,r=abcdef";
    let proof = client_proof(password, exchange.salt(), exchange.iterations(), message);
    let proven = catalog.scram_finish(exchange, message, &proof).await?;
    Ok(proven.authenticated.role())
}

async fn passwords(fixture: Fixture) {
    let catalog = fixture.started().await;
    let proof = catalog.verify_password("admin", PASSWORD, None).await.unwrap();
    assert_eq!((proof.role(), proof.name()), (ADMIN.current_role, "admin"));
    let wrong = catalog.verify_password("admin", "nope", None).await.unwrap_err();
    let unknown = catalog.verify_password("nobody", "nope", None).await.unwrap_err();
    assert_eq!(wrong.to_string(), "password authentication failed for user \"admin\"");
    assert_eq!(unknown.to_string(), "password authentication failed for user \"nobody\"");
    for odd in ["", "adm\0in", "ADMIN", "admin "] {
        assert!(matches!(catalog.verify_password(odd, PASSWORD, None).await, Err(AuthError::Failed { .. })), "{odd:?}");
    }
    assert!(matches!(catalog.verify_password("admin", &"x".repeat(2000), None).await, Err(AuthError::Failed { .. })));
}

async fn scram(fixture: Fixture) {
    let catalog = fixture.started().await;
    assert_eq!(scram_login(&catalog, "admin", PASSWORD).await.unwrap(), ADMIN.current_role);
    assert!(scram_login(&catalog, "admin", "nope").await.is_err());
    let (one, two) = (catalog.scram_begin("ghost", None).await.unwrap(), catalog.scram_begin("ghost", None).await.unwrap());
    assert_eq!((one.salt(), one.iterations()), (two.salt(), SCRAM_ITERATIONS));
    assert_eq!(one.salt().len(), catalog.scram_begin("admin", None).await.unwrap().salt().len());
    assert_ne!(one.salt(), catalog.scram_begin("ghost2", None).await.unwrap().salt());
    assert!(scram_login(&catalog, "ghost", "x").await.is_err());
    let salt = one.salt().to_vec();
    catalog.close().await;
    let again = fixture.open().await;
    assert_eq!(again.scram_begin("ghost", None).await.unwrap().salt(), salt, "the same after a restart");
    assert!(scram_login(&again, "admin", PASSWORD).await.is_ok());
}

async fn prehashed_password(fixture: Fixture) {
    let catalog = fixture.started().await;
    // As PostgreSQL 15 computes it for the password "pencil".
    let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let verifier = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
    let role = login_role(&catalog, "ann", verifier, RoleOptions::default()).await;
    assert_eq!(catalog.scram_begin("ann", None).await.unwrap().salt(), salt);
    assert_eq!(scram_login(&catalog, "ann", "pencil").await.unwrap(), role);
    assert_eq!(catalog.verify_password("ann", "pencil", None).await.unwrap().role(), role);
    assert!(catalog.verify_password("ann", verifier, None).await.is_err(), "the verifier is not the password");
    assert!(catalog.verify_password("ann", "pen", None).await.is_err());
}

async fn who_may_not_log_in(fixture: Fixture) {
    let catalog = fixture.started().await;
    login_role(&catalog, "group", "pw", RoleOptions { login: Some(false), ..Default::default() }).await;
    login_role(&catalog, "past", "pw", RoleOptions { valid_until: Some(Some(1_000)), ..Default::default() }).await;
    login_role(&catalog, "future", "pw", RoleOptions { valid_until: Some(Some(4_102_444_800)), ..Default::default() }).await;
    super::role(&catalog, "without").await;
    for name in ["group", "past", "without"] {
        assert!(matches!(catalog.verify_password(name, "pw", None).await, Err(AuthError::Failed { .. })), "{name}");
        assert!(scram_login(&catalog, name, "pw").await.is_err(), "{name}");
    }
    assert!(catalog.verify_password("future", "pw", None).await.is_ok());
    assert!(scram_login(&catalog, "future", "pw").await.is_ok());
}

async fn no_secret_is_stored(fixture: Fixture) {
    let catalog = fixture.started().await;
    let canary = "canary-password-4711";
    let ann = login_role(&catalog, "ann", canary, RoleOptions::default()).await;
    let mut read = catalog.store().begin_read().await.unwrap();
    let sealed: Vec<u8> =
        sqlx::query_scalar("SELECT password FROM roles WHERE oid = $1").bind(i64::from(ann)).fetch_one(&mut *read).await.unwrap();
    assert!(!sealed.windows(canary.len()).any(|window| window == canary.as_bytes()));
    assert!(!sealed.windows(6).any(|window| window == b"argon2"));
    // A verifier moved to another role does not open, so it lets nobody in.
    drop(read);
    let mut write = catalog.store().begin_write().await.unwrap();
    sqlx::query("UPDATE roles SET password = $1 WHERE oid = 10").bind(sealed).execute(&mut *write).await.unwrap();
    write.commit().await.unwrap();
    assert!(catalog.verify_password("admin", canary, None).await.is_err());
}

#[tokio::test]
async fn unknown_and_wrong_take_the_same_time() {
    let fixture = Fixture::sqlite();
    let options = CatalogOptions { password_cost: crate::auth::PasswordCost { memory_kib: 2048, passes: 2 }, ..fixture.options() };
    let catalog = Catalog::open(options).await.unwrap();
    catalog.bootstrap(crate::Bootstrap { admin_password: Some(Zeroizing::new(PASSWORD.to_owned())) }).await.unwrap();
    let mut times = [Vec::new(), Vec::new()];
    for n in 0..60_u32 {
        // From ever new addresses, so that nobody is slowed down.
        let address = Some(std::net::IpAddr::from(n.to_be_bytes()));
        for (name, times) in ["admin", "nobody"].iter().zip(&mut times) {
            let start = Instant::now();
            assert!(catalog.verify_password(name, "wrong", address).await.is_err());
            times.push(start.elapsed());
        }
    }
    // The least of many: what else the machine does only adds to a time.
    let [wrong, unknown] = times.map(|times| times.into_iter().min().unwrap().as_secs_f64());
    assert!((wrong / unknown - 1.0).abs() < 0.25, "{wrong} s and {unknown} s");
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let fixture = Fixture::sqlite();
    let catalog = fixture.started().await;
    let address = Some("192.0.2.1".parse().unwrap());
    for _ in 0..4 {
        assert!(catalog.verify_password("admin", "guess", address).await.is_err());
    }
    let start = Instant::now();
    assert!(catalog.verify_password("admin", PASSWORD, address).await.is_ok());
    assert!(start.elapsed() >= Duration::from_millis(450), "{:?}", start.elapsed());
    let start = Instant::now();
    assert!(catalog.verify_password("admin", PASSWORD, address).await.is_ok());
    assert!(start.elapsed() < Duration::from_millis(250), "a right password ends it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn login_storms_are_bounded() {
    let fixture = Fixture::sqlite();
    let options = CatalogOptions { password_cost: crate::auth::PasswordCost { memory_kib: 4096, passes: 1 }, ..fixture.options() };
    let catalog = Catalog::open(options).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..150_u32 {
        let catalog = catalog.clone();
        tasks.spawn(async move { catalog.verify_password("nobody", "x", Some(std::net::IpAddr::from(n.to_be_bytes()))).await });
    }
    let results = tasks.join_all().await;
    let busy = results.iter().filter(|result| matches!(result, Err(AuthError::Busy))).count();
    assert!(busy > 0 && busy < 150, "{busy} of 150 were turned away");
    assert!(results.iter().all(Result::is_err));
}
