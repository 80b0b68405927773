//! Ways in besides the password: tokens, access rules, certificates; keys that are rotated and destroyed; copies of the catalog.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use lakegate_tests::client::Client;
use lakegate_tests::server::{Options, Server, binary};
use lakegate_tests::tools::Psql;

fn psql(server: &Server, role: &str, password: &str, options: &str) -> lakegate_tests::tools::Output {
    let psql = Psql::new(server).environment("PGUSER", role).environment("PGPASSWORD", password).environment("PGOPTIONS", options);
    psql.run("SELECT current_user").unwrap()
}

/// `lakegate admin` over a data directory.
fn admin(data_dir: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(binary().unwrap()).args(["admin", "--data-dir"]).arg(data_dir).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[tokio::test]
async fn tokens_open_until_they_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&Options::new(folder.path())).unwrap();
    let admin = Client::admin(&server).await.unwrap();
    admin.batch_execute("CREATE ROLE ann LOGIN PASSWORD 'p'; CREATE ROLE bob LOGIN PASSWORD 'p'").await.unwrap();
    let token = admin.rows("CREATE TOKEN t FOR ann EXPIRES IN '1 day'").await.unwrap()[0][1].clone();
    let ask = "-c lakegate.auth=token";
    assert!(psql(&server, "ann", &token, ask).success().unwrap().contains("ann"));
    assert!(psql(&server, "bob", &token, ask).success().is_err(), "a token of another role");
    assert!(psql(&server, "ann", &token, "").success().is_err(), "SCRAM takes no token");
    assert!(psql(&server, "ann", "lkg_wrong", ask).success().is_err());
    assert_eq!(admin.sqlstate("CREATE TOKEN t FOR ann").await, "42710");
    assert_eq!(admin.sqlstate("CREATE TOKEN u FOR ann VALID UNTIL '2001-01-01'").await, "22023");
    assert_eq!(admin.sqlstate("DROP TOKEN v FOR ann").await, "42704");
    let user = Client::login(&server, "bob", "p", "main").await.unwrap();
    assert_eq!(user.sqlstate("CREATE TOKEN mine").await, "00000");
    assert_eq!(user.sqlstate("DROP TOKEN t FOR ann").await, "42501");
    assert_eq!(user.value("SELECT string_agg(name, ',') FROM system.access.tokens").await.unwrap(), "mine");
    admin.batch_execute("DROP TOKEN t FOR ann").await.unwrap();
    assert!(psql(&server, "ann", &token, ask).success().is_err(), "it was dropped");
    let stored = std::fs::read(folder.path().join("catalog.db")).unwrap();
    let contains = |bytes: &[u8]| bytes.windows(token.len()).any(|window| window == token.as_bytes());
    assert!(!contains(&stored) && !contains(server.log().as_bytes()), "the token is stored nowhere");
}

#[tokio::test]
async fn the_first_rule_that_fits_decides() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.toml");
    let text = "[[rule]]\nrole = \"ann\"\nmethod = \"reject\"\n[[rule]]\nrole = [\"+staff\"]\nmethod = \"token\"\n\
                [[rule]]\nrole = \"admin\"\naddress = [\"127.0.0.0/8\", \"::1\"]\nmethod = \"scram\"\n";
    std::fs::write(&rules, text).unwrap();
    let options = Options::new(&folder.path().join("data")).argument("--access-rules").argument(rules.display().to_string());
    let server = Server::start(&options).unwrap();
    let admin = Client::admin(&server).await.unwrap();
    let script = "CREATE ROLE staff; CREATE ROLE ann LOGIN PASSWORD 'p'; CREATE ROLE bob LOGIN PASSWORD 'p' IN ROLE staff; \
                  CREATE ROLE eve LOGIN PASSWORD 'p'";
    admin.batch_execute(script).await.unwrap();
    let token = admin.rows("CREATE TOKEN t FOR bob").await.unwrap()[0][1].clone();
    let refused = |role: &str, password: &str| psql(&server, role, password, "").success().unwrap_err().to_string();
    assert!(refused("ann", "p").contains("access rules reject connection"));
    assert!(refused("eve", "p").contains("no access rule for host"));
    assert!(refused("bob", "p").contains("password authentication failed"));
    assert!(psql(&server, "bob", &token, "").success().unwrap().contains("bob"));
}

#[tokio::test]
async fn a_copy_of_the_catalog_opens_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let backup = folder.path().join("backup.db");
    {
        let server = Server::start(&Options::new(&first)).unwrap();
        let client = Client::admin(&server).await.unwrap();
        client.batch_execute("CREATE TABLE t (a int); CREATE ROLE ann; GRANT SELECT (a) ON t TO ann").await.unwrap();
        // While the server runs.
        admin(&first, &["backup", &backup.display().to_string()]).unwrap();
        assert!(admin(&first, &["backup", &backup.display().to_string()]).unwrap_err().contains("exists"));
    }
    std::fs::create_dir(&second).unwrap();
    std::fs::copy(first.join("kek.key"), second.join("kek.key")).unwrap();
    admin(&second, &["restore", &backup.display().to_string()]).unwrap();
    assert!(admin(&second, &["log", "verify"]).unwrap().contains("open with their keys"));
    assert!(admin(&second, &["restore", &backup.display().to_string()]).unwrap_err().contains("a catalog already"));
    let server = Server::start(&Options::new(&second)).unwrap();
    let client = Client::admin(&server).await.unwrap();
    let held = client.value("SELECT has_column_privilege('ann', 't', 'a', 'SELECT')::text").await.unwrap();
    assert_eq!(held, "true");
}

