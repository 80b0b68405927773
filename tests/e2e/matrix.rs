//! Who may do what, by whichever way: roles × statements × channels, each cell's SQLSTATE compared with PostgreSQL 15 that was given the
//! same definitions. Cells run in transactions that are rolled back, so none sees another's doing.
//!
//! A part runs with all tests; the whole with `LAKEGATE_MATRIX=whole ./test.sh matrix`.

use std::collections::BTreeMap;

use lakegate_tests::tools::repository;
use lakegate_tests::wire::{self, Target, Wire, bare, bind, execute, parse};

use crate::support::{self, unique};

/// Name of a role, and what is granted to it; `{r}` is the role, `{m}` one that it is made a member of.
const ROLES: &[(&str, &[&str])] = &[
    ("nothing", &[]),
    ("select", &["GRANT SELECT ON t TO {r}"]),
    ("select_a", &["GRANT SELECT (a) ON t TO {r}"]),
    ("select_ab", &["GRANT SELECT (a, b) ON t TO {r}"]),
    ("select_b_u", &["GRANT SELECT (b) ON t TO {r}", "GRANT SELECT ON u TO {r}"]),
    ("select_both", &["GRANT SELECT ON t, u TO {r}"]),
    ("select_a_u", &["GRANT SELECT (a) ON t TO {r}", "GRANT SELECT (a) ON u TO {r}"]),
    ("insert", &["GRANT INSERT ON t TO {r}"]),
    ("insert_a", &["GRANT INSERT (a) ON t TO {r}"]),
    ("insert_ab_select_a", &["GRANT INSERT (a, b), SELECT (a) ON t TO {r}"]),
    ("update", &["GRANT UPDATE ON t TO {r}"]),
    ("update_b", &["GRANT UPDATE (b) ON t TO {r}"]),
    ("update_b_select_a", &["GRANT UPDATE (b), SELECT (a) ON t TO {r}"]),
    ("insert_update_b_select_a", &["GRANT INSERT, UPDATE (b), SELECT (a) ON t TO {r}"]),
    ("delete", &["GRANT DELETE ON t TO {r}"]),
    ("delete_select_a", &["GRANT DELETE ON t TO {r}", "GRANT SELECT (a) ON t TO {r}"]),
    ("truncate", &["GRANT TRUNCATE ON t TO {r}"]),
    ("references", &["GRANT REFERENCES, TRIGGER ON t TO {r}"]),
    ("all", &["GRANT ALL ON t TO {r}"]),
    ("all_columns", &["GRANT ALL (a, b, c) ON t TO {r}"]),
    ("all_but_select", &["GRANT ALL ON t TO {r}", "REVOKE SELECT ON t FROM {r}"]),
    ("revoked_with_the_table", &["GRANT SELECT (a, b), UPDATE (b) ON t TO {r}", "REVOKE SELECT ON t FROM {r}"]),
    ("revoked_column", &["GRANT SELECT ON t TO {r}", "REVOKE SELECT (b) ON t FROM {r}"]),
    ("inherits", &["GRANT SELECT (a), INSERT ON t TO {m}", "GRANT {m} TO {r}"]),
    ("does_not_inherit", &["ALTER ROLE {r} NOINHERIT", "GRANT SELECT ON t TO {m}", "GRANT {m} TO {r}"]),
    ("through_two", &["GRANT {m} TO {r}", "GRANT pg_read_all_data TO {m}"]),
    ("reads_all", &["GRANT pg_read_all_data TO {r}"]),
    ("writes_all", &["GRANT pg_write_all_data TO {r}"]),
    ("views", &["GRANT SELECT ON v, vi TO {r}"]),
    ("view_column", &["GRANT SELECT (a) ON v, vi TO {r}"]),
    ("view_and_column", &["GRANT SELECT (a) ON v, vi, t TO {r}"]),
    ("owner", &["ALTER TABLE t2 OWNER TO {r}", "GRANT USAGE ON SEQUENCE s TO {r}"]),
    ("sequence_select", &["GRANT SELECT ON SEQUENCE s TO {r}"]),
    ("sequence_update", &["GRANT UPDATE ON s TO {r}"]),
];

