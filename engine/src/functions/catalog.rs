//! Functions over the system catalogs and the session (documentation, sections 9.26, 9.27, 9.28).

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{Array, ArrayRef, StringArray};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use lakegate_engine_api::catalog::{Oid, PgType};
use lakegate_engine_api::{DataError, SessionSignal, Signalled, SqlMistake};

use super::call::Row;
use super::catalog_objects::index_definition;
use super::error::{data, mistake};
use super::function::{Body, PgFunction};
use super::session::Session;
use super::types::Ty;
use super::{format_type, quote, reg};

pub fn session_functions(session: &Arc<Session>) -> Vec<Arc<ScalarUDF>> {
    [session_information(session), names(session), definitions(session), sizes(session), settings(session), lookups(session)].concat()
}

type TextBody = fn(&Row<'_>, &Session) -> Result<Option<String>>;

fn stable(name: &'static str, session: &Arc<Session>) -> PgFunction {
    PgFunction::stable(name).of_session(session.identity())
}

fn text(session: &Arc<Session>, body: impl Fn(&Row<'_>, &Session) -> Result<Option<String>> + Send + Sync + 'static) -> Body {
    let session = Arc::clone(session);
    Body::Text(Box::new(move |row| body(row, &session)))
}

fn int(session: &Arc<Session>, body: impl Fn(&Row<'_>, &Session) -> Result<Option<i64>> + Send + Sync + 'static) -> Body {
    let session = Arc::clone(session);
    Body::Int(Box::new(move |row| body(row, &session)))
}

fn boolean(session: &Arc<Session>, body: impl Fn(&Row<'_>, &Session) -> Result<Option<bool>> + Send + Sync + 'static) -> Body {
    let session = Arc::clone(session);
    Body::Bool(Box::new(move |row| body(row, &session)))
}

fn oid(row: &Row<'_>, column: usize) -> Oid {
    Oid::try_from(row.int(column)).unwrap_or(0)
}

/// The schema of a session's temporary tables, which is in the search path without being part of it.
fn is_temporary(schema: &str) -> bool {
    schema.starts_with("pg_temp_")
}

/// Transaction numbers begin at 3 and have 32 bits.
fn as_xid(version: u64) -> String {
    (version % (u64::from(u32::MAX) - 2) + 3).to_string()
}

fn session_information(session: &Arc<Session>) -> Vec<Arc<ScalarUDF>> {
    let name = |name: &'static str, body: TextBody| stable(name, session).on(&[], Ty::NAME, text(session, body));
    let micros =
        |name: &'static str, at: i64| stable(name, session).on(&[], Ty::TIMESTAMPTZ, Body::Int(Box::new(move |_| Ok(Some(at))))).build();
    let start = session.facts.server_start_time.timestamp_micros();
    let schemas = Arc::clone(session);
    vec![
        name("current_database", |_, session| Ok(Some(session.facts.database.clone()))).alias("current_catalog").build(),
        name("current_user", |_, session| Ok(Some(session.facts.current_user.clone()))).alias("user").alias("current_role").build(),
        name("session_user", |_, session| Ok(Some(session.facts.session_user.clone()))).alias("system_user").build(),
        name("current_schema", |_, session| Ok(session.facts.search_path.iter().find(|schema| !is_temporary(schema)).cloned())).build(),
        stable("current_schemas", session)
            .on(
                &[Ty::BOOL],
                Ty::NAMES,
                Body::Texts(Box::new(move |row| {
                    let (temporary, path): (Vec<_>, Vec<_>) =
                        schemas.facts.search_path.iter().cloned().partition(|schema| is_temporary(schema));
                    let implicit = row.bool(0) && !path.iter().any(|schema| schema == "pg_catalog");
                    let first = implicit.then(|| "pg_catalog".to_owned());
                    let temporary = if row.bool(0) { temporary } else { Vec::new() };
                    Ok(Some(temporary.into_iter().chain(first).chain(path).map(Some).collect()))
                })),
            )
            .build(),
        stable("#catalog_version", session)
            .on(&[], Ty::TEXT, text(session, |_, session| Ok(Some(as_xid(session.lookup().catalog_version())))))
            .build(),
        stable("version", session).on(&[], Ty::TEXT, text(session, |_, _| Ok(Some(version())))).build(),
        stable("pg_backend_pid", session).on(&[], Ty::INT4, int(session, |_, session| Ok(Some(session.facts.backend_pid.into())))).build(),
        stable("inet_client_addr", session)
            .on(&[], Ty::TEXT, text(session, |_, session| Ok(session.facts.client_address.map(|address| address.ip().to_string()))))
            .build(),
        stable("inet_client_port", session)
            .on(&[], Ty::INT4, int(session, |_, session| Ok(session.facts.client_address.map(|address| address.port().into()))))
            .build(),
        stable("inet_server_addr", session)
            .on(&[], Ty::TEXT, text(session, |_, session| Ok(session.facts.server_address.map(|address| address.ip().to_string()))))
            .build(),
        stable("inet_server_port", session)
            .on(&[], Ty::INT4, int(session, |_, session| Ok(session.facts.server_address.map(|address| address.port().into()))))
            .build(),
        micros("pg_postmaster_start_time", start),
        micros("pg_conf_load_time", start),
        stable("pg_is_in_recovery", session).on(&[], Ty::BOOL, boolean(session, |_, _| Ok(Some(false)))).build(),
        stable("pg_is_wal_replay_paused", session).on(&[], Ty::BOOL, boolean(session, |_, _| Ok(Some(false)))).build(),
        stable("pg_my_temp_schema", session)
            .on(&[], Ty::OID, int(session, |_, session| Ok(temp_schema(session).map_or(Some(0), |oid| Some(oid.into())))))
            .build(),
        stable("pg_is_other_temp_schema", session)
            .on(
                &[Ty::OID],
                Ty::BOOL,
                boolean(session, |row, session| {
                    let name = session.lookup().schema_name(oid(row, 0)).unwrap_or_default();
                    Ok(Some(name.starts_with("pg_temp_") && temp_schema(session) != Some(oid(row, 0))))
                }),
            )
            .build(),
        stable("pg_trigger_depth", session).on(&[], Ty::INT4, int(session, |_, _| Ok(Some(0)))).build(),
        stable("pg_jit_available", session).on(&[], Ty::BOOL, boolean(session, |_, _| Ok(Some(false)))).build(),
        stable("pg_get_client_encoding", session)
            .alias("pg_client_encoding")
            .on(&[], Ty::NAME, text(session, |_, _| Ok(Some("UTF8".to_owned()))))
            .build(),
        Arc::new(AsyncScalarUDF::new(Arc::new(Sleep::new())).into_scalar_udf()),
        signal("pg_cancel_backend", SessionSignal::CancelStatement, session),
        signal("pg_terminate_backend", SessionSignal::Terminate, session),
    ]
}

fn signal(name: &'static str, signal: SessionSignal, session: &Arc<Session>) -> Arc<ScalarUDF> {
    let verb = match signal {
        SessionSignal::CancelStatement => "cancel a query",
        SessionSignal::Terminate => "terminate a process",
    };
    let body =
        boolean(session, move |row, session| match session.lookup().signal_session(i32::try_from(row.int(0)).unwrap_or(0), signal) {
            Signalled::Sent => Ok(Some(true)),
            Signalled::NoSuchSession => Ok(Some(false)),
            Signalled::Denied => Err(mistake(
                SqlMistake::InsufficientPrivilege,
                format_args!("must be a member of the role whose process is being signalled to {verb}"),
            )),
        });
    PgFunction::volatile(name).of_session(session.identity()).on(&[Ty::INT4], Ty::BOOL, body).build()
}

fn view_by_name(row: &Row<'_>, session: &Session) -> Result<Option<String>> {
    match reg::find_oid(row.text(0), PgType::REGCLASS, session)? {
        Some(oid) => Ok(session.lookup().view_definition(oid, row.len() > 1 && row.bool(1))),
        None => Err(mistake(SqlMistake::UndefinedTable, format_args!("relation \"{}\" does not exist", row.text(0)))),
    }
}

/// PostgreSQL's form, so that clients find the version they know how to talk to; then who really answers.
#[must_use]
pub fn version() -> String {
    format!(
        "PostgreSQL 15.18 (Lakegate {}) on {}-{}, compiled by rustc, 64-bit",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS
    )
}

fn temp_schema(session: &Session) -> Option<Oid> {
    session.facts.search_path.iter().find(|schema| schema.starts_with("pg_temp")).and_then(|schema| session.lookup().schema_oid(schema))
}

fn names(session: &Arc<Session>) -> Vec<Arc<ScalarUDF>> {
    let mut all = vec![
        stable("pg_get_userbyid", session)
            .on(
                &[Ty::OID],
                Ty::NAME,
                text(session, |row, session| {
                    Ok(Some(session.lookup().role_name(oid(row, 0)).unwrap_or_else(|| format!("unknown (OID={})", oid(row, 0)))))
                }),
            )
            .build(),
        stable("format_type", session)
            .on_nullable(
                &[Ty::OID, Ty::INT4],
                Ty::TEXT,
                text(session, |row, session| {
                    if row.is_null(0) {
                        return Ok(None);
                    }
                    if oid(row, 0) == 0 {
                        return Ok(Some("-".to_owned()));
                    }
                    let typmod = (!row.is_null(1)).then(|| i32::try_from(row.int(1)).unwrap_or(-1));
                    Ok(Some(format_type::format(oid(row, 0), typmod, session).unwrap_or_else(|| "???".to_owned())))
                }),
            )
            .build(),
        stable("pg_typeof", session)
            .on_nullable(
                &[Ty::Any],
                Ty::REGTYPE,
                int(session, |row, _| {
                    let pg = row.pg_type(0);
                    let null = row.value(0).is_some_and(|(array, _)| array.data_type() == &DataType::Null);
                    Ok(Some(i64::from(if null { PgType::UNKNOWN.oid } else { pg.oid })))
                }),
            )
            .build(),
        stable("pg_encoding_to_char", session)
            .on(&[Ty::INT4], Ty::NAME, text(session, |row, _| Ok(Some(if row.int(0) == 6 { "UTF8" } else { "" }.to_owned()))))
            .build(),
        stable("pg_char_to_encoding", session)
            .on(
                &[Ty::NAME],
                Ty::INT4,
                int(session, |row, _| {
                    let plain: String = row.text(0).chars().filter(char::is_ascii_alphanumeric).collect();
                    Ok(Some(if matches!(plain.to_ascii_lowercase().as_str(), "utf8" | "unicode") { 6 } else { -1 }))
                }),
            )
            .build(),
    ];
    for (name, pg) in [
        ("to_regclass", PgType::REGCLASS),
        ("to_regtype", PgType::REGTYPE),
        ("to_regnamespace", PgType::REGNAMESPACE),
        ("to_regrole", PgType::REGROLE),
        ("to_regproc", PgType::REGPROC),
        ("to_regprocedure", PgType::plain(2202)),
    ] {
        let body = int(session, move |row, session| {
            if row.text(0).parse::<Oid>().is_ok() {
                return Ok(None);
            }
            reg::find_oid(row.text(0), pg, session).map(|found| found.map(i64::from))
        });
        all.push(stable(name, session).on(&[Ty::TEXT], Ty::Is(pg), body).build());
    }
    type IsVisible = fn(Oid, &Session) -> bool;
    let visible: [(&'static str, IsVisible); 3] = [
        ("pg_table_is_visible", |oid, session| session.lookup().relation_is_visible(oid)),
        ("pg_type_is_visible", |oid, session| session.lookup().type_is_visible(oid)),
        ("pg_function_is_visible", |oid, session| session.lookup().function_name(oid).is_some()),
    ];
    for (name, is_visible) in visible {
        let body = boolean(session, move |row, session| Ok(Some(is_visible(oid(row, 0), session))));
        all.push(stable(name, session).on(&[Ty::OID], Ty::BOOL, body).build());
    }
    // All objects of these kinds are built in, and pg_catalog is always on the path.
    for name in [
        "pg_operator_is_visible",
        "pg_opclass_is_visible",
        "pg_opfamily_is_visible",
        "pg_collation_is_visible",
        "pg_conversion_is_visible",
        "pg_statistics_obj_is_visible",
        "pg_ts_config_is_visible",
        "pg_ts_dict_is_visible",
        "pg_ts_parser_is_visible",
        "pg_ts_template_is_visible",
    ] {
        all.push(stable(name, session).on(&[Ty::OID], Ty::BOOL, boolean(session, |_, _| Ok(Some(true)))).build());
    }
    all
}

fn definitions(session: &Arc<Session>) -> Vec<Arc<ScalarUDF>> {
    let relation_text = |name: &'static str, body: TextBody| {
        stable(name, session).on(&[Ty::OID], Ty::TEXT, text(session, body)).on(&[Ty::OID, Ty::BOOL], Ty::TEXT, text(session, body)).on(
            &[Ty::OID, Ty::INT4],
            Ty::TEXT,
            text(session, body),
        )
    };
    let by_oid = |name: &'static str, body: TextBody| stable(name, session).on(&[Ty::OID], Ty::TEXT, text(session, body));
    vec![
        // Expressions are stored as the SQL that was written.
        stable("pg_get_expr", session)
            .on(&[Ty::TEXT, Ty::OID], Ty::TEXT, text(session, |row, _| Ok(Some(row.text(0).to_owned()))))
            .on(&[Ty::TEXT, Ty::OID, Ty::BOOL], Ty::TEXT, text(session, |row, _| Ok(Some(row.text(0).to_owned()))))
            .build(),
        relation_text("pg_get_constraintdef", |row, session| {
            Ok(session.lookup().constraint_definition(oid(row, 0), row.len() > 1 && row.bool(1)))
        })
        .build(),
        relation_text("pg_get_viewdef", |row, session| {
            // With a width it is pretty too.
            let width = row.value(1).is_some_and(|(array, _)| array.data_type() == &DataType::Int32);
            Ok(session.lookup().view_definition(oid(row, 0), width || (row.len() > 1 && row.bool(1))))
        })
        .on(&[Ty::TEXT], Ty::TEXT, text(session, view_by_name))
        .on(&[Ty::TEXT, Ty::BOOL], Ty::TEXT, text(session, view_by_name))
        .build(),
        stable("pg_get_indexdef", session)
            .on(&[Ty::OID], Ty::TEXT, text(session, |row, session| Ok(index_definition(row, session))))
            .on(&[Ty::OID, Ty::INT4, Ty::BOOL], Ty::TEXT, text(session, |row, session| Ok(index_definition(row, session))))
            .build(),
        // There are no rules, triggers, partitions of PostgreSQL's kind, and no extended statistics.
        relation_text("pg_get_ruledef", |_, _| Ok(None)).build(),
        relation_text("pg_get_triggerdef", |_, _| Ok(None)).build(),
        by_oid("pg_get_partkeydef", |_, _| Ok(None)).build(),
        by_oid("pg_get_partition_constraintdef", |_, _| Ok(None)).build(),
        by_oid("pg_get_statisticsobjdef", |_, _| Ok(None)).build(),
        by_oid("pg_get_statisticsobjdef_columns", |_, _| Ok(None)).build(),
        by_oid("pg_get_function_arguments", |row, session| Ok(session.lookup().function_arguments(oid(row, 0)))).build(),
        by_oid("pg_get_function_identity_arguments", |row, session| Ok(session.lookup().function_arguments(oid(row, 0)))).build(),
        by_oid("pg_get_function_result", |row, session| Ok(session.lookup().function_result(oid(row, 0)))).build(),
        by_oid("pg_get_function_sqlbody", |_, _| Ok(None)).build(),
        by_oid("pg_get_functiondef", |row, session| function_definition(oid(row, 0), session)).build(),
        stable("obj_description", session)
            .on(
                &[Ty::OID, Ty::NAME],
                Ty::TEXT,
                text(session, |row, session| {
                    let class = session.lookup().relation_oid(Some("pg_catalog"), row.text(1));
                    Ok(class.and_then(|class| session.lookup().comment(oid(row, 0), class, 0)))
                }),
            )
            .on(&[Ty::OID], Ty::TEXT, text(session, |row, session| Ok(session.lookup().comment(oid(row, 0), 1259, 0))))
            .build(),
        stable("shobj_description", session)
            .on(
                &[Ty::OID, Ty::NAME],
                Ty::TEXT,
                text(session, |row, session| {
                    let class = session.lookup().relation_oid(Some("pg_catalog"), row.text(1));
                    Ok(class.and_then(|class| session.lookup().comment(oid(row, 0), class, 0)))
                }),
            )
            .build(),
        stable("col_description", session)
            .on(
                &[Ty::OID, Ty::INT4],
                Ty::TEXT,
                text(session, |row, session| {
                    let column = i32::try_from(row.int(1)).unwrap_or(0);
                    Ok(if column == 0 { None } else { session.lookup().comment(oid(row, 0), 1259, column) })
                }),
            )
            .build(),
        stable("pg_relation_is_publishable", session).on(&[Ty::REGCLASS], Ty::BOOL, boolean(session, |_, _| Ok(Some(false)))).build(),
        stable("pg_relation_filenode", session).on(&[Ty::REGCLASS], Ty::OID, int(session, |_, _| Ok(None))).build(),
        stable("pg_tablespace_location", session).on(&[Ty::OID], Ty::TEXT, text(session, |_, _| Ok(Some(String::new())))).build(),
        stable("pg_index_column_has_property", session)
            .on(&[Ty::REGCLASS, Ty::INT4, Ty::TEXT], Ty::BOOL, boolean(session, |_, _| Ok(None)))
            .build(),
    ]
}

fn function_definition(function: Oid, session: &Session) -> Result<Option<String>> {
    let Some((schema, name)) = session.lookup().function_name(function) else {
        return Err(mistake(SqlMistake::UndefinedFunction, format_args!("function with OID {function} does not exist")));
    };
    let arguments = session.lookup().function_arguments(function).unwrap_or_default();
    let result = session.lookup().function_result(function).unwrap_or_default();
    let (language, attributes, source) = session.lookup().function_clauses(function).unwrap_or_default();
    Ok(Some(format!(
        "CREATE OR REPLACE FUNCTION {}.{}({arguments})\n RETURNS {result}\n LANGUAGE {language}\n{attributes}{source}\n",
        quote::ident(&schema),
        quote::ident(&name),
    )))
}

/// Sizes are not known without reading each table's log: NULL, as for an object that is gone.
fn sizes(session: &Arc<Session>) -> Vec<Arc<ScalarUDF>> {
    let unknown = || int(session, |_, _| Ok(None));
    let mut all: Vec<Arc<ScalarUDF>> = ["pg_total_relation_size", "pg_table_size"]
        .map(|name| stable(name, session).on(&[Ty::REGCLASS], Ty::INT8, unknown()).build())
        .into();
    all.push(stable("pg_indexes_size", session).on(&[Ty::REGCLASS], Ty::INT8, int(session, |_, _| Ok(Some(0)))).build());
    all.push(
        stable("pg_relation_size", session)
            .on(&[Ty::REGCLASS], Ty::INT8, unknown())
            .on(&[Ty::REGCLASS, Ty::TEXT], Ty::INT8, unknown())
            .build(),
    );
    all.push(stable("pg_database_size", session).on(&[Ty::OID], Ty::INT8, unknown()).on(&[Ty::NAME], Ty::INT8, unknown()).build());
    all.push(stable("pg_tablespace_size", session).on(&[Ty::OID], Ty::INT8, unknown()).on(&[Ty::NAME], Ty::INT8, unknown()).build());
    all.push(
        stable("pg_size_pretty", session)
            .on(&[Ty::INT8], Ty::TEXT, text(session, |row, _| Ok(Some(size_pretty(row.int(0))))))
            .on(
                &[Ty::Numeric],
                Ty::TEXT,
                text(session, |row, _| {
                    let (digits, scale) = row.decimal(0);
                    let whole = digits / 10_i128.pow(u32::from(scale.unsigned_abs()));
                    Ok(Some(size_pretty(i64::try_from(whole).unwrap_or(i64::MAX))))
                }),
            )
            .build(),
    );
    all
}

/// `bytes` below 10 kB, then the unit in which it has fewer than 10240.
fn size_pretty(bytes: i64) -> String {
    const UNITS: [&str; 6] = ["bytes", "kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes;
    if value.abs() < 10 * 1024 {
        return format!("{value} bytes");
    }
    // One more bit than shown, to round with.
    value /= 512;
    for unit in UNITS.iter().skip(1) {
        if value.abs() < 20 * 1024 - 1 || *unit == "PB" {
            let rounded = (value + value.signum()) / 2;
            return format!("{rounded} {unit}");
        }
        value /= 1024;
    }
    format!("{bytes} bytes")
}

fn settings(session: &Arc<Session>) -> Vec<Arc<ScalarUDF>> {
    let setting = |name: &str, session: &Session| session.facts.settings.get(&name.to_ascii_lowercase()).cloned();
    vec![
        stable("current_setting", session)
            .on(
                &[Ty::TEXT],
                Ty::TEXT,
                text(session, move |row, session| match setting(row.text(0), session) {
                    Some(value) => Ok(Some(value)),
                    None => {
                        Err(mistake(SqlMistake::UndefinedObject, format_args!("unrecognized configuration parameter \"{}\"", row.text(0))))
                    }
                }),
            )
            .on(
                &[Ty::TEXT, Ty::BOOL],
                Ty::TEXT,
                text(session, move |row, session| match setting(row.text(0), session) {
                    None if !row.bool(1) => {
                        Err(mistake(SqlMistake::UndefinedObject, format_args!("unrecognized configuration parameter \"{}\"", row.text(0))))
                    }
                    value => Ok(value),
                }),
            )
            .build(),
    ]
}

/// Counters that are not kept answer 0 or NULL, as PostgreSQL does for objects without any.
fn lookups(session: &Arc<Session>) -> Vec<Arc<ScalarUDF>> {
    let mut all = Vec::new();
    for name in [
        "pg_stat_get_numscans",
        "pg_stat_get_tuples_returned",
        "pg_stat_get_tuples_fetched",
        "pg_stat_get_tuples_inserted",
        "pg_stat_get_tuples_updated",
        "pg_stat_get_tuples_deleted",
        "pg_stat_get_live_tuples",
        "pg_stat_get_dead_tuples",
        "pg_stat_get_blocks_fetched",
        "pg_stat_get_blocks_hit",
    ] {
        all.push(stable(name, session).on(&[Ty::OID], Ty::INT8, int(session, |_, _| Ok(Some(0)))).build());
    }
    for name in ["txid_current", "pg_current_xact_id"] {
        // A statement's time is unique enough to order by, and grows.
        let body = int(session, |_, session| Ok(Some(session.facts.transaction_time.timestamp_micros())));
        all.push(stable(name, session).on(&[], Ty::INT8, body).build());
    }
    all.push(
        stable("pg_current_xact_id_if_assigned", session)
            .alias("txid_current_if_assigned")
            .on(&[], Ty::INT8, int(session, |_, _| Ok(None)))
            .build(),
    );
    // There are no advisory locks, so none is left after this.
    all.push(
        stable("pg_blocking_pids", session)
            .on(&[Ty::INT4], Ty::Array(PgType::INT4), Body::Columns(Box::new(|args| empty_list(args.result.data_type(), args.rows))))
            .build(),
    );
    all.push(
        stable("pg_column_size", session)
            .on(
                &[Ty::Any],
                Ty::INT4,
                int(session, |row, _| {
                    Ok(row.value(0).map(|(array, at)| i64::try_from(array.slice(at, 1).get_array_memory_size()).unwrap_or(i64::MAX)))
                }),
            )
            .build(),
    );
    all
}

fn empty_list(data_type: &DataType, rows: usize) -> Result<ArrayRef> {
    let DataType::List(element) = data_type else { return internal_err!("a list was expected, not {data_type}") };
    let values = datafusion::arrow::array::new_empty_array(element.data_type());
    let offsets = datafusion::arrow::buffer::OffsetBuffer::from_lengths(std::iter::repeat_n(0, rows));
    Ok(Arc::new(datafusion::arrow::array::ListArray::try_new(Arc::clone(element), offsets, values, None)?))
}

/// `pg_sleep(seconds)`: waits without holding a thread, so that cancelling the statement ends it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Sleep {
    signature: Signature,
}

impl Sleep {
    fn new() -> Self {
        Sleep { signature: Signature::exact(vec![DataType::Float64], Volatility::Volatile) }
    }
}

impl ScalarUDFImpl for Sleep {
    fn name(&self) -> &str {
        "pg_sleep"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Ty::VOID.field(self.name())?))
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("pg_sleep waits asynchronously")
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for Sleep {
    async fn invoke_async_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        use datafusion::arrow::array::AsArray;
        let rows = args.number_rows;
        let Some(seconds) = args.args.first() else { return internal_err!("pg_sleep has one argument") };
        let seconds = seconds.to_array(rows)?;
        let seconds = seconds.as_primitive::<datafusion::arrow::datatypes::Float64Type>().clone();
        // One row sleeps after the other.
        let total: f64 = seconds.iter().flatten().filter(|seconds| *seconds > 0.0).sum();
        let wait =
            std::time::Duration::try_from_secs_f64(total).map_err(|_| data(DataError::NumericOutOfRange, "sleep time is out of range"))?;
        tokio::time::sleep(wait).await;
        let texts: StringArray = seconds.iter().map(|seconds| seconds.map(|_| "")).collect();
        Ok(ColumnarValue::Array(Arc::new(texts)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (10_239, "10239 bytes"),
            (10_240, "10 kB"),
            (10_485_247, "10239 kB"),
            (10_485_248, "10 MB"),
            (1_073_741_824, "1024 MB"),
            (-1_000_000, "-977 kB"),
        ] {
            assert_eq!(size_pretty(bytes), text);
        }
    }
}
