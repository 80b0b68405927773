//! What of a statement stays at the gateway, for the engine to ask of while the statement is there.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;

use lakegate_engine_api::{
    BoundRelation, BoundStatement, CatalogLookup, CommitDecision, EngineError, EngineTransaction, RelationSource, SessionFacts,
    SystemColumns,
};

use super::exchange::{Upload, Work};
use super::link::Link;
use super::transaction::{Mirror, RemoteTransaction};
use crate::error;
use crate::flight::wire::{Facts, Relation, Reply, Request, Source, Statement, Table, TransactionRef, batches_to, schema_to};

/// Something that the engine may ask of.
#[derive(Clone)]
pub enum Object {
    Lookup(Arc<dyn CatalogLookup>),
    Columns(Arc<dyn SystemColumns>),
    Decision(Arc<dyn CommitDecision>),
}

/// The objects of a statement or another piece of work; they are out of reach once it is dropped.
pub struct Scope {
    link: Arc<Link>,
    numbers: Vec<u64>,
    /// The transactions that were named.
    pub transactions: Vec<Arc<Mirror>>,
}

impl Scope {
    pub fn new(link: &Arc<Link>) -> Self {
        Scope { link: Arc::clone(link), numbers: Vec::new(), transactions: Vec::new() }
    }

    pub fn object(&mut self, object: Object) -> u64 {
        let number = self.link.number();
        self.link.shared.objects().insert(number, object);
        self.numbers.push(number);
        number
    }

    pub fn facts<'a>(&mut self, facts: &'a SessionFacts) -> Facts<'a> {
        let lookup = self.object(Object::Lookup(Arc::clone(&facts.lookup)));
        Facts::of(facts, lookup)
    }

    /// # Errors
    /// `Internal` for another engine's; `Lost` where its session has gone.
    pub fn transaction(&mut self, transaction: &dyn EngineTransaction) -> Result<TransactionRef, EngineError> {
        let mirror = RemoteTransaction::of(transaction)?.mirror();
        let named = mirror.named(&self.link)?;
        if !self.transactions.iter().any(|known| Arc::ptr_eq(known, mirror)) {
            self.transactions.push(Arc::clone(mirror));
        }
        Ok(named)
    }

    /// # Errors
    /// As [`Scope::transaction`].
    pub fn relation<'a>(&mut self, relation: &'a BoundRelation) -> Result<Relation<'a>, EngineError> {
        let source = match &relation.source {
            RelationSource::Table { table, version, transaction, policies } => Source::Table {
                table: Table::of(table)?,
                version: *version,
                transaction: transaction.as_deref().map(|transaction| self.transaction(transaction)).transpose()?,
                policies: policies.as_deref().map(Cow::Borrowed),
            },
            RelationSource::TableAt { table, moment, policies } => Source::TableAt {
                table: Table::of(table)?,
                moment: Cow::Borrowed(moment),
                policies: policies.as_deref().map(Cow::Borrowed),
            },
            RelationSource::TableChanges { table, from, to, policies } => Source::TableChanges {
                table: Table::of(table)?,
                from: Cow::Borrowed(from),
                to: to.as_ref().map(Cow::Borrowed),
                policies: policies.as_deref().map(Cow::Borrowed),
            },
            RelationSource::Rows { schema, batches } => Source::Rows(batches_to(schema, batches)?),
            RelationSource::Columns { schema, columns } => Source::Columns {
                schema: schema_to(schema)?,
                of_the_moment: columns.are_of_the_moment(),
                columns: self.object(Object::Columns(Arc::clone(columns))),
            },
            RelationSource::Log { .. } => return Err(error::internal("a log that was not read")),
            RelationSource::View { query, columns, runs_as, visible, policies } => Source::View {
                query: Box::new(Cow::Borrowed(query)),
                columns: Cow::Borrowed(columns),
                runs_as: *runs_as,
                visible: visible.as_deref().map(Cow::Borrowed),
                policies: policies.as_deref().map(Cow::Borrowed),
            },
        };
        Ok(Relation { name: Cow::Borrowed(&relation.name), runs_as: relation.runs_as, source })
    }

    /// # Errors
    /// As [`Scope::relation`].
    pub fn statement<'a>(&mut self, statement: &'a BoundStatement) -> Result<Statement<'a>, EngineError> {
        Ok(Statement {
            statement_id: statement.statement_id,
            work: Cow::Borrowed(&statement.work),
            relations: statement.relations.iter().map(|relation| self.relation(relation)).collect::<Result<_, _>>()?,
            session: self.facts(&statement.session),
            parameter_types: Cow::Borrowed(&statement.parameter_types),
            renewable: statement.renewable,
            keeps_rows_after: statement.keeps_rows_after,
        })
    }

    /// As [`Work::reply`]; the objects stay at hand until it is there.
    ///
    /// # Errors
    /// As [`Work::reply`].
    pub fn reply(
        self,
        mut work: Work,
        request: Request<'_>,
        upload: Option<Upload>,
    ) -> impl Future<Output = Result<Reply, EngineError>> + Send + use<> {
        work.transactions.clone_from(&self.transactions);
        let reply = work.reply(&self.link, request, upload);
        async move {
            let _at_hand = self;
            reply.await
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let mut objects = self.link.shared.objects();
        let dropped: Vec<_> = self.numbers.iter().filter_map(|number| objects.remove(number)).collect();
        drop(objects);
        drop(dropped);
    }
}
