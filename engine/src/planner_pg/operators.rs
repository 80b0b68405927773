//! Operators by the types of their operands, as `make_op` resolves them: what DataFusion computes the same way stays its
//! binary expression, everything else becomes a call.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::Like;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawAggregateExpr, RawBinaryExpr, RawFieldAccessExpr, RawWindowExpr};
use datafusion::logical_expr::{BinaryExpr, Expr, GetFieldAccess, Operator, lit};
use lakegate_engine_api::SqlMistake;
use lakegate_engine_api::catalog::PgType;
use sqlparser::ast::BinaryOperator;

use super::operand::{Family, Operand, is_unknown};
use super::{PgPlanner, value_order};
use crate::functions::arithmetic::{
    FLOAT_ADD, FLOAT_DIV, FLOAT_MUL, FLOAT_SUB, INT_ADD, INT_MUL, INT_SUB, INT_XOR, NUMERIC_DIV, constant_quotient,
};
use crate::functions::error;
use crate::functions::types::undefined_operator;

/// DataFusion types nested calls in time with the cube of their depth: 400 take seconds.
const CALLS_DEEP_MAX: usize = 400;

impl ExprPlanner for PgPlanner {
    fn plan_binary_op(&self, raw: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let op = builtin(raw.op)?;
        if matches!(op, BinaryOperator::And | BinaryOperator::Or) {
            let [left, right] = [raw.left, raw.right].map(|expr| self.boolean(expr, schema));
            return Ok(PlannerResult::Original(RawBinaryExpr { op, left: left?, right: right? }));
        }
        if calls_deep(&raw.left) > CALLS_DEEP_MAX || calls_deep(&raw.right) > CALLS_DEEP_MAX {
            return Err(error::external(crate::error::too_complex(CALLS_DEEP_MAX)));
        }
        let left = Operand::of(raw.left, schema)?;
        let right = Operand::of(raw.right, schema)?;
        self.binary(&op, left, right).map(PlannerResult::Planned)
    }

    fn plan_field_access(&self, raw: RawFieldAccessExpr, schema: &DFSchema) -> Result<PlannerResult<RawFieldAccessExpr>> {
        match raw.field_access {
            GetFieldAccess::ListIndex { key } => {
                let index = Operand::of(*key, schema)?;
                let operand = Operand::of(raw.expr.clone(), schema)?;
                if operand.family() == Family::Jsonb {
                    return self.jsonb_subscript(operand, index).map(PlannerResult::Planned);
                }
                let is_no_container = match operand.family() {
                    Family::Json | Family::Bool | Family::Int | Family::Numeric | Family::Float => true,
                    Family::Text => operand.pg != PgType::NAME,
                    _ => false,
                };
                if is_no_container && !operand.unknown {
                    let message = format!("cannot subscript type {} because it does not support subscripting", operand.type_name());
                    return Err(error::mistake(SqlMistake::DatatypeMismatch, message));
                }
                let index = index.into_type(PgType::INT4, self.style())?;
                if operand.pg == PgType::NAME {
                    // A name is an array of "char" from 0 on.
                    let character = self.call("substring", vec![operand.expr, index.expr + lit(1_i32), lit(1_i32)])?;
                    return self.call("#as_type", vec![character, lit(PgType::CHAR.oid.to_string())]).map(PlannerResult::Planned);
                }
                self.call("#subscript", vec![raw.expr, index.expr]).map(PlannerResult::Planned)
            }
            GetFieldAccess::ListRange { start, stop, .. } => {
                let start = Operand::of(*start, schema)?.into_type(PgType::INT4, self.style())?;
                let stop = Operand::of(*stop, schema)?.into_type(PgType::INT4, self.style())?;
                self.call("#slice", vec![raw.expr, start.expr, stop.expr]).map(PlannerResult::Planned)
            }
            field_access @ GetFieldAccess::NamedStructField { .. } => {
                let operand = Operand::of(raw.expr.clone(), schema)?;
                match (&field_access, operand.family()) {
                    (_, Family::Json) => {
                        let message = "cannot subscript type json because it does not support subscripting";
                        Err(error::mistake(SqlMistake::DatatypeMismatch, message))
                    }
                    (GetFieldAccess::NamedStructField { name: ScalarValue::Utf8(Some(name)) }, Family::Jsonb) => {
                        self.call("#json_get", vec![operand.expr, lit(name.as_str())]).map(PlannerResult::Planned)
                    }
                    (GetFieldAccess::NamedStructField { name: ScalarValue::Utf8(Some(name)) }, _) => {
                        self.call("#field", vec![raw.expr, lit(name.as_str())]).map(PlannerResult::Planned)
                    }
                    _ => Ok(PlannerResult::Original(RawFieldAccessExpr { field_access, expr: raw.expr })),
                }
            }
        }
    }

