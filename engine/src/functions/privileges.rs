//! `has_table_privilege` and its kin (documentation, table 9.70): the role by name, OID or left out; the object by name or
//! OID; several privileges, any of which suffices, in one text.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ScalarUDF;
use lakegate_engine_api::catalog::{Oid, PgType};
use lakegate_engine_api::{ColumnOf, ColumnPrivilege, DataError, SqlMistake};

use super::call::Row;
use super::error::{data, mistake};
use super::function::{Body, PgFunction};
use super::reg;
use super::session::Session;
use super::types::Ty;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Relation,
    AnyColumn,
    Sequence,
    Schema,
    Database,
    /// Types, functions, languages and tablespaces are open to everybody.
    Open,
    Role,
}

pub fn session_functions(session: &Arc<Session>) -> Vec<Arc<ScalarUDF>> {
    let mut all = Vec::new();
    for (name, kind) in [
        ("has_table_privilege", Kind::Relation),
        ("has_any_column_privilege", Kind::AnyColumn),
        ("has_sequence_privilege", Kind::Sequence),
        ("has_schema_privilege", Kind::Schema),
        ("has_database_privilege", Kind::Database),
        ("has_type_privilege", Kind::Open),
        ("has_function_privilege", Kind::Open),
        ("has_language_privilege", Kind::Open),
        ("has_tablespace_privilege", Kind::Open),
        ("pg_has_role", Kind::Role),
    ] {
        all.push(overloads(name, kind, session));
    }
    all.push(column_privilege(session));
    let mut row_security = PgFunction::stable("row_security_active").of_session(session.identity());
    for object in [Ty::OID, Ty::TEXT] {
        let shared = Arc::clone(session);
        let active = move |row: &Row<'_>| {
            let oid = object_oid(row, 0, Kind::Relation, &shared)?;
            Ok(oid.and_then(|oid| shared.lookup().row_security_active(oid)))
        };
        row_security = row_security.on(&[object], Ty::BOOL, Body::Bool(Box::new(active)));
    }
    all.push(row_security.build());
    all
}

fn overloads(name: &'static str, kind: Kind, session: &Arc<Session>) -> Arc<ScalarUDF> {
    let mut function = PgFunction::stable(name).of_session(session.identity());
    for object in [Ty::TEXT, Ty::OID] {
        let shared = Arc::clone(session);
        function = function.on(&[object.clone(), Ty::TEXT], Ty::BOOL, Body::Bool(Box::new(move |row| check(row, None, 0, kind, &shared))));
        for role in [Ty::NAME, Ty::OID] {
            let shared = Arc::clone(session);
            function = function.on(
                &[role, object.clone(), Ty::TEXT],
                Ty::BOOL,
                Body::Bool(Box::new(move |row| check(row, Some(0), 1, kind, &shared))),
            );
        }
    }
    function.build()
}

fn column_privilege(session: &Arc<Session>) -> Arc<ScalarUDF> {
    let mut function = PgFunction::stable("has_column_privilege").of_session(session.identity());
    for object in [Ty::TEXT, Ty::OID] {
        for column in [Ty::TEXT, Ty::INT2] {
            let shared = Arc::clone(session);
            function = function.on(
                &[object.clone(), column.clone(), Ty::TEXT],
                Ty::BOOL,
                Body::Bool(Box::new(move |row| of_column(row, None, 0, &shared))),
            );
            for role in [Ty::NAME, Ty::OID] {
                let shared = Arc::clone(session);
                function = function.on(
                    &[role, object.clone(), column.clone(), Ty::TEXT],
                    Ty::BOOL,
                    Body::Bool(Box::new(move |row| of_column(row, Some(0), 1, &shared))),
                );
            }
        }
    }
    function.build()
}

fn check(row: &Row<'_>, role: Option<usize>, object: usize, kind: Kind, session: &Session) -> Result<Option<bool>> {
    checked(row, role, object, object + 1, kind, session)
}

fn checked(row: &Row<'_>, role: Option<usize>, object: usize, privilege: usize, kind: Kind, session: &Session) -> Result<Option<bool>> {
    let role = role_of(row, role, session)?;
    let Some(oid) = object_oid(row, object, kind, session)? else { return Ok(None) };
    let mut granted = Some(false);
    for word in words(row, privilege, kind)? {
        let lookup = session.lookup();
        let one = match kind {
            Kind::Relation | Kind::Sequence => lookup.has_relation_privilege(role, oid, &word),
            Kind::AnyColumn => lookup.has_any_column_privilege(role, oid, &word),
            Kind::Schema => lookup.has_schema_privilege(role, oid, &word),
            Kind::Database => lookup.has_database_privilege(role, oid, &word),
            Kind::Role => lookup.has_role(role, oid, &word),
            Kind::Open => Some(true),
        };
        match one {
            Some(true) => return Ok(Some(true)),
            Some(false) => {}
            None => granted = None,
        }
    }
    Ok(granted)
}

