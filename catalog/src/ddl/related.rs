//! What a change of one relation does to others: views, foreign keys and sequences name its columns, or go with it.

use std::sync::Arc;

use super::edit::Edit;
use crate::governance::PolicyExpression;
use crate::model::{Constraint, ConstraintKind, Database, Oid, Relation};

/// Sequences of its columns go with a table, and foreign keys of others that reference it (the caller has asked for CASCADE).
pub(super) fn drop_belongings(edit: &mut Edit, relation: &Relation, dropped: &mut Vec<Arc<Relation>>) {
    let owned: Vec<Arc<Relation>> = edit.snapshot.sequences_of(relation.oid).cloned().collect();
    for sequence in owned {
        edit.drop_relation(sequence.oid);
        dropped.push(sequence);
    }
    let references = |constraint: &Constraint| matches!(&constraint.kind, ConstraintKind::ForeignKey(key) if key.table == relation.oid);
    let others: Vec<Arc<Relation>> = edit.snapshot.relations().filter(|other| other.constraints.iter().any(references)).cloned().collect();
    for other in others {
        let mut changed = Relation::clone(&other);
        changed.constraints.retain(|constraint| !references(constraint));
        edit.put_relation(changed);
    }
}

/// Views that read other columns of the table know this one no more, nor do foreign keys; its sequence goes with it.
pub(super) fn drop_elsewhere(edit: &mut Edit, table: Oid, name: &str) {
    change_masking_policies(edit, |expression| forget_column(expression, table, name));
    let others: Vec<Arc<Relation>> = edit.snapshot.relations().filter(|other| other.oid != table).cloned().collect();
    for other in others {
        let owned = other.sequence.as_ref().and_then(|sequence| sequence.owned_by.as_ref());
        if owned.is_some_and(|(owner, column)| *owner == table && column == name) {
            edit.drop_relation(other.oid);
            continue;
        }
        let mut changed = Relation::clone(&other);
        if let Some(mut reads) = changed.view_reads() {
            for read in reads.iter_mut().filter(|read| read.oid == table) {
                read.columns.retain(|(_, now)| now != name);
            }
            changed.set_view_reads(&reads);
        }
        for expression in expressions(&mut changed) {
            forget_column(expression, table, name);
        }
        changed.constraints.retain(|constraint| match &constraint.kind {
            ConstraintKind::ForeignKey(key) => key.table != table || !key.referenced.iter().any(|column| column == name),
            _ => true,
        });
        if changed != *other {
            edit.put_relation(changed);
        }
    }
}

pub(super) fn rename_referenced(kind: &mut ConstraintKind, table: Oid, from: &str, to: &str) {
    if let ConstraintKind::ForeignKey(key) = kind
        && key.table == table
    {
        for name in key.referenced.iter_mut().filter(|name| *name == from) {
            to.clone_into(name);
        }
    }
}

/// Of a relation's policies and masks.
fn expressions(relation: &mut Relation) -> impl Iterator<Item = &mut PolicyExpression> {
    let policies = relation.row_security.policies.iter_mut().flat_map(|policy| policy.using.iter_mut().chain(&mut policy.check));
    policies.chain(relation.columns.iter_mut().filter_map(|column| column.mask.as_mut()).map(|mask| &mut mask.expression))
}

fn forget_column(expression: &mut PolicyExpression, table: Oid, name: &str) {
    for read in expression.reads.iter_mut().filter(|read| read.oid == table) {
        read.columns.retain(|(_, now)| now != name);
    }
}

fn rename_column(expression: &mut PolicyExpression, table: Oid, from: &str, to: &str) {
    let of_table = expression.reads.iter_mut().filter(|read| read.oid == table).flat_map(|read| &mut read.columns);
    of_table.filter(|(_, now)| now == from).for_each(|(_, now)| to.clone_into(now));
}

/// The masking policies of all databases name columns too.
fn change_masking_policies(edit: &mut Edit, change: impl Fn(&mut PolicyExpression)) {
    let databases: Vec<Arc<Database>> = edit.snapshot.databases().cloned().collect();
    for database in databases {
        let mut changed = Database::clone(&database);
        changed.governance.masking_policies.iter_mut().for_each(|policy| change(&mut policy.mask.expression));
        if changed != *database {
            edit.put_database(changed);
        }
    }
}

/// Foreign keys of other tables, views and sequences name columns too.
pub(super) fn rename_elsewhere(edit: &mut Edit, table: Oid, from: &str, to: &str) {
    change_masking_policies(edit, |expression| rename_column(expression, table, from, to));
    let others: Vec<Arc<Relation>> = edit.snapshot.relations().filter(|other| other.oid != table).cloned().collect();
    for other in others {
        let mut changed = Relation::clone(&other);
        changed.constraints.iter_mut().for_each(|constraint| rename_referenced(&mut constraint.kind, table, from, to));
        if let Some(mut reads) = changed.view_reads() {
            let of_table = reads.iter_mut().filter(|read| read.oid == table).flat_map(|read| &mut read.columns);
            of_table.filter(|(_, now)| now == from).for_each(|(_, now)| to.clone_into(now));
            changed.set_view_reads(&reads);
        }
        for expression in expressions(&mut changed) {
            rename_column(expression, table, from, to);
        }
        if let Some((owner, column)) = changed.sequence.as_mut().and_then(|sequence| sequence.owned_by.as_mut())
            && *owner == table
            && column == from
        {
            to.clone_into(column);
        }
        if changed != *other {
            edit.put_relation(changed);
        }
    }
}
