//! Rules over the logs: the pack against events that it must and must not find, and the way of a finding.

use std::collections::BTreeMap;
use std::time::Duration;

use lakegate_tests::client::Client;
use lakegate_tests::server::{Options, Server};
use lakegate_tests::tools::eventually;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{self, in_new_schema, unique};

/// Events and near misses of each rule; the file says how.
const PACK: &str = include_str!("../detections/pack.txt");
const LISTS: [&str; 4] = ["tables_read", "tables_written", "columns_read", "tags_read"];

struct Case {
    rule: String,
    expected: Vec<String>,
    inserts: Vec<String>,
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut rule = String::new();
    for line in PACK.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("== ") {
            rule = name.to_owned();
        } else if line == "near" || line.starts_with("fires ") {
            let mut expected: Vec<String> = line.split(' ').skip(1).map(str::to_owned).collect();
            expected.sort();
            cases.push(Case { rule: rule.clone(), expected, inserts: Vec::new() });
        } else {
            let case = cases.last_mut().unwrap();
            let so_far = case.inserts.len();
            case.inserts.extend(inserts(line, so_far));
        }
    }
    cases
}

/// `audit x3 at=-5m+1s column=value …`
fn inserts(line: &str, so_far: usize) -> Vec<String> {
    let (log, rest) = line.split_once(" x").unwrap();
    let (times, rest) = rest.split_once(' ').unwrap();
    let fields = fields(rest);
    let one = |n: usize| {
        let (id, time) = if log == "audit" { ("event_id", "event_time") } else { ("statement_id", "start_time") };
        let (base, step) = fields["at"].split_once('+').unwrap_or((&fields["at"], "0s"));
        let at = seconds(base) + i64::try_from(n).unwrap() * seconds(step);
        let mut values =
            BTreeMap::from([(id.to_owned(), format!("'{}'", so_far + n)), (time.to_owned(), format!("now() + interval '{at} seconds'"))]);
        if log == "history" {
            values.extend(LISTS.iter().map(|list| ((*list).to_owned(), "'{}'".to_owned())));
        }
        for (column, value) in fields.iter().filter(|(column, _)| *column != "at") {
            let value = value.replace("{n}", &n.to_string());
            let value = match LISTS.contains(&column.as_str()) {
                true => format!("{{{}}}", value.trim_matches(['[', ']']).replace(';', ",")),
                false => value,
            };
            values.insert(column.clone(), format!("'{value}'"));
        }
        let columns: Vec<&str> = values.keys().map(String::as_str).collect();
        let values: Vec<&str> = values.values().map(String::as_str).collect();
        format!("INSERT INTO {log} ({}) VALUES ({})", columns.join(", "), values.join(", "))
    };
    (0..times.parse().unwrap()).map(one).collect()
}

/// Values may be quoted; an object goes to the end of the line.
fn fields(mut rest: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    while let Some((name, after)) = rest.split_once('=') {
        let (value, left) = match after.as_bytes().first() {
            Some(b'"') => after[1..].split_once('"').unwrap(),
            Some(b'{') => (after, ""),
            _ => after.split_once(' ').unwrap_or((after, "")),
        };
        fields.insert(name.trim().to_owned(), value.to_owned());
        rest = left.trim_start();
    }
    fields
}

fn seconds(text: &str) -> i64 {
    let (number, unit) = text.split_at(text.len() - 1);
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        other => panic!("{other}"),
    };
    number.parse::<i64>().unwrap() * unit
}

