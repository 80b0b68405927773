//! What a new catalog has: the superuser, the predefined roles, the databases `main` and `system`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::auth::password;
use crate::catalog::Catalog;
use crate::ddl::database::{SYSTEM_DATABASE, add_database};
use crate::ddl::{PasswordSpec, Write};
use crate::error::CatalogError;
use crate::model::{
    BOOTSTRAP_ROLE_OID, DEFAULT_WAREHOUSE, DEFAULT_WAREHOUSE_OID, Oid, READ_AUDIT_OID, READ_HISTORY_OID, Role, Warehouse, WarehouseLimits,
};

#[derive(Clone, Default)]
pub struct Bootstrap {
    /// For role `admin` at first start; `None`: one is generated.
    pub admin_password: Option<Zeroizing<String>>,
}

#[derive(Clone)]
pub struct BootstrapOutcome {
    pub first_start: bool,
    /// To be shown once; it is stored nowhere.
    pub generated_password: Option<Zeroizing<String>>,
}

impl Catalog {
    /// Does nothing but answer in a catalog that was started before.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`]; a password that is too long.
    pub async fn bootstrap(&self, bootstrap: Bootstrap) -> Result<BootstrapOutcome, CatalogError> {
        let again = BootstrapOutcome { first_start: false, generated_password: None };
        if self.refresh().await?.role(BOOTSTRAP_ROLE_OID).is_some() {
            return Ok(again);
        }
        let generated = match &bootstrap.admin_password {
            Some(_) => None,
            None => Some(generate_password()?),
        };
        let password = bootstrap.admin_password.or_else(|| generated.clone());
        let verifiers = self.verifiers(password.map(PasswordSpec::Set)).await?;
        let first_start = self
            .change(move |edit| {
                if edit.snapshot.role(BOOTSTRAP_ROLE_OID).is_some() {
                    return Ok(false);
                }
                edit.put_role(Role {
                    superuser: true,
                    login: true,
                    create_db: true,
                    create_role: true,
                    bypass_rls: true,
                    ..plain_role(BOOTSTRAP_ROLE_OID, "admin")
                });
                if let Some(verifiers) = verifiers {
                    edit.writes.push(Write::Password(BOOTSTRAP_ROLE_OID, password::sealed(verifiers, BOOTSTRAP_ROLE_OID)?));
                }
                edit.put_role(plain_role(READ_HISTORY_OID, "lakegate_read_history"));
                edit.put_role(plain_role(READ_AUDIT_OID, "lakegate_read_audit"));
                add_database(edit, "main".to_owned(), BOOTSTRAP_ROLE_OID, true)?;
                add_database(edit, SYSTEM_DATABASE.to_owned(), BOOTSTRAP_ROLE_OID, false)?;
                edit.put_warehouse(Warehouse {
                    oid: DEFAULT_WAREHOUSE_OID,
                    name: DEFAULT_WAREHOUSE.to_owned(),
                    owner: BOOTSTRAP_ROLE_OID,
                    limits: WarehouseLimits::default(),
                });
                Ok(true)
            })
            .await?;
        Ok(if first_start { BootstrapOutcome { first_start, generated_password: generated } } else { again })
    }
}

fn plain_role(oid: Oid, name: &str) -> Role {
    Role {
        oid,
        name: name.to_owned(),
        superuser: false,
        login: false,
        create_db: false,
        create_role: false,
        inherit: true,
        bypass_rls: false,
        connection_limit: -1,
        valid_until: None,
    }
}

/// 144 random bits, in letters that need no quoting.
fn generate_password() -> Result<Zeroizing<String>, CatalogError> {
    let mut bytes = Zeroizing::new([0_u8; 18]);
    aws_lc_rs::rand::fill(&mut bytes[..]).map_err(|_| CatalogError::internal("no random bytes"))?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(&bytes[..])))
}
