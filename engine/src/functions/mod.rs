//! PostgreSQL's functions. Those that DataFusion computes the same way are DataFusion's, listed in [`shared`]; all others
//! are written here. A function that is in neither list does not exist.

mod acl;
pub mod advisory;
mod aggregates;
pub mod arithmetic;
mod array_agg;
mod arrays;
mod bounds;
mod buckets;
mod bytes;
pub mod call;
pub mod cast;
mod cast_preimage;
mod catalog;
mod catalog_objects;
mod coalesce;
mod datetime;
mod datetime_parts;
mod degrees;
mod effects;
pub mod error;
mod float_arithmetic;
pub mod format_type;
pub mod framed;
pub mod function;
mod json;
mod json_objects;
mod jsonb_order;
mod kernel;
mod letters;
mod math;
mod numeric;
mod numeric_scale;
mod ordered_sets;
mod overlaps;
mod privileges;
pub mod quote;
pub mod records;
mod reg;
pub mod regex;
mod regex_positions;
mod row_count;
pub mod sampling;
pub mod sealed_log;
mod sequences;
pub mod session;
pub mod sets;
mod shared;
pub mod shifted;
pub mod string;
pub mod text;
mod to_char;
mod to_char_number;
mod to_date;
pub mod typed;
pub mod types;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock};

use datafusion::catalog::TableFunction;
use datafusion::functions_table::generate_series::GenerateSeriesFunc;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};

use session::Session;

/// The scalar functions of one session. Those that hold the session are made when they are first asked for: a statement calls few.
pub struct Registry {
    session: Arc<Session>,
    made: [OnceLock<Vec<Arc<ScalarUDF>>>; OF_SESSION.len()],
}

/// Makes a group of functions that hold the session, in an order that is always the same.
type Group = fn(&Arc<Session>) -> Vec<Arc<ScalarUDF>>;

const OF_SESSION: [Group; 17] = [
    advisory::session_functions,
    sealed_log::session_functions,
    datetime::session_functions,
    datetime_parts::session_functions,
    to_char::session_functions,
    to_date::session_functions,
    string::session_functions,
    arrays::session_functions,
    json::session_functions,
    overlaps::session_functions,
    catalog::session_functions,
    effects::session_functions,
    acl::session_functions,
    catalog_objects::session_functions,
    privileges::session_functions,
    sequences::session_functions,
    sets::session_functions,
];

/// Where a name's function is: a group of [`OF_SESSION`], and the place in it.
static PLACES: LazyLock<HashMap<String, (usize, usize)>> = LazyLock::new(|| {
    let nobody = Session::new(Arc::new(crate::plan::nobody()));
    let mut places = HashMap::new();
    for (group, make) in OF_SESSION.iter().enumerate() {
        for (at, function) in make(&nobody).iter().enumerate() {
            places.extend(names_of(function).map(|name| (name.to_owned(), (group, at))));
        }
    }
    places
});

/// The functions that hold no session, by name and alias.
static BY_NAME: LazyLock<HashMap<String, Arc<ScalarUDF>>> = LazyLock::new(|| {
    let names = |function: &Arc<ScalarUDF>| names_of(function).map(str::to_owned).collect::<Vec<_>>();
    STATELESS.iter().flat_map(|function| names(function).into_iter().map(|name| (name, Arc::clone(function)))).collect()
});

fn names_of(function: &ScalarUDF) -> impl Iterator<Item = &str> {
    std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str))
}

static STATELESS: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(|| {
    [
        shared::scalars(),
        arrays::functions(),
        buckets::functions(),
        bytes::functions(),
        datetime::functions(),
        datetime_parts::functions(),
        degrees::functions(),
        json::functions(),
        json_objects::functions(),
        letters::functions(),
        math::functions(),
        numeric::functions(),
        ordered_sets::functions(),
        regex::functions(),
        regex_positions::functions(),
        row_count::functions(),
        sampling::functions(),
        sets::functions(),
        string::functions(),
        to_char_number::functions(),
        typed::functions(),
    ]
    .concat()
});

