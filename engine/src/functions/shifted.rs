//! `lag` and `lead` by a count, and with a default, that each row computes for itself (`leadlag_common`).

use std::sync::Arc;

use arrow_schema::FieldRef;
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::interleave;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{PartitionEvaluator, Signature, Volatility, WindowUDFImpl};

/// Takes the value, the count as bigint and the default, in the value's type.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Shifted {
    back: bool,
    signature: Signature,
}

impl Shifted {
    /// `back`: `lag`.
    #[must_use]
    pub fn new(back: bool) -> Self {
        Self { back, signature: Signature::any(3, Volatility::Immutable) }
    }
}

impl WindowUDFImpl for Shifted {
    fn name(&self) -> &str {
        if self.back { "lag" } else { "lead" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn partition_evaluator(&self, _: PartitionEvaluatorArgs<'_>) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Shifting { back: self.back }))
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        match args.get_input_field(0) {
            Some(field) => Ok(Arc::new(field.as_ref().clone().with_name(args.name()).with_nullable(true))),
            None => internal_err!("lag and lead take a value"),
        }
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(types.to_vec())
    }
}

#[derive(Debug)]
struct Shifting {
    back: bool,
}

impl PartitionEvaluator for Shifting {
    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let [value, offset, default, ..] = values else { return internal_err!("lag and lead take a value, a count and a default") };
        let offsets = offset.as_primitive::<Int64Type>();
        let null = datafusion::arrow::array::new_null_array(value.data_type(), 1);
        let places: Vec<(usize, usize)> = (0..rows)
            .map(|row| {
                if offsets.is_null(row) {
                    return (2, 0);
                }
                let away = if self.back { offsets.value(row).checked_neg() } else { Some(offsets.value(row)) };
                let place = away.and_then(|away| i64::try_from(row).ok()?.checked_add(away)).and_then(|place| usize::try_from(place).ok());
                match place.filter(|place| *place < rows) {
                    Some(place) => (0, place),
                    None => (1, row),
                }
            })
            .collect();
        Ok(interleave(&[value.as_ref(), default.as_ref(), null.as_ref()], &places)?)
    }
}
