//! `INSERT … OVERRIDING { SYSTEM | USER } VALUE`: the parser crate does not know it, so its tokens are taken out before parsing, and what
//! they say is kept as a setting of the statement.

use sqlparser::ast::{Expr, Ident, Setting, Statement};
use sqlparser::tokenizer::{Token, TokenWithSpan};

/// The tokens without the clause, and whose value is overridden.
#[must_use]
pub fn take_out(tokens: Vec<TokenWithSpan>) -> (Vec<TokenWithSpan>, Option<&'static str>) {
    let significant: Vec<usize> = (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_))).collect();
    let is = |at: usize, word: &str| significant.get(at).is_some_and(|at| is_word(&tokens[*at].token, word));
    let found = (1..significant.len()).find_map(|at| {
        let whose = if is(at + 1, "system") { "system" } else { "user" };
        let clause = is(at, "overriding") && is(at + 1, whose) && is(at + 2, "value");
        let before = matches!(tokens[significant[at - 1]].token, Token::RParen | Token::Word(_));
        (clause && before && !is(at - 1, "as")).then_some((at, whose))
    });
    let starts_insert = (0..significant.len()).any(|at| is(at, "insert"));
    let Some((at, whose)) = found.filter(|_| starts_insert) else { return (tokens, None) };
    let gone = [significant[at], significant[at + 1], significant[at + 2]];
    let kept = tokens.into_iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, token)| token);
    (kept.collect(), Some(whose))
}

/// Marks the INSERT; `false` where there is none to mark.
pub fn mark(statement: &mut Statement, whose: &str) -> bool {
    match statement {
        Statement::Insert(insert) => {
            let setting = Setting { key: Ident::new("overriding"), value: Expr::Identifier(Ident::new(whose)) };
            insert.settings = Some(vec![setting]);
            true
        }
        Statement::Prepare { statement, .. } | Statement::Explain { statement, .. } => mark(statement, whose),
        _ => false,
    }
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use crate::sql::grammar::Command;
    use crate::sql::parse::parse;

    #[test]
    fn the_clause_is_understood() {
        let parsed = parse("INSERT INTO t (id, a) OVERRIDING SYSTEM VALUE VALUES (1, 'overriding user value')").unwrap();
        let Command::Sql(statement) = &**parsed[0].command.as_ref().unwrap() else { panic!() };
        let sqlparser::ast::Statement::Insert(insert) = statement.as_ref() else { panic!() };
        assert_eq!(insert.settings.as_ref().unwrap()[0].value.to_string(), "system");
        assert!(parse("SELECT a overriding FROM t").is_ok());
        assert!(parse("UPDATE t SET a = 1 OVERRIDING SYSTEM VALUE").is_err());
    }
}
