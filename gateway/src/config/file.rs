//! The TOML file.

use std::path::{Path, PathBuf};

use clap::CommandFactory;

use super::Cli;

#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    #[error("could not read configuration file \"{}\": {error}", path.display())]
    Read { path: PathBuf, error: std::io::Error },
    #[error("configuration file \"{}\": unknown key \"{key}\"{}", path.display(), nearest.as_ref().map(|nearest| format!("; perhaps you meant \"{nearest}\"")).unwrap_or_default())]
    UnknownKey { path: PathBuf, key: String, nearest: Option<String> },
    #[error("configuration file \"{}\": {message}", path.display())]
    Syntax { path: PathBuf, message: String },
}

/// Reads the file with the options of a verb.
///
/// # Errors
/// It cannot be read, is not TOML, has a key that is no option or a value of the wrong type.
pub fn read<T: serde::de::DeserializeOwned>(path: &Path, verb: &str) -> Result<T, ConfigFileError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigFileError::Read { path: path.into(), error })?;
    let syntax = |error: toml::de::Error| ConfigFileError::Syntax { path: path.into(), message: error.to_string() };
    let table: toml::Table = text.parse().map_err(syntax)?;
    let known = keys(verb);
    if let Some(key) = table.keys().find(|key| !known.contains(key)) {
        let nearest = known.iter().min_by_key(|known| strsim::damerau_levenshtein(known, key)).cloned();
        return Err(ConfigFileError::UnknownKey { path: path.into(), key: key.clone(), nearest });
    }
    table.try_into().map_err(syntax)
}

/// The options' names, from the command line's own definition.
fn keys(verb: &str) -> Vec<String> {
    let command = Cli::command();
    let options = command.find_subcommand(verb);
    options
        .into_iter()
        .flat_map(clap::Command::get_arguments)
        .filter_map(|argument| argument.get_long())
        .filter(|name| !matches!(*name, "config" | "help" | "version"))
        .map(str::to_owned)
        .collect()
}
