//! `to_char` and `to_number` of numbers: the template patterns of documentation section 9.8, table 9.29.

use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, Field};
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;
use lakegate_engine_api::DataError;

use super::call::Row;
use super::error::{data, mistake, unsupported};
use super::function::{Body, Columns, PgFunction, Returns};
use super::text::number::{self, Decimal};
use super::to_char::suffix;
use super::types::Ty;

/// Digits after the point that `to_number` keeps.
const TO_NUMBER_SCALE: i8 = lakegate_engine_api::NUMERIC_FROM_TEXT.1;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        PgFunction::immutable("to_number")
            .on(
                &[Ty::TEXT, Ty::TEXT],
                Returns::By(|_| {
                    Ok(Field::new("", DataType::Decimal256(lakegate_engine_api::NUMERIC_FROM_TEXT.0, TO_NUMBER_SCALE), true)
                        .with_metadata([(lakegate_engine_api::PG_TYPE_KEY.to_owned(), "1700".to_owned())].into()))
                }),
                Body::Columns(Box::new(to_number_column)),
            )
            .build(),
    ]
}

/// Adds the overloads over numbers to `to_char`.
#[must_use]
pub fn numeric_overloads(function: PgFunction) -> PgFunction {
    let text = |body: fn(&Row<'_>) -> Result<Option<String>>| Body::Text(Box::new(body));
    function
        .on(&[Ty::INT4, Ty::TEXT], Ty::TEXT, text(|row| format(&row.int(0).to_string(), row.text(1)).map(Some)))
        .on(&[Ty::INT8, Ty::TEXT], Ty::TEXT, text(|row| format(&row.int(0).to_string(), row.text(1)).map(Some)))
        .on(&[Ty::FLOAT8, Ty::TEXT], Ty::TEXT, text(|row| float(row.float(0), row.text(1)).map(Some)))
        .on(&[Ty::Numeric, Ty::TEXT], Ty::TEXT, text(|row| numeric(row).map(Some)))
}

fn float(value: f64, template: &str) -> Result<String> {
    if !value.is_finite() {
        return Err(unsupported("to_char of NaN and infinity"));
    }
    // float8 shows no more digits than it has.
    format(&format!("{value:.*}", 15_usize.saturating_sub(whole_digits(value))), template)
}

fn whole_digits(value: f64) -> usize {
    format!("{:.0}", value.abs().trunc()).len()
}

fn numeric(row: &Row<'_>) -> Result<String> {
    let Some((array, at)) = row.value(0) else { return Ok(String::new()) };
    let text = match array.data_type() {
        DataType::Decimal128(_, scale) => number::decimal(&array.as_primitive::<Decimal128Type>().value(at).to_string(), *scale),
        DataType::Decimal256(_, scale) => number::decimal(&array.as_primitive::<Decimal256Type>().value(at).to_string(), *scale),
        other => return Err(unsupported(format_args!("to_char of {other}"))),
    };
    format(&text, row.text(1))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Nine,
    Zero,
    Point,
    Comma,
    Sign,
    Minus,
    Plus,
    PlusMinus,
    Brackets,
    Currency,
    Ordinal(bool),
    Char(char),
}

#[derive(Debug, Default)]
struct Template {
    nodes: Vec<Node>,
    pre: usize,
    post: usize,
    /// First position of a `0`, counted in digits.
    zero_start: Option<usize>,
    fill: bool,
    sign: bool,
    sign_last: bool,
    minus: bool,
    plus: bool,
    brackets: bool,
    multiply: usize,
    exponent: bool,
    roman: Option<bool>,
    has_point: bool,
}

fn parse(text: &str) -> Result<Template> {
    let mut template = Template::default();
    let mut rest = text;
    let mut multiplying = false;
    let syntax = |message: &str| mistake(lakegate_engine_api::SqlMistake::Syntax, message);
    while let Some(c) = rest.chars().next() {
        let upper: String = rest.chars().take(4).collect::<String>().to_ascii_uppercase();
        let (node, used) = match upper.as_str() {
            word if word.starts_with("EEEE") => {
                template.exponent = true;
                (None, 4)
            }
            word if word.starts_with("FM") => {
                template.fill = true;
                (None, 2)
            }
            word if word.starts_with("MI") => {
                template.minus = true;
                (Some(Node::Minus), 2)
            }
            word if word.starts_with("PL") => {
                template.plus = true;
                (Some(Node::Plus), 2)
            }
            word if word.starts_with("SG") => {
                (template.minus, template.plus) = (true, true);
                (Some(Node::PlusMinus), 2)
            }
            word if word.starts_with("PR") => {
                template.brackets = true;
                (Some(Node::Brackets), 2)
            }
            word if word.starts_with("RN") => {
                template.roman = Some(c.is_ascii_uppercase());
                (None, 2)
            }
            word if word.starts_with("TH") => (Some(Node::Ordinal(c.is_ascii_uppercase())), 2),
            _ => match c {
                '9' | '0' => {
                    if template.has_point {
                        template.post += 1;
                    } else if multiplying {
                        template.multiply += 1;
                    } else {
                        template.pre += 1;
                    }
                    if c == '0' && !template.has_point && template.zero_start.is_none() {
                        template.zero_start = Some(template.pre + template.multiply);
                    }
                    (Some(if c == '0' { Node::Zero } else { Node::Nine }), 1)
                }
                '.' | 'd' | 'D' => {
                    if template.has_point {
                        return Err(syntax("multiple decimal points"));
                    }
                    template.has_point = true;
                    (Some(Node::Point), 1)
                }
                ',' | 'g' | 'G' => (Some(Node::Comma), 1),
                's' | 'S' => {
                    template.sign = true;
                    template.sign_last = template.pre + template.post + template.multiply > 0;
                    (Some(Node::Sign), 1)
                }
                'v' | 'V' => {
                    multiplying = true;
                    (None, 1)
                }
                'l' | 'L' => (Some(Node::Currency), 1),
                '"' => {
                    let body = rest.get(1..).unwrap_or_default();
                    let end = body.find('"').unwrap_or(body.len());
                    template.nodes.extend(body.get(..end).unwrap_or_default().chars().map(Node::Char));
                    (None, (end + 2).min(rest.len()))
                }
                '\\' if rest.get(1..).is_some_and(|after| after.starts_with('"')) => (Some(Node::Char('"')), 2),
                c => (Some(Node::Char(c)), c.len_utf8()),
            },
        };
        template.nodes.extend(node);
        rest = rest.get(used..).unwrap_or_default();
    }
    if template.sign && (template.minus || template.plus || template.brackets) {
        return Err(syntax("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together"));
    }
    Ok(template)
}

fn format(value: &str, text: &str) -> Result<String> {
    let template = parse(text)?;
    if let Some(upper) = template.roman {
        return Ok(roman(value, upper, template.fill));
    }
    if template.exponent {
        return scientific(value, &template);
    }
    let decimal = Decimal::parse(value)?;
    let overflow = || data(DataError::NumericOutOfRange, "numeric field overflow");
    let post = template.post;
    let shifted = Decimal { scale: decimal.scale.saturating_sub(template.multiply), ..padded(decimal.clone(), template.multiply) };
    let unscaled = shifted.at_scale(post).ok_or_else(overflow)?.to_string();
    let negative = unscaled.starts_with('-');
    let digits = unscaled.trim_start_matches('-');
    let digits = format!("{digits:0>width$}", width = post + 1);
    let (whole, fraction) = digits.split_at(digits.len() - post);
    let pre = template.pre + template.multiply;
    let printer = Printer { template: &template, negative };
    if whole.len() > pre {
        return Ok(printer.print(&"#".repeat(pre), &"#".repeat(post), pre));
    }
    Ok(printer.print(whole, fraction, pre))
}

/// Zeros appended so that a scale can be taken off.
fn padded(decimal: Decimal, zeros: usize) -> Decimal {
    let missing = zeros.saturating_sub(decimal.scale);
    Decimal { digits: format!("{}{}", decimal.digits, "0".repeat(missing)), ..decimal }
}

struct Printer<'a> {
    template: &'a Template,
    negative: bool,
}

