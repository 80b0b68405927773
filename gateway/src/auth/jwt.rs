//! Tokens of an identity provider (OpenID Connect) in a password's place: signed JWTs (RFC 7519), whose keys come as a JWK set (RFC 7517)
//! from a file or a URL and may change at any time. Signatures are RSA, ECDSA over P-256 and P-384, and Ed25519; `none` and HMAC are none.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use serde::Deserialize;
use serde_json::Value;

/// Where keys come from, and what a token must say.
#[derive(Debug, Clone)]
pub struct JwtOptions {
    pub issuer: String,
    pub audience: String,
    /// A path, or an http(s) URL.
    pub keys: String,
    /// The claim that names the role, or a list of roles; dots lead into objects.
    pub role_claim: String,
    /// How far clocks may be apart.
    pub leeway: Duration,
}

/// Keys are read again this often at most where a token names one that is not known, and this often at least.
const REFRESH_MIN: Duration = Duration::from_secs(10);
const REFRESH_MAX: Duration = Duration::from_secs(300);
const FETCH_DEADLINE: Duration = Duration::from_secs(5);
const KEY_SET_BYTES_MAX: usize = 1 << 20;

/// Checks tokens; clones share their keys.
#[derive(Debug, Clone)]
pub struct JwtVerifier {
    options: Arc<JwtOptions>,
    keys: Arc<RwLock<Keys>>,
}

#[derive(Debug, Default)]
struct Keys {
    set: Arc<Vec<Jwk>>,
    read: Option<Instant>,
}

#[derive(Debug, thiserror::Error)]
pub enum JwtError {
    #[error("the token is not a JWT")]
    Malformed,
    #[error("the token's algorithm \"{0}\" is not accepted")]
    Algorithm(String),
    #[error("no key of the identity provider fits the token")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token's {0} is not the one that is expected")]
    Claim(&'static str),
    #[error("the token has expired, or is not valid yet")]
    Time,
    #[error("the keys of the identity provider could not be read: {0}")]
    Keys(String),
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
}

#[derive(Debug, Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

/// A key that is understood has the members of its kind.
#[derive(Debug, Clone, Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// Whether a password has a JWT's form.
#[must_use]
pub fn looks_like_jwt(password: &str) -> bool {
    password.starts_with("ey") && password.split('.').count() == 3
}

impl JwtVerifier {
    #[must_use]
    pub fn new(options: JwtOptions) -> Self {
        JwtVerifier { options: Arc::new(options), keys: Arc::default() }
    }

    /// Whether the token is the provider's, holds now, and names the role.
    ///
    /// # Errors
    /// Why not; for the server's log, not for the client.
    pub async fn verify(&self, token: &str, role: &str) -> Result<(), JwtError> {
        let (signed, encoded) = token.rsplit_once('.').ok_or(JwtError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(JwtError::Malformed)?;
        let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| JwtError::Malformed)?;
        let encoded = decoded(encoded)?;
        self.check_signature(&header, signed.as_bytes(), &encoded).await?;
        let claims: Value = serde_json::from_slice(&decoded(claims)?).map_err(|_| JwtError::Malformed)?;
        self.check_claims(&claims, role)
    }

    async fn check_signature(&self, header: &Header, signed: &[u8], encoded: &[u8]) -> Result<(), JwtError> {
        for fresh in [false, true] {
            let keys = self.keys(fresh).await?;
            let fitting: Vec<&Jwk> = keys.iter().filter(|key| key.fits(header)).collect();
            if fitting.is_empty() {
                // The provider may have changed its keys.
                continue;
            }
            for key in fitting {
                if key.verify(&header.alg, signed, encoded)? {
                    return Ok(());
                }
            }
            return Err(JwtError::Signature);
        }
        Err(JwtError::UnknownKey)
    }

    fn check_claims(&self, claims: &Value, role: &str) -> Result<(), JwtError> {
        let options = &self.options;
        if claims.get("iss").and_then(Value::as_str) != Some(&options.issuer) {
            return Err(JwtError::Claim("issuer"));
        }
        if !names(claims.get("aud")).any(|audience| audience == options.audience) {
            return Err(JwtError::Claim("audience"));
        }
        #[expect(clippy::cast_precision_loss, reason = "seconds since the epoch fit")]
        let (now, leeway) = (Utc::now().timestamp() as f64, options.leeway.as_secs_f64());
        let time = |name: &str| claims.get(name).map(|value| value.as_f64().ok_or(JwtError::Malformed)).transpose();
        let expires = time("exp")?.ok_or(JwtError::Time)?;
        if expires + leeway <= now || time("nbf")?.is_some_and(|from| from - leeway > now) {
            return Err(JwtError::Time);
        }
        let claim = options.role_claim.split('.').try_fold(claims, |value, part| value.get(part));
        if !names(claim).any(|name| name == role) {
            return Err(JwtError::Claim("role"));
        }
        Ok(())
    }