#[tokio::test]
async fn a_rotation_can_be_cut_off_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    drop(Server::start(&Options::new(&data)).unwrap());
    let (key, next) = (data.join("kek.key"), data.join("kek.key.new"));
    let old = std::fs::read(&key).unwrap();
    // Before anything is wrapped: the new key is there and opens nothing.
    admin(&data, &["keys", "rotate"]).unwrap();
    let new = std::fs::read(&key).unwrap();
    assert_ne!(old, new);
    std::fs::copy(&key, &next).unwrap();
    admin(&data, &["log", "verify"]).unwrap();
    // After it: the old key is still in its place.
    std::fs::rename(&key, &next).unwrap();
    std::fs::write(&key, &old).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    admin(&data, &["log", "verify"]).unwrap();
    assert_eq!(std::fs::read(&key).unwrap(), new);
    assert!(!next.exists());
}

/// Rotations one after the other, by a server and by the command, each ended by kill -9 some milliseconds later than the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_in_a_rotation_loses_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::start(&Options::new(&data)).unwrap();
    let client = Client::admin(&server).await.unwrap();
    client.batch_execute("SELECT 'sealed with the first key'").await.unwrap();
    let mut keys = std::collections::BTreeSet::new();
    for round in 0..10_u64 {
        let client = Client::admin(&server).await.unwrap();
        let mut turning = tokio::task::JoinSet::new();
        turning.spawn(async move { while client.batch_execute("ROTATE KEYS").await.is_ok() {} });
        tokio::time::sleep(Duration::from_millis(40 + round * 3)).await;
        server.process.signal("KILL").unwrap();
        turning.join_all().await;
        drop(server);
        for delay in [2, 6, 10, 14, 18] {
            let mut command = Command::new(binary().unwrap());
            command.args(["admin", "--data-dir"]).arg(&data).args(["keys", "rotate"]).stdout(Stdio::null()).stderr(Stdio::null());
            let command = command.spawn();
            tokio::time::sleep(Duration::from_millis(delay + round * 5)).await;
            let mut command = command.unwrap();
            command.kill().unwrap();
            command.wait().unwrap();
        }
        admin(&data, &["log", "verify"]).unwrap();
        keys.insert(std::fs::read(data.join("kek.key")).unwrap());
        server = Server::start(&Options::new(&data)).unwrap();
    }
    assert!(keys.len() > 5, "the rotations did happen: {}", keys.len());
    let client = Client::admin(&server).await.unwrap();
    let texts = "SELECT count(*)::text FROM system.query.history WHERE statement_text LIKE '%the first' || ' key%'";
    assert_eq!(client.value(texts).await.unwrap(), "1");
}

#[tokio::test]
async fn destroyed_keys_open_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&Options::new(folder.path())).unwrap();
    let admin = Client::admin(&server).await.unwrap();
    admin.batch_execute("CREATE ROLE ann LOGIN PASSWORD 'p'").await.unwrap();
    let user = Client::login(&server, "ann", "p", "main").await.unwrap();
    assert_eq!(user.sqlstate("SELECT 'a secret of hers'").await, "00000");
    assert_eq!(user.sqlstate("DESTROY KEYS OF ROLE ann").await, "42501");
    let texts = "SELECT count(*)::text FROM system.query.history WHERE executed_by = 'ann' AND statement_text LIKE '%secret%'";
    assert_eq!(admin.value(texts).await.unwrap(), "1");
    admin.batch_execute("ROTATE KEYS").await.unwrap();
    assert_eq!(admin.value(texts).await.unwrap(), "1", "the keys are wrapped anew, not changed");
    admin.batch_execute("DESTROY KEYS OF ROLE ann").await.unwrap();
    assert_eq!(admin.value(texts).await.unwrap(), "0");
    let rows = "SELECT (count(*) > 0)::text FROM system.query.history WHERE executed_by = 'ann' AND statement_text IS NULL";
    assert_eq!(admin.value(rows).await.unwrap(), "true");
    // Life goes on with new keys.
    assert_eq!(user.sqlstate("SELECT 'another secret'").await, "00000");
    assert_eq!(admin.value(texts).await.unwrap(), "1");
    assert_eq!(admin.sqlstate("DESTROY KEYS OF DAY 'x'").await, "22007");
    assert_eq!(admin.sqlstate("DESTROY KEYS OF DAY '2999-01-01'").await, "22023");
    assert_eq!(admin.sqlstate("DESTROY KEYS OF DAY '2001-01-01'").await, "00000");
}
