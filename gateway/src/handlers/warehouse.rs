//! CREATE, ALTER and DROP WAREHOUSE.

use std::sync::Arc;

use lakegate_catalog::ddl::WarehouseChange;
use lakegate_catalog::model::{Warehouse, WarehouseLimits};
use lakegate_catalog::{CatalogError, ObjectKind, Snapshot};

use crate::frontend::Response;
use crate::sql::grammar::{AlterWarehouse, WarehouseCommand, WarehouseOption};
use crate::sql::session::GatewaySession;
use crate::sql::setting_values::{TIME_UNITS, parse_quantity};
use crate::sqlstate::{Severity, SqlError, SqlState};

/// # Errors
/// 42501, 42710, 42704, 22023; 0A000: an option that needs engine processes of the warehouse's own.
pub async fn run(session: &mut GatewaySession, command: &WarehouseCommand) -> Result<Response, SqlError> {
    let catalog = session.catalog().clone();
    let principal = session.principal;
    match command {
        WarehouseCommand::Create { name, if_not_exists, options } => {
            let limits = limits(WarehouseLimits::default(), options)?;
            match catalog.create_warehouse(&principal, name, limits).await {
                Err(CatalogError::Duplicate { .. }) if *if_not_exists => {
                    skipped(session, &format!("warehouse \"{name}\" already exists, skipping"));
                }
                created => drop(created?),
            }
        }
        WarehouseCommand::Alter { name, if_exists, change } => {
            let snapshot = catalog.snapshot();
            let Some(warehouse) = named_or_skipped(session, &snapshot, name, *if_exists)? else { return Ok(done(command)) };
            let change = match change {
                AlterWarehouse::Set(options) => WarehouseChange::Limits(limits(warehouse.limits, options)?),
                AlterWarehouse::Rename(to) => WarehouseChange::Rename(to.clone()),
                AlterWarehouse::Owner(role) => WarehouseChange::Owner(super::role::named(session, &snapshot, role)?),
            };
            catalog.alter_warehouse(&principal, warehouse.oid, change).await?;
        }
        WarehouseCommand::Drop { names, if_exists } => {
            let snapshot = catalog.snapshot();
            for name in names {
                if let Some(warehouse) = named_or_skipped(session, &snapshot, name, *if_exists)? {
                    catalog.drop_warehouse(&principal, warehouse.oid).await?;
                }
            }
        }
    }
    Ok(done(command))
}

/// # Errors
/// 42704.
pub fn named<'a>(snapshot: &'a Snapshot, name: &str) -> Result<&'a Arc<Warehouse>, SqlError> {
    let missing = || CatalogError::Undefined { kind: ObjectKind::Warehouse, name: name.to_owned() };
    Ok(snapshot.warehouse_by_name(name).ok_or_else(missing)?)
}

fn named_or_skipped(
    session: &mut GatewaySession,
    snapshot: &Snapshot,
    name: &str,
    if_exists: bool,
) -> Result<Option<Arc<Warehouse>>, SqlError> {
    match named(snapshot, name) {
        Err(_) if if_exists => {
            skipped(session, &format!("warehouse \"{name}\" does not exist, skipping"));
            Ok(None)
        }
        found => Ok(Some(Arc::clone(found?))),
    }
}

fn done(command: &WarehouseCommand) -> Response {
    Response::Command { tag: command.tag().to_owned() }
}

fn skipped(session: &mut GatewaySession, text: &str) {
    session.notice(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text));
}

fn limits(before: WarehouseLimits, options: &[WarehouseOption]) -> Result<WarehouseLimits, SqlError> {
    let mut limits = before;
    for option in options {
        match option.name.as_str() {
            "max_concurrency" => limits.max_concurrency = number(option)?.filter(|count| *count > 0),
            "queue_limit" => limits.queue_limit = number(option)?,
            "statement_timeout" => limits.statement_timeout_ms = milliseconds(option)?,
            "min_engines" | "max_engines" | "auto_stop" | "memory_per_statement" | "labels" => {
                return Err(SqlError::unsupported(format!("warehouse option {} is not supported", option.name))
                    .hint("Engines are started with lakegate engine --warehouse, each with a --memory-limit of its own."));
            }
            other => {
                return Err(SqlError::new(SqlState::InvalidParameterValue, format!("unrecognized warehouse option \"{other}\""))
                    .hint("The options are max_concurrency, queue_limit and statement_timeout."));
            }
        }
    }
    Ok(limits)
}

fn number(option: &WarehouseOption) -> Result<Option<u32>, SqlError> {
    let Some(text) = &option.value else { return Ok(None) };
    text.trim().parse().map(Some).map_err(|_| invalid(option, text, "Give a whole number, or DEFAULT for no limit."))
}

fn milliseconds(option: &WarehouseOption) -> Result<Option<u64>, SqlError> {
    let Some(text) = &option.value else { return Ok(None) };
    let parsed = parse_quantity(text, &TIME_UNITS).and_then(|((), ms)| u64::try_from(ms).ok());
    let ms = parsed.ok_or_else(|| invalid(option, text, "Give a time such as '30s', in milliseconds where it has no unit."))?;
    Ok((ms > 0).then_some(ms))
}

fn invalid(option: &WarehouseOption, text: &str, hint: &'static str) -> SqlError {
    SqlError::new(SqlState::InvalidParameterValue, format!("invalid value for warehouse option \"{}\": \"{text}\"", option.name)).hint(hint)
}
