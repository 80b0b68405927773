//! Where in its statement an error lies. The engine says what is wrong, not where: the tree that it plans has no places left. What an
//! error names is looked for among the statement's tokens, as PostgreSQL's analysis would come upon it (`parser_errposition`).

use sqlparser::ast::Statement;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Location, Token, Tokenizer};

use super::grammar::{Command, fold};
use crate::sqlstate::{SqlError, SqlState};

/// Fills in the position of an error that has none. `characters_before` the statement's text the message has others.
#[must_use]
pub fn located(mut error: SqlError, command: &Command, text: &str, characters_before: u32) -> SqlError {
    if error.fields.position.is_none()
        && let Some(scope) = Scope::of(command)
        && let Some(tokens) = Tokens::of(text)
        && let Some(at) = place(&error, scope, &tokens)
    {
        let before = text.get(..at).map_or(0, |head| head.chars().count());
        error.fields.position = u32::try_from(before).ok().map(|before| characters_before + before + 1);
    }
    error
}

/// How much of a statement PostgreSQL analyses with places in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Names of relations and columns, expressions, types.
    Everything,
    /// Expressions and types: a utility statement's objects are named without a place.
    Expressions,
}

impl Scope {
    fn of(command: &Command) -> Option<Scope> {
        match command {
            Command::CreateTable(table) if table.query.is_some() => Some(Scope::Everything),
            Command::CreateTable(_) => Some(Scope::Expressions),
            Command::DeclareCursor(_) => Some(Scope::Everything),
            Command::Copy(copy) if matches!(copy.source, super::grammar::CopySource::Statement(_)) || copy.filter.is_some() => {
                Some(Scope::Everything)
            }
            Command::Sql(statement) => match statement.as_ref() {
                Statement::Query(_)
                | Statement::Insert(_)
                | Statement::Update(_)
                | Statement::Delete(_)
                | Statement::Merge(_)
                | Statement::Explain { .. }
                | Statement::CreateView(_)
                | Statement::Prepare { .. } => Some(Scope::Everything),
                Statement::AlterTable(_) | Statement::Execute { .. } => Some(Scope::Expressions),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Tokens that count, each with its place.
struct Tokens(Vec<(Token, usize)>);

impl Tokens {
    fn of(text: &str) -> Option<Self> {
        let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location().ok()?;
        let mut walk = Walk { text, byte: 0, line: 1, column: 1 };
        let significant = tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
        Some(Tokens(significant.map(|token| (token.token, walk.to(token.span.start))).collect()))
    }

    fn token(&self, at: usize) -> Option<&Token> {
        self.0.get(at).map(|(token, _)| token)
    }

    fn place(&self, at: usize) -> Option<usize> {
        self.0.get(at).map(|(_, place)| *place)
    }

    fn is_name(&self, at: usize, name: &str) -> bool {
        matches!(self.token(at), Some(Token::Word(word)) if fold(&word.clone().into_ident(sqlparser::tokenizer::Span::empty())) == name)
    }

    fn is_keyword(&self, at: usize, words: &[&str]) -> bool {
        matches!(self.token(at), Some(Token::Word(word))
            if word.quote_style.is_none() && words.iter().any(|known| word.value.eq_ignore_ascii_case(known)))
    }

    fn keyword(&self, word: &str) -> Option<usize> {
        (0..self.0.len()).find(|at| self.is_keyword(*at, &[word]))
    }

    fn is(&self, at: usize, token: &Token) -> bool {
        self.token(at) == Some(token)
    }

    /// The first place of a dotted name that is no alias being given; `follows` says what must stand behind it.
    fn name(&self, parts: &[&str], relation: bool, follows: impl Fn(Option<&Token>) -> bool) -> Option<usize> {
        let width = parts.len() * 2 - 1;
        let found = (0..self.0.len()).find(|at| {
            let before = at.checked_sub(1);
            let matches = parts
                .iter()
                .enumerate()
                .all(|(index, part)| self.is_name(at + index * 2, part) && (index == 0 || self.is(at + index * 2 - 1, &Token::Period)));
            let is_tail = before.is_some_and(|before| self.is(before, &Token::Period));
            let is_alias = before.is_some_and(|before| self.is_keyword(before, &["AS"]));
            let names_relation = before.is_some_and(|before| self.is_keyword(before, &["FROM", "JOIN", "INTO", "UPDATE", "TABLE"]));
            matches && !is_tail && !is_alias && (relation || !names_relation) && follows(self.token(at + width))
        })?;
        self.place(found)
    }

    /// The one token that is so; `None` where several are.
    fn only(&self, is: impl Fn(usize) -> bool) -> Option<usize> {
        let mut found = (0..self.0.len()).filter(|at| is(*at));
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// A string by its value; else the one string that holds it, as an array's literal does its items.
    fn literal(&self, value: &str) -> Option<usize> {
        let text = |at: usize| match self.token(at) {
            Some(Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text)) => Some(text.as_str()),
            Some(Token::DollarQuotedString(text)) => Some(text.value.as_str()),
            _ => None,
        };
        let found = (0..self.0.len()).find(|at| text(*at) == Some(value));
        let found = found.or_else(|| self.only(|at| text(at).is_some_and(|text| text.contains(value))))?;
        self.place(found)
    }

    /// Starts of the items of a list that begins behind the bracket at `open`.
    fn items(&self, open: usize) -> Vec<usize> {
        let mut starts = vec![open + 1];
        let mut depth = 0;
        for at in open + 1..self.0.len() {
            match self.token(at) {
                Some(Token::LParen | Token::LBracket) => depth += 1,
                Some(Token::RParen | Token::RBracket) if depth == 0 => break,
                Some(Token::RParen | Token::RBracket) => depth -= 1,
                Some(Token::Comma) if depth == 0 => starts.push(at + 1),
                _ => {}
            }
        }
        starts
    }

    /// The first call behind a place.
    fn call_after(&self, from: usize) -> Option<usize> {
        (from..self.0.len()).find(|at| matches!(self.token(*at), Some(Token::Word(_))) && self.is(at + 1, &Token::LParen))
    }
}

/// Bytes of places that come in order, in one pass over the text.
struct Walk<'a> {
    text: &'a str,
    byte: usize,
    line: u64,
    column: u64,
}

impl Walk<'_> {
    fn to(&mut self, place: Location) -> usize {
        for letter in self.text.get(self.byte..).unwrap_or_default().chars() {
            if (self.line, self.column) >= (place.line, place.column) {
                break;
            }
            self.byte += letter.len_utf8();
            match letter {
                '\n' => (self.line, self.column) = (self.line + 1, 1),
                _ => self.column += 1,
            }
        }
        self.byte
    }
}

fn place(error: &SqlError, scope: Scope, tokens: &Tokens) -> Option<usize> {
    let message = error.message.as_str();
    let everything = scope == Scope::Everything;
    match error.state {
        SqlState::UndefinedTable if everything => relation(message, tokens),
        SqlState::InvalidSchemaName => tokens.name(&[quoted(message)?], true, |next| next == Some(&Token::Period)),
        SqlState::UndefinedColumn | SqlState::AmbiguousColumn if everything => column(message, tokens),
        SqlState::UndefinedFunction | SqlState::AmbiguousFunction => function(message, tokens),
        SqlState::WrongObjectType => {
            let name = message.strip_prefix("window function ").or_else(|| message.strip_prefix("OVER specified, but "))?;
            called(name.split(' ').next()?, tokens)
        }
        SqlState::UndefinedObject => object(message, tokens),
        SqlState::InvalidTextRepresentation
        | SqlState::InvalidDatetimeFormat
        | SqlState::DatetimeFieldOverflow
        | SqlState::NumericValueOutOfRange => value(message, tokens),
        SqlState::GroupingError | SqlState::WindowingError => grouped(message, tokens),
        SqlState::InvalidColumnReference => listed(message, tokens),
        SqlState::DatatypeMismatch => mismatch(message, tokens),
        SqlState::CannotCoerce => tokens.place(tokens.only(|at| tokens.is(at, &Token::DoubleColon) || tokens.is_keyword(at, &["CAST"]))?),
        SqlState::DuplicateColumn if tokens.is_keyword(0, &["INSERT"]) => {
            let name = quoted(message)?;
            tokens.place((0..tokens.0.len()).filter(|at| tokens.is_name(*at, name)).nth(1)?)
        }
        SqlState::SyntaxError => counted(message, tokens),
        _ => None,
    }
}

fn relation(message: &str, tokens: &Tokens) -> Option<usize> {
    let name = quoted(message)?;
    if message.contains("FROM-clause entry") {
        return tokens.name(&[name], false, |next| next == Some(&Token::Period));
    }
    let parts: Vec<&str> = name.split('.').collect();
    tokens.name(&parts, true, |next| next != Some(&Token::Period)).or_else(|| {
        // Only the last part may have been told.
        let last = (0..tokens.0.len()).find(|at| tokens.is_name(*at, parts.last().copied().unwrap_or_default()))?;
        let start = (0..=last).rev().step_by(2).find(|at| at.checked_sub(1).is_none_or(|before| !tokens.is(before, &Token::Period)));
        tokens.place(start?)
    })
}

fn column(message: &str, tokens: &Tokens) -> Option<usize> {
    if message.contains("specified in USING clause") {
        return tokens.place(tokens.keyword("USING")? + 2);
    }
    let name = match message.strip_prefix("column ") {
        Some(rest) if !rest.starts_with('"') => rest.split(' ').next()?,
        _ => quoted(message)?,
    };
    let parts: Vec<&str> = name.split('.').collect();
    tokens.name(&parts, false, |next| !matches!(next, Some(Token::Period | Token::LParen)))
}

fn function(message: &str, tokens: &Tokens) -> Option<usize> {
    if let Some(name) = message.strip_prefix("function ") {
        return called(name.split(['(', ' ']).next()?, tokens);
    }
    let operands = message.strip_prefix("operator does not exist: ").or_else(|| message.strip_prefix("operator is not unique: "))?;
    let operator = operands.split(' ').find(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_punctuation() && c != '"'))?;
    let word = match operator {
        "~~" | "!~~" => "LIKE",
        "~~*" | "!~~*" => "ILIKE",
        "=" => "IN",
        _ => "",
    };
    let found = tokens
        .only(|at| tokens.token(at).is_some_and(|token| !matches!(token, Token::SingleQuotedString(_)) && token.to_string() == operator));
    tokens.place(found.or_else(|| tokens.only(|at| tokens.is_keyword(at, &[word])))?)
}

fn called(name: &str, tokens: &Tokens) -> Option<usize> {
    let parts: Vec<&str> = name.split('.').collect();
    tokens.name(&parts, true, |next| next == Some(&Token::LParen))
}

fn object(message: &str, tokens: &Tokens) -> Option<usize> {
    let name = quoted(message)?;
    if message.starts_with("type ") {
        return tokens.name(&[name], true, |_| true);
    }
    if message.starts_with("collation ") {
        return tokens.place(tokens.keyword("COLLATE")?);
    }
    if message.starts_with("window ") {
        let over = (0..tokens.0.len()).find(|at| tokens.is_keyword(*at, &["OVER"]) && tokens.is_name(at + 1, name))?;
        return tokens.place(over + 1);
    }
    None
}

/// Only what an input function says of a constant: it is read while the statement is analysed.
fn value(message: &str, tokens: &Tokens) -> Option<usize> {
    let is_input =
        ["invalid input syntax for type ", "malformed array literal", "date/time field value out of range", "interval field value"]
            .iter()
            .any(|head| message.starts_with(head))
            || message.contains("\" is out of range for type ");
    if !is_input {
        return None;
    }
    match message.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"')) {
        Some((value, _)) => tokens.literal(value),
        None => {
            tokens.place(tokens.only(|at| matches!(tokens.token(at), Some(Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_))))?)
        }
    }
}