#[tokio::test]
async fn the_pack_finds_what_it_must_and_nothing_near_it() {
    let (client, schema) = in_new_schema(support::server()).await;
    client
        .batch_execute(
            "CREATE TABLE audit (event_id text, event_time timestamptz, actor text, action_name text, status text, sqlstate text, \
             source_ip_address text, client_application text, auth_method text, object_type text, object_name text, request_params jsonb); \
             CREATE TABLE history (statement_id text, session_id text, start_time timestamptz, executed_by text, statement_type text, \
             execution_status text, sqlstate text, source_ip_address text, client_application text, statement_fingerprint text, \
             produced_rows bigint, tables_read text[], tables_written text[], columns_read text[], tags_read text[])",
        )
        .await
        .unwrap();
    let rules = client.rows("SELECT name, definition FROM system.access.detections WHERE source = 'pack' AND enabled").await.unwrap();
    assert!(rules.len() >= 23, "{}", rules.len());
    let cases = cases();
    for rule in &rules {
        let of_rule: Vec<&Case> = cases.iter().filter(|case| case.rule == rule[0]).collect();
        assert!(of_rule.iter().any(|case| case.expected.is_empty()), "{} has a near miss", rule[0]);
        assert!(of_rule.iter().any(|case| !case.expected.is_empty()), "{} has events that fire", rule[0]);
        // The log's tables in the place of the log.
        let query = rule[1]
            .replace("system.access.audit", &format!("{schema}.audit"))
            .replace("system.query.history", &format!("{schema}.history"));
        for case in of_rule {
            client.batch_execute(&format!("BEGIN; TRUNCATE audit; TRUNCATE history; {}; COMMIT", case.inserts.join("; "))).await.unwrap();
            let found = client.rows(&format!("SELECT DISTINCT actor FROM ({query}) f ORDER BY 1")).await.unwrap().concat();
            assert_eq!(found, case.expected, "{}", rule[0]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn findings_are_told_sent_and_closed() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, mut sent) = tokio::sync::mpsc::channel::<String>(2);
    let mut receiver = tokio::task::JoinSet::new();
    receiver.spawn(async move {
        // The first attempt is refused: it comes again.
        for (number, answer) in ["503 Busy", "204 No Content"].into_iter().enumerate() {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            while !String::from_utf8_lossy(&bytes).contains("}]") {
                let mut some = [0; 4096];
                let count = socket.read(&mut some).await.unwrap();
                bytes.extend_from_slice(&some[..count]);
                assert!(count > 0, "{number}");
            }
            socket.write_all(format!("HTTP/1.1 {answer}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").as_bytes()).await.unwrap();
            sender.send(String::from_utf8_lossy(&bytes).into_owned()).await.unwrap();
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let sigma = folder.path().join("rules");
    std::fs::create_dir(&sigma).unwrap();
    std::fs::write(
        sigma.join("many_failures.yml"),
        "title: Failed logins\nname: failed\nlevel: high\nlogsource: {product: lakegate, service: audit}\n\
         detection:\n  s:\n    api.operation: login\n    status: denied\n  condition: s\n---\n\
         title: Three failed logins\nlevel: critical\ncorrelation:\n  type: event_count\n  rules: [failed]\n  group-by: [user.name]\n\
         \x20 timespan: 5m\n  condition: {gte: 3}\n",
    )
    .unwrap();
    let options = Options::new(&folder.path().join("data"))
        .argument("--findings-webhook")
        .argument(format!("http://{address}/"))
        .argument("--sigma-rules")
        .argument(sigma.display().to_string());
    let server = Server::start(&options).unwrap();
    let client = Client::admin(&server).await.unwrap();
    // The pack stays out of it.
    let rules = client.rows("SELECT name FROM system.access.detections WHERE source = 'pack'").await.unwrap().concat();
    for rule in rules {
        client.batch_execute(&format!("ALTER DETECTION {rule} DISABLE")).await.unwrap();
    }
    client.batch_execute("ALTER DETECTION many_failures EVERY '1 second' SUPPRESS '1 hour'").await.unwrap();
    client.batch_execute("CREATE ROLE victim LOGIN PASSWORD 'p'").await.unwrap();
    for _ in 0..3 {
        assert!(Client::login(&server, "victim", "wrong", "main").await.is_err());
    }
    let findings = "SELECT detection, severity, actor, state FROM system.access.findings";
    eventually("the finding is there", Duration::from_secs(20), async || Ok(!client.rows(findings).await?.is_empty())).await.unwrap();
    assert_eq!(client.rows(findings).await.unwrap(), [["many_failures", "critical", "victim", "open"]]);
    let first = sent.recv().await.unwrap();
    assert!(first.contains("\"actor\":\"victim\""), "{first}");
    let again = tokio::time::timeout(Duration::from_secs(40), sent.recv()).await.unwrap().unwrap();
    assert!(again.contains("\"actor\":\"victim\""));
    let id = client.value("SELECT finding_id FROM system.access.findings").await.unwrap();
    client.batch_execute(&format!("ALTER FINDING '{id}' ACKNOWLEDGE")).await.unwrap();
    client.batch_execute(&format!("ALTER FINDING '{id}' CLOSE")).await.unwrap();
    assert_eq!(client.value("SELECT state FROM system.access.findings").await.unwrap(), "closed");
    // The same events make no second one.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(client.value("SELECT count(*) FROM system.access.findings").await.unwrap(), "1");
    // Over the past.
    let hunted = client.rows("HUNT many_failures").await.unwrap();
    assert_eq!(hunted.iter().map(|row| row[1].as_str()).collect::<Vec<_>>(), ["victim"]);
    // Nobody but auditors.
    let victim = Client::login(&server, "victim", "p", "main").await.unwrap();
    assert_eq!(victim.value("SELECT count(*) FROM system.access.findings").await.unwrap(), "0");
    assert_eq!(victim.value("SELECT count(*) FROM system.access.detections").await.unwrap(), "0");
    for denied in
        ["CREATE DETECTION d AS SELECT 'x' AS actor", "ALTER DETECTION mass_read DISABLE", "HUNT mass_read", "DROP DETECTION mass_read"]
    {
        assert_eq!(victim.sqlstate(denied).await, "42501", "{denied}");
    }
}

#[tokio::test]
async fn detections_are_made_changed_and_dropped() {
    let (client, _) = in_new_schema(support::server()).await;
    let name = unique("rule");
    let query = "SELECT actor, event_time AS first_event_time FROM system.access.audit WHERE action_name = 'nothing of the kind'";
    client
        .batch_execute(&format!("CREATE DETECTION {name} SEVERITY low EVERY '5 minutes' WINDOW '2 hours' THRESHOLD 3 AS {query}"))
        .await
        .unwrap();
    let shown = format!(
        "SELECT severity, every, lookback, threshold, enabled, source, definition FROM system.access.detections WHERE name = '{name}'"
    );
    assert_eq!(client.rows(&shown).await.unwrap(), [["low", "300", "7200", "3", "t", "user", query]]);
    assert_eq!(client.sqlstate(&format!("CREATE DETECTION {name} AS {query}")).await, "42710");
    client.batch_execute(&format!("CREATE OR REPLACE DETECTION {name} SEVERITY critical AS {query}")).await.unwrap();
    client.batch_execute(&format!("ALTER DETECTION {name} DISABLE")).await.unwrap();
    assert_eq!(client.rows(&shown).await.unwrap()[0][..5], ["critical", "60", "86400", "1", "f"]);
    client.batch_execute(&format!("DROP DETECTION {name}")).await.unwrap();
    assert_eq!(client.sqlstate(&format!("DROP DETECTION {name}")).await, "42704");
    client.batch_execute(&format!("DROP DETECTION IF EXISTS {name}")).await.unwrap();
    for (statement, state) in [
        ("CREATE DETECTION x AS SELECT 1 AS a", "42703"),
        ("CREATE DETECTION x AS SELECT nothing AS actor FROM system.access.audit", "42703"),
        ("CREATE DETECTION x SEVERITY odd AS SELECT 'a' AS actor", "22023"),
        ("CREATE DETECTION x EVERY 'odd' AS SELECT 'a' AS actor", "22007"),
        ("CREATE DETECTION x FROM SIGMA 'a: ['", "22023"),
        ("CREATE DETECTION x FROM SIGMA $$\ndetection:\n  s: {user|base64: a}\n  condition: s$$", "0A000"),
        ("CREATE DETECTION x AS DELETE FROM t", "42601"),
        ("DROP DETECTION mass_read", "22023"),
        ("ALTER FINDING 'x' CLOSE", "22P02"),
        ("ALTER FINDING '00000000-0000-0000-0000-000000000000' CLOSE", "22023"),
        ("HUNT none_such", "42704"),
        ("HUNT mass_read SINCE 'x'", "22007"),
    ] {
        assert_eq!(client.sqlstate(statement).await, state, "{statement}");
    }
    let told =
        format!("SELECT action_name FROM system.access.audit WHERE object_name = '{name}' AND status = 'success' ORDER BY event_time");
    let told = client.rows(&told).await.unwrap().concat();
    assert_eq!(told, ["create_detection", "create_detection", "alter_detection", "drop_detection", "drop_detection"]);
}

/// Each type of correlation over records of this server.
#[tokio::test]
async fn sigma_correlations_run() {
    let (client, _) = in_new_schema(support::server()).await;
    let role = unique("sigma");
    client.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'p'; CREATE TABLE tagged (a int); ALTER TABLE tagged SET TAGS ('pii' = '{role}'); GRANT SELECT ON tagged TO PUBLIC")).await.unwrap();
    let schema = client.value("SELECT current_schema()").await.unwrap();
    client.batch_execute(&format!("GRANT USAGE ON SCHEMA {schema} TO PUBLIC")).await.unwrap();
    for _ in 0..2 {
        assert!(Client::login(support::server(), &role, "wrong", "main").await.is_err());
    }
    let reader = Client::login(support::server(), &role, "p", "main").await.unwrap();
    reader.batch_execute(&format!("SELECT a FROM {schema}.tagged")).await.unwrap();
    let failed = format!(
        "name: failed\nlogsource: {{product: lakegate, service: audit}}\ndetection:\n  s:\n    action_name: login\n    status: denied\n    user: '{role}'\n  condition: s\n---\n"
    );
    let entered = format!(
        "name: entered\nlogsource: {{product: lakegate, service: audit}}\ndetection:\n  s:\n    action_name|startswith: log\n    status: success\n    user: {role}\n  f:\n    action_name: logout\n  condition: s and not f\n---\n"
    );
    let read = format!(
        "name: read\nlogsource: {{product: lakegate, service: query_history}}\ndetection:\n  s:\n    tags_read|contains: {role}\n    execution_status: FINISHED\n  condition: 1 of s*\n---\n"
    );
    let correlation = |kind: &str, rules: &str, condition: &str| {
        format!("correlation:\n  type: {kind}\n  rules: [{rules}]\n  group-by: [user]\n  timespan: 10m\n{condition}")
    };
    for (number, (yaml, fires)) in [
        (failed.clone(), true),
        (read.clone(), true),
        (failed.replace("denied", "success"), true),
        (failed.replace("denied", "nothing"), false),
        (format!("{failed}{}", correlation("event_count", "failed", "  condition: {gte: 2}")), true),
        (format!("{failed}{}", correlation("event_count", "failed", "  condition: {gt: 2}")), false),
        (format!("{failed}{}", correlation("value_count", "failed", "  condition: {field: metadata.uid, gte: 2}")), true),
        (format!("{failed}{}", correlation("value_count", "failed", "  condition: {field: src_ip, gte: 2}")), false),
        (format!("{failed}{entered}{read}{}", correlation("temporal", "read, failed, entered", "")), true),
        (format!("{failed}{entered}{read}{}", correlation("temporal_ordered", "failed, entered, read", "")), true),
        (format!("{failed}{entered}{read}{}", correlation("temporal_ordered", "read, entered, failed", "")), false),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("{role}_{number}");
        client.batch_execute(&format!("CREATE DETECTION {name} FROM SIGMA $sigma${yaml}$sigma$")).await.unwrap();
        client.batch_execute(&format!("ALTER DETECTION {name} DISABLE")).await.unwrap();
        let actors = eventually_hunted(&client, &name, fires).await;
        assert_eq!(actors, if fires { vec![role.clone()] } else { vec![] }, "{yaml}");
    }
}

/// The end of a statement is written a moment after its answer.
async fn eventually_hunted(client: &Client, name: &str, fires: bool) -> Vec<String> {
    let since = client.value("SELECT now() - interval '3 minutes'").await.unwrap();
    for _ in 0..20 {
        let hunted = client.rows(&format!("HUNT {name} SINCE '{since}'")).await.unwrap();
        if !hunted.is_empty() || !fires {
            return hunted.into_iter().map(|row| row[1].clone()).collect();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Vec::new()
}
