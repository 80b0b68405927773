//! Functions over frames of which some rows do not count, and aggregates that cannot forget a row that has left the frame: each row's frame is
//! gathered anew, as PostgreSQL does it (`eval_windowaggregates` restarts where frames exclude).

use std::ops::Range;
use std::sync::Arc;

use arrow_schema::FieldRef;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, Int64Type, Schema};
use datafusion::arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, Expr, PartitionEvaluator, Signature, Volatility, WindowUDFImpl};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};

/// Rows of its frame that do not count for a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exclusion {
    Nothing,
    CurrentRow,
    /// The row and its peers.
    Group,
    /// Its peers alone.
    Ties,
}

/// What is computed of the rows that count.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Inner {
    Aggregate(Arc<AggregateUDF>),
    First,
    Last,
    /// The second argument says which.
    Nth,
}

impl Inner {
    /// Whether an aggregate can take rows away again.
    ///
    /// # Errors
    /// The aggregate's.
    pub fn forgets(&self, args: &[Expr], fields: &[FieldRef]) -> Result<bool> {
        let Inner::Aggregate(aggregate) = self else { return Ok(true) };
        let exprs: Vec<Arc<dyn PhysicalExpr>> = args
            .iter()
            .zip(fields)
            .enumerate()
            .map(|(at, (arg, field))| match arg {
                Expr::Literal(value, _) => Arc::new(Literal::new(value.clone())) as Arc<dyn PhysicalExpr>,
                _ => Arc::new(Column::new(field.name(), at)),
            })
            .collect();
        with_arguments(aggregate, &exprs, fields, |arguments| aggregate.create_sliding_accumulator(arguments))
            .map(|accumulator| accumulator.supports_retract_batch())
    }
}

fn with_arguments(
    aggregate: &AggregateUDF,
    exprs: &[Arc<dyn PhysicalExpr>],
    fields: &[FieldRef],
    make: impl Fn(AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>>,
) -> Result<Box<dyn Accumulator>> {
    let schema = Schema::new(fields.to_vec());
    make(AccumulatorArgs {
        return_field: aggregate.return_field(fields)?,
        schema: &schema,
        ignore_nulls: false,
        order_bys: &[],
        is_reversed: false,
        name: aggregate.name(),
        is_distinct: false,
        exprs,
        expr_fields: fields,
    })
}

/// Takes the inner function's arguments, the condition of FILTER where there is one, and the window's sort keys.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Framed {
    inner: Inner,
    exclusion: Exclusion,
    arguments: usize,
    is_filtered: bool,
    signature: Signature,
}

