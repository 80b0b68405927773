//! What lies between a gateway and an engine: it counts what it passes on, stops passing on, or breaks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::transport::begun;

pub struct Proxy {
    pub address: SocketAddr,
    /// Bytes that came from the engine.
    pub down: Arc<AtomicU64>,
    broken: CancellationToken,
    silent: CancellationToken,
}

impl Proxy {
    pub async fn new(engine: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (broken, silent, down) = (CancellationToken::new(), CancellationToken::new(), Arc::new(AtomicU64::new(0)));
        let proxy = Self { address, down: Arc::clone(&down), broken: broken.clone(), silent: silent.clone() };
        let _passing = begun(async move {
            loop {
                let accepted = tokio::select! {
                    () = broken.cancelled() => return,
                    accepted = listener.accept() => accepted.unwrap().0,
                };
                let (near_in, near_out) = accepted.into_split();
                let (far_in, far_out) = TcpStream::connect(engine).await.unwrap().into_split();
                let both = [(near_in, far_out, Arc::default()), (far_in, near_out, Arc::clone(&down))];
                for (from, to, count) in both {
                    let (broken, silent) = (broken.clone(), silent.clone());
                    let _passing = begun(async move {
                        tokio::select! {
                            () = broken.cancelled() => {}
                            () = pass(from, to, &silent, &count) => {}
                        }
                    });
                }
            }
        });
        proxy
    }

    /// All connections end, and no new one is taken.
    pub fn break_off(&self) {
        self.broken.cancel();
    }

    /// Nothing is passed on any more; nobody is told.
    pub fn fall_silent(&self) {
        self.silent.cancel();
    }

    pub fn passed_down(&self) -> u64 {
        self.down.load(Ordering::Relaxed)
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, silent: &CancellationToken, count: &AtomicU64) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let Ok(length) = from.read(&mut buffer).await else { return };
        if silent.is_cancelled() {
            std::future::pending::<()>().await;
        }
        count.fetch_add(u64::try_from(length).unwrap(), Ordering::Relaxed);
        if length == 0 || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
