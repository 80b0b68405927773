//! Text to AST, once. A message is cut at its top-level semicolons; each part keeps its own text and its offset, so that
//! error positions count in the client's message.

use std::sync::Arc;

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, TokenizerError, Whitespace};

use super::grammar::{self, Command};
use super::signed_operands;
use crate::frontend::{ParsedStatement, Placeholder};
use crate::sqlstate::{SqlError, SqlState};

/// Deepest nesting of expressions and subqueries.
const NESTING_DEPTH_MAX: usize = 120;
/// Most tokens of one message.
const TOKENS_MAX: usize = 2_000_000;
/// Most operators in a row: the parser loops over `a + b + c`, but makes a tree one level deeper for each.
const CHAIN_LINKS_MAX: usize = 2_300;

/// Parses a whole message.
///
/// # Errors
/// 42601 with the position of the offending token, 54001 for nesting and size past the limits.
pub fn parse(text: &str) -> Result<Vec<ParsedStatement>, SqlError> {
    let tokens = tokenized(text)?;
    if tokens.len() > TOKENS_MAX {
        return Err(SqlError::new(SqlState::StatementTooComplex, "statement is too complex")
            .detail(format!("It has {} tokens; the limit is {TOKENS_MAX}.", tokens.len())));
    }
    let offsets = LineOffsets::new(text);
    let mut statements = Vec::new();
    for part in tokens.split(|token| token.token == Token::SemiColon) {
        let significant = part.iter().any(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
        if !significant {
            continue;
        }
        check_chains(part)?;
        statements.push(parse_part(text, part, &offsets)?);
    }
    Ok(statements)
}

/// Words, numbers, strings and operators as PostgreSQL's scanner tells them apart.
fn tokenized(text: &str) -> Result<Vec<TokenWithSpan>, SqlError> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location().map_err(|error| tokenizer_error(text, &error))?;
    let mut tokens = signed_operands::apart(tokens);
    tokens.iter_mut().for_each(as_plain_string);
    tokens.iter_mut().for_each(as_plain_word);
    Ok(tokens)
}

/// `$tag$text$tag$` is a string constant wherever one may stand, as in PostgreSQL's scanner (`SCONST`).
fn as_plain_string(token: &mut TokenWithSpan) {
    if let Token::DollarQuotedString(quoted) = &mut token.token {
        token.token = Token::SingleQuotedString(std::mem::take(&mut quoted.value));
    }
}

/// Words that begin clauses of other systems, and are names like any other in PostgreSQL.
const PLAIN_WORDS: &[Keyword] = &[
    Keyword::ANTI,
    Keyword::ASOF,
    Keyword::CONNECT,
    Keyword::DISTRIBUTE,
    Keyword::MATCH_RECOGNIZE,
    Keyword::MINUS,
    Keyword::PIVOT,
    Keyword::PREWHERE,
    Keyword::QUALIFY,
    Keyword::SAMPLE,
    Keyword::SEMI,
    Keyword::SETTINGS,
    Keyword::SORT,
    Keyword::TOP,
    Keyword::UNPIVOT,
];

fn as_plain_word(token: &mut TokenWithSpan) {
    if let Token::Word(word) = &mut token.token
        && PLAIN_WORDS.contains(&word.keyword)
    {
        word.keyword = Keyword::NoKeyword;
    }
}

/// Parses the stored query of a view.
///
/// # Errors
/// As [`parse`]; XX001 where the catalog holds something else than one query.
pub fn parse_query(text: &str) -> Result<sqlparser::ast::Query, SqlError> {
    let mut statements = parse(text)?;
    match (statements.pop().and_then(|statement| statement.command), statements.is_empty()) {
        (Some(command), true) => match Arc::unwrap_or_clone(command) {
            Command::Sql(statement) => match *statement {
                sqlparser::ast::Statement::Query(query) => Ok(*query),
                _ => Err(SqlError::new(SqlState::DataCorrupted, "the stored definition is not a query")),
            },
            _ => Err(SqlError::new(SqlState::DataCorrupted, "the stored definition is not a query")),
        },
        _ => Err(SqlError::new(SqlState::DataCorrupted, "the stored definition is not one statement")),
    }
}

