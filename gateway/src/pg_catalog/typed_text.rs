//! Conditions and defaults as `pg_get_expr` prints them: constants and columns with the casts that PostgreSQL's parser puts between them,
//! IN and BETWEEN as what they become. Only where all types are known; everything else stays as it was written. Source: `make_op` in
//! parse_oper.c, `transformAExprIn` in parse_expr.c, `get_rule_expr` and `isSimpleNode` in ruleutils.c.

use std::collections::HashMap;
use std::sync::LazyLock;

use lakegate_catalog::model::{Column, Oid, PgType};
use sqlparser::ast::{BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator, Value};

use super::constants::{self, of_type};
use super::lookup::quoted;
use super::{PG_CATALOG, recorded};
use crate::sql::grammar::fold;
use crate::sql::parse::parse_expression;
use crate::wire::pg_types::type_name;

const BOOL: Oid = PgType::BOOL.oid;
const INT2: Oid = PgType::INT2.oid;
const INT4: Oid = PgType::INT4.oid;
const INT8: Oid = PgType::INT8.oid;
const FLOAT4: Oid = PgType::FLOAT4.oid;
const FLOAT8: Oid = PgType::FLOAT8.oid;
const NUMERIC: Oid = PgType::NUMERIC.oid;
const TEXT: Oid = PgType::TEXT.oid;
const VARCHAR: Oid = PgType::VARCHAR.oid;

/// The text of a CHECK condition; as it was written where types are not known.
#[must_use]
pub fn check_text(expression: &str, columns: &[Column], pretty: bool) -> String {
    let typed = parse_expression(expression).ok().and_then(|expr| condition(&expr, columns, pretty));
    typed.unwrap_or_else(|| if pretty { expression.to_owned() } else { format!("({expression})") })
}

/// A table's CHECK condition, without the outermost parentheses where `pretty`; `None` where a type is not known.
#[must_use]
pub fn condition(expr: &Expr, columns: &[Column], pretty: bool) -> Option<String> {
    let node = Printer { columns, pretty }.node(expr)?;
    (node.oid == Some(BOOL)).then_some(node.text)
}

/// A default or generation expression over `columns`.
#[must_use]
pub fn value(expr: &Expr, columns: &[Column]) -> Option<String> {
    let node = Printer { columns, pretty: false }.node(expr)?;
    node.oid.map(|_| node.text)
}

/// What decides about parentheses where it stands inside another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Simple,
    /// With the precedence of arithmetic, 0 for all others.
    Operator(u8),
    And,
    Or,
    Not,
    Test,
    OfArray,
}

struct Node {
    text: String,
    /// `None`: a literal whose type its neighbour decides.
    oid: Option<Oid>,
    literal: Option<String>,
    kind: Kind,
}

struct Printer<'a> {
    columns: &'a [Column],
    pretty: bool,
}

