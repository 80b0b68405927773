//! `CREATE TABLE t (LIKE u INCLUDING DEFAULTS, extra int, …)`, which the parser crate takes alone and without most options.

use sqlparser::ast::helpers::stmt_create_table::CreateTableBuilder;
use sqlparser::ast::{ObjectName, OnCommit};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::table::parse_rest;
use super::{Command, GrammarError, accept_word, accept_words, expect_word, keyword};

/// What LIKE takes over besides names, types and NOT NULL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Included {
    pub comments: bool,
    pub constraints: bool,
    pub defaults: bool,
    pub generated: bool,
    pub identity: bool,
    pub indexes: bool,
}

#[derive(Debug, Clone)]
pub struct Like {
    pub source: ObjectName,
    pub included: Included,
    /// Columns of the statement that stand before it.
    pub place: usize,
}

/// Whether a LIKE stands among the elements of the CREATE TABLE at the parser's position.
pub(super) fn is_next(parser: &Parser) -> bool {
    let mut depth = 0_usize;
    let mut before = Token::EOF;
    for ahead in 0.. {
        let token = &parser.peek_nth_token_ref(ahead).token;
        match token {
            Token::EOF => return false,
            Token::LParen => depth += 1,
            Token::RParen if depth <= 1 => return false,
            Token::RParen => depth -= 1,
            token if depth == 0 && matches!(keyword(token), Keyword::AS | Keyword::SELECT) => return false,
            token if depth == 1 && keyword(token) == Keyword::LIKE && matches!(before, Token::LParen | Token::Comma) => return true,
            _ => {}
        }
        before = token.clone();
    }
    false
}

pub(super) fn parse(parser: &mut Parser) -> Result<Command, GrammarError> {
    parser.expect_keyword_is(Keyword::CREATE)?;
    let _ = accept_word(parser, "LOCAL") || accept_word(parser, "GLOBAL");
    let temporary = accept_word(parser, "TEMPORARY") || accept_word(parser, "TEMP");
    let _ = accept_word(parser, "UNLOGGED");
    expect_word(parser, "TABLE")?;
    let if_not_exists = parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
    let name = parser.parse_object_name(false)?;
    parser.expect_token(&Token::LParen)?;
    let (mut columns, mut constraints, mut likes) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        if parser.parse_keyword(Keyword::LIKE) {
            likes.push(Like { source: parser.parse_object_name(false)?, included: parse_included(parser)?, place: columns.len() });
        } else if let Some(constraint) = parser.parse_optional_table_constraint()? {
            constraints.push(constraint);
        } else {
            columns.push(parser.parse_column_def()?);
        }
        if !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    parser.expect_token(&Token::RParen)?;
    let on_commit = if accept_words(parser, &["ON", "COMMIT"]) { Some(parse_on_commit(parser)?) } else { None };
    let sql = CreateTableBuilder::new(name)
        .temporary(temporary)
        .if_not_exists(if_not_exists)
        .columns(columns)
        .constraints(constraints)
        .on_commit(on_commit)
        .build();
    parse_rest(parser, sql, likes)
}

fn parse_on_commit(parser: &mut Parser) -> Result<OnCommit, ParserError> {
    if accept_word(parser, "DROP") {
        return Ok(OnCommit::Drop);
    }
    let deletes = accept_word(parser, "DELETE");
    if !deletes {
        expect_word(parser, "PRESERVE")?;
    }
    expect_word(parser, "ROWS")?;
    Ok(if deletes { OnCommit::DeleteRows } else { OnCommit::PreserveRows })
}

fn parse_included(parser: &mut Parser) -> Result<Included, ParserError> {
    let mut included = Included::default();
    loop {
        let including = accept_word(parser, "INCLUDING");
        if !including && !accept_word(parser, "EXCLUDING") {
            return Ok(included);
        }
        if accept_word(parser, "ALL") {
            included = Included {
                comments: including,
                constraints: including,
                defaults: including,
                generated: including,
                identity: including,
                indexes: including,
            };
            continue;
        }
        let options = [
            ("COMMENTS", &mut included.comments),
            ("CONSTRAINTS", &mut included.constraints),
            ("DEFAULTS", &mut included.defaults),
            ("GENERATED", &mut included.generated),
            ("IDENTITY", &mut included.identity),
            ("INDEXES", &mut included.indexes),
        ];
        match options.into_iter().find(|(word, _)| accept_word(parser, word)) {
            Some((_, option)) => *option = including,
            // Of PostgreSQL's heap; there is nothing to take over.
            None if ["COMPRESSION", "STATISTICS", "STORAGE"].iter().any(|word| accept_word(parser, word)) => {}
            None => return parser.expected_ref("an option of LIKE", parser.peek_token_ref()),
        }
    }
}
