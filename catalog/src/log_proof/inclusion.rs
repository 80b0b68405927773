//! Proof that one record is in the log, for somebody who has the public key alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Row as _};

use super::chain::Chain;
use super::head::{HEAD, Head, is_signed, store_head};
use super::merkle::{self, Frontier, Hash};
use super::record::{self, RecordKind};
use super::verify::values;
use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::flushed::Log;
use crate::statement_log::Value;
use crate::store::number;

/// A record, the way from it to a root, and the signed head that has this root. Binary values are base64.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InclusionProof {
    /// As [`RecordKind::word`].
    pub kind: String,
    /// The columns that are hashed; sealed ones as they are stored.
    pub record: serde_json::Map<String, serde_json::Value>,
    /// From 1.
    pub number: u64,
    /// Hashes beside the way to the root, from below (RFC 6962).
    pub path: Vec<String>,
    /// The text that is signed.
    pub head: String,
    pub signature: String,
    pub public_key: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("the proof is incomplete, or has values that are none")]
    Malformed,
    #[error("the head is not signed with this key")]
    Signature,
    #[error("the record is not under the head's root")]
    Root,
}

impl InclusionProof {
    /// Checks the record against the key, which has to come from elsewhere than the proof. Gives the head.
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn verify(&self, public_key: &[u8]) -> Result<Head, ProofError> {
        let kind = RecordKind::ALL.into_iter().find(|kind| kind.word() == self.kind).ok_or(ProofError::Malformed)?;
        let values = record::from_json(kind, &self.record).ok_or(ProofError::Malformed)?;
        let bytes = |text: &String| STANDARD.decode(text).map_err(|_| ProofError::Malformed);
        let hash = |text: &String| Hash::try_from(bytes(text)?).map_err(|_| ProofError::Malformed);
        let path = self.path.iter().map(hash).collect::<Result<Vec<Hash>, ProofError>>()?;
        if !is_signed(public_key, HEAD, self.head.as_bytes(), &bytes(&self.signature)?) {
            return Err(ProofError::Signature);
        }
        let head = Head::parse(&self.head).ok_or(ProofError::Malformed)?;
        let index = self.number.checked_sub(1).ok_or(ProofError::Malformed)?;
        match merkle::root_of_path(record::leaf(kind, &values), index, head.size, &path) {
            Some(root) if root == head.root => Ok(head),
            _ => Err(ProofError::Root),
        }
    }
}

impl Catalog {
    /// The proof of an audit event, or of a statement: of its end where it has one, else of its start. Signs a head where none is over it
    /// yet.
    ///
    /// # Errors
    /// 22023 where there is no such record, or it was written before records were chained;
    /// [`CatalogError::Unavailable`], [`CatalogError::LogUnavailable`].
    pub async fn inclusion_proof(&self, record_id: &str) -> Result<InclusionProof, CatalogError> {
        self.proof_of(record_id, None).await
    }

    /// As [`Catalog::inclusion_proof`] of a record whose facets are in the data plane: its values, in the order of [`Log::columns`].
    ///
    /// # Errors
    /// As [`Catalog::inclusion_proof`]; [`CatalogError::Corrupted`] where they are not what was chained.
    pub async fn flushed_inclusion_proof(&self, log: Log, record_id: &str, values: &[Value]) -> Result<InclusionProof, CatalogError> {
        self.proof_of(record_id, Some((log, values))).await
    }

