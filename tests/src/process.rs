//! Child processes that cannot outlive the tests.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;

/// Runs the command and waits; when its own standard input closes (the test process ended, however it did) it signals
/// the command and removes the folder it was told to.
const KEEPER: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- &
pid=$!
echo $pid >"$KEEPER_PID_FILE.tmp"; mv "$KEEPER_PID_FILE.tmp" "$KEEPER_PID_FILE"
( read -r _ <&3; kill -"$KEEPER_SIGNAL" $pid; sleep 1; kill -KILL $pid; [ -z "$KEEPER_REMOVE" ] || rm -rf "$KEEPER_REMOVE" ) >/dev/null 2>&1 &
exec 3<&-
wait $pid
exit $?
"#;

/// How to start a process.
#[derive(Debug)]
pub struct Plan<'a> {
    pub program: &'a Path,
    pub arguments: &'a [String],
    pub environment: &'a [(String, String)],
    /// Takes `NAME.out`, `NAME.err` and `NAME.pid`; must exist.
    pub folder: &'a Path,
    pub name: &'a str,
    /// Sent when the process is dropped: `KILL`, `QUIT`, `TERM`.
    pub stop_signal: &'static str,
    /// Removed if the tests end without dropping the process.
    pub remove_at_end: Option<&'a Path>,
    /// User and group to run as.
    pub run_as: Option<(u32, u32)>,
}

/// A running process; stopped when dropped.
#[derive(Debug)]
pub struct Process {
    keeper: Child,
    pid: u32,
    stop_signal: &'static str,
    pub stdout: PathBuf,
    pub stderr: PathBuf,
}

impl Process {
    /// Starts the process; does not wait for it to be ready.
    ///
    /// # Errors
    /// If the shell around it cannot be started.
    pub fn start(plan: &Plan<'_>) -> Result<Process> {
        let file = |suffix: &str| plan.folder.join(format!("{}.{suffix}", plan.name));
        let (stdout, stderr, pid_file) = (file("out"), file("err"), file("pid"));
        let _ = std::fs::remove_file(&pid_file);
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", KEEPER, "keeper"])
            .arg(plan.program)
            .args(plan.arguments)
            .env("KEEPER_PID_FILE", &pid_file)
            .env("KEEPER_SIGNAL", plan.stop_signal)
            .env("KEEPER_REMOVE", plan.remove_at_end.unwrap_or(Path::new("")))
            .envs(plan.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(File::create(&stdout)?)
            .stderr(File::create(&stderr)?);
        if let Some((user, group)) = plan.run_as {
            command.uid(user).gid(group);
        }
        let keeper = command.spawn()?;
        let deadline = Instant::now() + Duration::from_secs(10);
        let pid = loop {
            if let Some(pid) = std::fs::read_to_string(&pid_file).ok().and_then(|text| text.trim().parse().ok()) {
                break pid;
            }
            if Instant::now() > deadline {
                return Err(format!("{} did not start", plan.program.display()).into());
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Ok(Process { keeper, pid, stop_signal: plan.stop_signal, stdout, stderr })
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal by name (`TERM`, `KILL`, `STOP` …).
    ///
    /// # Errors
    /// If the process is gone.
    pub fn signal(&self, name: &str) -> io::Result<()> {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.pid.to_string()).stderr(Stdio::null()).status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other("no such process")) }
    }

    /// The exit status once it has ended; 128 + n for death by signal n.
    ///
    /// # Errors
    /// If the operating system does not tell.
    pub fn exit_code(&mut self) -> io::Result<Option<i32>> {
        Ok(self.keeper.try_wait()?.map(|status| status.code().unwrap_or(-1)))
    }

    /// Waits for the end; `None` when it still runs after `limit`.
    ///
    /// # Errors
    /// If the operating system does not tell.
    pub fn wait(&mut self, limit: Duration) -> io::Result<Option<i32>> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(code) = self.exit_code()? {
                return Ok(Some(code));
            }
            if Instant::now() > deadline {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Resident set in bytes.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn resident_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
    }

    /// Processor time used so far, in hundredths of a second.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn cpu_ticks(&self) -> Result<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        // The program's name stands in parentheses and may hold spaces; then state is field 3, utime 14, stime 15.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |field: usize| fields.get(field - 3).ok_or("no processor time").map(|ticks| ticks.parse::<u64>());
        Ok(ticks(14)?? + ticks(15)??)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.exit_code(), Ok(None)) {
            let _ = self.signal(self.stop_signal);
            if matches!(self.wait(Duration::from_secs(10)), Ok(None)) {
                let _ = self.signal("KILL");
                let _ = self.wait(Duration::from_secs(5));
            }
        }
    }
}

/// A TCP port of the loopback interface that nobody listens on right now.
///
/// # Errors
/// If there is none.
pub fn free_port() -> io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Waits until something accepts connections on a loopback port.
///
/// # Errors
/// If nothing does within `limit`.
pub fn wait_for_port(port: u16, limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > deadline {
            return Err(format!("nothing listens on port {port}").into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
