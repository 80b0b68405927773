/* Each check has a connection of its own and ends at its first mismatch. libpq takes host, TLS and all else from the environment. */

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK_SECONDS_MAX 60

static jmp_buf failed;
static char reason[1024];

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    for (char *at = reason; *at; at++)
        if (*at == '\n') *at = ' ';
    longjmp(failed, 1);
}

#define EXPECT(condition) ((condition) ? (void)0 : fail("line %d: %s", __LINE__, #condition))
#define EXPECT_TEXT(actual, expected) expect_text(__LINE__, (actual), (expected))

static void expect_text(int line, const char *actual, const char *expected) {
    if (!actual || strcmp(actual, expected) != 0) fail("line %d: expected <%s>, got <%s>", line, expected, actual ? actual : "NULL");
}

static void quiet(void *unused, const char *message) {
    (void)unused;
    (void)message;
}

static PGconn *connected(void) {
    PGconn *conn = PQconnectdb("");
    if (PQstatus(conn) != CONNECTION_OK) fail("connecting: %s", PQerrorMessage(conn));
    PQsetNoticeProcessor(conn, quiet, NULL);
    return conn;
}

static void check(const char *name, void (*body)(PGconn *)) {
    PGconn *volatile conn = NULL;
    fflush(stdout);
    alarm(CHECK_SECONDS_MAX);
    if (setjmp(failed) == 0) {
        conn = connected();
        body(conn);
        printf("ok %s\n", name);
    } else {
        printf("not ok %s: %s\n", name, reason);
    }
    alarm(0);
    if (conn) PQfinish(conn);
}

/* The result, which must have this status. */
static PGresult *got(PGconn *conn, PGresult *result, ExecStatusType status) {
    if (PQresultStatus(result) != status)
        fail("%s instead of %s: %s", PQresStatus(PQresultStatus(result)), PQresStatus(status), result ? PQresultErrorMessage(result) : PQerrorMessage(conn));
    return result;
}

static void run(PGconn *conn, const char *sql) {
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) fail("%s: %s", sql, PQerrorMessage(conn));
    PQclear(result);
}

static void expect_value(int line, PGconn *conn, const char *sql, const char *expected) {
    PGresult *result = got(conn, PQexec(conn, sql), PGRES_TUPLES_OK);
    expect_text(line, PQgetvalue(result, 0, 0), expected);
    PQclear(result);
}

#define EXPECT_VALUE(conn, sql, expected) expect_value(__LINE__, (conn), (sql), (expected))

static void tls_and_status(PGconn *conn) {
    EXPECT(PQsslInUse(conn));
    EXPECT_TEXT(PQparameterStatus(conn, "server_encoding"), "UTF8");
    EXPECT_TEXT(PQparameterStatus(conn, "standard_conforming_strings"), "on");
    EXPECT(PQserverVersion(conn) / 10000 == 15);
    EXPECT(PQbackendPID(conn) != 0);
    EXPECT(PQtransactionStatus(conn) == PQTRANS_IDLE);
    run(conn, "SET application_name = 'renamed'");
    EXPECT_TEXT(PQparameterStatus(conn, "application_name"), "renamed");
}

static void wrong_password(PGconn *conn) {
    (void)conn;
    PGconn *other = PQconnectdb("password=wrong");
    EXPECT(PQstatus(other) == CONNECTION_BAD);
    EXPECT(strstr(PQerrorMessage(other), "password authentication failed"));
    PQfinish(other);
}

static void channel_binding(PGconn *conn) {
    (void)conn;
    PGconn *other = PQconnectdb("channel_binding=require");
    if (PQstatus(other) != CONNECTION_OK) fail("%s", PQerrorMessage(other));
    EXPECT(PQconnectionUsedPassword(other));
    PQfinish(other);
}