    async fn proof_of(&self, record_id: &str, flushed: Option<(Log, &[Value])>) -> Result<InclusionProof, CatalogError> {
        self.log().sign().await?;
        let mut read = self.store().begin_read().await?;
        for kind in [RecordKind::Event, RecordKind::End, RecordKind::Start] {
            let (table, [chain, seq, link]) = kind.place();
            let columns = kind.columns();
            let sql = format!(
                "SELECT {}, {chain}, {seq}, {link} FROM {table} WHERE {} = $1 AND {chain} IS NOT NULL",
                columns.join(", "),
                columns[0]
            );
            let row = sqlx::query(AssertSqlSafe(sql)).bind(record_id.to_owned()).fetch_optional(&mut *read).await?;
            let found = match (row, flushed) {
                (Some(row), _) => {
                    let (chain, seq): (String, u64) = (row.try_get(columns.len())?, number(row.try_get(columns.len() + 1)?)?);
                    Some((values(&row, kind)?, chain, seq))
                }
                (None, Some((log, values))) if log.kinds().contains(&kind) => {
                    flushed_record(&mut read, log, kind, record_id, values).await?
                }
                (None, _) => None,
            };
            let Some((values, chain, seq)) = found else { continue };
            let sql = "SELECT head, signature FROM log_heads WHERE chain = $1 AND size >= $2 ORDER BY size LIMIT 1";
            let head = sqlx::query(sql).bind(chain.clone()).bind(i64::try_from(seq).map_err(CatalogError::internal)?);
            let (text, signature): (String, Vec<u8>) = match head.fetch_optional(&mut *read).await? {
                Some(head) => (head.try_get(0)?, head.try_get(1)?),
                // Its writer ended before it signed one.
                None => self.sign_for_another(&mut read, &chain).await?,
            };
            let size = Head::parse(&text).ok_or_else(|| CatalogError::corrupted("a head of the log"))?.size;
            let leaves = leaves(&mut read, &chain, size).await?;
            let index = usize::try_from(seq - 1).map_err(CatalogError::internal)?;
            let path = merkle::path(&leaves, index).iter().map(|hash| STANDARD.encode(hash)).collect();
            return Ok(InclusionProof {
                kind: kind.word().to_owned(),
                record: record::to_json(kind, &values),
                number: seq,
                path,
                head: text,
                signature: STANDARD.encode(signature),
                public_key: STANDARD.encode(self.public_key()),
            });
        }
        Err(CatalogError::parameter(format!("there is no chained record \"{record_id}\"")))
    }

    /// A head over all that is stored of a chain, where its links are whole.
    async fn sign_for_another(&self, read: &mut sqlx::AnyConnection, chain: &str) -> Result<(String, Vec<u8>), CatalogError> {
        let row = sqlx::query("SELECT process, started_us, follows, size, link FROM log_chains WHERE chain = $1");
        let row = row.bind(chain.to_owned()).fetch_one(&mut *read).await?;
        let (process, follows): (String, String) = (row.try_get(0)?, row.try_get(2)?);
        let mut signed = Chain {
            link: super::chain::genesis(chain, &process, row.try_get(1)?, &follows),
            id: chain.to_owned(),
            size: number(row.try_get(3)?)?,
            tree: Frontier::default(),
        };
        for leaf in leaves(read, chain, signed.size).await? {
            signed.link = super::chain::link(&signed.link, &leaf);
            signed.tree.push(leaf);
        }
        let stored: Vec<u8> = row.try_get(4)?;
        if stored != signed.link {
            return Err(CatalogError::corrupted("a chain of the log does not fit its records"));
        }
        let mut write = self.store().begin_log().await?;
        let head = store_head(&mut write, self.signer(), &signed, false).await?;
        write.commit().await?;
        let text = head.text();
        let signature = self.sign(HEAD, text.as_bytes());
        Ok((text, signature))
    }

    /// The newest head, signed now where something is new: to be kept elsewhere.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`], [`CatalogError::LogUnavailable`].
    pub async fn signed_head(&self) -> Result<String, CatalogError> {
        self.log().sign().await?;
        let sql = "SELECT head FROM log_heads ORDER BY time_us DESC LIMIT 1";
        let head: Option<String> = sqlx::query_scalar(sql).fetch_optional(self.store().reads()).await?;
        head.ok_or_else(|| CatalogError::parameter("nothing was logged yet"))
    }

