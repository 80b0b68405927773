//! `GENERATED … AS IDENTITY ( options )`: PostgreSQL takes the options in any order, the parser crate in one.

use sqlparser::tokenizer::{Token, TokenWithSpan};

/// First words of the options, in the parser crate's order.
const ORDER: [&str; 6] = ["increment", "minvalue", "maxvalue", "start", "cache", "cycle"];

/// The tokens with the options of identity columns in the order that the parser crate knows.
#[must_use]
pub fn in_order(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(|token| is_word(&token.token, "identity")) {
        return tokens;
    }
    let mut ordered: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut rest = tokens.into_iter().peekable();
    let mut after_identity = false;
    while let Some(token) = rest.next() {
        let opens = after_identity && token.token == Token::LParen;
        if !matches!(token.token, Token::Whitespace(_)) {
            after_identity = is_word(&token.token, "identity");
        }
        ordered.push(token);
        if opens {
            let mut options: Vec<TokenWithSpan> = Vec::new();
            while let Some(option) = rest.next_if(|token| token.token != Token::RParen) {
                options.push(option);
            }
            ordered.extend(sorted(options));
        }
    }
    ordered
}

fn sorted(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut options: Vec<(usize, Vec<TokenWithSpan>)> = Vec::new();
    let mut no: Vec<TokenWithSpan> = Vec::new();
    for token in tokens {
        if is_word(&token.token, "no") {
            no.push(token);
            continue;
        }
        let place = ORDER.iter().position(|word| is_word(&token.token, word));
        match (place, options.last_mut()) {
            (Some(place), _) => {
                let mut option = std::mem::take(&mut no);
                option.push(token);
                options.push((place, option));
            }
            (None, Some((_, option))) => option.push(token),
            (None, None) => options.push((0, vec![token])),
        }
    }
    options.sort_by_key(|(place, _)| *place);
    options.into_iter().flat_map(|(_, option)| option).chain(no).collect()
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use crate::sql::parse::parse;

    #[test]
    fn any_order() {
        for options in ["START WITH 10 INCREMENT BY 2", "NO CYCLE MINVALUE 1 START 5", "CACHE 5 NO MAXVALUE START 1", "INCREMENT BY -1"] {
            let text = format!("CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY ({options}), a int)");
            assert!(parse(&text).is_ok(), "{text}");
        }
    }
}
