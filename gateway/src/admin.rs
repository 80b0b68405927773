//! `lakegate admin`: offline work on the catalog.

use std::io::{BufRead, Write};

use lakegate_catalog::audit::AuditFilter;
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::ddl::{PasswordSpec, RoleOptions};
use lakegate_catalog::model::BOOTSTRAP_ROLE_OID;
use lakegate_catalog::statement_log::HistoryFilter;
use lakegate_catalog::{CatalogError, Kek};
use zeroize::Zeroizing;

use crate::config::{AdminKeys, AdminLog, AdminUser, AdminWork};
use crate::serve::Foundation;

#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error("could not read the password from standard input: {0}")]
    Input(std::io::Error),
    #[error("the password is empty")]
    EmptyPassword,
    #[error("could not write: {0}")]
    Output(std::io::Error),
    #[error("the key comes from LAKEGATE_KEK: rotate it where it is kept, or use --kek-file")]
    KeyInEnvironment,
    #[error("could not replace the key file: {0}")]
    KeyFile(std::io::Error),
}

/// Does the work, as the bootstrap superuser.
///
/// # Errors
/// What the catalog says, or the terminal.
pub async fn run(work: AdminWork, foundation: &Foundation) -> Result<(), AdminError> {
    let catalog = &foundation.catalog;
    let principal = Principal::new(BOOTSTRAP_ROLE_OID);
    match work {
        AdminWork::User(AdminUser::Add { name, superuser }) => {
            let options = RoleOptions { login: Some(true), superuser: Some(superuser), ..RoleOptions::default() };
            catalog.create_role(&principal, &name, options, Some(read_password()?), &[], &[]).await?;
            say(&format!("role {name} added"))?;
        }
        AdminWork::User(AdminUser::Passwd { name }) => {
            let role = catalog.snapshot().require_role(&name)?.oid;
            catalog.alter_role(&principal, role, RoleOptions::default(), Some(read_password()?)).await?;
            say(&format!("password of role {name} set"))?;
        }
        AdminWork::User(AdminUser::List) => {
            for role in catalog.snapshot().roles() {
                let kind = if role.superuser {
                    "superuser"
                } else if role.login {
                    "login"
                } else {
                    "group"
                };
                say(&format!("{}\t{kind}", role.name))?;
            }
        }
        AdminWork::Keys(AdminKeys::Rotate) => rotate(foundation).await?,
        AdminWork::Log(AdminLog::Verify) => {
            // Reading opens each entry; one that was changed or moved fails.
            let statements = catalog.history(&principal, HistoryFilter { limit: Some(u32::MAX), ..HistoryFilter::default() }).await?;
            let events = catalog.audit_rows(&principal, AuditFilter { limit: Some(u32::MAX), ..AuditFilter::default() }).await?;
            say(&format!("{} statements and {} audit events open with their keys", statements.len(), events.len()))?;
        }
    }
    catalog.close().await;
    Ok(())
}

/// The new key is on disk before the catalog needs it: a crash in between leaves both, and the old one still fits.
async fn rotate(foundation: &Foundation) -> Result<(), AdminError> {
    if foundation.config.kek.is_some() {
        return Err(AdminError::KeyInEnvironment);
    }
    let path = &foundation.config.kek_file;
    let next = path.with_extension("key.new");
    if next.exists() {
        std::fs::remove_file(&next).map_err(AdminError::KeyFile)?;
    }
    let key = Kek::load_or_create(&next)?;
    let rewrapped = foundation.catalog.rotate_kek(key).await?;
    std::fs::rename(&next, path).map_err(AdminError::KeyFile)?;
    say(&format!("{rewrapped} data keys wrapped with a new key"))
}

fn read_password() -> Result<PasswordSpec, AdminError> {
    let mut line = Zeroizing::new(String::new());
    std::io::stdin().lock().read_line(&mut line).map_err(AdminError::Input)?;
    let password = Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned());
    if password.is_empty() { Err(AdminError::EmptyPassword) } else { Ok(PasswordSpec::Set(password)) }
}

fn say(line: &str) -> Result<(), AdminError> {
    writeln!(std::io::stdout(), "{line}").map_err(AdminError::Output)
}
