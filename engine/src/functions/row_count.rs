//! `#row_count(count, clause)`: the count that LIMIT or OFFSET was given by a subquery, if it can be one (`nodeLimit.c`, `recompute_limits`).

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;
use lakegate_engine_api::DataError;

use super::error::data;
use super::function::{Body, PgFunction};
use super::types::Ty;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let checked = |row: &super::call::Row<'_>| match (row.int(0), row.text(1)) {
        (count, "OFFSET") if count < 0 => Err(data(DataError::InvalidOffset, "OFFSET must not be negative")),
        (count, _) if count < 0 => Err(data(DataError::InvalidLimit, "LIMIT must not be negative")),
        (count, _) => Ok(Some(count)),
    };
    vec![PgFunction::immutable("#row_count").on(&[Ty::INT8, Ty::TEXT], Ty::INT8, Body::Int(Box::new(checked))).build()]
}
