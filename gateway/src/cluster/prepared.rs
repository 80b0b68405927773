//! A plan on an engine, and how it comes to be on another one.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::ArrayRef;
use arrow_schema::{FieldRef, SchemaRef};
use async_trait::async_trait;
use lakegate_catalog::model::RelationName;
use lakegate_engine_api::{
    BoundRelation, BoundStatement, Effect, EngineError, Execution, ExecutionContext, Prepared, RelationSource, SessionFacts, Work,
};

use super::fleet::{Ask, went_away};
use super::member::{Member, Running};
use super::repeatable::is_repeatable;
use super::routed::Routed;
use super::streams::{self, Ended};
use super::suspects::fingerprint;
use super::transaction;

/// Engines that a statement is brought to before it fails.
const ENGINES_MAX: usize = 4;

pub struct FleetPrepared {
    routed: Routed,
    /// For other engines; `None` where there are none.
    origin: Option<Arc<BoundStatement>>,
    /// It only reads, and asks nothing of its session: it may run again.
    repeatable: bool,
    /// What becomes of it when its engine is lost while it runs.
    effect: Effect,
    at: Mutex<Place>,
    parameters: Vec<FieldRef>,
    schema: Option<SchemaRef>,
    versions: Vec<(RelationName, u64)>,
}

#[derive(Clone)]
struct Place {
    member: Arc<Member>,
    prepared: Arc<dyn Prepared>,
}

/// Plans the statement on one of the engines.
///
/// # Errors
/// Those of planning; `NoEngine`; the statement is in quarantine.
pub async fn prepare(routed: &Routed, statement: BoundStatement) -> Result<Arc<dyn Prepared>, EngineError> {
    let fleet = &routed.fleet;
    if !fleet.is_cluster() {
        let mut statement = statement;
        transaction::bind(&mut statement.relations, fleet.own())?;
        let effect = effect(&statement);
        let prepared = fleet.own().engine.prepare(statement).await?;
        let place = Place { member: Arc::clone(fleet.own()), prepared };
        return Ok(Arc::new(FleetPrepared::new(routed, None, false, effect, place)));
    }
    if !opens_tables(&statement) {
        return fleet.own().engine.prepare(statement).await;
    }
    fleet.check(|| fingerprint(&statement.work))?;
    let origin = Arc::new(statement);
    let (repeatable, effect) = (is_repeatable(&origin.work, &origin.relations), effect(&origin));
    let place = plan(routed, &origin, BoundStatement::clone(&origin), &mut Vec::new()).await?;
    Ok(Arc::new(FleetPrepared::new(routed, Some(origin), repeatable, effect, place)))
}

/// Planning changes nothing: another engine can do it where one is lost.
async fn plan(
    routed: &Routed,
    origin: &BoundStatement,
    statement: BoundStatement,
    tried: &mut Vec<Arc<Member>>,
) -> Result<Place, EngineError> {
    let tables = tables(origin);
    let ask = Ask { warehouse: routed.warehouse.as_deref(), tables: &tables, statement: None };
    let mut reason = None;
    loop {
        let mut copy = statement.clone();
        let placed = routed.fleet.place(ask, &mut copy.relations, tried).await;
        let (member, is_held) = placed.map_err(|none| reason.take().unwrap_or(none))?;
        let running = member.enter();
        let planned = member.hearing(Effect::None, member.engine.prepare(copy)).await;
        drop(running);
        match planned {
            Ok(prepared) => return Ok(Place { member, prepared }),
            Err(error) => {
                note_lost(routed, origin, &member, &error);
                if !went_away(&member, &error, true) || is_held || tried.len() + 1 >= ENGINES_MAX {
                    return Err(error);
                }
                tried.push(member);
                routed.fleet.check(|| fingerprint(&origin.work))?;
                reason = Some(error);
            }
        }
    }
}

