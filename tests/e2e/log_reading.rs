//! The logs as relations: whatever of them a query asks for, it gets the records that it would find among all of them.

use lakegate_tests::client::Client;
use lakegate_tests::server::{Options, Server};

#[tokio::test]
async fn parts_of_the_logs_are_those_of_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&Options::new(&folder.path().join("data"))).unwrap();
    let client = Client::admin(&server).await.unwrap();
    client.batch_execute("CREATE ROLE other LOGIN PASSWORD 'p'").await.unwrap();
    let other = Client::login(&server, "other", "p", "main").await.unwrap();
    // More than the first parts that are read.
    for n in 0..700 {
        let of = if n % 7 == 0 { &other } else { &client };
        of.rows(&format!("SELECT {n}")).await.unwrap();
    }
    // What is asked from here on is outside of it.
    let end = client.value("SELECT clock_timestamp()").await.unwrap();
    let all = format!("(SELECT * FROM system.query.history WHERE start_time + interval '0' < '{end}') AS h");
    let logged = client.rows(&format!("SELECT statement_id, start_time FROM {all} ORDER BY start_time + interval '0'")).await.unwrap();
    assert!(logged.len() > 700);
    let [early, late] = [100, 600].map(|place: usize| logged[place][1].clone());
    let (id, session) = (logged[333][0].clone(), client.value("SELECT session_id FROM system.query.history LIMIT 1").await.unwrap());
    let before = format!("start_time < '{end}'");
    for (conditions, rest) in [
        (before.clone(), "ORDER BY start_time DESC LIMIT 5".to_owned()),
        (before.clone(), "ORDER BY start_time DESC LIMIT 300 OFFSET 100".to_owned()),
        (before.clone(), "ORDER BY start_time LIMIT 5".to_owned()),
        (format!("start_time >= '{early}' AND start_time <= '{late}'"), "ORDER BY start_time".to_owned()),
        (format!("start_time > '{early}' AND '{late}' > start_time"), "ORDER BY start_time".to_owned()),
        (format!("start_time = '{early}'"), String::new()),
        (format!("start_time < '{early}' OR start_time > '{late}' AND {before}"), "ORDER BY start_time".to_owned()),
        (format!("statement_id = '{id}'"), String::new()),
        (format!("statement_id IN ('{id}', '{}')", logged[5][0]), "ORDER BY start_time".to_owned()),
        (format!("session_id = '{session}' AND {before}"), "ORDER BY start_time DESC LIMIT 600".to_owned()),
        (format!("executed_by = 'other' AND {before}"), "ORDER BY start_time DESC LIMIT 10".to_owned()),
    ] {
        let part = client.rows(&format!("SELECT statement_id, statement_text FROM system.query.history WHERE {conditions} {rest}")).await;
        // Nothing of this is for the log to answer.
        let rest = rest.replace("start_time", "start_time + interval '0'");
        let conditions = conditions.replace("start_time", "(h.start_time + interval '0')").replace("_id", "_id::text || ''");
        let whole = client.rows(&format!("SELECT statement_id, statement_text FROM {all} WHERE {conditions} {rest}")).await;
        let part = part.unwrap();
        assert!(!part.is_empty(), "{conditions}");
        assert_eq!(part, whole.unwrap(), "{conditions} {rest}");
    }
    let plan =
        client.rows("EXPLAIN SELECT statement_id FROM system.query.history ORDER BY start_time DESC LIMIT 5").await.unwrap().concat();
    assert!(!plan.join("\n").contains("Sort"), "{plan:?}");
    // No text is asked for, none is opened.
    let openings = "SELECT count(*) FROM system.access.audit WHERE action_name = 'decrypt'";
    let before = client.value(openings).await.unwrap();
    client.rows("SELECT statement_id, executed_by, start_time FROM system.query.history").await.unwrap();
    client.rows("SELECT count(*) FROM system.query.history").await.unwrap();
    assert_eq!(client.value(openings).await.unwrap(), before);
    client.rows("SELECT statement_text FROM system.query.history WHERE executed_by = 'other'").await.unwrap();
    assert_ne!(client.value(openings).await.unwrap(), before);
    let logins =
        "SELECT count(*), count(event_id) FROM system.access.audit WHERE action_name = 'login' AND event_time > now() - interval '1 hour'";
    assert_eq!(client.rows(logins).await.unwrap(), [["2", "2"]]);
    // Planned once, it sees what is new.
    let newest =
        "SELECT statement_text FROM system.query.history WHERE statement_text LIKE 'SELECT ''mark %' ORDER BY start_time DESC LIMIT 1";
    let newest = client.prepare(newest).await.unwrap();
    for n in 0..3 {
        client.rows(&format!("SELECT 'mark {n}'")).await.unwrap();
        let row = client.query_one(&newest, &[]).await.unwrap();
        assert_eq!(row.get::<_, String>(0), format!("SELECT 'mark {n}'"));
    }
}
