//! What the statements of a transaction did to a table, and what comes of it in the end.

use std::collections::{HashMap, HashSet};

use arrow_array::RecordBatch;
use deltalake_core::kernel::{Action, Add, AddCDCFile, DeletionVectorDescriptor, Remove};
use deltalake_core::protocol::{DeltaOperation, SaveMode};

use super::commit::CommitId;
use crate::delta::TableVersion;

/// One statement.
#[derive(Debug)]
pub struct Step {
    /// Few rows that wait for a file, as data files have them.
    pub rows: Vec<RecordBatch>,
    pub adds: Vec<Add>,
    /// Change data files; where there are some they hold all of the statement's changes.
    pub recorded: Vec<AddCDCFile>,
    /// Of files that were there before, or that earlier steps added.
    pub removes: Vec<Remove>,
    pub id: CommitId,
    pub kind: StepKind,
    /// Nothing of the table was read.
    pub blind: bool,
    /// As [`super::commit::Change::rests_on_absence`].
    pub rests_on_absence: bool,
    /// Protocol and metadata where the statement changed the table's definition.
    pub definition: Vec<Action>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    Append,
    Update,
    Delete,
    Alter,
}

impl Step {
    /// Rows came or went by it.
    #[must_use]
    pub fn changes_rows(&self) -> bool {
        let files = self.adds.iter().any(|add| add.data_change) || self.removes.iter().any(|remove| remove.data_change);
        files || !self.rows.is_empty()
    }

    #[must_use]
    pub fn rows_bytes(&self) -> usize {
        self.rows.iter().map(RecordBatch::get_array_memory_size).sum()
    }
}

/// The sum of some steps: a file that was added and removed again is not in it.
#[derive(Debug, Default, PartialEq)]
pub struct Net {
    /// The last protocol and the last metadata.
    pub definition: Vec<Action>,
    pub removes: Vec<Remove>,
    pub adds: Vec<Add>,
    pub recorded: Vec<AddCDCFile>,
}

impl Net {
    #[must_use]
    pub fn of<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Self {
        let mut removes = Vec::new();
        let mut adds: Vec<Option<Add>> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        let (mut protocol, mut metadata) = (None, None);
        let mut recorded = Vec::new();
        for step in steps {
            recorded.extend(step.recorded.iter().cloned());
            for action in &step.definition {
                match action {
                    Action::Protocol(_) => protocol = Some(action.clone()),
                    _ => metadata = Some(action.clone()),
                }
            }
            for remove in &step.removes {
                match places.remove(file_name(&remove.path)) {
                    Some(place) => adds[place] = None,
                    None => removes.push(remove.clone()),
                }
            }
            for add in &step.adds {
                places.insert(file_name(&add.path).to_owned(), adds.len());
                adds.push(Some(add.clone()));
            }
        }
        let definition = protocol.into_iter().chain(metadata).collect();
        Self { definition, removes, adds: adds.into_iter().flatten().collect(), recorded }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.definition.is_empty() && self.removes.is_empty() && self.adds.is_empty()
    }

    #[must_use]
    pub fn into_actions(self) -> Vec<Action> {
        let files = self.removes.into_iter().map(Action::Remove).chain(self.adds.into_iter().map(Action::Add));
        let recorded = self.recorded.into_iter().map(Action::Cdc);
        self.definition.into_iter().chain(files).chain(recorded).collect()
    }
}

/// How the commit of some steps calls itself. No predicate: its literals are data, and the log keeps them for as long as it lives.
#[must_use]
pub fn operation(steps: &[Step], net: &Net) -> DeltaOperation {
    if !net.definition.is_empty() {
        DeltaOperation::Write { mode: SaveMode::Overwrite, partition_by: None, predicate: None }
    } else if net.removes.is_empty() {
        DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None }
    } else if steps.iter().all(|step| step.kind == StepKind::Delete) {
        DeltaOperation::Delete { predicate: None }
    } else {
        DeltaOperation::Update { predicate: None }
    }
}

/// A data file as a version of its table has it: its path in the log, and which of its rows are deleted.
pub type FileKey = (String, Option<String>);

#[must_use]
pub fn file_key(path: &str, vector: Option<&DeletionVectorDescriptor>) -> FileKey {
    (path.to_owned(), vector.map(vector_id))
}

/// Files of a version, with their deletion vectors.
#[must_use]
pub fn active_files(version: &TableVersion) -> HashSet<FileKey> {
    version.snapshot.log_data().iter().map(|file| file_key(&file.path(), file.deletion_vector_descriptor().as_ref())).collect()
}

/// Tells a deletion vector from all others of its table.
fn vector_id(vector: &DeletionVectorDescriptor) -> String {
    format!("{}{:?}", vector.path_or_inline_dv, vector.offset)
}

/// Files made here have a random name, whatever folder they lie in and however its name is spelled.
#[must_use]
pub fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(removes: &[&str], adds: &[&str], kind: StepKind) -> Step {
        Step {
            rows: Vec::new(),
            adds: adds.iter().map(|path| Add { path: (*path).to_owned(), ..Add::default() }).collect(),
            recorded: Vec::new(),
            removes: removes.iter().map(|path| Remove { path: (*path).to_owned(), ..Remove::default() }).collect(),
            id: CommitId::new(),
            kind,
            blind: false,
            rests_on_absence: false,
            definition: Vec::new(),
        }
    }

    fn paths(net: &Net) -> (Vec<&str>, Vec<&str>) {
        (net.removes.iter().map(|file| file.path.as_str()).collect(), net.adds.iter().map(|file| file.path.as_str()).collect())
    }

    #[test]
    fn what_was_added_and_removed_is_gone() {
        let steps = [
            step(&[], &["k=a%20b/one", "two"], StepKind::Append),
            step(&["old", "k=a b/one"], &["three"], StepKind::Update),
            step(&["three"], &["four"], StepKind::Update),
        ];
        assert_eq!(paths(&Net::of(&steps)), (vec!["old"], vec!["two", "four"]));
        assert_eq!(paths(&Net::of(&steps[..1])), (vec![], vec!["k=a%20b/one", "two"]));
        assert!(Net::of(&[step(&[], &["one"], StepKind::Append), step(&["one"], &[], StepKind::Delete)]).is_empty());
    }

    #[test]
    fn operations() {
        let is = |steps: &[Step]| operation(steps, &Net::of(steps)).name().to_owned();
        assert_eq!(is(&[step(&[], &["a"], StepKind::Append)]), "WRITE");
        assert_eq!(is(&[step(&["old"], &["a"], StepKind::Delete)]), "DELETE");
        assert_eq!(is(&[step(&[], &["a"], StepKind::Append), step(&["old"], &[], StepKind::Delete)]), "UPDATE");
        assert_eq!(is(&[step(&[], &["a"], StepKind::Append), step(&["a"], &["b"], StepKind::Update)]), "WRITE");
    }
}
