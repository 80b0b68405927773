//! CREATE, ALTER and DROP ROLE, USER, GROUP.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use lakegate_catalog::Snapshot;
use lakegate_catalog::ddl::{PasswordSpec, RoleOptions, SettingChange};
use lakegate_catalog::model::Oid;
use sqlparser::ast::{Reset, Statement};
use zeroize::Zeroizing;

use crate::frontend::Response;
use crate::sql::grammar::{self, AlterRole, AlterRoleChange, CreateRole, DropRole, Owned, SettingClause};
use crate::sql::session::GatewaySession;
use crate::sql::settings;
use crate::sqlstate::{Severity, SqlError, SqlState};

pub async fn create(session: &mut GatewaySession, create: &CreateRole) -> Result<Response, SqlError> {
    let snapshot = session.catalog().snapshot();
    let given = &create.options;
    let in_roles = oids(session, &snapshot, &given.in_roles)?;
    let members = oids(session, &snapshot, &given.members)?;
    let admins = oids(session, &snapshot, &given.admins)?;
    let role =
        session.catalog().create_role(&session.principal, &create.name, options(given)?, password(given), &in_roles, &members).await?;
    for admin in admins {
        session.catalog().grant_membership(&session.principal, role.oid, admin, true).await?;
    }
    done("CREATE ROLE")
}

pub async fn alter(session: &mut GatewaySession, alter: &AlterRole) -> Result<Response, SqlError> {
    let snapshot = session.catalog().snapshot();
    let role = alter.name.as_ref().map(|name| named(session, &snapshot, name)).transpose()?;
    let catalog = session.catalog().clone();
    if let AlterRoleChange::Setting { database, change } = &alter.change {
        let database = database.as_ref().map(|name| snapshot.require_database(name).map(|database| database.oid)).transpose()?;
        let change = setting_change(session, change)?;
        catalog.change_role_settings(&session.principal, role, database, change).await?;
        return done("ALTER ROLE");
    }
    let Some(role) = role else { return Err(SqlError::new(SqlState::SyntaxError, "ALTER ROLE ALL takes SET and RESET")) };
    match &alter.change {
        AlterRoleChange::Options(given) => {
            if !given.in_roles.is_empty() || !given.members.is_empty() || !given.admins.is_empty() {
                return Err(SqlError::new(SqlState::SyntaxError, "membership is changed with GRANT and REVOKE"));
            }
            catalog.alter_role(&session.principal, role, options(given)?, password(given)).await?;
        }
        AlterRoleChange::Rename(new_name) => {
            catalog.rename_role(&session.principal, role, new_name).await?;
        }
        AlterRoleChange::AddMembers(names) => {
            for member in oids(session, &snapshot, names)? {
                catalog.grant_membership(&session.principal, role, member, false).await?;
            }
        }
        AlterRoleChange::DropMembers(names) => {
            for member in oids(session, &snapshot, names)? {
                catalog.revoke_membership(&session.principal, role, member, false).await?;
            }
        }
        AlterRoleChange::Setting { .. } => {}
    }
    done("ALTER ROLE")
}

pub async fn drop(session: &mut GatewaySession, drop: &DropRole) -> Result<Response, SqlError> {
    let snapshot = session.catalog().snapshot();
    let mut roles = Vec::new();
    for name in &drop.names {
        match snapshot.role_by_name(name) {
            Some(role) => roles.push(role.oid),
            None if drop.if_exists => session.notice(SqlError::notice(
                Severity::Notice,
                SqlState::SuccessfulCompletion,
                format!("role \"{name}\" does not exist, skipping"),
            )),
            None => {
                snapshot.require_role(name)?;
            }
        }
    }
    session.catalog().drop_roles(&session.principal, &roles).await?;
    done("DROP ROLE")
}

fn done(tag: &str) -> Result<Response, SqlError> {
    Ok(Response::Command { tag: tag.to_owned() })
}

fn oids(session: &GatewaySession, snapshot: &Snapshot, names: &[String]) -> Result<Vec<Oid>, SqlError> {
    names.iter().map(|name| named(session, snapshot, name)).collect()
}

