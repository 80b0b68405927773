"""Checks that report themselves as conformance/run wants it: `ok NAME` and `not ok NAME: reason`."""

import asyncio
import inspect
import os
import sys
import traceback

_checks = []


def check(name=None):
    """Marks a function, or a coroutine, as a check; its name with blanks for underscores is the check's."""
    def mark(function):
        _checks.append((name or function.__name__.replace("_", " "), function))
        return function
    return mark


def run(version):
    """Runs the checks in the order they stand. Names as arguments of the program select."""
    print(f"# version {version}", flush=True)
    for name, function in _checks:
        if not sys.argv[1:] or name in sys.argv[1:]:
            attempt(name, function)
    print("# done", flush=True)


def attempt(name, function, *arguments):
    """Runs one check. Tells whether it passed."""
    try:
        outcome = function(*arguments)
        if inspect.iscoroutine(outcome):
            asyncio.run(outcome)
    except Exception as error:
        traceback.print_exc()
        print(f"not ok {name}: {one_line(error)}", flush=True)
        return False
    print(f"ok {name}", flush=True)
    return True


def one_line(error):
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:400]


def equal(came, expected, what=""):
    assert came == expected, f"{what}: {came!r} instead of {expected!r}" if what else f"{came!r} instead of {expected!r}"


class raises:
    """`with raises(Class, code='22012'):` where `code` is compared with what `code_of` gives."""

    def __init__(self, kind, code=None, code_of=None):
        self.kind, self.code, self.code_of = kind, code, code_of
        self.error = None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        assert error is not None, f"no {getattr(self.kind, '__name__', self.kind)} was raised"
        if not isinstance(error, self.kind):
            return False
        self.error = error
        if self.code:
            find = self.code_of or (lambda e: getattr(e, "sqlstate", None) or getattr(e, "pgcode", None))
            equal(find(error), self.code, f"SQLSTATE of {one_line(error)}")
        return True


def host():
    return os.environ["PGHOST"]


def port():
    return int(os.environ["PGPORT"])


def user():
    return os.environ["PGUSER"]


def password():
    return os.environ["PGPASSWORD"]


def database():
    return os.environ["PGDATABASE"]


def certificate():
    return os.environ.get("PGSSLROOTCERT")


def scratch(*parts):
    return os.path.join(os.environ["CONFORMANCE_SCRATCH"], *parts)


def url(scheme="postgresql", query=None, **given):
    """A connection URL with everything in it, for clients that do not read PG*."""
    from urllib.parse import quote, urlencode

    parts = {"user": user(), "password": password(), "host": host(), "port": port(), "database": database(), **given}
    if query is None:
        query = {"sslmode": os.environ.get("PGSSLMODE", "prefer")}
        if certificate():
            query["sslrootcert"] = certificate()
    end = f"?{urlencode(query)}" if query else ""
    return f"{scheme}://{quote(parts['user'])}:{quote(parts['password'])}@{parts['host']}:{parts['port']}/{parts['database']}{end}"
