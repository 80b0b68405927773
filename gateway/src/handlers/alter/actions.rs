//! The actions of ALTER TABLE, one after the other over a copy of the table: what the engine is to do to the Delta table, and what the
//! catalog is to record.

use std::sync::Arc;

use lakegate_catalog::Snapshot;
use lakegate_catalog::ddl::{NewConstraint, RelationChange, RelationUpdate, RowSecurityUpdate};
use lakegate_catalog::model::{Column, ConstraintKind, Identity, PgType, Relation};
use lakegate_engine_api::{Alteration, ColumnDefinition};
use sqlparser::ast::{AlterColumnOperation, AlterTableOperation, ColumnDef, ColumnOption, DropBehavior, Expr, TableConstraint};

use super::Table;
use super::views::dependent_views;
use crate::handlers::column_text::{default_text, mentions, renamed, sequence_of_default, stored_default};
use crate::handlers::governance;
use crate::handlers::table_definition::{ColumnSequence, Definition};
use crate::handlers::table_properties;
use crate::sql::grammar::{AlterAction, SequenceOption, fold};
use crate::sql::session::GatewaySession;
use crate::sql::types::column_type;
use crate::sqlstate::{Severity, SqlError, SqlState};

/// What is to be done.
#[derive(Default)]
pub(super) struct Plan {
    pub alterations: Vec<Alteration>,
    pub updates: Vec<RelationUpdate>,
    /// Of other relations.
    pub others: Vec<RelationChange>,
    /// Sequences that start anew: not transactional, as in PostgreSQL.
    pub restarts: Vec<(Arc<Relation>, Option<i64>)>,
}

struct Planning<'a> {
    session: &'a mut GatewaySession,
    snapshot: &'a Arc<Snapshot>,
    name: &'a [String],
    /// As the actions so far leave it.
    table: Relation,
    plan: Plan,
}

pub(super) async fn plan(
    session: &mut GatewaySession,
    snapshot: &Arc<Snapshot>,
    table: Table<'_>,
    actions: &[AlterAction],
) -> Result<Plan, SqlError> {
    let name = [table.name.schema.clone(), table.name.name.clone()];
    let mut planning = Planning { session, snapshot, name: &name, table: Relation::clone(table.relation), plan: Plan::default() };
    for action in actions {
        planning.apply(action).await?;
    }
    Ok(planning.plan)
}

