"""What an S3 bucket keeps beside its present objects, asked for with requests signed here.

usage: bucket_versions.py keep|suspend|forbid|allow BUCKET
       bucket_versions.py put BUCKET KEY TEXT
       bucket_versions.py upload BUCKET KEY TEXT     an upload in parts that is never ended
       bucket_versions.py uploads BUCKET
       bucket_versions.py seek BUCKET NEEDLE
"""

import datetime
import hashlib
import hmac
import http.client
import io
import os
import sys
import urllib.parse
import xml.etree.ElementTree

import pyarrow.parquet as pq


def ask(method, bucket, key="", query=(), body=b""):
    """The answer's body; fails where the store does not answer with success."""
    host = urllib.parse.urlsplit(os.environ["AWS_ENDPOINT_URL"]).netloc
    path = urllib.parse.quote(f"/{bucket}" + (f"/{key}" if key else ""), safe="/-_.~")
    encode = lambda text: urllib.parse.quote(text, safe="-_.~")
    asked = "&".join(f"{encode(name)}={encode(value)}" for name, value in sorted(query))
    time = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": time}
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = "\n".join([method, path, asked, lines, names, digest])
    scope = [time[:8], os.environ["AWS_REGION"], "s3", "aws4_request"]
    text = "\n".join(["AWS4-HMAC-SHA256", time, "/".join(scope), hashlib.sha256(request.encode()).hexdigest()])
    secret = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in scope:
        secret = hmac.new(secret, part.encode(), "sha256").digest()
    signature = hmac.new(secret, text.encode(), "sha256").hexdigest()
    credential = "/".join([os.environ["AWS_ACCESS_KEY_ID"], *scope])
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
    connection = http.client.HTTPConnection(host, timeout=60)
    connection.request(method, path + ("?" + asked if asked else ""), body, headers)
    answer = connection.getresponse()
    data = answer.read()
    if answer.status >= 300:
        sys.exit(f"{method} {path} {asked}: {answer.status} {data}")
    return data


def listed(bucket, what, *markers):
    """Entries of a list as dictionaries with their kind, page after page."""
    query, found = {what: "", "max-keys" if what == "versions" else "max-uploads": "100"}, []
    while True:
        answer = xml.etree.ElementTree.fromstring(ask("GET", bucket, query=query.items()))
        plain = lambda element: element.tag.split("}")[-1]
        fields = {plain(child): child.text or "" for child in answer}
        for child in answer:
            if plain(child) in ("Version", "DeleteMarker", "Upload"):
                found.append({"kind": plain(child)} | {plain(part): part.text or "" for part in child})
        if fields.get("IsTruncated") != "true":
            return found
        query |= {name: fields[next] for name, next in markers}


def seek(bucket, needle):
    """Every version of every object by its bytes, its name and, where it is a Parquet file, its values."""
    read = 0
    for entry in listed(bucket, "versions", ("key-marker", "NextKeyMarker"), ("version-id-marker", "NextVersionIdMarker")):
        key, version, kind = entry["Key"], entry["VersionId"], entry["kind"]
        if needle in urllib.parse.unquote(urllib.parse.unquote(key)):
            print("FOUND in a name", kind, key)
        if kind == "DeleteMarker":
            continue
        data = ask("GET", bucket, key, [("versionId", version)])
        read += 1
        if any(form in data for form in (needle.encode(), needle.encode("utf-16-le"), urllib.parse.quote(needle).encode())):
            print("FOUND in bytes", key, version)
        if key.endswith(".parquet") and needle in str(pq.read_table(io.BytesIO(data)).to_pydict()):
            print("FOUND in values", key, version)
    print("read", read)


def versioning(bucket, status):
    body = f"<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>".encode()
    ask("PUT", bucket, query=[("versioning", "")], body=body)


command, bucket, *rest = sys.argv[1:]
if command == "keep":
    versioning(bucket, "Enabled")
elif command == "suspend":
    versioning(bucket, "Suspended")
elif command == "forbid":
    statement = f'{{"Effect":"Deny","Principal":"*","Action":["s3:DeleteObjectVersion"],"Resource":["arn:aws:s3:::{bucket}/*"]}}'
    ask("PUT", bucket, query=[("policy", "")], body=f'{{"Version":"2012-10-17","Statement":[{statement}]}}'.encode())
elif command == "allow":
    ask("DELETE", bucket, query=[("policy", "")])
elif command == "put":
    ask("PUT", bucket, rest[0], body=rest[1].encode())
elif command == "upload":
    started = xml.etree.ElementTree.fromstring(ask("POST", bucket, rest[0], [("uploads", "")]))
    upload = next(child.text for child in started if child.tag.endswith("UploadId"))
    ask("PUT", bucket, rest[0], [("partNumber", "1"), ("uploadId", upload)], rest[1].encode())
elif command == "uploads":
    for entry in listed(bucket, "uploads", ("key-marker", "NextKeyMarker"), ("upload-id-marker", "NextUploadIdMarker")):
        print(entry["Key"])
elif command == "seek":
    seek(bucket, rest[0])
else:
    sys.exit(__doc__)

# Past the teardown of the threads of a native library, which does not always end well.
sys.stdout.flush()
os._exit(0)