fn grouped(message: &str, tokens: &Tokens) -> Option<usize> {
    if let Some(name) = message.strip_prefix("column ").and_then(quoted) {
        let parts: Vec<&str> = name.split('.').collect();
        let ends = |next: Option<&Token>| !matches!(next, Some(Token::Period | Token::LParen));
        let whole = tokens.name(&parts, false, ends);
        let last = parts.last().copied().unwrap_or_default();
        return whole.or_else(|| tokens.name(&[last], false, ends)).or_else(|| tokens.place(tokens.only(|at| tokens.is(at, &Token::Mul))?));
    }
    let (_, clause) = message.split_once(" not allowed in ")?;
    let word = match clause {
        "JOIN conditions" => "ON",
        clause => clause.split(' ').next()?,
    };
    tokens.place(tokens.call_after(tokens.keyword(word)?)?)
}

fn listed(message: &str, tokens: &Tokens) -> Option<usize> {
    if let Some((clause, rest)) = message.split_once(" position ") {
        let number = rest.split(' ').next()?;
        let from = tokens.keyword(clause.split(' ').next()?)?;
        let is_number = |at: usize| matches!(tokens.token(at), Some(Token::Number(digits, _)) if digits == number);
        return tokens.place((from..tokens.0.len()).find(|at| is_number(*at))?);
    }
    if message.starts_with("SELECT DISTINCT ON expressions") {
        let on = (0..tokens.0.len()).find(|at| tokens.is_keyword(*at, &["DISTINCT"]) && tokens.is_keyword(at + 1, &["ON"]))?;
        return tokens.place(on + 3);
    }
    if message.starts_with("for SELECT DISTINCT") {
        return tokens.place(tokens.keyword("ORDER")? + 2);
    }
    None
}

