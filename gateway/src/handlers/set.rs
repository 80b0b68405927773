//! SET, RESET, DISCARD.

use lakegate_catalog::Snapshot;
use lakegate_catalog::model::Oid;
use sqlparser::ast::{
    ContextModifier, DiscardObject, Expr, Reset, ResetStatement, Set, SetSessionAuthorizationParamKind, UnaryOperator, Value,
};

use super::transaction::check_in_time;
use crate::frontend::Response;
use crate::sql::grammar::{fold, name_parts};
use crate::sql::pending_notifications::Change;
use crate::sql::session::GatewaySession;
use crate::sql::settings::Setting;
use crate::sqlstate::{Severity, SqlError, SqlState};

pub fn set(session: &mut GatewaySession, set: &Set) -> Result<Response, SqlError> {
    match set {
        Set::SingleAssignment { scope, variable, values, .. } => {
            assign(session, is_local(*scope), &name_parts(variable)?.join("."), values)?;
        }
        Set::SetTimeZone { local, value } => assign(session, *local, "timezone", std::slice::from_ref(value))?,
        Set::SetNames { charset_name, .. } => assign_text(session, false, "client_encoding", &charset_name.value)?,
        Set::SetNamesDefault {} => assign_text(session, false, "client_encoding", "UTF8")?,
        Set::SetRole { context_modifier, role_name } => {
            set_role(session, is_local(*context_modifier), role_name.as_ref().map(fold).as_deref())?;
        }
        Set::SetSessionAuthorization(authorization) => match &authorization.kind {
            SetSessionAuthorizationParamKind::Default => set_session_authorization(session, false, None)?,
            SetSessionAuthorizationParamKind::User(name) => {
                let local = authorization.scope == ContextModifier::Local;
                set_session_authorization(session, local, Some(&fold(name)))?;
            }
        },
        Set::ParenthesizedAssignments { .. } | Set::MultipleAssignments { .. } | Set::SetSessionParam(_) | Set::SetTransaction { .. } => {
            return Err(SqlError::new(SqlState::SyntaxError, "SET takes one setting"));
        }
    }
    done("SET")
}

pub fn reset(session: &mut GatewaySession, reset: &ResetStatement) -> Result<Response, SqlError> {
    match &reset.reset {
        Reset::ALL => {
            let changed = session.settings.change(false, |settings| Ok(settings.reset_all()))?;
            changed.into_iter().for_each(|setting| session.report(setting));
        }
        Reset::ConfigurationParameter(name) => match name_parts(name)?.join(".").as_str() {
            "role" => set_role(session, false, None)?,
            "session_authorization" => set_session_authorization(session, false, None)?,
            name => {
                let changed = session.settings.change(false, |settings| settings.reset(name))?;
                report(session, changed);
            }
        },
    }
    done("RESET")
}

pub async fn discard(session: &mut GatewaySession, object: &DiscardObject) -> Result<Response, SqlError> {
    match object {
        DiscardObject::ALL => {
            if session.transaction.is_open() {
                return Err(SqlError::new(SqlState::ActiveSqlTransaction, "DISCARD ALL cannot run inside a transaction block"));
            }
            session.cursors.close_all();
            session.pending.change(Change::UnlistenAll);
            session.settle_notifications();
            session.shared.advisory.release_session(session.start.backend_pid);
            session.named.clear();
            session.events.push(crate::frontend::SessionEvent::Deallocated { name: None });
            session.effects.sequences.forget();
            session.drop_temporary().await?;
            set_session_authorization(session, false, None)?;
            let changed = session.settings.change(false, |settings| Ok(settings.reset_all()))?;
            changed.into_iter().for_each(|setting| session.report(setting));
            done("DISCARD ALL")
        }
        DiscardObject::PLANS => done("DISCARD PLANS"),
        DiscardObject::SEQUENCES => {
            session.effects.sequences.forget();
            done("DISCARD SEQUENCES")
        }
        DiscardObject::TEMP => {
            session.drop_temporary().await?;
            done("DISCARD TEMP")
        }
    }
}

fn done(tag: &str) -> Result<Response, SqlError> {
    Ok(Response::Command { tag: tag.to_owned() })
}

