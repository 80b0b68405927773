//! What was recorded from PostgreSQL 15 (tools/record_pg_catalog.py): system relations, their columns, and the rows that are the
//! same in every database.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use lakegate_catalog::model::{Oid, PgType};
use lakegate_engine_api::arrow_field;

use super::cells::{self, Cell};
use super::{PG_CATALOG, broken};
use crate::sqlstate::SqlError;

const RELATIONS: &str = include_str!("recorded/relations.tsv");
const COLUMNS: &str = include_str!("recorded/columns.tsv");

/// (relation of `pg_catalog`, its rows in COPY text format).
const ROWS: &[(&str, &str)] = &[
    ("pg_aggregate", include_str!("recorded/pg_aggregate.tsv")),
    ("pg_am", include_str!("recorded/pg_am.tsv")),
    ("pg_cast", include_str!("recorded/pg_cast.tsv")),
    ("pg_collation", include_str!("recorded/pg_collation.tsv")),
    ("pg_description", include_str!("recorded/pg_description.tsv")),
    ("pg_language", include_str!("recorded/pg_language.tsv")),
    ("pg_operator", include_str!("recorded/pg_operator.tsv")),
    ("pg_proc", include_str!("recorded/pg_proc.tsv")),
    ("pg_range", include_str!("recorded/pg_range.tsv")),
    ("pg_tablespace", include_str!("recorded/pg_tablespace.tsv")),
    ("pg_type", include_str!("recorded/pg_type.tsv")),
];

/// A system relation.
#[derive(Debug)]
pub struct Recorded {
    pub oid: Oid,
    pub schema_name: &'static str,
    pub name: &'static str,
    /// `r` or `v`.
    pub kind: &'static str,
    pub row_type: Oid,
    /// One for all databases.
    pub shared: bool,
    pub columns: Vec<RecordedColumn>,
    /// Of its rows; types of domains are replaced by what they are made of.
    pub schema: SchemaRef,
}

#[derive(Debug)]
pub struct RecordedColumn {
    pub name: String,
    /// As `pg_attribute.atttypid` has it: may be a domain.
    pub declared_type: Oid,
    pub data_type: PgType,
    pub not_null: bool,
}

/// Finds a system relation by name.
#[must_use]
pub fn relation(schema: &str, name: &str) -> Option<&'static Recorded> {
    let at = *WORLD.names.get(schema)?.get(name)?;
    WORLD.relations.get(at)
}

#[must_use]
pub fn relation_by_oid(oid: Oid) -> Option<&'static Recorded> {
    let at = WORLD.relations.binary_search_by_key(&oid, |relation| relation.oid).ok()?;
    WORLD.relations.get(at)
}

/// All of them, in order of OID.
#[must_use]
pub fn relations() -> &'static [Recorded] {
    &WORLD.relations
}

/// The recorded rows, where the relation has some.
///
/// # Errors
/// XX000 where they do not fit the columns.
pub fn rows(relation: &Recorded) -> Result<Option<&'static RecordBatch>, SqlError> {
    match &*BATCHES {
        Ok(batches) if relation.schema_name == PG_CATALOG => Ok(batches.get(relation.name)),
        Ok(_) => Ok(None),
        Err(fault) => Err(fault.clone()),
    }
}

/// Rows of a recorded relation of `pg_catalog`, field by field.
pub fn lines(name: &str) -> impl Iterator<Item = Vec<Option<String>>> {
    let text = ROWS.iter().find(|(own, _)| *own == name).map_or("", |(_, text)| text);
    copy_lines(text)
}

/// Rows of COPY text format; `\N` is `None`.
pub fn copy_lines(text: &'static str) -> impl Iterator<Item = Vec<Option<String>>> {
    text.lines().map(|line| line.split('\t').map(copy_field).collect())
}

