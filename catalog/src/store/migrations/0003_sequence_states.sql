-- Where sequences stand: changed by each nextval, without a change of the catalog's version.
CREATE TABLE sequence_states (oid BIGINT PRIMARY KEY, last_value BIGINT NOT NULL, is_called BIGINT NOT NULL);