/// Parses one scalar expression, as stored for defaults and checks.
///
/// # Errors
/// 42601.
pub fn parse_expression(text: &str) -> Result<sqlparser::ast::Expr, SqlError> {
    let dialect = PostgreSqlDialect {};
    let tokens = super::spellings::spell_out(without_comments(&tokenized(text)?));
    Parser::new(&dialect)
        .with_recursion_limit(NESTING_DEPTH_MAX)
        .with_tokens_with_locations(tokens)
        .parse_expr()
        .map(|mut expr| {
            super::between_symmetric::spell_out(&mut expr);
            expr
        })
        .map_err(|error| SqlError::new(SqlState::SyntaxError, error.to_string()))
}

/// Refuses a statement whose tree would be deeper than those who walk it have stack for. Links are counted in the open
/// brackets and since their last comma: a list of ten thousand rows, each with an operator, is as shallow as one row.
fn check_chains(part: &[TokenWithSpan]) -> Result<(), SqlError> {
    let mut open = vec![0_usize];
    let mut depth = 0;
    for token in part {
        let links = open.last().copied().unwrap_or_default();
        match &token.token {
            Token::RParen | Token::RBracket | Token::RBrace if open.len() > 1 => {
                open.pop();
                depth -= links;
            }
            Token::Comma => {
                depth -= links;
                set_last(&mut open, 0);
            }
            token => {
                if is_link(token) {
                    depth += 1;
                    set_last(&mut open, links + 1);
                }
                if matches!(token, Token::LParen | Token::LBracket | Token::LBrace) {
                    open.push(0);
                }
            }
        }
        if depth > CHAIN_LINKS_MAX {
            return Err(SqlError::new(SqlState::StatementTooComplex, "statement is nested too deeply")
                .detail(format!("It chains more than {CHAIN_LINKS_MAX} operators."))
                .hint("Use IN or = ANY (ARRAY[...]) for long alternatives, or join with VALUES."));
        }
    }
    Ok(())
}

fn set_last(open: &mut [usize], links: usize) {
    if let Some(last) = open.last_mut() {
        *last = links;
    }
}

/// What makes the tree a level deeper without making the parser recurse.
fn is_link(token: &Token) -> bool {
    match token {
        Token::Word(word) => is_infix(word.keyword),
        Token::EOF
        | Token::Whitespace(_)
        | Token::Comma
        | Token::Period
        | Token::SemiColon
        | Token::LParen
        | Token::RParen
        | Token::RBracket
        | Token::LBrace
        | Token::RBrace
        | Token::Number(..)
        | Token::Placeholder(_)
        | Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::DollarQuotedString(_)
        | Token::NationalStringLiteral(_)
        | Token::EscapedStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::HexStringLiteral(_) => false,
        _ => true,
    }
}

/// Words that the parser takes between operands, and those that join relations and queries.
fn is_infix(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::AND
            | Keyword::OR
            | Keyword::XOR
            | Keyword::NOT
            | Keyword::IS
            | Keyword::NOTNULL
            | Keyword::IN
            | Keyword::BETWEEN
            | Keyword::LIKE
            | Keyword::ILIKE
            | Keyword::RLIKE
            | Keyword::REGEXP
            | Keyword::SIMILAR
            | Keyword::OVERLAPS
            | Keyword::OPERATOR
            | Keyword::COLLATE
            | Keyword::AT
            | Keyword::DIV
            | Keyword::MATCH
            | Keyword::MEMBER
            | Keyword::JOIN
            | Keyword::UNION
            | Keyword::INTERSECT
            | Keyword::EXCEPT
    )
}