    fn plan_array_literal(&self, exprs: Vec<Expr>, schema: &DFSchema) -> Result<PlannerResult<Vec<Expr>>> {
        let exprs = self.unify(exprs, schema, "ARRAY")?;
        self.call("#make_array", exprs).map(PlannerResult::Planned)
    }

    fn plan_position(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        self.call("strpos", args).map(PlannerResult::Planned)
    }

    fn plan_extract(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        self.call("extract", args).map(PlannerResult::Planned)
    }

    fn plan_substring(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        self.call("substring", args).map(PlannerResult::Planned)
    }

    fn plan_overlay(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        self.call("overlay", args).map(PlannerResult::Planned)
    }

    fn plan_aggregate(&self, raw: RawAggregateExpr) -> Result<PlannerResult<RawAggregateExpr>> {
        self.aggregate_call(raw).map(PlannerResult::Planned)
    }

    fn plan_window(&self, raw: RawWindowExpr) -> Result<PlannerResult<RawWindowExpr>> {
        self.window_call(raw).map(PlannerResult::Planned)
    }
}

impl PgPlanner {
    /// Plans one operator.
    ///
    /// # Errors
    /// 42883 where there is none for the types; the input functions' errors for literals.
    pub fn binary(&self, op: &BinaryOperator, left: Operand, right: Operand) -> Result<Expr> {
        if let Some(operator) = comparison(op) {
            let (left, right) = self.comparable(left, right, &op.to_string())?;
            return Ok(binary(left.expr, operator, right.expr));
        }
        match op {
            BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply | BinaryOperator::Divide | BinaryOperator::Modulo => {
                self.arithmetic(op, left, right)
            }
            BinaryOperator::PGExp => self.call("power", vec![left.expr, right.expr]),
            BinaryOperator::StringConcat => self.concat(left, right),
            BinaryOperator::PGRegexMatch => self.regex(left, right, false, false),
            BinaryOperator::PGRegexIMatch => self.regex(left, right, true, false),
            BinaryOperator::PGRegexNotMatch => self.regex(left, right, false, true),
            BinaryOperator::PGRegexNotIMatch => self.regex(left, right, true, true),
            BinaryOperator::PGLikeMatch => self.like(left, right, false, false),
            BinaryOperator::PGILikeMatch => self.like(left, right, false, true),
            BinaryOperator::PGNotLikeMatch => self.like(left, right, true, false),
            BinaryOperator::PGNotILikeMatch => self.like(left, right, true, true),
            BinaryOperator::PGStartsWith => self.call("starts_with", vec![left.expr, right.expr]),
            BinaryOperator::BitwiseAnd => self.bitwise(Operator::BitwiseAnd, op, left, right),
            BinaryOperator::BitwiseOr => self.bitwise(Operator::BitwiseOr, op, left, right),
            BinaryOperator::PGBitwiseXor => self.bitwise(Operator::BitwiseXor, op, left, right),
            BinaryOperator::PGBitwiseShiftLeft => self.bitwise(Operator::BitwiseShiftLeft, op, left, right),
            BinaryOperator::PGBitwiseShiftRight => self.bitwise(Operator::BitwiseShiftRight, op, left, right),
            BinaryOperator::Arrow => self.json(op, "#json_get", left, right),
            BinaryOperator::LongArrow => self.json(op, "#json_get_text", left, right),
            BinaryOperator::HashArrow => self.json_path(op, "#json_path", left, right),
            BinaryOperator::HashLongArrow => self.json_path(op, "#json_path_text", left, right),
            BinaryOperator::Question => self.json(op, "jsonb_exists", left, right),
            BinaryOperator::QuestionPipe => self.json_path(op, "jsonb_exists_any", left, right),
            BinaryOperator::QuestionAnd => self.json_path(op, "jsonb_exists_all", left, right),
            BinaryOperator::HashMinus => self.json_path(op, "jsonb_delete_path", left, right),
            BinaryOperator::AtArrow => self.contains(op, left, right),
            BinaryOperator::ArrowAt => self.contains(op, right, left),
            BinaryOperator::PGOverlap => self.overlaps(op, left, right),
            other => Err(error::unsupported(format_args!("the operator {other}"))),
        }
    }

