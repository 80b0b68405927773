//! Which constraint decides that a row of INSERT … ON CONFLICT is there already (`infer_arbiter_indexes` in plancat.c).

use lakegate_engine_api::catalog::{Constraint, ConstraintKind};
use lakegate_engine_api::{EngineError, SqlMistake};
use sqlparser::ast::{ConflictTarget, DoUpdate, OnConflictAction, OnInsert};

use crate::error;
use crate::write::insert::column_position;
use crate::write::target::Target;

type Arbiters = (Vec<Vec<usize>>, Option<DoUpdate>);

/// Positions of the columns of each constraint that decides, and what is done then.
///
/// # Errors
/// `InvalidColumnReference` where no constraint has just the named columns; `UndefinedObject` for a constraint that is not there.
pub fn arbiters(on: &OnInsert, target: &Target) -> Result<Arbiters, EngineError> {
    let OnInsert::OnConflict(clause) = on else { return Err(error::unsupported("INSERT … ON DUPLICATE KEY")) };
    let update = match &clause.action {
        OnConflictAction::DoNothing => None,
        OnConflictAction::DoUpdate(update) => Some(update.clone()),
    };
    let keys = || target.relation.constraints.iter().filter_map(|constraint| key(constraint).map(|columns| (constraint, columns)));
    let unique = target.relation.indexes.iter().filter(|index| index.unique);
    let unique: Vec<Vec<String>> = unique.map(|index| index.columns.iter().map(|column| column.name.clone()).collect()).collect();
    let chosen: Vec<&[String]> = match &clause.conflict_target {
        None if update.is_some() => {
            return Err(error::sql(SqlMistake::Syntax, "ON CONFLICT DO UPDATE requires inference specification or constraint name"));
        }
        None => keys().map(|(_, columns)| columns).chain(unique.iter().map(Vec::as_slice)).collect(),
        Some(ConflictTarget::Columns(names)) => {
            let mut wanted = Vec::new();
            for name in names {
                let name = target.columns.columns[column_position(name, target)?].field.name().clone();
                if !wanted.contains(&name) {
                    wanted.push(name);
                }
            }
            let same = |columns: &[String]| columns.len() == wanted.len() && columns.iter().all(|column| wanted.contains(column));
            let all = keys().map(|(_, columns)| columns).chain(unique.iter().map(Vec::as_slice));
            let found: Vec<&[String]> = all.filter(|columns| same(columns)).collect();
            if found.is_empty() {
                return Err(error::sql(
                    SqlMistake::InvalidColumnReference,
                    "there is no unique or exclusion constraint matching the ON CONFLICT specification",
                ));
            }
            found.into_iter().take(1).collect()
        }
        Some(ConflictTarget::OnConstraint(name)) => {
            let name = match name.0.last().and_then(|part| part.as_ident()) {
                Some(ident) if ident.quote_style.is_some() => ident.value.clone(),
                Some(ident) => ident.value.to_lowercase(),
                None => return Err(error::unsupported("a constraint name of this kind")),
            };
            let Some(constraint) = target.relation.constraints.iter().find(|constraint| constraint.name == name) else {
                let message = format!("constraint \"{name}\" for table \"{}\" does not exist", target.name.name);
                return Err(error::sql(SqlMistake::UndefinedObject, message));
            };
            match key(constraint) {
                Some(columns) => vec![columns],
                None => {
                    let message = format!("constraint in ON CONFLICT clause has no associated index: \"{name}\"");
                    return Err(error::sql(SqlMistake::WrongObjectType, message));
                }
            }
        }
    };
    let positions = |columns: &[String]| -> Result<Vec<usize>, EngineError> {
        let position = |name: &String| target.columns.position(name).ok_or_else(|| error::internal("a key's column is not in the table"));
        columns.iter().map(position).collect()
    };
    Ok((chosen.into_iter().map(positions).collect::<Result<_, _>>()?, update))
}

fn key(constraint: &Constraint) -> Option<&[String]> {
    match &constraint.kind {
        ConstraintKind::PrimaryKey(columns) | ConstraintKind::Unique(columns) => Some(columns),
        ConstraintKind::Check(_) | ConstraintKind::ForeignKey(_) => None,
    }
}