impl Framed {
    #[must_use]
    pub fn new(inner: Inner, exclusion: Exclusion, arguments: usize, is_filtered: bool) -> Self {
        Self { inner, exclusion, arguments, is_filtered, signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl WindowUDFImpl for Framed {
    fn name(&self) -> &str {
        match &self.inner {
            Inner::Aggregate(aggregate) => aggregate.name(),
            Inner::First => "first_value",
            Inner::Last => "last_value",
            Inner::Nth => "nth_value",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn partition_evaluator(&self, args: PartitionEvaluatorArgs<'_>) -> Result<Box<dyn PartitionEvaluator>> {
        let fields = args.input_fields();
        let own = fields.get(..self.arguments).unwrap_or(fields).to_vec();
        let exprs = args.input_exprs().iter().zip(&own).enumerate().map(|(at, (expr, field))| {
            let is_constant = expr.downcast_ref::<Literal>().is_some();
            if is_constant { Arc::clone(expr) } else { Arc::new(Column::new(field.name(), at)) as Arc<dyn PhysicalExpr> }
        });
        let first_key = self.arguments + usize::from(self.is_filtered);
        let keys = fields.get(first_key..).unwrap_or_default();
        let sorts = keys.iter().map(|field| SortField::new(field.data_type().clone())).collect();
        Ok(Box::new(Evaluator {
            inner: self.inner.clone(),
            exclusion: self.exclusion,
            exprs: exprs.collect(),
            fields: own,
            filter: self.is_filtered.then_some(self.arguments),
            first_key,
            keys: keys.len(),
            converter: if keys.is_empty() { None } else { Some(RowConverter::new(sorts)?) },
            peers: None,
            row: 0,
        }))
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        let fields = args.input_fields();
        let own = fields.get(..self.arguments).unwrap_or(fields);
        let field = match (&self.inner, own.first()) {
            (Inner::Aggregate(aggregate), _) => aggregate.return_field(own)?,
            (_, Some(field)) => Arc::clone(field),
            (_, None) => return internal_err!("a window function takes a value"),
        };
        Ok(Arc::new(field.as_ref().clone().with_name(args.name()).with_nullable(true)))
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(types.to_vec())
    }
}

/// Of one partition: asked once for each of its rows, in order.
#[derive(Debug)]
struct Evaluator {
    inner: Inner,
    exclusion: Exclusion,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    fields: Vec<FieldRef>,
    filter: Option<usize>,
    first_key: usize,
    keys: usize,
    converter: Option<RowConverter>,
    /// Each row's sort keys.
    peers: Option<Vec<OwnedRow>>,
    row: usize,
}

impl PartitionEvaluator for Evaluator {
    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        let row = self.row;
        self.row += 1;
        let counting = self.counting(values, range, row)?;
        let own = values.get(..self.fields.len()).unwrap_or(values);
        let null = |values: &[ArrayRef]| match values.first() {
            Some(value) => ScalarValue::try_from(value.data_type()),
            None => internal_err!("a window function takes a value"),
        };
        let at = |place: Option<&u64>| match (place.and_then(|place| usize::try_from(*place).ok()), own.first()) {
            (Some(place), Some(value)) => ScalarValue::try_from_array(value, place),
            _ => null(own),
        };
        match &self.inner {
            Inner::Aggregate(aggregate) => {
                let make = |arguments: AccumulatorArgs<'_>| aggregate.accumulator(arguments);
                let mut accumulator = with_arguments(aggregate, &self.exprs, &self.fields, make)?;
                let rows = UInt64Array::from(counting);
                let taken = own.iter().map(|value| Ok(take(value, &rows, None)?)).collect::<Result<Vec<_>>>()?;
                accumulator.update_batch(&taken)?;
                accumulator.evaluate()
            }
            Inner::First => at(counting.first()),
            Inner::Last => at(counting.last()),
            Inner::Nth => {
                let Some(which) = own.get(1) else { return internal_err!("nth_value takes a position") };
                let which = datafusion::arrow::compute::cast(which, &DataType::Int64)?;
                let which = which.as_primitive::<Int64Type>();
                let place = which.is_valid(row).then(|| which.value(row).checked_sub(1).and_then(|place| usize::try_from(place).ok()));
                at(place.flatten().and_then(|place| counting.get(place)))
            }
        }
    }

    fn uses_window_frame(&self) -> bool {
        true
    }
}

impl Evaluator {
    /// The rows of a frame that count.
    fn counting(&mut self, values: &[ArrayRef], range: &Range<usize>, row: usize) -> Result<Vec<u64>> {
        if self.peers.is_none()
            && let Some(converter) = &self.converter
        {
            let keys = values.get(self.first_key..self.first_key + self.keys).unwrap_or_default();
            self.peers = Some(converter.convert_columns(keys)?.iter().map(|row| row.owned()).collect());
        }
        let filter = self.filter.and_then(|at| values.get(at)).map(|values| values.as_boolean());
        let is_peer = |other: usize| match &self.peers {
            Some(peers) => peers.get(other) == peers.get(row),
            // Without an order all are.
            None => true,
        };
        let counts = |other: &usize| {
            let excluded = match self.exclusion {
                Exclusion::Nothing => false,
                Exclusion::CurrentRow => *other == row,
                Exclusion::Group => is_peer(*other),
                Exclusion::Ties => *other != row && is_peer(*other),
            };
            !excluded && filter.is_none_or(|filter| filter.is_valid(*other) && filter.value(*other))
        };
        Ok(range.clone().filter(counts).filter_map(|row| u64::try_from(row).ok()).collect())
    }
}
