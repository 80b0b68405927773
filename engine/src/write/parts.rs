//! `WITH d AS (DELETE … RETURNING *) INSERT …`: several changes in one statement, and a query or a change over what they return. All of
//! them read the tables as they were before the statement; what they do to one table is one commit.
//!
//! The gateway has moved the plain queries of WITH to where they are named: what is left in WITH are the changes.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::common::{ParamValues, TableReference};
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use lakegate_engine_api::catalog::RelationName;
use lakegate_engine_api::{
    BoundStatement, EngineError, Execution, ExecutionContext, ExecutionMetrics, Outcome, Phase, Prepared, SqlMistake, Work as Task,
};
use sqlparser::ast::{FromTable, Ident, ObjectName, Query, SetExpr, Statement, TableFactor, TableObject, Visit, visit_relations};

use super::append::Appender;
use super::apply::{Manner, Run, Work};
use super::change::{add_proposed, add_target, manner, present_returned, propose, proposed_schema, returned_columns};
use super::dml::{ChangePlan, Context, Dml, proposed_plan};
use super::insert::ParameterFields;
use super::spool::{Spool, Spooled};
use super::staged::StepKind;
use super::target::Target;
use crate::error;
use crate::exec::{Shared, open_relations, parameter_values};
use crate::plan::Sessions;
use crate::plan::{
    Audience, Planner, Sources, analyzed_plan, cast_to, declared_fields, filled_plan, found_parameters, plan_query, planning_error,
    resolved_parameters, result_schema, returned_schema,
};

/// One change among several.
struct Part {
    /// Under which later parts know its rows; `None` for the statement's own change.
    name: Option<(TableReference, Vec<String>)>,
    statement: Statement,
}

/// A planned statement of several changes.
pub struct PreparedParts {
    shared: Arc<Shared>,
    state: SessionState,
    statement: BoundStatement,
    parameters: Vec<FieldRef>,
    result: Option<SchemaRef>,
    versions: Vec<(RelationName, u64)>,
}

/// # Errors
/// The statement's mistakes.
pub async fn prepare_parts(shared: Arc<Shared>, statement: BoundStatement) -> Result<PreparedParts, EngineError> {
    let query = query_of(&statement)?;
    let (parts, main) = split(query)?;
    let state = shared.sessions.state(&statement.session);
    let opened = open_relations(&shared, &statement.relations, &statement.session).await?;
    let mut sources = opened.sources;
    let mut known = declared_fields(&statement.parameter_types)?;
    let mut found = BTreeMap::new();
    let mut versions: Vec<(RelationName, u64)> = Vec::new();
    let mut result = None;
    for part in &parts {
        let target = Target::open(&shared, &statement.relations, &target_name(&part.statement)?).await?;
        if versions.iter().all(|(name, _)| *name != target.name) {
            versions.push((target.name.clone(), target.version.version()));
        }
        let dml = Dml::new(&part.statement, &target)?;
        if dml.rewrites() {
            target.check_rewritable()?;
        }
        add_target(&shared, &mut sources, &target, &dml);
        if let Dml::Upsert(_) = &dml {
            add_proposed(&mut sources, Arc::new(EmptyTable::new(proposed_schema(&target))));
        }
        let context = Trial { state: &state, sources: &sources, target: &target };
        result = context.returned(&dml, &mut known, &mut found, part.name.is_none())?;
        if let Some((name, _)) = part.name.as_ref().filter(|_| !dml.returns_rows()) {
            let name = name.table();
            if parts.iter().any(|part| reads(&part.statement, name)) || main.is_some_and(|main| reads(main, name)) {
                return Err(error::unsupported(format!("reading WITH query \"{name}\", which has no RETURNING clause,")));
            }
        } else if let Some((name, aliases)) = &part.name {
            let rows = named(result.take(), aliases)?;
            sources.tables.insert(name.clone(), provider_as_source(Arc::new(EmptyTable::new(rows))));
        }
    }
    if let Some(main) = main {
        let planner = Planner::new(&state, &sources);
        let plan = planner.query(main.clone(), known.clone()).map_err(|error| planning_error(&error))?;
        found_parameters(&state, &plan, &mut known, &mut found)?;
        let types: Vec<_> = known.iter().map(|field| field.as_ref().map(|field| lakegate_engine_api::pg_type(field))).collect();
        let planned = plan_query(&planner, &state, main, &types, Audience::Client(&statement.session))?;
        result = Some(planned.schema);
    }
    let parameters = resolved_parameters(&known, &found)?;
    Ok(PreparedParts { shared, state, statement, parameters, result, versions })
}

