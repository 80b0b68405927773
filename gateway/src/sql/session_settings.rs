//! A session's settings with what a transaction may take back: SET lives on after COMMIT, SET LOCAL ends with the block, and
//! ROLLBACK, to a savepoint or of all, undoes both. Source: `AtEOXact_GUC` in guc.c.

use super::settings::Settings;
use crate::sqlstate::SqlError;

#[derive(Debug)]
pub struct SessionSettings {
    pub current: Settings,
    block: Option<Block>,
}

#[derive(Debug)]
struct Block {
    /// ROLLBACK goes back to these.
    at_begin: Settings,
    /// COMMIT goes on with these: without SET LOCAL.
    after_commit: Settings,
    /// One a savepoint, the outermost first.
    savepoints: Vec<Saved>,
}

#[derive(Debug)]
struct Saved {
    current: Settings,
    after_commit: Settings,
}

impl SessionSettings {
    #[must_use]
    pub fn new(current: Settings) -> Self {
        let mut settings = SessionSettings { current, block: None };
        settings.settle();
        settings
    }

    /// SET and RESET, `change` being what they do; LOCAL ends with the transaction.
    pub fn change<T>(&mut self, local: bool, change: impl Fn(&mut Settings) -> Result<T, SqlError>) -> Result<T, SqlError> {
        let result = change(&mut self.current)?;
        if let Some(block) = &mut self.block
            && !local
        {
            change(&mut block.after_commit)?;
        }
        self.settle();
        Ok(result)
    }

    #[must_use]
    pub fn in_block(&self) -> bool {
        self.block.is_some()
    }

    pub fn begin(&mut self) {
        if self.block.is_none() {
            let at_begin = self.current.clone();
            self.block = Some(Block { after_commit: at_begin.clone(), at_begin, savepoints: Vec::new() });
        }
    }

    pub fn end(&mut self, rolled_back: bool) {
        if let Some(block) = self.block.take() {
            self.current = if rolled_back { block.at_begin } else { block.after_commit };
            self.settle();
        }
    }

    pub fn save(&mut self) {
        if let Some(block) = &mut self.block {
            block.savepoints.push(Saved { current: self.current.clone(), after_commit: block.after_commit.clone() });
        }
    }

    /// Keeps the outer `count` savepoints and all that was changed since.
    pub fn release(&mut self, count: usize) {
        if let Some(block) = &mut self.block {
            block.savepoints.truncate(count);
        }
    }

    /// Goes back to savepoint `at`, counted from 0 outside, which stays.
    pub fn roll_back_to(&mut self, at: usize) {
        if let Some(block) = &mut self.block
            && let Some(saved) = block.savepoints.get(at)
        {
            self.current = saved.current.clone();
            block.after_commit = saved.after_commit.clone();
            block.savepoints.truncate(at + 1);
        }
    }

    /// Outside a block each statement is a transaction of its own, with the default characteristics.
    fn settle(&mut self) {
        if self.block.is_none() {
            self.current.default_characteristics();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(settings: &mut SessionSettings, local: bool, value: &str) {
        settings.change(local, |settings| settings.set("application_name", value)).unwrap();
    }

    fn settings() -> SessionSettings {
        SessionSettings::new(Settings::new(&[]).unwrap())
    }

    fn name(settings: &SessionSettings) -> &str {
        settings.current.get("application_name").unwrap()
    }

    #[test]
    fn local_values_end_with_the_block() {
        let mut settings = settings();
        settings.begin();
        set(&mut settings, false, "kept");
        set(&mut settings, true, "local");
        assert_eq!(name(&settings), "local");
        settings.end(false);
        assert_eq!(name(&settings), "kept");
    }

    #[test]
    fn a_savepoint_takes_back_both_kinds() {
        let mut settings = settings();
        settings.begin();
        set(&mut settings, false, "outer");
        settings.save();
        set(&mut settings, false, "inner");
        settings.save();
        set(&mut settings, true, "innermost");
        settings.release(1);
        assert_eq!(name(&settings), "innermost");
        settings.roll_back_to(0);
        assert_eq!(name(&settings), "outer");
        settings.end(false);
        assert_eq!(name(&settings), "outer");
    }

    #[test]
    fn characteristics_follow_their_defaults_outside_blocks() {
        let mut settings = settings();
        settings.change(false, |settings| settings.set("transaction_read_only", "on")).unwrap();
        assert_eq!(settings.current.get("transaction_read_only"), Some("off"));
        settings.change(false, |settings| settings.set("default_transaction_read_only", "on")).unwrap();
        assert_eq!(settings.current.get("transaction_read_only"), Some("on"));
        settings.begin();
        settings.change(true, |settings| settings.set("transaction_read_only", "off")).unwrap();
        settings.end(false);
        assert_eq!(settings.current.get("transaction_read_only"), Some("on"));
    }
}
