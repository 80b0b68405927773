//! psql and Python as a user has them.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Result;
use crate::server::Server;

/// What a program left behind.
#[derive(Debug, Clone)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Its standard output.
    ///
    /// # Errors
    /// If it failed, with what it wrote.
    pub fn success(self) -> Result<String> {
        if self.code == 0 { Ok(self.stdout) } else { Err(format!("exit {}\n{}\n{}", self.code, self.stdout, self.stderr).into()) }
    }
}

/// psql with its own settings, reading `input` as a script.
#[derive(Debug, Clone)]
pub struct Psql {
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
}

impl Psql {
    /// As `admin` over TLS, database `main`.
    #[must_use]
    pub fn new(server: &Server) -> Psql {
        let environment = [
            ("PGHOST", "127.0.0.1".to_owned()),
            ("PGPORT", server.port.to_string()),
            ("PGUSER", "admin".to_owned()),
            ("PGPASSWORD", server.admin_password.clone()),
            ("PGDATABASE", "main".to_owned()),
            ("PGSSLMODE", "require".to_owned()),
            ("PGCONNECT_TIMEOUT", "20".to_owned()),
        ];
        Psql {
            environment: environment.map(|(name, value)| (name.to_owned(), value)).into(),
            arguments: ["-X", "-v", "VERBOSITY=verbose"].map(str::to_owned).into(),
        }
    }

    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Psql {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Psql {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// Unaligned, tuples only, stops at the first error.
    #[must_use]
    pub fn quiet(self) -> Psql {
        self.arguments(&["-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
    }

    /// # Errors
    /// If psql cannot be started.
    pub fn run(&self, input: &str) -> Result<Output> {
        let mut command = Command::new("psql");
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        run(command, input)
    }
}

/// Runs a script of `tests/py` with the arguments; prints of the script come back.
///
/// # Errors
/// If it fails.
pub fn python(script: &str, arguments: &[&str], environment: &[(String, String)]) -> Result<String> {
    let mut command = Command::new(python_folder().join("python"));
    command.arg(repository().join("tests").join(if script.contains('/') { "" } else { "py" }).join(script)).args(arguments);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    run(command, "")?.success()
}

/// The folder of the Python environment that has deltalake, pyarrow, duckdb and SeaweedFS.
#[must_use]
pub fn python_folder() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    match std::env::var_os("LAKEGATE_TEST_PYTHON") {
        Some(path) => PathBuf::from(path).parent().map(PathBuf::from).unwrap_or_default(),
        None => home().join(".cache/lakegate/venv/bin"),
    }
}

/// The root of the source tree.
#[must_use]
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map(PathBuf::from).unwrap_or_default()
}

/// Waits until `condition` holds.
///
/// # Errors
/// If it does not within `limit`; `what` says what was waited for.
pub async fn eventually<F: AsyncFnMut() -> Result<bool>>(what: &str, limit: Duration, mut condition: F) -> Result<()> {
    let deadline = tokio::time::Instant::now() + limit;
    while !condition().await? {
        if tokio::time::Instant::now() > deadline {
            return Err(format!("not within {limit:?}: {what}").into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

fn run(mut command: Command, input: &str) -> Result<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let Some(mut stdin) = child.stdin.take() else { return Err("no standard input".into()) };
    let input = input.to_owned();
    // In a thread: a script longer than the pipe would wait for output that nobody reads.
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(input.as_bytes());
    });
    let output = child.wait_with_output()?;
    let _ = writer.join();
    Ok(Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
