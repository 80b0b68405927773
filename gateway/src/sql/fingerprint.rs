//! A statement without its literals, as a hash: equal for statements that differ in values and layout only.

use aws_lc_rs::digest;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

/// 32 hexadecimal digits. A text that cannot be cut into tokens has the fingerprint of its length class alone, so that no
/// part of it can be guessed from the hash.
#[must_use]
pub fn fingerprint(text: &str) -> String {
    let normal = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize().map_or_else(|_| "unreadable".to_owned(), normalise);
    let hash = digest::digest(&digest::SHA256, normal.as_bytes());
    hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
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
    use super::fingerprint;

    #[test]
    fn values_and_layout_do_not_count() {
        assert_eq!(fingerprint("SELECT a FROM t WHERE b = 'x'"), fingerprint("select a\nfrom t where b=$1;"));
        assert_eq!(fingerprint("select 1 where a in (1,2,3)"), fingerprint("select 1 where a in (4)"));
        assert_ne!(fingerprint("select a from t"), fingerprint("select b from t"));
        assert_ne!(fingerprint("select \"A\" from t"), fingerprint("select a from t"));
    }
}
