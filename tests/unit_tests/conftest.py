"""Unit tests run with sockets off."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from pytest_socket import disable_socket, enable_socket

from langchain_embedding_adapter import cli, models
from tests.small_world import AngleEmbeddings, AngleWriter, world


@pytest.fixture(autouse=True)
def no_network():
    disable_socket(allow_unix_socket=True)  # asyncio's own loop talks to itself through one
    yield
    enable_socket()


@pytest.fixture
def base() -> AngleEmbeddings:
    return AngleEmbeddings()


@pytest.fixture(scope="session")
def dataset():
    return world()


class Outcome(NamedTuple):
    """What a command came to: its exit code, and what it wrote to standard output and standard error."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs the command with these arguments in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Outcome:
        with pytest.raises(SystemExit) as stop:
            cli.main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Outcome(int(stop.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def llm(monkeypatch: pytest.MonkeyPatch) -> AngleWriter:
    """What every name of a chat model means to the command."""
    writer = AngleWriter()
    monkeypatch.setattr(models, "load_chat_model", lambda name: writer)
    return writer


@pytest.fixture
def named_embeddings(monkeypatch: pytest.MonkeyPatch) -> AngleEmbeddings:
    """What every name of embeddings means to the command."""
    embeddings = AngleEmbeddings()
    monkeypatch.setattr(models, "load_embeddings", lambda name: embeddings)
    return embeddings


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A folder of documents."""
    (tmp_path / "shelf").mkdir()
    for key, text in world().corpus.items():
        (tmp_path / "shelf" / f"{key}.txt").write_text(text)
    return tmp_path / "shelf"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Pairs in a file."""
    world().save(tmp_path / "given.json")
    return tmp_path / "given.json"
