//! Correlation, covariance and linear regression over pairs (Y, X), by the method of Youngs and Cramer (`float8_regr_accum`).

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use super::{float, float_states, refuse_distinct};
use crate::functions::float_arithmetic::overflow;

pub fn aggregates() -> Vec<Arc<AggregateUDF>> {
    use Kind::{AverageX, AverageY, Correlation, Count, CovariancePop, CovarianceSamp, Intercept, R2, Slope, Sxx, Sxy, Syy};
    [
        ("corr", Correlation),
        ("covar_pop", CovariancePop),
        ("covar_samp", CovarianceSamp),
        ("regr_avgx", AverageX),
        ("regr_avgy", AverageY),
        ("regr_count", Count),
        ("regr_intercept", Intercept),
        ("regr_r2", R2),
        ("regr_slope", Slope),
        ("regr_sxx", Sxx),
        ("regr_sxy", Sxy),
        ("regr_syy", Syy),
    ]
    .into_iter()
    .map(|(name, kind)| {
        // Open literals, numerics and integers become floats.
        let signature = Signature::exact(vec![DataType::Float64, DataType::Float64], Volatility::Immutable);
        Arc::new(AggregateUDF::new_from_impl(Regression { name, kind, signature }))
    })
    .collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Correlation,
    CovariancePop,
    CovarianceSamp,
    AverageX,
    AverageY,
    Count,
    Intercept,
    R2,
    Slope,
    Sxx,
    Sxy,
    Syy,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Regression {
    name: &'static str,
    kind: Kind,
    signature: Signature,
}

impl AggregateUDFImpl for Regression {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(if self.kind == Kind::Count { DataType::Int64 } else { DataType::Float64 })
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        refuse_distinct(args.is_distinct, self.name)?;
        Ok(Box::new(Pairs { kind: self.kind, sums: Sums::default() }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let names = ["count", "sx", "sxx", "sy", "syy", "sxy"];
        Ok(names.iter().map(|name| Arc::new(Field::new(format!("{}[{name}]", args.name), DataType::Float64, true))).collect())
    }
}

/// Sums, and sums of squared and multiplied differences from the means.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    count: f64,
    x: f64,
    xx: f64,
    y: f64,
    yy: f64,
    xy: f64,
}

impl Sums {
    fn add(&mut self, y: f64, x: f64) -> Result<()> {
        let before = *self;
        self.count += 1.0;
        self.x += x;
        self.y += y;
        if before.count > 0.0 {
            let (dx, dy) = (x * self.count - self.x, y * self.count - self.y);
            let scale = 1.0 / (self.count * before.count);
            self.xx += dx * dx * scale;
            self.yy += dy * dy * scale;
            self.xy += dx * dy * scale;
            if [self.x, self.xx, self.y, self.yy, self.xy].iter().any(|sum| sum.is_infinite()) {
                let x_lost = (self.x.is_infinite() || self.xx.is_infinite()) && before.x.is_finite() && x.is_finite();
                let y_lost = (self.y.is_infinite() || self.yy.is_infinite()) && before.y.is_finite() && y.is_finite();
                let both_lost = self.xy.is_infinite() && [before.x, x, before.y, y].iter().all(|value| value.is_finite());
                if x_lost || y_lost || both_lost {
                    return Err(overflow());
                }
                for sum in [&mut self.xx, &mut self.yy, &mut self.xy] {
                    if sum.is_infinite() {
                        *sum = f64::NAN;
                    }
                }
            }
        } else {
            if !x.is_finite() {
                (self.xx, self.xy) = (f64::NAN, f64::NAN);
            }
            if !y.is_finite() {
                (self.yy, self.xy) = (f64::NAN, f64::NAN);
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: Sums) -> Result<()> {
        if other.count == 0.0 {
            return Ok(());
        }
        if self.count == 0.0 {
            *self = other;
            return Ok(());
        }
        let count = self.count + other.count;
        let dx = self.x / self.count - other.x / other.count;
        let dy = self.y / self.count - other.y / other.count;
        let weight = self.count * other.count;
        let merged = Sums {
            count,
            x: self.x + other.x,
            xx: self.xx + other.xx + weight * dx * dx / count,
            y: self.y + other.y,
            yy: self.yy + other.yy + weight * dy * dy / count,
            xy: self.xy + other.xy + weight * dx * dy / count,
        };
        let lost = |new: f64, a: f64, b: f64| new.is_infinite() && a.is_finite() && b.is_finite();
        if lost(merged.x, self.x, other.x) || lost(merged.y, self.y, other.y) {
            return Err(overflow());
        }
        if lost(merged.xx, self.xx, other.xx) || lost(merged.yy, self.yy, other.yy) || lost(merged.xy, self.xy, other.xy) {
            return Err(overflow());
        }
        *self = merged;
        Ok(())
    }

    fn result(&self, kind: Kind) -> Option<f64> {
        let Sums { count, x, xx, y, yy, xy } = *self;
        if count < 1.0 {
            return None;
        }
        match kind {
            Kind::Count => Some(count),
            Kind::Sxx => Some(xx),
            Kind::Syy => Some(yy),
            Kind::Sxy => Some(xy),
            Kind::AverageX => Some(x / count),
            Kind::AverageY => Some(y / count),
            Kind::CovariancePop => Some(xy / count),
            Kind::CovarianceSamp => (count >= 2.0).then(|| xy / (count - 1.0)),
            Kind::Correlation => (xx != 0.0 && yy != 0.0).then(|| xy / (xx * yy).sqrt()),
            Kind::R2 if xx == 0.0 => None,
            Kind::R2 if yy == 0.0 => Some(1.0),
            Kind::R2 => Some((xy * xy) / (xx * yy)),
            Kind::Slope => (xx != 0.0).then(|| xy / xx),
            Kind::Intercept => (xx != 0.0).then(|| (y - x * xy / xx) / count),
        }
    }
}

#[derive(Debug)]
struct Pairs {
    kind: Kind,
    sums: Sums,
}

impl Accumulator for Pairs {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [ys, xs] = values else { return internal_err!("two arguments were expected") };
        for (y, x) in ys.as_primitive::<Float64Type>().iter().zip(xs.as_primitive::<Float64Type>().iter()) {
            if let (Some(y), Some(x)) = (y, x) {
                self.sums.add(y, x)?;
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for state in float_states(states)? {
            if let [count, x, xx, y, yy, xy] = state.as_slice() {
                self.sums.merge(Sums { count: *count, x: *x, xx: *xx, y: *y, yy: *yy, xy: *xy })?;
            }
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let Sums { count, x, xx, y, yy, xy } = self.sums;
        Ok([count, x, xx, y, yy, xy].into_iter().map(float).collect())
    }

    #[expect(clippy::cast_possible_truncation, reason = "a count of rows is whole and fits")]
    fn evaluate(&mut self) -> Result<ScalarValue> {
        let result = self.sums.result(self.kind);
        Ok(match self.kind {
            Kind::Count => ScalarValue::Int64(Some(result.unwrap_or(0.0) as i64)),
            _ => ScalarValue::Float64(result),
        })
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found() {
        let mut sums = Sums::default();
        for (x, y) in [(1.0, 1.5), (2.0, 3.1), (3.0, 4.4), (5.0, 9.9)] {
            sums.add(y, x).unwrap();
        }
        assert_eq!(sums.result(Kind::Slope), Some(2.105_714_285_714_286));
        assert_eq!(sums.result(Kind::Intercept), Some(-1.065_714_285_714_286_7));
        assert_eq!(sums.result(Kind::Correlation), Some(0.985_751_418_831_289_1));
        assert_eq!(Sums::default().result(Kind::Slope), None);
    }

    #[test]
    fn parts_merge() {
        let (mut left, mut right) = (Sums::default(), Sums::default());
        left.add(1.0, 1.0).unwrap();
        left.add(2.0, 2.0).unwrap();
        right.add(4.0, 4.0).unwrap();
        left.merge(right).unwrap();
        assert_eq!((left.result(Kind::Slope), left.result(Kind::Count)), (Some(1.0), Some(3.0)));
    }
}
