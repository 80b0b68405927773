//! Bare names that DataFusion's planner does not know: a column that JOIN … USING or NATURAL JOIN made of two, and a relation's name
//! as a value, its whole row (`row_to_json(t)`, `SELECT t`, `count(t.*)`). Only where the columns of all relations of FROM are known.
//! Source: `colNameToVar` and `transformColumnRef` in `parse_relation.c` and `parse_expr.c`.

use std::ops::ControlFlow;

use sqlparser::ast::{
    self, AccessExpr, CaseWhen, Distinct, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident, OrderByKind, Query,
    Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableFactor, TableWithJoins, VisitorMut,
    WildcardAdditionalOptions,
};

use super::array_subquery::{empty, select as empty_select};
use super::grouping::add_dependent_keys;
use super::multisets;
use super::scope::{Env, IS_THERE, Relation, Relations, Scope, is_plain, last_part};
use super::{Flow, call, folded, string, take};

pub struct BareNames<'a> {
    env: Env<'a>,
    queries: Vec<QueryFrame>,
    /// The selects around the expression at hand; `None` for one whose relations are not all known.
    scopes: Vec<Option<Scope>>,
    /// Keys that name columns of the select list, out of the way while the others are looked at.
    kept: Vec<Kept>,
}

struct QueryFrame {
    ctes: usize,
    /// Its body is a select, whose scope ORDER BY sees, too.
    selects: bool,
    /// Its body is another query.
    is_parentheses: bool,
    order_by: Vec<(usize, Expr)>,
    /// The names of its items inside and outside, where they differ.
    renamed: Option<Vec<(Ident, Ident)>>,
}

#[derive(Default)]
struct Kept {
    group_by: Vec<(usize, Expr)>,
    distinct_on: Vec<(usize, Expr)>,
}

impl<'a> BareNames<'a> {
    #[must_use]
    pub fn new(relations: &'a dyn Relations) -> Self {
        BareNames { env: Env { relations, ctes: Vec::new() }, queries: Vec::new(), scopes: Vec::new(), kept: Vec::new() }
    }
}