/// Source: `convert_column_name`, `column_privilege_check`.
fn of_column(row: &Row<'_>, role: Option<usize>, object: usize, session: &Session) -> Result<Option<bool>> {
    let role = role_of(row, role, session)?;
    let Some(oid) = object_oid(row, object, Kind::AnyColumn, session)? else { return Ok(None) };
    let column = match is_name(row, object + 1) {
        true => ColumnOf::Name(row.text(object + 1)),
        false => ColumnOf::Number(row.int(object + 1)),
    };
    let words = words(row, object + 2, Kind::AnyColumn)?.join(",");
    Ok(match session.lookup().has_column_privilege(role, oid, column, &words) {
        ColumnPrivilege::Held => Some(true),
        ColumnPrivilege::NotHeld => Some(false),
        ColumnPrivilege::NoSuchRelation => None,
        ColumnPrivilege::NoSuchColumn => match column {
            ColumnOf::Number(_) => None,
            ColumnOf::Name(name) => {
                let relation = session.lookup().relation_name(oid).map(|(_, relation)| relation).unwrap_or_default();
                let message = format_args!("column \"{name}\" of relation \"{relation}\" does not exist");
                return Err(mistake(SqlMistake::UndefinedColumn, message));
            }
        },
    })
}

/// The privileges of a list, upper case.
fn words(row: &Row<'_>, at: usize, kind: Kind) -> Result<Vec<String>> {
    let word = |word: &str| {
        let word = word.trim().to_ascii_uppercase();
        let bare = word.strip_suffix(" WITH GRANT OPTION").unwrap_or(&word);
        if known(kind, bare) {
            Ok(word)
        } else {
            Err(data(DataError::InvalidParameterValue, format_args!("unrecognized privilege type: \"{}\"", row.text(at))))
        }
    };
    row.text(at).split(',').map(word).collect()
}

fn role_of(row: &Row<'_>, role: Option<usize>, session: &Session) -> Result<Option<Oid>> {
    Ok(match role {
        None => None,
        Some(column) if is_name(row, column) => match row.text(column) {
            "public" => Some(0),
            name => Some(session.lookup().role_oid(name).ok_or_else(|| undefined(SqlMistake::UndefinedObject, "role", name))?),
        },
        Some(column) => Some(Oid::try_from(row.int(column)).unwrap_or(0)),
    })
}

fn is_name(row: &Row<'_>, column: usize) -> bool {
    row.value(column).is_some_and(|(array, _)| super::types::is_text(array.data_type()))
}

/// `None` where an OID was given and nothing is behind it, which later gives NULL; a missing name is an error.
fn object_oid(row: &Row<'_>, column: usize, kind: Kind, session: &Session) -> Result<Option<Oid>> {
    if !is_name(row, column) {
        return Ok(Oid::try_from(row.int(column)).ok());
    }
    let name = row.text(column);
    let lookup = session.lookup();
    match kind {
        Kind::Relation | Kind::AnyColumn | Kind::Sequence => match reg::find_oid(name, PgType::REGCLASS, session)? {
            Some(oid) => Ok(Some(oid)),
            None => Err(mistake(SqlMistake::UndefinedTable, format_args!("relation \"{name}\" does not exist"))),
        },
        Kind::Schema => lookup.schema_oid(name).map(Some).ok_or_else(|| undefined(SqlMistake::UndefinedSchema, "schema", name)),
        Kind::Database => lookup.database_oid(name).map(Some).ok_or_else(|| undefined(SqlMistake::UndefinedDatabase, "database", name)),
        Kind::Role => lookup.role_oid(name).map(Some).ok_or_else(|| undefined(SqlMistake::UndefinedObject, "role", name)),
        Kind::Open => Ok(Some(0)),
    }
}

fn undefined(what: SqlMistake, kind: &str, name: &str) -> DataFusionError {
    mistake(what, format_args!("{kind} \"{name}\" does not exist"))
}

fn known(kind: Kind, word: &str) -> bool {
    match kind {
        Kind::Relation => {
            matches!(word, "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "TRUNCATE" | "REFERENCES" | "TRIGGER" | "RULE")
        }
        Kind::AnyColumn => matches!(word, "SELECT" | "INSERT" | "UPDATE" | "REFERENCES"),
        Kind::Sequence => matches!(word, "USAGE" | "SELECT" | "UPDATE"),
        Kind::Schema => matches!(word, "CREATE" | "USAGE"),
        Kind::Database => matches!(word, "CREATE" | "CONNECT" | "TEMPORARY" | "TEMP"),
        Kind::Role => matches!(word, "MEMBER" | "USAGE" | "SET") || word.starts_with("MEMBER WITH") || word.starts_with("USAGE WITH"),
        Kind::Open => true,
    }
}
