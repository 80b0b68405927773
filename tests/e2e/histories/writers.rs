//! Writers of all kinds over several tables through two gateways that are killed: each knows what it may find of its own rows in the end,
//! down to the counts that it was told; both gateways and python `deltalake` find just that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use bytes::Bytes;
use futures::SinkExt as _;
use lakegate_tests::client::{Client, sqlstate_of};
use lakegate_tests::server::{Options, Server};
use lakegate_tests::tools::python;
use rand::Rng as _;

use super::{ABORTS, connect, kill_and_restart};
use crate::definitions::folders_of;
use crate::{gateways, support};

const TABLES: usize = 4;
const WRITERS: i64 = 8;

/// Rows of one statement of those that write many.
const BATCH: i64 = 20;

/// Ids from here on, of each writer's thousand million, are of rows in two tables, which nobody changes.
const PAIRS: i64 = 500_000_000;

/// What a row may be in the end: `None` where it may be gone. Only its own writer ever changes it.
type Possible = BTreeSet<Option<i64>>;

/// A writer's own rows, by table and id.
type Rows = BTreeMap<(usize, i64), Possible>;

struct Yard {
    stop: AtomicBool,
    servers: RwLock<[Option<Server>; 2]>,
    expected: Mutex<Vec<Rows>>,
    /// Rows that were written to two tables in one transaction.
    pairs: Mutex<Vec<[(usize, i64); 2]>>,
    acknowledged: Mutex<BTreeMap<&'static str, usize>>,
    failures: Mutex<Vec<String>>,
}

/// `LAKEGATE_WRITERS_SECONDS` lets them write longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_of_all_kinds_through_two_gateways_that_are_killed() {
    let seconds = std::env::var("LAKEGATE_WRITERS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let folder = tempfile::tempdir().unwrap();
    let options: [Options; 2] =
        gateways::options_over(support::postgres(), folder.path()).map(|options| options.environment("LAKEGATE_MAINTENANCE_SECONDS", "1"));
    let servers = options.clone().map(|options| Some(Server::start(&options).unwrap()));
    let client = Client::admin(servers[0].as_ref().unwrap()).await.unwrap();
    for table in 0..TABLES {
        let partitioned = if table == 3 { " PARTITIONED BY (who)" } else { "" };
        let sql = format!("CREATE TABLE yard_{table} (id bigint PRIMARY KEY, n bigint, who bigint CHECK (who >= 0)){partitioned}");
        client.batch_execute(&sql).await.unwrap();
    }
    drop(client);
    let yard = Arc::new(Yard {
        stop: AtomicBool::new(false),
        servers: RwLock::new(servers),
        expected: Mutex::default(),
        pairs: Mutex::default(),
        acknowledged: Mutex::default(),
        failures: Mutex::default(),
    });
    let mut workers = tokio::task::JoinSet::new();
    for who in 0..WRITERS {
        workers.spawn(write(Arc::clone(&yard), who));
    }
    workers.spawn(watch(Arc::clone(&yard)));
    workers.spawn(tidy(Arc::clone(&yard)));
    let kills = kill_and_restart(&yard.servers, &options, Duration::from_secs(seconds)).await;
    yard.stop.store(true, Ordering::SeqCst);
    while workers.join_next().await.transpose().unwrap().is_some() {}
    let rows = check(&yard, folder.path()).await;
    let acknowledged = yard.acknowledged.lock().unwrap().clone();
    let failures = yard.failures.lock().unwrap();
    println!("{kills} kills, {rows} rows, acknowledged {acknowledged:?}");
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert!(acknowledged.len() >= 7 && acknowledged.values().sum::<usize>() >= 40 && kills >= 2, "too little happened: {acknowledged:?}");
}

impl Yard {
    fn fail(&self, text: String) {
        self.failures.lock().unwrap().push(text);
    }

    fn note(&self, kind: &'static str) {
        *self.acknowledged.lock().unwrap().entry(kind).or_default() += 1;
    }
}

