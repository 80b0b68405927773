//! What a restricted role can find out about rows and values that policies and masks hide: nothing.
//!
//! Queries are generated, and run as that role over two schemas whose visible rows are the same: in one the hidden rows carry canaries, in
//! the other there are no hidden rows. No byte that comes back holds a piece of a canary, and both schemas answer alike.
//! `LAKEGATE_LEAK_QUERIES` sets how many (300), `LAKEGATE_LEAK_SEED` plays a run again.

use std::fmt::Write as _;

use lakegate_tests::client::Client;
use lakegate_tests::server::{Options, Server};
use lakegate_tests::wire::{self, Message, Target, Wire};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// Of hidden rows; no statement has a piece of them.
const CANARIES: [&str; 3] = ["qzxjvkwpyfgh", "918273645", "1903-07-09"];
/// Stored in the masked column of every row.
const MASKED: &str = "wvbnkxqjtzrd";
/// How much of a canary is taken for a leak, in characters.
const PIECE: usize = 6;
/// The same in files.
const WHOLE: usize = 9;

const SCHEMAS: [&str; 2] = ["leak_a", "leak_b"];

#[tokio::test]
async fn nothing_of_hidden_rows_comes_back() {
    let count: usize = std::env::var("LAKEGATE_LEAK_QUERIES").ok().and_then(|text| text.parse().ok()).unwrap_or(300);
    let seed = std::env::var("LAKEGATE_LEAK_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    println!("LAKEGATE_LEAK_SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&Options::new(&data)).unwrap();
    prepare(&server).await;
    let target = Target { user: "mole".to_owned(), password: "p".to_owned(), ..Target::of_server(&server) };
    let mut connection = Wire::login(&target, true, &[("statement_timeout", "20000")]).await.unwrap();
    let mut generator = Generator { random: StdRng::seed_from_u64(seed) };
    let (mut succeeded, mut compared, mut leaks) = (0, 0, Vec::new());
    for number in 0..count {
        let statement = generator.statement();
        let mut answers = Vec::new();
        for schema in SCHEMAS {
            let messages = match run(&mut connection, schema, &statement).await {
                Ok(messages) => messages,
                Err(error) => panic!("{number}: {error}: {}", statement.sql),
            };
            for message in &messages {
                if let Some(found) = piece_in(&message.body) {
                    leaks.push(format!("{found:?} in {}: {}", char::from(message.tag), statement.sql));
                }
            }
            answers.push(Answer::of(&messages, schema));
        }
        succeeded += usize::from(answers[0].error.is_none());
        if statement.comparable {
            compared += 1;
            if answers[0] != answers[1] {
                leaks.push(format!("answers differ: {}\n  {:?}\n  {:?}", statement.sql, answers[0], answers[1]));
            }
        }
    }
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
    println!("{count} statements, {succeeded} without error, {compared} compared");
    assert!(succeeded * 4 > count, "{succeeded} of {count} statements succeeded: the generator is of no use");
    drop(connection);
    drop(server);
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            // Identifiers and digests by the hundred thousand: six digits stand in one of them sooner or later.
            assert_eq!(found_in(&bytes, WHOLE), None, "{}", path.display());
        }
    }
}

