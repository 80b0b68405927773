//! Aggregates that DataFusion has in another way: the digits of PostgreSQL's algorithms, and types it does not take.

mod interval_sum;
mod moments;
mod regression;

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::AggregateUDF;

pub fn aggregates() -> Vec<Arc<AggregateUDF>> {
    let mut all = vec![interval_sum::aggregate()];
    all.extend(moments::aggregates());
    all.extend(regression::aggregates());
    all
}

/// One row of a partial state of floats.
fn float_states(states: &[ArrayRef]) -> Result<Vec<Vec<f64>>> {
    let columns = states
        .iter()
        .map(|state| Ok(compute::cast(state, &DataType::Float64)?.as_primitive::<Float64Type>().clone()))
        .collect::<Result<Vec<_>>>()?;
    let rows = columns.first().map_or(0, |column| column.values().len());
    Ok((0..rows).map(|row| columns.iter().map(|column| column.value(row)).collect()).collect())
}

fn float(value: f64) -> ScalarValue {
    ScalarValue::Float64(Some(value))
}

/// DISTINCT is a matter of the planner, which makes it a GROUP BY where it is the only one.
fn refuse_distinct(distinct: bool, name: &str) -> Result<()> {
    if distinct { Err(super::error::unsupported(format_args!("{name}(DISTINCT …) beside other aggregates"))) } else { Ok(()) }
}

fn one<T>(mut values: Vec<T>) -> Result<T> {
    match values.pop() {
        Some(value) => Ok(value),
        None => internal_err!("an argument was expected"),
    }
}
