//! What a planned query holds on to between its executions, and lets go of once a table that it reads has another version: a plan that
//! nobody may run any more must not keep old files from being deleted, nor rows of them in memory.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use datafusion::common::ParamValues;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use lakegate_engine_api::EngineError;

use super::results::KeptResults;
use crate::delta::Dated;
use crate::plan::{PlannedQuery, filled_plan, filled_template, planning_error, template};

/// A plan, and what was made of it.
pub struct Ready {
    pub state: SessionState,
    pub query: PlannedQuery,
    /// Optimised but for its parameters, where that can be done before they are known.
    template: OnceLock<Option<LogicalPlan>>,
    /// Where its rows may be kept.
    pub results: Option<KeptResults>,
}

impl Ready {
    #[must_use]
    pub fn new(state: SessionState, query: PlannedQuery, results: Option<KeptResults>) -> Ready {
        Ready { state, query, template: OnceLock::new(), results }
    }

    /// The plan with its parameters, optimised.
    ///
    /// # Errors
    /// A constant expression fails.
    pub fn filled(&self, state: &SessionState, values: Option<ParamValues>) -> Result<LogicalPlan, EngineError> {
        let made = self.template.get_or_init(|| template(&self.state, &self.query).ok().flatten());
        match made {
            Some(made) => filled_template(state, made.clone(), values).map_err(|error| planning_error(&error)),
            None => filled_plan(state, self.query.plan.clone(), values),
        }
    }

    /// What runs.
    ///
    /// # Errors
    /// Those of planning.
    pub async fn physical(&self, state: &SessionState, plan: &LogicalPlan) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
        state.query_planner().create_physical_plan(plan, state).await
    }
}

/// A plan as long as it may be run. Whoever is about to run it holds it; the others can be made to let go.
pub struct Kept(Mutex<State>);

struct State {
    ready: Option<Arc<Ready>>,
    holders: usize,
    is_dated: bool,
}

impl Kept {
    /// Held once: by whom it was made for.
    #[must_use]
    pub fn new(ready: Ready) -> Arc<Kept> {
        Arc::new(Kept(Mutex::new(State { ready: Some(Arc::new(ready)), holders: 1, is_dated: false })))
    }

    /// Whether it is there; it then stays until it has been executed.
    #[must_use]
    pub fn hold(&self) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.ready.is_some() {
            state.holders += 1;
        }
        state.ready.is_some()
    }

    /// The same, unless it is of the past.
    #[must_use]
    pub fn hold_current(&self) -> bool {
        let is_dated = self.0.lock().unwrap_or_else(PoisonError::into_inner).is_dated;
        !is_dated && self.hold()
    }

    /// To look at.
    #[must_use]
    pub fn look(&self) -> Option<Arc<Ready>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).ready.clone()
    }

    /// Not to be run after all.
    pub fn release(&self) {
        let _ = self.take();
    }

    /// To run: no longer held.
    #[must_use]
    pub fn take(&self) -> Option<Arc<Ready>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ready = state.ready.clone();
        state.holders = state.holders.saturating_sub(1);
        state.settle();
        ready
    }
}

impl State {
    fn settle(&mut self) {
        if self.is_dated && self.holders == 0 {
            self.ready = None;
        } else if self.is_dated
            && let Some(results) = self.ready.as_ref().and_then(|ready| ready.results.as_ref())
        {
            results.clear();
        }
    }
}

impl Dated for Kept {
    fn let_go(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_dated = true;
        state.settle();
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept")
    }
}