    /// Both operands in one type under which they compare.
    ///
    /// # Errors
    /// 42883.
    pub fn comparable(&self, left: Operand, right: Operand, op: &str) -> Result<(Operand, Operand)> {
        let style = self.style();
        if let Some(sides) = self.blank_padded(&left, &right)? {
            return Ok(sides);
        }
        let undefined = |left: &Operand, right: &Operand| Err(undefined_operator(&left.type_name(), op, &right.type_name()));
        match (left.family(), right.family()) {
            (Family::Unknown, Family::Unknown) => Ok((left.into_type(PgType::TEXT, style)?, right.into_type(PgType::TEXT, style)?)),
            (Family::Unknown, Family::Record) | (Family::Record, Family::Unknown) => Ok((left, right)),
            (Family::Json, _) | (_, Family::Json) if op != "IS DISTINCT FROM" => undefined(&left, &right),
            (Family::Unknown, Family::Interval) => self.comparable(left.into_type(PgType::INTERVAL, style)?, right, op),
            (Family::Interval, Family::Unknown) => {
                let right = right.into_type(PgType::INTERVAL, style)?;
                self.comparable(left, right, op)
            }
            (Family::Unknown, Family::Jsonb | Family::Array) if value_order::orders(op) || is_json_equality(op, &right) => {
                let left = left.into_type(right.comparison_type(), style)?;
                self.comparable(left, right, op)
            }
            (Family::Jsonb | Family::Array, Family::Unknown) if value_order::orders(op) || is_json_equality(op, &left) => {
                let right = right.into_type(left.comparison_type(), style)?;
                self.comparable(left, right, op)
            }
            (Family::Unknown, _) => {
                let wanted = right.comparison_type();
                Ok((left.into_type(wanted, style)?, right))
            }
            (_, Family::Unknown) => {
                let right = right.into_type(left.comparison_type(), style)?;
                Ok((left, right))
            }
            (Family::Float, Family::Numeric | Family::Int) => Ok((left, right.into_type(PgType::FLOAT8, style)?)),
            (Family::Numeric | Family::Int, Family::Float) => Ok((left.into_type(PgType::FLOAT8, style)?, right)),
            (Family::Int | Family::Numeric | Family::Oid, Family::Int | Family::Numeric | Family::Oid) => {
                if (left.family() == Family::Oid && right.family() == Family::Numeric)
                    || (left.family() == Family::Numeric && right.family() == Family::Oid)
                {
                    return undefined(&left, &right);
                }
                Ok((fit_literal(left.clone(), &right), fit_literal(right, &left)))
            }
            (Family::Date, Family::Timestamp) => Ok((left.into_type(PgType::TIMESTAMP, style)?, right)),
            (Family::Timestamp, Family::Date) => Ok((left, right.into_type(PgType::TIMESTAMP, style)?)),
            (Family::Date | Family::Timestamp, Family::Timestamptz) => Ok((left.into_type(PgType::TIMESTAMPTZ, style)?, right)),
            (Family::Timestamptz, Family::Date | Family::Timestamp) => Ok((left, right.into_type(PgType::TIMESTAMPTZ, style)?)),
            (Family::Time, Family::Interval) => Ok((left.into_type(PgType::INTERVAL, style)?, right)),
            (Family::Interval, Family::Time) => Ok((left, right.into_type(PgType::INTERVAL, style)?)),
            (Family::Interval, Family::Interval) => Ok((self.interval_key(left)?, self.interval_key(right)?)),
            (Family::Uuid, Family::Text) | (Family::Text, Family::Uuid) => undefined(&left, &right),
            (Family::Jsonb, Family::Jsonb) if value_order::orders(op) || is_json_equality(op, &left) => {
                Ok((self.jsonb_key(left)?, self.jsonb_key(right)?))
            }
            (Family::Array, Family::Array) if value_order::orders(op) => self.array_order(left, right),
            (a, b) if a == b => Ok((left, right)),
            _ => undefined(&left, &right),
        }
    }

