import java.sql.*;
import java.util.*;

/** Runs named checks and prints one TAP line for each. */
final class Check {
    interface Body {
        void run() throws Throwable;
    }

    interface WithConnection {
        void run(Connection connection) throws Throwable;
    }

    private final String prefix;

    Check(String prefix) {
        this.prefix = prefix;
    }

    Check within(String name) {
        return new Check(prefix + name + ".");
    }

    void check(String name, Body body) {
        try {
            body.run();
            System.out.println("ok " + prefix + name);
        } catch (Throwable thrown) {
            System.out.println("not ok " + prefix + name + ": " + oneLine(thrown));
        }
        System.out.flush();
    }

    /** A check with a connection of its own, so that a failed one cannot spoil the next. */
    void check(String name, String options, WithConnection body) {
        check(name, () -> {
            try (Connection connection = connect(options)) {
                body.run(connection);
            }
        });
    }

    private static String oneLine(Throwable thrown) {
        StringBuilder text = new StringBuilder();
        for (Throwable cause = thrown; cause != null; cause = cause.getCause()) {
            if (text.length() > 0) text.append(" <- ");
            if (cause instanceof SQLException sql && sql.getSQLState() != null) text.append(sql.getSQLState()).append(' ');
            text.append(cause.getMessage() == null ? cause.toString() : cause.getMessage());
        }
        StackTraceElement[] stack = thrown.getStackTrace();
        for (StackTraceElement at : stack)
            if (at.getFileName() != null && List.of("Suite.java", "Types.java", "Metadata.java", "Modes.java").contains(at.getFileName())) {
                text.append(" (").append(at.getFileName()).append(':').append(at.getLineNumber()).append(')');
                break;
            }
        return text.toString().replaceAll("\\s+", " ");
    }

    static Connection connect(String options) throws SQLException {
        return connect(options, env("PGUSER"), env("PGPASSWORD"));
    }

    static Connection connect(String options, String user, String password) throws SQLException {
        String url = "jdbc:postgresql://" + env("PGHOST") + ":" + env("PGPORT") + "/" + env("PGDATABASE")
                + "?sslmode=" + env("PGSSLMODE") + "&sslrootcert=" + env("PGSSLROOTCERT") + (options.isEmpty() ? "" : "&" + options);
        return DriverManager.getConnection(url, user, password);
    }

    static String env(String name) {
        return Objects.requireNonNull(System.getenv(name), name + " is not set");
    }

    static void equal(Object expected, Object actual) {
        if (!Objects.equals(expected, actual)) throw new AssertionError("expected <" + expected + ">, got <" + actual + ">");
    }

    static void isTrue(boolean condition, String message) {
        if (!condition) throw new AssertionError(message);
    }

    static SQLException fails(String sqlstate, Body body) throws Throwable {
        try {
            body.run();
        } catch (SQLException error) {
            if (!sqlstate.equals(error.getSQLState())) throw new AssertionError("expected SQLSTATE " + sqlstate, error);
            return error;
        }
        throw new AssertionError("expected SQLSTATE " + sqlstate + ", no error came");
    }

    static void execute(Connection connection, String... statements) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            for (String sql : statements) statement.execute(sql);
        }
    }

    /** The first column of the first row, as the driver's own Java type. */
    static Object value(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
            isTrue(rows.next(), "no row from " + sql);
            return rows.getObject(1);
        }
    }

    /** All rows: columns joined by '|', rows in their order. */
    static List<String> rows(ResultSet rows, String... columns) throws SQLException {
        List<String> lines = new ArrayList<>();
        while (rows.next()) {
            List<String> fields = new ArrayList<>();
            for (String column : columns) fields.add(rows.getString(column));
            lines.add(String.join("|", fields.stream().map(String::valueOf).toList()));
        }
        rows.close();
        return lines;
    }
}
