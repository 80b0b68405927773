//! What functions and casts know of the session they run in.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use datafusion::logical_expr::Volatility;
use lakegate_engine_api::{CatalogLookup, SessionFacts};

use super::text::style::Style;

#[derive(Debug)]
pub struct Session {
    /// Of the statement, or of the first execution of one that is renewed.
    pub facts: Arc<SessionFacts>,
    pub style: Style,
    /// Microseconds, where executions differ in them.
    moment: Option<Moment>,
}

#[derive(Debug)]
struct Moment {
    transaction: AtomicI64,
    statement: AtomicI64,
}

impl Session {
    #[must_use]
    pub fn new(facts: Arc<SessionFacts>) -> Arc<Session> {
        let style = Style::of(&facts.settings, &facts.time_zone, facts.transaction_time.timestamp_micros());
        Arc::new(Session { facts, style, moment: None })
    }

    /// One whose plan is run again at other times.
    #[must_use]
    pub fn renewable(facts: Arc<SessionFacts>) -> Arc<Session> {
        let style = Style::of(&facts.settings, &facts.time_zone, facts.transaction_time.timestamp_micros());
        let transaction = facts.transaction_time.timestamp_micros().into();
        let statement = facts.statement_time.timestamp_micros().into();
        Arc::new(Session { facts, style, moment: Some(Moment { transaction, statement }) })
    }

    /// The time of the next execution. False where there is one time for all.
    #[must_use]
    pub fn renew(&self, facts: &SessionFacts) -> bool {
        if let Some(moment) = &self.moment {
            moment.transaction.store(facts.transaction_time.timestamp_micros(), Ordering::Release);
            moment.statement.store(facts.statement_time.timestamp_micros(), Ordering::Release);
        }
        self.moment.is_some()
    }

    /// What tells the time may not be computed before the plan runs.
    #[must_use]
    pub fn time_volatility(&self) -> Volatility {
        if self.moment.is_some() { Volatility::Volatile } else { Volatility::Stable }
    }

    /// When the transaction began, microseconds.
    #[must_use]
    pub fn transaction_time(&self) -> i64 {
        match &self.moment {
            Some(moment) => moment.transaction.load(Ordering::Acquire),
            None => self.facts.transaction_time.timestamp_micros(),
        }
    }

    /// When the statement came, microseconds.
    #[must_use]
    pub fn statement_time(&self) -> i64 {
        match &self.moment {
            Some(moment) => moment.statement.load(Ordering::Acquire),
            None => self.facts.statement_time.timestamp_micros(),
        }
    }

    #[must_use]
    pub fn lookup(&self) -> &dyn CatalogLookup {
        self.facts.lookup.as_ref()
    }

    /// Tells sessions apart in the identity of functions.
    #[must_use]
    pub fn identity(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).addr()
    }
}