    /// Blanks at the end say nothing where `char(n)` is compared with `char(n)`, `varchar` or an open operand; with `text` they do.
    /// Values of `char(n)` are without them already. Source: `bpchareq`, and `func_select_candidate` for which operator it is.
    fn blank_padded(&self, left: &Operand, right: &Operand) -> Result<Option<(Operand, Operand)>> {
        const BPCHAR: u32 = 1042;
        const VARCHAR: u32 = 1043;
        let is = |operand: &Operand, oid: u32| !operand.unknown && operand.pg.oid == oid && operand.family() == Family::Text;
        // A parameter that an earlier planning took for `char(n)` brings its blanks along.
        let parameter = |operand: &Operand| matches!(operand.expr, Expr::Placeholder(_)) && is(operand, BPCHAR);
        let beside = |operand: &Operand| operand.unknown || is(operand, VARCHAR) || parameter(operand);
        Ok(match (left, right) {
            (column, other) if is(column, BPCHAR) && beside(other) => Some((column.clone(), self.without_blanks(other.clone())?)),
            (other, column) if is(column, BPCHAR) && beside(other) => Some((self.without_blanks(other.clone())?, column.clone())),
            _ => None,
        })
    }

    fn without_blanks(&self, operand: Operand) -> Result<Operand> {
        let open = matches!(operand.expr, Expr::Placeholder(_)) && operand.unknown;
        let text = operand.into_type(if open { PgType::plain(1042) } else { PgType::TEXT }, self.style())?;
        if let Expr::Literal(ScalarValue::Utf8(Some(value)), metadata) = &text.expr {
            let value = ScalarValue::Utf8(Some(value.trim_end_matches(' ').to_owned()));
            return Ok(Operand { expr: Expr::Literal(value, metadata.clone()), ..text });
        }
        let expr = self.call("rtrim", vec![text.expr])?;
        Ok(Operand { expr, pg: PgType::TEXT, arrow: text.arrow, unknown: false })
    }

