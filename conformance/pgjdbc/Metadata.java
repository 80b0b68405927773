import java.lang.reflect.*;
import java.sql.*;
import java.util.*;

/** DatabaseMetaData: every method answers, and what the browsers of BI tools show is right. */
final class Metadata {
    static void run(Check suite) {
        Check metadata = suite.within("metadata");
        metadata.check("setup", "", Metadata::setUp);
        everyMethod(metadata);
        metadata.check("tables", "", c -> Check.equal(
                List.of("customers|TABLE|who buys", "orders|TABLE|null", "customers_view|VIEW|null"),
                Check.rows(c.getMetaData().getTables(null, "pgjdbc", "%s%", new String[] {"TABLE", "VIEW"}), "TABLE_NAME", "TABLE_TYPE", "REMARKS")));
        metadata.check("tables_escaped_pattern", "", c -> Check.equal(List.of("customers_view"),
                Check.rows(c.getMetaData().getTables(null, "pgjdbc", "customers\\_%", new String[] {"TABLE", "VIEW"}), "TABLE_NAME")));
        metadata.check("system_tables", "", c -> Check.isTrue(
                Check.rows(c.getMetaData().getTables(null, "pg_catalog", "pg_cl%", new String[] {"SYSTEM TABLE"}), "TABLE_NAME").contains("pg_class"), "no pg_class"));
        metadata.check("columns", "", Metadata::columns);
        metadata.check("columns_of_view", "", c -> Check.equal(List.of("id|int4|1", "name|varchar|2"),
                Check.rows(c.getMetaData().getColumns(null, "pgjdbc", "customers_view", null), "COLUMN_NAME", "TYPE_NAME", "ORDINAL_POSITION")));
        metadata.check("primary_keys", "", c -> Check.equal(List.of("id|1"),
                Check.rows(c.getMetaData().getPrimaryKeys(null, "pgjdbc", "customers"), "COLUMN_NAME", "KEY_SEQ")));
        metadata.check("primary_keys_of_two_columns", "", c -> Check.equal(List.of("id|1|orders_pk", "line|2|orders_pk"),
                Check.rows(c.getMetaData().getPrimaryKeys(null, "pgjdbc", "orders"), "COLUMN_NAME", "KEY_SEQ", "PK_NAME")));
        metadata.check("best_row_identifier", "", c -> Check.equal(List.of("id|int4"),
                Check.rows(c.getMetaData().getBestRowIdentifier(null, "pgjdbc", "customers", DatabaseMetaData.bestRowSession, false), "COLUMN_NAME", "TYPE_NAME")));
        metadata.check("foreign_keys", "", Metadata::foreignKeys);
        metadata.check("schemas", "", c -> Check.isTrue(
                Check.rows(c.getMetaData().getSchemas(), "TABLE_SCHEM").containsAll(List.of("information_schema", "pg_catalog", "pgjdbc", "public")), "a schema is missing"));
        metadata.check("schemas_pattern", "", c -> Check.equal(List.of("pgjdbc"), Check.rows(c.getMetaData().getSchemas(null, "pgj%"), "TABLE_SCHEM")));
        metadata.check("catalogs", "", c -> Check.isTrue(Check.rows(c.getMetaData().getCatalogs(), "TABLE_CAT").contains(Check.env("PGDATABASE")), "not this database"));
        metadata.check("table_privileges", "", c -> Check.isTrue(
                Check.rows(c.getMetaData().getTablePrivileges(null, "pgjdbc", "customers"), "GRANTEE", "PRIVILEGE").contains(Check.env("PGUSER") + "|SELECT"), "no SELECT of the owner"));
        metadata.check("column_privileges", "", c -> Check.isTrue(
                Check.rows(c.getMetaData().getColumnPrivileges(null, "pgjdbc", "customers", "name"), "GRANTEE", "PRIVILEGE").contains(Check.env("PGUSER") + "|UPDATE"), "no UPDATE of the owner"));
        metadata.check("type_info", "", c -> Check.isTrue(
                Check.rows(c.getMetaData().getTypeInfo(), "TYPE_NAME").containsAll(List.of("bool", "int4", "int8", "numeric", "text", "varchar", "date", "timestamptz", "uuid", "jsonb", "bytea", "_int4")), "a type is missing"));
        metadata.check("functions", "", c -> Check.isTrue(
                Check.rows(c.getMetaData().getFunctions(null, null, "now"), "FUNCTION_SCHEM", "FUNCTION_NAME").contains("pg_catalog|now"), "no now()"));
        metadata.check("index_info", "", c -> Check.equal(List.of("id|1|f"),
                Check.rows(c.getMetaData().getIndexInfo(null, "pgjdbc", "customers", true, true), "COLUMN_NAME", "ORDINAL_POSITION", "NON_UNIQUE")));
        metadata.check("product", "", Metadata::product);
        metadata.check("result_set_source", "", Metadata::resultSetSource);
        metadata.check("parameter_metadata", "", Metadata::parameterMetadata);
        metadata.check("schema_and_catalog", "", c -> {
            Check.equal("public", c.getSchema());
            Check.equal(Check.env("PGDATABASE"), c.getCatalog());
            c.setSchema("pgjdbc");
            Check.equal("pgjdbc", c.getSchema());
            Check.equal(0L, Check.value(c, "SELECT count(*) FROM customers"));
        });
    }

