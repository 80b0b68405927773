//! `lakegate admin`: offline work on the catalog.

use std::io::{BufRead, Write};
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;

use lakegate_catalog::audit::AuditEvent;
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::backup::copy_catalog;
use lakegate_catalog::ddl::{PasswordSpec, RoleOptions};
use lakegate_catalog::model::BOOTSTRAP_ROLE_OID;
use lakegate_catalog::privacy::{CertificateFile, VerifyError};
use lakegate_catalog::{Catalog, CatalogError, DataDirLock, Kek};
use lakegate_engine_api::Engine;
use zeroize::Zeroizing;

use crate::config::{AdminCertificate, AdminKeys, AdminLog, AdminUser, AdminWork, Config};
use crate::serve::{Foundation, catalog_options};

/// Without a catalog: the file is all that is needed, and the key where it is to be told whose certificate it is.
///
/// # Errors
/// A file that does not read, and whatever keeps it from being verified.
pub fn verify_certificate(file: &std::path::Path, key: Option<&str>) -> Result<(), AdminError> {
    let text = std::fs::read_to_string(file).map_err(|_| AdminError::Missing(file.display().to_string()))?;
    let certificate: CertificateFile = serde_json::from_str(&text).map_err(|_| VerifyError::NotACertificate)?;
    let document = certificate.verify(key)?;
    let field =
        |name: &str| document.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).unwrap_or_default();
    for name in ["certificate_id", "request_id", "subject_kind", "requested_time", "issued_time", "executed_by", "reason"] {
        say(&format!("{name}: {}", field(name)))?;
    }
    for table in document.get("tables").and_then(serde_json::Value::as_array).into_iter().flatten() {
        say(&format!("table: {}", table.get("table").and_then(serde_json::Value::as_str).unwrap_or_default()))?;
    }
    let residuals = document.get("residuals").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
    for residual in &residuals {
        say(&format!("residual: {residual}"))?;
    }
    say(&format!("in the audit log: record {} of its chain", certificate.inclusion.number))?;
    say(&format!("signed with: {}", certificate.public_key))?;
    if key.is_none() {
        say("the key is the file's own: compare it with `lakegate admin certificate key`, or give --key")?;
    }
    say(&format!("the signature is good; {} residuals", residuals.len()))
}

#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error(transparent)]
    Certificate(#[from] VerifyError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error("could not read the password from standard input: {0}")]
    Input(std::io::Error),
    #[error("the password is empty")]
    EmptyPassword,
    #[error("could not write: {0}")]
    Output(std::io::Error),
    #[error("the key is not kept in a file: set LAKEGATE_NEW_KEK to the new one, and change it where it is kept afterwards")]
    KeyElsewhere,
    #[error("\"{0}\" exists already")]
    Exists(String),
    #[error("there is no file \"{0}\"")]
    Missing(String),
    #[error("could not read \"{0}\": {1}")]
    Unreadable(String, std::io::Error),
    #[error("\"{0}\" is no public key: 32 bytes in base64, or a file that holds them")]
    PublicKey(String),
    #[error("the log is not whole: {0} faults")]
    Faults(usize),
    #[error("there is no chained log")]
    NoLog,
    #[error("the file holds no proof")]
    NoProof,
    #[error(transparent)]
    Proof(#[from] lakegate_catalog::log_proof::inclusion::ProofError),
}

/// Does the work, as the bootstrap superuser.
///
/// # Errors
/// What the catalog says, or the terminal.
pub async fn run(work: AdminWork, foundation: &Foundation, engine: Arc<dyn Engine>) -> Result<(), AdminError> {
    let catalog = &foundation.catalog;
    if let Some(event) = event(&work) {
        // Before it is done: what cannot be recorded is not done.
        catalog.audit(event, true).await?;
    }
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
        AdminWork::Keys(AdminKeys::Rotate) => rotate(foundation, &principal).await?,
        AdminWork::Certificate(AdminCertificate::Key) => say(&catalog.certificate_key())?,
        AdminWork::Certificate(AdminCertificate::Verify { .. })
        | AdminWork::Backup { .. }
        | AdminWork::Restore { .. }
        | AdminWork::Migrate { .. } => {}
        AdminWork::Log(work) => {
            let done = crate::admin_log::run(&work, foundation, &engine).await;
            catalog.close().await;
            return done;
        }
    }
    catalog.close().await;
    Ok(())
}

