//! An engine's side of joining: it registers at one of the gateways and tells it from time to time that it is alive.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lakegate_catalog::engines::{EngineLoad, Standing};
use reqwest::{Client, Response, StatusCode};
use serde::Serialize;

use super::messages::{BEAT, Beat, BeatAnswer, CLUSTER, ClusterFacts, Farewell, LEAVE, REGISTER, Registration};

/// Of one request.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// No gateway answers, or none that has a catalog: to be tried again.
    #[error("no gateway can be joined: {0}")]
    Unreachable(String),
    /// A gateway does not take this engine.
    #[error("the gateway at {gateway} refuses this engine: {reason}")]
    Refused { gateway: String, reason: String },
    #[error("could not make an HTTP client: {0}")]
    Client(reqwest::Error),
}

/// The way to the gateways: the one that answered last is asked first.
pub struct Gateways {
    client: Client,
    /// `host:port`.
    addresses: Vec<String>,
    at: AtomicUsize,
}

impl Gateways {
    /// # Errors
    /// [`JoinError::Client`].
    pub fn new(addresses: Vec<String>, tls: &rustls::ClientConfig) -> Result<Gateways, JoinError> {
        let mut tls = tls.clone();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let client = Client::builder()
            .use_preconfigured_tls(tls)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_LIMIT)
            .timeout(ANSWER_LIMIT)
            .build()
            .map_err(JoinError::Client)?;
        Ok(Gateways { client, addresses, at: AtomicUsize::new(0) })
    }

    /// What has to be known before joining.
    ///
    /// # Errors
    /// [`JoinError::Unreachable`], [`JoinError::Refused`].
    pub async fn cluster(&self) -> Result<ClusterFacts, JoinError> {
        parsed(&self.ask::<()>(CLUSTER, None).await?)
    }

    /// # Errors
    /// As [`Gateways::cluster`].
    pub async fn register(&self, registration: &Registration) -> Result<ClusterFacts, JoinError> {
        parsed(&self.ask(REGISTER, Some(registration)).await?)
    }

    /// # Errors
    /// As [`Gateways::cluster`].
    pub async fn beat(&self, of: &Registration, load: EngineLoad) -> Result<Standing, JoinError> {
        let beat = Beat { name: of.name.clone(), instance: of.instance, load };
        let answer: BeatAnswer = parsed(&self.ask(BEAT, Some(&beat)).await?)?;
        Ok(answer.standing)
    }

    /// # Errors
    /// As [`Gateways::cluster`].
    pub async fn leave(&self, of: &Registration) -> Result<(), JoinError> {
        self.ask(LEAVE, Some(&Farewell { name: of.name.clone(), instance: of.instance })).await?;
        Ok(())
    }

    /// The first of the gateways that a connection can be made to, for finding out the own address.
    pub fn first(&self) -> &str {
        self.addresses.first().map_or("", String::as_str)
    }

    async fn ask<T: Serialize>(&self, path: &str, body: Option<&T>) -> Result<Vec<u8>, JoinError> {
        let begin = self.at.load(Ordering::Relaxed);
        let mut reasons = Vec::new();
        for step in 0..self.addresses.len() {
            let at = (begin + step) % self.addresses.len();
            let Some(gateway) = self.addresses.get(at) else { continue };
            match self.ask_one(gateway, path, body).await {
                Err(JoinError::Unreachable(reason)) => reasons.push(format!("{gateway}: {reason}")),
                answer => {
                    self.at.store(at, Ordering::Relaxed);
                    return answer;
                }
            }
        }
        Err(JoinError::Unreachable(reasons.join("; ")))
    }

    async fn ask_one<T: Serialize>(&self, gateway: &str, path: &str, body: Option<&T>) -> Result<Vec<u8>, JoinError> {
        let refused = |reason: String| JoinError::Refused { gateway: gateway.to_owned(), reason };
        let url = format!("https://{gateway}{path}");
        let request = match body {
            None => self.client.get(&url),
            Some(body) => {
                let body = serde_json::to_vec(body).map_err(|error| refused(error.to_string()))?;
                self.client.post(&url).header("content-type", "application/json").body(body)
            }
        };
        let response = request.send().await.map_err(|error| JoinError::Unreachable(whole(&error)))?;
        match response.status() {
            status if status.is_success() => {
                let bytes = response.bytes().await.map_err(|error| JoinError::Unreachable(whole(&error)))?;
                Ok(bytes.to_vec())
            }
            StatusCode::SERVICE_UNAVAILABLE => Err(JoinError::Unreachable(text(response).await)),
            _ => Err(refused(text(response).await)),
        }
    }
}

async fn text(response: Response) -> String {
    let status = response.status();
    response.text().await.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| status.to_string())
}

fn parsed<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, JoinError> {
    serde_json::from_slice(body).map_err(|error| JoinError::Unreachable(format!("an answer that is none: {error}")))
}

/// With what lies beneath: the handshake's reason stands there.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}
