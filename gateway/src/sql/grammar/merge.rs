//! The actions of MERGE that the parser crate has not: DO NOTHING, INSERT DEFAULT VALUES, and Delta's UPDATE SET * and INSERT *. Their
//! tokens become an UPDATE or INSERT of one column whose name no statement can hold.

use lakegate_engine_api::merge_marks::{ALL, DEFAULTS, NOTHING};
use sqlparser::ast::{AssignmentTarget, MergeAction, ObjectName};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::keyword;

/// `tokens` are one statement's, white space among them.
#[must_use]
pub fn spell_merge_actions(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(|token| keyword(&token.token) == Keyword::MERGE) {
        return tokens;
    }
    let words: Vec<(usize, &Token)> = tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| !matches!(token.token, Token::Whitespace(_)))
        .map(|(at, token)| (at, &token.token))
        .collect();
    let is = |at: usize, wanted: &[Keyword]| {
        wanted.iter().enumerate().all(|(ahead, wanted)| words.get(at + ahead).is_some_and(|(_, token)| keyword(token) == *wanted))
    };
    let star = |at: usize| words.get(at).is_some_and(|(_, token)| **token == Token::Mul);
    let mut spelled: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len() + 16);
    let mut copied = 0;
    let mut by_insert = false;
    for at in 0..words.len() {
        if is(at, &[Keyword::WHEN, Keyword::MATCHED])
            || is(at, &[Keyword::WHEN, Keyword::NOT, Keyword::MATCHED, Keyword::BY, Keyword::SOURCE])
        {
            by_insert = false;
        } else if is(at, &[Keyword::WHEN, Keyword::NOT, Keyword::MATCHED]) {
            by_insert = true;
        }
        let action = at + 1;
        let (mark, inserts, length) = if is(at, &[Keyword::THEN, Keyword::DO, Keyword::NOTHING]) {
            (NOTHING, by_insert, 2)
        } else if is(at, &[Keyword::THEN, Keyword::INSERT]) && star(at + 2) {
            (ALL, true, 2)
        } else if is(at, &[Keyword::THEN, Keyword::UPDATE, Keyword::SET]) && star(at + 3) {
            (ALL, false, 3)
        } else if is(at, &[Keyword::THEN, Keyword::INSERT, Keyword::DEFAULT, Keyword::VALUES]) {
            (DEFAULTS, true, 3)
        } else {
            continue;
        };
        let (Some((first, _)), Some((last, _))) = (words.get(action), words.get(action + length - 1)) else { continue };
        spelled.extend(tokens.get(copied..*first).unwrap_or_default().iter().cloned());
        let span = tokens.get(*first).map_or_else(Span::empty, |token| token.span);
        spelled.extend(written(mark, inserts).into_iter().map(|token| TokenWithSpan { token, span }));
        copied = last + 1;
    }
    spelled.extend(tokens.get(copied..).unwrap_or_default().iter().cloned());
    spelled
}

/// Whether an action of MERGE stands for DO NOTHING.
#[must_use]
pub fn is_do_nothing(action: &MergeAction) -> bool {
    let is_mark = |name: &ObjectName| name.0.last().and_then(|part| part.as_ident()).is_some_and(|ident| ident.value == NOTHING);
    match action {
        MergeAction::Insert(insert) => insert.columns.iter().any(is_mark),
        MergeAction::Update(update) => {
            update.assignments.iter().any(|set| matches!(&set.target, AssignmentTarget::ColumnName(name) if is_mark(name)))
        }
        MergeAction::Delete { .. } => false,
    }
}

fn written(mark: &str, inserts: bool) -> Vec<Token> {
    let name = Token::make_word(mark, Some('"'));
    let null = Token::make_keyword("NULL");
    if inserts {
        let (insert, values) = (Token::make_keyword("INSERT"), Token::make_keyword("VALUES"));
        vec![insert, Token::LParen, name, Token::RParen, values, Token::LParen, null, Token::RParen]
    } else {
        vec![Token::make_keyword("UPDATE"), Token::make_keyword("SET"), name, Token::Eq, null]
    }
}

#[cfg(test)]
mod tests {
    use super::super::Command;
    use super::*;
    use crate::sql::parse::parse;

    fn actions(clauses: &str) -> Vec<MergeAction> {
        let text = format!("merge into t using s on t.a = s.a {clauses}");
        match Command::clone(parse(&text).unwrap()[0].command.as_ref().unwrap()) {
            Command::Sql(statement) => match *statement {
                sqlparser::ast::Statement::Merge(merge) => merge.clauses.into_iter().map(|clause| clause.action).collect(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn actions_that_the_parser_has_not() {
        let found = actions("when matched and case when true then true end then do nothing when not matched then do nothing");
        assert!(found.iter().all(is_do_nothing) && matches!(found.as_slice(), [MergeAction::Update(_), MergeAction::Insert(_)]));
        let found =
            actions("when matched then update set * when not matched by target then insert * when not matched by source then do nothing");
        assert!(matches!(found.as_slice(), [MergeAction::Update(_), MergeAction::Insert(_), MergeAction::Update(_)]));
        assert!(matches!(actions("when not matched then insert default values").as_slice(), [MergeAction::Insert(_)]));
        assert!(!actions("when matched then delete").iter().any(is_do_nothing));
    }
}
