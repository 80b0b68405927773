use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, Int32Array, RecordBatch};
use chrono::{DateTime, Utc};
use lakegate_engine_api::catalog::{PgType, RelationName};
use lakegate_engine_api::{
    AdvisoryKey, AdvisoryRequest, Alteration, ByteScan, CacheFigures, ColumnDefinition, DataError, Effect, EngineError, Erased, Erasure,
    FilePlace, Finding, KeptVersion, Key, KeyFilter, Limit, Maintenance, MetricsSnapshot, Moment, Needles, NewTable, Outcome, Phase,
    Progress, Purge, Purged, PurgedVersions, RemovedObject, RemovedVersion, RowCheck, RowPolicies, Scanned, SessionFacts, SessionSignal,
    SqlMistake, StoredFile, SubjectRule, TableCommit, TableDescription, TablePolicies, Unavailability, VersionPurge, Violation, Work,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use uuid::Uuid;

use super::lookup::AskedColumn;
use super::*;
use crate::plan::nobody;

/// What was written comes back so that it is written the same.
fn travels<T: Serialize + DeserializeOwned>(message: &T, levels: usize) -> T {
    let written = deep_control(message, levels).unwrap().app_metadata;
    let back: T = read_control(&written).unwrap();
    assert_eq!(deep_control(&back, levels).unwrap().app_metadata, written);
    back
}

fn statement(sql: &str) -> sqlparser::ast::Statement {
    Parser::new(&PostgreSqlDialect {}).with_recursion_limit(10_000).try_with_sql(sql).unwrap().parse_statement().unwrap()
}

fn expression(sql: &str) -> sqlparser::ast::Expr {
    Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).unwrap().parse_expr().unwrap()
}

fn query(sql: &str) -> sqlparser::ast::Query {
    match statement(sql) {
        sqlparser::ast::Statement::Query(query) => *query,
        other => panic!("{other}"),
    }
}

fn name() -> RelationName {
    RelationName { database: "main".to_owned(), schema: "public".to_owned(), name: "t".to_owned() }
}

fn place() -> FilePlace {
    FilePlace { url: "s3://b/f/*.csv".to_owned(), within: "s3://b/".to_owned() }
}

fn column() -> ColumnDefinition {
    ColumnDefinition { name: "a".to_owned(), data_type: PgType::numeric(10, 2), not_null: true }
}

fn new_table() -> NewTable {
    NewTable {
        name: name(),
        location: "file:///t/".to_owned(),
        columns: vec![column()],
        generated: vec![("b".to_owned(), "a + 1".to_owned())],
        partition_columns: vec!["a".to_owned()],
        checks: vec![("c".to_owned(), "a > 0".to_owned())],
        comment: Some("…".to_owned()),
        properties: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
    }
}

fn time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 123_456_789).unwrap()
}

fn facts() -> SessionFacts {
    SessionFacts {
        session_user: "admin".to_owned(),
        current_user: "u".to_owned(),
        database: "main".to_owned(),
        search_path: vec!["public".to_owned()],
        time_zone: "Europe/Berlin".to_owned(),
        backend_pid: 7,
        client_address: Some("[::1]:5".parse().unwrap()),
        server_address: Some("127.0.0.1:5439".parse().unwrap()),
        statement_time: time(),
        transaction_time: time(),
        server_start_time: time(),
        settings: Arc::new(BTreeMap::from([("a.b".to_owned(), "c".to_owned())])),
        lookup: nobody().lookup,
    }
}

fn policies() -> TablePolicies {
    let condition = expression("owner = current_user AND EXISTS (SELECT 1 FROM main.public.x)");
    let check = RowCheck { policy: Some("p".to_owned()), condition: condition.clone() };
    TablePolicies {
        rows: Some(RowPolicies {
            select: condition.clone(),
            update: condition.clone(),
            delete: condition,
            insert_checks: vec![check.clone()],
            update_checks: vec![check],
            reads_target: true,
        }),
        masks: vec![("a".to_owned(), expression("left(a, 1) || '…'"))],
    }
}