static void connect_poll(PGconn *conn) {
    (void)conn;
    PGconn *other = PQconnectStart("");
    for (PostgresPollingStatusType state = PGRES_POLLING_WRITING; state != PGRES_POLLING_OK; state = PQconnectPoll(other)) {
        if (state == PGRES_POLLING_FAILED) fail("%s", PQerrorMessage(other));
        struct pollfd wait = {.fd = PQsocket(other), .events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        EXPECT(poll(&wait, 1, 10000) == 1);
    }
    EXPECT_VALUE(other, "SELECT 1", "1");
    PQfinish(other);
}

static void parameters_in_binary(PGconn *conn) {
    uint32_t four = htonl(7);
    const char *values[3] = {(char *)&four, "text", NULL};
    const int lengths[3] = {4, 0, 0}, formats[3] = {1, 0, 0};
    const Oid types[3] = {23, 25, 25};
    for (int format = 0; format < 2; format++) {
        PGresult *result = got(conn, PQexecParams(conn, "SELECT $1 + 1, $2, $3, 1.5::float8, true", 3, types, values, lengths, formats, format), PGRES_TUPLES_OK);
        if (format) {
            uint32_t sum;
            memcpy(&sum, PQgetvalue(result, 0, 0), 4);
            EXPECT(ntohl(sum) == 8);
            EXPECT(PQgetlength(result, 0, 3) == 8 && PQgetlength(result, 0, 4) == 1 && PQgetvalue(result, 0, 4)[0] == 1);
        } else {
            EXPECT_TEXT(PQgetvalue(result, 0, 0), "8");
        }
        EXPECT_TEXT(PQgetvalue(result, 0, 1), "text");
        EXPECT(PQgetisnull(result, 0, 2));
        EXPECT(PQfformat(result, 0) == format);
        PQclear(result);
    }
}

static void prepared(PGconn *conn) {
    PQclear(got(conn, PQprepare(conn, "p", "SELECT $1::int + $2::int AS sum", 0, NULL), PGRES_COMMAND_OK));
    PGresult *described = got(conn, PQdescribePrepared(conn, "p"), PGRES_COMMAND_OK);
    EXPECT(PQnparams(described) == 2 && PQparamtype(described, 0) == 23 && PQnfields(described) == 1);
    EXPECT_TEXT(PQfname(described, 0), "sum");
    PQclear(described);
    for (int i = 0; i < 10; i++) {
        char one[16], sum[16];
        snprintf(one, sizeof one, "%d", i);
        snprintf(sum, sizeof sum, "%d", i + 5);
        const char *values[2] = {one, "5"};
        PGresult *result = got(conn, PQexecPrepared(conn, "p", 2, values, NULL, NULL, 0), PGRES_TUPLES_OK);
        EXPECT_TEXT(PQgetvalue(result, 0, 0), sum);
        PQclear(result);
    }
    run(conn, "DEALLOCATE p");
    const char *values[2] = {"1", "2"};
    PGresult *gone = got(conn, PQexecPrepared(conn, "p", 2, values, NULL, NULL, 0), PGRES_FATAL_ERROR);
    EXPECT_TEXT(PQresultErrorField(gone, PG_DIAG_SQLSTATE), "26000");
    PQclear(gone);
}

static void portal_described(PGconn *conn) {
    run(conn, "BEGIN");
    run(conn, "DECLARE cur CURSOR FOR SELECT 1 AS a, 'x'::varchar(5) AS b");
    PGresult *described = got(conn, PQdescribePortal(conn, "cur"), PGRES_COMMAND_OK);
    EXPECT(PQnfields(described) == 2 && PQftype(described, 1) == 1043 && PQfmod(described, 1) == 9);
    PQclear(described);
    run(conn, "COMMIT");
}

static void result_columns(PGconn *conn) {
    run(conn, "DROP TABLE IF EXISTS lq_src");
    run(conn, "CREATE TABLE lq_src (a integer, b varchar(7))");
    PGresult *oid = got(conn, PQexec(conn, "SELECT 'lq_src'::regclass::oid"), PGRES_TUPLES_OK);
    Oid table = (Oid)strtoul(PQgetvalue(oid, 0, 0), NULL, 10);
    PQclear(oid);
    PGresult *result = got(conn, PQexec(conn, "SELECT x.b AS renamed, a + 1, a FROM (SELECT * FROM lq_src) x"), PGRES_TUPLES_OK);
    EXPECT(PQftable(result, 0) == table && PQftablecol(result, 0) == 2);
    EXPECT(PQftable(result, 1) == 0 && PQftablecol(result, 1) == 0);
    EXPECT(PQftable(result, 2) == table && PQftablecol(result, 2) == 1 && PQfsize(result, 2) == 4);
    PQclear(result);
    run(conn, "DROP TABLE lq_src");
}

static void many_statements_in_one(PGconn *conn) {
    EXPECT(PQsendQuery(conn, "SELECT 1; SELECT 2, 3; SET application_name = 'x'; SELECT 1 / 0; SELECT 4"));
    PQclear(got(conn, PQgetResult(conn), PGRES_TUPLES_OK));
    PGresult *second = got(conn, PQgetResult(conn), PGRES_TUPLES_OK);
    EXPECT(PQnfields(second) == 2);
    PQclear(second);
    PGresult *set = got(conn, PQgetResult(conn), PGRES_COMMAND_OK);
    EXPECT_TEXT(PQcmdStatus(set), "SET");
    PQclear(set);
    PQclear(got(conn, PQgetResult(conn), PGRES_FATAL_ERROR));
    EXPECT(PQgetResult(conn) == NULL);
}

static void error_fields(PGconn *conn) {
    run(conn, "DROP TABLE IF EXISTS lq_err");
    run(conn, "CREATE TABLE lq_err (a integer NOT NULL, CONSTRAINT small CHECK (a < 10))");
    PGresult *result = got(conn, PQexec(conn, "INSERT INTO lq_err VALUES (10)"), PGRES_FATAL_ERROR);
    EXPECT_TEXT(PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED), "ERROR");
    EXPECT_TEXT(PQresultErrorField(result, PG_DIAG_SQLSTATE), "23514");
    EXPECT_TEXT(PQresultErrorField(result, PG_DIAG_TABLE_NAME), "lq_err");
    EXPECT_TEXT(PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME), "small");
    EXPECT_TEXT(PQresultErrorField(result, PG_DIAG_SCHEMA_NAME), "public");
    PQclear(result);
    result = got(conn, PQexec(conn, "SELECT * FROM nothing_there"), PGRES_FATAL_ERROR);
    EXPECT_TEXT(PQresultErrorField(result, PG_DIAG_SQLSTATE), "42P01");
    EXPECT_TEXT(PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION), "15");
    PQclear(result);
    run(conn, "DROP TABLE lq_err");
}

