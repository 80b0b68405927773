//! `trim(trailing from x)` leaves out what is trimmed: blanks (gram.y, `trim_list`). The parser crate wants it said, so it is put
//! into the tokens before parsing, at the place of FROM.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::grammar::keyword;

/// `tokens` are one statement's, white space among them.
#[must_use]
pub fn spell_out(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(|token| keyword(&token.token) == Keyword::TRIM) {
        return tokens;
    }
    let mut spelled: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len() + 2);
    for token in tokens {
        if keyword(&token.token) == Keyword::FROM && begins_trim(&spelled) {
            spelled.push(TokenWithSpan { token: Token::SingleQuotedString(" ".to_owned()), span: token.span });
        }
        spelled.push(token);
    }
    spelled
}

/// Whether the tokens end in `trim (` or `trim (leading`, `trim (trailing`, `trim (both`.
fn begins_trim(tokens: &[TokenWithSpan]) -> bool {
    let mut last = tokens.iter().rev().filter(|token| !matches!(token.token, Token::Whitespace(_)));
    let mut next = last.next();
    if next.is_some_and(|token| matches!(keyword(&token.token), Keyword::LEADING | Keyword::TRAILING | Keyword::BOTH)) {
        next = last.next();
    }
    next.is_some_and(|token| token.token == Token::LParen) && last.next().is_some_and(|token| keyword(&token.token) == Keyword::TRIM)
}
