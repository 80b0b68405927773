//! Messages between the gateways that share a PostgreSQL catalog, by its LISTEN and NOTIFY. They are sealed: the catalog's server sees
//! users' texts nowhere else either.

use std::fmt::{self, Debug};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chrono::Utc;
use sqlx::postgres::PgListener;
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::keyring::Cell;
use crate::store::Store;

const CHANNEL: &str = "lakegate_messages";
/// PostgreSQL takes 7,999 bytes; the head of a part has up to 190.
const PART_BYTES_MAX: usize = 7_800;
/// Most parts of a message that is put together.
const PARTS_MAX: usize = 64;

/// Sends and receives for one process.
#[derive(Debug, Clone)]
pub struct Relay {
    catalog: Catalog,
    /// Of this process: what it sent itself is not received.
    sender: Uuid,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    Message(Vec<u8>),
    /// The connection was lost and is there again: messages may have been missed.
    Interrupted,
}

impl Catalog {
    /// `None` where no other process can share the catalog.
    #[must_use]
    pub fn relay(&self) -> Option<Relay> {
        self.store().listen_url()?;
        Some(Relay { catalog: self.clone(), sender: Uuid::new_v4() })
    }
}

impl Relay {
    /// All of them, in order, or none.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn send(&self, messages: &[Vec<u8>]) -> Result<(), CatalogError> {
        let key = self.catalog.keyring().of_day(Utc::now(), 0).await?;
        let mut transaction = self.catalog.store().begin_write().await?;
        for message in messages {
            let id = Uuid::new_v4().to_string();
            let text = STANDARD_NO_PAD.encode(key.seal(cell(&id), message)?);
            let parts: Vec<&str> = pieces(&text);
            for (at, part) in parts.iter().enumerate() {
                let payload = format!("{} {id} {} {} {} {part}", self.sender, key.id(), at + 1, parts.len());
                sqlx::query("SELECT pg_catalog.pg_notify($1, $2)").bind(CHANNEL).bind(payload).execute(&mut *transaction).await?;
            }
        }
        transaction.commit().await?;
        Ok(())
    }

    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn listen(&self) -> Result<RelayListener, CatalogError> {
        let url = self.catalog.store().listen_url().unwrap_or_default();
        let mut listener = PgListener::connect(url).await?;
        listener.listen(CHANNEL).await?;
        Ok(RelayListener { relay: self.clone(), listener, begun: None })
    }
}

/// A connection of its own.
pub struct RelayListener {
    relay: Relay,
    listener: PgListener,
    /// Message id and its parts so far. PostgreSQL delivers what one transaction sent without anything between.
    begun: Option<(String, Vec<String>)>,
}

impl Debug for RelayListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayListener").finish_non_exhaustive()
    }
}

impl RelayListener {
    /// Waits for a message of another process. What is none, or does not open, is passed over. Not cancel safe.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`]: listen anew.
    pub async fn next(&mut self) -> Result<Received, CatalogError> {
        loop {
            let Some(notification) = self.listener.try_recv().await? else {
                self.begun = None;
                return Ok(Received::Interrupted);
            };
            let Some(whole) = Part::parse(notification.payload()).and_then(|part| self.add(&part)) else { continue };
            match self.open(&whole).await {
                Ok(message) => return Ok(Received::Message(message)),
                Err(error @ CatalogError::Unavailable { .. }) => return Err(error),
                Err(error) => tracing::warn!(%error, "a message on the catalog's channel does not open"),
            }
        }
    }

    /// Gives the message that the part completes.
    fn add(&mut self, part: &Part<'_>) -> Option<Whole> {
        if part.sender == self.relay.sender || part.parts > PARTS_MAX {
            return None;
        }
        if part.at == 1 {
            self.begun = Some((part.id.to_owned(), Vec::with_capacity(part.parts)));
        }
        let (id, texts) = self.begun.as_mut().filter(|(id, texts)| id == part.id && texts.len() + 1 == part.at)?;
        texts.push(part.text.to_owned());
        if texts.len() < part.parts {
            return None;
        }
        let whole = Whole { id: id.clone(), key: part.key.to_owned(), text: texts.concat() };
        self.begun = None;
        Some(whole)
    }

    async fn open(&self, whole: &Whole) -> Result<Vec<u8>, CatalogError> {
        let sealed = STANDARD_NO_PAD.decode(&whole.text).map_err(|_| CatalogError::corrupted("a message is no base64"))?;
        let key = self.relay.catalog.keyring().by_id(&whole.key).await?;
        Ok(key.open(cell(&whole.id), &sealed)?.to_vec())
    }
}

/// `sender id key part parts text`.
struct Part<'a> {
    sender: Uuid,
    id: &'a str,
    key: &'a str,
    at: usize,
    parts: usize,
    text: &'a str,
}

impl<'a> Part<'a> {
    fn parse(payload: &'a str) -> Option<Part<'a>> {
        let mut words = payload.split(' ');
        Some(Part {
            sender: words.next()?.parse().ok()?,
            id: words.next()?,
            key: words.next()?,
            at: words.next()?.parse().ok()?,
            parts: words.next()?.parse().ok()?,
            text: words.next()?,
        })
    }
}

struct Whole {
    id: String,
    key: String,
    text: String,
}

fn cell(id: &str) -> Cell<'_> {
    Cell { table: "messages", column: "message", id, role: 0, time: 0 }
}

/// Base64 is ASCII: it can be cut anywhere.
fn pieces(text: &str) -> Vec<&str> {
    let mut rest = text;
    let mut pieces = Vec::new();
    while let Some((piece, after)) = rest.split_at_checked(PART_BYTES_MAX) {
        pieces.push(piece);
        rest = after;
    }
    if pieces.is_empty() || !rest.is_empty() {
        pieces.push(rest);
    }
    pieces
}

impl Store {
    /// Where a listener connects; `None` for SQLite.
    fn listen_url(&self) -> Option<&str> {
        self.url.as_ref().map(|url| &*url.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_are_cut_without_a_loss() {
        for length in [0, 1, PART_BYTES_MAX, PART_BYTES_MAX + 1, 3 * PART_BYTES_MAX + 5] {
            let text = "x".repeat(length);
            let pieces = pieces(&text);
            assert_eq!(pieces.concat(), text);
            assert!(pieces.iter().all(|piece| piece.len() <= PART_BYTES_MAX));
            assert_eq!(pieces.len(), length.div_ceil(PART_BYTES_MAX).max(1));
        }
    }

    #[test]
    fn what_others_notify_on_the_channel_is_no_part() {
        assert!(Part::parse("hello").is_none());
        assert!(Part::parse("").is_none());
        let part = format!("{} id key 1 2 text", Uuid::nil());
        assert!(Part::parse(&part).is_some_and(|part| part.at == 1 && part.parts == 2 && part.text == "text"));
    }
}