impl Printer<'_> {
    fn node(&self, expr: &Expr) -> Option<Node> {
        match expr {
            Expr::Nested(inner) => self.node(inner),
            Expr::Identifier(name) => self.column(&fold(name)),
            Expr::Value(value) => of_value(&value.value),
            Expr::Cast { .. } => {
                let text = constants::shown(expr, PgType::TEXT)?;
                let Expr::Cast { data_type, .. } = expr else { return None };
                Some(simple(text, crate::sql::types::column_type(data_type).ok()?.oid))
            }
            Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => match inner.as_ref() {
                Expr::Value(value) => {
                    let of = of_value(&value.value)?.oid?;
                    Some(simple(constants::shown(expr, PgType::plain(of))?, of))
                }
                _ => None,
            },
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
                let inner = self.boolean(expr)?;
                let text = format!("NOT {}", self.inside(&inner, Kind::Not));
                Some(self.closed(text, Kind::Not, BOOL))
            }
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right),
            Expr::Between { expr, negated, low, high } => {
                let (above, below, kind) = match negated {
                    false => (BinaryOperator::GtEq, BinaryOperator::LtEq, Kind::And),
                    true => (BinaryOperator::Lt, BinaryOperator::Gt, Kind::Or),
                };
                let (low, high) = (self.binary(expr, &above, low)?, self.binary(expr, &below, high)?);
                Some(self.joined(&low, &high, kind))
            }
            Expr::InList { expr, list, negated } => self.in_list(expr, list, *negated),
            Expr::Like { negated, any: false, expr, pattern, escape_char: None } => {
                self.operator(expr, if *negated { "!~~" } else { "~~" }, pattern)
            }
            Expr::ILike { negated, any: false, expr, pattern, escape_char: None } => {
                self.operator(expr, if *negated { "!~~*" } else { "~~*" }, pattern)
            }
            Expr::IsNull(inner) => self.test(inner, "IS NULL"),
            Expr::IsNotNull(inner) => self.test(inner, "IS NOT NULL"),
            Expr::IsTrue(inner) => self.test(inner, "IS TRUE"),
            Expr::IsNotTrue(inner) => self.test(inner, "IS NOT TRUE"),
            Expr::IsFalse(inner) => self.test(inner, "IS FALSE"),
            Expr::IsNotFalse(inner) => self.test(inner, "IS NOT FALSE"),
            Expr::Function(function) => self.function(function),
            _ => None,
        }
    }

    fn column(&self, name: &str) -> Option<Node> {
        let column = self.columns.iter().find(|column| column.name == name)?;
        Some(simple(quoted(name), column.data_type.oid))
    }

    fn boolean(&self, expr: &Expr) -> Option<Node> {
        self.node(expr).filter(|node| node.oid == Some(BOOL))
    }

    fn test(&self, expr: &Expr, words: &str) -> Option<Node> {
        let inner = self.node(expr)?;
        inner.oid?;
        Some(self.closed(format!("{} {words}", self.inside(&inner, Kind::Test)), Kind::Test, BOOL))
    }

    fn binary(&self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Option<Node> {
        let (word, precedence) = match op {
            BinaryOperator::And | BinaryOperator::Or => {
                let kind = if *op == BinaryOperator::And { Kind::And } else { Kind::Or };
                return Some(self.joined(&self.boolean(left)?, &self.boolean(right)?, kind));
            }
            BinaryOperator::PGRegexMatch => return self.operator(left, "~", right),
            BinaryOperator::PGRegexIMatch => return self.operator(left, "~*", right),
            BinaryOperator::PGRegexNotMatch => return self.operator(left, "!~", right),
            BinaryOperator::PGRegexNotIMatch => return self.operator(left, "!~*", right),
            BinaryOperator::Eq => ("=", 0),
            BinaryOperator::NotEq => ("<>", 0),
            BinaryOperator::Lt => ("<", 0),
            BinaryOperator::LtEq => ("<=", 0),
            BinaryOperator::Gt => (">", 0),
            BinaryOperator::GtEq => (">=", 0),
            BinaryOperator::Plus => ("+", 1),
            BinaryOperator::Minus => ("-", 1),
            BinaryOperator::Multiply => ("*", 2),
            BinaryOperator::Divide => ("/", 2),
            BinaryOperator::Modulo => ("%", 2),
            BinaryOperator::StringConcat => return self.concatenated(left, right),
            _ => return None,
        };
        let (left, right) = self.alike(self.node(left)?, self.node(right)?)?;
        let result = match precedence {
            0 => BOOL,
            _ => arithmetic(left.oid?, right.oid?)?,
        };
        Some(self.operation(&left, word, &right, precedence, result))
    }

    /// Both sides are text.
    fn operator(&self, left: &Expr, word: &str, right: &Expr) -> Option<Node> {
        let (left, right) = (self.as_text(self.node(left)?)?, self.as_text(self.node(right)?)?);
        Some(self.operation(&left, word, &right, 0, BOOL))
    }

    fn concatenated(&self, left: &Expr, right: &Expr) -> Option<Node> {
        let (left, right) = (self.as_text(self.node(left)?)?, self.as_text(self.node(right)?)?);
        Some(self.operation(&left, "||", &right, 0, TEXT))
    }

    fn as_text(&self, node: Node) -> Option<Node> {
        match node.oid {
            None | Some(VARCHAR) => self.cast(node, TEXT),
            Some(TEXT) => Some(node),
            Some(_) => None,
        }
    }

    /// The casts that an operator's arguments get.
    fn alike(&self, left: Node, right: Node) -> Option<(Node, Node)> {
        let (a, b) = match (left.oid, right.oid) {
            (None, None) => (TEXT, TEXT),
            (Some(VARCHAR), None | Some(VARCHAR | TEXT)) | (None | Some(TEXT), Some(VARCHAR)) => (TEXT, TEXT),
            (Some(known), None) | (None, Some(known)) => (known, known),
            (Some(a), Some(b)) if a == b || (is_integer(a) && is_integer(b)) || (is_float(a) && is_float(b)) => (a, b),
            (Some(NUMERIC), Some(b)) if is_integer(b) => (NUMERIC, NUMERIC),
            (Some(a), Some(NUMERIC)) if is_integer(a) => (NUMERIC, NUMERIC),
            (Some(a), Some(b)) if is_float(a) && (is_integer(b) || b == NUMERIC) => (a, FLOAT8),
            (Some(a), Some(b)) if is_float(b) && (is_integer(a) || a == NUMERIC) => (FLOAT8, b),
            _ => return None,
        };
        Some((self.cast(left, a)?, self.cast(right, b)?))
    }

    fn cast(&self, node: Node, to: Oid) -> Option<Node> {
        match (&node.literal, node.oid) {
            (Some(text), None) => Some(simple(of_type(text, to), to)),
            (_, Some(oid)) if oid == to => Some(node),
            (_, Some(_)) => {
                let inner = match self.pretty {
                    true if node.kind == Kind::Simple => node.text,
                    _ => format!("({})", node.text),
                };
                Some(simple(format!("{inner}::{}", type_name(to)), to))
            }
            (None, None) => None,
        }
    }

    fn in_list(&self, expr: &Expr, list: &[Expr], negated: bool) -> Option<Node> {
        let (word, quantifier, op) = match negated {
            false => ("=", "ANY", BinaryOperator::Eq),
            true => ("<>", "ALL", BinaryOperator::NotEq),
        };
        if let [only] = list {
            return self.binary(expr, &op, only);
        }
        let left = self.node(expr)?;
        let items: Vec<Node> = list.iter().map(|item| self.node(item)).collect::<Option<_>>()?;
        let of_left = left.oid?;
        // The elements' common type, the left side counted.
        let element = items.iter().try_fold(of_left, |so_far, item| match item.oid {
            None => Some(so_far),
            Some(oid) if oid == so_far => Some(so_far),
            Some(oid) if is_integer(oid) && is_integer(so_far) => Some(arithmetic(oid, so_far)?),
            Some(oid) if (is_integer(oid) && so_far == NUMERIC) || (oid == NUMERIC && is_integer(so_far)) => Some(NUMERIC),
            Some(oid) if is_float(so_far) && (is_integer(oid) || oid == NUMERIC) => Some(so_far),
            Some(_) => None,
        })?;
        let items: Vec<String> = items.into_iter().map(|item| Some(self.cast(item, element)?.text)).collect::<Option<_>>()?;
        let array = format!("ARRAY[{}]", items.join(", "));
        let (left, array) = match (of_left, self.pretty) {
            (VARCHAR, false) => (self.cast(left, TEXT)?, format!("({array})::text[]")),
            (VARCHAR, true) => (self.cast(left, TEXT)?, format!("{array}::text[]")),
            _ if is_integer(of_left) && element == NUMERIC => (self.cast(left, NUMERIC)?, array),
            _ => (left, array),
        };
        let text = format!("{} {word} {quantifier} ({array})", self.inside(&left, Kind::OfArray));
        Some(self.closed(text, Kind::OfArray, BOOL))
    }

    fn function(&self, function: &Function) -> Option<Node> {
        let FunctionArguments::List(list) = &function.args else { return None };
        if function.over.is_some() || function.filter.is_some() || list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
            return None;
        }
        let name = match function.name.0.as_slice() {
            [name] => fold(name.as_ident()?),
            _ => return None,
        };
        let args: Vec<Node> = list
            .args
            .iter()
            .map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)) => self.node(arg),
                _ => None,
            })
            .collect::<Option<_>>()?;
        // A literal, and what becomes text by itself, is text where the function takes some.
        let wanted: Vec<Oid> = args.iter().map(|arg| arg.oid.filter(|oid| *oid != VARCHAR).unwrap_or(TEXT)).collect();
        let result = FUNCTIONS.get(&name)?.iter().find(|(types, _)| *types == wanted)?.1;
        let args: Vec<String> =
            args.into_iter().zip(wanted).map(|(arg, wanted)| Some(self.cast(arg, wanted)?.text)).collect::<Option<_>>()?;
        Some(simple(format!("{}({})", quoted(&name), args.join(", ")), result))
    }

    fn operation(&self, left: &Node, word: &str, right: &Node, precedence: u8, result: Oid) -> Node {
        let kind = Kind::Operator(precedence);
        let right_side = match (self.pretty, right.kind) {
            // Of equal rank, the right one keeps them.
            (true, Kind::Operator(own)) if precedence > 0 && own == precedence => format!("({})", right.text),
            _ => self.inside(right, kind),
        };
        self.closed(format!("{} {word} {right_side}", self.inside(left, kind)), kind, result)
    }

    fn joined(&self, left: &Node, right: &Node, kind: Kind) -> Node {
        let word = if kind == Kind::And { "AND" } else { "OR" };
        // A chain is one node.
        let left = match left.kind == kind && !self.pretty {
            true => left.text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or(&left.text).to_owned(),
            false => self.inside(left, kind),
        };
        self.closed(format!("{left} {word} {}", self.inside(right, kind)), kind, BOOL)
    }

    fn closed(&self, text: String, kind: Kind, oid: Oid) -> Node {
        let text = if self.pretty { text } else { format!("({text})") };
        Node { text, oid: Some(oid), literal: None, kind }
    }

    /// With parentheses where the node around it wants some.
    fn inside(&self, node: &Node, around: Kind) -> String {
        let is_plain = !self.pretty
            || match (node.kind, around) {
                (Kind::Simple, _) => true,
                (Kind::Operator(own), Kind::Operator(outer)) => own > 0 && outer > 0 && own >= outer,
                (Kind::Operator(_) | Kind::Test, Kind::And | Kind::Or | Kind::Not) => true,
                (Kind::And | Kind::Not, Kind::And | Kind::Or) | (Kind::Or, Kind::Or) => true,
                _ => false,
            };
        if is_plain { node.text.clone() } else { format!("({})", node.text) }
    }
}

