//! What is known of a function's values before they are computed.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDFImpl;
use datafusion::logical_expr::interval_arithmetic::Interval;

/// Any value of the function's type. DataFusion's own answer is of no type, and fails where it is compared with a bound of one.
///
/// # Errors
/// Where DataFusion makes no interval of the type.
pub fn any_of_its_type(function: &impl ScalarUDFImpl, inputs: &[&Interval]) -> Result<Interval> {
    let types: Vec<DataType> = inputs.iter().map(|input| input.data_type()).collect();
    Interval::make_unbounded(&function.return_type(&types).unwrap_or(DataType::Null))
}
