//! Two spellings of pg_dump that say the same as shorter ones, put into those before parsing: `FROM ONLY t`, as no table has children,
//! and `x OPERATOR(pg_catalog.=) ANY (…)`, which the parser crate takes without ANY alone.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::grammar::keyword;

/// `tokens` are one statement's, white space among them.
#[must_use]
pub fn spell_out(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let concerns = |token: &TokenWithSpan| matches!(keyword(&token.token), Keyword::ONLY | Keyword::OPERATOR);
    if !tokens.iter().any(concerns) {
        return tokens;
    }
    let mut spelled: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut rest = tokens.as_slice();
    while let Some((token, after)) = rest.split_first() {
        rest = match keyword(&token.token) {
            Keyword::ONLY if may_stand_before_table(&spelled) => without_only(after, &mut spelled),
            Keyword::OPERATOR => match operator_of_any(after) {
                Some((operator, after)) => {
                    spelled.push(operator.clone());
                    after
                }
                None => {
                    spelled.push(token.clone());
                    after
                }
            },
            _ => {
                spelled.push(token.clone());
                after
            }
        };
    }
    spelled
}

/// ONLY is a reserved word: after these nothing else can be meant.
fn may_stand_before_table(before: &[TokenWithSpan]) -> bool {
    before.iter().rev().find(|token| !is_blank(token)).is_some_and(|token| {
        token.token == Token::Comma
            || matches!(
                keyword(&token.token),
                Keyword::FROM | Keyword::JOIN | Keyword::UPDATE | Keyword::TABLE | Keyword::TRUNCATE | Keyword::USING | Keyword::LOCK
            )
    })
}

/// `ONLY t` and `ONLY (t)` leave `t`. Gives what follows.
fn without_only<'a>(after: &'a [TokenWithSpan], spelled: &mut Vec<TokenWithSpan>) -> &'a [TokenWithSpan] {
    let Some(open) = after.iter().position(|token| !is_blank(token)) else { return after };
    let rest = after.get(open..).unwrap_or_default();
    if rest.first().is_none_or(|token| token.token != Token::LParen) {
        return after;
    }
    let Some(close) = rest.iter().position(|token| token.token == Token::RParen) else { return after };
    spelled.extend(rest.iter().take(close).skip(1).cloned());
    rest.get(close + 1..).unwrap_or_default()
}

/// The operator of `(pg_catalog.op) ANY`, and what follows it.
fn operator_of_any(after: &[TokenWithSpan]) -> Option<(&TokenWithSpan, &[TokenWithSpan])> {
    let mut places = after.iter().enumerate().filter(|(_, token)| !is_blank(token));
    let (_, open) = places.next()?;
    let (_, schema) = places.next()?;
    let (_, dot) = places.next()?;
    let (_, operator) = places.next()?;
    let (close_at, close) = places.next()?;
    let (_, next) = places.next()?;
    let is_schema = matches!(&schema.token, Token::Word(word) if word.value.eq_ignore_ascii_case("pg_catalog"));
    let is_whole = open.token == Token::LParen && is_schema && dot.token == Token::Period && close.token == Token::RParen;
    let is_quantified = matches!(keyword(&next.token), Keyword::ANY | Keyword::ALL | Keyword::SOME);
    (is_whole && is_quantified).then(|| (operator, after.get(close_at + 1..).unwrap_or_default()))
}

fn is_blank(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Whitespace(_))
}

#[cfg(test)]
mod tests {
    use super::spell_out;
    use crate::sql::spelled::words;

    fn spelled(text: &str) -> String {
        words(text, spell_out)
    }

    #[test]
    fn only_goes_where_a_table_follows() {
        assert_eq!(spelled("select 1 from only s.t, only (u) join only v on true"), "select 1 from s . t , u join v on true");
        assert_eq!(spelled("select 1 fetch first 2 rows only"), "select 1 fetch first 2 rows only");
        assert_eq!(spelled("begin read only"), "begin read only");
    }

    #[test]
    fn operators_before_any_are_bare() {
        assert_eq!(spelled("a operator(pg_catalog.=) any (b)"), "a = any ( b )");
        assert_eq!(spelled("a operator(pg_catalog.=) b"), "a operator ( pg_catalog . = ) b");
        assert_eq!(spelled("a operator(mine.=) any (b)"), "a operator ( mine . = ) any ( b )");
    }
}