impl Planning<'_> {
    async fn apply(&mut self, action: &AlterAction) -> Result<(), SqlError> {
        match action {
            AlterAction::Sql(operation) => self.apply_sql(operation).await,
            AlterAction::SetGenerated { column, always } => self.set_generated(column, *always),
            AlterAction::AddIdentity { column, always, options } => self.add_identity(column, *always, options).await,
            AlterAction::DropIdentity { column, if_exists } => self.drop_identity(column, *if_exists),
            AlterAction::DropExpression { column, if_exists } => self.drop_expression(column, *if_exists),
            AlterAction::ColumnSequence { column, options } => self.restart(column, options),
            AlterAction::Properties(properties) => {
                let set = properties.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
                table_properties::check(&set.collect())?;
                self.plan.alterations.push(Alteration::SetProperties(properties.clone()));
                self.plan.updates.push(RelationUpdate::SetProperties(properties.clone()));
                Ok(())
            }
            AlterAction::Tags { .. } | AlterAction::RowSecurity(_) | AlterAction::Mask { .. } => {
                let update = governance::update(self.session, self.snapshot, &self.table, action).await?;
                self.plan.updates.extend(update);
                Ok(())
            }
            AlterAction::SetSchema(_) | AlterAction::Sequence(_) => {
                Err(SqlError::new(SqlState::SyntaxError, "SET SCHEMA stands alone in a statement"))
            }
        }
    }

    async fn apply_sql(&mut self, operation: &AlterTableOperation) -> Result<(), SqlError> {
        match operation {
            AlterTableOperation::AddColumn { if_not_exists, column_def, column_position: None, .. } => {
                self.add_column(column_def, *if_not_exists).await
            }
            AlterTableOperation::DropColumn { column_names, if_exists, drop_behavior, .. } => {
                for name in column_names {
                    self.drop_column(&fold(name), *if_exists, is_cascade(drop_behavior.as_ref())).await?;
                }
                Ok(())
            }
            AlterTableOperation::RenameColumn { old_column_name, new_column_name } => {
                self.rename_column(&fold(old_column_name), &fold(new_column_name))
            }
            AlterTableOperation::AlterColumn { column_name, op } => self.alter_column(&fold(column_name), op).await,
            AlterTableOperation::AddConstraint { constraint, not_valid } => self.add_constraint(constraint, *not_valid),
            AlterTableOperation::DropConstraint { if_exists, name, drop_behavior } => {
                self.drop_constraint(&fold(name), *if_exists, is_cascade(drop_behavior.as_ref()))
            }
            AlterTableOperation::RenameConstraint { old_name, new_name } => self.rename_constraint(&fold(old_name), &fold(new_name)),
            AlterTableOperation::ValidateConstraint { name } => {
                let name = fold(name);
                if let ConstraintKind::Check(expression) = self.constraint(&name)? {
                    self.plan.alterations.push(Alteration::AddCheck { name, expression, validate: true });
                }
                Ok(())
            }
            AlterTableOperation::OwnerTo { .. } | AlterTableOperation::RenameTable { .. } => {
                Err(SqlError::unsupported("OWNER TO and RENAME TO among other actions").hint("Give them a statement of their own."))
            }
            other => {
                let words = other.to_string().split_whitespace().take(2).collect::<Vec<_>>().join(" ");
                Err(SqlError::new(SqlState::FeatureNotSupported, format!("ALTER TABLE … {words} is not supported")))
            }
        }
    }

    async fn add_column(&mut self, written: &ColumnDef, if_not_exists: bool) -> Result<(), SqlError> {
        let name = fold(&written.name);
        if self.table.column(&name).is_some() {
            let text = format!("column \"{name}\" of relation \"{}\" already exists", self.table.name);
            if !if_not_exists {
                return Err(SqlError::new(SqlState::DuplicateColumn, text));
            }
            self.session.notice(SqlError::notice(Severity::Notice, SqlState::DuplicateColumn, format!("{text}, skipping")));
            return Ok(());
        }
        let mut definition = Definition::of_relation(&self.table);
        let known = definition.constraints.len();
        definition.add_column(self.session, self.snapshot, &self.table.name, written)?;
        definition.check_generated()?;
        definition.resolve_foreign_keys(self.session, self.snapshot, (self.name, self.table.oid))?;
        let Some(mut column) = definition.columns.pop() else { return Ok(()) };
        let default = written.options.iter().find_map(|option| match &option.option {
            ColumnOption::Default(value) => Some(value.clone()),
            _ => None,
        });
        let mut fill = default.map(|value| stored_default(self.session, self.snapshot, &value)).transpose()?;
        if let Some(sequence) = definition.sequences.pop() {
            fill = Some(self.new_sequence(&mut column, sequence).await?);
        }
        self.plan.alterations.push(Alteration::AddColumn {
            column: ColumnDefinition { name: column.name.clone(), data_type: column.data_type, not_null: column.not_null },
            fill,
            generation: column.generated.clone(),
        });
        self.table.columns.push(column.clone());
        self.plan.updates.push(RelationUpdate::AddColumns(vec![column]));
        for constraint in definition.constraints.split_off(known) {
            self.record_constraint(constraint, true);
        }
        Ok(())
    }

    /// A sequence for a column; the expression that gives the column's values.
    async fn new_sequence(&mut self, column: &mut Column, sequence: ColumnSequence) -> Result<Expr, SqlError> {
        let oid = self.session.catalog().reserve_oid().await?;
        let new =
            crate::handlers::sequence::of_column(self.snapshot, (self.table.oid, self.table.schema, &self.table.name), oid, &sequence)?;
        // The default needs it before the table is changed: rows that are there get their numbers now.
        self.session.catalog().change_relations(&self.session.principal, vec![RelationChange::Create(Box::new(new))]).await?;
        let call = crate::handlers::column_text::sequence_call(oid)?;
        column.default = Some(call.to_string());
        Ok(call)
    }

    async fn drop_column(&mut self, name: &str, if_exists: bool, cascade: bool) -> Result<(), SqlError> {
        if self.table.column(name).is_none() {
            let text = format!("column \"{name}\" of relation \"{}\" does not exist", self.table.name);
            if !if_exists {
                return Err(SqlError::new(SqlState::UndefinedColumn, text));
            }
            self.session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, format!("{text}, skipping")));
            return Ok(());
        }
        if self.table.partition_columns.iter().any(|column| column == name) {
            let text = format!("cannot drop column \"{name}\" because it is part of the partition key of relation \"{}\"", self.table.name);
            return Err(SqlError::new(SqlState::InvalidTableDefinition, text));
        }
        if self.table.columns.len() == 1 {
            return Err(SqlError::unsupported("a table without columns"));
        }
        let views = dependent_views(self.session, self.snapshot, &self.table, name).await?;
        let on_views = crate::handlers::create_view::dependents(self.snapshot, &views);
        let generated: Vec<String> = self
            .table
            .columns
            .iter()
            .filter(|column| column.name != name && column.generated.as_deref().is_some_and(|text| mentions(text, name)))
            .map(|column| column.name.clone())
            .collect();
        let table = &self.table.name;
        let mut lines: Vec<String> =
            generated.iter().map(|column| format!("column {column} of table {table} depends on column {name} of table {table}")).collect();
        let (policies, masks) = governance::mentioning(&self.table, name);
        lines.extend(policies.iter().map(|policy| format!("policy {policy} on table {table} depends on column {name} of table {table}")));
        lines.extend(masks.iter().map(|mask| format!("mask of column {mask} of table {table} depends on column {name} of table {table}")));
        lines.extend(
            views.iter().map(|view| {
                format!("{} {} depends on column {name} of table {table}", lakegate_catalog::snapshot::kind_of(view), view.name)
            }),
        );
        if !lines.is_empty() && !cascade {
            return Err(depended_on(format!("cannot drop column {name} of table {table} because other objects depend on it"), &lines));
        }
        for view in on_views.iter().chain(&views) {
            let text = format!("drop cascades to {} {}", lakegate_catalog::snapshot::kind_of(view), view.name);
            self.session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text));
            self.plan.others.push(RelationChange::DropDependent(view.oid));
        }
        if let Some(mask) = masks.first() {
            // Without it the values would show.
            let text = format!("cannot drop column \"{name}\": the mask of column \"{mask}\" names it");
            return Err(SqlError::unsupported(text).hint("Give the column another mask first."));
        }
        for policy in policies {
            let text = format!("drop cascades to policy {policy} on table {}", self.table.name);
            self.session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text));
            self.table.row_security.policies.retain(|known| known.name != policy);
            self.plan.updates.push(RelationUpdate::RowSecurity(RowSecurityUpdate::Drop { name: policy }));
        }
        for column in generated {
            let text = format!("drop cascades to column {column} of table {}", self.table.name);
            self.session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text));
            self.forget_column(&column);
        }
        self.forget_column(name);
        Ok(())
    }

    /// Constraints that name it go along.
    fn forget_column(&mut self, name: &str) {
        let checks: Vec<String> = self
            .table
            .constraints
            .iter()
            .filter(|constraint| matches!(&constraint.kind, ConstraintKind::Check(text) if mentions(text, name)))
            .map(|constraint| constraint.name.clone())
            .collect();
        for check in checks {
            self.table.constraints.retain(|constraint| constraint.name != check);
            self.plan.alterations.push(Alteration::DropCheck { name: check.clone() });
            self.plan.updates.push(RelationUpdate::DropConstraint { name: check });
        }
        self.table.columns.retain(|column| column.name != name);
        self.table.constraints.retain(|constraint| !constraint.kind.columns().iter().any(|column| column == name));
        self.plan.alterations.push(Alteration::DropColumn { name: name.to_owned() });
        self.plan.updates.push(RelationUpdate::DropColumn { name: name.to_owned() });
    }

    fn rename_column(&mut self, from: &str, to: &str) -> Result<(), SqlError> {
        if self.table.column(from).is_none() {
            return Err(SqlError::new(SqlState::UndefinedColumn, format!("column \"{from}\" does not exist")));
        }
        if self.table.column(to).is_some() {
            let text = format!("column \"{to}\" of relation \"{}\" already exists", self.table.name);
            return Err(SqlError::new(SqlState::DuplicateColumn, text));
        }
        let governed = governance::renamed_column(&self.table, from, to)?;
        self.plan.updates.extend(governed);
        self.plan.alterations.push(Alteration::RenameColumn { from: from.to_owned(), to: to.to_owned() });
        self.plan.updates.push(RelationUpdate::RenameColumn { from: from.to_owned(), to: to.to_owned() });
        for constraint in &mut self.table.constraints {
            if let ConstraintKind::Check(text) = &mut constraint.kind
                && mentions(text, from)
            {
                *text = renamed(text, from, to)?;
                let (name, expression) = (constraint.name.clone(), text.clone());
                self.plan.alterations.push(Alteration::AddCheck { name: name.clone(), expression: expression.clone(), validate: false });
                self.plan.updates.push(RelationUpdate::SetCheck { name, expression });
            }
        }
        for column in &mut self.table.columns {
            if column.name == from {
                to.clone_into(&mut column.name);
            }
            if let Some(text) = &mut column.generated
                && mentions(text, from)
            {
                *text = renamed(text, from, to)?;
                let (name, expression) = (column.name.clone(), text.clone());
                self.plan.alterations.push(Alteration::SetGeneration { column: name.clone(), expression: expression.clone() });
                self.plan.updates.push(RelationUpdate::SetGenerated { column: name, generated: Some(expression) });
            }
        }
        Ok(())
    }

    async fn alter_column(&mut self, name: &str, op: &AlterColumnOperation) -> Result<(), SqlError> {
        let column = self.column(name)?;
        let relation = self.table.name.clone();
        match op {
            AlterColumnOperation::SetNotNull => {
                if !column.not_null {
                    self.set_not_null(name, true);
                }
            }
            AlterColumnOperation::DropNotNull => {
                if column.identity.is_some() {
                    let text = format!("column \"{name}\" of relation \"{relation}\" is an identity column");
                    return Err(SqlError::new(SqlState::SyntaxError, text));
                }
                let is_key =
                    |kind: &ConstraintKind| matches!(kind, ConstraintKind::PrimaryKey(names) if names.iter().any(|own| own == name));
                if self.table.constraints.iter().any(|constraint| is_key(&constraint.kind)) {
                    return Err(SqlError::new(SqlState::InvalidTableDefinition, format!("column \"{name}\" is in a primary key")));
                }
                if column.not_null {
                    self.set_not_null(name, false);
                }
            }
            AlterColumnOperation::SetDefault { value } => {
                refuse_filled(&relation, &column)?;
                let default = default_text(self.session, self.snapshot, value)?;
                self.set_default(name, default);
            }
            AlterColumnOperation::DropDefault => {
                if column.generated.is_some() {
                    let text = format!("column \"{name}\" of relation \"{relation}\" is a generated column");
                    return Err(
                        SqlError::new(SqlState::SyntaxError, text).hint("Use ALTER TABLE ... ALTER COLUMN ... DROP EXPRESSION instead.")
                    );
                }
                refuse_filled(&relation, &column)?;
                self.set_default(name, None);
            }
            AlterColumnOperation::SetDataType { data_type, using, .. } => {
                self.set_type(name, column_type(data_type)?, using.clone()).await?;
            }
            AlterColumnOperation::AddGenerated { .. } => return Err(SqlError::unsupported("GENERATED without AS IDENTITY")),
        }
        Ok(())
    }

    fn set_not_null(&mut self, name: &str, not_null: bool) {
        for column in self.table.columns.iter_mut().filter(|column| column.name == name) {
            column.not_null = not_null;
        }
        let column = name.to_owned();
        self.plan.alterations.push(match not_null {
            true => Alteration::SetNotNull { column: column.clone() },
            false => Alteration::DropNotNull { column: column.clone() },
        });
        self.plan.updates.push(RelationUpdate::SetNotNull { column, not_null });
    }

    fn set_default(&mut self, name: &str, default: Option<String>) {
        for column in self.table.columns.iter_mut().filter(|column| column.name == name) {
            column.default.clone_from(&default);
        }
        self.plan.updates.push(RelationUpdate::SetDefault { column: name.to_owned(), default });
    }

    async fn set_type(&mut self, name: &str, data_type: PgType, using: Option<Expr>) -> Result<(), SqlError> {
        if self.table.partition_columns.iter().any(|column| column == name) {
            let text =
                format!("cannot alter column \"{name}\" because it is part of the partition key of relation \"{}\"", self.table.name);
            return Err(SqlError::new(SqlState::InvalidTableDefinition, text));
        }
        if let Some(view) = dependent_views(self.session, self.snapshot, &self.table, name).await?.first() {
            return Err(SqlError::new(SqlState::FeatureNotSupported, "cannot alter type of a column used by a view or rule")
                .detail(format!("rule _RETURN on view {} depends on column \"{name}\"", view.name)));
        }
        if let Some(policy) = governance::mentioning(&self.table, name).0.first() {
            return Err(SqlError::new(SqlState::FeatureNotSupported, "cannot alter type of a column used in a policy definition")
                .detail(format!("policy {policy} on table {} depends on column \"{name}\"", self.table.name)));
        }
        let generated = self.table.columns.iter().find(|column| column.generated.as_deref().is_some_and(|text| mentions(text, name)));
        if let Some(generated) = generated {
            return Err(SqlError::new(SqlState::SyntaxError, "cannot alter type of a column used by a generated column")
                .detail(format!("Column \"{name}\" is used by generated column \"{}\".", generated.name)));
        }
        let column = self.column(name)?;
        if column.generated.is_some() {
            return Err(SqlError::unsupported("changing the type of a generated column"));
        }
        if column.identity.is_some() && !matches!(data_type, PgType::INT2 | PgType::INT4 | PgType::INT8) {
            return Err(SqlError::new(SqlState::InvalidParameterValue, "identity column type must be smallint, integer, or bigint"));
        }
        for column in self.table.columns.iter_mut().filter(|column| column.name == name) {
            column.data_type = data_type;
        }
        let definition = ColumnDefinition { name: name.to_owned(), data_type, not_null: column.not_null };
        self.plan.alterations.push(Alteration::SetType { column: definition, using });
        self.plan.updates.push(RelationUpdate::SetType { column: name.to_owned(), data_type });
        Ok(())
    }

    fn add_constraint(&mut self, constraint: &TableConstraint, not_valid: bool) -> Result<(), SqlError> {
        if let TableConstraint::PrimaryKeyUsingIndex(_) | TableConstraint::UniqueUsingIndex(_) = constraint {
            return Err(SqlError::unsupported("ADD CONSTRAINT … USING INDEX"));
        }
        let mut definition = Definition::of_relation(&self.table);
        let known = definition.constraints.len();
        definition.add_constraint(&self.table.name, constraint)?;
        definition.resolve_foreign_keys(self.session, self.snapshot, (self.name, self.table.oid))?;
        for constraint in definition.constraints.split_off(known) {
            if let Some(name) = &constraint.name
                && self.table.constraints.iter().any(|known| known.name == *name)
            {
                let text = format!("constraint \"{name}\" for relation \"{}\" already exists", self.table.name);
                return Err(SqlError::new(SqlState::DuplicateObject, text));
            }
            if let ConstraintKind::PrimaryKey(columns) = &constraint.kind {
                let missing: Vec<String> =
                    columns.iter().filter(|name| self.table.column(name).is_some_and(|(_, column)| !column.not_null)).cloned().collect();
                for name in missing {
                    self.set_not_null(&name, true);
                }
            }
            self.record_constraint(constraint, !not_valid);
        }
        Ok(())
    }

    fn record_constraint(&mut self, constraint: NewConstraint, validate: bool) {
        if let (Some(name), ConstraintKind::Check(expression)) = (&constraint.name, &constraint.kind) {
            let (name, expression) = (name.clone(), expression.clone());
            self.plan.alterations.push(Alteration::AddCheck { name, expression, validate });
        }
        if let Some(name) = &constraint.name {
            let kept = lakegate_catalog::model::Constraint { oid: 0, name: name.clone(), kind: constraint.kind.clone() };
            self.table.constraints.push(kept);
        }
        self.plan.updates.push(RelationUpdate::AddConstraint(constraint));
    }

    fn drop_constraint(&mut self, name: &str, if_exists: bool, cascade: bool) -> Result<(), SqlError> {
        let kind = match self.constraint(name) {
            Ok(kind) => kind,
            Err(_) if if_exists => {
                let text = format!("constraint \"{name}\" of relation \"{}\" does not exist, skipping", self.table.name);
                self.session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if kind.is_index() {
            self.drop_references(name, kind.columns(), cascade)?;
        }
        if matches!(kind, ConstraintKind::Check(_)) {
            self.plan.alterations.push(Alteration::DropCheck { name: name.to_owned() });
        }
        self.table.constraints.retain(|constraint| constraint.name != name);
        self.plan.updates.push(RelationUpdate::DropConstraint { name: name.to_owned() });
        Ok(())
    }

    /// Foreign keys that rest on a key.
    fn drop_references(&mut self, name: &str, columns: &[String], cascade: bool) -> Result<(), SqlError> {
        let table = &self.table;
        let rests =
            |kind: &ConstraintKind| matches!(kind, ConstraintKind::ForeignKey(key) if key.table == table.oid && key.referenced == columns);
        let mut lines = Vec::new();
        let mut changes = Vec::new();
        for other in self.snapshot.relations() {
            for key in other.constraints.iter().filter(|constraint| rests(&constraint.kind)) {
                lines.push(format!("constraint {} on table {} depends on index {name}", key.name, other.name));
                let updates = vec![RelationUpdate::DropConstraint { name: key.name.clone() }];
                changes.push(RelationChange::UpdateDependent { relation: other.oid, updates });
            }
        }
        if !lines.is_empty() && !cascade {
            let text = format!("cannot drop constraint {name} on table {} because other objects depend on it", self.table.name);
            return Err(depended_on(text, &lines));
        }
        self.plan.others.extend(changes);
        Ok(())
    }

    fn rename_constraint(&mut self, from: &str, to: &str) -> Result<(), SqlError> {
        let absent = |error: SqlError| SqlError {
            message: format!("constraint \"{from}\" for table \"{}\" does not exist", self.table.name),
            ..error
        };
        if let ConstraintKind::Check(expression) = self.constraint(from).map_err(absent)? {
            self.plan.alterations.push(Alteration::DropCheck { name: from.to_owned() });
            self.plan.alterations.push(Alteration::AddCheck { name: to.to_owned(), expression, validate: false });
        }
        for constraint in self.table.constraints.iter_mut().filter(|constraint| constraint.name == from) {
            to.clone_into(&mut constraint.name);
        }
        self.plan.updates.push(RelationUpdate::RenameConstraint { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    async fn add_identity(&mut self, name: &str, always: bool, options: &[SequenceOption]) -> Result<(), SqlError> {
        let mut column = self.column(name)?;
        let misplaced = |what: &str| {
            let text = format!("column \"{name}\" of relation \"{}\" {what}", self.table.name);
            Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, text))
        };
        if column.identity.is_some() {
            return misplaced("is already an identity column");
        }
        if column.default.is_some() {
            return misplaced("already has a default value");
        }
        if !column.not_null {
            return misplaced("must be declared NOT NULL before identity can be added");
        }
        let identity = if always { Identity::Always } else { Identity::ByDefault };
        let mut definition = Definition::default();
        definition.add_identity(&mut column, identity, options.to_vec())?;
        if let Some(sequence) = definition.sequences.pop() {
            self.new_sequence(&mut column, sequence).await?;
            self.set_default(name, column.default);
            self.plan.updates.push(RelationUpdate::SetIdentity { column: name.to_owned(), identity: Some(identity) });
        }
        Ok(())
    }

    fn set_generated(&mut self, name: &str, always: bool) -> Result<(), SqlError> {
        self.identity(name)?;
        let identity = Some(if always { Identity::Always } else { Identity::ByDefault });
        self.plan.updates.push(RelationUpdate::SetIdentity { column: name.to_owned(), identity });
        Ok(())
    }

    fn drop_identity(&mut self, name: &str, if_exists: bool) -> Result<(), SqlError> {
        let column = match self.identity(name) {
            Ok(column) => column,
            Err(error) if if_exists && error.state == SqlState::ObjectNotInPrerequisiteState => {
                let text = format!("{}, skipping", error.message);
                self.session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if let Some(sequence) = column.default.as_deref().and_then(sequence_of_default) {
            self.plan.others.push(RelationChange::DropDependent(sequence));
        }
        self.set_default(name, None);
        self.plan.updates.push(RelationUpdate::SetIdentity { column: name.to_owned(), identity: None });
        Ok(())
    }

    fn drop_expression(&mut self, name: &str, if_exists: bool) -> Result<(), SqlError> {
        if self.column(name)?.generated.is_none() {
            let text = format!("column \"{name}\" of relation \"{}\" is not a stored generated column", self.table.name);
            if !if_exists {
                return Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, text));
            }
            self.session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, format!("{text}, skipping")));
            return Ok(());
        }
        self.plan.alterations.push(Alteration::DropGeneration { column: name.to_owned() });
        self.plan.updates.push(RelationUpdate::SetGenerated { column: name.to_owned(), generated: None });
        Ok(())
    }

    fn restart(&mut self, name: &str, options: &[SequenceOption]) -> Result<(), SqlError> {
        let column = self.identity(name)?;
        let sequence = column.default.as_deref().and_then(sequence_of_default).and_then(|oid| self.snapshot.relation_by_oid(oid));
        for option in options {
            match (option, sequence) {
                (SequenceOption::Restart(value), Some(sequence)) => self.plan.restarts.push((Arc::clone(sequence), *value)),
                _ => return Err(SqlError::unsupported("this option of an identity column").hint("Use ALTER SEQUENCE.")),
            }
        }
        Ok(())
    }

    fn identity(&self, name: &str) -> Result<Column, SqlError> {
        let column = self.column(name)?;
        if column.identity.is_none() {
            let text = format!("column \"{name}\" of relation \"{}\" is not an identity column", self.table.name);
            return Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, text));
        }
        Ok(column)
    }

    fn column(&self, name: &str) -> Result<Column, SqlError> {
        self.table.column(name).map(|(_, column)| column.clone()).ok_or_else(|| {
            SqlError::new(SqlState::UndefinedColumn, format!("column \"{name}\" of relation \"{}\" does not exist", self.table.name))
        })
    }

    fn constraint(&self, name: &str) -> Result<ConstraintKind, SqlError> {
        self.table.constraints.iter().find(|constraint| constraint.name == name).map(|constraint| constraint.kind.clone()).ok_or_else(
            || {
                SqlError::new(
                    SqlState::UndefinedObject,
                    format!("constraint \"{name}\" of relation \"{}\" does not exist", self.table.name),
                )
            },
        )
    }
}

fn refuse_filled(relation: &str, column: &Column) -> Result<(), SqlError> {
    let what = match (column.identity, &column.generated) {
        (Some(_), _) => "an identity column",
        (None, Some(_)) => "a generated column",
        (None, None) => return Ok(()),
    };
    Err(SqlError::new(SqlState::SyntaxError, format!("column \"{}\" of relation \"{relation}\" is {what}", column.name)))
}

fn is_cascade(behavior: Option<&DropBehavior>) -> bool {
    matches!(behavior, Some(DropBehavior::Cascade))
}

/// 2BP01.
fn depended_on(message: String, lines: &[String]) -> SqlError {
    SqlError::new(SqlState::DependentObjectsStillExist, message)
        .detail(lines.join("\n"))
        .hint("Use DROP ... CASCADE to drop the dependent objects too.")
}