impl VisitorMut for BareNames<'_> {
    type Break = Box<datafusion::error::DataFusionError>;

    fn pre_visit_query(&mut self, query: &mut Query) -> Flow {
        let ctes = self.env.enter(query.with.as_ref());
        if let Err(error) = multisets::spell_out(&mut query.body, &mut self.env) {
            return ControlFlow::Break(Box::new(error));
        }
        let is_parentheses = matches!(*query.body, SetExpr::Query(_));
        let mut frame = QueryFrame { ctes, selects: false, is_parentheses, order_by: Vec::new(), renamed: None };
        if let SetExpr::Select(select) = query.body.as_mut() {
            frame.selects = true;
            self.open(select)?;
            if let Some(Some(scope)) = self.scopes.last() {
                let keys = match query.order_by.as_ref().map(|order_by| &order_by.kind) {
                    Some(OrderByKind::Expressions(keys)) => keys.as_slice(),
                    _ => &[],
                };
                add_dependent_keys(select, keys.iter().map(|key| &key.expr), scope);
            }
            if let Some(OrderByKind::Expressions(keys)) = query.order_by.as_mut().map(|order_by| &mut order_by.kind) {
                let outputs = outputs(select);
                frame.order_by = set_aside(keys.iter_mut().map(|key| &mut key.expr), &outputs);
                if let Some(Some(scope)) = self.scopes.last() {
                    let mut inputs = InputNames { renamed: renamed(select), scope, depth: 0, found: Vec::new() };
                    keys.iter_mut().for_each(|key| {
                        let _: ControlFlow<()> = ast::VisitMut::visit(&mut key.expr, &mut inputs);
                    });
                    let found = inputs.found;
                    let is_outermost = self.queries.iter().all(|frame| frame.is_parentheses);
                    if !found.is_empty() && (is_outermost || select.projection.iter().all(has_name)) {
                        let shown = (!is_outermost).then(|| names_of(select));
                        rename_items(select, &found, &mut frame.order_by);
                        frame.renamed = shown.map(|shown| names_of(select).into_iter().zip(shown).collect());
                    }
                }
            }
        }
        self.queries.push(frame);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> Flow {
        let Some(frame) = self.queries.pop() else { return ControlFlow::Continue(()) };
        self.env.leave(frame.ctes);
        if frame.selects {
            self.scopes.pop();
        }
        if let Some(OrderByKind::Expressions(keys)) = query.order_by.as_mut().map(|order_by| &mut order_by.kind) {
            for (at, key) in frame.order_by {
                keys[at].expr = key;
            }
        }
        if let Some(renamed) = frame.renamed {
            under_names(query, renamed);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        // The select of a query was opened with it; those of UNION and its kin come alone.
        if !self.is_opened() {
            self.open(select)?;
            if let Some(Some(scope)) = self.scopes.last() {
                add_dependent_keys(select, std::iter::empty(), scope);
            }
        }
        let mut kept = Kept::default();
        let (outputs, scope) = (outputs(select), self.scopes.last().and_then(Option::as_ref));
        let names_input = |name: &String| scope.is_none_or(|scope| scope.visible.iter().any(|column| column.name == *name));
        let for_groups: Vec<String> = outputs.iter().filter(|name| !names_input(name)).cloned().collect();
        if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
            kept.group_by = set_aside(keys.iter_mut(), &for_groups);
        }
        if let Some(Distinct::On(keys)) = &mut select.distinct {
            kept.distinct_on = set_aside(keys.iter_mut(), &outputs);
        }
        self.kept.push(kept);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> Flow {
        let kept = self.kept.pop().unwrap_or_default();
        if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
            kept.group_by.into_iter().for_each(|(at, key)| keys[at] = key);
        }
        if let Some(Distinct::On(keys)) = &mut select.distinct {
            kept.distinct_on.into_iter().for_each(|(at, key)| keys[at] = key);
        }
        let of_query = self.queries.last().is_some_and(|frame| frame.selects);
        if !of_query {
            self.scopes.pop();
        }
        ControlFlow::Continue(())
    }

    /// Of `t.c[1]` and `(t).c` the parser makes fields; their names are no names of columns here.
    fn pre_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        if let Expr::CompoundFieldAccess { root, access_chain } = expr {
            if let (Expr::Identifier(name), [AccessExpr::Dot(Expr::Identifier(field)), ..]) = (root.as_ref(), access_chain.as_slice()) {
                **root = Expr::CompoundIdentifier(vec![name.clone(), field.clone()]);
                access_chain.remove(0);
            }
            for access in access_chain {
                if let AccessExpr::Dot(field) = access
                    && let Expr::Identifier(name) = field
                {
                    *field = string(folded(name));
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        match expr {
            Expr::Identifier(name) => {
                if let Some(value) = self.meaning(name) {
                    *expr = value;
                }
            }
            // `(t.*)` in an expression.
            Expr::QualifiedWildcard(name, _) => {
                let row = last_part(name).and_then(|name| self.row_of(&name));
                if let Some(row) = row {
                    *expr = row;
                }
            }
            Expr::Function(function) => {
                if let FunctionArguments::List(list) = &mut function.args {
                    list.args.iter_mut().for_each(|arg| self.row_argument(arg));
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

impl BareNames<'_> {
    fn is_opened(&self) -> bool {
        self.queries.last().is_some_and(|frame| frame.selects)
    }

    /// Spells the joins of a select out, and puts what its FROM shows on the stack.
    fn open(&mut self, select: &mut Select) -> Flow {
        // Where a relation is not known, as the target of a change, the planner's own USING has to do.
        let Some(known) = self.env.from(&select.from) else {
            self.scopes.push(None);
            return ControlFlow::Continue(());
        };
        let marked = mark_rows(select, &known);
        let scope = match self.env.spell_joins(&mut select.from) {
            Ok(scope) => scope,
            Err(error) => return ControlFlow::Break(Box::new(error)),
        };
        if let Some(scope) = &scope {
            expand(select, scope, &marked);
            name_items(select, scope);
        }
        self.scopes.push(scope);
        ControlFlow::Continue(())
    }

    /// What a bare name stands for, if not for a plain column.
    fn meaning(&self, name: &Ident) -> Option<Expr> {
        let name = folded(name);
        // A column of a query further out comes before a relation of one further in.
        for scope in self.scopes.iter().rev() {
            let mut columns = scope.as_ref()?.visible.iter().filter(|column| column.name == name);
            match (columns.next(), columns.next()) {
                (Some(column), None) if column.merged => return Some(column.value.clone()),
                (Some(_), _) => return None,
                (None, _) => {}
            }
        }
        self.scopes.iter().rev().flatten().find_map(|scope| scope.relation(&name)).map(row)
    }

    /// `f(t.*)` is `f(t)` for every function.
    fn row_argument(&self, arg: &mut FunctionArg) {
        let FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(name)) = arg else { return };
        if let Some(row) = last_part(name).and_then(|name| self.row_of(&name)) {
            *arg = FunctionArg::Unnamed(FunctionArgExpr::Expr(row));
        }
    }

    /// The row of a relation by its name; nothing where it is not known of all selects on the way whether they have it.
    fn row_of(&self, name: &str) -> Option<Expr> {
        for scope in self.scopes.iter().rev() {
            if let Some(relation) = scope.as_ref()?.relation(name) {
                return Some(row(relation));
            }
        }
        None
    }
}

/// A relation's row as a record; NULL where an outer join has put one in its place.
fn row(relation: &Relation) -> Expr {
    if let (true, Some(value)) = (relation.scalar, relation.columns.first()) {
        return relation.column(value);
    }
    let field = |column: &String| [string(column), relation.column(column)];
    let record = call("named_struct", relation.columns.iter().flat_map(field).collect());
    if !relation.nullable {
        return record;
    }
    Expr::Case {
        case_token: ast::helpers::attached_token::AttachedToken::empty(),
        end_token: ast::helpers::attached_token::AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition: relation.column(IS_THERE), result: record }],
        else_result: None,
    }
}

/// The names of a select list.
fn outputs(select: &Select) -> Vec<String> {
    let name = |item: &SelectItem| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
        SelectItem::UnnamedExpr(expr) => Some(crate::plan::column_name(expr)),
        _ => None,
    };
    select.projection.iter().filter_map(name).collect()
}

/// The names of a select list that are given to something else than the column of that name.
fn renamed(select: &Select) -> Vec<String> {
    let name = |item: &SelectItem| match item {
        SelectItem::ExprWithAlias { expr, alias } => {
            let alias = crate::plan::restored(&folded(alias)).to_owned();
            let same = match expr {
                Expr::Identifier(name) => folded(name) == alias,
                Expr::CompoundIdentifier(parts) => parts.last().is_some_and(|name| folded(name) == alias),
                _ => false,
            };
            (!same).then_some(alias)
        }
        _ => None,
    };
    select.projection.iter().filter_map(name).collect()
}

/// Inside an expression of ORDER BY a name is the input's, whatever the select list calls so (`findTargetlistEntrySQL92`).
struct InputNames<'a> {
    renamed: Vec<String>,
    scope: &'a Scope,
    depth: usize,
    /// Those that were met.
    found: Vec<String>,
}

impl VisitorMut for InputNames<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(name) = expr
            && self.depth == 0
            && self.renamed.contains(&folded(name))
        {
            let name = folded(name);
            let mut columns = self.scope.visible.iter().filter(|column| column.name == name);
            if let (Some(column), None) = (columns.next(), columns.next()) {
                *expr = column.value.clone();
                self.found.push(name);
            }
        }
        ControlFlow::Continue(())
    }
}

