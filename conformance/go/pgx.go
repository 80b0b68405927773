package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgtype"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

// pgxOnly is pgx's own interface: binary values, batches, COPY, simple protocol, pools.
func pgxOnly() {
	ctx := context.Background()
	source := uri(os.Getenv("PGPASSWORD"))
	with := func(name string, change func(*pgx.ConnConfig), body func(*pgx.Conn) error) {
		check("pgx."+name, func() error {
			config, err := pgx.ParseConfig(source)
			if err != nil {
				return err
			}
			if change != nil {
				change(config)
			}
			conn, err := pgx.ConnectConfig(ctx, config)
			if err != nil {
				return err
			}
			defer conn.Close(ctx)
			return body(conn)
		})
	}
	check("pgx.wrong_password", func() error {
		_, err := pgx.Connect(ctx, uri("wrong"))
		return fails("28P01", err)
	})
	simple := func(config *pgx.ConnConfig) { config.PreferSimpleProtocol = true }
	for name, change := range map[string]func(*pgx.ConnConfig){"": nil, "simple_": simple} {
		with(name+"values", change, values)
		with(name+"rows", change, rows)
	}
	with("arrays", nil, arrays)
	with("batch", nil, batch)
	with("copy_from", nil, copyFrom)
	with("copy_text", nil, copyText)
	with("nested_transaction", nil, nested)
	with("begin_func_options", nil, func(conn *pgx.Conn) error {
		return conn.BeginTxFunc(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly, DeferrableMode: pgx.Deferrable}, func(tx pgx.Tx) error {
			var n int
			return first(tx.QueryRow(ctx, "SELECT 1").Scan(&n), equal(n, 1))
		})
	})
	with("cancel_by_context", nil, func(conn *pgx.Conn) error {
		short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		_, err := conn.Exec(short, "SELECT pg_sleep(20)")
		if err == nil {
			return fmt.Errorf("not cancelled")
		}
		return nil
	})
	with("cancel_request", nil, func(conn *pgx.Conn) error {
		time.AfterFunc(500*time.Millisecond, func() { conn.PgConn().CancelRequest(ctx) })
		_, err := conn.Exec(ctx, "SELECT pg_sleep(20)")
		return fails("57014", err)
	})
	with("notice_and_notification", nil, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "LISTEN pgx_news"); err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, "NOTIFY pgx_news, 'it is'"); err != nil {
			return err
		}
		short, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		notification, err := conn.WaitForNotification(short)
		if err != nil {
			return err
		}
		return equal(notification.Payload, "it is")
	})
	with("describe", nil, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "DROP TABLE IF EXISTS pgx_desc; CREATE TABLE pgx_desc (id bigint, name varchar(9))"); err != nil {
			return err
		}
		description, err := conn.Prepare(ctx, "desc", "SELECT name, id FROM pgx_desc WHERE id = $1 AND name = $2")
		if err != nil {
			return err
		}
		var oid uint32
		if err := conn.QueryRow(ctx, "SELECT 'pgx_desc'::regclass::oid").Scan(&oid); err != nil {
			return err
		}
		field := description.Fields[0]
		return first(equal(description.ParamOIDs, []uint32{pgtype.Int8OID, pgtype.TextOID}), equal(string(field.Name), "name"),
			equal([]uint32{field.DataTypeOID, uint32(field.TypeModifier), field.TableOID, uint32(field.TableAttributeNumber)}, []uint32{pgtype.VarcharOID, 13, oid, 2}))
	})
	check("pgx.pool", func() error {
		pool, err := pgxpool.Connect(ctx, source+"&pool_max_conns=4")
		if err != nil {
			return err
		}
		defer pool.Close()
		ended := make(chan error)
		for i := 0; i < 100; i++ {
			go func(i int) {
				var n int
				ended <- first(pool.QueryRow(ctx, "SELECT $1::int", i).Scan(&n), equal(n, i))
			}(i)
		}
		for i := 0; i < 100; i++ {
			if err := <-ended; err != nil {
				return err
			}
		}
		return nil
	})
}

