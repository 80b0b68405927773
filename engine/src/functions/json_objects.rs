//! json objects from arrays of text, and insertion into jsonb (documentation, section 9.16).

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ScalarUDF;
use lakegate_engine_api::DataError;

use super::call::Row;
use super::error::data;
use super::function::{Body, PgFunction};
use super::json::{delete_path, path, position, set_at};
use super::text::json::{Json, normalize, parse, push_string};
use super::types::Ty;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let (jsonb, texts) = (Ty::JSONB, Ty::TEXTS);
    let mut all = Vec::new();
    for (name, binary) in [("json_object", false), ("jsonb_object", true)] {
        let result = if binary { Ty::JSONB } else { Ty::JSON };
        let finish = move |text: String| if binary { normalize(&text) } else { Ok(text) };
        all.push(
            PgFunction::immutable(name)
                .on(std::slice::from_ref(&texts), result.clone(), text(move |row| finish(of_pairs(row)?).map(Some)))
                .on(&[texts.clone(), texts.clone()], result, text(move |row| finish(of_two(row)?).map(Some)))
                .build(),
        );
    }
    let value = [jsonb.clone(), texts, jsonb.clone()];
    let with = |more: &[Ty]| [&value[..], more].concat();
    all.push(
        PgFunction::immutable("jsonb_insert")
            .on(&value, Ty::JSONB, text(|row| inserted(row, false).map(Some)))
            .on(&with(&[Ty::BOOL]), Ty::JSONB, text(|row| inserted(row, row.bool(3)).map(Some)))
            .build(),
    );
    all.push(
        PgFunction::immutable("jsonb_set_lax")
            .on_nullable(&value, Ty::JSONB, text(set_lax))
            .on_nullable(&with(&[Ty::BOOL]), Ty::JSONB, text(set_lax))
            .on_nullable(&with(&[Ty::BOOL, Ty::TEXT]), Ty::JSONB, text(set_lax))
            .build(),
    );
    all
}

fn text(body: impl Fn(&Row<'_>) -> Result<Option<String>> + Send + Sync + 'static) -> Body {
    Body::Text(Box::new(body))
}

fn null_key() -> DataFusionError {
    data(DataError::NullNotAllowed, "null value not allowed for object key")
}

fn object(pairs: impl Iterator<Item = (Option<String>, Option<String>)>) -> Result<String> {
    let mut out = "{".to_owned();
    for (at, (key, value)) in pairs.enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        push_string(&mut out, &key.ok_or_else(null_key)?);
        out.push_str(" : ");
        match value {
            Some(value) => push_string(&mut out, &value),
            None => out.push_str("null"),
        }
    }
    out.push('}');
    Ok(out)
}

/// `{key, value, key, value}`.
fn of_pairs(row: &Row<'_>) -> Result<String> {
    let items = row.texts(0);
    if !items.len().is_multiple_of(2) {
        return Err(data(DataError::ArraySubscript, "array must have even number of elements"));
    }
    object(items.chunks(2).map(|pair| (pair.first().cloned().flatten(), pair.get(1).cloned().flatten())))
}

fn of_two(row: &Row<'_>) -> Result<String> {
    let (keys, values) = (row.texts(0), row.texts(1));
    if keys.len() != values.len() {
        return Err(data(DataError::ArraySubscript, "mismatched array dimensions"));
    }
    object(keys.into_iter().zip(values))
}

/// Adds a key that is not there, or an item before or after one.
fn inserted(row: &Row<'_>, after: bool) -> Result<String> {
    let mut value = parse(row.text(0))?;
    let new = parse(row.text(2))?;
    insert(&mut value, &path(row, 1), &new, after)?;
    Ok(value.canonical().to_text())
}

fn insert(value: &mut Json, path: &[String], new: &Json, after: bool) -> Result<()> {
    let Some((step, rest)) = path.split_first() else { return Ok(()) };
    match value {
        Json::Object(entries) => match entries.iter_mut().rev().find(|(key, _)| key == step) {
            Some(_) if rest.is_empty() => {
                return Err(data(DataError::InvalidParameterValue, "cannot replace existing key"));
            }
            Some((_, inner)) => insert(inner, rest, new, after)?,
            None if rest.is_empty() => entries.push((step.clone(), new.clone())),
            None => {}
        },
        Json::Array(items) => {
            let Ok(index) = step.parse::<i64>() else {
                return Err(data(DataError::InvalidTextRepresentation, format_args!("path element is not an integer: \"{step}\"")));
            };
            match position(index, items.len()) {
                Some(at) if rest.is_empty() => items.insert(if after { at + 1 } else { at }, new.clone()),
                Some(at) => {
                    if let Some(inner) = items.get_mut(at) {
                        insert(inner, rest, new, after)?;
                    }
                }
                None if rest.is_empty() && index < 0 => items.insert(0, new.clone()),
                None if rest.is_empty() => items.push(new.clone()),
                None => {}
            }
        }
        _ => {}
    }
    Ok(())
}

/// `jsonb_set` that says what becomes of a NULL.
fn set_lax(row: &Row<'_>) -> Result<Option<String>> {
    if row.is_null(0) || row.is_null(1) || (row.len() > 3 && row.is_null(3)) {
        return Ok(None);
    }
    let create = row.len() <= 3 || row.bool(3);
    let mut value = parse(row.text(0))?;
    let path = path(row, 1);
    if !row.is_null(2) {
        set_at(&mut value, &path, &parse(row.text(2))?, create)?;
        return Ok(Some(value.canonical().to_text()));
    }
    let treatment = if row.len() > 4 { row.text(4) } else { "use_json_null" };
    match treatment {
        "use_json_null" => set_at(&mut value, &path, &Json::Null, create)?,
        "delete_key" => delete_path(&mut value, &path),
        "return_target" => {}
        "raise_exception" => return Err(data(DataError::NullNotAllowed, "JSON value must not be null")),
        _ => {
            return Err(data(
                DataError::InvalidParameterValue,
                "null_value_treatment must be \"delete_key\", \"return_target\", \"use_json_null\", or \"raise_exception\"",
            ));
        }
    }
    Ok(Some(value.canonical().to_text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insertion() {
        let insert_at = |text: &str, path: &[&str], after: bool| {
            let mut value = parse(text).unwrap();
            let path: Vec<String> = path.iter().map(|step| (*step).to_owned()).collect();
            insert(&mut value, &path, &parse("\"n\"").unwrap(), after).map(|()| value.to_text()).map_err(|error| error.to_string())
        };
        assert_eq!(insert_at(r#"{"a": [0, 1]}"#, &["a", "1"], false).unwrap(), r#"{"a": [0, "n", 1]}"#);
        assert_eq!(insert_at(r#"{"a": [0, 1]}"#, &["a", "1"], true).unwrap(), r#"{"a": [0, 1, "n"]}"#);
        assert_eq!(insert_at(r#"{"a": 1}"#, &["b"], false).unwrap(), r#"{"a": 1, "b": "n"}"#);
        assert!(insert_at(r#"{"a": 1}"#, &["a"], false).is_err());
    }
}
