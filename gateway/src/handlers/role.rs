//! CREATE, ALTER and DROP ROLE, USER, GROUP.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use lakegate_catalog::Snapshot;
use lakegate_catalog::ddl::{PasswordSpec, RoleOptions};
use lakegate_catalog::model::Oid;
use zeroize::Zeroizing;

use crate::frontend::Response;
use crate::sql::grammar::{self, AlterRole, AlterRoleChange, CreateRole, DropRole};
use crate::sql::session::GatewaySession;
use crate::sqlstate::{Severity, SqlError, SqlState};

pub async fn create(session: &mut GatewaySession, create: &CreateRole) -> Result<Response, SqlError> {
    let snapshot = session.catalog().snapshot();
    let given = &create.options;
    let in_roles = oids(&snapshot, &given.in_roles)?;
    let members = oids(&snapshot, &given.members)?;
    let admins = oids(&snapshot, &given.admins)?;
    let role =
        session.catalog().create_role(&session.principal, &create.name, options(given)?, password(given), &in_roles, &members).await?;
    for admin in admins {
        session.catalog().grant_membership(&session.principal, role.oid, admin, true).await?;
    }
    done("CREATE ROLE")
}

pub async fn alter(session: &mut GatewaySession, alter: &AlterRole) -> Result<Response, SqlError> {
    let snapshot = session.catalog().snapshot();
    let name = if alter.name == "current_user" || alter.name == "session_user" {
        session.role_name(&snapshot, session.principal.current_role)
    } else {
        alter.name.clone()
    };
    let role = snapshot.require_role(&name)?.oid;
    let catalog = session.catalog().clone();
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
            for member in oids(&snapshot, names)? {
                catalog.grant_membership(&session.principal, role, member, false).await?;
            }
        }
        AlterRoleChange::DropMembers(names) => {
            for member in oids(&snapshot, names)? {
                catalog.revoke_membership(&session.principal, role, member, false).await?;
            }
        }
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

fn oids(snapshot: &Snapshot, names: &[String]) -> Result<Vec<Oid>, SqlError> {
    names.iter().map(|name| Ok(snapshot.require_role(name)?.oid)).collect()
}

fn options(given: &grammar::RoleOptions) -> Result<RoleOptions, SqlError> {
    Ok(RoleOptions {
        login: given.login,
        superuser: given.superuser,
        create_db: given.create_db,
        create_role: given.create_role,
        inherit: given.inherit,
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
fn valid_until(text: &str) -> Result<Option<i64>, SqlError> {
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