/// A role by its name, or by what the session says of itself. Source: `get_rolespec_oid`.
///
/// # Errors
/// 42704.
pub fn named(session: &GatewaySession, snapshot: &Snapshot, name: &str) -> Result<Oid, SqlError> {
    match name {
        "current_user" | "current_role" => Ok(session.principal.current_role),
        "session_user" => Ok(session.principal.session_role),
        _ => Ok(snapshot.require_role(name)?.oid),
    }
}

/// What SET and RESET do to the settings that sessions start with; values are those that a session could set now.
///
/// # Errors
/// 42704, 22023, 55P02.
pub fn setting_change(session: &GatewaySession, clause: &SettingClause) -> Result<SettingChange, SqlError> {
    let (name, value) = match clause {
        SettingClause::FromCurrent(name) => {
            let value = session.settings.current.get(name).map(str::to_owned).ok_or_else(|| settings::unknown(name))?;
            (name.to_lowercase(), Some(value))
        }
        SettingClause::Set(statement) | SettingClause::Reset(statement) => match statement.as_ref() {
            Statement::Set(set) => super::set::assignment(set)?,
            Statement::Reset(reset) => match &reset.reset {
                Reset::ALL => return Ok(SettingChange::ResetAll),
                Reset::ConfigurationParameter(name) => (grammar::name_parts(name)?.join("."), None),
            },
            _ => return Err(SqlError::new(SqlState::SyntaxError, "SET takes one setting")),
        },
    };
    if matches!(name.as_str(), "role" | "session_authorization") {
        return Err(SqlError::unsupported(format!("the setting {name} of a role or database")));
    }
    match value {
        Some(value) => Ok(SettingChange::Set { value: settings::check(&name, &value)?, name }),
        None => {
            if settings::find(&name).is_none() && !name.contains('.') {
                return Err(settings::unknown(&name));
            }
            Ok(SettingChange::Reset { name })
        }
    }
}

/// REASSIGN OWNED and DROP OWNED.
///
/// # Errors
/// 42704, 42501, 2BP01.
pub async fn owned(session: &mut GatewaySession, owned: &Owned) -> Result<Response, SqlError> {
    let snapshot = session.catalog().refresh().await?;
    let database = snapshot.require_database(session.database())?.oid;
    match owned {
        Owned::Reassign { roles, to } => {
            let roles = oids(session, &snapshot, roles)?;
            let to = named(session, &snapshot, to)?;
            session.catalog().reassign_owned(&session.principal, database, &roles, to).await?;
            done("REASSIGN OWNED")
        }
        Owned::Drop { roles, cascade } => {
            let roles = oids(session, &snapshot, roles)?;
            let dropped = session.catalog().drop_owned(&session.principal, database, &roles, *cascade).await?;
            session.note_dropped(dropped).await;
            done("DROP OWNED")
        }
    }
}

fn options(given: &grammar::RoleOptions) -> Result<RoleOptions, SqlError> {
    Ok(RoleOptions {
        login: given.login,
        superuser: given.superuser,
        create_db: given.create_db,
        create_role: given.create_role,
        inherit: given.inherit,
        bypass_rls: given.bypass_rls,
        connection_limit: given.connection_limit,
        valid_until: given.valid_until.as_deref().map(valid_until).transpose()?,
    })
}

fn password(given: &grammar::RoleOptions) -> Option<PasswordSpec> {
    given.password.as_ref().map(|password| match password {
        Some(password) => PasswordSpec::Set(Zeroizing::new(password.clone())),
        None => PasswordSpec::Remove,
    })
}

/// Seconds since the epoch; without a zone the time is UTC.
pub(super) fn valid_until(text: &str) -> Result<Option<i64>, SqlError> {
    if text.eq_ignore_ascii_case("infinity") {
        return Ok(None);
    }
    let zoned =
        DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%#z")).map(|at| at.timestamp());
    let local = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0));
    zoned.ok().or_else(|| local.map(|at| at.and_utc().timestamp())).map(Some).ok_or_else(|| {
        SqlError::new(SqlState::InvalidDatetimeFormat, format!("invalid input syntax for type timestamp with time zone: \"{text}\""))
    })
}
