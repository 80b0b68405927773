//! S3 and stores that speak its protocol, from the standard `AWS_*` variables.

use std::sync::Arc;
use std::time::Duration;

use lakegate_engine_api::EngineError;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::SpawnedReqwestConnector;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use tokio::runtime::Handle;

use crate::options::EngineOptions;

/// All attempts of one request together.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);
const RETRIES_MAX: usize = 6;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retries {
    Some,
    /// Every request goes out once: who sends it wants to know what became of it.
    None,
}

/// # Errors
/// `Storage` where the variables do not fit together.
pub fn bucket(name: &str, options: &EngineOptions, retries: Retries, network: &Handle) -> Result<Arc<dyn ObjectStore>, EngineError> {
    let endpoint = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"].iter().find_map(|key| options.aws.get(*key));
    let is_true = |key: &str| options.aws.get(key).is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1");
    let allow_http = is_true("AWS_ALLOW_HTTP") || endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));

    let mut builder = AmazonS3Builder::new();
    for (variable, value) in &options.aws {
        // What object_store does not know (AWS_PROFILE, AWS_PAGER …) is for other programs.
        if let Ok(key) = variable.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
    }
    let client = ClientOptions::new()
        .with_allow_http(allow_http)
        .with_timeout(options.request_timeout)
        .with_connect_timeout(CONNECT_TIMEOUT.min(options.request_timeout));
    let retry = match retries {
        Retries::Some => RetryConfig { backoff: BackoffConfig::default(), max_retries: RETRIES_MAX, retry_timeout: RETRY_TIMEOUT },
        Retries::None => RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: options.request_timeout },
    };
    let connector = SpawnedReqwestConnector::new(network.clone());
    let builder = builder.with_bucket_name(name).with_client_options(client).with_allow_http(allow_http);
    let store = builder.with_http_connector(connector).with_retry(retry).build();
    match store {
        Ok(store) => Ok(Arc::new(store)),
        Err(source) => {
            tracing::warn!(error = %source, bucket = name, "object store settings");
            Err(EngineError::Storage { message: "the object store's settings are incomplete or wrong".to_owned() })
        }
    }
}
