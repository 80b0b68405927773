//! Variance and standard deviation. Floats by the method of Youngs and Cramer (`float8_accum`), integers and numerics exactly
//! from the count, the sum and the sum of squares, with the digits that `numeric_stddev_internal` gives.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{DataType, Decimal256Type, Field, FieldRef, Float64Type, Int64Type, i256};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use super::{float, float_states, one, refuse_distinct};
use crate::functions::float_arithmetic::overflow;
use crate::functions::numeric_scale::{self, divide_at, rescaled, square_root_at};
use crate::functions::text::number::numeric_overflow;
use crate::functions::types::{Ty, is_decimal, is_integer};

pub fn aggregates() -> Vec<Arc<AggregateUDF>> {
    [("stddev", &[][..], true, true), ("stddev_pop", &[], false, true), ("var", &["var_samp"], true, false), ("var_pop", &[], false, false)]
        .into_iter()
        .map(|(name, aliases, sample, root)| {
            Arc::new(AggregateUDF::new_from_impl(Moments {
                name,
                aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
                kind: Kind { sample, root },
                signature: Signature::user_defined(Volatility::Immutable),
            }))
        })
        .collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    /// Divides by one less than the count.
    sample: bool,
    root: bool,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Moments {
    name: &'static str,
    aliases: Vec<String>,
    kind: Kind,
    signature: Signature,
}

/// Digits after the point of a result over numerics of a scale.
fn result_scale(scale: i8) -> i8 {
    scale.max(numeric_scale::QUOTIENT_SCALE)
}

fn scale_of(data_type: &DataType) -> Option<i8> {
    match data_type {
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => Some(*scale),
        _ => None,
    }
}

impl AggregateUDFImpl for Moments {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [one] if is_decimal(one) || is_integer(one) => Ok(vec![Ty::Numeric.coerce_from(one)?]),
            [one] if Ty::FLOAT8.cost_from(one).is_some() => Ok(vec![DataType::Float64]),
            _ => Err(super::super::error::mistake(
                lakegate_engine_api::SqlMistake::UndefinedFunction,
                format_args!(
                    "function {}({}) does not exist",
                    self.name,
                    types.iter().map(crate::functions::types::describe).collect::<Vec<_>>().join(", ")
                ),
            )),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types.first().and_then(scale_of) {
            Some(scale) => Ok(DataType::Decimal256(76, result_scale(scale))),
            None => Ok(DataType::Float64),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        refuse_distinct(args.is_distinct, self.name)?;
        match args.expr_fields.first().and_then(|field| scale_of(field.data_type())) {
            Some(scale) => Ok(Box::new(Exact::new(self.kind, scale)?)),
            None => Ok(Box::new(Floats { kind: self.kind, count: 0.0, sum: 0.0, squares: 0.0 })),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let field = |name: &str, data_type: DataType| Arc::new(Field::new(format!("{}[{name}]", args.name), data_type, true));
        Ok(match args.input_fields.first().and_then(|field| scale_of(field.data_type())) {
            Some(scale) => vec![
                field("count", DataType::Int64),
                field("sum", DataType::Decimal256(76, scale)),
                field("squares", DataType::Decimal256(76, squares_scale(scale)?)),
            ],
            None => {
                vec![field("count", DataType::Float64), field("sum", DataType::Float64), field("squares", DataType::Float64)]
            }
        })
    }
}

fn squares_scale(scale: i8) -> Result<i8> {
    scale.checked_mul(2).filter(|scale| *scale <= 76).ok_or_else(numeric_overflow)
}

/// Count, sum, and the sum of squared differences from the mean.
#[derive(Debug)]
struct Floats {
    kind: Kind,
    count: f64,
    sum: f64,
    squares: f64,
}

impl Floats {
    fn add(&mut self, value: f64) -> Result<()> {
        let (before, sum_before) = (self.count, self.sum);
        self.count += 1.0;
        self.sum += value;
        if before > 0.0 {
            let difference = value * self.count - self.sum;
            self.squares += difference * difference / (self.count * before);
            if self.sum.is_infinite() || self.squares.is_infinite() {
                if sum_before.is_finite() && value.is_finite() {
                    return Err(overflow());
                }
                self.squares = f64::NAN;
            }
        } else if !value.is_finite() {
            self.squares = f64::NAN;
        }
        Ok(())
    }

    fn merge(&mut self, count: f64, sum: f64, squares: f64) -> Result<()> {
        if count == 0.0 {
            return Ok(());
        }
        if self.count == 0.0 {
            (self.count, self.sum, self.squares) = (count, sum, squares);
            return Ok(());
        }
        let all = self.count + count;
        let difference = self.sum / self.count - sum / count;
        self.squares += squares + self.count * count * difference * difference / all;
        if self.squares.is_infinite() && self.sum.is_finite() && sum.is_finite() {
            return Err(overflow());
        }
        self.sum += sum;
        self.count = all;
        Ok(())
    }
}

impl Accumulator for Floats {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(values) = values.first() else { return Ok(()) };
        values.as_primitive::<Float64Type>().iter().flatten().try_for_each(|value| self.add(value))
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(values) = values.first() else { return Ok(()) };
        for value in values.as_primitive::<Float64Type>().iter().flatten() {
            let (count, sum) = (self.count - 1.0, self.sum - value);
            if count <= 0.0 {
                (self.count, self.sum, self.squares) = (0.0, 0.0, 0.0);
                continue;
            }
            let difference = value * self.count - self.sum;
            self.squares = (self.squares - difference * difference / (self.count * count)).max(0.0);
            (self.count, self.sum) = (count, sum);
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for state in float_states(states)? {
            if let [count, sum, squares] = state.as_slice() {
                self.merge(*count, *sum, *squares)?;
            }
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![float(self.count), float(self.sum), float(self.squares)])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let least = if self.kind.sample { 1.0 } else { 0.0 };
        if self.count <= least {
            return Ok(ScalarValue::Float64(None));
        }
        let variance = self.squares / (self.count - least);
        Ok(float(if self.kind.root { variance.sqrt() } else { variance }))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// Sums of unscaled values.
#[derive(Debug)]
struct Exact {
    kind: Kind,
    scale: i8,
    squares_scale: i8,
    count: i64,
    sum: i256,
    squares: i256,
}

impl Exact {
    fn new(kind: Kind, scale: i8) -> Result<Exact> {
        Ok(Exact { kind, scale, squares_scale: squares_scale(scale)?, count: 0, sum: i256::ZERO, squares: i256::ZERO })
    }

    fn values(&self, values: &[ArrayRef]) -> Result<Vec<i256>> {
        let values = one(values.to_vec())?;
        let values = compute::cast(&values, &DataType::Decimal256(76, self.scale))?;
        Ok(values.as_primitive::<Decimal256Type>().iter().flatten().collect())
    }

    fn variance(&self) -> Result<Option<i256>> {
        if self.count <= i64::from(self.kind.sample) {
            return Ok(None);
        }
        let count = i256::from(self.count);
        let product = |a: i256, b: i256| a.checked_mul(b).ok_or_else(numeric_overflow);
        let numerator = product(count, self.squares)?.checked_sub(product(self.sum, self.sum)?).ok_or_else(numeric_overflow)?;
        let scale = result_scale(self.scale);
        if numerator <= i256::ZERO {
            return Ok(Some(i256::ZERO));
        }
        let less = if self.kind.sample { count.wrapping_sub(i256::ONE) } else { count };
        let divisor = product(count, less)?;
        let digits = numeric_scale::of_quotient(numerator, self.squares_scale, divisor, 0);
        let variance = divide_at(numerator, self.squares_scale, divisor, 0, digits)?;
        let value = if self.kind.root { square_root_at(variance, digits, digits)? } else { variance };
        rescaled(value, digits, i32::from(scale)).map(Some)
    }
}

impl Accumulator for Exact {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in self.values(values)? {
            self.count += 1;
            self.sum = self.sum.checked_add(value).ok_or_else(numeric_overflow)?;
            let square = value.checked_mul(value).ok_or_else(numeric_overflow)?;
            self.squares = self.squares.checked_add(square).ok_or_else(numeric_overflow)?;
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in self.values(values)? {
            self.count -= 1;
            self.sum = self.sum.wrapping_sub(value);
            self.squares = self.squares.wrapping_sub(value.wrapping_mul(value));
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [counts, sums, squares] = states else { return internal_err!("three states were expected") };
        let counts = counts.as_primitive::<Int64Type>();
        let (sums, squares) = (sums.as_primitive::<Decimal256Type>(), squares.as_primitive::<Decimal256Type>());
        for at in (0..counts.len()).filter(|at| counts.is_valid(*at)) {
            self.count += counts.value(at);
            self.sum = self.sum.checked_add(sums.value(at)).ok_or_else(numeric_overflow)?;
            self.squares = self.squares.checked_add(squares.value(at)).ok_or_else(numeric_overflow)?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![
            ScalarValue::Int64(Some(self.count)),
            ScalarValue::Decimal256(Some(self.sum), 76, self.scale),
            ScalarValue::Decimal256(Some(self.squares), 76, self.squares_scale),
        ])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Decimal256(self.variance()?, 76, result_scale(self.scale)))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STDDEV: Kind = Kind { sample: true, root: true };

    #[test]
    fn exact_digits() {
        let mut six = Exact::new(STDDEV, 0).unwrap();
        for value in 1..=6_i32 {
            (six.count, six.sum) = (six.count + 1, six.sum.wrapping_add(i256::from(value)));
            six.squares = six.squares.wrapping_add(i256::from(value * value));
        }
        assert_eq!(six.variance().unwrap().unwrap().to_string(), "18708286933869707");
        six.kind = Kind { sample: false, root: false };
        assert_eq!(six.variance().unwrap().unwrap().to_string(), "29166666666666667");
        assert_eq!(Exact::new(STDDEV, 2).unwrap().variance().unwrap(), None);
    }

    #[test]
    fn floats_as_youngs_and_cramer() {
        let mut all = Floats { kind: Kind { sample: true, root: false }, count: 0.0, sum: 0.0, squares: 0.0 };
        for value in [1.1, 2.22, 3.333, 100.0, 7e5] {
            all.add(value).unwrap();
        }
        assert_eq!(all.evaluate().unwrap(), float(97_992_536_225.568_7));
    }
}
