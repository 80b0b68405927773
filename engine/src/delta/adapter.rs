//! From a table's columns to a file's: renames by column mapping, missing columns, types that files hold differently.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, make_array};
use arrow_schema::extension::ExtensionType;
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr_adapter::{DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory};

use parquet::arrow::RowNumber;

use super::schema::PARQUET_FIELD_ID;

/// Makes adapters from a table's schema to the schemas of its files.
#[derive(Debug)]
pub struct DeltaAdapterFactory {
    /// (name in statements, field as files have it) of the columns that files hold.
    columns: Vec<(String, FieldRef, FieldRef)>,
}

impl DeltaAdapterFactory {
    /// `columns`: field as statements see it, field as files have it.
    #[must_use]
    pub fn new(columns: impl IntoIterator<Item = (FieldRef, FieldRef)>) -> Self {
        Self { columns: columns.into_iter().map(|(logical, physical)| (logical.name().clone(), logical, physical)).collect() }
    }
}

impl PhysicalExprAdapterFactory for DeltaAdapterFactory {
    fn create(&self, logical_file_schema: SchemaRef, physical_file_schema: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let renamed: Vec<FieldRef> =
            physical_file_schema.fields().iter().enumerate().map(|(position, field)| self.renamed(position, field)).collect();
        let renamed = Arc::new(Schema::new(renamed));
        let inner = DefaultPhysicalExprAdapterFactory.create(logical_file_schema, Arc::clone(&renamed))?;
        Ok(Arc::new(DeltaAdapter { inner, renamed, physical: physical_file_schema }))
    }
}

impl DeltaAdapterFactory {
    /// A file's field under the name that statements use. Columns of the file that the table does not have get a name
    /// that no statement can use.
    fn renamed(&self, position: usize, field: &FieldRef) -> FieldRef {
        match self.columns.iter().find(|(_, _, physical)| is_same(physical, field)) {
            Some((name, logical, physical)) => {
                let data_type = renamed_type(field.data_type(), physical.data_type(), logical.data_type());
                Arc::new(Field::new(name, data_type, field.is_nullable()))
            }
            // Made by the reader: no file has it.
            None if field.extension_type_name() == Some(RowNumber::NAME) => Arc::clone(field),
            None => Arc::new(Field::new(format!("\u{0}{position}"), field.data_type().clone(), field.is_nullable())),
        }
    }
}

/// By field id where both have one (a file's id wins over its name), else by name.
fn is_same(table: &Field, file: &Field) -> bool {
    match (table.metadata().get(PARQUET_FIELD_ID), file.metadata().get(PARQUET_FIELD_ID)) {
        (Some(table_id), Some(file_id)) => table_id == file_id,
        _ => table.name() == file.name(),
    }
}

/// `file` with the names of nested fields that `logical` has; `physical` leads from one to the other.
#[must_use]
pub fn renamed_type(file: &DataType, physical: &DataType, logical: &DataType) -> DataType {
    match (file, physical, logical) {
        (DataType::Struct(file), DataType::Struct(physical), DataType::Struct(logical)) => {
            let fields: Fields = file
                .iter()
                .enumerate()
                .map(|(position, field)| {
                    let at = physical.iter().position(|candidate| is_same(candidate, field));
                    match at.and_then(|at| physical.get(at).zip(logical.get(at))) {
                        Some((physical, logical)) => Field::new(
                            logical.name(),
                            renamed_type(field.data_type(), physical.data_type(), logical.data_type()),
                            field.is_nullable(),
                        ),
                        None => Field::new(format!("\u{0}{position}"), field.data_type().clone(), field.is_nullable()),
                    }
                })
                .collect();
            DataType::Struct(fields)
        }
        (DataType::List(file), DataType::List(physical), DataType::List(logical)) => {
            let element = renamed_type(file.data_type(), physical.data_type(), logical.data_type());
            DataType::List(Arc::new(Field::new(logical.name(), element, file.is_nullable())))
        }
        (DataType::Map(file, sorted), DataType::Map(physical, _), DataType::Map(logical, _)) => {
            let (DataType::Struct(f), DataType::Struct(p), DataType::Struct(l)) =
                (file.data_type(), physical.data_type(), logical.data_type())
            else {
                return DataType::Map(Arc::clone(file), *sorted);
            };
            if f.len() != 2 || p.len() != 2 || l.len() != 2 {
                return DataType::Map(Arc::clone(file), *sorted);
            }
            let side = |at: usize| {
                let data_type = renamed_type(f[at].data_type(), p[at].data_type(), l[at].data_type());
                Field::new(l[at].name(), data_type, f[at].is_nullable())
            };
            let pair = DataType::Struct(vec![side(0), side(1)].into());
            DataType::Map(Arc::new(Field::new(logical.name(), pair, false)), *sorted)
        }
        _ => file.clone(),
    }
}

#[derive(Debug)]
struct DeltaAdapter {
    inner: Arc<dyn PhysicalExprAdapter>,
    /// The file's schema with the table's names; same positions as `physical`.
    renamed: SchemaRef,
    physical: SchemaRef,
}

