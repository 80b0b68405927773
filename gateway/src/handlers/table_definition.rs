//! What CREATE TABLE and ALTER TABLE say of columns and constraints.

use std::collections::BTreeMap;

use lakegate_catalog::Snapshot;
use lakegate_catalog::ddl::NewConstraint;
use lakegate_catalog::model::{Column, Constraint, ConstraintKind, ForeignKey, Identity, Oid, PgType, Relation};
use sqlparser::ast::{self, ColumnOption, TableConstraint};

use super::column_text::{default_text, mentioned};
use crate::sql::grammar::{CreateTable, SequenceOption, fold, name_parts, of_identity};
use crate::sql::session::GatewaySession;
use crate::sql::types::column_type;
use crate::sqlstate::{SqlError, SqlState};

/// Columns of a table in PostgreSQL's limit, which clients rely on.
const COLUMNS_MAX: usize = 1_600;

/// What a statement says of a table.
#[derive(Default)]
pub struct Definition {
    pub columns: Vec<Column>,
    pub partition_columns: Vec<String>,
    pub constraints: Vec<NewConstraint>,
    pub comment: Option<String>,
    pub properties: BTreeMap<String, String>,
    /// Of serial and identity columns.
    pub sequences: Vec<ColumnSequence>,
    /// Their tables are still to be found.
    foreign_keys: Vec<(Option<String>, ast::ForeignKeyConstraint)>,
}

/// The sequence that a column brings along.
#[derive(Debug, Clone)]
pub struct ColumnSequence {
    pub column: String,
    pub data_type: PgType,
    pub options: Vec<SequenceOption>,
    pub identity: Option<Identity>,
}

impl Definition {
    /// # Errors
    /// 0A000 for what cannot be honoured, 42701, 42703.
    pub fn of(session: &GatewaySession, snapshot: &Snapshot, table: &CreateTable) -> Result<Self, SqlError> {
        let mut definition = Definition { comment: table.comment.clone(), properties: table.properties.clone(), ..Definition::default() };
        if table.sql.columns.len() > COLUMNS_MAX {
            return Err(SqlError::new(SqlState::TooManyColumns, format!("tables can have at most {COLUMNS_MAX} columns")));
        }
        let table_name = table.sql.name.0.last().map(ToString::to_string).unwrap_or_default().trim_matches('"').to_owned();
        for (place, column) in table.sql.columns.iter().enumerate() {
            for like in table.likes.iter().filter(|like| like.place == place) {
                definition.add_like(session, snapshot, &table_name, like)?;
            }
            definition.add_column(session, snapshot, &table_name, column)?;
        }
        for like in table.likes.iter().filter(|like| like.place == table.sql.columns.len()) {
            definition.add_like(session, snapshot, &table_name, like)?;
        }
        for constraint in &table.sql.constraints {
            definition.add_constraint(&table_name, constraint)?;
        }
        definition.check_generated()?;
        definition.check_conditions()?;
        for name in &table.partitioned_by {
            let column = definition.columns.iter().find(|column| column.name == *name);
            if !definition.columns.is_empty() {
                let column = column.ok_or_else(|| {
                    SqlError::new(SqlState::UndefinedColumn, format!("column \"{name}\" named in partition key does not exist"))
                })?;
                check_partition_type(column)?;
            }
            definition.partition_columns.push(name.clone());
        }
        Ok(definition)
    }

    /// Of a table that is there, for what ALTER TABLE adds.
    #[must_use]
    pub fn of_relation(relation: &Relation) -> Self {
        let constraints = relation
            .constraints
            .iter()
            .map(|constraint| NewConstraint { name: Some(constraint.name.clone()), kind: constraint.kind.clone() })
            .collect();
        Definition {
            columns: relation.columns.clone(),
            partition_columns: relation.partition_columns.clone(),
            constraints,
            ..Definition::default()
        }
    }

