//! `CREATE TABLE t (a, b) AS SELECT …`: names without types, which the parser crate does not take. They are taken out before parsing and then
//! stand as an alias's behind the query.

use sqlparser::ast::{Ident, Query, Select, SetExpr, TableAlias, TableAliasColumnDef, TableFactor, WildcardAdditionalOptions};
use sqlparser::parser::ParserError;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::grammar::Command;
use super::parse::parse_query;
use crate::sqlstate::SqlError;

/// The tokens without the names, and the names.
#[must_use]
pub fn take_out(tokens: Vec<TokenWithSpan>) -> (Vec<TokenWithSpan>, Vec<Ident>) {
    let significant: Vec<usize> = (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_))).collect();
    let token = |place: usize| significant.get(place).map(|at| &tokens[*at].token);
    let word = |place: usize| match token(place) {
        Some(Token::Word(Word { value, quote_style: None, .. })) => value.to_ascii_lowercase(),
        _ => String::new(),
    };
    if word(0) != "create" {
        return (tokens, Vec::new());
    }
    let Some(table) = (1..4).find(|place| word(*place) == "table") else { return (tokens, Vec::new()) };
    let exists = word(table + 1) == "if" && word(table + 2) == "not" && word(table + 3) == "exists";
    let mut place = table + if exists { 4 } else { 1 };
    while matches!(token(place), Some(Token::Word(_))) && token(place + 1) == Some(&Token::Period) {
        place += 2;
    }
    let open = place + 1;
    if !matches!(token(place), Some(Token::Word(_))) || token(open) != Some(&Token::LParen) {
        return (tokens, Vec::new());
    }
    let (mut names, mut next) = (Vec::new(), open + 1);
    let close = loop {
        let Some(Token::Word(Word { value, quote_style, .. })) = token(next) else { return (tokens, Vec::new()) };
        names.push(Ident { value: value.clone(), quote_style: *quote_style, span: sqlparser::tokenizer::Span::empty() });
        match token(next + 1) {
            Some(Token::Comma) => next += 2,
            Some(Token::RParen) => break next + 1,
            _ => return (tokens, Vec::new()),
        }
    };
    let gone: Vec<usize> = significant[open..=close].to_vec();
    let kept = tokens.into_iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, token)| token);
    (kept.collect(), names)
}

/// Puts the names to the query's columns.
///
/// # Errors
/// 42601 where there is no query.
pub fn mark(command: &mut Command, names: Vec<Ident>) -> Result<(), SqlError> {
    if names.is_empty() {
        return Ok(());
    }
    let refused = || ParserError::ParserError("names without types stand before AS and a query".to_owned());
    let Command::CreateTable(table) = command else { return Err(syntax(&refused())) };
    let Some(query) = &mut table.query else { return Err(syntax(&refused())) };
    let mut outer: Query = parse_query("SELECT * FROM t")?;
    let columns = names.into_iter().map(|name| TableAliasColumnDef { name, data_type: None }).collect();
    let alias = Some(TableAlias { explicit: true, name: Ident::with_quote('"', "query"), columns, at: None });
    if let SetExpr::Select(select) = outer.body.as_mut() {
        let select: &mut Select = select;
        select.projection = vec![sqlparser::ast::SelectItem::Wildcard(WildcardAdditionalOptions::default())];
        if let Some(from) = select.from.first_mut() {
            from.relation = TableFactor::Derived { lateral: false, subquery: query.clone(), alias, sample: None };
        }
    }
    **query = outer;
    Ok(())
}

fn syntax(error: &ParserError) -> SqlError {
    SqlError::new(crate::sqlstate::SqlState::SyntaxError, error.to_string())
}

#[cfg(test)]
mod tests {
    use crate::sql::grammar::Command;
    use crate::sql::parse::parse;

    #[test]
    fn names_before_a_query() {
        for text in ["CREATE TABLE t (a, \"B\") AS SELECT 1, 2", "create temp table if not exists s.t (a) as values (1) with no data"] {
            let statement = parse(text).unwrap().pop().unwrap();
            let Command::CreateTable(table) = Command::clone(statement.command.as_ref().unwrap()) else { panic!("{text}") };
            assert!(table.query.unwrap().to_string().contains("AS \"query\" ("), "{text}");
        }
        assert!(parse("CREATE TABLE t (a, b)").is_err());
        assert!(parse("CREATE TABLE t (a int, b) AS SELECT 1").is_err());
    }
}
