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
    match without_secrets(text) {
        std::borrow::Cow::Borrowed(text) => without_subjects(text),
        std::borrow::Cow::Owned(text) => without_subjects(&text).into_owned().into(),
    }
}

/// Functions of schema `lakegate` whose arguments after the first name a data subject.
const SUBJECT_FUNCTIONS: [&str; 4] = ["locate_subject", "export_subject", "erase_subject", "erase_subjects"];
const SUBJECT: &str = "'<subject>'";

/// The text without the identifiers of data subjects that calls of Lakegate's own functions name: whoever is erased must not stay in the
/// statement that erases. Constants behind the first comma go, but for those that follow `reason =>` and its like.
fn without_subjects(text: &str) -> std::borrow::Cow<'_, str> {
    let lower = text.to_ascii_lowercase();
    let Some(first) = SUBJECT_FUNCTIONS.iter().filter_map(|name| lower.find(name)).min() else { return text.into() };
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, text).with_unescape(false).tokenize() else {
        return format!("{}{SUBJECT}", text.get(..first).unwrap_or_default()).into();
    };
    let mut called = false;
    // Brackets open since the call, and whether its first comma was passed.
    let (mut depth, mut behind_first, mut named) = (0_usize, false, false);
    let mut out = String::with_capacity(text.len());
    for token in &tokens {
        match token {
            Token::Whitespace(_) => {}
            Token::Word(word) if depth == 0 => {
                called = SUBJECT_FUNCTIONS.iter().any(|name| word.value.eq_ignore_ascii_case(name));
            }
            Token::LParen if called || depth > 0 => {
                (behind_first, named) = (depth > 0 && behind_first, false);
                depth += 1;
            }
            Token::RParen => {
                depth = depth.saturating_sub(1);
                called &= depth > 0;
            }
            Token::Comma if depth > 0 => (behind_first, named) = (true, false),
            Token::RArrow | Token::Assignment => named = true,
            _ if depth > 0 && behind_first && !named && is_constant(token) => {
                out.push_str(SUBJECT);
                continue;
            }
            _ => called &= depth > 0 || matches!(token, Token::Period | Token::DoubleQuotedString(_)),
        }
        out.push_str(&token.to_string());
    }
    out.into()
}

fn is_constant(token: &Token) -> bool {
    matches!(
        token,
        Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::SingleQuotedByteStringLiteral(_)
    )
}

fn without_secrets(text: &str) -> std::borrow::Cow<'_, str> {
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
    fn subjects_go() {
        assert_eq!(
            redact("SELECT * FROM lakegate.locate_subject('customer', 'ann@x.org') WHERE row_count > 0"),
            "SELECT * FROM lakegate.locate_subject('customer', '<subject>') WHERE row_count > 0"
        );
        assert_eq!(
            redact("CALL lakegate.erase_subject('customer', ARRAY['1', '2'], reason => 'asked', dry_run => true)"),
            "CALL lakegate.erase_subject('customer', ARRAY['<subject>', '<subject>'], reason => 'asked', dry_run => true)"
        );
        assert_eq!(
            redact("CALL lakegate.export_subject ('c', 42, 's3://b/x/')"),
            "CALL lakegate.export_subject ('c', '<subject>', '<subject>')"
        );
        assert!(!redact("SELECT * FROM lakegate.locate_subject('customer', 'ann@x.org").contains("ann"));
        assert!(!redact("SELECT 1 FROM (SELECT 2) x, lakegate.locate_subject(('a'), ('ann')) y").contains("ann"));
    }

    #[test]
    fn broken_statements_are_covered() {
        assert!(!redact("CREATE USER x PASSWORD 'hunter2").contains("hunter2"));
        assert!(!redact("CREATE USER x PASSWORD 'hunter2' SYNTAX (").contains("hunter2"));
        assert!(!redact("CREATE USER x PASSWORD U&'hunter2' 'b").contains("hunter2"));
    }
}
