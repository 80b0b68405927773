//! Tags of databases and schemas, CREATE, ALTER and DROP POLICY, CREATE and DROP MASKING POLICY, and what ALTER TABLE has of these.

mod expression;
mod mask;
mod policy;
mod text;

use std::sync::Arc;

use lakegate_catalog::Snapshot;
use lakegate_catalog::ddl::{RelationUpdate, TagsOf};
use lakegate_catalog::model::{Oid, PUBLIC, Relation, RelationKind};

pub use self::text::{mentioning, renamed_column};
use crate::frontend::Response;
use crate::sql::grammar::{AlterAction, AlterTags, Governance, RoleWord, name_parts};
use crate::sql::session::GatewaySession;
use crate::sqlstate::{Severity, SqlError, SqlState};

/// # Errors
/// 42501 for others than the owner; the command's own.
pub async fn run(session: &mut GatewaySession, command: &Governance) -> Result<Response, SqlError> {
    match command {
        Governance::AlterTags(alter) => alter_tags(session, alter).await?,
        Governance::CreatePolicy(create) => policy::create(session, create).await?,
        Governance::AlterPolicy { name, table, change } => policy::alter(session, name, table, change).await?,
        Governance::DropPolicy(drop) => policy::drop(session, drop).await?,
        Governance::CreateMaskingPolicy(create) => mask::create_policy(session, create).await?,
        Governance::DropMaskingPolicy { name, if_exists } => mask::drop_policy(session, name, *if_exists).await?,
    }
    Ok(Response::Command { tag: command.tag().to_owned() })
}

async fn alter_tags(session: &mut GatewaySession, alter: &AlterTags) -> Result<(), SqlError> {
    let snapshot = session.catalog().refresh().await?;
    let parts = name_parts(&alter.name)?;
    let of = if alter.of_database {
        TagsOf::Database(snapshot.require_database(&parts.join("."))?.oid)
    } else {
        TagsOf::Schema(super::schema::resolve(session, &snapshot, &parts)?)
    };
    Ok(session.catalog().set_tags(&session.principal, of, alter.changes.clone()).await?)
}

/// What the catalog is to record for an action of ALTER that is about tags, masks or row-level security; `None` for others. The role owns
/// the relation.
///
/// # Errors
/// 42809 where the relation has none of these; what is wrong with a mask's expression.
pub async fn update(
    session: &mut GatewaySession,
    snapshot: &Arc<Snapshot>,
    relation: &Relation,
    action: &AlterAction,
) -> Result<Option<RelationUpdate>, SqlError> {
    Ok(match action {
        AlterAction::Tags { column, changes } => Some(RelationUpdate::SetTags { column: column.clone(), changes: changes.clone() }),
        AlterAction::RowSecurity(update) => {
            if !matches!(relation.kind, RelationKind::ManagedTable | RelationKind::ExternalTable) {
                return Err(not_for(relation, "ALTER action ROW SECURITY"));
            }
            Some(RelationUpdate::RowSecurity(update.clone()))
        }
        AlterAction::Mask { column, mask } => {
            if !relation.is_stored() {
                return Err(not_for(relation, "ALTER action SET MASK"));
            }
            let mask = match mask {
                Some(spec) => Some(mask::of_column(session, snapshot, relation, column, spec).await?),
                None => None,
            };
            Some(RelationUpdate::SetMask { column: column.clone(), mask })
        }
        _ => None,
    })
}

fn not_for(relation: &Relation, action: &str) -> SqlError {
    let kind = lakegate_catalog::snapshot::kind_of(relation);
    SqlError::new(SqlState::WrongObjectType, format!("{action} cannot be performed on relation \"{}\"", relation.name))
        .detail(format!("This operation is not supported for {kind}s."))
}

/// The roles of a TO or FOR list; [`PUBLIC`] alone where it is among them, or where there are none. Source: `policy_role_list_to_array`.
fn role_oids(session: &mut GatewaySession, snapshot: &Snapshot, words: &[RoleWord]) -> Result<Vec<Oid>, SqlError> {
    if words.is_empty() || words.contains(&RoleWord::Public) {
        if words.len() > 1 {
            let warning = SqlError::notice(
                Severity::Warning,
                SqlState::InvalidParameterValue,
                "ignoring specified roles other than PUBLIC".to_owned(),
            );
            session.notice(warning.hint("All roles are members of the PUBLIC role."));
        }
        return Ok(vec![PUBLIC]);
    }
    words
        .iter()
        .map(|word| match word {
            RoleWord::Public => Ok(PUBLIC),
            RoleWord::CurrentUser => Ok(session.principal.current_role),
            RoleWord::SessionUser => Ok(session.principal.session_role),
            RoleWord::Name(name) => Ok(snapshot.require_role(name)?.oid),
        })
        .collect()
}
