//! Saved queries as the control plane knows them: names, owners, versions and who else may run them. Their texts are the data plane's.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::{AnyConnection, Row as _};
use uuid::Uuid;

use crate::authorize::Principal;
use crate::catalog::Catalog;
use crate::error::{CatalogError, ObjectKind};
use crate::model::Oid;
use crate::snapshot::Snapshot;
use crate::statement_log::time;
use crate::store::number;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedQuery {
    pub query_id: Uuid,
    pub database: Oid,
    pub name: String,
    pub owner: Oid,
    pub created: DateTime<Utc>,
    /// The oldest first.
    pub versions: Vec<SavedVersion>,
    /// Roles that may run it, too.
    pub shared_with: Vec<Oid>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedVersion {
    pub version: u64,
    /// Names the row of the data plane that holds the text.
    pub text_id: Uuid,
    pub saved_by: String,
    pub saved: DateTime<Utc>,
}

/// Queries of one owner in a database, and versions of a query.
const QUERIES_MAX: i64 = 10_000;
const VERSIONS_MAX: u64 = 10_000;
const NAME_CHARACTERS_MAX: usize = 200;

impl SavedQuery {
    /// The owner, its members, superusers, and those with whom it is shared.
    #[must_use]
    pub fn may_run(&self, snapshot: &Snapshot, principal: &Principal) -> bool {
        self.may_change(snapshot, principal)
            || self.shared_with.iter().any(|role| snapshot.has_privileges_of(principal.current_role, *role))
    }

    /// The owner, its members, and superusers.
    #[must_use]
    pub fn may_change(&self, snapshot: &Snapshot, principal: &Principal) -> bool {
        snapshot.is_superuser(principal.current_role)
            || (snapshot.role(self.owner).is_some() && snapshot.has_privileges_of(principal.current_role, self.owner))
    }

    /// That version, or the newest.
    ///
    /// # Errors
    /// [`CatalogError::InvalidParameter`].
    pub fn version(&self, version: Option<u64>) -> Result<&SavedVersion, CatalogError> {
        let found = match version {
            Some(version) => self.versions.iter().find(|saved| saved.version == version),
            None => self.versions.last(),
        };
        let missing = || CatalogError::parameter(format!("saved query \"{}\" has no version {}", self.name, version.unwrap_or(0)));
        found.ok_or_else(missing)
    }
}

impl Catalog {
    /// Those that the role may run, by database and name.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn saved_queries(&self, principal: &Principal) -> Result<Vec<SavedQuery>, CatalogError> {
        let snapshot = self.snapshot();
        let mut all = self.all_saved_queries().await?;
        all.retain(|query| query.may_run(&snapshot, principal));
        Ok(all)
    }

    /// # Errors
    /// [`CatalogError::Undefined`], for one that the role may not run as well.
    pub async fn saved_query(&self, principal: &Principal, database: Oid, name: &str) -> Result<SavedQuery, CatalogError> {
        let mut read = self.store().begin_read().await?;
        let found = load(&mut read, Some((database, name))).await?.pop();
        found.filter(|query| query.may_run(&self.snapshot(), principal)).ok_or_else(|| undefined(name))
    }

    /// Every query, for an erasure.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn all_saved_queries(&self) -> Result<Vec<SavedQuery>, CatalogError> {
        let mut read = self.store().begin_read().await?;
        load(&mut read, None).await
    }

    /// Whether a query of that name may be saved: by whoever makes it, or may change the one that is there.
    ///
    /// # Errors
    /// [`CatalogError::Forbidden`], [`CatalogError::MustBeOwner`], [`CatalogError::InvalidName`].
    pub async fn check_saving(&self, principal: &Principal, database: Oid, name: &str) -> Result<(), CatalogError> {
        if name.is_empty() || name.chars().count() > NAME_CHARACTERS_MAX || name.contains('\0') {
            return Err(CatalogError::InvalidName { kind: ObjectKind::SavedQuery, name: name.chars().take(NAME_CHARACTERS_MAX).collect() });
        }
        let mut read = self.store().begin_read().await?;
        match load(&mut read, Some((database, name))).await?.pop() {
            Some(query) => self.check_change(principal, &query),
            None => {
                let sql = "SELECT COUNT(*) FROM saved_queries WHERE database_oid = $1 AND owner_oid = $2";
                let count: i64 =
                    sqlx::query_scalar(sql).bind(i64::from(database)).bind(i64::from(principal.current_role)).fetch_one(&mut *read).await?;
                match count < QUERIES_MAX {
                    true => Ok(()),
                    false => Err(CatalogError::parameter(format!("a role has at most {QUERIES_MAX} saved queries in a database"))),
                }
            }
        }
    }

    /// Makes the text of that name the newest version; the data plane has it already. Gives the version's number.
    ///
    /// # Errors
    /// As [`Catalog::check_saving`]; [`CatalogError::Unavailable`].
    pub async fn save_query(
        &self,
        principal: &Principal,
        saved_by: &str,
        database: Oid,
        name: &str,
        text_id: Uuid,
    ) -> Result<u64, CatalogError> {
        let now = Utc::now().timestamp_micros();
        let mut write = self.store().begin_write().await?;
        sqlx::query(
            "INSERT INTO saved_queries (query_id, database_oid, name, owner_oid, version, created_us) VALUES ($1, $2, $3, $4, 0, $5) \
             ON CONFLICT (database_oid, name) DO NOTHING",
        )
        .bind(Uuid::now_v7().to_string())
        .bind(i64::from(database))
        .bind(name.to_owned())
        .bind(i64::from(principal.current_role))
        .bind(now)
        .execute(&mut *write)
        .await?;
        // Also the lock that puts savers of the same query in a row.
        let row =
            sqlx::query("UPDATE saved_queries SET version = version + 1 WHERE database_oid = $1 AND name = $2 RETURNING query_id, version")
                .bind(i64::from(database))
                .bind(name.to_owned())
                .fetch_one(&mut *write)
                .await?;
        let (query_id, version): (String, u64) = (row.try_get(0)?, number(row.try_get(1)?)?);
        if let Some(query) = load(&mut write, Some((database, name))).await?.pop() {
            self.check_change(principal, &query)?;
        }
        if version > VERSIONS_MAX {
            return Err(CatalogError::parameter(format!("a saved query has at most {VERSIONS_MAX} versions")));
        }
        sqlx::query("INSERT INTO saved_query_versions (query_id, version, text_id, saved_by, saved_us) VALUES ($1, $2, $3, $4, $5)")
            .bind(query_id)
            .bind(i64::try_from(version).map_err(CatalogError::internal)?)
            .bind(text_id.to_string())
            .bind(saved_by.to_owned())
            .bind(now)
            .execute(&mut *write)
            .await?;
        write.commit().await?;
        Ok(version)
    }

    /// Lets a role run the query, or no longer.
    ///
    /// # Errors
    /// [`CatalogError::Undefined`], [`CatalogError::MustBeOwner`].
    pub async fn share_query(
        &self,
        principal: &Principal,
        database: Oid,
        name: &str,
        role: &str,
        shared: bool,
    ) -> Result<(), CatalogError> {
        let query = self.saved_query(principal, database, name).await?;
        self.check_change(principal, &query)?;
        let role = self.snapshot().require_role(role)?.oid;
        let sql = match shared {
            true => "INSERT INTO saved_query_shares (query_id, role_oid) VALUES ($1, $2) ON CONFLICT (query_id, role_oid) DO NOTHING",
            false => "DELETE FROM saved_query_shares WHERE query_id = $1 AND role_oid = $2",
        };
        let mut write = self.store().begin_write().await?;
        sqlx::query(sql).bind(query.query_id.to_string()).bind(i64::from(role)).execute(&mut *write).await?;
        write.commit().await?;
        Ok(())
    }

    /// Gives the texts that nobody needs any more.
    ///
    /// # Errors
    /// As [`Catalog::share_query`].
    pub async fn drop_saved_query(&self, principal: &Principal, database: Oid, name: &str) -> Result<Vec<Uuid>, CatalogError> {
        let query = self.saved_query(principal, database, name).await?;
        self.check_change(principal, &query)?;
        let mut write = self.store().begin_write().await?;
        for table in ["saved_query_shares", "saved_query_versions", "saved_queries"] {
            let sql = sqlx::AssertSqlSafe(format!("DELETE FROM {table} WHERE query_id = $1"));
            sqlx::query(sql).bind(query.query_id.to_string()).execute(&mut *write).await?;
        }
        write.commit().await?;
        Ok(query.versions.into_iter().map(|version| version.text_id).collect())
    }

    fn check_change(&self, principal: &Principal, query: &SavedQuery) -> Result<(), CatalogError> {
        match query.may_change(&self.snapshot(), principal) {
            true => Ok(()),
            false => Err(CatalogError::MustBeOwner { kind: ObjectKind::SavedQuery, name: query.name.clone() }),
        }
    }
}

