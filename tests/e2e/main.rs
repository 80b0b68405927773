//! The end-to-end tests: one binary, one module a subject.

#[cfg(test)]
mod support;
#[cfg(test)]
mod wire_scripts;