fn is_local(scope: Option<ContextModifier>) -> bool {
    scope == Some(ContextModifier::Local)
}

fn assign(session: &mut GatewaySession, local: bool, name: &str, values: &[Expr]) -> Result<(), SqlError> {
    if let [value] = values
        && is_default(value)
    {
        return reset_one(session, local, name);
    }
    let texts: Vec<String> = values.iter().map(|value| text(value, name)).collect::<Result<_, _>>()?;
    assign_text(session, local, name, &texts.join(", "))
}

pub fn assign_text(session: &mut GatewaySession, local: bool, name: &str, value: &str) -> Result<(), SqlError> {
    match name {
        "role" => return set_role(session, local, Some(value)),
        "session_authorization" if value.eq_ignore_ascii_case("default") => return set_session_authorization(session, local, None),
        "session_authorization" => return set_session_authorization(session, local, Some(value)),
        _ => {}
    }
    if local && !session.settings.in_block() {
        warn_local(session);
        return Ok(());
    }
    if name.eq_ignore_ascii_case("lakegate.warehouse") && !value.is_empty() {
        session.usable_warehouse(value)?;
    }
    check_in_time(session, name, &value.to_ascii_lowercase())?;
    let changed = session.settings.change(local, |settings| settings.set(name, value))?;
    report(session, changed);
    Ok(())
}

/// What `set_config` asked for, already checked.
///
/// # Errors
/// The role has gone meanwhile.
pub fn set_config(session: &mut GatewaySession, name: &str, value: Option<&str>, local: bool) -> Result<(), SqlError> {
    if local && !session.settings.in_block() {
        // It would end with the statement, which is over.
        return Ok(());
    }
    match value {
        Some(value) => assign_text(session, local, name, value),
        None => reset_one(session, local, name),
    }
}

fn reset_one(session: &mut GatewaySession, local: bool, name: &str) -> Result<(), SqlError> {
    match name {
        "role" => set_role(session, local, None)?,
        "session_authorization" => set_session_authorization(session, local, None)?,
        _ => {
            let changed = session.settings.change(local, |settings| settings.reset(name))?;
            report(session, changed);
        }
    }
    Ok(())
}

fn report(session: &mut GatewaySession, changed: Option<&'static Setting>) {
    if let Some(setting) = changed {
        session.report(setting);
    }
}

fn is_default(value: &Expr) -> bool {
    matches!(value, Expr::Identifier(ident) if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"))
}

/// A value as text: literals bare, identifiers quoted again where they were, so that search_path keeps its names.
fn text(value: &Expr, setting: &str) -> Result<String, SqlError> {
    match value {
        Expr::Value(value) => Ok(match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text)
                if setting.eq_ignore_ascii_case("search_path") && text.contains('.') =>
            {
                format!("\"{text}\"")
            }
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => text.clone(),
            other => other.to_string(),
        }),
        Expr::Identifier(ident) => Ok(match ident.quote_style {
            // Only what is a list of names is kept as it was quoted.
            Some(_) if setting.eq_ignore_ascii_case("search_path") => format!("\"{}\"", ident.value.replace('"', "\"\"")),
            _ => ident.value.clone(),
        }),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => Ok(format!("-{}", text(expr, setting)?)),
        Expr::UnaryOp { op: UnaryOperator::Plus, expr } => text(expr, setting),
        Expr::Interval(interval) => text(&interval.value, setting).map(|offset| hours_of(&offset).unwrap_or(offset)),
        other => Err(SqlError::new(SqlState::SyntaxError, format!("invalid value for parameter \"{setting}\": {other}"))),
    }
}

/// `-08:30`, the offset of an interval, as hours: a zone by that name would count west (POSIX).
fn hours_of(offset: &str) -> Option<String> {
    let (sign, clock) = match offset.strip_prefix('-') {
        Some(clock) => ("-", clock),
        None => ("", offset.strip_prefix('+').unwrap_or(offset)),
    };
    let (hours, minutes) = clock.split_once(':')?;
    let (hours, minutes) = (hours.parse::<u16>().ok()?, minutes.parse::<u16>().ok()?);
    Some(format!("{sign}{}", f64::from(hours) + f64::from(minutes) / 60.0))
}

