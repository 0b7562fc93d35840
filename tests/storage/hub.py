"""A stand-in of the Hugging Face Hub's API, for the real client library (huggingface_hub) over HTTP.

It knows what reading datasets asks for: facts about a repository, its tree in pages, files by `resolve`, with ranges.
Small files it sends itself; of large ones (LFS) it says by a redirect where they lie: at another server, as the Hub's
are, which refuses whoever sends a token along. What errors look like is taken from the library's own reading of them
(`hf_raise_for_status`). Xet, by which the Hub's newer files are fetched whole, it doesn't speak.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from tests.storage.loopback import Answer, Asked, Loopback, ranged

LARGE = (".parquet", ".gz", ".ftz")
"""Endings of files that lie in LFS."""
_REPOSITORY = re.compile(
    r"/(?:api/(?:datasets|models)/|datasets/)?([^/]+/[^/]+)(?:/(revision|tree|resolve)/([^/]+)(?:/(.*))?)?"
)


class Hub(Loopback):
    """The service; a context manager. `url` is for HF_ENDPOINT.

    `repositories`: the files of each, by path, by the repository's name. `large`: the server of what lies in LFS.
    `private`: repositories that want `token`.
    `page`: most entries of one answer about a tree.
    """

    def __init__(self, token: str) -> None:
        super().__init__(self._answer)
        self.token = token
        self.page = 1000
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: set[str] = set()
        self.large = Loopback(self._file)

    def __enter__(self) -> Hub:
        super().__enter__()
        self.large.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.large.__exit__()
        super().__exit__()

    def _file(self, asked: Asked) -> Answer:
        """The server of large files, whose addresses are signed."""
        if "Authorization" in asked.headers:
            return Answer(400, b"only one way of authentication is allowed")
        _, owner, name, path = asked.path.split("/", 3)
        content = self.repositories[f"{owner}/{name}"][path]
        return ranged(content, asked, {"ETag": f'"{hashlib.sha256(content).hexdigest()}"'})

    def _answer(self, asked: Asked) -> Answer:
        found = _REPOSITORY.fullmatch(asked.path)
        if found is None:
            return Answer(501)
        repository, kind, revision, path = found[1], found[2], found[3] or "main", found[4] or ""
        given = asked.headers.get("Authorization")
        if given not in (None, f"Bearer {self.token}"):
            return _refused(401, "", "Invalid credentials in Authorization header")
        if repository not in self.repositories or (repository in self.private and given is None):
            # the Hub doesn't tell strangers apart what is missing and what is private
            return _refused(401 if given is None else 404, "RepoNotFound", "Repository not found")
        if revision != "main":
            return _refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if kind == "tree":
            return self._tree(asked, repository, path)
        if kind == "resolve":
            return self._resolve(asked, repository, path)
        return Answer(200, {"id": repository, "sha": "0" * 40, "private": repository in self.private, "siblings": []})

    def _tree(self, asked: Asked, repository: str, folder: str) -> Answer:
        prefix = f"{folder}/" if folder else ""
        entries: dict[str, dict[str, Any]] = {}
        for path, content in sorted(self.repositories[repository].items()):
            if not path.startswith(prefix):
                continue
            parts = path[len(prefix) :].split("/")
            for depth in range(1, len(parts)):
                above = prefix + "/".join(parts[:depth])
                entries[above] = {"type": "directory", "oid": "0" * 40, "size": 0, "path": above}
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            entries[path] = {"type": "file", "oid": blob, "size": len(content), "path": path}
            if path.endswith(LARGE):
                oid = hashlib.sha256(content).hexdigest()
                entries[path]["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 132}
        if not entries:
            return _refused(404, "EntryNotFound", f"{folder} does not exist on 'main'")
        listed = list(entries.values())
        if asked.query.get("recursive", "").lower() != "true":
            listed = [entry for entry in listed if "/" not in entry["path"][len(prefix) :]]
        start = int(asked.query.get("cursor", 0))
        stop = start + self.page
        headers = {}
        if stop < len(listed):
            again = f"{asked.host}{asked.raw}?recursive={asked.query.get('recursive', 'false')}&cursor={stop}"
            headers["Link"] = f'<{again}>; rel="next"'
        return Answer(200, listed[start:stop], headers)

    def _resolve(self, asked: Asked, repository: str, path: str) -> Answer:
        content = self.repositories[repository].get(path)
        if content is None:
            return _refused(404, "EntryNotFound", "Entry not found")
        headers = {"X-Repo-Commit": "0" * 40}
        if not path.endswith(LARGE):
            return ranged(content, asked, {**headers, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'})
        linked = {"X-Linked-Size": str(len(content)), "X-Linked-ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        return Answer(302, b"", {**headers, **linked, "Location": f"{self.large.url}/{repository}/{path}"})


def _refused(status: int, code: str, message: str) -> Answer:
    headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
    return Answer(status, {"error": message}, headers)