fn query_of(statement: &BoundStatement) -> Result<&Query, EngineError> {
    match &statement.work {
        Task::Change { statement, .. } => match statement.as_ref() {
            Statement::Query(query) => Ok(query),
            _ => Err(error::internal("a query with changes is one")),
        },
        _ => Err(error::internal("a change is one")),
    }
}

/// The changes in their order, the statement's own last, and its query where it is one.
fn split(query: &Query) -> Result<(Vec<Part>, Option<&Query>), EngineError> {
    let mut parts = Vec::new();
    for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
        let statement = change(&cte.query.body).ok_or_else(|| error::unsupported("a query here in WITH"))?;
        let aliases = cte.alias.columns.iter().map(|column| folded(&column.name)).collect();
        parts.push(Part { name: Some((TableReference::bare(folded(&cte.alias.name)), aliases)), statement: statement.clone() });
    }
    match query.body.as_ref() {
        SetExpr::Query(main) => Ok((parts, Some(main))),
        body => {
            let statement = change(body).ok_or_else(|| error::unsupported("this statement after WITH"))?.clone();
            parts.push(Part { name: None, statement });
            Ok((parts, None))
        }
    }
}

fn change(body: &SetExpr) -> Option<&Statement> {
    match body {
        SetExpr::Insert(change) | SetExpr::Update(change) | SetExpr::Delete(change) | SetExpr::Merge(change) => Some(change),
        _ => None,
    }
}

/// Whether a query of WITH is named where rows are read.
fn reads(node: &impl Visit, name: &str) -> bool {
    let named = visit_relations(node, |relation| match relation.0.as_slice() {
        [part] if part.as_ident().is_some_and(|part| folded(part) == name) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    named.is_break()
}

fn target_name(statement: &Statement) -> Result<RelationName, EngineError> {
    let of = |factor: &TableFactor| match factor {
        TableFactor::Table { name, .. } => three_parts(name),
        _ => None,
    };
    let name = match statement {
        Statement::Insert(insert) => match &insert.table {
            TableObject::TableName(name) => three_parts(name),
            _ => None,
        },
        Statement::Update(update) => of(&update.table.relation),
        Statement::Merge(merge) => of(&merge.table),
        Statement::Delete(delete) => {
            let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
            from.first().and_then(|table| of(&table.relation))
        }
        _ => None,
    };
    name.ok_or_else(|| error::sql(SqlMistake::WrongObjectType, "only tables can be changed"))
}

pub fn three_parts(name: &ObjectName) -> Option<RelationName> {
    let part = |at: usize| name.0.get(at).and_then(|part| part.as_ident()).map(|ident| ident.value.clone());
    Some(RelationName { database: part(0)?, schema: part(1)?, name: part(2)? })
}

fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// The rows of a part, as later ones name their columns.
fn named(returned: Option<SchemaRef>, aliases: &[String]) -> Result<SchemaRef, EngineError> {
    let fields = returned.map(|schema| schema.fields().clone()).unwrap_or_default();
    if aliases.len() > fields.len() {
        return Err(error::sql(SqlMistake::InvalidColumnReference, "WITH names more columns than its statement returns"));
    }
    let field = |(at, field): (usize, &FieldRef)| {
        let name = aliases.get(at).unwrap_or_else(|| field.name());
        Field::new(name, field.data_type().clone(), true).with_metadata(field.metadata().clone())
    };
    Ok(Arc::new(Schema::new(fields.iter().enumerate().map(field).collect::<Vec<_>>())))
}

struct Trial<'a> {
    state: &'a SessionState,
    sources: &'a Sources,
    target: &'a Target,
}

impl Trial<'_> {
    /// Plans a part, for its mistakes and the columns that it returns; what is found of the parameters goes into `known` and `found`.
    fn returned(
        &self,
        dml: &Dml,
        known: &mut ParameterFields,
        found: &mut BTreeMap<usize, Option<FieldRef>>,
        shown: bool,
    ) -> Result<Option<SchemaRef>, EngineError> {
        let planner = Planner::new(self.state, self.sources);
        let context = |fields| Context { planner: &planner, target: self.target, parameters: fields, target_use: dml.target_use() };
        if let Dml::Upsert(upsert) = dml {
            let fields = known.clone();
            found_parameters(self.state, &proposed_plan(&context(&fields), upsert)?, known, found)?;
        }
        for ChangePlan { plan, .. } in dml.plans(&planner, self.target, &known.clone())? {
            found_parameters(self.state, &plan, known, found)?;
        }
        let mut returned = None;
        for ChangePlan { plan, shape } in dml.plans(&planner, self.target, known)? {
            let plan = analyzed_plan(self.state, plan)?;
            if dml.returns_rows() {
                returned = Some(match shown {
                    true => returned_schema(&plan, &present_returned(plan.clone(), &shape)?, returned_columns(&shape))?,
                    false => inner_schema(&plan, returned_columns(&shape))?,
                });
            }
        }
        Ok(returned)
    }
}

