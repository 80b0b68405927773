//! `DECLARE … CURSOR`, `FETCH`, `MOVE` and `CLOSE`, as gram.y has them.

use sqlparser::ast::{SetExpr, Statement};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::{Command, GrammarError, accept_word, accept_words, expect_word, parse_name};
use crate::sqlstate::{SqlError, SqlState};

#[derive(Debug, Clone)]
pub struct DeclareCursor {
    pub name: String,
    /// `None` where neither SCROLL nor NO SCROLL was said.
    pub scroll: Option<bool>,
    /// WITH HOLD: it outlives its transaction.
    pub hold: bool,
    /// FETCH in a simple message answers in binary format.
    pub binary: bool,
    /// Always a query.
    pub query: Box<Statement>,
}

/// `FETCH` and `MOVE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    pub cursor: String,
    pub direction: Direction,
    /// MOVE: no row is sent.
    pub moves: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseCursor {
    /// `None`: ALL.
    pub name: Option<String>,
}

/// Where a FETCH goes. Counts may be negative: the other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Forward(Count),
    Backward(Count),
    Absolute(i64),
    Relative(i64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    All,
    Rows(i64),
}

pub(super) fn parse_declare(parser: &mut Parser) -> Result<Command, GrammarError> {
    expect_word(parser, "DECLARE")?;
    let name = parse_name(parser)?;
    let (mut scroll, mut binary) = (None, false);
    loop {
        if accept_word(parser, "BINARY") {
            binary = true;
        } else if accept_words(parser, &["NO", "SCROLL"]) {
            scroll = Some(false);
        } else if accept_word(parser, "SCROLL") {
            scroll = Some(true);
        } else if !accept_word(parser, "INSENSITIVE") && !accept_word(parser, "ASENSITIVE") {
            // Every cursor reads one snapshot: it is insensitive.
            break;
        }
    }
    expect_word(parser, "CURSOR")?;
    let hold = accept_words(parser, &["WITH", "HOLD"]);
    if !hold {
        accept_words(parser, &["WITHOUT", "HOLD"]);
    }
    expect_word(parser, "FOR")?;
    let query = parser.parse_query()?;
    if matches!(query.body.as_ref(), SetExpr::Select(select) if select.into.is_some()) {
        return Err(SqlError::new(SqlState::SyntaxError, "SELECT ... INTO is not allowed here").into());
    }
    Ok(Command::DeclareCursor(DeclareCursor { name, scroll, hold, binary, query: Box::new(Statement::Query(query)) }))
}

pub(super) fn parse_fetch(parser: &mut Parser) -> Result<Command, GrammarError> {
    let moves = accept_word(parser, "MOVE");
    if !moves {
        expect_word(parser, "FETCH")?;
    }
    let direction = parse_direction(parser)?;
    let _ = accept_word(parser, "FROM") || accept_word(parser, "IN");
    Ok(Command::Fetch(Fetch { cursor: parse_name(parser)?, direction, moves }))
}

pub(super) fn parse_close(parser: &mut Parser) -> Result<Command, GrammarError> {
    expect_word(parser, "CLOSE")?;
    let name = if accept_word(parser, "ALL") { None } else { Some(parse_name(parser)?) };
    Ok(Command::CloseCursor(CloseCursor { name }))
}

/// A word that ends the statement is the cursor's name, whatever else it may mean.
fn parse_direction(parser: &mut Parser) -> Result<Direction, ParserError> {
    let one = Count::Rows(1);
    if matches!(parser.peek_nth_token(1).token, Token::EOF) {
        return Ok(Direction::Forward(one));
    }
    let fixed = [
        ("NEXT", Direction::Forward(one)),
        ("PRIOR", Direction::Backward(one)),
        ("FIRST", Direction::Absolute(1)),
        ("LAST", Direction::Absolute(-1)),
        ("ALL", Direction::Forward(Count::All)),
    ];
    if let Some((_, direction)) = fixed.iter().find(|(word, _)| accept_word(parser, word)) {
        return Ok(*direction);
    }
    if accept_word(parser, "ABSOLUTE") {
        return Ok(Direction::Absolute(parse_count(parser)?));
    }
    if accept_word(parser, "RELATIVE") {
        return Ok(Direction::Relative(parse_count(parser)?));
    }
    if accept_word(parser, "FORWARD") {
        return Ok(Direction::Forward(parse_optional_count(parser)?));
    }
    if accept_word(parser, "BACKWARD") {
        return Ok(Direction::Backward(parse_optional_count(parser)?));
    }
    if begins_count(parser) { Ok(Direction::Forward(Count::Rows(parse_count(parser)?))) } else { Ok(Direction::Forward(one)) }
}

