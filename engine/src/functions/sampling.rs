//! What TABLESAMPLE is made of: whether a row is in a sample, by where it lies and a number that the sample is of (`tablesample/bernoulli.c`,
//! `system.c`). The same rows of the same files are in the samples of one number, whatever else reads them.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;
use lakegate_engine_api::DataError;

use super::call::Row;
use super::error::data;
use super::function::{Body, PgFunction};
use super::types::Ty;
use datafusion::common::Result;

/// Rows of a file that SYSTEM takes together.
const BLOCK_ROWS: i64 = 128;

/// Whether a row is in a sample: by rows or by blocks, the share in percent, the sample's number, the file's and the row's place.
pub const SAMPLED: &str = "#sampled";

/// A share that is none is told before any row is read, where it is a constant.
pub const PERCENT: &str = "#sample_percent";

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        // Not immutable, so that no scan tries it on what it knows of its files.
        PgFunction::volatile(SAMPLED)
            .on(&[Ty::BOOL, Ty::FLOAT8, Ty::FLOAT8, Ty::INT8, Ty::INT8], Ty::BOOL, Body::Bool(Box::new(|row| Ok(Some(is_sampled(row))))))
            .build(),
        PgFunction::immutable(PERCENT).on_nullable(&[Ty::FLOAT8], Ty::FLOAT8, Body::Float(Box::new(percent))).build(),
    ]
}

fn percent(row: &Row<'_>) -> Result<Option<f64>> {
    if row.is_null(0) {
        return Err(data(DataError::InvalidTableSample, "TABLESAMPLE parameter cannot be null"));
    }
    let share = row.float(0);
    if (0.0..=100.0).contains(&share) {
        return Ok(Some(share));
    }
    Err(data(DataError::InvalidTableSample, "sample percentage must be between 0 and 100"))
}

#[expect(clippy::cast_precision_loss, reason = "53 bits of a hash")]
fn is_sampled(row: &Row<'_>) -> bool {
    let (by_rows, share, number) = (row.bool(0), row.float(1), row.float(2));
    let (file, place) = (row.int(3), row.int(4));
    let place = if by_rows { place } else { place / BLOCK_ROWS };
    let hash = [number.to_bits(), file.cast_unsigned(), place.cast_unsigned()].into_iter().fold(0, |hash, part| mixed(hash ^ part));
    ((hash >> 11) as f64) * 100.0 / 9_007_199_254_740_992.0 < share
}

/// The finalizer of splitmix64.
fn mixed(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
