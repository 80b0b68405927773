//! The end-to-end tests: one binary, one module a subject.

#[cfg(test)]
mod authorisation;
#[cfg(test)]
mod before_login;
#[cfg(test)]
mod blind_index;
#[cfg(test)]
mod cancel;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod copy;
#[cfg(test)]
mod copy_files;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod decoded_cache;
#[cfg(test)]
mod definitions;
#[cfg(test)]
mod delta;
#[cfg(test)]
mod detections;
#[cfg(test)]
mod differential;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod gateways;
#[cfg(test)]
mod guards;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod introspection;
#[cfg(test)]
mod kept_plans;
#[cfg(test)]
mod leaks;
#[cfg(test)]
mod locks;
#[cfg(test)]
mod log_chains;
mod log_reading;
#[cfg(test)]
mod maintenance;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod old_logs;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod progress;
#[cfg(test)]
mod psql;
#[cfg(test)]
mod s3_faults;
#[cfg(test)]
mod saved_queries;
#[cfg(test)]
mod sealed_log;
#[cfg(test)]
mod several_tables;
#[cfg(test)]
mod source_rules;
#[cfg(test)]
mod sql_logic;
#[cfg(test)]
mod sqlstates;
#[cfg(test)]
mod startup;
#[cfg(test)]
mod subject_copies;
#[cfg(test)]
mod subjects;
#[cfg(test)]
mod support;
#[cfg(test)]
mod table_work;
#[cfg(test)]
mod tpc;
#[cfg(test)]
mod transactions;
#[cfg(test)]
mod types;
#[cfg(test)]
mod vault;
#[cfg(test)]
mod warehouses;
#[cfg(test)]
mod wire_scripts;
