package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v4/stdlib"
)

type sample struct {
	name, kind string
	value      interface{}
	text       string
}

func samples() []sample {
	instant := time.Date(2024, 2, 29, 13, 14, 15, 123456000, time.UTC)
	return []sample{
		{"bool", "boolean", true, "true"},
		{"int2", "smallint", int64(-32768), "-32768"},
		{"int4", "integer", int64(2147483647), "2147483647"},
		{"int8", "bigint", int64(9223372036854775807), "9223372036854775807"},
		{"float4", "real", 1.5, "1.5"},
		{"float8", "double precision", 0.1, "0.1"},
		{"numeric", "numeric(20,4)", "-1234567890123.4500", "-1234567890123.4500"},
		{"text", "text", "äöü ' \" \\ \n 😀", "äöü ' \" \\ \n 😀"},
		{"varchar", "varchar(10)", "abc", "abc"},
		{"bytea", "bytea", []byte{0, 1, 255, 92, 39}, "\\x0001ff5c27"},
		{"date", "date", time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC), "2024-02-29"},
		{"timestamp", "timestamp", instant, "2024-02-29 13:14:15.123456"},
		{"timestamptz", "timestamptz", instant, "2024-02-29 13:14:15.123456+00"},
		{"uuid", "uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
		{"json", "json", `{"a": [1, "x"]}`, `{"a": [1, "x"]}`},
	}
}

