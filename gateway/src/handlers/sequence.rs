//! CREATE and ALTER SEQUENCE, and the sequences of serial and identity columns. Source: `init_params` in sequence.c.

use std::sync::Arc;

use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize;
use lakegate_catalog::ddl::{NewRelation, RelationChange, RelationUpdate, SequenceState};
use lakegate_catalog::model::{ObjectRef, Oid, PgType, Privilege, Relation, RelationKind, Sequence};
use sqlparser::ast::DataType;

use super::table_definition::ColumnSequence;
use crate::frontend::Response;
use crate::sql::bind::undefined;
use crate::sql::grammar::{CreateSequence, SequenceOption, name_parts};
use crate::sql::session::GatewaySession;
use crate::sql::types::column_type;
use crate::sqlstate::{Severity, SqlError, SqlState};

/// Longest name in bytes.
const NAME_BYTES_MAX: usize = 63;

pub async fn create(session: &mut GatewaySession, create: &CreateSequence) -> Result<Response, SqlError> {
    let done = || Response::Command { tag: "CREATE SEQUENCE".to_owned() };
    if create.temporary {
        return Err(SqlError::unsupported("a temporary sequence"));
    }
    let snapshot = session.catalog().refresh().await?;
    let name = session.scope(&snapshot).place(&snapshot, &name_parts(&create.name)?)?;
    let schema = snapshot.require_schema(snapshot.require_database(&name.database)?.oid, &name.schema)?.oid;
    authorize::check(&snapshot, &session.principal, ObjectRef::Schema(schema), Privilege::Create)?;
    if snapshot.relation(schema, &name.name).is_some() {
        let text = format!("relation \"{}\" already exists", name.name);
        if !create.if_not_exists {
            return Err(SqlError::new(SqlState::DuplicateTable, text));
        }
        session.notice(SqlError::notice(Severity::Notice, SqlState::DuplicateTable, format!("{text}, skipping")));
        return Ok(done());
    }
    refuse_name(&create.options)?;
    let mut sequence = parameters(None, PgType::INT8, &create.options)?;
    sequence.owned_by = owner_column(session, &snapshot, &create.options)?.flatten();
    let new = NewRelation { sequence: Some(sequence), ..NewRelation::new(schema, name.name, RelationKind::Sequence) };
    session.catalog().change_relations(&session.principal, vec![RelationChange::Create(Box::new(new))]).await?;
    Ok(done())
}

/// ALTER SEQUENCE with the options of CREATE SEQUENCE.
pub async fn alter(
    session: &mut GatewaySession,
    snapshot: &Snapshot,
    relation: &Arc<Relation>,
    options: &[SequenceOption],
) -> Result<(), SqlError> {
    let Some(old) = &relation.sequence else { return Err(undefined(std::slice::from_ref(&relation.name))) };
    authorize::require_owner(snapshot, &session.principal, ObjectRef::Relation(relation.oid))?;
    refuse_name(options)?;
    let mut changed = parameters(Some(old), old.data_type, options)?;
    if let Some(owned_by) = owner_column(session, snapshot, options)? {
        if old.of_identity {
            return Err(SqlError::new(SqlState::FeatureNotSupported, "cannot change ownership of identity sequence"));
        }
        changed.owned_by = owned_by;
    }
    let state = session.shared.catalog.sequence_state(relation.oid, old).await?;
    let restart = options.iter().find_map(|option| match option {
        SequenceOption::Restart(value) => Some(*value),
        _ => None,
    });
    let last = restart.map_or(state.last_value, |value| value.unwrap_or(changed.start));
    if last < changed.min {
        return Err(parameter(format!("RESTART value ({last}) cannot be less than MINVALUE ({})", changed.min)));
    }
    if last > changed.max {
        return Err(parameter(format!("RESTART value ({last}) cannot be greater than MAXVALUE ({})", changed.max)));
    }
    let update = RelationChange::Update { relation: relation.oid, updates: vec![RelationUpdate::SetSequence(changed.clone())] };
    session.catalog().change_relations(&session.principal, vec![update]).await?;
    // A sequence that was never asked follows its new start.
    if restart.is_some() {
        let state = SequenceState { last_value: last, is_called: false };
        session.shared.catalog.set_sequence(relation.oid, &relation.name, &changed, state).await?;
    }
    Ok(())
}

/// RESTART of an identity column's sequence, and of TRUNCATE … RESTART IDENTITY.
pub async fn restart(session: &GatewaySession, relation: &Relation, value: Option<i64>) -> Result<(), SqlError> {
    let Some(sequence) = &relation.sequence else { return Ok(()) };
    let state = SequenceState { last_value: value.unwrap_or(sequence.start), is_called: false };
    Ok(session.shared.catalog.set_sequence(relation.oid, &relation.name, sequence, state).await?)
}