    async fn keys(&self, fresh: bool) -> Result<Arc<Vec<Jwk>>, JwtError> {
        {
            let known = self.keys.read().unwrap_or_else(PoisonError::into_inner);
            let age = known.read.map(|read| read.elapsed());
            if age.is_some_and(|age| age < if fresh { REFRESH_MIN } else { REFRESH_MAX }) {
                return Ok(Arc::clone(&known.set));
            }
        }
        let set = match read(&self.options.keys).await {
            Ok(set) => Arc::new(set),
            Err(error) => {
                let known = self.keys.read().unwrap_or_else(PoisonError::into_inner);
                if known.read.is_none() {
                    return Err(error);
                }
                tracing::warn!(%error, "the old keys stay");
                Arc::clone(&known.set)
            }
        };
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Keys { set: Arc::clone(&set), read: Some(Instant::now()) };
        Ok(set)
    }
}

async fn read(from: &str) -> Result<Vec<Jwk>, JwtError> {
    let failed = |error: &dyn std::fmt::Display| JwtError::Keys(error.to_string());
    let bytes = if from.starts_with("https://") || from.starts_with("http://") {
        fetch(from).await.map_err(|error| failed(&error))?
    } else {
        tokio::fs::read(PathBuf::from(from)).await.map_err(|error| failed(&error))?
    };
    let set: JwkSet = serde_json::from_slice(&bytes).map_err(|error| failed(&error))?;
    Ok(set.keys)
}

async fn fetch(url: &str) -> Result<Vec<u8>, String> {
    let client = reqwest::Client::builder().timeout(FETCH_DEADLINE).build().map_err(|error| error.to_string())?;
    let mut response = client.get(url).send().await.and_then(reqwest::Response::error_for_status).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| error.to_string())? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > KEY_SET_BYTES_MAX {
            return Err("the key set is too long".to_owned());
        }
    }
    Ok(bytes)
}

impl Jwk {
    /// By its number where the token names one, and by kind.
    fn fits(&self, header: &Header) -> bool {
        let named = header.kid.as_ref().is_none_or(|kid| self.kid.as_ref() == Some(kid));
        let purpose = self.purpose.as_deref().is_none_or(|purpose| purpose == "sig");
        named && purpose && self.alg.as_ref().is_none_or(|alg| *alg == header.alg) && self.takes(&header.alg)
    }

    fn takes(&self, algorithm: &str) -> bool {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => matches!(algorithm, "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512"),
            ("EC", Some("P-256")) => algorithm == "ES256",
            ("EC", Some("P-384")) => algorithm == "ES384",
            ("OKP", Some("Ed25519")) => algorithm == "EdDSA",
            _ => false,
        }
    }

    fn verify(&self, algorithm: &str, signed: &[u8], encoded: &[u8]) -> Result<bool, JwtError> {
        let member = |value: &Option<String>| value.as_deref().map_or(Err(JwtError::UnknownKey), decoded);
        if self.kty == "RSA" {
            let parameters = match algorithm {
                "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
                "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
                "RS512" => &signature::RSA_PKCS1_2048_8192_SHA512,
                "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
                "PS384" => &signature::RSA_PSS_2048_8192_SHA384,
                "PS512" => &signature::RSA_PSS_2048_8192_SHA512,
                other => return Err(JwtError::Algorithm(other.to_owned())),
            };
            let key = RsaPublicKeyComponents { n: member(&self.n)?, e: member(&self.e)? };
            return Ok(key.verify(parameters, signed, encoded).is_ok());
        }
        let (kind, key): (&dyn signature::VerificationAlgorithm, Vec<u8>) = match algorithm {
            "ES256" => (&signature::ECDSA_P256_SHA256_FIXED, [vec![4], member(&self.x)?, member(&self.y)?].concat()),
            "ES384" => (&signature::ECDSA_P384_SHA384_FIXED, [vec![4], member(&self.x)?, member(&self.y)?].concat()),
            "EdDSA" => (&signature::ED25519, member(&self.x)?),
            other => return Err(JwtError::Algorithm(other.to_owned())),
        };
        Ok(UnparsedPublicKey::new(kind, key).verify(signed, encoded).is_ok())
    }
}

