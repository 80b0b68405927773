//! The simple protocol: one message, any number of statements. Mirrors `exec_simple_query`.

use std::sync::Arc;

use super::rows::{Running, Sent};
use super::stop::{Stop, canceled, watched};
use super::{Flow, Session};
use crate::frontend::{ParsedStatement, PreparedSql, Response};
use crate::sqlstate::SqlError;
use crate::wire::outgoing::{self, Format};

impl Session {
    pub(super) async fn simple_query(&mut self, text: &str) -> Flow {
        // As PostgreSQL: the unnamed statement does not outlive a simple query.
        self.statements.forget("");
        match self.run_statements(text).await {
            Ok(()) => self.finish_message().await,
            Err(stop) => self.report(b'Q', stop).await,
        }
    }

    async fn run_statements(&mut self, text: &str) -> Result<(), Stop> {
        let parsed = self.sql.parse(text)?;
        let mut left = parsed.iter().filter(|statement| statement.command.is_some()).count();
        let any = left > 0;
        for statement in parsed {
            if statement.command.is_some() {
                left -= 1;
                self.sql.expect_more(left > 0);
                self.run_statement(statement).await?;
            }
        }
        if !any {
            outgoing::empty_query_response(&mut self.connection.out);
        }
        Ok(())
    }

    async fn run_statement(&mut self, statement: ParsedStatement) -> Result<(), Stop> {
        // No message binds a value here.
        if let Some(parameter) = statement.parameter {
            return Err(parameter.undefined().into());
        }
        let cancel = self.running(Some(&statement.text));
        let prepared = self.prepare(statement, &[], &cancel).await?;
        if let Some(target) = self.sql.portal_move(&prepared).filter(|target| self.statements.has_portal(&target.portal)) {
            self.sql.log_portal_move(&prepared).await?;
            return self.move_portal(&target).await;
        }
        // As PostgreSQL, which looks for this in simple messages only.
        let format = if self.sql.answers_binary(&prepared) { Format::Binary } else { Format::Text };
        let work = self.sql.execute(&prepared, Vec::new(), cancel.clone());
        let response = watched(&mut self.connection, &self.live, &cancel, work).await??;
        self.take_events();
        match response {
            Response::Rows { schema, rows, tag } => {
                check_columns(schema.fields().len())?;
                let formats = vec![format; schema.fields().len()];
                outgoing::row_description(&mut self.connection.out, &schema, &formats);
                let mut running = Running { schema, formats, rows, tag, cancel, manner: self.manner(), batch: None };
                if let Sent::All(rows) = running.send(&mut self.connection, &self.live, None).await? {
                    self.take_events();
                    outgoing::command_complete_rows(&mut self.connection.out, tag, rows);
                }
            }
            Response::Command { tag } => outgoing::command_complete(&mut self.connection.out, &tag),
            Response::Empty => outgoing::empty_query_response(&mut self.connection.out),
            Response::CopyIn { columns, binary, sink } => self.copy_in(columns, binary, sink, &cancel).await?,
            Response::CopyOut { columns, binary, data, rows } => self.copy_out(columns, binary, data, &rows, &cancel).await?,
        }
        self.live.not_running();
        Ok(())
    }

    /// Plans. A plan has no effects, so a cancel just drops the work.
    pub(super) async fn prepare(
        &mut self,
        statement: ParsedStatement,
        declared: &[u32],
        cancel: &tokio_util::sync::CancellationToken,
    ) -> Result<Arc<dyn PreparedSql>, Stop> {
        let (sql, connection, live) = (&mut self.sql, &mut self.connection, &self.live);
        let work = async {
            tokio::select! {
                biased;
                prepared = sql.prepare(statement, declared) => prepared.map_err(Stop::from),
                () = cancel.cancelled() => Err(canceled()),
            }
        };
        watched(connection, live, cancel, work).await?
    }
}

/// A row's column count has 16 bits.
///
/// # Errors
/// 54011.
pub(super) fn check_columns(columns: usize) -> Result<(), SqlError> {
    const COLUMNS_MAX: usize = 32_767;
    if columns <= COLUMNS_MAX {
        return Ok(());
    }
    let message = format!("a result can have at most {COLUMNS_MAX} columns");
    Err(SqlError::new(crate::sqlstate::SqlState::TooManyColumns, message))
}
