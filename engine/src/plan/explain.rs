//! EXPLAIN's output in PostgreSQL's layout: operators under the names its users know, what each does in lines below it, what it counted
//! under ANALYZE. Operators that only hand rows on are left out unless VERBOSE asks for them. Never the places that data lies at.

use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{MetricValue, MetricsSet};
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use serde_json::{Map, Value, json};

use super::operators::{Operator, operator};

/// How much is shown.
#[derive(Debug, Clone, Copy)]
pub struct Showing<'a> {
    /// When execution began; `None`: it was not run.
    pub started: Option<DateTime<Utc>>,
    pub verbose: bool,
    pub timing: bool,
    /// Estimated rows and their width.
    pub estimates: bool,
    /// (root path in its store, name) of the tables.
    pub tables: &'a [(String, String)],
}

/// An operator as it is shown.
struct Node {
    name: String,
    /// Name of the table, of a scan.
    relation: Option<String>,
    details: Vec<(&'static str, String)>,
    estimated: Estimate,
    actual: Option<Actual>,
    children: Vec<Node>,
}

/// What the statistics let expect.
#[derive(Debug, Clone, Copy, Default)]
struct Estimate {
    rows: usize,
    /// Bytes of a row.
    width: usize,
    /// With all below it, in PostgreSQL's unit: the reading of a page of 8 KiB in sequence.
    cost: f64,
}

#[derive(Default)]
struct Actual {
    rows: usize,
    /// Milliseconds after the start: of the first and of the last row.
    time: Option<(f64, f64)>,
    loops: usize,
}

/// One line an operator and each of its details, children indented.
#[must_use]
pub fn plan_lines(plan: &Arc<dyn ExecutionPlan>, showing: Showing<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    add_lines(&node(plan, showing), showing, 0, &mut lines);
    lines
}

/// As PostgreSQL's FORMAT JSON nests it.
#[must_use]
pub fn plan_json(plan: &Arc<dyn ExecutionPlan>, showing: Showing<'_>) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("Plan".to_owned(), as_json(&node(plan, showing), showing, None));
    object
}

fn add_lines(node: &Node, showing: Showing<'_>, depth: usize, lines: &mut Vec<String>) {
    let mut line = match depth {
        0 => String::new(),
        depth => format!("{}->  ", " ".repeat(depth * 6 - 4)),
    };
    line.push_str(&node.name);
    if let Some(relation) = &node.relation {
        let _ = write!(line, " on {relation}");
    }
    if showing.estimates {
        let Estimate { rows, width, cost } = node.estimated;
        let _ = write!(line, "  (cost=0.00..{cost:.2} rows={rows} width={width})");
    }
    if let Some(actual) = &node.actual {
        let time = match actual.time {
            Some((first, last)) if showing.timing => format!("time={first:.3}..{last:.3} "),
            _ => String::new(),
        };
        let _ = write!(line, " (actual {time}rows={} loops={})", actual.rows, actual.loops);
    } else if showing.started.is_some() {
        line.push_str(" (never executed)");
    }
    lines.push(line);
    let indent = if depth == 0 { 2 } else { depth * 6 + 2 };
    lines.extend(node.details.iter().map(|(label, text)| format!("{}{label}: {text}", " ".repeat(indent))));
    node.children.iter().for_each(|child| add_lines(child, showing, depth + 1, lines));
}

fn as_json(node: &Node, showing: Showing<'_>, relationship: Option<&str>) -> Value {
    let mut object = Map::new();
    object.insert("Node Type".to_owned(), json!(node.name));
    if let Some(relationship) = relationship {
        object.insert("Parent Relationship".to_owned(), json!(relationship));
    }
    if let Some(relation) = &node.relation {
        object.insert("Relation Name".to_owned(), json!(relation));
        object.insert("Alias".to_owned(), json!(relation));
    }
    if showing.estimates {
        object.insert("Startup Cost".to_owned(), json!(0.0));
        object.insert("Total Cost".to_owned(), json!((node.estimated.cost * 100.0).round() / 100.0));
        object.insert("Plan Rows".to_owned(), json!(node.estimated.rows));
        object.insert("Plan Width".to_owned(), json!(node.estimated.width));
    }
    if showing.started.is_some() {
        let none = Actual::default();
        let actual = node.actual.as_ref().unwrap_or(&none);
        if let Some((first, last)) = actual.time.filter(|_| showing.timing) {
            object.insert("Actual Startup Time".to_owned(), json!(first));
            object.insert("Actual Total Time".to_owned(), json!(last));
        }
        object.insert("Actual Rows".to_owned(), json!(actual.rows));
        object.insert("Actual Loops".to_owned(), json!(actual.loops));
    }
    for (label, text) in &node.details {
        let value = text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number));
        object.insert((*label).to_owned(), value);
    }
    if !node.children.is_empty() {
        let relationships = [Some("Outer"), Some("Inner")].into_iter().chain(std::iter::repeat(Some("Member")));
        let children = node.children.iter().zip(relationships).map(|(child, relationship)| as_json(child, showing, relationship));
        object.insert("Plans".to_owned(), Value::Array(children.collect()));
    }
    Value::Object(object)
}

