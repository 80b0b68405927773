//! UPDATE and DELETE: the files that hold rows for which the condition is true are replaced. TRUNCATE and DELETE without a
//! condition replace all files by nothing.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use datafusion::common::{DFSchema, ParamValues, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use deltalake_core::kernel::{Action, Add};
use deltalake_core::protocol::DeltaOperation;
use futures::TryStreamExt;
use lakegate_engine_api::{EngineError, ExecutionContext, ExecutionMetrics, Outcome, SqlMistake};
use sqlparser::ast::{
    self, AssignmentTarget, Expr as AstExpr, FromTable, Ident, ObjectName, ObjectNamePart, Query, SelectItem, Statement, TableAlias,
    TableFactor, TableWithJoins, VisitMut, VisitorMut,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::assign::assigned;
use super::checks::RowChecks;
use super::commit::{Change, CommitId, commit};
use super::defaults::is_default;
use super::files::{FileLayout, bytes_of};
use super::insert::{ParameterFields, column_position, default_of, refuse_generated, with_generated};
use super::staged::{Step, StepKind};
use super::target::Target;
use super::transaction::LocalTransaction;
use crate::delta::{FILE_COLUMN, FileList, TableScan};
use crate::error;
use crate::exec::{Opened, Shared, collect_metrics, interruptible};
use crate::plan::{Planner, Sources, analyzed_plan, filled_plan, planning_error};

/// Name under which the changed table stands in the plans made here; subqueries see it under its own.
const TARGET: &str = "\u{0}target";

/// An UPDATE or DELETE taken apart.
pub struct Rewrite {
    /// The table's name in the statement: its alias, or its own.
    alias: Ident,
    condition: Option<AstExpr>,
    /// (position, new value); empty for DELETE.
    assignments: Vec<(usize, AstExpr)>,
    is_update: bool,
}

impl Rewrite {
    /// # Errors
    /// `Unsupported` for the clauses that are not there yet; the statement's mistakes.
    pub fn new(statement: &Statement, target: &Target) -> Result<Self, EngineError> {
        match statement {
            Statement::Update(update) => {
                let refused = update.returning.is_some() || update.output.is_some();
                refuse(refused, "UPDATE … RETURNING")?;
                refuse(update.from.is_some() || !update.table.joins.is_empty(), "UPDATE … FROM")?;
                refuse(update.or.is_some() || update.limit.is_some() || !update.order_by.is_empty(), "UPDATE with LIMIT or ORDER BY")?;
                let alias = alias_of(&update.table, target)?;
                let assignments = assignments(&update.assignments, target)?;
                Self { alias, condition: update.selection.clone(), assignments, is_update: true }.with_short_names(target)
            }
            Statement::Delete(delete) => {
                refuse(delete.returning.is_some() || delete.output.is_some(), "DELETE … RETURNING")?;
                refuse(delete.using.is_some() || !delete.tables.is_empty(), "DELETE … USING")?;
                refuse(delete.limit.is_some() || !delete.order_by.is_empty(), "DELETE with LIMIT or ORDER BY")?;
                let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
                let [table] = from.as_slice() else { return Err(error::unsupported("DELETE from several tables")) };
                refuse(!table.joins.is_empty(), "DELETE with a join")?;
                let alias = alias_of(table, target)?;
                Self { alias, condition: delete.selection.clone(), assignments: Vec::new(), is_update: false }.with_short_names(target)
            }
            Statement::Truncate(truncate) => {
                refuse(truncate.partitions.is_some() || truncate.table_names.len() != 1, "TRUNCATE of several tables or of partitions")?;
                Ok(Self { alias: Ident::new(TARGET), condition: None, assignments: Vec::new(), is_update: false })
            }
            _ => Err(error::unsupported("this statement")),
        }
    }

    /// `database.schema.t.c` and `schema.t.c` become `t.c`: the table stands under its own name only.
    fn with_short_names(mut self, target: &Target) -> Result<Self, EngineError> {
        let mut shorten = Shorten { target, alias: &self.alias };
        if let Some(condition) = &mut self.condition {
            let _: ControlFlow<()> = condition.visit(&mut shorten);
        }
        for (_, value) in &mut self.assignments {
            let _: ControlFlow<()> = value.visit(&mut shorten);
        }
        Ok(self)
    }

    /// The plan whose analysis shows the statement's mistakes and its parameters' types. Never run.
    ///
    /// # Errors
    /// The statement's mistakes.
    pub fn trial_plan(&self, planner: &Planner<'_>, target: &Target, parameters: &ParameterFields) -> Result<LogicalPlan, EngineError> {
        if self.is_update { self.changed_rows(planner, target, parameters) } else { self.matching_files(planner, parameters) }
    }

    /// `SELECT file, count(*) … WHERE condition GROUP BY file`.
    fn matching_files(&self, planner: &Planner<'_>, parameters: &ParameterFields) -> Result<LogicalPlan, EngineError> {
        let file = column(FILE_COLUMN);
        let mut query = self.select(vec![
            SelectItem::ExprWithAlias { expr: file.clone(), alias: quoted("file") },
            SelectItem::ExprWithAlias { expr: count_star()?, alias: quoted("rows") },
        ])?;
        if let ast::SetExpr::Select(select) = query.body.as_mut() {
            select.selection.clone_from(&self.condition);
            select.group_by = ast::GroupByExpr::Expressions(vec![file], Vec::new());
        }
        planner.query(query, parameters.clone()).map_err(|error| planning_error(&error))
    }

    /// The rows that stay as they are.
    fn kept_rows(&self, planner: &Planner<'_>, target: &Target, parameters: &ParameterFields) -> Result<Option<LogicalPlan>, EngineError> {
        let Some(condition) = &self.condition else { return Ok(None) };
        let items = target.columns.columns.iter().map(|from| SelectItem::UnnamedExpr(column(from.field.name()))).collect();
        let mut query = self.select(items)?;
        if let ast::SetExpr::Select(select) = query.body.as_mut() {
            let condition = AstExpr::Nested(Box::new(condition.clone()));
            select.selection = Some(AstExpr::IsNotTrue(Box::new(condition)));
        }
        planner.query(query, parameters.clone()).map(Some).map_err(|error| planning_error(&error))
    }

    /// The rows that change, with their new values.
    fn changed_rows(&self, planner: &Planner<'_>, target: &Target, parameters: &ParameterFields) -> Result<LogicalPlan, EngineError> {
        let items = target
            .columns
            .columns
            .iter()
            .enumerate()
            .map(|(position, from)| {
                let assigned = self.assignments.iter().find(|(at, _)| *at == position);
                let expr = assigned.map_or_else(|| column(from.field.name()), |(_, value)| value.clone());
                SelectItem::ExprWithAlias { expr, alias: quoted(&format!("\u{0}{position}")) }
            })
            .collect();
        let mut query = self.select(items)?;
        if let ast::SetExpr::Select(select) = query.body.as_mut() {
            select.selection.clone_from(&self.condition);
        }
        let plan = planner.query(query, parameters.clone()).map_err(|error| planning_error(&error))?;
        let literals = top_literals(&plan);
        let schema = Arc::clone(plan.schema());
        let mut exprs = Vec::new();
        for (position, (from, column)) in schema.columns().into_iter().zip(&target.columns.columns).enumerate() {
            let literal = literals.get(position).cloned().flatten();
            let expr = match literal {
                Some(literal) => assigned(literal, &DFSchema::empty(), column)?,
                None => assigned(Expr::Column(from), &schema, column)?,
            };
            exprs.push(expr.alias(column.field.name()));
        }
        let plan = LogicalPlanBuilder::from(plan).project(exprs).and_then(LogicalPlanBuilder::build);
        with_generated(planner, plan.map_err(|error| planning_error(&error))?, target)
    }

    /// `SELECT items FROM target AS alias`.
    fn select(&self, items: Vec<SelectItem>) -> Result<Query, EngineError> {
        let statement = Parser::parse_sql(&PostgreSqlDialect {}, "SELECT 1 FROM t AS a").ok().and_then(|mut parsed| parsed.pop());
        let Some(Statement::Query(mut query)) = statement else { return Err(error::internal("a query is one")) };
        if let ast::SetExpr::Select(select) = query.body.as_mut() {
            select.projection = items;
            if let Some(TableWithJoins { relation: TableFactor::Table { name, alias, .. }, .. }) = select.from.first_mut() {
                *name = ObjectName(vec![ObjectNamePart::Identifier(quoted(TARGET))]);
                *alias = Some(TableAlias { name: self.alias.clone(), ..alias.take().unwrap_or_else(|| plain_alias(&self.alias)) });
            }
        }
        Ok(*query)
    }
}

/// One run of an UPDATE, DELETE or TRUNCATE.
pub struct Run {
    pub shared: Arc<Shared>,
    pub state: SessionState,
    pub target: Target,
    pub metrics: Arc<ExecutionMetrics>,
    pub context: ExecutionContext,
    pub fields: ParameterFields,
    pub values: Option<ParamValues>,
}

/// Lets plans made here scan the target.
pub fn add_target(shared: &Arc<Shared>, sources: &mut Sources, target: &Target) {
    sources.tables.insert(TableReference::bare(TARGET), source(scan(shared, target, None)));
}

/// Rewrites, and commits.
///
/// # Errors
/// The statement's; `Conflict` where another writer replaced the same files.
pub async fn run(run: Run, rewrite: &Rewrite, opened: Opened) -> Result<Outcome, EngineError> {
    let target = &run.target;
    target.check_rewritable()?;
    let files = Arc::clone(target.version.files()?);
    let mut sources = opened.sources;
    add_target(&run.shared, &mut sources, target);
    let tables = opened.tables;

    // Which files, and how many rows of each.
    let known: Option<BTreeMap<usize, u64>> = match rewrite.condition {
        None => files.files.iter().enumerate().map(|(number, file)| file.rows().map(|rows| (number, rows))).collect(),
        Some(_) => None,
    };
    let touched = match known {
        Some(touched) => touched,
        None => {
            let plan = run.plan(rewrite.matching_files(&Planner::new(&run.state, &sources), &run.fields)?)?;
            refuse_volatile(&plan)?;
            run.count(&plan, &files, &tables).await?
        }
    };
    let rows: u64 = touched.values().sum();
    let mut outcome = Outcome { rows, ..Outcome::default() };
    if touched.is_empty() {
        outcome.metrics = run.metrics.snapshot();
        return Ok(outcome);
    }

    // What is left of them.
    let layout = FileLayout::of(&target.version, &target.columns, target.table.log_store.object_store(None));
    let partly: Vec<bool> = files
        .files
        .iter()
        .enumerate()
        .map(|(number, file)| touched.get(&number).is_some_and(|count| rewrite.is_update || file.rows() != Some(*count)))
        .collect();
    let adds = if partly.iter().any(|partly| *partly) {
        let scan = scan(&run.shared, target, Some(Arc::new(partly)));
        sources.tables.insert(TableReference::bare(TARGET), source(scan));
        let planner = Planner::new(&run.state, &sources);
        let mut plans = Vec::new();
        if let Some(kept) = rewrite.kept_rows(&planner, target, &run.fields)? {
            plans.push((run.plan(kept)?, false));
        }
        if rewrite.is_update {
            plans.push((run.plan(rewrite.changed_rows(&planner, target, &run.fields)?)?, true));
        }
        run.write(&layout, plans, &tables).await?
    } else {
        Vec::new()
    };
    outcome.metrics = run.metrics.snapshot();
    outcome.files_written = u64::try_from(adds.len()).unwrap_or(0);
    outcome.bytes_written = bytes_of(&adds);
    if run.context.cancel.is_cancelled() {
        layout.discard(&adds).await;
        return Err(EngineError::Canceled);
    }
    match run.commit(rewrite, &touched, &adds).await {
        Ok(version) => {
            outcome.version = version;
            Ok(outcome)
        }
        Err(error) => {
            // Of a commit that may have happened the files must stay.
            if !matches!(error, EngineError::CommitUnknown { .. }) {
                layout.discard(&adds).await;
            }
            Err(error)
        }
    }
}

impl Run {
    fn plan(&self, plan: LogicalPlan) -> Result<LogicalPlan, EngineError> {
        filled_plan(&self.state, analyzed_plan(&self.state, plan)?, self.values.clone())
    }

    async fn start(
        &self,
        plan: &LogicalPlan,
        tables: &[(String, String)],
    ) -> Result<(Arc<dyn ExecutionPlan>, SendableRecordBatchStream), EngineError> {
        let started = async {
            let physical = self.state.query_planner().create_physical_plan(plan, &self.state).await?;
            let physical = interruptible(physical, &self.context.cancel)?;
            let stream = execute_stream(Arc::clone(&physical), self.state.task_ctx())?;
            Ok((physical, stream))
        };
        started.await.map_err(|error| error::from_datafusion(&error, tables))
    }

    /// The next batch, unless the statement is canceled first.
    async fn next(&self, stream: &mut SendableRecordBatchStream, tables: &[(String, String)]) -> Result<Option<RecordBatch>, EngineError> {
        tokio::select! {
            biased;
            () = self.context.cancel.cancelled() => Err(EngineError::Canceled),
            next = stream.try_next() => next.map_err(|error| error::from_datafusion(&error, tables)),
        }
    }

    /// Matching rows of each file that has some.
    async fn count(&self, plan: &LogicalPlan, files: &FileList, tables: &[(String, String)]) -> Result<BTreeMap<usize, u64>, EngineError> {
        let (physical, mut stream) = self.start(plan, tables).await?;
        let mut counts = BTreeMap::new();
        while let Some(batch) = self.next(&mut stream, tables).await? {
            let (numbers, rows) = (batch.column(0).as_primitive_opt::<Int64Type>(), batch.column(1).as_primitive_opt::<Int64Type>());
            let (Some(numbers), Some(rows)) = (numbers, rows) else { return Err(error::internal("file numbers and counts are bigint")) };
            for (number, rows) in numbers.values().iter().zip(rows.values()) {
                let number = usize::try_from(*number).ok().filter(|number| *number < files.files.len());
                let Some(number) = number else { return Err(error::internal("a file number is out of range")) };
                counts.insert(number, u64::try_from(*rows).unwrap_or(0));
            }
        }
        collect_metrics(&physical, &self.metrics);
        Ok(counts)
    }

    /// Writes the rows of some plans; `true` says that they are new and have to be checked.
    async fn write(
        &self,
        layout: &FileLayout,
        plans: Vec<(LogicalPlan, bool)>,
        tables: &[(String, String)],
    ) -> Result<Vec<Add>, EngineError> {
        let target = &self.target;
        let checks = RowChecks::new(&self.state, &target.name.name, &target.version, &target.columns)?;
        let mut writer = layout.writer();
        for (plan, is_new) in plans {
            let (physical, mut stream) = self.start(&plan, tables).await?;
            while let Some(batch) = self.next(&mut stream, tables).await? {
                let batch = if is_new { checks.apply(&batch)? } else { batch };
                writer.write(&layout.physical_rows(&batch)?).await?;
            }
            collect_metrics(&physical, &self.metrics);
        }
        writer.close().await
    }

    /// Commits, or stages; the version where there is one.
    async fn commit(&self, rewrite: &Rewrite, touched: &BTreeMap<usize, u64>, adds: &[Add]) -> Result<Option<u64>, EngineError> {
        let snapshot = &self.target.version.snapshot;
        let files = snapshot.log_data();
        let removes = files.iter().enumerate().filter(|(number, _)| touched.contains_key(number));
        let removes = removes.map(|(_, file)| file.remove_action(true));
        if let Some(transaction) = &self.target.transaction {
            let kind = if rewrite.is_update { StepKind::Update } else { StepKind::Delete };
            let (rows, removes) = (Vec::new(), removes.collect());
            let step = Step { rows, adds: adds.to_vec(), removes, id: CommitId::new(), kind, blind: false };
            LocalTransaction::of(transaction.as_ref())?.stage_step(step).await?;
            return Ok(None);
        }
        // No predicate: its literals are data, and the log keeps them for as long as it lives.
        let operation = match rewrite.is_update {
            true => DeltaOperation::Update { predicate: None },
            false => DeltaOperation::Delete { predicate: None },
        };
        let change = Change {
            base: Arc::clone(&self.target.version),
            actions: removes.map(Action::Remove).chain(adds.iter().cloned().map(Action::Add)).collect(),
            operation,
            ids: vec![CommitId::new()],
            blind: false,
        };
        let (table, name) = (Arc::clone(&self.target.table), self.target.name.name.clone());
        self.shared
            .runtime
            .run_to_end(async move {
                let _order = table.writes.commits.lock().await;
                commit(&table, &name, change).await.map(Some)
            })
            .await
    }
}

fn scan(shared: &Arc<Shared>, target: &Target, only: Option<Arc<Vec<bool>>>) -> TableScan {
    let Target { version, columns, name, .. } = target;
    let scan = TableScan::new(Arc::clone(&shared.tables), Arc::clone(version), columns.clone(), name.name.clone()).with_file_numbers();
    match only {
        Some(only) => scan.only(only),
        None => scan,
    }
}

fn source(scan: TableScan) -> Arc<dyn datafusion::logical_expr::TableSource> {
    provider_as_source(Arc::new(scan))
}

/// The condition is evaluated more than once; each time it must say the same.
fn refuse_volatile(plan: &LogicalPlan) -> Result<(), EngineError> {
    use datafusion::common::tree_node::TreeNodeRecursion;
    let mut volatile = false;
    let visited = plan.apply_with_subqueries(|plan| {
        plan.apply_expressions(|expr| {
            volatile |= expr.is_volatile();
            Ok(TreeNodeRecursion::Continue)
        })
    });
    visited.map_err(|error| planning_error(&error))?;
    if volatile { Err(error::unsupported("volatile functions in the condition of UPDATE or DELETE")) } else { Ok(()) }
}

fn refuse(present: bool, clause: &str) -> Result<(), EngineError> {
    if present { Err(error::unsupported(clause)) } else { Ok(()) }
}

fn alias_of(table: &TableWithJoins, target: &Target) -> Result<Ident, EngineError> {
    match &table.relation {
        TableFactor::Table { alias: Some(alias), .. } => Ok(alias.name.clone()),
        TableFactor::Table { .. } => Ok(quoted(&target.name.name)),
        _ => Err(error::sql(SqlMistake::WrongObjectType, "only tables can be changed")),
    }
}

fn plain_alias(name: &Ident) -> TableAlias {
    TableAlias { explicit: true, name: name.clone(), columns: Vec::new(), at: None }
}

fn assignments(written: &[ast::Assignment], target: &Target) -> Result<Vec<(usize, AstExpr)>, EngineError> {
    let mut found: Vec<(usize, AstExpr)> = Vec::new();
    let mut add = |name: &ObjectName, value: AstExpr| -> Result<(), EngineError> {
        let Some(ObjectNamePart::Identifier(name)) = name.0.last().filter(|_| name.0.len() == 1) else {
            return Err(error::unsupported("assignment to a part of a column"));
        };
        let position = column_position(name, target)?;
        let column = &target.columns.columns[position];
        if found.iter().any(|(at, _)| *at == position) {
            return Err(error::sql(SqlMistake::Syntax, format!("multiple assignments to same column \"{}\"", column.field.name())));
        }
        let value = if is_default(&value) {
            default_of(&target.relation, column)?
        } else {
            refuse_generated(column)?;
            value
        };
        found.push((position, value));
        Ok(())
    };
    for assignment in written {
        match &assignment.target {
            AssignmentTarget::ColumnName(name) => add(name, assignment.value.clone())?,
            AssignmentTarget::Tuple(names) => {
                let values = match &assignment.value {
                    AstExpr::Tuple(values) => values.clone(),
                    AstExpr::Nested(value) if names.len() == 1 => vec![value.as_ref().clone()],
                    _ => return Err(error::unsupported("assignment of a subquery to several columns")),
                };
                if values.len() != names.len() {
                    return Err(error::sql(SqlMistake::Syntax, "number of columns does not match number of values"));
                }
                for (name, value) in names.iter().zip(values) {
                    add(name, value)?;
                }
            }
        }
    }
    Ok(found)
}

/// For each column of a projection the literal or parameter that it is, if it is one.
fn top_literals(plan: &LogicalPlan) -> Vec<Option<Expr>> {
    let LogicalPlan::Projection(projection) = plan else { return Vec::new() };
    let plain = |expr: &Expr| Some(expr.clone().unalias()).filter(|plain| matches!(plain, Expr::Literal(..) | Expr::Placeholder(_)));
    projection.expr.iter().map(plain).collect()
}

struct Shorten<'a> {
    target: &'a Target,
    alias: &'a Ident,
}

impl VisitorMut for Shorten<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut AstExpr) -> ControlFlow<()> {
        let AstExpr::CompoundIdentifier(parts) = expr else { return ControlFlow::Continue(()) };
        let name = &self.target.name;
        let is = |part: &Ident, text: &str| {
            if part.quote_style.is_some() { part.value == text } else { part.value.eq_ignore_ascii_case(text) }
        };
        let names_target = match parts.as_slice() {
            [database, schema, table, _] => is(database, &name.database) && is(schema, &name.schema) && is(table, &name.name),
            [schema, table, _] => is(schema, &name.schema) && is(table, &name.name),
            _ => false,
        };
        if names_target && self.alias.value == name.name {
            let at = parts.len() - 2;
            parts.drain(..at);
        }
        ControlFlow::Continue(())
    }
}

fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

fn column(name: &str) -> AstExpr {
    AstExpr::Identifier(quoted(name))
}

fn count_star() -> Result<AstExpr, EngineError> {
    let parsed = Parser::new(&PostgreSqlDialect {}).try_with_sql("count(*)").and_then(|mut parser| parser.parse_expr());
    parsed.map_err(|_| error::internal("an expression is one"))
}