/// What became of a statement or transaction.
enum Came {
    /// The counts that the statements told.
    Done(Vec<u64>),
    /// For certain nothing.
    Nothing,
    Unknown,
}

/// What is asked of a row, and what the row then is.
struct Step {
    table: usize,
    sql: String,
    rows: Vec<(i64, Option<i64>)>,
    /// Rows that are there already are counted, too, and changed.
    counts: Counts,
}

#[derive(Clone, Copy, PartialEq)]
enum Counts {
    /// One for each.
    All,
    /// One for each that is there.
    There,
}

async fn write(yard: Arc<Yard>, who: i64) {
    let (mut rows, mut next, mut client) = (Rows::new(), who * 1_000_000_000, None);
    while !yard.stop.load(Ordering::SeqCst) {
        let Some(open) = client.take() else {
            client = connect(&yard.servers).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (kind, steps) = any_change(who, &rows, &mut next);
        let came = run(&open, kind, &steps).await;
        if matches!(came, Came::Done(_)) {
            yard.note(kind);
        }
        if let [one, two] = steps.as_slice()
            && let ([(first, Some(_))], [(second, Some(_))]) = (one.rows.as_slice(), two.rows.as_slice())
        {
            yard.pairs.lock().unwrap().push([(one.table, *first), (two.table, *second)]);
        }
        for (at, step) in steps.iter().enumerate() {
            apply(&yard, &mut rows, step, &came, at);
        }
        let lost = matches!(came, Came::Unknown);
        if !lost || (!open.is_closed() && open.batch_execute("ROLLBACK").await.is_ok()) {
            client = Some(open);
        }
    }
    yard.expected.lock().unwrap().push(rows);
}

/// Something of the writer's own kind, or what every writer does.
fn any_change(who: i64, rows: &Rows, next: &mut i64) -> (&'static str, Vec<Step>) {
    let mut rng = rand::rng();
    let table = rng.random_range(0..TABLES);
    let mut fresh = |count: i64| -> Vec<i64> {
        *next += count;
        (*next - count..*next).collect()
    };
    let own: Vec<i64> = rows.keys().filter(|(of, id)| *of == table && id % 1_000_000_000 < PAIRS).map(|(_, id)| *id).collect();
    let value = rng.random_range(0..1_000_000_i64);
    let kind = if own.len() < 30 {
        rng.random_range(0..3)
    } else if rng.random_bool(0.7) {
        who
    } else {
        rng.random_range(0..WRITERS)
    };
    let written = |ids: &[i64]| ids.iter().map(|id| (*id, Some(value))).collect::<Vec<_>>();
    let list = |ids: &[i64]| ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    let values = |ids: &[i64]| ids.iter().map(|id| format!("({id}, {value}, {who})")).collect::<Vec<_>>().join(", ");
    let step = |sql: String, rows: Vec<(i64, Option<i64>)>, counts: Counts| vec![Step { table, sql, rows, counts }];
    let mut some = |count: usize| (0..count).map(|_| own[rng.random_range(0..own.len())]).collect::<BTreeSet<i64>>();
    match kind {
        0 => {
            let ids = fresh(1);
            ("insert", step(format!("INSERT INTO yard_{table} VALUES {}", values(&ids)), written(&ids), Counts::All))
        }
        1 => {
            let ids = fresh(BATCH);
            let (first, last) = (ids[0], ids[ids.len() - 1]);
            let sql = format!("INSERT INTO yard_{table} SELECT x, {value}, {who} FROM generate_series({first}, {last}) x");
            ("insert select", step(sql, written(&ids), Counts::All))
        }
        2 => {
            let ids = fresh(BATCH);
            let lines = ids.iter().map(|id| format!("{id}\t{value}\t{who}\n")).collect();
            ("copy", step(lines, written(&ids), Counts::All))
        }
        3 => {
            let ids: Vec<i64> = some(5).into_iter().collect();
            let sql = format!("UPDATE yard_{table} SET n = {value} WHERE id IN ({})", list(&ids));
            ("update", step(sql, written(&ids), Counts::There))
        }
        4 => {
            let ids: Vec<i64> = some(3).into_iter().collect();
            let sql = format!("DELETE FROM yard_{table} WHERE id IN ({})", list(&ids));
            ("delete", step(sql, ids.iter().map(|id| (*id, None)).collect(), Counts::There))
        }
        5 => {
            let mut ids: Vec<i64> = some(4).into_iter().collect();
            ids.extend(fresh(3));
            let sql = format!(
                "MERGE INTO yard_{table} t USING (VALUES {}) s (id, n, who) ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = s.n \
                 WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.n, s.who)",
                values(&ids)
            );
            ("merge", step(sql, written(&ids), Counts::All))
        }
        6 => {
            let mut ids: Vec<i64> = some(3).into_iter().collect();
            ids.extend(fresh(2));
            let sql = format!("INSERT INTO yard_{table} VALUES {} ON CONFLICT (id) DO UPDATE SET n = excluded.n", values(&ids));
            ("upsert", step(sql, written(&ids), Counts::All))
        }
        _ => {
            let ids = [fresh(1)[0] + PAIRS];
            let two = [table, (table + 1) % TABLES].map(|table| Step {
                table,
                sql: format!("INSERT INTO yard_{table} VALUES {}", values(&ids)),
                rows: written(&ids),
                counts: Counts::All,
            });
            ("transaction", two.into())
        }
    }
}

async fn run(client: &Client, kind: &str, steps: &[Step]) -> Came {
    let result = match steps {
        [one] if kind == "copy" => copy(client, one).await.map(|count| vec![count]),
        [one] => client.execute(&one.sql, &[]).await.map(|count| vec![count]),
        several => match block(client, several).await {
            Ok(counts) => match client.batch_execute("COMMIT").await {
                Ok(()) => Ok(counts),
                Err(error) => Err(error),
            },
            // Nothing of it was to be seen before COMMIT.
            Err(_) => return Came::Nothing,
        },
    };
    match result {
        Ok(counts) => Came::Done(counts),
        Err(error) if ABORTS.contains(&sqlstate_of(&error).as_str()) => Came::Nothing,
        Err(_) => Came::Unknown,
    }
}

async fn block(client: &Client, steps: &[Step]) -> Result<Vec<u64>, tokio_postgres::Error> {
    client.batch_execute("BEGIN").await?;
    let mut counts = Vec::new();
    for step in steps {
        counts.push(client.execute(&step.sql, &[]).await?);
    }
    Ok(counts)
}

async fn copy(client: &Client, step: &Step) -> Result<u64, tokio_postgres::Error> {
    let sink = client.copy_in::<_, Bytes>(&format!("COPY yard_{} FROM STDIN", step.table)).await?;
    let mut sink = Box::pin(sink);
    sink.send(Bytes::from(step.sql.clone().into_bytes())).await?;
    sink.as_mut().finish().await
}

/// What the rows may be now; a count that cannot be is a failure.
fn apply(yard: &Yard, rows: &mut Rows, step: &Step, came: &Came, at: usize) {
    let Came::Done(counts) = came else {
        if matches!(came, Came::Unknown) {
            for (id, then) in &step.rows {
                let possible = rows.entry((step.table, *id)).or_insert_with(|| Possible::from([None]));
                // Who is not there is not changed.
                if step.counts == Counts::All || possible.iter().any(Option::is_some) {
                    possible.insert(*then);
                }
            }
        }
        return;
    };
    let (mut least, mut most) = (0, 0);
    for (id, then) in &step.rows {
        let possible = rows.entry((step.table, *id)).or_insert_with(|| Possible::from([None]));
        let (may_be, may_be_gone) = (possible.iter().any(Option::is_some), possible.contains(&None));
        most += u64::from(step.counts == Counts::All || may_be);
        least += u64::from(step.counts == Counts::All || !may_be_gone);
        *possible = match step.counts {
            Counts::All => Possible::from([*then]),
            Counts::There if !may_be_gone => Possible::from([*then]),
            Counts::There if !may_be => Possible::from([None]),
            Counts::There => Possible::from([*then, None]),
        };
    }
    let told = counts.get(at).copied().unwrap_or_default();
    if !(least..=most).contains(&told) {
        yard.fail(format!("{told} rows were acknowledged, {least} to {most} can be: {}", step.sql));
    }
}

/// Rows of two tables come and go together, for everybody, at every moment.
async fn watch(yard: Arc<Yard>) {
    let mut client = None;
    while !yard.stop.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let Some(open) = client.take() else {
            client = connect(&yard.servers).await;
            continue;
        };
        let pairs: Vec<[(usize, i64); 2]> = yard.pairs.lock().unwrap().iter().rev().take(20).copied().collect();
        if seen_together(&yard, &open, &pairs).await.is_ok() {
            client = Some(open);
        }
    }
}

