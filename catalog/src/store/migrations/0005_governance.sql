-- Tags of schemas; tags and masking policies of databases. JSON. Those of relations and columns are part of the relation's document.
ALTER TABLE schemas ADD COLUMN tags TEXT NOT NULL DEFAULT '{}';
ALTER TABLE databases ADD COLUMN governance TEXT NOT NULL DEFAULT '{}';
