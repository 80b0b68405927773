//! Rules about the source itself: who may depend on whom, and where certain words may stand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use lakegate_tests::tools::repository;

use crate::startup::files_under;

/// Our crates and which of ours each may use.
const EDGES: &[(&str, &[&str])] = &[
    ("lakegate-catalog", &[]),
    ("lakegate-engine-api", &["lakegate-catalog"]),
    ("lakegate-engine", &["lakegate-catalog", "lakegate-engine-api"]),
    ("lakegate", &["lakegate-catalog", "lakegate-engine-api", "lakegate-engine"]),
    ("lakegate-tests", &["lakegate-catalog"]),
];

/// Crates that only the engine may use.
const QUERY_CRATES: &[&str] = &["datafusion", "deltalake", "delta_kernel", "delta-kernel", "parquet", "object_store"];

#[test]
fn crates_depend_as_the_design_says() {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(repository())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let edges: BTreeMap<_, _> = EDGES.iter().copied().collect();
    let packages = metadata["packages"].as_array().unwrap();
    assert_eq!(packages.len(), edges.len(), "a crate without a rule");
    let mut broken = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let allowed = edges.get(name).unwrap_or_else(|| panic!("{name} has no rule"));
        for dependency in package["dependencies"].as_array().unwrap() {
            let dependency = dependency["name"].as_str().unwrap();
            if edges.contains_key(dependency) && !allowed.contains(&dependency) {
                broken.push(format!("{name} uses {dependency}"));
            }
            let of_the_engine = QUERY_CRATES.iter().any(|of| dependency == *of || dependency.starts_with(&format!("{of}-")));
            if name != "lakegate-engine" && of_the_engine {
                broken.push(format!("{name} uses {dependency}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn only_the_binary_names_the_engine_crate() {
    let broken = lines_with(&["gateway/src"], |path, line| line.contains("lakegate_engine::") && !path.ends_with("gateway/src/main.rs"));
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn only_the_engine_names_datafusion_and_delta() {
    let names = ["datafusion", "deltalake", "delta_kernel"];
    let broken = lines_with(&["gateway/src", "catalog/src", "engine/api/src"], |_, line| {
        names.iter().any(|name| line.contains(&format!("{name}::")) || line.contains(&format!("use {name}")))
    });
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn only_one_file_writes_sqlstates() {
    let table = std::fs::read_to_string(repository().join("gateway/src/sqlstate.rs")).unwrap();
    let codes: Vec<_> = table
        .lines()
        .filter_map(|line| line.trim().strip_suffix("\",")?.split_once(" = \"").map(|(_, code)| format!("\"{code}\"")))
        .filter(|code| code.len() == 7)
        .collect();
    assert!(codes.len() > 50, "the codes were not found");
    let broken = lines_with(&["gateway/src", "catalog/src", "engine/src", "engine/api/src"], |path, line| {
        !path.ends_with("gateway/src/sqlstate.rs") && codes.iter().any(|code| line.contains(code))
    });
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn only_the_wire_sees_message_bytes() {
    // The socket is read and written by the wire and handed to it by the server; nobody else has one.
    let broken = lines_with(&["gateway/src"], |path, line| {
        let part = path.strip_prefix(repository().join("gateway/src")).unwrap();
        // Engines join over HTTP.
        let may = ["wire", "server", "session", "auth", "cluster/listener.rs"].iter().any(|place| part.starts_with(place));
        (line.contains("TcpStream") || line.contains("AsyncReadExt") || line.contains("AsyncWriteExt")) && !may
    });
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn files_stay_small() {
    let mut large = Vec::new();
    for path in rust_files(&["gateway", "catalog", "engine", "tests"]) {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        // 600 lines are the habit; this is the wall.
        if lines > 700 {
            large.push(format!("{}: {lines} lines", path.display()));
        }
    }
    assert!(large.is_empty(), "more than one idea:\n{}", large.join("\n"));
}

/// Places in code (no comments, nothing after the start of a test module) of which `wrong` says so.
fn lines_with(folders: &[&str], wrong: impl Fn(&Path, &str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for path in rust_files(folders) {
        let text = std::fs::read_to_string(&path).unwrap();
        let is_test_file =
            path.file_name().is_some_and(|name| name == "tests.rs") || path.components().any(|part| part.as_os_str() == "tests");
        if is_test_file {
            continue;
        }
        for (index, line) in text.lines().enumerate() {
            if line.trim() == "#[cfg(test)]" {
                break;
            }
            let code = line.trim_start();
            if !code.starts_with("//") && wrong(&path, code) {
                found.push(format!("{}:{}: {code}", path.display(), index + 1));
            }
        }
    }
    found
}

fn rust_files(folders: &[&str]) -> Vec<PathBuf> {
    let mut files: Vec<_> = folders.iter().flat_map(|folder| files_under(&repository().join(folder))).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files.retain(|path| path.components().all(|part| part.as_os_str() != "target"));
    files
}
