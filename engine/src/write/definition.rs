//! A table's metadata in the making: what ALTER TABLE turns its definition into, and where the new columns' values come from.

use std::collections::BTreeMap;

use deltalake_core::kernel::{Action, Metadata, Protocol};
use lakegate_engine_api::{Alteration, ColumnDefinition, EngineError, SqlMistake};
use serde_json::{Map, Value, json};
use sqlparser::ast::Expr;

use super::create::{GENERATION_KEY, delta_field};
use super::files::FILTERS_KEY;
use crate::delta::{CONSTRAINT_PREFIX, DELTA_PG_TYPE_KEY, TableVersion};
use crate::error;

const MAPPING_ID_KEY: &str = "delta.columnMapping.id";
const PHYSICAL_NAME_KEY: &str = "delta.columnMapping.physicalName";
const MAX_COLUMN_ID_KEY: &str = "delta.columnMapping.maxColumnId";

/// Where a column's values come from in the rows that are there.
#[derive(Debug, Clone)]
pub enum Origin {
    /// The column of this name before.
    Kept(String),
    /// A column of another type before.
    Cast {
        from: String,
        using: Option<Expr>,
    },
    Value(Option<Expr>),
    Generated,
}

/// A column as a Delta schema has it.
pub struct NewColumn {
    field: Map<String, Value>,
    pub origin: Origin,
}

/// What the table will be.
pub struct Definition {
    table: String,
    metadata: Value,
    protocol: Value,
    pub columns: Vec<NewColumn>,
    partition_columns: Vec<String>,
    configuration: BTreeMap<String, String>,
    is_mapped: bool,
    /// Data files do not fit the new definition.
    pub rewrites: bool,
    /// Rows that are there have to be looked at.
    pub validates: bool,
}

impl Definition {
    /// # Errors
    /// `Corrupted` where the log's metadata does not read.
    pub fn of(table: &str, version: &TableVersion) -> Result<Self, EngineError> {
        let damaged = |_| error::corrupted("the table's metadata cannot be read");
        let metadata = serde_json::to_value(version.snapshot.metadata()).map_err(damaged)?;
        let protocol = serde_json::to_value(version.snapshot.protocol()).map_err(damaged)?;
        let schema = serde_json::to_value(version.snapshot.schema()).map_err(damaged)?;
        let fields = schema.get("fields").and_then(Value::as_array).cloned().unwrap_or_default();
        let columns = fields.into_iter().filter_map(|field| match field {
            Value::Object(field) => Some(NewColumn { origin: Origin::Kept(name_of(&field).to_owned()), field }),
            _ => None,
        });
        let columns: Vec<NewColumn> = columns.collect();
        if columns.len() != version.columns.columns.len() {
            return Err(error::corrupted("the table's schema cannot be read"));
        }
        let configuration = version.snapshot.metadata().configuration().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        Ok(Self {
            table: table.to_owned(),
            metadata,
            protocol,
            columns,
            partition_columns: version.snapshot.metadata().partition_columns().to_vec(),
            configuration,
            is_mapped: version.columns.is_mapped,
            rewrites: false,
            validates: false,
        })
    }

