//! Reads a query's whole result and throws it away: what the server can send, without a client library's decoding.
//!
//! `drain PORT text|binary SQL [BYTES_PER_SECOND [SECONDS]]`, as `admin` in `main` without TLS; the password stands in
//! `PGPASSWORD`. Prints one JSON object. With a rate it reads that slowly, with seconds it goes away after them.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use lakegate_tests::wire::{Target, bare, bind, execute, parse};
use lakegate_tests::{Result, wire::Wire};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: drain PORT text|binary SQL [BYTES_PER_SECOND [SECONDS]]");
    let target = Target {
        port: next()?.parse()?,
        user: "admin".to_owned(),
        password: std::env::var("PGPASSWORD").unwrap_or_default(),
        database: "main".to_owned(),
    };
    let format = i16::from(next()? == "binary");
    let sql = next()?;
    let rate = next().ok().map(|text| text.parse::<f64>()).transpose()?;
    let limit = next().ok().map(|text| text.parse().map(Duration::from_secs_f64)).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut stream = runtime.block_on(async { Wire::login(&target, false, &[]).await?.into_plain() })?;
    let started = Instant::now();
    stream.write_all(&[parse("", &sql, &[]), bind("", "", &[], &[], &[format]), execute("", 0), bare(b'S')].concat())?;
    let mut counter = Counter::default();
    let mut buffer = vec![0; 1 << 18];
    while !counter.ready {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err("the server closed the connection".into());
        }
        counter.feed(&buffer[..count])?;
        if let Some(rate) = rate {
            let due = Duration::from_secs_f64(counter.bytes as f64 / rate);
            std::thread::sleep(due.saturating_sub(started.elapsed()));
        }
        if limit.is_some_and(|limit| started.elapsed() > limit) {
            break;
        }
    }
    let report = serde_json::json!({
        "rows": counter.rows, "bytes": counter.bytes, "seconds": started.elapsed().as_secs_f64(), "complete": counter.ready,
    });
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}

/// Finds message ends in a stream of bytes without keeping them.
#[derive(Debug, Default)]
struct Counter {
    rows: u64,
    bytes: u64,
    ready: bool,
    header: Vec<u8>,
    /// What of the current message's body is still to come.
    rest: usize,
    error: Option<Vec<u8>>,
}

impl Counter {
    fn feed(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.rest > 0 {
                let taken = self.rest.min(bytes.len());
                if let Some(error) = &mut self.error {
                    error.extend_from_slice(&bytes[..taken]);
                }
                self.rest -= taken;
                bytes = &bytes[taken..];
            } else {
                let taken = (5 - self.header.len()).min(bytes.len());
                self.header.extend_from_slice(&bytes[..taken]);
                bytes = &bytes[taken..];
                if self.header.len() == 5 {
                    self.message()?;
                }
            }
            if let (0, Some(error)) = (self.rest, &self.error) {
                return Err(String::from_utf8_lossy(error).replace('\0', " ").into());
            }
        }
        Ok(())
    }

    fn message(&mut self) -> Result<()> {
        let length: [u8; 4] = self.header[1..5].try_into()?;
        self.rest = usize::try_from(u32::from_be_bytes(length))?.checked_sub(4).ok_or("a length below four")?;
        match self.header[0] {
            b'D' => self.rows += 1,
            b'E' => self.error = Some(Vec::new()),
            b'Z' => self.ready = true,
            _ => {}
        }
        self.header.clear();
        Ok(())
    }
}
