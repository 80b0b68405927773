//! json and jsonb functions and operators (documentation, section 9.16).

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, StringArray, StructArray};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{DataType, Date32Type, Field, Fields, Float32Type, Float64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{DataError, pg_type};

use super::call::Row;
use super::error::data;
use super::function::{Body, Columns, PgFunction, Returns};
use super::jsonb_order::sort_key;
use super::session::Session;
use super::text::civil::MICROS_PER_SECOND;
use super::text::json::{Json, normalize, parse, push_string, raw_as_text, raw_element, raw_entries, raw_field, raw_items, raw_path};
use super::text::style::{DateStyle, Style};
use super::text::zone::Zone;
use super::text::{datetime_out, value_out};
use super::types::Ty;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let json = Ty::JSON;
    let (jsons, texts) = (Ty::JSON, Ty::TEXTS);
    let mut all = vec![
        PgFunction::immutable("#json_get")
            .on(&[json.clone(), Ty::TEXT], Returns::Same(0), text(|row| Ok(raw_field(row.text(0).trim(), row.text(1)).map(str::to_owned))))
            .on(&[json.clone(), Ty::INT4], Returns::Same(0), text(|row| Ok(element(row).map(str::to_owned))))
            .build(),
        PgFunction::immutable("#json_get_text")
            .on(&[json.clone(), Ty::TEXT], Ty::TEXT, text(|row| Ok(raw_field(row.text(0).trim(), row.text(1)).and_then(raw_as_text))))
            .on(&[json.clone(), Ty::INT4], Ty::TEXT, text(|row| Ok(element(row).and_then(raw_as_text))))
            .build(),
        PgFunction::immutable("#json_path")
            .on(&[json.clone(), texts.clone()], Returns::Same(0), text(|row| Ok(at_path(row).map(str::to_owned))))
            .build(),
        PgFunction::immutable("#json_path_text")
            .on(&[json.clone(), texts.clone()], Ty::TEXT, text(|row| Ok(at_path(row).and_then(raw_as_text))))
            .build(),
        PgFunction::immutable("jsonb_exists")
            .on(&[json.clone(), Ty::TEXT], Ty::BOOL, bool(|row| Ok(exists(&parse(row.text(0))?, row.text(1)))))
            .build(),
        PgFunction::immutable("jsonb_exists_any")
            .on(
                &[json.clone(), texts.clone()],
                Ty::BOOL,
                bool(|row| {
                    let value = parse(row.text(0))?;
                    Ok(row.texts(1).iter().flatten().any(|key| exists(&value, key)))
                }),
            )
            .build(),
        PgFunction::immutable("jsonb_exists_all")
            .on(
                &[json.clone(), texts.clone()],
                Ty::BOOL,
                bool(|row| {
                    let value = parse(row.text(0))?;
                    Ok(row.texts(1).iter().flatten().all(|key| exists(&value, key)))
                }),
            )
            .build(),
        PgFunction::immutable("#jsonb_contains")
            .on(&[json.clone(), json.clone()], Ty::BOOL, bool(|row| Ok(parse(row.text(0))?.contains(&parse(row.text(1))?))))
            .build(),
        PgFunction::immutable("#jsonb_concat")
            .on(&[jsons.clone(), jsons], Ty::JSONB, text(|row| concat(row.text(0), row.text(1)).map(Some)))
            .build(),
        PgFunction::immutable("jsonb_delete")
            .on(&[json.clone(), Ty::TEXT], Ty::JSONB, text(|row| delete_keys(row.text(0), &[row.text(1).to_owned()]).map(Some)))
            .on(
                &[json.clone(), texts.clone()],
                Ty::JSONB,
                text(|row| {
                    let keys: Vec<String> = row.texts(1).into_iter().flatten().collect();
                    delete_keys(row.text(0), &keys).map(Some)
                }),
            )
            .on(&[json.clone(), Ty::INT4], Ty::JSONB, text(|row| delete_index(row.text(0), row.int(1)).map(Some)))
            .build(),
        PgFunction::immutable("jsonb_delete_path")
            .on(
                &[json.clone(), texts.clone()],
                Ty::JSONB,
                text(|row| {
                    let mut value = parse(row.text(0))?;
                    delete_path(&mut value, &path(row, 1));
                    Ok(Some(value.canonical().to_text()))
                }),
            )
            .build(),
        PgFunction::immutable("jsonb_set")
            .on(&[json.clone(), texts.clone(), json.clone()], Ty::JSONB, text(|row| set(row, true).map(Some)))
            .on(&[json.clone(), texts, json.clone(), Ty::BOOL], Ty::JSONB, text(|row| set(row, row.bool(3)).map(Some)))
            .build(),
        PgFunction::immutable("jsonb_pretty")
            .on(std::slice::from_ref(&json), Ty::TEXT, text(|row| Ok(Some(parse(row.text(0))?.pretty()))))
            .build(),
    ];
    for (name, result) in [("json_strip_nulls", Ty::JSON), ("jsonb_strip_nulls", Ty::JSONB)] {
        let spaced = result == Ty::JSONB;
        all.push(
            PgFunction::immutable(name)
                .on(
                    std::slice::from_ref(&json),
                    result,
                    text(move |row| {
                        let stripped = strip_nulls(parse(row.text(0))?);
                        Ok(Some(if spaced { stripped.to_text() } else { stripped.compact() }))
                    }),
                )
                .build(),
        );
    }
    for name in ["json_typeof", "jsonb_typeof"] {
        all.push(
            PgFunction::immutable(name)
                .on(std::slice::from_ref(&json), Ty::TEXT, text(|row| Ok(Some(parse(row.text(0))?.type_name().to_owned()))))
                .build(),
        );
    }
    for name in ["json_array_length", "jsonb_array_length"] {
        all.push(PgFunction::immutable(name).on(std::slice::from_ref(&json), Ty::INT4, Body::Int(Box::new(array_length))).build());
    }
    for (name, result) in [("json_extract_path", Ty::JSON), ("jsonb_extract_path", Ty::JSONB)] {
        all.push(
            PgFunction::immutable(name)
                .variadic(&[json.clone(), Ty::TEXT], result, text(|row| Ok(variadic_path(row).map(str::to_owned))))
                .build(),
        );
    }
    for name in ["json_extract_path_text", "jsonb_extract_path_text"] {
        all.push(
            PgFunction::immutable(name)
                .variadic(&[json.clone(), Ty::TEXT], Ty::TEXT, text(|row| Ok(variadic_path(row).and_then(raw_as_text))))
                .build(),
        );
    }
    all.extend([
        PgFunction::immutable("#json_array_elements")
            .on(std::slice::from_ref(&json), Returns::By(same_list), columns(|args| elements(args, false)))
            .build(),
        PgFunction::immutable("#json_array_elements_text")
            .on(std::slice::from_ref(&json), Ty::TEXTS, columns(|args| elements(args, true)))
            .build(),
        PgFunction::immutable("#as_json").on(&[Ty::TEXT], Ty::JSON, columns(|args| Ok(Arc::clone(&args.arrays[0])))).build(),
        PgFunction::immutable("#jsonb_key")
            .on(&[Ty::JSONB], Ty::BYTEA, Body::Bytes(Box::new(|row| Ok(Some(sort_key(&parse(row.text(0))?.canonical()))))))
            .build(),
        PgFunction::immutable("#as_jsonb").on(&[Ty::TEXT], Ty::JSONB, columns(|args| Ok(Arc::clone(&args.arrays[0])))).build(),
        PgFunction::immutable("#json_object_keys").on(std::slice::from_ref(&json), Ty::TEXTS, columns(keys)).build(),
        PgFunction::immutable("#json_each")
            .on(std::slice::from_ref(&json), Returns::By(|args| pairs_type(args, true)), columns(|args| pairs(args, false)))
            .build(),
        PgFunction::immutable("#json_each_text")
            .on(&[json], Returns::By(|args| pairs_type(args, false)), columns(|args| pairs(args, true)))
            .build(),
    ]);
    all
}