/// The tables, in both schemas; the same visible rows.
async fn prepare(server: &Server) {
    let admin = Client::admin(server).await.unwrap();
    admin.batch_execute("CREATE ROLE mole LOGIN PASSWORD 'p'").await.unwrap();
    for (number, schema) in SCHEMAS.into_iter().enumerate() {
        let mut script = format!("CREATE SCHEMA {schema}; SET search_path = {schema}; GRANT USAGE, CREATE ON SCHEMA {schema} TO mole;");
        script.push_str(
            "CREATE TABLE account (id int PRIMARY KEY, tenant text NOT NULL, amount int CHECK (amount < 2000000000), code text,
                secret text, born date, place varchar(40));
             CREATE TABLE other (id int, amount int, word text);
             CREATE TABLE rights (who text, tenant text);
             INSERT INTO rights VALUES ('mole', 'own'), ('admin', 'else');
             INSERT INTO other VALUES (1, 10, 'a'), (2, 20, 'b'), (7, 70, 'c');",
        );
        let mut rows = Vec::new();
        for id in 1..=6 {
            rows.push(format!("({id}, 'own', {}, 'c{id}', '{MASKED}', date '2020-01-01' + {id}, 'town {id}')", id * 10));
        }
        if number == 0 {
            let [text, amount, date] = CANARIES;
            for id in 7..=9 {
                rows.push(format!("({id}, 'else', {amount}, '{text}', '{MASKED}', date '{date}', '{text}')"));
            }
        }
        let _ = write!(script, "INSERT INTO account VALUES {};", rows.join(", "));
        script.push_str(
            "ALTER TABLE account ENABLE ROW LEVEL SECURITY;
             CREATE POLICY own ON account USING (tenant IN (SELECT r.tenant FROM rights r WHERE r.who = current_user));
             ALTER TABLE account ALTER COLUMN secret SET MASK ('***' || length(value)::text);
             CREATE VIEW seen WITH (security_invoker = true) AS SELECT * FROM account WHERE amount > 0;
             GRANT SELECT, INSERT, UPDATE, DELETE ON account TO mole;
             GRANT SELECT ON seen, other, rights TO mole;
             ANALYZE account;",
        );
        admin.batch_execute(&script).await.unwrap();
    }
}

fn piece_in(bytes: &[u8]) -> Option<String> {
    found_in(bytes, PIECE)
}

/// The first of the pieces of this many characters, or of a whole canary where that is shorter.
fn found_in(bytes: &[u8], length: usize) -> Option<String> {
    let lower: Vec<u8> = bytes.to_ascii_lowercase();
    let pieces = CANARIES.iter().chain([&MASKED]).flat_map(|canary| {
        let backward: String = canary.chars().rev().collect();
        [(*canary).to_owned(), backward]
    });
    let pieces: Vec<String> = pieces
        .flat_map(|canary| {
            let length = length.min(canary.len());
            (0..=canary.len() - length).map(move |at| canary[at..at + length].to_owned()).collect::<Vec<_>>()
        })
        .collect();
    pieces.into_iter().find(|piece| lower.windows(piece.len()).any(|window| window == piece.as_bytes()))
}

/// What must be the same whatever is hidden.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    rows: Vec<String>,
    error: Option<String>,
}

impl Answer {
    /// `schema`: its name may be in a plan.
    fn of(messages: &[Message], schema: &str) -> Answer {
        let rows = messages.iter().filter(|message| matches!(message.tag, b'D' | b'd'));
        let mut rows: Vec<String> = rows.map(|message| without_counts(&String::from_utf8_lossy(text_of(message)), schema)).collect();
        rows.sort();
        let error =
            messages.iter().find(|message| message.tag == b'E').map(|error| wire::error_field(&error.body, b'C').unwrap_or_default());
        // Of rows that came before an error how many there are is a matter of speed.
        if error.is_some() {
            rows.clear();
        }
        Answer { rows, error }
    }
}

/// A row of DataRow without the lengths of its values, or a line of COPY.
fn text_of(message: &Message) -> &[u8] {
    if message.tag == b'D' { message.body.get(6..).unwrap_or_default() } else { &message.body }
}

/// Plans name the schema, and number what they compute once.
fn without_counts(row: &str, schema: &str) -> String {
    let mut parts = row.split("__common_expr_");
    let first = parts.next().unwrap_or_default().to_owned();
    let row = parts.fold(first, |row, part| row + part.trim_start_matches(|c: char| c.is_ascii_digit()));
    row.replace(schema, "schema")
}

struct Statement {
    sql: String,
    /// It goes by Parse, Describe, Bind and Execute.
    extended: bool,
    /// Rows are the same in any order, and nothing in them is of the moment.
    comparable: bool,
}