    /// # Errors
    /// 42701; 42704 and 0A000 for its type, 0A000 for options that cannot be honoured.
    pub fn add_column(
        &mut self,
        session: &GatewaySession,
        snapshot: &Snapshot,
        table: &str,
        definition: &ast::ColumnDef,
    ) -> Result<(), SqlError> {
        let name = fold(&definition.name);
        if self.columns.iter().any(|column| column.name == name) {
            return Err(SqlError::new(SqlState::DuplicateColumn, format!("column \"{name}\" specified more than once")));
        }
        let serial = serial_type(&definition.data_type);
        let mut column = Column::new(&name, serial.map_or_else(|| column_type(&definition.data_type), Ok)?);
        if let Some(data_type) = serial {
            column.not_null = true;
            self.sequences.push(ColumnSequence { column: name.clone(), data_type, options: Vec::new(), identity: None });
        }
        for option in &definition.options {
            let given = option.name.as_ref().map(fold);
            match &option.option {
                ColumnOption::Null => column.not_null = false,
                ColumnOption::NotNull => column.not_null = true,
                ColumnOption::Default(value) => {
                    if serial.is_some() {
                        let text = format!("multiple default values specified for column \"{name}\" of table \"{table}\"");
                        return Err(SqlError::new(SqlState::SyntaxError, text));
                    }
                    column.default = default_text(session, snapshot, value)?;
                }
                ColumnOption::Comment(text) => column.comment = Some(text.clone()),
                ColumnOption::Check(check) => self.add_check(table, Some(&name), given.or(check.name.as_ref().map(fold)), &check.expr),
                ColumnOption::PrimaryKey(key) => {
                    column.not_null = true;
                    self.add_key(table, given.or(key.name.as_ref().map(fold)), ConstraintKind::PrimaryKey(vec![name.clone()]))?;
                }
                ColumnOption::Unique(key) => {
                    self.add_key(table, given.or(key.name.as_ref().map(fold)), ConstraintKind::Unique(vec![name.clone()]))?;
                }
                ColumnOption::ForeignKey(key) => {
                    let key = ast::ForeignKeyConstraint { columns: vec![definition.name.clone()], ..key.clone() };
                    self.foreign_keys.push((given.or(key.name.as_ref().map(fold)), key));
                }
                ColumnOption::Generated { generated_as, sequence_options, generation_expr, .. } => match generation_expr {
                    Some(expr) => column.generated = Some(expr.to_string()),
                    None => {
                        let identity = if *generated_as == ast::GeneratedAs::Always { Identity::Always } else { Identity::ByDefault };
                        let options = of_identity(sequence_options.as_deref().unwrap_or_default())
                            .map_err(|error| SqlError::new(SqlState::SyntaxError, error.to_string()))?;
                        self.add_identity(&mut column, identity, options)?;
                    }
                },
                other => return Err(SqlError::unsupported(format!("the column option {other}"))),
            }
        }
        if column.generated.is_some() && (column.default.is_some() || serial.is_some()) {
            let text = format!("both default and generation expression specified for column \"{name}\" of table \"{table}\"");
            return Err(SqlError::new(SqlState::SyntaxError, text));
        }
        if column.identity.is_some() && column.default.is_some() {
            let text = format!("both default and identity specified for column \"{name}\" of table \"{table}\"");
            return Err(SqlError::new(SqlState::SyntaxError, text));
        }
        self.columns.push(column);
        Ok(())
    }

    /// # Errors
    /// 22023 for a type that cannot count.
    pub fn add_identity(&mut self, column: &mut Column, identity: Identity, options: Vec<SequenceOption>) -> Result<(), SqlError> {
        if !matches!(column.data_type, PgType::INT2 | PgType::INT4 | PgType::INT8) {
            return Err(SqlError::new(SqlState::InvalidParameterValue, "identity column type must be smallint, integer, or bigint"));
        }
        column.not_null = true;
        column.identity = Some(identity);
        self.sequences.push(ColumnSequence { column: column.name.clone(), data_type: column.data_type, options, identity: Some(identity) });
        Ok(())
    }

    /// # Errors
    /// 42703, 42P16, 0A000.
    pub fn add_constraint(&mut self, table: &str, constraint: &TableConstraint) -> Result<(), SqlError> {
        match constraint {
            TableConstraint::Check(check) => self.add_check(table, None, check.name.as_ref().map(fold), &check.expr),
            TableConstraint::PrimaryKey(key) => {
                let columns = self.key_columns(&key.columns)?;
                for column in self.columns.iter_mut().filter(|column| columns.contains(&column.name)) {
                    column.not_null = true;
                }
                self.add_key(table, key.name.as_ref().map(fold), ConstraintKind::PrimaryKey(columns))?;
            }
            TableConstraint::Unique(key) => {
                let columns = self.key_columns(&key.columns)?;
                self.add_key(table, key.name.as_ref().map(fold), ConstraintKind::Unique(columns))?;
            }
            TableConstraint::ForeignKey(key) => self.foreign_keys.push((key.name.as_ref().map(fold), key.clone())),
            other => return Err(SqlError::unsupported(format!("the constraint {other}"))),
        }
        Ok(())
    }

