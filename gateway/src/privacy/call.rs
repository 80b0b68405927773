//! The functions of FROM that tell where a person is, and the names by which they are bound.

use lakegate_catalog::model::RelationName;
use sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, ObjectName, TableFunctionArgs, Value};

use crate::sql::bind::SYSTEM_DATABASE;
use crate::sql::grammar::name_parts;
use crate::sqlstate::{SqlError, SqlState};

/// Between the parts of such a name; no identifier holds it.
const MARK: char = '\u{1}';
const SCHEMA: &str = "privacy";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectFunction {
    /// `lakegate.subject_map('customer')`.
    Map { kind: String },
    /// `lakegate.locate_subject('customer', '42')`.
    Locate { kind: String, identifier: String },
    /// `lakegate.statements_with_literal('x')`: a search of the blind index.
    Literal { literal: String },
}

impl SubjectFunction {
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            SubjectFunction::Map { .. } => "subject_map",
            SubjectFunction::Locate { .. } => "locate_subject",
            SubjectFunction::Literal { .. } => "statements_with_literal",
        }
    }

    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            SubjectFunction::Map { kind } | SubjectFunction::Locate { kind, .. } => kind,
            SubjectFunction::Literal { .. } => "",
        }
    }

    /// # Errors
    /// 42883 for other arguments, 0A000 for those that are no literals.
    pub fn of_call(name: &ObjectName, args: &TableFunctionArgs) -> Result<Self, SqlError> {
        let function = called(name).unwrap_or_default();
        let texts: Result<Vec<String>, SqlError> = args.args.iter().map(|arg| literal(&function, arg)).collect();
        match (function.as_str(), texts?.as_slice()) {
            ("subject_map", [kind]) => Ok(SubjectFunction::Map { kind: kind.clone() }),
            ("locate_subject", [kind, identifier]) => Ok(SubjectFunction::Locate { kind: kind.clone(), identifier: identifier.clone() }),
            ("statements_with_literal", [literal]) => Ok(SubjectFunction::Literal { literal: literal.clone() }),
            _ => Err(SqlError::new(SqlState::UndefinedFunction, format!("lakegate.{function} is called otherwise")).hint(
                "Call lakegate.subject_map('kind'), lakegate.locate_subject('kind', 'identifier') or lakegate.statements_with_literal('literal').",
            )),
        }
    }
}

/// Whether a function of FROM is one of these.
#[must_use]
pub fn is_subject_function(name: &ObjectName) -> bool {
    matches!(called(name).as_deref(), Some("subject_map" | "locate_subject" | "statements_with_literal"))
}

fn called(name: &ObjectName) -> Option<String> {
    match name_parts(name).ok()?.as_slice() {
        [schema, function] if schema == "lakegate" => Some(function.clone()),
        _ => None,
    }
}

fn literal(function: &str, arg: &FunctionArg) -> Result<String, SqlError> {
    if let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) = arg {
        match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => return Ok(text.clone()),
            Value::DollarQuotedString(text) => return Ok(text.value.clone()),
            Value::Number(digits, _) => return Ok(digits.clone()),
            _ => {}
        }
    }
    Err(SqlError::unsupported(format!("lakegate.{function} with other arguments than literals")))
}

/// The name by which it is bound.
#[must_use]
pub fn name_of_function(function: &SubjectFunction) -> RelationName {
    let name = match function {
        SubjectFunction::Map { kind } => format!("{}{MARK}{kind}", function.name()),
        SubjectFunction::Locate { kind, identifier } => format!("{}{MARK}{kind}{MARK}{identifier}", function.name()),
        SubjectFunction::Literal { literal } => format!("{}{MARK}{literal}", function.name()),
    };
    RelationName { database: SYSTEM_DATABASE.to_owned(), schema: SCHEMA.to_owned(), name }
}

/// The function of such a name; `None` for all other names.
#[must_use]
pub fn function_of(name: &RelationName) -> Option<SubjectFunction> {
    if name.database != SYSTEM_DATABASE || name.schema != SCHEMA {
        return None;
    }
    let (function, rest) = name.name.split_once(MARK)?;
    match function {
        "subject_map" => Some(SubjectFunction::Map { kind: rest.to_owned() }),
        "statements_with_literal" => Some(SubjectFunction::Literal { literal: rest.to_owned() }),
        "locate_subject" => {
            let (kind, identifier) = rest.split_once(MARK)?;
            Some(SubjectFunction::Locate { kind: kind.to_owned(), identifier: identifier.to_owned() })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_calls() {
        let calls = [
            SubjectFunction::Map { kind: "customer".to_owned() },
            SubjectFunction::Locate { kind: "test".to_owned(), identifier: "a'\"b".to_owned() },
            SubjectFunction::Literal { literal: "a\u{1}b".to_owned() },
        ];
        for call in calls {
            assert_eq!(function_of(&name_of_function(&call)), Some(call));
        }
        let plain = RelationName { database: "system".to_owned(), schema: "privacy".to_owned(), name: "requests".to_owned() };
        assert_eq!(function_of(&plain), None);
    }
}
