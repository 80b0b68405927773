//! Secrets out of statement texts before they are kept anywhere, sealed or not. Works on tokens, so that a statement
//! with a syntax error is covered too.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

/// Words after which a literal is a secret; an `=`, `BY` or `AS` may stand between.
const SECRET_WORDS: &[&str] =
    &["PASSWORD", "SECRET", "TOKEN", "CREDENTIAL", "CREDENTIALS", "IDENTIFIED", "SECRET_ACCESS_KEY", "ACCESS_KEY", "SESSION_TOKEN"];
const REDACTED: &str = "'<redacted>'";

/// The text with every secret literal replaced. Unchanged, without a copy, where no secret word occurs.
#[must_use]
pub fn redact(text: &str) -> std::borrow::Cow<'_, str> {
    let upper = text.to_ascii_uppercase();
    let Some(first) = SECRET_WORDS.iter().filter_map(|word| upper.find(word)).min() else { return text.into() };
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, text).with_unescape(false).tokenize() else {
        // Not even tokens: nothing after the first secret word can be told apart.
        return format!("{}{REDACTED}", text.get(..first).unwrap_or_default()).into();
    };
    let mut armed = false;
    let redacted = tokens.into_iter().map(|token| match &token {
        Token::Whitespace(_) | Token::Eq | Token::LParen => token.to_string(),
        Token::Word(word) => {
            let upper = word.value.to_ascii_uppercase();
            armed = SECRET_WORDS.contains(&upper.as_str()) || (armed && matches!(upper.as_str(), "BY" | "AS" | "TO" | "IS"));
            token.to_string()
        }
        _ if armed && is_literal(&token) => {
            armed = false;
            REDACTED.to_owned()
        }
        _ => {
            armed = false;
            token.to_string()
        }
    });
    redacted.collect::<String>().into()
}

fn is_literal(token: &Token) -> bool {
    !matches!(token, Token::Comma | Token::RParen | Token::SemiColon | Token::Period | Token::EOF | Token::Placeholder(_))
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        assert_eq!(redact("CREATE ROLE a LOGIN PASSWORD 'hunter2'"), "CREATE ROLE a LOGIN PASSWORD '<redacted>'");
        assert_eq!(
            redact("alter user a with encrypted password E'x\\'y' valid until '2030-01-01'"),
            "alter user a with encrypted password '<redacted>' valid until '2030-01-01'"
        );
        assert_eq!(redact("CREATE USER x PASSWORD $$hunter2$$"), "CREATE USER x PASSWORD '<redacted>'");
        assert_eq!(redact("SELECT 'a' FROM t"), "SELECT 'a' FROM t");
    }

    #[test]
    fn broken_statements_are_covered() {
        assert!(!redact("CREATE USER x PASSWORD 'hunter2").contains("hunter2"));
        assert!(!redact("CREATE USER x PASSWORD 'hunter2' SYNTAX (").contains("hunter2"));
        assert!(!redact("CREATE USER x PASSWORD U&'hunter2' 'b").contains("hunter2"));
    }
}
