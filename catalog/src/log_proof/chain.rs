//! The chain that one process writes: each record is linked to the one before it, with the group commit that writes both. What other
//! processes wrote before it began is named in its first link, so that chains hold each other.

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, Row as _};
use uuid::Uuid;

use super::merkle::{self, Frontier, Hash};
use super::record::{self, RecordKind, part};
use crate::error::CatalogError;
use crate::statement_log::Value;
use crate::store::number;

/// How far a chain has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tip {
    pub chain: String,
    /// Records in it.
    pub size: u64,
    /// Of the last one, base64.
    pub link: String,
}

/// Of the newest chains, so many are named in a new one and in heads; older ones have been named by those.
const NAMED_MAX: i64 = 64;

#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub(crate) id: String,
    pub(crate) size: u64,
    pub(crate) link: Hash,
    pub(crate) tree: Frontier,
}

/// A record's place.
#[derive(Debug, Clone)]
pub(crate) struct Linked {
    pub(crate) seq: u64,
    pub(crate) link: Hash,
    leaf: Hash,
}

impl Chain {
    /// A new one, stored with the tips of the others.
    pub(crate) async fn begin(connection: &mut AnyConnection, process: &str) -> Result<Chain, CatalogError> {
        let id = Uuid::now_v7().to_string();
        let started = chrono::Utc::now().timestamp_micros();
        let follows = serde_json::to_string(&tips(connection, &id).await?).map_err(CatalogError::internal)?;
        let link = genesis(&id, process, started, &follows);
        sqlx::query("INSERT INTO log_chains (chain, process, started_us, follows, size, link) VALUES ($1, $2, $3, $4, 0, $5)")
            .bind(id.clone())
            .bind(process.to_owned())
            .bind(started)
            .bind(follows)
            .bind(link.to_vec())
            .execute(connection)
            .await?;
        Ok(Chain { id, size: 0, link, tree: Frontier::default() })
    }

    /// Where a record comes to stand if it is the next one.
    pub(crate) fn next(&self, kind: RecordKind, values: &[Value]) -> Linked {
        let leaf = record::leaf(kind, values);
        Linked { seq: self.size + 1, link: link(&self.link, &leaf), leaf }
    }

    pub(crate) fn push(&mut self, linked: &Linked) {
        self.size = linked.seq;
        self.link = linked.link;
        self.tree.push(linked.leaf);
    }

    /// With the records that it counts, in their transaction.
    pub(crate) async fn store_tip(&self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE log_chains SET size = $1, link = $2 WHERE chain = $3")
            .bind(i64::try_from(self.size).unwrap_or(i64::MAX))
            .bind(self.link.to_vec())
            .bind(self.id.clone())
            .execute(connection)
            .await
            .map(drop)
    }
}

impl Linked {
    /// Values of the columns of [`RecordKind::place`].
    pub(crate) fn values(&self, chain: &Chain) -> [Value; 3] {
        [chain.id.clone().into(), Some(self.seq).into(), Value::Bytes(Some(self.link.to_vec()))]
    }
}

/// Those of the newest chains, but for one.
pub(crate) async fn tips(connection: &mut AnyConnection, but: &str) -> Result<Vec<Tip>, CatalogError> {
    let sql = "SELECT chain, size, link FROM log_chains WHERE chain <> $1 ORDER BY started_us DESC, chain DESC LIMIT $2";
    let rows = sqlx::query(sql).bind(but.to_owned()).bind(NAMED_MAX).fetch_all(connection).await?;
    let tip = |row: &sqlx::any::AnyRow| -> Result<Tip, CatalogError> {
        let link: Vec<u8> = row.try_get(2)?;
        Ok(Tip { chain: row.try_get(0)?, size: number(row.try_get(1)?)?, link: STANDARD.encode(link) })
    };
    rows.iter().map(tip).collect()
}

/// What stands before the first record.
pub(crate) fn genesis(id: &str, process: &str, started_us: i64, follows: &str) -> Hash {
    let mut context = Context::new(&SHA256);
    for text in ["lakegate chain 1", id, process] {
        part(&mut context, text.as_bytes());
    }
    context.update(&started_us.to_be_bytes());
    part(&mut context, follows.as_bytes());
    merkle::finish(context)
}

pub(crate) fn link(before: &Hash, leaf: &Hash) -> Hash {
    let mut context = Context::new(&SHA256);
    part(&mut context, b"lakegate link 1");
    context.update(before);
    context.update(leaf);
    merkle::finish(context)
}
