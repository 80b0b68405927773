//! GRANT and REVOKE.

use lakegate_catalog::acl::Privileges;
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::ddl::{DefaultPrivileges, GrantObjects, GrantOutcome, GrantSpec, GrantedPrivileges, RevokeSpec};
use lakegate_catalog::model::{ObjectRef, Oid, PUBLIC, Privilege};
use lakegate_catalog::{ObjectKind, Snapshot};
use sqlparser::ast::ObjectName;

use crate::frontend::Response;
use crate::sql::bind::undefined;
use crate::sql::grammar::{
    AlterDefaultPrivileges, Grant, GrantMembership, GrantTarget, PrivilegeWord, Revoke, RevokeMembership, name_parts,
};
use crate::sql::session::GatewaySession;
use crate::sqlstate::{Severity, SqlError, SqlState};

pub async fn grant(session: &mut GatewaySession, grant: &Grant) -> Result<Response, SqlError> {
    let snapshot = session.catalog().snapshot();
    check_grantor(session, &snapshot, grant.granted_by.as_deref())?;
    let spec = GrantSpec {
        objects: objects(session, &snapshot, &grant.target)?,
        privileges: privileges(&grant.privileges)?,
        grantees: grantees(session, &snapshot, &grant.grantees)?,
        with_grant_option: grant.grant_option,
    };
    let outcome = session.catalog().grant(&session.principal, spec).await?;
    warn(session, &outcome, "granted");
    Ok(Response::Command { tag: "GRANT".to_owned() })
}

pub async fn revoke(session: &mut GatewaySession, revoke: &Revoke) -> Result<Response, SqlError> {
    let snapshot = session.catalog().snapshot();
    check_grantor(session, &snapshot, revoke.granted_by.as_deref())?;
    let spec = RevokeSpec {
        objects: objects(session, &snapshot, &revoke.target)?,
        privileges: privileges(&revoke.privileges)?,
        grantees: grantees(session, &snapshot, &revoke.grantees)?,
        only_grant_option: revoke.grant_option_only,
        cascade: revoke.cascade,
    };
    let outcome = session.catalog().revoke(&session.principal, spec).await?;
    warn(session, &outcome, "revoked");
    Ok(Response::Command { tag: "REVOKE".to_owned() })
}

pub async fn grant_membership(session: &mut GatewaySession, grant: &GrantMembership) -> Result<Response, SqlError> {
    let snapshot = session.catalog().snapshot();
    for role in &grant.roles {
        for member in &grant.members {
            let (role, member) = (role_named(session, &snapshot, role)?, role_named(session, &snapshot, member)?);
            let principal = as_grantor(session, &snapshot, grant.granted_by.as_deref())?;
            let new = session.catalog().grant_membership(&principal, role, member, grant.admin_option).await?;
            if !new {
                let text = format!("role \"{}\" is already a member of role \"{}\"", snapshot.role_name(member), snapshot.role_name(role));
                session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text));
            }
        }
    }
    Ok(Response::Command { tag: "GRANT ROLE".to_owned() })
}

pub async fn revoke_membership(session: &mut GatewaySession, revoke: &RevokeMembership) -> Result<Response, SqlError> {
    let snapshot = session.catalog().snapshot();
    for role in &revoke.roles {
        for member in &revoke.members {
            let (role, member) = (role_named(session, &snapshot, role)?, role_named(session, &snapshot, member)?);
            let principal = as_grantor(session, &snapshot, revoke.granted_by.as_deref())?;
            let was = session.catalog().revoke_membership(&principal, role, member, revoke.admin_option_only).await?;
            if !was {
                let text = format!("role \"{}\" is not a member of role \"{}\"", snapshot.role_name(member), snapshot.role_name(role));
                session.notice(SqlError::notice(Severity::Warning, SqlState::Warning, text));
            }
        }
    }
    Ok(Response::Command { tag: "REVOKE ROLE".to_owned() })
}

/// ALTER DEFAULT PRIVILEGES.
///
/// # Errors
/// 42704, 3F000, 42501, 0LP01.
pub async fn default_privileges(session: &mut GatewaySession, alter: &AlterDefaultPrivileges) -> Result<Response, SqlError> {
    let snapshot = session.catalog().snapshot();
    let roles = match alter.roles.as_slice() {
        [] => vec![session.principal.current_role],
        names => each(names, |name| role_named(session, &snapshot, name))?,
    };
    let GrantedPrivileges { on_object, on_columns } = privileges(&alter.privileges)?;
    if !on_columns.is_empty() {
        return Err(SqlError::new(SqlState::InvalidGrantOperation, "default privileges cannot be set for columns"));
    }
    let new = DefaultPrivileges {
        database: snapshot.require_database(session.database())?.oid,
        roles,
        schemas: each(&alter.schemas, |name| super::schema::resolve(session, &snapshot, &name_parts(name)?))?,
        kind: alter.kind,
        privileges: on_object,
        grantees: grantees(session, &snapshot, &alter.grantees)?,
        revoke: alter.revoke,
        grant_option: alter.grant_option,
        cascade: alter.cascade,
    };
    session.catalog().alter_default_privileges(&session.principal, new).await?;
    Ok(Response::Command { tag: "ALTER DEFAULT PRIVILEGES".to_owned() })
}

/// Privileges are granted by the current role, whatever is said. Source: `ExecuteGrantStmt`.
fn check_grantor(session: &GatewaySession, snapshot: &Snapshot, name: Option<&str>) -> Result<(), SqlError> {
    match name {
        Some(name) if role_named(session, snapshot, name)? != session.principal.current_role => {
            Err(SqlError::new(SqlState::FeatureNotSupported, "grantor must be current user"))
        }
        _ => Ok(()),
    }
}

