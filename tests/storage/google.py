"""A stand-in of Google Cloud Storage's JSON API, for the real client library (gcsfs) over HTTP.

It knows what gcsfs asks for: listings in pages, objects' metadata, reading (ranges too), simple, multipart and
resumable uploads, rewriting in steps, removing (many at once too), conditions on generations, access tokens by a
service account's key. The answers' forms are those of the JSON API's reference
(https://cloud.google.com/storage/docs/json_api/v1). Faults are made by a front before it, `tests.storage.faulty`.
"""

from __future__ import annotations

import base64
import email.message
import email.parser
import hashlib
import json
import re
import threading
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.storage.loopback import Answer, Asked, Loopback, ranged

GOOGLE = "/storage.googleapis.com"
"""Put behind the server's address, this makes gcsfs take it for Google's own, and remove objects by the hundred."""
_PATH = re.compile(f"({GOOGLE})?" r"(/upload|/download)?/storage/v1/b/([^/]+)(?:/o(?:/([^/]+)(/rewriteTo/.+)?)?)?")
_REMOVAL = re.compile(rb"^DELETE /storage/v1/b/([^/]+)/o/([^ ?]+)", re.MULTILINE)
PART = 1 << 18
"""Bytes of which an unfinished resumable upload keeps a multiple."""