    fn arithmetic(&self, op: &BinaryOperator, left: Operand, right: Operand) -> Result<Expr> {
        let style = self.style();
        let symbol = op.to_string();
        let plus = matches!(op, BinaryOperator::Plus);
        let minus = matches!(op, BinaryOperator::Minus);
        let multiply = matches!(op, BinaryOperator::Multiply);
        let divide = matches!(op, BinaryOperator::Divide);
        let undefined = || undefined_operator(&left.type_name(), &symbol, &right.type_name());
        use Family::{Date, Float, Int, Interval, Json, Jsonb, Numeric, Oid, Text, Time, Timestamp, Timestamptz, Unknown};
        match (left.family(), right.family()) {
            (Unknown, Unknown) => {
                let is_null = |operand: &Operand| matches!(&operand.expr, Expr::Literal(value, _) if value.is_null());
                if is_null(&left) && is_null(&right) {
                    return Ok(lit(ScalarValue::Int32(None)));
                }
                Err(error::mistake(
                    lakegate_engine_api::SqlMistake::AmbiguousFunction,
                    format_args!("operator is not unique: unknown {symbol} unknown"),
                ))
            }
            (Unknown, family) => {
                let wanted = match family {
                    Timestamp | Timestamptz | Date | Time if plus => PgType::INTERVAL,
                    Interval if multiply => PgType::FLOAT8,
                    _ => left_or_same(&right),
                };
                let left = left.into_type(wanted, style)?;
                self.arithmetic(op, left, right)
            }
            (family, Unknown) => {
                let wanted = match family {
                    Timestamp | Timestamptz | Time if plus => PgType::INTERVAL,
                    Date if plus => PgType::INTERVAL,
                    Interval if multiply || divide => PgType::FLOAT8,
                    Jsonb if minus => PgType::TEXT,
                    _ => left_or_same(&left),
                };
                let right = right.into_type(wanted, style)?;
                self.arithmetic(op, left, right)
            }
            (Int, Int) => self.integers(op, left, right),
            (Oid, Int | Oid) | (Int, Oid) => {
                let (left, right) = (left.into_type(PgType::INT8, style)?, right.into_type(PgType::INT8, style)?);
                self.integers(op, left, right)
            }
            (Float, Float | Int | Numeric) | (Int | Numeric, Float) => {
                if matches!(op, BinaryOperator::Modulo) {
                    return Err(undefined());
                }
                let wanted = if left.pg == PgType::FLOAT4 && right.pg == PgType::FLOAT4 { PgType::FLOAT4 } else { PgType::FLOAT8 };
                let (left, right) = (left.into_type(wanted, style)?, right.into_type(wanted, style)?);
                let operation = match op {
                    BinaryOperator::Plus => &FLOAT_ADD,
                    BinaryOperator::Minus => &FLOAT_SUB,
                    BinaryOperator::Multiply => &FLOAT_MUL,
                    _ => &FLOAT_DIV,
                };
                Ok(operation.call(vec![left.expr, right.expr]))
            }
            (Numeric, Numeric | Int) | (Int, Numeric) => {
                let (left, right) = (decimal_literal(left), decimal_literal(right));
                if divide {
                    return Ok(constant_quotient(&left, &right).unwrap_or_else(|| NUMERIC_DIV.call(vec![left, right])));
                }
                Ok(binary(left, operator(op)?, right))
            }
            (Date, Int) if plus || minus => {
                let days = right.into_type(PgType::INT4, style)?;
                self.call(if plus { "#date_add" } else { "#date_sub" }, vec![left.expr, days.expr])
            }
            (Int, Date) if plus => {
                let days = left.into_type(PgType::INT4, style)?;
                self.call("#date_add", vec![right.expr, days.expr])
            }
            (Date, Date) if minus => self.call("#date_diff", vec![left.expr, right.expr]),
            (Date, Time) if plus => self.call("#date_time", vec![left.expr, right.expr]),
            (Time, Date) if plus => self.call("#date_time", vec![right.expr, left.expr]),
            (Date, Interval) if plus || minus => {
                let left = left.into_type(PgType::TIMESTAMP, style)?;
                self.arithmetic(op, left, right)
            }
            (Interval, Date | Timestamp | Timestamptz | Time) if plus => self.arithmetic(op, right, left),
            (Timestamp, Interval) if plus || minus => {
                self.call(if plus { "#timestamp_add" } else { "#timestamp_sub" }, vec![left.expr, right.expr])
            }
            (Timestamptz, Interval) if plus || minus => {
                self.call(if plus { "#timestamptz_add" } else { "#timestamptz_sub" }, vec![left.expr, right.expr])
            }
            (Date | Timestamp | Timestamptz, Date | Timestamp | Timestamptz) if minus => {
                let (left, right) = self.comparable(left, right, "-")?;
                self.call("#timestamp_diff", vec![left.expr, right.expr])
            }
            (Time, Interval) if plus || minus => self.call(if plus { "#time_add" } else { "#time_sub" }, vec![left.expr, right.expr]),
            (Time, Time) if minus => self.call("#time_diff", vec![left.expr, right.expr]),
            (Time, Time) if plus => {
                let right = right.into_type(PgType::INTERVAL, style)?;
                self.arithmetic(op, left, right)
            }
            (Interval, Interval) if plus || minus => {
                self.call(if plus { "#interval_add" } else { "#interval_sub" }, vec![left.expr, right.expr])
            }
            (Interval, Float | Int | Numeric) if multiply || divide => {
                let factor = right.into_type(PgType::FLOAT8, style)?;
                self.call(if multiply { "#interval_mul" } else { "#interval_div" }, vec![left.expr, factor.expr])
            }
            (Float | Int | Numeric, Interval) if multiply => self.arithmetic(op, right, left),
            (Jsonb, Text | Int | Family::Array) if minus => self.call("jsonb_delete", vec![left.expr, right.expr]),
            (Json, _) => Err(undefined()),
            _ => Err(undefined()),
        }
    }

    fn integers(&self, op: &BinaryOperator, left: Operand, right: Operand) -> Result<Expr> {
        let rank = |pg: PgType| match pg.oid {
            21 => 0,
            23 => 1,
            _ => 2,
        };
        let wanted = if rank(left.pg) >= rank(right.pg) { left.pg } else { right.pg };
        let (left, right) = (into_integer(left, wanted, self)?, into_integer(right, wanted, self)?);
        Ok(match op {
            BinaryOperator::Plus => INT_ADD.call(vec![left, right]),
            BinaryOperator::Minus => INT_SUB.call(vec![left, right]),
            BinaryOperator::Multiply => INT_MUL.call(vec![left, right]),
            _ => binary(left, operator(op)?, right),
        })
    }

