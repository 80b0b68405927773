-- What other processes may have in memory of tables from which people were erased: each drops it and deletes its row.
CREATE TABLE forgetting (
    request_id TEXT NOT NULL,
    process TEXT NOT NULL,
    location TEXT NOT NULL,
    PRIMARY KEY (request_id, process, location)
);