fn relations(policies: &TablePolicies) -> Vec<Relation<'static>> {
    let table = lakegate_engine_api::catalog::AuthorizedTable::taken_over(PROOF.as_bytes()).unwrap();
    let policies = || Some(Cow::Owned(policies.clone()));
    let told =
        TransactionRef { number: 3, steps: vec![(1, StagedStep::Mark(1)), (2, StagedStep::RollBackTo(0)), (3, StagedStep::LockRows)] };
    let rows = RecordBatch::try_from_iter([("n", Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef)]).unwrap();
    let schema = schema_to(&rows.schema()).unwrap();
    let table = || Table::of(&table).unwrap();
    let sources = [
        Source::Table { table: table(), version: Some(4), transaction: Some(told), policies: policies() },
        Source::TableAt { table: table(), moment: Cow::Owned(Moment::Version(3)), policies: None },
        Source::TableChanges {
            table: table(),
            from: Cow::Owned(Moment::Version(1)),
            to: Some(Cow::Owned(Moment::Timestamp("2026-01-01".to_owned()))),
            policies: policies(),
        },
        Source::Rows(batches_to(&rows.schema(), &[rows]).unwrap()),
        Source::Columns { schema, columns: 9, of_the_moment: true },
        Source::View {
            query: Box::new(Cow::Owned(query("SELECT a.*, count(*) OVER w FROM main.public.t AS a WINDOW w AS (ORDER BY a.b)"))),
            columns: Cow::Owned(vec!["x".to_owned()]),
            runs_as: Some(10),
            visible: Some(Cow::Owned(vec!["x".to_owned()])),
            policies: policies(),
        },
    ];
    sources.into_iter().map(|source| Relation { name: Cow::Owned(name()), runs_as: Some(11), source }).collect()
}

const PROOF: &str = r#"{"name":{"database":"main","schema":"public","name":"t"},
"relation":{"oid":20000,"type_oid":20001,"schema":2200,"name":"t","owner":10,"kind":"ManagedTable","location":"file:///t/",
"columns":[{"name":"a","data_type":{"oid":23,"typmod":-1},"not_null":true,"default":null,"comment":null}],"partition_columns":[],
"constraints":[],"definition":null,"comment":null,"properties":{},"indexes":[],"sequence":null,"tags":{},"row_security":{}},
"access":{"select":true,"insert":false,"update":false,"delete":false,"truncate":false},"row_rules":null,"masks":[],"visible_columns":null}"#;

fn bound(work: Work, facts: &SessionFacts) -> Statement<'_> {
    Statement {
        statement_id: Uuid::from_u128(u128::MAX - 5),
        work: Cow::Owned(work),
        relations: relations(&policies()),
        session: Facts::of(facts, 12),
        parameter_types: Cow::Owned(vec![None, Some(PgType::INT4)]),
        renewable: true,
        keeps_rows_after: Some(2),
    }
}

fn works() -> Vec<Work> {
    vec![
        Work::Query(Box::new(statement(
            "WITH x AS (SELECT 1) SELECT (SELECT 2) + $1, 'ü' FROM x LEFT JOIN y USING (z) ORDER BY 1 NULLS FIRST",
        ))),
        Work::Change { statement: Box::new(statement("UPDATE t SET a = DEFAULT WHERE b IN (1, 2) RETURNING *")), target: name() },
        Work::CreateTableAs { table: new_table(), query: Box::new(query("VALUES (1, NULL::numeric(10,2))")), with_data: false },
        Work::CopyFrom { target: name(), columns: vec!["a".to_owned()], place: place() },
    ]
}

#[test]
fn statements_travel() {
    let facts = facts();
    for work in works() {
        let statement = bound(work, &facts);
        let levels = statement.levels().unwrap();
        assert!(levels >= 2);
        let request = Request::Prepare { number: 1, statement: Box::new(statement) };
        let task = Task { session: Uuid::nil(), number: 2, statement: Uuid::max(), request };
        let back = travels(&Opening::Work(Box::new(task)), levels);
        let Opening::Work(task) = back else { panic!("another message") };
        let Request::Prepare { statement, .. } = task.request else { panic!("another request") };
        let Source::Table { table, .. } = &statement.relations[0].source else { panic!("another relation") };
        assert_eq!(table.take_over().unwrap().relation().location, "file:///t/");
        let back = statement.session.into_facts(nobody().lookup);
        let of = |facts: &SessionFacts| format!("{facts:?}");
        assert_eq!(of(&back), of(&facts));
    }
}

