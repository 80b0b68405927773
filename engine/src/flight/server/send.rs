//! The way back in one exchange.

use arrow_array::RecordBatch;
use arrow_flight::FlightData;
use bytes::Bytes;
use futures::StreamExt;
use lakegate_engine_api::{ByteStream, EngineError, MetricsSnapshot, RowStream};
use serde::Serialize;
use tokio::sync::mpsc;
use tonic::Status;

use crate::flight::wire::{Answer, Reply, RowsOut, control, split};

/// Bytes of a file in one message.
const CHUNK_BYTES: usize = 1 << 20;

/// The gateway has gone; whoever notices stops.
#[derive(Debug)]
pub struct Gone;

#[derive(Debug, Clone)]
pub struct Sender(mpsc::Sender<Result<FlightData, Status>>);

impl Sender {
    pub fn new(sender: mpsc::Sender<Result<FlightData, Status>>) -> Self {
        Sender(sender)
    }

    /// Ends when nobody reads any more.
    pub async fn closed(&self) {
        self.0.closed().await;
    }

    async fn send(&self, message: FlightData) -> Result<(), Gone> {
        self.0.send(Ok(message)).await.map_err(|_| Gone)
    }

    pub async fn message(&self, message: &(impl Serialize + Sync)) -> Result<(), Gone> {
        match control(message) {
            Ok(message) => self.send(message).await,
            // As an answer it is small enough.
            Err(error) => match control(&Answer::Failed(error)) {
                Ok(message) => self.send(message).await,
                Err(_) => Err(Gone),
            },
        }
    }

    pub async fn reply(&self, reply: Reply) -> Result<(), Gone> {
        self.message(&Answer::Reply(Box::new(reply))).await
    }

    pub async fn failed(&self, error: EngineError) {
        let _ = self.message(&Answer::Failed(error)).await;
    }

    /// All rows, and how it ended.
    pub async fn rows(&self, mut rows: RowStream, metrics: impl FnOnce() -> MetricsSnapshot) -> Result<(), Gone> {
        let mut out = RowsOut::default();
        while let Some(batch) = rows.next().await {
            match batch {
                Ok(batch) => {
                    if let Err(error) = self.batch(&mut out, batch).await? {
                        self.failed(error).await;
                        return Ok(());
                    }
                }
                Err(error) => {
                    self.failed(error).await;
                    return Ok(());
                }
            }
        }
        // Its memory goes before the gateway hears of the end.
        drop(rows);
        self.message(&Answer::End(metrics())).await
    }

    async fn batch(&self, out: &mut RowsOut, batch: RecordBatch) -> Result<Result<(), EngineError>, Gone> {
        for part in split(&batch) {
            match out.encode(&part) {
                Ok(messages) => {
                    for message in messages {
                        self.send(message).await?;
                    }
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(()))
    }

    /// All bytes, and how it ended.
    pub async fn bytes(&self, mut bytes: ByteStream) -> Result<(), Gone> {
        while let Some(chunk) = bytes.next().await {
            match chunk {
                Ok(mut chunk) => {
                    while !chunk.is_empty() {
                        let part: Bytes = chunk.split_to(chunk.len().min(CHUNK_BYTES));
                        self.send(FlightData { data_body: part, ..FlightData::default() }).await?;
                    }
                }
                Err(error) => {
                    self.failed(error).await;
                    return Ok(());
                }
            }
        }
        self.message(&Answer::End(MetricsSnapshot::default())).await
    }
}
