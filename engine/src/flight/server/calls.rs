//! Questions to the gateway, and their answers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lakegate_engine_api::{AdvisoryRequest, Effect, EngineError};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::flight::outbox::Outbox;
use crate::flight::tasks::wait;
use crate::flight::wire::{Ask, Question, ToGateway, decoded};

type Answer = Option<Vec<u8>>;

#[derive(Debug, Default)]
pub struct Calls {
    pub outbox: Outbox<ToGateway>,
    next: AtomicU64,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    is_closed: bool,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
    /// Locks (with whom they are asked of) that nobody waits for any more, and that may be granted yet.
    abandoned: HashMap<u64, (u64, AdvisoryRequest)>,
}

impl Calls {
    /// Asks the gateway about one of its objects. Dropped, the question is withdrawn.
    ///
    /// # Errors
    /// `Lost` where the gateway has gone, or has nobody any more who would know.
    pub async fn ask_bytes(&self, object: u64, question: Question) -> Result<Vec<u8>, EngineError> {
        let call = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answered) = oneshot::channel();
        let lock = match &question {
            Question::Lookup(Ask::TakeAdvisoryLock(request)) => Some(*request),
            _ => None,
        };
        {
            let mut open = self.open();
            if open.is_closed {
                return Err(lost());
            }
            open.waiting.insert(call, sender);
        }
        let mut asked = Asked { calls: self, call, object, lock, is_answered: false };
        if !self.outbox.push(ToGateway::Call { call, object, question }) {
            return Err(lost());
        }
        let answer = answered.await;
        asked.is_answered = true;
        match answer {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) | Err(_) => Err(lost()),
        }
    }

    /// The same, and the answer is read.
    ///
    /// # Errors
    /// As [`Calls::ask_bytes`]; `Internal`.
    pub async fn ask<T: DeserializeOwned>(&self, object: u64, question: Question) -> Result<T, EngineError> {
        decoded(&self.ask_bytes(object, question).await?)
    }

    /// [`Calls::ask`] for code that cannot wait otherwise than by keeping its thread.
    ///
    /// # Errors
    /// As [`Calls::ask`].
    pub fn ask_now<T: DeserializeOwned>(&self, object: u64, question: Question) -> Result<T, EngineError> {
        wait(self.ask(object, question))
    }

    /// [`Calls::ask_bytes`], alike.
    ///
    /// # Errors
    /// As [`Calls::ask_bytes`].
    pub fn ask_bytes_now(&self, object: u64, question: Question) -> Result<Vec<u8>, EngineError> {
        wait(self.ask_bytes(object, question))
    }

    pub fn answered(&self, call: u64, answer: Answer) {
        let (waiting, abandoned) = {
            let mut open = self.open();
            (open.waiting.remove(&call), open.abandoned.remove(&call))
        };
        if let Some(waiting) = waiting {
            let _ = waiting.send(answer);
        } else if let Some((object, request)) = abandoned
            && !request.transaction
            && answer.and_then(|answer| decoded::<Result<bool, EngineError>>(&answer).ok()).is_some_and(|taken| matches!(taken, Ok(true)))
        {
            // It was granted when nobody wanted it any more. One of a transaction goes with the transaction, which has failed.
            let question = Question::Lookup(Ask::ReleaseAdvisoryLock(request.key, request.shared));
            let call = self.next.fetch_add(1, Ordering::Relaxed);
            self.outbox.push(ToGateway::Call { call, object, question });
        }
    }

    /// The gateway has gone: whoever waits learns of it.
    pub fn close(&self) {
        let waiting = {
            let mut open = self.open();
            open.is_closed = true;
            open.abandoned.clear();
            std::mem::take(&mut open.waiting)
        };
        drop(waiting);
        self.outbox.close();
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lost() -> EngineError {
    EngineError::Lost { effect: Effect::None }
}

/// A question while somebody waits for its answer.
struct Asked<'a> {
    calls: &'a Calls,
    call: u64,
    object: u64,
    lock: Option<AdvisoryRequest>,
    is_answered: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        {
            let mut open = self.calls.open();
            open.waiting.remove(&self.call);
            if let Some(request) = self.lock.filter(|_| !open.is_closed) {
                open.abandoned.insert(self.call, (self.object, request));
            }
        }
        self.calls.outbox.push(ToGateway::Forget { call: self.call });
    }
}

#[cfg(test)]
mod tests {
    use lakegate_engine_api::AdvisoryKey;

    use super::*;
    use crate::flight::wire::encoded;

    const REQUEST: AdvisoryRequest = AdvisoryRequest { key: AdvisoryKey::Whole(7), shared: false, transaction: false, wait: true };

    async fn asked(calls: &Calls) -> (u64, Question) {
        match calls.outbox.next().await {
            Some(ToGateway::Call { call, question, .. }) => (call, question),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn answers_find_who_asked() {
        let calls = Calls::default();
        let ask = |oid| calls.ask::<Option<String>>(1, Question::Lookup(Ask::RoleName(oid)));
        let answer = async {
            let (first, second) = (asked(&calls).await.0, asked(&calls).await.0);
            calls.answered(second, Some(encoded(&Some("b")).unwrap()));
            calls.answered(first, Some(encoded(&None::<String>).unwrap()));
        };
        let (one, other, ()) = tokio::join!(ask(1), ask(2), answer);
        assert_eq!((one.unwrap(), other.unwrap()), (None, Some("b".to_owned())));
    }

    #[tokio::test]
    async fn nobody_waits_for_a_gateway_that_has_gone() {
        let calls = Calls::default();
        let ask = || calls.ask::<bool>(1, Question::Lookup(Ask::TypeIsVisible(1)));
        let (asked, ()) = tokio::join!(ask(), async { calls.close() });
        assert!(matches!(asked, Err(EngineError::Lost { effect: Effect::None })));
        assert!(ask().await.is_err());
    }

    #[tokio::test]
    async fn a_lock_that_comes_too_late_is_given_back() {
        let calls = Calls::default();
        let call = {
            let waiting = calls.ask::<Result<bool, EngineError>>(1, Question::Lookup(Ask::TakeAdvisoryLock(REQUEST)));
            let mut waiting = std::pin::pin!(waiting);
            assert!(futures::poll!(waiting.as_mut()).is_pending());
            asked(&calls).await.0
        };
        assert!(matches!(calls.outbox.next().await, Some(ToGateway::Forget { .. })));
        calls.answered(call, Some(encoded(&Ok::<bool, EngineError>(true)).unwrap()));
        assert_eq!(asked(&calls).await.1, Question::Lookup(Ask::ReleaseAdvisoryLock(REQUEST.key, false)));
    }
}
