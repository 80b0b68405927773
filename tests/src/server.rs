//! A Lakegate server as a user starts it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Result;
use crate::process::{Plan, Process, free_port};

/// Password of `admin` unless an option says otherwise.
pub const ADMIN_PASSWORD: &str = "correct-horse-battery";

/// What to start.
#[derive(Debug, Clone)]
pub struct Options {
    pub data_dir: PathBuf,
    pub command: Vec<String>,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    /// `None`: the server makes one up.
    pub admin_password: Option<String>,
    pub listen: String,
    pub ready_limit: Duration,
    /// Removed when the tests end, for a server that nobody drops.
    pub remove_at_end: Option<PathBuf>,
}

impl Options {
    /// `lakegate serve` with this data dir, everything else as it comes.
    #[must_use]
    pub fn new(data_dir: &Path) -> Options {
        Options {
            data_dir: data_dir.to_owned(),
            command: vec!["serve".to_owned()],
            arguments: Vec::new(),
            environment: Vec::new(),
            admin_password: Some(ADMIN_PASSWORD.to_owned()),
            listen: "127.0.0.1:0".to_owned(),
            ready_limit: Duration::from_secs(90),
            remove_at_end: None,
        }
    }

    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Options {
        self.arguments.push(argument.into());
        self
    }

    #[must_use]
    pub fn environment(mut self, name: &str, value: impl Into<String>) -> Options {
        self.environment.push((name.to_owned(), value.into()));
        self
    }
}

/// How a start went.
#[derive(Debug)]
pub enum Start {
    Ready(Server),
    /// It ended before it was ready.
    Exited {
        code: i32,
        stdout: String,
        stderr: String,
    },
}

/// A server that accepts connections.
#[derive(Debug)]
pub struct Server {
    pub process: Process,
    pub port: u16,
    pub metrics_port: u16,
    pub data_dir: PathBuf,
    pub admin_password: String,
    /// The whole ready line.
    pub ready_line: String,
}

/// Tries to start a server on ports that were free.
const STARTS_MAX: usize = 6;

impl Server {
    /// Starts a server and waits for its ready line.
    ///
    /// # Errors
    /// If it ends first, with what it wrote.
    pub fn start(options: &Options) -> Result<Server> {
        for _ in 1..STARTS_MAX {
            match Server::try_start(options)? {
                Start::Ready(server) => return Ok(server),
                // Somebody else took the port that was free a moment ago.
                Start::Exited { stderr, .. } if stderr.contains("Address already in use") => {}
                Start::Exited { code, stdout, stderr } => return Err(format!("server ended with {code}\n{stdout}\n{stderr}").into()),
            }
        }
        Err("no free port was still free when the server started".into())
    }

    /// Starts a server and waits for its ready line or its end.
    ///
    /// # Errors
    /// If it does neither in time.
    pub fn try_start(options: &Options) -> Result<Start> {
        let metrics_port = free_port()?;
        let folder = output_folder(&options.data_dir)?;
        let mut arguments = options.command.clone();
        let mut flag = |name: &str, value: String| {
            if !options.arguments.iter().any(|argument| argument == name) {
                arguments.extend([name.to_owned(), value]);
            }
        };
        flag("--data-dir", options.data_dir.display().to_string());
        flag("--listen", options.listen.clone());
        flag("--metrics-listen", format!("127.0.0.1:{metrics_port}"));
        arguments.extend(options.arguments.iter().cloned());
        let mut environment = options.environment.clone();
        if let Some(password) = &options.admin_password {
            environment.push(("LAKEGATE_ADMIN_PASSWORD".to_owned(), password.clone()));
        }
        let name = format!("server-{metrics_port}");
        let process = Process::start(&Plan {
            program: &binary()?,
            arguments: &arguments,
            environment: &environment,
            folder: &folder,
            name: &name,
            stop_signal: "KILL",
            remove_at_end: options.remove_at_end.as_deref(),
            run_as: None,
        })?;
        wait_until_ready(process, options, metrics_port)
    }

    /// Whatever it wrote to standard error.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.process.stderr).unwrap_or_default()
    }

    /// `postgres://…` with the password, as clients take it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://admin:{}@127.0.0.1:{}/main?sslmode=require", self.admin_password, self.port)
    }

    /// A page of the metrics listener: status and body.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn http_get(&self, path: &str) -> Result<(u16, String)> {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.metrics_port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or("no HTTP status")?;
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
        Ok((status, body))
    }
}

/// Where the tests keep a server's output: beside the data dir, not in it.
fn output_folder(data_dir: &Path) -> Result<PathBuf> {
    let folder = data_dir.with_extension("output");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn wait_until_ready(mut process: Process, options: &Options, metrics_port: u16) -> Result<Start> {
    let deadline = Instant::now() + options.ready_limit;
    loop {
        let exit = process.exit_code()?;
        let stdout = std::fs::read_to_string(&process.stdout).unwrap_or_default();
        if let Some(line) = stdout.lines().find(|line| line.starts_with("ready: ")) {
            // Only a line with its end is whole.
            if stdout.contains(&format!("{line}\n")) {
                let port = ready_port(line)?;
                return Ok(Start::Ready(Server {
                    port,
                    metrics_port,
                    data_dir: options.data_dir.clone(),
                    admin_password: options.admin_password.clone().unwrap_or_default(),
                    ready_line: line.to_owned(),
                    process,
                }));
            }
        }
        let stderr = || std::fs::read_to_string(&process.stderr).unwrap_or_default();
        if let Some(code) = exit {
            return Ok(Start::Exited { code, stderr: stderr(), stdout });
        }
        if Instant::now() > deadline {
            return Err(format!("server is not ready after {:?}\n{stdout}\n{}", options.ready_limit, stderr()).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// `ready: postgres://admin@127.0.0.1:5439/main` gives 5439.
fn ready_port(line: &str) -> Result<u16> {
    let authority = line.rsplit('/').nth(1).ok_or("no authority in the ready line")?;
    Ok(authority.rsplit(':').next().ok_or("no port in the ready line")?.parse()?)
}

/// The server's executable: `LAKEGATE_BIN`, else beside this test in the target folder.
///
/// # Errors
/// If there is none.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("LAKEGATE_BIN") {
        return Ok(path.into());
    }
    let own = std::env::current_exe()?;
    let profile = own.ancestors().nth(2).ok_or("no target folder")?;
    let target = profile.parent().ok_or("no target folder")?;
    [profile.join("lakegate"), target.join("release/lakegate"), target.join("debug/lakegate")]
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| "no server binary: build it with `cargo build --release -p lakegate` or set LAKEGATE_BIN".into())
}
