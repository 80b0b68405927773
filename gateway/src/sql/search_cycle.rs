//! SEARCH and CYCLE of recursive queries, which the parser crate has not. Their tokens are taken out; the query of WITH behind which they stood
//! is then rewritten as PostgreSQL's rewriter does it (`rewriteSearchCycle.c`): columns that hold where a row was found, and which rows led there.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, CaseWhen, Cte, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, SetOperator, TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins, Value, VisitorMut,
};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::grammar::{Command, GrammarError, fold, visit_statements};
use super::parse::parse_expression;
use crate::sqlstate::{SqlError, SqlState};

/// The depth of a row, of the column that SEARCH BREADTH FIRST adds.
const DEPTH: &str = "\u{0}depth";

/// A clause that was taken out.
#[derive(Debug)]
pub struct Clauses {
    /// Where the bracket is that closes the query.
    end: Location,
    search: Option<Search>,
    cycle: Option<Cycle>,
}

#[derive(Debug)]
struct Search {
    depth_first: bool,
    by: Vec<String>,
    column: String,
}

#[derive(Debug)]
struct Cycle {
    columns: Vec<String>,
    mark: String,
    /// What the mark is where a row closes a cycle, and elsewhere.
    values: Option<(String, String)>,
    path: String,
}

/// The tokens without the clauses, and the clauses.
#[must_use]
pub fn take_out(tokens: Vec<TokenWithSpan>) -> (Vec<TokenWithSpan>, Vec<Clauses>) {
    let is = |at: usize, word: &str| matches!(tokens.get(at).map(|token| &token.token), Some(Token::Word(next)) if next.quote_style.is_none() && next.value.eq_ignore_ascii_case(word));
    if !(0..tokens.len()).any(|at| is(at, "search") || is(at, "cycle")) {
        return (tokens, Vec::new());
    }
    let significant: Vec<usize> = (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_))).collect();
    let (mut gone, mut found) = (Vec::new(), Vec::new());
    let mut place = 1;
    while place < significant.len() {
        let mut reader = Reader { tokens: &tokens, significant: &significant, at: place };
        let before = &tokens[significant[place - 1]];
        if before.token == Token::RParen
            && let Some((search, cycle)) = reader.clauses()
        {
            gone.extend(significant[place..reader.at].iter().copied());
            found.push(Clauses { end: before.span.start, search, cycle });
            place = reader.at;
        }
        place += 1;
    }
    let kept = tokens.iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, token)| token.clone());
    (kept.collect(), found)
}

struct Reader<'a> {
    tokens: &'a [TokenWithSpan],
    significant: &'a [usize],
    at: usize,
}

impl Reader<'_> {
    fn clauses(&mut self) -> Option<(Option<Search>, Option<Cycle>)> {
        let (start, search) = (self.at, self.search());
        if search.is_none() {
            self.at = start;
        }
        let (start, cycle) = (self.at, self.cycle());
        if cycle.is_none() {
            self.at = start;
        }
        (search.is_some() || cycle.is_some()).then_some((search, cycle))
    }

    /// `SEARCH DEPTH|BREADTH FIRST BY a, … SET c`.
    fn search(&mut self) -> Option<Search> {
        self.word("search")?;
        let depth_first = self.word("depth").is_some();
        if !depth_first {
            self.word("breadth")?;
        }
        self.word("first")?;
        self.word("by")?;
        let by = self.names()?;
        self.word("set")?;
        Some(Search { depth_first, by, column: self.name()? })
    }

    /// `CYCLE a, … SET c [TO v DEFAULT d] USING p`.
    fn cycle(&mut self) -> Option<Cycle> {
        self.word("cycle")?;
        let columns = self.names()?;
        self.word("set")?;
        let mark = self.name()?;
        let values = match self.word("to") {
            Some(()) => {
                let value = self.until("default")?;
                Some((value, self.until("using")?))
            }
            None => {
                self.word("using")?;
                None
            }
        };
        Some(Cycle { columns, mark, values, path: self.name()? })
    }

    fn token(&self) -> Option<&Token> {
        self.significant.get(self.at).map(|at| &self.tokens[*at].token)
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let found = matches!(self.token()?, Token::Word(next) if next.quote_style.is_none() && next.value.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found.then_some(())
    }

    fn name(&mut self) -> Option<String> {
        let Token::Word(word) = self.token()? else { return None };
        let name = if word.quote_style.is_some() { word.value.clone() } else { word.value.to_lowercase() };
        self.at += 1;
        Some(name)
    }

    fn names(&mut self) -> Option<Vec<String>> {
        let mut names = vec![self.name()?];
        while self.token() == Some(&Token::Comma) {
            self.at += 1;
            names.push(self.name()?);
        }
        Some(names)
    }

    /// The text of an expression up to a word, which is read, too.
    fn until(&mut self, word: &str) -> Option<String> {
        let mut text = Vec::new();
        while self.word(word).is_none() {
            text.push(self.token()?.to_string());
            self.at += 1;
        }
        Some(text.join(" "))
    }
}