pub fn session_functions(session: &Arc<Session>) -> Vec<Arc<ScalarUDF>> {
    let mut all = Vec::new();
    let identity = session.identity();
    for (name, jsonb) in [("to_json", false), ("to_jsonb", true), ("row_to_json", false), ("array_to_json", false)] {
        let style = session.style;
        all.push(
            PgFunction::stable(name)
                .of_session(identity)
                .on(&[Ty::Any], result_type(jsonb), text(move |row| finish(value(row, 0, &style)?, jsonb)))
                .build(),
        );
    }
    for (name, jsonb) in [("json_build_object", false), ("jsonb_build_object", true)] {
        let style = session.style;
        all.push(
            PgFunction::stable(name)
                .of_session(identity)
                .variadic(&[Ty::Any], result_type(jsonb), text(move |row| finish(build_object(row, &style)?, jsonb)))
                .build(),
        );
    }
    for (name, jsonb) in [("json_build_array", false), ("jsonb_build_array", true)] {
        let style = session.style;
        all.push(
            PgFunction::stable(name)
                .of_session(identity)
                .variadic(
                    &[Ty::Any],
                    result_type(jsonb),
                    text(move |row| {
                        let parts = (0..row.len()).map(|at| value(row, at, &style)).collect::<Result<Vec<_>>>()?;
                        finish(format!("[{}]", parts.join(", ")), jsonb)
                    }),
                )
                .build(),
        );
    }
    // What aggregates are finished with: the list that array_agg made.
    for (name, jsonb) in [("#json_agg", false), ("#jsonb_agg", true)] {
        let style = session.style;
        all.push(
            PgFunction::stable(name)
                .of_session(identity)
                .on(&[Ty::AnyArray], result_type(jsonb), text(move |row| aggregate(row, &style).and_then(|text| finish(text, jsonb))))
                .build(),
        );
    }
    for (name, jsonb) in [("#json_object_agg", false), ("#jsonb_object_agg", true)] {
        let style = session.style;
        all.push(
            PgFunction::stable(name)
                .of_session(identity)
                .on(
                    &[Ty::AnyArray, Ty::AnyArray],
                    result_type(jsonb),
                    text(move |row| aggregate_object(row, &style).and_then(|text| finish(text, jsonb))),
                )
                .build(),
        );
    }
    all
}