fn parse_optional_count(parser: &mut Parser) -> Result<Count, ParserError> {
    if begins_count(parser) {
        return Ok(Count::Rows(parse_count(parser)?));
    }
    let all = !matches!(parser.peek_nth_token(1).token, Token::EOF) && accept_word(parser, "ALL");
    Ok(if all { Count::All } else { Count::Rows(1) })
}

fn begins_count(parser: &Parser) -> bool {
    matches!(parser.peek_token_ref().token, Token::Number(..) | Token::Minus | Token::Plus)
}

/// A signed whole number of 32 bits, as gram.y's `SignedIconst`.
fn parse_count(parser: &mut Parser) -> Result<i64, ParserError> {
    let negative = parser.consume_token(&Token::Minus);
    if !negative {
        let _ = parser.consume_token(&Token::Plus);
    }
    let count = match &parser.peek_token_ref().token {
        Token::Number(digits, _) => digits.parse::<i32>().ok(),
        _ => None,
    };
    let Some(count) = count else { return parser.expected_ref("a row count", parser.peek_token_ref()) };
    parser.next_token();
    Ok(if negative { -i64::from(count) } else { i64::from(count) })
}

#[cfg(test)]
mod tests {
    use super::super::Command;
    use super::*;
    use crate::sql::parse::parse;

    fn fetch(text: &str) -> (Direction, String, bool) {
        match Command::clone(parse(text).unwrap()[0].command.as_ref().unwrap()) {
            Command::Fetch(fetch) => (fetch.direction, fetch.cursor, fetch.moves),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn directions() {
        let c = || "c".to_owned();
        assert_eq!(fetch("fetch c"), (Direction::Forward(Count::Rows(1)), c(), false));
        assert_eq!(fetch("fetch next from c"), (Direction::Forward(Count::Rows(1)), c(), false));
        assert_eq!(fetch("FETCH FORWARD 100 FROM \"C x\";"), (Direction::Forward(Count::Rows(100)), "C x".to_owned(), false));
        assert_eq!(fetch("fetch all in c"), (Direction::Forward(Count::All), c(), false));
        assert_eq!(fetch("fetch forward all c"), (Direction::Forward(Count::All), c(), false));
        assert_eq!(fetch("move backward 2 in c"), (Direction::Backward(Count::Rows(2)), c(), true));
        assert_eq!(fetch("fetch -3 c"), (Direction::Forward(Count::Rows(-3)), c(), false));
        assert_eq!(fetch("fetch absolute -1 from c"), (Direction::Absolute(-1), c(), false));
        assert_eq!(fetch("fetch relative 0 c"), (Direction::Relative(0), c(), false));
        assert_eq!(fetch("fetch last c"), (Direction::Absolute(-1), c(), false));
    }

    #[test]
    fn a_cursor_may_be_called_like_a_direction() {
        assert_eq!(fetch("fetch next"), (Direction::Forward(Count::Rows(1)), "next".to_owned(), false));
        assert_eq!(fetch("fetch forward all"), (Direction::Forward(Count::Rows(1)), "all".to_owned(), false));
    }

    #[test]
    fn declarations() {
        let declared = |text: &str| match Command::clone(parse(text).unwrap()[0].command.as_ref().unwrap()) {
            Command::DeclareCursor(declare) => (declare.name, declare.scroll, declare.hold, declare.binary),
            other => panic!("{other:?}"),
        };
        assert_eq!(declared("declare C cursor for select 1"), ("c".to_owned(), None, false, false));
        assert_eq!(declared("declare c insensitive no scroll cursor with hold for values (1)"), ("c".to_owned(), Some(false), true, false));
        assert_eq!(declared("declare c scroll cursor without hold for select 1"), ("c".to_owned(), Some(true), false, false));
        assert_eq!(declared("declare c binary cursor for select 1"), ("c".to_owned(), None, false, true));
    }
}