#[test]
fn requests_travel() {
    let facts = facts();
    let target = || relations(&policies()).remove(0);
    let needles = || Needles::new(["someone@example.com", "12345678901"]).unwrap();
    let alterations = vec![
        Alteration::AddColumn { column: column(), fill: Some(expression("now()")), generation: Some("a".to_owned()) },
        Alteration::SetType { column: column(), using: Some(expression("a::int")) },
        Alteration::SetProperties(BTreeMap::from([("a".to_owned(), None)])),
    ];
    let maintenance = [
        Maintenance::History { limit: Some(3) },
        Maintenance::Restore(Moment::Version(1)),
        Maintenance::Optimize { condition: Some(Box::new(expression("a > 1"))), order: vec!["a".to_owned()], whole: true },
        Maintenance::Vacuum { retention: Some(Duration::from_secs(3)), open_since: Some(time()), dry_run: true },
    ];
    let erasure = Erasure { keys: vec![("a".to_owned(), vec!["b".to_owned()])], rule: SubjectRule::Delete, dry_run: true };
    let purge = Purge { request: "r".to_owned(), secret: [7; 32], before: time(), needles: needles() };
    let versions = VersionPurge { everything: true, before: time(), needles: needles() };
    let scan = ByteScan { needles: needles(), keys: Vec::new() };
    let told = || TransactionRef { number: 1, steps: Vec::new() };
    let commits = vec![TableCommit { location: "l".to_owned(), version: 4, commit_id: "c".to_owned() }];
    let file = StoredFile { root: "s3://b/".to_owned(), path: "f".to_owned(), bytes: 9 };
    let mut requests = vec![
        Request::Execute { prepared: 1, parameters: Some(vec![1, 2, 3]), transactions: vec![told()] },
        Request::HoldCurrent { prepared: 1 },
        Request::CreateTable(Cow::Owned(new_table())),
        Request::DescribeTable(Cow::Owned(place())),
        Request::ListFiles { place: Cow::Owned(place()), endings: vec![".csv".to_owned()] },
        Request::ReadFile(Cow::Owned(file)),
        Request::WriteFile { place: Cow::Owned(place()), schema: Some(vec![1]) },
        Request::ConvertToDelta { place: Cow::Owned(place()), partitions: Cow::Owned(vec![column()]) },
        Request::AlterTable { target: target(), alterations: Cow::Owned(alterations), session: Facts::of(&facts, 1) },
        Request::EraseRows { target: target(), erasure: Cow::Owned(erasure), session: Facts::of(&facts, 1) },
        Request::StoreTime("l".into()),
        Request::PurgeHistory { target: target(), purge: Cow::Owned(purge) },
        Request::PurgeVersions { location: "l".into(), purge: Cow::Owned(versions) },
        Request::ScanBytes { location: "l".into(), scan: Cow::Owned(scan) },
        Request::IsWorn("l".into()),
        Request::NewestVersion("l".into()),
        Request::Forget("l".into()),
        Request::DropTable("l".into()),
        Request::Append { target: target(), session: Facts::of(&facts, 1) },
        Request::Commit(told()),
        Request::CommitTogether { transactions: vec![told(), told()], decision: 5 },
        Request::UndoCommits(Cow::Owned(commits)),
        Request::CheckStore("l".into()),
    ];
    requests.extend(maintenance.map(|work| Request::Maintain { target: target(), work: Cow::Owned(work), session: Facts::of(&facts, 1) }));
    for request in requests {
        let task = Task { session: Uuid::from_u128(9), number: 2, statement: Uuid::nil(), request };
        travels(&Opening::Work(Box::new(task)), 40);
    }
    travels(&Opening::Session(Hello { newest: 2, oldest: 1, instance: Uuid::from_u128(77) }), 0);
}