class GoogleStorage(Loopback):
    """The service; a context manager. `url` is for STORAGE_EMULATOR_HOST.

    `denied`: whoever asks is known, but may do nothing.
    `page`: most entries of one answer to a listing. `token`: where set, what a request must carry to be let in.
    `keeps`: of each part of a resumable upload but the last only so many bytes are kept, as the service may do.
    """

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.page = 1000
        self.token = ""
        self.keeps = 0
        self.denied = False
        self.buckets: dict[str, dict[str, tuple[dict[str, Any], bytes]]] = {}
        self._uploads: dict[str, tuple[str, str, dict[str, str], bytearray]] = {}
        self._finished: dict[str, Any] = {}
        self._rewrites: set[str] = set()
        self._generation = 1_700_000_000_000_000
        self._lock = threading.Lock()

    def __enter__(self) -> GoogleStorage:
        super().__enter__()
        return self

    def contents(self, bucket: str) -> dict[str, bytes]:
        """The bytes of each object."""
        return {name: content for name, (_, content) in self.buckets[bucket].items()}

    def _answer(self, asked: Asked) -> Answer:
        with self._lock:
            if asked.path == "/token":
                return self._grant(asked)
            if self.token and asked.headers.get("Authorization") != f"Bearer {self.token}":
                return self._refuse(asked)
            if self.denied:
                return _error(403, "run@gristmill.iam.gserviceaccount.com does not have access to the bucket.")
            if "upload_id" in asked.query:
                return self._resume(asked)
            if asked.path == f"{GOOGLE}/batch/storage/v1":
                return self._batch(asked)
            # names of objects are escaped whole: their slashes are not the path's
            found = _PATH.fullmatch(asked.raw)
            if found is None:
                return _error(501, "not implemented")
            kind, bucket, name, rewrite = found[2], found[3], _plain(found[4]), found[5]
            if bucket not in self.buckets:
                return _error(404, "The specified bucket does not exist.")
            if kind == "/upload":
                return self._upload(asked, bucket)
            if rewrite:
                return self._rewrite(asked, bucket, name, rewrite)
            if name:
                return self._object(asked, bucket, name, asked.method)
            if asked.raw.endswith("/o"):
                return self._list(asked, bucket)
            return Answer(200, {"kind": "storage#bucket", "id": bucket, "name": bucket})

    def _grant(self, asked: Asked) -> Answer:
        """An access token for an assertion that a service account's key has signed; the signature isn't looked at."""
        if b"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer" not in asked.body:
            return Answer(400, {"error": "invalid_grant"})
        return Answer(200, {"access_token": self.token, "expires_in": 3600, "token_type": "Bearer"})

    def _refuse(self, asked: Asked) -> Answer:
        if "Authorization" in asked.headers:
            return _error(401, "Invalid Credentials")
        return _error(
            401,
            "Anonymous caller does not have storage.objects.get access to the Google Cloud Storage object. "
            "Permission 'storage.objects.get' denied on resource (or it may not exist).",
        )

    def _list(self, asked: Asked, bucket: str) -> Answer:
        prefix, delimiter = asked.query.get("prefix", ""), asked.query.get("delimiter", "")
        entries: dict[str, dict[str, Any] | None] = {}
        for name, (facts, _) in sorted(self.buckets[bucket].items()):
            if not name.startswith(prefix):
                continue
            inner, mark, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
            entries[prefix + inner + mark if mark else name] = None if mark else facts
        start = int(base64.b64decode(asked.query["pageToken"])) if "pageToken" in asked.query else 0
        stop = start + min(self.page, int(asked.query.get("maxResults", self.page)))
        names = list(entries)[start:stop]
        said: dict[str, Any] = {"kind": "storage#objects"}
        if prefixes := [name for name in names if entries[name] is None]:
            said["prefixes"] = prefixes
        if items := [entries[name] for name in names if entries[name] is not None]:
            said["items"] = items
        if stop < len(entries):
            said["nextPageToken"] = base64.b64encode(str(stop).encode()).decode()
        return Answer(200, said)

    def _object(self, asked: Asked, bucket: str, name: str, method: str) -> Answer:
        if name not in self.buckets[bucket]:
            return _error(404, f"No such object: {bucket}/{name}")
        facts, content = self.buckets[bucket][name]
        if method == "DELETE":
            del self.buckets[bucket][name]
            return Answer(204)
        if asked.query.get("alt") == "media":
            headers = {"ETag": facts["etag"], "X-Goog-Generation": facts["generation"]}
            return ranged(content, asked, {**headers, "X-Goog-Hash": f"md5={facts['md5Hash']}"})
        return Answer(200, facts)

    def _batch(self, asked: Asked) -> Answer:
        """Removals, each with an answer of its own."""
        said = []
        for bucket, name in _REMOVAL.findall(asked.body):
            one = self._object(asked, bucket.decode(), _plain(name.decode()), "DELETE")
            body = json.dumps(one.body) if one.body else ""
            said.append(f"--part\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 {one.status} said\r\n\r\n{body}\r\n")
        content = "".join([*said, "--part--"]).encode()
        return Answer(200, content, {"Content-Type": "multipart/mixed; boundary=part"})

    def _keep(self, bucket: str, name: str, content: bytes, query: dict[str, str]) -> Answer:
        """Make an object, if the generation that stands there is the one that is asked for (0: none)."""
        there = self.buckets[bucket].get(name)
        if query.get("ifGenerationMatch", standing := there[0]["generation"] if there else "0") != standing:
            return _error(412, "At least one of the pre-conditions you specified did not hold.")
        self._generation += 1
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        facts = {
            "kind": "storage#object",
            "id": f"{bucket}/{name}/{self._generation}",
            "name": name,
            "bucket": bucket,
            "generation": str(self._generation),
            "metageneration": "1",
            "contentType": "application/octet-stream",
            "size": str(len(content)),
            "md5Hash": base64.b64encode(hashlib.md5(content).digest()).decode(),
            "etag": base64.b64encode(str(self._generation).encode()).decode(),
            "timeCreated": now,
            "updated": now,
        }
        self.buckets[bucket][name] = facts, content
        return Answer(200, facts)

    def _upload(self, asked: Asked, bucket: str) -> Answer:
        kind = asked.query["uploadType"]
        if kind == "media":
            return self._keep(bucket, asked.query["name"], asked.body, asked.query)
        if kind == "multipart":
            described, content = _related(asked)
            return self._keep(bucket, json.loads(described)["name"], content, asked.query)
        name = json.loads(asked.body)["name"]
        key = uuid.uuid4().hex
        self._uploads[key] = bucket, name, asked.query, bytearray()
        return Answer(200, b"", {"Location": f"{asked.host}{asked.raw}?uploadType=resumable&upload_id={key}"})

    def _resume(self, asked: Asked) -> Answer:
        key = asked.query["upload_id"]
        if key in self._finished:  # asked again, for its answer was lost
            return Answer(200, self._finished[key])
        if key not in self._uploads:
            return _error(404, "no such upload")
        if asked.method == "DELETE":
            del self._uploads[key]
            return Answer(499)
        bucket, name, query, got = self._uploads[key]
        first, last, size = map(int, re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", asked.headers["Content-Range"]).groups())
        if first > len(got) or last - first + 1 != len(asked.body):
            return _error(400, "bytes are missing")
        part = asked.body[len(got) - first :]  # what was sent twice is passed over
        if last + 1 < size and self.keeps:
            part = part[: self.keeps // PART * PART]
        got += part
        if len(got) < size:
            return Answer(308, b"", {"Range": f"bytes=0-{len(got) - 1}"} if got else {})
        del self._uploads[key]
        said = self._keep(bucket, name, bytes(got), query)
        self._finished[key] = said.body
        return said

    def _rewrite(self, asked: Asked, bucket: str, name: str, rewrite: str) -> Answer:
        """A copy within the service, in two steps, as large ones are made."""
        target = re.fullmatch(r"/rewriteTo/b/([^/]+)/o/([^/]+)", rewrite)
        if target is None or target[1] not in self.buckets or name not in self.buckets[bucket]:
            return _error(404, f"No such object: {bucket}/{name}")
        content = self.buckets[bucket][name][1]
        said = {"kind": "storage#rewriteResponse", "objectSize": str(len(content))}
        if asked.query.get("rewriteToken") not in self._rewrites:
            self._rewrites.add(token := uuid.uuid4().hex)
            return Answer(200, {**said, "totalBytesRewritten": "0", "done": False, "rewriteToken": token})
        kept = self._keep(target[1], _plain(target[2]), content, {})
        return Answer(200, {**said, "totalBytesRewritten": str(len(content)), "done": True, "resource": kept.body})


def _plain(name: str | None) -> str:
    return unquote(name or "")


def _related(asked: Asked) -> tuple[bytes, bytes]:
    """The two parts of a `multipart/related` body: the description and the content, byte for byte."""
    head = email.message.Message()
    head["Content-Type"] = asked.headers["Content-Type"]
    mark = b"--" + str(head.get_boundary()).encode()
    _, *parts, _ = (b"\n" + asked.body).split(b"\n" + mark)
    described, content = (part.split(b"\n\n", 1)[1] for part in parts)
    return described, content


def _error(status: int, message: str) -> Answer:
    return Answer(status, {"error": {"code": status, "message": message, "errors": [{"message": message}]}})


def service_account(folder: Path, token_url: str) -> Path:
    """A service account's key file, as GOOGLE_APPLICATION_CREDENTIALS names it, whose tokens come from `token_url`."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    value = {
        "type": "service_account",
        "project_id": "gristmill",
        "private_key_id": "1",
        "private_key": key.decode(),
        "client_email": "run@gristmill.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_url,
    }
    path = folder / "account.json"
    path.write_text(json.dumps(value))
    return path
