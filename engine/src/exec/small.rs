//! What is kept between the executions of a query over few rows in memory, as clients ask the catalogs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::Result;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use lakegate_engine_api::SessionFacts;

use crate::functions::session::Session;

/// Between executions.
pub struct Small {
    session: Arc<Session>,
    /// The physical plan of one that has ended, for the next one.
    ready: Mutex<Option<Arc<dyn ExecutionPlan>>>,
    running: AtomicUsize,
}

/// An execution that has begun and not ended.
pub struct Run(Arc<Small>);

impl Drop for Run {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Small {
    #[must_use]
    pub fn new(session: Arc<Session>) -> Small {
        Small { session, ready: Mutex::default(), running: AtomicUsize::new(0) }
    }

    #[must_use]
    pub fn begin(self: &Arc<Self>) -> Run {
        self.running.fetch_add(1, Ordering::AcqRel);
        Run(Arc::clone(self))
    }

    /// See [`lakegate_engine_api::Prepared::renew`].
    #[must_use]
    pub fn renew(&self, facts: &SessionFacts) -> bool {
        self.running.load(Ordering::Acquire) == 0 && self.session.renew(facts)
    }

    /// A plan that nobody runs, as it was before its first execution.
    ///
    /// # Errors
    /// A node that cannot be made again.
    pub fn take(&self) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner).take();
        ready.map(reset_plan_states).transpose()
    }

    pub fn put(&self, plan: Arc<dyn ExecutionPlan>) {
        *self.ready.lock().unwrap_or_else(PoisonError::into_inner) = Some(plan);
    }
}
