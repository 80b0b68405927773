//! The control plane's word on a commit of several tables, at the gateway.

use std::sync::Arc;

use async_trait::async_trait;
use lakegate_engine_api::{CommitDecision, Decision, TableCommit};

use super::calls::Calls;
use crate::flight::wire::Question;

pub struct RemoteDecision {
    pub calls: Arc<Calls>,
    pub object: u64,
}

impl RemoteDecision {
    /// Where the gateway has gone, recovery settles what it left: see [`Decision::Gone`].
    async fn decision(&self, question: Question) -> Decision {
        self.calls.ask(self.object, question).await.unwrap_or(Decision::Gone)
    }
}

#[async_trait]
impl CommitDecision for RemoteDecision {
    async fn intend(&self, commits: &[TableCommit]) -> bool {
        self.calls.ask(self.object, Question::Intend(commits.to_vec())).await.unwrap_or(false)
    }

    async fn decide(&self) -> Decision {
        self.decision(Question::Decide).await
    }

    async fn outcome(&self) -> Decision {
        self.decision(Question::Outcome).await
    }

    async fn abandon(&self) {
        // Recovery finds a record that stays.
        let _: Result<(), _> = self.calls.ask(self.object, Question::Abandon).await;
    }
}
