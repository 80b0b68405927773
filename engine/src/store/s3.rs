//! S3 and stores that speak its protocol, from the standard `AWS_*` variables.

use std::sync::Arc;
use std::time::Duration;

use lakegate_engine_api::EngineError;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::{HttpConnector, SpawnedReqwestConnector};
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use tokio::runtime::Handle;

use super::kept::Kept;
use crate::options::EngineOptions;

/// All attempts of one request together.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);
const RETRIES_MAX: usize = 6;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The object store crate's.
const DEFAULT_REGION: &str = "us-east-1";

/// The bucket; the same, each request sent once; what it keeps beside its objects, where it can keep any.
pub struct Opened {
    pub store: Arc<dyn ObjectStore>,
    pub once: Arc<dyn ObjectStore>,
    pub kept: Option<Arc<Kept>>,
}

/// # Errors
/// `Storage` where the variables do not fit together.
pub fn open(name: &str, options: &EngineOptions, network: &Handle) -> Result<Opened, EngineError> {
    let wrong = |source: object_store::Error| {
        tracing::warn!(error = %source, bucket = name, "object store settings");
        EngineError::Storage { message: "the object store's settings are incomplete or wrong".to_owned() }
    };
    let some = RetryConfig { backoff: BackoffConfig::default(), max_retries: RETRIES_MAX, retry_timeout: RETRY_TIMEOUT };
    let none = RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: options.request_timeout };
    let (builder, client) = builder(name, options);
    let connector = || SpawnedReqwestConnector::new(network.clone());
    let store = builder.clone().with_http_connector(connector()).with_retry(some).build().map_err(wrong)?;
    let once = builder.clone().with_http_connector(connector()).with_retry(none).build().map_err(wrong)?;
    let is = |key: AmazonS3ConfigKey| builder.get_config_value(&key).is_some_and(|value| value == "true");
    let text = |key: AmazonS3ConfigKey| builder.get_config_value(&key);
    let region = text(AmazonS3ConfigKey::Region).unwrap_or_else(|| DEFAULT_REGION.to_owned());
    let endpoint = text(AmazonS3ConfigKey::S3Endpoint).or_else(|| text(AmazonS3ConfigKey::Endpoint));
    // As the builder puts them together.
    let endpoint = match (endpoint, is(AmazonS3ConfigKey::VirtualHostedStyleRequest)) {
        (Some(endpoint), true) => endpoint.trim_end_matches('/').to_owned(),
        (Some(endpoint), false) => format!("{}/{name}", endpoint.trim_end_matches('/')),
        (None, true) => format!("https://{name}.s3.{region}.amazonaws.com"),
        (None, false) => format!("https://s3.{region}.amazonaws.com/{name}"),
    };
    let credentials = (!is(AmazonS3ConfigKey::SkipSignature)).then(|| Arc::clone(store.credentials()));
    let kept = match is(AmazonS3ConfigKey::S3Express) {
        // Directory buckets have no versions.
        true => None,
        false => Some(Arc::new(Kept {
            client: connector().connect(&client).map_err(wrong)?,
            endpoint,
            region,
            credentials,
            request_payer: is(AmazonS3ConfigKey::RequestPayer),
        })),
    };
    Ok(Opened { store: Arc::new(store), once: Arc::new(once), kept })
}

fn builder(name: &str, options: &EngineOptions) -> (AmazonS3Builder, ClientOptions) {
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
    (builder.with_bucket_name(name).with_client_options(client.clone()).with_allow_http(allow_http), client)
}
