-- Engine processes that have joined. `instance` tells a process from an earlier one of its name; `facts`, `load`: JSON; `beats` counts what was heard of it.
CREATE TABLE engines (
    name TEXT PRIMARY KEY,
    instance TEXT NOT NULL,
    address TEXT NOT NULL,
    warehouse_oid BIGINT NOT NULL,
    facts TEXT NOT NULL,
    load TEXT NOT NULL,
    beats BIGINT NOT NULL,
    seen_us BIGINT NOT NULL
);
