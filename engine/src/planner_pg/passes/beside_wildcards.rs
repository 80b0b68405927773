//! `SELECT t.*, u.a`: the column beside the wildcard was given a name of its own, as the wildcard may have it, too. Where the wildcards'
//! columns are known and it is none of them, it has its name again, by which outer queries call it.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Ident, Select, SelectItem, VisitorMut};

use super::Flow;
use super::scope::{Env, Relations};
use crate::plan::restored;

pub struct BesideWildcards<'a> {
    env: Env<'a>,
}

impl<'a> BesideWildcards<'a> {
    #[must_use]
    pub fn new(relations: &'a dyn Relations) -> Self {
        BesideWildcards { env: Env { relations, ctes: Vec::new() } }
    }
}

impl VisitorMut for BesideWildcards<'_> {
    type Break = Box<datafusion::error::DataFusionError>;

    fn post_visit_select(&mut self, select: &mut Select) -> Flow {
        let is_wildcard = |item: &&SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
        let wildcards: Vec<SelectItem> = select.projection.iter().filter(is_wildcard).cloned().collect();
        let is_marked = |item: &SelectItem| marked_column(item).is_some();
        if wildcards.is_empty() || !select.projection.iter().any(is_marked) {
            return ControlFlow::Continue(());
        }
        let Some(taken) = self.env.items(&wildcards, &select.from) else { return ControlFlow::Continue(()) };
        let mut names: Vec<String> = taken;
        for item in &select.projection {
            if let (SelectItem::ExprWithAlias { alias, .. }, None) = (item, marked_column(item)) {
                names.push(super::folded(alias));
            }
        }
        for item in &mut select.projection {
            let Some(name) = marked_column(item) else { continue };
            if names.contains(&name) {
                continue;
            }
            names.push(name.clone());
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                *alias = Ident::with_quote('"', name);
            }
        }
        ControlFlow::Continue(())
    }
}

/// The name that clients see of a column which has another.
fn marked_column(item: &SelectItem) -> Option<String> {
    let SelectItem::ExprWithAlias { expr: Expr::Identifier(_) | Expr::CompoundIdentifier(_), alias } = item else { return None };
    let name = restored(&alias.value);
    (name != alias.value).then(|| name.to_owned())
}
