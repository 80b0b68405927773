//! What a plan counted while it ran.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use lakegate_engine_api::ExecutionMetrics;

/// Adds bytes and rows read and bytes spilled; files were counted when the plan was made.
pub fn collect_metrics(plan: &Arc<dyn ExecutionPlan>, into: &ExecutionMetrics) {
    if let Some(metrics) = plan.metrics() {
        let count = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        if plan.is::<DataSourceExec>() {
            into.read_bytes.fetch_add(metrics.sum_by_name("bytes_scanned").map_or(0, |value| count(value.as_usize())), Relaxed);
            into.cached_bytes.fetch_add(metrics.sum_by_name("bytes_from_cache").map_or(0, |value| count(value.as_usize())), Relaxed);
            into.read_rows.fetch_add(metrics.output_rows().map_or(0, count), Relaxed);
        }
        into.spilled_bytes.fetch_add(metrics.spilled_bytes().map_or(0, count), Relaxed);
    }
    for child in plan.children() {
        collect_metrics(child, into);
    }
}
