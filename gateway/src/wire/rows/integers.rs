//! int2, int4, int8, and OIDs with their aliases.

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type};
use arrow_schema::DataType;
use lakegate_catalog::model::{Oid, PgType};
use lakegate_engine_api::CatalogLookup;

use super::cell::{Cell, CellResult, Manner, as_i64, mismatch, out_of_range, put};
use crate::sqlstate::SqlError;
use crate::wire::outgoing::Format;
use crate::wire::pg_types::type_name;

pub fn integer(pg: PgType, array: &ArrayRef, format: Format) -> Result<Cell, SqlError> {
    macro_rules! exact {
        ($type:ty) => {{
            let values = array.as_primitive::<$type>().values().clone();
            Ok(match format {
                Format::Text => Box::new(move |row, out| decimal(out, values[row])),
                Format::Binary => Box::new(move |row, out| {
                    put(out, values[row].to_be_bytes());
                    Ok(())
                }),
            })
        }};
    }
    match (pg.oid, array.data_type()) {
        (21, DataType::Int16) => exact!(Int16Type),
        (23, DataType::Int32) => exact!(Int32Type),
        (20, DataType::Int64) => exact!(Int64Type),
        _ => converted(pg, array, format),
    }
}

/// `oid`, `regclass` and the like. Text of the aliases is a name where there is one, `-` for zero.
pub fn oid(pg: PgType, array: &ArrayRef, format: Format, manner: &Manner) -> Result<Cell, SqlError> {
    let Some(value) = as_i64(array) else {
        return super::strings::characters(array).ok_or_else(|| mismatch(pg, array.data_type(), format));
    };
    let names = manner.names.clone();
    Ok(match (format, pg.oid) {
        (Format::Binary, oid) => Box::new(move |row, out| {
            put(out, u32::try_from(value(row)).map_err(|_| out_of_range(oid))?.to_be_bytes());
            Ok(())
        }),
        (Format::Text, 26 | 28 | 29) => Box::new(move |row, out| decimal(out, value(row))),
        (Format::Text, alias) => Box::new(move |row, out| {
            let number = value(row);
            let Ok(oid) = Oid::try_from(number) else { return decimal(out, number) };
            if oid == 0 {
                out.push(b'-');
                return Ok(());
            }
            match name_of(alias, oid, names.as_deref()) {
                Some(name) => out.extend_from_slice(name.as_bytes()),
                None => return decimal(out, number),
            }
            Ok(())
        }),
    })
}

/// As `regclassout` and its siblings: qualified where the search path would not find it, quoted where it must be.
fn name_of(alias: Oid, oid: Oid, names: Option<&dyn CatalogLookup>) -> Option<String> {
    if alias == 2206 {
        let builtin = type_name(oid);
        if !builtin.starts_with(|first: char| first.is_ascii_digit()) {
            return Some(builtin);
        }
        let names = names?;
        let (schema, name) = names.type_name(oid)?;
        return Some(if names.type_is_visible(oid) { quoted(&name) } else { format!("{}.{}", quoted(&schema), quoted(&name)) });
    }
    let names = names?;
    match alias {
        2205 => {
            let (schema, name) = names.relation_name(oid)?;
            let visible = names.relation_is_visible(oid);
            Some(if visible { quoted(&name) } else { format!("{}.{}", quoted(&schema), quoted(&name)) })
        }
        4089 => names.schema_name(oid).map(|name| quoted(&name)),
        4096 => names.role_name(oid).map(|name| quoted(&name)),
        24 => names.function_name(oid).map(|(schema, name)| match names.functions_named(&name).as_slice() {
            [only] if *only == oid => quoted(&name),
            _ => format!("{}.{}", quoted(&schema), quoted(&name)),
        }),
        2202 => names.function_name(oid).map(|(_, name)| {
            let types = names.function_argument_types(oid).unwrap_or_default();
            let types: Vec<String> = types.into_iter().filter_map(|oid| name_of(2206, oid, Some(names))).collect();
            format!("{}({})", quoted(&name), types.join(","))
        }),
        _ => None,
    }
}

/// As `quote_identifier`, reserved words aside: those are the parser's knowledge, and relations named so are rare.
fn quoted(name: &str) -> String {
    let plain = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

fn converted(pg: PgType, array: &ArrayRef, format: Format) -> Result<Cell, SqlError> {
    let Some(value) = as_i64(array) else {
        return match format {
            Format::Text => super::strings::characters(array).ok_or_else(|| mismatch(pg, array.data_type(), format)),
            Format::Binary => Err(mismatch(pg, array.data_type(), format)),
        };
    };
    Ok(match (format, pg.oid) {
        (Format::Text, _) => Box::new(move |row, out| decimal(out, value(row))),
        (Format::Binary, 21) => Box::new(move |row, out| {
            put(out, i16::try_from(value(row)).map_err(|_| out_of_range(21))?.to_be_bytes());
            Ok(())
        }),
        (Format::Binary, 23) => Box::new(move |row, out| {
            put(out, i32::try_from(value(row)).map_err(|_| out_of_range(23))?.to_be_bytes());
            Ok(())
        }),
        (Format::Binary, _) => Box::new(move |row, out| {
            put(out, value(row).to_be_bytes());
            Ok(())
        }),
    })
}

#[inline]
fn decimal(out: &mut Vec<u8>, value: impl itoa::Integer) -> CellResult {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    Ok(())
}