    pub(super) fn add_key(&mut self, table: &str, name: Option<String>, kind: ConstraintKind) -> Result<(), SqlError> {
        let is_primary = |kind: &ConstraintKind| matches!(kind, ConstraintKind::PrimaryKey(_));
        if is_primary(&kind) && self.constraints.iter().any(|constraint| is_primary(&constraint.kind)) {
            let text = format!("multiple primary keys for table \"{table}\" are not allowed");
            return Err(SqlError::new(SqlState::InvalidTableDefinition, text));
        }
        self.constraints.push(NewConstraint { name, kind });
        Ok(())
    }

    /// A constraint of another table, under its name there.
    pub(super) fn add_named(&mut self, constraint: &Constraint) {
        self.constraints.push(NewConstraint { name: Some(constraint.name.clone()), kind: constraint.kind.clone() });
    }

    /// A Delta constraint needs its name before the catalog could choose one: PostgreSQL's, `table_column_check`.
    fn add_check(&mut self, table: &str, column: Option<&str>, name: Option<String>, expr: &ast::Expr) {
        let columns: Vec<String> =
            mentioned(expr).into_iter().filter(|name| self.columns.iter().any(|known| known.name == *name)).collect();
        // Source: `ChooseConstraintName` over the one column that a table's constraint names.
        let column = column.or(match columns.as_slice() {
            [one] => Some(one.as_str()),
            _ => None,
        });
        let name = name.unwrap_or_else(|| {
            let base = column.map_or_else(|| format!("{table}_check"), |column| format!("{table}_{column}_check"));
            let taken = |name: &str| self.constraints.iter().any(|constraint| constraint.name.as_deref() == Some(name));
            std::iter::once(base.clone()).chain((1..).map(|n| format!("{base}{n}"))).find(|name| !taken(name)).unwrap_or(base)
        });
        self.constraints.push(NewConstraint { name: Some(name), kind: ConstraintKind::Check(expr.to_string()) });
    }

    fn key_columns(&self, columns: &[ast::IndexColumn]) -> Result<Vec<String>, SqlError> {
        columns
            .iter()
            .map(|column| match &column.column.expr {
                ast::Expr::Identifier(name) if self.columns.iter().any(|column| column.name == fold(name)) => Ok(fold(name)),
                other => Err(SqlError::new(SqlState::UndefinedColumn, format!("column \"{other}\" named in key does not exist"))),
            })
            .collect()
    }

    /// Source: `cookDefault`: a generation expression is over plain columns.
    ///
    /// # Errors
    /// 42P17, 42703.
    pub fn check_generated(&self) -> Result<(), SqlError> {
        for column in &self.columns {
            let Some(text) = &column.generated else { continue };
            let expr = crate::sql::parse::parse_expression(text)?;
            if super::column_text::has_subquery(&expr) {
                return Err(SqlError::unsupported("a subquery in a column generation expression"));
            }
            for name in mentioned(&expr) {
                let Some(other) = self.columns.iter().find(|known| known.name == name) else {
                    return Err(SqlError::new(SqlState::UndefinedColumn, format!("column \"{name}\" does not exist")));
                };
                if other.generated.is_some() {
                    let text = format!("cannot use generated column \"{name}\" in column generation expression");
                    return Err(SqlError::new(SqlState::InvalidObjectDefinition, text)
                        .detail("A generated column cannot reference another generated column."));
                }
            }
        }
        Ok(())
    }

    /// Conditions name columns of the table (`transformColumnRef`).
    ///
    /// # Errors
    /// 42703; 0A000 for a subquery.
    fn check_conditions(&self) -> Result<(), SqlError> {
        for constraint in &self.constraints {
            let ConstraintKind::Check(text) = &constraint.kind else { continue };
            let expr = crate::sql::parse::parse_expression(text)?;
            if super::column_text::has_subquery(&expr) {
                return Err(SqlError::unsupported("a subquery in a check constraint"));
            }
            // Words of SQL that the parser crate takes for names.
            let is_word =
                |name: &str| name.starts_with("current_") || matches!(name, "localtime" | "localtimestamp" | "session_user" | "user");
            if let Some(name) =
                mentioned(&expr).into_iter().find(|name| !is_word(name) && !self.columns.iter().any(|known| known.name == *name))
            {
                return Err(SqlError::new(SqlState::UndefinedColumn, format!("column \"{name}\" does not exist")));
            }
        }
        Ok(())
    }