/// The planner keeps what it sorts by beside the select list, under the same names: items called as an input column that a key looks at get
/// names of their own, and so do the keys that are nothing but such an item.
fn rename_items(select: &mut Select, names: &[String], keys: &mut [(usize, Expr)]) {
    let mut renamed: Vec<(String, Ident)> = Vec::new();
    for (at, item) in select.projection.iter_mut().enumerate() {
        if let SelectItem::ExprWithAlias { alias, .. } = item
            && let name = folded(alias)
            && names.iter().any(|known| known == crate::plan::restored(&name))
        {
            let own = Ident::with_quote('"', crate::plan::another(at, crate::plan::restored(&name)));
            *alias = own.clone();
            renamed.push((name, own));
        }
    }
    let follow = |key: &mut Expr| {
        if let Expr::Identifier(name) = key
            && let Some((_, own)) = renamed.iter().find(|(known, _)| *known == folded(name))
        {
            *name = own.clone();
        }
    };
    keys.iter_mut().for_each(|(_, key)| follow(key));
    if let Some(Distinct::On(keys)) = &mut select.distinct {
        keys.iter_mut().for_each(follow);
    }
}

/// Each has a name that the tree tells.
fn has_name(item: &SelectItem) -> bool {
    matches!(item, SelectItem::ExprWithAlias { .. } | SelectItem::UnnamedExpr(Expr::Identifier(_) | Expr::CompoundIdentifier(_)))
}

