//! A table's columns: as the log has them, as files name them, and as statements see them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Fields, IntervalUnit, Schema, SchemaRef, TimeUnit};
use deltalake_core::kernel::engine::arrow_conversion::TryIntoArrow;
use deltalake_core::kernel::{ColumnMetadataKey, DataType as DeltaType, EagerSnapshot, MetadataValue, StructField};
use lakegate_engine_api::catalog::{Identity, PgType, Relation};
use lakegate_engine_api::{EngineError, PG_TYPE_KEY, arrow_field, pg_type};

use crate::error;

/// Where delta-rs keeps a field's id in Parquet and Arrow schemas.
pub const PARQUET_FIELD_ID: &str = "PARQUET:field_id";

/// The Arrow type under which Delta keeps a column of an Arrow type; `None` where it cannot. Delta has no time of day and no
/// interval: they are kept as microseconds (`long`) and as text (`1 mons 2 days 3 hours`), told by [`DELTA_PG_TYPE_KEY`].
#[must_use]
pub fn stored_type(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Time64(TimeUnit::Microsecond) => DataType::Int64,
        DataType::Interval(IntervalUnit::MonthDayNano) => DataType::Utf8,
        DataType::Time64(_) | DataType::Interval(_) | DataType::Decimal256(..) | DataType::Duration(_) => return None,
        DataType::List(element) => {
            DataType::List(Arc::new(Field::new(element.name(), stored_type(element.data_type())?, element.is_nullable())))
        }
        other => other.clone(),
    })
}

/// Our key in a Delta column's metadata: the PostgreSQL type, as [`PG_TYPE_KEY`] writes it.
pub const DELTA_PG_TYPE_KEY: &str = "lakegate.pgType";

/// One column of a table.
#[derive(Debug, Clone)]
pub struct TableColumn {
    /// As statements see it, PostgreSQL type in its metadata.
    pub field: FieldRef,
    /// As data files have it: physical names and field ids, nested ones too.
    pub physical: FieldRef,
    pub is_partition: bool,
    pub not_null: bool,
    /// `delta.generationExpression`.
    pub generation: Option<String>,
    /// GENERATED … AS IDENTITY, as the catalog has it.
    pub identity: Option<Identity>,
    /// `delta.invariants`: an SQL condition.
    pub invariant: Option<String>,
}

/// All columns of a table in the log's order.
#[derive(Debug, Clone)]
pub struct TableColumns {
    pub columns: Vec<TableColumn>,
    /// As statements see the table.
    pub schema: SchemaRef,
    /// Positions of the partition columns, in the order of the metadata.
    pub partitions: Vec<usize>,
    pub is_mapped: bool,
}

impl TableColumns {
    /// # Errors
    /// `Unsupported` names a type that no column here can have.
    pub fn of(snapshot: &EagerSnapshot) -> Result<Self, EngineError> {
        let delta_schema = snapshot.schema();
        let partition_names = snapshot.metadata().partition_columns().to_vec();
        let is_mapped =
            snapshot.metadata().configuration().get("delta.columnMapping.mode").is_some_and(|mode| mode == "name" || mode == "id");
        let mut columns = Vec::new();
        for field in delta_schema.fields() {
            columns.push(column(field, partition_names.contains(field.name()), is_mapped)?);
        }
        let mut partitions = Vec::new();
        for name in &partition_names {
            let position = columns.iter().position(|column| column.field.name() == name);
            partitions.push(position.ok_or_else(|| error::corrupted("a partition column is missing in the table's schema"))?);
        }
        let schema = Arc::new(Schema::new(columns.iter().map(|column| Arc::clone(&column.field)).collect::<Vec<_>>()));
        Ok(Self { columns, schema, partitions, is_mapped })
    }

    /// The same with the PostgreSQL types of the registered relation, column by column where its Arrow type fits.
    #[must_use]
    pub fn tagged(&self, relation: &Relation) -> Self {
        let mut columns = self.columns.clone();
        for column in &mut columns {
            let registered = relation.columns.iter().find(|registered| registered.name == *column.field.name());
            if let Some(registered) = registered {
                column.field = tag(&column.field, registered.data_type);
                column.identity = registered.identity;
            }
        }
        let schema = Arc::new(Schema::new(columns.iter().map(|column| Arc::clone(&column.field)).collect::<Vec<_>>()));
        Self { columns, schema, partitions: self.partitions.clone(), is_mapped: self.is_mapped }
    }

    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.field.name() == name)
    }
}

/// A field as the PostgreSQL type says, where that type is stored as the field's Arrow type.
fn tag(field: &FieldRef, pg: PgType) -> FieldRef {
    match arrow_field(field.name(), pg, field.is_nullable()) {
        Some(tagged) if tagged.data_type() == field.data_type() => {
            let mut metadata = field.metadata().clone();
            metadata.remove(PG_TYPE_KEY);
            metadata.extend(tagged.metadata().clone());
            Arc::new(field.as_ref().clone().with_metadata(metadata))
        }
        _ => Arc::clone(field),
    }
}

