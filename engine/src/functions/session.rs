//! What functions and casts know of the session they run in.

use std::sync::Arc;

use lakegate_engine_api::{CatalogLookup, SessionFacts};

use super::text::style::Style;

#[derive(Debug)]
pub struct Session {
    pub facts: Arc<SessionFacts>,
    pub style: Style,
}

impl Session {
    #[must_use]
    pub fn new(facts: Arc<SessionFacts>) -> Arc<Session> {
        let style = Style::of(&facts.settings, &facts.time_zone, facts.transaction_time.timestamp_micros());
        Arc::new(Session { facts, style })
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