fn names_of(select: &Select) -> Vec<Ident> {
    outputs(select).into_iter().map(|name| Ident::with_quote('"', name)).collect()
}

/// The query inside another one that gives its columns the names that they have outside.
fn under_names(query: &mut Query, renamed: Vec<(Ident, Ident)>) {
    let inner = std::mem::replace(query, empty());
    let alias =
        TableAlias { explicit: true, name: Ident::with_quote('"', crate::plan::another(0, "sorted")), columns: Vec::new(), at: None };
    let mut body = empty_select();
    body.projection =
        renamed.into_iter().map(|(inside, alias)| SelectItem::ExprWithAlias { expr: Expr::Identifier(inside), alias }).collect();
    let relation = TableFactor::Derived { lateral: false, subquery: Box::new(inner), alias: Some(alias), sample: None };
    body.from = vec![TableWithJoins { relation, joins: Vec::new() }];
    *query.body = SetExpr::Select(Box::new(body));
}

/// Takes the keys that are nothing but one of the names out of their places.
fn set_aside<'a>(keys: impl Iterator<Item = &'a mut Expr>, names: &[String]) -> Vec<(usize, Expr)> {
    let named = |key: &Expr| matches!(key, Expr::Identifier(name) if names.contains(&folded(name)));
    keys.enumerate().filter(|(_, key)| named(key)).map(|(at, key)| (at, take(key))).collect()
}

/// A value that is no column any more keeps the name that it was selected by.
fn name_items(select: &mut Select, scope: &Scope) {
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) = item
            && let Expr::Identifier(name) = expr
        {
            let name = folded(name);
            let becomes = match scope.visible.iter().find(|column| column.name == name) {
                Some(column) => column.merged && !matches!(column.value, Expr::CompoundIdentifier(_)),
                None => scope.relation(&name).is_some(),
            };
            if becomes {
                *item = SelectItem::ExprWithAlias { expr: take(expr), alias: Ident::with_quote('"', name) };
            }
        }
    }
}

/// `*` where USING has merged columns, and where marks must not show.
fn expand(select: &mut Select, scope: &Scope, marked: &[String]) {
    let mut items = Vec::with_capacity(select.projection.len());
    for item in select.projection.drain(..) {
        match &item {
            SelectItem::Wildcard(options) if is_plain(options) && (scope.merges() || !marked.is_empty()) => {
                items.extend(scope.visible.iter().map(|column| match &column.value {
                    value @ Expr::CompoundIdentifier(_) => SelectItem::UnnamedExpr(value.clone()),
                    value => SelectItem::ExprWithAlias { expr: value.clone(), alias: Ident::with_quote('"', &column.name) },
                }));
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) if is_plain(options) => {
                match last_part(name).and_then(|name| scope.relation(&name)).filter(|relation| marked.contains(&relation.name)) {
                    Some(relation) => {
                        items.extend(relation.columns.iter().map(|column| SelectItem::UnnamedExpr(relation.column(column))));
                    }
                    None => items.push(item),
                }
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(of), options) if is_plain(options) => {
                match inner_name(of).and_then(|name| scope.relation(&folded(name))) {
                    Some(relation) => {
                        items.extend(relation.columns.iter().map(|column| SelectItem::UnnamedExpr(relation.column(column))));
                    }
                    None => items.push(item),
                }
            }
            _ => items.push(item),
        }
    }
    select.projection = items;
}

