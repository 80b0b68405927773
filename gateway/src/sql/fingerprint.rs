//! A statement without its literals, as a keyed hash: equal for statements that differ in values and layout only, and not to be guessed by
//! who has not the catalog's key.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

/// What is hashed of a text. All texts that cannot be cut into tokens are alike.
#[must_use]
pub fn normalised(text: &str) -> String {
    Tokenizer::new(&PostgreSqlDialect {}, text).tokenize().map_or_else(|_| "unreadable".to_owned(), normalise)
}

fn normalise(tokens: Vec<Token>) -> String {
    let mut words: Vec<String> = Vec::with_capacity(tokens.len());
    for token in tokens {
        let word = match token {
            Token::Whitespace(_) | Token::EOF | Token::SemiColon => continue,
            Token::Word(word) if word.quote_style.is_none() => word.value.to_lowercase(),
            Token::Number(..)
            | Token::Placeholder(_)
            | Token::SingleQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::DollarQuotedString(_)
            | Token::UnicodeStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::SingleQuotedByteStringLiteral(_) => "?".to_owned(),
            other => other.to_string(),
        };
        // Lists of literals of any length are alike.
        let repeats = word == "?" && words.len() >= 2 && words.ends_with(&["?".to_owned(), ",".to_owned()]);
        if repeats {
            words.pop();
        } else {
            words.push(word);
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::normalised as fingerprint;

    #[test]
    fn values_and_layout_do_not_count() {
        assert_eq!(fingerprint("SELECT a FROM t WHERE b = 'x'"), fingerprint("select a\nfrom t where b=$1;"));
        assert_eq!(fingerprint("select 1 where a in (1,2,3)"), fingerprint("select 1 where a in (4)"));
        assert_ne!(fingerprint("select a from t"), fingerprint("select b from t"));
        assert_ne!(fingerprint("select \"A\" from t"), fingerprint("select a from t"));
    }
}