/// The sequence of a serial or identity column of `table` (OID, schema, name), named as PostgreSQL does.
///
/// # Errors
/// 22023.
pub fn of_column(snapshot: &Snapshot, table: (Oid, Oid, &str), oid: Oid, column: &ColumnSequence) -> Result<NewRelation, SqlError> {
    let (table, schema, table_name) = table;
    let mut sequence = parameters(None, column.data_type, &column.options)?;
    sequence.owned_by = Some((table, column.column.clone()));
    sequence.of_identity = column.identity.is_some();
    let base = object_name(table_name, &column.column, "seq");
    let given = column.options.iter().find_map(|option| match option {
        SequenceOption::Name(parts) => Some(parts),
        _ => None,
    });
    if let Some(parts) = given {
        let name = given_name(snapshot, schema, parts)?;
        return Ok(NewRelation { oid: Some(oid), sequence: Some(sequence), ..NewRelation::new(schema, name, RelationKind::Sequence) });
    }
    let free = |name: &String| snapshot.relation(schema, name).is_none();
    let name = std::iter::once(base.clone())
        .chain((1..10_000).map(|n| object_name(table_name, &column.column, &format!("seq{n}"))))
        .find(free)
        .unwrap_or(base);
    Ok(NewRelation { oid: Some(oid), sequence: Some(sequence), ..NewRelation::new(schema, name, RelationKind::Sequence) })
}

/// Source: `generateSerialExtraStmts`.
///
/// # Errors
/// 42P16 for one of another schema than the table's.
fn given_name(snapshot: &Snapshot, schema: Oid, parts: &[String]) -> Result<String, SqlError> {
    let (name, qualifier) = parts.split_last().map_or((String::new(), None), |(name, before)| (name.clone(), before.last()));
    if qualifier.is_some_and(|qualifier| snapshot.schema_by_oid(schema).is_none_or(|schema| schema.name != *qualifier)) {
        return Err(SqlError::new(SqlState::InvalidTableDefinition, "identity sequence must be in the same schema as table"));
    }
    Ok(name)
}

/// `table_column_label`, the longer part cut first. Source: `makeObjectName`.
#[must_use]
pub fn object_name(table: &str, column: &str, label: &str) -> String {
    let available = NAME_BYTES_MAX.saturating_sub(label.len() + 2);
    let (mut first, mut second) = (table.len(), column.len());
    while first + second > available {
        if first > second { first -= 1 } else { second -= 1 }
    }
    let cut = |text: &str, bytes: usize| {
        let mut end = bytes.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.get(..end).unwrap_or_default().to_owned()
    };
    format!("{}_{}_{label}", cut(table, first), cut(column, second))
}