/// The name in `(t).*`.
fn inner_name(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Nested(inner) => inner_name(inner),
        Expr::Identifier(name) => Some(name),
        _ => None,
    }
}

/// Marks the rows of the relations that may become NULL and whose rows are asked for; which they are.
fn mark_rows(select: &mut Select, scope: &Scope) -> Vec<String> {
    let asked: Vec<String> = scope
        .relations
        .iter()
        .filter(|relation| relation.nullable && scope.visible.iter().all(|column| column.name != relation.name))
        .filter(|relation| mentions_row(select, &relation.name))
        .map(|relation| relation.name.clone())
        .collect();
    if !asked.is_empty() {
        select.from.iter_mut().for_each(|item| mark_joined(item, &asked));
    }
    asked
}

/// Whether the select names the relation as a value.
fn mentions_row(select: &Select, name: &str) -> bool {
    struct Mentions<'a>(&'a str);
    impl ast::Visitor for Mentions<'_> {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            let is_named = |arg: &FunctionArg| matches!(arg, FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(name)) if last_part(name).as_deref() == Some(self.0));
            let found = match expr {
                Expr::Identifier(name) => folded(name) == self.0,
                Expr::Function(function) => {
                    matches!(&function.args, FunctionArguments::List(list) if list.args.iter().any(is_named))
                }
                _ => false,
            };
            if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    ast::Visit::visit(select, &mut Mentions(name)).is_break()
}

fn mark_joined(item: &mut TableWithJoins, asked: &[String]) {
    for factor in std::iter::once(&mut item.relation).chain(item.joins.iter_mut().map(|join| &mut join.relation)) {
        match factor {
            TableFactor::NestedJoin { table_with_joins, alias: None } => mark_joined(table_with_joins, asked),
            TableFactor::Table { name, alias, .. } => {
                let named = alias
                    .as_ref()
                    .map_or_else(|| name.0.last().and_then(|part| part.as_ident()).cloned(), |alias| Some(alias.name.clone()));
                if let Some(named) = named.filter(|named| asked.contains(&folded(named))) {
                    mark(factor, named);
                }
            }
            TableFactor::Derived { lateral: false, alias: Some(alias), .. } if asked.contains(&folded(&alias.name)) => {
                let named = alias.name.clone();
                mark(factor, named);
            }
            _ => {}
        }
    }
}

/// `t` becomes `(SELECT t.*, true AS there FROM t) AS t`.
fn mark(factor: &mut TableFactor, named: Ident) {
    let mut query = empty();
    let mut body = empty_select();
    let placeholder = TableFactor::Derived { lateral: false, subquery: Box::new(empty()), alias: None, sample: None };
    body.projection = vec![
        SelectItem::Wildcard(WildcardAdditionalOptions::default()),
        SelectItem::ExprWithAlias { expr: Expr::value(ast::Value::Boolean(true)), alias: Ident::with_quote('"', IS_THERE) },
    ];
    body.from = vec![TableWithJoins { relation: std::mem::replace(factor, placeholder), joins: Vec::new() }];
    *query.body = SetExpr::Select(Box::new(body));
    let alias = TableAlias { explicit: true, name: named, columns: Vec::new(), at: None };
    *factor = TableFactor::Derived { lateral: false, subquery: Box::new(query), alias: Some(alias), sample: None };
}
