//! Words that the parser crate does not know, spelled as others that mean as much here, before parsing: `FOR NO KEY UPDATE` locks no
//! less than `FOR UPDATE`, `FOR KEY SHARE` than `FOR SHARE` (rows have no keys of their own); `(t).*` is `t.*` (gram.y, `indirection`).

use sqlparser::tokenizer::{Token, TokenWithSpan};

/// `tokens` are one statement's, white space among them.
#[must_use]
pub fn spell_out(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut spelled: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let significant: Vec<usize> = (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_))).collect();
    let mut dropped = vec![false; tokens.len()];
    for window in 0..significant.len() {
        let at = |ahead: usize| significant.get(window + ahead).map(|at| &tokens[*at].token);
        let is = |ahead: usize, word: &str| matches!(at(ahead), Some(Token::Word(next)) if next.quote_style.is_none() && next.value.eq_ignore_ascii_case(word));
        let mut drop = |ahead: usize| {
            if let Some(at) = significant.get(window + ahead) {
                dropped[*at] = true;
            }
        };
        if is(0, "for") && is(1, "no") && is(2, "key") && is(3, "update") {
            drop(1);
            drop(2);
        } else if is(0, "for") && is(1, "key") && is(2, "share") {
            drop(1);
        } else if begins_item(window.checked_sub(1).and_then(|before| significant.get(before)).map(|at| &tokens[*at].token))
            && at(0) == Some(&Token::LParen)
            && matches!(at(1), Some(Token::Word(_)))
            && at(2) == Some(&Token::RParen)
            && at(3) == Some(&Token::Period)
            && at(4) == Some(&Token::Mul)
        {
            drop(0);
            drop(2);
        }
    }
    spelled.extend(tokens.into_iter().zip(dropped).filter(|(_, dropped)| !dropped).map(|(token, _)| token));
    let spelled = super::frame_exclusion::mark(super::between_symmetric::mark(super::loose_tokens::spell_out(spelled)));
    locks_last(bracketed_groups(spelled))
}

/// `ROLLUP ((a)::date, b)` is `ROLLUP (((a)::date), b)`: the parser crate takes an element that begins with a bracket for a list.
fn bracketed_groups(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut inserted: Vec<(usize, Token)> = Vec::new();
    for at in 0..tokens.len() {
        if !["rollup", "cube"].iter().any(|word| is_word(&tokens, at, word)) {
            continue;
        }
        let Some(open) = significant_from(&tokens, at + 1).filter(|at| tokens[*at].token == Token::LParen) else { continue };
        for (start, end) in elements(&tokens, open + 1) {
            let closes = tokens[start].token == Token::LParen && end_of_query(&tokens, start + 1) < end;
            if closes {
                inserted.push((start, Token::LParen));
                inserted.push((end + 1, Token::RParen));
            }
        }
    }
    if inserted.is_empty() {
        return tokens;
    }
    let mut bracketed = Vec::with_capacity(tokens.len() + inserted.len());
    for (at, token) in tokens.into_iter().enumerate() {
        let before = inserted.iter().filter(|(place, _)| *place == at);
        bracketed.extend(before.map(|(_, bracket)| TokenWithSpan::new(bracket.clone(), token.span)));
        bracketed.push(token);
    }
    bracketed
}

/// First and last token of each element of the list that begins at a token.
fn elements(tokens: &[TokenWithSpan], begin: usize) -> Vec<(usize, usize)> {
    let end = end_of_query(tokens, begin);
    let (mut elements, mut depth) = (Vec::new(), 0_usize);
    let (mut start, mut last) = (None, begin);
    for (at, token) in tokens.iter().enumerate().take(end).skip(begin) {
        match token.token {
            Token::Whitespace(_) => continue,
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            Token::Comma if depth == 0 => {
                elements.extend(start.take().map(|start| (start, last)));
                continue;
            }
            _ => {}
        }
        start.get_or_insert(at);
        last = at;
    }
    elements.extend(start.map(|start| (start, last)));
    elements
}

/// `FOR UPDATE … LIMIT 1` is `LIMIT 1 FOR UPDATE …` (gram.y, `select_no_parens`, takes both).
fn locks_last(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut at = 0;
    while at < tokens.len() {
        if let Some(end) = after_locks(&tokens, at)
            && let Some(next) = significant_from(&tokens, end)
            && ["limit", "offset", "fetch"].iter().any(|word| is_word(&tokens, next, word))
        {
            let stop = end_of_query(&tokens, next);
            // With what stands between them.
            tokens[at..stop].rotate_left(end - at);
            at = stop;
        }
        at += 1;
    }
    tokens
}

