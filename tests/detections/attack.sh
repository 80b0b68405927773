# The attack of docs/threat-hunting.md: bash tests/detections/attack.sh PORT ADMIN_PASSWORD, against lakegate serve --demo.
P=$1; ADMIN=$2; export PGSSLMODE=require
A() { PGPASSWORD=$ADMIN PGAPPNAME=${APP:-psql} psql -h 127.0.0.1 -p $P -U admin -d ${DB:-demo} -X -q "$@"; }
R() { local u=$1 p=$2; shift 2; PGPASSWORD=$p PGAPPNAME=${APP:-psql} psql -h 127.0.0.1 -p $P -U $u -d demo -X -q "$@"; }
A <<'S'
CREATE ROLE analyst LOGIN PASSWORD 'Winter2026';
CREATE ROLE reporting LOGIN PASSWORD 'r';
GRANT SELECT ON customers, orders TO analyst;
GRANT SELECT ON orders TO reporting;
GRANT CREATE ON SCHEMA public TO analyst;
S
# ordinary work
for i in $(seq 5); do APP=dashboard R reporting r -c "SELECT count(*) FROM orders" > /dev/null; done
# 1. a password for many names, then many for one
for u in alice bob carol dave erin; do R $u Winter2026 -c "SELECT 1" >/dev/null 2>&1; done
for p in Spring2025 Summer2025 Autumn2025 Winter2025 Spring2026 Summer2026; do R analyst $p -c "SELECT 1" >/dev/null 2>&1; done
# 2. in, and looking around
APP=recon R analyst Winter2026 -c "SELECT current_user" >/dev/null
for t in pg_class pg_namespace pg_attribute pg_roles pg_database pg_tables pg_views pg_proc pg_type pg_constraint; do for i in 1 2 3 4 5; do echo "SELECT count(*) FROM pg_catalog.$t;"; done; done | APP=recon R analyst Winter2026 >/dev/null
# 3. doors that are shut
for t in security.events public.sensor_readings; do for c in 1 2 3 4 5 6; do echo "SELECT $c, * FROM $t LIMIT $c;"; done; done | APP=recon R analyst Winter2026 >/dev/null 2>&1
for t in security.events public.sensor_readings; do echo "SELECT count(*) FROM $t; SELECT max(1) FROM $t GROUP BY 1;"; done | APP=recon R analyst Winter2026 >/dev/null 2>&1
# 4. staged and taken
APP=recon R analyst Winter2026 -c "CREATE TABLE tmp_stage AS SELECT customer_id, email FROM customers" -c "COPY tmp_stage TO STDOUT" > /dev/null
# 5. the traces
for i in 1 2 3 4 5; do echo "CREATE TABLE junk$i AS SELECT 1 AS a; DROP TABLE junk$i;"; done | APP=recon R analyst Winter2026 >/dev/null
APP=recon R analyst Winter2026 -c "DROP TABLE tmp_stage" >/dev/null