fn errors() -> Vec<EngineError> {
    let text = |text: &str| text.to_owned();
    vec![
        EngineError::Unsupported { feature: text("f"), hint: Some(text("h")) },
        EngineError::Sql { mistake: SqlMistake::Deadlock, message: text("m"), hint: None },
        EngineError::Data { error: DataError::Other, message: text("m") },
        EngineError::Constraint {
            violation: Violation::Check { constraint: text("c") },
            message: text("m"),
            table: text("t"),
            detail: Some(text("d")),
        },
        EngineError::Policy { message: text("m"), detail: Some(text("d")) },
        EngineError::GeneratedAlways { message: text("m"), detail: text("d"), hint: Some(text("h")) },
        EngineError::Conflict { table: text("t") },
        EngineError::CommitUnknown { table: text("t"), commit_id: text("c") },
        EngineError::NotADeltaTable,
        EngineError::Storage { message: text("m") },
        EngineError::MissingFile { table: text("t") },
        EngineError::Corrupted { message: text("m") },
        EngineError::OutOfMemory { detail: text("d") },
        EngineError::DiskFull,
        EngineError::Limit { limit: Limit::ProgramLimit, message: text("m") },
        EngineError::Canceled,
        EngineError::Unavailable { reason: Unavailability::Protocol },
        EngineError::Lost { effect: Effect::Unknown },
        EngineError::NoEngine { message: text("m"), hint: text("h") },
        EngineError::Internal { message: text("m") },
    ]
}

#[test]
fn errors_travel_with_all_their_fields() {
    for error in errors() {
        let Answer::Failed(back) = travels(&Answer::Failed(error.clone()), 0) else { panic!("another answer") };
        assert_eq!(back, error);
        assert!(matches!(travels(&Made::Failed(error), 0), Made::Failed(_)));
    }
}

#[test]
fn answers_travel() {
    let metrics = MetricsSnapshot { read_files: 1, cache_origin: Some(Uuid::from_u128(5)), ..MetricsSnapshot::default() };
    let outcome = Outcome { rows: 1, rows_beside: 2, version: Some(3), columns: vec![column()], metrics, ..Outcome::default() };
    let description = TableDescription {
        version: 3,
        columns: vec![column()],
        partition_columns: Vec::new(),
        checks: vec![("c".to_owned(), "a > 0".to_owned())],
        comment: None,
        properties: BTreeMap::new(),
        files: 2,
        bytes: 3,
        rows: Some(4),
    };
    let finding = Finding { object: "o".to_owned(), place: "p".to_owned(), encoding: "e".to_owned() };
    let (n, v) = ("n".to_owned(), "v".to_owned());
    let gone = RemovedVersion { name: n.clone(), version: v.clone(), what: "version".to_owned(), bytes: 1 };
    let kept = KeptVersion { name: n, version: v, what: "version".to_owned(), why: "AccessDenied".to_owned() };
    let removed = RemovedObject { name: "n".to_owned(), bytes: 1, sha256: "s".to_owned(), action: "removed".to_owned() };
    let replies = [
        Reply::Nothing,
        Reply::Prepared {
            parameters: vec![1],
            result: Some(vec![2]),
            versions: vec![(name(), 3)],
            columns: vec![(name(), vec!["a".to_owned()])],
        },
        Reply::Rows { schema: vec![1], cache_origin: Some(Uuid::from_u128(6)) },
        Reply::Done(outcome.clone()),
        Reply::Returned { schema: vec![1], outcome: outcome.clone() },
        Reply::Is(true),
        Reply::Described(description),
        Reply::Files(vec![StoredFile { root: "r".to_owned(), path: "p".to_owned(), bytes: 1 }]),
        Reply::Bytes,
        Reply::Maintained { rows: Some(vec![1]), outcome: outcome.clone(), summary: Some("s".to_owned()) },
        Reply::Erased(Erased { version_before: 1, version_after: 2, rows: 3, files_rewritten: 4, bytes_read: 5, bytes_written: 6 }),
        Reply::StoreTime(time(), true),
        Reply::Purged(Purged { version: 1, objects: vec![removed], left: 2 }),
        Reply::PurgedVersions(PurgedVersions { removed: vec![gone], left: vec![kept] }),
        Reply::Scanned(Scanned { objects: 1, findings: vec![finding.clone()], unread: vec![finding], ..Scanned::default() }),
        Reply::Outcomes(vec![outcome]),
    ];
    for reply in replies {
        travels(&Answer::Reply(Box::new(reply)), 0);
    }
    let progress = Progress { phase: Phase::CleaningLog, files_done: 1, rows_left_out: 9, ..Progress::default() };
    let state = TransactionState { number: 1, done: 2, has_changes: true, has_writes: false };
    for answer in [Answer::Progress(Some(progress)), Answer::Transactions(vec![state]), Answer::End(metrics)] {
        travels(&answer, 0);
    }
    travels(&Made::Whole, 0);
}