/// Membership may be granted in the name of a role that one is a member of.
fn as_grantor(session: &GatewaySession, snapshot: &Snapshot, name: Option<&str>) -> Result<Principal, SqlError> {
    let Some(name) = name else { return Ok(session.principal) };
    let grantor = role_named(session, snapshot, name)?;
    if !snapshot.is_member_of(session.principal.current_role, grantor) {
        let text = format!("must be member of role \"{}\"", snapshot.role_name(grantor));
        return Err(SqlError::new(SqlState::InsufficientPrivilege, text));
    }
    Ok(Principal { current_role: grantor, ..session.principal })
}

fn warn(session: &mut GatewaySession, outcome: &GrantOutcome, done: &str) {
    let state = if done == "granted" { SqlState::PrivilegeNotGranted } else { SqlState::PrivilegeNotRevoked };
    for name in &outcome.nothing_for {
        let text = format!("no privileges were {done} for {name}");
        session.notice(SqlError::notice(Severity::Warning, state, text));
    }
    for name in &outcome.not_all_for {
        let text = format!("not all privileges were {done} for {name}");
        session.notice(SqlError::notice(Severity::Warning, state, text));
    }
    for name in &outcome.less_for_sequences {
        let text = format!("sequence \"{name}\" only supports USAGE, SELECT, and UPDATE privileges");
        session.notice(SqlError::notice(Severity::Warning, SqlState::InvalidGrantOperation, text));
    }
}

fn privileges(words: &[PrivilegeWord]) -> Result<GrantedPrivileges, SqlError> {
    let mut granted = GrantedPrivileges { on_object: Some(Privileges::NONE), on_columns: Vec::new() };
    for privilege in words {
        let set = match privilege.word.as_str() {
            "ALL" => None,
            word => Some(Privileges::of(&[Privilege::parse(word).ok_or_else(|| {
                SqlError::new(SqlState::SyntaxError, format!("unrecognized privilege type \"{}\"", word.to_lowercase()))
            })?])),
        };
        if !privilege.columns.is_empty() {
            granted.on_columns.push((set, privilege.columns.clone()));
            continue;
        }
        granted.on_object = set.and_then(|set| granted.on_object.map(|known| known.union(set)));
        if granted.on_object.is_none() {
            break;
        }
    }
    Ok(granted)
}

fn role_named(session: &GatewaySession, snapshot: &Snapshot, name: &str) -> Result<Oid, SqlError> {
    super::role::named(session, snapshot, name)
}

fn grantees(session: &GatewaySession, snapshot: &Snapshot, names: &[String]) -> Result<Vec<Oid>, SqlError> {
    each(names, |name| if name == "public" { Ok(PUBLIC) } else { role_named(session, snapshot, name) })
}

/// The relations of a list of names.
fn relations(session: &GatewaySession, snapshot: &Snapshot, names: &[ObjectName]) -> Result<Vec<Oid>, SqlError> {
    each(names, |name| {
        let parts = name_parts(name)?;
        let resolved = session.scope(snapshot).resolve(snapshot, &parts)?;
        Ok(snapshot.relation_by_name(&resolved).ok_or_else(|| undefined(&parts))?.oid)
    })
}

fn objects(session: &GatewaySession, snapshot: &Snapshot, target: &GrantTarget) -> Result<GrantObjects, SqlError> {
    let schemas = |names: &[ObjectName]| each(names, |name| super::schema::resolve(session, snapshot, &name_parts(name)?));
    Ok(match target {
        GrantTarget::Tables(names) => {
            GrantObjects::These(relations(session, snapshot, names)?.into_iter().map(ObjectRef::Relation).collect())
        }
        GrantTarget::Sequences(names) => GrantObjects::Sequences(relations(session, snapshot, names)?),
        GrantTarget::AllTablesInSchemas(names) => GrantObjects::AllTablesInSchemas(schemas(names)?),
        GrantTarget::AllSequencesInSchemas(names) => GrantObjects::AllSequencesInSchemas(schemas(names)?),
        GrantTarget::AllFunctionsInSchemas(names) => GrantObjects::AllFunctionsInSchemas(schemas(names)?),
        GrantTarget::Schemas(names) => {
            GrantObjects::These(each(names, |name| Ok(ObjectRef::Schema(super::schema::resolve(session, snapshot, &name_parts(name)?)?)))?)
        }
        GrantTarget::Databases(names) => {
            GrantObjects::These(each(names, |name| Ok(ObjectRef::Database(snapshot.require_database(name)?.oid)))?)
        }
        GrantTarget::ExternalLocations(names) => GrantObjects::These(each(names, |name| {
            let location = snapshot
                .external_location_by_name(name)
                .ok_or_else(|| lakegate_catalog::CatalogError::Undefined { kind: ObjectKind::ExternalLocation, name: name.clone() })?;
            Ok(ObjectRef::ExternalLocation(location.oid))
        })?),
        GrantTarget::Warehouses(names) => {
            GrantObjects::These(each(names, |name| Ok(ObjectRef::Warehouse(super::warehouse::named(snapshot, name)?.oid)))?)
        }
    })
}

fn each<T, R>(names: &[T], resolve: impl Fn(&T) -> Result<R, SqlError>) -> Result<Vec<R>, SqlError> {
    names.iter().map(resolve).collect()
}