fn text(body: impl Fn(&Row<'_>) -> Result<Option<String>> + Send + Sync + 'static) -> Body {
    Body::Text(Box::new(body))
}

fn bool(body: impl Fn(&Row<'_>) -> Result<bool> + Send + Sync + 'static) -> Body {
    Body::Bool(Box::new(move |row| body(row).map(Some)))
}

fn columns(body: impl Fn(&Columns<'_>) -> Result<ArrayRef> + Send + Sync + 'static) -> Body {
    Body::Columns(Box::new(body))
}

fn result_type(jsonb: bool) -> Ty {
    if jsonb { Ty::JSONB } else { Ty::JSON }
}

fn finish(text: String, jsonb: bool) -> Result<Option<String>> {
    if jsonb { normalize(&text).map(Some) } else { Ok(Some(text)) }
}

pub fn path(row: &Row<'_>, column: usize) -> Vec<String> {
    row.texts(column).into_iter().flatten().collect()
}

fn at_path<'a>(row: &Row<'a>) -> Option<&'a str> {
    let steps = row.texts(1);
    if steps.iter().any(Option::is_none) {
        return None;
    }
    let steps: Vec<String> = steps.into_iter().flatten().collect();
    raw_path(row.text(0), steps.iter().map(String::as_str))
}

fn variadic_path<'a>(row: &Row<'a>) -> Option<&'a str> {
    if (0..row.len()).any(|at| row.is_null(at)) {
        return None;
    }
    raw_path(row.text(0), (1..row.len()).map(|at| row.text(at)))
}

fn exists(value: &Json, key: &str) -> bool {
    match value {
        Json::Object(_) => value.field(key).is_some(),
        Json::Array(items) => items.iter().any(|item| matches!(item, Json::String(text) if text == key)),
        Json::String(text) => text == key,
        _ => false,
    }
}