/// A text, or the texts of a list.
fn names(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let list = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    value.and_then(Value::as_str).into_iter().chain(list.iter().filter_map(Value::as_str))
}

fn decoded(text: &str) -> Result<Vec<u8>, JwtError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| JwtError::Malformed)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    use serde_json::json;

    use super::*;

    struct Provider {
        key: EcdsaKeyPair,
        kid: &'static str,
    }

    impl Provider {
        fn new(kid: &'static str) -> Provider {
            let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
            Provider { key: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).unwrap(), kid }
        }

        fn jwk(&self) -> Value {
            let point = self.key.public_key().as_ref();
            let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            json!({ "kty": "EC", "crv": "P-256", "kid": self.kid, "use": "sig", "x": encoded(&point[1..33]), "y": encoded(&point[33..]) })
        }

        fn token(&self, header: Value, claims: &Value) -> String {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let signed = format!("{}.{}", part(&header), part(claims));
            let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
        }
    }

    fn verifier(file: &tempfile::NamedTempFile) -> JwtVerifier {
        JwtVerifier::new(JwtOptions {
            issuer: "https://id.example.com".to_owned(),
            audience: "lakegate".to_owned(),
            keys: file.path().display().to_string(),
            role_claim: "realm.roles".to_owned(),
            leeway: Duration::from_secs(30),
        })
    }

    fn claims() -> Value {
        let now = Utc::now().timestamp();
        json!({ "iss": "https://id.example.com", "aud": ["x", "lakegate"], "exp": now + 60, "nbf": now, "realm": { "roles": ["ann", "staff"] } })
    }

    #[tokio::test]
    async fn tokens_are_checked() {
        let provider = Provider::new("one");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), json!({ "keys": [provider.jwk()] }).to_string()).unwrap();
        let verifier = verifier(&file);
        let header = || json!({ "alg": "ES256", "kid": "one" });
        let good = provider.token(header(), &claims());
        assert!(looks_like_jwt(&good));
        verifier.verify(&good, "ann").await.unwrap();
        verifier.verify(&good, "staff").await.unwrap();
        assert!(matches!(verifier.verify(&good, "bob").await, Err(JwtError::Claim("role"))));
        let with = |name: &str, value: Value| {
            let mut claims = claims();
            claims[name] = value;
            provider.token(header(), &claims)
        };
        let now = Utc::now().timestamp();
        for (name, value) in [
            ("iss", json!("https://other")),
            ("aud", json!("other")),
            ("exp", json!(now - 31)),
            ("exp", json!(null)),
            ("nbf", json!(now + 40)),
        ] {
            assert!(verifier.verify(&with(name, value.clone()), "ann").await.is_err(), "{name} {value}");
        }
        verifier.verify(&with("exp", json!(now - 10)), "ann").await.unwrap();
        for bad in [json!({ "alg": "none" }), json!({ "alg": "HS256", "kid": "one" }), json!({ "alg": "ES256", "kid": "two" })] {
            assert!(verifier.verify(&provider.token(bad.clone(), &claims()), "ann").await.is_err(), "{bad}");
        }
        let other = Provider::new("one").token(header(), &claims());
        assert!(matches!(verifier.verify(&other, "ann").await, Err(JwtError::Signature)));
        for broken in ["", "a.b", "ey.ey.ey", &good[..good.len() - 4]] {
            assert!(verifier.verify(broken, "ann").await.is_err(), "{broken}");
        }
    }

    #[tokio::test]
    async fn a_new_key_is_looked_for() {
        let (old, new) = (Provider::new("old"), Provider::new("new"));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), json!({ "keys": [old.jwk()] }).to_string()).unwrap();
        let verifier = verifier(&file);
        let token = |provider: &Provider| provider.token(json!({ "alg": "ES256", "kid": provider.kid }), &claims());
        verifier.verify(&token(&old), "ann").await.unwrap();
        std::fs::write(file.path(), json!({ "keys": [new.jwk()] }).to_string()).unwrap();
        // As if ten seconds had passed since.
        verifier.keys.write().unwrap().read = Instant::now().checked_sub(REFRESH_MIN);
        verifier.verify(&token(&new), "ann").await.unwrap();
        assert!(verifier.verify(&token(&old), "ann").await.is_err());
    }
}