impl PhysicalExprAdapter for DeltaAdapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let adapted = self.inner.rewrite(expr)?;
        adapted
            .transform(|expr| {
                let Some(column) = expr.downcast_ref::<Column>() else { return Ok(Transformed::no(expr)) };
                let Some(physical) = self.physical.fields().get(column.index()) else {
                    return Err(DataFusionError::Internal("a column is out of the file's range".to_owned()));
                };
                let renamed = self.renamed.field(column.index());
                let same_type = physical.data_type() == renamed.data_type();
                if same_type && physical.name() == column.name() {
                    return Ok(Transformed::no(expr));
                }
                let plain: Arc<dyn PhysicalExpr> = Arc::new(Column::new(physical.name(), column.index()));
                let expr = if same_type {
                    plain
                } else {
                    Arc::new(Relabel { column: plain, field: Arc::new(renamed.clone().with_name(physical.name())) })
                };
                // What was made here must not be looked at again.
                Ok(Transformed::new(expr, true, datafusion::common::tree_node::TreeNodeRecursion::Jump))
            })
            .data()
    }
}

/// The same values under other names of nested fields.
#[derive(Debug, Eq)]
struct Relabel {
    column: Arc<dyn PhysicalExpr>,
    field: FieldRef,
}

impl PartialEq for Relabel {
    fn eq(&self, other: &Self) -> bool {
        self.column.eq(&other.column) && self.field == other.field
    }
}

impl Hash for Relabel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.column.hash(state);
        self.field.hash(state);
    }
}

impl fmt::Display for Relabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.column)
    }
}

impl PhysicalExpr for Relabel {
    fn data_type(&self, _input_schema: &Schema) -> Result<DataType> {
        Ok(self.field.data_type().clone())
    }

    fn nullable(&self, input_schema: &Schema) -> Result<bool> {
        self.column.nullable(input_schema)
    }

    fn return_field(&self, _input_schema: &Schema) -> Result<FieldRef> {
        Ok(Arc::clone(&self.field))
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let array = self.column.evaluate(batch)?.into_array(batch.num_rows())?;
        Ok(ColumnarValue::Array(relabeled(&array, self.field.data_type())?))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.column]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        match children.as_slice() {
            [column] => Ok(Arc::new(Self { column: Arc::clone(column), field: Arc::clone(&self.field) })),
            _ => Err(DataFusionError::Internal("one column is relabeled".to_owned())),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.column.fmt_sql(f)
    }
}

/// The array's buffers under another type of the same layout.
pub fn relabeled(array: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    Ok(make_array(relabeled_data(array.to_data(), data_type)?))
}

fn relabeled_data(data: arrow::array::ArrayData, data_type: &DataType) -> Result<arrow::array::ArrayData> {
    let types: Vec<DataType> = match data_type {
        DataType::Struct(fields) => fields.iter().map(|field| field.data_type().clone()).collect(),
        DataType::List(field) | DataType::LargeList(field) | DataType::Map(field, _) => vec![field.data_type().clone()],
        _ => return Ok(data),
    };
    let children: Result<Vec<_>> =
        data.child_data().iter().cloned().zip(&types).map(|(child, data_type)| relabeled_data(child, data_type)).collect();
    let builder = data.into_builder().data_type(data_type.clone()).child_data(children?);
    Ok(builder.build()?)
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int32Array, StructArray};
    use datafusion::physical_expr::expressions::col;

    use super::*;

    fn with_id(field: Field, id: &str) -> FieldRef {
        Arc::new(field.with_metadata([(PARQUET_FIELD_ID.to_owned(), id.to_owned())].into()))
    }

    #[test]
    fn mapped_and_nested_columns_are_found() {
        let logical_struct = DataType::Struct(vec![Field::new("x", DataType::Int32, true), Field::new("y", DataType::Int32, true)].into());
        let logical: FieldRef = Arc::new(Field::new("s", logical_struct, true));
        let physical_struct = DataType::Struct(
            vec![with_id(Field::new("col-x", DataType::Int32, true), "2"), with_id(Field::new("col-y", DataType::Int32, true), "3")].into(),
        );
        let physical = with_id(Field::new("col-s", physical_struct, true), "1");
        let file_struct = DataType::Struct(vec![Field::new("col-x", DataType::Int32, true)].into());
        let file = Arc::new(Schema::new(vec![Field::new("col-s", file_struct.clone(), true)]));

        let factory = DeltaAdapterFactory::new([(Arc::clone(&logical), physical)]);
        let table = Arc::new(Schema::new(vec![logical]));
        let adapter = factory.create(Arc::clone(&table), Arc::clone(&file)).unwrap();
        let expr = adapter.rewrite(col("s", &table).unwrap()).unwrap();

        let DataType::Struct(fields) = file_struct else { unreachable!() };
        let values = StructArray::new(fields, vec![Arc::new(Int32Array::from(vec![7]))], None);
        let batch = RecordBatch::try_new(file, vec![Arc::new(values)]).unwrap();
        let out = expr.evaluate(&batch).unwrap().into_array(1).unwrap();
        assert_eq!(out.data_type(), table.field(0).data_type());
        let out = out.as_any().downcast_ref::<StructArray>().unwrap();
        assert_eq!(out.column(0).as_ref(), &Int32Array::from(vec![7]) as &dyn Array);
        assert_eq!(out.column(1).null_count(), 1);
    }
}