/// `None`: NONE, back to the session's own role.
fn set_role(session: &mut GatewaySession, local: bool, name: Option<&str>) -> Result<(), SqlError> {
    if local && !session.settings.in_block() {
        warn_local(session);
        return Ok(());
    }
    let snapshot = session.catalog().snapshot();
    let name = name.filter(|name| *name != "none");
    let role = name.map(|name| may_become(&snapshot, session.principal.session_role, name)).transpose()?;
    let is_superuser = snapshot.is_superuser(role.unwrap_or(session.principal.session_role));
    session.change_settings(|settings| {
        // Nothing in it fails.
        let _ = settings.change(local, |settings| {
            settings.set_role(role, name.unwrap_or("none"), is_superuser);
            Ok(())
        });
    });
    Ok(())
}

/// The role that a session may take on by SET ROLE. Source: `check_role` in variable.c.
///
/// # Errors
/// 22023 no such role, 42501 not a member of it.
pub fn may_become(snapshot: &Snapshot, session_role: Oid, name: &str) -> Result<Oid, SqlError> {
    let role = snapshot
        .role_by_name(name)
        .ok_or_else(|| SqlError::new(SqlState::InvalidParameterValue, format!("role \"{name}\" does not exist")))?;
    if !snapshot.is_member_of(session_role, role.oid) {
        return Err(SqlError::new(SqlState::InsufficientPrivilege, format!("permission denied to set role \"{name}\"")));
    }
    Ok(role.oid)
}

/// The roles that a session may pass itself off as, whoever it is at the moment. Source: `check_session_authorization` in variable.c.
///
/// # Errors
/// 22023 no such role, 42501 for all but superusers.
fn set_session_authorization(session: &mut GatewaySession, local: bool, name: Option<&str>) -> Result<(), SqlError> {
    if local && !session.settings.in_block() {
        warn_local(session);
        return Ok(());
    }
    let snapshot = session.catalog().snapshot();
    let own = session.start.authenticated.role();
    let role = match name {
        None => own,
        Some(name) => {
            let undefined = || SqlError::new(SqlState::InvalidParameterValue, format!("role \"{name}\" does not exist"));
            snapshot.role_by_name(name).ok_or_else(undefined)?.oid
        }
    };
    if role != own && !snapshot.is_superuser(own) {
        return Err(SqlError::new(SqlState::InsufficientPrivilege, "permission denied to set session authorization"));
    }
    let (name, is_superuser) = (session.role_name(&snapshot, role), snapshot.is_superuser(role));
    session.change_settings(|settings| {
        // Nothing in it fails.
        let _ = settings.change(local, |settings| {
            settings.set_session_role((role != own).then_some(role), &name, is_superuser);
            Ok(())
        });
    });
    Ok(())
}

/// Name and value of what SET sets; `None` for DEFAULT.
///
/// # Errors
/// 42601.
pub fn assignment(set: &Set) -> Result<(String, Option<String>), SqlError> {
    let (name, values) = match set {
        Set::SingleAssignment { variable, values, .. } => (name_parts(variable)?.join("."), values.as_slice()),
        Set::SetTimeZone { value, .. } => ("timezone".to_owned(), std::slice::from_ref(value)),
        Set::SetNames { charset_name, .. } => return Ok(("client_encoding".to_owned(), Some(charset_name.value.clone()))),
        Set::SetRole { role_name, .. } => return Ok(("role".to_owned(), role_name.as_ref().map(fold))),
        _ => return Err(SqlError::new(SqlState::SyntaxError, "SET takes one setting")),
    };
    if let [value] = values
        && is_default(value)
    {
        return Ok((name, None));
    }
    let texts: Vec<String> = values.iter().map(|value| text(value, &name)).collect::<Result<_, _>>()?;
    Ok((name, Some(texts.join(", "))))
}

fn warn_local(session: &mut GatewaySession) {
    session.notice(SqlError::notice(
        Severity::Warning,
        SqlState::NoActiveSqlTransaction,
        "SET LOCAL can only be used in transaction blocks",
    ));
}
