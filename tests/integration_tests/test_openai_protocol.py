"""Generation and the command against a server on this machine that speaks OpenAI's protocol, with the real client."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from langchain_embedding_adapter import AdaptedEmbeddings, LinearAdapter, QADataset, cli, generate_qa_pairs

DIMENSIONS = 16
CHUNKS = [
    Document("Mars takes 687 days to go round the Sun."),
    Document("Venus turns backwards, once in 243 days."),
    Document("Titan has lakes of methane."),
]


class OpenAIServer(ThreadingHTTPServer):
    """Answers chat completions with one question about the passage, and embeddings with counted letters."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.keys: set[str] = set()


class _Handler(BaseHTTPRequestHandler):
    server: OpenAIServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, body))
        self.server.keys.add(self.headers["Authorization"])
        answer = self._chat(body) if self.path == "/v1/chat/completions" else self._embeddings(body)
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _chat(self, body: dict[str, Any]) -> dict[str, Any]:
        prompt = body["messages"][-1]["content"]
        world = next(chunk.page_content.split()[0] for chunk in CHUNKS if chunk.page_content in prompt)
        content = f"Here are the questions:\n1. **What is said of {world}?**\n2. Why {world}?"
        return {
            "id": "chat",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"},
            ],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }

    def _embeddings(self, body: dict[str, Any]) -> dict[str, Any]:
        vectors = [[float(text.count(chr(97 + i))) + 0.1 for i in range(DIMENSIONS)] for text in body["input"]]
        data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
        return {
            "object": "list",
            "data": data,
            "model": body["model"],
            "usage": {"prompt_tokens": 1, "total_tokens": 1},
        }

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setenv("OPENAI_API_BASE", f"http://127.0.0.1:{running.server_port}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "a-key")
        yield running
        running.shutdown()
        thread.join()


def test_questions_come_through_the_client(server: OpenAIServer, tmp_path: Path) -> None:
    dataset = generate_qa_pairs(CHUNKS, ChatOpenAI(model="small"), path=tmp_path / "pairs.jsonl")
    assert list(dataset.queries.values())[:3] == ["What is said of Mars?", "Why Mars?", "What is said of Venus?"]
    assert len(dataset) == 6
    assert {path for path, _ in server.requests} == {"/v1/chat/completions"}
    assert [body["model"] for _, body in server.requests] == ["small"] * 3
    assert server.keys == {"Bearer a-key"}


def test_the_command_names_it_by_provider_and_model(server: OpenAIServer, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    for number, chunk in enumerate(CHUNKS):
        (folder / f"{number}.txt").write_text(chunk.page_content)
    with pytest.raises(SystemExit) as stop:
        cli.main(["pairs", str(tmp_path / "run"), str(folder), "--llm", "openai:small"])
    assert not stop.value.code
    assert len(QADataset.load(tmp_path / "run" / "pairs.json")) == 6
    assert len(server.requests) == 3


def test_documents_go_to_the_base_in_its_own_batches_and_queries_are_adapted(server: OpenAIServer) -> None:
    base = OpenAIEmbeddings(model="wide", check_embedding_ctx_length=False)  # else it looks for a tokenizer online
    turned = LinearAdapter(DIMENSIONS, DIMENSIONS)
    turned.load_arrays({"weight": np.eye(DIMENSIONS)[::-1]})
    adapted = AdaptedEmbeddings(base, turned)
    assert adapted.embed_documents(["mars", "venus"]) == base.embed_documents(["mars", "venus"])
    assert [len(body["input"]) for _, body in server.requests] == [2, 2]
    assert adapted.embed_query("mars") == pytest.approx(base.embed_query("mars")[::-1], rel=1e-5)
