//! LISTEN and NOTIFY between the sessions of one gateway. Mirrors async.c: one bounded queue, in which each listening session has
//! a position; what all have passed is dropped. What goes to other gateways too waits in a second list for
//! [`super::notification_relay`].

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::sqlstate::{SqlError, SqlState};

/// Most memory of messages that some listener has not taken yet.
const QUEUE_BYTES_MAX: usize = 8 << 20;
/// What a message costs besides its text.
const OVERHEAD_BYTES: usize = 96;
/// As `NAMEDATALEN`, the final NUL included.
const CHANNEL_BYTES_MAX: usize = 63;
/// As `NOTIFY_PAYLOAD_MAX_LENGTH`.
const PAYLOAD_BYTES_MAX: usize = 7_999;

/// What NOTIFY sends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Post {
    pub channel: String,
    pub payload: String,
}

impl Post {
    /// # Errors
    /// 22023 as `Async_Notify` checks.
    pub fn new(channel: &str, payload: &str) -> Result<Self, SqlError> {
        let wrong = |message: &str| Err(SqlError::new(SqlState::InvalidParameterValue, message));
        match (channel.len(), payload.len()) {
            (0, _) => wrong("channel name cannot be empty"),
            (channel, _) if channel > CHANNEL_BYTES_MAX => wrong("channel name too long"),
            (_, payload) if payload > PAYLOAD_BYTES_MAX => wrong("payload string too long"),
            _ => Ok(Post { channel: channel.to_owned(), payload: payload.to_owned() }),
        }
    }

    #[must_use]
    pub fn bytes(&self) -> usize {
        self.channel.len() + self.payload.len() + OVERHEAD_BYTES
    }
}

/// A message as a listener gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Of the session that sent it.
    pub pid: i32,
    pub post: Arc<Post>,
}

#[derive(Debug, Default)]
pub struct Notifications {
    queue: Mutex<Queue>,
    /// Rings when something is to be relayed.
    outgoing: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    /// What is sent goes to other gateways too.
    relays: bool,
    outgoing: VecDeque<Queued>,
    outgoing_bytes: usize,
    messages: VecDeque<Queued>,
    /// Number of the first message.
    first: u64,
    bytes: usize,
    /// By the session's pid.
    listeners: HashMap<i32, Listener>,
}

#[derive(Debug, Clone)]
pub struct Queued {
    pub database: String,
    pub message: Message,
}

#[derive(Debug)]
struct Listener {
    database: String,
    channels: BTreeSet<String>,
    /// Number of the next message to look at.
    next: u64,
    wake: Arc<Notify>,
}

impl Notifications {
    pub fn listen(&self, pid: i32, database: &str, channel: &str, wake: &Arc<Notify>) {
        let mut queue = self.lock();
        let next = queue.end();
        let listener = queue.listeners.entry(pid).or_insert_with(|| Listener {
            database: database.to_owned(),
            channels: BTreeSet::new(),
            next,
            wake: Arc::clone(wake),
        });
        listener.channels.insert(channel.to_owned());
    }

    pub fn unlisten(&self, pid: i32, channel: &str) {
        let mut queue = self.lock();
        if let Some(listener) = queue.listeners.get_mut(&pid) {
            listener.channels.remove(channel);
            if listener.channels.is_empty() {
                queue.listeners.remove(&pid);
                queue.drop_passed();
            }
        }
    }

    pub fn unlisten_all(&self, pid: i32) {
        let mut queue = self.lock();
        queue.listeners.remove(&pid);
        queue.drop_passed();
    }

    #[must_use]
    pub fn channels(&self, pid: i32) -> Vec<String> {
        self.lock().listeners.get(&pid).map(|listener| listener.channels.iter().cloned().collect()).unwrap_or_default()
    }

    /// How full the queue is, from 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "both are far below 2^53")]
    pub fn usage(&self) -> f64 {
        (self.lock().bytes as f64 / QUEUE_BYTES_MAX as f64).min(1.0)
    }

    /// Before a transaction that sends `bytes` commits.
    ///
    /// # Errors
    /// 54000 where they do not fit: some listener does not take its messages.
    pub fn check_room(&self, bytes: usize) -> Result<(), SqlError> {
        let queue = self.lock();
        if queue.bytes.max(queue.outgoing_bytes) + bytes > QUEUE_BYTES_MAX {
            return Err(SqlError::new(SqlState::ProgramLimitExceeded, "too many notifications in the NOTIFY queue"));
        }
        Ok(())
    }

    /// Sends what a transaction has committed, in order.
    pub fn publish(&self, pid: i32, database: &str, posts: impl IntoIterator<Item = Arc<Post>>) {
        let mut queue = self.lock();
        for post in posts {
            let message = Message { pid, post };
            if queue.relays {
                queue.outgoing_bytes += message.post.bytes();
                queue.outgoing.push_back(Queued { database: database.to_owned(), message: message.clone() });
                self.outgoing.notify_one();
            }
            queue.push(database, message);
        }
    }

    /// From here on what is sent is kept for [`Notifications::outgoing`] too.
    pub fn relay(&self) {
        self.lock().relays = true;
    }

    /// The oldest of what other gateways have not been told, `count` at most; waits until there is something. It stays until
    /// [`Notifications::relayed`].
    pub async fn outgoing(&self, count: usize) -> Vec<Queued> {
        loop {
            let rung = self.outgoing.notified();
            let waiting: Vec<Queued> = self.lock().outgoing.iter().take(count).cloned().collect();
            if !waiting.is_empty() {
                return waiting;
            }
            rung.await;
        }
    }