    /// # Errors
    /// `UndefinedColumn`, `DuplicateColumn`, `Unsupported`.
    pub fn apply(&mut self, alteration: &Alteration) -> Result<(), EngineError> {
        match alteration {
            Alteration::AddColumn { column, fill, generation } => return self.add_column(column, fill.as_ref(), generation.as_deref()),
            Alteration::DropColumn { name } => {
                // Gone already where a crash came between this commit and the catalog's.
                let Ok(at) = self.position(name) else { return Ok(()) };
                if self.partition_columns.contains(name) {
                    let message =
                        format!("cannot drop column \"{name}\" because it is part of the partition key of relation \"{}\"", self.table);
                    return Err(error::sql(SqlMistake::InvalidTableDefinition, message));
                }
                self.columns.remove(at);
                self.change_filters(|names| names.retain(|filtered| filtered != name));
                // Left in the files it would come back under a new column of its name.
                self.rewrites |= !self.is_mapped;
            }
            Alteration::RenameColumn { from, to } => self.rename_column(from, to)?,
            Alteration::SetNotNull { column } => {
                self.field(column)?.insert("nullable".to_owned(), Value::Bool(false));
                self.validates = true;
            }
            Alteration::DropNotNull { column } => {
                self.field(column)?.insert("nullable".to_owned(), Value::Bool(true));
            }
            Alteration::DropGeneration { column } => {
                let at = self.position(column)?;
                self.columns[at].set_metadata(GENERATION_KEY, None);
            }
            Alteration::SetGeneration { column, expression } => {
                let at = self.position(column)?;
                self.columns[at].set_metadata(GENERATION_KEY, Some(Value::String(expression.clone())));
            }
            Alteration::SetType { column, using } => return self.set_type(column, using.as_ref()),
            Alteration::AddCheck { name, expression, validate } => {
                // In SQL a condition that is NULL holds, in Delta it does not.
                self.configuration.insert(format!("{CONSTRAINT_PREFIX}{name}"), format!("({expression}) IS NOT FALSE"));
                self.needs(3, "checkConstraints");
                self.validates |= validate;
            }
            Alteration::SetFilters { columns, rewrites } => {
                let columns: Result<Vec<&str>, EngineError> =
                    columns.iter().map(|name| self.position(name).map(|at| self.columns[at].name())).collect();
                let text = json!(columns?).to_string();
                self.configuration.insert(FILTERS_KEY.to_owned(), text);
                self.rewrites |= rewrites;
            }
            Alteration::SetProperties(properties) => self.set_properties(properties),
            Alteration::DropCheck { name } => {
                self.configuration.remove(&format!("{CONSTRAINT_PREFIX}{name}"));
            }
        }
        Ok(())
    }

    fn add_column(&mut self, column: &ColumnDefinition, fill: Option<&Expr>, generation: Option<&str>) -> Result<(), EngineError> {
        if let Some(known) = self.columns.iter().find(|known| known.name().eq_ignore_ascii_case(&column.name)) {
            // A crash may have come between this commit and the catalog's.
            let field = serde_json::to_value(delta_field(column)?).unwrap_or_default();
            if known.name() == column.name && known.field.get("type") == field.get("type") {
                return Ok(());
            }
            let message = format!("column \"{}\" of relation \"{}\" already exists", column.name, self.table);
            return Err(error::sql(SqlMistake::DuplicateColumn, message));
        }
        let origin = match generation {
            Some(_) => Origin::Generated,
            None => Origin::Value(fill.cloned()),
        };
        let mut added = NewColumn { field: self.new_field(column)?, origin };
        if let Some(expression) = generation {
            added.set_metadata(GENERATION_KEY, Some(Value::String(expression.to_owned())));
            self.needs(4, "generatedColumns");
        }
        self.rewrites |= fill.is_some() || generation.is_some();
        self.validates |= column.not_null;
        if self.is_mapped {
            let next = self.configuration.get(MAX_COLUMN_ID_KEY).and_then(|id| id.parse::<i64>().ok()).unwrap_or(0) + 1;
            self.configuration.insert(MAX_COLUMN_ID_KEY.to_owned(), next.to_string());
            added.set_metadata(MAPPING_ID_KEY, Some(json!(next)));
            added.set_metadata(PHYSICAL_NAME_KEY, Some(json!(format!("col-{}", uuid::Uuid::new_v4()))));
        }
        self.columns.push(added);
        Ok(())
    }

    fn rename_column(&mut self, from: &str, to: &str) -> Result<(), EngineError> {
        let taken = self.columns.iter().any(|known| known.name().eq_ignore_ascii_case(to) && known.name() != from);
        if taken && self.position(from).is_ok() {
            return Err(error::sql(SqlMistake::DuplicateColumn, format!("column \"{to}\" of relation \"{}\" already exists", self.table)));
        }
        if self.position(from).is_err() && self.position(to).is_ok() {
            return Ok(());
        }
        if self.partition_columns.iter().any(|name| name == from) && !self.is_mapped {
            // The values of all files in the log go by its name.
            return Err(error::unsupported_hint("renaming a partition column", "Make the table anew: CREATE TABLE … AS SELECT."));
        }
        self.field(from)?.insert("name".to_owned(), Value::String(to.to_owned()));
        self.change_filters(|names| names.iter_mut().filter(|name| *name == from).for_each(|name| to.clone_into(name)));
        for name in self.partition_columns.iter_mut().filter(|name| *name == from) {
            to.clone_into(name);
        }
        self.rewrites |= !self.is_mapped;
        Ok(())
    }