fn mismatch(message: &str, tokens: &Tokens) -> Option<usize> {
    if let Some(rest) = message.strip_prefix("argument of ") {
        let word = rest.split(' ').next()?;
        let word = if rest.starts_with("CASE/WHEN") { "WHEN" } else { word };
        return tokens.place(tokens.only(|at| tokens.is_keyword(at, &[word]))? + 1).filter(|_| !matches!(word, "AND" | "OR" | "IS"));
    }
    if ["UNION", "INTERSECT", "EXCEPT"].iter().any(|word| message.starts_with(&format!("{word} types"))) {
        return second_select(tokens);
    }
    let column = quoted(message).filter(|_| message.starts_with("column ") && message.contains(" but expression is of type "))?;
    assigned(column, tokens)
}

/// The expression that a column is given.
fn assigned(column: &str, tokens: &Tokens) -> Option<usize> {
    if tokens.is_keyword(0, &["UPDATE"]) {
        let set = tokens.keyword("SET")?;
        let target = (set..tokens.0.len()).find(|at| tokens.is_name(*at, column) && tokens.is(at + 1, &Token::Eq))?;
        return tokens.place(target + 2);
    }
    let targets = insert_columns(tokens)?;
    let index = targets.iter().position(|at| tokens.is_name(*at, column))?;
    match tokens.keyword("VALUES") {
        Some(values) => tokens.place(*tokens.items(values + 1).get(index)?),
        None => tokens.place(*tokens.items(tokens.keyword("SELECT")?).get(index)?),
    }
}