impl FleetPrepared {
    fn new(routed: &Routed, origin: Option<Arc<BoundStatement>>, repeatable: bool, effect: Effect, place: Place) -> FleetPrepared {
        FleetPrepared {
            routed: routed.clone(),
            origin,
            repeatable,
            effect,
            parameters: place.prepared.parameters().to_vec(),
            schema: place.prepared.result_schema().cloned(),
            versions: place.prepared.table_versions(),
            at: Mutex::new(place),
        }
    }

    fn place(&self) -> Place {
        self.at.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether its transaction has changes on its engine.
    fn is_held(&self) -> bool {
        let Some(origin) = &self.origin else { return true };
        let staged = transaction::of_relations(&origin.relations);
        staged
            .iter()
            .filter_map(|staged| staged.as_any().downcast_ref::<transaction::FleetTransaction>())
            .any(|staged| staged.group.staged_on().is_some())
    }

    /// Plans it elsewhere, for the versions that it was planned for.
    async fn moved(&self, tried: &mut Vec<Arc<Member>>) -> Result<Place, EngineError> {
        let Some(origin) = &self.origin else { return Ok(self.place()) };
        let mut statement = BoundStatement::clone(origin);
        if matches!(statement.work, Work::Query(_)) {
            statement.relations.iter_mut().for_each(|relation| pin(relation, &self.versions));
        }
        let place = plan(&self.routed, origin, statement, tried).await?;
        let is_same = match (place.prepared.result_schema(), &self.schema) {
            (Some(now), Some(before)) => lakegate_engine_api::same_columns(now, before),
            (now, before) => now.is_none() && before.is_none(),
        };
        if !is_same || place.prepared.parameters().len() != self.parameters.len() {
            return Err(EngineError::Internal { message: "a statement was planned otherwise on another engine".to_owned() });
        }
        metrics::counter!("lakegate_statements_moved_total").increment(1);
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = place.clone();
        Ok(place)
    }

    /// Begins it there; where it may be run again, its first rows are there before anything is answered.
    async fn begin(&self, place: &Place, parameters: Vec<ArrayRef>, context: ExecutionContext) -> Result<Execution, EngineError> {
        let execution = place.prepared.execute(parameters, context).await?;
        match execution {
            Execution::Rows { schema, stream, metrics } if self.repeatable => {
                Ok(Execution::Rows { schema, stream: streams::begun(stream).await?, metrics })
            }
            execution => Ok(execution),
        }
    }

    fn watched(&self, place: &Place, running: Running, execution: Execution) -> Execution {
        let member = || Arc::clone(&place.member);
        match execution {
            Execution::Rows { schema, stream, metrics } => {
                let stream = streams::watched(stream, member(), running, self.ended(&place.member));
                Execution::Rows { schema, stream, metrics }
            }
            Execution::Returned { schema, stream, outcome } => {
                let stream = streams::watched(stream, member(), running, self.ended(&place.member));
                Execution::Returned { schema, stream, outcome }
            }
            Execution::Done(outcome) => {
                self.ended(&place.member)(false);
                Execution::Done(outcome)
            }
        }
    }

    /// Tells those who look for statements that engines die of.
    fn ended(&self, member: &Arc<Member>) -> Ended {
        let (routed, origin, member) = (self.routed.clone(), self.origin.clone(), Arc::clone(member));
        Box::new(move |lost| {
            let Some(origin) = origin else { return };
            if lost {
                note_lost(&routed, &origin, &member, &EngineError::Lost { effect: Effect::None });
            } else if !routed.fleet.suspects().is_empty() {
                routed.fleet.suspects().clear(fingerprint(&origin.work));
            }
        })
    }
}

#[async_trait]
impl Prepared for FleetPrepared {
    fn parameters(&self) -> &[FieldRef] {
        &self.parameters
    }

    fn result_schema(&self) -> Option<&SchemaRef> {
        self.schema.as_ref()
    }

    fn table_versions(&self) -> Vec<(RelationName, u64)> {
        self.versions.clone()
    }

