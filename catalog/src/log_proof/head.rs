//! Signed heads: how far a chain had come at a time, under which root, and what the other chains were. A text in the form of a C2SP
//! checkpoint (origin, size, root), with lines of our own after those three, and an ed25519 signature over it.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use sqlx::AnyConnection;

use super::chain::{Chain, Tip, tips};
use super::merkle::Hash;
use crate::error::CatalogError;
use crate::keyring::DataKey;

const ORIGIN: &str = "lakegate/log/";

/// Signs heads, and what other parts of the program have to prove.
pub(crate) struct Signer {
    pair: Ed25519KeyPair,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(…)")
    }
}

impl Signer {
    /// All gateways on one catalog have the same.
    pub(crate) fn new(key: &DataKey) -> Result<Signer, CatalogError> {
        let seed = zeroize::Zeroizing::new(key.derive("ed25519 seed", b""));
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed[..]).map_err(|_| CatalogError::internal("no signing key"))?;
        Ok(Signer { pair })
    }

    pub(crate) fn public_key(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(self.pair.public_key().as_ref());
        out
    }

    /// Over the context, a newline and the document: a signature for one purpose is none for another.
    pub(crate) fn sign(&self, context: &str, document: &[u8]) -> Vec<u8> {
        self.pair.sign(&signed_bytes(context, document)).as_ref().to_vec()
    }
}

fn signed_bytes(context: &str, document: &[u8]) -> Vec<u8> {
    [b"lakegate ", context.as_bytes(), b"\n", document].concat()
}

/// Whether a document was signed with the key for that purpose.
#[must_use]
pub fn is_signed(public_key: &[u8], context: &str, document: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public_key).verify(&signed_bytes(context, document), signature).is_ok()
}

pub(crate) const HEAD: &str = "log head";

/// What a head says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub chain: String,
    pub size: u64,
    pub root: Hash,
    pub link: Hash,
    pub time: DateTime<Utc>,
    /// The writer stopped in good order: nothing comes after it.
    pub is_last: bool,
    pub others: Vec<Tip>,
}

impl Head {
    /// As it is signed.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "{ORIGIN}{}\n{}\n{}\nlink {}\ntime {}\nlast {}\n",
            self.chain,
            self.size,
            STANDARD.encode(self.root),
            STANDARD.encode(self.link),
            self.time.timestamp_micros(),
            self.is_last
        );
        for tip in &self.others {
            text.push_str(&format!("beside {} {} {}\n", tip.chain, tip.size, tip.link));
        }
        text
    }

    /// `None`: it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Head> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let hash = |text: &str| Hash::try_from(STANDARD.decode(text).ok()?).ok();
        let chain = lines.next()?.strip_prefix(ORIGIN)?.to_owned();
        let size = lines.next()?.parse().ok()?;
        let root = hash(lines.next()?)?;
        let link = hash(lines.next()?.strip_prefix("link ")?)?;
        let time = DateTime::from_timestamp_micros(lines.next()?.strip_prefix("time ")?.parse().ok()?)?;
        let is_last = lines.next()?.strip_prefix("last ")?.parse().ok()?;
        let beside = |line: &str| {
            let mut words = line.strip_prefix("beside ")?.split(' ');
            Some(Tip { chain: words.next()?.to_owned(), size: words.next()?.parse().ok()?, link: words.next()?.to_owned() })
        };
        let others = lines.map(beside).collect::<Option<_>>()?;
        Some(Head { chain, size, root, link, time, is_last, others })
    }
}

/// Signs how far the chain has come and stores it.
pub(crate) async fn store_head(
    connection: &mut AnyConnection,
    signer: &Signer,
    chain: &Chain,
    is_last: bool,
) -> Result<Head, CatalogError> {
    let others = tips(connection, &chain.id).await?;
    let head =
        Head { chain: chain.id.clone(), size: chain.size, root: chain.tree.root(), link: chain.link, time: Utc::now(), is_last, others };
    let text = head.text();
    let signature = signer.sign(HEAD, text.as_bytes());
    sqlx::query("INSERT INTO log_heads (chain, size, time_us, head, signature) VALUES ($1, $2, $3, $4, $5)")
        .bind(chain.id.clone())
        .bind(i64::try_from(chain.size).map_err(CatalogError::internal)?)
        .bind(head.time.timestamp_micros())
        .bind(text)
        .bind(signature)
        .execute(connection)
        .await?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_round_trip() {
        let tip = Tip { chain: "b".to_owned(), size: 3, link: STANDARD.encode([9; 32]) };
        let time = DateTime::from_timestamp_micros(1_700_000_000_000_000).unwrap();
        let head = Head { chain: "a".to_owned(), size: 7, root: [1; 32], link: [2; 32], time, is_last: true, others: vec![tip] };
        assert_eq!(Head::parse(&head.text()), Some(head.clone()));
        let text = head.text();
        for end in 0..text.len() {
            // What is cut off is another head, or none.
            assert_ne!(Head::parse(&text[..end]), Some(head.clone()));
        }
    }
}
