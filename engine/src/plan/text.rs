//! EXPLAIN's output: the physical plan without the places that data lies at.

use std::fmt::{self, Write};
use std::sync::Arc;

use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan};
use serde_json::{Value, json};

/// One line an operator, children indented; with what it counted where `analyzed`.
#[must_use]
pub fn plan_lines(plan: &Arc<dyn ExecutionPlan>, analyzed: bool) -> Vec<String> {
    let mut lines = Vec::new();
    add_lines(plan, analyzed, 0, &mut lines);
    lines
}

fn add_lines(plan: &Arc<dyn ExecutionPlan>, analyzed: bool, depth: usize, lines: &mut Vec<String>) {
    let mut line = " ".repeat(depth * 6);
    if depth > 0 {
        let _ = write!(line, "->  ");
    }
    line.push_str(&described(plan));
    let counted = if analyzed { counters(plan) } else { Vec::new() };
    if !counted.is_empty() {
        let counted: Vec<String> = counted.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let _ = write!(line, "  (actual {})", counted.join(" "));
    }
    lines.push(line);
    for child in plan.children() {
        add_lines(child, analyzed, depth + 1, lines);
    }
}

/// As PostgreSQL's FORMAT JSON nests it.
#[must_use]
pub fn plan_json(plan: &Arc<dyn ExecutionPlan>, analyzed: bool) -> Value {
    json!([{ "Plan": node(plan, analyzed) }])
}

fn node(plan: &Arc<dyn ExecutionPlan>, analyzed: bool) -> Value {
    let mut object = serde_json::Map::new();
    object.insert("Node Type".to_owned(), json!(plan.name().trim_end_matches("Exec")));
    object.insert("Detail".to_owned(), json!(described(plan)));
    if analyzed {
        for (name, value) in counters(plan) {
            object.insert(format!("Actual {name}"), json!(value));
        }
    }
    let children: Vec<Value> = plan.children().into_iter().map(|child| node(child, analyzed)).collect();
    if !children.is_empty() {
        object.insert("Plans".to_owned(), Value::Array(children));
    }
    Value::Object(object)
}

fn described(plan: &Arc<dyn ExecutionPlan>) -> String {
    if let Some(scan) = plan.downcast_ref::<DataSourceExec>() {
        return scanned(scan);
    }
    let text = OneLine(plan.as_ref()).to_string();
    without_positions(text.lines().next().unwrap_or_default())
}

/// Never the file names.
fn scanned(scan: &DataSourceExec) -> String {
    let source: &dyn std::any::Any = scan.data_source().as_ref();
    let Some(files) = source.downcast_ref::<FileScanConfig>() else { return "Rows in memory".to_owned() };
    let count: usize = files.file_groups.iter().map(datafusion::datasource::physical_plan::FileGroup::len).sum();
    let columns = files.projected_schema().map_or_else(
        |_| String::new(),
        |schema| schema.fields().iter().map(|field| field.name().replace('\u{0}', "")).collect::<Vec<_>>().join(", "),
    );
    let mut text = format!("Parquet Scan  columns=[{columns}] partitions={} ranges={count}", files.file_groups.len());
    if let Some(limit) = files.limit {
        let _ = write!(text, " limit={limit}");
    }
    if let Some(predicate) = files.file_source().filter() {
        let _ = write!(text, " predicate={}", without_positions(&predicate.to_string()));
    }
    text
}

struct OneLine<'a>(&'a dyn ExecutionPlan);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        DisplayAs::fmt_as(self.0, DisplayFormatType::Default, f)
    }
}

/// `a@0` becomes `a`.
fn without_positions(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '@' && chars.peek().is_some_and(char::is_ascii_digit) {
            while chars.next_if(char::is_ascii_digit).is_some() {}
        } else if c != '\u{0}' {
            out.push(c);
        }
    }
    out
}

fn counters(plan: &Arc<dyn ExecutionPlan>) -> Vec<(&'static str, usize)> {
    let Some(metrics) = plan.metrics() else { return Vec::new() };
    let by_name = |name: &str| metrics.sum_by_name(name).map(|value| value.as_usize());
    let mut found = Vec::new();
    found.extend(metrics.output_rows().map(|rows| ("rows", rows)));
    found.extend(metrics.elapsed_compute().map(|nanos| ("compute_us", nanos / 1_000)));
    found.extend(by_name("bytes_scanned").map(|bytes| ("bytes", bytes)));
    found.extend(metrics.spilled_bytes().filter(|bytes| *bytes > 0).map(|bytes| ("spilled_bytes", bytes)));
    found
}