/// Rewrites the queries of WITH behind which clauses stood.
///
/// # Errors
/// PostgreSQL's refusals; 0A000 where the columns of the query are not told by its text.
pub fn mark(command: &mut Command, clauses: Vec<Clauses>) -> Result<(), GrammarError> {
    if clauses.is_empty() {
        return Ok(());
    }
    let mut rewriter = Rewriter { clauses, failed: None };
    visit_statements(command, &mut rewriter);
    match rewriter {
        Rewriter { failed: Some(error), .. } => Err(error.into()),
        Rewriter { clauses, .. } if clauses.is_empty() => Ok(()),
        _ => Err(syntax("SEARCH and CYCLE stand behind a query of WITH").into()),
    }
}

fn syntax(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::SyntaxError, message)
}

struct Rewriter {
    clauses: Vec<Clauses>,
    failed: Option<SqlError>,
}

impl VisitorMut for Rewriter {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let Some(with) = &mut query.with else { return ControlFlow::Continue(()) };
        for cte in &mut with.cte_tables {
            let end = cte.closing_paren_token.0.span.start;
            let Some(at) = self.clauses.iter().position(|clauses| clauses.end == end) else { continue };
            let clauses = self.clauses.swap_remove(at);
            if let Err(error) = rewrite(cte, with.recursive, &clauses) {
                self.failed = Some(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }
}

fn rewrite(cte: &mut Cte, recursive: bool, clauses: &Clauses) -> Result<(), SqlError> {
    if !recursive {
        return Err(syntax("WITH query is not recursive"));
    }
    let own = fold(&cte.alias.name);
    let SetExpr::SetOperation { op: SetOperator::Union, left, right, .. } = cte.query.body.as_mut() else {
        return Err(SqlError::unsupported("a SEARCH or CYCLE clause of a query that is no UNION of two SELECTs"));
    };
    let (SetExpr::Select(left), SetExpr::Select(right)) = (left.as_mut(), right.as_mut()) else {
        return Err(SqlError::unsupported("with a SEARCH or CYCLE clause, a side of the UNION that is no SELECT"));
    };
    let columns = match cte.alias.columns.as_slice() {
        [] => output_names(left)?,
        given => given.iter().map(|column| fold(&column.name)).collect(),
    };
    check(clauses, &columns)?;
    let mut added: Vec<Added> = Vec::new();
    if let Some(search) = &clauses.search {
        added.push(search_column(search));
    }
    if let Some(cycle) = &clauses.cycle {
        added.extend(cycle_columns(cycle)?);
    }
    let this = reference(right, &own)?;
    let all: Vec<String> = columns.iter().cloned().chain(added.iter().map(|added| added.name.clone())).collect();
    expand(right, &this, &columns)?;
    right.projection.extend(added.iter().map(|added| item(column_of(&this, &added.name), &added.name)));
    if let Some(cycle) = &clauses.cycle {
        let (value, _) = cycle.both()?;
        let goes_on = binary(column_of(&this, &cycle.mark), BinaryOperator::NotEq, value);
        right.selection = Some(match right.selection.take() {
            Some(selection) => binary(Expr::Nested(Box::new(selection)), BinaryOperator::And, goes_on),
            None => goes_on,
        });
    }
    wrap(left, "\u{0}first", &columns, &columns, added.iter().map(|added| item(added.first.clone(), &added.name)));
    let next = added.iter().map(|added| item(added.next.clone(), &added.name));
    wrap(right, NEXT, &all, &columns, next);
    cte.alias.columns = all.iter().map(|name| TableAliasColumnDef { name: quoted(name), data_type: None }).collect();
    Ok(())
}

/// The rows of the second query, under the columns of the first.
const NEXT: &str = "\u{0}next";

/// A column that a clause adds: of the rows of the first query, and of those that follow.
struct Added {
    name: String,
    first: Expr,
    next: Expr,
}

fn search_column(search: &Search) -> Added {
    let row = |depth: Option<Expr>| {
        let mut fields: Vec<Expr> = depth.into_iter().flat_map(|depth| [string(DEPTH), depth]).collect();
        fields.extend(search.by.iter().flat_map(|name| [string(name), Expr::Identifier(quoted(name))]));
        call("named_struct", fields)
    };
    let before = column_of(&quoted(NEXT), &search.column);
    if search.depth_first {
        let list = array(row(None));
        let next = binary(before, BinaryOperator::StringConcat, list.clone());
        return Added { name: search.column.clone(), first: list, next };
    }
    let one = Expr::Cast {
        kind: sqlparser::ast::CastKind::Cast,
        expr: Box::new(Expr::value(Value::Number("0".to_owned(), false))),
        data_type: sqlparser::ast::DataType::BigInt(None),
        array: false,
        format: None,
    };
    let depth = Expr::CompoundFieldAccess {
        root: Box::new(Expr::Nested(Box::new(before))),
        access_chain: vec![sqlparser::ast::AccessExpr::Dot(Expr::Identifier(quoted(DEPTH)))],
    };
    let deeper = binary(depth, BinaryOperator::Plus, Expr::value(Value::Number("1".to_owned(), false)));
    Added { name: search.column.clone(), first: row(Some(one)), next: row(Some(deeper)) }
}

fn cycle_columns(cycle: &Cycle) -> Result<[Added; 2], SqlError> {
    let (value, default) = cycle.both()?;
    let row = call("row", cycle.columns.iter().map(|name| Expr::Identifier(quoted(name))).collect());
    let before = column_of(&quoted(NEXT), &cycle.path);
    let met = Expr::AnyOp {
        left: Box::new(row.clone()),
        compare_op: BinaryOperator::Eq,
        right: Box::new(Expr::Nested(Box::new(before.clone()))),
        is_some: false,
    };
    let closes = Expr::Case {
        case_token: sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
        end_token: sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition: met, result: value }],
        else_result: Some(Box::new(default.clone())),
    };
    let list = array(row);
    Ok([
        Added { name: cycle.mark.clone(), first: default, next: closes },
        Added { name: cycle.path.clone(), first: list.clone(), next: binary(before, BinaryOperator::StringConcat, list) },
    ])
}

