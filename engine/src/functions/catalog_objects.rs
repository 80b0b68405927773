//! Functions over objects of the catalogs that need more than a name: default privileges, settings, sequences, sizes in words.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ListArray, StructArray, new_empty_array};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::arrow::{compute, datatypes};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ScalarUDF;
use lakegate_engine_api::catalog::{Oid, PgType};
use lakegate_engine_api::{DataError, EngineError, arrow_field};

use super::call::Row;
use super::error::{data, external, out_of_range};
use super::function::{Body, Columns, PgFunction, Returns};
use super::quote;
use super::session::Session;
use super::text::number::Decimal;
use super::types::Ty;

pub fn session_functions(session: &Arc<Session>) -> Vec<Arc<ScalarUDF>> {
    let stable = |name: &'static str| PgFunction::stable(name).of_session(session.identity());
    let (acl, settings) = (Arc::clone(session), Arc::clone(session));
    vec![
        stable("getdatabaseencoding").on(&[], Ty::NAME, Body::Text(Box::new(|_| Ok(Some("UTF8".to_owned()))))).build(),
        stable("acldefault")
            .on(
                &[Ty::Is(PgType::CHAR), Ty::OID],
                Ty::Array(PgType::ACLITEM),
                Body::Texts(Box::new(move |row| acldefault(row, &acl).map(Some))),
            )
            .build(),
        PgFunction::immutable("pg_size_bytes")
            .on(&[Ty::TEXT], Ty::INT8, Body::Int(Box::new(|row| size_bytes(row.text(0)).map(Some))))
            .build(),
        // There are no extensions to install.
        PgFunction::immutable("#pg_available_extensions")
            .on(&[], Returns::By(|_| rows_of(extension_fields()?)), Body::Columns(Box::new(|args| rows(args, None))))
            .build(),
        stable("#pg_show_all_settings")
            .on(
                &[],
                Returns::By(|_| rows_of(setting_fields()?)),
                Body::Columns(Box::new(move |args| rows(args, settings.lookup().settings(&settings.facts.settings)))),
            )
            .build(),
    ]
}

/// The privileges of an object that no GRANT has touched: its owner's, and PUBLIC's.
fn acldefault(row: &Row<'_>, session: &Session) -> Result<Vec<Option<String>>> {
    let (public, owner) = match row.text(0) {
        "c" => return Ok(Vec::new()),
        "r" => ("", "arwdDxt"),
        "s" => ("", "rwU"),
        "d" => ("Tc", "CTc"),
        "f" => ("X", "X"),
        "l" | "T" => ("U", "U"),
        "L" => ("", "rw"),
        "n" => ("", "UC"),
        "p" => ("", "sA"),
        "t" => ("", "C"),
        "F" | "S" => ("", "U"),
        other => {
            return Err(data(DataError::InvalidParameterValue, format_args!("unrecognized objtype abbreviation: {other}")));
        }
    };
    let oid = Oid::try_from(row.int(1)).unwrap_or(0);
    let name = session.lookup().role_name(oid).map_or_else(|| oid.to_string(), |name| acl_name(&name));
    let public = (!public.is_empty()).then(|| Some(format!("={public}/{name}")));
    Ok(public.into_iter().chain([Some(format!("{name}={owner}/{name}"))]).collect())
}

/// `putid`: plain only of letters, digits and underscores.
fn acl_name(name: &str) -> String {
    if name.chars().all(|c| c.is_alphanumeric() || c == '_') { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// `pg_size_bytes`: a number, then perhaps a unit.
fn size_bytes(text: &str) -> Result<i64> {
    let invalid = || external(EngineError::Data { error: DataError::InvalidParameterValue, message: format!("invalid size: \"{text}\"") });
    let trimmed = text.trim();
    let number_ends = number_length(trimmed).ok_or_else(invalid)?;
    let (number, unit) = trimmed.split_at(number_ends);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "bytes" => 0,
        "kb" => 10,
        "mb" => 20,
        "gb" => 30,
        "tb" => 40,
        "pb" => 50,
        _ => return Err(invalid()),
    };
    let number = Decimal::parse(number)?;
    let range = || out_of_range("bigint");
    let unscaled = number.at_scale(number.scale).ok_or_else(range)?;
    let bytes = unscaled.checked_mul(datatypes::i256::from(1_i64 << shift)).ok_or_else(range)?;
    // Half away from zero, as numeric becomes bigint.
    let bytes = bytes.to_string();
    let (negative, digits) = bytes.strip_prefix('-').map_or((false, bytes.as_str()), |digits| (true, digits));
    let whole =
        Decimal { negative, digits: digits.trim_start_matches('0').to_owned(), scale: number.scale }.at_scale(0).ok_or_else(range)?;
    whole.to_i128().and_then(|bytes| i64::try_from(bytes).ok()).ok_or_else(range)
}

/// How long the number at the front is; `None` where there is none.
fn number_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    let sign = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
    let whole = digits(sign);
    let mut end = sign + whole;
    let mut fraction = 0;
    if bytes.get(end) == Some(&b'.') {
        fraction = digits(end + 1);
        end += 1 + fraction;
    }
    if whole + fraction == 0 {
        return None;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'-' | b'+')));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    Some(end)
}