fn concat(left: &str, right: &str) -> Result<String> {
    let joined = match (parse(left)?, parse(right)?) {
        (Json::Object(mut a), Json::Object(b)) => {
            a.extend(b);
            Json::Object(a)
        }
        (Json::Array(mut a), Json::Array(b)) => {
            a.extend(b);
            Json::Array(a)
        }
        (Json::Array(mut a), b) => {
            a.push(b);
            Json::Array(a)
        }
        (a, Json::Array(mut b)) => {
            b.insert(0, a);
            Json::Array(b)
        }
        (a, b) => Json::Array(vec![a, b]),
    };
    Ok(joined.canonical().to_text())
}

fn delete_keys(text: &str, keys: &[String]) -> Result<String> {
    let value = match parse(text)? {
        Json::Object(entries) => Json::Object(entries.into_iter().filter(|(key, _)| !keys.contains(key)).collect()),
        Json::Array(items) => {
            Json::Array(items.into_iter().filter(|item| !matches!(item, Json::String(text) if keys.contains(text))).collect())
        }
        _ => return Err(data(DataError::InvalidParameterValue, "cannot delete from scalar")),
    };
    Ok(value.to_text())
}

fn delete_index(text: &str, index: i64) -> Result<String> {
    match parse(text)? {
        Json::Array(mut items) => {
            if let Some(at) = position(index, items.len()) {
                items.remove(at);
            }
            Ok(Json::Array(items).to_text())
        }
        Json::Object(_) => Err(data(DataError::InvalidParameterValue, "cannot delete from object using integer index")),
        _ => Err(data(DataError::InvalidParameterValue, "cannot delete from scalar")),
    }
}

pub fn position(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    let at = if index < 0 { length + index } else { index };
    usize::try_from(at).ok().filter(|_| at < length)
}

pub fn delete_path(value: &mut Json, path: &[String]) {
    let Some((step, rest)) = path.split_first() else { return };
    match value {
        Json::Object(entries) if rest.is_empty() => entries.retain(|(key, _)| key != step),
        Json::Object(entries) => {
            if let Some((_, inner)) = entries.iter_mut().rev().find(|(key, _)| key == step) {
                delete_path(inner, rest);
            }
        }
        Json::Array(items) => {
            if let Some(at) = step.parse().ok().and_then(|index| position(index, items.len())) {
                if rest.is_empty() {
                    items.remove(at);
                } else if let Some(inner) = items.get_mut(at) {
                    delete_path(inner, rest);
                }
            }
        }
        _ => {}
    }
}

fn set(row: &Row<'_>, create: bool) -> Result<String> {
    let mut value = parse(row.text(0))?;
    let new = parse(row.text(2))?;
    set_at(&mut value, &path(row, 1), &new, create)?;
    Ok(value.canonical().to_text())
}

/// The element at a place; a scalar of jsonb is an array of itself.
fn element<'a>(row: &Row<'a>) -> Option<&'a str> {
    let text = row.text(0).trim();
    let is_scalar = !matches!(text.as_bytes().first(), Some(b'{' | b'['));
    match row.int(1) {
        0 | -1 if is_scalar && row.pg_type(0) == PgType::JSONB => Some(text),
        at => raw_element(text, at),
    }
}

/// [`set_path`] of a document. Source: `setPath`, `setPathArray`.
///
/// # Errors
/// 22023 for a scalar, 22P02 for a step into an array that is no number.
pub fn set_at(value: &mut Json, path: &[String], new: &Json, create: bool) -> Result<()> {
    if !matches!(value, Json::Object(_) | Json::Array(_)) {
        return Err(data(DataError::InvalidParameterValue, "cannot set path in scalar"));
    }
    check_steps(value, path)?;
    set_path(value, path, new, create);
    Ok(())
}

/// # Errors
/// 22P02.
pub fn check_steps(value: &Json, path: &[String]) -> Result<()> {
    let mut value = Some(value);
    for (number, step) in path.iter().enumerate() {
        value = match value {
            Some(Json::Object(entries)) => entries.iter().rev().find(|(key, _)| key == step).map(|(_, inner)| inner),
            Some(Json::Array(items)) => {
                let index = step.parse::<i32>().map_err(|_| {
                    let message = format!("path element at position {} is not an integer: \"{step}\"", number + 1);
                    data(DataError::InvalidTextRepresentation, message)
                })?;
                position(i64::from(index), items.len()).and_then(|at| items.get(at))
            }
            _ => return Ok(()),
        };
    }
    Ok(())
}

