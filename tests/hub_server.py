"""A Hugging Face hub on this machine, as far as saved adapters need one.

It speaks what the installed ``huggingface_hub`` says to make a repository, upload to it (small files in the commit,
large ones through LFS) and download a revision, with the real hub's ways to refuse: a repository that is not shown is
a "not found", also to who is not logged in. What goes wrong beyond that is set on the server: ``damage``, ``status``.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = ".safetensors"  # what the real hub keeps in LFS whatever its size


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # noqa: S324 git's own


@dataclass
class Repository:
    """Commits are whole: every file by name.

    Attributes:
        refs: Commits by branch or tag.
    """

    owner: str
    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"0" * 40: {}})
    refs: dict[str, str] = field(default_factory=lambda: {"main": "0" * 40})

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        content = self.commits[self.refs[branch]] | files
        said = json.dumps([len(self.commits), {name: sha256(data) for name, data in content.items()}])
        commit = hashlib.sha1(said.encode()).hexdigest()  # noqa: S324 as git names them
        self.commits[commit] = content
        self.refs[branch] = commit
        return commit


class Hub(ThreadingHTTPServer):
    """The server; a token is ``token-NAME``.

    Attributes:
        repositories: By id.
        asked: Every request, ``"GET /path"``.
        damage: Changes the content of a download, by the file's name.
        status: Answers everything with this status instead.
        takes_uploads: Whether large files can be uploaded.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, Repository] = {}
        self.uploads: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.damage: Callable[[str, bytes], bytes] = lambda _, content: content
        self.status: int | None = None
        self.takes_uploads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextlib.contextmanager
def running() -> Iterator[Hub]:
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


