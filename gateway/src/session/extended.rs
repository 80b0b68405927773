//! The extended protocol: Parse, Bind, Describe, Execute, Close. Mirrors `exec_parse_message` and its siblings.

use std::sync::Arc;

use arrow_array::ArrayRef;

use super::Session;
use super::rows::{Running, Sent};
use super::simple::check_columns;
use super::statements::{Portal, PortalState, Statement};
use super::stop::{Stop, watched};
use crate::frontend::{PortalMove, PreparedSql, Response, TransactionStatus};
use crate::sqlstate::{SqlError, SqlState};
use crate::wire::incoming::{Bind, Parse, Target};
use crate::wire::outgoing::{self, Format};
use crate::wire::params::bind_values;
use crate::wire::rows::result_formats;

impl Session {
    pub(super) async fn parse(&mut self, parse: Parse<'_>) -> Result<(), Stop> {
        if parse.name.is_empty() {
            self.statements.forget("");
        }
        let mut parsed = self.sql.parse(parse.text)?.into_iter().filter(|statement| statement.command.is_some());
        let (first, second) = (parsed.next(), parsed.next());
        if second.is_some() {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(SqlError::new(SqlState::SyntaxError, message).into());
        }
        let statement = match first {
            None => Statement { text: parse.text.into(), sql: None },
            Some(statement) => {
                let text = statement.text.clone();
                let cancel = self.running(Some(&text));
                let prepared = self.prepare(statement, &parse.parameter_types, &cancel).await?;
                self.live.not_running();
                self.take_events();
                check_columns(prepared.result_schema().map_or(0, |schema| schema.fields().len()))?;
                Statement { text, sql: Some(prepared) }
            }
        };
        self.statements.keep(parse.name, statement.clone())?;
        if let Some(sql) = statement.sql.filter(|_| !parse.name.is_empty()) {
            self.sql.keep_statement(parse.name, &statement.text, &sql).inspect_err(|_| self.statements.forget(parse.name))?;
        }
        outgoing::parse_complete(&mut self.connection.out);
        Ok(())
    }

    pub(super) fn bind(&mut self, bind: Bind<'_>) -> Result<(), Stop> {
        let statement = self.statement(bind.statement)?;
        let (parameters, columns) = match &statement.sql {
            Some(sql) => (sql.parameters(), sql.result_schema().map_or(0, |schema| schema.fields().len())),
            None => (&[][..], 0),
        };
        if self.sql.transaction_status() == TransactionStatus::Failed
            && statement.sql.as_ref().is_some_and(|sql| !sql.allowed_in_failed_transaction())
        {
            return Err(failed_transaction().into());
        }
        let bytes = bind.values.iter().flatten().map(|value| value.len()).sum();
        let formats = &bind.parameter_formats;
        let values = bind_values(parameters, formats, &bind.values, bind.statement, &self.input_manner());
        let values = values.inspect_err(|error| self.sql.note_refusal(&statement.text, error))?;
        let formats = result_formats(&bind.result_formats, columns)?;
        self.statements.check_portal(bind.portal, bytes)?;
        self.statements.keep_portal(bind.portal, Portal { statement, formats, bytes, state: PortalState::Bound(values) });
        outgoing::bind_complete(&mut self.connection.out);
        Ok(())
    }

    pub(super) fn describe(&mut self, target: Target, name: &str) -> Result<(), Stop> {
        let (sql, formats) = match target {
            Target::Statement => (self.statement(name)?.sql, Vec::new()),
            Target::Portal => match self.statements.portal(name) {
                Ok(portal) => (portal.statement.sql.clone(), portal.formats.clone()),
                Err(missing) => return self.describe_cursor(name, missing),
            },
        };
        let schema = sql.as_ref().and_then(|sql| sql.result_schema());
        if schema.is_some() && self.sql.transaction_status() == TransactionStatus::Failed {
            return Err(failed_transaction().into());
        }
        let out = &mut self.connection.out;
        if target == Target::Statement {
            let parameters = sql.as_ref().map_or(&[][..], |sql| sql.parameters());
            outgoing::parameter_description(out, parameters.iter().map(|field| lakegate_engine_api::pg_type(field)));
        }
        match schema {
            Some(schema) => outgoing::row_description(out, schema, &formats),
            None => outgoing::no_data(out),
        }
        Ok(())
    }

    pub(super) fn close(&mut self, target: Target, name: &str) -> Result<(), Stop> {
        match target {
            Target::Statement => {
                self.statements.forget(name);
                self.sql.forget_statement(name);
            }
            Target::Portal => {
                self.statements.close_portal(name);
                self.sql.close_cursor(name);
            }
        }
        outgoing::close_complete(&mut self.connection.out);
        Ok(())
    }

    /// A statement of Parse or of SQL's PREPARE: they share their names.
    fn statement(&self, name: &str) -> Result<Statement, SqlError> {
        match self.statements.find(name) {
            Ok(statement) => Ok(statement.clone()),
            Err(missing) => self.sql.find_statement(name).map(|(text, sql)| Statement { text, sql: Some(sql) }).ok_or(missing),
        }
    }

    /// To PostgreSQL a cursor of DECLARE is a portal like those of Bind; drivers ask for its columns so.
    fn describe_cursor(&mut self, name: &str, missing: SqlError) -> Result<(), Stop> {
        let schema = self.sql.cursor_schema(name).ok_or(missing)?;
        if self.sql.transaction_status() == TransactionStatus::Failed {
            return Err(failed_transaction().into());
        }
        outgoing::row_description(&mut self.connection.out, &schema, &vec![Format::Text; schema.fields().len()]);
        Ok(())
    }