/// Columns of `t` are a int PRIMARY KEY, b text, c int; of `u` a int, d int; `t2` is like `t`; `v` and `vi` read `t`, `vi` as its reader.
const QUERIES: &[&str] = &[
    "SELECT a FROM t",
    "SELECT b FROM t",
    "SELECT * FROM t",
    "SELECT t.* FROM t",
    "SELECT t FROM t",
    "SELECT 1 FROM t",
    "SELECT count(*) FROM t",
    "SELECT count(a) FROM t",
    "SELECT count(*) FROM t WHERE c = 1",
    "SELECT a FROM t WHERE b = 'x'",
    "SELECT a FROM t ORDER BY c",
    "SELECT max(a) FROM t GROUP BY b",
    "SELECT a FROM t GROUP BY a HAVING max(c) > 0",
    "SELECT x.a FROM t AS x",
    "SELECT x FROM t AS r (x, y, z)",
    "SELECT y FROM t AS r (x, y, z)",
    "SELECT a FROM (SELECT a, b FROM t) s",
    "SELECT a FROM (SELECT a FROM t) s",
    "WITH q AS (SELECT a, b FROM t) SELECT a FROM q",
    "WITH q AS (SELECT a FROM t) SELECT * FROM q",
    "SELECT t.b FROM t JOIN u ON t.a = u.a",
    "SELECT b FROM t JOIN u USING (a)",
    "SELECT d FROM t NATURAL JOIN u",
    "SELECT d FROM u WHERE EXISTS (SELECT 1 FROM t WHERE t.a = u.a)",
    "SELECT d FROM u WHERE a IN (SELECT a FROM t)",
    "SELECT (SELECT b FROM t WHERE t.a = u.a) FROM u",
    "SELECT a, (SELECT d FROM u WHERE u.a = t.a) FROM t",
    "SELECT a FROM t UNION SELECT a FROM u",
    "SELECT a FROM t EXCEPT SELECT d FROM u",
    "SELECT q.x FROM t, LATERAL (SELECT t.a AS x) q",
    "SELECT q.x FROM t, LATERAL (SELECT t.b AS x) q",
    "SELECT a, row_number() OVER (ORDER BY b) FROM t",
    "SELECT a, sum(a) OVER (PARTITION BY a) FROM t",
    "SELECT DISTINCT a FROM t",
    "SELECT DISTINCT ON (b) a FROM t ORDER BY b",
    "SELECT a FROM t FOR UPDATE",
    "SELECT x.a FROM t x JOIN t y ON x.a = y.c",
    "SELECT CASE WHEN a = 1 THEN a ELSE c END FROM t",
    "SELECT a FROM v",
    "SELECT b FROM v",
    "SELECT * FROM v",
    "SELECT a FROM vi",
    "SELECT * FROM vi",
    "SELECT v.a, t.b FROM v, t",
    "SELECT vi.a FROM vi, t",
    "SELECT a FROM t2",
    "SELECT * FROM t2 WHERE c = 1",
    "SELECT last_value FROM s",
    "SELECT nextval('s')",
    "SELECT setval('s', 5)",
    "VALUES (1)",
];