fn undefined(name: &str) -> CatalogError {
    CatalogError::Undefined { kind: ObjectKind::SavedQuery, name: name.to_owned() }
}

/// All of them, or the one of that name.
async fn load(connection: &mut AnyConnection, only: Option<(Oid, &str)>) -> Result<Vec<SavedQuery>, CatalogError> {
    let condition = "WHERE ($1 < 0 OR (q.database_oid = $1 AND q.name = $2))";
    let (database, name) = only.map_or((-1, ""), |(database, name)| (i64::from(database), name));
    let sql = format!("SELECT q.query_id, q.database_oid, q.name, q.owner_oid, q.created_us FROM saved_queries q {condition}");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(database).bind(name.to_owned()).fetch_all(&mut *connection).await?;
    let mut found: BTreeMap<String, SavedQuery> = BTreeMap::new();
    for row in &rows {
        let id: String = row.try_get(0)?;
        let query = SavedQuery {
            query_id: id.parse().map_err(CatalogError::corrupted)?,
            database: number(row.try_get(1)?)?,
            name: row.try_get(2)?,
            owner: number(row.try_get(3)?)?,
            created: time(row.try_get(4)?)?,
            versions: Vec::new(),
            shared_with: Vec::new(),
        };
        found.insert(id, query);
    }
    let sql = format!(
        "SELECT v.query_id, v.version, v.text_id, v.saved_by, v.saved_us FROM saved_query_versions v \
         JOIN saved_queries q ON q.query_id = v.query_id {condition} ORDER BY v.version"
    );
    for row in sqlx::query(sqlx::AssertSqlSafe(sql)).bind(database).bind(name.to_owned()).fetch_all(&mut *connection).await? {
        let text_id: String = row.try_get(2)?;
        let version = SavedVersion {
            version: number(row.try_get(1)?)?,
            text_id: text_id.parse().map_err(CatalogError::corrupted)?,
            saved_by: row.try_get(3)?,
            saved: time(row.try_get(4)?)?,
        };
        if let Some(query) = found.get_mut(&row.try_get::<String, _>(0)?) {
            query.versions.push(version);
        }
    }
    let sql = format!(
        "SELECT s.query_id, s.role_oid FROM saved_query_shares s JOIN saved_queries q ON q.query_id = s.query_id {condition} \
         ORDER BY s.role_oid"
    );
    for row in sqlx::query(sqlx::AssertSqlSafe(sql)).bind(database).bind(name.to_owned()).fetch_all(&mut *connection).await? {
        if let Some(query) = found.get_mut(&row.try_get::<String, _>(0)?) {
            query.shared_with.push(number(row.try_get(1)?)?);
        }
    }
    let mut found: Vec<SavedQuery> = found.into_values().collect();
    found.sort_by(|one, other| (one.database, &one.name).cmp(&(other.database, &other.name)));
    Ok(found)
}