/// Where the locking clauses that begin at a token end.
fn after_locks(tokens: &[TokenWithSpan], begin: usize) -> Option<usize> {
    let mut end = None;
    let mut at = begin;
    loop {
        let word = if is_word(tokens, at, "for") { significant_from(tokens, at + 1) } else { None };
        let Some(strength) = word.filter(|at| is_word(tokens, *at, "update") || is_word(tokens, *at, "share")) else { return end };
        let mut last = strength + 1;
        if let Some(of) = significant_from(tokens, last).filter(|at| is_word(tokens, *at, "of")) {
            last = of + 1;
            // Names with points and commas.
            while let Some(next) = significant_from(tokens, last) {
                let goes_on = match &tokens[next].token {
                    Token::Period | Token::Comma => true,
                    Token::Word(_) => previous(tokens, next).is_some_and(|before| !matches!(before, Token::Word(word) if word.quote_style.is_some() || !word.value.eq_ignore_ascii_case("of"))),
                    _ => false,
                };
                if !goes_on {
                    break;
                }
                last = next + 1;
            }
        }
        match significant_from(tokens, last) {
            Some(next) if is_word(tokens, next, "nowait") => last = next + 1,
            Some(next) if is_word(tokens, next, "skip") => last = significant_from(tokens, next + 1)? + 1,
            _ => {}
        }
        end = Some(last);
        match significant_from(tokens, last) {
            Some(next) => at = next,
            None => return end,
        }
    }
}

/// The bracket that closes around a token, or the end.
fn end_of_query(tokens: &[TokenWithSpan], from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 0 => return at,
            Token::RParen => depth -= 1,
            Token::EOF | Token::SemiColon => return at,
            _ => {}
        }
    }
    tokens.len()
}

fn significant_from(tokens: &[TokenWithSpan], from: usize) -> Option<usize> {
    (from..tokens.len()).find(|at| !matches!(tokens[*at].token, Token::Whitespace(_)))
}

fn previous(tokens: &[TokenWithSpan], at: usize) -> Option<&Token> {
    tokens[..at].iter().rev().map(|token| &token.token).find(|token| !matches!(token, Token::Whitespace(_)))
}

fn is_word(tokens: &[TokenWithSpan], at: usize, word: &str) -> bool {
    matches!(tokens.get(at).map(|token| &token.token), Some(Token::Word(next)) if next.quote_style.is_none() && next.value.eq_ignore_ascii_case(word))
}

/// Whether an item of a select list may come after it; a name before the bracket would make it a call.
fn begins_item(before: Option<&Token>) -> bool {
    match before {
        Some(Token::Comma) => true,
        Some(Token::Word(word)) => {
            word.quote_style.is_none()
                && ["select", "distinct", "all", "returning"].iter().any(|keyword| word.value.eq_ignore_ascii_case(keyword))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::PostgreSqlDialect;
    use sqlparser::tokenizer::Tokenizer;

    use super::*;

    fn spelled(text: &str) -> String {
        let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location().unwrap();
        spell_out(tokens)
            .iter()
            .map(|token| token.token.to_string())
            .collect::<Vec<_>>()
            .join("")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn weaker_locks_and_rows_in_brackets() {
        assert_eq!(spelled("SELECT (t).*, (u) . * FROM t FOR NO KEY UPDATE"), "SELECT t.*, u . * FROM t FOR UPDATE");
        assert_eq!(spelled("SELECT 1 FOR key share"), "SELECT 1 FOR share");
        assert_eq!(spelled("SELECT count(t).* FROM t"), "SELECT count(t).* FROM t");
    }

    #[test]
    fn locks_come_last() {
        assert_eq!(spelled("SELECT a FROM t FOR UPDATE OF t SKIP LOCKED LIMIT 1"), "SELECT a FROM t LIMIT 1FOR UPDATE OF t SKIP LOCKED");
        assert_eq!(spelled("(SELECT a FROM t FOR SHARE LIMIT (1)) x"), "(SELECT a FROM t LIMIT (1)FOR SHARE) x");
        assert_eq!(spelled("SELECT a FROM t LIMIT 1 FOR UPDATE"), "SELECT a FROM t LIMIT 1 FOR UPDATE");
    }
}
