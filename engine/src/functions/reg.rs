//! Names behind OIDs and back: regclass, regtype, regproc, regnamespace, regrole.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, StringArray};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::Result;
use lakegate_engine_api::catalog::{Oid, PgType};
use lakegate_engine_api::{SqlMistake, pg_type};

use super::error::{mistake, unsupported};
use super::session::Session;
use super::text::value_in;
use super::{format_type, quote};

/// OIDs as the names that their type prints; an OID without an object prints as its number.
pub fn names(oids: &ArrayRef, pg: PgType, session: &Session) -> Result<ArrayRef> {
    let oids = compute::cast(oids, &DataType::Int64)?;
    let texts = oids.as_primitive::<Int64Type>().iter().map(|oid| oid.map(|oid| name(oid, pg, session)));
    Ok(Arc::new(texts.collect::<StringArray>()))
}

/// Names as OIDs.
///
/// # Errors
/// 42P01, 42704, 42883, 3F000 (as undefined object) where there is none.
pub fn oids(texts: &StringArray, pg: PgType, session: &Session) -> Result<ArrayRef> {
    let found = texts.iter().map(|text| text.map(|text| required_oid(text, pg, session)).transpose());
    Ok(Arc::new(found.collect::<Result<Int64Array>>()?))
}

fn name(oid: i64, pg: PgType, session: &Session) -> String {
    let Ok(oid) = Oid::try_from(oid) else { return oid.to_string() };
    if oid == 0 {
        return "-".to_owned();
    }
    let lookup = session.lookup();
    let found = match pg.oid {
        2205 => lookup.relation_name(oid).map(|(schema, name)| {
            if lookup.relation_is_visible(oid) { quote::ident(&name) } else { format!("{}.{}", quote::ident(&schema), quote::ident(&name)) }
        }),
        2206 => format_type::format(oid, None, session),
        4089 => lookup.schema_name(oid).map(|name| quote::ident(&name)),
        4096 => lookup.role_name(oid).map(|name| quote::ident(&name)),
        // Qualified where the name alone would find another, or several.
        24 => lookup.function_name(oid).map(|(schema, name)| match lookup.functions_named(&name).as_slice() {
            [only] if *only == oid => quote::ident(&name),
            _ => format!("{}.{}", quote::ident(&schema), quote::ident(&name)),
        }),
        2202 => lookup.function_name(oid).map(|(_, name)| {
            let types = lookup.function_argument_types(oid).unwrap_or_default();
            let types: Vec<String> = types.iter().map(|oid| format_type::format(*oid, None, session).unwrap_or_default()).collect();
            format!("{}({})", quote::ident(&name), types.join(","))
        }),
        _ => None,
    };
    found.unwrap_or_else(|| oid.to_string())
}

/// Array literals of names, `{pg_class,pg_type}`; `element` is of a type that names stand for.
///
/// # Errors
/// 22P02 for what is no array literal; as [`oids`].
pub fn oid_lists(texts: &StringArray, element: &FieldRef, session: &Session) -> Result<ArrayRef> {
    let of_text = DataType::List(Arc::new(Field::new("element", DataType::Utf8, true)));
    let names = value_in::column(texts, &Field::new("", of_text, true), &session.style)?;
    let names = names.as_list::<i32>();
    let found = oids(names.values().as_string::<i32>(), pg_type(element), session)?;
    Ok(Arc::new(ListArray::try_new(Arc::clone(element), names.offsets().clone(), found, names.nulls().cloned())?))
}

fn required_oid(text: &str, pg: PgType, session: &Session) -> Result<i64> {
    if text == "-" {
        return Ok(0);
    }
    if let Ok(oid) = text.parse::<Oid>() {
        return Ok(i64::from(oid));
    }
    let undefined = |what: &str| mistake(SqlMistake::UndefinedObject, format_args!("{what} \"{text}\" does not exist"));
    let found = find_oid(text, pg, session)?;
    found.map(i64::from).ok_or_else(|| match pg.oid {
        2205 => mistake(SqlMistake::UndefinedTable, format_args!("relation \"{text}\" does not exist")),
        2206 => undefined("type"),
        4089 => mistake(SqlMistake::UndefinedSchema, format_args!("schema \"{text}\" does not exist")),
        4096 => undefined("role"),
        _ => mistake(SqlMistake::UndefinedFunction, format_args!("function \"{text}\" does not exist")),
    })
}

/// The OID behind a name; `None` where there is no such object (`to_regclass` and its kin).
///
/// # Errors
/// 42602-like for a name that cannot be one, 0A000 for kinds that have no names here.
pub fn find_oid(text: &str, pg: PgType, session: &Session) -> Result<Option<Oid>> {
    let lookup = session.lookup();
    if pg.oid == 2206 {
        return format_type::parse(text, session);
    }
    if pg.oid == 2202 {
        return find_procedure(text, session);
    }
    let parts = quote::split_name(text).ok_or_else(|| mistake(SqlMistake::Syntax, format_args!("invalid name syntax: \"{text}\"")))?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    Ok(match (pg.oid, parts.as_slice()) {
        (2205, [name]) => lookup.relation_oid(None, name),
        (2205, [schema, name]) => lookup.relation_oid(Some(schema), name),
        (2205, [database, schema, name]) if *database == session.facts.database => lookup.relation_oid(Some(schema), name),
        (4089, [name]) => lookup.schema_oid(name),
        (4096, [name]) => lookup.role_oid(name),
        (24, [name] | ["pg_catalog", name]) => match lookup.functions_named(name).as_slice() {
            [] => None,
            [oid] => Some(*oid),
            _ => {
                return Err(mistake(SqlMistake::AmbiguousFunction, format_args!("more than one function named \"{text}\"")));
            }
        },
        (24 | 2205 | 4089 | 4096, _) => None,
        _ => return Err(unsupported(format_args!("the type {}", super::types::type_name(pg)))),
    })
}

/// `name(type, …)`.
fn find_procedure(text: &str, session: &Session) -> Result<Option<Oid>> {
    let invalid = || mistake(SqlMistake::Syntax, format_args!("invalid name syntax: \"{text}\""));
    let (name, arguments) = text.trim().strip_suffix(')').and_then(|text| text.split_once('(')).ok_or_else(invalid)?;
    let parts = quote::split_name(name).ok_or_else(invalid)?;
    let (schema, name) = match parts.as_slice() {
        [name] => (None, name),
        [schema, name] => (Some(schema.as_str()), name),
        _ => return Ok(None),
    };
    let mut wanted = Vec::new();
    for argument in arguments.split(',').filter(|argument| !argument.trim().is_empty()) {
        match format_type::parse(argument, session)? {
            Some(oid) => wanted.push(oid),
            None => return Ok(None),
        }
    }
    let lookup = session.lookup();
    let matches = |oid: &Oid| {
        lookup.function_argument_types(*oid).is_some_and(|types| types == wanted)
            && schema.is_none_or(|schema| lookup.function_name(*oid).is_some_and(|(found, _)| found == schema))
    };
    Ok(lookup.functions_named(name).into_iter().find(matches))
}