impl Cycle {
    fn both(&self) -> Result<(Expr, Expr), SqlError> {
        match &self.values {
            Some((value, default)) => Ok((parse_expression(value)?, parse_expression(default)?)),
            None => Ok((Expr::value(Value::Boolean(true)), Expr::value(Value::Boolean(false)))),
        }
    }
}

/// What `transformWithClause` refuses.
fn check(clauses: &Clauses, columns: &[String]) -> Result<(), SqlError> {
    let listed = |names: &[String], clause: &str| {
        for (at, name) in names.iter().enumerate() {
            if !columns.contains(name) {
                return Err(syntax(format!("{clause} column \"{name}\" not in WITH query column list")));
            }
            if names[..at].contains(name) {
                let message = format!("{clause} column \"{name}\" specified more than once");
                return Err(SqlError::new(SqlState::DuplicateColumn, message));
            }
        }
        Ok(())
    };
    let fresh = |name: &String, what: &str| {
        if columns.contains(name) {
            return Err(syntax(format!("{what} column name \"{name}\" already used in WITH query column list")));
        }
        Ok(())
    };
    if let Some(search) = &clauses.search {
        listed(&search.by, "search")?;
        fresh(&search.column, "search sequence")?;
    }
    if let Some(cycle) = &clauses.cycle {
        listed(&cycle.columns, "cycle")?;
        fresh(&cycle.mark, "cycle mark")?;
        fresh(&cycle.path, "cycle path")?;
        if cycle.mark == cycle.path {
            return Err(syntax("cycle mark column name and cycle path column name are the same"));
        }
        if let Some(search) = &clauses.search {
            if search.column == cycle.mark {
                return Err(syntax("search sequence column name and cycle mark column name are the same"));
            }
            if search.column == cycle.path {
                return Err(syntax("search sequence column name and cycle path column name are the same"));
            }
        }
    }
    Ok(())
}

