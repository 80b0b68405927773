package main

import (
	"database/sql"
	"fmt"
	"time"

	"github.com/lib/pq"
)

// pqOnly is what lib/pq has beside database/sql.
func pqOnly(source string) {
	db, err := sql.Open("postgres", source)
	if err != nil {
		check("pq.open_again", func() error { return err })
		return
	}
	defer db.Close()
	check("pq.copy_in", func() error {
		if _, err := db.Exec("DROP TABLE IF EXISTS pq_copy; CREATE TABLE pq_copy (a integer, b text, d timestamp)"); err != nil {
			return err
		}
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		defer tx.Rollback()
		copying, err := tx.Prepare(pq.CopyIn("pq_copy", "a", "b", "d"))
		if err != nil {
			return err
		}
		for i := 0; i < 5000; i++ {
			var text interface{} = fmt.Sprintf("zeile\t%d\\", i)
			if i%10 == 0 {
				text = nil
			}
			if _, err := copying.Exec(i, text, time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)); err != nil {
				return err
			}
		}
		if _, err := copying.Exec(); err != nil {
			return err
		}
		if err := first(copying.Close(), tx.Commit()); err != nil {
			return err
		}
		var n, b, s int
		var text string
		return first(db.QueryRow("SELECT count(*), count(b), sum(a) FROM pq_copy").Scan(&n, &b, &s), equal([]int{n, b, s}, []int{5000, 4500, 12497500}),
			db.QueryRow("SELECT b FROM pq_copy WHERE a = 7").Scan(&text), equal(text, "zeile\t7\\"))
	})
	check("pq.array", func() error {
		var numbers []int64
		var texts []string
		var found bool
		return first(
			db.QueryRow("SELECT $1::int[], $2::text[], 2 = ANY ($1::int[])", pq.Array([]int64{1, 2}), pq.Array([]string{"a,b", `"q"`, ""})).Scan(pq.Array(&numbers), pq.Array(&texts), &found),
			equal(numbers, []int64{1, 2}), equal(texts, []string{"a,b", `"q"`, ""}), equal(found, true))
	})
	check("pq.error_fields", func() error {
		if _, err := db.Exec("DROP TABLE IF EXISTS pq_err; CREATE TABLE pq_err (a integer, CONSTRAINT small CHECK (a < 10))"); err != nil {
			return err
		}
		_, err := db.Exec("INSERT INTO pq_err VALUES (10)")
		if err := fails("23514", err); err != nil {
			return err
		}
		violated := err.(*pq.Error)
		if err := equal([]string{violated.Severity, violated.Schema, violated.Table, violated.Constraint}, []string{"ERROR", "public", "pq_err", "small"}); err != nil {
			return err
		}
		_, err = db.Exec("SELECT * FROM nothing_there")
		return first(fails("42P01", err), equal(err.(*pq.Error).Position, "15"))
	})
	check("pq.listen", func() error {
		listener := pq.NewListener(source, time.Second, time.Second, nil)
		defer listener.Close()
		if err := listener.Listen("go_news"); err != nil {
			return err
		}
		if _, err := db.Exec("SELECT pg_notify('go_news', 'it is')"); err != nil {
			return err
		}
		select {
		case notice := <-listener.Notify:
			return equal(notice.Extra, "it is")
		case <-time.After(10 * time.Second):
			return fmt.Errorf("nothing heard")
		}
	})
	check("pq.savepoint", func() error {
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if _, err := tx.Exec("SAVEPOINT p"); err != nil {
			return err
		}
		_, err = tx.Exec("SELECT 1 / 0")
		if err := fails("22012", err); err != nil {
			return err
		}
		_, err = tx.Exec("ROLLBACK TO SAVEPOINT p")
		return first(err, tx.Commit())
	})
}