async fn seen_together(yard: &Yard, client: &Client, pairs: &[[(usize, i64); 2]]) -> Result<(), tokio_postgres::Error> {
    client.batch_execute("BEGIN").await?;
    for [(one, id), (two, _)] in pairs {
        let first = client.rows(&format!("SELECT count(*) FROM yard_{one} WHERE id = {id}")).await?;
        let second = client.rows(&format!("SELECT count(*) FROM yard_{two} WHERE id = {id}")).await?;
        if first != second {
            yard.fail(format!("row {id} was seen in one of tables {one} and {two} alone"));
        }
    }
    client.batch_execute("COMMIT").await
}

/// OPTIMIZE and VACUUM beside it all; conflicts are theirs to lose.
async fn tidy(yard: Arc<Yard>) {
    while !yard.stop.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let Some(client) = connect(&yard.servers).await else { continue };
        let table = rand::rng().random_range(0..TABLES);
        let _ = client.batch_execute(&format!("OPTIMIZE yard_{table}")).await;
        let _ = client.batch_execute(&format!("VACUUM yard_{table}")).await;
    }
}

/// How many rows there are in the end.
async fn check(yard: &Yard, folder: &std::path::Path) -> usize {
    let servers = std::mem::take(&mut *yard.servers.write().unwrap());
    let mut pictures: Vec<BTreeMap<(usize, i64), i64>> = Vec::new();
    for server in &servers {
        let client = Client::admin(server.as_ref().unwrap()).await.unwrap();
        let mut picture = BTreeMap::new();
        for table in 0..TABLES {
            for row in client.rows(&format!("SELECT id, n FROM yard_{table}")).await.unwrap() {
                if picture.insert((table, row[0].parse().unwrap()), row[1].parse().unwrap()).is_some() {
                    yard.fail(format!("a row is there twice: {table} {row:?}"));
                }
            }
        }
        pictures.push(picture);
    }
    let mut by_python = BTreeMap::new();
    for table in 0..TABLES {
        let found = folders_of(&folder.join("warehouse"), &format!("yard_{table}"));
        assert_eq!(found.len(), 1, "{found:?}");
        for line in python("py/read_table.py", &[&found[0].display().to_string(), "id"], &[]).unwrap().lines() {
            let parts: Vec<i64> = line.split('|').map(|part| part.parse().unwrap()).collect();
            by_python.insert((table, parts[0]), parts[1]);
        }
    }
    assert_eq!(pictures[0], pictures[1], "the gateways do not agree");
    assert_eq!(pictures[0], by_python, "python deltalake does not agree");
    let mut expected: Rows = yard.expected.lock().unwrap().drain(..).flatten().collect();
    for (key, value) in &by_python {
        match expected.remove(key) {
            Some(possible) if possible.contains(&Some(*value)) => {}
            other => yard.fail(format!("row {key:?} is {value}, and may be {other:?}")),
        }
    }
    for [one, two] in yard.pairs.lock().unwrap().iter() {
        if by_python.contains_key(one) != by_python.contains_key(two) {
            yard.fail(format!("of {one:?} and {two:?}, written in one transaction, one is there"));
        }
    }
    for (key, possible) in &expected {
        if !possible.contains(&None) {
            yard.fail(format!("row {key:?} is gone, and may be {possible:?}"));
        }
    }
    by_python.len()
}
