//! The trees of the parser crate inside a command.

use std::ops::ControlFlow;

use sqlparser::ast::{VisitMut, VisitorMut};

use super::{AlterAction, Command, CopySource};

/// Walks the queries and expressions of a command that is a statement about tables and rows.
pub fn visit_statements<V: VisitorMut<Break = ()>>(command: &mut Command, visitor: &mut V) {
    let _: ControlFlow<()> = match command {
        Command::Sql(statement) => statement.visit(visitor),
        Command::CreateTable(table) => {
            let _: ControlFlow<()> = table.sql.visit(visitor);
            table.query.visit(visitor)
        }
        Command::Alter(alter) => {
            for action in &mut alter.actions {
                if let AlterAction::Sql(operation) = action {
                    let _: ControlFlow<()> = operation.visit(visitor);
                }
            }
            ControlFlow::Continue(())
        }
        Command::CreateMaterializedView(view) => view.query.visit(visitor),
        Command::DeclareCursor(declare) => declare.query.visit(visitor),
        Command::Copy(copy) => {
            let _: ControlFlow<()> = copy.filter.visit(visitor);
            match &mut copy.source {
                CopySource::Statement(statement) => statement.visit(visitor),
                CopySource::Table { .. } => ControlFlow::Continue(()),
            }
        }
        _ => ControlFlow::Continue(()),
    };
}
