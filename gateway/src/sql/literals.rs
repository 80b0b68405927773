//! The literals of a statement's text, for the blind index.

use std::collections::BTreeSet;

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

/// Different ones of a statement that are indexed.
const LITERALS_MAX: usize = 10_000;

/// By value: strings without their quotes, numbers as they are written. A text that cannot be cut into tokens has none.
#[must_use]
pub fn literals(text: &str) -> BTreeSet<String> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize().unwrap_or_default();
    let mut found = BTreeSet::new();
    for token in tokens {
        let literal = match token {
            Token::Number(digits, _) => digits,
            Token::SingleQuotedString(text)
            | Token::EscapedStringLiteral(text)
            | Token::UnicodeStringLiteral(text)
            | Token::NationalStringLiteral(text)
            | Token::HexStringLiteral(text)
            | Token::SingleQuotedByteStringLiteral(text) => text,
            Token::DollarQuotedString(text) => text.value,
            _ => continue,
        };
        if found.len() < LITERALS_MAX && !literal.is_empty() {
            found.insert(literal);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::literals;

    #[test]
    fn strings_and_numbers_by_value() {
        let found = literals("SELECT 'it''s', 42, $tag$a b$tag$, E'x\\ny' FROM \"t\" WHERE c = $1 -- 'no'");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["42", "a b", "it's", "x\ny"]);
    }
}