fn output_names(select: &Select) -> Result<Vec<String>, SqlError> {
    let name = |item: &SelectItem| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(fold(alias)),
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(fold(name)),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().map(fold),
        _ => None,
    };
    let names: Option<Vec<String>> = select.projection.iter().map(name).collect();
    names.ok_or_else(|| {
        SqlError::unsupported("SEARCH or CYCLE of a query whose columns have no names of their own")
            .hint("Name the columns behind the name of the query of WITH.")
    })
}

/// By which name the second query sees the rows before.
fn reference(select: &Select, own: &str) -> Result<Ident, SqlError> {
    let factors = select.from.iter().flat_map(|item| std::iter::once(&item.relation).chain(item.joins.iter().map(|join| &join.relation)));
    for factor in factors {
        if let TableFactor::Table { name, alias, args: None, .. } = factor
            && let [part] = name.0.as_slice()
            && part.as_ident().is_some_and(|ident| fold(ident) == own)
        {
            return Ok(alias.as_ref().map_or_else(|| quoted(own), |alias| quoted(&fold(&alias.name))));
        }
    }
    Err(SqlError::unsupported("a SEARCH or CYCLE clause where the recursive reference does not stand in FROM itself"))
}

/// `*` of the second query does not show what is added.
fn expand(select: &mut Select, this: &Ident, columns: &[String]) -> Result<(), SqlError> {
    let own = || columns.iter().map(|name| SelectItem::UnnamedExpr(column_of(this, name))).collect::<Vec<_>>();
    let mut items = Vec::with_capacity(select.projection.len());
    for item in select.projection.drain(..) {
        match &item {
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _)
                if name.0.len() == 1 && name.0[0].as_ident().is_some_and(|name| fold(name) == this.value) =>
            {
                items.extend(own());
            }
            SelectItem::Wildcard(options) => {
                for from in &select.from {
                    if !from.joins.iter().all(|join| is_plain(&join.join_operator)) {
                        return Err(SqlError::unsupported("* over JOIN … USING in a query with SEARCH or CYCLE"));
                    }
                    for factor in std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)) {
                        let name =
                            name_of(factor).ok_or_else(|| SqlError::unsupported("* over this FROM in a query with SEARCH or CYCLE"))?;
                        if name.value == this.value {
                            items.extend(own());
                        } else {
                            let kind = SelectItemQualifiedWildcardKind::ObjectName(vec![name].into());
                            items.push(SelectItem::QualifiedWildcard(kind, options.clone()));
                        }
                    }
                }
            }
            _ => items.push(item),
        }
    }
    select.projection = items;
    Ok(())
}

fn is_plain(join: &sqlparser::ast::JoinOperator) -> bool {
    use sqlparser::ast::{JoinConstraint, JoinOperator};
    match join {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint) => matches!(constraint, JoinConstraint::On(_)),
        JoinOperator::CrossJoin(_) => true,
        _ => false,
    }
}

