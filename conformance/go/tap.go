package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/jackc/pgconn"
	"github.com/lib/pq"
)

const checkTimeMax = 60 * time.Second

// check runs one body and prints its TAP line; a panic is a failure too.
func check(name string, body func() error) {
	ended := make(chan error, 1)
	go func() {
		defer func() {
			if reason := recover(); reason != nil {
				ended <- fmt.Errorf("panic: %v", reason)
			}
		}()
		ended <- body()
	}()
	var err error
	select {
	case err = <-ended:
	case <-time.After(checkTimeMax):
		err = fmt.Errorf("no end after %v", checkTimeMax)
	}
	if err != nil {
		fmt.Printf("not ok %s: %s\n", name, strings.Join(strings.Fields(err.Error()), " "))
		return
	}
	fmt.Printf("ok %s\n", name)
}

func equal(actual, expected interface{}) error {
	if !reflect.DeepEqual(actual, expected) {
		return fmt.Errorf("expected %#v, got %#v", expected, actual)
	}
	return nil
}

// sqlstate is the code of an error of either driver.
func sqlstate(err error) string {
	var ofPq *pq.Error
	var ofPgx *pgconn.PgError
	switch {
	case errors.As(err, &ofPq):
		return string(ofPq.Code)
	case errors.As(err, &ofPgx):
		return ofPgx.Code
	}
	return ""
}

func fails(code string, err error) error {
	if err == nil {
		return fmt.Errorf("expected SQLSTATE %s, no error came", code)
	}
	if sqlstate(err) != code {
		return fmt.Errorf("expected SQLSTATE %s, got %q: %w", code, sqlstate(err), err)
	}
	return nil
}

// first is the first error of several steps.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// uri says in the words of libpq where the server is; both drivers read it.
func uri(password string, options ...string) string {
	all := append([]string{"sslmode=" + os.Getenv("PGSSLMODE"), "sslrootcert=" + os.Getenv("PGSSLROOTCERT")}, options...)
	return fmt.Sprintf("postgres://%s:%s@%s:%s/%s?%s", os.Getenv("PGUSER"), password, os.Getenv("PGHOST"), os.Getenv("PGPORT"),
		os.Getenv("PGDATABASE"), strings.Join(all, "&"))
}

func main() {
	password := os.Getenv("PGPASSWORD")
	databaseSQL("pq", "postgres", uri(password))
	databaseSQL("pq_binary", "postgres", uri(password, "binary_parameters=yes"))
	databaseSQL("pgx_stdlib", "pgx", uri(password))
	pqOnly(uri(password))
	pgxOnly()
	fmt.Println("# done")
}
