//! The engine's end: what has begun comes to its own.

use std::time::Duration;

use super::Host;

/// Between two looks whether something is left to do.
const LOOK: Duration = Duration::from_millis(20);

impl Host {
    /// Ends once nothing runs, no transaction is open, and no plan is about to run. Whoever starts it says how long it may take.
    pub async fn drain(&self) {
        self.draining.cancel();
        loop {
            // The gateways are told, and what they sent before is seen.
            tokio::time::sleep(LOOK).await;
            let is_busy = self.sessions().values().any(|session| session.is_busy());
            if !is_busy {
                break;
            }
        }
        self.end_sessions();
    }

    pub fn end_sessions(&self) {
        let sessions: Vec<_> = self.sessions().values().cloned().collect();
        for session in sessions {
            session.close();
        }
    }
}
