//! Constructs of other systems that the parser crate lets pass and PostgreSQL's grammar does not, and that would be taken for
//! something else: a JOIN without a condition, `INSERT t`, `count(DISTINCT *)`.

use std::ops::ControlFlow;

use sqlparser::ast::{
    DuplicateTreatment, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, JoinConstraint, JoinOperator, Select, Spanned, Statement,
    TableFactor, TableWithJoins, Visit, Visitor,
};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Word};

/// What PostgreSQL's parser stumbles over.
#[derive(Debug, PartialEq, Eq)]
pub enum Offence {
    /// Where ON or USING should stand, behind this place.
    Behind(Location),
    /// The word after INSERT.
    Into,
    /// The star after DISTINCT.
    Star,
}

/// The first such construct.
#[must_use]
pub fn first(statement: &Statement) -> Option<Offence> {
    statement.visit(&mut Finder).break_value()
}

/// The token that PostgreSQL names; `None` at the statement's end.
#[must_use]
pub fn token<'a>(offence: &Offence, part: &'a [TokenWithSpan]) -> Option<&'a TokenWithSpan> {
    let mut tokens = part.iter().filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
    let is_word = |token: &&TokenWithSpan, word: &str| matches!(&token.token, Token::Word(Word { value, quote_style: None, .. }) if value.eq_ignore_ascii_case(word));
    match offence {
        Offence::Behind(place) => tokens.find(|token| token.span.start >= *place),
        Offence::Into => {
            tokens.find(|token| is_word(token, "INSERT"));
            tokens.next()
        }
        Offence::Star => {
            let mut after_distinct = false;
            tokens.find(|token| {
                let found = after_distinct && token.token == Token::Mul;
                after_distinct = is_word(token, "DISTINCT");
                found
            })
        }
    }
}

struct Finder;

impl Visitor for Finder {
    type Break = Offence;

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<Offence> {
        match statement {
            Statement::Insert(insert) if !insert.into => ControlFlow::Break(Offence::Into),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Offence> {
        select.from.iter().try_for_each(joins)
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Offence> {
        if let Expr::Function(function) = expr
            && let FunctionArguments::List(list) = &function.args
            && list.duplicate_treatment == Some(DuplicateTreatment::Distinct)
            && list.args.iter().any(|argument| matches!(argument, FunctionArg::Unnamed(FunctionArgExpr::Wildcard)))
        {
            return ControlFlow::Break(Offence::Star);
        }
        ControlFlow::Continue(())
    }
}

fn joins(from: &TableWithJoins) -> ControlFlow<Offence> {
    if let TableFactor::NestedJoin { table_with_joins, .. } = &from.relation {
        joins(table_with_joins)?;
    }
    for join in &from.joins {
        if let TableFactor::NestedJoin { table_with_joins, .. } = &join.relation {
            joins(table_with_joins)?;
        }
        let constraint = match &join.join_operator {
            JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::Left(constraint)
            | JoinOperator::LeftOuter(constraint)
            | JoinOperator::Right(constraint)
            | JoinOperator::RightOuter(constraint)
            | JoinOperator::FullOuter(constraint) => constraint,
            _ => continue,
        };
        if *constraint == JoinConstraint::None {
            return ControlFlow::Break(Offence::Behind(join.relation.span().end));
        }
    }
    ControlFlow::Continue(())
}

#[cfg(test)]
mod tests {
    use crate::sql::parse::parse;

    #[test]
    fn what_postgres_refuses_is_refused_at_the_same_token() {
        for (text, expected, position) in [
            ("SELECT * FROM a JOIN b", "syntax error at end of input", 23),
            ("SELECT * FROM a JOIN b x WHERE true", "syntax error at or near \"WHERE\"", 26),
            ("SELECT 1 FROM (a LEFT JOIN b)", "syntax error at or near \")\"", 29),
            ("INSERT t VALUES (1)", "syntax error at or near \"t\"", 8),
            ("SELECT count(DISTINCT *) FROM t", "syntax error at or near \"*\"", 23),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!((error.message.as_str(), error.fields.position), (expected, Some(position)), "{text}");
        }
        for text in [
            "SELECT * FROM a CROSS JOIN b",
            "SELECT * FROM a NATURAL JOIN b",
            "SELECT * FROM a JOIN b USING (x)",
            "SELECT * FROM a JOIN (b JOIN c ON true) ON true",
            "SELECT DISTINCT * FROM a",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }
}
