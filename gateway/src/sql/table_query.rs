//! `TABLE name` where a query may stand is `SELECT * FROM name` (gram.y, `simple_select`). The parser crate knows it in few places
//! and loses quotes there, so its tokens are spelled out before parsing; they keep the place of the word.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::grammar::keyword;

/// What has been read at one depth of brackets.
#[derive(Default)]
struct Level {
    first: Option<Keyword>,
    /// SELECT, VALUES or TABLE has begun the query.
    in_query: bool,
}

/// `tokens` are one statement's, white space among them.
#[must_use]
pub fn spell_out(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(|token| keyword(&token.token) == Keyword::TABLE) {
        return tokens;
    }
    let mut levels = vec![Level::default()];
    let mut before = [Token::EOF, Token::EOF];
    let mut spelled = Vec::with_capacity(tokens.len() + 8);
    for (at, token) in tokens.iter().enumerate() {
        if matches!(token.token, Token::Whitespace(_)) {
            spelled.push(token.clone());
            continue;
        }
        let word = keyword(&token.token);
        match token.token {
            Token::LParen => levels.push(Level::default()),
            Token::RParen if levels.len() > 1 => {
                levels.pop();
            }
            _ => {}
        }
        let depth = levels.len();
        if let Some(level) = levels.last_mut() {
            let begins =
                word == Keyword::TABLE && begins_query(level, depth, &before) && is_whole(tokens.get(at + 1..).unwrap_or_default());
            if begins {
                for token_text in [Token::make_keyword("SELECT"), Token::Mul, Token::make_keyword("FROM")] {
                    spelled.push(TokenWithSpan { token: token_text, span: token.span });
                }
            } else {
                spelled.push(token.clone());
            }
            level.in_query |= begins || matches!(word, Keyword::SELECT | Keyword::VALUES);
            let follows_with = level.first == Some(Keyword::WITH) && word == Keyword::INSERT && before[0] == Token::RParen;
            if (level.first.is_none() && token.token != Token::LParen) || follows_with {
                level.first = Some(word);
            }
        }
        before = [token.token.clone(), std::mem::replace(&mut before[0], Token::EOF)];
    }
    spelled
}

/// Whether a query may begin after `before`, the latest token first.
fn begins_query(level: &Level, depth: usize, before: &[Token; 2]) -> bool {
    let [last, second] = before.each_ref().map(keyword);
    let sets = |word: Keyword| matches!(word, Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT);
    if sets(last) || (matches!(last, Keyword::ALL | Keyword::DISTINCT) && sets(second)) {
        return true;
    }
    if level.in_query {
        return false;
    }
    match level.first {
        None => depth == 1 || before[0] == Token::LParen,
        Some(Keyword::WITH) => before[0] == Token::RParen,
        Some(Keyword::CREATE | Keyword::PREPARE) => last == Keyword::AS,
        Some(Keyword::DECLARE) => last == Keyword::FOR,
        Some(Keyword::EXPLAIN) => matches!(last, Keyword::EXPLAIN | Keyword::ANALYZE | Keyword::VERBOSE) || before[0] == Token::RParen,
        Some(Keyword::INSERT) => last != Keyword::INTO && last != Keyword::INSERT,
        _ => false,
    }
}

/// After the word stands a name, and then what may end the clause: no list, alias, join or condition.
fn is_whole(rest: &[TokenWithSpan]) -> bool {
    let mut rest = rest.iter().map(|token| &token.token).filter(|token| !matches!(token, Token::Whitespace(_))).peekable();
    if rest.peek().is_some_and(|token| keyword(token) == Keyword::ONLY) {
        rest.next();
    }
    loop {
        if !matches!(rest.next(), Some(Token::Word(_))) {
            return false;
        }
        if rest.peek() != Some(&&Token::Period) {
            break;
        }
        rest.next();
    }
    match rest.next() {
        None | Some(Token::EOF | Token::RParen) => true,
        Some(token) => matches!(
            keyword(token),
            Keyword::ORDER
                | Keyword::LIMIT
                | Keyword::OFFSET
                | Keyword::FETCH
                | Keyword::FOR
                | Keyword::UNION
                | Keyword::INTERSECT
                | Keyword::EXCEPT
                | Keyword::WITH
                | Keyword::ON
                | Keyword::RETURNING
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::spell_out;
    use crate::sql::spelled::words;

    fn spelled(text: &str) -> String {
        words(text, spell_out)
    }

    #[test]
    fn where_a_query_may_stand() {
        assert_eq!(spelled("TABLE t"), "SELECT * FROM t");
        assert_eq!(spelled("table a.\"B\" order by 1 limit 2"), "SELECT * FROM a . \"B\" order by 1 limit 2");
        assert_eq!(spelled("table t union all table u"), "SELECT * FROM t union all SELECT * FROM u");
        assert_eq!(spelled("select * from (table t) x"), "select * from ( SELECT * FROM t ) x");
        assert_eq!(spelled("with w as (table t) table w"), "with w as ( SELECT * FROM t ) SELECT * FROM w");
        assert_eq!(spelled("create view v as table t"), "create view v as SELECT * FROM t");
        assert_eq!(spelled("insert into t (a) table u"), "insert into t ( a ) SELECT * FROM u");
        assert_eq!(spelled("explain table t"), "explain SELECT * FROM t");
        assert_eq!(spelled("declare c cursor for table t"), "declare c cursor for SELECT * FROM t");
    }

    #[test]
    fn elsewhere_the_word_stays() {
        for text in [
            "create table t ( a int )",
            "drop table t",
            "grant select on table t to r",
            "select 1 as table from t",
            "truncate table t",
            "table t where a",
            "table t , u",
            "alter table t rename to u",
        ] {
            assert_eq!(spelled(text), text);
        }
    }
}