fn parse_part(text: &str, part: &[TokenWithSpan], offsets: &LineOffsets) -> Result<ParsedStatement, SqlError> {
    let is_significant = |token: &&TokenWithSpan| !matches!(token.token, Token::Whitespace(_) | Token::EOF);
    // Comments are the client's own marks (dbt and others sign their statements with them): they stay in the text.
    let is_shown = |token: &&TokenWithSpan| {
        is_significant(token)
            || matches!(token.token, Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)))
    };
    let start = part.iter().find(is_shown).map_or(0, |token| offsets.byte(text, token.span.start));
    let shown_end = part.iter().rev().find(is_shown).map_or(text.len(), |token| offsets.byte(text, token.span.end));
    let end = part.iter().rev().find(is_significant).map_or(text.len(), |token| offsets.byte(text, token.span.end));
    if let Some((place, junk)) = super::loose_tokens::junk_after_number(part) {
        let message = format!("trailing junk after numeric literal at or near \"{junk}\"");
        let position = character_position(text, offsets.byte(text, place));
        return Err(SqlError::new(SqlState::SyntaxError, message).position(position));
    }
    let dialect = PostgreSqlDialect {};
    let tokens = super::plain_spelling::spell_out(super::spellings::spell_out(without_comments(part)));
    let tokens = super::nested_joins::spell_out(super::table_query::spell_out(tokens));
    let (tokens, overriding) = super::overriding::take_out(super::trim_blanks::spell_out(tokens));
    let (tokens, travels) = super::time_travel::take_out(tokens);
    let (tokens, searches) = super::search_cycle::take_out(tokens);
    let (tokens, names) = super::ctas_columns::take_out(tokens);
    let mut parser = Parser::new(&dialect)
        .with_recursion_limit(NESTING_DEPTH_MAX)
        .with_tokens_with_locations(grammar::spell_merge_actions(super::identity_options::in_order(tokens)));
    let marked = |mut command: Command| {
        super::time_travel::mark(&mut command, travels)?;
        super::recursion::check(&mut command)?;
        super::search_cycle::mark(&mut command, searches)?;
        super::ctas_columns::mark(&mut command, names)?;
        super::grammar::visit_statements(&mut command, &mut super::between_symmetric::Marks);
        let Some(whose) = overriding else { return Ok(command) };
        let marked = match &mut command {
            Command::Sql(statement) => super::overriding::mark(statement, whose),
            _ => false,
        };
        if marked { Ok(command) } else { Err(ParserError::ParserError("OVERRIDING stands in INSERT".to_owned()).into()) }
    };
    let command = grammar::parse_command(&mut parser).and_then(marked).and_then(|command| match &parser.peek_token_ref().token {
        Token::EOF => Ok(command),
        _ => Err(ParserError::ParserError("end of statement expected".to_owned()).into()),
    });
    match command {
        Ok(command) => {
            if let Command::Sql(statement) = &command
                && let Some(name) = super::string_names::first_string_name(statement)
            {
                // The parser keeps no place for such a name.
                let same = |token: &&TokenWithSpan| matches!(&token.token, Token::SingleQuotedString(value) if *value == name.value);
                let at = part.iter().find(same).map_or(end, |token| offsets.byte(text, token.span.start));
                let position = character_position(text, at);
                return Err(SqlError::new(SqlState::SyntaxError, format!("syntax error at or near \"{name}\"")).position(position));
            }
            if let Command::Sql(statement) = &command
                && let Some(offence) = super::foreign_syntax::first(statement)
            {
                let at = super::foreign_syntax::token(&offence, part).map_or(end, |token| offsets.byte(text, token.span.start));
                return Err(syntax_error_at(text, at, end));
            }
            // PREPARE's own statement declares its parameters.
            let parameter = (!is_prepare(&command)).then(|| first_parameter(text, part, offsets)).flatten();
            Ok(ParsedStatement {
                command: Some(Arc::new(command)),
                text: text.get(start..shown_end).unwrap_or_default().trim_end().into(),
                parameter,
                characters_before: part.iter().find(is_shown).map_or(0, |token| offsets.characters(token.span.start)),
            })
        }
        Err(grammar::GrammarError::Refused(error)) => Err(*error),
        Err(grammar::GrammarError::Parser(ParserError::RecursionLimitExceeded)) => {
            Err(SqlError::new(SqlState::StatementTooComplex, "statement is nested too deeply")
                .detail(format!("The limit is {NESTING_DEPTH_MAX} levels.")))
        }
        Err(grammar::GrammarError::Parser(error)) => {
            let error = syntax_error(text, &parser, offsets, end, &error);
            Err(if assigns_element(part, &error) {
                SqlError::unsupported("assignment to a part of an array or of jsonb")
                    .hint("Assign the whole value: SET a = a[:1] || 20 || a[3:], SET j = jsonb_set(j, '{key}', '1').")
            } else {
                error
            })
        }
    }
}

/// `SET a[1] = …`, at whose bracket the parser stops.
fn assigns_element(part: &[TokenWithSpan], error: &SqlError) -> bool {
    let first = part.iter().find(|token| !matches!(token.token, Token::Whitespace(_)));
    let changes = matches!(
        first.map(|token| grammar::keyword(&token.token)),
        Some(Keyword::UPDATE | Keyword::INSERT | Keyword::MERGE | Keyword::WITH)
    );
    changes && error.message == "syntax error at or near \"[\""
}

