//! Sequences (documentation, section 9.17). Values come from the control plane, those of one batch of rows together.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array, Int64Builder};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;
use lakegate_engine_api::SqlMistake;
use lakegate_engine_api::catalog::{Oid, PgType};

use super::call::Row;
use super::error::{external, mistake};
use super::function::{Body, Columns, PgFunction};
use super::session::Session;
use super::types::Ty;
use super::{quote, reg};

pub fn session_functions(session: &Arc<Session>) -> Vec<Arc<ScalarUDF>> {
    let volatile = |name: &'static str| PgFunction::volatile(name).of_session(session.identity());
    let next = || {
        let session = Arc::clone(session);
        Body::Columns(Box::new(move |args| next_values(args, &session)))
    };
    let current = || {
        let session = Arc::clone(session);
        Body::Int(Box::new(move |row| session.lookup().current_value(sequence(row, &session)?).map(Some).map_err(external)))
    };
    let set = || {
        let session = Arc::clone(session);
        Body::Int(Box::new(move |row| {
            let (value, called) = (row.int(1), row.len() < 3 || row.bool(2));
            session.lookup().set_sequence(sequence(row, &session)?, value, called).map_err(external)?;
            Ok(Some(value))
        }))
    };
    let (last, column_of, last_of) = (Arc::clone(session), Arc::clone(session), Arc::clone(session));
    let (text, oid) = (Ty::TEXT, Ty::REGCLASS);
    vec![
        volatile("nextval").on(std::slice::from_ref(&text), Ty::INT8, next()).on(std::slice::from_ref(&oid), Ty::INT8, next()).build(),
        volatile("currval")
            .on(std::slice::from_ref(&text), Ty::INT8, current())
            .on(std::slice::from_ref(&oid), Ty::INT8, current())
            .build(),
        volatile("setval")
            .on(&[text.clone(), Ty::INT8], Ty::INT8, set())
            .on(&[oid.clone(), Ty::INT8], Ty::INT8, set())
            .on(&[text.clone(), Ty::INT8, Ty::BOOL], Ty::INT8, set())
            .on(&[oid, Ty::INT8, Ty::BOOL], Ty::INT8, set())
            .build(),
        volatile("lastval").on(&[], Ty::INT8, Body::Int(Box::new(move |_| last.lookup().last_value().map(Some).map_err(external)))).build(),
        PgFunction::stable("pg_get_serial_sequence")
            .of_session(session.identity())
            .on(&[text.clone(), text], Ty::TEXT, Body::Text(Box::new(move |row| serial_sequence(row, &column_of))))
            .build(),
        volatile("pg_sequence_last_value")
            .on(
                &[Ty::REGCLASS],
                Ty::INT8,
                Body::Int(Box::new(move |row| last_of.lookup().stored_value(sequence(row, &last_of)?).map_err(external))),
            )
            .build(),
    ]
}

/// The sequence of the first argument, a name or a number.
fn sequence(row: &Row<'_>, session: &Session) -> Result<Oid> {
    if row.pg_type(0) == PgType::TEXT { by_name(row.text(0), session) } else { Ok(Oid::try_from(row.int(0)).unwrap_or(0)) }
}

fn by_name(text: &str, session: &Session) -> Result<Oid> {
    if let Ok(oid) = text.parse() {
        return Ok(oid);
    }
    reg::find_oid(text, PgType::REGCLASS, session)?
        .ok_or_else(|| mistake(SqlMistake::UndefinedTable, format_args!("relation \"{text}\" does not exist")))
}

/// One request for all rows of a sequence.
fn next_values(args: &Columns<'_>, session: &Session) -> Result<ArrayRef> {
    let argument = &args.arrays[0];
    let oids: Vec<Option<Oid>> = match argument.as_string_opt::<i32>() {
        Some(names) => names.iter().map(|name| name.map(|name| by_name(name, session)).transpose()).collect::<Result<_>>()?,
        None => {
            let numbers = datafusion::arrow::compute::cast(argument, &datafusion::arrow::datatypes::DataType::Int64)?;
            numbers.as_primitive::<Int64Type>().iter().map(|number| number.and_then(|number| Oid::try_from(number).ok())).collect()
        }
    };
    let lookup = session.lookup();
    match oids.first().copied().flatten() {
        Some(first) if oids.iter().all(|oid| *oid == Some(first)) => {
            Ok(Arc::new(Int64Array::from(lookup.next_values(first, oids.len()).map_err(external)?)))
        }
        _ => {
            let mut values = Int64Builder::with_capacity(oids.len());
            for oid in oids {
                match oid {
                    Some(oid) => values.append_option(lookup.next_values(oid, 1).map_err(external)?.pop()),
                    None => values.append_null(),
                }
            }
            Ok(Arc::new(values.finish()))
        }
    }
}

fn serial_sequence(row: &Row<'_>, session: &Session) -> Result<Option<String>> {
    let table = by_name(row.text(0), session)?;
    let lookup = session.lookup();
    let sequence = lookup.sequence_of_column(table, row.text(1)).map_err(external)?;
    let name = sequence.and_then(|sequence| lookup.relation_name(sequence));
    Ok(name.map(|(schema, name)| format!("{}.{}", quote::ident(&schema), quote::ident(&name))))
}