/// Functions that give tables; SQL reaches them through the planner of functions in FROM.
#[must_use]
pub fn table_functions() -> HashMap<String, Arc<TableFunction>> {
    let series = TableFunction::new(SERIES.to_owned(), Arc::new(GenerateSeriesFunc {}));
    HashMap::from([(SERIES.to_owned(), Arc::new(series))])
}

/// The table function that streams integers.
const SERIES: &str = "generate_series";

/// Aggregates; no session tells them apart.
#[must_use]
pub fn aggregates() -> Vec<Arc<AggregateUDF>> {
    [shared::aggregates(), aggregates::aggregates()].concat()
}

/// Window functions that are no aggregates.
#[must_use]
pub fn windows() -> Vec<Arc<WindowUDF>> {
    shared::windows()
}

impl Registry {
    #[must_use]
    pub fn new(session: &Arc<Session>) -> Registry {
        Registry { session: Arc::clone(session), made: std::array::from_fn(|_| OnceLock::new()) }
    }

    /// A function by name or alias, one too that only the planner calls: names that begin with `#` cannot be written in SQL.
    #[must_use]
    pub fn scalar(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let of_session = PLACES.get(name).and_then(|(group, at)| self.group(*group)?.get(*at));
        of_session.or_else(|| BY_NAME.get(name)).cloned()
    }

    /// Whether a name is a scalar function's.
    #[must_use]
    pub fn is_scalar(name: &str) -> bool {
        PLACES.contains_key(name) || BY_NAME.contains_key(name)
    }

    /// All names and aliases.
    #[must_use]
    pub fn scalar_names() -> Vec<String> {
        PLACES.keys().chain(BY_NAME.keys()).cloned().collect()
    }

    fn group(&self, group: usize) -> Option<&Vec<Arc<ScalarUDF>>> {
        let (made, make) = (self.made.get(group)?, OF_SESSION.get(group)?);
        Some(made.get_or_init(|| make(&self.session)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The names that pg_proc shows.
    const SHOWN: &str = include_str!("../../../gateway/src/pg_catalog/recorded/functions.txt");

    /// What has no row in pg_proc: values and syntax that are written as names, and names of our own.
    const NOT_SHOWN: &[&str] = &[
        "current_catalog",
        "current_date",
        "current_role",
        "current_time",
        "current_timestamp",
        "decrypt_statement",
        "ends_with",
        "localtime",
        "localtimestamp",
        "open_record",
        "pg_get_client_encoding",
        "system_user",
        "trim",
        "user",
    ];

    fn names<'a>(all: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
        all.into_iter().filter(|name| !name.starts_with('#')).map(str::to_owned).collect()
    }

    #[test]
    fn every_name_finds_its_function() {
        let registry = Registry::new(&Session::new(Arc::new(crate::plan::nobody())));
        for name in Registry::scalar_names() {
            let function = registry.scalar(&name).unwrap();
            assert!(names_of(&function).any(|of| of == name), "{name} finds {}", function.name());
        }
    }

    #[test]
    fn pg_proc_shows_what_can_be_called() {
        let shown: BTreeSet<String> = SHOWN.lines().map(str::to_owned).collect();
        let sets: BTreeSet<String> = sets::SET_FUNCTIONS.iter().map(|set| set.name.to_owned()).collect();
        let all = Registry::scalar_names();
        let scalars = names(all.iter().map(String::as_str));
        let mut callable: BTreeSet<String> = scalars.union(&sets).cloned().collect();
        for aggregate in super::aggregates() {
            callable.insert(aggregate.name().to_owned());
            callable.extend(aggregate.aliases().iter().cloned());
        }
        callable.extend(windows().iter().map(|window| window.name().to_owned()));
        let missing: Vec<_> = shown.difference(&callable).collect();
        assert!(missing.is_empty(), "shown, but cannot be called: {missing:?}");
        let shared = shared::scalars();
        let borrowed = names(shared.iter().flat_map(|function| names_of(function)));
        let ours = scalars.difference(&borrowed).chain(&sets);
        let hidden: Vec<_> = ours.filter(|name| !shown.contains(*name) && !NOT_SHOWN.contains(&name.as_str())).collect();
        assert!(hidden.is_empty(), "can be called, but not shown: {hidden:?}");
    }
}