/// A function of `pg_proc`.
#[derive(Debug)]
pub struct Function {
    pub oid: Oid,
    pub name: String,
    pub schema: Oid,
    /// Of the arguments that are passed in.
    pub argument_types: Vec<Oid>,
    /// With those that come out.
    pub all_argument_types: Vec<Oid>,
    /// `proargmodes`; empty where all are IN.
    pub modes: Vec<String>,
    pub argument_names: Vec<String>,
    pub is_immutable: bool,
}

/// The recorded functions.
pub fn functions() -> impl Iterator<Item = Function> {
    let columns = relation(PG_CATALOG, "pg_proc").map(|proc| proc.columns.as_slice()).unwrap_or_default();
    let at = |name: &str| columns.iter().position(|column| column.name == name).unwrap_or(usize::MAX);
    let (types, all, modes, names) = (at("proargtypes"), at("proallargtypes"), at("proargmodes"), at("proargnames"));
    let volatile = at("provolatile");
    lines("pg_proc").filter_map(move |line| {
        let field = |at: usize| line.get(at).and_then(Option::as_deref);
        let list = |at: usize| field(at).and_then(array_items).unwrap_or_default().into_iter().map(Option::unwrap_or_default);
        let argument_types: Vec<Oid> = field(types)?.split_ascii_whitespace().map(number).collect();
        let all_argument_types: Vec<Oid> = list(all).map(|oid| number(&oid)).collect();
        Some(Function {
            oid: number(field(0)?),
            name: field(1)?.to_owned(),
            schema: number(field(2)?),
            all_argument_types: if all_argument_types.is_empty() { argument_types.clone() } else { all_argument_types },
            argument_types,
            modes: list(modes).collect(),
            argument_names: list(names).collect(),
            is_immutable: field(volatile) == Some("i"),
        })
    })
}

struct World {
    /// In order of OID.
    relations: Vec<Recorded>,
    names: HashMap<&'static str, HashMap<&'static str, usize>>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let mut columns: HashMap<Oid, Vec<RecordedColumn>> = HashMap::new();
    for line in COLUMNS.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        if let [relation, _, name, declared, base, typmod, not_null, ..] = fields.as_slice() {
            columns.entry(number(relation)).or_default().push(RecordedColumn {
                name: (*name).to_owned(),
                declared_type: number(declared),
                data_type: PgType { oid: number(base), typmod: typmod.parse().unwrap_or(-1) },
                not_null: *not_null == "t",
            });
        }
    }
    let mut relations = Vec::new();
    for line in RELATIONS.lines() {
        let fields: Vec<&'static str> = line.split('\t').collect();
        if let [oid, schema_name, name, kind, row_type, shared] = *fields.as_slice() {
            let columns = columns.remove(&number(oid)).unwrap_or_default();
            let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
            let (oid, row_type) = (number(oid), number(row_type));
            relations.push(Recorded { oid, schema_name, name, kind, row_type, shared: shared == "t", columns, schema });
        }
    }
    let mut names: HashMap<&str, HashMap<&str, usize>> = HashMap::new();
    for (at, relation) in relations.iter().enumerate() {
        names.entry(relation.schema_name).or_default().insert(relation.name, at);
    }
    World { relations, names }
});

static BATCHES: LazyLock<Result<HashMap<&'static str, RecordBatch>, SqlError>> = LazyLock::new(|| {
    ROWS.iter()
        .map(|(name, _)| {
            let relation = relation(PG_CATALOG, name).ok_or_else(|| broken(format_args!("{name} is not recorded")))?;
            Ok((*name, recorded_batch(relation)?))
        })
        .collect()
});

/// Nullable throughout: views and outer joins make NULLs of what a table cannot hold.
fn field(column: &RecordedColumn) -> Field {
    arrow_field(&column.name, column.data_type, true).unwrap_or_else(|| Field::new(&column.name, DataType::Utf8, true))
}

fn number(text: &str) -> Oid {
    text.parse().unwrap_or_default()
}