    fn concat(&self, left: Operand, right: Operand) -> Result<Expr> {
        let style = self.style();
        match (left.family(), right.family()) {
            (Family::Array, Family::Array) => self.call("array_cat", vec![left.expr, right.expr]),
            (Family::Array, Family::Unknown) => {
                let right = right.into_type(left.comparison_type(), style)?;
                self.call("array_cat", vec![left.expr, right.expr])
            }
            (Family::Unknown, Family::Array) => {
                let left = left.into_type(right.comparison_type(), style)?;
                self.call("array_cat", vec![left.expr, right.expr])
            }
            (Family::Array, _) => self.call("array_append", vec![left.expr, right.expr]),
            (_, Family::Array) => self.call("array_prepend", vec![left.expr, right.expr]),
            (Family::Jsonb, Family::Jsonb) => self.call("#jsonb_concat", vec![left.expr, right.expr]),
            (Family::Jsonb, Family::Unknown) => {
                let right = right.into_type(PgType::JSONB, style)?;
                self.call("#jsonb_concat", vec![left.expr, right.expr])
            }
            (Family::Unknown, Family::Jsonb) => {
                let left = left.into_type(PgType::JSONB, style)?;
                self.call("#jsonb_concat", vec![left.expr, right.expr])
            }
            (Family::Bytea, Family::Bytea) => self.call("#bytea_cat", vec![left.expr, right.expr]),
            (Family::Bytea, Family::Unknown) => {
                let right = right.into_type(PgType::BYTEA, style)?;
                self.call("#bytea_cat", vec![left.expr, right.expr])
            }
            (Family::Unknown, Family::Bytea) => {
                let left = left.into_type(PgType::BYTEA, style)?;
                self.call("#bytea_cat", vec![left.expr, right.expr])
            }
            (Family::Text | Family::Unknown, _) | (_, Family::Text | Family::Unknown) => {
                let (left, right) = (left.into_type(PgType::TEXT, style)?, right.into_type(PgType::TEXT, style)?);
                Ok(binary(left.expr, Operator::StringConcat, right.expr))
            }
            _ => Err(undefined_operator(&left.type_name(), "||", &right.type_name())),
        }
    }

    /// `~` and its kin; a constant pattern is translated now and stays DataFusion's operator, so that prefixes prune.
    pub fn regex(&self, left: Operand, right: Operand, insensitive: bool, negated: bool) -> Result<Expr> {
        let style = self.style();
        let name = match (insensitive, negated) {
            (false, false) => "~",
            (true, false) => "~*",
            (false, true) => "!~",
            (true, true) => "!~*",
        };
        if !matches!(left.family(), Family::Text | Family::Unknown) || !matches!(right.family(), Family::Text | Family::Unknown) {
            return Err(undefined_operator(&left.type_name(), name, &right.type_name()));
        }
        let left = left.into_type(PgType::TEXT, style)?;
        let right = right.into_type(PgType::TEXT, style)?;
        if let Expr::Literal(ScalarValue::Utf8(Some(pattern)), _) = &right.expr {
            let translated = crate::functions::regex::translate(pattern, insensitive)?;
            let operator = if negated { Operator::RegexNotMatch } else { Operator::RegexMatch };
            return Ok(binary(left.expr, operator, lit(translated)));
        }
        let flags = if insensitive { "i" } else { "" };
        let matched = self.call("regexp_like", vec![left.expr, right.expr, lit(flags)])?;
        Ok(if negated { Expr::Not(Box::new(matched)) } else { matched })
    }

    fn like(&self, left: Operand, right: Operand, negated: bool, case_insensitive: bool) -> Result<Expr> {
        let style = self.style();
        if !matches!(left.family(), Family::Text | Family::Unknown) || !matches!(right.family(), Family::Text | Family::Unknown) {
            return Err(undefined_operator(&left.type_name(), "~~", &right.type_name()));
        }
        let (left, right) = (left.into_type(PgType::TEXT, style)?, right.into_type(PgType::TEXT, style)?);
        Ok(Expr::Like(Like { negated, expr: Box::new(left.expr), pattern: Box::new(right.expr), escape_char: None, case_insensitive }))
    }