const CHANGES: &[&str] = &[
    "INSERT INTO t VALUES (10, 'x', 1)",
    "INSERT INTO t (a) VALUES (10)",
    "INSERT INTO t (a, b) VALUES (10, 'x')",
    "INSERT INTO t VALUES (10, 'x')",
    "INSERT INTO t (a) SELECT 10",
    "INSERT INTO t (a) SELECT a + 10 FROM u",
    "INSERT INTO t (a) SELECT a + 10 FROM t",
    "INSERT INTO t (a) VALUES (10) RETURNING a",
    "INSERT INTO t (a) VALUES (10) RETURNING b",
    "INSERT INTO t (a) VALUES (10) RETURNING *",
    "INSERT INTO t (a) VALUES (10) RETURNING 1",
    "INSERT INTO t (a) VALUES (10) ON CONFLICT DO NOTHING",
    "INSERT INTO t (a) VALUES (10) ON CONFLICT (a) DO NOTHING",
    "INSERT INTO t (a, b) VALUES (10, 'x') ON CONFLICT (a) DO UPDATE SET b = excluded.b",
    "INSERT INTO t (a, b) VALUES (10, 'x') ON CONFLICT (a) DO UPDATE SET b = t.b",
    "INSERT INTO t (a, b) VALUES (10, 'x') ON CONFLICT (a) DO UPDATE SET c = 1 WHERE t.a > 0",
    "UPDATE t SET b = 'y'",
    "UPDATE t SET c = 2",
    "UPDATE t SET b = 'y', c = 2",
    "UPDATE t SET b = 'y' WHERE a = 1",
    "UPDATE t SET b = 'y' WHERE c = 1",
    "UPDATE t SET b = b || 'y'",
    "UPDATE t SET b = 'y' RETURNING a",
    "UPDATE t SET b = 'y' RETURNING *",
    "UPDATE t SET b = 'y' FROM u WHERE t.a = u.a",
    "UPDATE t SET b = u.d::text FROM u",
    "UPDATE t SET (b, c) = ('y', 2)",
    "UPDATE t SET b = (SELECT max(d) FROM u)::text",
    "UPDATE t SET b = 'y' WHERE EXISTS (SELECT 1 FROM u WHERE u.a = 1)",
    "DELETE FROM t",
    "DELETE FROM t WHERE a = 1",
    "DELETE FROM t WHERE b = 'x'",
    "DELETE FROM t USING u WHERE u.a = 1",
    "DELETE FROM t USING u WHERE t.a = u.a",
    "DELETE FROM t RETURNING a",
    "DELETE FROM t RETURNING *",
    "TRUNCATE t",
    "MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN UPDATE SET b = 'm'",
    "MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE",
    "MERGE INTO t USING u ON t.a = u.a WHEN NOT MATCHED THEN INSERT (a) VALUES (u.a + 20)",
    "MERGE INTO t USING (SELECT 1 AS a) q ON t.a = q.a WHEN MATCHED AND t.c = 1 THEN UPDATE SET b = 'm'",
    "DELETE FROM t2",
    "UPDATE t2 SET b = 'y' WHERE c = 1",
];

/// Not in each channel.
const COMMANDS: &[&str] = &[
    "COPY t TO STDOUT",
    "COPY t (a) TO STDOUT",
    "COPY t (a, b) TO STDOUT",
    "CREATE TEMP TABLE k AS SELECT a FROM t",
    "CREATE TEMP TABLE k AS SELECT * FROM t",
    "SELECT a INTO TEMP k FROM t",
    "CREATE TEMP TABLE k (LIKE t)",
    "GRANT SELECT ON t TO PUBLIC",
    "GRANT SELECT (a) ON t TO PUBLIC",
    "ALTER TABLE t ADD COLUMN e int",
    "ALTER TABLE t OWNER TO CURRENT_USER",
    "DROP TABLE t2",
    "DROP VIEW v",
    "COMMENT ON TABLE t IS 'x'",
    "COMMENT ON COLUMN t2.a IS 'x'",
    "ALTER TABLE t2 RENAME COLUMN b TO bb",
    "CREATE VIEW w AS SELECT 1",
    "CREATE TABLE w (a int)",
    "CREATE SCHEMA mx_other",
    "CREATE ROLE mx_other",
    "DROP SEQUENCE s",
    "LOCK TABLE t IN ROW EXCLUSIVE MODE",
    "ANALYZE t2",
    "SELECT has_table_privilege('t', 'SELECT')",
];

/// How a statement comes.
#[derive(Clone, Copy)]
enum Channel {
    Simple,
    Extended,
    Prepared,
    CopyOut,
    Cursor,
    Cte,
    Explain,
    Subquery,
}

const CHANNELS: [(Channel, &str); 8] = [
    (Channel::Simple, "simple"),
    (Channel::Extended, "extended"),
    (Channel::Prepared, "prepared"),
    (Channel::CopyOut, "copy"),
    (Channel::Cursor, "cursor"),
    (Channel::Cte, "cte"),
    (Channel::Explain, "explain"),
    (Channel::Subquery, "subquery"),
];

struct Cell {
    channel: (Channel, &'static str),
    statement: &'static str,
    role: &'static str,
}

impl Cell {
    fn name(&self) -> String {
        format!("{} | {} | {}", self.channel.1, self.statement, self.role)
    }