class Refusal(Exception):  # noqa: N818 an answer, not an error of the server
    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def handle_any(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(f"{self.command} {path}")
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if self.server.status:
                raise Refusal(self.server.status)
            self.route(path)
        except Refusal as refusal:
            headers = {"X-Error-Code": refusal.code, "X-Error-Message": refusal.message}
            self.answer(
                {"error": refusal.message}, refusal.status, {key: value for key, value in headers.items() if value}
            )

    do_GET = do_HEAD = do_POST = do_PUT = handle_any  # noqa: N815

    def route(self, path: str) -> None:
        parts = path.strip("/").split("/")
        match parts:
            case ["api", "repos", "create"]:
                self.create(json.loads(self.body))
            case ["api", "validate-yaml"]:
                self.answer({"errors": [], "warnings": []})
            case ["api", "models", owner, name, *rest]:
                self.api(f"{owner}/{name}", rest)
            case [owner, name, "resolve", revision, file]:
                self.resolve(f"{owner}/{name}", revision, file)
            case [_, _, "info", "lfs", "objects", "batch"]:
                self.lfs_batch(json.loads(self.body)["objects"])
            case ["lfs", oid] if self.command == "PUT":
                if not self.server.takes_uploads:
                    raise Refusal(403, message="the storage does not take this")
                self.server.uploads[oid] = self.body
                self.answer({})
            case ["lfs", oid, "verify"]:
                if sha256(self.server.uploads[oid]) != oid:
                    raise Refusal(422, message="what was uploaded is not what was announced")
                self.answer({})
            case ["lfs", oid, name]:
                self.send_content(self.server.damage(name, self.server.uploads[oid]), {"ETag": f'"{oid}"'})
            case _:
                raise Refusal(404, message=f"the stand-in does not know {self.command} {path}")

    def user(self) -> str | None:
        """Who asks, or nobody."""
        given = self.headers.get("Authorization")
        if given is None:
            return None
        if not given.startswith("Bearer token-"):
            raise Refusal(401, message="Invalid credentials in Authorization header")
        return given.removeprefix("Bearer token-")

    def repository(self, hub_id: str, *, write: bool = False) -> Repository:
        user, found = self.user(), self.server.repositories.get(hub_id)
        if found is None or (found.private and found.owner != user):
            raise Refusal(401 if user is None else 404, "RepoNotFound", "Repository not found")
        if write and found.owner != user:
            raise Refusal(403, message="You don't have the rights to write here")
        return found

    def revision(self, repository: Repository, revision: str) -> str:
        commit = repository.refs.get(revision, revision)
        if commit not in repository.commits:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    def create(self, asked: dict[str, Any]) -> None:
        user = self.user()
        if user is None:
            raise Refusal(401, message="Invalid username or password.")
        owner = asked.get("organization") or user
        hub_id = f"{owner}/{asked['name']}"
        if owner != user:
            raise Refusal(403, message=f"You don't have the rights to create a model under the namespace {owner}")
        there = hub_id in self.server.repositories
        if not there:
            private = asked.get("visibility") == "private" or bool(asked.get("private"))
            self.server.repositories[hub_id] = Repository(owner, private)
        self.answer({"url": f"{self.server.url}/{hub_id}"}, 409 if there else 200)

    def api(self, hub_id: str, rest: list[str]) -> None:
        match rest:
            case [] | ["revision", _]:
                repository = self.repository(hub_id)
                commit = self.revision(repository, rest[-1] if rest else "main")
                files = [{"rfilename": name} for name in repository.commits[commit]]
                self.answer({"id": hub_id, "sha": commit, "private": repository.private, "siblings": files})
            case ["tree", revision]:
                repository = self.repository(hub_id)
                files = repository.commits[self.revision(repository, revision)]
                self.answer([tree_entry(name, content) for name, content in files.items()])
            case ["preupload", revision]:
                repository = self.repository(hub_id, write=True)
                files = repository.commits[self.revision(repository, revision)]
                self.answer({"files": [upload_mode(file["path"], files) for file in json.loads(self.body)["files"]]})
            case ["commit", branch]:
                self.commit(hub_id, self.repository(hub_id, write=True), branch)
            case _:
                raise Refusal(404, message=f"the stand-in does not know {rest}")

    def commit(self, hub_id: str, repository: Repository, branch: str) -> None:
        files: dict[str, bytes] = {}
        for line in map(json.loads, self.body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.uploads[value["oid"]]
        commit = repository.commit(files, branch)
        self.answer({"commitUrl": f"{self.server.url}/{hub_id}/commit/{commit}", "commitOid": commit})

    def lfs_batch(self, objects: list[dict[str, Any]]) -> None:
        href = f"{self.server.url}/lfs"

        def actions(oid: str) -> dict[str, Any]:
            return {"upload": {"href": f"{href}/{oid}"}, "verify": {"href": f"{href}/{oid}/verify"}}

        self.answer({"objects": [file | {"actions": actions(file["oid"])} for file in objects], "transfer": "basic"})

    def resolve(self, hub_id: str, revision: str, file: str) -> None:
        repository = self.repository(hub_id)
        if repository.gated and self.user() != repository.owner:
            raise Refusal(403, "GatedRepo", f"Access to model {hub_id} is restricted")
        commit = self.revision(repository, revision)
        if file not in repository.commits[commit]:
            raise Refusal(404, "EntryNotFound", "Entry not found")
        content, told = repository.commits[commit][file], {"X-Repo-Commit": commit}
        if not file.endswith(LARGE):
            self.send_content(self.server.damage(file, content), told | {"ETag": f'"{git_hash(content)}"'})
            return
        oid = sha256(content)
        self.server.uploads[oid] = content
        told |= {"X-Linked-ETag": f'"{oid}"', "X-Linked-Size": str(len(content))}
        elsewhere = self.server.url.replace("127.0.0.1", "localhost")  # the client takes another host for the storage
        self.send(302, b"", told | {"Location": f"{elsewhere}/lfs/{oid}/{file}"})

    def send_content(self, content: bytes, headers: dict[str, str]) -> None:
        self.send(200, content, headers | {"Content-Type": "application/octet-stream"})

    def answer(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send(status, json.dumps(value).encode(), (headers or {}) | {"Content-Type": "application/json"})

    def send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def tree_entry(name: str, content: bytes) -> dict[str, Any]:
    entry = {"type": "file", "path": name, "size": len(content), "oid": git_hash(content)}
    large = {"lfs": {"oid": sha256(content), "size": len(content), "pointerSize": 134}}
    return entry | (large if name.endswith(LARGE) else {})


def upload_mode(name: str, files: dict[str, bytes]) -> dict[str, Any]:
    large = name.endswith(LARGE)
    found = {"path": name, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
    if name in files:
        found["oid"] = sha256(files[name]) if large else git_hash(files[name])
    return found