fn is_prepare(command: &Command) -> bool {
    matches!(command, Command::Sql(statement) if matches!(**statement, sqlparser::ast::Statement::Prepare { .. }))
}

fn first_parameter(text: &str, part: &[TokenWithSpan], offsets: &LineOffsets) -> Option<Placeholder> {
    part.iter().find_map(|token| match &token.token {
        Token::Placeholder(name) => {
            let number = name.strip_prefix('$')?.parse().ok()?;
            Some(Placeholder { number, position: character_position(text, offsets.byte(text, token.span.start)) })
        }
        _ => None,
    })
}

fn without_comments(part: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    part.iter()
        .filter(|token| {
            !matches!(token.token, Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)) | Token::EOF)
        })
        .cloned()
        .collect()
}

/// The token at which the parser stood is the one to name; PostgreSQL's wording.
fn syntax_error(text: &str, parser: &Parser, offsets: &LineOffsets, end: usize, error: &ParserError) -> SqlError {
    let explanation = match error {
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => message,
        ParserError::RecursionLimitExceeded => "",
    };
    let (line, column) = located(explanation).unwrap_or_else(|| {
        let start = parser.peek_token_ref().span.start;
        (start.line, start.column)
    });
    let at = if line == 0 { end } else { offsets.byte(text, Location { line, column }) };
    syntax_error_at(text, after_lone_word(text, at, end), end)
}

/// The parser complains of GROUP and ORDER, PostgreSQL of what stands in BY's place.
fn after_lone_word(text: &str, at: usize, end: usize) -> usize {
    let rest = text.get(at..end).unwrap_or_default();
    let word = rest.split(|c: char| c.is_whitespace()).next().unwrap_or_default();
    let next = rest.get(word.len()..).unwrap_or_default().trim_start();
    let is_lone = ["GROUP", "ORDER"].iter().any(|known| word.eq_ignore_ascii_case(known));
    let has_by = next.get(..2).is_some_and(|next| next.eq_ignore_ascii_case("BY"));
    if is_lone && !has_by { end - next.len() } else { at }
}

fn syntax_error_at(text: &str, at: usize, end: usize) -> SqlError {
    let error = match text.get(at..end).and_then(first_token) {
        Some(token) => SqlError::new(SqlState::SyntaxError, format!("syntax error at or near \"{token}\"")),
        None => SqlError::new(SqlState::SyntaxError, "syntax error at end of input"),
    };
    error.position(character_position(text, at))
}

/// The parser tells the offending token's place at the end of its message, ` at Line: 3, Column: 7`, and nowhere else.
fn located(message: &str) -> Option<(u64, u64)> {
    let (_, place) = message.rsplit_once(" at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    Some((line.parse().ok()?, column.parse().ok()?))
}

fn first_token(rest: &str) -> Option<String> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, rest).with_unescape(false).tokenize().ok()?;
    tokens.into_iter().find(|token| !matches!(token, Token::Whitespace(_) | Token::EOF)).map(|token| token.to_string())
}

fn tokenizer_error(text: &str, error: &TokenizerError) -> SqlError {
    let offsets = LineOffsets::new(text);
    let at = offsets.byte(text, error.location);
    let kind = if error.message.contains("dollar") || error.message.contains('$') {
        "dollar-quoted string"
    } else if error.message.contains("string") {
        "quoted string"
    } else if error.message.contains("comment") {
        "/* comment"
    } else if error.message.contains("close delimiter") || error.message.contains("close quote") {
        "quoted identifier"
    } else {
        return SqlError::new(SqlState::SyntaxError, format!("syntax error: {}", error.message)).position(character_position(text, at));
    };
    let at = opening(text, kind, at);
    let near = text.get(at..).unwrap_or_default();
    SqlError::new(SqlState::SyntaxError, format!("unterminated {kind} at or near \"{near}\"")).position(character_position(text, at))
}

/// Where what is never closed was opened: the tokenizer tells the end of some.
fn opening(text: &str, kind: &str, told: usize) -> usize {
    let mark = match kind {
        "/* comment" => "/*",
        "dollar-quoted string" => "$",
        _ => return told,
    };
    let is_open = |at: &usize| Tokenizer::new(&PostgreSqlDialect {}, text.get(..*at).unwrap_or_default()).tokenize().is_ok();
    // Few are looked at: each takes a pass over what stands before it.
    text.match_indices(mark).take(16).map(|(at, _)| at).filter(is_open).last().unwrap_or(told)
}