#[test]
fn what_a_session_says_travels() {
    let request = AdvisoryRequest { key: AdvisoryKey::Halves(1, -2), shared: true, transaction: false, wait: true };
    let keys = vec![KeyFilter { column: 1, values: vec![Key::Number(-1), Key::Text("t".to_owned())] }];
    let questions = [
        Question::Lookup(Ask::TakeAdvisoryLock(request)),
        Question::Lookup(Ask::HasColumnPrivilege(Some(10), 20_000, AskedColumn::Number(-3), "SELECT".to_owned())),
        Question::Lookup(Ask::SignalSession(7, SessionSignal::Terminate)),
        Question::Lookup(Ask::Settings(BTreeMap::from([("a".to_owned(), "b".to_owned())]))),
        Question::Columns { columns: vec![0, 5], keys },
        Question::Intend(vec![TableCommit { location: "l".to_owned(), version: 1, commit_id: "c".to_owned() }]),
        Question::Decide,
        Question::Outcome,
        Question::Abandon,
    ];
    for question in questions {
        let ToGateway::Call { question: back, .. } = travels(&ToGateway::Call { call: 1, object: 2, question: question.clone() }, 0) else {
            panic!("another message")
        };
        assert_eq!(back, question);
    }
    let figures = CacheFigures { name: "c".into(), bytes: 1, limit_bytes: 2, entries: 3, hits: 4, misses: 5, evictions: 6 };
    for message in [
        ToGateway::Welcome { session: Uuid::max() },
        ToGateway::Refused(Unavailability::Draining),
        ToGateway::Forget { call: 1 },
        ToGateway::Draining,
        ToGateway::Caches(vec![figures]),
    ] {
        travels(&message, 0);
    }
    for message in [
        ToEngine::Cancel(1),
        ToEngine::Release(vec![1, 2]),
        ToEngine::LetGo { prepared: 1, holds: 2 },
        ToEngine::Answered { call: 1, answer: Some(vec![1]) },
    ] {
        travels(&message, 0);
    }
}

/// On a thread with as much stack as the program's own have.
fn on_large_stack(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(64 << 20).spawn(work).unwrap().join().unwrap();
}

#[test]
fn deep_statements_travel() {
    on_large_stack(|| {
        let facts = facts();
        let chains = [
            format!("SELECT {}", vec!["1"; 2_400].join(" + ")),
            vec!["SELECT 1"; 2_400].join(" UNION ALL "),
            format!("SELECT {}1{}", "(".repeat(400), ")".repeat(400)),
            format!("SELECT {}", (0..300).fold("1".to_owned(), |inner, at| format!("CASE WHEN a = {at} THEN ({inner}) ELSE f({at}) END"))),
        ];
        for chain in chains {
            let statement = bound(Work::Query(Box::new(statement(&chain))), &facts);
            let levels = statement.levels().unwrap();
            assert!(levels >= 300, "{levels}");
            let task = Task {
                session: Uuid::nil(),
                number: 1,
                statement: Uuid::nil(),
                request: Request::Prepare { number: 1, statement: Box::new(statement) },
            };
            travels(&Opening::Work(Box::new(task)), levels);
        }
        let endless = bound(Work::Query(Box::new(statement(&format!("SELECT {}", vec!["1"; 6_000].join(" + "))))), &facts);
        assert!(matches!(endless.levels(), Err(EngineError::Limit { limit: Limit::StatementTooComplex, .. })));
    });
}