    /// Deleted rows may stay in its files from now on.
    pub fn enable_deletion_vectors(&mut self) {
        self.needs_feature("deletionVectors", true);
        self.configuration.insert(super::vectors::ENABLED.to_owned(), "true".to_owned());
    }

    fn set_properties(&mut self, properties: &BTreeMap<String, Option<String>>) {
        for (name, value) in properties {
            let Some(value) = value else {
                self.configuration.remove(name);
                continue;
            };
            self.configuration.insert(name.clone(), value.clone());
            if value.eq_ignore_ascii_case("true") {
                match name.as_str() {
                    "delta.enableChangeDataFeed" => self.needs(4, "changeDataFeed"),
                    "delta.appendOnly" => self.needs(2, "appendOnly"),
                    super::vectors::ENABLED => self.needs_feature("deletionVectors", true),
                    _ => {}
                }
            }
        }
    }

    fn change_filters(&mut self, change: impl FnOnce(&mut Vec<String>)) {
        if let Some(text) = self.configuration.get_mut(FILTERS_KEY) {
            let mut names: Vec<String> = serde_json::from_str(text).unwrap_or_default();
            change(&mut names);
            *text = json!(names).to_string();
        }
    }

    fn set_type(&mut self, column: &ColumnDefinition, using: Option<&Expr>) -> Result<(), EngineError> {
        let mut field = self.new_field(column)?;
        let at = self.position(&column.name)?;
        let old = &mut self.columns[at];
        if self.is_mapped {
            return Err(error::unsupported("changing a column's type in a table with column mapping"));
        }
        let same = old.field.get("type") == field.get("type") && kind_of(&old.field) == kind_of(&field) && using.is_none();
        field.insert("nullable".to_owned(), old.field.get("nullable").cloned().unwrap_or(Value::Bool(true)));
        if let Origin::Kept(from) = &old.origin {
            old.origin = match same {
                // Lengths are looked after by the row checks.
                true => Origin::Kept(from.clone()),
                false => Origin::Cast { from: from.clone(), using: using.cloned() },
            };
        }
        old.field = field;
        self.rewrites |= !same;
        self.validates |= column.data_type.character_length().is_some();
        // What is kept of text can lose spaces at its end.
        self.rewrites |= column.data_type.character_length().is_some() || column.data_type.fractional_digits().is_some();
        Ok(())
    }

    fn new_field(&mut self, column: &ColumnDefinition) -> Result<Map<String, Value>, EngineError> {
        let field = serde_json::to_value(delta_field(column)?).map_err(|_| error::internal("a column cannot be written"))?;
        let Value::Object(field) = field else { return Err(error::internal("a column is an object")) };
        if field.get("type").is_some_and(mentions_timestamp_ntz) {
            self.needs_feature("timestampNtz", true);
        }
        Ok(field)
    }

    fn position(&self, name: &str) -> Result<usize, EngineError> {
        self.columns.iter().position(|column| column.name() == name).ok_or_else(|| {
            error::sql(SqlMistake::UndefinedColumn, format!("column \"{name}\" of relation \"{}\" does not exist", self.table))
        })
    }

    fn field(&mut self, name: &str) -> Result<&mut Map<String, Value>, EngineError> {
        let at = self.position(name)?;
        Ok(&mut self.columns[at].field)
    }

    /// A feature that writers below a version do not honour; its name where the protocol lists features.
    fn needs(&mut self, writer_version: u64, feature: &str) {
        let writer = self.protocol.get("minWriterVersion").and_then(Value::as_u64).unwrap_or(0);
        if writer >= 7 {
            self.needs_feature(feature, false);
        } else if writer < writer_version {
            self.protocol["minWriterVersion"] = json!(writer_version);
        }
    }