fn insert_columns(tokens: &Tokens) -> Option<Vec<usize>> {
    let open = (0..tokens.0.len()).find(|at| tokens.is(*at, &Token::LParen))?;
    let before_rows = tokens.keyword("VALUES").or_else(|| tokens.keyword("SELECT")).is_none_or(|rows| open < rows);
    (tokens.is_keyword(0, &["INSERT"]) && before_rows).then(|| tokens.items(open))
}

/// Lists whose lengths differ.
fn counted(message: &str, tokens: &Tokens) -> Option<usize> {
    if message.starts_with("INSERT has more") {
        let values = tokens.items(tokens.keyword("VALUES")? + 1);
        return match insert_columns(tokens) {
            Some(columns) if message.starts_with("INSERT has more target columns") => tokens.place(*columns.get(values.len())?),
            Some(columns) => tokens.place(*values.get(columns.len())?),
            None => None,
        };
    }
    if message.starts_with("each ") && message.ends_with("same number of columns") {
        return second_select(tokens);
    }
    let is_subquery = |at: usize| tokens.is(at, &Token::LParen) && tokens.is_keyword(at + 1, &["SELECT"]);
    if message == "subquery must return only one column" {
        return tokens.place(tokens.only(is_subquery)?);
    }
    if message == "subquery has too many columns" {
        return tokens.place(tokens.only(|at| tokens.is_keyword(at, &["IN"]))?);
    }
    None
}

