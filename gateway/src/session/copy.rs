//! COPY's sub-protocols. Mirrors `CopyGetData` and `CopySendEndOfRow`.

use std::sync::atomic::{AtomicU64, Ordering};

use futures::stream::BoxStream;
use tokio_util::sync::CancellationToken;

use super::connection::{FLUSH_BYTES, Received};
use super::rows::{flush, next_item};
use super::stop::{Stop, canceled, shut_down, watched};
use super::{Session, frame_error, too_long};
use crate::frontend::{CopyLines, CopySink, SessionEvent};
use crate::sqlstate::{SqlError, SqlState};
use crate::wire::frame::{Frame, Phase};
use crate::wire::outgoing;

impl Session {
    pub(super) async fn copy_in(
        &mut self,
        columns: usize,
        binary: bool,
        mut sink: Box<dyn CopySink>,
        cancel: &CancellationToken,
    ) -> Result<(), Stop> {
        outgoing::copy_in_response(&mut self.connection.out, columns, binary);
        flush(&mut self.connection, &self.live, cancel).await?;
        loop {
            let received = tokio::select! {
                biased;
                received = self.connection.message(Phase::Ready(self.limits.messages)) => Ok(received),
                () = cancel.cancelled() => Err(canceled()),
                () = self.live.terminated() => Err(shut_down()),
            };
            let frame = match received {
                Ok(Received::Message(frame)) => frame,
                Ok(Received::TooLong { message_bytes, .. }) => {
                    sink.fail("a message is too long").await;
                    return Err(too_long(message_bytes).into());
                }
                Ok(Received::Malformed(error)) => {
                    sink.fail("the connection is out of step").await;
                    return Err(frame_error(error).into());
                }
                Ok(Received::Closed) => {
                    sink.fail("the connection ended").await;
                    return Err(Stop::Close);
                }
                Err(stop) => {
                    sink.fail("canceled").await;
                    return Err(stop);
                }
            };
            match frame {
                Frame { tag: b'd', body } => {
                    let written = watched(&mut self.connection, &self.live, cancel, sink.write(body)).await;
                    match written {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => {
                            sink.fail(&error.message).await;
                            return Err(error.into());
                        }
                        Err(stop) => {
                            sink.fail("the session ended").await;
                            return Err(stop);
                        }
                    }
                }
                Frame { tag: b'c', .. } => {
                    let done = watched(&mut self.connection, &self.live, cancel, sink.finish()).await??;
                    self.take_events();
                    done.notices.into_iter().for_each(|notice| self.tell(SessionEvent::Notice(notice)));
                    outgoing::command_complete(&mut self.connection.out, &done.tag);
                    return Ok(());
                }
                Frame { tag: b'f', body } => {
                    let reason = match crate::wire::incoming::decode(b'f', &body) {
                        Ok(crate::wire::incoming::Incoming::CopyFail { reason }) => reason.to_owned(),
                        _ => String::new(),
                    };
                    sink.fail(&reason).await;
                    return Err(SqlError::new(SqlState::QueryCanceled, format!("COPY from stdin failed: {reason}")).into());
                }
                // A driver that pipelines may have sent these before it knew of the COPY.
                Frame { tag: b'H' | b'S', .. } => {}
                Frame { tag, .. } => {
                    sink.fail("another message came").await;
                    let message = format!("unexpected message type 0x{tag:02X} during COPY from stdin");
                    outgoing::error_response(&mut self.connection.out, &SqlError::new(SqlState::ProtocolViolation, message));
                    let lost = "terminating connection because protocol synchronization was lost";
                    return Err(SqlError::fatal(SqlState::ProtocolViolation, lost).into());
                }
            }
        }
    }

    pub(super) async fn copy_out(
        &mut self,
        columns: usize,
        binary: bool,
        mut data: BoxStream<'static, Result<CopyLines, SqlError>>,
        rows: &AtomicU64,
        cancel: &CancellationToken,
    ) -> Result<(), Stop> {
        outgoing::copy_out_response(&mut self.connection.out, columns, binary);
        while let Some(lines) = next_item(&mut data, &mut self.connection, &self.live, cancel).await? {
            let mut start = 0;
            for end in lines.ends {
                outgoing::copy_data(&mut self.connection.out, lines.bytes.get(start..end).unwrap_or_default());
                start = end;
                if self.connection.out.len() >= FLUSH_BYTES {
                    flush(&mut self.connection, &self.live, cancel).await?;
                }
            }
        }
        self.take_events();
        outgoing::copy_done(&mut self.connection.out);
        outgoing::command_complete_rows(&mut self.connection.out, "COPY", rows.load(Ordering::Relaxed));
        Ok(())
    }
}