fn name_of(factor: &TableFactor) -> Option<Ident> {
    let (name, alias) = match factor {
        TableFactor::Table { name, alias, .. } => (name.0.last().and_then(|part| part.as_ident()), alias),
        TableFactor::Derived { alias, .. } => (None, alias),
        _ => return None,
    };
    alias.as_ref().map(|alias| &alias.name).or(name).map(|name| quoted(&fold(name)))
}

/// `SELECT columns, items FROM (the select) AS name (all)`.
fn wrap(select: &mut Select, name: &str, all: &[String], columns: &[String], items: impl Iterator<Item = SelectItem>) {
    let mut outer = select.clone();
    outer.projection = columns.iter().map(|name| SelectItem::UnnamedExpr(Expr::Identifier(quoted(name)))).chain(items).collect();
    outer.distinct = None;
    outer.selection = None;
    outer.group_by = sqlparser::ast::GroupByExpr::Expressions(Vec::new(), Vec::new());
    outer.having = None;
    outer.named_window = Vec::new();
    let columns = all.iter().map(|name| TableAliasColumnDef { name: quoted(name), data_type: None }).collect();
    let alias = Some(TableAlias { explicit: true, name: quoted(name), columns, at: None });
    let query = Query {
        with: None,
        body: Box::new(SetExpr::Select(Box::new(select.clone()))),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    };
    let relation = TableFactor::Derived { lateral: false, subquery: Box::new(query), alias, sample: None };
    outer.from = vec![TableWithJoins { relation, joins: Vec::new() }];
    *select = outer;
}

fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

fn column_of(relation: &Ident, name: &str) -> Expr {
    Expr::CompoundIdentifier(vec![relation.clone(), quoted(name)])
}

fn item(expr: Expr, name: &str) -> SelectItem {
    SelectItem::ExprWithAlias { expr, alias: quoted(name) }
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

fn string(text: &str) -> Expr {
    Expr::value(Value::SingleQuotedString(text.to_owned()))
}

fn array(element: Expr) -> Expr {
    Expr::Array(sqlparser::ast::Array { elem: vec![element], named: true })
}

/// A call by a function's exact name.
fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    Expr::Function(sqlparser::ast::Function {
        name: vec![Ident::new(name)].into(),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(sqlparser::ast::FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use crate::sql::parse::parse;

    fn state(text: &str) -> Option<String> {
        parse(text).err().map(|error| format!("{:?}", error.state))
    }

    #[test]
    fn clauses_are_understood_behind_queries_of_with_alone() {
        let query =
            |clauses: &str| format!("WITH RECURSIVE t(a, b) AS (SELECT 1, 2 UNION ALL SELECT a + 1, b FROM t) {clauses} SELECT * FROM t");
        for clauses in [
            "SEARCH DEPTH FIRST BY a SET s",
            "search breadth first by a, b set s",
            "CYCLE a SET c USING p",
            "CYCLE a, b SET c TO 'y' DEFAULT 'n' USING p",
            "SEARCH DEPTH FIRST BY a SET s CYCLE a SET c USING p",
        ] {
            assert_eq!(state(&query(clauses)), None, "{clauses}");
        }
        for (clauses, expected) in [
            ("SEARCH DEPTH FIRST BY z SET s", "SyntaxError"),
            ("SEARCH DEPTH FIRST BY a SET b", "SyntaxError"),
            ("CYCLE a, a SET c USING p", "DuplicateColumn"),
            ("CYCLE a SET c USING c", "SyntaxError"),
            ("SEARCH SIDEWAYS FIRST BY a SET s", "SyntaxError"),
        ] {
            assert_eq!(state(&query(clauses)).as_deref(), Some(expected), "{clauses}");
        }
        assert_eq!(state("SELECT (1) SEARCH DEPTH FIRST BY a SET s").as_deref(), Some("SyntaxError"));
        assert_eq!(state("SELECT (1) search, (2) cycle"), None);
    }
}
