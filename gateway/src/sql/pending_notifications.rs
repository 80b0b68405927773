//! What a transaction has asked of LISTEN, UNLISTEN and NOTIFY: done at COMMIT, undone by ROLLBACK.

use std::collections::HashSet;
use std::sync::Arc;

use super::notifications::{Notifications, Post};
use crate::sqlstate::SqlError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Listen(String),
    Unlisten(String),
    UnlistenAll,
}

#[derive(Debug, Default)]
pub struct PendingNotifications {
    changes: Vec<Change>,
    posts: Vec<Arc<Post>>,
    /// A message is sent once a transaction.
    known: HashSet<Arc<Post>>,
    bytes: usize,
    /// Lengths of both lists at each savepoint, the outermost first.
    savepoints: Vec<(usize, usize)>,
}

impl PendingNotifications {
    pub fn change(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// # Errors
    /// 54000 where the queue has no room for it.
    pub fn post(&mut self, post: Post, queue: &Notifications) -> Result<(), SqlError> {
        queue.check_room(self.bytes + post.bytes())?;
        let post = Arc::new(post);
        if self.known.insert(Arc::clone(&post)) {
            self.bytes += post.bytes();
            self.posts.push(post);
        }
        Ok(())
    }

    /// Whether the queue has room for all of it now.
    ///
    /// # Errors
    /// 54000.
    pub fn check(&self, queue: &Notifications) -> Result<(), SqlError> {
        if self.posts.is_empty() { Ok(()) } else { queue.check_room(self.bytes) }
    }

    pub fn save(&mut self) {
        self.savepoints.push((self.changes.len(), self.posts.len()));
    }

    /// Keeps the outer `count` savepoints.
    pub fn release(&mut self, count: usize) {
        self.savepoints.truncate(count);
    }

    pub fn roll_back_to(&mut self, at: usize) {
        if let Some(&(changes, posts)) = self.savepoints.get(at) {
            self.savepoints.truncate(at + 1);
            self.changes.truncate(changes);
            for post in self.posts.drain(posts..) {
                self.bytes -= post.bytes();
                self.known.remove(&post);
            }
        }
    }

    /// Everything there is, for COMMIT; to be dropped for ROLLBACK.
    pub fn take(&mut self) -> (Vec<Change>, Vec<Arc<Post>>) {
        let all = std::mem::take(self);
        (all.changes, all.posts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn savepoints_take_back_and_doubles_are_one() {
        let queue = Notifications::default();
        let mut pending = PendingNotifications::default();
        let post = |text: &str| Post::new("c", text).unwrap();
        pending.post(post("1"), &queue).unwrap();
        pending.post(post("1"), &queue).unwrap();
        pending.save();
        pending.post(post("2"), &queue).unwrap();
        pending.change(Change::UnlistenAll);
        pending.roll_back_to(0);
        pending.post(post("2"), &queue).unwrap();
        let (changes, posts) = pending.take();
        assert!(changes.is_empty());
        assert_eq!(posts.iter().map(|post| post.payload.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    }
}
