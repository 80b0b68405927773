//! The relations of truth, one file each.

mod activity;
mod attrdef;
mod attribute;
mod auth_members;
mod authid;
mod class;
mod constraint;
mod cursors;
mod database;
mod db_role_setting;
mod default_acl;
mod depend;
mod description;
mod gssapi;
mod index;
mod information_schema;
mod init_privs;
mod locks;
mod namespace;
mod policy;
mod prepared_statements;
mod progress_copy;
mod rewrite;
mod sequence;
pub mod settings;
mod ssl;
mod timezones;
pub mod types;

use std::sync::Arc;

use arrow_array::RecordBatch;
use lakegate_catalog::model::PgType;
use lakegate_engine_api::RelationSource;

use super::constants;
use super::kept::OnDemand;
use super::moment::{OF_ALL_SESSIONS, OfTheMoment};
use super::objects::Objects;
use super::recorded::Recorded;
use super::{Context, PG_CATALOG, typed_text};
use crate::sql::parse::parse_expression;
use crate::sqlstate::SqlError;

impl<'a> Context<'a> {
    fn objects(&self) -> Objects<'a> {
        Objects {
            snapshot: self.snapshot,
            role: self.principal.current_role,
            database: self.database,
            temporary: crate::sql::temporary::own_schema(&self.facts.search_path),
            only: self.only,
        }
    }

    /// Whether a column of the relation is to be made.
    fn wants(&self, relation: &Recorded, column: &str) -> bool {
        self.columns.is_none_or(|wanted| wanted.iter().any(|at| relation.columns.get(*at).is_some_and(|of| of.name == column)))
    }

    /// A default's text with its constants as values of the column's type, its sequences by name.
    fn shown_default(&self, text: &str, column: PgType) -> String {
        let constant = parse_expression(text).ok().and_then(|expr| constants::shown(&expr, column));
        let typed = || parse_expression(text).ok().and_then(|expr| typed_text::value(&expr, &[]));
        if let Some(constant) = constant.or_else(typed) {
            return constant;
        }
        crate::handlers::column_text::shown_default(text, |sequence| {
            let (schema, name) = self.facts.lookup.relation_name(sequence)?;
            let visible = self.facts.lookup.relation_is_visible(sequence);
            let quoted = super::lookup::quoted;
            Some(if visible { quoted(&name) } else { format!("{}.{}", quoted(&schema), quoted(&name)) })
        })
    }
}

/// Relations whose rows change without the catalog.
pub const OF_THE_MOMENT: &[&str] = &[
    "pg_cursors",
    "pg_locks",
    "pg_prepared_statements",
    "pg_settings",
    "pg_stat_activity",
    "pg_stat_gssapi",
    "pg_stat_progress_copy",
    "pg_stat_ssl",
    "pg_timezone_names",
];

/// Those that say a name without its schema where the search path finds it.
pub const NAMED_BY_PATH: &[&str] = &["columns", "pg_attrdef"];

/// Makes the rows of a relation: of all columns, or of those that the context wants.
pub type Maker = fn(&'static Recorded, &Context<'_>) -> Result<Vec<RecordBatch>, SqlError>;

/// A relation of truth; `None` for all other relations.
///
/// # Errors
/// XX000 where a value does not fit its column.
pub fn source(relation: &'static Recorded, context: &Context<'_>) -> Result<Option<RelationSource>, SqlError> {
    let Some(maker) = maker(relation) else { return Ok(None) };
    let schema = Arc::clone(&relation.schema);
    Ok(Some(if relation.schema_name == PG_CATALOG && OF_ALL_SESSIONS.contains(&relation.name) {
        RelationSource::Columns { schema, columns: Arc::new(OfTheMoment::new(relation, maker, context)) }
    } else if OF_THE_MOMENT.contains(&relation.name) {
        RelationSource::Rows { schema, batches: maker(relation, context)?.into() }
    } else {
        RelationSource::Columns { schema, columns: Arc::new(OnDemand::new(relation, maker, context)) }
    }))
}

fn maker(relation: &Recorded) -> Option<Maker> {
    if relation.schema_name != PG_CATALOG {
        return information_schema::maker(relation);
    }
    Some(match relation.name {
        "pg_attrdef" => attrdef::rows,
        "pg_attribute" => attribute::rows,
        "pg_auth_members" => auth_members::rows,
        "pg_authid" => authid::rows,
        "pg_class" => class::rows,
        "pg_constraint" => constraint::rows,
        "pg_cursors" => cursors::rows,
        "pg_database" => database::rows,
        "pg_db_role_setting" => db_role_setting::rows,
        "pg_default_acl" => default_acl::rows,
        "pg_depend" => depend::rows,
        "pg_description" => description::of_objects,
        "pg_index" => index::rows,
        "pg_init_privs" => init_privs::rows,
        "pg_locks" => locks::rows,
        "pg_namespace" => namespace::rows,
        "pg_policy" => policy::rows,
        "pg_prepared_statements" => prepared_statements::rows,
        "pg_rewrite" => rewrite::rows,
        "pg_sequence" => sequence::rows,
        "pg_settings" => settings::rows,
        "pg_shdescription" => description::of_databases,
        "pg_stat_activity" => activity::rows,
        "pg_stat_gssapi" => gssapi::rows,
        "pg_stat_progress_copy" => progress_copy::rows,
        "pg_stat_ssl" => ssl::rows,
        "pg_timezone_names" => timezones::rows,
        "pg_type" => types::rows,
        _ => return None,
    })
}
