//! The place of a row on a Z-order curve (Morton, 1966) through the values of some columns: their bits take turns, from the highest.

use std::sync::{Arc, LazyLock};

use arrow::row::{RowConverter, SortField};
use arrow_array::builder::BinaryBuilder;
use arrow_schema::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// Bytes of a column's value that count: of a memory-comparable form, whose first byte tells NULL.
const BYTES: usize = 16;

/// A function from columns to `bytea`: rows that are near in all columns are near in its order.
#[must_use]
pub fn z_order() -> Arc<ScalarUDF> {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        let signature = Signature::variadic_any(Volatility::Immutable);
        Arc::new(ScalarUDF::from(ZOrder { signature }))
    });
    Arc::clone(&FUNCTION)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ZOrder {
    signature: Signature,
}

impl ScalarUDFImpl for ZOrder {
    fn name(&self) -> &str {
        "z_order"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let mut forms = Vec::with_capacity(arrays.len());
        for array in &arrays {
            let converter = RowConverter::new(vec![SortField::new(array.data_type().clone())])?;
            forms.push(converter.convert_columns(std::slice::from_ref(array))?);
        }
        let mut builder = BinaryBuilder::with_capacity(args.number_rows, args.number_rows * arrays.len() * BYTES);
        for row in 0..args.number_rows {
            let values: Vec<&[u8]> = forms.iter().map(|form| form.row(row).data()).collect();
            builder.append_value(interleaved(&values));
        }
        Ok(ColumnarValue::Array(Arc::new(builder.finish())))
    }
}

/// The highest bit of each, then the second highest of each, and so on; what is shorter ends in zeros.
fn interleaved(values: &[&[u8]]) -> Vec<u8> {
    let mut bits = vec![0_u8; values.len() * BYTES];
    let mut at = 0;
    for place in 0..BYTES * 8 {
        for value in values {
            let byte = value.get(place / 8).copied().unwrap_or(0);
            if byte >> (7 - place % 8) & 1 == 1 {
                bits[at / 8] |= 1 << (7 - at % 8);
            }
            at += 1;
        }
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_take_turns() {
        let bits = interleaved(&[&[0b1100_0000], &[0b0101_0000, 0xFF]]);
        assert_eq!(bits[..3], [0b1011_0001, 0b0000_0000, 0b0101_0101]);
        assert_eq!(bits.len(), 2 * BYTES);
    }
}
