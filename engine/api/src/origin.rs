//! Where a column of a result comes from, as RowDescription tells it: drivers find a table's keys by it, and whether it has NULLs.

use std::collections::HashMap;

use arrow_schema::{Field, Schema};
use lakegate_catalog::model::Oid;

/// Field metadata key; the value is `oid:number`, decimal.
const ORIGIN_KEY: &str = "pg.origin";

/// A column of a stored relation that a result column shows unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnOrigin {
    pub relation: Oid,
    /// `pg_attribute.attnum`, from 1.
    pub number: i16,
}

impl ColumnOrigin {
    /// What the field says of itself.
    #[must_use]
    pub fn of(field: &Field) -> Option<Self> {
        let (relation, number) = field.metadata().get(ORIGIN_KEY)?.split_once(':')?;
        Some(Self { relation: relation.parse().ok()?, number: number.parse().ok()? })
    }

    /// Writes it to a field's metadata.
    pub fn write(self, metadata: &mut HashMap<String, String>) {
        metadata.insert(ORIGIN_KEY.to_owned(), format!("{}:{}", self.relation, self.number));
    }
}

/// Whether two results have the same columns; of which table they are is left aside, as in PostgreSQL's `equalTupleDescs`.
#[must_use]
pub fn same_columns(one: &Schema, other: &Schema) -> bool {
    let same = |one: &Field, other: &Field| {
        let without = |field: &Field| {
            let mut metadata = field.metadata().clone();
            metadata.remove(ORIGIN_KEY);
            // A result's columns have no NOT NULL.
            field.clone().with_nullable(true).with_metadata(metadata)
        };
        without(one) == without(other)
    };
    one.fields().len() == other.fields().len() && one.fields().iter().zip(other.fields()).all(|(one, other)| same(one, other))
}