// databaseSQL is what Go programs do through database/sql, whichever driver is below.
func databaseSQL(prefix, driver, source string) {
	db, err := sql.Open(driver, source)
	if err != nil {
		check(prefix+".open", func() error { return err })
		return
	}
	defer db.Close()
	scalar := func(query string, arguments ...interface{}) (text string, err error) {
		err = db.QueryRow(query, arguments...).Scan(&text)
		return
	}
	expect := func(expected, query string, arguments ...interface{}) error {
		text, err := scalar(query, arguments...)
		return first(err, equal(text, expected))
	}
	exec := func(statements ...string) error {
		for _, statement := range statements {
			if _, err := db.Exec(statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	}
	check(prefix+".connect", func() error { return first(db.Ping(), expect(os.Getenv("PGUSER"), "SELECT current_user")) })
	check(prefix+".wrong_password", func() error {
		other, err := sql.Open(driver, strings.Replace(source, ":"+os.Getenv("PGPASSWORD")+"@", ":wrong@", 1))
		if err != nil {
			return err
		}
		defer other.Close()
		return fails("28P01", other.Ping())
	})
	for _, one := range samples() {
		one := one
		check(prefix+".types."+one.name, func() error {
			table := prefix + "_type_" + one.name
			if err := exec("DROP TABLE IF EXISTS "+table, "CREATE TABLE "+table+" (id integer, v "+one.kind+")"); err != nil {
				return err
			}
			if _, err := db.Exec("INSERT INTO "+table+" VALUES ($1, $2), ($3, NULL)", 1, one.value, 2); err != nil {
				return err
			}
			var value, null interface{}
			err := first(
				db.QueryRow("SELECT v FROM "+table+" WHERE id = $1", 1).Scan(&value),
				db.QueryRow("SELECT v FROM "+table+" WHERE id = $1", 2).Scan(&null),
				equal(null, nil))
			if err != nil {
				return err
			}
			if instant, isTime := value.(time.Time); isTime {
				if !instant.Equal(one.value.(time.Time)) {
					return fmt.Errorf("expected %v, got %v", one.value, instant)
				}
			}
			return first(expect(one.text, "SELECT "+asText(one.kind)+" FROM "+table+" WHERE id = $1", 1), exec("DROP TABLE "+table))
		})
	}
	check(prefix+".prepared", func() error {
		statement, err := db.Prepare("SELECT $1::int + $2::int, $3::text")
		if err != nil {
			return err
		}
		defer statement.Close()
		for i := 0; i < 10; i++ {
			var sum int
			var text sql.NullString
			if err := first(statement.QueryRow(i, 1, nil).Scan(&sum, &text), equal(sum, i+1), equal(text.Valid, false)); err != nil {
				return err
			}
		}
		return nil
	})
	check(prefix+".column_types", func() error {
		rows, err := db.Query("SELECT 1::int4 AS a, 'x'::varchar(7) AS b, 1.5::numeric(10,2) AS c, now() AS d")
		if err != nil {
			return err
		}
		defer rows.Close()
		columns, err := rows.ColumnTypes()
		if err != nil {
			return err
		}
		var names []string
		for _, column := range columns {
			names = append(names, column.Name()+" "+column.DatabaseTypeName())
		}
		precision, scale, _ := columns[2].DecimalSize()
		length, _ := columns[1].Length()
		return first(equal(strings.Join(names, ", "), "a INT4, b VARCHAR, c NUMERIC, d TIMESTAMPTZ"), equal([]int64{precision, scale, length}, []int64{10, 2, 7}))
	})
	check(prefix+".transaction", func() error {
		table := prefix + "_tx"
		if err := exec("DROP TABLE IF EXISTS "+table, "CREATE TABLE "+table+" (a integer)"); err != nil {
			return err
		}
		tx, err := db.BeginTx(context.Background(), &sql.TxOptions{Isolation: sql.LevelSerializable})
		if err != nil {
			return err
		}
		defer tx.Rollback()
		result, err := tx.Exec("INSERT INTO "+table+" SELECT generate_series(1, $1::int)", 3)
		if err != nil {
			return err
		}
		affected, err := result.RowsAffected()
		if err := first(err, equal(affected, int64(3)), expect("0", "SELECT count(*) FROM "+table), tx.Commit(), expect("3", "SELECT count(*) FROM "+table)); err != nil {
			return err
		}
		if tx, err = db.Begin(); err != nil {
			return err
		}
		_, err = tx.Exec("DELETE FROM " + table)
		return first(err, tx.Rollback(), expect("3", "SELECT count(*) FROM "+table), exec("DROP TABLE "+table))
	})
	check(prefix+".read_only", func() error {
		if err := exec("DROP TABLE IF EXISTS "+prefix+"_ro", "CREATE TABLE "+prefix+"_ro (a integer)"); err != nil {
			return err
		}
		tx, err := db.BeginTx(context.Background(), &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return err
		}
		_, err = tx.Exec("INSERT INTO " + prefix + "_ro VALUES (1)")
		return first(fails("25006", err), tx.Rollback(), exec("DROP TABLE "+prefix+"_ro"))
	})
	check(prefix+".returning", func() error {
		table := prefix + "_ret"
		if err := exec("DROP TABLE IF EXISTS "+table, "CREATE TABLE "+table+" (id integer, v text DEFAULT 'd')"); err != nil {
			return err
		}
		return first(expect("d", "INSERT INTO "+table+" (id) VALUES ($1) RETURNING v", 1), exec("DROP TABLE "+table))
	})
	check(prefix+".errors", func() error {
		for code, query := range map[string]string{"42601": "SELEC 1", "42703": "SELECT nothing", "42P01": "SELECT * FROM nothing_there", "22012": "SELECT 1 / 0"} {
			_, err := scalar(query)
			if err := fails(code, err); err != nil {
				return err
			}
		}
		return expect("1", "SELECT 1")
	})
	check(prefix+".cancel_by_context", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		started := time.Now()
		_, err := db.ExecContext(ctx, "SELECT count(*) FROM generate_series(1, 2000000) a, generate_series(1, 2000000) b")
		if err == nil || time.Since(started) > 10*time.Second {
			return fmt.Errorf("not cancelled: %v after %v", err, time.Since(started))
		}
		return expect("1", "SELECT 1")
	})
	check(prefix+".large_result", func() error {
		rows, err := db.Query("SELECT i, repeat('x', 50) FROM generate_series(1, 100000) AS g(i)")
		if err != nil {
			return err
		}
		defer rows.Close()
		sum, i, text := 0, 0, ""
		for rows.Next() {
			if err := rows.Scan(&i, &text); err != nil {
				return err
			}
			sum += i
		}
		return first(rows.Err(), equal(sum, 5000050000))
	})
	check(prefix+".many_connections", func() error {
		ended := make(chan error)
		for i := 0; i < 20; i++ {
			go func(i int) { ended <- expect(fmt.Sprint(i), "SELECT $1::int", i) }(i)
		}
		for i := 0; i < 20; i++ {
			if err := <-ended; err != nil {
				return err
			}
		}
		return nil
	})
}

// asText is column v as text, an instant as UTC shows it: the time zone of a session differs between the drivers.
func asText(kind string) string {
	if kind == "timestamptz" {
		return "(v AT TIME ZONE 'UTC')::text || '+00'"
	}
	return "v::text"
}