    /// Of the key that signs heads, and whatever [`Catalog::sign`] signs.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.signer().public_key()
    }

    /// An ed25519 signature over "lakegate ", the context, a newline and the document; [`super::is_signed`] checks it.
    #[must_use]
    pub fn sign(&self, context: &str, document: &[u8]) -> Vec<u8> {
        self.signer().sign(context, document)
    }
}

/// Of a record that was flushed: its values, and its place.
async fn flushed_record(
    connection: &mut sqlx::AnyConnection,
    log: Log,
    kind: RecordKind,
    id: &str,
    all: &[Value],
) -> Result<Option<(Vec<Value>, String, u64)>, CatalogError> {
    let [chain, seq, link] = kind.place().1;
    let sql = format!(
        "SELECT {chain}, {seq}, {} FROM {} WHERE {} = $1 AND {chain} IS NOT NULL",
        link.replace("link", "leaf"),
        log.flushed_table(),
        log.id()
    );
    let Some(row) = sqlx::query(AssertSqlSafe(sql)).bind(id.to_owned()).fetch_optional(connection).await? else { return Ok(None) };
    let first = log.kinds().first().map_or(0, |kind| kind.columns().len());
    let values: Vec<Value> = match log.kinds().first() == Some(&kind) {
        true => all.iter().take(first).cloned().collect(),
        false => all.first().into_iter().chain(all.iter().skip(first)).cloned().collect(),
    };
    if row.try_get::<Vec<u8>, _>(2)? != record::leaf(kind, &values) {
        return Err(CatalogError::corrupted("a record in the data plane"));
    }
    Ok(Some((values, row.try_get(0)?, number(row.try_get(1)?)?)))
}

/// Of the first records of a chain, in order.
async fn leaves(connection: &mut sqlx::AnyConnection, chain: &str, size: u64) -> Result<Vec<Hash>, CatalogError> {
    use futures::TryStreamExt as _;
    let mut leaves: Vec<Option<Hash>> = vec![None; usize::try_from(size).map_err(CatalogError::internal)?];
    for kind in RecordKind::ALL {
        let (table, [chain_column, seq, _]) = kind.place();
        let sql = format!("SELECT {}, {seq} FROM {table} WHERE {chain_column} = $1", kind.columns().join(", "));
        let mut rows = sqlx::query(AssertSqlSafe(sql)).bind(chain.to_owned()).fetch(&mut *connection);
        while let Some(row) = rows.try_next().await? {
            let seq: u64 = number(row.try_get(kind.columns().len())?)?;
            let place = usize::try_from(seq).ok().and_then(|seq| seq.checked_sub(1));
            if let Some(leaf) = place.and_then(|place| leaves.get_mut(place)) {
                *leaf = Some(record::leaf(kind, &values(&row, kind)?));
            }
        }
    }
    for log in Log::ALL {
        for kind in log.kinds() {
            let [chain_column, seq, link] = kind.place().1;
            let sql = format!("SELECT {}, {seq} FROM {} WHERE {chain_column} = $1", link.replace("link", "leaf"), log.flushed_table());
            let mut rows = sqlx::query(AssertSqlSafe(sql)).bind(chain.to_owned()).fetch(&mut *connection);
            while let Some(row) = rows.try_next().await? {
                let leaf = Hash::try_from(row.try_get::<Vec<u8>, _>(0)?).map_err(|_| CatalogError::corrupted("a leaf of the log"))?;
                let place = usize::try_from(row.try_get::<i64, _>(1)?).ok().and_then(|seq| seq.checked_sub(1));
                if let Some(known) = place.and_then(|place| leaves.get_mut(place)) {
                    *known = Some(leaf);
                }
            }
        }
    }
    leaves.into_iter().collect::<Option<Vec<Hash>>>().ok_or_else(|| CatalogError::corrupted("records of the log are missing"))
}