/// The columns of a part as other parts see them.
fn inner_schema(plan: &LogicalPlan, columns: std::ops::Range<usize>) -> Result<SchemaRef, EngineError> {
    let columns: Vec<usize> = columns.collect();
    let schema = result_schema(plan.schema().as_arrow(), &[], &[]);
    schema.project(&columns).map(Arc::new).map_err(|error| error::from_arrow(&error))
}

#[async_trait]
impl Prepared for PreparedParts {
    fn parameters(&self) -> &[FieldRef] {
        &self.parameters
    }

    fn result_schema(&self) -> Option<&SchemaRef> {
        self.result.as_ref()
    }

    fn table_versions(&self) -> Vec<(RelationName, u64)> {
        self.versions.clone()
    }

    async fn execute(&self, parameters: Vec<ArrayRef>, context: ExecutionContext) -> Result<Execution, EngineError> {
        let values = match self.parameters.is_empty() {
            true => None,
            false => Some(parameter_values(&self.parameters, &parameters)?),
        };
        let once = Once {
            shared: Arc::clone(&self.shared),
            state: self.state.clone(),
            statement: self.statement.clone(),
            fields: self.parameters.iter().cloned().map(Some).collect(),
            values,
            context: context.clone(),
            result: self.result.clone(),
        };
        let (outcome, rows) = self.shared.runtime.run_cooperative(once.run()).await?;
        let (Some(schema), Some(rows)) = (&self.result, rows) else { return Ok(Execution::Done(outcome)) };
        let stream = rows.stream().map_err(|error| error::from_datafusion(&error, &[]))?;
        let map_error = |error: datafusion::common::DataFusionError| error::from_datafusion(&error, &[]);
        let stream = self.shared.runtime.hand_over(stream, context.cancel, map_error).await?;
        Ok(Execution::Returned { schema: Arc::clone(schema), stream, outcome })
    }
}

/// One run.
struct Once {
    shared: Arc<Shared>,
    state: SessionState,
    statement: BoundStatement,
    fields: ParameterFields,
    values: Option<ParamValues>,
    context: ExecutionContext,
    result: Option<SchemaRef>,
}

/// A table that the statement changes.
struct Changed {
    run: Run,
    appender: Appender,
    manner: Manner,
}

impl Once {
    async fn run(self) -> Result<(Outcome, Option<Spooled>), EngineError> {
        let (parts, main) = split(query_of(&self.statement)?)?;
        let metrics = Arc::new(ExecutionMetrics::default());
        let state = Sessions::counting(&self.state, &metrics);
        let mut targets: Vec<Target> = Vec::new();
        for part in &parts {
            let name = target_name(&part.statement)?;
            if targets.iter().all(|target| target.name != name) {
                targets.push(Target::open(&self.shared, &self.statement.relations, &name).await?);
            }
        }
        if targets.len() > 1 && targets.iter().any(|target| target.transaction.is_none()) {
            return Err(error::internal("a change of several tables has a transaction"));
        }
        // Without a transaction there is one table: other changes of it wait.
        let table = targets.first().filter(|target| target.transaction.is_none()).map(|target| Arc::clone(&target.table));
        let _order = match &table {
            None => None,
            Some(table) => Some(tokio::select! {
                biased;
                () = self.context.cancel.cancelled() => return Err(EngineError::Canceled),
                order = table.writes.rewrites.lock() => order,
            }),
        };
        let opened = open_relations(&self.shared, &self.statement.relations, &self.statement.session).await?;
        let progress = self.shared.progress.begin(self.context.statement_id, Phase::WritingRows);
        let mut changed = Vec::with_capacity(targets.len());
        for target in targets {
            let target = target.reopened(&self.shared).await?;
            let run = Run {
                shared: Arc::clone(&self.shared),
                state: state.clone(),
                target: target.clone(),
                metrics: Arc::clone(&metrics),
                context: self.context.clone(),
                values: self.values.clone(),
                tables: Arc::clone(&opened.tables),
            };
            let appender = Appender::new(Arc::clone(&self.shared), &state, target, false, &progress)?;
            changed.push(Changed { run, appender, manner: Manner { kind: StepKind::Append, blind: false, rests_on_absence: false } });
        }
        self.apply(changed, opened.sources, &parts, main).await
    }

