//! An HTTP/1.1 proxy in front of an S3 server that loses answers, as networks and stores do.
//!
//! Requests are forwarded as they came, signature included; one upstream connection a request.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::s3::Store;
use crate::{Error, Result};

/// What happens to a matching request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 503 and the request never reaches the store.
    UnavailableBefore,
    /// 403 and the request never reaches the store: nobody tries that again by himself.
    Refused,
    /// Stored; the client is told 500.
    StoredThen500,
    /// Stored; the connection is reset.
    StoredThenReset,
    /// Stored; no answer ever comes.
    StoredThenHang,
}

#[derive(Debug, Default)]
struct Plan {
    /// The next `usize` matching requests pass, the one after has the fault.
    armed: Option<(usize, Fault)>,
    /// All requests match, not the PUTs of Delta commits alone.
    any: bool,
}

#[derive(Debug)]
struct Shared {
    upstream: u16,
    filer: u16,
    plan: Mutex<Plan>,
    struck: AtomicUsize,
    /// Answers a conditional PUT of an existing key by overwriting it, with 200.
    ignores_if_none_match: AtomicBool,
}

/// A running proxy; stops when dropped.
#[derive(Debug)]
pub struct FaultProxy {
    pub port: u16,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

impl FaultProxy {
    /// Starts a proxy in front of a store.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn start(store: &Store) -> Result<FaultProxy> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            upstream: store.port,
            filer: store.filer_port,
            plan: Mutex::default(),
            struck: AtomicUsize::new(0),
            ignores_if_none_match: AtomicBool::new(false),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Ok(FaultProxy { port, shared, _tasks: tasks })
    }

    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The request after `skip` more of them, whichever it is, has the fault, once.
    pub fn arm_any(&self, skip: usize, fault: Fault) {
        self.plan(Plan { armed: Some((skip, fault)), any: true });
    }

    fn plan(&self, plan: Plan) {
        if let Ok(mut planned) = self.shared.plan.lock() {
            *planned = plan;
        }
    }

    /// The PUT of a Delta commit after `skip` more of them has the fault, once.
    pub fn arm(&self, skip: usize, fault: Fault) {
        self.plan(Plan { armed: Some((skip, fault)), any: false });
    }

    /// How many requests had a fault so far.
    #[must_use]
    pub fn struck(&self) -> usize {
        self.shared.struck.load(Ordering::Relaxed)
    }

