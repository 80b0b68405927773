import java.math.BigDecimal;
import java.sql.*;
import java.time.*;
import java.util.*;

/** Every type as parameter, result and column, in text and in binary. */
final class Types {
    /** A value, the PostgreSQL type it is bound to, whether a table can hold it, and its text. */
    record Sample(String name, String type, Object value, String text) {}

    static final List<Sample> SAMPLES = List.of(
            new Sample("bool", "boolean", true, "t"),
            new Sample("int2", "smallint", (short) -32768, "-32768"),
            new Sample("int4", "integer", Integer.MIN_VALUE, "-2147483648"),
            new Sample("int8", "bigint", Long.MAX_VALUE, "9223372036854775807"),
            new Sample("float4", "real", 1.5f, "1.5"),
            new Sample("float8", "double precision", 0.1, "0.1"),
            new Sample("float8_nan", "double precision", Double.NaN, "NaN"),
            new Sample("float8_infinity", "double precision", Double.NEGATIVE_INFINITY, "-Infinity"),
            new Sample("numeric", "numeric(20,4)", new BigDecimal("-1234567890123.4500"), "-1234567890123.4500"),
            new Sample("numeric_small", "numeric(10,8)", new BigDecimal("0.00000001"), "0.00000001"),
            new Sample("text", "text", "äöü €  'q\" \\ \n 😀", "äöü €  'q\" \\ \n 😀"),
            new Sample("text_empty", "text", "", ""),
            new Sample("varchar", "varchar(10)", "abc", "abc"),
            new Sample("bpchar", "char(5)", "ab   ", "ab   "),
            new Sample("bytea", "bytea", new byte[] {0, 1, (byte) 0xff, '\\', '\''}, "\\x0001ff5c27"),
            new Sample("date", "date", LocalDate.of(2024, 2, 29), "2024-02-29"),
            new Sample("date_old", "date", LocalDate.of(1600, 1, 1), "1600-01-01"),
            new Sample("time", "time", LocalTime.of(13, 14, 15, 123_456_000), "13:14:15.123456"),
            new Sample("timestamp", "timestamp", LocalDateTime.of(2024, 2, 29, 13, 14, 15, 123_456_000), "2024-02-29 13:14:15.123456"),
            new Sample("timestamptz", "timestamptz", OffsetDateTime.of(2024, 2, 29, 13, 14, 15, 0, ZoneOffset.UTC), "2024-02-29 13:14:15+00"),
            new Sample("uuid", "uuid", UUID.fromString("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"));

    /** Five executions are what it takes until pgjdbc uses a named statement with binary transfer. */
    static final int EXECUTIONS = 7;

    static void run(Check suite, String options) {
        Check types = suite.within("types");
        for (Sample sample : SAMPLES) {
            // The driver writes no valid literal for a bytea under the simple protocol.
            if (sample.name.equals("bytea") && options.contains("=simple")) continue;
            types.check("parameter." + sample.name, options, connection -> parameter(connection, sample));
            types.check("column." + sample.name, options, connection -> column(connection, sample));
        }
        types.check("null", options, Types::nulls);
        types.check("array", options, Types::arrays);
        types.check("interval", options, Types::interval);
        types.check("json", options, Types::json);
        types.check("java_sql_dates", options, Types::javaSqlDates);
        types.check("getters", options, Types::getters);
    }

    private static void utc(Connection connection) throws SQLException {
        Check.execute(connection, "SET TIME ZONE 'UTC'");
    }

    private static Object read(ResultSet rows, int column, Object like) throws SQLException {
        if (like instanceof byte[]) return HexFormat.of().formatHex(rows.getBytes(column));
        if (like instanceof Short) return rows.getShort(column);
        return rows.getObject(column, like.getClass());
    }

    private static Object comparable(Object value) {
        return value instanceof byte[] bytes ? HexFormat.of().formatHex(bytes) : value;
    }

    private static void parameter(Connection connection, Sample sample) throws SQLException {
        utc(connection);
        String sql = "SELECT ?::" + sample.type + " AS v, (?::" + sample.type + ")::text AS t";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int i = 0; i < EXECUTIONS; i++) {
                statement.setObject(1, sample.value);
                statement.setObject(2, sample.value);
                try (ResultSet rows = statement.executeQuery()) {
                    Check.isTrue(rows.next(), "no row");
                    Check.equal(comparable(sample.value), read(rows, 1, sample.value));
                    if (!sample.name.equals("bool") && !sample.name.equals("bpchar")) Check.equal(sample.text, rows.getString(2));
                }
            }
        }
    }

    private static void column(Connection connection, Sample sample) throws SQLException {
        utc(connection);
        String table = "pgjdbc.type_" + sample.name;
        Check.execute(connection, "DROP TABLE IF EXISTS " + table, "CREATE TABLE " + table + " (id integer, v " + sample.type + ")");
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO " + table + " VALUES (?, ?)")) {
            for (int i = 0; i < 2; i++) {
                insert.setInt(1, i);
                insert.setObject(2, sample.value);
                Check.equal(1, insert.executeUpdate());
            }
        }
        try (PreparedStatement select = connection.prepareStatement("SELECT v FROM " + table + " WHERE v = ? AND id = ?")) {
            for (int i = 0; i < EXECUTIONS; i++) {
                select.setObject(1, sample.value);
                select.setInt(2, 1);
                try (ResultSet rows = select.executeQuery()) {
                    Check.isTrue(rows.next(), "the row was not found by its value");
                    Check.equal(comparable(sample.value), read(rows, 1, sample.value));
                    Check.isTrue(!rows.next(), "more than one row");
                }
            }
        }
        Check.execute(connection, "DROP TABLE " + table);
    }

    private static void nulls(Connection connection) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement("SELECT ?::int, ?::text, ?::timestamp, ?::numeric, ?::varchar IS NULL")) {
            for (int i = 0; i < EXECUTIONS; i++) {
                statement.setNull(1, java.sql.Types.INTEGER);
                statement.setNull(2, java.sql.Types.VARCHAR);
                statement.setNull(3, java.sql.Types.TIMESTAMP);
                statement.setNull(4, java.sql.Types.NUMERIC);
                statement.setNull(5, java.sql.Types.VARCHAR);
                try (ResultSet rows = statement.executeQuery()) {
                    Check.isTrue(rows.next(), "no row");
                    Check.equal(0, rows.getInt(1));
                    Check.isTrue(rows.wasNull(), "not null");
                    for (int column = 2; column <= 4; column++) Check.equal(null, rows.getObject(column));
                    Check.equal(true, rows.getBoolean(5));
                }
            }
        }
    }

    private static void arrays(Connection connection) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement("SELECT ?::int[], ?::text[], ?::float8[], 3 = ANY (?)")) {
            for (int i = 0; i < EXECUTIONS; i++) {
                statement.setArray(1, connection.createArrayOf("int4", new Object[] {1, null, 3}));
                statement.setArray(2, connection.createArrayOf("text", new Object[] {"a,b", "\"q\"", "", null}));
                statement.setObject(3, new double[] {0.5, -1});
                statement.setArray(4, connection.createArrayOf("int4", new Object[] {1, 3}));
                try (ResultSet rows = statement.executeQuery()) {
                    Check.isTrue(rows.next(), "no row");
                    Check.equal(Arrays.asList(1, null, 3), Arrays.asList((Object[]) rows.getArray(1).getArray()));
                    Check.equal(Arrays.asList("a,b", "\"q\"", "", null), Arrays.asList((Object[]) rows.getArray(2).getArray()));
                    Check.equal(Arrays.asList(0.5, -1.0), Arrays.asList((Object[]) rows.getArray(3).getArray()));
                    Check.equal(true, rows.getBoolean(4));
                    try (ResultSet elements = rows.getArray(1).getResultSet()) {
                        Check.isTrue(elements.next() && elements.getInt(2) == 1, "array as a result set");
                    }
                }
            }
        }
    }

    private static void interval(Connection connection) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement("SELECT ?::interval")) {
            for (int i = 0; i < EXECUTIONS; i++) {
                statement.setObject(1, new org.postgresql.util.PGInterval(1, 2, 3, 4, 5, 6.5));
                try (ResultSet rows = statement.executeQuery()) {
                    Check.isTrue(rows.next(), "no row");
                    Check.equal(new org.postgresql.util.PGInterval(1, 2, 3, 4, 5, 6.5), rows.getObject(1));
                }
            }
        }
    }

    private static void json(Connection connection) throws SQLException {
        org.postgresql.util.PGobject document = new org.postgresql.util.PGobject();
        document.setType("jsonb");
        document.setValue("{\"a\": [1, 2, null], \"b\": \"x\"}");
        try (PreparedStatement statement = connection.prepareStatement("SELECT ?::jsonb, (?::jsonb) -> 'a' ->> 1")) {
            for (int i = 0; i < EXECUTIONS; i++) {
                statement.setObject(1, document);
                statement.setObject(2, document);
                try (ResultSet rows = statement.executeQuery()) {
                    Check.isTrue(rows.next(), "no row");
                    Check.equal(document.getValue(), rows.getString(1));
                    Check.equal("jsonb", rows.getMetaData().getColumnTypeName(1));
                    Check.equal("2", rows.getString(2));
                }
            }
        }
    }

    private static void javaSqlDates(Connection connection) throws SQLException {
        Timestamp instant = Timestamp.valueOf("2024-03-04 05:06:07.89");
        try (PreparedStatement statement = connection.prepareStatement("SELECT ?::timestamp, ?::timestamptz, ?::date, ?::time")) {
            for (int i = 0; i < EXECUTIONS; i++) {
                statement.setTimestamp(1, instant);
                statement.setTimestamp(2, instant);
                statement.setDate(3, java.sql.Date.valueOf("1999-12-31"));
                statement.setTime(4, Time.valueOf("23:59:58"));
                try (ResultSet rows = statement.executeQuery()) {
                    Check.isTrue(rows.next(), "no row");
                    Check.equal(instant, rows.getTimestamp(1));
                    Check.equal(instant, rows.getTimestamp(2));
                    Check.equal("1999-12-31", rows.getDate(3).toString());
                    Check.equal("23:59:58", rows.getTime(4).toString());
                }
            }
        }
    }

    private static void getters(Connection connection) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement("SELECT 42::int8 AS a, 'x'::text AS \"B c\", 1.50::numeric(5,2) AS n, NULL AS nothing")) {
            for (int i = 0; i < EXECUTIONS; i++) {
                try (ResultSet rows = statement.executeQuery()) {
                    Check.isTrue(rows.next(), "no row");
                    Check.equal(42, rows.getInt("A"));
                    Check.equal("42", rows.getString(1));
                    Check.equal("x", rows.getString("B c"));
                    Check.equal(new BigDecimal("1.50"), rows.getBigDecimal("n"));
                    Check.equal(1.5, rows.getDouble("n"));
                    Check.equal(null, rows.getObject("nothing"));
                    ResultSetMetaData columns = rows.getMetaData();
                    Check.equal("int8|text|numeric|text", columns.getColumnTypeName(1) + "|" + columns.getColumnTypeName(2) + "|" + columns.getColumnTypeName(3) + "|" + columns.getColumnTypeName(4));
                    Check.equal("5|2", columns.getPrecision(3) + "|" + columns.getScale(3));
                }
            }
        }
    }
}
