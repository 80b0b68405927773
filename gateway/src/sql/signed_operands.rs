//! `a>-1`: PostgreSQL's scanner takes a sign at an operator's end for the operand's, unless the operator has a character that none of SQL's
//! operators has (documentation, section 4.1.3). The parser crate's takes it for a part of the operator.

use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

/// What lets an operator end with a sign.
const UNUSUAL: &[char] = &['~', '!', '@', '#', '%', '^', '&', '|', '`', '?'];

/// Cuts signs off such operators.
#[must_use]
pub fn apart(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(|token| split(&token.token).is_some()) {
        return tokens;
    }
    tokens.into_iter().flat_map(|token| split(&token.token).map_or_else(|| vec![token.clone()], |parts| spanned(&token, parts))).collect()
}

/// (token, characters) of the operator without its signs, then of each sign.
fn split(token: &Token) -> Option<Vec<(Token, u64)>> {
    let Token::CustomBinaryOperator(text) = token else { return None };
    let bare = text.trim_end_matches(['+', '-']);
    if text.contains(UNUSUAL) || bare.len() == text.len() {
        return None;
    }
    let operator = match bare {
        ">" => Token::Gt,
        "<" => Token::Lt,
        ">=" => Token::GtEq,
        "<=" => Token::LtEq,
        "<>" => Token::Neq,
        "=" => Token::Eq,
        "*" => Token::Mul,
        "/" => Token::Div,
        _ => return None,
    };
    let signs = text.get(bare.len()..)?.chars().map(|sign| (if sign == '-' { Token::Minus } else { Token::Plus }, 1));
    let length = u64::try_from(bare.len()).ok()?;
    Some(std::iter::once((operator, length)).chain(signs).collect())
}

fn spanned(whole: &TokenWithSpan, parts: Vec<(Token, u64)>) -> Vec<TokenWithSpan> {
    let mut at = whole.span.start;
    parts
        .into_iter()
        .map(|(token, characters)| {
            let end = Location { line: at.line, column: at.column + characters };
            let span = Span { start: at, end };
            at = end;
            TokenWithSpan { token, span }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::sql::parse::{parse, parse_expression};

    #[test]
    fn signs_are_the_operands() {
        for (text, expected) in
            [("a>-1", "a > -1"), ("a<-b", "a < -b"), ("a>=-1 AND a<=+1", "a >= -1 AND a <= +1"), ("a<>-1", "a <> -1"), ("a*-1", "a * -1")]
        {
            assert_eq!(parse_expression(text).unwrap().to_string(), expected, "{text}");
        }
        assert_eq!(parse_expression("a #- b").unwrap().to_string(), "a #- b");
        assert_eq!(parse("SELECT 1 WHERE 2>-1 FORM").unwrap_err().fields.position, Some(21));
    }
}
