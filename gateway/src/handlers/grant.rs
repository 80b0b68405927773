//! GRANT and REVOKE.

use lakegate_catalog::acl::Privileges;
use lakegate_catalog::ddl::{GrantObjects, GrantOutcome, GrantSpec, RevokeSpec};
use lakegate_catalog::model::{ObjectRef, Oid, PUBLIC, Privilege};
use lakegate_catalog::{ObjectKind, Snapshot};

use crate::frontend::Response;
use crate::sql::bind::undefined;
use crate::sql::grammar::{Grant, GrantMembership, GrantTarget, PrivilegeWord, Revoke, RevokeMembership, name_parts};
use crate::sql::session::GatewaySession;
use crate::sqlstate::{Severity, SqlError, SqlState};

pub async fn grant(session: &mut GatewaySession, grant: &Grant) -> Result<Response, SqlError> {
    let snapshot = session.catalog().snapshot();
    let spec = GrantSpec {
        objects: objects(session, &snapshot, &grant.target)?,
        privileges: privileges(&grant.privileges)?,
        grantees: grantees(&snapshot, &grant.grantees)?,
        with_grant_option: grant.grant_option,
    };
    let outcome = session.catalog().grant(&session.principal, spec).await?;
    warn(session, &outcome, "granted");
    Ok(Response::Command { tag: "GRANT".to_owned() })
}

pub async fn revoke(session: &mut GatewaySession, revoke: &Revoke) -> Result<Response, SqlError> {
    let snapshot = session.catalog().snapshot();
    let spec = RevokeSpec {
        objects: objects(session, &snapshot, &revoke.target)?,
        privileges: privileges(&revoke.privileges)?,
        grantees: grantees(&snapshot, &revoke.grantees)?,
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
            let (role, member) = (snapshot.require_role(role)?, snapshot.require_role(member)?);
            let new = session.catalog().grant_membership(&session.principal, role.oid, member.oid, grant.admin_option).await?;
            if !new {
                let text = format!("role \"{}\" is already a member of role \"{}\"", member.name, role.name);
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
            let (role, member) = (snapshot.require_role(role)?, snapshot.require_role(member)?);
            let was = session.catalog().revoke_membership(&session.principal, role.oid, member.oid, revoke.admin_option_only).await?;
            if !was {
                let text = format!("role \"{}\" is not a member of role \"{}\"", member.name, role.name);
                session.notice(SqlError::notice(Severity::Warning, SqlState::Warning, text));
            }
        }
    }
    Ok(Response::Command { tag: "REVOKE ROLE".to_owned() })
}

fn warn(session: &mut GatewaySession, outcome: &GrantOutcome, done: &str) {
    for name in &outcome.nothing_for {
        let text = format!("no privileges were {done} for \"{name}\"");
        session.notice(SqlError::notice(Severity::Warning, SqlState::PrivilegeNotGranted, text));
    }
    for name in &outcome.not_all_for {
        let text = format!("not all privileges were {done} for \"{name}\"");
        session.notice(SqlError::notice(Severity::Warning, SqlState::PrivilegeNotGranted, text));
    }
}

/// `None`: ALL.
fn privileges(words: &[PrivilegeWord]) -> Result<Option<Privileges>, SqlError> {
    let mut set = Privileges::NONE;
    for privilege in words {
        if !privilege.columns.is_empty() {
            return Err(SqlError::unsupported("a privilege on single columns").hint("Grant on a view that has only those columns."));
        }
        if privilege.word == "ALL" {
            return Ok(None);
        }
        let known = Privilege::parse(&privilege.word).ok_or_else(|| {
            SqlError::new(SqlState::SyntaxError, format!("unrecognized privilege type \"{}\"", privilege.word.to_lowercase()))
        })?;
        set = set.with(known);
    }
    Ok(Some(set))
}

fn grantees(snapshot: &Snapshot, names: &[String]) -> Result<Vec<Oid>, SqlError> {
    names.iter().map(|name| if name == "public" { Ok(PUBLIC) } else { Ok(snapshot.require_role(name)?.oid) }).collect()
}

fn objects(session: &GatewaySession, snapshot: &Snapshot, target: &GrantTarget) -> Result<GrantObjects, SqlError> {
    Ok(match target {
        GrantTarget::Tables(names) => GrantObjects::These(each(names, |name| {
            let parts = name_parts(name)?;
            let resolved = session.scope(snapshot).resolve(snapshot, &parts)?;
            let relation = snapshot.relation_by_name(&resolved).ok_or_else(|| undefined(&parts))?;
            Ok(ObjectRef::Relation(relation.oid))
        })?),
        GrantTarget::AllTablesInSchemas(names) => {
            GrantObjects::AllTablesInSchemas(each(names, |name| super::schema::resolve(session, snapshot, &name_parts(name)?))?)
        }
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
    })
}

fn each<T, R>(names: &[T], resolve: impl Fn(&T) -> Result<R, SqlError>) -> Result<Vec<R>, SqlError> {
    names.iter().map(resolve).collect()
}