async fn run(connection: &mut Wire, schema: &str, statement: &Statement) -> lakegate_tests::Result<Vec<Message>> {
    connection.send(&wire::query(&format!("SET search_path = {schema}"))).await?;
    connection.until_ready().await?;
    connection.send(&wire::query("BEGIN")).await?;
    connection.until_ready().await?;
    let bytes = match statement.extended {
        false => wire::query(&statement.sql),
        true => [
            wire::parse("", &statement.sql, &[]),
            wire::describe(b'S', ""),
            wire::bind("", "", &[], &[], &[]),
            wire::execute("", 0),
            wire::bare(b'S'),
        ]
        .concat(),
    };
    connection.send(&bytes).await?;
    let messages = connection.until_ready().await?;
    connection.send(&wire::query("ROLLBACK; DEALLOCATE ALL; CLOSE ALL")).await?;
    connection.until_ready().await?;
    Ok(messages)
}

struct Generator {
    random: StdRng,
}

const TEXTS: [&str; 5] = ["code", "secret", "place", "tenant", "born::text"];
const NUMBERS: [&str; 3] = ["id", "amount", "length(code)"];

impl Generator {
    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.random.random_range(0..of.len())]
    }

    fn number(&mut self) -> i32 {
        self.random.random_range(0..80)
    }

    fn statement(&mut self) -> Statement {
        let plain = |sql: String, comparable: bool| Statement { sql, extended: false, comparable };
        match self.random.random_range(0..26) {
            0..=9 => {
                let (sql, comparable) = self.query();
                Statement { sql, extended: self.random.random_bool(0.4), comparable }
            }
            10 => plain(format!("EXPLAIN {}", self.query().0), true),
            11 => plain(format!("EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, VERBOSE) {}", self.query().0), false),
            12 => plain(format!("EXPLAIN (ANALYZE, FORMAT JSON) {}", self.query().0), false),
            13 => {
                let (query, comparable) = self.query();
                plain(format!("COPY ({query}) TO STDOUT"), comparable)
            }
            14 => plain(format!("COPY account ({}) TO STDOUT", self.pick(&["id, code", "secret, amount", "born, place"])), true),
            15 => {
                let (query, _) = self.query();
                plain(format!("DECLARE c SCROLL CURSOR FOR {query}; FETCH ALL FROM c; FETCH FIRST FROM c"), false)
            }
            16 => {
                let (query, comparable) = self.query();
                plain(format!("PREPARE p AS {query}; EXECUTE p"), comparable)
            }
            17 => plain(format!("CREATE TEMP TABLE made AS {}; SELECT * FROM made", self.query().0), false),
            18 => {
                let (set, value, condition) = (self.pick(&["code", "place", "secret"]), self.text(2), self.condition(2));
                plain(format!("UPDATE account SET {set} = {value} WHERE {condition} RETURNING *"), true)
            }
            19 => {
                let (value, condition) = (self.numeric(2), self.condition(2));
                plain(format!("UPDATE account SET amount = {value} FROM other WHERE other.id = account.id AND ({condition})"), false)
            }
            20 => plain(format!("DELETE FROM account WHERE {} RETURNING id, code, secret", self.condition(2)), true),
            21 => {
                let (key, value) = (self.random.random_range(1..7), self.text(1).replace("code", "account.code"));
                let value = value.replace("secret", "account.secret").replace("place", "account.place");
                let sql = format!(
                    "INSERT INTO account (id, tenant, amount) VALUES ({key}, 'own', 1) ON CONFLICT (id) DO UPDATE SET code = {value} RETURNING *"
                );
                plain(sql, false)
            }
            22 => {
                let (condition, value) = (self.numeric(1).replace("id", "account.id"), self.number());
                plain(
                    format!(
                        "MERGE INTO account USING other ON account.id = other.id WHEN MATCHED AND {condition} > {value} THEN UPDATE SET code = secret \
                         WHEN NOT MATCHED THEN INSERT (id, tenant, amount) VALUES (other.id + 100, 'own', other.amount)"
                    ),
                    false,
                )
            }
            23 => plain(format!("SELECT {} FROM account VERSION AS OF {}", self.text(1), self.random.random_range(0..2)), false),
            24 => {
                let of_catalogs = [
                    "DESCRIBE HISTORY account",
                    "DESCRIBE DETAIL account",
                    "SELECT * FROM pg_stats WHERE tablename = 'account'",
                    "SELECT reltuples, relpages FROM pg_class WHERE relname = 'account'",
                    "SELECT * FROM system.query.history ORDER BY start_time DESC LIMIT 3",
                    "SELECT * FROM system.information_schema.column_masks",
                    "SELECT * FROM pg_policies",
                    "SELECT pg_relation_size('account'), pg_total_relation_size('account')",
                    "SELECT attname, attstattarget FROM pg_attribute WHERE attrelid = 'account'::regclass",
                    "TABLE account",
                    "SELECT account FROM account",
                    "SELECT row_to_json(account) FROM account",
                    "SET row_security = off; SELECT * FROM account; RESET row_security",
                    "ALTER TABLE account DISABLE ROW LEVEL SECURITY",
                    "ALTER TABLE account ALTER COLUMN secret DROP MASK",
                    "INSERT INTO account SELECT id, 'else', amount, code, secret, born, place FROM account",
                    "INSERT INTO account SELECT id + 100, tenant, amount + 2000000000, code, secret, born, place FROM account",
                    "SELECT * FROM account FOR UPDATE",
                    "LOCK TABLE account; SELECT count(*) FROM account",
                ];
                plain(self.pick(&of_catalogs).to_owned(), false)
            }
            _ => {
                let (query, value) = (self.query().0, self.number());
                plain(format!("WITH x AS ({query}), y AS (SELECT count(*) AS n FROM x) SELECT n, 100 / (n - {value}) FROM y"), true)
            }
        }
    }

    /// A query, and whether its rows are the same each time.
    fn query(&mut self) -> (String, bool) {
        let (from, condition) = (self.from(), self.condition(3));
        match self.random.random_range(0..10) {
            0..=3 => (format!("SELECT {}, {} FROM {from} WHERE {condition}", self.text(3), self.numeric(3)), true),
            4 => (format!("SELECT * FROM {from} WHERE {condition}"), true),
            5 => {
                let aggregates = [
                    "count(*)",
                    "max(code)",
                    "min(secret)",
                    "sum(amount)",
                    "avg(amount)",
                    "string_agg(code, ',' ORDER BY id)",
                    "array_agg(place ORDER BY id)",
                    "count(DISTINCT tenant)",
                    "bool_or(amount > 70)",
                    "max(born)",
                    "json_agg(code ORDER BY id)",
                ];
                let (one, other) = (self.pick(&aggregates), self.pick(&aggregates));
                (format!("SELECT {one}, {other} FROM account WHERE {condition}"), true)
            }
            6 => {
                let (key, limit) = (self.text(2), self.number());
                (
                    format!("SELECT {key}, count(*), max(amount) FROM account WHERE {condition} GROUP BY 1 HAVING count(*) > {limit} - 60"),
                    true,
                )
            }
            7 => {
                let windows = [
                    "row_number() OVER (ORDER BY id)",
                    "lag(code) OVER (ORDER BY id)",
                    "sum(amount) OVER ()",
                    "first_value(secret) OVER (ORDER BY id DESC)",
                    "count(*) OVER (PARTITION BY tenant)",
                    "ntile(3) OVER (ORDER BY id)",
                    "max(place) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING)",
                ];
                (format!("SELECT id, {} FROM account WHERE {condition}", self.pick(&windows)), true)
            }
            8 => {
                let op = self.pick(&["UNION", "UNION ALL", "EXCEPT", "INTERSECT"]);
                (format!("SELECT {} FROM account WHERE {condition} {op} SELECT word FROM other", self.text(1)), true)
            }
            _ => {
                let order = self.text(1);
                (format!("SELECT id, code, secret FROM account WHERE {condition} ORDER BY {order}, id LIMIT {}", self.number()), true)
            }
        }
    }

    /// With the columns of `account` in it, once each.
    fn from(&mut self) -> String {
        let condition = self.random.random_range(0..80);
        match self.random.random_range(0..8) {
            0..=2 => "account".to_owned(),
            3 => "seen AS account".to_owned(),
            4 => "(SELECT * FROM account OFFSET 0) AS account".to_owned(),
            5 => format!("account CROSS JOIN (SELECT max(o.amount) AS most FROM other o WHERE o.amount < {condition}) AS extra"),
            6 => "account LEFT JOIN LATERAL (SELECT o.word FROM other o WHERE o.id = account.id) AS extra ON true".to_owned(),
            _ => "account JOIN (SELECT b.id AS bid, b.code AS bcode FROM account b) AS b ON b.bid >= account.id".to_owned(),
        }
    }

    fn text(&mut self, depth: usize) -> String {
        if depth == 0 || self.random.random_bool(0.25) {
            return self.pick(&TEXTS).to_owned();
        }
        let inner = self.text(depth - 1);
        let number = self.random.random_range(1..6);
        match self.random.random_range(0..18) {
            0 => format!("upper({inner})"),
            1 => format!("substr({inner}, {number}, 4)"),
            2 => format!("regexp_replace({inner}, '(.)', '\\1\\1')"),
            3 => format!("md5({inner})"),
            4 => format!("reverse({inner})"),
            5 => format!("concat({inner}, '-', {})", self.text(depth - 1)),
            6 => format!("format('%s:%s', {inner}, id)"),
            7 => format!("encode(({inner})::bytea, 'base64')"),
            8 => format!("({inner})::int::text"),
            9 => format!("({inner})::date::text"),
            10 => format!("({inner})::uuid::text"),
            11 => format!("({inner})::json::text"),
            12 => format!("CASE WHEN {} THEN {inner} ELSE {} END", self.condition(depth - 1), self.text(depth - 1)),
            13 => format!("coalesce(nullif({inner}, 'c1'), 'none')"),
            14 => format!("(SELECT max({}) FROM account AS i WHERE i.id > {number})", self.pick(&["i.code", "i.secret", "i.place"])),
            15 => format!("split_part({inner}, ' ', {number})"),
            16 => format!("to_char(born, {inner})"),
            _ => format!("({})::text", self.numeric(depth - 1)),
        }
    }

    fn numeric(&mut self, depth: usize) -> String {
        if depth == 0 || self.random.random_bool(0.25) {
            return self.pick(&NUMBERS).to_owned();
        }
        let (inner, number) = (self.numeric(depth - 1), self.number());
        match self.random.random_range(0..9) {
            0 => format!("(100 / ({inner} - {number}))"),
            1 => format!("({inner} % (id - {number}))"),
            2 => format!("({inner} * 2147483 + {number})"),
            3 => format!("length({})", self.text(depth - 1)),
            4 => format!("({})::int", self.text(depth - 1)),
            5 => format!("sqrt({inner} - {number})::int"),
            6 => format!("(SELECT count(*)::int FROM account AS i WHERE i.amount > {number})"),
            7 => format!("ascii({})", self.text(depth - 1)),
            _ => format!("abs({inner})"),
        }
    }

    fn condition(&mut self, depth: usize) -> String {
        let number = self.number();
        if depth == 0 {
            return format!("{} > {number}", self.pick(&NUMBERS));
        }
        match self.random.random_range(0..13) {
            0 => format!("({} AND {})", self.condition(depth - 1), self.condition(depth - 1)),
            1 => format!("({} OR {})", self.condition(depth - 1), self.condition(depth - 1)),
            2 => format!("NOT ({})", self.condition(depth - 1)),
            3 => format!("{} LIKE '%{}%'", self.text(depth - 1), self.pick(&["a", "c1", "own", "*"])),
            4 => format!("{} ~ '{}'", self.text(depth - 1), self.pick(&["^c", "[0-9]+", "(a|b)", "x{2}"])),
            5 => format!("{} > {number}", self.numeric(depth - 1)),
            6 => format!("{} <> {}", self.text(depth - 1), self.text(depth - 1)),
            7 => format!("amount IN (10, 20, {number})"),
            8 => format!("amount BETWEEN {number} AND {}", number + 40),
            9 => format!("EXISTS (SELECT 1 FROM account AS e WHERE e.id = account.id AND e.amount > {number})"),
            10 => format!("id IN (SELECT e.id FROM account AS e WHERE 100 / (e.amount - {number}) > 1)"),
            11 => format!("born > date '20{:02}-01-01'", number % 30),
            _ => "tenant IS NOT NULL".to_owned(),
        }
    }
}