impl Printer<'_> {
    /// `whole`: digits before the point, at most `pre`.
    fn print(&self, whole: &str, fraction: &str, pre: usize) -> String {
        let template = self.template;
        let spaces = pre - whole.len();
        let has_zero = template.zero_start.is_some();
        // With FM, zeros at the end of the fraction go, unless a 0 asks for them.
        let zero_after_point = template
            .nodes
            .iter()
            .scan((false, 0), |(after, at), node| {
                match node {
                    Node::Point => *after = true,
                    Node::Nine | Node::Zero if *after => *at += 1,
                    _ => {}
                }
                Some((*node, *after, *at))
            })
            .filter(|(node, after, _)| *after && *node == Node::Zero)
            .map(|(_, _, at)| at)
            .max()
            .unwrap_or(0);
        let kept = if template.fill { fraction.trim_end_matches('0').len().max(zero_after_point) } else { fraction.len() };
        let hides_leading_zero = !has_zero && whole == "0" && template.post > 0;
        let own_sign = template.sign || template.minus;
        let mut out = String::new();
        let (mut digit, mut after_point, mut signed, mut started) = (0_usize, 0_usize, false, false);
        let mut point = false;
        let sign_char = if self.negative { '-' } else { '+' };
        let write_sign = |out: &mut String| {
            if template.sign && !template.sign_last {
                out.push(sign_char);
            } else if template.brackets {
                if self.negative {
                    out.push('<')
                } else if !template.fill {
                    out.push(' ')
                }
            } else if !own_sign {
                if self.negative {
                    out.push('-')
                } else if !template.fill {
                    out.push(' ')
                }
            }
        };
        for node in &template.nodes {
            match node {
                Node::Nine | Node::Zero if !point => {
                    let zero_here = template.zero_start.is_some_and(|start| digit + 1 >= start);
                    let printed = digit >= spaces || zero_here;
                    let hidden = hides_leading_zero && digit >= spaces;
                    if printed && !signed && !hidden {
                        write_sign(&mut out);
                        signed = true;
                    }
                    if !printed {
                        if !template.fill {
                            out.push(' ');
                        }
                    } else if digit < spaces {
                        out.push('0');
                        started = true;
                    } else if hidden {
                        if !template.fill {
                            out.push(' ');
                        } else if kept == 0 {
                            if !signed {
                                write_sign(&mut out);
                                signed = true;
                            }
                            out.push('0');
                        }
                    } else {
                        out.extend(whole.chars().nth(digit - spaces));
                        started = true;
                    }
                    digit += 1;
                }
                Node::Point => {
                    point = true;
                    if !signed {
                        write_sign(&mut out);
                        signed = true;
                    }
                    if !template.fill || kept > 0 || template.post == 0 || zero_after_point > 0 || template.post > 0 {
                        out.push('.');
                    }
                    started = true;
                }
                Node::Nine | Node::Zero => {
                    if after_point < kept {
                        out.extend(fraction.chars().nth(after_point));
                    }
                    after_point += 1;
                }
                Node::Comma => {
                    if started {
                        out.push(',');
                    } else if !template.fill {
                        out.push(' ');
                    }
                }
                Node::Sign if template.sign_last => out.push(sign_char),
                Node::Sign => {}
                Node::Minus => match (self.negative, template.fill) {
                    (true, _) => out.push('-'),
                    (false, false) => out.push(' '),
                    (false, true) => {}
                },
                Node::Plus => match (self.negative, template.fill) {
                    (false, _) => out.push('+'),
                    (true, false) => out.push(' '),
                    (true, true) => {}
                },
                Node::PlusMinus => out.push(sign_char),
                Node::Brackets => {
                    if self.negative {
                        out.push('>');
                    } else if !template.fill {
                        out.push(' ');
                    }
                }
                Node::Currency => out.push(' '),
                Node::Ordinal(upper) => {
                    if !self.negative && !template.has_point {
                        out.push_str(&suffix(whole, *upper));
                    }
                }
                Node::Char(c) => out.push(*c),
            }
        }
        out
    }
}

