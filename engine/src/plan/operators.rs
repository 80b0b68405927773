//! The operators of a physical plan under PostgreSQL's names.

use std::fmt;
use std::sync::Arc;

use datafusion::common::JoinType;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;

use crate::policy::BarrierExec;
use datafusion::physical_expr::{LexOrdering, PhysicalExprRef, PhysicalSortExpr};
use datafusion::physical_expr_common::physical_expr::fmt_sql;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning};

/// How an operator is shown.
pub enum Operator {
    /// It only hands rows on.
    Plumbing,
    /// A condition on the rows of the operator below.
    Filter(String),
    Named {
        name: String,
        relation: Option<String>,
        details: Vec<(&'static str, String)>,
        /// Rows after which it stops.
        limit: Option<usize>,
    },
}

fn named(name: impl Into<String>, details: Vec<(&'static str, String)>) -> Operator {
    Operator::Named { name: name.into(), relation: None, details, limit: None }
}

/// `tables`: (root path in its store, name).
pub fn operator(plan: &Arc<dyn ExecutionPlan>, tables: &[(String, String)]) -> Operator {
    if let Some(scan) = plan.downcast_ref::<DataSourceExec>() {
        return scanned(scan, tables);
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        return Operator::Filter(sql(filter.predicate()));
    }
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        return joined("Hash", *join.join_type(), ("Hash Cond", join.on()), join.filter());
    }
    if let Some(join) = plan.downcast_ref::<SortMergeJoinExec>() {
        return joined("Merge", join.join_type(), ("Merge Cond", join.on()), join.filter().as_ref());
    }
    if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
        let mut details = Vec::new();
        details.extend(join.filter().map(|filter| ("Join Filter", sql(filter.expression()))));
        return named(format!("Nested Loop{}", kind(*join.join_type(), "")), details);
    }
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        return aggregated(aggregate);
    }
    if let Some(sort) = plan.downcast_ref::<SortExec>() {
        let mut details = vec![("Sort Key", ordering(sort.expr()))];
        if sort.fetch().is_some() {
            details.push(("Sort Method", "top-N heapsort".to_owned()));
        }
        let name = "Sort".to_owned();
        let limit = sort.fetch().filter(|_| sort.properties().output_partitioning().partition_count() == 1);
        return Operator::Named { name, relation: None, details, limit };
    }
    if let Some(merge) = plan.downcast_ref::<SortPreservingMergeExec>() {
        let details = vec![("Sort Key", ordering(merge.expr()))];
        return Operator::Named { name: "Gather Merge".to_owned(), relation: None, details, limit: merge.fetch() };
    }
    if let Some(repartition) = plan.downcast_ref::<RepartitionExec>() {
        return match repartition.partitioning() {
            Partitioning::Hash(keys, _) => named("Redistribute", vec![("Hash Key", list(keys))]),
            _ => Operator::Plumbing,
        };
    }
    if let Some(policed) = plan.downcast_ref::<BarrierExec>() {
        // What its policies are, and what they leave out, is nobody's business.
        let relation = Some(policed.table().to_owned());
        return Operator::Named { name: "Seq Scan".to_owned(), relation, details: vec![("Policies", "applied".to_owned())], limit: None };
    }
    match plan.name() {
        "ProjectionExec" | "CoalesceBatchesExec" | "CooperativeExec" | "WatchedInput" | "OutputRequirementExec" => Operator::Plumbing,
        "CoalescePartitionsExec" => named("Gather", Vec::new()),
        "CrossJoinExec" => named("Nested Loop", Vec::new()),
        "GlobalLimitExec" | "LocalLimitExec" => named("Limit", Vec::new()),
        "UnionExec" | "InterleaveExec" => named("Append", Vec::new()),
        "WindowAggExec" | "BoundedWindowAggExec" => named("WindowAgg", Vec::new()),
        "UnnestExec" => named("ProjectSet", Vec::new()),
        "PlaceholderRowExec" => named("Result", Vec::new()),
        "EmptyExec" => named("Result", vec![("One-Time Filter", "false".to_owned())]),
        "LazyMemoryExec" | "StreamingTableExec" => named("Function Scan", Vec::new()),
        "RecursiveQueryExec" => named("Recursive Union", Vec::new()),
        "WorkTableExec" => named("WorkTable Scan", Vec::new()),
        "PartialSortExec" => named("Incremental Sort", Vec::new()),
        other => named(other.trim_end_matches("Exec"), vec![("Detail", tidy(&OneLine(plan.as_ref()).to_string()))]),
    }
}

