//! Messages that wait to be sent on a session's exchange. Whoever has one puts it here without waiting, from any thread.
//!
//! What can wait is bounded by what is there: one cancellation an operation, one release an object, one question a thread that waits for its
//! answer.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

#[derive(Debug)]
pub struct Outbox<T> {
    waiting: Mutex<Waiting<T>>,
    ready: Notify,
}

#[derive(Debug)]
struct Waiting<T> {
    messages: VecDeque<T>,
    is_closed: bool,
}

impl<T> Default for Outbox<T> {
    fn default() -> Self {
        Outbox { waiting: Mutex::new(Waiting { messages: VecDeque::new(), is_closed: false }), ready: Notify::new() }
    }
}

impl<T> Outbox<T> {
    /// False where nobody sends any more.
    pub fn push(&self, message: T) -> bool {
        {
            let mut waiting = self.lock();
            if waiting.is_closed {
                return false;
            }
            waiting.messages.push_back(message);
        }
        self.ready.notify_one();
        true
    }

    /// The next one; `None` once it is closed. For one reader; cancel safe.
    pub async fn next(&self) -> Option<T> {
        loop {
            {
                let mut waiting = self.lock();
                if let Some(message) = waiting.messages.pop_front() {
                    return Some(message);
                }
                if waiting.is_closed {
                    return None;
                }
            }
            self.ready.notified().await;
        }
    }

    /// What waits is still sent.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.ready.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_come_in_order_and_the_last_before_the_end() {
        let outbox = Outbox::default();
        assert!(outbox.push(1) && outbox.push(2));
        outbox.close();
        assert!(!outbox.push(3));
        assert_eq!((outbox.next().await, outbox.next().await, outbox.next().await), (Some(1), Some(2), None));
    }
}
