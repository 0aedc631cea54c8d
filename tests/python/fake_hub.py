"""A Hub on loopback, small but enough for the real clients to push to and load from.

It keeps repositories, branches, commits and files in memory, and a list of all requests for tests
to look at. `fail_after` makes every later upload fail, as a lost connection does.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Files = dict[str, bytes]


@dataclass
class Repository:
    private: bool = False
    commits: dict[str, Files] = field(default_factory=dict)  # by id
    branches: dict[str, str] = field(default_factory=dict)  # name -> id

    def commit(self, branch: str, files: Files) -> str:
        text = json.dumps([branch, len(self.commits), sorted(files)])
        oid = hashlib.sha1(text.encode()).hexdigest()
        self.commits[oid] = files
        self.branches[branch] = oid
        return oid

    def find(self, revision: str) -> str | None:
        return self.branches.get(revision, revision if revision in self.commits else None)


@dataclass
class FakeHub:
    repositories: dict[str, Repository] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    created: list[dict[str, Any]] = field(default_factory=list)
    fail_after: int | None = None  # commits and uploads fail from this one on
    uploads: int = 0
    blobs: Files = field(default_factory=dict)  # by SHA-256
    token: str | None = None  # required by private repositories
    url: str = ""

    def files(self, repo: str, branch: str = "main") -> Files:
        repository = self.repositories[repo]
        return repository.commits[repository.branches[branch]]


def etag(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


def entries(files: Files) -> dict[str, dict[str, Any]]:
    """Files and the folders that hold them, by path."""
    found: dict[str, dict[str, Any]] = {}
    for name, content in sorted(files.items()):
        for at, letter in enumerate(name):
            if letter == "/":
                folder = name[:at]
                found[folder] = {
                    "type": "directory",
                    "oid": etag(folder.encode()),
                    "size": 0,
                    "path": folder,
                }
        found[name] = {"type": "file", "oid": etag(content), "size": len(content), "path": name}
    return found


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    # --- answers ---

    def answer(self, code: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def missing(self, what: str, commit: str = "") -> None:
        headers = {"X-Error-Code": what, "X-Error-Message": what}
        if commit:
            headers["X-Repo-Commit"] = commit
        self.answer(404, {"error": what}, headers)

    # --- questions ---

    def do_GET(self) -> None:
        self.serve()

    def do_HEAD(self) -> None:
        self.serve()

    def do_POST(self) -> None:
        self.serve()

    def do_PUT(self) -> None:
        self.serve()

    def serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path))
        if token := self.headers.get("Authorization"):
            self.hub.tokens.add(token.removeprefix("Bearer "))
        for pattern, method in _ROUTES:
            if match := re.fullmatch(pattern, path):
                getattr(self, method)(*match.groups(), body)
                return
        self.missing("EntryNotFound")

    def repository(self, repo: str) -> Repository | None:
        found = self.hub.repositories.get(repo)
        if found is not None and found.private:
            wanted = f"Bearer {self.hub.token}"
            if self.headers.get("Authorization") != wanted:
                found = None
        if found is None:
            self.missing("RepoNotFound")
        return found

    def at(self, repo: str, revision: str) -> tuple[Repository, str] | None:
        repository = self.repository(repo)
        if repository is None:
            return None
        oid = repository.find(revision)
        if oid is None:
            self.missing("RevisionNotFound")
            return None
        return repository, oid

    def info(self, repo: str, revision: str | None, _: bytes) -> None:
        if (found := self.at(repo, revision or "main")) is None:
            return
        repository, oid = found
        self.answer(
            200,
            {
                "id": repo,
                "sha": oid,
                "private": repository.private,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": [{"rfilename": name} for name in repository.commits[oid]],
            },
        )

    def create(self, body: bytes) -> None:
        asked = json.loads(body)
        self.hub.created.append(asked)
        repo = f"{asked.get('organization') or 'me'}/{asked['name']}"
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.hub.repositories[repo] = Repository(private)
        self.hub.repositories[repo].commit("main", {".gitattributes": b""})
        self.answer(200, {"url": f"{self.hub.url}/datasets/{repo}", "id": repo, "name": repo})

    def branch(self, repo: str, name: str, _: bytes) -> None:
        if (repository := self.repository(repo)) is not None:
            repository.commit(name, dict(self.hub.files(repo)))
            self.answer(200, {})

    def preupload(self, repo: str, _: str, body: bytes) -> None:
        if self.repository(repo) is None:
            return
        files = json.loads(body)["files"]
        answers = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(".parquet") else "regular",
                "shouldIgnore": False,
            }
            for file in files
        ]
        self.answer(200, {"files": answers})

    def lfs_batch(self, repo: str, body: bytes) -> None:
        if self.repository(repo) is None:
            return
        objects = [
            {
                "oid": blob["oid"],
                "size": blob["size"],
                "authenticated": True,
                "actions": {"upload": {"href": f"{self.hub.url}/blobs/{blob['oid']}"}},
            }
            for blob in json.loads(body)["objects"]
        ]
        self.answer(200, {"transfer": "basic", "objects": objects})

    def blob(self, oid: str, body: bytes) -> None:
        if self.fails():
            return
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.blobs[oid] = body
        self.answer(200, {})

    def fails(self) -> bool:
        self.hub.uploads += 1
        failing = self.hub.fail_after is not None and self.hub.uploads > self.hub.fail_after
        if failing:
            self.answer(403, {"error": "the connection is lost"})
        return failing

    def commit(self, repo: str, branch: str, body: bytes) -> None:
        if self.fails():
            return
        if (repository := self.repository(repo)) is None:
            return
        files = dict(repository.commits[repository.branches[branch]])
        for line in body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
            elif operation["key"] == "deletedFile":
                files.pop(value["path"], None)
        oid = repository.commit(branch, files)
        self.answer(
            200,
            {
                "commitUrl": f"{self.hub.url}/datasets/{repo}/commit/{oid}",
                "commitOid": oid,
                "hookOutput": "",
            },
        )

    def tree(self, repo: str, revision: str, folder: str | None, _: bytes) -> None:
        if (found := self.at(repo, revision)) is None:
            return
        inside = (folder or "").strip("/")
        recursive = parse_qs(urlsplit(self.path).query).get("recursive", ["false"])[0]
        listed = [
            entry
            for path, entry in entries(found[0].commits[found[1]]).items()
            if path.startswith(f"{inside}/" if inside else "")
            and (recursive.lower() in ("true", "1") or "/" not in path[len(inside) :].strip("/"))
        ]
        if inside and not listed:
            self.missing("EntryNotFound", found[1])
        else:
            self.answer(200, listed)

    def paths_info(self, repo: str, revision: str, body: bytes) -> None:
        if (found := self.at(repo, revision)) is None:
            return
        wanted = (
            json.loads(body)["paths"]
            if body.startswith(b"{")
            else parse_qs(body.decode()).get("paths", [])
        )
        known = entries(found[0].commits[found[1]])
        self.answer(200, [known[path] for path in wanted if path in known])

    def resolve(self, repo: str, revision: str, name: str, _: bytes) -> None:
        if (found := self.at(repo, revision)) is None:
            return
        content = found[0].commits[found[1]].get(name)
        if content is None:
            self.missing("EntryNotFound", found[1])
            return
        headers = {
            "X-Repo-Commit": found[1],
            "ETag": f'"{etag(content)}"',
            "Content-Length": str(len(content)),
            "Accept-Ranges": "bytes",
        }
        if (wanted := self.headers.get("Range")) and self.command == "GET":
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            begin, end = int(first or 0), min(int(last or len(content) - 1), len(content) - 1)
            headers["Content-Range"] = f"bytes {begin}-{end}/{len(content)}"
            headers["Content-Length"] = str(end + 1 - begin)
            self.answer(206, content[begin : end + 1], headers)
        else:
            self.answer(200, content, headers)

    def validate(self, _: bytes) -> None:
        self.answer(200, {"warnings": [], "errors": []})

    def whoami(self, _: bytes) -> None:
        self.answer(
            200, {"name": "me", "type": "user", "orgs": [], "auth": {"type": "access_token"}}
        )


_REPO = r"([^/]+/[^/]+)"
_ROUTES = [
    (r"/api/repos/create", "create"),
    (r"/api/validate-yaml", "validate"),
    (r"/api/whoami-v2", "whoami"),
    (rf"/api/datasets/{_REPO}(?:/revision/([^/]+))?", "info"),
    (rf"/api/datasets/{_REPO}/branch/([^/]+)", "branch"),
    (rf"/api/datasets/{_REPO}/preupload/([^/]+)", "preupload"),
    (rf"/api/datasets/{_REPO}/commit/([^/]+)", "commit"),
    (rf"/api/datasets/{_REPO}/tree/([^/]+)(/.*)?", "tree"),
    (rf"/api/datasets/{_REPO}/paths-info/([^/]+)", "paths_info"),
    (rf"/datasets/{_REPO}\.git/info/lfs/objects/batch", "lfs_batch"),
    (r"/blobs/(.+)", "blob"),
    (rf"/datasets/{_REPO}/resolve/([^/]+)/(.+)", "resolve"),
]


@contextlib.contextmanager
def running() -> Iterator[FakeHub]:
    """A Hub that answers on loopback until the test ends."""
    hub = FakeHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