    /// `max_rows` of zero or less means all.
    pub(super) async fn execute(&mut self, name: &str, max_rows: i32) -> Result<(), Stop> {
        let before = self.sql.transaction_status();
        let Some(mut running) = self.running_portal(name).await? else {
            self.executed(before);
            return Ok(());
        };
        let rows_max = u64::try_from(max_rows).ok().filter(|max| *max > 0);
        let state = match running.send(&mut self.connection, &self.live, rows_max).await? {
            Sent::Suspended => {
                outgoing::portal_suspended(&mut self.connection.out);
                PortalState::Running(running)
            }
            Sent::All(rows) => {
                self.take_events();
                outgoing::command_complete_rows(&mut self.connection.out, running.tag, rows);
                PortalState::Exhausted { tag: running.tag }
            }
        };
        self.executed(before);
        if let Ok(portal) = self.statements.portal(name) {
            portal.state = state;
        }
        Ok(())
    }

    /// The rows of a portal, begun or resumed; taken out of it while they are sent, so that what fails stays behind as done.
    /// `None`: it gives no rows, or no more, and its completion has been told.
    async fn running_portal(&mut self, name: &str) -> Result<Option<Box<Running>>, Stop> {
        let portal = self.statements.portal(name)?;
        let text = portal.statement.text.clone();
        let Some(sql) = portal.statement.sql.clone() else {
            outgoing::empty_query_response(&mut self.connection.out);
            return Ok(None);
        };
        match std::mem::replace(&mut portal.state, PortalState::Done) {
            PortalState::Bound(values) => {
                let formats = portal.formats.clone();
                self.begin(&sql, &text, values, formats).await
            }
            PortalState::Running(running) => {
                self.live.running(Some(&text), &running.cancel);
                Ok(Some(running))
            }
            PortalState::Exhausted { tag } => {
                portal.state = PortalState::Exhausted { tag };
                outgoing::command_complete_rows(&mut self.connection.out, tag, 0);
                Ok(None)
            }
            PortalState::Done => {
                let message = format!("portal \"{name}\" cannot be run");
                Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, message).into())
            }
        }
    }

    /// MOVE of a portal: its rows are passed without being sent.
    pub(super) async fn move_portal(&mut self, target: &PortalMove) -> Result<(), Stop> {
        let portal = self.statements.portal(&target.portal)?;
        let (text, sql, formats) = (portal.statement.text.clone(), portal.statement.sql.clone(), portal.formats.clone());
        let running = match (std::mem::replace(&mut portal.state, PortalState::Done), sql) {
            (PortalState::Running(running), _) => {
                self.live.running(Some(&text), &running.cancel);
                Some(running)
            }
            (PortalState::Exhausted { tag }, _) => {
                portal.state = PortalState::Exhausted { tag };
                None
            }
            (PortalState::Bound(values), Some(sql)) if sql.result_schema().is_some() => self.begin(&sql, &text, values, formats).await?,
            _ => {
                let message = format!("portal \"{}\" cannot be run", target.portal);
                return Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, message).into());
            }
        };
        let moved = match running {
            None => 0,
            Some(mut running) => {
                let (moved, state) = match running.skip(&mut self.connection, &self.live, target.rows_max).await? {
                    Sent::Suspended => (target.rows_max.unwrap_or_default(), PortalState::Running(running)),
                    Sent::All(rows) => (rows, PortalState::Exhausted { tag: running.tag }),
                };
                if let Ok(portal) = self.statements.portal(&target.portal) {
                    portal.state = state;
                }
                moved
            }
        };
        self.live.not_running();
        outgoing::command_complete(&mut self.connection.out, &format!("MOVE {moved}"));
        Ok(())
    }

    async fn begin(
        &mut self,
        sql: &Arc<dyn PreparedSql>,
        text: &Arc<str>,
        values: Vec<ArrayRef>,
        formats: Vec<Format>,
    ) -> Result<Option<Box<Running>>, Stop> {
        let cancel = self.running(Some(text));
        self.sql.expect_more(!self.connection.sync_is_next());
        let work = self.sql.execute(sql, values, cancel.clone());
        let response = watched(&mut self.connection, &self.live, &cancel, work).await??;
        self.take_events();
        match response {
            Response::Rows { schema, rows, tag } => {
                // A result that differs from what was described cannot be told in this protocol.
                if sql.result_schema().map_or(0, |described| described.fields().len()) != schema.fields().len() {
                    return Err(SqlError::changed_result().into());
                }
                return Ok(Some(Box::new(Running { schema, formats, rows, tag, cancel, manner: self.manner(), batch: None })));
            }
            Response::Command { tag } => outgoing::command_complete(&mut self.connection.out, &tag),
            Response::Empty => outgoing::empty_query_response(&mut self.connection.out),
            Response::CopyIn { columns, binary, sink } => self.copy_in(columns, binary, sink, &cancel).await?,
            Response::CopyOut { columns, binary, data, rows } => self.copy_out(columns, binary, data, &rows, &cancel).await?,
        }
        Ok(None)
    }

    /// A transaction that the statement ended takes the portals with it.
    fn executed(&mut self, before: TransactionStatus) {
        self.live.not_running();
        if before != TransactionStatus::Idle && self.sql.transaction_status() == TransactionStatus::Idle {
            self.statements.close_portals();
        }
    }
}

fn failed_transaction() -> SqlError {
    SqlError::new(SqlState::InFailedSqlTransaction, "current transaction is aborted, commands ignored until end of transaction block")
}
