//! String literals where PostgreSQL's grammar takes names only: `FROM '/etc/passwd'`, `SELECT 1 'label'`. The parser lets
//! them pass for dialects that have them.

use std::ops::ControlFlow;

use sqlparser::ast::{Ident, ObjectName, Select, SelectItem, Statement, Visit, Visitor};

/// The first such name.
#[must_use]
pub fn first_string_name(statement: &Statement) -> Option<Ident> {
    match statement.visit(&mut Names) {
        ControlFlow::Break(name) => Some(name),
        ControlFlow::Continue(()) => None,
    }
}

struct Names;

impl Visitor for Names {
    type Break = Ident;

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Ident> {
        refuse_strings(relation.0.iter().filter_map(|part| part.as_ident()))
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Ident> {
        refuse_strings(select.projection.iter().filter_map(|item| match item {
            SelectItem::ExprWithAlias { alias, .. } => Some(alias),
            _ => None,
        }))
    }
}

fn refuse_strings<'a>(mut names: impl Iterator<Item = &'a Ident>) -> ControlFlow<Ident> {
    match names.find(|name| name.quote_style == Some('\'')) {
        Some(name) => ControlFlow::Break(name.clone()),
        None => ControlFlow::Continue(()),
    }
}