/// The options over what was there.
fn parameters(old: Option<&Sequence>, default_type: PgType, options: &[SequenceOption]) -> Result<Sequence, SqlError> {
    let data_type = options
        .iter()
        .find_map(|option| match option {
            SequenceOption::DataType(data_type) => Some(sequence_type(data_type)),
            _ => None,
        })
        .transpose()?
        .unwrap_or(default_type);
    let (type_min, type_max, type_name) = match data_type {
        PgType::INT2 => (i64::from(i16::MIN), i64::from(i16::MAX), "smallint"),
        PgType::INT4 => (i64::from(i32::MIN), i64::from(i32::MAX), "integer"),
        _ => (i64::MIN, i64::MAX, "bigint"),
    };
    let mut made = old.cloned().unwrap_or(Sequence {
        data_type,
        start: 0,
        increment: 1,
        min: 0,
        max: 0,
        cache: 1,
        cycle: false,
        owned_by: None,
        of_identity: false,
    });
    let (mut min, mut max, mut start) = (old.map(|old| old.min), old.map(|old| old.max), old.map(|old| old.start));
    if let Some(old) = old.filter(|old| old.data_type != data_type) {
        let old_max = if old.data_type == PgType::INT2 {
            i64::from(i16::MAX)
        } else if old.data_type == PgType::INT4 {
            i64::from(i32::MAX)
        } else {
            i64::MAX
        };
        max = max.filter(|max| *max != old_max);
    }
    made.data_type = data_type;
    let mut seen = Vec::new();
    for option in options {
        let kind = std::mem::discriminant(option);
        if seen.contains(&kind) {
            return Err(SqlError::new(SqlState::SyntaxError, "conflicting or redundant options"));
        }
        seen.push(kind);
        match option {
            SequenceOption::Increment(0) => return Err(parameter("INCREMENT must not be zero")),
            SequenceOption::Increment(by) => made.increment = *by,
            SequenceOption::Min(value) => min = *value,
            SequenceOption::Max(value) => max = *value,
            SequenceOption::Start(value) => start = Some(*value),
            SequenceOption::Cache(cache) if *cache <= 0 => return Err(parameter(format!("CACHE ({cache}) must be greater than zero"))),
            SequenceOption::Cache(cache) => made.cache = *cache,
            SequenceOption::Cycle(cycle) => made.cycle = *cycle,
            SequenceOption::DataType(_) | SequenceOption::Restart(_) | SequenceOption::OwnedBy(_) | SequenceOption::Name(_) => {}
        }
    }
    let up = made.increment > 0;
    made.max = max.unwrap_or(if up { type_max } else { -1 });
    made.min = min.unwrap_or(if up { 1 } else { type_min });
    for (what, value) in [("MAXVALUE", made.max), ("MINVALUE", made.min)] {
        if value < type_min || value > type_max {
            return Err(parameter(format!("{what} ({value}) is out of range for sequence data type {type_name}")));
        }
    }
    if made.min >= made.max {
        return Err(parameter(format!("MINVALUE ({}) must be less than MAXVALUE ({})", made.min, made.max)));
    }
    made.start = start.unwrap_or(if up { made.min } else { made.max });
    if made.start < made.min {
        return Err(parameter(format!("START value ({}) cannot be less than MINVALUE ({})", made.start, made.min)));
    }
    if made.start > made.max {
        return Err(parameter(format!("START value ({}) cannot be greater than MAXVALUE ({})", made.start, made.max)));
    }
    Ok(made)
}

/// SEQUENCE NAME is for identity columns.
fn refuse_name(options: &[SequenceOption]) -> Result<(), SqlError> {
    if options.iter().any(|option| matches!(option, SequenceOption::Name(_))) {
        return Err(SqlError::new(SqlState::SyntaxError, "invalid sequence option SEQUENCE NAME"));
    }
    Ok(())
}

fn sequence_type(data_type: &DataType) -> Result<PgType, SqlError> {
    match column_type(data_type)? {
        fit @ (PgType::INT2 | PgType::INT4 | PgType::INT8) => Ok(fit),
        _ => Err(parameter("sequence type must be smallint, integer, or bigint")),
    }
}

type OwnerColumn = Option<(Oid, String)>;

/// What OWNED BY names; the outer `None`: it was not said.
fn owner_column(session: &GatewaySession, snapshot: &Snapshot, options: &[SequenceOption]) -> Result<Option<OwnerColumn>, SqlError> {
    let said = options.iter().find_map(|option| match option {
        SequenceOption::OwnedBy(name) => Some(name),
        _ => None,
    });
    let Some(name) = said else { return Ok(None) };
    let Some(name) = name else { return Ok(Some(None)) };
    let Some((column, table)) = name.split_last().filter(|(_, table)| !table.is_empty()) else {
        return Err(SqlError::new(SqlState::SyntaxError, "invalid OWNED BY option").hint("Specify OWNED BY table.column or OWNED BY NONE."));
    };
    let found = session.scope(snapshot).resolve(snapshot, table)?;
    let relation = snapshot.relation_by_name(&found).ok_or_else(|| undefined(table))?;
    if relation.column(column).is_none() {
        let text = format!("column \"{column}\" of relation \"{}\" does not exist", relation.name);
        return Err(SqlError::new(SqlState::UndefinedColumn, text));
    }
    Ok(Some(Some((relation.oid, column.clone()))))
}

fn parameter(text: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::InvalidParameterValue, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_bounds_are_postgresqls() {
        assert_eq!(object_name("t", "id", "seq"), "t_id_seq");
        let long = object_name(&"t".repeat(60), &"c".repeat(40), "seq");
        assert_eq!(long.len(), 63);
        assert!(long.starts_with("ttt") && long.ends_with("c_seq"));
        let made = parameters(None, PgType::INT4, &[SequenceOption::Increment(-1)]).unwrap();
        assert_eq!((made.min, made.max, made.start), (i64::from(i32::MIN), -1, -1));
        let error = parameters(None, PgType::INT8, &[SequenceOption::Min(Some(5)), SequenceOption::Max(Some(5))]).unwrap_err();
        assert_eq!(error.message, "MINVALUE (5) must be less than MAXVALUE (5)");
    }
}
