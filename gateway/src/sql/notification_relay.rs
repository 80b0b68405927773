//! NOTIFY reaches the sessions of all gateways that share a catalog. A message is sent on when its transaction has committed: in order,
//! and once, unless this process dies in between. What the sessions of this gateway send each other does not wait for it.

use std::sync::Arc;
use std::time::Duration;

use lakegate_catalog::relay::{Received, Relay};
use lakegate_catalog::{Catalog, CatalogError};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::notifications::{Message, Notifications, Post, Queued};

/// Most messages that are sent at once.
const BATCH: usize = 256;
/// Between attempts to reach the catalog.
const PAUSE: Duration = Duration::from_secs(1);
/// Between looks whether a listener of this gateway has made room.
const ROOM_PAUSE: Duration = Duration::from_millis(50);
/// For what is not sent yet when the process ends.
const LAST_WORDS: Duration = Duration::from_secs(5);

#[derive(Serialize, Deserialize)]
struct Told {
    database: String,
    pid: i32,
    channel: String,
    payload: String,
}

/// Begins to listen to the other gateways and to tell them what is sent here. Nothing where there can be none.
///
/// # Errors
/// The catalog cannot be listened to.
pub async fn start(catalog: &Catalog, notifications: &Arc<Notifications>, stop: &CancellationToken) -> Result<(), CatalogError> {
    let Some(relay) = catalog.relay() else { return Ok(()) };
    let mut listener = relay.listen().await?;
    notifications.relay();
    let (here, stopped) = (Arc::clone(notifications), stop.clone());
    let sender = relay.clone();
    crate::tasks::spawn("send notifications", async move {
        tokio::select! {
            () = send(&sender, &here) => {}
            () = stopped.cancelled() => {}
        }
    });
    let (here, stopped) = (Arc::clone(notifications), stop.clone());
    crate::tasks::spawn("receive notifications", async move {
        let receiving = async {
            loop {
                match listener.next().await {
                    Ok(Received::Message(message)) => deliver(&here, &message).await,
                    Ok(Received::Interrupted) => tracing::warn!("notifications of other gateways may have been missed"),
                    Err(error) => {
                        tracing::warn!(%error, "other gateways are not heard");
                        tokio::time::sleep(PAUSE).await;
                        if let Ok(again) = relay.listen().await {
                            listener = again;
                            tracing::warn!("notifications of other gateways may have been missed");
                        }
                    }
                }
            }
        };
        tokio::select! {
            () = receiving => {}
            () = stopped.cancelled() => {}
        }
    });
    Ok(())
}

/// Waits a little for what is to be sent yet.
pub async fn finish(notifications: &Notifications) {
    let sent = async {
        while notifications.has_outgoing() {
            tokio::time::sleep(ROOM_PAUSE).await;
        }
    };
    if tokio::time::timeout(LAST_WORDS, sent).await.is_err() {
        tracing::warn!("some notifications did not reach the other gateways");
    }
}

async fn send(relay: &Relay, notifications: &Notifications) {
    loop {
        let batch = notifications.outgoing(BATCH).await;
        let messages: Vec<Vec<u8>> = batch.iter().filter_map(encode).collect();
        match relay.send(&messages).await {
            Ok(()) => notifications.relayed(batch.len()),
            Err(error) => {
                tracing::warn!(%error, "other gateways cannot be told of notifications");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn encode(queued: &Queued) -> Option<Vec<u8>> {
    let Queued { database, message } = queued;
    let told =
        Told { database: database.clone(), pid: message.pid, channel: message.post.channel.clone(), payload: message.post.payload.clone() };
    serde_json::to_vec(&told).ok()
}

/// Where the queue is full, the catalog's server keeps what comes until a listener has taken something.
async fn deliver(notifications: &Notifications, message: &[u8]) {
    let Some(queued) = decode(message) else {
        tracing::warn!("another gateway sent what is no notification");
        return;
    };
    while !notifications.deliver(&queued) {
        tokio::time::sleep(ROOM_PAUSE).await;
    }
}

fn decode(message: &[u8]) -> Option<Queued> {
    let Told { database, pid, channel, payload } = serde_json::from_slice(message).ok()?;
    let post = Arc::new(Post::new(&channel, &payload).ok()?);
    Some(Queued { database, message: Message { pid, post } })
}
