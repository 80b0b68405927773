//! A SeaweedFS server: an S3 store that checks signatures and honours conditional writes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::Result;
use crate::process::{Plan, Process, free_port, wait_for_port};
use crate::tools::python_folder;

pub const ACCESS_KEY: &str = "lakegate-test";
pub const SECRET_KEY: &str = "lakegate-test-secret";
pub const REGION: &str = "us-east-1";

/// An S3 server on the loopback interface, empty at first.
#[derive(Debug)]
pub struct Store {
    pub port: u16,
    /// Its file interface, which knows no signatures and overwrites: `/buckets/BUCKET/KEY`.
    pub filer_port: u16,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Store {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// If SeaweedFS is not installed or does not start.
    pub fn start() -> Result<Store> {
        let folder = tempfile::Builder::new().prefix("lakegate-s3-").tempdir()?;
        let config = folder.path().join("s3.json");
        std::fs::write(&config, identities().to_string())?;
        let data = folder.path().join("data");
        std::fs::create_dir(&data)?;
        let (port, filer_port) = (free_port()?, free_port()?);
        let mut arguments: Vec<String> = ["server", "-ip", "127.0.0.1", "-ip.bind", "127.0.0.1", "-filer", "-s3"].map(str::to_owned).into();
        let ports = ["-master.port", "-master.port.grpc", "-volume.port", "-volume.port.grpc", "-filer.port.grpc", "-s3.port.grpc"];
        for name in ports {
            arguments.extend([name.to_owned(), free_port()?.to_string()]);
        }
        arguments.extend(["-s3.port".to_owned(), port.to_string(), "-filer.port".to_owned(), filer_port.to_string()]);
        arguments.extend(["-dir".to_owned(), data.display().to_string(), "-s3.config".to_owned(), config.display().to_string()]);
        arguments.extend(
            [
                "-master.telemetry=false",
                "-master.volumeSizeLimitMB=1024",
                "-volume.max=1000",
                "-volume.preStopSeconds=0",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
            ]
            .map(str::to_owned),
        );
        let process = Process::start(&Plan {
            program: &weed(),
            arguments: &arguments,
            environment: &[],
            folder: folder.path(),
            name: "weed",
            stop_signal: "KILL",
            remove_at_end: Some(folder.path()),
            run_as: None,
        })?;
        wait_for_port(port, Duration::from_secs(60))?;
        wait_for_port(filer_port, Duration::from_secs(60))?;
        let store = Store { port, filer_port, _process: process, _folder: folder };
        store.warm_up()?;
        Ok(store)
    }

    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What a client of this store needs, through `endpoint`.
    #[must_use]
    pub fn environment(&self, endpoint: &str) -> Vec<(String, String)> {
        [
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
            ("AWS_REGION", REGION),
            ("AWS_ALLOW_HTTP", "true"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// Makes a bucket.
    ///
    /// # Errors
    /// If the store does not answer with success.
    pub fn make_bucket(&self, name: &str) -> Result<()> {
        match self.filer("POST", &format!("/buckets/{name}/?op=mkdir"), b"")?.0 {
            200..300 => Ok(()),
            status => Err(format!("bucket {name}: status {status}").into()),
        }
    }

    /// Stores an object, overwriting, without a signature.
    ///
    /// # Errors
    /// If the store does not answer with success.
    pub fn overwrite(&self, bucket: &str, key: &str, body: &[u8]) -> Result<()> {
        overwrite(self.filer_port, bucket, key, body)
    }

    /// Names directly under a folder of a bucket.
    ///
    /// # Errors
    /// If the store does not answer.
    pub fn list(&self, bucket: &str, folder: &str) -> Result<Vec<String>> {
        let (status, body) = filer(self.filer_port, "GET", &format!("/buckets/{bucket}/{folder}/?limit=10000"), b"")?;
        if status == 404 {
            return Ok(Vec::new());
        }
        let listing: serde_json::Value = serde_json::from_slice(&body)?;
        let entries = listing["Entries"].as_array().cloned().unwrap_or_default();
        let name = |entry: &serde_json::Value| Some(entry["FullPath"].as_str()?.rsplit('/').next()?.to_owned());
        Ok(entries.iter().filter_map(name).collect())
    }

    /// The bytes of an object.
    ///
    /// # Errors
    /// If it is not there.
    pub fn read(&self, bucket: &str, key: &str) -> Result<Vec<u8>> {
        match filer(self.filer_port, "GET", &format!("/buckets/{bucket}/{key}"), b"")? {
            (200, body) => Ok(body),
            (status, _) => Err(format!("{bucket}/{key}: status {status}").into()),
        }
    }

    fn filer(&self, method: &str, path: &str, body: &[u8]) -> Result<(u16, Vec<u8>)> {
        filer(self.filer_port, method, path, body)
    }

    /// The first object makes volumes grow, which takes a while.
    fn warm_up(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match self.make_bucket("warm-up").and_then(|()| self.overwrite("warm-up", "object", b"warm")) {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(200)),
            }
        }
    }
}

/// Stores an object through the file interface, which has no conditional writes.
///
/// # Errors
/// If the store does not answer with success.
pub fn overwrite(filer_port: u16, bucket: &str, key: &str, body: &[u8]) -> Result<()> {
    match filer(filer_port, "PUT", &format!("/buckets/{bucket}/{key}"), body)?.0 {
        200..300 => Ok(()),
        status => Err(format!("{bucket}/{key}: status {status}").into()),
    }
}

fn filer(port: u16, method: &str, path: &str, body: &[u8]) -> Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    // A folder is made by a request that has no type.
    let kind = if body.is_empty() { "" } else { "Content-Type: application/octet-stream\r\n" };
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nAccept: application/json\r\n{kind}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or("no HTTP head")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or("no HTTP status")?;
    Ok((status, answer.split_off(end + 4)))
}

fn identities() -> serde_json::Value {
    serde_json::json!({ "identities": [{
        "name": "lakegate",
        "credentials": [{ "accessKey": ACCESS_KEY, "secretKey": SECRET_KEY }],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }] })
}

/// `LAKEGATE_TEST_WEED`, else the one in the test's Python environment.
fn weed() -> PathBuf {
    std::env::var_os("LAKEGATE_TEST_WEED").map_or_else(|| python_folder().join("weed"), PathBuf::from)
}