func values(conn *pgx.Conn) error {
	ctx := context.Background()
	instant := time.Date(2024, 2, 29, 13, 14, 15, 123456000, time.UTC)
	if _, err := conn.Exec(ctx, "DROP TABLE IF EXISTS pgx_values"); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, "CREATE TABLE pgx_values (b boolean, i2 smallint, i4 integer, i8 bigint, f4 real, f8 double precision, n numeric(20,4), t text, d date, ts timestamp, tz timestamptz, u uuid, j jsonb, by bytea)")
	if err != nil {
		return err
	}
	var numeric pgtype.Numeric
	var uuid pgtype.UUID
	if err := first(numeric.Set("-1234567890123.4500"), uuid.Set("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")); err != nil {
		return err
	}
	json := pgtype.JSONB{Bytes: []byte(`{"a": [1, null]}`), Status: pgtype.Present}
	_, err = conn.Exec(ctx, "INSERT INTO pgx_values VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
		true, int16(-2), int32(-3), int64(1)<<62, float32(1.5), 0.1, &numeric, "ä", instant.Truncate(24*time.Hour), instant, instant, &uuid, &json, []byte{0, 255})
	if err != nil {
		return err
	}
	var b bool
	var i2 int16
	var i4 int32
	var i8 int64
	var f4 float32
	var f8 float64
	var n, u, j, t string
	var d, ts, tz time.Time
	var by []byte
	err = conn.QueryRow(ctx, "SELECT b, i2, i4, i8, f4, f8, n::text, t, d, ts, tz, u::text, j::text, by FROM pgx_values WHERE i8 = $1", int64(1)<<62).
		Scan(&b, &i2, &i4, &i8, &f4, &f8, &n, &t, &d, &ts, &tz, &u, &j, &by)
	if err != nil {
		return err
	}
	var back pgtype.Numeric
	if err := conn.QueryRow(ctx, "SELECT n FROM pgx_values").Scan(&back); err != nil {
		return err
	}
	var f float64
	return first(back.AssignTo(&f), equal(f, -1234567890123.45), equal(fmt.Sprint(b, i2, i4, i8, f4, f8, n, t, u, j, by),
		fmt.Sprint(true, -2, -3, int64(1)<<62, 1.5, 0.1, "-1234567890123.4500", "ä", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", `{"a": [1, null]}`, []byte{0, 255})),
		equal(ts.Equal(instant) && tz.Equal(instant) && d.Equal(instant.Truncate(24*time.Hour)), true))
}

func rows(conn *pgx.Conn) error {
	result, err := conn.Query(context.Background(), "SELECT i, i * 0.5::float8, CASE WHEN i % 2 = 0 THEN 'even' END FROM generate_series(1, $1::int) AS g(i)", 20000)
	if err != nil {
		return err
	}
	defer result.Close()
	count, nulls := 0, 0
	for result.Next() {
		values, err := result.Values()
		if err != nil {
			return err
		}
		count++
		if err := equal(values[0], int32(count)); err != nil {
			return err
		}
		if values[2] == nil {
			nulls++
		}
	}
	return first(result.Err(), equal([]int{count, nulls}, []int{20000, 10000}))
}

func arrays(conn *pgx.Conn) error {
	var numbers []int32
	var texts []string
	var found bool
	return first(conn.QueryRow(context.Background(), "SELECT $1::int[], $2::text[], 2 = ANY ($1)", []int32{1, 2}, []string{"a,b", `"q"`, ""}).Scan(&numbers, &texts, &found),
		equal(numbers, []int32{1, 2}), equal(texts, []string{"a,b", `"q"`, ""}), equal(found, true))
}

func batch(conn *pgx.Conn) error {
	ctx := context.Background()
	if _, err := conn.Exec(ctx, "DROP TABLE IF EXISTS pgx_batch; CREATE TABLE pgx_batch (a integer)"); err != nil {
		return err
	}
	work := &pgx.Batch{}
	for i := 0; i < 20; i++ {
		work.Queue("INSERT INTO pgx_batch VALUES ($1)", i)
	}
	work.Queue("SELECT count(*), sum(a) FROM pgx_batch")
	results := conn.SendBatch(ctx, work)
	for i := 0; i < 20; i++ {
		if _, err := results.Exec(); err != nil {
			return err
		}
	}
	var n, sum int
	if err := first(results.QueryRow().Scan(&n, &sum), results.Close(), equal([]int{n, sum}, []int{20, 190})); err != nil {
		return err
	}
	failing := &pgx.Batch{}
	failing.Queue("INSERT INTO pgx_batch VALUES (1000)")
	failing.Queue("SELECT 1 / (a - a) FROM pgx_batch")
	results = conn.SendBatch(ctx, failing)
	_, err := results.Exec()
	if err == nil {
		_, err = results.Exec()
	}
	results.Close()
	return first(fails("22012", err), conn.QueryRow(ctx, "SELECT count(*) FROM pgx_batch WHERE a = 1000").Scan(&n), equal(n, 0))
}

func copyFrom(conn *pgx.Conn) error {
	ctx := context.Background()
	if _, err := conn.Exec(ctx, "DROP TABLE IF EXISTS pgx_copy; CREATE TABLE pgx_copy (a integer, b text, f double precision, ts timestamptz, n numeric(10,2))"); err != nil {
		return err
	}
	var source [][]interface{}
	for i := 0; i < 3000; i++ {
		var numeric pgtype.Numeric
		if err := numeric.Set(fmt.Sprintf("%d.25", i)); err != nil {
			return err
		}
		source = append(source, []interface{}{int32(i), fmt.Sprintf("zeile %d", i), float64(i) / 2, time.Unix(int64(i), 0), &numeric})
	}
	count, err := conn.CopyFrom(ctx, pgx.Identifier{"pgx_copy"}, []string{"a", "b", "f", "ts", "n"}, pgx.CopyFromRows(source))
	if err != nil {
		return err
	}
	var text string
	return first(equal(count, int64(3000)), conn.QueryRow(ctx, "SELECT count(*) || ' ' || sum(a) || ' ' || sum(f) || ' ' || sum(n) || ' ' || max(extract(epoch FROM ts))::bigint FROM pgx_copy").Scan(&text),
		equal(text, "3000 4498500 2249250 4499250.00 2999"))
}

func copyText(conn *pgx.Conn) error {
	ctx := context.Background()
	if _, err := conn.Exec(ctx, "DROP TABLE IF EXISTS pgx_text; CREATE TABLE pgx_text (a integer, b text)"); err != nil {
		return err
	}
	tag, err := conn.PgConn().CopyFrom(ctx, strings.NewReader("1,x\n2,\"y,z\"\n"), "COPY pgx_text FROM STDIN (FORMAT csv)")
	if err != nil {
		return err
	}
	var out bytes.Buffer
	_, err = conn.PgConn().CopyTo(ctx, &out, "COPY (SELECT * FROM pgx_text ORDER BY a) TO STDOUT")
	return first(err, equal(tag.RowsAffected(), int64(2)), equal(out.String(), "1\tx\n2\ty,z\n"))
}

func nested(conn *pgx.Conn) error {
	ctx := context.Background()
	if _, err := conn.Exec(ctx, "DROP TABLE IF EXISTS pgx_tx; CREATE TABLE pgx_tx (a integer)"); err != nil {
		return err
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx)
	run := func(tx pgx.Tx, statement string) error {
		_, err := tx.Exec(ctx, statement)
		return err
	}
	if err := run(tx, "INSERT INTO pgx_tx VALUES (1)"); err != nil {
		return err
	}
	inner, err := tx.Begin(ctx)
	if err != nil {
		return err
	}
	if err := first(run(inner, "INSERT INTO pgx_tx VALUES (2)"), inner.Rollback(ctx), tx.Commit(ctx)); err != nil {
		return err
	}
	var n int
	return first(conn.QueryRow(ctx, "SELECT sum(a) FROM pgx_tx").Scan(&n), equal(n, 1))
}
