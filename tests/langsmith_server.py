"""A server on this machine that keeps LangSmith's datasets, examples, experiments, runs and scores in lists."""

from __future__ import annotations

import json
import threading
import uuid
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

NOW = "2026-01-01T00:00:00+00:00"


class LangSmithServer:
    """The server, running inside its ``with``.

    Attributes:
        datasets: By name.
        examples: As they were made.
        sessions: Experiments, by id.
        runs: By id; what is sent of one piece by piece is joined.
        feedback: Scores: run, key and score among others.
    """

    def __init__(self) -> None:
        self.datasets: dict[str, dict[str, Any]] = {}
        self.examples: list[dict[str, Any]] = []
        self.sessions: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.feedback: list[dict[str, Any]] = []

    def __enter__(self) -> LangSmithServer:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                url = urlsplit(self.path)
                parts = _parts(self.headers.get("content-type") or "", body)
                found = server.answer(self.command, url.path, parse_qs(url.query), parts)
                content = json.dumps(found).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = answer  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """What a client takes for its ``api_url``."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, command: str, path: str, query: dict[str, list[str]], parts: dict[str, Any]) -> Any:
        body = parts.get("", {})
        if path == "/info":
            return {"version": "0.15.0", "instance_flags": {"dataset_examples_multipart_enabled": True}}
        if path == "/datasets" and command == "GET":
            return [self.datasets[name] for name in query.get("name", []) if name in self.datasets]
        if path == "/datasets":
            self.datasets[body["name"]] = {**body, "id": str(uuid.uuid4()), "created_at": NOW}
            return self.datasets[body["name"]]
        if path == "/examples":
            start = int(query.get("offset", ["0"])[0])
            return [each for each in self.examples if each["dataset_id"] in query["dataset"]][start:]
        if path.startswith("/v1/platform/datasets"):
            return self._made(path.split("/")[4], parts)
        if path.startswith("/sessions") and command == "GET":
            return []
        if path.startswith("/sessions"):
            key = body.get("id") or path.split("/")[-1]
            told = {name: value for name, value in body.items() if value is not None}
            self.sessions[key] = {**self.sessions.get(key, {}), **told, "tenant_id": str(uuid.uuid4())}
            return self.sessions[key]
        if path == "/runs/multipart":
            self._run(parts)
        return {}

    def _made(self, dataset: str, parts: dict[str, Any]) -> Any:
        made: dict[str, dict[str, Any]] = {}
        for name, value in parts.items():
            key, _, what = name.partition(".")
            made.setdefault(key, {"id": key, "dataset_id": dataset, "created_at": NOW}).update(
                {what: value} if what else value
            )
        self.examples += made.values()
        return {"example_ids": list(made), "count": len(made), "as_of": NOW}

    def _run(self, parts: dict[str, Any]) -> None:
        for name, value in parts.items():
            kind, key, *what = name.split(".")
            if kind == "feedback":
                self.feedback.append(value)
            else:
                self.runs.setdefault(key, {}).update({what[0]: value} if what else value)


def _parts(kind: str, body: bytes) -> dict[str, Any]:
    """JSON by the name of its part; all of it under no name where there are no parts."""
    if not kind.startswith("multipart"):
        return {"": json.loads(body)} if body else {}
    message = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    found = {}
    for part in message.get_payload():
        name = part.get_param("name", header="content-disposition")
        found[str(name)] = json.loads(part.get_payload(decode=True))
    return found