    /// Source: "Table Features" of the Delta protocol: what a legacy version implied is listed by name from then on.
    fn needs_feature(&mut self, feature: &str, of_readers: bool) {
        let writer = self.protocol.get("minWriterVersion").and_then(Value::as_u64).unwrap_or(0);
        let mut features: Vec<&str> = vec![feature];
        if writer < 7 {
            let implied: [(u64, &[&str]); 5] = [
                (2, &["appendOnly", "invariants"]),
                (3, &["checkConstraints"]),
                (4, &["changeDataFeed", "generatedColumns"]),
                (5, &["columnMapping"]),
                (6, &["identityColumns"]),
            ];
            // Writers that know no feature but those in use can go on writing.
            let in_use = |name: &str| match name {
                "checkConstraints" => self.configuration.keys().any(|key| key.starts_with(CONSTRAINT_PREFIX)),
                "generatedColumns" => self.columns.iter().any(|column| column.metadata(GENERATION_KEY).is_some()),
                "changeDataFeed" => self.configuration.contains_key("delta.enableChangeDataFeed"),
                "columnMapping" => self.is_mapped,
                "identityColumns" => false,
                _ => true,
            };
            let implied = implied.iter().filter(|(version, _)| *version <= writer).flat_map(|(_, names)| names.iter());
            features.extend(implied.filter(|name| in_use(name)));
            self.protocol["minWriterVersion"] = json!(7);
        }
        add_features(&mut self.protocol, "writerFeatures", &features);
        if of_readers {
            let reader = self.protocol.get("minReaderVersion").and_then(Value::as_u64).unwrap_or(1);
            let mut features = vec![feature];
            if reader == 2 {
                features.push("columnMapping");
            }
            self.protocol["minReaderVersion"] = json!(3);
            add_features(&mut self.protocol, "readerFeatures", &features);
        }
    }

    /// Protocol and metadata, where they differ from the version's.
    ///
    /// # Errors
    /// `Internal` where delta-rs does not take them.
    pub fn actions(&self, version: &TableVersion) -> Result<Vec<Action>, EngineError> {
        let refused = |failure: serde_json::Error| error::internal(format!("the table's new metadata: {failure}"));
        let fields: Vec<Value> = self.columns.iter().map(|column| Value::Object(column.field.clone())).collect();
        let mut metadata = self.metadata.clone();
        metadata["schemaString"] = Value::String(json!({ "type": "struct", "fields": fields }).to_string());
        metadata["partitionColumns"] = json!(self.partition_columns);
        metadata["configuration"] = json!(self.configuration);
        let metadata: Metadata = serde_json::from_value(metadata).map_err(refused)?;
        let protocol: Protocol = serde_json::from_value(self.protocol.clone()).map_err(refused)?;
        let mut actions = Vec::new();
        if protocol != *version.snapshot.protocol() {
            actions.push(Action::Protocol(protocol));
        }
        let schema = metadata.parse_schema().map_err(|failure| error::internal(format!("the table's new schema: {failure}")))?;
        let old = version.snapshot.metadata();
        let same = schema == *version.snapshot.schema()
            && metadata.partition_columns() == old.partition_columns()
            && metadata.configuration() == old.configuration();
        if !same {
            actions.push(Action::Metadata(metadata));
        }
        Ok(actions)
    }
}

impl NewColumn {
    pub fn name(&self) -> &str {
        name_of(&self.field)
    }

    fn metadata(&self, key: &str) -> Option<&Value> {
        self.field.get("metadata")?.get(key)
    }

    fn set_metadata(&mut self, key: &str, value: Option<Value>) {
        let metadata = self.field.entry("metadata").or_insert_with(|| json!({}));
        if let Value::Object(metadata) = metadata {
            match value {
                Some(value) => metadata.insert(key.to_owned(), value),
                None => metadata.remove(key),
            };
        }
    }
}

fn name_of(field: &Map<String, Value>) -> &str {
    field.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// What PostgreSQL takes a column for, where Delta keeps several of its types as one: text, uuid and interval are strings.
fn kind_of(field: &Map<String, Value>) -> &str {
    let tag = field.get("metadata").and_then(|metadata| metadata.get(DELTA_PG_TYPE_KEY)).and_then(Value::as_str).unwrap_or_default();
    let oid = tag.split(':').next().unwrap_or_default();
    let is_text = field.get("type").and_then(Value::as_str) == Some("string") && matches!(oid, "" | "25" | "1042" | "1043");
    if is_text { "text" } else { tag }
}

fn mentions_timestamp_ntz(data_type: &Value) -> bool {
    match data_type {
        Value::String(name) => name == "timestamp_ntz",
        Value::Object(parts) => parts.values().any(mentions_timestamp_ntz),
        Value::Array(parts) => parts.iter().any(mentions_timestamp_ntz),
        _ => false,
    }
}

fn add_features(protocol: &mut Value, list: &str, features: &[&str]) {
    let mut known: Vec<Value> = protocol.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
    for feature in features {
        if !known.iter().any(|name| name.as_str() == Some(feature)) {
            known.push(json!(feature));
        }
    }
    protocol[list] = Value::Array(known);
}
