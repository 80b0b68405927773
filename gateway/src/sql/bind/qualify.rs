//! Gives every relation name of a statement its three parts, CTE names excepted, and tells which relations it names.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use lakegate_catalog::Snapshot;
use lakegate_catalog::model::RelationName;
use sqlparser::ast::{Ident, ObjectName, Query, TableFactor, VisitMut, VisitorMut};

use super::names::NameScope;
use crate::sql::grammar::{fold, name_parts};
use crate::sqlstate::SqlError;

/// How often each relation is named.
pub type Mentions = BTreeMap<RelationName, usize>;

/// Rewrites the names in place.
///
/// # Errors
/// 42P01 for a name that is no relation.
pub fn qualify(node: &mut impl VisitMut, scope: &NameScope, snapshot: &Snapshot) -> Result<Mentions, SqlError> {
    let mut visitor = Qualifier { scope, snapshot, mentions: Mentions::new(), frames: Vec::new(), depth: 0, skip_next: false };
    match node.visit(&mut visitor) {
        ControlFlow::Continue(()) => Ok(visitor.mentions),
        ControlFlow::Break(error) => Err(*error),
    }
}

/// The three-part name as an AST name; every part quoted, so that nothing folds it again.
#[must_use]
pub fn object_name(name: &RelationName) -> ObjectName {
    [&name.database, &name.schema, &name.name].map(|part| Ident::with_quote('"', part)).to_vec().into()
}

struct Qualifier<'a> {
    scope: &'a NameScope,
    snapshot: &'a Snapshot,
    mentions: Mentions,
    frames: Vec<CteFrame>,
    depth: usize,
    /// The next name is a table function's.
    skip_next: bool,
}

/// The CTEs of one WITH. The visitor walks them in order before the body, so those still to come are known by counting.
struct CteFrame {
    depth: usize,
    visible: Vec<String>,
    to_come: std::collections::VecDeque<String>,
}

impl VisitorMut for Qualifier<'_> {
    type Break = Box<SqlError>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        self.depth += 1;
        let mut frame = CteFrame { depth: self.depth, visible: Vec::new(), to_come: [].into() };
        if let Some(with) = &query.with {
            let names = with.cte_tables.iter().map(|cte| fold(&cte.alias.name));
            if with.recursive {
                frame.visible = names.clone().collect();
            }
            frame.to_come = names.collect();
        }
        self.frames.push(frame);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<Self::Break> {
        self.frames.pop();
        self.depth -= 1;
        // The query just left is a CTE of the frame above while that frame still waits for some.
        if let Some(above) = self.frames.last_mut()
            && above.depth == self.depth
            && let Some(name) = above.to_come.pop_front()
        {
            above.visible.push(name);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Self::Break> {
        if let TableFactor::Table { args: Some(_), .. } = factor {
            self.skip_next = true;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<Self::Break> {
        if std::mem::take(&mut self.skip_next) {
            return ControlFlow::Continue(());
        }
        let parts = match name_parts(relation) {
            Ok(parts) => parts,
            Err(error) => return ControlFlow::Break(Box::new(error)),
        };
        if let [name] = parts.as_slice()
            && self.frames.iter().any(|frame| frame.visible.contains(name))
        {
            return ControlFlow::Continue(());
        }
        match self.scope.resolve(self.snapshot, &parts) {
            Ok(name) => {
                *relation = object_name(&name);
                *self.mentions.entry(name).or_default() += 1;
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}