fn node(plan: &Arc<dyn ExecutionPlan>, showing: Showing<'_>) -> Node {
    let children = plan.children();
    match operator(plan, showing.tables) {
        Operator::Plumbing if !showing.verbose && children.len() == 1 => node(children[0], showing),
        Operator::Filter(condition) if children.len() == 1 => {
            let mut below = node(children[0], showing);
            let passed = actual(plan, showing);
            if let (Some(before), Some(after)) = (&below.actual, &passed) {
                let removed = before.rows.saturating_sub(after.rows);
                below.details.insert(0, ("Rows Removed by Filter", removed.to_string()));
            }
            below.details.insert(0, ("Filter", condition));
            below.estimated = estimated(plan, below.estimated.cost);
            below.actual = passed;
            below
        }
        Operator::Plumbing | Operator::Filter(_) => shown(plan, plan.name().trim_end_matches("Exec").to_owned(), None, Vec::new(), showing),
        Operator::Named { name, relation, details, limit } => {
            let node = shown(plan, name, relation, details, showing);
            match limit {
                None => node,
                // PostgreSQL has an operator of its own for it.
                Some(rows) => Node {
                    name: "Limit".to_owned(),
                    relation: None,
                    details: Vec::new(),
                    estimated: Estimate { rows: node.estimated.rows.min(rows), ..node.estimated },
                    actual: actual(plan, showing),
                    children: vec![node],
                },
            }
        }
    }
}

fn shown(
    plan: &Arc<dyn ExecutionPlan>,
    name: String,
    relation: Option<String>,
    mut details: Vec<(&'static str, String)>,
    showing: Showing<'_>,
) -> Node {
    let mut children: Vec<Node> = plan.children().into_iter().map(|child| node(child, showing)).collect();
    // The side that is looked through comes first, the one that is looked up below `Hash`.
    if name.starts_with("Hash") && name.ends_with("Join") && children.len() == 2 {
        let build = children.remove(0);
        let (estimated, actual) = (build.estimated, build.actual.as_ref().map(|actual| Actual { time: actual.time, ..*actual }));
        children.push(Node { name: "Hash".to_owned(), relation: None, details: Vec::new(), estimated, actual, children: vec![build] });
    }
    if showing.started.is_some()
        && let Some(metrics) = plan.metrics()
    {
        details.extend(counted(&metrics));
    }
    let below = children.iter().map(|child| child.estimated.cost).sum();
    Node { name, relation, details, estimated: estimated(plan, below), actual: actual(plan, showing), children }
}

/// `seq_page_cost`, `cpu_tuple_cost` and a page's bytes, as PostgreSQL has them by default.
const PAGE_COST: f64 = 1.0;
const ROW_COST: f64 = 0.01;
const PAGE_BYTES: f64 = 8_192.0;

/// Rows, their bytes as far as types say them (32 for what has no fixed width, as PostgreSQL assumes for text), and what it costs to
/// make them: pages that are read, each row that the operator hands on, and what is `below` it.
fn estimated(plan: &Arc<dyn ExecutionPlan>, below: f64) -> Estimate {
    let computed = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new());
    let statistics = computed.ok();
    let rows = statistics.as_ref().and_then(|statistics| statistics.num_rows.get_value().copied()).unwrap_or(0);
    let width = plan.schema().fields().iter().map(|field| field.data_type().primitive_width().unwrap_or(32)).sum();
    let bytes = statistics.as_ref().and_then(|statistics| statistics.total_byte_size.get_value().copied()).unwrap_or(rows * width);
    let pages = if plan.children().is_empty() { bytes as f64 / PAGE_BYTES } else { 0.0 };
    Estimate { rows, width, cost: below + pages * PAGE_COST + rows as f64 * ROW_COST }
}