    /// Finds the tables that foreign keys reference. `own`: name and OID of the table itself.
    ///
    /// # Errors
    /// 42P01, 42703, 42704 without a primary key, 42830 without a matching key, 42809.
    pub fn resolve_foreign_keys(&mut self, session: &GatewaySession, snapshot: &Snapshot, own: (&[String], Oid)) -> Result<(), SqlError> {
        for (name, key) in std::mem::take(&mut self.foreign_keys) {
            let columns: Vec<String> = key.columns.iter().map(fold).collect();
            for column in &columns {
                if !self.columns.iter().any(|known| known.name == *column) {
                    let text = format!("column \"{column}\" referenced in foreign key constraint does not exist");
                    return Err(SqlError::new(SqlState::UndefinedColumn, text));
                }
            }
            let parts = name_parts(&key.foreign_table)?;
            let given: Vec<String> = key.referred_columns.iter().map(fold).collect();
            let found = session.scope(snapshot).resolve(snapshot, &parts);
            let (table, referenced) = match found {
                Ok(found) => {
                    let relation = snapshot.relation_by_name(&found).filter(|relation| relation.is_stored()).ok_or_else(|| {
                        SqlError::new(SqlState::WrongObjectType, format!("referenced relation \"{}\" is not a table", found.name))
                    })?;
                    let keys: Vec<&ConstraintKind> = relation.constraints.iter().map(|constraint| &constraint.kind).collect();
                    (relation.oid, referenced_columns(&relation.name, &keys, given)?)
                }
                Err(_) if parts.last() == own.0.last() => {
                    let keys: Vec<&ConstraintKind> = self.constraints.iter().map(|constraint| &constraint.kind).collect();
                    (own.1, referenced_columns(parts.last().map_or("", String::as_str), &keys, given)?)
                }
                Err(error) => return Err(error),
            };
            if referenced.len() != columns.len() {
                return Err(SqlError::new(
                    SqlState::InvalidForeignKey,
                    "number of referencing and referenced columns for foreign key disagree",
                ));
            }
            let characteristics = key.characteristics;
            let foreign = ForeignKey {
                columns,
                table,
                referenced,
                on_update: action(key.on_update),
                on_delete: action(key.on_delete),
                matching: match key.match_kind {
                    Some(ast::ConstraintReferenceMatchKind::Full) => 'f',
                    Some(ast::ConstraintReferenceMatchKind::Partial) => return Err(SqlError::unsupported("MATCH PARTIAL")),
                    _ => 's',
                },
                deferrable: characteristics.as_ref().and_then(|given| given.deferrable).unwrap_or(false),
                initially_deferred: characteristics.is_some_and(|given| given.initially == Some(ast::DeferrableInitial::Deferred)),
            };
            self.constraints.push(NewConstraint { name, kind: ConstraintKind::ForeignKey(foreign) });
        }
        Ok(())
    }
}

fn referenced_columns(table: &str, keys: &[&ConstraintKind], given: Vec<String>) -> Result<Vec<String>, SqlError> {
    if given.is_empty() {
        let primary = keys.iter().find(|kind| matches!(kind, ConstraintKind::PrimaryKey(_)));
        return primary
            .map(|kind| kind.columns().to_vec())
            .ok_or_else(|| SqlError::new(SqlState::UndefinedObject, format!("there is no primary key for referenced table \"{table}\"")));
    }
    let sorted = |columns: &[String]| {
        let mut columns = columns.to_vec();
        columns.sort();
        columns
    };
    if keys.iter().any(|kind| kind.is_index() && sorted(kind.columns()) == sorted(&given)) {
        return Ok(given);
    }
    let text = format!("there is no unique constraint matching given keys for referenced table \"{table}\"");
    Err(SqlError::new(SqlState::InvalidForeignKey, text))
}

fn action(given: Option<ast::ReferentialAction>) -> char {
    match given {
        None | Some(ast::ReferentialAction::NoAction) => 'a',
        Some(ast::ReferentialAction::Restrict) => 'r',
        Some(ast::ReferentialAction::Cascade) => 'c',
        Some(ast::ReferentialAction::SetNull) => 'n',
        Some(ast::ReferentialAction::SetDefault) => 'd',
    }
}

fn serial_type(data_type: &ast::DataType) -> Option<PgType> {
    let ast::DataType::Custom(name, modifiers) = data_type else { return None };
    let parts = name_parts(name).ok().filter(|_| modifiers.is_empty())?;
    match parts.as_slice() {
        [name] => match name.as_str() {
            "smallserial" | "serial2" => Some(PgType::INT2),
            "serial" | "serial4" => Some(PgType::INT4),
            "bigserial" | "serial8" => Some(PgType::INT8),
            _ => None,
        },
        _ => None,
    }
}

fn check_partition_type(column: &Column) -> Result<(), SqlError> {
    let unfit = PgType::element_of(column.data_type.oid).is_some() || column.data_type == PgType::BYTEA;
    if unfit {
        return Err(SqlError::unsupported(format!("partitioning by column \"{}\" of its type", column.name)));
    }
    Ok(())
}
