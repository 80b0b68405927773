//! Makes of what came from a gateway what the engine takes.

use std::sync::Arc;

use lakegate_engine_api::{BoundRelation, BoundStatement, EngineError, EngineTransaction, RelationSource, SessionFacts, TablePolicies};

use super::Host;
use super::lookup::{RemoteColumns, RemoteLookup};
use super::session::Session;
use super::transactions::Transaction;
use crate::flight::wire::{Facts, Relation, Source, Statement, TransactionRef, TransactionState, batches_from, schema_from};

/// The objects that an operation's numbers stand for.
pub struct Binder<'a> {
    pub host: &'a Host,
    pub session: &'a Session,
    /// The transactions that were named, each once.
    named: Vec<(u64, Arc<Transaction>)>,
}

impl<'a> Binder<'a> {
    pub fn new(host: &'a Host, session: &'a Session) -> Self {
        Binder { host, session, named: Vec::new() }
    }

    /// How the transactions are now.
    pub fn states(&self) -> Vec<TransactionState> {
        self.named.iter().map(|(number, transaction)| transaction.state(*number)).collect()
    }

    /// # Errors
    /// `Unavailable` for a new one while the engine drains; those of the steps that come with it.
    pub fn transaction(&mut self, told: &TransactionRef) -> Result<Arc<dyn EngineTransaction>, EngineError> {
        let transaction = self.session.transaction(told.number, self.host)?;
        if self.named.iter().all(|(number, _)| *number != told.number) {
            self.named.push((told.number, Arc::clone(&transaction)));
        }
        transaction.catch_up(told)?;
        Ok(Arc::clone(&transaction.engine))
    }

    pub fn facts(&self, facts: Facts<'static>) -> Arc<SessionFacts> {
        let lookup = RemoteLookup::new(&self.session.calls, facts.lookup, facts.catalog_version);
        facts.into_facts(lookup)
    }

    /// # Errors
    /// As [`Binder::transaction`]; `Internal`.
    pub fn relation(&mut self, relation: Relation<'static>) -> Result<BoundRelation, EngineError> {
        let shared = |policies: Option<std::borrow::Cow<'static, TablePolicies>>| policies.map(|policies| Arc::new(policies.into_owned()));
        let source = match relation.source {
            Source::Table { table, version, transaction, policies } => RelationSource::Table {
                table: table.take_over()?,
                version,
                transaction: transaction.map(|told| self.transaction(&told)).transpose()?,
                policies: shared(policies),
            },
            Source::TableAt { table, moment, policies } => {
                RelationSource::TableAt { table: table.take_over()?, moment: moment.into_owned(), policies: shared(policies) }
            }
            Source::TableChanges { table, from, to, policies } => RelationSource::TableChanges {
                table: table.take_over()?,
                from: from.into_owned(),
                to: to.map(std::borrow::Cow::into_owned),
                policies: shared(policies),
            },
            Source::Rows(bytes) => {
                let (schema, batches) = batches_from(&bytes)?;
                RelationSource::Rows { schema, batches: batches.into() }
            }
            Source::Columns { schema, columns, of_the_moment } => {
                let columns = RemoteColumns { calls: Arc::clone(&self.session.calls), object: columns, of_the_moment };
                RelationSource::Columns { schema: schema_from(&schema)?, columns: Arc::new(columns) }
            }
            Source::View { query, columns, runs_as, visible, policies } => RelationSource::View {
                query: Arc::new((*query).into_owned()),
                columns: columns.into_owned(),
                runs_as,
                visible: visible.map(std::borrow::Cow::into_owned),
                policies: shared(policies),
            },
        };
        Ok(BoundRelation { name: relation.name.into_owned(), runs_as: relation.runs_as, source })
    }

    /// # Errors
    /// As [`Binder::relation`].
    pub fn statement(&mut self, statement: Statement<'static>) -> Result<BoundStatement, EngineError> {
        Ok(BoundStatement {
            statement_id: statement.statement_id,
            work: statement.work.into_owned(),
            relations: statement.relations.into_iter().map(|relation| self.relation(relation)).collect::<Result<_, _>>()?,
            session: self.facts(statement.session),
            parameter_types: statement.parameter_types.into_owned(),
            renewable: statement.renewable,
            keeps_rows_after: statement.keeps_rows_after,
        })
    }
}
