"""What the scripts share: storage options from the environment, and values as text."""

import datetime
import decimal
import os
import sys


def options(url):
    if not url.startswith("s3://"):
        return None
    names = ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ALLOW_HTTP"]
    return {name: os.environ[name] for name in names} | {"aws_conditional_put": "etag"}


def show(value):
    """One value: like PostgreSQL's text where that is easy to say, Python's otherwise."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.hex() or "0x"
    if isinstance(value, datetime.datetime):
        return str(value)
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, list):
        return "[" + ",".join(show(item) for item in value) + "]"
    return str(value)


def done():
    """Ends at once: the library's threads may abort an ordinary exit."""
    sys.stdout.flush()
    os._exit(0)
