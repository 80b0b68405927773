//! Vault's transit engine (or a service with its API, e.g. OpenBao), which wraps the key-encryption key and never gives its own away.
//!
//! Address, token, namespace and who signs its certificate come from the variables that Vault's own tools read: `VAULT_ADDR`, `VAULT_TOKEN`,
//! `VAULT_NAMESPACE`, `VAULT_CACERT`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _};
use lakegate_catalog::{CatalogError, Kek, KeyWrapping};
use zeroize::Zeroizing;

const DEADLINE: Duration = Duration::from_secs(10);
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);
const ANSWER_BYTES_MAX: usize = 65_536;

/// Where the token is read: a file is read anew for each request, since an agent may renew it.
#[derive(Clone)]
enum Token {
    Value(Zeroizing<String>),
    File(PathBuf),
}

#[derive(Clone)]
pub struct VaultTransit {
    /// Without a slash at its end.
    address: String,
    mount: String,
    key: String,
    namespace: Option<String>,
    token: Token,
    client: reqwest::Client,
}

/// Without the token.
impl fmt::Debug for VaultTransit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultTransit")
            .field("address", &self.address)
            .field("mount", &self.mount)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl VaultTransit {
    /// `key` is mount and name of the key, `transit/lakegate`.
    ///
    /// # Errors
    /// [`CatalogError::KekFile`]: a variable is missing or makes no sense.
    pub fn from_environment(key: &str, token_file: Option<PathBuf>) -> Result<VaultTransit, CatalogError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let name_ok =
            |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c)) && !part.contains("..");
        let Some((mount, name)) = key.rsplit_once('/').filter(|(mount, name)| name_ok(mount) && name_ok(name)) else {
            return Err(failed(format!("\"{key}\" is not a mount and a key's name, such as transit/lakegate")));
        };
        let address = variable("VAULT_ADDR").ok_or_else(|| failed("VAULT_ADDR is not set"))?;
        if !address.starts_with("https://") && !address.starts_with("http://") {
            return Err(failed("VAULT_ADDR is no http or https address"));
        }
        let token = match (token_file, variable("VAULT_TOKEN")) {
            (Some(file), _) => Token::File(file),
            (None, Some(token)) => Token::Value(Zeroizing::new(token)),
            (None, None) => return Err(failed("neither VAULT_TOKEN nor --kek-vault-token-file is given")),
        };
        let mut client = reqwest::Client::builder().timeout(DEADLINE).redirect(reqwest::redirect::Policy::none());
        if let Some(path) = variable("VAULT_CACERT") {
            let pem = std::fs::read(&path).map_err(|error| failed(format!("could not read \"{path}\" (VAULT_CACERT): {error}")))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem);
            for certificate in certificates.map_err(|_| failed(format!("\"{path}\" (VAULT_CACERT) holds no PEM certificates")))? {
                client = client.add_root_certificate(certificate);
            }
        }
        Ok(VaultTransit {
            address: address.trim_end_matches('/').to_owned(),
            mount: mount.to_owned(),
            key: name.to_owned(),
            namespace: variable("VAULT_NAMESPACE"),
            token,
            client: client.build().map_err(|error| failed(error.to_string()))?,
        })
    }

    /// One of the answer's strings under `data`.
    async fn ask(&self, operation: &str, body: serde_json::Value, wanted: &str) -> Result<Zeroizing<String>, CatalogError> {
        let mut attempt = 1;
        loop {
            match self.ask_once(operation, &body, wanted).await {
                Err(Refusal::Passing(_)) if attempt < ATTEMPTS => {
                    tokio::time::sleep(PAUSE * attempt).await;
                    attempt += 1;
                }
                Err(Refusal::Passing(message) | Refusal::Final(message)) => return Err(failed(message)),
                Ok(answer) => return Ok(answer),
            }
        }
    }

    async fn ask_once(&self, operation: &str, body: &serde_json::Value, wanted: &str) -> Result<Zeroizing<String>, Refusal> {
        let token = match &self.token {
            Token::Value(token) => token.clone(),
            Token::File(path) => {
                let text = tokio::fs::read_to_string(path).await;
                let text =
                    text.map_err(|error| Refusal::Final(format!("could not read its token from \"{}\": {error}", path.display())))?;
                Zeroizing::new(text.trim().to_owned())
            }
        };
        let url = format!("{}/v1/{}/{operation}/{}", self.address, self.mount, self.key);
        let mut request = self.client.post(url).header("x-vault-request", "true").header("x-vault-token", token.as_str());
        if let Some(namespace) = &self.namespace {
            request = request.header("x-vault-namespace", namespace);
        }
        let passing = |error: reqwest::Error| Refusal::Passing(format!("no answer: {}", innermost(&error)));
        let mut response = request.header("content-type", "application/json").body(body.to_string()).send().await.map_err(passing)?;
        let status = response.status();
        let mut bytes = Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(passing)? {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Refusal::Final("its answer is too long".to_owned()));
            }
            bytes.extend_from_slice(&chunk);
        }
        let answer: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if !status.is_success() {
            let errors: Vec<&str> = answer["errors"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str).collect();
            let message = format!("{operation} with key \"{}/{}\" was refused: {status} {}", self.mount, self.key, errors.join("; "));
            let message = message.trim_end().to_owned();
            return Err(if status.is_server_error() || status.as_u16() == 429 {
                Refusal::Passing(message)
            } else {
                Refusal::Final(message)
            });
        }
        match answer["data"][wanted].as_str() {
            Some(text) => Ok(Zeroizing::new(text.to_owned())),
            None => Err(Refusal::Final(format!("its answer to {operation} has no {wanted}"))),
        }
    }
}

/// Whether it is worth asking again.
enum Refusal {
    Passing(String),
    Final(String),
}

impl KeyWrapping for VaultTransit {
    fn wrap<'a>(&'a self, key: &'a Kek) -> BoxFuture<'a, Result<String, CatalogError>> {
        async move {
            let body = serde_json::json!({ "plaintext": key.to_base64().as_str() });
            let wrapped = self.ask("encrypt", body, "ciphertext").await?;
            // Before it is relied on: what cannot be opened again must not wrap anything.
            let again = self.unwrap(&wrapped).await?;
            if *again.to_base64() != *key.to_base64() {
                return Err(failed("what it wrapped is not what it unwraps"));
            }
            Ok(wrapped.to_string())
        }
        .boxed()
    }

    fn unwrap<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<Kek, CatalogError>> {
        async move {
            if !text.starts_with("vault:") {
                return Err(failed("the key file holds nothing that it wrapped: such a text begins with vault:"));
            }
            // The service takes and gives base64, as the key is written.
            Kek::from_base64(&self.ask("decrypt", serde_json::json!({ "ciphertext": text }), "plaintext").await?)
        }
        .boxed()
    }
}

fn failed(what: impl fmt::Display) -> CatalogError {
    CatalogError::KekFile { message: format!("Vault, which wraps the key-encryption key: {what}") }
}

/// The reason at the bottom: the outer ones only repeat the address.
fn innermost(error: &reqwest::Error) -> String {
    let mut reason: &dyn std::error::Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    reason.to_string()
}
