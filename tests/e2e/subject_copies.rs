//! Where data subjects are beside the tables themselves: versions that a bucket keeps, memory of other processes, rows that come back.

use std::time::Duration;

use lakegate_tests::client::Client;
use lakegate_tests::server::{Options, Server};
use lakegate_tests::tools::{eventually, python};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::cluster::cluster;
use crate::gateways;
use crate::subjects::{VICTIM, certificate, each, erase_sql, hidden, kept_of_victim, new_server, others, people, seek};
use crate::support::{self, unique};

/// The signed part of the newest certificate.
async fn document(admin: &Client) -> Value {
    serde_json::from_str(certificate(admin).await["document"].as_str().unwrap()).unwrap()
}

/// Asks the store past the server.
fn bucket_versions(arguments: &[&str]) -> String {
    let store = support::s3();
    python("bucket_versions.py", arguments, &store.environment(&store.endpoint())).unwrap()
}

/// A bucket that keeps versions, and a server whose warehouse lies in it.
async fn versioned(folder: &std::path::Path) -> (String, Server, Client) {
    let bucket = unique("versions").replace('_', "-");
    support::s3().make_bucket(&bucket).unwrap();
    bucket_versions(&["keep", &bucket]);
    let store = support::s3();
    let mut options = Options::new(&folder.join("data")).argument("--warehouse-root").argument(format!("s3://{bucket}/wh"));
    options.environment = store.environment(&store.endpoint());
    let server = tokio::task::block_in_place(|| Server::start(&options)).unwrap();
    let admin = Client::admin(&server).await.unwrap();
    hidden(&admin).await;
    (bucket, server, admin)
}