pub fn set_path(value: &mut Json, path: &[String], new: &Json, create: bool) {
    let Some((step, rest)) = path.split_first() else { return };
    match value {
        Json::Object(entries) => match entries.iter_mut().rev().find(|(key, _)| key == step) {
            Some((_, inner)) if rest.is_empty() => *inner = new.clone(),
            Some((_, inner)) => set_path(inner, rest, new, create),
            None if rest.is_empty() && create => entries.push((step.clone(), new.clone())),
            None => {}
        },
        Json::Array(items) => {
            let Ok(index) = step.parse::<i64>() else { return };
            match position(index, items.len()).and_then(|at| items.get_mut(at)) {
                Some(inner) if rest.is_empty() => *inner = new.clone(),
                Some(inner) => set_path(inner, rest, new, create),
                None if rest.is_empty() && create => {
                    if index < 0 {
                        items.insert(0, new.clone())
                    } else {
                        items.push(new.clone())
                    }
                }
                None => {}
            }
        }
        _ => {}
    }
}

fn strip_nulls(value: Json) -> Json {
    match value {
        Json::Object(entries) => Json::Object(
            entries.into_iter().filter(|(_, value)| *value != Json::Null).map(|(key, value)| (key, strip_nulls(value))).collect(),
        ),
        Json::Array(items) => Json::Array(items.into_iter().map(strip_nulls).collect()),
        other => other,
    }
}

fn array_length(row: &Row<'_>) -> Result<Option<i64>> {
    match parse(row.text(0))? {
        Json::Array(items) => Ok(i64::try_from(items.len()).ok()),
        Json::Object(_) => Err(data(DataError::InvalidParameterValue, "cannot get array length of a non-array")),
        _ => Err(data(DataError::InvalidParameterValue, "cannot get array length of a scalar")),
    }
}

/// A list of the argument's own type.
fn same_list(args: &ReturnFieldArgs<'_>) -> Result<Field> {
    let metadata = args.arg_fields.first().map(|field| field.metadata().clone()).unwrap_or_default();
    Ok(Field::new("", DataType::List(Arc::new(Field::new("element", DataType::Utf8, true).with_metadata(metadata))), true))
}

fn element_of(result: &Field) -> Arc<Field> {
    match result.data_type() {
        DataType::List(field) => Arc::clone(field),
        _ => Arc::new(Field::new("element", DataType::Null, true)),
    }
}