    private static void setUp(Connection connection) throws SQLException {
        Check.execute(connection,
                "CREATE TABLE pgjdbc.customers (id integer PRIMARY KEY, name varchar(40) NOT NULL, balance numeric(12,2) DEFAULT 0.5, created timestamp, note text)",
                "CREATE TABLE pgjdbc.orders (id bigint, line smallint, customer_id integer, CONSTRAINT orders_pk PRIMARY KEY (id, line))",
                "CREATE VIEW pgjdbc.customers_view AS SELECT id, name FROM pgjdbc.customers",
                "COMMENT ON TABLE pgjdbc.customers IS 'who buys'",
                "COMMENT ON COLUMN pgjdbc.customers.name IS 'as written'");
    }

    private static void columns(Connection connection) throws SQLException {
        ResultSet columns = connection.getMetaData().getColumns(null, "pgjdbc", "customers", "%");
        Check.equal(List.of(
                "id|4|int4|10|0|0|NO|null|null|1",
                "name|12|varchar|40|0|0|NO|null|as written|2",
                "balance|2|numeric|12|2|1|YES|0.5|null|3",
                "created|93|timestamp|29|6|1|YES|null|null|4",
                "note|12|text|2147483647|0|1|YES|null|null|5"),
                Check.rows(columns, "COLUMN_NAME", "DATA_TYPE", "TYPE_NAME", "COLUMN_SIZE", "DECIMAL_DIGITS", "NULLABLE", "IS_NULLABLE", "COLUMN_DEF", "REMARKS", "ORDINAL_POSITION"));
    }

    private static void foreignKeys(Connection connection) throws SQLException {
        Check.execute(connection, "CREATE TABLE pgjdbc.notes (customer_id integer REFERENCES pgjdbc.customers (id))");
        String expected = "customers|id|notes|customer_id|1|notes_customer_id_fkey|customers_pkey";
        String[] fields = {"PKTABLE_NAME", "PKCOLUMN_NAME", "FKTABLE_NAME", "FKCOLUMN_NAME", "KEY_SEQ", "FK_NAME", "PK_NAME"};
        Check.equal(List.of(expected), Check.rows(connection.getMetaData().getImportedKeys(null, "pgjdbc", "notes"), fields));
        Check.equal(List.of(expected), Check.rows(connection.getMetaData().getExportedKeys(null, "pgjdbc", "customers"), fields));
        Check.equal(List.of(expected), Check.rows(connection.getMetaData().getCrossReference(null, "pgjdbc", "customers", null, "pgjdbc", "notes"), fields));
        Check.execute(connection, "DROP TABLE pgjdbc.notes");
    }

