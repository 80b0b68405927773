//! Which relations a statement wants rows of, where it looks for keys: in a catalog of ten thousand tables, those of one are made without
//! a look at the others. More rows than that may come; the engine filters them again.

use lakegate_catalog::authorize::visible_relations;
use lakegate_catalog::model::{Oid, Relation};
use lakegate_engine_api::{Key, KeyFilter};

use super::objects::{Class, Objects};
use super::recorded::Recorded;

/// Relations by one of their properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Only {
    /// Of themselves, or of their keys and indexes.
    Oids(Vec<Oid>),
    /// The same.
    Names(Vec<String>),
    Schemas(Vec<Oid>),
}

/// What a column of a system relation says about the relation that a row is about.
enum Says {
    Oid,
    Name,
    Schema,
}

/// (system relation, column): makers of these take all their rows from [`Objects`].
const KEYS: &[(&str, &str, Says)] = &[
    ("pg_attrdef", "adrelid", Says::Oid),
    ("pg_attribute", "attrelid", Says::Oid),
    ("pg_class", "oid", Says::Oid),
    ("pg_class", "relname", Says::Name),
    ("pg_class", "relnamespace", Says::Schema),
    ("pg_constraint", "conrelid", Says::Oid),
    ("pg_constraint", "connamespace", Says::Schema),
    ("pg_constraint", "oid", Says::Oid),
    ("pg_index", "indexrelid", Says::Oid),
    ("pg_index", "indrelid", Says::Oid),
    ("pg_rewrite", "ev_class", Says::Oid),
    ("pg_sequence", "seqrelid", Says::Oid),
    ("columns", "table_name", Says::Name),
];

impl Only {
    /// The fewest that the filters leave.
    #[must_use]
    pub fn of(relation: &Recorded, keys: &[KeyFilter]) -> Option<Only> {
        let known = keys.iter().filter_map(|key| {
            let column = &relation.columns.get(key.column)?.name;
            let (.., says) = KEYS.iter().find(|(name, of, _)| *name == relation.name && of == column)?;
            Some((matches!(says, Says::Schema), key.values.len(), says, &key.values))
        });
        let (_, _, says, values) = known.min_by_key(|(is_schema, count, ..)| (*is_schema, *count))?;
        let oid = |key: &Key| match key {
            Key::Number(number) => Some(Oid::try_from(*number).unwrap_or(0)),
            Key::Text(_) => None,
        };
        let name = |key: &Key| match key {
            Key::Text(text) => Some(text.clone()),
            Key::Number(_) => None,
        };
        Some(match says {
            Says::Oid => Only::Oids(values.iter().map(oid).collect::<Option<_>>()?),
            Says::Name => Only::Names(values.iter().map(name).collect::<Option<_>>()?),
            Says::Schema => Only::Schemas(values.iter().map(oid).collect::<Option<_>>()?),
        })
    }

    #[must_use]
    pub fn is(&self, class: &Class<'_>) -> bool {
        match self {
            Only::Oids(oids) => oids.contains(&class.oid),
            Only::Names(names) => names.iter().any(|name| name == class.name),
            Only::Schemas(schemas) => schemas.contains(&class.schema),
        }
    }
}

/// The tables, views and sequences meant, in order of OID.
pub fn stored<'a>(objects: &Objects<'a>, only: &Only) -> Vec<&'a Relation> {
    let snapshot = objects.snapshot;
    let mut found: Vec<&'a Relation> = match only {
        Only::Oids(oids) => {
            let relation = |oid: &Oid| {
                let of_key = || snapshot.relation_of_index(*oid).or_else(|| snapshot.relation_of_constraint(*oid));
                snapshot.relation_by_oid(*oid).or_else(of_key)
            };
            oids.iter().filter_map(relation).filter_map(|relation| objects.visible(relation)).collect()
        }
        Only::Names(names) => {
            let Some(database) = objects.stored_database() else { return Vec::new() };
            let named = |schema: Oid, name: &str| {
                let of_keys = snapshot.relations_with_constraint(schema, name);
                snapshot
                    .relation(schema, name)
                    .into_iter()
                    .chain(snapshot.relation_with_index(schema, name))
                    .chain(of_keys)
                    .collect::<Vec<_>>()
            };
            let schemas = snapshot.schemas_in_database(database.oid);
            let all = schemas.flat_map(|schema| names.iter().flat_map(move |name| named(schema.oid, name)));
            all.filter_map(|relation| objects.visible(relation)).collect()
        }
        Only::Schemas(schemas) => {
            let Some(database) = objects.stored_database() else { return Vec::new() };
            let own = snapshot.schemas_in_database(database.oid).filter(|schema| schemas.contains(&schema.oid));
            own.flat_map(|schema| visible_relations(snapshot, objects.role, schema.oid))
                .filter_map(|relation| objects.visible(relation))
                .collect()
        }
    };
    found.sort_by_key(|relation| relation.oid);
    found.dedup_by_key(|relation| relation.oid);
    found
}
