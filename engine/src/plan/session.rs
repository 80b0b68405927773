//! DataFusion session states: PostgreSQL's semantics, the engine's memory, one session's facts.

use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::execution::SessionState;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::TrackConsumersPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::SessionConfig;
use lakegate_engine_api::{EngineError, ExecutionMetrics, SessionFacts};

use super::small::small;
use crate::cache::{DecodedCache, YieldingPool};
use crate::error;
use crate::functions::session::Session;
use crate::options::EngineOptions;
use crate::planner_pg::{base, configure};

/// Consumers named in the detail of an out of memory error.
const TOP_CONSUMERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4);

/// Makes session states that share memory, spill space and caches.
pub struct Sessions {
    runtime: Arc<RuntimeEnv>,
    base: SessionState,
    /// For few rows in memory.
    small: SessionState,
}

/// Where the scans of one execution count; an extension of its session configuration.
#[derive(Debug)]
pub struct ScanCounters(pub Arc<ExecutionMetrics>);

/// Whether scans may read decoded columns from memory and keep them there; an extension of a session configuration.
#[derive(Debug)]
pub struct ReadsDecoded(pub bool);

impl Sessions {
    /// # Errors
    /// `Storage` where the spill folder cannot be made.
    pub fn new(options: &EngineOptions, decoded: &Arc<DecodedCache>) -> Result<Self, EngineError> {
        let spill = || EngineError::Storage { message: "the spill folder cannot be made".to_owned() };
        std::fs::create_dir_all(&options.spill_dir).map_err(|_| spill())?;
        let disk = DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::Directories(vec![options.spill_dir.clone()]))
            .with_max_temp_directory_size(options.spill_limit_bytes);
        let pool = TrackConsumersPool::new(YieldingPool::new(options.memory_limit_bytes, Arc::clone(decoded)), TOP_CONSUMERS);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .with_disk_manager_builder(disk)
            .build_arc()
            .map_err(|error| error::from_datafusion(&error, &[]))?;
        let base = base(config(options), Arc::clone(&runtime));
        let small = small(base.clone());
        Ok(Self { runtime, base, small })
    }

    #[must_use]
    pub fn runtime(&self) -> &Arc<RuntimeEnv> {
        &self.runtime
    }

    /// A state for statements of one session.
    #[must_use]
    pub fn state(&self, facts: &Arc<SessionFacts>) -> SessionState {
        configured(self.base.clone(), Session::new(Arc::clone(facts)), false)
    }

    /// The same for statements that read no table, with the session that its functions ask. `renewable`: the plan is run again.
    #[must_use]
    pub fn small_state(&self, facts: &Arc<SessionFacts>, renewable: bool) -> (SessionState, Arc<Session>) {
        let session = if renewable { Session::renewable(Arc::clone(facts)) } else { Session::new(Arc::clone(facts)) };
        (configured(self.small.clone(), Arc::clone(&session), true), session)
    }

    /// The state for one execution, which counts its scans in `metrics`.
    #[must_use]
    pub fn counting(state: &SessionState, metrics: &Arc<ExecutionMetrics>) -> SessionState {
        let mut state = state.clone();
        state.config_mut().set_extension(Arc::new(ScanCounters(Arc::clone(metrics))));
        state
    }
}

fn configured(mut state: SessionState, session: Arc<Session>, is_small: bool) -> SessionState {
    state.execution_props_mut().query_execution_start_time = Some(session.facts.statement_time);
    let reads_decoded = session.facts.settings.get("lakegate.decoded_cache").is_none_or(|value| value == "on");
    state.config_mut().set_extension(Arc::new(ReadsDecoded(reads_decoded)));
    configure(&mut state, session, is_small);
    state
}

fn config(options: &EngineOptions) -> SessionConfig {
    let mut config = SessionConfig::new().with_target_partitions(options.target_partitions.max(1)).with_information_schema(false);
    let settings = config.options_mut();
    settings.sql_parser.dialect = datafusion::config::Dialect::PostgreSQL;
    settings.sql_parser.parse_float_as_decimal = true;
    settings.sql_parser.enable_ident_normalization = true;
    settings.sql_parser.map_string_types_to_utf8view = false;
    settings.sql_parser.default_null_ordering = "nulls_max".to_owned();
    // Order of a subquery is what array_agg and string_agg over it show.
    settings.sql_parser.enable_subquery_sort_elimination = false;
    settings.execution.collect_statistics = true;
    // The types that columns carry as metadata need not outlast the optimizer: the result's own were settled before.
    settings.execution.skip_physical_aggregate_schema_check = true;
    settings.execution.time_zone = Some("UTC".to_owned());
    settings.execution.parquet.schema_force_view_types = false;
    settings.execution.parquet.coerce_int96 = Some("us".to_owned());
    // Measured slower on TPC-H; pages and row groups are pruned either way.
    settings.execution.parquet.pushdown_filters = false;
    // Rules that simplify an expression can find out that it is never NULL, after the schema was settled.
    settings.execution.skip_physical_aggregate_schema_check = true;
    config
}