    /// Other gateways have been told the oldest `count`.
    pub fn relayed(&self, count: usize) {
        let mut queue = self.lock();
        for _ in 0..count {
            let Some(told) = queue.outgoing.pop_front() else { break };
            queue.outgoing_bytes -= told.message.post.bytes();
        }
    }

    #[must_use]
    pub fn has_outgoing(&self) -> bool {
        !self.lock().outgoing.is_empty()
    }

    /// A message of another gateway. Whether there was room for it.
    #[must_use]
    pub fn deliver(&self, message: &Queued) -> bool {
        let mut queue = self.lock();
        let fits = queue.bytes + message.message.post.bytes() <= QUEUE_BYTES_MAX;
        if fits {
            queue.push(&message.database, message.message.clone());
        }
        fits
    }

    /// What a session has not been told yet.
    #[must_use]
    pub fn receive(&self, pid: i32) -> Vec<Message> {
        let mut queue = self.lock();
        let (first, end) = (queue.first, queue.end());
        let Queue { messages, listeners, .. } = &mut *queue;
        let Some(listener) = listeners.get_mut(&pid) else { return Vec::new() };
        if listener.next == end {
            return Vec::new();
        }
        let skip = usize::try_from(listener.next - first).unwrap_or(usize::MAX);
        let received = messages
            .iter()
            .skip(skip)
            .filter(|queued| listener.hears(&queued.database, &queued.message.post.channel))
            .map(|queued| queued.message.clone())
            .collect();
        listener.next = end;
        queue.drop_passed();
        received
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    fn hears(&self, database: &str, channel: &str) -> bool {
        self.database == database && self.channels.contains(channel)
    }
}

impl Queue {
    fn end(&self) -> u64 {
        self.first + self.messages.len() as u64
    }

    /// Rings those who listen; those who do not, and have nothing else to take, have passed it at once.
    fn push(&mut self, database: &str, message: Message) {
        let end = self.end();
        let mut heard = false;
        for listener in self.listeners.values_mut() {
            if listener.hears(database, &message.post.channel) {
                heard = true;
                listener.wake.notify_one();
            } else if listener.next == end {
                listener.next = end + 1;
            }
        }
        if heard {
            self.bytes += message.post.bytes();
            self.messages.push_back(Queued { database: database.to_owned(), message });
        } else {
            // Nobody hears it: its number goes to the next one.
            self.listeners.values_mut().for_each(|listener| listener.next = listener.next.min(end));
        }
    }

    fn drop_passed(&mut self) {
        let end = self.end();
        let keep_from = self.listeners.values().map(|listener| listener.next).min().unwrap_or(end);
        while self.first < keep_from {
            let Some(passed) = self.messages.pop_front() else { break };
            self.bytes -= passed.message.post.bytes();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(channel: &str, payload: &str) -> Arc<Post> {
        Arc::new(Post::new(channel, payload).unwrap())
    }

    fn payloads(messages: &[Message]) -> Vec<&str> {
        messages.iter().map(|message| message.post.payload.as_str()).collect()
    }

    #[test]
    fn those_hear_who_listen_in_the_same_database() {
        let all = Notifications::default();
        let wake = Arc::default();
        all.listen(1, "main", "a", &wake);
        all.listen(2, "main", "b", &wake);
        all.listen(3, "other", "a", &wake);
        all.publish(9, "main", [post("a", "1"), post("b", "2"), post("c", "3"), post("a", "4")]);
        assert_eq!(payloads(&all.receive(1)), ["1", "4"]);
        assert!(all.receive(1).is_empty());
        assert_eq!(payloads(&all.receive(2)), ["2"]);
        assert!(all.receive(3).is_empty());
        assert_eq!(all.lock().bytes, 0);
    }

    #[test]
    fn a_listener_that_takes_nothing_fills_the_queue() {
        let all = Notifications::default();
        let wake = Arc::default();
        all.listen(1, "main", "a", &wake);
        all.listen(2, "main", "b", &wake);
        let large = "x".repeat(PAYLOAD_BYTES_MAX);
        while all.check_room(large.len()).is_ok() {
            all.publish(9, "main", [post("a", &large)]);
        }
        assert!(all.usage() > 0.9);
        all.unlisten(1, "a");
        assert!(all.check_room(large.len()).is_ok());
        assert!(all.receive(2).is_empty());
    }

    #[tokio::test]
    async fn what_is_relayed_stays_until_it_was_told() {
        let (here, there) = (Notifications::default(), Notifications::default());
        let wake = Arc::default();
        here.publish(9, "main", [post("a", "0")]);
        assert!(!here.has_outgoing(), "nobody relays yet");
        here.relay();
        there.listen(1, "main", "a", &wake);
        here.publish(9, "main", [post("a", "1"), post("a", "2"), post("b", "3")]);
        let first = here.outgoing(2).await;
        assert!(first.iter().all(|message| there.deliver(message)));
        here.relayed(2);
        let rest = here.outgoing(2).await;
        assert_eq!(rest.len(), 1);
        assert!(there.deliver(&rest[0]));
        here.relayed(1);
        assert!(!here.has_outgoing());
        assert_eq!(here.lock().outgoing_bytes, 0);
        assert_eq!(payloads(&there.receive(1)), ["1", "2"]);
        assert!(!there.has_outgoing(), "what came from another gateway does not go back");
    }

    #[test]
    fn names_and_payloads_have_limits() {
        assert!(Post::new("", "").is_err());
        assert!(Post::new(&"c".repeat(64), "").is_err());
        assert!(Post::new("c", &"p".repeat(8_000)).is_err());
        assert!(Post::new("c", &"p".repeat(7_999)).is_ok());
    }
}
