//! Engine processes that have joined, for every gateway on the catalog. Whichever gateway hears of an engine writes it down.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::any::AnyRow;
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::model::Oid;

/// Of an engine that has been silent for so long the record goes.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// What an engine says of itself when it joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineFacts {
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    pub cores: u32,
    pub memory_limit_bytes: u64,
    pub version: String,
    /// Of what gateways and engines say to each other.
    pub protocol: u32,
    pub started: DateTime<Utc>,
}

/// What an engine says of itself from time to time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EngineLoad {
    /// Statements, of all gateways.
    pub running: u32,
    /// Statements that wait inside the engine.
    pub queued: u32,
    /// Transactions with something staged.
    pub transactions: u32,
    /// Resident.
    pub memory_bytes: u64,
    /// It takes no new work.
    pub draining: bool,
    pub caches: Vec<CacheLoad>,
}

/// One cache of an engine, since it started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheLoad {
    pub name: String,
    pub bytes: u64,
    /// 0 where it is off.
    pub limit_bytes: u64,
    pub entries: u64,
    pub hits: u64,
    pub misses: u64,
    pub evictions: u64,
}

/// A process under a name; the newest one to register a name is the engine, the others are zombies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineRecord {
    pub name: String,
    pub instance: Uuid,
    /// `host:port`.
    pub address: String,
    pub warehouse: Oid,
    pub facts: EngineFacts,
    pub load: EngineLoad,
    /// How often it was heard of.
    pub beats: u64,
    /// When, by the clock of the gateway that heard it.
    pub seen: DateTime<Utc>,
}

/// What a heartbeat is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    Member,
    /// No engine of the name: it has to register.
    Unknown,
    /// A newer process has the name: this one has to end.
    Replaced,
}

impl Catalog {
    /// An engine joins; an earlier process of its name is none any more.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn register_engine(
        &self,
        name: &str,
        instance: Uuid,
        address: &str,
        warehouse: Oid,
        facts: &EngineFacts,
    ) -> Result<(), CatalogError> {
        let now = Utc::now().timestamp_micros();
        let forgotten = i64::try_from(FORGOTTEN_AFTER.as_micros()).map_err(CatalogError::internal)?;
        let mut transaction = self.store().begin_write().await?;
        sqlx::query("DELETE FROM engines WHERE seen_us < $1").bind(now.saturating_sub(forgotten)).execute(&mut *transaction).await?;
        sqlx::query(
            "INSERT INTO engines (name, instance, address, warehouse_oid, facts, load, beats, seen_us) VALUES ($1, $2, $3, $4, $5, $6, 1, $7) \
             ON CONFLICT (name) DO UPDATE SET instance = excluded.instance, address = excluded.address, \
             warehouse_oid = excluded.warehouse_oid, facts = excluded.facts, load = excluded.load, beats = engines.beats + 1, \
             seen_us = excluded.seen_us",
        )
        .bind(name)
        .bind(instance.to_string())
        .bind(address)
        .bind(i64::from(warehouse))
        .bind(json(facts)?)
        .bind(json(&EngineLoad::default())?)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// An engine is alive.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn engine_beats(&self, name: &str, instance: Uuid, load: &EngineLoad) -> Result<Standing, CatalogError> {
        let mut transaction = self.store().begin_write().await?;
        let heard = sqlx::query("UPDATE engines SET load = $1, beats = beats + 1, seen_us = $2 WHERE name = $3 AND instance = $4")
            .bind(json(load)?)
            .bind(Utc::now().timestamp_micros())
            .bind(name)
            .bind(instance.to_string())
            .execute(&mut *transaction)
            .await?;
        if heard.rows_affected() == 1 {
            transaction.commit().await?;
            return Ok(Standing::Member);
        }
        let other: Option<i64> =
            sqlx::query_scalar("SELECT 1 FROM engines WHERE name = $1").bind(name).fetch_optional(&mut *transaction).await?;
        Ok(if other.is_some() { Standing::Replaced } else { Standing::Unknown })
    }

    /// An engine goes; nothing where it is not the one of the name.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn engine_leaves(&self, name: &str, instance: Uuid) -> Result<(), CatalogError> {
        let mut transaction = self.store().begin_write().await?;
        sqlx::query("DELETE FROM engines WHERE name = $1 AND instance = $2")
            .bind(name)
            .bind(instance.to_string())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// All that have joined and have not left, by name; some of them may be gone without a word.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn engines(&self) -> Result<Vec<EngineRecord>, CatalogError> {
        let sql = "SELECT name, instance, address, warehouse_oid, facts, load, beats, seen_us FROM engines ORDER BY name";
        sqlx::query(sql).fetch_all(self.store().reads()).await?.iter().map(record).collect()
    }
}

fn record(row: &AnyRow) -> Result<EngineRecord, CatalogError> {
    let (instance, facts, load): (String, String, String) = (row.try_get(1)?, row.try_get(4)?, row.try_get(5)?);
    let (warehouse, beats, seen): (i64, i64, i64) = (row.try_get(3)?, row.try_get(6)?, row.try_get(7)?);
    Ok(EngineRecord {
        name: row.try_get(0)?,
        instance: instance.parse().map_err(CatalogError::corrupted)?,
        address: row.try_get(2)?,
        warehouse: Oid::try_from(warehouse).map_err(CatalogError::corrupted)?,
        facts: serde_json::from_str(&facts).map_err(CatalogError::corrupted)?,
        load: serde_json::from_str(&load).map_err(CatalogError::corrupted)?,
        beats: u64::try_from(beats).map_err(CatalogError::corrupted)?,
        seen: DateTime::from_timestamp_micros(seen).ok_or_else(|| CatalogError::corrupted("a time of an engine"))?,
    })
}

fn json(value: &impl Serialize) -> Result<String, CatalogError> {
    serde_json::to_string(value).map_err(CatalogError::internal)
}
