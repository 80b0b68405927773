//! DataFusion's functions that answer as PostgreSQL's do, and aggregates that the planner replaces by name.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, internal_err};
use datafusion::functions::{core, string, unicode};
use datafusion::functions_aggregate as aggregate;
use datafusion::functions_window as window;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, ScalarUDF, Signature, Volatility, WindowUDF};

use super::records::Record;

pub fn scalars() -> Vec<Arc<ScalarUDF>> {
    vec![
        Arc::new(ScalarUDF::new_from_impl(super::coalesce::Coalesce::new())),
        core::nullif(),
        core::greatest(),
        core::least(),
        core::get_field(),
        Arc::new(ScalarUDF::new_from_impl(Record::new(core::r#struct(), false))),
        Arc::new(ScalarUDF::new_from_impl(Record::new(core::named_struct(), true))),
        string::ascii(),
        string::bit_length(),
        string::octet_length(),
        string::replace(),
        string::starts_with(),
        unicode::character_length(),
    ]
}

pub fn aggregates() -> Vec<Arc<AggregateUDF>> {
    let mut all = vec![
        aggregate::count::count_udaf(),
        aggregate::average::avg_udaf(),
        aggregate::min_max::min_udaf(),
        aggregate::min_max::max_udaf(),
        Arc::new(AggregateUDF::new_from_impl(super::array_agg::ArrayAgg::new())),
        aggregate::string_agg::string_agg_udaf(),
        aggregate::bool_and_or::bool_and_udaf(),
        aggregate::bool_and_or::bool_or_udaf(),
        aggregate::bit_and_or_xor::bit_and_udaf(),
        aggregate::bit_and_or_xor::bit_or_udaf(),
        aggregate::bit_and_or_xor::bit_xor_udaf(),
        aggregate::grouping::grouping_udaf(),
        aggregate::median::median_udaf(),
        aggregate::approx_distinct::approx_distinct_udaf(),
        // What DISTINCT ON becomes; as an aggregate it cannot be called.
        aggregate::first_last::first_value_udaf(),
    ];
    all.extend(REPLACED.iter().map(|name| Arc::new(AggregateUDF::new_from_impl(Replaced::new(name)))));
    all
}

pub fn windows() -> Vec<Arc<WindowUDF>> {
    vec![
        window::row_number::row_number_udwf(),
        window::rank::rank_udwf(),
        window::rank::dense_rank_udwf(),
        window::rank::percent_rank_udwf(),
        window::cume_dist::cume_dist_udwf(),
        window::ntile::ntile_udwf(),
        window::lead_lag::lag_udwf(),
        window::lead_lag::lead_udwf(),
        window::nth_value::first_value_udwf(),
        window::nth_value::last_value_udwf(),
        window::nth_value::nth_value_udwf(),
    ]
}

/// Aggregates that the planner computes with others.
pub const REPLACED: &[&str] = &[
    "every",
    "variance",
    "stddev_samp",
    "json_agg",
    "jsonb_agg",
    "json_object_agg",
    "jsonb_object_agg",
    "percentile_cont",
    "percentile_disc",
    "mode",
];

/// A name that planning replaces; it never runs.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Replaced {
    name: &'static str,
    signature: Signature,
}

impl Replaced {
    fn new(name: &'static str) -> Self {
        Replaced { name, signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for Replaced {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn supports_within_group_clause(&self) -> bool {
        matches!(self.name, "percentile_cont" | "percentile_disc" | "mode")
    }

    fn accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        internal_err!("{} was not replaced while planning", self.name)
    }

    fn state_fields(&self, _args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(Vec::new())
    }
}