fn of_value(value: &Value) -> Option<Node> {
    match value {
        Value::SingleQuotedString(text) => Some(Node { text: String::new(), oid: None, literal: Some(text.clone()), kind: Kind::Simple }),
        Value::Boolean(value) => Some(simple(value.to_string(), BOOL)),
        Value::Number(digits, _) => Some(simple(digits.clone(), constants::number_type(digits))),
        _ => None,
    }
}

fn simple(text: String, oid: Oid) -> Node {
    Node { text, oid: Some(oid), literal: None, kind: Kind::Simple }
}

fn is_integer(oid: Oid) -> bool {
    matches!(oid, INT2 | INT4 | INT8)
}

fn is_float(oid: Oid) -> bool {
    matches!(oid, FLOAT4 | FLOAT8)
}

/// The type of a sum or product of numbers.
fn arithmetic(left: Oid, right: Oid) -> Option<Oid> {
    const RANKS: [Oid; 6] = [INT2, INT4, INT8, NUMERIC, FLOAT4, FLOAT8];
    let rank = |oid: Oid| RANKS.iter().position(|of| *of == oid);
    RANKS.get(rank(left)?.max(rank(right)?)).copied()
}

/// (types of arguments, type of the result)
type Signature = (Vec<Oid>, Oid);

/// Of the recorded functions that are called by name alone.
static FUNCTIONS: LazyLock<HashMap<String, Vec<Signature>>> = LazyLock::new(|| {
    let columns = recorded::relation(PG_CATALOG, "pg_proc").map(|proc| proc.columns.as_slice()).unwrap_or_default();
    let at = |name: &str| columns.iter().position(|column| column.name == name).unwrap_or(usize::MAX);
    let (names, types, result, kind, set) = (at("proname"), at("proargtypes"), at("prorettype"), at("prokind"), at("proretset"));
    let mut found: HashMap<String, Vec<Signature>> = HashMap::new();
    for line in recorded::lines("pg_proc") {
        let field = |at: usize| line.get(at).and_then(Option::as_deref);
        if field(kind) != Some("f") || field(set) != Some("f") {
            continue;
        }
        let (Some(name), Some(types), Some(result)) = (field(names), field(types), field(result)) else { continue };
        let types: Option<Vec<Oid>> = types.split_ascii_whitespace().map(|oid| oid.parse().ok()).collect();
        if let (Some(types), Ok(result)) = (types, result.parse()) {
            found.entry(name.to_owned()).or_default().push((types, result));
        }
    }
    found
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse::parse_expression;

    fn columns() -> Vec<Column> {
        let column = |name: &str, data_type| Column::new(name, data_type);
        vec![
            column("a", PgType::numeric(10, 2)),
            column("b", PgType::TEXT),
            column("c", PgType::varchar(10)),
            column("d", PgType::INT4),
            column("k", PgType::BOOL),
            column("w", PgType::INT8),
            column("q", PgType::FLOAT8),
        ]
    }

    /// Each as PostgreSQL 15 prints it: plainly, then pretty.
    #[test]
    fn as_postgres_prints_them() {
        for (text, plain, pretty) in [
            ("a > 0", "(a > (0)::numeric)", "a > 0::numeric"),
            ("a > 1.5", "(a > 1.5)", "a > 1.5"),
            ("b <> ''", "(b <> ''::text)", "b <> ''::text"),
            ("c = 'x'", "((c)::text = 'x'::text)", "c::text = 'x'::text"),
            (
                "c IN ('x', 'y')",
                "((c)::text = ANY ((ARRAY['x'::character varying, 'y'::character varying])::text[]))",
                "c::text = ANY (ARRAY['x'::character varying, 'y'::character varying]::text[])",
            ),
            ("d BETWEEN 1 AND 10", "((d >= 1) AND (d <= 10))", "d >= 1 AND d <= 10"),
            ("d NOT IN (1, 2)", "(d <> ALL (ARRAY[1, 2]))", "d <> ALL (ARRAY[1, 2])"),
            ("w IN (1, 2)", "(w = ANY (ARRAY[(1)::bigint, (2)::bigint]))", "w = ANY (ARRAY[1::bigint, 2::bigint])"),
            ("length(b) > 2 AND k", "((length(b) > 2) AND k)", "length(b) > 2 AND k"),
            ("upper(c) = 'A'", "(upper((c)::text) = 'A'::text)", "upper(c::text) = 'A'::text"),
            ("b LIKE 'a%' OR NOT (k IS NULL)", "((b ~~ 'a%'::text) OR (NOT (k IS NULL)))", "b ~~ 'a%'::text OR NOT k IS NULL"),
            ("d > 1 AND d < 9 AND w > d", "((d > 1) AND (d < 9) AND (w > d))", "d > 1 AND d < 9 AND w > d"),
            ("d + 1 > 2 * w", "((d + 1) > (2 * w))", "(d + 1) > (2 * w)"),
            ("a * 2 >= 0", "((a * (2)::numeric) >= (0)::numeric)", "(a * 2::numeric) >= 0::numeric"),
            ("q > 0", "(q > (0)::double precision)", "q > 0::double precision"),
            ("d > 1 AND (d < 9 AND w > d)", "((d > 1) AND ((d < 9) AND (w > d)))", "d > 1 AND d < 9 AND w > d"),
            ("(d < 1 OR k) AND b = 'x'", "(((d < 1) OR k) AND (b = 'x'::text))", "(d < 1 OR k) AND b = 'x'::text"),
            ("d IN (1, 2) AND k", "((d = ANY (ARRAY[1, 2])) AND k)", "(d = ANY (ARRAY[1, 2])) AND k"),
            ("d - 1 - w > 0", "(((d - 1) - w) > 0)", "(d - 1 - w) > 0"),
            ("d - (1 - w) > 0", "((d - (1 - w)) > 0)", "(d - (1 - w)) > 0"),
            ("a > -1", "(a > ('-1'::integer)::numeric)", "a > '-1'::integer::numeric"),
            ("k IS NOT TRUE", "(k IS NOT TRUE)", "k IS NOT TRUE"),
            ("c NOT IN ('x')", "((c)::text <> 'x'::text)", "c::text <> 'x'::text"),
        ] {
            let expr = parse_expression(text).unwrap();
            assert_eq!(condition(&expr, &columns(), false).as_deref(), Some(plain), "{text}");
            assert_eq!(condition(&expr, &columns(), true).as_deref(), Some(pretty), "{text}");
        }
        for text in ["b > 1", "unknown(d) = 1", "d IN (SELECT 1)", "d", "(d, w) = (1, 2)"] {
            assert_eq!(condition(&parse_expression(text).unwrap(), &columns(), false), None, "{text}");
        }
        assert_eq!(value(&parse_expression("upper('x')").unwrap(), &[]).as_deref(), Some("upper('x'::text)"));
        assert_eq!(value(&parse_expression("'a' || 'b'").unwrap(), &[]).as_deref(), Some("('a'::text || 'b'::text)"));
        assert_eq!(value(&parse_expression("1 + 1").unwrap(), &[]).as_deref(), Some("(1 + 1)"));
    }
}