/// Position as error fields count it: characters from 1.
fn character_position(text: &str, byte: usize) -> u32 {
    let characters = text.get(..byte).map_or(0, |before| before.chars().count());
    u32::try_from(characters + 1).unwrap_or(u32::MAX)
}

/// Byte offset of each line's start; the tokenizer counts lines from 1 and columns in characters from 1.
///
/// (bytes, characters) before each line.
pub struct LineOffsets(Vec<(usize, usize)>);

impl LineOffsets {
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut starts = vec![(0, 0)];
        let (mut bytes, mut characters) = (0, 0);
        for line in text.split_inclusive('\n') {
            bytes += line.len();
            characters += line.chars().count();
            starts.push((bytes, characters));
        }
        LineOffsets(starts)
    }

    #[must_use]
    pub fn byte(&self, text: &str, location: Location) -> usize {
        let Some(line) = usize::try_from(location.line).ok().and_then(|line| line.checked_sub(1)) else { return text.len() };
        let Some((start, _)) = self.0.get(line).copied() else { return text.len() };
        let column = usize::try_from(location.column.saturating_sub(1)).unwrap_or(usize::MAX);
        text.get(start..).and_then(|rest| rest.char_indices().nth(column)).map_or(text.len(), |(at, _)| start + at)
    }

    /// Characters before a place.
    #[must_use]
    pub fn characters(&self, location: Location) -> u32 {
        let line = usize::try_from(location.line.saturating_sub(1)).unwrap_or(usize::MAX);
        let (_, before) = self.0.get(line).copied().unwrap_or_default();
        let column = usize::try_from(location.column.saturating_sub(1)).unwrap_or(usize::MAX);
        u32::try_from(before.saturating_add(column)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> (String, Option<u32>) {
        let error = parse(text).unwrap_err();
        (error.message, error.fields.position)
    }

    #[test]
    fn a_message_is_cut_into_its_statements() {
        let parts = parse("select 1; ; -- nothing\n select ';' as a;").unwrap();
        assert_eq!(parts.iter().map(|part| &*part.text).collect::<Vec<_>>(), ["select 1", "-- nothing\n select ';' as a"]);
        assert!(parse(" -- only a comment").unwrap().is_empty());
    }

    #[test]
    fn syntax_errors_name_the_token_and_its_place() {
        assert_eq!(error("selec 1"), ("syntax error at or near \"selec\"".to_owned(), Some(1)));
        assert_eq!(error("select 1 +"), ("syntax error at end of input".to_owned(), Some(11)));
        assert_eq!(error("select * form t"), ("syntax error at or near \"t\"".to_owned(), Some(15)));
        assert_eq!(error("select 1;\nselect )"), ("syntax error at or near \")\"".to_owned(), Some(18)));
        assert_eq!(error("select * from '/etc/passwd'"), ("syntax error at or near \"'/etc/passwd'\"".to_owned(), Some(15)));
        assert_eq!(error("select 'a' 'b'"), ("syntax error at or near \"'b'\"".to_owned(), Some(12)));
        assert_eq!(error("select 'abc").0, "unterminated quoted string at or near \"'abc\"");
    }

    #[test]
    fn the_first_parameter_is_known_but_for_prepare() {
        let first = |text: &str| parse(text).unwrap().pop().unwrap().parameter;
        assert_eq!(first("select 1;\nselect (select $2 + $1)"), Some(Placeholder { number: 2, position: 26 }));
        assert_eq!(first("select '$1', $tag$ $1 $tag$ -- $1"), None);
        assert_eq!(first("prepare p as select $1"), None);
    }

    #[test]
    fn nesting_has_a_limit() {
        let deep = format!("select {}1{}", "(".repeat(5_000), ")".repeat(5_000));
        assert_eq!(parse(&deep).unwrap_err().state, SqlState::StatementTooComplex);
        for link in
            [" + 1", " OR true", "::int4", "[1]", " UNION SELECT 1", " IN (1)", " AT TIME ZONE 'utc'", " ILIKE 'x'", " COLLATE \"C\""]
        {
            assert_eq!(parse(&format!("select 1{}", link.repeat(5_000))).unwrap_err().state, SqlState::StatementTooComplex, "{link}");
        }
        assert!(parse(&format!("select {}", vec!["-(1 + 1) + a[1]"; 3_000].join(","))).is_ok());
    }
}
