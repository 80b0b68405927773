//! The columns of a result as clients see them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::compute::{CastOptions, cast_with_options};
use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema, SchemaRef};
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{ColumnOrigin, PG_TYPE_KEY, arrow_type, pg_type};

use super::names::restored;

/// Restores names, and keeps a field's PostgreSQL type only where its values are of that type still. `plain_numerics`
/// says which columns are `numeric` without precision and scale, `origins` which stored column one shows; where they end, none.
#[must_use]
pub fn result_schema(plan: &Schema, plain_numerics: &[bool], origins: &[Option<ColumnOrigin>]) -> SchemaRef {
    let field = |(at, field): (usize, &FieldRef)| {
        let field = result_field(field);
        let mut field = if plain_numerics.get(at).is_some_and(|plain| *plain) { as_plain_numeric(field) } else { field };
        if let Some(origin) = origins.get(at).copied().flatten() {
            origin.write(field.metadata_mut());
        }
        Arc::new(field)
    };
    let fields: Vec<FieldRef> = plan.fields().iter().enumerate().map(field).collect();
    Arc::new(Schema::new(fields))
}

fn as_plain_numeric(field: Field) -> Field {
    let tagged = |field: Field| field.with_metadata(HashMap::from([(PG_TYPE_KEY.to_owned(), PgType::NUMERIC.oid.to_string())]));
    match field.data_type().clone() {
        DataType::List(element) => field.with_data_type(DataType::List(Arc::new(tagged(element.as_ref().clone())))),
        _ => tagged(field),
    }
}

fn result_field(field: &Field) -> Field {
    // PostgreSQL shows what has no type as text.
    let data_type = match field.data_type() {
        DataType::Null => DataType::Utf8,
        other => other.clone(),
    };
    let kept = match field.metadata().get(PG_TYPE_KEY) {
        Some(tag) if fits(&data_type, field) => HashMap::from([(PG_TYPE_KEY.to_owned(), tag.clone())]),
        _ => HashMap::new(),
    };
    Field::new(restored(field.name()), data_type, field.is_nullable()).with_metadata(kept)
}

fn fits(data_type: &DataType, field: &Field) -> bool {
    match (arrow_type(pg_type(field)), data_type) {
        (Some(DataType::Utf8), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => true,
        (Some(DataType::Binary), DataType::Binary | DataType::LargeBinary | DataType::BinaryView) => true,
        (Some(DataType::Decimal128(..) | DataType::Decimal256(..)), actual) => actual.is_decimal(),
        (Some(DataType::Timestamp(_, Some(_))), DataType::Timestamp(_, Some(_))) => true,
        (Some(DataType::List(_)), DataType::List(_)) => true,
        (Some(expected), actual) => expected == *actual,
        (None, _) => false,
    }
}

/// A batch under the result's schema.
///
/// # Errors
/// A column cannot be cast, which says that the plan changed its mind about a type.
pub fn cast_to(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let columns: Result<Vec<_>, _> = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| match column.data_type() == field.data_type() {
            true => Ok(Arc::clone(column)),
            false => cast_with_options(column, field.data_type(), &options),
        })
        .collect();
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    // Nullability is the planner's guess; a wrong one must not fail a query that is done.
    let relaxed: Vec<FieldRef> = schema
        .fields()
        .iter()
        .map(|field| if field.is_nullable() { Arc::clone(field) } else { Arc::new(field.as_ref().clone().with_nullable(true)) })
        .collect();
    RecordBatch::try_new_with_options(Arc::new(Schema::new(relaxed)), columns?, &rows)
}
