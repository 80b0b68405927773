//! The clients of `conformance/` that install in seconds; `conformance/run` without arguments runs them all.

use std::process::Command;

use lakegate_tests::server::binary;
use lakegate_tests::tools::repository;

#[test]
fn quick_clients_pass() {
    let run = Command::new(repository().join("conformance/run")).args(["--quick"]).env("LAKEGATE_BIN", binary().unwrap()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    let unexpected: Vec<_> = stdout.lines().filter(|line| !line.contains(": ok ") && !line.contains(": gap ")).collect();
    assert!(run.status.success(), "{}\n{stderr}", unexpected.join("\n"));
    // A run of nothing would pass too.
    assert!(stdout.lines().filter(|line| line.starts_with("psql: ok ")).count() > 20, "{stdout}");
}