fn actual(plan: &Arc<dyn ExecutionPlan>, showing: Showing<'_>) -> Option<Actual> {
    let started = showing.started?;
    let metrics = plan.metrics()?;
    let millis = |time: DateTime<Utc>| (time - started).num_microseconds().map_or(0.0, |micros| (micros.max(0) as f64) / 1e3);
    let (mut first, mut last) = (None::<f64>, None::<f64>);
    for metric in metrics.iter() {
        match metric.value() {
            MetricValue::StartTimestamp(time) => {
                let time = time.value().map(millis);
                first = [first, time].into_iter().flatten().reduce(f64::min);
            }
            MetricValue::EndTimestamp(time) => {
                let time = time.value().map(millis);
                last = [last, time].into_iter().flatten().reduce(f64::max);
            }
            _ => {}
        }
    }
    Some(Actual { rows: metrics.output_rows().unwrap_or(0), time: first.zip(last), loops: 1 })
}

/// What PostgreSQL has no line for is told in lines of its own; zeros are left out.
fn counted(metrics: &MetricsSet) -> Vec<(&'static str, String)> {
    let mut details = Vec::new();
    let pruned = |wanted: &str| {
        let mut found: Option<(usize, usize)> = None;
        for metric in metrics.iter() {
            if let MetricValue::PruningMetrics { name, pruning_metrics } = metric.value()
                && name == wanted
            {
                let (pruned, matched) = found.unwrap_or_default();
                found = Some((pruned + pruning_metrics.pruned(), matched + pruning_metrics.matched()));
            }
        }
        found.filter(|(pruned, _)| *pruned > 0)
    };
    for (name, label) in [
        ("files_ranges_pruned_statistics", "Files Pruned by Statistics"),
        ("row_groups_pruned_statistics", "Row Groups Pruned by Statistics"),
        ("row_groups_pruned_bloom_filter", "Row Groups Pruned by Bloom Filter"),
        ("page_index_rows_pruned", "Rows Pruned by Page Index"),
    ] {
        if let Some((pruned, matched)) = pruned(name) {
            details.push((label, format!("{pruned} of {}", pruned + matched)));
        }
    }
    let count = |name: &str| metrics.sum_by_name(name).map(|value| value.as_usize()).filter(|count| *count > 0);
    if let Some(bytes) = count("bytes_scanned") {
        details.push(("Bytes Read", bytes.to_string()));
    }
    if let Some(bytes) = count("bytes_from_cache") {
        details.push(("Bytes in Memory", bytes.to_string()));
    }
    if let Some(rows) = count("cached_rows_pruned") {
        details.push(("Rows Pruned in Memory", rows.to_string()));
    }
    if let Some(bytes) = metrics.spilled_bytes().filter(|bytes| *bytes > 0) {
        details.push(("Spilled Bytes", bytes.to_string()));
    }
    details
}