    /// The messages that carry the statement.
    fn texts(&self) -> Vec<String> {
        let statement = self.statement;
        match self.channel.0 {
            Channel::Simple | Channel::Extended => vec![statement.to_owned()],
            Channel::Prepared => {
                vec![format!("PREPARE mx AS {statement}"), "EXECUTE mx".to_owned(), "DEALLOCATE mx".to_owned()]
            }
            Channel::CopyOut => vec![format!("COPY ({statement}) TO STDOUT")],
            Channel::Cursor => vec![format!("DECLARE mx CURSOR FOR {statement}"), "FETCH ALL FROM mx".to_owned()],
            Channel::Cte => vec![format!("WITH mx AS ({statement}) SELECT count(*) FROM mx")],
            Channel::Explain => vec![format!("EXPLAIN {statement}")],
            Channel::Subquery => vec![format!("SELECT count(*) FROM ({statement}) AS mx")],
        }
    }
}

fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    let returns = |statement: &str| statement.contains("RETURNING");
    for (role, _) in ROLES {
        for channel in CHANNELS {
            let mut add = |statement: &'static str| cells.push(Cell { channel, statement, role });
            for statement in QUERIES {
                // Locking stands at the top, and PostgreSQL answers WITH inside WITH like any.
                if !statement.contains("FOR UPDATE") || matches!(channel.0, Channel::Simple | Channel::Extended | Channel::Prepared) {
                    add(statement);
                }
            }
            for statement in CHANGES {
                let fits = match channel.0 {
                    Channel::Simple | Channel::Extended => true,
                    Channel::Prepared => !statement.starts_with("TRUNCATE"),
                    Channel::CopyOut | Channel::Cte => returns(statement),
                    Channel::Cursor | Channel::Explain | Channel::Subquery => false,
                };
                if fits {
                    add(statement);
                }
            }
            if matches!(channel.0, Channel::Simple) {
                COMMANDS.iter().for_each(|statement| add(statement));
            }
        }
    }
    cells
}

#[tokio::test]
async fn cells_answer_as_postgres_answers() {
    let all = cells();
    assert!(all.len() >= 2_000, "{} cells", all.len());
    let whole = std::env::var("LAKEGATE_MATRIX").is_ok_and(|value| value == "whole");
    // A prime, so that each role, statement and channel has its turn.
    let chosen: Vec<&Cell> = all.iter().step_by(if whole { 1 } else { 13 }).collect();
    let mut postgres = Side::new(Wire::login(&Target::of_postgres(support::postgres()), false, &[]).await.unwrap());
    let mut lakegate = Side::new(Wire::login(&Target::of_server(support::server()), true, &[]).await.unwrap());
    let suffix = unique("mx");
    for side in [&mut postgres, &mut lakegate] {
        side.define(&suffix).await;
    }
    let known = differences();
    let mut met = BTreeMap::new();
    let mut wrong = Vec::new();
    for cell in &chosen {
        let expected = postgres.answer(cell, &suffix).await;
        let came = lakegate.answer(cell, &suffix).await;
        let name = cell.name();
        let is_it = |known: &Difference| known.fits(cell) && came == known.lakegate && expected == known.postgres;
        match known.iter().position(is_it) {
            Some(at) if came != expected => {
                *met.entry(at).or_insert(0) += 1;
            }
            _ if came == expected => {}
            _ => wrong.push(format!("{name} | {came} | {expected}")),
        }
    }
    for side in [&mut postgres, &mut lakegate] {
        side.clean(&suffix).await;
    }
    let (count, shown) = (wrong.len(), wrong.join("\n"));
    assert!(wrong.is_empty(), "{count} of {} cells differ (channel | statement | role | Lakegate | PostgreSQL):\n{shown}", chosen.len());
    let stale: Vec<&str> =
        known.iter().enumerate().filter(|(at, _)| whole && !met.contains_key(at)).map(|(_, known)| &*known.line).collect();
    assert!(stale.is_empty(), "differences that are none any more:\n{}", stale.join("\n"));
    println!("{} of {} cells, {} known differences", chosen.len(), all.len(), met.values().sum::<i32>());
}

struct Difference {
    line: String,
    channel: String,
    statement: String,
    role: String,
    lakegate: String,
    postgres: String,
}

