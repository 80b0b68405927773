//! For the tests of what spells statements out.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

/// The words of the text as `spell_out` leaves them, a blank between each two.
pub fn words(text: &str, spell_out: fn(Vec<TokenWithSpan>) -> Vec<TokenWithSpan>) -> String {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location().unwrap();
    let words: Vec<String> = spell_out(tokens)
        .iter()
        .filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF))
        .map(|token| token.token.to_string())
        .collect();
    words.join(" ")
}
