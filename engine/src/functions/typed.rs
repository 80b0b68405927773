//! `#typed(value, type)`: the value itself, under a name that has its type in it. `#as_type(value, 'oid:typmod')`: the value
//! itself, as of a PostgreSQL type that its Arrow type does not tell; of the one that it tells where that is empty.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{PG_TYPE_KEY, arrow_field};

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

/// `#array_of(value, 'oid')`: an array in the very Arrow type of its PostgreSQL type, elements' tags and all. Volatile, because a
/// constant array keeps no tags of its elements.
#[must_use]
pub fn array_of(value: Expr, array: PgType) -> Expr {
    ARRAY_OF.call(vec![value, lit(array.oid.to_string())])
}

/// `#array_of(value, '')`: the same without tags, as a list of constants has them.
#[must_use]
pub fn plain_array(value: Expr) -> Expr {
    ARRAY_OF.call(vec![value, lit("")])
}

static ARRAY_OF: LazyLock<ScalarUDF> =
    LazyLock::new(|| ScalarUDF::new_from_impl(ArrayOf { signature: Signature::any(2, Volatility::Volatile) }));

#[derive(Debug, PartialEq, Eq, Hash)]
struct ArrayOf {
    signature: Signature,
}

impl ScalarUDFImpl for ArrayOf {
    fn name(&self) -> &str {
        "#array_of"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        types.first().cloned().map_or_else(|| internal_err!("a value was expected"), Ok)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let Some(Some(ScalarValue::Utf8(Some(oid)))) = args.scalar_arguments.get(1) else {
            return internal_err!("an array type was expected");
        };
        if oid.is_empty()
            && let Some(DataType::List(element)) = args.arg_fields.first().map(|field| field.data_type())
        {
            let element = element.as_ref().clone().with_metadata([].into());
            return Ok(Arc::new(Field::new(self.name(), DataType::List(Arc::new(element)), true)));
        }
        match oid.parse().ok().and_then(|oid| arrow_field(self.name(), PgType::plain(oid), true)) {
            Some(field) => Ok(Arc::new(field)),
            None => internal_err!("there is no array type {oid}"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(value) = args.args.first() else { return internal_err!("a value was expected") };
        let array = value.to_array(args.number_rows)?;
        Ok(ColumnarValue::Array(cast(&array, args.return_field.data_type())?))
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
        if tag.is_empty() {
            return Ok(Arc::new(field));
        }
        // A list's elements keep their field, so that no array has to be made anew; the list's own tag counts.
        Ok(Arc::new(field.with_metadata([(PG_TYPE_KEY.to_owned(), tag.clone())].into())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        args.args.into_iter().next().map_or_else(|| internal_err!("a value was expected"), Ok)
    }
}