static void transaction_status(PGconn *conn) {
    run(conn, "BEGIN");
    EXPECT(PQtransactionStatus(conn) == PQTRANS_INTRANS);
    PQclear(got(conn, PQexec(conn, "SELECT 1 / 0"), PGRES_FATAL_ERROR));
    EXPECT(PQtransactionStatus(conn) == PQTRANS_INERROR);
    PGresult *end = got(conn, PQexec(conn, "COMMIT"), PGRES_COMMAND_OK);
    EXPECT_TEXT(PQcmdStatus(end), "ROLLBACK");
    PQclear(end);
    EXPECT(PQtransactionStatus(conn) == PQTRANS_IDLE);
}

static void single_rows(PGconn *conn) {
    EXPECT(PQsendQuery(conn, "SELECT i FROM generate_series(1, 50000) AS g(i)"));
    EXPECT(PQsetSingleRowMode(conn));
    long sum = 0;
    PGresult *result;
    while ((result = PQgetResult(conn)) && PQresultStatus(result) == PGRES_SINGLE_TUPLE) {
        sum += atol(PQgetvalue(result, 0, 0));
        PQclear(result);
    }
    EXPECT(PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 0);
    PQclear(result);
    EXPECT(PQgetResult(conn) == NULL);
    EXPECT(sum == 1250025000L);
}

static void nonblocking(PGconn *conn) {
    EXPECT(PQsetnonblocking(conn, 1) == 0);
    EXPECT(PQsendQuery(conn, "SELECT pg_sleep(0.3), 42"));
    int flushed;
    while ((flushed = PQflush(conn)) == 1) usleep(1000);
    EXPECT(flushed == 0);
    int waits = 0;
    while (PQisBusy(conn)) {
        struct pollfd wait = {.fd = PQsocket(conn), .events = POLLIN};
        EXPECT(poll(&wait, 1, 10000) == 1);
        EXPECT(PQconsumeInput(conn));
        waits++;
    }
    PGresult *result = got(conn, PQgetResult(conn), PGRES_TUPLES_OK);
    EXPECT(waits > 0);
    EXPECT_TEXT(PQgetvalue(result, 0, 1), "42");
    PQclear(result);
    EXPECT(PQgetResult(conn) == NULL);
}

static void expect_end(PGconn *conn) {
    EXPECT(PQgetResult(conn) == NULL);
}

