//! The key-encryption key wrapped by Vault's transit engine, for which `transit.py` stands.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use lakegate_tests::client::Client;
use lakegate_tests::process::{Plan, Process};
use lakegate_tests::server::{Options, Server, binary};
use lakegate_tests::tools::{python_folder, repository};

const TOKEN: &str = "s.token-of-the-test";

struct Transit {
    _process: Process,
    port: String,
    certificate: PathBuf,
}

impl Transit {
    fn start(folder: &Path) -> Transit {
        let file = |name: &str| folder.join(name).display().to_string();
        let made = Command::new("openssl")
            .args(["req", "-new", "-x509", "-days", "30", "-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", &file("vault.key"), "-out", &file("vault.crt")])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let script = repository().join("tests/py/transit.py").display().to_string();
        let port_file = folder.join("vault.port");
        let process = Process::start(&Plan {
            program: &python_folder().join("python"),
            arguments: &[script, file("vault.crt"), file("vault.key"), port_file.display().to_string(), TOKEN.to_owned()],
            environment: &[],
            folder,
            name: "transit",
            stop_signal: "KILL",
            remove_at_end: None,
            run_as: None,
        })
        .unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        let port = loop {
            match std::fs::read_to_string(&port_file) {
                Ok(port) => break port,
                Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
                Err(error) => panic!("the service did not start: {error}"),
            }
        };
        Transit { _process: process, port, certificate: folder.join("vault.crt") }
    }

    fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("LAKEGATE_KEK_VAULT_KEY", "transit/lakegate".to_owned()),
            ("VAULT_ADDR", format!("https://localhost:{}", self.port)),
            ("VAULT_CACERT", self.certificate.display().to_string()),
            ("VAULT_TOKEN", TOKEN.to_owned()),
        ]
    }

    fn options(&self, data: &Path) -> Options {
        self.environment().into_iter().fold(Options::new(data), |options, (name, value)| options.environment(name, value))
    }

    fn admin(&self, data: &Path, arguments: &[&str], changed: &[(&str, &str)]) -> Result<String, String> {
        let mut command = Command::new(binary().unwrap());
        command.args(["admin", "--data-dir"]).arg(data).args(arguments).envs(self.environment()).envs(changed.iter().copied());
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    fn tell(&self, what: &str) {
        let url = format!("https://localhost:{}/test/{what}", self.port);
        let told = Command::new("curl").args(["-sSf", "-X", "POST", "--cacert"]).arg(&self.certificate).arg(url).output().unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    }
}

#[tokio::test]
async fn the_key_file_is_of_no_use_without_the_service() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let transit = Transit::start(folder.path());
    let file = data.join("kek.vault");
    let first = {
        let server = Server::start(&transit.options(&data)).unwrap();
        let client = Client::admin(&server).await.unwrap();
        client.batch_execute("CREATE TABLE under_the_first_key (a int)").await.unwrap();
        let first = std::fs::read_to_string(&file).unwrap();
        assert!(first.starts_with("vault:v1:"), "{first}");
        // While it serves, under a new version of the service's own key.
        transit.tell("rotate");
        client.batch_execute("ROTATE KEYS").await.unwrap();
        client.batch_execute("CREATE TABLE under_the_second_key (a int)").await.unwrap();
        first
    };
    let second = std::fs::read_to_string(&file).unwrap();
    assert!(second.starts_with("vault:v2:") && first != second, "{second}");
    assert!(!data.join("kek.key").exists() && !data.join("kek.vault.new").exists());
    assert!(transit.admin(&data, &["keys", "rotate"], &[]).unwrap().contains("wrapped with a new key"));
    assert!(transit.admin(&data, &["log", "verify"], &[]).unwrap().contains("open with their keys"));
    {
        let server = Server::start(&transit.options(&data)).unwrap();
        let client = Client::admin(&server).await.unwrap();
        let texts = "SELECT count(*)::text FROM system.query.history WHERE statement_text LIKE 'CREATE TABLE under_the_%'";
        assert_eq!(client.value(texts).await.unwrap(), "2");
    }

    let verify = |changed: &[(&str, &str)]| transit.admin(&data, &["log", "verify"], changed).unwrap_err();
    let wrong = verify(&[("VAULT_TOKEN", "another")]);
    assert!(wrong.contains("permission denied") && !wrong.contains("another"), "{wrong}");
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, format!("{TOKEN}\n")).unwrap();
    let from_file = [("VAULT_TOKEN", ""), ("LAKEGATE_KEK_VAULT_TOKEN_FILE", token_file.to_str().unwrap())];
    assert!(transit.admin(&data, &["log", "verify"], &from_file).is_ok());
    assert!(verify(&[("VAULT_TOKEN", "")]).contains("VAULT_TOKEN"));
    assert!(verify(&[("VAULT_ADDR", "")]).contains("VAULT_ADDR is not set"));
    assert!(verify(&[("VAULT_ADDR", "https://localhost:1")]).contains("no answer"));
    // A certificate that nobody known has signed.
    assert!(verify(&[("VAULT_CACERT", "")]).contains("no answer"));
    assert!(verify(&[("LAKEGATE_KEK_VAULT_KEY", "lakegate")]).contains("mount and a key's name"));
    assert!(verify(&[("LAKEGATE_KEK_VAULT_KEY", "transit/other")]).contains("404"));
    assert!(verify(&[("LAKEGATE_KEK", "AAAA")]).contains("--kek-vault-key"));
    transit.tell("seal");
    assert!(verify(&[]).contains("Vault is sealed"));
    transit.tell("unseal");
    // One byte of the wrapped key.
    let kept = std::fs::read_to_string(&file).unwrap();
    let (head, tail) = kept.split_at(kept.len() - 6);
    let swapped: String = tail
        .chars()
        .map(|c| {
            if c == 'A' {
                'B'
            } else if c.is_ascii_alphanumeric() {
                'A'
            } else {
                c
            }
        })
        .collect();
    std::fs::write(&file, format!("{head}{swapped}")).unwrap();
    assert!(verify(&[]).contains("400"));
    std::fs::write(&file, "no wrapped key").unwrap();
    assert!(verify(&[]).contains("begins with vault:"));
    std::fs::write(&file, kept).unwrap();
    assert!(transit.admin(&data, &["log", "verify"], &[]).is_ok());
}