fn scientific(value: &str, template: &Template) -> Result<String> {
    let parsed: f64 = value.parse().map_err(|_| data(DataError::NumericOutOfRange, "numeric field overflow"))?;
    let text = format!("{parsed:.*e}", template.post);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if mantissa.starts_with('-') || template.fill { "" } else { " " };
    Ok(format!("{sign}{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()))
}

fn roman(value: &str, upper: bool, fill: bool) -> String {
    const PARTS: [(i64, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let number = Decimal::parse(value).ok().and_then(|decimal| decimal.at_scale(0)).and_then(|value| value.to_i128());
    let text = match number.and_then(|number| i64::try_from(number).ok()).filter(|number| (1..4_000).contains(number)) {
        Some(mut number) => {
            let mut out = String::new();
            for (part, letters) in PARTS {
                while number >= part {
                    out.push_str(letters);
                    number -= part;
                }
            }
            out
        }
        None => "#".repeat(15),
    };
    let text = if upper { text } else { text.to_lowercase() };
    if fill { text } else { format!("{text:>15}") }
}

fn to_number_column(args: &Columns<'_>) -> Result<datafusion::arrow::array::ArrayRef> {
    let (texts, formats) = (args.arrays[0].as_string::<i32>(), args.arrays[1].as_string::<i32>());
    let values = texts
        .iter()
        .zip(formats.iter())
        .map(|pair| match pair {
            (Some(text), Some(format)) => to_number(text, format).map(Some),
            _ => Ok(None),
        })
        .collect::<Result<datafusion::arrow::array::Decimal256Array>>()?;
    Ok(Arc::new(values.with_precision_and_scale(lakegate_engine_api::NUMERIC_FROM_TEXT.0, TO_NUMBER_SCALE)?))
}

/// Digits, sign and point of the text in the places that the template gives them.
fn to_number(text: &str, format: &str) -> Result<datafusion::arrow::datatypes::i256> {
    let template = parse(format)?;
    let mut negative = false;
    let mut digits = String::new();
    let mut chars = text.chars().peekable();
    let mut point = false;
    for node in &template.nodes {
        while chars.next_if_eq(&' ').is_some() {}
        let leading_sign = digits.is_empty() && !template.sign_last && !matches!(node, Node::Minus | Node::Plus | Node::PlusMinus);
        if leading_sign && let Some(sign) = chars.next_if(|c| matches!(c, '-' | '+' | '<')) {
            negative |= sign != '+';
        }
        match node {
            Node::Nine | Node::Zero => {
                if let Some(digit) = chars.next_if(char::is_ascii_digit) {
                    digits.push(digit);
                }
            }
            Node::Point => {
                if chars.next_if_eq(&'.').is_some() {
                    digits.push('.');
                    point = true;
                }
            }
            Node::Comma => {
                chars.next_if_eq(&',');
            }
            Node::Sign | Node::Minus | Node::PlusMinus | Node::Plus => {
                if let Some(sign) = chars.next_if(|c| matches!(c, '-' | '+')) {
                    negative |= sign == '-';
                }
            }
            Node::Brackets => {
                chars.next_if_eq(&'>');
            }
            Node::Currency | Node::Char(_) => {
                chars.next_if(|c| !c.is_ascii_digit());
            }
            Node::Ordinal(_) => {
                chars.next();
                chars.next();
            }
        }
    }
    if digits.trim_matches('.').is_empty() {
        return Err(super::error::invalid_input("numeric", text));
    }
    let mut value = Decimal::parse(&format!("{}{digits}", if negative { "-" } else { "" }))?;
    if !point && template.multiply > 0 {
        value.scale += template.multiply;
    }
    value.at_scale(usize::from(TO_NUMBER_SCALE.unsigned_abs())).ok_or_else(|| data(DataError::NumericOutOfRange, "numeric field overflow"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each as PostgreSQL 15 answers it.
    #[test]
    fn templates() {
        for (value, template, expected) in [
            ("485", "999", " 485"),
            ("-485", "999", "-485"),
            ("1485", "9,999", " 1,485"),
            ("148.5", "999.999", " 148.500"),
            ("148.5", "FM999.999", "148.5"),
            ("0.1", "99.99", "   .10"),
            ("-0.1", "99.99", "  -.10"),
            ("-0.1", "FM9.99", "-.1"),
            ("0.1", "0.9", " 0.1"),
            ("12", "9990999.9", "    0012.0"),
            ("12", "FM9990999.9", "0012."),
            ("485", "L999", "  485"),
            ("-485", "999S", "485-"),
            ("-485", "999MI", "485-"),
            ("485", "999MI", "485 "),
            ("485", "PL999", "+ 485"),
            ("485", "SG999", "+485"),
            ("-485", "999PR", "<485>"),
            ("482", "999th", " 482nd"),
            ("485", "\"Good number:\"999", "Good number: 485"),
            ("12", "99V999", " 12000"),
            ("12.4", "99V999", " 12400"),
            ("1234567.891", "FM9,999,999.00", "1,234,567.89"),
            ("1234", "999", " ###"),
            ("0", "9", " 0"),
            ("0", "FM999", "0"),
            ("5.2", "FM999990.00", "5.20"),
        ] {
            assert_eq!(format(value, template).unwrap(), expected, "{value} {template}");
        }
        assert_eq!(roman("485", true, true), "CDLXXXV");
    }
}
