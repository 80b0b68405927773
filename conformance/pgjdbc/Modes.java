import java.io.*;
import java.nio.charset.StandardCharsets;
import java.sql.*;
import java.util.*;
import java.util.concurrent.*;
import org.postgresql.PGConnection;
import org.postgresql.copy.*;

/** What a driver does to a database, under each of its connection options. */
final class Modes {
    static void run(Check suite, String options) {
        suite.check("select", options, c -> {
            Check.equal(3, Check.value(c, "SELECT 1 + 2"));
            Check.isTrue(c.isValid(5), "not valid");
        });
        // Forced to binary, the driver sends both statements one list of result formats: PostgreSQL refuses that too.
        if (!options.contains("prepareThreshold=-1")) suite.check("many_statements_in_one", options, Modes::manyStatements);
        suite.check("transaction", options, Modes::transaction);
        suite.check("transaction_isolation", options, Modes::isolation);
        suite.check("read_only", options, c -> {
            Check.execute(c, "CREATE TABLE pgjdbc.ro (a int)");
            c.setAutoCommit(false);
            c.setReadOnly(true);
            Check.fails("25006", () -> Check.execute(c, "INSERT INTO pgjdbc.ro VALUES (1)"));
            c.rollback();
            c.setReadOnly(false);
            c.setAutoCommit(true);
            Check.execute(c, "DROP TABLE pgjdbc.ro");
        });
        suite.check("savepoint", options, Modes::savepoint);
        suite.check("batch", options, Modes::batch);
        suite.check("batch_error", options, Modes::batchError);
        suite.check("generated_keys", options, Modes::generatedKeys);
        suite.check("fetch_size", options, Modes::fetchSize);
        suite.check("large_result", options, Modes::largeResult);
        // The simple protocol has no row limit; the driver then returns all rows.
        boolean simple = options.contains("simple") || options.contains("extendedForPrepared");
        if (!simple) suite.check("max_rows", options, c -> {
            try (Statement statement = c.createStatement()) {
                statement.setMaxRows(7);
                try (ResultSet rows = statement.executeQuery("SELECT generate_series(1, 100)")) {
                    int count = 0;
                    while (rows.next()) count++;
                    Check.equal(7, count);
                }
            }
        });
        suite.check("scrollable_result", options, c -> {
            try (Statement statement = c.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_READ_ONLY);
                    ResultSet rows = statement.executeQuery("SELECT generate_series(1, 10)")) {
                Check.isTrue(rows.last() && rows.getInt(1) == 10 && rows.absolute(3) && rows.getInt(1) == 3, "scrolling");
            }
        });
        suite.check("updatable_result", options, Modes::updatableResult);
        suite.check("copy", options, Modes::copy);
        suite.check("copy_error", options, Modes::copyError);
        suite.check("error_fields", options, Modes::errors);
        suite.check("error_in_transaction", options, c -> {
            c.setAutoCommit(false);
            Check.fails("22012", () -> Check.value(c, "SELECT 1 / 0"));
            if (!options.contains("autosave=always")) Check.fails("25P02", () -> Check.value(c, "SELECT 1"));
            c.rollback();
            Check.equal(1, Check.value(c, "SELECT 1"));
        });
        suite.check("query_timeout", options, Modes::queryTimeout);
        suite.check("statement_cancel", options, Modes::cancel);
        suite.check("changed_table_under_a_prepared_statement", options, Modes::changedTable);
        suite.check("warnings", options, c -> {
            try (Statement statement = c.createStatement()) {
                statement.execute("DROP TABLE IF EXISTS pgjdbc.never_there");
                SQLWarning warning = statement.getWarnings();
                Check.isTrue(warning != null && warning.getMessage().contains("does not exist, skipping"), "warning: " + warning);
                Check.equal("00000", warning.getSQLState());
            }
        });
        suite.check("escapes", options, c -> {
            Check.equal("AB", Check.value(c, "SELECT {fn ucase('ab')}"));
            Check.equal("2024-02-03", String.valueOf(Check.value(c, "SELECT {d '2024-02-03'}")));
            Check.equal(6, Check.value(c, "SELECT {fn length('abcdef')}"));
            Check.equal("ab", Check.value(c, "SELECT {fn concat('a', 'b')}"));
            Check.equal(3, ((Number) Check.value(c, "SELECT {fn timestampdiff(SQL_TSI_DAY, {ts '2024-01-01 00:00:00'}, {ts '2024-01-04 00:00:00'})}")).intValue());
        });
        suite.check("abort_and_network_timeout", options, c -> {
            c.setNetworkTimeout(Runnable::run, 10_000);
            Check.equal(1, Check.value(c, "SELECT 1"));
            c.abort(Runnable::run);
            Check.isTrue(c.isClosed(), "not closed");
        });
    }

    private static void manyStatements(Connection c) throws SQLException {
        try (Statement statement = c.createStatement()) {
            Check.isTrue(statement.execute("SELECT 1; SELECT 2, 3"), "a result was expected");
            Check.isTrue(statement.getMoreResults(), "a second result was expected");
            try (ResultSet rows = statement.getResultSet()) {
                Check.isTrue(rows.next() && rows.getInt(2) == 3, "second result");
            }
            Check.isTrue(!statement.getMoreResults() && statement.getUpdateCount() == -1, "no more results");
        }
    }

    private static void transaction(Connection c) throws Throwable {
        Check.execute(c, "CREATE TABLE pgjdbc.tx (a integer, b text)");
        c.setAutoCommit(false);
        Check.execute(c, "INSERT INTO pgjdbc.tx VALUES (1, 'x'), (2, 'y')");
        try (Connection other = Check.connect("")) {
            Check.equal(0L, Check.value(other, "SELECT count(*) FROM pgjdbc.tx"));
            c.commit();
            Check.equal(2L, Check.value(other, "SELECT count(*) FROM pgjdbc.tx"));
        }
        try (PreparedStatement update = c.prepareStatement("UPDATE pgjdbc.tx SET b = ? WHERE a = ?")) {
            update.setString(1, "z");
            update.setInt(2, 2);
            Check.equal(1, update.executeUpdate());
        }
        Check.equal("z", Check.value(c, "SELECT b FROM pgjdbc.tx WHERE a = 2"));
        c.rollback();
        Check.equal("y", Check.value(c, "SELECT b FROM pgjdbc.tx WHERE a = 2"));
        c.rollback();
        c.setAutoCommit(true);
        try (Statement statement = c.createStatement()) {
            Check.equal(2, statement.executeUpdate("DELETE FROM pgjdbc.tx"));
        }
        Check.execute(c, "DROP TABLE pgjdbc.tx");
    }

    private static void isolation(Connection c) throws SQLException {
        for (int level : new int[] {Connection.TRANSACTION_READ_COMMITTED, Connection.TRANSACTION_REPEATABLE_READ, Connection.TRANSACTION_SERIALIZABLE}) {
            c.setTransactionIsolation(level);
            Check.equal(level, c.getTransactionIsolation());
        }
    }

    private static void savepoint(Connection c) throws SQLException {
        Check.execute(c, "CREATE TABLE pgjdbc.sp (a integer)");
        c.setAutoCommit(false);
        Check.execute(c, "INSERT INTO pgjdbc.sp VALUES (1)");
        Savepoint point = c.setSavepoint("here");
        Check.execute(c, "INSERT INTO pgjdbc.sp VALUES (2)");
        c.rollback(point);
        Savepoint unnamed = c.setSavepoint();
        Check.execute(c, "INSERT INTO pgjdbc.sp VALUES (3)");
        c.releaseSavepoint(unnamed);
        c.commit();
        Check.equal("1,3", Check.value(c, "SELECT string_agg(a::text, ',' ORDER BY a) FROM pgjdbc.sp"));
        c.commit();
        c.setAutoCommit(true);
        Check.execute(c, "DROP TABLE pgjdbc.sp");
    }

    private static void batch(Connection c) throws SQLException {
        Check.execute(c, "CREATE TABLE pgjdbc.batch (a integer, b text, c numeric(10,2))");
        c.setAutoCommit(false);
        try (PreparedStatement insert = c.prepareStatement("INSERT INTO pgjdbc.batch VALUES (?, ?, ?)")) {
            for (int i = 0; i < 300; i++) {
                insert.setInt(1, i);
                insert.setString(2, "row " + i);
                insert.setBigDecimal(3, java.math.BigDecimal.valueOf(i * 10L + 5, 1));
                insert.addBatch();
            }
            int[] counts = insert.executeBatch();
            Check.equal(300, counts.length);
            for (int count : counts) Check.isTrue(count == 1 || count == Statement.SUCCESS_NO_INFO, "count " + count);
        }
        c.commit();
        Check.equal("300|44850|45000.00", Check.value(c, "SELECT count(*) || '|' || sum(a) || '|' || sum(c) FROM pgjdbc.batch"));
        c.commit();
        try (Statement statement = c.createStatement()) {
            statement.addBatch("DELETE FROM pgjdbc.batch WHERE a < 10");
            statement.addBatch("UPDATE pgjdbc.batch SET b = 'new' WHERE a >= 290");
            Check.equal("[10, 10]", Arrays.toString(statement.executeBatch()));
        }
        c.commit();
        c.setAutoCommit(true);
        Check.execute(c, "DROP TABLE pgjdbc.batch");
    }

    private static void batchError(Connection c) throws Throwable {
        Check.execute(c, "CREATE TABLE pgjdbc.batch_error (a integer CHECK (a < 100))");
        c.setAutoCommit(false);
        try (PreparedStatement insert = c.prepareStatement("INSERT INTO pgjdbc.batch_error VALUES (?)")) {
            for (int i : new int[] {1, 2, 100, 3}) {
                insert.setInt(1, i);
                insert.addBatch();
            }
            SQLException error = Check.fails("23514", insert::executeBatch);
            Check.isTrue(error instanceof BatchUpdateException, "class " + error.getClass());
        }
        c.rollback();
        c.setAutoCommit(true);
        Check.equal(0L, Check.value(c, "SELECT count(*) FROM pgjdbc.batch_error"));
        Check.execute(c, "DROP TABLE pgjdbc.batch_error");
    }

    private static void generatedKeys(Connection c) throws SQLException {
        Check.execute(c, "CREATE TABLE pgjdbc.keys (id integer, v text DEFAULT 'd')");
        try (PreparedStatement insert = c.prepareStatement("INSERT INTO pgjdbc.keys (id) VALUES (?), (8)", new String[] {"id", "v"})) {
            insert.setInt(1, 7);
            Check.equal(2, insert.executeUpdate());
            Check.equal(List.of("7|d", "8|d"), Check.rows(insert.getGeneratedKeys(), "id", "v"));
        }
        try (PreparedStatement insert = c.prepareStatement("INSERT INTO pgjdbc.keys (id) VALUES (?)", Statement.RETURN_GENERATED_KEYS)) {
            for (int i = 10; i < 13; i++) {
                insert.setInt(1, i);
                insert.addBatch();
            }
            insert.executeBatch();
            Check.equal(List.of("10", "11", "12"), Check.rows(insert.getGeneratedKeys(), "id"));
        }
        Check.execute(c, "DROP TABLE pgjdbc.keys");
    }

    private static void fetchSize(Connection c) throws SQLException {
        c.setAutoCommit(false);
        try (PreparedStatement statement = c.prepareStatement("SELECT i, 'row ' || i FROM generate_series(1, 1000) AS g(i) WHERE i > ?")) {
            statement.setFetchSize(37);
            for (int run = 0; run < Types.EXECUTIONS; run++) {
                statement.setInt(1, run);
                try (ResultSet rows = statement.executeQuery()) {
                    int expected = run;
                    while (rows.next()) Check.equal("row " + ++expected, rows.getString(2));
                    Check.equal(1000, expected);
                }
            }
            // Two portals open side by side, one left half read.
            statement.setInt(1, 0);
            try (ResultSet rows = statement.executeQuery(); Statement inner = c.createStatement()) {
                Check.isTrue(rows.next(), "no row");
                inner.setFetchSize(5);
                try (ResultSet others = inner.executeQuery("SELECT generate_series(1, 20)")) {
                    for (int i = 1; i <= 20; i++) Check.isTrue(others.next() && others.getInt(1) == i && rows.next() && rows.getInt(1) == i + 1, "row " + i);
                }
            }
        }
        c.commit();
    }

    private static void largeResult(Connection c) throws SQLException {
        c.setAutoCommit(false);
        try (Statement statement = c.createStatement()) {
            statement.setFetchSize(10_000);
            try (ResultSet rows = statement.executeQuery("SELECT i::bigint, repeat('x', 20) || i FROM generate_series(1, 200000) AS g(i)")) {
                long sum = 0;
                while (rows.next()) sum += rows.getLong(1) + rows.getString(2).length() - 20 - String.valueOf(rows.getLong(1)).length();
                Check.equal(20000100000L, sum);
            }
        }
        c.commit();
    }

    private static void updatableResult(Connection c) throws SQLException {
        Check.execute(c, "CREATE TABLE pgjdbc.upd (id integer PRIMARY KEY, v text)", "INSERT INTO pgjdbc.upd VALUES (1, 'a'), (2, 'b'), (3, 'c')");
        try (Statement statement = c.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE);
                ResultSet rows = statement.executeQuery("SELECT id, v FROM pgjdbc.upd ORDER BY id")) {
            Check.equal(ResultSet.CONCUR_UPDATABLE, rows.getConcurrency());
            Check.isTrue(rows.next(), "no row");
            rows.updateString("v", "changed");
            rows.updateRow();
            Check.isTrue(rows.next(), "no second row");
            rows.deleteRow();
            rows.moveToInsertRow();
            rows.updateInt("id", 4);
            rows.updateString("v", "new");
            rows.insertRow();
        }
        Check.equal("1changed 3c 4new", Check.value(c, "SELECT string_agg(id || v, ' ' ORDER BY id) FROM pgjdbc.upd"));
        Check.execute(c, "DROP TABLE pgjdbc.upd");
    }

    private static void copy(Connection c) throws Exception {
        Check.execute(c, "CREATE TABLE pgjdbc.copied (a integer, b text, d date)");
        CopyManager copies = c.unwrap(PGConnection.class).getCopyAPI();
        StringBuilder data = new StringBuilder();
        for (int i = 0; i < 5000; i++) data.append(i).append('\t').append(i % 10 == 0 ? "\\N" : "täxt\\t" + i).append("\t2024-01-01\n");
        Check.equal(5000L, copies.copyIn("COPY pgjdbc.copied FROM STDIN", new StringReader(data.toString())));
        Check.equal(2L, copies.copyIn("COPY pgjdbc.copied (a, b) FROM STDIN (FORMAT csv, HEADER, NULL 'nil')",
                new ByteArrayInputStream("a,b\n-1,\"q \"\"x\"\", y\"\n-2,nil\n".getBytes(StandardCharsets.UTF_8))));
        StringWriter out = new StringWriter();
        Check.equal(4L, copies.copyOut("COPY (SELECT a, b, d FROM pgjdbc.copied WHERE a < 2 ORDER BY a) TO STDOUT", out));
        Check.equal("-2\t\\N\t\\N\n-1\tq \"x\", y\t\\N\n0\t\\N\t2024-01-01\n1\ttäxt\\t1\t2024-01-01\n", out.toString());
        ByteArrayOutputStream csv = new ByteArrayOutputStream();
        copies.copyOut("COPY (SELECT a, b FROM pgjdbc.copied WHERE a = -1) TO STDOUT WITH (FORMAT csv, HEADER)", csv);
        Check.equal("a,b\n-1,\"q \"\"x\"\", y\"\n", csv.toString(StandardCharsets.UTF_8));
        CopyIn writer = copies.copyIn("COPY pgjdbc.copied FROM STDIN");
        byte[] row = "7\tx\t\\N\n".getBytes(StandardCharsets.UTF_8);
        writer.writeToCopy(row, 0, row.length);
        writer.cancelCopy();
        Check.equal(5002L, Check.value(c, "SELECT count(*) FROM pgjdbc.copied"));
        Check.execute(c, "DROP TABLE pgjdbc.copied");
    }

    private static void copyError(Connection c) throws Throwable {
        Check.execute(c, "CREATE TABLE pgjdbc.copy_error (a integer)");
        CopyManager copies = c.unwrap(PGConnection.class).getCopyAPI();
        Check.fails("22P02", () -> copies.copyIn("COPY pgjdbc.copy_error FROM STDIN", new StringReader("1\nx\n")));
        Check.equal(0L, Check.value(c, "SELECT count(*) FROM pgjdbc.copy_error"));
        Check.execute(c, "DROP TABLE pgjdbc.copy_error");
    }

    private static void errors(Connection c) throws Throwable {
        Check.execute(c, "CREATE TABLE pgjdbc.err (a integer NOT NULL, CONSTRAINT small CHECK (a < 10))");
        Check.fails("42601", () -> Check.execute(c, "SELEC 1"));
        Check.fails("42703", () -> Check.execute(c, "SELECT nothing FROM pgjdbc.err"));
        Check.fails("42883", () -> Check.execute(c, "SELECT nothing_like_it(1)"));
        Check.fails("22P02", () -> Check.execute(c, "SELECT 'x'::integer"));
        Check.fails("3F000", () -> Check.execute(c, "CREATE TABLE no_such_schema.t (a int)"));
        Check.fails("42P07", () -> Check.execute(c, "CREATE TABLE pgjdbc.err (a int)"));
        Check.fails("23502", () -> Check.execute(c, "INSERT INTO pgjdbc.err VALUES (NULL)"));
        org.postgresql.util.PSQLException error = (org.postgresql.util.PSQLException) Check.fails("42P01", () -> Check.execute(c, "SELECT * FROM pgjdbc.nothing"));
        Check.equal(15, error.getServerErrorMessage().getPosition());
        Check.equal("ERROR", error.getServerErrorMessage().getSeverity());
        error = (org.postgresql.util.PSQLException) Check.fails("23514", () -> Check.execute(c, "INSERT INTO pgjdbc.err VALUES (10)"));
        Check.equal("small", error.getServerErrorMessage().getConstraint());
        Check.equal("err", error.getServerErrorMessage().getTable());
        Check.equal("pgjdbc", error.getServerErrorMessage().getSchema());
        Check.execute(c, "DROP TABLE pgjdbc.err");
    }

    private static void queryTimeout(Connection c) throws Throwable {
        try (Statement statement = c.createStatement()) {
            statement.setQueryTimeout(1);
            long started = System.nanoTime();
            Check.fails("57014", () -> statement.execute("SELECT pg_sleep(20)"));
            Check.isTrue(System.nanoTime() - started < 15_000_000_000L, "too late");
        }
        Check.equal(1, Check.value(c, "SELECT 1"));
    }

    private static void cancel(Connection c) throws Throwable {
        try (Statement statement = c.createStatement()) {
            ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor();
            timer.schedule(() -> {
                statement.cancel();
                return null;
            }, 500, TimeUnit.MILLISECONDS);
            Check.fails("57014", () -> statement.execute("SELECT count(*) FROM generate_series(1, 2000000) a, generate_series(1, 2000000) b"));
            timer.shutdownNow();
        }
        Check.equal(1, Check.value(c, "SELECT 1"));
    }

    private static void changedTable(Connection c) throws SQLException {
        Check.execute(c, "CREATE TABLE pgjdbc.chg (a integer)", "INSERT INTO pgjdbc.chg VALUES (1)");
        try (PreparedStatement statement = c.prepareStatement("SELECT * FROM pgjdbc.chg")) {
            for (int i = 0; i < Types.EXECUTIONS; i++) Check.equal(1, Check.rows(statement.executeQuery(), "a").size());
            Check.execute(c, "ALTER TABLE pgjdbc.chg ADD COLUMN b text");
            Check.equal(List.of("1|null"), Check.rows(statement.executeQuery(), "a", "b"));
        }
        Check.execute(c, "DROP TABLE pgjdbc.chg");
    }
}
