//! `array_agg`: DataFusion's, with the array type of its argument's PostgreSQL type. The tag is on the list's own field, because
//! the arrays that come out have an element field without one.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::functions_aggregate::array_agg::array_agg_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature};
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{PG_TYPE_KEY, pg_type};

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ArrayAgg(AggregateUDF);

impl ArrayAgg {
    #[must_use]
    pub fn new() -> Self {
        ArrayAgg(array_agg_udaf().as_ref().clone())
    }
}

impl AggregateUDFImpl for ArrayAgg {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.0.return_type(types)
    }

    fn return_field(&self, args: &[FieldRef]) -> Result<FieldRef> {
        let plain = self.0.return_field(args)?;
        let Some(arg) = args.first().filter(|arg| arg.metadata().contains_key(PG_TYPE_KEY)) else { return Ok(plain) };
        let element = pg_type(arg);
        // A decimal's digits are in its Arrow type.
        let Some(array) = PgType::array_of(element.oid).filter(|_| !arg.data_type().is_decimal()) else { return Ok(plain) };
        let tag = [(PG_TYPE_KEY.to_owned(), array.to_string())];
        Ok(Arc::new(Field::clone(&plain).with_metadata(tag.into())))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.0.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.0.accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.0.create_sliding_accumulator(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.0.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.0.create_groups_accumulator(args)
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.0.order_sensitivity()
    }

    fn with_beneficial_ordering(self: Arc<Self>, beneficial: bool) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        let ordered = self.0.clone().with_beneficial_ordering(beneficial)?;
        Ok(ordered.map(|ordered| Arc::new(ArrayAgg(ordered)) as Arc<dyn AggregateUDFImpl>))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Reversed(Arc::new(AggregateUDF::new_from_impl(ArrayAgg::new())))
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.0.supports_null_handling_clause()
    }
}