fn recorded_batch(relation: &Recorded) -> Result<RecordBatch, SqlError> {
    let lines: Vec<Vec<Option<String>>> = lines(relation.name).collect();
    let mut arrays = Vec::with_capacity(relation.columns.len());
    for (at, column) in relation.columns.iter().enumerate() {
        let cells = lines
            .iter()
            .map(|line| match line.get(at) {
                Some(Some(text)) => cell(column.data_type, text),
                Some(None) => Ok(Cell::Null),
                None => Err(broken(format_args!("{} lacks {}", relation.name, column.name))),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let data_type = relation.schema.field(at).data_type();
        let array = cells::array(data_type, cells.into_iter())
            .map_err(|error| broken(format_args!("{}.{}: {error}", relation.name, column.name)))?;
        arrays.push(array);
    }
    cells::batch(relation, arrays, lines.len())
}

/// A field in PostgreSQL's output format of its type.
fn cell(pg: PgType, text: &str) -> Result<Cell<'static>, SqlError> {
    let bad = || broken(format_args!("\"{text}\" is no value of type {}", pg.oid));
    Ok(match pg.oid {
        16 => Cell::Bool(text == "t"),
        20 | 21 | 23 | 24 | 26 | 28 => Cell::Int(text.parse().map_err(|_| bad())?),
        700 | 701 => Cell::Float(text.parse().map_err(|_| bad())?),
        22 | 30 => {
            Cell::List(text.split_ascii_whitespace().map(|item| item.parse().map(Cell::Int).map_err(|_| bad())).collect::<Result<_, _>>()?)
        }
        other => match PgType::element_of(other) {
            Some(element) => {
                let items = array_items(text).ok_or_else(bad)?;
                let items = items.into_iter().map(|item| item.map_or(Ok(Cell::Null), |item| cell(PgType::plain(element), &item)));
                Cell::List(items.collect::<Result<_, _>>()?)
            }
            None => Cell::Text(text.to_owned().into()),
        },
    })
}

/// Items of a one-dimensional array in text form; an unquoted NULL is `None`.
fn array_items(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let (mut items, mut item, mut quoted, mut was_quoted) = (Vec::new(), String::new(), false, false);
    if inner.is_empty() {
        return Some(items);
    }
    let mut characters = inner.chars();
    let mut end = |item: &mut String, was_quoted: &mut bool| {
        let (text, was_quoted) = (std::mem::take(item), std::mem::take(was_quoted));
        items.push((was_quoted || text != "NULL").then_some(text));
    };
    while let Some(character) = characters.next() {
        match character {
            '\\' => item.push(characters.next()?),
            '"' => (quoted, was_quoted) = (!quoted, true),
            ',' if !quoted => end(&mut item, &mut was_quoted),
            other => item.push(other),
        }
    }
    end(&mut item, &mut was_quoted);
    Some(items)
}

fn copy_field(field: &str) -> Option<String> {
    if field == "\\N" {
        return None;
    }
    let mut text = String::with_capacity(field.len());
    let mut characters = field.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('r') => text.push('\r'),
                Some(other) => text.push(other),
                None => {}
            },
            other => text.push(other),
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recorded_row_fits_its_columns() {
        for (name, text) in ROWS {
            let relation = relation(PG_CATALOG, name).unwrap();
            let rows = rows(relation).unwrap().unwrap();
            assert_eq!(rows.num_rows(), text.lines().count(), "{name}");
        }
    }

    #[test]
    fn every_column_has_an_arrow_type() {
        for relation in relations() {
            assert!(!relation.columns.is_empty(), "{}", relation.name);
            for column in &relation.columns {
                assert!(arrow_field(&column.name, column.data_type, true).is_some(), "{}.{}", relation.name, column.name);
            }
        }
    }

    #[test]
    fn array_text() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(array_items("{a,\"b,\\\"c\",NULL,\"NULL\"}"), Some(vec![some("a"), some("b,\"c"), None, some("NULL")]));
        assert_eq!(array_items("{}"), Some(vec![]));
    }
}
