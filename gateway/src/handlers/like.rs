//! LIKE in CREATE TABLE: the columns of another relation, and what else is asked for. Source: `transformTableLikeClause` in
//! parse_utilcmd.c.

use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize::has_privilege;
use lakegate_catalog::model::{Column, ConstraintKind, ObjectRef, Privilege, Relation, Sequence};

use super::column_text::sequence_of_default;
use super::table_definition::{ColumnSequence, Definition};
use crate::sql::grammar::{Included, Like, SequenceOption, name_parts};
use crate::sql::session::GatewaySession;
use crate::sqlstate::{SqlError, SqlState};

impl Definition {
    /// # Errors
    /// 42P01, 42501, 42809; 42701 for a column that is there already; 42P16 for a second primary key.
    pub fn add_like(&mut self, session: &GatewaySession, snapshot: &Snapshot, table: &str, like: &Like) -> Result<(), SqlError> {
        let source = source(session, snapshot, like)?;
        for column in &source.columns {
            if self.columns.iter().any(|known| known.name == column.name) {
                return Err(SqlError::new(SqlState::DuplicateColumn, format!("column \"{}\" specified more than once", column.name)));
            }
            let copied = self.copied(snapshot, column, like.included);
            self.columns.push(copied);
        }
        for constraint in &source.constraints {
            match &constraint.kind {
                ConstraintKind::Check(_) if like.included.constraints => self.add_named(constraint),
                ConstraintKind::PrimaryKey(_) | ConstraintKind::Unique(_) if like.included.indexes => {
                    self.add_key(table, None, constraint.kind.clone())?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn copied(&mut self, snapshot: &Snapshot, column: &Column, included: Included) -> Column {
        let mut copied = Column::new(&column.name, column.data_type);
        copied.not_null = column.not_null;
        if included.comments {
            copied.comment.clone_from(&column.comment);
        }
        if included.generated {
            copied.generated.clone_from(&column.generated);
        }
        if included.defaults && column.identity.is_none() && column.generated.is_none() {
            copied.default.clone_from(&column.default);
        }
        if included.identity && column.identity.is_some() {
            copied.identity = column.identity;
            let sequence = column.default.as_deref().and_then(sequence_of_default).and_then(|oid| snapshot.relation_by_oid(oid));
            let options = sequence.and_then(|relation| relation.sequence.as_ref()).map(options_of).unwrap_or_default();
            self.sequences.push(ColumnSequence {
                column: column.name.clone(),
                data_type: column.data_type,
                options,
                identity: column.identity,
            });
        }
        copied
    }
}

fn source<'a>(session: &GatewaySession, snapshot: &'a Snapshot, like: &Like) -> Result<&'a Relation, SqlError> {
    let name = session.scope(snapshot).resolve(snapshot, &name_parts(&like.source)?)?;
    let relation = snapshot.relation_by_name(&name).ok_or_else(|| crate::sql::bind::undefined(std::slice::from_ref(&name.name)))?;
    if relation.sequence.is_some() {
        let message = format!("relation \"{}\" is invalid in LIKE clause", name.name);
        return Err(SqlError::new(SqlState::WrongObjectType, message).detail("This operation is not supported for sequences."));
    }
    if !has_privilege(snapshot, session.principal.current_role, ObjectRef::Relation(relation.oid), Privilege::Select) {
        let what = if relation.is_view() { "view" } else { "table" };
        return Err(SqlError::new(SqlState::InsufficientPrivilege, format!("permission denied for {what} {}", name.name)));
    }
    Ok(relation)
}

/// A sequence that counts in the same way.
fn options_of(sequence: &Sequence) -> Vec<SequenceOption> {
    vec![
        SequenceOption::Increment(sequence.increment),
        SequenceOption::Min(Some(sequence.min)),
        SequenceOption::Max(Some(sequence.max)),
        SequenceOption::Start(sequence.start),
        SequenceOption::Cache(sequence.cache),
        SequenceOption::Cycle(sequence.cycle),
    ]
}