/// Key of the folder of a table.
async fn key_of(admin: &Client, bucket: &str, table: &str) -> String {
    let location = admin.rows(&format!("DESCRIBE DETAIL {table}")).await.unwrap()[0][4].clone();
    location.strip_prefix(&format!("s3://{bucket}/")).unwrap().trim_end_matches('/').to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_bucket_keeps_goes_too() {
    for suspended in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let (bucket, _server, admin) = versioned(folder.path()).await;
        each(
            &admin,
            &format!(
                "CREATE EXTERNAL LOCATION out URL 's3://{bucket}/out'; CALL lakegate.export_subject('person', '777123', 's3://{bucket}/out');
                 CALL lakegate.save_query('q', 'SELECT ''{VICTIM}''')"
            ),
        )
        .await;
        let people = key_of(&admin, &bucket, "people").await;
        bucket_versions(&["upload", &bucket, &format!("{people}/part-cut-off.parquet"), VICTIM]);
        if suspended {
            // What was kept before stays, and is not to be seen by the answers to a PUT.
            bucket_versions(&["suspend", &bucket]);
        }
        let before = others(&admin).await;
        assert!(kept_of_victim(&bucket).len() > 10, "the person is not hidden well");
        let done = admin.rows(&erase_sql()).await.unwrap();
        let document = document(&admin).await;
        if suspended {
            // SeaweedFS says of markers that it made while suspended that they are deleted, and keeps them: the scan is not told so.
            let residuals = document["residuals"].as_array().unwrap();
            assert!(residuals.iter().all(|told| told["what"]["place"] == "name of the object, delete marker null"), "{residuals:#?}");
            let left = kept_of_victim(&bucket);
            assert!(left.iter().all(|line| line.starts_with("FOUND in a name DeleteMarker")), "{left:#?}");
            assert_eq!(residuals.len(), left.len());
        } else {
            assert_eq!(done.last().unwrap()[2], "erased", "{document:#}");
            assert_eq!(kept_of_victim(&bucket), Vec::<String>::new());
        }
        assert_eq!(bucket_versions(&["uploads", &bucket]), "", "an unfinished upload is left");
        assert_eq!(others(&admin).await, before);
        assert_eq!(admin.value("SELECT count(*) FROM people").await.unwrap(), "99");
        each(&admin, "INSERT INTO people VALUES (1, 'new@example.com', 'n'); UPDATE orders SET total = 4 WHERE order_id = 5").await;

        let of_people = document["tables"].as_array().unwrap().iter().find(|table| table["table"].as_str().unwrap().ends_with(".people"));
        let removed = of_people.unwrap()["versions"]["removed"].as_array().unwrap();
        for what in ["version", "delete marker", "unfinished upload"] {
            assert!(removed.iter().any(|entry| entry["what"] == what), "{what}: {removed:?}");
        }
        assert!(!document.to_string().contains("ann.victim"), "{document}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_that_may_not_be_removed_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let (bucket, _server, admin) = versioned(folder.path()).await;
    // Somebody else's object in the table's folder, which said something else once.
    let note = format!("{}/notes.txt", key_of(&admin, &bucket, "people").await);
    bucket_versions(&["put", &bucket, &note, &format!("call {VICTIM}")]);
    bucket_versions(&["put", &bucket, &note, "call nobody"]);
    bucket_versions(&["forbid", &bucket]);
    let before = others(&admin).await;
    let done = admin.rows(&erase_sql()).await.unwrap();
    assert_eq!(done.last().unwrap()[2], "erased with residuals");
    assert_eq!(others(&admin).await, before);
    let first = document(&admin).await;
    let residuals = first["residuals"].as_array().unwrap();
    let refused: Vec<&Value> = residuals.iter().filter(|told| told["what"].to_string().contains("AccessDenied")).collect();
    assert!(refused.iter().all(|told| !told["left"].as_array().unwrap().is_empty()) && refused.len() >= 5, "{residuals:#?}");
    assert!(residuals.iter().any(|told| told["what"]["place"].to_string().contains("version ")), "what they hold: {residuals:#?}");
    assert!(!first.to_string().contains("ann.victim"), "{first}");
    assert!(!kept_of_victim(&bucket).is_empty(), "the store has refused");
    // Objects that were deleted have not come back with their markers gone.
    assert_eq!(admin.value("SELECT count(*) FROM people").await.unwrap(), "99");

    bucket_versions(&["allow", &bucket]);
    let done = admin.rows(&erase_sql()).await.unwrap();
    assert_eq!(done.last().unwrap()[2], "erased with residuals");
    let second = document(&admin).await;
    let residuals = second["residuals"].as_array().unwrap();
    assert!(residuals.iter().all(|told| told["what"]["object"] == "notes.txt"), "{residuals:#?}");
    assert!(!residuals.is_empty());
    let found = kept_of_victim(&bucket);
    assert!(found.iter().all(|line| line.contains("notes.txt")) && found.len() == 1, "{found:#?}");
}

/// Asked so often that the rows, and the columns that they are made of, are kept.
async fn in_mind(client: &Client) {
    for _ in 0..5 {
        assert_eq!(client.rows(&format!("SELECT id, name FROM people WHERE email = '{VICTIM}'")).await.unwrap().len(), 1);
        client.rows("SELECT id, email, name FROM people").await.unwrap();
    }
}

/// Entries of the two caches that have rows and columns of tables, all engines together.
async fn kept(client: &Client) -> (u64, u64) {
    let sql = "SELECT sum(entries) FILTER (WHERE cache = 'results'), sum(entries) FILTER (WHERE cache = 'decoded columns') \
         FROM system.compute.caches";
    let row = client.rows(sql).await.unwrap().remove(0);
    (row[0].parse().unwrap(), row[1].parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_gateway_drops_what_it_kept() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = gateways::two(folder.path());
    let (admin, other) = (Client::admin(&one).await.unwrap(), Client::admin(&two).await.unwrap());
    hidden(&admin).await;
    for client in [&admin, &other] {
        in_mind(client).await;
        let (rows, columns) = kept(client).await;
        assert!(rows > 0 && columns > 0, "nothing is kept: {rows} {columns}");
    }
    let done = admin.rows(&erase_sql()).await.unwrap();
    assert_eq!(done.last().unwrap()[2], "erased", "{}", certificate(&admin).await);
    // At once: the erasure has waited for it, and nobody has asked for the tables since.
    for client in [&admin, &other] {
        assert_eq!(kept(client).await, (0, 0));
    }
    assert_eq!(other.value("SELECT count(*) FROM people").await.unwrap(), "99");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_drop_what_they_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (_gateway, _engines, admin) = cluster(folder.path()).await;
    hidden(&admin).await;
    let before = others(&admin).await;
    in_mind(&admin).await;
    // Engines say from time to time what they have.
    let has = async |some: bool| {
        let reached = eventually("the caches of the engines", Duration::from_secs(30), async || {
            let (rows, columns) = kept(&admin).await;
            Ok(if some { rows > 0 && columns > 0 } else { rows == 0 && columns == 0 })
        });
        assert!(reached.await.is_ok(), "{some}: {:?}", kept(&admin).await);
    };
    has(true).await;
    let done = admin.rows(&erase_sql()).await.unwrap();
    assert_eq!(done.last().unwrap()[2], "erased", "{}", certificate(&admin).await);
    has(false).await;
    assert_eq!(others(&admin).await, before);
}

/// Begins an erasure that a reader holds up after the rewrite, does something meanwhile, and gives the state in which it ends.
async fn held_up(server: &Server, erase: String, meanwhile: &str) -> String {
    let (admin, reader) = (Client::admin(server).await.unwrap(), Client::admin(server).await.unwrap());
    reader.batch_execute("BEGIN; SELECT count(*) FROM people").await.unwrap();
    let mut calls = JoinSet::new();
    let caller = Client::admin(server).await.unwrap();
    calls.spawn(async move { caller.rows(&erase).await.unwrap().last().unwrap()[2].clone() });
    let state = "SELECT count(*) FROM system.privacy.requests WHERE state = 'waiting for readers'";
    eventually("the erasure waits", Duration::from_secs(30), async || Ok(admin.value(state).await? == "1")).await.unwrap();
    each(&admin, meanwhile).await;
    reader.batch_execute("COMMIT").await.unwrap();
    calls.join_next().await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_inserted_again_meanwhile_is_told() {
    let server = new_server();
    let admin = Client::admin(&server).await.unwrap();
    hidden(&admin).await;
    let before = others(&admin).await;
    let again = format!("INSERT INTO people VALUES (777123, '{VICTIM}', 'Ann is back')");
    assert_eq!(held_up(&server, erase_sql(), &again).await, "erased with residuals");
    let told = document(&admin).await;
    let residuals = told["residuals"].as_array().unwrap();
    assert!(!residuals.is_empty() && residuals.iter().all(|told| told["where"].as_str().unwrap().ends_with(".people")), "{residuals:#?}");
    assert!(residuals.iter().any(|told| told["what"]["object"].as_str().unwrap().ends_with(".parquet")), "{residuals:#?}");
    assert!(!told.to_string().contains("ann.victim"), "{told}");
    assert_eq!(others(&admin).await, before);
    let done = admin.rows(&erase_sql()).await.unwrap();
    assert_eq!(done.last().unwrap()[2], "erased", "{}", certificate(&admin).await);
    assert!(seek(&server.data_dir).iter().all(|line| !line.starts_with("FOUND")));
}

/// 42 is everywhere among bytes; as a value of the columns it is found, and the certificate says what was looked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_identifiers_are_found_as_values() {
    let server = new_server();
    let (admin, schema, kind) = people(&server).await;
    admin
        .batch_execute(&format!(
            "ALTER TABLE customers ALTER COLUMN name SET TAGS ('subject' = '{kind}'); CREATE TABLE public.people (n int);
             UPDATE customers SET name = 'Al' WHERE id = 42"
        ))
        .await
        .unwrap();
    let sql = format!("CALL lakegate.erase_subject('{kind}', '42', reason => 'DSR 18', wait_seconds => 20)");
    let again = format!("INSERT INTO {schema}.orders VALUES (4, 42, 1), (5, 142, 1), (6, 4, 2)");
    assert_eq!(held_up(&server, sql.clone(), &again).await, "erased with residuals");
    let told = document(&admin).await;
    let residuals = told["residuals"].as_array().unwrap();
    assert!(!residuals.is_empty(), "{told:#}");
    for residual in residuals {
        assert!(residual["where"].as_str().unwrap().ends_with(".orders"), "{residuals:#?}");
        assert_eq!(residual["what"]["encoding"], "value of a subject's column", "{residuals:#?}");
    }
    let subjects: Vec<&Value> = told["subjects"].as_array().unwrap().iter().collect();
    let [asked, alias] = subjects.as_slice() else { panic!("{told:#}") };
    assert_eq!((asked["searched_in_bytes"].as_bool(), asked["searched_as_value"].as_bool()), (Some(false), Some(true)));
    assert!(asked["looked_for_in"].to_string().contains("values of the subject's columns"), "{told:#}");
    assert_eq!((alias["searched_in_bytes"].as_bool(), alias["searched_as_value"].as_bool()), (Some(false), Some(false)));
    assert!(told["not_looked_at"].to_string().contains("1 identifier"), "{told:#}");

    let done = admin.rows(&sql).await.unwrap();
    assert_eq!(done.last().unwrap()[2], "erased", "{}", certificate(&admin).await);
    assert_eq!(admin.value("SELECT string_agg(customer_id::text, ',' ORDER BY order_id) FROM orders").await.unwrap(), "43,142,4");
}
