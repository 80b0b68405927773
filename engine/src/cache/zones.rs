//! The least and the greatest value of each batch of a column that is kept decoded: batches that a condition rules out are passed over.

use arrow::compute::{max, max_string, min, min_string};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef, UInt64Array};
use arrow_schema::{DataType, TimeUnit};
use datafusion::common::ScalarValue;

/// One row a batch.
#[derive(Debug)]
pub struct Zones {
    pub min: ArrayRef,
    pub max: ArrayRef,
    pub null_counts: UInt64Array,
}

impl Zones {
    /// `None` for types without an order that conditions can use. Floats have none: NaN is greater than all other values.
    #[must_use]
    pub fn of(batches: &[ArrayRef]) -> Option<Zones> {
        let bounds: Option<Vec<(ScalarValue, ScalarValue)>> = batches.iter().map(bounds).collect();
        let (least, greatest): (Vec<_>, Vec<_>) = bounds?.into_iter().unzip();
        Some(Zones {
            min: ScalarValue::iter_to_array(least).ok()?,
            max: ScalarValue::iter_to_array(greatest).ok()?,
            null_counts: batches.iter().map(|batch| u64::try_from(batch.null_count()).ok()).collect(),
        })
    }
}

macro_rules! of_primitive {
    ($array:expr, $type:ty) => {{
        let array = $array.as_primitive::<$type>();
        let scalar = |value| ScalarValue::new_primitive::<$type>(value, $array.data_type()).ok();
        Some((scalar(min(array))?, scalar(max(array))?))
    }};
}

fn bounds(array: &ArrayRef) -> Option<(ScalarValue, ScalarValue)> {
    match array.data_type() {
        DataType::Int8 => of_primitive!(array, Int8Type),
        DataType::Int16 => of_primitive!(array, Int16Type),
        DataType::Int32 => of_primitive!(array, Int32Type),
        DataType::Int64 => of_primitive!(array, Int64Type),
        DataType::UInt8 => of_primitive!(array, UInt8Type),
        DataType::UInt16 => of_primitive!(array, UInt16Type),
        DataType::UInt32 => of_primitive!(array, UInt32Type),
        DataType::UInt64 => of_primitive!(array, UInt64Type),
        DataType::Date32 => of_primitive!(array, Date32Type),
        DataType::Timestamp(TimeUnit::Microsecond, _) => of_primitive!(array, TimestampMicrosecondType),
        DataType::Decimal128(..) => of_primitive!(array, Decimal128Type),
        DataType::Utf8 => {
            let texts = array.as_string::<i32>();
            let scalar = |text: Option<&str>| ScalarValue::Utf8(text.map(str::to_owned));
            Some((scalar(min_string(texts)), scalar(max_string(texts))))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Float64Array, Int64Array, StringArray};

    use super::*;

    #[test]
    fn bounds_of_each_batch() {
        let batches: [ArrayRef; 3] = [
            Arc::new(Int64Array::from(vec![Some(3), None, Some(-1)])),
            Arc::new(Int64Array::from(vec![None::<i64>])),
            Arc::new(Int64Array::from(vec![7])),
        ];
        let zones = Zones::of(&batches).unwrap();
        assert_eq!(zones.min.as_ref(), &Int64Array::from(vec![Some(-1), None, Some(7)]) as &dyn Array);
        assert_eq!(zones.max.as_ref(), &Int64Array::from(vec![Some(3), None, Some(7)]) as &dyn Array);
        assert_eq!(zones.null_counts, UInt64Array::from(vec![1, 1, 0]));
        let texts: [ArrayRef; 1] = [Arc::new(StringArray::from(vec!["b", "a", "ä"]))];
        assert_eq!(Zones::of(&texts).unwrap().max.as_string::<i32>().value(0), "ä");
        let floats: [ArrayRef; 1] = [Arc::new(Float64Array::from(vec![f64::NAN, 1.0]))];
        assert!(Zones::of(&floats).is_none());
    }
}
