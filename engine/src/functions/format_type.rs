//! `format_type` and its inverse, `to_regtype`.

use datafusion::common::Result;
use lakegate_engine_api::catalog::{Oid, PgType};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::quote;
use super::session::Session;
use super::types::type_name;
use crate::planner_pg::types::resolve;

/// What tells an array of a row type from the row type itself, as `pg_type` numbers them.
const ARRAYS_OF_ROWS: Oid = 1 << 31;
const FIRST_USER_OID: Oid = 16_384;

/// A type as SQL writes it; the modifier where one is given. `None` where there is no such type.
#[must_use]
pub fn format(oid: Oid, typmod: Option<i32>, session: &Session) -> Option<String> {
    if let Some(element) = PgType::element_of(oid).filter(|_| !matches!(oid, 22 | 30)) {
        return format(element, typmod, session).map(|element| element + "[]");
    }
    let name = type_name(PgType::plain(oid));
    let name = if name == "???" {
        let (schema, name) = session.lookup().type_name(oid)?;
        // Arrays of row types.
        if oid & ARRAYS_OF_ROWS != 0 {
            return format(oid ^ ARRAYS_OF_ROWS, typmod, session).map(|element| element + "[]");
        }
        if let Some(element) = name.strip_prefix('_').filter(|_| oid < FIRST_USER_OID) {
            return Some(format!("{}[]", quote::ident(element)));
        }
        let visible = session.lookup().type_is_visible(oid);
        if visible { quote::ident(&name) } else { format!("{}.{}", quote::ident(&schema), quote::ident(&name)) }
    } else {
        name
    };
    Some(match typmod {
        Some(typmod) if typmod >= 0 => with_modifier(oid, &name, typmod),
        // Without a modifier given at all, `character` alone would mean one character.
        None if oid == PgType::BPCHAR.oid => name,
        Some(_) if oid == PgType::BPCHAR.oid => "bpchar".to_owned(),
        Some(_) if name == "bit" => "\"bit\"".to_owned(),
        _ => name,
    })
}

fn with_modifier(oid: Oid, name: &str, typmod: i32) -> String {
    let pg = PgType { oid, typmod };
    match oid {
        1560 | 1562 => format!("{name}({typmod})"),
        1042 | 1043 if typmod >= 4 => format!("{name}({})", typmod - 4),
        1700 => match pg.numeric_precision_scale() {
            Some((precision, scale)) => format!("{name}({precision},{scale})"),
            None => name.to_owned(),
        },
        1083 | 1114 | 1184 => match name.split_once(' ') {
            Some((first, rest)) => format!("{first}({typmod}) {rest}"),
            None => name.to_owned(),
        },
        _ => name.to_owned(),
    }
}

/// The OID of a type by its SQL name; `None` where there is none.
///
/// # Errors
/// None of its own: what is no type's name gives `None`.
pub fn parse(text: &str, session: &Session) -> Result<Option<Oid>> {
    let dialect = PostgreSqlDialect {};
    let parsed = Parser::new(&dialect).try_with_sql(text).and_then(|mut parser| parser.parse_data_type());
    if let Some(pg) = parsed.ok().and_then(|data_type| resolve(&data_type).ok()) {
        return Ok(Some(pg.oid));
    }
    let parts = quote::split_name(text).unwrap_or_default();
    Ok(match parts.as_slice() {
        [name] => session.lookup().type_oid(None, name),
        [schema, name] => session.lookup().type_oid(Some(schema), name),
        _ => None,
    })
}
