"""Every snippet of the README runs, as it stands there: with OpenAI's classes replaced, in an empty folder."""

from __future__ import annotations

import json
import re
import shlex
import sys
from importlib.metadata import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import langchain_openai
import numpy as np
import pytest
import torch
from langchain_community.vectorstores import FAISS
from langchain_core.language_models import SimpleChatModel
from langchain_core.messages import BaseMessage

from langchain_embedding_adapter import WordLlamaEmbeddings, cli, models
from langchain_embedding_adapter.language_reference import load_language_reference

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = load_language_reference()
CHUNKS = [chunk for chunk in REFERENCE.chunks if chunk.id in REFERENCE.dataset.passages_asked_about()][:120]


class WideEmbeddings(WordLlamaEmbeddings):
    """WordLlama, turned into as many dimensions as OpenAI's model has."""

    def __init__(self, model: str) -> None:
        super().__init__()
        self.model = model
        self._turn = np.linalg.qr(np.random.default_rng(0).normal(size=(1536, 256)))[0].T

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return (np.asarray(super().embed_documents(texts)) @ self._turn).tolist()


class QuestionWriter(SimpleChatModel):
    """Answers with our own questions about whichever passage the prompt holds."""

    model: str = ""

    def _call(self, messages: list[BaseMessage], *_: Any, **__: Any) -> str:
        prompt = str(messages[-1].content)
        for query, (passage, *_rest) in REFERENCE.dataset.relevant_docs.items():
            if REFERENCE.dataset.corpus[passage] in prompt:
                return f"Here is a question:\n1. {REFERENCE.dataset.queries[query].rstrip('?.')}?"
        return "There is nothing to ask."

    @property
    def _llm_type(self) -> str:
        return "question-writer"


class Reranker:
    """Stands in for a cross-encoder: it scores as WordLlama does, and somewhat differently."""

    def __init__(self, model: str) -> None:
        self.model_name = model
        self._embeddings = WordLlamaEmbeddings()

    def predict(self, pairs: list[tuple[str, str]]) -> list[float]:
        questions, passages = (
            np.asarray(self._embeddings.embed_documents(list(part))) for part in zip(*pairs, strict=True)
        )
        return (10 * (questions * passages).sum(axis=1)).tolist()


def snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(langchain_openai, "OpenAIEmbeddings", WideEmbeddings)
    monkeypatch.setattr(langchain_openai, "ChatOpenAI", QuestionWriter)
    monkeypatch.setitem(sys.modules, "sentence_transformers", SimpleNamespace(CrossEncoder=Reranker))
    monkeypatch.setattr(models, "load_embeddings", WideEmbeddings)
    monkeypatch.setattr(models, "load_chat_model", lambda model: QuestionWriter(model=model))
    return tmp_path


def test_python_snippets_run_one_after_the_other(at_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = WideEmbeddings("text-embedding-3-small")
    store = FAISS.from_documents(CHUNKS, base)
    store.save_local("index")
    namespace: dict[str, Any] = {"documents": CHUNKS, "store": store}
    adapters_from_elsewhere(at_home, dimensions=1536)
    blocks = snippets("python")
    assert len(blocks) == 15
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)  # noqa: S102 our own README
    printed = capsys.readouterr().out
    assert "| nDCG@10 " in printed
    assert "The teacher Reranker.predict:cross-encoder/ms-marco-MiniLM-L6-v2 ranks" in printed
    assert "real questions" in namespace["result"].verdict or namespace["result"].selection is None
    assert (at_home / "pairs.jsonl").is_file()
    assert (at_home / "handbook-adapter" / "model.safetensors").is_file()
    assert len(namespace["retriever"].invoke("how do I make a class callable")) == 4


def adapters_from_elsewhere(folder: Path, dimensions: int) -> None:
    """What LlamaIndex and OpenAI's recipe save."""
    (folder / "llama-index-adapter").mkdir()
    options = {"in_features": dimensions, "out_features": dimensions, "bias": False}
    (folder / "llama-index-adapter" / "config.json").write_text(json.dumps(options))
    torch.save({"linear.weight": torch.eye(dimensions)}, folder / "llama-index-adapter" / "pytorch_model.bin")
    np.save(folder / "matrix.npy", np.eye(dimensions))


def test_the_quick_start_is_under_ten_lines() -> None:
    lines = [line for line in snippets("python")[0].splitlines() if line.strip()]
    assert len(lines) < 10


def test_commands_run_one_after_the_other(at_home: Path) -> None:
    (at_home / "handbook").mkdir()
    for number, chunk in enumerate(CHUNKS):
        (at_home / "handbook" / f"{number}.txt").write_text(chunk.page_content, encoding="utf-8")
    commands = [
        line for block in snippets("bash") for line in block.splitlines() if line.startswith("embedding-adapter")
    ]
    assert len(commands) == 6
    for command in commands:
        with pytest.raises(SystemExit) as stop:
            cli.main(shlex.split(command, comments=True)[1:])
        assert not stop.value.code, command


def test_install_lines_name_extras_that_exist() -> None:
    known = set(metadata("langchain-embedding-adapter").get_all("Provides-Extra", []))
    named = set(re.findall(r"langchain-embedding-adapter\[([\w,]+)\]", README))
    listed = re.search(r"Further extras: (.*?)\. On", README, re.DOTALL)
    assert listed is not None
    named |= set(re.findall(r"`([\w-]+)`", listed.group(1)))
    assert named == known


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target