    private static void product(Connection connection) throws SQLException {
        DatabaseMetaData metadata = connection.getMetaData();
        Check.equal("PostgreSQL", metadata.getDatabaseProductName());
        Check.equal(15, metadata.getDatabaseMajorVersion());
        Check.equal(63, metadata.getMaxColumnNameLength());
        Check.equal(Check.env("PGUSER"), metadata.getUserName());
        Check.isTrue(metadata.getSQLKeywords().length() > 100, "keywords: " + metadata.getSQLKeywords());
    }

    private static void resultSetSource(Connection connection) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement("SELECT c.id AS renamed, c.balance, 1 + 1 AS computed FROM pgjdbc.customers c")) {
            ResultSetMetaData columns = statement.getMetaData();
            var postgres = (org.postgresql.PGResultSetMetaData) columns;
            Check.equal("renamed", columns.getColumnLabel(1));
            Check.equal("id", postgres.getBaseColumnName(1));
            Check.equal("customers", postgres.getBaseTableName(1));
            Check.equal("pgjdbc", postgres.getBaseSchemaName(1));
            Check.equal(ResultSetMetaData.columnNoNulls, columns.isNullable(1));
            Check.equal(ResultSetMetaData.columnNullable, columns.isNullable(2));
            Check.equal("12|2", columns.getPrecision(2) + "|" + columns.getScale(2));
            Check.equal("", postgres.getBaseColumnName(3));
        }
    }

    private static void parameterMetadata(Connection connection) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement("SELECT id FROM pgjdbc.customers WHERE id = ? AND name LIKE ? AND balance > ? AND created < ?")) {
            ParameterMetaData parameters = statement.getParameterMetaData();
            Check.equal(4, parameters.getParameterCount());
            Check.equal("int4|text|numeric|timestamp", parameters.getParameterTypeName(1) + "|" + parameters.getParameterTypeName(2) + "|"
                    + parameters.getParameterTypeName(3) + "|" + parameters.getParameterTypeName(4));
        }
    }

    /** Calls each method of the interface with empty or wild-card arguments and reads its rows to the end. */
    private static void everyMethod(Check metadata) {
        List<Method> methods = new ArrayList<>(Arrays.asList(DatabaseMetaData.class.getDeclaredMethods()));
        methods.removeIf(method -> Modifier.isStatic(method.getModifiers()));
        methods.sort(Comparator.comparing(Method::toString));
        Set<String> seen = new HashSet<>();
        for (Method method : methods) {
            String name = method.getName();
            if (!seen.add(name)) name += method.getParameterCount();
            metadata.check("call." + name, "", connection -> call(connection.getMetaData(), method));
        }
    }

    private static void call(DatabaseMetaData metadata, Method method) throws Throwable {
        Object[] arguments = new Object[method.getParameterCount()];
        for (int i = 0; i < arguments.length; i++) {
            Class<?> type = method.getParameterTypes()[i];
            if (type == int.class) arguments[i] = 1;
            else if (type == boolean.class) arguments[i] = true;
            else if (type == String.class && i > 0) arguments[i] = "%";
        }
        Object answer;
        try {
            answer = method.invoke(metadata, arguments);
        } catch (InvocationTargetException error) {
            // What the driver itself does not have is no fault of the server.
            if (error.getCause() instanceof SQLFeatureNotSupportedException) return;
            if (method.getName().equals("isWrapperFor") || method.getName().equals("unwrap")) return;
            throw error.getCause();
        }
        if (answer instanceof ResultSet rows) {
            while (rows.next())
                for (int i = 1; i <= rows.getMetaData().getColumnCount(); i++) rows.getObject(i);
            rows.close();
        }
    }
}
