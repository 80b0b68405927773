-- COPY and generated columns: left out without a list, refused in one.
CREATE TABLE g (a int, b int GENERATED ALWAYS AS (a + 1) STORED, c text GENERATED ALWAYS AS (upper(d)) STORED, d text DEFAULT 'x', e int NOT NULL DEFAULT 7);
COPY g (a, b) FROM STDIN;
COPY g (b) TO STDOUT;
INSERT INTO g (a) VALUES (1);
COPY g TO STDOUT;
COPY (SELECT * FROM g) TO STDOUT;
DROP TABLE g;