    fn columns_read(&self) -> Vec<(RelationName, Vec<String>)> {
        self.place().prepared.columns_read()
    }

    async fn execute(&self, parameters: Vec<ArrayRef>, context: ExecutionContext) -> Result<Execution, EngineError> {
        let fleet = &self.routed.fleet;
        if let Some(origin) = &self.origin {
            fleet.check(|| fingerprint(&origin.work))?;
        }
        let (mut tried, mut was_lost) = (Vec::new(), false);
        let mut place = self.place();
        if !place.member.is_live() && !self.is_held() {
            place = self.moved(&mut tried).await?;
        }
        loop {
            fleet.placements().put(context.statement_id, &place.member);
            let running = place.member.enter();
            let begun = self.begin(&place, parameters.clone(), context.clone());
            let error = match place.member.hearing(self.effect, begun).await {
                Ok(execution) => return Ok(self.watched(&place, running, execution)),
                Err(error) => error,
            };
            drop(running);
            let Some(origin) = &self.origin else { return Err(error) };
            note_lost(&self.routed, origin, &place.member, &error);
            // What was lost is tried once more, and not a third time.
            let again = self.repeatable && !was_lost;
            was_lost |= matches!(error, EngineError::Lost { .. });
            if !went_away(&place.member, &error, again) || self.is_held() || tried.len() + 1 >= ENGINES_MAX {
                return Err(error);
            }
            tried.push(Arc::clone(&place.member));
            fleet.check(|| fingerprint(&origin.work))?;
            place = match self.moved(&mut tried).await {
                Err(EngineError::NoEngine { .. }) => return Err(error),
                moved => moved?,
            };
        }
    }

    fn hold(&self) -> bool {
        let place = self.place();
        place.member.is_live() && place.prepared.hold()
    }

    fn release(&self) {
        self.place().prepared.release();
    }

    async fn hold_current(&self) -> Result<bool, EngineError> {
        let place = self.place();
        if !place.member.is_live() {
            return Ok(false);
        }
        match place.member.hearing(Effect::None, place.prepared.hold_current()).await {
            Err(EngineError::Lost { .. } | EngineError::Unavailable { .. }) => Ok(false),
            held => held,
        }
    }

    fn renew(&self, facts: &SessionFacts) -> bool {
        self.place().prepared.renew(facts)
    }
}

fn note_lost(routed: &Routed, origin: &BoundStatement, member: &Member, error: &EngineError) {
    if let (EngineError::Lost { .. }, Some(instance)) = (error, member.instance()) {
        routed.fleet.suspects().note(fingerprint(&origin.work), instance, member.beats());
    }
}

/// The root URLs of the tables that it opens.
fn tables(statement: &BoundStatement) -> Vec<&str> {
    let mut tables: Vec<&str> = statement.relations.iter().filter_map(BoundRelation::location).collect();
    if let Work::CreateTableAs { table, .. } = &statement.work {
        tables.push(&table.location);
    }
    tables.sort_unstable();
    tables.dedup();
    tables
}

fn opens_tables(statement: &BoundStatement) -> bool {
    matches!(statement.work, Work::CreateTableAs { .. } | Work::CopyFrom { .. })
        || statement.relations.iter().any(|relation| relation.location().is_some())
}

/// What is staged in a transaction goes with its engine; what commits by itself may have done so.
fn effect(statement: &BoundStatement) -> Effect {
    let is_staged = |relation: &BoundRelation| matches!(relation.source, RelationSource::Table { transaction: Some(_), .. });
    match statement.work {
        Work::Query(_) => Effect::None,
        _ if statement.relations.iter().any(is_staged) => Effect::None,
        _ => Effect::Unknown,
    }
}

fn pin(relation: &mut BoundRelation, versions: &[(RelationName, u64)]) {
    let found = versions.iter().find(|(name, _)| *name == relation.name).map(|(_, version)| *version);
    if let RelationSource::Table { version, transaction: None, .. } = &mut relation.source {
        *version = version.or(found);
    }
}
