"""Generation and the command against a server on this machine that speaks OpenAI's protocol, with the real client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from langchain_embedding_adapter import AdaptedEmbeddings, LinearAdapter, QADataset, cli, generate_qa_pairs
from tests.openai_server import DIMENSIONS, OpenAIServer

CHUNKS = [
    Document("Mars takes 687 days to go round the Sun."),
    Document("Venus turns backwards, once in 243 days."),
    Document("Titan has lakes of methane."),
]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        monkeypatch.setenv("OPENAI_API_BASE", running.url)
        monkeypatch.setenv("OPENAI_API_KEY", "a-key")
        yield running


def test_questions_come_through_the_client(server: OpenAIServer, tmp_path: Path) -> None:
    dataset = generate_qa_pairs(CHUNKS, ChatOpenAI(model="small"), path=tmp_path / "pairs.jsonl")
    assert list(dataset.queries.values())[:3] == [
        "What is said of Mars?",
        "Why is Mars like that?",
        "What is said of Venus?",
    ]
    assert len(dataset) == 6
    assert {path for path, _ in server.requests} == {"/v1/chat/completions"}
    assert [body["model"] for _, body in server.requests] == ["small"] * 3
    assert server.keys == {"a-key"}


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
