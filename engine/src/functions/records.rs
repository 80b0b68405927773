//! Records: DataFusion's structs, whose fields keep the PostgreSQL types of the values that they were made of.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, StructFieldMapping,
};
use lakegate_engine_api::PG_TYPE_KEY;

use crate::delta::relabeled;

/// `struct` and `named_struct`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Record {
    inner: Arc<ScalarUDF>,
    /// Arguments come in pairs: a name and a value.
    named: bool,
}

impl Record {
    #[must_use]
    pub fn new(inner: Arc<ScalarUDF>, named: bool) -> Self {
        Self { inner, named }
    }
}

impl ScalarUDFImpl for Record {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let (start, step) = if self.named { (1, 2) } else { (0, 1) };
        let tags: Vec<Option<String>> =
            args.arg_fields.iter().skip(start).step_by(step).map(|field| field.metadata().get(PG_TYPE_KEY).cloned()).collect();
        let field = self.inner.return_field_from_args(args)?;
        let DataType::Struct(fields) = field.data_type() else { return internal_err!("a record is a struct") };
        let tagged = fields.iter().zip(tags).map(|(field, tag)| match tag {
            Some(tag) => Arc::new(Field::clone(field).with_metadata([(PG_TYPE_KEY.to_owned(), tag)].into())),
            None => Arc::clone(field),
        });
        let data_type = DataType::Struct(tagged.collect::<Fields>());
        Ok(Arc::new(field.as_ref().clone().with_data_type(data_type)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let data_type = args.return_field.data_type().clone();
        match self.inner.invoke_with_args(args)? {
            ColumnarValue::Array(array) => Ok(ColumnarValue::Array(relabeled(&array, &data_type)?)),
            ColumnarValue::Scalar(value) => {
                let array = relabeled(&value.to_array()?, &data_type)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?))
            }
        }
    }

    fn struct_field_mapping(&self, literals: &[Option<ScalarValue>]) -> Option<StructFieldMapping> {
        self.inner.struct_field_mapping(literals)
    }
}