impl Difference {
    fn fits(&self, cell: &Cell) -> bool {
        let is = |pattern: &str, text: &str| pattern == "*" || pattern == text;
        is(&self.channel, cell.channel.1) && is(&self.statement, cell.statement) && is(&self.role, cell.role)
    }
}

fn differences() -> Vec<Difference> {
    let text = std::fs::read_to_string(repository().join("tests/governance/differences.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let parts: Vec<&str> = line.split(" | ").collect();
            let [channel, statement, role, lakegate, postgres, _why] = parts.as_slice() else { panic!("{line}") };
            let [channel, statement, role, lakegate, postgres] =
                [channel, statement, role, lakegate, postgres].map(|part| part.trim().to_owned());
            Difference { line: line.to_owned(), channel, statement, role, lakegate, postgres }
        })
        .collect()
}

/// One of the two servers.
struct Side {
    wire: Wire,
}

impl Side {
    fn new(wire: Wire) -> Self {
        Side { wire }
    }

    async fn define(&mut self, suffix: &str) {
        let mut script = vec![
            format!("CREATE SCHEMA {suffix}"),
            format!("SET search_path = {suffix}"),
            "CREATE TABLE t (a int PRIMARY KEY, b text, c int)".to_owned(),
            "CREATE TABLE t2 (a int PRIMARY KEY, b text, c int)".to_owned(),
            "CREATE TABLE u (a int, d int)".to_owned(),
            "INSERT INTO t VALUES (1, 'x', 1), (2, 'y', 2)".to_owned(),
            "INSERT INTO t2 VALUES (1, 'x', 1)".to_owned(),
            "INSERT INTO u VALUES (1, 10)".to_owned(),
            "CREATE VIEW v AS SELECT a, b FROM t".to_owned(),
            "CREATE VIEW vi WITH (security_invoker = true) AS SELECT a, b FROM t".to_owned(),
            "CREATE SEQUENCE s".to_owned(),
        ];
        for (role, grants) in ROLES {
            let (role, member) = (format!("{suffix}_{role}"), format!("{suffix}_{role}_m"));
            script.push(format!("CREATE ROLE {role}"));
            script.push(format!("CREATE ROLE {member}"));
            script.push(format!("GRANT USAGE ON SCHEMA {suffix} TO {role}"));
            script.extend(grants.iter().map(|grant| grant.replace("{r}", &role).replace("{m}", &member)));
        }
        for statement in script {
            let answer = self.run(&statement).await;
            assert_eq!(answer, "00000", "{statement}");
        }
    }

    async fn clean(&mut self, suffix: &str) {
        self.run(&format!("DROP SCHEMA {suffix} CASCADE")).await;
        let roles: Vec<String> = ROLES.iter().map(|(role, _)| format!("{suffix}_{role}, {suffix}_{role}_m")).collect();
        let answer = self.run(&format!("DROP ROLE {}", roles.join(", "))).await;
        assert_eq!(answer, "00000", "DROP ROLE");
    }

    /// The SQLSTATE of the first message that fails, or `00000`.
    async fn answer(&mut self, cell: &Cell, suffix: &str) -> String {
        self.run("BEGIN").await;
        self.run(&format!("SET LOCAL ROLE {suffix}_{}", cell.role)).await;
        let mut answer = "00000".to_owned();
        for text in cell.texts() {
            answer = match cell.channel.0 {
                Channel::Extended => self.run_extended(&text).await,
                _ => self.run(&text).await,
            };
            if answer != "00000" {
                break;
            }
        }
        self.run("ROLLBACK").await;
        self.run("DEALLOCATE ALL").await;
        answer
    }

    async fn run(&mut self, sql: &str) -> String {
        self.wire.send(&wire::query(sql)).await.unwrap();
        self.state(sql).await
    }

    async fn run_extended(&mut self, sql: &str) -> String {
        let mut message = parse("", sql, &[]);
        message.extend(bind("", "", &[], &[], &[]));
        message.extend(execute("", 0));
        message.extend(bare(b'S'));
        self.wire.send(&message).await.unwrap();
        self.state(sql).await
    }

    async fn state(&mut self, sql: &str) -> String {
        let messages = self.wire.until_ready().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let error = messages.iter().find(|message| message.tag == b'E');
        error.and_then(|message| wire::error_field(&message.body, b'C')).unwrap_or_else(|| "00000".to_owned())
    }
}