/// Never the file names.
fn scanned(scan: &DataSourceExec, tables: &[(String, String)]) -> Operator {
    let source: &dyn std::any::Any = scan.data_source().as_ref();
    let Some(config) = source.downcast_ref::<FileScanConfig>() else { return named("Values Scan", Vec::new()) };
    let files = || config.file_groups.iter().flat_map(|group| group.iter());
    let is_in = |path: &str, root: &str| path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/') || root.is_empty());
    let relation = files().next().and_then(|file| {
        let path = file.object_meta.location.as_ref();
        tables.iter().filter(|(root, _)| is_in(path, root)).max_by_key(|(root, _)| root.len()).map(|(_, name)| name.clone())
    });
    let mut names: Vec<&str> = files().map(|file| file.object_meta.location.as_ref()).collect();
    names.sort_unstable();
    names.dedup();
    let columns = config
        .projected_schema()
        .map_or_else(|_| String::new(), |schema| schema.fields().iter().map(|field| tidy(field.name())).collect::<Vec<_>>().join(", "));
    let mut details = Vec::new();
    if !columns.is_empty() {
        details.push(("Columns", columns));
    }
    details.extend(config.file_source().filter().map(|predicate| ("Pruning", sql(&predicate))));
    details.push(("Files", names.len().to_string()));
    Operator::Named { name: "Seq Scan".to_owned(), relation, details, limit: config.limit }
}

fn joined(
    how: &str,
    join_type: JoinType,
    on: (&'static str, &[(PhysicalExprRef, PhysicalExprRef)]),
    filter: Option<&JoinFilter>,
) -> Operator {
    let conditions: Vec<String> = on.1.iter().map(|(left, right)| format!("{} = {}", sql(left), sql(right))).collect();
    let mut details = vec![(on.0, format!("({})", conditions.join(") AND (")))];
    details.extend(filter.map(|filter| ("Join Filter", sql(filter.expression()))));
    named(format!("{how}{}", kind(join_type, " Join")), details)
}

/// DataFusion's left side is the one that is kept in memory: PostgreSQL's right.
fn kind(join_type: JoinType, suffix: &str) -> String {
    let word = match join_type {
        JoinType::Inner => "",
        JoinType::Left => " Right",
        JoinType::Right => " Left",
        JoinType::Full => " Full",
        JoinType::LeftSemi | JoinType::RightSemi => " Semi",
        JoinType::LeftAnti | JoinType::RightAnti => " Anti",
        JoinType::LeftMark | JoinType::RightMark => " Mark",
    };
    match (word, suffix) {
        ("", suffix) => suffix.to_owned(),
        (word, "") => format!("{word} Join"),
        (word, suffix) => format!("{word}{suffix}"),
    }
}

fn aggregated(aggregate: &AggregateExec) -> Operator {
    let keys = aggregate.group_expr();
    let stage = match aggregate.mode() {
        AggregateMode::Partial | AggregateMode::PartialReduce => "Partial ",
        AggregateMode::Final | AggregateMode::FinalPartitioned => "Finalize ",
        AggregateMode::Single | AggregateMode::SinglePartitioned => "",
    };
    let names: Vec<String> = keys.expr().iter().map(|(expr, _)| sql(expr)).collect();
    let how = match (names.is_empty(), keys.has_grouping_set()) {
        (true, _) => "Aggregate",
        (false, true) => "MixedAggregate",
        (false, false) => "HashAggregate",
    };
    let mut details = Vec::new();
    if !names.is_empty() {
        details.push(("Group Key", names.join(", ")));
    }
    named(format!("{stage}{how}"), details)
}

/// NULLs come last in ascending and first in descending order, unless something else is said.
fn ordering(exprs: &LexOrdering) -> String {
    let key = |expr: &PhysicalSortExpr| {
        let direction = match (expr.options.descending, expr.options.nulls_first) {
            (false, false) => "",
            (false, true) => " NULLS FIRST",
            (true, true) => " DESC",
            (true, false) => " DESC NULLS LAST",
        };
        format!("{}{direction}", sql(&expr.expr))
    };
    exprs.iter().map(key).collect::<Vec<_>>().join(", ")
}

fn list(exprs: &[PhysicalExprRef]) -> String {
    exprs.iter().map(sql).collect::<Vec<_>>().join(", ")
}

struct OneLine<'a>(&'a dyn ExecutionPlan);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        DisplayAs::fmt_as(self.0, DisplayFormatType::Default, f)
    }
}

fn sql(expr: &PhysicalExprRef) -> String {
    tidy(&fmt_sql(expr.as_ref()).to_string())
}

/// Without what only the planner wants to know: `count(Int64(1))` is `count(*)`.
fn tidy(text: &str) -> String {
    let mut text = text.replace('\u{0}', "");
    for count in ["count(Int64(1))", "count(Int32(1))"] {
        text = text.replace(count, "count(*)");
    }
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planner_names_are_tidied() {
        assert_eq!(tidy("count(Int64(1)) > 5"), "count(*) > 5");
        assert_eq!(kind(JoinType::Inner, " Join"), " Join");
        assert_eq!(kind(JoinType::Right, " Join"), " Left Join");
        assert_eq!(kind(JoinType::LeftAnti, ""), " Anti Join");
    }
}
