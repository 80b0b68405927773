//! Ways of writing that PostgreSQL's scanner and grammar take and the parser crate does not: strings that go on in the next line (scan.l,
//! `quotecontinue`), `ORDER BY x USING >`, `IN (VALUES …)` and `= ANY (VALUES …)`. And one that only the crate takes: `123abc`.

use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Whitespace};

/// `tokens` are one statement's, white space among them.
#[must_use]
pub fn spell_out(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    values_as_queries(sort_directions(joined_strings(tokens)))
}

/// A name that begins where a number ends: its place, and both as written.
#[must_use]
pub fn junk_after_number(tokens: &[TokenWithSpan]) -> Option<(Location, String)> {
    tokens.windows(2).find_map(|pair| match (&pair[0].token, &pair[1].token) {
        (Token::Number(digits, false), Token::Word(word))
            if word.quote_style.is_none() && pair[0].span.end == pair[1].span.start && digits.starts_with(|c: char| c.is_ascii_digit()) =>
        {
            Some((pair[0].span.start, format!("{digits}{}", word.value)))
        }
        _ => None,
    })
}

fn joined_strings(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is_newline = |token: &TokenWithSpan| matches!(token.token, Token::Whitespace(Whitespace::Newline));
    let mut joined: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    for token in tokens {
        if let Token::SingleQuotedString(more) = &token.token
            && let Some(before) = joined.iter().rposition(|token| !matches!(token.token, Token::Whitespace(_)))
            && joined[before + 1..].iter().any(is_newline)
            && let Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) | Token::UnicodeStringLiteral(text) =
                &mut joined[before].token
        {
            text.push_str(more);
            joined.truncate(before + 1);
            continue;
        }
        joined.push(token);
    }
    joined
}

/// `USING <` is ASC, `USING >` DESC; USING of joins and of COPY stands before something else.
fn sort_directions(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    for at in 0..tokens.len() {
        if !is_word(&tokens[at].token, "using") {
            continue;
        }
        let Some(next) = following(&tokens, at) else { continue };
        let direction = match tokens[next].token {
            Token::Lt => "ASC",
            Token::Gt => "DESC",
            _ => continue,
        };
        tokens[at].token = Token::make_keyword(direction);
        tokens[next].token = Token::Whitespace(Whitespace::Space);
    }
    tokens
}

/// `(VALUES …)` behind IN, ANY, SOME and ALL is `(SELECT * FROM (VALUES …))`.
fn values_as_queries(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut opened = Vec::new();
    for at in 0..tokens.len() {
        if !["in", "any", "some", "all"].iter().any(|word| is_word(&tokens[at].token, word)) {
            continue;
        }
        if let Some(open) = following(&tokens, at).filter(|open| tokens[*open].token == Token::LParen)
            && let Some(values) = following(&tokens, open).filter(|values| is_word(&tokens[*values].token, "values"))
            && let Some(close) = closing(&tokens, open)
        {
            opened.push((values, close));
        }
    }
    if opened.is_empty() {
        return tokens;
    }
    let mut spelled = Vec::with_capacity(tokens.len() + 5 * opened.len());
    for (at, token) in tokens.into_iter().enumerate() {
        let span = token.span;
        if opened.iter().any(|(values, _)| *values == at) {
            let words = [Token::make_keyword("SELECT"), Token::Mul, Token::make_keyword("FROM"), Token::LParen];
            spelled.extend(words.map(|token| TokenWithSpan { token, span }));
        }
        if opened.iter().any(|(_, close)| *close == at) {
            spelled.push(TokenWithSpan { token: Token::RParen, span });
        }
        spelled.push(token);
    }
    spelled
}

fn following(tokens: &[TokenWithSpan], at: usize) -> Option<usize> {
    (at + 1..tokens.len()).find(|at| !matches!(tokens[*at].token, Token::Whitespace(_)))
}

fn closing(tokens: &[TokenWithSpan], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

fn is_word(token: &Token, wanted: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use crate::sql::parse::parse;

    #[test]
    fn ways_of_writing() {
        for text in [
            "SELECT 'a'\n  'b'",
            "SELECT a FROM t ORDER BY a USING >, b USING < NULLS FIRST",
            "SELECT 1 IN (VALUES (1), (2))",
            "SELECT 1 = ANY (VALUES (1)), 1 <> ALL ( VALUES (f((2))) )",
            "SELECT a FROM t JOIN u USING (a)",
            "SELECT 1e10, 1.5, 2 x, $1 FROM t1",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
        for (text, message) in [
            ("SELECT 'a' 'b'", "syntax error at or near \"'b'\""),
            ("SELECT 123abc", "trailing junk after numeric literal at or near \"123abc\""),
            ("SELECT 1.5x", "trailing junk after numeric literal at or near \"1.5x\""),
        ] {
            assert_eq!(parse(text).unwrap_err().message, message);
        }
    }
}