fn field(name: &str, pg: PgType) -> Result<Field> {
    match arrow_field(name, pg, true) {
        Some(field) => Ok(field),
        None => internal_err!("{name} has no type"),
    }
}

fn extension_fields() -> Result<Fields> {
    let fields = [("name", PgType::NAME), ("default_version", PgType::TEXT), ("comment", PgType::TEXT)];
    fields.into_iter().map(|(name, pg)| field(name, pg)).collect::<Result<Vec<_>>>().map(Fields::from)
}

fn setting_fields() -> Result<Fields> {
    SETTING_COLUMNS
        .iter()
        .map(|name| match *name {
            "enumvals" => field(name, PgType::plain(1009)),
            "sourceline" => field(name, PgType::INT4),
            "pending_restart" => field(name, PgType::BOOL),
            name => field(name, PgType::TEXT),
        })
        .collect::<Result<Vec<_>>>()
        .map(Fields::from)
}

/// Columns of `pg_show_all_settings`, which are `pg_settings`' too.
pub const SETTING_COLUMNS: &[&str] = &[
    "name",
    "setting",
    "unit",
    "category",
    "short_desc",
    "extra_desc",
    "context",
    "vartype",
    "source",
    "min_val",
    "max_val",
    "enumvals",
    "boot_val",
    "reset_val",
    "sourcefile",
    "sourceline",
    "pending_restart",
];

fn rows_of(fields: Fields) -> Result<Field> {
    Ok(Field::new("", DataType::List(Arc::new(Field::new("element", DataType::Struct(fields), true))), true))
}

/// A list of the batch's rows for every row.
fn rows(args: &Columns<'_>, batch: Option<datafusion::arrow::array::RecordBatch>) -> Result<ArrayRef> {
    let DataType::List(element) = args.result.data_type() else { return internal_err!("a list was expected") };
    let DataType::Struct(fields) = element.data_type() else { return internal_err!("rows were expected") };
    let values: ArrayRef = match batch {
        None => new_empty_array(element.data_type()),
        Some(batch) => {
            let columns = fields
                .iter()
                .map(|field| match batch.column_by_name(field.name()) {
                    Some(column) => Ok(compute::cast(column, field.data_type())?),
                    None => internal_err!("the column {} is not there", field.name()),
                })
                .collect::<Result<Vec<_>, DataFusionError>>()?;
            Arc::new(StructArray::try_new(fields.clone(), columns, None)?)
        }
    };
    let one = ListArray::try_new(Arc::clone(element), OffsetBuffer::from_lengths([values.len()]), values, None)?;
    ScalarValue::try_from_array(&one, 0)?.to_array_of_size(args.rows.max(1))
}

/// A key's index as `pg_get_indexdef` prints it, or one of its columns.
pub fn index_definition(row: &Row<'_>, session: &Session) -> Option<String> {
    let index = Oid::try_from(row.int(0)).unwrap_or(0);
    let found = session.lookup().index_definition(index)?;
    let relation = found.table;
    let column = if row.len() > 1 { row.int(1) } else { 0 };
    if column != 0 {
        let at = usize::try_from(column - 1).ok();
        return Some(at.and_then(|at| found.columns.get(at)).map(|column| quote::ident(&column.name)).unwrap_or_default());
    }
    let (schema, table) = session.lookup().relation_name(relation)?;
    let short = row.len() > 2 && row.bool(2) && session.lookup().relation_is_visible(relation);
    let table = if short { quote::ident(&table) } else { format!("{}.{}", quote::ident(&schema), quote::ident(&table)) };
    let columns: Vec<String> = found
        .columns
        .iter()
        .map(|column| {
            let order = match (column.descending, column.nulls_first) {
                (false, false) => "",
                (false, true) => " NULLS FIRST",
                (true, true) => " DESC",
                (true, false) => " DESC NULLS LAST",
            };
            let class = column.operator_class.as_ref().map(|class| format!(" {class}")).unwrap_or_default();
            format!("{}{class}{order}", quote::ident(&column.name))
        })
        .collect();
    let unique = if found.unique { "UNIQUE " } else { "" };
    Some(format!("CREATE {unique}INDEX {} ON {table} USING {} ({})", quote::ident(&found.name), found.method, columns.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_in_words() {
        for (text, bytes) in
            [("1 tb", 1_i64 << 40), ("-1.5 kB", -1536), (" 1e3 bytes", 1000), (".5MB", 524_288), ("1.7", 2), ("1.5", 2), ("-1.5", -2)]
        {
            assert_eq!(size_bytes(text).unwrap(), bytes, "{text}");
        }
        for text in ["x", "", "1 xB", "1e30 TB", "1 2"] {
            assert!(size_bytes(text).is_err(), "{text}");
        }
    }
}
