//! `sum`, of intervals too; everything else is DataFusion's.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature, StatisticsArgs, Volatility,
};
use lakegate_engine_api::DataError;

use crate::functions::error::data;
use crate::functions::types::is_text;

pub fn aggregate() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::new_from_impl(Sum { inner: sum_udaf(), signature: Signature::user_defined(Volatility::Immutable) }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Sum {
    inner: Arc<AggregateUDF>,
    signature: Signature,
}

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

fn of_intervals(fields: &[FieldRef]) -> bool {
    fields.first().is_some_and(|field| field.data_type() == &INTERVAL)
}

impl AggregateUDFImpl for Sum {
    fn name(&self) -> &str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let undefined = || {
            let names: Vec<String> = types.iter().map(crate::functions::types::describe).collect();
            crate::functions::error::mistake(
                lakegate_engine_api::SqlMistake::UndefinedFunction,
                format_args!("function sum({}) does not exist", names.join(", ")),
            )
        };
        let [one] = types else { return Err(undefined()) };
        Ok(vec![match one {
            DataType::Interval(_) | DataType::Duration(_) => INTERVAL,
            DataType::Decimal128(..) | DataType::Decimal256(..) => one.clone(),
            DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => DataType::Decimal128(*precision, *scale),
            DataType::Float16 | DataType::Float32 | DataType::Float64 => DataType::Float64,
            DataType::UInt64 => DataType::Decimal128(20, 0),
            one if one.is_integer() => DataType::Int64,
            DataType::Null => DataType::Int64,
            one if is_text(one) => return Err(undefined()),
            _ => return Err(undefined()),
        }])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        if types.first() == Some(&INTERVAL) { Ok(INTERVAL) } else { self.inner.inner().return_type(types) }
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if !of_intervals(args.expr_fields) {
            return self.inner.accumulator(args);
        }
        super::refuse_distinct(args.is_distinct, "sum")?;
        Ok(Box::new(Intervals::default()))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        if !of_intervals(args.input_fields) {
            return self.inner.state_fields(args);
        }
        let field = |name: &str, data_type: DataType| Arc::new(Field::new(format!("{}[{name}]", args.name), data_type, true));
        Ok(vec![field("sum", INTERVAL)])
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        !of_intervals(args.expr_fields) && self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        self.inner.create_groups_accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if of_intervals(args.expr_fields) { Ok(Box::new(Intervals::default())) } else { self.inner.create_sliding_accumulator(args) }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        if data_type == &INTERVAL { SetMonotonicity::NotMonotonic } else { self.inner.inner().set_monotonicity(data_type) }
    }

    fn value_from_stats(&self, statistics: &StatisticsArgs<'_>) -> Option<ScalarValue> {
        self.inner.value_from_stats(statistics)
    }
}

/// Fields add up for themselves; none at all is NULL.
#[derive(Debug, Default)]
struct Intervals {
    count: i64,
    months: i64,
    days: i64,
    nanoseconds: i128,
}

impl Intervals {
    fn change(&mut self, value: IntervalMonthDayNano, sign: i64) {
        self.count += sign;
        self.months += sign * i64::from(value.months);
        self.days += sign * i64::from(value.days);
        self.nanoseconds += i128::from(sign) * i128::from(value.nanoseconds);
    }

    fn each(values: &[ArrayRef], f: impl FnMut(IntervalMonthDayNano)) {
        if let Some(values) = values.first() {
            values.as_primitive::<IntervalMonthDayNanoType>().iter().flatten().for_each(f);
        }
    }
}

impl Accumulator for Intervals {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        Self::each(values, |value| self.change(value, 1));
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        Self::each(values, |value| self.change(value, -1));
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.count == 0 {
            return Ok(ScalarValue::IntervalMonthDayNano(None));
        }
        let range = |_| data(DataError::DatetimeOverflow, "interval out of range");
        let (months, days) = (i32::try_from(self.months).map_err(range)?, i32::try_from(self.days).map_err(range)?);
        let nanoseconds = i64::try_from(self.nanoseconds).map_err(range)?;
        Ok(ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(months, days, nanoseconds))))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}
