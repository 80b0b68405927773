//! PostgreSQL's functions. Those that DataFusion computes the same way are DataFusion's, listed in [`shared`]; all others
//! are written here. A function that is in neither list does not exist.

mod aggregates;
pub mod arithmetic;
mod arrays;
mod buckets;
mod bytes;
pub mod call;
pub mod cast;
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
pub mod function;
mod json;
mod json_objects;
mod kernel;
mod letters;
mod math;
mod numeric;
mod numeric_scale;
mod ordered_sets;
mod overlaps;
mod privileges;
pub mod quote;
pub mod reg;
pub mod regex;
mod regex_positions;
pub mod session;
pub mod sets;
mod shared;
pub mod string;
pub mod text;
mod to_char;
mod to_char_number;
mod to_date;
mod typed;
pub mod types;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use datafusion::catalog::TableFunction;
use datafusion::functions_table::generate_series::GenerateSeriesFunc;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};

use session::Session;

/// Everything that can be called in one session.
pub struct Registry {
    scalars: Vec<Arc<ScalarUDF>>,
    pub aggregates: Vec<Arc<AggregateUDF>>,
    pub windows: Vec<Arc<WindowUDF>>,
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

/// The functions of a session.
#[must_use]
pub fn registry(session: &Arc<Session>) -> Registry {
    let mut scalars = STATELESS.clone();
    scalars.extend(datetime::session_functions(session));
    scalars.extend(datetime_parts::session_functions(session));
    scalars.extend(to_char::session_functions(session));
    scalars.extend(to_date::session_functions(session));
    scalars.extend(string::session_functions(session));
    scalars.extend(arrays::session_functions(session));
    scalars.extend(json::session_functions(session));
    scalars.extend(overlaps::session_functions(session));
    scalars.extend(catalog::session_functions(session));
    scalars.extend(effects::session_functions(session));
    scalars.extend(catalog_objects::session_functions(session));
    scalars.extend(privileges::session_functions(session));
    Registry { scalars, aggregates: [shared::aggregates(), aggregates::aggregates()].concat(), windows: shared::windows() }
}

impl Registry {
    /// All scalar functions by name and alias, those too that only the planner calls.
    #[must_use]
    pub fn scalar_by_name(&self) -> HashMap<String, Arc<ScalarUDF>> {
        let mut map = HashMap::with_capacity(self.scalars.len() * 2);
        for function in &self.scalars {
            map.insert(function.name().to_owned(), Arc::clone(function));
            for alias in function.aliases() {
                map.insert(alias.clone(), Arc::clone(function));
            }
        }
        map
    }

    #[must_use]
    pub fn aggregate_by_name(&self) -> HashMap<String, Arc<AggregateUDF>> {
        self.aggregates.iter().map(|aggregate| (aggregate.name().to_owned(), Arc::clone(aggregate))).collect()
    }

    /// All scalar functions. Names that begin with `#` are for the planner's passes; they are not shown anywhere.
    #[must_use]
    pub fn scalars(&self) -> Vec<Arc<ScalarUDF>> {
        self.scalars.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The names that pg_proc shows.
    const SHOWN: &str = include_str!("../../../gateway/src/pg_catalog/recorded/functions.txt");

    /// What has no row in pg_proc: values and syntax that are written as names, and two names of our own.
    const NOT_SHOWN: &[&str] = &[
        "current_catalog",
        "current_date",
        "current_role",
        "current_time",
        "current_timestamp",
        "ends_with",
        "localtime",
        "localtimestamp",
        "pg_get_client_encoding",
        "system_user",
        "trim",
        "user",
    ];

    fn names(scalars: &[Arc<ScalarUDF>]) -> BTreeSet<String> {
        let all = scalars.iter().flat_map(|function| std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str)));
        all.filter(|name| !name.starts_with('#')).map(str::to_owned).collect()
    }

    #[test]
    fn pg_proc_shows_what_can_be_called() {
        let registry = registry(&Session::new(Arc::new(crate::plan::nobody())));
        let shown: BTreeSet<String> = SHOWN.lines().map(str::to_owned).collect();
        let sets: BTreeSet<String> = sets::SET_FUNCTIONS.iter().map(|set| set.name.to_owned()).collect();
        let scalars = names(&registry.scalars);
        let mut callable: BTreeSet<String> = scalars.union(&sets).cloned().collect();
        for aggregate in &registry.aggregates {
            callable.insert(aggregate.name().to_owned());
            callable.extend(aggregate.aliases().iter().cloned());
        }
        callable.extend(registry.windows.iter().map(|window| window.name().to_owned()));
        let missing: Vec<_> = shown.difference(&callable).collect();
        assert!(missing.is_empty(), "shown, but cannot be called: {missing:?}");
        let borrowed = names(&shared::scalars());
        let ours = scalars.difference(&borrowed).chain(&sets);
        let hidden: Vec<_> = ours.filter(|name| !shown.contains(*name) && !NOT_SHOWN.contains(&name.as_str())).collect();
        assert!(hidden.is_empty(), "can be called, but not shown: {hidden:?}");
    }
}