    fn bitwise(&self, operator: Operator, op: &BinaryOperator, left: Operand, right: Operand) -> Result<Expr> {
        let style = self.style();
        match (left.family(), right.family()) {
            (Family::Int, Family::Int) if matches!(operator, Operator::BitwiseShiftLeft | Operator::BitwiseShiftRight) => {
                let right = right.into_type(left.pg, style)?;
                Ok(binary(left.expr, operator, right.expr))
            }
            (Family::Int, Family::Int) => {
                let wanted = if left.arrow.primitive_width() >= right.arrow.primitive_width() { left.pg } else { right.pg };
                let (left, right) = (into_integer(left, wanted, self)?, into_integer(right, wanted, self)?);
                match operator {
                    Operator::BitwiseXor => Ok(INT_XOR.call(vec![left, right])),
                    _ => Ok(binary(left, operator, right)),
                }
            }
            (Family::Int, Family::Unknown) => {
                let right = right.into_type(left.pg, style)?;
                self.bitwise(operator, op, left, right)
            }
            (Family::Unknown, Family::Int) => {
                let left = left.into_type(right.pg, style)?;
                self.bitwise(operator, op, left, right)
            }
            _ => Err(undefined_operator(&left.type_name(), &op.to_string(), &right.type_name())),
        }
    }

    fn contains(&self, op: &BinaryOperator, whole: Operand, part: Operand) -> Result<Expr> {
        let style = self.style();
        match (whole.family(), part.family()) {
            (Family::Unknown, family @ (Family::Array | Family::Jsonb)) | (family @ (Family::Array | Family::Jsonb), Family::Unknown) => {
                let _ = family;
                let (whole, part) = if whole.unknown {
                    let whole = whole.into_type(part.comparison_type(), style)?;
                    (whole, part)
                } else {
                    let part = part.into_type(whole.comparison_type(), style)?;
                    (whole, part)
                };
                self.contains(op, whole, part)
            }
            (Family::Array, Family::Array) => self.call("#array_contains", vec![whole.expr, part.expr]),
            (Family::Jsonb, Family::Jsonb) => self.call("#jsonb_contains", vec![whole.expr, part.expr]),
            _ => Err(undefined_operator(&whole.type_name(), &op.to_string(), &part.type_name())),
        }
    }

    fn overlaps(&self, op: &BinaryOperator, left: Operand, right: Operand) -> Result<Expr> {
        let style = self.style();
        match (left.family(), right.family()) {
            (Family::Array, Family::Unknown) => {
                let right = right.into_type(left.comparison_type(), style)?;
                self.call("#array_overlaps", vec![left.expr, right.expr])
            }
            (Family::Unknown, Family::Array) => {
                let left = left.into_type(right.comparison_type(), style)?;
                self.call("#array_overlaps", vec![left.expr, right.expr])
            }
            (Family::Array, Family::Array) => self.call("#array_overlaps", vec![left.expr, right.expr]),
            _ => Err(undefined_operator(&left.type_name(), &op.to_string(), &right.type_name())),
        }
    }

    fn boolean(&self, expr: Expr, schema: &DFSchema) -> Result<Expr> {
        // What was made by this very operator needs no second look: chains of conditions are long.
        if !is_unknown(&expr) {
            return Ok(expr);
        }
        Operand::of(expr, schema)?.into_type(PgType::BOOL, self.style()).map(|operand| operand.expr)
    }
}

/// Calls inside each other along first arguments, as a chain of checked additions makes them.
fn calls_deep(mut expr: &Expr) -> usize {
    let mut depth = 0;
    while let Expr::ScalarFunction(call) = expr
        && let Some(first) = call.args.first()
    {
        expr = first;
        depth += 1;
    }
    depth
}

/// What an open operand of an arithmetic operator becomes: the other's type, without its modifier.
fn left_or_same(known: &Operand) -> PgType {
    known.comparison_type()
}

fn into_integer(operand: Operand, wanted: PgType, planner: &PgPlanner) -> Result<Expr> {
    if operand.pg == wanted {
        return Ok(operand.expr);
    }
    if let Some(value) = integer_literal(&operand.expr) {
        return Ok(match wanted.oid {
            21 => i16::try_from(value).map_or(operand.expr, lit),
            23 => i32::try_from(value).map_or(operand.expr, lit),
            _ => lit(value),
        });
    }
    operand.into_type(wanted, planner.style()).map(|operand| operand.expr)
}

/// A literal in the width of the column it is compared with, where it fits: then the column needs no cast and prunes.
fn fit_literal(operand: Operand, other: &Operand) -> Operand {
    let Some(value) = integer_literal(&operand.expr) else { return operand };
    let (expr, pg) = match other.arrow {
        DataType::Int16 => match i16::try_from(value) {
            Ok(value) => (lit(value), PgType::INT2),
            Err(_) => return operand,
        },
        DataType::Int32 => match i32::try_from(value) {
            Ok(value) => (lit(value), PgType::INT4),
            Err(_) => return operand,
        },
        DataType::Int64 => (lit(value), PgType::INT8),
        _ => return operand,
    };
    Operand { expr, pg, arrow: other.arrow.clone(), unknown: false }
}

