//! `#typed(value, type)`: the value itself, under a name that has its type in it. `#as_type(value, 'oid:typmod')`: the value
//! itself, as of a PostgreSQL type that its Arrow type does not tell.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use lakegate_engine_api::PG_TYPE_KEY;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        Arc::new(ScalarUDF::new_from_impl(Typed { signature: Signature::any(2, Volatility::Immutable) })),
        Arc::new(ScalarUDF::new_from_impl(AsType { signature: Signature::any(2, Volatility::Immutable) })),
    ]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Typed {
    signature: Signature,
}

impl ScalarUDFImpl for Typed {
    fn name(&self) -> &str {
        "#typed"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        types.first().cloned().map_or_else(|| internal_err!("a value was expected"), Ok)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        args.arg_fields.first().cloned().map_or_else(|| internal_err!("a value was expected"), Ok)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        args.args.into_iter().next().map_or_else(|| internal_err!("a value was expected"), Ok)
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct AsType {
    signature: Signature,
}

impl ScalarUDFImpl for AsType {
    fn name(&self) -> &str {
        "#as_type"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        types.first().cloned().map_or_else(|| internal_err!("a value was expected"), Ok)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let (Some(value), Some(Some(ScalarValue::Utf8(Some(tag))))) = (args.arg_fields.first(), args.scalar_arguments.get(1)) else {
            return internal_err!("a value and its type were expected");
        };
        let field = Field::new(self.name(), value.data_type().clone(), true);
        // A list's elements keep their field, so that no array has to be made anew; the list's own tag counts.
        Ok(Arc::new(field.with_metadata([(PG_TYPE_KEY.to_owned(), tag.clone())].into())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        args.args.into_iter().next().map_or_else(|| internal_err!("a value was expected"), Ok)
    }
}