    /// From now on the store ignores `If-None-Match`.
    pub fn ignore_if_none_match(&self) {
        self.shared.ignores_if_none_match.store(true, Ordering::Relaxed);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let _ = connection(stream, &shared).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(mut client: TcpStream, shared: &Shared) -> Result<()> {
    client.set_nodelay(true)?;
    let mut buffered = Vec::new();
    while let Some(request) = read_message(&mut client, &mut buffered, false).await? {
        let fault = shared.fault_for(&request);
        let refusal = match fault {
            Some(Fault::UnavailableBefore) => Some(answer("503 Service Unavailable", "SlowDown")),
            Some(Fault::Refused) => Some(answer("403 Forbidden", "AccessDenied")),
            _ => None,
        };
        if let Some(refusal) = refusal {
            client.write_all(&refusal).await?;
            continue;
        }
        let mut upstream = TcpStream::connect(("127.0.0.1", shared.upstream)).await?;
        upstream.set_nodelay(true)?;
        upstream.write_all(&request.raw).await?;
        let no_body = request.head.starts_with("HEAD ");
        let response = read_message(&mut upstream, &mut Vec::new(), no_body).await?.ok_or("the store closed the connection")?;
        match fault {
            Some(Fault::StoredThen500) => client.write_all(&answer("500 Internal Server Error", "InternalError")).await?,
            Some(Fault::StoredThenReset) => {
                client.set_zero_linger()?;
                return Ok(());
            }
            Some(Fault::StoredThenHang) => std::future::pending::<()>().await,
            _ if response.head.contains(" 412 ") && shared.ignores_if_none_match.load(Ordering::Relaxed) => {
                let (bucket, key) = request.object().ok_or("PUT of no object")?;
                let (filer, bucket, key, body) = (shared.filer, bucket.to_owned(), key.to_owned(), request.body().to_vec());
                tokio::task::spawn_blocking(move || crate::s3::overwrite(filer, &bucket, &key, &body)).await??;
                client.write_all(b"HTTP/1.1 200 OK\r\nETag: \"overwritten\"\r\nContent-Length: 0\r\n\r\n").await?;
            }
            _ => client.write_all(&response.raw).await?,
        }
    }
    Ok(())
}

impl Shared {
    fn fault_for(&self, request: &HttpMessage) -> Option<Fault> {
        let mut plan = self.plan.lock().ok()?;
        if !plan.any && !request.commits() {
            return None;
        }
        match plan.armed {
            Some((0, fault)) => {
                plan.armed = None;
                self.struck.fetch_add(1, Ordering::Relaxed);
                Some(fault)
            }
            Some((skip, fault)) => {
                plan.armed = Some((skip - 1, fault));
                None
            }
            None => None,
        }
    }
}

fn answer(status: &str, code: &str) -> Vec<u8> {
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>injected</Message></Error>");
    format!("HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A request or an answer, as it came.
struct HttpMessage {
    head: String,
    head_length: usize,
    raw: Vec<u8>,
}

impl HttpMessage {
    fn body(&self) -> &[u8] {
        &self.raw[self.head_length..]
    }

    /// Bucket and key of a path-style request.
    fn object(&self) -> Option<(&str, &str)> {
        let path = self.head.split(' ').nth(1)?.split('?').next()?;
        path.trim_start_matches('/').split_once('/')
    }

    /// The PUT of a Delta commit.
    fn commits(&self) -> bool {
        let key = self.object().map_or("", |(_, key)| key);
        self.head.starts_with("PUT ") && key.contains("_delta_log/") && key.ends_with(".json")
    }

    fn header(&self, name: &str) -> Option<&str> {
        let line = |line: &'_ str| line.split_once(':').is_some_and(|(key, _)| key.eq_ignore_ascii_case(name));
        self.head.lines().find(|text| line(text)).and_then(|text| text.split_once(':')).map(|(_, value)| value.trim())
    }
}

/// Reads one message; `None` at the end of the stream between messages.
async fn read_message(stream: &mut TcpStream, buffered: &mut Vec<u8>, no_body: bool) -> Result<Option<HttpMessage>> {
    let head_length = loop {
        if let Some(end) = find(buffered, b"\r\n\r\n", 0) {
            break end + 4;
        }
        if stream.read_buf(buffered).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffered[..head_length]).into_owned();
    let mut message = HttpMessage { head, head_length, raw: Vec::new() };
    let bodiless = no_body || message.head.contains(" 204 ") || message.head.contains(" 304 ") || message.head.contains(" 100 ");
    let end = if bodiless {
        head_length
    } else if let Some(length) = message.header("content-length") {
        let end = head_length + length.parse::<usize>()?;
        while buffered.len() < end {
            more(stream, buffered).await?;
        }
        end
    } else if message.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        chunked_end(stream, buffered, head_length).await?
    } else {
        head_length
    };
    let rest = buffered.split_off(end);
    message.raw = std::mem::replace(buffered, rest);
    Ok(Some(message))
}

/// Where a chunked body ends.
async fn chunked_end(stream: &mut TcpStream, buffered: &mut Vec<u8>, start: usize) -> Result<usize> {
    let mut at = start;
    loop {
        let line_end = loop {
            if let Some(end) = find(buffered, b"\r\n", at) {
                break end;
            }
            more(stream, buffered).await?;
        };
        let size = std::str::from_utf8(&buffered[at..line_end])?.split(';').next().unwrap_or_default().trim().to_owned();
        let size = usize::from_str_radix(&size, 16)?;
        at = line_end + 2 + size + 2;
        while buffered.len() < at {
            more(stream, buffered).await?;
        }
        if size == 0 {
            return Ok(at);
        }
    }
}

async fn more(stream: &mut TcpStream, buffered: &mut Vec<u8>) -> Result<()> {
    if stream.read_buf(buffered).await? == 0 { Err(Error::from("connection ended inside a message")) } else { Ok(()) }
}

fn find(bytes: &[u8], what: &[u8], from: usize) -> Option<usize> {
    bytes.get(from..)?.windows(what.len()).position(|window| window == what).map(|at| at + from)
}
