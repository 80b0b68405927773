//! What the parser crate does not take of FROM, spelled so that it does: `a JOIN b JOIN c ON … ON …`, whose conditions close the joins from the inside
//! (gram.y, `joined_table`), gets its parentheses; a SELECT without list and FROM is one over a row that nothing names.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::grammar::keyword;

/// A join whose condition has not come.
struct Open {
    /// Where its right side begins.
    at: usize,
    /// That is a join itself.
    nests: bool,
}

/// `tokens` are one statement's, white space among them.
#[must_use]
pub fn spell_out(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    without_list(with_parentheses(tokens))
}

fn with_parentheses(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if tokens.iter().filter(|token| keyword(&token.token) == Keyword::JOIN).count() < 2 {
        return tokens;
    }
    let (mut opening, mut closing) = (Vec::new(), Vec::new());
    let mut levels: Vec<Vec<Open>> = vec![Vec::new()];
    // The last three words, the latest first.
    let mut before = [Keyword::NoKeyword; 3];
    for (at, token) in tokens.iter().enumerate() {
        if matches!(token.token, Token::Whitespace(_)) {
            continue;
        }
        let word = keyword(&token.token);
        match token.token {
            Token::LParen => levels.push(Vec::new()),
            Token::RParen if levels.len() > 1 => {
                levels.pop();
            }
            _ => {}
        }
        if let Some(joins) = levels.last_mut() {
            match word {
                Keyword::JOIN => {
                    if let Some(join) = joins.last_mut() {
                        join.nests = true;
                    }
                    if has_condition(before) {
                        joins.push(Open { at: at + 1, nests: false });
                    }
                }
                Keyword::ON | Keyword::USING => {
                    if let Some(join) = joins.pop().filter(|join| join.nests) {
                        opening.push(join.at);
                        closing.push(at);
                    }
                }
                Keyword::SELECT | Keyword::WHERE | Keyword::SET | Keyword::WHEN => joins.clear(),
                _ => {}
            }
        }
        before = [word, before[0], before[1]];
    }
    if opening.is_empty() {
        return tokens;
    }
    let mut spelled = Vec::with_capacity(tokens.len() + 2 * opening.len());
    for (at, token) in tokens.into_iter().enumerate() {
        let span = token.span;
        let add = |places: &[usize], bracket: &Token, spelled: &mut Vec<TokenWithSpan>| {
            let count = places.iter().filter(|place| **place == at).count();
            spelled.extend(std::iter::repeat_n(TokenWithSpan { token: bracket.clone(), span }, count));
        };
        add(&closing, &Token::RParen, &mut spelled);
        add(&opening, &Token::LParen, &mut spelled);
        spelled.push(token);
    }
    spelled
}

/// `before`: the words before JOIN, the latest first.
fn has_condition(before: [Keyword; 3]) -> bool {
    !matches!(
        before,
        [Keyword::CROSS | Keyword::NATURAL, ..]
            | [Keyword::INNER | Keyword::LEFT | Keyword::RIGHT | Keyword::FULL, Keyword::NATURAL, _]
            | [Keyword::OUTER, _, Keyword::NATURAL]
    )
}

fn without_list(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let significant: Vec<usize> = (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_) | Token::EOF)).collect();
    let mut empty = Vec::new();
    for (place, at) in significant.iter().enumerate() {
        if keyword(&tokens[*at].token) != Keyword::SELECT {
            continue;
        }
        let next = significant.get(place + 1).map(|at| &tokens[*at].token);
        let before = place.checked_sub(1).and_then(|place| significant.get(place)).map(|at| &tokens[*at].token);
        let begins_query = before.is_none_or(|before| {
            *before == Token::LParen
                || matches!(keyword(before), Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT | Keyword::ALL | Keyword::AS)
        });
        let ends = match next {
            None | Some(Token::RParen) => true,
            Some(token) => matches!(keyword(token), Keyword::WHERE | Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT),
        };
        if begins_query && ends {
            empty.push(*at);
        }
    }
    if empty.is_empty() {
        return tokens;
    }
    let mut spelled = Vec::with_capacity(tokens.len() + 8 * empty.len());
    for (at, token) in tokens.into_iter().enumerate() {
        let span = token.span;
        spelled.push(token);
        if empty.contains(&at) {
            let row = [
                Token::make_keyword("FROM"),
                Token::LParen,
                Token::make_keyword("VALUES"),
                Token::LParen,
                Token::make_keyword("NULL"),
                Token::RParen,
                Token::RParen,
            ];
            spelled.extend(row.map(|token| TokenWithSpan { token, span }));
        }
    }
    spelled
}

#[cfg(test)]
mod tests {
    use super::spell_out;
    use crate::sql::spelled::words;

    fn spelled(text: &str) -> String {
        words(text, spell_out)
    }

    #[test]
    fn conditions_at_the_end_close_joins_from_the_inside() {
        assert_eq!(spelled("FROM a JOIN b JOIN c ON p ON q"), "FROM a JOIN ( b JOIN c ON p ) ON q");
        assert_eq!(spelled("FROM a LEFT JOIN b JOIN c JOIN d ON p ON q ON r"), "FROM a LEFT JOIN ( b JOIN ( c JOIN d ON p ) ON q ) ON r");
        assert_eq!(spelled("FROM a JOIN b CROSS JOIN c ON p JOIN d ON q"), "FROM a JOIN ( b CROSS JOIN c ) ON p JOIN d ON q");
        assert_eq!(spelled("FROM a JOIN b NATURAL LEFT JOIN c USING ( x )"), "FROM a JOIN ( b NATURAL LEFT JOIN c ) USING ( x )");
        assert_eq!(spelled("FROM a NATURAL JOIN b JOIN c JOIN d ON p ON q"), "FROM a NATURAL JOIN b JOIN ( c JOIN d ON p ) ON q");
        for text in [
            "FROM a JOIN b ON p JOIN c ON q",
            "FROM a CROSS JOIN b JOIN c ON p",
            "FROM a NATURAL JOIN b JOIN c USING ( x )",
            "FROM a JOIN ( b JOIN c ON p ) ON q",
            "SELECT DISTINCT ON ( a ) a FROM b JOIN c ON p JOIN d ON q",
        ] {
            assert_eq!(spelled(text), text);
        }
    }

    #[test]
    fn select_without_anything() {
        let row = "FROM ( VALUES ( NULL ) )";
        assert_eq!(spelled("SELECT"), format!("SELECT {row}"));
        assert_eq!(spelled("SELECT WHERE true"), format!("SELECT {row} WHERE true"));
        assert_eq!(spelled("SELECT EXISTS (SELECT WHERE a)"), format!("SELECT EXISTS ( SELECT {row} WHERE a )"));
        for text in ["SELECT FROM t WHERE a", "CREATE POLICY p ON t FOR SELECT", "GRANT SELECT ( a ) ON t TO r", "SELECT 1 UNION SELECT 2"]
        {
            assert_eq!(spelled(text), text);
        }
    }
}
