//! `has_table_privilege` and its kin (documentation, table 9.70): the role by name, OID or left out; the object by name or
//! OID; several privileges, any of which suffices, in one text.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ScalarUDF;
use lakegate_engine_api::catalog::{Oid, PgType};
use lakegate_engine_api::{DataError, SqlMistake};

use super::call::Row;
use super::error::{data, mistake};
use super::function::{Body, PgFunction};
use super::reg;
use super::session::Session;
use super::types::Ty;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Relation,
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
        ("has_any_column_privilege", Kind::Relation),
        ("has_sequence_privilege", Kind::Relation),
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
    all.push(
        PgFunction::stable("row_security_active")
            .of_session(session.identity())
            .on(&[Ty::OID], Ty::BOOL, Body::Bool(Box::new(|_| Ok(Some(false)))))
            .on(&[Ty::TEXT], Ty::BOOL, Body::Bool(Box::new(|_| Ok(Some(false)))))
            .build(),
    );
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

/// Columns have no privileges of their own: the table's hold.
fn column_privilege(session: &Arc<Session>) -> Arc<ScalarUDF> {
    let mut function = PgFunction::stable("has_column_privilege").of_session(session.identity());
    for object in [Ty::TEXT, Ty::OID] {
        for column in [Ty::TEXT, Ty::INT2] {
            let shared = Arc::clone(session);
            function = function.on(
                &[object.clone(), column.clone(), Ty::TEXT],
                Ty::BOOL,
                Body::Bool(Box::new(move |row| checked(row, None, 0, 2, Kind::Relation, &shared))),
            );
            for role in [Ty::NAME, Ty::OID] {
                let shared = Arc::clone(session);
                function = function.on(
                    &[role, object.clone(), column.clone(), Ty::TEXT],
                    Ty::BOOL,
                    Body::Bool(Box::new(move |row| checked(row, Some(0), 1, 3, Kind::Relation, &shared))),
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
    let role = match role {
        None => None,
        Some(column) if is_name(row, column) => match row.text(column) {
            "public" => Some(0),
            name => Some(session.lookup().role_oid(name).ok_or_else(|| undefined(SqlMistake::UndefinedObject, "role", name))?),
        },
        Some(column) => Some(Oid::try_from(row.int(column)).unwrap_or(0)),
    };
    let Some(oid) = object_oid(row, object, kind, session)? else { return Ok(None) };
    let mut granted = Some(false);
    for word in row.text(privilege).split(',') {
        let word = word.trim().to_ascii_uppercase();
        let word = word.strip_suffix(" WITH GRANT OPTION").unwrap_or(&word).to_owned();
        if !known(kind, &word) {
            return Err(data(DataError::InvalidParameterValue, format_args!("unrecognized privilege type: \"{}\"", row.text(privilege))));
        }
        let lookup = session.lookup();
        let one = match kind {
            Kind::Relation => lookup.has_relation_privilege(role, oid, &word),
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
        Kind::Relation => match reg::find_oid(name, PgType::REGCLASS, session)? {
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
            matches!(word, "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "TRUNCATE" | "REFERENCES" | "TRIGGER" | "USAGE" | "RULE")
        }
        Kind::Schema => matches!(word, "CREATE" | "USAGE"),
        Kind::Database => matches!(word, "CREATE" | "CONNECT" | "TEMPORARY" | "TEMP"),
        Kind::Role => matches!(word, "MEMBER" | "USAGE" | "SET") || word.starts_with("MEMBER WITH") || word.starts_with("USAGE WITH"),
        Kind::Open => true,
    }
}
