//! `x BETWEEN SYMMETRIC a AND b`: the parser crate knows no SYMMETRIC. The tokens carry it through the parser as a COLLATE of a name that nobody
//! can write, behind what is compared; the tree then says what PostgreSQL makes of it (gram.y): either order of the bounds.

use std::ops::ControlFlow;

use sqlparser::ast::{BinaryOperator, Expr, Ident, ObjectName, VisitMut, VisitorMut};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

const MARK: &str = "\u{0}symmetric";

/// Marks the conditions; ASYMMETRIC, which is what BETWEEN is anyway, goes.
#[must_use]
pub fn mark(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let significant: Vec<usize> = (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_))).collect();
    let keyword = |at: usize| match tokens.get(at).map(|token| &token.token) {
        Some(Token::Word(word)) if word.quote_style.is_none() => Some(word.value.to_ascii_lowercase()),
        _ => None,
    };
    let mut dropped = Vec::new();
    let mut marked = Vec::new();
    for pair in significant.windows(2) {
        let [between, word] = *pair else { continue };
        if keyword(between).as_deref() != Some("between") {
            continue;
        }
        match keyword(word).as_deref() {
            Some("asymmetric") => dropped.push(word),
            Some("symmetric") => {
                dropped.push(word);
                let before = significant.iter().rev().copied().find(|at| *at < between);
                marked.push(before.filter(|at| keyword(*at).as_deref() == Some("not")).unwrap_or(between));
            }
            _ => {}
        }
    }
    if dropped.is_empty() {
        return tokens;
    }
    let mut spelled = Vec::with_capacity(tokens.len() + 2 * marked.len());
    for (at, token) in tokens.into_iter().enumerate() {
        if marked.contains(&at) {
            let collate = Word { value: "COLLATE".to_owned(), quote_style: None, keyword: Keyword::COLLATE };
            let name = Word { value: MARK.to_owned(), quote_style: Some('"'), keyword: Keyword::NoKeyword };
            spelled.extend([collate, name].map(|word| TokenWithSpan { token: Token::Word(word), span: token.span }));
        }
        if !dropped.contains(&at) {
            spelled.push(token);
        }
    }
    spelled
}

/// What the marks mean.
pub fn spell_out(node: &mut impl VisitMut) {
    let _: ControlFlow<()> = node.visit(&mut Marks);
}

/// Finds them.
pub struct Marks;

impl VisitorMut for Marks {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Between { expr: value, negated, low, high } = expr else { return ControlFlow::Continue(()) };
        if !unmarked(value) {
            return ControlFlow::Continue(());
        }
        let either = |low: &Expr, high: &Expr| {
            let (expr, low, high) = (value.clone(), Box::new(low.clone()), Box::new(high.clone()));
            Box::new(Expr::Between { expr, negated: *negated, low, high })
        };
        let op = if *negated { BinaryOperator::And } else { BinaryOperator::Or };
        let both = Expr::BinaryOp { left: either(low, high), op, right: either(high, low) };
        *expr = Expr::Nested(Box::new(both));
        ControlFlow::Continue(())
    }
}

/// Takes the mark away, which stands at the right end of what is compared.
fn unmarked(expr: &mut Expr) -> bool {
    match expr {
        Expr::Collate { expr: inner, collation } if is_mark(collation) => {
            *expr = inner.as_ref().clone();
            true
        }
        Expr::BinaryOp { right, .. } => unmarked(right),
        Expr::UnaryOp { expr, .. } => unmarked(expr),
        _ => false,
    }
}

fn is_mark(collation: &ObjectName) -> bool {
    matches!(collation.0.as_slice(), [part] if part.as_ident().is_some_and(|name: &Ident| name.value == MARK))
}

#[cfg(test)]
mod tests {
    use crate::sql::parse::parse_expression;

    fn spelled(text: &str) -> String {
        parse_expression(text).unwrap().to_string()
    }

    #[test]
    fn either_order_of_the_bounds() {
        assert_eq!(spelled("a BETWEEN SYMMETRIC b AND c"), "(a BETWEEN b AND c OR a BETWEEN c AND b)");
        assert_eq!(
            spelled("x and a + -1 not between symmetric 3 and 1"),
            "x AND (a + -1 NOT BETWEEN 3 AND 1 AND a + -1 NOT BETWEEN 1 AND 3)"
        );
        assert_eq!(spelled("a BETWEEN ASYMMETRIC 1 AND 2"), "a BETWEEN 1 AND 2");
        assert_eq!(spelled("f(a BETWEEN symmetric 2 AND 1) BETWEEN SYMMETRIC 4 AND 3").matches("BETWEEN").count(), 6);
    }
}
