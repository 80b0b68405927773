//! A subquery as a function of what it takes from outside, run once for each distinct set of values.

use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{Array, ArrayRef, ListArray, StructArray};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::{Column, Result, ScalarValue, internal_err};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::async_udf::AsyncScalarUDFImpl;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature};
use futures::TryStreamExt;
use lakegate_engine_api::SqlMistake;

use super::Context;
use crate::functions::error::mistake;
use crate::plan::comparable;
use crate::planner_pg::outer_references::{Values, filled, references};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The one value, NULL without a row.
    Scalar,
    Exists,
    /// Whether the first argument is among the rows.
    In,
    /// All rows as a list of records.
    Rows,
}

/// A subquery as a function of its outer columns.
pub struct Apply {
    pub plan: Arc<LogicalPlan>,
    /// Its own for each subquery: plans tell functions apart by name.
    pub name: String,
    /// What the arguments stand for: outer columns, then parameters.
    pub outer: Vec<Column>,
    pub parameters: Vec<Placeholder>,
    pub kind: Kind,
    pub result: Field,
    pub context: Arc<Context>,
    pub signature: Signature,
}

impl Apply {
    async fn run(&self, state: &SessionState, values: &[ScalarValue]) -> Result<RecordBatch> {
        let literal = |value: &ScalarValue, metadata: Option<FieldMetadata>| Expr::Literal(value.clone(), metadata);
        let fields = references(&self.plan)?;
        let columns = self.outer.iter().zip(values).map(|(column, value)| {
            let field = fields.iter().find(|(_, known)| known == column).map(|(field, _)| field);
            (column, literal(value, field.map(|field| FieldMetadata::from(field.as_ref()))))
        });
        let parameters = self.parameters.iter().zip(values.iter().skip(self.outer.len())).map(|(parameter, value)| {
            let metadata = parameter.field.as_ref().map(|field| FieldMetadata::from(field.as_ref()));
            (parameter.id.as_str(), literal(value, metadata))
        });
        let values = Values { columns: columns.collect(), parameters: parameters.collect() };
        let plan = filled(self.plan.as_ref().clone(), &values)?;
        let plan = state.optimize(&comparable(plan)?)?;
        let physical = state.query_planner().create_physical_plan(&plan, state).await?;
        let schema = physical.schema();
        let stream = datafusion::physical_plan::execute_stream(physical, state.task_ctx())?;
        let batches: Vec<RecordBatch> = match self.kind {
            // One row more than may be there, or than need be seen.
            Kind::Scalar | Kind::Exists => {
                let mut stream = stream;
                let (mut kept, mut rows) = (Vec::new(), 0);
                while let Some(batch) = stream.try_next().await? {
                    rows += batch.num_rows();
                    kept.push(batch);
                    if rows > 1 {
                        break;
                    }
                }
                kept
            }
            Kind::In | Kind::Rows => stream.try_collect().await?,
        };
        Ok(concat_batches(&schema, &batches)?)
    }

    fn value(&self, found: &Found, wanted: Option<&ScalarValue>) -> Result<ScalarValue> {
        let rows = &found.rows;
        match self.kind {
            Kind::Exists => Ok(ScalarValue::Boolean(Some(rows.num_rows() > 0))),
            Kind::Scalar => match rows.num_rows() {
                0 => ScalarValue::try_new_null(self.result.data_type()),
                1 => ScalarValue::try_from_array(rows.column(0), 0)?.cast_to(self.result.data_type()),
                _ => Err(mistake(SqlMistake::CardinalityViolation, "more than one row returned by a subquery used as an expression")),
            },
            Kind::In => {
                let wanted = wanted.cloned().unwrap_or(ScalarValue::Null);
                if rows.num_rows() == 0 {
                    return Ok(ScalarValue::Boolean(Some(false)));
                }
                if wanted.is_null() {
                    return Ok(ScalarValue::Boolean(None));
                }
                if found.members.contains(&wanted) {
                    return Ok(ScalarValue::Boolean(Some(true)));
                }
                Ok(ScalarValue::Boolean(if rows.column(0).null_count() > 0 { None } else { Some(false) }))
            }
            Kind::Rows => {
                let DataType::List(row) = self.result.data_type() else { return internal_err!("rows are a list") };
                let DataType::Struct(fields) = row.data_type() else { return internal_err!("rows are records") };
                let columns = rows
                    .columns()
                    .iter()
                    .zip(fields)
                    .map(|(column, field)| Ok(datafusion::arrow::compute::cast(column, field.data_type())?))
                    .collect::<Result<Vec<ArrayRef>>>()?;
                let records = StructArray::try_new_with_length(fields.clone(), columns, None, rows.num_rows())?;
                let offsets = datafusion::arrow::buffer::OffsetBuffer::from_lengths([rows.num_rows()]);
                let list = ListArray::try_new(Arc::clone(row), offsets, Arc::new(records), None)?;
                Ok(ScalarValue::List(Arc::new(list)))
            }
        }
    }
}

/// What a subquery gave for one set of outer values.
struct Found {
    rows: RecordBatch,
    /// For [`Kind::In`]: the values there are.
    members: HashSet<ScalarValue>,
}

impl Found {
    /// `wanted`: the type in which members are compared.
    fn new(rows: RecordBatch, wanted: Option<&DataType>) -> Result<Found> {
        let mut members = HashSet::new();
        if let Some(wanted) = wanted {
            let values = datafusion::arrow::compute::cast(rows.column(0), wanted)?;
            for at in (0..values.len()).filter(|at| values.is_valid(*at)) {
                members.insert(ScalarValue::try_from_array(&values, at)?);
            }
        }
        Ok(Found { rows, members })
    }
}

impl ScalarUDFImpl for Apply {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.result.data_type().clone())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs<'_>) -> Result<Arc<Field>> {
        Ok(Arc::new(self.result.clone()))
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("subqueries run asynchronously")
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for Apply {
    async fn invoke_async_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let arrays = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<_>>>()?;
        let first = usize::from(self.kind == Kind::In);
        let state = self.context.state();
        let wanted_type = arrays.first().filter(|_| first == 1).map(|array| array.data_type().clone());
        let mut known: HashMap<Vec<ScalarValue>, Found> = HashMap::new();
        let mut values = Vec::with_capacity(rows);
        for row in 0..rows {
            let key = arrays.iter().skip(first).map(|array| ScalarValue::try_from_array(array, row)).collect::<Result<Vec<_>>>()?;
            if !known.contains_key(&key) {
                let found = Found::new(self.run(&state, &key).await?, wanted_type.as_ref())?;
                known.insert(key.clone(), found);
            }
            let wanted = if first == 1 { Some(ScalarValue::try_from_array(&arrays[0], row)?) } else { None };
            let Some(found) = known.get(&key) else { return internal_err!("the rows were just found") };
            values.push(self.value(found, wanted.as_ref())?);
        }
        let array = if values.is_empty() {
            datafusion::arrow::array::new_empty_array(self.result.data_type())
        } else {
            ScalarValue::iter_to_array(values)?
        };
        let array = datafusion::arrow::compute::cast(&array, self.result.data_type())?;
        Ok(ColumnarValue::Array(array))
    }
}

impl std::fmt::Debug for Apply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Apply").field("kind", &self.kind).field("outer", &self.outer).finish_non_exhaustive()
    }
}

impl PartialEq for Apply {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.outer == other.outer && self.plan == other.plan
    }
}

impl Eq for Apply {}

impl Hash for Apply {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind.hash(state);
        self.outer.hash(state);
    }
}
