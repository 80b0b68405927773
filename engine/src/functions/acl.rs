//! `aclexplode`: an access list as rows, a privilege each.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, StringArray, StructArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::ScalarUDF;
use lakegate_engine_api::arrow_field;
use lakegate_engine_api::catalog::PgType;

use super::function::{Body, Columns, PgFunction, Returns};
use super::session::Session;
use super::types::Ty;

/// Letters of privileges (acl.h).
const PRIVILEGES: &[(char, &str)] = &[
    ('a', "INSERT"),
    ('r', "SELECT"),
    ('w', "UPDATE"),
    ('d', "DELETE"),
    ('D', "TRUNCATE"),
    ('x', "REFERENCES"),
    ('t', "TRIGGER"),
    ('X', "EXECUTE"),
    ('U', "USAGE"),
    ('C', "CREATE"),
    ('T', "TEMPORARY"),
    ('c', "CONNECT"),
    ('s', "SET"),
    ('A', "ALTER SYSTEM"),
];

pub fn session_functions(session: &Arc<Session>) -> Vec<Arc<ScalarUDF>> {
    let own = Arc::clone(session);
    vec![
        PgFunction::stable("#aclexplode")
            .of_session(session.identity())
            .on(&[Ty::Array(PgType::ACLITEM)], Returns::By(|_| rows_type()), Body::Columns(Box::new(move |args| explode(args, &own))))
            .build(),
    ]
}

fn fields() -> Result<Fields> {
    [("grantor", PgType::OID), ("grantee", PgType::OID), ("privilege_type", PgType::TEXT), ("is_grantable", PgType::BOOL)]
        .into_iter()
        .map(|(name, pg)| match arrow_field(name, pg, true) {
            Some(field) => Ok(field),
            None => internal_err!("{name} has no type"),
        })
        .collect::<Result<Vec<_>>>()
        .map(Fields::from)
}

fn rows_type() -> Result<Field> {
    Ok(Field::new("", DataType::List(Arc::new(Field::new("element", DataType::Struct(fields()?), true))), true))
}

fn explode(args: &Columns<'_>, session: &Session) -> Result<ArrayRef> {
    let DataType::List(element) = args.result.data_type() else { return internal_err!("a list was expected") };
    let lists = args.arrays[0].as_list::<i32>();
    let (mut grantors, mut grantees, mut privileges, mut grantable) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut lengths = Vec::with_capacity(lists.len());
    for list in lists.iter() {
        let before = privileges.len();
        if let Some(items) = list {
            for item in items.as_string::<i32>().iter().flatten() {
                let Some((grantee, letters, grantor)) = parts(item) else { continue };
                let (grantee, grantor) = (role(&grantee, session), role(&grantor, session));
                let mut letters = letters.chars().peekable();
                while let Some(letter) = letters.next() {
                    let Some((_, privilege)) = PRIVILEGES.iter().find(|(known, _)| *known == letter) else { continue };
                    grantors.push(grantor);
                    grantees.push(grantee);
                    privileges.push(*privilege);
                    grantable.push(letters.next_if_eq(&'*').is_some());
                }
            }
        }
        lengths.push(privileges.len() - before);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(grantors)),
        Arc::new(Int64Array::from(grantees)),
        Arc::new(StringArray::from(privileges)),
        Arc::new(BooleanArray::from(grantable)),
    ];
    let rows = StructArray::try_new(fields()?, columns, None)?;
    Ok(Arc::new(ListArray::try_new(Arc::clone(element), OffsetBuffer::from_lengths(lengths), Arc::new(rows), lists.nulls().cloned())?))
}

/// Grantee, letters and grantor of `grantee=letters/grantor`; names may be in double quotes.
fn parts(item: &str) -> Option<(String, String, String)> {
    let end = if item.starts_with('"') { item.get(1..)?.find("\"=")? + 2 } else { item.find('=')? };
    let (grantee, rest) = item.split_at_checked(end)?;
    let (letters, grantor) = rest.strip_prefix('=')?.split_once('/')?;
    Some((unquoted(grantee), letters.to_owned(), unquoted(grantor)))
}

fn unquoted(name: &str) -> String {
    name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).map_or_else(|| name.to_owned(), |name| name.replace("\"\"", "\""))
}

/// PUBLIC has no name and is role 0.
fn role(name: &str, session: &Session) -> i64 {
    if name.is_empty() { 0 } else { session.lookup().role_oid(name).map_or(0, i64::from) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items() {
        let text = |a: &str, b: &str, c: &str| Some((a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(parts("ann=r*w/bob"), text("ann", "r*w", "bob"));
        assert_eq!(parts("=r/\"A b\""), text("", "r", "A b"));
        assert_eq!(parts("\"a=\"\"b\"=r/bob"), text("a=\"b", "r", "bob"));
        assert_eq!(parts("nonsense"), None);
    }
}