static void pipeline(PGconn *conn) {
    run(conn, "DROP TABLE IF EXISTS lq_pipe");
    run(conn, "CREATE TABLE lq_pipe (a integer)");
    EXPECT(PQenterPipelineMode(conn));
    const char *value[1];
    for (int i = 0; i < 3; i++) {
        char text[8];
        snprintf(text, sizeof text, "%d", i);
        value[0] = text;
        EXPECT(PQsendQueryParams(conn, "INSERT INTO lq_pipe VALUES ($1::int)", 1, NULL, value, NULL, NULL, 0));
    }
    EXPECT(PQsendPrepare(conn, "count", "SELECT count(*) FROM lq_pipe", 0, NULL));
    EXPECT(PQsendQueryPrepared(conn, "count", 0, NULL, NULL, NULL, 0));
    EXPECT(PQpipelineSync(conn));
    value[0] = "0";
    EXPECT(PQsendQueryParams(conn, "INSERT INTO lq_pipe VALUES (100)", 0, NULL, NULL, NULL, NULL, 0));
    EXPECT(PQsendQueryParams(conn, "SELECT 1 / $1::int", 1, NULL, value, NULL, NULL, 0));
    EXPECT(PQsendQueryParams(conn, "INSERT INTO lq_pipe VALUES (101)", 0, NULL, NULL, NULL, NULL, 0));
    EXPECT(PQpipelineSync(conn));
    for (int i = 0; i < 4; i++) {
        PQclear(got(conn, PQgetResult(conn), PGRES_COMMAND_OK));
        expect_end(conn);
    }
    PGresult *count = got(conn, PQgetResult(conn), PGRES_TUPLES_OK);
    EXPECT_TEXT(PQgetvalue(count, 0, 0), "3");
    PQclear(count);
    expect_end(conn);
    PQclear(got(conn, PQgetResult(conn), PGRES_PIPELINE_SYNC));
    PQclear(got(conn, PQgetResult(conn), PGRES_COMMAND_OK));
    expect_end(conn);
    PQclear(got(conn, PQgetResult(conn), PGRES_FATAL_ERROR));
    expect_end(conn);
    PQclear(got(conn, PQgetResult(conn), PGRES_PIPELINE_ABORTED));
    expect_end(conn);
    PQclear(got(conn, PQgetResult(conn), PGRES_PIPELINE_SYNC));
    EXPECT(PQexitPipelineMode(conn));
    EXPECT_VALUE(conn, "SELECT count(*) FROM lq_pipe", "3");
    run(conn, "DROP TABLE lq_pipe");
}

static void pipeline_flush(PGconn *conn) {
    EXPECT(PQenterPipelineMode(conn));
    EXPECT(PQsendQueryParams(conn, "SELECT 1", 0, NULL, NULL, NULL, NULL, 0));
    EXPECT(PQsendFlushRequest(conn));
    EXPECT(PQflush(conn) == 0);
    PQclear(got(conn, PQgetResult(conn), PGRES_TUPLES_OK));
    expect_end(conn);
    EXPECT(PQpipelineSync(conn));
    PQclear(got(conn, PQgetResult(conn), PGRES_PIPELINE_SYNC));
    EXPECT(PQexitPipelineMode(conn));
}

static void copy_in_and_out(PGconn *conn) {
    run(conn, "DROP TABLE IF EXISTS lq_copy");
    run(conn, "CREATE TABLE lq_copy (a integer, b text)");
    PQclear(got(conn, PQexec(conn, "COPY lq_copy FROM STDIN"), PGRES_COPY_IN));
    /* Messages that do not end where rows end. */
    const char *parts[] = {"1\tei", "ns\n2\tz", "wei\n3\t\\N\n"};
    for (int i = 0; i < 3; i++) EXPECT(PQputCopyData(conn, parts[i], (int)strlen(parts[i])) == 1);
    EXPECT(PQputCopyEnd(conn, NULL) == 1);
    PGresult *end = got(conn, PQgetResult(conn), PGRES_COMMAND_OK);
    EXPECT_TEXT(PQcmdTuples(end), "3");
    PQclear(end);
    expect_end(conn);
    PQclear(got(conn, PQexec(conn, "COPY (SELECT * FROM lq_copy ORDER BY a) TO STDOUT"), PGRES_COPY_OUT));
    const char *rows[] = {"1\teins\n", "2\tzwei\n", "3\t\\N\n"};
    char *row = NULL;
    for (int i = 0; i < 3; i++) {
        EXPECT(PQgetCopyData(conn, &row, 0) > 0);
        EXPECT_TEXT(row, rows[i]);
        PQfreemem(row);
    }
    EXPECT(PQgetCopyData(conn, &row, 0) == -1);
    PQclear(got(conn, PQgetResult(conn), PGRES_COMMAND_OK));
    expect_end(conn);
}

static void copy_failed_by_the_client(PGconn *conn) {
    PQclear(got(conn, PQexec(conn, "COPY lq_copy FROM STDIN"), PGRES_COPY_IN));
    EXPECT(PQputCopyData(conn, "9\tx\n", 4) == 1);
    EXPECT(PQputCopyEnd(conn, "changed my mind") == 1);
    PGresult *end = got(conn, PQgetResult(conn), PGRES_FATAL_ERROR);
    EXPECT_TEXT(PQresultErrorField(end, PG_DIAG_SQLSTATE), "57014");
    EXPECT(strstr(PQresultErrorMessage(end), "changed my mind"));
    PQclear(end);
    expect_end(conn);
    EXPECT_VALUE(conn, "SELECT count(*) FROM lq_copy", "3");
    run(conn, "DROP TABLE lq_copy");
}

