import java.sql.*;
import java.util.*;

/** Arguments: a prefix for the names of all checks. */
public final class Suite {
    /** Connection options under which everything runs again; the name is the prefix of its checks. */
    private static final Map<String, String> MODES = new LinkedHashMap<>();

    static {
        MODES.put("extended", "");
        MODES.put("simple", "preferQueryMode=simple");
        MODES.put("extended_for_prepared", "preferQueryMode=extendedForPrepared");
        MODES.put("cache_everything", "preferQueryMode=extendedCacheEverything");
        MODES.put("binary_at_once", "prepareThreshold=-1");
        MODES.put("text_only", "binaryTransfer=false&prepareThreshold=1");
        MODES.put("autosave", "autosave=always");
        MODES.put("rewrite", "reWriteBatchedInserts=true");
        MODES.put("fetch", "defaultRowFetchSize=50&assumeMinServerVersion=9.4&ApplicationName=conformance");
        MODES.put("adaptive", "adaptiveFetch=true&defaultRowFetchSize=10&stringtype=unspecified");
    }

    /** Enough for the older driver: what differs between the two is in these. */
    private static final Set<String> OLD_DRIVER_MODES = Set.of("extended", "simple", "binary_at_once");

    private static void freshSchema(Connection connection) throws SQLException {
        Check.execute(connection, "DROP SCHEMA IF EXISTS pgjdbc CASCADE", "CREATE SCHEMA pgjdbc");
    }

    public static void main(String[] arguments) throws Exception {
        Check suite = new Check(arguments[0]);
        Driver driver = DriverManager.getDriver("jdbc:postgresql:x");
        String version = driver.getMajorVersion() + "." + driver.getMinorVersion() + "." + org.postgresql.util.DriverInfo.PATCH_VERSION;
        System.out.println(arguments[0].isEmpty() ? "# version pgjdbc " + version : "# and Debian's pgjdbc " + version);
        suite.check("connect", "", connection -> Check.equal(Check.env("PGUSER"), Check.value(connection, "SELECT current_user")));
        suite.check("wrong_password", () -> Check.fails("28P01", () -> Check.connect("", Check.env("PGUSER"), "not the password")));
        suite.check("unknown_role", () -> Check.fails("28P01", () -> Check.connect("", "nobody_of_that_name", "x")));
        suite.check("channel_binding", "channelBinding=require", connection -> Check.value(connection, "SELECT 1"));
        suite.check("startup_options", "ApplicationName=conf&options=-c%20search_path=pgjdbc,public%20-c%20statement_timeout=12345", connection -> {
            Check.equal("conf", Check.value(connection, "SHOW application_name"));
            Check.equal("pgjdbc,public", String.valueOf(Check.value(connection, "SHOW search_path")).replace(" ", ""));
            Check.equal("12345ms", Check.value(connection, "SHOW statement_timeout"));
        });
        suite.check("client_info", "", connection -> {
            connection.setClientInfo("ApplicationName", "renamed");
            Check.equal("renamed", Check.value(connection, "SHOW application_name"));
        });
        suite.check("schema", "", Suite::freshSchema);
        Metadata.run(suite);
        for (Map.Entry<String, String> mode : MODES.entrySet()) {
            if (!arguments[0].isEmpty() && !OLD_DRIVER_MODES.contains(mode.getKey())) continue;
            suite.check(mode.getKey() + ".schema", "", Suite::freshSchema);
            Modes.run(suite.within(mode.getKey()), mode.getValue());
            Types.run(suite.within(mode.getKey()), mode.getValue());
        }
        suite.check("clean_up", "", connection -> Check.execute(connection, "DROP SCHEMA pgjdbc CASCADE"));
    }
}
