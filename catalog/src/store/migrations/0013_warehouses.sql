-- Named sets of limits under which statements run. `document`: the limits, as JSON.
CREATE TABLE warehouses (
    oid BIGINT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    owner_oid BIGINT NOT NULL REFERENCES roles (oid),
    document TEXT NOT NULL
);
-- New catalogs get it when they are filled.
INSERT INTO warehouses (oid, name, owner_oid, document) SELECT 9010, 'default', oid, '{}' FROM roles WHERE oid = 10;
