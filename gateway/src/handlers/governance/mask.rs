//! Masks of columns, and masking policies that a tag binds to columns.

use std::sync::Arc;

use lakegate_catalog::authorize::require_owner;
use lakegate_catalog::governance::{Mask, MaskingPolicy};
use lakegate_catalog::model::{ObjectRef, Relation};
use lakegate_catalog::{CatalogError, Snapshot};

use super::{expression, role_oids};
use crate::sql::grammar::{CreateMaskingPolicy, MaskSpec};
use crate::sql::session::GatewaySession;
use crate::sqlstate::{Severity, SqlError, SqlState};

/// SET MASK.
///
/// # Errors
/// 42703; what is wrong with the expression; 42804 where its type cannot stand in the column's place.
pub(super) async fn of_column(
    session: &mut GatewaySession,
    snapshot: &Arc<Snapshot>,
    relation: &Relation,
    column: &str,
    spec: &MaskSpec,
) -> Result<Mask, SqlError> {
    let Some((_, column)) = relation.column(column) else {
        let text = format!("column \"{column}\" of relation \"{}\" does not exist", relation.name);
        return Err(SqlError::new(SqlState::UndefinedColumn, text));
    };
    let roles = role_oids(session, snapshot, &spec.roles)?;
    let expression = expression::mask(session, snapshot, relation, column, &spec.expr).await?;
    Ok(Mask { expression, roles })
}

/// # Errors
/// 42501, 42710; what is wrong with the expression.
pub(super) async fn create_policy(session: &mut GatewaySession, create: &CreateMaskingPolicy) -> Result<(), SqlError> {
    let snapshot = session.catalog().refresh().await?;
    let database = snapshot.require_database(session.database())?.oid;
    require_owner(&snapshot, &session.principal, ObjectRef::Database(database))?;
    let roles = role_oids(session, &snapshot, &create.mask.roles)?;
    let expression = expression::tag_mask(session, &snapshot, &create.mask.expr)?;
    let policy = MaskingPolicy {
        oid: 0,
        name: create.name.clone(),
        owner: session.principal.current_role,
        tag: create.tag.clone(),
        value: create.value.clone(),
        mask: Mask { expression, roles },
    };
    // It stands in the place of every column that it binds.
    for (relation, column) in expression::bound_columns(&snapshot, database, &policy) {
        expression::mask(session, &snapshot, &relation, &column, &create.mask.expr).await.map_err(|mut error| {
            error.fields.detail.get_or_insert_with(|| format!("It binds column \"{}\" of table \"{}\".", column.name, relation.name));
            error
        })?;
    }
    Ok(session.catalog().create_masking_policy(&session.principal, database, policy).await?)
}

/// # Errors
/// 42501, 42704.
pub(super) async fn drop_policy(session: &mut GatewaySession, name: &str, if_exists: bool) -> Result<(), SqlError> {
    let snapshot = session.catalog().refresh().await?;
    let database = snapshot.require_database(session.database())?.oid;
    match session.catalog().drop_masking_policy(&session.principal, database, name).await {
        Err(CatalogError::Undefined { .. }) if if_exists => {
            let text = format!("masking policy \"{name}\" does not exist, skipping");
            session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text));
            Ok(())
        }
        done => Ok(done?),
    }
}