fn event(work: &AdminWork) -> Option<AuditEvent> {
    let (action, object) = match work {
        AdminWork::User(AdminUser::Add { name, .. }) => ("user_add", Some(("role", name.as_str()))),
        AdminWork::User(AdminUser::Passwd { name }) => ("user_passwd", Some(("role", name.as_str()))),
        AdminWork::User(AdminUser::List) => ("user_list", None),
        AdminWork::Certificate(_) => return None,
        AdminWork::Keys(AdminKeys::Rotate) => ("keys_rotate", Some(("keys", "all"))),
        AdminWork::Backup { .. } => ("backup", Some(("catalog", "catalog"))),
        AdminWork::Restore { .. } => ("restore", Some(("catalog", "catalog"))),
        AdminWork::Migrate { .. } => ("migrate", Some(("catalog", "catalog"))),
        AdminWork::Log(AdminLog::Verify { .. }) => ("log_verify", None),
        AdminWork::Log(AdminLog::Prove { record }) => ("log_prove", Some(("record", record.as_str()))),
        AdminWork::Log(AdminLog::PublicKey | AdminLog::Head | AdminLog::CheckProof { .. }) => return None,
    };
    Some(crate::system::audit::admin_command(action, object))
}

/// In the catalog that is read (or, of a restore, was made), where its key is at hand.
async fn audit_copy(work: &AdminWork, config: &Config) {
    let Some(event) = event(work) else { return };
    if config.kek_is_in_a_file() && !config.kek_file.exists() {
        return;
    }
    let told = async {
        let mut options = catalog_options(config).await?;
        // A server may run on it.
        options.beside = true;
        let catalog = Catalog::open(options).await?;
        let told = catalog.audit(event, true).await;
        catalog.close().await;
        told
    };
    if let Err(error) = told.await {
        tracing::warn!(%error, "the audit log was not told of this command");
    }
}

async fn rotate(foundation: &Foundation, principal: &Principal) -> Result<(), AdminError> {
    if foundation.config.kek_is_in_a_file() {
        let rewrapped = foundation.catalog.rotate_kek_file(principal).await?;
        return say(&format!("{rewrapped} data keys wrapped with a new key"));
    }
    let Ok(text) = std::env::var("LAKEGATE_NEW_KEK") else { return Err(AdminError::KeyElsewhere) };
    let rewrapped = foundation.catalog.rotate_kek(Kek::from_base64(&text)?).await?;
    say(&format!("{rewrapped} data keys wrapped with the key of LAKEGATE_NEW_KEK"))
}

/// Work on whole catalogs, which none of them is opened for.
///
/// # Errors
/// A catalog cannot be reached, or is not empty.
pub async fn copy(work: &AdminWork, config: &Config) -> Result<(), AdminError> {
    let file = |path: &std::path::Path| -> Result<String, AdminError> {
        Ok(format!("sqlite://{}", std::path::absolute(path).map_err(AdminError::Output)?.display()))
    };
    let (from, to) = match work {
        AdminWork::Backup { file: path } if path.exists() => return Err(AdminError::Exists(path.display().to_string())),
        AdminWork::Backup { file: path } => (config.catalog_url.clone(), file(path)?),
        AdminWork::Restore { file: path } if !path.exists() => return Err(AdminError::Missing(path.display().to_string())),
        AdminWork::Restore { file: path } => (file(path)?, config.catalog_url.clone()),
        AdminWork::Migrate { to } => (config.catalog_url.clone(), to.clone()),
        _ => return Ok(()),
    };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.data_dir).map_err(AdminError::Output)?;
    // Nobody works on what is being filled; what is read may be in use.
    let _lock = match work {
        AdminWork::Restore { .. } => Some(DataDirLock::acquire(&config.data_dir)?),
        _ => None,
    };
    if !matches!(work, AdminWork::Restore { .. }) {
        audit_copy(work, config).await;
    }
    let copied = copy_catalog(&from, &to).await?;
    if matches!(work, AdminWork::Restore { .. }) {
        audit_copy(work, config).await;
    }
    say(&format!("{} rows of {} tables copied", copied.rows, copied.tables))
}

fn read_password() -> Result<PasswordSpec, AdminError> {
    let mut line = Zeroizing::new(String::new());
    std::io::stdin().lock().read_line(&mut line).map_err(AdminError::Input)?;
    let password = Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned());
    if password.is_empty() { Err(AdminError::EmptyPassword) } else { Ok(PasswordSpec::Set(password)) }
}

pub(crate) fn say(line: &str) -> Result<(), AdminError> {
    writeln!(std::io::stdout(), "{line}").map_err(AdminError::Output)
}
