CREATE DATABASE demo;

CREATE SCHEMA demo.security;

CREATE TABLE demo.public.customers (
    customer_id bigint PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL,
    country text NOT NULL,
    city text,
    signed_up date NOT NULL,
    marketing_consent boolean NOT NULL
);

COMMENT ON TABLE demo.public.customers IS 'People who bought something; invented';

COMMENT ON COLUMN demo.public.customers.email IS 'Identifies a person';

COMMENT ON COLUMN demo.public.customers.name IS 'Personal data';

ALTER TABLE demo.public.customers SET TAGS ('subject' = 'customer');

ALTER TABLE demo.public.customers ALTER COLUMN customer_id SET TAGS ('subject' = 'customer');

ALTER TABLE demo.public.customers ALTER COLUMN email SET TAGS ('pii' = 'email', 'subject' = 'customer');

ALTER TABLE demo.public.customers ALTER COLUMN name SET TAGS ('pii' = 'name');

INSERT INTO demo.public.customers
SELECT i,
       first_name || ' ' || last_name,
       lower(first_name) || '.' || lower(last_name) || '.' || i::text || '@example.org',
       country,
       city,
       date '2021-01-01' + (i * 37 % 1700)::int,
       i % 3 <> 0
FROM (SELECT i,
             CASE i % 10 WHEN 0 THEN 'Ada' WHEN 1 THEN 'Alan' WHEN 2 THEN 'Barbara' WHEN 3 THEN 'Claude' WHEN 4 THEN 'Edsger'
                         WHEN 5 THEN 'Grace' WHEN 6 THEN 'Hedy' WHEN 7 THEN 'John' WHEN 8 THEN 'Katherine' ELSE 'Radia' END AS first_name,
             CASE i / 10 % 9 WHEN 0 THEN 'Albers' WHEN 1 THEN 'Brandt' WHEN 2 THEN 'Costa' WHEN 3 THEN 'Dubois' WHEN 4 THEN 'Eriksen'
                             WHEN 5 THEN 'Fischer' WHEN 6 THEN 'Garcia' WHEN 7 THEN 'Horvat' ELSE 'Ivanova' END AS last_name,
             CASE i * 7 % 6 WHEN 0 THEN 'DE' WHEN 1 THEN 'FR' WHEN 2 THEN 'ES' WHEN 3 THEN 'IT' WHEN 4 THEN 'NL' ELSE 'SE' END AS country,
             CASE i * 7 % 6 WHEN 0 THEN 'Berlin' WHEN 1 THEN 'Lyon' WHEN 2 THEN 'Madrid' WHEN 3 THEN 'Torino' WHEN 4 THEN 'Utrecht' ELSE NULL END AS city
      FROM generate_series(1, 2000) AS series(i)) AS people;

CREATE TABLE demo.public.orders (
    order_id bigint PRIMARY KEY,
    customer_id bigint NOT NULL,
    order_date date NOT NULL,
    status text NOT NULL CHECK (status IN ('open', 'paid', 'shipped', 'returned')),
    product text NOT NULL,
    quantity int NOT NULL CHECK (quantity > 0),
    amount numeric(12,2) NOT NULL
);

ALTER TABLE demo.public.orders ALTER COLUMN customer_id SET TAGS ('subject' = 'customer');

COMMENT ON TABLE demo.public.orders IS 'One row an order; customer_id names a customer';

INSERT INTO demo.public.orders
SELECT i,
       1 + i * 7919 % 2000,
       date '2024-01-01' + (i * 13 % 700)::int,
       CASE WHEN i % 17 = 0 THEN 'returned' WHEN i % 5 = 0 THEN 'open' WHEN i % 3 = 0 THEN 'paid' ELSE 'shipped' END,
       CASE i * 31 % 7 WHEN 0 THEN 'keyboard' WHEN 1 THEN 'monitor' WHEN 2 THEN 'desk lamp' WHEN 3 THEN 'chair'
                       WHEN 4 THEN 'notebook' WHEN 5 THEN 'headset' ELSE 'cable' END,
       (1 + i % 4)::int,
       CAST((499 + i * 6151 % 49000) * (1 + i % 4) AS numeric(12,2)) / 100
FROM generate_series(1, 50000) AS series(i);

CREATE TABLE demo.public.sensor_readings (
    sensor_id int NOT NULL,
    read_at timestamptz NOT NULL,
    temperature double precision,
    humidity double precision
);

INSERT INTO demo.public.sensor_readings
SELECT (i % 20)::int,
       timestamptz '2025-03-01 00:00:00+00' + interval '1 minute' * (i / 20),
       CASE WHEN i % 997 = 0 THEN NULL ELSE 18 + (i * 37 % 1200) / 100.0::double precision + (i % 20) / 10.0::double precision END,
       40 + (i * 53 % 3000) / 100.0::double precision
FROM generate_series(0, 99999) AS series(i);

CREATE TABLE demo.security.events (
    event_id bigint NOT NULL,
    event_time timestamptz NOT NULL,
    actor text NOT NULL,
    source_ip text NOT NULL,
    action text NOT NULL,
    succeeded boolean NOT NULL
);

COMMENT ON TABLE demo.security.events IS 'Sign-in and access events, with one burst of failed sign-ins to find';

INSERT INTO demo.security.events
SELECT i,
       timestamptz '2025-06-01 06:00:00+00' + interval '20 seconds' * i,
       CASE WHEN i BETWEEN 9000 AND 9120 THEN 'radia.fischer' ELSE 'user' || (i * 11 % 60)::text END,
       CASE WHEN i BETWEEN 9000 AND 9120 THEN '203.0.113.77' ELSE '10.0.' || (i % 8)::text || '.' || (i * 3 % 250)::text END,
       CASE i % 6 WHEN 0 THEN 'sign-in' WHEN 1 THEN 'read' WHEN 2 THEN 'read' WHEN 3 THEN 'export' WHEN 4 THEN 'sign-in' ELSE 'sign-out' END,
       NOT (i BETWEEN 9000 AND 9119) AND i % 41 <> 0
FROM generate_series(1, 20000) AS series(i);