    async fn apply(
        &self,
        changed: Vec<Changed>,
        mut sources: Sources,
        parts: &[Part],
        main: Option<&Query>,
    ) -> Result<(Outcome, Option<Spooled>), EngineError> {
        let mut manners: Vec<Manner> = changed.iter().map(|table| table.manner).collect();
        let pool = Arc::clone(&self.state.runtime_env().memory_pool);
        let mut works: Vec<Work<'_>> = changed.iter().map(|table| Work::new(&table.appender, &pool).recording(&table.run.target)).collect();
        let (mut told, mut total, mut result) = (0, 0, None);
        for part in parts {
            let name = target_name(&part.statement)?;
            let Some(at) = changed.iter().position(|table| table.run.target.name == name) else {
                return Err(error::internal("a part's table is open"));
            };
            let run = &changed[at].run;
            let (rows, spooled, manner) = self.take_part(run, &mut works[at], &mut sources, part).await?;
            total += rows;
            joined(&mut manners[at], manner);
            match (&part.name, spooled) {
                (Some((name, _)), Some(spooled)) => {
                    let table = spooled.table().map_err(|error| planning_error(&error))?;
                    sources.tables.insert(name.clone(), provider_as_source(table));
                }
                (Some((name, aliases)), None) => {
                    let empty = EmptyTable::new(named(None, aliases)?);
                    sources.tables.insert(name.clone(), provider_as_source(Arc::new(empty)));
                }
                (None, spooled) => {
                    told = rows;
                    result = spooled;
                }
            }
        }
        if let (Some(main), Some(table)) = (main, changed.first()) {
            result = Some(self.query(&table.run, &sources, main).await?);
        }
        let mut outcome = Outcome::default();
        for ((table, work), manner) in changed.iter().zip(works).zip(manners) {
            let done = table.run.finish(&table.appender, work, manner).await?;
            outcome.files_written += done.files_written;
            outcome.bytes_written += done.bytes_written;
            outcome.version = outcome.version.or(done.version);
            outcome.metrics = done.metrics;
        }
        outcome.rows = told;
        outcome.rows_beside = total - told;
        Ok((outcome, result))
    }

    async fn take_part(
        &self,
        run: &Run,
        work: &mut Work<'_>,
        sources: &mut Sources,
        part: &Part,
    ) -> Result<(u64, Option<Spooled>, Manner), EngineError> {
        let target = &run.target;
        let dml = Dml::new(&part.statement, target)?;
        add_target(&self.shared, sources, target, &dml);
        if let Dml::Upsert(upsert) = &dml {
            let proposed = propose(run, sources, upsert, &self.fields).await?;
            add_proposed(sources, proposed.table().map_err(|error| planning_error(&error))?);
        }
        let mut plans = Vec::new();
        let mut returned = None;
        for ChangePlan { plan, shape } in dml.plans(&Planner::new(&run.state, sources), target, &self.fields)? {
            let mut plan = analyzed_plan(&run.state, plan)?;
            match &part.name {
                None => {
                    plan = present_returned(plan, &shape)?;
                    returned.clone_from(&self.result);
                }
                Some((_, aliases)) if dml.returns_rows() => {
                    returned = Some(named(Some(inner_schema(&plan, returned_columns(&shape))?), aliases)?);
                }
                Some(_) => {}
            }
            plans.push(ChangePlan { plan, shape });
        }
        let (rows, spooled) = run.take_in(work, plans, returned.as_ref()).await?;
        Ok((rows, spooled, manner(&part.statement, &dml)))
    }

    /// The rows of the statement's own query.
    async fn query(&self, run: &Run, sources: &Sources, main: &Query) -> Result<Spooled, EngineError> {
        let Some(schema) = &self.result else { return Err(error::internal("a query has columns")) };
        let types: Vec<_> = self.fields.iter().map(|field| field.as_ref().map(|field| lakegate_engine_api::pg_type(field))).collect();
        let planner = Planner::new(&run.state, sources);
        let planned = plan_query(&planner, &run.state, main, &types, Audience::Client(&self.statement.session))?;
        let plan = filled_plan(&run.state, planned.plan, run.values.clone())?;
        let mut spool = Spool::new(Arc::clone(run.state.runtime_env()), Arc::clone(schema));
        let (physical, mut stream) = run.start(&plan).await?;
        while let Some(batch) = run.next(&mut stream).await? {
            let rows = cast_to(&batch, schema).map_err(|error| error::from_arrow(&error))?;
            spool.push(rows).map_err(|error| error::from_datafusion(&error, &[]))?;
        }
        crate::exec::collect_metrics(&physical, &run.metrics);
        spool.finish().map_err(|error| error::from_datafusion(&error, &[]))
    }
}

/// What several changes of a table are together.
fn joined(manner: &mut Manner, other: Manner) {
    if other.kind != StepKind::Append {
        manner.kind = if manner.kind == StepKind::Append { other.kind } else { StepKind::Update };
    }
    manner.rests_on_absence |= other.rests_on_absence;
}