fn second_select(tokens: &Tokens) -> Option<usize> {
    let set = tokens.only(|at| tokens.is_keyword(at, &["UNION", "INTERSECT", "EXCEPT"]))?;
    let select = (set..tokens.0.len()).find(|at| tokens.is_keyword(*at, &["SELECT"]))?;
    tokens.place(select + 1)
}

/// What stands between the first two quotes.
fn quoted(message: &str) -> Option<&str> {
    message.split('"').nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse::parse;

    /// The text from the place on that an error with this message has.
    fn rest(text: &str, state: SqlState, message: &str) -> Option<String> {
        let statement = parse(text).unwrap().remove(0);
        let error = located(SqlError::new(state, message), statement.command.as_deref().unwrap(), &statement.text, 0);
        error.fields.position.map(|position| text.chars().skip(position as usize - 1).collect())
    }

    #[test]
    fn names_are_found_where_they_are_used() {
        let column = "column \"n\" does not exist";
        let found = rest("SELECT name AS n FROM t WHERE n = 'x'", SqlState::UndefinedColumn, column);
        assert_eq!(found.as_deref(), Some("n = 'x'"));
        let found = rest("SELECT o.id FROM a JOIN o ON a.id = o.Nope", SqlState::UndefinedColumn, "column o.nope does not exist");
        assert_eq!(found.as_deref(), Some("o.Nope"));
        let relation = "relation \"s.t\" does not exist";
        assert_eq!(rest("SELECT 'é', * FROM s.t", SqlState::UndefinedTable, relation).as_deref(), Some("s.t"));
        assert_eq!(rest("DROP TABLE s.t", SqlState::UndefinedTable, relation), None);
        let entry = "missing FROM-clause entry for table \"x\"";
        assert_eq!(rest("SELECT x.a FROM t", SqlState::UndefinedTable, entry).as_deref(), Some("x.a FROM t"));
    }

    #[test]
    fn values_and_operators() {
        let syntax = "invalid input syntax for type integer: \"x\"";
        assert_eq!(rest("SELECT 'a', 'x'::int", SqlState::InvalidTextRepresentation, syntax).as_deref(), Some("'x'::int"));
        assert_eq!(rest("SELECT '{1,x}'::int[]", SqlState::InvalidTextRepresentation, syntax).as_deref(), Some("'{1,x}'::int[]"));
        let operator = "operator does not exist: text + integer";
        assert_eq!(rest("SELECT a + 1 FROM t", SqlState::UndefinedFunction, operator).as_deref(), Some("+ 1 FROM t"));
        assert_eq!(rest("SELECT a + 1, b + 1 FROM t", SqlState::UndefinedFunction, operator), None);
    }

    #[test]
    fn what_is_assigned() {
        let message = "column \"b\" is of type integer but expression is of type text";
        let found = rest("INSERT INTO t (a, b) VALUES (f(1, 2), g(3))", SqlState::DatatypeMismatch, message);
        assert_eq!(found.as_deref(), Some("g(3))"));
        assert_eq!(rest("UPDATE t SET a = 1, b = c", SqlState::DatatypeMismatch, message).as_deref(), Some("c"));
    }
}
