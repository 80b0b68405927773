//! `EXCLUDE …` of window frames, which the parser crate has not. Its tokens go, and PARTITION BY of the window gets one more constant, which no
//! client can write and which parts nothing: the engine reads what to leave out from it.

use lakegate_engine_api::frame_marks::{CURRENT_ROW, GROUP, NO_OTHERS, TIES};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

/// `tokens` are one statement's, white space among them.
#[must_use]
pub fn mark(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut significant = tokens.iter().enumerate().filter(|(_, token)| !matches!(token.token, Token::Whitespace(_)));
    if !significant.any(|(_, token)| is(Some(&token.token), "exclude")) {
        return tokens;
    }
    let places: Vec<usize> = (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_))).collect();
    let token = |place: usize| places.get(place).map(|at| &tokens[*at].token);
    let (mut dropped, mut inserted) = (Vec::new(), Vec::new());
    for place in 0..places.len() {
        let Some((length, mark)) = clause(&token, place) else { continue };
        let Some(open) = opening(&token, place) else { continue };
        if !(open + 1..place).any(|at| is_frame_unit(token(at))) {
            continue;
        }
        dropped.extend(places[place..place + length].iter().copied());
        // Behind the name of a window that this one goes on from.
        let names = matches!(token(open + 1), Some(Token::Word(word)) if word.quote_style.is_some() || word.keyword == Keyword::NoKeyword);
        let first = open + 1 + usize::from(names);
        let parted = is(token(first), "partition") && is(token(first + 1), "by");
        if let Some(at) = places.get(if parted { first + 2 } else { first }) {
            inserted.push((*at, mark, parted));
        }
    }
    let mut spelled = Vec::with_capacity(tokens.len() + 8 * inserted.len());
    for (at, token) in tokens.into_iter().enumerate() {
        for (_, mark, parted) in inserted.iter().filter(|(place, _, _)| *place == at) {
            let words = if *parted { Vec::new() } else { vec![Token::make_keyword("PARTITION"), Token::make_keyword("BY")] };
            let constant = [Token::LParen, Token::SingleQuotedString((*mark).to_owned()), Token::RParen];
            let comma = parted.then_some(Token::Comma);
            spelled.extend(words.into_iter().chain(constant).chain(comma).map(|word| TokenWithSpan { token: word, span: token.span }));
        }
        if !dropped.contains(&at) {
            spelled.push(token);
        }
    }
    spelled
}

/// A clause that begins here and ends its window: how many tokens it has, and what it leaves out.
fn clause<'a>(token: &impl Fn(usize) -> Option<&'a Token>, place: usize) -> Option<(usize, &'static str)> {
    if !is(token(place), "exclude") {
        return None;
    }
    let (length, mark) = match (token(place + 1), token(place + 2)) {
        (current, row) if is(current, "current") && is(row, "row") => (3, CURRENT_ROW),
        (no, others) if is(no, "no") && is(others, "others") => (3, NO_OTHERS),
        (group, _) if is(group, "group") => (2, GROUP),
        (ties, _) if is(ties, "ties") => (2, TIES),
        _ => return None,
    };
    (token(place + length) == Some(&Token::RParen)).then_some((length, mark))
}

/// The bracket that is open at a place.
fn opening<'a>(token: &impl Fn(usize) -> Option<&'a Token>, place: usize) -> Option<usize> {
    let mut depth = 0_usize;
    (0..place).rev().find(|at| match token(*at) {
        Some(Token::RParen) => {
            depth += 1;
            false
        }
        Some(Token::LParen) if depth == 0 => true,
        Some(Token::LParen) => {
            depth -= 1;
            false
        }
        _ => false,
    })
}

fn is_frame_unit(token: Option<&Token>) -> bool {
    ["rows", "range", "groups"].iter().any(|unit| is(token, unit))
}

fn is(token: Option<&Token>, wanted: &str) -> bool {
    matches!(token, Some(Token::Word(word)) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use crate::sql::parse::parse;

    #[test]
    fn frames_that_leave_rows_out_parse_and_nothing_else_does() {
        for text in [
            "SELECT sum(a) OVER (ORDER BY b ROWS 1 PRECEDING EXCLUDE CURRENT ROW) FROM t",
            "SELECT sum(a) OVER (w RANGE UNBOUNDED PRECEDING EXCLUDE TIES) FROM t WINDOW w AS (PARTITION BY c ORDER BY b)",
            "SELECT sum(a) OVER (PARTITION BY f(x) GROUPS BETWEEN (1) PRECEDING AND CURRENT ROW exclude no others) FROM t",
            "SELECT sum(a) OVER w FROM t WINDOW w AS (ROWS UNBOUNDED PRECEDING EXCLUDE GROUP)",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
        for text in ["SELECT sum(a) OVER (ORDER BY b EXCLUDE TIES) FROM t", "SELECT sum(a) OVER (ROWS 1 PRECEDING EXCLUDE ROW) FROM t"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