/// Integer literals beside a numeric take only the digits they need, so that products keep room.
fn decimal_literal(operand: Operand) -> Expr {
    match integer_literal(&operand.expr) {
        Some(value) => {
            let digits = u8::try_from(value.unsigned_abs().to_string().len()).unwrap_or(19);
            lit(ScalarValue::Decimal128(Some(i128::from(value)), digits, 0))
        }
        None => operand.expr,
    }
}

fn integer_literal(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::Int16(Some(value)), _) => Some(i64::from(*value)),
        Expr::Literal(ScalarValue::Int32(Some(value)), _) => Some(i64::from(*value)),
        Expr::Literal(ScalarValue::Int64(Some(value)), _) => Some(*value),
        _ => None,
    }
}

fn binary(left: Expr, operator: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), operator, Box::new(right)))
}

/// DataFusion's name of a comparison.
#[must_use]
pub fn comparison(op: &BinaryOperator) -> Option<Operator> {
    Some(match op {
        BinaryOperator::Eq => Operator::Eq,
        BinaryOperator::NotEq => Operator::NotEq,
        BinaryOperator::Lt => Operator::Lt,
        BinaryOperator::LtEq => Operator::LtEq,
        BinaryOperator::Gt => Operator::Gt,
        BinaryOperator::GtEq => Operator::GtEq,
        _ => return None,
    })
}

fn operator(op: &BinaryOperator) -> Result<Operator> {
    Ok(match op {
        BinaryOperator::Plus => Operator::Plus,
        BinaryOperator::Minus => Operator::Minus,
        BinaryOperator::Multiply => Operator::Multiply,
        BinaryOperator::Divide => Operator::Divide,
        BinaryOperator::Modulo => Operator::Modulo,
        other => return Err(error::unsupported(format_args!("the operator {other}"))),
    })
}

/// `OPERATOR(pg_catalog.~)` is `~`.
fn builtin(op: BinaryOperator) -> Result<BinaryOperator> {
    let BinaryOperator::PGCustomBinaryOperator(parts) = op else { return Ok(op) };
    let symbol = match parts.as_slice() {
        [symbol] => symbol,
        [schema, symbol] if schema.eq_ignore_ascii_case("pg_catalog") => symbol,
        _ => {
            return Err(error::mistake(
                lakegate_engine_api::SqlMistake::UndefinedFunction,
                format_args!("operator does not exist: {}", parts.join(".")),
            ));
        }
    };
    Ok(match symbol.as_str() {
        "=" => BinaryOperator::Eq,
        "<>" | "!=" => BinaryOperator::NotEq,
        "<" => BinaryOperator::Lt,
        "<=" => BinaryOperator::LtEq,
        ">" => BinaryOperator::Gt,
        ">=" => BinaryOperator::GtEq,
        "+" => BinaryOperator::Plus,
        "-" => BinaryOperator::Minus,
        "*" => BinaryOperator::Multiply,
        "/" => BinaryOperator::Divide,
        "%" => BinaryOperator::Modulo,
        "^" => BinaryOperator::PGExp,
        "||" => BinaryOperator::StringConcat,
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "~~*" => BinaryOperator::PGILikeMatch,
        "!~~" => BinaryOperator::PGNotLikeMatch,
        "!~~*" => BinaryOperator::PGNotILikeMatch,
        "&" => BinaryOperator::BitwiseAnd,
        "|" => BinaryOperator::BitwiseOr,
        "#" => BinaryOperator::PGBitwiseXor,
        "@>" => BinaryOperator::AtArrow,
        "<@" => BinaryOperator::ArrowAt,
        "&&" => BinaryOperator::PGOverlap,
        "->" => BinaryOperator::Arrow,
        "->>" => BinaryOperator::LongArrow,
        other => return Err(error::unsupported(format_args!("the operator {other}"))),
    })
}

/// Equal jsonb values may be written differently: 1 and 1.0.
fn is_json_equality(op: &str, operand: &Operand) -> bool {
    operand.family() == Family::Jsonb && matches!(op, "=" | "<>" | "!=")
}