static void cancel(PGconn *conn) {
    PGcancel *canceller = PQgetCancel(conn);
    EXPECT(PQsendQuery(conn, "SELECT count(*) FROM generate_series(1, 2000000) a, generate_series(1, 2000000) b"));
    usleep(400000);
    char problem[256];
    EXPECT(PQcancel(canceller, problem, sizeof problem));
    PGresult *result = got(conn, PQgetResult(conn), PGRES_FATAL_ERROR);
    EXPECT_TEXT(PQresultErrorField(result, PG_DIAG_SQLSTATE), "57014");
    PQclear(result);
    expect_end(conn);
    /* One that comes too late hurts nobody. */
    EXPECT(PQcancel(canceller, problem, sizeof problem));
    PQfreeCancel(canceller);
    usleep(100000);
    EXPECT_VALUE(conn, "SELECT 1", "1");
}

static void notify(PGconn *conn) {
    run(conn, "LISTEN lq_news");
    PGconn *other = connected();
    run(other, "NOTIFY lq_news, 'it is'");
    int pid = PQbackendPID(other);
    PQfinish(other);
    PGnotify *heard = NULL;
    for (int i = 0; i < 50 && !heard; i++) {
        struct pollfd wait = {.fd = PQsocket(conn), .events = POLLIN};
        poll(&wait, 1, 200);
        EXPECT(PQconsumeInput(conn));
        heard = PQnotifies(conn);
    }
    EXPECT(heard != NULL);
    EXPECT_TEXT(heard->extra, "it is");
    EXPECT(heard->be_pid == pid);
    PQfreemem(heard);
}

static void reset(PGconn *conn) {
    run(conn, "SET application_name = 'before'");
    PQreset(conn);
    EXPECT(PQstatus(conn) == CONNECTION_OK);
    EXPECT_VALUE(conn, "SELECT 1", "1");
}

static void escaping(PGconn *conn) {
    const char *wild = "it's \\ \"x\" ä";
    char *literal = PQescapeLiteral(conn, wild, strlen(wild)), *identifier = PQescapeIdentifier(conn, "Co\"l", 4), sql[256];
    snprintf(sql, sizeof sql, "SELECT %s AS %s", literal, identifier);
    PGresult *result = got(conn, PQexec(conn, sql), PGRES_TUPLES_OK);
    EXPECT_TEXT(PQgetvalue(result, 0, 0), wild);
    EXPECT_TEXT(PQfname(result, 0), "Co\"l");
    PQclear(result);
    PQfreemem(literal);
    PQfreemem(identifier);
}

static void large_object_is_refused(PGconn *conn) {
    /* PQfn and large objects are the only users of FunctionCall; whatever comes back, the connection must go on. */
    int length = 0, answer = 0;
    PQArgBlock argument = {.len = 4, .isint = 1, .u = {.integer = 0}};
    PGresult *result = PQfn(conn, 1, &answer, &length, 1, &argument, 1);
    EXPECT(PQresultStatus(result) == PGRES_FATAL_ERROR);
    PQclear(result);
    EXPECT_VALUE(conn, "SELECT 1", "1");
}

int main(void) {
    int version = PQlibVersion();
    printf("# version libpq %d.%d\n", version / 10000, version % 10000);
    check("tls_and_status", tls_and_status);
    check("wrong_password", wrong_password);
    check("channel_binding", channel_binding);
    check("connect_poll", connect_poll);
    check("parameters_in_binary", parameters_in_binary);
    check("prepared", prepared);
    check("portal_described", portal_described);
    check("result_columns", result_columns);
    check("many_statements_in_one", many_statements_in_one);
    check("error_fields", error_fields);
    check("transaction_status", transaction_status);
    check("single_rows", single_rows);
    check("nonblocking", nonblocking);
    check("pipeline", pipeline);
    check("pipeline_flush", pipeline_flush);
    check("copy_in_and_out", copy_in_and_out);
    check("copy_failed_by_the_client", copy_failed_by_the_client);
    check("cancel", cancel);
    check("notify", notify);
    check("reset", reset);
    check("escaping", escaping);
    check("function_call_is_survived", large_object_is_refused);
    puts("# done");
    return 0;
}