fn column(field: &StructField, is_partition: bool, is_mapped: bool) -> Result<TableColumn, EngineError> {
    let text = |key: &str| match field.metadata().get(key) {
        Some(MetadataValue::String(text)) => Some(text.clone()),
        Some(MetadataValue::Other(value)) => Some(value.to_string()),
        _ => None,
    };
    let tagged = text(DELTA_PG_TYPE_KEY).map_or_else(HashMap::new, |tag| HashMap::from([(PG_TYPE_KEY.to_owned(), tag)]));
    let stored = Field::new(field.name(), logical_type(field.data_type())?, field.is_nullable()).with_metadata(tagged.clone());
    let shown = arrow_field(field.name(), pg_type(&stored), true).map(|shown| shown.data_type().clone());
    let plain = match shown.filter(|shown| shown != stored.data_type() && stored_type(shown).as_ref() == Some(stored.data_type())) {
        Some(shown) => stored.with_data_type(shown),
        None => stored,
    };
    let generation = text("delta.generationExpression");
    let invariant = text("delta.invariants").and_then(|json| invariant_sql(&json));
    Ok(TableColumn {
        field: Arc::new(plain),
        physical: Arc::new(physical_field(field, is_mapped)?),
        is_partition,
        not_null: !field.is_nullable(),
        generation,
        identity: None,
        invariant,
    })
}

/// `{"expression":{"expression":"x > 3"}}`
fn invariant_sql(json: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(json).ok()?;
    value.get("expression")?.get("expression")?.as_str().map(str::to_owned)
}

/// The type that statements see. Delta's `byte` becomes PostgreSQL's smallest integer; nested fields are nullable, since
/// files of other writers mark them so whatever the table says.
fn logical_type(delta_type: &DeltaType) -> Result<DataType, EngineError> {
    let arrow: DataType = delta_type.try_into_arrow().map_err(|error| error::from_arrow(&error))?;
    Ok(widened(&arrow))
}

fn widened(arrow: &DataType) -> DataType {
    let relaxed = |field: &FieldRef| Arc::new(Field::new(field.name(), widened(field.data_type()), true));
    match arrow {
        DataType::Int8 => DataType::Int16,
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(relaxed).collect()),
        DataType::List(element) => DataType::List(relaxed(element)),
        DataType::Map(entries, sorted) => match entries.data_type() {
            DataType::Struct(pair) if pair.len() == 2 => {
                let key = Field::new(pair[0].name(), widened(pair[0].data_type()), false);
                let pair = Fields::from(vec![Arc::new(key), relaxed(&pair[1])]);
                DataType::Map(Arc::new(Field::new(entries.name(), DataType::Struct(pair), false)), *sorted)
            }
            _ => arrow.clone(),
        },
        other => other.clone(),
    }
}

/// A field with the names that data files use, ids in its metadata where the table maps columns.
fn physical_field(field: &StructField, is_mapped: bool) -> Result<Field, EngineError> {
    let metadata = field.metadata();
    let name = match metadata.get(ColumnMetadataKey::ColumnMappingPhysicalName.as_ref()) {
        Some(MetadataValue::String(name)) if is_mapped => name.as_str(),
        _ => field.name().as_str(),
    };
    let id = match metadata.get(ColumnMetadataKey::ColumnMappingId.as_ref()) {
        Some(MetadataValue::Number(id)) if is_mapped => HashMap::from([(PARQUET_FIELD_ID.to_owned(), id.to_string())]),
        _ => HashMap::new(),
    };
    let data_type = physical_type(field.data_type(), is_mapped)?;
    Ok(Field::new(name, data_type, field.is_nullable()).with_metadata(id))
}

fn physical_type(delta_type: &DeltaType, is_mapped: bool) -> Result<DataType, EngineError> {
    let plain = || -> Result<DataType, EngineError> { delta_type.try_into_arrow().map_err(|error| error::from_arrow(&error)) };
    match (delta_type, plain()?) {
        (DeltaType::Struct(inner), _) => {
            let fields: Result<Vec<Field>, EngineError> = inner.fields().map(|field| physical_field(field, is_mapped)).collect();
            Ok(DataType::Struct(fields?.into()))
        }
        (DeltaType::Array(array), DataType::List(element)) => {
            let inner = physical_type(array.element_type(), is_mapped)?;
            Ok(DataType::List(Arc::new(element.as_ref().clone().with_data_type(inner))))
        }
        (DeltaType::Map(map), DataType::Map(entries, sorted)) => {
            let DataType::Struct(pair) = entries.data_type() else { return plain() };
            let key = pair[0].as_ref().clone().with_data_type(physical_type(map.key_type(), is_mapped)?);
            let value = pair[1].as_ref().clone().with_data_type(physical_type(map.value_type(), is_mapped)?);
            let pair = DataType::Struct(vec![key, value].into());
            Ok(DataType::Map(Arc::new(entries.as_ref().clone().with_data_type(pair)), sorted))
        }
        (_, arrow) => Ok(arrow),
    }
}
