//! One suite over both back ends: each test runs on SQLite and, where its programs are installed, on a throw-away PostgreSQL.

mod authentication;
mod authorization;
mod crash;
mod engines;
mod flushed;
mod grants;
mod log_proof;
mod logs;
mod objects;
mod opening;
mod policies;
mod postgres;
mod roles;
mod saved_queries;
mod shared_work;
mod staging;

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::auth::PasswordCost;
use crate::authorize::Principal;
use crate::ddl::{NewRelation, RoleOptions};
use crate::model::{BOOTSTRAP_ROLE_OID, Column, Oid, PgType, Relation, RelationKind, RelationName, Role};
use crate::{Bootstrap, Catalog, CatalogOptions, Kek};

/// Makes `sqlite::name` and `postgres::name` of `async fn name(fixture: Fixture)`.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::tests::Fixture::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let Some(fixture) = crate::tests::Fixture::postgres().await else { return };
                super::$name(fixture).await;
            })*
        }
    };
}
pub(crate) use on_both;

/// An empty place for a catalog.
pub(crate) struct Fixture {
    pub(crate) url: String,
    pub(crate) kek: Kek,
    _directory: TempDir,
    _cluster: Option<Arc<postgres::Cluster>>,
}

pub(crate) const PASSWORD: &str = "admin's own password";

impl Fixture {
    pub(crate) fn sqlite() -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        // A name that must be escaped in a URL.
        let path = directory.path().join("cat log%20#1.db");
        let url = format!("sqlite://{}", path.display());
        Fixture { url, kek: Kek::generate().unwrap(), _directory: directory, _cluster: None }
    }

    pub(crate) async fn postgres() -> Option<Fixture> {
        let cluster = postgres::Cluster::shared()?;
        let url = cluster.new_database().await;
        let directory = tempfile::tempdir().unwrap();
        Some(Fixture { url, kek: Kek::generate().unwrap(), _directory: directory, _cluster: Some(cluster) })
    }

    pub(crate) fn options(&self) -> CatalogOptions {
        CatalogOptions {
            instance_id: Some("gateway-1".to_owned()),
            password_cost: PasswordCost { memory_kib: 64, passes: 1 },
            protected_roots: vec!["/srv/lakegate".to_owned()],
            ..CatalogOptions::new(self.url.clone(), self.kek.clone())
        }
    }

    /// As another gateway, or the next process, would open it.
    pub(crate) async fn open(&self) -> Catalog {
        Catalog::open(self.options()).await.unwrap()
    }

    pub(crate) async fn started(&self) -> Catalog {
        let catalog = self.open().await;
        let bootstrap = Bootstrap { admin_password: Some(Zeroizing::new(PASSWORD.to_owned())) };
        assert!(catalog.bootstrap(bootstrap).await.unwrap().first_start);
        catalog
    }

    pub(crate) fn sqlite_path(&self) -> Option<PathBuf> {
        self.url.strip_prefix("sqlite://").map(PathBuf::from)
    }
}

pub(crate) const ADMIN: Principal = Principal { session_role: BOOTSTRAP_ROLE_OID, current_role: BOOTSTRAP_ROLE_OID };

pub(crate) async fn role(catalog: &Catalog, name: &str) -> Arc<Role> {
    let options = RoleOptions { login: Some(true), ..RoleOptions::default() };
    catalog.create_role(&ADMIN, name, options, None, &[], &[]).await.unwrap()
}

pub(crate) fn main_public(catalog: &Catalog) -> (Oid, Oid) {
    let snapshot = catalog.snapshot();
    let database = snapshot.require_database("main").unwrap().oid;
    (database, snapshot.require_schema(database, "public").unwrap().oid)
}

pub(crate) fn column(name: &str) -> Column {
    Column::new(name, PgType::numeric(10, 2))
}

pub(crate) fn table(schema: Oid, name: &str) -> NewRelation {
    NewRelation {
        location: format!("s3://bucket/{schema}/{name}_{}/", uuid::Uuid::new_v4().simple()),
        columns: vec![column("a"), column("b")],
        ..NewRelation::new(schema, name, RelationKind::ManagedTable)
    }
}

pub(crate) fn view(schema: Oid, name: &str) -> NewRelation {
    NewRelation {
        kind: RelationKind::View,
        location: String::new(),
        definition: Some("SELECT a, b FROM t".to_owned()),
        ..table(schema, name)
    }
}

/// In `main.public`, owned by admin.
pub(crate) async fn admins_table(catalog: &Catalog, name: &str) -> Arc<Relation> {
    let (_, public) = main_public(catalog);
    catalog.create_relation(&ADMIN, table(public, name)).await.unwrap()
}

pub(crate) fn in_main(name: &str) -> RelationName {
    RelationName { database: "main".to_owned(), schema: "public".to_owned(), name: name.to_owned() }
}