/// A list a row of what a function finds in the JSON; NULL gives no rows.
fn lists(args: &Columns<'_>, find: impl Fn(&str) -> Result<Vec<Option<String>>>) -> Result<ArrayRef> {
    let texts = args.arrays[0].as_string::<i32>();
    let (mut all, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    for text in texts {
        let found = text.map(&find).transpose()?.unwrap_or_default();
        lengths.push(found.len());
        valid.push(text.is_some());
        all.extend(found);
    }
    let values: StringArray = all.into_iter().collect();
    let nulls = Some(NullBuffer::from(valid));
    Ok(Arc::new(ListArray::try_new(element_of(args.result), OffsetBuffer::from_lengths(lengths), Arc::new(values), nulls)?))
}

fn elements(args: &Columns<'_>, as_text: bool) -> Result<ArrayRef> {
    lists(args, |text| match raw_items(text.trim()) {
        Some(items) => Ok(items.into_iter().map(|item| if as_text { raw_as_text(item) } else { Some(item.to_owned()) }).collect()),
        None if text.trim().starts_with('{') => Err(data(DataError::InvalidParameterValue, "cannot extract elements from an object")),
        None => Err(data(DataError::InvalidParameterValue, "cannot extract elements from a scalar")),
    })
}

fn entries(text: &str, what: &str) -> Result<Vec<(String, String)>> {
    match raw_entries(text.trim()) {
        Some(entries) => Ok(entries.into_iter().map(|(key, value)| (key, value.to_owned())).collect()),
        None if text.trim().starts_with('[') => Err(data(DataError::InvalidParameterValue, format_args!("cannot call {what} on an array"))),
        None => Err(data(DataError::InvalidParameterValue, format_args!("cannot call {what} on a scalar"))),
    }
}

fn keys(args: &Columns<'_>) -> Result<ArrayRef> {
    lists(args, |text| Ok(entries(text, "json_object_keys")?.into_iter().map(|(key, _)| Some(key)).collect()))
}

fn pairs_type(args: &ReturnFieldArgs<'_>, json: bool) -> Result<Field> {
    let metadata =
        if json { args.arg_fields.first().map(|field| field.metadata().clone()).unwrap_or_default() } else { Default::default() };
    let fields =
        Fields::from(vec![Field::new("key", DataType::Utf8, true), Field::new("value", DataType::Utf8, true).with_metadata(metadata)]);
    Ok(Field::new("", DataType::List(Arc::new(Field::new("element", DataType::Struct(fields), true))), true))
}

fn pairs(args: &Columns<'_>, as_text: bool) -> Result<ArrayRef> {
    let element = element_of(args.result);
    let DataType::Struct(fields) = element.data_type() else { return Err(DataFusionError::Internal("rows expected".to_owned())) };
    let texts = args.arrays[0].as_string::<i32>();
    let (mut names, mut values, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
    for text in texts {
        let found = text.map(|text| entries(text, "json_each")).transpose()?.unwrap_or_default();
        lengths.push(found.len());
        for (key, value) in found {
            names.push(key);
            values.push(if as_text { raw_as_text(&value) } else { Some(value) });
        }
    }
    let rows = StructArray::try_new(
        fields.clone(),
        vec![Arc::new(StringArray::from(names)), Arc::new(values.into_iter().collect::<StringArray>())],
        None,
    )?;
    Ok(Arc::new(ListArray::try_new(element, OffsetBuffer::from_lengths(lengths), Arc::new(rows), None)?))
}

/// An argument as JSON.
fn value(row: &Row<'_>, column: usize, style: &Style) -> Result<String> {
    let mut out = String::new();
    match row.value(column) {
        Some((array, at)) if !row.is_null(column) => push_json(&mut out, array, at, row.pg_type(column), style)?,
        _ => out.push_str("null"),
    }
    Ok(out)
}

/// A value as JSON (`datum_to_json`): numbers and booleans bare, JSON as it is, times in ISO 8601, all else as strings.
fn push_json(out: &mut String, array: &dyn Array, at: usize, pg: PgType, style: &Style) -> Result<()> {
    if array.is_null(at) {
        out.push_str("null");
        return Ok(());
    }
    let mut text = String::new();
    match array.data_type() {
        DataType::Boolean => out.push_str(if array.as_boolean().value(at) { "true" } else { "false" }),
        DataType::Float64 if !array.as_primitive::<Float64Type>().value(at).is_finite() => {
            value_out::push(&mut text, array, at, pg, style)?;
            push_string(out, &text);
        }
        DataType::Float32 if !array.as_primitive::<Float32Type>().value(at).is_finite() => {
            value_out::push(&mut text, array, at, pg, style)?;
            push_string(out, &text);
        }
        data_type if data_type.is_numeric() && !super::cast::named_oid(pg.oid) && pg.oid != PgType::OID.oid => {
            value_out::push(out, array, at, pg, style)?;
        }
        DataType::Utf8 if matches!(pg.oid, 114 | 3802) => out.push_str(array.as_string::<i32>().value(at)),
        DataType::Date32 => {
            let iso = Style { date_style: DateStyle::Iso, ..*style };
            push_string(out, &datetime_out::date(array.as_primitive::<Date32Type>().value(at), &iso));
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(at);
            push_string(out, &iso_timestamp(micros, zone.is_some().then_some(style.zone), style));
        }
        DataType::List(field) => {
            let list = array.as_list::<i32>().value(at);
            let element = element_type(pg, field);
            out.push('[');
            for index in 0..list.len() {
                if index > 0 {
                    out.push(',');
                }
                push_json(out, &list, index, element, style)?;
            }
            out.push(']');
        }
        DataType::Struct(fields) => {
            let rows = array.as_struct();
            out.push('{');
            for (index, (column, field)) in rows.columns().iter().zip(fields).enumerate() {
                if index > 0 {
                    out.push(',');
                }
                // Anonymous records name their fields f1, f2 …
                let name = match field.name().strip_prefix('c').and_then(|digits| digits.parse::<usize>().ok()) {
                    Some(number) => format!("f{}", number + 1),
                    None => field.name().clone(),
                };
                push_string(out, &name);
                out.push(':');
                push_json(out, column, at, pg_type(field), style)?;
            }
            out.push('}');
        }
        _ => {
            value_out::push(&mut text, array, at, pg, style)?;
            push_string(out, &text);
        }
    }
    Ok(())
}

fn iso_timestamp(micros: i64, zone: Option<Zone>, style: &Style) -> String {
    let iso = Style { date_style: DateStyle::Iso, ..*style };
    if super::cast::is_infinite(micros) {
        return datetime_out::timestamp(micros, &iso);
    }
    let Some(zone) = zone else { return datetime_out::timestamp(micros, &iso).replacen(' ', "T", 1) };
    let offset = zone.offset_at(micros);
    let local = micros + i64::from(offset) * MICROS_PER_SECOND;
    let sign = if offset < 0 { '-' } else { '+' };
    let minutes = offset.abs() / 60;
    format!("{}{sign}{:02}:{:02}", datetime_out::timestamp(local, &iso).replacen(' ', "T", 1), minutes / 60, minutes % 60)
}

fn build_object(row: &Row<'_>, style: &Style) -> Result<String> {
    if !row.len().is_multiple_of(2) {
        return Err(data(DataError::InvalidParameterValue, "argument list must have even number of elements"));
    }
    let mut out = "{".to_owned();
    for at in (0..row.len()).step_by(2) {
        if at > 0 {
            out.push_str(", ");
        }
        let Some((array, index)) = row.value(at).filter(|_| !row.is_null(at)) else {
            return Err(data(DataError::InvalidParameterValue, format_args!("argument {}: key must not be null", at + 1)));
        };
        let mut key = String::new();
        value_out::push(&mut key, array, index, row.pg_type(at), style)?;
        push_string(&mut out, &key);
        out.push_str(" : ");
        out.push_str(&value(row, at + 1, style)?);
    }
    out.push('}');
    Ok(out)
}

fn aggregate(row: &Row<'_>, style: &Style) -> Result<String> {
    let Some(list) = row.list(0) else { return Ok("[]".to_owned()) };
    let element = listed_type(row, 0, &list);
    let separator = if matches!(list.data_type(), DataType::List(_) | DataType::Struct(_)) { ", \n " } else { ", " };
    let mut out = "[".to_owned();
    for at in 0..list.len() {
        if at > 0 {
            out.push_str(separator);
        }
        push_json(&mut out, &list, at, element, style)?;
    }
    out.push(']');
    Ok(out)
}

/// Of the elements of a column's lists.
fn listed_type(row: &Row<'_>, column: usize, list: &ArrayRef) -> PgType {
    match row.value(column).map(|(array, _)| array.data_type().clone()) {
        Some(DataType::List(field)) => element_type(row.pg_type(column), &field),
        _ => pg_type(&Field::new("", list.data_type().clone(), true)),
    }
}

/// What the plan says of an array's elements; batches of DataFusion's own aggregates have lost it.
fn element_type(array: PgType, field: &Field) -> PgType {
    let known = pg_type(field);
    PgType::element_of(array.oid).filter(|oid| *oid != known.oid).map_or(known, PgType::plain)
}

fn aggregate_object(row: &Row<'_>, style: &Style) -> Result<String> {
    let (Some(names), Some(values)) = (row.list(0), row.list(1)) else { return Ok("{}".to_owned()) };
    let (name_type, value_type) = (listed_type(row, 0, &names), listed_type(row, 1, &values));
    let mut out = "{ ".to_owned();
    for at in 0..names.len() {
        if at > 0 {
            out.push_str(", ");
        }
        if names.is_null(at) {
            return Err(data(DataError::InvalidParameterValue, "field name must not be null"));
        }
        let mut key = String::new();
        value_out::push(&mut key, &names, at, name_type, style)?;
        push_string(&mut out, &key);
        out.push_str(" : ");
        push_json(&mut out, &values, at, value_type, style)?;
    }
    out.push_str(" }");
    Ok(out)
}
