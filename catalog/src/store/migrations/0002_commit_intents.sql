-- Commits of several tables that are under way. tables: location, version and commit id of each as JSON; created_us: microseconds since
-- the epoch; state: pending until it is decided (then the row is gone), abandoned while it is being undone.
CREATE TABLE commit_intents (
    intent_id TEXT PRIMARY KEY,
    created_us BIGINT NOT NULL,
    state TEXT NOT NULL,
    tables TEXT NOT NULL
);
